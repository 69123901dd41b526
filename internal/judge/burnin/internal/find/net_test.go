package find

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// someNet is a net of weights by chance, as the trainer writes it, and its layers' numbers as they are in the file.
func someNet(r *rand.Rand) (file []byte, layers []plainLayer) {
	return randomNet(r, func(terms, _ int) (weight, bias int, shift byte) {
		switch terms {
		case 25:
			return 40, 4000, 5
		case 9 * firsts:
			return 30, 4000, 6
		case 9:
			return 60, 4000, 5
		}
		return 40, 4000, 6
	})
}

// randomNet is a net of weights up to a number, biases from -3/8 to 5/8 of one, and shifts; by the terms of a layer, and the greatest of those.
func randomNet(r *rand.Rand, of func(terms, most int) (weight, bias int, shift byte)) (file []byte, layers []plainLayer) {
	file = []byte{firsts, width, spreads, 1, 2, 4, 8, 2}
	add := func(outs, terms, most int) {
		weight, bias, shift := of(terms, most)
		l := plainLayer{terms: terms}
		for range outs * terms {
			l.weights = append(l.weights, r.IntN(2*weight+1)-weight)
		}
		for range outs {
			l.bias, l.shift = append(l.bias, r.IntN(bias+1)-bias*3/8), append(l.shift, int(shift)+r.IntN(2))
		}
		for _, w := range l.weights {
			file = append(file, byte(int8(w)))
		}
		for _, b := range l.bias {
			file = binary.LittleEndian.AppendUint32(file, uint32(int32(b)))
		}
		for _, s := range l.shift {
			file = append(file, byte(s))
		}
		layers = append(layers, l)
	}
	add(firsts, 25, 255)
	add(width, 9*firsts, top)
	for range spreads {
		add(width, 9, top)
		add(width, width, top)
	}
	add(1, width, top)
	return file, layers
}

type plainLayer struct {
	terms         int
	weights, bias []int
	shift         []int
}

// number is one output of a layer, as the rule has it.
func (l *plainLayer) number(o int, more int, term func(t int) int) int {
	s := l.bias[o]
	for t := range l.terms {
		s += l.weights[o*l.terms+t] * term(t)
	}
	return min(top, max(0, (s+1<<(l.shift[o]-1))>>l.shift[o]+more))
}

// The lanes of a word compute what one number after the other does, at every place of pictures of any size.
func TestNet(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	file, layers := someNet(r)
	n, rest, err := ReadNet(append(file, 9))
	if err != nil || len(rest) != 1 {
		t.Fatalf("%v, %d bytes are left", err, len(rest))
	}
	different := map[uint8]bool{}
	for _, size := range [][2]int{{12, 12}, {37, 15}, {61, 95}, {40, 96}, {52, 101}, {33, 107}, {90, 122}} {
		g := Grey{W: size[0], H: size[1], Pix: make([]uint8, size[0]*size[1])}
		for i := range g.Pix {
			switch g.Pix[i] = uint8(r.IntN(256)); {
			case i%g.W > g.W*2/3: // even, but for some
				if g.Pix[i] < 254 {
					g.Pix[i] = 7
				}
			case i%g.W > g.W/3:
				g.Pix[i] = g.Pix[i]/3 + 60
			}
		}
		w, h := g.W/Cell, g.H/Cell
		pixel := func(x, y int) int { return int(g.Pix[min(max(y, 0), g.H-1)*g.W+min(max(x, 0), g.W-1)]) }
		half := func(x, y, o int) int {
			return layers[0].number(o, 0, func(t int) int { return pixel(2*x-2+t%5, 2*y-2+t/5) })
		}
		halves := make([]int, (2*w+1)*(2*h+1)*firsts)
		for i := range halves {
			halves[i] = half(i/firsts%(2*w+1), i/firsts/(2*w+1), i%firsts)
		}
		now := make([]int, w*h*width)
		for i := range now {
			x, y := i/width%w, i/width/w
			now[i] = layers[1].number(i%width, 0, func(t int) int { return halves[((2*y+t%9/3)*(2*w+1)+2*x+t%3)*firsts+t/9] })
		}
		for p := range spreads {
			apart := int(file[3+p])
			deep, next := make([]int, len(now)), make([]int, len(now))
			for i := range now {
				x, y, c := i/width%w, i/width/w, i%width
				deep[i] = layers[2+2*p].number(c, 0, func(t int) int {
					if x, y := x+(t%3-1)*apart, y+(t/3-1)*apart; x >= 0 && y >= 0 && x < w && y < h {
						return now[(y*w+x)*width+c]
					}
					return 0
				})
			}
			for i := range now {
				next[i] = layers[3+2*p].number(i%width, now[i], func(t int) int { return deep[i/width*width+t] })
			}
			now = next
		}
		odds, numbers := n.Logits(g)
		for i, v := range now {
			if different[uint8(v)] = true; int(numbers[i]) != v {
				t.Fatalf("%v: number %d of cell %d,%d is %d, want %d", size, i%width, i/width%w, i/width/w, numbers[i], v)
			}
		}
		head := layers[len(layers)-1]
		for i, o := range odds {
			s := head.bias[0]
			for k := range width {
				s += head.weights[k] * now[i*width+k]
			}
			if want := float32(s) / float32(top*int(1)<<head.shift[0]); o-want > 1e-4 || want-o > 1e-4 {
				t.Fatalf("%v: odds of cell %d are %v, want %v", size, i, o, want)
			}
		}
	}
	if len(different) < 100 {
		t.Errorf("only %d different numbers: the test tells little", len(different))
	}
	for k := range file {
		if k < 8 || k%97 == 0 {
			if _, _, err := ReadNet(file[:k]); err == nil {
				t.Errorf("a net of %d bytes is read", k)
			}
		}
	}
}

