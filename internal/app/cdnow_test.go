package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"assent/internal/testkit"
)

const (
	loyalFrom = 3 // orders
	callers   = 8 // requests at once
)

// purchase is a line of the file. The line's number is the order's.
type purchase struct {
	line     int
	customer string
	placed   time.Time
	cents    int64
	items    int
}

func (p purchase) email() string { return "customer" + p.customer + "@cdnow.example" }

// The customers and orders of a real shop (CDNOW, 1997 and 1998) go in by the
// API with consents and evidence; those with three orders or more get a code.
// Who has to be mailed is counted from the file alone.
func TestRealCustomers(t *testing.T) {
	all := readPurchases(t, testkit.Data(t, "cdnow/CDNOW_sample.txt"))
	pairs(t, func(t *testing.T, o testkit.ServiceOptions) {
		s := &shop{T: t, mail: testkit.SMTP(t), purchases: all}
		o.SMTP, o.TestClock = s.mail.URL, true
		s.service = testkit.NewService(t, o)
		s.api = testkit.API{Base: s.service.Base, Key: s.service.Key(t)}
		began := time.Now()
		s.open()
		s.tellCustomers()
		s.tellOrders()
		told := time.Since(began)
		s.mail.StaysAt(t, 0, 500*time.Millisecond)
		s.thank()
		t.Logf("%d customers, %d orders of %d.%02d dollars: %.1f s; %d of them loyal, %d mails, as many codes; %.1f s in all",
			len(s.orders()), len(all), s.cents()/100, s.cents()%100, told.Seconds(), len(s.loyal()), len(s.mail.Mails()), time.Since(began).Seconds())
	})
}

// readPurchases reads lines of: number in the whole data, number in this
// sample, day as YYYYMMDD, items, dollars with two decimals.
func readPurchases(t *testing.T, path string) (all []purchase) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		p, err := readPurchase(n, strings.Fields(lines.Text()))
		if err != nil {
			t.Fatalf("%s:%d: %v", path, n, err)
		}
		all = append(all, p)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func readPurchase(line int, f []string) (purchase, error) {
	if len(f) != 5 {
		return purchase{}, fmt.Errorf("%d fields, want 5", len(f))
	}
	day, err := time.Parse("20060102", f[2])
	if err != nil {
		return purchase{}, err
	}
	items, err := strconv.Atoi(f[3])
	if err != nil {
		return purchase{}, err
	}
	dollars, cents, ok := strings.Cut(f[4], ".")
	if !ok || len(cents) != 2 {
		return purchase{}, fmt.Errorf("%q is not dollars and cents", f[4])
	}
	total, err := strconv.ParseInt(dollars+cents, 10, 64) // no float ever holds it
	return purchase{line: line, customer: f[1], placed: day, cents: total, items: items}, err
}

// shop is the running service with the file's customers.
type shop struct {
	*testing.T
	service   *testkit.Service
	mail      *testkit.SMTPServer
	api       testkit.API
	purchases []purchase
}

// orders counts by address, straight from the file.
func (s *shop) orders() map[string]int {
	n := map[string]int{}
	for _, p := range s.purchases {
		n[p.email()]++
	}
	return n
}

// loyal are the addresses that must be mailed, straight from the file.
func (s *shop) loyal() map[string]bool {
	found := map[string]bool{}
	for email, n := range s.orders() {
		if n >= loyalFrom {
			found[email] = true
		}
	}
	return found
}

func (s *shop) cents() (sum int64) {
	for _, p := range s.purchases {
		sum += p.cents
	}
	return sum
}

func (s *shop) open() {
	s.api.Must(s, "POST", "/brands", map[string]any{"slug": "cdnow", "name": "CDnow", "postal_address": "1005 Virginia Drive\nFort Washington, PA",
		"sender_email": "post@cdnow.example", "language": "en", "time_zone": "America/New_York"}, nil)
	s.api.Brand = "cdnow"
	for _, slug := range []string{"letter", "offers"} {
		s.api.Must(s, "POST", "/topics", map[string]any{"slug": slug, "texts": map[string]any{"en": map[string]any{"name": slug, "wording": "Yes, write to me."}}}, nil)
	}
}

