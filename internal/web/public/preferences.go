package public

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
)

// showPreferences is the person's page of choices. It changes nothing.
func (h *house) showPreferences(c echo.Context) error {
	brandID, personID, err := h.URLs.ReadPreferences(c.Param("token"))
	if err != nil {
		return err
	}
	var p signup.Preferences
	err = h.read(c, func(tx *store.Tx) (err error) {
		p, err = signup.Preference(tx, brandID, personID)
		return err
	})
	if err != nil {
		return err
	}
	return h.preferencesPage(c, http.StatusOK, p, "", nil)
}

// setPreferences does what one of the page's buttons asks, and shows the page
// as it is then.
func (h *house) setPreferences(c echo.Context) error {
	brandID, personID, err := h.URLs.ReadPreferences(c.Param("token"))
	if err != nil {
		return err
	}
	values, err := web.Form(c)
	if err != nil {
		return err
	}
	if values.Get("do") == "address" { // it writes to somebody, like a sign-up
		if wait, ok := h.ips.Allow(web.ClientPlace(c), h.DB.Now()); !ok {
			return web.TooMany(c, wait)
		}
	}
	saved, do := h.wish(c, values, brandID, personID)
	if do == nil {
		return problem.InvalidField("do", "problem.field.choice")
	}
	var p signup.Preferences
	err = h.write(c, func(tx *store.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		p, err = signup.Preference(tx, brandID, personID)
		return err
	})
	switch {
	case problem.Is(err, problem.Invalid) && values.Get("do") == "address":
		return h.showAgain(c, http.StatusUnprocessableEntity, brandID, personID, "", func(page *Preferences) {
			_, said := web.Localizer(c).Problem(err)
			page.NewEmail, page.EmailError = values.Get("email"), said["email"]
		})
	case problem.Is(err, problem.Conflict) && values.Get("do") == "save":
		return h.showAgain(c, http.StatusConflict, brandID, personID, "signup.form.stale", nil)
	}
	if err != nil {
		return err
	}
	return h.preferencesPage(c, http.StatusOK, p, saved, nil)
}

// wish is what the post asks for, and the key of what to say once it is done.
func (h *house) wish(c echo.Context, values url.Values, brandID, personID uuid.UUID) (string, func(*store.Tx) error) {
	switch values.Get("do") {
	case "save":
		w := signup.Wish{Topics: map[string]bool{}, Language: values.Get("language"), Words: values.Get("words")}
		for _, name := range values["shown"] {
			w.Topics[strings.TrimPrefix(name, "topic:")] = values.Get(name) != ""
		}
		return "public.preferences.saved", func(tx *store.Tx) error {
			_, err := signup.Save(tx, brandID, personID, w, seen(c))
			return err
		}
	case "address":
		return "public.preferences.address-asked", func(tx *store.Tx) error {
			return signup.ChangeAddress(tx, h.Signup, brandID, personID, values.Get("email"))
		}
	case "address-stop":
		return "public.preferences.address-stopped", func(tx *store.Tx) error { return signup.StopChange(tx, brandID, personID) }
	case "leave":
		return "public.preferences.left", func(tx *store.Tx) error { return signup.LeaveAll(tx, brandID, personID, seen(c)) }
	}
	return "", nil
}

// showAgain draws the page as it stands, since nothing was changed.
func (h *house) showAgain(c echo.Context, status int, brandID, personID uuid.UUID, say string, change func(*Preferences)) error {
	var p signup.Preferences
	err := h.read(c, func(tx *store.Tx) (err error) {
		p, err = signup.Preference(tx, brandID, personID)
		return err
	})
	if err != nil {
		return err
	}
	return h.preferencesPage(c, status, p, say, change)
}

func (h *house) preferencesPage(c echo.Context, status int, p signup.Preferences, saved string, change func(*Preferences)) error {
	l := speak(c, p.Subscriber.Language)
	p = p.Speak(l.Lang())
	page := Preferences{Frame: frame(c, p.Brand), Answer: answer(l, p, p.Brand.In(l.Lang()).Name), Action: here(c, "token"), Words: p.Words(), Email: p.Subscriber.Email, Stopped: p.Stopped}
	below := func(name string) string { return spoken(c, c.Param("token")+"/"+name) }
	page.OftenPage, page.AboutPage, page.GroupsPage, page.MailsPage = below("often"), below("about"), below("groups"), below("mails")
	page.DataPage, page.ForgetPage = below("data"), below("forget")
	if saved != "" {
		page.Saved = l.T(saved)
	}
	if p.Change != nil {
		page.Waiting = p.Change.Email
	}
	for _, choice := range p.Choices {
		shown := shownChoice(choice)
		if choice.On {
			shown.Receipt = h.URLs.Receipt(choice.Event)
			if choice.Often != choice.Promised {
				shown.Often = rate(l, choice.Often)
			}
			shown.Paused = choice.PausedUntil
		}
		if choice.Tracking() {
			page.Tracking = append(page.Tracking, shown)
		} else {
			page.Topics = append(page.Topics, shown)
		}
	}
	for _, lang := range p.Brand.Languages {
		if slices.Contains(i18n.Languages, lang) {
			page.Speaks = append(page.Speaks, Option{Value: lang, Label: i18n.For(lang).T("signup.language"), Selected: lang == p.Subscriber.Language})
		}
	}
	var err error
	if page.Community, err = h.communityLinks(c, p.Brand.ID); err != nil {
		return err
	}
	if change != nil {
		change(&page)
	}
	return web.Page(c, status, "public/preferences", page)
}

func shownChoice(c signup.Choice) Choice {
	shown := Choice{Name: c.Box.Name(), Title: c.Name, Description: c.Description, Wording: c.Label, Promise: c.Note, On: c.On}
	if c.On {
		shown.Since = c.Since
		if c.Until != nil {
			shown.Until = *c.Until
		}
	}
	return shown
}
