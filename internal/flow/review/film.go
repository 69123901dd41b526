package review

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math"
	"strings"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/base/video"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// Film is what a video says of itself, for who decides on it, and which of its frames [Flow.Sheet] shows.
type Film struct {
	Broken string // why nothing of it is shown; empty: what follows is
	Absent bool   // because no ffmpeg is installed
	video.Info
	Tags   []Said
	Shown  []string // "frame 13, 0:02", in the order of the sheet
	Echoes int      // how often something known of the subject is in its texts
	About  bool     // frames are near the ones that are named
}

// frames is how many frames of a video are shown.
const frames = 14

// strip is the coded video of an object: its fragments one after the other, without the table of offsets (PS3.5 A.4).
func strip(o *delivery.Object) (io.ReaderAt, int64, error) {
	ds, err := o.Dataset()
	if err != nil {
		return nil, 0, err
	}
	i := ds.PixelData()
	if i < 0 || !deid.Video(ds) {
		return nil, 0, nil
	}
	v, err := o.Value(i)
	if err != nil {
		return nil, 0, err
	}
	var s spans
	for at := int64(0); at+8 <= v.Size(); {
		var h [8]byte
		if _, err := v.ReadAt(h[:], at); err != nil {
			return nil, 0, err
		}
		if binary.LittleEndian.Uint16(h[:]) != 0xFFFE || binary.LittleEndian.Uint16(h[2:]) != 0xE000 {
			break
		}
		n := int64(binary.LittleEndian.Uint32(h[4:]))
		if n > v.Size()-at-8 {
			break
		}
		if at > 0 && n > 0 {
			s.add(io.NewSectionReader(v, at+8, n))
		}
		at += 8 + n
	}
	return &s, s.size, nil
}

// spans are parts that are read as one.
type spans struct {
	parts []*io.SectionReader
	ends  []int64
	size  int64
}

func (s *spans) add(r *io.SectionReader) {
	s.size += r.Size()
	s.parts, s.ends = append(s.parts, r), append(s.ends, s.size)
}

