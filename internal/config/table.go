package config

import (
	"fmt"
	"maps"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const sqlitePrefix = "sqlite:"

// setting is one row of the table: its name, its value when nobody gives one,
// how it is read, and how it is shown.
type setting struct {
	name     string
	standard func(Settings) string // may look at the rows above
	parse    func(*Settings, string) error
	show     func(Settings) string
}

// table is every setting, in the order in which they are read.
var table = []setting{
	{"data_dir", always("./data"), parseDataDir, func(s Settings) string { return s.DataDir }},
	{"database_url", func(s Settings) string { return sqlitePrefix + filepath.Join(s.DataDir, "assent.db") }, parseDatabase,
		func(s Settings) string { return redact(s.DatabaseURL) }},
	{"redis_url", always("embedded"), parseRedis, func(s Settings) string { return redact(s.RedisURL) }},
	{"smtp_url", always("catcher"), parseSMTPs, showSMTPs},
	{"listen", always(":8080"), parseListen, func(s Settings) string { return s.Listen }},
	{"worker_listen", always(""), parseWorkerListen, func(s Settings) string { return s.WorkerListen }},
	{"public_url", ownAddress, parsePublic, func(s Settings) string { return s.PublicURL.String() }},
	{"secret", always(""), parseSecret, func(s Settings) string { return fmt.Sprintf("(%d keys)", len(s.Secrets)) }},
	{"trusted_proxies", always(""), parseProxies, func(s Settings) string { return fmt.Sprint(s.TrustedProxies) }},
	{"log", always("text"), oneOf(func(s *Settings) *string { return &s.Log }, "text", "json"), func(s Settings) string { return s.Log }},
	{"metrics", always("local"), oneOf(func(s *Settings) *string { return &s.Metrics }, "local", "direct", "open", "off"),
		func(s Settings) string { return s.Metrics }},
	count("signup_per_ip", "10", func(s *Settings) *int { return &s.SignupPerIP }),
	count("signup_per_form", "600", func(s *Settings) *int { return &s.SignupPerForm }),
	count("signup_per_network", "60", func(s *Settings) *int { return &s.SignupPerNetwork }),
	count("signup_per_domain", "30", func(s *Settings) *int { return &s.SignupPerDomain }),
	{"signup_proof", always("suspicion"), oneOf(func(s *Settings) *string { return &s.SignupProof }, "suspicion", "always", "off"),
		func(s Settings) string { return s.SignupProof }},
	duration("signup_min_fill", "2s", 0, time.Hour, func(s *Settings) *time.Duration { return &s.SignupMinFill }),
	duration("node_lost_after", "24h", time.Minute, 365*24*time.Hour, func(s *Settings) *time.Duration { return &s.NodeLostAfter }),
	{"dns", always(""), parseDNS, func(s Settings) string { return s.DNS }},
	{"providers", always(""), parseProviders, func(s Settings) string { return s.Providers }},
	{"mx_port", always("25"), parseMXPort, func(s Settings) string { return strconv.Itoa(s.MXPort) }},
	{"mx_allow", always(""), parseMXAllow, func(s Settings) string { return fmt.Sprint(s.MXAllow) }},
	{"witnesses", always(""), parseWitnesses, func(s Settings) string { return strings.Join(s.Witnesses, " ") }},
}

func always(text string) func(Settings) string { return func(Settings) string { return text } }

func parseDataDir(s *Settings, text string) error {
	s.DataDir = text
	return nil
}

func parseDatabase(s *Settings, text string) error {
	fix := "give sqlite:PATH or postgres://user:password@host:5432/name"
	if path, ok := strings.CutPrefix(text, sqlitePrefix); ok {
		if path == "" || strings.HasPrefix(path, ":memory:") || strings.ContainsAny(path, "?#") {
			return wrong("has no file after sqlite:", "give the path of a file, such as sqlite:./data/assent.db")
		}
		s.DatabaseURL = text
		return nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return wrong("is not a URL", fix+", special characters of the password as %XX")
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return wrong("is neither SQLite nor PostgreSQL", fix)
	}
	if u.Host == "" && u.Query().Get("host") == "" {
		return wrong("names no PostgreSQL host", fix)
	}
	s.DatabaseURL = text
	return nil
}

func parseRedis(s *Settings, text string) error {
	fix := "give embedded, redis://host:6379/0, rediss://…, redis-socket:///path?db=0, redis-sentinel://host1:26379,host2:26379?master=name or redis-cluster://host1:6379,host2:6379"
	if text == "embedded" {
		s.RedisURL = text
		return nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return wrong("is not a URL", fix+", special characters of the password as %XX")
	}
	switch u.Scheme {
	case "redis", "rediss", "redis-cluster":
		if u.Host == "" {
			return wrong("names no Redis host", fix)
		}
	case "redis-sentinel":
		if u.Host == "" || u.Query().Get("master") == "" {
			return wrong("names no sentinel or no master", fix)
		}
	case "redis-socket":
		if u.Host != "" || u.Path == "" {
			return wrong("names no socket", fix)
		}
	default:
		return wrong("is no kind of Redis", fix)
	}
	s.RedisURL = text
	return nil
}

func parseListen(s *Settings, text string) error {
	s.Listen = text
	return listenable(text)
}

func parseWorkerListen(s *Settings, text string) error {
	s.WorkerListen = text
	if text == "" {
		return nil
	}
	return listenable(text)
}

func listenable(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return wrong(fmt.Sprintf("is %q, which is no address", text), "give host:port, such as :8080 or 127.0.0.1:8080")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return wrong(fmt.Sprintf("has the port %q", port), "give a port from 0 to 65535")
	}
	return nil
}

