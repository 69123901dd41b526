package render

import (
	"math"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
)

// Attributes are what a picture depends on. The units are DICOM's own.
type Attributes struct {
	Rows, Columns, Samples     int
	Allocated, Stored, HighBit int // bits
	Signed, Planar             bool
	Float                      bool // Float or Double Float Pixel Data, of 32 or 64 bits
	Photometric                string
	Slope, Intercept           float64     // of the modality's values, where there is no table
	Window                     *Window     // the first of the image; nil: none
	Windows                    []Window    // all that the image proposes
	Padding                    *[2]float64 // stored values that are no image, inclusive
	Aspect                     float64     // height of a pixel by its width

	modality, voi *table
	palette       *[3]table
}

// Image is the description that a frame is decoded by.
func (a *Attributes) Image() codec.Image {
	return codec.Image{Rows: a.Rows, Columns: a.Columns, Samples: a.Samples, Allocated: a.Allocated, Stored: a.Stored, HighBit: a.HighBit, Signed: a.Signed, Planar: a.Planar,
		Photometric: a.Photometric}
}

// AttributesOf reads what a picture of the first frame depends on from the data set.
func AttributesOf(d *dicom.Dataset) (Attributes, error) { return AttributesOfFrame(d, 0) }

// AttributesOfFrame reads what a picture of frame k, counted from 0, depends on. In enhanced images that may be another for each frame (PS3.3 C.7.6.16).
func AttributesOfFrame(d *dicom.Dataset, k int) (Attributes, error) {
	a, err := DescriptionOf(d)
	if err != nil {
		return a, err
	}
	g := groups{d, k}
	if err := a.values(d, g); err != nil {
		return a, err
	}
	a.shape(d, g)
	if a.Photometric == "PALETTE COLOR" && a.Samples == 1 {
		return a, a.readPalette(d)
	}
	return a, nil
}

