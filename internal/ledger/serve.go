package ledger

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"assent/internal/problem"
	"assent/internal/store"
)

// Tile is the answer to a path below the log's address (C2SP tlog-tiles):
// "tile/<level>/<n>[.p/<width>]" the hashes, "tile/entries/<n>[.p/<width>]" the
// leaves, each after its length as 16 bits. Only what a shown checkpoint covers is
// there; all else is problem.NotFound. What it answers never changes.
func (l Log) Tile(tx *store.Tx, path string) ([]byte, error) {
	level, n, width, ok := parseTile(path)
	if !ok {
		return nil, noTile()
	}
	first := n * tileWidth
	if level < 0 {
		if first+int64(width) > l.ShownSize {
			return nil, noTile()
		}
		return l.bundle(tx, first, width)
	}
	have := l.ShownSize >> (tileHeight * level)
	if first+int64(width) > have {
		return nil, noTile()
	}
	b, err := tilesOf(tx, l.Number).read(tileID{level, n})
	if err != nil {
		return nil, err
	}
	if len(b) < width*tlog.HashSize {
		return nil, fmt.Errorf("tile %s has %d bytes", path, len(b))
	}
	return b[:width*tlog.HashSize], nil
}

func noTile() error { return problem.New(problem.NotFound, "ledger.no-tile") }

// levelMost is the last level of a tree of 2⁶³ leaves.
const levelMost = 7

// parseTile reads a tile's path; level is -1 for entries.
func parseTile(path string) (level int, n int64, width int, ok bool) {
	rest, found := strings.CutPrefix(path, "tile/")
	name, rest, cut := strings.Cut(rest, "/")
	if !found || !cut {
		return 0, 0, 0, false
	}
	if name == "entries" {
		level = -1
	} else if i, err := strconv.Atoi(name); err == nil && i >= 0 && i <= levelMost && strconv.Itoa(i) == name {
		level = i
	} else {
		return 0, 0, 0, false
	}
	width = tileWidth
	if number, part, partial := strings.Cut(rest, ".p/"); partial {
		w, err := strconv.Atoi(part)
		if err != nil || w < 1 || w >= tileWidth || strconv.Itoa(w) != part {
			return 0, 0, 0, false
		}
		rest, width = number, w
	}
	n, ok = parseNumber(rest)
	return level, n, width, ok
}

// parseNumber reads three digits a part, as in x001/x234/067.
func parseNumber(text string) (n int64, ok bool) {
	parts := strings.Split(text, "/")
	for i, p := range parts {
		digits, x := strings.CutPrefix(p, "x")
		d, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || len(digits) != 3 || x != (i < len(parts)-1) || n > math.MaxInt64/tileWidth/2000 {
			return 0, false
		}
		n = n*1000 + int64(d)
	}
	return n, numberPath(n) == text
}

func numberPath(n int64) string {
	s := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		s = fmt.Sprintf("x%03d/%s", n%1000, s)
	}
	return s
}

func (l Log) bundle(tx *store.Tx, first int64, width int) ([]byte, error) {
	rows, err := l.leaves(tx, first, first+int64(width))
	if err != nil {
		return nil, err
	}
	if len(rows) != width {
		return nil, fmt.Errorf("the log has %d of %d entries from %d on", len(rows), width, first)
	}
	var b []byte
	for _, r := range rows {
		if len(r.Leaf) == 0 || len(r.Leaf) > math.MaxUint16 {
			return nil, fmt.Errorf("entry %d has %d bytes", r.Place, len(r.Leaf))
		}
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(r.Leaf))), r.Leaf...)
	}
	return b, nil
}

type leafAt struct {
	Place int64
	Leaf  []byte
}

// leaves reads the key of log_entries, and for each the key of its event.
func (l Log) leaves(tx *store.Tx, from, to int64) ([]leafAt, error) {
	var rows []leafAt
	err := tx.Raw(`SELECT e.place, coalesce(c.leaf, x.leaf) AS leaf FROM log_entries e
		LEFT JOIN consent_events c ON c.id = e.event_id LEFT JOIN change_events x ON x.id = e.event_id
		WHERE e.log = ? AND e.place >= ? AND e.place < ? ORDER BY e.place`, l.Number, from, to).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read entries of the log: %w", err)
	}
	return rows, nil
}
