// Package render draws a frame of a DICOM image as people see it: stored values through the modality and VOI transformations (PS3.3 C.11.1, C.11.2), palettes
// and colour models, at the size that is asked for.
//
// It promises: what it is given may be anything, and makes an error at worst; no picture is larger than the pixels that came and the size that was asked for
// allow; the same input gives the same picture. [Draw] takes what package codec decodes in process; what its pool decodes is for [DrawSamples].
//
// It does not draw overlays, annotations, presentation states or ICC profiles.
//
// It is for finding one's way, not for diagnosis.
package render

import (
	"image"
	"math"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
)

// Unsupported is an image that may be whole, and that is not drawn.
type Unsupported = codec.Unsupported

// Broken is an image that contradicts itself.
type Broken = codec.Broken

// Function is a VOI LUT Function (PS3.3 C.11.2.1.3).
type Function uint8

// The functions.
const (
	Linear Function = iota
	LinearExact
	Sigmoid
)

// ParseFunction reads a defined term; empty is Linear.
func ParseFunction(s string) (Function, bool) {
	switch strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(s), "-", "_")) {
	case "", "LINEAR":
		return Linear, true
	case "LINEAR_EXACT":
		return LinearExact, true
	case "SIGMOID":
		return Sigmoid, true
	}
	return Linear, false
}

// Window is a range of values that grey runs over. Center and Width are in the units of the rescaled values.
type Window struct {
	Center, Width float64
	Function      Function
}

// at is the shade of a rescaled value, from 0 to 1 (PS3.3 C.11.2.1.2, C.11.2.1.3).
func (w *Window) at(x float64) float64 {
	switch {
	case w.Function == Sigmoid:
		return 1 / (1 + math.Exp(-4*(x-w.Center)/w.Width))
	case w.Function == LinearExact:
		return (x-w.Center)/w.Width + 0.5
	case w.Width > 1:
		return (x-(w.Center-0.5))/(w.Width-1) + 0.5
	case x > w.Center-0.5:
		return 1
	}
	return 0
}

// maxPixels bounds one frame, and one picture: the largest detector of a mammograph has 30 million.
const maxPixels = codec.MaxPixels

// Options are what is asked for.
type Options struct {
	Window        *Window // nil: the image's own, else what the values suggest
	Width, Height int     // of the picture at most; 0: as the pixels are
	Crop          image.Rectangle
}

// size is that of the picture: the region at its shape, within what was asked for, never enlarged.
func (a *Attributes) size(o Options) (region image.Rectangle, w, h int, err error) {
	region = image.Rect(0, 0, a.Columns, a.Rows)
	if !o.Crop.Empty() {
		if region = region.Intersect(o.Crop); region.Empty() {
			return region, 0, 0, &Broken{Reason: "the region that is asked for lies outside the image"}
		}
	}
	fw, fh := float64(region.Dx()), float64(region.Dy())*a.Aspect
	if a.Aspect < 1 { // keep the rows, and make more of the columns
		fw, fh = fw/a.Aspect, fh/a.Aspect
	}
	scale := 1.0
	if o.Width > 0 {
		scale = min(scale, float64(o.Width)/fw)
	}
	if o.Height > 0 {
		scale = min(scale, float64(o.Height)/fh)
	}
	w, h = max(1, int(math.Round(fw*scale))), max(1, int(math.Round(fh*scale)))
	if w*h > maxPixels {
		return region, 0, 0, &Unsupported{Reason: "a picture of this size"}
	}
	return region, w, h, nil
}

// Draw draws a frame that needs no worker to be decoded: its bytes as they are stored in the transfer syntax, native words in little endian.
func Draw(a Attributes, syntax *dicom.TransferSyntax, frame []byte, o Options) (image.Image, error) {
	if syntax.Encapsulated {
		f, err := codec.Decode(syntax, a.Image(), frame)
		if err != nil {
			return nil, err
		}
		frame, a.Planar, a.Photometric = f.Pixels, f.Planar, f.Photometric
	}
	return DrawSamples(a, frame, o)
}

// DrawSamples draws a frame whose samples are there: words of a.Allocated bits in little endian, pixel by pixel, or plane by plane if a.Planar; eight pixels in a
// byte, the first in its lowest bit, if a.Allocated is 1. After decoding, a.Planar and a.Photometric have to be those of the decoded samples.
func DrawSamples(a Attributes, samples []byte, o Options) (image.Image, error) {
	region, w, h, err := a.size(o)
	if err != nil {
		return nil, err
	}
	var src source
	switch {
	case a.Samples == 3:
		src, err = a.colours(samples)
	case a.palette != nil:
		src, err = a.indexed(samples)
	default:
		src, err = a.greys(samples, o.Window)
	}
	if err != nil {
		return nil, err
	}
	return scale(src, region, w, h), nil
}

// short is an image with fewer pixels than it says.
var short = &Broken{Reason: "its pixels are fewer than its rows and columns say"}
