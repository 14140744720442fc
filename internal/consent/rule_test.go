package consent_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

var (
	reasons = []string{consent.HardBounce, consent.Complaint, consent.NotMe, consent.Left, consent.Manual}
	kinds   = []consent.MailKind{consent.MarketingMail, consent.ConfirmMail, consent.ServiceMail, consent.TestMail}
)

// The table of reason by kind, as it stands in the comment of Suppressed.
func TestWhatASuppressionStops(t *testing.T) {
	const day = 24 * time.Hour
	goes := map[string]map[consent.MailKind]bool{ // at once
		consent.HardBounce: {},
		consent.Complaint:  {consent.ServiceMail: true, consent.TestMail: true},
		consent.NotMe:      {consent.ServiceMail: true, consent.TestMail: true},
		consent.Left:       {consent.ConfirmMail: true, consent.ServiceMail: true, consent.TestMail: true},
		consent.Manual:     {},
	}
	each(t, func(w *world) {
		ask := func(s subscriber.Subscriber, kind consent.MailKind) (reason string, yes bool) {
			w.write(func(tx *store.Tx) (err error) {
				reason, yes, err = consent.Suppressed(tx, w.brand.ID, s.AddressHash, kind)
				return err
			})
			return reason, yes
		}
		people := map[string]subscriber.Subscriber{}
		for _, r := range reasons {
			people[r] = w.person(w.brand, r+"@example.org")
			w.write(func(tx *store.Tx) error { return consent.Suppress(tx, w.brand, people[r].AddressHash, r, "") })
		}
		check := func(when string) {
			for _, r := range reasons {
				for _, k := range kinds {
					reason, yes := ask(people[r], k)
					if yes == goes[r][k] || yes && reason != r || !yes && reason != "" {
						w.Errorf("%s, %s mail to someone suppressed as %s: stopped %v, because %q", when, k, r, yes, reason)
					}
				}
			}
		}
		check("at once")
		w.pass(30*day - time.Microsecond)
		check("a moment before 30 days")
		w.pass(time.Microsecond)
		goes[consent.NotMe][consent.ConfirmMail] = true
		check("after 30 days")
		w.write(func(tx *store.Tx) error {
			return consent.Suppress(tx, w.brand, people[consent.NotMe].AddressHash, consent.NotMe, "again")
		})
		goes[consent.NotMe][consent.ConfirmMail] = false
		check("said again")

		other, free := w.newBrand("other"), w.person(w.brand, "free@example.org")
		for _, k := range kinds {
			if reason, yes := ask(free, k); yes {
				w.Errorf("%s mail to someone free is stopped as %q", k, reason)
			}
		}
		w.write(func(tx *store.Tx) error {
			_, yes, err := consent.Suppressed(tx, other.ID, people[consent.Manual].AddressHash, consent.MarketingMail)
			if yes {
				w.Error("a suppression reaches into another brand")
			}
			w.must(consent.Lift(tx, other, people[consent.Manual].AddressHash, consent.Manual))
			if err := consent.Suppress(tx, w.brand, free.AddressHash, "mood", ""); !problem.Is(err, problem.Invalid) {
				w.Errorf("an unknown reason: %v", err)
			}
			return err
		})
		if _, yes := ask(people[consent.Manual], consent.MarketingMail); !yes {
			w.Error("another brand lifted it")
		}
		w.write(func(tx *store.Tx) error {
			return consent.Lift(tx, w.brand, people[consent.Manual].AddressHash, consent.Manual)
		})
		if _, yes := ask(people[consent.Manual], consent.MarketingMail); yes {
			w.Error("lifted, and still stopped")
		}
	})
}

func TestWhatAYesTakesBack(t *testing.T) {
	each(t, func(w *world) {
		for _, x := range []struct {
			method, reason string
			lifted         bool
		}{
			{consent.MethodDoubleOptIn, consent.Left, true}, {consent.MethodDoubleOptIn, consent.NotMe, true},
			{consent.MethodDoubleOptIn, consent.Complaint, false}, {consent.MethodDoubleOptIn, consent.HardBounce, false}, {consent.MethodDoubleOptIn, consent.Manual, false},
			{consent.MethodPreferences, consent.Left, true}, {consent.MethodPreferences, consent.NotMe, false},
			{consent.MethodForm, consent.Left, false}, {consent.MethodAPI, consent.Left, false},
		} {
			s := w.person(w.brand, x.method+"."+x.reason+"@example.org")
			w.write(func(tx *store.Tx) error { return consent.Suppress(tx, w.brand, s.AddressHash, x.reason, "") })
			a := w.act(s, consent.Given)
			a.Method = x.method
			w.mustRecord(a)
			if got := w.may(s); got.Allowed != x.lifted {
				w.Errorf("suppressed as %s, then yes by %s: %+v", x.reason, x.method, got)
			}
		}
	})
}

