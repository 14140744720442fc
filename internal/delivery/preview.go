package delivery

import (
	"context"

	"github.com/google/uuid"

	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Sample is a mail that was never queued: a text as somebody would get it.
type Sample struct {
	BrandID, TopicID, ContentID uuid.UUID
	Language                    string
	Person                      subscriber.Subscriber // need not be stored; only what a template may name is read
	Data                        map[string]any        // what else the template may name
}

// Shown is a mail as its reader would see it.
type Shown struct {
	Subject, Preheader string
	HTML               []byte
}

// Preview draws the mail as Renderer.View would, had it been sent now. Its links
// of leaving and choosing belong to no message and nobody. What the template
// cannot do for this person is a problem that names the part, and a language
// that there is no text in problem.NotFound.
func (r *Renderer) Preview(ctx context.Context, p Sample) (Shown, error) {
	err := r.DB.Read(ctx, func(tx *store.Tx) error {
		texts, err := Contents(tx, p.BrandID, p.ContentID)
		if err != nil {
			return err
		}
		for _, t := range texts {
			if t.Language == p.Language {
				return nil
			}
		}
		return problem.New(problem.NotFound, "delivery.content-unknown")
	})
	if err != nil {
		return Shown{}, err
	}
	s, err := r.sender(ctx, p.BrandID)
	if err != nil {
		return Shown{}, err
	}
	l, err := r.letter(ctx, p.ContentID, p.Language)
	if err != nil {
		return Shown{}, err
	}
	nobody := uuid.Nil
	m := &claimed{Email: p.Person.Email, Name: p.Person.Name, TimeZone: p.Person.TimeZone, Attributes: p.Person.Attributes,
		Message: Message{BrandID: p.BrandID, SubscriberID: &nobody, Kind: Marketing, TopicID: &p.TopicID, ContentID: &p.ContentID, Language: p.Language, Data: p.Data}}
	env := r.envelope(s, m)
	values := r.values(s.Brand, m, env)
	shown := Shown{}
	if shown.Subject, shown.Preheader, err = l.Head(env, values); err != nil {
		return Shown{}, err
	}
	shown.HTML, err = l.PageHTML(env, values)
	return shown, err
}
