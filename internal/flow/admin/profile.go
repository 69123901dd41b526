package admin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// ProfileView is a profile that a collection has or had: the JSON of the management API.
type ProfileView struct {
	Number  int64      `json:"number"`
	Profile string     `json:"profile"`
	Version string     `json:"version"`
	Digest  string     `json:"digest,omitempty"` // SHA-256 of its file; empty: a named profile
	By      string     `json:"by,omitempty"`
	Since   *time.Time `json:"since,omitempty"`
	Current bool       `json:"current"`
	File    string     `json:"file,omitempty"`
}

// Profiles are the profiles that a collection has had, the latest first, with their files: for who manages it.
func (d *Desk) Profiles(ctx context.Context, who Caller, id collection.ID) ([]ProfileView, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManageCollection, Collection: string(id)}, "collection "+string(id)); err != nil {
		return nil, err
	}
	all, err := d.Collections.ProfileVersions(ctx, id)
	views := make([]ProfileView, len(all))
	for i, v := range all {
		views[len(all)-1-i] = ProfileView{Number: v.Number, Profile: v.Profile, Version: v.Version, Digest: v.Digest, By: v.Actor, Since: When(v.Created), Current: i == len(all)-1, File: v.Text}
	}
	return views, err
}

// Cleaning is the profile that a collection is cleaned by, for who manages it.
func (d *Desk) Cleaning(ctx context.Context, who Caller, id collection.ID) (*deid.Profile, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManageCollection, Collection: string(id)}, "collection "+string(id)); err != nil {
		return nil, err
	}
	c, err := d.Collections.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return d.Collections.Cleaning(ctx, c)
}

const attemptProfile = "put profile"

// PutProfile has what comes from now on cleaned by another profile: a file of the collection's own rules, whose tests are run first, or, where the text is
// one line that names one, a named profile. What is there already stays as it was cleaned. A fault Invalid says what is wrong with the file or which test fails;
// Conflict, that what the profile makes could not stand beside what is there.
func (d *Desk) PutProfile(ctx context.Context, who Caller, id collection.ID, text []byte) (ProfileView, error) {
	object := "collection " + string(id)
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManageCollection, Collection: string(id)}, object); err != nil {
		return ProfileView{}, err
	}
	p, file, err := readProfile(object, text)
	if err != nil {
		return ProfileView{}, err
	}
	if err := d.stands(ctx, id, p); err != nil {
		return ProfileView{}, err
	}
	var v collection.ProfileVersion
	err = d.write(ctx, func(tx *db.Tx) (err error) {
		if v, err = d.Collections.PutProfile(tx, id, p, file, who.Actor); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: attemptProfile, Object: object + ": " + p.Describe(), Collection: string(id), Outcome: "done"})
	})
	d.Collections.Forget(id)
	if c, err := d.Collections.Get(ctx, id); err == nil && c.AETitle != "" {
		d.Collections.Forget(id, c.AETitle)
	}
	return ProfileView{Number: v.Number, Profile: v.Profile, Version: v.Version, Digest: v.Digest, By: v.Actor, Since: When(v.Created), Current: true}, err
}

// readProfile reads a file and runs its tests, or takes a name.
func readProfile(object string, text []byte) (*deid.Profile, string, error) {
	if name := strings.TrimSpace(string(text)); len(name) <= 300 && !strings.ContainsAny(name, ":\n") && name != "" {
		p, err := deid.Lookup(name)
		if err != nil {
			return nil, "", fault.New(fault.Invalid, attemptProfile, object, "there is no such profile: "+reason(err))
		}
		return p, "", nil
	}
	p, err := deid.ParseProfile(text)
	if err != nil {
		return nil, "", fault.New(fault.Invalid, attemptProfile, object, reason(err))
	}
	if p.Cases() == 0 {
		return nil, "", fault.New(fault.Invalid, attemptProfile, object, "the file has no tests: at least one has to say what its rules are for")
	}
	var bad []string
	for _, r := range p.Test() {
		if r.Passed {
			continue
		}
		d := r.Problems[0]
		bad = append(bad, fmt.Sprintf("line %d, %s: %s wanted %s, got %s", r.Line, r.Name, d.Element, d.Want, d.Got))
	}
	if len(bad) > 0 {
		return nil, "", fault.New(fault.Invalid, attemptProfile, object, fmt.Sprintf("%d of its %d tests fail: %s", len(bad), p.Cases(), strings.Join(bad[:min(len(bad), 5)], "; ")))
	}
	return p, string(text), nil
}

// stands refuses a profile whose objects could not stand beside those that the collection has.
func (d *Desk) stands(ctx context.Context, id collection.ID, p *deid.Profile) error {
	object := "collection " + string(id)
	n, err := d.Catalogue.Intake(ctx, id)
	if err != nil {
		return err
	}
	earlier, err := d.Collections.ProfileVersions(ctx, id)
	if err != nil {
		return err
	}
	for _, v := range earlier {
		was, err := d.Collections.Cleaning(ctx, collection.Collection{ID: id, Profile: v.Profile, ProfileDigest: v.Digest})
		if err != nil {
			return err
		}
		why := p.Beside(was)
		if p.AsDeposited != was.AsDeposited || why != "" && n.Received > 0 {
			return fault.New(fault.Conflict, attemptProfile, object, "what "+p.Name+" makes cannot stand beside what "+v.Profile+" "+v.Version+" has made: "+why)
		}
	}
	return nil
}
