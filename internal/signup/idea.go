package signup

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// IdeaState is where an idea stands.
//
//	proposed ─► shared ─► opened
//	   └──────────┴─────► answered
type IdeaState string

// The states.
const (
	IdeaProposed IdeaState = "proposed" // seen by whoever proposed it, and by the brand
	IdeaShared   IdeaState = "shared"   // seen by all subscribers, who may second it
	IdeaOpened   IdeaState = "opened"   // it has become a topic
	IdeaAnswered IdeaState = "answered" // with a no, and why
)

// Idea is a topic that somebody would like to hear about.
type Idea struct {
	ID           uuid.UUID
	BrandID      uuid.UUID
	SubscriberID *uuid.UUID // who proposed it; nil once they are erased
	Language     string
	Title        string
	Reason       string
	State        IdeaState
	Answer       string
	TopicID      *uuid.UUID
	CreatedAt    time.Time
	DecidedAt    *time.Time

	Seconds  int64 `gorm:"->;-:migration"` // whoever proposed it among them
	Seconded bool  `gorm:"->;-:migration"` // by whoever looks
}

// TableName implements gorm's Tabler.
func (Idea) TableName() string { return "ideas" }

const (
	ideasPerPerson = 3   // that nobody has decided on
	ideasShared    = 100 // of a brand at a time, so that people can read them
	ideaTitleMax   = 120
	ideaReasonMax  = 500
	answerMax      = 500
	toldAtOnce     = 200
)

// What a person did with ideas and invitations, in the ledger.
const (
	ChangeProposed = "proposed"
	ChangeSeconded = "seconded"
	ChangeTookBack = "seconded-no-more"
	ChangeInvited  = "invited"
)

// IdeasPage is what somebody sees of a brand's ideas.
type IdeasPage struct {
	Preferences
	Intro  string // the brand's words in the language of the page; may be empty
	Member bool   // they may take part
	Left   int    // ideas that they may still propose
	Shared []Idea // most seconded first
	Mine   []Idea // that they proposed, newest first
}

// intro is the brand's words in a language.
func (p IdeasPage) intro(c Community, lang string) string {
	for _, l := range []string{lang, p.Brand.Offers(lang), p.Brand.Language} {
		if s := c.Texts[l]; s != "" {
			return s
		}
	}
	return ""
}

// Ideas reads the page of ideas for somebody, in a language; where the brand has
// none it is problem.NotFound.
func Ideas(tx *store.Tx, brandID, subscriberID uuid.UUID, lang string) (page IdeasPage, err error) {
	c, err := CommunityOf(tx, brandID)
	if err != nil {
		return page, err
	}
	if !c.Ideas {
		return page, problem.New(problem.NotFound, "signup.community.off")
	}
	if page.Preferences, err = Preference(tx, brandID, subscriberID); err != nil {
		return page, err
	}
	page.Intro = page.intro(c, lang)
	if err := member(tx, page.Preferences); err == nil {
		page.Member = true
	} else if !problem.Is(err, problem.Conflict) {
		return page, err
	}
	if page.Shared, err = ideas(tx, subscriberID, "i.brand_id = ? AND i.state = 'shared' ORDER BY seconds DESC, i.created_at, i.id LIMIT ?", brandID, ideasShared); err != nil {
		return page, err
	}
	if page.Mine, err = ideas(tx, subscriberID, "i.brand_id = ? AND i.subscriber_id = ? ORDER BY i.created_at DESC, i.id LIMIT 50", brandID, subscriberID); err != nil {
		return page, err
	}
	page.Left = ideasPerPerson
	for _, i := range page.Mine {
		if i.State == IdeaProposed || i.State == IdeaShared {
			page.Left--
		}
	}
	return page, nil
}

