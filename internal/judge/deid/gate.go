package deid

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"sort"
	"unicode"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// The gate is a second reading of what is about to leave. It knows the bytes and the subject's identifiers, nothing of what the rules did: every
// byte outside bulk values is searched for every spelling of five and more characters, also within compressed data, values as wholes for shorter ones;
// anything that looks like a UID in text, or like an original one among UIDs, counts too, and so does what is somebody's whoever that is: a health
// number, a British postcode, a mail or web address in a descriptor.
//
// It is silent where a match says nothing of a person, and only there: in UIDs that are the standard's or made here, whose digits are random; dates
// in elements of dates, which have been shifted; five or six digits within a longer number, and any digits within decimal numbers; enumerated
// values (CS) of nothing but ordinary words; the pseudonym and the markers that were written here.

// Recheck searches a cleaned data set for the identifiers of a lexicon that has grown since (the whole-patient echo), and says where it has any.
func Recheck(ds *dicom.Dataset, lex *Lexicon) []Reason { return NewMatcher(lex).Recheck(ds) }

// maxReasons bounds what is said of one object.
const maxReasons = 50

// Recheck is the gate over a data set.
func (m *Matcher) Recheck(ds *dicom.Dataset) []Reason { return m.gate(ds, nil) }

// gate searches ds; originals are UIDs that it must not hold.
func (m *Matcher) gate(ds *dicom.Dataset, originals [][]byte) []Reason {
	var reasons []Reason
	m.search(ds, originals, func(i int, code, text string) bool {
		where := ds.Path(i)
		for _, r := range reasons {
			if r.Where == where && r.Code == code {
				return true
			}
		}
		reasons = append(reasons, Reason{code, where, text})
		return len(reasons) < maxReasons
	})
	return reasons
}

// search tells add of every entry of ds that the gate stops at, until it says false.
func (m *Matcher) search(ds *dicom.Dataset, originals [][]byte, add addReason) {
	b := ds.Bytes()
	from := 0
	for _, k := range ds.Bulks() {
		if !k.Inline {
			continue
		}
		el := ds.At(k.Elem)
		m.gateBytes(ds, b, from, int(el.ValueStart), add)
		m.gateFolded(ds, b, from, int(el.ValueStart), add)
		from = int(el.ValueEnd)
	}
	m.gateBytes(ds, b, from, len(b), add)
	m.gateFolded(ds, b, from, len(b), add)
	m.gateValues(ds, originals, add)
}

// gateFolded searches what lies compressed within values of b[from:to]: a gzip stream anywhere in one, a zlib stream at its beginning. What unfolds to
// more than can be searched proves nothing, and counts.
func (m *Matcher) gateFolded(ds *dicom.Dataset, b []byte, from, to int, add addReason) {
	const hit = "an identifier of the subject is in compressed data of the output"
	for streams := 0; from < to; {
		k := bytes.Index(b[from:to], gzipMagic)
		if k < 0 {
			break
		}
		at := from + k
		from = at + 1
		i := entryAt(ds, at)
		if i < 0 || at < int(ds.At(i).ValueStart) {
			continue
		}
		r, err := gzip.NewReader(bytes.NewReader(b[at:min(to, int(ds.At(i).ValueEnd))]))
		if err != nil {
			continue
		}
		if streams++; (streams > maxStreams || m.unfolded(r)) && !add(i, CodeGate, hit) {
			return
		}
		if streams > maxStreams {
			return
		}
	}
}

// zlibStream reports a value of bytes that is a zlib stream with an identifier in it.
func (m *Matcher) zlibStream(v []byte) bool {
	if len(v) < 16 || v[0] != 0x78 {
		return false
	}
	r, err := zlib.NewReader(bytes.NewReader(v))
	return err == nil && m.unfolded(r)
}

// unfolded reports an identifier in what r unfolds to, or that it is too much to search.
func (m *Matcher) unfolded(r io.Reader) bool {
	text, err := io.ReadAll(io.LimitReader(r, maxUnfolded+1))
	return len(text) > maxUnfolded || m.InText(string(text)) || err == nil && bytes.Contains(text, gzipMagic)
}

const (
	maxUnfolded = 4 << 20 // bytes that a stream may unfold to
	maxStreams  = 16      // of one object
)

// equipmentText reports elements of text that names equipment, its place or its software, which a profile may keep as it is.
func equipmentText(t dicom.Tag) bool {
	switch t {
	case dicom.TagManufacturer, dicom.TagManufacturerModelName, dicom.TagDeviceSerialNumber, dicom.TagSoftwareVersions, dicom.TagPlateID, dicom.TagInstitutionName,
		dicom.TagInstitutionAddress, dicom.TagInstitutionalDepartmentName, dicom.TagAlgorithmName, dicom.TagAlgorithmVersion, dicom.TagAlgorithmParameters,
		dicom.TagDeviceDescription, dicom.TagUniqueDeviceIdentifier, dicom.TagLensSpecification, dicom.TagDetectorID,
		dicom.TagReceiveCoilManufacturerName, dicom.TagTransmitCoilManufacturerName, dicom.TagSecondaryCaptureDeviceManufacturer,
		dicom.TagSecondaryCaptureDeviceManufacturerModelName, dicom.TagSecondaryCaptureDeviceSoftwareVersions:
		return true
	}
	return t.IsPrivate()
}

