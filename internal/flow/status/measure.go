package status

import (
	"context"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/flow/backup"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// Measures are numbers of the node as a whole, for those who watch it by them. They name no collection, no patient and no person. What could not be asked is absent: nil, or zero
// times.
type Measures struct {
	Objects *catalogue.Counts // of all collections
	Unread  *Unread
	Jobs    []jobs.Kind

	Packs    *PackMeasures
	Database *int64 // bytes
	Free     *int64 // bytes of the disk
	Disk     *int64

	Mirror   *pack.Lag // nil: there is none, or it was not seen yet
	FellBack int64     // how often something was read from the mirror because it was whole nowhere else

	Verified    time.Time // when the last verification, backup and drill ended that found everything well
	BackedUp    time.Time
	Drilled     time.Time
	Certificate time.Time // when it ends
	Version     string
	Since       time.Time
}

// Unread is what waits for its pixels to be read.
type Unread struct {
	Objects int64
	Since   time.Time
}

// PackMeasures are counts and bytes of packs by where they lie.
type PackMeasures struct {
	Here, Bucket, Mirror                int
	HereBytes, BucketBytes, MirrorBytes int64
}

// measureFor is how old measures may be: several who ask at the same time ask the parts once.
const measureFor = 15 * time.Second

// Measure asks the parts for their numbers. It needs no permission: whoever is let near the node's metrics may see them.
func (d *Desk) Measure(ctx context.Context) *Measures {
	d.measuring.Lock()
	defer d.measuring.Unlock()
	if d.measured != nil && d.clock().Before(d.measuredUntil) {
		return d.measured
	}
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	f := d.Facts()
	m := &Measures{Version: f.Version, Since: f.Since, Certificate: f.Certificate, FellBack: d.Packs.FellBack()}
	m.Objects = d.objects(ctx)
	if open, waiting, since, err := d.Catalogue.ToRead(ctx); err == nil {
		m.Unread = &Unread{open + waiting, since}
	}
	if all, err := d.Jobs.Overview(ctx); err == nil {
		m.Jobs = all
	}
	if n, err := d.DB.Size(ctx); err == nil {
		m.Database = &n
	}
	if free, total, err := d.Room(); err == nil {
		m.Free, m.Disk = &free, &total
	}
	m.Packs = d.packMeasures(ctx)
	if l, ok, err := d.Packs.MirrorLag(); err == nil && ok {
		m.Mirror = &l
	}
	for action, at := range map[string]*time.Time{policy.Verify.String(): &m.Verified, backup.Action: &m.BackedUp, backup.DrillAction: &m.Drilled} {
		if g, ok, err := d.Audit.LatestGood(ctx, action, among); err == nil && ok {
			*at = g.At
		}
	}
	if ctx.Err() == nil {
		d.measured, d.measuredUntil = m, d.clock().Add(measureFor)
	}
	return m
}

func (d *Desk) objects(ctx context.Context) *catalogue.Counts {
	all, err := d.Collections.List(ctx)
	if err != nil {
		return nil
	}
	var sum catalogue.Counts
	for _, c := range all {
		n, err := d.Catalogue.Intake(ctx, c.ID)
		if err != nil {
			return nil
		}
		sum.Received += n.Received
		sum.Pending += n.Pending
		sum.Catalogued += n.Catalogued
		sum.Held += n.Held
		sum.Refused += n.Refused
		sum.Restricted += n.Restricted
		sum.Duplicate += n.Duplicate
		sum.Released += n.Released
	}
	return &sum
}

func (d *Desk) packMeasures(ctx context.Context) *PackMeasures {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	all, err := d.Packs.Packs(ctx)
	if err != nil {
		return nil
	}
	p := &PackMeasures{}
	for _, k := range all {
		for where, to := range map[pack.Where]struct {
			n     *int
			bytes *int64
		}{pack.Local: {&p.Here, &p.HereBytes}, pack.InBucket: {&p.Bucket, &p.BucketBytes}, pack.InMirror: {&p.Mirror, &p.MirrorBytes}} {
			if k.Where&where != 0 {
				*to.n++
				*to.bytes += k.Size
			}
		}
	}
	return p
}
