package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/web"
)

// batches: many people at once, by the rules for one.
func (h *house) batches() {
	write(h, action{http.MethodPost, "/subscribers/batch", "createSubscribers", "subscribers:write", "subscribers", "Bring many subscribers with their consents",
		"Up to 1,000 people in one transaction, in their order. Each row is what the calls for one person take: somebody new is made; for who has the address already, what the row names is changed; then the consents are recorded. " +
			"A row is done whole or not at all: without evidence, after the person themself said no, while their address is suppressed, or where anything in it is wrong, it is refused with the reason, and the other rows are done. " +
			"What does not fit this description refuses the whole call. Rows with consents need the scope consents:write too.",
		0, false}, createSubscribers)
}

type batchNew struct {
	Subscribers []batchRow `json:"subscribers" minItems:"1" maxItems:"1000"`
}

type batchRow struct {
	SubscriberNew
	Consents []consentNew `json:"consents,omitempty" maxItems:"50" doc:"As for one subscriber."`
}

type batchAnswer struct {
	Created int           `json:"created" example:"1"`
	Updated int           `json:"updated" example:"0"`
	Refused int           `json:"refused" example:"0"`
	Rows    []batchResult `json:"rows" doc:"One for each row, in their order."`
}

type batchResult struct {
	Status   string         `json:"status" enum:"created,updated,refused" doc:"updated: the person was there; what the row names is so now." example:"created"`
	ID       *uuid.UUID     `json:"id,omitempty" format:"uuid" doc:"The subscriber's." example:"019a1f5c-7c00-7000-8000-000000000004"`
	Consents []batchConsent `json:"consents,omitempty" doc:"One for each consent of the row, in their order."`
	Problem  *batchProblem  `json:"problem,omitempty" doc:"Why the row was refused."`
}

type batchConsent struct {
	ID    uuid.UUID `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000009"`
	Topic string    `json:"topic" doc:"The topic's slug." example:"letters"`
	State string    `json:"state" enum:"given,renewed" example:"given"`
}

type batchProblem struct {
	Code   string           `json:"code" doc:"What is wrong, for programs." example:"consent.evidence-missing"`
	Detail string           `json:"detail" doc:"What is wrong, for people." example:"Without evidence no permission is recorded. Say how, when and where it was given."`
	Errors []web.FieldError `json:"errors" doc:"What is wrong where."`
}

// batch is a call under way.
type batch struct {
	tx     *store.Tx
	caller caller
	topics map[string]consent.Topic
	rows   []batchRow
	people []subscriber.New // by row
	out    []batchResult
}

func createSubscribers(tx *store.Tx, c caller, in *struct{ Body batchNew }) (batchAnswer, error) {
	rows := in.Body.Subscribers
	if slices.ContainsFunc(rows, func(r batchRow) bool { return len(r.Consents) > 0 }) && !c.key.May("consents:write") {
		return batchAnswer{}, problem.New(problem.Forbidden, "api.scope-missing", "Scope", "consents:write")
	}
	b := batch{tx, c, map[string]consent.Topic{}, rows, make([]subscriber.New, len(rows)), make([]batchResult, len(rows))}
	topics, err := consent.AllTopics(tx, c.brand.ID)
	if err != nil {
		return batchAnswer{}, err
	}
	for _, t := range topics {
		b.topics[t.Slug] = t
	}
	for _, turn := range b.turns() {
		if err := b.take(turn); err != nil {
			return batchAnswer{}, err
		}
	}
	return b.answer(), nil
}

func (b *batch) answer() batchAnswer {
	a := batchAnswer{Rows: b.out}
	for _, r := range b.out {
		switch r.Status {
		case "created":
			a.Created++
		case "updated":
			a.Updated++
		default:
			a.Refused++
		}
	}
	return a
}

// turns are the rows that can be done together: those of one address follow
// each other. Addresses that are none are refused here.
func (b *batch) turns() (turns [][]int) {
	times := map[string]int{}
	for i, r := range b.rows {
		address, err := subscriber.ParseAddress(r.Email)
		if err != nil {
			b.refuse(i, "", err)
			continue
		}
		b.people[i] = subscriber.New{Address: address, Name: r.Name, Language: r.Language, TimeZone: r.TimeZone,
			Attributes: r.Attributes, CustomerSince: utc(r.CustomerSince)}
		n := times[address.Normal]
		times[address.Normal]++
		if n == len(turns) {
			turns = append(turns, nil)
		}
		turns[n] = append(turns[n], i)
	}
	return turns
}

// refuse notes what is wrong with a row, and where: at, a place in the row.
func (b *batch) refuse(row int, at string, err error) {
	place := fmt.Sprintf("subscribers/%d", row)
	if at != "" {
		place += "/" + at
	}
	d := b.caller.tell(err)
	r := &b.out[row]
	if r.Problem == nil {
		*r = batchResult{Status: "refused", Problem: &batchProblem{Code: d.Code, Detail: d.Detail}}
	}
	for _, e := range d.Errors {
		e.Field = place + "/" + e.Field
		r.Problem.Errors = append(r.Problem.Errors, e)
	}
	if len(d.Errors) == 0 {
		r.Problem.Errors = append(r.Problem.Errors, web.FieldError{Field: place, Code: d.Code, Detail: d.Detail})
	}
}

