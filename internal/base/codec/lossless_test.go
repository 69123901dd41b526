package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"math/rand/v2"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// losslessImage describes an image of so many bits, and draws one.
func losslessImage(r *rand.Rand, precision, samples int, size image.Point) (Image, []byte) {
	of := Image{Rows: size.Y, Columns: size.X, Samples: samples, Allocated: 8, Stored: precision, HighBit: precision - 1, Photometric: "MONOCHROME2"}
	if precision > 8 {
		of.Allocated = 16
	}
	if samples == 3 {
		of.Photometric = "RGB"
	}
	pixels := make([]byte, of.size())
	v := 0
	for i := range size.X * size.Y * samples {
		switch r.IntN(4) {
		case 0:
			v = r.IntN(1 << precision)
		case 1:
			v = min(max(v+r.IntN(5)-2, 0), 1<<precision-1)
		case 2: // the greatest differences
			v = r.IntN(2) * (1<<precision - 1)
		}
		if of.Allocated == 8 {
			pixels[i] = byte(v)
		} else {
			binary.LittleEndian.PutUint16(pixels[2*i:], uint16(v))
		}
	}
	return of, pixels
}

// What is written without loss is read back by libjpeg, sample by sample, whatever the predictor and depth.
func TestMaskJPEGLossless(t *testing.T) {
	pool := testPool(t)
	r := rand.New(rand.NewPCG(13, 14))
	syntax, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.4.57")
	for _, precision := range []int{2, 7, 8, 9, 12, 15, 16} {
		for _, samples := range []int{1, 3} {
			for predictor := range byte(7) {
				of, pixels := losslessImage(r, precision, samples, image.Pt(1+r.IntN(40), 1+r.IntN(40)))
				name := fmt.Sprintf("%d bits, %d samples, predictor %d", precision, samples, predictor+1)
				o := losslessOf{precision: precision, predictor: predictor + 1, names: []byte{1, 2, 3}[:samples]}
				frame := o.encode(&Frame{of, pixels})
				before, err := pool.Decode(t.Context(), syntax, of, bytes.Clone(frame))
				if err != nil || !bytes.Equal(before.Pixels, pixels) {
					t.Errorf("%s: it is read otherwise: %v", name, err)
					continue
				}
				box := randomBox(r, of)
				fill := Black(of)
				if samples == 3 {
					fill = [4]uint32{1, 2, 3}
				}
				got, err := pool.Mask(t.Context(), syntax, of, frame, []image.Rectangle{box}, fill)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				after, err := pool.Decode(t.Context(), syntax, of, bytes.Clone(got.Bytes))
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				for i := range of.Rows * of.Columns {
					for c := range samples {
						want := before.value(i, c)
						if within(got.Boxes, i%of.Columns, i/of.Columns) {
							want = int64(fill[c])
						}
						if v := after.value(i, c); v != want {
							t.Fatalf("%s: sample %d of pixel %d is %d instead of %d", name, c, i, v, want)
						}
					}
				}
				// A point transform drops bits: what is decoded is not what was there.
				lossy := bytes.Clone(frame)
				at := bytes.Index(lossy, []byte{0xff, markerSOS}) + 4 + 1 + 2*samples + 2
				lossy[at] = 1
				if _, err := pool.Mask(t.Context(), syntax, of, lossy, []image.Rectangle{box}, fill); err == nil {
					t.Errorf("%s: a point transform is masked", name)
				} else if precision > 2 && !errors.As(err, new(*Unsupported)) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}
