package catalogue

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Study is a study as a search finds it. What it counts and lists is of the objects that the caller may see.
type Study struct {
	ID         StudyID
	Collection collection.ID
	UID        StudyUID
	Subject    subject.ID
	StudyAttributes
	Modalities []string // sorted
	SOPClasses []string // sorted
	Series     int64
	Instances  int64
	Unreleased bool // some of them are not released
	counts     tally
}

// SeriesResult is a series, with its study.
type SeriesResult struct {
	ID    SeriesID
	UID   SeriesUID
	Study *Study
	SeriesAttributes
	Instances int64 // that the caller may see
	counts    tally
}

// InstanceResult is an instance, with its series.
type InstanceResult struct {
	ID     InstanceID
	UID    SOPUID
	Series *SeriesResult
	InstanceAttributes
	State State
}

const (
	studyColumns  = `s.id, s.collection, s.uid, s.subject, s.patient_name, s.patient_id, s.birth_date, s.sex, s.study_date, s.study_time, s.accession, s.study_id, s.description, s.referrer, s.timezone, s.attributes, s.received, s.admitted, s.released`
	seriesColumns = `e.id, e.uid, e.modality, e.number, e.description, e.body_part, e.step_date, e.step_time, e.attributes, e.received, e.admitted, e.released`
)

func (s *Study) dest() []any {
	a := &s.StudyAttributes
	return []any{&s.ID, &s.Collection, &s.UID, &s.Subject, &a.PatientName, &a.PatientID, &a.BirthDate, &a.Sex, &a.StudyDate, &a.StudyTime, &a.AccessionNumber, &a.StudyID,
		&a.Description, &a.ReferringPhysicianName, &a.Timezone, &a.JSON, &s.counts[received], &s.counts[admitted], &s.counts[released]}
}

func (e *SeriesResult) dest() []any {
	a := &e.SeriesAttributes
	return []any{&e.ID, &e.UID, &a.Modality, &a.Number, &a.Description, &a.BodyPart, &a.StepDate, &a.StepTime, &a.JSON, &e.counts[received], &e.counts[admitted], &e.counts[released]}
}

// page is what searches share: rows up to the limit, and whether there are more.
func (r *Record) page(ctx context.Context, q *Query, level Level, columns string, scan func(*sql.Rows) error) (more bool, p *plan, err error) {
	if q.level != level {
		return false, nil, fault.New(fault.Internal, "search catalogue", "", "the query was made for another level")
	}
	p, ok := q.plan(r.d.Engine())
	if !ok {
		return false, nil, nil
	}
	text, args := p.statement(columns)
	left := bounded(q.Limit)
	err = forRows(r.reader(ctx), text, args, func(rows *sql.Rows) error {
		if left == 0 {
			more = true
			return nil
		}
		left--
		return scan(rows)
	})
	return more, p, err
}

// SearchStudies finds studies; more says that the limit cut the answer. The order is the same for the same query, so that pages fit together.
func (r *Record) SearchStudies(ctx context.Context, q *Query) (found []*Study, more bool, err error) {
	more, p, err := r.page(ctx, q, Studies, studyColumns, func(rows *sql.Rows) error {
		s := &Study{}
		found = append(found, s)
		return rows.Scan(s.dest()...)
	})
	if err != nil || len(found) == 0 {
		return nil, false, err
	}
	return found, more, r.complete(ctx, p.masks, found)
}

// StudyTally is how many studies a search finds, counted up to MaxTally of them.
type StudyTally struct {
	Studies    int64
	Subjects   int64
	Modalities []ModalityTally // of what the caller may see, by name
	Cut        bool            // there are more, and these are of some of them
}

// ModalityTally is how many of the studies have objects of a modality.
type ModalityTally struct {
	Modality string
	Studies  int64
}

// MaxTally is how many studies are counted at most: a count reads every row that it counts.
const MaxTally = 10_000

