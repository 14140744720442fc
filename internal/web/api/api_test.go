package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/uuid"

	"assent/internal/delivery"
	"assent/internal/link"
	"assent/internal/offer"
	"assent/internal/sequence"
	"assent/internal/store"
)

func TestOneOfEverything(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		for _, path := range []string{"/brand", "/brand/dkim-keys", "/topics", "/topics/" + h.topic, "/forms", "/forms/" + h.form, "/subscribers", "/subscribers/" + h.person,
			"/subscribers/" + h.person + "/consents", "/subscribers/" + h.person + "/consents/" + h.consentID, "/subscribers/" + h.person + "/events",
			"/sequences", "/sequences/" + h.sequence, "/offers", "/offers/" + h.offer, "/offers/" + h.offer + "/codes", "/orders", "/campaigns", "/campaigns/" + h.campaign,
			"/messages", "/events", "/suppressions", "/keys"} {
			h.get(path).must(200)
		}
		if h.ask(h.root, "GET", "/nodes", nil).must(200); len(h.ask(h.root, "GET", "/brands", nil).must(200).items()) != 1 {
			t.Error("the brand is not listed")
		}
	})
}

// operation is one action as the published description tells it.
type operation struct {
	method, path, id, scope string
	house                   bool // about no brand
	body                    any  // an example
}

// operations reads the description that the service publishes.
func (w *world) operations() []operation {
	w.t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string
			Security    []map[string][]string
			Parameters  []struct{ Name string }
			RequestBody struct {
				Content map[string]struct{ Example any }
			}
		}
	}
	if err := json.Unmarshal(w.ask("", "GET", "/openapi.json", nil).must(200).raw, &doc); err != nil {
		w.t.Fatal(err)
	}
	var all []operation
	for path, methods := range doc.Paths {
		for method, op := range methods {
			o := operation{method: strings.ToUpper(method), path: path, id: op.OperationID, scope: op.Security[0]["key"][0], house: true,
				body: op.RequestBody.Content["application/json"].Example}
			for _, p := range op.Parameters {
				o.house = o.house && p.Name != "Assent-Brand"
			}
			all = append(all, o)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].id < all[j].id })
	if len(all) < 50 {
		w.t.Fatalf("only %d operations are described", len(all))
	}
	return all
}

// message makes the brand's first message by letting its sequence begin.
func (h house) message() link.Message {
	h.t.Helper()
	h.post("/sequences/"+h.sequence+"/start", nil).must(200)
	if n := h.post("/sequences/"+h.sequence+"/enroll-existing", nil).must(200).object()["enrolled"]; n != 1.0 {
		h.t.Fatalf("enrolled %v", n)
	}
	if _, _, err := sequence.Advance(context.Background(), h.db); err != nil {
		h.t.Fatal(err)
	}
	m := h.get("/messages").must(200).items()[0]
	return link.Message{Source: uuid.MustParse(m["source_id"].(string)), ID: uuid.MustParse(m["id"].(string))}
}

// issue gives out the offer's codes, and gives one.
func (h house) issue() string {
	h.t.Helper()
	h.post("/offers/"+h.offer+"/start", nil).must(200)
	outbox := func(tx *store.Tx, m offer.Mail) error {
		_, _, err := delivery.Queue(tx, delivery.Draft{Source: m.Source, Stream: m.Stream, Brand: m.Brand, Subscriber: &m.Subscriber, Kind: delivery.Marketing,
			Topic: &m.Topic, ConsentEvent: &m.ConsentEvent, Content: &m.Content, Language: m.Language, Data: m.Data, Due: m.Due})
		return err
	}
	if n, err := offer.Issue(context.Background(), h.db, uuid.MustParse(h.offer), outbox); n != 1 || err != nil {
		h.t.Fatalf("issued %d: %v", n, err)
	}
	return h.get("/offers/" + h.offer + "/codes").must(200).items()[0]["code"].(string)
}

