// Package ident makes the numbers of rows.
//
// They are made without asking the database, so that processes beside each other need not wait, and they grow with time, so that new rows are
// neighbours in their tables. 51 bits count microseconds since 2025 (until 2096), 12 bits are drawn at random by each process. Two processes that draw
// the same bits and meet in one microsecond violate a primary key, and the transaction of one of them fails and is tried again.
//
// A number is not a secret: it tells when its row was made.
package ident

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

const processBits = 12

var (
	epoch   = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	process = sync.OnceValues(func() (int64, error) {
		var b [2]byte
		_, err := rand.Read(b[:])
		return int64(binary.LittleEndian.Uint16(b[:])) & (1<<processBits - 1), err
	})
	last atomic.Int64 // microseconds
)

// New is a number that was not given before.
func New() (int64, error) {
	own, err := process()
	if err != nil {
		return 0, err
	}
	for {
		before := last.Load()
		now := max(before+1, time.Now().UnixMicro()-epoch)
		if last.CompareAndSwap(before, now) {
			return now<<processBits | own, nil
		}
	}
}

// At is a number that lies between those made before and after a moment.
func At(t time.Time) int64 { return max(0, t.UnixMicro()-epoch) << processBits }
