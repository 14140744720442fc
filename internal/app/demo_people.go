package app

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/offer"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// guest is a sample customer.
type guest struct {
	name, email, lang string
	months            int    // ago, of the first order or the card
	orders            int    // since then
	said              string // see demoWords; upper case: taken back since
	taste             string
}

// demoWords are the letters of guest.said, and the topics they stand for.
var demoWords = map[byte]string{'l': "letters", 'o': "offers", 'e': "events", 'w': consent.OpensSlug, 'c': consent.ClicksSlug}

// demoGuests come from nowhere: the addresses are of domains that RFC 2606
// keeps free of mailboxes. Those who said nothing ordered something, and get
// nothing.
var demoGuests = []guest{
	{"نرگس کریمی", "narges.karimi@example.com", "fa", 31, 7, "loewc", "شعر"},
	{"Amir Rostami", "amir.rostami@example.org", "en", 26, 5, "low", "history"},
	{"سارا احمدی", "sara.ahmadi@example.net", "fa", 22, 4, "loe", "داستان"},
	{"Ella Novak", "ella.novak@example.com", "en", 19, 6, "loec", "poetry"},
	{"رضا موسوی", "reza.mousavi@example.org", "fa", 17, 3, "lo", "تاریخ"},
	{"Jonas Weber", "jonas.weber@example.net", "en", 14, 2, "lowc", "crime"},
	{"مریم حسینی", "maryam.hosseini@example.com", "fa", 13, 1, "oe", "کودک"},
	{"Priya Raman", "priya.raman@example.org", "en", 9, 4, "lo", "travel"},
	{"علی جعفری", "ali.jafari@example.net", "fa", 8, 3, "low", "داستان"},
	{"Tomás Herrera", "tomas.herrera@example.com", "en", 7, 3, "oc", "essays"},
	{"فاطمه رحیمی", "fatemeh.rahimi@example.org", "fa", 6, 2, "loe", "شعر"},
	{"Grace Okafor", "grace.okafor@example.net", "en", 6, 1, "lo", "novels"},
	{"حسین نادری", "hossein.naderi@example.com", "fa", 5, 2, "l", "فلسفه"},
	{"Marta Lindqvist", "marta.lindqvist@example.org", "en", 5, 0, "le", "gardens"},
	{"زهرا صادقی", "zahra.sadeghi@example.net", "fa", 5, 1, "lwc", "کودک"},
	{"Daniel Cohen", "daniel.cohen@example.com", "en", 4, 1, "l", "science"},
	{"پریسا طاهری", "parisa.taheri@example.org", "fa", 4, 0, "le", "داستان"},
	{"Chiara Rossi", "chiara.rossi@example.net", "en", 4, 2, "lec", "cookery"},
	{"مهدی کاظمی", "mehdi.kazemi@example.com", "fa", 3, 1, "lo", "ورزش"},
	{"Noor Haddad", "noor.haddad@example.org", "en", 3, 1, "low", "poetry"},
	{"لیلا شریفی", "leila.sharifi@example.net", "fa", 3, 0, "e", "هنر"},
	{"Peter Lang", "peter.lang@example.com", "en", 2, 1, "l", "maps"},
	{"کاوه بهرامی", "kaveh.bahrami@example.org", "fa", 2, 2, "lw", "تاریخ"},
	{"Sofia Almeida", "sofia.almeida@example.net", "en", 2, 0, "le", "novels"},
	{"شیرین مرادی", "shirin.moradi@example.com", "fa", 1, 1, "lo", "شعر"},
	{"Liam Byrne", "liam.byrne@example.org", "en", 1, 0, "l", "crime"},
	{"بهنام قاسمی", "behnam.ghasemi@example.net", "fa", 1, 1, "l", "داستان"},
	{"Hana Sato", "hana.sato@example.com", "en", 0, 1, "lec", "art"},
	{"آرش یوسفی", "arash.yousefi@example.org", "fa", 28, 6, "lO", "سفر"},
	{"Isabel Moreau", "isabel.moreau@example.net", "en", 21, 4, "LO", "novels"},
	{"نیما فرهادی", "nima.farhadi@example.com", "fa", 12, 2, "L", "فلسفه"},
	{"Oliver Grant", "oliver.grant@example.org", "en", 10, 3, "LOEW", "history"},
	{"الهام زمانی", "elham.zamani@example.net", "fa", 6, 1, "Le", "کودک"},
	{"Ruth Adeyemi", "ruth.adeyemi@example.com", "en", 4, 1, "lW", "essays"},
	{"سینا اکبری", "sina.akbari@example.org", "fa", 24, 5, "", "علم"},
	{"Victor Ilic", "victor.ilic@example.net", "en", 16, 3, "", "maps"},
	{"مینا رستگار", "mina.rastegar@example.com", "fa", 11, 2, "", "داستان"},
	{"Emma Fischer", "emma.fischer@example.org", "en", 8, 1, "", "crime"},
	{"فرهاد نوری", "farhad.nouri@example.net", "fa", 3, 4, "", "تاریخ"},
	{"Lucía Ortega", "lucia.ortega@example.com", "en", 1, 1, "", "art"},
}

