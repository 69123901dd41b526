package reading

import (
	"context"

	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/base/tesseract"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// A second reader adds words to what the detector finds, and takes nothing away. Where it fails, the image is judged by the detector alone, and its record does not name it.

// second is what a film asks besides.
type second struct {
	reader *tesseract.Reader // nil: nobody
	asked  bool              // it has answered for some frame
	failed error             // of some frame
}

// ask adds where the second reader reads words in a frame.
func (s *second) ask(ctx context.Context, a *render.Attributes, f codec.Frame, found *burnin.Found) error {
	if s.reader == nil || s.failed != nil {
		return nil
	}
	w, h, grey, err := burnin.Picture(a, f)
	if err != nil {
		return err
	}
	words, err := s.reader.Words(ctx, w, h, grey)
	if err != nil {
		s.failed = err
		return ctx.Err()
	}
	s.asked = true
	for _, word := range words {
		if box, ok := word.Convincing(w, h); ok {
			found.Boxes = append(found.Boxes, burnin.Box{Rectangle: box, Source: burnin.Other, Strength: word.Confidence / 100})
		}
	}
	return nil
}

// name is what read the pixels.
func (s *second) name() string {
	if s.asked && s.failed == nil {
		return reader + ", tesseract " + s.reader.Version()
	}
	return reader
}
