package admin

import (
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/campaign"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/sequence"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/web"
)

// What was done can be taken back where nothing has left the house by it and no
// person has been heard: a topic that is archived, a tag, a pause, a role. What
// somebody took back themselves stays taken back, and so does what the team
// wrote down of it: a permission is not the team's to give.

func undoActions() []action {
	return []action{act("/undo/:id", account.Marketer, undo)}
}

// backward is how an act is taken back.
type backward struct {
	least account.Role
	// before reads what the act is about to change; nil, where it changes nothing
	// that could be taken back. A nil func is for acts whose subject says it all,
	// and for those that give it themselves.
	before func(*desk, *store.Tx, *Sheet) (*account.Undo, error)
	// state names the subject's state: after the act, and again before it is taken
	// back. Where they differ, somebody else has been there, and theirs stays.
	state func(*desk, *store.Tx, account.Undo) (string, error)
	do    func(*desk, *store.Tx, account.Undo) error
}

// backwards are the ways back, by the act.
var backwards = map[string]backward{
	"topic.archive":     {account.Marketer, nil, topicState, offerAgain(false)},
	"topic.offer":       {account.Marketer, nil, topicState, offerAgain(true)},
	"form.close":        {account.Marketer, nil, formState, moveBack(signup.Open)},
	"form.open":         {account.Marketer, nil, formState, moveBack(signup.Close)},
	"campaign.pause":    {account.Marketer, nil, campaignState, moveBack(campaign.Resume)},
	"sequence.pause":    {account.Marketer, nil, sequenceState, moveBack(sequence.Resume)},
	"offer.pause":       {account.Marketer, nil, offerState, resumeOfferAgain},
	"sending.pause":     {account.Marketer, nil, streamState, resumeStreamAgain},
	"people.tag":        {account.Marketer, tagBefore(false), tagState, untagAgain},
	"people.untag":      {account.Marketer, tagBefore(true), tagState, tagAgain},
	"people.tag-many":   {account.Marketer, nil, anyState, untagThose},
	"people.untag-many": {account.Marketer, nil, anyState, tagThose},
	"people.carer":      {account.Marketer, carerBefore, carerState, entrustAgain},
	"suppression.add":   {account.Marketer, suppressedBefore, suppressionState, liftAgain},
	"suppression.lift":  {account.Owner, liftedBefore, suppressionState, suppressAgain},
	"team.role":         {account.Owner, roleBefore, roleState, roleAgain},
}

// UndoLine is the way back in a notice.
type UndoLine struct {
	To, Page string
	Once     uuid.UUID
}

// whatWas is what an act will need to be taken back, read before it is done.
func (d *desk) whatWas(tx *store.Tx, what string, form *Sheet) (*account.Undo, error) {
	way, ok := backwards[what]
	if !ok || way.before == nil {
		return nil, nil
	}
	return way.before(d, tx, form)
}

// keepBack keeps the way back from what was done; empty: there is none.
func (d *desk) keepBack(tx *store.Tx, what string, came done, was *account.Undo) (string, error) {
	way, ok := backwards[what]
	if !ok || came.away {
		return "", nil
	}
	u := came.back
	if u == nil {
		u = was
	}
	if u == nil {
		if way.before != nil || way.state == nil || came.subject == uuid.Nil {
			return "", nil
		}
		u = &account.Undo{}
	}
	u.BrandID, u.UserID, u.What, u.Next = d.brand.ID, d.User.ID, what, came.next
	if came.subject != uuid.Nil {
		u.SubjectID = &came.subject
	}
	u.Fields = maps.Clone(u.Fields)
	if u.Fields == nil {
		u.Fields = map[string]string{}
	}
	u.Fields["name"] = text(came.detail["name"])
	var err error
	if u.State, err = way.state(d, tx, *u); err != nil {
		return "", err
	}
	id, err := account.KeepUndo(tx, *u)
	return id.String(), err
}

