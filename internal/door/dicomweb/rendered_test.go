package dicomweb_test

import (
	"bytes"
	"context"
	picture "image"
	"image/jpeg"
	_ "image/png"
	"os"
	"path/filepath"
	"slices"
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
		"/series/1.2.3.1/instances/1.2.3.1.1/frames/2/rendered": 404, "/series/1.2.3.1/instances/1.2.3.1.1/frames/1,1/rendered?annotation=name": 400,
		"/thumbnail?viewport=0,1": 400, "/thumbnail?viewport=a": 400, "/thumbnail?window=1": 400, "/thumbnail?window=1,0": 400, "/thumbnail?window=NaN,1": 400, "/thumbnail?quality=101": 400,
		"/thumbnail?viewport=4,4,100,100,2,2": 422, "/thumbnail?accept=image/tiff": 406, "/series/9/thumbnail": 404,
	} {
		x.get(study+path, steward, "*/*").problem(t, code)
	}
	x.get(study+"/thumbnail", x.token(policy.Depositor, kept), "*/*").problem(t, 404)
	x.get(study+"/thumbnail", "", "*/*").problem(t, 401)
	x.get(study+"/thumbnail", x.token(policy.Researcher, kept), "*/*").problem(t, 404) // not published
}

// Several pictures come in parts; what is asked for is drawn, or told not to be.
func TestRenderedAlbum(t *testing.T) {
	x := start(t, "")
	frames := func(b *dicom.Builder) {
		b.String(dicom.TagNumberOfFrames, "3")
		b.Ints(dicom.TagBitsAllocated, 8)
		b.Ints(dicom.TagBitsStored, 8)
		b.Ints(dicom.TagHighBit, 7)
		b.Ints(dicom.TagInstanceNumber, 2)
		pixels := make([]byte, 48)
		for i := range pixels {
			pixels[i] = byte(5 * i)
		}
		b.Raw(dicom.TagPixelData, dicom.VROB, pixels)
		b.String(dicom.TagWindowCenter, "127.5")
		b.String(dicom.TagWindowWidth, "255")
		b.String(dicom.TagVOILUTFunction, "LINEAR_EXACT")
	}
	pdf := []byte("%PDF-1.4 a document%")
	x.deposit(kept, image(t, "P1", "1.2.3", "1.2.3.1", "1.2.3.1.1", nil), image(t, "P1", "1.2.3", "1.2.3.1", "1.2.3.1.2", frames), documentOf(t, "1.2.3.1.3", "application/pdf", pdf), documentOf(t, "1.2.3.1.4", "text/html", []byte("<script>")))
	steward := x.token(policy.Steward, kept)
	const study = "/collections/" + kept + "/dicomweb/studies/1.2.3"
	const two = study + "/series/1.2.3.1/instances/1.2.3.1.2"
	for path, n := range map[string]int{study + "/rendered": 4, study + "/series/1.2.3.1/rendered": 4, two + "/rendered": 3, two + "/frames/2/rendered": 1, two + "/frames/3,1/rendered": 2} {
		bodies, types := x.get(path, steward, `multipart/related; type="image/gif"`).parts(t)
		if len(bodies) != n || types[0] != "image/gif" {
			t.Fatalf("%s: %d parts of %s", path, len(bodies), types)
		}
		last, _, err := picture.Decode(bytes.NewReader(bodies[len(bodies)-1]))
		if err != nil {
			t.Fatal(err)
		}
		if shade, _, _, _ := last.At(1, 0).RGBA(); strings.HasSuffix(path, "3,1/rendered") && shade>>8 != 5 {
			t.Errorf("%s: frame 1 has the shade %d", path, shade>>8)
		}
	}
	// A list goes out in parts whatever else is taken; each of it has to be there.
	if bodies, _ := x.get(two+"/frames/1,2/rendered", steward, "image/jpeg").parts(t); len(bodies) != 2 {
		t.Errorf("%d parts", len(bodies))
	}
	x.get(two+"/frames/9,1/rendered", steward, "image/jpeg").problem(t, 404)
	x.get(two+"/frames/1,2/thumbnail", steward, "image/jpeg").problem(t, 400)
	x.get(two+"/frames/1,2/rendered", steward, "image/tiff").problem(t, 406)
	x.get(study+"/series/1.2.3.9/rendered", steward, `multipart/related; type="image/png"`).problem(t, 404)
	if a := x.do("HEAD", study+"/rendered", steward, map[string]string{"Accept": `multipart/related; type="image/png"`}, nil); a.code != 200 || len(a.body) > 0 {
		t.Errorf("status %d", a.code)
	}
	shade := func(path string) uint32 {
		t.Helper()
		a := x.get(two+path, steward, "image/png")
		m, _, err := picture.Decode(bytes.NewReader(a.body))
		if err != nil {
			t.Fatalf("%s: status %d: %s", path, a.code, a.body)
		}
		v, _, _, _ := m.At(0, 0).RGBA()
		return v >> 8
	}
	for path, want := range map[string]uint32{"/frames/1/rendered": 0, "/frames/1/rendered?viewport=4,4,0,0,-4,4": 15, "/frames/1/rendered?viewport=4,4,,,,-4": 60, "/frames/1/rendered?viewport=2,2,1,1,-2,-2": 50,
		"/frames/2/thumbnail": 80} {
		if got := shade(path); got != want {
			t.Errorf("%s: shade %d, want %d", path, got, want)
		}
	}
	a := x.get(two+"/frames/1/rendered?annotation=patient,technique&iccprofile=srgb", steward, "image/png")
	if w := a.header.Values("Warning"); a.code != 200 || len(w) != 3 || !strings.Contains(w[0], "patient") {
		t.Errorf("status %d, %q", a.code, w)
	}
	for _, q := range []string{"annotation=name", "iccprofile=mine", "viewport=4,4,0,0,NaN,1", "viewport=4,4,-1,0,1,1"} {
		x.get(two+"/frames/1/rendered?"+q, steward, "image/png").problem(t, 400)
	}

	// A document is given as what it is, by itself and as a bulk value, with ranges; one that a browser would run is not.
	const doc = study + "/series/1.2.3.1/instances/1.2.3.1.3"
	for _, path := range []string{doc + "/rendered?accept=application/pdf", doc + "/rendered", doc + "/bulkdata/00420011?accept=application/pdf"} {
		a := x.get(path, steward, "*/*")
		if a.code != 200 || a.header.Get("Content-Type") != "application/pdf" || !bytes.Equal(a.body, pdf) || a.header.Get("Cache-Control") != "private, no-store" {
			t.Errorf("%s: status %d, %s: %s", path, a.code, a.header.Get("Content-Type"), a.body)
		}
		if a := x.do("GET", path, steward, map[string]string{"Range": "bytes=1-3"}, nil); a.code != 206 || string(a.body) != "PDF" {
			t.Errorf("%s: status %d: %s", path, a.code, a.body)
		}
		x.do("GET", path, steward, map[string]string{"Range": "bytes=900-"}, nil).problem(t, 416)
	}
	x.get(doc+"/rendered", steward, "image/jpeg").problem(t, 406)
	x.get(study+"/series/1.2.3.1/instances/1.2.3.1.4/rendered", steward, "*/*").problem(t, 406)
	x.get(study+"/series/1.2.3.1/instances/1.2.3.1.4/bulkdata/00420011", steward, "text/html").problem(t, 406)
	// Ranges of a frame.
	if a := x.do("GET", two+"/frames/2", steward, map[string]string{"Range": "bytes=2-3", "Accept": "application/octet-stream"}, nil); a.code != 206 || string(a.body) != string([]byte{90, 95}) {
		t.Errorf("status %d: %x", a.code, a.body)
	}
	x.do("GET", two+"/frames/2", steward, map[string]string{"Range": "bytes=16-", "Accept": "application/octet-stream"}, nil).problem(t, 416)
}

