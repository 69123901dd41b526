package directory

import (
	"context"
	"fmt"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// Shown is a picture that was picked for a collection's page.
type Shown struct {
	directory.Picture
	Object        catalogue.InstanceID
	Rows, Columns int64
	Visible       bool   // its instance is released still; what is withdrawn, held or taken back is not seen
	Study         string // for who picks: where it is from
}

// pictures are what was picked of a collection: what may be seen, or all.
func (d *Desk) pictures(ctx context.Context, c collection.ID, all bool) ([]Shown, error) {
	if d.Pictures == nil || c == "" {
		return nil, nil
	}
	picked, err := d.Pictures.Of(ctx, c)
	if err != nil {
		return nil, err
	}
	var out []Shown
	for _, p := range picked {
		s := Shown{Picture: p}
		l, err := d.Catalogue.Instance(ctx, catalogue.InstanceID(p.Instance))
		switch {
		case fault.Is(err, fault.NotFound):
		case err != nil:
			return nil, err
		case l.Collection == c:
			s.Object, s.Rows, s.Columns, s.Study = l.ID, l.Rows, l.Columns, string(l.Study)
			s.Visible = policy.Decide(policy.Facts{Action: policy.SeeMontage, Collection: string(c), State: l.State}).Allow
		}
		if s.Visible || all {
			out = append(out, s)
		}
	}
	return out, nil
}

// Montage are the pictures of a published entry that everybody may see.
func (d *Desk) Montage(ctx context.Context, who admin.Caller, id directory.ID) ([]Shown, error) {
	if err := d.sees(ctx, who); err != nil {
		return nil, err
	}
	s, err := d.Entries.Seen(ctx, id)
	if err != nil || s.Entry.Holding != directory.Here {
		return nil, err
	}
	return d.pictures(ctx, collection.ID(s.Entry.Collection), false)
}

// ShownPicture is one picture of a published entry, by its number; 0 is the first that may be seen. fault.NotFound where there is none that may.
func (d *Desk) ShownPicture(ctx context.Context, who admin.Caller, id directory.ID, n int64) (Shown, error) {
	all, err := d.Montage(ctx, who, id)
	if err != nil {
		return Shown{}, err
	}
	for _, s := range all {
		if n == 0 || s.N == n {
			return s, nil
		}
	}
	return Shown{}, fault.New(fault.NotFound, "see a picked picture", "", "there is no such picture on the collection's page")
}

// Pictured says which of the entries have a picture that may be seen: for lists.
func (d *Desk) Pictured(ctx context.Context, entries ...*directory.Stored) (map[directory.ID]bool, error) {
	out := map[directory.ID]bool{}
	for _, s := range entries {
		if s.Entry.Holding != directory.Here {
			continue
		}
		all, err := d.pictures(ctx, collection.ID(s.Entry.Collection), false)
		if err != nil {
			return nil, err
		}
		if len(all) > 0 {
			out[s.ID] = true
		}
	}
	return out, nil
}

// Picked are all pictures that were picked for a collection, for who picks them: those that are not to be seen any more too.
func (d *Desk) Picked(ctx context.Context, who admin.Caller, c collection.ID) ([]Shown, error) {
	if err := d.picks(ctx, who, c, policy.Released); err != nil {
		return nil, err
	}
	return d.pictures(ctx, c, true)
}

func (d *Desk) picks(ctx context.Context, who admin.Caller, c collection.ID, state policy.State) error {
	decision := policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.PickPicture, Collection: string(c), State: state})
	if decision.Allow {
		return nil
	}
	return d.denied(ctx, who, policy.PickPicture, string(c), "collection "+string(c), decision)
}

// Pick puts a frame of a released instance on the collection's page, behind what is there. looked is the steward's word that nothing in the picture says who it is of.
func (d *Desk) Pick(ctx context.Context, who admin.Caller, c collection.ID, of catalogue.Where, as directory.Picture, looked bool) (int64, error) {
	attempt, on := policy.PickPicture.String(), "collection "+string(c)
	if err := d.picks(ctx, who, c, policy.Released); err != nil {
		return 0, err
	}
	if !looked {
		return 0, fault.New(fault.Invalid, attempt, on, "somebody has to have looked at the picture: say that nothing in it tells who it is of")
	}
	of.Collection, of.Scopes = c, policy.Scopes(who.Grants, policy.PickPicture, policy.Link{})
	if of.SOP == "" {
		return 0, fault.New(fault.Invalid, attempt, on, "no instance is named")
	}
	for l, err := range d.Catalogue.Locate(ctx, of) {
		if err != nil {
			return 0, err
		}
		if l.State != policy.Released || as.Frame < 1 || as.Frame > max(1, l.Frames) || l.Rows == 0 {
			break
		}
		var n int64
		err = d.change(ctx, who, attempt, string(c), func(tx *db.Tx) (string, error) {
			as.Collection, as.Instance, as.By = c, int64(l.ID), who.Actor
			n, err = d.Pictures.Pick(tx, as)
			return fmt.Sprintf("instance %s, frame %d", l.ID, as.Frame), err
		})
		return n, err
	}
	return 0, fault.New(fault.NotFound, attempt, on, "there is no such picture, or it is not released")
}

// ArrangePicture takes a picture away, moves it, or says what it shows.
func (d *Desk) ArrangePicture(ctx context.Context, who admin.Caller, c collection.ID, n int64, act Arrange) error {
	if err := d.picks(ctx, who, c, policy.Released); err != nil {
		return err
	}
	return d.change(ctx, who, "arrange pictures for the public", string(c), func(tx *db.Tx) (string, error) {
		on := fmt.Sprintf("picture %d: %s", n, act.What)
		switch act.What {
		case "remove":
			return on, d.Pictures.Remove(tx, c, n)
		case "earlier":
			return on, d.Pictures.Move(tx, c, n, -1)
		case "later":
			return on, d.Pictures.Move(tx, c, n, 1)
		case "describe":
			return on, d.Pictures.Describe(tx, c, n, act.View)
		}
		return "", fault.New(fault.Invalid, "arrange pictures", "", "pictures are removed, moved earlier or later, or described")
	})
}

// Arrange is what is done with a picture: "remove", "earlier", "later", or "describe" with a view.
type Arrange struct{ What, View string }
