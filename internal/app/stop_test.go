package app

import (
	"net/http"
	"testing"
	"time"
)

// A page that is looked at live does not hold the stop up.
func TestALivePageDoesNotHoldTheStopUp(t *testing.T) {
	a := startApp(t)
	res, err := http.Get("http://" + a.Addr() + "/mailbox/live")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the live page answers %d", res.StatusCode)
	}
	began := time.Now()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > webTime-time.Second {
		t.Errorf("the stop took %s", took)
	}
}
