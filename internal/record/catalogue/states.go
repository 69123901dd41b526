package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ident"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Due is a study that can be admitted: its deposits have ended, or nothing came for a while.
type Due struct {
	Study      StudyID
	Collection collection.ID
	UID        StudyUID
	Subject    subject.ID
	Pending    int64 // instances that wait
	touched    int64 // changes whenever something is added
}

// ahead is further than the clocks of two nodes should ever be apart: what was touched later than this from now was touched by a clock that has been set back since, and
// would wait until it is that late again.
const ahead = time.Minute

// DueStudies lists studies with instances that wait for admission, longest first: those of which every deposit has ended, and those to which nothing
// was added since quiet. One with an instance whose pixels are unread is not due yet.
func (r *Record) DueStudies(ctx context.Context, quiet time.Time, limit int) ([]Due, error) {
	var all []Due
	err := forRows(r.reader(ctx), `SELECT s.id, s.collection, s.uid, s.subject, s.received, s.touched FROM study s WHERE s.received > 0
		AND (s.touched <= ? OR s.touched > ? OR NOT EXISTS (SELECT 1 FROM study_open o WHERE o.study = s.id))
		AND NOT EXISTS (SELECT 1 FROM series e JOIN instance i ON i.series = e.id WHERE e.study = s.id AND i.reading = 1 AND i.state = 1) ORDER BY s.touched, s.id LIMIT ?`,
		[]any{db.Micros(quiet), db.Micros(time.Now().Add(ahead)), bounded(limit)}, func(rows *sql.Rows) error {
			var d Due
			err := rows.Scan(&d.Study, &d.Collection, &d.UID, &d.Subject, &d.Pending, &d.touched)
			all = append(all, d)
			return err
		})
	return all, err
}

// Changed is what a change of state did.
type Changed struct {
	Study     StudyID
	Instances int64 // how many changed
}

