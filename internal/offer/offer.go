// Package offer thanks people for staying: an offer with a value, terms, a
// validity and a budget, a single-use code for each person who has earned it,
// and the orders that show who has.
//
//	         Start             Pause
//	draft ──────────► running ──────► paused
//	  │                 │  ▲            │
//	  │ End             │  └── Resume ──┤
//	  ▼                 ▼               ▼
//	ended ◄─────────────┴──────────── End
//
// A code is made in the transaction that queues its mail: there is no code
// that nobody was sent, and no mail whose code does not hold. A person gets one
// per offer, for ever. issued <= budget holds exactly, however many issue at
// once: they take turns on the offer's row, and the database checks it too.
//
// A code, once issued, is a promise: it can be redeemed until it expires, also
// after its offer was paused or has ended, and once. Of any number of tries at
// once one wins; the same order asking again gets the same answer.
package offer

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
)

// State is where an offer stands.
type State string

// The states.
const (
	Draft   State = "draft"
	Running State = "running"
	Paused  State = "paused"
	Ended   State = "ended"
)

// Text is what the offer is called and under which terms it holds, in one language.
type Text struct {
	Title string `json:"title"`
	Terms string `json:"terms"`
}

// Offer is one offer. Its id is also that of its stream of messages.
type Offer struct {
	ID        uuid.UUID
	BrandID   uuid.UUID
	Name      string
	TopicID   uuid.UUID
	ContentID uuid.UUID
	Texts     map[string]Text `gorm:"serializer:json"` // by language
	ValueKind ValueKind
	Value     int64  // percent, or minor units of the currency; 0 for a gift
	Currency  string // ISO 4217; of an amount, and of MinValue
	ValidDays int    // a code holds to the end of this day after it was issued
	Budget    int    // codes at most
	Issued    int
	MinOrders int   // so many orders, or
	MinValue  int64 // orders worth so much together, or
	MinMonths int   // a customer for so long; 0 is no way in
	State     State
	IssueID   uuid.UUID // the source of its messages
	CreatedAt time.Time
	UpdatedAt time.Time
}

// New is what an offer is made of. At least one of MinOrders, MinValue and
// MinMonths is set; whoever meets one of those set is eligible.
type New struct {
	Name      string
	Topic     uuid.UUID
	Content   uuid.UUID       // the mail, saved by the caller
	Texts     map[string]Text // by language, the same ones as the mail's
	ValueKind ValueKind
	Value     int64
	Currency  string
	ValidDays int
	Budget    int
	MinOrders int
	MinValue  int64
	MinMonths int
}

const (
	maxName   = 200
	maxTitle  = 200
	maxTerms  = 4000
	maxDays   = 3650
	maxBudget = 10_000_000
	maxOrders = 1_000_000
	maxMonths = 1200
	maxMoney  = 1_000_000_000_000_00 // minor units; well within what JSON numbers hold
)

