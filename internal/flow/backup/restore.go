package backup

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/durable"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/base/place"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/forward"
	"github.com/vitrine-imaging/vitrine/internal/record/forwarding"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/nodes"
	"github.com/vitrine-imaging/vitrine/internal/record/notice"
	"github.com/vitrine-imaging/vitrine/internal/record/person"
	"github.com/vitrine-imaging/vitrine/internal/record/proof"
	"github.com/vitrine-imaging/vitrine/internal/record/pull"
	"github.com/vitrine-imaging/vitrine/internal/record/question"
	"github.com/vitrine-imaging/vitrine/internal/record/recall"
	"github.com/vitrine-imaging/vitrine/internal/record/reidentification"
	"github.com/vitrine-imaging/vitrine/internal/record/release"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
	"github.com/vitrine-imaging/vitrine/internal/record/upload"
)

// Marker is the file that a folder holds while it is being restored. No node starts on such a folder.
const Marker = "restore-unfinished"

// Source is what a node is made of again, and where.
type Source struct {
	From     *place.Place
	Keys     *place.Place
	Backup   string     // which; empty: the newest
	Dir      string     // an empty folder, or one in which the restoring of the same backup has not ended
	Database string     // postgres://..., empty; "": SQLite in Dir
	Master   keys.Place // the master key that the newest file of keys is wrapped by
	Log      *slog.Logger

	Step func(name string, n int64)
	Done func()
}

const attempt = "restore"

// Restore brings everything into the folder and the database. The node is not whole before [Settle] and [Finish].
func Restore(ctx context.Context, s Source) (*Manifest, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	r := &restore{Source: s}
	fresh, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	m, err := r.keys(ctx)
	if err != nil {
		if fresh { // nothing but keys has come: the folder is as it was
			err = errors.Join(err, r.undo(ctx))
		}
		return nil, err
	}
	r.m = m
	if err := r.packs(ctx); err != nil {
		return nil, err
	}
	if err := r.tables(ctx, fileIdentities, "identities.db"); err != nil {
		return nil, err
	}
	return m, r.tables(ctx, fileRecords, "catalogue.db")
}

type restore struct {
	Source
	m     *Manifest
	root  *keys.Root
	keyed string // the file of keys
}

func (r *restore) step(name string, n int64) {
	if r.Step != nil {
		r.Step(name, n)
	}
}

func (r *restore) done() {
	if r.Done != nil {
		r.Done()
	}
}

// into names the database, so that a restore goes on where it began.
func (r *restore) into() string {
	if r.Database == "" {
		return "sqlite"
	}
	sum := sha256.Sum256([]byte(r.Database))
	return "postgresql " + hex.EncodeToString(sum[:8])
}

// begin chooses the backup and marks the folder. It reports whether nothing was there.
func (r *restore) begin(ctx context.Context) (fresh bool, err error) {
	if r.From.Same(r.Keys) {
		return false, fault.New(fault.Invalid, attempt, "", "the place of the backup and that of the keys are one; keys are backed up apart")
	}
	whole, _, err := backups(ctx, r.From)
	if err != nil {
		return false, err
	}
	keyed, err := keyFiles(ctx, r.Keys)
	if err != nil {
		return false, err
	}
	if len(whole) == 0 {
		return false, fault.New(fault.NotFound, attempt, "", "there is no whole backup in that place")
	}
	marked, err := os.ReadFile(filepath.Join(r.Dir, Marker))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fresh = true
	case err != nil:
		return false, fault.New(fault.Unavailable, attempt, "the data folder", "it cannot be read")
	}
	if !fresh {
		backup, into, _ := strings.Cut(strings.TrimSpace(string(marked)), "\n")
		if r.Backup == "" {
			r.Backup = backup
		}
		if r.Backup != backup || into != r.into() {
			return false, fault.New(fault.Conflict, attempt, "the data folder", "the restoring of another backup, or into another database, has begun here and not ended: go on with that, or take an empty folder")
		}
	}
	if r.Backup == "" {
		r.Backup = whole[len(whole)-1]
	}
	if !slices.Contains(whole, r.Backup) {
		return false, fault.New(fault.NotFound, attempt, "backup "+r.Backup, "there is no whole backup of that name in the place")
	}
	if len(keyed) == 0 {
		return false, fault.New(fault.NotFound, attempt, "", "there are no keys in that place: without them nothing in the backup can be read. Name the place that the keys were backed up to")
	}
	if r.keyed = keyed[len(keyed)-1]; r.keyed < r.Backup {
		return false, fault.New(fault.NotFound, attempt, "backup "+r.Backup, "the newest keys in that place are of "+r.keyed+", which is earlier: what came since could not be read. Give a newer backup of the keys")
	}
	if !fresh {
		return false, r.clear(ctx)
	}
	entries, err := os.ReadDir(r.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(r.Dir, 0o700)
	}
	if err != nil {
		return false, fault.New(fault.Unavailable, attempt, "the data folder", "it cannot be read, or not be made")
	}
	if len(entries) > 0 {
		return false, fault.New(fault.Invalid, attempt, "the data folder", "it is not empty; a node is restored into an empty folder, and nothing is overwritten")
	}
	if r.Database != "" {
		d, err := db.Open(ctx, r.Database)
		if err != nil {
			return false, err
		}
		empty, err := d.Empty(ctx)
		if err = errors.Join(err, d.Close()); err != nil {
			return false, err
		}
		if !empty {
			return false, fault.New(fault.Invalid, attempt, "the database", "it has tables; a node is restored into an empty database, and nothing is overwritten")
		}
	}
	return true, r.write(Marker, []byte(r.Backup+"\n"+r.into()+"\n"))
}

