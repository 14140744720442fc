package admin

import (
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/store"
	"assent/internal/web"
)

func teamActions() []action {
	return []action{
		look("/team", account.Owner, team),
		act("/team", account.Owner, invite),
		act("/team/:id/role", account.Owner, changeRole),
		act("/team/:id/remove", account.Owner, removeMember),
		act("/team/invitations/:id/again", account.Owner, inviteAgain),
		act("/team/invitations/:id/revoke", account.Owner, revokeInvitation),
	}
}

// MemberLine is somebody of the team.
type MemberLine struct {
	ID                uuid.UUID
	Name, Email, Role string // Role in words
	You, Only         bool   // Only: the only owner, who stays one
	Change, Remove    string // addresses
	Ask               string // before they are removed
	Sheet             Sheet  // the role that they have
}

// InvitedLine is an invitation that waits.
type InvitedLine struct {
	Email, Role   string
	Sent, Until   time.Time
	Over          bool
	Again, Revoke string
	Once          Sheet
}

// Team is the page admin/team.
type Team struct {
	Frame
	Members []MemberLine
	Invited []InvitedLine
	Roles   []Choice
	Choices []Choice // languages
	Sheet   Sheet    // to invite
}

// team are the people of the brand's team, by name.
func (d *desk) team(tx *store.Tx) ([]account.Member, error) {
	all, err := account.Members(tx, d.brand.ID)
	i18n.Sort(d.l.Lang(), all, func(m account.Member) string { return m.Name })
	return all, err
}

func team(d *desk) error {
	s, err := d.sheet("/team", url.Values{"role": {string(account.Marketer)}, "language": {d.l.Lang()}}, "")
	if err != nil {
		return err
	}
	return drawTeam(d)(http.StatusOK, s)
}

func (d *desk) roles() (all []Choice) {
	for _, r := range []account.Role{account.Owner, account.Marketer, account.Analyst, account.Reader} {
		all = append(all, Choice{Value: string(r), Label: d.l.T("admin.role." + string(r)), Hint: d.l.T("admin.role-text." + string(r))})
	}
	return all
}

func drawTeam(d *desk) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		page := Team{Frame: d.frame("team"), Sheet: s, Roles: d.roles(), Choices: languageChoices()}
		err := d.read(func(tx *store.Tx) error {
			members, err := d.team(tx)
			if err != nil {
				return err
			}
			owners := 0
			for _, m := range members {
				if m.Role == account.Owner {
					owners++
				}
			}
			for _, m := range members {
				page.Members = append(page.Members, d.memberLine(m, owners))
			}
			invited, err := account.Invitations(tx, d.brand.ID)
			for _, i := range invited {
				at := d.to("/team/invitations/" + i.ID.String())
				page.Invited = append(page.Invited, InvitedLine{Email: i.Email, Role: d.l.T("admin.role." + string(i.Role)), Sent: i.SentAt, Until: i.ExpiresAt, Over: !tx.Now().Before(i.ExpiresAt),
					Again: at + "/again", Revoke: at + "/revoke", Once: Sheet{Once: tx.NewID()}})
			}
			return err
		})
		if err != nil {
			return err
		}
		return d.drawAs(status, "team", page)
	}
}

func (d *desk) memberLine(m account.Member, owners int) MemberLine {
	at, ask := "/team/"+m.ID.String(), "admin.team.ask-remove"
	if m.ID == d.User.ID {
		ask = "admin.team.ask-leave"
	}
	return MemberLine{ID: m.ID, Name: m.Name, Email: m.Email, Role: d.l.T("admin.role." + string(m.Role)), You: m.ID == d.User.ID, Only: m.Role == account.Owner && owners == 1,
		Change: d.to(at + "/role"), Remove: d.to(at + "/remove"), Ask: d.l.T(ask, "Name", m.Name, "Brand", d.brand.In(d.l.Lang()).Name),
		Sheet: Sheet{Values: url.Values{"role": {string(m.Role)}}, Once: store.NewID(d.h.DB.Now())}}
}

func invite(d *desk) error {
	err := d.mayWrite()
	if err != nil {
		return err
	}
	err = d.change("team.invite", func(tx *store.Tx, form *Sheet) (done, error) {
		i, token, err := account.Invite(tx, account.NewInvitation{BrandID: d.brand.ID, Email: form.text("email"), Role: account.Role(form.Value("role")), Language: form.Value("language"), By: d.User.ID})
		if err != nil {
			return done{}, err
		}
		return d.invited(i), d.sendInvitation(tx, i, token)
	})
	return d.redraw(err, drawTeam(d))
}

func inviteAgain(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	if err := d.mayWrite(); err != nil {
		return err
	}
	return d.change("team.invite-again", func(tx *store.Tx, _ *Sheet) (done, error) {
		i, token, err := account.InviteAgain(tx, d.brand.ID, id, d.User.ID)
		if err != nil {
			return done{}, err
		}
		return d.invited(i), d.sendInvitation(tx, i, token)
	})
}

// mayWrite holds up a brand that sends very many invitations.
func (d *desk) mayWrite() error {
	if wait, ok := d.h.letters.Allow(d.brand.ID.String(), d.h.DB.Now()); !ok {
		return web.TooMany(d.c, wait)
	}
	return nil
}

func (d *desk) invited(i account.Invitation) done {
	return done{subject: i.ID, next: "/team", detail: map[string]any{"name": i.Email, "role": string(i.Role)}}
}

func (d *desk) sendInvitation(tx *store.Tx, i account.Invitation, token string) error {
	l := i18n.For(i.Language)
	return delivery.WriteToTeam(tx, delivery.TeamMail{Brand: d.brand.ID, Template: "invitation", To: i.Email, Language: i.Language, Link: d.h.URLs.Page(invitationPath + token),
		Data: map[string]any{"by": d.User.Name, "role": l.T("admin.role." + string(i.Role)), "until": l.DateTime(i.ExpiresAt, d.brand.Location())}})
}

func revokeInvitation(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	return d.change("team.revoke", func(tx *store.Tx, _ *Sheet) (done, error) {
		i, err := account.RevokeInvitation(tx, d.brand.ID, id)
		return d.invited(i), err
	})
}

func changeRole(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	return d.change("team.role", func(tx *store.Tx, form *Sheet) (done, error) {
		role := account.Role(form.Value("role"))
		before, err := account.ChangeRole(tx, d.brand.ID, id, role)
		if err != nil {
			return done{}, err
		}
		u, err := account.Find(tx, id)
		came := done{subject: id, next: "/team", detail: map[string]any{"name": u.Name, "from": string(before), "to": string(role)}}
		if id == d.User.ID && role != account.Owner {
			came.next = ""
		}
		return came, err
	})
}

func removeMember(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	return d.change("team.remove", func(tx *store.Tx, _ *Sheet) (done, error) {
		if err := account.RemoveMember(tx, d.brand.ID, id); err != nil {
			return done{}, err
		}
		u, err := account.Find(tx, id)
		return done{subject: id, next: "/team", away: id == d.User.ID, detail: map[string]any{"name": u.Name}}, err
	})
}
