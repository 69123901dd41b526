//go:build !unix

package codec

import "github.com/tetratelabs/wazero/experimental"

// memories gives WebAssembly memory from Go's.
type memories struct{ exhausted bool }

// Allocate makes room for what is asked for first.
func (a *memories) Allocate(initial, _ uint64) experimental.LinearMemory {
	a.exhausted = false
	return &grown{a, make([]byte, 0, min(initial, memoryLimit))}
}

type grown struct {
	of *memories
	b  []byte
}

func (m *grown) Reallocate(size uint64) []byte {
	if size > memoryLimit {
		m.of.exhausted = true
		return nil
	}
	if size > uint64(cap(m.b)) {
		b := make([]byte, size)
		copy(b, m.b)
		m.b = b
	}
	m.b = m.b[:size]
	return m.b
}

func (m *grown) Free() { m.b = nil }

func confine() {}
