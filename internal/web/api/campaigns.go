package api

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/campaign"
	"assent/internal/delivery"
	"assent/internal/store"
)

// campaigns: one mail, once, to everybody who has permission for a topic.
func (h *house) campaigns() {
	write(h, action{http.MethodPost, "/campaigns", "createCampaign", "campaigns:write", "campaigns", "Make a campaign", "A draft.", http.StatusCreated, false}, createCampaign)
	read(h, action{http.MethodGet, "/campaigns", "listCampaigns", "campaigns:read", "campaigns", "List the campaigns", "Newest first.", 0, false}, listCampaigns)
	read(h, action{http.MethodGet, "/campaigns/{id}", "getCampaign", "campaigns:read", "campaigns", "Get a campaign", "With its texts, and counts by state that add up.", 0, false}, getCampaign)
	write(h, action{http.MethodPatch, "/campaigns/{id}", "updateCampaign", "campaigns:write", "campaigns", "Change a draft, or the pace", "What is not named stays. The pace can be changed until the campaign has ended, the rest of a draft only.", 0, false}, updateCampaign)
	write(h, action{http.MethodPost, "/campaigns/{id}/schedule", "scheduleCampaign", "campaigns:write", "campaigns", "Schedule a campaign",
		"The audience is frozen at that time, and sent to then; without a time, now. Nothing is sent within a minute, in which it can be called back whole.", 0, false}, scheduleCampaign)
	for _, m := range []struct {
		verb, summary, more string
		do                  func(*store.Tx, uuid.UUID, uuid.UUID) (campaign.Campaign, error)
	}{
		{"recall", "Call a campaign back", "Until recall_until: then it is a draft again and nothing was sent.", campaign.Recall},
		{"pause", "Pause a campaign", "", campaign.Pause},
		{"resume", "Resume a paused campaign", "", campaign.Resume},
		{"cancel", "Cancel a campaign for good", "What is queued is skipped. What was sent stays sent.", campaign.Cancel},
	} {
		write(h, action{http.MethodPost, "/campaigns/{id}/" + m.verb, m.verb + "Campaign", "campaigns:write", "campaigns", m.summary, m.more, 0, false},
			func(tx *store.Tx, c caller, in *ByID) (campaignAnswer, error) {
				done, err := m.do(tx, c.brand.ID, in.ID)
				if err != nil {
					return campaignAnswer{}, err
				}
				return wholeCampaign(tx, c, done)
			})
	}
	write(h, action{http.MethodPost, "/campaigns/{id}/test", "testCampaign", "campaigns:write", "campaigns", "Send a test",
		"To people of the team only, since no consent stands behind it. Never tracked, and counted nowhere.", http.StatusAccepted, false}, testCampaign)
}

type campaignNew struct {
	Name  string     `json:"name" maxLength:"200" example:"November letter"`
	Topic string     `json:"topic" maxLength:"64" doc:"The slug of the topic whose permission it needs." example:"letters"`
	Tag   string     `json:"tag,omitempty" maxLength:"64" doc:"Only people with this tag." example:"shop"`
	Rate  int        `json:"rate_per_hour,omitempty" minimum:"0" maximum:"100000000" doc:"At most so many mails an hour; 0 is no limit." example:"20000"`
	Brief *briefBody `json:"brief,omitempty" doc:"What it starts from; for the team alone."`
	Texts []mailText `json:"texts" minItems:"1" maxItems:"20" doc:"One per language; the brand's default must be there."`
}

