package dicomweb_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	picture "image"
	"image/jpeg"
	"io"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// piece is a part of a body.
type piece struct {
	header string // lines
	body   []byte
}

func bodyOf(pieces ...piece) *bytes.Buffer {
	var b bytes.Buffer
	for _, p := range pieces {
		b.WriteString("--edge\r\n" + p.header + "\r\n\r\n")
		b.Write(p.body)
		b.WriteString("\r\n")
	}
	b.WriteString("--edge--\r\n")
	return &b
}

func jsonPart(s string) piece { return piece{"Content-Type: application/dicom+json", []byte(s)} }

func bulkPart(location, contentType string, b []byte) piece {
	return piece{"Content-Type: " + contentType + "\r\nContent-Location: " + location, b}
}

// postApart deposits metadata and bulk values.
func (x *rig) postApart(kind string, pieces ...piece) answer {
	x.t.Helper()
	return x.do("POST", "/collections/"+kept+"/dicomweb/studies", x.token(policy.Depositor, kept),
		map[string]string{"Content-Type": `multipart/related; type="application/dicom+` + kind + `"; boundary=edge`}, bodyOf(pieces...))
}

// told is the answer to a deposit: how many are kept, and the reasons of failures, instances' first.
func (a answer) told(t testing.TB) (stored int, reasons, comments []string) {
	t.Helper()
	var d map[string]struct {
		Value []json.RawMessage
	}
	if err := json.Unmarshal(a.body, &d); err != nil {
		t.Fatalf("status %d: %v: %s", a.code, err, a.body)
	}
	for _, seq := range []string{"00081198", "0008119A"} {
		for _, raw := range d[seq].Value {
			var item map[string]struct{ Value []any }
			if err := json.Unmarshal(raw, &item); err != nil {
				t.Fatal(err)
			}
			reasons = append(reasons, fmt.Sprintf("%04X", int(item["00081197"].Value[0].(float64))))
			comments = append(comments, fmt.Sprint(item["00000902"].Value...))
		}
	}
	return len(d["00081199"].Value), reasons, comments
}

const pixelMetadata = `"00280002":{"vr":"US","Value":[1]},"00280004":{"vr":"CS","Value":["MONOCHROME2"]},"00280010":{"vr":"US","Value":[%d]},"00280011":{"vr":"US","Value":[%d]},` +
	`"00280100":{"vr":"US","Value":[8]},"00280101":{"vr":"US","Value":[8]},"00280102":{"vr":"US","Value":[7]},"00280103":{"vr":"US","Value":[0]}`

func metadataOf(study, sop, more string) string {
	return `{"00080016":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.7"]},"00080018":{"vr":"UI","Value":["` + sop + `"]},"00080020":{"vr":"DA","Value":["20240102"]},"00080060":{"vr":"CS","Value":["OT"]},` +
		`"00100010":{"vr":"PN","Value":[{"Alphabetic":"P1^Test"}]},"00100020":{"vr":"LO","Value":["P1"]},"0020000D":{"vr":"UI","Value":["` + study + `"]},"0020000E":{"vr":"UI","Value":["` + study + `.1"]},` +
		`"00200013":{"vr":"IS","Value":[1]},` + more + `}`
}

func image8(study, sop, uri string, rows, columns int) string {
	return metadataOf(study, sop, fmt.Sprintf(pixelMetadata, rows, columns)+`,"7FE00010":{"vr":"OB","BulkDataURI":"`+uri+`"}`)
}

