package release

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/datacite"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/release"
	"github.com/vitrine-imaging/vitrine/internal/record/release/describe"
)

// Registrar is where DOIs of releases are made. A release waits for none: a job asks DataCite until it is there.
type Registrar struct {
	Client *datacite.Client
	Base   string // where people reach the node: DOIs lead there
}

// Mints reports whether releases have DOIs.
func (d *Desk) Mints() bool { return d.DOIs != nil }

// The jobs of DOIs: one has DataCite say of a release what is so now, the other forgets the DOI of a draft that was discarded.
const (
	jobDOI       = "register a DOI"
	jobForgetDOI = "forget a DOI"
)

// doiAgain is when DataCite is asked again where it did not answer, and where it refused: then somebody has to see to it.
const (
	doiAgain   = 10 * time.Minute
	doiRefused = 6 * time.Hour
)

// tellDOI asks, in the caller's transaction, that DataCite is told what a release is now. A command beside a node asks too: the node does it, and one that makes no DOIs has nothing to do.
func (d *Desk) tellDOI(tx *db.Tx, id int64) error {
	return d.Jobs.Add(tx, jobDOI, strconv.FormatInt(id, 10), nil, time.Now())
}

// tellDOIs asks for a release and for the one before it, which says what has taken its place.
func (d *Desk) tellDOIs(tx *db.Tx, x *release.Release) error {
	if err := d.tellDOI(tx, x.ID); err != nil || x.Previous == "" {
		return err
	}
	before, err := d.Releases.Before(tx, x)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.tellDOI(tx, before)
}

// suffix names the DOI of a release: opaque, and the same whenever it is asked for, so that asking twice makes one.
func suffix(id int64) string {
	return strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(id))))
}

// doi has DataCite say of a release what is so now: a draft's is reserved, what is published is found, what was taken back is found no more and goes on to lead to its page.
func (d *Desk) doi(ctx context.Context, key string, _ []byte) error {
	if d.DOIs == nil {
		return nil
	}
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return fault.New(fault.Internal, jobDOI, "", "its number is none")
	}
	x, err := d.Releases.ByID(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil // a draft that was discarded meanwhile
	}
	if err != nil {
		return err
	}
	was, registered := x.DOI, x.Registered
	if x.DOI == "" {
		x.DOI = d.DOIs.Client.Name(suffix(x.ID))
	}
	r, err := d.describe(ctx, &x, d.DOIs.Base)
	if err != nil {
		return err
	}
	event := describe.NoEvent
	switch {
	case x.State == release.Tombstoned && registered:
		event = describe.EventHide
	case x.State == release.Tombstoned:
		event = describe.EventRegister
	case x.State != release.Draft:
		event = describe.EventPublish
	}
	var b bytes.Buffer
	if err := describe.WriteDataCiteRequest(&b, r, "", event); err != nil {
		return d.doiLater(ctx, jobDOI, key, nil, err)
	}
	state, err := d.DOIs.Client.Put(ctx, x.DOI, b.Bytes())
	if err != nil {
		return d.doiLater(ctx, jobDOI, key, nil, err)
	}
	if _, err := d.Releases.ByID(ctx, id); fault.Is(err, fault.NotFound) {
		return d.forgetDOI(ctx, key, []byte(x.DOI)) // it was discarded meanwhile
	}
	resolves := state != "draft"
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		if was == x.DOI && registered == resolves {
			return nil
		}
		if err := d.Releases.SetDOI(tx, x, x.DOI, resolves); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: "node", Action: jobDOI, Object: "release " + x.Name(), Collection: string(x.Collection), Outcome: state})
	})
}

// forgetDOI forgets the reserved DOI of a draft that was discarded.
func (d *Desk) forgetDOI(ctx context.Context, key string, doi []byte) error {
	if d.DOIs == nil {
		return nil
	}
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return fault.New(fault.Internal, jobForgetDOI, "", "its number is none")
	}
	name := string(doi)
	if name == "" {
		name = d.DOIs.Client.Name(suffix(id))
	}
	err = d.DOIs.Client.Delete(ctx, name)
	if err != nil {
		return d.doiLater(ctx, jobForgetDOI, key, doi, err)
	}
	return nil
}

// doiLater has a job done again later, for as long as it takes: jobs are given up by themselves, and a DOI is promised.
func (d *Desk) doiLater(ctx context.Context, kind, key string, payload []byte, why error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	after := doiAgain
	if !fault.Is(why, fault.Unavailable) {
		after = doiRefused
	}
	d.Log.Warn("DataCite was not told of a release, and is asked again", "job", kind, "key", key, "after", after.String(), "error", why)
	return d.DB.Write(ctx, func(tx *db.Tx) error { return d.Jobs.Add(tx, kind, key, payload, time.Now().Add(after)) })
}
