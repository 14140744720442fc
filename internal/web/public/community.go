package public

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/problem"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
)

// Ideas is the page public/ideas: what subscribers would like to hear about. It
// posts do=propose ("title", "reason"), second or unsecond ("idea") to Action.
type Ideas struct {
	Frame
	Action                  string
	Email, Intro            string
	Saved, Fault            string
	Member                  bool // they may take part
	Left                    int  // ideas that they may still propose
	Shared, Mine            []IdeaLine
	Title, Reason           string // as typed, when something was wrong
	TitleError, ReasonError string
	Preferences             string
}

// IdeaLine is one idea.
type IdeaLine struct {
	ID, Title, Reason string
	State, Tone       string
	Answer            string
	Seconds           int64
	Seconded, Own     bool
}

// Invite is the page public/invite. It posts "name", "email" and the boxes to Action.
type Invite struct {
	Frame
	Action                 string
	Email                  string
	Saved, Fault           string
	Member                 bool
	Left                   int
	Topics                 []Box
	Name, Friend           string
	NameError, FriendError string
	TopicsError            string
	Preferences            string
}

// CommunityLinks are the ways to the two pages; empty: the brand has none.
type CommunityLinks struct{ Ideas, Invite string }

// communityLinks are relative to a page under /p/TOKEN.
func (h *house) communityLinks(c echo.Context, brandID uuid.UUID) (l CommunityLinks, err error) {
	var community signup.Community
	err = h.read(c, func(tx *store.Tx) (err error) { community, err = signup.CommunityOf(tx, brandID); return err })
	if community.Ideas {
		l.Ideas = c.Param("token") + "/ideas" + query(c)
	}
	if community.Invitations {
		l.Invite = c.Param("token") + "/invite" + query(c)
	}
	return l, err
}

func query(c echo.Context) string {
	if lang := c.QueryParam("lang"); lang != "" {
		return "?" + url.Values{"lang": {lang}}.Encode()
	}
	return ""
}

func (h *house) showIdeas(c echo.Context) error {
	brandID, personID, err := h.URLs.ReadPreferences(c.Param("token"))
	if err != nil {
		return err
	}
	return h.ideasPage(c, http.StatusOK, brandID, personID, func(*Ideas) {})
}

// setIdeas proposes an idea, or seconds one, or takes that back.
func (h *house) setIdeas(c echo.Context) error {
	brandID, personID, err := h.URLs.ReadPreferences(c.Param("token"))
	if err != nil {
		return err
	}
	values, err := web.Form(c)
	if err != nil {
		return err
	}
	what := values.Get("do")
	do := func(tx *store.Tx) error {
		_, err := signup.Propose(tx, brandID, personID, values.Get("title"), values.Get("reason"), seen(c))
		return err
	}
	if what == "second" || what == "unsecond" {
		id, bad := uuid.Parse(values.Get("idea"))
		if bad != nil {
			return problem.New(problem.NotFound, "signup.idea.unknown")
		}
		do = func(tx *store.Tx) error { return signup.Second(tx, brandID, personID, id, what == "second", seen(c)) }
	} else if what != "propose" {
		return problem.InvalidField("do", "problem.field.choice")
	}
	err = h.write(c, do)
	if problem.Is(err, problem.Invalid) || problem.Is(err, problem.Conflict) {
		return h.ideasPage(c, web.Classify(err).Status, brandID, personID, func(page *Ideas) {
			text, said := web.Localizer(c).Problem(err)
			page.Title, page.Reason = values.Get("title"), values.Get("reason")
			page.TitleError, page.ReasonError = said["title"], said["reason"]
			if len(said) == 0 {
				page.Fault = text
			}
		})
	}
	if err != nil {
		return err
	}
	return h.ideasPage(c, http.StatusOK, brandID, personID, func(page *Ideas) { page.Saved = web.Localizer(c).T("public.ideas.did." + what) })
}