// What the node tells of real files, sent back in parts, is the same object again.
func TestStoresApartWhatItTold(t *testing.T) {
	files := realFiles(t)
	x := start(t, "")
	other := start(t, "")
	steward := x.token(policy.Steward, kept)
	tried := map[string]int{}
	seen := map[string]bool{}
	for _, f := range files {
		if f.file == nil || len(f.bytes) > 3<<20 || f.file.Data.Duplicate() >= 0 {
			continue
		}
		d := f.file.Data
		uid := f.file.Syntax().UID
		sop := d.UID(dicom.TagSOPInstanceUID)
		if n, ok := d.Int(dicom.TagNumberOfFrames); ok && n > 1 && f.file.Syntax().Encapsulated || tried[uid] >= 8 || seen[sop] || d.UID(dicom.TagStudyInstanceUID) == "" || d.UID(dicom.TagSeriesInstanceUID) == "" {
			continue
		}
		seen[sop] = true
		if x.post("/collections/"+kept+"/dicomweb/studies", x.token(policy.Depositor, kept), f.bytes).code != 200 {
			continue
		}
		x.intake(kept)
		at := fmt.Sprintf("/dicomweb/studies/%s/series/%s/instances/%s", d.UID(dicom.TagStudyInstanceUID), d.UID(dicom.TagSeriesInstanceUID), sop)
		told := x.get(at+"/metadata", steward, "application/dicom+json")
		if told.code != 200 {
			continue
		}
		kind := [...]string{"json", "xml"}[len(seen)%2]
		pieces := []piece{{"Content-Type: application/dicom+" + kind, told.body}}
		if kind == "xml" {
			pieces[0].body = x.get(at+"/metadata", steward, "application/dicom+xml").body
		}
		whole := true
		for tag, v := range told.rows(t)[0] {
			if v.BulkDataURI == "" {
				continue
			}
			accept := "application/octet-stream; transfer-syntax=*"
			if tag == "7FE00010" {
				accept = "*/*"
			}
			b := x.get(strings.TrimPrefix(v.BulkDataURI, x.url("")), steward, accept)
			whole = whole && b.code == 200
			if strings.HasPrefix(b.header.Get("Content-Type"), "multipart/") {
				whole = false
			}
			pieces = append(pieces, bulkPart(v.BulkDataURI, b.header.Get("Content-Type"), b.body))
		}
		if bytes.Count(told.body, []byte(`"BulkDataURI"`)) != len(pieces)-1 { // some are in items
			continue
		}
		if !whole || bytes.Contains(told.body, []byte(`"00081190"`)) || f.file.Syntax() == dicom.ExplicitVRBigEndian || f.file.Syntax().Deflated {
			continue
		}
		a := other.postApart(kind, pieces...)
		if n, reasons, comments := a.told(t); n != 1 {
			t.Errorf("%s: status %d, %v %v", f.name, a.code, reasons, comments)
			continue
		}
		other.intake(kept)
		back := other.get(at+"/metadata", other.token(policy.Steward, kept), "application/dicom+json")
		if back.code != 200 {
			continue // held
		}
		root := strings.NewReplacer(x.url(""), "", other.url(""), "")
		if got, want := root.Replace(string(back.body)), root.Replace(string(told.body)); got != want && kind == "json" && !bytes.Contains(told.body, []byte(`"UN"`)) {
			i := 0
			for i < min(len(got), len(want)) && got[i] == want[i] {
				i++
			}
			t.Errorf("%s:\n got %.200s\nwant %.200s", f.name, got[max(0, i-80):], want[max(0, i-80):])
		}
		if d.PixelData() >= 0 && d.Has(dicom.TagRows) {
			const octets = `multipart/related; type="application/octet-stream"; transfer-syntax=*`
			first := x.get(at+"/frames/1", steward, octets)
			if first.code == 409 { // its pixels are too few
				continue
			}
			p, pt := first.parts(t)
			second := other.get(at+"/frames/1", other.token(policy.Steward, kept), octets)
			if second.code != 200 {
				t.Errorf("%s: status %d: %s (%d bytes, %s)", f.name, second.code, second.body, len(pieces[len(pieces)-1].body), pieces[len(pieces)-1].header)
				continue
			}
			q, qt := second.parts(t)
			same := pt[0] == qt[0] || f.file.Syntax() == dicom.ImplicitVRLittleEndian
			if len(p) != 1 || len(q) != 1 || !bytes.Equal(bytes.TrimRight(p[0], "\x00"), bytes.TrimRight(q[0], "\x00")) || !same {
				t.Errorf("%s: its pixels are others (%s, %s)", f.name, pt, qt)
			}
		}
		tried[uid]++
	}
	t.Logf("%v", tried)
	if len(tried) < 5 {
		t.Error("few transfer syntaxes were tried")
	}
}

