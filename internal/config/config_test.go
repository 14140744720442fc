package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	keyA    = "Kq3v8Zr1Xn5Bt7Lw0Dy2Hs4Gp6Jm9Fc-AAA"
	keyB    = "Wd5Ye2Uh8Ro1Ti4Pa7Sl3Dk6Fj9Gz0Xq_BBB"
	example = "../../configs/assent.example.yaml"
)

// in makes the environment of a test: an own data folder, and the rest as given.
func in(t *testing.T, env ...string) []string {
	t.Helper()
	return append([]string{"PATH=/bin", "ASSENT_DATA_DIR=" + t.TempDir()}, env...)
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "assent.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNothingSetRunsEmbedded(t *testing.T) {
	t.Chdir(t.TempDir())
	s, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	public := *s.PublicURL
	if len(s.Secrets) != 1 || len(s.Secrets[0]) < secretMin {
		t.Errorf("secrets: %d", len(s.Secrets))
	}
	s.Secrets, s.PublicURL = nil, nil
	want := Settings{
		DatabaseURL: "sqlite:data/assent.db", RedisURL: "embedded", SMTPURLs: []string{"catcher"},
		SMTP:   []SMTP{{Scheme: "catcher", Connections: 10, StartTLS: None, Weight: 1}},
		Listen: ":8080", DataDir: "./data", Log: "text", Metrics: "local",
		SignupPerIP: 10, SignupPerForm: 600, SignupPerNetwork: 60, SignupPerDomain: 30, SignupProof: "suspicion", SignupMinFill: 2 * time.Second, NodeLostAfter: 24 * time.Hour, MXPort: 25,
	}
	if !reflect.DeepEqual(s, want) || public.String() != "http://localhost:8080" {
		t.Errorf("got  %v %v\nwant %v", s, public, want)
	}
}

func TestEnvironmentOverridesFile(t *testing.T) {
	path := file(t, `
database_url: postgres://a:b@db/assent
smtp_url: [smtp://one.example, "smtps://me:p%40ss@two.example?connections=3"]
listen: 127.0.0.1:9000
secret:
  - `+keyA+`
  - `+keyB+`
trusted_proxies: [10.1.2.3/8, "::1"]
signup_per_ip: 5
signup_min_fill: 500ms
dns: "[::1]:5353"
`)
	s, err := Load(path, in(t, "ASSENT_SIGNUP_PER_IP=100000", "ASSENT_REDIS_URL= redis-sentinel://a:1,b:2?master=m ", "ASSENT_LOG=",
		"ASSENT_PUBLIC_URL=https://mail.example.org/news/", "ASSENT_PORT=tcp://10.0.0.1:80", "ASSENT_TESTDATA=/x"))
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{
		"database": s.DatabaseURL == "postgres://a:b@db/assent",
		"redis":    s.RedisURL == "redis-sentinel://a:1,b:2?master=m",
		"smtp 1":   s.SMTP[0] == SMTP{Scheme: "smtp", Host: "one.example", Port: 587, Connections: 10, StartTLS: Required, Weight: 1},
		"smtp 2":   s.SMTP[1] == SMTP{Scheme: "smtps", User: "me", Password: "p@ss", Host: "two.example", Port: 465, Connections: 3, StartTLS: None, Weight: 1},
		"secrets":  len(s.Secrets) == 2 && string(s.Secrets[0]) == keyA && string(s.Secrets[1]) == keyB,
		"proxies":  reflect.DeepEqual(s.TrustedProxies, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}),
		"limits":   s.SignupPerIP == 100000 && s.SignupPerForm == 600 && s.SignupMinFill == 500*time.Millisecond,
		"public":   s.PublicURL.String() == "https://mail.example.org/news",
		"log":      s.Log == "text",
		"dns":      s.DNS == "[::1]:5353",
	} {
		if !ok {
			t.Errorf("%s: %v", name, s)
		}
	}
	if _, err := os.Stat(filepath.Join(s.DataDir, secretFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a secret was made though one was given: %v", err)
	}
}

