package admin

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	flog "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"assent/internal/brand"
	"assent/internal/campaign"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/ledger"
	"assent/internal/receipt"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// keepLog gives what is pending its place in the log.
func (w *world) keepLog() {
	w.Helper()
	outside, err := ledger.OpenOutside(w.TempDir())
	w.must(err)
	k, err := ledger.Start(context.Background(), ledger.Options{DB: w.db, Outside: outside, Origin: "mail.example.org/log", Log: slog.New(slog.DiscardHandler)})
	w.must(err)
	defer k.Stop()
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		n := 1
		w.write(func(tx *store.Tx) error {
			return tx.Raw("SELECT (SELECT count(*) FROM log_pending) + (SELECT count(*) FROM logs WHERE shown_size < size OR size = 0)").Scan(&n).Error
		})
		if n == 0 {
			return
		}
	}
	w.Fatal("the log does not take what is pending")
}

// unzip reads an archive that a page answered with.
func (w *world) unzip(body string) map[string]string {
	w.Helper()
	z, err := zip.NewReader(strings.NewReader(body), int64(len(body)))
	if err != nil {
		w.Fatalf("%v: %.300s", err, body)
	}
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		w.must(err)
		text, err := io.ReadAll(r)
		w.must(err)
		files[f.Name] = string(text)
	}
	return files
}

func (w *world) deeds(what string) (n int) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return tx.Raw("SELECT count(*) FROM deeds WHERE what = ?", what).Scan(&n).Error
	})
	return n
}

func (w *world) letterOf(b brand.Brand) (t consent.Topic) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { t, err = consent.TopicBySlug(tx, b.ID, "letter"); return err })
	return t
}

// sentTo is a campaign that the person got.
func (w *world) sentTo(s subscriber.Subscriber) (id uuid.UUID) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		c, err := campaign.Create(tx, w.brand, campaign.New{Name: "Autumn", Topic: w.topic.ID, Texts: []delivery.Text{{Language: "en", Subject: "Hello", HTML: "<p>Hello</p>"}}})
		if err != nil {
			return err
		}
		id = c.ID
		may, err := consent.May(tx, w.brand, s.ID, w.topic.ID)
		if err != nil {
			return err
		}
		if err := delivery.OpenStream(tx, w.brand.ID, delivery.OriginCampaign, c.ID); err != nil {
			return err
		}
		_, _, err = delivery.Queue(tx, delivery.Draft{Source: c.EditionID, Stream: c.ID, Brand: w.brand.ID, Subscriber: &s.ID, Kind: delivery.Marketing,
			Topic: &w.topic.ID, ConsentEvent: &may.Event, Content: &c.ContentID, Language: "en", Due: tx.Now()})
		if err != nil {
			return err
		}
		for _, sql := range []string{"UPDATE campaigns SET state = 'sent' WHERE id = ?", "DELETE FROM outbox WHERE stream_id = ?"} {
			if _, err := tx.Run(sql, c.ID); err != nil {
				return err
			}
		}
		_, err = tx.Run("UPDATE messages SET state = 'sent', settled_at = ? WHERE source_id = ?", tx.Now(), c.EditionID)
		return err
	})
	return id
}

// sendAlone posts the form of a page to itself.
func (b *browser) sendAlone(page string) (int, string) {
	b.Helper()
	got := b.submit(page, url.Values{})
	return got.status, got.body
}

// acts reports whether a text holds an address that acts for the person.
func acts(text string) bool {
	return slices.ContainsFunc([]string{"/p/", "/r/", "/u/", "/c/", "/k/", "#withdraw"}, func(at string) bool { return strings.Contains(text, at) })
}

