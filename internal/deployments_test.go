package internal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.yaml.in/yaml/v3"

	"assent/internal/config"
	"assent/internal/web"
)

// What is in deployments speaks of settings, figures, ports and addresses that
// the program must have. These tests read both sides.

const deployments = "../deployments"

// deployed gives the files there that are text, by their path below deployments.
func deployed(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(deployments, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".png" || d.Name() == ".env" {
			return err
		}
		raw, err := os.ReadFile(path)
		name, _ := filepath.Rel(deployments, path)
		all[filepath.ToSlash(name)] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(`Dockerfile compose.yaml compose.env.example README.md systemd/assent.service systemd/assent-worker@.service
		caddy/Caddyfile nginx/assent.conf prometheus/rules.yaml grafana/assent.json kubernetes/web.yaml kubernetes/worker.yaml kubernetes/migrate/migrate.yaml`) {
		if all[name] == "" {
			t.Errorf("deployments/%s is missing", name)
		}
	}
	return all
}

// settingNames are those that the program has.
func settingNames(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile("../configs/assent.example.yaml") // config's tests see to it that it names all
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^(?:# )?([a-z_]+):`).FindAllStringSubmatch(string(raw), -1) {
		names = append(names, "ASSENT_"+strings.ToUpper(m[1]))
	}
	return names
}

func unknownSettings(text string, known []string) (bad []string) {
	for _, name := range regexp.MustCompile(`ASSENT_[A-Z_]*[A-Z]`).FindAllString(text, -1) {
		if !slices.Contains(known, name) {
			bad = append(bad, name)
		}
	}
	return bad
}

func TestDeployedSettingsExist(t *testing.T) {
	known := settingNames(t)
	for name, text := range deployed(t) {
		for _, bad := range unknownSettings(text, known) {
			t.Errorf("%s: %s is no setting", name, bad)
		}
	}
	if bad := unknownSettings("ASSENT_LISTEN=x ${ASSENT_PORT:-1} ASSENT_SECRET_FILE", known); !slices.Equal(bad, []string{"ASSENT_PORT", "ASSENT_SECRET_FILE"}) {
		t.Errorf("the test does not see what is wrong: %v", bad)
	}
}

// figureNames are the metrics that the source names, and those of the library.
func figureNames(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{"up": true}
	named := regexp.MustCompile(`(?:Name:\s*|NewDesc\()"(assent_[a-z_]+)"`)
	kind := regexp.MustCompile(`HistogramOpts\{\s*Name:\s*"(assent_[a-z_]+)"`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, m := range named.FindAllStringSubmatch(string(raw), -1) {
			all[m[1]] = true
		}
		for _, m := range kind.FindAllStringSubmatch(string(raw), -1) {
			delete(all, m[1])
			all[m[1]+"_bucket"], all[m[1]+"_sum"], all[m[1]+"_count"] = true, true, true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		all[f.GetName()] = true
	}
	return all
}

// unknownFigures are the metrics an expression asks for that nobody has.
func unknownFigures(expr string, known map[string]bool) (bad []string) {
	for _, name := range regexp.MustCompile(`\b(?:up|(?:assent|go|process|node|kube[a-z]*|probe)_[a-z0-9_]+)\b`).FindAllString(expr, -1) {
		if !known[name] {
			bad = append(bad, name)
		}
	}
	return bad
}

func TestDeployedFiguresExist(t *testing.T) {
	known, used := figureNames(t), map[string]bool{}
	check := func(where, expr string) {
		t.Helper()
		for _, bad := range unknownFigures(expr, known) {
			t.Errorf("%s asks for %s, which nobody has", where, bad)
		}
		for name := range known {
			if strings.Contains(expr, name) {
				used[name] = true
			}
		}
	}
	files := deployed(t)
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(files["prometheus/rules.yaml"]), &rules); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			n++
			check(r.Alert, r.Expr)
			if r.Annotations["summary"] == "" || r.Annotations["runbook"] == "" || r.Labels["severity"] != "page" && r.Labels["severity"] != "warn" {
				t.Errorf("%s does not say what it is, what to do, or how urgent it is", r.Alert)
			}
			if !strings.Contains(r.Expr, `job="assent"`) {
				t.Errorf("%s looks at everybody’s figures", r.Alert)
			}
		}
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(files["grafana/assent.json"]), &board); err != nil {
		t.Fatal(err)
	}
	m := 0
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			m++
			check("board: "+p.Title, target.Expr)
		}
	}
	if n < 10 || m < 20 {
		t.Errorf("only %d rules and %d expressions of the board were found", n, m)
	}
	for name := range known {
		if strings.HasPrefix(name, "assent_") && !used[name] {
			t.Errorf("%s is neither in the alerts nor on the board", name)
		}
	}
	if bad := unknownFigures(`up{job="a"} + assent_mail_dues{x="1"} / node_load1`, known); len(bad) != 2 {
		t.Errorf("the test does not see what is wrong: %v", bad)
	}
}

