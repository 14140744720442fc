package api

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// subscribers: the people a brand knows. To be known is no permission.
func (h *house) subscribers() {
	writeAs(h, action{http.MethodPost, "/subscribers", "createSubscriber", "subscribers:write", "subscribers", "Make sure of a subscriber",
		"Answers 201 with a new subscriber, or 200 with the one who has the address already, unchanged but for added tags. Gives no permission: see consents.", http.StatusCreated, false}, createSubscriber)
	read(h, action{http.MethodGet, "/subscribers", "listSubscribers", "subscribers:read", "subscribers", "List subscribers", "In the order they came.", 0, false}, listSubscribers)
	read(h, action{http.MethodGet, "/subscribers/{id}", "getSubscriber", "subscribers:read", "subscribers", "Get a subscriber",
		"With tags, and per topic where the permission stands and whether they may be written to now.", 0, false}, getSubscriber)
	write(h, action{http.MethodPatch, "/subscribers/{id}", "updateSubscriber", "subscribers:write", "subscribers", "Change a subscriber",
		"What is not named stays; an attribute that is null goes.", 0, false}, updateSubscriber)
	write(h, action{http.MethodPost, "/subscribers/{id}/tags", "tagSubscriber", "subscribers:write", "subscribers", "Add and remove tags", "", 0, false}, tagSubscriber)
}

// SubscriberNew is what is told of somebody. It is exported for huma, which sees
// no embedded type that is not.
type SubscriberNew struct {
	Email         string         `json:"email" maxLength:"320" example:"ana@example.org"`
	Name          string         `json:"name,omitempty" maxLength:"200" example:"Ana"`
	Language      string         `json:"language,omitempty" maxLength:"35" doc:"BCP 47; brought to the nearest the brand offers." example:"en"`
	TimeZone      string         `json:"time_zone,omitempty" maxLength:"64" doc:"IANA name; the brand's, if left out." example:"Europe/London"`
	Attributes    map[string]any `json:"attributes,omitempty" doc:"Text, numbers, true and false." example:"{\"favourite\":\"oolong\"}"`
	CustomerSince *time.Time     `json:"customer_since,omitempty" example:"2024-03-01T00:00:00Z"`
	Tags          []string       `json:"tags,omitempty" maxItems:"100" example:"[\"shop\"]"`
}

type permissionAnswer struct {
	Topic      string     `json:"topic" doc:"The topic's slug." example:"letters"`
	State      string     `json:"state" enum:"requested,given,renewed,refused,withdrawn,expired,invalidated" example:"given"`
	Since      time.Time  `json:"since" example:"2026-11-22T09:00:00Z"`
	ValidUntil *time.Time `json:"valid_until,omitempty" example:"2028-11-21T09:00:00Z"`
	EventID    uuid.UUID  `json:"event_id" format:"uuid" doc:"The consent it rests on." example:"019a1f5c-7c00-7000-8000-000000000009"`
	Allowed    bool       `json:"allowed" doc:"Whether it permits now." example:"true"`
	Reason     string     `json:"reason,omitempty" doc:"Why not." example:"consent-withdrawn"`
}

type subscriberAnswer struct {
	ID            uuid.UUID          `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000004"`
	Email         string             `json:"email" doc:"Empty once erased." example:"ana@example.org"`
	Name          string             `json:"name" example:"Ana"`
	Language      string             `json:"language" example:"en"`
	TimeZone      string             `json:"time_zone" doc:"Empty: the brand's." example:"Europe/London"`
	Attributes    map[string]any     `json:"attributes" example:"{\"favourite\":\"oolong\"}"`
	CustomerSince *time.Time         `json:"customer_since,omitempty" example:"2024-03-01T00:00:00Z"`
	Tags          []string           `json:"tags,omitempty" doc:"Not in lists." example:"[\"shop\"]"`
	Permissions   []permissionAnswer `json:"permissions,omitempty" doc:"Not in lists."`
	CreatedAt     time.Time          `json:"created_at" example:"2026-11-22T09:00:00Z"`
	UpdatedAt     time.Time          `json:"updated_at" example:"2026-11-22T09:00:00Z"`
	ErasedAt      *time.Time         `json:"erased_at,omitempty" example:"2027-01-01T09:00:00Z"`
}

func showSubscriber(s subscriber.Subscriber) subscriberAnswer {
	a := subscriberAnswer{ID: s.ID, Email: s.Email, Name: s.Name, Language: s.Language, TimeZone: s.TimeZone, Attributes: s.Attributes,
		CustomerSince: utc(s.CustomerSince), CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(), ErasedAt: utc(s.ErasedAt)}
	if a.Attributes == nil {
		a.Attributes = map[string]any{}
	}
	return a
}

