package catalogue

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// fixture is a fresh catalogue with hands.
type fixture struct {
	*testing.T
	d      *db.DB
	r      *Record
	offset int64
}

// opened is the record beside that of the people whom its rows name: who is withdrawn is written there.
func opened(ctx context.Context, d *db.DB) (*Record, error) {
	if _, err := subject.OpenRecord(ctx, d); err != nil {
		return nil, err
	}
	return OpenRecord(ctx, d)
}

func each(t *testing.T, test func(f *fixture)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := opened(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		test(&fixture{T: t, d: d, r: r})
	})
}

func (f *fixture) write(fn func(tx *db.Tx) error) {
	f.Helper()
	if err := f.d.Write(context.Background(), fn); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) deposit(c collection.ID) (id DepositID) {
	f.Helper()
	f.write(func(tx *db.Tx) (err error) { id, err = f.r.StartDeposit(tx, c, "dicomweb", "token-1"); return err })
	return id
}

func (f *fixture) add(entries ...Entry) (out []Outcome) {
	f.Helper()
	f.write(func(tx *db.Tx) (err error) { out, err = f.r.AddBatch(tx, entries); return err })
	return out
}

// entry is an object of study n, series n.s, instance n.s.i, with content named.
func (f *fixture) entry(id DepositID, study, series, instance int, content string) Entry {
	f.offset += 4096
	return Entry{
		Collection: "breast", Subject: 7,
		Study: StudyUID(fmt.Sprintf("1.2.%d", study)), Series: SeriesUID(fmt.Sprintf("1.2.%d.%d", study, series)), SOP: SOPUID(fmt.Sprintf("1.2.%d.%d.%d", study, series, instance)),
		StudyAttributes: StudyAttributes{PatientName: fmt.Sprintf("P-%d", study), PatientID: fmt.Sprintf("P-%d", study), BirthDate: "19500101", Sex: "F",
			StudyDate: fmt.Sprintf("202001%02d", study), StudyTime: fmt.Sprintf("%02d3000.5", study), AccessionNumber: fmt.Sprintf("A%d", study), StudyID: "S", JSON: `{"00081030":{"vr":"LO"}}`},
		SeriesAttributes:   SeriesAttributes{Modality: "MG", Number: int64(series), Description: "view"},
		InstanceAttributes: InstanceAttributes{SOPClass: "1.2.840.10008.5.1.4.1.1.1.2", TransferSyntax: "1.2.840.10008.1.2.1", Number: int64(instance), Rows: 10, Columns: 20, BitsAllocated: 16},
		Ref:                Ref{Pack: PackID{1}, Offset: f.offset}, HeadSize: 1000, BulkSize: 5000, Digest: sha256.Sum256([]byte(content)),
		State: received, Deposit: id, Ordinal: int64(instance),
	}
}

func heldEntry(e Entry) Entry {
	e.State, e.Reasons = held, []Reason{{Code: "burned-in", Where: "(7FE0,0010)", Text: "may carry burned-in text"}}
	return e
}

// see is what a role sees everywhere.
func see(states ...State) []policy.Scope {
	return []policy.Scope{{Collection: policy.AllCollections, States: states}}
}

var everything = see(received, admitted, held, conflict, released, withdrawn)

func (f *fixture) studies(scopes []policy.Scope, conditions ...string) []*Study {
	f.Helper()
	found, _, err := f.r.SearchStudies(f.Context(), f.query(Studies, scopes, conditions...))
	if err != nil {
		f.Fatal(err)
	}
	return found
}

func (f *fixture) query(level Level, scopes []policy.Scope, conditions ...string) *Query {
	f.Helper()
	q := NewQuery(level)
	q.Scopes = scopes
	for i := 0; i < len(conditions); i += 2 {
		if ok, err := q.Match(conditions[i], conditions[i+1]); err != nil || !ok {
			f.Fatalf("match %s: %v, %v", conditions[i], ok, err)
		}
	}
	return q
}

