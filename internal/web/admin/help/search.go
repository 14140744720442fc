package help

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Hit is a place of the book in which the words were found.
type Hit struct {
	Slug, ID    string // ID is empty for the head of a page
	Page, Title string // Title is empty for the head of a page
	Excerpt     []Piece
}

// Piece is a piece of a text; Hit, where it is one of the words that were looked for.
type Piece struct {
	Text string
	Hit  bool
}

// Limits of a search.
const (
	WordsMax = 100 // characters
	hitsMax  = 12
	around   = 90 // characters of an excerpt before and after the first word
)

// entry is a place as it is searched.
type entry struct {
	hit               Hit
	page, title, text string // folded
	unfolded          string // the text
}

func (b *Book) index() {
	for _, p := range b.Pages {
		b.folded = append(b.folded, newEntry(Hit{Slug: p.Slug, Page: p.Title}, p.lead))
		for _, s := range p.Sections {
			b.folded = append(b.folded, newEntry(Hit{Slug: p.Slug, Page: p.Title, ID: s.ID, Title: s.Title}, s.text))
		}
	}
}

func newEntry(h Hit, text string) entry {
	return entry{hit: h, page: fold(h.Page), title: fold(h.Title), text: fold(text), unfolded: text}
}

// Search gives the places where every one of the words stands, in headings
// first; a word may be the beginning or a part of one. Without words there are none.
func (b *Book) Search(words string) []Hit {
	if utf8.RuneCountInString(words) > WordsMax {
		words = string([]rune(words)[:WordsMax])
	}
	wanted := strings.Fields(fold(words))
	if len(wanted) == 0 {
		return nil
	}
	type found struct {
		entry
		weight int
	}
	var all []found
	for _, e := range b.folded {
		if w := e.weight(wanted); w > 0 {
			all = append(all, found{e, w})
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(b.weight, a.weight) })
	var hits []Hit
	for _, f := range all[:min(len(all), hitsMax)] {
		h := f.hit
		h.Excerpt = excerpt(f.unfolded, f.text, wanted)
		hits = append(hits, h)
	}
	return hits
}

// weight is 0 where one of the words is missing.
func (e entry) weight(wanted []string) (sum int) {
	for _, w := range wanted {
		switch {
		case strings.Contains(e.title, w), e.title == "" && strings.Contains(e.page, w):
			sum += 5
		case strings.Contains(e.text, w):
			sum += 2
		case strings.Contains(e.page, w):
			sum++
		default:
			return 0
		}
	}
	return sum
}

// fold makes what is the same to a reader the same to a search: small letters,
// one kind of yeh and kaf, of digits, of spaces and of hyphens. It gives a
// character for a character, so that places in it are places in the text.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == 'ي', r == 'ى':
			return 'ی'
		case r == 'ك':
			return 'ک'
		case r == 'أ', r == 'إ', r == 'آ':
			return 'ا'
		case r == 'ۀ', r == 'ة':
			return 'ه'
		case r >= '۰' && r <= '۹':
			return '0' + r - '۰'
		case r == '\u200c', r == '-', unicode.IsSpace(r):
			return ' '
		case r == '’':
			return '\''
		}
		return unicode.ToLower(r)
	}, s)
}

// excerpt is what stands around the first of the words, with all of them marked;
// the beginning of the text, where none is in it.
func excerpt(text, folded string, wanted []string) []Piece {
	plain, low := []rune(text), []rune(folded)
	first := len(low)
	for _, w := range wanted {
		if i := find(low, []rune(w), 0); i >= 0 {
			first = min(first, i)
		}
	}
	if first == len(low) {
		first = 0
	}
	from, to := wordStart(plain, first-around), wordEnd(plain, first+around)
	var all []Piece
	for i := from; i < to; {
		at, n := to, 0
		for _, w := range wanted {
			if j := find(low[:to], []rune(w), i); j >= 0 && (j < at || j == at && len([]rune(w)) > n) {
				at, n = j, len([]rune(w))
			}
		}
		if at > i {
			all = append(all, Piece{Text: string(plain[i:at])})
		}
		if n > 0 {
			all = append(all, Piece{Text: string(plain[at : at+n]), Hit: true})
		}
		i = at + n
	}
	return ends(all, from > 0, to < len(plain))
}

// ends says where an excerpt leaves something out.
func ends(all []Piece, before, after bool) []Piece {
	if before {
		all = slices.Insert(all, 0, Piece{Text: "… "})
	}
	if after {
		all = append(all, Piece{Text: " …"})
	}
	return all
}

func find(in, what []rune, from int) int {
	for i := from; i+len(what) <= len(in); i++ {
		if slices.Equal(in[i:i+len(what)], what) {
			return i
		}
	}
	return -1
}

func wordStart(text []rune, i int) int {
	for i = max(0, i); i > 0 && text[i-1] != ' '; i-- {
	}
	return i
}

func wordEnd(text []rune, i int) int {
	for i = min(len(text), i); i < len(text) && text[i] != ' '; i++ {
	}
	return i
}
