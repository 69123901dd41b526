package deid

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// A collection's own rules stand before those of the profile that they are based on. The first rule that chooses an element, and whose action the element
// can take, decides. What it lets through is still judged by what its VR can hold, and the gate knows nothing of it. [Limits] says what no rule loosens.

// ownAction is what an own rule does.
type ownAction uint8

const (
	doKeep ownAction = iota + 1
	doRemove
	doEmpty
	doReplace
	doShift
	doGeneralise
	doCode
	doClean
	doHold
)

var ownActions = map[string]ownAction{"keep": doKeep, "remove": doRemove, "empty": doEmpty, "replace": doReplace, "shift": doShift, "generalise": doGeneralise,
	"code": doCode, "clean": doClean, "hold": doHold}

func (a ownAction) String() string {
	for name, b := range ownActions {
		if a == b {
			return name
		}
	}
	return "none"
}

// ownRules are what a profile's file says beside its base and options.
type ownRules struct {
	digest   [32]byte // of the file
	rules    []ownRule
	words    map[string]struct{} // that all text may keep besides
	wordList []string            // as the file has them
	cases    []testCase
	dependOn bool // on the object at hand
	holds    bool
	shifts   bool // dates that the base does not shift
	coarse   bool // makes dates or times coarser
	days     bool // makes dates coarser

	mu       sync.Mutex
	variants map[string]*variant // by the rules that an object lets apply
}

// ownRule is one rule. Its selectors are alternatives within a kind; between kinds, all have to fit.
type ownRule struct {
	ID, Reason string
	line       int

	tags    []tagRange
	private []privateElement
	vrs     []dicom.VR

	modality, sopClass, manufacturer, model, imageType []string // patterns in capitals; * stands for any characters

	action ownAction
	value  string // of replace
	bands  int    // years of an age band
	over   int    // ages above are 090Y; 0: 89
	grid   float64
	date   string // "month", "year"
	time   string // "hour", "none"
	words  map[string]struct{}
	list   []string // words as the file has them
}

type tagRange struct{ from, to dicom.Tag }

func (r *ownRule) dependsOnObject() bool {
	return len(r.modality)+len(r.sopClass)+len(r.manufacturer)+len(r.model)+len(r.imageType) > 0
}

// choosesNone reports a rule about objects as such.
func (r *ownRule) choosesNone() bool { return len(r.tags)+len(r.private)+len(r.vrs) == 0 }

func (r *ownRule) chooses(t dicom.Tag, vr dicom.VR) bool {
	if len(r.tags) == 0 && (len(r.private) > 0 || len(r.vrs) == 0) {
		return false
	}
	if len(r.tags) > 0 && !slices.ContainsFunc(r.tags, func(x tagRange) bool { return t >= x.from && t <= x.to }) {
		return false
	}
	return len(r.vrs) == 0 || slices.Contains(r.vrs, vr)
}

// Limits is what no rule of a collection loosens, in words.
func Limits() []string {
	return []string{
		"Patient's Name, Patient ID and Clinical Trial Subject ID are the pseudonym, Specific Character Set and the markers are written here: no rule reaches them.",
		"UIDs are others unless the profile retains UIDs: a rule may remove or empty one that the object can do without, and nothing else.",
		"Names of persons are removed, emptied, replaced or coded; a birth date is removed, emptied or replaced; neither is kept.",
		"A date stays true only where the profile retains full dates; else it is shifted or made coarser, by the subject's shift wherever anything is shifted.",
		"Text keeps words of the vocabulary and of the profile's own words, and no word of the subject's identifiers, whatever a rule says; numbers are numbers; blobs go.",
		"Pixel data, overlays, curves, group lengths, signatures, encrypted attributes and the elements of a coded entry are not the rules' affair.",
		"The gate reads the result as ever: an identifier in it holds the object.",
	}
}