func (f *fixture) locate(scopes []policy.Scope, study StudyUID, series SeriesUID, sop SOPUID) (all []Located) {
	f.Helper()
	for l, err := range f.r.Locate(f.Context(), Where{Scopes: scopes, Study: study, Series: series, SOP: sop}) {
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

func (f *fixture) intake(c collection.ID) Counts {
	f.Helper()
	n, err := f.r.Intake(f.Context(), c)
	if err != nil {
		f.Fatal(err)
	}
	return n
}

func (f *fixture) admitAll() (n int64) {
	f.Helper()
	due, err := f.r.DueStudies(f.Context(), time.Now().Add(time.Hour), 0)
	if err != nil {
		f.Fatal(err)
	}
	for _, d := range due {
		f.write(func(tx *db.Tx) error {
			c, err := f.r.Admit(tx, d)
			n += c.Instances
			return err
		})
	}
	return n
}

// consistent recounts everything by hand and compares it with what is kept.
func (f *fixture) consistent() {
	f.Helper()
	for what, query := range map[string]string{
		"series": `SELECT COUNT(*) FROM series e WHERE e.received <> (SELECT COUNT(*) FROM instance i WHERE i.series = e.id AND i.state = 1)
			OR e.admitted <> (SELECT COUNT(*) FROM instance i WHERE i.series = e.id AND i.state = 2) OR e.held <> (SELECT COUNT(*) FROM instance i WHERE i.series = e.id AND i.state = 3)
			OR e.conflict <> (SELECT COUNT(*) FROM instance i WHERE i.series = e.id AND i.state = 4) OR e.released <> (SELECT COUNT(*) FROM instance i WHERE i.series = e.id AND i.state = 5)
			OR e.withdrawn <> (SELECT COUNT(*) FROM instance i WHERE i.series = e.id AND i.state = 6)`,
		"study": `SELECT COUNT(*) FROM study s WHERE s.received <> (SELECT COALESCE(SUM(e.received), 0) FROM series e WHERE e.study = s.id)
			OR s.admitted <> (SELECT COALESCE(SUM(e.admitted), 0) FROM series e WHERE e.study = s.id) OR s.held <> (SELECT COALESCE(SUM(e.held), 0) FROM series e WHERE e.study = s.id)
			OR s.conflict <> (SELECT COALESCE(SUM(e.conflict), 0) FROM series e WHERE e.study = s.id) OR s.released <> (SELECT COALESCE(SUM(e.released), 0) FROM series e WHERE e.study = s.id)
			OR s.withdrawn <> (SELECT COALESCE(SUM(e.withdrawn), 0) FROM series e WHERE e.study = s.id)`,
		"part": `SELECT COUNT(*) FROM study s, (SELECT 1 AS what UNION SELECT 2) w WHERE s.received <> (SELECT COALESCE(SUM(p.received), 0) FROM study_part p WHERE p.study = s.id AND p.what = w.what)
			OR s.admitted <> (SELECT COALESCE(SUM(p.admitted), 0) FROM study_part p WHERE p.study = s.id AND p.what = w.what)
			OR s.released <> (SELECT COALESCE(SUM(p.released), 0) FROM study_part p WHERE p.study = s.id AND p.what = w.what)`,
		"part's date": `SELECT COUNT(*) FROM study_part p JOIN study s ON s.id = p.study WHERE p.study_date <> s.study_date`,
		"deposit": `SELECT COUNT(*) FROM deposit d WHERE d.received <> (SELECT COUNT(*) FROM instance i WHERE i.deposit = d.id AND i.state = 1)
			OR d.admitted <> (SELECT COUNT(*) FROM instance i WHERE i.deposit = d.id AND i.state = 2) OR d.held <> (SELECT COUNT(*) FROM instance i WHERE i.deposit = d.id AND i.state = 3)
			OR d.conflict <> (SELECT COUNT(*) FROM instance i WHERE i.deposit = d.id AND i.state = 4) OR d.released <> (SELECT COUNT(*) FROM instance i WHERE i.deposit = d.id AND i.state = 5)
			OR d.withdrawn <> (SELECT COUNT(*) FROM instance i WHERE i.deposit = d.id AND i.state = 6) OR d.refused <> (SELECT COUNT(*) FROM refusal f WHERE f.deposit = d.id)`,
		"intake": `SELECT COUNT(*) FROM intake n WHERE n.received <> (SELECT COUNT(*) FROM instance i WHERE i.collection = n.collection AND i.state = 1)
			OR n.admitted <> (SELECT COUNT(*) FROM instance i WHERE i.collection = n.collection AND i.state = 2) OR n.held <> (SELECT COUNT(*) FROM instance i WHERE i.collection = n.collection AND i.state = 3)
			OR n.conflict <> (SELECT COUNT(*) FROM instance i WHERE i.collection = n.collection AND i.state = 4) OR n.released <> (SELECT COUNT(*) FROM instance i WHERE i.collection = n.collection AND i.state = 5)
			OR n.withdrawn <> (SELECT COUNT(*) FROM instance i WHERE i.collection = n.collection AND i.state = 6)`,
	} {
		var wrong int64
		if err := f.d.QueryRow(context.Background(), query).Scan(&wrong); err != nil || wrong != 0 {
			f.Errorf("%d wrong counts of %s, %v", wrong, what, err)
		}
	}
}

func TestAddAdmitRelease(t *testing.T) {
	each(t, func(f *fixture) {
		id := f.deposit("breast")
		out := f.add(f.entry(id, 1, 1, 1, "a"), f.entry(id, 1, 1, 2, "b"), f.entry(id, 1, 2, 1, "c"), heldEntry(f.entry(id, 1, 3, 1, "d")), f.entry(id, 2, 1, 1, "e"))
		for i, o := range out {
			want := received
			if i == 3 {
				want = held
			}
			if o.Kind != Added || o.State != want || o.Variant != 0 || o.Instance == 0 {
				f.Errorf("outcome %d: %+v", i, o)
			}
		}
		f.consistent()
		if n := f.intake("breast"); n != (Counts{Received: 5, Pending: 4, Held: 1}) {
			f.Errorf("intake %+v", n)
		}
		if n := len(f.studies(see(released))); n != 0 {
			f.Errorf("a researcher sees %d studies that are not released", n)
		}
		if all := f.studies(see(received)); len(all) != 2 || all[0].Instances != 3 || all[0].Series != 2 || !all[0].Unreleased {
			f.Errorf("the steward sees %+v", all)
		}
		// Nothing is due while the deposit runs, unless it is quiet.
		if due, err := f.r.DueStudies(f.Context(), time.Now().Add(-time.Hour), 0); err != nil || len(due) != 0 {
			f.Errorf("due %v, %v", due, err)
		}
		// What was touched by a clock that has been set back since does not wait until it is that late again.
		touch := func(by string) {
			f.write(func(tx *db.Tx) error {
				_, err := tx.Exec(`UPDATE study SET touched = touched ` + by + ` 86400000000`)
				return err
			})
		}
		touch("+")
		if due, err := f.r.DueStudies(f.Context(), time.Now().Add(-time.Hour), 0); err != nil || len(due) != 2 {
			f.Errorf("touched a day ahead: due %v, %v", due, err)
		}
		touch("-")
		f.write(func(tx *db.Tx) error { return f.r.EndDeposit(tx, id) })
		due, err := f.r.DueStudies(f.Context(), time.Now().Add(-time.Hour), 0)
		if err != nil || len(due) != 2 || due[0].Pending != 3 || due[0].Subject != 7 {
			f.Fatalf("due %v, %v", due, err)
		}
		// What comes after it was found due keeps it from being admitted.
		late := f.deposit("breast")
		f.add(f.entry(late, 1, 1, 9, "late"))
		if err := f.d.Write(f.Context(), func(tx *db.Tx) error { _, err := f.r.Admit(tx, due[0]); return err }); err == nil {
			f.Error("a study is admitted although more has come")
		}
		if n := f.admitAll(); n != 5 {
			f.Errorf("%d admitted", n)
		}
		f.consistent()
		if n := f.intake("breast"); n != (Counts{Received: 6, Catalogued: 5, Held: 1}) {
			f.Errorf("intake %+v", n)
		}
		release := func(uid StudyUID) (n int64, err error) {
			err = f.d.Write(f.Context(), func(tx *db.Tx) error {
				c, err := f.r.Release(tx, "breast", uid, "token-1")
				n = c.Instances
				return err
			})
			return n, err
		}
		if n, err := release("1.2.1"); err != nil || n != 4 {
			f.Errorf("released %d, %v", n, err)
		}
		if _, err := release("1.2.1"); err == nil {
			f.Error("a study is released twice")
		}
		if _, err := release("1.2.77"); err == nil {
			f.Error("no study is released")
		}
		// A later instance of the released study is not released with it.
		f.add(f.entry(late, 1, 1, 10, "later"))
		f.consistent()
		all := f.studies(see(released))
		if len(all) != 1 || all[0].UID != "1.2.1" || all[0].Instances != 4 || all[0].Series != 2 || all[0].Unreleased {
			f.Fatalf("the researcher sees %+v", all)
		}
		if len(all[0].Modalities) != 1 || all[0].Modalities[0] != "MG" || len(all[0].SOPClasses) != 1 || all[0].PatientID != "P-1" || all[0].JSON == "" {
			f.Errorf("the researcher sees %+v", all[0])
		}
		if n := len(f.locate(see(released), "1.2.1", "", "")); n != 4 {
			f.Errorf("%d instances located", n)
		}
		if n := len(f.locate(everything, "1.2.1", "", "")); n != 6 {
			f.Errorf("%d instances located, with what is held", n)
		}
		d, err := f.r.Deposit(f.Context(), id)
		if err != nil || d.Counts != (Counts{Received: 5, Catalogued: 4, Held: 1, Released: 3}) || d.Actor != "token-1" || d.Ended.IsZero() {
			f.Errorf("deposit %+v, %v", d, err)
		}
	})
}

func TestTheSameBytesAgainAndOthers(t *testing.T) {
	each(t, func(f *fixture) {
		id := f.deposit("breast")
		first := f.entry(id, 1, 1, 1, "a")
		out := f.add(first)
		main := out[0].Instance
		if o := f.add(first)[0]; o.Kind != Replayed || o.Instance != main || o.State != received {
			f.Errorf("replayed: %+v", o)
		}
		again := f.entry(id, 1, 1, 1, "a")
		if o := f.add(again)[0]; o.Kind != Duplicate || o.Instance != main {
			f.Errorf("duplicate: %+v", o)
		}
		if o := f.add(again)[0]; o.Kind != Replayed || o.Instance != main {
			f.Errorf("duplicate replayed: %+v", o)
		}
		other, third := f.entry(id, 1, 1, 1, "b"), f.entry(id, 1, 1, 1, "c")
		out = f.add(other, third, f.entry(id, 1, 1, 1, "b"))
		if out[0].Kind != Conflicts || out[0].State != conflict || out[0].Variant != 1 || out[0].Reasons[0].Code != CodeConflict || out[1].Variant != 2 || out[2].Kind != Duplicate {
			f.Errorf("conflicts: %+v", out)
		}
		if o := f.add(other)[0]; o.Kind != Replayed || o.Variant != 1 || o.State != conflict {
			f.Errorf("conflict replayed: %+v", o)
		}
		f.consistent()
		if n := f.intake("breast"); n != (Counts{Received: 3, Pending: 1, Held: 2, Duplicate: 2}) {
			f.Errorf("intake %+v", n)
		}
		// The same UIDs in another collection are another study.
		lung := f.entry(id, 1, 1, 1, "z")
		lung.Collection = "lung"
		if o := f.add(lung)[0]; o.Kind != Added || o.Variant != 0 {
			f.Errorf("another collection: %+v", o)
		}
		if n := len(f.studies(everything, "StudyInstanceUID", "1.2.1")); n != 2 {
			f.Errorf("%d studies", n)
		}
		q := f.query(Studies, everything)
		q.Collection = "lung"
		if found, _, err := f.r.SearchStudies(f.Context(), q); err != nil || len(found) != 1 || found[0].Collection != "lung" {
			f.Error(found, err)
		}
		waiting, err := f.r.Waiting(f.Context(), "breast", 0, 0, 10)
		if err != nil || len(waiting) != 2 || waiting[0].State != conflict || waiting[0].Reasons[0].Code != CodeConflict {
			f.Errorf("waiting %+v, %v", waiting, err)
		}
	})
}

func TestTextOfWhatIsHeldIsInNoTable(t *testing.T) {
	each(t, func(f *fixture) {
		id := f.deposit("breast")
		e := heldEntry(f.entry(id, 1, 1, 1, "a"))
		const marker = "MARKER"
		e.StudyAttributes = StudyAttributes{PatientName: marker, PatientID: marker, Description: marker, ReferringPhysicianName: marker, AccessionNumber: marker, StudyID: marker, JSON: `{"MARKER":{}}`}
		e.SeriesAttributes = SeriesAttributes{Description: marker, BodyPart: marker, Modality: marker, JSON: `{"MARKER":{}}`, Requests: []Request{{marker, marker}}}
		f.add(e)
		var n int64
		for _, q := range []string{
			`SELECT COUNT(*) FROM study WHERE patient_name || patient_name_key || patient_id || description || referrer || referrer_key || accession || study_id || attributes <> ''`,
			`SELECT COUNT(*) FROM series WHERE modality || description || body_part || attributes <> ''`, `SELECT COUNT(*) FROM series_request`, `SELECT COUNT(*) FROM study_part`,
		} {
			if err := f.d.QueryRow(f.Context(), q).Scan(&n); err != nil || n != 0 {
				f.Errorf("text of a held object is stored: %s: %v", q, err)
			}
		}
		// The next object that passed the gate describes them, and owns the study.
		clean := f.entry(id, 1, 1, 2, "b")
		clean.Subject = 8
		clean.SeriesAttributes.Requests = []Request{{"STEP", "PROC"}}
		f.add(clean)
		all := f.studies(see(received))
		if len(all) != 1 || all[0].PatientID != "P-1" || all[0].Subject != 8 || all[0].Instances != 1 || len(all[0].Modalities) != 1 {
			f.Errorf("%+v", all)
		}
		// Another subject's object in it waits for a steward.
		stray := f.entry(id, 1, 1, 3, "c")
		stray.Subject = 9
		if o := f.add(stray)[0]; o.State != held || o.Reasons[0].Code != CodeAnotherSubject {
			f.Errorf("%+v", o)
		}
		f.consistent()
	})
}

// ref is where the record of an instance lies.
func ref(f *fixture, id InstanceID) Ref {
	f.Helper()
	l, err := f.r.Instance(f.Context(), id)
	if err != nil {
		f.Fatal(err)
	}
	return l.Ref
}

func TestDecidingOnWhatIsHeld(t *testing.T) {
	each(t, func(f *fixture) {
		id := f.deposit("breast")
		out := f.add(f.entry(id, 1, 1, 1, "a"), f.entry(id, 1, 1, 1, "b"), heldEntry(f.entry(id, 2, 1, 1, "c")), heldEntry(f.entry(id, 2, 1, 2, "d")))
		main, other, c, d := out[0].Instance, out[1].Instance, out[2].Instance, out[3].Instance
		refusedRef := ref(f, d)
		// Refused: gone, listed with its deposit.
		f.write(func(tx *db.Tx) error {
			_, err := f.r.Refuse(tx, d, Reason{Code: "steward", Text: "not an image of this study"})
			return err
		})
		refused, err := f.r.Refusals(f.Context(), id, 0, 0)
		if err != nil || len(refused) != 1 || refused[0].Ordinal != 2 || refused[0].Reason.Code != "steward" {
			f.Errorf("%+v, %v", refused, err)
		}
		for k, want := range map[Ref]bool{ref(f, c): false, refusedRef: true} {
			if got, err := f.r.Unused(f.Context(), k); got != want || err != nil {
				f.Errorf("unused is %v (%v), want %v", got, err, want)
			}
		}
		// The same bytes are known as refused, others and those under another UID are not.
		digest := f.entry(id, 2, 1, 2, "d").Digest
		k, err := f.r.Known(f.Context(), "breast", f.entry(id, 2, 1, 2, "d").SOP, digest)
		if err != nil || !k.Refused || k.Again || k.Conflict || k.Main || len(k.Reasons) != 1 || k.Reasons[0].Text != "not an image of this study" {
			f.Errorf("%+v, %v", k, err)
		}
		if k, err = f.r.Known(f.Context(), "breast", f.entry(id, 2, 1, 2, "d").SOP, f.entry(id, 2, 1, 2, "e").Digest); err != nil || k.Refused || k.Again || k.Conflict {
			f.Errorf("%+v, %v", k, err)
		}
		if k, err = f.r.Known(f.Context(), "breast", f.entry(id, 1, 1, 1, "a").SOP, f.entry(id, 1, 1, 1, "b").Digest); err != nil || k.Refused || !k.Again || !k.Main || k.State != conflict {
			f.Errorf("%+v, %v", k, err)
		}
		// What waits, by reason.
		counts, err := f.r.WaitingBy(f.Context(), "breast", Wait{})
		if err != nil || len(counts) != 2 || counts[0].Items != 1 || counts[1].Items != 1 || counts[0].Oldest.IsZero() || len(counts[0].Reasons) == 0 {
			f.Errorf("%+v, %v", counts, err)
		}
		if counts, err = f.r.WaitingBy(f.Context(), "breast", Wait{Reason: CodeConflict}); err != nil || len(counts) != 1 {
			f.Errorf("%+v, %v", counts, err)
		}
		if counts, err = f.r.WaitingBy(f.Context(), "breast", Wait{UpTo: min(other, c) - 1}); err != nil || len(counts) != 0 {
			f.Errorf("%+v, %v", counts, err)
		}
		// Accepted with the record that was cleaned for it.
		cleaned := f.entry(id, 2, 1, 1, "cleaned")
		f.write(func(tx *db.Tx) error {
			_, err := f.r.Accept(tx, c, &Revision{Ref: cleaned.Ref, HeadSize: 1, BulkSize: 2, Digest: cleaned.Digest, Lexicon: 3, TransferSyntax: "1.2.840.10008.1.2",
				StudyAttributes: cleaned.StudyAttributes, SeriesAttributes: cleaned.SeriesAttributes, InstanceAttributes: cleaned.InstanceAttributes})
			return err
		})
		f.consistent()
		l, err := f.r.Instance(f.Context(), c)
		if err != nil || l.State != received || l.Ref != cleaned.Ref || l.Lexicon != 3 || len(l.Reasons) != 0 || l.TransferSyntax != "1.2.840.10008.1.2" {
			f.Errorf("%+v, %v", l, err)
		}
		if all := f.studies(see(received), "PatientID", "P-2", "ModalitiesInStudy", "MG"); len(all) != 1 {
			f.Errorf("%+v", all)
		}
		// A conflict displaces nothing: it is accepted under a UID that nothing else has.
		for _, rev := range []*Revision{nil, {SOP: cleaned.SOP}} {
			if err := f.d.Write(f.Context(), func(tx *db.Tx) error { _, err := f.r.Accept(tx, other, rev); return err }); !fault.Is(err, fault.Conflict) {
				f.Errorf("a known object is displaced: %v", err)
			}
		}
		for _, want := range []int{1, 0} {
			waiting, err := f.r.WaitingFor(f.Context(), "breast", Wait{Deposit: id, Subject: 7, Reason: CodeConflict}, 0, 10)
			if err != nil || len(waiting) != want {
				f.Errorf("%d wait for being conflicts, want %d (%v)", len(waiting), want, err)
			}
			if want == 1 {
				again := f.entry(id, 1, 1, 1, "again")
				f.write(func(tx *db.Tx) error {
					_, err := f.r.Accept(tx, other, &Revision{SOP: "1.2.999", Ref: again.Ref, Digest: again.Digest, InstanceAttributes: again.InstanceAttributes,
						StudyAttributes: again.StudyAttributes, SeriesAttributes: again.SeriesAttributes})
					return err
				})
			}
		}
		for reason, want := range map[string]int{`%`: 0, `"`: 0, "conflict": 0, "conflic": 0} {
			if waiting, err := f.r.WaitingFor(f.Context(), "breast", Wait{Reason: reason}, 0, 10); err != nil || len(waiting) != want {
				f.Errorf("%d wait for %q (%v)", len(waiting), reason, err)
			}
		}
		f.consistent()
		now, _ := f.r.Instance(f.Context(), other)
		was, _ := f.r.Instance(f.Context(), main)
		if now.Variant != 0 || now.State != received || now.SOP != "1.2.999" || was.Variant != 0 || was.State != received {
			f.Errorf("%+v\n%+v", now, was)
		}
		f.admitAll()
		f.write(func(tx *db.Tx) error { _, err := f.r.Release(tx, "breast", "1.2.1", "token-1"); return err })
		f.write(func(tx *db.Tx) error { _, err := f.r.Hold(tx, c, Reason{Code: "echo"}); return err })
		if l, _ := f.r.Instance(f.Context(), c); l.State != held || l.Reasons[0].Code != "echo" {
			f.Errorf("%+v", l)
		}
		for _, wrong := range []func(tx *db.Tx) error{
			func(tx *db.Tx) error { _, err := f.r.Hold(tx, c); return err }, // it is held
			func(tx *db.Tx) error { return f.r.Replace(tx, other, Revision{Ref: cleaned.Ref}) },
			func(tx *db.Tx) error { _, err := f.r.Refuse(tx, other, Reason{}); return err },
			func(tx *db.Tx) error { _, err := f.r.Accept(tx, other, nil); return err },
			func(tx *db.Tx) error { _, err := f.r.Accept(tx, 99, nil); return err },
		} {
			if err := f.d.Write(f.Context(), wrong); err == nil {
				f.Error("a released or missing object is changed")
			}
		}
		// What is released goes out of sight when something is found in it.
		for _, i := range []InstanceID{other, main} {
			f.write(func(tx *db.Tx) error { _, err := f.r.Hold(tx, i, Reason{Code: "echo"}); return err })
		}
		if n := len(f.studies(see(released))); n != 0 {
			f.Errorf("%d studies are still released", n)
		}
		f.consistent()
	})
}

func TestWithdrawal(t *testing.T) {
	each(t, func(f *fixture) {
		id := f.deposit("breast")
		stray := f.entry(id, 1, 1, 3, "x")
		stray.Subject = 8
		other := f.entry(id, 2, 1, 1, "c")
		other.Subject = 8
		f.add(f.entry(id, 1, 1, 1, "a"), heldEntry(f.entry(id, 1, 1, 2, "b")), stray, other)
		f.admitAll()
		f.write(func(tx *db.Tx) error { _, err := f.r.Release(tx, "breast", "1.2.1", "token-1"); return err })
		f.write(func(tx *db.Tx) error {
			changed, err := f.r.Withdraw(tx, "breast", 7)
			if len(changed) != 1 || changed[0].Instances != 2 {
				f.Errorf("%+v", changed)
			}
			return err
		})
		f.consistent()
		if all := f.studies(everything); len(all) != 1 || all[0].UID != "1.2.2" {
			f.Errorf("%+v", all)
		}
		if all := f.locate(everything, "1.2.1", "", ""); len(all) != 1 || all[0].Subject != 8 {
			f.Errorf("%+v", all)
		}
		var n int64
		if err := f.d.QueryRow(f.Context(), `SELECT COUNT(*) FROM study WHERE subject = 7 AND patient_id || patient_name || attributes || study_date <> ''`).Scan(&n); err != nil || n != 0 {
			f.Error("a withdrawn study still says something", err)
		}
		// Depositing it again does not bring it back.
		if o := f.add(f.entry(id, 1, 1, 1, "a"))[0]; o.Kind != Duplicate || o.State != withdrawn {
			f.Errorf("%+v", o)
		}
		// The other's object of the same study goes with its own subject.
		f.write(func(tx *db.Tx) error {
			changed, err := f.r.Withdraw(tx, "breast", 8)
			if len(changed) != 2 {
				f.Errorf("%+v", changed)
			}
			return err
		})
		if all := f.locate(everything, "1.2.1", "", ""); len(all) != 0 {
			f.Errorf("%+v", all)
		}
		f.consistent()
	})
}

func TestWhoeverDiesLeavesNoDepositOpen(t *testing.T) {
	each(t, func(f *fixture) {
		id := f.deposit("breast")
		f.add(f.entry(id, 1, 1, 1, "a"))
		f.write(func(tx *db.Tx) error {
			n, err := f.r.EndStaleDeposits(tx, time.Now().Add(time.Second))
			if n != 1 {
				f.Errorf("%d ended", n)
			}
			return err
		})
		if due, err := f.r.DueStudies(f.Context(), time.Time{}, 0); err != nil || len(due) != 1 {
			f.Errorf("%v, %v", due, err)
		}
		// A replayed entry of a deposit that is in no table.
		if o := f.add(f.entry(12345, 2, 1, 1, "b"))[0]; o.Kind != Added {
			f.Error(o)
		}
		if due, err := f.r.DueStudies(f.Context(), time.Time{}, 0); err != nil || len(due) != 2 {
			f.Errorf("%v, %v", due, err)
		}
		all, err := f.r.Deposits(f.Context(), "breast", "", 0, 0)
		if err != nil || len(all) != 2 || all[0].ID != id {
			f.Errorf("%+v, %v", all, err)
		}
		f.write(func(tx *db.Tx) error { return f.r.SetCheckpoint(tx, PackID{1}, 8192) })
		f.write(func(tx *db.Tx) error { return f.r.SetCheckpoint(tx, PackID{1}, 4096) })
		if n, err := f.r.Checkpoint(f.Context(), PackID{1}); err != nil || n != 8192 {
			f.Error(n, err)
		}
		if n, err := f.r.Checkpoint(f.Context(), PackID{2}); err != nil || n != 0 {
			f.Error(n, err)
		}
		f.consistent()
	})
}
