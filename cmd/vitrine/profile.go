package main

import (
	"errors"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
)

// profileNamed is the profile that --profile names.
func profileNamed(name string) (*deid.Profile, error) {
	p, err := deid.Lookup(name)
	if err == nil {
		return p, nil
	}
	f, ok := errors.AsType[*fault.Error](err)
	if ok && f.Kind == fault.NotFound {
		return nil, usage("--profile: there is no profile %q; %s", name, f.Reason)
	}
	if ok {
		return nil, usage("--profile: %s", f.Reason)
	}
	return nil, err
}
