package testkit

import (
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const goodPage = `<!doctype html><html lang=en><title>Good</title><main><h1>Good</h1><p>Nothing wrong.</p></main>`

// badPage has a field without a label inside a shadow root, and a picture
// without a text outside of it.
const badPage = `<!doctype html><html lang=en><title>Bad</title><main><h1>Bad</h1><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="><div id=host></div></main>
<script nonce=n>document.getElementById('host').attachShadow({mode:'open'}).innerHTML='<input type=text>'</script>`

func pages(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src data:; script-src 'nonce-n'")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		switch r.URL.Path {
		case "/good":
			http.SetCookie(w, &http.Cookie{Name: "seen", Value: "1"})
			fmt.Fprint(w, goodPage)
		case "/bad":
			fmt.Fprint(w, badPage)
		default:
			_, err := r.Cookie("seen")
			fmt.Fprintf(w, "<!doctype html><title>cookie %t</title>", err == nil)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestAxeFindsWhatIsWrongAndNothingElse(t *testing.T) {
	site, tab := pages(t), Browser(t)
	if err := chromedp.Do(tab, chromedp.Navigate(site.URL+"/good")); err != nil {
		t.Fatal(err)
	}
	if found := Axe(t, tab); len(found) != 0 {
		t.Errorf("on a good page: %v", found)
	}
	if err := chromedp.Do(tab, chromedp.Navigate(site.URL+"/bad")); err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, v := range Axe(t, tab) {
		ids[v.ID] = v.String()
	}
	if len(ids) != 2 || ids["image-alt"] == "" || !strings.Contains(ids["label"], "#host >> input") {
		t.Errorf("on a bad page: %v", ids)
	}
}

func TestTabsShareNoCookies(t *testing.T) {
	site := pages(t)
	title := func(paths ...string) string {
		t.Helper()
		tab := Browser(t)
		for _, p := range paths {
			if err := chromedp.Do(tab, chromedp.Navigate(site.URL+p)); err != nil {
				t.Fatal(err)
			}
		}
		text, err := chromedp.Run(tab, chromedp.Title())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if got := title("/good", "/cookie"); got != "cookie true" {
		t.Errorf("within a tab: %s", got)
	}
	if got := title("/cookie"); got != "cookie false" {
		t.Errorf("in another tab: %s", got)
	}
}

func TestScreenshotHasTheWidth(t *testing.T) {
	site, tab := pages(t), Browser(t)
	if err := chromedp.Do(tab, chromedp.Navigate(site.URL+"/good")); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int64{390, 1280} {
		path := filepath.Join(t.TempDir(), "new", "page.png")
		Screenshot(t, tab, path, width)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		config, err := png.DecodeConfig(f)
		_ = f.Close()
		if err != nil || int64(config.Width) != width {
			t.Errorf("%d pixels wide, want %d; %v", config.Width, width, err)
		}
	}
}

func TestSinkCounts(t *testing.T) {
	sink := Sink(t, "-reject5", "0")
	send := func(to string) {
		t.Helper()
		if err := smtp.SendMail(sink.Addr, nil, "a@example.org", []string{to}, []byte("Subject: one\r\n\r\nx\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	send("b@example.org")
	send("B@example.org")
	send("c@example.org")
	counts := map[string]int{}
	for _, d := range sink.Recipients(t) {
		counts[d.Recipient+" "+d.Key] = d.Count
		if d.Last.Before(d.First) || d.First.IsZero() {
			t.Errorf("%+v", d)
		}
	}
	if len(counts) != 2 || counts["b@example.org one"] != 2 || counts["c@example.org one"] != 1 {
		t.Errorf("recipients: %v", counts)
	}
	if st := sink.Stats(t); st.Messages != 3 || st.Distinct != 2 || st.Duplicates != 1 {
		t.Errorf("stats: %+v", st)
	}
	sink.Config(t, "reject5", "100")
	if err := smtp.SendMail(sink.Addr, nil, "a@example.org", []string{"d@example.org"}, []byte("\r\n")); err == nil {
		t.Error("the fault is not in force")
	}
	sink.Reset(t)
	if st := sink.QuickStats(t); st.Messages != 0 {
		t.Errorf("after a reset: %+v", st)
	}
}

func TestDataIsFoundOrSaidToBeAbsent(t *testing.T) {
	if raw, err := os.ReadFile(Data(t, "README.md")); err != nil || len(raw) == 0 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.csv"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ASSENT_TESTDATA", dir)
	if got := Data(t, "x.csv"); got != filepath.Join(dir, "x.csv") {
		t.Error(got)
	}
}

func TestStandaloneCleansUpAndTells(t *testing.T) {
	var order []string
	var dir string
	status := Standalone("x", func(tb testing.TB) {
		dir = tb.TempDir()
		tb.Cleanup(func() { order = append(order, "first") })
		tb.Cleanup(func() { order = append(order, "second") })
		tb.Fatal("(expected in the log)")
		order = append(order, "after Fatal")
	})
	if status != 1 || strings.Join(order, " ") != "second first" {
		t.Errorf("status %d, %v", status, order)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder stays: %v", err)
	}
	if status := Standalone("y", func(testing.TB) {}); status != 0 {
		t.Errorf("status %d without a failure", status)
	}
	if status := Standalone("z", func(testing.TB) { panic("(expected in the log)") }); status != 1 {
		t.Errorf("status %d after a panic", status)
	}
}

func TestProgramsAreBuiltOnceAndTellWhyNot(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		for name, content := range map[string]string{"go.mod": "module m\n\ngo 1.26\n", "m.go": text} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	in := func() (string, error) { return dir, nil }
	write("package main\n\nfunc main() { println(\"runs\") }\n")
	first, err := build("built-once", in, ".")
	if err != nil {
		t.Fatal(err)
	}
	write("package main\n\nfunc main() { undefined() }\n")
	again, err := build("built-once", in, ".")
	if err != nil || again != first {
		t.Errorf("built again: %s, %s, %v", first, again, err)
	}
	if out, err := exec.Command(first).CombinedOutput(); err != nil || string(out) != "runs\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := build("does-not-build", in, "."); err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("%v", err)
	}
}
