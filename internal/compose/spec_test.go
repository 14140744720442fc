package compose

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	yaml "go.yaml.in/yaml/v3"
)

// specCase is one case of the Liquid specification in ../shared/data.
type specCase struct {
	Name        string         `yaml:"name"`
	Template    string         `yaml:"template"`
	Environment map[string]any `yaml:"environment"`
	Expected    *string        `yaml:"expected"`
	Errors      map[string]any `yaml:"errors"`
	ErrorMode   any            `yaml:"error_mode"`
	Filesystem  map[string]any `yaml:"filesystem"`
	Features    []string       `yaml:"features"`
	Limits      map[string]any `yaml:"resource_limits"`
}

func specFolder(t *testing.T) string {
	dir := os.Getenv("ASSENT_TESTDATA")
	if dir == "" {
		dir = "../../../shared/data"
	}
	dir = filepath.Join(dir, "liquid-spec")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the Liquid specification is not here: %v", err)
	}
	return dir
}

// noUse are the tags that mail does not have, and why.
var noUse = map[string]string{
	"include": "mail has no files", "render": "mail has no files", "tablerow": "writes HTML of its own",
	"increment": "counters outlive the loop", "decrement": "counters outlive the loop", "ifchanged": "no use in a mail",
	"liquid": "no other way of writing the same", "echo": "the same as an output", "doc": "comment serves", "inline_comment": "comment serves",
	"#": "comment serves", "snippet": "mail has no files",
}

// outside says why a case is not for mail, "" when it is.
func outside(file string, c specCase) string {
	if len(c.Filesystem) > 0 {
		return "mail has no files"
	}
	if len(c.Limits) > 0 {
		return "mail has limits of its own"
	}
	for tag, why := range noUse {
		if strings.Contains(c.Template, "{% "+tag) || strings.Contains(c.Template, "{%- "+tag) || strings.Contains(c.Template, "{%"+tag) {
			return tag + ": " + why
		}
	}
	if file == "drops.yml" || strings.Contains(strings.Join(c.Features, " "), "ruby") {
		return "mail has maps only, no objects"
	}
	return ""
}

// TestLiquidSpecification runs what others say Liquid is. The cases in
// testdata/liquid-differs.txt come out otherwise here, each with its reason;
// one that comes out right must leave the list.
func TestLiquidSpecification(t *testing.T) {
	dir := specFolder(t)
	differs := differing(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no specification in", dir, err)
	}
	right, wrong, left := 0, 0, 0
	for _, path := range files {
		file := filepath.Base(path)
		for _, c := range readSpec(t, path) {
			if outside(file, c) != "" || c.Expected == nil {
				left++
				continue
			}
			name := file + "/" + c.Name
			got, err := renderSpec(c)
			ok := err == nil && got == *c.Expected
			_, listed := differs[name]
			switch {
			case ok && listed:
				t.Errorf("%s comes out right: take it from the list", name)
			case ok:
				right++
			case !listed:
				t.Errorf("%s\n  template %q\n  got  %q, %v\n  want %q", name, c.Template, got, err, *c.Expected)
			default:
				wrong++
			}
		}
	}
	t.Logf("liquid-spec: %d right, %d different on purpose or by the engine, %d not for mail", right, wrong, left)
	if right < 350 {
		t.Errorf("only %d cases come out right", right)
	}
}

// specDay is the clock that the specification is written for.
var specDay = time.Date(2024, 1, 1, 0, 1, 58, 0, time.UTC)

func renderSpec(c specCase) (string, error) {
	p, err := compilePart("text", c.Template, plainPart)
	if err != nil {
		return "", err
	}
	return p.render(&run{now: specDay}, fence(c.Environment))
}

func readSpec(t *testing.T, path string) []specCase {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Specs []yaml.Node `yaml:"specs"`
	}
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		var list []yaml.Node
		if err := yaml.Unmarshal(raw, &list); err != nil {
			t.Fatalf("read %s: %v", path, err)
		}
		doc.Specs = list
	}
	var cases []specCase
	for _, n := range doc.Specs {
		var c specCase
		if err := n.Decode(&c); err == nil && c.Name != "" {
			cases = append(cases, c)
		}
	}
	return cases
}

// differing reads the list: "file/name: reason" a line.
func differing(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open("testdata/liquid-differs.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if line := lines.Text(); line != "" && !strings.HasPrefix(line, "#") {
			name, reason, ok := strings.Cut(line, ": ")
			if !ok || reason == "" {
				t.Errorf("no reason in %q", line)
			}
			out[name] = reason
		}
	}
	return out
}