// undoable is the way back from the act that led here. What is no more can be
// taken back is not offered.
func (d *desk) undoable() *UndoLine {
	id, err := uuid.Parse(d.c.QueryParam("undo"))
	if err != nil {
		return nil
	}
	var u account.Undo
	err = d.read(func(tx *store.Tx) (err error) { u, err = account.Undoable(tx, d.brand.ID, d.User.ID, id); return err })
	if err != nil || u.What != d.c.QueryParam("did") || !d.may(backwards[u.What].least) {
		return nil
	}
	to := d.to("/undo/" + id.String())
	return &UndoLine{To: to, Page: brandPath + d.brand.Slug + "/undo/" + id.String(), Once: uuid.NewSHA1(d.User.ID, id[:])}
}

// undo takes an act back: the visitor's own, once, and only while what it
// changed is as it left it. What cannot be taken back any more is told on the
// page that the act led to.
func undo(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	var u account.Undo
	err = d.change("undo", func(tx *store.Tx, _ *Sheet) (came done, err error) {
		if u, err = account.UndoOf(tx, d.brand.ID, d.User.ID, id); err != nil {
			return done{}, err
		}
		came = done{next: u.Next, detail: map[string]any{"name": u.Fields["name"], "act": u.What}}
		if u.SubjectID != nil {
			came.subject = *u.SubjectID
		}
		return came, d.takeBack(tx, u)
	})
	p, expected := problem.Of(err)
	if !expected || p.Kind != problem.Conflict && p.Kind != problem.Gone {
		return err
	}
	did, known := strings.CutPrefix(p.Key, "account.undo.")
	if !known {
		did = "changed"
	}
	return web.SeeOther(d.c, d.to(u.Next, "did", "undo."+did))
}

func (d *desk) takeBack(tx *store.Tx, u account.Undo) error {
	way, ok := backwards[u.What]
	if !ok {
		return problem.New(problem.NotFound, "account.undo.unknown")
	}
	d.least = way.least
	if err := d.still(tx); err != nil {
		return err
	}
	if err := account.TakeBack(tx, u); err != nil {
		return err
	}
	now, err := way.state(d, tx, u)
	if problem.Is(err, problem.NotFound) || err == nil && now != u.State {
		return changedSince()
	}
	if err != nil {
		return err
	}
	return way.do(d, tx, u)
}

// changedSince says that an act is not taken back, because somebody has changed
// the same since.
func changedSince() error { return problem.New(problem.Conflict, "account.undo.changed") }

func anyState(*desk, *store.Tx, account.Undo) (string, error) { return "", nil }

// stamp is the state of a row that notes when it was last written.
func stamp(state string, at time.Time) string { return state + " " + versionOf(at) }

func topicState(d *desk, tx *store.Tx, u account.Undo) (string, error) {
	t, err := consent.LockTopic(tx, d.brand.ID, *u.SubjectID)
	return stamp(strconv.FormatBool(t.ArchivedAt != nil), t.UpdatedAt), err
}

func offerAgain(archived bool) func(*desk, *store.Tx, account.Undo) error {
	return func(d *desk, tx *store.Tx, u account.Undo) error {
		_, err := consent.UpdateTopic(tx, d.brand, *u.SubjectID, consent.TopicChange{Archived: &archived})
		return err
	}
}

func formState(d *desk, tx *store.Tx, u account.Undo) (string, error) {
	f, err := signup.Lock(tx, d.brand.ID, *u.SubjectID)
	return stamp(strconv.FormatBool(f.ClosedAt != nil), f.UpdatedAt), err
}

func campaignState(d *desk, tx *store.Tx, u account.Undo) (string, error) {
	c, err := campaign.Lock(tx, d.brand.ID, *u.SubjectID)
	return stamp(string(c.State), c.UpdatedAt), err
}

func sequenceState(d *desk, tx *store.Tx, u account.Undo) (string, error) {
	s, err := sequence.Lock(tx, d.brand.ID, *u.SubjectID)
	return stamp(string(s.State), s.UpdatedAt), err
}

func offerState(d *desk, tx *store.Tx, u account.Undo) (string, error) {
	o, err := offer.Find(tx, d.brand.ID, *u.SubjectID)
	return stamp(string(o.State), o.UpdatedAt), err
}

