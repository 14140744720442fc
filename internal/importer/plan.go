package importer

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
)

// What may stand in a column.
const (
	Skip      = ""
	Email     = "email"
	Name      = "name"
	Language  = "language"
	Tags      = "tags"
	GivenOn   = "given_on" // the day of the yes
	Source    = "source"   // where it was said
	Words     = "words"    // the exact words that were agreed to
	SaleRef   = "sale_ref" // of a soft opt-in: the order, or another name of the sale
	Product   = "product"  // what was bought
	Attribute = "attribute"
)

// Uses are all, in the order that people are offered them.
var Uses = []string{Skip, Email, Name, Language, Tags, GivenOn, Source, Words, SaleRef, Product, Attribute}

// Bases are what an imported permission may rest on.
var Bases = []string{consent.BasisExplicit, consent.BasisImpliedPurchase, consent.BasisImpliedInquiry, consent.BasisSoftOptIn, consent.BasisImport, consent.BasisOperator}

// How the days of a file are written.
const (
	DatesISO    = "iso"    // 2024-11-30, a time may follow
	DatesDMY    = "dmy"    // 30.11.2024, 30/11/2024
	DatesMDY    = "mdy"    // 11/30/2024
	DatesJalali = "jalali" // 1403/09/10, in any digits
)

// Dates are all ways, in the order that people are offered them.
var Dates = []string{DatesISO, DatesDMY, DatesMDY, DatesJalali}

// Column is what stands in a column.
type Column struct {
	Use       string
	Attribute string // its name, where Use says so
}

// Plan says what is in a file, and what shows the permissions.
type Plan struct {
	Header  bool // the first row holds names
	Names   []string
	Columns []Column
	Dates   string
	Topics  []uuid.UUID
	Evidence
}

// Evidence is what shows a permission, for all rows that do not bring their
// own. Basis is for all.
type Evidence struct {
	Basis    string
	Day      string // as 2024-11-30
	Source   string
	Words    string
	Language string // of the words
	Product  string `json:",omitempty"` // of a soft opt-in
	SaleRef  string `json:"-"`          // always the row's own
}

const (
	sourceMax = 500
	wordsMax  = 5000
)

// check says everything that is missing or wrong in a plan.
func (p *Plan) check(tx *store.Tx, brandID uuid.UUID) error {
	wrong := problem.New(problem.Invalid, "problem.invalid")
	seen := map[string]bool{}
	for n, c := range p.Columns {
		field := columnField(n)
		switch {
		case !slices.Contains(Uses, c.Use):
			wrong.Field(field, "problem.field.choice")
		case c.Use == Attribute:
			if !attributeName(c.Attribute) {
				wrong.Field("attribute."+field, "subscriber.attribute.name")
			} else if seen["attribute "+c.Attribute] {
				wrong.Field("attribute."+field, "import.plan.twice")
			}
			seen["attribute "+c.Attribute] = true
		case c.Use != Skip && c.Use != Tags && seen[c.Use]:
			wrong.Field(field, "import.plan.twice")
		}
		seen[c.Use] = true
	}
	if !seen[Email] {
		wrong.Field(columnField(0), "import.plan.no-email")
	}
	if seen[GivenOn] && !slices.Contains(Dates, p.Dates) {
		wrong.Field("dates", "problem.field.choice")
	}
	p.checkTopics(tx, brandID, wrong)
	p.Evidence.check(wrong, tx.Now())
	if p.Basis == consent.BasisSoftOptIn {
		if err := softAllowed(tx, brandID, p.Topics); err != nil {
			if why, ok := problem.Of(err); !ok || why.Kind != problem.Invalid {
				return err
			}
			wrong.Field("basis", err.(*problem.Error).Fields[0].Key)
		}
	}
	return wrong.OrNil()
}

func columnField(n int) string { return "column." + itoa(n) }

func (p *Plan) checkTopics(tx *store.Tx, brandID uuid.UUID, wrong *problem.Error) {
	if len(p.Topics) == 0 {
		wrong.Field("topics", "import.plan.no-topic")
	}
	for _, id := range p.Topics {
		t, err := consent.FindTopic(tx, brandID, id)
		if err != nil || t.Purpose != consent.Marketing || t.ArchivedAt != nil {
			wrong.Field("topics", "problem.field.choice")
		}
	}
}

// softAllowed: the soft opt-in is law where the brand is, and the topics are of
// its own similar products.
func softAllowed(tx *store.Tx, brandID uuid.UUID, topics []uuid.UUID) error {
	b, err := brand.Find(tx, brandID)
	if err != nil {
		return err
	}
	if consent.LawOf(b.Jurisdiction).Soft == "" {
		return problem.InvalidField("basis", "consent.soft.law")
	}
	for _, id := range topics {
		t, err := consent.FindTopic(tx, brandID, id)
		if problem.Is(err, problem.NotFound) {
			continue // told of the topics
		}
		if err != nil {
			return err
		}
		if !t.OwnSimilar {
			return problem.InvalidField("basis", "consent.soft.topic")
		}
	}
	return nil
}

// check allows any of it to be missing: a row may bring it, or waits.
func (e *Evidence) check(wrong *problem.Error, now time.Time) {
	if e.Basis != "" && !slices.Contains(Bases, e.Basis) {
		wrong.Field("basis", "problem.field.choice")
	}
	if e.Day != "" {
		y, m, d, ok := i18n.ParseDay(e.Day)
		day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
		switch {
		case !ok:
			wrong.Field("day", "import.why.date")
		case day.After(now):
			wrong.Field("day", "import.why.future")
		}
		if ok {
			e.Day = day.Format(time.DateOnly)
		}
	}
	if len([]rune(e.Source)) > sourceMax {
		wrong.Field("source", "problem.field.too-long", "Max", sourceMax)
	}
	if len([]rune(e.Product)) > sourceMax {
		wrong.Field("product", "problem.field.too-long", "Max", sourceMax)
	}
	if len([]rune(e.Words)) > wordsMax {
		wrong.Field("words", "problem.field.too-long", "Max", wordsMax)
	}
}

// What a row lacks to be shown: keys of the catalogue follow import.lacks.
const (
	lacksBasis  = "basis"
	lacksDay    = "day"
	lacksSource = "source"
	lacksWords  = "words"
	lacksSale   = "sale"
	lacksGoods  = "product"
)

// lacks says what is missing to show a permission; empty: nothing is. A day, a
// place and a basis always are needed, and the words for what is called explicit.
func (e Evidence) lacks() string {
	switch {
	case e.Basis == "":
		return lacksBasis
	case e.Day == "":
		return lacksDay
	case strings.TrimSpace(e.Source) == "":
		return lacksSource
	case e.Basis == consent.BasisExplicit && strings.TrimSpace(e.Words) == "":
		return lacksWords
	case e.Basis == consent.BasisSoftOptIn && strings.TrimSpace(e.SaleRef) == "":
		return lacksSale
	case e.Basis == consent.BasisSoftOptIn && strings.TrimSpace(e.Product) == "":
		return lacksGoods
	}
	return ""
}

// or fills in what a row does not say itself.
func (e Evidence) or(all Evidence) Evidence {
	for _, f := range [][2]*string{{&e.Basis, &all.Basis}, {&e.Day, &all.Day}, {&e.Source, &all.Source}, {&e.Language, &all.Language}, {&e.Product, &all.Product}} {
		if *f[0] == "" {
			*f[0] = *f[1]
		}
	}
	if strings.TrimSpace(e.Words) == "" {
		e.Words = all.Words
	}
	return e
}
