// Package burnin finds text that is burned into the pixels of an image, or may be, so that it can be masked.
//
// It promises: what it is given may be anything, and makes an error at worst; the same frame gives the same boxes; nothing that is read in a picture leaves the
// package, for nothing is read: it knows where text is, not what it says. What it cannot decide it says to be unsure of, for a person to look at.
//
// Text is found by its texture, in views of the frame that together show what any window could (package view), by a small net and two forests (package find) that were
// trained on drawn pictures alone. docs/burned-in-text.md tells how well, and where it fails.
package burnin

import (
	_ "embed"
	"image"
	"math"
	"slices"

	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/find"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/view"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// Version names what finds: its method, net, forests and thresholds. It changes with whatever changes what is found.
const Version = "6"

// Source is why a box is to be masked.
type Source uint8

// The sources.
const (
	Text     Source = iota // it looks like text
	Region                 // it may be text, and lies outside the ultrasound regions
	Rule                   // the layout of a scanner
	Constant               // it stays as it is while the image around it changes
	Other                  // another reader than this package says so
)

func (s Source) String() string {
	switch s {
	case Text:
		return "text"
	case Region:
		return "region"
	case Rule:
		return "rule"
	case Constant:
		return "constant"
	case Other:
		return "other"
	}
	return "unknown"
}

// Box is a rectangle of columns and rows of the frame; Max lies outside. Strength is how sure it is, from 0 to 1.
type Box struct {
	image.Rectangle
	Source   Source
	Strength float64
}

// Found is what was found in a frame.
type Found struct {
	Boxes  []Box  // grown by a margin, so that soft edges are covered; they may touch or overlap if their sources differ
	Unsure string // why a person should look, without anything of the image in it; empty: no reason
}

// Reasons to be unsure.
const (
	unsureFaint = "something in the image may be text"
	unsureMuch  = "much of the image looks like text"
)

//go:embed model.bin
var trained []byte

var model = func() *find.Model {
	m, err := find.ReadModel(trained)
	if err != nil {
		panic(err)
	}
	return m
}()

// A judgement is what odds, as logarithms, lead to.
type judgement struct {
	sure    float32 // that it is masked
	likely  float32 // that it is masked if there is other text in the frame
	beyond  float32 // that it is masked outside the ultrasound regions
	suspect float32 // that a person should look, if there is no other text
	often   float32 // the same of images of a kind that often has text: panels of screens look like it
	support float32 // how much of the odds on other levels and in other views counts
	lonely  float32 // what counts where nothing else supports it
	keep    float32 // of a region's cells, what is no part of the text falls below it
	grow    float32 // that a cell beside a region continues its text
	wary    float32 // the same of a region that is not sure
	side    float32 // that a cell above or below it does
	along   float32 // margin along a line, in cells
	across  float32
}

// judged was chosen with pictures of the kinds that the forests were trained on, never with those that figures are given for.
var judged = judgement{sure: 3.4, likely: -2.5, beyond: -1, suspect: -0.3, often: -0.5, support: 0.25, lonely: -3, keep: 0, grow: -2, wary: -1.5, side: 0, along: 1, across: 0.5}

// Look finds text in one decoded frame. a says how its samples are meant; f is what package codec decoded. Errors are [*codec.Broken] and [*codec.Unsupported]: a frame
// that could not be looked at is not clean.
func Look(a *render.Attributes, f codec.Frame, hints Hints) (Found, error) {
	return lookAt(a, f, hints, false)
}

// Again is [Look] at a frame in which text has been masked. Where there was text there may well be more, so less is enough for it: the rest of a line whose other half was clearer.
func Again(a *render.Attributes, f codec.Frame, hints Hints) (Found, error) {
	return lookAt(a, f, hints, true)
}

func lookAt(a *render.Attributes, f codec.Frame, hints Hints, again bool) (Found, error) {
	regions, err := regionsOf(a, f)
	if err != nil {
		return Found{}, err
	}
	return judged.decide(f.Columns, f.Rows, regions, hints, again), nil
}

// Picture is a frame as 8-bit greys row by row, the first of the pictures that this package looks at, for another reader. Errors are those of [Look].
func Picture(a *render.Attributes, f codec.Frame) (width, height int, grey []byte, err error) {
	views, err := view.Of(a, f)
	if err != nil {
		return 0, 0, nil, err
	}
	return views[0].W, views[0].H, views[0].Pix, nil
}

// regionsOf is what of a frame has the texture of text, with the odds.
func regionsOf(a *render.Attributes, f codec.Frame) ([]find.Region, error) {
	views, err := view.Of(a, f)
	if err != nil {
		return nil, err
	}
	var regions []find.Region
	for k, g := range views {
		regions = append(regions, model.Find(g, k)...)
	}
	return regions, nil
}

// supported adds to the odds of each region what the same place is worth on other levels and in other views: text is text at half the size, noise seldom is.
func (j *judgement) supported(regions []find.Region) []float32 {
	odds := make([]float32, len(regions))
	for i := range regions {
		r := &regions[i]
		b := r.Bounds()
		best := j.lonely
		for k := range regions {
			o := &regions[k]
			if o.Level == r.Level && o.View == r.View {
				continue
			}
			c := o.Bounds()
			if n := c.Intersect(b); n.Dx()*n.Dy()*4 > min(b.Dx()*b.Dy(), 4*c.Dx()*c.Dy()) {
				best = max(best, o.Odds)
			}
		}
		odds[i] = r.Odds + j.support*best
	}
	return odds
}

// decide makes boxes of regions; again tells that other text of the frame has been masked.
func (j *judgement) decide(w, h int, regions []find.Region, hints Hints, again bool) Found {
	frame := image.Rect(0, 0, w, h)
	var out Found
	outside := func(b image.Rectangle) bool {
		for _, r := range hints.Regions {
			if r.Inset(4).Overlaps(b) {
				return false
			}
		}
		return len(hints.Regions) > 0
	}
	suspect := j.suspect
	if hints.Often {
		suspect = j.often
	}
	odds := j.supported(regions)
	known := again // that the frame has text
	for _, o := range odds {
		known = known || o >= j.sure
	}
	text, beyond := newSheet(w, h), newSheet(w, h)
	order := make([]int, len(regions)) // small cells first
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return regions[a].Level - regions[b].Level })
	for _, i := range order {
		r, o := &regions[i], odds[i]
		b := r.Bounds()
		small := b.Dx()*b.Dy()*12 <= w*h // to mask what is large and unlikely would cost much of the image
		switch {
		case o >= j.sure, known && o >= j.likely && small, known && o >= 0.6*j.sure:
			text.add(j, r, o)
		case o >= j.beyond && outside(b):
			beyond.add(j, r, o)
		case o >= suspect:
			out.Unsure = unsureFaint
			text.add(j, r, o)
		}
	}
	text.close()
	out.Boxes = append(out.Boxes, text.boxes(Text)...)
	out.Boxes = append(out.Boxes, beyond.boxes(Region)...)
	if text.area()*4 > w*h*3 {
		out.Unsure = unsureMuch
	}
	for _, m := range hints.Masks {
		if m = m.Intersect(frame); !m.Empty() {
			out.Boxes = append(out.Boxes, Box{m, Rule, 1})
		}
	}
	return out
}