// moveBack is a move that takes the subject alone.
func moveBack[T any](move func(*store.Tx, uuid.UUID, uuid.UUID) (T, error)) func(*desk, *store.Tx, account.Undo) error {
	return func(d *desk, tx *store.Tx, u account.Undo) error {
		_, err := move(tx, d.brand.ID, *u.SubjectID)
		return err
	}
}

func resumeOfferAgain(d *desk, tx *store.Tx, u account.Undo) error {
	_, err := offer.Resume(tx, d.brand.ID, *u.SubjectID, delivery.ResumeStream)
	return err
}

func streamState(d *desk, tx *store.Tx, u account.Undo) (string, error) {
	s, err := delivery.FindStream(tx, d.brand.ID, *u.SubjectID)
	if err != nil || s.PausedAt == nil {
		return "", err
	}
	return stamp(s.PausedFor, *s.PausedAt), nil
}

func resumeStreamAgain(d *desk, tx *store.Tx, u account.Undo) error {
	s, err := delivery.FindStream(tx, d.brand.ID, *u.SubjectID)
	if err != nil {
		return err
	}
	return resumeSource(tx, s)
}

// tagBefore is the tag that a form gives somebody who has not got it, or takes
// from somebody who has.
func tagBefore(has bool) func(*desk, *store.Tx, *Sheet) (*account.Undo, error) {
	return func(d *desk, tx *store.Tx, form *Sheet) (*account.Undo, error) {
		id, err := d.id("id")
		if err != nil {
			return nil, err
		}
		tag := form.text("tags")
		tags, err := subscriber.Tags(tx, d.brand.ID, id)
		if err != nil || slices.Contains(tags, tag) != has {
			return nil, err
		}
		return &account.Undo{Fields: map[string]string{"tag": tag}}, nil
	}
}

func tagState(d *desk, tx *store.Tx, u account.Undo) (string, error) {
	tags, err := subscriber.Tags(tx, d.brand.ID, *u.SubjectID)
	return strconv.FormatBool(slices.Contains(tags, u.Fields["tag"])), err
}

func untagAgain(d *desk, tx *store.Tx, u account.Undo) error {
	return subscriber.RemoveTags(tx, d.brand.ID, *u.SubjectID, u.Fields["tag"])
}

func tagAgain(d *desk, tx *store.Tx, u account.Undo) error {
	return subscriber.AddTags(tx, d.brand.ID, *u.SubjectID, u.Fields["tag"])
}

// undoAtOnce is how many people one statement changes: below what the databases
// take as marks.
const undoAtOnce = 5000

func untagThose(d *desk, tx *store.Tx, u account.Undo) error {
	return changeThose(d, tx, u, subscriber.UntagFound)
}
func tagThose(d *desk, tx *store.Tx, u account.Undo) error {
	return changeThose(d, tx, u, subscriber.TagFound)
}

// changeThose changes those whom the act had changed, and nobody else. Whom
// somebody has changed since, or erased, stays as they are.
func changeThose(d *desk, tx *store.Tx, u account.Undo, do func(*store.Tx, uuid.UUID, subscriber.Filter, string, int) (int64, []uuid.UUID, error)) error {
	var all int64
	for ids := range slices.Chunk(u.Whom(), undoAtOnce) {
		n, _, err := do(tx, d.brand.ID, subscriber.Filter{IDs: ids}, u.Fields["tag"], 0)
		if err != nil {
			return err
		}
		all += n
	}
	if all == 0 {
		return changedSince()
	}
	return nil
}

func carerBefore(d *desk, tx *store.Tx, _ *Sheet) (*account.Undo, error) {
	id, err := d.id("id")
	if err != nil {
		return nil, err
	}
	carer, err := subscriber.CarerOf(tx, d.brand.ID, id)
	return &account.Undo{Fields: map[string]string{"carer": carer.String()}}, err
}