// clear removes what is done anew: everything but packs.
func (r *restore) clear(ctx context.Context) error {
	for _, name := range []string{"keys.db", "identities.db", "catalogue.db"} {
		for _, end := range []string{"", "-wal", "-shm", ".migrate", unready, unready + "-wal", unready + "-shm", unready + ".migrate"} {
			if err := os.Remove(filepath.Join(r.Dir, name+end)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fault.New(fault.Unavailable, attempt, "the data folder", "what an earlier try has left there cannot be removed")
			}
		}
	}
	if r.Database == "" {
		return nil
	}
	d, err := db.Open(ctx, r.Database)
	if err != nil {
		return err
	}
	return errors.Join(d.Clear(ctx), d.Close())
}

func (r *restore) undo(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	return errors.Join(r.clear(ctx), os.Remove(filepath.Join(r.Dir, Marker)))
}

// write writes a file of the folder, durable before it returns.
func (r *restore) write(name string, text []byte) error {
	f, err := os.OpenFile(filepath.Join(r.Dir, name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = f.Write(text)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err == nil {
		err = durable.Folder(r.Dir)
	}
	if err != nil {
		return fault.New(fault.Unavailable, attempt, "the data folder", "it cannot be written to")
	}
	return nil
}

// unready ends the name of a database that is not whole yet.
const unready = ".restoring"

// load reads a stream into a database of its own, or into PostgreSQL.
func (r *restore) load(ctx context.Context, from io.Reader, name string, want map[string]int64) (err error) {
	t, err := db.ReadTables(from)
	if err != nil {
		return err
	}
	address, path := r.Database, filepath.Join(r.Dir, name)
	if address == "" {
		address = "sqlite:" + path + unready
	}
	d, err := db.Open(ctx, address, db.Durable, db.SecureDelete, db.AtVersions(t.Versions))
	if err != nil {
		return err
	}
	err = func() error {
		if err := makeTables(ctx, d); err != nil {
			return err
		}
		w, err := t.Load(ctx, d, nil)
		if err == nil && want != nil && !maps.Equal(w.Rows, want) {
			err = fault.New(fault.Corrupt, attempt, name, "it has not the rows that the manifest says")
		}
		return err
	}()
	if err = errors.Join(err, d.Close()); err != nil || r.Database != "" {
		return err
	}
	_ = os.Remove(path + unready + ".migrate")
	f, err := os.Open(path + unready)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err == nil {
		err = os.Rename(path+unready, path)
	}
	if err == nil {
		err = durable.Folder(r.Dir)
	}
	if err != nil {
		return fault.New(fault.Unavailable, attempt, "the data folder", "it cannot be written to")
	}
	return nil
}

// makeTables makes the tables of every room that the database was opened for.
func makeTables(ctx context.Context, d *db.DB) error {
	for _, open := range []func() error{
		func() error { _, err := access.OpenRecord(ctx, d); return err },
		func() error { _, err := audit.Open(ctx, d); return err },
		func() error { _, err := jobs.Open(ctx, d); return err },
		func() error { _, err := keys.OpenRing(ctx, d, nil); return err },
		func() error { _, err := catalogue.OpenRecord(ctx, d); return err },
		func() error { _, err := clinical.OpenRecord(ctx, d); return err },
		func() error { _, err := collection.OpenRecord(ctx, d); return err },
		func() error { _, err := consent.OpenRecord(ctx, d); return err },
		func() error { _, err := directory.OpenRecord(ctx, d); return err },
		func() error { _, err := directory.OpenPictures(ctx, d); return err },
		func() error { _, err := directory.OpenCounts(ctx, d); return err },
		func() error { _, err := directory.OpenFinder(ctx, d, nil, nil); return err },
		func() error { _, err := forward.OpenRecord(ctx, d); return err },
		func() error { _, err := forwarding.OpenRecord(ctx, d); return err },
		func() error { _, err := identity.OpenRecord(ctx, d); return err },
		func() error { _, err := notice.OpenRecord(ctx, d); return err },
		func() error { _, err := nodes.OpenRecord(ctx, d); return err },
		func() error { _, err := person.OpenRecord(ctx, d); return err },
		func() error { _, err := proof.OpenRecord(ctx, d); return err },
		func() error { _, err := pull.OpenRecord(ctx, d); return err },
		func() error { _, err := question.OpenRecord(ctx, d); return err },
		func() error { _, err := reidentification.OpenVault(ctx, d, nil); return err },
		func() error { _, err := reidentification.OpenRequests(ctx, d); return err },
		func() error { _, err := release.OpenRecord(ctx, d); return err },
		func() error { _, err := recall.OpenRecord(ctx, d); return err },
		func() error { _, err := ruling.OpenRecord(ctx, d); return err },
		func() error { _, err := subject.OpenRecord(ctx, d); return err },
		func() error { _, err := upload.OpenRecord(ctx, d); return err },
	} {
		if err := open(); !errors.Is(err, db.ErrTablesOnly) {
			return errors.Join(err, fault.New(fault.Internal, attempt, "", "a room did more than make its tables"))
		}
	}
	if left := d.Unmade(); len(left) > 0 {
		return fault.New(fault.Invalid, attempt, "tables of "+strings.Join(left, ", "), "this program has no such tables: the backup is of a later version; use that one")
	}
	return nil
}

// keys brings the newest keys into their database, and opens the manifest with them.
func (r *restore) keys(ctx context.Context) (*Manifest, error) {
	r.step("keys", 1)
	from, err := r.Keys.Get(ctx, keysOf(r.keyed))
	if err != nil {
		return nil, err
	}
	defer from.Close()
	sum := sha256.New()
	if err := r.load(ctx, io.TeeReader(from, sum), "keys.db", nil); err != nil {
		return nil, err
	}
	address := r.Database
	if address == "" {
		address = "sqlite:" + filepath.Join(r.Dir, "keys.db")
	}
	d, err := db.Open(ctx, address, db.Durable, db.SecureDelete)
	if err != nil {
		return nil, err
	}
	ring, err := keys.Unlock(ctx, d, r.Master)
	if err := errors.Join(err, d.Close()); err != nil {
		if fault.Is(err, fault.Denied) {
			return nil, fault.Wrap(fault.Denied, attempt, "keys of "+r.keyed, err)
		}
		return nil, err
	}
	r.root = ring.Root()
	m, err := readManifest(ctx, r.From, r.root, r.Backup)
	if fault.Is(err, fault.Corrupt) {
		return nil, fault.New(fault.Corrupt, attempt, "backup "+r.Backup, "its manifest does not open: it is damaged, or these are the keys of another node. An earlier backup may be whole; name it with --backup")
	}
	if err != nil {
		return nil, err
	}
	if r.keyed == r.Backup && m.Keys.SHA256 != Digest(sum.Sum(nil)) {
		return nil, fault.New(fault.Corrupt, attempt, "keys of "+r.keyed, "they are not those that were backed up")
	}
	r.done()
	return m, nil
}

// packs brings packs, each under its last name when it has been compared.
func (r *restore) packs(ctx context.Context) error {
	dir := filepath.Join(r.Dir, "packs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.New(fault.Unavailable, attempt, "the data folder", "it cannot be written to")
	}
	r.step("packs", int64(len(r.m.Packs)))
	for _, p := range r.m.Packs {
		if err := r.pack(ctx, dir, p); err != nil {
			return err
		}
		r.done()
	}
	if err := durable.Folder(dir); err != nil {
		return fault.New(fault.Unavailable, attempt, "the data folder", "it cannot be written to")
	}
	return nil
}

func (r *restore) pack(ctx context.Context, dir string, p Pack) (err error) {
	id, err := pack.ParseID(p.ID)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, pack.FileName(id, p.Sealed))
	if fi, err := os.Stat(path); err == nil && fi.Size() == p.Size {
		return nil // it got this name when it had been compared
	}
	if !p.Sealed {
		// Settling has opened the store: the pack was recovered and sealed.
		if _, err := os.Stat(filepath.Join(dir, pack.FileName(id, true))); err == nil {
			return nil
		}
	}
	temp := filepath.Join(dir, p.ID+unready)
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fault.New(fault.Unavailable, attempt, "the data folder", "it cannot be written to")
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(temp)
		}
	}()
	// A damaged pack may have been replaced by a good one since: its records prove themselves.
	damaged := slices.Contains(r.m.Damaged, p.ID)
	if p.Sealed {
		err = r.piece(ctx, f, packFile(p.ID), p.Size, p.SHA256, damaged)
	}
	for _, part := range p.Parts {
		if err == nil {
			err = r.piece(ctx, f, partFile(p.ID, part), part.To-part.From, part.SHA256, damaged)
		}
	}
	if err != nil {
		return err
	}
	if err = f.Sync(); err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return fault.New(fault.Unavailable, attempt, "the data folder", "it cannot be written to")
	}
	return nil
}

