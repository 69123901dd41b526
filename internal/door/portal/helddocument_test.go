package portal_test

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/document"
	"github.com/vitrine-imaging/vitrine/internal/base/video"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// The test binary is the process that reads documents, too, and what confines ffmpeg.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "document-worker" {
		if err := document.Work(context.Background(), os.Stdin, os.Stdout, os.Args[2]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 2 && os.Args[1] == "video-worker" {
		_ = video.Confined(os.Args[2:])
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func documentReader(t *testing.T) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	return []string{exe, "document-worker", filepath.Join(cache, "vitrine-document")}
}

func videoWorker(t *testing.T) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{exe, "video-worker"}
}

// pages is a PDF of a page for each text.
func pages(texts ...string) []byte {
	var kids []string
	objects := []string{"<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>", "<< /Title (Winterbourne, discharge) >>"}
	for _, text := range texts {
		body := "BT /F1 11 Tf 60 770 Td (" + text + ") Tj ET"
		n := len(objects) + 1
		kids = append(kids, fmt.Sprintf("%d 0 R", n))
		objects = append(objects, fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << /Font << /F1 3 0 R >> >> >>", n+1),
			fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(body), body))
	}
	objects[1] = fmt.Sprintf("<< /Type /Pages /Kids [%s] /Count %d >>", strings.Join(kids, " "), len(kids))
	var out bytes.Buffer
	out.WriteString("%PDF-1.4\n")
	var at []int
	for i, o := range objects {
		at = append(at, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	x := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, a := range at {
		fmt.Fprintf(&out, "%010d 00000 n \n", a)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, x)
	return out.Bytes()
}

// fetch is a GET with the headers of its answer.
func (v *visitor) fetch(path string) (int, string, http.Header) {
	v.t.Helper()
	resp, err := v.client.Get(v.base + path)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// encapsulate deposits a document of a made-up patient, and gives what is held of it.
func encapsulate(t *testing.T, n *node.Node, sop string, doc []byte) catalogue.Located {
	t.Helper()
	dep, err := n.Custody.Begin(t.Context(), collection.Default, custody.DoorSTOW, "ward-7")
	if err != nil {
		t.Fatal(err)
	}
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	for tag, v := range map[dicom.Tag]string{dicom.TagSOPClassUID: "1.2.840.10008.5.1.4.1.1.104.1", dicom.TagSOPInstanceUID: sop, dicom.TagStudyInstanceUID: "1.2.9", dicom.TagSeriesInstanceUID: "1.2.9.1",
		dicom.TagModality: "DOC", dicom.TagPatientID: "H-4471 882", dicom.TagPatientName: "Winterbourne^Ada", dicom.TagMIMETypeOfEncapsulatedDocument: "application/pdf"} {
		b.String(tag, v)
	}
	b.Raw(dicom.TagEncapsulatedDocument, dicom.VROB, append(doc, make([]byte, len(doc)%2)...))
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	r, err := dep.Receive(t.Context(), custody.Incoming{Syntax: dicom.ExplicitVRLittleEndian, Data: custody.FromReader(bytes.NewReader(d.Bytes()))})
	if err != nil || r.Outcome != custody.Held {
		t.Fatal(r, err)
	}
	dep.End()
	if err := n.Custody.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := n.Stores.Catalogue.Waiting(t.Context(), collection.Default, 0, 0, 100)
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	return all[len(all)-1]
}

// A document is shown to its steward, page by page, with what is known of its subject marked; every look is in the audit log, and nothing of it is in the browser's store.
func TestAStewardReadsADocument(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		one := encapsulate(t, n, "1.2.9.1.1", pages("Seen today: Mrs Winterbourne", "A page of nobody"))
		v := visit(t, base)
		if code, body, head := v.fetch("/held/" + one.ID.String() + "/page?page=1"); code == 200 && head.Get("Content-Type") == "image/png" || strings.Contains(body, "Winterbourne") {
			t.Error("a stranger is given a page:", code)
		}
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		before := len(said(t, n))
		code, page, head := v.fetch("/held/" + one.ID.String())
		if code != 200 || !strings.Contains(head.Get("Cache-Control"), "no-store") {
			t.Fatal(code, head, page)
		}
		for _, want := range []string{`Seen today: Mrs <mark class="hd-echo">Winterbourne</mark>`, `<dd><mark class="hd-echo">Winterbourne</mark>, discharge`, "page 1 of 2", "/page?page=1"} {
			if !strings.Contains(page, want) {
				t.Errorf("%q is not on the page", want)
			}
		}
		if strings.Contains(page, "A page of nobody") {
			t.Error("the second page is on the first")
		}
		if _, page, _ = v.do("GET", "/held/"+one.ID.String()+"?page=2", nil); !strings.Contains(page, "A page of nobody") || !strings.Contains(page, `<a href="/held/`+one.ID.String()+`?page=1#document">1</a>`) {
			t.Error("the second page is not shown, or nothing leads to what is marked")
		}
		code, picture, head := v.fetch("/held/" + one.ID.String() + "/page?page=1")
		if img, err := png.Decode(strings.NewReader(picture)); code != 200 || err != nil || img.Bounds().Dy() != 1600 || head.Get("Cache-Control") != "private, no-store" || head.Get("Content-Type") != "image/png" {
			t.Error(code, err, head)
		}
		if code, _, _ := v.do("GET", "/held/"+one.ID.String()+"/page?page=3", nil); code == 200 {
			t.Error("there is no third page")
		}
		var looks int
		for _, e := range said(t, n)[before:] {
			if e.Object == "instance "+one.ID.String() && e.Action == "read pixels and bulk data" {
				looks++
			}
			if strings.Contains(fmt.Sprint(e), "Winterbourne") {
				t.Error("the audit log names the patient")
			}
		}
		if looks < 3 {
			t.Errorf("%d looks are in the audit log", looks)
		}
		// What cannot be read is said to be so.
		two := encapsulate(t, n, "1.2.9.1.2", append([]byte("%PDF-1.4\n"), slices.Repeat([]byte{1, 2, 3}, 400)...))
		if code, page, _ := v.do("GET", "/held/"+two.ID.String(), nil); code != 200 || !strings.Contains(page, "Nothing of it is shown: it is damaged") {
			t.Error(code, page)
		}
	})
}

