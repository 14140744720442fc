package admin

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/offer"
)

// In tests a count is never kept, but where it is said: what is done is seen, on
// a slow machine too.
func init() { memoQuick.Store(int64(time.Hour)) }

const enough = 50 * time.Millisecond // to be kept

// kept has every count be kept that takes so long.
func kept(tb testing.TB, from time.Duration) {
	before := memoQuick.Swap(int64(from))
	tb.Cleanup(func() { memoQuick.Store(before) })
}

// A count that took long never covers one that began after it.
func TestACountDoesNotGoBack(t *testing.T) {
	kept(t, enough)
	var m memo[string, int]
	slow, began, done := make(chan struct{}), make(chan struct{}), make(chan int)
	go func() {
		n, _ := m.of("x", func() (int, error) { close(began); <-slow; time.Sleep(enough); return 1, nil })
		done <- n
	}()
	<-began
	if n, _ := m.of("x", func() (int, error) { return 2, nil }); n != 2 {
		t.Fatalf("counted 2, shown %d", n)
	}
	close(slow)
	if n := <-done; n != 2 {
		t.Errorf("who began before is shown %d", n)
	}
	if n, _ := m.of("x", func() (int, error) { return 3, nil }); n != 3 {
		t.Errorf("after 2, and 3 counted, %d is shown", n)
	}
}

// Who fails to count leaves nobody with the last count, and one of long ago is
// shown to nobody while it is counted anew.
func TestAnOldCountIsNotShown(t *testing.T) {
	kept(t, enough)
	var m memo[string, int]
	slowly := func(n int) func() (int, error) {
		return func() (int, error) { time.Sleep(enough); return n, nil }
	}
	if n, _ := m.of("x", slowly(1)); n != 1 {
		t.Fatal(n)
	}
	age := func(by time.Duration) {
		r := m.kept["x"]
		r.until = time.Now().Add(-by)
		m.kept["x"] = r
	}
	age(time.Second)
	if _, err := m.of("x", func() (int, error) { return 0, errors.New("gone") }); err == nil {
		t.Fatal("no error")
	}
	if n, _ := m.of("x", slowly(2)); n != 2 {
		t.Errorf("after a count that failed, %d is shown", n)
	}
	for by, want := range map[time.Duration]int{time.Second: 2, 2 * keepLongest: 4} {
		age(by)
		r := m.kept["x"]
		r.counting, r.value = true, 2
		m.kept["x"] = r
		if n, _ := m.of("x", func() (int, error) { return 4, nil }); n != want {
			t.Errorf("good until %s ago, and being counted: %d is shown, want %d", by, n, want)
		}
		m.kept["x"] = r
	}
}

// Whatever decides who gets a code is in the key of what was counted of an offer.
func TestAnEditedOfferIsCountedAnew(t *testing.T) {
	was := offer.Offer{ID: uuid.New(), TopicID: uuid.New(), State: offer.Paused, Budget: 10, MinOrders: 1, MinValue: 100, MinMonths: 2, Currency: "EUR", Name: "a"}
	for what, edit := range map[string]func(*offer.Offer){
		"topic":      func(o *offer.Offer) { o.TopicID = uuid.New() },
		"budget":     func(o *offer.Offer) { o.Budget++ },
		"min orders": func(o *offer.Offer) { o.MinOrders++ },
		"min value":  func(o *offer.Offer) { o.MinValue++ },
		"min months": func(o *offer.Offer) { o.MinMonths++ },
		"currency":   func(o *offer.Offer) { o.Currency = "USD" },
		"state":      func(o *offer.Offer) { o.State = offer.Draft },
		"first code": func(o *offer.Offer) { o.Issued = 1 },
	} {
		now := was
		edit(&now)
		if offerKeyOf(now) == offerKeyOf(was) {
			t.Errorf("the offer before a change of its %s is told after it", what)
		}
	}
	was.Issued = 1
	more := was
	more.Issued, more.Name = 2, "b"
	if offerKeyOf(more) != offerKeyOf(was) {
		t.Error("each code has everything counted anew")
	}
}
