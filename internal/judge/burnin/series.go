package burnin

import (
	"crypto/sha256"
	"encoding/binary"
	"image"

	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/find"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/view"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// Series looks at the frames of one series or cine loop, one after the other. Frames that are the same byte by byte are looked at once. What stays constant over
// frames while the image around it changes is burned in, and [Series.Constant] tells where. The zero Series is ready. It is not for use by several goroutines.
type Series struct {
	seen          map[[sha256.Size]byte]Found
	w, h, samples int
	lo, hi        []uint8 // of each pixel's light, over the frames
	first         find.Grey
	frames        int
	mixed         bool // frames of several shapes: nothing is known to be constant
}

// maxSeen bounds how many different frames are remembered.
const maxSeen = 4096

// Look finds text in a frame, and takes note of it. Errors are those of [Look].
func (s *Series) Look(a *render.Attributes, f codec.Frame, hints Hints) (Found, error) {
	hash := sha256.New()
	var shape [9]byte
	binary.LittleEndian.PutUint32(shape[:], uint32(f.Rows))
	binary.LittleEndian.PutUint32(shape[4:], uint32(f.Columns))
	shape[8] = byte(f.Samples)
	hash.Write(shape[:])
	hash.Write(f.Pixels)
	key := [sha256.Size]byte(hash.Sum(nil))
	if found, ok := s.seen[key]; ok {
		return found, nil
	}
	found, err := Look(a, f, hints)
	if err != nil {
		return found, err
	}
	if s.seen == nil {
		s.seen = map[[sha256.Size]byte]Found{}
	}
	if len(s.seen) < maxSeen {
		s.seen[key] = found
	}
	s.note(f)
	return found, nil
}

// note takes the frame into what is known of each pixel.
func (s *Series) note(f codec.Frame) {
	light, err := view.Light(f)
	if err != nil || s.mixed {
		return
	}
	if s.frames == 0 {
		s.w, s.h, s.samples, s.first = light.W, light.H, f.Samples, light
		s.lo, s.hi = append([]uint8(nil), light.Pix...), append([]uint8(nil), light.Pix...)
		s.frames = 1
		return
	}
	if light.W != s.w || light.H != s.h || f.Samples != s.samples {
		s.mixed = true
		return
	}
	s.frames++
	for i, v := range light.Pix {
		s.lo[i], s.hi[i] = min(s.lo[i], v), max(s.hi[i], v)
	}
}

// still is the greatest difference over the frames of a pixel that is constant: lossy compression moves it by some.
const still = 6

// Constant is where text stands in every frame: what is constant among pixels that change, with the shape of text; and what may be text in the first frame and
// is constant. It needs three different frames of one shape at least, of which a tenth of the pixels change; else it is empty.
func (s *Series) Constant() []Box {
	if s.mixed || s.frames < 3 {
		return nil
	}
	g := find.Grey{W: s.w, H: s.h, Pix: make([]uint8, s.w*s.h)}
	changed := 0
	for i := range g.Pix {
		if s.hi[i]-s.lo[i] > still {
			changed++
		} else {
			g.Pix[i] = 255
		}
	}
	if changed*10 < len(g.Pix) {
		return nil
	}
	out := newSheet(s.w, s.h)
	add := func(g find.Grey, least float32, fits func(image.Rectangle) bool) {
		regions := model.Find(g, 0)
		for i, o := range judged.supported(regions) {
			if o >= least && fits(regions[i].Bounds()) {
				out.add(&judged, &regions[i], o)
			}
		}
	}
	add(g, judged.sure, func(image.Rectangle) bool { return true })
	add(s.first, judged.likely, s.constant)
	return out.boxes(Constant)
}

// constant tells whether most of the bright or dark pixels of a box are constant.
func (s *Series) constant(b image.Rectangle) bool {
	b = b.Intersect(image.Rect(0, 0, s.w, s.h))
	n := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if i := y*s.w + x; s.hi[i]-s.lo[i] <= still {
				n++
			}
		}
	}
	return n*10 >= b.Dx()*b.Dy()*9
}
