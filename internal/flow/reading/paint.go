package reading

import (
	"context"
	"errors"
	"image"
	"io"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// rounds is how often a frame is painted and read again.
const rounds = 3

// painter paints what was seen, and reads every frame that it has painted again.
func (f *Flow) painter(s *seen) custody.Painter {
	return func(ctx context.Context, p custody.Pixels, w io.Writer) (*custody.Painting, []custody.Reason, error) {
		x, err := newFilm(p, f.Codecs)
		if err == nil && x.frames.Count() != len(s.frames) {
			err = errors.New("the image has other frames than were read")
		}
		if err == nil && !x.frames.Encapsulated() && len(s.frames) > 1 {
			if n, _ := p.Data.Int(dicom.TagBitsAllocated); n == 1 {
				err = &errUnread{"frames of one bit that share bytes are not painted over"}
			}
		}
		if err == nil {
			out := roll{w: w, x: x, person: s.person, only: s.drawn != nil && s.drawn.Only, left: s.left}
			err = out.write(ctx, s)
			if err == nil {
				did := &custody.Painting{Reader: s.reader, Frames: len(s.frames), Boxes: runs(out.painted), Stripped: out.stripped}
				if s.drawn != nil {
					did.Drawn, did.Chosen = s.drawn.Drawn, s.drawn.Only
					did.Left = runs(out.still)
					did.Left = did.Left[:min(len(did.Left), custody.MaxBoxes)]
				}
				return did, nil, nil
			}
		}
		if u, ok := errors.AsType[*errUnread](err); ok {
			return nil, []custody.Reason{{Code: deid.CodeUnsure, Where: pixelData, Text: u.reason}}, nil
		}
		return nil, nil, err
	}
}

// roll writes the pixel data of an image anew.
type roll struct {
	w        io.Writer
	x        *film
	painted  [][]image.Rectangle // by frame
	person   bool                // somebody answers for what cannot be told
	only     bool                // and for what is not painted
	left     [][]image.Rectangle // by frame, what that was before painting
	still    [][]image.Rectangle // by frame, what it is after
	stripped int                 // frames whose code streams lost comments or application data
	less     bool                // the frame that was made last did
}

func (r *roll) write(ctx context.Context, s *seen) error {
	type done struct {
		bytes []byte
		boxes []image.Rectangle
		still []image.Rectangle
	}
	var last done
	var of []byte // what last was made of
	var written int64
	fragments := codec.NewFragments(r.w, len(s.frames))
	for k := range s.frames {
		if err := ctx.Err(); err != nil {
			return err
		}
		stored, err := r.x.stored(k)
		if err != nil {
			return err
		}
		if k == 0 || !same(stored, of) || !equal(s.frames[k], s.frames[k-1]) {
			b, boxes, still, err := r.frame(ctx, k, stored, s.frames[k])
			if err != nil {
				return err
			}
			last, of = done{b, boxes, still}, stored
		}
		if r.less {
			r.stripped++
		}
		r.painted, r.still = append(r.painted, last.boxes), append(r.still, last.still)
		if r.x.frames.Encapsulated() {
			err = fragments.Add(last.bytes)
		} else {
			written += int64(len(last.bytes))
			_, err = r.w.Write(last.bytes)
		}
		if err != nil {
			return err
		}
	}
	if r.x.frames.Encapsulated() {
		return fragments.Close()
	}
	// What lay behind the frames is no picture: nothing of it stays but its length.
	zeros := make([]byte, 32<<10)
	for left := r.x.pixels.Size - written; left > 0; {
		n, err := r.w.Write(zeros[:min(left, int64(len(zeros)))])
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

func same(a, b []byte) bool { return len(a) == len(b) && string(a) == string(b) }

func equal(a, b []image.Rectangle) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// frame is frame k without what must not stay, in its transfer syntax, what was painted of it, and what else looks like text in it and was left, because somebody answers for it.
func (r *roll) frame(ctx context.Context, k int, stored []byte, boxes []image.Rectangle) (out []byte, painted, still []image.Rectangle, err error) {
	a, err := render.AttributesOfFrame(r.x.pixels.Data, k)
	if err != nil {
		return nil, nil, nil, unread(err)
	}
	of := a.Image()
	var b []byte
	if r.x.frames.Encapsulated() {
		if b, err = codec.Strip(r.x.syntax, stored); err != nil {
			return nil, nil, nil, unread(err)
		}
		r.less = len(b) < len(stored)-1 // beyond a byte of padding
	} else {
		b = append([]byte(nil), stored...)
		codec.ClearUnused(of, b, r.x.syntax.BigEndian)
	}
	if len(boxes) == 0 {
		if r.only {
			still = r.left[k]
		}
		return b, nil, still, nil
	}
	for range rounds {
		m, err := r.x.codecs.Mask(ctx, r.x.syntax, of, b, boxes, a.Black())
		if err != nil {
			return nil, nil, nil, unpaintable(err)
		}
		again, err := r.x.read(ctx, k, m.Bytes, burnin.Again)
		if err != nil {
			return nil, nil, nil, err
		}
		left := beyond(again, m.Boxes)
		if r.only {
			return m.Bytes, m.Boxes, left, nil
		}
		if again.Unsure != "" && !r.person && !r.x.sliced {
			return nil, nil, nil, &errUnread{again.Unsure}
		}
		if len(left) == 0 || again.Unsure != "" {
			return m.Bytes, m.Boxes, nil, nil
		}
		boxes = append(append([]image.Rectangle(nil), boxes...), left...)
	}
	return nil, nil, nil, &errUnread{"text is found again after it has been painted over"}
}

func unpaintable(err error) error {
	if u, ok := errors.AsType[*codec.Unsupported](err); ok {
		return &errUnread{"its pixels cannot be painted over: " + u.Reason}
	}
	return unread(err)
}

// beyond are boxes of what is found that what was painted does not cover.
func beyond(f burnin.Found, painted []image.Rectangle) []image.Rectangle {
	var left []image.Rectangle
	for _, b := range f.Boxes {
		covered := false
		for _, p := range painted {
			covered = covered || b.In(p)
		}
		if !covered {
			left = append(left, b.Rectangle)
		}
	}
	return left
}
