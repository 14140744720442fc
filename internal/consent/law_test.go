package consent_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// TestToTheDay: months of the calendar, in zones of all kinds, over leap years
// and over clocks that are put forward at midnight.
func TestToTheDay(t *testing.T) {
	for _, c := range []struct {
		zone, said string
		months     int
		last, over string // the last minute within, and the first outside
	}{
		{"America/Toronto", "2026-03-15T09:00", 24, "2028-03-15T23:59", "2028-03-16T00:00"},
		{"America/Toronto", "2026-03-15T00:00", 6, "2026-09-15T23:59", "2026-09-16T00:00"},
		{"Asia/Tehran", "2026-03-21T23:59", 24, "2028-03-21T23:59", "2028-03-22T00:00"},
		{"Asia/Tehran", "2021-03-15T12:00", 6, "2021-09-15T23:59", "2021-09-16T00:00"},
		{"Asia/Tehran", "2020-09-21T12:00", 6, "2021-03-21T23:59", "2021-03-22T01:00"}, // 22 March 2021 began at one
		{"UTC", "2024-02-29T12:00", 24, "2026-02-28T23:59", "2026-03-01T00:00"},
		{"UTC", "2022-02-28T12:00", 24, "2024-02-28T23:59", "2024-02-29T00:00"},
		{"UTC", "2023-08-31T12:00", 6, "2024-02-29T23:59", "2024-03-01T00:00"},
		{"UTC", "2024-08-31T12:00", 6, "2025-02-28T23:59", "2025-03-01T00:00"},
		{"Europe/Berlin", "2026-06-30T12:00", 6, "2026-12-30T23:59", "2026-12-31T00:00"},
		{"America/Sao_Paulo", "2018-05-03T12:00", 6, "2018-11-03T23:59", "2018-11-04T01:00"}, // summer time at midnight
		{"Pacific/Auckland", "2026-01-01T00:00", 24, "2028-01-01T23:59", "2028-01-02T00:00"},
	} {
		zone := brand.Zone(c.zone)
		at := func(s string) time.Time {
			x, err := time.ParseInLocation("2006-01-02T15:04", s, zone)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		until := consent.After(at(c.said), c.months, zone)
		if !until.After(at(c.last)) || until.After(at(c.over)) || !until.Equal(at(c.over)) {
			t.Errorf("%s, said %s, %d months: ends %s, not %s", c.zone, c.said, c.months, until.In(zone), c.over)
		}
	}
}

func (w *world) grant(a consent.Act) (e consent.Event, err error) {
	err = w.db.Write(context.Background(), func(tx *store.Tx) (err error) { e, err = consent.Grant(tx, a); return err })
	return e, err
}

func (w *world) at(s string) *time.Time {
	x, err := time.ParseInLocation("2006-01-02", s, w.brand.Location())
	w.must(err)
	return &x
}

func (w *world) until(day string) {
	w.Helper()
	w.offset.Store(int64(w.at(day).Sub(start)))
}

// TestImpliedConsentEndsToTheDay (CASL s.10(10)): lived through with the clock.
func TestImpliedConsentEndsToTheDay(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person(w.brand, "ana@example.org")
		bought := w.act(ana, "")
		bought.Basis, bought.Method = consent.BasisImpliedPurchase, consent.MethodAPI
		if _, err := w.grant(bought); !problem.Is(err, problem.Invalid) {
			w.Fatalf("a purchase of no day: %v", err)
		}
		bought.SaidAt = w.at("2026-12-24")
		if _, err := w.grant(bought); !problem.Is(err, problem.Invalid) {
			w.Fatalf("a purchase still to come: %v", err)
		}
		long := w.at("2040-01-01")
		bought.SaidAt, bought.ValidUntil = w.at("2026-02-14"), long
		if e, err := w.grant(bought); err != nil || !e.ValidUntil.Equal(*w.at("2028-02-15")) {
			w.Fatalf("ends %v, %v", e.ValidUntil, err)
		}
		bought.ValidUntil = nil
		w.until("2028-02-15")
		w.pass(-time.Minute)
		if a := w.may(ana); !a.Allowed {
			w.Fatalf("on the last day: %+v", a)
		}
		later := bought
		later.SaidAt = w.at("2027-05-01")
		older := bought
		older.SaidAt = w.at("2026-01-02")
		if e, err := w.grant(later); err != nil || e.State != consent.Renewed || !e.ValidUntil.Equal(*w.at("2029-05-02")) {
			w.Fatalf("a later purchase: %+v, %v", e, err)
		}
		if e, err := w.grant(older); err != nil || e.Fresh {
			w.Fatalf("an older purchase: %+v, %v", e, err)
		}
		w.until("2029-05-02")
		if a := w.may(ana); a.Allowed || a.Reason != consent.ReasonExpired {
			w.Fatalf("the day after: %+v", a)
		}
		w.write(func(tx *store.Tx) error {
			n, err := consent.ExpireDue(tx, 10)
			if n != 1 {
				w.Fatalf("%d expired", n)
			}
			return err
		})
		w.mustAgree(ana)

		ben := w.person(w.brand, "ben@example.org")
		asked := w.act(ben, "")
		asked.Basis, asked.Method, asked.SaidAt = consent.BasisImpliedInquiry, consent.MethodAPI, w.at("2029-02-28")
		if e, err := w.grant(asked); err != nil || !e.ValidUntil.Equal(*w.at("2029-08-29")) {
			w.Fatalf("an inquiry ends %v, %v", e.ValidUntil, err)
		}
		yes := w.act(ben, consent.Given)
		given := w.mustRecord(yes)
		if given.ValidUntil != nil {
			w.Fatal("a yes of their own ends")
		}
		if e, err := w.grant(asked); err != nil || e.Fresh || e.ID != given.ID {
			w.Fatalf("an inquiry took from a yes: %+v, %v", e, err)
		}
	})
}

