package web

import (
	"assent/internal/brand"
	"assent/internal/link"
)

// PictureFence is what a picture may do that somebody opens by itself: nothing.
const PictureFence = "default-src 'none'; frame-ancestors 'none'; sandbox"

// Logo is the picture of a brand, for a page of ours.
type Logo struct {
	URL           string // empty: it has none
	Width, Height int    // as it is shown, in CSS pixels
}

// LogoOf is the picture that the brand has now.
func LogoOf(b brand.Brand) (l Logo) {
	if b.LogoHash != "" {
		l.URL = link.LogoPath(b.LogoHash)
		l.Width, l.Height = b.LogoSize()
	}
	return l
}
