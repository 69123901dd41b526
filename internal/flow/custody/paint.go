package custody

import (
	"context"
	"io"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// paintCopies is how often a frame lies in memory while it is painted: as stored, as samples, and what is looked for in them.
const paintCopies = 4

// Pixels are the pixel data of an instance that is held: its value as it is stored, of an encapsulated one the fragments with their headers.
type Pixels struct {
	Data  *dicom.Dataset
	Value io.ReaderAt
	Size  int64 // bytes
}

// Painting says what was done to the pixels of an instance. It is part of its record (docs/formats/object.md).
type Painting struct {
	Reader string `json:"reader"` // what read the pixels, and its version
	Frames int    `json:"frames"` // that were read
	// Boxes are what was painted over, those of frames in a row once.
	Boxes []catalogue.FoundBox `json:"boxes,omitempty"`
	// Drawn are the boxes that a person gave, as they gave them.
	Drawn []catalogue.FoundBox `json:"drawn,omitempty"`
	// Chosen: nothing but what a person drew was painted. Left is then what a reading of it still takes for text.
	Chosen bool                 `json:"chosen,omitempty"`
	Left   []catalogue.FoundBox `json:"left,omitempty"`
	// Stripped counts frames whose code streams lost comments or application data.
	Stripped int `json:"stripped,omitempty"`
}

// Painter writes pixel data anew, in the same transfer syntax, without what identifies in it, and says what it did. Reasons say why that cannot be; then what it has
// written counts for nothing.
type Painter func(ctx context.Context, p Pixels, w io.Writer) (*Painting, []Reason, error)

// AcceptPainted is [Custody.Accept] for an instance whose pixels are read and painted on the way: nobody has looked at it, and what its pixels alone are held for is
// set aside. With seen, who accepts it has looked at what the painter will do.
func (c *Custody) AcceptPainted(ctx context.Context, l catalogue.Located, by Reviewer, seen bool, paint Painter) ([]Reason, error) {
	answer := deid.Painted
	if seen {
		answer |= deid.Seen
	}
	return c.accept(ctx, l, by, answer, paint)
}

// painted reports the element that the painter writes.
func (a *accepting) painted(elem int) bool { return a.paint != nil && elem == a.data.PixelData() }