type addReason func(i int, code, text string) bool

// gateBytes searches b[from:to].
func (m *Matcher) gateBytes(ds *dicom.Dataset, b []byte, from, to int, add addReason) {
	part := b[:to]
	i, s := from, uint32(0)
	for {
		var p int32
		i, p, s = m.find(part, i, s)
		if p < 0 {
			break
		}
		k := entryAt(ds, i-1)
		if k >= 0 && m.counts(ds, k, b, i, m.pattern[p]) && !add(k, CodeGate, "an identifier of the subject is in the output") {
			return
		}
	}
	// A run of digits and points that is long enough for a UID has one of every twenty bytes within it.
	for i := from + uidRun - 1; i < to; i += uidRun {
		if !uidByte(b[i]) {
			continue
		}
		lo, hi := i, i
		for lo > from && uidByte(b[lo-1]) {
			lo--
		}
		for hi < to && uidByte(b[hi]) {
			hi++
		}
		if hi-lo < uidRun {
			continue
		}
		dots := bytes.Count(b[lo:hi], []byte{'.'})
		if dots < uidDots && !bytes.HasPrefix(b[lo:hi], []byte("2.25.")) {
			continue
		}
		if k := entryAt(ds, lo); k >= 0 && ds.VR(k) != dicom.VRUI && !add(k, CodeGate, "a UID stands where none belongs") {
			return
		}
	}
}

func uidByte(c byte) bool { return c >= '0' && c <= '9' || c == '.' }

// gateValues compares whole values, and the values of UI elements with the originals.
func (m *Matcher) gateValues(ds *dicom.Dataset, originals [][]byte, add addReason) {
	for i := range ds.Len() {
		el := ds.At(i)
		if el.IsItem() || el.IsSequence() {
			continue
		}
		switch vr := ds.VR(i); vr {
		case dicom.VRLO, dicom.VRSH, dicom.VRPN, dicom.VRST, dicom.VRLT, dicom.VRUT, dicom.VRUC, dicom.VRAE, dicom.VRUR:
			v := ds.Value(i)
			if len(v) == 0 {
				continue
			}
			descriptor := vr != dicom.VRSH && vr != dicom.VRPN && vr != dicom.VRAE && vr != dicom.VRUR && !equipmentText(el.Tag)
			if len(m.whole) == 0 && !descriptor {
				continue
			}
			for len(v) > 0 {
				one := v
				if k := bytes.IndexByte(v, '\\'); k >= 0 {
					one, v = v[:k], v[k+1:]
				} else {
					v = nil
				}
				if descriptor && identifies(one) && !m.written(ds, i) && !add(i, CodeGate, "a health number, a postcode or an address stands in the output") {
					return
				}
				if _, hit := m.wholeValue(bytes.Trim(one, " \x00")); hit && !m.written(ds, i) &&
					!add(i, CodeGate, "a short identifier of the subject is a whole value in the output") {
					return
				}
			}
		case dicom.VROB, dicom.VRUN:
			if !ds.IsBulk(i) && m.zlibStream(ds.Value(i)) && !add(i, CodeGate, "an identifier of the subject is in compressed data of the output") {
				return
			}
		case dicom.VRUI:
			v := ds.Value(i)
			for len(v) > 0 {
				one := v
				if k := bytes.IndexByte(v, '\\'); k >= 0 {
					one, v = v[:k], v[k+1:]
				} else {
					v = nil
				}
				if one = trimmedUID(one); len(one) > 0 && !ours(one, originals) && !(m.keepsUIDs && dicom.ValidUID(string(one))) && !add(i, CodeGate, "an original UID is in the output") {
					return
				}
			}
		}
	}
}

// ours reports a UID that may stand in the output.
func ours(uid []byte, originals [][]byte) bool {
	if bytes.HasPrefix(uid, []byte("2.25.")) && allDigits(uid[5:]) {
		for _, o := range originals {
			if bytes.Equal(o, uid) {
				return false
			}
		}
		return true
	}
	return standardUID(uid)
}

// standardUID reports a UID that PS3.6 A lists.
func standardUID(uid []byte) bool {
	if !bytes.HasPrefix(uid, []byte(standardRoot)) {
		return false
	}
	_, ok := dicom.UIDName(string(uid))
	return ok
}

