package app

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// visitor is a browser without scripts, which follows where it is led.
type visitor struct {
	*testing.T
	client http.Client
	base   string
}

func newVisitor(t *testing.T, a *App) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, http.Client{Jar: jar, Timeout: 30 * time.Second}, "http://" + a.Addr()}
}

// visit gives a page and where it was found; with a form it is sent there.
func (v *visitor) visit(path string, form url.Values) (page, at string) {
	v.Helper()
	ask := func() (*http.Response, error) { return v.client.Get(v.base + path) }
	if form != nil {
		ask = func() (*http.Response, error) { return v.client.PostForm(v.base+path, form) }
	}
	answer, err := ask()
	if err != nil {
		v.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		v.Fatalf("%s: %s, %v\n%s", path, answer.Status, err, body)
	}
	return string(body), answer.Request.URL.Path
}

func hidden(page, name string) string {
	found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)
	if found == nil {
		return ""
	}
	return found[1]
}

// A form that somebody makes on the pages takes a sign-up, the question comes by
// mail, and the yes is counted where the form was made.
func TestAFormFromItsPageToTheFirstYes(t *testing.T) {
	a := startApp(t, "ASSENT_SIGNUP_MIN_FILL=0s")
	defer a.Close()
	demo, err := a.Demo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v := newVisitor(t, a)
	v.visit("/admin/sign-in", url.Values{"email": {demo.Email}, "password": {demo.Password}})
	const forms = "/admin/b/baharan/forms"
	page, _ := v.visit(forms+"/new?lang=en", nil)
	_, made := v.visit(forms+"/new?lang=en", url.Values{"page": {hidden(page, "page")}, "once": {hidden(page, "once")}, "name": {"At the fair"},
		"topics": {"letters"}, "texts.en.title": {"Met at the fair"}})
	hosted := "/f/" + strings.TrimPrefix(made, forms+"/")
	page, _ = v.visit(hosted+"?lang=en", nil)
	if !strings.Contains(page, "Met at the fair") {
		t.Fatalf("the form is not there: %s", page)
	}
	v.visit(hosted, url.Values{"token": {hidden(page, "token")}, "lang": {"en"}, "email": {ana}, "topic:letters": {"1"}})
	n := &newcomer{T: t, app: a, base: v.base}
	ask := n.link(n.mail(1), "/c/")
	v.visit(ask, nil)
	if page, _ = v.visit(made+"?lang=en", nil); !strings.Contains(page, "0 of 1 sign-ups were confirmed.") {
		t.Error("looking at the question has confirmed it")
	}
	v.visit(ask, url.Values{"answer": {"yes"}})
	if page, _ = v.visit(made+"?lang=en", nil); !strings.Contains(page, "1 of 1 sign-ups were confirmed.") {
		t.Errorf("the yes is not counted: %s", page)
	}
}