// together does n things, some at once.
func together(n int, do func(i int)) {
	work := make(chan int)
	var done sync.WaitGroup
	for range callers {
		done.Go(func() {
			for i := range work {
				do(i)
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	done.Wait()
}

// call is API.Must for many goroutines at once: the test goes on to the end.
func (s *shop) call(path string, body any) (testkit.APIAnswer, bool) {
	got, err := s.api.Do("POST", path, body)
	if err != nil || got.Status != 201 {
		s.Errorf("POST %s: %d %v %s", path, got.Status, err, got.Body)
		return got, false
	}
	return got, true
}

func (s *shop) tellCustomers() {
	first := map[string]purchase{}
	var emails []string
	for _, p := range s.purchases {
		if _, known := first[p.email()]; !known {
			first[p.email()] = p
			emails = append(emails, p.email())
		}
	}
	together(len(emails), func(i int) {
		p := first[emails[i]]
		made, ok := s.call("/subscribers", map[string]any{"email": p.email(), "customer_since": p.placed})
		if !ok {
			return
		}
		var who struct{ ID string }
		read(s, made, &who)
		signed := p.placed.Format(time.DateOnly)
		given, ok := s.call("/subscribers/"+who.ID+"/consents", map[string]any{"topic": "offers", "basis": "operator", "wording": "Yes, write to me.",
			"evidence": map[string]any{"receipt": p.line, "signed_on": signed}})
		if ok && i%200 == 0 {
			s.mustProve(who.ID, given, fmt.Sprint(map[string]any{"receipt": p.line, "signed_on": signed}))
		}
	})
	s.mustStop("customers")
}

// mustProve reads a consent back with its evidence.
func (s *shop) mustProve(subscriber string, given testkit.APIAnswer, evidence string) {
	var event struct{ ID string }
	read(s, given, &event)
	got, err := s.api.Do("GET", "/subscribers/"+subscriber+"/consents/"+event.ID, nil)
	if err != nil {
		s.Error(err)
		return
	}
	var proof struct{ Evidence map[string]any }
	if read(s, got, &proof); fmt.Sprint(proof.Evidence) != evidence {
		s.Errorf("the evidence is %v, want %s", proof.Evidence, evidence)
	}
}

func (s *shop) tellOrders() {
	together(len(s.purchases), func(i int) {
		p := s.purchases[i]
		s.call("/orders", map[string]any{"number": fmt.Sprint(p.line), "email": p.email(), "placed_at": p.placed,
			"total": map[string]any{"amount": p.cents, "currency": "USD"}, "items": p.items})
	})
	s.mustStop("orders")
	var n int
	var cents int64
	eachOf(s, "/orders", func(o struct {
		Total struct{ Amount int64 }
	}) {
		n++
		cents += o.Total.Amount
	})
	if n != len(s.purchases) || cents != s.cents() {
		s.Fatalf("the API tells %d orders of %d cents, the file %d of %d", n, cents, len(s.purchases), s.cents())
	}
}

func (s *shop) mustStop(what string) {
	s.Helper()
	if s.Failed() {
		s.Fatalf("not all %s were taken", what)
	}
}

// thank starts the offer and compares what arrives with the file.
func (s *shop) thank() {
	var made struct{ ID string }
	s.api.Must(s, "POST", "/offers", map[string]any{"name": "Thanks", "topic": "offers", "valid_days": 30, "budget": len(s.purchases),
		"texts": map[string]any{"en": map[string]any{"title": "Thank you", "terms": "Once."}},
		"value": map[string]any{"kind": "percent", "percent": 10}, "for": map[string]any{"orders": loyalFrom},
		"mail": []map[string]any{{"language": "en", "subject": "A thank-you", "html": "<p>Your code: <b>{{ offer.code }}</b></p>"}}}, &made)
	s.api.Must(s, "POST", "/offers/"+made.ID+"/start", nil, nil)
	want := s.loyal()
	s.mail.Wait(s, len(want), 2*time.Minute)
	for range 3 { // the work looks again every hour, and must find nobody new
		s.service.Pass(s, 61*time.Minute)
		s.mail.StaysAt(s, len(want), time.Second)
	}
	mailed := s.codesMailed(want)
	n := 0
	eachOf(s, "/offers/"+made.ID+"/codes", func(c struct{ Code string }) {
		n++
		if mailed[c.Code] == "" {
			s.Errorf("the code %s was issued and never mailed", c.Code)
		}
	})
	var counted struct {
		Issued   int
		Messages struct{ Sent, Total int }
	}
	s.api.Must(s, "GET", "/offers/"+made.ID, nil, &counted)
	if n != len(want) || counted.Issued != n || counted.Messages.Sent != n || counted.Messages.Total != n {
		s.Errorf("the API lists %d codes and counts %+v, want %d", n, counted, len(want))
	}
}

// codesMailed gives who got which code, and holds the mails against the file:
// the very addresses, each once, each with a code of its own.
func (s *shop) codesMailed(want map[string]bool) map[string]string {
	codes, got := map[string]string{}, map[string]bool{}
	for _, m := range s.mail.Mails() {
		if len(m.To) != 1 || !want[m.To[0]] || got[m.To[0]] {
			s.Errorf("a mail to %q: not loyal, or not the first", m.To)
			continue
		}
		got[m.To[0]] = true
		_, rest, _ := strings.Cut(m.HTML, "Your code: <b>")
		code, _, ok := strings.Cut(rest, "</b>")
		if !ok || code == "" || codes[code] != "" {
			s.Errorf("%s got the code %q, which is none or that of %q", m.To[0], code, codes[code])
		}
		codes[code] = m.To[0]
	}
	for email := range want {
		if !got[email] {
			s.Errorf("%s is loyal and got no mail", email)
		}
	}
	return codes
}

func read(s *shop, got testkit.APIAnswer, out any) {
	if err := json.Unmarshal(got.Body, out); err != nil {
		s.Errorf("read %s: %v", got.Body, err)
	}
}

// eachOf walks a list of the API.
func eachOf[T any](s *shop, path string, do func(T)) {
	s.Helper()
	for cursor := ""; ; {
		var page struct {
			Items []T
			Next  string
		}
		s.api.Must(s, "GET", path+"?limit=200&cursor="+url.QueryEscape(cursor), nil, &page)
		for _, item := range page.Items {
			do(item)
		}
		if page.Next == "" {
			return
		}
		cursor = page.Next
	}
}
