package sample

import (
	"math"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

const photographStorage = "1.2.840.10008.5.1.4.1.1.77.1.4"

// photograph is a clinical photograph of a breast after surgery, with a ruler and a label that says whose it is. Whether a photograph shows the person no machine can
// tell: it waits for somebody who looks.
func photograph(p *Person, tp int) *Study {
	x := newExam(p, tp, "XC", 15, 40, calderMG)
	x.desc = "Medical photography, right breast"
	s := x.newStudy()
	s.make = append(s.make, x.scar)
	return s
}

func (x *exam) scar() (*Instance, error) {
	ts := dicom.ExplicitVRLittleEndian
	o := x.begin(ts)
	series := x.series(o, 1, "XC", "Right breast, frontal", x.at)
	const w, h = 640, 480
	g := &canvas{w: w, h: h, px: make([]byte, 3*w*h)}
	key := mix(x.p.seed ^ 0x07)
	for y := range h {
		for c := range w {
			dx, dy := float64(c-330)/230, float64(y-250)/210
			r := math.Sqrt(dx*dx + dy*dy)
			light := 0.78 + 0.24*math.Exp(-((dx+0.3)*(dx+0.3)+(dy+0.4)*(dy+0.4))*2) - 0.22*math.Max(0, math.Min(1, (r-0.8)*2.5))
			light *= 0.97 + 0.06*fractal(key, float64(c)/30, float64(y)/30, 0, 4)
			red, green, blue := 214*light, 168*light, 144*light
			// A scar: a pale arc with a reddish rim.
			if d := math.Abs(math.Hypot(float64(c-300), float64(y-420)) - 170); c > 180 && c < 430 && y < 330 {
				rim := math.Exp(-d * d / 30)
				red, green, blue = red+18*rim, green-34*rim, blue-30*rim
			}
			if a := math.Hypot(float64(c-372), float64(y-262)); a < 34 {
				f := 0.5 + 0.5*math.Cos(math.Pi*a/34)
				red, green, blue = red-46*f, green-66*f, blue-54*f
			}
			n := 3 * gauss(key+uint64(y*w+c))
			i := 3 * (y*w + c)
			g.px[i], g.px[i+1], g.px[i+2] = byte(clamp(red+n, 0, 255)), byte(clamp(green+n, 0, 255)), byte(clamp(blue+n, 0, 255))
		}
	}
	// A ruler with a tick every eight pixels, and a label in dark letters on white.
	fill := func(x0, y0, x1, y1 int, v byte) {
		for y := y0; y < y1; y++ {
			for c := x0; c < x1; c++ {
				g.set(c, y, v)
			}
		}
	}
	fill(60, 440, 420, 466, 236)
	for i := range 44 {
		long := 6
		if i%5 == 0 {
			long = 12
		}
		fill(66+8*i, 440, 68+8*i, 440+long, 24)
	}
	fill(444, 14, 628, 74, 244)
	g.ink = 20
	g.write(452, 22, 2, strings.ToUpper(ascii(x.p.Family)))
	g.write(452, 44, 2, x.p.MRN)

	o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY")
	o.Ints(dicom.TagSamplesPerPixel, 3)
	o.String(dicom.TagPhotometricInterpretation, "RGB")
	o.Ints(dicom.TagPlanarConfiguration, 0)
	o.Ints(dicom.TagRows, h)
	o.Ints(dicom.TagColumns, w)
	o.Ints(dicom.TagBitsAllocated, 8)
	o.Ints(dicom.TagBitsStored, 8)
	o.Ints(dicom.TagHighBit, 7)
	o.Ints(dicom.TagPixelRepresentation, 0)
	o.String(dicom.TagLossyImageCompression, "00")
	o.String(dicom.TagPatientOrientation, "L", "F")
	o.String(dicom.TagLaterality, "R")
	o.Sequence(dicom.TagAcquisitionContextSequence)
	o.Raw(dicom.TagPixelData, dicom.VROB, g.px)
	return x.finish(o, ts, photographStorage, "XC", series, 1, 1, x.at)
}
