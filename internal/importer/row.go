package importer

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Refusal is a row of which nothing was taken.
type Refusal struct {
	Line  int64  // as a spreadsheet counts
	Place string // the column's name; empty: the row as such
	Why   string // key of the catalogue, or with Left a reason of package consent
	Args  []any
	Left  bool
	Value string // what stood there
}

// entry is a row on its way.
type entry struct {
	line     int64
	person   subscriber.New
	tags     []string
	evidence Evidence
	hash     []byte
	until    map[uuid.UUID]*time.Time // by topic: when what it allows ends
	known    subscriber.Subscriber    // the zero value: nobody has the address
	open     []consent.Topic          // what it is to be granted
}

// reader makes entries of rows by a plan.
type reader struct {
	Import
	brand  brand.Brand
	topics []consent.Topic
	now    time.Time
}

const valueMax = 200 // characters of a cell in the report

func (r *reader) refuse(line int64, column int, value, why string, args ...any) *Refusal {
	f := &Refusal{Line: line, Why: why, Args: args, Value: value}
	if column >= 0 {
		f.Place = r.columnName(column)
	}
	if runes := []rune(strings.ToValidUTF8(strings.ReplaceAll(f.Value, "\x00", ""), "�")); len(runes) > valueMax {
		f.Value = string(runes[:valueMax]) + "…"
	} else {
		f.Value = string(runes)
	}
	return f
}

// columnName is what the file calls a column, else its number.
func (r *reader) columnName(n int) string {
	if n < len(r.Plan.Names) && strings.TrimSpace(r.Plan.Names[n]) != "" {
		return strings.TrimSpace(r.Plan.Names[n])
	}
	return itoa(n + 1)
}

// read makes an entry of a row, or says what is wrong with it: the first thing.
func (r *reader) read(line int64, cells []string) (*entry, *Refusal) {
	e := &entry{line: line, person: subscriber.New{Language: r.brand.Language}}
	at := map[string]int{} // where the part of a person stands
	for n, c := range r.Plan.Columns {
		if n >= len(cells) {
			break
		}
		if f := r.cell(e, n, c, strings.TrimSpace(cells[n])); f != nil {
			return nil, f
		}
		at[c.Use] = n
		if c.Use == Attribute {
			at["attributes/"+c.Attribute] = n
		}
	}
	if n, there := at[Email]; !there || e.person.Address.Typed == "" {
		column := r.column(Email)
		if there {
			column = n
		}
		return nil, r.refuse(line, column, "", "problem.field.required")
	}
	if err := e.person.Check(r.brand, e.tags); err != nil {
		return nil, r.blame(line, err, at, cells)
	}
	if day := e.evidence.or(r.Plan.Evidence).Day; day != "" && r.outOfTime(e, day) {
		return nil, r.tooOld(e, day)
	}
	return e, nil
}

// column is where something stands by the plan; -1: nowhere.
func (r *reader) column(use string) int {
	for n, c := range r.Plan.Columns {
		if c.Use == use {
			return n
		}
	}
	return -1
}

func (r *reader) cell(e *entry, n int, c Column, value string) *Refusal {
	switch c.Use {
	case Email:
		address, err := subscriber.ParseAddress(value)
		if err != nil {
			return r.blame(e.line, err, map[string]int{Email: n}, append(make([]string, n), value))
		}
		e.person.Address = address
	case Name:
		e.person.Name = strings.Join(strings.Fields(value), " ")
	case Language:
		if value != "" {
			e.person.Language = languageOf(value)
		}
	case Tags:
		for _, tag := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(",;|،؛", r) }) {
			if tag = strings.TrimSpace(tag); tag != "" {
				e.tags = append(e.tags, tag)
			}
		}
	case GivenOn:
		if value == "" {
			return nil
		}
		day, ok := readDay(value, r.Plan.Dates)
		if !ok {
			return r.refuse(e.line, n, value, "import.why.date")
		}
		if day.After(r.now) {
			return r.refuse(e.line, n, value, "import.why.future")
		}
		e.evidence.Day = day.Format(time.DateOnly)
	case Source:
		if e.evidence.Source = value; len([]rune(value)) > sourceMax {
			return r.refuse(e.line, n, value, "problem.field.too-long", "Max", sourceMax)
		}
	case Words:
		if e.evidence.Words = value; len([]rune(value)) > wordsMax {
			return r.refuse(e.line, n, value, "problem.field.too-long", "Max", wordsMax)
		}
	case SaleRef:
		if e.evidence.SaleRef = value; len([]rune(value)) > sourceMax {
			return r.refuse(e.line, n, value, "problem.field.too-long", "Max", sourceMax)
		}
	case Product:
		if e.evidence.Product = value; len([]rune(value)) > sourceMax {
			return r.refuse(e.line, n, value, "problem.field.too-long", "Max", sourceMax)
		}
	case Attribute:
		if value == "" {
			return nil
		}
		if e.person.Attributes == nil {
			e.person.Attributes = map[string]any{}
		}
		e.person.Attributes[c.Attribute] = value
	}
	return nil
}

