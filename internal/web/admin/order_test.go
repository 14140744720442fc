package admin

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Names and tags stand by the alphabet of whoever reads the page, on both
// databases: by code point پ and چ would come last, and capitals first.
func TestNamesStandByTheAlphabet(t *testing.T) {
	team, tags := []string{"بهار", "پریا", "تارا", "چنگیز", "یاس"}, []string{"Ale", "beer", "Cider"}
	each(t, func(w *world) {
		for _, i := range []int{3, 0, 4, 2, 1} {
			w.role(w.newUser(string(rune('a'+i))+"@baharan.example", team[i], "fa"), w.brand, account.Reader)
		}
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		w.write(func(tx *store.Tx) error { return subscriber.AddTags(tx, w.brand.ID, sara.ID, tags...) })
		b := w.in("mina@baharan.example")
		person := overview + "/people/" + sara.ID.String()
		for at, want := range map[string][]string{
			overview + "/team?lang=fa":              team,
			overview + "/pick/team?lang=fa&q=":      team,
			person + "?lang=fa":                     team,
			person:                                  tags,
			overview + "/people?q=sara@example.org": tags,
		} {
			names := regexp.MustCompile(`[>"](?:<bdi>)?(` + strings.Join(want, "|") + `)[<"]`)
			var found []string
			for _, m := range names.FindAllStringSubmatch(b.get(at).body, -1) {
				if !slices.Contains(found, m[1]) {
					found = append(found, m[1])
				}
			}
			if !slices.Equal(found, want) {
				w.Errorf("%s shows %q, not %q", at, found, want)
			}
		}
	})
}
