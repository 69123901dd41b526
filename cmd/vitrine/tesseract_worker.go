package main

import (
	"os"

	"github.com/vitrine-imaging/vitrine/internal/base/tesseract"
)

// tesseractWorkerCmd is what a node starts to have a picture read: it limits itself, and becomes the program that is named.
type tesseractWorkerCmd struct {
	Line []string `arg:"" passthrough:"" help:"The program and its arguments."`
}

// Run returns only if it cannot.
func (c *tesseractWorkerCmd) Run() error { return tesseract.Become(c.Line) }

// confined is the command line of that, before the program's own. Nil: the system does not say what this program is.
func confined() []string {
	exe, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{exe, "tesseract-worker"}
}
