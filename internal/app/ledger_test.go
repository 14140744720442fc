package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"assent/internal/testkit"
)

// TestARestoreBeginsANewLog restores last night's backup beside a data folder
// that knows what was taken back since: all of it from outside, with the
// program's own commands.
func TestARestoreBeginsANewLog(t *testing.T) {
	pg := testkit.Postgres(t)
	s := testkit.NewService(t, testkit.ServiceOptions{Database: pg, Redis: testkit.Redis(t), SMTP: testkit.SMTP(t).URL})
	api := testkit.API{Base: s.Base, Key: s.Key(t)}
	api.Must(t, "POST", "/brands", map[string]any{"slug": "shop", "name": "Shop", "postal_address": "1 Hill\nTown", "sender_email": "post@shop.example",
		"language": "en", "time_zone": "Europe/Berlin"}, nil)
	api.Brand = "shop"
	api.Must(t, "POST", "/topics", map[string]any{"slug": "news", "texts": map[string]any{"en": map[string]any{"name": "News", "wording": "Yes."}}}, nil)
	var ana, ben struct{ ID string }
	for email, who := range map[string]*struct{ ID string }{"ana@example.org": &ana, "ben@example.org": &ben} {
		api.Must(t, "POST", "/subscribers", map[string]any{"email": email}, who)
		api.Must(t, "POST", "/subscribers/"+who.ID+"/consents", map[string]any{"topic": "news", "basis": "operator", "wording": "Yes.", "evidence": map[string]any{"card": "7"}}, nil)
	}
	shows(t, s, 2)
	backup := filepath.Join(t.TempDir(), "backup")
	if out, err := s.Run("", "backup", backup); err != nil {
		t.Fatal(out, err)
	}
	api.Must(t, "POST", "/subscribers/"+ana.ID+"/consents/withdraw", map[string]any{"topics": []string{"news"}}, nil)
	shows(t, s, 3)
	before := logText(t, s, "checkpoint")

	s.Stop()
	empty := testkit.Postgres(t)
	s.Set("ASSENT_DATABASE_URL=" + empty)
	out, err := s.Run("", "restore", backup)
	if err != nil || !strings.Contains(out, "entered it again: 1 withdrawals,") {
		t.Fatalf("%s %v", out, err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	shows(t, s, 4) // its own first entry, the two, and the withdrawal
	after := logText(t, s, "checkpoint")
	if strings.Split(after, "\n")[0] == strings.Split(before, "\n")[0] {
		t.Errorf("the log goes on under its old name: %s", after)
	}
	if first := logText(t, s, "tile/entries/000.p/1"); !strings.Contains(first, "urn:assent:log-begun:1") || !strings.Contains(first, strings.Split(before, "\n")[2]) {
		t.Errorf("the first entry does not say which head was known: %s", first)
	}
	for who, want := range map[string]string{ana.ID: "withdrawn", ben.ID: "given"} {
		if got := lastState(t, api, who); got != want {
			t.Errorf("%s stands at %s, want %s", who, got, want)
		}
	}
	if out, err := s.Run("", "ledger", "verify"); err != nil || !strings.Contains(out, "Everything is as it was logged.") {
		t.Errorf("%s %v", out, err)
	}
	if out, err := s.Run("", "restore", "--resume"); err != nil {
		t.Errorf("%s %v", out, err)
	}
}

func lastState(t *testing.T, api testkit.API, id string) string {
	t.Helper()
	var got struct{ Items []struct{ State string } }
	api.Must(t, "GET", "/subscribers/"+id+"/consents", nil, &got)
	if len(got.Items) == 0 {
		return ""
	}
	return got.Items[len(got.Items)-1].State
}

// shows waits until the log shows so many entries.
func shows(t *testing.T, s *testkit.Service, size int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		text := logText(t, s, "checkpoint")
		lines := strings.Split(text, "\n")
		if n, _ := json.Marshal(size); len(lines) > 1 && lines[1] == string(n) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the log shows %q, want %d entries", text, size)
		}
	}
}

func logText(t *testing.T, s *testkit.Service, path string) string {
	t.Helper()
	res, err := http.Get(s.Base + "/log/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
