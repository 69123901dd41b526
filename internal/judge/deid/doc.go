// Package deid decides what of a DICOM object may stay and makes the object that does: PS3.15 Annex E applied by a [Profile], proven by a gate.
//
// It promises that an object whose outcome is [Cleaned] holds no element that no rule knows, at any depth; that its text was let through word by
// word from a vocabulary, not searched for what should go; that its UIDs, pseudonym and dates follow from a collection's [Keys] alone, so that the
// same object, keys, profile and version give the same bytes anywhere; and that no identifier of the subject's [Lexicon] is found in its bytes by
// a reading that knows nothing of how they were made. What it cannot judge it holds, with a reason; it never passes and never drops it.
//
//	keys := deid.NewKeys(root)
//	profile, err := deid.Lookup("research")
//	subject := deid.NewSubject(profile, keys, deid.Identify(ds), lexicon)
//	result, err := subject.Clean(ds) // result.Rendered, if result.Outcome is deid.Cleaned
//
// The package is pure: no database, network or file, and the same answer every time. It reads no pixels: what may carry burned-in text is held.
// Its results name tags and codes, never a value; [Lexicon] and [Identity] alone hold what identifies, and neither prints itself.
package deid

// The tables are transcribed from the standard and from published knowledge of private elements.
//
//go:generate go run ./internal/gentable -from $DEID_TABLES -to .
