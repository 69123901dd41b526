// Package verify re-reads everything that a node keeps and compares it with what was stored: each pack with its checksums, each object of the catalogue with the
// keyed digest in its record, each entry of the audit log with the tree and its checkpoints.
//
// It works beside a running node and changes nothing but the audit log, where the run and its outcome are noted. Objects whose subject's key was destroyed cannot
// be read and are counted as erased: their packs are compared all the same.
package verify

import (
	"context"
	"fmt"
	"sync"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Parts are what is verified.
type Parts struct {
	DB        *db.DB
	Audit     *audit.Log
	Signer    *audit.Signer // nil: signatures of checkpoints are not compared
	Ring      *keys.Ring
	Packs     *pack.Store
	Catalogue *catalogue.Record
	Subjects  *subject.Record
	Mirror    bool // there is one: what is sealed has to be there, whole
	Workers   int  // 0: two

	// Step is told of each part with the number of things in it, and Done of each thing; both may be nil.
	Step func(name string, n int64)
	Done func()
}

// Report says what was compared and what differs. It names packs, record numbers and places, and nothing of a patient.
type Report struct {
	Packs       int64        `json:"packs"`
	Records     int64        `json:"records"` // in the packs, those of erased subjects and of earlier versions too
	Objects     int64        `json:"objects"`
	Bytes       int64        `json:"bytes"` // of objects
	Erased      int64        `json:"erased"`
	Mirrored    int64        `json:"packs_in_mirror"` // compared there
	Audit       int64        `json:"audit_entries"`
	Differences []Difference `json:"differences"`
}

// Difference is something that is not as it was stored.
type Difference struct {
	What  string `json:"what"`            // "object 123", "pack ...", "audit log"
	Where string `json:"where,omitempty"` // pack and offset
	Why   string `json:"why"`
}

const maxDifferences = 10_000

// Run compares everything. An error says that it could not be compared; differences are in the report.
func Run(ctx context.Context, p Parts, who admin.Caller) (*Report, error) {
	if d := policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.Verify}); !d.Allow {
		return nil, fault.New(fault.Denied, "verify", "", d.Reasons[0])
	}
	r := &run{Parts: p, report: &Report{Differences: []Difference{}}}
	if err := r.packs(ctx); err != nil {
		return nil, err
	}
	if err := r.objects(ctx); err != nil {
		return nil, err
	}
	if err := r.log(ctx); err != nil {
		return nil, err
	}
	outcome := "done"
	if n := len(r.report.Differences); n > 0 {
		outcome = fmt.Sprintf("%d differences", n)
	}
	err := p.DB.Write(ctx, func(tx *db.Tx) error {
		return p.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: policy.Verify.String(), Object: "the node", Outcome: outcome})
	})
	return r.report, err
}

type run struct {
	Parts
	mu     sync.Mutex
	report *Report
}

func (r *run) differs(what, where, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.report.Differences) < maxDifferences {
		r.report.Differences = append(r.report.Differences, Difference{what, where, why})
	}
}

func (r *run) step(name string, n int64) {
	if r.Step != nil {
		r.Step(name, n)
	}
}

func (r *run) done() {
	if r.Done != nil {
		r.Done()
	}
}

// damage tells what is damaged, or missing, from what could not be looked at.
func damage(err error) (why string, ok bool) {
	if fault.Is(err, fault.Corrupt) || fault.Is(err, fault.NotFound) {
		return err.Error(), true
	}
	return "", false
}

func (r *run) packs(ctx context.Context) error {
	all, err := r.Packs.Packs(ctx)
	if err != nil {
		return err
	}
	r.step("packs", int64(len(all)))
	for _, p := range all {
		if p.Where == pack.InMirror {
			// It is read from there, and not where it should be.
			r.differs("pack "+p.ID.String(), "", "it is in the mirror alone")
		}
		n, err := r.Packs.Check(ctx, p.ID)
		r.report.Records += int64(n)
		r.report.Packs++
		if why, ok := damage(err); ok {
			// A pack that was dropped from this machine, or sealed under another name, while it was looked at is listed elsewhere now.
			if fault.Is(err, fault.NotFound) && !r.listed(ctx, p.ID) {
				continue
			}
			r.differs("pack "+p.ID.String(), "", why)
		} else if err != nil {
			return err
		}
		r.done()
	}
	return r.mirror(ctx, all)
}

