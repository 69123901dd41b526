package render

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// described builds an image of two by two words.
func described(t *testing.T, more func(*dicom.Builder)) *dicom.Dataset {
	t.Helper()
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	for tag, v := range map[dicom.Tag]int{dicom.TagSamplesPerPixel: 1, dicom.TagRows: 2, dicom.TagColumns: 2, dicom.TagBitsAllocated: 16, dicom.TagBitsStored: 16, dicom.TagHighBit: 15,
		dicom.TagPixelRepresentation: 0} {
		b.Ints(tag, v)
	}
	b.String(dicom.TagPhotometricInterpretation, "MONOCHROME2")
	b.Raw(dicom.TagPixelData, dicom.VROW, make([]byte, 8))
	more(b)
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func lookup(first, bits int, values ...int) func(*dicom.Builder) {
	return func(item *dicom.Builder) {
		item.Integers(dicom.TagLUTDescriptor, dicom.VRUS, len(values), first, bits)
		item.Integers(dicom.TagLUTData, dicom.VRUS, values...)
	}
}

// A table of the modality comes before the window, one of the VOI in place of it (PS3.3 C.11.1.1, C.11.2.1.1).
func TestLookupTables(t *testing.T) {
	frame := words(0, 1, 2, 9)
	for name, c := range map[string]struct {
		more func(*dicom.Builder)
		want []byte
	}{
		"modality": {func(b *dicom.Builder) {
			b.Sequence(dicom.TagModalityLUTSequence, lookup(1, 16, 100, 200))
			b.Numbers(dicom.TagWindowCenter, dicom.VRDS, 150)
			b.Numbers(dicom.TagWindowWidth, dicom.VRDS, 101)
		}, []byte{1, 1, 255, 255}},
		"VOI":            {func(b *dicom.Builder) { b.Sequence(dicom.TagVOILUTSequence, lookup(0, 8, 0, 51, 255)) }, []byte{0, 51, 255, 255}},
		"VOI of 12 bits": {func(b *dicom.Builder) { b.Sequence(dicom.TagVOILUTSequence, lookup(1, 12, 0, 4095)) }, []byte{0, 0, 255, 255}},
		"VOI after rescaling": {func(b *dicom.Builder) {
			b.Numbers(dicom.TagRescaleSlope, dicom.VRDS, 1)
			b.Numbers(dicom.TagRescaleIntercept, dicom.VRDS, -1)
			b.Sequence(dicom.TagVOILUTSequence, lookup(0xffff, 8, 10, 20, 30)) // from -1 on
		}, []byte{10, 20, 30, 30}},
	} {
		a, err := AttributesOf(described(t, c.more))
		if err != nil {
			t.Fatal(name, err)
		}
		m, err := Draw(a, dicom.ExplicitVRLittleEndian, slices.Clone(frame), Options{})
		if got := pix(t, m, err); !bytes.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for name, more := range map[string]func(*dicom.Builder){
		"no data": func(b *dicom.Builder) { b.Sequence(dicom.TagVOILUTSequence, func(*dicom.Builder) {}) },
		"short": func(b *dicom.Builder) {
			b.Sequence(dicom.TagVOILUTSequence, func(i *dicom.Builder) {
				i.Integers(dicom.TagLUTDescriptor, dicom.VRUS, 9, 0, 16)
				i.Integers(dicom.TagLUTData, dicom.VRUS, 1)
			})
		},
		"no palette": func(b *dicom.Builder) { b.String(dicom.TagPhotometricInterpretation, "PALETTE COLOR") },
	} {
		if _, err := AttributesOf(described(t, more)); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

// In enhanced images each frame may have values and a window of its own (PS3.3 C.7.6.16).
func TestFunctionalGroups(t *testing.T) {
	window := func(center float64) func(*dicom.Builder) {
		return func(item *dicom.Builder) {
			item.Sequence(dicom.TagFrameVOILUTSequence, func(w *dicom.Builder) {
				w.Numbers(dicom.TagWindowCenter, dicom.VRDS, center)
				w.Numbers(dicom.TagWindowWidth, dicom.VRDS, 10)
			})
		}
	}
	d := described(t, func(b *dicom.Builder) {
		b.Sequence(dicom.TagSharedFunctionalGroupsSequence, func(item *dicom.Builder) {
			item.Sequence(dicom.TagPixelValueTransformationSequence, func(v *dicom.Builder) {
				v.Numbers(dicom.TagRescaleSlope, dicom.VRDS, 2)
				v.Numbers(dicom.TagRescaleIntercept, dicom.VRDS, 3)
			})
		})
		b.Sequence(dicom.TagPerFrameFunctionalGroupsSequence, window(5), window(7))
	})
	for k, center := range []float64{5, 7} {
		a, err := AttributesOfFrame(d, k)
		if err != nil || a.Window == nil || a.Window.Center != center || a.Slope != 2 || a.Intercept != 3 {
			t.Errorf("frame %d: %+v %v", k, a, err)
		}
	}
	if a, err := AttributesOfFrame(d, 2); err != nil || a.Window != nil || a.Slope != 2 {
		t.Errorf("a frame without a group: %+v %v", a, err)
	}
}

// Segments of a palette: entries, a line, and both again (PS3.3 C.7.9.2).
func TestSegments(t *testing.T) {
	palette := func(code ...int) *dicom.Dataset {
		return described(t, func(b *dicom.Builder) {
			b.String(dicom.TagPhotometricInterpretation, "PALETTE COLOR")
			var raw []byte
			for _, v := range code {
				raw = binary.LittleEndian.AppendUint16(raw, uint16(v))
			}
			for _, tags := range [][2]dicom.Tag{{dicom.TagRedPaletteColorLookupTableDescriptor, dicom.TagSegmentedRedPaletteColorLookupTableData},
				{dicom.TagGreenPaletteColorLookupTableDescriptor, dicom.TagSegmentedGreenPaletteColorLookupTableData},
				{dicom.TagBluePaletteColorLookupTableDescriptor, dicom.TagSegmentedBluePaletteColorLookupTableData}} {
				b.Integers(tags[0], dicom.VRUS, 8, 0, 16)
				b.Raw(tags[1], dicom.VROW, raw)
			}
		})
	}
	a, err := AttributesOf(palette(0, 2, 0, 1000, 1, 2, 3000, 2, 2, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := a.palette[1].values, []uint16{0, 1000, 2000, 3000, 0, 1000, 2000, 3000}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, code := range [][]int{{}, {0}, {0, 9, 1}, {1, 8, 5}, {2, 1, 0, 0}, {0, 1, 7, 2, 1, 99, 99}, {0, 7, 1, 1, 1, 1, 1, 1, 1}, {3, 8, 0}, {0, 0, 2, 65535, 0, 0}} {
		if _, err := AttributesOf(palette(code...)); err == nil {
			t.Errorf("%v is taken", code)
		}
	}
}

// Floating-point pixels are drawn between their least and greatest, whatever is no number among them.
func TestFloats(t *testing.T) {
	d := described(t, func(b *dicom.Builder) { b.Raw(dicom.TagPixelData, dicom.VROW, nil) })
	a, err := AttributesOf(d)
	if err != nil {
		t.Fatal(err)
	}
	a.Float, a.Allocated, a.Stored, a.HighBit = true, 32, 32, 31
	var frame []byte
	for _, v := range []float32{-1, 1, float32(math.NaN()), float32(math.Inf(1))} {
		frame = binary.LittleEndian.AppendUint32(frame, math.Float32bits(v))
	}
	m, err := Draw(a, dicom.ExplicitVRLittleEndian, frame, Options{})
	if got := pix(t, m, err); got[0] > 1 || got[1] < 254 || got[2] != 0 || got[3] != 255 {
		t.Errorf("%v", got)
	}
}

// A smaller picture has the mean of what it stands for; a pixel that lies in two counts for its part.
func TestShrinking(t *testing.T) {
	a := grey(8, false)
	a.Rows, a.Columns, a.Window = 1, 3, &Window{127.5, 255, LinearExact}
	m, err := Draw(a, dicom.ExplicitVRLittleEndian, []byte{0, 90, 255}, Options{Width: 2})
	if got := pix(t, m, err); !bytes.Equal(got, []byte{30, 200}) {
		t.Errorf("%v", got)
	}
}

func FuzzDraw(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, uint8(16), uint8(12), uint8(11), uint8(1), true, false, "MONOCHROME1", 3, 1)
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, uint8(8), uint8(8), uint8(7), uint8(3), false, true, "YBR_FULL", 0, 0)
	f.Fuzz(func(t *testing.T, b []byte, allocated, stored, high, samples uint8, signed, planar bool, photometric string, w, h int) {
		a := grey(int(allocated), signed)
		a.Stored, a.HighBit, a.Samples, a.Planar, a.Photometric = int(stored), int(high), int(samples), planar, photometric
		description := a.Image()
		if description.Check() != nil {
			return
		}
		if m, err := Draw(a, dicom.ExplicitVRLittleEndian, b, Options{Width: w, Height: h}); err == nil && (m.Bounds().Dx() > 2 || m.Bounds().Dy() > 2) {
			t.Error("larger than its pixels")
		}
	})
}
