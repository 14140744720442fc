// Package sequence sends a row of mails to each person, one after the other,
// with waits between: the drip that begins when a topic is confirmed.
//
// A sequence:
//
//	          Start             Pause
//	draft ───────────► running ──────► paused
//	  │                  │  ▲            │
//	  │ End              │  └── Resume ──┤
//	  ▼                  ▼               ▼
//	ended ◄──────────────┴──────────── End
//
// An enrollment, one per sequence and person, for ever:
//
//	(confirmed) ──► active ──► done    the last step is behind it
//	                  │
//	                  └──────► ended   the permission ended, or the sequence did
//
// Steps are versioned. An edit makes a new version for those who come later;
// whoever is under way stays on the version they began with. While a sequence
// is paused people go on joining it, and nobody moves.
//
// One transaction moves an enrollment: it leaves the step, writes the fact and
// the message, and sets the next due time. So after a crash at any point a
// person is either before the step or behind it with the mail in the outbox,
// and the outbox takes each step of an enrollment once.
package sequence

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

// State is where a sequence stands.
type State string

// The states of a sequence.
const (
	Draft   State = "draft"
	Running State = "running"
	Paused  State = "paused"
	Ended   State = "ended"
)

// Sequence is a drip on one topic. Its id is also that of its stream of messages.
type Sequence struct {
	ID        uuid.UUID
	BrandID   uuid.UUID
	Name      string
	TopicID   uuid.UUID
	State     State
	Version   int // the newest; those who join now begin with it
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Version is one wording of a sequence's steps. It never changes.
type Version struct {
	SequenceID uuid.UUID
	Version    int
	Steps      []Step `gorm:"serializer:json"`
	CreatedAt  time.Time
}

// TableName implements gorm's Tabler.
func (Version) TableName() string { return "sequence_versions" }

// New is what a sequence is made of.
type New struct {
	Name  string
	Topic uuid.UUID
	Steps []Step
}

// Change is an edit; a nil field stays as it is.
type Change struct {
	Name  *string
	Steps []Step // makes a new version
}

const maxName = 200

// Create makes a draft. problem.Invalid says what is wrong with it: a topic
// that is not a marketing topic of the brand, a step that cannot be done, a
// mail without the brand's own language.
func Create(tx *store.Tx, b brand.Brand, n New) (Sequence, error) {
	if err := checkName(n.Name); err != nil {
		return Sequence{}, err
	}
	topic, err := consent.FindTopic(tx, b.ID, n.Topic)
	if problem.Is(err, problem.NotFound) || err == nil && topic.Purpose != consent.Marketing {
		return Sequence{}, problem.InvalidField("topic", "sequence.topic")
	}
	if err != nil {
		return Sequence{}, fmt.Errorf("find the topic of a sequence: %w", err)
	}
	s := Sequence{ID: tx.NewID(), BrandID: b.ID, Name: n.Name, TopicID: n.Topic, State: Draft, Version: 1,
		CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
	if err := tx.Create(&s).Error; err != nil {
		return Sequence{}, fmt.Errorf("create a sequence: %w", err)
	}
	return s, addVersion(tx, b, s, n.Steps)
}

// Edit renames a sequence or gives it new steps, which make a new version;
// whoever is enrolled stays on theirs. An ended one is problem.Conflict.
func Edit(tx *store.Tx, b brand.Brand, id uuid.UUID, c Change) (Sequence, error) {
	s, err := lock(tx, b.ID, id)
	if err != nil {
		return Sequence{}, err
	}
	if s.State == Ended {
		return Sequence{}, problem.New(problem.Conflict, "sequence.ended")
	}
	if c.Name != nil {
		if err := checkName(*c.Name); err != nil {
			return Sequence{}, err
		}
		s.Name = *c.Name
	}
	if c.Steps != nil {
		s.Version++
		if err := addVersion(tx, b, s, c.Steps); err != nil {
			return Sequence{}, err
		}
	}
	s.UpdatedAt = tx.Now()
	_, err = tx.Run("UPDATE sequences SET name = ?, version = ?, updated_at = ? WHERE id = ? AND brand_id = ?",
		s.Name, s.Version, s.UpdatedAt, s.ID, b.ID)
	if err != nil {
		return Sequence{}, fmt.Errorf("edit a sequence: %w", err)
	}
	return s, nil
}

// Find reads a sequence of the brand; another brand's is problem.NotFound.
func Find(tx *store.Tx, brandID, id uuid.UUID) (Sequence, error) {
	return find(tx, brandID, id, "")
}

// List gives a brand's sequences, newest first.
func List(tx *store.Tx, brandID uuid.UUID) ([]Sequence, error) {
	var all []Sequence
	if err := tx.Where("brand_id = ?", brandID).Order("id DESC").Find(&all).Error; err != nil {
		return nil, fmt.Errorf("list sequences: %w", err)
	}
	return all, nil
}

// Some gives up to limit of a brand's sequences, the newest first, those made
// before one where it is named.
func Some(tx *store.Tx, brandID, before uuid.UUID, limit int) ([]Sequence, error) {
	q := tx.Where("brand_id = ?", brandID)
	if before != uuid.Nil {
		q = q.Where("id < ?", before)
	}
	var some []Sequence
	if err := q.Order("id DESC").Limit(limit).Find(&some).Error; err != nil {
		return nil, fmt.Errorf("list sequences: %w", err)
	}
	return some, nil
}

// Lock reads a sequence of the brand and keeps it as it is until the end of the
// transaction; people go on joining it.
func Lock(tx *store.Tx, brandID, id uuid.UUID) (Sequence, error) { return lock(tx, brandID, id) }

// Steps gives the steps of one version of a sequence of the brand.
func Steps(tx *store.Tx, brandID, id uuid.UUID, version int) ([]Step, error) {
	if _, err := Find(tx, brandID, id); err != nil {
		return nil, err
	}
	return steps(tx, id, version)
}

func steps(tx *store.Tx, id uuid.UUID, version int) ([]Step, error) {
	var v Version
	if err := tx.Where("sequence_id = ? AND version = ?", id, version).Take(&v).Error; err != nil {
		return nil, store.Found(err, "sequence.version-unknown")
	}
	return v.Steps, nil
}

// holding keeps a sequence's state and version as they are until the end of
// the transaction, and lets others do the same.
func holding(tx *store.Tx) string { return tx.Pick(" FOR SHARE", "") }

func lock(tx *store.Tx, brandID, id uuid.UUID) (Sequence, error) {
	return find(tx, brandID, id, tx.Pick(" FOR NO KEY UPDATE", "")) // lets people join
}

func find(tx *store.Tx, brandID, id uuid.UUID, locking string) (Sequence, error) {
	var found []Sequence
	if err := tx.Raw("SELECT * FROM sequences WHERE id = ? AND brand_id = ?"+locking, id, brandID).Scan(&found).Error; err != nil {
		return Sequence{}, fmt.Errorf("find a sequence: %w", err)
	}
	if len(found) == 0 {
		return Sequence{}, problem.New(problem.NotFound, "sequence.unknown")
	}
	return found[0], nil
}

// addVersion checks the steps and writes them as the sequence's newest version.
func addVersion(tx *store.Tx, b brand.Brand, s Sequence, steps []Step) error {
	if err := checkSteps(steps); err != nil {
		return err
	}
	if err := checkContents(tx, b, steps); err != nil {
		return err
	}
	v := Version{SequenceID: s.ID, Version: s.Version, Steps: steps, CreatedAt: tx.Now()}
	if err := tx.Create(&v).Error; err != nil {
		return fmt.Errorf("write version %d of a sequence: %w", s.Version, err)
	}
	return nil
}

// checkContents sees that each mail is the brand's own, and there in the
// language that people without a text in their own are given.
func checkContents(tx *store.Tx, b brand.Brand, steps []Step) error {
	p := problem.New(problem.Invalid, "problem.invalid")
	for i, s := range steps {
		if s.Send == nil {
			continue
		}
		languages, err := contentLanguages(tx, b.ID, *s.Send)
		switch {
		case problem.Is(err, problem.NotFound):
			p.Field(fmt.Sprintf("steps/%d/send", i), "sequence.content.unknown")
		case err != nil:
			return err
		case !languages[b.Language]:
			p.Field(fmt.Sprintf("steps/%d/send", i), "sequence.content.language", "Language", b.Language)
		}
	}
	return p.OrNil()
}

func contentLanguages(tx *store.Tx, brandID, content uuid.UUID) (map[string]bool, error) {
	texts, err := delivery.Contents(tx, brandID, content)
	if err != nil {
		return nil, err
	}
	if len(texts) == 0 {
		return nil, problem.New(problem.NotFound, "sequence.content.unknown")
	}
	languages := make(map[string]bool, len(texts))
	for _, t := range texts {
		languages[t.Language] = true
	}
	return languages, nil
}

func checkName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return problem.InvalidField("name", "problem.field.required")
	case !utf8.ValidString(name):
		return problem.InvalidField("name", "problem.field.utf8")
	case strings.ContainsAny(name, "\r\n\x00"):
		return problem.InvalidField("name", "problem.field.line-break")
	case utf8.RuneCountInString(name) > maxName:
		return problem.InvalidField("name", "problem.field.too-long", "Max", maxName)
	}
	return nil
}
