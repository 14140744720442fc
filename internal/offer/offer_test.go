package offer_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/i18n"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

const day = 24 * time.Hour

// Who has earned it, by each way in; and who has not, though close.
func TestEligibility(t *testing.T) {
	each(t, func(w *world) {
		give := func(name string) subscriber.Subscriber { s := w.person(name); w.give(s); return s }
		three, two, none := give("three"), give("two"), give("none")
		rich, dollars, old, young := give("rich"), give("dollars"), give("old"), give("young")
		unasked, left := w.person("unasked"), give("left")
		w.buy(three, 100, 100, 100)
		w.buy(two, 100, 100)
		w.buy(rich, 40000, 10000)
		w.buy(unasked, 100, 100, 100, 90000)
		w.buy(left, 100, 100, 100)
		w.withdraw(left)
		w.write(func(tx *store.Tx) error {
			_, _, err := offer.RecordOrder(tx, w.brand, offer.NewOrder{Number: "D", Subscriber: dollars.ID, PlacedAt: tx.Now(), Total: 90000, Currency: "USD", Items: 1})
			if err != nil {
				return err
			}
			for s, since := range map[uuid.UUID]time.Time{old.ID: tx.Now().AddDate(0, -6, 0), young.ID: tx.Now().AddDate(0, -6, 1)} {
				if _, err := subscriber.Update(tx, w.brand, s, subscriber.Change{CustomerSince: &since}); err != nil {
					return err
				}
			}
			return nil
		})
		all := []subscriber.Subscriber{three, two, none, rich, dollars, old, young, unasked, left}
		for name, c := range map[string]struct {
			set  func(n *offer.New)
			want []subscriber.Subscriber
		}{
			"orders":     {func(n *offer.New) {}, []subscriber.Subscriber{three}},
			"value":      {func(n *offer.New) { n.MinOrders, n.MinValue, n.Currency = 0, 50000, "EUR" }, []subscriber.Subscriber{rich}},
			"months":     {func(n *offer.New) { n.MinOrders, n.MinMonths = 0, 6 }, []subscriber.Subscriber{old}},
			"any of all": {func(n *offer.New) { n.MinValue, n.Currency, n.MinMonths = 50000, "EUR", 6 }, []subscriber.Subscriber{three, rich, old}},
		} {
			n := w.spring()
			c.set(&n)
			o := w.running(n)
			if got := w.issue(o); got != len(c.want) {
				w.Errorf("%s: %d codes, want %d", name, got, len(c.want))
			}
			for _, s := range all {
				has := slices.ContainsFunc(w.codes(s), func(c offer.Code) bool { return c.OfferID == o.ID })
				if want := slices.ContainsFunc(c.want, func(x subscriber.Subscriber) bool { return x.ID == s.ID }); has != want {
					w.Errorf("%s: %s has a code: %v", name, s.Name, has)
				}
			}
		}
	})
}