func parseDNS(s *Settings, text string) error {
	fix := "give the address and port of a name server, such as 127.0.0.1:53, or leave it out"
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return wrong(fmt.Sprintf("is %q, which is no address with a port", text), fix)
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return wrong(fmt.Sprintf("has %q, which is no address", host), fix)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return wrong(fmt.Sprintf("has the port %q", port), "give a port from 1 to 65535")
	}
	s.DNS = text
	return nil
}

// ownAddress is where a browser on this machine finds what Listen serves.
func ownAddress(s Settings) string {
	host, port, _ := net.SplitHostPort(s.Listen)
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func parsePublic(s *Settings, text string) error {
	fix := "give the address people reach, such as https://mail.example.org"
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return wrong(fmt.Sprintf("is %q, which is no web address", text), fix)
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return wrong("has a user, a query or a fragment", fix)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	s.PublicURL = u
	return nil
}

func parseProxies(s *Settings, text string) (err error) {
	s.TrustedProxies, err = networks(text, nil)
	return err
}

// networks reads addresses, networks, and words that stand for some.
func networks(text string, named map[string][]netip.Prefix) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, word := range words(text) {
		if some, ok := named[word]; ok {
			all = append(all, some...)
			continue
		}
		p, err := netip.ParsePrefix(word)
		if a, e := netip.ParseAddr(word); err != nil && e == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			fix := strings.Join(append(slices.Sorted(maps.Keys(named)), "addresses", "or networks"), ", ")
			return nil, wrong(fmt.Sprintf("has %q, which is no network", word), "give "+strings.Replace(fix, ", or", " or", 1)+", such as 10.0.0.0/8 or 127.0.0.1")
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// parseProviders takes the path; package provider reads the file.
func parseProviders(s *Settings, text string) error {
	if _, err := os.Stat(text); err != nil {
		e := wrong("names a file that cannot be read", "give the path of a file like configs/providers.yaml, or leave it out")
		e.Cause = err
		return e
	}
	s.Providers = text
	return nil
}

func parseMXPort(s *Settings, text string) error {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return wrong(fmt.Sprintf("is %q", text), "give a port from 1 to 65535; receivers listen at 25")
	}
	s.MXPort = int(n)
	return nil
}

// notPublic are the addresses that a word of mx_allow stands for (RFC 1122
// §3.2.1.3, RFC 4291 §2.5.3, RFC 1918, RFC 6598, RFC 4193).
var notPublic = map[string][]netip.Prefix{
	"loopback": {netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	"private": {netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fc00::/7")},
}

func parseMXAllow(s *Settings, text string) (err error) {
	s.MXAllow, err = networks(text, notPublic)
	return err
}

// words splits at white space and commas.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
}

func oneOf(field func(*Settings) *string, choices ...string) func(*Settings, string) error {
	return func(s *Settings, text string) error {
		if !slices.Contains(choices, text) {
			return wrong(fmt.Sprintf("is %q", text), "give one of "+strings.Join(choices, ", "))
		}
		*field(s) = text
		return nil
	}
}

// count is a whole number of things, at least one.
func count(name, standard string, field func(*Settings) *int) setting {
	return setting{name, always(standard), func(s *Settings, text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > math.MaxInt32 {
			return wrong(fmt.Sprintf("is %q", text), fmt.Sprintf("give a whole number from 1 to %d", math.MaxInt32))
		}
		*field(s) = n
		return nil
	}, func(s Settings) string { return strconv.Itoa(*field(&s)) }}
}

func duration(name, standard string, least, most time.Duration, field func(*Settings) *time.Duration) setting {
	return setting{name, always(standard), func(s *Settings, text string) error {
		d, err := time.ParseDuration(text)
		if err != nil || d < least || d > most {
			return wrong(fmt.Sprintf("is %q", text), fmt.Sprintf("give a time with its unit, such as %s, from %s to %s", standard, least, most))
		}
		*field(s) = d
		return nil
	}, func(s Settings) string { return field(&s).String() }}
}

// redact is a URL without its password, wherever it stands.
func redact(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil {
		return "(unreadable)"
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(strings.ToLower(name), "pass") {
			q.Set(name, "xxxxx")
		}
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}

// parseWitnesses takes pairs of an address and a key; package ledger reads them.
func parseWitnesses(s *Settings, text string) error {
	s.Witnesses = nil
	words := strings.Fields(text)
	if len(words)%2 != 0 {
		return wrong("is not pairs of an address and a public key", "give https://witness.example name+hash+key, one after the other")
	}
	for pair := range slices.Chunk(words, 2) {
		s.Witnesses = append(s.Witnesses, strings.Join(pair, " "))
	}
	return nil
}
