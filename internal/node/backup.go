package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/place"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/backup"
	"github.com/vitrine-imaging/vitrine/internal/flow/verify"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// Places are where backups lie: folders, or buckets as gocloud.dev/blob names them. The keys are apart.
type Places struct {
	To   string
	Keys string
}

// Watch is told how far something long has come. Both may be nil.
type Watch struct {
	Step func(name string, n int64) // a part begins, with so many things in it; -1: not known
	Done func()                     // of one
}

// open opens both. Neither may lie in the other, nor in the data folder.
func (p Places) open(ctx context.Context, data string) (to, apart *place.Place, err error) {
	if p.To == "" || p.Keys == "" {
		return nil, nil, fault.New(fault.Invalid, "open backup", "", "name two places: one for what is kept, and another for its keys")
	}
	for _, pair := range [][2]string{{p.To, data}, {p.Keys, data}, {data, p.To}, {data, p.Keys}, {p.Keys, p.To}, {p.To, p.Keys}} {
		if pair[0] == "" || pair[1] == "" || place.IsURL(pair[0]) || place.IsURL(pair[1]) {
			continue
		}
		if inside(pair[0], pair[1]) {
			return nil, nil, fault.New(fault.Invalid, "open backup", "", "the data folder, the place of the backup and that of the keys lie apart: none of them in another, and better on different machines")
		}
	}
	if to, err = place.Open(ctx, p.To); err != nil {
		return nil, nil, err
	}
	if apart, err = place.Open(ctx, p.Keys); err != nil {
		return nil, nil, errors.Join(err, to.Close())
	}
	return to, apart, nil
}

// inside reports whether a path lies in a folder, or is it. Neither need exist.
func inside(path, folder string) bool {
	p, f := whole(path), whole(folder)
	rel, err := filepath.Rel(f, p)
	return err == nil && (rel == "." || filepath.IsLocal(rel))
}

// whole is a path without links, as far as it exists.
func whole(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return filepath.Clean(path)
	}
	rest := ""
	for p := abs; ; p = filepath.Dir(p) {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			return filepath.Join(real, rest)
		}
		if p == filepath.Dir(p) {
			return abs
		}
		rest = filepath.Join(filepath.Base(p), rest)
	}
}

// lockFile holds a lock of the kernel's on a file, made if it is absent; it ends with the process.
func lockFile(path, busy string) (hold, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "lock", "", "the data folder cannot be written to")
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return hold{f}, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fault.New(fault.Conflict, "lock", "", busy)
	}
	return nil, fault.Wrap(fault.Unavailable, "lock", "", err)
}

// withBackup opens a node's stores and places for as long as use takes, alone among those who make or remove backups of it.
func withBackup(ctx context.Context, cfg Config, at Places, w Watch, use func(backup.Parts) error) (err error) {
	if cfg.Data == "" {
		return fault.New(fault.Invalid, "open backup", "", "name the data folder: its packs are what is backed up")
	}
	to, apart, err := at.open(ctx, cfg.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close(), apart.Close()) }()
	lock, err := lockFile(filepath.Join(cfg.Data, "backup.lock"), "another backup of this node is being made")
	if err != nil {
		return err
	}
	defer lock.release()
	cfg.ReadOnly = true
	s, err := OpenStores(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p := backup.Parts{DB: s.DB, Who: s.whoDB, KeyDB: s.ringDB, Ring: s.Ring, Packs: s.Packs, Audit: s.Audit, To: to, Keys: apart, Software: cfg.Version, Log: cfg.Log, Step: w.Step, Done: w.Done}
	if cfg.Database != "" {
		p.Who, p.KeyDB = s.DB, s.DB
	}
	return use(p)
}

// BackUp copies what the node keeps, while it runs.
func BackUp(ctx context.Context, cfg Config, at Places, who admin.Caller, keep backup.Retention, w Watch) (r *backup.Report, err error) {
	err = withBackup(ctx, cfg, at, w, func(p backup.Parts) error {
		r, err = backup.Run(ctx, p, who, keep)
		return err
	})
	return r, err
}

// PruneBackups removes backups that were kept long enough.
func PruneBackups(ctx context.Context, cfg Config, at Places, who admin.Caller, keep backup.Retention) (kept, removed int, err error) {
	err = withBackup(ctx, cfg, at, Watch{}, func(p backup.Parts) error {
		kept, removed, err = backup.Prune(ctx, p, who, keep)
		return err
	})
	return kept, removed, err
}

