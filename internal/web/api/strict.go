package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

var (
	errNotText = errors.New("the body is no UTF-8 text")
	errNull    = errors.New("the body holds the null character, which is no text")
)

// strictJSON is JSON (RFC 8259) that is refused where Go's decoder would put a
// replacement for what is no text, or a database would choke on it.
var strictJSON = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(v)
	},
	Unmarshal: func(data []byte, v any) error {
		if !utf8.Valid(data) {
			return errNotText
		}
		if err := json.Unmarshal(data, v); err != nil {
			return err
		}
		if bytes.Contains(data, []byte(`\u0000`)) && holdsNull(data) {
			return errNull
		}
		return nil
	},
}

// holdsNull looks again at a body that may hold an escaped null character.
func holdsNull(data []byte) bool {
	d := json.NewDecoder(bytes.NewReader(data))
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		if s, ok := token.(string); ok && strings.IndexByte(s, 0) >= 0 {
			return true
		}
	}
}

func isText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }
