package testkit

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"time"
)

// Password is what the account of [Service.Own] signs in with.
const Password = "a long sentence, twice"

var printedWelcome = regexp.MustCompile(`http\S+/admin/welcome\?code=[\w-]+`)

// Welcome is the address that the service printed last for making the first
// account; a service that was started twice has printed two.
func (s *Service) Welcome(tb testing.TB) *url.URL {
	tb.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if all := printedWelcome.FindAll(s.Log(), -1); len(all) > 0 {
			address, err := url.Parse(string(all[len(all)-1]))
			if err != nil {
				tb.Fatal(err)
			}
			return address
		}
		if time.Now().After(end) {
			tb.Fatalf("no address for the first account is printed: %s", s.Log())
		}
	}
}

// Own makes the first account, mina@<slug>.example, and the brand of that slug
// and name. The client keeps the session; path is that of the brand's pages.
func (s *Service) Own(tb testing.TB, client *http.Client, slug, name string) (path string) {
	tb.Helper()
	path = "/admin/b/" + slug
	submit := func(to, leads string, form url.Values) {
		tb.Helper()
		res, err := client.PostForm(s.Base+to, form)
		if err != nil {
			tb.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != http.StatusOK || res.Request.URL.Path != leads {
			tb.Fatalf("%s answered %d and leads to %s, not %s: %s", to, res.StatusCode, res.Request.URL.Path, leads, body)
		}
	}
	submit("/admin/welcome", "/admin/brands/new", url.Values{"code": s.Welcome(tb).Query()["code"], "name": {"Mina"},
		"email": {"mina@" + slug + ".example"}, "password": {Password}, "language": {"en"}})
	submit("/admin/brands/new", path+"/setup", url.Values{"slug": {slug}, "language": {"en"}, "texts.en.name": {name},
		"texts.en.postal_address": {"12 Enghelab Street"}, "sender_email": {"post@" + slug + ".example"}, "time_zone": {"UTC"}})
	return path
}
