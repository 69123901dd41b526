//go:build unix

package tesseract

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Become takes from this process what reading a picture never needs, and makes it the program that line names first, with line as its arguments. It returns only if that fails.
func Become(line []string) error {
	if len(line) == 0 {
		return errors.New("no program is named")
	}
	lower := func(what int, most uint64) {
		var l unix.Rlimit
		if unix.Getrlimit(what, &l) == nil && l.Max > most {
			_ = unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: most})
		}
	}
	lower(unix.RLIMIT_CORE, 0)
	lower(unix.RLIMIT_FSIZE, 0) // no file is written, whatever its libraries think of
	lower(unix.RLIMIT_DATA, memoryLimit)
	lower(unix.RLIMIT_CPU, uint64(frameLimit.Seconds())+5)
	dieWithParent()
	return unix.Exec(line[0], line, os.Environ())
}