func ideas(tx *store.Tx, viewer uuid.UUID, where string, args ...any) (all []Idea, err error) {
	err = tx.Raw(`SELECT i.*, (SELECT count(*) FROM idea_seconds s WHERE s.idea_id = i.id) AS seconds,
		EXISTS (SELECT 1 FROM idea_seconds s WHERE s.idea_id = i.id AND s.subscriber_id = ?) AS seconded
		FROM ideas i WHERE `+where, append([]any{viewer}, args...)...).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("read ideas: %w", err)
	}
	for i := range all {
		all[i].CreatedAt = all[i].CreatedAt.UTC()
	}
	return all, nil
}

// ListIdeas gives a brand's ideas in a state: those that wait, oldest first, and
// those that are shared, most seconded first, all of them (there are never more
// than a hundred); the others newest first, before an id, at most limit.
func ListIdeas(tx *store.Tx, brandID uuid.UUID, state IdeaState, after uuid.UUID, limit int) ([]Idea, error) {
	switch state {
	case IdeaShared:
		return ideas(tx, uuid.Nil, "i.brand_id = ? AND i.state = 'shared' ORDER BY seconds DESC, i.created_at, i.id LIMIT ?", brandID, ideasShared)
	case IdeaProposed:
		return ideas(tx, uuid.Nil, "i.brand_id = ? AND i.state = 'proposed' AND i.id > ? ORDER BY i.id LIMIT ?", brandID, after, limit)
	}
	if after == uuid.Nil {
		after = uuid.Max
	}
	return ideas(tx, uuid.Nil, "i.brand_id = ? AND i.state = ? AND i.id < ? ORDER BY i.id DESC LIMIT ?", brandID, state, after, limit)
}

// FindIdea reads an idea of the brand; another brand's is problem.NotFound.
func FindIdea(tx *store.Tx, brandID, id uuid.UUID) (Idea, error) {
	all, err := ideas(tx, uuid.Nil, "i.brand_id = ? AND i.id = ?", brandID, id)
	if err != nil {
		return Idea{}, err
	}
	if len(all) == 0 {
		return Idea{}, problem.New(problem.NotFound, "signup.idea.unknown")
	}
	return all[0], nil
}

// lockIdea is FindIdea that holds it.
func lockIdea(tx *store.Tx, brandID, id uuid.UUID) (Idea, error) {
	var held []uuid.UUID
	if err := tx.Raw("SELECT id FROM ideas WHERE brand_id = ? AND id = ?"+tx.ForUpdate(), brandID, id).Scan(&held).Error; err != nil {
		return Idea{}, fmt.Errorf("hold an idea: %w", err)
	}
	return FindIdea(tx, brandID, id)
}

// Propose writes down what somebody would like to hear about, and why. Only the
// brand sees it until it shares it. More than three that wait are problem.Conflict
// "signup.idea.enough"; who is no subscriber "signup.community.not-member".
func Propose(tx *store.Tx, brandID, subscriberID uuid.UUID, title, reason string, seen Seen) (Idea, error) {
	page, err := takePart(tx, brandID, subscriberID)
	if err != nil {
		return Idea{}, err
	}
	wrong := problem.New(problem.Invalid, "problem.invalid")
	title = line(wrong, "title", title, ideaTitleMax, true)
	if reason = lines(wrong, "reason", reason, ideaReasonMax); reason == "" && len(wrong.Fields) == 0 {
		wrong.Field("reason", "problem.field.required")
	}
	if err := wrong.OrNil(); err != nil {
		return Idea{}, err
	}
	if page.Left <= 0 {
		return Idea{}, problem.New(problem.Conflict, "signup.idea.enough", "Max", ideasPerPerson)
	}
	now := tx.Now()
	i := Idea{ID: tx.NewID(), BrandID: brandID, SubscriberID: &subscriberID, Language: page.Language, Title: title, Reason: reason, State: IdeaProposed, CreatedAt: now}
	if err := tx.Omit("Seconds", "Seconded").Create(&i).Error; err != nil {
		return Idea{}, fmt.Errorf("store an idea: %w", err)
	}
	if err := addSecond(tx, i, subscriberID); err != nil {
		return Idea{}, err
	}
	return i, did(tx, page.Preferences, ChangeProposed, i.ID, seen)
}

