package admin

import (
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
