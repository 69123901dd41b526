package node

import (
	"context"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/document"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/flow/reading"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// reads reports whether the pixels of what comes are read for text, and painted over.
func (n *Node) reads() bool { return n.cfg.ReadPixels && n.codecs != nil }

func (n *Node) reading() *reading.Flow {
	return reading.New(reading.Parts{DB: n.Stores.DB, Custody: n.Custody, Catalogue: n.Stores.Catalogue, Collections: n.Stores.Collections, Codecs: n.codecs, Log: n.cfg.Log, Quiet: quiet})
}

// openReview makes what gives objects out, and what decides on those that are held.
func (n *Node) openReview() {
	s := n.Stores
	n.Delivery = delivery.New(delivery.Parts{DB: s.DB, Ring: s.Ring, Packs: s.Packs, Audit: s.Audit, Collections: s.Collections, Subjects: s.Subjects, Catalogue: s.Catalogue, Decode: n.decode()})
	n.Review = review.New(review.Parts{Custody: n.Custody, Delivery: n.Delivery, Catalogue: s.Catalogue, Collections: s.Collections, Subjects: s.Subjects, Rulings: s.Rulings,
		DB: s.DB, Ring: s.Ring, Audit: s.Audit, Jobs: n.queue, Log: n.cfg.Log})
	if len(n.cfg.Documents) > 0 {
		n.Review.Documents = document.NewReader(document.Options{Command: n.cfg.Documents})
	}
	if n.reads() {
		n.Review.Clean = n.reading()
	}
}

// decode decodes code streams for pictures. Nil: no program is named that does it.
func (n *Node) decode() delivery.Decoder {
	if n.codecs == nil {
		return nil
	}
	return func(ctx context.Context, syntax *dicom.TransferSyntax, a *render.Attributes, frame []byte) ([]byte, error) {
		f, err := n.codecs.Decode(ctx, syntax, a.Image(), frame)
		a.Planar, a.Photometric = f.Planar, f.Photometric
		return f.Pixels, err
	}
}