// Brands are walls: whatever the description offers, another brand's ids are
// not found, and nothing changes.
func TestBrandsAreWalls(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		root := w.key(nil, "*")
		mine, theirs := w.house(root, "north-tea"), w.house(root, "south-tea")
		code, m := mine.issue(), mine.message()
		keyID := mine.get("/keys").items()[0]["id"].(string)
		dkimID := mine.get("/brand/dkim-keys").items()[0]["id"].(string)
		ids := map[string]string{"topics": mine.topic, "forms": mine.form, "subscribers": mine.person, "sequences": mine.sequence, "offers": mine.offer, "campaigns": mine.campaign, "keys": keyID, "brand": dkimID}
		before, tried := w.tables(), 0
		for _, o := range w.operations() {
			if o.house || !strings.Contains(o.path, "{") {
				continue
			}
			kind := strings.Split(o.path, "/")[1]
			path := strings.NewReplacer("{source}", m.Source.String(), "{event}", mine.consentID).Replace(o.path)
			if kind == "messages" {
				path = strings.Replace(path, "{id}", m.ID.String(), 1)
			}
			path = strings.Replace(path, "{id}", ids[kind], 1)
			body := o.body
			if o.id == "redeemCode" {
				body = map[string]any{"code": code, "order": "9"}
			}
			if got := theirs.ask(theirs.key, o.method, path, body); got.status != 404 {
				t.Errorf("%s %s with another brand's id answers %d: %s", o.method, o.path, got.status, got.raw)
			}
			if got := theirs.ask(root, o.method, path, body, "Assent-Brand", "south-tea"); got.status != 404 {
				t.Errorf("%s %s by the installation's key for another brand answers %d: %s", o.method, o.path, got.status, got.raw)
			}
			tried++
		}
		if tried < 30 {
			t.Errorf("only %d operations were tried", tried)
		}

		// Ids in bodies and queries are no way round.
		content := mine.get("/sequences/" + mine.sequence).object()["steps"].([]any)[0].(map[string]any)["send"].(map[string]any)["content_id"]
		for name, r := range map[string]response{
			"an order for their person":  theirs.post("/orders", map[string]any{"number": "2", "subscriber_id": mine.person, "placed_at": "2026-11-20T10:00:00Z", "total": map[string]any{"amount": 1, "currency": "GBP"}, "items": 1}),
			"a sequence of their mails":  theirs.post("/sequences", map[string]any{"name": "x", "topic": "letters", "steps": []any{map[string]any{"send": map[string]any{"content_id": content}}}}),
			"their code at my own offer": theirs.post("/offers/"+theirs.offer+"/redemptions", map[string]any{"code": code, "order": "9"}),
			"their person's consent":     theirs.get("/subscribers/" + theirs.person + "/consents/" + mine.consentID),
			"their slug with my key":     theirs.ask(theirs.key, "GET", "/topics", nil, "Assent-Brand", "north-tea"),
			"an unknown brand's slug":    theirs.ask(root, "GET", "/topics", nil, "Assent-Brand", "west-tea"),
		} {
			if r.status != 404 && r.status != 422 {
				t.Errorf("%s answers %d: %s", name, r.status, r.raw)
			}
		}
		for _, path := range []string{"/messages?source_id=" + m.Source.String(), "/messages?subscriber_id=" + mine.person, "/orders?subscriber_id=" + mine.person} {
			if got := theirs.get(path).must(200).items(); len(got) != 0 {
				t.Errorf("%s tells %v", path, got)
			}
		}
		after := w.tables()
		if lessRefusal(after) != lessRefusal(before) {
			t.Errorf("something changed:\n%s\n%s", before, after)
		}
		if w.ask(mine.key, "GET", "/topics", nil).status != 200 {
			t.Error("another brand revoked the key")
		}
	})
}

// lessRefusal leaves out the events: trying a foreign code at one's own offer
// is a fact of one's own.
func lessRefusal(tables string) string {
	fields := strings.Fields(tables)
	return strings.Join(slices.DeleteFunc(fields, func(f string) bool { return strings.HasPrefix(f, "events=") }), " ")
}

