package reading

import (
	"context"
	"errors"
	"image"

	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// Who draws boxes has looked at the picture. With Only, they answer for what is not painted: what is painted is read again all the same, and what is found in it goes into the
// record and changes nothing. Otherwise what a reading finds is painted besides, until it finds no more, as without anybody.

// draw puts the boxes that somebody gave beside what was found, or in its place. It says why that cannot be; empty: it can.
func (s *seen) draw(b *custody.Boxes) string {
	if err, ok := errors.AsType[*fault.Error](b.Check(s.size.X, s.size.Y, len(s.frames))); ok {
		return err.Reason
	}
	drawn := byFrame(b.Drawn, len(s.frames))
	if drawn == nil {
		return "there are more boxes in more frames than are worked with"
	}
	s.drawn = &custody.Boxes{Drawn: make([]catalogue.FoundBox, len(b.Drawn)), Only: b.Only}
	for k, d := range b.Drawn {
		if d.Last == 0 {
			d.Last = len(s.frames)
		}
		s.drawn.Drawn[k] = d
	}
	if b.Only {
		s.frames, s.left = drawn, s.frames
		return ""
	}
	total := 0
	for k, found := range s.frames {
		if len(found) == 0 {
			s.frames[k] = drawn[k]
			continue
		}
		s.frames[k] = append(append([]image.Rectangle(nil), drawn[k]...), found...)
		if total += len(s.frames[k]); total > maxTogether {
			return "there are more boxes in more frames than are worked with"
		}
	}
	return ""
}

// Show draws a frame of an instance, counted from 1, as it would be with the boxes of that frame painted over: masked as it is stored, and decoded again. A frame that cannot be painted
// over, or drawn, is a [*codec.Unsupported] or [*codec.Broken].
func (f *Flow) Show(ctx context.Context, l catalogue.Located, frame int, boxes []catalogue.FoundBox, opts render.Options) (image.Image, error) {
	b := custody.Boxes{Drawn: boxes}
	if err := b.Check(int(l.Columns), int(l.Rows), int(max(l.Frames, 1))); err != nil {
		return nil, err
	}
	p, done, err := f.Custody.Pixels(ctx, l)
	if err != nil {
		return nil, err
	}
	defer done()
	unshown := func(err error) (image.Image, error) {
		if u, ok := errors.AsType[*errUnread](err); ok {
			return nil, &codec.Unsupported{Reason: u.reason}
		}
		return nil, err
	}
	x, err := newFilm(p, f.Codecs)
	if err != nil {
		return unshown(err)
	}
	if frame < 1 || frame > x.frames.Count() {
		return nil, fault.New(fault.NotFound, "draw what would be painted", "instance "+l.ID.String(), "it has no such frame")
	}
	stored, err := x.stored(frame - 1)
	if err != nil {
		return unshown(err)
	}
	a, err := render.AttributesOfFrame(p.Data, frame-1)
	if err != nil {
		return nil, err
	}
	var here []image.Rectangle
	for _, d := range boxes {
		if d.First <= frame && (d.Last == 0 || frame <= d.Last) {
			here = append(here, rectangle(d))
		}
	}
	if len(here) > 0 {
		m, err := f.Codecs.Mask(ctx, x.syntax, a.Image(), stored, here, a.Black())
		if err != nil {
			return nil, err
		}
		stored = m.Bytes
	}
	d, err := f.Codecs.Decode(ctx, x.syntax, a.Image(), stored)
	if err != nil {
		return nil, err
	}
	a.Planar, a.Photometric = d.Planar, d.Photometric
	return render.DrawSamples(a, d.Pixels, opts)
}

func rectangle(d catalogue.FoundBox) image.Rectangle {
	return image.Rect(d.Box[0], d.Box[1], d.Box[2], d.Box[3])
}

// maxTogether bounds what boxes come to where they change from frame to frame: the boxes of every run of frames that has the same ones.
const maxTogether = 1 << 20

// byFrame are boxes by frame, from 0. Frames in a row with the same boxes share them. It is nil if that comes to more than is worked with.
func byFrame(drawn []catalogue.FoundBox, count int) [][]image.Rectangle {
	all := make([][]image.Rectangle, count)
	changes := make([]bool, count+1)
	for _, d := range drawn {
		changes[min(d.First-1, count)] = true
		if d.Last > 0 {
			changes[min(d.Last, count)] = true
		}
	}
	total := 0
	for k := range all {
		if k > 0 && !changes[k] {
			all[k] = all[k-1]
			continue
		}
		for _, d := range drawn {
			if d.First <= k+1 && (d.Last == 0 || k+1 <= d.Last) {
				all[k] = append(all[k], rectangle(d))
			}
		}
		if total += len(all[k]); total > maxTogether {
			return nil
		}
	}
	return all
}
