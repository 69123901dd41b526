// Package dicom reads, edits and writes DICOM data sets (PS3.5, PS3.10) without ever rewriting what it was not asked to change.
//
// A [Dataset] is an index of tag, value representation, offset and length over the bytes as they came. An [Edit] splices new bytes in; the lengths
// that enclose them follow, and every other byte stays: odd padding, undefined lengths, unknown elements, character sets. What is read and
// written without an edit is byte-identical.
//
//	f, err := dicom.Parse(b)
//	e := f.Data.Edit()
//	e.SetText(f.Data.Find(dicom.TagPatientID), "SUBJECT-1")
//	r, err := e.Render()
//	err = f.WriteEdited(w, r)
//
// Pixel data and other large values at the top level are bulk: they are indexed but lie apart, so that a header is read and edited without them
// ([NewReader], [Open]) and objects larger than memory pass through. Depth, lengths and counts are bounded by [Limits]; each bound is a clear
// error. Errors name tags and offsets, never values.
//
// The package does not decode pixels, does not check objects against their IOD, and knows nothing of Vitrine.
package dicom
