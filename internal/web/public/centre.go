package public

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/campaign"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/link"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/sequence"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
)

// The pages below a person's preferences: how often and when not, what is known
// of them, the groups they are in, and what they were sent.

const (
	mailsShown     = 20
	campaignsShown = 10
)

// room is one page of the centre: what it does with a post, and how it is drawn.
type room struct {
	name string
	do   func(c echo.Context, values url.Values, l *i18n.Localizer, brandID, personID uuid.UUID) (saved string, do func(tx *store.Tx) error)
	page func(h *house, c echo.Context, tx *store.Tx, p signup.Preferences, in inRoom) (name string, page any, err error)
}

// inRoom is what stands on each page of the centre, and what was wrong in a post.
type inRoom struct {
	saved  string
	values url.Values
	wrong  map[string]string
}

func (h *house) mountCentre(e *echo.Echo, look []string) {
	for _, r := range []room{{"often", changeOften, oftenPage}, {"about", changeAbout, aboutPage}, {"groups", changeGroups, groupsPage}, {"mails", nil, mailsPage}} {
		e.Match(look, "/p/:token/"+r.name, func(c echo.Context) error { return h.showRoom(c, r, http.StatusOK, inRoom{}) }, private)
		if r.do != nil {
			e.POST("/p/:token/"+r.name, func(c echo.Context) error { return h.changeRoom(c, r) }, private)
		}
	}
}

func (h *house) showRoom(c echo.Context, r room, status int, in inRoom) error {
	brandID, personID, err := h.URLs.ReadPreferences(c.Param("token"))
	if err != nil {
		return err
	}
	var name string
	var page any
	err = h.read(c, func(tx *store.Tx) error {
		p, err := signup.Preference(tx, brandID, personID)
		if err != nil {
			return err
		}
		l := speak(c, p.Subscriber.Language)
		name, page, err = r.page(h, c, tx, p.Speak(l.Lang()), in)
		return err
	})
	if err != nil {
		return err
	}
	if mails, ok := page.(Mails); ok { // drawn outside of the transaction: drawing reads
		for i, m := range mails.drawn {
			mails.Mails[i].Subject = h.subject(c, m)
		}
	}
	return web.Page(c, status, name, page)
}

// changeRoom does what the post asks for, and shows the page as it is then, or
// as it was typed where something is wrong with it.
func (h *house) changeRoom(c echo.Context, r room) error {
	brandID, personID, err := h.URLs.ReadPreferences(c.Param("token"))
	if err != nil {
		return err
	}
	values, err := web.Form(c)
	if err != nil {
		return err
	}
	var saved string
	err = h.write(c, func(tx *store.Tx) error {
		p, err := signup.Preference(tx, brandID, personID)
		if err != nil {
			return err
		}
		var do func(tx *store.Tx) error
		if saved, do = r.do(c, values, speak(c, p.Subscriber.Language), brandID, personID); do == nil {
			return problem.InvalidField("do", "problem.field.choice")
		}
		return do(tx)
	})
	if problem.Is(err, problem.Invalid) || problem.Is(err, problem.Conflict) {
		title, wrong := web.Localizer(c).Problem(err)
		if len(wrong) == 0 {
			wrong = map[string]string{"": title}
		}
		status := http.StatusUnprocessableEntity
		if problem.Is(err, problem.Conflict) {
			status = http.StatusConflict
		}
		return h.showRoom(c, r, status, inRoom{values: values, wrong: wrong})
	}
	if err != nil {
		return err
	}
	return h.showRoom(c, r, http.StatusOK, inRoom{saved: saved})
}

// beside is the address of a page of the centre from another one.
func beside(c echo.Context, name string) string { return spoken(c, name) }

// back leads from a page of the centre to the preferences.
func back(c echo.Context) string { return spoken(c, "../"+c.Param("token")) }