// takePart reads the page for who is about to do something on it, and holds the person.
func takePart(tx *store.Tx, brandID, subscriberID uuid.UUID) (IdeasPage, error) {
	if _, err := subscriber.Lock(tx, brandID, subscriberID); err != nil {
		return IdeasPage{}, err
	}
	page, err := Ideas(tx, brandID, subscriberID, "")
	if err != nil {
		return page, err
	}
	return page, member(tx, page.Preferences)
}

func addSecond(tx *store.Tx, i Idea, subscriberID uuid.UUID) error {
	_, err := tx.Run("INSERT INTO idea_seconds (idea_id, subscriber_id, brand_id, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", i.ID, subscriberID, i.BrandID, tx.Now())
	if err != nil {
		return fmt.Errorf("second an idea: %w", err)
	}
	return nil
}

func did(tx *store.Tx, p Preferences, what string, idea uuid.UUID, seen Seen) error {
	e := seen.evidence()
	e["idea"] = idea.String()
	_, err := consent.RecordChange(tx, consent.Change{Brand: p.Brand, Subscriber: p.Subscriber.ID, Kind: what, Method: consent.MethodPreferences, Evidence: e})
	return err
}

// Second says that somebody would like an idea too, or no more; each once. Only
// what is shared can be seconded. Repeatable.
func Second(tx *store.Tx, brandID, subscriberID, id uuid.UUID, yes bool, seen Seen) error {
	page, err := takePart(tx, brandID, subscriberID)
	if err != nil {
		return err
	}
	if _, err := lockIdea(tx, brandID, id); err != nil {
		return err
	}
	found, err := ideas(tx, subscriberID, "i.brand_id = ? AND i.id = ?", brandID, id)
	if err != nil {
		return err
	}
	i := found[0]
	switch {
	case i.State != IdeaShared:
		return problem.New(problem.NotFound, "signup.idea.unknown")
	case i.Seconded == yes:
		return nil
	case yes:
		if err := addSecond(tx, i, subscriberID); err != nil {
			return err
		}
		return did(tx, page.Preferences, ChangeSeconded, id, seen)
	}
	if _, err := tx.Run("DELETE FROM idea_seconds WHERE idea_id = ? AND subscriber_id = ? AND brand_id = ?", id, subscriberID, brandID); err != nil {
		return fmt.Errorf("second an idea no more: %w", err)
	}
	return did(tx, page.Preferences, ChangeTookBack, id, seen)
}

// move is the one way from state to state.
func (i *Idea) move(tx *store.Tx, to IdeaState) error {
	if !(i.State == IdeaProposed && to != IdeaProposed || i.State == IdeaShared && (to == IdeaOpened || to == IdeaAnswered)) {
		return problem.New(problem.Conflict, "signup.idea.decided")
	}
	now := tx.Now()
	i.State, i.DecidedAt = to, &now
	_, err := tx.Run("UPDATE ideas SET state = ?, answer = ?, topic_id = ?, decided_at = ? WHERE id = ? AND brand_id = ?", i.State, i.Answer, i.TopicID, i.DecidedAt, i.ID, i.BrandID)
	if err != nil {
		return fmt.Errorf("move an idea to %s: %w", to, err)
	}
	return nil
}

// ShareIdea lets all subscribers see an idea and second it. A hundred at a time
// are enough to read: more are problem.Conflict "signup.idea.shared-enough".
func ShareIdea(tx *store.Tx, b brand.Brand, id uuid.UUID) (Idea, error) {
	if _, err := brand.Lock(tx, b.ID); err != nil { // who counts, counts alone
		return Idea{}, err
	}
	i, err := lockIdea(tx, b.ID, id)
	if err != nil {
		return i, err
	}
	var shared int
	if err := tx.Raw("SELECT count(*) FROM ideas WHERE brand_id = ? AND state = 'shared'", b.ID).Scan(&shared).Error; err != nil {
		return i, fmt.Errorf("count ideas: %w", err)
	}
	if shared >= ideasShared {
		return i, problem.New(problem.Conflict, "signup.idea.shared-enough", "Max", ideasShared)
	}
	return i, i.move(tx, IdeaShared)
}

