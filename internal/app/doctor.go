package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"assent/internal/config"
	"assent/internal/delivery"
	"assent/internal/delivery/provider"
	"assent/internal/delivery/route"
	"assent/internal/i18n"
	"assent/internal/jobs"
	"assent/internal/ledger"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
)

// Finding is what the doctor saw at one part. Where Err is set the part needs
// care, and Detail says what to do. A Warning can wait, or is no more than a
// doubt.
type Finding struct {
	Part    string
	Detail  string
	Err     error
	Warning bool
}

// Say is the finding on one line, in English, for a terminal.
func (f Finding) Say() string {
	if f.Err == nil {
		return f.Detail
	}
	text := f.Err.Error()
	if p, ok := problem.Of(f.Err); ok {
		text, _ = i18n.For("en").Problem(p)
	}
	text = strings.TrimRight(strings.Join(strings.Fields(text), " "), ".")
	if f.Detail == "" {
		return text
	}
	return text + ": " + f.Detail
}

// ill is a finding at a part that needs care.
func ill(part, fix string, err error) Finding { return Finding{Part: part, Detail: fix, Err: err} }

const (
	examineTime = 10 * time.Second // for each part
	leastRoom   = 512 << 20        // bytes free for the journal and the database
	mostSkew    = 2 * time.Second
)

// Examine looks at the settings and at every part they name. It changes
// nothing: no schema, no mark of the secret, no mail; it only writes and
// removes one file in the data folder. Parts are looked at one after the other,
// each for at most ten seconds; so is the domain of each brand.
func Examine(ctx context.Context, s config.Settings) []Finding {
	found := []Finding{{Part: "settings", Detail: fmt.Sprintf("understood: serves on %s, keeps its files in %s", s.Listen, s.DataDir)}}
	for _, look := range []func(context.Context, config.Settings) []Finding{examineFolder, examineDatabase, examineRedis, examineSMTP, examineURL} {
		bounded, cancel := context.WithTimeout(ctx, examineTime)
		found = append(found, look(bounded, s)...)
		cancel()
	}
	return append(found, examineDomains(ctx, s)...)
}

// examineFolder tries to write, for the permission bits do not tell of a
// read-only mount or a full disk.
func examineFolder(_ context.Context, s config.Settings) []Finding {
	broken := func(err error, fix string) []Finding { return []Finding{ill("data", fix, err)} }
	if _, err := os.Stat(s.DataDir); errors.Is(err, fs.ErrNotExist) {
		return broken(err, "make the folder, or name another in ASSENT_DATA_DIR")
	}
	f, err := os.CreateTemp(s.DataDir, ".doctor-")
	if err != nil {
		return broken(err, "let this user write there, or name another folder in ASSENT_DATA_DIR")
	}
	_, err = f.WriteString("assent doctor\n")
	if err := errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name())); err != nil {
		return broken(err, "see whether the disk is full or broken")
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(s.DataDir, &disk); err != nil {
		return broken(err, "see whether the disk is broken")
	}
	return []Finding{roomLeft(s.DataDir, uint64(disk.Bavail)*uint64(disk.Bsize))}
}

func roomLeft(folder string, bytes uint64) Finding {
	if bytes < leastRoom {
		return ill("data", fmt.Sprintf("free at least %d MB, or name a folder on another disk in ASSENT_DATA_DIR", leastRoom>>20),
			fmt.Errorf("only %d MB are left in %s", bytes>>20, folder))
	}
	return Finding{Part: "data", Detail: fmt.Sprintf("%s can be written, %.1f GB free", folder, float64(bytes)/(1<<30))}
}

func examineDatabase(ctx context.Context, s config.Settings) []Finding {
	if path, sqlite := s.SQLite(); sqlite {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return []Finding{{Part: "database", Detail: path + " is not there yet; the first start makes it"}}
		}
	}
	db, ring, err := OpenDB(ctx, s, nil)
	if problem.Is(err, problem.Conflict) {
		return []Finding{{Part: "database", Detail: "in use by assent, which is running; stop it to have the file looked at"}}
	}
	if err != nil {
		return []Finding{ill("database", "see that it runs, and that ASSENT_DATABASE_URL has its address, user and password", err)}
	}
	defer db.Close()
	schema, ready := examineSchema(ctx, db)
	found := []Finding{schema}
	if ready {
		found = append(found, examineSecret(ctx, db, ring), examineSending(ctx, db), examineLedger(ctx, s, db))
	}
	return append(found, examineDurability(ctx, db), examineClock(ctx, db))
}

// examineSchema asks for the version only where there is one, for asking a
// database that has none begins one. ready tells that its tables can be read.
func examineSchema(ctx context.Context, db *store.DB) (f Finding, ready bool) {
	var there bool
	err := db.Read(ctx, func(tx *store.Tx) error {
		return tx.Raw(tx.Pick("SELECT to_regclass('installation') IS NOT NULL",
			"SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'installation')")).Scan(&there).Error
	})
	if err != nil {
		return ill("database", "see the database's own log", err), false
	}
	if !there {
		return ill("database", "run: assent migrate up", fmt.Errorf("%s answers, and is empty", db.Dialect())), false
	}
	v, err := db.SchemaVersion(ctx)
	if err == nil {
		err = db.CheckSchema(ctx)
	}
	switch {
	case err != nil && v.Current > v.Known:
		return ill("database", "install the newer program", err), false
	case err != nil:
		return ill("database", "run: assent migrate up", err), false
	}
	return Finding{Part: "database", Detail: fmt.Sprintf("%s answers, schema %d of %d", db.Dialect(), v.Current, v.Known)}, true
}