// Admit moves the instances of a study that wait from received to admitted. If something was added since the study was found due, the error is a
// fault.Conflict and nothing changes: what came late was not looked at.
func (r *Record) Admit(tx *db.Tx, d Due) (Changed, error) {
	if err := lock(tx, d.Collection); err != nil {
		return Changed{}, err
	}
	var touched int64
	err := tx.QueryRow(`SELECT touched FROM study WHERE id = ? AND collection = ?`, int64(d.Study), string(d.Collection)).Scan(&touched)
	if errors.Is(err, sql.ErrNoRows) {
		return Changed{}, fault.New(fault.NotFound, "admit study", "", "there is no such study")
	}
	if err != nil {
		return Changed{}, err
	}
	if touched != d.touched {
		return Changed{}, fault.New(fault.Conflict, "admit study", "", "more has come since it was looked at")
	}
	var wait int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM series e JOIN instance i ON i.series = e.id WHERE e.study = ? AND i.reading = 1 AND i.state = 1`, int64(d.Study)).Scan(&wait); err != nil {
		return Changed{}, err
	}
	if wait > 0 {
		return Changed{}, fault.New(fault.Conflict, "admit study", "", "the pixels of some of it are unread")
	}
	n, err := r.move(tx, d.Collection, d.Study, "", 0, []State{received}, admitted)
	if err != nil {
		return Changed{}, err
	}
	_, err = tx.Exec(`DELETE FROM study_open WHERE study = ?`, int64(d.Study))
	return Changed{d.Study, n}, err
}

// Hold takes an instance out of sight because something was found in it afterwards; one that is released too: what identifies somebody is not given out
// because it once was.
func (r *Record) Hold(tx *db.Tx, id InstanceID, why ...Reason) (Changed, error) {
	row, err := r.locked(tx, "hold instance", id)
	if err != nil {
		return Changed{}, err
	}
	if !visible(row.state) {
		return Changed{}, wrongState("hold instance", id, row.state)
	}
	text, err := reasonsText(append(row.reasons, why...))
	if err != nil {
		return Changed{}, err
	}
	if _, err := tx.Exec(`UPDATE instance SET reasons = ?, kind = '', layout = '' WHERE id = ?`, text, int64(id)); err != nil {
		return Changed{}, err
	}
	n, err := r.move(tx, row.collection, row.study, "id", int64(id), []State{row.state}, held)
	return Changed{row.study, n}, err
}

// Revision is another record of an object that is in the catalogue already: cleaned more tightly, or cleaned at last.
type Revision struct {
	Ref            Ref
	HeadSize       int64
	BulkSize       int64
	Digest         [32]byte
	Lexicon        int64
	TransferSyntax string
	// SOP is the UID that it is known by from now on, of a conflict that is accepted; empty: the one it has.
	SOP SOPUID
	// Ruling is the number of the standing decision that accepts it; 0: somebody decided on it alone.
	Ruling int64
	// What study and series show from now on, where they show nothing yet, and what the instance shows.
	StudyAttributes    StudyAttributes
	SeriesAttributes   SeriesAttributes
	InstanceAttributes InstanceAttributes
}

// Accept moves an instance that is held to received, to be admitted with its study, and gives it the record that was cleaned for it. With a nil
// revision the record stays: study and series then show of it what they show already. What is known is not displaced: a conflict needs a UID of its own from
// the revision while another object has the one that it came with, and a study that shows one subject takes nothing of another. Both are a fault.Conflict.
func (r *Record) Accept(tx *db.Tx, id InstanceID, rev *Revision) (Changed, error) {
	const attempt = "accept what is held"
	row, err := r.locked(tx, attempt, id)
	if err != nil {
		return Changed{}, err
	}
	if row.state != held && row.state != conflict && row.state != restricted {
		return Changed{}, wrongState(attempt, id, row.state)
	}
	var owner, who subject.ID
	var described bool
	if err := tx.QueryRow(`SELECT s.subject, s.described, i.subject FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study WHERE i.id = ?`, int64(id)).
		Scan(&owner, &described, &who); err != nil {
		return Changed{}, err
	}
	if described && owner != who {
		return Changed{}, fault.New(fault.Conflict, attempt, "instance "+id.String(), "its study is another subject's")
	}
	uid := row.uid
	if rev != nil && rev.SOP != "" {
		uid = rev.SOP
	}
	if uid != row.uid || row.variant != 0 {
		var n int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM instance WHERE uid = ? AND collection = ? AND variant = 0`, string(uid), string(row.collection)).Scan(&n); err != nil {
			return Changed{}, err
		}
		if n > 0 {
			return Changed{}, fault.New(fault.Conflict, attempt, "instance "+id.String(), "another object is known under its UID")
		}
	}
	if rev != nil {
		e := rev.entry(row.collection)
		if err := e.prepare(); err != nil {
			return Changed{}, err
		}
		if !described {
			if _, err := tx.Exec(`UPDATE study SET subject = ? WHERE id = ?`, int64(who), int64(row.study)); err != nil {
				return Changed{}, err
			}
		}
		if err := r.revise(tx, row, rev); err != nil {
			return Changed{}, err
		}
	}
	ruling := int64(0)
	if rev != nil {
		ruling = rev.Ruling
	}
	// Who accepted it answers for its pixels.
	if _, err := tx.Exec(`UPDATE instance SET uid = ?, variant = 0, reasons = '', found = '', kind = '', layout = '', ruling = ?, reading = CASE WHEN reading = 1 THEN 2 ELSE reading END WHERE id = ?`,
		string(uid), ruling, int64(id)); err != nil {
		return Changed{}, err
	}
	n, err := r.move(tx, row.collection, row.study, "id", int64(id), []State{row.state}, received)
	if err != nil {
		return Changed{}, err
	}
	// What becomes visible becomes due, and is looked at with the study.
	_, err = tx.Exec(`UPDATE study SET touched = CASE WHEN touched < ? THEN ? ELSE touched + 1 END WHERE id = ?`, db.Micros(time.Now()), db.Micros(time.Now()), int64(row.study))
	return Changed{row.study, n}, err
}

// Restrict keeps an instance that is held for the collection's stewards alone, and gives it the record whose header was cleaned. It stays under the UID and variant that it has, and
// study and series show nothing of it. The reasons stay: they say why it is kept so.
func (r *Record) Restrict(tx *db.Tx, id InstanceID, rev *Revision) (Changed, error) {
	const attempt = "restrict what is held"
	row, err := r.locked(tx, attempt, id)
	if err != nil {
		return Changed{}, err
	}
	if row.state != held && row.state != conflict {
		return Changed{}, wrongState(attempt, id, row.state)
	}
	e := rev.entry(row.collection)
	if err := e.prepare(); err != nil {
		return Changed{}, err
	}
	if err := r.replace(tx, row, rev, &e); err != nil {
		return Changed{}, err
	}
	if _, err := tx.Exec(`UPDATE instance SET kind = '', layout = '', ruling = ?, reading = CASE WHEN reading = 1 THEN 2 ELSE reading END WHERE id = ?`, rev.Ruling, int64(id)); err != nil {
		return Changed{}, err
	}
	n, err := r.move(tx, row.collection, row.study, "id", int64(id), []State{row.state}, restricted)
	return Changed{row.study, n}, err
}

