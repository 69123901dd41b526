package deid

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Objects of one subject stay one graph: references between them, subjects, dates.
func TestGraphOfObjects(t *testing.T) {
	object := func(n int, study, series string, date string, ref string) *dicom.Dataset {
		return sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
			b.String(dicom.TagStudyInstanceUID, studyUID+study)
			b.String(dicom.TagSeriesInstanceUID, studyUID+study+series)
			b.String(dicom.TagSOPInstanceUID, studyUID+study+series+fmt.Sprint(".", n))
			b.String(dicom.TagStudyDate, date)
			b.Sequence(dicom.TagReferencedImageSequence, func(b *dicom.Builder) {
				b.String(dicom.TagReferencedSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
				b.String(dicom.TagReferencedSOPInstanceUID, ref)
			})
		})
	}
	first := studyUID + ".1.1.1"
	a := object(1, ".1", ".1", "20190312", first)
	b := object(2, ".1", ".1", "20190312", first)
	c := object(1, ".2", ".1", "20190611", first)
	s := NewSubject(profileNamed(t, "research"), testKeys, Identify(a), nil)
	var out []*dicom.Dataset
	for _, ds := range []*dicom.Dataset{a, b, c} {
		r, err := s.Clean(ds)
		if err != nil || r.Outcome != Cleaned {
			t.Fatal(r, err)
		}
		o, err := r.Rendered.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		if r.SOPInstanceUID != o.UID(dicom.TagSOPInstanceUID) || r.SeriesInstanceUID != o.UID(dicom.TagSeriesInstanceUID) ||
			r.StudyInstanceUID != o.UID(dicom.TagStudyInstanceUID) {
			t.Error("the result names other UIDs than the object")
		}
		out = append(out, o)
	}
	if out[0].UID(dicom.TagStudyInstanceUID) != out[1].UID(dicom.TagStudyInstanceUID) || out[0].UID(dicom.TagStudyInstanceUID) == out[2].UID(dicom.TagStudyInstanceUID) ||
		out[0].UID(dicom.TagSOPInstanceUID) == out[1].UID(dicom.TagSOPInstanceUID) {
		t.Error("studies and instances are mixed up")
	}
	for _, o := range out {
		if ref := o.StringIn(o.Find(dicom.TagReferencedImageSequence)+1, dicom.TagReferencedSOPInstanceUID); ref != out[0].UID(dicom.TagSOPInstanceUID) {
			t.Error("a reference leads nowhere")
		}
	}
	d0, d2 := value(out[0], dicom.TagStudyDate), value(out[2], dicom.TagStudyDate)
	x, _ := day([8]byte([]byte(d0)))
	y, _ := day([8]byte([]byte(d2)))
	if y.Sub(x).Hours() != 91*24 || value(out[0], dicom.TagPatientID) != value(out[2], dicom.TagPatientID) {
		t.Error("the interval or the pseudonym differs")
	}
}

func TestAnotherSubject(t *testing.T) {
	a := sampleCT(t, dicom.ExplicitVRLittleEndian, nil)
	b := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) { b.String(dicom.TagPatientID, "SOMEBODYELSE") })
	s := NewSubject(profileNamed(t, "research"), testKeys, Identify(a), nil)
	if _, err := s.Clean(b); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "SOMEBODY") {
		t.Error(err)
	}
	if err := s.Collect(b); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

