package review

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/document"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// Document is what an encapsulated document says, for who decides on it. It is read anew whenever it is looked at, and kept nowhere.
type Document struct {
	Kind    string // "a PDF document"
	Broken  string // why nothing of it is shown; empty: what follows is
	Pages   int    // that can be drawn, by [Flow.Page]
	Facts   []Said
	Parts   []Part
	Remarks []string
	Echoes  int   // how often something known of the subject is in it
	On      []int // pages that have some
}

// Said is what a document says of itself, or of people and places in its head.
type Said struct {
	Name   string
	Pieces []Piece
}

// Part is a passage of its text.
type Part struct {
	Page   int // from 1; 0: of no page
	Title  string
	Pieces []Piece
	Cut    bool
}

// Piece is a stretch of text; Echo, if it is something known of the subject.
type Piece struct {
	Text string
	Echo bool
}

var kindsOf = map[document.Kind]string{document.PDF: "a PDF document", document.CDA: "a clinical document (HL7 CDA)", document.XML: "a document in XML", document.HL7: "a message of HL7 version 2",
	document.STL: "a model of a surface (STL)", document.OBJ: "a model of a surface (OBJ)", document.MTL: "materials of a surface (MTL)", document.JPEG: "a picture (JPEG)", document.PNG: "a picture (PNG)",
	document.Text: "a document of plain text", document.Unknown: "a document of a kind that is not known here"}

// body opens what is encapsulated in an object (PS3.3 C.24.2); nil: nothing is.
func body(o *delivery.Object) (io.Reader, int64, error) {
	ds, err := o.Dataset()
	if err != nil {
		return nil, 0, err
	}
	i := ds.Find(dicom.TagEncapsulatedDocument)
	if i < 0 {
		return nil, 0, nil
	}
	v, err := o.Value(i)
	if err != nil {
		return nil, 0, err
	}
	size := v.Size()
	if n, ok := ds.Int(dicom.TagEncapsulatedDocumentLength); ok && n > 0 && n < size && size-n < 2 { // without its padding; whatever else is behind it is read
		size = n
	}
	return v, size, nil
}

// Document reads the document that is encapsulated in an item; nil where none is. Each reading is in the audit log.
func (f *Flow) Document(ctx context.Context, who Caller, id catalogue.InstanceID) (*Document, error) {
	o, err := f.look(ctx, who, id)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	r, size, err := body(o)
	if err != nil || r == nil {
		return nil, err
	}
	out := &Document{Kind: "a document"}
	if f.Documents == nil {
		out.Broken = "this node reads no documents"
		return out, nil
	}
	c, err := f.Documents.Read(ctx, r, size)
	if b, ok := errors.AsType[*document.Broken](err); ok {
		out.Broken = b.Reason
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	lex, err := f.Custody.Lexicon(ctx, o.Subject)
	if err != nil {
		return nil, err
	}
	out.fill(c, lex)
	return out, nil
}

func (d *Document) fill(c *document.Contents, lex *deid.Lexicon) {
	d.Kind, d.Pages, d.Remarks = kindsOf[c.Kind], c.Pages, c.Remarks
	for _, s := range c.Facts {
		p, _ := pieces(s.Value, lex)
		d.Facts = append(d.Facts, Said{s.Name, p})
		d.Echoes += echoes(p)
	}
	for _, s := range c.Passages {
		p, any := pieces(s.Text, lex)
		d.Parts = append(d.Parts, Part{Page: s.Page, Title: s.Title, Pieces: p, Cut: s.Cut})
		d.Echoes += echoes(p)
		if any && s.Page > 0 && !slices.Contains(d.On, s.Page) {
			d.On = append(d.On, s.Page)
		}
	}
}

func pieces(text string, lex *deid.Lexicon) (out []Piece, any bool) {
	at := 0
	for _, s := range lex.Echoes(text) {
		if s.From > at {
			out = append(out, Piece{Text: text[at:s.From]})
		}
		out = append(out, Piece{Text: text[s.From:s.To], Echo: true})
		at, any = s.To, true
	}
	if at < len(text) {
		out = append(out, Piece{Text: text[at:]})
	}
	return out, any
}

func echoes(all []Piece) (n int) {
	for _, p := range all {
		if p.Echo {
			n++
		}
	}
	return n
}

// Page draws a page of an encapsulated document, counted from 1, as a PNG that fits into a square of so many pixels. Every one is in the audit log. The error of what cannot
// be drawn is a fault.Conflict.
func (f *Flow) Page(ctx context.Context, who Caller, id catalogue.InstanceID, page, within int) ([]byte, error) {
	o, err := f.look(ctx, who, id)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	r, size, err := body(o)
	if err != nil {
		return nil, err
	}
	if r == nil || f.Documents == nil {
		return nil, fault.New(fault.NotFound, policy.DecideHeld.String(), "", "there is no page that could be drawn")
	}
	b, err := f.Documents.Picture(ctx, r, size, page, within)
	if bad, ok := errors.AsType[*document.Broken](err); ok {
		return nil, fault.New(fault.Conflict, "draw a page", "", bad.Reason)
	}
	return b, err
}
