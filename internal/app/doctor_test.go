package app

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"assent/internal/config"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/testkit"
)

const testSecret = "a-secret-of-the-tests-0123456789-abcdefghij"

// settingsOf reads settings as the program does, with a data folder of the test.
func settingsOf(t *testing.T, environ ...string) config.Settings {
	t.Helper()
	s, err := config.Load("", append([]string{"ASSENT_DATA_DIR=" + t.TempDir(), "ASSENT_SECRET=" + testSecret}, environ...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// migrate makes the schema and leaves the mark of the settings' secret.
func migrate(t *testing.T, s config.Settings) {
	t.Helper()
	db, ring, err := OpenDB(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := errors.Join(db.Migrate(t.Context()), CheckSecret(t.Context(), db, ring)); err != nil {
		t.Fatal(err)
	}
}

// restore carries one database over to another, as a backup and its restore do.
func restore(t *testing.T, from, to config.Settings) {
	t.Helper()
	var file bytes.Buffer
	for _, step := range []struct {
		s  config.Settings
		do func(db *store.DB) error
	}{
		{from, func(db *store.DB) error { _, err := db.Backup(t.Context(), &file); return err }},
		{to, func(db *store.DB) error { return db.Migrate(t.Context()) }},
		{to, func(db *store.DB) error { _, err := db.Restore(t.Context(), &file); return err }},
	} {
		db, _, err := OpenDB(t.Context(), step.s, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(step.do(db), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// expect looks for a part among the findings: whether it needs care, and what is said of it.
func expect(t *testing.T, found []Finding, part string, ill bool, says ...string) {
	t.Helper()
	for _, f := range found {
		if f.Part != part {
			continue
		}
		said := f.Say()
		if (f.Err != nil) != ill {
			t.Errorf("%s: ill is %v, want %v: %s", part, f.Err != nil, ill, said)
		}
		if strings.ContainsAny(said, "\r\n") || strings.Contains(said, testSecret) {
			t.Errorf("%s: no plain line: %q", part, said)
		}
		for _, words := range says {
			if !strings.Contains(said, words) {
				t.Errorf("%s says %q, not %q", part, said, words)
			}
		}
		return
	}
	t.Errorf("%s was not looked at: %+v", part, found)
}

func TestExamineFindsEverythingWell(t *testing.T) {
	mail := testkit.SMTP(t)
	s := settingsOf(t, "ASSENT_DATABASE_URL="+testkit.PostgresServer(t, testkit.Durable()).URL, "ASSENT_REDIS_URL="+testkit.Redis(t),
		"ASSENT_SMTP_URL="+mail.URL, "ASSENT_PUBLIC_URL=https://mail.example.org")
	migrate(t, s)
	found := Examine(t.Context(), s)
	for part, says := range map[string]string{"settings": s.DataDir, "data": "GB free", "database": "postgres answers, schema", "secret": "is the database's", "sending": "not held back", "ledger": "no log yet",
		"durability": "synchronous_commit=on", "clock": "agree within", "redis": "noeviction", "smtp": "in clear", "public url": "one-click unsubscribe is on"} {
		expect(t, found, part, false, says)
	}
	if len(found) != 11 {
		t.Errorf("%d findings: %+v", len(found), found)
	}
	if left, _ := filepath.Glob(filepath.Join(s.DataDir, ".doctor-*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
	if n := len(mail.Mails()); n != 0 {
		t.Errorf("%d mails were sent", n)
	}
}

func TestExamineOfTheEmbeddedParts(t *testing.T) {
	s := settingsOf(t)
	path, _ := s.SQLite()
	expect(t, Examine(t.Context(), s), "database", false, "the first start makes it")
	if _, err := os.Stat(path); err == nil {
		t.Fatal("looking made a database")
	}
	migrate(t, s)
	found := Examine(t.Context(), s)
	for part, says := range map[string]string{"database": "sqlite answers", "secret": "is the database's", "durability": "FULL", "clock": "agree",
		"redis": "built in", "smtp": "/mailbox", "public url": "without one-click"} {
		expect(t, found, part, false, says)
	}
	db, _, err := OpenDB(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	expect(t, Examine(t.Context(), s), "database", false, "in use")
}

func TestExamineSaysTheFix(t *testing.T) {
	for name, c := range map[string]struct {
		settings func(t *testing.T) config.Settings
		part     string
		says     []string
	}{
		"no data folder": {func(t *testing.T) config.Settings {
			s := settingsOf(t)
			s.DataDir = filepath.Join(s.DataDir, "gone")
			return s
		}, "data", []string{"make the folder", "ASSENT_DATA_DIR"}},
		"a file for a data folder": {func(t *testing.T) config.Settings {
			s := settingsOf(t)
			s.DataDir = filepath.Join(s.DataDir, "file")
			if err := os.WriteFile(s.DataDir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return s
		}, "data", []string{"let this user write there"}},
		"no database": {func(t *testing.T) config.Settings {
			return settingsOf(t, "ASSENT_DATABASE_URL=postgres://assent:hidden@127.0.0.1:1/assent")
		}, "database", []string{"ASSENT_DATABASE_URL"}},
		"an empty database": {func(t *testing.T) config.Settings {
			return settingsOf(t, "ASSENT_DATABASE_URL="+testkit.Postgres(t))
		}, "database", []string{"is empty", "assent migrate up"}},
		"a loss of power": {func(t *testing.T) config.Settings {
			return settingsOf(t, "ASSENT_DATABASE_URL="+testkit.Postgres(t))
		}, "durability", []string{"fsync=off", "set fsync = on"}},
		"another secret": {func(t *testing.T) config.Settings {
			s := settingsOf(t)
			migrate(t, s)
			s.Secrets = [][]byte{[]byte("another secret of the tests, 0123456789 abcdefghij")}
			return s
		}, "secret", []string{"ASSENT_SECRET", "same secret"}},
		"a restore that nobody ended": {func(t *testing.T) config.Settings {
			from, to := settingsOf(t), settingsOf(t)
			migrate(t, from)
			restore(t, from, to)
			return to
		}, "sending", []string{"no mail goes out", "assent restore --resume"}},
		"no Redis": {func(t *testing.T) config.Settings {
			return settingsOf(t, "ASSENT_REDIS_URL=redis://127.0.0.1:1/0")
		}, "redis", []string{"ASSENT_REDIS_URL", "none is lost"}},
		"a forgetful Redis": {func(t *testing.T) config.Settings {
			r := testkit.RedisServer(t)
			options, err := redis.ParseURL(strings.Replace(strings.Replace(r.URL, "redis-socket", "unix", 1), "?db=0", "", 1))
			if err != nil {
				t.Fatal(err)
			}
			client := redis.NewClient(options)
			defer client.Close()
			if err := client.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err != nil {
				t.Fatal(err)
			}
			return settingsOf(t, "ASSENT_REDIS_URL="+r.URL)
		}, "redis", []string{"allkeys-lru", "set maxmemory-policy noeviction"}},
		"no mail server": {func(t *testing.T) config.Settings {
			return settingsOf(t, "ASSENT_SMTP_URL=smtp://127.0.0.1:1?starttls=none")
		}, "smtp", []string{"127.0.0.1", "ASSENT_SMTP_URL"}},
		"a mail server without TLS": {func(t *testing.T) config.Settings {
			return settingsOf(t, "ASSENT_SMTP_URL="+strings.Replace(testkit.SMTP(t).URL, "none", "required", 1))
		}, "smtp", []string{"STARTTLS", "starttls is what it offers"}},
	} {
		t.Run(name, func(t *testing.T) {
			found := Examine(t.Context(), c.settings(t))
			expect(t, found, c.part, true, c.says...)
			for _, f := range found {
				if strings.Contains(f.Say(), "hidden") {
					t.Errorf("%s tells a password: %s", f.Part, f.Say())
				}
			}
		})
	}
}

// TestExamineLeavesNoMark: neither the version table nor the secret's
// fingerprint comes from looking.
func TestExamineLeavesNoMark(t *testing.T) {
	s := settingsOf(t, "ASSENT_DATABASE_URL="+testkit.Postgres(t))
	Examine(t.Context(), s)
	count := func(query string) (n int64) {
		db, _, err := OpenDB(t.Context(), s, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.Read(t.Context(), func(tx *store.Tx) error { return tx.Raw(query).Scan(&n).Error }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"); n != 0 {
		t.Errorf("%d tables and indexes were made", n)
	}
	db, _, err := OpenDB(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Migrate(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
	expect(t, Examine(t.Context(), s), "secret", false, "the first one marks it")
	if n := count("SELECT count(*) FROM installation"); n != 0 {
		t.Errorf("%d marks were left", n)
	}
}

func TestJudgements(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		f   Finding
		ill bool
	}{
		"room":                       {roomLeft("x", 1<<30), false},
		"no room":                    {roomLeft("x", 100<<20), true},
		"durable":                    {durability("on", "on", "on"), false},
		"durable on a standby too":   {durability("remote_apply", "on", "on"), false},
		"answers before the disk":    {durability("off", "on", "on"), true},
		"no fsync":                   {durability("on", "off", "on"), true},
		"torn pages":                 {durability("on", "on", "off"), true},
		"one clock":                  {skew(now, now.Add(time.Millisecond), now.Add(2*time.Millisecond)), false},
		"a slow answer":              {skew(now, now.Add(4*time.Second), now.Add(5*time.Second)), false},
		"theirs ahead":               {skew(now, now.Add(5*time.Second), now.Add(time.Millisecond)), true},
		"theirs behind":              {skew(now, now.Add(-5*time.Second), now.Add(time.Millisecond)), true},
		"a context that has ended":   {examineRedis(ended(), config.Settings{RedisURL: "redis://127.0.0.1:1/0"})[0], true},
		"a public URL without https": {examineURL(t.Context(), config.Settings{PublicURL: &url.URL{Scheme: "http", Host: "x"}})[0], false},
	} {
		if (c.f.Err != nil) != c.ill {
			t.Errorf("%s: %s", name, c.f.Say())
		}
	}
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestSayIsOneLine(t *testing.T) {
	for said, f := range map[string]Finding{
		"well":         {Detail: "well"},
		"a b: do this": {Detail: "do this", Err: errors.New("a\nb.")},
		"a":            {Err: errors.New("a")},
	} {
		if got := f.Say(); got != said {
			t.Errorf("%q, want %q", got, said)
		}
	}
	translated := Finding{Err: problem.New(problem.Conflict, "app.secret-differs")}.Say()
	if !strings.HasPrefix(translated, "ASSENT_SECRET is not") {
		t.Errorf("%q", translated)
	}
}
