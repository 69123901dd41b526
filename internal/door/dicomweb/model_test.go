package dicomweb_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// What is told as JSON is told as XML too, in parts (PS3.18 8.7.3.2).
func TestTellsXML(t *testing.T) {
	x := start(t, "")
	depositor, steward := x.token(policy.Depositor, kept), x.token(policy.Steward, kept)
	const accept = `multipart/related; type="application/dicom+xml"`
	long := bytes.Repeat([]byte{1, 2}, 700)
	first := image(t, "P1", "1.2.3", "1.2.3.1", "1.2.3.1.1", func(b *dicom.Builder) { b.Raw(dicom.TagRedPaletteColorLookupTableData, dicom.VROW, long) })
	second := image(t, "P1", "1.2.3", "1.2.3.1", "1.2.3.1.2", func(b *dicom.Builder) { b.Ints(dicom.TagInstanceNumber, 2) })
	x.deposit(kept, first, second)

	const study = "/collections/" + kept + "/dicomweb/studies/1.2.3"
	read := func(b []byte) *dicom.Dataset {
		t.Helper()
		d, err := dicom.FromXML(bytes.NewReader(b), dicom.Limits{}, func(uri string) ([]byte, error) {
			a := x.get(uri[len(x.url("")):], steward, "application/octet-stream")
			if a.code != 200 {
				t.Errorf("bulk value: status %d", a.code)
			}
			return a.body, nil
		})
		if err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		return d
	}
	for _, at := range []string{study, study + "/series/1.2.3.1"} {
		bodies, types := x.get(at+"/metadata", steward, accept).parts(t)
		if len(bodies) != 2 || types[0] != "application/dicom+xml" {
			t.Fatalf("%d parts of %s", len(bodies), types)
		}
		want, err := dicom.Parse(first, dicom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		d := read(bodies[0])
		if d.UID(dicom.TagSOPInstanceUID) != "1.2.3.1.1" || !bytes.Equal(d.Bytes(), want.Data.Bytes()) {
			t.Errorf("the metadata and bulk values are another data set than was sent:\n%q\n%q", d.Bytes(), want.Data.Bytes())
		}
	}
	one := study + "/series/1.2.3.1/instances/1.2.3.1.2/metadata"
	if bodies, _ := x.get(one, steward, accept).parts(t); len(bodies) != 1 {
		t.Errorf("%d parts", len(bodies))
	}
	if a := x.get(one, steward, "application/dicom+xml"); a.code != 200 || a.header.Get("Content-Type") != "application/dicom+xml" || read(a.body).UID(dicom.TagSOPInstanceUID) != "1.2.3.1.2" {
		t.Errorf("status %d, %s: %s", a.code, a.header.Get("Content-Type"), a.body)
	}
	// Of several, XML cannot go out without parts; JSON is taken before XML where the client prefers it.
	x.get(study+"/metadata", steward, "application/dicom+xml").problem(t, 406)
	x.get(study+"/metadata", steward, accept+";q=0.5, application/dicom+json").rows(t)
	x.get("/dicomweb/studies/1.2.9/metadata", steward, accept).problem(t, 404)

	for _, q := range []string{"/dicomweb/instances?StudyInstanceUID=1.2.3&includefield=all", study + "/series/1.2.3.1/instances?PatientName=P1*"} {
		bodies, types := x.get(q, steward, accept).parts(t)
		rows := x.get(q, steward, "application/dicom+json").rows(t)
		if len(bodies) != 2 || types[0] != "application/dicom+xml" || len(rows) != 2 {
			t.Fatalf("%d parts, %d rows", len(bodies), len(rows))
		}
		for i, b := range bodies {
			d := read(b)
			n := 0
			for range d.Children(dicom.Root) {
				n++
			}
			if d.UID(dicom.TagSOPInstanceUID) != rows[i].text(dicom.TagSOPInstanceUID) || n != len(rows[i]) {
				t.Errorf("result %d differs from its JSON", i)
			}
		}
	}
	if a := x.get("/dicomweb/studies?StudyInstanceUID=1.9", steward, accept); a.code != 204 || len(a.body) > 0 {
		t.Errorf("status %d: %s", a.code, a.body)
	}

	file := image(t, "P2", "1.2.4", "1.2.4.1", "1.2.4.1.1", nil)
	a := x.do("POST", "/collections/"+kept+"/dicomweb/studies", depositor, map[string]string{"Content-Type": "application/dicom", "Accept": "application/dicom+xml"}, io.NopCloser(bytes.NewReader(file)))
	if a.code != 200 || a.header.Get("Content-Type") != "application/dicom+xml" || !read(a.body).Has(dicom.TagReferencedSOPSequence) {
		t.Errorf("status %d: %s", a.code, a.body)
	}
}
