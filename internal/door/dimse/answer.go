package dimse

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// match is one answer to a C-FIND: what the catalogue found, at its level and those above. The others are nil.
type match struct {
	patient  *catalogue.Patient
	study    *catalogue.Study
	series   *catalogue.SeriesResult
	instance *catalogue.InstanceResult
	aet      string // where it is retrieved from

	keptOfStudy, keptOfSeries map[string]keptValue // read when the first is asked for
}

// attributes are those of patient and study.
func (m *match) attributes() *catalogue.StudyAttributes {
	if m.study == nil {
		return &m.patient.StudyAttributes
	}
	return &m.study.StudyAttributes
}

// column is an attribute that is returned.
type column struct {
	level catalogue.Level // from which on
	only  catalogue.Level // and at no other; 0: below as well
	text  func(*match) string
	sum   func(*match) int64 // a number that is always there
	count func(*match) (n, absent int64)
}

// columns are the attributes that have a column in the catalogue, or are counted (PS3.4 C.6.1.1, C.3.4).
var columns = map[dicom.Tag]column{
	dicom.TagRetrieveAETitle:      {level: catalogue.Patients, text: func(m *match) string { return m.aet }},
	dicom.TagInstanceAvailability: {level: catalogue.Patients, text: func(*match) string { return "ONLINE" }},

	dicom.TagPatientName:                     {level: catalogue.Patients, text: func(m *match) string { return m.attributes().PatientName }},
	dicom.TagPatientID:                       {level: catalogue.Patients, text: func(m *match) string { return m.attributes().PatientID }},
	dicom.TagPatientBirthDate:                {level: catalogue.Patients, text: func(m *match) string { return m.attributes().BirthDate }},
	dicom.TagPatientSex:                      {level: catalogue.Patients, text: func(m *match) string { return m.attributes().Sex }},
	dicom.TagNumberOfPatientRelatedStudies:   {level: catalogue.Patients, only: catalogue.Patients, sum: func(m *match) int64 { return m.patient.Studies }},
	dicom.TagNumberOfPatientRelatedSeries:    {level: catalogue.Patients, only: catalogue.Patients, sum: func(m *match) int64 { return m.patient.Series }},
	dicom.TagNumberOfPatientRelatedInstances: {level: catalogue.Patients, only: catalogue.Patients, sum: func(m *match) int64 { return m.patient.Instances }},

	dicom.TagStudyInstanceUID:              {level: catalogue.Studies, text: func(m *match) string { return string(m.study.UID) }},
	dicom.TagStudyDate:                     {level: catalogue.Studies, text: func(m *match) string { return m.study.StudyDate }},
	dicom.TagStudyTime:                     {level: catalogue.Studies, text: func(m *match) string { return m.study.StudyTime }},
	dicom.TagAccessionNumber:               {level: catalogue.Studies, text: func(m *match) string { return m.study.AccessionNumber }},
	dicom.TagStudyID:                       {level: catalogue.Studies, text: func(m *match) string { return m.study.StudyID }},
	dicom.TagStudyDescription:              {level: catalogue.Studies, text: func(m *match) string { return m.study.Description }},
	dicom.TagReferringPhysicianName:        {level: catalogue.Studies, text: func(m *match) string { return m.study.ReferringPhysicianName }},
	dicom.TagTimezoneOffsetFromUTC:         {level: catalogue.Studies, text: func(m *match) string { return m.study.Timezone }},
	dicom.TagModalitiesInStudy:             {level: catalogue.Studies, text: func(m *match) string { return strings.Join(m.study.Modalities, `\`) }},
	dicom.TagSOPClassesInStudy:             {level: catalogue.Studies, text: func(m *match) string { return strings.Join(m.study.SOPClasses, `\`) }},
	dicom.TagNumberOfStudyRelatedSeries:    {level: catalogue.Studies, sum: func(m *match) int64 { return m.study.Series }},
	dicom.TagNumberOfStudyRelatedInstances: {level: catalogue.Studies, sum: func(m *match) int64 { return m.study.Instances }},

	dicom.TagSeriesInstanceUID:               {level: catalogue.Series, text: func(m *match) string { return string(m.series.UID) }},
	dicom.TagModality:                        {level: catalogue.Series, text: func(m *match) string { return m.series.Modality }},
	dicom.TagSeriesNumber:                    {level: catalogue.Series, count: func(m *match) (int64, int64) { return m.series.Number, catalogue.Absent }},
	dicom.TagSeriesDescription:               {level: catalogue.Series, text: func(m *match) string { return m.series.Description }},
	dicom.TagBodyPartExamined:                {level: catalogue.Series, text: func(m *match) string { return m.series.BodyPart }},
	dicom.TagPerformedProcedureStepStartDate: {level: catalogue.Series, text: func(m *match) string { return m.series.StepDate }},
	dicom.TagPerformedProcedureStepStartTime: {level: catalogue.Series, text: func(m *match) string { return m.series.StepTime }},
	dicom.TagNumberOfSeriesRelatedInstances:  {level: catalogue.Series, sum: func(m *match) int64 { return m.series.Instances }},
	dicom.TagRequestAttributesSequence:       {level: catalogue.Series},

	dicom.TagSOPInstanceUID:             {level: catalogue.Instances, text: func(m *match) string { return string(m.instance.UID) }},
	dicom.TagSOPClassUID:                {level: catalogue.Instances, text: func(m *match) string { return m.instance.SOPClass }},
	dicom.TagAvailableTransferSyntaxUID: {level: catalogue.Instances, text: func(m *match) string { return m.instance.TransferSyntax }},
	dicom.TagInstanceNumber:             {level: catalogue.Instances, count: func(m *match) (int64, int64) { return m.instance.Number, catalogue.Absent }},
	dicom.TagRows:                       {level: catalogue.Instances, count: func(m *match) (int64, int64) { return m.instance.Rows, 0 }},
	dicom.TagColumns:                    {level: catalogue.Instances, count: func(m *match) (int64, int64) { return m.instance.Columns, 0 }},
	dicom.TagBitsAllocated:              {level: catalogue.Instances, count: func(m *match) (int64, int64) { return m.instance.BitsAllocated, 0 }},
	dicom.TagNumberOfFrames:             {level: catalogue.Instances, count: func(m *match) (int64, int64) { return m.instance.Frames, 0 }},
}

func describes(t dicom.Tag) (study, series bool) { return custody.Describes(t) }

// answers encodes matches.
type answers struct {
	ts      *dicom.TransferSyntax
	fields  []dicom.Tag
	steps   []dicom.Tag
	level   string
	charset []string // the asker's own
	aet     string
}

func newAnswers(ts *dicom.TransferSyntax, q *question, root bool, aet string) *answers {
	a := &answers{ts: ts, fields: q.sorted(root), steps: q.steps, level: levels[q.at].name, aet: aet}
	if i := q.data.Find(dicom.TagSpecificCharacterSet); i >= 0 {
		a.charset = q.data.Strings(i)
	}
	return a
}

// encode is a match as an identifier: in ASCII without a character set where that will do, else in the asker's own, and in UTF-8 where the asker's lacks a character
// (PS3.4 C.4.1.1.3.2).
func (a *answers) encode(m *match) ([]byte, error) {
	var d *dicom.Dataset
	var err error
	for _, cs := range [][]string{nil, a.charset, {"ISO_IR 192"}} {
		if d, err = a.build(m, cs); err == nil {
			return d.Bytes(), nil
		}
	}
	return nil, err
}

func (a *answers) build(m *match, charset []string) (*dicom.Dataset, error) {
	b := dicom.NewBuilder(a.ts)
	if len(charset) > 0 {
		b.String(dicom.TagSpecificCharacterSet, charset...)
	}
	b.String(dicom.TagQueryRetrieveLevel, a.level)
	b.String(dicom.TagRetrieveAETitle, a.aet)
	m.aet = a.aet
	for _, t := range a.fields {
		if c, ok := columns[t]; ok {
			a.put(b, t, &c, m)
			continue
		}
		if v, ok := m.kept(t); ok {
			putJSON(b, t, v)
		} else {
			b.Empty(t)
		}
	}
	return b.Dataset()
}

func (a *answers) put(b *dicom.Builder, t dicom.Tag, c *column, m *match) {
	switch {
	case c.text != nil:
		b.String(t, c.text(m))
	case c.sum != nil:
		b.Ints(t, int(c.sum(m)))
	case c.count != nil:
		if n, absent := c.count(m); n != absent {
			b.Ints(t, int(n))
		} else {
			b.Empty(t)
		}
	default:
		items := make([]func(*dicom.Builder), 0, len(m.series.Requests))
		for _, r := range m.series.Requests {
			items = append(items, func(item *dicom.Builder) {
				for _, x := range []struct {
					t dicom.Tag
					v string
				}{{dicom.TagScheduledProcedureStepID, r.ScheduledStepID}, {dicom.TagRequestedProcedureID, r.RequestedProcedureID}} {
					if len(a.steps) == 0 || contains(a.steps, x.t) {
						item.String(x.t, x.v)
					}
				}
			})
		}
		b.Sequence(t, items...)
	}
}

func contains(tags []dicom.Tag, t dicom.Tag) bool {
	for _, x := range tags {
		if x == t {
			return true
		}
	}
	return false
}

// keptValue is an attribute of the DICOM JSON model (PS3.18 F.2).
type keptValue struct {
	VR    string            `json:"vr"`
	Value []json.RawMessage `json:"Value"`
}

// kept is an attribute that the catalogue keeps as DICOM JSON.
func (m *match) kept(t dicom.Tag) (v keptValue, ok bool) {
	object, at := "", &m.keptOfSeries
	if study, _ := describes(t); study {
		object, at = m.attributes().JSON, &m.keptOfStudy
	} else if m.series != nil {
		object = m.series.JSON
	}
	if !strings.Contains(object, t.Hex()) {
		return v, false
	}
	if *at == nil {
		if json.Unmarshal([]byte(object), at) != nil {
			return v, false
		}
	}
	v, ok = (*at)[t.Hex()]
	return v, ok
}

func putJSON(b *dicom.Builder, t dicom.Tag, v keptValue) {
	vr, ok := dicom.ParseVR(v.VR)
	if !ok {
		return
	}
	if vr == dicom.VRSQ {
		items := make([]func(*dicom.Builder), 0, len(v.Value))
		for _, raw := range v.Value {
			var members map[string]keptValue
			if json.Unmarshal(raw, &members) != nil {
				continue
			}
			items = append(items, func(item *dicom.Builder) {
				for k, x := range members {
					if tag, err := dicom.ParseTag(k); err == nil {
						putJSON(item, tag, x)
					}
				}
			})
		}
		b.Sequence(t, items...)
		return
	}
	var texts []string
	var numbers []float64
	for _, raw := range v.Value {
		var s string
		var name struct{ Alphabetic, Ideographic, Phonetic string }
		switch {
		case bytes.Equal(raw, []byte("null")):
			texts = append(texts, "")
		case json.Unmarshal(raw, &s) == nil:
			texts = append(texts, s)
		case vr == dicom.VRPN && json.Unmarshal(raw, &name) == nil:
			texts = append(texts, strings.TrimRight(name.Alphabetic+"="+name.Ideographic+"="+name.Phonetic, "="))
		default:
			n, err := strconv.ParseFloat(string(raw), 64)
			if err != nil {
				return
			}
			texts, numbers = append(texts, string(raw)), append(numbers, n)
		}
	}
	switch {
	case vr.IsText():
		b.Text(t, vr, texts...)
	case vr == dicom.VRFL || vr == dicom.VRFD || vr == dicom.VROF || vr == dicom.VROD:
		b.Numbers(t, vr, numbers...)
	case vr == dicom.VRUS || vr == dicom.VRSS || vr == dicom.VRUL || vr == dicom.VRSL || vr == dicom.VRUV || vr == dicom.VRSV:
		whole := make([]int, len(numbers))
		for i, n := range numbers {
			whole[i] = int(n)
		}
		b.Integers(t, vr, whole...)
	}
}
