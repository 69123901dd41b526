package catalogue

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
	"pgregory.net/rapid"
)

// modelRow is what the model keeps of an object.
type modelRow struct {
	study, series, sop string
	subject            subject.ID
	digest             [32]byte
	variant            int64
	state              State
	id                 InstanceID
}

// model is the catalogue of one collection in the simplest words.
type model struct {
	rows      []*modelRow
	owner     map[string]subject.ID // of studies that are described
	records   map[Ref]bool          // everything that was ever added
	duplicate int64
	refused   int64
}

// add says what AddBatch must answer.
func (m *model) add(e Entry) (Kind, State, int64) {
	var same []*modelRow
	for _, r := range m.rows {
		if r.sop == string(e.SOP) {
			same = append(same, r)
		}
	}
	if m.records[e.Ref] && len(same) > 0 {
		return Replayed, 0, -1
	}
	m.records[e.Ref] = true
	variant := int64(0)
	for _, r := range same {
		if r.digest == e.Digest {
			m.duplicate++
			return Duplicate, r.state, r.variant
		}
		variant = max(variant, r.variant+1)
	}
	kind, state := Added, e.State
	owner, described := m.owner[string(e.Study)]
	switch {
	case len(same) > 0:
		kind, state = Conflicts, conflict
	case state == received && described && owner != e.Subject:
		state = held
	case state == received && !described:
		m.owner[string(e.Study)] = e.Subject
	}
	m.rows = append(m.rows, &modelRow{string(e.Study), string(e.Series), string(e.SOP), e.Subject, e.Digest, variant, state, 0})
	return kind, state, variant
}

func (m *model) in(states ...State) (rows []*modelRow) {
	for _, r := range m.rows {
		if slices.Contains(states, r.state) {
			rows = append(rows, r)
		}
	}
	return rows
}

var runs atomic.Int64

// Random deposits, replays, decisions and withdrawals leave the catalogue as the model says, with right counts.
func TestAgainstAModel(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := opened(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(t *rapid.T) { modelRun(t, d, r) })
		f := &fixture{T: t, d: d, r: r}
		f.consistent()
	})
}

