// Command train makes the detector's forests: go run ./internal/judge/burnin/internal/gen/train -fonts DIR[,DIR] -o internal/judge/burnin/forest.bin
//
// It draws its own pictures (package plant), and depends on its seed and the fonts that it finds. The forests in the repository come from the fonts of the packages
// fonts-liberation2, fonts-freefont-ttf, fonts-wqy-zenhei, fonts-hosny-thabit, fonts-bwht and fonts-breip of Debian 12, besides those that package plant draws
// or brings; docs/burned-in-text.md says which are kept apart for measuring.
package main

import (
	"flag"
	"fmt"
	"image"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/find"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/plant"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/view"
)

func main() {
	fonts := flag.String("fonts", "", "folders of outline fonts, apart by commas")
	out := flag.String("o", "forest.bin", "the file to write")
	from := flag.String("from", "", "a file to take the forest of cells from, so that only that of regions is made")
	lost := flag.Float64("stops", 0, "instead of making forests, measure the early stops of those of -from anew: the part of likely cells of text that may be lost")
	images := flag.Int("n", 700, "pictures for each of two rounds over cells")
	many := flag.Int("regions", 3000, "pictures for the round over regions")
	trees := flag.Int("trees", 240, "trees of the forest of cells")
	depth := flag.Int("depth", 5, "their depth")
	seed := flag.Uint64("seed", 1, "")
	flag.Parse()
	if *lost > 0 {
		if err := restop(*fonts, *from, *out, *images, *lost, *seed); err != nil {
			slog.Error("measuring the early stops failed", "error", err)
			os.Exit(1)
		}
		return
	}
	if err := run(*fonts, *from, *out, *images, *many, *trees, *depth, *seed); err != nil {
		slog.Error("training failed", "error", err)
		os.Exit(1)
	}
}

func plan(fonts string) *plant.Plan {
	own := plant.Faces()
	var files []*plant.Face
	for _, dir := range strings.Split(fonts, ",") {
		if dir != "" {
			files = append(files, plant.Files(dir)...)
		}
	}
	slog.Info("fonts", "own", len(own), "files", len(files))
	faces := append([]*plant.Face(nil), own...)
	faces = append(faces, own...) // as often as those of files, about
	faces = append(faces, files...)
	// What is faint is hardest, and is often refused because it could not be seen: it is tried more often.
	styles := append([]plant.Style{plant.Faint, plant.Faint, plant.FaintOff, plant.FaintOff, plant.FaintOff, plant.Dark}, plant.Styles...)
	return &plant.Plan{Scenes: plant.Scenes, Faces: faces, Lines: 8, Least: 9, Most: 66, Styles: styles, Turns: 0.3, Damage: 0.35, Treated: 0.6}
}

// draw makes picture number i; two of five have no text.
func draw(p *plant.Plan, seed uint64, i int) (*plant.Canvas, []find.Grey) {
	r := plant.NewRand(seed<<32 + uint64(i))
	q := *p
	q.W, q.H = 256+r.Intn(300), 256+r.Intn(256)
	if i%5 >= 3 {
		q.Lines = 0
	}
	c, _ := q.Compose(r)
	a, f := c.Frame(r, r.Chance(0.35))
	views, err := view.Of(a, f)
	if err != nil {
		panic(err)
	}
	return c, views
}

