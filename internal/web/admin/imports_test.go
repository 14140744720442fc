package admin

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/importer"
	"assent/internal/store"
	"assent/internal/testkit"
)

const importsPage = overview + "/imports"

// send brings a file as a browser does.
func (b *browser) send(name, text, once string) answer {
	b.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	b.must(form.WriteField("page", importsPage+"/new"))
	b.must(form.WriteField("once", once))
	part, err := form.CreateFormFile("file", name)
	b.must(err)
	_, err = part.Write([]byte(text))
	b.must(err)
	b.must(form.Close())
	return b.ask("POST", importsPage+"/new", &body, "Content-Type", form.FormDataContentType())
}

// bring sends a file through the page, and gives the address of its import.
func (b *browser) bring(name, text string) string {
	b.Helper()
	got := b.send(name, text, field(b.mustShow(importsPage+"/new").body, "once"))
	if got.status != http.StatusSeeOther || !strings.HasSuffix(got.location, "/plan?did=import.upload") {
		b.Fatalf("brought: %d to %s\n%s", got.status, got.location, got.body)
	}
	return strings.TrimSuffix(got.location, "/plan?did=import.upload")
}

// planOf is the form as the page guesses it, with fields of its own.
func (b *browser) planOf(page string, fields ...string) url.Values {
	b.Helper()
	body := b.mustShow(page + "/plan").body
	v := url.Values{"page": {field(body, "page")}, "once": {field(body, "once")}, "header": {"yes"}, "dates": {"iso"}, "language": {"en"}}
	for n := 0; strings.Contains(body, `name="`+columnField(n)+`"`); n++ {
		_, rest, _ := strings.Cut(body, `name="`+columnField(n)+`"`)
		options, _, _ := strings.Cut(rest, "</select>")
		before, _, chosen := strings.Cut(options, `" selected`)
		if chosen {
			v.Set(columnField(n), before[strings.LastIndexByte(before, '"')+1:])
		}
		v.Set("attribute."+columnField(n), field(body, "attribute."+columnField(n)))
	}
	for i := 0; i+1 < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	return v
}

func (b *browser) begin(page string, fields ...string) {
	b.Helper()
	got := b.submit(page+"/plan", b.planOf(page, fields...))
	if got.status != http.StatusSeeOther || got.location != page+"?did=import.start" {
		b.Fatalf("begun: %d to %s\n%s", got.status, got.location, got.body)
	}
}

// read does what the worker would.
func (w *world) read(page string) {
	w.Helper()
	_, err := importer.Work(w.Context(), w.db, page[strings.LastIndexByte(page, '/')+1:])
	w.must(err)
}

func (b *browser) button(page, what string) answer {
	b.Helper()
	return b.submit(page+"/"+what, url.Values{"page": {page + "/" + what}, "once": {uuid.NewString()}})
}

const oldList = "E-mail;Name;Consent date;Source\r\n" +
	"sara@example.org;<b>Sara</b>;2026-03-01;https://old.example/form\r\n" +
	"left@example.org;Left;2026-03-01;fair\r\n" +
	"nodate@example.org;=cmd|' /C calc'!A0;;\r\n" +
	"=HYPERLINK(1);Evil;2026-03-01;fair\r\n" +
	"long@example.org;" // and a name of 300 characters

