// Package backup copies what a node keeps to another place while the node runs, and makes a node of it again.
//
//	report, err := backup.Run(ctx, backup.Parts{DB: d, Packs: packs, Ring: ring, To: to, Keys: apart, ...}, who, backup.Retention{Last: 7})
//	plan, err := backup.Open(ctx, backup.From{Place: to, Keys: apart, ...})
//
// It promises: a backup either has its manifest, and then everything that the manifest names was read back and found equal, or it is none; what was acknowledged before it began can be restored from
// it; packs are copied once; what is not encrypted where it lies is encrypted on its way. Keys go to a place of their own, and the newest of them serve every backup, so that what was erased since
// stays erased. Damage is copied as it is and named.
//
// What it does not do: it does not back up the master key, unfinished uploads, or packs of other nodes' folders. The format is in docs/formats/backup.md.
package backup

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/base/place"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/reidentification"
)

// Action and DrillAction are what the audit log calls a backup and the proof that it can be restored.
var Action = policy.BackUp.String()

// DrillAction is logged by the node whose backup it was.
const DrillAction = "restore a backup to prove it"

// Parts are what is backed up, and where to.
type Parts struct {
	DB       *db.DB // of the records
	Who      *db.DB // of the identities; PostgreSQL: the same
	KeyDB    *db.DB // of the keys; PostgreSQL: the same
	Ring     *keys.Ring
	Packs    *pack.Store
	Audit    *audit.Log
	To       *place.Place
	Keys     *place.Place
	Software string
	Log      *slog.Logger // nil: nothing is logged

	// Step is told of each part with the number of things in it, and Done of each thing; both may be nil.
	Step func(name string, n int64)
	Done func()
}

// Retention is what is kept of earlier backups.
type Retention struct {
	Last  int           // so many backups, this one included; 0: all
	Erase time.Duration // files of keys older than that go, but for the newest; 0: 30 days
}

// DefaultErase is within what time an erasure reaches the backups of keys.
const DefaultErase = 30 * 24 * time.Hour