// What a later object reveals is found in an earlier one; with two passes the order of objects does not count.
func TestEcho(t *testing.T) {
	// The first object calls the maker of its sequence by a name that only the second says is the patient's other one.
	one := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) { b.String(dicom.TagSequenceName, "*Allegra2d") })
	two := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
		b.String(dicom.TagSOPInstanceUID, studyUID+".1.2")
		b.String(dicom.TagPatientBirthName, "ALLEGRA^MARGARET")
	})
	p := profileNamed(t, "research")
	s := NewSubject(p, testKeys, Identify(one), nil)
	r1, err := s.Clean(one)
	if err != nil || r1.Outcome != Cleaned {
		t.Fatal(r1, err)
	}
	r2, err := s.Clean(two)
	if err != nil || r2.Outcome != Cleaned || len(r2.NewTerms) != 1 {
		t.Fatal(r2, err)
	}
	cleaned, err := r1.Rendered.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	found := Recheck(cleaned, r2.Lexicon)
	if len(found) != 1 || found[0].Code != CodeGate || found[0].Where != "(0018,0024)" {
		t.Fatalf("the echo finds %v", found)
	}
	if found := Recheck(cleaned, r1.Lexicon); len(found) != 0 {
		t.Errorf("without the name the echo finds %v", found)
	}

	var outputs [2][2][]byte
	for order := range 2 {
		s := NewSubject(p, testKeys, Identify(one), nil)
		objects := []*dicom.Dataset{one, two}
		for k := range objects {
			if err := s.Collect(objects[(k+order)%2]); err != nil {
				t.Fatal(err)
			}
		}
		for k := range objects {
			n := (k + order) % 2
			r, err := s.Clean(objects[n])
			if err != nil {
				t.Fatal(err)
			}
			if r.Rendered != nil {
				outputs[order][n] = r.Rendered.Head
			}
			absent(t, outputs[order][n], "ALLEGRA")
		}
	}
	for n := range 2 {
		if !bytes.Equal(outputs[0][n], outputs[1][n]) {
			t.Error("the order of objects counts")
		}
	}
}

// The gate stands by itself: with the rules broken, nothing passes.
func TestGateWithoutRules(t *testing.T) {
	for _, c := range []struct {
		tag dicom.Tag
		vr  dicom.VR
		raw []byte
	}{
		{dicom.TagSeriesDescription, dicom.VRLO, []byte("ct of holloway")},
		{dicom.TagSeriesDescription, dicom.VRLO, []byte("CT 22.03.1957")},
		{dicom.TagSeriesDescription, dicom.VRLO, []byte("ref " + studyUID)},
		{dicom.TagSeriesDescription, dicom.VRLO, []byte("rx-4482139")},
		{0x00291010, dicom.VROB, append([]byte("SV10\x04\x03"), utf16le("Holloway")...)},
		{0x00291010, dicom.VROB, []byte("<date>1957-03-22</date>")},
		{dicom.TagLossyImageCompression, dicom.VRCS, []byte("HOLLOWAY")},
		{dicom.TagIrradiationEventUID, dicom.VRUI, []byte(studyUID)},
		{dicom.TagIrradiationEventUID, dicom.VRUI, []byte("1.2.840.10008.5.1.4." + "4482139")},
		{dicom.TagPatientName, dicom.VRPN, []byte("Holloway^M")},
	} {
		s := NewSubject(profileNamed(t, "research"), testKeys, Identify(sampleCT(t, dicom.ExplicitVRLittleEndian, nil)), nil)
		r, err := s.Clean(sampleCT(t, dicom.ExplicitVRLittleEndian, nil))
		if err != nil || r.Outcome != Cleaned {
			t.Fatal(r, err)
		}
		clean, err := r.Rendered.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		if found := s.Matcher().Recheck(clean); len(found) != 0 {
			t.Fatalf("a clean object has %v", found)
		}
		e := clean.Edit()
		e.Insert(dicom.Root, c.tag, c.vr, c.raw)
		x, err := e.Render()
		if err != nil {
			t.Fatal(err)
		}
		dirty, err := x.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		if found := s.Matcher().Recheck(dirty); len(found) != 1 || found[0].Code != CodeGate || found[0].Where != c.tag.String() {
			t.Errorf("%s: the gate finds %v", c.tag, found)
		}
	}
}

// Common names and numbers do not hold an object.
func TestFalseAlarms(t *testing.T) {
	for _, c := range []struct {
		name string
		fill func(*dicom.Builder)
	}{
		{"called as the body part", func(b *dicom.Builder) { b.String(dicom.TagPatientName, "CHEST^FEMALE") }},
		{"called as the maker", func(b *dicom.Builder) { b.String(dicom.TagPatientName, "SIEMENS^MARY") }},
		{"a number as common as pixels", func(b *dicom.Builder) {
			b.String(dicom.TagPatientID, "10000")
			b.String(dicom.TagWindowWidth, "10000")
			b.String(dicom.TagSliceLocation, "-10000.10000")
		}},
		{"short numbers", func(b *dicom.Builder) {
			b.String(dicom.TagPatientID, "1")
			b.String(dicom.TagStudyID, "2")
			b.String(dicom.TagInstanceNumber, "1")
		}},
		{"born on the day of the study", func(b *dicom.Builder) { b.String(dicom.TagPatientBirthDate, "20190312") }},
		{"a place of ordinary words", func(b *dicom.Builder) { b.String(dicom.TagInstitutionName, "General Breast Imaging Center") }},
	} {
		r, err := Clean(sampleCT(t, dicom.ExplicitVRLittleEndian, c.fill), profileNamed(t, "research"), testKeys, nil)
		if err != nil || r.Outcome != Cleaned {
			t.Errorf("%s: %v %v", c.name, r, err)
			continue
		}
		out, err := r.Rendered.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		if value(out, dicom.TagBodyPartExamined) != "CHEST" {
			t.Errorf("%s: the body part is %q", c.name, value(out, dicom.TagBodyPartExamined))
		}
	}
}

