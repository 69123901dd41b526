package dicomweb

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// begin reads what every search has.
func (d *Door) begin(w http.ResponseWriter, r *http.Request, level catalogue.Level) (delivery.Caller, *searchRequest, bool) {
	caller, at, err := asked(r)
	var as modelForm
	if err == nil {
		as, err = modelAs(r, "search", false)
	}
	var s *searchRequest
	if err == nil {
		s, err = parseQuery(r.URL.RawQuery, level)
	}
	if err != nil {
		web.Fail(w, r, err)
		return caller, nil, false
	}
	s.as = as
	s.query.Collection, s.query.Study, s.query.SeriesUID = at.Collection, at.Study, at.Series
	return caller, s, true
}

func (d *Door) searchStudies(w http.ResponseWriter, r *http.Request) {
	caller, s, ok := d.begin(w, r, catalogue.Studies)
	if !ok {
		return
	}
	found, more, err := d.Delivery.SearchStudies(r.Context(), caller, s.query)
	answer(w, r, s, found, more, err, func(b *row, x *catalogue.Study) {
		b.study(s, x)
		b.text(dicom.TagRetrieveURL, dicom.VRUR, d.rootOf(r, x.Collection)+"/studies/"+string(x.UID))
	})
}

func (d *Door) searchSeries(w http.ResponseWriter, r *http.Request) {
	caller, s, ok := d.begin(w, r, catalogue.Series)
	if !ok {
		return
	}
	found, more, err := d.Delivery.SearchSeries(r.Context(), caller, s.query)
	answer(w, r, s, found, more, err, func(b *row, x *catalogue.SeriesResult) {
		b.series(s, x)
		b.above(s, x.Study)
		b.text(dicom.TagRetrieveURL, dicom.VRUR, d.rootOf(r, x.Study.Collection)+"/studies/"+string(x.Study.UID)+"/series/"+string(x.UID))
	})
}

func (d *Door) searchInstances(w http.ResponseWriter, r *http.Request) {
	caller, s, ok := d.begin(w, r, catalogue.Instances)
	if !ok {
		return
	}
	found, more, err := d.Delivery.SearchInstances(r.Context(), caller, s.query)
	answer(w, r, s, found, more, err, func(b *row, x *catalogue.InstanceResult) {
		b.instance(x)
		if s.query.SeriesUID == "" {
			b.series(s, x.Series)
		} else {
			b.text(dicom.TagSeriesInstanceUID, dicom.VRUI, string(x.Series.UID))
			b.more(s, x.Series.JSON)
		}
		b.above(s, x.Series.Study)
		b.text(dicom.TagRetrieveURL, dicom.VRUR, d.rootOf(r, x.Series.Study.Collection)+"/studies/"+string(x.Series.Study.UID)+"/series/"+string(x.Series.UID)+"/instances/"+string(x.UID))
	})
}

