package codec

import (
	"image"
	"math"
	"math/bits"
)

// progressive are all coefficients of a code stream of the progressive processes (ISO/IEC 10918-1 Annex G), whose scans each add to them.
type progressive struct {
	*dctFrame
	blocks [][]int16 // of each component, 64 to a block, row by row
	wide   []int     // blocks in a row, those that hold no samples included
	coded  []bool    // those that hold no samples are: only scans of several components have them
	left   [][64]int // bits of each coefficient that no scan has had yet; unseen: none has
	work   int       // blocks that scans have gone over
}

// What bounds them: memory, and scans that add little and take long.
const (
	maxCoefficients = 64 << 20
	maxWork         = 64 << 20
	unseen          = -1
)

func newProgressive(f *dctFrame) (*progressive, error) {
	p := &progressive{dctFrame: f}
	total := 0
	for i := range f.components {
		c := &f.components[i]
		wide, high := ceil(f.columns, 8*f.hmax)*c.h, ceil(f.rows, 8*f.vmax)*c.v
		total += wide * high * 64
		if total > maxCoefficients {
			return nil, &Unsupported{"progressive JPEG of this size"}
		}
		p.wide, p.coded = append(p.wide, wide), append(p.coded, false)
		var left [64]int
		for k := range left {
			left[k] = unseen
		}
		p.left = append(p.left, left)
		p.blocks = append(p.blocks, make([]int16, wide*high*64))
	}
	return p, nil
}

// block are the coefficients of a block of a scan's part.
func (p *progressive) block(part *dctPart, x, y int) []int16 {
	at := (y*p.wide[part.index] + x) * 64
	return p.blocks[part.index][at : at+64]
}

// check refuses scans that no decoder would take, and too many of them.
func (p *progressive) check(s *dctScan) error {
	wide, high := p.mcus(s)
	if p.work += wide * high; p.work > maxWork {
		return &Unsupported{"progressive JPEG of so many scans"}
	}
	if s.se > 63 || s.ss > s.se || s.al > 13 || s.ah != 0 && s.ah != s.al+1 || s.ss == 0 && s.se != 0 || s.ss > 0 && len(s.components) != 1 {
		return brokenJPEG("the header of a scan cannot be read")
	}
	for i := range s.components {
		c := &s.components[i]
		p.coded[c.index] = p.coded[c.index] || len(s.components) > 1
		if s.ss == 0 && s.ah == 0 && c.dc == nil || s.ss > 0 && c.ac == nil {
			return brokenJPEG("a table of Huffman codes is missing")
		}
		before := unseen
		if s.ah != 0 {
			before = s.ah
		}
		for k := s.ss; k <= s.se; k++ {
			if p.left[c.index][k] != before {
				return brokenJPEG("its scans do not follow each other")
			}
			p.left[c.index][k] = s.al
		}
	}
	return nil
}

