package brand_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
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

func each(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	testkit.EachPrepared(t, "brand", prepare, func(t *testing.T, url string) {
		ring, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
		must(t, err)
		db, err := store.Open(t.Context(), url, store.Options{Ring: ring, Clock: func() time.Time { return start }})
		must(t, err)
		t.Cleanup(func() { db.Close() })
		test(t, db)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func marble() brand.New {
	return brand.New{Slug: "marble", Name: " Marble ", PostalAddress: "1 Hill\r\nTown", SenderEmail: "Hello@Bücher.example",
		ReplyTo: "desk@marble.example", Website: "https://marble.example", PrivacyURL: "https://marble.example/privacy",
		Language: "en", Languages: []string{"en", "fa"}, TimeZone: "Asia/Tehran", Jurisdiction: "IR",
		Texts: map[string]brand.Text{"fa": {Name: "مرمر", PostalAddress: "تهران"}}}
}

func create(db *store.DB, n brand.New) (b brand.Brand, err error) {
	err = db.Write(context.Background(), func(tx *store.Tx) error { b, err = brand.Create(tx, n); return err })
	return b, err
}

func TestCreateAndFind(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		b, err := create(db, marble())
		must(t, err)
		if b.Name != "Marble" || b.SenderName != "Marble" || b.PostalAddress != "1 Hill\nTown" || b.SenderEmail != "Hello@xn--bcher-kva.example" || b.SenderDomain() != "xn--bcher-kva.example" {
			t.Errorf("made %+v", b)
		}
		fa, en := b.In("fa"), b.In("de")
		if fa.Name != "مرمر" || fa.SenderName != "Marble" || fa.PrivacyURL != b.PrivacyURL || en.Name != "Marble" || en.PostalAddress != "1 Hill\nTown" {
			t.Errorf("in fa %+v, in de %+v", fa, en)
		}
		if b.Location().String() != "Asia/Tehran" {
			t.Errorf("zone %v", b.Location())
		}
		if _, err := create(db, marble()); !problem.Is(err, problem.Conflict) {
			t.Errorf("the same slug again: %v", err)
		}
		must(t, db.Read(t.Context(), func(tx *store.Tx) error {
			for _, find := range []func() (brand.Brand, error){func() (brand.Brand, error) { return brand.Find(tx, b.ID) }, func() (brand.Brand, error) { return brand.BySlug(tx, "marble") }} {
				if got, err := find(); err != nil || got.ID != b.ID || got.Texts["fa"].Name != "مرمر" || !slices.Equal(got.Languages, b.Languages) || got.CreatedAt != start {
					t.Errorf("found %+v, %v", got, err)
				}
			}
			if _, err := brand.Find(tx, uuid.New()); !problem.Is(err, problem.NotFound) {
				t.Errorf("no such brand: %v", err)
			}
			all, err := brand.List(tx)
			if err != nil || len(all) != 1 {
				t.Errorf("listed %d, %v", len(all), err)
			}
			return nil
		}))
	})
}

func TestWhatIsWrongWithABrand(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		for name, x := range map[string]struct {
			change func(*brand.New)
			field  string
		}{
			"slug":                 {func(n *brand.New) { n.Slug = "Ma rble" }, "slug"},
			"slug's hyphen":        {func(n *brand.New) { n.Slug = "-marble" }, "slug"},
			"no name":              {func(n *brand.New) { n.Name, n.SenderName = " ", "M" }, "name"},
			"a name of two lines":  {func(n *brand.New) { n.Name, n.SenderName = "M\r\nBcc: x", "M" }, "name"},
			"sender of two lines":  {func(n *brand.New) { n.SenderName = "M\u2028Bcc: x" }, "sender_name"},
			"no postal address":    {func(n *brand.New) { n.PostalAddress = "" }, "postal_address"},
			"a postal NUL":         {func(n *brand.New) { n.PostalAddress = "1\x00" }, "postal_address"},
			"bytes":                {func(n *brand.New) { n.Name, n.SenderName = "\xff", "M" }, "name"},
			"no sender":            {func(n *brand.New) { n.SenderEmail = "" }, "sender_email"},
			"sender's line":        {func(n *brand.New) { n.SenderEmail = "a@b.org\r\nBcc: c@d.org" }, "sender_email"},
			"sender's name":        {func(n *brand.New) { n.SenderEmail = "Ana <a@b.org>" }, "sender_email"},
			"sender without a dot": {func(n *brand.New) { n.SenderEmail = "a@localhost" }, "sender_email"},
			"sender beyond ASCII":  {func(n *brand.New) { n.SenderEmail = "علی@b.org" }, "sender_email"},
			"two senders":          {func(n *brand.New) { n.SenderEmail = "a@b.org, c@d.org" }, "sender_email"},
			"reply":                {func(n *brand.New) { n.ReplyTo = "nobody" }, "reply_to"},
			"script for a website": {func(n *brand.New) { n.Website = "javascript:alert(1)" }, "website"},
			"privacy's password":   {func(n *brand.New) { n.PrivacyURL = "https://u:p@m.example" }, "privacy_url"},
			"language":             {func(n *brand.New) { n.Languages = []string{"en", "xx"}; n.Texts = nil }, "languages"},
			"language twice":       {func(n *brand.New) { n.Languages = []string{"en", "en"}; n.Texts = nil }, "languages"},
			"default not offered":  {func(n *brand.New) { n.Languages = []string{"fa"} }, "language"},
			"text not offered":     {func(n *brand.New) { n.Languages = []string{"en"} }, "texts/fa"},
			"zone":                 {func(n *brand.New) { n.TimeZone = "Mars" }, "time_zone"},
			"no zone":              {func(n *brand.New) { n.TimeZone = "" }, "time_zone"},
			"this host's zone":     {func(n *brand.New) { n.TimeZone = "Local" }, "time_zone"},
			"jurisdiction":         {func(n *brand.New) { n.Jurisdiction = "Germany" }, "jurisdiction"},
			"signed by nobody":     {func(n *brand.New) { n.SignedBy = "nobody" }, "signed_by"},
		} {
			n := marble()
			x.change(&n)
			_, err := create(db, n)
			p, ok := problem.Of(err)
			if !ok || p.Kind != problem.Invalid || len(p.Fields) != 1 || p.Fields[0].Name != x.field {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := create(db, brand.New{})
		if p, _ := problem.Of(err); p == nil || len(p.Fields) < 5 {
			t.Errorf("nothing at all, told at once: %v", err)
		}
		must(t, db.Read(t.Context(), func(tx *store.Tx) error {
			if all, err := brand.List(tx); err != nil || len(all) != 0 {
				t.Errorf("%d brands, %v", len(all), err)
			}
			return nil
		}))
	})
}

func TestPaceAndWarmUp(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		b, err := create(db, marble())
		must(t, err)
		if b.RatePerHour != 0 || b.WarmUpFrom != nil {
			t.Errorf("a new brand has a pace: %+v", b)
		}
		change := func(c brand.Change) (now brand.Brand, err error) {
			err = db.Write(context.Background(), func(tx *store.Tx) error {
				if _, err := brand.Update(tx, b.ID, c); err != nil {
					return err
				}
				now, err = brand.Find(tx, b.ID)
				return err
			})
			return now, err
		}
		rate, from, none := 5000, start.Add(-48*time.Hour), time.Time{}
		now, err := change(brand.Change{RatePerHour: &rate, WarmUpFrom: &from})
		if err != nil || now.RatePerHour != rate || now.WarmUpFrom == nil || !now.WarmUpFrom.Equal(from) {
			t.Errorf("%+v, %v", now, err)
		}
		same, name := "desk@bücher.example", "Marble & Sons"
		if now, err = change(brand.Change{SenderEmail: &same, Name: &name}); err != nil || now.WarmUpFrom == nil || !now.WarmUpFrom.Equal(from) {
			t.Errorf("the same domain is unknown again: %v, %v", now.WarmUpFrom, err)
		}
		other := "desk@other.example"
		if now, err = change(brand.Change{SenderEmail: &other}); err != nil || now.WarmUpFrom == nil || !now.WarmUpFrom.Equal(start) {
			t.Errorf("another domain goes on where the old one was: %v, %v", now.WarmUpFrom, err)
		}
		if now, err = change(brand.Change{WarmUpFrom: &none}); err != nil || now.WarmUpFrom != nil {
			t.Errorf("a warm-up cannot be ended: %v, %v", now.WarmUpFrom, err)
		}
		if now, err = change(brand.Change{SenderEmail: &same}); err != nil || now.WarmUpFrom != nil {
			t.Errorf("a brand that was never to be warmed up is: %v, %v", now.WarmUpFrom, err)
		}
		for _, wrong := range []int{-1, brand.RateMost + 1} {
			if _, err := change(brand.Change{RatePerHour: &wrong}); !problem.Is(err, problem.Invalid) {
				t.Errorf("%d an hour: %v", wrong, err)
			}
		}
	})
}

