package brand_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/compose"
	"assent/internal/dns"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/testkit"
)

// pems are one private key of each kind: RSA, Ed25519, and one that DKIM has no name for.
var pems = sync.OnceValue(func() map[string][]byte {
	all := map[string][]byte{}
	for _, a := range []string{brand.RSA, brand.Ed25519} {
		key, err := compose.GenerateKey(a)
		if err != nil {
			panic(err)
		}
		all[a] = key
	}
	odd, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(odd)
	if err != nil {
		panic(err)
	}
	all["ecdsa"] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return all
})

// ring is a brand with keys, and a clock.
type ring struct {
	t     *testing.T
	db    *store.DB
	brand brand.Brand
	now   time.Time
}

func eachRing(t *testing.T, test func(r *ring)) {
	t.Helper()
	testkit.EachPrepared(t, "brand", prepare, func(t *testing.T, url string) {
		seals, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
		must(t, err)
		r := &ring{t: t, now: start}
		r.db, err = store.Open(t.Context(), url, store.Options{Ring: seals, Clock: func() time.Time { return r.now }})
		must(t, err)
		t.Cleanup(func() { r.db.Close() })
		r.brand, err = create(r.db, marble())
		must(t, err)
		test(r)
	})
}

func (r *ring) write(f func(tx *store.Tx) error) error {
	return r.db.Write(context.Background(), f)
}

func (r *ring) add(b brand.Brand, selector string, private []byte) (k brand.DKIMKey, err error) {
	err = r.write(func(tx *store.Tx) error { k, err = brand.NewDKIMKey(tx, b.ID, selector, private); return err })
	return k, err
}

func (r *ring) made(selector, algorithm string) brand.DKIMKey {
	r.t.Helper()
	r.now = r.now.Add(time.Second)
	k, err := r.add(r.brand, selector, pems()[algorithm])
	must(r.t, err)
	return k
}

func (r *ring) activate(k brand.DKIMKey) error {
	return r.write(func(tx *store.Tx) error { _, err := brand.ActivateDKIM(tx, r.brand.ID, k.ID); return err })
}

func (r *ring) retire(k brand.DKIMKey, force bool) error {
	return r.write(func(tx *store.Tx) error { _, err := brand.RetireDKIM(tx, r.brand.ID, k.ID, force); return err })
}

func (r *ring) remove(k brand.DKIMKey) error {
	return r.write(func(tx *store.Tx) error { return brand.RemoveDKIM(tx, r.brand.ID, k.ID) })
}

func (r *ring) change(c brand.Change) {
	r.t.Helper()
	must(r.t, r.write(func(tx *store.Tx) (err error) { r.brand, err = brand.Update(tx, r.brand.ID, c); return err }))
}

// signing names the keys that sign, in their order.
func (r *ring) signing(want string) {
	r.t.Helper()
	must(r.t, r.db.Read(context.Background(), func(tx *store.Tx) error {
		keys, err := brand.SigningKeys(tx, r.brand)
		var names []string
		for _, k := range keys {
			names = append(names, k.Selector)
			if !bytes.Equal(k.PrivateKey, pems()[k.Algorithm]) || k.Domain != r.brand.SenderDomain() {
				r.t.Errorf("%s of %s signs with another key", k.Selector, k.Domain)
			}
		}
		if got := strings.Join(names, " "); got != want {
			r.t.Errorf("%q sign, want %q", got, want)
		}
		return err
	}))
}

// listed says each key with its state, newest first.
func (r *ring) listed(want string) {
	r.t.Helper()
	must(r.t, r.db.Read(context.Background(), func(tx *store.Tx) error {
		keys, err := brand.DKIMKeys(tx, r.brand.ID)
		var states []string
		for _, k := range keys {
			states = append(states, k.Selector+"="+k.State())
			if len(k.PrivateKey) != 0 {
				r.t.Errorf("the list gives the private half of %s", k.Selector)
			}
		}
		if got := strings.Join(states, " "); got != want {
			r.t.Errorf("listed %q, want %q", got, want)
		}
		return err
	}))
}

func conflict(t *testing.T, what string, err error, key string) {
	t.Helper()
	if p, ok := problem.Of(err); !ok || p.Kind != problem.Conflict || p.Key != key {
		t.Errorf("%s: %v, want %s", what, err, key)
	}
}

