package signup

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/importer"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"

	"github.com/google/uuid"
)

// bring imports addresses without any evidence.
func (w *world) bring(name string, addresses ...string) importer.Import {
	w.Helper()
	ctx := context.Background()
	text := "email\n"
	for _, a := range addresses {
		text += a + "\n"
	}
	i, err := importer.Upload(ctx, w.db, w.brand, nil, name, bytes.NewReader([]byte(text)))
	if err != nil {
		w.Fatal(err)
	}
	w.write(func(tx *store.Tx) error {
		if err := importer.Keep(tx, i); err != nil {
			return err
		}
		return importer.Start(tx, w.brand.ID, i.ID, importer.Plan{Header: true, Names: []string{"email"}, Columns: []importer.Column{{Use: importer.Email}}, Topics: []uuid.UUID{w.news.ID}})
	})
	if _, err := importer.Work(ctx, w.db, i.ID.String()); err != nil {
		w.Fatal(err)
	}
	w.write(func(tx *store.Tx) (err error) { i, err = importer.Find(tx, w.brand.ID, i.ID); return err })
	return i
}

// TestAListIsAskedOnceForEver: rows without evidence make nobody a subscriber;
// where the law allows it each address is asked, by however many workers, once.
func TestAListIsAskedOnceForEver(t *testing.T) {
	each(t, func(w *world) {
		left := w.allowing("left@example.org")
		w.write(func(tx *store.Tx) error {
			_, err := consent.WithdrawAll(tx, w.brand, left.ID, consent.MethodPreferences, nil)
			return err
		})
		i := w.bring("old.csv", "ana@example.org", "ben@example.org", "left@example.org")
		if i.Waiting != 2 || i.LeftBefore != 1 {
			w.Fatalf("%+v", i.Counts)
		}
		ask := func() error {
			return w.db.Write(context.Background(), func(tx *store.Tx) error { return importer.Ask(tx, w.brand, i.ID, 600) })
		}
		if err := ask(); !problem.Is(err, problem.Conflict) {
			w.Fatalf("where no law allows it: %v", err)
		}
		w.write(func(tx *store.Tx) (err error) {
			place := "US"
			w.brand, err = brand.Update(tx, w.brand.ID, brand.Change{Jurisdiction: &place})
			return err
		})
		if err := ask(); err != nil {
			w.Fatal(err)
		}
		turn := func() {
			w.Helper()
			var group sync.WaitGroup
			for range 2 {
				group.Go(func() {
					if err := w.db.Write(context.Background(), func(tx *store.Tx) error { _, err := AskImported(tx, w.set); return err }); err != nil {
						w.Error(err)
					}
				})
			}
			group.Wait()
			w.pass(2 * time.Minute)
		}
		turn()
		turn()
		if n := len(w.mails("permission")); n != 2 {
			w.Fatalf("%d mails to two addresses", n)
		}
		w.write(func(tx *store.Tx) (err error) { i, err = importer.Find(tx, w.brand.ID, i.ID); return err })
		if i.Waiting != 0 || i.Asked != 2 || i.Dropped != 2 {
			w.Errorf("%+v", i.Counts)
		}
		ana, ben := w.person("ana@example.org"), w.person("ben@example.org")
		if w.mayNews(ana).Allowed || w.last(ana).State != consent.Requested {
			w.Errorf("asked, and allowed: %+v", w.last(ana))
		}
		w.answerAsking(w.asking(ana), true)
		if e := w.last(ana); !w.mayNews(ana).Allowed || e.Method != consent.MethodRePermission || e.Basis != consent.BasisExplicit {
			w.Errorf("after a yes: %+v", e)
		}
		w.pass(31 * 24 * time.Hour)
		w.write(func(tx *store.Tx) error { _, err := SweepAskings(tx, 10); return err })
		if e := w.last(ben); e.State != consent.Expired {
			w.Errorf("without an answer: %s", e.State)
		}
		w.pass(200 * 24 * time.Hour)
		i = w.bring("again.csv", "ben@example.org")
		if err := ask(); err != nil {
			w.Fatal(err)
		}
		turn()
		if n := len(w.mails("permission")); n != 2 {
			w.Errorf("%d mails: somebody was asked again", n)
		}
	})
}

// askedOf imports addresses where the law allows one question, and asks them.
func (w *world) askedOf(addresses ...string) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		place := "US"
		w.brand, err = brand.Update(tx, w.brand.ID, brand.Change{Jurisdiction: &place})
		return err
	})
	i := w.bring("old.csv", addresses...)
	w.write(func(tx *store.Tx) error { return importer.Ask(tx, w.brand, i.ID, 600) })
	w.write(func(tx *store.Tx) error { _, err := AskImported(tx, w.set); return err })
	if n := len(w.mails("permission")); n != len(addresses) {
		w.Fatalf("%d were asked", n)
	}
}

// TestAnOldQuestionBringsNobodyBack: who left, objected or had the address stopped
// after an import's question is not brought back by its button; a fresh act is.
func TestAnOldQuestionBringsNobodyBack(t *testing.T) {
	each(t, func(w *world) {
		w.askedOf("ana@example.org", "ben@example.org", "cem@example.org", "dia@example.org")
		ways := map[string]func(tx *store.Tx, id uuid.UUID) error{
			"ana@example.org": func(tx *store.Tx, id uuid.UUID) error {
				_, err := consent.WithdrawAll(tx, w.brand, id, consent.MethodPreferences, nil)
				return err
			},
			"ben@example.org": func(tx *store.Tx, id uuid.UUID) error {
				return consent.Object(tx, w.brand, id, consent.MethodOperator, nil)
			},
			"cem@example.org": func(tx *store.Tx, id uuid.UUID) error {
				_, err := consent.Withdraw(tx, w.brand, id, []uuid.UUID{w.news.ID}, consent.MethodOneClick, nil)
				return err
			},
			"dia@example.org": func(tx *store.Tx, id uuid.UUID) error {
				s, err := subscriber.Find(tx, w.brand.ID, id)
				if err != nil {
					return err
				}
				return consent.Suppress(tx, w.brand, s.AddressHash, consent.Complaint, "report")
			},
		}
		w.pass(time.Hour)
		for email, leave := range ways {
			who := w.person(email)
			a := w.asking(who)
			w.write(func(tx *store.Tx) error { return leave(tx, who.ID) })
			w.pass(time.Hour)
			before := w.last(who).ID
			s := w.answerAsking(a, true)
			if s.Asking.State != AskingLeft || w.mayNews(who).Allowed || w.last(who).ID != before {
				w.Errorf("%s pressed yes after leaving: %s, %+v, %s", email, s.Asking.State, w.mayNews(who), w.last(who).Method)
			}
			if again := w.person(email); (again.ObjectedAt == nil) != (who.ObjectedAt == nil && email != "ben@example.org") {
				w.Errorf("%s: the objection is gone", email)
			}
		}
		w.pass(25 * time.Hour)           // one such mail a day
		w.ask("cem@example.org", "news") // a request that anybody can make is not confirmed by the old letter
		cem := w.person("cem@example.org")
		if s := w.answerAsking(w.asking(cem), true); s.Asking.State != AskingLeft || w.mayNews(cem).Allowed {
			w.Errorf("an old letter confirms a new request: %s", s.Asking.State)
		}
		w.confirm("cem@example.org")
		if !w.mayNews(cem).Allowed {
			w.Errorf("a fresh act: %+v", w.mayNews(cem))
		}
	})
}
