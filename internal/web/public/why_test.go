package public

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"assent/internal/i18n"
	"assent/templates"
)

// Every mail of our own words is told by its name, and by why it came.
func TestOurOwnMailsAreExplained(t *testing.T) {
	toTeam := []string{"alarm", "rise", "paused", "invitation", "reset", "request-due", "trial"}
	parts := []string{"layout", "parts"}
	files, err := fs.Glob(templates.FS, "mail/*.txt")
	if err != nil || len(files) < 15 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "mail/"), ".txt")
		if slices.Contains(toTeam, name) || slices.Contains(parts, name) {
			continue
		}
		if !slices.Contains(ownMails, name) {
			t.Errorf("%s is not among the mails that are explained", name)
		}
		for _, lang := range i18n.Languages {
			for _, key := range []string{"public.mail." + name, "public.why.service." + name} {
				if !i18n.For(lang).Has(key) {
					t.Errorf("%s: no %s", lang, key)
				}
			}
		}
	}
}
