package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"assent/internal/link"
	"assent/internal/problem"
)

func testURLs(t testing.TB, base string) link.URLs {
	t.Helper()
	ring, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return link.URLs{Base: u, Ring: ring}
}

// house is an Echo with routes for the tests, and what it logged.
func house(t testing.TB, o Options) (*echo.Echo, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	if o.URLs.Base == nil {
		o.URLs = testURLs(t, "https://mail.example.org")
	}
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	e.GET("/ok", func(c echo.Context) error { return c.String(200, ClientIP(c).String()) })
	e.GET("/lang", func(c echo.Context) error { return c.String(200, Localizer(c).Lang()) })
	e.GET("/t/:token", func(echo.Context) error { return errors.New("the database is away") })
	e.GET("/panic/:token", func(echo.Context) error { panic("out of order") })
	e.GET("/conflict", func(echo.Context) error { return problem.New(problem.Conflict, "problem.conflict") })
	e.GET("/id/:id", func(c echo.Context) error {
		id, err := ID(c, "id")
		if err != nil {
			return err
		}
		return c.String(200, id.String())
	})
	e.GET("/api/v1/broken", func(echo.Context) error {
		return fmt.Errorf("wrap: %w", problem.InvalidField("topics/0/slug", "problem.field.required"))
	})
	for _, path := range []string{"/form", "/u/:token", "/f/:form", "/c/:token", "/p/:token", "/api/v1/things"} {
		e.POST(path, func(c echo.Context) error {
			v, err := Form(c)
			if err != nil {
				return err
			}
			return c.String(200, v.Get("name"))
		})
	}
	return e, &log
}

func ask(e *echo.Echo, method, path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, body)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

const formType = "application/x-www-form-urlencoded"

func TestSecurityHeadersAreOnEveryAnswer(t *testing.T) {
	e, _ := house(t, Options{})
	for _, path := range []string{"/ok", "/nothing", "/conflict", "/t/x", "/panic/x", "/healthz", "/api/v1/broken"} {
		h := ask(e, "GET", path, nil).Header()
		if h.Get("Content-Security-Policy") != PagePolicy || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" ||
			h.Get("Cache-Control") != "no-store" || h.Get("Strict-Transport-Security") == "" || h.Get("X-Request-Id") == "" {
			t.Errorf("%s has the headers %v", path, h)
		}
	}
	plain, _ := house(t, Options{URLs: testURLs(t, "http://localhost:8080")})
	if ask(plain, "GET", "/ok", nil).Header().Get("Strict-Transport-Security") != "" {
		t.Error("https is promised on http")
	}
}

func TestProblemsAsDocuments(t *testing.T) {
	e, _ := house(t, Options{})
	w := ask(e, "GET", "/api/v1/broken", nil, "Accept-Language", "fa")
	var d Document
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if w.Code != 422 || w.Header().Get("Content-Type") != ProblemType || d.Status != 422 || d.Code != "problem.invalid" ||
		d.Type != "https://mail.example.org/api/docs#problem-invalid" || d.RequestID == "" {
		t.Errorf("%d %v: %+v", w.Code, w.Header(), d)
	}
	if len(d.Errors) != 1 || d.Errors[0].Field != "topics/0/slug" || d.Errors[0].Code != "problem.field.required" || d.Errors[0].Detail == d.Errors[0].Code {
		t.Errorf("errors %+v", d.Errors)
	}
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/api/v1/nothing", 404, "problem.not-found"},
		{"DELETE", "/api/v1/things", 405, "problem.method"},
	} {
		w := ask(e, c.method, c.path, nil)
		d = Document{}
		if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != c.status || d.Code != c.code || w.Header().Get("Content-Type") != ProblemType {
			t.Errorf("%s %s: %d %s %v", c.method, c.path, w.Code, w.Body, err)
		}
	}
	if w := ask(e, "GET", "/conflict", nil, "Accept", "application/json"); w.Header().Get("Content-Type") != ProblemType {
		t.Errorf("a program got %v", w.Header())
	}
	if w := ask(e, "HEAD", "/nothing", nil); w.Code != 404 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d %q", w.Code, w.Body)
	}
}

