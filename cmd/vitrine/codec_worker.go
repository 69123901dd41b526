package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/base/document"
	"github.com/vitrine-imaging/vitrine/internal/base/video"
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

// documentWorkerCmd is what a node starts to read a document that came encapsulated: it reads one from its standard input, and dies alone when that is made to kill.
type documentWorkerCmd struct {
	Cache string `placeholder:"DIR" help:"Folder for compiled code."`
}

// Run reads one document.
func (c *documentWorkerCmd) Run(ctx context.Context, s *streams) error {
	return document.Work(ctx, s.in, s.out, c.Cache)
}

// documentReader is the command line of the process that reads a document. Nil: the system does not say what this program is.
func documentReader(data string) []string {
	exe, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{exe, "document-worker", "--cache", filepath.Join(data, "cache", "document")}
}

// videoWorkerCmd is what a node starts in front of ffmpeg: it takes from the process what that does not need, and becomes it.
type videoWorkerCmd struct {
	Args []string `arg:"" passthrough:"" help:"Seconds, program, arguments."`
}

// Run becomes the program.
func (c *videoWorkerCmd) Run() error { return video.Confined(c.Args) }

// videoWorker is its command line. Nil: the system does not say what this program is.
func videoWorker() []string {
	exe, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{exe, "video-worker"}
}