// The code is in the mail, in the person's words, and neither is without the other.
func TestCodeAndMailAreOne(t *testing.T) {
	each(t, func(w *world) {
		ana := w.personOf(w.brand, "ana", "en", "America/New_York")
		bahar := w.person("bahar")
		for _, s := range []subscriber.Subscriber{ana, bahar} {
			w.give(s)
			w.buy(s, 1, 1, 1)
		}
		n := w.spring()
		n.ValueKind, n.Value, n.Currency = offer.Amount, 1250, "EUR"
		o := w.running(n)

		broken := errors.New("no outbox today")
		made, err := offer.Issue(w.ctx, w.db, o.ID, func(tx *store.Tx, m offer.Mail) error {
			if m.Subscriber == bahar.ID {
				return broken
			}
			return outbox(tx, m)
		})
		if made != 0 || !errors.Is(err, broken) || w.totals(o).Issued != 0 || w.count("SELECT count(*) FROM messages") != 0 {
			w.Fatalf("%d codes and err %v from a broken outbox; totals %+v", made, err, w.totals(o))
		}
		if n := w.issue(o); n != 2 {
			w.Fatalf("%d codes, want 2", n)
		}
		for s, want := range map[*subscriber.Subscriber]map[string]any{
			&ana:   {"title": "Spring thanks", "terms": "Once per person.", "value": "€12.50", "expires_at": "22 December 2026"},
			&bahar: {"title": "سپاس بهاری", "terms": "هر نفر یک بار.", "value": "۱۲٫۵۰ یورو", "expires_at": "۱ دی ۱۴۰۵"},
		} {
			var mails []delivery.Message
			w.write(func(tx *store.Tx) error { return tx.Where("subscriber_id = ?", s.ID).Find(&mails).Error })
			if len(mails) != 1 || mails[0].SourceID != o.IssueID || mails[0].StreamID != o.ID || mails[0].Language != s.Language {
				w.Fatalf("mails of %s: %+v", s.Name, mails)
			}
			want["code"] = w.codes(*s)[0].Code
			if got := mails[0].Data["offer"]; fmt.Sprint(got) != fmt.Sprint(want) {
				w.Errorf("%s reads %v, want %v", s.Name, got, want)
			}
		}
		if got := w.facts(event.OfferIssued, ana.ID, "offer_id"); !slices.Equal(got, []string{o.ID.String()}) {
			w.Errorf("facts %v", got)
		}
	})
}

// Run daily, each person gets one code per offer, for ever.
func TestIssueAgainGivesNobodyASecond(t *testing.T) {
	each(t, func(w *world) {
		people := w.crowd(3)
		o := w.running(w.spring())
		for range 60 {
			w.issue(o)
			w.pass(day)
		}
		late := w.person("late")
		w.give(late)
		w.buy(late, 1, 1, 1)
		if n := w.issue(o); n != 1 {
			w.Fatalf("%d codes for one who came later", n)
		}
		for _, s := range append(people, late) {
			if codes := w.codes(s); len(codes) != 1 {
				w.Errorf("%d codes", len(codes))
			}
		}
		if got, want := w.totals(o), (offer.Totals{Budget: 1000, Issued: 4, Expired: 3}); got != want {
			w.Errorf("totals %+v, want %+v", got, want)
		}
	})
}

// Eight runs at once, more people than the budget, more than one batch.
func TestBudgetIsExact(t *testing.T) {
	each(t, func(w *world) {
		const people, budget = 520, 437
		w.crowd(people)
		n := w.spring()
		n.Budget = budget
		o := w.running(n)
		var group sync.WaitGroup
		made, errs := make([]int, 8), make([]error, 8)
		for i := range made {
			group.Go(func() { made[i], errs[i] = offer.Issue(w.ctx, w.db, o.ID, outbox) })
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			w.Errorf("a run failed: %v", err)
		}
		sum := 0
		for _, n := range made {
			sum += n
		}
		mails := w.count("SELECT count(*) FROM messages WHERE source_id = ?", o.IssueID)
		var now offer.Offer
		w.write(func(tx *store.Tx) (err error) { now, err = offer.Find(tx, w.brand.ID, o.ID); return err })
		if got := w.totals(o).Issued; sum != budget || got != budget || mails != budget || now.Issued != budget {
			w.Errorf("budget %d: made %d (%v), codes %d, mails %d, issued %d", budget, sum, made, got, mails, now.Issued)
		}
		if n := w.issue(o); n != 0 {
			w.Errorf("%d beyond the budget", n)
		}
	})
}