func (b *batch) refused(row int) bool { return b.out[row].Problem != nil }

var errRefused = errors.New("rows were refused")

// take does the rows of a turn. Where some are refused, what was begun is undone
// and the others are done anew: nothing of a refused row stays.
func (b *batch) take(rows []int) error {
	for {
		rows = slices.DeleteFunc(rows, b.refused)
		if len(rows) == 0 {
			return nil
		}
		err := b.tx.Attempt(func() error {
			if err := b.try(rows); err != nil {
				return err
			}
			if slices.ContainsFunc(rows, b.refused) {
				return errRefused
			}
			return nil
		})
		if !errors.Is(err, errRefused) {
			return err
		}
	}
}

func (b *batch) try(rows []int) error {
	if err := b.ensure(rows); err != nil {
		return err
	}
	if err := b.update(rows); err != nil {
		return err
	}
	if err := b.tag(rows); err != nil {
		return err
	}
	return b.grant(rows)
}

func (b *batch) ensure(rows []int) error {
	people := make([]subscriber.New, len(rows))
	for i, row := range rows {
		people[i] = b.people[row]
	}
	done, err := subscriber.EnsureAll(b.tx, b.caller.brand, people)
	if err != nil {
		return err
	}
	for i, row := range rows {
		b.out[row] = batchResult{Status: "updated", ID: &done[i].ID}
		if done[i].Fresh {
			b.out[row].Status = "created"
		}
		if done[i].Refused != nil {
			b.refuse(row, "", done[i].Refused)
		}
	}
	return nil
}

// update changes those who were there already. What a row leaves out stays.
func (b *batch) update(rows []int) error {
	var met []int
	var ids []uuid.UUID
	var changes []subscriber.Change
	for _, row := range rows {
		if b.out[row].Status != "updated" {
			continue
		}
		r := &b.rows[row]
		met, ids = append(met, row), append(ids, *b.out[row].ID)
		changes = append(changes, subscriber.Change{Name: named(&r.Name), Language: named(&r.Language), TimeZone: named(&r.TimeZone),
			Attributes: r.Attributes, CustomerSince: utc(r.CustomerSince)})
	}
	if len(met) == 0 {
		return nil
	}
	done, err := subscriber.UpdateAll(b.tx, b.caller.brand, ids, changes)
	if err != nil {
		return err
	}
	for i, row := range met {
		if done[i].Refused != nil {
			b.refuse(row, "", done[i].Refused)
		}
	}
	return nil
}

func named(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}

func (b *batch) tag(rows []int) error {
	var tagged []int
	var ids []uuid.UUID
	var tags [][]string
	for _, row := range rows {
		if len(b.rows[row].Tags) > 0 && !b.refused(row) {
			tagged, ids, tags = append(tagged, row), append(ids, *b.out[row].ID), append(tags, b.rows[row].Tags)
		}
	}
	refused, err := subscriber.TagAll(b.tx, b.caller.brand.ID, ids, tags)
	if err != nil {
		return err
	}
	for i, row := range tagged {
		if refused[i] != nil {
			b.refuse(row, "", refused[i])
		}
	}
	return nil
}

// grant records the consents of the rows.
func (b *batch) grant(rows []int) error {
	count := 0
	for _, row := range rows {
		count += len(b.rows[row].Consents)
	}
	acts := make([]consent.Act, 0, count)
	of := make([][2]int, 0, count) // row and consent
	for _, row := range rows {
		for i, n := range b.rows[row].Consents {
			t, known := b.topics[n.Topic]
			if !known {
				b.refuse(row, fmt.Sprintf("consents/%d", i), unknownTopic("topic", n.Topic))
			}
			if b.refused(row) {
				continue
			}
			act, err := n.act(b.tx, b.caller, *b.out[row].ID, t)
			if problem.Is(err, problem.Invalid) {
				b.refuse(row, fmt.Sprintf("consents/%d", i), err)
				continue
			}
			if err != nil {
				return err
			}
			acts, of = append(acts, act), append(of, [2]int{row, i})
		}
	}
	events, refused, err := consent.GrantAll(b.tx, acts)
	if err != nil {
		return err
	}
	for i, at := range of {
		if refused[i] != nil {
			b.refuse(at[0], fmt.Sprintf("consents/%d", at[1]), refused[i])
		} else if !b.refused(at[0]) {
			b.out[at[0]].Consents = append(b.out[at[0]].Consents, batchConsent{events[i].ID, acts[i].Topic.Slug, string(events[i].State)})
		}
	}
	return nil
}