// untouchable says why no rule reaches an element; "" if one may.
func untouchable(t dicom.Tag) string {
	switch t {
	case dicom.TagPatientName, dicom.TagPatientID, dicom.TagClinicalTrialSubjectID:
		return "it is the subject's pseudonym"
	case dicom.TagSpecificCharacterSet:
		return "text is read by it"
	case dicom.TagPatientIdentityRemoved, dicom.TagDeidentificationMethod, dicom.TagDeidentificationMethodCodeSequence,
		dicom.TagLongitudinalTemporalInformationModified, dicom.TagContributingEquipmentSequence, dicom.TagBurnedInAnnotation, dicom.TagRecognizableVisualFeatures:
		return "it says what was done here"
	case dicom.TagSOPClassUID, dicom.TagSOPInstanceUID, dicom.TagStudyInstanceUID, dicom.TagSeriesInstanceUID, dicom.TagModality:
		return "the object is nothing without it"
	case dicom.TagRows, dicom.TagColumns, dicom.TagBitsAllocated, dicom.TagBitsStored, dicom.TagHighBit, dicom.TagPixelRepresentation, dicom.TagSamplesPerPixel,
		dicom.TagPhotometricInterpretation, dicom.TagPlanarConfiguration, dicom.TagNumberOfFrames:
		return "pixel data cannot be read without it"
	case dicom.TagCodeValue, dicom.TagLongCodeValue, dicom.TagURNCodeValue, dicom.TagCodeMeaning, dicom.TagCodingSchemeDesignator, dicom.TagCodingSchemeVersion:
		return "the elements of a coded entry are judged together; choose the sequence"
	case dicom.TagValueType, dicom.TagRelationshipType, dicom.TagConceptNameCodeSequence, dicom.TagTextValue, dicom.TagPersonName, dicom.TagDate, dicom.TagTime,
		dicom.TagDateTime, dicom.TagUID, dicom.TagMeasuredValueSequence, dicom.TagNumericValue, dicom.TagConceptCodeSequence, dicom.TagContinuityOfContent:
		return "content items are judged by their concepts (PS3.15 Table E.3.4-1)"
	case dicom.TagMACParametersSequence, dicom.TagDigitalSignaturesSequence, dicom.TagEncryptedAttributesSequence:
		return "what is signed or encrypted goes"
	}
	switch g := t.Group(); {
	case t.IsGroupLength(), g <= 0x0002, g>>8 == 0x50, g>>8 == 0x60, g == 0x7FE0, t.IsPrivateCreator(), g == 0xFFFE, g == 0xFFFA, g == 0xFFFC:
		return "it is not an element that a rule decides on"
	}
	return ""
}

// Opcodes of own rules, beside those of the table.
const (
	opOwnEmpty opcode = 64 + iota
	opOwnReplace
	opOwnGeneralise
)

// onto is what own rule k makes of an element's rule; a reason if the element cannot take the action.
func (p *Profile) onto(k int, t dicom.Tag, base rule, row Row) (rule, string) {
	o := &p.own.rules[k]
	if why := untouchable(t); why != "" {
		return base, why
	}
	r := base
	r.own = uint16(k) + 1
	vr := base.vr
	if r.basic == 0 {
		r.basic = row.Basic
	}
	sq, uid := vr == dicom.VRSQ, vr == dicom.VRUI
	temporal := isTemporal(vr)
	birth := t == dicom.TagPatientBirthDate || t == dicom.TagPatientBirthTime || t == dicom.TagPatientBirthDateInAlternativeCalendar
	switch o.action {
	case doHold:
		return r, ""
	case doRemove:
		r.op = opRemove
		return r, ""
	case doEmpty:
		r.op = opOwnEmpty
		return r, ""
	}
	switch {
	case uid:
		return base, "a UID is another one, or as it was, by the profile's options"
	case base.op == opLink:
		return base, "it is a keyed code already, so that objects stay together"
	case birth && o.action != doReplace:
		return base, "a birth date is removed, emptied or replaced"
	case vr == dicom.VRPN && o.action != doReplace && o.action != doCode:
		return base, "the name of a person is removed, emptied, replaced or coded"
	}
	if o.action == doShift || o.action == doGeneralise && vr != dicom.VRTM {
		if op, _, ok := p.decided(t, row); ok && temporal && (op == opBasic || op == opRemove) && p.shifts() {
			return base, "a date of a device or a document that somebody else may know: shifted, it tells by how much"
		}
	}
	switch o.action {
	case doReplace:
		if why := unfit(vr, o.value); why != "" {
			return base, why
		}
		r.op = opOwnReplace
	case doShift:
		switch {
		case !temporal:
			return base, "only dates and times are shifted"
		case p.has(RetainFullDates):
			return base, "the profile retains full dates: a shifted date beside them tells by how much"
		}
		r.op = opDate
	case doCode:
		if !vr.IsText() || temporal || vr == dicom.VRAS || vr == dicom.VRDS || vr == dicom.VRIS || vr == dicom.VRUR || vr == dicom.VRAE {
			return base, "a code is text"
		}
		r.op = opLink
	case doClean:
		switch vr {
		case dicom.VRSQ:
			r.op = opWalk
		case dicom.VRCS:
			r.op = opListed
		case dicom.VRLO, dicom.VRSH, dicom.VRST, dicom.VRLT, dicom.VRUT, dicom.VRUC:
			r.op = opText
		default:
			return base, "only text is cleaned by vocabulary"
		}
	case doGeneralise:
		if why := o.generalises(vr); why != "" {
			return base, why
		}
		r.op = opOwnGeneralise
	case doKeep:
		if sq {
			r.op = opWalk
			break
		}
		op, why := p.kept(t, base, row)
		if why != "" {
			return base, why
		}
		r.op = op
		if slices.Contains(o.tags, tagRange{t, t}) && row.Keep&(RetainDeviceIdentity|RetainInstitution) != 0 && (r.term == TermDevice || r.term == TermPlace || r.term == TermContact) {
			r.term = 0 // by name, as the option would; what a range or a VR happens to cover stays a secret of the subject's
		}
	}
	return r, ""
}

