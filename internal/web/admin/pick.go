package admin

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

func pickActions() []action {
	return []action{
		behind(http.MethodGet, "/pick/people", account.Analyst, pickPeople),
		behind(http.MethodGet, "/pick/team", account.Marketer, pickTeam),
	}
}

// pickedAtOnce is how many are offered as somebody types.
const pickedAtOnce = 8

// Picked is somebody who is offered: what is written into the field, the name,
// and what tells two of one name apart.
type Picked struct {
	Value string `json:"value"`
	Label string `json:"label"`
	More  string `json:"more,omitempty"`
}

// pickPeople finds those whom the brand knows by a part of their address or
// name, the newest first: as the list of people does, at the same cost.
func pickPeople(d *desk) error {
	offered := []Picked{}
	err := d.read(func(tx *store.Tx) error {
		found, _, err := subscriber.List(tx, d.brand.ID, subscriber.Filter{Search: d.asked("q", 320), Newest: true}, "", pickedAtOnce)
		for _, s := range found {
			one := Picked{Value: s.Email, Label: cmp.Or(s.Name, s.Email)}
			if s.Name != "" {
				one.More = s.Email
			}
			offered = append(offered, one)
		}
		return err
	})
	return d.answerPicked(offered, err)
}

// pickTeam finds those of the brand's team.
func pickTeam(d *desk) error {
	offered, q := []Picked{}, strings.ToLower(d.asked("q", 320))
	err := d.read(func(tx *store.Tx) error {
		team, err := d.team(tx)
		for _, u := range team {
			if len(offered) < pickedAtOnce && (strings.Contains(strings.ToLower(u.Name), q) || strings.Contains(u.Email, q)) {
				offered = append(offered, Picked{Value: u.Email, Label: u.Name, More: u.Email})
			}
		}
		return err
	})
	return d.answerPicked(offered, err)
}

func (d *desk) answerPicked(all []Picked, err error) error {
	if err != nil {
		return err
	}
	d.c.Response().Header().Set("Cache-Control", "no-store")
	return d.c.JSON(http.StatusOK, all)
}

// colleague is whom of the team somebody means who types an address or a name;
// uuid.Nil, where nothing is typed.
func (d *desk) colleague(tx *store.Tx, typed string) (id uuid.UUID, err error) {
	if typed == "" {
		return uuid.Nil, nil
	}
	team, err := account.Members(tx, d.brand.ID)
	if err != nil {
		return uuid.Nil, err
	}
	named := 0
	for _, u := range team {
		if strings.EqualFold(u.Email, typed) || u.ID.String() == typed {
			return u.ID, nil
		}
		if strings.EqualFold(u.Name, typed) {
			id, named = u.ID, named+1
		}
	}
	switch named {
	case 0:
		return uuid.Nil, problem.InvalidField("carer", "subscriber.carer.unknown")
	case 1:
		return id, nil
	}
	return uuid.Nil, problem.InvalidField("carer", "subscriber.carer.several")
}
