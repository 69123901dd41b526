package document_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/document"
)

// The test binary is the child process, too.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "document-worker" {
		if err := document.Work(context.Background(), os.Stdin, os.Stdout, os.Args[2]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func reader(t *testing.T, limit time.Duration) *document.Reader {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	return document.NewReader(document.Options{Command: []string{exe, "document-worker", filepath.Join(cache, "vitrine-document")}, Limit: limit})
}

// pdf writes objects, numbered from 1, of which the first is the catalogue.
func pdf(info int, more string, objects ...string) []byte {
	var out bytes.Buffer
	out.WriteString("%PDF-1.7\n")
	at := make([]int, len(objects))
	for i, o := range objects {
		at[i] = out.Len()
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	x := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, a := range at {
		fmt.Fprintf(&out, "%010d 00000 n \n", a)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R %s", len(objects)+1, more)
	if info > 0 {
		fmt.Fprintf(&out, " /Info %d 0 R", info)
	}
	fmt.Fprintf(&out, " >>\nstartxref\n%d\n%%%%EOF\n", x)
	return out.Bytes()
}

func stream(dict, body string) string {
	return fmt.Sprintf("<< %s /Length %d >>\nstream\n%s\nendstream", dict, len(body), body)
}

const font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"

// letter is a PDF of two pages, with a note on the first, a script, a file and metadata.
func letter() []byte {
	return pdf(7, "",
		"<< /Type /Catalog /Pages 2 0 R /Metadata 9 0 R /OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >> /Names << /EmbeddedFiles << /Names [(scan.dcm) 11 0 R] >> >> >>",
		"<< /Type /Pages /Kids [3 0 R 10 0 R] /Count 2 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Annots [8 0 R] /Resources << /Font << /F1 5 0 R >> >> >>",
		stream("", "BT /F1 11 Tf 16 TL 60 770 Td (Letter about Ada Winterbourne) Tj T* (NHS 943 476 5919) Tj ET"),
		font,
		stream("", "BT /F1 11 Tf 60 770 Td (Second page) Tj ET"),
		"<< /Title (Winterbourne discharge) /Author (Dr Obermayer) /Producer (Sample) /CreationDate (D:20240131093000Z) >>",
		"<< /Type /Annot /Subtype /Text /Rect [10 10 40 40] /Contents (call Mrs Winterbourne) /T (Ward clerk) >>",
		stream("/Type /Metadata /Subtype /XML", `<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:creator>Xmp Obermayer</dc:creator></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>`),
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 6 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		"<< /Type /Filespec /F (scan.dcm) /EF << /F 12 0 R >> >>",
		stream("/Type /EmbeddedFile", "within"),
	)
}

func read(t *testing.T, r *document.Reader, doc []byte) (*document.Contents, error) {
	t.Helper()
	return r.Read(t.Context(), bytes.NewReader(doc), int64(len(doc)))
}

func all(c *document.Contents) string {
	var b strings.Builder
	for _, f := range c.Facts {
		fmt.Fprintf(&b, "%s = %s\n", f.Name, f.Value)
	}
	for _, p := range c.Passages {
		fmt.Fprintf(&b, "[%d %s] %s\n", p.Page, p.Title, p.Text)
	}
	for _, s := range c.Remarks {
		fmt.Fprintf(&b, "! %s\n", s)
	}
	return b.String()
}

func holds(t *testing.T, c *document.Contents, want ...string) {
	t.Helper()
	text := all(c)
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in it:\n%s", w, text)
		}
	}
}

func TestPDFIsRead(t *testing.T) {
	r := reader(t, time.Minute)
	doc := letter()
	c, err := read(t, r, doc)
	if err != nil || c.Kind != document.PDF || c.Pages != 2 {
		t.Fatal(c, err)
	}
	holds(t, c, "Title = Winterbourne discharge", "Author = Dr Obermayer", "Written = 2024-01-31 09:30", "A file within it = scan.dcm", "[1 ] Letter about Ada Winterbourne", "NHS 943 476 5919",
		"[2 ] Second page", "call Mrs Winterbourne", "Ward clerk", "Xmp Obermayer", "It has scripts", "other files within it")
	for page := 1; page <= 2; page++ {
		b, err := r.Picture(t.Context(), bytes.NewReader(doc), int64(len(doc)), page, 900)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil || img.Bounds().Dy() != 900 || img.Bounds().Dx() < 600 {
			t.Fatal(img.Bounds(), err)
		}
		if !inked(img) {
			t.Error("the page is white")
		}
	}
	if _, err := r.Picture(t.Context(), bytes.NewReader(doc), int64(len(doc)), 3, 900); err == nil || !strings.Contains(err.Error(), "no such page") {
		t.Error(err)
	}
}

func inked(img image.Image) bool {
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if r, _, _, _ := img.At(x, y).RGBA(); r < 0x4000 {
				return true
			}
		}
	}
	return false
}

