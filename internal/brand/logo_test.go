package brand_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/store"
)

// drawn is a picture with a red left half and a blue right one.
func drawn(width, height int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			c := color.NRGBA{200, 0, 0, 255}
			if x >= width/2 {
				c = color.NRGBA{0, 0, 200, 255}
			}
			m.SetNRGBA(x, y, c)
		}
	}
	return m
}

func asPNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asJPEG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asGIF(t testing.TB, sizes ...int) []byte {
	t.Helper()
	g := &gif.GIF{}
	for _, n := range sizes {
		m := image.NewPaletted(image.Rect(0, 0, n, n), palette.WebSafe)
		g.Image, g.Delay = append(g.Image, m), append(g.Delay, 10)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// chunk is a part of a PNG.
func chunk(kind string, data []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	out = append(append(out, kind...), data...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}

// claiming is a PNG that says how large it is, and has little in it.
func claiming(width, height uint32) []byte {
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
	return slices.Concat([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", append(head, 8, 6, 0, 0, 0)), chunk("IDAT", []byte{0x78, 0x9c, 3, 0, 0, 0, 0, 1}), chunk("IEND", nil))
}

const secret = "Taken at 35.6997 N, 51.3381 E"

// withSecrets are files with something in them besides the picture.
func withSecrets(t testing.TB, scale int) map[string][]byte {
	p, j := asPNG(t, drawn(30*scale, 10*scale)), asJPEG(t, drawn(30*scale, 10*scale))
	exif := append([]byte{0xff, 0xe1, 0, byte(8 + len(secret))}, "Exif\x00\x00"+secret...)
	comment := append(append([]byte{0x21, 0xfe, byte(len(secret))}, secret...), 0)
	g := asGIF(t, 10*scale)
	return map[string][]byte{
		"png with text": slices.Concat(p[:33], chunk("tEXt", []byte("Comment\x00"+secret)), p[33:]),
		"png with more": append(p, secret...),
		"jpeg":          slices.Concat(j[:2], exif, j[2:]),
		"jpeg and page": append(j, "<html><script>"+secret+"</script>"...),
		"gif":           slices.Concat(g[:len(g)-1], comment, g[len(g)-1:]),
	}
}

// What is shown is a PNG of our own, small enough, and nothing else of the file.
func TestALogoIsMadeAnew(t *testing.T) {
	for name, file := range withSecrets(t, 32) {
		if !bytes.Contains(file, []byte(secret)) {
			t.Fatalf("%s: the file holds no secret", name)
		}
		l, err := brand.ReadLogo(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if bytes.Contains(l.PNG, []byte(secret)) || bytes.Contains(l.PNG, []byte("Exif")) {
			t.Errorf("%s: something of the file is left", name)
		}
		mustBeAPlainPNG(t, l)
	}
	for _, size := range [][4]int{{960, 320, 480, 160}, {4096, 64, 480, 8}, {4096, 1, 480, 1}, {1, 4096, 1, 160}, {100, 30, 100, 30}, {1000, 1000, 160, 160}, {480, 160, 480, 160}} {
		l, err := brand.ReadLogo(asPNG(t, drawn(size[0], size[1])))
		if err != nil || l.Width != size[2] || l.Height != size[3] {
			t.Errorf("%v became %d by %d: %v", size, l.Width, l.Height, err)
		}
		mustBeAPlainPNG(t, l)
	}
	l, err := brand.ReadLogo(asPNG(t, drawn(960, 320)))
	must(t, err)
	m, err := png.Decode(bytes.NewReader(l.PNG))
	must(t, err)
	for x, want := range map[int]color.NRGBA{10: {200, 0, 0, 255}, 470: {0, 0, 200, 255}} {
		if got := color.NRGBAModel.Convert(m.At(x, 80)); got != want {
			t.Errorf("at %d it is %v and not %v", x, got, want)
		}
	}
	clear := drawn(600, 600)
	clear.SetNRGBA(0, 0, color.NRGBA{})
	for i := range clear.Pix[:len(clear.Pix)/2] {
		clear.Pix[i] = 0
	}
	l, err = brand.ReadLogo(asPNG(t, clear))
	must(t, err)
	if m, _ = png.Decode(bytes.NewReader(l.PNG)); color.NRGBAModel.Convert(m.At(20, 20)).(color.NRGBA).A != 0 {
		t.Error("what was clear is filled")
	}
	if l, err := brand.ReadLogo(asGIF(t, 90, 90, 90)); err != nil || l.Width != 90 {
		t.Errorf("pictures that move: %+v %v", l, err)
	}
}

// mustBeAPlainPNG reads the chunks: only those without which there is no picture.
func mustBeAPlainPNG(t testing.TB, l brand.Logo) {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(l.PNG))
	if err != nil || m.Bounds().Dx() != l.Width || m.Bounds().Dy() != l.Height || l.Width > 480 || l.Height > 160 {
		t.Errorf("the picture is no PNG of %d by %d: %v", l.Width, l.Height, err)
		return
	}
	for at := 8; at+8 <= len(l.PNG); {
		kind := string(l.PNG[at+4 : at+8])
		if !slices.Contains([]string{"IHDR", "PLTE", "tRNS", "IDAT", "IEND"}, kind) {
			t.Errorf("it has a part %q", kind)
		}
		at += 12 + int(binary.BigEndian.Uint32(l.PNG[at:]))
		if kind == "IEND" && at != len(l.PNG) {
			t.Errorf("%d bytes follow it", len(l.PNG)-at)
		}
	}
}

func TestNoLogoOfThese(t *testing.T) {
	whole := asPNG(t, drawn(300, 100))
	photo := asJPEG(t, drawn(300, 100))
	huge := bytes.Replace(bytes.Clone(photo), []byte{0, 100, 1, 44}, []byte{0x75, 0x30, 0x75, 0x30}, 1)
	wide := asGIF(t, 10)
	bomb := bytes.Clone(wide)
	copy(bomb[6:], []byte{0x30, 0x75, 0x30, 0x75})
	frame := bytes.Clone(wide)
	at := bytes.IndexByte(frame[13:], 0x2c) + 13
	copy(frame[at+5:], []byte{0x30, 0x75, 0x30, 0x75})
	for name, c := range map[string]struct {
		file []byte
		key  string
	}{
		"nothing":               {nil, "brand.logo.empty"},
		"text":                  {[]byte("hello, this is my logo"), "brand.logo.kind"},
		"drawing commands":      {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), "brand.logo.kind"},
		"another kind":          {append([]byte("RIFF\x10\x00\x00\x00WEBPVP8 "), make([]byte, 64)...), "brand.logo.kind"},
		"a PNG's beginning":     {whole[:20], "brand.logo.broken"},
		"half a PNG":            {whole[:len(whole)/2], "brand.logo.broken"},
		"half a JPEG":           {photo[:len(photo)/2], "brand.logo.broken"},
		"a changed PNG":         {append(append(bytes.Clone(whole[:60]), 0xff), whole[61:]...), "brand.logo.broken"},
		"no height":             {claiming(10, 0), "brand.logo.broken"},
		"little in much":        {claiming(100, 100), "brand.logo.broken"},
		"30000 by 30000":        {claiming(30000, 30000), "brand.logo.pixels"},
		"4096 by 4096":          {claiming(4096, 4096), "brand.logo.pixels"},
		"4097 by 1":             {claiming(4097, 1), "brand.logo.pixels"},
		"drawn over and over":   {append(bytes.Clone(photo), bytes.Repeat([]byte{0xff, 0xda}, 65)...), "brand.logo.broken"},
		"a JPEG of 30000":       {huge, "brand.logo.pixels"},
		"a GIF of 30000":        {bomb, "brand.logo.pixels"},
		"a GIF that says less":  {frame, "brand.logo.broken"},
		"more than a file has":  {make([]byte, brand.LogoFileMax+1), "brand.logo.file"},
		"a PNG and a long tail": {append(bytes.Clone(whole), make([]byte, brand.LogoFileMax)...), "brand.logo.file"},
	} {
		_, err := brand.ReadLogo(c.file)
		p, ok := problem.Of(err)
		if !ok || p.Kind != problem.Invalid || len(p.Fields) != 1 || p.Fields[0].Name != "logo" || p.Fields[0].Key != c.key {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadLogo(f *testing.F) {
	for _, file := range withSecrets(f, 1) {
		f.Add(file)
	}
	f.Add(claiming(30000, 30000))
	f.Add(asPNG(f, drawn(3, 2)))
	f.Fuzz(func(t *testing.T, file []byte) {
		l, err := brand.ReadLogo(file)
		if err != nil {
			if !problem.Is(err, problem.Invalid) {
				t.Fatal(err)
			}
			return
		}
		mustBeAPlainPNG(t, l)
	})
}

func TestTheLogosOfABrand(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		one, err := create(db, marble())
		must(t, err)
		n := marble()
		n.Slug = "other"
		two, err := create(db, n)
		must(t, err)
		set := func(id uuid.UUID, side int) string {
			t.Helper()
			l, err := brand.ReadLogo(asPNG(t, drawn(side, 30)))
			must(t, err)
			must(t, db.Write(context.Background(), func(tx *store.Tx) error { return brand.SetLogo(tx, id, l) }))
			b := find(t, db, id)
			if b.LogoWidth != side || b.LogoHeight != 30 || len(b.LogoHash) != 32 {
				t.Errorf("the brand says %q, %d by %d", b.LogoHash, b.LogoWidth, b.LogoHeight)
			}
			return b.LogoHash
		}
		there := func(hash string) bool {
			t.Helper()
			err := db.Read(context.Background(), func(tx *store.Tx) error {
				body, err := brand.LogoPNG(tx, hash)
				if err == nil && !bytes.HasPrefix(body, []byte("\x89PNG")) {
					t.Errorf("%s is no picture", hash)
				}
				return err
			})
			if err != nil && !problem.Is(err, problem.NotFound) {
				t.Fatal(err)
			}
			return err == nil
		}
		first := set(one.ID, 40)
		if again := set(one.ID, 40); again != first || !there(first) {
			t.Errorf("the same picture is now %s, was %s", again, first)
		}
		if same := set(two.ID, 40); same != first {
			t.Errorf("the same picture of another brand is %s", same)
		}
		var hashes []string
		for i := range 12 {
			hashes = append(hashes, set(one.ID, 50+i))
		}
		must(t, db.Read(context.Background(), func(tx *store.Tx) error {
			var kept int
			if err := tx.Raw("SELECT count(*) FROM logos WHERE brand_id = ?", one.ID).Scan(&kept).Error; err != nil || kept != 10 {
				t.Errorf("%d are kept: %v", kept, err)
			}
			return nil
		}))
		if !there(hashes[11]) || !there(first) { // of the other brand
			t.Error("one that is used is gone")
		}
		must(t, db.Write(context.Background(), func(tx *store.Tx) error {
			name := "Marble & Sons"
			_, err := brand.Update(tx, one.ID, brand.Change{Name: &name})
			return err
		}))
		if b := find(t, db, one.ID); b.LogoHash != hashes[11] {
			t.Error("a changed name took the logo away")
		}
		must(t, db.Write(context.Background(), func(tx *store.Tx) error { return brand.RemoveLogo(tx, one.ID) }))
		for _, h := range hashes {
			if there(h) {
				t.Errorf("%s is still there", h)
			}
		}
		if b := find(t, db, one.ID); b.LogoHash != "" || b.LogoWidth != 0 {
			t.Errorf("the brand still says %q", b.LogoHash)
		}
		if !there(first) || find(t, db, two.ID).LogoHash != first {
			t.Error("the other brand lost its logo")
		}
		for _, bad := range []string{"", "x", strings.Repeat("0", 32), strings.ToUpper(first), first + "0", "' OR 1=1 --"} {
			if there(bad) {
				t.Errorf("there is a logo %q", bad)
			}
		}
		err = db.Write(context.Background(), func(tx *store.Tx) error { return brand.SetLogo(tx, tx.NewID(), brand.Logo{PNG: []byte{1}}) })
		if !problem.Is(err, problem.NotFound) {
			t.Errorf("a brand that there is not: %v", err)
		}
	})
}

func find(t *testing.T, db *store.DB, id uuid.UUID) (b brand.Brand) {
	t.Helper()
	must(t, db.Read(context.Background(), func(tx *store.Tx) (err error) { b, err = brand.Find(tx, id); return err }))
	return b
}

func TestHowLargeALogoIsShown(t *testing.T) {
	for _, c := range [][4]int{{480, 160, 192, 64}, {160, 160, 64, 64}, {100, 30, 100, 30}, {480, 8, 240, 4}, {480, 1, 240, 1}, {0, 0, 0, 0}} {
		w, h := brand.Brand{LogoWidth: c[0], LogoHeight: c[1]}.LogoSize()
		if got := fmt.Sprint(w, h); got != fmt.Sprint(c[2], c[3]) {
			t.Errorf("%v is shown as %s", c, got)
		}
	}
}
