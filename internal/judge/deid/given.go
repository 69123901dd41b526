package deid

import (
	"bytes"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// What a gateway has cleaned inside a hospital is not cleaned a second time here, and it is not believed either. It has to be a fixed point: the rules, applied once more with
// pseudonym, UIDs, codes and dates left as they are, change nothing. Where they would, something was not cleaned, or by other rules, and the object is held.

// Codes of reasons for what was cleaned elsewhere.
const (
	CodeUnproven = "not-proven" // the collection's profile would change it
	CodeMarker   = "marker"     // it does not say of itself by what it was cleaned
)

// NewGiven begins with what is known of a subject whose objects were cleaned elsewhere: what it is filed by, what its objects call it. lex, which may be nil, is what is known of
// it here. Its objects pass [Subject.Prove]; [Subject.CleanAnswered] cleans what did not, and leaves UIDs that were made elsewhere, codes and dates as they are.
func NewGiven(p *Profile, keys *Keys, link [32]byte, pseudonym string, lex *Lexicon) *Subject {
	if lex == nil {
		lex = &Lexicon{}
	}
	s := &Subject{profile: p, keys: keys, given: true, link: link, pseudonym: pseudonym, lexicon: lex, seen: map[string]struct{}{}, uids: map[string]string{}}
	s.forget()
	return s
}

// GivenPseudonym is what an object that was cleaned elsewhere calls its subject; false if that is no pseudonym.
func GivenPseudonym(ds *dicom.Dataset) (string, bool) {
	p := ds.String(dicom.TagPatientID)
	return p, len(p) == 14 && isOpaque([]byte(p))
}

// Prove judges an object that was cleaned elsewhere, where what by says was found out about it. It passes as it is, or is held with every place that the profile would have changed.
func (s *Subject) Prove(ds *dicom.Dataset, by Answer) (*Result, error) {
	res, err := s.CleanAnswered(ds, by&(Seen|Painted))
	if err != nil || res.Outcome != Cleaned {
		return res, err
	}
	if p, ok := GivenPseudonym(ds); !ok || p != s.pseudonym {
		return res.stop(Held, Reason{CodeUnproven, dicom.TagPatientID.String(), "the Patient ID is not the subject's pseudonym"}), nil
	}
	was := ds.Render()
	if !bytes.Equal(was.Head, res.Rendered.Head) || !sameBulk(was.Bulk, res.Rendered.Bulk) {
		why, err := unlike(was, res.Rendered)
		if err != nil {
			return nil, err
		}
		if len(why) > 0 {
			return res.stop(Held, why...), nil
		}
	}
	res.Rendered, res.Done, res.DoneText, res.Rules = was, nil, "", nil
	res.Actions = Actions{Kept: ds.Len()}
	return res, nil
}

func sameBulk(a, b []dicom.BulkRef) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].At != b[i].At || a[i].Len != b[i].Len {
			return false
		}
	}
	return true
}

// unlike says where a cleaning has changed what it was given. Markers are compared by what they say.
func unlike(was, now *dicom.Rendered) ([]Reason, error) {
	a, err := was.Dataset()
	if err != nil {
		return nil, err
	}
	b, err := now.Dataset()
	if err != nil {
		return nil, err
	}
	var why []Reason
	add := func(ds *dicom.Dataset, i int, r Reason) {
		if r.Where = ds.Path(i); len(why) < maxReasons {
			why = append(why, r)
		}
	}
	differ(a, dicom.Root, b, dicom.Root, add)
	return why, nil
}

var unproven = Reason{Code: CodeUnproven, Text: "the collection's profile would have taken it out, or changed it"}