// read takes in the code of a scan.
func (p *progressive) read(s *dctScan) error {
	if err := p.check(s); err != nil {
		return err
	}
	intervals, err := s.intervals()
	if err != nil {
		return err
	}
	bad := brokenJPEG("its code is none")
	var r bitReader
	var before [4]int
	run := 0 // blocks that have no more coefficients
	one := int16(1) << s.al
	// refine reads a bit for a coefficient that is not zero.
	refine := func(c *int16) {
		if r.bits(1) == 0 || *c&one != 0 {
			return
		}
		if *c >= 0 {
			*c += one
		} else {
			*c -= one
		}
	}
	return p.each(s, func(k int) error {
		if k >= len(intervals) {
			return brokenJPEG("its code ends before its blocks do")
		}
		r, before, run = bitReader{b: intervals[k]}, [4]int{}, 0
		return nil
	}, func(i, x, y int) error {
		part := &s.components[i]
		b := p.block(part, x, y)
		switch {
		case s.ss == 0 && s.ah == 0:
			n, ok := r.symbol(part.dc)
			if !ok || n > 15 {
				return bad
			}
			before[i] += r.extended(int(n))
			v := before[i] << s.al
			if v < math.MinInt16 || v > math.MaxInt16 {
				return bad
			}
			b[0] = int16(v)
		case s.ss == 0:
			if r.bits(1) != 0 {
				b[0] |= one
			}
		case s.ah == 0:
			if run > 0 {
				run--
				break
			}
			for k := s.ss; k <= s.se; k++ {
				v, ok := r.symbol(part.ac)
				if !ok {
					return bad
				}
				n, size := int(v>>4), int(v&15)
				if size == 0 {
					if n < 15 {
						run = 1<<n + int(r.bits(n)) - 1
						break
					}
					k += 15
					continue
				}
				k += n
				w := r.extended(size) << s.al
				if k > s.se || w < math.MinInt16 || w > math.MaxInt16 {
					return bad
				}
				b[k] = int16(w)
			}
		default:
			k := s.ss
			for ; run == 0 && k <= s.se; k++ {
				v, ok := r.symbol(part.ac)
				if !ok {
					return bad
				}
				n, size := int(v>>4), int(v&15)
				w := int16(0)
				switch {
				case size == 1:
					w = -one
					if r.bits(1) != 0 {
						w = one
					}
				case size > 1:
					return bad
				case n < 15:
					run = 1<<n + int(r.bits(n))
				}
				if run > 0 {
					break
				}
				for ; k <= s.se; k++ { // so many more zeros, refining what is between them
					if b[k] != 0 {
						refine(&b[k])
					} else if n--; n < 0 {
						break
					}
				}
				if w != 0 {
					if k > s.se {
						return bad
					}
					b[k] = w
				}
			}
			if run > 0 {
				for ; k <= s.se; k++ {
					if b[k] != 0 {
						refine(&b[k])
					}
				}
				run--
			}
		}
		if r.over {
			return brokenJPEG("its code ends before its blocks do")
		}
		return nil
	})
}