// A page of a scan has a picture and no text: it is said so, and drawn.
func TestScannedPage(t *testing.T) {
	r := reader(t, time.Minute)
	doc := pdf(0, "", "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 100 100] /Contents 4 0 R /Resources << /XObject << /I 5 0 R >> >> >>",
		stream("", "q 80 0 0 80 10 10 cm /I Do Q"),
		stream("/Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8", "\x00"))
	c, err := read(t, r, doc)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, c, "Some of its pages have no text")
	b, err := r.Picture(t.Context(), bytes.NewReader(doc), int64(len(doc)), 1, 200)
	if err != nil {
		t.Fatal(err)
	}
	if img, err := png.Decode(bytes.NewReader(b)); err != nil || !inked(img) {
		t.Error(err)
	}
}

func deflated(dict string, n int) string {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	zeros := bytes.Repeat([]byte("0 0 m 1 1 l S\n"), 1<<16)
	for left := n; left > 0; left -= len(zeros) {
		_, _ = w.Write(zeros)
	}
	_ = w.Close()
	return stream(dict+" /Filter /FlateDecode", z.String())
}

// What is made to harm ends its own process at worst, in time, and says nothing of itself.
func TestHostileDocuments(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	r := reader(t, 10*time.Second)
	catalogue := "<< /Type /Catalog /Pages 2 0 R >>"
	page := "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> /XObject << /X 4 0 R >> >> >>"
	whole := letter()
	key := strings.Repeat("ab", 32)
	for name, doc := range map[string][]byte{
		"bomb":        pdf(0, "", catalogue, "<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page, deflated("", 1<<30), font),
		"loop":        pdf(0, "", catalogue, "<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 99999999 /Parent 2 0 R >>", page, stream("", ""), font),
		"form within": pdf(0, "", catalogue, "<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page, stream("/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 4 0 R >> >>", "/X Do /X Do"), font),
		"encrypted": pdf(0, "/Encrypt 4 0 R /ID [<"+key[:32]+"> <"+key[:32]+">]", catalogue, "<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page,
			"<< /Filter /Standard /V 1 /R 2 /Length 40 /P -4 /O <"+key+"> /U <"+key+"> >>", font),
		"many pages": pdf(0, "", catalogue, "<< /Type /Pages /Kids [3 0 R] /Count 2000000000 >>", page, stream("", ""), font),
		"huge page":  pdf(0, "", catalogue, "<< /Type /Pages /Kids [3 0 R] /Count 1 >>", strings.Replace(page, "[0 0 595 842]", "[0 0 1e9 1e9]", 1), stream("", ""), font),
		"huge image": pdf(0, "", catalogue, "<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page,
			stream("/Type /XObject /Subtype /Image /Width 60000 /Height 60000 /ColorSpace /DeviceRGB /BitsPerComponent 8", "x"), font),
		"truncated":  whole[:len(whole)/2],
		"no trailer": whole[:len(whole)-40],
		"garbage":    append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte{0xfe, 3, 60, 60}, 50_000)...),
		"xml":        []byte(`<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><ClinicalDocument><title>&b;</title>` + strings.Repeat("<component>", 100_000)),
		"external":   []byte(`<?xml version="1.0"?><!DOCTYPE l [<!ENTITY f SYSTEM "file:///etc/passwd">]><ClinicalDocument><title>&f;</title></ClinicalDocument>`),
		"png":        hugePNG(),
		"empty":      nil,
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			c, err := read(t, r, doc)
			if err != nil {
				if _, ok := errors.AsType[*document.Broken](err); !ok {
					t.Fatalf("%T %v", err, err)
				}
			}
			t.Log(err, time.Since(begin).Round(10*time.Millisecond))
			if c != nil && strings.Contains(all(c), "root:") {
				t.Error("a file was read")
			}
			if name == "encrypted" && (err == nil || !strings.Contains(err.Error(), "encrypted")) {
				t.Error(err)
			}
			if _, err := r.Picture(t.Context(), bytes.NewReader(doc), int64(len(doc)), 1, 400); err != nil {
				if _, ok := errors.AsType[*document.Broken](err); !ok {
					t.Fatalf("%T %v", err, err)
				}
			}
			if d := time.Since(begin); d > time.Minute {
				t.Errorf("it took %v", d)
			}
		})
	}
	if c, err := read(t, r, whole); err != nil || c.Pages != 2 {
		t.Error("after them nothing is read:", err)
	}
}

