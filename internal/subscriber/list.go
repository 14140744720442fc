package subscriber

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"assent/internal/problem"
	"assent/internal/store"
)

// Filter narrows a list; empty fields do not.
type Filter struct {
	IDs         []uuid.UUID // these at most
	AddressHash []byte      // brand.AddressHash: one person at most
	Tag         string
	Language    string
	Search      string // part of the address or the name, ASCII letters of either case
	Where       Condition
	Newest      bool // the newest first
}

// Condition narrows a list by what another room knows of people: SQL over
// subscribers, and the values of its marks. Empty does not.
type Condition struct {
	SQL  string
	Args []any
}

// All holds for those for whom each of the conditions does.
func All(conditions ...Condition) (all Condition) {
	var parts []string
	for _, c := range conditions {
		if c.SQL != "" {
			parts, all.Args = append(parts, "("+c.SQL+")"), append(all.Args, c.Args...)
		}
	}
	all.SQL = strings.Join(parts, " AND ")
	return all
}

const pageMax = 500

// List gives the brand's subscribers in the order they came, or the newest
// first, without the erased, at most limit (1 to 500) at once. cursor is empty for the first page,
// else what next was; next is empty after the last. Without Search the cost is
// that of the page; Search and Where read the brand's rows from the cursor on,
// until the page is full.
func List(tx *store.Tx, brandID uuid.UUID, f Filter, cursor string, limit int) (page []Subscriber, next string, err error) {
	limit = min(max(limit, 1), pageMax)
	q := f.people(tx, brandID)
	beyond, order := "id > ?", "id"
	if f.Newest {
		beyond, order = "id < ?", "id DESC"
	}
	if cursor != "" {
		after, err := uuid.Parse(cursor)
		if err != nil {
			return nil, "", problem.New(problem.Malformed, "problem.malformed").Because(err)
		}
		q = q.Where(beyond, after)
	}
	if err := q.Order(order).Limit(limit + 1).Find(&page).Error; err != nil {
		return nil, "", fmt.Errorf("list subscribers: %w", err)
	}
	if len(page) > limit {
		page = page[:limit]
		next = page[limit-1].ID.String()
	}
	for i := range page {
		page[i] = page[i].utc()
	}
	return page, next, nil
}

// people are those of the brand that the filter leaves.
func (f Filter) people(tx *store.Tx, brandID uuid.UUID) *gorm.DB {
	q := tx.Model(&Subscriber{}).Where("brand_id = ? AND erased_at IS NULL", brandID)
	if f.IDs != nil {
		q = q.Where("id IN (?)", f.IDs)
	}
	if f.AddressHash != nil {
		q = q.Where("address_hash = ?", f.AddressHash)
	}
	if f.Tag != "" {
		q = q.Where("id IN (SELECT t.subscriber_id FROM subscriber_tags t WHERE t.brand_id = ? AND t.tag = ?)", brandID, f.Tag)
	}
	if f.Language != "" {
		q = q.Where("language = ?", f.Language)
	}
	if f.Search != "" {
		part := func(s string) string {
			return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(s) + "%"
		}
		words := tx.Pick(`email || E'\n' || name`, `email || char(10) || name`)
		if caseless(f.Search) {
			q = q.Where(tx.Pick("lower(("+words+`) COLLATE "C")`, "lower("+words+")")+` LIKE ? ESCAPE '\'`, part(strings.ToLower(f.Search))) // as the index subscribers_words has it
		} else {
			q = q.Where("(lower("+words+`) LIKE ? ESCAPE '\' OR `+words+` LIKE ? ESCAPE '\')`, part(strings.ToLower(f.Search)), part(f.Search)) // not every database knows the capitals of all scripts
		}
	}
	if f.Where.SQL != "" {
		q = q.Where("("+f.Where.SQL+")", f.Where.Args...)
	}
	return q
}