// write writes what a scan adds to the coefficients: counting the symbols that it needs, or to a writer.
func (p *progressive) write(s *dctScan, often *[2][4][256]int, w *bitWriter) error {
	symbol := func(class int, part *dctPart, v int) {
		switch {
		case w == nil && class == 0:
			often[0][part.td][v]++
		case w == nil:
			often[1][part.ta][v]++
		case class == 0:
			w.put(uint32(part.dcTo.code[v]), int(part.dcTo.length[v]))
		default:
			w.put(uint32(part.acTo.code[v]), int(part.acTo.length[v]))
		}
	}
	put := func(v uint32, n int) {
		if w != nil {
			w.put(v, n)
		}
	}
	putAll := func(bits []byte) {
		for _, v := range bits {
			put(uint32(v), 1)
		}
	}
	ac := &s.components[0]
	var before [4]int
	run := 0             // blocks that end before their last coefficient
	var held, own []byte // bits that refine: of those blocks, of this one
	endRun := func() {
		if run > 0 {
			n := bits.Len(uint(run)) - 1
			symbol(1, ac, n<<4)
			put(uint32(run), n)
			run = 0
		}
		putAll(held)
		held = held[:0]
	}
	err := p.each(s, func(k int) error {
		if k > 0 {
			endRun()
			if w != nil {
				w.end()
				w.b = append(w.b, 0xff, markerRST0+byte((k-1)%8))
			}
		}
		before = [4]int{}
		return nil
	}, func(i, x, y int) error {
		part := &s.components[i]
		b := p.block(part, x, y)
		switch {
		case s.ss == 0 && s.ah == 0:
			v := int(b[0]) >> s.al
			d := v - before[i]
			before[i] = v
			n := category(d)
			if n > 15 {
				return brokenJPEG("its code is none")
			}
			symbol(0, part, n)
			if w != nil {
				w.value(d, n)
			}
		case s.ss == 0:
			put(uint32(b[0]>>s.al&1), 1)
		case s.ah == 0:
			zeros := 0
			for _, v := range b[s.ss : s.se+1] {
				a := magnitude(v) >> s.al
				if a == 0 {
					zeros++
					continue
				}
				endRun()
				for ; zeros > 15; zeros -= 16 {
					symbol(1, part, 0xf0)
				}
				n := bits.Len(uint(a))
				symbol(1, part, zeros<<4|n)
				if w != nil {
					if v < 0 {
						a = -a
					}
					w.value(a, n)
				}
				zeros = 0
			}
			if zeros > 0 {
				if run++; run == 0x7fff {
					endRun()
				}
			}
		default:
			last := 0 // coefficient that appears in this scan
			for k := s.ss; k <= s.se; k++ {
				if magnitude(b[k])>>s.al == 1 {
					last = k
				}
			}
			zeros := 0
			own = own[:0]
			for k := s.ss; k <= s.se; k++ {
				a := magnitude(b[k]) >> s.al
				if a == 0 {
					zeros++
					continue
				}
				for zeros > 15 && k <= last {
					endRun()
					symbol(1, part, 0xf0)
					zeros -= 16
					putAll(own)
					own = own[:0]
				}
				if a > 1 { // it was there before
					own = append(own, byte(a&1))
					continue
				}
				endRun()
				symbol(1, part, zeros<<4|1)
				if b[k] < 0 {
					put(0, 1)
				} else {
					put(1, 1)
				}
				putAll(own)
				own = own[:0]
				zeros = 0
			}
			if zeros > 0 || len(own) > 0 {
				held = append(held, own...)
				if run++; run == 0x7fff || len(held) > 900 { // decoders and encoders keep so many
					endRun()
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	endRun()
	if w != nil {
		w.end()
	}
	return nil
}

func magnitude(v int16) int { return max(int(v), -int(v)) }

// paint makes the touched blocks of every component flat.
func (p *progressive) paint(touched *cover, fill [4]uint32) {
	for i := range p.components {
		c := &p.components[i]
		in := touched.blocks(p.dctFrame, c)
		flat := int16(p.flat(c, fill[i]))
		for at := 0; at < len(p.blocks[i]); at += 64 {
			x, y := at/64%p.wide[i], at/64/p.wide[i]
			if in(x, y) && (p.coded[i] || x < c.wide && y < c.high) {
				b := p.blocks[i][at : at+64]
				clear(b)
				b[0] = flat
			}
		}
	}
}

// readProgressive reads all coefficients of a code stream, until it is late.
func readProgressive(late <-chan struct{}, all []segment) (p *progressive, err error) {
	st := dctState{late: late}
	for i := range all {
		if all[i].marker != markerSOS {
			if err := st.read(&all[i]); err != nil {
				return nil, err
			}
			continue
		}
		s, err := st.scan(&all[i])
		if err != nil {
			return nil, err
		}
		if p == nil {
			if p, err = newProgressive(st.frame); err != nil {
				return nil, err
			}
		}
		if err := p.read(s); err != nil {
			return nil, err
		}
	}
	if p == nil {
		return nil, brokenJPEG("a component is not coded")
	}
	for _, left := range p.left {
		if left[0] != 0 {
			return nil, brokenJPEG("a component is not coded to its end")
		}
	}
	return p, nil
}

// recodeProgressive writes a code stream's scans anew, with the coefficients of blocks that boxes touch changed.
func recodeProgressive(late <-chan struct{}, all []segment, boxes []image.Rectangle, fill [4]uint32) ([]byte, *dctFrame, []image.Rectangle, error) {
	p, err := readProgressive(late, all)
	if err != nil {
		return nil, nil, nil, err
	}
	touched, grown := p.cover(boxes)
	p.paint(&touched, fill)
	w := newRewriter(late)
	for i := range all {
		s, err := w.next(&all[i])
		if err != nil {
			return nil, nil, nil, err
		}
		if s == nil {
			continue
		}
		var often [2][4][256]int
		if err := p.write(s, &often, nil); err != nil {
			return nil, nil, nil, err
		}
		w.begin(&all[i], s, &often)
		if err := p.write(s, nil, &w.bitWriter); err != nil {
			return nil, nil, nil, err
		}
	}
	return append(w.b, 0xff, markerEOI), p.dctFrame, grown, nil
}

// paintedProgressive is painted for the progressive processes.
func paintedProgressive(late <-chan struct{}, a, b []segment, boxes []image.Rectangle, fill [4]uint32) bool {
	p, err := readProgressive(late, a)
	if err != nil {
		return false
	}
	touched, _ := p.cover(boxes)
	p.paint(&touched, fill)
	q, err := readProgressive(late, b)
	if err != nil || !p.same(q.dctFrame) {
		return false
	}
	for i := range p.blocks {
		if len(p.blocks[i]) != len(q.blocks[i]) {
			return false
		}
		for k, v := range p.blocks[i] {
			if q.blocks[i][k] != v {
				return false
			}
		}
	}
	return true
}