func TestWaysOut(t *testing.T) {
	for text, want := range map[string]SMTP{
		"mx://":                    {Scheme: "mx", Connections: 100, Weight: 1},
		"mx://?connections=7":      {Scheme: "mx", Connections: 7, Weight: 1},
		"mx:///?hello=[192.0.2.1]": {Scheme: "mx", Connections: 100, Weight: 1, Hello: "[192.0.2.1]"},
		"mx://?hello=out.example.org&source=192.0.2.7&warm_up_from=2026-11-30&rate=5": {Scheme: "mx", Connections: 100, Weight: 1, Hello: "out.example.org",
			Source: netip.MustParseAddr("192.0.2.7"), WarmUpFrom: time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC), PerSecond: 5},
		"smtp://relay.example?weight=3&rate=13.5&hello=out.example.org": {Scheme: "smtp", Host: "relay.example", Port: 587, Connections: 10, StartTLS: Required,
			Weight: 3, PerSecond: 13.5, Hello: "out.example.org"},
		"smtp://localhost": {Scheme: "smtp", Host: "localhost", Port: 587, Connections: 10, StartTLS: Opportunistic, Weight: 1},
	} {
		m, err := ParseSMTP(text)
		if err != nil || m != want {
			t.Errorf("%s: %#v, %v", text, m, err)
			continue
		}
		if again, err := ParseSMTP(m.String()); err != nil || again != m {
			t.Errorf("%s is shown as %s, which reads as %#v, %v", text, m, again, err)
		}
	}
}

func TestReceiversThatAreNotPublic(t *testing.T) {
	s, err := Load("", in(t, "ASSENT_MX_PORT=2525", "ASSENT_MX_ALLOW=loopback, 192.0.2.9"))
	want := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.0.2.9/32")}
	if err != nil || s.MXPort != 2525 || !reflect.DeepEqual(s.MXAllow, want) {
		t.Errorf("%d %v, %v", s.MXPort, s.MXAllow, err)
	}
}

func TestPublicURLFollowsListen(t *testing.T) {
	for listen, want := range map[string]string{
		":9000": "http://localhost:9000", "0.0.0.0:80": "http://localhost:80", "[::]:81": "http://localhost:81",
		"192.0.2.7:82": "http://192.0.2.7:82", "[::1]:83": "http://[::1]:83",
	} {
		s, err := Load("", in(t, "ASSENT_LISTEN="+listen))
		if err != nil || s.PublicURL.String() != want {
			t.Errorf("%s: %v, %v", listen, s.PublicURL, err)
		}
	}
}