// At is the instance of a UID whose record lies at ref.
func (r *Record) At(tx *db.Tx, c collection.ID, uid SOPUID, ref Ref) (InstanceID, bool, error) {
	var id InstanceID
	err := tx.QueryRow(`SELECT id FROM instance WHERE uid = ? AND collection = ? AND pack = ? AND pack_offset = ?`, string(uid), string(c), ref.Pack[:], ref.Offset).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return id, err == nil, err
}

// Leave notes a record of so many bytes as no instance's: it was written for one that is not held any more. Noting it again changes nothing.
func (r *Record) Leave(tx *db.Tx, ref Ref, size int64) error {
	_, err := tx.Exec(`INSERT INTO unused (pack, pack_offset, size, instance, why, since) VALUES (?, ?, ?, 0, 'not accepted', ?) ON CONFLICT DO NOTHING`, ref.Pack[:], ref.Offset, size, db.Micros(time.Now()))
	return err
}

// Replace gives an instance that is received or admitted the record of a tighter cleaning. What was released does not change.
func (r *Record) Replace(tx *db.Tx, id InstanceID, rev Revision) error {
	const attempt = "replace record"
	row, err := r.locked(tx, attempt, id)
	if err != nil {
		return err
	}
	if row.state == released || row.state == withdrawn {
		return wrongState(attempt, id, row.state)
	}
	return r.revise(tx, row, &rev)
}

// entry is what a revision says, to be checked as an entry is.
func (rev *Revision) entry(c collection.ID) Entry {
	e := Entry{Collection: c, Study: "0", Series: "0", SOP: "0", Deposit: 1, State: received, Ref: rev.Ref, HeadSize: rev.HeadSize, BulkSize: rev.BulkSize,
		StudyAttributes: rev.StudyAttributes, SeriesAttributes: rev.SeriesAttributes, InstanceAttributes: rev.InstanceAttributes}
	if rev.SOP != "" {
		e.SOP = rev.SOP
	}
	e.InstanceAttributes.TransferSyntax = rev.TransferSyntax
	return e
}

func (r *Record) revise(tx *db.Tx, row lockedRow, rev *Revision) error {
	e := rev.entry(row.collection)
	if err := e.prepare(); err != nil {
		return err
	}
	if err := r.replace(tx, row, rev, &e); err != nil {
		return err
	}
	return r.describeLocked(tx, row.study, row.series, &e.StudyAttributes, &e.SeriesAttributes, false)
}

