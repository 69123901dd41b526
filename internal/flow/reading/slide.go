package reading

import (
	"bytes"
	"context"
	"errors"
	"image"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// A slide's label, overview, thumbnail and localizer are pictures as others are. Its tiles are not: there may be a hundred thousand of some gigabytes, and what is written on the
// glass is larger than any of them. So the level with fewest pixels is drawn as one coarse picture, which is looked at, and the code streams of every tile of every level lose comments and
// application data, one tile in memory at a time.

const (
	// maxTiles bounds the tiles of one level.
	maxTiles = 2_000_000
	// coarse is the most columns or rows of the picture that is looked at.
	coarse = 2048
	// drawable is how many pixels a level has at most to be drawn: a second or two of decoding for each ten million.
	drawable = 64 << 20
	// maxPlanes bounds the focal planes and optical paths of a level that are looked at, each by itself.
	maxPlanes = 8
)

func isSlide(class string) bool { return class == "1.2.840.10008.5.1.4.1.1.77.1.6" }

// level is an instance of a slide's tiles.
type level struct {
	l      catalogue.Located
	pixels int64 // of its total matrix
}

// slide reads the instances of one series of a slide, and does what follows for each.
func (f *Flow) slide(ctx context.Context, id catalogue.SeriesID, page []catalogue.Located) (done int, err error) {
	var pictures []catalogue.Located
	var levels []level
	for _, l := range page {
		tiles, pixels, err := f.matrix(ctx, l)
		switch {
		case ctx.Err() != nil:
			return done, ctx.Err()
		case err != nil:
			f.Log.Error("the pixels of an instance could not be read", "instance", l.ID, "error", err)
		case tiles:
			levels = append(levels, level{l: l, pixels: pixels})
		default:
			pictures = append(pictures, l)
		}
	}
	if done, err = f.pictures(ctx, pictures); err != nil || len(levels) == 0 {
		return done, err
	}
	least := levels[0]
	for _, v := range levels {
		if v.pixels < least.pixels {
			least = v
		}
	}
	// Levels that were read before belong to the same slide; one of them may be the coarsest.
	earlier, err := f.Catalogue.ReadOf(ctx, id, 0, catalogue.MaxLimit)
	if err != nil {
		return done, err
	}
	for _, l := range earlier {
		if tiles, pixels, err := f.matrix(ctx, l); err == nil && tiles && pixels < least.pixels {
			least = level{l: l, pixels: pixels}
		}
	}
	why := f.written(ctx, least)
	if err := ctx.Err(); err != nil {
		return done, err
	}
	for _, v := range levels {
		s, err := f.tiles(ctx, v.l)
		if err == nil {
			err = f.act(ctx, v.l, s, why...)
		}
		if err != nil {
			if ctx.Err() != nil {
				return done, ctx.Err()
			}
			f.Log.Error("the pixels of an instance could not be cleaned", "instance", v.l.ID, "error", err)
			continue
		}
		done++
	}
	return done, nil
}

// matrix tells the tiles of a level from its other pictures, and how many pixels they make.
func (f *Flow) matrix(ctx context.Context, l catalogue.Located) (tiles bool, pixels int64, err error) {
	p, done, err := f.Custody.Pixels(ctx, l)
	if err != nil {
		return false, 0, err
	}
	defer done()
	kind := ""
	if i := p.Data.Find(dicom.TagImageType); i >= 0 {
		if v := p.Data.Strings(i); len(v) > 2 {
			kind = strings.TrimSpace(v[2])
		}
	}
	if n, ok := p.Data.Int(dicom.TagNumberOfFrames); kind != "VOLUME" && (!ok || n < 2) { // tiles of whatever kind are tiles
		return false, 0, nil
	}
	w, _ := p.Data.Int(dicom.TagTotalPixelMatrixColumns)
	h, _ := p.Data.Int(dicom.TagTotalPixelMatrixRows)
	if w < 1 || h < 1 || w > 1<<30 || h > 1<<30 {
		return true, 1 << 60, nil
	}
	return true, w * h, nil
}

// written says why a person has to look at a slide, by its coarsest level: text was found in it, or it cannot be told. Painting that level would leave the others.
func (f *Flow) written(ctx context.Context, v level) []catalogue.Reason {
	say := func(text string) []catalogue.Reason {
		return []catalogue.Reason{{Code: deid.CodeUnsure, Where: pixelData, Text: text}}
	}
	if v.pixels > drawable {
		return say("no level of the slide is small enough to be looked at as a whole")
	}
	found, err := f.overview(ctx, v.l)
	if u, ok := errors.AsType[*errUnread](err); ok {
		return say(u.reason)
	}
	if err != nil {
		if ctx.Err() == nil {
			f.Log.Error("a slide could not be looked at", "instance", v.l.ID, "error", err)
		}
		return say("the slide could not be looked at as a whole")
	}
	if found {
		return say("text was found on the slide at low resolution; it is in its other levels, too")
	}
	return nil
}

// tiles reads the code streams of every tile, and says whether they carry what is no picture.
func (f *Flow) tiles(ctx context.Context, l catalogue.Located) (*seen, error) {
	p, done, err := f.Custody.Pixels(ctx, l)
	if err != nil {
		return nil, err
	}
	defer done()
	s := &seen{}
	x, err := newFilm(p, f.Codecs)
	if err == nil {
		s.frames, s.weak = make([][]image.Rectangle, x.frames.Count()), make([][]image.Rectangle, x.frames.Count())
		begun := time.Now()
		for k := range x.frames.Count() {
			if !x.frames.Encapsulated() || s.strip {
				break
			}
			if k%256 == 255 {
				f.giveWay(ctx, time.Since(begun))
				begun = time.Now()
			}
			if err = ctx.Err(); err != nil {
				return nil, err
			}
			var b, clean []byte
			if b, err = x.stored(k); err != nil {
				break
			}
			if clean, err = codec.Strip(x.syntax, b); err != nil {
				err = unread(err)
				break
			}
			s.strip = !bytes.Equal(clean, b)
		}
	}
	if u, ok := errors.AsType[*errUnread](err); ok {
		s.unsure = u.reason
		return s, nil
	}
	s.whole = err == nil
	return s, err
}

// overview draws the tiles of a level as one coarse picture for each plane, and says whether there is text in one of them.
func (f *Flow) overview(ctx context.Context, l catalogue.Located) (text bool, err error) {
	begun := time.Now()
	defer func() { f.giveWay(ctx, time.Since(begun)) }()
	p, done, err := f.Custody.Pixels(ctx, l)
	if err != nil {
		return false, err
	}
	defer done()
	x, err := newFilm(p, f.Codecs)
	if err != nil {
		return false, err
	}
	number := func(t dicom.Tag) int { n, _ := p.Data.Int(t); return int(n) }
	w, h, tw, th := number(dicom.TagTotalPixelMatrixColumns), number(dicom.TagTotalPixelMatrixRows), number(dicom.TagColumns), number(dicom.TagRows)
	if w < 1 || h < 1 || tw < 1 || th < 1 || int64(w)*int64(h) > drawable {
		return false, &errUnread{"it does not say how its tiles lie"}
	}
	across, down := (w+tw-1)/tw, (h+th-1)/th
	places := placesOf(p.Data, x.frames.Count())
	planes := 1
	if places == nil {
		planes = (x.frames.Count() + across*down - 1) / (across * down)
	}
	if planes > maxPlanes || x.frames.Count() > maxFrames {
		return false, &errUnread{"it has more planes of tiles than are looked at"}
	}
	var c *canvas
	for k := range x.frames.Count() {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		b, err := x.stored(k)
		if err != nil {
			return false, err
		}
		a, err := render.AttributesOfFrame(p.Data, k)
		if err != nil {
			return false, unread(err)
		}
		tile, err := x.codecs.Decode(ctx, x.syntax, a.Image(), b)
		if err != nil {
			return false, unread(err)
		}
		if tile.Allocated != 8 || a.Float {
			return false, &errUnread{"tiles of other than 8 bits are not looked at"}
		}
		if c == nil {
			c = newCanvas(w, h, tile.Samples)
		}
		i := k % (across * down)
		at := [2]int{i % across * tw, i / across * th}
		if places != nil {
			at = places[k]
		}
		if !c.add(tile, at) {
			return false, &errUnread{"it does not say how its tiles lie"}
		}
		if last := k == x.frames.Count()-1; last || places == nil && i == across*down-1 {
			picture := c.picture(tile.Image)
			a.Rows, a.Columns = picture.Rows, picture.Columns
			found, err := burnin.Look(&a, picture, burnin.Hints{})
			if err != nil {
				return false, unread(err)
			}
			if len(found.Boxes) > 0 && found.Unsure == "" {
				return true, nil
			}
			c = nil
		}
	}
	return false, nil
}

// placesOf is where tiles lie that say so themselves (PS3.3 C.8.12.6), column and row of the total matrix from 0; nil: they lie side by side.
func placesOf(d *dicom.Dataset, count int) [][2]int {
	if strings.TrimSpace(d.String(dicom.TagDimensionOrganizationType)) == "TILED_FULL" {
		return nil
	}
	groups := d.Find(dicom.TagPerFrameFunctionalGroupsSequence)
	if groups < 0 {
		return nil
	}
	var all [][2]int
	for item := range d.Children(groups) {
		at := [2]int{-1, -1}
		if s := d.FindIn(item, dicom.TagPlanePositionSlideSequence); s >= 0 {
			for i := range d.Children(s) {
				for c, t := range [2]dicom.Tag{dicom.TagColumnPositionInTotalImagePixelMatrix, dicom.TagRowPositionInTotalImagePixelMatrix} {
					if e := d.FindIn(i, t); e >= 0 {
						if v := d.Ints(e); len(v) > 0 && v[0] >= 1 && v[0] <= 1<<30 {
							at[c] = int(v[0]) - 1
						}
					}
				}
				break
			}
		}
		all = append(all, at)
	}
	if len(all) != count {
		return nil
	}
	return all
}

// canvas gathers tiles in a picture of fewer pixels, each the mean of what it covers.
type canvas struct {
	factor, w, h, samples int
	sum                   []uint32
	n                     []uint32
}

func newCanvas(w, h, samples int) *canvas {
	c := &canvas{factor: (max(w, h) + coarse - 1) / coarse, samples: samples}
	c.w, c.h = (w+c.factor-1)/c.factor, (h+c.factor-1)/c.factor
	c.sum, c.n = make([]uint32, c.w*c.h*samples), make([]uint32, c.w*c.h)
	return c
}

// add puts a tile at a column and a row of the total matrix; what reaches beyond it is padding.
func (c *canvas) add(t codec.Frame, at [2]int) bool {
	if at[0] < 0 || at[1] < 0 || t.Samples != c.samples || len(t.Pixels) < t.Rows*t.Columns*t.Samples {
		return false
	}
	plane := t.Rows * t.Columns
	for y := range t.Rows {
		Y := (at[1] + y) / c.factor
		if Y >= c.h {
			break
		}
		for x := range t.Columns {
			X := (at[0] + x) / c.factor
			if X >= c.w {
				break
			}
			i := Y*c.w + X
			c.n[i]++
			for s := range c.samples {
				from := (y*t.Columns+x)*c.samples + s
				if t.Planar {
					from = s*plane + y*t.Columns + x
				}
				c.sum[i*c.samples+s] += uint32(t.Pixels[from])
			}
		}
	}
	return true
}

// picture is the canvas as a frame of the tiles' kind. Where no tile lies there is glass: as light as the lightest.
func (c *canvas) picture(of codec.Image) codec.Frame {
	of.Rows, of.Columns, of.Planar, of.Allocated, of.Stored, of.HighBit, of.Signed = c.h, c.w, false, 8, 8, 7, false
	f := codec.Frame{Image: of, Pixels: make([]byte, c.w*c.h*c.samples)}
	for i, n := range c.n {
		for s := range c.samples {
			v := uint32(255)
			if n > 0 {
				v = c.sum[i*c.samples+s] / n
			} else if s > 0 && strings.HasPrefix(of.Photometric, "YBR") {
				v = 128
			}
			f.Pixels[i*c.samples+s] = byte(v)
		}
	}
	return f
}
