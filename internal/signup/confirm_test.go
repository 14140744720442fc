package signup

import (
	"context"
	"strings"
	"testing"
	"time"

	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
)

// answer gives an answer to the newest request of the address.
func (w *world) answer(email string, f func(*store.Tx, Request) error) error {
	w.Helper()
	r := w.request(email)
	return w.db.Write(context.Background(), func(tx *store.Tx) error { return f(tx, r) })
}

func yes(tx *store.Tx, r Request) error {
	return second(Confirm(tx, r.ID, Seen{IP: "198.51.100.9", UserAgent: "Phone/2"}))
}

func no(tx *store.Tx, r Request) error { return second(Decline(tx, r.ID, Seen{})) }

func notMe(tx *store.Tx, r Request) error { return second(Disown(tx, r.ID, Seen{})) }

func TestConfirmKeepsTheWholeTrail(t *testing.T) {
	each(t, func(w *world) {
		_, token := w.sheet(w.form.ID, "en")
		w.pass(3 * time.Second)
		in := w.submission(token, "Sara@Example.org", "news", "opens")
		in.Values["city"], in.Values["books"] = "tehran", "12"
		if _, err := w.send(in); err != nil {
			w.Fatal(err)
		}
		w.pass(90 * time.Minute)
		r := w.confirm("sara@example.org")
		if r.State != Confirmed || w.allowed("sara@example.org") != "news opens" {
			w.Errorf("%s, %q allowed", r.State, w.allowed("sara@example.org"))
		}
		who := w.person("sara@example.org")
		if who.Name != "Sara" || who.Attributes["city"] != "tehran" || who.Attributes["books"] != 12.0 {
			w.Errorf("%+v", who)
		}
		w.write(func(tx *store.Tx) error {
			history, err := consent.History(tx, w.brand.ID, who.ID)
			if err != nil || len(history) != 5 {
				w.Fatalf("%d events, %v", len(history), err)
			}
			for _, e := range history[2:] {
				if e.State == consent.Refused { // the box that was left empty
					continue
				}
				if e.State != consent.Given || e.Method != consent.MethodDoubleOptIn || *e.FormID != w.form.ID || *e.FormVersion != 1 {
					w.Errorf("%+v", e)
				}
				words, err := consent.WordingOf(tx, e)
				if err != nil || !(words == "Send me the news.\nOnce a week at most" || strings.Contains(words, "open")) {
					w.Errorf("words %q, %v", words, err)
				}
				proof, err := consent.EvidenceOf(tx, e.ID)
				if err != nil {
					return err
				}
				for name, want := range map[string]any{
					"email": "Sara@Example.org", "page": "https://shop.example/readers", "ip": "192.0.2.7", "user_agent": "Test/1.0", "form_version": 1.0,
					"asked_at": "2026-11-22T06:44:03Z", "confirmed_at": "2026-11-22T08:14:03Z", "delay_s": 5400.0,
					"confirm_ip": "198.51.100.9", "confirm_user_agent": "Phone/2", "field:city": "tehran",
				} {
					if proof.Evidence[name] != want {
						w.Errorf("evidence %s is %v, want %v", name, proof.Evidence[name], want)
					}
				}
			}
			return nil
		})
	})
}

func TestAnswersCanBeGivenAgain(t *testing.T) {
	each(t, func(w *world) {
		w.ask("yes@example.org", "news")
		for range 3 {
			w.confirm("yes@example.org")
		}
		events := w.count("SELECT count(*) FROM consent_events")
		if events != 4 { // asked and given, and the two boxes of tracking that were left empty
			w.Errorf("%d consent events for a yes said three times", events)
		}
		who := w.person("yes@example.org")
		w.write(func(tx *store.Tx) error { return LeaveAll(tx, w.brand.ID, who.ID, Seen{}) })
		w.confirm("yes@example.org")
		if got := w.allowed("yes@example.org"); got != "" {
			w.Errorf("the old link brings back %q after the person left", got)
		}
		w.ask("no@example.org", "news")
		for range 2 {
			if err := w.answer("no@example.org", no); err != nil {
				w.Error(err)
			}
		}
		if n := w.count("SELECT count(*) FROM consent_events WHERE state = 'refused' AND method = 'double-opt-in'"); n != 1 {
			w.Errorf("%d refusals", n)
		}
		if err := w.answer("no@example.org", yes); err != nil || w.allowed("no@example.org") != "news" {
			w.Errorf("a changed mind: %v, %q", err, w.allowed("no@example.org"))
		}
		if err := w.answer("no@example.org", no); !problem.Is(err, problem.Conflict) || w.allowed("no@example.org") != "news" {
			w.Errorf("a no after the yes: %v", err)
		}
		if err := w.answer("no@example.org", notMe); err != nil || w.allowed("no@example.org") != "" {
			w.Errorf("not me after a yes: %v, %q", err, w.allowed("no@example.org"))
		}
	})
}

