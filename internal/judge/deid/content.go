package deid

import (
	"strconv"
	"strings"
	"sync"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Structured content is cleaned concept by concept (PS3.15 E.3.4): what becomes of a content item's value follows from its concept name, by Table
// E.3.4-1, and where the table does not speak of the concept, from its value type. The same items stand in structured reports, key object
// selections, acquisition contexts and the steps of a specimen's preparation.
//
// Measurements, their units, coded findings and coordinates stay. References to other objects are given other UIDs rather than removed, as they
// are everywhere: they say what belongs together. An item whose text has nothing left goes whole; where another item points to items by their
// place (PS3.3 C.17.3.2.5), or further items hang on it, it stays with a dummy, so that every pointer still points to what it did.

// contentRow is a row of Table E.3.4-1.
type contentRow struct {
	scheme, code, valueType string
	basic                   Action
	keep, clean             Option
}

type contentKey struct{ scheme, code, valueType string }

var contentTable = sync.OnceValue(func() map[contentKey]*contentRow {
	m := make(map[contentKey]*contentRow, len(contentRows))
	for i := range contentRows {
		r := &contentRows[i]
		m[contentKey{r.scheme, r.code, r.valueType}] = r
	}
	return m
})

// contentValues are the elements that hold the value of each value type that is judged by its concept; 0 for those whose elements are judged by
// themselves: containers, coordinates and references.
var contentValues = map[string]dicom.Tag{
	"TEXT": dicom.TagTextValue, "PNAME": dicom.TagPersonName, "DATE": dicom.TagDate, "TIME": dicom.TagTime, "DATETIME": dicom.TagDateTime,
	"UIDREF": dicom.TagUID, "NUM": dicom.TagMeasuredValueSequence, "NUMERIC": dicom.TagNumericValue, "CODE": dicom.TagConceptCodeSequence,
	"CONTAINER": 0, "IMAGE": 0, "COMPOSITE": 0, "WAVEFORM": 0, "SCOORD": 0, "SCOORD3D": 0, "TCOORD": 0,
}

// Concepts of PS3.16 Annex D whose values are more to the subject than their value type says: what they are to the lexicon, and, where it is not
// removal, what becomes of them.
var contentTerms = map[string]struct {
	term TermKind
	op   opcode
}{
	"121022": {TermIdentifier, opBasic},     // Accession Number
	"121020": {TermIdentifier, opBasic},     // Placer Number
	"121021": {TermIdentifier, opBasic},     // Filler Number
	"121029": {TermName, opPseudonym},       // Subject Name
	"121030": {TermIdentifier, opPseudonym}, // Subject ID
	"121031": {TermBirthDate, opBasic},      // Subject Birth Date
	"121036": {TermName, opBasic},           // Mother of fetus
	"121041": {TermIdentifier, opLink},      // Specimen Identifier
	"111705": {TermIdentifier, opLink},      // Parent Specimen Identifier
	"111700": {TermIdentifier, opLink},      // Specimen Container Identifier
	"121009": {TermPlace, opBasic},          // Person Observer's Organization Name
	"113873": {TermPlace, opBasic},          // Organization Name
	"122128": {TermPlace, opBasic},          // Patient Transferred From
	"121434": {TermPlace, opBasic},          // Service Delivery Location
	"113871": {TermIdentifier, opBasic},     // Person ID
	"128774": {TermIdentifier, opBasic},     // Person Observer's Login Name
}

// Measurements of a patient's own build, whose grid the profile may make coarser (PS3.16 CID 3627 and others): body height, weight, mass index and
// surface area.
var contentBuild = map[string]bool{
	"50373000": true, "27113001": true, "60621009": true, "301898006": true, "8302-2": true, "3141-9": true, "29463-7": true, "8277-6": true, "3140-1": true,
	"39156-5": true, "F-01860": true, "F-008EC": true, "121033": true,
}

// contentItems gives the value of every content item the rule of its concept. What the object's rules were is there already.
func (s *Subject) contentItems(ds *dicom.Dataset) {
	pointers := false
	for i := range ds.Len() {
		pointers = pointers || ds.At(i).Tag == dicom.TagReferencedContentItemIdentifier
	}
	s.work.pointers = pointers
	for i := range ds.Len() {
		el := ds.At(i)
		switch el.Tag {
		case dicom.TagValueType:
			if !el.IsSequence() {
				s.contentItem(ds, i, int(el.Parent))
			}
		case dicom.TagRelationshipType:
			if relationships[ds.StringIn(int(el.Parent), el.Tag)] {
				s.work.rules[i].op = opKeep
			}
		case dicom.TagMappingResource:
			// Of a template, of type 1 (PS3.3 C.18.8.1.2); of a code's context group, it goes with the group.
			if ds.FindIn(int(el.Parent), dicom.TagTemplateIdentifier) >= 0 {
				s.work.rules[i].op = opCode
			}
		}
	}
}

// relationships are the values of Relationship Type (PS3.3 C.17.3.2.4).
var relationships = map[string]bool{
	"CONTAINS": true, "HAS PROPERTIES": true, "HAS OBS CONTEXT": true, "HAS ACQ CONTEXT": true, "INFERRED FROM": true, "SELECTED FROM": true,
	"HAS CONCEPT MOD": true,
}

// conceptOf is the scheme and code of the first item of a sequence.
func conceptOf(ds *dicom.Dataset, seq int) (scheme, code string) {
	if seq < 0 || !ds.At(seq).IsSequence() {
		return "", ""
	}
	for item := range ds.Children(seq) {
		if code = ds.StringIn(item, dicom.TagCodeValue); code == "" {
			code = ds.StringIn(item, dicom.TagLongCodeValue)
		}
		return ds.StringIn(item, dicom.TagCodingSchemeDesignator), code
	}
	return "", ""
}

// contentItem judges the content item whose value type is entry at.
func (s *Subject) contentItem(ds *dicom.Dataset, at, item int) {
	p := s.profile
	valueType := ds.StringIn(item, dicom.TagValueType)
	tag, known := contentValues[valueType]
	if !known {
		if item >= 0 {
			s.work.rules[item].op = opUnknown
		}
		return
	}
	s.work.rules[at].op = opKeep
	scheme, code := conceptOf(ds, ds.FindIn(item, dicom.TagConceptNameCodeSequence))
	row := contentTable()[contentKey{scheme, code, valueType}]
	if valueType == "CONTAINER" && row != nil && row.keep&p.Options == 0 && item >= 0 {
		s.dropItem(ds, item)
		return
	}
	if tag == 0 {
		return
	}
	i := ds.FindIn(item, tag)
	if i < 0 {
		return
	}
	r := &s.work.rules[i]
	r.content = true
	basic, keep, clean := Action(0), Option(0), CleanStructuredContent
	if row != nil {
		basic, keep, clean = row.basic, row.keep, row.clean
	}
	special := contentTerms[code]
	if special.term != 0 && scheme == "DCM" {
		r.term = special.term
	}
	switch valueType {
	case "TEXT":
		switch {
		case special.term != 0 && scheme == "DCM" && special.op != opBasic:
			r.op = special.op
		case row == nil && scheme == "DCM" && deviceConcepts[code] == opTechnical:
			r.op = opTechnical
		case keep&p.Options&RetainDeviceIdentity != 0:
			if r.op = deviceConcepts[code]; r.op == 0 {
				r.op = opStation
			}
		case keep&p.Options != 0:
			r.op = opPlace
		case row == nil && personal(ds, item):
			r.op, r.term = opDummy, TermPerson
		case clean != 0 && p.has(CleanStructuredContent) && (row == nil || clean&p.Options != 0):
			r.op = opText
		case basic == ActionX:
			s.dropItem(ds, item)
		default:
			r.op = opDummy
		}
	case "PNAME":
		switch {
		case special.term != 0 && scheme == "DCM" && special.op == opPseudonym:
			r.op = opPseudonym
		case basic == ActionX:
			s.dropItem(ds, item)
		default:
			r.op = opDummy
		}
	case "DATE", "TIME", "DATETIME":
		switch {
		case row != nil && keep|clean == 0: // a birth date
			s.dropItem(ds, item)
		case p.has(RetainModifiedDates):
			r.op, r.basic = opDate, ActionD
		case p.has(RetainFullDates):
			r.op, r.basic = opKeepDate, ActionD
		case basic == ActionX:
			s.dropItem(ds, item)
		default:
			r.op = opDummy
		}
	case "UIDREF":
		if r.op = opUID; p.has(RetainUIDs) {
			r.op = opKeepUID
		}
	case "NUM", "NUMERIC":
		switch {
		case row != nil && keep&p.Options == 0, contentBuild[code] && (p.Generalise && code != "121033" || !p.has(RetainPatientCharacteristics)):
			s.dropItem(ds, item)
		case code == "121033" && scheme == "DCM":
			s.capYears(ds, i)
		}
	case "CODE":
		if row != nil && keep&p.Options == 0 {
			s.dropItem(ds, item)
		}
	}
}

// personalWords are words of concept names whose text is a person, or where to find one, in whatever scheme the concept is.
var personalWords = wordSet(`physician doctor radiologist operator nurse technologist technician radiographer sonographer surgeon consultant referrer referring author reporter
	registrar practitioner transcriptionist typist signature signed surname forename firstname lastname relative guardian kin address street postcode zip telephone phone
	fax mobile email hospital institution ward clinic employer insurance`)

// personal reports a concept name that says so.
func personal(ds *dicom.Dataset, item int) bool {
	seq := ds.FindIn(item, dicom.TagConceptNameCodeSequence)
	if seq < 0 || !ds.At(seq).IsSequence() {
		return false
	}
	for k := range ds.Children(seq) {
		for w := range strings.FieldsFuncSeq(strings.ToLower(ds.StringIn(k, dicom.TagCodeMeaning)), func(r rune) bool { return r < 'a' || r > 'z' }) {
			if personalWords[w] {
				return true
			}
		}
	}
	return false
}

// capYears marks the number of a measured age to be capped.
func (s *Subject) capYears(ds *dicom.Dataset, i int) {
	for k := i; k < int(ds.At(i).Next); k++ {
		if ds.At(k).Tag == dicom.TagNumericValue {
			s.work.rules[k].op, s.work.rules[k].content = opYears, true
		}
	}
}

// dropItem marks a content item that goes whole, or, where it cannot, has a dummy for a value.
func (s *Subject) dropItem(ds *dicom.Dataset, item int) {
	if item < 0 {
		return
	}
	if !s.work.pointers && ds.FindIn(item, dicom.TagContentSequence) < 0 {
		s.work.rules[item].op = opRemove
		return
	}
	for k := range ds.Children(item) {
		r := &s.work.rules[k]
		switch ds.At(k).Tag {
		case dicom.TagTextValue, dicom.TagPersonName, dicom.TagDate, dicom.TagTime, dicom.TagDateTime:
			r.op = opDummy
		case dicom.TagMeasuredValueSequence:
			r.op, r.basic = opBasic, ActionZ // type 2
		case dicom.TagConceptCodeSequence:
			r.op = opDummy
		default:
			continue
		}
		r.content = true
	}
}

// lost is what becomes of an item whose text has nothing left: it goes, or has a dummy. It reports whether it has gone.
func (c *pass) lost(i int) bool {
	el := c.ds.At(i)
	item := int(el.Parent)
	if item < 0 {
		return false
	}
	switch el.Tag {
	case dicom.TagTextValue:
		if c.work.pointers || c.ds.FindIn(item, dicom.TagContentSequence) >= 0 {
			return false
		}
	case dicom.TagUnformattedTextValue:
		seq := c.ds.At(int(c.ds.At(item).Parent)).Tag
		if !mayGo(seq) {
			return false
		}
		if seq == dicom.TagWaveformAnnotationSequence && c.ds.FindIn(item, dicom.TagConceptNameCodeSequence) >= 0 {
			c.remove(i) // what is annotated is coded, too
			return true
		}
	default:
		return false
	}
	c.drop(item)
	return true
}

// drop takes an item out. What it leaves empty is seen to at the end.
func (c *pass) drop(item int) {
	if !c.edit.Removed(item) {
		c.remove(item)
		c.res.Actions.Concepts++
		c.dropped = append(c.dropped, item)
	}
}

// Sequences that must have an item if they are there, and which an item may lose (PS3.3 C.17.3, C.10.5, C.10.10).
func mayGo(t dicom.Tag) bool {
	switch t {
	case dicom.TagContentSequence, dicom.TagTextObjectSequence, dicom.TagGraphicAnnotationSequence, dicom.TagCompoundGraphicSequence,
		dicom.TagWaveformAnnotationSequence, dicom.TagContentItemModifierSequence, dicom.TagStructuredDisplayTextBoxSequence,
		dicom.TagSpecimenPreparationStepContentItemSequence:
		return true
	}
	return false
}

// tidy takes out the sequences of which every item has gone, and the graphic annotations that have nothing left.
func (c *pass) tidy() {
	for k := 0; k < len(c.dropped); k++ {
		seq := int(c.ds.At(c.dropped[k]).Parent)
		if seq < 0 || c.edit.Removed(seq) {
			continue
		}
		left := false
		for item := range c.ds.Children(seq) {
			left = left || !c.edit.Removed(item)
		}
		if left || !mayGo(c.ds.At(seq).Tag) {
			continue
		}
		c.remove(seq)
		outer := int(c.ds.At(seq).Parent)
		if outer < 0 {
			continue
		}
		switch c.ds.At(int(c.ds.At(outer).Parent)).Tag {
		case dicom.TagSpecimenPreparationSequence:
		case dicom.TagGraphicAnnotationSequence:
		default:
			continue
		}
		for _, t := range []dicom.Tag{dicom.TagTextObjectSequence, dicom.TagGraphicObjectSequence, dicom.TagCompoundGraphicSequence} {
			if i := c.ds.FindIn(outer, t); i >= 0 && !c.edit.Removed(i) {
				left = true
			}
		}
		if !left {
			c.drop(outer)
		}
	}
}

// emptyReport reports structured content of which nothing but its frame is left: neither a value nor a reference.
func (c *pass) emptyReport() bool {
	if c.res.Actions.Concepts == 0 || !c.ds.Has(dicom.TagContentSequence) {
		return false
	}
	for i := range c.ds.Len() {
		if c.ds.At(i).Tag != dicom.TagValueType || c.ds.At(i).Parent < 0 || c.edit.Removed(i) {
			continue
		}
		if item := int(c.ds.At(i).Parent); c.ds.StringIn(item, dicom.TagValueType) != "CONTAINER" && !c.dummied[item] {
			return false
		}
	}
	return true
}

// years caps a measured age, as [capAge] does.
func (c *pass) years(raw []byte) memoized {
	text := strings.Trim(string(raw), " \x00")
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || v < 0:
		return memoized{verdict: fallBack}
	case v > 89:
		return memoized{replacedValue, []byte("90")}
	case c.profile.Generalise:
		return memoized{replacedValue, []byte(strconv.Itoa(int(v) / 5 * 5))}
	}
	return memoized{}
}