func TestProblemsAsPages(t *testing.T) {
	e, _ := house(t, Options{})
	w := ask(e, "GET", "/conflict", nil, "Accept", "text/html", "Accept-Language", "fa-IR")
	body := w.Body.String()
	if w.Code != 409 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") || !strings.Contains(body, `dir="rtl"`) || !strings.Contains(body, "جور در نمی‌آید") {
		t.Errorf("%d %s", w.Code, body)
	}
}

// A fault of ours is logged once and in full, and told without its text; what
// is logged names the route, never the path with its token.
func TestFaultsAreLoggedOnceAndNotTold(t *testing.T) {
	for path, want := range map[string]string{"/t/secret-token": "the database is away", "/panic/secret-token": "out of order"} {
		e, log := house(t, Options{})
		w := ask(e, "GET", path, nil)
		if w.Code != 500 || strings.Contains(w.Body.String(), want) {
			t.Errorf("%s answered %d %s", path, w.Code, w.Body)
		}
		said := log.String()
		if strings.Count(said, "request failed") != 1 || !strings.Contains(said, want) || !strings.Contains(said, "level=ERROR") || strings.Contains(said, "secret-token") {
			t.Errorf("%s logged %s", path, said)
		}
	}
	e, log := house(t, Options{})
	ask(e, "GET", "/nothing/secret-token", nil)
	if strings.Contains(log.String(), "secret-token") || !strings.Contains(log.String(), "level=DEBUG") {
		t.Errorf("a missing page logged %s", log)
	}
}