func TestPausedAndEndedGiveNone(t *testing.T) {
	each(t, func(w *world) {
		s := w.crowd(1)[0]
		var o offer.Offer
		w.write(func(tx *store.Tx) (err error) { o, err = offer.Create(tx, w.brand, w.spring()); return err })
		if n := w.issue(o); n != 0 {
			w.Fatal("a draft gave a code")
		}
		steps := []struct {
			name string
			f    func(tx *store.Tx) (offer.Offer, error)
			want int
		}{
			{"start", func(tx *store.Tx) (offer.Offer, error) { return offer.Start(tx, w.brand.ID, o.ID, open) }, -1},
			{"pause", func(tx *store.Tx) (offer.Offer, error) {
				return offer.Pause(tx, w.brand.ID, o.ID, delivery.PauseStream)
			}, 0},
			{"resume", func(tx *store.Tx) (offer.Offer, error) {
				return offer.Resume(tx, w.brand.ID, o.ID, delivery.ResumeStream)
			}, 1},
			{"end", func(tx *store.Tx) (offer.Offer, error) { return offer.End(tx, w.brand.ID, o.ID, delivery.ResumeStream) }, 0},
		}
		for _, step := range steps {
			w.write(func(tx *store.Tx) error { _, err := step.f(tx); return err })
			if step.want < 0 {
				continue
			}
			if n := w.issue(o); n != step.want {
				w.Fatalf("%d codes after %s, want %d", n, step.name, step.want)
			}
		}
		if r, refusal := w.redeem(o, w.codes(s)[0].Code, "A-1"); refusal != nil || r.Order != "A-1" {
			w.Fatalf("a code of an ended offer: %v", refusal)
		}
		for _, step := range steps {
			if err := w.try(func(tx *store.Tx) error { _, err := step.f(tx); return err }); !problem.Is(err, problem.Conflict) {
				w.Errorf("%s after the end: %v", step.name, err)
			}
		}
	})
}

// A hundred tries at once for a hundred orders: one wins, 99 are told, and each
// of them is on record.
func TestOneOfAHundredWins(t *testing.T) {
	each(t, func(w *world) {
		s := w.crowd(1)[0]
		o := w.running(w.spring())
		w.issue(o)
		code := w.codes(s)[0].Code
		var group sync.WaitGroup
		var mutex sync.Mutex
		won, refused := []string{}, 0
		for i := range 100 {
			group.Go(func() {
				order := fmt.Sprint("A-", i)
				var refusal *problem.Error
				err := w.db.Write(w.ctx, func(tx *store.Tx) (err error) {
					_, refusal, err = offer.Redeem(tx, w.brand.ID, offer.Try{Offer: o.ID, Code: code, Order: order})
					return err
				})
				mutex.Lock()
				defer mutex.Unlock()
				switch {
				case err != nil:
					w.Error(err)
				case refusal == nil:
					won = append(won, order)
				case refusal.Kind == problem.Conflict && refusal.Key == "offer.redeemed-already":
					refused++
				default:
					w.Error(refusal)
				}
			})
		}
		group.Wait()
		if len(won) != 1 || refused != 99 {
			w.Fatalf("%d won (%v), %d refused", len(won), won, refused)
		}
		if got := w.codes(s)[0].RedeemedFor; got != won[0] {
			w.Errorf("redeemed for %s, but %s was told so", got, won[0])
		}
		if got := w.facts(event.OfferRedeemed, s.ID, "order"); !slices.Equal(got, won) {
			w.Errorf("facts of redemption: %v", got)
		}
		if got := w.facts(event.OfferRefused, s.ID, "reason"); len(got) != 99 {
			w.Errorf("%d facts of refusal, want 99", len(got))
		}
	})
}

// The same order again, also long after the code expired, has the same answer
// and leaves nothing new.
func TestSameOrderSameAnswer(t *testing.T) {
	each(t, func(w *world) {
		s := w.crowd(1)[0]
		o := w.running(w.spring())
		w.issue(o)
		code := w.codes(s)[0].Code
		first, refusal := w.redeem(o, " "+strings.ToLower(code), "A-1")
		if refusal != nil || first.Again || first.SubscriberID != s.ID || first.Value != 15 || first.Code != code {
			w.Fatalf("%+v, %v", first, refusal)
		}
		w.pass(90 * day)
		again, refusal := w.redeem(o, code, "A-1")
		first.Again = true
		if refusal != nil || again != first {
			w.Fatalf("again %+v, %v; want %+v", again, refusal, first)
		}
		if n := w.facts(event.OfferRedeemed, s.ID, "order"); len(n) != 1 {
			w.Errorf("%d facts", len(n))
		}
		if n := w.facts(event.OfferRefused, s.ID, "order"); len(n) != 0 {
			w.Errorf("%d refusals", len(n))
		}
	})
}

