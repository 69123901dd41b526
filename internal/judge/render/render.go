// Package render draws a frame of a DICOM image as people see it: stored values through the modality and VOI transformations (PS3.3 C.11.1, C.11.2), palettes
// and colour models, at the size that is asked for.
//
// It promises: what it is given may be anything, and makes an error at worst; no picture is larger than the pixels that came and the size that was asked for
// allow; the same input gives the same picture. It draws native pixels, RLE (PS3.5 Annex G) and 8-bit JPEG baseline. Other code streams are for a decoder
// that can be killed, and are an [Unsupported] here.
//
// It is for finding one's way, not for diagnosis.
package render

import (
	"image"
	"math"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Unsupported is an image that is whole, and that this package does not draw.
type Unsupported struct{ Reason string }

func (e *Unsupported) Error() string { return e.Reason }

// Broken is an image that contradicts itself.
type Broken struct{ Reason string }

func (e *Broken) Error() string { return e.Reason }

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

// Attributes are what a picture depends on.
type Attributes struct {
	Rows, Columns, Samples     int
	Allocated, Stored, HighBit int // bits
	Signed, Planar             bool
	Photometric                string
	Slope, Intercept           float64
	Window                     *Window // the first of the image; nil: none
	Padding                    *[2]int64
	Palette                    *[3]table
	Aspect                     float64 // height of a pixel by its width
}

// table is a Palette Color Lookup Table (PS3.3 C.7.6.3.1.5), in 8 bits.
type table struct {
	first  int64
	values []byte
}

func (t *table) at(v int64) byte {
	return t.values[min(max(v-t.first, 0), int64(len(t.values)-1))]
}

// maxPixels bounds one frame: the largest detector of a mammograph has 30 million.
const maxPixels = 128 << 20

// AttributesOf reads what a picture depends on from the data set.
func AttributesOf(d *dicom.Dataset) (Attributes, error) {
	num := func(t dicom.Tag, otherwise int) int {
		if n, ok := d.Int(t); ok {
			return int(n)
		}
		return otherwise
	}
	a := Attributes{Rows: num(dicom.TagRows, 0), Columns: num(dicom.TagColumns, 0), Samples: num(dicom.TagSamplesPerPixel, 1), Allocated: num(dicom.TagBitsAllocated, 0),
		Signed: num(dicom.TagPixelRepresentation, 0) == 1, Planar: num(dicom.TagPlanarConfiguration, 0) == 1,
		Photometric: strings.TrimSpace(d.String(dicom.TagPhotometricInterpretation)), Slope: 1, Aspect: 1}
	a.Stored = num(dicom.TagBitsStored, a.Allocated)
	a.HighBit = num(dicom.TagHighBit, a.Stored-1)
	switch {
	case a.Rows < 1 || a.Columns < 1 || a.Rows > math.MaxUint16 || a.Columns > math.MaxUint16:
		return a, &Broken{"it does not say how many rows and columns it has"}
	case a.Rows*a.Columns > maxPixels:
		return a, &Unsupported{"a frame of this size"}
	case a.Samples != 1 && a.Samples != 3:
		return a, &Unsupported{"pixels of other than one or three samples"}
	case a.Stored < 1 || a.Stored > a.Allocated || a.HighBit < a.Stored-1 || a.HighBit >= a.Allocated:
		return a, &Broken{"bits allocated, bits stored and high bit do not go together"}
	}
	if f, ok := float(d, dicom.Root, dicom.TagRescaleSlope); ok && f != 0 {
		a.Slope = f
	}
	a.Intercept, _ = float(d, dicom.Root, dicom.TagRescaleIntercept)
	center, ok1 := float(d, dicom.Root, dicom.TagWindowCenter)
	width, ok2 := float(d, dicom.Root, dicom.TagWindowWidth)
	if fn, ok := ParseFunction(d.String(dicom.TagVOILUTFunction)); ok && ok1 && ok2 && width >= 1 {
		a.Window = &Window{center, width, fn}
	}
	if v, ok := d.Int(dicom.TagPixelPaddingValue); ok {
		a.Padding = &[2]int64{v, v}
		if l, ok := d.Int(dicom.TagPixelPaddingRangeLimit); ok {
			a.Padding = &[2]int64{min(v, l), max(v, l)}
		}
	}
	for _, t := range []dicom.Tag{dicom.TagPixelAspectRatio, dicom.TagPixelSpacing, dicom.TagImagerPixelSpacing} {
		if i := d.Find(t); i >= 0 {
			if f := numbers(d, i); len(f) == 2 && f[0] > 0 && f[1] > 0 {
				if q := f[0] / f[1]; q > 0.1 && q < 10 {
					a.Aspect = q
				}
				break
			}
		}
	}
	if a.Photometric == "PALETTE COLOR" {
		return a, a.palette(d)
	}
	return a, nil
}

func numbers(d *dicom.Dataset, i int) []float64 {
	if d.VR(i) == dicom.VRIS {
		var out []float64
		for _, n := range d.Ints(i) {
			out = append(out, float64(n))
		}
		return out
	}
	return d.Floats(i)
}

func float(d *dicom.Dataset, parent int, t dicom.Tag) (float64, bool) {
	i := d.FindIn(parent, t)
	if i < 0 {
		return 0, false
	}
	f := d.Floats(i)
	if len(f) == 0 || math.IsNaN(f[0]) || math.IsInf(f[0], 0) {
		return 0, false
	}
	return f[0], true
}

func (a *Attributes) palette(d *dicom.Dataset) error {
	broken := &Broken{"its palette does not describe itself"}
	a.Palette = &[3]table{}
	for k, t := range [3][2]dicom.Tag{
		{dicom.TagRedPaletteColorLookupTableDescriptor, dicom.TagRedPaletteColorLookupTableData},
		{dicom.TagGreenPaletteColorLookupTableDescriptor, dicom.TagGreenPaletteColorLookupTableData},
		{dicom.TagBluePaletteColorLookupTableDescriptor, dicom.TagBluePaletteColorLookupTableData},
	} {
		i, j := d.Find(t[0]), d.Find(t[1])
		if i < 0 || j < 0 {
			if d.Has(dicom.TagSegmentedRedPaletteColorLookupTableData) {
				return &Unsupported{"a segmented palette"}
			}
			return broken
		}
		desc := d.Ints(i)
		if len(desc) != 3 {
			return broken
		}
		n, first, bits := int(desc[0]&0xffff), desc[1], desc[2]
		if n == 0 {
			n = 1 << 16
		}
		if !a.Signed {
			first &= 0xffff
		}
		v := d.Value(j)
		tab := table{first: first, values: make([]byte, n)}
		switch {
		case bits == 16 && len(v) >= 2*n:
			for x := range tab.values {
				tab.values[x] = v[2*x+1]
				if d.Syntax().BigEndian {
					tab.values[x] = v[2*x]
				}
			}
		case bits == 8 && len(v) >= 2*n: // a word for each byte
			for x := range tab.values {
				tab.values[x] = v[2*x]
			}
		case bits == 8 && len(v) >= n:
			copy(tab.values, v)
		default:
			return broken
		}
		a.Palette[k] = tab
	}
	return nil
}

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
			return region, 0, 0, &Broken{"the region that is asked for lies outside the image"}
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
		return region, 0, 0, &Unsupported{"a picture of this size"}
	}
	return region, w, h, nil
}