// spoken keeps the language that the visitor chose.
func spoken(c echo.Context, address string) string {
	if lang := c.QueryParam("lang"); lang != "" {
		return address + "?" + url.Values{"lang": {lang}}.Encode()
	}
	return address
}

// answer is where a person stands, in a sentence.
func answer(l *i18n.Localizer, p signup.Preferences, brand string) string {
	if p.Subscriber.ObjectedAt != nil {
		return l.T("public.centre.answer.objected", "Brand", brand)
	}
	on, week, month, bounded := 0, 0, 0, true
	var until time.Time
	for _, c := range p.Choices {
		if c.Tracking() || !c.On {
			continue
		}
		if !c.PausedUntil.IsZero() {
			if until.IsZero() || c.PausedUntil.Before(until) {
				until = c.PausedUntil
			}
			continue
		}
		on++
		if c.Often.Max == 0 {
			bounded = false
			continue
		}
		week += c.Often.Max * ((7 + c.Often.Days - 1) / c.Often.Days)
		month += c.Often.Max * ((30 + c.Often.Days - 1) / c.Often.Days)
	}
	topics := l.N("public.centre.topics", int64(on))
	switch {
	case on == 0 && !until.IsZero():
		return l.T("public.centre.answer.paused", "Until", l.Date(until, p.Subscriber.Location(p.Brand)))
	case on == 0:
		return l.T("public.centre.answer.none", "Brand", brand)
	case !bounded:
		return l.T("public.centre.answer.open", "Topics", topics)
	case month <= week*2: // rarely: a week would promise less than there is
		return l.T("public.centre.answer.most", "Topics", topics, "Most", l.N("public.centre.month", int64(month)))
	}
	return l.T("public.centre.answer.most", "Topics", topics, "Most", l.N("public.centre.week", int64(week)))
}

// ── how often, and when not ──────────────────────────────────────────────────

func changeOften(c echo.Context, values url.Values, l *i18n.Localizer, brandID, personID uuid.UUID) (string, func(*store.Tx) error) {
	slug := strings.TrimPrefix(values.Get("topic"), "topic:")
	switch values.Get("do") {
	case "often":
		most, days, _ := strings.Cut(values.Get("promise"), "/")
		var p consent.Promise
		var err, err2 error
		p.Max, err = strconv.Atoi(most)
		p.Days, err2 = strconv.Atoi(days)
		if err != nil || err2 != nil {
			return "", func(*store.Tx) error { return problem.InvalidField("promise", "problem.field.choice") }
		}
		return l.T("public.often.saved"), func(tx *store.Tx) error { return signup.Often(tx, brandID, personID, slug, p, seen(c)) }
	case "pause":
		r := signup.Rest{Topic: slug, Until: values.Get("until")}
		if days, err := strconv.Atoi(values.Get("for")); err == nil && days > 0 {
			r.Days = days
		}
		return l.T("public.often.paused"), func(tx *store.Tx) error { return signup.Hold(tx, brandID, personID, r, seen(c)) }
	case "resume":
		return l.T("public.often.resumed"), func(tx *store.Tx) error {
			return signup.Hold(tx, brandID, personID, signup.Rest{Topic: slug, End: true}, seen(c))
		}
	}
	return "", nil
}

