package provider

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"assent/configs"
)

func load(t testing.TB, text string) (*Table, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func ours(t testing.TB) *Table {
	t.Helper()
	table, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestOurTable(t *testing.T) {
	table := ours(t)
	standard := Limits{10, 100, 100, time.Minute, Opportunistic}
	if table.Default != standard {
		t.Errorf("default: %+v", table.Default)
	}
	google := Provider{"google", false, Limits{5, 50, 100, time.Minute, Required}}
	for host, want := range map[string]Provider{
		"gmail-smtp-in.l.google.com.":                 google,
		"ALT1.aspmx.l.GOOGLE.com":                     google,
		"aspmx2.googlemail.com.":                      google,
		"mta5.am0.yahoodns.net.":                      {"yahoo", false, Limits{10, 20, 100, time.Minute, Opportunistic}},
		"outlook-com.olc.protection.outlook.com":      {"outlook", false, Limits{5, 50, 100, time.Minute, Opportunistic}},
		"example-org.mail.protection.outlook.com":     {"microsoft365", false, Limits{5, 50, 100, time.Minute, Opportunistic}},
		"example-org.p-v1.mx.microsoft":               {"microsoft365-dane", false, Limits{5, 50, 100, time.Minute, Opportunistic}},
		"mx01.mail.icloud.com":                        {"icloud", false, Limits{10, 5, 100, time.Minute, Opportunistic}},
		"mx1h1.comcast.net":                           {"comcast", false, Limits{25, 1000, 100, 30 * time.Second, Required}},
		"eu-smtp-inbound-1.mimecast.com":              {"mimecast", true, Limits{10, 100, 100, time.Minute, Opportunistic}},
		"smtp-in.orange.fr":                           {"orange", false, Limits{2, 100, 100, time.Minute, Required}},
		"mx-ha02.web.de":                              {"gmx", false, Limits{4, 20, 100, time.Minute, Required}},
		"mx1.mail.yahoo.co.jp":                        {"yahoo-japan", false, Limits{2, 20, 10, time.Minute, Opportunistic}},
		"mx.example.org":                              {"", false, standard},
		"google.com.example.org":                      {"", false, standard},
		"notgoogle.com":                               {"", false, standard}, // whole labels only
		"olc.protection.outlook.com.attacker.example": {"", false, standard},
		"": {"", false, standard},
	} {
		got, ok := table.Of(host)
		if got != want || ok != (want.Group != "") {
			t.Errorf("%s: %+v, %v", host, got, ok)
		}
	}
}

func TestRefusalsAndThePace(t *testing.T) {
	table := ours(t)
	for _, c := range []struct {
		group string
		code  int
		text  string
		want  Rule
	}{
		{"yahoo", 421, "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1", Rule{Group: "yahoo", Effect: Pause, Times: 1, For: 2 * time.Hour}},
		{"yahoo", 421, "4.7.0 [TS04] Messages temporarily deferred", Rule{Group: "yahoo", Effect: Pause, Times: 1, For: 2 * time.Hour}},
		{"yahoo", 421, "4.7.0 [TSS05] deferred", Rule{Group: "yahoo", Effect: Pause, Times: 1, For: 4 * time.Hour}},
		{"yahoo", 421, "4.7.0 [TS02] unusual traffic", Rule{Group: "yahoo", Effect: Slow, Times: 1, PerMinute: 1, For: 30 * time.Minute}},
		{"", 421, "4.7.0 [TS02] unusual traffic", Rule{Effect: Halve, Times: 1}}, // Yahoo's words elsewhere
		{"outlook", 451, "4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.", Rule{Effect: Slow, Times: 1, PerMinute: 1, For: 90 * time.Minute}},
		{"google", 421, "4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your DKIM domain [example.org 36].", Rule{Group: "google", Effect: Slow, Sender: true, Times: 2, PerMinute: 10, For: 30 * time.Minute}},
		{"google", 421, "4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address.", Rule{Group: "google", Effect: Slow, Times: 2, PerMinute: 10, For: 30 * time.Minute}},
		{"", 421, "4.3.2 System not accepting messages", Rule{Effect: Halve, Times: 1}},
		{"", 421, "closing", Rule{Effect: Halve, Times: 1}},
		{"", 451, "4.7.1 policy", Rule{Effect: Halve, Times: 1}},
		{"", 450, "4.7.1 Greylisted, see http://postgrey.example", Rule{Effect: Ignore, Times: 1}},
		{"", 451, "4.7.1 Greylisting in action, please come back later", Rule{Effect: Ignore, Times: 1}},
		{"", 421, "4.7.0 Too many messages in this connection", Rule{Effect: Ignore, Times: 1}},
		{"yahoo", 421, "Max message per connection reached, closing transmission channel", Rule{Effect: Ignore, Times: 1}},
		{"", 421, "4.4.2 mx.example.org Error: timeout exceeded", Rule{Effect: Ignore, Times: 1}},
		{"", 452, "4.2.2 mailbox full", Rule{Effect: Ignore}},
		{"", 550, "5.7.1 spam", Rule{Effect: Ignore}},
		{"", 450, "4.2.1 mailbox busy, code 421 4.7.0", Rule{Effect: Ignore}}, // not at the beginning
	} {
		got := table.Judge(c.group, c.code, c.text)
		got.fits = nil
		if got != c.want {
			t.Errorf("%s %d %s:\n got  %+v\n want %+v", c.group, c.code, c.text, got, c.want)
		}
	}
}

func TestAnOwnFileIsLaidOver(t *testing.T) {
	table, err := load(t, `
default: {messages_per_second: 20, idle: 10s}
providers:
  - mx: [.Google.com]           # ours: the whole group changes
    messages_per_second: 50
  - group: own
    mx: [mx.example.org, googlemail.com]   # taken out of google, with what held there
    connections: 2
  - group: yahoo
    messages_per_connection: 5
  - mx: [alone.example, icloud.com]   # no group named: each keeps its own
    tls: required
    messages_per_second: 0
replies:
  - fits: greylist
    group: own
    pause: 1m
  - {fits: '^451', messages_per_minute: 0.5, for: 1h, times: 3, concerns: sender}
warm_up: {idle: 24h, per_hour: [10, 20]}
`)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]Provider{
		"aspmx.l.google.com":    {"google", false, Limits{5, 50, 50, 10 * time.Second, Required}},
		"aspmx2.googlemail.com": {"own", false, Limits{2, 50, 50, 10 * time.Second, Required}},
		"mx.example.org":        {"own", false, Limits{2, 50, 50, 10 * time.Second, Required}},
		"mta5.am0.yahoodns.net": {"yahoo", false, Limits{10, 5, 20, 10 * time.Second, Opportunistic}},
		"mx1.comcast.net":       {"comcast", false, Limits{25, 1000, 20, 30 * time.Second, Required}},
		"a.alone.example":       {"alone.example", false, Limits{10, 100, 0, 10 * time.Second, Required}},
		"mx01.mail.icloud.com":  {"icloud", false, Limits{10, 5, 0, 10 * time.Second, Required}},
		"elsewhere.example":     {"", false, Limits{10, 100, 20, 10 * time.Second, Opportunistic}},
	} {
		if got, _ := table.Of(host); got != want {
			t.Errorf("%s:\n got  %+v\n want %+v", host, got, want)
		}
	}
	if r := table.Judge("own", 450, "greylisted"); r.Effect != Pause || r.For != time.Minute {
		t.Errorf("own rule: %+v", r)
	}
	if r := table.Judge("google", 450, "greylisted"); r.Effect != Ignore {
		t.Errorf("the own group's rule holds elsewhere: %+v", r)
	}
	if r := table.Judge("", 451, "4.7.1 x"); r.Effect != Slow || r.PerMinute != 0.5 || r.Times != 3 || !r.Sender {
		t.Errorf("an own rule does not come before ours: %+v", r)
	}
	if r := table.Judge("", 421, "bye"); r.Effect != Halve {
		t.Errorf("our rules are gone: %+v", r)
	}
	if table.WarmUp.Idle != 24*time.Hour || !slices.Equal(table.WarmUp.PerHour, []int{10, 20}) {
		t.Errorf("warm-up: %+v", table.WarmUp)
	}
	if empty, err := load(t, "# nothing yet\n"); err != nil || empty.Default != ours(t).Default {
		t.Errorf("an empty file: %v", err)
	}
}

func TestAWrongFileIsNamedOnOneLine(t *testing.T) {
	for text, parts := range map[string][]string{
		"\t":                            {"own.yaml is not YAML"},
		"[1, 2]":                        {"own.yaml:1:", "name: value"},
		"\nprovider: []":                {"own.yaml:2:", `"provider"`, "providers"},
		"default: 3":                    {":1:", "default"},
		"default: {each: true}":         {":1:", "each"},
		"default:\n  connections: many": {":2:", "connections", "many"},
		"default: {connections: 0}":     {"from 1"},
		"default: {connections: 1, connections: 2}":                      {"twice"},
		"default: {messages_per_second: -1}":                             {"messages_per_second", "from 0"},
		"default: {messages_per_second: .nan}":                           {"messages_per_second"},
		"default: {idle: 60}":                                            {"idle", "unit"},
		"default: {tls: maybe}":                                          {"tls", "maybe", "required"},
		"providers: {}":                                                  {"providers is no list"},
		"providers: [{mx: google.com}]":                                  {"mx is no list"},
		"providers: [{mx: ['no name']}]":                                 {"mx", "no name"},
		"providers: [{mx: ['*.mimecast.com']}]":                          {"mx", "*.mimecast.com"},
		"providers: [{group: gogle, connections: 3}]":                    {"gogle", "no mx"},
		"providers: [{connections: 3}]":                                  {"no mx"},
		"providers: [{mx: [a.example], each: perhaps}]":                  {"each", "perhaps"},
		"replies: [{pause: 1h}]":                                         {"fits"},
		"replies: [{fits: '(', pause: 1h}]":                              {"fits", "regular expression"},
		"replies: [{fits: a}]":                                           {"one of ignore"},
		"replies: [{fits: a, ignore: false}]":                            {"one of ignore"},
		"replies: [{fits: a, halve: true, pause: 1h}]":                   {"one of ignore"},
		"replies: [{fits: a, messages_per_minute: 1}]":                   {"belong together"},
		"replies: [{fits: a, messages_per_minute: 0, for: 1h}]":          {"messages_per_minute"},
		"replies: [{fits: a, pause: 1h, for: 1h}]":                       {"belong together"},
		"replies: [{fits: a, group: gogle, pause: 1h}]":                  {"gogle"},
		"replies: [{fits: a, concerns: me, pause: 1h}]":                  {"concerns", "sender"},
		"warm_up: {idle: 720h}":                                          {"per_hour"},
		"warm_up: {idle: 720h, per_hour: [1, two]}":                      {"per_hour", "two"},
		"default: {tls: required}\nreplies:\n  - fits: a\n    ignore: 3": {":4:", "ignore"},
	} {
		_, err := load(t, text)
		if err == nil {
			t.Errorf("%q is taken", text)
			continue
		}
		for _, part := range parts {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %v\n says nothing of %q", text, err, part)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: more than a line: %v", text, err)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml")); err == nil {
		t.Error("a file that is not there is taken")
	}
}

func TestWarmUp(t *testing.T) {
	w := ours(t).WarmUp
	began := time.Date(2026, 11, 1, 15, 0, 0, 0, time.UTC)
	for after, want := range map[time.Duration]Day{
		-time.Hour:           {1, 30, 20},
		0:                    {1, 30, 20},
		24*time.Hour - 1:     {1, 30, 20},
		24 * time.Hour:       {2, 30, 28},
		14 * 24 * time.Hour:  {15, 30, 2222},
		30*24*time.Hour - 1:  {30, 30, 345735},
		30 * 24 * time.Hour:  {},
		300 * 24 * time.Hour: {},
	} {
		if d, warm := w.At(began, began.Add(after)); d != want || warm != (want == Day{}) {
			t.Errorf("after %s: %+v, warm %v", after, d, warm)
		}
	}
	for i := 1; i < len(w.PerHour); i++ {
		if growth := float64(w.PerHour[i]) / float64(w.PerHour[i-1]); growth < 1.2 || growth > 1.6 {
			t.Errorf("day %d grows by %.2f", i, growth)
		}
	}
}

// FuzzRead sees that no file, however broken, does more than fail with one line.
func FuzzRead(f *testing.F) {
	f.Add([]byte("default: {connections: 3}\nproviders:\n- &a {mx: [x.example], tls: required}\n- *a\n"))
	f.Add([]byte("replies:\n- {fits: '^4', pause: 2h}\nwarm_up: {idle: 1h, per_hour: [1]}\n"))
	f.Add([]byte("&a [*a]"))
	f.Add([]byte("default: !!binary aaaa"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d := draft{rows: map[string]row{}, suffixes: map[string]string{}}
		if err := d.read("ours", configs.Providers); err != nil {
			t.Fatal(err)
		}
		if err := d.read("own.yaml", text); err != nil {
			if strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "own.yaml") {
				t.Errorf("%q: %q", text, err)
			}
			return
		}
		table := d.table()
		for _, l := range append(table.Groups(), Provider{Limits: table.Default}) {
			if l.Connections < 1 || l.PerConnection < 1 || !(l.PerSecond >= 0) || l.Idle < time.Second || l.TLS != Required && l.TLS != Opportunistic {
				t.Errorf("%q: %+v", text, l)
			}
		}
		table.Judge("google", 421, string(text))
	})
}
