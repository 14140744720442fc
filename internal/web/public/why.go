package public

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"assent/internal/delivery"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
)

// why tells on what permission a mail rests, and what was used to write it.
func (h *house) why(c echo.Context) error {
	ref, err := h.URLs.ReadWhy(c.Param("token"))
	if err != nil {
		return err
	}
	var r signup.Reason
	err = h.read(c, func(tx *store.Tx) (err error) {
		r, err = signup.Why(tx, ref)
		return err
	})
	if err != nil {
		return err
	}
	speak(c, r.Language())
	page := Why{Frame: frame(c, r.Brand), Words: r.Words, Page: r.Page, Data: data(r.Message)}
	if r.Message.SettledAt != nil && r.Message.State == delivery.Sent {
		page.SentAt = *r.Message.SettledAt
	}
	if r.Topic != nil {
		page.Topic, page.Now, page.Leave = r.Topic.Name, r.Topic.On, h.URLs.Leave(ref)
	}
	if r.Consent != nil {
		page.Given, page.GivenAt, page.Method = true, r.Consent.OccurredAt, r.Consent.Method
		page.Receipt = h.URLs.Receipt(r.Consent.ID)
	}
	if r.Subscriber != nil {
		page.Email, page.Preferences = r.Subscriber.Email, h.URLs.Preferences(r.Brand.ID, r.Subscriber.ID)
	} else {
		page.Data = nil
	}
	return web.Page(c, http.StatusOK, "public/why", page)
}

// data are the values that the mail was written with, without its links.
func data(m delivery.Message) []Datum {
	var all []Datum
	for name, value := range m.Data {
		if strings.HasSuffix(name, "_url") || value == "" {
			continue
		}
		text := fmt.Sprint(value)
		if list, ok := value.([]any); ok {
			parts := make([]string, len(list))
			for i, v := range list {
				parts[i] = fmt.Sprint(v)
			}
			text = strings.Join(parts, "\n")
		}
		all = append(all, Datum{Name: name, Value: text})
	}
	slices.SortFunc(all, func(a, b Datum) int { return strings.Compare(a.Name, b.Name) })
	return all
}