// differ compares what lies directly within two parents, and all below.
func differ(a *dicom.Dataset, pa int, b *dicom.Dataset, pb int, add func(*dicom.Dataset, int, Reason)) {
	left, right := children(a, pa), children(b, pb)
	for len(left) > 0 || len(right) > 0 {
		switch {
		case len(right) == 0 || len(left) > 0 && a.At(left[0]).Tag < b.At(right[0]).Tag:
			add(a, left[0], unproven)
			left = left[1:]
			continue
		case len(left) == 0 || a.At(left[0]).Tag > b.At(right[0]).Tag:
			why := unproven
			why.Text = "the collection's profile would have added it"
			add(b, right[0], why)
			right = right[1:]
			continue
		}
		i, k := left[0], right[0]
		left, right = left[1:], right[1:]
		x, y := a.At(i), b.At(k)
		if bytes.Equal(a.Raw(i), b.Raw(k)) && a.IsBulk(i) == b.IsBulk(k) {
			continue
		}
		if pa == dicom.Root {
			if ok, marker := markerFits(a, i, b, k); marker {
				if !ok {
					add(a, i, Reason{Code: CodeMarker, Text: "it does not say by what it was cleaned, or by something that is not known here"})
				}
				continue
			}
		}
		switch {
		case x.IsItem() && y.IsItem(), x.IsSequence() && y.IsSequence():
			differ(a, i, b, k, add)
		case x.IsSequence() != y.IsSequence(), a.IsBulk(i) != b.IsBulk(k), a.VR(i) != b.VR(k), !bytes.Equal(a.Value(i), b.Value(k)):
			add(a, i, unproven)
		}
	}
}

func children(ds *dicom.Dataset, parent int) []int {
	var all []int
	for i := range ds.Children(parent) {
		all = append(all, i)
	}
	return all
}

// markerFits judges the markers at the root of an object: another version of the profile, or of Vitrine, writes others. marker is false for any other element.
func markerFits(a *dicom.Dataset, i int, b *dicom.Dataset, k int) (ok, marker bool) {
	switch a.At(i).Tag {
	case dicom.TagDeidentificationMethod:
		values := a.Strings(i)
		for _, v := range values {
			if !methodValue(v) {
				return false, true
			}
		}
		return len(values) > 0 && strings.HasPrefix(values[0], equipment+" "), true
	case dicom.TagDeidentificationMethodCodeSequence:
		return onlyMarkers(a, i), true
	case dicom.TagContributingEquipmentSequence:
		if !a.At(i).IsSequence() || !b.At(k).IsSequence() {
			return false, true
		}
		mine, others := equipmentItems(a, i)
		_, want := equipmentItems(b, k)
		if len(mine) != 1 || len(others) != len(want) || !onlyMarkers(a, mine[0]) {
			return false, true
		}
		for n := range others {
			if !bytes.Equal(a.Raw(others[n]), b.Raw(want[n])) {
				return false, false // what is wrong with them is told item by item
			}
		}
		return true, true
	}
	return false, false
}

// equipmentItems are Vitrine's own items of the equipment that contributed, and the others.
func equipmentItems(ds *dicom.Dataset, seq int) (mine, others []int) {
	for k := range ds.Children(seq) {
		if ds.StringIn(k, dicom.TagManufacturer) == equipment && ds.StringIn(k, dicom.TagManufacturerModelName) == equipment {
			mine = append(mine, k)
		} else {
			others = append(others, k)
		}
	}
	return mine, others
}

// onlyMarkers reports that all text below an entry is such as markers hold.
func onlyMarkers(ds *dicom.Dataset, parent int) bool {
	for i := range ds.Children(parent) {
		if el := ds.At(i); el.IsItem() || el.IsSequence() {
			if !onlyMarkers(ds, i) {
				return false
			}
			continue
		} else if el.Tag == dicom.TagSoftwareVersions {
			if !profileVersion(strings.TrimSpace(ds.Text(i))) {
				return false
			}
			continue
		}
		if !markerValue(ds.Text(i)) {
			return false
		}
	}
	return true
}

// givenUID is a UID as it was given, if it may have been made where the object was cleaned; empty if it was not.
func givenUID(v []byte) string {
	if ours(v, nil) && !bytes.HasPrefix(v, []byte(standardRoot)) && len(v) <= maxMadeUID {
		return string(v)
	}
	return ""
}

// maxMadeUID is the length of 2.25. and 128 bits in decimal digits.
const maxMadeUID = 5 + 39

// codeFor is [Keys.Code]; of what was cleaned elsewhere, codes stay as they are.
func (s *Subject) codeFor(v string) string {
	if s.given && len(v) == codeSize && isOpaque([]byte(v)) {
		return v
	}
	return s.keys.Code(v)
}
