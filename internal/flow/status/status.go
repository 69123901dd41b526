// Package status says how the parts of a node are, and what to do where one is not well.
//
// It promises: each part has a line of its own, also where asking it failed; a line names no patient, no person and no secret; what is not known is called
// unknown and not well. To everybody it says whether the node works, and nothing more. Policy decides inside the call.
//
//	r, err := desk.Report(ctx, who)
//	for _, l := range r.Lines { ... }
//
// It mends nothing. The long work of recomputing the audit log is a job ([Desk.CheckLog]).
package status

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/forwarding"
)

// State is how a part is.
type State string

// The states. Watch is not broken, and somebody should look.
const (
	Well  State = "well"
	Watch State = "watch"
	Bad   State = "bad"
)

func worse(a, b State) State {
	if a == Bad || b == Bad {
		return Bad
	}
	if a == Watch || b == Watch {
		return Watch
	}
	return Well
}

// Line is one part.
type Line struct {
	Part  string `json:"part"`
	Name  string `json:"name"`
	State State  `json:"state"`
	Says  string `json:"says"`
	Do    string `json:"do,omitempty"`   // what to do
	Where string `json:"page,omitempty"` // the page of the portal to do it on
}

// Hour is what came within one.
type Hour struct {
	From     time.Time `json:"from"`
	Received int64     `json:"received"`
}

// Report is how the node is.
type Report struct {
	State   State     `json:"state"`
	At      time.Time `json:"at"`
	Version string    `json:"version"`
	Since   time.Time `json:"running_since"`
	Lines   []Line    `json:"parts"`
	Hours   []Hour    `json:"hours"` // of the last day, the oldest first
	Came    int64     `json:"received_in_a_day"`
	Storage Storage   `json:"storage"`
}

// Storage is what is used and free.
type Storage struct {
	Packs     int   `json:"packs"`
	PackBytes int64 `json:"pack_bytes"` // on this machine
	Remote    int   `json:"packs_in_bucket"`
	Database  int64 `json:"database_bytes"`
	Disk      int64 `json:"disk_bytes"` // 0: not known
	Free      int64 `json:"free_bytes"`
}

// Facts are what the node knows of itself.
type Facts struct {
	Version     string
	Since       time.Time
	HTTP        string // addresses; empty: off
	DICOM       string
	SFTP        string
	PublicURL   string
	Certificate time.Time // when it ends; zero: there is none
	Exposed     bool      // some listener is open to other machines
	Bucket      bool
	Mirror      bool
	KeyInside   bool   // the master key lies in the data folder
	Reads       bool   // the pixels of what comes are read
	Readers     string // what reads pixels for text, with versions; empty: nothing does
}

// Parts are what is asked.
type Parts struct {
	DB          *db.DB
	Ring        *keys.Ring
	Packs       *pack.Store
	Audit       *audit.Log
	Signer      *audit.Signer
	Jobs        *jobs.Queue
	Forwarding  *forwarding.Record // nil: nothing is said of it
	Catalogue   *catalogue.Record
	Collections *collection.Record
	// Questions counts those that wait, and says since when the oldest does.
	Questions func(ctx context.Context) (int64, time.Time, error)
	// Gateway is how what is sent to a node stands; nil: this is no gateway.
	Gateway func(ctx context.Context) (*Gateway, error)
	// Room is how much of the disk of the data is free, and how much there is.
	Room  func() (free, total int64, err error)
	Facts func() Facts
}

// Desk is where one asks. It is safe for use by many goroutines.
type Desk struct {
	Parts
	mu    sync.Mutex
	kept  *Report
	until time.Time
	now   func() time.Time // nil: time.Now

	measuring     sync.Mutex
	measured      *Measures
	measuredUntil time.Time
}

// New makes the desk.
func New(p Parts) *Desk { return &Desk{Parts: p} }

// keepFor is how old a report may be: a page that many watch asks the parts once.
const keepFor = 3 * time.Second

func (d *Desk) clock() time.Time {
	if d.now != nil {
		return d.now()
	}
	return time.Now()
}

// May reports whether the caller sees the whole status: an administrator, or a steward of any collection.
func May(who admin.Caller) bool {
	may := policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.SeeStatus}).Allow
	for _, g := range who.Grants {
		may = may || policy.Decide(policy.Facts{Grants: []policy.Grant{g}, Action: policy.SeeStatus, Collection: g.Collection}).Allow
	}
	return may
}

