package admin

import (
	"context"
	"slices"
	"strings"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/sequence"
	"assent/internal/signup"
	"assent/internal/store"
)

func setupActions() []action {
	return []action{look("/setup", account.Marketer, setup)}
}

// SetupStep is one step on the way from an empty brand to a confirmed person.
type SetupStep struct {
	Title, Text string
	Done, Next  bool   // Next: the first that is not done
	URL, Label  string // the page where it is done; empty: not the visitor's
}

// Setup is the page admin/setup.
type Setup struct {
	Frame
	Steps []SetupStep
	Done  int
}

// stepNames are the steps in their order; the words are in the catalogue.
var stepNames = []string{"brand", "sending", "topic", "form", "sequence", "person"}

// stepPages are where each is done: the first while it is not, the second after.
var stepPages = map[string][2]string{"brand": {"/settings", "/settings"}, "sending": {"/sending", "/sending"}, "topic": {"/topics/new", "/topics"},
	"form": {"/forms/new", "/forms"}, "sequence": {"/sequences/new", "/sequences"}, "person": {"/forms", "/people"}}

// stepsDone asks the database how far a brand is; nothing is kept of it.
func stepsDone(tx *store.Tx, b brand.Brand) (map[string]bool, error) {
	done := map[string]bool{"brand": true}
	sent, err := delivery.EverSent(tx, b.ID)
	if err != nil {
		return nil, err
	}
	given, err := consent.AnyGiven(tx, b.ID)
	if err != nil {
		return nil, err
	}
	topics, err := consent.AllTopics(tx, b.ID)
	if err != nil {
		return nil, err
	}
	forms, err := signup.List(tx, b.ID)
	if err != nil {
		return nil, err
	}
	sequences, err := sequence.List(tx, b.ID)
	done["sending"], done["person"] = sent, given
	done["topic"] = slices.ContainsFunc(topics, func(t consent.Topic) bool { return t.Purpose == consent.Marketing && t.ArchivedAt == nil })
	done["form"] = slices.ContainsFunc(forms, func(f signup.Form) bool { return f.ClosedAt == nil })
	done["sequence"] = slices.ContainsFunc(sequences, func(s sequence.Sequence) bool { return s.State == sequence.Running })
	return done, err
}

// settingUp tells whether there is still a step to take, to who can take it. A
// brand that was seen with all of them done is not asked about again.
func (h *house) settingUp(ctx context.Context, b brand.Brand, role account.Role) (bool, error) {
	if _, done := h.ready.Load(b.ID); done || !role.Includes(account.Marketer) {
		return false, nil
	}
	left := 0
	err := h.DB.Read(ctx, func(tx *store.Tx) error {
		done, err := stepsDone(tx, b)
		left = len(stepNames) - len(done)
		for _, yes := range done {
			if !yes {
				left++
			}
		}
		return err
	})
	if err == nil && left == 0 {
		h.ready.Store(b.ID, true)
	}
	return left > 0, err
}

func setup(d *desk) error {
	var done map[string]bool
	err := d.read(func(tx *store.Tx) (err error) { done, err = stepsDone(tx, d.brand); return err })
	if err != nil {
		return err
	}
	page := Setup{Frame: d.frame("setup")}
	next := false
	for _, name := range stepNames {
		s := SetupStep{Title: d.l.T("admin.setup." + name), Done: done[name], Next: !done[name] && !next}
		if s.Done {
			page.Done++
			s.Text, s.URL, s.Label = d.l.T("admin.setup."+name+".done"), d.pageOf(stepPages[name][1]), d.l.T("admin.setup.look")
		} else {
			next = true
			s.Text, s.Label = d.l.T("admin.setup."+name+".text"), d.l.T("admin.setup."+name+".do")
			if s.URL = d.pageOf(stepPages[name][0]); s.URL == "" {
				s.URL = d.pageOf(strings.TrimSuffix(stepPages[name][0], "/new"))
			}
		}
		page.Steps = append(page.Steps, s)
	}
	return d.draw("setup", page)
}

// pageOf is the address of a page of the brand; empty where the visitor may not
// look at it, or there is none.
func (d *desk) pageOf(path string) string {
	if slices.ContainsFunc(actions(), func(a action) bool { return a.method == "GET" && a.path == path && d.may(a.least) }) {
		return d.to(path)
	}
	return ""
}