func oftenPage(_ *house, c echo.Context, tx *store.Tx, p signup.Preferences, in inRoom) (string, any, error) {
	l, zone := web.Localizer(c), p.Subscriber.Location(p.Brand)
	page := Often{Frame: frame(c, p.Brand), Action: beside(c, "often"), Back: back(c), Email: p.Subscriber.Email, Saved: in.saved, Answer: answer(l, p, p.Brand.In(l.Lang()).Name),
		Until: in.values.Get("until"), UntilError: in.wrong["until"], For: in.values.Get("for")}
	for _, field := range []string{"promise", "topic", ""} {
		if page.Wrong == "" {
			page.Wrong = in.wrong[field]
		}
	}
	for _, choice := range p.Choices {
		if choice.Tracking() || !choice.On {
			continue
		}
		t := OftenTopic{Name: choice.Box.Name(), Title: choice.Name, Now: rate(l, choice.Often)}
		if !choice.PausedUntil.IsZero() {
			t.Paused = choice.PausedUntil
		}
		for i, o := range append([]consent.Promise{choice.Promised}, choice.Slower...) {
			label := rate(l, o)
			if i == 0 {
				label = l.T("public.often.promised", "Promise", label)
			}
			t.Rates = append(t.Rates, Option{Value: strconv.Itoa(o.Max) + "/" + strconv.Itoa(o.Days), Label: label, Selected: o == choice.Often})
		}
		page.Topics = append(page.Topics, t)
	}
	for _, days := range []int{7, 30, 90} {
		page.Presets = append(page.Presets, Option{Value: strconv.Itoa(days), Label: l.T("public.often.for."+strconv.Itoa(days), "Until", l.Date(tx.Now().In(zone).AddDate(0, 0, days), zone))})
	}
	tomorrow := tx.Now().In(zone).AddDate(0, 0, 1)
	page.Zone, page.Soonest, page.Latest = zone, l.Day(tomorrow, zone), l.Day(tx.Now().In(zone).AddDate(1, 0, 0), zone)
	return "public/often", page, nil
}

func rate(l *i18n.Localizer, p consent.Promise) string {
	if p.Max == 0 {
		return l.T("public.often.open")
	}
	return p.In(l)
}

// ── what is known ────────────────────────────────────────────────────────────

func changeAbout(c echo.Context, values url.Values, l *i18n.Localizer, brandID, personID uuid.UUID) (string, func(*store.Tx) error) {
	if values.Get("do") != "about" {
		return "", nil
	}
	typed := map[string]string{}
	for name := range values {
		typed[name] = values.Get(name)
	}
	return l.T("public.about.saved"), func(tx *store.Tx) error { return signup.Correct(tx, brandID, personID, typed, seen(c)) }
}

func aboutPage(_ *house, c echo.Context, tx *store.Tx, p signup.Preferences, in inRoom) (string, any, error) {
	l := web.Localizer(c)
	k, err := p.KnownOf(tx)
	if err != nil {
		return "", nil, err
	}
	page := About{Frame: frame(c, p.Brand), Action: beside(c, "about"), Back: back(c), Groups: beside(c, "groups"), Email: p.Subscriber.Email, Saved: in.saved, Wrong: in.wrong[""]}
	sheet := signup.Sheet{Brand: p.Brand, Language: l.Lang()}
	add := func(f Field) {
		if in.values.Has(f.Name) {
			f.Value = in.values.Get(f.Name)
		}
		if f.Error = in.wrong[f.Name]; f.Error != "" {
			page.Faults = append(page.Faults, Fault{Field: f.Name, Text: f.Error})
		}
		page.Fields = append(page.Fields, f)
	}
	for _, f := range k.Fields {
		shown := Field{Name: f.Name, Label: f.Label(l, sheet), Type: f.Type, Value: f.Value, MaxLength: 500}
		if f.Name == "name" {
			shown.Autocomplete, shown.MaxLength = "name", 120
		}
		if f.Type == "" {
			shown.Type = "text"
		}
		if f.Type == "select" {
			was := f.Value == ""
			for _, o := range f.Options {
				shown.Options = append(shown.Options, Option{Value: o.Value, Label: o.Label(sheet), Selected: o.Value == f.Value})
				was = was || o.Value == f.Value
			}
			if !was { // what was chosen once, and is not offered any more
				shown.Options = append(shown.Options, Option{Value: f.Value, Label: f.Value, Selected: true})
			}
		}
		add(shown)
	}
	add(Field{Name: "time_zone", Label: l.T("public.about.zone"), Type: "text", Value: p.Subscriber.TimeZone, MaxLength: 64,
		Hint: l.T("public.about.zone-hint", "Zone", p.Brand.TimeZone)})
	if since := p.Subscriber.CustomerSince; since != nil {
		page.Others = append(page.Others, Datum{l.T("public.about.customer"), l.Date(*since, p.Subscriber.Location(p.Brand))})
	}
	for _, f := range k.Others {
		page.Others = append(page.Others, Datum{f.Name, f.Value})
	}
	page.Tags = len(k.Tags)
	page.Contact = p.Brand.SenderEmail
	if p.Brand.ReplyTo != "" {
		page.Contact = p.Brand.ReplyTo
	}
	return "public/about", page, nil
}

