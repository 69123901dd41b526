package main

import (
	"fmt"

	"github.com/vitrine-imaging/vitrine/internal/sample"
)

type sampleCmd struct {
	Out  string `required:"" placeholder:"DIR" help:"Folder to write to; files of the same name are replaced."`
	Seed uint64 `default:"1" help:"The same seed gives the same files."`
	Demo bool   `help:"What a demonstration shows instead: a trial and a screening service with clinical tables, and descriptions for the directory."`
}

// Run writes the sample collection, or the demonstration's.
func (c *sampleCmd) Run(s *streams) error {
	write := sample.Write
	if c.Demo {
		write = sample.WriteCohorts
	}
	m, err := write(c.Out, c.Seed)
	if err != nil {
		return err
	}
	if s.json {
		return s.value(m)
	}
	fmt.Fprintf(s.out, "%s of %s, %s in %s; nobody in them exists\n", count(m.Instances, "instance"), count(len(m.Studies), "study"), bytesText(m.Bytes), c.Out)
	return nil
}