// TallyStudies counts what SearchStudies would find without limit and offset.
func (r *Record) TallyStudies(ctx context.Context, q *Query) (t StudyTally, err error) {
	if q.level != Studies {
		return t, fault.New(fault.Internal, "count studies", "", "the query was made for another level")
	}
	p, ok := q.plan(r.d.Engine())
	if !ok {
		return t, nil
	}
	found := "SELECT s.id AS id, s.subject AS subject, s.collection AS collection FROM " + p.from + " WHERE " + strings.Join(p.where, " AND ") + " LIMIT ?"
	args := append(slices.Clip(p.args), MaxTally+1)
	if err := r.d.QueryRow(ctx, `SELECT COUNT(*), COUNT(DISTINCT f.subject) FROM (`+found+`) f`, args...).Scan(&t.Studies, &t.Subjects); err != nil {
		return StudyTally{}, db.Fault("count studies", err)
	}
	if t.Cut = t.Studies > MaxTally; t.Cut {
		t.Studies = MaxTally
	}
	see, seen := p.seeText(p.masks, "f.collection", func(m stateMask) string { return counted("m", m) })
	err = forRows(r.reader(ctx), `SELECT m.value, COUNT(*) FROM (`+found+`) f CROSS JOIN study_part m WHERE m.study = f.id AND m.what = ? AND m.value <> '' AND `+see+` GROUP BY m.value ORDER BY m.value`,
		append(append(args, partModality), seen...), func(rows *sql.Rows) error {
			var m ModalityTally
			err := rows.Scan(&m.Modality, &m.Studies)
			t.Modalities = append(t.Modalities, m)
			return err
		})
	return t, err
}

// SearchSeries finds series.
func (r *Record) SearchSeries(ctx context.Context, q *Query) (found []*SeriesResult, more bool, err error) {
	studies := map[StudyID]*Study{}
	more, p, err := r.page(ctx, q, Series, studyColumns+", "+seriesColumns, func(rows *sql.Rows) error {
		s, e := &Study{}, &SeriesResult{}
		if err := rows.Scan(append(s.dest(), e.dest()...)...); err != nil {
			return err
		}
		e.Study = once(studies, s.ID, s)
		found = append(found, e)
		return nil
	})
	if err != nil || len(found) == 0 {
		return nil, false, err
	}
	if err := r.completeSeries(ctx, p.masks, found); err != nil {
		return nil, false, err
	}
	return found, more, r.complete(ctx, p.masks, slices.Collect(maps.Values(studies)))
}

