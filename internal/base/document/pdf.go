package document

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/enums"
	pdferrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/responses"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

const (
	wasmPage    = 64 << 10
	memoryLimit = 768 << 20 // bytes of WebAssembly memory for a document
)

// opened is a PDF that PDFium has opened. Nothing of it is closed: the process ends with it.
type opened struct {
	pdfium.Pdfium
	doc references.FPDF_DOCUMENT
}

// library is PDFium: without files, without scripts (this build has no V8), with bounded memory.
type library struct{ pdfium.Pdfium }

func loadPDFium(ctx context.Context, cache string) (*library, error) {
	config := wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling).
		WithMemoryLimitPages(memoryLimit / wasmPage).WithDebugInfoEnabled(false)
	if cache != "" {
		// Without its folder it compiles anew, which takes seconds and nothing else.
		if c, err := wazero.NewCompilationCacheWithDir(cache); err == nil {
			config = config.WithCompilationCache(c)
		}
	}
	pool, err := webassembly.Init(webassembly.Config{Context: ctx, MaxTotal: 1, MaxIdle: 1, RuntimeConfig: config, FSConfig: wazero.NewFSConfig(), Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		return nil, err
	}
	p, err := pool.GetInstance(time.Minute)
	if err != nil {
		return nil, err
	}
	return &library{p}, nil
}

func (l *library) open(doc []byte) (*opened, error) {
	d, err := l.OpenDocument(&requests.OpenDocument{File: &doc})
	switch {
	case errors.Is(err, pdferrors.ErrPassword), errors.Is(err, pdferrors.ErrSecurity):
		return nil, &Broken{whyEncrypted}
	case err != nil:
		return nil, &Broken{whyDamaged}
	}
	return &opened{l.Pdfium, d.Document}, nil
}

func (o *opened) page(k int) requests.Page {
	return requests.Page{ByIndex: &requests.PageByIndex{Document: o.doc, Index: k}}
}

func (o *opened) pages() int {
	n, err := o.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: o.doc})
	if err != nil {
		return 0
	}
	return n.PageCount
}

// draw draws a page with its annotations and what is filled into its form.
func (l *library) draw(doc []byte, page, within int) ([]byte, error) {
	o, err := l.open(doc)
	if err != nil {
		return nil, err
	}
	if page > o.pages() {
		return nil, &Broken{whyNoPage}
	}
	var r *responses.RenderPageInPixels
	for _, form := range [...]bool{true, false} { // a form that is broken leaves the page itself
		r, err = o.RenderPageInPixels(&requests.RenderPageInPixels{Page: o.page(page - 1), Width: within, Height: within, RenderFlags: enums.FPDF_RENDER_FLAG_ANNOT, RenderForm: form, Document: &o.doc})
		if err == nil {
			break
		}
	}
	if err != nil {
		return nil, &Broken{whyDamaged}
	}
	return encode(r.Result.RenderedImage)
}

// readPDF reads what a PDF says of itself, and the text of its pages with their annotations.
func (c *Contents) readPDF(l *library, doc []byte) error {
	o, err := l.open(doc)
	if err != nil {
		return err
	}
	c.Pages = o.pages()
	if m, err := o.GetMetaData(&requests.GetMetaData{Document: o.doc}); err == nil {
		names := map[string]string{"CreationDate": "Written", "ModDate": "Changed", "Creator": "Written with"}
		for _, t := range m.Tags {
			name, value := t.Tag, t.Value
			if n, ok := names[name]; ok {
				name = n
			}
			if strings.HasSuffix(t.Tag, "Date") {
				value = pdfDate(value)
			}
			c.fact(name, value)
		}
	}
	if v, err := o.FPDF_GetFileVersion(&requests.FPDF_GetFileVersion{Document: o.doc}); err == nil && v.FileVersion > 0 {
		c.fact("Version of PDF", strconv.Itoa(v.FileVersion/10)+"."+strconv.Itoa(v.FileVersion%10))
	}
	c.files(o)
	if n, err := o.FPDFDoc_GetJavaScriptActionCount(&requests.FPDFDoc_GetJavaScriptActionCount{Document: o.doc}); err == nil && n.JavaScriptActionCount > 0 || bytes.Contains(doc, []byte("/JavaScript")) {
		c.remark(remarkScript)
	}
	if f, err := o.FPDF_GetFormType(&requests.FPDF_GetFormType{Document: o.doc}); err == nil && f.FormType != enums.FPDF_FORMTYPE_NONE {
		c.remark(remarkForm)
	}
	if bytes.Count(doc, []byte("%%EOF")) > 1 && !bytes.Contains(doc, []byte("/Linearized")) || bytes.Count(doc, []byte("%%EOF")) > 2 {
		c.remark(remarkRevised)
	}
	c.packets(doc)
	c.outline(o)
	left := maxText
	for k := range min(c.Pages, maxPages) {
		if left <= 0 {
			break
		}
		text, cut, err := o.text(k)
		if err != nil {
			c.remark(remarkUnpage)
			continue
		}
		if text == "" {
			c.remark(remarkNoText)
		}
		left -= len(text)
		c.passage(Passage{Page: k + 1, Text: text, Cut: cut})
		if notes := o.notes(k); notes != "" {
			left -= len(notes)
			c.passage(Passage{Page: k + 1, Title: "Notes and fields of the page", Text: notes})
		}
	}
	if c.Pages > maxPages || left <= 0 {
		c.remark(remarkMore)
	}
	return nil
}