// A lexicon that is full holds every object that brings more, not only the first.
func TestFullLexicon(t *testing.T) {
	var terms []Term
	for i := range maxTerms - 2 {
		terms = append(terms, Term{TermIdentifier, fmt.Sprint("XX", i)})
	}
	full, err := (*Lexicon)(nil).With(terms...)
	if err != nil {
		t.Fatal(err)
	}
	ds := sampleCT(t, dicom.ExplicitVRLittleEndian, nil)
	s := NewSubject(profileNamed(t, "research"), testKeys, Identify(ds), full)
	for range 2 {
		r, err := s.Clean(ds)
		if err != nil || r.Outcome != Held || r.Reasons[0].Code != CodeLexicon {
			t.Fatal(r, err)
		}
	}
}

func TestManyGoroutines(t *testing.T) {
	ds := sampleCT(t, dicom.ExplicitVRLittleEndian, nil)
	p := profileNamed(t, "research")
	s := NewSubject(p, testKeys, Identify(ds), nil)
	want, err := s.Clean(ds)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			mine := NewSubject(p, testKeys, Identify(ds), nil)
			for _, s := range []*Subject{s, mine} {
				r, err := s.Clean(ds)
				if err != nil || !bytes.Equal(r.Rendered.Head, want.Rendered.Head) {
					t.Error("goroutines disagree")
				}
			}
		})
	}
	wg.Wait()
}

func TestMarkers(t *testing.T) {
	for _, c := range []struct {
		profile, temporal string
		codes             string
	}{
		{"research", "MODIFIED", "113100,113103,113104,113105,113107,113108,113109,113111"},
		{"basic", "REMOVED", "113100"},
		{"public", "MODIFIED", "113100,113103,113104,113105,113107,113108,113111"},
	} {
		_, out := mustClean(t, sampleCT(t, dicom.ImplicitVRLittleEndian, func(b *dicom.Builder) {
			b.String(dicom.TagDeidentificationMethod, "by hand at St Brennan Infirmary")
		}), c.profile)
		if value(out, dicom.TagPatientIdentityRemoved) != "YES" || value(out, dicom.TagLongitudinalTemporalInformationModified) != c.temporal ||
			out.Has(dicom.TagBurnedInAnnotation) || !strings.HasPrefix(value(out, dicom.TagDeidentificationMethod), "Vitrine "+c.profile) {
			t.Error(c.profile, "does not say what it has done")
		}
		var codes []string
		for k := range out.Children(out.Find(dicom.TagDeidentificationMethodCodeSequence)) {
			codes = append(codes, out.StringIn(k, dicom.TagCodeValue))
		}
		if got := strings.Join(codes, ","); got != c.codes {
			t.Errorf("%s: codes %s", c.profile, got)
		}
	}
	meta, err := Meta("1.2.840.10008.5.1.4.1.1.2", "2.25.1", dicom.ImplicitVRLittleEndian)
	if err != nil || meta.UID(dicom.TagMediaStorageSOPInstanceUID) != "2.25.1" || meta.Has(dicom.TagSourceApplicationEntityTitle) {
		t.Error("file meta information", err)
	}
}

func TestAsDeposited(t *testing.T) {
	ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) { b.String(dicom.TagBurnedInAnnotation, "YES") })
	r, err := Clean(ds, profileNamed(t, "as-deposited"), testKeys, nil)
	if err != nil || r.Outcome != Cleaned || !bytes.Equal(r.Rendered.Head, ds.Render().Head) || r.StudyInstanceUID != studyUID {
		t.Fatal(r, err)
	}
	where := map[string]bool{}
	for _, f := range r.Findings {
		where[f.Where] = true
		absent(t, []byte(f.Text), family, mrn)
	}
	for _, w := range []string{"(0010,0010)", "(0010,0020)", "(0010,0030)", "(0008,0050)", "(0028,0301)"} {
		if !where[w] {
			t.Errorf("%s is no finding", w)
		}
	}
}

