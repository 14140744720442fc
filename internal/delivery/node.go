package delivery

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
)

// Node is a process that sends, known by the folder of its journal. After a
// crash the next process takes the folder over, and with it the claims.
type Node struct {
	ID        uuid.UUID
	Host      string
	BootID    string
	StartedAt time.Time
	SeenAt    time.Time
	LostAt    *time.Time
}

// joinNode takes over every journal in dir that no living process holds, reads
// them into the database, and keeps one as this process's own.
func joinNode(ctx context.Context, db *store.DB, dir string) (*journal, uuid.UUID, error) {
	found, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, uuid.Nil, fmt.Errorf("look for journals: %w", err)
	}
	var own *journal
	var node uuid.UUID
	for _, f := range found {
		id, err := uuid.Parse(f.Name())
		if err != nil {
			continue
		}
		j, taken, err := openJournal(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, uuid.Nil, err
		}
		if taken {
			continue
		}
		if err := takeOver(ctx, db, j, id); err != nil {
			return nil, uuid.Nil, err
		}
		if own == nil {
			own, node = j, id
		} else {
			j.close()
		}
	}
	if own == nil {
		node = store.NewID(time.Now())
		if own, _, err = openJournal(filepath.Join(dir, node.String())); err != nil {
			return nil, uuid.Nil, err
		}
	}
	return own, node, sayHello(ctx, db, node)
}

// takeOver settles what a dead process left claimed, by its journal:
//
//	answered                              → as answered
//	begun, not answered                   → uncertain (service mail: again)
//	not begun, machine the same boot      → queued again
//	not begun, machine booted since       → uncertain: the journal's end may be lost
func takeOver(ctx context.Context, db *store.DB, j *journal, node uuid.UUID) error {
	said, err := j.read()
	if err != nil {
		return err
	}
	err = db.Write(ctx, func(tx *store.Tx) error {
		var was Node
		if err := tx.Where("id = ?", node).Limit(1).Find(&was).Error; err != nil {
			return err
		}
		rebooted := was.BootID != "" && was.BootID != bootID()
		return takeOverClaims(tx, node, said, rebooted)
	})
	if err != nil {
		return fmt.Errorf("take over the claims of node %s: %w", node, err)
	}
	return j.clear()
}

func takeOverClaims(tx *store.Tx, node uuid.UUID, said map[link.Message]entry, rebooted bool) error {
	return eachClaim(tx, node, func(page []*claimed) error {
		var answered []outcome
		var fresh []*claimed
		for _, m := range page {
			e, begun := said[m.Ref()]
			begun = begun && e.epoch == m.Epoch
			if begun {
				m.TracksOpens, m.TracksClicks = e.opens, e.clicks
			}
			switch {
			case begun && e.ended:
				answered = append(answered, outcome{m, reply{verdict: e.verdict, code: e.code, text: e.text}})
			case begun || rebooted:
				answered = append(answered, outcome{m, reply{verdict: unknown, text: "the sending process ended before the answer was known"}})
			default:
				fresh = append(fresh, m)
			}
		}
		if err := release(tx, node, fresh); err != nil {
			return err
		}
		return record(tx, node, answered)
	})
}

// eachClaim reads what a node has claimed, a page of one brand at a time.
func eachClaim(tx *store.Tx, node uuid.UUID, do func([]*claimed) error) error {
	left, err := claimsOf(tx, node)
	if err != nil {
		return err
	}
	for len(left) > 0 {
		n := 1
		for n < min(len(left), bookAtOnce) && left[n].BrandID == left[0].BrandID {
			n++
		}
		page, err := readMails(tx, left[0].BrandID, left[:n])
		if err != nil {
			return fmt.Errorf("read a node's claims: %w", err)
		}
		if err := do(page); err != nil {
			return err
		}
		left = left[n:]
	}
	return nil
}

// sayHello enters the node, or that it is still there, by the database's clock.
func sayHello(ctx context.Context, db *store.DB, node uuid.UUID) error {
	host, _ := os.Hostname()
	err := db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Run(`INSERT INTO nodes (id, host, boot_id, started_at, seen_at) VALUES (?, ?, ?, `+tx.LeaseNow()+`, `+tx.LeaseNow()+`)
			ON CONFLICT (id) DO UPDATE SET host = excluded.host, boot_id = excluded.boot_id, seen_at = excluded.seen_at, lost_at = NULL`, node, host, bootID())
		return err
	})
	if err != nil {
		return fmt.Errorf("enter this node: %w", err)
	}
	return nil
}

