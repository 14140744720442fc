package admin

import (
	"net/http"
	"net/url"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/store"
)

func trackingActions() []action {
	return []action{
		look("/tracking", account.Reader, trackingPage),
		act("/tracking", account.Owner, saveTracking),
	}
}

// TrackingPage is the page admin/tracking: how a brand looks at opens and clicks.
type TrackingPage struct {
	Frame
	Sheet  Sheet
	Topics []Topic // the two permissions, and how many gave them
	May    bool    // the visitor may change it
	Back   string
}

func trackingValues(b brand.Brand) url.Values {
	v := url.Values{}
	if b.LastOpenOnly {
		v.Set("last_open_only", "yes")
	}
	if b.AnonymousCounts {
		v.Set("anonymous_counts", "yes")
	}
	return v
}

func trackingPage(d *desk) error {
	s, err := d.sheet("/tracking", trackingValues(d.brand), versionOf(d.brand.UpdatedAt))
	if err != nil {
		return err
	}
	return drawTracking(d)(http.StatusOK, s)
}

func drawTracking(d *desk) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		n, err := d.h.counts.of(d.c.Request().Context(), d.brand.ID)
		if err != nil {
			return err
		}
		page := TrackingPage{Frame: d.frame("tracking"), Sheet: s, May: d.may(account.Owner), Back: d.to("/topics")}
		for _, t := range n.Topics {
			if t.Topic.Purpose != consent.Marketing {
				page.Topics = append(page.Topics, topicLines(d.l, d.brand, []topicNumbers{t})...)
			}
		}
		if s.Changed {
			page.Sheet.Version = versionOf(d.brand.UpdatedAt)
			page.Sheet.Theirs = d.theirs(trackingValues(d.brand), s.Values, "admin.tracking.field.")
		}
		return d.drawAs(status, "tracking", page)
	}
}

func saveTracking(d *desk) error {
	err := d.change("tracking.change", func(tx *store.Tx, form *Sheet) (done, error) {
		now, err := brand.Lock(tx, d.brand.ID)
		if err != nil {
			return done{}, err
		}
		if d.brand = now; form.current(now.UpdatedAt) != nil {
			return done{}, errChanged()
		}
		day, anonymous := form.Has("last_open_only", "yes"), form.Has("anonymous_counts", "yes")
		_, err = brand.Update(tx, d.brand.ID, brand.Change{LastOpenOnly: &day, AnonymousCounts: &anonymous})
		return done{subject: d.brand.ID, next: "/tracking", detail: map[string]any{"name": d.brand.Slug, "last_open_only": day, "anonymous_counts": anonymous}}, err
	})
	return d.redraw(err, drawTracking(d))
}