// A sheet is what is to be masked, on a grid of find.Cell pixels.
type sheet struct {
	w, h          int // of the frame
	columns, rows int
	odds          []float32 // 0: not masked
}

func newSheet(w, h int) *sheet {
	s := &sheet{w: w, h: h, columns: (w + find.Cell - 1) / find.Cell, rows: (h + find.Cell - 1) / find.Cell}
	s.odds = make([]float32, s.columns*s.rows)
	return s
}

// fill marks a rectangle of pixels.
func (s *sheet) fill(b image.Rectangle, strength float32) {
	b = b.Intersect(image.Rect(0, 0, s.w, s.h))
	for y := b.Min.Y / find.Cell; y < (b.Max.Y+find.Cell-1)/find.Cell; y++ {
		for x := b.Min.X / find.Cell; x < (b.Max.X+find.Cell-1)/find.Cell; x++ {
			i := y*s.columns + x
			s.odds[i] = max(s.odds[i], strength)
		}
	}
}

// add marks a region with its margin, of up to three cells along its longer side and half of one across: all of its box if it fills it as a line or a block of lines does. Of what smaller
// cells have marked already, more closely, the margin is narrower.
func (s *sheet) add(j *judgement, r *find.Region, odds float32) {
	k := find.Cell << r.Level
	cell := func(c image.Point) image.Rectangle { return image.Rect(c.X*k, c.Y*k, (c.X+1)*k, (c.Y+1)*k) }
	strength := float32(max(0.001, 1/(1+math.Exp(-float64(odds)))))
	dx, dy := int(j.along*float32(k))+2, int(j.across*float32(k))+2
	if r.Level > 0 {
		known := 0
		for _, c := range r.Cells {
			if s.marked(cell(c)) {
				known++
			}
		}
		switch {
		case known*5 >= len(r.Cells)*4 && r.Piece() <= 8: // letters so small are better seen with smaller cells
			return
		case known*10 >= len(r.Cells)*6:
			dx, dy = k, k/2
		}
	}
	if r.Box.Dy() > r.Box.Dx() {
		dx, dy = dy, dx
	}
	grown := func(b image.Rectangle) image.Rectangle {
		return image.Rect(b.Min.X-dx, b.Min.Y-dy, b.Max.X+dx, b.Max.Y+dy)
	}
	grow := j.grow
	if odds < j.sure {
		grow = j.wary
	}
	cells := r.Complete(model, j.keep, grow, j.side)
	for _, c := range cells {
		s.fill(grown(cell(c)), strength)
	}
}

