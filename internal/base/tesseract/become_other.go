//go:build !unix

package tesseract

import (
	"errors"
	"os"
	"os/exec"
)

// Become runs the program that line names first, for this process. It has no limits here but those of who started it.
func Become(line []string) error {
	if len(line) == 0 {
		return errors.New("no program is named")
	}
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	return cmd.Run()
}
