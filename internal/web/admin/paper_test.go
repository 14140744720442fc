package admin

import (
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"assent/internal/account"
	"assent/internal/signup"
	"assent/internal/store"
)

// flat says that a picture is nothing but a code, squarely drawn: the reader's
// search for one at an angle misses some such.
var flat = map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true}

// scan reads a code by a program that is not ours.
func (w *world) scan(m image.Image) string {
	w.Helper()
	bits, err := gozxing.NewBinaryBitmapFromImage(m)
	w.must(err)
	got, err := qrcode.NewQRCodeReader().Decode(bits, flat)
	w.must(err)
	return got.GetText()
}

var (
	side = regexp.MustCompile(`viewBox="0 0 (\d+) (\d+)"`)
	runs = regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`)
)

// painted paints an SVG of ours, eight pixels a module.
func (w *world) painted(svg string) image.Image {
	w.Helper()
	const module = 8
	box := side.FindStringSubmatch(svg)
	if box == nil {
		w.Fatalf("no drawing: %.200s", svg)
	}
	n := number(box[1])
	m := image.NewGray(image.Rect(0, 0, n*module, n*module))
	for i := range m.Pix {
		m.Pix[i] = 255
	}
	for _, r := range runs.FindAllStringSubmatch(svg, -1) {
		x, y, long := number(r[1]), number(r[2]), number(r[3])
		for i := range long * module {
			for j := range module {
				m.SetGray(x*module+i, y*module+j, color.Gray{})
			}
		}
	}
	return m
}

// margin wants four white modules all around (ISO/IEC 18004 §6.3.8): without
// them a phone does not find the code, as the reader here would.
func (w *world) margin(svg string) {
	w.Helper()
	n := number(side.FindStringSubmatch(svg)[1])
	left, top, right, bottom := n, n, 0, 0
	for _, r := range runs.FindAllStringSubmatch(svg, -1) {
		x, y, long := number(r[1]), number(r[2]), number(r[3])
		left, top, right, bottom = min(left, x), min(top, y), max(right, x+long), max(bottom, y+1)
	}
	if left != 4 || top != 4 || right != n-4 || bottom != n-4 {
		w.Errorf("the code of %d modules lies at %d to %d and %d to %d", n, left, right, top, bottom)
	}
}

func number(s string) (n int) { fmt.Sscan(s, &n); return n }

var pictureOf = regexp.MustCompile(`<img class="qr" src="([^"]+)"`)

// From a code on paper to a permission that is counted as such: scanned, followed,
// signed up, confirmed; and seen at the person, the form and the overview.
func TestFromPaperThroughThePages(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		page := b.makeForm()
		shown := b.mustShow(page, "Nobody has come from paper yet.", "A card to print", `download="baharan-`).body
		m := pictureOf.FindStringSubmatch(shown)
		if m == nil {
			w.Fatal("the form's page shows no code")
		}
		svg := b.get(m[1])
		if svg.status != 200 || svg.header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(svg.header.Get("Content-Security-Policy"), "default-src 'none'") || strings.Contains(svg.body, "style") {
			w.Errorf("the drawing: %d %v", svg.status, svg.header)
		}
		w.margin(svg.body)
		address := w.scan(w.painted(svg.body))
		typed := strings.TrimPrefix(address, "http://")
		if !strings.Contains(shown, typed) || !regexp.MustCompile(`/s/\d{6}$`).MatchString(address) {
			w.Fatalf("the code leads to %q", address)
		}
		file := b.get(strings.Replace(m[1], ".svg", ".png", 1))
		if file.header.Get("Content-Type") != "image/png" {
			w.Errorf("the file: %d %v", file.status, file.header)
		}
		picture, err := png.Decode(strings.NewReader(file.body))
		w.must(err)
		if got := w.scan(picture); got != address || picture.Bounds().Dx() < 400 {
			w.Errorf("the file of %v leads to %q", picture.Bounds(), got)
		}

		from, err := url.Parse(address)
		w.must(err)
		w.comes(from.Path, "sara@example.org")
		w.pass(time.Hour)
		w.comes("/f/"+formID(page), "ali@example.org")
		w.pass(16 * time.Minute) // what is counted is looked at anew
		b.mustShow(page, "One sign-up came from paper; confirmed: 1.", "2 of 2 sign-ups were confirmed.")
		for who, paper := range map[string]bool{"sara@example.org": true, "ali@example.org": false} {
			got := b.mustShow(overview + "/people/" + w.idOf(who)).body
			if n := strings.Count(got, "from paper: a printed code or short address"); (n >= 3) != paper || (n == 0) == paper {
				w.Errorf("the page of %s says so %d times", who, n)
			}
		}
		look := b.mustShow(overview+"?for=7", "given from paper").body
		for what, want := range map[string]string{"given from paper": "1", "given by form": "1", "signed up": "2"} {
			if got := sumOf(look, what); got != want {
				w.Errorf("%s: %q", what, got)
			}
		}
	})
}

