package deid

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// What PS3.15 E.3 and Table E.1-1a say becomes of an element, read here a second time and apart from the rules: the options decide first, those that keep
// before those that clean; else the Basic Profile.
func fateByStandard(row Row, vr dicom.VR, options Option) string {
	temporal := vr == dicom.VRDA || vr == dicom.VRTM || vr == dicom.VRDT
	keep, clean := row.Keep&options, row.Clean&options
	if options&RetainModifiedDates != 0 && temporal {
		keep = 0 // E.3.6: all dates are modified, or those that are not tell by how much the others were
	}
	if keep != 0 {
		return "K"
	}
	if clean != 0 {
		return "C"
	}
	return row.Basic.String()
}

// ownFates are the rows that are decided otherwise than the table says, and by how: docs/deidentification.md gives the reasons.
func ownFate(t dicom.Tag, vr dicom.VR, fate string, options Option) string {
	switch t {
	case dicom.TagClinicalTrialSubjectID, dicom.TagPatientID, dicom.TagPatientName:
		return "D" // the pseudonym
	case dicom.TagContainerIdentifier, dicom.TagSpecimenIdentifier:
		return "D" // a code
	case dicom.TagContextGroupVersion, dicom.TagContextGroupLocalVersion, dicom.TagEncryptedAttributesSequence, dicom.TagMACParametersSequence:
		return "X"
	case dicom.TagScheduledStudyLocation, dicom.TagScheduledProcedureStepLocation:
		if fate == "K" {
			return "C"
		}
	case dicom.TagDeidentificationMethod:
		return "any"
	case dicom.TagGraphicAnnotationSequence:
		if options&CleanGraphics == 0 {
			return "X" // strokes may be writing
		}
	case dicom.TagPresentationCreationDate, dicom.TagPresentationCreationTime:
		if options&(RetainFullDates|RetainModifiedDates) == 0 {
			return "D" // of type 1
		}
	case dicom.TagCalibrationDate, dicom.TagCalibrationTime, dicom.TagCalibrationDateTime, dicom.TagDateOfInstallation, dicom.TagDateOfLastCalibration,
		dicom.TagTimeOfLastCalibration, dicom.TagDateTimeOfLastCalibration, dicom.TagDateOfManufacture, dicom.TagDateOfLastDetectorCalibration,
		dicom.TagTimeOfLastDetectorCalibration, dicom.TagProductExpirationDateTime, dicom.TagTemplateVersion, dicom.TagTemplateLocalVersion,
		dicom.TagApprovalStatusDateTime, dicom.TagEffectiveDateTime, dicom.TagInformationIssueDateTime, dicom.TagHangingProtocolCreationDateTime:
		if options&RetainModifiedDates != 0 {
			row, _ := LookupRow(t)
			return row.Basic.String() // a date of a device, which somebody else may know, is not shifted
		}
	}
	if vr == dicom.VRUI && fate == "K" && options&RetainUIDs == 0 {
		return "U" // a device's UIDs stay with the others or not at all
	}
	// What can be cleaned only by taking it out whole.
	if fate == "C" && (vr == dicom.VRAE || vr == dicom.VRUR || vr == dicom.VROB || vr == dicom.VRPN) {
		return "X/Z/D"
	}
	if fate == "K" && (vr == dicom.VRAE || vr == dicom.VROB || vr == dicom.VRUR) {
		return "X/Z/D"
	}
	return fate
}

const optionSecret = "ZQWXMARKER"

// optionValue is an ordinary value of a VR with something in it that must not stay by a rule that cleans.
func optionValue(vr dicom.VR) []byte {
	switch vr {
	case dicom.VRDA:
		return []byte("20110405")
	case dicom.VRDT:
		return []byte("20110405101112")
	case dicom.VRTM:
		return []byte("101112")
	case dicom.VRUI:
		return []byte("1.2.826.0.1.3680043.99.1234567")
	case dicom.VRDS, dicom.VRIS:
		return []byte("42")
	case dicom.VRAS:
		return []byte("042Y")
	case dicom.VRUS:
		return []byte{4, 2}
	case dicom.VRCS:
		return []byte("CHEST")
	case dicom.VRSQ:
		raw, err := dicom.NewBuilder(dicom.ExplicitVRLittleEndian).Items(func(b *dicom.Builder) {
			b.String(dicom.TagStudyDescription, "CHEST "+optionSecret)
			b.String(dicom.TagPatientComments, optionSecret)
		})
		if err != nil {
			panic(err)
		}
		return raw
	case dicom.VROB, dicom.VRUN:
		return []byte{1, 2}
	case dicom.VRPN:
		return []byte("QUARTZIAN^IMMANUELA")
	}
	return []byte("CHEST " + optionSecret)
}

