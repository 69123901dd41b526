package dicom

import (
	"slices"
	"testing"
)

func TestLookupTag(t *testing.T) {
	for _, c := range []struct {
		tag     Tag
		vrs     []VR
		vm      string
		keyword string
	}{
		{0x00000002, []VR{VRUI}, "1", "AffectedSOPClassUID"},
		{0x00020010, []VR{VRUI}, "1", "TransferSyntaxUID"},
		{0x00080005, []VR{VRCS}, "1-n", "SpecificCharacterSet"},
		{0x00100010, []VR{VRPN}, "1", "PatientName"},
		{0x00100047, []VR{VRUR}, "1-n", "SexParametersForClinicalUseCategoryReference"}, // 2025
		{0x0040B036, []VR{VRDT}, "1", "SegmentDefinitionDateTime"},                      // 2025
		{0x00280106, []VR{VRUS, VRSS}, "1", "SmallestImagePixelValue"},
		{0x00283006, []VR{VRUS, VROW}, "1-n", "LUTData"},
		{0x7FE00010, []VR{VROB, VROW}, "1", "PixelData"},
		{0xFFFEE000, nil, "1", "Item"},
		// repeating
		{0x60003000, []VR{VROB, VROW}, "1", "OverlayData"},
		{0x601E3000, []VR{VROB, VROW}, "1", "OverlayData"},
		{0x50020005, []VR{VRUS}, "1", "CurveDimensions"},
		{0x7F020010, []VR{VROB, VROW}, "1", "VariablePixelData"},
		{0x00203104, []VR{VRCS}, "1-n", "SourceImageIDs"},
		{0x00280421, []VR{VRUS}, "1", "ColumnsForNthOrderCoefficients"},
		{0x00280400, []VR{VRLO}, "1", "TransformLabel"},
		{0x10000120, []VR{VRUS}, "3", "EscapeTriplet"},
		{0x10100123, []VR{VRUS}, "1-n", "ZonalMap"},
		// what every group has
		{0x00020000, []VR{VRUL}, "1", "FileMetaInformationGroupLength"},
		{0x00080000, []VR{VRUL}, "1", "GenericGroupLength"},
		{0x10000000, []VR{VRUL}, "1", "GenericGroupLength"},
		{0x60000000, []VR{VRUL}, "1", "GenericGroupLength"},
		{0x00290000, []VR{VRUL}, "1", "GenericGroupLength"},
		{0x00290010, []VR{VRLO}, "1", "PrivateCreator"},
		{0x002900FF, []VR{VRLO}, "1", "PrivateCreator"},
	} {
		e, ok := LookupTag(c.tag)
		if !ok {
			t.Errorf("%v not found", c.tag)
			continue
		}
		if !slices.Equal(e.VRs, c.vrs) || e.VM != c.vm || e.Keyword != c.keyword || len(c.vrs) > 0 && e.VR != c.vrs[0] {
			t.Errorf("%v: %+v", c.tag, e)
		}
	}
	for _, tag := range []Tag{0x00100011 + 0x7000, 0x00291001, 0x0029000F, 0x60013000, 0x0028F0F0, 0x60009999, 0x00000001 + 0x4000} {
		if e, ok := LookupTag(tag); ok {
			t.Errorf("%v found as %s", tag, e.Keyword)
		}
	}
}

// Every entry is found by its tag and by its keyword, and says something.
func TestDictionaryWhole(t *testing.T) {
	if len(dictEntries) < 5300 {
		t.Fatalf("%d elements", len(dictEntries))
	}
	for i := range dictEntries {
		e := &dictEntries[i]
		if got, _ := LookupTag(e.Tag); got != e {
			t.Errorf("%v is not found by its tag", e.Tag)
		}
		if got, _ := LookupKeyword(e.Keyword); got != e {
			t.Errorf("%v is not found by its keyword", e.Tag)
		}
		if got, err := ParseTag(e.Keyword); err != nil || got != e.Tag {
			t.Errorf("%v is not parsed from its keyword", e.Tag)
		}
		if e.VM == "" || e.Name == "" || e.Tag.IsPrivate() {
			t.Errorf("%+v", e)
		}
		for _, vr := range e.VRs {
			if !vr.Known() {
				t.Errorf("%v has the VR %v", e.Tag, vr)
			}
		}
		if i > 0 && dictEntries[i-1].Tag >= e.Tag {
			t.Errorf("%v is out of order", e.Tag)
		}
	}
	if TagPatientID != 0x00100020 || TagOverlayData != 0x60003000 {
		t.Error("constants differ from the standard")
	}
	if e, ok := LookupKeyword("patientid"); ok {
		t.Errorf("the case of a keyword counts, yet %v was found", e.Tag)
	}
	if _, ok := LookupKeyword("zzz"); ok {
		t.Error("found a keyword after the last")
	}
}