// kept is how an element may stay: as the options of its row would let it, else as its VR lets anything.
func (p *Profile) kept(t dicom.Tag, base rule, row Row) (opcode, string) {
	switch base.vr {
	case dicom.VRDA, dicom.VRDT, dicom.VRTM:
		if p.has(RetainFullDates) {
			return opKeepDate, ""
		}
		return 0, "a true date stays only where the profile retains full dates; shift it, or make it coarser"
	case dicom.VRAS:
		return opAge, ""
	case dicom.VRCS:
		return opCode, ""
	case dicom.VRDS, dicom.VRIS:
		return opNumber, ""
	}
	switch base.op {
	case opTechnical, opSerial, opStation, opPlace, opProfile, opKeep, opEthnic:
		return base.op, ""
	}
	switch base.vr {
	case dicom.VRAT, dicom.VRFD, dicom.VRFL, dicom.VRSL, dicom.VRSS, dicom.VRUL, dicom.VRUS, dicom.VRSV, dicom.VRUV, dicom.VROD, dicom.VROF, dicom.VROL, dicom.VROV, dicom.VROW:
		return opKeep, ""
	case dicom.VRLO, dicom.VRSH, dicom.VRST, dicom.VRLT, dicom.VRUT, dicom.VRUC:
		switch {
		case t == dicom.TagEthnicGroup || t == dicom.TagEthnicGroups:
			return opEthnic, ""
		case row.Keep&RetainDeviceIdentity != 0:
			return deviceOp(t), ""
		case row.Keep&RetainInstitution != 0:
			return opPlace, ""
		}
		return opText, ""
	}
	return 0, "nothing can tell whether a value of " + base.vr.String() + " names somebody"
}

// generalises says why values of a VR cannot be made coarser so; "" if they can.
func (r *ownRule) generalises(vr dicom.VR) string {
	switch vr {
	case dicom.VRAS:
		if r.bands > 0 || r.over > 0 {
			return ""
		}
		return "an age takes bands, or over"
	case dicom.VRDS, dicom.VRIS:
		if r.grid > 0 {
			return ""
		}
		return "a number takes round"
	case dicom.VRDA:
		if r.date != "" {
			return ""
		}
		return "a date takes date: month or year"
	case dicom.VRDT:
		if r.date != "" || r.time != "" {
			return ""
		}
		return "a date with a time takes date or time"
	case dicom.VRTM:
		if r.time != "" {
			return ""
		}
		return "a time takes time: hour or none"
	}
	return "ages, numbers, dates and times are made coarser"
}

// unfit says why a fixed text cannot be the value of an element of the VR (PS3.5 6.2); "" if it can.
func unfit(vr dicom.VR, s string) string {
	if !plainBetween(s) || len(s) > 1024 {
		return "a fixed value is at most 1,024 characters of ASCII"
	}
	longest := 0
	switch vr {
	case dicom.VRCS:
		for i := range len(s) {
			if c := s[i]; !(c >= 'A' && c <= 'Z' || digit(c) || c == ' ' || c == '_') {
				return "a code string has capitals, digits, spaces and underscores"
			}
		}
		longest = 16
	case dicom.VRSH:
		longest = 16
	case dicom.VRLO, dicom.VRPN:
		longest = 64
	case dicom.VRLT, dicom.VRST, dicom.VRUT, dicom.VRUC:
	case dicom.VRDS:
		longest = 16
		if _, err := strconv.ParseFloat(s, 64); err != nil || !numbers([]byte(s)) {
			return "it is no number"
		}
	case dicom.VRIS:
		longest = 12
		if _, err := strconv.ParseInt(s, 10, 32); err != nil {
			return "it is no whole number"
		}
	case dicom.VRAS:
		if age, ok := capAge([]byte(s), false); !ok || age != s {
			return "it is no age up to 090Y"
		}
	case dicom.VRDA, dicom.VRDT, dicom.VRTM:
		if out, ok := fixedTime(vr, []byte(s)); !ok || string(out) != s {
			return "it is no date or time as DICOM writes it"
		}
	default:
		return "only text, numbers written as text, dates and times take a fixed value"
	}
	if longest > 0 && len(s) > longest {
		return "a value of " + vr.String() + " has at most " + strconv.Itoa(longest) + " characters"
	}
	if strings.ContainsRune(s, '\\') {
		return "a fixed value is one value"
	}
	return ""
}