// replace gives an instance another record, of which its study and series show nothing.
func (r *Record) replace(tx *db.Tx, row lockedRow, rev *Revision, e *Entry) error {
	now := db.Micros(time.Now())
	if row.ref != rev.Ref {
		if _, err := tx.Exec(`INSERT INTO unused (pack, pack_offset, size, instance, why, since) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			row.ref.Pack[:], row.ref.Offset, row.size, int64(row.id), "replaced", now); err != nil {
			return err
		}
	}
	a := &e.InstanceAttributes
	_, err := tx.Exec(`UPDATE instance SET pack = ?, pack_offset = ?, head_size = ?, bulk_size = ?, digest = ?, lexicon = ?, sop_class = ?, transfer_syntax = ?, number = ?,
		row_count = ?, column_count = ?, bits = ?, frames = ? WHERE id = ?`, rev.Ref.Pack[:], rev.Ref.Offset, rev.HeadSize, rev.BulkSize, rev.Digest[:], rev.Lexicon,
		a.SOPClass, a.TransferSyntax, a.Number, a.Rows, a.Columns, a.BitsAllocated, a.Frames, int64(row.id))
	return err
}

// Describe replaces what a study and one of its series show, after a tighter cleaning has changed it.
func (r *Record) Describe(tx *db.Tx, c collection.ID, study StudyID, series SeriesID, sa StudyAttributes, ra SeriesAttributes) error {
	e := Entry{Collection: c, Study: "0", Series: "0", SOP: "0", Deposit: 1, State: received, StudyAttributes: sa, SeriesAttributes: ra}
	if err := e.prepare(); err != nil {
		return err
	}
	if err := lock(tx, c); err != nil {
		return err
	}
	if err := r.describeLocked(tx, study, series, &e.StudyAttributes, &e.SeriesAttributes, true); err != nil {
		return err
	}
	return r.recount(tx, study)
}

// describeLocked writes attributes: over what is there, or where nothing is there.
func (r *Record) describeLocked(tx *db.Tx, study StudyID, series SeriesID, sa *StudyAttributes, ra *SeriesAttributes, over bool) error {
	var st *studyRow
	err := forRows(tx.Query, `SELECT `+studyText+` FROM study WHERE id = ?`, []any{int64(study)}, func(rows *sql.Rows) (err error) { st, err = scanStudyRow(rows); return err })
	if err != nil {
		return err
	}
	if st == nil {
		return fault.New(fault.NotFound, "describe study", "", "there is no such study")
	}
	if over {
		st.attributes, st.described = *sa, true
	} else {
		fill(st.attributes.fields(), sa.fields())
		if st.attributes.JSON == "" {
			st.attributes.JSON = sa.JSON
		}
		st.described = true
	}
	if _, err := tx.Exec(updateStudy, append(append([]any{int64(st.subject)}, st.attributeArgs()...), int64(study))...); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE study_part SET study_date = ? WHERE study = ? AND study_date <> ?`, st.attributes.StudyDate, int64(study), st.attributes.StudyDate); err != nil {
		return err
	}
	se := seriesRow{id: series}
	a := &se.attributes
	err = tx.QueryRow(`SELECT described, modality, number, description, body_part, step_date, step_time, attributes FROM series WHERE id = ? AND study = ?`, int64(series), int64(study)).
		Scan(&se.described, &a.Modality, &a.Number, &a.Description, &a.BodyPart, &a.StepDate, &a.StepTime, &a.JSON)
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, "describe series", "", "there is no such series in the study")
	}
	if err != nil {
		return err
	}
	if over || !se.described {
		se.attributes, se.described = *ra, true
		if _, err := tx.Exec(`DELETE FROM series_request WHERE series = ?`, int64(series)); err != nil {
			return err
		}
		var args []any
		for i, q := range ra.Requests {
			args = append(args, int64(series), int64(i), q.ScheduledStepID, q.RequestedProcedureID)
		}
		if err := insertRows(tx, `INSERT INTO series_request (series, item, step, requested)`, "", 4, args); err != nil {
			return err
		}
	} else {
		fill(a.fields(), ra.fields())
		if a.JSON == "" {
			a.JSON = ra.JSON
		}
	}
	_, err = tx.Exec(updateSeries, append(se.attributeArgs(), int64(series))...)
	return err
}

