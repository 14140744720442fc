package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/web"
)

// batchSaid is an answer to a batch.
type batchSaid struct {
	Created, Updated, Refused int
	Rows                      []struct {
		Status   string
		ID       uuid.UUID
		Consents []struct{ Topic, State string }
		Problem  *struct {
			Code, Detail string
			Errors       []web.FieldError
		}
	}
}

func (r response) batch() (said batchSaid) {
	r.t.Helper()
	if err := json.Unmarshal(r.must(200).raw, &said); err != nil {
		r.t.Fatal(err)
	}
	return said
}

func row(email string, consents ...map[string]any) map[string]any {
	return map[string]any{"email": email, "consents": consents}
}

func proven(topic string) map[string]any {
	return map[string]any{"topic": topic, "basis": "operator", "wording": "Yes, write to me.", "evidence": map[string]any{"card": "A-1"}}
}

func TestBatch(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		bare := proven("letters")
		bare["evidence"] = map[string]any{}
		h.post("/suppressions", map[string]any{"email": "blocked@example.org"}).must(201)
		before := w.tables()
		body := map[string]any{"subscribers": []map[string]any{
			row("nobody"), row("bo@example.org", proven("letters"), bare), row("blocked@example.org", proven("letters")), row("cy@example.org", proven("nothing")),
			{"email": "di@example.org", "name": "Di\nBcc: x@example.org", "tags": []string{""}},
		}}
		said := h.post("/subscribers/batch", body).batch()
		for i, want := range []string{"problem.invalid subscribers/0/email", "consent.evidence-missing subscribers/1/consents/1/evidence",
			"consent.left-before subscribers/2/consents/0", "problem.invalid subscribers/3/consents/0/topic", "problem.invalid subscribers/4/name"} {
			r := said.Rows[i]
			if r.Status != "refused" || r.Problem == nil || r.Problem.Detail == "" || len(r.Problem.Errors) == 0 || r.ID != uuid.Nil || r.Consents != nil {
				t.Fatalf("row %d: %+v", i, r)
			}
			if got := r.Problem.Code + " " + r.Problem.Errors[0].Field; got != want {
				t.Errorf("row %d is refused for %s, want %s", i, got, want)
			}
		}
		if after := w.tables(); after != before || said.Refused != 5 || said.Created+said.Updated != 0 {
			t.Errorf("refused rows left something: %+v\n%s\n%s", said, before, after)
		}
		said = h.post("/subscribers/batch", map[string]any{"subscribers": []map[string]any{
			{"email": "ANA@example.org", "name": "Ana B.", "consents": []map[string]any{proven("letters"), proven("opens")}, "tags": []string{"fair"}},
			row("nobody"), row("ed@example.org", proven("letters")), row("Ed@example.org", proven("letters"), proven("letters")),
		}}).batch()
		var states []string
		for _, r := range said.Rows {
			states = append(states, r.Status)
			for _, c := range r.Consents {
				states = append(states, c.Topic+" "+c.State)
			}
		}
		if got := strings.Join(states, ", "); got != "updated, letters renewed, opens given, refused, created, letters given, updated, letters renewed, letters renewed" || said.Created != 1 || said.Updated != 2 || said.Refused != 1 {
			t.Errorf("answered %s: %+v", got, said)
		}
		ana := h.get("/subscribers/" + h.person).must(200).object()
		if ana["name"] != "Ana B." || len(ana["tags"].([]any)) != 2 || said.Rows[0].ID.String() != h.person || said.Rows[3].ID != said.Rows[2].ID {
			t.Errorf("Ana is %v; rows %+v", ana, said.Rows)
		}
		fa := h.ask(h.key, "POST", "/subscribers/batch", map[string]any{"subscribers": []any{row("x")}}, "Accept-Language", "fa").batch()
		if d := fa.Rows[0].Problem; !strings.ContainsAny(d.Errors[0].Detail, "این") {
			t.Errorf("in Persian it is %+v", d)
		}
	})
}

