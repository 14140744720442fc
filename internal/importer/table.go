package importer

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	rowMax    = 64 << 10 // bytes of a row: a quote that is never closed does not swallow the file
	cellsMax  = 200
	readAhead = 64 << 10
)

// What is wrong with a row as such: keys of the catalogue.
const (
	whyQuote = "import.why.quote" // a quote is not closed, or something follows it
	whyLong  = "import.why.long"
	whyText  = "import.why.text" // no UTF-8, or the null character
)

// table reads rows of separated values: RFC 4180, and what spreadsheets make of
// it. Line ends are LF, CR LF or CR; a quote within a cell that does not begin
// with one stands for itself. It never keeps more than a row and what it reads
// ahead. A row that cannot be read is told, and the next line is the next row.
type table struct {
	in        io.Reader
	separator byte
	buf       []byte
	from      int // where the next row begins in buf
	offset    int64
	over      bool
}

func newTable(in io.Reader, separator byte) *table { return &table{in: in, separator: separator} }

// next gives the cells of a row; fault says that it cannot be read. After the
// last it gives io.EOF. offset is where the row after it begins.
func (t *table) next() (cells []string, fault string, err error) {
	for {
		rest := t.buf[t.from:]
		if len(rest) == 0 && t.over {
			return nil, "", io.EOF
		}
		cells, size, found := split(rest, t.separator, t.over)
		switch {
		case found == ends && !sound(rest[:size]):
			t.take(size)
			return nil, whyText, nil
		case found == ends && size <= rowMax:
			t.take(size)
			return cells, "", nil
		case found == broken:
			return nil, whyQuote, t.skip()
		case found == ends || len(rest) > rowMax:
			if len(rest) > 0 && unclosed(rest[:min(len(rest), rowMax)], t.separator) {
				return nil, whyQuote, t.skip()
			}
			return nil, whyLong, t.skip()
		}
		if err := t.fill(); err != nil {
			return nil, "", err
		}
	}
}

func (t *table) take(n int) { t.from += n; t.offset += int64(n) }

// skip goes behind the line that the row begins with.
func (t *table) skip() error {
	for {
		rest := t.buf[t.from:]
		if i := bytes.IndexAny(rest, "\r\n"); i >= 0 && (i+1 < len(rest) || t.over || rest[i] == '\n') {
			if rest[i] == '\r' && i+1 < len(rest) && rest[i+1] == '\n' {
				i++
			}
			t.take(i + 1)
			return nil
		} else if i < 0 {
			t.take(len(rest))
		}
		if t.over {
			t.take(len(t.buf) - t.from)
			return nil
		}
		if err := t.fill(); err != nil {
			return err
		}
	}
}

func (t *table) fill() error {
	if t.from > 0 {
		t.buf = t.buf[:copy(t.buf, t.buf[t.from:])]
		t.from = 0
	}
	at := len(t.buf)
	t.buf = append(t.buf, make([]byte, readAhead)...)
	n, err := io.ReadFull(t.in, t.buf[at:])
	t.buf = t.buf[:at+n]
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.over, err = true, nil
	}
	return err
}

func sound(row []byte) bool { return utf8.Valid(row) && bytes.IndexByte(row, 0) < 0 }

// unclosed tells that the row begins a quote and does not end it.
func unclosed(row []byte, separator byte) bool {
	_, _, found := split(row, separator, true)
	return found == broken
}

type finding int

const (
	more   finding = iota // the row goes on behind what was read
	ends                  // it is whole
	broken                // it cannot be read
)

// split cuts the first row of b into cells; size is its length with its line
// end. last: nothing follows b.
func split(b []byte, separator byte, last bool) (cells []string, size int, found finding) {
	cells = make([]string, 0, 8)
	for i := 0; ; {
		cell, at, found := cellAt(b, i, separator, last)
		if found != ends {
			return nil, 0, found
		}
		if len(cells) < cellsMax {
			cells = append(cells, cell)
		}
		if at == len(b) {
			if !last {
				return nil, 0, more
			}
			return cells, at, ends
		}
		switch b[at] {
		case separator:
			i = at + 1
		case '\n':
			return cells, at + 1, ends
		default: // CR
			if at+1 == len(b) && !last {
				return nil, 0, more
			}
			if at+1 < len(b) && b[at+1] == '\n' {
				at++
			}
			return cells, at + 1, ends
		}
	}
}

// cellAt reads the cell that begins at i; at is behind it.
func cellAt(b []byte, i int, separator byte, last bool) (cell string, at int, found finding) {
	if i == len(b) || b[i] != '"' {
		at = i
		for at < len(b) && b[at] != separator && b[at] != '\n' && b[at] != '\r' {
			at++
		}
		return string(b[i:at]), at, ends
	}
	doubled := false
	for at = i + 1; ; at++ {
		n := bytes.IndexByte(b[at:], '"')
		if n < 0 {
			if last {
				return "", 0, broken
			}
			return "", 0, more
		}
		at += n
		if at+1 == len(b) && !last {
			return "", 0, more
		}
		if at+1 == len(b) || b[at+1] != '"' {
			break
		}
		doubled, at = true, at+1
	}
	cell = string(b[i+1 : at])
	if doubled {
		cell = strings.ReplaceAll(cell, `""`, `"`)
	}
	at++
	if at < len(b) && b[at] != separator && b[at] != '\n' && b[at] != '\r' {
		return "", 0, broken
	}
	return cell, at, ends
}

// empty tells a row in which nothing stands, as at the end of many sheets.
func empty(cells []string) bool {
	for _, c := range cells {
		if strings.TrimSpace(c) != "" {
			return false
		}
	}
	return true
}
