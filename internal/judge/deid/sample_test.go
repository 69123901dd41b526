package deid

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// A made-up person, who is planted everywhere.
const (
	family   = "HOLLOWAY"
	given    = "MARGARET"
	mrn      = "RX4482139"
	birth    = "19570322"
	doctor   = "OBERMAYER"
	hospital = "ST BRENNAN INFIRMARY"
	acc      = "ACX77120934"
	studyUID = "1.3.12.2.1107.5.2.50.176395.30000023040511223344500000012"
)

var testKeys = NewKeys([32]byte{7, 7, 7})

func profileNamed(t testing.TB, name string) *Profile {
	t.Helper()
	p, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sampleCT builds a CT image of that person; fill adds to it or replaces.
func sampleCT(t testing.TB, ts *dicom.TransferSyntax, fill func(b *dicom.Builder)) *dicom.Dataset {
	t.Helper()
	b := dicom.NewBuilder(ts)
	b.String(dicom.TagSpecificCharacterSet, "ISO_IR 100")
	b.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "AXIAL")
	b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
	b.String(dicom.TagSOPInstanceUID, studyUID+".1.1")
	b.String(dicom.TagStudyInstanceUID, studyUID)
	b.String(dicom.TagSeriesInstanceUID, studyUID+".1")
	b.String(dicom.TagFrameOfReferenceUID, studyUID+".9")
	b.String(dicom.TagStudyDate, "20190312")
	b.String(dicom.TagSeriesDate, "20190312")
	b.String(dicom.TagAcquisitionDate, "20190313")
	b.String(dicom.TagStudyTime, "143207.532")
	b.String(dicom.TagAcquisitionTime, "143300")
	b.String(dicom.TagAccessionNumber, acc)
	b.String(dicom.TagModality, "CT")
	b.String(dicom.TagManufacturer, "SIEMENS")
	b.String(dicom.TagManufacturerModelName, "SOMATOM Definition AS+")
	b.String(dicom.TagDeviceSerialNumber, "66042")
	b.String(dicom.TagInstitutionName, hospital)
	b.String(dicom.TagReferringPhysicianName, doctor+"^KLAUS")
	b.String(dicom.TagStudyDescription, "CT CHEST for Dr Obermayer pt Holloway")
	b.String(dicom.TagPatientName, family+"^"+given)
	b.String(dicom.TagPatientID, mrn)
	b.String(dicom.TagPatientBirthDate, birth)
	b.String(dicom.TagPatientSex, "F")
	b.String(dicom.TagPatientAge, "061Y")
	b.String(dicom.TagBodyPartExamined, "CHEST")
	b.String(dicom.TagStudyID, "20190312")
	b.Ints(dicom.TagRows, 2)
	b.Ints(dicom.TagColumns, 2)
	b.Ints(dicom.TagBitsAllocated, 16)
	if fill != nil {
		fill(b)
	}
	b.Raw(dicom.TagPixelData, dicom.VROW, []byte{1, 2, 3, 4, 5, 6, 7, 8})
	ds, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// mustClean cleans, and proves the output clean without the gate.
func mustClean(t testing.TB, ds *dicom.Dataset, profile string, secrets ...string) (*Result, *dicom.Dataset) {
	t.Helper()
	r, err := Clean(ds, profileNamed(t, profile), testKeys, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Outcome != Cleaned {
		t.Fatalf("outcome %s: %v", r.Outcome, r.Reasons)
	}
	out, err := r.Rendered.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	absent(t, r.Rendered.Head, append(secrets, family, given, mrn, birth, doctor, "BRENNAN", "INFIRMARY", acc, studyUID)...)
	return r, out
}

// absent searches bytes for text in whatever case, in UTF-8 and UTF-16.
func absent(t testing.TB, b []byte, secrets ...string) {
	t.Helper()
	upper := bytes.ToUpper(b)
	for _, s := range secrets {
		up := strings.ToUpper(s)
		if bytes.Contains(upper, []byte(up)) {
			t.Errorf("the output has a secret of %d characters in it", len(s))
		}
		var le []byte
		for _, u := range utf16.Encode([]rune(up)) {
			le = append(le, byte(u), byte(u>>8))
		}
		if len(s) > 3 && bytes.Contains(upper, le) {
			t.Errorf("the output has a secret of %d characters in UTF-16", len(s))
		}
	}
}

func value(ds *dicom.Dataset, t dicom.Tag) string {
	if i := ds.Find(t); i >= 0 {
		return ds.Text(i)
	}
	return "absent"
}
