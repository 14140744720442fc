package subscriber_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/event"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func prepare(url string) error {
	ctx := context.Background()
	db, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx), db.Close())
}

type world struct {
	testing.TB
	db    *store.DB
	brand brand.Brand
}

func each(t *testing.T, test func(w *world)) {
	t.Helper()
	testkit.EachPrepared(t, "subscriber", prepare, func(t *testing.T, url string) {
		w := &world{TB: t}
		ring, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
		w.must(err)
		w.db, err = store.Open(t.Context(), url, store.Options{Ring: ring, Clock: func() time.Time { return start }})
		w.must(err)
		t.Cleanup(func() { w.db.Close() })
		w.brand = w.newBrand("marble")
		test(w)
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) write(f func(tx *store.Tx) error) {
	w.Helper()
	w.must(w.db.Write(context.Background(), f))
}

func (w *world) newBrand(slug string) (b brand.Brand) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		b, err = brand.Create(tx, brand.New{Slug: slug, Name: "Marble", PostalAddress: "1 Hill", SenderEmail: "hello@marble.example",
			Language: "en", Languages: []string{"en", "fa"}, TimeZone: "Europe/Berlin"})
		return err
	})
	return b
}

func (w *world) address(raw string) subscriber.Address {
	w.Helper()
	a, err := subscriber.ParseAddress(raw)
	w.must(err)
	return a
}

func (w *world) ensure(n subscriber.New) (s subscriber.Subscriber, created bool, err error) {
	err = w.db.Write(context.Background(), func(tx *store.Tx) (err error) {
		s, created, err = subscriber.Ensure(tx, w.brand, n)
		return err
	})
	return s, created, err
}

func (w *world) person(email string) subscriber.Subscriber {
	w.Helper()
	s, _, err := w.ensure(subscriber.New{Address: w.address(email)})
	w.must(err)
	return s
}

func TestEnsureMakesOnePerson(t *testing.T) {
	each(t, func(w *world) {
		since := start.AddDate(-1, 0, 0).In(time.FixedZone("", 3600))
		n := subscriber.New{Address: w.address("Ana@Example.org"), Name: " Ana B. ", Language: "fa-IR", TimeZone: "Asia/Tehran",
			Attributes: map[string]any{"city": "Shiraz", "visits": 3, "vip": true}, CustomerSince: &since}
		s, created, err := w.ensure(n)
		w.must(err)
		if !created || s.Email != "Ana@Example.org" || s.Name != "Ana B." || s.Language != "fa" || !s.CustomerSince.Equal(since) {
			w.Errorf("made %+v", s)
		}
		again, created, err := w.ensure(subscriber.New{Address: w.address("ana@example.org"), Name: "A stranger", Language: "en"})
		w.must(err)
		if created || again.ID != s.ID || again.Name != "Ana B." || again.Language != "fa" || again.Attributes["visits"] != 3.0 || again.Attributes["vip"] != true {
			w.Errorf("what a stranger typed changed something: %+v", again)
		}
		other := w.newBrand("other")
		w.write(func(tx *store.Tx) error {
			theirs, created, err := subscriber.Ensure(tx, other, n)
			w.must(err)
			if !created || theirs.ID == s.ID || bytes.Equal(theirs.AddressHash, s.AddressHash) {
				w.Errorf("at another brand the same person is %+v", theirs)
			}
			for _, id := range []uuid.UUID{theirs.ID, uuid.New()} {
				if _, err := subscriber.Find(tx, w.brand.ID, id); !problem.Is(err, problem.NotFound) {
					w.Errorf("another brand's person: %v", err)
				}
				if _, err := subscriber.Update(tx, w.brand, id, subscriber.Change{}); !problem.Is(err, problem.NotFound) {
					w.Errorf("changing another brand's person: %v", err)
				}
				if err := subscriber.AddTags(tx, w.brand.ID, id, "x"); !problem.Is(err, problem.NotFound) {
					w.Errorf("tagging another brand's person: %v", err)
				}
			}
			found, err := subscriber.ByAddress(tx, w.brand, w.address("ANA@example.org"))
			if err != nil || found.ID != s.ID {
				w.Errorf("by address: %v, %v", found.ID, err)
			}
			if _, err := subscriber.ByAddress(tx, w.brand, w.address("bob@example.org")); !problem.Is(err, problem.NotFound) {
				w.Errorf("by an address nobody has: %v", err)
			}
			return nil
		})
	})
}

