package ledger

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"assent/internal/store"
)

const (
	tileHeight = 8 // C2SP tlog-tiles: 256 hashes a tile
	tileWidth  = 1 << tileHeight
)

// tiles are the hashes of one log's tree: as they are stored, and, over them,
// what was added and is not stored yet.
type tiles struct {
	tx   *store.Tx
	log  int
	held map[tileID][]byte
	made map[tileID]bool // of held: to be stored
}

type tileID struct {
	level int
	n     int64
}

func tilesOf(tx *store.Tx, log int) *tiles {
	return &tiles{tx: tx, log: log, held: map[tileID][]byte{}, made: map[tileID]bool{}}
}

// errUnread says that the database did not answer: nothing is known of the tree.
var errUnread = errors.New("read a tile")

// read gives the hashes of a tile that there are; none is no error.
func (t *tiles) read(id tileID) ([]byte, error) {
	if b, ok := t.held[id]; ok {
		return b, nil
	}
	var rows []struct{ Hashes []byte }
	err := t.tx.Raw("SELECT hashes FROM log_tiles WHERE log = ? AND level = ? AND n = ?", t.log, id.level, id.n).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnread, err)
	}
	var b []byte
	if len(rows) > 0 {
		b = rows[0].Hashes
	}
	t.held[id] = b
	return b, nil
}

// ReadHashes implements tlog.HashReader.
func (t *tiles) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	all := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		at := tlog.TileForIndex(tileHeight, index)
		b, err := t.read(tileID{at.L, at.N})
		if err != nil {
			return nil, err
		}
		if len(b) < at.W*tlog.HashSize {
			return nil, fmt.Errorf("tile %d of level %d has %d bytes, want %d", at.N, at.L, len(b), at.W*tlog.HashSize)
		}
		if all[i], err = tlog.HashFromTile(at, b[:at.W*tlog.HashSize], index); err != nil {
			return nil, fmt.Errorf("read tile %d of level %d: %w", at.N, at.L, err)
		}
	}
	return all, nil
}

// add appends hashes to a tree of so many leaves: a tile that becomes full is
// one hash of the level above.
func (t *tiles) add(size int64, hashes []tlog.Hash) error {
	for level := 0; len(hashes) > 0; level, size = level+1, size/tileWidth {
		var full []tlog.Hash
		for i, h := range hashes {
			at := size + int64(i)
			id, have := tileID{level, at / tileWidth}, int(at%tileWidth)*tlog.HashSize
			b, err := t.read(id)
			if err != nil {
				return err
			}
			if len(b) < have {
				return fmt.Errorf("tile %d of level %d has %d bytes, want %d", id.n, level, len(b), have)
			}
			b = append(b[:have], h[:]...)
			t.held[id], t.made[id] = b, true
			if len(b) == tileWidth*tlog.HashSize {
				full = append(full, subtree(b))
			}
		}
		hashes = full
	}
	return nil
}

// subtree is the root over the hashes of a full tile.
func subtree(b []byte) tlog.Hash {
	row := make([]tlog.Hash, len(b)/tlog.HashSize)
	for i := range row {
		row[i] = tlog.Hash(b[i*tlog.HashSize:])
	}
	for len(row) > 1 {
		for i := range len(row) / 2 {
			row[i] = tlog.NodeHash(row[2*i], row[2*i+1])
		}
		row = row[:len(row)/2]
	}
	return row[0]
}

// store writes what was added.
func (t *tiles) store() error {
	rows := make([][]any, 0, len(t.made))
	for id := range t.made {
		rows = append(rows, []any{t.log, id.level, id.n, t.held[id]})
	}
	_, err := t.tx.InsertAll("log_tiles", "log integer, level integer, n bigint, hashes bytea", rows,
		"ON CONFLICT (log, level, n) DO UPDATE SET hashes = excluded.hashes")
	if err != nil {
		return fmt.Errorf("store the tiles: %w", err)
	}
	clear(t.made)
	return nil
}
