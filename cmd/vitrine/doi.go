package main

import (
	"os"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/base/datacite"
)

// doiFlags say where DOIs of releases are made.
type doiFlags struct {
	DataCite string `name:"datacite" placeholder:"URL" help:"DataCite's REST API, where DOIs of releases are made: https://api.datacite.org, or https://api.test.datacite.org to try it. Without it, releases have none."`
	Prefix   string `name:"datacite-prefix" placeholder:"10.12345" help:"The prefix below which they are made."`
	Account  string `name:"datacite-account" placeholder:"FILE" help:"File with the repository's account at DataCite: NAME:PASSWORD on one line."`
}

// registrar is the repository of DataCite that the flags name; nil if they name none.
func (f *doiFlags) registrar(s *streams) (*datacite.Config, error) {
	if f.DataCite == "" && f.Prefix == "" && f.Account == "" {
		return nil, nil
	}
	if f.DataCite == "" || f.Prefix == "" || f.Account == "" {
		return nil, usage("--datacite, --datacite-prefix and --datacite-account belong together")
	}
	if fi, err := os.Stat(f.Account); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o007 != 0 {
		s.say("Warning: others on this machine can read %s (mode %04o).", f.Account, fi.Mode().Perm())
	}
	line, err := firstLine(f.Account)
	if err != nil {
		return nil, usage("--datacite-account: %w", err)
	}
	c := &datacite.Config{URL: f.DataCite, Prefix: f.Prefix}
	var ok bool
	if c.Account, c.Password, ok = strings.Cut(line, ":"); !ok {
		return nil, usage("--datacite-account: the file has NAME:PASSWORD on its first line")
	}
	if _, err := datacite.New(*c); err != nil {
		return nil, usage("%w", err)
	}
	return c, nil
}