// each draws pictures on every processor and gives them to fn, which may be called at the same time; results come in order.
func each(plans []*plant.Plan, seed uint64, n int, fn func(r *plant.Rand, c *plant.Canvas, views []find.Grey) *set) *set {
	parts := make([]*set, n)
	next := make(chan int)
	var wg sync.WaitGroup
	for _, p := range plans { // faces keep what they rasterise: each has its own
		wg.Go(func() {
			for i := range next {
				c, views := draw(p, seed, i)
				parts[i] = fn(plant.NewRand(seed^uint64(i)*7919), c, views)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	all := &set{width: parts[0].width}
	for _, s := range parts {
		all.append(s)
	}
	return all
}

// what a cell is: 1 text, 0 none, -1 neither.
func what(c *plant.Canvas, level int, x, y int) int {
	k := find.Cell << level
	p := image.Pt(x*k+k/2, y*k+k/2)
	for i := range c.Lines {
		l := &c.Lines[i]
		size := l.Capital / float64(int(1)<<level)
		switch {
		case p.In(l.Box):
			if size >= 7 && size < 25 {
				return 1
			}
			return -1
		case p.In(l.Box.Inset(-2*k - 2)):
			return -1
		}
	}
	return 0
}

// cells are rows of cells: some of the text, some of the rest; if a forest is there already, mostly those that it takes for text.
func cells(p []*plant.Plan, seed uint64, n int, f *find.Forest) *set {
	return each(p, seed, n, func(r *plant.Rand, c *plant.Canvas, views []find.Grey) *set {
		s := &set{width: find.Features}
		g := views[r.Intn(len(views))]
		if len(c.Lines) > 0 && len(c.Planes) == 3 { // what colour shows and light does not is rare
			g = views[0]
		}
		var v [find.Features]float32
		for level := range find.Levels {
			m := find.Measure(g)
			if m == nil {
				break
			}
			g = g.Half()
			var truths, others []image.Point
			for y := range m.H {
				for x := range m.W {
					t := what(c, level, x, y)
					if t < 0 || !m.Worth(x, y) {
						continue
					}
					if t == 1 {
						truths = append(truths, image.Pt(x, y))
						continue
					}
					others = append(others, image.Pt(x, y))
				}
			}
			take := func(at []image.Point, k int, truth bool) {
				for range min(k, len(at)) {
					p := at[r.Intn(len(at))]
					m.Describe(p.X, p.Y, &v)
					s.add(v[:], truth, 1)
				}
			}
			take(truths, 90>>level+20, true)
			if f == nil {
				take(others, 90>>level+10, false)
				continue
			}
			take(others, 30>>level+5, false)
			var hard []image.Point
			for range min(len(others), 2500) {
				p := others[r.Intn(len(others))]
				m.Describe(p.X, p.Y, &v)
				if o := f.Odds(v[:]); o > -1.5 {
					hard = append(hard, p)
				}
			}
			take(hard, 120>>level+20, false)
		}
		return s
	})
}

// regions are rows of regions.
func regions(p []*plant.Plan, seed uint64, n int, f *find.Forest) *set {
	return each(p, seed, n, func(_ *plant.Rand, c *plant.Canvas, views []find.Grey) *set {
		s := &set{width: find.RegionFeatures}
		for _, g := range views {
			for level, l := range find.Pyramid(g, f) {
				for _, r := range l.Regions(level) {
					k := find.Cell << level
					in := 0
					for _, q := range r.Cells {
						p := image.Pt(q.X*k+k/2, q.Y*k+k/2)
						for i := range c.Lines {
							if p.In(c.Lines[i].Box.Inset(-k)) {
								in++
								break
							}
						}
					}
					switch part := float64(in) / float64(len(r.Cells)); {
					case part >= 0.5:
						s.add(r.Features(), true, 1)
					case part < 0.05:
						s.add(r.Features(), false, 1)
					}
				}
			}
		}
		return s
	})
}

// belongs is what a cell beside or within a region is: 1 text, 0 none, -1 neither.
func belongs(c *plant.Canvas, level int, q image.Point) int {
	k := find.Cell << level
	cell := image.Rect(q.X*k, q.Y*k, (q.X+1)*k, (q.Y+1)*k)
	for i := range c.Lines {
		l := &c.Lines[i]
		if cell.Overlaps(l.Box) {
			if l.Inked(cell.Inset(-int(l.Capital)/2)) && image.Pt(q.X*k+k/2, q.Y*k+k/2).In(l.Box) || l.Inked(cell) {
				return 1
			}
			return -1
		}
		if cell.Overlaps(l.Box.Inset(-k)) {
			return -1
		}
	}
	return 0
}

// conditional are rows of cells within regions and around them.
func conditional(p []*plant.Plan, seed uint64, n int, m *find.Model) *set {
	return each(p, seed, n, func(rand *plant.Rand, c *plant.Canvas, views []find.Grey) *set {
		s := &set{width: find.ConditionalFeatures}
		var v [find.ConditionalFeatures]float32
		for k, g := range views {
			regions := m.Find(g, k)
			for i := range regions {
				r := &regions[i]
				if r.Odds < -2.5 {
					continue
				}
				z := r.Zone()
				take := func(n int, pick func() image.Point) {
					for range n {
						q := pick()
						if t := belongs(c, r.Level, q); t >= 0 {
							z.Describe(m, q, &v)
							s.add(v[:], t == 1, 1)
						}
					}
				}
				take(14, func() image.Point { return r.Cells[rand.Intn(len(r.Cells))] })
				near := r.Box.Inset(-6).Intersect(z.Box)
				for _, b := range []image.Rectangle{near, z.Box} {
					take(18, func() image.Point { return b.Min.Add(image.Pt(rand.Intn(b.Dx()), rand.Intn(b.Dy()))) })
				}
			}
		}
		return s
	})
}

func tell(what string, s *set, start time.Time) {
	n := 0
	for _, t := range s.truth {
		if t {
			n++
		}
	}
	slog.Info(what, "rows", len(s.truth), "text", n, "after", time.Since(start).Round(time.Second))
}

// restop writes the forests of a file with the early stops of the first measured anew.
func restop(fonts, from, out string, n int, lost float64, seed uint64) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("read the forests: %w", err)
	}
	f, rest, err := find.ReadForest(b)
	if err != nil {
		return err
	}
	var p []*plant.Plan
	for range runtime.GOMAXPROCS(0) {
		p = append(p, plan(fonts))
	}
	f.Stop = stops(p, seed+7, n, f, lost)
	b, _ = f.AppendBinary(nil)
	if err := os.WriteFile(out, append(b, rest...), 0o644); err != nil {
		return fmt.Errorf("write the forests: %w", err)
	}
	return nil
}

func run(fonts, from, out string, n, many, trees, depth int, seed uint64) error {
	start := time.Now()
	var p []*plant.Plan
	for range runtime.GOMAXPROCS(0) {
		p = append(p, plan(fonts))
	}
	var f *find.Forest
	if from != "" {
		b, err := os.ReadFile(from)
		if err != nil {
			return fmt.Errorf("read the forest of cells: %w", err)
		}
		if f, _, err = find.ReadForest(b); err != nil {
			return err
		}
	} else {
		first := cells(p, seed, n/2, nil)
		tell("cells", first, start)
		f = boost(first, 40, 4, 0.25, 0, seed)
		second := cells(p, seed+1, n, f)
		second.append(first)
		tell("cells and hard cells", second, start)
		f = boost(second, trees, depth, 0.15, 0.003, seed+2)
		b, _ := f.AppendBinary(nil)
		if err := os.WriteFile(out, b, 0o644); err != nil {
			return fmt.Errorf("write the forest of cells: %w", err)
		}
		slog.Info("forest of cells", "after", time.Since(start).Round(time.Second))
	}
	rs := regions(p, seed+3, many, f)
	tell("regions", rs, start)
	g := boost(rs, 200, 4, 0.1, 0, seed+4)
	slog.Info("forest of regions", "after", time.Since(start).Round(time.Second))
	m := &find.Model{Cells: f, Regions: g}
	cs := conditional(p, seed+5, many/2, m)
	tell("cells of regions", cs, start)
	h := boost(cs, 160, 5, 0.12, 0, seed+6)
	slog.Info("done", "after", time.Since(start).Round(time.Second))
	var b []byte
	for _, f := range []*find.Forest{f, g, h} {
		b, _ = f.AppendBinary(b)
	}
	if err := os.WriteFile(out, b, 0o644); err != nil {
		return fmt.Errorf("write the forests: %w", err)
	}
	return nil
}