// Every action asks for its own scope, and for no other.
func TestScopes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		id := uuid.MustParse(h.brand)
		read := []string{"brands:read", "topics:read", "forms:read", "subscribers:read", "consents:read", "sequences:read", "offers:read", "orders:read", "campaigns:read", "messages:read", "events:read", "suppressions:read", "keys:read", "nodes:read"}
		write := []string{"brands:write", "topics:write", "forms:write", "subscribers:write", "subscribers:export", "consents:write", "sequences:write", "offers:write", "orders:write", "campaigns:write", "suppressions:write", "keys:write", "nodes:write"}
		keys := map[string][2]string{} // by scope: all but it, it alone
		for _, o := range w.operations() {
			if _, ok := keys[o.scope]; !ok {
				rest := slices.DeleteFunc(slices.Concat(read, write), func(s string) bool { return s == o.scope })
				brand := &id
				if o.house {
					brand = nil
				}
				keys[o.scope] = [2]string{w.key(brand, rest...), w.key(brand, o.scope)}
			}
			if want := o.method == "GET"; strings.HasSuffix(o.scope, ":read") != want {
				t.Errorf("%s %s asks for %s", o.method, o.path, o.scope)
			}
			path := strings.NewReplacer("{id}", uuid.NewString(), "{event}", uuid.NewString(), "{source}", uuid.NewString()).Replace(o.path)
			lacking, having := w.ask(keys[o.scope][0], o.method, path, nil), w.ask(keys[o.scope][1], o.method, path, nil)
			lacking.problem(403, "api.scope-missing")
			if having.status == 401 || having.status == 403 && o.scope != "brands:read" && o.scope != "brands:write" {
				t.Errorf("%s %s with its scope answers %d: %s", o.method, o.path, having.status, having.raw)
			}
			nobody := w.ask("", o.method, path, nil)
			nobody.problem(401, "api.key-missing")
			if nobody.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s does not say how to sign in", o.method, o.path)
			}
			w.ask("ak_"+strings.Repeat("A", 43), o.method, path, nil).problem(401, "account.key-unknown")
			if o.house {
				w.ask(h.key, o.method, path, nil).problem(403, "api.installation-only")
			} else {
				w.ask(h.root, o.method, path, nil).problem(422, "problem.invalid")
			}
		}
	})
}

