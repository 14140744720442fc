package admin

import (
	"errors"
	"testing"
	"time"
)

// A count that took long never covers one that began after it.
func TestACountDoesNotGoBack(t *testing.T) {
	var m memo[string, int]
	slow, began, done := make(chan struct{}), make(chan struct{}), make(chan int)
	go func() {
		n, _ := m.of("x", func() (int, error) { close(began); <-slow; time.Sleep(memoQuick); return 1, nil })
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
	var m memo[string, int]
	slowly := func(n int) func() (int, error) {
		return func() (int, error) { time.Sleep(memoQuick); return n, nil }
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
