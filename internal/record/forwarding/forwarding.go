// Package forwarding is the record of what goes to other archives: rules by peer and collection, the studies of which something has yet to go, and what was
// delivered.
//
// It promises: a study is noted in the transaction of the fact that it has something to go; it stays noted until whoever sends says that nothing of it is left, and
// longer if more of it came meanwhile; what was delivered is not forgotten while its rule stands. Whoever changes a rule passes the transaction in which the audit entry is
// written too.
//
// It sends nothing and does not decide what may go.
package forwarding

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

//go:embed migrations
var migrations embed.FS

// Key names a rule.
type Key struct {
	Peer       collection.AETitle
	Collection collection.ID
}

func (k Key) String() string { return string(k.Peer) + "/" + string(k.Collection) }

// ParseKey reads what [Key.String] wrote.
func ParseKey(s string) (Key, error) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return Key{}, fault.New(fault.Invalid, "read rule", "", "it names no peer and collection")
	}
	ae, err := collection.ParseAETitle(s[:i])
	if err != nil {
		return Key{}, err
	}
	id, err := collection.ParseID(s[i+1:])
	return Key{ae, id}, err
}

// Rule says that what a collection releases, or admits and releases, goes to a peer.
type Rule struct {
	Key
	Stage    policy.State // policy.Released, or policy.Admitted: then both
	Created  time.Time
	Tried    time.Time // zero: not yet
	Failures int64     // passes in a row that left something
	Reason   string    // why the last one did: a code; empty: it did not
	Sent     int64     // instances delivered
	Waiting  int64     // studies of which something may have to go
}

// Record is the open record.
type Record struct{ d *db.DB }

// OpenRecord brings the tables up to date.
func OpenRecord(ctx context.Context, d *db.DB) (*Record, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "forwarding", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// Add makes a rule; a fault.Conflict if there is one for the peer and collection.
func (r *Record) Add(tx *db.Tx, k Key, stage policy.State) (Rule, error) {
	const attempt = "add forwarding rule"
	if stage != policy.Released && stage != policy.Admitted {
		return Rule{}, fault.New(fault.Invalid, attempt, "", "what is released or what is admitted can be forwarded")
	}
	rule := Rule{Key: k, Stage: stage, Created: db.Time(db.Micros(time.Now()))}
	res, err := tx.Exec(`INSERT INTO copy_rule (peer, collection, stage, created, tried, failures, reason, sent) VALUES (?, ?, ?, ?, 0, 0, '', 0) ON CONFLICT (peer, collection) DO NOTHING`,
		string(k.Peer), string(k.Collection), int64(stage), db.Micros(rule.Created))
	if err != nil {
		return Rule{}, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return Rule{}, errors.Join(err, fault.New(fault.Conflict, attempt, k.String(), "the collection is forwarded to that peer already"))
	}
	return rule, nil
}

// Remove ends a rule and forgets what it delivered; fault.NotFound if there is none.
func (r *Record) Remove(tx *db.Tx, k Key) error {
	for _, table := range []string{"copy_instance", "copy_study"} {
		if _, err := tx.Exec(`DELETE FROM `+table+` WHERE peer = ? AND collection = ?`, string(k.Peer), string(k.Collection)); err != nil {
			return err
		}
	}
	res, err := tx.Exec(`DELETE FROM copy_rule WHERE peer = ? AND collection = ?`, string(k.Peer), string(k.Collection))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fault.New(fault.NotFound, "remove forwarding rule", "", "the collection is not forwarded to that peer"))
	}
	return nil
}

const ruleColumns = `SELECT f.peer, f.collection, f.stage, f.created, f.tried, f.failures, f.reason, f.sent, (SELECT COUNT(*) FROM copy_study s WHERE s.peer = f.peer AND s.collection = f.collection) FROM copy_rule f`

func scanRule(row interface{ Scan(...any) error }) (x Rule, err error) {
	var stage, created, tried int64
	err = row.Scan(&x.Peer, &x.Collection, &stage, &created, &tried, &x.Failures, &x.Reason, &x.Sent, &x.Waiting)
	x.Stage, x.Created = policy.State(stage), db.Time(created)
	if tried != 0 {
		x.Tried = db.Time(tried)
	}
	return x, err
}

// Rules lists all rules.
func (r *Record) Rules(ctx context.Context) (all []Rule, err error) {
	rows, err := r.d.Query(ctx, ruleColumns+` ORDER BY f.peer, f.collection`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		x, err := scanRule(rows)
		if err != nil {
			return nil, db.Fault("list forwarding rules", err)
		}
		all = append(all, x)
	}
	return all, db.Fault("list forwarding rules", rows.Err())
}

