package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"assent/internal/delivery"
	"assent/internal/problem"
	"assent/internal/sequence"
	"assent/internal/store"
)

// sequences: a drip of mails after a topic was confirmed.
func (h *house) sequences() {
	write(h, action{http.MethodPost, "/sequences", "createSequence", "sequences:write", "sequences", "Make a sequence",
		"A draft. Whoever confirms its topic once it runs joins, once; it ends with the permission.", http.StatusCreated, false}, createSequence)
	read(h, action{http.MethodGet, "/sequences", "listSequences", "sequences:read", "sequences", "List the sequences", "Newest first.", 0, false}, listSequences)
	read(h, action{http.MethodGet, "/sequences/{id}", "getSequence", "sequences:read", "sequences", "Get a sequence", "With its steps and how many people are where.", 0, false}, getSequence)
	write(h, action{http.MethodPatch, "/sequences/{id}", "editSequence", "sequences:write", "sequences", "Edit a sequence",
		"New steps make a new version; whoever is enrolled stays on theirs.", 0, false}, editSequence)
	for _, m := range []struct {
		verb, summary, more string
		do                  func(*store.Tx, uuid.UUID, uuid.UUID) (sequence.Sequence, error)
	}{
		{"start", "Start a draft", "From now on, whoever confirms its topic joins it.", sequence.Start},
		{"pause", "Pause a sequence", "Nobody moves on, and what is queued stays.", sequence.Pause},
		{"resume", "Resume a paused sequence", "What fell due meanwhile is due now.", sequence.Resume},
		{"end", "End a sequence for good", "What is queued is skipped.", sequence.End},
	} {
		write(h, action{http.MethodPost, "/sequences/{id}/" + m.verb, m.verb + "Sequence", "sequences:write", "sequences", m.summary, m.more, 0, false},
			func(tx *store.Tx, c caller, in *ByID) (sequenceAnswer, error) {
				s, err := m.do(tx, c.brand.ID, in.ID)
				if err != nil {
					return sequenceAnswer{}, err
				}
				return wholeSequence(tx, c, s)
			})
	}
	huma.Register(h.api, action{http.MethodPost, "/sequences/{id}/enroll-existing", "enrollExisting", "sequences:write", "sequences",
		"Let those join who have permission already", "Works in steps, so it can be repeated after a failure: nobody joins twice.", 0, false}.operation(), h.enrollExisting)
}

type waitBody struct {
	Minutes int    `json:"minutes,omitempty" minimum:"0" maximum:"525600" example:"0"`
	Hours   int    `json:"hours,omitempty" minimum:"0" maximum:"8760" example:"0"`
	Days    int    `json:"days,omitempty" minimum:"0" maximum:"3650" example:"3"`
	Weeks   int    `json:"weeks,omitempty" minimum:"0" maximum:"520" example:"0"`
	Months  int    `json:"months,omitempty" minimum:"0" maximum:"120" example:"0"`
	Until   string `json:"until,omitempty" maxLength:"5" doc:"Then until this hour of the day, in the person's zone." example:"09:00"`
}

type sendBody struct {
	ContentID *uuid.UUID `json:"content_id,omitempty" format:"uuid" doc:"A mail written before, as answered." example:"019a1f5c-7c00-7000-8000-000000000005"`
	Texts     []mailText `json:"texts,omitempty" maxItems:"20" doc:"Or the mail itself, one text per language."`
}

type stepBody struct {
	Wait *waitBody `json:"wait,omitempty" doc:"An amount of time, an hour to wait for, or both."`
	Send *sendBody `json:"send,omitempty"`
}

type sequenceNew struct {
	Name  string     `json:"name" maxLength:"200" example:"Welcome"`
	Topic string     `json:"topic" maxLength:"64" doc:"The slug of the topic that starts it." example:"letters"`
	Steps []stepBody `json:"steps" maxItems:"100" doc:"Each waits or sends; the last one sends."`
}

type waitingAnswer struct {
	Version int   `json:"version" example:"1"`
	Step    int   `json:"step" doc:"Counted from 0." example:"2"`
	People  int64 `json:"people" example:"18"`
}

type standingAnswer struct {
	Active  int64            `json:"active" example:"18"`
	Done    int64            `json:"done" doc:"Have the last mail behind them." example:"110"`
	Ended   map[string]int64 `json:"ended" doc:"Left before that, by reason." example:"{\"consent-withdrawn\":4}"`
	Total   int64            `json:"total" example:"132"`
	Waiting []waitingAnswer  `json:"waiting"`
}

type sequenceAnswer struct {
	ID        uuid.UUID       `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000006"`
	Name      string          `json:"name" example:"Welcome"`
	Topic     string          `json:"topic" example:"letters"`
	State     string          `json:"state" enum:"draft,running,paused,ended" example:"running"`
	Version   int             `json:"version" example:"1"`
	Steps     []stepBody      `json:"steps,omitempty" doc:"Not in lists."`
	People    *standingAnswer `json:"people,omitempty" doc:"Not in lists."`
	Messages  *countsAnswer   `json:"messages,omitempty" doc:"Not in lists."`
	CreatedAt time.Time       `json:"created_at" example:"2026-11-22T09:00:00Z"`
	UpdatedAt time.Time       `json:"updated_at" example:"2026-11-22T09:00:00Z"`
}

func showSequence(names map[uuid.UUID]string) func(sequence.Sequence) sequenceAnswer {
	return func(s sequence.Sequence) sequenceAnswer {
		return sequenceAnswer{ID: s.ID, Name: s.Name, Topic: names[s.TopicID], State: string(s.State), Version: s.Version, CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC()}
	}
}