func TestInputIsRefusedNotGuessedAt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		before := w.tables()
		topic := `{"slug":"news","texts":{"en":{"name":"N","wording":"W"}}`
		for name, c := range map[string]struct {
			path, body  string
			status      int
			code, field string
			fieldCode   string
		}{
			"unknown field":     {"/topics", topic + `,"colour":"red"}`, 422, "problem.invalid", "colour", "problem.field.unknown"},
			"unknown deeper":    {"/topics", `{"slug":"news","texts":{"en":{"name":"N","wording":"W","size":1}}}`, 422, "problem.invalid", "texts/en/size", "problem.field.unknown"},
			"other case":        {"/topics", `{"Slug":"news","texts":{"en":{"name":"N","wording":"W"}}}`, 422, "problem.invalid", "Slug", "problem.field.unknown"},
			"wrong type":        {"/topics", `{"slug":5,"texts":{"en":{"name":"N","wording":"W"}}}`, 422, "problem.invalid", "slug", "problem.field.type"},
			"number as text":    {"/topics", topic + `,"promise_max":"2"}`, 422, "problem.invalid", "promise_max", "problem.field.type"},
			"missing":           {"/topics", `{"slug":"news"}`, 422, "problem.invalid", "texts", "problem.field.required"},
			"below":             {"/topics", topic + `,"promise_max":-1}`, 422, "problem.invalid", "promise_max", "api.field.min"},
			"too long":          {"/topics", `{"slug":"` + strings.Repeat("a", 65) + `","texts":{"en":{"name":"N","wording":"W"}}}`, 422, "problem.invalid", "slug", "problem.field.too-long"},
			"a choice":          {"/forms", `{"name":"F","topics":["letters"],"fields":[{"name":"a","type":"password"}]}`, 422, "problem.invalid", "fields/0/type", "api.field.choice"},
			"no time":           {"/orders", `{"number":"7","email":"a@example.org","placed_at":"yesterday","total":{"amount":1,"currency":"GBP"},"items":1}`, 422, "problem.invalid", "placed_at", "api.field.time"},
			"unknown topic":     {"/campaigns", `{"name":"C","topic":"nothing","texts":[{"language":"en","subject":"S","html":"H"}]}`, 422, "problem.invalid", "topic", "api.field.topic"},
			"line break":        {"/campaigns", `{"name":"C","topic":"letters","texts":[{"language":"en","subject":"S\r\nBcc: x@example.org","html":"H"}]}`, 422, "", "", ""},
			"line break name":   {"/subscribers", `{"email":"bo@example.org","name":"Bo\r\nBcc: x@example.org"}`, 422, "", "name", "problem.field.line-break"},
			"line break mail":   {"/subscribers", `{"email":"bo@example.org\r\nBcc: x@example.org"}`, 422, "", "email", ""},
			"broken Liquid":     {"/campaigns", `{"name":"C","topic":"letters","texts":[{"language":"en","subject":"S","html":"{% if %}"}]}`, 422, "", "", ""},
			"not JSON":          {"/topics", `{"slug":`, 400, "api.unreadable", "", ""},
			"two values":        {"/topics", topic + `} {}`, 400, "api.unreadable", "", ""},
			"not UTF-8":         {"/topics", "{\"slug\":\"n\xff\",\"texts\":{}}", 400, "api.unreadable", "", ""},
			"null character":    {"/subscribers", `{"email":"bo@example.org","name":"B\u0000o"}`, 400, "api.unreadable", "", ""},
			"null in attribute": {"/subscribers", `{"email":"bo@example.org","attributes":{"a":"\u0000"}}`, 400, "api.unreadable", "", ""},
			"a name twice":      {"/subscribers", `{"email":"bo@example.org","email":"ed@example.org"}`, 400, "api.unreadable", "", ""},
			"a mixture":         {"/topics", topic + `,"texts":{"fa":{"name":"N","wording":"W"}}}`, 400, "api.unreadable", "", ""},
			"twice in evidence": {"/subscribers/" + h.person + "/consents", `{"topic":"letters","basis":"operator","wording":"W","evidence":{"a":{"b":1,"b":2}}}`, 400, "api.unreadable", "", ""},
			"no body":           {"/topics", ``, 400, "api.body-missing", "", ""},
			"an array":          {"/topics", `[]`, 422, "problem.invalid", "", ""},
			"no evidence":       {"/subscribers/" + h.person + "/consents", `{"topic":"letters","basis":"operator","wording":"W","evidence":{}}`, 422, "consent.evidence-missing", "", ""},
			"too large":         {"/topics", `{"slug":"` + strings.Repeat("a", 1<<20) + `"}`, 413, "problem.too-large", "", ""},
		} {
			r := h.post(c.path, c.body)
			if r.status != c.status {
				t.Errorf("%s answers %d: %.300s", name, r.status, r.raw)
				continue
			}
			if c.code == "" {
				c.code = r.str("code")
			}
			d := r.problem(c.status, c.code)
			found := c.field == ""
			for _, e := range d.Errors {
				found = found || e.Field == c.field && (c.fieldCode == "" || e.Code == c.fieldCode) && e.Detail != "" && e.Detail != e.Code
			}
			if !found {
				t.Errorf("%s does not name %s (%s): %s", name, c.field, c.fieldCode, r.raw)
			}
		}
		h.ask(h.key, "POST", "/topics", topic+"}", "Content-Type", "text/plain").problem(415, "api.not-json")
		for path, code := range map[string]string{
			"/subscribers?colour=red": "problem.invalid", "/subscribers?limit=0": "problem.invalid", "/subscribers?limit=9999": "problem.invalid", "/subscribers?limit=x": "problem.invalid",
			"/subscribers/not-an-id": "problem.invalid", "/messages?state=lost": "problem.invalid", "/messages?source_id=x": "problem.invalid",
		} {
			h.get(path).problem(422, code)
		}
		for _, path := range []string{"/campaigns?cursor=x", "/events?cursor=AAAA", "/messages?cursor=%21", "/suppressions?cursor=AAAA", "/orders?cursor=%0A"} {
			h.get(path).problem(400, "api.cursor")
		}
		for _, query := range []string{"/events?kind=%00", "/events?kind=%ff", "/subscribers?search=%ff", "/subscribers?tag=a%00"} {
			h.get(query).problem(400, "problem.malformed")
		}
		h.ask(h.key, "GET", "/topics", nil, "Assent-Brand", "\xff").problem(404, "api.brand-unknown")
		h.get("/nothing").problem(404, "problem.not-found")
		h.ask(h.key, "DELETE", "/topics", nil).problem(405, "problem.method")
		if fa := h.ask(h.key, "POST", "/topics", `{"slug":"news"}`, "Accept-Language", "fa").problem(422, "problem.invalid"); !strings.ContainsAny(fa.Errors[0].Detail, "این") {
			t.Errorf("in Persian it is %q", fa.Errors[0].Detail)
		}
		if after := w.tables(); after != before {
			t.Errorf("refused input left something:\n%s\n%s", before, after)
		}
	})
}