// marked tells whether most of a rectangle of pixels is marked.
func (s *sheet) marked(b image.Rectangle) bool {
	b = b.Intersect(image.Rect(0, 0, s.w, s.h))
	n, all := 0, 0
	for y := b.Min.Y / find.Cell; y < (b.Max.Y+find.Cell-1)/find.Cell; y++ {
		for x := b.Min.X / find.Cell; x < (b.Max.X+find.Cell-1)/find.Cell; x++ {
			if all++; s.odds[y*s.columns+x] > 0 {
				n++
			}
		}
	}
	return n*4 >= all*3
}

func (s *sheet) area() int {
	n := 0
	for _, o := range s.odds {
		if o > 0 {
			n++
		}
	}
	return n * find.Cell * find.Cell
}

// close marks what lies between marks: up to three cells within a row, as between words, and one within a column.
func (s *sheet) close() {
	gap := func(start, stride, n, most int) {
		last := -1
		for k := range n {
			if s.odds[start+k*stride] == 0 {
				continue
			}
			if last >= 0 && k-last-1 <= most {
				for i := last + 1; i < k; i++ {
					s.odds[start+i*stride] = min(s.odds[start+last*stride], s.odds[start+k*stride])
				}
			}
			last = k
		}
	}
	for y := range s.rows {
		gap(y*s.columns, 1, s.columns, 3)
	}
	for x := range s.columns {
		gap(x, s.columns, s.rows, 1)
	}
}

// boxes are rectangles that together are what is marked, and little more.
func (s *sheet) boxes(source Source) []Box {
	type run struct {
		x0, x1, y0, y1 int
		strength       float32
	}
	var open, done []run
	for y := range s.rows + 1 {
		var now []run
		for x := 0; y < s.rows && x < s.columns; x++ {
			if s.odds[y*s.columns+x] == 0 {
				continue
			}
			r := run{x0: x, y0: y, y1: y + 1}
			for ; x < s.columns && s.odds[y*s.columns+x] > 0; x++ {
				r.strength = max(r.strength, s.odds[y*s.columns+x])
			}
			r.x1 = x
			now = append(now, r)
		}
		var next []run
		for _, o := range open {
			grown := false
			for i, n := range now {
				if n.x1 > 0 && max(n.x0-o.x0, o.x0-n.x0) <= 2 && max(n.x1-o.x1, o.x1-n.x1) <= 2 {
					next = append(next, run{min(o.x0, n.x0), max(o.x1, n.x1), o.y0, y + 1, max(o.strength, n.strength)})
					now[i].x1, grown = 0, true
					break
				}
			}
			if !grown {
				done = append(done, o)
			}
		}
		now = slices.DeleteFunc(now, func(r run) bool { return r.x1 == 0 })
		open = append(next, now...)
	}
	done = append(done, open...)
	var boxes []Box
	for _, r := range done {
		b := image.Rect(r.x0*find.Cell, r.y0*find.Cell, r.x1*find.Cell, r.y1*find.Cell).Intersect(image.Rect(0, 0, s.w, s.h))
		boxes = append(boxes, Box{b, source, float64(r.strength)})
	}
	slices.SortFunc(boxes, func(a, b Box) int {
		if a.Min.Y != b.Min.Y {
			return a.Min.Y - b.Min.Y
		}
		return a.Min.X - b.Min.X
	})
	return boxes
}
