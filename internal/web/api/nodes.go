package api

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/delivery"
	"assent/internal/store"
)

// nodes: the processes that send, for keys of the installation.
func (h *house) nodes() {
	read(h, action{http.MethodGet, "/nodes", "listNodes", "nodes:read", "nodes", "List the processes that send", "", 0, true}, listNodes)
	write(h, action{http.MethodPost, "/nodes/{id}/lost", "declareLost", "nodes:write", "nodes", "Declare a process lost",
		"Only when it will never come back with its journal: what it had in hand and did not report becomes uncertain.", 0, true}, declareLost)
}

type nodeAnswer struct {
	ID        uuid.UUID  `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000011"`
	Host      string     `json:"host" example:"mail-1"`
	StartedAt time.Time  `json:"started_at" example:"2026-11-22T09:00:00Z"`
	SeenAt    time.Time  `json:"seen_at" example:"2026-11-22T09:14:00Z"`
	LostAt    *time.Time `json:"lost_at,omitempty" example:"2026-12-01T09:00:00Z"`
}

func showNode(n delivery.Node) nodeAnswer {
	return nodeAnswer{ID: n.ID, Host: n.Host, StartedAt: n.StartedAt.UTC(), SeenAt: n.SeenAt.UTC(), LostAt: utc(n.LostAt)}
}

func listNodes(tx *store.Tx, _ caller, _ *noInput) (list[nodeAnswer], error) {
	found, err := delivery.Nodes(tx)
	return all(found, showNode), err
}

type lostAnswer struct {
	Uncertain int `json:"uncertain" doc:"How many messages became uncertain." example:"3"`
}

func declareLost(tx *store.Tx, _ caller, in *ByID) (lostAnswer, error) {
	n, err := delivery.DeclareLost(tx, in.ID)
	return lostAnswer{n}, err
}
