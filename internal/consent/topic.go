package consent

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"assent/internal/brand"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
)

// The purposes of a topic. A permission for one is none for another.
const (
	Marketing = "marketing" // mail on a subject
	Opens     = "opens"     // learning that a mail was opened
	Clicks    = "clicks"    // learning which links were followed
)

// The slugs of the two topics that hold the tracking permissions.
const (
	OpensSlug  = "opens"
	ClicksSlug = "clicks"
)

// TopicText is how a topic is put to people in one language.
type TopicText struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Wording     string `json:"wording"` // the sentence beside the unticked box
}

// Topic is what a person can say yes or no to, by itself.
type Topic struct {
	ID          uuid.UUID
	BrandID     uuid.UUID
	Slug        string
	Purpose     string               // Marketing, Opens or Clicks
	Texts       map[string]TopicText `gorm:"serializer:json"` // language → text
	PromiseMax  int                  // at most so many mails …
	PromiseDays int                  // … in any so many days; both 0: no promise
	ValidDays   int                  // a consent ends after so many days; 0: see ValidMonths
	ValidMonths int                  // … or at the end of the day so many months later; both 0: never
	RenewDays   int                  // people are asked so many days before the end; 0: never
	OwnSimilar  bool                 // about the brand's own similar products: a soft opt-in may be for it
	ChangedAt   *time.Time           // what people agree to changed then: permissions said before hold for what was
	Position    int                  // order on pages
	ArchivedAt  *time.Time           // not offered any more; permissions stay
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// NewTopic is what a marketing topic is made from.
type NewTopic struct {
	Slug                    string
	Texts                   map[string]TopicText
	PromiseMax, PromiseDays int
	ValidDays               int
	ValidMonths             int
	RenewDays               *int // nil: UsualRenewDays
	OwnSimilar              bool
	Position                int
}

// TopicChange is what UpdateTopic sets; nil leaves a field as it is. A changed
// promise or duration holds for the consents given from then on.
type TopicChange struct {
	Texts                   *map[string]TopicText
	PromiseMax, PromiseDays *int
	ValidDays, ValidMonths  *int
	RenewDays               *int
	OwnSimilar              *bool
	AsksAgain               bool // the change is one of what people agree to: those who said yes before are asked again (LGPD art. 8 §6)
	Position                *int
	Archived                *bool
}

// CreateTopic makes a marketing topic. It needs name and wording in the
// brand's default language; wrong input is problem.Invalid, a slug in use
// problem.Conflict.
func CreateTopic(tx *store.Tx, b brand.Brand, n NewTopic) (Topic, error) {
	t := Topic{ID: tx.NewID(), BrandID: b.ID, Slug: n.Slug, Purpose: Marketing, Texts: n.Texts,
		PromiseMax: n.PromiseMax, PromiseDays: n.PromiseDays, ValidDays: n.ValidDays, ValidMonths: n.ValidMonths, RenewDays: UsualRenewDays, OwnSimilar: n.OwnSimilar, Position: n.Position,
		CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
	set(&t.RenewDays, n.RenewDays)
	if err := t.check(b); err != nil {
		return Topic{}, err
	}
	if _, err := TopicBySlug(tx, b.ID, t.Slug); err == nil {
		return Topic{}, slugTaken(t.Slug)
	} else if !problem.Is(err, problem.NotFound) {
		return Topic{}, err
	}
	if err := tx.Create(&t).Error; store.Duplicate(err) {
		return Topic{}, slugTaken(t.Slug).Because(err)
	} else if err != nil {
		return Topic{}, fmt.Errorf("make topic: %w", err)
	}
	return t, nil
}

func slugTaken(slug string) *problem.Error {
	return problem.New(problem.Conflict, "consent.topic.taken", "Slug", slug).Field("slug", "consent.topic.taken", "Slug", slug)
}

// UpdateTopic changes what c names and returns the topic as it is now. The
// tracking topics can be reworded but not archived.
func UpdateTopic(tx *store.Tx, b brand.Brand, id uuid.UUID, c TopicChange) (Topic, error) {
	t, err := oneTopic(tx, tx.ForUpdate(), b.ID, "id = ?", id)
	if err != nil {
		return Topic{}, err
	}
	set(&t.Texts, c.Texts)
	set(&t.PromiseMax, c.PromiseMax)
	set(&t.PromiseDays, c.PromiseDays)
	set(&t.ValidDays, c.ValidDays)
	set(&t.ValidMonths, c.ValidMonths)
	set(&t.RenewDays, c.RenewDays)
	set(&t.OwnSimilar, c.OwnSimilar)
	if c.AsksAgain {
		if t.Purpose != Marketing {
			return Topic{}, problem.New(problem.Conflict, "consent.topic.needed")
		}
		now := tx.Now()
		t.ChangedAt = &now
	}
	set(&t.Position, c.Position)
	if c.Archived != nil {
		if *c.Archived && t.Purpose != Marketing {
			return Topic{}, problem.New(problem.Conflict, "consent.topic.needed")
		}
		if !*c.Archived {
			t.ArchivedAt = nil
		} else if t.ArchivedAt == nil {
			now := tx.Now()
			t.ArchivedAt = &now
		}
	}
	if err := t.check(b); err != nil {
		return Topic{}, err
	}
	t.UpdatedAt = tx.Now()
	if err := tx.Save(&t).Error; err != nil {
		return Topic{}, fmt.Errorf("update topic: %w", err)
	}
	return t, nil
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// LockTopic is FindTopic, with the topic kept as it is until the transaction ends.
func LockTopic(tx *store.Tx, brandID, id uuid.UUID) (Topic, error) {
	return oneTopic(tx, tx.ForUpdate(), brandID, "id = ?", id)
}

// FindTopic reads a topic of the brand; problem.NotFound for another brand's.
func FindTopic(tx *store.Tx, brandID, id uuid.UUID) (Topic, error) {
	return oneTopic(tx, "", brandID, "id = ?", id)
}

// TopicBySlug reads a topic of the brand; problem.NotFound when there is none.
func TopicBySlug(tx *store.Tx, brandID uuid.UUID, slug string) (Topic, error) {
	return oneTopic(tx, "", brandID, "slug = ?", slug)
}

func oneTopic(tx *store.Tx, lock string, brandID uuid.UUID, where string, arg any) (Topic, error) {
	var rows []Topic
	err := tx.Raw("SELECT * FROM topics WHERE brand_id = ? AND "+where+lock, brandID, arg).Scan(&rows).Error
	if err != nil {
		return Topic{}, fmt.Errorf("read topic: %w", err)
	}
	if len(rows) == 0 {
		return Topic{}, problem.New(problem.NotFound, "consent.topic.unknown")
	}
	return rows[0].utc(), nil
}

func (t Topic) utc() Topic {
	t.CreatedAt, t.UpdatedAt, t.ArchivedAt = t.CreatedAt.UTC(), t.UpdatedAt.UTC(), utcOf(t.ArchivedAt)
	t.ChangedAt = utcOf(t.ChangedAt)
	return t
}

func utcOf(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC().Truncate(time.Microsecond)
	return &u
}

// Topics gives all of the brand's topics that are not archived: marketing
// first, by position and name of the slug, then opens and clicks.
func Topics(tx *store.Tx, brandID uuid.UUID) ([]Topic, error) {
	return topics(tx, "brand_id = ? AND archived_at IS NULL", brandID)
}

// AllTopics is Topics with the archived ones.
func AllTopics(tx *store.Tx, brandID uuid.UUID) ([]Topic, error) {
	return topics(tx, "brand_id = ?", brandID)
}

// AnyGiven tells whether anybody allows a brand anything that it may write for,
// by the index permissions_in_force.
func AnyGiven(tx *store.Tx, brandID uuid.UUID) (yes bool, err error) {
	err = tx.Raw(`SELECT EXISTS (SELECT 1 FROM topics t JOIN permissions p ON p.topic_id = t.id
		WHERE t.brand_id = ? AND t.purpose = 'marketing' AND p.state IN ('given', 'renewed'))`, brandID).Scan(&yes).Error
	if err != nil {
		return false, fmt.Errorf("ask whether anybody allows anything: %w", err)
	}
	return yes, nil
}

func topics(tx *store.Tx, where string, args ...any) ([]Topic, error) {
	all := []Topic{}
	if err := tx.Where(where, args...).Find(&all).Error; err != nil {
		return nil, fmt.Errorf("read topics: %w", err)
	}
	for i := range all {
		all[i] = all[i].utc()
	}
	order := []string{Marketing, Opens, Clicks}
	slices.SortFunc(all, func(a, b Topic) int {
		if a.Purpose != b.Purpose {
			return slices.Index(order, a.Purpose) - slices.Index(order, b.Purpose)
		}
		if a.Position != b.Position {
			return a.Position - b.Position
		}
		return strings.Compare(a.Slug, b.Slug)
	})
	return all, nil
}

// TrackingTopics gives the topics of the permissions to learn of opens and of
// clicks; problem.NotFound where PrepareBrand was never called.
func TrackingTopics(tx *store.Tx, brandID uuid.UUID) (opens, clicks Topic, err error) {
	if opens, err = TopicBySlug(tx, brandID, OpensSlug); err != nil {
		return Topic{}, Topic{}, err
	}
	clicks, err = TopicBySlug(tx, brandID, ClicksSlug)
	return opens, clicks, err
}

// PrepareBrand makes the two tracking topics of a brand with the catalogue's
// wording in every language there is. It is repeatable and leaves what is there.
func PrepareBrand(tx *store.Tx, b brand.Brand) error {
	for i, purpose := range []string{Opens, Clicks} {
		if _, err := TopicBySlug(tx, b.ID, purpose); err == nil {
			continue
		} else if !problem.Is(err, problem.NotFound) {
			return err
		}
		texts := map[string]TopicText{}
		for _, lang := range i18n.Languages {
			l, name := i18n.For(lang), b.In(lang).Name
			texts[lang] = TopicText{
				Name:        l.T("consent." + purpose + ".name"),
				Description: l.T("consent."+purpose+".description", "Brand", name),
				Wording:     l.T("consent."+purpose+".wording", "Brand", name),
			}
		}
		t := Topic{ID: tx.NewID(), BrandID: b.ID, Slug: purpose, Purpose: purpose, Texts: texts,
			Position: i, CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
		if err := tx.Create(&t).Error; err != nil {
			return fmt.Errorf("make topic %s: %w", purpose, err)
		}
	}
	return nil
}

// In is the topic's text in the language nearest to lang that it has one for.
func (t Topic) In(b brand.Brand, lang string) TopicText {
	for _, l := range []string{lang, b.Offers(lang), b.Language} {
		if text, ok := t.Texts[l]; ok {
			return text
		}
	}
	return TopicText{Name: t.Slug}
}

var topicSlug = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

const (
	topicNameMax   = 120
	descriptionMax = 1000
	wordingMax     = 2000
	promiseDaysMax = 366
	validDaysMax   = 3660
	validMonthsMax = 120
	renewDaysMax   = 180
)

// check tidies t and reports everything that is wrong with it at once.
func (t *Topic) check(b brand.Brand) error {
	p := problem.New(problem.Invalid, "problem.invalid")
	if !topicSlug.MatchString(t.Slug) {
		p.Field("slug", "consent.topic.slug")
	}
	if t.Purpose == Marketing && (t.Slug == OpensSlug || t.Slug == ClicksSlug) {
		p.Field("slug", "consent.topic.reserved")
	}
	if _, ok := t.Texts[b.Language]; !ok {
		p.Field("texts/"+b.Language, "problem.field.required")
	}
	texts := make(map[string]TopicText, len(t.Texts))
	for lang, text := range t.Texts {
		if !slices.Contains(i18n.Languages, lang) {
			p.Field("texts/"+lang, "consent.topic.language", "Language", lang)
			continue
		}
		texts[lang] = text.check(p, "texts/"+lang)
	}
	t.Texts = texts
	if t.PromiseMax < 0 || t.PromiseDays < 0 || (t.PromiseMax == 0) != (t.PromiseDays == 0) || t.PromiseDays > promiseDaysMax {
		p.Field("promise_max", "consent.topic.promise", "Max", promiseDaysMax)
	}
	if t.ValidDays < 0 || t.ValidDays > validDaysMax {
		p.Field("valid_days", "consent.topic.valid-days", "Max", validDaysMax)
	}
	if t.ValidMonths < 0 || t.ValidMonths > validMonthsMax || t.ValidMonths > 0 && t.ValidDays > 0 {
		p.Field("valid_months", "consent.topic.valid-months", "Max", validMonthsMax)
	}
	if t.RenewDays < 0 || t.RenewDays > renewDaysMax {
		p.Field("renew_days", "consent.topic.renew-days", "Max", renewDaysMax)
	}
	return p.OrNil()
}

// UsualRenewDays is how long before the end people are asked, where nobody says otherwise.
const UsualRenewDays = 14

func (x TopicText) check(p *problem.Error, field string) TopicText {
	x.Name = clean(p, field+"/name", x.Name, topicNameMax, true)
	x.Description = clean(p, field+"/description", x.Description, descriptionMax, false)
	x.Wording = clean(p, field+"/wording", x.Wording, wordingMax, true)
	if strings.ContainsRune(x.Name, '\n') {
		p.Field(field+"/name", "problem.field.line-break")
	}
	return x
}

// clean allows \n as the only control character.
func clean(p *problem.Error, field, s string, max int, required bool) string {
	if !utf8.ValidString(s) {
		p.Field(field, "problem.field.utf8")
		return ""
	}
	s = strings.TrimSpace(norm.NFC.String(strings.ReplaceAll(s, "\r\n", "\n")))
	switch {
	case s == "" && required:
		p.Field(field, "problem.field.required")
	case utf8.RuneCountInString(s) > max:
		p.Field(field, "problem.field.too-long", "Max", max)
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }):
		p.Field(field, "problem.field.line-break")
	}
	return s
}
