package app_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"assent/internal/consent"
	"assent/internal/link"
	"assent/internal/store"
	"assent/internal/testkit"
)

// Somebody whose words stand nowhere else.
const (
	zulmail  = "zulaykha.q@vexlight.example"
	zulother = "zq.second@vexlight.example"
	zulname  = "Zulaykhabanu"
	zulip    = "203.0.113.217"
	zulnet   = "203.0.113."
)

// typed is the value of an input on a page.
func typed(page, name string) string {
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

// upload brings a file as a browser does.
func (v *visitor) upload(path, name, text string) {
	v.Helper()
	page, _ := v.at(path, nil)
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	form.WriteField("page", path)
	form.WriteField("once", typed(page, "once"))
	part, _ := form.CreateFormFile("file", name)
	io.WriteString(part, text)
	form.Close()
	res, err := v.client.Post(v.base+path, form.FormDataContentType(), &body)
	if err != nil {
		v.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.HasSuffix(res.Request.URL.Path, "/plan") {
		v.Fatalf("the file led to %s, %s", res.Request.URL, res.Status)
	}
}

// traces are the forms in which somebody can be left behind.
func traces() map[string][]byte {
	all := map[string][]byte{}
	for _, w := range []string{zulmail, zulother, "zulaykha.q", "zq.second", zulname, zulip, zulnet, "vexlight", "QX-7781"} {
		all[w] = []byte(w)
		all["hex of "+w] = []byte(hex.EncodeToString([]byte(w)))
		for i := range 3 { // as it stands in base64 after any beginning
			text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", i) + w))
			all[fmt.Sprintf("base64 (%d) of %s", i, w)] = []byte(text[4*((i+2)/3) : len(text)-4])
		}
		if strings.Contains(w, "@") {
			all["url of "+w] = []byte(url.QueryEscape(w))
			all["quoted-printable of "+w] = []byte(strings.ReplaceAll(w, "@", "=40"))
		}
	}
	return all
}

func search(t *testing.T, where string, text []byte) (found int) {
	t.Helper()
	low := bytes.ToLower(text)
	for name, trace := range traces() {
		if bytes.Contains(text, trace) || !strings.Contains(name, "base64") && bytes.Contains(low, bytes.ToLower(trace)) {
			at := bytes.Index(bytes.ToLower(text), bytes.ToLower(trace))
			from, to := max(0, at-80), min(len(text), at+120)
			if found++; found < 4 {
				t.Errorf("%s holds %s: %q", where, name, text[from:to])
			}
		}
	}
	return found
}

// everything reads the whole database, table by table.
func everything(t *testing.T, db *store.DB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := db.Read(context.Background(), func(tx *store.Tx) error {
		var tables []string
		if err := tx.Raw(tx.Pick("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()", "SELECT name FROM sqlite_master WHERE type = 'table'")).Scan(&tables).Error; err != nil {
			return err
		}
		for _, table := range tables {
			rows, err := tx.Raw(`SELECT * FROM "` + table + `"`).Rows()
			if err != nil {
				return err
			}
			names, _ := rows.Columns()
			for rows.Next() {
				values, into := make([]any, len(names)), make([]any, len(names))
				for i := range values {
					into[i] = &values[i]
				}
				if err := rows.Scan(into...); err != nil {
					return err
				}
				for i, v := range values {
					if b, ok := v.([]byte); ok {
						all[table] = append(append(all[table], b...), '\n')
					} else {
						all[table] = fmt.Appendf(all[table], "%s=%v\n", names[i], v)
					}
				}
			}
			if err := rows.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

type erased struct {
	*testing.T
	service *testkit.Service
	smtp    *testkit.SMTPServer
	api     testkit.API
	client  *http.Client
	form    string
	id      string
	options testkit.ServiceOptions
}

// send visits a page as she does, through the proxy that tells her address.
func (z *erased) send(method, address string, form url.Values) string {
	z.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, address, body)
	if err != nil {
		z.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", zulip)
	req.Header.Set("User-Agent", "Mozilla/5.0 "+zulname)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := z.client.Do(req)
	if err != nil {
		z.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode >= 400 {
		z.Fatalf("%s %s: %s: %.500s", method, address, res.Status, text)
	}
	return string(text)
}

func (z *erased) signUp() {
	z.Helper()
	var spec struct{ Token string }
	if err := json.Unmarshal([]byte(z.send("GET", z.service.Base+"/f/"+z.form+".json?lang=en", nil)), &spec); err != nil {
		z.Fatal(err)
	}
	time.Sleep(2200 * time.Millisecond)
	before := len(z.smtp.To(zulmail))
	z.send("POST", z.service.Base+"/f/"+z.form, url.Values{"email": {zulmail}, "name": {zulname}, "topic:letter": {"on"}, "topic:opens": {"on"}, "topic:clicks": {"on"}, "token": {spec.Token}, "lang": {"en"}})
	mail := z.smtp.WaitTo(z, zulmail, before+1, 20*time.Second)[before]
	z.send("POST", mail.Link(z, "/c/"), url.Values{"answer": {"yes"}})
}

func (z *erased) live() {
	z.api.Brand = "baharan"
	for _, slug := range []string{"letter", "offers"} {
		z.api.Must(z, "POST", "/topics", map[string]any{"slug": slug, "texts": map[string]any{"en": map[string]any{"name": slug, "wording": "Yes, send me " + slug + "."}}}, nil)
	}
	var made struct{ ID string }
	z.api.Must(z, "POST", "/forms", map[string]any{"name": "Footer", "topics": []string{"letter", "offers"}, "tracking": []string{"opens", "clicks"},
		"fields": []map[string]any{{"name": "name", "type": "text"}}}, &made)
	z.form = made.ID
	z.api.Must(z, "POST", "/sequences", map[string]any{"name": "Welcome", "topic": "letter", "steps": []map[string]any{
		{"send": map[string]any{"texts": []map[string]any{{"language": "en", "subject": "Welcome {{ subscriber.name }}", "html": `<p>Hello {{ subscriber.name }}, begin <a href="` + z.service.Base + `/healthz">here</a>.</p>`}}}},
		{"wait": map[string]any{"days": 3}},
		{"send": map[string]any{"texts": []map[string]any{{"language": "en", "subject": "Three", "html": `<p>Three.</p>`}}}}}}, &made)
	z.api.Must(z, "POST", "/sequences/"+made.ID+"/start", nil, nil)
	z.signUp()
	var found struct{ Items []struct{ ID string } }
	z.api.Must(z, "GET", "/subscribers?email="+url.QueryEscape(zulmail), nil, &found)
	z.id = found.Items[0].ID
	welcome := z.smtp.WaitTo(z, zulmail, 2, 20*time.Second)[1]
	at := strings.Index(welcome.HTML, z.service.Base+"/o/")
	if at < 0 {
		z.Fatalf("no pixel in %s", welcome.HTML)
	}
	pixel, _, _ := strings.Cut(welcome.HTML[at:], `"`)
	z.send("GET", pixel, nil)
	z.send("GET", welcome.Link(z, "/l/"), nil)
	for path, body := range map[string]map[string]any{
		"/orders": {"number": "QX-7781", "email": zulmail, "placed_at": z.service.Now().UTC().Format(time.RFC3339),
			"total": map[string]any{"amount": 2300, "currency": "EUR"}, "items": 1},
		"/subscribers":                   {"email": zulmail, "tags": []string{"of-" + zulname}},
		"/subscribers/" + z.id + "/tags": {"add": []string{"vexlight-club"}},
	} {
		if a, err := z.api.Do("POST", path, body, "Idempotency-Key", "k"+fmt.Sprint(len(path))); err != nil || a.Status >= 300 {
			z.Fatalf("%s: %v %s", path, err, a.Body)
		}
	}
	z.api.Must(z, "PATCH", "/subscribers/"+z.id, map[string]any{"name": zulname, "attributes": map[string]any{"street": "vexlight"}}, nil)
	prefs := welcome.Link(z, "/p/")
	z.send("POST", prefs, url.Values{"do": {"address"}, "email": {zulother}})
	z.smtp.WaitTo(z, zulother, 1, 20*time.Second)
	z.send("POST", prefs+"/request", url.Values{"kind": {"correction"}, "text": {"I am " + zulname + " of vexlight"}})
	if text := z.send("POST", prefs+"/data", url.Values{}); !strings.Contains(text, zulmail) || !strings.Contains(text, "QX-7781") || !strings.Contains(text, zulip) || !strings.Contains(text, "Yes, send me letter.") || !strings.Contains(text, "Welcome") {
		z.Errorf("the export lacks something: %s", text)
	}
}

// desk does what the team does with her: a note, her word on paper with its scan,
// and a list with her in it that nobody has begun to bring in. She takes part in
// what the brand lets her: an idea, and a friend.
func (z *erased) desk(mina *visitor) {
	settings, _ := mina.at("/admin/b/baharan/ideas/settings", nil)
	mina.at("/admin/b/baharan/ideas/settings", url.Values{"version": {typed(settings, "version")}, "once": {typed(settings, "once")}, "ideas": {"yes"}, "invitations": {"yes"}, "form": {z.form}})
	z.send("POST", z.prefs()+"/ideas", url.Values{"do": {"propose"}, "title": {"Letters of " + zulname}, "reason": {"I am of vexlight."}})
	z.send("POST", z.prefs()+"/invite", url.Values{"email": {"friend@elsewhere.example"}, "name": {zulname}, "topic:letter": {"on"}})
	if mail := z.smtp.WaitTo(z, "friend@elsewhere.example", 1, 20*time.Second)[0]; !strings.Contains(mail.Text, zulname) {
		z.Errorf("the friend reads %s", mail.Text)
	}
	z.api.Must(z, "POST", "/subscribers/"+z.id+"/statements", map[string]any{"topics": []string{"offers"}, "method": "paper", "said_on": "2026-11-01",
		"place": "the stand of vexlight", "words": "Yes, send me offers.", "by": "Ana, who knows " + zulname, "scan": []byte("%PDF-1.4\n% " + zulname)}, nil)
	mina.upload("/admin/b/baharan/imports/new", "people.csv", "email,name\n"+zulmail+","+zulname+"\nother@elsewhere.example,Other\n")
	mina.at("/admin/b/baharan/people/"+z.id+"/notes", url.Values{"page": {"/admin/b/baharan/people/" + z.id}, "note": {zulname + " rang"}})
	mina.at("/admin/b/baharan/people?q="+url.QueryEscape(zulmail), nil)
}

// check verifies the receipts that her page leads to as anybody can who has a file,
// its proof and the key of the log: by the program of its own.
func (z *erased) check() {
	z.Helper()
	program := filepath.Join(z.TempDir(), "verify")
	if out, err := exec.Command("go", "build", "-o", program, "../receipt/testdata/verify").CombinedOutput(); err != nil {
		z.Fatal(string(out), err)
	}
	var links []string
	for _, m := range regexp.MustCompile(`href="([^"]*/r/[^"#?]+)`).FindAllStringSubmatch(z.send("GET", z.prefs(), nil), -1) {
		links = append(links, html.UnescapeString(m[1]))
	}
	if len(links) < 3 {
		z.Fatalf("her page leads to the receipts %v", links)
	}
	dir := z.TempDir()
	for i, link := range links {
		if strings.HasPrefix(link, "/") {
			link = z.service.Base + link
		}
		receipt, proof := filepath.Join(dir, fmt.Sprint(i, ".json")), filepath.Join(dir, fmt.Sprint(i, ".tlog-proof"))
		for file, address := range map[string]string{receipt: link + ".json", proof: link + ".tlog-proof"} {
			if err := os.WriteFile(file, []byte(z.send("GET", address, nil)), 0o600); err != nil {
				z.Fatal(err)
			}
		}
		key := strings.TrimSpace(z.send("GET", z.service.Base+"/log/key", nil))
		if out, err := exec.Command(program, receipt, proof, key).CombinedOutput(); err != nil || !strings.Contains(string(out), "is true") {
			z.Errorf("%s: %s %v", link, out, err)
		}
	}
}

func (z *erased) prefs() string { return z.smtp.To(zulmail)[1].Link(z, "/p/") }

// Nothing of somebody is left who was erased: not in a table, a file of the data
// folder or the database, Redis, or the log. What they said is still a valid
// ledger; they are not written to; they can sign up again.
func TestNothingOfThemIsLeft(t *testing.T) {
	for name, run := range map[string]func(t *testing.T){
		"sqlite": func(t *testing.T) { nothingIsLeft(t, testkit.ServiceOptions{}, "") },
		"postgres": func(t *testing.T) {
			pg, rd := testkit.PostgresServer(t), testkit.RedisServer(t)
			nothingIsLeft(t, testkit.ServiceOptions{Database: pg.URL, Redis: rd.URL}, rd.URL)
		},
	} {
		t.Run(name, run)
	}
}

func nothingIsLeft(t *testing.T, o testkit.ServiceOptions, redisURL string) {
	z := &erased{T: t, smtp: testkit.SMTP(t), client: &http.Client{Timeout: 20 * time.Second}}
	o.SMTP, o.TestClock, o.Env = z.smtp.URL, true, []string{"ASSENT_TRUSTED_PROXIES=127.0.0.0/8"}
	z.options = o
	z.service = testkit.NewService(t, o)
	mina := newVisitor(t, z.service.Base)
	welcome := z.service.Welcome(t)
	mina.at("/admin/welcome", url.Values{"code": welcome.Query()["code"], "name": {"Mina"}, "email": {"mina@baharan.example"}, "password": {"a long sentence, twice"}, "language": {"en"}})
	mina.at("/admin/brands/new", url.Values{"language": {"en"}, "texts.en.name": {"Baharan"}, "texts.en.postal_address": {"12 Enghelab Street"}, "sender_email": {"post@baharan.example"}, "website": {"https://baharan.example"}, "time_zone": {"Asia/Tehran"}})
	z.api = testkit.API{Base: z.service.Base, Key: z.service.Key(t)}
	z.live()
	z.desk(mina)
	z.erase(redisURL)
}

func (z *erased) open() *store.DB {
	z.Helper()
	ring, err := link.NewRing([]byte("only-for-tests-0123456789abcdefghijklmnopqrstuvwxyz"))
	if err != nil {
		z.Fatal(err)
	}
	address := z.options.Database
	if address == "" {
		address = "sqlite:" + filepath.Join(z.service.Dir, "assent.db")
	}
	db, err := store.Open(context.Background(), address, store.Options{Ring: ring})
	if err != nil {
		z.Fatal(err)
	}
	return db
}

func (z *erased) erase(redisURL string) {
	backup := filepath.Join(z.TempDir(), "backup")
	z.service.Stop()
	before := z.open()
	seen := 0
	for _, text := range everything(z.T, before) {
		for _, trace := range traces() {
			if bytes.Contains(text, trace) {
				seen++
			}
		}
	}
	before.Close()
	if seen < 10 {
		z.Fatalf("the search found only %d traces before: it finds nothing", seen)
	}
	if _, err := z.service.Run("", "backup", backup); err != nil {
		z.Fatal(err)
	}
	if err := z.service.Start(); err != nil {
		z.Fatal(err)
	}
	z.check()
	prefs := z.prefs()
	z.send("GET", prefs+"/forget", nil)
	for range 2 {
		if page := z.send("POST", prefs+"/forget", url.Values{"do": {"forget"}}); !strings.Contains(page, "You are forgotten") {
			z.Errorf("forgetting says %s", page)
		}
	}
	mails := len(z.smtp.To(zulmail))
	z.service.Pass(z, 4*24*time.Hour)
	if a, err := z.api.Do("POST", "/subscribers/"+z.id+"/consents", map[string]any{"topic": "letter", "basis": "operator", "evidence": map[string]any{"paper": "1"}}); err != nil || a.Status < 400 {
		z.Errorf("a consent for somebody erased: %d, %v", a.Status, err)
	}
	time.Sleep(3 * time.Second)
	if n := len(z.smtp.To(zulmail)); n != mails {
		z.Errorf("%d mails came after the erasure", n-mails)
	}
	if redisURL != "" {
		z.searchRedis(redisURL)
	}
	z.oneClick(z.smtp.To(zulmail)[1].Link(z, "/u/"))
	log := z.service.Log()
	z.service.Stop()
	if out, err := z.service.Run("", "ledger", "verify"); err != nil || !strings.Contains(out, "Everything is as it was logged.") {
		z.Errorf("the log after the erasure: %s %v", out, err)
	}
	if _, err := z.service.Run("", "vacuum"); err != nil {
		z.Fatal(err)
	}
	search(z.T, "the log", log)
	db := z.open()
	for table, text := range everything(z.T, db) {
		search(z.T, "table "+table, text)
	}
	z.ledgerHolds(db)
	db.Close()
	z.searchFiles(z.service.Dir)
	if u, err := url.Parse(z.options.Database); err == nil && u.Query().Get("host") != "" {
		z.searchFiles(filepath.Join(u.Query().Get("host"), "data")) // but the log of transactions, which PostgreSQL writes over
	}
	if list, err := os.ReadFile(filepath.Join(z.service.Dir, "erasures")); err != nil || !strings.HasPrefix(string(list), z.id+" ") {
		z.Errorf("the list of erasures is %q, %v", list, err)
	}
	if z.options.Database == "" {
		z.restore(backup)
	}
	if err := z.service.Start(); err != nil {
		z.Fatal(err)
	}
	z.again()
}

// restore brings yesterday's copy back, in which she is whole, and erases her anew.
func (z *erased) restore(backup string) {
	for _, f := range []string{"assent.db", "assent.db-wal", "assent.db-shm"} {
		os.Remove(filepath.Join(z.service.Dir, f))
	}
	said, err := z.service.Run("", "restore", backup)
	if err != nil || !strings.Contains(said, "1 people") {
		z.Fatalf("restore says %q, %v", said, err)
	}
	for _, args := range [][]string{{"vacuum"}, {"restore", "--resume"}} {
		if _, err := z.service.Run("", args...); err != nil {
			z.Fatal(err)
		}
	}
	db := z.open()
	defer db.Close()
	for table, text := range everything(z.T, db) {
		search(z.T, "after a restore, table "+table, text)
	}
	z.ledgerHolds(db)
}

// oneClick leaves as a mailbox provider does, in both encodings of RFC 8058 §3.2.
func (z *erased) oneClick(leave string) {
	z.Helper()
	var parts bytes.Buffer
	form := multipart.NewWriter(&parts)
	form.WriteField("List-Unsubscribe", "One-Click")
	form.Close()
	for kind, body := range map[string]string{"application/x-www-form-urlencoded": "List-Unsubscribe=One-Click", form.FormDataContentType(): parts.String()} {
		res, err := z.client.Post(leave, kind, strings.NewReader(body))
		if err != nil {
			z.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK || res.Header.Get("Location") != "" || len(res.Cookies()) > 0 || res.Request.URL.String() != leave {
			z.Errorf("one-click of somebody erased, as %s: %s %v", kind, res.Status, res.Header)
		}
	}
}

func (z *erased) ledgerHolds(db *store.DB) {
	z.Helper()
	err := db.Read(context.Background(), func(tx *store.Tx) error {
		var brands []uuid.UUID
		id := uuid.MustParse(z.id)
		if err := tx.Raw("SELECT brand_id FROM subscribers WHERE id = ?", id).Scan(&brands).Error; err != nil {
			return err
		}
		events, err := consent.History(tx, brands[0], id)
		if err != nil || len(events) < 6 {
			return fmt.Errorf("%d events, %w", len(events), err)
		}
		for _, e := range events {
			if !consent.CheckLeaf(e) {
				z.Errorf("the leaf of %s no longer holds", e.ID)
			}
		}
		return nil
	})
	if err != nil {
		z.Error(err)
	}
}

func (z *erased) searchFiles(dir string) {
	z.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "pg_wal" {
			return fs.SkipDir
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil {
			search(z.T, "file "+path, text)
		}
		return err
	})
	if err != nil {
		z.Error(err)
	}
}

func (z *erased) searchRedis(address string) {
	z.Helper()
	u, _ := url.Parse(address)
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: u.Path})
	defer client.Close()
	ctx := context.Background()
	keys, err := client.Keys(ctx, "*").Result()
	if err != nil || len(keys) == 0 {
		z.Errorf("Redis has %d keys, %v", len(keys), err)
	}
	for _, key := range keys {
		value, _ := client.Dump(ctx, key).Result()
		search(z.T, "Redis", []byte(key+"\n"+value))
	}
}

// again: the same person signs up anew, and is somebody new.
func (z *erased) again() {
	z.service.Pass(z, 40*24*time.Hour) // their share of confirmation mails is counted on
	z.signUp()
	var found struct{ Items []struct{ ID string } }
	z.api.Must(z, "GET", "/subscribers?email="+url.QueryEscape(zulmail), nil, &found)
	if len(found.Items) != 1 || found.Items[0].ID == z.id {
		z.Fatalf("signed up again: %+v", found)
	}
	var s struct {
		Permissions []struct {
			Topic   string
			Allowed bool
		}
	}
	z.api.Must(z, "GET", "/subscribers/"+found.Items[0].ID, nil, &s)
	for _, p := range s.Permissions {
		if !p.Allowed {
			z.Errorf("%s is not allowed to somebody who came back", p.Topic)
		}
	}
	if len(s.Permissions) != 3 {
		z.Errorf("they allow %+v", s.Permissions)
	}
}
