package web_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"assent/internal/testkit"
	"assent/internal/web"
)

func bucket(key string, n int) web.Bucket { return web.Bucket{Key: key, N: n, Per: time.Hour} }

// TestTheGateIsOneForAllProcesses: what one lets through, the other knows of; and
// what one bucket refuses takes nothing from the others.
func TestTheGateIsOneForAllProcesses(t *testing.T) {
	path := strings.TrimPrefix(testkit.Redis(t), "redis-socket://")
	path, _, _ = strings.Cut(path, "?")
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: path})
	t.Cleanup(func() { client.Close() })
	now, ctx := time.Now(), context.Background()
	for name, r := range map[string]redis.UniversalClient{"redis": client, "alone": nil} {
		a := web.NewGate(r, []byte("secret"))
		b := a
		if r != nil {
			b = web.NewGate(r, []byte("secret"))
		}
		for i, g := range []*web.Gate{a, b, a} {
			p := g.Take(ctx, now, bucket("ip", 3), bucket("form", 100))
			if want := float64(i+1) / 3; !p.OK || p.Used[0] < want-0.05 || p.Used[0] > want+0.05 {
				t.Fatalf("%s: %d: %+v", name, i, p)
			}
		}
		for range 200 {
			if p := b.Take(ctx, now, bucket("ip", 3), bucket("form", 100)); p.OK || p.Wait <= 0 || p.Wait > 20*time.Minute {
				t.Fatalf("%s: a full bucket lets through: %+v", name, p)
			}
		}
		if p := b.Take(ctx, now, bucket("other", 3), bucket("form", 100)); !p.OK || p.Used[1] > 0.1 {
			t.Errorf("%s: what was refused is counted: %+v", name, p)
		}
		if p := b.Take(ctx, now, bucket("nothing", 0)); !p.OK {
			t.Errorf("%s: no limit holds: %+v", name, p)
		}
	}
	gone := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { gone.Close() })
	g := web.NewGate(gone, []byte("secret"))
	if p := g.Take(ctx, now, bucket("ip", 1)); !p.OK {
		t.Errorf("without Redis nothing passes: %+v", p)
	}
	if p := g.Take(ctx, now, bucket("ip", 1)); p.OK {
		t.Errorf("without Redis everything passes: %+v", p)
	}
}
