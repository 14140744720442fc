package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assent/internal/testkit"
)

func TestAbsentIsTestkits(t *testing.T) {
	if absent != testkit.Absent {
		t.Errorf("%q here, %q in testkit", absent, testkit.Absent)
	}
}

// module writes a module of one package with a test file, and runs the report on it.
func module(t *testing.T, test string) (ok bool, out string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module m\n\ngo 1.26\n", "m_test.go": "package m\n\nimport \"testing\"\n\n" + test} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOWORK", "off")
	var b bytes.Buffer
	ok, err := follow([]string{"go", "-C", dir, "test", "-json", "./..."}, &b)
	if err != nil {
		t.Fatal(err)
	}
	return ok, b.String()
}

func TestReport(t *testing.T) {
	both := `func each(t *testing.T, f func(*testing.T)) { t.Run("sqlite", f); t.Run("postgres", f) }
`
	for name, c := range map[string]struct {
		test string
		ok   bool
		says []string
	}{
		"all well": {both + `func TestA(t *testing.T) { each(t, func(*testing.T) {}); each(t, func(t *testing.T) { t.Run("deep", func(*testing.T) {}) }) }
			func TestB(*testing.T) {}
			func TestC(t *testing.T) { t.Skip("../shared is absent: x") }`, true,
			[]string{"on SQLite: 2 passed, 0 failed", "on PostgreSQL: 2 passed, 0 failed", "on both at once: 1 passed, 0 failed, 1 skipped", "\n5 passed, 0 failed, 1 skipped\n"}},
		"a failure": {both + `func TestA(t *testing.T) { each(t, func(t *testing.T) { if t.Name() == "TestA/postgres" { t.Error("said so") } }) }`, false,
			[]string{"--- FAIL: m TestA/postgres", "said so", "on PostgreSQL: 0 passed, 1 failed", "\n1 passed, 1 failed, 0 skipped\n"}},
		"a failure above those that pass": {both + `func TestA(t *testing.T) { each(t, func(*testing.T) {}); t.Error("said so") }`, false,
			[]string{"--- FAIL: m TestA", "said so", "on both at once: 0 passed, 1 failed", "\n2 passed, 1 failed, 0 skipped\n"}},
		"a skip without leave": {`func TestA(*testing.T) {}; func TestB(t *testing.T) { t.Skip("no time") }`, false,
			[]string{"SKIPPED WITHOUT LEAVE: m TestB", "no time", "\n1 passed, 0 failed, 1 skipped\n"}},
		"a panic": {`func TestA(*testing.T) { panic("oh dear") }`, false, []string{"oh dear", "0 passed, 1 failed"}},
		"an exit": {`import "os"
			func TestA(*testing.T) { os.Exit(3) }`, false, []string{"failed"}},
		"no test":        {``, false, []string{"\n0 passed, "}},
		"does not build": {`func TestA(*testing.T) { undefined() }`, false, []string{"undefined: undefined", "\n0 passed, 1 failed, 0 skipped\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			ok, out := module(t, c.test)
			if ok != c.ok {
				t.Errorf("all well: %t, want %t", ok, c.ok)
			}
			for _, s := range c.says {
				if !strings.Contains(out, s) {
					t.Errorf("it does not say %q:\n%s", s, out)
				}
			}
			if lines := strings.Split(strings.TrimSpace(out), "\n"); !strings.HasSuffix(lines[len(lines)-1], " skipped") {
				t.Errorf("the last line is %q", lines[len(lines)-1])
			}
		})
	}
}

func TestCommandThatFailsOnItsOwn(t *testing.T) {
	var b bytes.Buffer
	ok, err := follow([]string{"sh", "-c", `echo '{"Action":"pass","Package":"p","Test":"TestA"}'; exit 1`}, &b)
	if ok || err != nil || !strings.Contains(b.String(), "exit status 1") {
		t.Errorf("%t, %v: %s", ok, err, b.String())
	}
	if _, err := follow([]string{"/nonexistent/go"}, &b); err == nil {
		t.Error("no error for a command that is not there")
	}
}
