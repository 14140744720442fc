package signup

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// ByFriend is the way of those who were invited by a subscriber.
const ByFriend = "friend"

// invitedBy is the value of an invitation's mail that names who invited.
const invitedBy = "by"

// MethodInvitation is how a request came about that a friend made.
const MethodInvitation = "invitation"

// The limits of invitations: by one person, and to the addresses of one domain
// from everybody together.
var (
	inviterLimits = []Limit{{5, 24 * time.Hour}, {20, 30 * 24 * time.Hour}}
	domainLimit   = Limit{200, 24 * time.Hour} // of a large mailbox provider, wideDomain times as many
)

const wideDomain = 50

// InvitePage is what somebody sees who would like to invite a friend.
type InvitePage struct {
	Preferences
	Member bool  // they may
	Left   int   // mails that they may still ask for today
	Boxes  []Box // topics that a friend can be asked about
	sheet  Sheet
}

// Inviting reads the page to invite a friend from, in a language; where the brand
// lets nobody it is problem.NotFound.
func Inviting(tx *store.Tx, brandID, subscriberID uuid.UUID, lang string) (page InvitePage, err error) {
	c, err := CommunityOf(tx, brandID)
	if err != nil {
		return page, err
	}
	if !c.Invitations || c.FormID == nil {
		return page, problem.New(problem.NotFound, "signup.community.off")
	}
	if page.Preferences, err = Preference(tx, brandID, subscriberID); err != nil {
		return page, err
	}
	if lang == "" {
		lang = page.Language
	}
	if page.sheet, err = Show(tx, *c.FormID, lang); err != nil {
		return page, err
	}
	for _, b := range page.sheet.Boxes {
		if !b.Tracking() {
			page.Boxes = append(page.Boxes, b)
		}
	}
	if err := member(tx, page.Preferences); err == nil {
		page.Member = true
	} else if !problem.Is(err, problem.Conflict) {
		return page, err
	}
	page.Left, err = invitationsLeft(tx, brandID, subscriberID)
	return page, err
}

// invitationsLeft is how many more mails somebody may ask for now.
func invitationsLeft(tx *store.Tx, brandID, subscriberID uuid.UUID) (int, error) {
	var sent []struct{ SentAt time.Time }
	err := tx.Raw("SELECT sent_at FROM friend_invitations WHERE subscriber_id = ? AND brand_id = ? AND sent_at > ?",
		subscriberID, brandID, tx.Now().Add(-inviterLimits[1].Within)).Scan(&sent).Error
	if err != nil {
		return 0, fmt.Errorf("count invitations: %w", err)
	}
	left := inviterLimits[1].Mails
	for _, l := range inviterLimits {
		n := 0
		for _, s := range sent {
			if s.SentAt.After(tx.Now().Add(-l.Within)) {
				n++
			}
		}
		left = min(left, l.Mails-n)
	}
	return max(left, 0), nil
}

// Invitation is what somebody typed to invite a friend.
type Invitation struct {
	Email  string
	Name   string   // of who invites, as the friend knows them: no free text goes into the mail
	Topics []string // slugs
}

// Invite asks a friend in one plain mail, which names who invites and nothing
// else of them, whether the brand may write. The friend says yes or no by double
// opt-in, or that nobody is to write again.
//
// What is typed wrongly is problem.Invalid, and who asked for five mails today or
// twenty in thirty days is problem.TooMany "signup.invite.enough": both say
// nothing about the friend. Otherwise the outcome, and the work, are the same for
// every address: one that was invited before, by anybody at any brand, that the
// brand knows already, that is suppressed, or that had its share of mails, gets
// nothing.
func Invite(tx *store.Tx, set Settings, brandID, subscriberID uuid.UUID, in Invitation, seen Seen) (Kept, error) {
	if _, err := subscriber.Lock(tx, brandID, subscriberID); err != nil {
		return KeptNothing, err
	}
	page, err := Inviting(tx, brandID, subscriberID, "")
	if err != nil {
		return KeptNothing, err
	}
	if err := member(tx, page.Preferences); err != nil {
		return KeptNothing, err
	}
	address, name, boxes, err := page.read(in)
	if err != nil {
		return KeptNothing, err
	}
	if page.Left == 0 {
		return KeptNothing, problem.New(problem.TooMany, "signup.invite.enough")
	}
	limits, err := addressKey(tx, address.Normal)
	if err != nil {
		return KeptNothing, err
	}
	if err := lockAddress(tx, limits); err != nil {
		return KeptNothing, err
	}
	ever, domain, err := invitedKeys(tx, address.Normal)
	if err != nil {
		return KeptNothing, err
	}
	keep, err := page.mayInvite(tx, set, address, limits, ever, domain)
	if err != nil {
		return KeptNothing, err
	}
	id := tx.NewID()
	_, err = tx.Run("INSERT INTO friend_invitations (id, brand_id, subscriber_id, domain_key, sent_at) VALUES (?, ?, ?, ?, ?)", id, brandID, subscriberID, domain, tx.Now())
	if err != nil {
		return KeptNothing, fmt.Errorf("count an invitation: %w", err)
	}
	e := seen.evidence()
	e["invitation"] = id.String()
	_, err = consent.RecordChange(tx, consent.Change{Brand: page.Brand, Subscriber: subscriberID, Kind: ChangeInvited, Method: consent.MethodPreferences, Evidence: e})
	if err != nil {
		return KeptNothing, err
	}
	err = attempt(tx, "invite", keep, func() error { return page.ask(tx, set, id, address, name, boxes, limits, ever) })
	if err != nil || !keep {
		return KeptNothing, err
	}
	return KeptAll, nil
}