func TestRefusalsSayWhyAndAreKept(t *testing.T) {
	each(t, func(w *world) {
		s := w.crowd(1)[0]
		o, other := w.running(w.spring()), w.running(w.spring())
		w.issue(o)
		w.issue(other)
		var mine, foreign string
		for _, c := range w.codes(s) {
			if c.OfferID == o.ID {
				mine = c.Code
			} else {
				foreign = c.Code
			}
		}
		expect := func(code string, kind problem.Kind, key, reason string, person uuid.UUID) {
			w.Helper()
			told := func() (n int) {
				for _, fact := range w.facts(event.OfferRefused, person, "reason") {
					if fact == reason {
						n++
					}
				}
				return n
			}
			before := told()
			r, refusal := w.redeem(o, code, "A-1")
			if refusal == nil || refusal.Kind != kind || refusal.Key != key || r != (offer.Redemption{}) {
				w.Errorf("%s: %+v, %v; want %s", code, r, refusal, key)
			}
			if n := told() - before; n != 1 {
				w.Errorf("%s: %d facts of its being %s", code, n, reason)
			}
		}
		expect(foreign, problem.NotFound, "offer.code-unknown", "another-offer", uuid.Nil)
		expect("NAR-2222-2222-2222", problem.NotFound, "offer.code-unknown", "unknown", uuid.Nil)
		expect("'; DROP TABLE offers", problem.NotFound, "offer.code-unknown", "unknown", uuid.Nil)
		expect("", problem.NotFound, "offer.code-unknown", "unknown", uuid.Nil)
		end := w.codes(s)[0].ExpiresAt
		w.pass(end.Sub(w.db.Now()))
		expect(mine, problem.Gone, "offer.expired", "expired", s.ID)
		w.pass(-time.Microsecond) // the last moment of the last day
		if _, refusal := w.redeem(o, mine, "A-2"); refusal != nil {
			w.Fatal(refusal)
		}
		expect(mine, problem.Conflict, "offer.redeemed-already", "redeemed-already", s.ID)
		if n := w.count("SELECT count(*) FROM offer_codes WHERE redeemed_at IS NOT NULL"); n != 1 {
			w.Errorf("%d codes redeemed", n)
		}
		for _, order := range []string{"", " ", "a\nb", "a\xff", strings.Repeat("x", 101)} {
			err := w.try(func(tx *store.Tx) error {
				_, _, err := offer.Redeem(tx, w.brand.ID, offer.Try{Offer: o.ID, Code: mine, Order: order})
				return err
			})
			if !problem.Is(err, problem.Invalid) {
				w.Errorf("order %q: %v", order, err)
			}
		}
	})
}

