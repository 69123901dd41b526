//go:build unix

package codec

import (
	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// memories gives WebAssembly memory straight from the system: it comes zeroed, only what is touched is there, growing copies nothing, and what is freed is gone.
type memories struct {
	exhausted bool // memory was refused since the last Allocate
}

// Allocate reserves the addresses of as much as may ever be asked for; Reallocate makes memory of them.
func (a *memories) Allocate(_, most uint64) experimental.LinearMemory {
	a.exhausted = false
	most = (min(most, memoryLimit) + wasmPage - 1) / wasmPage * wasmPage
	b, err := unix.Mmap(-1, 0, int(most), unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		a.exhausted = true
		return &mapped{of: a}
	}
	return &mapped{a, b}
}

type mapped struct {
	of *memories
	b  []byte
}

func (m *mapped) Reallocate(size uint64) []byte {
	if size > uint64(len(m.b)) || unix.Mprotect(m.b[:size], unix.PROT_READ|unix.PROT_WRITE) != nil {
		m.of.exhausted = true
		return nil
	}
	return m.b[:size]
}

func (m *mapped) Free() {
	if m.b != nil {
		_ = unix.Munmap(m.b)
		m.b = nil
	}
}

// confine takes from the process what a decoder never needs: memory without end, and files of its memory when it crashes.
func confine() {
	lower := func(what int, most uint64) {
		var l unix.Rlimit
		if unix.Getrlimit(what, &l) == nil && l.Max > most {
			_ = unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: most})
		}
	}
	lower(unix.RLIMIT_CORE, 0)
	lower(unix.RLIMIT_DATA, memoryLimit+512<<20)
}
