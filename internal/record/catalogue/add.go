package catalogue

import (
	"bytes"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ident"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Kind is what became of an entry.
type Kind int

// The kinds.
const (
	Added     Kind = iota + 1 // a new row, received or held
	Conflicts                 // a new row, held because other bytes are known under its SOP Instance UID
	Duplicate                 // the same bytes are known; the new record is noted as unused
	Replayed                  // this very record was added before; nothing changed
)

func (k Kind) String() string {
	return [...]string{"nothing", "added", "conflict", "duplicate", "replayed"}[k]
}

// The codes of reasons that AddBatch gives.
const (
	CodeConflict       = "conflict"
	CodeAnotherSubject = "study-of-another-subject"
)

// Outcome is what became of an entry and of which row it is.
type Outcome struct {
	Kind     Kind
	Instance InstanceID // the row; of a duplicate, the row that was there
	Variant  int64      // 0, or the number of a conflict
	State    State      // of that row
	Reasons  []Reason   // why it is held, as far as this call decided it
}

// AddBatch adds objects that lie durably in packs. It is all or nothing, like the transaction, and idempotent: replayed entries are recognised by where
// their record lies. Outcomes are in the order of the entries. Entries may come from several collections and deposits; they are changed in place, their
// text made fit for storage.
func (r *Record) AddBatch(tx *db.Tx, entries []Entry) ([]Outcome, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	b := batch{
		tx: tx, now: db.Micros(time.Now()),
		studies: map[studyKey]*studyRow{}, series: map[seriesKey]*seriesRow{}, known: map[sopKey][]knownRow{},
		deposits: map[DepositID]*depositDelta{}, unused: map[Ref]bool{}, intake: map[collection.ID]*intakeDelta{}, parts: map[partKey]*tally{}, open: map[openKey]bool{}, gone: map[subject.ID]bool{},
	}
	if err := b.load(entries); err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(entries))
	for i := range entries {
		var err error
		if outcomes[i], err = b.add(&entries[i]); err != nil {
			return nil, err
		}
	}
	return outcomes, b.write()
}

type (
	studyKey struct {
		collection collection.ID
		uid        StudyUID
	}
	seriesKey struct {
		study StudyID
		uid   SeriesUID
	}
	sopKey struct {
		collection collection.ID
		uid        SOPUID
	}
	partKey struct {
		study *studyRow
		what  int64
		value string
	}
	openKey struct {
		deposit DepositID
		study   StudyID
	}
)

// What study_part counts by.
const (
	partModality = 1
	partSOPClass = 2
)

type studyRow struct {
	id         StudyID
	collection collection.ID
	uid        StudyUID
	subject    subject.ID
	described  bool
	attributes StudyAttributes
	fresh      bool // not in the table yet
	changed    bool // attributes, subject or described differ from the table
	redated    bool // parts in the table have another date
	delta      tally
	counts     bool
}

type seriesRow struct {
	id         SeriesID
	study      *studyRow
	uid        SeriesUID
	described  bool
	attributes SeriesAttributes
	fresh      bool
	changed    bool
	delta      tally
	counts     bool
}

type knownRow struct {
	id      InstanceID
	variant int64
	state   State
	ref     Ref
	digest  [32]byte
}

type depositDelta struct {
	collection collection.ID
	known      bool
	ended      bool
	delta      tally
	duplicate  int64
}

type intakeDelta struct {
	delta     tally
	duplicate int64
}

// batch is one AddBatch at work.
type batch struct {
	tx       *db.Tx
	now      int64
	studies  map[studyKey]*studyRow
	series   map[seriesKey]*seriesRow
	known    map[sopKey][]knownRow
	deposits map[DepositID]*depositDelta
	unused   map[Ref]bool
	intake   map[collection.ID]*intakeDelta
	parts    map[partKey]*tally
	open     map[openKey]bool
	gone     map[subject.ID]bool // subjects that are withdrawn

	newStudies []*studyRow
	newSeries  []*seriesRow
	instances  []any // arguments of new rows
	newUnused  []any
}

