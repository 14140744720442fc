// Package config reads the settings of the service: a YAML file, overridden by
// the environment, checked as a whole before anything starts.
//
// A setting has one name in two spellings: database_url in the file,
// ASSENT_DATABASE_URL in the environment. Empty means not set. The first wrong
// or missing one ends the reading with an *Error of one line that names it and
// says the fix; no error and no printed Settings holds a secret.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
)

const prefix = "ASSENT_"

// Settings is everything an operator decides. The zero value is of no use;
// Load makes a whole one.
type Settings struct {
	DatabaseURL    string         // sqlite:PATH or postgres://…
	RedisURL       string         // embedded, or a URL asynq and go-redis read
	SMTPURLs       []string       // as given; SMTP is the same, read
	SMTP           []SMTP         // a pool, in order of preference
	Listen         string         // host:port of HTTP
	PublicURL      *url.URL       // http or https, without query and without a slash at the end
	DataDir        string         // journal, catch-all mailbox, and by default database and secret
	Secrets        [][]byte       // ring of keys, newest first, each ≥ 32 bytes
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	Log            string         // text or json
	WorkerListen   string         // where a process without pages answers probes; "" is nowhere
	Metrics        string         // who may read /metrics: local, direct, open or off
	SignupPerIP    int            // sign-ups a minute from one address; an IPv6 client counts by its /64
	SignupPerForm  int            // sign-ups a minute at one form

	SignupPerNetwork int    // sign-ups a minute from a /24 of IPv4 or a /48 of IPv6
	SignupPerDomain  int    // sign-ups a minute for addresses of one domain before each has to prove work; large mailbox providers get fifty times that
	SignupProof      string // when visitors prove work: "suspicion", "always" or "off"

	SignupMinFill time.Duration  // a form that comes back sooner was filled by a machine
	NodeLostAfter time.Duration  // silence after which a node's unreported claims become uncertain
	DNS           string         // host:port of a name server; empty: those of the system
	Providers     string         // a file laid over configs/providers.yaml; empty: none
	MXPort        int            // of the receivers' servers
	MXAllow       []netip.Prefix // addresses that are not public, and may be sent to nevertheless
	Witnesses     []string       // who countersign the log: an address and a public key each, as ledger.ParseWitness reads them
}

// SQLite is the file of an SQLite database; ok is false for PostgreSQL.
func (s Settings) SQLite() (path string, ok bool) {
	return strings.CutPrefix(s.DatabaseURL, sqlitePrefix)
}

// Load reads the file at path (none when path is empty) and the environment
// (entries NAME=value, as os.Environ gives them), which has the last word. With
// SQLite and no secret set it makes one in the data folder and keeps it there.
// Every error about a setting is an *Error.
func Load(path string, environ []string) (Settings, error) {
	src, err := read(path, environ)
	if err != nil {
		return Settings{}, err
	}
	var s Settings
	for _, d := range table {
		text, err := src.text(d.name)
		if err != nil {
			return Settings{}, err
		}
		if text == "" {
			text = d.standard(s)
		}
		if text == "" {
			continue
		}
		if err := d.parse(&s, text); err != nil {
			return Settings{}, src.blame(d.name, err)
		}
	}
	if len(s.Secrets) == 0 {
		if s.Secrets, err = missingSecret(s); err != nil {
			return Settings{}, err
		}
	}
	return s, nil
}

// source is the merged settings before they are understood.
type source struct {
	all  *koanf.Koanf
	file string
	env  map[string]bool // names that the environment gave
}

func read(path string, environ []string) (*source, error) {
	src := &source{all: koanf.New("."), file: path, env: map[string]bool{}}
	if path != "" {
		if err := src.readFile(path); err != nil {
			return nil, err
		}
	}
	var bad error
	provider := env.Provider(".", env.Opt{
		Prefix:      prefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(k, v string) (string, any) {
			name := strings.ToLower(strings.TrimPrefix(k, prefix))
			if !known(name) {
				// Not ours to refuse: an orchestrator may set ASSENT_PORT for a
				// service of our name. A near miss is a typing error, though.
				if near, ok := nearest(name); ok && bad == nil {
					bad = &Error{Setting: k, Problem: "is not a setting", Fix: "did you mean " + prefix + strings.ToUpper(near) + "?"}
				}
				return "", nil
			}
			if strings.TrimSpace(v) == "" {
				return "", nil
			}
			src.env[name] = true
			return name, v
		},
	})
	if err := src.all.Load(provider, nil); err != nil {
		return nil, fmt.Errorf("read settings from the environment: %w", err)
	}
	return src, bad
}

func (src *source) readFile(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return &Error{Setting: "--config", Problem: "names a file that cannot be read", Fix: "give the path of a settings file this user may read", Cause: err}
	}
	if err := src.all.Load(rawbytes.Provider(raw), yaml.Parser()); err != nil {
		return &Error{Setting: "--config", Problem: path + " is not YAML of name: value lines", Fix: "compare it with configs/assent.example.yaml", Cause: place(err)}
	}
	for _, name := range src.all.Keys() {
		if known(name) {
			continue
		}
		e := &Error{Setting: name + " in " + path, Problem: "is not a setting", Fix: "remove it, or see configs/assent.example.yaml for the names"}
		if near, ok := nearest(name); ok {
			e.Fix = "did you mean " + near + "?"
		}
		return e
	}
	return nil
}

// place keeps what the YAML reader says of lines and drops what it quotes of them.
func place(err error) error {
	said, _, _ := strings.Cut(err.Error(), "`")
	return errors.New(said)
}

// text is a setting as text; lists of the file become words.
func (src *source) text(name string) (string, error) {
	switch v := src.all.Get(name).(type) {
	case nil:
		return "", nil
	case []any:
		words := make([]string, len(v))
		for i, w := range v {
			words[i] = fmt.Sprint(w)
		}
		return strings.Join(words, " "), nil
	case map[string]any:
		return "", src.blame(name, wrong("is a group of settings", "give a single value"))
	default:
		return strings.TrimSpace(fmt.Sprint(v)), nil
	}
}

// blame names the setting as the person wrote it.
func (src *source) blame(name string, err error) error {
	e, ok := err.(*Error)
	if !ok {
		return fmt.Errorf("read setting %s: %w", name, err)
	}
	e.Setting = prefix + strings.ToUpper(name)
	if src.file != "" && !src.env[name] && src.all.Exists(name) {
		e.Setting = name + " in " + src.file
	}
	return e
}

// String shows the settings on one line, secrets and passwords left out.
func (s Settings) String() string {
	parts := make([]string, len(table))
	for i, d := range table {
		parts[i] = d.name + "=" + d.show(s)
	}
	return strings.Join(parts, " ")
}

// GoString is String, so that %#v tells no more.
func (s Settings) GoString() string { return s.String() }

// LogValue is String, so that a logger tells no more.
func (s Settings) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String, so that encoders tell no more.
func (s Settings) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