// answer writes what was found as a JSON array, or as parts of XML; nothing found is an empty one with status 200, which every viewer reads, and not 204 (PS3.18 10.6.3.1 allows
// both).
func answer[T any](w http.ResponseWriter, r *http.Request, s *searchRequest, found []T, more bool, err error, fill func(*row, T)) {
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	h := w.Header()
	private(h)
	h.Set("Vary", "Accept")
	for _, text := range s.warnings(more) {
		h.Add("Warning", text)
	}
	if s.as != modelJSON && len(found) > 0 {
		answerXML(w, r, s, found, fill)
		return
	}
	h.Set("Content-Type", "application/dicom+json")
	if s.as != modelJSON { // a multipart body has to have a part (RFC 2046 5.1.1)
		h.Del("Content-Type")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	out := make([]byte, 0, 64<<10)
	out = append(out, '[')
	b := &row{}
	sent := false
	for i, x := range found {
		if i > 0 {
			out = append(out, ',')
		}
		b.reset()
		b.text(dicom.TagSpecificCharacterSet, dicom.VRCS, "ISO_IR 192")
		fill(b, x)
		out = b.appendTo(out)
		if len(out) > 48<<10 {
			sent = true
			if _, err := w.Write(out); err != nil {
				web.Fail(w, r, err)
				return
			}
			out = out[:0]
		}
	}
	out = append(out, ']')
	if !sent {
		h.Set("Content-Length", strconv.Itoa(len(out)))
	}
	if _, err := w.Write(out); err != nil {
		web.Fail(w, r, err)
	}
}

// answerXML writes a part for each result (PS3.18 10.6.3.3.1).
func answerXML[T any](w http.ResponseWriter, r *http.Request, s *searchRequest, found []T, fill func(*row, T)) {
	buf := buffered(w)
	defer release(buf)
	out := newModelWriter(w, buf, s.as)
	b := &row{}
	var object, text []byte
	for _, x := range found {
		b.reset()
		b.text(dicom.TagSpecificCharacterSet, dicom.VRCS, "ISO_IR 192")
		fill(b, x)
		object = b.appendTo(object[:0])
		data, err := dicom.FromJSON(bytes.NewReader(object), dicom.Limits{}, nil)
		if err == nil {
			text, err = dicom.AppendXML(text[:0], data, dicom.JSONOptions{})
		}
		if err == nil {
			err = out.add(text, "")
		}
		if err != nil {
			web.Fail(w, r, err)
			return
		}
	}
	if err := out.end(); err != nil {
		web.Fail(w, r, err)
	}
}

// row is an object of the DICOM JSON model (PS3.18 F.2) under construction.
type row struct {
	buf   []byte
	attrs []span
}

type span struct {
	tag      dicom.Tag
	from, to int
}

func (b *row) reset() { b.buf, b.attrs = b.buf[:0], b.attrs[:0] }

// appendTo writes the object, its attributes in order of their tags (PS3.18 F.2.2), each once.
func (b *row) appendTo(out []byte) []byte {
	slices.SortStableFunc(b.attrs, func(x, y span) int { return cmp.Compare(x.tag, y.tag) })
	out = append(out, '{')
	last := dicom.Tag(0)
	for i, a := range b.attrs {
		if i > 0 && a.tag == last {
			continue
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, b.buf[a.from:a.to]...)
		last = a.tag
	}
	return append(out, '}')
}

func (b *row) open(t dicom.Tag, vr dicom.VR) int {
	from := len(b.buf)
	b.buf = append(b.buf, '"')
	b.buf = append(b.buf, t.Hex()...)
	b.buf = append(b.buf, `":{"vr":"`...)
	b.buf = append(b.buf, vr.String()...)
	b.buf = append(b.buf, '"')
	return from
}

func (b *row) close(t dicom.Tag, from int) {
	b.buf = append(b.buf, '}')
	b.attrs = append(b.attrs, span{t, from, len(b.buf)})
}

// text adds values that are text; empty ones are an attribute without a value.
func (b *row) text(t dicom.Tag, vr dicom.VR, values ...string) {
	from := b.open(t, vr)
	if len(values) > 0 && !(len(values) == 1 && values[0] == "") {
		b.buf = append(b.buf, `,"Value":[`...)
		for i, v := range values {
			if i > 0 {
				b.buf = append(b.buf, ',')
			}
			b.buf = appendString(b.buf, v)
		}
		b.buf = append(b.buf, ']')
	}
	b.close(t, from)
}

// split adds a text attribute whose values are joined by backslashes.
func (b *row) split(t dicom.Tag, vr dicom.VR, s string) {
	if vr.SingleValued() || !strings.Contains(s, `\`) {
		b.text(t, vr, s)
		return
	}
	b.text(t, vr, strings.Split(s, `\`)...)
}

// name adds a person's name by its groups (PS3.18 F.2.2).
func (b *row) name(t dicom.Tag, s string) {
	from := b.open(t, dicom.VRPN)
	if s != "" {
		b.buf = append(b.buf, `,"Value":[`...)
		for i, v := range strings.Split(s, `\`) {
			if i > 0 {
				b.buf = append(b.buf, ',')
			}
			b.buf = append(b.buf, '{')
			first := true
			for k, group := range strings.Split(v, "=") {
				if k > 2 { // PS3.5 6.2.1 knows three
					break
				}
				if group == "" {
					continue
				}
				if !first {
					b.buf = append(b.buf, ',')
				}
				first = false
				b.buf = append(b.buf, [...]string{`"Alphabetic":`, `"Ideographic":`, `"Phonetic":`}[k]...)
				b.buf = appendString(b.buf, group)
			}
			b.buf = append(b.buf, '}')
		}
		b.buf = append(b.buf, ']')
	}
	b.close(t, from)
}

// number adds an integer; one that is absent is an attribute without a value.
func (b *row) number(t dicom.Tag, vr dicom.VR, n, absent int64) {
	from := b.open(t, vr)
	if n != absent {
		b.buf = append(b.buf, `,"Value":[`...)
		b.buf = strconv.AppendInt(b.buf, n, 10)
		b.buf = append(b.buf, ']')
	}
	b.close(t, from)
}

// more adds the attributes asked for that the catalogue keeps as JSON.
func (b *row) more(s *searchRequest, object string) {
	if object == "" || !s.all && !s.mentioned(object) {
		return
	}
	var m map[string]json.RawMessage
	if json.Unmarshal([]byte(object), &m) != nil {
		return
	}
	for k, v := range m {
		t, err := dicom.ParseTag(k)
		if err != nil || !s.wants(t) {
			continue
		}
		from := len(b.buf)
		b.buf = append(b.buf, '"')
		b.buf = append(b.buf, t.Hex()...)
		b.buf = append(b.buf, `":`...)
		b.buf = append(b.buf, v...)
		b.attrs = append(b.attrs, span{t, from, len(b.buf)})
	}
}

// study adds the attributes of PS3.18 Table 10.6.3-3, the description, and what is asked for.
func (b *row) study(s *searchRequest, x *catalogue.Study) {
	a := &x.StudyAttributes
	b.text(dicom.TagStudyDate, dicom.VRDA, a.StudyDate)
	b.text(dicom.TagStudyTime, dicom.VRTM, a.StudyTime)
	b.text(dicom.TagAccessionNumber, dicom.VRSH, a.AccessionNumber)
	b.text(dicom.TagInstanceAvailability, dicom.VRCS, "ONLINE")
	b.text(dicom.TagModalitiesInStudy, dicom.VRCS, x.Modalities...)
	b.name(dicom.TagReferringPhysicianName, a.ReferringPhysicianName)
	if a.Timezone != "" {
		b.text(dicom.TagTimezoneOffsetFromUTC, dicom.VRSH, a.Timezone)
	}
	b.split(dicom.TagStudyDescription, dicom.VRLO, a.Description)
	b.name(dicom.TagPatientName, a.PatientName)
	b.text(dicom.TagPatientID, dicom.VRLO, a.PatientID)
	b.text(dicom.TagPatientBirthDate, dicom.VRDA, a.BirthDate)
	b.text(dicom.TagPatientSex, dicom.VRCS, a.Sex)
	b.text(dicom.TagStudyInstanceUID, dicom.VRUI, string(x.UID))
	b.text(dicom.TagStudyID, dicom.VRSH, a.StudyID)
	b.number(dicom.TagNumberOfStudyRelatedSeries, dicom.VRIS, x.Series, -1)
	b.number(dicom.TagNumberOfStudyRelatedInstances, dicom.VRIS, x.Instances, -1)
	if s.wants(dicom.TagSOPClassesInStudy) {
		b.text(dicom.TagSOPClassesInStudy, dicom.VRUI, x.SOPClasses...)
	}
	b.more(s, a.JSON)
}

// above adds the study to a result of a lower level: all of it where the path names no study (PS3.18 10.6.1.2.2), else its UID and what is asked for.
func (b *row) above(s *searchRequest, x *catalogue.Study) {
	if s.query.Study == "" || s.all {
		b.study(s, x)
		return
	}
	b.text(dicom.TagStudyInstanceUID, dicom.VRUI, string(x.UID))
	if x.Timezone != "" {
		b.text(dicom.TagTimezoneOffsetFromUTC, dicom.VRSH, x.Timezone)
	}
	if len(s.fields) == 0 {
		return
	}
	var whole row
	whole.study(s, x)
	for _, a := range whole.attrs {
		if s.wants(a.tag) {
			from := len(b.buf)
			b.buf = append(b.buf, whole.buf[a.from:a.to]...)
			b.attrs = append(b.attrs, span{a.tag, from, len(b.buf)})
		}
	}
}

// series adds the attributes of PS3.18 Table 10.6.3-4, and what is asked for.
func (b *row) series(s *searchRequest, x *catalogue.SeriesResult) {
	a := &x.SeriesAttributes
	b.text(dicom.TagModality, dicom.VRCS, a.Modality)
	b.split(dicom.TagSeriesDescription, dicom.VRLO, a.Description)
	b.text(dicom.TagSeriesInstanceUID, dicom.VRUI, string(x.UID))
	b.number(dicom.TagSeriesNumber, dicom.VRIS, a.Number, catalogue.Absent)
	b.number(dicom.TagNumberOfSeriesRelatedInstances, dicom.VRIS, x.Instances, -1)
	if a.StepDate != "" {
		b.text(dicom.TagPerformedProcedureStepStartDate, dicom.VRDA, a.StepDate)
	}
	if a.StepTime != "" {
		b.text(dicom.TagPerformedProcedureStepStartTime, dicom.VRTM, a.StepTime)
	}
	if a.BodyPart != "" && s.wants(dicom.TagBodyPartExamined) {
		b.text(dicom.TagBodyPartExamined, dicom.VRCS, a.BodyPart)
	}
	if len(a.Requests) > 0 {
		from := b.open(dicom.TagRequestAttributesSequence, dicom.VRSQ)
		b.buf = append(b.buf, `,"Value":[`...)
		for i, q := range a.Requests {
			if i > 0 {
				b.buf = append(b.buf, ',')
			}
			var item row
			if q.ScheduledStepID != "" {
				item.text(dicom.TagScheduledProcedureStepID, dicom.VRSH, q.ScheduledStepID)
			}
			if q.RequestedProcedureID != "" {
				item.text(dicom.TagRequestedProcedureID, dicom.VRSH, q.RequestedProcedureID)
			}
			b.buf = item.appendTo(b.buf)
		}
		b.buf = append(b.buf, ']')
		b.close(dicom.TagRequestAttributesSequence, from)
	}
	b.more(s, a.JSON)
}

// instance adds the attributes of PS3.18 Table 10.6.3-5.
func (b *row) instance(x *catalogue.InstanceResult) {
	b.text(dicom.TagSOPClassUID, dicom.VRUI, x.SOPClass)
	b.text(dicom.TagSOPInstanceUID, dicom.VRUI, string(x.UID))
	b.text(dicom.TagInstanceAvailability, dicom.VRCS, "ONLINE")
	b.text(dicom.TagAvailableTransferSyntaxUID, dicom.VRUI, x.TransferSyntax)
	b.number(dicom.TagInstanceNumber, dicom.VRIS, x.Number, catalogue.Absent)
	for _, n := range []struct {
		tag dicom.Tag
		vr  dicom.VR
		v   int64
	}{{dicom.TagRows, dicom.VRUS, x.Rows}, {dicom.TagColumns, dicom.VRUS, x.Columns}, {dicom.TagBitsAllocated, dicom.VRUS, x.BitsAllocated}, {dicom.TagNumberOfFrames, dicom.VRIS, x.Frames}} {
		if n.v != 0 {
			b.number(n.tag, n.vr, n.v, 0)
		}
	}
}

// appendString appends a JSON string.
func appendString(out []byte, s string) []byte {
	plain := true
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			plain = false
			break
		}
	}
	if plain {
		out = append(out, '"')
		out = append(out, s...)
		return append(out, '"')
	}
	q, err := json.Marshal(s)
	if err != nil {
		return append(out, `""`...)
	}
	return append(out, q...)
}
