package consent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Statement is a permission that a person gave to the team, on paper or by
// telephone, as the one who took it down states it.
type Statement struct {
	Brand      brand.Brand
	Subscriber uuid.UUID
	Topics     []Topic
	Method     string    // MethodPaper or MethodPhone
	SaidAt     time.Time // the day that it was said
	Place      string    // where: a shop, a fair, the number that was called
	Words      string    // the exact words that were printed, or read out
	Language   string    // of the words; the person's when empty
	User       string    // the id of who states it, of the team
	By, Key    string    // or who did by a program's word, and the id of its key
	Scan       []byte    // a copy of the paper, or a note of the call; may be empty
}

// ScanMax is the most that a scan may have, in bytes.
const ScanMax = 5 << 20

// scanTypes are what a scan may be. Nothing that a browser could run is among them.
var scanTypes = []string{"image/png", "image/jpeg", "application/pdf"}

const (
	placeMax      = 500
	statedWordMax = 5000
)

// RecordStatement writes a statement into the ledger, a permission for each
// topic, as stated by the operator: without day, place and exact words it is
// problem.Invalid, and so is a scan that is no PNG, JPEG or PDF. Who said no
// themself is not brought back: see Grant.
func RecordStatement(tx *store.Tx, s Statement) ([]Event, error) {
	kind, err := s.check(tx.Now())
	if err != nil {
		return nil, err
	}
	evidence := map[string]any{"place": strings.TrimSpace(s.Place), "said_at": s.SaidAt.UTC().Format(time.RFC3339)}
	for name, v := range map[string]string{"user": s.User, "by": strings.TrimSpace(s.By), "key": s.Key} {
		if v != "" {
			evidence[name] = v
		}
	}
	if len(s.Scan) > 0 {
		id, err := keepScan(tx, s.Brand.ID, s.Subscriber, kind, s.Scan)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(s.Scan)
		evidence["scan"], evidence["scan_type"], evidence["scan_sha256"] = id.String(), kind, hex.EncodeToString(sum[:])
	}
	acts := make([]Act, len(s.Topics))
	for i, t := range s.Topics {
		acts[i] = Act{Brand: s.Brand, Subscriber: s.Subscriber, Topic: t, Basis: BasisOperator, Method: s.Method, Language: s.Language,
			Wording: strings.TrimSpace(s.Words), SaidAt: &s.SaidAt, Entity: EntityOperator, Evidence: evidence}
	}
	events, refused, err := GrantAll(tx, acts)
	if err != nil {
		return nil, err
	}
	for _, why := range refused {
		if why != nil {
			return nil, why
		}
	}
	return events, nil
}

func (s Statement) check(now time.Time) (kind string, err error) {
	p := problem.New(problem.Invalid, "problem.invalid")
	if s.Method != MethodPaper && s.Method != MethodPhone {
		p.Field("method", "problem.field.choice")
	}
	if s.User == "" && (strings.TrimSpace(s.By) == "" || s.Key == "") {
		p.Field("by", "problem.field.required")
	}
	if len(s.Topics) == 0 {
		p.Field("topics", "consent.statement.topics")
	}
	switch {
	case s.SaidAt.IsZero():
		p.Field("said_on", "problem.field.required")
	case s.SaidAt.After(now):
		p.Field("said_on", "consent.said-future")
	}
	for name, text := range map[string]string{"place": s.Place, "words": s.Words} {
		most := map[string]int{"place": placeMax, "words": statedWordMax}[name]
		switch {
		case strings.TrimSpace(text) == "":
			p.Field(name, "problem.field.required")
		case utf8.RuneCountInString(text) > most:
			p.Field(name, "problem.field.too-long", "Max", most)
		}
	}
	slices.SortFunc(p.Fields, func(a, b problem.Field) int { return strings.Compare(a.Name, b.Name) })
	if len(s.Scan) > 0 {
		if kind = scanType(s.Scan); kind == "" {
			p.Field("scan", "consent.scan.type")
		}
		if len(s.Scan) > ScanMax {
			p.Field("scan", "consent.scan.size", "Max", ScanMax>>20)
		}
	}
	return kind, p.OrNil()
}

// scanType is what a file is by its first bytes, whatever it is called.
func scanType(file []byte) string {
	kind, _, _ := strings.Cut(http.DetectContentType(file), ";")
	if !slices.Contains(scanTypes, kind) {
		return ""
	}
	return kind
}

func keepScan(tx *store.Tx, brandID, person uuid.UUID, kind string, file []byte) (uuid.UUID, error) {
	sealed, err := subscriber.Seal(tx, person, append([]byte(kind+"\n"), file...))
	if err != nil {
		return uuid.Nil, err
	}
	id := tx.NewID()
	_, err = tx.InsertAll("scans", "id uuid, brand_id uuid, subscriber_id uuid, sealed bytea, at timestamptz", [][]any{{id, brandID, person, sealed, tx.Now()}}, "")
	if err != nil {
		return uuid.Nil, fmt.Errorf("keep a scan: %w", err)
	}
	return id, nil
}

// ScanOf opens a scan of a person of the brand, with its media type; problem.NotFound
// for another's, and problem.Gone once the person was erased.
func ScanOf(tx *store.Tx, brandID, person, id uuid.UUID) (kind string, file []byte, err error) {
	var rows []struct{ Sealed []byte }
	err = tx.Raw("SELECT sealed FROM scans WHERE id = ? AND brand_id = ? AND subscriber_id = ?", id, brandID, person).Scan(&rows).Error
	if err != nil {
		return "", nil, fmt.Errorf("read a scan: %w", err)
	}
	if len(rows) == 0 {
		return "", nil, problem.New(problem.NotFound, "consent.scan.unknown")
	}
	plain, err := subscriber.Open(tx, person, rows[0].Sealed)
	if err != nil {
		return "", nil, err
	}
	head, file, _ := bytes.Cut(plain, []byte("\n"))
	return string(head), file, nil
}

// EraseScans destroys the scans of somebody who is erased.
func EraseScans(tx *store.Tx, f subscriber.Forgotten) error {
	if _, err := tx.Run("DELETE FROM scans WHERE subscriber_id = ? AND brand_id = ?", f.ID, f.BrandID); err != nil {
		return fmt.Errorf("erase scans: %w", err)
	}
	return nil
}