// ── groups ───────────────────────────────────────────────────────────────────

func changeGroups(c echo.Context, values url.Values, l *i18n.Localizer, brandID, personID uuid.UUID) (string, func(*store.Tx) error) {
	if values.Get("do") != "object" {
		return "", nil
	}
	return l.T("public.groups.objected-now"), func(tx *store.Tx) error { return signup.Object(tx, brandID, personID, seen(c)) }
}

func groupsPage(_ *house, c echo.Context, tx *store.Tx, p signup.Preferences, in inRoom) (string, any, error) {
	l, zone := web.Localizer(c), p.Subscriber.Location(p.Brand)
	page := Groups{Frame: frame(c, p.Brand), Action: beside(c, "groups"), Back: back(c), Email: p.Subscriber.Email, Saved: in.saved}
	if p.Subscriber.ObjectedAt != nil {
		page.Objected = *p.Subscriber.ObjectedAt
		return "public/groups", page, nil
	}
	names, err := topicNames(tx, p.Brand.ID, func(t consent.Topic) string { return t.In(p.Brand, l.Lang()).Name })
	if err != nil {
		return "", nil, err
	}
	k, err := p.KnownOf(tx)
	if err != nil {
		return "", nil, err
	}
	aimed, err := campaign.AimedAt(tx, p.Brand.ID, k.Tags, campaignsShown)
	if err != nil {
		return "", nil, err
	}
	for _, tag := range k.Tags {
		g := Group{Name: tag}
		for _, m := range aimed {
			if m.Tag == tag {
				g.Uses = append(g.Uses, l.T("public.groups.letter", "Topic", names[m.TopicID], "At", l.Date(m.CreatedAt, zone)))
			}
		}
		page.Tags = append(page.Tags, g)
	}
	offers, err := offer.StandingsOf(tx, p.Brand.ID, p.Subscriber.ID)
	if err != nil {
		return "", nil, err
	}
	for _, o := range offers {
		page.Offers = append(page.Offers, Rule{Title: titleOf(o.Offer, l.Lang(), p.Brand.Language), Rule: rules(l, o.Offer), Known: knownBy(l, o, zone), Meets: o.Meets, Has: o.Has})
	}
	journeys, err := sequence.JourneysOf(tx, p.Brand.ID, p.Subscriber.ID)
	if err != nil {
		return "", nil, err
	}
	for _, j := range journeys {
		key := "public.groups.series"
		if j.Over() {
			key = "public.groups.series-over"
		}
		page.Series = append(page.Series, l.T(key, "Topic", names[j.TopicID], "At", l.Date(j.JoinedAt, zone), "Had", j.Had, "Mails", j.Mails))
	}
	return "public/groups", page, nil
}

func topicNames(tx *store.Tx, brandID uuid.UUID, name func(consent.Topic) string) (map[uuid.UUID]string, error) {
	topics, err := consent.AllTopics(tx, brandID)
	if err != nil {
		return nil, err
	}
	names := make(map[uuid.UUID]string, len(topics))
	for _, t := range topics {
		names[t.ID] = name(t)
	}
	return names, nil
}

// titleOf is what an offer is called to people.
func titleOf(o offer.Offer, langs ...string) string {
	for _, lang := range langs {
		if t := o.Texts[lang].Title; t != "" {
			return t
		}
	}
	for _, t := range o.Texts {
		return t.Title
	}
	return ""
}