func TestOrdersAreRecordedOnce(t *testing.T) {
	each(t, func(w *world) {
		at := w.db.Now().AddDate(-1, 0, 0)
		n := offer.NewOrder{Number: "1001", Email: "New.Person@Example.org", PlacedAt: at, Total: 2990, Currency: "EUR", Items: 2}
		record := func(n offer.NewOrder) (o offer.Order, fresh bool, err error) {
			err = w.try(func(tx *store.Tx) (err error) { o, fresh, err = offer.RecordOrder(tx, w.brand, n); return err })
			return o, fresh, err
		}
		first, fresh, err := record(n)
		if err != nil || !fresh {
			w.Fatalf("%v, fresh %v", err, fresh)
		}
		again, fresh, err := record(n)
		if err != nil || fresh || again.ID != first.ID {
			w.Fatalf("again: %+v, %v, fresh %v", again, err, fresh)
		}
		for name, change := range map[string]func(n *offer.NewOrder){
			"total":    func(n *offer.NewOrder) { n.Total++ },
			"person":   func(n *offer.NewOrder) { n.Email = "other@example.org" },
			"time":     func(n *offer.NewOrder) { n.PlacedAt = n.PlacedAt.Add(time.Second) },
			"currency": func(n *offer.NewOrder) { n.Currency = "USD" },
			"items":    func(n *offer.NewOrder) { n.Items = 3 },
		} {
			other := n
			change(&other)
			if _, _, err := record(other); !problem.Is(err, problem.Conflict) {
				w.Errorf("another %s under the same number: %v", name, err)
			}
		}
		if n := w.count("SELECT count(*) FROM subscribers"); n != 1 {
			w.Errorf("%d subscribers", n)
		}
		if n := w.count("SELECT count(*) FROM permissions"); n != 0 {
			w.Errorf("a purchase made %d permissions", n)
		}
		if got := w.facts(event.OrderPlaced, first.SubscriberID, "number"); !slices.Equal(got, []string{"1001"}) {
			w.Errorf("facts %v", got)
		}
		since := func(want time.Time) {
			w.Helper()
			w.write(func(tx *store.Tx) error {
				s, err := subscriber.Find(tx, w.brand.ID, first.SubscriberID)
				if err == nil && (s.CustomerSince == nil || !s.CustomerSince.Equal(want)) {
					w.Errorf("customer since %v, want %s", s.CustomerSince, want)
				}
				return err
			})
		}
		since(at)
		later, earlier := n, n
		later.Number, later.PlacedAt = "1002", at.AddDate(0, 1, 0)
		earlier.Number, earlier.PlacedAt = "1000", at.AddDate(-2, 0, 0)
		for _, n := range []offer.NewOrder{later, earlier} {
			if _, _, err := record(n); err != nil {
				w.Fatal(err)
			}
		}
		since(earlier.PlacedAt)
	})
}

// Twenty at once with one number are one order; twenty of one person make a
// customer since the earliest, whichever of them is written last.
func TestOrdersAtOnce(t *testing.T) {
	each(t, func(w *world) {
		first := w.db.Now().AddDate(-1, 0, 0)
		w.write(func(tx *store.Tx) error {
			_, _, err := offer.RecordOrder(tx, w.brand, offer.NewOrder{Number: "x", Email: "many@example.org", PlacedAt: first, Currency: "EUR"})
			return err
		})
		var group sync.WaitGroup
		errs := make([]error, 40)
		for i := range errs {
			n := offer.NewOrder{Number: "same", Email: "same@example.org", PlacedAt: first, Total: 1, Currency: "EUR", Items: 1}
			if i%2 == 1 {
				n.Number, n.Email, n.PlacedAt = fmt.Sprint("x", i), "many@example.org", first.AddDate(0, 0, i-40)
			}
			group.Go(func() {
				errs[i] = w.db.Write(w.ctx, func(tx *store.Tx) error { _, _, err := offer.RecordOrder(tx, w.brand, n); return err })
			})
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			w.Fatal(err)
		}
		if n := w.count("SELECT count(*) FROM orders"); n != 22 {
			w.Errorf("%d orders, want 22", n)
		}
		if n := w.count("SELECT count(*) FROM events WHERE kind = ?", event.OrderPlaced); n != 22 {
			w.Errorf("%d facts, want 22", n)
		}
		n := w.count("SELECT count(*) FROM subscribers WHERE email = 'many@example.org' AND customer_since = ?", first.AddDate(0, 0, -39))
		if n != 1 {
			w.Error("the earliest order does not count")
		}
	})
}