type campaignAnswer struct {
	ID          uuid.UUID     `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-00000000000c"`
	Name        string        `json:"name" example:"November letter"`
	Topic       string        `json:"topic" example:"letters"`
	Tag         string        `json:"tag,omitempty" example:"shop"`
	State       string        `json:"state" enum:"draft,scheduled,freezing,sending,paused,cancelled,sent" example:"sending"`
	Rate        int           `json:"rate_per_hour,omitempty" doc:"At most so many mails an hour." example:"20000"`
	Brief       *briefBody    `json:"brief,omitempty"`
	SourceID    uuid.UUID     `json:"source_id" format:"uuid" doc:"The source of its messages." example:"019a1f5c-7c00-7000-8000-00000000000d"`
	Texts       []mailText    `json:"texts,omitempty" doc:"Not in lists."`
	Messages    *countsAnswer `json:"messages,omitempty" doc:"Not in lists."`
	ScheduledAt *time.Time    `json:"scheduled_at,omitempty" example:"2026-11-23T08:00:00Z"`
	RecallUntil *time.Time    `json:"recall_until,omitempty" doc:"Nothing is sent before." example:"2026-11-23T08:01:00Z"`
	FrozenAt    *time.Time    `json:"frozen_at,omitempty" example:"2026-11-23T08:00:02Z"`
	FinishedAt  *time.Time    `json:"finished_at,omitempty" example:"2026-11-23T08:03:00Z"`
	CreatedAt   time.Time     `json:"created_at" example:"2026-11-22T09:00:00Z"`
	UpdatedAt   time.Time     `json:"updated_at" example:"2026-11-22T09:00:00Z"`
}

func showCampaign(names map[uuid.UUID]string, rates map[uuid.UUID]int) func(campaign.Campaign) campaignAnswer {
	return func(c campaign.Campaign) campaignAnswer {
		return campaignAnswer{ID: c.ID, Rate: rates[c.ID], Name: c.Name, Topic: names[c.TopicID], Tag: c.Tag, Brief: showBrief(c.Brief), State: string(c.State), SourceID: c.EditionID,
			ScheduledAt: utc(c.ScheduledAt), RecallUntil: utc(c.RecallUntil), FrozenAt: utc(c.FrozenAt), FinishedAt: utc(c.FinishedAt), CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC()}
	}
}

func wholeCampaign(tx *store.Tx, c caller, done campaign.Campaign) (campaignAnswer, error) {
	names, err := slugs(tx, c)
	if err != nil {
		return campaignAnswer{}, err
	}
	rates, err := delivery.StreamRates(tx, c.brand.ID, done.ID)
	if err != nil {
		return campaignAnswer{}, err
	}
	a := showCampaign(names, rates)(done)
	texts, err := delivery.Contents(tx, c.brand.ID, done.ContentID)
	if err != nil {
		return a, err
	}
	a.Texts = showTexts(texts)
	counts, err := delivery.SourceCounts(tx, c.brand.ID, done.EditionID)
	a.Messages = ptr(countsAnswer(counts))
	return a, err
}

func createCampaign(tx *store.Tx, c caller, in *struct{ Body campaignNew }) (campaignAnswer, error) {
	t, err := topicNamed(tx, c, "topic", in.Body.Topic)
	if err != nil {
		return campaignAnswer{}, err
	}
	texts, err := deliveryTexts("texts", in.Body.Texts)
	if err != nil {
		return campaignAnswer{}, err
	}
	made, err := campaign.Create(tx, c.brand, campaign.New{Name: in.Body.Name, Topic: t.ID, Tag: in.Body.Tag, RatePerHour: in.Body.Rate, Brief: in.Body.Brief.brief(), Texts: texts})
	if err != nil {
		return campaignAnswer{}, err
	}
	return wholeCampaign(tx, c, made)
}

func listCampaigns(tx *store.Tx, c caller, in *Paging) (list[campaignAnswer], error) {
	before, err := readID(in.Cursor)
	if err != nil {
		return list[campaignAnswer]{}, err
	}
	names, err := slugs(tx, c)
	if err != nil {
		return list[campaignAnswer]{}, err
	}
	found, err := campaign.List(tx, c.brand.ID, before, in.Limit)
	if err != nil {
		return list[campaignAnswer]{}, err
	}
	ids := make([]uuid.UUID, len(found))
	for i, one := range found {
		ids[i] = one.ID
	}
	rates, err := delivery.StreamRates(tx, c.brand.ID, ids...)
	l := all(found, showCampaign(names, rates))
	if len(found) == in.Limit {
		l.Next = idCursor(found[len(found)-1].ID)
	}
	return l, err
}

