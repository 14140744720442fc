package signup

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
)

func TestAskWritesARequestAndQueuesTheQuestion(t *testing.T) {
	each(t, func(w *world) {
		o := w.ask("Sara@Example.org", "news", "opens")
		if o.Message != "Thank you. Please look into your mailbox." || o.Redirect != "" || o.Language != "en" {
			w.Errorf("outcome %+v", o)
		}
		if got := w.allowed("sara@example.org"); got != "" {
			w.Errorf("before the confirmation %q is allowed", got)
		}
		who, r := w.person("sara@example.org"), w.request("sara@example.org")
		if who.Name != "" || who.Email != "Sara@Example.org" {
			w.Errorf("what a visitor typed is on the person already: %+v", who)
		}
		if r.State != Pending || len(r.Boxes) != 2 || r.Boxes[0].Wording != "Send me the news.\nOnce a week at most" {
			w.Errorf("request %+v", r)
		}
		if strings.Contains(string(r.Sealed), "192.0.2.7") {
			w.Error("the request keeps the IP in the clear")
		}
		mails := w.mails("confirm")
		if len(mails) != 1 || mails[0].SourceID != r.ID || mails[0].Recipient != "" || mails[0].Kind != "confirm" {
			w.Fatalf("mails %+v", mails)
		}
		d := mails[0].Data
		if d["confirm_url"] != w.set.URLs.Confirm(r.ID) || d["page"] != "shop.example" || d["ip"] != "192.0.2.7" || d["name"] != "Sara" ||
			d["requested_at"] != "22 November 2026, 10:14" || fmt.Sprint(d["wordings"]) != fmt.Sprint(w.request("sara@example.org").wordings()) {
			w.Errorf("the mail's values: %v", d)
		}
		if n := w.count("SELECT count(*) FROM consent_events WHERE state = 'requested' AND form_id = ? AND form_version = 1", w.form.ID); n != 2 {
			w.Errorf("%d consents requested, want 2", n)
		}
	})
}

func TestADoubleSubmitMakesOneMail(t *testing.T) {
	each(t, func(w *world) {
		_, token := w.sheet(w.form.ID, "en")
		w.pass(3 * time.Second)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() { _, errs[i] = w.send(w.submission(token, "sara@example.org", "news")) })
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				w.Error(err)
			}
		}
		if n := len(w.mails("confirm")); n != 1 {
			w.Errorf("%d mails", n)
		}
		if n := w.count("SELECT count(*) FROM signup_requests"); n != 1 {
			w.Errorf("%d requests", n)
		}
		if n := w.count("SELECT count(*) FROM consent_events"); n != 1 {
			w.Errorf("%d consent events", n)
		}
	})
}

// TestABombIsOneMail: a thousand posts for one address, in all spellings and
// with all boxes, are one mail a day and three in a month.
func TestABombIsOneMail(t *testing.T) {
	each(t, func(w *world) {
		_, token := w.sheet(w.form.ID, "en")
		w.pass(3 * time.Second)
		bomb := func(posts int) {
			boxes := [][]string{{"news"}, {"offers"}, {"news", "offers"}, {"news", "clicks"}}
			for i := range posts {
				email := []string{"victim@example.org", "Victim@Example.org", " VICTIM@example.ORG "}[i%3]
				if _, err := w.send(w.submission(token, email, boxes[i%4]...)); err != nil {
					w.Fatal(err)
				}
			}
		}
		bomb(1000)
		if n := len(w.mails("confirm")) + len(w.mails("already")); n != 1 {
			w.Errorf("%d mails for a thousand posts", n)
		}
		if n := w.count("SELECT count(*) FROM consent_events"); n != 1 {
			w.Errorf("the ledger grew by %d for nothing", n)
		}
		for day := range 40 {
			w.pass(24*time.Hour + time.Second)
			_, token = w.sheet(w.form.ID, "en")
			w.pass(3 * time.Second)
			bomb(4)
			if n := len(w.mails("confirm")); day < 28 && n > 3 {
				w.Fatalf("%d mails by day %d", n, day+2)
			}
		}
		if n := len(w.mails("confirm")); n < 4 || n > 6 {
			w.Errorf("%d mails in 41 days, want 3 in each rolling 30", n)
		}
	})
}