// May in Go, EligibleSQL and ReasonSQL are one rule, whatever happened before.
func TestMayAndEligibleAreOneRule(t *testing.T) {
	each(t, func(w *world) {
		short := w.topic(w.brand, consent.NewTopic{Slug: "short", ValidDays: 2})
		n, allowed, refused := 0, 0, 0
		why := map[string]int{}
		rapid.Check(w.TB, func(r *rapid.T) {
			n++
			s := w.person(w.brand, fmt.Sprintf("p%d@example.org", n))
			if n <= 2 { // what seldom comes about by chance
				w.mustRecord(w.act(s, consent.Given))
				w.write(func(tx *store.Tx) error {
					if n == 2 {
						return consent.Object(tx, w.brand, s.ID, consent.MethodPreferences, nil)
					}
					_, err := consent.Adjust(tx, w.brand, s.ID, w.news, consent.Adjustment{Pause: &consent.Pause{Until: tx.Now().Add(time.Hour)}}, nil)
					return err
				})
			} else if rapid.Bool().Draw(r, "begun") {
				w.mustRecord(w.act(s, consent.Given))
			}
			for range rapid.IntRange(0, 12).Draw(r, "steps") {
				if n > 2 {
					w.step(r, s, short)
				}
			}
			for _, topic := range []consent.Topic{w.news, short} {
				var a consent.Answer
				var eligible int
				var reason string
				w.write(func(tx *store.Tx) (err error) {
					if a, err = consent.May(tx, w.brand, s.ID, topic.ID); err != nil {
						return err
					}
					err = tx.Raw("SELECT count(*) FROM permissions p JOIN subscribers s ON s.id = p.subscriber_id WHERE s.id = ? AND p.topic_id = ? AND "+consent.EligibleSQL,
						s.ID, topic.ID, tx.Now()).Scan(&eligible).Error
					if err != nil {
						return err
					}
					return tx.Raw("SELECT "+consent.ReasonSQL+" FROM subscribers s LEFT JOIN permissions p ON p.subscriber_id = s.id AND p.topic_id = ? WHERE s.id = ?",
						tx.Now(), topic.ID, s.ID).Scan(&reason).Error
				})
				if a.Allowed != (eligible == 1) || a.Reason != reason || a.Allowed != (a.Reason == "") {
					r.Fatalf("May %+v, EligibleSQL %d, ReasonSQL %q", a, eligible, reason)
				}
				if a.Allowed {
					allowed++
				} else {
					refused++
				}
				why[a.Reason]++
			}
		})
		if allowed == 0 || refused == 0 {
			w.Fatalf("allowed %d times, refused %d times: the histories show nothing", allowed, refused)
		}
		if why[consent.ReasonPaused] == 0 || why[consent.ReasonObjected] == 0 {
			w.Fatalf("the histories show too little: %v", why)
		}
	})
}

// step is one thing that can happen to a person.
func (w *world) step(r *rapid.T, s subscriber.Subscriber, short consent.Topic) {
	switch rapid.IntRange(0, 18).Draw(r, "what") {
	case 0:
		w.pass(time.Duration(rapid.IntRange(0, 72).Draw(r, "hours")) * time.Hour)
	case 1:
		reason := rapid.SampledFrom(reasons).Draw(r, "reason")
		w.write(func(tx *store.Tx) error { return consent.Suppress(tx, w.brand, s.AddressHash, reason, "") })
	case 2:
		reason := rapid.SampledFrom(reasons).Draw(r, "reason")
		w.write(func(tx *store.Tx) error { return consent.Lift(tx, w.brand, s.AddressHash, reason) })
	case 3:
		w.write(func(tx *store.Tx) error { _, err := consent.ExpireDue(tx, 100); return err })
	case 4:
		if rapid.IntRange(0, 4).Draw(r, "erase") == 0 {
			w.write(func(tx *store.Tx) error {
				_, err := tx.Run("UPDATE subscribers SET erased_at = ? WHERE id = ?", tx.Now(), s.ID)
				return err
			})
		}
	case 5, 6:
		topic := w.news
		if rapid.Bool().Draw(r, "short") {
			topic = short
		}
		pause := consent.Pause{}
		if n := rapid.IntRange(0, 72).Draw(r, "pause"); n > 0 {
			w.write(func(tx *store.Tx) error { pause.Until = tx.Now().Add(time.Duration(n) * time.Hour); return nil })
		}
		err := w.db.Write(context.Background(), func(tx *store.Tx) error {
			_, err := consent.Adjust(tx, w.brand, s.ID, topic, consent.Adjustment{Pause: &pause}, nil)
			return err
		})
		if err != nil && !problem.Is(err, problem.Conflict) && !problem.Is(err, problem.Gone) {
			r.Fatal(err)
		}
	case 7:
		if rapid.IntRange(0, 3).Draw(r, "object") == 0 {
			err := w.db.Write(context.Background(), func(tx *store.Tx) error {
				return consent.Object(tx, w.brand, s.ID, consent.MethodPreferences, nil)
			})
			if err != nil && !problem.Is(err, problem.Gone) {
				r.Fatal(err)
			}
		}
	default:
		a := w.act(s, rapid.SampledFrom([]consent.State{consent.Requested, consent.Given, consent.Given, consent.Given, consent.Refused,
			consent.Withdrawn, consent.Expired, consent.Invalidated}).Draw(r, "state"))
		a.Method = rapid.SampledFrom([]string{consent.MethodForm, consent.MethodDoubleOptIn, consent.MethodPreferences}).Draw(r, "method")
		if rapid.Bool().Draw(r, "short") {
			a.Topic = short
		}
		if _, err := w.record(a); err != nil && !problem.Is(err, problem.Conflict) && !problem.Is(err, problem.Gone) {
			r.Fatal(err)
		}
	}
}

