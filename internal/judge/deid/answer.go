package deid

import (
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Answer is what is known of an object that its header does not say: what somebody, or a reading of its pixels, has found out.
type Answer uint8

// The answers; they add up.
const (
	// Seen: a person has looked at it, and answers for it that its pixels show nothing that identifies.
	Seen Answer = 1 << iota
	// Painted: every frame has been searched for text, what was found has been painted over and is not found again, and bits that hold no sample are
	// zero (PS3.15 E.3.1, Clean Pixel Data Option).
	Painted
	// Kept: it is given out to nobody but those who look after it. Its header is cleaned by every rule; what no rule can clean stays as it came: an encapsulated
	// document, pixels, what a raw data object consists of. It does not say of itself that its patient's identity was removed.
	Kept
)

// inPixels are the codes of reasons that are about writing in pixels and nothing else.
var inPixels = map[string]bool{CodePixels: true, CodeDeclared: true, CodeCapture: true, CodeOverlay: true, CodeWriting: true, CodeUnread: true}

// looking are the codes of reasons that a person can answer by looking at the object: its kind often shows text, or a face, and this one does not; or
// its text has to be read, and what the rules leave of it is the vocabulary's. What cannot be seen by looking is not among them: overlays in unused bits, raw
// data, large values, what lies elsewhere; nor documents, of which the rules leave nothing. What the gate has found is not left to anybody's eyes: it is taken out of what is accepted
// ([Profile.Tighten]), or the object stays held.
var looking = map[string]bool{CodePixels: true, CodeDeclared: true, CodeCapture: true, CodePhotograph: true, CodeLabel: true, CodeFace: true, CodeFaceFound: true, CodeText: true, CodeWaveform: true,
	CodeSOPClass: true, CodeRule: true, CodeWriting: true, CodeUnsure: true, CodeGate: true, CodeUnread: true}

// elsewhere is where a reason stands that says of pixels that they did not come (PS3.3 C.7.6.3.3).
const elsewhere = "(0028,7FE0)"

// keeping are the codes of reasons that are about what stays as it came in an object that nobody else is given.
var keeping = map[string]bool{CodeDocument: true, CodeOpaque: true, CodeOverlay: true}

// rawSOP is Raw Data Storage, whose private values are what it is kept for (PS3.3 A.37).
const rawSOP = "1.2.840.10008.5.1.4.1.1.66"

// payload reports an element that stays as it came in an object that is kept.
func payload(ds *dicom.Dataset, i int, sopClass string) bool {
	el := ds.At(i)
	if el.Parent != dicom.Root || el.IsSequence() || el.IsItem() {
		return false
	}
	if el.Tag == dicom.TagEncapsulatedDocument {
		return true
	}
	if sopClass != rawSOP || !el.Tag.IsPrivate() || el.Tag.IsPrivateCreator() {
		return false
	}
	switch el.VR {
	case dicom.VROB, dicom.VROD, dicom.VROF, dicom.VROL, dicom.VROV, dicom.VROW, dicom.VRUN:
		return true
	}
	return false
}

// Payload reports an object that has something which stays as it came while it is kept, and which no rule could clean.
func Payload(ds *dicom.Dataset) bool {
	class := ds.UID(dicom.TagSOPClassUID)
	for i := range ds.Children(dicom.Root) {
		if el := ds.At(i); payload(ds, i, class) && (ds.IsBulk(i) || el.ValueEnd > el.ValueStart) {
			return true
		}
	}
	return false
}

// headerOf is a cleaned object without what stays as it came, for the gate.
func headerOf(clean *dicom.Dataset, sopClass string) (*dicom.Dataset, error) {
	e := clean.Edit()
	some := false
	for i := range clean.Children(dicom.Root) {
		if payload(clean, i, sopClass) {
			e.Remove(i)
			some = true
		}
	}
	if !some {
		return clean, nil
	}
	r, err := e.Render()
	if err != nil {
		return nil, err
	}
	return r.Dataset()
}

// DeclareSeen is an object that was cleaned to be kept, with what says that its patient's identity is removed: somebody has looked at the rest.
func (p *Profile) DeclareSeen(ds *dicom.Dataset) (*dicom.Rendered, error) {
	m, err := p.markersFor(ds.Syntax(), false)
	if err != nil {
		return nil, err
	}
	e := ds.Edit()
	if i := ds.Find(dicom.TagBurnedInAnnotation); i >= 0 {
		e.SetElement(i, ds.At(i).VR, []byte("NO"))
	}
	e.Insert(dicom.Root, dicom.TagPatientIdentityRemoved, dicom.VRCS, []byte("YES"))
	e.Insert(dicom.Root, dicom.TagDeidentificationMethod, dicom.VRLO, []byte(p.method()))
	e.Insert(dicom.Root, dicom.TagDeidentificationMethodCodeSequence, dicom.VRSQ, m.codes)
	return e.Render()
}

// Settles reports a reason that the answer sets aside.
func (a Answer) Settles(r Reason) bool {
	if a&Painted != 0 && inPixels[r.Code] {
		return true
	}
	if a&Kept != 0 && (looking[r.Code] || keeping[r.Code] || r.Code == CodeVideo && r.Where != elsewhere || r.Code == CodeBulk && r.Where == dicom.TagEncapsulatedDocument.String()) {
		return true
	}
	return a&Seen != 0 && (looking[r.Code] || r.Code == CodeVideo && r.Where == dicom.TagPixelData.String())
}

// declare writes that the pixels show nothing that identifies (PS3.3 C.7.6.1.1.12): where the object says something else, and, as PS3.15 E.3.1 wants it, of
// every object whose pixels have been cleaned.
func (c *pass) declare(by Answer) {
	switch i := c.ds.Find(dicom.TagBurnedInAnnotation); {
	case i < 0 && by&Painted != 0 && c.ds.PixelData() >= 0:
		c.edit.Insert(dicom.Root, dicom.TagBurnedInAnnotation, dicom.VRCS, []byte("NO"))
		c.marked(dicom.TagBurnedInAnnotation)
	case i >= 0 && c.ds.String(dicom.TagBurnedInAnnotation) != "NO":
		c.set(i, []byte("NO"), Replaced)
	}
}

// DeclarePainted is an object that was cleaned by the profile before, with what says that its pixels have been cleaned since.
func (p *Profile) DeclarePainted(ds *dicom.Dataset) (*dicom.Rendered, error) {
	m, err := p.markersFor(ds.Syntax(), true)
	if err != nil {
		return nil, err
	}
	e := ds.Edit()
	e.Insert(dicom.Root, dicom.TagBurnedInAnnotation, dicom.VRCS, []byte("NO"))
	e.Insert(dicom.Root, dicom.TagDeidentificationMethodCodeSequence, dicom.VRSQ, m.codes)
	forgetTables(ds, e)
	return e.Render()
}

// Untabled is a cleaned object without tables of where its frames begin, for who writes its pixel data anew. Its bulk values are those of r.
func Untabled(r *dicom.Rendered) (*dicom.Rendered, error) {
	ds, err := r.Dataset()
	if err != nil {
		return nil, err
	}
	e := ds.Edit()
	forgetTables(ds, e)
	out, err := e.Render()
	if err != nil {
		return nil, err
	}
	was := ds.Bulks()
	for k := range out.Bulk {
		for i, b := range was {
			if b.Elem == out.Bulk[k].Elem {
				out.Bulk[k].Elem = r.Bulk[i].Elem
				break
			}
		}
	}
	return out, nil
}

// forgetTables takes out tables of where frames begin (PS3.3 C.7.6.3.1.8): frames that are painted have other lengths.
func forgetTables(ds *dicom.Dataset, e *dicom.Edit) {
	for _, t := range [...]dicom.Tag{dicom.TagExtendedOffsetTable, dicom.TagExtendedOffsetTableLengths} {
		if i := ds.Find(t); i >= 0 {
			e.Remove(i)
		}
	}
}

// Readable reports an object with pixels that can show text: an image that is no map of numbers, and no video. Of slides that is their overview, and their tiles
// by a coarse picture of them; of segmentations the masks, into which a name can be written.
func Readable(ds *dicom.Dataset) bool {
	if ds.Find(dicom.TagPixelData) < 0 || isVideo(ds.Syntax().UID) || isElsewhere(ds.Syntax().UID) {
		return false
	}
	suffix, _ := strings.CutPrefix(ds.UID(dicom.TagSOPClassUID), storageRoot)
	switch suffix {
	case "30", "481.2", "77.1.8": // parametric maps, dose, confocal maps
		return false
	}
	return true
}