// bootID changes when the machine starts anew, and with it what was written
// without fsync may be gone.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(id))
}

// Nodes lists the processes that send or sent.
func Nodes(tx *store.Tx) ([]Node, error) {
	var all []Node
	return all, tx.Order("started_at DESC, id").Find(&all).Error
}

// Post is a node as a page shows it, by the database's clock.
type Post struct {
	Node
	Silent time.Duration // since it was last heard of
	InHand int64         // messages that it has claimed and not reported
}

// Posts lists the nodes that send or sent within the last so many days, and
// those with claims, the newest first. It reads the outbox for the claims.
func Posts(tx *store.Tx, since time.Duration) ([]Post, error) {
	var rows []struct {
		Node   `gorm:"embedded"`
		Silent int64 // seconds
		InHand int64
	}
	err := tx.Raw(`SELECT n.*, ` + tx.Pick("CAST(floor(extract(epoch FROM "+tx.LeaseNow()+" - n.seen_at)) AS bigint)",
		"unixepoch("+tx.LeaseNow()+") - unixepoch(n.seen_at)") + ` AS silent, coalesce(c.in_hand, 0) AS in_hand
		FROM nodes n LEFT JOIN (SELECT node_id, count(*) AS in_hand FROM outbox WHERE node_id IS NOT NULL GROUP BY node_id) c ON c.node_id = n.id
		WHERE n.seen_at > ` + tx.LeaseIn(-since) + ` OR c.in_hand > 0 ORDER BY n.started_at DESC, n.id`).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list the nodes: %w", err)
	}
	all := make([]Post, len(rows))
	for i, r := range rows {
		all[i] = Post{Node: r.Node, Silent: time.Duration(max(0, r.Silent)) * time.Second, InHand: r.InHand}
	}
	return all, nil
}

// Alive tells whether it was heard of lately.
func (p Post) Alive() bool { return p.LostAt == nil && p.Silent < 3*beatTime }

// Living counts the processes that send and were heard of lately.
func Living(tx *store.Tx) (n int, err error) {
	err = one(tx, &n, "SELECT count(*) FROM nodes WHERE lost_at IS NULL AND seen_at > "+tx.LeaseIn(-3*beatTime))
	if err != nil {
		return 0, fmt.Errorf("count the living nodes: %w", err)
	}
	return n, nil
}

// DeclareLost ends the wait for a node that will not come back, and makes the
// claims it never reported uncertain (service mail is sent again). Only a
// person or a long silence may say so: should it live, it finds nothing of its
// claims left to begin.
func DeclareLost(tx *store.Tx, node uuid.UUID) (int, error) {
	n, err := tx.Run("UPDATE nodes SET lost_at = "+tx.LeaseNow()+" WHERE id = ?", node)
	if err != nil {
		return 0, fmt.Errorf("declare a node lost: %w", err)
	}
	if n == 0 {
		return 0, problem.New(problem.NotFound, "delivery.node-unknown")
	}
	lost := 0
	err = eachClaim(tx, node, func(page []*claimed) error {
		lost += len(page)
		outcomes := make([]outcome, len(page))
		for i, m := range page {
			outcomes[i] = outcome{m, reply{verdict: unknown, text: "the sending machine was declared lost"}}
		}
		return record(tx, node, outcomes)
	})
	return lost, err
}

// LoseSilent declares lost every node that has claims and was not heard of for
// so long, by the database's clock.
func LoseSilent(ctx context.Context, db *store.DB, silence time.Duration) error {
	return db.Write(ctx, func(tx *store.Tx) error {
		var silent []uuid.UUID
		err := tx.Raw(`SELECT id FROM nodes WHERE lost_at IS NULL AND seen_at < ` + tx.LeaseIn(-silence) + `
			AND id IN (SELECT node_id FROM outbox WHERE node_id IS NOT NULL)`).Scan(&silent).Error
		if err != nil {
			return fmt.Errorf("look for silent nodes: %w", err)
		}
		for _, id := range silent {
			if _, err := DeclareLost(tx, id); err != nil {
				return err
			}
		}
		return nil
	})
}
