package brand

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	_ "image/gif"  // a logo may come as one
	_ "image/jpeg" // or as one
	"image/png"
	"regexp"
	"sync"

	"github.com/google/uuid"
	"golang.org/x/image/draw"

	"assent/internal/problem"
	"assent/internal/store"
)

// The bounds of a logo.
const (
	LogoFileMax = 1 << 20 // bytes of the file that is brought

	logoSideMax  = 4096    // pixels of the file's picture, across and down …
	logoAreaMax  = 8 << 20 // … and in all: what is unpacked of it at a time
	logoWidth    = 480     // pixels of what is kept, at most …
	logoHeight   = 160
	shownWidth   = 240 // … and how large it is shown at most, so that it is sharp on fine screens
	shownHeight  = 64
	logoScansMax = 64 // of a JPEG, which may be drawn over and over: a camera's has ten
	logosKept    = 10 // of a brand: this one, and those before it
	logoHashSize = 16 // bytes
)

// logoFormats are what a logo may come as. Pictures made of drawing commands are
// not among them: they can hold programs.
var logoFormats = map[string]bool{"png": true, "jpeg": true, "gif": true}

// Logo is a picture fit to be shown to anybody: a PNG of our own making, in
// which nothing of the file that was brought is left but what can be seen.
type Logo struct {
	PNG           []byte
	Width, Height int // pixels
}

// startOfScan begins a pass over the picture in a JPEG (ITU-T T.81, B.1.1.3);
// in the data of one it cannot occur.
var startOfScan = []byte{0xff, 0xda}

// unpacking is held by who unpacks a picture: one at a time, for it takes tens
// of megabytes.
var unpacking sync.Mutex

// ReadLogo makes a logo of a file that somebody brought: its first picture,
// made smaller where it is larger than needed. How large it says it is, is asked
// before anything of it is unpacked. What is no picture, broken, or too large is
// problem.Invalid with the field "logo".
func ReadLogo(file []byte) (Logo, error) {
	switch {
	case len(file) == 0:
		return Logo{}, problem.InvalidField("logo", "brand.logo.empty")
	case len(file) > LogoFileMax:
		return Logo{}, LogoTooLarge()
	}
	about, format, err := image.DecodeConfig(bytes.NewReader(file))
	switch {
	case errors.Is(err, image.ErrFormat) || err == nil && !logoFormats[format]:
		return Logo{}, problem.InvalidField("logo", "brand.logo.kind")
	case err != nil || about.Width < 1 || about.Height < 1:
		return Logo{}, problem.InvalidField("logo", "brand.logo.broken")
	case about.Width > logoSideMax || about.Height > logoSideMax || about.Width*about.Height > logoAreaMax:
		return Logo{}, problem.InvalidField("logo", "brand.logo.pixels", "Width", about.Width, "Height", about.Height, "Side", logoSideMax, "Area", logoAreaMax>>20)
	}
	if format == "jpeg" && bytes.Count(file, startOfScan) > logoScansMax {
		return Logo{}, problem.InvalidField("logo", "brand.logo.broken")
	}
	unpacking.Lock()
	defer unpacking.Unlock()
	from, _, err := image.Decode(bytes.NewReader(file))
	if err != nil || from.Bounds().Empty() {
		return Logo{}, problem.InvalidField("logo", "brand.logo.broken")
	}
	width, height := within(from.Bounds().Dx(), from.Bounds().Dy(), logoWidth, logoHeight)
	made := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.CatmullRom.Scale(made, made.Bounds(), from, from.Bounds(), draw.Src, nil)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, made); err != nil {
		return Logo{}, fmt.Errorf("write a logo: %w", err)
	}
	return Logo{PNG: out.Bytes(), Width: width, Height: height}, nil
}

// LogoTooLarge tells that a file has more than LogoFileMax.
func LogoTooLarge() error {
	return problem.InvalidField("logo", "brand.logo.file", "Most", LogoFileMax>>20)
}

// within makes a size smaller, by its shape, until it fits; none is made larger.
func within(width, height, mostWidth, mostHeight int) (int, int) {
	if width > mostWidth {
		width, height = mostWidth, max((height*mostWidth+width/2)/width, 1)
	}
	if height > mostHeight {
		width, height = max((width*mostHeight+height/2)/height, 1), mostHeight
	}
	return width, height
}

// LogoSize is how large the brand's logo is shown, in CSS pixels.
func (b Brand) LogoSize() (width, height int) {
	return within(b.LogoWidth, b.LogoHeight, shownWidth, shownHeight)
}

// SetLogo makes it the logo of a brand. Those before it stay at their addresses,
// the last few, for the mails that show them.
func SetLogo(tx *store.Tx, brandID uuid.UUID, l Logo) error {
	if _, err := Lock(tx, brandID); err != nil {
		return err
	}
	sum := sha256.Sum256(l.PNG)
	hash := hex.EncodeToString(sum[:logoHashSize])
	_, err := tx.Run("INSERT INTO logos (brand_id, hash, used_at, png) VALUES (?, ?, ?, ?) ON CONFLICT (brand_id, hash) DO UPDATE SET used_at = excluded.used_at",
		brandID, hash, tx.Now(), l.PNG)
	if err != nil {
		return fmt.Errorf("keep a logo: %w", err)
	}
	_, err = tx.Run(`DELETE FROM logos WHERE brand_id = ? AND hash <> ? AND hash NOT IN
		(SELECT hash FROM logos WHERE brand_id = ? AND hash <> ? ORDER BY used_at DESC, hash LIMIT ?)`, brandID, hash, brandID, hash, logosKept-1)
	if err != nil {
		return fmt.Errorf("forget an old logo: %w", err)
	}
	return named(tx, brandID, hash, l.Width, l.Height)
}

// RemoveLogo takes the logo of a brand away, and those before it: mails that
// were sent show the brand's name in its place.
func RemoveLogo(tx *store.Tx, brandID uuid.UUID) error {
	if _, err := Lock(tx, brandID); err != nil {
		return err
	}
	if _, err := tx.Run("DELETE FROM logos WHERE brand_id = ?", brandID); err != nil {
		return fmt.Errorf("remove a logo: %w", err)
	}
	return named(tx, brandID, "", 0, 0)
}

func named(tx *store.Tx, brandID uuid.UUID, hash string, width, height int) error {
	_, err := tx.Run("UPDATE brands SET logo_hash = ?, logo_width = ?, logo_height = ?, updated_at = ? WHERE id = ?", hash, width, height, tx.Now(), brandID)
	if err != nil {
		return fmt.Errorf("name the logo of a brand: %w", err)
	}
	return nil
}

var logoHash = regexp.MustCompile(`^[0-9a-f]{32}$`)

// LogoPNG reads a logo that is, or was, some brand's; problem.NotFound where
// there is none. It reads the index logos_hash.
func LogoPNG(tx *store.Tx, hash string) ([]byte, error) {
	if !logoHash.MatchString(hash) {
		return nil, problem.New(problem.NotFound, "problem.not-found")
	}
	var rows []struct{ PNG []byte }
	if err := tx.Raw("SELECT png FROM logos WHERE hash = ? LIMIT 1", hash).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("read a logo: %w", err)
	}
	if len(rows) == 0 {
		return nil, problem.New(problem.NotFound, "problem.not-found")
	}
	return rows[0].PNG, nil
}
