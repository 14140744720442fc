package signup

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/importer"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// AskImported asks the next people of an import without evidence, at its pace:
// one plain mail with a button, once for each address and brand for ever, and
// only where the law of the brand allows it. Who allows it already, who left,
// and whose address is stopped is not asked. The rows, the questions and their
// mails are one transaction. It tells whether there was anything to do.
func AskImported(tx *store.Tx, set Settings) (bool, error) {
	t, ok, err := importer.NextTurn(tx)
	if err != nil || !ok {
		return false, err
	}
	b, err := brand.Find(tx, t.Import.BrandID)
	if err != nil {
		return false, err
	}
	if consent.LawOf(b.Jurisdiction).Asking == "" { // it moved
		return true, importer.StopAsking(tx, b.ID, t.Import.ID)
	}
	topics, err := t.Import.Topics(tx)
	if err != nil {
		return false, err
	}
	var done []int64
	asked := 0
	for _, row := range t.Rows {
		if asked == t.Most {
			break
		}
		came, later, err := askRow(tx, set, b, t.Import.ID, topics, row)
		if err != nil {
			return false, err
		}
		if later {
			continue
		}
		done = append(done, row.Line)
		if came {
			asked++
		}
	}
	return true, importer.EndTurn(tx, t, done, asked)
}

// askRow asks somebody; later: the limits of their mailbox allow no mail today.
func askRow(tx *store.Tx, set Settings, b brand.Brand, from uuid.UUID, topics []consent.Topic, row importer.AskRow) (asked, later bool, err error) {
	normal := row.Person.Address.Normal
	if normal == "" {
		return false, false, nil
	}
	key, err := addressKey(tx, normal)
	if err != nil {
		return false, false, err
	}
	if err := lockAddress(tx, key); err != nil {
		return false, false, err
	}
	hash, err := b.AddressHash(tx, normal)
	if err != nil {
		return false, false, err
	}
	open, err := openTo(tx, b, topics, hash)
	if err != nil || len(open) == 0 {
		return false, false, err
	}
	if may, err := set.mayMail(tx, key); err != nil || !may {
		return false, true, err
	}
	n, err := tx.Run("INSERT INTO asked_addresses (brand_id, asked_at, address_hash) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", b.ID, tx.Now(), hash)
	if err != nil {
		return false, false, fmt.Errorf("remember who was asked: %w", err)
	}
	if n == 0 {
		return false, false, nil
	}
	who, _, err := subscriber.Ensure(tx, b, row.Person)
	if _, is := problem.Of(err); is {
		return false, false, nil // a row that nobody can be made of
	}
	if err != nil {
		return false, false, err
	}
	due := tx.Now().Add(importAskLife)
	q := asking{Asking: Asking{ID: tx.NewID(), BrandID: b.ID, SubscriberID: who.ID, Kind: AskImport, Language: b.Offers(who.Language), ImportID: &from,
		State: AskingOpen, AskedAt: tx.Now(), DueAt: &due}, brand: b, who: who}
	for _, t := range open {
		box := Box{Topic: t, Label: t.In(b, q.Language).Wording, Note: Promise(i18n.For(q.Language), t)}
		_, err := consent.Record(tx, consent.Act{Brand: b, Subscriber: who.ID, Topic: t, State: consent.Requested, Method: consent.MethodRePermission,
			Language: q.Language, Wording: box.Wording(), Entity: consent.EntityController, Evidence: map[string]any{"import": from.String(), "row": row.Line, "asking": q.ID.String()}})
		if err != nil {
			return false, false, err
		}
		q.Boxes = append(q.Boxes, Concern{Topic: t.ID, Wording: box.Wording()})
	}
	if err := countMail(tx, key); err != nil {
		return false, false, err
	}
	return true, false, q.send(tx, set)
}

// openTo are the topics that somebody may be asked about: they never said no to
// it, nor yes, and their address is not stopped.
func openTo(tx *store.Tx, b brand.Brand, topics []consent.Topic, hash []byte) (open []consent.Topic, err error) {
	known, err := subscriber.ByHashes(tx, b.ID, [][]byte{hash})
	if err != nil {
		return nil, err
	}
	who := known[string(hash)]
	if who.ID == uuid.Nil {
		who.AddressHash = hash
	}
	before, err := consent.BeforeAll(tx, b, topics, []subscriber.Subscriber{who})
	if err != nil {
		return nil, err
	}
	for i, t := range topics {
		if before[0][i].Left != "" {
			return nil, nil // a no to one of them is answer enough
		}
		if !before[0][i].InForce && t.ArchivedAt == nil {
			open = append(open, t)
		}
	}
	return open, nil
}
