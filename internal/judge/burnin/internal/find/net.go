package find

import (
	"errors"
)

// A Net is a small convolutional net that says of each cell of a picture whether it is a part of a line of text of a size for that level. It sees a cell with what lies up to 17 cells around it, so that it tells a
// line from texture. It computes in whole numbers and is the same on every machine: three parts of the picture at a time in the lanes of one word, or, where there is AVX2, 32 numbers at a time (net_amd64.s).
//
// Two layers make a cell's numbers of its pixels: 5x5 windows, 3x3 windows of those, both at every other place. Then pairs of layers add to them: one looks at 3x3 cells that lie apart by a distance
// that the pair has, each number by itself, the other mixes the numbers of a cell. The last makes the odds.
type Net struct {
	first, two, head layer
	pairs            [spreads]pair
	fast             *fast // nil where the machine has no instructions for it
}

const (
	firsts   = 8  // numbers of a place of half the size
	width    = 32 // numbers of a cell
	spreads  = 5
	farthest = 8 // of the distances
)

type pair struct {
	apart     int
	deep, mix layer
}

// A layer's numbers are sums of weighted numbers, shifted, cut off below 0 and above 127.
type layer struct {
	weights []int64 // as the loops want them
	ends    []end
	scale   float32 // of odds
}

// An end is what becomes of a sum.
type end struct {
	bias  int64 // in every lane, with half a step to round and what keeps lanes from being negative
	shift uint8
	keep  uint64 // what of a shifted word belongs to its lane
	zero  uint64 // what a sum of 0 is after the shift, in every lane
}

// Lanes of 21 bits: sums lie between -2^20 and 2^20.
const (
	lane  = 21
	lanes = 3
	ones  = 1 | 1<<lane | 1<<(2*lane)
	guard = ones << (lane - 1)
	all   = 1<<(3*lane) - 1
	top   = 127
)

var errNet = errors.New("the net is cut short, or not of this form")

// ReadNet reads what the trainer wrote, and what follows it.
func ReadNet(b []byte) (*Net, []byte, error) {
	if len(b) < 3+spreads || b[0] != firsts || b[1] != width || b[2] != spreads {
		return nil, nil, errNet
	}
	apart := b[3 : 3+spreads]
	b = b[3+spreads:]
	// read takes a layer of so many sums of so many terms; order is where in its weights the one of an output and a term goes.
	read := func(outs, terms, most int, order func(o, t int) int) (layer, error) {
		var l layer
		n := outs * terms
		if len(b) < n+5*outs {
			return l, errNet
		}
		l.weights, l.ends = make([]int64, n), make([]end, outs)
		for o := range outs {
			k := b[n+4*outs+o]
			bias := int64(int32(uint32(b[n+4*o]) | uint32(b[n+4*o+1])<<8 | uint32(b[n+4*o+2])<<16 | uint32(b[n+4*o+3])<<24))
			sum := max(bias, -bias) + 1<<k
			for t := range terms {
				w := int64(int8(b[o*terms+t]))
				l.weights[order(o, t)] = w
				sum += max(w, -w) * int64(most)
			}
			if k < 2 || k > 16 || sum >= 1<<(lane-1) {
				return l, errNet
			}
			l.ends[o] = end{(bias + 1<<(k-1) + 1<<(lane-1)) * ones, k, (1<<(lane-k) - 1) * ones, 1 << (lane - 1 - k) * ones}
			l.scale = 1 / (top * float32(int(1)<<k))
		}
		b = b[n+5*outs:]
		return l, nil
	}
	fours := func(terms int) func(o, t int) int { return func(o, t int) int { return (o/4*terms+t)*4 + o%4 } }
	n := &Net{}
	var err error
	if n.first, err = read(firsts, 25, 255, fours(25)); err != nil {
		return nil, nil, err
	}
	// The trainer has channel, row, column; here a row's columns and their channels lie together.
	if n.two, err = read(width, 9*firsts, top, func(o, t int) int { return fours(9*firsts)(o, t%9*firsts+t/9) }); err != nil {
		return nil, nil, err
	}
	for i := range n.pairs {
		p := &n.pairs[i]
		if p.apart = int(apart[i]); p.apart < 1 || p.apart > farthest {
			return nil, nil, errNet
		}
		if p.deep, err = read(width, 9, top, func(o, t int) int { return o*9 + t }); err != nil {
			return nil, nil, err
		}
		if p.mix, err = read(width, width, top, fours(width)); err != nil {
			return nil, nil, err
		}
	}
	if n.head, err = read(1, width, top, func(_, t int) int { return t }); err != nil {
		return nil, nil, err
	}
	n.head.ends[0].bias -= 1 << (n.head.ends[0].shift - 1) * ones // it is not rounded
	n.fast = n.speed()
	return n, b, nil
}