// read checks what was typed.
func (p InvitePage) read(in Invitation) (a subscriber.Address, name string, boxes []Box, err error) {
	wrong := problem.New(problem.Invalid, "problem.invalid")
	name = line(wrong, "name", in.Name, 40, true)
	if name != "" && !isName(name) {
		wrong.Field("name", "signup.invite.name")
	}
	if a, err = subscriber.ParseAddress(in.Email); err != nil {
		bad, ok := problem.Of(err)
		if !ok {
			return a, name, nil, err
		}
		wrong.Fields = append(wrong.Fields, bad.Fields...)
	}
	for _, b := range p.Boxes {
		if slices.Contains(in.Topics, b.Topic.Slug) {
			boxes = append(boxes, b)
		}
	}
	if len(boxes) == 0 {
		wrong.Field("topics", "signup.choose-one")
	}
	return a, name, boxes, wrong.OrNil()
}

// isName tells what can only be somebody's name: a "name" with an address or a
// number in it would be an advertisement, sent to a stranger in the brand's name.
func isName(s string) bool {
	return utf8.RuneCountInString(s) <= 40 && !strings.ContainsFunc(s, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsMark(c) && !strings.ContainsRune(" -'’\u200c", c) || strings.ContainsRune(dotLetters, c)
	})
}

// dotLetters are letters to Unicode and dots to the eye: "evilꓸexample".
const dotLetters = "\ua4f8\ua4fa\ua4fd\ua78f\u1427"

// mayInvite tells whether the address may have the one mail.
func (p InvitePage) mayInvite(tx *store.Tx, set Settings, a subscriber.Address, limits, ever, domain []byte) (bool, error) {
	hash, err := p.Brand.AddressHash(tx, a.Normal)
	if err != nil {
		return false, err
	}
	_, stopped, err := consent.Suppressed(tx, p.Brand.ID, hash, consent.ConfirmMail)
	if err != nil {
		return false, err
	}
	_, silent, err := consent.Suppressed(tx, p.Brand.ID, hash, consent.MarketingMail)
	if err != nil {
		return false, err
	}
	may, err := set.mayMail(tx, limits)
	if err != nil {
		return false, err
	}
	var invited, known, written int
	if err := tx.Raw("SELECT count(*) FROM invited_addresses WHERE address_key = ?", ever).Scan(&invited).Error; err != nil {
		return false, fmt.Errorf("look whether an address was invited: %w", err)
	}
	err = tx.Raw("SELECT count(*) FROM subscribers s JOIN permissions p ON p.subscriber_id = s.id WHERE s.brand_id = ? AND s.address_hash = ?", p.Brand.ID, hash).Scan(&known).Error
	if err != nil {
		return false, fmt.Errorf("look whether an address is known: %w", err)
	}
	err = tx.Raw("SELECT count(*) FROM friend_invitations WHERE domain_key = ? AND sent_at > ?", domain, tx.Now().Add(-domainLimit.Within)).Scan(&written).Error
	if err != nil {
		return false, fmt.Errorf("count invitations to a domain: %w", err)
	}
	room := domainLimit.Mails
	if _, wide := TargetDomain(a.Normal); wide {
		room *= wideDomain
	}
	return !stopped && !silent && may && invited == 0 && known == 0 && written < room, nil
}

// ask writes the request and queues the mail of an invitation.
func (p InvitePage) ask(tx *store.Tx, set Settings, invitation uuid.UUID, a subscriber.Address, name string, boxes []Box, limits, ever []byte) error {
	if _, err := tx.Run("INSERT INTO invited_addresses (invited_at, address_key) VALUES (?, ?) ON CONFLICT DO NOTHING", tx.Now(), ever); err != nil { // in this order: see countMail
		return fmt.Errorf("note that an address was invited: %w", err)
	}
	who, _, err := subscriber.Ensure(tx, p.Brand, subscriber.New{Address: a, Language: p.sheet.Language})
	if err != nil {
		return err
	}
	r := p.sheet.request(tx, set, entry{via: ByFriend}, who, boxes)
	t := trace{Email: a.Typed, Inviter: name}
	if err := r.write(tx, p.Brand, topicsOf(boxes), t); err != nil {
		return err
	}
	if _, err := tx.Run("UPDATE friend_invitations SET request_id = ? WHERE id = ? AND brand_id = ?", r.ID, invitation, p.Brand.ID); err != nil {
		return fmt.Errorf("tie a request to its invitation: %w", err)
	}
	return r.mail(tx, set, p.Brand, t, "invite", 0, limits)
}
