package dicomweb_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// Metadata and bulk values that are made to cost memory, time or space are refused within bounds.
func TestHostileMetadata(t *testing.T) {
	x := start(t, "")
	uri := func(n int) string {
		return fmt.Sprintf(`"%08X":{"vr":"OB","BulkDataURI":"v%d"}`, 0x00110000+0x1000+n%0xE000+0x20000*(n/0xE000), n)
	}
	var many strings.Builder // elements, each a value of its own
	for n := range 20_000 {
		many.WriteString(uri(n) + ",")
	}
	values := make([]piece, 0, 20_001)
	values = append(values, jsonPart(metadataOf("1.2.3", "1.2.3.1.7", many.String()+`"00204000":{"vr":"LT"}`)))
	for n := range 20_000 {
		values = append(values, bulkPart(fmt.Sprintf("v%d", n), octetType, []byte("ab")))
	}
	var shared strings.Builder // instances that share one value
	for n := range 2000 {
		shared.WriteString(image8("1.2.3", fmt.Sprintf("1.2.3.1.%d", 1000+n), "s", 1000, 1000) + ",")
	}
	sharing := "[" + strings.TrimSuffix(shared.String(), ",") + "]"
	for _, c := range []struct {
		name   string
		kind   string
		pieces []piece
		status int
		kept   int
		reason string // of the first failure
	}{
		{"elements without end", "json", []piece{jsonPart("{" + strings.Repeat(`"00091001":{"vr":"UN"},`, 600_000) + `"00080060":{}}`)}, 409, 0, "A700"},
		{"values without end", "json", []piece{jsonPart(`{"00280010":{"vr":"US","Value":[` + strings.Repeat("0,", 4<<20) + `0]}}`)}, 409, 0, "A700"},
		{"text without end", "json", []piece{jsonPart(`{"00204000":{"vr":"UT","Value":["` + strings.Repeat("x", 17<<20) + `"]}}`)}, 409, 0, "A700"},
		{"many pieces of metadata", "json", []piece{jsonPart(`{"00204000":{"vr":"UT","Value":["` + strings.Repeat("x", 9<<20) + `"]}}`), jsonPart(`{"00204000":{"vr":"UT","Value":["` + strings.Repeat("x", 9<<20) + `"]}}`)}, 409, 0, "A900"},
		{"XML elements without end", "xml", []piece{{"Content-Type: application/dicom+xml", []byte("<NativeDicomModel>" + strings.Repeat(`<DicomAttribute tag="00091001" vr="UN"/>`, 400_000))}}, 409, 0, "C000"},
		{"XML nested without end", "xml", []piece{{"Content-Type: application/dicom+xml", []byte("<NativeDicomModel>" + strings.Repeat(`<DicomAttribute tag="00091001" vr="SQ"><Item>`, 200_000))}}, 409, 0, "A700"},
		{"XML attributes without end", "xml", []piece{{"Content-Type: application/dicom+xml", []byte("<NativeDicomModel " + strings.Repeat(`a="b" `, 2<<20))}}, 409, 0, "A700"},
		{"instances that share a value", "json", []piece{jsonPart(sharing), bulkPart("s", octetType, make([]byte, 1_000_000))}, 409, 0, "A700"},
		{"as many values as parts", "json", values, 200, 1, ""},
		{"parts that are nobody's", "json", append([]piece{jsonPart(metadataOf("1.2.3", "1.2.3.1.8", `"00204000":{"vr":"LT"}`))}, values[1:5000]...), 202, 1, "C000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			begun := time.Now()
			var a answer
			body := bodyOf(c.pieces...)
			used := peak(func() {
				a = x.do("POST", "/collections/"+kept+"/dicomweb/studies", x.token(policy.Depositor, kept), map[string]string{"Content-Type": `multipart/related; type="application/dicom+` + c.kind + `"; boundary=edge`}, io.NopCloser(body))
			})
			n, reasons, comments := a.told(t)
			if a.code != c.status || n != c.kept || c.reason != "" && reasons[0] != c.reason {
				t.Errorf("status %d, %d kept, %.200v %.200v", a.code, n, reasons, comments)
			}
			if took := time.Since(begun); used > 160<<20 || took > 30*time.Second {
				t.Errorf("%d MiB, %v", used>>20, took)
			} else {
				t.Logf("%d MiB, %v", used>>20, took.Round(time.Millisecond))
			}
		})
	}
}

// Frames that promise more than a node decodes are refused before their memory is taken.
func TestHostileFrames(t *testing.T) {
	x := start(t, "")
	steward := x.token(policy.Steward, kept)
	syntax, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.5")
	for i, size := range [][3]int{{65535, 65535, 1}, {20000, 20000, 1}, {10000, 10000, 60}} {
		b := dicom.NewBuilder(syntax)
		sop := fmt.Sprintf("1.2.3.1.%d", i+1)
		for tag, v := range map[dicom.Tag]string{dicom.TagSOPClassUID: "1.2.840.10008.5.1.4.1.1.7.2", dicom.TagSOPInstanceUID: sop, dicom.TagStudyInstanceUID: "1.2.3", dicom.TagSeriesInstanceUID: "1.2.3.1", dicom.TagPatientID: "P1",
			dicom.TagPatientName: "P1^Test", dicom.TagStudyDate: "20240102", dicom.TagModality: "OT", dicom.TagPhotometricInterpretation: "MONOCHROME2", dicom.TagNumberOfFrames: fmt.Sprint(size[2])} {
			b.String(tag, v)
		}
		for tag, v := range map[dicom.Tag]int{dicom.TagSamplesPerPixel: 1, dicom.TagRows: size[0], dicom.TagColumns: size[1], dicom.TagBitsAllocated: 8, dicom.TagBitsStored: 8, dicom.TagHighBit: 7, dicom.TagPixelRepresentation: 0} {
			b.Ints(tag, v)
		}
		frames := make([][]byte, size[2])
		for k := range frames {
			frames[k] = rle("abc")
		}
		b.Fragments(dicom.TagPixelData, []uint32{}, frames...)
		d, err := b.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		x.deposit(kept, part10(t, d))
		at := "/collections/" + kept + "/dicomweb/studies/1.2.3/series/1.2.3.1/instances/" + sop
		for path, accept := range map[string]string{at: plainObject, at + "/frames/1": octetType, at + "/pixeldata": `multipart/related; type="application/octet-stream"`, at + "/bulkdata/7FE00010": octetType} {
			used := peak(func() { x.get(path, steward, accept).problem(t, 406) })
			if used > 160<<20 {
				t.Errorf("%s: %d MiB", path, used>>20)
			}
		}
	}
	for _, path := range []string{"/bulkdata/..%2f..%2f7FE00010", "/bulkdata/7FE00010/1", "/bulkdata/%00", "/bulkdata/FFFEE000", "/bulkdata/00400555/99999999999999999999/0040A30A", "/frames/0", "/frames/1,,2", "/frames/-1"} {
		if a := x.get("/collections/"+kept+"/dicomweb/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"+path, steward, "*/*"); a.code != 404 && a.code != 400 && a.code != 301 && a.code != 307 {
			t.Errorf("%s: status %d", path, a.code)
		}
	}
}
