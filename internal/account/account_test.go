package account

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/testkit"
)

// world is a database with its own clock and a door to it.
type world struct {
	t    *testing.T
	db   *store.DB
	door *Door
	now  atomic.Int64 // microseconds
}

func (w *world) pass(d time.Duration) { w.now.Add(d.Microseconds()) }

func ring(t testing.TB) *link.Ring {
	t.Helper()
	r, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func migrate(url string) error {
	db, err := store.Open(context.Background(), url, store.Options{})
	if err != nil {
		return err
	}
	if err := db.Migrate(context.Background()); err != nil {
		return err
	}
	return db.Close()
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	testkit.EachPrepared(t, "migrated", migrate, func(t *testing.T, url string) {
		w := &world{t: t}
		w.now.Store(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC).UnixMicro())
		db, err := store.Open(t.Context(), url, store.Options{Ring: ring(t), Clock: func() time.Time { return time.UnixMicro(w.now.Load()) }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		w.db = db
		w.door, err = NewDoor(db, Cost{MemoryKiB: 1024, Passes: 1})
		if err != nil {
			t.Fatal(err)
		}
		test(t, w)
	})
}

func (w *world) write(f func(tx *store.Tx) error) {
	w.t.Helper()
	if err := w.db.Write(w.t.Context(), f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) brand(slug string) uuid.UUID {
	w.t.Helper()
	var id uuid.UUID
	w.write(func(tx *store.Tx) error {
		id = tx.NewID()
		_, err := tx.Run(`INSERT INTO brands (id, slug, name, postal_address, sender_name, sender_email, language, languages, texts, time_zone, address_key, created_at, updated_at)
			VALUES (?, ?, 'B', 'A', 'S', 's@example.org', 'en', '["en"]', '{}', 'UTC', ?, ?, ?)`, id, slug, []byte{1}, tx.Now(), tx.Now())
		return err
	})
	return id
}

const good = "correct horse battery"

func (w *world) user(email string) User {
	w.t.Helper()
	u, err := w.door.AddUser(w.t.Context(), NewUser{Email: email, Name: "Ana", Password: good})
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

var home = netip.MustParseAddr("192.0.2.7")

func (w *world) try(email, password string, ip netip.Addr) error {
	_, err := w.door.SignIn(w.t.Context(), Attempt{Email: email, Password: password, IP: ip})
	return err
}

func mustKey(t *testing.T, err error, key string) {
	t.Helper()
	p, ok := problem.Of(err)
	if !ok || p.Key != key {
		t.Fatalf("got %v, want the problem %s", err, key)
	}
}

func TestSignIn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ana := w.user(" Ana@Example.org ")
		u, err := w.door.SignIn(t.Context(), Attempt{Email: "ANA@example.ORG", Password: good, IP: home})
		if err != nil || u.ID != ana.ID {
			t.Fatalf("signed in as %v: %v", u.ID, err)
		}
		mustKey(t, w.try("ana@example.org", "wrong horse battery", home), "account.sign-in-failed")
		mustKey(t, w.try("nobody@example.org", good, home), "account.sign-in-failed")
		mustKey(t, w.try("", "", netip.Addr{}), "account.sign-in-failed")
		mustKey(t, w.try("ana@example.org", strings.Repeat("x", passwordMax+1), home), "account.sign-in-failed")
		if strings.Contains(u.PasswordHash, good) || !strings.HasPrefix(u.PasswordHash, "$argon2id$") {
			t.Errorf("the password is kept as %s", u.PasswordHash)
		}
	})
}

func TestAddUserRefuses(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("ana@example.org")
		for name, c := range map[string]struct {
			n    NewUser
			want string
		}{
			"taken":       {NewUser{Email: "ANA@example.org", Name: "A", Password: good}, "account.user-exists"},
			"no address":  {NewUser{Name: "A", Password: good}, "problem.invalid"},
			"no mail":     {NewUser{Email: "ana", Name: "A", Password: good}, "problem.invalid"},
			"with a name": {NewUser{Email: "A <a@example.org>", Name: "A", Password: good}, "problem.invalid"},
			"line break":  {NewUser{Email: "a@example.org\r\nBcc: b@example.org", Name: "A", Password: good}, "problem.invalid"},
			"name breaks": {NewUser{Email: "a@example.org", Name: "A\r\nB", Password: good}, "problem.invalid"},
			"no text":     {NewUser{Email: "a@example.org", Name: "A\xff", Password: good}, "problem.invalid"},
			"short":       {NewUser{Email: "a@example.org", Name: "A", Password: "short"}, "problem.invalid"},
			"the address": {NewUser{Email: "long.enough@example.org", Name: "A", Password: "Long.Enough@example.org"}, "problem.invalid"},
		} {
			_, err := w.door.AddUser(t.Context(), c.n)
			t.Log(name)
			mustKey(t, err, c.want)
		}
		w.write(func(tx *store.Tx) error {
			n, err := Count(tx)
			if n != 1 {
				t.Errorf("%d users after refusals, want 1", n)
			}
			return err
		})
	})
}