func TestListsGoOnWhereTheyStopped(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		root := w.key(nil, "*")
		h, other := w.house(root, "north-tea"), w.house(root, "south-tea")
		for i := range 6 {
			email := fmt.Sprintf("p%d@example.org", i)
			h.post("/orders", map[string]any{"number": fmt.Sprint(100 + i), "email": email, "placed_at": "2026-11-20T10:00:00Z", "total": map[string]any{"amount": 1, "currency": "GBP"}, "items": 1}).must(201)
			h.post("/suppressions", map[string]any{"email": email}).must(201)
			h.post("/campaigns", map[string]any{"name": fmt.Sprint(i), "topic": "letters", "texts": []any{map[string]any{"language": "en", "subject": "S", "html": "H"}}}).must(201)
		}
		for path, want := range map[string]int{"/subscribers": 7, "/orders": 7, "/suppressions": 6, "/campaigns": 7, "/events": 22, "/subscribers/" + h.person + "/events": 3} {
			seen, pages, cursor := map[string]bool{}, 0, ""
			for {
				r := h.get(path + "?limit=2&cursor=" + cursor).must(200)
				for _, item := range r.items() {
					id := fmt.Sprint(item["id"], item["address_hash"])
					if seen[id] {
						t.Fatalf("%s gives %s twice", path, id)
					}
					seen[id] = true
				}
				pages++
				next, ok := r.object()["next"].(string)
				if !ok {
					break
				}
				if pages > 50 {
					t.Fatalf("%s does not end", path)
				}
				if strings.Count(path, "/") == 1 { // a cursor of another brand is only a place
					for _, item := range other.get(path + "?limit=200&cursor=" + next).must(200).items() {
						if seen[fmt.Sprint(item["id"], item["address_hash"])] {
							t.Errorf("%s tells another brand's with a cursor of ours", path)
						}
					}
				}
				cursor = next
			}
			if len(seen) != want && path != "/events" && !strings.HasSuffix(path, "/events") || len(seen) < 3 {
				t.Errorf("%s gives %d in all, want %d", path, len(seen), want)
			}
		}
	})
}

func TestSuppressions(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		h.post("/suppressions", map[string]any{"email": "Ana@Example.org", "detail": "ticket"}).must(201)
		if got := h.get("/suppressions").items(); len(got) != 1 || got[0]["email"] != "ana@example.org" || got[0]["reason"] != "manual" {
			t.Errorf("suppressed: %v", got)
		}
		permission := h.get("/subscribers/" + h.person).object()["permissions"].([]any)[0].(map[string]any)
		if permission["allowed"] != false || permission["reason"] != "suppressed:manual" {
			t.Errorf("a suppressed person's permission is %v", permission)
		}
		h.post("/suppressions/lift", map[string]any{"email": "ana@example.org", "reason": "complaint"}).problem(409, "api.suppression-theirs")
		for _, want := range []bool{true, false} {
			if got := h.post("/suppressions/lift", map[string]any{"email": "ana@example.org", "reason": "manual"}).must(200).object()["lifted"]; got != want {
				t.Errorf("lifted: %v, want %v", got, want)
			}
		}
	})
}