func (r *restore) piece(ctx context.Context, to *os.File, name string, size int64, want Digest, damaged bool) error {
	from, err := r.From.Get(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.Corrupt, attempt, "backup "+r.Backup, "a file that its manifest names is not there: "+name)
	}
	if err != nil {
		return err
	}
	defer from.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, sum), &heeding{ctx, from})
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.New(fault.Unavailable, attempt, name, "it cannot be read, or the data folder cannot be written to: is there room?")
	}
	if !damaged && (n != size || Digest(sum.Sum(nil)) != want) {
		return fault.New(fault.Corrupt, attempt, "backup "+r.Backup, "a file is not what was backed up: "+name)
	}
	return nil
}

type heeding struct {
	ctx context.Context
	r   io.Reader
}

func (h *heeding) Read(b []byte) (int, error) {
	if err := h.ctx.Err(); err != nil {
		return 0, err
	}
	return h.r.Read(b)
}

// tables brings a file of tables into its database.
func (r *restore) tables(ctx context.Context, file, name string) error {
	r.step(file, 1)
	f, ok := r.m.Files[file]
	if !ok {
		return fault.New(fault.Corrupt, attempt, "backup "+r.Backup, "its manifest names no "+file)
	}
	in := fileOf(r.Backup, file)
	from, err := r.From.Get(ctx, in)
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.Corrupt, attempt, "backup "+r.Backup, "a file that its manifest names is not there: "+in)
	}
	if err != nil {
		return err
	}
	defer from.Close()
	sum := sha256.New()
	o, err := newOpener(io.TeeReader(from, sum), sealedBy(r.root), in)
	if err != nil {
		return err
	}
	z, err := gzip.NewReader(o)
	if err != nil {
		return fault.New(fault.Corrupt, attempt, in, "it is not what was backed up")
	}
	if err := r.load(ctx, z, name, f.Rows); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, o); err != nil {
		return err
	}
	if Digest(sum.Sum(nil)) != f.SHA256 {
		return fault.New(fault.Corrupt, attempt, "backup "+r.Backup, "a file is not what was backed up: "+in)
	}
	r.done()
	return nil
}

