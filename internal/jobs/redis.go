package jobs

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Doorbell is the Redis that tasks travel through. It holds nothing that is
// not in the database too, so losing it loses nothing.
type Doorbell struct {
	client redis.UniversalClient
	inside bool // in this process, for it alone
	close  func()
}

// OpenDoorbell connects to url: "embedded" (in this process, without a port)
// or any of redis:// rediss:// redis-socket:// redis-sentinel://
// redis-cluster://. It does not wait until Redis answers.
func OpenDoorbell(url string) (*Doorbell, error) {
	switch {
	case url == "embedded":
		return embedded()
	case strings.HasPrefix(url, "redis-cluster://"):
		return cluster(url)
	}
	opt, err := asynq.ParseRedisURI(url)
	if err != nil {
		return nil, fmt.Errorf("read the Redis URL: %w", err)
	}
	client, ok := opt.MakeRedisClient().(redis.UniversalClient)
	if !ok {
		return nil, fmt.Errorf("read the Redis URL: unknown kind of client")
	}
	return &Doorbell{client: client, close: func() { client.Close() }}, nil
}

func cluster(raw string) (*Doorbell, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("read the Redis URL: %w", err)
	}
	password, _ := u.User.Password()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: strings.Split(u.Host, ","), Username: u.User.Username(), Password: password})
	return &Doorbell{client: client, close: func() { client.Close() }}, nil
}

// embedded drives miniredis over pipes. Its clock stands still unless told, so
// it is moved on once a second.
func embedded() (*Doorbell, error) {
	m := miniredis.NewMiniRedis()
	client := redis.NewClient(&redis.Options{
		Addr:     "127.0.0.1:0", // never dialled; a name would be looked up
		Dialer:   func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
		PoolSize: 16,
	})
	stop := make(chan struct{})
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				m.FastForward(time.Second)
			case <-stop:
				return
			}
		}
	}()
	return &Doorbell{client: client, inside: true, close: func() {
		close(stop)
		client.Close()
		m.Close()
	}}, nil
}

// Ping reports whether Redis answers.
func (d *Doorbell) Ping(ctx context.Context) error { return d.client.Ping(ctx).Err() }

// Shared is the Redis that the nodes have in common, for what they must count
// together; nil where it is embedded, since then there is one node.
func (d *Doorbell) Shared() redis.UniversalClient {
	if d.inside {
		return nil
	}
	return d.client
}

// Close ends the connections.
func (d *Doorbell) Close() { d.close() }