func TestBadOrdersAreRefused(t *testing.T) {
	each(t, func(w *world) {
		good := offer.NewOrder{Number: "1", Email: "a@example.org", PlacedAt: w.db.Now(), Total: 1, Currency: "EUR", Items: 1}
		for field, change := range map[string]func(n *offer.NewOrder){
			"number":    func(n *offer.NewOrder) { n.Number = "1\r\n2" },
			"email":     func(n *offer.NewOrder) { n.Email = "a@example.org\r\nBcc: b@example.org" },
			"placed_at": func(n *offer.NewOrder) { n.PlacedAt = w.db.Now().Add(48 * time.Hour) },
			"total":     func(n *offer.NewOrder) { n.Total = -1 },
			"currency":  func(n *offer.NewOrder) { n.Currency = "eur" },
			"items":     func(n *offer.NewOrder) { n.Items = -1 },
		} {
			n := good
			change(&n)
			err := w.try(func(tx *store.Tx) error { _, _, err := offer.RecordOrder(tx, w.brand, n); return err })
			if p, ok := problem.Of(err); !ok || p.Kind != problem.Invalid || p.Fields[0].Name != field {
				w.Errorf("%s: %v", field, err)
			}
		}
		both, nobody := good, good
		both.Subscriber = w.person("b").ID
		nobody.Email = ""
		for _, n := range []offer.NewOrder{both, nobody} {
			err := w.try(func(tx *store.Tx) error { _, _, err := offer.RecordOrder(tx, w.brand, n); return err })
			if !problem.Is(err, problem.Invalid) {
				w.Errorf("%+v: %v", n, err)
			}
		}
		if n := w.count("SELECT count(*) FROM orders"); n != 0 {
			w.Errorf("%d orders", n)
		}
	})
}

func TestCreateSaysWhatIsWrong(t *testing.T) {
	each(t, func(w *world) {
		other, foreign := w.newBrand("other")
		theirs := w.content(other)
		var persian uuid.UUID
		w.write(func(tx *store.Tx) (err error) {
			persian, err = delivery.SaveContent(tx, w.brand.ID, []delivery.Text{{Language: "fa", Subject: "سلام", HTML: "<p>سلام</p>"}})
			return err
		})
		for field, change := range map[string]func(n *offer.New){
			"content":        func(n *offer.New) { n.Content = theirs },
			"name":           func(n *offer.New) { n.Name = " " },
			"topic":          func(n *offer.New) { n.Topic = foreign.ID },
			"value":          func(n *offer.New) { n.Value = 101 },
			"value_kind":     func(n *offer.New) { n.ValueKind = "points" },
			"currency":       func(n *offer.New) { n.ValueKind = offer.Amount },
			"valid_days":     func(n *offer.New) { n.ValidDays = 0 },
			"budget":         func(n *offer.New) { n.Budget = 0 },
			"min_orders":     func(n *offer.New) { n.MinOrders = 0 },
			"min_value":      func(n *offer.New) { n.MinValue = -1 },
			"min_months":     func(n *offer.New) { n.MinMonths = 1201 },
			"texts/fa":       func(n *offer.New) { n.Texts = map[string]offer.Text{"en": n.Texts["en"]} },
			"texts/en":       func(n *offer.New) { n.Content = persian },
			"texts/en/terms": func(n *offer.New) { n.Texts = map[string]offer.Text{"fa": n.Texts["fa"], "en": {Title: "x"}} },
		} {
			n := w.spring()
			change(&n)
			err := w.try(func(tx *store.Tx) error { _, err := offer.Create(tx, w.brand, n); return err })
			if p, ok := problem.Of(err); !ok || p.Kind != problem.Invalid || len(p.Fields) != 1 || p.Fields[0].Name != field {
				w.Errorf("%s: %v", field, err)
			}
		}
	})
}

