// Package brand holds the controller in whose name mail is sent: what it is
// called and where it sits, in each language it offers, from which address and
// domain it writes, and in which zone its day begins.
//
// Brands are walls: every other table carries the brand's id, and whatever is
// looked up by id is looked up within a brand.
package brand

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	_ "time/tzdata" // a brand's zone must be known on machines without zone files

	"github.com/google/uuid"
	"golang.org/x/text/language"

	"assent/internal/problem"
	"assent/internal/store"
)

// Text is what a brand says of itself in one language.
type Text struct {
	Name          string `json:"name,omitempty"`
	PostalAddress string `json:"postal_address,omitempty"` // lines separated by \n
	SenderName    string `json:"sender_name,omitempty"`
	PrivacyURL    string `json:"privacy_url,omitempty"`
}

// Brand is one controller (GDPR art. 4(7)).
type Brand struct {
	ID              uuid.UUID
	Slug            string
	Name            string
	PostalAddress   string // lines separated by \n
	SenderName      string
	SenderEmail     string
	ReplyTo         string // empty: the sender
	Website         string
	PrivacyURL      string
	Language        string          // the default, one of Languages
	Languages       []string        `gorm:"serializer:json"` // offered
	Texts           map[string]Text `gorm:"serializer:json"` // language → what differs from the fields above
	TimeZone        string          // IANA name
	Jurisdiction    string          // ISO 3166 code, or empty
	SignedBy        string          // SignedByUs or SignedByRelay
	AddressKey      []byte          // sealed; see AddressHash
	CapMax          int             // marketing mails to one person …
	CapDays         int             // … in so many days, over all topics; 0 is no cap
	QuietFrom       string          // HH:MM in the person's zone; empty: no quiet hours
	QuietUntil      string
	SilentMonths    int        // people are asked after so many months of silence; 0: never
	SilentDays      int        // … and have so many days to answer
	RatePerHour     int        // mails, all its campaigns and sequences together; 0 is no limit
	WarmUpFrom      *time.Time // when it began to send as an unknown; nil: it is known
	LogoHash        string     // names its logo; empty: it has none. See LogoPNG
	LogoWidth       int        // pixels
	LogoHeight      int
	LastOpenOnly    bool // of an open only the day of the last is kept (CNIL 2026-042)
	AnonymousCounts bool // mails of campaigns to people who allow no tracking carry what counts without telling anybody apart
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

// New is what a brand is made from. Empty SenderName is Name; empty Languages is
// Language alone; empty SignedBy is SignedByUs.
type New struct {
	Slug, Name, PostalAddress string
	SenderName, SenderEmail   string
	ReplyTo                   string
	Website, PrivacyURL       string
	Language                  string
	Languages                 []string
	Texts                     map[string]Text
	TimeZone                  string
	Jurisdiction              string
	SignedBy                  string
}

// Change is what Update sets; nil leaves a field as it is. The slug stays for ever.
type Change struct {
	Name, PostalAddress     *string
	SenderName, SenderEmail *string
	ReplyTo                 *string
	Website, PrivacyURL     *string
	Language                *string
	Languages               *[]string
	Texts                   *map[string]Text
	TimeZone                *string
	Jurisdiction            *string
	SignedBy                *string
	CapMax, CapDays         *int
	QuietFrom, QuietUntil   *string
	SilentMonths            *int
	SilentDays              *int
	RatePerHour             *int
	LastOpenOnly            *bool
	AnonymousCounts         *bool
	WarmUpFrom              *time.Time // the zero time: it is known
}

const addressKeyLabel = "brand address key"

var errNoRing = errors.New("the database was opened without the ring that opens its secrets")

// Create checks and stores a brand, with a random key for the hashes of its
// subscribers' addresses. Wrong input is problem.Invalid; a slug in use is
// problem.Conflict. It makes no DKIM key and no topics: see NewDKIMKey and
// consent.PrepareBrand.
func Create(tx *store.Tx, n New) (Brand, error) {
	b := Brand{
		ID: tx.NewID(), Slug: n.Slug, Name: n.Name, PostalAddress: n.PostalAddress,
		SenderName: n.SenderName, SenderEmail: n.SenderEmail, ReplyTo: n.ReplyTo,
		Website: n.Website, PrivacyURL: n.PrivacyURL,
		Language: n.Language, Languages: n.Languages, Texts: n.Texts,
		TimeZone: n.TimeZone, Jurisdiction: n.Jurisdiction, SignedBy: first(n.SignedBy, SignedByUs), SilentDays: 30,
		CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
	}
	if err := b.check(); err != nil {
		return Brand{}, err
	}
	if _, err := BySlug(tx, b.Slug); err == nil {
		return Brand{}, slugTaken(b.Slug)
	} else if !problem.Is(err, problem.NotFound) {
		return Brand{}, err
	}
	if tx.Ring() == nil {
		return Brand{}, fmt.Errorf("create brand: %w", errNoRing)
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails (crypto/rand, Go 1.24)
	sealed, err := tx.Ring().Seal(addressKeyLabel, key, b.ID[:])
	if err != nil {
		return Brand{}, fmt.Errorf("create brand: %w", err)
	}
	b.AddressKey = sealed
	if err := tx.Create(&b).Error; store.Duplicate(err) {
		return Brand{}, slugTaken(b.Slug).Because(err)
	} else if err != nil {
		return Brand{}, fmt.Errorf("create brand: %w", err)
	}
	return b, nil
}

func slugTaken(slug string) *problem.Error {
	return problem.New(problem.Conflict, "brand.slug.taken", "Slug", slug).Field("slug", "brand.slug.taken", "Slug", slug)
}

// Find reads a brand by its id; problem.NotFound when there is none.
func Find(tx *store.Tx, id uuid.UUID) (Brand, error) {
	return one(tx, "", "id = ?", id)
}

// Lock is Find for who is about to change the brand: it stays as it is read until
// the end of the transaction.
func Lock(tx *store.Tx, id uuid.UUID) (Brand, error) {
	return one(tx, tx.ForUpdate(), "id = ?", id)
}

// BySlug reads a brand by its slug; problem.NotFound when there is none.
func BySlug(tx *store.Tx, slug string) (Brand, error) {
	return one(tx, "", "slug = ?", slug)
}

func one(tx *store.Tx, lock, where string, arg any) (Brand, error) {
	var rows []Brand
	if err := tx.Raw("SELECT * FROM brands WHERE "+where+lock, arg).Scan(&rows).Error; err != nil {
		return Brand{}, fmt.Errorf("read brand: %w", err)
	}
	if len(rows) == 0 {
		return Brand{}, problem.New(problem.NotFound, "brand.unknown")
	}
	return rows[0].utc(), nil
}

func (b Brand) utc() Brand {
	b.CreatedAt, b.UpdatedAt = b.CreatedAt.UTC(), b.UpdatedAt.UTC()
	if b.WarmUpFrom != nil {
		at := b.WarmUpFrom.UTC()
		b.WarmUpFrom = &at
	}
	return b
}

// List gives all brands by name. An installation has few.
func List(tx *store.Tx) ([]Brand, error) {
	var all []Brand
	if err := tx.Order("name, id").Find(&all).Error; err != nil {
		return nil, fmt.Errorf("list brands: %w", err)
	}
	for i := range all {
		all[i] = all[i].utc()
	}
	return all, nil
}

// Update changes what c names, checks the whole, and returns the brand as it
// is now. Two updates at once follow one another; neither is lost.
func Update(tx *store.Tx, id uuid.UUID, c Change) (Brand, error) {
	b, err := one(tx, tx.ForUpdate(), "id = ?", id)
	if err != nil {
		return Brand{}, err
	}
	was := b.SenderDomain()
	set(&b.Name, c.Name)
	set(&b.PostalAddress, c.PostalAddress)
	set(&b.SenderName, c.SenderName)
	set(&b.SenderEmail, c.SenderEmail)
	set(&b.ReplyTo, c.ReplyTo)
	set(&b.Website, c.Website)
	set(&b.PrivacyURL, c.PrivacyURL)
	set(&b.Language, c.Language)
	set(&b.Languages, c.Languages)
	set(&b.Texts, c.Texts)
	set(&b.TimeZone, c.TimeZone)
	set(&b.Jurisdiction, c.Jurisdiction)
	set(&b.SignedBy, c.SignedBy)
	set(&b.CapMax, c.CapMax)
	set(&b.CapDays, c.CapDays)
	set(&b.QuietFrom, c.QuietFrom)
	set(&b.QuietUntil, c.QuietUntil)
	set(&b.SilentMonths, c.SilentMonths)
	set(&b.SilentDays, c.SilentDays)
	set(&b.RatePerHour, c.RatePerHour)
	set(&b.LastOpenOnly, c.LastOpenOnly)
	set(&b.AnonymousCounts, c.AnonymousCounts)
	if err := b.check(); err != nil {
		return Brand{}, err
	}
	b.warmUp(was, c.WarmUpFrom, tx.Now())
	b.UpdatedAt = tx.Now()
	if err := tx.Save(&b).Error; err != nil {
		return Brand{}, fmt.Errorf("update brand: %w", err)
	}
	return b, nil
}

// warmUp sets when the brand began to send as an unknown. Under another domain
// it is an unknown again, if it was ever warmed up.
func (b *Brand) warmUp(was string, from *time.Time, now time.Time) {
	switch {
	case from != nil && from.IsZero():
		b.WarmUpFrom = nil
	case from != nil:
		at := from.UTC().Truncate(time.Microsecond)
		b.WarmUpFrom = &at
	case b.WarmUpFrom != nil && b.SenderDomain() != was:
		b.WarmUpFrom = &now
	}
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// In is what the brand says of itself in a language; what it does not say
// there is filled from its fields.
func (b Brand) In(lang string) Text {
	t := b.Texts[b.Offers(lang)]
	return Text{
		Name:          first(t.Name, b.Name),
		PostalAddress: first(t.PostalAddress, b.PostalAddress),
		SenderName:    first(t.SenderName, b.SenderName),
		PrivacyURL:    first(t.PrivacyURL, b.PrivacyURL),
	}
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Offers is the offered language nearest to a BCP 47 tag, and the brand's
// default where none is near.
func (b Brand) Offers(lang string) string {
	if lang == "" || len(b.Languages) == 0 {
		return b.Language
	}
	if slices.Contains(b.Languages, lang) {
		return lang
	}
	tag, err := language.Parse(lang)
	if err != nil {
		return b.Language
	}
	tags := make([]language.Tag, len(b.Languages))
	for i, l := range b.Languages {
		tags[i] = language.Make(l)
	}
	_, i, confidence := language.NewMatcher(tags).Match(tag)
	if confidence == language.No {
		return b.Language
	}
	return b.Languages[i]
}

// Location is the brand's time zone. A zone that is unknown here is UTC;
// Create and Update let none in.
func (b Brand) Location() *time.Location { return Zone(b.TimeZone) }

var zones sync.Map // name → *time.Location: reading one costs a file

// Zone is the time zone of an IANA name; UTC for one that is unknown here.
func Zone(name string) *time.Location {
	if known, ok := zones.Load(name); ok {
		return known.(*time.Location)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	zones.Store(name, loc)
	return loc
}

// AddressHash is HMAC-SHA-256 of an address's normal form under the brand's own
// key: the same person has unrelated hashes at two brands, and without the ring
// nobody can try addresses.
func (b Brand) AddressHash(tx *store.Tx, normal string) ([]byte, error) {
	hash, err := b.AddressHasher(tx)
	if err != nil {
		return nil, err
	}
	return hash(normal), nil
}

// AddressHasher is AddressHash for many: the key is opened once. The func is for
// one goroutine.
func (b Brand) AddressHasher(tx *store.Tx) (func(normal string) []byte, error) {
	if tx.Ring() == nil {
		return nil, fmt.Errorf("hash an address: %w", errNoRing)
	}
	key, err := tx.Ring().Open(addressKeyLabel, b.AddressKey, b.ID[:])
	if err != nil {
		return nil, fmt.Errorf("open the address key of brand %s: %w", b.Slug, err)
	}
	h := hmac.New(sha256.New, key)
	return func(normal string) []byte {
		h.Reset()
		h.Write([]byte(normal))
		return h.Sum(nil)
	}, nil
}