// AnswerIdea says no to an idea, and why: whoever proposed it reads the answer.
func AnswerIdea(tx *store.Tx, b brand.Brand, id uuid.UUID, answer string) (Idea, error) {
	i, err := lockIdea(tx, b.ID, id)
	if err != nil {
		return i, err
	}
	wrong := problem.New(problem.Invalid, "problem.invalid")
	if i.Answer = lines(wrong, "answer", answer, answerMax); i.Answer == "" && len(wrong.Fields) == 0 {
		wrong.Field("answer", "problem.field.required")
	}
	if err := wrong.OrNil(); err != nil {
		return i, err
	}
	return i, i.move(tx, IdeaAnswered)
}

// OpenIdea makes a topic of an idea. Nobody is given a permission by that:
// whoever wished for it gets one mail that says that it is there, as far as the
// brand may still write to them (see TellIdeas).
func OpenIdea(tx *store.Tx, set Settings, b brand.Brand, id uuid.UUID, n consent.NewTopic) (Idea, consent.Topic, error) {
	i, err := lockIdea(tx, b.ID, id)
	if err != nil {
		return i, consent.Topic{}, err
	}
	t, err := consent.CreateTopic(tx, b, n)
	if err != nil {
		return i, t, err
	}
	i.TopicID = &t.ID
	if err := i.move(tx, IdeaOpened); err != nil {
		return i, t, err
	}
	_, err = TellIdeas(tx, set, toldAtOnce)
	return i, t, err
}

// TellIdeas writes to people whose wish has come true, at most limit of them,
// each once; it tells how many, so that the caller knows when to come again. Who
// has left everything meanwhile is not written to.
func TellIdeas(tx *store.Tx, set Settings, limit int) (int, error) {
	var rows []struct {
		IdeaID, SubscriberID, BrandID, TopicID uuid.UUID
		Title                                  string
	}
	err := tx.Raw(`SELECT s.idea_id, s.subscriber_id, s.brand_id, i.topic_id, i.title FROM ideas i JOIN idea_seconds s ON s.idea_id = i.id
		WHERE i.state = 'opened' AND s.told_at IS NULL ORDER BY s.idea_id, s.subscriber_id LIMIT ?`+tx.Pick(" FOR UPDATE OF s SKIP LOCKED", ""), limit).Scan(&rows).Error
	if err != nil {
		return 0, fmt.Errorf("find whose wish came true: %w", err)
	}
	for _, r := range rows {
		if _, err := tx.Run("UPDATE idea_seconds SET told_at = ? WHERE idea_id = ? AND subscriber_id = ? AND brand_id = ?", tx.Now(), r.IdeaID, r.SubscriberID, r.BrandID); err != nil {
			return 0, fmt.Errorf("note who was told: %w", err)
		}
		p, err := Preference(tx, r.BrandID, r.SubscriberID)
		if problem.Is(err, problem.Gone) {
			continue
		}
		if err == nil {
			err = member(tx, p)
		}
		if problem.Is(err, problem.Conflict) {
			continue
		}
		if err != nil {
			return 0, err
		}
		t, err := consent.FindTopic(tx, r.BrandID, r.TopicID)
		if err != nil {
			return 0, err
		}
		stream, err := delivery.BrandStream(tx, r.BrandID, delivery.OriginService)
		if err != nil {
			return 0, err
		}
		_, fresh, err := delivery.Queue(tx, delivery.Draft{
			Source: r.IdeaID, Stream: stream, Brand: r.BrandID, Subscriber: &r.SubscriberID, Kind: delivery.Service, Template: "idea-opened",
			Language: p.Language, Due: tx.Now(), Data: map[string]any{"name": p.Subscriber.Name, "wish": r.Title, "source": t.In(p.Brand, p.Language).Name,
				"preferences_url": set.URLs.Preferences(r.BrandID, r.SubscriberID)},
		})
		if err == nil && !fresh {
			err = errors.New("the mail about an idea was queued before")
		}
		if err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}
