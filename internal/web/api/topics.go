package api

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
)

// topics: what people can say yes or no to, each by itself.
func (h *house) topics() {
	write(h, action{http.MethodPost, "/topics", "createTopic", "topics:write", "topics", "Make a topic",
		"A promise (at most so many mails in so many days) is kept for the consents given under it.", http.StatusCreated, false}, createTopic)
	read(h, action{http.MethodGet, "/topics", "listTopics", "topics:read", "topics", "List the topics",
		"With the two tracking permissions, opens and clicks, and what is archived.", 0, false}, listTopics)
	read(h, action{http.MethodGet, "/topics/{id}", "getTopic", "topics:read", "topics", "Get a topic", "", 0, false}, getTopic)
	write(h, action{http.MethodPatch, "/topics/{id}", "updateTopic", "topics:write", "topics", "Change a topic",
		"What is not named stays. A changed promise or duration holds for the consents given from then on.", 0, false}, updateTopic)
}

type topicText struct {
	Name        string `json:"name" maxLength:"200" example:"Tea letters"`
	Description string `json:"description,omitempty" maxLength:"1000" example:"New teas and how to brew them."`
	Wording     string `json:"wording" maxLength:"2000" doc:"The sentence beside the box, never ticked beforehand." example:"Yes, write to me about new teas."`
}

type topicNew struct {
	Slug        string               `json:"slug" maxLength:"64" example:"letters"`
	Texts       map[string]topicText `json:"texts" minProperties:"1" doc:"By language (BCP 47); the brand's default must be there." example:"{\"en\":{\"name\":\"Tea letters\",\"wording\":\"Yes, write to me about new teas.\"}}"`
	PromiseMax  int                  `json:"promise_max,omitempty" minimum:"0" maximum:"1000" doc:"At most so many mails …" example:"2"`
	PromiseDays int                  `json:"promise_days,omitempty" minimum:"0" maximum:"366" doc:"… in any so many days; both 0: no promise." example:"30"`
	ValidDays   int                  `json:"valid_days,omitempty" minimum:"0" maximum:"36500" doc:"A consent ends after so many days; 0: never." example:"730"`
	ValidMonths int                  `json:"valid_months,omitempty" minimum:"0" maximum:"120" doc:"In place of valid_days: calendar months, to the end of the day where the brand is." example:"0"`
	RenewDays   *int                 `json:"renew_days,omitempty" minimum:"0" maximum:"180" doc:"People are asked once, so many days before the end; 0: never; 14, if left out." example:"14"`
	OwnSimilar  bool                 `json:"own_similar,omitempty" doc:"About the brand's own similar products: a soft opt-in may be for it." example:"false"`
	Position    int                  `json:"position,omitempty" minimum:"0" maximum:"10000" doc:"The order on pages." example:"1"`
}

type topicAnswer struct {
	ID uuid.UUID `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000002"`
	topicNew
	Purpose    string     `json:"purpose" enum:"marketing,opens,clicks" example:"marketing"`
	ArchivedAt *time.Time `json:"archived_at,omitempty" example:"2026-12-01T09:00:00Z"`
	ChangedAt  *time.Time `json:"changed_at,omitempty" doc:"What people agree to changed then: who said yes before is asked again, and gets nothing on the topic until they answer." example:"2026-12-01T09:00:00Z"`
	CreatedAt  time.Time  `json:"created_at" example:"2026-11-22T09:00:00Z"`
	UpdatedAt  time.Time  `json:"updated_at" example:"2026-11-22T09:00:00Z"`
}

func showTopic(t consent.Topic) topicAnswer {
	a := topicAnswer{ID: t.ID, Purpose: t.Purpose, ArchivedAt: utc(t.ArchivedAt), ChangedAt: utc(t.ChangedAt), CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC(), topicNew: topicNew{
		Slug: t.Slug, Texts: map[string]topicText{}, PromiseMax: t.PromiseMax, PromiseDays: t.PromiseDays, ValidDays: t.ValidDays, ValidMonths: t.ValidMonths, RenewDays: &t.RenewDays, OwnSimilar: t.OwnSimilar, Position: t.Position,
	}}
	for lang, text := range t.Texts {
		a.Texts[lang] = topicText(text)
	}
	return a
}

