package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"image"
	"os"
	"runtime"
	"sync"

	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/find"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/plant"
)

// seen is the least contrast of a line, in greys of a view, that the view can be said to show.
const seen = 12

// truth is what a cell of a view is: 1 text of a size for its level, 0 none, -1 neither.
func truth(c *plant.Canvas, shown []bool, level, x, y int) int8 {
	k := find.Cell << level
	p, cell := image.Pt(x*k+k/2, y*k+k/2), image.Rect(x*k, y*k, (x+1)*k, (y+1)*k)
	t := int8(0)
	for i := range c.Lines {
		l := &c.Lines[i]
		size := l.Capital / float64(int(1)<<level)
		switch {
		case p.In(l.Box):
			if shown[i] && size >= 7 && size < 25 {
				return 1
			}
			return -1
		case cell.Overlaps(l.Box.Inset(-k / 2)):
			t = -1
		}
	}
	return t
}

// export writes what the net is trained from: for a view of each picture and each of three levels, its number of columns and rows (16 bits each, little endian), the level (8 bits), greys row by row, and for each
// cell what it is (signed 8 bits).
func export(fonts, out string, n int, seed uint64) error {
	w, err := os.Create(out)
	if err != nil {
		return fmt.Errorf("write pictures: %w", err)
	}
	defer w.Close()
	b := bufio.NewWriterSize(w, 1<<20)
	var wg sync.WaitGroup
	parts, next := make([]chan []byte, n), make(chan int)
	for i := range parts {
		parts[i] = make(chan []byte, 1)
	}
	for range runtime.GOMAXPROCS(0) {
		p := plan(fonts)
		wg.Go(func() {
			for i := range next {
				c, views := draw(p, seed, i, 3)
				r := plant.NewRand(seed<<33 ^ uint64(i))
				g := views[r.Intn(len(views))]
				if len(c.Lines) > 0 && len(c.Planes) == 3 && r.Chance(0.5) {
					g = views[0]
				}
				shown := make([]bool, len(c.Lines))
				for k := range c.Lines {
					shown[k] = c.Lines[k].Contrast(c.W, g.Pix) >= seen
				}
				var o []byte
				for level := range 3 {
					o = binary.LittleEndian.AppendUint16(o, uint16(g.W))
					o = binary.LittleEndian.AppendUint16(o, uint16(g.H))
					o = append(o, byte(level))
					o = append(o, g.Pix...)
					for y := range g.H / find.Cell {
						for x := range g.W / find.Cell {
							o = append(o, byte(truth(c, shown, level, x, y)))
						}
					}
					g = g.Half()
				}
				parts[i] <- o
			}
		})
	}
	go func() {
		for i := range n {
			next <- i
		}
		close(next)
	}()
	for i := range n {
		if _, err := b.Write(<-parts[i]); err != nil {
			return fmt.Errorf("write pictures: %w", err)
		}
	}
	wg.Wait()
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write pictures: %w", err)
	}
	return nil
}