// From the file to the permissions, with what waits, what is refused, and what
// is told of it.
func TestAListThroughThePages(t *testing.T) {
	each(t, func(w *world) {
		w.person(w.brand, w.topic, "left@example.org", consent.Given, consent.Withdrawn)
		b := w.in(email)
		b.mustShow(importsPage, "No list was brought in yet.", "Bring in a list")
		for text, want := range map[string]string{"": "There is nothing in this file.", "PK\x03\x04x": "This is a spreadsheet", "a\xe9b,c\n": "CSV UTF-8"} {
			if got := b.send("x.csv", text, uuid.NewString()); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, want) {
				w.Errorf("%q: %d\n%s", text, got.status, got.body)
			}
		}
		list := oldList + strings.Repeat("n", 300) + ";2026-03-01;fair\r\n"
		page := b.bring("old <list>.csv", list)
		b.mustShow(page+"/plan", "old &lt;list&gt;.csv", "&lt;b&gt;Sara&lt;/b&gt;", "about 6 rows")
		bad := b.submit(page+"/plan", b.planOf(page, "column.0", "", "day", "soon", "basis", "import"))
		if bad.status != http.StatusUnprocessableEntity || !strings.Contains(bad.body, "which column holds the e-mail") || !strings.Contains(bad.body, "what these people allowed") || !strings.Contains(bad.body, `value="soon"`) {
			w.Fatalf("a plan with holes: %d\n%s", bad.status, bad.body)
		}
		form := b.planOf(page, "topics", w.topic.ID.String(), "basis", "import")
		var clicks sync.WaitGroup
		for range 3 {
			clicks.Go(func() {
				if got := b.submit(page+"/plan", form); got.status != http.StatusSeeOther || got.location != page+"?did=import.start" {
					w.Errorf("begun: %d to %s\n%s", got.status, got.location, got.body)
				}
			})
		}
		clicks.Wait()
		w.read(page)
		shown := b.mustShow(page, "One of 5 rows brought a new permission.", "One row came without evidence and waits.", "took their permission back", "at most 120 characters", "a domain after it", "=HYPERLINK(1)").body
		b.mustShow(overview, "waits for evidence of a permission", "Give evidence", page)
		if strings.Contains(shown, "<b>Sara") {
			w.Error("markup of a list is markup of ours")
		}
		report := b.get(page + "/report")
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(report.body, "\ufeff"))).ReadAll()
		if err != nil || len(rows) != 4 || !strings.HasPrefix(report.header.Get("Content-Type"), "text/csv") || rows[2][2] != "'=HYPERLINK(1)" {
			w.Errorf("the report: %v %q", err, rows)
		}
		b.mustShow(page+"/waiting", "nodate@example.org", "the day is missing", "=cmd|")
		wrong := b.submit(page+"/waiting", b.fill(page+"/waiting", "basis", "explicit", "day", "2026-02-01", "source", "letters on paper"))
		if wrong.status != http.StatusUnprocessableEntity || !strings.Contains(wrong.body, "letters on paper") {
			w.Errorf("no words for a yes to words: %d\n%s", wrong.status, wrong.body)
		}
		if got := b.submit(page+"/waiting", b.fill(page+"/waiting", "basis", "operator", "day", "۱۴۰۴/۱۱/۱۲", "source", "letters on paper")); got.location != page+"?did=import.release" {
			w.Errorf("given evidence: %d to %s\n%s", got.status, got.location, got.body)
		}
		w.read(page)
		b.mustShow(page, "2 of 5 rows brought a new permission.", "told to your team", "1 February 2026")
		if got := b.mustShow(overview+"/people?q=nodate@example.org", "nodate@example.org"); strings.Contains(got.body, "never asked") {
			w.Error("nothing is recorded of who waited")
		}
		again := b.bring("again.csv", list)
		b.mustShow(again+"/plan", "This very file was imported on", "by Mina")
		if got := b.button(again, "throw"); got.location != importsPage+"?did=import.throw" {
			w.Errorf("thrown away: %d to %s", got.status, got.location)
		}
		if got := b.get(again); got.status != http.StatusNotFound {
			w.Errorf("what was thrown away: %d", got.status)
		}
		log := b.mustShow(overview+"/log", "Brought a file", "Began to bring in the list", "Gave rows of the list evidence", "Threw the file away").body
		if n := strings.Count(log, "Began to bring in the list"); n != 1 {
			w.Errorf("begun %d times in the log", n)
		}
	})
}

// A second click brings the file once; a reader sees no people; to another brand
// there is nothing; it can be stopped and goes on.
func TestWhoMayBringLists(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		once := field(b.mustShow(importsPage+"/new").body, "once")
		first, second := b.send("a.csv", "email\na@example.org\n", once), b.send("a.csv", "email\na@example.org\n", once)
		if first.location == "" || first.location != second.location {
			w.Errorf("two clicks lead to %s and %s", first.location, second.location)
		}
		if n := strings.Count(b.mustShow(importsPage).body, "a.csv"); n != 1 {
			w.Errorf("%d files of two clicks", n)
		}
		page := strings.TrimSuffix(first.location, "/plan?did=import.upload")
		b.begin(page, "topics", w.topic.ID.String())
		if got := b.button(page, "stop"); got.location != page+"?did=import.stop" {
			w.Errorf("stopped: %d\n%s", got.status, got.body)
		}
		w.read(page)
		b.mustShow(page, "Stopped after 0 rows.", "Go on", "End it here")
		if got := b.button(page, "stop"); got.status != http.StatusConflict || !strings.Contains(got.body, "there is nothing to stop") {
			w.Errorf("stopped twice: %d\n%s", got.status, got.body)
		}
		if got := b.button(page, "resume"); got.location != page+"?did=import.resume" {
			w.Errorf("let go on: %d\n%s", got.status, got.body)
		}
		w.read(page)
		b.mustShow(page, "0 of 1 rows brought a new permission.")
		if got := b.button(page, "waiting/drop"); got.location != page+"?did=import.drop" {
			w.Errorf("dropped: %d\n%s", got.status, got.body)
		}
		if strings.Contains(b.mustShow(page+"/waiting", "No row waits").body, "a@example.org") {
			w.Error("what was dropped is there")
		}
		analyst := w.in2("analyst@baharan.example", account.Analyst)
		if shown := analyst.mustShow(page).body; strings.Contains(shown, page+"/report") || strings.Contains(shown, `method="post" action="`+page) {
			w.Error("an analyst is offered what they may not")
		}
		w.role(w.mina, w.marble, account.Owner)
		other := strings.Replace(page, "/baharan/", "/marble/", 1)
		for _, path := range []string{"", "/plan", "/waiting", "/report", "/live"} {
			if got := b.get(other + path); got.status != http.StatusNotFound {
				w.Errorf("another brand's import%s: %d", path, got.status)
			}
		}
		for _, path := range []string{"/plan", "/throw", "/stop", "/resume", "/leave", "/waiting", "/waiting/drop"} {
			if got := b.submit(other+path, url.Values{"page": {other + path}}); got.status != http.StatusNotFound {
				w.Errorf("another brand's import, sent to %s: %d", path, got.status)
			}
		}
	})
}