// TestASaleIsNoYes: the soft opt-in (2002/58/EC art. 13(2)).
func TestASaleIsNoYes(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person(w.brand, "ana@example.org")
		a := w.act(ana, "")
		a.Basis, a.Method, a.Sale = consent.BasisSoftOptIn, consent.MethodAPI, &consent.Sale{Ref: "10293", Product: "Tea", Offered: start.Add(-time.Hour)}
		if _, err := w.grant(a); !problem.Is(err, problem.Invalid) {
			w.Fatalf("a topic of anything: %v", err)
		}
		similar := true
		w.write(func(tx *store.Tx) (err error) {
			w.news, err = consent.UpdateTopic(tx, w.brand, w.news.ID, consent.TopicChange{OwnSimilar: &similar})
			return err
		})
		a.Topic = w.news
		for name, spoil := range map[string]func(*consent.Act){
			"no sale": func(a *consent.Act) { a.Sale = nil }, "no number": func(a *consent.Act) { a.Sale = &consent.Sale{Product: "Tea", Offered: start} },
			"no product": func(a *consent.Act) { a.Sale = &consent.Sale{Ref: "1", Offered: start} }, "no way out": func(a *consent.Act) { a.Sale = &consent.Sale{Ref: "1", Product: "Tea"} },
			"to come":  func(a *consent.Act) { a.Sale = &consent.Sale{Ref: "1", Product: "Tea", Offered: start.Add(time.Hour)} },
			"no law":   func(a *consent.Act) { a.Brand.Jurisdiction = "PL" },
			"no place": func(a *consent.Act) { a.Brand.Jurisdiction = "" },
		} {
			bad := a
			spoil(&bad)
			if _, err := w.grant(bad); !problem.Is(err, problem.Invalid) {
				w.Errorf("%s: %v", name, err)
			}
		}
		e, err := w.grant(a)
		w.must(err)
		w.write(func(tx *store.Tx) error {
			p, err := consent.EvidenceOf(tx, e.ID)
			if p.Evidence["sale_ref"] != "10293" || p.Evidence["product"] != "Tea" || p.Evidence["offered_opt_out_at"] == nil {
				w.Errorf("evidence %v", p.Evidence)
			}
			return err
		})
		w.pass(48 * time.Hour)
		for _, basis := range []string{consent.BasisExplicit, consent.BasisOperator, consent.BasisImport} {
			yes := w.act(ana, "")
			yes.Topic, yes.Basis, yes.Method = w.news, basis, consent.MethodAPI
			if _, err := w.grant(yes); !problem.Is(err, problem.Conflict) {
				w.Errorf("%s over a sale: %v", basis, err)
			}
			early := start.Add(-72 * time.Hour)
			yes.SaidAt = &early
			if _, err := w.grant(yes); !problem.Is(err, problem.Conflict) {
				w.Errorf("%s said before the sale: %v", basis, err)
			}
		}
		signed := w.statement(ana, consent.MethodPaper)
		w.write(func(tx *store.Tx) error {
			_, err := consent.RecordStatement(tx, signed)
			return err
		})
		if h := w.history(ana); len(h) != 2 || h[1].Basis != consent.BasisOperator || h[1].Method != consent.MethodPaper {
			w.Errorf("what they signed: %+v", h)
		}
		w.mustAgree(ana)
	})
}