// A draft can become anything; what was started only more of what it is.
func TestAnOfferChangesAsFarAsItTakesNothing(t *testing.T) {
	each(t, func(w *world) {
		update := func(o offer.Offer, n offer.New) (offer.Offer, error) {
			var changed offer.Offer
			err := w.try(func(tx *store.Tx) (err error) { changed, err = offer.Update(tx, w.brand, o.ID, n); return err })
			return changed, err
		}
		draft, other := w.spring(), w.spring()
		other.Name, other.ValueKind, other.Value, other.Currency, other.Budget, other.ValidDays = "Autumn", offer.Amount, 1250, "EUR", 2, 7
		other.Texts = map[string]offer.Text{"fa": {Title: "پاییز", Terms: "یک بار."}, "en": {Title: "Autumn", Terms: "Once."}}
		o := w.running(draft)
		var plan offer.Offer
		w.write(func(tx *store.Tx) (err error) { plan, err = offer.Create(tx, w.brand, draft); return err })
		if got, err := update(plan, other); err != nil || got.Worth(i18n.For("en")) != "€12.50" || got.Texts["en"].Title != "Autumn" || got.Budget != 2 {
			t.Fatalf("a draft: %+v, %v", got, err)
		}

		people := w.crowd(3)
		w.issue(o)
		code := w.codes(people[0])[0]
		mail, theirs := w.content(w.brand), w.content(first(w.newBrand("other")))
		for field, change := range map[string]func(n *offer.New){
			"value":      func(n *offer.New) { n.Value = 20 },
			"value_kind": func(n *offer.New) { n.ValueKind, n.Value = offer.Gift, 15 },
			"texts":      func(n *offer.New) { n.Texts = other.Texts },
			"budget":     func(n *offer.New) { n.Budget = 999 },
			"valid_days": func(n *offer.New) { n.ValidDays = 29 },
			"min_orders": func(n *offer.New) { n.MinOrders = 4 },
			"content":    func(n *offer.New) { n.Content = theirs },
		} {
			n := w.spring()
			change(&n)
			_, err := update(o, n)
			if p, ok := problem.Of(err); !ok || p.Kind != problem.Invalid || !slices.ContainsFunc(p.Fields, func(f problem.Field) bool { return f.Name == field }) {
				t.Errorf("%s of one that runs: %v", field, err)
			}
		}
		more := w.spring()
		more.Name, more.Content, more.Budget, more.ValidDays, more.MinOrders, more.MinMonths = "Spring, longer", mail, 1001, 60, 1, 6
		got, err := update(o, more)
		if err != nil || got.Name != "Spring, longer" || got.Budget != 1001 || got.Issued != 3 || got.State != offer.Running {
			t.Fatalf("more of it: %+v, %v", got, err)
		}
		if again := w.codes(people[0])[0]; again != code {
			t.Errorf("a code that was given is %+v, was %+v", again, code)
		}
		w.pass(time.Hour)
		late := w.person("late")
		w.give(late)
		w.buy(late, 100)
		w.issue(o)
		if c := w.codes(late); len(c) != 1 || c[0].ExpiresAt.Sub(c[0].IssuedAt) < 60*day {
			t.Errorf("who earned it by the easier way has %+v", c)
		}
		foreign, _ := w.newBrand("third")
		if err := w.try(func(tx *store.Tx) error { _, err := offer.Update(tx, foreign, o.ID, more); return err }); !problem.Is(err, problem.NotFound) {
			t.Errorf("another brand's: %v", err)
		}
		speaks := w.brand.Language
		w.brand.Language = map[string]string{"en": "fa", "fa": "en"}[speaks]
		more.Budget++
		if _, err := update(o, more); err != nil {
			t.Errorf("the brand speaks another language since: %v", err)
		}
		w.brand.Language = speaks
		w.write(func(tx *store.Tx) error {
			_, err := offer.End(tx, w.brand.ID, o.ID, delivery.ResumeStream)
			return err
		})
		if _, err := update(o, more); !problem.Is(err, problem.Conflict) {
			t.Errorf("one that has ended: %v", err)
		}
	})
}

func first[A, B any](a A, _ B) A { return a }