// A document is kept restricted from its page, listed for stewards, opened there again, and refused in the end.
func TestAStewardKeepsADocument(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		one := encapsulate(t, n, "1.2.9.1.1", pages("Seen today: Mrs Winterbourne"))
		v := visit(t, base)
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		if _, page, _ := v.do("GET", "/held/"+one.ID.String(), nil); !strings.Contains(page, `name="do" value="restrict"`) || strings.Contains(page, `value="accept"`) {
			t.Fatal("it cannot be kept, or could be accepted")
		}
		code, page, _ := v.do("POST", "/held", url.Values{"item": {one.ID.String()}, "do": {"restrict"}, "note": {"consent form"}})
		if code != 200 || !strings.Contains(page, "1 item kept restricted") {
			t.Fatal(code, page)
		}
		if _, page, _ := v.do("GET", "/held?reason=document", nil); strings.Contains(page, "/held/"+one.ID.String()+`"`) {
			t.Error("it still waits")
		}
		if code, page, _ := v.do("GET", "/restricted", nil); code != 200 || !strings.Contains(page, "/held/"+one.ID.String()) || strings.Contains(page, "Winterbourne") {
			t.Error("it is not listed, or the list tells of it", code)
		}
		code, page, head := v.fetch("/held/" + one.ID.String())
		if code != 200 || !strings.Contains(page, `<mark class="hd-echo">Winterbourne</mark>`) || !strings.Contains(page, "What it was held for") || strings.Contains(page, `value="restrict"`) || !strings.Contains(head.Get("Cache-Control"), "no-store") {
			t.Error("it cannot be opened by its steward", code)
		}
		if _, page, _ := v.do("GET", "/deposits/"+one.Deposit.String(), nil); !strings.Contains(page, "restricted") {
			t.Error("its deposit does not say what became of it")
		}
		if code, page, _ := v.do("POST", "/held", url.Values{"item": {one.ID.String()}, "do": {"refuse"}}); code != 200 || !strings.Contains(page, "1 item refused") {
			t.Error(code, page)
		}
	})
}