func topicTexts(in map[string]topicText) map[string]consent.TopicText {
	out := map[string]consent.TopicText{}
	for lang, t := range in {
		out[lang] = consent.TopicText(t)
	}
	return out
}

func createTopic(tx *store.Tx, c caller, in *struct{ Body topicNew }) (topicAnswer, error) {
	n := in.Body
	t, err := consent.CreateTopic(tx, c.brand, consent.NewTopic{
		Slug: n.Slug, Texts: topicTexts(n.Texts), PromiseMax: n.PromiseMax, PromiseDays: n.PromiseDays, ValidDays: n.ValidDays, ValidMonths: n.ValidMonths, RenewDays: n.RenewDays, OwnSimilar: n.OwnSimilar, Position: n.Position,
	})
	return showTopic(t), err
}

func listTopics(tx *store.Tx, c caller, _ *noInput) (list[topicAnswer], error) {
	found, err := consent.AllTopics(tx, c.brand.ID)
	return all(found, showTopic), err
}

func getTopic(tx *store.Tx, c caller, in *ByID) (topicAnswer, error) {
	t, err := consent.FindTopic(tx, c.brand.ID, in.ID)
	return showTopic(t), err
}

type topicChange struct {
	Texts       *map[string]topicText `json:"texts,omitempty" doc:"In place of all texts there are."`
	PromiseMax  *int                  `json:"promise_max,omitempty" minimum:"0" maximum:"1000" example:"4"`
	PromiseDays *int                  `json:"promise_days,omitempty" minimum:"0" maximum:"366" example:"30"`
	ValidDays   *int                  `json:"valid_days,omitempty" minimum:"0" maximum:"36500" example:"365"`
	ValidMonths *int                  `json:"valid_months,omitempty" minimum:"0" maximum:"120" example:"0"`
	RenewDays   *int                  `json:"renew_days,omitempty" minimum:"0" maximum:"180" example:"14"`
	OwnSimilar  *bool                 `json:"own_similar,omitempty" example:"true"`
	AsksAgain   bool                  `json:"asks_again,omitempty" doc:"The change is one of what people agree to, not of words alone: who said yes before is asked once, and gets nothing on the topic until they answer." example:"false"`
	Position    *int                  `json:"position,omitempty" minimum:"0" maximum:"10000" example:"2"`
	Archived    *bool                 `json:"archived,omitempty" doc:"Not offered any more; permissions stay." example:"true"`
}

func updateTopic(tx *store.Tx, c caller, in *struct {
	ByID
	Body topicChange
}) (topicAnswer, error) {
	n := in.Body
	change := consent.TopicChange{PromiseMax: n.PromiseMax, PromiseDays: n.PromiseDays, ValidDays: n.ValidDays, Position: n.Position, Archived: n.Archived,
		ValidMonths: n.ValidMonths, RenewDays: n.RenewDays, OwnSimilar: n.OwnSimilar, AsksAgain: n.AsksAgain}
	if n.Texts != nil {
		texts := topicTexts(*n.Texts)
		change.Texts = &texts
	}
	t, err := consent.UpdateTopic(tx, c.brand, in.ID, change)
	return showTopic(t), err
}

// topicNamed finds a topic that a body names by its slug; an unknown one is a
// wrong field and no missing page.
func topicNamed(tx *store.Tx, c caller, field, slug string) (consent.Topic, error) {
	t, err := consent.TopicBySlug(tx, c.brand.ID, slug)
	if problem.Is(err, problem.NotFound) {
		return t, unknownTopic(field, slug)
	}
	return t, err
}

func unknownTopic(field, slug string) error {
	return problem.InvalidField(field, "api.field.topic", "Slug", slug)
}

// slugs names the brand's topics by id, for answers.
func slugs(tx *store.Tx, c caller) (map[uuid.UUID]string, error) {
	found, err := consent.AllTopics(tx, c.brand.ID)
	names := make(map[uuid.UUID]string, len(found))
	for _, t := range found {
		names[t.ID] = t.Slug
	}
	return names, err
}
