//go:build unix

package document

import (
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// confine takes from the process what reading never needs: memory without end, files of its memory when it crashes, and files at all beside those of compiled code.
func confine() {
	lower := func(what int, most uint64) {
		var l unix.Rlimit
		if unix.Getrlimit(what, &l) == nil && l.Max > most {
			_ = unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: most})
		}
	}
	lower(unix.RLIMIT_CORE, 0)
	lower(unix.RLIMIT_DATA, 2<<30)
	debug.SetMemoryLimit(1 << 30)
}
