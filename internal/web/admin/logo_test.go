package admin

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
	"assent/internal/web"
)

const settingsPage = overview + "/settings"

// leaf is a picture of some colour: a leaf on nothing.
func leaf(width, height int, c color.NRGBA) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			u, v := float64(x)/float64(width)-.5, float64(y)/float64(height)-.5
			if (u+v)*(u+v)*2+(u-v)*(u-v)*7 < .4 {
				m.SetNRGBA(x, y, c)
			}
		}
	}
	return m
}

func (w *world) png(m image.Image) []byte {
	w.Helper()
	var b bytes.Buffer
	w.must(png.Encode(&b, m))
	return b.Bytes()
}

// brandFields are the settings of the brand as they stand.
func (b *browser) brandFields(more ...string) url.Values {
	b.Helper()
	return b.fill(settingsPage, append([]string{"language", "en", "languages", "fa", "texts.en.name", "Baharan", "texts.en.postal_address", "12 Enghelab, Tehran", "texts.fa.name", "برند بهاران",
		"sender_email", "post@baharan.example", "time_zone", "Asia/Tehran"}, more...)...)
}

// withLogo sends the settings with a file, as a browser without scripts does.
func (b *browser) withLogo(path string, values url.Values, file []byte) answer {
	b.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, all := range values {
		for _, v := range all {
			b.must(form.WriteField(name, v))
		}
	}
	part, err := form.CreateFormFile("logo", "logo.png")
	b.must(err)
	_, err = part.Write(file)
	b.must(err)
	b.must(form.Close())
	return b.ask("POST", path, &body, "Content-Type", form.FormDataContentType())
}

var shownLogo = regexp.MustCompile(`<img class="logo" src="(/logo/[0-9a-f]{32}\.png)" width="(\d+)" height="(\d+)" alt="([^"]*)">`)

// logoOn is the address of the logo on a page; empty where there is none.
func (b *browser) logoOn(path string) string {
	b.Helper()
	if m := shownLogo.FindStringSubmatch(b.mustShow(path).body); m != nil {
		return m[1]
	}
	return ""
}

// Brought, seen, replaced and removed, with everything else that was typed; on
// the brand's pages and at the head of its mails.
func TestALogoThroughThePages(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		form := "/f/" + formID(b.makeForm())
		b.mustShow(settingsPage, `enctype="multipart/form-data"`, `name="logo" type="file"`)
		if b.logoOn(settingsPage)+b.logoOn(form) != "" {
			w.Fatal("a logo before there is one")
		}
		green, red := w.png(leaf(960, 320, color.NRGBA{14, 122, 95, 255})), w.png(leaf(300, 300, color.NRGBA{166, 58, 43, 255}))
		sent := b.brandFields("reply_to", "care@baharan.example")
		for range 2 { // a second click
			if got := b.withLogo(settingsPage, sent, green); got.location != settingsPage+"?did=brand.change" {
				w.Fatalf("brought: %d to %s\n%s", got.status, got.location, got.body)
			}
		}
		first := b.logoOn(settingsPage)
		b.mustShow(settingsPage, `value="care@baharan.example"`, `width="192" height="64" alt="Baharan"`, `name="logo_remove"`)
		if first == "" || b.logoOn(form) != first {
			w.Fatalf("the form shows %q, the settings %q", b.logoOn(form), first)
		}
		b.mustShow(form+"?lang=fa", `alt="برند بهاران"`)
		served := w.browser().get(first)
		if served.status != 200 || served.header.Get("Content-Type") != "image/png" {
			w.Errorf("served: %d %v", served.status, served.header)
		}
		if c, _, err := image.DecodeConfig(strings.NewReader(served.body)); err != nil || c.Width != 480 || c.Height != 160 {
			w.Errorf("it is %d by %d: %v", c.Width, c.Height, err)
		}
		page := formsPage + "/" + strings.TrimPrefix(form, "/f/")
		if b.logoOn(page+"/preview") != first || b.logoOn(page+"/preview?look.view=done&look.theme=dark") != first {
			w.Error("the preview of the form shows no logo")
		}
		if mail := w.mailHTML(); strings.Count(mail, "<img") != 1 || !strings.Contains(mail, `src="`+w.url+first+`" width="192" height="64" alt="Baharan"`) {
			w.Errorf("the mail has another head:\n%s", mail)
		}

		// The settings alone leave it; another picture takes its place, and mails
		// that were sent keep theirs.
		if got := b.submit(settingsPage, b.brandFields("reply_to", "")); got.status != http.StatusSeeOther || b.logoOn(settingsPage) != first {
			w.Errorf("saved without a file: %d, %q", got.status, b.logoOn(settingsPage))
		}
		if got := b.withLogo(settingsPage, b.brandFields(), red); got.status != http.StatusSeeOther {
			w.Fatalf("replaced: %d\n%s", got.status, got.body)
		}
		second := b.logoOn(form)
		if second == first || second == "" || b.get(first).status != 200 || b.get(second).status != 200 {
			w.Errorf("%q took the place of %q", second, first)
		}
		old := b.brandFields()
		w.pass(1e9)
		if got := b.withLogo(settingsPage, b.brandFields(), green); got.status != http.StatusSeeOther || b.logoOn(form) != first {
			w.Errorf("the first one again: %d %s", got.status, b.logoOn(form))
		}
		if got := b.withLogo(settingsPage, old, red); got.status != http.StatusConflict || b.logoOn(form) != first {
			w.Errorf("a picture over another's: %d", got.status)
		}
		if got := b.submit(settingsPage, b.brandFields("logo_remove", "yes")); got.status != http.StatusSeeOther {
			w.Fatalf("removed: %d\n%s", got.status, got.body)
		}
		if b.logoOn(settingsPage)+b.logoOn(form) != "" || b.get(first).status != 404 || b.get(second).status != 404 {
			w.Error("a logo that was removed is still there")
		}
		if mail := w.mailHTML(); strings.Contains(mail, "<img") {
			w.Error("it is still at the head of mails")
		}
	})
}