// Bulk values of a study, a series or an instance come in one answer.
func TestBulkOfMany(t *testing.T) {
	long := bytes.Repeat([]byte("ab"), 700)
	const study = "/collections/" + kept + "/dicomweb/studies/1.2.3"
	const plain, stored = `multipart/related; type="application/octet-stream"`, `multipart/related; type="*/*"`
	y := start(t, "")
	y.deposit(kept, colourRLE(t, rle("rst", "ghi", "bcd"), rle("RST", "GHI", "BCD")), image(t, "P1", "1.2.3", "1.2.3.2", "1.2.3.2.1", func(b *dicom.Builder) { b.Raw(dicom.TagRedPaletteColorLookupTableData, dicom.VROW, long) }),
		documentOf(t, "1.2.3.1.3", "application/pdf", long))
	steward := y.token(policy.Steward, kept)
	const packed, native = study + "/series/1.2.3.1/instances/1.2.3.1.1", study + "/series/1.2.3.2"
	for _, c := range []struct {
		path, accept string
		want         []string
		code         int
	}{
		{packed + "/pixeldata", plain, []string{"rgbshctidRGBSHCTID"}, 0},
		{packed + "/bulkdata", stored, []string{string(rle("rst", "ghi", "bcd")), string(rle("RST", "GHI", "BCD"))}, 0},
		{native + "/pixeldata", plain, []string{"0123456789abcdef0123456789ABCDEF"}, 0},
		{native + "/bulkdata", plain, []string{string(long), "0123456789abcdef0123456789ABCDEF"}, 0},
		{study + "/pixeldata", plain, []string{"rgbshctidRGBSHCTID", "0123456789abcdef0123456789ABCDEF"}, 0},
		{study + "/bulkdata", `multipart/related; type="image/dicom-rle"`, []string{string(rle("rst", "ghi", "bcd")), string(rle("RST", "GHI", "BCD"))}, 0},
		{native + "/pixeldata", `multipart/related; type="image/jpeg"`, nil, 406},
		{study + "/series/1.2.3.1/instances/1.2.3.1.3/pixeldata", plain, nil, 404},
		{study + "/series/1.2.3.9/bulkdata", plain, nil, 404},
	} {
		a := y.get(c.path, steward, c.accept)
		if c.code != 0 {
			a.problem(t, c.code)
			continue
		}
		bodies, _ := a.parts(t)
		var got []string
		for _, b := range bodies {
			got = append(got, string(b))
		}
		if c.path == study+"/pixeldata" {
			slices.Sort(got) // either series may come first
			slices.Sort(c.want)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", c.path, got)
		}
	}
	y.get(study+"/bulkdata", y.token(policy.Depositor, kept), "*/*").problem(t, 404)
	y.get(study+"/pixeldata", "", "*/*").problem(t, 401)
}

// documentOf is an encapsulated document.
func documentOf(t testing.TB, sop, media string, content []byte) []byte {
	t.Helper()
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	for tag, v := range map[dicom.Tag]string{dicom.TagSOPClassUID: "1.2.840.10008.5.1.4.1.1.104.1", dicom.TagSOPInstanceUID: sop, dicom.TagStudyInstanceUID: "1.2.3", dicom.TagSeriesInstanceUID: "1.2.3.1",
		dicom.TagPatientID: "P1", dicom.TagPatientName: "P1^Test", dicom.TagStudyDate: "20240102", dicom.TagModality: "CT", dicom.TagInstanceNumber: "9", dicom.TagMIMETypeOfEncapsulatedDocument: media} {
		b.String(tag, v)
	}
	b.Raw(dicom.TagEncapsulatedDocument, dicom.VROB, content)
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return part10(t, d)
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