// SearchInstances finds instances.
func (r *Record) SearchInstances(ctx context.Context, q *Query) (found []*InstanceResult, more bool, err error) {
	studies, series := map[StudyID]*Study{}, map[SeriesID]*SeriesResult{}
	// Study and series are read apart: a page of a thousand instances is mostly of one series.
	of := map[*InstanceResult]SeriesID{}
	more, p, err := r.page(ctx, q, Instances, `e.id, i.id, i.uid, i.sop_class, i.transfer_syntax, i.number, i.row_count, i.column_count, i.bits, i.frames, i.state`, func(rows *sql.Rows) error {
		var id SeriesID
		i := &InstanceResult{}
		err := rows.Scan(&id, &i.ID, &i.UID, &i.SOPClass, &i.TransferSyntax, &i.Number, &i.Rows, &i.Columns, &i.BitsAllocated, &i.Frames, &i.State)
		of[i], series[id] = id, nil
		found = append(found, i)
		return err
	})
	if err != nil || len(found) == 0 {
		return nil, false, err
	}
	ids := make([]int64, 0, len(series))
	for id := range series {
		ids = append(ids, int64(id))
	}
	slices.Sort(ids)
	err = inChunks(r.reader(ctx), `SELECT `+studyColumns+`, `+seriesColumns+` FROM series e JOIN study s ON s.id = e.study WHERE e.id IN `, ids, func(rows *sql.Rows) error {
		s, e := &Study{}, &SeriesResult{}
		if err := rows.Scan(append(s.dest(), e.dest()...)...); err != nil {
			return err
		}
		e.Study = once(studies, s.ID, s)
		series[e.ID] = e
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	all := found[:0]
	for _, i := range found {
		if i.Series = series[of[i]]; i.Series != nil {
			all = append(all, i)
		}
	}
	present := slices.DeleteFunc(slices.Collect(maps.Values(series)), func(e *SeriesResult) bool { return e == nil })
	if err := r.completeSeries(ctx, p.masks, present); err != nil {
		return nil, false, err
	}
	return all, more, r.complete(ctx, p.masks, slices.Collect(maps.Values(studies)))
}

func once[K comparable, V any](m map[K]*V, k K, v *V) *V {
	if have := m[k]; have != nil {
		return have
	}
	m[k] = v
	return v
}

// complete fills in what studies count and list, as far as the caller may see it.
func (r *Record) complete(ctx context.Context, m map[string]stateMask, studies []*Study) error {
	byID := make(map[int64]*Study, len(studies))
	ids := make([]int64, 0, len(studies))
	for _, s := range studies {
		byID[int64(s.ID)] = s
		ids = append(ids, int64(s.ID))
		mask := maskOf(m, string(s.Collection))
		s.Instances = s.counts.sum(mask)
		s.Unreleased = s.counts.sum(mask&^(1<<released)) > 0
	}
	slices.Sort(ids)
	err := inChunks(r.reader(ctx), `SELECT study, what, value, received, admitted, released FROM study_part WHERE study IN `, ids, func(rows *sql.Rows) error {
		var id, what int64
		var value string
		var t tally
		if err := rows.Scan(&id, &what, &value, &t[received], &t[admitted], &t[released]); err != nil {
			return err
		}
		s := byID[id]
		if value == "" || t.sum(maskOf(m, string(s.Collection))) == 0 {
			return nil
		}
		if what == partModality {
			s.Modalities = append(s.Modalities, strings.Clone(value))
		} else {
			s.SOPClasses = append(s.SOPClasses, strings.Clone(value))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, s := range studies {
		slices.Sort(s.Modalities)
		slices.Sort(s.SOPClasses)
	}
	return inChunks(r.reader(ctx), `SELECT study, received, admitted, released FROM series WHERE study IN `, ids, func(rows *sql.Rows) error {
		var id int64
		var t tally
		err := rows.Scan(&id, &t[received], &t[admitted], &t[released])
		if s := byID[id]; t.sum(maskOf(m, string(s.Collection))) > 0 {
			s.Series++
		}
		return err
	})
}

// completeSeries fills in what series count, and their requests.
func (r *Record) completeSeries(ctx context.Context, m map[string]stateMask, series []*SeriesResult) error {
	byID := make(map[int64]*SeriesResult, len(series))
	ids := make([]int64, 0, len(series))
	for _, e := range series {
		e.Instances = e.counts.sum(maskOf(m, string(e.Study.Collection)))
		byID[int64(e.ID)] = e
		ids = append(ids, int64(e.ID))
	}
	slices.Sort(ids)
	type item struct {
		id, n int64
		Request
	}
	var items []item
	err := inChunks(r.reader(ctx), `SELECT series, item, step, requested FROM series_request WHERE series IN `, ids, func(rows *sql.Rows) error {
		var i item
		err := rows.Scan(&i.id, &i.n, &i.ScheduledStepID, &i.RequestedProcedureID)
		items = append(items, i)
		return err
	})
	slices.SortFunc(items, func(a, b item) int { return int(a.n - b.n) })
	for _, i := range items {
		byID[i.id].Requests = append(byID[i.id].Requests, i.Request)
	}
	return err
}

func (t *tally) sum(m stateMask) (n int64) {
	for s, c := range t {
		if m.has(State(s)) {
			n += c
		}
	}
	return n
}
