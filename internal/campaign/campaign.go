// Package campaign sends one mail, once, to everybody who has permission for a
// topic.
//
//	       Schedule              due              all frozen             all settled
//	draft ──────────► scheduled ─────► freezing ─────────────► sending ─────────────► sent
//	                                    │   ▲                   │   ▲
//	                              Pause └─► │ Resume      Pause └─► │ Resume
//	                                      paused                  paused
//
//	scheduled, freezing, sending, paused ── Recall, until recall_until ──► draft
//	scheduled, freezing, sending, paused ── Cancel ──────────────────────► cancelled
//
// At the scheduled time the audience is frozen: a message is written for each
// person who may be mailed then, in transactions that look at 5,000 permissions
// each and leave their place on the campaign's row. Whoever crashes in between,
// another goes on from there, and the outbox takes each person once. Nothing is
// sent before recall_until, which leaves at least a minute to call the campaign
// back whole. The gate asks for each permission again before it sends.
//
// A campaign called back is a draft again, under a new edition: the messages of
// the old one stay as they are, skipped.
package campaign

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/problem"
	"assent/internal/store"
)

// State is where a campaign stands.
type State string

// The states.
const (
	Draft     State = "draft"
	Scheduled State = "scheduled"
	Freezing  State = "freezing"
	Sending   State = "sending"
	Paused    State = "paused"
	Cancelled State = "cancelled"
	Sent      State = "sent"
)

