package app

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/alarm"
	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// An alarm is mailed once to each who is in charge, in their language, however
// many processes look at the same time, and to nobody else.
func TestAnAlarmIsMailedOnce(t *testing.T) {
	testkit.EachDatabase(t, func(t *testing.T, url string) {
		a := startApp(t, "ASSENT_DATABASE_URL="+url)
		defer a.Close()
		write := func(f func(*store.Tx) error) {
			t.Helper()
			if err := a.DB.Write(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		var b brand.Brand
		var letter consent.Topic
		write(func(tx *store.Tx) (err error) {
			b, err = brand.Create(tx, brand.New{Slug: "baharan", Name: "Baharan", PostalAddress: "12 Enghelab, Tehran", SenderEmail: "post@baharan.example",
				Language: "en", Languages: []string{"en", "fa"}, TimeZone: "Asia/Tehran"})
			if err != nil {
				return err
			}
			if err := consent.PrepareBrand(tx, b); err != nil {
				return err
			}
			letter, err = consent.CreateTopic(tx, b, consent.NewTopic{Slug: "letter", Texts: map[string]consent.TopicText{"en": {Name: "Letter", Wording: "Send it."}}})
			return err
		})
		for i, u := range []struct {
			name, lang string
			role       account.Role
		}{{"mina", "en", account.Owner}, {"reza", "fa", account.Marketer}, {"ella", "en", account.Analyst}} {
			user, err := a.door.AddUser(t.Context(), account.NewUser{Email: u.name + "@baharan.example", Name: u.name, Password: fmt.Sprint("a long sentence, ", i), Language: u.lang})
			if err != nil {
				t.Fatal(err)
			}
			write(func(tx *store.Tx) error { return account.Grant(tx, user.ID, b.ID, u.role) })
		}
		write(func(tx *store.Tx) error {
			for i := range 60 {
				address, err := subscriber.ParseAddress(fmt.Sprintf("p%d@example.org", i))
				if err != nil {
					return err
				}
				s, _, err := subscriber.Ensure(tx, b, subscriber.New{Address: address, Language: "en"})
				if err != nil {
					return err
				}
				_, err = consent.Record(tx, consent.Act{Brand: b, Subscriber: s.ID, Topic: letter, State: consent.Given, Method: consent.MethodForm, Language: "en", Wording: "Send it."})
				if err != nil {
					return err
				}
				if _, err := consent.Withdraw(tx, b, s.ID, []uuid.UUID{letter.ID}, consent.MethodOneClick, nil); err != nil {
					return err
				}
			}
			return event.Add(tx, []event.Tally{{BrandID: b.ID, At: tx.Now(), Kind: event.MailSent, Source: string(delivery.Marketing), N: 1000}})
		})
		looking := []*store.DB{a.DB, a.DB, a.DB}
		if a.DB.Dialect() == store.Postgres {
			second, err := Open(t.Context(), a.Settings, Options{Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer second.Close()
			looking = append(looking, second.DB, second.DB)
		}
		var looks sync.WaitGroup
		for _, db := range looking {
			looks.Go(func() {
				if err := alarm.Watch(t.Context(), db); err != nil {
					t.Error(err)
				}
			})
		}
		looks.Wait()
		for end := time.Now().Add(20 * time.Second); len(a.mailbox.List("")) < 2 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		}
		time.Sleep(2 * time.Second) // for what must not come
		mails := map[string]string{}
		for _, m := range a.mailbox.List("") {
			whole, err := a.mailbox.Find(m.ID)
			if err != nil {
				t.Fatal(err)
			}
			mails[m.To[0]] += m.Subject + "|" + string(whole.Source)
		}
		if len(a.mailbox.List("")) != 2 || len(mails) != 2 {
			t.Fatalf("%d mails to %d people", len(a.mailbox.List("")), len(mails))
		}
		if got := mails["mina@baharan.example"]; !strings.Contains(got, "Something is unusual at Baharan") || !strings.Contains(got, "60 of 1,000 mails") || !strings.Contains(got, "/admin/b/baharan/alarms") {
			t.Errorf("Mina gets %s", got)
		}
		if got := mails["reza@baharan.example"]; !strings.Contains(got, "Content-Language: fa") || !strings.Contains(got, "غیرعادی") {
			t.Errorf("Reza gets %s", got)
		}
	})
}