// documents are the YAML documents of a file; a name that stands twice in a
// mapping is a fault.
func documents(text string) (all []map[string]any, err error) {
	for d := yaml.NewDecoder(strings.NewReader(text)); ; {
		var doc map[string]any
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, doc)
	}
}

// at goes down a document by keys and, where there is a list, by its first entry.
func at(v any, path ...string) any {
	for _, key := range path {
		if list, ok := v.([]any); ok && len(list) > 0 {
			v = list[0]
		}
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func TestDeployedYAMLParses(t *testing.T) {
	for name, text := range deployed(t) {
		if filepath.Ext(name) != ".yaml" {
			continue
		}
		if docs, err := documents(text); err != nil || len(docs) == 0 {
			t.Errorf("%s: %d documents, %v", name, len(docs), err)
		}
	}
	if _, err := documents("a: 1\na: 2"); err == nil {
		t.Error("a name that stands twice is not seen")
	}
}

// TestDeployedContainersAreLocked: wherever the program runs in a container it is
// nobody there, writes only where it must, and may nothing; a sender keeps its
// journal, and is given the time that a stop takes.
func TestDeployedContainersAreLocked(t *testing.T) {
	files := deployed(t)
	compose, err := documents(files["compose.yaml"])
	if err != nil || len(compose) != 1 {
		t.Fatal(err)
	}
	services, _ := compose[0]["services"].(map[string]any)
	volumes := map[string]string{}
	for name, s := range services {
		locked := at(s, "read_only") == true && fmt.Sprint(at(s, "cap_drop")) == "[ALL]" && fmt.Sprint(at(s, "security_opt")) == "[no-new-privileges:true]" &&
			at(s, "deploy", "resources", "limits", "memory") != nil
		if !locked {
			t.Errorf("compose: %s is not locked", name)
		}
		if !strings.HasPrefix(name, "worker") {
			continue
		}
		v := fmt.Sprint(at(s, "volumes"))
		if !strings.Contains(v, ":/var/lib/assent") || volumes[v] != "" || at(s, "stop_grace_period") != "30s" {
			t.Errorf("compose: %s has no folder of its own that lasts, or no time to stop: %s", name, v)
		}
		volumes[v] = name
	}
	if len(volumes) < 2 {
		t.Errorf("compose has %d workers", len(volumes))
	}
	for _, name := range []string{"kubernetes/web.yaml", "kubernetes/worker.yaml", "kubernetes/migrate/migrate.yaml"} {
		docs, err := documents(files[name])
		if err != nil {
			t.Fatal(err)
		}
		pod := at(docs[0], "spec", "template", "spec")
		box := at(pod, "containers")
		if at(pod, "securityContext", "runAsNonRoot") != true || at(pod, "securityContext", "seccompProfile", "type") != "RuntimeDefault" ||
			at(box, "securityContext", "readOnlyRootFilesystem") != true || at(box, "securityContext", "allowPrivilegeEscalation") != false ||
			fmt.Sprint(at(box, "securityContext", "capabilities", "drop")) != "[ALL]" {
			t.Errorf("%s is not restricted", name)
		}
		if seconds, _ := at(pod, "terminationGracePeriodSeconds").(int); seconds < 20 && !strings.Contains(name, "migrate") {
			t.Errorf("%s: %d seconds to stop", name, seconds)
		}
	}
	worker, _ := documents(files["kubernetes/worker.yaml"])
	if worker[0]["kind"] != "StatefulSet" || at(worker[0], "spec", "volumeClaimTemplates", "metadata", "name") != "journal" {
		t.Error("kubernetes: a sender does not find its journal again")
	}
	for _, unit := range []string{"systemd/assent.service", "systemd/assent-worker@.service"} {
		if !regexp.MustCompile(`(?m)^TimeoutStopSec=30s$`).MatchString(files[unit]) || regexp.MustCompile(`(?m)^ProcSubset=pid`).MatchString(files[unit]) ||
			!regexp.MustCompile(`(?m)^StateDirectory=assent`).MatchString(files[unit]) {
			t.Errorf("%s: no time to stop, no folder that lasts, or no sight of the machine’s start (/proc/sys/kernel/random/boot_id)", unit)
		}
	}
}

// TestDeployedCommandsExist: what is started takes the words it is given.
func TestDeployedCommandsExist(t *testing.T) {
	main, err := os.ReadFile("../cmd/assent/main.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	command := regexp.MustCompile(`(?m)(?:^ExecStart=/usr/local/bin/assent |\bargs: \[|^    command: \[|^  command: \[|\[CMD, /assent, |"/assent", "|^CMD \["|^#.*: /assent )([a-z]+)`)
	for name, text := range deployed(t) {
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			if m[1] == "postgres" {
				continue
			}
			found++
			if !strings.Contains(string(main), "\t"+strings.ToUpper(m[1][:1])+m[1][1:]+" ") || !strings.Contains(string(main), " "+m[1]+"Command ") {
				t.Errorf("%s: %q is no command", name, m[1])
			}
		}
	}
	if found < 11 {
		t.Errorf("only %d commands were found", found)
	}
}

// TestDeployedPortsAndLimitsAgree: proxies ask where the program listens, refuse
// the figures, pass live pages on at once, and let no more in than it takes.
func TestDeployedPortsAndLimitsAgree(t *testing.T) {
	files := deployed(t)
	nginx, caddy := files["nginx/assent.conf"], files["caddy/Caddyfile"]
	s, err := config.Load("", []string{"ASSENT_DATA_DIR=" + t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	port := strings.TrimPrefix(s.Listen, ":")
	must := func(name, pattern string) {
		t.Helper()
		if !regexp.MustCompile(pattern).MatchString(files[name]) {
			t.Errorf("%s: nothing like %s", name, pattern)
		}
	}
	must("nginx/assent.conf", `server 127\.0\.0\.1:`+port+`\b`)
	must("caddy/Caddyfile", `reverse_proxy \{\$UPSTREAM:127\.0\.0\.1:`+port+`\}`)
	must("compose.yaml", `UPSTREAM: web:`+port+`\b`)
	must("Dockerfile", `(?m)^EXPOSE `+port+` 9090$`)
	must("Dockerfile", `(?m)^USER 65532:65532$`)
	must("kubernetes/web.yaml", `containerPort: `+port+`\b`)
	must("kubernetes/worker.yaml", `containerPort: 9090\b`)
	must("kubernetes/config.yaml", `ASSENT_WORKER_LISTEN: ":9090"`)
	must("nginx/assent.conf", fmt.Sprintf(`(?m)^    client_max_body_size %dm;`, web.BodyMax>>20))
	must("caddy/Caddyfile", fmt.Sprintf(`(?s)request_body @other \{\s*max_size %dMiB`, web.BodyMax>>20))
	must("nginx/assent.conf", fmt.Sprintf(`(?s)location ~ \^/admin/b/\[\^/\]\+/settings\$ \{\s*client_max_body_size %dm;`, web.PictureMax>>20))
	must("caddy/Caddyfile", fmt.Sprintf(`(?s)request_body @logo \{\s*max_size %dMiB`, web.PictureMax>>20))
	must("nginx/assent.conf", `location = /metrics \{ return 404; \}`)
	must("caddy/Caddyfile", `(?s)@figures path /metrics /metrics/\*\s+respond @figures 404`)
	must("nginx/assent.conf", `(?s)location ~ /live\$ \{\s*proxy_buffering off;`)
	must("nginx/assent.conf", `proxy_set_header X-Forwarded-For \$remote_addr;`)
	must("compose.yaml", `ASSENT_METRICS: direct`)
	must("kubernetes/config.yaml", `ASSENT_METRICS: direct`)

	subnet := regexp.MustCompile(`subnet: ([0-9./]+)`).FindStringSubmatch(files["compose.yaml"])
	proxy := regexp.MustCompile(`ipv4_address: ([0-9.]+)`).FindStringSubmatch(files["compose.yaml"])
	trusted := regexp.MustCompile(`ASSENT_TRUSTED_PROXIES: ([0-9.]+)\n`).FindStringSubmatch(files["compose.yaml"])
	if subnet == nil || proxy == nil || trusted == nil || proxy[1] != trusted[1] || !netip.MustParsePrefix(subnet[1]).Contains(netip.MustParseAddr(proxy[1])) {
		t.Errorf("compose: %v is trusted, and Caddy is %v in %v", trusted, proxy, subnet)
	}

	// Live pages end in /live, addresses that are keys begin with one letter.
	live, rooms := regexp.MustCompile(`"(/[a-z:/]*/?live)"`), map[string]bool{}
	streams := 0
	err = filepath.WalkDir("web", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		streams += len(live.FindAll(raw, -1))
		for _, m := range regexp.MustCompile(`"/([a-z])/:`).FindAllStringSubmatch(string(raw), -1) {
			rooms[m[1]] = true
		}
		return err
	})
	if err != nil || streams < 3 || len(rooms) < 8 {
		t.Fatalf("%d live pages, rooms %v, %v", streams, rooms, err)
	}
	for _, room := range slices.Sorted(maps.Keys(rooms)) {
		for name, text := range map[string]string{"nginx": nginx, "caddy": caddy} {
			if class := regexp.MustCompile(`\^/\((?:\?<[a-z_]+>)?\[([a-z]+)\]\)/`).FindStringSubmatch(text); class == nil || !strings.Contains(class[1], room) {
				t.Errorf("%s logs what comes after /%s/, which is a key", name, room)
			}
		}
	}
}

// TestTheImageHasTheRightGo: that of go.mod.
func TestTheImageHasTheRightGo(t *testing.T) {
	mod := exec.Command("go", "mod", "edit", "-json")
	mod.Dir = ".."
	out, err := mod.Output()
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Go string }
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	minor := m.Go[:strings.LastIndexByte(m.Go, '.')+1]
	if from := regexp.MustCompile(`(?m)^FROM golang:(\S+) AS build$`).FindStringSubmatch(deployed(t)["Dockerfile"]); from == nil || !strings.HasPrefix(from[1], minor) {
		t.Errorf("the image is built with %v, and go.mod asks for %s", from, m.Go)
	}
}