func TestBatchAsAWhole(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		id := uuid.MustParse(h.brand)
		var many []map[string]any
		for i := range 1000 {
			many = append(many, row(fmt.Sprintf("p%d@example.org", i), proven("letters")))
		}
		before := w.tables()
		writer := w.key(&id, "subscribers:write")
		w.ask(writer, "POST", "/subscribers/batch", map[string]any{"subscribers": many[:1]}).problem(403, "api.scope-missing")
		w.ask(w.key(&id, "consents:write"), "POST", "/subscribers/batch", map[string]any{"subscribers": many[:1]}).problem(403, "api.scope-missing")
		h.post("/subscribers/batch", map[string]any{"subscribers": append(slices.Clone(many), row("one-more@example.org"))}).problem(422, "problem.invalid")
		h.post("/subscribers/batch", map[string]any{"subscribers": []any{}}).problem(422, "problem.invalid")
		h.post("/subscribers/batch", map[string]any{"subscribers": []any{map[string]any{"email": "a@example.org", "colour": "red"}}}).problem(422, "problem.invalid")
		h.post("/subscribers/batch", `{"subscribers":[{"email":"`+strings.Repeat("a", 8<<20)+`"}]}`).problem(413, "problem.too-large")
		if after := w.tables(); after != before {
			t.Errorf("refused calls left something:\n%s\n%s", before, after)
		}
		w.ask(writer, "POST", "/subscribers/batch", map[string]any{"subscribers": []any{row("known@example.org")}}).batch()

		// The same call again and again, some at once: one effect, one answer.
		body := map[string]any{"subscribers": many}
		var calls sync.WaitGroup
		said := make([]response, 3)
		for i := range said {
			calls.Go(func() { said[i] = h.post("/subscribers/batch", body, "Idempotency-Key", "thousand") })
		}
		calls.Wait()
		for _, s := range said {
			if got := s.batch(); got.Created != 1000 || !bytes.Equal(bytes.TrimSpace(s.raw), bytes.TrimSpace(said[0].raw)) {
				t.Errorf("made %d of a thousand, or said something else", got.Created)
			}
		}
		// Two calls at once with the same people, in other orders.
		many = many[:200]
		back := slices.Clone(many)
		slices.Reverse(back)
		for i, rows := range [][]map[string]any{many, back} {
			calls.Go(func() { said[i] = h.post("/subscribers/batch", map[string]any{"subscribers": rows}) })
		}
		calls.Wait()
		if a, b := said[0].batch(), said[1].batch(); a.Updated != 200 || b.Updated != 200 {
			t.Errorf("met %d and %d of 200", a.Updated, b.Updated)
		}
		if err := w.db.Read(context.Background(), func(tx *store.Tx) error {
			var broken int64
			err := tx.Raw(`SELECT count(*) FROM consent_events e WHERE e.state = 'renewed' AND NOT EXISTS (SELECT 1 FROM consent_events p
				WHERE p.id = e.previous_id AND p.subscriber_id = e.subscriber_id AND p.topic_id = e.topic_id AND p.occurred_at < e.occurred_at)`).Scan(&broken).Error
			if broken != 0 {
				t.Errorf("%d events follow none", broken)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// One row after the other by the rules for one person leaves what the batch
// leaves, but for ids and salts; and says the same of each row.
func TestBatchIsManySingles(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		root := w.key(nil, "*")
		n, statuses := 0, map[string]int{}
		rapid.Check(t, func(r *rapid.T) {
			if n++; n > 40 { // enough for what each costs
				return
			}
			houses := [2]house{w.bare(root, fmt.Sprintf("one-%d", n)), w.bare(root, fmt.Sprintf("two-%d", n))}
			history := rapid.SliceOfN(someone, 0, 5).Draw(r, "history")
			for _, h := range houses {
				for _, p := range history {
					w.live(r, h, p)
				}
			}
			w.now.Add(int64(rapid.IntRange(0, 100).Draw(r, "hours")) * time.Hour.Microseconds())
			rows := rapid.SliceOfN(someRow, 1, 10).Draw(r, "rows")
			var said []string
			for _, x := range houses[0].post("/subscribers/batch", map[string]any{"subscribers": rows}).batch().Rows {
				s := x.Status
				if x.Problem != nil {
					s += " " + x.Problem.Code
				}
				said = append(said, s)
				statuses[x.Status]++
			}
			var want []string
			for _, x := range rows {
				want = append(want, w.single(r, houses[1], x))
			}
			if !slices.EqualFunc(said, want, func(said, want string) bool { // of several refused consents either may tell its own
				return said == want || strings.HasPrefix(want, "refused ") && slices.Contains(strings.Fields(want)[1:], strings.TrimPrefix(said, "refused "))
			}) {
				r.Fatalf("the batch says %q\nthe singles    %q", said, want)
			}
			if a, b := w.left(houses[0]), w.left(houses[1]); a != b {
				r.Fatalf("the batch leaves\n%s\nthe singles leave\n%s", a, b)
			}
		})
		for _, s := range []string{"created", "updated", "refused"} {
			if statuses[s] == 0 {
				t.Errorf("no row was %s: this shows nothing", s)
			}
		}
	})
}

// bare is a brand with a topic that has a promise and ends.
func (w *world) bare(root, slug string) house {
	h := house{world: w, root: root}
	h.brand = w.ask(root, "POST", "/brands", map[string]any{"slug": slug, "name": "North Tea", "postal_address": "1 Tea Street", "sender_email": "hello@tea.example",
		"language": "en", "languages": []string{"en", "fa"}, "time_zone": "Europe/London"}).must(201).str("id")
	id := uuid.MustParse(h.brand)
	h.key = w.key(&id, "*")
	h.topic = h.post("/topics", map[string]any{"slug": "letters", "promise_max": 2, "promise_days": 7, "valid_days": 2, "texts": map[string]any{
		"en": map[string]any{"name": "Letters", "wording": "Yes, write to me."}}}).must(201).str("id")
	return h
}

var (
	addresses = rapid.SampledFrom([]string{"ana@example.org", "Ana@Example.org", "bo@example.org", "cy@example.org", "di@example.org", "علی@example.org", "nobody", "a@b"})
	someone   = rapid.Custom(func(r *rapid.T) [2]string {
		return [2]string{addresses.Draw(r, "who"), rapid.SampledFrom([]string{"known", "given", "left", "not asked", "blocked", "bounced", "staff said no"}).Draw(r, "what")}
	})
	someConsent = rapid.Custom(func(r *rapid.T) map[string]any {
		c := map[string]any{"topic": rapid.SampledFrom([]string{"letters", "letters", "opens", "clicks", "nothing"}).Draw(r, "topic"),
			"basis":    rapid.SampledFrom([]string{"explicit", "operator", "import"}).Draw(r, "basis"),
			"wording":  rapid.SampledFrom([]string{"Yes.", "بله.", ""}).Draw(r, "wording"),
			"evidence": rapid.SampledFrom([]map[string]any{{"card": "A-1"}, {"n": 1.5}, {"متن": "آری"}, {"card": "A-2"}, {}}).Draw(r, "evidence")}
		if rapid.Bool().Draw(r, "of a language") {
			c["language"] = "fa"
		}
		if until := rapid.SampledFrom([]string{"", "", "", "2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z"}).Draw(r, "until"); until != "" {
			c["valid_until"] = until
		}
		return c
	})
	someRow = rapid.Custom(func(r *rapid.T) map[string]any {
		x := map[string]any{"email": addresses.Draw(r, "email"), "consents": rapid.SliceOfN(someConsent, 0, 3).Draw(r, "consents")}
		for name, of := range map[string][]any{"name": {"", "Ana", "آنا", "Ana\nB", strings.Repeat("x", 130)}, "language": {"", "fa", "fa-IR", "de"},
			"time_zone": {"", "Asia/Tehran", "Moon/Base"}, "tags": {[]string{}, []string{"b", "a", "a"}, []string{" "}}, "customer_since": {"2024-03-01T00:00:00Z"},
			"attributes": {map[string]any{}, map[string]any{"city": "Leeds", "n": 1.0}, map[string]any{"n": 2.5, "vip": true}, map[string]any{"Bad": 1}, map[string]any{"city": nil}}} {
			if i := rapid.IntRange(-2, len(of)-1).Draw(r, name); i >= 0 {
				x[name] = of[i]
			}
		}
		return x
	})
)

// live lets something have happened to somebody.
func (w *world) live(r *rapid.T, h house, p [2]string) {
	a, err := subscriber.ParseAddress(p[0])
	if err != nil {
		return
	}
	w.inBrand(r, h, func(tx *store.Tx, b brand.Brand) error {
		s, _, err := subscriber.Ensure(tx, b, subscriber.New{Address: a, Name: "Known"})
		if err != nil || p[1] == "known" {
			return err
		}
		topic, err := consent.TopicBySlug(tx, b.ID, "letters")
		if err != nil {
			return err
		}
		act := consent.Act{Brand: b, Subscriber: s.ID, Topic: topic, State: consent.Given, Method: consent.MethodForm, Wording: "Yes."}
		switch p[1] {
		case "left":
			_, err = consent.WithdrawAll(tx, b, s.ID, consent.MethodOneClick, nil)
			return err
		case "not asked":
			act.State = consent.Refused
		case "blocked":
			return consent.Suppress(tx, b, s.AddressHash, consent.Manual, "")
		case "bounced":
			return consent.Suppress(tx, b, s.AddressHash, consent.HardBounce, "")
		case "staff said no":
			if _, err := consent.Record(tx, act); err != nil {
				return err
			}
			_, err = consent.Withdraw(tx, b, s.ID, []uuid.UUID{topic.ID}, consent.MethodOperator, nil)
			return err
		}
		_, err = consent.Record(tx, act)
		return err
	})
}

func (w *world) inBrand(r *rapid.T, h house, f func(tx *store.Tx, b brand.Brand) error) {
	err := w.db.Write(context.Background(), func(tx *store.Tx) error {
		b, err := brand.Find(tx, uuid.MustParse(h.brand))
		if err != nil {
			return err
		}
		return f(tx, b)
	})
	if err != nil {
		r.Fatal(err)
	}
}

// single does a row by the calls for one person, whole or not at all.
func (w *world) single(r *rapid.T, h house, x map[string]any) (said string) {
	var in struct {
		Email, Name, Language string
		TimeZone              string `json:"time_zone"`
		Tags                  []string
		CustomerSince         *time.Time `json:"customer_since"`
		Attributes            map[string]any
		Consents              []struct {
			Topic, Basis, Wording, Language string
			Evidence                        map[string]any
			ValidUntil                      *time.Time `json:"valid_until"`
		}
	}
	raw, err := json.Marshal(x)
	if err == nil {
		err = json.Unmarshal(raw, &in)
	}
	if err != nil {
		r.Fatal(err)
	}
	named := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	w.inBrand(r, h, func(tx *store.Tx, b brand.Brand) error {
		err := tx.Attempt(func() error {
			a, err := subscriber.ParseAddress(in.Email)
			if err != nil {
				return err
			}
			s, created, err := subscriber.Ensure(tx, b, subscriber.New{Address: a, Name: in.Name, Language: in.Language, TimeZone: in.TimeZone, Attributes: in.Attributes, CustomerSince: in.CustomerSince})
			if err != nil {
				return err
			}
			said = "created"
			if !created {
				said = "updated"
				if s, err = subscriber.Update(tx, b, s.ID, subscriber.Change{Name: named(in.Name), Language: named(in.Language), TimeZone: named(in.TimeZone), Attributes: in.Attributes, CustomerSince: in.CustomerSince}); err != nil {
					return err
				}
			}
			if err := subscriber.AddTags(tx, b.ID, s.ID, in.Tags...); err != nil {
				return err
			}
			var first error // an unknown topic is found before the others are asked for
			for _, c := range in.Consents {
				if _, err := consent.TopicBySlug(tx, b.ID, c.Topic); problem.Is(err, problem.NotFound) {
					return problem.InvalidField("topic", "api.field.topic", "Slug", c.Topic)
				}
			}
			for _, c := range in.Consents {
				topic, err := consent.TopicBySlug(tx, b.ID, c.Topic)
				if err != nil {
					return err
				}
				_, err = consent.Grant(tx, consent.Act{Brand: b, Subscriber: s.ID, Topic: topic, Basis: c.Basis, Method: consent.MethodAPI, Language: c.Language,
					Wording: c.Wording, ValidUntil: c.ValidUntil, Evidence: c.Evidence})
				first = errors.Join(first, err)
			}
			return first
		})
		codes := codesOf(err)
		if len(codes) == 0 {
			return err
		}
		said = "refused " + strings.Join(codes, " ")
		return nil
	})
	return said
}

// codesOf is what the problems in an error say, joined ones each.
func codesOf(err error) []string {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		var codes []string
		for _, e := range all.Unwrap() {
			codes = append(codes, codesOf(e)...)
		}
		return codes
	}
	if p, ok := problem.Of(err); ok {
		return []string{p.Key}
	}
	return nil
}

// left is everything that a brand's rows say, without ids, salts and keys.
func (w *world) left(h house) string {
	w.t.Helper()
	var lines []string
	err := w.db.Read(context.Background(), func(tx *store.Tx) error {
		b, err := brand.Find(tx, uuid.MustParse(h.brand))
		if err != nil {
			return err
		}
		topics, err := consent.AllTopics(tx, b.ID)
		if err != nil {
			return err
		}
		names := map[uuid.UUID]string{}
		for _, t := range topics {
			names[t.ID] = t.Slug
		}
		people, _, err := subscriber.List(tx, b.ID, subscriber.Filter{}, "", 500)
		if err != nil {
			return err
		}
		for _, s := range people {
			tags, err := subscriber.Tags(tx, b.ID, s.ID)
			if err != nil {
				return err
			}
			lines = append(lines, fmt.Sprintln(s.Email, "is", s.Name, s.Language, s.TimeZone, s.Attributes, utcText(s.CustomerSince), s.CreatedAt, s.UpdatedAt, tags))
			history, err := consent.History(tx, b.ID, s.ID)
			if err != nil {
				return err
			}
			states := map[uuid.UUID]string{}
			for _, e := range history {
				proof, err := consent.EvidenceOf(tx, e.ID)
				if err != nil {
					return err
				}
				words, err := consent.WordingOf(tx, e)
				if err != nil {
					return err
				}
				if !consent.CheckLeaf(e) || !consent.VerifyEvidence(e, proof.Salt, proof.Private) {
					w.t.Errorf("the leaf %s is not its row's", e.Leaf)
				}
				before := "nothing"
				if e.PreviousID != nil {
					before = states[*e.PreviousID]
				}
				states[e.ID] = fmt.Sprint(names[e.TopicID], e.State, e.OccurredAt)
				lines = append(lines, fmt.Sprintln(s.Email, "said", names[e.TopicID], e.State, e.Basis, e.Method, e.OccurredAt, utcText(e.ValidUntil), e.Language, words, e.PromiseMax, e.PromiseDays,
					string(proof.Private), "after", before))
			}
			permissions, err := consent.Permissions(tx, b.ID, s.ID)
			if err != nil {
				return err
			}
			for _, p := range permissions {
				lines = append(lines, fmt.Sprintln(s.Email, "has", names[p.TopicID], p.State, states[p.EventID], p.Since, utcText(p.ValidUntil), p.PromiseMax, p.PromiseDays))
			}
			facts := []struct {
				Kind, Data string
				At         time.Time
			}{}
			if err := tx.Raw("SELECT kind, CAST(data AS text) AS data, at FROM events WHERE subscriber_id = ?", s.ID).Scan(&facts).Error; err != nil {
				return err
			}
			for _, f := range facts {
				data := map[string]any{}
				if err := json.Unmarshal([]byte(f.Data), &data); err != nil {
					return err
				}
				delete(data, "topic_id")
				delete(data, "event_id")
				lines = append(lines, fmt.Sprintln(s.Email, "fact", f.Kind, data, f.At.UTC()))
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}

func utcText(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().String()
}