// Refuse drops an instance that is held: its row goes, its record is noted as unused, and the refusal is listed with its deposit. [Record.Known] tells whoever brings the
// same bytes again.
func (r *Record) Refuse(tx *db.Tx, id InstanceID, why Reason) (Changed, error) {
	const attempt = "refuse what is held"
	row, err := r.locked(tx, attempt, id)
	if err != nil {
		return Changed{}, err
	}
	if row.state != held && row.state != conflict && row.state != restricted {
		return Changed{}, wrongState(attempt, id, row.state)
	}
	if _, err := tx.Exec(`DELETE FROM instance WHERE id = ?`, int64(id)); err != nil {
		return Changed{}, err
	}
	if _, err := tx.Exec(`INSERT INTO unused (pack, pack_offset, size, instance, why, since) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		row.ref.Pack[:], row.ref.Offset, row.size, int64(id), "refused", db.Micros(time.Now())); err != nil {
		return Changed{}, err
	}
	var t tally
	t[row.state] = -1
	if err := refuse(tx, row.collection, row.deposit, row.ordinal, why, row.digest, t); err != nil {
		return Changed{}, err
	}
	return Changed{row.study, 1}, r.recount(tx, row.study)
}

// Release makes the admitted instances of a study part of a release; who did it is noted. A study without any is a fault.Conflict.
func (r *Record) Release(tx *db.Tx, c collection.ID, uid StudyUID, by string) (Changed, error) {
	const attempt = "release study"
	if err := lock(tx, c); err != nil {
		return Changed{}, err
	}
	var study StudyID
	err := tx.QueryRow(`SELECT id FROM study WHERE uid = ? AND collection = ?`, string(uid), string(c)).Scan(&study)
	if errors.Is(err, sql.ErrNoRows) {
		return Changed{}, fault.New(fault.NotFound, attempt, "collection "+string(c), "there is no such study")
	}
	if err != nil {
		return Changed{}, err
	}
	n, err := r.move(tx, c, study, "", 0, []State{admitted}, released)
	if err != nil {
		return Changed{}, err
	}
	if n == 0 {
		return Changed{}, fault.New(fault.Conflict, attempt, "collection "+string(c), "the study has no admitted instance")
	}
	id, err := ident.New()
	if err != nil {
		return Changed{}, err
	}
	_, err = tx.Exec(`INSERT INTO publication (id, study, actor, instances, published) VALUES (?, ?, ?, ?, ?)`, id, int64(study), clean(by), n, db.Micros(time.Now()))
	return Changed{study, n}, err
}

// Withdraw takes everything of a subject out of sight for good and forgets what studies and series showed of it.
func (r *Record) Withdraw(tx *db.Tx, c collection.ID, who subject.ID) ([]Changed, error) {
	if err := lock(tx, c); err != nil {
		return nil, err
	}
	var studies []StudyID
	// By the instances: one of theirs may lie in a study that is another's.
	err := forRows(tx.Query, `SELECT DISTINCT e.study FROM instance i JOIN series e ON e.id = i.series WHERE i.subject = ? AND i.collection = ? ORDER BY e.study`,
		[]any{int64(who), string(c)}, func(rows *sql.Rows) error {
			var id StudyID
			err := rows.Scan(&id)
			studies = append(studies, id)
			return err
		})
	if err != nil {
		return nil, err
	}
	var all []Changed
	for _, study := range studies {
		n, err := r.move(tx, c, study, "subject", int64(who), []State{received, admitted, held, conflict, released, restricted}, withdrawn)
		if err != nil {
			return nil, err
		}
		all = append(all, Changed{study, n})
		var owner subject.ID
		if err := tx.QueryRow(`SELECT subject FROM study WHERE id = ?`, int64(study)).Scan(&owner); err != nil {
			return nil, err
		}
		if owner != who {
			continue
		}
		blank := studyRow{attributes: StudyAttributes{}}
		if _, err := tx.Exec(updateStudy, append(append([]any{int64(who)}, blank.attributeArgs()...), int64(study))...); err != nil {
			return nil, err
		}
		if _, err := tx.Exec(`UPDATE series SET described = 0, description = '', body_part = '', step_date = '', step_time = '', step_moment = -1, attributes = '' WHERE study = ?`, int64(study)); err != nil {
			return nil, err
		}
		if _, err := tx.Exec(`DELETE FROM series_request WHERE series IN (SELECT id FROM series WHERE study = ?)`, int64(study)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// move changes the state of a study's instances, of those alone of which a column has a value if one is named, and every count that depends on it.
func (r *Record) move(tx *db.Tx, c collection.ID, study StudyID, column string, value int64, from []State, to State) (int64, error) {
	states := make([]int64, len(from))
	for i, s := range from {
		states[i] = int64(s)
	}
	list, args := inList(states)
	where := ` WHERE series IN (SELECT id FROM series WHERE study = ?) AND state IN ` + list
	args = append([]any{int64(study)}, args...)
	if column != "" {
		where, args = where+` AND `+column+` = ?`, append(args, value)
	}
	deltas := map[DepositID]*tally{}
	var order []DepositID
	var all tally
	err := forRows(tx.Query, `SELECT deposit, state, COUNT(*) FROM instance`+where+` GROUP BY deposit, state ORDER BY deposit`, args, func(rows *sql.Rows) error {
		var id DepositID
		var st State
		var n int64
		if err := rows.Scan(&id, &st, &n); err != nil {
			return err
		}
		if deltas[id] == nil {
			deltas[id] = &tally{}
			order = append(order, id)
		}
		for _, t := range []*tally{deltas[id], &all} {
			t[st] -= n
			t[to] += n
		}
		return nil
	})
	if err != nil || len(order) == 0 {
		return 0, err
	}
	if _, err := tx.Exec(`UPDATE instance SET state = ?`+where, append([]any{int64(to)}, args...)...); err != nil {
		return 0, err
	}
	for _, id := range order {
		if err := countDeposit(tx, id, *deltas[id], 0, 0); err != nil {
			return 0, err
		}
	}
	if err := countIntake(tx, c, all, 0, 0); err != nil {
		return 0, err
	}
	return all[to], r.recount(tx, study)
}

// recount computes the counts of a study, its series and its parts from its instances.
func (r *Record) recount(tx *db.Tx, study StudyID) error {
	type counted struct {
		modality string
		tally
	}
	series := map[SeriesID]*counted{}
	var order []SeriesID
	var whole tally
	modalities := map[string]*tally{}
	err := forRows(tx.Query, `SELECT id, modality FROM series WHERE study = ? ORDER BY id`, []any{int64(study)}, func(rows *sql.Rows) error {
		var id SeriesID
		var c counted
		err := rows.Scan(&id, &c.modality)
		series[id], order = &c, append(order, id)
		return err
	})
	if err != nil {
		return err
	}
	classes := map[string]*tally{}
	err = forRows(tx.Query, `SELECT series, state, sop_class, COUNT(*) FROM instance WHERE series IN (SELECT id FROM series WHERE study = ?) GROUP BY series, state, sop_class`,
		[]any{int64(study)}, func(rows *sql.Rows) error {
			var id SeriesID
			var st State
			var class string
			var n int64
			if err := rows.Scan(&id, &st, &class, &n); err != nil {
				return err
			}
			s := series[id]
			s.tally[st] += n
			whole[st] += n
			if visible(st) {
				add(modalities, s.modality, st, n)
				add(classes, class, st, n)
			}
			return nil
		})
	if err != nil {
		return err
	}
	const set = ` SET received = ?, admitted = ?, conflict = ?, held = ?, released = ?, withdrawn = ?, restricted = ? WHERE id = ?`
	for _, id := range order {
		if _, err := tx.Exec(`UPDATE series`+set, append(series[id].args(), int64(id))...); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(`UPDATE study`+set, append(whole.args(), int64(study))...); err != nil {
		return err
	}
	var date string
	if err := tx.QueryRow(`SELECT study_date FROM study WHERE id = ?`, int64(study)).Scan(&date); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM study_part WHERE study = ?`, int64(study)); err != nil {
		return err
	}
	var args []any
	for what, m := range map[int64]map[string]*tally{partModality: modalities, partSOPClass: classes} {
		for value, t := range m {
			args = append(args, int64(study), what, value, date, t[received], t[admitted], t[released])
		}
	}
	return insertRows(tx, insertPart, "", 7, args)
}