func TestSignUpsAtOnceMakeOnePerson(t *testing.T) {
	each(t, func(w *world) {
		for round := range 5 {
			a := w.address(fmt.Sprintf("p%d@example.org", round))
			var made atomic.Int64
			ids := make([]uuid.UUID, 8)
			var ready, done sync.WaitGroup
			ready.Add(len(ids))
			for i := range ids {
				done.Go(func() {
					ready.Done()
					ready.Wait()
					s, created, err := w.ensure(subscriber.New{Address: a})
					if err != nil {
						w.Error(err)
					}
					if created {
						made.Add(1)
					}
					ids[i] = s.ID
				})
			}
			done.Wait()
			slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
			if made.Load() != 1 || len(slices.Compact(ids)) != 1 {
				w.Errorf("made %d times, %d people", made.Load(), len(slices.Compact(ids)))
			}
		}
	})
}

func TestWhatIsWrongWithAPerson(t *testing.T) {
	each(t, func(w *world) {
		many := map[string]any{}
		for i := range 101 {
			many[fmt.Sprint("a", i)] = true
		}
		for name, x := range map[string]struct {
			n     subscriber.New
			field string
		}{
			"a name of two lines":  {subscriber.New{Name: "Ana\r\nBcc: x@y.org"}, "name"},
			"another line end":     {subscriber.New{Name: "Ana\u2028B"}, "name"},
			"a name too long":      {subscriber.New{Name: strings.Repeat("ن", 121)}, "name"},
			"a name that is none":  {subscriber.New{Name: "\xff"}, "name"},
			"a zone of the moon":   {subscriber.New{TimeZone: "Moon/Base"}, "time_zone"},
			"a zone of this host":  {subscriber.New{TimeZone: "Local"}, "time_zone"},
			"a zone that is a way": {subscriber.New{TimeZone: "../../etc/passwd"}, "time_zone"},
			"an attribute's name":  {subscriber.New{Attributes: map[string]any{"Ci ty": "x"}}, "attributes"},
			"an attribute's type":  {subscriber.New{Attributes: map[string]any{"city": []any{1}}}, "attributes/city"},
			"an attribute's bytes": {subscriber.New{Attributes: map[string]any{"city": "\xff"}}, "attributes/city"},
			"an attribute's NUL":   {subscriber.New{Attributes: map[string]any{"city": "a\x00"}}, "attributes/city"},
			"an attribute's size":  {subscriber.New{Attributes: map[string]any{"city": strings.Repeat("x", 1001)}}, "attributes/city"},
			"too many attributes":  {subscriber.New{Attributes: many}, "attributes"},
		} {
			x.n.Address = w.address("ana@example.org")
			_, _, err := w.ensure(x.n)
			p, ok := problem.Of(err)
			if !ok || p.Kind != problem.Invalid || len(p.Fields) == 0 || p.Fields[0].Name != x.field {
				w.Errorf("%s: %v", name, err)
			}
		}
		if _, _, err := w.ensure(subscriber.New{}); !problem.Is(err, problem.Invalid) {
			w.Errorf("nobody: %v", err)
		}
		w.write(func(tx *store.Tx) error {
			if page, _, err := subscriber.List(tx, w.brand.ID, subscriber.Filter{}, "", 10); err != nil || len(page) != 0 {
				w.Errorf("%d people, %v", len(page), err)
			}
			return nil
		})
	})
}