// TestNotMeBlocksUntilTheOwnerSignsUp: no mail for 30 days, then one question,
// and only its yes lifts the block.
func TestNotMeBlocksUntilTheOwnerSignsUp(t *testing.T) {
	each(t, func(w *world) {
		w.ask("sara@example.org", "news")
		for range 2 {
			if err := w.answer("sara@example.org", notMe); err != nil {
				w.Fatal(err)
			}
		}
		if err := w.answer("sara@example.org", yes); !problem.Is(err, problem.Conflict) {
			w.Errorf("a yes after not me: %v", err)
		}
		w.pass(29 * 24 * time.Hour)
		w.ask("sara@example.org", "news")
		if n := len(w.mails("confirm")); n != 1 {
			w.Errorf("%d mails within 30 days", n)
		}
		w.pass(2 * 24 * time.Hour)
		w.ask("sara@example.org", "news")
		if n := len(w.mails("confirm")); n != 2 || w.allowed("sara@example.org") != "" {
			w.Errorf("%d mails after 30 days, %q allowed", n, w.allowed("sara@example.org"))
		}
		w.confirm("sara@example.org")
		if w.allowed("sara@example.org") != "news" {
			w.Error("the owner's own yes lifts nothing")
		}
	})
}

func TestDecliningTakesNothingThatWasGiven(t *testing.T) {
	each(t, func(w *world) {
		w.ask("sara@example.org", "news")
		w.confirm("sara@example.org")
		w.pass(25 * time.Hour)
		w.ask("sara@example.org", "news", "offers")
		if err := w.answer("sara@example.org", no); err != nil {
			w.Fatal(err)
		}
		if got := w.allowed("sara@example.org"); got != "news" {
			w.Errorf("%q is allowed after a no to the offers", got)
		}
	})
}

func TestTheTimeOfAQuestionIsOver(t *testing.T) {
	each(t, func(w *world) {
		w.ask("sara@example.org", "news")
		w.pass(72*time.Hour - time.Second)
		first := w.request("sara@example.org")
		sweep := func(want int) {
			w.Helper()
			w.write(func(tx *store.Tx) error {
				n, err := Sweep(tx, w.set, 100)
				if n != want {
					w.Errorf("swept %d, want %d", n, want)
				}
				return err
			})
		}
		sweep(0)
		w.pass(time.Second)
		if err := w.answer("sara@example.org", yes); !problem.Is(err, problem.Gone) || w.allowed("sara@example.org") != "" {
			w.Errorf("a late yes: %v", err)
		}
		sweep(1)
		sweep(0)
		if r := w.request("sara@example.org"); r.State != Expired || r.Sealed != nil {
			w.Errorf("%s, sealed %d bytes", r.State, len(r.Sealed))
		}
		if n := w.count("SELECT count(*) FROM permissions WHERE state = 'expired'"); n != 1 {
			w.Errorf("%d consents expired with the request", n)
		}
		again := func(tx *store.Tx, r Request) error { return AskAgain(tx, w.set, first.ID, Seen{IP: "203.0.113.1"}) }
		if err := w.answer("sara@example.org", again); err != nil {
			w.Fatal(err)
		}
		second := w.request("sara@example.org")
		if second.ID == first.ID || second.State != Pending || len(w.mails("confirm")) != 2 {
			w.Errorf("asked again: %+v, %d mails", second, len(w.mails("confirm")))
		}
		if err := w.answer("sara@example.org", again); !problem.Is(err, problem.TooMany) || len(w.mails("confirm")) != 2 {
			w.Errorf("asked again twice a day: %v", err)
		}
		w.confirm("sara@example.org")
		if w.allowed("sara@example.org") != "news" {
			w.Error("the second question confirms nothing")
		}
	})
}

func TestAnAddressMovesByTheNewMailboxOnly(t *testing.T) {
	each(t, func(w *world) {
		w.ask("old@example.org", "news")
		w.confirm("old@example.org")
		w.ask("taken@example.org", "news")
		who := w.person("old@example.org")
		change := func(email string) (a AddressChange) {
			w.Helper()
			w.pass(25 * time.Hour)
			w.write(func(tx *store.Tx) error {
				if err := ChangeAddress(tx, w.set, w.brand.ID, who.ID, email); err != nil {
					return err
				}
				return tx.Order("created_at DESC").Take(&a).Error
			})
			return a
		}
		move := func(f func(*store.Tx) error) error { return w.db.Write(context.Background(), f) }

		stopped := change("new@example.org")
		old, fresh := w.mails("address-old"), w.mails("address-new")
		if len(old) != 1 || len(fresh) != 1 || old[0].Recipient != "old@example.org" || fresh[0].Recipient != "new@example.org" {
			w.Fatalf("mails %+v %+v", old, fresh)
		}
		for name, value := range old[0].Data {
			if s, ok := value.(string); ok && strings.Contains(s, "/c/") {
				w.Errorf("the mail to the old address can confirm the new one: %s=%s", name, s)
			}
		}
		w.write(func(tx *store.Tx) error { return StopChange(tx, w.brand.ID, who.ID) })
		if err := move(func(tx *store.Tx) error { return second(ConfirmMove(tx, stopped.ID)) }); !problem.Is(err, problem.Gone) {
			w.Errorf("a change that was stopped: %v", err)
		}
		collides := change("taken@example.org")
		if err := move(func(tx *store.Tx) error { return second(ConfirmMove(tx, collides.ID)) }); !problem.Is(err, problem.Conflict) {
			w.Errorf("an address that another person has: %v", err)
		}
		foreign := change("stranger@example.org")
		w.write(func(tx *store.Tx) error { return second(DisownMove(tx, foreign.ID)) })
		if err := move(func(tx *store.Tx) error { return second(ConfirmMove(tx, foreign.ID)) }); !problem.Is(err, problem.Gone) {
			w.Errorf("a change that the new mailbox disowned: %v", err)
		}
		real := change("new2@example.org")
		for range 2 {
			if err := move(func(tx *store.Tx) error { return second(ConfirmMove(tx, real.ID)) }); err != nil {
				w.Error(err)
			}
		}
		if moved := w.person("new2@example.org"); moved.ID != who.ID || w.allowed("new2@example.org") != "news" {
			w.Errorf("moved to %+v, %q allowed", moved, w.allowed("new2@example.org"))
		}
		if n := w.count("SELECT count(*) FROM events WHERE kind = 'address.changed'"); n != 1 {
			w.Errorf("%d facts", n)
		}
	})
}