// mirror compares what the mirror has.
func (r *run) mirror(ctx context.Context, all []pack.PackInfo) error {
	if !r.Mirror {
		return nil
	}
	r.step("mirror", int64(len(all)))
	for _, p := range all {
		if p.Sealed {
			err := r.Packs.CheckMirror(ctx, p.ID)
			if why, ok := damage(err); ok {
				if fault.Is(err, fault.NotFound) {
					why = "it is not there yet"
				}
				r.differs("pack "+p.ID.String(), "mirror", why)
			} else if err != nil {
				return err
			} else {
				r.report.Mirrored++
			}
		}
		r.done()
	}
	return nil
}

func (r *run) listed(ctx context.Context, id pack.ID) bool {
	all, err := r.Packs.Packs(ctx)
	if err != nil {
		return true
	}
	for _, p := range all {
		if p.ID == id {
			return true
		}
	}
	return false
}

func (r *run) objects(ctx context.Context) error {
	r.step("objects", -1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan catalogue.Located)
	var wg sync.WaitGroup
	workers := r.Workers
	if workers <= 0 {
		workers = 2
	}
	for range workers {
		wg.Go(func() {
			for l := range work {
				if err := r.object(ctx, l); err != nil {
					cancel(err)
					return
				}
				r.done()
			}
		})
	}
	err := func() error {
		var after catalogue.InstanceID
		for {
			page, err := r.Catalogue.All(ctx, after, 1000)
			if err != nil || len(page) == 0 {
				return err
			}
			for _, l := range page {
				select {
				case work <- l:
				case <-ctx.Done():
					return nil
				}
			}
			after = page[len(page)-1].ID
		}
	}()
	close(work)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (r *run) object(ctx context.Context, l catalogue.Located) error {
	what := "object " + l.ID.String()
	where := fmt.Sprintf("pack %x at %d", l.Ref.Pack[:], l.Ref.Offset)
	s, err := r.Subjects.Get(ctx, l.Subject)
	if why, ok := damage(err); ok {
		r.differs(what, where, why)
		return nil
	} else if err != nil {
		return err
	}
	key, err := r.Ring.Get(ctx, keys.ID(s.Key))
	if fault.Is(err, fault.NotFound) && (s.IsWithdrawn() || l.State == policy.Withdrawn) {
		r.mu.Lock()
		r.report.Erased++
		r.mu.Unlock()
		return nil
	}
	if why, ok := damage(err); ok {
		r.differs(what, where, why)
		return nil
	} else if err != nil {
		return err
	}
	err = r.Packs.Verify(ctx, pack.Ref{Pack: pack.ID(l.Ref.Pack), Offset: l.Ref.Offset}, key)
	if why, ok := damage(err); ok {
		// It may have been given another record meanwhile; then it is that one that counts.
		if now, err := r.Catalogue.Instance(ctx, l.ID); err == nil && now.Ref != l.Ref {
			return r.object(ctx, now)
		} else if fault.Is(err, fault.NotFound) {
			return nil
		}
		r.differs(what, where, why)
		return nil
	} else if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Objects++
	r.report.Bytes += l.HeadSize + l.BulkSize
	return nil
}

func (r *run) log(ctx context.Context) error {
	r.step("audit log", 1)
	n, err := r.Audit.Verify(ctx, r.Signer)
	r.report.Audit = n
	if why, ok := damage(err); ok {
		r.differs("audit log", "", why)
		err = nil
	}
	r.done()
	return err
}