func TestTopics(t *testing.T) {
	each(t, func(w *world) {
		in := func(f func(tx *store.Tx) error) error { return w.db.Write(context.Background(), f) }
		texts := map[string]consent.TopicText{"en": {Name: " News ", Wording: "Yes.\r\nPlease."}}
		for name, x := range map[string]struct {
			n     consent.NewTopic
			field string
		}{
			"slug":         {consent.NewTopic{Slug: "No Good", Texts: texts}, "slug"},
			"reserved":     {consent.NewTopic{Slug: "opens", Texts: texts}, "slug"},
			"no texts":     {consent.NewTopic{Slug: "a"}, "texts/en"},
			"no wording":   {consent.NewTopic{Slug: "a", Texts: map[string]consent.TopicText{"en": {Name: "N"}}}, "texts/en/wording"},
			"line break":   {consent.NewTopic{Slug: "a", Texts: map[string]consent.TopicText{"en": {Name: "N\nBcc: x", Wording: "Y"}}}, "texts/en/name"},
			"language":     {consent.NewTopic{Slug: "a", Texts: map[string]consent.TopicText{"en": texts["en"], "xx": texts["en"]}}, "texts/xx"},
			"half promise": {consent.NewTopic{Slug: "a", Texts: texts, PromiseMax: 2}, "promise_max"},
			"valid days":   {consent.NewTopic{Slug: "a", Texts: texts, ValidDays: -1}, "valid_days"},
		} {
			p, ok := problem.Of(in(func(tx *store.Tx) error { _, err := consent.CreateTopic(tx, w.brand, x.n); return err }))
			if !ok || p.Kind != problem.Invalid || len(p.Fields) != 1 || p.Fields[0].Name != x.field {
				w.Errorf("%s: %v", name, p)
			}
		}
		err := in(func(tx *store.Tx) error {
			_, err := consent.CreateTopic(tx, w.brand, consent.NewTopic{Slug: "news", Texts: texts})
			return err
		})
		if !problem.Is(err, problem.Conflict) {
			w.Errorf("a slug twice: %v", err)
		}
		offers := w.topic(w.brand, consent.NewTopic{Slug: "offers", Position: -1})
		yes := true
		w.write(func(tx *store.Tx) error {
			all, err := consent.Topics(tx, w.brand.ID)
			w.must(err)
			slugs := ""
			for _, topic := range all {
				slugs += topic.Slug + " "
			}
			if slugs != "offers news opens clicks " {
				w.Errorf("topics: %s", slugs)
			}
			got, err := consent.UpdateTopic(tx, w.brand, offers.ID, consent.TopicChange{Archived: &yes, Texts: &texts})
			w.must(err)
			if got.ArchivedAt == nil || got.Texts["en"] != (consent.TopicText{Name: "News", Wording: "Yes.\nPlease."}) {
				w.Errorf("archived: %+v", got)
			}
			if all, _ = consent.Topics(tx, w.brand.ID); len(all) != 3 {
				w.Errorf("%d topics with one archived", len(all))
			}
			if all, _ = consent.AllTopics(tx, w.brand.ID); len(all) != 4 {
				w.Errorf("%d topics in all", len(all))
			}
			opens, clicks, err := consent.TrackingTopics(tx, w.brand.ID)
			w.must(err)
			if _, err := consent.UpdateTopic(tx, w.brand, opens.ID, consent.TopicChange{Archived: &yes}); !problem.Is(err, problem.Conflict) {
				w.Errorf("archiving a tracking permission: %v", err)
			}
			for _, lang := range i18n.Languages {
				for _, topic := range []consent.Topic{opens, clicks} {
					text := topic.In(w.brand, lang)
					if !bytes.Contains([]byte(text.Wording), []byte("Marble & Sons")) || text.Name == "" || text.Description == "" {
						w.Errorf("%s in %s: %+v", topic.Slug, lang, text)
					}
				}
			}
			w.must(consent.PrepareBrand(tx, w.brand)) // repeatable
			return nil
		})
		other := w.newBrand("other")
		w.write(func(tx *store.Tx) error {
			if _, err := consent.FindTopic(tx, other.ID, offers.ID); !problem.Is(err, problem.NotFound) {
				w.Errorf("another brand's topic: %v", err)
			}
			if _, err := consent.UpdateTopic(tx, other, offers.ID, consent.TopicChange{}); !problem.Is(err, problem.NotFound) {
				w.Errorf("changing another brand's topic: %v", err)
			}
			return nil
		})
	})
}
