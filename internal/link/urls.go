package link

import (
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// URLs builds every public address that leaves the house. Base is the public
// URL of the service, with or without a path of its own; the embedded ring's
// readers take the tokens back.
type URLs struct {
	Base *url.URL
	*Ring
}

func (u URLs) at(path, token string) string {
	return strings.TrimSuffix(u.Base.String(), "/") + path + token
}

func (u URLs) message(path string, kind Kind, m Message) string {
	return u.at(path, u.SignIDs(kind, m.Source, m.ID))
}

// Confirm is the page that asks for the confirmation of a double opt-in request.
func (u URLs) Confirm(request uuid.UUID) string { return u.at("/c/", u.SignIDs(Confirm, request)) }

// Leave is the unsubscribe address of a mail: a page on GET, RFC 8058
// one-click on POST.
func (u URLs) Leave(m Message) string { return u.message("/u/", Leave, m) }

// Preferences is a subscriber's preference page at a brand.
func (u URLs) Preferences(brand, subscriber uuid.UUID) string {
	return u.at("/p/", u.SignIDs(Preferences, brand, subscriber))
}

// Why is the page that says why a mail was sent.
func (u URLs) Why(m Message) string { return u.message("/w/", Why, m) }

// View is a mail as a web page.
func (u URLs) View(m Message) string { return u.message("/v/", View, m) }

// Pixel is the image whose loading is an open.
func (u URLs) Pixel(m Message) string { return u.message("/o/", Pixel, m) }

// Click is the tracked address of the n-th link of a mail; n ≥ 0.
func (u URLs) Click(m Message, n int) string { return u.at("/l/", u.signClick(m, n)) }

// Keep is the page that asks whether a permission stands.
func (u URLs) Keep(asking uuid.UUID) string { return u.at("/k/", u.SignIDs(Keep, asking)) }

// AnonymousPixel is the image that all mails of a campaign share.
func (u URLs) AnonymousPixel(stream uuid.UUID) string {
	return u.at("/o/", u.SignIDs(AnonymousPixel, stream))
}

// AnonymousClick is the address of a link that all mails of a campaign share.
func (u URLs) AnonymousClick(s Shared) string { return u.at("/l/", u.signShared(s)) }

// Receipt is the receipt of a consent event.
func (u URLs) Receipt(event uuid.UUID) string { return u.at("/r/", u.SignIDs(Receipt, event)) }

// Form is the hosted page of a form.
func (u URLs) Form(form uuid.UUID) string { return u.at("/f/", form.String()) }

// Logo is the picture of a brand, by the hash of what it shows.
func (u URLs) Logo(hash string) string { return u.at(LogoPath(hash), "") }

// LogoPath is Logo on our own pages.
func LogoPath(hash string) string { return "/logo/" + hash + ".png" }

// Short is the address of a form that is typed, or scanned, from paper.
func (u URLs) Short(code string) string { return u.at("/s/", code) }

// Page is a page of the service by its path, which begins with a slash.
func (u URLs) Page(path string) string { return u.at(path, "") }

// HTTPS reports whether the public addresses are encrypted, which one-click
// unsubscribe (RFC 8058 §3.1) and secure cookies need.
func (u URLs) HTTPS() bool { return u.Base.Scheme == "https" }