func carerState(d *desk, tx *store.Tx, u account.Undo) (string, error) {
	carer, err := subscriber.CarerOf(tx, d.brand.ID, *u.SubjectID)
	return carer.String(), err
}

// entrustAgain gives somebody back to whom they were with. Who has left the team
// since looks after nobody.
func entrustAgain(d *desk, tx *store.Tx, u account.Undo) error {
	carer, err := uuid.Parse(u.Fields["carer"])
	if err != nil {
		return err
	}
	err = subscriber.Entrust(tx, d.brand.ID, *u.SubjectID, carer)
	if problem.Is(err, problem.Invalid) {
		return changedSince()
	}
	return err
}

// suppressedBefore: what the team says of an address for the first time. What a
// person said, or was said before, stays.
func suppressedBefore(d *desk, tx *store.Tx, form *Sheet) (*account.Undo, error) {
	a, err := subscriber.ParseAddress(form.text("email"))
	if err != nil || !consent.Liftable(form.Value("reason")) {
		return nil, nil // the act itself says what is wrong
	}
	hash, err := d.brand.AddressHash(tx, a.Normal)
	if err != nil {
		return nil, err
	}
	u := &account.Undo{Fields: map[string]string{"hash": hex.EncodeToString(hash), "reason": form.Value("reason")}}
	there, err := suppressionState(d, tx, *u)
	if err != nil || there != "" {
		return nil, err
	}
	return u, nil
}

func liftedBefore(d *desk, tx *store.Tx, form *Sheet) (*account.Undo, error) {
	u := &account.Undo{Fields: map[string]string{"hash": form.Value("hash"), "reason": form.Value("reason")}}
	found, ok, err := suppressionOf(d, tx, *u)
	if err != nil || !ok {
		return nil, err
	}
	u.Fields["detail"] = found.Detail
	return u, nil
}

func suppressionOf(d *desk, tx *store.Tx, u account.Undo) (x consent.Suppression, ok bool, err error) {
	hash, err := hex.DecodeString(u.Fields["hash"])
	if err != nil || len(hash)*2 != hashHex {
		return x, false, nil
	}
	all, err := consent.Suppressions(tx, d.brand.ID, hash)
	i := slices.IndexFunc(all, func(x consent.Suppression) bool { return x.Reason == u.Fields["reason"] })
	if err != nil || i < 0 {
		return x, false, err
	}
	return all[i], true, nil
}

// suppressionState is when an address was stopped for the reason; empty: it is not.
func suppressionState(d *desk, tx *store.Tx, u account.Undo) (string, error) {
	x, ok, err := suppressionOf(d, tx, u)
	if err != nil || !ok {
		return "", err
	}
	return versionOf(x.CreatedAt), nil
}

func liftAgain(d *desk, tx *store.Tx, u account.Undo) error {
	hash, err := hex.DecodeString(u.Fields["hash"])
	if err != nil {
		return err
	}
	return consent.Lift(tx, d.brand, hash, u.Fields["reason"])
}

func suppressAgain(d *desk, tx *store.Tx, u account.Undo) error {
	hash, err := hex.DecodeString(u.Fields["hash"])
	if err != nil {
		return err
	}
	return consent.Suppress(tx, d.brand, hash, u.Fields["reason"], u.Fields["detail"])
}

func roleBefore(d *desk, tx *store.Tx, form *Sheet) (*account.Undo, error) {
	id, err := d.id("id")
	if err != nil {
		return nil, err
	}
	role, err := account.LockRole(tx, d.brand.ID, id)
	if err != nil || role == "" || string(role) == form.Value("role") {
		return nil, err
	}
	return &account.Undo{Fields: map[string]string{"role": string(role)}}, nil
}

func roleState(d *desk, tx *store.Tx, u account.Undo) (string, error) {
	role, err := account.LockRole(tx, d.brand.ID, *u.SubjectID)
	return string(role), err
}

func roleAgain(d *desk, tx *store.Tx, u account.Undo) error {
	_, err := account.ChangeRole(tx, d.brand.ID, *u.SubjectID, account.Role(u.Fields["role"]))
	return err
}