// cut is a sum in every lane, shifted, with more added, and cut off.
func (n *end) cut(sum int64, more uint64) uint64 {
	d := (uint64(sum)>>(n.shift&31)&n.keep + more | guard) - n.zero
	m := d & guard
	d &= m - m>>(lane-1) // 0 where it is negative
	m = (d + (1<<(lane-1)-top-1)*ones) & guard
	return (d | (m - m>>(lane-1))) & (top * ones)
}

// A plane is the numbers of cells of a third of the picture's rows, with a margin; lane i has the i-th third.
type plane struct {
	stride int // cells from a row to the next
	v      []uint64
}

func newPlane(w, h int) plane {
	s := w + 2*farthest
	return plane{s, make([]uint64, s*(h+2*farthest)*width)}
}

// row is where the cells of a row begin.
func (p *plane) row(y int) int { return ((y+farthest)*p.stride + farthest) * width }

// Logits are the odds of the cells of a picture, row by row, and the cells' last numbers, 0 to 127, width of them each.
func (n *Net) Logits(g Grey) (odds []float32, numbers []uint8) {
	w, h := g.W/Cell, g.H/Cell
	if n.fast != nil && w >= 2 {
		return n.fastLogits(n.fast, g)
	}
	rows := (h + lanes - 1) / lanes
	if rows < farthest {
		rows = h // all in the first lane
	}
	valid := func(y int) uint64 { // the lanes that have this row
		var m uint64
		for i := range lanes {
			if y+i*rows < h {
				m |= (1<<lane - 1) << (i * lane)
			}
		}
		return m
	}
	a, b := newPlane(w, rows), newPlane(w, rows)
	n.begin(g, w, rows, a, valid)
	n.rim(a, w, rows)
	between := make([]uint64, w*width)
	for i := range n.pairs {
		p := &n.pairs[i]
		for y := range rows {
			p.deep.look(a, y, w, p.apart, between)
			p.mix.add(between, a.v[a.row(y):][:w*width], b.v[b.row(y):][:w*width])
			if m := valid(y); m != all {
				for k, v := range b.v[b.row(y):][:w*width] {
					b.v[b.row(y)+k] = v & m
				}
			}
		}
		n.rim(b, w, rows)
		a, b = b, a
	}
	odds, numbers = make([]float32, w*h), make([]uint8, w*h*width)
	for y := range rows {
		for x := range w {
			v := a.v[a.row(y)+x*width:][:width]
			sum := n.head.ends[0].bias
			for k, f := range v {
				sum += int64(f) * n.head.weights[k]
			}
			for i := range lanes {
				if y+i*rows >= h {
					break
				}
				at := (y+i*rows)*w + x
				odds[at] = float32(sum>>(i*lane)&(1<<lane-1)-1<<(lane-1)) * n.head.scale
				for k, f := range v {
					numbers[at*width+k] = uint8(f >> (i * lane) & top)
				}
			}
		}
	}
	return odds, numbers
}

// rim fills the rows above and below: they are the end of the lane before and the beginning of the lane after.
func (n *Net) rim(p plane, w, rows int) {
	if rows < farthest {
		return
	}
	for k := 1; k <= farthest; k++ {
		above, from := p.v[p.row(-k):][:w*width], p.v[p.row(rows-k):][:w*width]
		for i, v := range from {
			above[i] = v << lane & all
		}
		below, from := p.v[p.row(rows+k-1):][:w*width], p.v[p.row(k-1):][:w*width]
		for i, v := range from {
			below[i] = v >> lane
		}
	}
}