const (
	studyText = `id, collection, uid, subject, described, patient_name, patient_id, birth_date, sex, study_date, study_time, accession, study_id, description, referrer, timezone, attributes`

	insertStudy = `INSERT INTO study (id, collection, uid, subject, described, patient_name, patient_name_key, patient_name_other, patient_id, birth_date, sex,
	study_date, study_time, study_moment, accession, study_id, description, referrer, referrer_key, referrer_other, timezone, attributes, touched, created, ` + tallyColumns + `)`
	insertSeries = `INSERT INTO series (id, study, uid, described, modality, number, description, body_part, step_date, step_time, step_moment, attributes, created, ` +
		tallyColumns + `)`
	insertInstance = `INSERT INTO instance (id, series, collection, uid, variant, state, subject, sop_class, transfer_syntax, number, row_count, column_count, bits, frames,
	pack, pack_offset, head_size, bulk_size, digest, reasons, deposit, ordinal, lexicon, created, reading)`
	insertPart   = `INSERT INTO study_part (study, what, value, study_date, received, admitted, released)`
	addPart      = ` ON CONFLICT (study, what, value) DO UPDATE SET received = study_part.received + excluded.received, admitted = study_part.admitted + excluded.admitted, released = study_part.released + excluded.released`
	insertUnused = `INSERT INTO unused (pack, pack_offset, size, instance, why, since)`

	updateStudy = `UPDATE study SET subject = ?, described = ?, patient_name = ?, patient_name_key = ?, patient_name_other = ?, patient_id = ?, birth_date = ?, sex = ?,
	study_date = ?, study_time = ?, study_moment = ?, accession = ?, study_id = ?, description = ?, referrer = ?, referrer_key = ?, referrer_other = ?, timezone = ?, attributes = ?
	WHERE id = ?`
	updateSeries = `UPDATE series SET described = ?, modality = ?, number = ?, description = ?, body_part = ?, step_date = ?, step_time = ?, step_moment = ?, attributes = ? WHERE id = ?`
	countStudy   = `UPDATE study SET received = received + ?, admitted = admitted + ?, conflict = conflict + ?, held = held + ?, released = released + ?, withdrawn = withdrawn + ?, restricted = restricted + ?,
	touched = CASE WHEN touched < ? THEN ? ELSE touched + 1 END WHERE id = ?`
	countSeries = `UPDATE series SET received = received + ?, admitted = admitted + ?, conflict = conflict + ?, held = held + ?, released = released + ?, withdrawn = withdrawn + ?, restricted = restricted + ? WHERE id = ?`
)