func TestLockOut(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("ana@example.org")
		for i := range freeFailures {
			ip := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
			mustKey(t, w.try("ana@example.org", "wrong horse battery", ip), "account.sign-in-failed")
		}
		other := netip.MustParseAddr("203.0.113.9")
		mustKey(t, w.try("ana@example.org", good, other), "account.locked")
		mustKey(t, w.try("Ana@Example.org ", good, other), "account.locked")

		w.pass(firstLock)
		mustKey(t, w.try("ana@example.org", "wrong horse battery", other), "account.sign-in-failed")
		w.pass(firstLock)
		mustKey(t, w.try("ana@example.org", good, other), "account.locked") // the second lock is longer
		w.pass(firstLock)
		if err := w.try("ana@example.org", good, other); err != nil {
			t.Fatal(err)
		}
		mustKey(t, w.try("ana@example.org", "wrong horse battery", other), "account.sign-in-failed")
		if err := w.try("ana@example.org", good, other); err != nil {
			t.Fatalf("a success did not forget the failures: %v", err)
		}
	})
}

func TestLockOutOfAPlace(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("ana@example.org")
		for i := range freeFailures - 1 { // spread over addresses of one /64, and over people
			ip := netip.MustParseAddr("2001:db8::1").As16()
			ip[15] = byte(i)
			mustKey(t, w.try(string(rune('a'+i))+"@example.org", good, netip.AddrFrom16(ip)), "account.sign-in-failed")
		}
		near, far := netip.MustParseAddr("2001:db8::ff"), netip.MustParseAddr("2001:db8:0:1::1")
		if err := w.try("ana@example.org", good, near); err != nil { // takes back only its own count
			t.Fatal(err)
		}
		mustKey(t, w.try("z@example.org", good, near), "account.sign-in-failed")
		mustKey(t, w.try("ana@example.org", good, near), "account.locked")
		if err := w.try("ana@example.org", good, far); err != nil {
			t.Fatalf("another network is locked too: %v", err)
		}
		w.pass(forgetAfter + time.Second)
		if err := w.try("ana@example.org", good, near); err != nil {
			t.Fatalf("the place is never forgotten: %v", err)
		}
		w.pass(forgetAfter + time.Second)
		w.write(Sweep)
		w.write(func(tx *store.Tx) error {
			var n int64
			err := tx.Raw("SELECT count(*) FROM sign_in_failures").Scan(&n).Error
			if n != 0 {
				t.Errorf("%d failures outlive the sweep", n)
			}
			return err
		})
	})
}

// Guesses at the same moment get no more tries than guesses in a row.
func TestParallelGuesses(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("ana@example.org")
		var looked atomic.Int64
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				err := w.try("ana@example.org", "wrong horse battery", netip.AddrFrom4([4]byte{10, 0, byte(i), 1}))
				if problem.Is(err, problem.Unauthorized) {
					looked.Add(1)
				} else if !problem.Is(err, problem.TooMany) {
					t.Errorf("a guess got %v", err)
				}
			})
		}
		wg.Wait()
		if n := looked.Load(); n != freeFailures {
			t.Errorf("%d passwords were looked at, want %d", n, freeFailures)
		}
	})
}

func TestLockFor(t *testing.T) {
	for n, want := range map[int]time.Duration{0: 0, 4: 0, 5: time.Minute, 6: 2 * time.Minute, 8: 8 * time.Minute, 11: time.Hour, 1 << 30: time.Hour} {
		if got := lockFor(n); got != want {
			t.Errorf("%d failures lock for %s, want %s", n, got, want)
		}
	}
}