func TestWrongSettingsAreNamedOnOneLine(t *testing.T) {
	const pass = "h0rse%23battery"
	for env, parts := range map[string][]string{
		"ASSENT_DATABASE_URL=mysql://u:" + pass + "@h/x":                  {"ASSENT_DATABASE_URL", "postgres://"},
		"ASSENT_DATABASE_URL=postgres://u:" + pass + "%zz@h/x":            {"ASSENT_DATABASE_URL", "%XX"},
		"ASSENT_DATABASE_URL=postgres:///x":                               {"ASSENT_DATABASE_URL", "host"},
		"ASSENT_DATABASE_URL=postgres://u:" + pass + "@h/x":               {"ASSENT_SECRET is missing", "openssl rand"},
		"ASSENT_DATABASE_URL=sqlite:":                                     {"ASSENT_DATABASE_URL", "path of a file"},
		"ASSENT_DATABASE_URL=sqlite::memory:":                             {"ASSENT_DATABASE_URL", "path of a file"},
		"ASSENT_DATABSE_URL=sqlite:x":                                     {"ASSENT_DATABSE_URL", "did you mean ASSENT_DATABASE_URL?"},
		"ASSENT_REDIS_URL=redis://":                                       {"ASSENT_REDIS_URL", "redis://host:6379/0"},
		"ASSENT_REDIS_URL=redis://:" + pass + "%zz@h":                     {"ASSENT_REDIS_URL", "%XX"},
		"ASSENT_REDIS_URL=memcache://h":                                   {"ASSENT_REDIS_URL", "embedded"},
		"ASSENT_REDIS_URL=redis-sentinel://h:1":                           {"ASSENT_REDIS_URL", "master"},
		"ASSENT_REDIS_URL=redis-socket://h":                               {"ASSENT_REDIS_URL", "socket"},
		"ASSENT_SMTP_URL=http://h":                                        {"ASSENT_SMTP_URL", "server 1", "catcher"},
		"ASSENT_SMTP_URL=smtp://h smtp://u:" + pass + "/x@h":              {"ASSENT_SMTP_URL", "server 2", "%XX"},
		"ASSENT_SMTP_URL=smtp://h catcher":                                {"ASSENT_SMTP_URL", "catcher alone"},
		"ASSENT_SMTP_URL=smtp://h:0":                                      {"ASSENT_SMTP_URL", "65535"},
		"ASSENT_SMTP_URL=smtp://u@h":                                      {"ASSENT_SMTP_URL", "password"},
		"ASSENT_SMTP_URL=smtp://h?connections=0":                          {"ASSENT_SMTP_URL", "1 to 1000"},
		"ASSENT_SMTP_URL=smtp://h?starttls=maybe":                         {"ASSENT_SMTP_URL", "opportunistic"},
		"ASSENT_SMTP_URL=smtps://h?starttls=required":                     {"ASSENT_SMTP_URL", "smtps"},
		"ASSENT_SMTP_URL=smtp://h?conections=4":                           {"ASSENT_SMTP_URL", "conections", "connections"},
		"ASSENT_SMTP_URL=smtp://u:p#" + pass + "@h":                       {"ASSENT_SMTP_URL", "%XX"},
		"ASSENT_SMTP_URL=smtp://h?weight=0":                               {"ASSENT_SMTP_URL", "weight", "1 to 1000"},
		"ASSENT_SMTP_URL=smtp://h?rate=0":                                 {"ASSENT_SMTP_URL", "rate", "a second"},
		"ASSENT_SMTP_URL=smtp://h?rate=NaN":                               {"ASSENT_SMTP_URL", "rate"},
		"ASSENT_SMTP_URL=smtp://h?hello=localhost":                        {"ASSENT_SMTP_URL", "hello", "full name"},
		"ASSENT_SMTP_URL=smtp://h?source=192.0.2.1":                       {"ASSENT_SMTP_URL", "source", "weight"},
		"ASSENT_SMTP_URL=mx://?weight=2":                                  {"ASSENT_SMTP_URL", "weight", "warm_up_from"},
		"ASSENT_SMTP_URL=mx://h":                                          {"ASSENT_SMTP_URL", "names a host", "mx://?hello"},
		"ASSENT_SMTP_URL=mx:25":                                           {"ASSENT_SMTP_URL", "names a host"},
		"ASSENT_SMTP_URL=mx:// smtp://h":                                  {"ASSENT_SMTP_URL", "mx alone"},
		"ASSENT_SMTP_URL=mx://?source=0.0.0.0":                            {"ASSENT_SMTP_URL", "source", "192.0.2.1"},
		"ASSENT_SMTP_URL=mx://?source=eth0":                               {"ASSENT_SMTP_URL", "source"},
		"ASSENT_SMTP_URL=mx://?warm_up_from=2026-11-30":                   {"ASSENT_SMTP_URL", "without source"},
		"ASSENT_SMTP_URL=mx://?source=192.0.2.1&warm_up_from=30.11.2026":  {"ASSENT_SMTP_URL", "2026-11-30"},
		"ASSENT_PROVIDERS=/nowhere/own.yaml":                              {"ASSENT_PROVIDERS", "providers.yaml"},
		"ASSENT_MX_PORT=smtp":                                             {"ASSENT_MX_PORT", "25"},
		"ASSENT_MX_ALLOW=localhost":                                       {"ASSENT_MX_ALLOW", "localhost", "loopback, private, addresses or networks"},
		"ASSENT_DNS=127.0.0.1":                                            {"ASSENT_DNS", "127.0.0.1:53"},
		"ASSENT_DNS=localhost:53":                                         {"ASSENT_DNS", "no address"},
		"ASSENT_DNS=[::1]:0":                                              {"ASSENT_DNS", "65535"},
		"ASSENT_LISTEN=8080":                                              {"ASSENT_LISTEN", ":8080"},
		"ASSENT_WORKER_LISTEN=9090":                                       {"ASSENT_WORKER_LISTEN", ":8080"},
		"ASSENT_LISTEN=:99999":                                            {"ASSENT_LISTEN", "65535"},
		"ASSENT_PUBLIC_URL=mail.example.org":                              {"ASSENT_PUBLIC_URL", "https://"},
		"ASSENT_PUBLIC_URL=https://a/?x=1":                                {"ASSENT_PUBLIC_URL", "query"},
		"ASSENT_SECRET=short":                                             {"ASSENT_SECRET", "32 characters", "openssl rand"},
		"ASSENT_SECRET=" + keyA + " " + strings.Repeat("ab", 20):          {"ASSENT_SECRET", "second", "guessed"},
		"ASSENT_SECRET=" + keyA + "," + keyA:                              {"ASSENT_SECRET", "twice"},
		"ASSENT_TRUSTED_PROXIES=10.0.0.0/8 proxy.example":                 {"ASSENT_TRUSTED_PROXIES", "proxy.example"},
		"ASSENT_LOG=xml":                                                  {"ASSENT_LOG", "text, json"},
		"ASSENT_METRICS=yes":                                              {"ASSENT_METRICS", "local, direct, open, off"},
		"ASSENT_SIGNUP_PER_IP=0":                                          {"ASSENT_SIGNUP_PER_IP", "from 1"},
		"ASSENT_SIGNUP_PER_FORM=many":                                     {"ASSENT_SIGNUP_PER_FORM", "whole number"},
		"ASSENT_SIGNUP_MIN_FILL=2":                                        {"ASSENT_SIGNUP_MIN_FILL", "unit"},
		"ASSENT_NODE_LOST_AFTER=1s":                                       {"ASSENT_NODE_LOST_AFTER", "24h"},
		"ASSENT_LISTEN=a\nb":                                              {"ASSENT_LISTEN"},
		"ASSENT_DATA_DIR=/proc/none":                                      {"ASSENT_DATA_DIR", "folder"},
		"ASSENT_SMTP_URL=smtp://relay.example/path?connections=" + pass:   {"ASSENT_SMTP_URL"},
		"ASSENT_DATABASE_URL=postgresql://h/x?user=a&password=" + "h0rse": {"ASSENT_SECRET is missing"},
	} {
		_, err := Load("", in(t, env))
		mustBeOneLine(t, env, err, parts)
		if err != nil && strings.Contains(err.Error(), "h0rse") {
			t.Errorf("%s: the error gives the password away: %v", env, err)
		}
	}
}

