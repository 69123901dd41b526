package deid

import (
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Codes of reasons and findings.
const (
	CodeGate       = "gate"               // an identifier or original UID would have been in the output
	CodeDirectory  = "directory"          // a DICOMDIR
	CodeDuplicate  = "duplicate-element"  // two elements with one tag
	CodeOrder      = "element-order"      // elements out of order
	CodeNoUID      = "missing-uid"        // no SOP class or instance, series or study UID
	CodeSOPClass   = "unknown-sop-class"  // private, or newer than the dictionary
	CodePixels     = "burned-in-text"     // its kind of image often has text in the pixels
	CodeDeclared   = "burned-in-declared" // (0028,0301) says so
	CodeCapture    = "screen-capture"     // the image is of a screen or a film
	CodePhotograph = "photograph"         // the image may show the person
	CodeOverlay    = "embedded-overlay"   // an overlay within the pixel data's unused bits
	CodeWriting    = "writing-found"      // text was found in its pixels
	CodeUnsure     = "pixels-unsure"      // what its pixels show could not be told, or not be painted over
	CodeUnread     = "pixels-unread"      // its pixels were to be read, and this node reads none
	CodeNested     = "nested-pixels"      // pixel data within a sequence
	CodeDocument   = "document"           // an encapsulated document or model
	CodeVideo      = "video"              // a video, or pixels that lie elsewhere
	CodeText       = "structured-text"    // a content item of a kind that no rule knows
	CodeOpaque     = "opaque-data"        // raw data that no rule can read
	CodeLabel      = "slide-label"        // a slide's label or overview
	CodeFace       = "face"               // a face could be rendered, by what the header says
	CodeFaceFound  = "face-found"         // a face could be rendered, by the pixels of its series, or it cannot be told
	CodeWaveform   = "waveform-text"      // annotations of a waveform, which version 1 held
	CodeBulk       = "large-value"        // a large value that is no pixel data, or more than its image needs
	CodeRule       = "profile-rule"       // a rule of the collection's own holds it
	CodeLexicon    = "lexicon"            // more identifiers than a lexicon holds
	CodeUnreadable = "unreadable"         // the result could not be encoded or read again
	CodeIdentifier = "identifier"         // finding: an element that identifies has a value

	CodeEmptyReport = "empty-report" // finding: of a report's content nothing is left

	storageRoot  = "1.2.840.10008.5.1.4.1.1."
	directorySOP = "1.2.840.10008.1.3.10"
	slideSOP     = "1.2.840.10008.5.1.4.1.1.77.1.6"
	petSOP       = "1.2.840.10008.5.1.4.1.1.128"
)

// heldClasses are the storage SOP classes that wait for somebody, by what follows the storage root.
var heldClasses = func() map[string]Reason {
	held := map[string]Reason{}
	hold := func(code, text string, suffixes ...string) {
		for _, s := range suffixes {
			held[s] = Reason{Code: code, Where: "(0008,0016)", Text: text}
		}
	}
	hold(CodePixels, "ultrasound images carry text in their pixels", "3", "3.1", "6", "6.1", "6.2", "6.3")
	hold(CodePixels, "secondary captures carry text in their pixels", "7", "7.1", "7.2", "7.3", "7.4")
	hold(CodePixels, "angiographic and fluoroscopic images carry text in their pixels", "12.1", "12.1.1", "12.2", "12.2.1", "12.3", "12.77")
	hold(CodePixels, "endoscopic, microscopic and ophthalmic images may show text", "77.1.1", "77.1.2", "77.1.5.1", "77.1.5.2", "77.1.5.5", "77.1.5.6")
	hold(CodePhotograph, "a photograph may show the person", "77.1", "77.2", "77.1.4", "77.1.7")
	hold(CodeDocument, "encapsulated documents and models are read by a person", "104.1", "104.2", "104.3", "104.4", "104.5")
	hold(CodeOpaque, "raw data cannot be judged", "66")
	hold(CodeOpaque, "audio can carry speech", "9.4.1")
	hold(CodeFace, "a scan of a surface can show a face", "68.1", "68.2")
	hold(CodeVideo, "video is judged frame by frame, which is not done yet", "77.1.1.1", "77.1.2.1", "77.1.4.1")
	return held
}()

// heldModalities do the same for objects whose SOP class says less than their modality.
var heldModalities = map[string]Reason{
	"US": {CodePixels, "(0008,0060)", "ultrasound images carry text in their pixels"}, "IVUS": {CodePixels, "(0008,0060)", "ultrasound images carry text in their pixels"},
	"XA":  {CodePixels, "(0008,0060)", "angiographic and fluoroscopic images carry text in their pixels"},
	"RF":  {CodePixels, "(0008,0060)", "angiographic and fluoroscopic images carry text in their pixels"},
	"ES":  {CodePixels, "(0008,0060)", "endoscopic, microscopic and ophthalmic images may show text"},
	"OP":  {CodePixels, "(0008,0060)", "endoscopic, microscopic and ophthalmic images may show text"},
	"GM":  {CodePixels, "(0008,0060)", "endoscopic, microscopic and ophthalmic images may show text"},
	"XC":  {CodePhotograph, "(0008,0060)", "a photograph may show the person"},
	"DMS": {CodePhotograph, "(0008,0060)", "a photograph may show the person"},
	"HC":  {CodeCapture, "(0008,0060)", "hard copies carry text in their pixels"},
	"DG":  {CodePhotograph, "(0008,0060)", "a photograph may show the person"},
	"DOC": {CodeDocument, "(0008,0060)", "encapsulated documents and models are read by a person"},
	"AU":  {CodeOpaque, "(0008,0060)", "audio can carry speech"},
}

// judgeKind says why an object of this kind waits, or cannot be kept, before any element is cleaned.
func (p *Profile) judgeKind(ds *dicom.Dataset, sopClass string) (outcome Outcome, reasons []Reason) {
	if sopClass == directorySOP || ds.Has(dicom.TagDirectoryRecordSequence) {
		return Refused, []Reason{{CodeDirectory, "(0004,1220)", "a media directory is no image: deposit the files that it lists"}}
	}
	for _, t := range []dicom.Tag{dicom.TagSOPClassUID, dicom.TagSOPInstanceUID, dicom.TagStudyInstanceUID, dicom.TagSeriesInstanceUID} {
		if ds.UID(t) == "" {
			return Refused, []Reason{{CodeNoUID, t.String(), "the object has no such UID"}}
		}
	}
	hold := func(r Reason) { reasons = append(reasons, r) }
	suffix, storage := strings.CutPrefix(sopClass, storageRoot)
	if r, ok := heldClasses[suffix]; ok && storage {
		hold(r)
	} else if !standardUID([]byte(sopClass)) {
		hold(Reason{CodeSOPClass, "(0008,0016)", "the standard's tables speak of no such class"})
	}
	modality := ds.String(dicom.TagModality)
	if r, ok := heldModalities[modality]; ok && (len(reasons) == 0 || reasons[0].Code != r.Code) {
		hold(r)
	}
	if uid := ds.Syntax().UID; isVideo(uid) {
		hold(Reason{CodeVideo, "(7FE0,0010)", "video is judged frame by frame, which is not done yet"})
	} else if isElsewhere(uid) || ds.Has(dicom.TagPixelDataProviderURL) {
		hold(Reason{CodeVideo, elsewhere, "the pixels lie elsewhere"})
	}
	if v := ds.String(dicom.TagBurnedInAnnotation); v != "" && v != "NO" {
		hold(Reason{CodeDeclared, "(0028,0301)", "the object says that identifying text is in its pixels"})
	}
	if v := ds.String(dicom.TagConversionType); v != "" && (!storage || heldClasses[suffix].Code == "") {
		hold(Reason{CodeCapture, "(0008,0064)", "the image was taken of a screen, a film or a drawing"})
	}
	if i := ds.Find(dicom.TagImageType); i >= 0 {
		for k, v := range ds.Strings(i) {
			switch v = strings.ToUpper(v); {
			case sopClass == slideSOP && (v == "LABEL" || v == "OVERVIEW"):
				hold(Reason{CodeLabel, "(0008,0008)", "a slide's label or overview shows what is written on it"})
			case k >= 2 && (strings.Contains(v, "SCREEN") || strings.Contains(v, "DOSE_INFO") || v == "PROT" || strings.HasSuffix(v, " PROT")):
				hold(Reason{CodeCapture, "(0008,0008)", "the image is of a scanner's screen"})
			}
		}
	}
	if sopClass == slideSOP && ds.String(dicom.TagSpecimenLabelInImage) == "YES" {
		hold(Reason{CodeLabel, "(0048,0010)", "the slide's label is in the image"})
	}
	if i := ds.Find(dicom.TagSeriesDescription); i >= 0 {
		low := strings.ToLower(ds.Text(i))
		for _, s := range []string{"dose report", "patient protocol", "screen save", "dose info", "dose record", "screenshot"} {
			if strings.Contains(low, s) {
				hold(Reason{CodeCapture, "(0008,103E)", "the series is of a scanner's screen"})
				break
			}
		}
	}
	if p.HoldFaces {
		if r, ok := face(ds, modality); ok {
			hold(r)
		}
	}
	for i := range ds.Children(dicom.Root) {
		el := ds.At(i)
		t := el.Tag
		switch {
		case t.Group()>>8 == 0x60 && embedded(ds, i, t):
			hold(Reason{CodeOverlay, t.String(), "an overlay lies in the unused bits of the pixel data"})
		case ds.IsBulk(i) && t.Group() != 0x7FE0:
			if r := p.ruleOf(ds, i, nil); r.op != opRemove && r.op != opPrivate {
				hold(Reason{CodeBulk, t.String(), "a large value that is no pixel data"})
			}
		case t == dicom.TagEncapsulatedDocument && len(reasons) == 0:
			hold(Reason{CodeDocument, t.String(), "encapsulated documents and models are read by a person"})
		}
	}
	if beyond(ds) {
		hold(Reason{CodeBulk, "(7FE0,0010)", "more bytes than its pixels need are in the value"})
	}
	if len(reasons) > 0 {
		return Held, reasons
	}
	return Cleaned, nil
}

// beyond reports native pixel data that is longer than its rows, columns, frames and samples make it (PS3.5 8.1.1): what lies behind them is no picture,
// and nobody would look at it. A byte of padding is allowed.
func beyond(ds *dicom.Dataset) bool {
	i := ds.Find(dicom.TagPixelData)
	if i < 0 || ds.Syntax().Encapsulated {
		return false
	}
	bits := int64(1)
	for _, t := range [...]dicom.Tag{dicom.TagRows, dicom.TagColumns, dicom.TagBitsAllocated, dicom.TagSamplesPerPixel, dicom.TagNumberOfFrames} {
		n, ok := ds.Int(t)
		if !ok && (t == dicom.TagNumberOfFrames || t == dicom.TagSamplesPerPixel) {
			n = 1
		}
		if n < 1 || n > 1<<31 || bits > 1<<60/n {
			return false // it is no image; the gate of pixels says so
		}
		bits *= n
	}
	size := int64(len(ds.Value(i)))
	if b, ok := ds.BulkOf(i); ok {
		size = b.Len
	}
	return size > (bits+7)/8+1
}

// embedded reports Overlay Bits Allocated or Overlay Bit Position of an overlay that has no data of its own but a place in the pixel data
// (PS3.5 8.1.2, retired).
func embedded(ds *dicom.Dataset, i int, t dicom.Tag) bool {
	var plain int64
	switch t.Element() {
	case 0x0100:
		plain = 1
	case 0x0102:
	default:
		return false
	}
	v := ds.Ints(i)
	return len(v) > 0 && v[0] != plain && !ds.Has(t&0xFFFF0000|0x3000)
}

// Video reports an object whose pixels are a coded video.
func Video(ds *dicom.Dataset) bool { return isVideo(ds.Syntax().UID) }

// isVideo reports MPEG-2, MPEG-4 and HEVC.
func isVideo(uid string) bool {
	const jpegRoot = "1.2.840.10008.1.2.4.10"
	if !strings.HasPrefix(uid, jpegRoot) || len(uid) == len(jpegRoot) {
		return false
	}
	return uid[len(jpegRoot)] <= '8'
}

// isElsewhere reports JPIP: the data set has the address of a server in place of pixels.
func isElsewhere(uid string) bool {
	switch uid {
	case "1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.205":
		return true
	}
	return false
}

// face holds what could show a face: volumes of a head, or of a part of the body that nobody named.
func face(ds *dicom.Dataset, modality string) (Reason, bool) {
	if ds.String(dicom.TagRecognizableVisualFeatures) == "YES" {
		return Reason{CodeFace, "(0028,0302)", "the object says that a person can be recognised"}, true
	}
	switch modality {
	case "CT", "MR", "PT", "NM":
	case "RTSTRUCT", "SEG":
		return Reason{}, false
	default:
		return Reason{}, false
	}
	part := strings.ToUpper(strings.TrimSpace(ds.String(dicom.TagBodyPartExamined)))
	for _, safe := range []string{"CHEST", "THORAX", "ABDOMEN", "PELVIS", "BREAST", "LUNG", "HEART", "LIVER", "KIDNEY", "PROSTATE", "PANCREAS", "COLON",
		"BLADDER", "LSPINE", "TSPINE", "KNEE", "HIP", "LEG", "FOOT", "ANKLE", "HAND", "WRIST", "ELBOW", "ARM", "FEMUR", "CHESTABDOMEN", "CHESTABDPELVIS",
		"ABDOMENPELVIS", "ABDPELVIS", "UTERUS", "OVARY", "SHOULDER"} {
		if part == safe {
			return Reason{}, false
		}
	}
	return Reason{CodeFace, "(0018,0015)", "the volume is of a head, or does not say of what: a face could be rendered"}, true
}

// strictClass reports SOP classes in which attributes that Table E.1-1 gives compound actions for are of type 1 (PS3.3 A): enhanced multi-frame
// images, segmentations, slides, waveforms, structured reports and what descends from them.
func strictClass(sopClass string) bool {
	suffix, ok := strings.CutPrefix(sopClass, storageRoot)
	if !ok {
		return false
	}
	switch suffix {
	case "2.1", "2.2", "4.1", "4.2", "4.3", "4.4", "6.2", "12.1.1", "12.2.1", "13.1.1", "13.1.2", "13.1.3", "13.1.4", "13.1.5", "30", "66.1", "66.2", "66.3",
		"66.4", "66.5", "66.6", "66.7", "67", "77.1.5.4", "77.1.5.7", "77.1.5.8", "77.1.6", "77.1.8", "78.1", "90.1", "91.1", "128.1", "130":
		return true
	}
	return strings.HasPrefix(suffix, "88.") || strings.HasPrefix(suffix, "9.")
}

// resolve chooses among the actions of a compound one by the type that the attribute has in the object's class. Where that is not known, the choice
// keeps an object valid: empty rather than removed, a dummy only where the attribute is of type 1.
func resolve(a Action, t dicom.Tag, sopClass string, strict bool) Action {
	if t == dicom.TagPresentationCreationDate || t == dicom.TagPresentationCreationTime {
		return ActionD // of type 1 wherever they stand (PS3.3 C.11.10)
	}
	switch a {
	case ActionXZ, ActionXZU:
		return ActionZ
	case ActionZD, ActionXZD:
		if t == dicom.TagInstitutionCodeSequence || t == dicom.TagReferencedPerformedProcedureStepSequence || t == dicom.TagOperatorIdentificationSequence {
			return ActionX // type 3 wherever they stand
		}
		if strict {
			return ActionD
		}
		return ActionZ
	case ActionXD:
		if strict || sopClass == petSOP && (t == dicom.TagSeriesDate || t == dicom.TagSeriesTime) { // PS3.3 C.8.9.1
			if t == dicom.TagOperatorIdentificationSequence {
				return ActionX
			}
			return ActionD
		}
		if t == dicom.TagRTPlanDate || t == dicom.TagRTPlanTime || t == dicom.TagTreatmentDate || t == dicom.TagTreatmentTime ||
			t == dicom.TagFirstTreatmentDate || t == dicom.TagMostRecentTreatmentDate { // type 2 in RT (PS3.3 C.8.8)
			return ActionZ
		}
		return ActionX
	}
	return a
}

// Identifying are the elements of an object that the profile knows to identify and that have a value, by their paths: what a person may be told of a header without being
// shown it. Of items of one sequence, and beyond maxReasons, the first stand for all.
func (p *Profile) Identifying(ds *dicom.Dataset) []Reason {
	var out []Reason
	met := map[dicom.Tag]bool{}
	for i := range ds.Len() {
		el := ds.At(i)
		if el.IsItem() || met[el.Tag] || el.ValueEnd == el.ValueStart || len(out) == maxReasons {
			continue
		}
		if r := p.ruleOf(ds, i, nil); r.term == 0 || r.term == TermDate || strings.Trim(ds.Text(i), " \x00") == "" {
			continue
		}
		met[el.Tag] = true
		text := "an element that is not in the standard"
		if e, ok := dicom.LookupTag(el.Tag); ok {
			text = e.Name
		}
		out = append(out, Reason{CodeIdentifier, ds.Path(i), text})
	}
	return out
}