func (h *house) ideasPage(c echo.Context, status int, brandID, personID uuid.UUID, change func(*Ideas)) error {
	var p signup.IdeasPage
	err := h.read(c, func(tx *store.Tx) (err error) {
		p, err = signup.Ideas(tx, brandID, personID, c.QueryParam("lang"))
		return err
	})
	if err != nil {
		return err
	}
	speak(c, p.Subscriber.Language)
	page := Ideas{Frame: frame(c, p.Brand), Action: "ideas" + query(c), Email: p.Subscriber.Email, Intro: p.Intro, Member: p.Member, Left: max(p.Left, 0),
		Preferences: h.URLs.Preferences(brandID, personID)}
	line := func(i signup.Idea) IdeaLine {
		return IdeaLine{ID: i.ID.String(), Title: i.Title, Reason: i.Reason, State: string(i.State), Answer: i.Answer, Seconds: i.Seconds, Seconded: i.Seconded,
			Own:  i.SubscriberID != nil && *i.SubscriberID == personID,
			Tone: map[signup.IdeaState]string{signup.IdeaProposed: "ask", signup.IdeaShared: "ask", signup.IdeaOpened: "yes", signup.IdeaAnswered: "no"}[i.State]}
	}
	for _, i := range p.Shared {
		page.Shared = append(page.Shared, line(i))
	}
	for _, i := range p.Mine {
		page.Mine = append(page.Mine, line(i))
	}
	change(&page)
	return web.Page(c, status, "public/ideas", page)
}

func (h *house) showInvite(c echo.Context) error {
	brandID, personID, err := h.URLs.ReadPreferences(c.Param("token"))
	if err != nil {
		return err
	}
	return h.invitePage(c, http.StatusOK, brandID, personID, func(*Invite) {})
}

// sendInvite asks for the one mail to a friend. Its answer, and how long it takes,
// are the same for every address.
func (h *house) sendInvite(c echo.Context) error {
	begun := time.Now()
	brandID, personID, err := h.URLs.ReadPreferences(c.Param("token"))
	if err != nil {
		return err
	}
	values, err := web.Form(c)
	if err != nil {
		return err
	}
	if wait, ok := h.ips.Allow(web.ClientPlace(c), h.DB.Now()); !ok { // it writes to somebody, like a sign-up
		return web.TooMany(c, wait)
	}
	in := signup.Invitation{Email: values.Get("email"), Name: values.Get("name")}
	for name := range values {
		if slug, is := strings.CutPrefix(name, "topic:"); is {
			in.Topics = append(in.Topics, slug)
		}
	}
	var kept signup.Kept
	err = h.write(c, func(tx *store.Tx) (err error) {
		kept, err = signup.Invite(tx, h.Signup, brandID, personID, in, seen(c))
		return err
	})
	if problem.Is(err, problem.Invalid) || problem.Is(err, problem.Conflict) || problem.Is(err, problem.TooMany) {
		return h.invitePage(c, web.Classify(err).Status, brandID, personID, func(page *Invite) {
			text, said := web.Localizer(c).Problem(err)
			page.Name, page.Friend = in.Name, in.Email
			page.NameError, page.FriendError, page.TopicsError = said["name"], said["email"], said["topics"]
			for i := range page.Topics {
				page.Topics[i].Checked = values.Get(page.Topics[i].Name) != ""
			}
			if len(said) == 0 {
				page.Fault = text
			}
		})
	}
	if err != nil {
		return err
	}
	h.pace.keep(c.Request().Context(), begun, kept)
	return h.invitePage(c, http.StatusOK, brandID, personID, func(page *Invite) { page.Saved = web.Localizer(c).T("public.invite.sent") })
}

func (h *house) invitePage(c echo.Context, status int, brandID, personID uuid.UUID, change func(*Invite)) error {
	var p signup.InvitePage
	err := h.read(c, func(tx *store.Tx) (err error) {
		p, err = signup.Inviting(tx, brandID, personID, c.QueryParam("lang"))
		return err
	})
	if err != nil {
		return err
	}
	speak(c, p.Subscriber.Language)
	page := Invite{Frame: frame(c, p.Brand), Action: "invite" + query(c), Email: p.Subscriber.Email, Member: p.Member, Left: p.Left,
		Preferences: h.URLs.Preferences(brandID, personID)}
	for _, b := range p.Boxes {
		page.Topics = append(page.Topics, Box{Name: b.Name(), Wording: b.Label, Promise: b.Note})
	}
	change(&page)
	return web.Page(c, status, "public/invite", page)
}
