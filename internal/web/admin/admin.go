package admin

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/delivery/catcher"
	"assent/internal/delivery/provider"
	"assent/internal/delivery/throttle"
	"assent/internal/i18n"
	"assent/internal/link"
	"assent/internal/mailauth"
	"assent/internal/problem"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
	"assent/internal/web/admin/help"
)

// Deps is what the pages stand on.
type Deps struct {
	DB       *store.DB
	URLs     link.URLs
	Door     *account.Door
	Sessions *account.Sessions

	// Preview answers with a form as a visitor would see it, which nobody can
	// send: its view is "page", "inline", "button" or "done", its theme "light"
	// or "dark"; in gives the address of the same in another language, and may be nil.
	Preview func(c echo.Context, s signup.Sheet, view, theme string, in func(lang string) string) error

	Mailbox     *catcher.Mailbox // nil: there is no /mailbox
	OpenMailbox bool             // a demonstration: /mailbox asks for no sign-in, and / leads to /demo

	Out         delivery.Out                 // how mail leaves
	Held        Held                         // nil: nothing is held back
	Checker     *mailauth.Checker            // looks at senders' domains
	Checks      *web.Limiter                 // of that; nil: one of its own
	GenerateKey func(string) ([]byte, error) // makes a DKIM key, PKCS #8 in PEM
	WarmUp      provider.WarmUp

	Done  <-chan struct{} // closed when the server begins to stop, so that no live page holds it up; nil: never
	Every time.Duration   // how often a live page is looked at; 0: two seconds
}

// Held tells the limits that the nodes share; see throttle.Throttle.
type Held func(ctx context.Context) ([]throttle.Held, error)

const usualEvery = 2 * time.Second

// How long somebody waits before they are told that the database is away. Who
// comes is a matter of three keys, so a database that is slower than that does
// not answer at all; a page may count for long.
const (
	visitMost = 4 * time.Second
	pageMost  = 30 * time.Second
)

// The addresses.
const (
	homePath    = "/admin"
	signInPath  = "/admin/sign-in"
	signOutPath = "/admin/sign-out"

	welcomePath    = "/admin/welcome"
	newBrandPath   = "/admin/brands/new"
	accountPath    = "/admin/account"
	forgottenPath  = "/admin/forgotten"
	resetPath      = "/admin/reset/"
	invitationPath = "/admin/invitation/"

	mailboxPath = "/mailbox"
	apiPath     = "/api/docs"
	demoPath    = "/demo"
)

var errIncomplete = errors.New("the team's pages need a database, a door, sessions, the public address and a way to draw a form")

// house is the pages with what they stand on.
type house struct {
	Deps
	counts   counter
	renderer *delivery.Renderer
	mailings mailings
	tries    *web.Limiter // of those who are not signed in, by their place
	letters  *web.Limiter // invitations, by brand
	ready    sync.Map     // ids of brands that are set up
	settled  atomic.Bool  // there is an account; there will always be one
	tallies  memo[string, []signup.Tally]
	shown    memo[string, []consent.Shown]

	histories memo[seriesKey, series]
	waiting   memo[uuid.UUID, int64] // mails, by stream
	flows     memo[uuid.UUID, []delivery.Flow]
	houses    memo[uuid.UUID, houseWork]
	trials    *web.Limiter
	journeys  journeys
}

// How much is let through in a minute, by this process.
const (
	triesAMinute   = 20
	placesKnown    = 10_000
	lettersAMinute = 10
	lettersAtOnce  = 30
)

