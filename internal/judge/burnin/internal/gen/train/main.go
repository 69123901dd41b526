// Command train makes the detector's model, with net.py between its two steps: it writes pictures for the net (-pictures), and makes the forests with a net (-net). docs/burned-in-text.md has the commands.
//
// It draws its own pictures (package plant), and depends on its seed and the fonts that it finds. The model in the repository comes from the fonts of the packages
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
	out := flag.String("o", "model.bin", "the file to write")
	net := flag.String("net", "", "the net that net.py made")
	pictures := flag.Int("pictures", 0, "instead of making forests, write so many pictures for net.py")
	lines := flag.String("lines", "", "a model to take the forest of lines from, so that only that of regions is made")
	many := flag.Int("n", 3000, "pictures for the forests")
	seed := flag.Uint64("seed", 1, "")
	flag.Parse()
	make := func() error { return run(*fonts, *net, *lines, *out, *many, *seed) }
	if *pictures > 0 {
		make = func() error { return export(*fonts, *out, *pictures, *seed) }
	}
	if err := make(); err != nil {
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
	return &plant.Plan{Scenes: plant.Scenes, Faces: faces, Lines: 8, Least: 9, Most: 66, Styles: styles, Turns: 0.35, Damage: 0.35, Treated: 0.6, Short: 0.2, Inland: 0.4, Leaning: 0.1}
}

// draw makes picture number i; of five, so many have text.
func draw(p *plant.Plan, seed uint64, i, text int) (*plant.Canvas, []find.Grey) {
	r := plant.NewRand(seed<<32 + uint64(i))
	q := *p
	q.W, q.H = 256+r.Intn(300), 256+r.Intn(256)
	if i%3 == 1 {
		q.Scenes = plant.Grainy
	}
	if i%5 >= text {
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
func each(plans []*plant.Plan, seed uint64, n, text int, fn func(r *plant.Rand, c *plant.Canvas, views []find.Grey) *set) *set {
	parts := make([]*set, n)
	next := make(chan int)
	var wg sync.WaitGroup
	for _, p := range plans { // faces keep what they rasterise: each has its own
		wg.Go(func() {
			for i := range next {
				c, views := draw(p, seed, i, text)
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

// regions are rows of regions, most of pictures without text: the net takes little else for it.
func regions(p []*plant.Plan, seed uint64, n int, f *find.Net) *set {
	return each(p, seed, n, 2, func(_ *plant.Rand, c *plant.Canvas, views []find.Grey) *set {
		s := &set{width: find.RegionFeatures}
		for _, g := range views {
			for _, l := range find.Pyramid(g, f) {
				for _, r := range l.Regions() {
					k := find.Cell << r.Level
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
	return each(p, seed, n, 3, func(rand *plant.Rand, c *plant.Canvas, views []find.Grey) *set {
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

func run(fonts, net, lines, out string, many int, seed uint64) error {
	start := time.Now()
	var p []*plant.Plan
	for range runtime.GOMAXPROCS(0) {
		p = append(p, plan(fonts))
	}
	b, err := os.ReadFile(net)
	if err != nil {
		return fmt.Errorf("read the net: %w", err)
	}
	n, rest, err := find.ReadNet(b)
	if err != nil {
		return err
	}
	b = b[:len(b)-len(rest)]
	rs := regions(p, seed+3, many, n)
	tell("regions", rs, start)
	g := boost(rs, 360, 4, 0.08, seed+4)
	slog.Info("forest of regions", "after", time.Since(start).Round(time.Second))
	h, err := linesOf(p, lines, &find.Model{Net: n, Regions: g}, many/2, seed)
	if err != nil {
		return err
	}
	slog.Info("done", "after", time.Since(start).Round(time.Second))
	for _, f := range []*find.Forest{g, h} {
		b = f.AppendBinary(b)
	}
	if err := os.WriteFile(out, b, 0o644); err != nil {
		return fmt.Errorf("write the model: %w", err)
	}
	return nil
}

// linesOf makes the forest of lines, or takes it from a model.
func linesOf(p []*plant.Plan, from string, m *find.Model, n int, seed uint64) (*find.Forest, error) {
	if from == "" {
		start := time.Now()
		cs := conditional(p, seed+5, n, m)
		tell("cells of regions", cs, start)
		return boost(cs, 160, 5, 0.12, seed+6), nil
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return nil, fmt.Errorf("read a model: %w", err)
	}
	old, err := find.ReadModel(b)
	if err != nil {
		return nil, err
	}
	return old.Conditional, nil
}