func mustBeOneLine(t *testing.T, what string, err error, parts []string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Fix == "" || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %#v", what, err)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %q does not say %q", what, err, p)
		}
	}
}

func TestWrongFilesAreNamedOnOneLine(t *testing.T) {
	for text, parts := range map[string][]string{
		"databse_url: sqlite:x":        {"databse_url in ", "did you mean database_url?"},
		"Listen: ':80'":                {"did you mean listen?"},
		"smtp: {url: catcher}":         {"smtp.url in ", "did you mean smtp_url?"},
		"colour: red":                  {"colour in ", "is not a setting", "example"},
		"listen: 8080":                 {"listen in ", "host:port"},
		"log: {}":                      {"log in ", "single value"},
		"listen: ':80'\n  log: x":      {"--config", "YAML"},
		"hunter2hunter2":               {"--config", "YAML"},
		"listen: ':80'\nlisten: ':81'": {"--config", "YAML", "listen"},
	} {
		_, err := Load(file(t, text), in(t))
		mustBeOneLine(t, text, err, parts)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error quotes the file: %v", err)
		}
	}
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), in(t))
	mustBeOneLine(t, "no file", err, []string{"--config"})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestSecretIsMadeOnceAndKept(t *testing.T) {
	env := in(t)
	first, err := Load("", env)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load("", env)
	if err != nil || !reflect.DeepEqual(first.Secrets, again.Secrets) {
		t.Fatalf("another secret at the second start: %v", err)
	}
	path := filepath.Join(first.DataDir, secretFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(path + "-*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	other, err := Load("", in(t))
	if err != nil || reflect.DeepEqual(first.Secrets, other.Secrets) {
		t.Errorf("two installations share a secret: %v", err)
	}

	if err := os.WriteFile(path, []byte("# mine\n"+keyB+"\n"+string(first.Secrets[0])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rotated, err := Load("", env)
	if err != nil || len(rotated.Secrets) != 2 || string(rotated.Secrets[0]) != keyB {
		t.Errorf("a key put in front: %v", err)
	}
}

func TestBadKeptSecretStopsTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		mode fs.FileMode
		says string
	}{
		"readable by others": {keyA, 0o640, "chmod 600"},
		"empty":              {"", 0o600, "backup"},
		"cut":                {keyA[:20], 0o600, "backup"},
	} {
		env := in(t)
		path := filepath.Join(strings.TrimPrefix(env[1], "ASSENT_DATA_DIR="), secretFile)
		if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := Load("", env)
		mustBeOneLine(t, name, err, []string{"ASSENT_SECRET", path, c.says})
		if kept, _ := os.ReadFile(path); string(kept) != c.text {
			t.Errorf("%s: the file was replaced", name)
		}
	}
}

func TestSettingsNeverPrintSecrets(t *testing.T) {
	s, err := Load("", in(t, "ASSENT_SECRET="+keyA, "ASSENT_DATABASE_URL=postgres://u:hidden1@h/x?sslpassword=hidden2&sslmode=require",
		"ASSENT_REDIS_URL=rediss://:hidden3@h:6379", "ASSENT_SMTP_URL=smtp://u:hidden4@h smtps://v:hidden5@i"))
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("start", "settings", s, "smtp", s.SMTP)
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v %#v %v", s, s.SMTP, s.SMTP[0]), logged.String(), string(encoded)} {
		if strings.Contains(text, "hidden") || strings.Contains(text, keyA) || strings.Contains(text, fmt.Sprint([]byte(keyA))[1:40]) {
			t.Errorf("a secret is in %s", text)
		}
	}
	for _, want := range []string{"sslmode=require", "smtp://u:xxxxx@h:587", "secret=(1 keys)", "log=text"} {
		if !strings.Contains(s.String(), want) {
			t.Errorf("%s does not say %s", s, want)
		}
	}
}

func TestExampleLoadsAndNamesEverySetting(t *testing.T) {
	raw, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range table {
		if !regexp.MustCompile(`(?m)^(# )?` + d.name + `:`).Match(raw) {
			t.Errorf("the example does not name %s", d.name)
		}
	}
	dir := in(t)
	s, err := Load(example, dir)
	if err != nil {
		t.Fatal(err)
	}
	usual, err := Load("", append(dir, "ASSENT_DATABASE_URL=sqlite:./data/assent.db"))
	if err != nil || !reflect.DeepEqual(s, usual) {
		t.Errorf("the example is not what holds without it: %v\n%v\n%v", err, s, usual)
	}
}

func TestNearest(t *testing.T) {
	for typed, want := range map[string]string{
		"smtp_urls": "smtp_url", "loging": "", "trusted_proxy": "trusted_proxies", "datadir": "data_dir", "port": "", "testdata": "",
		"signup_ip": "signup_per_ip", "signup_minfill": "signup_min_fill", "clock": "", "service_host": "", "port_8080_tcp": "",
	} {
		got, ok := nearest(typed)
		if !ok {
			got = ""
		}
		if got != want {
			t.Errorf("%s: %q, want %q", typed, got, want)
		}
	}
}

func FuzzParseSMTP(f *testing.F) {
	for _, s := range []string{"catcher", "smtp://h", "smtps://u:p%40@[::1]:465?connections=2", "smtp://h:25?starttls=none&x", "smtp://h/#a",
		"mx://?hello=a.b&source=::ffff:192.0.2.1&rate=1e-9", "smtp://h?weight=7&rate=0x1p3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseSMTP(text)
		if err != nil {
			if err.Fix == "" || err.Problem == "" {
				t.Errorf("%q: %#v", text, err)
			}
			return
		}
		if again, err := ParseSMTP(m.String()); m.Direct() && (err != nil || again != m) {
			t.Errorf("%q is shown as %s, which reads as %#v, %v", text, m, again, err)
		}
		if m.Catcher() || m.Direct() {
			return
		}
		if m.Host == "" || m.Port < 1 || m.Port > 65535 || m.Connections < 1 || m.Connections > mostConnections || (m.User == "") != (m.Password == "") {
			t.Errorf("%q accepted as %#v", text, m)
		}
	})
}