// Node is the restored node, open.
type Node struct {
	DB       *db.DB
	Ring     *keys.Ring
	Audit    *audit.Log
	Subjects *subject.Record
	// Withdraw takes a subject out of every sight whose key the newest keys call suspended or destroyed.
	Withdraw func(*db.Tx, subject.Subject, keys.Mark) error
}

// Settle makes withdrawals and erasures reach the restored node that were made after the backup, and notes in its audit log what it was restored from. It gives the number of subjects that have gone since. A key
// that is missing is an error of kind Corrupt.
func Settle(ctx context.Context, n Node, m *Manifest, actor string) (gone int, err error) {
	known, err := n.Ring.Known(ctx)
	if err != nil {
		return 0, err
	}
	var all []subject.Subject
	missing := 0
	err = n.Subjects.Each(ctx, func(s subject.Subject) error {
		mark, ok := known[keys.ID(s.Key)]
		switch {
		case s.IsWithdrawn(), ok && !mark.Gone():
		case ok:
			all = append(all, s)
		default:
			missing++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if missing > 0 {
		return 0, fault.New(fault.Corrupt, attempt, "backup "+m.Backup, fmt.Sprintf("the keys of %d subjects are missing, and were not destroyed: what is kept of them could not be read. Give a newer backup of the keys", missing))
	}
	err = n.DB.Write(ctx, func(tx *db.Tx) error {
		gone = 0
		for _, s := range all {
			now, err := n.Subjects.In(tx, s.ID)
			if err != nil {
				return err
			}
			if now.IsWithdrawn() { // an earlier try got as far
				continue
			}
			if err := n.Withdraw(tx, s, known[keys.ID(s.Key)]); err != nil {
				return err
			}
			gone++
		}
		return n.Audit.Append(tx, audit.Entry{Actor: actor, Action: attempt, Object: "backup " + m.Backup, Outcome: "done"})
	})
	return gone, err
}

// Finish takes the mark away: the folder is a node's now.
func Finish(dir string) error {
	err := os.Remove(filepath.Join(dir, Marker))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = durable.Folder(dir)
	}
	if err != nil {
		return fault.New(fault.Unavailable, attempt, "the data folder", "it cannot be written to")
	}
	return nil
}

// Unfinished reports whether a folder is being restored, or was when that was interrupted.
func Unfinished(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, Marker))
	return err == nil
}
