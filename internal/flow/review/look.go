package review

import (
	"context"
	"image"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/face"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Evidence is what is to be known of one item before deciding on it. It has no value of its header but those that say what kind of thing it is.
type Evidence struct {
	Reasons []Explained
	Frames  int    // that can be looked at, one by one
	Video   bool   // its pixels are a coded video: [Flow.Film]
	Media   string // of an encapsulated document, as it says of itself (PS3.3 C.24.2.1); it is handed to nobody here
	Profile string // that it would be cleaned by
	Header  []catalogue.Reason
	Left    []Explained      // what would keep it held if it were accepted now; none: accepting it would be enough
	Regions []Region         // of the pictures, as the object describes them
	Found   *catalogue.Found // where a reading of the pixels found text, or what may be; nil: they have not been read, or show none
	Paints  bool             // what is found can be painted over
	Face    face.Finding     // what the slices of its series show together; the outcome is empty where they were not looked at
	Draws   bool             // boxes can be drawn on its pictures, and painted over
}

// Region is a part of a picture that the scanner drew an image in (PS3.3 C.8.5.5.1.1). What it wrote, it mostly wrote outside.
type Region struct{ MinX, MinY, MaxX, MaxY int64 }

// look decides whether the caller may look into an item, and opens it: every time is in the audit log.
func (f *Flow) look(ctx context.Context, who Caller, id catalogue.InstanceID) (*delivery.Object, error) {
	l, err := f.Catalogue.Instance(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && (!opens(&l) || allowed(who, policy.DecideHeld, l.Collection, l.State) != nil) {
		return nil, fault.New(fault.NotFound, policy.DecideHeld.String(), "", "there is nothing held of this kind that you may look into")
	}
	if err != nil {
		return nil, err
	}
	return f.Delivery.OpenHeld(ctx, delivery.Caller(who), id)
}

// Look gathers the evidence for who decides. It is a view of the object, and in the audit log as such.
func (f *Flow) Look(ctx context.Context, who Caller, id catalogue.InstanceID) (Item, Evidence, error) {
	var e Evidence
	o, err := f.look(ctx, who, id)
	if err != nil {
		return Item{}, e, err
	}
	defer o.Close()
	items, err := f.items(ctx, []catalogue.Located{o.Located})
	if err != nil {
		return Item{}, e, err
	}
	for _, r := range o.Reasons {
		e.Reasons = append(e.Reasons, Explain(r))
	}
	ds, err := o.Dataset()
	if err != nil {
		return items[0], e, err
	}
	e.Video = ds.PixelData() >= 0 && deid.Video(ds)
	if ds.PixelData() >= 0 && items[0].Rows > 0 && !e.Video {
		if frames, err := o.Frames(nil); err == nil { // what cannot be told apart cannot be looked at
			e.Frames = frames.Count()
		}
		e.Regions = regionsOf(ds)
	}
	e.Media = mediaOf(ds)
	if e.Found, err = f.Catalogue.Found(ctx, o.ID); err != nil {
		return items[0], e, err
	}
	if e.Face, err = f.Catalogue.FaceOf(ctx, o.SeriesID); err != nil {
		return items[0], e, err
	}
	e.Paints = f.Clean != nil && e.Found != nil && len(e.Found.Boxes) > 0
	e.Draws = f.Clean != nil && e.Frames > 0 && items[0].Acceptable
	c, err := f.Collections.Get(ctx, o.Collection)
	if err != nil {
		return items[0], e, err
	}
	e.Profile = c.Profile
	p, err := f.Collections.Cleaning(ctx, c)
	if err != nil {
		return items[0], e, err
	}
	if !p.AsDeposited {
		for _, r := range p.Identifying(ds) {
			e.Header = append(e.Header, catalogue.Reason(r))
		}
	}
	if items[0].Acceptable {
		left, err := f.Custody.Preview(ctx, o.Located)
		if err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Denied) {
			return items[0], e, err
		}
		for _, r := range left {
			e.Left = append(e.Left, Explain(catalogue.Reason(r)))
		}
	}
	return items[0], e, nil
}

// Faces is what the series of a study were found to show, by their UIDs, for who may see what is held in its collection.
func (f *Flow) Faces(ctx context.Context, who Caller, c collection.ID, study catalogue.StudyID) (map[catalogue.SeriesUID]face.Finding, error) {
	if err := allowed(who, policy.SeeHeld, c, policy.Held); err != nil {
		return nil, err
	}
	return f.Catalogue.FacesOf(ctx, study)
}

// Picture draws a frame of an item, counted from 1, for who decides on it. Every one is in the audit log; nobody else gets any.
func (f *Flow) Picture(ctx context.Context, who Caller, id catalogue.InstanceID, frame int, opts render.Options) (image.Image, error) {
	if frame < 1 {
		return nil, fault.New(fault.NotFound, policy.DecideHeld.String(), "", "frames are counted from 1")
	}
	o, err := f.look(ctx, who, id)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	return f.Delivery.Draw(ctx, o, frame, opts)
}

// Painted draws a frame of an item, counted from 1, as it would be with the boxes that lie in it painted over. It is a view like [Flow.Picture], and in the audit log as such.
func (f *Flow) Painted(ctx context.Context, who Caller, id catalogue.InstanceID, frame int, boxes []catalogue.FoundBox, opts render.Options) (image.Image, error) {
	if f.Clean == nil {
		return nil, fault.New(fault.Unavailable, policy.DecideHeld.String(), "", "this node reads no pixels, so it paints none")
	}
	o, err := f.look(ctx, who, id)
	if err != nil {
		return nil, err
	}
	l := o.Located
	o.Close()
	return f.Clean.Show(ctx, l, frame, boxes, opts)
}

const maxRegions = 32

func regionsOf(ds *dicom.Dataset) []Region {
	i := ds.Find(dicom.TagSequenceOfUltrasoundRegions)
	if i < 0 {
		return nil
	}
	var out []Region
	for item := range ds.Children(i) {
		at := func(t dicom.Tag) int64 {
			if k := ds.FindIn(item, t); k >= 0 {
				if v := ds.Ints(k); len(v) > 0 {
					return v[0]
				}
			}
			return -1
		}
		r := Region{at(dicom.TagRegionLocationMinX0), at(dicom.TagRegionLocationMinY0), at(dicom.TagRegionLocationMaxX1), at(dicom.TagRegionLocationMaxY1)}
		if r.MinX >= 0 && r.MinY >= 0 && r.MaxX > r.MinX && r.MaxY > r.MinY && r.MaxX < 1<<16 && r.MaxY < 1<<16 && len(out) < maxRegions {
			out = append(out, r)
		}
	}
	return out
}

// mediaOf is the kind of an encapsulated document, if it is one of those that are known: an attribute that anybody may have filled is shown to nobody.
func mediaOf(ds *dicom.Dataset) string {
	if !ds.Has(dicom.TagEncapsulatedDocument) {
		return ""
	}
	switch ds.String(dicom.TagMIMETypeOfEncapsulatedDocument) {
	case "application/pdf":
		return "a PDF document"
	case "text/XML", "text/xml", "application/xml":
		return "a clinical document in XML"
	case "model/stl":
		return "a model of a surface (STL)"
	case "model/obj", "model/mtl":
		return "a model of a surface (OBJ)"
	}
	return "a document"
}