// request is one request of a browser with the cookies it was given.
func request(t *testing.T, s *Sessions, cookies []*http.Cookie) (context.Context, *httptest.ResponseRecorder) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/admin", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	ctx, err := s.Load(r)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, httptest.NewRecorder()
}

func TestSessions(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ana, b := w.user("ana@example.org"), w.brand("b")
		w.write(func(tx *store.Tx) error { return Grant(tx, ana.ID, b, Reader) })
		w.write(func(tx *store.Tx) error { return Grant(tx, ana.ID, b, Marketer) })
		s := NewSessions(w.db, true)

		ctx, rec := request(t, s, nil)
		_, err := s.Actor(ctx)
		mustKey(t, err, "account.sign-in-first")
		if err := s.Begin(ctx, rec, ana); err != nil {
			t.Fatal(err)
		}
		cookies := rec.Result().Cookies()
		c := cookies[0]
		if c.Name != "__Host-assent" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("the cookie is %v", c)
		}
		ctx, _ = request(t, s, cookies)
		a, err := s.Actor(ctx)
		if err != nil || a.User.ID != ana.ID || a.Role(b) != Marketer || a.Role(uuid.New()) != "" {
			t.Fatalf("the actor is %+v: %v", a, err)
		}
		w.write(func(tx *store.Tx) error {
			var n int64
			err := tx.Raw("SELECT count(*) FROM sessions WHERE token_hash = ?", []byte(c.Value)).Scan(&n).Error
			if n != 0 {
				t.Error("the token itself is stored")
			}
			return err
		})

		for range 5 { // used now and then, the session outlives its idle time …
			w.pass(idleLife - time.Hour)
			ctx, _ = request(t, s, cookies)
			if _, err := s.Actor(ctx); err != nil {
				t.Fatal(err)
			}
		}
		w.pass(idleLife + time.Minute) // … and unused it does not
		ctx, _ = request(t, s, cookies)
		_, err = s.Actor(ctx)
		mustKey(t, err, "account.sign-in-first")
	})
}

func TestSessionEnds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ana := w.user("ana@example.org")
		s := NewSessions(w.db, false)
		begin := func(with []*http.Cookie) []*http.Cookie {
			ctx, rec := request(t, s, with)
			if err := s.Begin(ctx, rec, ana); err != nil {
				t.Fatal(err)
			}
			return rec.Result().Cookies()
		}

		// Fixation: the token before the sign-in is worth nothing after it.
		planted := begin(nil)
		own := begin(planted)
		if own[0].Value == planted[0].Value {
			t.Error("the token did not change at sign-in")
		}
		ctx, _ := request(t, s, planted)
		_, err := s.Actor(ctx)
		mustKey(t, err, "account.sign-in-first")
		invented := []*http.Cookie{{Name: own[0].Name, Value: "invented-by-someone"}}
		if got := begin(invented); got[0].Value == "invented-by-someone" {
			t.Error("a token invented by the client was taken")
		}

		ctx, rec := request(t, s, own)
		if err := s.End(ctx, rec); err != nil {
			t.Fatal(err)
		}
		if c := rec.Result().Cookies()[0]; c.MaxAge >= 0 || c.Value != "" {
			t.Errorf("signing out leaves the cookie %v", c)
		}
		ctx, _ = request(t, s, own)
		_, err = s.Actor(ctx)
		mustKey(t, err, "account.sign-in-first")

		third := begin(nil)
		if err := w.door.SetPassword(t.Context(), "Ana@example.org", "another good password"); err != nil {
			t.Fatal(err)
		}
		ctx, _ = request(t, s, third)
		_, err = s.Actor(ctx)
		mustKey(t, err, "account.sign-in-first")
	})
}