// Each option alone, and each pair, does to every row of the table what the standard says.
func TestOptionsByTheTable(t *testing.T) {
	rows := slices.DeleteFunc(slices.Clone(tableRows[:]), func(r Row) bool {
		return r.Tag.Group() < 8 || r.Tag == dicom.TagSOPInstanceUID || r.Tag == dicom.TagEncapsulatedDocument || r.Tag == dicom.TagWaveformAnnotationSequence ||
			r.Tag == dicom.TagConversionType || r.Tag == dicom.TagContributingEquipmentSequence || r.Tag == dicom.TagStudyInstanceUID || r.Tag == dicom.TagSeriesInstanceUID ||
			r.Tag == dicom.TagPatientID || r.Tag == dicom.TagPatientName || termOf(r.Tag, 0) != 0 && termOf(r.Tag, 0) != TermDevice && termOf(r.Tag, 0) != TermDate
	})
	if len(rows) < 560 {
		t.Fatalf("%d rows", len(rows))
	}
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
	b.String(dicom.TagSOPInstanceUID, "1.2.826.0.1.3680043.99.1")
	b.String(dicom.TagStudyInstanceUID, "1.2.826.0.1.3680043.99.2")
	b.String(dicom.TagSeriesInstanceUID, "1.2.826.0.1.3680043.99.3")
	b.String(dicom.TagModality, "CT")
	b.String(dicom.TagPatientID, "RX4482139")
	for _, r := range rows {
		e, _ := dicom.LookupTag(r.Tag)
		v := optionValue(e.VR)
		switch device := r.Keep&RetainDeviceIdentity != 0 && !strings.HasSuffix(r.Tag.Keyword(), "Location") && e.VR.IsText() && bytes.Contains(v, []byte(optionSecret)); {
		case termOf(r.Tag, e.VR) == TermDevice:
			v = []byte("QD40477")
		case device:
			v = []byte("LINAC QD77")
		}
		b.Raw(r.Tag, e.VR, v)
	}
	ds, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	var sets []Option
	for i, a := range optionTable {
		sets = append(sets, a.option)
		for _, b := range optionTable[i+1:] {
			sets = append(sets, a.option|b.option)
		}
	}
	sets = append(sets, 0)
	checked := 0
	for _, options := range sets {
		name := strings.Join(append([]string{"basic"}, options.Names()...), "+")
		p, err := Lookup(name)
		if options.contradiction() != "" {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || p.Options != options {
			t.Fatal(name, p, err)
		}
		s := NewSubject(p, testKeys, Identify(ds), nil)
		res, err := s.Clean(ds)
		if err == nil && res.Outcome == Held && options&CleanVisualFeatures != 0 && res.Reasons[0].Code == CodeFace {
			res, err = s.CleanAnswered(ds, Seen)
		}
		if err != nil || res.Outcome != Cleaned {
			t.Errorf("%s: %v %v", name, res.Reasons, err)
			continue
		}
		out, err := res.Rendered.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			e, _ := dicom.LookupTag(row.Tag)
			fate := ownFate(row.Tag, e.VR, fateByStandard(row, e.VR, options), options)
			checkFate(t, name, fate, row, e, ds, out, options)
			checked++
		}
		codes := out.Find(dicom.TagDeidentificationMethodCodeSequence)
		var got []string
		for item := range out.Children(codes) {
			got = append(got, out.StringIn(item, dicom.TagCodeValue))
		}
		want := []string{"113100"}
		for _, c := range methodCodes[1:] {
			if options&c.option != 0 && c.option != CleanPixelData && c.option != CleanVisualFeatures {
				want = append(want, c.code)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s claims %v, not %v", name, got, want)
		}
		for _, v := range out.Strings(out.Find(dicom.TagDeidentificationMethod)) {
			if len(v) > 64 || !methodValue(v) {
				t.Errorf("%s: the method says %q", name, v)
			}
		}
	}
	if checked < 70*len(rows) {
		t.Errorf("%d fates were checked", checked)
	}
}

func checkFate(t *testing.T, name, fate string, row Row, e *dicom.Entry, ds, out *dicom.Dataset, options Option) {
	t.Helper()
	i := out.Find(row.Tag)
	was := string(ds.Value(ds.Find(row.Tag)))
	now, there := "", i >= 0
	if there {
		now = string(out.Value(i))
	}
	same := there && now == was
	empty := there && strings.Trim(now, " ") == ""
	temporal := e.VR == dicom.VRDA || e.VR == dicom.VRTM || e.VR == dicom.VRDT
	var ok bool
	switch fate {
	case "any":
		ok = true
	case "X":
		ok = !there
	case "Z":
		ok = empty || there && !same
	case "D":
		ok = there && !empty && (!same || e.VR == dicom.VRSQ)
		if e.VR == dicom.VRSQ {
			ok = there && !strings.Contains(now, optionSecret)
		}
	case "U":
		ok = there && strings.HasPrefix(now, "2.25.")
	case "K":
		switch {
		case e.VR == dicom.VRSQ:
			ok = there && !strings.Contains(now, optionSecret)
		case row.Keep&options&(RetainDeviceIdentity|RetainInstitution) == 0 && row.Keep&options&RetainPatientCharacteristics != 0 && e.VR != dicom.VRAS && e.VR != dicom.VRCS:
			ok = there && (same || !strings.Contains(now, optionSecret) && !empty)
		case e.VR == dicom.VRSH && row.Keep&options&RetainFullDates != 0:
			ok = there // the zone, which the text here is not
		default:
			ok = same
		}
	case "C":
		switch {
		case temporal:
			ok = there && (e.VR == dicom.VRTM || !same && !empty)
		case e.VR == dicom.VRSQ:
			ok = there && !strings.Contains(now, optionSecret)
		default:
			ok = there && !empty && !strings.Contains(now, optionSecret)
		}
	default: // the type in the object decides
		ok = !same || e.VR == dicom.VRSQ && !strings.Contains(now, optionSecret)
		if fate == "X/Z/U*" {
			ok = !strings.Contains(now, optionSecret)
		}
	}
	if !ok {
		t.Errorf("%s %s under %s: by the table %s; there %t, empty %t, as it was %t", row.Tag, e.Keyword, name, fate, there, empty, same)
	}
	if strings.Contains(now, optionSecret) && row.Keep&options == 0 {
		t.Errorf("%s %s under %s: the text is left", row.Tag, e.Keyword, name)
	}
}

func TestCombinations(t *testing.T) {
	for name, want := range map[string]string{
		"basic+retain-uids": "basic+retain-uids", "basic+retain-uids+clean-graphics": "basic+clean-graphics+retain-uids",
		"basic+clean-graphics+retain-uids": "basic+clean-graphics+retain-uids", "research+clean-graphics": "research", "public+retain-device-identity": "public+retain-device-identity",
	} {
		p, err := Lookup(name)
		if err != nil || p.Name != want {
			t.Errorf("%s: %v, %v", name, p, err)
		}
		if q, _ := Lookup(want); q != p {
			t.Errorf("%s is another profile than %s", name, want)
		}
	}
	for name, code := range map[string]fault.Kind{"basic+": fault.NotFound, "+": fault.NotFound, "basic+nonesuch": fault.NotFound, "nonesuch+retain-uids": fault.NotFound,
		"as-deposited+retain-uids": fault.Invalid, "research+retain-full-dates": fault.Invalid, "basic+" + strings.Repeat("x", 400): fault.NotFound} {
		if _, err := Lookup(name); !fault.Is(err, code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// With UIDs retained, what their digits say of the subject counts, and what is no UID does not stay.
func TestRetainedUIDs(t *testing.T) {
	clean := func(fill func(b *dicom.Builder)) (*Result, *dicom.Dataset) {
		ds := sampleCT(t, dicom.ExplicitVRLittleEndian, fill)
		r, err := Clean(ds, profileNamed(t, "research+retain-uids"), testKeys, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Outcome != Cleaned {
			return r, nil
		}
		out, err := r.Rendered.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		return r, out
	}
	r, out := clean(nil)
	if out == nil || out.UID(dicom.TagStudyInstanceUID) != studyUID || r.StudyInstanceUID != studyUID {
		t.Errorf("the UID has changed: %v", r.Reasons)
	}
	if _, out := clean(func(b *dicom.Builder) {
		b.Raw(dicom.TagSynchronizationFrameOfReferenceUID, dicom.VRUI, []byte("HOLLOWAY 1"))
	}); out == nil ||
		!strings.HasPrefix(value(out, dicom.TagSynchronizationFrameOfReferenceUID), "2.25.") {
		t.Error("a text stays as a UID")
	}
	for _, id := range []string{"44821391", "48213"} {
		r, _ := clean(func(b *dicom.Builder) {
			b.String(dicom.TagPatientID, id)
			b.String(dicom.TagFrameOfReferenceUID, "1.2.826.0.1.3680043."+id+".7")
		})
		if r.Outcome != Held || r.Reasons[0].Code != CodeGate {
			t.Errorf("the patient's number of %d digits stays in a UID", len(id))
		}
	}
	m := profileNamed(t, "basic+retain-uids").Matcher(r.Lexicon)
	if found := m.Recheck(out); len(found) > 0 {
		t.Errorf("the second look holds it: %v", found)
	}
}

// Where dates stay true, elements that the table does not name keep theirs too, and a birth date holds the object wherever it stands.
func TestRetainedDates(t *testing.T) {
	clean := func(profile string, fill func(b *dicom.Builder)) (*Result, *dicom.Dataset) {
		r, err := Clean(sampleCT(t, dicom.ExplicitVRLittleEndian, fill), profileNamed(t, profile), testKeys, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Rendered == nil {
			return r, nil
		}
		out, err := r.Rendered.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		return r, out
	}
	noRow := func(b *dicom.Builder) { b.String(dicom.TagDateOfGainCalibration, "20110405") }
	if _, ok := LookupRow(dicom.TagDateOfGainCalibration); ok {
		t.Fatal("the table has a row for it by now")
	}
	for profile, want := range map[string]string{"basic+retain-full-dates": "20110405", "basic": "absent"} {
		if _, out := clean(profile, noRow); out == nil || value(out, dicom.TagDateOfGainCalibration) != want {
			t.Errorf("%s: not %s", profile, want)
		}
	}
	if _, out := clean("basic+retain-full-dates", nil); out == nil || value(out, dicom.TagStudyDate) != "20190312" || value(out, dicom.TagLongitudinalTemporalInformationModified) != "UNMODIFIED" ||
		strings.TrimSpace(value(out, dicom.TagPatientBirthDate)) != "" {
		t.Error("full dates are not what they were, or the birth date is")
	}
	for _, v := range []string{birth, birth + "101112"} {
		vr, tag := dicom.VRDA, dicom.TagAcquisitionDate
		if len(v) > 8 {
			vr, tag = dicom.VRDT, dicom.TagAcquisitionDateTime
		}
		fill := func(b *dicom.Builder) { b.Raw(tag, vr, []byte(v)) }
		if r, _ := clean("basic+retain-full-dates", fill); r.Outcome != Held || r.Reasons[0].Code != CodeGate {
			t.Errorf("the birth date passes as another date: %s", r.Outcome)
		}
		if r, _ := clean("research", fill); r.Outcome != Cleaned {
			t.Errorf("a shifted date is held: %v", r.Reasons)
		}
	}
	// Without dates in full and without a shift, a coarse date is the true one's, and is said to be modified.
	p := ownProfile(t, "name: coarse\nversion: 1\nbase: basic\nrules: [{id: a, reason: b, match: {keyword: StudyDate}, action: generalise, date: year}]")
	r, err := Clean(sampleCT(t, dicom.ExplicitVRLittleEndian, nil), p, testKeys, nil)
	if err != nil || r.Outcome != Cleaned {
		t.Fatal(r, err)
	}
	out, _ := r.Rendered.Dataset()
	if value(out, dicom.TagStudyDate) != "20190101" || value(out, dicom.TagLongitudinalTemporalInformationModified) != "MODIFIED" {
		t.Errorf("%s, %s", value(out, dicom.TagStudyDate), value(out, dicom.TagLongitudinalTemporalInformationModified))
	}
}

// What profiles make can stand beside each other, or says why not.
func TestBeside(t *testing.T) {
	own := func(text string) *Profile { return ownProfile(t, "name: mine\nversion: 1\n"+text) }
	for _, c := range []struct {
		now, before *Profile
		ok          bool
	}{
		{profileNamed(t, "basic"), profileNamed(t, "research"), true},
		{profileNamed(t, "public"), profileNamed(t, "research"), true},
		{profileNamed(t, "basic+retain-full-dates"), profileNamed(t, "research"), false},
		{profileNamed(t, "research"), profileNamed(t, "basic+retain-full-dates"), false},
		{profileNamed(t, "basic+retain-full-dates"), profileNamed(t, "basic"), true},
		{profileNamed(t, "research+retain-uids"), profileNamed(t, "research"), false},
		{profileNamed(t, "research"), profileNamed(t, "as-deposited"), false},
		{own("rules: [{id: a, reason: b, match: {keyword: StudyDate}, action: generalise, date: year}]"), profileNamed(t, "research"), true},
		{own("base: basic\nrules: [{id: a, reason: b, match: {keyword: StudyDate}, action: generalise, date: year}]"), profileNamed(t, "research"), false},
		{own("base: basic\nrules: [{id: a, reason: b, match: {keyword: StudyTime}, action: generalise, time: hour}]"), profileNamed(t, "research"), true},
		{own("base: basic\nrules: [{id: a, reason: b, match: {keyword: StudyDate}, action: shift}]"), profileNamed(t, "basic+retain-full-dates"), false},
	} {
		if why := c.now.Beside(c.before); (why == "") != c.ok {
			t.Errorf("%s after %s: %q", c.now.Name, c.before.Name, why)
		}
	}
}
