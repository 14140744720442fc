package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReadyAsksTheProcessThatServes(t *testing.T) {
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("it asks %s", r.URL)
		}
		w.WriteHeader(status)
	}))
	defer s.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	t.Setenv("ASSENT_DATA_DIR", t.TempDir())
	t.Setenv("ASSENT_LISTEN", ":"+port)
	ready := func(r readyCommand, says string) {
		t.Helper()
		err := r.Run(t.Context(), &cli{})
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	ready(readyCommand{}, "")
	ready(readyCommand{Worker: true}, "ASSENT_WORKER_LISTEN")
	t.Setenv("ASSENT_WORKER_LISTEN", "127.0.0.1:"+port)
	ready(readyCommand{Worker: true}, "")
	status = http.StatusServiceUnavailable
	ready(readyCommand{}, "503")
	s.Close()
	ready(readyCommand{}, "does not answer")
}