// DescriptionOf reads how the samples of an image lie, and nothing of what they mean: enough to decode a frame.
func DescriptionOf(d *dicom.Dataset) (Attributes, error) {
	num := func(t dicom.Tag, otherwise int) int {
		if n, ok := d.Int(t); ok && n >= math.MinInt32 && n <= math.MaxInt32 {
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
	case d.Has(dicom.TagPixelData):
	case d.Has(dicom.TagFloatPixelData):
		a.Float, a.Allocated, a.Stored, a.HighBit = true, 32, 32, 31
	case d.Has(dicom.TagDoubleFloatPixelData):
		a.Float, a.Allocated, a.Stored, a.HighBit = true, 64, 64, 63
	}
	switch {
	case a.Rows < 1 || a.Columns < 1 || a.Rows > math.MaxUint16 || a.Columns > math.MaxUint16:
		return a, &Broken{Reason: "it does not say how many rows and columns it has"}
	case a.Rows*a.Columns > maxPixels:
		return a, &Unsupported{Reason: "a frame of this size"}
	case a.Samples != 1 && a.Samples != 3, a.Float && a.Samples != 1:
		return a, &Unsupported{Reason: "pixels of other than one or three samples"}
	case a.Stored < 1 || a.Stored > a.Allocated || a.HighBit < a.Stored-1 || a.HighBit >= a.Allocated:
		return a, &Broken{Reason: "bits allocated, bits stored and high bit do not go together"}
	}
	return a, nil
}

// values reads the modality and the VOI transformation.
func (a *Attributes) values(d *dicom.Dataset, g groups) error {
	at := g.of(dicom.TagPixelValueTransformationSequence)
	if f, ok := float(d, at, dicom.TagRescaleSlope); ok && f != 0 {
		a.Slope = f
	}
	a.Intercept, _ = float(d, at, dicom.TagRescaleIntercept)
	var err error
	if a.modality, err = readLUT(d, at, dicom.TagModalityLUTSequence, a.Signed); err != nil {
		return err
	}
	at = g.of(dicom.TagFrameVOILUTSequence)
	if fn, ok := ParseFunction(d.StringIn(at, dicom.TagVOILUTFunction)); ok {
		centers, widths := all(d, at, dicom.TagWindowCenter), all(d, at, dicom.TagWindowWidth)
		for i := range min(len(centers), len(widths)) {
			c, w := centers[i], widths[i]
			// Linear windows have a width of 1 at least; of the others it is above 0 (PS3.3 C.11.2.1.2, C.11.2.1.3).
			if math.IsNaN(c) || math.IsInf(c, 0) || math.IsInf(w, 0) || !(w >= 1 || fn != Linear && w > 0) {
				continue
			}
			a.Windows = append(a.Windows, Window{c, w, fn})
		}
	}
	if len(a.Windows) > 0 {
		a.Window = &a.Windows[0]
	}
	// Values that come out of a table are not negative.
	if a.voi, err = readLUT(d, at, dicom.TagVOILUTSequence, a.modality == nil && (a.Signed || a.Intercept < 0)); err != nil {
		return err
	}
	for _, t := range []dicom.Tag{dicom.TagPixelPaddingValue, dicom.TagFloatPixelPaddingValue, dicom.TagDoubleFloatPixelPaddingValue} {
		v, ok := float(d, dicom.Root, t)
		if !ok {
			continue
		}
		a.Padding = &[2]float64{v, v}
		for _, t := range []dicom.Tag{dicom.TagPixelPaddingRangeLimit, dicom.TagFloatPixelPaddingRangeLimit, dicom.TagDoubleFloatPixelPaddingRangeLimit} {
			if l, ok := float(d, dicom.Root, t); ok {
				a.Padding = &[2]float64{min(v, l), max(v, l)}
			}
		}
		break
	}
	return nil
}

// shape reads how high a pixel is by its width.
func (a *Attributes) shape(d *dicom.Dataset, g groups) {
	measures := g.of(dicom.TagPixelMeasuresSequence)
	for _, s := range []struct {
		at  int
		tag dicom.Tag
	}{{dicom.Root, dicom.TagPixelAspectRatio}, {measures, dicom.TagPixelSpacing}, {dicom.Root, dicom.TagImagerPixelSpacing}} {
		if f := all(d, s.at, s.tag); len(f) == 2 && f[0] > 0 && f[1] > 0 {
			if q := f[0] / f[1]; q > 0.1 && q < 10 {
				a.Aspect = q
			}
			return
		}
	}
}

// groups are the functional groups of a frame.
type groups struct {
	d *dicom.Dataset
	k int
}

// of is the item that holds a macro for this frame: its own, else the one that all frames share, else the data set itself (PS3.3 C.7.6.16.1).
func (g groups) of(macro dicom.Tag) int {
	for _, seq := range []struct {
		tag dicom.Tag
		k   int
	}{{dicom.TagPerFrameFunctionalGroupsSequence, g.k}, {dicom.TagSharedFunctionalGroupsSequence, 0}} {
		i := g.d.Find(seq.tag)
		if i < 0 {
			continue
		}
		if item := nth(g.d, i, seq.k); item >= 0 {
			if m := g.d.FindIn(item, macro); m >= 0 {
				if item = nth(g.d, m, 0); item >= 0 {
					return item
				}
			}
		}
	}
	return dicom.Root
}

// nth is the k-th item of a sequence; -1 if there is none.
func nth(d *dicom.Dataset, sequence, k int) int {
	for i := range d.Children(sequence) {
		if k == 0 {
			return i
		}
		k--
	}
	return -1
}

func all(d *dicom.Dataset, parent int, t dicom.Tag) []float64 {
	if i := d.FindIn(parent, t); i >= 0 {
		return d.Floats(i)
	}
	return nil
}

func float(d *dicom.Dataset, parent int, t dicom.Tag) (float64, bool) {
	f := all(d, parent, t)
	if len(f) == 0 || math.IsNaN(f[0]) || math.IsInf(f[0], 0) {
		return 0, false
	}
	return f[0], true
}
