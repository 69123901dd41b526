package catalogue

import (
	"context"
	"database/sql"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Patient is what studies of a collection with the same Patient ID have in common (PS3.4 C.6.1.1.2). What it counts is of the objects that the caller may see,
// in the studies that match.
type Patient struct {
	Collection                 collection.ID
	StudyAttributes                  // of the first of the studies; what concerns a study means nothing here
	Studies, Series, Instances int64 // Series only where they were asked for
}

type patientKey struct{ collection, id string }

// SearchPatients finds patients, and counts their series if that is asked for; more says that the limit cut the answer.
func (r *Record) SearchPatients(ctx context.Context, q *Query, series bool) (found []*Patient, more bool, err error) {
	if q.level != Patients {
		return nil, false, fault.New(fault.Internal, "search catalogue", "", "the query was made for another level")
	}
	p, ok := q.plan(r.d.Engine())
	if !ok {
		return nil, false, nil
	}
	text := `SELECT s.collection, s.patient_id, MIN(s.id), COUNT(*), CAST(SUM(s.received) AS BIGINT), CAST(SUM(s.admitted) AS BIGINT), CAST(SUM(s.released) AS BIGINT) FROM ` + p.from +
		` WHERE ` + strings.Join(p.where, " AND ") + ` GROUP BY s.collection, s.patient_id ORDER BY MIN(s.id) LIMIT ? OFFSET ?`
	first, byKey := map[int64]*Patient{}, map[patientKey]*Patient{}
	var ids []int64
	left := bounded(q.Limit)
	err = forRows(r.reader(ctx), text, append(p.args, left+1, int64(max(0, q.Offset))), func(rows *sql.Rows) error {
		x := &Patient{}
		var id int64
		var t tally
		if err := rows.Scan(&x.Collection, &x.PatientID, &id, &x.Studies, &t[received], &t[admitted], &t[released]); err != nil {
			return err
		}
		if left == 0 {
			more = true
			return nil
		}
		left--
		x.Instances = t.sum(maskOf(p.masks, string(x.Collection)))
		first[id], byKey[patientKey{string(x.Collection), x.PatientID}] = x, x
		ids, found = append(ids, id), append(found, x)
		return nil
	})
	if err != nil || len(found) == 0 {
		return nil, false, err
	}
	err = inChunks(r.reader(ctx), `SELECT `+studyColumns+` FROM study s WHERE s.id IN `, ids, func(rows *sql.Rows) error {
		var s Study
		if err := rows.Scan(s.dest()...); err != nil {
			return err
		}
		if x := first[int64(s.ID)]; x != nil && x.PatientID == s.PatientID { // it may have changed meanwhile
			x.StudyAttributes = s.StudyAttributes
		}
		return nil
	})
	if err != nil || !series {
		return found, more, err
	}
	names := make([]string, 0, len(found))
	for _, x := range found {
		names = append(names, x.PatientID)
	}
	err = inChunks(r.reader(ctx), `SELECT s.collection, s.patient_id, e.received, e.admitted, e.released FROM study s CROSS JOIN series e WHERE e.study = s.id AND s.patient_id IN `, names, func(rows *sql.Rows) error {
		var k patientKey
		var t tally
		err := rows.Scan(&k.collection, &k.id, &t[received], &t[admitted], &t[released])
		if x := byKey[k]; x != nil && t.sum(maskOf(p.masks, k.collection)) > 0 {
			x.Series++
		}
		return err
	})
	return found, more, err
}

// SubjectsCalled are the subjects whose studies in a collection have a Patient ID, at most two: where images are kept as they came, their Patient ID is no pseudonym of the record of subjects.
func (r *Record) SubjectsCalled(ctx context.Context, c collection.ID, patient string) ([]subject.ID, error) {
	var all []subject.ID
	err := forRows(r.reader(ctx), `SELECT DISTINCT subject FROM study WHERE collection = ? AND patient_id = ? ORDER BY subject LIMIT 2`, []any{string(c), patient}, func(rows *sql.Rows) error {
		var id subject.ID
		err := rows.Scan(&id)
		all = append(all, id)
		return err
	})
	return all, err
}