func (d *Desk) allowed(ctx context.Context, who admin.Caller, action policy.Action, object string) error {
	decision := policy.Decide(policy.Facts{Grants: who.Grants, Action: action})
	if decision.Allow || action == policy.SeeStatus && May(who) {
		return nil
	}
	if who.Actor != "" {
		err := d.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: action.String(), Object: object, Outcome: "denied"})
			return err
		})
		if err != nil {
			return err
		}
	}
	return fault.New(fault.Denied, action.String(), object, strings.Join(decision.Reasons, "; "))
}

// Up says whether the node works: for everybody, without a word of how.
func (d *Desk) Up(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if _, err := d.Audit.Size(ctx); err != nil {
		return false
	}
	_, err := d.Ring.Collection(ctx, string(collection.Default))
	return err == nil
}

// Report asks every part.
func (d *Desk) Report(ctx context.Context, who admin.Caller) (*Report, error) {
	if err := d.allowed(ctx, who, policy.SeeStatus, "the node"); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept != nil && d.clock().Before(d.until) {
		return d.kept, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	f := d.Facts()
	r := &Report{State: Well, At: d.clock().UTC(), Version: f.Version, Since: f.Since.UTC()}
	a := &asking{Desk: d, r: r, f: f}
	for _, part := range []func(context.Context) []Line{a.database, a.packs, a.disk, a.keys, a.mirror, a.second, a.jobs, a.forwarding, a.intake, a.gateway, a.reading, a.log, a.verification, a.backups, a.drills, a.certificate, a.listeners, a.questions} {
		r.Lines = append(r.Lines, part(ctx)...)
	}
	for _, l := range r.Lines {
		r.State = worse(r.State, l.State)
	}
	if ctx.Err() == nil {
		d.kept, d.until = r, d.clock().Add(keepFor)
	}
	return r, nil
}

// CheckKind is the kind of the job that recomputes the audit log.
const CheckKind = "check audit log"

// checkAction is what the log calls it.
const checkAction = "verify the audit log"

// CheckLog asks for the audit log to be recomputed. It takes a while; [Desk.Checked] says what came of it.
func (d *Desk) CheckLog(ctx context.Context, who admin.Caller) error {
	if err := d.allowed(ctx, who, policy.Verify, "the audit log"); err != nil {
		return err
	}
	return d.DB.Write(ctx, func(tx *db.Tx) error { return d.Jobs.Add(tx, CheckKind, "log", []byte(who.Actor), d.clock()) })
}

// Handlers do the jobs.
func (d *Desk) Handlers() map[string]jobs.Handler {
	return map[string]jobs.Handler{CheckKind: func(ctx context.Context, _ string, actor []byte) error {
		n, err := d.Audit.Verify(ctx, d.Signer)
		if err == nil {
			_, err = d.Audit.Checkpoint(ctx, d.Signer)
		}
		outcome := "done"
		if fault.Is(err, fault.Corrupt) {
			outcome = "a difference was found"
			if f, ok := errors.AsType[*fault.Error](err); ok && f.Object != "" {
				outcome += " at " + f.Object // the number of an entry, a hash or a checkpoint
			}
		} else if err != nil {
			return err
		}
		return d.DB.Write(ctx, func(tx *db.Tx) error {
			return d.Audit.Append(tx, audit.Entry{Actor: string(actor), Action: checkAction, Object: "the first " + plural(n, "entry", "entries"), Outcome: outcome})
		})
	}}
}

// Check is the last recomputation of the audit log.
type Check struct {
	Running bool      // one is asked for
	At      time.Time // zero: none is known
	Says    string
	Good    bool
	By      string
	Signed  audit.Signed // the last checkpoint
	Public  string       // the key that it is verified with
}

// Checked says what came of recomputing the audit log, for who may read it.
func (d *Desk) Checked(ctx context.Context, who admin.Caller) (Check, error) {
	var c Check
	if err := d.allowed(ctx, who, policy.ReadAudit, "the audit log"); err != nil {
		return c, err
	}
	all, err := d.Jobs.Overview(ctx)
	if err != nil {
		return c, err
	}
	for _, k := range all {
		c.Running = c.Running || k.Name == CheckKind && k.Waiting+k.Running > 0
	}
	g, ok, err := d.Audit.Latest(ctx, checkAction, among)
	if err != nil {
		return c, err
	}
	if ok {
		c.At, c.Good, c.By, c.Says = g.At, g.Outcome == "done", g.Actor, g.Object+": "+g.Outcome
		if c.Good {
			c.Says = g.Object + " were recomputed and are as they were logged"
		}
	}
	if c.Signed, _, err = d.Audit.LastSigned(ctx); err != nil {
		return c, err
	}
	if d.Signer != nil {
		c.Public = d.Signer.Public()
	}
	return c, nil
}

// MayCheck reports whether the caller may have the audit log recomputed.
func MayCheck(who admin.Caller) bool {
	return policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.Verify}).Allow
}