var cells = regexp.MustCompile(`<t[dh][^>]*>(?:<[^>]+>)*([^<]*)`)

// sumOf is the number in the last row of the overview's first table, under a name.
func sumOf(page, name string) string {
	_, table, _ := strings.Cut(page, "<table")
	table, _, _ = strings.Cut(table, "</table>")
	head, rest, _ := strings.Cut(table, "</thead>")
	at := -1
	for i, m := range cells.FindAllStringSubmatch(head, -1) {
		if strings.TrimSpace(m[1]) == name {
			at = i
		}
	}
	total := 0
	for _, row := range strings.Split(rest, "<tr")[1:] {
		all := cells.FindAllStringSubmatch(row, -1)
		if at >= 0 && at < len(all) && !strings.Contains(row, "tfoot") {
			total += number(strings.TrimSpace(all[at][1]))
		}
	}
	return fmt.Sprint(total)
}

func (w *world) idOf(email string) (id string) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return tx.Raw("SELECT id FROM subscribers WHERE email = ? AND brand_id = ?", email, w.brand.ID).Scan(&id).Error
	})
	return id
}

var formAction = regexp.MustCompile(`method="post" action="([^"]+)"`)

// comes follows an address to the form, as a browser does, fills it in, and
// confirms by the link of the mail.
func (w *world) comes(path, email string) {
	w.Helper()
	b := w.browser()
	got := b.get(path)
	if got.status == http.StatusFound {
		path = got.location
		got = b.get(path)
	}
	action := formAction.FindStringSubmatch(got.body)
	if got.status != 200 || action == nil {
		w.Fatalf("%s: %d\n%s", path, got.status, got.body)
	}
	w.pass(3 * time.Second)
	got = b.submit("/f/"+html.UnescapeString(action[1]), url.Values{"token": {field(got.body, "token")}, "lang": {"en"}, "email": {email}, "tea": {"green"}, "topic:letter": {"1"}})
	if got.status != 200 {
		w.Fatalf("signed up: %d\n%s", got.status, got.body)
	}
	var last []uuid.UUID
	w.write(func(tx *store.Tx) error {
		return tx.Raw("SELECT id FROM signup_requests ORDER BY id DESC LIMIT 1").Scan(&last).Error
	})
	ask := strings.TrimPrefix(w.urls.Confirm(last[0]), w.url)
	if got := b.submit(ask, url.Values{"answer": {"yes"}}); got.status != http.StatusOK && got.status != http.StatusSeeOther {
		w.Fatalf("confirmed: %d\n%s", got.status, got.body)
	}
}

// The card says in each language what the form asks and promises, and where it leads.
func TestTheCardToPrint(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		page := b.makeForm()
		var f signup.Form
		w.write(func(tx *store.Tx) (err error) {
			f, err = signup.Find(tx, w.brand.ID, uuid.MustParse(formID(page)))
			return err
		})
		english := []string{`lang="en" dir="ltr"`, "Letters &amp; tea", "Letter of Baharan", "2 times a month at most", "Scan the code", "asks whether it was you"}
		farsi := []string{`lang="fa" dir="rtl"`, "نامه و چای", "نامهٔ Baharan", "برند Baharan", "ماه", "کد را با گوشی‌تان اسکن کنید"}
		both := b.mustShow(page+"/card", append(append(english, farsi...), typedAs(w.urls.Short(f.Code)))...).body
		if strings.Count(both, `class="print-card"`) != 2 || strings.Contains(both, "Which mails") {
			w.Error("the cards are not two")
		}
		one := b.mustShow(page+"/card?in=fa", farsi...).body
		for _, no := range english[1:4] {
			if strings.Contains(one, no) {
				w.Errorf("the Persian card says %q", no)
			}
		}
		b.deedOf(page, "close")
		b.mustShow(page+"/card", "The form is closed.")

		other := w.newUser("owner@marble.example", "Stranger", "en")
		w.role(other, w.marble, account.Owner)
		stranger := w.in("owner@marble.example")
		for _, path := range []string{"/card", "/code.svg", "/code.png"} {
			if got := stranger.get("/admin/b/marble/forms/" + formID(page) + path); got.status != http.StatusNotFound {
				w.Errorf("another brand's %s: %d", path, got.status)
			}
			if got := stranger.get(page + path); got.status != http.StatusNotFound {
				w.Errorf("%s at another brand: %d", path, got.status)
			}
		}
	})
}
