package testkit

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// redisDatabases is how many tests of one process may have a Redis of their own.
const redisDatabases = 4096

// RedisProcess is a Redis server of one test's own. It keeps nothing: a restart
// is a flush.
type RedisProcess struct {
	*Process
	URL string
}

// RedisServer starts a server for this test alone, which it may Kill, Stop,
// Start and Flush. It ends with the test.
func RedisServer(tb testing.TB) *RedisProcess {
	tb.Helper()
	dir := testFolder(tb, "redis")
	p, err := newRedis(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Kill)
	if err := p.Start(); err != nil {
		tb.Fatal(err)
	}
	return &RedisProcess{Process: p, URL: redisURL(dir, 0)}
}

// Flush forgets everything in the server, as an accident would.
func (r *RedisProcess) Flush(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: redisSocket(r.dir)})
	defer client.Close()
	if err := client.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("flush Redis: %w", err)
	}
	return nil
}

func newRedis(dir string) (*Process, error) {
	bin, err := program("redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	return &Process{
		name: "Redis", dir: dir, sysproc: dieWithUs(false), stopWith: syscall.SIGTERM,
		argv: []string{bin, "--port", "0", "--unixsocket", redisSocket(dir), "--save", "", "--appendonly", "no",
			"--dir", dir, "--databases", fmt.Sprint(redisDatabases), "--maxmemory-policy", "noeviction"},
		ready: func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", redisSocket(dir))
			if err != nil { // the client would try five times, and say so
				return err
			}
			_ = conn.Close()
			client := redis.NewClient(&redis.Options{Network: "unix", Addr: redisSocket(dir)})
			defer client.Close()
			return client.Ping(ctx).Err()
		},
	}, nil
}

func redisSocket(dir string) string { return filepath.Join(dir, "redis.sock") }

// redisURL is in the form that asynq.ParseRedisURI reads.
func redisURL(dir string, db int64) string {
	return fmt.Sprintf("redis-socket://%s?db=%d", redisSocket(dir), db)
}

var sharedRedis = sync.OnceValues(func() (string, error) {
	dir, err := ownFolder("redis")
	if err != nil {
		return "", err
	}
	p, err := newRedis(dir)
	if err != nil {
		return "", err
	}
	return dir, p.Start()
})

var redisUsed atomic.Int64

// Redis gives the URL of an empty Redis database, emptied again at the test's
// end. The server is one for all tests of the process; channels are not divided
// by database, so a test that counts published messages takes a RedisServer.
func Redis(tb testing.TB) string {
	tb.Helper()
	dir, err := sharedRedis()
	if err != nil {
		tb.Fatal(err)
	}
	db := redisUsed.Add(1)
	if db >= redisDatabases {
		tb.Fatalf("more than %d tests of one process ask for a Redis", redisDatabases-1)
	}
	tb.Cleanup(func() {
		client := redis.NewClient(&redis.Options{Network: "unix", Addr: redisSocket(dir), DB: int(db)})
		defer client.Close()
		if err := client.FlushDB(context.Background()).Err(); err != nil {
			tb.Errorf("empty the test's Redis database: %v", err)
		}
	})
	return redisURL(dir, db)
}