// caseless reports whether the letters beyond ASCII have no capitals, as those of
// Persian: then making small the letters of ASCII is enough to find the text.
func caseless(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII && (unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r))
	}) < 0
}

// Count counts the people that the filter leaves.
func Count(tx *store.Tx, brandID uuid.UUID, f Filter) (n int64, err error) {
	if err := f.people(tx, brandID).Count(&n).Error; err != nil {
		return 0, fmt.Errorf("count subscribers: %w", err)
	}
	return n, nil
}

const (
	tagMax  = 64 // characters of a tag
	tagsMax = 50 // tags in one call
)

// AddTags gives the person tags; those they have stay. A tag is 1 to 64
// characters without line breaks; white space around it goes.
func AddTags(tx *store.Tx, brandID, id uuid.UUID, tags ...string) error {
	refused, err := TagAll(tx, brandID, []uuid.UUID{id}, [][]string{tags})
	if err != nil {
		return err
	}
	return refused[0]
}

// TagAll is AddTags for many: tags[i] for ids[i]. refused[i] is a problem, and
// the person gets none of their tags.
func TagAll(tx *store.Tx, brandID uuid.UUID, ids []uuid.UUID, tags [][]string) (refused []error, err error) {
	refused = make([]error, len(ids))
	clean := make([][]string, len(ids))
	var asked []uuid.UUID
	for i, id := range ids {
		if clean[i], refused[i] = cleanTags(tags[i]); len(clean[i]) > 0 {
			asked = append(asked, id)
		}
	}
	if len(asked) == 0 {
		return refused, nil
	}
	var people []uuid.UUID
	if err := tx.Raw("SELECT id FROM subscribers WHERE brand_id = ? AND id IN (?) AND erased_at IS NULL", brandID, asked).Scan(&people).Error; err != nil {
		return nil, fmt.Errorf("read subscribers: %w", err)
	}
	known := make(map[uuid.UUID]bool, len(people))
	for _, id := range people {
		known[id] = true
	}
	var rows [][]any
	for i, id := range ids {
		if len(clean[i]) > 0 && !known[id] {
			refused[i] = problem.New(problem.NotFound, "subscriber.unknown")
			continue
		}
		for _, tag := range clean[i] {
			rows = append(rows, []any{brandID, id, tag})
		}
	}
	slices.SortFunc(rows, func(a, b []any) int { return strings.Compare(a[2].(string), b[2].(string)) })
	if _, err := tx.InsertAll("subscriber_tags", "brand_id uuid, subscriber_id uuid, tag text", rows, "ON CONFLICT DO NOTHING"); err != nil {
		return nil, fmt.Errorf("add tags: %w", err)
	}
	return refused, nil
}

// RemoveTags takes tags away; those the person has not are no fault.
func RemoveTags(tx *store.Tx, brandID, id uuid.UUID, tags ...string) error {
	tags, err := cleanTags(tags)
	if err != nil || len(tags) == 0 {
		return err
	}
	if _, err := Find(tx, brandID, id); err != nil {
		return err
	}
	if _, err := tx.Run("DELETE FROM subscriber_tags WHERE brand_id = ? AND subscriber_id = ? AND tag IN (?)", brandID, id, tags); err != nil {
		return fmt.Errorf("remove tags: %w", err)
	}
	return nil
}

// TagFound gives a tag to everybody that the filter leaves, in one statement. n
// is how many did not have it, and whom the first keep of them.
func TagFound(tx *store.Tx, brandID uuid.UUID, f Filter, tag string, keep int) (n int64, whom []uuid.UUID, err error) {
	tags, err := cleanTags([]string{tag})
	if err != nil {
		return 0, nil, err
	}
	found := f.people(tx, brandID).Select("brand_id, id, ?", tags[0])
	n, whom, err = changed(tx.Raw("INSERT INTO subscriber_tags (brand_id, subscriber_id, tag) ? ON CONFLICT DO NOTHING RETURNING subscriber_id", found), keep)
	if err != nil {
		return 0, nil, fmt.Errorf("tag those found: %w", err)
	}
	return n, whom, nil
}

