package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAStartThatFailsSaysWhy: what was opened before is closed again, so that
// the next start finds the database free.
func TestAStartThatFailsSaysWhy(t *testing.T) {
	own := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(own, []byte("default:\n  connections: lots\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := settingsOf(t, "ASSENT_PROVIDERS="+own)
	for range 2 { // the second is not refused for the first one's lock
		a, err := Open(t.Context(), s, Options{})
		if err == nil {
			a.Close()
			t.Fatal("it starts")
		}
		if text := err.Error(); !strings.HasPrefix(text, "ASSENT_PROVIDERS: "+own+":2: ") || strings.Contains(text, "\n") {
			t.Errorf("it says %q", text)
		}
	}
}

// TestAWorkerAnswersProbes: a process without pages tells how it is, and only that.
func TestAWorkerAnswersProbes(t *testing.T) {
	s := settingsOf(t, "ASSENT_WORKER_LISTEN=127.0.0.1:0")
	a, err := Open(t.Context(), s, Options{Roles: []Role{RoleWorker}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/sign-in": 404, "/api/v1/brands": 404} {
		answer, body := get(t, a, path)
		if answer.StatusCode != want {
			t.Errorf("%s: %s", path, answer.Status)
		}
		for _, figure := range []string{"assent_mail_connections 4", "assent_mail_nodes 1", "assent_data_free_bytes "} {
			if path == "/metrics" && !strings.Contains(body, "\n"+figure) {
				t.Errorf("the figures are without %s:\n%s", figure, body)
			}
		}
	}
	quiet, err := Open(t.Context(), settingsOf(t), Options{Roles: []Role{RoleWorker}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	if err := quiet.Start(t.Context()); err != nil || quiet.Addr() != "" {
		t.Errorf("it listens at %q (%v), and nobody asked for it", quiet.Addr(), err)
	}
}