// TestTagsAreNoWayRoundTheLimits: a mailbox that takes every tag gets five mails
// a day, and a person with a tag for each shop gets theirs.
func TestTagsAreNoWayRoundTheLimits(t *testing.T) {
	each(t, func(w *world) {
		_, token := w.sheet(w.form.ID, "en")
		w.pass(3 * time.Second)
		for i := range 40 {
			w.pass(time.Second)
			if _, err := w.send(w.submission(token, fmt.Sprintf("victim+%d@example.org", i), "news")); err != nil {
				w.Fatal(err)
			}
		}
		if n := len(w.mails("confirm")); n != 5 {
			w.Errorf("%d mails to one mailbox, want 5", n)
		}
		if n := w.count("SELECT count(*) FROM subscribers"); n != 5 {
			w.Errorf("%d people are kept, want 5", n)
		}
		for _, email := range []string{"sara+tea@example.org", "sara+books@example.org", "victim@example.com", "+victim@example.org"} {
			before := len(w.mails("confirm"))
			if _, err := w.send(w.submission(token, email, "news")); err != nil || len(w.mails("confirm")) != before+1 {
				w.Errorf("%s gets no mail: %v", email, err)
			}
		}
	})
}

func TestLimitsSpanBrands(t *testing.T) {
	each(t, func(w *world) {
		w.ask("sara@example.org", "news")
		var other brand.Brand
		var form Form
		w.write(func(tx *store.Tx) (err error) {
			other = w.newBrand(tx, "other")
			w.topic(tx, other, "letters", 0, 0)
			form, err = Create(tx, other, "x", Spec{Topics: []string{"letters"}})
			return err
		})
		_, token := w.sheet(form.ID, "en")
		w.pass(3 * time.Second)
		before := w.everything()
		w.form = form
		if _, err := w.send(w.submission(token, "sara@example.org", "letters")); err != nil {
			w.Fatal(err)
		}
		if after := w.everything(); after != before {
			w.Errorf("a sign-up without a mail left something:\n%s\n%s", before, after)
		}
	})
}

// situations are the ways an address can stand when somebody signs it up.
var situations = []string{"new", "pending", "confirmed", "complained", "bounced", "left", "disowned"}

// place brings an address into a situation, and lets the limits rest after it.
func (w *world) place(situation, email string) {
	w.Helper()
	if situation == "new" {
		return
	}
	w.ask(email, "news", "offers")
	suppress := func(reason string) {
		hash := w.person(email).AddressHash
		w.write(func(tx *store.Tx) error { return consent.Suppress(tx, w.brand, hash, reason, "test") })
	}
	switch situation {
	case "confirmed":
		w.confirm(email)
	case "complained":
		w.confirm(email)
		suppress(consent.Complaint)
	case "bounced":
		suppress(consent.HardBounce)
	case "left":
		w.confirm(email)
		who := w.person(email)
		w.write(func(tx *store.Tx) error { return LeaveAll(tx, w.brand.ID, who.ID, Seen{}) })
	case "disowned":
		r := w.request(email)
		w.write(func(tx *store.Tx) error { return second(Disown(tx, r.ID, Seen{})) })
	}
}

func TestTheOutcomeAndTheMailsOfEverySituation(t *testing.T) {
	want := map[string]string{"new": "confirm", "pending": "confirm", "confirmed": "already", "complained": "", "bounced": "", "left": "confirm", "disowned": ""}
	each(t, func(w *world) {
		for _, s := range situations {
			w.place(s, s+"@example.org")
		}
		w.pass(25 * time.Hour)
		var first *Outcome
		for _, s := range situations {
			confirms, already := len(w.mails("confirm")), len(w.mails("already"))
			o := w.ask(s+"@example.org", "news", "offers")
			kept := map[string]Kept{"new": KeptAll, "left": KeptAll, "confirmed": KeptMail, "pending": KeptMail}[s]
			if o.Kept != kept {
				w.Errorf("%s: kept %d, want %d", s, o.Kept, kept)
			}
			o.Kept = KeptNothing
			if first == nil {
				first = &o
			}
			if o != *first {
				w.Errorf("%s is told %+v, new is told %+v", s, o, *first)
			}
			got := ""
			if len(w.mails("confirm")) == confirms+1 && len(w.mails("already")) == already {
				got = "confirm"
			} else if len(w.mails("confirm")) == confirms && len(w.mails("already")) == already+1 {
				got = "already"
			} else if len(w.mails("confirm")) != confirms || len(w.mails("already")) != already {
				w.Errorf("%s got several mails", s)
			}
			if got != want[s] {
				w.Errorf("%s got the mail %q, want %q", s, got, want[s])
			}
		}
	})
}