// entryAt is the innermost entry that the byte at offset belongs to; -1 if none.
func entryAt(ds *dicom.Dataset, offset int) int {
	k := sort.Search(ds.Len(), func(i int) bool { return int(ds.At(i).Start) > offset }) - 1
	for k >= 0 && int(ds.At(k).End) <= offset {
		k = int(ds.At(k).Parent)
	}
	return k
}

// counts judges a match of pattern p that ends before end within entry k.
func (m *Matcher) counts(ds *dicom.Dataset, k int, b []byte, end int, p pattern) bool {
	el := ds.At(k)
	start := p.begin(b, end)
	if start < int(el.ValueStart) {
		return start >= int(el.Start) && end > int(el.ValueStart)+1 && !el.IsSequence() // a header is no text
	}
	if m.written(ds, k) {
		return false
	}
	vr := ds.VR(k)
	if p.digits {
		n := len(digitsOf(p.text))
		switch vr {
		case dicom.VRUI:
			return m.keepsUIDs && p.kind != TermDate && (n >= 7 || uidComponent(b[el.ValueStart:el.ValueEnd], start-int(el.ValueStart), end-int(el.ValueStart)))
		case dicom.VRDA, dicom.VRDT, dicom.VRTM:
			if bytes.ContainsFunc(b[el.ValueStart:el.ValueEnd], unicode.IsLetter) {
				return true
			}
			if m.keepsDates && p.kind == TermBirthDate && vr != dicom.VRTM {
				return true // where dates are the true ones, a birth date is one
			}
			return p.kind != TermDate && p.kind != TermBirthDate && n > 8
		case dicom.VRDS, dicom.VRIS:
			return n >= 7 && wholeNumber(b[el.ValueStart:el.ValueEnd], start-int(el.ValueStart), end-int(el.ValueStart))
		}
		if n < 7 && (vr == dicom.VROB || vr == dicom.VRUN) && (start > int(el.ValueStart) && b[start-1] == '.' || end+1 < int(el.ValueEnd) && b[end] == '.' && digit(b[end+1])) {
			return false // part of a decimal number of a blob
		}
		if n < 7 && (end < int(el.ValueEnd) && digit(b[end]) || !zerosBefore(b[el.ValueStart:start])) {
			return false
		}
		return true
	}
	switch vr {
	case dicom.VRUI:
		return false
	case dicom.VRCS:
		return !ordinaryWords(string(b[el.ValueStart:el.ValueEnd]))
	}
	return true
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// zerosBefore reports that the digits before a number are zeros, or none.
func zerosBefore(b []byte) bool {
	i := len(b)
	for i > 0 && b[i-1] == '0' {
		i--
	}
	return i == 0 || !digit(b[i-1])
}

// uidComponent reports that v[start:end] is a component of a UID, leading zeros apart.
func uidComponent(v []byte, start, end int) bool {
	for start > 0 && v[start-1] == '0' {
		start--
	}
	return (start == 0 || !digit(v[start-1])) && (end == len(v) || !digit(v[end]))
}

// wholeNumber reports that v[start:end] is one of the values, padding apart.
func wholeNumber(v []byte, start, end int) bool {
	for end < len(v) && (v[end] == ' ' || v[end] == 0) {
		end++
	}
	for start > 0 && (v[start-1] == ' ' || v[start-1] == '0') {
		start--
	}
	return (end == len(v) || v[end] == '\\') && (start == 0 || v[start-1] == '\\')
}

// written reports an element that holds what was written here: the pseudonym, and the markers with all within.
func (m *Matcher) written(ds *dicom.Dataset, k int) bool {
	el := ds.At(k)
	switch el.Tag {
	case dicom.TagPatientName, dicom.TagPatientID, dicom.TagClinicalTrialSubjectID, dicom.TagContainerIdentifier, dicom.TagSpecimenIdentifier:
		return isOpaque(ds.Value(k))
	case dicom.TagDeidentificationMethod:
		for _, v := range ds.Strings(k) {
			if !methodValue(v) {
				return false
			}
		}
		return true
	}
	for p := el.Parent; p != dicom.Root; p = ds.At(int(p)).Parent {
		switch ds.At(int(p)).Tag {
		case dicom.TagDeidentificationMethodCodeSequence:
			return markerValue(ds.Text(k))
		case dicom.TagContributingEquipmentSequence:
			return markerValue(ds.Text(k))
		}
	}
	return false
}

// isOpaque reports the form of a pseudonym or code.
func isOpaque(v []byte) bool {
	v = bytes.TrimRight(v, " ")
	if len(v) != 14 && len(v) != 9 {
		return false
	}
	for i, c := range v {
		if (i%5 == 4) != (c == '-') || c != '-' && bytes.IndexByte([]byte(letters), c) < 0 {
			return false
		}
	}
	return true
}
