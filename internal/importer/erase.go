package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"assent/internal/store"
	"assent/internal/subscriber"
)

// Erase takes a person out of the brand's files that are still kept: rows that
// wait, rows of reports, and the rows of files that are not done, which become
// blank in their place, so that an import under way goes on where it is. It
// reads all that is kept of the brand's imports, for it lies sealed: some
// seconds for a million rows.
func Erase(tx *store.Tx, f subscriber.Forgotten) error {
	var all []Import
	err := tx.Raw(`SELECT * FROM imports i WHERE brand_id = ? AND (waiting > 0 OR EXISTS (SELECT 1 FROM import_parts p WHERE p.import_id = i.id)
		OR EXISTS (SELECT 1 FROM import_refusals r WHERE r.import_id = i.id)) ORDER BY id`+tx.ForUpdate(), f.BrandID).Scan(&all).Error
	if err != nil {
		return fmt.Errorf("look for imports: %w", err)
	}
	for _, i := range all {
		for _, erase := range []func(*store.Tx, subscriber.Forgotten) error{i.eraseWaiting, i.eraseRefusals, i.eraseParts} {
			if err := erase(tx, f); err != nil {
				return fmt.Errorf("erase a person from an import: %w", err)
			}
		}
	}
	return nil
}

func (i Import) eraseWaiting(tx *store.Tx, f subscriber.Forgotten) error {
	dropped := 0
	for after := int64(-1); ; {
		rows, err := waitingAfter(tx, i.ID, after, sweepAtOnce)
		if err != nil {
			return err
		}
		for _, row := range rows {
			after = row.Line
			text, err := tx.Ring().Open(rowLabel, row.Sealed, rowName(i.ID, row.Line))
			if err != nil {
				return err
			}
			if !f.In(string(text)) {
				continue
			}
			if _, err := tx.Run("DELETE FROM import_waiting WHERE import_id = ? AND line = ?", i.ID, row.Line); err != nil {
				return err
			}
			dropped++
		}
		if len(rows) < sweepAtOnce {
			break
		}
	}
	if dropped == 0 {
		return nil
	}
	_, err := tx.Run("UPDATE imports SET dropped = dropped + ?, waiting = waiting - ? WHERE id = ?", dropped, dropped, i.ID)
	return err
}

// sweepAtOnce is how many sealed rows are held in memory.
const sweepAtOnce = 1000

func (i Import) eraseRefusals(tx *store.Tx, f subscriber.Forgotten) error {
	for after := int64(-1); ; {
		rows, err := Refusals(tx, i, after, sweepAtOnce)
		if err != nil {
			return err
		}
		for _, row := range rows {
			after = row.Line
			if !f.In(row.Value) {
				continue
			}
			sealed, err := tx.Ring().Seal(reportLabel, nil, rowName(i.ID, row.Line))
			if err != nil {
				return err
			}
			if _, err := tx.Run("UPDATE import_refusals SET sealed = ? WHERE import_id = ? AND line = ?", sealed, i.ID, row.Line); err != nil {
				return err
			}
		}
		if len(rows) < sweepAtOnce {
			return nil
		}
	}
}

// span is a piece of a file: bytes from, up to, but not with, end.
type span struct{ from, end int64 }

func (i Import) eraseParts(tx *store.Tx, f subscriber.Forgotten) error {
	separator := byte(',')
	if i.Separator != "" {
		separator = i.Separator[0]
	}
	var theirs []span
	for t := newTable(i.openAt(tx, 0), separator); ; {
		from := t.offset
		cells, fault, err := t.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if fault != "" || f.In(strings.Join(cells, "\n")) { // a row that cannot be read is refused anyway
			theirs = append(theirs, span{from, t.offset})
		}
	}
	for len(theirs) > 0 {
		n := int(theirs[0].from / partSize)
		if err := i.blank(tx, n, theirs); err != nil {
			return err
		}
		end := int64(n+1) * partSize
		for len(theirs) > 0 && theirs[0].end <= end {
			theirs = theirs[1:]
		}
		if len(theirs) > 0 {
			theirs[0].from = max(theirs[0].from, end)
		}
	}
	return nil
}

// blank writes spaces over what the spans hold of one part; line ends stay.
func (i Import) blank(tx *store.Tx, n int, theirs []span) error {
	var found [][]byte
	if err := tx.Raw("SELECT sealed FROM import_parts WHERE import_id = ? AND n = ?", i.ID, n).Scan(&found).Error; err != nil {
		return err
	}
	if len(found) == 0 {
		return nil
	}
	plain, err := tx.Ring().Open(partLabel, found[0], partName(i.ID, n))
	if err != nil {
		return err
	}
	begin := int64(n) * partSize
	for _, s := range theirs {
		piece := plain[min(max(s.from-begin, 0), int64(len(plain))):min(max(s.end-begin, 0), int64(len(plain)))]
		for at := range bytes.TrimRight(piece, "\r\n") {
			piece[at] = ' '
		}
	}
	sealed, err := tx.Ring().Seal(partLabel, plain, partName(i.ID, n))
	if err != nil {
		return err
	}
	_, err = tx.Run("UPDATE import_parts SET sealed = ? WHERE import_id = ? AND n = ?", sealed, i.ID, n)
	return err
}