var png = append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte("rare words of a scan "), 50)...)

func (w *world) statement(s subscriber.Subscriber, method string) consent.Statement {
	var now time.Time
	w.write(func(tx *store.Tx) error { now = tx.Now(); return nil })
	return consent.Statement{Brand: w.brand, Subscriber: s.ID, Topics: []consent.Topic{w.news}, Method: method, SaidAt: consent.DayOf(now, w.brand.Location()),
		Place: "Fair, hall 3", Words: "Yes, write to me.\nOnce a week.", User: uuid.NewString(), Scan: png}
}

func TestAStatementIsKeptWithItsScan(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person(w.brand, "ana@example.org")
		state := func(s consent.Statement) (all []consent.Event, err error) {
			err = w.db.Write(context.Background(), func(tx *store.Tx) (err error) { all, err = consent.RecordStatement(tx, s); return err })
			return all, err
		}
		for name, spoil := range map[string]func(*consent.Statement){
			"words": func(s *consent.Statement) { s.Words = " " }, "place": func(s *consent.Statement) { s.Place = "" }, "said_on": func(s *consent.Statement) { s.SaidAt = time.Time{} },
			"by": func(s *consent.Statement) { s.User = "" }, "topics": func(s *consent.Statement) { s.Topics = nil }, "method": func(s *consent.Statement) { s.Method = consent.MethodDoubleOptIn },
			"scan": func(s *consent.Statement) { s.Scan = []byte("<html><script>alert(1)</script>") },
		} {
			s := w.statement(ana, consent.MethodPhone)
			spoil(&s)
			_, err := state(s)
			if p, ok := problem.Of(err); !ok || p.Kind != problem.Invalid || len(p.Fields) != 1 || p.Fields[0].Name != name {
				w.Errorf("%s: %v", name, err)
			}
		}
		big := w.statement(ana, consent.MethodPaper)
		big.Scan = append(bytes.Clone(png), make([]byte, consent.ScanMax)...)
		if _, err := state(big); !problem.Is(err, problem.Invalid) {
			w.Errorf("a scan too large: %v", err)
		}
		events, err := state(w.statement(ana, consent.MethodPaper))
		w.must(err)
		e := events[0]
		entity, err := e.Entity()
		w.must(err)
		if e.Basis != consent.BasisOperator || e.Method != consent.MethodPaper || entity != consent.EntityOperator {
			w.Errorf("%s %s by %s", e.Basis, e.Method, entity)
		}
		w.write(func(tx *store.Tx) error {
			words, err := consent.WordingOf(tx, e)
			w.must(err)
			p, err := consent.EvidenceOf(tx, e.ID)
			w.must(err)
			id, err := uuid.Parse(p.Evidence["scan"].(string))
			w.must(err)
			kind, file, err := consent.ScanOf(tx, w.brand.ID, ana.ID, id)
			if words != "Yes, write to me.\nOnce a week." || kind != "image/png" || !bytes.Equal(file, png) || err != nil {
				w.Errorf("%q, %s, %d bytes, %v", words, kind, len(file), err)
			}
			if _, _, err := consent.ScanOf(tx, uuid.New(), ana.ID, id); !problem.Is(err, problem.NotFound) {
				w.Errorf("another brand's scan: %v", err)
			}
			var raw [][]byte
			w.must(tx.Raw("SELECT sealed FROM scans").Scan(&raw).Error)
			if len(raw) != 1 || bytes.Contains(raw[0], []byte("rare words")) {
				w.Errorf("%d scans, in the clear", len(raw))
			}
			_, err = tx.Run("DELETE FROM subject_keys WHERE subscriber_id = ?", ana.ID)
			w.must(err)
			if _, _, err := consent.ScanOf(tx, w.brand.ID, ana.ID, id); !problem.Is(err, problem.Gone) {
				w.Errorf("after the key: %v", err)
			}
			return nil
		})
	})
}

