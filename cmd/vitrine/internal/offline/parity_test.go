package offline

import (
	"bytes"
	"compress/flate"
	"os"
	"path/filepath"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
)

// write builds a small file and gives the bytes of its data set as they lie in it.
func write(t *testing.T, path string, ts *dicom.TransferSyntax, study, sop string) []byte {
	t.Helper()
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.7")
	b.String(dicom.TagSOPInstanceUID, sop)
	b.String(dicom.TagModality, "OT")
	b.String(dicom.TagPatientID, "P1")
	if study != "" {
		b.String(dicom.TagStudyInstanceUID, study)
	}
	b.String(dicom.TagSeriesInstanceUID, "1.2.3.4")
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	body := d.Bytes()
	if ts.Deflated {
		var z bytes.Buffer
		w, _ := flate.NewWriter(&z, flate.HuffmanOnly) // as nobody else would
		w.Write(body)
		w.Close()
		body = z.Bytes()
	}
	m, err := dicom.NewMeta(dicom.MetaInfo{SOPClassUID: "1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID: "1.2.3", TransferSyntaxUID: ts.UID, ImplementationClassUID: "1.2"})
	if err != nil {
		t.Fatal(err)
	}
	all := append(append(append(make([]byte, 128), "DICM"...), m.Bytes()...), body...)
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return body
}

// What is kept as it was deposited is kept to the byte, deflated data sets too.
func TestDeflatedAsDeposited(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	in := Input{Path: filepath.Join(dir, "a")}
	want := write(t, in.Path, dicom.DeflatedExplicitVRLittleEndian, "1.2.3.9", "1.2.3.9.1")
	p, err := deid.Lookup("as-deposited")
	if err != nil {
		t.Fatal(err)
	}
	r, err := (&Job{Inputs: []Input{in}, Out: out, Profile: p, Root: [32]byte{7}, Workers: 1}).Run(t.Context())
	if err != nil || r.Items[0].Output == nil {
		t.Fatalf("%v %+v", err, r)
	}
	got, err := os.ReadFile(filepath.Join(out, *r.Items[0].Output))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(got, want) {
		t.Error("the deflated bytes are others")
	}
	f, err := dicom.Parse(got, dicom.Limits{})
	if err != nil || !bytes.Equal(f.DatasetBytes(), want) || f.Data.UID(dicom.TagSOPInstanceUID) != "1.2.3.9.1" {
		t.Errorf("what was written does not read: %v", err)
	}
}

// UIDs that are missing or wrong fare as they do at a node.
func TestUIDsFareAsAtANode(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, study, sop string
		outcome          deid.Outcome
		code             string
	}{
		{"no study", "", "1.2.3.1", deid.Held, "missing-uid"},
		{"no instance", "1.2.3", "", deid.Refused, "missing-uid"},
		{"an instance that is none", "1.2.3", "1.2.x", deid.Refused, "invalid-uid"},
		{"a study that is none", "one", "1.2.3.2", deid.Refused, "invalid-uid"},
	} {
		path := filepath.Join(dir, c.name)
		write(t, path, dicom.ExplicitVRLittleEndian, c.study, c.sop)
		r := clean(t.Context(), t, []Input{{Path: path}}, filepath.Join(t.TempDir(), "out"), 1)
		if it := r.Items[0]; it.Outcome != c.outcome || it.Output != nil || len(it.Reasons) != 1 || it.Reasons[0].Code != c.code {
			t.Errorf("%s: %+v", c.name, it)
		}
	}
}
