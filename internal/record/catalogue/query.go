package catalogue

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Level is what a search is for.
type Level int

// The levels.
const (
	Patients Level = iota + 1 // a Patient ID of a collection each
	Studies
	Series
	Instances
)

// Query is a search: what the caller may see, where to look, and what to match (PS3.18 8.3.4, 10.6.1). Make one with NewQuery; the zero value finds
// nothing.
type Query struct {
	// Scopes is what the caller may see: policy.Scopes(grants, policy.Search, ...). Empty finds nothing. Held objects are never found, whatever it says.
	Scopes []policy.Scope
	// Collection, Study and SeriesUID narrow the search to what a path names; empty does not.
	Collection collection.ID
	Study      StudyUID
	SeriesUID  SeriesUID
	// Holding narrows it to what has an object in this state, among those that the caller may see; NoState does not.
	Holding policy.State
	// Fuzzy makes names match when every word of the query begins a word of the name.
	Fuzzy bool
	// Apart matches dates and times of a pair each for itself. Without it, a range of dates and a range of times make one range of moments (PS3.4
	// C.2.2.2.5.1).
	Apart bool
	// Limit is at most, and by default, MaxLimit.
	Limit, Offset int

	level      Level
	conditions []condition
}

// NewQuery is a search at a level.
func NewQuery(level Level) *Query { return &Query{level: level} }

type attributeKind int

const (
	kindText       attributeKind = iota // exact or with wildcards, by case
	kindCode                            // the same; lists with commas too
	kindUID                             // lists
	kindName                            // exact or with wildcards, case and accents aside; fuzzy
	kindDate                            // exact or a range
	kindTime                            // exact or a range
	kindNumber                          // exact or a list
	kindModality                        // of any series in the study
	kindSOPClass                        // of any instance in the study
	kindStep                            // in an item of the Request Attributes Sequence
	kindKept                            // any value of a text that is kept as JSON, exact or with wildcards, by case
	kindKeptNumber                      // any value of a number that is kept as JSON, exact or a list
)

// attribute is what a search can match.
type attribute struct {
	keyword, tag string
	level        Level
	kind         attributeKind
	column       string // for a name, without _key; for a time, its partner's date column follows
	moment       string // for a time: the column in microseconds
	date         string // for a time: the column of the date it belongs to
}

