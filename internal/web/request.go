package web

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/i18n"
	"assent/internal/problem"
)

const localizerKey = "assent localizer"

// Localizer speaks the visitor's language: what SetLanguage chose, else ?lang=,
// else the best of Accept-Language, else English. No cookie remembers it.
func Localizer(c echo.Context) *i18n.Localizer {
	if l, ok := c.Get(localizerKey).(*i18n.Localizer); ok {
		return l
	}
	lang := c.QueryParam("lang")
	if lang == "" {
		lang = i18n.Match(c.Request().Header.Get("Accept-Language"), i18n.Languages)
	}
	l := i18n.For(lang)
	c.Set(localizerKey, l)
	return l
}

// SetLanguage makes the rest of the request speak a language, for example the
// one a subscriber is known to prefer.
func SetLanguage(c echo.Context, lang string) { c.Set(localizerKey, i18n.For(lang)) }

// ID reads a UUID of the path. What is none names nothing: problem.NotFound.
func ID(c echo.Context, name string) (uuid.UUID, error) {
	raw := c.Param(name)
	id, err := uuid.Parse(raw)
	if err != nil || len(raw) != 36 {
		return uuid.Nil, problem.New(problem.NotFound, "problem.not-found")
	}
	return id, nil
}

// formMemory bounds a multipart body: the whole of it stays in memory, so
// nothing of a visitor's is ever written to a temporary file.
const formMemory = BodyMax

// Form reads the posted form, urlencoded or multipart; values of the address
// are not among them. A body that is no form, or holds what is no text, is
// problem.Malformed, and one over the limit problem.TooLarge.
func Form(c echo.Context) (url.Values, error) {
	r := c.Request()
	var err error
	if HasFiles(c) {
		err = r.ParseMultipartForm(formMemory)
	} else {
		err = r.ParseForm()
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, err
	}
	if err != nil {
		return nil, problem.New(problem.Malformed, "problem.malformed").Because(err)
	}
	for name, values := range r.PostForm {
		for _, v := range append(values, name) {
			if !IsText(v) {
				return nil, problem.New(problem.Malformed, "web.not-text")
			}
		}
	}
	return r.PostForm, nil
}

// HasFiles reports whether the form that was sent may have files in it.
func HasFiles(c echo.Context) bool {
	return strings.HasPrefix(c.Request().Header.Get(echo.HeaderContentType), echo.MIMEMultipartForm)
}

// uploadPause is how long a client that sends a file may be silent.
const uploadPause = 30 * time.Second

// Upload reads a form with files as it comes, so that no file is ever whole in
// memory. Its fields are there for Form afterwards; each file goes to take,
// with those fields that stand before it in the form. A slow upload may last.
func Upload(c echo.Context, take func(field, name string, file io.Reader) error) error {
	r := c.Request()
	parts, err := r.MultipartReader()
	if err != nil {
		return problem.New(problem.Malformed, "problem.malformed").Because(err)
	}
	control := http.NewResponseController(c.Response())
	values, room := url.Values{}, int64(BodyMax)
	r.PostForm, r.Form, r.MultipartForm = values, values, &multipart.Form{Value: values}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return broken(err)
		}
		if room -= int64(len(part.FormName()) + partCost); room < 0 {
			return problem.New(problem.TooLarge, "problem.too-large")
		}
		in := &patient{part, control}
		if part.FileName() != "" {
			if err := take(part.FormName(), part.FileName(), in); err != nil {
				return broken(err)
			}
			continue
		}
		text, err := io.ReadAll(io.LimitReader(in, room+1))
		if err != nil {
			return broken(err)
		}
		if room -= int64(len(text)); room < 0 {
			return problem.New(problem.TooLarge, "problem.too-large")
		}
		values.Add(part.FormName(), string(text))
	}
}

// partCost is what a part costs beside its text, in bytes: many that are empty
// are too much, too.
const partCost = 64

// broken tells a form that ends too early from our own failures.
func broken(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return problem.New(problem.Malformed, "problem.malformed").Because(err)
	}
	return err
}

// patient puts the end of the request off as long as something comes. The answer
// has its time from then on.
type patient struct {
	io.Reader
	control *http.ResponseController
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	if err := p.control.SetReadDeadline(time.Now().Add(uploadPause)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	if err := p.control.SetWriteDeadline(time.Now().Add(2 * uploadPause)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.Reader.Read(b)
}

// ClientIP is the client's address: the peer's, or what a trusted proxy said.
// It is not valid where neither can be read.
func ClientIP(c echo.Context) netip.Addr {
	ip, _ := netip.ParseAddr(c.RealIP())
	return ip.Unmap()
}

// ClientPlace is what a limit counts a client by: its IPv4 address, or the /64
// of its IPv6 address, since one customer has all of that.
func ClientPlace(c echo.Context) string {
	ip := ClientIP(c).WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}

// ClientNetwork is the network around a client: the /24 of IPv4, the /48 of
// IPv6, which is what one customer or one site mostly has.
func ClientNetwork(c echo.Context) string {
	ip := ClientIP(c).WithZone("")
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// SeeOther answers a form post with the address to look at next.
func SeeOther(c echo.Context, path string) error { return c.Redirect(http.StatusSeeOther, path) }

// Stream begins an answer of server-sent events, which lasts as long as the
// client stays; send writes one event, whose data is one line.
func Stream(c echo.Context) (send func(event, data string) error, err error) {
	w := c.Response()
	control := http.NewResponseController(w)
	if err := control.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, err
	}
	w.Header().Set(echo.HeaderContentType, "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	return func(event, data string) error {
		if _, err := w.Write([]byte("event: " + event + "\ndata: " + strings.ReplaceAll(data, "\n", "\ndata: ") + "\n\n")); err != nil {
			return err
		}
		return control.Flush()
	}, nil
}