func modelRun(t *rapid.T, d *db.DB, r *Record) {
	ctx := context.Background()
	c := collection.ID(fmt.Sprintf("run-%d", runs.Add(1)))
	m := &model{owner: map[string]subject.ID{}, records: map[Ref]bool{}}
	write := func(fn func(tx *db.Tx) error) {
		t.Helper()
		if err := d.Write(ctx, fn); err != nil {
			t.Fatal(err)
		}
	}
	var id DepositID
	write(func(tx *db.Tx) (err error) { id, err = r.StartDeposit(tx, c, "dimse", "CT1"); return err })
	run := byte(runs.Load())
	offset := runs.Load() << 32
	var past []Entry
	pick := func(rows []*modelRow) *modelRow {
		if len(rows) == 0 {
			t.Skip("nothing in that state")
		}
		return rapid.SampledFrom(rows).Draw(t, "row")
	}
	add := func(entries []Entry) {
		type want struct {
			kind    Kind
			state   State
			variant int64
		}
		var wants []want
		before := len(m.rows)
		for _, e := range entries {
			k, s, v := m.add(e)
			wants = append(wants, want{k, s, v})
		}
		var out []Outcome
		write(func(tx *db.Tx) (err error) { out, err = r.AddBatch(tx, slices.Clone(entries)); return err })
		fresh := m.rows[before:]
		for i, o := range out {
			w := wants[i]
			if o.Kind != w.kind || w.kind != Replayed && (o.State != w.state || o.Variant != w.variant) {
				t.Fatalf("entry %d: %+v, want %+v", i, o, w)
			}
			if o.Kind == Added || o.Kind == Conflicts {
				fresh[0].id = o.Instance
				fresh = fresh[1:]
			}
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"add": func(t *rapid.T) {
			var entries []Entry
			for range rapid.IntRange(1, 8).Draw(t, "batch") {
				study, series, sop := rapid.IntRange(1, 3).Draw(t, "study"), rapid.IntRange(1, 2).Draw(t, "series"), rapid.IntRange(1, 3).Draw(t, "sop")
				offset += 4096
				e := Entry{Collection: c, Subject: subject.ID(study), Study: StudyUID(fmt.Sprintf("1.%d", study)), Series: SeriesUID(fmt.Sprintf("1.%d.%d", study, series)),
					SOP: SOPUID(fmt.Sprintf("1.%d.%d.%d", study, series, sop)), Ref: Ref{PackID{run}, offset}, Digest: sha256.Sum256([]byte{byte(rapid.IntRange(0, 2).Draw(t, "content"))}),
					State: received, Deposit: id, SeriesAttributes: SeriesAttributes{Modality: rapid.SampledFrom([]string{"CT", "MR", ""}).Draw(t, "modality")},
					InstanceAttributes: InstanceAttributes{SOPClass: rapid.SampledFrom([]string{"1.1", "1.2"}).Draw(t, "class")}}
				if rapid.IntRange(0, 3).Draw(t, "held") == 0 {
					e.State, e.Reasons = held, []Reason{{Code: "test"}}
				}
				if rapid.IntRange(0, 6).Draw(t, "stray") == 0 {
					e.Subject = 9
				}
				entries = append(entries, e)
			}
			past = append(past, entries...)
			add(entries)
		},
		"replay": func(t *rapid.T) {
			if len(past) == 0 {
				t.Skip("nothing to replay")
			}
			// What was refused meanwhile is not replayed: its pack is behind the checkpoint.
			var again []Entry
			for _, e := range past[rapid.IntRange(0, len(past)-1).Draw(t, "from"):] {
				if slices.ContainsFunc(m.rows, func(r *modelRow) bool { return r.sop == string(e.SOP) && r.digest == e.Digest }) {
					again = append(again, e)
				}
			}
			add(again)
		},
		"admit": func(t *rapid.T) {
			due, err := r.DueStudies(ctx, time.Now().Add(time.Hour), 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range due {
				if one.Collection == c {
					write(func(tx *db.Tx) error { _, err := r.Admit(tx, one); return err })
				}
			}
			for _, row := range m.in(received) {
				row.state = admitted
			}
		},
		"release": func(t *rapid.T) {
			row := pick(m.in(admitted))
			write(func(tx *db.Tx) error { _, err := r.Release(tx, c, StudyUID(row.study), "x"); return err })
			for _, other := range m.in(admitted) {
				if other.study == row.study {
					other.state = released
				}
			}
		},
		"hold": func(t *rapid.T) {
			row := pick(m.in(received, admitted, released))
			write(func(tx *db.Tx) error { _, err := r.Hold(tx, row.id, Reason{Code: "echo"}); return err })
			row.state = held
		},
		"accept": func(t *rapid.T) {
			row := pick(m.in(held, conflict))
			var main *modelRow
			for _, o := range m.rows {
				if o.sop == row.sop && o.variant == 0 && o != row {
					main = o
				}
			}
			err := d.Write(ctx, func(tx *db.Tx) error { _, err := r.Accept(tx, row.id, nil); return err })
			owner, described := m.owner[row.study]
			if row.variant != 0 && main != nil || described && owner != row.subject {
				if err == nil {
					t.Fatal("a known object is displaced, or a study has two subjects")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			row.variant, row.state = 0, received
		},
		"refuse": func(t *rapid.T) {
			row := pick(m.in(held, conflict))
			write(func(tx *db.Tx) error { _, err := r.Refuse(tx, row.id, Reason{Code: "no"}); return err })
			m.rows = slices.DeleteFunc(m.rows, func(o *modelRow) bool { return o == row })
			m.refused++
		},
		"withdraw": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "really") != 0 {
				t.Skip("rarely")
			}
			who := subject.ID(rapid.IntRange(1, 3).Draw(t, "who"))
			write(func(tx *db.Tx) error { _, err := r.Withdraw(tx, c, who); return err })
			for _, row := range m.rows {
				if row.subject == who {
					row.state = withdrawn
				}
			}
			for study, owner := range m.owner {
				if owner == who && slices.ContainsFunc(m.rows, func(r *modelRow) bool { return r.study == study && r.subject == who }) {
					delete(m.owner, study)
				}
			}
		},
		"": func(t *rapid.T) {
			want := Counts{Duplicate: m.duplicate, Refused: m.refused, Pending: int64(len(m.in(received))), Catalogued: int64(len(m.in(admitted, released))), Held: int64(len(m.in(held, conflict))), Released: int64(len(m.in(released)))}
			want.Received = want.Pending + want.Catalogued + want.Held + want.Refused
			if got, err := r.Intake(ctx, c); err != nil || got != want {
				t.Fatalf("intake %+v, want %+v, %v", got, want, err)
			}
			if got, err := r.Deposit(ctx, id); err != nil || got.Counts != want {
				t.Fatalf("deposit %+v, want %+v, %v", got.Counts, want, err)
			}
			for _, states := range [][]State{{received, admitted, released}, {released}} {
				q := NewQuery(Instances)
				q.Scopes, q.Collection = see(states...), c
				found, more, err := r.SearchInstances(ctx, q)
				if err != nil || more || len(found) != len(m.in(states...)) {
					t.Fatalf("%d found in %v, want %d, %v", len(found), states, len(m.in(states...)), err)
				}
				q = NewQuery(Studies)
				q.Scopes, q.Collection = see(states...), c
				studies, _, err := r.SearchStudies(ctx, q)
				sum, series := 0, map[string]bool{}
				for _, row := range m.in(states...) {
					series[row.series] = true
				}
				nSeries := 0
				for _, s := range studies {
					sum += int(s.Instances)
					nSeries += int(s.Series)
					if len(s.SOPClasses) == 0 {
						t.Fatalf("a visible study has no SOP class: %+v", s)
					}
				}
				if err != nil || sum != len(found) || nSeries != len(series) {
					t.Fatalf("studies count %d instances of %d, %d series of %d, %v", sum, len(found), nSeries, len(series), err)
				}
			}
		},
	})
}