// text is that of page k, counted from 0.
func (o *opened) text(k int) (text string, cut bool, err error) {
	page, err := o.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: o.page(k)})
	if err != nil {
		return "", false, err
	}
	defer func() { _, _ = o.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: page.TextPage}) }()
	n, err := o.FPDFText_CountChars(&requests.FPDFText_CountChars{TextPage: page.TextPage})
	if err != nil || n.Count <= 0 {
		return "", false, err
	}
	t, err := o.FPDFText_GetText(&requests.FPDFText_GetText{TextPage: page.TextPage, StartIndex: 0, Count: min(n.Count, maxPassage)})
	if err != nil {
		return "", false, err
	}
	return strings.TrimSpace(t.Text), n.Count > maxPassage, nil
}

// maxNotes bounds the annotations of a page.
const maxNotes = 200

// notes are the texts of the annotations of page k, and the values of its fields.
func (o *opened) notes(k int) string {
	n, err := o.FPDFPage_GetAnnotCount(&requests.FPDFPage_GetAnnotCount{Page: o.page(k)})
	if err != nil {
		return ""
	}
	var out []string
	for i := range min(n.Count, maxNotes) {
		a, err := o.FPDFPage_GetAnnot(&requests.FPDFPage_GetAnnot{Page: o.page(k), Index: i})
		if err != nil {
			continue
		}
		for _, key := range [...]string{"T", "Subj", "Contents", "V"} { // PDF 32000-1 Tables 164, 170, 220
			if v, err := o.FPDFAnnot_GetStringValue(&requests.FPDFAnnot_GetStringValue{Annotation: a.Annotation, Key: key}); err == nil && strings.TrimSpace(v.Value) != "" {
				text, _ := plain(strings.TrimSpace(v.Value), maxValue)
				out = append(out, text)
			}
		}
		_, _ = o.FPDFPage_CloseAnnot(&requests.FPDFPage_CloseAnnot{Annotation: a.Annotation})
	}
	return strings.Join(out, "\n")
}

// files names the files that are attached.
func (c *Contents) files(o *opened) {
	n, err := o.FPDFDoc_GetAttachmentCount(&requests.FPDFDoc_GetAttachmentCount{Document: o.doc})
	if err != nil || n.AttachmentCount <= 0 {
		return
	}
	c.remark(remarkFiles)
	for i := range min(n.AttachmentCount, 50) {
		a, err := o.FPDFDoc_GetAttachment(&requests.FPDFDoc_GetAttachment{Document: o.doc, Index: i})
		if err != nil {
			continue
		}
		if name, err := o.FPDFAttachment_GetName(&requests.FPDFAttachment_GetName{Attachment: a.Attachment}); err == nil {
			c.fact("A file within it", name.Name)
		}
	}
}

// outline is the text of bookmarks.
func (c *Contents) outline(o *opened) {
	b, err := o.GetBookmarks(&requests.GetBookmarks{Document: o.doc})
	if err != nil {
		return
	}
	var lines []string
	var walk func(all []responses.GetBookmarksBookmark, depth int)
	walk = func(all []responses.GetBookmarksBookmark, depth int) {
		for _, m := range all {
			if len(lines) >= maxFacts || depth > 16 {
				return
			}
			lines = append(lines, strings.TrimSpace(m.Title))
			walk(m.Children, depth+1)
		}
	}
	walk(b.Bookmarks, 0)
	c.passage(Passage{Title: "Bookmarks", Text: strings.Join(lines, "\n")})
}

// packets are the texts of metadata in XMP, which its rules leave uncompressed so that programs find it (ISO 16684-1 7.3).
func (c *Contents) packets(doc []byte) {
	for range 8 {
		i := bytes.Index(doc, []byte("<?xpacket begin"))
		if i < 0 {
			return
		}
		doc = doc[i:]
		end := bytes.Index(doc, []byte("<?xpacket end"))
		if end < 0 {
			return
		}
		c.passage(Passage{Title: "Metadata (XMP)", Text: textOfXML(doc[:end])})
		doc = doc[end:]
	}
}

// textOfXML is every text and every value of an attribute in some XML, but for names of its vocabularies.
func textOfXML(b []byte) string {
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = false
	var out []string
	size := 0
	for n := 0; n < 100_000 && size < maxPassage; n++ {
		t, err := d.RawToken()
		if err != nil {
			break
		}
		add := func(name, s string) {
			if s = strings.TrimSpace(s); s != "" {
				if name != "" {
					s = name + ": " + s
				}
				out = append(out, s)
				size += len(s)
			}
		}
		switch t := t.(type) {
		case xml.StartElement:
			for _, a := range t.Attr {
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" && a.Name.Space != "xml" {
					add(a.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			add("", string(t))
		}
	}
	return strings.Join(out, "\n")
}

// pdfDate makes a date of PDF 32000-1 7.9.4 one that is read by people; what is none stays.
func pdfDate(s string) string {
	v := strings.TrimPrefix(s, "D:")
	if len(v) < 8 || strings.Trim(v[:8], "0123456789") != "" {
		return s
	}
	out := v[:4] + "-" + v[4:6] + "-" + v[6:8]
	if len(v) >= 12 && strings.Trim(v[8:12], "0123456789") == "" {
		out += " " + v[8:10] + ":" + v[10:12]
	}
	return out
}