func TestKeysAreRotated(t *testing.T) {
	eachRing(t, func(r *ring) {
		r.signing("")
		old := r.made("r1", brand.RSA)
		r.signing("")
		r.listed("r1=made")
		must(t, r.activate(old))
		r.signing("r1")
		ed := r.made("e1", brand.Ed25519)
		must(t, r.activate(ed))
		r.signing("r1 e1")
		r.now = r.now.Add(time.Hour)
		next := r.made("r2", brand.RSA)
		r.signing("r1 e1")
		must(t, r.activate(next))
		must(t, r.activate(next))
		r.signing("r2 e1")
		r.listed("r2=active e1=active r1=retired")
		conflict(t, "a signing key removed", r.remove(next), "brand.dkim.in-use")
		r.now = r.now.Add(brand.KeepRecord - time.Second)
		conflict(t, "a key of mail under way removed", r.remove(old), "brand.dkim.keep")

		must(t, r.activate(old)) // the new one was a mistake
		r.signing("r1 e1")
		r.listed("r2=retired e1=active r1=active")
		r.now = r.now.Add(brand.KeepRecord)
		must(t, r.remove(next))
		r.listed("e1=active r1=active")
		spare := r.made("r3", brand.RSA)
		conflict(t, "retiring what never signed", r.retire(spare, true), "brand.dkim.never-signed")
		must(t, r.remove(spare))
		if err := r.remove(spare); !problem.Is(err, problem.NotFound) {
			t.Errorf("removed twice: %v", err)
		}
	})
}

func TestTheLastKeyStays(t *testing.T) {
	eachRing(t, func(r *ring) {
		rsa, ed := r.made("r1", brand.RSA), r.made("e1", brand.Ed25519)
		must(t, r.activate(rsa))
		must(t, r.activate(ed))
		conflict(t, "only Ed25519 left", r.retire(rsa, false), "brand.dkim.last")
		r.signing("r1 e1")
		must(t, r.retire(ed, false))
		r.signing("r1")
		must(t, r.retire(ed, false))
		must(t, r.retire(rsa, true))
		r.signing("")
		must(t, r.activate(ed))
		conflict(t, "nothing left", r.retire(ed, false), "brand.dkim.last")

		relay, us := brand.SignedByRelay, brand.SignedByUs
		r.change(brand.Change{SignedBy: &relay})
		r.signing("")
		must(t, r.retire(ed, false))
		must(t, r.activate(rsa))
		r.signing("")
		r.change(brand.Change{SignedBy: &us})
		r.signing("r1")
	})
}

func TestKeysAreForTheSendersDomain(t *testing.T) {
	eachRing(t, func(r *ring) {
		k := r.made("r1", brand.RSA)
		must(t, r.activate(k))
		if k.Domain != "xn--bcher-kva.example" || k.Public().Record().Name != "r1._domainkey.xn--bcher-kva.example" {
			t.Errorf("made for %s", k.Domain)
		}
		elsewhere := "hello@elsewhere.example"
		r.change(brand.Change{SenderEmail: &elsewhere})
		r.signing("")
		r.listed("r1=active")
		spare := r.made("", brand.Ed25519)
		if spare.Domain != "elsewhere.example" || spare.Selector != fmt.Sprintf("assent-%x", spare.ID[12:]) {
			t.Errorf("made %s for %s", spare.Selector, spare.Domain)
		}
		must(t, r.retire(k, false)) // it signs nothing any more
		conflict(t, "a key of another domain", r.activate(k), "brand.dkim.other-domain")
		r.signing("")
	})
}