func add(m map[string]*tally, key string, st State, n int64) {
	if m[key] == nil {
		m[key] = &tally{}
	}
	m[key][st] += n
}

// lockedRow is an instance whose collection is locked.
type lockedRow struct {
	id         InstanceID
	study      StudyID
	series     SeriesID
	collection collection.ID
	uid        SOPUID
	variant    int64
	state      State
	ref        Ref
	size       int64
	digest     []byte
	deposit    DepositID
	ordinal    int64
	reasons    []Reason
}

func (r *Record) locked(tx *db.Tx, attempt string, id InstanceID) (lockedRow, error) {
	row := lockedRow{id: id}
	missing := fault.New(fault.NotFound, attempt, "instance "+id.String(), "there is no such instance")
	err := tx.QueryRow(`SELECT collection FROM instance WHERE id = ?`, int64(id)).Scan(&row.collection)
	if errors.Is(err, sql.ErrNoRows) {
		return row, missing
	}
	if err != nil {
		return row, err
	}
	if err := lock(tx, row.collection); err != nil {
		return row, err
	}
	var pack []byte
	var reasons string
	err = tx.QueryRow(`SELECT e.study, i.series, i.uid, i.variant, i.state, i.pack, i.pack_offset, i.head_size + i.bulk_size, i.digest, i.deposit, i.ordinal, i.reasons
		FROM instance i JOIN series e ON e.id = i.series WHERE i.id = ?`, int64(id)).
		Scan(&row.study, &row.series, &row.uid, &row.variant, &row.state, &pack, &row.ref.Offset, &row.size, &row.digest, &row.deposit, &row.ordinal, &reasons)
	if errors.Is(err, sql.ErrNoRows) {
		return row, missing
	}
	if err != nil {
		return row, err
	}
	copy(row.ref.Pack[:], pack)
	row.reasons, err = parseReasons(reasons)
	return row, err
}

func wrongState(attempt string, id InstanceID, s State) error {
	return fault.New(fault.Conflict, attempt, "instance "+id.String(), "it is "+s.String())
}
