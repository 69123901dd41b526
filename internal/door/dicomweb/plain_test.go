package dicomweb_test

import (
	"bytes"
	"fmt"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// decoding starts a node that decodes code streams.
func decoding(t testing.TB) *rig {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	return start(t, "", exe, "codec-worker", filepath.Join(cache, "vitrine-codec"))
}

const plainObject = `application/dicom; transfer-syntax=1.2.840.10008.1.2.1`

// Whatever form an object is kept in, it is given in explicit VR little endian to who names that, or not at all; what GDCM makes of it has the same pixels.
func TestGivesPlainForms(t *testing.T) {
	files := realFiles(t)
	gdcm, _ := exec.LookPath("gdcmconv")
	x := decoding(t)
	depositor, steward := x.token(policy.Depositor, kept), x.token(policy.Steward, kept)
	lossless := []string{"1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"}
	seen := map[string]bool{}
	given, refused, compared, coloured := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for _, f := range files {
		if f.file == nil || len(f.bytes) > 6<<20 {
			continue
		}
		d := f.file.Data
		uid := f.file.Syntax().UID
		if given[uid]+refused[uid] >= 6 || d.UID(dicom.TagStudyInstanceUID) == "" || d.UID(dicom.TagSeriesInstanceUID) == "" || d.PixelData() < 0 {
			continue
		}
		if seen[d.UID(dicom.TagSOPInstanceUID)] {
			continue // a conflict
		}
		seen[d.UID(dicom.TagSOPInstanceUID)] = true
		if a := x.post("/collections/"+kept+"/dicomweb/studies", depositor, f.bytes); a.code != 200 {
			continue
		}
		x.intake(kept)
		at := fmt.Sprintf("/dicomweb/studies/%s/series/%s/instances/%s", d.UID(dicom.TagStudyInstanceUID), d.UID(dicom.TagSeriesInstanceUID), d.UID(dicom.TagSOPInstanceUID))
		if x.get(at+"/metadata", steward, "").code != 200 {
			continue // held, or another's
		}
		a := x.get(at, steward, plainObject)
		frames := x.get(at+"/frames/1", steward, `multipart/related; type="application/octet-stream"`)
		if a.code == 406 {
			a.problem(t, 406)
			if frames.code == 200 && f.file.Syntax().Encapsulated {
				t.Errorf("%s: frames are given uncompressed, and the object is not: %s", f.name, a.body)
			}
			refused[uid]++
			continue
		}
		if a.code != 200 || a.err != nil || a.header.Get("Content-Length") != fmt.Sprint(len(a.body)) {
			t.Errorf("%s: status %d, %v: %.300s", f.name, a.code, a.err, a.body)
			continue
		}
		given[uid]++
		back, err := dicom.Parse(a.body, dicom.Limits{})
		if err != nil || back.Syntax() != dicom.ExplicitVRLittleEndian || back.Meta.UID(dicom.TagTransferSyntaxUID) != dicom.ExplicitVRLittleEndianUID {
			t.Errorf("%s: what came is no plain file: %v", f.name, err)
			continue
		}
		if back.Data.UID(dicom.TagSOPInstanceUID) != d.UID(dicom.TagSOPInstanceUID) || back.Data.String(dicom.TagPatientName) != d.String(dicom.TagPatientName) {
			t.Errorf("%s: another data set", f.name)
		}
		pixels := back.Data.Value(back.Data.PixelData())
		if !f.file.Syntax().Encapsulated {
			continue
		}
		// The metadata of frames and bulk values is the object's own; what is given whole says itself what its colours are.
		said, now := d.String(dicom.TagPhotometricInterpretation), back.Data.String(dicom.TagPhotometricInterpretation)
		if now == "YBR_FULL" && said != now {
			t.Errorf("%s: of %s it becomes %s, which not every object may be", f.name, said, now)
		}
		whole := func(b []byte) []byte {
			if said == now || now != "RGB" || !strings.HasPrefix(said, "YBR_FULL") {
				return b
			}
			coloured[uid]++
			b = bytes.Clone(b)
			for i := 0; i+2 < len(b); i += 3 {
				b[i], b[i+1], b[i+2] = color.YCbCrToRGB(b[i], b[i+1], b[i+2])
			}
			return b
		}
		if bodies, types := frames.parts(t); len(bodies) != 1 || types[0] != "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1" || !bytes.HasPrefix(pixels, whole(bodies[0])) {
			t.Errorf("%s: its first frame is another than that of the object", f.name)
		}
		if b := x.get(at+"/bulkdata/7FE00010", steward, "application/octet-stream"); b.code != 200 || !bytes.HasPrefix(pixels, whole(b.body)) || len(pixels)-len(b.body) > 1 {
			t.Errorf("%s: status %d: its pixels as a bulk value are others", f.name, b.code)
		}
		if gdcm == "" || !slices.Contains(lossless, uid) {
			continue
		}
		if n, _ := d.Int(dicom.TagSamplesPerPixel); n != 1 {
			continue // colour models are another matter
		}
		if n, _ := d.Int(dicom.TagBitsAllocated); n == 1 {
			continue // it makes bytes of bits
		}
		in, out := filepath.Join(t.TempDir(), "in.dcm"), filepath.Join(t.TempDir(), "out.dcm")
		if os.WriteFile(in, f.bytes, 0o600) != nil || exec.Command(gdcm, "--raw", in, out).Run() != nil {
			continue
		}
		theirs, err := os.ReadFile(out)
		if err != nil {
			continue
		}
		if g, err := dicom.Parse(theirs, dicom.Limits{}); err == nil && g.Data.PixelData() >= 0 && !g.Syntax().Encapsulated {
			if !bytes.Equal(g.Data.Value(g.Data.PixelData()), pixels) {
				t.Errorf("%s: GDCM makes other pixels of it", f.name)
			}
			compared[uid]++
		}
	}
	t.Logf("given %v, refused %v, compared with GDCM %v, made RGB %v", given, refused, compared, coloured)
	if len(coloured) == 0 {
		t.Error("the colours of none were in another form")
	}
	if len(given) < 5 {
		t.Error("few transfer syntaxes were tried")
	}
}

// colourRLE is an image of three planes, packed by RLE.
func colourRLE(t testing.TB, frames ...[]byte) []byte {
	t.Helper()
	syntax, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.5")
	b := dicom.NewBuilder(syntax)
	for tag, v := range map[dicom.Tag]string{dicom.TagSOPClassUID: "1.2.840.10008.5.1.4.1.1.7.4", dicom.TagSOPInstanceUID: "1.2.3.1.1", dicom.TagStudyInstanceUID: "1.2.3", dicom.TagSeriesInstanceUID: "1.2.3.1",
		dicom.TagPatientID: "P1", dicom.TagPatientName: "P1^Test", dicom.TagStudyDate: "20240102", dicom.TagModality: "OT", dicom.TagPhotometricInterpretation: "RGB", dicom.TagNumberOfFrames: fmt.Sprint(len(frames))} {
		b.String(tag, v)
	}
	for tag, v := range map[dicom.Tag]int{dicom.TagSamplesPerPixel: 3, dicom.TagRows: 1, dicom.TagColumns: 3, dicom.TagBitsAllocated: 8, dicom.TagBitsStored: 8, dicom.TagHighBit: 7, dicom.TagPixelRepresentation: 0,
		dicom.TagInstanceNumber: 1, dicom.TagPlanarConfiguration: 0} {
		b.Ints(tag, v)
	}
	b.Fragments(dicom.TagPixelData, []uint32{}, frames...)
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return part10(t, d)
}

// rle is a frame of three segments, each a run of literals (PS3.5 G).
func rle(planes ...string) []byte {
	head := make([]byte, 64)
	head[0] = byte(len(planes))
	var body []byte
	for i, p := range planes {
		head[4+4*i] = byte(64 + len(body))
		body = append(append(body, byte(len(p)-1)), p...)
		body = append(body, make([]byte, len(body)%2)...)
	}
	return append(head, body...)
}

func TestDecodesInto(t *testing.T) {
	x := start(t, "")
	steward := x.token(policy.Steward, kept)
	x.deposit(kept, colourRLE(t, rle("rst", "ghi", "bcd"), rle("RST", "GHI", "BCD"), rle("RST", "GHI")))
	const at = "/collections/" + kept + "/dicomweb/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"
	const octets = `multipart/related; type="application/octet-stream"`
	// Planes become pixels, as the Planar Configuration says; the second frame begins where the first ended.
	bodies, _ := x.get(at+"/frames/2,1", steward, octets).parts(t)
	if len(bodies) != 2 || string(bodies[0]) != "RGBSHCTID" || string(bodies[1]) != "rgbshctid" {
		t.Errorf("%q", bodies)
	}
	if a := x.get(at+"/frames/2", steward, "application/octet-stream"); a.code != 200 || string(a.body) != "RGBSHCTID" || a.header.Get("Content-Length") != "9" {
		t.Errorf("status %d, %q", a.code, a.body)
	}
	if a := x.do("HEAD", at+"/frames/2", steward, map[string]string{"Accept": "application/octet-stream"}, nil); a.code != 200 || a.header.Get("Content-Length") != "9" || len(a.body) > 0 {
		t.Errorf("status %d, %q", a.code, a.body)
	}
	// A frame that cannot be decoded is refused by itself; behind others it cuts the answer, which never looks whole.
	x.get(at+"/frames/3", steward, octets).problem(t, 406)
	x.get(at+"/frames/4", steward, octets).problem(t, 404)
	x.get(at+"/frames/1,4", steward, octets).problem(t, 404)
	if a := x.get(at+"/frames/1,3", steward, octets); a.err == nil && a.code == 200 {
		t.Errorf("an answer without its last frame looks whole: %q", a.body)
	}
	if a := x.get(at, steward, plainObject); a.err == nil && a.code == 200 {
		t.Errorf("an object without its last frame looks whole: %d bytes", len(a.body))
	}
	// What is kept is given all the same.
	if _, types := x.get(at+"/frames/3", steward, octets+"; transfer-syntax=*").parts(t); !strings.Contains(types[0], "1.2.840.10008.1.2.5") {
		t.Errorf("%v", types)
	}
	x.get(at, steward, `application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90`).problem(t, 406)

	// Archives and multipart bodies are made of the same files.
	y := start(t, "")
	y.deposit(kept, colourRLE(t, rle("rst", "ghi", "bcd")))
	steward = y.token(policy.Steward, kept)
	one := y.get(at, steward, plainObject)
	bodies, types := y.get("/dicomweb/studies/1.2.3", steward, `multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1`).parts(t)
	if len(bodies) != 1 || !bytes.Equal(bodies[0], one.body) || types[0] != "application/dicom; transfer-syntax=1.2.840.10008.1.2.1" {
		t.Errorf("%d parts, %s", len(bodies), types)
	}
	d, err := dicom.Parse(one.body, dicom.Limits{})
	if err != nil || string(d.Data.Value(d.Data.PixelData())) != "rgbshctid\x00" || d.Data.String(dicom.TagPhotometricInterpretation) != "RGB" {
		t.Errorf("%v", err)
	}
	if z := y.get("/dicomweb/studies/1.2.3", steward, `application/zip; transfer-syntax=1.2.840.10008.1.2.1`); z.code != 200 || !bytes.Contains(z.body, one.body) {
		t.Errorf("status %d", z.code)
	}
}
