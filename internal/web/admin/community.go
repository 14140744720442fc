package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/problem"
	"assent/internal/signup"
	"assent/internal/store"
)

func communityActions() []action {
	return []action{
		look("/ideas", account.Reader, ideasPage),
		look("/ideas/settings", account.Owner, communitySettings),
		act("/ideas/settings", account.Owner, saveCommunity),
		look("/ideas/:id", account.Marketer, ideaPage),
		act("/ideas/:id", account.Marketer, openIdea),
		act("/ideas/:id/share", account.Marketer, shareIdea),
		act("/ideas/:id/answer", account.Marketer, answerIdea),
	}
}

// ideasAtOnce is how many ideas stand on a page.
const ideasAtOnce = 50

// IdeaLine is one idea in the list, and on its page.
type IdeaLine struct {
	URL           string // empty: the visitor may not decide
	Title, Reason string
	Seconds       int64
	State, Tone   string
	Answer        string
	At            time.Time
	Topic         string // address of the topic that it became; may be empty
}

// Ideas is the page admin/ideas.
type Ideas struct {
	Frame
	Views       []Tab
	Lines       []IdeaLine
	On          bool   // the brand asks for ideas
	Settings    string // address; empty: the visitor may not
	First, Next string
}

var ideaTones = map[signup.IdeaState]string{signup.IdeaProposed: "ask", signup.IdeaShared: "ask", signup.IdeaOpened: "yes", signup.IdeaAnswered: "no"}

var ideaStates = []signup.IdeaState{signup.IdeaProposed, signup.IdeaShared, signup.IdeaOpened, signup.IdeaAnswered}

func (d *desk) ideaLine(i signup.Idea) IdeaLine {
	line := IdeaLine{Title: i.Title, Reason: i.Reason, Seconds: i.Seconds, State: d.l.T("admin.ideas.state." + string(i.State)), Tone: ideaTones[i.State], Answer: i.Answer, At: i.CreatedAt}
	if d.may(account.Marketer) {
		line.URL = d.to("/ideas/" + i.ID.String())
	}
	if i.TopicID != nil && d.may(account.Marketer) {
		line.Topic = d.to("/topics/" + i.TopicID.String())
	}
	return line
}