// UntagFound takes a tag from everybody that the filter leaves. n is how many
// had it, and whom the first keep of them.
func UntagFound(tx *store.Tx, brandID uuid.UUID, f Filter, tag string, keep int) (n int64, whom []uuid.UUID, err error) {
	tags, err := cleanTags([]string{tag})
	if err != nil {
		return 0, nil, err
	}
	n, whom, err = changed(tx.Raw("DELETE FROM subscriber_tags WHERE brand_id = ? AND tag = ? AND subscriber_id IN (?) RETURNING subscriber_id",
		brandID, tags[0], f.people(tx, brandID).Select("id")), keep)
	if err != nil {
		return 0, nil, fmt.Errorf("take a tag from those found: %w", err)
	}
	return n, whom, nil
}

// changed counts the people that a statement returns, and keeps the first of them.
func changed(q *gorm.DB, keep int) (n int64, whom []uuid.UUID, err error) {
	rows, err := q.Rows()
	if err != nil {
		return 0, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return 0, nil, err
		}
		if n++; len(whom) < keep {
			whom = append(whom, id)
		}
	}
	return n, whom, rows.Err()
}

// Tags gives the person's tags, by their bytes: a page sorts them as its reader
// reads.
func Tags(tx *store.Tx, brandID, id uuid.UUID) ([]string, error) {
	tags := []string{}
	err := tx.Raw("SELECT tag FROM subscriber_tags WHERE brand_id = ? AND subscriber_id = ?", brandID, id).Scan(&tags).Error
	if err != nil {
		return nil, fmt.Errorf("read tags: %w", err)
	}
	slices.Sort(tags) // the two databases collate differently
	return tags, nil
}

// TagsOf is Tags for many people, at most 500. It reads subscriber_tags_person
// once a person.
func TagsOf(tx *store.Tx, brandID uuid.UUID, ids []uuid.UUID) (map[uuid.UUID][]string, error) {
	tags := make(map[uuid.UUID][]string, len(ids))
	if len(ids) == 0 {
		return tags, nil
	}
	var rows []struct {
		SubscriberID uuid.UUID
		Tag          string
	}
	err := tx.Raw("SELECT subscriber_id, tag FROM subscriber_tags WHERE brand_id = ? AND subscriber_id IN (?)", brandID, ids).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read tags: %w", err)
	}
	for _, r := range rows {
		tags[r.SubscriberID] = append(tags[r.SubscriberID], r.Tag)
	}
	for _, of := range tags {
		slices.Sort(of)
	}
	return tags, nil
}

// cleanTags also sorts, so that two calls at once lock their rows in one order.
func cleanTags(tags []string) ([]string, error) {
	if len(tags) > tagsMax {
		return nil, problem.InvalidField("tags", "subscriber.tags.many", "Max", tagsMax)
	}
	clean := make([]string, 0, len(tags))
	for _, t := range tags {
		t = strings.TrimSpace(t)
		if t == "" || !utf8.ValidString(t) || utf8.RuneCountInString(t) > tagMax || strings.ContainsFunc(t, breaks) {
			return nil, problem.InvalidField("tags", "subscriber.tag", "Max", tagMax)
		}
		clean = append(clean, t)
	}
	slices.Sort(clean)
	return slices.Compact(clean), nil
}

// Emails gives the addresses of those of the people who still have one, by
// their key.
func Emails(tx *store.Tx, brandID uuid.UUID, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	all := map[uuid.UUID]string{}
	if len(ids) == 0 {
		return all, nil
	}
	var rows []struct {
		ID    uuid.UUID
		Email string
	}
	if err := tx.Raw("SELECT id, email FROM subscribers WHERE brand_id = ? AND id IN (?) AND erased_at IS NULL", brandID, ids).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	for _, r := range rows {
		all[r.ID] = r.Email
	}
	return all, nil
}