// The team reads what the person holds, and can do nothing with it.
func TestTheDesksCopyOfAReceipt(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person(w.brand, w.topic, "ana@example.org", consent.Requested, consent.Given)
		rosa := w.person(w.brand, w.topic, "rosa@example.org", consent.Requested)
		theirs := w.person(w.marble, w.letterOf(w.marble), "bob@example.org", consent.Requested)
		w.keepLog()
		w.pass(time.Second)
		b := w.in(email)
		event := func(br brand.Brand, s subscriber.Subscriber) (id uuid.UUID) {
			w.write(func(tx *store.Tx) error {
				all, err := consent.History(tx, br.ID, s.ID)
				id = all[len(all)-1].ID
				return err
			})
			return id
		}
		person := b.get(overview + "/people/" + ana.ID.String())
		at := overview + "/people/" + ana.ID.String() + "/receipts/" + event(w.brand, ana).String()
		if person.status != http.StatusOK || !strings.Contains(person.body, at) || acts(person.body) {
			w.Errorf("the person's page lacks the receipt at the desk, or acts for them: %d", person.status)
		}
		for where, want := range map[string]string{at: `id="check"`, at + "/json": `"leaf_b64"`, at + "/tlog-proof": "c2sp.org/tlog-proof@v1"} {
			got := b.get(where)
			if got.status != http.StatusOK || !strings.Contains(got.body, want) || acts(got.body) || strings.Contains(got.body, `id="withdraw"`) {
				w.Errorf("%s: %d, acts for them: %t\n%.600s", where, got.status, acts(got.body), got.body)
			}
		}
		people := overview + "/people/"
		for _, where := range []string{at + "/zip", people + rosa.ID.String() + "/receipts/" + event(w.brand, ana).String(),
			people + ana.ID.String() + "/receipts/" + event(w.marble, theirs).String(), people + theirs.ID.String() + "/receipts/" + event(w.marble, theirs).String()} {
			if got := b.get(where); got.status != http.StatusNotFound {
				w.Errorf("%s: %d", where, got.status)
			}
		}
	})
}

func TestTheProofOfAPersonAndOfACampaign(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person(w.brand, w.topic, "ana@example.org", consent.Requested, consent.Given)
		theirs := w.person(w.marble, w.letterOf(w.marble), "bob@example.org", consent.Requested)
		id := w.sentTo(ana)
		w.keepLog()
		w.pass(time.Second)
		b := w.in(email)

		status, body := b.sendAlone(overview + "/people/" + ana.ID.String() + "/proof")
		if status != http.StatusOK {
			w.Errorf("a person's proof: %d %.300s", status, body)
			return
		}
		files := w.unzip(body)
		receipts := 0
		for name, text := range files {
			if strings.HasSuffix(name, "/receipt.json") {
				receipts++
				if !json.Valid([]byte(text)) || !strings.Contains(files[strings.TrimSuffix(name, "json")+"tlog-proof"], "c2sp.org/tlog-proof@v1") {
					w.Errorf("%s: %.200s", name, text)
				}
			}
			if acts(text) {
				w.Errorf("%s lets the team act for the person", name)
			}
		}
		if receipts != 2 || files["readme.txt"] == "" || files["verify/main.go"] != receipt.Program || w.deeds("people.proof") != 1 {
			w.Errorf("%d receipts, %d deeds, %v", receipts, w.deeds("people.proof"), files["readme.txt"])
		}

		status, body = b.sendAlone(overview + "/campaigns/" + id.String() + "/proof")
		if status != http.StatusOK {
			w.Errorf("a campaign's proof: %d %.300s", status, body)
			return
		}
		files = w.unzip(body)
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(files["mails.csv"], "\uFEFF"))).ReadAll()
		if err != nil || len(rows) != 2 || rows[1][1] != "ana@example.org" || rows[1][6] != "given" {
			w.Errorf("%v %v", err, rows)
		}
		v, err := note.NewVerifier(strings.TrimSpace(files["log-key.txt"]))
		w.must(err)
		head, _, _, err := flog.ParseCheckpoint([]byte(files["checkpoint"]), v.Name(), v)
		w.must(err)
		var line receipt.Line
		w.must(json.NewDecoder(bytes.NewBufferString(files["proofs.ndjson"])).Decode(&line))
		h := rfc6962.DefaultHasher
		if err := proof.VerifyInclusion(h, uint64(line.Index), head.Size, h.HashLeaf(line.Leaf), line.Hashes, head.Hash); err != nil || fmt.Sprint(line.Index) != rows[1][8] || line.Event != rows[1][5] {
			w.Errorf("the line %+v of %v: %v", line, rows[1], err)
		}
		if w.deeds("campaign.proof") != 1 {
			w.Error("nobody wrote down that a campaign's proof was saved")
		}

		for _, elsewhere := range []string{"/people/" + theirs.ID.String(), "/people/" + uuid.NewString(), "/campaigns/" + uuid.NewString()} {
			if status, _ := b.sendAlone(overview + elsewhere + "/proof"); status != http.StatusNotFound {
				w.Errorf("%s: %d", elsewhere, status)
			}
		}
		if w.deeds("people.proof") != 1 {
			w.Error("what was not given is in the log of deeds")
		}
	})
}