func TestCrossOriginPosts(t *testing.T) {
	e, _ := house(t, Options{})
	for _, c := range []struct {
		path string
		from []string
		want int
	}{
		{"/form", nil, 200},
		{"/form", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"/form", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"/form", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"/form", []string{"Origin", "https://evil.example"}, 403},
		{"/form", []string{"Origin", "null"}, 403},
		{"/form", []string{"Origin", "https://mail.example.org", "Sec-Fetch-Site", "cross-site"}, 200}, // a proxy changed our name
		{"/api/v1/things", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"/u/x", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://mail.google.example"}, 200},
		{"/f/x", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://shop.example"}, 200},
		{"/c/x", []string{"Sec-Fetch-Site", "cross-site"}, 200},
		{"/p/x", []string{"Sec-Fetch-Site", "cross-site"}, 200},
	} {
		if w := ask(e, "POST", c.path, strings.NewReader("name=a"), append(c.from, "Content-Type", formType)...); w.Code != c.want {
			t.Errorf("POST %s with %v: %d, want %d", c.path, c.from, w.Code, c.want)
		}
	}
}

func TestForms(t *testing.T) {
	e, _ := house(t, Options{})
	var parts bytes.Buffer
	m := multipart.NewWriter(&parts)
	_ = m.WriteField("name", "a\xff")
	_ = m.Close()
	var fine bytes.Buffer
	mf := multipart.NewWriter(&fine)
	_ = mf.WriteField("name", "آنا")
	_ = mf.Close()
	for name, c := range map[string]struct {
		body, kind string
		want       int
	}{
		"good":           {"name=%D8%A2%D9%86%D8%A7", formType, 200},
		"good parts":     {fine.String(), mf.FormDataContentType(), 200},
		"no text":        {"name=a%ff", formType, 400},
		"no text parts":  {parts.String(), m.FormDataContentType(), 400},
		"null character": {"name=a%00", formType, 400},
		"bad name":       {"%ff=a", formType, 400},
		"bad escape":     {"name=%zz", formType, 400},
		"no boundary":    {"name=a", "multipart/form-data", 400},
		"too large":      {"name=" + strings.Repeat("a", BodyMax), formType, 413},
	} {
		if w := ask(e, "POST", "/form", strings.NewReader(c.body), "Content-Type", c.kind); w.Code != c.want {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, c.want)
		}
	}
	// The same without a length told beforehand.
	if w := ask(e, "POST", "/form", io.MultiReader(strings.NewReader("name="), strings.NewReader(strings.Repeat("a", BodyMax))), "Content-Type", formType); w.Code != 413 {
		t.Errorf("a long body of unknown length: %d", w.Code)
	}
	for path, want := range map[string]int{"/t/%ff": 400, "/t/a%00b": 400, "/lang?lang=%ff": 400, "/id/%e2%28": 400, "/id/x": 404, "/id/urn:uuid:00000000-0000-0000-0000-000000000000": 404, "/id/00000000-0000-7000-8000-000000000000": 200} {
		if w := ask(e, "GET", path, nil); w.Code != want {
			t.Errorf("GET %s: %d, want %d", path, w.Code, want)
		}
	}
}

func TestLanguages(t *testing.T) {
	e, _ := house(t, Options{})
	for _, c := range []struct{ path, accept, want string }{
		{"/lang", "", "en"}, {"/lang", "fa", "fa"}, {"/lang?lang=fa", "en", "fa"}, {"/lang?lang=../x", "", "en"},
	} {
		w := ask(e, "GET", c.path, nil, "Accept-Language", c.accept)
		if w.Body.String() != c.want || len(w.Result().Cookies()) != 0 {
			t.Errorf("%s for %q: %s %v", c.path, c.accept, w.Body, w.Result().Cookies())
		}
	}
}

func TestOnlyTrustedProxiesAreBelieved(t *testing.T) {
	direct, _ := house(t, Options{})
	proxied, _ := house(t, Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}) // httptest's peer is 192.0.2.1
	other, _ := house(t, Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for _, c := range []struct {
		e       *echo.Echo
		forward string
		want    string
	}{
		{direct, "198.51.100.9", "192.0.2.1"},
		{other, "198.51.100.9", "192.0.2.1"},
		{proxied, "", "192.0.2.1"},
		{proxied, "198.51.100.9", "198.51.100.9"},
		{proxied, "1.2.3.4, 198.51.100.9", "198.51.100.9"}, // what the client invented stands further left
		{proxied, "127.0.0.1", "127.0.0.1"},
		{proxied, "nonsense", "192.0.2.1"},
	} {
		var h []string
		if c.forward != "" {
			h = []string{"X-Forwarded-For", c.forward, "X-Real-Ip", "9.9.9.9"}
		}
		if got := ask(c.e, "GET", "/ok", nil, h...).Body.String(); got != c.want {
			t.Errorf("with X-Forwarded-For %q the client is %s, want %s", c.forward, got, c.want)
		}
	}
}

func TestClientPlace(t *testing.T) {
	e, _ := house(t, Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	e.GET("/place", func(c echo.Context) error { return c.String(200, ClientPlace(c)) })
	for ip, want := range map[string]string{"198.51.100.9": "198.51.100.9", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "::ffff:198.51.100.9": "198.51.100.9"} {
		if got := ask(e, "GET", "/place", nil, "X-Forwarded-For", ip).Body.String(); got != want {
			t.Errorf("%s is counted by %s, want %s", ip, got, want)
		}
	}
}

func TestHealthReadinessAndMetrics(t *testing.T) {
	e, log := house(t, Options{Ready: func(context.Context) error { return errors.New("postgres is away") }})
	if w := ask(e, "GET", "/healthz", nil); w.Code != 200 {
		t.Errorf("healthz: %d", w.Code)
	}
	if w := ask(e, "GET", "/readyz", nil); w.Code != 503 || strings.Contains(w.Body.String(), "postgres") || !strings.Contains(log.String(), "postgres") {
		t.Errorf("readyz: %d %s, log %s", w.Code, w.Body, log)
	}
	if w := ask(e, "GET", "/metrics", nil); w.Code != 404 {
		t.Errorf("metrics for a stranger: %d", w.Code)
	}
	near := func(headers ...string) int {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.RemoteAddr = "127.0.0.1:999"
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code == 200 && (!strings.Contains(w.Body.String(), `assent_http_request_seconds_count{class="2xx",route="/healthz"} 1`) || strings.Contains(w.Body.String(), "secret-token")) {
			t.Errorf("metrics: %s", w.Body)
		}
		return w.Code
	}
	ask(e, "GET", "/t/secret-token", nil)
	ask(e, "GET", "/nowhere/secret-token", nil)
	if near() != 200 || near("X-Forwarded-For", "198.51.100.9") != 404 || near("Forwarded", "for=198.51.100.9") != 404 {
		t.Error("metrics are not told to this machine alone")
	}
	straight, _ := house(t, Options{Metrics: "direct"})
	for header, want := range map[string]int{"Accept": 200, "X-Forwarded-For": 404, "Forwarded": 404, "X-Real-Ip": 404} {
		if w := ask(straight, "GET", "/metrics", nil, header, "198.51.100.9"); w.Code != want {
			t.Errorf("metrics for who comes directly, with %s: %d, want %d", header, w.Code, want)
		}
	}
	off, _ := house(t, Options{Metrics: "off"})
	if w := ask(off, "GET", "/metrics", nil); w.Code != 404 {
		t.Errorf("metrics that are off: %d", w.Code)
	}
	open, _ := house(t, Options{Metrics: "open"})
	if w := ask(open, "GET", "/metrics", nil); w.Code != 200 {
		t.Errorf("metrics that are open: %d", w.Code)
	}
}

func TestLimiter(t *testing.T) {
	l := NewLimiter(6, 2, 3)
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	allowed := func(key string) bool { _, ok := l.Allow(key, now); return ok }
	if !allowed("a") || !allowed("a") || allowed("a") || !allowed("b") {
		t.Fatal("the burst is not two for each")
	}
	wait, ok := l.Allow("a", now)
	if ok || wait != 10*time.Second {
		t.Errorf("the next is in %s, want 10s", wait)
	}
	now = now.Add(9 * time.Second)
	if allowed("a") {
		t.Error("too soon")
	}
	now = now.Add(time.Second) // what was refused cost nothing
	if !allowed("a") || allowed("a") {
		t.Error("after ten seconds there is one")
	}
	for i := range 100 {
		allowed(fmt.Sprint(i))
	}
	if len(l.known) != 3 || l.recent.Len() != 3 {
		t.Errorf("%d keys are remembered, want 3", len(l.known))
	}
}

func TestTooManySaysWhen(t *testing.T) {
	e, _ := house(t, Options{})
	e.GET("/often", func(c echo.Context) error { return TooMany(c, 1500*time.Millisecond) })
	if w := ask(e, "GET", "/often", nil); w.Code != 429 || w.Header().Get("Retry-After") != "2" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
	}{
		{problem.New(problem.Gone, "x"), 410},
		{fmt.Errorf("wrap: %w", problem.New(problem.TooMany, "x")), 429},
		{&http.MaxBytesError{Limit: 1}, 413},
		{echo.ErrUnsupportedMediaType, 415},
		{echo.ErrMethodNotAllowed, 405},
		{echo.NewHTTPError(502), 500},
		{context.DeadlineExceeded, 503},
		{fmt.Errorf("load: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), 500},
		{errors.New("x"), 500},
	} {
		if got := Classify(c.err); got.Status != c.status {
			t.Errorf("%v is %d, want %d", c.err, got.Status, c.status)
		}
	}
}

func TestAClientThatLeftIsNoFault(t *testing.T) {
	e, log := house(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	e.GET("/slow", func(c echo.Context) error { cancel(); return fmt.Errorf("query: %w", c.Request().Context().Err()) })
	e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/slow", nil).WithContext(ctx))
	if strings.Contains(log.String(), "ERROR") {
		t.Errorf("logged %s", log)
	}
}

func TestStreams(t *testing.T) {
	e, _ := house(t, Options{})
	e.GET("/events", func(c echo.Context) error {
		send, err := Stream(c)
		if err != nil {
			return err
		}
		return errors.Join(send("mail", "1"), send("note", "a\nb"))
	})
	s := httptest.NewServer(e)
	defer s.Close()
	res, err := http.Get(s.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	if res.Header.Get("Content-Type") != "text/event-stream" || string(body) != "event: mail\ndata: 1\n\nevent: note\ndata: a\ndata: b\n\n" {
		t.Errorf("%v %q", res.Header, body)
	}
}

func BenchmarkRequest(b *testing.B) {
	e, _ := house(b, Options{})
	r := httptest.NewRequest("GET", "/healthz", nil)
	for b.Loop() {
		e.ServeHTTP(httptest.NewRecorder(), r)
	}
}

func BenchmarkLimiter(b *testing.B) {
	l, now := NewLimiter(60, 10, 10000), time.Now()
	for b.Loop() {
		l.Allow("198.51.100.9", now)
	}
}

func TestStaticFilesAreKeptByTheirContent(t *testing.T) {
	e, _ := house(t, Options{})
	if len(assets()) == 0 {
		t.Fatal("there are no static files")
	}
	for name := range assets() {
		w := ask(e, "GET", Asset(name), nil)
		if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		tag := w.Header().Get("ETag")
		if plain := ask(e, "GET", "/static/"+name, nil); plain.Code != 200 || strings.Contains(plain.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s without its tag: %d %v", name, plain.Code, plain.Header())
		}
		packed := ask(e, "GET", "/static/"+name, nil, "Accept-Encoding", "br, gzip")
		if packed.Header().Get("Content-Encoding") == "gzip" {
			r, err := gzip.NewReader(packed.Body)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(r); err != nil || !bytes.Equal(body, w.Body.Bytes()) || packed.Header().Get("ETag") == tag || packed.Header().Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s packed: %v %v", name, err, packed.Header())
			}
		} else if strings.HasSuffix(name, ".js") || strings.HasSuffix(name, "assent.css") {
			t.Errorf("%s is not packed", name)
		}
		if again := ask(e, "GET", "/static/"+name, nil, "If-None-Match", tag); again.Code != 304 || again.Body.Len() != 0 {
			t.Errorf("%s known already: %d", name, again.Code)
		}
	}
	for _, path := range []string{"/static/", "/static/../templates.go", "/static/%2e%2e/pages/README.md", "/static/README.md", "/static/nothing.css"} {
		if w := ask(e, "GET", path, nil); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// What a style sheet names with a tag is served under it for ever, as the tag is
// of the content.
func TestTagsInStyleSheetsAreOfTheFilesTheyName(t *testing.T) {
	named := regexp.MustCompile(`url\("?([^")?]+)\?v=([^")]*)"?\)`)
	found := 0
	for sheet, a := range assets() {
		if path.Ext(sheet) != ".css" {
			continue
		}
		for _, m := range named.FindAllSubmatch(a.body, -1) {
			found++
			if name := path.Join(path.Dir(sheet), string(m[1])); string(m[2]) != assets()[name].tag {
				t.Errorf("%s names %s by %s, and its tag is %s", sheet, name, m[2], assets()[name].tag)
			}
		}
		if n := bytes.Count(a.body, []byte("?v=")); n != len(named.FindAll(a.body, -1)) {
			t.Errorf("%s: %d tags, and not all were understood", sheet, n)
		}
	}
	if found == 0 {
		t.Error("no style sheet names a file by its tag")
	}
}

func TestTakesGzip(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  bool
	}{
		{[]string{"gzip"}, true},
		{[]string{"GZIP"}, true},
		{[]string{"br, gzip, deflate"}, true},
		{[]string{"gzip;q=0.5"}, true},
		{[]string{"gzip;q=0.001"}, true},
		{[]string{"br;q=0, gzip; q=1.0"}, true},
		{[]string{"br", "gzip"}, true},
		{[]string{"gzip;q=0"}, false},
		{[]string{"gzip; q=0.0"}, false},
		{[]string{"br", "gzip;q=0.000"}, false},
		{[]string{"x-gzip"}, false},
		{[]string{"br, deflate"}, false},
		{[]string{""}, false},
		{nil, false},
	} {
		if got := takesGzip(c.lines); got != c.want {
			t.Errorf("%q: %v", c.lines, got)
		}
	}
}

// The error page may itself fail; the visitor is told all the same.
func TestTheErrorPageMayFail(t *testing.T) {
	e, log := house(t, Options{ErrorPage: func(_ echo.Context, e ErrorText) (string, any) {
		if e.Status != 409 || e.Kind != "conflict" || e.Text == "" || e.RequestID == "" {
			t.Errorf("told %+v", e)
		}
		return "public/nowhere", nil
	}})
	w := ask(e, "GET", "/conflict", nil)
	if w.Code != 409 || !strings.Contains(w.Body.String(), "does not fit") || !strings.Contains(log.String(), "could not draw the error page") {
		t.Errorf("%d %s, log %s", w.Code, w.Body, log)
	}
}