// hugePNG says that it has 2^31 rows and columns.
func hugePNG() []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
	b = binary.BigEndian.AppendUint32(b, math.MaxInt32)
	b = binary.BigEndian.AppendUint32(b, math.MaxInt32)
	return append(b, 8, 2, 0, 0, 0, 0, 0, 0, 0)
}

// A process that does not answer is killed, and one that does not start is no fault of the document.
func TestItIsKilled(t *testing.T) {
	r := document.NewReader(document.Options{Command: []string{"/bin/sh", "-c", "sleep 60"}, Start: 200 * time.Millisecond})
	begin := time.Now()
	_, err := read(t, r, letter())
	if b, ok := errors.AsType[*document.Broken](err); !ok || !strings.Contains(b.Reason, "longer") || time.Since(begin) > 20*time.Second {
		t.Error(err, time.Since(begin))
	}
	// One that has begun has the limit from then on.
	r = document.NewReader(document.Options{Command: []string{"/bin/sh", "-c", `printf '\003'; exec sleep 60`}, Start: time.Minute, Limit: 200 * time.Millisecond})
	if _, err := read(t, r, letter()); err == nil || !strings.Contains(err.Error(), "longer") || time.Since(begin) > 40*time.Second {
		t.Error(err, time.Since(begin))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Read(ctx, bytes.NewReader(letter()), int64(len(letter()))); err != context.Canceled {
		t.Error(err)
	}
	for _, command := range [][]string{nil, {"/nowhere/to/be/found"}} {
		if _, err := read(t, document.NewReader(document.Options{Command: command}), letter()); err == nil {
			t.Error("it was read by nobody")
		} else if _, ok := errors.AsType[*document.Broken](err); ok {
			t.Error(err)
		}
	}
	// One that answers what it should not is not believed.
	for _, says := range []string{`\001\377\377\377\177`, `\002\005\000\000\000Smith`, `\001\002\000\000\000{]`, `\011`} {
		_, err := read(t, document.NewReader(document.Options{Command: []string{"/bin/sh", "-c", "printf '" + says + "'"}, Limit: 10 * time.Second}), letter())
		if b, ok := errors.AsType[*document.Broken](err); !ok || strings.Contains(b.Reason, "Smith") {
			t.Error(err)
		}
	}
}

const cda = `<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3"><!-- written for Winterbourne -->
<title>Discharge summary</title><effectiveTime value="20240131"/><id root="1.2.3" extension="DOC-77"/>
<recordTarget><patientRole><id root="2.16" extension="9434765919"/><addr><streetAddressLine>4 Mill Lane</streetAddressLine><city>Ely</city></addr><telecom value="tel:01353 555555"/>
<patient><name><given>Ada</given><family>Winterbourne</family></name><birthTime value="19460214"/></patient></patientRole></recordTarget>
<author><time value="20240131"/><assignedAuthor><assignedPerson><name>Dr Obermayer</name></assignedPerson><representedOrganization><name>Ward 7</name></representedOrganization></assignedAuthor></author>
<component><structuredBody><component><section><title>History</title><text><paragraph>Seen with her sister</paragraph><table><tbody><tr><td>weight</td><td>61 kg</td></tr></tbody></table></text></section></component>
<component><section><title>Plan</title><text>Review in May</text></section></component></structuredBody></component></ClinicalDocument>`

func TestClinicalDocumentIsRead(t *testing.T) {
	c, err := read(t, reader(t, time.Minute), []byte(cda))
	if err != nil || c.Kind != document.CDA || c.Pages != 0 {
		t.Fatal(c, err)
	}
	holds(t, c, "Patient, name = Ada Winterbourne", "Patient, born = 19460214", "Patient, identifier = 9434765919", "Patient, address = 4 Mill Lane Ely", "Patient, contact = tel:01353 555555", "Author, name = Dr Obermayer",
		"Author, name = Ward 7", "Title = Discharge summary", "Document, identifier = DOC-77", "[0 History] Seen with her sister", "61 kg", "[0 Plan] Review in May", "written for Winterbourne")
	for _, p := range c.Passages {
		if p.Title == "Plan" && strings.Contains(p.Text, "sister") {
			t.Error("sections are not told apart")
		}
	}
}

func TestModelsAreRead(t *testing.T) {
	r := reader(t, time.Minute)
	solid := append([]byte("made for Winterbourne"), make([]byte, 80-21)...)
	solid = binary.LittleEndian.AppendUint32(solid, 2)
	for k := range 2 {
		for n := range 12 {
			solid = binary.LittleEndian.AppendUint32(solid, math.Float32bits(float32(k+n)))
		}
		solid = append(solid, 0, 0)
	}
	for name, f := range map[string]struct {
		doc  []byte
		kind document.Kind
		want []string
	}{
		"binary STL": {solid, document.STL, []string{"Header = made for Winterbourne", "Triangles = 2"}},
		"STL":        {[]byte("solid skull of Winterbourne\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 2 0\nendloop\nendfacet\nendsolid\n"), document.STL, []string{"Triangles = 1", "skull of Winterbourne", "1 × 2 × 0 units"}},
		"OBJ":        {[]byte("# Winterbourne, Ada\nmtllib a.mtl\no skull\nv 0 0 0\nv 1 0 0\nv 0 1 3\nf 1 2 3\n"), document.OBJ, []string{"Vertices = 3", "Faces = 1", "# Winterbourne, Ada", "mtllib a.mtl"}},
		"MTL":        {[]byte("newmtl skin\nKd 1 1 1\nmap_Kd face_of_ada.png\n"), document.MTL, []string{"Materials = 1", "face_of_ada.png", "files of pictures"}},
		"HL7":        {[]byte("MSH|^~\\&|LAB\rPID|1||H-7||Winterbourne^Ada\r"), document.HL7, []string{"Winterbourne^Ada"}},
		"text":       {[]byte("a note of Dr Obermayer"), document.Text, []string{"Obermayer"}},
		"nothing":    {bytes.Repeat([]byte{1, 2, 3, 0xff}, 99), document.Unknown, []string{"nothing of it is shown"}},
	} {
		c, err := read(t, r, f.doc)
		if err != nil || c.Kind != f.kind {
			t.Fatal(name, c, err)
		}
		t.Run(name, func(t *testing.T) { holds(t, c, f.want...) })
	}
}

func TestPicturesAreRead(t *testing.T) {
	r := reader(t, time.Minute)
	img := image.NewGray(image.Rect(0, 0, 40, 20))
	var j, p bytes.Buffer
	if err := jpeg.Encode(&j, img, nil); err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(&p, img); err != nil {
		t.Fatal(err)
	}
	said := slices.Concat([]byte{0xff, 0xd8, 0xff, 0xfe, 0, 14}, []byte("Winterbourne"), j.Bytes()[2:])
	for _, doc := range [][]byte{said, p.Bytes()} {
		c, err := read(t, r, doc)
		if err != nil || c.Pages != 1 {
			t.Fatal(c, err)
		}
		holds(t, c, "Size = 40 × 20 pixels")
		b, err := r.Picture(t.Context(), bytes.NewReader(doc), int64(len(doc)), 1, 20)
		if err != nil || bytes.Contains(b, []byte("Winterbourne")) {
			t.Fatal(err)
		}
		if img, err := png.Decode(bytes.NewReader(b)); err != nil || img.Bounds().Dx() != 20 {
			t.Error(err)
		}
	}
	c, err := read(t, r, said)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, c, "Winterbourne", "beside its picture")
}

// FuzzKindOf: whatever comes is told without harm.
func FuzzKindOf(f *testing.F) {
	for _, s := range []string{"%PDF-1.7", "<ClinicalDocument>", "solid a\nfacet", "v 0 0 0", "newmtl a", "\xff\xd8\xff", "MSH|"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { document.KindOf(b) })
}