func TestLookupPrivate(t *testing.T) {
	for _, c := range []struct {
		creator string
		tag     Tag
		vr      VR
	}{
		{"SIEMENS CSA HEADER", 0x00291010, VROB},
		{"SIEMENS CSA HEADER", 0x0029E110, VROB},
		{"SIEMENS CSA HEADER ", 0x00291008, VRCS},
		{"GEMS_PARM_01", 0x00431039, VRIS},
		{"Philips PET Private Group", 0x70531000, VRDS},
		{"SIEMENS SYNGO ULTRA-SOUND TOYON DATA STREAMING", 0x7FD11109, VRUI},
	} {
		e, ok := LookupPrivate(c.creator, c.tag)
		if !ok || e.VR != c.vr {
			t.Errorf("%s %v: %+v", c.creator, c.tag, e)
		}
	}
	for _, c := range []struct {
		creator string
		tag     Tag
	}{{"", 0x00291010}, {"SIEMENS CSA HEADER", 0x00290010}, {"SIEMENS CSA HEADER", 0x002910FE}, {"zzzz", 0x00291010}, {"SIEMENS CSA HEADER", 0x00281010}} {
		if e, ok := LookupPrivate(c.creator, c.tag); ok {
			t.Errorf("%q %v: %+v", c.creator, c.tag, e)
		}
	}
	for i := range privateEntries {
		e := &privateEntries[i]
		tag := NewTag(e.Group, 0x1100|uint16(e.Low))
		if got, _ := LookupPrivate(e.Creator, tag); got != e {
			t.Errorf("%q %v is not found", e.Creator, tag)
		}
		if !e.VR.Known() || e.VM == "" {
			t.Errorf("%+v", e)
		}
	}
}

func TestUIDName(t *testing.T) {
	for _, u := range uidNames {
		if name, ok := UIDName(u[0]); !ok || name != u[1] || name == "" {
			t.Errorf("%s: %q", u[0], name)
		}
	}
	if name, _ := UIDName("1.2.840.10008.5.1.4.1.1.2"); name != "CT Image Storage" {
		t.Errorf("CT is %q", name)
	}
	if _, ok := UIDName("1.2.3"); ok {
		t.Error("found a UID that nobody registered")
	}
}

func TestLookupTagDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		LookupTag(0x7FE00010)
		LookupTag(0x60023000)
		LookupTag(0x00291010)
		LookupPrivate("GEMS_PARM_01", 0x00431039)
		LookupKeyword("PixelData")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

var benchEntry *Entry

func BenchmarkLookupTag(b *testing.B) {
	b.Run("standard", func(b *testing.B) {
		i := 0
		for b.Loop() {
			benchEntry, _ = LookupTag(dictEntries[i].Tag)
			if i++; i == len(dictEntries) {
				i = 0
			}
		}
	})
	tags := []Tag{0x00080005, 0x00080018, 0x00100010, 0x00100020, 0x0020000D, 0x00280010, 0x7FE00010, 0x00280100}
	b.Run("usual", func(b *testing.B) {
		i := 0
		for b.Loop() {
			benchEntry, _ = LookupTag(tags[i&7])
			i++
		}
	})
	b.Run("private", func(b *testing.B) {
		for b.Loop() {
			benchEntry, _ = LookupTag(0x00291010)
		}
	})
	b.Run("keyword", func(b *testing.B) {
		for b.Loop() {
			benchEntry, _ = LookupKeyword("StudyInstanceUID")
		}
	})
}