func TestStoresApart(t *testing.T) {
	var code bytes.Buffer
	if err := jpeg.Encode(&code, picture.NewGray(picture.Rect(0, 0, 16, 16)), nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		kind     string
		pieces   []piece
		status   int
		stored   int
		reasons  string
		comment  string
		instance string // one that is kept, and its first frame
		frame    string
	}{
		{"several studies, one array", "json", []piece{jsonPart("[" + image8("1.2.3", "1.2.3.1.1", "a", 2, 2) + "," + image8("1.2.4", "1.2.4.1.1", "b", 2, 2) + "]"), bulkPart("b", octetType, []byte("bbbb")), bulkPart("a", octetType, []byte("aaaa"))},
			200, 2, "", "", "1.2.3.1.1", "aaaa"},
		{"a value for two", "json", []piece{jsonPart("[" + image8("1.2.3", "1.2.3.1.1", "a", 2, 2) + "," + image8("1.2.3", "1.2.3.1.2", "a", 2, 2) + "]"), bulkPart("a", octetType, []byte("aaaa"))}, 200, 2, "", "", "1.2.3.1.2", "aaaa"},
		{"XML, a part for each", "xml", []piece{{"Content-Type: application/dicom+xml", []byte(`<NativeDicomModel><DicomAttribute tag="00080016" vr="UI"><Value>1.2.840.10008.5.1.4.1.1.7</Value></DicomAttribute>` +
			`<DicomAttribute tag="00080018" vr="UI"><Value>1.2.3.1.1</Value></DicomAttribute><DicomAttribute tag="0020000D" vr="UI"><Value>1.2.3</Value></DicomAttribute><DicomAttribute tag="0020000E" vr="UI"><Value>1.2.3.1</Value></DicomAttribute>` +
			`<DicomAttribute tag="00100020" vr="LO"><Value>P1</Value></DicomAttribute><DicomAttribute tag="00280010" vr="US"><Value>1</Value></DicomAttribute><DicomAttribute tag="00280011" vr="US"><Value>3</Value></DicomAttribute>` +
			`<DicomAttribute tag="00280100" vr="US"><Value>8</Value></DicomAttribute><DicomAttribute tag="00280002" vr="US"><Value>1</Value></DicomAttribute><DicomAttribute tag="7FE00010" vr="OB"><BulkData uri="p"/></DicomAttribute></NativeDicomModel>`)},
			bulkPart("p", octetType, []byte("abc"))}, 200, 1, "", "", "1.2.3.1.1", "abc"},
		{"by Content-ID", "json", []piece{jsonPart(image8("1.2.3", "1.2.3.1.1", "cid:x@y", 2, 2)), {"Content-ID: <x@y>", []byte("aaaa")}}, 200, 1, "", "", "1.2.3.1.1", "aaaa"},
		{"no bulk at all", "json", []piece{jsonPart(metadataOf("1.2.3", "1.2.3.1.1", `"00204000":{"vr":"LT","Value":["x"]}`))}, 200, 1, "", "", "", ""},
		{"JPEG", "json", []piece{jsonPart(image8("1.2.3", "1.2.3.1.1", "a", 16, 16)), bulkPart("a", "image/jpeg", code.Bytes())}, 200, 1, "", "", "1.2.3.1.1", code.String()},
		{"a text, and one in an item", "json", []piece{jsonPart(metadataOf("1.2.3", "1.2.3.1.1", `"00204000":{"vr":"LT","BulkDataURI":"t"},"00400275":{"vr":"SQ","Value":[{"00400007":{"vr":"LO","BulkDataURI":"u"}}]}`)),
			bulkPart("t", "text/plain", []byte("some text")), bulkPart("u", "text/plain", []byte("more"))}, 200, 1, "", "", "", ""},
		{"one is missing", "json", []piece{jsonPart("[" + image8("1.2.3", "1.2.3.1.1", "a", 2, 2) + "," + image8("1.2.3", "1.2.3.1.2", "b", 2, 2) + "]"), bulkPart("a", octetType, []byte("aaaa"))}, 202, 1, "C000", "in no part of", "1.2.3.1.1", "aaaa"},
		{"nobody's value", "json", []piece{jsonPart(image8("1.2.3", "1.2.3.1.1", "a", 2, 2)), bulkPart("c", octetType, []byte("aaaa")), bulkPart("a", octetType, []byte("aaaa"))}, 202, 1, "C000", "no metadata before it", "", ""},
		{"elsewhere", "json", []piece{jsonPart(image8("1.2.3", "1.2.3.1.1", "http://127.0.0.1:1/secret", 2, 2))}, 409, 0, "C000", "in no part of", "", ""},
		{"a file", "json", []piece{jsonPart(image8("1.2.3", "1.2.3.1.1", "file:///etc/passwd", 2, 2))}, 409, 0, "C000", "in no part of", "", ""},
		{"shorter than it says", "json", []piece{jsonPart(image8("1.2.3", "1.2.3.1.1", "a", 2, 2)), {"Content-Location: a\r\nContent-Length: 5", []byte("aaaa")}}, 409, 0, "C000", "not as long", "", ""},
		{"longer than it says", "json", []piece{jsonPart(image8("1.2.3", "1.2.3.1.1", "a", 2, 2)), {"Content-Location: a\r\nContent-Length: 3", []byte("aaaa")}}, 409, 0, "C000", "not as long", "", ""},
		{"a length that is none", "json", []piece{jsonPart(image8("1.2.3", "1.2.3.1.1", "a", 2, 2)), {"Content-Location: a\r\nContent-Length: -1", []byte("aaaa")}}, 409, 0, "C000", "no number", "", ""},
		{"another media type than transfer syntax", "json", []piece{jsonPart(image8("1.2.3", "1.2.3.1.1", "a", 16, 16)), bulkPart("a", "image/jls; transfer-syntax=1.2.840.10008.1.2.4.50", code.Bytes())}, 409, 0, "C122", "do not go together", "", ""},
		{"JPEG that is none", "json", []piece{jsonPart(image8("1.2.3", "1.2.3.1.1", "a", 16, 16)), bulkPart("a", "image/jpeg", []byte("GIF89a"))}, 409, 0, "C122", "do not go together", "", ""},
		{"an unknown transfer syntax", "json", []piece{jsonPart(image8("1.2.3", "1.2.3.1.1", "a", 2, 2)), bulkPart("a", octetType+"; transfer-syntax=1.2.3", []byte("aaaa"))}, 409, 0, "C122", "unknown", "", ""},
		{"no JSON", "json", []piece{jsonPart(`{"secret`)}, 409, 0, "C000", "too early", "", ""},
		{"deep JSON", "json", []piece{jsonPart(strings.Repeat(`{"00400275":{"vr":"SQ","Value":[`, 70))}, 409, 0, "A700", "", "", ""},
		{"an entity", "xml", []piece{{"Content-Type: application/dicom+xml", []byte(`<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><NativeDicomModel>&e;</NativeDicomModel>`)}}, 409, 0, "C000", "document type", "", ""},
		{"no UID", "json", []piece{jsonPart(`{"00100020":{"vr":"LO","Value":["P1"]}}`)}, 409, 0, "A900", "", "", ""},
		{"nothing", "json", nil, 400, 0, "", "", "", ""},
		{"an empty array", "json", []piece{jsonPart("[]")}, 400, 0, "", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := start(t, "")
			a := x.postApart(c.kind, c.pieces...)
			if a.code == 400 && c.status == 400 {
				a.problem(t, 400)
				return
			}
			n, reasons, comments := a.told(t)
			if a.code != c.status || n != c.stored || strings.Join(reasons, " ") != c.reasons || !strings.Contains(strings.Join(comments, " "), c.comment) {
				t.Fatalf("status %d, %d kept, failures %v %v", a.code, n, reasons, comments)
			}
			if strings.Contains(string(a.body), "secret") {
				t.Errorf("the answer repeats the request: %s", a.body)
			}
			if c.instance == "" {
				return
			}
			x.intake(kept)
			steward := x.token(policy.Steward, kept)
			study := strings.Join(strings.Split(c.instance, ".")[:3], ".")
			bodies, _ := x.get("/dicomweb/studies/"+study+"/series/"+study+".1/instances/"+c.instance+"/frames/1", steward, `multipart/related; type="application/octet-stream"; transfer-syntax=*`).parts(t)
			if len(bodies) != 1 || strings.TrimRight(string(bodies[0]), "\x00") != strings.TrimRight(c.frame, "\x00") {
				t.Errorf("%.100q came back", bodies)
			}
		})
	}
}

