package reading

import (
	"context"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/face"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// shows notes what the slices of a series show together, and says why they wait for a person: where the collection's profile holds what could show a face and they could. Slices
// that were read before belong to the same body: they are looked at once more, and wait with the others if nobody has answered for the series yet.
func (f *Flow) shows(ctx context.Context, id catalogue.SeriesID, in collection.ID, body *face.Volume) ([]catalogue.Reason, error) {
	var earlier []catalogue.Located
	var after catalogue.InstanceID
	for {
		page, err := f.Catalogue.ReadOf(ctx, id, after, catalogue.MaxLimit)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].ID
		for _, l := range page {
			if !sliced(l.SOPClass) {
				continue
			}
			earlier = append(earlier, l)
			if _, err := f.look(ctx, l, &burnin.Series{}, body); err != nil {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				body.Miss()
				f.Log.Error("the pixels of an instance could not be read", "instance", l.ID, "error", err)
			}
		}
	}
	if !body.Any() {
		return nil, nil
	}
	found := body.Judge()
	before, err := f.Catalogue.FaceOf(ctx, id)
	if err != nil {
		return nil, err
	}
	holds, err := f.Custody.HoldsFaces(ctx, in)
	if err != nil {
		return nil, err
	}
	var why []catalogue.Reason
	if holds && found.Outcome.Shows() {
		why = []catalogue.Reason{{Code: deid.CodeFaceFound, Where: pixelData, Text: found.Why}}
	}
	return why, f.DB.Write(ctx, func(tx *db.Tx) error {
		if len(why) > 0 && !before.Outcome.Shows() {
			for _, l := range earlier {
				if l.State != policy.Held {
					if _, err := f.Catalogue.Hold(tx, l.ID, why...); gone(err) != nil {
						return err
					}
				}
			}
		}
		return f.Catalogue.MarkFace(tx, id, found)
	})
}
