package importer

import (
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

func itoa(n int) string { return strconv.Itoa(n) }

const (
	sniffRows = 20
	sniffMost = 1000 // rows read to find as many that hold something
)

// separatorOf is the one by which the first rows fall into the same number of
// cells, the more the better; a comma where none divides them.
func separatorOf(beginning []byte, whole bool) byte {
	best, most := byte(','), 0
	for _, s := range []byte{',', ';', '\t'} {
		from, score, cells := 0, 0, 0
		for n := 0; n < sniffRows && from < len(beginning); n++ {
			row, size, found := split(beginning[from:], s, whole)
			if found != ends {
				break
			}
			from += size
			if empty(row) {
				continue
			}
			if cells == 0 {
				cells = len(row)
			}
			if len(row) == cells && cells > 1 {
				score += cells
			} else {
				score -= 2
			}
		}
		if score > most {
			best, most = s, score
		}
	}
	return best
}

// Head is the beginning of a file, to look at.
type Head struct {
	Header bool // the first row looks like names
	Names  []string
	Rows   [][]string // without the names
	Plan   Plan       // what it looks like
}

const headRows = 6

// Look reads the beginning of a file and guesses what is in it.
func Look(tx *store.Tx, i Import) (h Head, err error) {
	t := newTable(i.openAt(tx, 0), i.Separator[0])
	var rows [][]string
	for n := 0; len(rows) < sniffRows && n < sniffMost; n++ {
		cells, fault, err := t.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return h, err
		}
		if fault == "" && !empty(cells) {
			rows = append(rows, cells)
		}
	}
	if len(rows) == 0 {
		return h, problem.New(problem.Invalid, "import.file.broken")
	}
	h.Header = true
	for _, cell := range rows[0] {
		if _, err := subscriber.ParseAddress(cell); err == nil {
			h.Header = false
		}
	}
	width := 0
	for _, r := range rows {
		width = max(width, len(r))
	}
	h.Names = make([]string, width)
	if h.Header {
		copy(h.Names, rows[0])
		rows = rows[1:]
	}
	h.guess(rows)
	h.Rows = rows[:min(len(rows), headRows)]
	return h, nil
}

func (h *Head) guess(rows [][]string) {
	p := Plan{Header: h.Header, Names: h.Names, Columns: make([]Column, len(h.Names)), Dates: DatesISO}
	taken := map[string]bool{}
	for n, name := range h.Names {
		use := useOf(name)
		if use == Skip && !taken[Email] && addresses(rows, n) {
			use = Email
		}
		if use != Skip && !taken[use] {
			p.Columns[n].Use, taken[use] = use, true
		}
		if attributeName(slugOf(name)) {
			p.Columns[n].Attribute = slugOf(name)
		}
		if use == GivenOn {
			p.Dates = datesOf(rows, n)
		}
	}
	h.Plan = p
}

func addresses(rows [][]string, n int) bool {
	for _, r := range rows {
		if n < len(r) && r[n] != "" {
			_, err := subscriber.ParseAddress(r[n])
			return err == nil
		}
	}
	return false
}

// names are what columns are called, in English and in Persian.
var names = map[string]string{
	"email": Email, "mail": Email, "emailaddress": Email, "address": Email, "subscriber": Email, "ایمیل": Email, "نشانیایمیل": Email, "ادرسایمیل": Email, "پستالکترونیک": Email, "رایانامه": Email,
	"name": Name, "fullname": Name, "firstname": Name, "displayname": Name, "نام": Name, "نامکامل": Name, "نامونامخانوادگی": Name, "اسم": Name,
	"language": Language, "lang": Language, "locale": Language, "زبان": Language,
	"tag": Tags, "tags": Tags, "label": Tags, "labels": Tags, "group": Tags, "groups": Tags, "برچسب": Tags, "برچسبها": Tags, "گروه": Tags,
	"consentdate": GivenOn, "date": GivenOn, "consentedat": GivenOn, "consentedon": GivenOn, "consenttime": GivenOn, "confirmtime": GivenOn, "confirmedat": GivenOn, "optintime": GivenOn, "optindate": GivenOn, "subscribedat": GivenOn, "signupdate": GivenOn, "givenon": GivenOn, "تاریخ": GivenOn, "تاریخرضایت": GivenOn, "تاریخاجازه": GivenOn, "تاریخعضویت": GivenOn, "تاریخثبتنام": GivenOn,
	"source": Source, "consentsource": Source, "origin": Source, "signupsource": Source, "form": Source, "منبع": Source, "محل": Source, "منبعرضایت": Source, "منبعاجازه": Source,
	"words": Words, "wording": Words, "consentwords": Words, "consenttext": Words, "consentwording": Words, "statement": Words, "متن": Words, "متنرضایت": Words, "متناجازه": Words, "عبارت": Words,
}

func useOf(header string) string {
	return names[strings.Map(func(r rune) rune {
		switch r {
		case 'ي', 'ى':
			return 'ی'
		case 'ك':
			return 'ک'
		case 'آ', 'أ', 'إ':
			return 'ا'
		}
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, header)]
}

var attributePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

func attributeName(s string) bool { return attributePattern.MatchString(s) }

func slugOf(header string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, strings.TrimSpace(header)), "_")
}

// datesOf is the first way in which all days of the first rows can be read.
func datesOf(rows [][]string, n int) string {
	for _, way := range Dates {
		read := 0
		for _, r := range rows {
			if n >= len(r) || strings.TrimSpace(r[n]) == "" {
				continue
			}
			if _, ok := readDay(r[n], way); !ok {
				read = -1
				break
			}
			read++
		}
		if read > 0 {
			return way
		}
	}
	return DatesISO
}

// readDay reads a day written in one of the ways; a time of day after it is
// left away.
func readDay(s, way string) (time.Time, bool) {
	s = strings.TrimSpace(i18n.ASCIIDigits(s))
	if i := strings.IndexAny(s, " T،,"); i > 0 {
		s = s[:i]
	}
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == '-' || r == '/' || r == '.' })
	if len(parts) != 3 {
		return time.Time{}, false
	}
	switch way {
	case DatesDMY:
		parts[0], parts[2] = parts[2], parts[0]
	case DatesMDY:
		parts[0], parts[1], parts[2] = parts[2], parts[0], parts[1]
	}
	y, m, d, ok := i18n.ParseDay(strings.Join(parts, "-"))
	written, _ := strconv.Atoi(parts[0])
	if !ok || (way == DatesJalali) != (written < 1700) {
		return time.Time{}, false
	}
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC), true
}
