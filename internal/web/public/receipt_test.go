package public

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"assent/internal/consent"
	"assent/internal/ledger"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/templates"
)

// verifier is the program that third parties are given, built by itself.
var verifier = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "verify")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "verify")
	out, err := exec.Command("go", "build", "-o", path, "../../receipt/testdata/verify").CombinedOutput()
	if err != nil {
		return string(out), err
	}
	return path, nil
})

// verify runs it, and tells what it says and whether it was content.
func (w *world) verify(receipt, proof []byte, key string) (said string, ok bool) {
	w.Helper()
	program, err := verifier()
	if err != nil {
		w.Fatal(program, err)
	}
	dir := w.TempDir()
	files := []string{filepath.Join(dir, "receipt.json"), filepath.Join(dir, "receipt.tlog-proof")}
	for i, body := range [][]byte{receipt, proof} {
		if err := os.WriteFile(files[i], body, 0o600); err != nil {
			w.Fatal(err)
		}
	}
	out, err := exec.Command(program, files[0], files[1], key).CombinedOutput()
	return string(out), err == nil
}

// keep gives what is pending its place in the log.
func (w *world) keep() {
	w.Helper()
	outside, err := ledger.OpenOutside(w.TempDir())
	if err != nil {
		w.Fatal(err)
	}
	k, err := ledger.Start(context.Background(), ledger.Options{DB: w.db, Outside: outside, Origin: "mail.example.org/log", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		w.Fatal(err)
	}
	defer k.Stop()
	until := time.Now().Add(20 * time.Second)
	for w.count("SELECT count(*) FROM log_pending") > 0 || w.count("SELECT count(*) FROM logs WHERE shown_size < size OR size = 0") > 0 {
		if time.Now().After(until) {
			w.Fatal("the log does not take what is pending")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// events are the person's for a topic, oldest first.
func (w *world) events(s subscriber.Subscriber, topic uuid.UUID) (all []consent.Event) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		history, err := consent.History(tx, w.brand.ID, s.ID)
		all = nil
		for _, e := range history {
			if e.TopicID == topic {
				all = append(all, e)
			}
		}
		return err
	})
	return all
}

func (w *world) get(path string) []byte {
	w.Helper()
	rec := w.do("GET", path, "")
	if rec.Code != 200 {
		w.Fatalf("%s: %d %s", path, rec.Code, rec.Body)
	}
	return rec.Body.Bytes()
}

func schemas(t testing.TB) (receipt, event *jsonschema.Schema) {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, name := range []string{"consent-receipt-1.json", "consent-event-1.json"} {
		body, err := fs.ReadFile(templates.FS, "schema/"+name)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("https://schema.test/"+name, doc); err != nil {
			t.Fatal(err)
		}
	}
	return c.MustCompile("https://schema.test/consent-receipt-1.json"), c.MustCompile("https://schema.test/consent-event-1.json")
}

func conforms(t testing.TB, s *jsonschema.Schema, body []byte) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = s.Validate(doc)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, body)
	}
}