func TestHoneypotStoresNothingAndAnswersTheSame(t *testing.T) {
	each(t, func(w *world) {
		honest := w.ask("sara@example.org", "news")
		before := w.everything()
		_, token := w.sheet(w.form.ID, "en")
		in := w.submission(token, "robot@example.org", "news")
		in.Values[Honeypot] = "https://spam.example"
		o, err := w.send(in)
		honest.Kept = KeptBait
		if err != nil || o != honest {
			w.Errorf("told %+v, %v", o, err)
		}
		if after := w.everything(); after != before {
			w.Errorf("stored something:\n%s\n%s", before, after)
		}
	})
}

func TestAskRefuses(t *testing.T) {
	each(t, func(w *world) {
		var other Form
		w.write(func(tx *store.Tx) (err error) {
			other, err = Create(tx, w.brand, "Other", Spec{Topics: []string{"news"}})
			return err
		})
		_, token := w.sheet(w.form.ID, "en")
		_, foreign := w.sheet(other.ID, "en")
		w.pass(3 * time.Second)
		_, young := w.sheet(w.form.ID, "en")
		for name, c := range map[string]struct {
			change func(*Submission)
			kind   problem.Kind
			field  string
		}{
			"no token":         {func(s *Submission) { s.Token = "" }, problem.NotFound, ""},
			"tampered token":   {func(s *Submission) { s.Token = "_" + s.Token[1:] }, problem.NotFound, ""},
			"another form's":   {func(s *Submission) { s.Token = foreign }, problem.NotFound, ""},
			"too quick":        {func(s *Submission) { s.Token = young }, problem.TooMany, ""},
			"no box":           {func(s *Submission) { delete(s.Values, "topic:news") }, problem.Invalid, "topics"},
			"tracking only":    {func(s *Submission) { delete(s.Values, "topic:news"); s.Values["topic:opens"] = "on" }, problem.Invalid, "topics"},
			"unknown box":      {func(s *Submission) { delete(s.Values, "topic:news"); s.Values["topic:secret"] = "on" }, problem.Invalid, "topics"},
			"no address":       {func(s *Submission) { s.Values["email"] = "" }, problem.Invalid, "email"},
			"bad address":      {func(s *Submission) { s.Values["email"] = "sara@" }, problem.Invalid, "email"},
			"header injection": {func(s *Submission) { s.Values["email"] = "sara@example.org\r\nBcc: all@example.org" }, problem.Invalid, "email"},
			"name with CRLF":   {func(s *Submission) { s.Values["name"] = "Sara\r\nBcc: x@example.org" }, problem.Invalid, "name"},
			"name not UTF-8":   {func(s *Submission) { s.Values["name"] = "Sar\xff" }, problem.Invalid, "name"},
			"name too long":    {func(s *Submission) { s.Values["name"] = strings.Repeat("ن", 121) }, problem.Invalid, "name"},
			"foreign choice":   {func(s *Submission) { s.Values["city"] = "rome" }, problem.Invalid, "city"},
			"no number":        {func(s *Submission) { s.Values["books"] = "many" }, problem.Invalid, "books"},
			"infinite":         {func(s *Submission) { s.Values["books"] = "1e999" }, problem.Invalid, "books"},
		} {
			before := w.everything()
			in := w.submission(token, "sara@example.org", "news")
			c.change(&in)
			_, err := w.send(in)
			p, ok := problem.Of(err)
			if !ok || p.Kind != c.kind {
				w.Errorf("%s: %v, want %s", name, err, c.kind)
				continue
			}
			if c.field != "" && (len(p.Fields) != 1 || p.Fields[0].Name != c.field) {
				w.Errorf("%s: fields %v, want %s", name, p.Fields, c.field)
			}
			if after := w.everything(); after != before {
				w.Errorf("%s stored something:\n%s\n%s", name, before, after)
			}
		}
	})
}

