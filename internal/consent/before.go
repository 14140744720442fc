package consent

import (
	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Before is what somebody said of a topic before the operator states a permission.
type Before struct {
	InForce bool   // they allow it now
	Left    string // they said no themself, or the address is suppressed: why; empty otherwise
}

// BeforeAll is what stands in the way of GrantAll for many people and each of
// the topics, in their order: who left is refused there, and who allows it needs
// no other permission. Somebody without an id is not known to the brand; their
// address may be suppressed all the same. It is a look, without a lock.
func BeforeAll(tx *store.Tx, b brand.Brand, topics []Topic, who []subscriber.Subscriber) ([][]Before, error) {
	hashes, ids := make([][]byte, 0, len(who)), make([]uuid.UUID, 0, len(who))
	for _, s := range who {
		hashes = append(hashes, s.AddressHash)
		if s.ID != uuid.Nil {
			ids = append(ids, s.ID)
		}
	}
	if len(who) == 0 {
		return nil, nil
	}
	stopped, err := suppressionsOf(tx, b.ID, hashes)
	if err != nil {
		return nil, err
	}
	permissions, err := PermissionsOf(tx, b.ID, ids)
	if err != nil {
		return nil, err
	}
	said, err := saidNo(tx, b, topics, who, permissions)
	if err != nil {
		return nil, err
	}
	all := make([][]Before, len(who))
	for i, s := range who {
		all[i] = make([]Before, len(topics))
		reason, yes := stoppedNow(stopped[string(s.AddressHash)], MarketingMail, tx.Now())
		for n, t := range topics {
			if yes {
				all[i][n].Left = ReasonSuppressed + reason
				continue
			}
			if word, ok := said[place{s.ID, t.ID}]; ok {
				all[i][n].Left = "consent-" + string(word)
			}
			for _, p := range permissions[s.ID] {
				if p.TopicID == t.ID && p.InForce(tx.Now()) {
					all[i][n] = Before{InForce: true}
				}
			}
		}
	}
	return all, nil
}

// saidNo asks for the last words of those only whose permission is not in force.
func saidNo(tx *store.Tx, b brand.Brand, topics []Topic, who []subscriber.Subscriber, permissions map[uuid.UUID][]Permission) (map[place]State, error) {
	var asked []step
	for _, s := range who {
		for n := range topics {
			for _, p := range permissions[s.ID] {
				if p.TopicID == topics[n].ID && !p.InForce(tx.Now()) {
					asked = append(asked, step{&person{b, s}, &Act{Topic: topics[n]}})
				}
			}
		}
	}
	if len(asked) == 0 {
		return nil, nil
	}
	return lastWords(tx, asked)
}