// languageOf reads a language as people write it in lists.
func languageOf(s string) string {
	for _, code := range i18n.Languages {
		if strings.EqualFold(s, i18n.For(code).T("admin.language")) {
			return code
		}
	}
	switch strings.ToLower(s) {
	case "persian", "farsi":
		return "fa"
	case "english", "انگلیسی":
		return "en"
	}
	return s
}

// blame finds the cell that a problem is about.
func (r *reader) blame(line int64, err error, at map[string]int, cells []string) *Refusal {
	p, ok := problem.Of(err)
	if !ok || len(p.Fields) == 0 {
		return r.refuse(line, -1, "", "problem.invalid")
	}
	f := p.Fields[0]
	column, there := at[f.Name]
	if !there {
		return r.refuse(line, -1, "", f.Key, f.Args...)
	}
	value := ""
	if column < len(cells) {
		value = cells[column]
	}
	return r.refuse(line, column, value, f.Key, f.Args...)
}

// begins is the first moment of a day where the brand is.
func (r *reader) begins(day string) (time.Time, error) {
	return consent.ReadDay("day", day, r.brand.Location(), r.now.Add(24*time.Hour))
}

// outOfTime tells that what was allowed on a day is over for every topic, and
// notes for each when it will be.
func (r *reader) outOfTime(e *entry, day string) bool {
	given, err := r.begins(day)
	if err != nil {
		return false
	}
	over := true
	e.until = map[uuid.UUID]*time.Time{}
	for _, t := range r.topics {
		until := t.Until(e.evidence.or(r.Plan.Evidence).Basis, given, r.brand.Location())
		if until == nil {
			over = false
			continue
		}
		e.until[t.ID] = until
		over = over && !until.After(r.now)
	}
	return over
}

func (r *reader) tooOld(e *entry, day string) *Refusal {
	column := -1
	if e.evidence.Day != "" {
		column = r.column(GivenOn)
	}
	return r.refuse(e.line, column, day, "import.why.ran-out")
}

// stillValid: what was allowed of a topic is not over.
func (e *entry) stillValid(t consent.Topic, now time.Time) bool {
	until := e.until[t.ID]
	return until == nil || until.After(now)
}

const (
	rowLabel    = "import row"
	reportLabel = "import report"
)

func rowName(id uuid.UUID, line int64) []byte {
	return binary.BigEndian.AppendUint64(id[:len(id):len(id)], uint64(line))
}

// kept is what is kept of a row that waits.
type kept struct {
	Email      string         `json:"email"`
	Name       string         `json:"name,omitempty"`
	Language   string         `json:"language,omitempty"`
	Tags       []string       `json:"tags,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
	Day        string         `json:"day,omitempty"`
	Source     string         `json:"source,omitempty"`
	Words      string         `json:"words,omitempty"`
	SaleRef    string         `json:"sale_ref,omitempty"`
	Product    string         `json:"product,omitempty"`
}

func (e *entry) seal(tx *store.Tx, id uuid.UUID) ([]byte, error) {
	text, err := json.Marshal(kept{e.person.Address.Typed, e.person.Name, e.person.Language, e.tags, e.person.Attributes, e.evidence.Day, e.evidence.Source, e.evidence.Words, e.evidence.SaleRef, e.evidence.Product})
	if err != nil {
		return nil, fmt.Errorf("keep a row: %w", err)
	}
	return tx.Ring().Seal(rowLabel, text, rowName(id, e.line))
}

func unseal(tx *store.Tx, id uuid.UUID, line int64, sealed []byte) (kept, error) {
	var k kept
	text, err := tx.Ring().Open(rowLabel, sealed, rowName(id, line))
	if err == nil {
		err = json.Unmarshal(text, &k)
	}
	if err != nil {
		return k, fmt.Errorf("open a row that waits: %w", err)
	}
	return k, nil
}

func (k kept) entry(line int64) (*entry, error) {
	address, err := subscriber.ParseAddress(k.Email)
	if err != nil {
		return nil, err
	}
	return &entry{line: line, tags: k.Tags, evidence: Evidence{Day: k.Day, Source: k.Source, Words: k.Words, SaleRef: k.SaleRef, Product: k.Product},
		person: subscriber.New{Address: address, Name: k.Name, Language: k.Language, Attributes: k.Attributes}}, nil
}
