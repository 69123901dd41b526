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
)

// inPixels are the codes of reasons that are about writing in pixels and nothing else.
var inPixels = map[string]bool{CodePixels: true, CodeDeclared: true, CodeCapture: true, CodeOverlay: true, CodeWriting: true, CodeUnread: true}

// looking are the codes of reasons that a person can answer by looking at the object: its kind often shows text, or a face, and this one does not; or
// its text has to be read, and what the rules leave of it is the vocabulary's. What cannot be seen by looking is not among them: overlays in unused bits, raw
// data, large values, what lies elsewhere; nor documents, of which the rules leave nothing. What the gate has found is not left to anybody's eyes: it is taken out of what is accepted
// ([Profile.Tighten]), or the object stays held.
var looking = map[string]bool{CodePixels: true, CodeDeclared: true, CodeCapture: true, CodePhotograph: true, CodeLabel: true, CodeFace: true, CodeFaceFound: true, CodeText: true, CodeWaveform: true,
	CodeSOPClass: true, CodeRule: true, CodeWriting: true, CodeUnsure: true, CodeGate: true, CodeUnread: true}

// Settles reports a reason that the answer sets aside.
func (a Answer) Settles(r Reason) bool {
	if a&Painted != 0 && inPixels[r.Code] {
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