func (s *spans) ReadAt(p []byte, off int64) (n int, err error) {
	for k, end := range s.ends {
		if off >= end || n == len(p) {
			continue
		}
		begin := end - s.parts[k].Size()
		want := min(int64(len(p)-n), end-off)
		m, err := s.parts[k].ReadAt(p[n:n+int(want)], off-begin)
		n, off = n+m, off+int64(m)
		if err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Film reads what the video of an item says of itself; nil where it has none. Each reading is in the audit log.
func (f *Flow) Film(ctx context.Context, who Caller, id catalogue.InstanceID) (*Film, error) {
	o, err := f.look(ctx, who, id)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	v, size, err := strip(o)
	if err != nil || v == nil {
		return nil, err
	}
	out := &Film{}
	if f.Videos == nil {
		out.Broken, out.Absent = "this node reads no videos", true
		return out, nil
	}
	info, err := f.Videos.Probe(ctx, v, size)
	if b, ok := errors.AsType[*video.Broken](err); ok {
		out.Broken = b.Reason
		return out, nil
	}
	if fault.Is(err, fault.Unavailable) {
		out.Broken, out.Absent = "ffmpeg is not installed on this node", true
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	lex, err := f.Custody.Lexicon(ctx, o.Subject)
	if err != nil {
		return nil, err
	}
	out.Info = info
	for _, t := range info.Tags {
		p, _ := pieces(t.Value, lex)
		out.Echoes += echoes(p)
		out.Tags = append(out.Tags, Said{t.Name, p})
	}
	var chosen []int64
	chosen, out.About = info.Chosen(frames)
	for _, n := range chosen {
		out.Shown = append(out.Shown, label(n, info.Rate))
	}
	return out, nil
}

func label(n int64, rate float64) string {
	s := fmt.Sprintf("frame %d", n)
	if rate > 0 {
		at := int(math.Round(float64(n-1) / rate))
		s += fmt.Sprintf(", %d:%02d", at/60, at%60)
	}
	return s
}

// Sheet draws frames of an item's video beside each other, with boxes over what looks like text, as a JPEG. Every one is in the audit log. The error of what cannot be drawn is a fault.Conflict.
func (f *Flow) Sheet(ctx context.Context, who Caller, id catalogue.InstanceID, w io.Writer) error {
	o, err := f.look(ctx, who, id)
	if err != nil {
		return err
	}
	defer o.Close()
	v, size, err := strip(o)
	if err != nil {
		return err
	}
	if v == nil || f.Videos == nil {
		return fault.New(fault.NotFound, policy.DecideHeld.String(), "", "there is no video that could be drawn")
	}
	conflict := func(err error) error {
		if b, ok := errors.AsType[*video.Broken](err); ok {
			return fault.New(fault.Conflict, "draw a video", "", b.Reason)
		}
		return err
	}
	info, err := f.Videos.Probe(ctx, v, size)
	if err != nil {
		return conflict(err)
	}
	ds, err := o.Dataset()
	if err != nil {
		return err
	}
	s := newSheet(info, burnin.HintsOf(ds))
	if err := f.Videos.Frames(ctx, v, size, info, frames, s.draw); err != nil {
		return conflict(err)
	}
	return jpeg.Encode(w, s.done(), &jpeg.Options{Quality: 92})
}

// sheet is a picture of frames in two columns.
type sheet struct {
	img    *image.RGBA
	cell   image.Point
	hints  burnin.Hints
	series burnin.Series
	scale  float64
	drawn  int
	rate   float64
}

const (
	cellWide = 960
	captions = 40 // height of a line below a frame
	gap      = 8
)

func newSheet(info video.Info, hints burnin.Hints) *sheet {
	chosen, _ := info.Chosen(frames)
	scale := min(1, float64(cellWide)/float64(info.Columns), 1600/float64(info.Rows))
	if info.Columns < cellWide/2 {
		scale = min(2, float64(cellWide)/float64(info.Columns), 1600/float64(info.Rows))
	}
	s := &sheet{scale: scale, hints: hints, rate: info.Rate, cell: image.Pt(max(1, int(float64(info.Columns)*scale)), max(1, int(float64(info.Rows)*scale)))}
	rows := (len(chosen) + 1) / 2
	s.img = image.NewRGBA(image.Rect(0, 0, 2*s.cell.X+gap, rows*(s.cell.Y+captions)))
	draw.Draw(s.img, s.img.Bounds(), image.NewUniform(color.RGBA{16, 18, 20, 255}), image.Point{}, draw.Src)
	return s
}

func (s *sheet) at(k int) image.Point {
	return image.Pt(k%2*(s.cell.X+gap), k/2*(s.cell.Y+captions))
}

// draw puts a frame into its place, with boxes over what looks like text.
func (s *sheet) draw(k int, f video.Frame) error {
	img := image.NewRGBA(image.Rect(0, 0, f.Columns, f.Rows))
	for i, j := 0, 0; i+2 < len(f.Pixels); i, j = i+3, j+4 {
		img.Pix[j], img.Pix[j+1], img.Pix[j+2], img.Pix[j+3] = f.Pixels[i], f.Pixels[i+1], f.Pixels[i+2], 255
	}
	p := s.at(k)
	to := image.Rectangle{p, p.Add(s.cell)}
	draw.ApproxBiLinear.Scale(s.img, to, img, img.Bounds(), draw.Src, nil)
	a := render.Attributes{Rows: f.Rows, Columns: f.Columns, Samples: 3, Allocated: 8, Stored: 8, HighBit: 7, Photometric: "RGB", Slope: 1, Aspect: 1}
	found, err := s.series.Look(&a, codec.Frame{Image: a.Image(), Pixels: f.Pixels}, s.hints)
	note := ""
	if err != nil {
		note = "; not searched for text"
	}
	for _, b := range found.Boxes {
		s.box(k, b.Rectangle, f)
	}
	s.caption(k, label(f.Number, s.rate)+note)
	s.drawn = k + 1
	return nil
}

func (s *sheet) box(k int, b image.Rectangle, f video.Frame) {
	p := s.at(k)
	x := func(v int) int { return p.X + v*s.cell.X/max(1, f.Columns) }
	y := func(v int) int { return p.Y + v*s.cell.Y/max(1, f.Rows) }
	r := image.Rect(x(b.Min.X), y(b.Min.Y), x(b.Max.X), y(b.Max.Y)).Intersect(image.Rectangle{p, p.Add(s.cell)})
	red := image.NewUniform(color.RGBA{255, 80, 64, 255})
	const thick = 3
	for _, edge := range [...]image.Rectangle{{r.Min, image.Pt(r.Max.X, r.Min.Y+thick)}, {image.Pt(r.Min.X, r.Max.Y-thick), r.Max}, {r.Min, image.Pt(r.Min.X+thick, r.Max.Y)}, {image.Pt(r.Max.X-thick, r.Min.Y), r.Max}} {
		draw.Draw(s.img, edge.Intersect(r), red, image.Point{}, draw.Src)
	}
}

// caption writes below a frame, twice as large as the font is.
func (s *sheet) caption(k int, text string) {
	small := image.NewRGBA(image.Rect(0, 0, 7*len(text)+4, 16))
	d := font.Drawer{Dst: small, Src: image.NewUniform(color.RGBA{225, 228, 230, 255}), Face: basicfont.Face7x13, Dot: fixed.P(2, 12)}
	d.DrawString(strings.ToValidUTF8(text, "?"))
	p := s.at(k).Add(image.Pt(4, s.cell.Y+4))
	draw.NearestNeighbor.Scale(s.img, image.Rectangle{p, p.Add(small.Bounds().Size().Mul(2))}.Intersect(s.img.Bounds()), small, small.Bounds(), draw.Over, nil)
}

// done is the sheet with boxes over what stands still in every frame.
func (s *sheet) done() image.Image {
	for _, b := range s.series.Constant() {
		for k := range s.drawn {
			s.box(k, b.Rectangle, video.Frame{Columns: int(float64(s.cell.X)/s.scale + 0.5), Rows: int(float64(s.cell.Y)/s.scale + 0.5)})
		}
	}
	return s.img
}
