package find

import (
	"image"
	"math"
)

// inkFeatures is how many features the ink of a region gives.
const inkFeatures = 18

// maxInk bounds the pixels of a region that are looked at for its ink.
const maxInk = 1 << 18

// ink takes the pixels of a region apart into two shades by the middle of each neighbourhood, and describes the rarer one: how even it is, how sharply it ends, how wide its
// strokes are, and whether its pieces are of one height.
func (l *Level) ink(r *Region, f []float32) {
	c := l.Cells
	b := image.Rect(r.Box.Min.X*Cell, r.Box.Min.Y*Cell, r.Box.Max.X*Cell, r.Box.Max.Y*Cell).Inset(-2).Intersect(image.Rect(0, 0, min(l.Grey.W, c.W*Cell), min(l.Grey.H, c.H*Cell)))
	w, h := b.Dx(), b.Dy()
	if w < 4 || h < 4 {
		return
	}
	if w*h > maxInk { // a region of this size is judged by a part of it
		h = maxInk / w
		if h < 4 {
			w, h = min(w, maxInk/4), 4
		}
	}
	inside := make([]bool, (c.W+2)*(c.H+2))
	for _, p := range r.Cells {
		for dy := range 3 {
			for dx := range 3 {
				inside[(p.Y+dy)*(c.W+2)+p.X+dx] = true
			}
		}
	}
	// 0: outside, 1: dark, 2: light
	shade := make([]uint8, w*h)
	var n, s, q [3]float64
	for y := range h {
		row := l.Grey.Pix[(b.Min.Y+y)*l.Grey.W+b.Min.X:][:w]
		cy := (b.Min.Y + y) / Cell
		for x, v := range row {
			cx := (b.Min.X + x) / Cell
			if !inside[(cy+1)*(c.W+2)+cx+1] {
				continue
			}
			k := cy*c.W + cx
			z := uint8(1)
			if 2*int(v) > int(c.lo[k])+int(c.hi[k]) {
				z = 2
			}
			shade[y*w+x] = z
			g := (float64(v) - float64(c.lo[k])) / (float64(c.hi[k]) - float64(c.lo[k]) + 1)
			n[z], s[z], q[z] = n[z]+1, s[z]+g, q[z]+g*g
		}
	}
	rare := uint8(1)
	if n[2] < n[1] {
		rare = 2
	}
	other := 3 - rare
	if n[rare] < 4 || n[other] < 4 {
		return
	}
	mean := func(z uint8) float64 { return s[z] / n[z] }
	deviation := func(z uint8) float64 { return math.Sqrt(max(0, q[z]/n[z]-mean(z)*mean(z))) }
	contrast := math.Abs(mean(2) - mean(1))
	f[0], f[1], f[2], f[3] = float32(n[rare]/(n[1]+n[2])), float32(contrast), float32(deviation(rare)/(contrast+0.01)), float32(deviation(other)/(contrast+0.01))
	f[4] = float32(rare)
	// Edges: how much of the step between the shades is made within a pixel.
	var steps, sharp, very float64
	for y := range h {
		row := l.Grey.Pix[(b.Min.Y+y)*l.Grey.W+b.Min.X:][:w]
		for x := 2; x+1 < w; x++ {
			a, z := shade[y*w+x-1], shade[y*w+x]
			if a == 0 || z == 0 || a == z {
				continue
			}
			one, three := math.Abs(float64(row[x])-float64(row[x-1])), math.Abs(float64(row[x+1])-float64(row[x-2]))
			steps++
			sharp += one / (three + one + 1)
			k := (b.Min.Y+y)/Cell*c.W + (b.Min.X+x)/Cell
			if one*2 > float64(c.hi[k])-float64(c.lo[k]) {
				very++
			}
		}
	}
	if steps > 0 {
		f[5], f[6] = float32(sharp/steps), float32(very/steps)
	}
	f[7] = float32(steps / (n[1] + n[2]))
	// Widths of strokes: the shorter of the two runs through a pixel of ink.
	runs := make([]uint8, w*h)
	for y := range h {
		for x := 0; x < w; {
			end := x
			for end < w && shade[y*w+end] == rare {
				end++
			}
			for i := x; i < end; i++ {
				runs[y*w+i] = uint8(min(255, end-x))
			}
			x = max(end, x+1)
		}
	}
	var widths [64]float64
	for x := range w {
		for y := 0; y < h; {
			end := y
			for end < h && shade[end*w+x] == rare {
				end++
			}
			for i := y; i < end; i++ {
				widths[min(63, int(runs[i*w+x]), end-y)]++
			}
			y = max(end, y+1)
		}
	}
	var m, v, single float64
	for k, x := range widths {
		m += float64(k) * x
	}
	m /= n[rare]
	for k, x := range widths {
		v += (float64(k) - m) * (float64(k) - m) * x
	}
	single = widths[1] / n[rare]
	f[8], f[9], f[10] = float32(m), float32(math.Sqrt(v/n[rare])/m), float32(single)
	l.pieces(shade, w, h, rare, f[11:])
}

// pieces describes the connected pieces of ink.
func (l *Level) pieces(shade []uint8, w, h int, rare uint8, f []float32) {
	var stack []int
	var heights, breadths []float32
	var big, all, dust float32
	for i, z := range shade {
		if z != rare {
			continue
		}
		x0, y0, x1, y1, n := w, h, 0, 0, 0
		stack = append(stack[:0], i)
		shade[i] = 0
		for len(stack) > 0 {
			p := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			x, y := p%w, p/w
			x0, y0, x1, y1, n = min(x0, x), min(y0, y), max(x1, x+1), max(y1, y+1), n+1
			for dy := max(0, y-1); dy < min(h, y+2); dy++ {
				for dx := max(0, x-1); dx < min(w, x+2); dx++ {
					if j := dy*w + dx; shade[j] == rare {
						shade[j] = 0
						stack = append(stack, j)
					}
				}
			}
		}
		all += float32(n)
		if n <= 4 {
			dust++
			continue
		}
		heights, breadths = append(heights, float32(y1-y0)), append(breadths, float32(x1-x0))
		big = max(big, float32(n))
	}
	f[0], f[1], f[2] = float32(len(heights)), dust/(float32(len(heights))+1), big/(all+1)
	if len(heights) == 0 {
		return
	}
	mh, mb := median(heights), median(breadths)
	near := func(v []float32, m float32) float32 {
		var k float32
		for _, x := range v {
			if x > m*0.75 && x < m*1.33 {
				k++
			}
		}
		return k / float32(len(v))
	}
	f[3], f[4], f[5], f[6] = mh, mb, near(heights, mh), near(breadths, mb)
}