func TestFormsAreChecked(t *testing.T) {
	each(t, func(w *world) {
		for name, c := range map[string]struct {
			spec  Spec
			field string
		}{
			"no topic":            {Spec{}, "topics"},
			"unknown topic":       {Spec{Topics: []string{"nothing"}}, "topics/0"},
			"tracking as a topic": {Spec{Topics: []string{"opens"}}, "topics/0"},
			"topic twice":         {Spec{Topics: []string{"news", "news"}}, "topics/1"},
			"odd tracking":        {Spec{Topics: []string{"news"}, Tracking: []string{"gps"}}, "tracking/0"},
			"taken field":         {Spec{Topics: []string{"news"}, Fields: []Field{{Name: "email"}}}, "fields/0/name"},
			"no label":            {Spec{Topics: []string{"news"}, Fields: []Field{{Name: "city"}}}, "fields/0/labels/en"},
			"no options":          {Spec{Topics: []string{"news"}, Fields: []Field{{Name: "name", Type: "select"}}}, "fields/0/options"},
			"origin":              {Spec{Topics: []string{"news"}, Origins: []string{"https://a.example/path"}}, "origins/0"},
			"redirect":            {Spec{Topics: []string{"news"}, Texts: map[string]Text{"en": {Redirect: "javascript:alert(1)"}}}, "texts/en/redirect"},
			"language":            {Spec{Topics: []string{"news"}, Texts: map[string]Text{"de": {}}}, "texts/de"},
			"title":               {Spec{Topics: []string{"news"}, Texts: map[string]Text{"en": {Title: "a\r\nb"}}}, "texts/en/title"},
		} {
			err := w.db.Write(context.Background(), func(tx *store.Tx) error { return second(Create(tx, w.brand, "x", c.spec)) })
			p, ok := problem.Of(err)
			if !ok || p.Kind != problem.Invalid || p.Fields[0].Name != c.field {
				w.Errorf("%s: %v, want the field %s", name, err, c.field)
			}
		}
	})
}

// TestAChangeOfAddressTellsNothingOfTheNewOne: whoever has a link of their own
// cannot learn by it who else blocked the brand or signed up a while ago.
func TestAChangeOfAddressTellsNothingOfTheNewOne(t *testing.T) {
	each(t, func(w *world) {
		w.ask("me@example.org", "news")
		w.confirm("me@example.org")
		who := w.person("me@example.org")
		w.ask("blocked@example.org", "news")
		blocked := w.request("blocked@example.org")
		w.write(func(tx *store.Tx) error { return second(Disown(tx, blocked.ID, Seen{})) })
		w.pass(25 * time.Hour)
		w.ask("recent@example.org", "news")
		for i, email := range []string{"blocked@example.org", "recent@example.org", "unknown@example.org"} {
			w.pass(time.Second)
			w.write(func(tx *store.Tx) error {
				if err := ChangeAddress(tx, w.set, w.brand.ID, who.ID, email); err != nil {
					return err
				}
				p, err := Preference(tx, w.brand.ID, who.ID)
				if err == nil && (p.Change == nil || p.Change.Email != email) {
					w.Errorf("%s: the page waits for %+v", email, p.Change)
				}
				return err
			})
			if n := len(w.mails("address-old")); n != i+1 {
				w.Errorf("%s: the old address was told %d times", email, n)
			}
		}
		if asked := w.mails("address-new"); len(asked) != 1 || asked[0].Recipient != "unknown@example.org" {
			w.Errorf("asked %+v", asked)
		}
		err := w.db.Write(context.Background(), func(tx *store.Tx) error {
			return ChangeAddress(tx, w.set, w.brand.ID, who.ID, "fourth@example.org")
		})
		if !problem.Is(err, problem.TooMany) {
			w.Errorf("the fourth wish of a day: %v", err)
		}
	})
}