func TestConsents(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		path := "/subscribers/" + h.person + "/consents"
		proof := h.get(path + "/" + h.consentID).must(200).object()
		if proof["wording"] != "Yes, write to me." || proof["evidence"].(map[string]any)["card"] != "A-1" || proof["erased"] != false || proof["address"] != "ana@example.org" {
			t.Errorf("the proof is %v", proof)
		}
		if leaf := proof["leaf"].(string); strings.Contains(leaf, "ana@example.org") || !json.Valid([]byte(leaf)) {
			t.Errorf("the leaf is %s", leaf)
		}
		h.post(path+"/withdraw", map[string]any{}).problem(422, "problem.invalid")
		h.post(path+"/withdraw", map[string]any{"topics": []string{"letters"}, "everything": true}).problem(422, "problem.invalid")
		if got := h.post(path+"/withdraw", map[string]any{"topics": []string{"letters"}, "evidence": map[string]any{"said": "by telephone"}}).must(200).items(); len(got) != 1 || got[0]["state"] != "withdrawn" {
			t.Errorf("withdrew %v", got)
		}
		if got := h.post(path+"/withdraw", map[string]any{"topics": []string{"letters"}}).must(200).items(); len(got) != 0 {
			t.Errorf("withdrew twice: %v", got)
		}
		if got := h.get(path).items(); len(got) != 2 {
			t.Errorf("the history has %d entries", len(got))
		}
		h.post(path+"/withdraw", map[string]any{"everything": true}).must(200)
		h.post(path, map[string]any{"topic": "letters", "basis": "operator", "wording": "W", "evidence": map[string]any{"a": 1}}).problem(409, "consent.left-before")
		if got := h.get("/suppressions").items(); len(got) != 1 || got[0]["reason"] != "left" {
			t.Errorf("after leaving everything: %v", got)
		}
	})
}

func TestPaces(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		patch := func(path string, body map[string]any) response { t.Helper(); return h.ask(h.key, "PATCH", path, body) }
		got := patch("/brand", map[string]any{"rate_per_hour": 5000, "warm_up_from": "2026-11-20T02:00:00+02:00"}).must(200).object()
		if got["rate_per_hour"] != 5000.0 || got["warm_up_from"] != "2026-11-20T00:00:00Z" {
			t.Errorf("%v", got)
		}
		got = patch("/brand", map[string]any{"rate_per_hour": 0, "warm_up_from": ""}).must(200).object()
		if got["rate_per_hour"] != nil || got["warm_up_from"] != nil {
			t.Errorf("taken away: %v", got)
		}
		for _, wrong := range []map[string]any{{"warm_up_from": "soon"}, {"warm_up_from": "0001-01-01T00:00:00Z"}, {"rate_per_hour": -1}, {"rate_per_hour": 1e9}} {
			if r := patch("/brand", wrong); r.status != 422 {
				t.Errorf("%v answers %d: %s", wrong, r.status, r.raw)
			}
		}
		if got := patch("/campaigns/"+h.campaign, map[string]any{"rate_per_hour": 200}).must(200).object(); got["rate_per_hour"] != 200.0 {
			t.Errorf("%v", got)
		}
		if got := h.get("/campaigns/" + h.campaign).must(200).object(); got["rate_per_hour"] != 200.0 {
			t.Errorf("%v", got)
		}
		if got := h.get("/campaigns").must(200).items(); len(got) != 1 || got[0]["rate_per_hour"] != 200.0 {
			t.Errorf("%v", got)
		}
		if r := patch("/campaigns/"+h.campaign, map[string]any{"rate_per_hour": -5}); r.status != 422 {
			t.Errorf("a wrong pace answers %d", r.status)
		}
		made := h.post("/campaigns", map[string]any{"name": "Slow", "topic": "letters", "rate_per_hour": 7,
			"texts": []map[string]any{{"language": "en", "subject": "Hello", "html": "<p>Hello</p>"}}}).must(201).object()
		if made["rate_per_hour"] != 7.0 {
			t.Errorf("%v", made)
		}
	})
}