func TestUpdate(t *testing.T) {
	each(t, func(w *world) {
		s := w.person("ana@example.org")
		var told []event.Event
		event.Listen(w.db, event.SubscriberChanged, func(_ *store.Tx, e event.Event) error { told = append(told, e); return nil })
		name, lang, zone := "آنا", "fa", "Asia/Tehran"
		c := subscriber.Change{Name: &name, Language: &lang, TimeZone: &zone, Attributes: map[string]any{"city": "Shiraz", "n": 2}}
		for range 2 {
			w.write(func(tx *store.Tx) (err error) { s, err = subscriber.Update(tx, w.brand, s.ID, c); return err })
		}
		if s.Name != name || s.Language != "fa" || s.Location(w.brand).String() != zone || s.Attributes["n"] != 2.0 || len(told) != 1 {
			w.Errorf("changed to %+v, told %d times", s, len(told))
		}
		if fmt.Sprint(told[0].Data["fields"]) != "[name language time_zone attributes]" || strings.Contains(fmt.Sprint(told[0].Data), "Shiraz") {
			w.Errorf("the fact holds %v", told[0].Data)
		}
		c = subscriber.Change{Attributes: map[string]any{"city": nil, "absent": nil}}
		w.write(func(tx *store.Tx) (err error) { s, err = subscriber.Update(tx, w.brand, s.ID, c); return err })
		if len(s.Attributes) != 1 || s.Name != name {
			w.Errorf("an attribute removed: %+v", s)
		}
		bad := "a\nb"
		err := w.db.Write(context.Background(), func(tx *store.Tx) error {
			_, err := subscriber.Update(tx, w.brand, s.ID, subscriber.Change{Name: &bad})
			return err
		})
		if !problem.Is(err, problem.Invalid) {
			w.Errorf("a name of two lines: %v", err)
		}
	})
}

func TestChangesAtOnceAreAllKept(t *testing.T) {
	each(t, func(w *world) {
		s := w.person("ana@example.org")
		var done sync.WaitGroup
		for i := range 8 {
			done.Go(func() {
				err := w.db.Write(context.Background(), func(tx *store.Tx) error {
					_, err := subscriber.Update(tx, w.brand, s.ID, subscriber.Change{Attributes: map[string]any{fmt.Sprint("a", i): true}})
					return err
				})
				if err != nil {
					w.Error(err)
				}
			})
		}
		done.Wait()
		w.write(func(tx *store.Tx) (err error) { s, err = subscriber.Find(tx, w.brand.ID, s.ID); return err })
		if len(s.Attributes) != 8 {
			w.Errorf("%d of 8 changes are there", len(s.Attributes))
		}
	})
}

func TestChangeAddress(t *testing.T) {
	each(t, func(w *world) {
		ana, bob := w.person("ana@example.org"), w.person("bob@example.org")
		change := func(raw string) (s subscriber.Subscriber, err error) {
			err = w.db.Write(context.Background(), func(tx *store.Tx) error {
				s, err = subscriber.ChangeAddress(tx, w.brand, ana.ID, w.address(raw))
				return err
			})
			return s, err
		}
		if _, err := change("BOB@example.org"); !problem.Is(err, problem.Conflict) {
			w.Errorf("somebody else's address: %v", err)
		}
		s, err := change("Ana@new.example")
		w.must(err)
		if s.ID != ana.ID || s.Email != "Ana@new.example" {
			w.Errorf("changed to %+v", s)
		}
		_, err = change("ana@NEW.example") // another spelling of the same
		w.must(err)
		w.write(func(tx *store.Tx) error {
			if _, err := subscriber.ByAddress(tx, w.brand, w.address("ana@example.org")); !problem.Is(err, problem.NotFound) {
				w.Errorf("the old address still finds somebody: %v", err)
			}
			found, err := subscriber.ByAddress(tx, w.brand, w.address("ana@new.example"))
			if err != nil || found.ID != ana.ID || bob.ID == ana.ID {
				w.Errorf("the new address finds %v, %v", found.ID, err)
			}
			return nil
		})
	})
}