// Rule is one; fault.NotFound if there is none.
func (r *Record) Rule(ctx context.Context, k Key) (Rule, error) {
	x, err := scanRule(r.d.QueryRow(ctx, ruleColumns+` WHERE f.peer = ? AND f.collection = ?`, string(k.Peer), string(k.Collection)))
	if errors.Is(err, sql.ErrNoRows) {
		return x, fault.New(fault.NotFound, "find forwarding rule", "", "the collection is not forwarded to that peer")
	}
	return x, err
}

// Note notes a study for every rule of its collection that concerns a state which something of it has come into, and gives those rules.
func (r *Record) Note(tx *db.Tx, c collection.ID, study catalogue.StudyUID, now policy.State) (keys []Key, err error) {
	rows, err := tx.Query(`SELECT peer FROM copy_rule WHERE collection = ? AND (stage = ? OR stage = ?) ORDER BY peer`, string(c), int64(policy.Admitted), int64(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		k := Key{Collection: c}
		if err := rows.Scan(&k.Peer); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	rows.Close()
	for _, k := range keys {
		if err := r.Want(tx, k, study); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// Want notes a study for one rule.
func (r *Record) Want(tx *db.Tx, k Key, study catalogue.StudyUID) error {
	_, err := tx.Exec(`INSERT INTO copy_study (peer, collection, study, asked, since, failed) VALUES (?, ?, ?, 1, ?, 0)
		ON CONFLICT (peer, collection, study) DO UPDATE SET asked = copy_study.asked + 1`, string(k.Peer), string(k.Collection), string(study), db.Micros(time.Now()))
	return err
}

// Wanted is a study that is noted.
type Wanted struct {
	Study catalogue.StudyUID
	Asked int64
}

// Next gives noted studies after one, in order of their UIDs.
func (r *Record) Next(ctx context.Context, k Key, after catalogue.StudyUID, limit int) (all []Wanted, err error) {
	rows, err := r.d.Query(ctx, `SELECT study, asked FROM copy_study WHERE peer = ? AND collection = ? AND study > ? ORDER BY study LIMIT ?`, string(k.Peer), string(k.Collection), string(after), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var w Wanted
		if err := rows.Scan(&w.Study, &w.Asked); err != nil {
			return nil, db.Fault("list studies to forward", err)
		}
		all = append(all, w)
	}
	return all, db.Fault("list studies to forward", rows.Err())
}

// Delivered tells which of the instances were delivered.
func (r *Record) Delivered(ctx context.Context, k Key, ids []catalogue.InstanceID) (map[catalogue.InstanceID]bool, error) {
	done := map[catalogue.InstanceID]bool{}
	for len(ids) > 0 {
		n := min(len(ids), 256)
		args := []any{string(k.Peer), string(k.Collection)}
		for _, id := range ids[:n] {
			args = append(args, int64(id))
		}
		rows, err := r.d.Query(ctx, `SELECT instance FROM copy_instance WHERE peer = ? AND collection = ? AND instance IN (?`+strings.Repeat(", ?", n-1)+`)`, args...)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var id catalogue.InstanceID
			if err := rows.Scan(&id); err != nil {
				rows.Close()
				return nil, db.Fault("list delivered instances", err)
			}
			done[id] = true
		}
		err = rows.Err()
		rows.Close()
		if err != nil {
			return nil, db.Fault("list delivered instances", err)
		}
		ids = ids[n:]
	}
	return done, nil
}

// Deliver notes instances that the peer has taken.
func (r *Record) Deliver(tx *db.Tx, k Key, ids []catalogue.InstanceID) error {
	sent := int64(0)
	for _, id := range ids {
		res, err := tx.Exec(`INSERT INTO copy_instance (peer, collection, instance, at) SELECT peer, collection, CAST(? AS BIGINT), CAST(? AS BIGINT) FROM copy_rule WHERE peer = ? AND collection = ?
			ON CONFLICT (peer, collection, instance) DO NOTHING`, int64(id), db.Micros(time.Now()), string(k.Peer), string(k.Collection))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		sent += n
	}
	_, err := tx.Exec(`UPDATE copy_rule SET sent = sent + ? WHERE peer = ? AND collection = ?`, sent, string(k.Peer), string(k.Collection))
	return err
}

// Gone are a study's instances that a peer was sent and that are out of sight here by now.
type Gone struct {
	Key
	Study     catalogue.StudyUID
	Instances []catalogue.SOPUID
}

// outOfSight are the instances that no researcher is given, in the terms of the indexes over them. What the catalogue and the record of subjects say is read from their tables, and nothing is written there.
const outOfSight = `(SELECT id FROM instance WHERE state IN (3, 4) UNION ALL SELECT id FROM instance WHERE state = 7 UNION ALL SELECT w.id FROM subject u JOIN instance w ON w.subject = u.id WHERE u.withdrawn <> 0)`

const goneInstances = `SELECT c.peer, c.collection, t.uid, i.uid, i.id FROM ` + outOfSight + ` o JOIN copy_instance c ON c.instance = o.id JOIN instance i ON i.id = c.instance JOIN series s ON s.id = i.series
	JOIN study t ON t.id = s.study WHERE c.told = 0`

const inOrder = ` ORDER BY c.peer, c.collection, t.uid, i.uid LIMIT ?`

// Gone lists what peers have, is out of sight here, and of which nobody has said that they were told; at most limit instances and, as more, whether there are others. DICOM has no message for it: a person has to
// ask whoever keeps the archive.
func (r *Record) Gone(ctx context.Context, limit int) (all []Gone, more bool, err error) {
	rows, err := r.d.Query(ctx, goneInstances+inOrder, int64(limit)+1)
	if err != nil {
		return nil, false, err
	}
	all, _, more, err = scanGone(rows, limit)
	return all, more, err
}

func scanGone(rows *sql.Rows, limit int) (all []Gone, ids []catalogue.InstanceID, more bool, err error) {
	defer rows.Close()
	for rows.Next() {
		if len(ids) == limit {
			more = true
			break
		}
		var g Gone
		var sop catalogue.SOPUID
		var id catalogue.InstanceID
		if err := rows.Scan(&g.Peer, &g.Collection, &g.Study, &sop, &id); err != nil {
			return nil, nil, false, db.Fault("list copies of what is out of sight", err)
		}
		if k := len(all) - 1; k < 0 || all[k].Key != g.Key || all[k].Study != g.Study {
			all = append(all, g)
		}
		last := &all[len(all)-1]
		last.Instances, ids = append(last.Instances, sop), append(ids, id)
	}
	return all, ids, more, db.Fault("list copies of what is out of sight", rows.Err())
}

// Told notes that a person has told a peer of what is out of sight now, at most limit instances of it, and says what that is: what comes to be out of sight later, nobody has been told of.
func (r *Record) Told(tx *db.Tx, k Key, limit int) (all []Gone, more bool, err error) {
	rows, err := tx.Query(goneInstances+` AND c.peer = ? AND c.collection = ?`+inOrder, string(k.Peer), string(k.Collection), int64(limit)+1)
	if err != nil {
		return nil, false, err
	}
	all, ids, more, err := scanGone(rows, limit)
	if err != nil {
		return nil, false, err
	}
	at := db.Micros(time.Now())
	for _, id := range ids {
		if _, err := tx.Exec(`UPDATE copy_instance SET told = ? WHERE peer = ? AND collection = ? AND instance = ?`, at, string(k.Peer), string(k.Collection), int64(id)); err != nil {
			return nil, false, err
		}
	}
	return all, more, nil
}

// Settle says how a study went: with nothing failed it is noted no more, unless more of it came since it was looked at.
func (r *Record) Settle(tx *db.Tx, k Key, w Wanted, failed int64) error {
	if failed == 0 {
		_, err := tx.Exec(`DELETE FROM copy_study WHERE peer = ? AND collection = ? AND study = ? AND asked = ?`, string(k.Peer), string(k.Collection), string(w.Study), w.Asked)
		return err
	}
	_, err := tx.Exec(`UPDATE copy_study SET failed = ? WHERE peer = ? AND collection = ? AND study = ?`, failed, string(k.Peer), string(k.Collection), string(w.Study))
	return err
}

// Tried says how a pass over a rule ended: with a reason if something is left.
func (r *Record) Tried(tx *db.Tx, k Key, reason string) error {
	grow := `0`
	if reason != "" {
		grow = `failures + 1`
	}
	_, err := tx.Exec(`UPDATE copy_rule SET tried = ?, failures = `+grow+`, reason = ? WHERE peer = ? AND collection = ?`, db.Micros(time.Now()), reason, string(k.Peer), string(k.Collection))
	return err
}
