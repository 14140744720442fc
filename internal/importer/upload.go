package importer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	letters "unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/store"
)

// FileMax is the most that a file may have, in bytes.
const FileMax = 200 << 20

const (
	partSize    = 256 << 10 // bytes of a part of the file
	partsAtOnce = 8         // in one transaction
	partLabel   = "import file"
	nameMax     = 200
)

// openMost is how many files a brand may have lying that are not read to their
// end: the room is everybody's.
const openMost = 10

// Upload keeps a file that comes as UTF-8, with or without a mark at its
// beginning, or as UTF-16 with one. It is read once, as it comes, and lies in
// the database by the megabyte. What it gives is not there for anybody before
// Keep; Drop takes it back. A file that cannot be a list is problem.Invalid in
// the field file, and nothing stays of it.
func Upload(ctx context.Context, db *store.DB, b brand.Brand, user *uuid.UUID, name string, file io.Reader) (Import, error) {
	i := Import{BrandID: b.ID, UserID: user, Name: fileName(name), Hash: []byte{}, State: Uploading, Separator: ","}
	err := db.Write(ctx, func(tx *store.Tx) error {
		var open int64
		if err := tx.Raw("SELECT count(*) FROM imports WHERE brand_id = ? AND state IN (?, ?, ?)", b.ID, Uploading, Ready, Stopped).Scan(&open).Error; err != nil {
			return err
		}
		if open >= openMost {
			return problem.InvalidField("file", "import.file.many", "Most", openMost)
		}
		i.ID, i.CreatedAt, i.UpdatedAt = tx.NewID(), tx.Now(), tx.Now()
		return tx.Create(&i).Error
	})
	if problem.Is(err, problem.Invalid) {
		return i, err
	}
	if err != nil {
		return i, fmt.Errorf("begin to keep a file: %w", err)
	}
	if err := i.receive(ctx, db, file); err != nil {
		return i, errors.Join(err, Drop(context.WithoutCancel(ctx), db, i.ID))
	}
	return i, nil
}

// Keep makes a file that came whole ready to be read.
func Keep(tx *store.Tx, i Import) error {
	_, err := tx.Run("UPDATE imports SET state = ?, hash = ?, size = ?, lines = ?, separator = ?, updated_at = ? WHERE id = ? AND state = ?",
		Ready, i.Hash, i.Size, i.Lines, i.Separator, tx.Now(), i.ID, Uploading)
	if err != nil {
		return fmt.Errorf("keep a file: %w", err)
	}
	return nil
}

// Drop destroys a file that is not kept.
func Drop(ctx context.Context, db *store.DB, id uuid.UUID) error {
	return db.Write(ctx, func(tx *store.Tx) error {
		i, err := one(tx, tx.ForUpdate(), id)
		if problem.Is(err, problem.NotFound) || err == nil && i.State != Uploading {
			return nil
		}
		if err != nil {
			return err
		}
		return erase(tx, id)
	})
}

// fileName is the last part of what a browser calls the file, without what
// cannot be shown.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if letters.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, filepath.Base(strings.ReplaceAll(name, `\`, "/")))
	if r := []rune(name); len(r) > nameMax {
		name = string(r[:nameMax])
	}
	if name == "." || name == "/" {
		return ""
	}
	return name
}

