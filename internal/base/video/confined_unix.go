//go:build unix

package video

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

// Confined becomes a program: args are the seconds of a processor that it may have, its path, and its arguments. From then on it has no environment, may write no file, and
// has bounded memory; it dies with its parent where the system knows how. It returns only if it cannot.
func Confined(args []string) error {
	if len(args) < 2 {
		return errors.New("no program is named")
	}
	seconds, err := strconv.ParseUint(args[0], 10, 32)
	if err != nil {
		return errors.New("the first argument is no number of seconds")
	}
	for what, most := range map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: 0, unix.RLIMIT_DATA: 2 << 30, unix.RLIMIT_CPU: 2 * seconds, unix.RLIMIT_NOFILE: 64} {
		var l unix.Rlimit
		if err := unix.Getrlimit(what, &l); err != nil {
			return err
		}
		l.Cur, l.Max = min(l.Max, most), min(l.Max, most)
		if err := unix.Setrlimit(what, &l); err != nil {
			return err
		}
	}
	if err := dieWithParent(); err != nil {
		return err
	}
	return unix.Exec(args[1], args[1:], []string{})
}