func TestWhatIsNoKey(t *testing.T) {
	eachRing(t, func(r *ring) {
		good := pems()[brand.RSA]
		r.made("r1", brand.RSA)
		n := marble()
		n.Slug = "granite"
		other, err := create(r.db, n)
		must(t, err)
		_, again := r.add(r.brand, "r1", good)
		_, theirs := r.add(other, "r1", good)
		conflict(t, "the same selector", again, "brand.selector.taken")
		conflict(t, "another brand of the domain", theirs, "brand.selector.taken")
		for name, x := range map[string]struct {
			selector string
			private  []byte
		}{"a selector that is a way": {"a.b", good}, "capitals": {"R2", good}, "no key": {"r3", []byte("x")}, "another algorithm": {"r3", pems()["ecdsa"]}, "a cut key": {"r3", good[:200]}} {
			if _, err := r.add(r.brand, x.selector, x.private); !problem.Is(err, problem.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		r.listed("r1=made")
		var raw struct{ PrivateKey []byte }
		must(t, r.db.Read(t.Context(), func(tx *store.Tx) error { return tx.Raw("SELECT private_key FROM dkim_keys LIMIT 1").Scan(&raw).Error }))
		if len(raw.PrivateKey) == 0 || strings.Contains(string(raw.PrivateKey), "PRIVATE KEY") {
			t.Error("the key lies open in the database")
		}
	})
}

func TestAnotherBrandsKeyIsUnknown(t *testing.T) {
	eachRing(t, func(r *ring) {
		k := r.made("r1", brand.RSA)
		n := marble()
		n.Slug = "granite"
		other, err := create(r.db, n)
		must(t, err)
		for name, do := range map[string]func(tx *store.Tx, brandID uuid.UUID) error{
			"found":     func(tx *store.Tx, id uuid.UUID) error { _, err := brand.FindDKIMKey(tx, id, k.ID); return err },
			"activated": func(tx *store.Tx, id uuid.UUID) error { _, err := brand.ActivateDKIM(tx, id, k.ID); return err },
			"retired":   func(tx *store.Tx, id uuid.UUID) error { _, err := brand.RetireDKIM(tx, id, k.ID, true); return err },
			"removed":   func(tx *store.Tx, id uuid.UUID) error { return brand.RemoveDKIM(tx, id, k.ID) },
		} {
			if err := r.write(func(tx *store.Tx) error { return do(tx, other.ID) }); !problem.Is(err, problem.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		r.listed("r1=made")
		r.signing("")
	})
}

// Two activations at once leave one key active.
func TestActivationsAtOnce(t *testing.T) {
	eachRing(t, func(r *ring) {
		var keys []brand.DKIMKey
		for i := range 4 {
			keys = append(keys, r.made(fmt.Sprint("r", i), brand.RSA))
		}
		var done sync.WaitGroup
		for _, k := range keys {
			done.Go(func() {
				if err := r.activate(k); err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		must(t, r.db.Read(t.Context(), func(tx *store.Tx) error {
			var active int
			if err := tx.Raw("SELECT count(*) FROM dkim_keys WHERE active").Scan(&active).Error; err != nil || active != 1 {
				t.Errorf("%d are active, %v", active, err)
			}
			return nil
		}))
	})
}

// txt answers every question for a text alike.
type txt struct {
	dns.Resolver
	found []string
	err   error
}

func (x txt) LookupTXT(context.Context, string) ([]string, error) { return x.found, x.err }

func TestAKeyMustBePublished(t *testing.T) {
	k := brand.DKIMKey{Domain: "marble.example", Selector: "r1", Algorithm: brand.Ed25519, PublicKey: "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}
	value := k.Public().Record().Value
	for name, x := range map[string]struct {
		answer txt
		kind   problem.Kind
		key    string
	}{
		"published":   {txt{found: []string{value}}, 0, ""},
		"for a test":  {txt{found: []string{value + "; t=y"}}, 0, ""},
		"missing":     {txt{err: &net.DNSError{IsNotFound: true}}, problem.Conflict, "brand.dkim.unpublished"},
		"another":     {txt{found: []string{strings.Replace(value, "p=1", "p=2", 1)}}, problem.Conflict, "brand.dkim.published-otherwise"},
		"twice":       {txt{found: []string{value, value}}, problem.Conflict, "brand.dkim.published-otherwise"},
		"no answer":   {txt{err: &net.DNSError{IsTimeout: true}}, problem.Unavailable, "brand.dkim.unseen"},
		"out of time": {txt{err: context.DeadlineExceeded}, problem.Unavailable, "brand.dkim.unseen"},
	} {
		err := brand.PublishedDKIM(t.Context(), x.answer, k)
		if p, ok := problem.Of(err); (err == nil) != (x.key == "") || ok && (p.Kind != x.kind || p.Key != x.key) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