// TestAChangedPurposeHoldsWhatWasSaidBefore (LGPD art. 8 §6).
func TestAChangedPurposeHoldsWhatWasSaidBefore(t *testing.T) {
	each(t, func(w *world) {
		ana, ben, cem := w.person(w.brand, "ana@example.org"), w.person(w.brand, "ben@example.org"), w.person(w.brand, "cem@example.org")
		w.mustRecord(w.act(ana, consent.Given))
		w.pass(48 * time.Hour)
		texts := map[string]consent.TopicText{"en": {Name: "News", Wording: "Yes, send me the news."}}
		change := func(again bool) {
			w.write(func(tx *store.Tx) (err error) {
				w.news, err = consent.UpdateTopic(tx, w.brand, w.news.ID, consent.TopicChange{Texts: &texts, AsksAgain: again})
				return err
			})
		}
		change(false)
		if a := w.may(ana); !a.Allowed {
			w.Fatalf("after a change of words only: %+v", a)
		}
		change(true)
		if a := w.may(ana); a.Allowed || a.Reason != consent.ReasonChanged {
			w.Fatalf("after a change of what is agreed to: %+v", a)
		}
		w.pass(time.Hour)
		w.mustRecord(w.act(ben, consent.Given))
		if a := w.may(ben); !a.Allowed {
			w.Fatalf("said after the change: %+v", a)
		}
		old := w.act(cem, "")
		day := start.Add(-time.Hour)
		old.Basis, old.Method, old.SaidAt = consent.BasisImport, consent.MethodImport, &day
		_, err := w.grant(old)
		w.must(err)
		if a := w.may(cem); a.Allowed || a.Reason != consent.ReasonChanged {
			w.Fatalf("written down after the change, but said before: %+v", a)
		}
		// one rule for one person and for a set
		w.write(func(tx *store.Tx) error {
			for s, want := range map[uuid.UUID]string{ana.ID: consent.ReasonChanged, ben.ID: "", cem.ID: consent.ReasonChanged} {
				const of = " FROM subscribers s JOIN permissions p ON p.subscriber_id = s.id AND p.topic_id = ? WHERE s.id = ?"
				var reason string
				var n int64
				w.must(tx.Raw("SELECT "+consent.ReasonSQL+of, tx.Now(), w.news.ID, s).Scan(&reason).Error)
				w.must(tx.Raw("SELECT count(*)"+of+" AND "+consent.EligibleSQL, w.news.ID, s, tx.Now()).Scan(&n).Error)
				if reason != want || (n == 1) != (want == "") {
					w.Errorf("the set says %q and %d, one person %q", reason, n, want)
				}
			}
			return nil
		})
		w.mustRecord(w.act(ana, consent.Given))
		if a := w.may(ana); !a.Allowed {
			w.Fatalf("said again: %+v", a)
		}
	})
}

// TestNobodyIsConfirmedByTheTeamAlone: on no way into the ledger does an operator
// state a permission without evidence, or as the person's own act.
func TestNobodyIsConfirmedByTheTeamAlone(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person(w.brand, "ana@example.org")
		ways := map[string]func(consent.Act) error{
			"Record": func(a consent.Act) error { a.State = consent.Given; _, err := w.record(a); return err },
			"Grant":  func(a consent.Act) error { _, err := w.grant(a); return err },
			"GrantAll": func(a consent.Act) (refused error) {
				w.write(func(tx *store.Tx) error {
					_, all, err := consent.GrantAll(tx, []consent.Act{a})
					refused = all[0]
					return err
				})
				return refused
			},
		}
		for name, way := range ways {
			for _, method := range []string{consent.MethodDoubleOptIn, consent.MethodSingleOptIn, consent.MethodPreferences, consent.MethodForm, consent.MethodRenewal, consent.MethodRePermission} {
				a := w.act(ana, "")
				a.Entity, a.Basis, a.Method = consent.EntityOperator, consent.BasisOperator, method
				if err := way(a); !problem.Is(err, problem.Invalid) {
					w.Errorf("%s as %s: %v", name, method, err)
				}
			}
			a := w.act(ana, "")
			a.Entity, a.Basis, a.Method, a.Evidence = consent.EntityOperator, consent.BasisOperator, consent.MethodAPI, map[string]any{"place": " "}
			if err := way(a); !problem.Is(err, problem.Invalid) {
				w.Errorf("%s without evidence: %v", name, err)
			}
		}
		if h := w.history(ana); len(h) != 0 {
			w.Errorf("written all the same: %+v", h)
		}
		a := w.act(ana, "")
		a.Basis, a.Method = consent.BasisOperator, consent.MethodAPI
		e, err := w.grant(a)
		w.must(err)
		if entity, _ := e.Entity(); entity != consent.EntityOperator {
			w.Errorf("the ledger says that %s did it", entity)
		}
	})
}