// examineSecret compares without leaving a mark, as CheckSecret would.
func examineSecret(ctx context.Context, db *store.DB, ring *link.Ring) Finding {
	var known []string
	err := db.Read(ctx, func(tx *store.Tx) error {
		return tx.Raw("SELECT value FROM installation WHERE key = ?", fingerprintKey).Scan(&known).Error
	})
	switch {
	case err != nil:
		return ill("secret", "see the database's own log", err)
	case len(known) == 0:
		return Finding{Part: "secret", Detail: "no process has used the database yet; the first one marks it with " + ring.Fingerprint()}
	case !ring.Knows(known[0]):
		return ill("secret", "", problem.New(problem.Conflict, "app.secret-differs"))
	}
	return Finding{Part: "secret", Detail: "is the database's (" + known[0] + ")"}
}

// examineSending tells of a restore that nobody has ended.
func examineSending(ctx context.Context, db *store.DB) Finding {
	since, paused, err := db.SendingPaused(ctx)
	switch {
	case err != nil:
		return ill("sending", "see the database's own log", err)
	case paused:
		return ill("sending", "enter the withdrawals since then, and run: assent restore --resume",
			fmt.Errorf("the database was restored from a backup of %s, and no mail goes out", since.Format(time.RFC3339)))
	}
	return Finding{Part: "sending", Detail: "not held back"}
}

// examineLedger compares the log with what this machine keeps of it. It does not
// read the events: assent ledger verify does.
func examineLedger(ctx context.Context, s config.Settings, db *store.DB) Finding {
	const fix = "see assent ledger verify, and assent ledger restart --help"
	var l ledger.Log
	err := db.Read(ctx, func(tx *store.Tx) (err error) { l, err = ledger.Growing(tx); return err })
	switch {
	case problem.Is(err, problem.NotFound):
		return Finding{Part: "ledger", Detail: "no log yet: the first process with workers begins it"}
	case err != nil:
		return ill("ledger", "see the database's own log", err)
	case l.Stopped != "":
		return ill("ledger", fix, errors.New(l.Stopped))
	}
	kept, err := ledger.KeptIn(s.DataDir)
	if err != nil {
		return ill("ledger", "see that the program may read its data folder", err)
	}
	if kept == nil && l.ShownSize > 0 {
		return Finding{Part: "ledger", Warning: true, Detail: "no checkpoint is kept in " + s.DataDir + ", so an older copy of the database would not be noticed here; a process with workers keeps one"}
	}
	return Finding{Part: "ledger", Detail: fmt.Sprintf("%s has %d entries", l.Origin, l.Size)}
}

func examineDurability(ctx context.Context, db *store.DB) Finding {
	var synchronous, fsync, pages string
	err := db.Write(ctx, func(tx *store.Tx) error {
		if tx.Dialect() == store.SQLite {
			return tx.Raw("PRAGMA synchronous").Scan(&synchronous).Error
		}
		return tx.Raw("SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes')").
			Row().Scan(&synchronous, &fsync, &pages)
	})
	if err != nil {
		return ill("durability", "see the database's own log", err)
	}
	if db.Dialect() == store.SQLite {
		const full = "2" // https://www.sqlite.org/pragma.html#pragma_synchronous
		if synchronous != full {
			return ill("durability", "report it: the program sets it itself", fmt.Errorf("SQLite has synchronous=%s", synchronous))
		}
		return Finding{Part: "durability", Detail: "a commit is on disk when it is answered (synchronous=FULL)"}
	}
	return durability(synchronous, fsync, pages)
}

// durability judges PostgreSQL's settings: what is answered must outlive the
// loss of power (PostgreSQL manual, 30.1 and 20.5).
func durability(synchronous, fsync, pages string) Finding {
	for _, s := range []struct{ name, value, bad string }{
		{"fsync", fsync, "off"}, {"full_page_writes", pages, "off"}, {"synchronous_commit", synchronous, "off"},
	} {
		if s.value == s.bad {
			return ill("durability", "set "+s.name+" = on in postgresql.conf, and see that no role or database sets it otherwise",
				fmt.Errorf("PostgreSQL has %s=%s, so a loss of power loses what was answered", s.name, s.value))
		}
	}
	return Finding{Part: "durability", Detail: "a commit is on disk when it is answered (synchronous_commit=" + synchronous + ")"}
}