// ListBackups lists the backups of a place.
func ListBackups(ctx context.Context, cfg Config, at Places, who admin.Caller) (all []backup.Listed, err error) {
	err = withBackup(ctx, cfg, at, Watch{}, func(p backup.Parts) error {
		all, err = backup.List(ctx, p, who)
		return err
	})
	return all, err
}

// Restored is what a restore brought.
type Restored struct {
	Manifest *backup.Manifest
	Erased   int // subjects that were withdrawn or erased after the backup
}

// Restore makes a node again in an empty folder, cfg.Data, of a backup: the newest, if none is named. The same call again goes on where an interrupted one was.
func Restore(ctx context.Context, cfg Config, from Places, name string, who admin.Caller, w Watch) (_ *Restored, err error) {
	if cfg.Data == "" {
		return nil, fault.New(fault.Invalid, "restore", "", "name the folder to restore into")
	}
	to, apart, err := from.open(ctx, cfg.Data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, to.Close(), apart.Close()) }()
	_, serr := os.Stat(cfg.Data)
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fault.New(fault.Unavailable, "restore", "the data folder", "it cannot be made")
	}
	if errors.Is(serr, os.ErrNotExist) {
		defer func() {
			if err != nil {
				_ = os.Remove(cfg.Data) // where nothing has come there
			}
		}()
	}
	f, err := os.Open(cfg.Data)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "restore", "the data folder", "it cannot be read")
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fault.New(fault.Invalid, "restore", "the data folder", "a node serves from it, or it is being restored already")
	}
	m, err := backup.Restore(ctx, backup.Source{From: to, Keys: apart, Backup: name, Dir: cfg.Data, Database: cfg.Database, Master: cfg.KeyPlace(), Log: cfg.Log, Step: w.Step, Done: w.Done})
	if err != nil {
		return nil, err
	}
	cfg.restoring, cfg.Bucket, cfg.Mirror = true, "", ""
	s, err := OpenStores(ctx, cfg, nil)
	if err != nil {
		return nil, err
	}
	r := &Restored{Manifest: m}
	desk, err := s.Consent(ctx, nil, cfg.Log)
	if err == nil {
		r.Erased, err = backup.Settle(ctx, backup.Node{DB: s.DB, Ring: s.Ring, Audit: s.Audit, Subjects: s.Subjects, Withdraw: desk.Restored}, m, who.Actor)
	}
	if err = errors.Join(err, s.DB.Sync(), s.Close()); err != nil {
		return nil, err
	}
	return r, backup.Finish(cfg.Data)
}

// Drilled is what a drill found.
type Drilled struct {
	Backup      string              `json:"backup"`
	Objects     int64               `json:"objects"` // that the backup says there are
	Compared    int64               `json:"compared"`
	Erased      int64               `json:"erased"`
	Records     int64               `json:"records"`
	Bytes       int64               `json:"bytes"`
	Took        float64             `json:"seconds"`
	Differences []verify.Difference `json:"differences"`
	Why         []string            `json:"why"` // what is not as it should be, besides
}

// Good reports whether the backup was proven to be one.
func (d *Drilled) Good() bool { return len(d.Differences)+len(d.Why) == 0 }

const drillPrefix = "vitrine-drill-"