// wholeSequence adds steps and counts.
func wholeSequence(tx *store.Tx, c caller, s sequence.Sequence) (sequenceAnswer, error) {
	names, err := slugs(tx, c)
	if err != nil {
		return sequenceAnswer{}, err
	}
	a := showSequence(names)(s)
	steps, err := sequence.Steps(tx, c.brand.ID, s.ID, s.Version)
	if err != nil {
		return a, err
	}
	for _, step := range steps {
		b := stepBody{}
		if step.Wait != nil {
			b.Wait = ptr(waitBody(*step.Wait))
		}
		if step.Send != nil {
			texts, err := delivery.Contents(tx, c.brand.ID, *step.Send)
			if err != nil {
				return a, err
			}
			b.Send = &sendBody{ContentID: step.Send, Texts: showTexts(texts)}
		}
		a.Steps = append(a.Steps, b)
	}
	people, err := sequence.Standings(tx, c.brand.ID, s.ID)
	if err != nil {
		return a, err
	}
	a.People = &standingAnswer{Active: people.Active, Done: people.Done, Ended: people.Ended, Total: people.Total, Waiting: []waitingAnswer{}}
	if a.People.Ended == nil {
		a.People.Ended = map[string]int64{}
	}
	for _, w := range people.Waiting {
		a.People.Waiting = append(a.People.Waiting, waitingAnswer(w))
	}
	counts, err := delivery.StreamCounts(tx, c.brand.ID, s.ID)
	a.Messages = ptr(countsAnswer(counts))
	return a, err
}

// stepsOf saves the mails that come with the steps. A content that is named
// must be the brand's, which sequence checks.
func stepsOf(tx *store.Tx, c caller, in []stepBody) ([]sequence.Step, error) {
	out := make([]sequence.Step, len(in))
	for i, b := range in {
		if b.Wait != nil {
			out[i].Wait = ptr(sequence.Wait(*b.Wait))
		}
		if b.Send == nil {
			continue
		}
		if (b.Send.ContentID == nil) == (len(b.Send.Texts) == 0) {
			return nil, problem.InvalidField(fmt.Sprintf("steps/%d/send", i), "api.field.content-or-texts")
		}
		out[i].Send = b.Send.ContentID
		if b.Send.ContentID == nil {
			texts, err := deliveryTexts(fmt.Sprintf("steps/%d/send/texts", i), b.Send.Texts)
			if err != nil {
				return nil, err
			}
			id, err := delivery.SaveContent(tx, c.brand.ID, texts)
			if err != nil {
				return nil, under(err, fmt.Sprintf("steps/%d/send", i))
			}
			out[i].Send = &id
		}
	}
	return out, nil
}

// under puts the fields of a problem below the place they were found at.
func under(err error, place string) error {
	p, ok := problem.Of(err)
	if !ok {
		return err
	}
	q := problem.New(p.Kind, p.Key, p.Args...).Because(err)
	for _, f := range p.Fields {
		q.Field(place+"/"+f.Name, f.Key, f.Args...)
	}
	return q
}

func createSequence(tx *store.Tx, c caller, in *struct{ Body sequenceNew }) (sequenceAnswer, error) {
	t, err := topicNamed(tx, c, "topic", in.Body.Topic)
	if err != nil {
		return sequenceAnswer{}, err
	}
	steps, err := stepsOf(tx, c, in.Body.Steps)
	if err != nil {
		return sequenceAnswer{}, err
	}
	s, err := sequence.Create(tx, c.brand, sequence.New{Name: in.Body.Name, Topic: t.ID, Steps: steps})
	if err != nil {
		return sequenceAnswer{}, err
	}
	return wholeSequence(tx, c, s)
}

func listSequences(tx *store.Tx, c caller, _ *noInput) (list[sequenceAnswer], error) {
	names, err := slugs(tx, c)
	if err != nil {
		return list[sequenceAnswer]{}, err
	}
	found, err := sequence.List(tx, c.brand.ID)
	return all(found, showSequence(names)), err
}

func getSequence(tx *store.Tx, c caller, in *ByID) (sequenceAnswer, error) {
	s, err := sequence.Find(tx, c.brand.ID, in.ID)
	if err != nil {
		return sequenceAnswer{}, err
	}
	return wholeSequence(tx, c, s)
}

type sequenceChange struct {
	Name  *string    `json:"name,omitempty" maxLength:"200" example:"Welcome, revised"`
	Steps []stepBody `json:"steps,omitempty" maxItems:"100"`
}

func editSequence(tx *store.Tx, c caller, in *struct {
	ByID
	Body sequenceChange
}) (sequenceAnswer, error) {
	if _, err := sequence.Find(tx, c.brand.ID, in.ID); err != nil {
		return sequenceAnswer{}, err
	}
	change := sequence.Change{Name: in.Body.Name}
	if in.Body.Steps != nil {
		steps, err := stepsOf(tx, c, in.Body.Steps)
		if err != nil {
			return sequenceAnswer{}, err
		}
		change.Steps = steps
	}
	s, err := sequence.Edit(tx, c.brand, in.ID, change)
	if err != nil {
		return sequenceAnswer{}, err
	}
	return wholeSequence(tx, c, s)
}

type enrolledAnswer struct {
	Enrolled int `json:"enrolled" doc:"How many joined by this call." example:"118"`
}

// enrollExisting is no one transaction, so it keeps no answer; it is repeatable
// by its own nature.
func (h *house) enrollExisting(ctx context.Context, in *ByID) (*answer[enrolledAnswer], error) {
	n, err := sequence.EnrollExisting(ctx, h.DB, callerOf(ctx).brand.ID, in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[enrolledAnswer]{Status: http.StatusOK, Body: enrolledAnswer{n}}, nil
}
