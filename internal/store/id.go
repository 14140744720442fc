package store

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// NewID makes a UUIDv7 for the moment t: 48 bits of Unix milliseconds, 12 bits
// of the fraction of the millisecond (RFC 9562 §6.2, method 3), 62 random bits.
func NewID(t time.Time) uuid.UUID {
	var id uuid.UUID
	rand.Read(id[6:]) // never fails (crypto/rand, Go 1.24)
	ms := t.UnixMilli()
	fraction := uint16(t.Sub(time.UnixMilli(ms)) * 4096 / time.Millisecond)
	binary.BigEndian.PutUint16(id[0:], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:], uint32(ms))
	binary.BigEndian.PutUint16(id[6:], 0x7000|fraction&0x0fff)
	id[8] = id[8]&0x3f | 0x80
	return id
}

// FirstID is the smallest UUIDv7 of the moment t: the bound of a partition.
func FirstID(t time.Time) uuid.UUID {
	var id uuid.UUID
	ms := t.UnixMilli()
	binary.BigEndian.PutUint16(id[0:], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:], uint32(ms))
	return id
}
