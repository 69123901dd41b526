package main

import (
	"fmt"

	"github.com/vitrine-imaging/vitrine/internal/sample"
)

type sampleCmd struct {
	Out  string `required:"" placeholder:"DIR" help:"Folder to write to; files of the same name are replaced."`
	Seed uint64 `default:"1" help:"The same seed gives the same files."`
}

// Run writes the sample collection.
func (c *sampleCmd) Run(s *streams) error {
	m, err := sample.Write(c.Out, c.Seed)
	if err != nil {
		return err
	}
	if s.json {
		return s.value(m)
	}
	fmt.Fprintf(s.out, "%s of %s, %s in %s; nobody in them exists\n", count(m.Instances, "instance"), count(len(m.Studies), "study"), bytesText(m.Bytes), c.Out)
	return nil
}