func (i *Import) receive(ctx context.Context, db *store.DB, file io.Reader) error {
	limited := &io.LimitedReader{R: file, N: FileMax + 1}
	hash := sha256.New()
	text := transform.NewReader(io.TeeReader(limited, hash), unicode.BOMOverride(transform.Nop))
	for n, over := 0, false; !over; {
		parts := make([][]byte, 0, partsAtOnce)
		for len(parts) < partsAtOnce && !over {
			part := make([]byte, partSize)
			size, err := fillUp(text, part)
			if over = errors.Is(err, io.EOF); err != nil && !over {
				return fmt.Errorf("receive a file: %w", err)
			}
			if limited.N == 0 {
				return problem.InvalidField("file", "import.file.large", "Most", FileMax>>20)
			}
			if part = part[:size]; size == 0 {
				break
			}
			if n+len(parts) == 0 {
				if err := i.begins(part, over); err != nil {
					return err
				}
			}
			parts, i.Size, i.Lines = append(parts, part), i.Size+int64(size), i.Lines+int64(bytes.Count(part, []byte("\n")))
		}
		if err := i.store(ctx, db, n, parts); err != nil {
			return err
		}
		n += len(parts)
	}
	if i.Size == 0 {
		return problem.InvalidField("file", "import.file.empty")
	}
	i.Hash = hash.Sum(nil)
	return nil
}

// fillUp is io.ReadFull that tells the end of a file, io.EOF, from a file that
// was cut off.
func fillUp(in io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var got int
		got, err = in.Read(p[n:])
		n += got
	}
	return n, err
}

// begins judges a file by its beginning.
func (i *Import) begins(part []byte, whole bool) error {
	if bytes.HasPrefix(part, []byte("PK\x03\x04")) || bytes.HasPrefix(part, []byte("\xd0\xcf\x11\xe0")) {
		return problem.InvalidField("file", "import.file.sheet")
	}
	check := part
	for n := 0; !whole && n < utf8.UTFMax && len(check) > 0 && !utf8.RuneStart(check[len(check)-1]); n++ {
		check = check[:len(check)-1] // a letter that the part cuts in two
	}
	if !whole && len(check) > 0 {
		check = check[:len(check)-1]
	}
	if !utf8.Valid(check) || bytes.IndexByte(check, 0) >= 0 {
		return problem.InvalidField("file", "import.file.text")
	}
	if len(bytes.TrimSpace(part)) == 0 {
		return problem.InvalidField("file", "import.file.empty")
	}
	i.Separator = string(separatorOf(part, whole))
	return nil
}

func (i *Import) store(ctx context.Context, db *store.DB, from int, parts [][]byte) error {
	if len(parts) == 0 {
		return nil
	}
	return db.Write(ctx, func(tx *store.Tx) error {
		rows := make([][]any, len(parts))
		for k, part := range parts {
			sealed, err := tx.Ring().Seal(partLabel, part, partName(i.ID, from+k))
			if err != nil {
				return err
			}
			rows[k] = []any{i.ID, from + k, sealed}
		}
		_, err := tx.InsertAll("import_parts", "import_id uuid, n integer, sealed bytea", rows, "")
		if err != nil {
			return fmt.Errorf("keep a part of a file: %w", err)
		}
		return nil
	})
}

func partName(id uuid.UUID, n int) []byte {
	return binary.BigEndian.AppendUint64(id[:len(id):len(id)], uint64(n))
}

// file reads what is kept of the import from a place on.
type file struct {
	tx   *store.Tx
	id   uuid.UUID
	next int
	skip int
	rest []byte
}

func (i Import) open(tx *store.Tx) *file { return i.openAt(tx, i.Place) }

func (i Import) openAt(tx *store.Tx, place int64) *file {
	return &file{tx: tx, id: i.ID, next: int(place / partSize), skip: int(place % partSize)}
}

// Read implements io.Reader.
func (f *file) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		var found [][]byte
		err := f.tx.Raw("SELECT sealed FROM import_parts WHERE import_id = ? AND n = ?", f.id, f.next).Scan(&found).Error
		if err != nil {
			return 0, fmt.Errorf("read a part of a file: %w", err)
		}
		if len(found) == 0 {
			return 0, io.EOF
		}
		plain, err := f.tx.Ring().Open(partLabel, found[0], partName(f.id, f.next))
		if err != nil {
			return 0, fmt.Errorf("open a part of a file: %w", err)
		}
		if f.rest = plain[min(f.skip, len(plain)):]; len(f.rest) == 0 {
			return 0, io.EOF
		}
		f.next, f.skip = f.next+1, 0
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}
