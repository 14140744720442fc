package jobs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Policies asks Redis, every master of a cluster, what it does when its memory
// is full: "noeviction" or another value of maxmemory-policy, each once. It
// reads INFO, which hosted services allow where CONFIG is closed.
func (d *Doorbell) Policies(ctx context.Context) ([]string, error) {
	var mu sync.Mutex
	var found []string
	ask := func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx, "memory").Result()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for line := range strings.Lines(info) {
			if policy, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:"); ok {
				found = append(found, policy)
			}
		}
		return nil
	}
	var err error
	switch c := d.client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, ask)
	case *redis.Client:
		err = ask(ctx, c)
	default:
		err = fmt.Errorf("unknown kind of client %T", c)
	}
	if err != nil {
		return nil, fmt.Errorf("ask Redis what it does when it is full: %w", err)
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}