// A budget that is used up and raised is given out without anybody's doing.
func TestARaisedBudgetIsGivenOut(t *testing.T) {
	each(t, func(w *world) {
		w.crowd(3)
		n := w.spring()
		n.Budget = 1
		o := w.running(n)
		w.issue(o)
		w.write(func(tx *store.Tx) error { _, err := tx.Run("DELETE FROM jobs"); return err })
		n.Budget = 3
		w.write(func(tx *store.Tx) error { _, err := offer.Update(tx, w.brand, o.ID, n); return err })
		if jobs := w.count("SELECT count(*) FROM jobs WHERE kind = 'offer'"); jobs != 1 {
			t.Errorf("%d jobs are to give out the rest", jobs)
		}
	})
}

// What is typed for an amount is what it is read as.
func TestMoneyIsTypedAsItIsRead(t *testing.T) {
	for code, amounts := range map[string][]int64{"EUR": {1, 10, 100, 1250, 1205}, "JPY": {1, 1500}, "KWD": {1, 1500, 1501}} {
		for _, n := range amounts {
			if got, ok := offer.ParseMoney(offer.TypedMoney(n, code), code); !ok || got != n {
				t.Errorf("%d %s is typed %q, and read %d", n, code, offer.TypedMoney(n, code), got)
			}
		}
	}
}

func TestBrandsAreWalls(t *testing.T) {
	each(t, func(w *world) {
		s := w.crowd(1)[0]
		o := w.running(w.spring())
		other, topic := w.newBrand("other")
		w.issue(o)
		code := w.codes(s)[0].Code
		for name, f := range map[string]func(tx *store.Tx) error{
			"find":  func(tx *store.Tx) error { _, err := offer.Find(tx, other.ID, o.ID); return err },
			"count": func(tx *store.Tx) error { _, err := offer.Count(tx, other.ID, o.ID); return err },
			"pause": func(tx *store.Tx) error { _, err := offer.Pause(tx, other.ID, o.ID, delivery.PauseStream); return err },
			"end":   func(tx *store.Tx) error { _, err := offer.End(tx, other.ID, o.ID, delivery.ResumeStream); return err },
			"redeem": func(tx *store.Tx) error {
				_, _, err := offer.Redeem(tx, other.ID, offer.Try{Offer: o.ID, Code: code, Order: "1"})
				return err
			},
			"order": func(tx *store.Tx) error { _, err := offer.FindOrder(tx, other.ID, "C-0-0"); return err },
			"buy": func(tx *store.Tx) error {
				_, _, err := offer.RecordOrder(tx, other, offer.NewOrder{Number: "1", Subscriber: s.ID, PlacedAt: tx.Now(), Currency: "EUR"})
				return err
			},
		} {
			if err := w.try(f); !problem.Is(err, problem.NotFound) {
				w.Errorf("%s: %v, want not found", name, err)
			}
		}
		n := w.spring()
		n.Topic, n.Content = topic.ID, w.content(other)
		var theirs offer.Offer
		w.write(func(tx *store.Tx) (err error) {
			if theirs, err = offer.Create(tx, other, n); err != nil {
				return err
			}
			_, err = offer.Start(tx, other.ID, theirs.ID, open)
			return err
		})
		if n := w.issue(theirs); n != 0 {
			w.Errorf("%d of another brand's people got a code", n)
		}
		r, refusal := w.redeem(theirs, code, "1")
		if refusal == nil || refusal.Kind != problem.NotFound || r != (offer.Redemption{}) {
			w.Errorf("another brand's code: %+v, %v", r, refusal)
		}
		w.write(func(tx *store.Tx) error {
			codes, err := offer.CodesOf(tx, other.ID, s.ID)
			if len(codes) != 0 {
				w.Error("another brand reads the codes of a person")
			}
			return err
		})
	})
}

// Six weeks after leaving there is no code and no mail, whatever was earned.
func TestNothingAfterLeaving(t *testing.T) {
	each(t, func(w *world) {
		s := w.crowd(1)[0]
		w.withdraw(s)
		o := w.running(w.spring())
		for range 42 {
			w.issue(o)
			w.pass(day)
		}
		if len(w.codes(s)) != 0 || w.count("SELECT count(*) FROM messages") != 0 {
			w.Fatal("mailed after leaving")
		}
	})
}