const octetType = "application/octet-stream"

// A study in the path is that of every instance.
func TestStoresApartIntoStudy(t *testing.T) {
	x := start(t, "")
	a := x.do("POST", "/collections/"+kept+"/dicomweb/studies/1.2.4", x.token(policy.Depositor, kept), map[string]string{"Content-Type": `multipart/related; type="application/dicom+json"; boundary=edge`},
		bodyOf(jsonPart("["+image8("1.2.3", "1.2.3.1.1", "a", 2, 2)+","+image8("1.2.4", "1.2.4.1.1", "a", 2, 2)+"]"), bulkPart("a", octetType, []byte("aaaa"))))
	if n, reasons, _ := a.told(t); a.code != 202 || n != 1 || strings.Join(reasons, " ") != "A900" {
		t.Errorf("status %d: %s", a.code, a.body)
	}
}

// zeros is a body part of any length, which is nowhere in memory.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	clear(p[:n])
	z.left -= n
	return int(n), nil
}

// A value that is the last of its instance passes through without being held, with a Content-Length or with a length that the image tells.
func TestStoresLongValuesApart(t *testing.T) {
	x := start(t, "")
	const rows, columns = 12_000, 12_000 // 144 MB
	steward := x.token(policy.Steward, kept)
	for i, header := range []string{"", fmt.Sprintf("\r\nContent-Length: %d", rows*columns)} {
		sop := fmt.Sprintf("1.2.3.1.%d", i+1)
		body := io.MultiReader(strings.NewReader("--edge\r\nContent-Type: application/dicom+json\r\n\r\n"+image8("1.2.3", sop, "a", rows, columns)+"\r\n--edge\r\nContent-Location: a"+header+"\r\n\r\n"),
			&zeros{rows * columns}, strings.NewReader("\r\n--edge--\r\n"))
		var a answer
		if used := peak(func() {
			a = x.do("POST", "/collections/"+kept+"/dicomweb/studies", x.token(policy.Depositor, kept), map[string]string{"Content-Type": `multipart/related; type="application/dicom+json"; boundary=edge`}, io.NopCloser(body))
		}); used > 100<<20 {
			t.Errorf("%d MiB were held", used>>20)
		}
		if n, reasons, comments := a.told(t); a.code != 200 || n != 1 {
			t.Fatalf("status %d: %v %v", a.code, reasons, comments)
		}
		x.intake(kept)
		if h := x.do("HEAD", "/dicomweb/studies/1.2.3/series/1.2.3.1/instances/"+sop+"/frames/1", steward, map[string]string{"Accept": octetType}, nil); h.code != 200 || h.header.Get("Content-Length") != fmt.Sprint(rows*columns) {
			t.Errorf("status %d, %s bytes", h.code, h.header.Get("Content-Length"))
		}
	}
	// Two long values of one instance cannot wait for each other.
	two := strings.Replace(image8("1.2.3", "1.2.3.1.9", "a", rows, columns), `"7FE00010"`, `"00282000":{"vr":"OB","BulkDataURI":"b"},"7FE00010"`, 1)
	body := io.MultiReader(strings.NewReader("--edge\r\nContent-Type: application/dicom+json\r\n\r\n"+two+"\r\n--edge\r\nContent-Location: a\r\n\r\n"),
		&zeros{40 << 20}, strings.NewReader("\r\n--edge\r\nContent-Location: b\r\n\r\nbb\r\n--edge--\r\n"))
	a := x.do("POST", "/collections/"+kept+"/dicomweb/studies", x.token(policy.Depositor, kept), map[string]string{"Content-Type": `multipart/related; type="application/dicom+json"; boundary=edge`}, io.NopCloser(body))
	if n, reasons, _ := a.told(t); a.code != 409 || n != 0 || strings.Join(reasons, " ") != "A700" {
		t.Errorf("status %d: %s", a.code, a.body)
	}
}