// TestOtherWordsAreShownAnew: who answered words that are no longer asked, or a
// form that lay a day on the screen, is shown the form as it is now.
func TestOtherWordsAreShownAnew(t *testing.T) {
	each(t, func(w *world) {
		stale := func(token string) bool {
			_, err := w.send(w.submission(token, "sara@example.org", "news"))
			p, ok := problem.Of(err)
			return ok && p.Kind == problem.Conflict && p.Key == "signup.form.stale"
		}
		_, token := w.sheet(w.form.ID, "en")
		w.pass(w.set.TokenLife + time.Second)
		if !stale(token) {
			w.Error("a token of yesterday is taken")
		}
		_, token = w.sheet(w.form.ID, "en")
		w.pass(3 * time.Second)
		texts := w.news.Texts
		texts["en"] = consent.TopicText{Name: "News", Wording: "Send me everything, always."}
		w.write(func(tx *store.Tx) error {
			_, err := consent.UpdateTopic(tx, w.brand, w.news.ID, consent.TopicChange{Texts: &texts})
			return err
		})
		if !stale(token) {
			w.Error("a consent to words that were never shown is taken")
		}
		_, token = w.sheet(w.form.ID, "en")
		w.pass(3 * time.Second)
		w.write(func(tx *store.Tx) error {
			_, err := Edit(tx, w.brand, w.form.ID, "Front page", Spec{Topics: []string{"news", "offers"}, Tracking: []string{"opens", "clicks"}})
			return err
		})
		if _, err := w.send(w.submission(token, "sara@example.org", "news")); err != nil {
			w.Errorf("the version that was on the screen before an edit: %v", err)
		}
		if r := w.request("sara@example.org"); r.FormVersion != 1 {
			w.Errorf("the request names version %d, 1 was shown", r.FormVersion)
		}
		w.write(func(tx *store.Tx) error { _, err := Close(tx, w.brand.ID, w.form.ID); return err })
		if _, err := w.send(w.submission(token, "sara@example.org", "news")); !problem.Is(err, problem.Gone) {
			w.Errorf("a closed form: %v", err)
		}
	})
}

// TestATokenIsRenewedForTheSameWordsOnly: who has to send a form once more does
// so under a token of the words that they saw, or sees the new ones first.
func TestATokenIsRenewedForTheSameWordsOnly(t *testing.T) {
	each(t, func(w *world) {
		sheet, old := w.sheet(w.form.ID, "en")
		w.pass(time.Hour)
		if token, same := sheet.Renew(w.set, old, w.now()); !same || token != old {
			t.Errorf("a good token does not stay: same %v", same)
		}
		w.pass(w.set.TokenLife)
		if token, same := sheet.Renew(w.set, old, w.now()); !same || token == old {
			t.Errorf("a token that is too old: same %v", same)
		}
		persian, _ := w.sheet(w.form.ID, "fa")
		texts := w.news.Texts
		texts["en"] = consent.TopicText{Name: "News", Wording: "Send me everything, always."}
		w.write(func(tx *store.Tx) error {
			_, err := consent.UpdateTopic(tx, w.brand, w.news.ID, consent.TopicChange{Texts: &texts})
			return err
		})
		other, _ := w.sheet(w.form.ID, "en")
		for name, c := range map[string]struct {
			sheet Sheet
			old   string
		}{"other words": {other, old}, "another language": {persian, old}, "no token": {sheet, ""}, "tampered": {sheet, "_" + old[1:]}} {
			token, same := c.sheet.Renew(w.set, c.old, w.now())
			if read, err := readTicket(w.set.URLs.Ring, token); same || err != nil || read.at != w.now() {
				t.Errorf("%s: same %v, %v", name, same, err)
			}
		}
	})
}

