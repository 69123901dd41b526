package dicomweb

import (
	"net/http/httptest"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

func TestParseAccept(t *testing.T) {
	for _, c := range []struct {
		in string
		n  int
	}{
		{`multipart/related; type="application/dicom"; transfer-syntax=*`, 1},
		{`multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2.1`, 1},
		{`multipart/related;type="application/octet-stream";transfer-syntax=*, multipart/related; type="image/jls"; q=0.5, */*;q=0.1`, 3},
		{`text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8`, 5},
		{` , application/dicom+json ,`, 1},
		{`a/b; x="a,b;c\"d"`, 1},
		{`application/dicom;`, 1},
		{`application`, 0},
		{`*/json`, 0},
		{`a/b;q=2`, 0},
		{`a/b;q=NaN`, 0},
		{`a/b; x="open`, 0},
		{`a/b c/d`, 0},
		{``, 0},
	} {
		got, ok := parseAccept(c.in)
		if ok != (c.n > 0) || ok && len(got) != c.n {
			t.Errorf("%s: %v %v", c.in, got, ok)
		}
	}
}

func FuzzAccept(f *testing.F) {
	f.Add(`multipart/related; type="application/dicom"; transfer-syntax=*;q=0.3,*/*`)
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseAccept(s)
		if ok && len(got) == 0 {
			t.Fatal("taken, and nothing in it")
		}
	})
}

func TestPixelsAs(t *testing.T) {
	const jpeg, j2k, big = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", dicom.ExplicitVRBigEndianUID
	for _, c := range []struct {
		name, accept, uid string
		encapsulated      bool
		single            bool
		want              pixelForm
		refused           bool
	}{
		{"anything", "*/*", jpeg, true, false, pixelForm{true, "image/jpeg", false, false}, false},
		{"as stored", `multipart/related; type="application/octet-stream"; transfer-syntax=*`, jpeg, true, false, pixelForm{true, octets, false, false}, false},
		{"as stored, native", `multipart/related; type="application/octet-stream"; transfer-syntax=*`, dicom.ImplicitVRLittleEndianUID, false, false, pixelForm{true, octets, false, false}, false},
		{"octets", `multipart/related; type="application/octet-stream"`, jpeg, true, false, pixelForm{true, octets, false, true}, false},
		{"octets, named", `multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1`, jpeg, true, false, pixelForm{true, octets, false, true}, false},
		{"octets of another syntax", `multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.4.90`, jpeg, true, false, pixelForm{}, true},
		{"JPEG, uncompressed", `multipart/related; type="image/jpeg"; transfer-syntax=1.2.840.10008.1.2.1`, jpeg, true, false, pixelForm{}, true},
		{"octets, native", `multipart/related; type="application/octet-stream"`, dicom.ImplicitVRLittleEndianUID, false, false, pixelForm{true, octets, false, false}, false},
		{"explicit of implicit", `multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1`, dicom.ImplicitVRLittleEndianUID, false, false, pixelForm{true, octets, false, false}, false},
		{"little of big", `multipart/related; type=application/octet-stream`, big, false, false, pixelForm{true, octets, true, false}, false},
		{"big as stored", `multipart/related; type=application/octet-stream; transfer-syntax=*`, big, false, false, pixelForm{true, octets, false, false}, false},
		{"JPEG", `multipart/related; type="image/jpeg"`, jpeg, true, false, pixelForm{true, "image/jpeg", false, false}, false},
		{"JPEG of JPEG 2000", `multipart/related; type="image/jpeg"; transfer-syntax=*`, j2k, true, false, pixelForm{}, true},
		{"second choice", `multipart/related; type="image/jls", multipart/related; type="image/jp2"; q=0.5`, j2k, true, false, pixelForm{true, "image/jp2", false, false}, false},
		{"image/*", `multipart/related; type="image/*"`, j2k, true, false, pixelForm{true, "image/jp2", false, false}, false},
		{"image/* of native", `multipart/related; type="image/*"`, dicom.ExplicitVRLittleEndianUID, false, false, pixelForm{}, true},
		{"one, alone", octets, dicom.ExplicitVRLittleEndianUID, false, true, pixelForm{false, octets, false, false}, false},
		{"one, anyhow", "*/*", dicom.ExplicitVRLittleEndianUID, false, true, pixelForm{false, octets, false, false}, false},
		{"several, alone", octets, dicom.ExplicitVRLittleEndianUID, false, false, pixelForm{}, true},
		{"text", "text/plain", jpeg, true, false, pixelForm{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Accept", c.accept)
			ts, _ := dicom.LookupTransferSyntax(c.uid)
			got, err := pixelsAs(r, ts, c.encapsulated, c.single)
			if (err != nil) != c.refused || got != c.want {
				t.Errorf("got %v %v, want %v", got, err, c.want)
			}
		})
	}
}