func getCampaign(tx *store.Tx, c caller, in *ByID) (campaignAnswer, error) {
	found, err := campaign.Find(tx, c.brand.ID, in.ID)
	if err != nil {
		return campaignAnswer{}, err
	}
	return wholeCampaign(tx, c, found)
}

type briefBody struct {
	Audience string `json:"audience,omitempty" maxLength:"1000" doc:"Whom it is for." example:"Readers who bought poetry"`
	Pledge   string `json:"pledge,omitempty" maxLength:"1000" doc:"What it gives them." example:"The new translation a week early"`
	Reason   string `json:"reason,omitempty" maxLength:"1000" doc:"Why from us, and not from somebody else." example:"Nobody else has it signed"`
}

func (b *briefBody) brief() campaign.Brief {
	if b == nil {
		return campaign.Brief{}
	}
	return campaign.Brief{Audience: b.Audience, Pledge: b.Pledge, Reason: b.Reason}
}

func showBrief(b campaign.Brief) *briefBody {
	if b == (campaign.Brief{}) {
		return nil
	}
	return &briefBody{b.Audience, b.Pledge, b.Reason}
}

type campaignChange struct {
	Name  *string    `json:"name,omitempty" maxLength:"200" example:"November letter"`
	Topic *string    `json:"topic,omitempty" maxLength:"64" example:"letters"`
	Tag   *string    `json:"tag,omitempty" maxLength:"64" doc:"Empty for everybody." example:""`
	Rate  *int       `json:"rate_per_hour,omitempty" minimum:"0" maximum:"100000000" doc:"At most so many mails an hour; 0 is no limit. Alone it can be changed until the campaign has ended." example:"5000"`
	Brief *briefBody `json:"brief,omitempty" doc:"In place of the one there is."`
	Texts []mailText `json:"texts,omitempty" maxItems:"20" doc:"In place of all texts there are."`
}

func updateCampaign(tx *store.Tx, c caller, in *struct {
	ByID
	Body campaignChange
}) (campaignAnswer, error) {
	change := campaign.Change{Name: in.Body.Name, Tag: in.Body.Tag, RatePerHour: in.Body.Rate}
	if in.Body.Brief != nil {
		brief := in.Body.Brief.brief()
		change.Brief = &brief
	}
	if in.Body.Texts != nil {
		texts, err := deliveryTexts("texts", in.Body.Texts)
		if err != nil {
			return campaignAnswer{}, err
		}
		change.Texts = texts
	}
	if in.Body.Topic != nil {
		t, err := topicNamed(tx, c, "topic", *in.Body.Topic)
		if err != nil {
			return campaignAnswer{}, err
		}
		change.Topic = &t.ID
	}
	done, err := campaign.Update(tx, c.brand, in.ID, change)
	if err != nil {
		return campaignAnswer{}, err
	}
	return wholeCampaign(tx, c, done)
}

type scheduleBody struct {
	At *time.Time `json:"at,omitempty" doc:"Now, if left out." example:"2026-11-23T08:00:00Z"`
}

func scheduleCampaign(tx *store.Tx, c caller, in *struct {
	ByID
	Body scheduleBody
}) (campaignAnswer, error) {
	at := tx.Now()
	if in.Body.At != nil {
		at = *utc(in.Body.At)
	}
	done, err := campaign.Schedule(tx, c.brand.ID, in.ID, at)
	if err != nil {
		return campaignAnswer{}, err
	}
	return wholeCampaign(tx, c, done)
}

type testBody struct {
	Language string   `json:"language" maxLength:"35" example:"en"`
	To       []string `json:"to" minItems:"1" maxItems:"20" doc:"Addresses of people of the team." example:"[\"mia@north-tea.example\"]"`
}

type testAnswer struct {
	Queued int `json:"queued" example:"1"`
}

func testCampaign(tx *store.Tx, c caller, in *struct {
	ByID
	Body testBody
}) (testAnswer, error) {
	err := campaign.Test(tx, c.brand.ID, in.ID, in.Body.Language, in.Body.To, func(address string) (bool, error) {
		return account.OfTheTeam(tx, c.brand.ID, address)
	})
	return testAnswer{len(in.Body.To)}, err
}
