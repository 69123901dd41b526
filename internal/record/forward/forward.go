// Package forward is the record of what is sent on from here: lines to other places, the studies that wait on them, and what was sent. docs/formats/forward.md says what each table means.
//
// It promises: a study waits on a line from the transaction that admitted it until the one that notes that all of it has been sent, and keeps its place in between; what is asked for again
// meanwhile waits again. What was sent is noted with the place that it was read from, so that an object that was cleaned anew is sent anew.
//
// It does not send, and does not know how. What stands of an instance it reads from the catalogue's table, and writes nothing there.
package forward

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

//go:embed migrations
var migrations embed.FS

// Record is the open record.
type Record struct{ d *db.DB }

// OpenRecord brings the tables up to date.
func OpenRecord(ctx context.Context, d *db.DB) (*Record, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "forward", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// Line is a way to somewhere else.
type Line struct {
	Name       string // node: what a gateway sends to its node
	Collection collection.ID
	Target     string // its address
	Secret     string // whose secret names the subjects: node or site
	Began      time.Time
	Refreshed  time.Time // when the other side last said by what to clean; zero: never
	Succeeded  time.Time // when something was last taken there; zero: nothing yet
}

// Begin notes a line, or its new target.
func (r *Record) Begin(tx *db.Tx, l Line) error {
	_, err := tx.Exec(`INSERT INTO forward_line (name, collection, target, secret, began, refreshed, succeeded) VALUES (?, ?, ?, ?, ?, 0, 0)
		ON CONFLICT (name) DO UPDATE SET target = excluded.target`, l.Name, string(l.Collection), l.Target, l.Secret, db.Micros(time.Now()))
	return err
}

// Line is the line of that name; fault.NotFound if there is none.
func (r *Record) Line(ctx context.Context, name string) (Line, error) {
	var l Line
	var began, refreshed, succeeded int64
	err := r.d.QueryRow(ctx, `SELECT name, collection, target, secret, began, refreshed, succeeded FROM forward_line WHERE name = ?`, name).
		Scan(&l.Name, &l.Collection, &l.Target, &l.Secret, &began, &refreshed, &succeeded)
	if errors.Is(err, sql.ErrNoRows) {
		return l, fault.New(fault.NotFound, "find line", "", "nothing is sent on from here")
	}
	l.Began, l.Refreshed, l.Succeeded = instant(began), instant(refreshed), instant(succeeded)
	return l, err
}

func instant(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return db.Time(micros)
}

// Refreshed notes that the other side has said by what to clean.
func (r *Record) Refreshed(tx *db.Tx, line string) error {
	_, err := tx.Exec(`UPDATE forward_line SET refreshed = ? WHERE name = ?`, db.Micros(time.Now()), line)
	return err
}

// Study is one that waits on a line.
type Study struct {
	Study      catalogue.StudyID
	Collection collection.ID
	UID        catalogue.StudyUID
	Subject    subject.ID
	Since      time.Time
	asked      int64
}

// asked is signalled, within the process, by the commit of a transaction that asked for something to be sent.
const asked = "forward"

// Signalled is closed when something more waits.
func (r *Record) Signalled() <-chan struct{} { return r.d.Signalled(asked) }

// Ask has a study sent on. One that waits keeps its place.
func (r *Record) Ask(tx *db.Tx, line string, s Study) error {
	_, err := tx.Exec(`INSERT INTO forward_study (line, study, collection, uid, subject, asked, since) VALUES (?, ?, ?, ?, ?, 1, ?)
		ON CONFLICT (line, study) DO UPDATE SET asked = forward_study.asked + 1`, line, int64(s.Study), string(s.Collection), string(s.UID), int64(s.Subject), db.Micros(time.Now()))
	tx.Signal(asked)
	return err
}

// Waiting are the studies that wait on a line, longest first.
func (r *Record) Waiting(ctx context.Context, line string, limit int) ([]Study, error) {
	rows, err := r.d.Query(ctx, `SELECT study, collection, uid, subject, since, asked FROM forward_study WHERE line = ? ORDER BY since, study LIMIT ?`, line, int64(limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Study
	for rows.Next() {
		var s Study
		var since int64
		if err := rows.Scan(&s.Study, &s.Collection, &s.UID, &s.Subject, &since, &s.asked); err != nil {
			return nil, db.Fault("list what waits to be sent", err)
		}
		s.Since = db.Time(since)
		all = append(all, s)
	}
	return all, db.Fault("list what waits to be sent", rows.Err())
}

// Done takes a study from the line, of which all has been sent. If it was asked for again meanwhile, it waits again, and done is false.
func (r *Record) Done(tx *db.Tx, line string, s Study) (done bool, err error) {
	res, err := tx.Exec(`DELETE FROM forward_study WHERE line = ? AND study = ? AND asked = ?`, line, int64(s.Study), s.asked)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// Sent is an instance that was sent.
type Sent struct {
	Instance catalogue.InstanceID
	Study    catalogue.StudyID
	Subject  subject.ID
	Ref      catalogue.Ref // where it lay
	UID      catalogue.SOPUID
	Outcome  string // kept, held, duplicate, conflict, refused
	Reasons  []catalogue.Reason
}

// Note notes what became of an instance at the other side, and that something was taken there.
func (r *Record) Note(tx *db.Tx, line string, s Sent) error {
	text := ""
	if len(s.Reasons) > 0 {
		b, err := json.Marshal(s.Reasons)
		if err != nil {
			return fault.Wrap(fault.Internal, "note what was sent", "", err)
		}
		text = string(b)
	}
	now := db.Micros(time.Now())
	_, err := tx.Exec(`INSERT INTO forward_sent (line, instance, study, subject, pack, pack_offset, uid, outcome, reasons, sent, recall) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
		ON CONFLICT (line, instance) DO UPDATE SET pack = excluded.pack, pack_offset = excluded.pack_offset, outcome = excluded.outcome, reasons = excluded.reasons, sent = excluded.sent, recall = 0`,
		line, int64(s.Instance), int64(s.Study), int64(s.Subject), s.Ref.Pack[:], s.Ref.Offset, string(s.UID), s.Outcome, text, now)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM forward_piece WHERE line = ? AND instance = ?`, line, int64(s.Instance)); err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE forward_line SET succeeded = ? WHERE name = ?`, now, line)
	return err
}

// Again has what was refused, or could not be read, sent once more.
func (r *Record) Again(tx *db.Tx, line string) error {
	const which = `outcome IN ('refused', 'unreadable')`
	_, err := tx.Exec(`INSERT INTO forward_study (line, study, collection, uid, subject, asked, since)
		SELECT DISTINCT s.line, t.id, t.collection, t.uid, t.subject, 1, CAST(? AS BIGINT) FROM forward_sent s JOIN study t ON t.id = s.study WHERE s.line = ? AND s.`+which+`
		ON CONFLICT (line, study) DO UPDATE SET asked = forward_study.asked + 1`, db.Micros(time.Now()), line)
	if err != nil {
		return err
	}
	tx.Signal(asked)
	_, err = tx.Exec(`DELETE FROM forward_sent WHERE line = ? AND `+which, line)
	return err
}

// SentOf says of what was sent of a study where it lay then.
func (r *Record) SentOf(ctx context.Context, line string, study catalogue.StudyID) (map[catalogue.InstanceID]catalogue.Ref, error) {
	rows, err := r.d.Query(ctx, `SELECT instance, pack, pack_offset FROM forward_sent WHERE line = ? AND study = ?`, line, int64(study))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[catalogue.InstanceID]catalogue.Ref{}
	for rows.Next() {
		var id catalogue.InstanceID
		var pack []byte
		var ref catalogue.Ref
		if err := rows.Scan(&id, &pack, &ref.Offset); err != nil {
			return nil, db.Fault("list what was sent", err)
		}
		copy(ref.Pack[:], pack)
		all[id] = ref
	}
	return all, db.Fault("list what was sent", rows.Err())
}

// Tally is how a line stands.
type Tally struct {
	Studies  int64            // that wait
	Waiting  int64            // their instances that are admitted and not sent
	Oldest   time.Time        // since when the one that waits longest does; zero: none
	Outcomes map[string]int64 // of what was sent
	Recalls  int64            // that wait to be told
}

// Tally counts a line.
func (r *Record) Tally(ctx context.Context, line string) (Tally, error) {
	t := Tally{Outcomes: map[string]int64{}}
	var oldest sql.NullInt64
	if err := r.d.QueryRow(ctx, `SELECT COUNT(*), MIN(since) FROM forward_study WHERE line = ?`, line).Scan(&t.Studies, &oldest); err != nil {
		return t, err
	}
	if oldest.Valid {
		t.Oldest = db.Time(oldest.Int64)
	}
	if err := r.d.QueryRow(ctx, `SELECT COUNT(*) FROM forward_study f JOIN series e ON e.study = f.study JOIN instance i ON i.series = e.id
		WHERE f.line = ? AND i.state IN (2, 5) AND NOT EXISTS (SELECT 1 FROM forward_sent s WHERE s.line = f.line AND s.instance = i.id AND s.pack = i.pack AND s.pack_offset = i.pack_offset)`, line).Scan(&t.Waiting); err != nil {
		return t, err
	}
	if err := r.d.QueryRow(ctx, `SELECT COUNT(*)`+toRecall, line).Scan(&t.Recalls); err != nil {
		return t, err
	}
	rows, err := r.d.Query(ctx, `SELECT outcome, COUNT(*) FROM forward_sent WHERE line = ? GROUP BY outcome`, line)
	if err != nil {
		return t, err
	}
	defer rows.Close()
	for rows.Next() {
		var outcome string
		var n int64
		if err := rows.Scan(&outcome, &n); err != nil {
			return t, db.Fault("count what was sent", err)
		}
		t.Outcomes[outcome] = n
	}
	return t, db.Fault("count what was sent", rows.Err())
}

// toRecall is what the other side keeps and is held here by now: found in the few that are held, not in all that was sent.
const toRecall = ` FROM instance i JOIN forward_sent s ON s.instance = i.id WHERE i.state IN (3, 4) AND s.line = ? AND s.recall = 0 AND s.outcome IN ('kept', 'duplicate')`

// Recalls are instances that the other side keeps and in which something was found here afterwards.
func (r *Record) Recalls(ctx context.Context, line string, limit int) ([]Sent, error) {
	rows, err := r.d.Query(ctx, `SELECT s.instance, s.uid`+toRecall+` ORDER BY s.instance LIMIT ?`, line, int64(limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Sent
	for rows.Next() {
		var s Sent
		if err := rows.Scan(&s.Instance, &s.UID); err != nil {
			return nil, db.Fault("list what is to be taken back", err)
		}
		all = append(all, s)
	}
	return all, db.Fault("list what is to be taken back", rows.Err())
}

// Recalled notes that the other side holds it too.
func (r *Record) Recalled(tx *db.Tx, line string, all []Sent) error {
	for _, s := range all {
		if _, err := tx.Exec(`UPDATE forward_sent SET recall = 1 WHERE line = ? AND instance = ?`, line, int64(s.Instance)); err != nil {
			return err
		}
	}
	return nil
}

// Piece notes where an instance is sent to in pieces, so that another process goes on with it; an empty place, that it begins anew.
func (r *Record) Piece(tx *db.Tx, line string, id catalogue.InstanceID, ref catalogue.Ref, place string) error {
	if place == "" {
		_, err := tx.Exec(`DELETE FROM forward_piece WHERE line = ? AND instance = ?`, line, int64(id))
		return err
	}
	_, err := tx.Exec(`INSERT INTO forward_piece (line, instance, pack, pack_offset, place) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (line, instance) DO UPDATE SET pack = excluded.pack, pack_offset = excluded.pack_offset, place = excluded.place`, line, int64(id), ref.Pack[:], ref.Offset, place)
	return err
}

// PieceOf is where an instance is being sent to in pieces; empty if it is not.
func (r *Record) PieceOf(ctx context.Context, line string, id catalogue.InstanceID, ref catalogue.Ref) (place string, err error) {
	err = r.d.QueryRow(ctx, `SELECT place FROM forward_piece WHERE line = ? AND instance = ? AND pack = ? AND pack_offset = ?`, line, int64(id), ref.Pack[:], ref.Offset).Scan(&place)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return place, err
}