// attributes are the required matching attributes of PS3.18 Table 10.6.1-5, those that viewers ask for beside them, and those of patient, trial, equipment and acquisition that are kept as JSON: these narrow
// what another condition has found, and without one every study or series is looked at.
var attributes = []*attribute{
	{"StudyInstanceUID", "0020000D", Studies, kindUID, "s.uid", "", ""},
	{"StudyDate", "00080020", Studies, kindDate, "s.study_date", "", ""},
	{"StudyTime", "00080030", Studies, kindTime, "s.study_time", "s.study_moment", "s.study_date"},
	{"AccessionNumber", "00080050", Studies, kindText, "s.accession", "", ""},
	{"ModalitiesInStudy", "00080061", Studies, kindModality, "", "", ""},
	{"SOPClassesInStudy", "00080062", Studies, kindSOPClass, "", "", ""},
	{"ReferringPhysicianName", "00080090", Studies, kindName, "s.referrer", "", ""},
	{"StudyDescription", "00081030", Studies, kindText, "s.description", "", ""},
	{"PatientName", "00100010", Patients, kindName, "s.patient_name", "", ""},
	{"PatientID", "00100020", Patients, kindText, "s.patient_id", "", ""},
	{"PatientBirthDate", "00100030", Patients, kindDate, "s.birth_date", "", ""},
	{"PatientSex", "00100040", Patients, kindCode, "s.sex", "", ""},
	{"StudyID", "00200010", Studies, kindText, "s.study_id", "", ""},
	{"SeriesInstanceUID", "0020000E", Series, kindUID, "e.uid", "", ""},
	{"Modality", "00080060", Series, kindCode, "e.modality", "", ""},
	{"SeriesNumber", "00200011", Series, kindNumber, "e.number", "", ""},
	{"SeriesDescription", "0008103E", Series, kindText, "e.description", "", ""},
	{"BodyPartExamined", "00180015", Series, kindCode, "e.body_part", "", ""},
	{"PerformedProcedureStepStartDate", "00400244", Series, kindDate, "e.step_date", "", ""},
	{"PerformedProcedureStepStartTime", "00400245", Series, kindTime, "e.step_time", "e.step_moment", "e.step_date"},
	{"RequestAttributesSequence.ScheduledProcedureStepID", "00400275.00400009", Series, kindStep, "q.step", "", ""},
	{"RequestAttributesSequence.RequestedProcedureID", "00400275.00401001", Series, kindStep, "q.requested", "", ""},
	{"PatientAge", "00101010", Studies, kindKept, "s.attributes", "", ""},
	{"PatientSize", "00101020", Studies, kindKeptNumber, "s.attributes", "", ""},
	{"PatientWeight", "00101030", Studies, kindKeptNumber, "s.attributes", "", ""},
	{"EthnicGroup", "00102160", Studies, kindKept, "s.attributes", "", ""},
	{"SmokingStatus", "001021A0", Studies, kindKept, "s.attributes", "", ""},
	{"PregnancyStatus", "001021C0", Studies, kindKeptNumber, "s.attributes", "", ""},
	{"PatientSpeciesDescription", "00102201", Studies, kindKept, "s.attributes", "", ""},
	{"IssuerOfPatientID", "00100021", Studies, kindKept, "s.attributes", "", ""},
	{"PatientIdentityRemoved", "00120062", Studies, kindKept, "s.attributes", "", ""},
	{"DeidentificationMethod", "00120063", Studies, kindKept, "s.attributes", "", ""},
	{"LongitudinalTemporalInformationModified", "00280303", Studies, kindKept, "s.attributes", "", ""},
	{"ClinicalTrialSponsorName", "00120010", Studies, kindKept, "s.attributes", "", ""},
	{"ClinicalTrialProtocolID", "00120020", Studies, kindKept, "s.attributes", "", ""},
	{"ClinicalTrialProtocolName", "00120021", Studies, kindKept, "s.attributes", "", ""},
	{"ClinicalTrialSiteID", "00120030", Studies, kindKept, "s.attributes", "", ""},
	{"ClinicalTrialSubjectID", "00120040", Studies, kindKept, "s.attributes", "", ""},
	{"ClinicalTrialTimePointID", "00120050", Studies, kindKept, "s.attributes", "", ""},
	{"Manufacturer", "00080070", Series, kindKept, "e.attributes", "", ""},
	{"ManufacturerModelName", "00081090", Series, kindKept, "e.attributes", "", ""},
	{"StationName", "00081010", Series, kindKept, "e.attributes", "", ""},
	{"InstitutionName", "00080080", Series, kindKept, "e.attributes", "", ""},
	{"SoftwareVersions", "00181020", Series, kindKept, "e.attributes", "", ""},
	{"DeviceSerialNumber", "00181000", Series, kindKept, "e.attributes", "", ""},
	{"ProtocolName", "00181030", Series, kindKept, "e.attributes", "", ""},
	{"FrameOfReferenceUID", "00200052", Series, kindKept, "e.attributes", "", ""},
	{"Laterality", "00200060", Series, kindKept, "e.attributes", "", ""},
	{"PatientPosition", "00185100", Series, kindKept, "e.attributes", "", ""},
	{"SliceThickness", "00180050", Series, kindKeptNumber, "e.attributes", "", ""},
	{"KVP", "00180060", Series, kindKeptNumber, "e.attributes", "", ""},
	{"MagneticFieldStrength", "00180087", Series, kindKeptNumber, "e.attributes", "", ""},
	{"ConvolutionKernel", "00181210", Series, kindKept, "e.attributes", "", ""},
	{"ScanningSequence", "00180020", Series, kindKept, "e.attributes", "", ""},
	{"SequenceVariant", "00180021", Series, kindKept, "e.attributes", "", ""},
	{"PerformedProcedureStepID", "00400253", Series, kindKept, "e.attributes", "", ""},
	{"PerformedProcedureStepDescription", "00400254", Series, kindKept, "e.attributes", "", ""},
	{"ContrastBolusAgent", "00180010", Series, kindKept, "e.attributes", "", ""},
	{"PresentationIntentType", "00080068", Series, kindKept, "e.attributes", "", ""},
	{"Units", "00541001", Series, kindKept, "e.attributes", "", ""},
	{"SOPInstanceUID", "00080018", Instances, kindUID, "i.uid", "", ""},
	{"SOPClassUID", "00080016", Instances, kindUID, "i.sop_class", "", ""},
	{"InstanceNumber", "00200013", Instances, kindNumber, "i.number", "", ""},
	{"Rows", "00280010", Instances, kindNumber, "i.row_count", "", ""},
	{"Columns", "00280011", Instances, kindNumber, "i.column_count", "", ""},
	{"BitsAllocated", "00280100", Instances, kindNumber, "i.bits", "", ""},
	{"NumberOfFrames", "00280008", Instances, kindNumber, "i.frames", "", ""},
}