// demoPeople makes the sample customers with orders and consents. What the
// staff states is recorded as such, with the evidence for it.
func demoPeople(tx *store.Tx, b brand.Brand, topics map[string]consent.Topic) error {
	for i, g := range demoGuests {
		if err := g.enter(tx, b, topics, i); err != nil {
			return fmt.Errorf("enter %s: %w", g.email, err)
		}
	}
	return nil
}

func (g guest) enter(tx *store.Tx, b brand.Brand, topics map[string]consent.Topic, i int) error {
	address, err := subscriber.ParseAddress(g.email)
	if err != nil {
		return err
	}
	first := tx.Now().AddDate(0, -g.months, -1-i%20)
	s, _, err := subscriber.Ensure(tx, b, subscriber.New{Address: address, Name: g.name, Language: g.lang, Attributes: map[string]any{"taste": g.taste}})
	if err != nil {
		return err
	}
	if err := subscriber.AddTags(tx, b.ID, s.ID, []string{"shop", "book-fair", "web-shop"}[i%3]); err != nil {
		return err
	}
	for n := range g.orders {
		at := first.Add(time.Duration(n) * tx.Now().Sub(first) / time.Duration(g.orders))
		_, _, err := offer.RecordOrder(tx, b, offer.NewOrder{Number: fmt.Sprintf("BB-%d", 1001+i*10+n), Subscriber: s.ID,
			PlacedAt: at, Total: int64(2_400_000 + (i*7+n*13)%23*350_000), Currency: "IRR", Items: 1 + (i+n)%3})
		if err != nil {
			return err
		}
	}
	return g.speak(tx, b, topics, s, i, first)
}

// speak records what the guest allowed on a card, and what they took back.
func (g guest) speak(tx *store.Tx, b brand.Brand, topics map[string]consent.Topic, s subscriber.Subscriber, i int, at time.Time) error {
	place := []string{"card at the till", "card at the book fair stand", "box ticked at the web shop's checkout"}[i%3]
	card := map[string]any{"document": place, "reference": fmt.Sprintf("%s-%03d", []string{"T", "F", "W"}[i%3], i+1),
		"stated_on": at.In(b.Location()).Format(time.DateOnly), "kept_at": "folder “permissions”, office shelf 2", "entered_by": "Leila"}
	for _, letter := range []byte(g.said) {
		topic := topics[demoWords[strings.ToLower(string(letter))[0]]]
		_, err := consent.Grant(tx, consent.Act{Brand: b, Subscriber: s.ID, Topic: topic, Basis: consent.BasisOperator, Method: consent.MethodOperator,
			Language: g.lang, Wording: topic.In(b, g.lang).Wording, Evidence: card})
		if err != nil {
			return err
		}
		if letter >= 'a' {
			continue
		}
		told := map[string]any{"document": "said so at the till", "entered_by": "Behrouz"}
		if _, err := consent.Withdraw(tx, b, s.ID, []uuid.UUID{topic.ID}, consent.MethodOperator, told); err != nil {
			return err
		}
	}
	return nil
}
