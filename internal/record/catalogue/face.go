package catalogue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/face"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// FaceOf is what a series was found to show; the outcome is empty where its slices were not looked at. A series that is not there is a fault.NotFound.
func (r *Record) FaceOf(ctx context.Context, id SeriesID) (face.Finding, error) {
	const attempt = "read what a series shows"
	var text string
	err := r.d.QueryRow(ctx, `SELECT face_found FROM series WHERE id = ?`, int64(id)).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return face.Finding{}, fault.New(fault.NotFound, attempt, "", "there is no such series")
	}
	var f face.Finding
	if err != nil || text == "" {
		return f, err
	}
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return f, fault.New(fault.Corrupt, attempt, "", "it is not JSON")
	}
	return f, nil
}

// MarkFace notes what a series was found to show, in place of what was noted before.
func (r *Record) MarkFace(tx *db.Tx, id SeriesID, f face.Finding) error {
	text, err := json.Marshal(f)
	if err != nil {
		return fault.Wrap(fault.Internal, "note what a series shows", "", err)
	}
	_, err = tx.Exec(`UPDATE series SET face = ?, face_found = ? WHERE id = ?`, string(f.Outcome), string(text), int64(id))
	return err
}

// FaceCounts are series of CT, MR, PET and nuclear medicine by what they were found to show.
type FaceCounts struct {
	Faces   int64 `json:"faces"`   // a head with its face
	Unsure  int64 `json:"unsure"`  // it could not be told: to be taken for a face
	None    int64 `json:"none"`    // a head without a face, or no head
	Unknown int64 `json:"unknown"` // not looked at
}

// Could is how many could show a face, for all that is known.
func (c FaceCounts) Could() int64 { return c.Faces + c.Unsure + c.Unknown }

// Faces counts the series of a collection of which something is admitted or released.
func (r *Record) Faces(ctx context.Context, c collection.ID) (n FaceCounts, err error) {
	err = forRows(r.reader(ctx), `SELECT e.face, COUNT(*) FROM series e JOIN study s ON s.id = e.study WHERE s.collection = ? AND e.modality IN ('CT', 'MR', 'PT', 'NM')
		AND e.admitted + e.released > 0 AND EXISTS (SELECT 1 FROM instance i WHERE i.series = e.id AND i.sop_class IN ('`+strings.Join(face.Classes, "', '")+`')) GROUP BY e.face`,
		[]any{string(c)}, func(rows *sql.Rows) error {
			var outcome string
			var count int64
			if err := rows.Scan(&outcome, &count); err != nil {
				return err
			}
			switch face.Outcome(outcome) {
			case face.Visible:
				n.Faces += count
			case face.Unsure:
				n.Unsure += count
			case face.NotVisible, face.NotHead:
				n.None += count
			default:
				n.Unknown += count
			}
			return nil
		})
	return n, err
}

// FacesOf are the series of a study that were looked at, by their UIDs.
func (r *Record) FacesOf(ctx context.Context, study StudyID) (map[SeriesUID]face.Finding, error) {
	all := map[SeriesUID]face.Finding{}
	err := forRows(r.reader(ctx), `SELECT uid, face_found FROM series WHERE study = ? AND face <> ''`, []any{int64(study)}, func(rows *sql.Rows) error {
		var uid SeriesUID
		var text string
		if err := rows.Scan(&uid, &text); err != nil {
			return err
		}
		var f face.Finding
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			return fault.New(fault.Corrupt, "read what a series shows", "", "it is not JSON")
		}
		all[uid] = f
		return nil
	})
	return all, err
}

// ReadOf lists the instances of a series that need no reading of their pixels any more and are in sight or held, in their order of arrival, after the instance given.
func (r *Record) ReadOf(ctx context.Context, series SeriesID, after InstanceID, limit int) ([]Located, error) {
	var all []Located
	err := forRows(r.reader(ctx), `SELECT `+locatedColumns+` FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study
		WHERE i.reading <> 1 AND i.state IN (1, 2, 3, 5) AND i.series = ? AND i.id > ? ORDER BY i.id LIMIT ?`, []any{int64(series), int64(after), bounded(limit)}, func(rows *sql.Rows) error {
		l, err := scanLocated(rows)
		all = append(all, l)
		return err
	})
	return all, err
}