// Mount adds /, /admin, /help and, where there is a mailbox, /mailbox.
func Mount(e *echo.Echo, d Deps) error {
	if d.DB == nil || d.Door == nil || d.Sessions == nil || d.URLs.Base == nil || d.Preview == nil {
		return errIncomplete
	}
	if _, err := help.Read(i18n.Languages[0]); err != nil {
		return err
	}
	if d.Every <= 0 {
		d.Every = usualEvery
	}
	if d.Held == nil {
		d.Held = func(context.Context) ([]throttle.Held, error) { return nil, nil }
	}
	if d.Checks == nil {
		d.Checks = web.DomainChecks()
	}
	h := &house{Deps: d, trials: web.NewLimiter(trialsPerMinute, trialsAtOnce, trialBrands), counts: counter{db: d.DB}, renderer: delivery.NewRenderer(d.DB, d.URLs),
		tries: web.NewLimiter(triesAMinute, triesAMinute, placesKnown), letters: web.NewLimiter(lettersAMinute, lettersAtOnce, placesKnown)}
	e.GET("/", h.front)
	e.GET(signInPath, h.askSignIn)
	e.POST(signInPath, h.signIn)
	e.POST(signOutPath, h.signOut)
	h.mountDoor(e)
	e.GET(homePath, h.page(h.home))
	e.GET(helpPath, h.reader(helpStart))
	e.GET(helpPath+"/:page", h.reader(helpPage))
	for _, a := range actions() {
		e.Add(a.method, brandPath+":brand"+a.path, h.at(a))
	}
	if d.Mailbox != nil {
		e.GET(mailboxPath, h.page(h.mails))
		e.GET(mailboxPath+"/live", h.mailboxLive)
		e.GET(mailboxPath+"/:id", h.page(h.letter))
		e.GET(mailboxPath+"/:id/html", h.page(h.letterHTML))
	}
	return nil
}

// front sends whoever comes to the bare address on.
func (h *house) front(c echo.Context) error {
	if h.OpenMailbox {
		return web.SeeOther(c, to(c, demoPath))
	}
	return web.SeeOther(c, to(c, homePath))
}

// visit is who looks at a page, and the brands that they have a role at. At an
// open mailbox it may be nobody, with no brands.
type visit struct {
	account.Actor
	signedIn bool
	brands   []brand.Brand // by name
	all      bool          // they own every brand there is
	first    bool          // there is no brand yet
}

// page draws for who is signed in, in their language, and asks others to sign in first.
func (h *house) page(draw func(echo.Context, visit) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		v, err := h.visit(c)
		if problem.Is(err, problem.Unauthorized) {
			return web.SeeOther(c, to(c, signInPath, "next", c.Request().URL.RequestURI()))
		}
		if err != nil {
			return err
		}
		speak(c, v)
		return draw(c, v)
	}
}

// visit reads the session anew, so what was taken from a user counts at once. It
// is problem.Unauthorized for nobody, but where the mailbox is open.
func (h *house) visit(c echo.Context) (v visit, err error) {
	asking, cancel := context.WithTimeout(c.Request().Context(), visitMost)
	defer cancel()
	ctx, err := h.Sessions.Load(c.Request().WithContext(asking))
	if err != nil {
		return visit{}, err
	}
	v.Actor, err = h.Sessions.Actor(ctx)
	if problem.Is(err, problem.Unauthorized) && h.OpenMailbox && isMailbox(c) {
		return visit{all: true}, nil
	}
	if err != nil {
		return visit{}, err
	}
	v.signedIn = true
	return v, h.reach(asking, &v)
}

// reach fills in the brands.
func (h *house) reach(ctx context.Context, v *visit) error {
	return h.DB.Read(ctx, func(tx *store.Tx) error {
		all, err := brand.List(tx)
		if err != nil {
			return err
		}
		v.all, v.first = true, len(all) == 0
		for _, b := range all {
			role := v.Role(b.ID)
			if role.Valid() {
				v.brands = append(v.brands, b)
			}
			v.all = v.all && role == account.Owner
		}
		return nil
	})
}