// ideasPage lists what subscribers would like to hear about, by state.
func ideasPage(d *desk) error {
	page := Ideas{Frame: d.frame("ideas")}
	state := signup.IdeaState(d.c.QueryParam("state"))
	if !slices.Contains(ideaStates, state) {
		state = signup.IdeaProposed
	}
	for _, s := range ideaStates {
		page.Views = append(page.Views, Tab{View: d.l.T("admin.ideas.view." + string(s)), URL: d.to("/ideas", "state", string(s)), Current: s == state})
	}
	if d.may(account.Owner) {
		page.Settings = d.to("/ideas/settings")
	}
	var after uuid.UUID
	if typed := d.c.QueryParam("after"); typed != "" {
		id, err := uuid.Parse(typed)
		if err != nil {
			return problem.New(problem.Malformed, "problem.malformed").Because(err)
		}
		after, page.First = id, d.to("/ideas", "state", string(state))
	}
	err := d.read(func(tx *store.Tx) error {
		c, err := signup.CommunityOf(tx, d.brand.ID)
		if err != nil {
			return err
		}
		page.On = c.Ideas
		found, err := signup.ListIdeas(tx, d.brand.ID, state, after, ideasAtOnce+1)
		if err != nil {
			return err
		}
		if state != signup.IdeaShared && len(found) > ideasAtOnce {
			found = found[:ideasAtOnce]
			page.Next = d.to("/ideas", "state", string(state), "after", found[ideasAtOnce-1].ID.String())
		}
		for _, i := range found {
			page.Lines = append(page.Lines, d.ideaLine(i))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.draw("ideas", page)
}

// IdeaPage is the page admin/idea: what is to become of an idea.
type IdeaPage struct {
	Frame
	Idea   IdeaLine
	Sheet  Sheet // of the topic that it may become
	Texts  []LanguageFields
	Answer Sheet  // of the answer no
	Share  string // address; empty: it is shared, or decided
	Open   bool   // it is not decided on
	Back   string
}

func (d *desk) idea() (i signup.Idea, err error) {
	id, err := d.id("id")
	if err != nil {
		return i, err
	}
	err = d.read(func(tx *store.Tx) (err error) { i, err = signup.FindIdea(tx, d.brand.ID, id); return err })
	return i, err
}

func ideaPage(d *desk) error {
	i, err := d.idea()
	if err != nil {
		return err
	}
	s, err := d.sheet("/ideas/"+i.ID.String(), url.Values{"texts." + d.brand.Offers(i.Language) + ".name": {i.Title}}, "")
	if err != nil {
		return err
	}
	return drawIdea(d, i, nil)(http.StatusOK, s)
}

// drawIdea draws the page; with an answer that could not be given as it was typed.
func drawIdea(d *desk, i signup.Idea, answer *Sheet) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		page := IdeaPage{Frame: d.frame("ideas"), Idea: d.ideaLine(i), Sheet: s, Texts: d.languageFields(), Back: d.to("/ideas", "state", string(i.State)),
			Open: i.State == signup.IdeaProposed || i.State == signup.IdeaShared}
		if i.State == signup.IdeaProposed {
			page.Share = d.to("/ideas/" + i.ID.String() + "/share")
		}
		page.Answer = Sheet{Action: d.to("/ideas/" + i.ID.String() + "/answer"), Values: url.Values{}, Once: store.NewID(d.h.DB.Now())}
		page.Answer.Page = brandPath + d.brand.Slug + "/ideas/" + i.ID.String() + "/answer"
		if answer != nil {
			page.Answer = *answer
		}
		return d.drawAs(status, "idea", page)
	}
}

// openIdea makes a topic of an idea; whoever wished for it is told.
func openIdea(d *desk) error {
	i, err := d.idea()
	if err != nil {
		return err
	}
	err = d.change("idea.open", func(tx *store.Tx, form *Sheet) (done, error) {
		n, wrong := topicOf(form)
		if wrong != nil {
			return done{}, wrong
		}
		if n.Slug, err = d.freeSlug(tx, n.Texts); err != nil {
			return done{}, err
		}
		_, t, err := signup.OpenIdea(tx, signup.Defaults(d.h.URLs), d.brand, i.ID, n)
		return done{subject: t.ID, next: "/topics", detail: map[string]any{"name": t.Slug}}, err
	})
	return d.redraw(err, drawIdea(d, i, nil))
}

func shareIdea(d *desk) error {
	i, err := d.idea()
	if err != nil {
		return err
	}
	return d.change("idea.share", func(tx *store.Tx, _ *Sheet) (done, error) {
		_, err := signup.ShareIdea(tx, d.brand, i.ID)
		return done{subject: i.ID, next: "/ideas"}, err
	})
}

// answerIdea says no, and why.
func answerIdea(d *desk) error {
	i, err := d.idea()
	if err != nil {
		return err
	}
	err = d.change("idea.answer", func(tx *store.Tx, form *Sheet) (done, error) {
		_, err := signup.AnswerIdea(tx, d.brand, i.ID, form.text("answer"))
		return done{subject: i.ID, next: "/ideas"}, err
	})
	return d.redraw(err, func(status int, s Sheet) error {
		s.Drafts = ""
		fresh, err := d.sheet("/ideas/"+i.ID.String(), url.Values{"texts." + d.brand.Offers(i.Language) + ".name": {i.Title}}, "")
		if err != nil {
			return err
		}
		fresh.Page = strings.TrimSuffix(fresh.Page, "/answer")
		return drawIdea(d, i, &s)(status, fresh)
	})
}

// CommunityPage is the page admin/community: what subscribers may do.
type CommunityPage struct {
	Frame
	Sheet Sheet
	Texts []LanguageFields
	Forms []Choice
	Back  string
}

func communityValues(c signup.Community) url.Values {
	v := url.Values{}
	if c.Ideas {
		v.Set("ideas", "yes")
	}
	if c.Invitations {
		v.Set("invitations", "yes")
	}
	if c.FormID != nil {
		v.Set("form", c.FormID.String())
	}
	for lang, s := range c.Texts {
		v.Set("texts."+lang+".intro", s)
	}
	return v
}

func (d *desk) community() (c signup.Community, err error) {
	err = d.read(func(tx *store.Tx) (err error) { c, err = signup.CommunityOf(tx, d.brand.ID); return err })
	return c, err
}

func communitySettings(d *desk) error {
	c, err := d.community()
	if err != nil {
		return err
	}
	s, err := d.sheet("/ideas/settings", communityValues(c), versionOf(c.UpdatedAt))
	if err != nil {
		return err
	}
	return drawCommunity(d, c)(http.StatusOK, s)
}

func drawCommunity(d *desk, c signup.Community) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		page := CommunityPage{Frame: d.frame("ideas"), Sheet: s, Texts: d.languageFields(), Forms: []Choice{{Label: d.l.T("admin.community.no-form")}}, Back: d.to("/ideas")}
		err := d.read(func(tx *store.Tx) error {
			forms, err := signup.Newest(tx, d.brand.ID, uuid.Nil, 200)
			for _, f := range forms {
				if f.ClosedAt == nil {
					page.Forms = append(page.Forms, Choice{Value: f.ID.String(), Label: f.Name})
				}
			}
			return err
		})
		if err != nil {
			return err
		}
		if s.Changed {
			page.Sheet.Version = versionOf(c.UpdatedAt)
			page.Sheet.Theirs = d.theirs(communityValues(c), s.Values, "admin.community.field.")
		}
		return d.drawAs(status, "community", page)
	}
}

func saveCommunity(d *desk) error {
	c, err := d.community()
	if err != nil {
		return err
	}
	err = d.change("community.change", func(tx *store.Tx, form *Sheet) (done, error) {
		now, err := signup.LockCommunity(tx, d.brand.ID)
		if err != nil {
			return done{}, err
		}
		if c = now; form.current(now.UpdatedAt) != nil {
			return done{}, errChanged()
		}
		next := signup.Community{Ideas: form.Has("ideas", "yes"), Invitations: form.Has("invitations", "yes"), Texts: map[string]string{}}
		if typed := form.text("form"); typed != "" {
			id, err := uuid.Parse(typed)
			if err != nil {
				return done{}, problem.InvalidField("form", "problem.field.choice")
			}
			next.FormID = &id
		}
		for _, lang := range d.brand.Languages {
			next.Texts[lang] = form.text("texts." + lang + ".intro")
		}
		err = signup.SaveCommunity(tx, d.brand, next)
		return done{subject: d.brand.ID, next: "/ideas", detail: map[string]any{"ideas": next.Ideas, "invitations": next.Invitations}}, err
	})
	return d.redraw(err, drawCommunity(d, c))
}