// mailHTML is a mail of the brand as its reader would see it now.
func (w *world) mailHTML() string {
	w.Helper()
	sample := delivery.Sample{BrandID: w.brand.ID, TopicID: w.topic.ID, Language: "en", Person: subscriber.Subscriber{Email: "sara@example.org"}}
	w.write(func(tx *store.Tx) (err error) {
		sample.ContentID, err = delivery.SaveContent(tx, w.brand.ID, []delivery.Text{{Language: "en", Subject: "Hello", HTML: "<p>Hello</p>"}})
		return err
	})
	shown, err := delivery.NewRenderer(w.db, w.urls).Preview(w.Context(), sample)
	w.must(err)
	return string(shown.HTML)
}

// What is no logo is told in words beside the field, with all that was typed,
// and changes nothing.
func TestALogoThatIsNone(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		whole := w.png(leaf(200, 200, color.NRGBA{0, 0, 0, 255}))
		if got := b.withLogo(settingsPage, b.brandFields(), whole); got.status != http.StatusSeeOther {
			w.Fatalf("brought: %d\n%s", got.status, got.body)
		}
		before := b.logoOn(settingsPage)
		var photo bytes.Buffer
		w.must(jpeg.Encode(&photo, leaf(200, 200, color.NRGBA{9, 9, 9, 255}), nil))
		head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("IHDR"), 30000), 30000)
		head = append(head, 8, 6, 0, 0, 0)
		bomb := slices.Concat([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), head, binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(head)), whole[33:])
		for name, c := range map[string]struct {
			file []byte
			said string
		}{
			"nothing in it": {nil, "The file is empty."},
			"text":          {[]byte("my logo"), "This is no picture that we can show."},
			"drawing":       {[]byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`), "This is no picture that we can show."},
			"half":          {whole[:len(whole)/2], "cannot be read to its end"},
			"half a photo":  {photo.Bytes()[:photo.Len()/2], "cannot be read to its end"},
			"bomb":          {bomb, "30,000 by 30,000 pixels"},
			"a MB and one":  {append(bytes.Clone(whole), make([]byte, brand.LogoFileMax)...), "at most 1 MB"},
			"seven MB":      {make([]byte, 7<<20), "at most 1 MB"},
		} {
			got := b.withLogo(settingsPage, b.brandFields("texts.en.name", "Typed & kept", "cap_max", "3"), c.file)
			if got.status != http.StatusUnprocessableEntity {
				w.Errorf("%s: %d to %s", name, got.status, got.location)
				continue
			}
			for _, want := range []string{c.said, `href="#f-logo"`, `id="e-logo"`, `value="Typed &amp; kept"`, `href="#f-cap_`} {
				if !strings.Contains(got.body, want) {
					w.Errorf("%s: the page lacks %s", name, want)
				}
			}
		}
		if got := b.withLogo(settingsPage, b.brandFields("cap_max", "many"), []byte("x")); !strings.Contains(got.body, `id="e-logo"`) || !strings.Contains(got.body, `id="e-cap_max"`) {
			w.Errorf("two faults of two kinds: %d", got.status)
		}
		if got := b.withLogo(settingsPage+"?lang=fa", b.brandFields(), bomb); !strings.Contains(got.body, "۳۰٬۰۰۰") {
			w.Errorf("in Persian: %d", got.status)
		}
		if got := b.withLogo(settingsPage, b.brandFields(), make([]byte, web.PictureMax)); got.status != http.StatusRequestEntityTooLarge {
			w.Errorf("8 MB and a form: %d", got.status)
		}
		b.mustShow(settingsPage, `value="Baharan"`)
		if b.logoOn(settingsPage) != before || b.get(before).status != 200 {
			w.Error("a picture that was refused took the place of the logo")
		}
	})
}