func TestAReceiptCanBeCheckedByAnybody(t *testing.T) {
	ofReceipts, ofEvents := schemas(t)
	each(t, func(w *world) {
		sara, reza := w.subscribe("sara@example.org", "news"), w.subscribe("reza@example.org", "news")
		given := w.events(sara, w.news.ID)[1]
		address := path(w.urls.Receipt(given.ID))

		early := w.do("GET", address, "")
		if early.Code != 200 || !strings.Contains(early.Body.String(), "in a moment") {
			w.Errorf("before the log has it: %d %s", early.Code, early.Body)
		}
		conforms(w, ofReceipts, w.get(address+".json"))
		if rec := w.do("GET", address+".tlog-proof", ""); rec.Code != 503 {
			w.Errorf("a proof before there is one: %d", rec.Code)
		}

		w.keep()
		page := w.do("GET", address, "")
		for _, want := range []string{"sara@example.org", "Send me the news.", "https://shop.example/readers", "mail.example.org/log", "12 Enghelab Street", "Baharan Books"} {
			if !strings.Contains(page.Body.String(), want) {
				w.Errorf("the receipt does not say %q:\n%s", want, page.Body)
			}
		}
		if h := page.Header(); h.Get("Cache-Control") != "no-store" || !strings.Contains(h.Get("X-Robots-Tag"), "noindex") {
			w.Errorf("%v", h)
		}
		if strings.Contains(page.Body.String(), "/p/") {
			w.Error("who is shown a receipt gets the person's preferences with it")
		}
		body, proof, key := w.get(address+".json"), w.get(address+".tlog-proof"), strings.TrimSpace(string(w.get("/log/key")))
		conforms(w, ofReceipts, body)
		said, ok := w.verify(body, proof, key)
		if !ok || !strings.Contains(said, "the receipt is true") || !strings.Contains(said, "sara@example.org") {
			w.Errorf("it says: %s", said)
		}

		other := path(w.urls.Receipt(w.events(reza, w.news.ID)[1].ID))
		tampered := map[string][]byte{
			"another's proof": w.get(other + ".tlog-proof"),
			"another address": bytes.ReplaceAll(body, []byte(`"piiPrincipalId": "sara@`), []byte(`"piiPrincipalId": "sahra@`)),
			"other words":     bytes.ReplaceAll(body, []byte("Send me the news."), []byte("Send me everything.")),
			"another time":    bytes.Replace(body, []byte(`"event_time": "2026`), []byte(`"event_time": "2025`), 1),
			"other evidence":  w.changed(body, "private_b64", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("sara@"), []byte("sora@")) }),
			"another leaf":    w.changed(body, "leaf_b64", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"given"`), []byte(`"renewed"`)) }),
		}
		for what, with := range tampered {
			r, p := with, proof
			if what == "another's proof" {
				r, p = body, with
			}
			if bytes.Equal(r, body) && bytes.Equal(p, proof) {
				w.Fatalf("%s: nothing was changed", what)
			}
			if said, ok := w.verify(r, p, key); ok || !strings.Contains(said, "NO:") {
				w.Errorf("%s: it says %s", what, said)
			}
		}
		for _, e := range w.events(sara, w.news.ID) {
			conforms(w, ofEvents, e.Leaf)
		}
	})
}

// changed is a receipt of which something below ledger was changed.
func (w *world) changed(body []byte, name string, change func([]byte) []byte) []byte {
	w.Helper()
	var doc map[string]any
	if err := json.Unmarshal(body, &doc); err != nil {
		w.Fatal(err)
	}
	of := doc["ledger"].(map[string]any)
	was, err := base64.StdEncoding.DecodeString(of[name].(string))
	if err != nil {
		w.Fatal(err)
	}
	of[name] = base64.StdEncoding.EncodeToString(change(was))
	body, err = json.Marshal(doc)
	if err != nil {
		w.Fatal(err)
	}
	return body
}

// TestReceiptsOutliveWhatTheyAreOf: a consent that was taken back, and somebody
// who was erased.
func TestReceiptsOutliveWhatTheyAreOf(t *testing.T) {
	ofReceipts, _ := schemas(t)
	each(t, func(w *world) {
		sara := w.subscribe("sara@example.org", "news")
		given := w.events(sara, w.news.ID)[1]
		address := path(w.urls.Receipt(given.ID))
		before := w.ledger()
		w.get(address)
		w.get(address + ".json")
		if now := w.ledger(); now != before {
			w.Errorf("looking changed something: %s, %s", before, now)
		}
		if rec := w.do("POST", address, ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), "taken back") {
			w.Errorf("taking it back: %d %s", rec.Code, rec.Body)
		}
		if on := w.allowed(sara); on != "" {
			w.Errorf("still allowed: %s", on)
		}
		all := w.events(sara, w.news.ID)
		if left := all[len(all)-1]; left.State != consent.Withdrawn || left.Method != consent.MethodReceipt {
			w.Errorf("the ledger says %s by %s", left.State, left.Method)
		}
		w.do("POST", address, "")
		if again := w.events(sara, w.news.ID); len(again) != len(all) {
			w.Error("taking it back twice writes twice")
		}
		w.keep()
		for _, e := range w.events(sara, w.news.ID) {
			body := w.get(path(w.urls.Receipt(e.ID)) + ".json")
			conforms(w, ofReceipts, body)
			if said, ok := w.verify(body, w.get(path(w.urls.Receipt(e.ID))+".tlog-proof"), strings.TrimSpace(string(w.get("/log/key")))); !ok {
				w.Errorf("the receipt of %s: %s", e.State, said)
			}
		}

		w.write(func(tx *store.Tx) error {
			for _, sql := range []string{"DELETE FROM consent_evidence WHERE subscriber_id = ?", "DELETE FROM subject_keys WHERE subscriber_id = ?", "UPDATE subscribers SET email = '', name = '', erased_at = created_at WHERE id = ?"} {
				if _, err := tx.Run(sql, sara.ID); err != nil {
					return err
				}
			}
			return nil
		})
		page, body := w.get(address), w.get(address+".json")
		if strings.Contains(string(page), "sara@") || strings.Contains(string(body), "sara@") || !strings.Contains(string(page), "erased") {
			w.Errorf("the receipt of somebody erased:\n%s", page)
		}
		conforms(w, ofReceipts, body)
		if said, ok := w.verify(body, w.get(address+".tlog-proof"), strings.TrimSpace(string(w.get("/log/key")))); !ok || strings.Contains(said, "is true") {
			w.Errorf("it says: %s", said)
		}
	})
}

// What a program states is told as its own, though it use the names under which
// the service keeps what it has seen itself.
func TestAReceiptTellsWhatIsStatedFromWhatWasSeen(t *testing.T) {
	ofReceipts, _ := schemas(t)
	each(t, func(w *world) {
		sara := w.subscribe("sara@example.org", "news")
		var e consent.Event
		w.write(func(tx *store.Tx) (err error) {
			e, err = consent.Grant(tx, consent.Act{Brand: w.brand, Subscriber: sara.ID, Topic: w.offers, Basis: consent.BasisOperator, Method: consent.MethodAPI, Language: "en",
				Wording: "Yes.", Evidence: map[string]any{"asked_at": "2026-11-01T10:00:00Z", "confirmed_at": "2026-11-01T10:01:00Z", "confirm_ip": "198.51.100.77", "page": "https://trust.example/form", "delay_s": 60.0}})
			return err
		})
		page := string(w.get(path(w.urls.Receipt(e.ID)) + "?lang=en"))
		if strings.Contains(page, "How it was asked and confirmed") || !strings.Contains(page, "states about it") || !strings.Contains(page, "198.51.100.77") {
			w.Errorf("the receipt tells it as seen:\n%s", page)
		}
		body := w.get(path(w.urls.Receipt(e.ID)) + ".json")
		conforms(w, ofReceipts, body)
		var d struct {
			Record struct{ Collection map[string]any } `json:"record"`
		}
		if err := json.Unmarshal(body, &d); err != nil {
			w.Fatal(err)
		}
		stated, _ := d.Record.Collection["stated"].(map[string]any)
		if d.Record.Collection["confirmed_at"] != nil || stated["confirm_ip"] != "198.51.100.77" {
			w.Errorf("the document tells it as seen: %v\n%s", d.Record.Collection, body)
		}
	})
}

func TestReceiptsAreFound(t *testing.T) {
	each(t, func(w *world) {
		sara := w.subscribe("sara@example.org", "news")
		given := w.events(sara, w.news.ID)[1]
		address := w.urls.Receipt(given.ID)
		ref := w.mail(sara, w.news)
		for _, page := range []string{w.urls.Confirm(w.request().ID), w.urls.Preferences(w.brand.ID, sara.ID), w.urls.Why(ref)} {
			if !strings.Contains(string(w.get(path(page))), address) {
				w.Errorf("%s does not lead to the receipt", page)
			}
		}
		for _, bad := range []string{"/r/x", path(address) + "x", path(address) + ".xml", path(w.urls.Confirm(given.ID))[2:] + ""} {
			if rec := w.do("GET", "/r/"+strings.TrimPrefix(bad, "/r/"), ""); rec.Code != 404 {
				w.Errorf("%s: %d", bad, rec.Code)
			}
		}
		if rec := w.do("GET", "/log", ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), "no log yet") {
			w.Errorf("/log before there is one: %d %s", rec.Code, rec.Body)
		}
		w.keep()
		if page := string(w.get("/log")); !strings.Contains(page, "mail.example.org/log&#43;") || !strings.Contains(page, "VerifyInclusion") {
			w.Errorf("/log: %s", page)
		}
		for _, name := range []string{"consent-receipt/1.json", "consent-event/1.json"} {
			w.get("/schema/" + name)
		}
		if rec := w.do("GET", "/schema/..%2fmail/x", ""); rec.Code != 404 {
			w.Errorf("%d", rec.Code)
		}
	})
}