// A body that breaks off within a value, its length said or not, short or long, of pixels as they are or of a code stream, leaves nothing behind.
func TestCutValuesApart(t *testing.T) {
	x := start(t, "")
	const rows, columns = 3000, 3000
	jpeg := append([]byte{0xFF, 0xD8, 0xFF, 0xC0, 0, 11, 8, 0x0B, 0xB8, 0x0B, 0xB8, 1, 1, 0x11, 0, 0xFF, 0xDA, 0, 8}, make([]byte, rows*columns)...)
	for i, c := range []struct {
		name, header string
		value        []byte
	}{
		{"pixels", "", make([]byte, rows*columns)},
		{"pixels of a length that is said", fmt.Sprintf("\r\nContent-Length: %d", rows*columns), make([]byte, rows*columns)},
		{"a code stream", "\r\nContent-Type: image/jpeg", jpeg},
		{"a code stream with its syntax", "\r\nContent-Type: image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", jpeg},
		{"a code stream of a length that is said", fmt.Sprintf("\r\nContent-Type: image/jpeg\r\nContent-Length: %d", len(jpeg)), jpeg},
	} {
		for k, part := range []int{1, 1000, len(c.value) / 2, len(c.value) - 1, len(c.value)} {
			body := "--edge\r\nContent-Type: application/dicom+json\r\n\r\n" + image8("1.2.3", fmt.Sprintf("1.2.3.1.%d", 10*i+k), "a", rows, columns) + "\r\n--edge\r\nContent-Location: a" + c.header + "\r\n\r\n" + string(c.value[:part])
			a := x.do("POST", "/collections/"+kept+"/dicomweb/studies", x.token(policy.Depositor, kept), map[string]string{"Content-Type": `multipart/related; type="application/dicom+json"; boundary=edge`}, strings.NewReader(body))
			if !strings.Contains(string(a.body), "ended before the value did") && !strings.Contains(string(a.body), "do not go together") || a.code != 409 {
				t.Errorf("%s, cut after %d bytes: status %d: %.300s", c.name, part, a.code, a.body)
			}
			if got := x.intake(kept).Received; got != 0 {
				t.Fatalf("%s, cut after %d bytes: %d objects are kept", c.name, part, got)
			}
		}
	}
}