// Campaign is one mailing. Its id is also that of its stream of messages.
type Campaign struct {
	ID          uuid.UUID
	BrandID     uuid.UUID
	Name        string
	TopicID     uuid.UUID
	Tag         string // only people with it; "" is everybody
	ContentID   uuid.UUID
	Brief       Brief `gorm:"embedded"`
	State       State
	EditionID   uuid.UUID  // the source of its messages
	ScheduledAt *time.Time // when the audience is frozen
	RecallUntil *time.Time // nothing is sent before
	FrozenAfter *uuid.UUID // the freeze has come so far
	FrozenAt    *time.Time
	FinishedAt  *time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Brief is what a campaign starts from: whom it is for, what it gives them, and
// why they should have it from us and not from somebody else. It is for the team
// alone, and stays beside the campaign to its report.
type Brief struct {
	Audience string
	Pledge   string
	Reason   string
}

// New is what a campaign is made of: its texts, one per language, as Liquid.
type New struct {
	Name        string
	Topic       uuid.UUID
	Tag         string
	RatePerHour int // mails; 0 is no limit
	Brief       Brief
	Texts       []delivery.Text
}

// Change is an edit of a draft; a nil field stays as it is. The pace can be
// changed until the campaign has ended.
type Change struct {
	Name        *string
	Topic       *uuid.UUID
	Tag         *string
	RatePerHour *int
	Brief       *Brief
	Texts       []delivery.Text
}

// paceOnly reports that nothing else is changed.
func (c Change) paceOnly() bool {
	return c.RatePerHour != nil && c.Name == nil && c.Topic == nil && c.Tag == nil && c.Brief == nil && c.Texts == nil
}

const (
	maxName  = 200
	maxTag   = 64
	maxBrief = 1000 // of each part
)

// Create makes a draft. problem.Invalid says what is wrong with it: a topic
// that is not a marketing topic of the brand, no text in the brand's own
// language, a text that does not compile.
func Create(tx *store.Tx, b brand.Brand, n New) (Campaign, error) {
	c := Campaign{ID: tx.NewID(), BrandID: b.ID, Name: n.Name, TopicID: n.Topic, Tag: n.Tag, Brief: n.Brief, State: Draft,
		EditionID: tx.NewID(), CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
	if err := c.check(tx); err != nil {
		return Campaign{}, err
	}
	var err error
	if c.ContentID, err = saveTexts(tx, b, n.Texts); err != nil {
		return Campaign{}, err
	}
	if err := tx.Create(&c).Error; err != nil {
		return Campaign{}, fmt.Errorf("create a campaign: %w", err)
	}
	if n.RatePerHour == 0 {
		return c, nil
	}
	return c, setPace(tx, c, n.RatePerHour)
}

// Copy makes a draft like a campaign of the brand, under a name of its own: its
// topic, tag, pace, brief and texts. The texts are those that the copied one has
// now.
func Copy(tx *store.Tx, b brand.Brand, id uuid.UUID, name string) (Campaign, error) {
	c, err := Find(tx, b.ID, id)
	if err != nil {
		return Campaign{}, err
	}
	texts, err := delivery.Contents(tx, b.ID, c.ContentID)
	if err != nil {
		return Campaign{}, err
	}
	rates, err := delivery.StreamRates(tx, b.ID, c.ID)
	if err != nil {
		return Campaign{}, err
	}
	return Create(tx, b, New{Name: name, Topic: c.TopicID, Tag: c.Tag, RatePerHour: rates[c.ID], Brief: c.Brief, Texts: texts})
}

// setPace sets how fast the campaign's stream may flow, which need not be there yet.
func setPace(tx *store.Tx, c Campaign, perHour int) error {
	if err := delivery.OpenStream(tx, c.BrandID, delivery.OriginCampaign, c.ID); err != nil {
		return err
	}
	return delivery.SetStreamRate(tx, c.BrandID, c.ID, perHour)
}

// Update changes a draft, or the pace of what is on its way; anything else is
// problem.Conflict. New texts are a
// new content, so a test mail already sent still shows what it showed.
func Update(tx *store.Tx, b brand.Brand, id uuid.UUID, change Change) (Campaign, error) {
	c, err := Lock(tx, b.ID, id)
	if err != nil {
		return Campaign{}, err
	}
	if over := c.State == Sent || c.State == Cancelled; c.State != Draft && (over || !change.paceOnly()) {
		return Campaign{}, wrongState(c)
	}
	if change.RatePerHour != nil {
		if err := setPace(tx, c, *change.RatePerHour); err != nil || change.paceOnly() {
			return c, err
		}
	}
	set(&c.Name, change.Name)
	set(&c.TopicID, change.Topic)
	set(&c.Tag, change.Tag)
	set(&c.Brief, change.Brief)
	if err := c.check(tx); err != nil {
		return Campaign{}, err
	}
	if change.Texts != nil {
		if c.ContentID, err = saveTexts(tx, b, change.Texts); err != nil {
			return Campaign{}, err
		}
	}
	c.UpdatedAt = tx.Now()
	if err := tx.Save(&c).Error; err != nil {
		return Campaign{}, fmt.Errorf("update a campaign: %w", err)
	}
	return c, nil
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// Find reads a campaign of the brand; another brand's is problem.NotFound.
func Find(tx *store.Tx, brandID, id uuid.UUID) (Campaign, error) {
	return find(tx, "WHERE id = ? AND brand_id = ?", id, brandID)
}

// Lock is Find, holding the row until the end of the transaction.
func Lock(tx *store.Tx, brandID, id uuid.UUID) (Campaign, error) {
	return find(tx, "WHERE id = ? AND brand_id = ?"+tx.ForUpdate(), id, brandID)
}

func find(tx *store.Tx, where string, args ...any) (Campaign, error) {
	var found []Campaign
	if err := tx.Raw("SELECT * FROM campaigns "+where, args...).Scan(&found).Error; err != nil {
		return Campaign{}, fmt.Errorf("find a campaign: %w", err)
	}
	if len(found) == 0 {
		return Campaign{}, problem.New(problem.NotFound, "campaign.unknown")
	}
	return found[0], nil
}

const pageMax = 200

// List gives a brand's campaigns, newest first: at most limit (1 to 200) that
// were made before the one named, or from the newest where that is uuid.Nil.
func List(tx *store.Tx, brandID, before uuid.UUID, limit int) ([]Campaign, error) {
	q := tx.Where("brand_id = ?", brandID)
	if before != uuid.Nil {
		q = q.Where("id < ?", before)
	}
	page := []Campaign{}
	if err := q.Order("id DESC").Limit(min(max(limit, 1), pageMax)).Find(&page).Error; err != nil {
		return nil, fmt.Errorf("list campaigns: %w", err)
	}
	return page, nil
}

// Counts tells where the messages of the campaign's present edition stand; they add up.
func Counts(tx *store.Tx, brandID, id uuid.UUID) (delivery.Counts, error) {
	c, err := Find(tx, brandID, id)
	if err != nil {
		return delivery.Counts{}, err
	}
	return delivery.SourceCounts(tx, brandID, c.EditionID)
}

// check says all that is wrong with what is not text.
func (c *Campaign) check(tx *store.Tx) error {
	p := problem.New(problem.Invalid, "problem.invalid")
	c.Name, c.Tag = line(p, "name", c.Name, maxName), line(p, "tag", c.Tag, maxTag)
	if c.Name == "" && len(p.Fields) == 0 {
		p.Field("name", "problem.field.required")
	}
	for name, part := range map[string]*string{"audience": &c.Brief.Audience, "pledge": &c.Brief.Pledge, "reason": &c.Brief.Reason} {
		*part = strings.TrimSpace(strings.ReplaceAll(*part, "\r\n", "\n"))
		switch {
		case !utf8.ValidString(*part) || strings.ContainsRune(*part, 0):
			p.Field("brief/"+name, "problem.field.utf8")
		case utf8.RuneCountInString(*part) > maxBrief:
			p.Field("brief/"+name, "problem.field.too-long", "Max", maxBrief)
		}
	}
	topic, err := consent.FindTopic(tx, c.BrandID, c.TopicID)
	if problem.Is(err, problem.NotFound) || err == nil && topic.Purpose != consent.Marketing {
		p.Field("topic", "campaign.topic")
	} else if err != nil {
		return fmt.Errorf("find the topic of a campaign: %w", err)
	}
	return p.OrNil()
}

// line is a short text on one line, without the white space around it.
func line(p *problem.Error, field, s string, most int) string {
	s = strings.TrimSpace(s)
	switch {
	case !utf8.ValidString(s):
		p.Field(field, "problem.field.utf8")
	case strings.ContainsAny(s, "\r\n\x00"):
		p.Field(field, "problem.field.line-break")
	case utf8.RuneCountInString(s) > most:
		p.Field(field, "problem.field.too-long", "Max", most)
	}
	return s
}

// saveTexts stores what is sent, seeing that there is a text for people whose
// own language has none.
func saveTexts(tx *store.Tx, b brand.Brand, texts []delivery.Text) (uuid.UUID, error) {
	for _, t := range texts {
		if t.Language == b.Language {
			return delivery.SaveContent(tx, b.ID, texts)
		}
	}
	return uuid.Nil, problem.InvalidField("content/"+b.Language, "campaign.content.language", "Language", b.Language)
}
