package node

import (
	"context"
	"errors"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/document"
	"github.com/vitrine-imaging/vitrine/internal/base/tesseract"
	"github.com/vitrine-imaging/vitrine/internal/base/video"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/flow/reading"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// reads reports whether the pixels of what comes are read for text, and painted over.
func (n *Node) reads() bool { return n.cfg.ReadPixels && n.codecs != nil }

func (n *Node) reading() *reading.Flow {
	return reading.New(reading.Parts{DB: n.Stores.DB, Custody: n.Custody, Catalogue: n.Stores.Catalogue, Collections: n.Stores.Collections, Codecs: n.codecs, Second: n.second, Log: n.cfg.Log, Quiet: quiet,
		Turn: n.turn()})
}

// openSecond finds the second reader of pixels, if one is wanted. That none is installed is no error unless one is named.
func (n *Node) openSecond(ctx context.Context) error {
	program := n.cfg.Tesseract
	if program == "" || program == "off" || !n.reads() {
		return nil
	}
	if program == "auto" {
		program = ""
	}
	var err error
	n.second, err = tesseract.Open(ctx, tesseract.Options{Program: program, Confine: n.cfg.Confine})
	switch {
	case errors.Is(err, tesseract.ErrAbsent) && program == "":
		return nil
	case err != nil:
		return fault.Wrap(fault.Invalid, "open node", "the second reader of pixels", err)
	}
	return nil
}

// readers says what reads pixels here.
func (n *Node) readers() string {
	if !n.reads() {
		return ""
	}
	switch says := "burnin " + burnin.Version; {
	case n.second != nil:
		return says + " and Tesseract " + n.second.Version()
	case n.cfg.Tesseract == "auto":
		return says + "; Tesseract is not installed"
	default:
		return says
	}
}

// openReview makes what gives objects out, and what decides on those that are held.
func (n *Node) openReview() {
	s := n.Stores
	n.Delivery = delivery.New(delivery.Parts{DB: s.DB, Ring: s.Ring, Packs: s.Packs, Audit: s.Audit, Collections: s.Collections, Gate: s.Gate, Catalogue: s.Catalogue, Decode: n.decode()})
	n.Review = review.New(review.Parts{Custody: n.Custody, Delivery: n.Delivery, Catalogue: s.Catalogue, Collections: s.Collections, Subjects: s.Subjects, Rulings: s.Rulings,
		DB: s.DB, Ring: s.Ring, Audit: s.Audit, Jobs: n.queue, Log: n.cfg.Log})
	if len(n.cfg.Documents) > 0 {
		n.Review.Documents = document.NewReader(document.Options{Command: n.cfg.Documents})
	}
	if ffmpeg, ffprobe := video.Find(); len(n.cfg.Video) > 0 {
		n.Review.Videos = video.NewReader(video.Options{FFmpeg: ffmpeg, FFprobe: ffprobe, Confine: n.cfg.Video})
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
