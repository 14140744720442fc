package app_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"assent/internal/testkit"
)

// visitor is somebody at the pages, with cookies of their own.
type visitor struct {
	*testing.T
	base   string
	client *http.Client
}

func newVisitor(t *testing.T, base string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, base, &http.Client{Jar: jar, Timeout: 30 * time.Second}}
}

// at gives the body of the page that a request leads to, and its path.
func (v *visitor) at(path string, form url.Values) (body, landed string) {
	v.Helper()
	var res *http.Response
	var err error
	if form == nil {
		res, err = v.client.Get(v.base + path)
	} else {
		res, err = v.client.PostForm(v.base+path, form)
	}
	if err != nil {
		v.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		v.Fatalf("%s answered %d, %v: %s", path, res.StatusCode, err, text)
	}
	return string(text), res.Request.URL.Path
}

// A program started on an empty database prints where the first account is made;
// from there a team of two comes to be by pages and mails alone.
func TestFromAnEmptyDatabaseToATeam(t *testing.T) {
	pairs(t, func(t *testing.T, o testkit.ServiceOptions) {
		smtp := testkit.SMTP(t)
		o.SMTP = smtp.URL
		service := testkit.NewService(t, o)
		welcome := service.Welcome(t)
		if !strings.HasPrefix(welcome.String(), service.Base+"/") {
			t.Errorf("the printed address is %s", welcome)
		}
		mina := newVisitor(t, service.Base)
		if _, landed := mina.at("/admin", nil); landed != "/admin/welcome" {
			t.Errorf("/admin leads to %s", landed)
		}
		if body, _ := mina.at(welcome.RequestURI(), nil); !strings.Contains(body, `name="password"`) {
			t.Fatalf("the printed address shows %s", body)
		}
		const password, fresh = "a long sentence, twice", "another long sentence"
		_, landed := mina.at("/admin/welcome", url.Values{"code": welcome.Query()["code"], "name": {"Mina"}, "email": {"mina@baharan.example"}, "password": {password}, "language": {"en"}})
		if landed != "/admin/brands/new" {
			t.Fatalf("the first account leads to %s", landed)
		}
		_, landed = mina.at(landed, url.Values{"language": {"en"}, "texts.en.name": {"Baharan"}, "texts.en.postal_address": {"12 Enghelab Street"}, "sender_email": {"post@baharan.example"}, "time_zone": {"Asia/Tehran"}})
		if landed != "/admin/b/baharan/setup" {
			t.Fatalf("the first brand leads to %s", landed)
		}
		mina.at("/admin/b/baharan/team", url.Values{"page": {"/admin/b/baharan/team"}, "email": {"sara@example.org"}, "role": {"marketer"}, "language": {"en"}})
		mail := smtp.WaitTo(t, "sara@example.org", 1, 20*time.Second)[0]
		if mail.Subject != "You are invited to work on Baharan" || !strings.Contains(mail.HTML, "Mina") {
			t.Errorf("the invitation is %q: %s", mail.Subject, mail.HTML)
		}
		sara := newVisitor(t, service.Base)
		body, landed := sara.at(strings.TrimPrefix(mail.Link(t, "/admin/invitation/"), service.Base), url.Values{"name": {"Sara"}, "password": {password}, "language": {"en"}})
		if landed != "/admin/b/baharan" || !strings.Contains(body, "Welcome to the team.") {
			t.Errorf("accepting leads to %s", landed)
		}
		sara.at("/admin/forgotten", url.Values{"email": {"sara@example.org"}})
		mail = smtp.WaitTo(t, "sara@example.org", 2, 20*time.Second)[1]
		if _, landed = sara.at(strings.TrimPrefix(mail.Link(t, "/admin/reset/"), service.Base), url.Values{"password": {fresh}}); landed != "/admin/sign-in" {
			t.Errorf("a new password leads to %s", landed)
		}
		if _, landed = sara.at("/admin/sign-in", url.Values{"email": {"sara@example.org"}, "password": {fresh}}); landed != "/admin/b/baharan" {
			t.Errorf("signing in with it leads to %s", landed)
		}
		if n := strings.Count(string(service.Log()), "token"); n > 0 {
			t.Errorf("the log speaks of tokens %d times", n)
		}
	})
}