// begin makes the numbers of cells from pixels.
func (n *Net) begin(g Grey, w, rows int, to plane, valid func(int) uint64) {
	wide, half := Cell*w+5, 2*w+1
	pixels := func(y int, o []uint64) { // a row of pixels from column -2 on, in every lane
		for i := range lanes {
			from := g.Pix[min(max(y+i*rows*Cell, 0), g.H-1)*g.W:][:g.W]
			for x := range o {
				p := uint64(from[min(max(x-2, 0), g.W-1)]) << (i * lane)
				if i == 0 {
					o[x] = p
				} else {
					o[x] |= p
				}
			}
		}
	}
	var pix [5][]uint64
	for i := range pix {
		pix[i] = make([]uint64, wide)
		pixels(i-2, pix[i])
	}
	var ring [3][]uint64
	var same [3][]bool // places that are as the one before: where a picture is even, nothing is computed twice
	for i := range ring {
		ring[i], same[i] = make([]uint64, half*firsts), make([]bool, half)
	}
	last := -1
	halfRow := func(r int) []uint64 { // numbers of a row of half the size
		if r <= last {
			return ring[r%3]
		}
		if r > 0 { // two rows further down
			pix[0], pix[1], pix[2], pix[3], pix[4] = pix[2], pix[3], pix[4], pix[0], pix[1]
			pixels(2*r+1, pix[3])
			pixels(2*r+2, pix[4])
		}
		last = r
		for x := 1; x < half; x++ {
			same[r%3][x] = alike(&pix, 2*x)
		}
		n.first.windows(&pix, same[r%3], ring[r%3])
		return ring[r%3]
	}
	for y := range rows {
		r0, r1, r2 := halfRow(2*y), halfRow(2*y+1), halfRow(2*y+2)
		out := to.v[to.row(y):][:w*width]
		n.two.cells(r0, r1, r2, &same, out)
		if m := valid(y); m != all {
			for k := range out {
				out[k] &= m
			}
		}
	}
}

// alike tells whether the 5x5 pixels from a column on are those from two columns before.
func alike(pix *[5][]uint64, x int) bool {
	for _, row := range pix {
		v := (*[7]uint64)(row[x-2:])
		if v[0] != v[2] || v[1] != v[3] || v[2] != v[4] || v[3] != v[5] || v[4] != v[6] {
			return false
		}
	}
	return true
}

// windows are the sums of 5x5 pixels at every other place.
func (l *layer) windows(pix *[5][]uint64, same []bool, out []uint64) {
	for q := 0; q < firsts; q += 4 {
		w, n := (*[100]int64)(l.weights[q*25:]), (*[4]end)(l.ends[q:])
		for x := 0; x*firsts < len(out); x++ {
			if same[x] {
				copy(out[x*firsts+q:][:4], out[(x-1)*firsts+q:][:4])
				continue
			}
			s0, s1, s2, s3 := n[0].bias, n[1].bias, n[2].bias, n[3].bias
			for r := range 5 {
				v, w := (*[5]uint64)(pix[r][2*x:]), (*[20]int64)(w[20*r:])
				a, b, c, d, e := int64(v[0]), int64(v[1]), int64(v[2]), int64(v[3]), int64(v[4])
				s0 += a*w[0] + b*w[4] + c*w[8] + d*w[12] + e*w[16]
				s1 += a*w[1] + b*w[5] + c*w[9] + d*w[13] + e*w[17]
				s2 += a*w[2] + b*w[6] + c*w[10] + d*w[14] + e*w[18]
				s3 += a*w[3] + b*w[7] + c*w[11] + d*w[15] + e*w[19]
			}
			o := (*[4]uint64)(out[x*firsts+q:])
			o[0], o[1], o[2], o[3] = n[0].cut(s0, 0), n[1].cut(s1, 0), n[2].cut(s2, 0), n[3].cut(s3, 0)
		}
	}
}

