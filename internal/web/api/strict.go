package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"assent/internal/web"
)

var (
	errNotText = errors.New("the body is no UTF-8 text")
	errNull    = errors.New("the body holds the null character, which is no text")
)

// strictJSON is JSON (RFC 8259) that is refused where Go's decoder would put a
// replacement for what is no text, where a database would choke on it, and
// where an object has a name twice: the decoder takes the last of them in one
// place and a mixture of both in another, so that what was checked would not be
// what is done.
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
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		return plain(d)
	},
}

// plain reads one value of what is known to be JSON, and refuses the null
// character in it and a name that an object has twice.
func plain(d *json.Decoder) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	if s, ok := token.(string); ok && !web.IsText(s) {
		return errNull
	}
	begin, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	names := map[string]bool{}
	for d.More() {
		if begin == '{' {
			if err := newName(d, names); err != nil {
				return err
			}
		}
		if err := plain(d); err != nil {
			return err
		}
	}
	_, err = d.Token() // the end of it
	return err
}

func newName(d *json.Decoder, names map[string]bool) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	name, _ := token.(string)
	if !web.IsText(name) {
		return errNull
	}
	if names[name] {
		return fmt.Errorf("the body says %q twice in one object", name)
	}
	names[name] = true
	return nil
}