func TestOffers(t *testing.T) {
	b := brand.Brand{Language: "en", Languages: []string{"en", "fa"}}
	for lang, want := range map[string]string{"en": "en", "fa": "fa", "fa-IR": "fa", "en-GB": "en", "de": "en", "": "en", "nonsense!": "en", "und": "en"} {
		if got := b.Offers(lang); got != want {
			t.Errorf("%q: %s, want %s", lang, got, want)
		}
	}
	b = brand.Brand{Language: "fa", Languages: []string{"fa"}}
	for _, lang := range []string{"en", "de", ""} {
		if got := b.Offers(lang); got != "fa" {
			t.Errorf("%q of a Persian brand: %s", lang, got)
		}
	}
}

func TestUpdatesAtOnceAreAllKept(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		b, err := create(db, marble())
		must(t, err)
		name, site, reply, empty := "Granite", "https://granite.example", "", " "
		var done sync.WaitGroup
		for _, c := range []brand.Change{{Name: &name}, {Website: &site}, {ReplyTo: &reply}} {
			done.Go(func() {
				err := db.Write(context.Background(), func(tx *store.Tx) error { _, err := brand.Update(tx, b.ID, c); return err })
				if err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		must(t, db.Write(t.Context(), func(tx *store.Tx) error {
			got, err := brand.Find(tx, b.ID)
			if err != nil || got.Name != name || got.Website != site || got.ReplyTo != "" || got.PostalAddress != b.PostalAddress || !bytes.Equal(got.AddressKey, b.AddressKey) {
				t.Errorf("updated to %+v, %v", got, err)
			}
			if _, err := brand.Update(tx, b.ID, brand.Change{Name: &empty}); !problem.Is(err, problem.Invalid) {
				t.Errorf("a name taken away: %v", err)
			}
			if _, err := brand.Update(tx, uuid.New(), brand.Change{}); !problem.Is(err, problem.NotFound) {
				t.Errorf("no such brand: %v", err)
			}
			return nil
		}))
	})
}

func TestAddressHashesAreTheBrandsOwn(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a, err := create(db, marble())
		must(t, err)
		n := marble()
		n.Slug = "granite"
		b, err := create(db, n)
		must(t, err)
		must(t, db.Read(t.Context(), func(tx *store.Tx) error {
			hash := func(b brand.Brand, normal string) []byte {
				h, err := b.AddressHash(tx, normal)
				must(t, err)
				return h
			}
			if h := hash(a, "ana@example.org"); len(h) != 32 || !bytes.Equal(h, hash(a, "ana@example.org")) || bytes.Equal(h, hash(a, "bob@example.org")) || bytes.Equal(h, hash(b, "ana@example.org")) {
				t.Error("hashes")
			}
			stolen := b
			stolen.AddressKey = a.AddressKey
			if _, err := stolen.AddressHash(tx, "ana@example.org"); err == nil {
				t.Error("one brand's key opens for another")
			}
			return nil
		}))
	})
}