var byName = func() map[string]*attribute {
	m := make(map[string]*attribute, 3*len(attributes))
	for _, a := range attributes {
		m[a.keyword], m[a.tag] = a, a
		// The two of a path may each be written either way.
		if k, member, ok := strings.Cut(a.keyword, "."); ok {
			t, number, _ := strings.Cut(a.tag, ".")
			m[k+"."+number], m[t+"."+member] = a, a
		}
	}
	return m
}()

// Matchable lists the attributes that a search at the level can match, as keywords: for a conformance statement, and for a door that tells matching
// parameters from others.
func Matchable(level Level) []string {
	var names []string
	for _, a := range attributes {
		if a.level <= level {
			names = append(names, a.keyword)
		}
	}
	return names
}

// Literal reports that a value matches itself alone: it is no pattern and no list.
func Literal(value string) bool { return value != "" && !strings.ContainsAny(value, `*?\\"`) }

type matching int

const (
	matchList  matching = iota // any of the values
	matchWild                  // any of the patterns
	matchRange                 // low to high; an empty bound is open
	matchEmpty                 // no value
)

type condition struct {
	attribute *attribute
	how       matching
	values    []string
	numbers   []int64
	reals     []float64
	low, high string
	from, to  int64 // of times
	ranged    bool  // a date or time was given as a range
}

const (
	maxValues = 1000 // of a list
	maxStars  = 8
)