// The instructions give what the loops do to the last bit, of any weights that a file may have and any size.
func TestNetFast(t *testing.T) {
	if !fastest {
		t.Skip("this machine has no instructions for it")
	}
	for seed := range uint64(24) {
		sameNumbers(t, seed)
	}
}

func FuzzNetFast(f *testing.F) {
	if !fastest {
		f.Skip("this machine has no instructions for it")
	}
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { sameNumbers(t, seed) })
}

// sameNumbers compares the two on a net and pictures by chance: weights up to the largest, biases and shifts of every size, pictures of all greys, of black and white, and even ones.
func sameNumbers(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 3))
	file, _ := randomNet(r, func(terms, most int) (weight, bias int, shift byte) {
		room := min(127, (1<<(lane-1)-3000)/(terms*most)) // what the sums leave
		weight = room
		if r.IntN(3) == 0 {
			weight = 1 + r.IntN(room)
		}
		return weight, (1<<(lane-1) - 1100 - weight*terms*most) / (1 + 7*r.IntN(2)), byte(2 + r.IntN(9))
	})
	n, _, err := ReadNet(file)
	if err != nil {
		t.Fatal(err)
	}
	if n.fast == nil {
		t.Fatal("the instructions are not used")
	}
	slow := *n
	slow.fast = nil
	for range 4 {
		g := Grey{W: 12 + r.IntN(150), H: 12 + r.IntN(150)}
		g.Pix = make([]uint8, g.W*g.H)
		kind := r.IntN(4)
		for i := range g.Pix {
			switch v := uint8(r.IntN(256)); kind {
			case 0:
				g.Pix[i] = v
			case 1:
				g.Pix[i] = v / 128 * 255
			case 2:
				g.Pix[i] = 255
			case 3:
				if g.Pix[i] = 90; i%g.W > g.W/2 {
					g.Pix[i] = v
				}
			}
		}
		odds, numbers := n.Logits(g)
		odds2, numbers2 := slow.Logits(g)
		if !slices.Equal(odds, odds2) || !slices.Equal(numbers, numbers2) {
			t.Fatalf("seed %d, %dx%d: the instructions give other numbers than the loops", seed, g.W, g.H)
		}
	}
}

func BenchmarkNet(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	file, _ := someNet(r)
	n, _, err := ReadNet(file)
	if err != nil {
		b.Fatal(err)
	}
	g := Grey{W: 1024, H: 1024, Pix: make([]uint8, 1<<20)}
	for i := range g.Pix {
		g.Pix[i] = uint8(r.IntN(256))
	}
	for _, name := range []string{"as it is", "loops"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				n.Logits(g)
			}
		})
		n.fast = nil
	}
}
