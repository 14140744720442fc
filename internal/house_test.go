// Package internal_test holds the house's own rules: which room may import
// which, which library lives where, and what stands at the top of the checkout.
package internal_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floors places every room; a room holds the packages below it in the tree too,
// unless they have a floor of their own. Imports go to a lower floor only, so
// neighbours never import each other. Floor 0 is what all speak with: the words
// of a failure, and the files of pages and mails.
var floors = map[string]int{
	"cmd/assent":   10,
	"internal/app": 9,

	"internal/web/admin":  8,
	"internal/web/api":    8,
	"internal/web/public": 8,

	"internal/signup":   7,
	"internal/campaign": 7,
	"internal/sequence": 7,
	"internal/receipt":  7,

	"internal/delivery": 6,
	"internal/offer":    6,
	"internal/importer": 6,
	"internal/ledger":   6,
	"internal/privacy":  6,

	"internal/consent": 5,
	"internal/segment": 5,
	"internal/survey":  5,
	"internal/web":     5,

	"internal/subscriber": 4,
	"internal/tracking":   4,
	"internal/account":    4,
	"internal/alarm":      4,
	"internal/analytics":  4,
	"internal/webhook":    4,

	"internal/jobs":  3,
	"internal/brand": 3,
	"internal/event": 3,

	"internal/store":    2,
	"internal/compose":  2,
	"internal/mailauth": 2,

	"internal/link":    1,
	"internal/durable": 1,
	"internal/i18n":    1,
	"internal/config":  1,
	"internal/dns":     1,

	"internal/problem": 0,
	"templates":        0,
	"configs":          0,
}

// kept says which rooms may use a library, or a room of ours. What is named
// includes everything below it.
var kept = map[string][]string{
	"github.com/labstack/echo":            {"internal/web", "internal/app"},
	"github.com/danielgtaylor/huma":       {"internal/web", "internal/app"},
	"github.com/hibiken/asynq":            {"internal/jobs"},
	"github.com/wneessen/go-mail":         {"internal/compose", "internal/delivery"},
	"github.com/emersion/go-smtp":         {"internal/compose", "internal/delivery"},
	"github.com/yuin/goldmark":            {"internal/web/admin"},
	"github.com/knadh/koanf":              {"internal/config"},
	"golang.org/x/mod":                    {"internal/ledger"},
	"assent/internal/config":              {"internal/app", "cmd"},
	"github.com/prometheus/client_golang": {"internal/web", "internal/app", "internal/delivery", "internal/jobs"},
}

// topLevel is what may stand in the checkout's top folder.
var topLevel = strings.Fields(`cmd internal templates configs deployments go.mod go.sum README.md Makefile LICENSE
	CHANGELOG.md CONTRIBUTING.md SECURITY.md .ci .github .gitignore .gitattributes .golangci.yml .editorconfig .dockerignore`)

// local is what git leaves out of the repository, and git itself.
var local = []string{".git", "data", "bin"}

const testkit = "internal/testkit"

// goPackage is what `go list -json` tells of a package.
type goPackage struct {
	ImportPath string
	Imports    []string
}

// breaches lists what a package's imports do against the rules.
func breaches(p goPackage) []string {
	path := strings.TrimPrefix(p.ImportPath, "assent/")
	if within(path, testkit) || path == "internal" {
		return nil
	}
	room, floor, ok := roomOf(path)
	if !ok {
		return []string{path + " has no floor: give it one in internal/house_test.go"}
	}
	var found []string
	for _, imported := range p.Imports {
		for library, rooms := range kept {
			if within(imported, library) && !slices.ContainsFunc(rooms, func(r string) bool { return within(path, r) }) && !within(p.ImportPath, library) {
				found = append(found, fmt.Sprintf("%s uses %s, which is for %s", path, imported, strings.Join(rooms, ", ")))
			}
		}
		ours, is := strings.CutPrefix(imported, "assent/")
		if !is {
			continue
		}
		if within(ours, testkit) {
			found = append(found, path+" uses testkit outside of a test")
			continue
		}
		other, below, ok := roomOf(ours)
		if ok && other != room && below >= floor {
			found = append(found, fmt.Sprintf("%s (floor %d) imports %s (floor %d)", path, floor, ours, below))
		}
	}
	return found
}

// roomOf is the longest entry of floors that holds the package.
func roomOf(path string) (room string, floor int, ok bool) {
	for r, f := range floors {
		if within(path, r) && len(r) > len(room) {
			room, floor, ok = r, f, true
		}
	}
	return room, floor, ok
}

func within(path, room string) bool { return path == room || strings.HasPrefix(path, room+"/") }

func TestFloors(t *testing.T) {
	list := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "./...")
	list.Dir, list.Stderr = "..", os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; n++ {
		var p goPackage
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, b := range breaches(p) {
			t.Error(b)
		}
	}
	if n < 5 {
		t.Errorf("go list found %d packages", n)
	}
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(topLevel, e.Name()) && !slices.Contains(local, e.Name()) {
			t.Errorf("%s does not belong at the top level", e.Name())
		}
	}
}

// TestTheRulesBite holds the rules against imports that break them.
func TestTheRulesBite(t *testing.T) {
	for name, c := range map[string]struct {
		path    string
		imports []string
		says    string // empty: no breach
	}{
		"down":                     {"internal/delivery", []string{"assent/internal/store", "assent/internal/problem", "fmt"}, ""},
		"up":                       {"internal/store", []string{"assent/internal/consent"}, "(floor 2) imports internal/consent (floor 5)"},
		"sideways":                 {"internal/signup", []string{"assent/internal/campaign"}, "floor 7"},
		"within a room":            {"internal/delivery/pool", []string{"assent/internal/delivery"}, ""},
		"from a room inside":       {"internal/web/public", []string{"assent/internal/web", "assent/internal/signup"}, ""},
		"into a room inside":       {"internal/web", []string{"assent/internal/web/public"}, "floor 8"},
		"unknown room":             {"internal/helpers", nil, "has no floor"},
		"echo in a domain room":    {"internal/signup", []string{"github.com/labstack/echo/v4"}, "which is for internal/web"},
		"echo where it lives":      {"internal/web/admin", []string{"github.com/labstack/echo/v4"}, ""},
		"asynq":                    {"internal/campaign", []string{"github.com/hibiken/asynq"}, "which is for internal/jobs"},
		"go-mail":                  {"internal/signup", []string{"github.com/wneessen/go-mail/smtp"}, "which is for internal/compose"},
		"settings in a room":       {"internal/delivery", []string{"assent/internal/config"}, "which is for internal/app"},
		"settings in app":          {"internal/app", []string{"assent/internal/config"}, ""},
		"testkit in the product":   {"internal/app", []string{"assent/internal/testkit"}, "outside of a test"},
		"testkit is free":          {"internal/testkit/cmd/bench", []string{"assent/internal/app", "github.com/labstack/echo/v4"}, ""},
		"a name that begins alike": {"internal/linkage", nil, "has no floor"},
	} {
		got := strings.Join(breaches(goPackage{ImportPath: "assent/" + c.path, Imports: c.imports}), "; ")
		if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q, want %q", name, got, c.says)
		}
	}
}
