package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/vitrine-imaging/vitrine/internal/base/codec"
)

// codecWorkerCmd is what a node starts to decode code streams: it reads frames from its standard input, and dies alone when one of them is made to kill.
type codecWorkerCmd struct {
	Cache string `placeholder:"DIR" help:"Folder for compiled code."`
}

// Run decodes until its standard input ends.
func (c *codecWorkerCmd) Run(ctx context.Context, s *streams) error {
	return codec.Work(ctx, s.in, s.out, c.Cache)
}

// decoder is the command line of a worker of the node whose data is in the folder: this program, started again. Nil: the system does not say what it is.
func decoder(data string) []string {
	exe, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{exe, "codec-worker", "--cache", filepath.Join(data, "cache", "codec")}
}