// examineClock compares this machine's clock, which says what is due, with the
// database's, which leases go by.
func examineClock(ctx context.Context, db *store.DB) Finding {
	var theirs time.Time
	before := db.Now()
	err := db.Read(ctx, func(tx *store.Tx) error {
		var text string
		if tx.Dialect() == store.Postgres {
			return tx.Raw("SELECT clock_timestamp()").Row().Scan(&theirs)
		}
		if err := tx.Raw("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')").Scan(&text).Error; err != nil {
			return err
		}
		var err error
		theirs, err = time.Parse(time.RFC3339Nano, text)
		return err
	})
	if err != nil {
		return ill("clock", "see the database's own log", err)
	}
	return skew(before, theirs, db.Now())
}

// skew is how far the database's clock lies outside of the question's time.
func skew(before, theirs, after time.Time) Finding {
	off := max(before.Sub(theirs), theirs.Sub(after), 0)
	if off > mostSkew {
		return ill("clock", "let both machines keep time by NTP", fmt.Errorf("this machine's clock and the database's are %s apart", off.Round(time.Millisecond)))
	}
	return Finding{Part: "clock", Detail: fmt.Sprintf("this machine and the database agree within %s", max(after.Sub(before), off, time.Millisecond).Round(time.Millisecond))}
}

func examineRedis(ctx context.Context, s config.Settings) []Finding {
	if s.RedisURL == "embedded" {
		return []Finding{{Part: "redis", Detail: "built in, for this one process"}}
	}
	const unreachable = "see that it runs, and that ASSENT_REDIS_URL has its address and password; mails wait until it is back, and none is lost"
	d, err := jobs.OpenDoorbell(s.RedisURL)
	if err != nil {
		return []Finding{ill("redis", unreachable, err)}
	}
	defer d.Close()
	if err := d.Ping(ctx); err != nil {
		return []Finding{ill("redis", unreachable, err)}
	}
	policies, err := d.Policies(ctx)
	if err != nil {
		return []Finding{ill("redis", "let this user run INFO", err)}
	}
	if i := slices.IndexFunc(policies, func(p string) bool { return p != "noeviction" }); i >= 0 {
		return []Finding{ill("redis", "set maxmemory-policy noeviction in redis.conf",
			fmt.Errorf("it throws away what waits when its memory is full (maxmemory-policy %s)", policies[i]))}
	}
	return []Finding{{Part: "redis", Detail: "answers, keeps what waits (maxmemory-policy noeviction)"}}
}

func examineSMTP(ctx context.Context, s config.Settings) []Finding {
	if s.SMTP[0].Direct() {
		return examineDirect(ctx, s)
	}
	var found []Finding
	for i, server := range servers(s) {
		if s.SMTP[i].Catcher() {
			found = append(found, Finding{Part: "smtp", Detail: "the built-in mailbox: mails are shown at /mailbox, and none leaves"})
			continue
		}
		said, err := delivery.Probe(ctx, server)
		f := Finding{Part: "smtp", Detail: s.SMTP[i].Addr() + ": " + said}
		if err != nil {
			f.Detail = "see that ASSENT_SMTP_URL has its name, port, user and password, and that starttls is what it offers"
			f.Err = fmt.Errorf("%s: %w", s.SMTP[i].Addr(), err)
		}
		found = append(found, f)
	}
	return found
}

// examineDirect looks whether the address to send from is this machine's, and
// whether a mail host can be reached: one of the brands' own domains, which do
// not mind. Who rents machines out often keeps that way closed.
func examineDirect(ctx context.Context, s config.Settings) []Finding {
	table, err := provider.Load(s.Providers)
	if err != nil {
		return []Finding{ill("smtp", "mend the file that ASSENT_PROVIDERS names", err)}
	}
	way, d := s.SMTP[0], direct(s, table)
	if way.Source.IsValid() {
		c, err := net.ListenPacket("udp", netip.AddrPortFrom(way.Source, 0).String())
		if err != nil {
			return []Finding{ill("smtp", "name an address of this machine as source in ASSENT_SMTP_URL", err)}
		}
		c.Close()
	}
	found := []Finding{{Part: "smtp", Detail: "mails go straight to their receivers, in the name of " + d.Hello}}
	senders, err := readSenders(ctx, s)
	if err != nil {
		return found // told elsewhere
	}
	var closed []Finding
	for _, one := range senders {
		said, err := d.Probe(ctx, one.Domain)
		var failure *route.Failure
		switch {
		case err == nil:
			return append(found, Finding{Part: "smtp", Detail: "the mail host of " + one.Domain + ": " + said})
		case errors.As(err, &failure): // told with the domain
		default:
			closed = []Finding{ill("smtp", fmt.Sprintf("see that this machine may connect to port %d of others; who rents it out may have to open it", s.MXPort),
				fmt.Errorf("the mail host of %s: %w", one.Domain, err))}
		}
	}
	return append(found, closed...)
}

func examineURL(_ context.Context, s config.Settings) []Finding {
	detail := s.PublicURL.String() + ": one-click unsubscribe is on"
	if s.PublicURL.Scheme != "https" {
		detail = s.PublicURL.String() + ": not https, so mails go without one-click unsubscribe, which large mailbox providers ask for; the visible link is always there"
	}
	return []Finding{{Part: "public url", Detail: detail}}
}