// Only an owner of this brand brings a logo.
func TestWhoseLogo(t *testing.T) {
	each(t, func(w *world) {
		other := w.newUser("owner@marble.example", "Stranger", "en")
		w.role(other, w.marble, account.Owner)
		m := w.newUser("m@baharan.example", "M", "en")
		w.role(m, w.brand, account.Marketer)
		owner := w.in(email)
		file, values := w.png(leaf(90, 90, color.NRGBA{1, 2, 3, 255})), owner.brandFields()
		for name, c := range map[string]struct {
			b      *browser
			status int
		}{"stranger": {w.in("owner@marble.example"), 404}, "marketer": {w.in("m@baharan.example"), 403}, "nobody": {w.browser(), 303}} {
			if got := c.b.withLogo(settingsPage, values, file); got.status != c.status {
				w.Errorf("%s: %d", name, got.status)
			}
		}
		cross := owner.ask("POST", settingsPage, strings.NewReader("--x--"), "Content-Type", "multipart/form-data; boundary=x", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
		if cross.status != http.StatusForbidden {
			w.Errorf("from another site: %d", cross.status)
		}
		if owner.logoOn(settingsPage) != "" {
			w.Error("a logo that nobody brought who may")
		}
		if got := owner.ask("POST", settingsPage, strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"logo\"; filename=\"a\"\r\n\r\nabc"), "Content-Type", "multipart/form-data; boundary=x"); got.status != http.StatusBadRequest {
			w.Errorf("a form that is torn: %d", got.status)
		}
	})
}

// media has the page seen on a medium, in a scheme of colours.
func (p *tab) media(medium, scheme string) {
	p.Helper()
	p.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: medium, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
}

// In a browser: what is typed stays a draft without the file, and the logo is
// seen on every page that has one.
func TestLogoPagesAreSound(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	folder := t.TempDir()
	file := filepath.Join(folder, "logo.png")
	w.must(os.WriteFile(file, w.png(leaf(900, 300, color.NRGBA{14, 60, 45, 255})), 0o600))
	w.must(os.WriteFile(filepath.Join(folder, "text.png"), []byte("no picture"), 0o600))
	var form string
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.signInByKeyboard(homePath)
		p.open(settingsPage + "?lang=" + lang)
		p.until("document.querySelector('form[data-kept]')")
		p.do(chromedp.SetUploadFiles("#f-logo", []string{filepath.Join(folder, "text.png")}))
		p.do(chromedp.SetValue("#f-reply_to", "care-"+lang+"@baharan.example"))
		eval[bool](p, "document.querySelector('#f-reply_to').dispatchEvent(new Event('input', {bubbles: true}))")
		p.until("document.querySelector('.saved').textContent")
		w.write(func(tx *store.Tx) error {
			kept, ok, err := account.DraftOf(tx, w.mina.ID, settingsPage)
			if !ok || kept.Fields.Has("logo") || kept.Fields.Get("reply_to") != "care-"+lang+"@baharan.example" {
				t.Errorf("the draft is %v: %v", kept.Fields, err)
			}
			return err
		})
		save := "document.querySelector('.sheet .answers .btn.yes').click()"
		eval[any](p, save)
		p.until("document.querySelector('#e-logo')")
		p.looks("settings-logo-wrong", lang, settingsPage)
		if got := eval[string](p, "document.querySelector('#f-reply_to').value"); got != "care-"+lang+"@baharan.example" {
			t.Errorf("what was typed became %q", got)
		}
		p.do(chromedp.SetUploadFiles("#f-logo", []string{file}))
		eval[any](p, save)
		p.until("location.search.includes('did=brand.change')")
		p.until("document.querySelector('img.logo').naturalWidth === 480")
		p.sound("settings-logo", lang, settingsPage+"?lang="+lang)
		if form == "" {
			form = formID(w.in(email).makeForm())
		}
		p.sound("public-form-logo", lang, "/f/"+form+"?lang="+lang)
		p.until("document.querySelector('.top img.logo').naturalWidth === 480")
		p.sound("form-paper", lang, formsPage+"/"+form+"?lang="+lang)
		p.until("document.querySelector('img.qr').naturalWidth > 0")
		p.sound("form-card", lang, formsPage+"/"+form+"/card?lang="+lang)
		p.until("[...document.querySelectorAll('.print-card img')].filter((i) => i.naturalWidth > 0).length === 4")
		p.media("print", "dark")
		if seen := eval[string](p, `[...document.querySelectorAll('main > *, .side, .side *')].filter((e) => e.checkVisibility() && !e.matches('.print-cards')).map((e) => e.className).join()`); seen != "" {
			t.Errorf("this goes on paper, too: %s", seen)
		}
		if ground := eval[string](p, "getComputedStyle(document.querySelector('.print-card')).backgroundColor"); ground != "rgb(255, 255, 255)" {
			t.Errorf("the card is printed on %s", ground)
		}
		if folder := os.Getenv("ASSENT_PICTURES"); folder != "" {
			p.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
				got, err := cdp.Call(ctx, target, cdppage.PrintToPDF, cdppage.PrintToPDFParams{PaperWidth: 8.27, PaperHeight: 11.69, PrintBackground: new(true)})
				if err == nil {
					err = os.WriteFile(filepath.Join(folder, "card-"+lang+".pdf"), got.Data, 0o600)
				}
				return err
			}))
		}
	}
}
