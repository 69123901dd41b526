package node

import (
	"context"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// decode decodes code streams for pictures. Nil: no program is named that does it.
func (n *Node) decode() delivery.Decoder {
	if len(n.cfg.Decoder) == 0 {
		return nil
	}
	n.codecs = codec.NewPool(codec.Options{Command: n.cfg.Decoder})
	return func(ctx context.Context, syntax *dicom.TransferSyntax, a *render.Attributes, frame []byte) ([]byte, error) {
		f, err := n.codecs.Decode(ctx, syntax, a.Image(), frame)
		a.Planar, a.Photometric = f.Planar, f.Photometric
		return f.Pixels, err
	}
}
