package dicomweb_test

import (
	"bytes"
	"context"
	picture "image"
	"image/jpeg"
	_ "image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// Pictures come as asked for, to who may see the images, and a wrong wish is told as such.
func TestRendered(t *testing.T) {
	x := start(t, "")
	x.deposit(kept, image(t, "P1", "1.2.3", "1.2.3.1", "1.2.3.1.1", nil), image(t, "P1", "1.2.3", "1.2.3.1", "1.2.3.1.2", nil))
	steward := x.token(policy.Steward, kept)
	const study = "/collections/" + kept + "/dicomweb/studies/1.2.3"
	for path, size := range map[string]picture.Point{
		"/thumbnail": picture.Pt(4, 4), "/series/1.2.3.1/thumbnail?viewport=2,2": picture.Pt(2, 2), "/series/1.2.3.1/instances/1.2.3.1.1/rendered": picture.Pt(4, 4),
		"/series/1.2.3.1/instances/1.2.3.1.1/frames/1/rendered?window=100,200,sigmoid&quality=30": picture.Pt(4, 4),
		"/series/1.2.3.1/instances/1.2.3.1.1/rendered?viewport=100,100,1,1,2,3&accept=image/png":  picture.Pt(2, 3),
	} {
		a := x.get(study+path, steward, "image/avif,image/*,*/*;q=0.8")
		m, _, err := picture.Decode(bytes.NewReader(a.body))
		if a.code != 200 || err != nil || m.Bounds().Size() != size {
			t.Errorf("%s: %d %v", path, a.code, err)
		}
		if got := a.header.Get("Cache-Control"); got != "private, no-store" {
			t.Errorf("%s: Cache-Control %q", path, got)
		}
	}
	for path, code := range map[string]int{
		"/series/1.2.3.1/instances/1.2.3.1.1/frames/2/rendered": 404, "/series/1.2.3.1/instances/1.2.3.1.1/frames/1,1/rendered": 400,
		"/thumbnail?viewport=0,1": 400, "/thumbnail?viewport=a": 400, "/thumbnail?window=1": 400, "/thumbnail?window=1,0": 400, "/thumbnail?window=NaN,1": 400, "/thumbnail?quality=101": 400,
		"/thumbnail?viewport=4,4,100,100,2,2": 422, "/thumbnail?accept=image/gif": 406, "/series/9/thumbnail": 404,
	} {
		x.get(study+path, steward, "*/*").problem(t, code)
	}
	x.get(study+"/thumbnail", x.token(policy.Depositor, kept), "*/*").problem(t, 404)
	x.get(study+"/thumbnail", "", "*/*").problem(t, 401)
	x.get(study+"/thumbnail", x.token(policy.Researcher, kept), "*/*").problem(t, 404) // not published
}

// The node's decoder is this test binary, started again.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "codec-worker" {
		if codec.Work(context.Background(), os.Stdin, os.Stdout, os.Args[2]) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// One frame that cannot be decoded fails alone, and says why.
func TestRenderedCodeStreams(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	x := start(t, "", exe, "codec-worker", filepath.Join(cache, "vitrine-codec"))
	code := func(w, h int) []byte {
		m := picture.NewGray(picture.Rect(0, 0, w, h))
		for i := range m.Pix {
			m.Pix[i] = byte(i * 37)
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 100}); err != nil {
			t.Fatal(err)
		}
		return append(b.Bytes(), make([]byte, b.Len()%2)...)
	}
	whole := code(32, 32)
	syntax, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.4.50")
	b := dicom.NewBuilder(syntax)
	b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.7.2")
	for tag, v := range map[dicom.Tag]string{dicom.TagSOPInstanceUID: "1.2.3.1.1", dicom.TagStudyInstanceUID: "1.2.3", dicom.TagSeriesInstanceUID: "1.2.3.1", dicom.TagPatientID: "P1",
		dicom.TagPatientName: "P1^Test", dicom.TagStudyDate: "20240102", dicom.TagModality: "OT", dicom.TagPhotometricInterpretation: "MONOCHROME2", dicom.TagNumberOfFrames: "3"} {
		b.String(tag, v)
	}
	for tag, v := range map[dicom.Tag]int{dicom.TagSamplesPerPixel: 1, dicom.TagRows: 32, dicom.TagColumns: 32, dicom.TagBitsAllocated: 8, dicom.TagBitsStored: 8, dicom.TagHighBit: 7,
		dicom.TagPixelRepresentation: 0, dicom.TagInstanceNumber: 1} {
		b.Ints(tag, v)
	}
	b.Fragments(dicom.TagPixelData, []uint32{}, whole, whole[:len(whole)/4*2], code(32, 16))
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	x.deposit(kept, part10(t, d))
	steward := x.token(policy.Steward, kept)
	const frames = "/collections/" + kept + "/dicomweb/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1/frames/"
	for range 2 {
		a := x.get(frames+"1/rendered", steward, "image/png")
		m, _, err := picture.Decode(bytes.NewReader(a.body))
		if a.code != 200 || err != nil || m.Bounds().Size() != picture.Pt(32, 32) {
			t.Fatalf("%d %v %s", a.code, err, a.body)
		}
		for frame, reason := range map[string]string{"2": "JPEG: its code stream is damaged", "3": "JPEG: its code stream is of another size than the image says"} {
			a := x.get(frames+frame+"/rendered", steward, "*/*")
			if a.problem(t, 422); !strings.Contains(string(a.body), reason) {
				t.Errorf("frame %s: %s", frame, a.body)
			}
		}
	}
}