func fixedTime(vr dicom.VR, v []byte) ([]byte, bool) {
	switch vr {
	case dicom.VRDA:
		return shiftDA(nil, v, 0)
	case dicom.VRDT:
		return shiftDT(nil, v, 0, false)
	}
	return cutTM(nil, v, false)
}

// variant are the rules that apply to objects of one kind: all, unless some depend on scanner, modality or class.
type variant struct {
	profile *Profile
	applies []bool                     // by rule
	private map[string]map[uint32]rule // by creator, group and low byte
	chosen  map[uint32]bool            // groups and low bytes of these, whoever's they are
	object  int                        // index of the first rule about objects as such that holds them; -1: none

	rules atomic.Pointer[map[dicom.Tag]rule]
	learn sync.Mutex
}

// rule is what becomes of a standard element: the first own rule that can decide, else the profile's.
func (v *variant) rule(t dicom.Tag) rule {
	if m := v.rules.Load(); m != nil {
		if r, ok := (*m)[t]; ok {
			return r
		}
	}
	r, known := v.decide(t)
	if !known {
		return r
	}
	v.learn.Lock()
	defer v.learn.Unlock()
	m := map[dicom.Tag]rule{}
	if old := v.rules.Load(); old != nil {
		m = maps.Clone(*old)
	}
	m[t] = r
	v.rules.Store(&m)
	return r
}

func (v *variant) decide(t dicom.Tag) (rule, bool) {
	base, known := v.profile.decide(t)
	if !known || base.vr == 0 {
		return base, known
	}
	row, _ := LookupRow(t)
	for k := range v.profile.own.rules {
		if !v.applies[k] || !v.profile.own.rules[k].chooses(t, base.vr) {
			continue
		}
		if r, why := v.profile.onto(k, t, base, row); why == "" {
			return r, true
		}
	}
	return base, true
}

// privateRule is what an own rule makes of a private element.
func (p *Profile) privateRule(k int, vr dicom.VR) (rule, string) {
	o := &p.own.rules[k]
	base := rule{op: opPrivate, vr: vr, basic: ActionX, own: uint16(k) + 1}
	r := base
	temporal := isTemporal(vr)
	switch o.action {
	case doHold:
		return r, ""
	case doRemove:
		r.op = opRemove
		return r, ""
	case doEmpty:
		r.op = opOwnEmpty
		return r, ""
	}
	switch vr {
	case dicom.VRUI, dicom.VROB, dicom.VRUN, dicom.VROW, dicom.VRPN, dicom.VRUR, dicom.VRAE:
		if o.action != doReplace || vr != dicom.VRPN {
			return base, "a private element of " + vr.String() + " is removed or emptied: nothing can tell what it says"
		}
	}
	switch o.action {
	case doReplace:
		if why := unfit(vr, o.value); why != "" {
			return base, why
		}
		r.op = opOwnReplace
	case doShift:
		if !temporal || p.has(RetainFullDates) {
			return base, "only dates and times are shifted, where the profile does not retain full ones"
		}
		r.op = opDate
	case doCode:
		if !vr.IsText() || temporal || vr == dicom.VRAS || vr == dicom.VRDS || vr == dicom.VRIS {
			return base, "a code is text"
		}
		r.op = opLink
	case doGeneralise:
		if why := o.generalises(vr); why != "" {
			return base, why
		}
		r.op = opOwnGeneralise
	case doKeep, doClean:
		switch {
		case vr == dicom.VRSQ:
			r.op = opWalk
		case vr == dicom.VRLO, vr == dicom.VRSH, vr == dicom.VRST, vr == dicom.VRLT, vr == dicom.VRUT, vr == dicom.VRUC:
			r.op = opText
		case vr == dicom.VRCS:
			r.op = opCode
		case o.action == doClean:
			return base, "only text is cleaned by vocabulary"
		case temporal && p.has(RetainFullDates):
			r.op = opKeepDate
		case temporal:
			return base, "a true date stays only where the profile retains full dates; shift it, or make it coarser"
		case vr == dicom.VRAS:
			r.op = opAge
		case vr == dicom.VRDS, vr == dicom.VRIS:
			r.op = opNumber
		default:
			r.op = opKeep
		}
	}
	return r, ""
}

// maxVariants bounds the kinds of objects that are remembered. More cost time, not memory.
const maxVariants = 256
