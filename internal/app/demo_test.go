package app

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/campaign"
	"assent/internal/compose"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/sequence"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// startApp runs the program on a database, as the command demo does.
func startApp(t *testing.T, environ ...string) *App {
	t.Helper()
	address := freeAddress(t) // the links in mails name it
	s := settingsOf(t, append([]string{"ASSENT_LISTEN=" + address, "ASSENT_PUBLIC_URL=http://" + address, "ASSENT_SIGNUP_PROOF=off"}, environ...)...)
	if _, sqlite := s.SQLite(); !sqlite {
		migrate(t, s)
	}
	a, err := Open(t.Context(), s, Options{Demo: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(errors.Join(err, a.Close()))
	}
	return a
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func read(t *testing.T, a *App, f func(tx *store.Tx) error) {
	t.Helper()
	if err := a.DB.Read(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func TestDemoIsWhole(t *testing.T) {
	testkit.EachDatabase(t, func(t *testing.T, url string) {
		a := startApp(t, "ASSENT_DATABASE_URL="+url)
		defer a.Close()
		d, err := a.Demo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.door.SignIn(t.Context(), account.Attempt{Email: d.Email, Password: d.Password, IP: netip.MustParseAddr("127.0.0.1")}); err != nil {
			t.Errorf("sign in: %v", err)
		}
		read(t, a, func(tx *store.Tx) error {
			b, err := brand.BySlug(tx, demoSlug)
			if err != nil {
				return err
			}
			demoHas(t, tx, b, d)
			demoConsents(t, tx, b)
			return nil
		})
		onlyThoseWhoMay(t, a)
	})
}

// demoHas looks for everything but the people.
func demoHas(t *testing.T, tx *store.Tx, b brand.Brand, d Demo) {
	t.Helper()
	topics, err1 := consent.Topics(tx, b.ID)
	forms, err2 := signup.List(tx, b.ID)
	sequences, err3 := sequence.List(tx, b.ID)
	campaigns, err4 := campaign.List(tx, b.ID, uuid.Nil, 10)
	keys, err5 := brand.SigningKeys(tx, b)
	o, err6 := offer.Find(tx, b.ID, d.Offer)
	key, err7 := account.KeyOf(tx, d.Key)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		t.Fatal(err)
	}
	if len(topics) != 5 || len(forms) != 2 || d.Letters == uuid.Nil || d.Short == uuid.Nil || len(keys) != 1 {
		t.Errorf("%d topics, %d forms, %d DKIM keys, %+v", len(topics), len(forms), len(keys), d)
	}
	for _, topic := range topics {
		for _, lang := range i18n.Languages {
			if topic.Texts[lang].Wording == "" {
				t.Errorf("%s has no wording in %s", topic.Slug, lang)
			}
		}
	}
	if len(sequences) != 1 || sequences[0].State != sequence.Running {
		t.Fatalf("sequences: %+v", sequences)
	}
	steps, err := sequence.Steps(tx, b.ID, sequences[0].ID, 1)
	if err != nil || len(steps) != 5 {
		t.Errorf("steps: %+v, %v", steps, err)
	}
	if len(campaigns) != 1 || campaigns[0].State != campaign.Draft {
		t.Errorf("campaigns: %+v", campaigns)
	}
	if o.State != offer.Running || o.Value != 15 || o.Budget != 500 {
		t.Errorf("offer: %+v", o)
	}
	if key.BrandID == nil || *key.BrandID != b.ID {
		t.Errorf("the key is not the brand's: %+v", key)
	}
}

// demoConsents: every permission of a sample customer was entered with
// evidence, and what the table says is taken back is.
func demoConsents(t *testing.T, tx *store.Tx, b brand.Brand) {
	t.Helper()
	for _, g := range demoGuests {
		address, _ := subscriber.ParseAddress(g.email)
		s, err := subscriber.ByAddress(tx, b, address)
		if err != nil {
			t.Fatalf("%s: %v", g.email, err)
		}
		history, err := consent.History(tx, b.ID, s.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range history {
			proof, err := consent.EvidenceOf(tx, e.ID)
			if err != nil || len(proof.Evidence) == 0 || consent.InForce(e.State) && e.Basis != consent.BasisOperator {
				t.Errorf("%s: %s on %q with evidence %v, %v", g.email, e.State, e.Basis, proof.Evidence, err)
			}
		}
		permissions, err := consent.Permissions(tx, b.ID, s.ID)
		if err != nil {
			t.Fatal(err)
		}
		given := 0
		for _, p := range permissions {
			if p.InForce(tx.Now()) {
				given++
			}
		}
		if given != lower(g.said) || len(permissions) != len(g.said) {
			t.Errorf("%s: %d of %d permissions in force for %q", g.email, given, len(permissions), g.said)
		}
	}
}

// lower counts what was said and not taken back.
func lower(s string) (n int) {
	for _, c := range s {
		if c >= 'a' {
			n++
		}
	}
	return n
}

// onlyThoseWhoMay: the offer's codes are the only mails, and they reach exactly
// those who allow offers and have earned one.
func onlyThoseWhoMay(t *testing.T, a *App) {
	t.Helper()
	var want []string
	for _, g := range demoGuests {
		if strings.Contains(g.said, "o") && (g.orders >= 3 || g.orders > 0 && g.months >= 12) {
			want = append(want, g.email)
		}
	}
	slices.Sort(want)
	var got []string
	for deadline := time.Now().Add(30 * time.Second); len(got) < len(want) && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		got = mailed(a)
	}
	time.Sleep(500 * time.Millisecond) // for one too many
	if got = mailed(a); !slices.Equal(got, want) || len(want) < 5 {
		t.Errorf("mailed %v, want %v", got, want)
	}
	read(t, a, func(tx *store.Tx) error {
		var n int64
		err := tx.Raw("SELECT count(*) FROM messages WHERE state <> 'sent'").Scan(&n).Error
		if n != 0 {
			t.Errorf("%d messages are not sent", n)
		}
		return err
	})
}

func mailed(a *App) (to []string) {
	for _, m := range a.mailbox.List("") {
		to = append(to, m.To...)
	}
	slices.Sort(to)
	return to
}

func TestDemoAgainOnAKeptFolder(t *testing.T) {
	folder := "ASSENT_DATABASE_URL=" + testkit.SQLite(t)
	count := func(a *App) (n int64) {
		read(t, a, func(tx *store.Tx) error {
			return tx.Raw("SELECT (SELECT count(*) FROM brands) * 1000000 + (SELECT count(*) FROM consent_events) * 1000 + (SELECT count(*) FROM subscribers)").Scan(&n).Error
		})
		return n
	}
	start := func() (*App, Demo) {
		a := startApp(t, folder)
		d, err := a.Demo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return a, d
	}
	a, first := start()
	rows := count(a)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a, second := start()
	defer a.Close()
	if n := count(a); n != rows {
		t.Errorf("rows went from %d to %d", rows, n)
	}
	if second.Letters != first.Letters || second.Offer != first.Offer || second.Key == first.Key || second.Password == first.Password {
		t.Errorf("first %+v, then %+v", first, second)
	}
	read(t, a, func(tx *store.Tx) error {
		if _, err := account.KeyOf(tx, first.Key); !problem.Is(err, problem.Unauthorized) {
			t.Errorf("the key of the first start still opens: %v", err)
		}
		_, err := account.KeyOf(tx, second.Key)
		return err
	})
	local := netip.MustParseAddr("127.0.0.1")
	if _, err := a.door.SignIn(t.Context(), account.Attempt{Email: first.Email, Password: first.Password, IP: local}); err == nil {
		t.Error("the password of the first start still lets in")
	}
	if _, err := a.door.SignIn(t.Context(), account.Attempt{Email: second.Email, Password: second.Password, IP: local}); err != nil {
		t.Error(err)
	}
}

// TestDemoMails reads every mail with and without a name known, and finds
// nothing left open in it.
func TestDemoMails(t *testing.T) {
	open := regexp.MustCompile(`\{\{|\{%|baharan\.example[^s]|عزیز عزیز`)
	for _, name := range []string{"welcome-1", "welcome-2", "welcome-3", "thanks", "letter"} {
		for _, text := range demoMail(name, "http://shop.test/demo") {
			for _, person := range []string{"", "نرگس"} {
				mail, err := compose.Compile(compose.Content{Language: text.Language, Subject: text.Subject, Preheader: text.Preheader, HTML: text.HTML})
				if err != nil {
					t.Fatalf("%s %s: %v", name, text.Language, err)
				}
				page, err := mail.PageHTML(compose.Envelope{Language: text.Language, Date: time.Now(), From: compose.Address{Email: "letters@baharan.test"}, To: compose.Address{Email: "x@example.org"}},
					map[string]any{"subscriber": map[string]any{"first_name": person}, "brand": map[string]any{"name": "Baharan"}, "preferences_url": "http://shop.test/p/x",
						"offer": map[string]any{"code": "C-0", "title": "T", "terms": "R", "value": "15%", "expires_at": "tomorrow"}})
				if err != nil {
					t.Fatalf("%s %s: %v", name, text.Language, err)
				}
				if found := open.Find(page); found != nil {
					t.Errorf("%s %s: %q is left", name, text.Language, found)
				}
				if person != "" && !bytes.Contains(page, []byte(person)) && name != "letter" {
					t.Errorf("%s %s greets nobody", name, text.Language)
				}
				if !bytes.Contains(page, []byte("http://shop.test/demo")) {
					t.Errorf("%s %s links nowhere", name, text.Language)
				}
			}
		}
	}
}

func TestDemoPrintsWhatItMade(t *testing.T) {
	var out bytes.Buffer
	d := Demo{Email: "a@b.example", Password: "pass-word", Key: "ak_x", Letters: uuid.New(), Short: uuid.New(), Offer: uuid.New()}
	d.Print(&out, "http://127.0.0.1:1")
	for _, words := range []string{"http://127.0.0.1:1/demo?lang=fa", "http://127.0.0.1:1/mailbox", "/f/" + d.Letters.String() + "?lang=fa", "/f/" + d.Short.String(), d.Email, d.Password, "BASE=http://127.0.0.1:1 KEY=ak_x OFFER=" + d.Offer.String()} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("%q is not printed", words)
		}
	}
}

// get asks the running program for a page.
func get(t *testing.T, a *App, path string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.Addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func TestDemoPage(t *testing.T) {
	a := startApp(t)
	defer a.Close()
	if answer, _ := get(t, a, "/demo"); answer.StatusCode != http.StatusNotFound {
		t.Errorf("before the demo is made: %s", answer.Status)
	}
	d, err := a.Demo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{"/demo": `<html lang="en" dir="ltr">`, "/demo?lang=fa": `<html lang="fa" dir="rtl">`} {
		answer, page := get(t, a, path)
		policy := answer.Header.Get("Content-Security-Policy")
		if answer.StatusCode != http.StatusOK || !strings.Contains(page, says) || !strings.Contains(page, `data-form="`+d.Letters.String()) || !strings.Contains(page, d.Short.String()) {
			t.Errorf("%s: %s\n%s", path, answer.Status, page)
		}
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
}

func TestNoDemoPageInService(t *testing.T) {
	s := settingsOf(t, "ASSENT_LISTEN=127.0.0.1:0")
	a, err := Open(t.Context(), s, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if answer, _ := get(t, a, "/demo"); answer.StatusCode != http.StatusNotFound {
		t.Errorf("/demo of the service: %s", answer.Status)
	}
}
