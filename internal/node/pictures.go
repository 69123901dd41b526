package node

import (
	"context"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/flow/reading"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// reads reports whether the pixels of what comes are read for text, and painted over.
func (n *Node) reads() bool { return n.cfg.ReadPixels && n.codecs != nil }

func (n *Node) reading() *reading.Flow {
	return reading.New(reading.Parts{DB: n.Stores.DB, Custody: n.Custody, Catalogue: n.Stores.Catalogue, Codecs: n.codecs, Log: n.cfg.Log, Quiet: quiet})
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