// dot adds to four sums the products of some numbers, four weights each.
func dot(v []uint64, w []int64, s0, s1, s2, s3 int64) (int64, int64, int64, int64) {
	for len(v) >= 4 && len(w) >= 16 {
		a, b, c, d := int64(v[0]), int64(v[1]), int64(v[2]), int64(v[3])
		s0 += a*w[0] + b*w[4] + c*w[8] + d*w[12]
		s1 += a*w[1] + b*w[5] + c*w[9] + d*w[13]
		s2 += a*w[2] + b*w[6] + c*w[10] + d*w[14]
		s3 += a*w[3] + b*w[7] + c*w[11] + d*w[15]
		v, w = v[4:], w[16:]
	}
	return s0, s1, s2, s3
}

// repeated tells whether the 3x3 places from one on are those from two before.
func repeated(same *[3][]bool, x int) bool {
	for _, s := range same {
		if !s[x-1] || !s[x] || !s[x+1] || !s[x+2] {
			return false
		}
	}
	return true
}

// cells are the sums of 3x3 places of half the size.
func (l *layer) cells(r0, r1, r2 []uint64, same *[3][]bool, out []uint64) {
	const run = 3 * firsts
	for q := 0; q < width; q += 4 {
		w, n := l.weights[q*3*run:][:12*run], (*[4]end)(l.ends[q:])
		for x := 0; x*width < len(out); x++ {
			if x > 0 && repeated(same, 2*x) {
				copy(out[x*width+q:][:4], out[(x-1)*width+q:][:4])
				continue
			}
			at := 2 * x * firsts
			s0, s1, s2, s3 := dot(r0[at:at+run], w[:4*run], n[0].bias, n[1].bias, n[2].bias, n[3].bias)
			s0, s1, s2, s3 = dot(r1[at:at+run], w[4*run:8*run], s0, s1, s2, s3)
			s0, s1, s2, s3 = dot(r2[at:at+run], w[8*run:], s0, s1, s2, s3)
			o := (*[4]uint64)(out[x*width+q:])
			o[0], o[1], o[2], o[3] = n[0].cut(s0, 0), n[1].cut(s1, 0), n[2].cut(s2, 0), n[3].cut(s3, 0)
		}
	}
}

// look is each number's sum over 3x3 cells that lie apart.
func (l *layer) look(p plane, y, w, apart int, out []uint64) {
	var rows [9][]uint64
	for k := range rows {
		rows[k] = p.v[p.row(y+(k/3-1)*apart)+(k%3-1)*apart*width:][:w*width]
	}
	weights, ends := (*[9 * width]int64)(l.weights), (*[width]end)(l.ends)
	for x := 0; x < len(out); x += width {
		o := (*[width]uint64)(out[x:])
		v0, v1, v2 := (*[width]uint64)(rows[0][x:]), (*[width]uint64)(rows[1][x:]), (*[width]uint64)(rows[2][x:])
		v3, v4, v5 := (*[width]uint64)(rows[3][x:]), (*[width]uint64)(rows[4][x:]), (*[width]uint64)(rows[5][x:])
		v6, v7, v8 := (*[width]uint64)(rows[6][x:]), (*[width]uint64)(rows[7][x:]), (*[width]uint64)(rows[8][x:])
		for c := range width {
			w := (*[9]int64)(weights[9*c:])
			s := ends[c].bias + int64(v0[c])*w[0] + int64(v1[c])*w[1] + int64(v2[c])*w[2] + int64(v3[c])*w[3] + int64(v4[c])*w[4] + int64(v5[c])*w[5] + int64(v6[c])*w[6] + int64(v7[c])*w[7] + int64(v8[c])*w[8]
			o[c] = ends[c].cut(s, 0)
		}
	}
}

// add mixes the numbers of each cell, and adds what they were before.
func (l *layer) add(in, before, out []uint64) {
	for q := 0; q < width; q += 4 {
		w, n := l.weights[q*width:][:4*width], (*[4]end)(l.ends[q:])
		for x := 0; x < len(out); x += width {
			s0, s1, s2, s3 := dot(in[x:x+width], w, n[0].bias, n[1].bias, n[2].bias, n[3].bias)
			old, o := (*[4]uint64)(before[x+q:]), (*[4]uint64)(out[x+q:])
			o[0], o[1], o[2], o[3] = n[0].cut(s0, old[0]), n[1].cut(s1, old[1]), n[2].cut(s2, old[2]), n[3].cut(s3, old[3])
		}
	}
}