func TestSignUpInPersian(t *testing.T) {
	each(t, func(w *world) {
		s, token := w.sheet(w.form.ID, "fa-IR")
		if s.Language != "fa" || s.Boxes[0].Label != "نامه را برایم بفرستید." || !strings.Contains(s.Boxes[0].Note, "هفته") {
			w.Errorf("sheet %+v", s.Boxes[0])
		}
		w.pass(3 * time.Second)
		if _, err := w.send(w.submission(token, "sara@نمونه.example", "news")); err != nil {
			w.Fatal(err)
		}
		m := w.mails("confirm")[0]
		if m.Language != "fa" || m.Data["requested_at"] != "۱ آذر ۱۴۰۵، ساعت ۱۰:۱۴" {
			w.Errorf("the mail speaks %s: %v", m.Language, m.Data)
		}
	})
}

// TestNoPartOfAnotherBrandIsReached: forms, topics and requests are walled.
func TestNoPartOfAnotherBrandIsReached(t *testing.T) {
	each(t, func(w *world) {
		w.write(func(tx *store.Tx) error {
			other := w.newBrand(tx, "other")
			w.topic(tx, other, "letters", 0, 0)
			if _, err := Find(tx, other.ID, w.form.ID); !problem.Is(err, problem.NotFound) {
				w.Errorf("another brand finds the form: %v", err)
			}
			if _, err := Edit(tx, other, w.form.ID, "x", Spec{Topics: []string{"letters"}}); !problem.Is(err, problem.NotFound) {
				w.Errorf("another brand edits the form: %v", err)
			}
			if _, err := Close(tx, other.ID, w.form.ID); !problem.Is(err, problem.NotFound) {
				w.Errorf("another brand closes the form: %v", err)
			}
			if all, err := List(tx, other.ID); err != nil || len(all) != 0 {
				w.Errorf("another brand lists %v, %v", all, err)
			}
			if _, err := Create(tx, other, "x", Spec{Topics: []string{"news"}}); !problem.Is(err, problem.Invalid) {
				w.Errorf("a form offers another brand's topic: %v", err)
			}
			return nil
		})
		w.ask("sara@example.org", "news")
		who := w.person("sara@example.org")
		w.write(func(tx *store.Tx) error {
			other, err := brand.BySlug(tx, "other")
			if err != nil {
				return err
			}
			for name, err := range map[string]error{
				"preferences": second(Preference(tx, other.ID, who.ID)),
				"save":        second(Save(tx, other.ID, who.ID, Wish{}, Seen{})),
				"leave all":   LeaveAll(tx, other.ID, who.ID, Seen{}),
				"address":     ChangeAddress(tx, w.set, other.ID, who.ID, "new@example.org"),
			} {
				if !problem.Is(err, problem.NotFound) {
					w.Errorf("%s of another brand's person: %v", name, err)
				}
			}
			return nil
		})
	})
}

func second[T any](_ T, err error) error { return err }

func FuzzTicket(f *testing.F) {
	w := newWorldFuzz(f)
	s, token := w.sheet(w.form.ID, "en")
	f.Add(token, "sara@example.org", "Sara", "https://shop.example/")
	f.Add("", "", "", "")
	f.Add(token, "sara@example.org\r\nBcc: a@b.c", "\xff", "javascript:alert(1)")
	f.Fuzz(func(t *testing.T, token, email, name, page string) {
		if got, err := readTicket(w.set.URLs.Ring, token); err == nil && got.form != w.form.ID {
			t.Errorf("a token that was never signed names %s", got.form)
		}
		e, err := s.read(Submission{Token: token, Page: page, Values: map[string]string{"email": email, "name": name, "topic:news": "on"}})
		if err != nil {
			if _, ok := problem.Of(err); !ok {
				t.Errorf("no problem but %v", err)
			}
			return
		}
		for _, v := range []string{e.address.Normal, e.address.Typed, e.name, e.page} {
			if strings.ContainsAny(v, "\r\n\x00") || strings.ToValidUTF8(v, "?") != v {
				t.Errorf("let %q in", v)
			}
		}
		if e.page != "" && !strings.HasPrefix(e.page, "http") {
			t.Errorf("page %q", e.page)
		}
	})
}

func BenchmarkAsk(b *testing.B) {
	for name, url := range benchDatabases(b) {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, url)
			_, token := w.sheet(w.form.ID, "en")
			w.pass(3 * time.Second)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				if _, err := w.send(w.submission(token, fmt.Sprintf("p%d@example.org", n), "news", "offers")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