// Drill restores a backup into a temporary folder within scratch, starts a node there on a port of its own, verifies everything against the manifest and against the keyed digests of what was stored, and removes it.
// The outcome is noted in the audit log of the node whose backup it is.
func Drill(ctx context.Context, cfg Config, from Places, name, scratch string, who admin.Caller, w Watch) (_ *Drilled, err error) {
	if d := policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.BackUp}); !d.Allow {
		return nil, fault.New(fault.Denied, backup.DrillAction, "", d.Reasons[0])
	}
	begun := time.Now()
	if err := sweepDrills(scratch); err != nil {
		return nil, err
	}
	top, err := os.MkdirTemp(scratch, drillPrefix)
	if err != nil {
		return nil, fault.New(fault.Unavailable, backup.DrillAction, "", "no temporary folder can be made")
	}
	defer func() {
		if rerr := os.RemoveAll(top); rerr != nil {
			err = errors.Join(err, fault.New(fault.Unavailable, backup.DrillAction, "", "the temporary folder cannot be removed: "+filepath.Base(top)))
		}
	}()
	inUse, err := lockFile(filepath.Join(top, "lock"), "")
	if err != nil {
		return nil, err
	}
	defer inUse.release()
	d := &Drilled{Differences: []verify.Difference{}, Why: []string{}}
	there := Config{Data: filepath.Join(top, "node"), Key: cfg.Key, Sealed: cfg.Sealed, Version: cfg.Version, Log: cfg.Log, HTTP: "127.0.0.1:0", still: true}
	if p := cfg.KeyPlace(); there.Key == "" {
		there.Key = p.File
	} else if p.Keeper != "" {
		there.Sealed = p.File
	}
	r, err := Restore(ctx, there, from, name, who, w)
	switch {
	case fault.Is(err, fault.Corrupt):
		d.Backup, d.Why = name, append(d.Why, err.Error())
	case err != nil:
		return nil, err
	default:
		m := r.Manifest
		d.Backup, d.Objects = m.Backup, m.Total()
		if n := len(m.Missing); n > 0 {
			d.Why = append(d.Why, fmt.Sprintf("%d packs were missing when the backup was made", n))
		}
		if n := len(m.Damaged); n > 0 {
			d.Why = append(d.Why, fmt.Sprintf("%d packs were damaged when the backup was made", n))
		}
		if err := d.serve(ctx, there, m, who, w); err != nil {
			return nil, err
		}
	}
	d.Took = time.Since(begun).Seconds()
	return d, d.note(ctx, cfg, who)
}

// serve runs the restored node and asks it.
func (d *Drilled) serve(ctx context.Context, cfg Config, m *backup.Manifest, who admin.Caller, w Watch) error {
	n, err := New(ctx, cfg)
	if err != nil {
		d.Why = append(d.Why, "the restored node does not start: "+err.Error())
		return nil
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- n.Run(running) }()
	report, err := d.ask(ctx, n, who, w)
	stop()
	if err = errors.Join(err, <-ended); err != nil {
		return err
	}
	d.Compared, d.Erased, d.Records, d.Bytes, d.Differences = report.Objects, report.Erased, report.Records, report.Bytes, report.Differences
	if d.Compared+d.Erased+int64(len(d.Differences)) < d.Objects {
		d.Why = append(d.Why, fmt.Sprintf("the restored node has %d objects, the backup says %d", d.Compared+d.Erased, d.Objects))
	}
	var records int64
	for _, p := range m.Packs {
		records += p.Records
	}
	if d.Records < records {
		d.Why = append(d.Why, fmt.Sprintf("the restored packs have %d records, the backup says %d", d.Records, records))
	}
	return nil
}

func (d *Drilled) ask(ctx context.Context, n *Node, who admin.Caller, w Watch) (*verify.Report, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+"/readyz", nil)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, backup.DrillAction, "", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	answer, err := client.Do(req)
	if err != nil {
		d.Why = append(d.Why, "the restored node does not answer")
	} else {
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			d.Why = append(d.Why, "the restored node says that it is not ready")
		}
	}
	parts, err := n.Stores.Verify()
	if err != nil {
		return nil, err
	}
	parts.Step, parts.Done = w.Step, w.Done
	return verify.Run(ctx, parts, who)
}

// note logs the outcome with the node whose backup it is.
func (d *Drilled) note(ctx context.Context, cfg Config, who admin.Caller) error {
	if cfg.Data == "" && cfg.Database == "" {
		return nil
	}
	r, err := OpenRecords(ctx, cfg)
	if err != nil {
		return err
	}
	outcome := "done"
	if !d.Good() {
		outcome = fmt.Sprintf("%d differences", len(d.Differences)+len(d.Why))
	}
	err = r.DB.Write(ctx, func(tx *db.Tx) error {
		return r.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: backup.DrillAction, Object: strings.TrimSpace("backup " + d.Backup), Outcome: outcome})
	})
	return errors.Join(err, r.DB.Sync(), r.Close())
}

// sweepDrills removes what drills that were killed have left: it holds copies of keys.
func sweepDrills(scratch string) error {
	if scratch == "" {
		scratch = os.TempDir()
	}
	left, err := filepath.Glob(filepath.Join(scratch, drillPrefix+"*"))
	if err != nil {
		return fault.New(fault.Invalid, backup.DrillAction, "", "the folder for drills has a name that cannot be used")
	}
	for _, dir := range left {
		f, err := os.Open(filepath.Join(dir, "lock"))
		if err == nil {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
			f.Close()
		}
		if err == nil {
			_ = os.RemoveAll(dir)
		}
	}
	return nil
}
