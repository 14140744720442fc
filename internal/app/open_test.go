package app

import (
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