func TestReport(t *testing.T) {
	r, _ := mustClean(t, sampleCT(t, dicom.ExplicitVRLittleEndian, nil), "research")
	held := (&Result{}).stop(Held, Reason{CodePixels, "(0008,0016)", "text"})
	b, err := json.Marshal(Report{Profile: "research", Version: Version, Items: []Item{NewItem(1, r, "a/b.dcm"), NewItem(2, held, "")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{`"profile":"research"`, `"item":1,"outcome":"cleaned","output":"a/b.dcm","reasons":[]`, `"output":null`, `"code":"burned-in-text"`, `"removed":`} {
		if !strings.Contains(string(b), s) {
			t.Errorf("the report lacks %s: %s", s, b)
		}
	}
	absent(t, b, family, mrn, studyUID)
}

// Whatever text an object has, in whatever element, cleaning ends without a panic, and what passes has no word of it.
func TestAnyElement(t *testing.T) {
	tags := make([]dicom.Tag, 0, len(tableRows))
	for _, r := range tableRows {
		if r.Tag.Group() >= 8 {
			tags = append(tags, r.Tag)
		}
	}
	for range 400 {
		tags = append(tags, dicom.NewTag(uint16(rand.IntN(0x60)), uint16(rand.IntN(0x2000))))
	}
	p := profileNamed(t, "research")
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "n")
		ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
			for range n {
				tag := rapid.SampledFrom(tags).Draw(rt, "tag")
				if tag.Group() < 8 || tag.Group() == 0x28 || tag == dicom.TagSOPClassUID || tag == dicom.TagPatientID || tag == dicom.TagPatientName {
					continue
				}
				vr := dicom.VRLO
				if e, ok := dicom.LookupTag(tag); ok && e.VR.IsText() {
					vr = e.VR
				}
				b.Raw(tag, vr, []byte(rapid.SampledFrom([]string{family, "Mrs Holloway", mrn, "CT " + birth, studyUID, "", "\xff\xfe\x00", strings.Repeat("HOLLOWAY ", 20)}).Draw(rt, "text")))
			}
		})
		r, err := Clean(ds, p, testKeys, nil)
		if err != nil {
			return // another patient's
		}
		if r.Outcome == Cleaned {
			if b := bytes.ToUpper(r.Rendered.Head); bytes.Contains(b, []byte(family)) || bytes.Contains(b, []byte(mrn)) || bytes.Contains(b, []byte(birth)) {
				rt.Fatal("an identifier is left")
			}
		}
	})
}

func FuzzClean(f *testing.F) {
	for _, ts := range []*dicom.TransferSyntax{dicom.ExplicitVRLittleEndian, dicom.ImplicitVRLittleEndian, dicom.ExplicitVRBigEndian} {
		ds := sampleCT(f, ts, func(b *dicom.Builder) {
			b.Sequence(dicom.TagRequestAttributesSequence, func(b *dicom.Builder) { b.String(dicom.TagRequestedProcedureID, "R1") })
			b.Raw(0x00190010, dicom.VRLO, []byte("SIEMENS MR HEADER"))
			b.Raw(0x0019100C, dicom.VRIS, []byte("1000"))
		})
		f.Add(ds.Bytes(), ts.UID)
	}
	f.Fuzz(func(t *testing.T, b []byte, uid string) {
		ts, ok := dicom.LookupTransferSyntax(uid)
		if !ok || ts.Deflated {
			return
		}
		ds, err := dicom.ParseDataset(b, ts, dicom.Limits{HeadBytes: 1 << 20, Elements: 10_000})
		if err != nil {
			return
		}
		for _, p := range profiles {
			r, err := Clean(ds, p, testKeys, nil)
			if err != nil {
				t.Fatal(err)
			}
			if (r.Outcome == Cleaned) != (r.Rendered != nil) {
				t.Fatal("bytes and outcome disagree")
			}
			if r.Outcome != Cleaned && len(r.Reasons) == 0 {
				t.Fatal("no reason")
			}
		}
	})
}