// whole is a subscriber with tags and permissions.
func whole(tx *store.Tx, c caller, s subscriber.Subscriber) (subscriberAnswer, error) {
	a := showSubscriber(s)
	var err error
	if a.Tags, err = subscriber.Tags(tx, c.brand.ID, s.ID); err != nil {
		return a, err
	}
	found, err := consent.Permissions(tx, c.brand.ID, s.ID)
	if err != nil {
		return a, err
	}
	names, err := slugs(tx, c)
	if err != nil {
		return a, err
	}
	for _, p := range found {
		may, err := consent.May(tx, c.brand, s.ID, p.TopicID)
		if err != nil {
			return a, err
		}
		a.Permissions = append(a.Permissions, permissionAnswer{Topic: names[p.TopicID], State: string(p.State), Since: p.Since.UTC(),
			ValidUntil: utc(p.ValidUntil), EventID: p.EventID, Allowed: may.Allowed, Reason: may.Reason})
	}
	return a, nil
}

func createSubscriber(tx *store.Tx, c caller, in *struct{ Body SubscriberNew }) (subscriberAnswer, int, error) {
	n := in.Body
	address, err := subscriber.ParseAddress(n.Email)
	if err != nil {
		return subscriberAnswer{}, 0, err
	}
	s, created, err := subscriber.Ensure(tx, c.brand, subscriber.New{
		Address: address, Name: n.Name, Language: n.Language, TimeZone: n.TimeZone, Attributes: n.Attributes, CustomerSince: utc(n.CustomerSince),
	})
	if err != nil {
		return subscriberAnswer{}, 0, err
	}
	if len(n.Tags) > 0 {
		if err := subscriber.AddTags(tx, c.brand.ID, s.ID, n.Tags...); err != nil {
			return subscriberAnswer{}, 0, err
		}
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	a, err := whole(tx, c, s)
	return a, status, err
}

func listSubscribers(tx *store.Tx, c caller, in *struct {
	Paging
	Email    string `query:"email" maxLength:"320" doc:"The one with this address." example:"ana@example.org"`
	Tag      string `query:"tag" maxLength:"64" example:"shop"`
	Language string `query:"language" maxLength:"35" example:"fa"`
	Search   string `query:"search" maxLength:"200" doc:"Part of the address or the name." example:"ana"`
}) (list[subscriberAnswer], error) {
	f := subscriber.Filter{Tag: in.Tag, Language: in.Language, Search: in.Search}
	if in.Email != "" {
		address, err := subscriber.ParseAddress(in.Email)
		if err != nil {
			return list[subscriberAnswer]{}, err
		}
		if f.AddressHash, err = c.brand.AddressHash(tx, address.Normal); err != nil {
			return list[subscriberAnswer]{}, err
		}
	}
	found, next, err := subscriber.List(tx, c.brand.ID, f, in.Cursor, in.Limit)
	l := all(found, showSubscriber)
	l.Next = next
	return l, err
}

func getSubscriber(tx *store.Tx, c caller, in *ByID) (subscriberAnswer, error) {
	s, err := subscriber.Find(tx, c.brand.ID, in.ID)
	if err != nil {
		return subscriberAnswer{}, err
	}
	return whole(tx, c, s)
}

type subscriberChange struct {
	Name          *string        `json:"name,omitempty" maxLength:"200" example:"Ana"`
	Language      *string        `json:"language,omitempty" maxLength:"35" example:"fa"`
	TimeZone      *string        `json:"time_zone,omitempty" maxLength:"64" example:"Asia/Tehran"`
	Attributes    map[string]any `json:"attributes,omitempty" example:"{\"favourite\":null}"`
	CustomerSince *time.Time     `json:"customer_since,omitempty" example:"2024-03-01T00:00:00Z"`
}

func updateSubscriber(tx *store.Tx, c caller, in *struct {
	ByID
	Body subscriberChange
}) (subscriberAnswer, error) {
	n := in.Body
	s, err := subscriber.Update(tx, c.brand, in.ID, subscriber.Change{
		Name: n.Name, Language: n.Language, TimeZone: n.TimeZone, Attributes: n.Attributes, CustomerSince: utc(n.CustomerSince),
	})
	if err != nil {
		return subscriberAnswer{}, err
	}
	return whole(tx, c, s)
}

type tagChange struct {
	Add    []string `json:"add,omitempty" maxItems:"100" example:"[\"shop\"]"`
	Remove []string `json:"remove,omitempty" maxItems:"100" example:"[\"trial\"]"`
}

func tagSubscriber(tx *store.Tx, c caller, in *struct {
	ByID
	Body tagChange
}) (subscriberAnswer, error) {
	s, err := subscriber.Lock(tx, c.brand.ID, in.ID)
	if err != nil {
		return subscriberAnswer{}, err
	}
	if len(in.Body.Add)+len(in.Body.Remove) == 0 {
		return subscriberAnswer{}, problem.InvalidField("add", "problem.field.required")
	}
	if err := subscriber.AddTags(tx, c.brand.ID, s.ID, in.Body.Add...); err != nil {
		return subscriberAnswer{}, err
	}
	if err := subscriber.RemoveTags(tx, c.brand.ID, s.ID, in.Body.Remove...); err != nil {
		return subscriberAnswer{}, err
	}
	return whole(tx, c, s)
}