// at is the brand that the address names by its slug, else the oldest of the
// user's. A brand that the user has no role at is not there. ok is false for a
// user without any.
func (v visit) at(c echo.Context) (b brand.Brand, ok bool, err error) {
	slug := c.QueryParam("brand")
	i := slices.IndexFunc(v.brands, func(b brand.Brand) bool {
		return b.Slug == slug || slug == "" && b.ID == v.Memberships[0].BrandID
	})
	if i < 0 && slug != "" {
		return brand.Brand{}, false, problem.New(problem.NotFound, "brand.unknown")
	}
	if i < 0 {
		return brand.Brand{}, false, nil
	}
	return v.brands[i], true, nil
}

// speak is the language of ?lang=, else of the user, else of the browser.
func speak(c echo.Context, v visit) {
	if v.signedIn && chosenLanguage(c) == "" {
		web.SetLanguage(c, v.User.Language)
	}
}

// chosenLanguage is that of ?lang=, where it is one that we speak.
func chosenLanguage(c echo.Context) string {
	if lang := c.QueryParam("lang"); slices.Contains(i18n.Languages, lang) {
		return lang
	}
	return ""
}

// to is an address of ours with name, value pairs, the empty ones left out; a
// language that was chosen for this page stays chosen for that one.
func to(c echo.Context, path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if lang := chosenLanguage(c); lang != "" && !q.Has("lang") {
		q.Set("lang", lang)
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// frame is what stands around the page.
func (h *house) frame(c echo.Context, v visit, zone *time.Location) Frame {
	l, here := web.Localizer(c), c.Request().URL.Path
	f := Frame{Zone: zone, Languages: languages(c), Notice: told(c), HelpQuery: to(c, ""), Reading: isHelp(c)}
	if !v.signedIn && isHelp(c) {
		f.Nav = append(f.Nav, NavItem{Label: l.T("admin.signin.title"), URL: to(c, signInPath)})
	} else if !strings.HasPrefix(here, brandPath) && !isHelp(c) && (len(v.brands) > 0 || here == homePath || isMailbox(c)) || isHelp(c) && len(v.brands) == 0 {
		f.Nav = append(f.Nav, NavItem{Label: l.T("admin.nav.overview"), URL: to(c, homePath), Current: here == homePath})
	}
	if h.Mailbox != nil && v.all {
		f.Nav = append(f.Nav, NavItem{Label: l.T("admin.nav.mailbox"), URL: to(c, mailboxPath), Current: isMailbox(c)})
	}
	f.Nav = append(f.Nav, NavItem{Label: l.T("admin.nav.api"), URL: apiPath})
	if v.signedIn {
		f.Nav = append(f.Nav, NavItem{Label: l.T("admin.nav.account"), URL: to(c, accountPath), Current: strings.HasPrefix(here, accountPath)})
		f.User, f.UserID, f.SignOut = v.User.Name, v.User.ID.String(), to(c, signOutPath)
	}
	return f
}

// languages offers this very page in each language; name, value pairs stand in
// for what its address says.
func languages(c echo.Context, pairs ...string) []Language {
	q := c.Request().URL.Query()
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	all := make([]Language, len(i18n.Languages))
	for i, lang := range i18n.Languages {
		q.Set("lang", lang)
		all[i] = Language{Code: lang, Name: i18n.For(lang).T("admin.language"), URL: c.Request().URL.Path + "?" + q.Encode(),
			Current: lang == web.Localizer(c).Lang()}
	}
	return all
}

func isHelp(c echo.Context) bool {
	return c.Path() == helpPath || strings.HasPrefix(c.Path(), helpPath+"/")
}

func isMailbox(c echo.Context) bool {
	return c.Path() == mailboxPath || strings.HasPrefix(c.Path(), mailboxPath+"/")
}

// local is where to go after signing in: only ever a page of ours. A browser
// takes \ for / and drops tabs and line ends, so an address with any of these
// is not trusted to be what it looks like.
func local(next string) string {
	u, err := url.Parse(next)
	odd := func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.ContainsFunc(next, odd) ||
		!strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.HasPrefix(u.Path, signInPath) {
		return homePath
	}
	return next
}
