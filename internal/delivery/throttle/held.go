package throttle

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Held is a limit that holds mails back, or did within the last hours, and why.
type Held struct {
	Key       string
	PerSecond float64       // its full pace
	Now       float64       // its pace now; 0 while it pauses
	Pause     time.Duration // still to go
	Slow      time.Duration // still to go, until the pace begins to rise again
	Said      string        // the server's words that slowed it
	Sent      int64         // mails let out since it was first heard of, lately
	Times     int64         // how often a mail had to wait, or a whole stream
	Since     time.Duration // since a mail last had to; negative: none did
	By        string        // the other limit that made it wait; "" is this one
	Ahead     time.Duration // until the last of those that wait may come
}

// Kind is what the limit is of: group, sender, brand, stream, warm-up or relay.
func (h Held) Kind() string {
	kind, _, _ := strings.Cut(h.Key, "/")
	return kind
}

// About is what the limit is about: see the makers of limits.
func (h Held) About() string {
	_, about, _ := strings.Cut(h.Key, "/")
	return about
}

// Held lists the limits that have something to tell, by their keys. While
// Redis is away these are what this node knows.
func (t *Throttle) Held(ctx context.Context) ([]Held, error) {
	if !t.near() {
		return t.local.held(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	keys, err := t.Redis.ZRange(ctx, indexKey, 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("ask Redis what is held back: %w", err)
	}
	clock, err := t.Redis.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("ask Redis for its time: %w", err)
	}
	var all []Held
	for part := range slices.Chunk(keys, 500) {
		texts, err := t.Redis.MGet(ctx, part...).Result()
		if err != nil {
			return nil, fmt.Errorf("ask Redis what is held back: %w", err)
		}
		for i, text := range texts {
			if s, is := text.(string); is {
				if b, ok := readBucket(s); ok {
					all = append(all, b.show(strings.TrimPrefix(part[i], tag), float64(clock.UnixMicro())))
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b Held) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

// readBucket reads what bucket.lua writes where there is news.
func readBucket(text string) (*bucket, bool) {
	f := strings.Split(text, "\t")
	if len(f) != 15 {
		return nil, false
	}
	var n [12]float64 // all but the words
	for i := range n {
		v, err := strconv.ParseFloat(f[i], 64)
		if err != nil {
			return nil, false
		}
		n[i] = v
	}
	return &bucket{tokens: n[0], stamp: n[1], granted: int64(n[2]), rate: n[3], ahead: n[4], factor: n[5], halved: n[6], paused: n[7],
		cap: n[8], capped: n[9], held: int64(n[10]), heldAt: n[11], by: strings.TrimPrefix(f[12], tag), said: f[13]}, n[3] > 0
}

func (b *bucket) show(key string, now float64) Held {
	span := func(us float64) time.Duration { return microseconds(int64(max(0, us))) }
	h := Held{Key: key, PerSecond: b.rate, Now: b.pace(now), Pause: span(b.paused - now), Slow: span(max(b.capped, b.paused) - now), Said: b.said,
		Sent: b.granted, Times: b.held, By: b.by, Since: span(now - b.heldAt), Ahead: span(b.ahead - now)}
	if h.Pause > 0 {
		h.Now = 0
	}
	if b.held == 0 {
		h.Since = -1
	}
	if !b.slowed(now) {
		h.Said = ""
	}
	return h
}

// lately is how long ago a limit may have held a mail back to count as what
// holds back those that wait now: a stream without room is left alone for a
// minute at most.
const lately = 90 * time.Second

// Lately tells whether it made a mail wait by itself a moment ago.
func (h Held) Lately() bool { return h.By == "" && h.Since >= 0 && h.Since < lately }

// PacedBy gives the kinds of limits that lately held mails of a stream back.
func PacedBy(held []Held, brand, stream uuid.UUID) (kinds []string) {
	for _, l := range held {
		about := map[string]string{"stream": stream.String(), "brand": brand.String(), "warm-up": brand.String()}[l.Kind()]
		if about != "" && about == l.About() && l.Lately() {
			kinds = append(kinds, l.Kind())
		}
	}
	return kinds
}

// Unbounded tells of a limit that bounds nothing at its full pace: it is there
// to be slowed.
func (h Held) Unbounded() bool { return h.PerSecond >= unbounded }

func (l *local) held() []Held {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	var all []Held
	for key, b := range l.buckets {
		if b.held > 0 || b.slowed(now) {
			all = append(all, b.show(key, now))
		}
	}
	slices.SortFunc(all, func(a, b Held) int { return strings.Compare(a.Key, b.Key) })
	return all
}