// Report is what was done.
type Report struct {
	Backup  string    `json:"backup"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Objects int64     `json:"objects"`
	Packs   int       `json:"packs"`
	Bytes   int64     `json:"pack_bytes"`
	Copied  int64     `json:"copied_bytes"` // of packs, this time
	Kept    int       `json:"backups"`      // that are there now
	Removed int       `json:"removed"`      // backups that were kept long enough
	Missing []string  `json:"missing"`      // packs that the catalogue refers to and that are nowhere
	Damaged []string  `json:"damaged"`      // packs of which a record is not what was written
}

// leftOut are tables that are not backed up; docs/formats/backup.md says why.
var leftOut = []string{"upload", "upload_batch", "session", "sign_in_link", "sign_in_code", "directory_text", "directory_text_state", "node", "node_claim", "node_wanted"}

// exports says which tables are in which file.
func exports() map[string]db.Export {
	return map[string]db.Export{
		fileRecords:    {NotRooms: []string{keys.Room, reidentification.VaultRoom}, Except: slices.Concat(keys.Tables(), []string{reidentification.VaultTable}, leftOut)},
		fileIdentities: {Rooms: []string{reidentification.VaultRoom}, Tables: []string{reidentification.VaultTable}},
		fileKeys:       {Rooms: []string{keys.Room}, Tables: keys.Tables()},
	}
}

const fileKeys = "keys"

func mayBackUp(who admin.Caller) error {
	if d := policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.BackUp}); !d.Allow {
		return fault.New(fault.Denied, policy.BackUp.String(), "the node", d.Reasons[0])
	}
	return nil
}

// Run makes a backup. Nobody else makes one of this node at the same time: the caller holds a lock.
func Run(ctx context.Context, p Parts, who admin.Caller, keep Retention) (*Report, error) {
	if err := mayBackUp(who); err != nil {
		return nil, err
	}
	if p.To.Same(p.Keys) {
		return nil, fault.New(fault.Invalid, "back up", "", "keys go to a place of their own: in one place with what they lock, who has the place and the master key has everything, and an erasure would not be one")
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	r := &run{Parts: p, began: time.Now().UTC()}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	if err := r.copyAll(ctx); err != nil {
		return nil, err
	}
	m := r.m
	r.report = Report{Backup: m.Backup, Began: m.Began, Ended: m.Ended, Objects: m.Total(), Packs: len(m.Packs), Bytes: m.Bytes(), Copied: r.copied, Missing: m.Missing, Damaged: m.Damaged}
	var err error
	if r.report.Kept, r.report.Removed, err = prune(ctx, p, keep); err != nil {
		return nil, err
	}
	err = p.DB.Write(ctx, func(tx *db.Tx) error {
		return p.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: Action, Object: "backup " + m.Backup, Outcome: r.report.outcome()})
	})
	return &r.report, err
}

func (r *Report) outcome() string {
	if len(r.Missing)+len(r.Damaged) == 0 {
		return "done"
	}
	return fmt.Sprintf("done, but %d packs were missing and %d damaged", len(r.Missing), len(r.Damaged))
}

type run struct {
	Parts
	began  time.Time
	m      *Manifest
	known  map[string]Pack   // sealed packs of earlier backups
	hurt   map[string]bool   // of these, what was damaged in the newest one
	parts  map[string][]Part // pieces of packs of the newest one
	there  map[string]int64  // sizes of files of packs in the place
	copied int64
	report Report

	collections map[string]bool
	referred    map[pack.ID]bool // packs that an object lies in
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

// prepare looks at what is there already.
func (r *run) prepare(ctx context.Context) error {
	for _, p := range []*place.Place{r.To, r.Keys} {
		if err := p.Tidy(); err != nil {
			return err
		}
	}
	whole, begun, err := backups(ctx, r.To)
	if err != nil {
		return err
	}
	keyed, err := keyFiles(ctx, r.Keys)
	if err != nil {
		return err
	}
	r.known, r.hurt, r.parts, r.there = map[string]Pack{}, map[string]bool{}, map[string][]Part{}, map[string]int64{}
	for i, name := range whole {
		m, err := readManifest(ctx, r.To, r.Ring.Root(), name)
		if fault.Is(err, fault.Corrupt) {
			return fault.New(fault.Denied, "back up", "backup "+name,
				"its manifest is damaged, or of another node: each node needs a place of its own; what is damaged has to be taken away by hand")
		}
		if err != nil {
			return err
		}
		for _, p := range m.Packs {
			if p.Sealed {
				r.known[p.ID] = p
			} else if i == len(whole)-1 {
				r.parts[p.ID] = p.Parts
			}
		}
		for _, id := range m.Damaged {
			r.hurt[id] = i == len(whole)-1 // a later copy may be a good one
		}
	}
	for _, prefix := range []string{"packs/", "parts/"} {
		all, err := r.To.List(ctx, prefix)
		if err != nil {
			return err
		}
		for _, e := range all {
			r.there[e.Name] = e.Size
		}
	}
	r.m = &Manifest{Version: 1, Backup: newName(r.began, slices.Concat(begun, keyed)), Began: r.began, Software: r.Software, Files: map[string]File{}, Missing: []string{}, Damaged: []string{}}
	return nil
}

// rounds is how often a backup begins anew because collections were made meanwhile.
const rounds = 10

// copyAll copies in the order that docs/formats/backup.md gives reasons for.
func (r *run) copyAll(ctx context.Context) error {
	for round := 1; ; round++ {
		if err := r.records(ctx); err != nil {
			return err
		}
		if err := r.packs(ctx); err != nil {
			return err
		}
		same, err := r.sameCollections(ctx)
		if err != nil {
			return err
		}
		if same {
			break
		}
		if round == rounds {
			return fault.New(fault.Unavailable, "back up", "", "collections are being made all the time: try again when that has ended")
		}
	}
	f, err := r.tables(ctx, r.Who, fileIdentities, nil)
	if err != nil {
		return err
	}
	r.m.Files[fileIdentities] = f
	if err := r.keys(ctx); err != nil {
		return err
	}
	r.m.Ended = time.Now().UTC()
	return writeManifest(ctx, r.To, r.Ring.Root(), r.m)
}

// piped puts what write writes.
func piped(ctx context.Context, to *place.Place, name string, write func(io.Writer) error) (place.Sum, error) {
	pr, pw := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		pw.CloseWithError(write(pw))
	}()
	sum, err := to.Put(ctx, name, pr)
	pr.CloseWithError(io.ErrClosedPipe) // the writer ends, whatever ended the reader
	<-ended
	return sum, err
}

// tables writes a file of tables, compressed and sealed.
func (r *run) tables(ctx context.Context, d *db.DB, file string, row func(string, []string, []any) error) (File, error) {
	r.step(file, -1)
	x := exports()[file]
	x.Row = row
	var w db.Written
	name := fileOf(r.m.Backup, file)
	sum, err := piped(ctx, r.To, name, func(out io.Writer) error {
		s, err := newSealer(out, r.Ring.Root().Derive(purpose), name)
		if err != nil {
			return err
		}
		z, err := gzip.NewWriterLevel(s, gzip.BestSpeed)
		if err != nil {
			return err
		}
		if w, err = d.WriteTables(ctx, z, x); err != nil {
			return err
		}
		return errors.Join(z.Close(), s.Close())
	})
	r.done()
	return File{Size: sum.Size, SHA256: Digest(sum.SHA256), Rows: w.Rows}, err
}

func (r *run) records(ctx context.Context) error {
	r.collections, r.referred, r.m.Objects = map[string]bool{}, map[pack.ID]bool{}, map[string]int64{}
	var state, in, id int
	table := ""
	f, err := r.tables(ctx, r.DB, fileRecords, func(name string, columns []string, values []any) error {
		if name != table {
			table = name
			state, in, id = slices.Index(columns, "state"), slices.Index(columns, "pack"), slices.Index(columns, "id")
		}
		switch name {
		case "instance":
			n, _ := values[state].(int64)
			r.m.Objects[strconv.FormatInt(n, 10)]++
			if b, ok := values[in].([]byte); ok && len(b) == len(pack.ID{}) {
				r.referred[pack.ID(b)] = true
			}
		case "collection":
			s, _ := values[id].(string)
			r.collections[s] = true
		}
		return nil
	})
	r.m.Files[fileRecords] = f
	return err
}

// sameCollections reports whether the collections are still those of the records.
func (r *run) sameCollections(ctx context.Context) (bool, error) {
	rows, err := r.DB.Query(ctx, `SELECT id FROM collection`)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return false, db.Fault("read collections", err)
		}
		if !r.collections[id] {
			return false, nil
		}
	}
	return true, db.Fault("read collections", rows.Err())
}

func (r *run) packs(ctx context.Context) error {
	all, err := r.Packs.Packs(ctx)
	if err != nil {
		return err
	}
	r.step("packs", int64(len(all)))
	have := map[string]Pack{}
	damaged := map[string]bool{}
	for _, info := range all {
		p, hurt, err := r.pack(ctx, info.ID)
		if fault.Is(err, fault.NotFound) && !r.listed(ctx, info.ID) {
			continue // it held nothing, and went when its writer closed
		}
		if err != nil {
			return err
		}
		if p.Size > 0 {
			have[p.ID] = p
			r.remember(p)
		}
		if hurt {
			damaged[p.ID] = true
		}
		r.done()
	}
	r.m.Missing = []string{}
	for id := range r.referred {
		name := id.String()
		if _, ok := have[name]; ok {
			continue
		}
		if p, ok := r.known[name]; ok && r.there[packFile(name)] == p.Size {
			have[name] = p // lost here, and not in the place
			continue
		}
		r.m.Missing = append(r.m.Missing, name)
	}
	slices.Sort(r.m.Missing)
	r.m.Damaged = append([]string{}, slices.Sorted(maps.Keys(damaged))...)
	r.m.Packs = nil
	for _, id := range slices.Sorted(maps.Keys(have)) {
		r.m.Packs = append(r.m.Packs, have[id])
	}
	return nil
}

// remember remembers what was copied for the next round.
func (r *run) remember(p Pack) {
	if p.Sealed {
		r.known[p.ID] = p
	} else {
		r.parts[p.ID] = p.Parts
	}
}

func (r *run) listed(ctx context.Context, id pack.ID) bool {
	all, err := r.Packs.Packs(ctx)
	return err != nil || slices.ContainsFunc(all, func(p pack.PackInfo) bool { return p.ID == id })
}

// pack copies what is new of a pack. One that is empty has no size.
func (r *run) pack(ctx context.Context, id pack.ID) (p Pack, damaged bool, err error) {
	name := id.String()
	p.ID = name
	if k, ok := r.known[name]; ok && !r.hurt[name] && r.there[packFile(name)] == k.Size {
		return k, false, nil
	}
	var parts []Part
	from := int64(0)
	for _, part := range r.parts[name] {
		if size, ok := r.there[partFile(name, part)]; !ok || size != part.To-part.From {
			break
		}
		parts, from = append(parts, part), part.To
	}
	x, err := r.Packs.Extent(ctx, id, from)
	if err != nil {
		return p, false, err
	}
	if x.Damaged {
		r.Log.Error("a pack is damaged; it is backed up as it is", "pack", name)
	}
	if x.Sealed {
		sum, err := r.put(ctx, packFile(name), id, 0, x.End)
		return Pack{ID: name, Sealed: true, Size: x.End, SHA256: Digest(sum), Records: x.Records}, x.Damaged, err
	}
	if x.End > from && x.Records > 0 {
		part := Part{From: from, To: x.End, Records: x.Records}
		sum, err := r.put(ctx, partFile(name, part), id, from, x.End)
		if err != nil {
			return p, false, err
		}
		part.SHA256 = Digest(sum)
		parts = append(parts, part)
	}
	for _, part := range parts {
		p.Size = part.To
		p.Records += part.Records
	}
	p.Parts = parts
	return p, x.Damaged, nil
}

// put copies bytes of a pack, unless the same are there already from a backup that did not end.
func (r *run) put(ctx context.Context, name string, id pack.ID, from, to int64) (sum [32]byte, err error) {
	if size, ok := r.there[name]; ok && size == to-from {
		src, err := r.Packs.Raw(ctx, id, from, to-from)
		if err != nil {
			return sum, err
		}
		h := sha256.New()
		_, err = io.Copy(h, src)
		src.Close()
		if err != nil {
			return sum, fault.Wrap(fault.Unavailable, "read pack", id.String(), err)
		}
		there, err := r.To.Sum(ctx, name)
		if err == nil && hex.EncodeToString(there.SHA256[:]) == hex.EncodeToString(h.Sum(nil)) {
			return there.SHA256, nil
		}
	}
	src, err := r.Packs.Raw(ctx, id, from, to-from)
	if err != nil {
		return sum, err
	}
	defer src.Close()
	put, err := r.To.Put(ctx, name, src)
	if err == nil && put.Size != to-from {
		err = errors.Join(fault.New(fault.Unavailable, "read pack", id.String(), "it is shorter than it was"), r.To.Remove(ctx, name))
	}
	if err != nil {
		return sum, err
	}
	r.there[name] = put.Size
	r.copied += put.Size
	return put.SHA256, nil
}

func (r *run) keys(ctx context.Context) error {
	r.step("keys", -1)
	var w db.Written
	sum, err := piped(ctx, r.Keys, keysOf(r.m.Backup), func(out io.Writer) (err error) {
		w, err = r.KeyDB.WriteTables(ctx, out, exports()[fileKeys])
		return err
	})
	r.m.Keys = File{Size: sum.Size, SHA256: Digest(sum.SHA256), Rows: w.Rows}
	r.done()
	return err
}