// rules puts an offer's conditions into words.
func rules(l *i18n.Localizer, o offer.Offer) string {
	var ways []string
	if o.MinMonths > 0 {
		ways = append(ways, l.N("public.rule.months", int64(o.MinMonths)))
	}
	if o.MinOrders > 0 {
		ways = append(ways, l.N("public.rule.orders", int64(o.MinOrders)))
	}
	if o.MinValue > 0 {
		ways = append(ways, l.T("public.rule.value", "Value", offer.Money(l, o.MinValue, o.Currency)))
	}
	return strings.Join(ways, l.T("public.rule.or"))
}

// knownBy is what is known of somebody that the offer's conditions look at.
func knownBy(l *i18n.Localizer, o offer.Standing, zone *time.Location) (all []Datum) {
	if o.MinMonths > 0 {
		since := l.T("public.rule.never")
		if o.CustomerSince != nil {
			since = l.Date(*o.CustomerSince, zone)
		}
		all = append(all, Datum{l.T("public.about.customer"), since})
	}
	if o.MinOrders > 0 {
		all = append(all, Datum{l.T("public.rule.your-orders"), l.Number(int64(o.Orders))})
	}
	if o.MinValue > 0 {
		all = append(all, Datum{l.T("public.rule.your-value"), offer.Money(l, o.Worth, o.Currency)})
	}
	return all
}

// ── what they were sent ──────────────────────────────────────────────────────

func mailsPage(h *house, c echo.Context, tx *store.Tx, p signup.Preferences, _ inRoom) (string, any, error) {
	l := web.Localizer(c)
	page := Mails{Frame: frame(c, p.Brand), Back: back(c), Email: p.Subscriber.Email}
	before := uuid.Nil
	if typed := c.QueryParam("before"); typed != "" {
		var err error
		if before, err = uuid.Parse(typed); err != nil {
			return "", nil, problem.New(problem.NotFound, "link.unknown")
		}
		page.Newer = beside(c, "mails")
	}
	all, err := delivery.Received(tx, p.Brand.ID, p.Subscriber.ID, before, mailsShown+1)
	if err != nil {
		return "", nil, err
	}
	names, err := topicNames(tx, p.Brand.ID, func(t consent.Topic) string { return t.In(p.Brand, l.Lang()).Name })
	if err != nil {
		return "", nil, err
	}
	if len(all) > mailsShown {
		all = all[:mailsShown]
		query := url.Values{"before": {all[mailsShown-1].ID.String()}}
		if lang := c.QueryParam("lang"); lang != "" {
			query.Set("lang", lang)
		}
		page.Older = "mails?" + query.Encode()
	}
	for _, m := range all {
		ref := link.Message{Source: m.SourceID, ID: m.ID}
		line := MailLine{Why: h.URLs.Why(ref)}
		if m.SettledAt != nil {
			line.At = *m.SettledAt
		}
		if m.ContentID != nil {
			line.View = h.URLs.View(ref)
		}
		if m.TopicID != nil {
			line.Topic = names[*m.TopicID]
		}
		page.Mails = append(page.Mails, line)
	}
	page.Zone, page.drawn = p.Subscriber.Location(p.Brand), all
	return "public/mails", page, nil
}

// subject is that of a mail as it was sent; mails of our own wording are named
// by what they are.
func (h *house) subject(c echo.Context, m delivery.Message) string {
	l := web.Localizer(c)
	if m.ContentID == nil {
		if slices.Contains(ownMails, m.Template) {
			return l.T("public.mail." + m.Template)
		}
		return l.T("public.mail.other")
	}
	body, err := h.View(c.Request().Context(), m)
	if err != nil || title(body) == "" {
		return l.T("public.mail.other")
	}
	return title(body)
}

// ownMails are the templates of mails that go to subscribers in our own words.
var ownMails = []string{"confirm", "already", "welcome", "invite", "address-old", "address-new", "permission", "renewal", "purpose", "silent",
	"idea-opened", "request-answer"}