func TestKeys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one, two := w.brand("one"), w.brand("two")
		var k Key
		var secret string
		w.write(func(tx *store.Tx) (err error) {
			k, secret, err = MakeKey(tx, NewKey{BrandID: &one, Name: "shop", Scopes: []string{"orders:write"}})
			return err
		})
		find := func(secret string) (k Key, err error) {
			err = w.db.Read(t.Context(), func(tx *store.Tx) error { k, err = KeyOf(tx, secret); return err })
			return k, err
		}
		got, err := find(secret)
		if err != nil || got.ID != k.ID || *got.BrandID != one || !got.May("orders:write") || got.May("orders:read") || got.May("*") {
			t.Fatalf("the key is %+v: %v", got, err)
		}
		for _, bad := range []string{"", "ak_", secret[:len(secret)-1], secret + "A", "xx_" + secret[3:], "ak_" + strings.Repeat("A", 43), strings.ToUpper(secret)} {
			_, err := find(bad)
			mustKey(t, err, "account.key-unknown")
		}

		if !got.Stale(w.db.Now()) {
			t.Error("a key never used is not stale")
		}
		w.write(func(tx *store.Tx) error { return Used(tx, k.ID) })
		first, _ := find(secret)
		w.pass(30 * time.Second)
		w.write(func(tx *store.Tx) error { return Used(tx, k.ID) })
		if again, _ := find(secret); !again.LastUsedAt.Equal(*first.LastUsedAt) || again.Stale(w.db.Now()) {
			t.Error("the use of a key is written more than once a minute")
		}

		revoke := func(brand *uuid.UUID) error {
			return w.db.Write(t.Context(), func(tx *store.Tx) error { _, err := Revoke(tx, brand, k.ID); return err })
		}
		mustKey(t, revoke(&two), "account.key-not-found")
		mustKey(t, revoke(nil), "account.key-not-found")
		if _, err := find(secret); err != nil {
			t.Fatal("another brand revoked the key")
		}
		for range 2 {
			if err := revoke(&one); err != nil {
				t.Fatal(err)
			}
		}
		_, err = find(secret)
		mustKey(t, err, "account.key-unknown")
	})
}

func TestMakeKeyRefuses(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		nowhere := uuid.New()
		for want, n := range map[string]NewKey{
			"problem.invalid":            {Name: "x", Scopes: []string{"people:write"}},
			"account.membership-unknown": {Name: "x", Scopes: []string{"*"}, BrandID: &nowhere},
		} {
			err := w.db.Write(t.Context(), func(tx *store.Tx) error { _, _, err := MakeKey(tx, n); return err })
			mustKey(t, err, want)
		}
		err := w.db.Write(t.Context(), func(tx *store.Tx) error { _, _, err := MakeKey(tx, NewKey{Name: "x"}); return err })
		mustKey(t, err, "problem.invalid")
	})
}

func TestRoles(t *testing.T) {
	for _, c := range []struct {
		has, least Role
		want       bool
	}{
		{Owner, Reader, true}, {Owner, Owner, true}, {Marketer, Owner, false}, {Reader, Analyst, false},
		{Analyst, Reader, true}, {"", Reader, false}, {"root", Reader, false}, {Owner, "root", false},
	} {
		if got := c.has.Includes(c.least); got != c.want {
			t.Errorf("%q includes %q: %v", c.has, c.least, got)
		}
	}
}

// Guessing needs memory for two passwords at once, however many guess.
func TestHashingIsBounded(t *testing.T) {
	d := &Door{hashing: make(chan struct{}, hashers)}
	for range hashers {
		if _, err := d.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := d.turn(ctx)
	mustKey(t, err, "account.busy")
}

func BenchmarkKeyHash(b *testing.B) {
	secret := "ak_" + strings.Repeat("A", 43)
	for b.Loop() {
		_ = keyHash(secret)
	}
}

// Whether there is an account shows in nothing, not even in the time.
func TestUnknownAddressesTakeAsLong(t *testing.T) {
	d, err := NewDoor(nil, Standard)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := d.hash(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	once := func(hash string) time.Duration {
		start := time.Now()
		if ok, err := d.matches(t.Context(), "wrong horse battery", hash); ok || err != nil {
			t.Fatalf("matches: %v %v", ok, err)
		}
		return time.Since(start)
	}
	// In turns, and the quickest of each: what else runs makes both slower. Without
	// the work for nobody no number of tries brings them together.
	known, unknown := time.Hour, time.Hour
	for n := range 50 {
		known, unknown = min(known, once(hash)), min(unknown, once(""))
		if n >= 4 && unknown >= known/2 && unknown <= known*2 {
			return
		}
	}
	t.Errorf("a known address takes %s, an unknown one %s", known, unknown)
}