// Create makes a draft; problem.Invalid says what is wrong with it.
func Create(tx *store.Tx, b brand.Brand, n New) (Offer, error) {
	p := problem.New(problem.Invalid, "problem.invalid")
	if err := n.check(tx, p, b); err != nil {
		return Offer{}, err
	}
	if err := p.OrNil(); err != nil {
		return Offer{}, err
	}
	o := Offer{ID: tx.NewID(), BrandID: b.ID, State: Draft, IssueID: tx.NewID(), CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
	o.set(n)
	if err := tx.Create(&o).Error; err != nil {
		return Offer{}, fmt.Errorf("create an offer: %w", err)
	}
	return o, nil
}

// Find reads an offer of the brand; another brand's is problem.NotFound.
func Find(tx *store.Tx, brandID, id uuid.UUID) (Offer, error) {
	return find(tx, "WHERE id = ? AND brand_id = ?", id, brandID)
}

// Lock is Find, holding the row until the end of the transaction.
func Lock(tx *store.Tx, brandID, id uuid.UUID) (Offer, error) {
	return find(tx, "WHERE id = ? AND brand_id = ?"+tx.ForUpdate(), id, brandID)
}

func find(tx *store.Tx, where string, args ...any) (Offer, error) {
	var found []Offer
	if err := tx.Raw("SELECT * FROM offers "+where, args...).Scan(&found).Error; err != nil {
		return Offer{}, fmt.Errorf("find an offer: %w", err)
	}
	if len(found) == 0 {
		return Offer{}, problem.New(problem.NotFound, "offer.unknown")
	}
	return found[0], nil
}

// List gives a brand's offers, newest first.
func List(tx *store.Tx, brandID uuid.UUID) ([]Offer, error) {
	all := []Offer{}
	if err := tx.Where("brand_id = ?", brandID).Order("id DESC").Find(&all).Error; err != nil {
		return nil, fmt.Errorf("list offers: %w", err)
	}
	return all, nil
}

// check tidies n and adds all that is wrong with it to p.
func (n *New) check(tx *store.Tx, p *problem.Error, b brand.Brand) error {
	n.Name = words(p, "name", n.Name, maxName, false)
	n.checkValue(p)
	between(p, "valid_days", n.ValidDays, 1, maxDays)
	between(p, "budget", n.Budget, 1, maxBudget)
	between(p, "min_orders", n.MinOrders, 0, maxOrders)
	between(p, "min_months", n.MinMonths, 0, maxMonths)
	between(p, "min_value", n.MinValue, 0, maxMoney)
	if n.MinOrders == 0 && n.MinMonths == 0 && n.MinValue == 0 {
		p.Field("min_orders", "offer.eligibility")
	}
	languages, err := speaks(tx, b.ID, n.Content)
	if err != nil {
		return err
	}
	if n.checkTexts(p, b, languages); len(languages) == 0 {
		p.Field("content", "offer.content")
	}
	return n.checkTopic(tx, p, b.ID)
}

// checkTopic sees that the topic is one of the brand's that people can allow.
func (n *New) checkTopic(tx *store.Tx, p *problem.Error, brandID uuid.UUID) error {
	topic, err := consent.FindTopic(tx, brandID, n.Topic)
	if problem.Is(err, problem.NotFound) || err == nil && topic.Purpose != consent.Marketing {
		p.Field("topic", "offer.topic")
	} else if err != nil {
		return fmt.Errorf("find the topic of an offer: %w", err)
	}
	return nil
}

// speaks are the languages of a mail of the brand; none where it is not the
// brand's. It reads the key of contents.
func speaks(tx *store.Tx, brandID, content uuid.UUID) (all []string, err error) {
	err = tx.Raw("SELECT language FROM contents WHERE id = ? AND brand_id = ? ORDER BY language", content, brandID).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("read the languages of an offer's mail: %w", err)
	}
	return all, nil
}

func (n *New) checkTexts(p *problem.Error, b brand.Brand, languages []string) {
	if _, ok := n.Texts[b.Language]; !ok {
		p.Field("texts/"+b.Language, "offer.language", "Language", b.Language)
	}
	texts := make(map[string]Text, len(n.Texts))
	for lang, t := range n.Texts {
		texts[lang] = Text{Title: words(p, "texts/"+lang+"/title", t.Title, maxTitle, false),
			Terms: words(p, "texts/"+lang+"/terms", t.Terms, maxTerms, true)}
		if len(languages) > 0 && !slices.Contains(languages, lang) {
			p.Field("texts/"+lang, "offer.language-mail", "Language", lang)
		}
	}
	for _, lang := range languages {
		if _, ok := n.Texts[lang]; !ok && lang != b.Language {
			p.Field("texts/"+lang, "offer.language", "Language", lang)
		}
	}
	n.Texts = texts
}

func (n *New) checkValue(p *problem.Error) {
	switch n.ValueKind {
	case Percent:
		between(p, "value", n.Value, 1, 100)
	case Amount:
		between(p, "value", n.Value, 1, maxMoney)
	case Gift:
		n.Value = 0
	default:
		p.Field("value_kind", "problem.field.choice")
	}
	if needed := n.ValueKind == Amount || n.MinValue > 0; needed && !isCurrency(n.Currency) || n.Currency != "" && !isCurrency(n.Currency) {
		p.Field("currency", "offer.currency")
	}
}

func between[N int | int64](p *problem.Error, field string, n, least, most N) {
	if n < least || n > most {
		p.Field(field, "offer.number", "Min", int64(least), "Max", int64(most))
	}
}

// words is a required text without the white space around it, on one line
// unless lines is true.
func words(p *problem.Error, field, s string, most int, lines bool) string {
	s = strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
	switch {
	case !utf8.ValidString(s):
		p.Field(field, "problem.field.utf8")
	case s == "":
		p.Field(field, "problem.field.required")
	case utf8.RuneCountInString(s) > most:
		p.Field(field, "problem.field.too-long", "Max", most)
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && !(lines && r == '\n') }):
		p.Field(field, "problem.field.line-break")
	}
	return s
}