func TestCampaignIsTestedOnTheTeamOnly(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		r := h.post("/campaigns/"+h.campaign+"/test", map[string]any{"language": "en", "to": []string{"ana@example.org"}})
		if r.status != 422 || len(h.get("/messages").items()) != 0 {
			t.Errorf("a test to a stranger: %d %s", r.status, r.raw)
		}
	})
}

func TestRevokedKeysEndAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		id := uuid.MustParse(h.brand)
		second := w.key(&id, "topics:read")
		w.ask(second, "GET", "/topics", nil).must(200)
		for _, k := range h.get("/keys").items() {
			if k["scopes"].([]any)[0] == "topics:read" {
				if k["last_used_at"] == nil || k["hash"] != nil || k["secret"] != nil {
					t.Errorf("the key is shown as %v", k)
				}
				h.post("/keys/"+k["id"].(string)+"/revoke", nil).must(200)
			}
		}
		w.ask(second, "GET", "/topics", nil).problem(401, "account.key-unknown")
	})
}

func TestTheDescription(t *testing.T) {
	w := open(t, migrated(t))
	raw := w.ask("", "GET", "/openapi.json", nil).must(200).raw
	for _, no := range []string{"$schema", "unpkg", "localhost"} {
		if strings.Contains(string(raw), no) {
			t.Errorf("the description holds %s", no)
		}
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Summary   string
			Tags      []string
			Responses map[string]struct {
				Content map[string]struct{ Example any }
			}
			RequestBody *struct {
				Content map[string]struct{ Example any }
			}
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatalf("OpenAPI %s: %v", doc.OpenAPI, err)
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			name := method + " " + path
			if op.Summary == "" || len(op.Tags) != 1 {
				t.Errorf("%s is not described", name)
			}
			if op.RequestBody != nil && op.RequestBody.Content["application/json"].Example == nil {
				t.Errorf("%s has no example of its body", name)
			}
			good := 0
			for status, r := range op.Responses {
				if status[0] == '2' {
					good++
					if r.Content["application/json"].Example == nil {
						t.Errorf("%s has no example of its answer", name)
					}
				} else if _, ok := r.Content["application/problem+json"]; !ok {
					t.Errorf("%s tells %s not as a problem", name, status)
				}
			}
			if good != 1 {
				t.Errorf("%s has %d good answers", name, good)
			}
		}
	}
}

// The page reads under its own policy: nothing from elsewhere, nothing inline
// but the style whose hash it names.
func TestTheReadablePage(t *testing.T) {
	w := open(t, migrated(t))
	rec := httptest.NewRecorder()
	w.e.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/api/docs", nil))
	page, policy := rec.Body.String(), rec.Header().Get("Content-Security-Policy")
	if rec.Code != 200 || !strings.Contains(policy, "style-src 'sha256-") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "script-src 'self'") {
		t.Errorf("%d %s", rec.Code, policy)
	}
	for _, no := range []string{"<script", "src=", "style=\"", "href=\"http", "onclick"} {
		if strings.Contains(page, no) {
			t.Errorf("the page holds %s", no)
		}
	}
	for _, o := range w.operations() {
		if !strings.Contains(page, `<article id="`+o.id+`">`) {
			t.Errorf("the page lacks %s", o.id)
		}
	}
	for _, kind := range []string{"invalid", "not-found", "too-many", "unavailable"} {
		if !strings.Contains(page, `id="problem-`+kind+`"`) {
			t.Errorf("the page does not explain the problem %s", kind)
		}
	}
}