// load reads everything that the entries touch, with a query for each kind of row and not for each entry.
func (b *batch) load(entries []Entry) error {
	studies, series, people, sops := map[StudyUID]bool{}, map[SeriesUID]bool{}, map[int64]bool{}, make([]string, 0, len(entries))
	for i := range entries {
		e := &entries[i]
		if err := e.prepare(); err != nil {
			return err
		}
		if b.intake[e.Collection] == nil {
			b.intake[e.Collection] = &intakeDelta{}
		}
		if b.deposits[e.Deposit] == nil {
			b.deposits[e.Deposit] = &depositDelta{collection: e.Collection}
		}
		studies[e.Study], series[e.Series], people[int64(e.Subject)] = true, true, true
		sops = append(sops, string(e.SOP))
	}
	for _, c := range slices.Sorted(maps.Keys(b.intake)) {
		if err := lock(b.tx, c); err != nil {
			return err
		}
	}
	// Behind the lock: who withdraws takes it too, so that nothing of a subject comes into sight after they have.
	err := inChunks(b.tx.Query, `SELECT id FROM subject WHERE withdrawn <> 0 AND id IN `, slices.Sorted(maps.Keys(people)), func(rows *sql.Rows) error {
		var id subject.ID
		err := rows.Scan(&id)
		b.gone[id] = true
		return err
	})
	if err != nil {
		return err
	}
	byID := map[StudyID]*studyRow{}
	err = inChunks(b.tx.Query, `SELECT `+studyText+` FROM study WHERE uid IN `, keyStrings(studies), func(rows *sql.Rows) error {
		s, err := scanStudyRow(rows)
		if err == nil {
			byID[s.id], b.studies[studyKey{s.collection, s.uid}] = s, s
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(byID) > 0 {
		err = inChunks(b.tx.Query, `SELECT id, study, uid, described, modality, number, description, body_part, step_date, step_time, attributes FROM series WHERE uid IN `,
			keyStrings(series), func(rows *sql.Rows) error {
				var s seriesRow
				var study StudyID
				a := &s.attributes
				err := rows.Scan(&s.id, &study, &s.uid, &s.described, &a.Modality, &a.Number, &a.Description, &a.BodyPart, &a.StepDate, &a.StepTime, &a.JSON)
				if s.study = byID[study]; s.study != nil {
					b.series[seriesKey{study, s.uid}] = &s
				}
				return err
			})
		if err != nil {
			return err
		}
	}
	var same []Ref // records of content that is known, under another record
	err = inChunks(b.tx.Query, `SELECT id, collection, uid, variant, state, pack, pack_offset, digest FROM instance WHERE uid IN `, sops, func(rows *sql.Rows) error {
		var k knownRow
		var key sopKey
		var pack, digest sql.RawBytes
		if err := rows.Scan(&k.id, &key.collection, &key.uid, &k.variant, &k.state, &pack, &k.ref.Offset, &digest); err != nil {
			return err
		}
		copy(k.ref.Pack[:], pack)
		copy(k.digest[:], digest)
		b.known[key] = append(b.known[key], k)
		return nil
	})
	if err != nil {
		return err
	}
	for i := range entries {
		e := &entries[i]
		if len(b.known[sopKey{e.Collection, e.SOP}]) > 0 {
			same = append(same, e.Ref)
		}
	}
	if err := b.loadUnused(same); err != nil {
		return err
	}
	return inChunks(b.tx.Query, `SELECT id, ended FROM deposit WHERE id IN `, slices.Sorted(maps.Keys(b.deposits)), func(rows *sql.Rows) error {
		var id DepositID
		var ended int64
		if err := rows.Scan(&id, &ended); err != nil {
			return err
		}
		b.deposits[id].known, b.deposits[id].ended = true, ended != 0
		return nil
	})
}

// loadUnused finds which of the records were noted as unused before: replayed duplicates.
func (b *batch) loadUnused(refs []Ref) error {
	packs := map[PackID][]int64{}
	for _, r := range refs {
		packs[r.Pack] = append(packs[r.Pack], r.Offset)
	}
	for pack, offsets := range packs {
		q := func(query string, args ...any) (*sql.Rows, error) {
			return b.tx.Query(query, append([]any{pack[:]}, args...)...)
		}
		err := inChunks(q, `SELECT pack_offset FROM unused WHERE pack = ? AND pack_offset IN `, offsets, func(rows *sql.Rows) error {
			var o int64
			err := rows.Scan(&o)
			b.unused[Ref{pack, o}] = true
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func keyStrings[K ~string](m map[K]bool) []string {
	s := make([]string, 0, len(m))
	for k := range m {
		s = append(s, string(k))
	}
	slices.Sort(s)
	return s
}

func scanStudyRow(rows *sql.Rows) (*studyRow, error) {
	s := &studyRow{}
	a := &s.attributes
	err := rows.Scan(&s.id, &s.collection, &s.uid, &s.subject, &s.described, &a.PatientName, &a.PatientID, &a.BirthDate, &a.Sex, &a.StudyDate, &a.StudyTime,
		&a.AccessionNumber, &a.StudyID, &a.Description, &a.ReferringPhysicianName, &a.Timezone, &a.JSON)
	return s, err
}

// add decides about one entry.
func (b *batch) add(e *Entry) (Outcome, error) {
	key := sopKey{e.Collection, e.SOP}
	known := b.known[key]
	d := b.deposits[e.Deposit]
	var last int64 = -1
	for _, k := range known {
		if k.ref == e.Ref {
			return Outcome{Kind: Replayed, Instance: k.id, Variant: k.variant, State: k.state}, nil
		}
		last = max(last, k.variant)
	}
	if len(known) > 0 && b.unused[e.Ref] {
		// A duplicate that was noted before, or a record that was replaced by a tighter one.
		k := sameOrMain(known, e.Digest)
		return Outcome{Kind: Replayed, Instance: k.id, Variant: k.variant, State: k.state}, nil
	}
	for _, k := range known {
		if bytes.Equal(k.digest[:], e.Digest[:]) {
			b.unused[e.Ref] = true
			pack := e.Ref.Pack
			b.newUnused = append(b.newUnused, pack[:], e.Ref.Offset, e.HeadSize+e.BulkSize, int64(k.id), "duplicate", b.now)
			d.duplicate++
			b.intake[e.Collection].duplicate++
			return Outcome{Kind: Duplicate, Instance: k.id, Variant: k.variant, State: k.state}, nil
		}
	}

	st, err := b.studyOf(e)
	if err != nil {
		return Outcome{}, err
	}
	o := Outcome{Kind: Added, Variant: last + 1, State: e.State, Reasons: e.Reasons}
	switch {
	case b.gone[e.Subject]: // it was acknowledged a moment before they withdrew
		o.State, o.Reasons = withdrawn, nil
	case len(known) > 0:
		o.Kind, o.State = Conflicts, conflict
		o.Reasons = append(slices.Clone(e.Reasons), Reason{Code: CodeConflict, Where: "(0008,0018)", Text: "other bytes are known under this SOP Instance UID"})
	case e.State == received && st.subject != e.Subject && st.described:
		o.State = held
		o.Reasons = append(slices.Clone(e.Reasons), Reason{Code: CodeAnotherSubject, Where: "(0020,000D)", Text: "the study is known as another subject's"})
	}
	se, err := b.seriesOf(e, st)
	if err != nil {
		return Outcome{}, err
	}
	if o.State == received {
		b.describe(e, st, se)
		for _, p := range [...]partKey{{st, partModality, se.attributes.Modality}, {st, partSOPClass, e.InstanceAttributes.SOPClass}} {
			if b.parts[p] == nil {
				b.parts[p] = &tally{}
			}
			b.parts[p][received]++
		}
		if !d.ended && d.known {
			b.open[openKey{e.Deposit, st.id}] = true
		}
	}
	for _, t := range []*tally{&st.delta, &se.delta, &d.delta, &b.intake[e.Collection].delta} {
		t[o.State]++
	}
	st.counts, se.counts = true, true

	id, err := ident.New()
	if err != nil {
		return o, err
	}
	o.Instance = InstanceID(id)
	reasons, err := reasonsText(o.Reasons)
	if err != nil {
		return o, err
	}
	pack, digest := e.Ref.Pack, e.Digest
	a := &e.InstanceAttributes
	reading := int64(0)
	if e.Unread && o.State != conflict && o.State != withdrawn {
		reading = unread
	}
	b.instances = append(b.instances, id, int64(se.id), string(e.Collection), string(e.SOP), o.Variant, int64(o.State), int64(e.Subject), a.SOPClass, a.TransferSyntax, a.Number,
		a.Rows, a.Columns, a.BitsAllocated, a.Frames, pack[:], e.Ref.Offset, e.HeadSize, e.BulkSize, digest[:], reasons, int64(e.Deposit), e.Ordinal, e.Lexicon, b.now, reading)
	b.known[key] = append(known, knownRow{o.Instance, o.Variant, o.State, e.Ref, e.Digest})
	return o, nil
}

func sameOrMain(known []knownRow, digest [32]byte) knownRow {
	for _, k := range known {
		if k.digest == digest {
			return k
		}
	}
	return slices.MinFunc(known, func(a, b knownRow) int { return int(a.variant - b.variant) })
}

func (b *batch) studyOf(e *Entry) (*studyRow, error) {
	key := studyKey{e.Collection, e.Study}
	if s := b.studies[key]; s != nil {
		return s, nil
	}
	id, err := ident.New()
	if err != nil {
		return nil, err
	}
	s := &studyRow{id: StudyID(id), collection: e.Collection, uid: e.Study, subject: e.Subject, fresh: true}
	b.studies[key] = s
	b.newStudies = append(b.newStudies, s)
	return s, nil
}

func (b *batch) seriesOf(e *Entry, st *studyRow) (*seriesRow, error) {
	key := seriesKey{st.id, e.Series}
	if s := b.series[key]; s != nil {
		return s, nil
	}
	id, err := ident.New()
	if err != nil {
		return nil, err
	}
	s := &seriesRow{id: SeriesID(id), study: st, uid: e.Series, attributes: SeriesAttributes{Number: Absent}, fresh: true}
	b.series[key] = s
	b.newSeries = append(b.newSeries, s)
	return s, nil
}

// describe gives study and series what the entry says of them, where nothing is said yet.
func (b *batch) describe(e *Entry, st *studyRow, se *seriesRow) {
	date := st.attributes.StudyDate
	if fill(st.attributes.fields(), e.StudyAttributes.fields()) {
		st.changed = true
	}
	if st.attributes.JSON == "" && e.StudyAttributes.JSON != "" {
		st.attributes.JSON, st.changed = e.StudyAttributes.JSON, true
	}
	if !st.described {
		st.described, st.subject, st.changed = true, e.Subject, true
	}
	if st.attributes.StudyDate != date && !st.fresh {
		st.redated = true
	}
	a := &se.attributes
	modality := a.Modality
	if fill(a.fields(), e.SeriesAttributes.fields()) {
		se.changed = true
	}
	if se.described {
		a.Modality = modality // what its instances were counted under
	} else {
		a.Number, a.Requests = e.SeriesAttributes.Number, e.SeriesAttributes.Requests
		se.described, se.changed = true, true
	}
	if a.JSON == "" && e.SeriesAttributes.JSON != "" {
		a.JSON, se.changed = e.SeriesAttributes.JSON, true
	}
}

// attributeArgs are the values of a study from described to attributes.
func (s *studyRow) attributeArgs() []any {
	a := &s.attributes
	key, other := foldName(a.PatientName)
	rkey, rother := foldName(a.ReferringPhysicianName)
	at, _ := moment(a.StudyTime, false)
	return []any{flag(s.described), a.PatientName, key, other, a.PatientID, a.BirthDate, a.Sex, a.StudyDate, a.StudyTime, at, a.AccessionNumber, a.StudyID, a.Description,
		a.ReferringPhysicianName, rkey, rother, a.Timezone, a.JSON}
}

func (s *seriesRow) attributeArgs() []any {
	a := &s.attributes
	at, _ := moment(a.StepTime, false)
	return []any{flag(s.described), a.Modality, a.Number, a.Description, a.BodyPart, a.StepDate, a.StepTime, at, a.JSON}
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// write brings the decisions into the tables.
func (b *batch) write() error {
	var args, requests []any
	for _, s := range b.newStudies {
		args = append(args, int64(s.id), string(s.collection), string(s.uid), int64(s.subject))
		args = append(append(args, s.attributeArgs()...), b.now, b.now)
		args = append(args, s.delta.args()...)
	}
	if err := insertRows(b.tx, insertStudy, "", 31, args); err != nil {
		return err
	}
	args = nil
	for _, s := range b.newSeries {
		args = append(append(args, int64(s.id), int64(s.study.id), string(s.uid)), s.attributeArgs()...)
		args = append(append(args, b.now), s.delta.args()...)
	}
	if err := insertRows(b.tx, insertSeries, "", 20, args); err != nil {
		return err
	}
	if err := insertRows(b.tx, insertInstance, "", 25, b.instances); err != nil {
		return err
	}
	for _, s := range slices.SortedFunc(maps.Values(b.studies), func(x, y *studyRow) int { return int(x.id - y.id) }) {
		if s.fresh {
			continue
		}
		if s.changed {
			if _, err := b.tx.Exec(updateStudy, append(append([]any{int64(s.subject)}, s.attributeArgs()...), int64(s.id))...); err != nil {
				return err
			}
		}
		if s.redated {
			if _, err := b.tx.Exec(`UPDATE study_part SET study_date = ? WHERE study = ?`, s.attributes.StudyDate, int64(s.id)); err != nil {
				return err
			}
		}
		if s.counts {
			if _, err := b.tx.Exec(countStudy, append(s.delta.args(), b.now, b.now, int64(s.id))...); err != nil {
				return err
			}
		}
	}
	for _, s := range slices.SortedFunc(maps.Values(b.series), func(x, y *seriesRow) int { return int(x.id - y.id) }) {
		for i, q := range s.attributes.Requests {
			requests = append(requests, int64(s.id), int64(i), q.ScheduledStepID, q.RequestedProcedureID)
		}
		if s.fresh {
			continue
		}
		if s.changed {
			if _, err := b.tx.Exec(updateSeries, append(s.attributeArgs(), int64(s.id))...); err != nil {
				return err
			}
		}
		if s.counts {
			if _, err := b.tx.Exec(countSeries, append(s.delta.args(), int64(s.id))...); err != nil {
				return err
			}
		}
	}
	if err := insertRows(b.tx, `INSERT INTO series_request (series, item, step, requested)`, "", 4, requests); err != nil {
		return err
	}
	args = nil
	for _, p := range slices.SortedFunc(maps.Keys(b.parts), comparePart) {
		t := b.parts[p]
		args = append(args, int64(p.study.id), p.what, p.value, p.study.attributes.StudyDate, t[received], t[admitted], t[released])
	}
	if err := insertRows(b.tx, insertPart, addPart, 7, args); err != nil {
		return err
	}
	if err := insertRows(b.tx, insertUnused, "", 6, b.newUnused); err != nil {
		return err
	}
	args = nil
	for k := range b.open {
		args = append(args, int64(k.deposit), int64(k.study))
	}
	if err := insertRows(b.tx, `INSERT INTO study_open (deposit, study)`, ` ON CONFLICT DO NOTHING`, 2, args); err != nil {
		return err
	}
	return b.writeCounts()
}

func (b *batch) writeCounts() error {
	for _, id := range slices.Sorted(maps.Keys(b.deposits)) {
		d := b.deposits[id]
		if d.delta == (tally{}) && d.duplicate == 0 {
			continue
		}
		if !d.known {
			// Replayed from a pack whose deposit is in no table: it is over by now.
			if err := insertDeposit(b.tx, id, d.collection, "", "", b.now, b.now); err != nil {
				return err
			}
		}
		if err := countDeposit(b.tx, id, d.delta, 0, d.duplicate); err != nil {
			return err
		}
	}
	for _, c := range slices.Sorted(maps.Keys(b.intake)) {
		if d := b.intake[c]; d.delta != (tally{}) || d.duplicate != 0 {
			if err := countIntake(b.tx, c, d.delta, 0, d.duplicate); err != nil {
				return err
			}
		}
	}
	return nil
}

func comparePart(x, y partKey) int {
	if d := int64(x.study.id - y.study.id); d != 0 {
		return int(d)
	}
	if d := x.what - y.what; d != 0 {
		return int(d)
	}
	return strings.Compare(x.value, y.value)
}