// Match adds a condition: an attribute by keyword, by eight hexadecimal digits, or by a path of two of them with a dot; and a value as the standard
// writes it (PS3.4 C.2.2.2). It reports false for an attribute that is not matched at this level: the search goes on without it and the door says so.
// An empty value matches everything, and so does a single asterisk, of any attribute.
func (q *Query) Match(name, value string) (bool, error) {
	a := byName[name]
	if a == nil && len(name) <= 17 {
		a = byName[strings.ToUpper(name)] // hexadecimal digits in lower case
	}
	if a == nil || a.level > q.level {
		return false, nil
	}
	bad := func(why string) (bool, error) {
		return true, fault.New(fault.Invalid, "match "+a.keyword, "", why)
	}
	if !utf8.ValidString(value) || strings.IndexByte(value, 0) >= 0 {
		return bad("the value is not UTF-8 text")
	}
	if len(value) > 64*maxValues {
		return bad("the value is too long")
	}
	value = strings.Trim(value, " ")
	if value == "" || squeeze(value) == "*" {
		return true, nil
	}
	c := condition{attribute: a}
	if value == `""` { // PS3.4 C.2.2.2.7
		c.how = matchEmpty
		q.conditions = append(q.conditions, c)
		return true, nil
	}
	switch a.kind {
	case kindDate:
		low, high, ranged := strings.Cut(value, "-")
		c.ranged = ranged
		var ok bool
		if c.low, c.high, ok = dates(low, high, ranged); !ok {
			return bad("a date is YYYYMMDD, and a range has - between two dates, or before or after one")
		}
		c.how = matchRange
	case kindTime:
		low, high, ranged := strings.Cut(value, "-")
		c.ranged = ranged
		var ok bool
		if c.from, c.to, ok = times(low, high, ranged); !ok {
			return bad("a time is HH, HHMM, HHMMSS or HHMMSS.FFFFFF, and a range has - between two times, or before or after one")
		}
		c.how = matchRange
	case kindNumber:
		for v := range strings.FieldsFuncSeq(value, isListMark) {
			n, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimSpace(v), "+"), 10, 32)
			if err != nil || len(c.numbers) == maxValues {
				return bad("it is a whole number, or up to 1,000 of them")
			}
			c.numbers = append(c.numbers, n)
		}
		if len(c.numbers) == 0 {
			return bad("it is a whole number, or a list of them")
		}
	case kindKeptNumber:
		for v := range strings.FieldsFuncSeq(value, isListMark) {
			n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil || n-n != 0 || len(c.reals) == maxValues {
				return bad("it is a number, or up to 1,000 of them")
			}
			c.reals = append(c.reals, n)
		}
		if len(c.reals) == 0 {
			return bad("it is a number, or a list of them")
		}
	default:
		separator := func(r rune) bool { return r == '\\' }
		if a.kind == kindUID || a.kind == kindCode || a.kind == kindModality || a.kind == kindSOPClass {
			separator = isListMark // neither may hold a comma
		}
		for v := range strings.FieldsFuncSeq(value, separator) {
			v = strings.Trim(v, " ")
			if v == "" {
				continue
			}
			if squeeze(v) == "*" { // among others, of which it makes no difference any more
				return true, nil
			}
			if len(c.values) == maxValues {
				return bad("a list has at most 1,000 values")
			}
			if a.kind != kindUID && a.kind != kindSOPClass && strings.ContainsAny(v, "*?") {
				c.how = matchWild
				if v = squeeze(v); strings.Count(v, "*") > maxStars {
					return bad("a pattern has at most 8 asterisks")
				}
			}
			c.values = append(c.values, v)
		}
		if len(c.values) == 0 {
			return bad("the list is empty")
		}
		if c.how == matchWild && len(c.values) > maxStars {
			return bad("a list has at most 8 patterns")
		}
	}
	q.conditions = append(q.conditions, c)
	return true, nil
}

// MatchPatientID adds the condition that a study is of this very Patient ID, whatever characters it has: no pattern, no list.
func (q *Query) MatchPatientID(id string) {
	c := condition{attribute: byName["PatientID"], how: matchList, values: []string{clean(id)}}
	if c.values[0] == "" {
		c.how = matchEmpty
	}
	q.conditions = append(q.conditions, c)
}

func isListMark(r rune) bool { return r == '\\' || r == ',' }

// squeeze writes several asterisks as one: they mean the same, and matchers take long over them.
func squeeze(p string) string {
	for strings.Contains(p, "**") {
		p = strings.ReplaceAll(p, "**", "*")
	}
	return p
}

func dates(low, high string, ranged bool) (l, h string, ok bool) {
	low, high = strings.TrimSpace(low), strings.TrimSpace(high)
	if !ranged {
		l, ok = day(low)
		return l, l, ok
	}
	ok = low != "" || high != ""
	if low != "" {
		var good bool
		l, good = day(low)
		ok = ok && good
	}
	if high != "" {
		var good bool
		h, good = day(high)
		ok = ok && good
	}
	return l, h, ok
}

// endOfDay is after every time of day, with the leap second.
const endOfDay = 24*3600e6 + 1e6

func times(low, high string, ranged bool) (from, to int64, ok bool) {
	low, high = strings.TrimSpace(low), strings.TrimSpace(high)
	if !ranged {
		from, ok = moment(low, false)
		to, _ = moment(low, true)
		return from, to, ok
	}
	from, to, ok = 0, endOfDay, low != "" || high != ""
	if low != "" {
		var good bool
		from, good = moment(low, false)
		ok = ok && good
	}
	if high != "" {
		var good bool
		to, good = moment(high, true)
		ok = ok && good
	}
	return from, to, ok
}