func TestTagsAndLists(t *testing.T) {
	each(t, func(w *world) {
		var people []subscriber.Subscriber
		for i := range 7 {
			people = append(people, w.person(fmt.Sprintf("p%d_x@example.org", i)))
		}
		w.write(func(tx *store.Tx) error {
			w.must(subscriber.AddTags(tx, w.brand.ID, people[0].ID, " vip ", "مشتری", "vip"))
			w.must(subscriber.AddTags(tx, w.brand.ID, people[3].ID, "vip"))
			w.must(subscriber.AddTags(tx, w.brand.ID, people[3].ID, "vip", "new"))
			w.must(subscriber.RemoveTags(tx, w.brand.ID, people[3].ID, "new", "absent"))
			for id, want := range map[uuid.UUID]string{people[0].ID: "vip|مشتری", people[3].ID: "vip", people[5].ID: ""} {
				if tags, err := subscriber.Tags(tx, w.brand.ID, id); err != nil || strings.Join(tags, "|") != want {
					w.Errorf("tags %q, %v; want %q", tags, err, want)
				}
			}
			for _, bad := range []string{"", "a\nb", "\xff", strings.Repeat("t", 65)} {
				if err := subscriber.AddTags(tx, w.brand.ID, people[0].ID, bad); !problem.Is(err, problem.Invalid) {
					w.Errorf("tag %q: %v", bad, err)
				}
			}
			return nil
		})
		other := w.newBrand("other")
		list := func(brandID uuid.UUID, f subscriber.Filter, limit int) (emails []string) {
			cursor := ""
			for {
				var page []subscriber.Subscriber
				w.write(func(tx *store.Tx) (err error) {
					page, cursor, err = subscriber.List(tx, brandID, f, cursor, limit)
					return err
				})
				for _, s := range page {
					emails = append(emails, s.Email[:2])
				}
				if cursor == "" {
					return emails
				}
			}
		}
		slices.SortFunc(people, func(a, b subscriber.Subscriber) int { return bytes.Compare(a.ID[:], b.ID[:]) })
		var order []string
		for _, s := range people {
			order = append(order, s.Email[:2])
		}
		for _, limit := range []int{1, 3, 7, 100} {
			if got := list(w.brand.ID, subscriber.Filter{}, limit); !slices.Equal(got, order) {
				w.Errorf("pages of %d: %v, want %v", limit, got, order)
			}
		}
		for name, x := range map[string]struct {
			f    subscriber.Filter
			want int
		}{
			"tag": {subscriber.Filter{Tag: "vip"}, 2}, "search": {subscriber.Filter{Search: "P3_"}, 1}, "wildcards are text": {subscriber.Filter{Search: "p%x"}, 0},
			"underscore is text": {subscriber.Filter{Search: "p_x"}, 0}, "address": {subscriber.Filter{AddressHash: people[2].AddressHash}, 1}, "language": {subscriber.Filter{Language: "fa"}, 0},
		} {
			if got := list(w.brand.ID, x.f, 10); len(got) != x.want {
				w.Errorf("%s: %v, want %d", name, got, x.want)
			}
			if got := list(other.ID, x.f, 10); len(got) != 0 {
				w.Errorf("%s reaches into another brand: %v", name, got)
			}
		}
		w.write(func(tx *store.Tx) error {
			if _, _, err := subscriber.List(tx, w.brand.ID, subscriber.Filter{}, "1; DROP TABLE", 10); !problem.Is(err, problem.Malformed) {
				w.Errorf("a cursor of somebody else's making: %v", err)
			}
			return nil
		})
	})
}

