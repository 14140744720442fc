package delivery

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/compose"
	"assent/internal/problem"
	"assent/internal/store"
)

// Text is a mail's words in one language, as Liquid.
type Text struct {
	Language  string
	Subject   string
	Preheader string
	HTML      string
	Text      string // "" is made from the HTML
}

// content is one language of one version of a text. It is never changed, so
// what was sent can be shown again.
type content struct {
	ID        uuid.UUID
	Language  string
	BrandID   uuid.UUID
	Subject   string
	Preheader string
	HTML      string `gorm:"column:html"`
	Text      string
	CreatedAt time.Time
}

func (content) TableName() string { return "contents" }

func (c content) source() compose.Content {
	return compose.Content{Language: c.Language, Subject: c.Subject, Preheader: c.Preheader, HTML: c.HTML, Text: c.Text}
}

// linkRow is where a tracked link leads; the redirect goes nowhere else.
type linkRow struct {
	ContentID uuid.UUID
	Language  string
	N         int
	URL       string `gorm:"column:url"`
}

func (linkRow) TableName() string { return "links" }

// SaveContent stores a version of a text in one or more languages, with its
// links, and gives the id that messages name it by. What does not compile is
// problem.Invalid, with fields like "content/fa/subject".
func SaveContent(tx *store.Tx, brandID uuid.UUID, texts []Text) (uuid.UUID, error) {
	wrong := problem.New(problem.Invalid, "problem.invalid")
	if len(texts) == 0 {
		wrong.Field("content", "delivery.content-empty")
	}
	id := tx.NewID()
	var rows []content
	var links []linkRow
	seen := map[string]bool{}
	for _, t := range texts {
		if seen[t.Language] {
			wrong.Field("content/"+t.Language, "delivery.content-twice")
			continue
		}
		seen[t.Language] = true
		c := content{ID: id, Language: t.Language, BrandID: brandID, Subject: t.Subject, Preheader: t.Preheader, HTML: t.HTML, Text: t.Text, CreatedAt: tx.Now()}
		compiled, err := compose.Compile(c.source())
		if p, ok := problem.Of(err); ok {
			for _, f := range p.Fields {
				wrong.Field("content/"+t.Language+"/"+f.Name, f.Key, f.Args...)
			}
			continue
		}
		if err != nil {
			return uuid.Nil, fmt.Errorf("compile a text: %w", err)
		}
		rows = append(rows, c)
		for n, url := range compiled.Links() {
			links = append(links, linkRow{id, t.Language, n, url})
		}
	}
	if err := wrong.OrNil(); err != nil {
		return uuid.Nil, err
	}
	if err := tx.Create(&rows).Error; err != nil {
		return uuid.Nil, fmt.Errorf("store a text: %w", err)
	}
	if len(links) > 0 {
		if err := tx.CreateInBatches(&links, 500).Error; err != nil {
			return uuid.Nil, fmt.Errorf("store a text's links: %w", err)
		}
	}
	return id, nil
}

// Contents reads a version in all its languages; another brand's is problem.NotFound.
func Contents(tx *store.Tx, brandID, contentID uuid.UUID) ([]Text, error) {
	var rows []content
	if err := tx.Where("brand_id = ? AND id = ?", brandID, contentID).Order("language").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read a text: %w", err)
	}
	if len(rows) == 0 {
		return nil, problem.New(problem.NotFound, "delivery.content-unknown")
	}
	texts := make([]Text, len(rows))
	for i, r := range rows {
		texts[i] = Text{r.Language, r.Subject, r.Preheader, r.HTML, r.Text}
	}
	return texts, nil
}