// Addresses that somebody else judged come out as this house judges them, each
// with its row.
func TestAListOfRealAddresses(t *testing.T) {
	folder := os.Getenv("ASSENT_TESTDATA")
	if folder == "" {
		folder = "../../../../shared/data"
	}
	raw, err := os.ReadFile(filepath.Join(folder, "addresses", "tests.json"))
	if err != nil {
		t.Skipf("without the real addresses: %v", err)
	}
	var tests [][2]string // the address, and what is wrong with it
	if err := json.Unmarshal(raw, &tests); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	out := csv.NewWriter(&text)
	w0 := out.Write([]string{"email", "n"})
	n := 0
	for _, x := range tests {
		if !strings.ContainsRune(x[0], 0) { // such a row cannot be read; that is told too, of the row
			w0 = errors.Join(w0, out.Write([]string{x[0], "1"}))
			n++
		}
	}
	out.Flush()
	if err := errors.Join(w0, out.Error()); err != nil || n < 200 {
		t.Fatalf("%d addresses: %v", n, err)
	}
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	b := w.in(email)
	page := b.bring("addresses.csv", text.String())
	b.begin(page, "topics", w.topic.ID.String(), "basis", "import", "day", "2026-01-01", "source", "test")
	w.read(page)
	w.write(func(tx *store.Tx) error {
		i, err := importer.Find(tx, w.brand.ID, uuid.MustParse(page[strings.LastIndexByte(page, '/')+1:]))
		if err != nil || i.RowsRead != int64(n) || i.Recorded == 0 || i.Refused == 0 || i.RowsRead != i.Recorded+i.Allowed+i.Refused {
			t.Errorf("of %d addresses came %+v: %v", n, i.Counts, err)
		}
		return nil
	})
}

// The page counts on by itself.
func TestAnImportIsWatchedLive(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	b := w.in(email)
	page := b.bring("live.csv", "email\na@example.org\nb@example.org\n")
	p := w.tab()
	p.signInByKeyboard(page + "/plan")
	eval[bool](p, "document.querySelector('[name=topics]').click() || true")
	eval[bool](p, "(document.querySelector('#f-basis').value = 'import', true)")
	eval[bool](p, "(document.querySelector('#f-day').value = '2026-01-01', document.querySelector('#f-source').value = 'fair', true)")
	eval[bool](p, "document.querySelector('#start').click() || true")
	p.until("document.getElementById('ask').open && document.getElementById('ask').innerText.includes('3 rows')")
	eval[bool](p, "document.querySelector('#ask [value=yes]').click() || true")
	p.until("document.querySelector('.answer-text')?.textContent.includes('0 rows read')")
	w.read(page)
	p.until("document.querySelector('.answer-text').textContent.includes('2 of 2 rows brought') && !document.querySelector('#act-stop')")
}

// As TestPagesAreSound, for imports in the states that look different.
func TestImportPagesAreSound(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	w.role(w.mina, w.marble, account.Owner)
	w.person(w.brand, w.topic, "left@example.org", consent.Given, consent.Withdrawn)
	b := w.in(email)
	list := oldList + strings.Repeat("n", 300) + ";2026-03-01;fair\r\n"
	done := b.bring("Subscribers of the old system, exported in November 2026, with everything there was.csv", list)
	b.begin(done, "topics", w.topic.ID.String(), "basis", "import", "words", "Yes, write to me.")
	w.read(done)
	w.pass(time.Minute)
	running := b.bring("running.csv", list+"x@example.org;;;\r\n")
	b.begin(running, "topics", w.topic.ID.String(), "basis", "import")
	w.pass(time.Minute)
	ready := b.bring("ready.csv", list)
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.signInByKeyboard(homePath)
		for name, path := range map[string]string{"imports": importsPage + "?lang=", "no-imports": "/admin/b/marble/imports?lang=", "import-new": importsPage + "/new?lang=", "import-plan": ready + "/plan?lang=",
			"import-done": done + "?lang=", "import-running": running + "?lang=", "import-waiting": done + "/waiting?lang="} {
			p.sound(name, lang, path+lang)
		}
	}
}