// A part of a name or an address finds people whatever the script; that a capital
// beyond ASCII is its small letter, PostgreSQL alone knows, in a locale that does.
func TestSearchInEveryScript(t *testing.T) {
	each(t, func(w *world) {
		for email, name := range map[string]string{"one@example.org": "سارا بهاری", "two@example.org": "ÉLAN Vital", "Info@BÜCHER.example": "", "other@example.org": "Nobody"} {
			_, _, err := w.ensure(subscriber.New{Address: w.address(email), Name: name})
			w.must(err)
		}
		found := func(search string) (all []string) {
			w.write(func(tx *store.Tx) error {
				page, _, err := subscriber.List(tx, w.brand.ID, subscriber.Filter{Search: search}, "", 10)
				for _, s := range page {
					all = append(all, s.Name+s.Email[:3])
				}
				n, bad := subscriber.Count(tx, w.brand.ID, subscriber.Filter{Search: search})
				if int(n) != len(page) {
					w.Errorf("%q: %d counted, %d listed", search, n, len(page))
				}
				return errors.Join(err, bad)
			})
			return all
		}
		const sara, elan, books = "سارا بهاریone", "ÉLAN Vitaltwo", "Inf"
		want := map[string]string{"سارا": sara, "ارا به": sara, "VITAL": elan, "lan v": elan, "INFO@": books, ".EXAMPLE": books, "cher.ex": books, "ONE@": sara, "زهرا": "",
			"ÉLAN": elan, "BÜCHER.example": books} // as it is kept
		folds := false // as PostgreSQL does where its locale knows the letters
		w.write(func(tx *store.Tx) error { return tx.Raw("SELECT lower('É') = 'é'").Scan(&folds).Error })
		if folds {
			maps.Copy(want, map[string]string{"élan": elan, "bücher": books})
		}
		for search, who := range want {
			if got := strings.Join(found(search), "|"); got != who {
				w.Errorf("%q finds %q, want %q", search, got, who)
			}
		}
	})
}

func TestSealedUnderThePersonsOwnKey(t *testing.T) {
	each(t, func(w *world) {
		ana, bob := w.person("ana@example.org"), w.person("bob@example.org")
		seal := func(id uuid.UUID, plain string) (sealed []byte) {
			w.write(func(tx *store.Tx) (err error) { sealed, err = subscriber.Seal(tx, id, []byte(plain)); return err })
			return sealed
		}
		open := func(id uuid.UUID, sealed []byte) (string, error) {
			var plain []byte
			err := w.db.Read(context.Background(), func(tx *store.Tx) (err error) { plain, err = subscriber.Open(tx, id, sealed); return err })
			return string(plain), err
		}
		hers, his := seal(ana.ID, "192.0.2.7"), seal(bob.ID, "198.51.100.9")
		if bytes.Contains(hers, []byte("192")) || bytes.Equal(hers, seal(ana.ID, "192.0.2.7")) {
			w.Error("sealed text can be read, or recognised")
		}
		if plain, err := open(ana.ID, hers); err != nil || plain != "192.0.2.7" {
			w.Errorf("opened %q, %v", plain, err)
		}
		if _, err := open(ana.ID, his); err == nil {
			w.Error("one person's key opens another's")
		}
		hers[len(hers)-1] ^= 1
		if _, err := open(ana.ID, hers); err == nil || problem.Is(err, problem.Gone) {
			w.Errorf("changed bytes: %v", err)
		}
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("DELETE FROM subject_keys WHERE subscriber_id = ?", bob.ID)
			return err
		})
		if _, err := open(bob.ID, his); !problem.Is(err, problem.Gone) {
			w.Errorf("opened with a destroyed key: %v", err)
		}
	})
}

func TestTheFirstSealsAtOnceShareOneKey(t *testing.T) {
	each(t, func(w *world) {
		s := w.person("ana@example.org")
		all := make([][]byte, 8)
		var done sync.WaitGroup
		for i := range all {
			done.Go(func() {
				err := w.db.Write(context.Background(), func(tx *store.Tx) (err error) {
					all[i], err = subscriber.Seal(tx, s.ID, []byte("x"))
					return err
				})
				if err != nil {
					w.Error(err)
				}
			})
		}
		done.Wait()
		w.write(func(tx *store.Tx) error {
			for _, sealed := range all {
				if _, err := subscriber.Open(tx, s.ID, sealed); err != nil {
					w.Error(err)
				}
			}
			return nil
		})
	})
}

func TestLocation(t *testing.T) {
	each(t, func(w *world) {
		s := w.person("ana@example.org")
		if l := s.Location(w.brand).String(); l != "Europe/Berlin" {
			w.Errorf("without a zone of their own: %s", l)
		}
		s.TimeZone = "Asia/Tehran"
		if l := s.Location(w.brand).String(); l != "Asia/Tehran" {
			w.Errorf("with one: %s", l)
		}
	})
}
