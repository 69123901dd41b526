package find

import "golang.org/x/sys/cpu"

// The net of Net.Logits in instructions of AVX2, the same to the last bit: its numbers are bytes of 0 to 127 and its weights bytes from -127 to 127, so that the sum of two products fits 16 bits, and all others are
// made in 32. A cell has 32 numbers here, one register; a net of fewer has weights of 0 for the rest. GODEBUG=cpu.avx2=off turns it off.

var fastest = cpu.X86.HasAVX2

// across is how many numbers a cell has in registers, at least width.
const across = 32

// A fast net is a net's weights as the instructions want them.
type fast struct {
	first struct {
		weights     [15][8][2]int16 // by row and pair of columns; the sixth column is none
		bias, shift [firsts]int32
	}
	two   mixing
	pairs [spreads]struct {
		deep depthwise
		mix  mixing
	}
	head [across]int8
}

// Outputs are in the order in which packing wants them: fours of 0 and 16 on, of 4 and 20 on, 8 and 24, 12 and 28. Biases have half a step to round.
type mixing struct {
	weights     [18][across][4]int8 // by four terms
	bias, shift [across]int32
}

type depthwise struct {
	weights     [5][across][2]int8 // by two terms; the tenth is none; here the order is eights of 0, 16, 8 and 24 on
	bias, shift [across]int32
}

// place is where an output of the order above is.
func place(o int) int { return o%16/4*8 + o/16*4 + o%4 }

// speed is the net for the instructions; nil where there are none.
func (n *Net) speed() *fast {
	if !fastest {
		return nil
	}
	f := &fast{}
	rounded := func(e *end) (bias, shift int32) {
		return int32(e.bias&(1<<lane-1) - 1<<(lane-1)), int32(e.shift)
	}
	for o := range firsts {
		for t := range 25 {
			f.first.weights[t/5*3+t%5/2][o][t%5%2] = int16(n.first.weights[(o/4*25+t)*4+o%4])
		}
		f.first.bias[o], f.first.shift[o] = rounded(&n.first.ends[o])
	}
	mixed := func(m *mixing, l *layer, terms int) {
		for o := range width {
			for t := range terms {
				m.weights[t/4][place(o)][t%4] = int8(l.weights[(o/4*terms+t)*4+o%4])
			}
			m.bias[place(o)], m.shift[place(o)] = rounded(&l.ends[o])
		}
	}
	mixed(&f.two, &n.two, 9*firsts)
	for i := range n.pairs {
		p, q := &n.pairs[i], &f.pairs[i]
		for o := range width {
			for t := range 9 {
				q.deep.weights[t/2][o%16/8*16+o/16*8+o%8][t%2] = int8(p.deep.weights[9*o+t])
			}
			q.deep.bias[place(o)], q.deep.shift[place(o)] = rounded(&p.deep.ends[o])
		}
		mixed(&q.mix, &p.mix, width)
	}
	for t := range width {
		f.head[t] = int8(n.head.weights[t])
	}
	return f
}

// windowsAVX2 is layer.windows at four places: row is pixels from the first place's first column on, rows stride pixels apart.
//
//go:noescape
func windowsAVX2(row *int16, stride int, l *[15][8][2]int16, bias, shift *[firsts]int32, out *uint8, fours int)

// mixAVX2 is sums over some fours of bytes from in on, and as many in each of the rows after it, for n cells that lie step apart; what was before is added if it is not nil. It makes two cells at a time, and n is at least 2.
//
//go:noescape
func mixAVX2(in *uint8, stride, rows, fours, step int, l *mixing, before, out *uint8, n int)

// deepAVX2 is layer.look: in is the cell that lies apart above and left of the first; apart and stride, from it to the one below, in bytes.
//
//go:noescape
func deepAVX2(in *uint8, stride, apart int, l *depthwise, out *uint8, n int)

// headAVX2 is the sums of the last layer.
//
//go:noescape
func headAVX2(in *uint8, l *[across]int8, out *int32, n int)

func (n *Net) fastLogits(f *fast, g Grey) (odds []float32, numbers []uint8) {
	w, h := g.W/Cell, g.H/Cell
	stride := (w + 2*farthest) * across
	at := func(y int) int { return (y+farthest)*stride + farthest*across } // where the cells of a row begin
	a, b := make([]uint8, stride*(h+2*farthest)), make([]uint8, stride*(h+2*farthest))
	n.fastBegin(f, g, w, h, func(y int) *uint8 { return &a[at(y)] })
	between := make([]uint8, w*across)
	for i := range f.pairs {
		p, apart := &f.pairs[i], n.pairs[i].apart
		for y := range h {
			deepAVX2(&a[at(y-apart)-apart*across], apart*stride, apart*across, &p.deep, &between[0], w)
			mixAVX2(&between[0], 0, 1, across/4, across, &p.mix, &a[at(y)], &b[at(y)], w)
		}
		a, b = b, a
	}
	odds, numbers = make([]float32, w*h), make([]uint8, w*h*width)
	sums := make([]int32, w)
	bias := int32(n.head.ends[0].bias&(1<<lane-1) - 1<<(lane-1))
	for y := range h {
		row := a[at(y):][:w*across]
		headAVX2(&row[0], &f.head, &sums[0], w)
		for x, s := range sums {
			odds[y*w+x] = float32(s+bias) * n.head.scale
			copy(numbers[(y*w+x)*width:][:width], row[x*across:])
		}
	}
	return odds, numbers
}

// fastBegin makes the numbers of cells from pixels.
func (n *Net) fastBegin(f *fast, g Grey, w, h int, to func(y int) *uint8) {
	fours := (2*w + 1 + 3) / 4
	wide, half := 8*fours+4, 4*fours*firsts
	pix, ring := make([]int16, 5*wide), make([]uint8, 3*half)
	pixels := func(y int, o []int16) { // a row from column -2 on
		from := g.Pix[min(max(y, 0), g.H-1)*g.W:][:g.W]
		o[0], o[1] = int16(from[0]), int16(from[0])
		last := o[2:]
		for x, v := range from[:min(g.W, len(last))] {
			last[x] = int16(v)
		}
		for x := g.W; x < len(last); x++ {
			last[x] = int16(from[g.W-1])
		}
	}
	for i := range 3 {
		pixels(i-2, pix[i*wide:][:wide])
	}
	next := 0
	for y := range h {
		for ; next <= 2*y+2; next++ { // rows of half the size, the last three of them in turn
			if next > 0 {
				copy(pix, pix[2*wide:])
			}
			pixels(2*next+1, pix[3*wide:][:wide])
			pixels(2*next+2, pix[4*wide:][:wide])
			if next > 2 && next == 2*y+1 {
				copy(ring, ring[2*half:])
			}
			windowsAVX2(&pix[0], 2*wide, &f.first.weights, &f.first.bias, &f.first.shift, &ring[(next-2*y)*half], fours)
		}
		mixAVX2(&ring[0], half, 3, 6, 2*firsts, &f.two, nil, to(y), w)
	}
}
