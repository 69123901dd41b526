package codec

import (
	"encoding/binary"
	"errors"
	"image"
	"math"
	"slices"
)

// What follows reads and writes the coefficients of JPEG's processes with loss (ISO/IEC 10918-1 Annexes F and G) without making samples of them, so that
// a block can be changed and every other stays.

// dctFrame is what a frame header says.
type dctFrame struct {
	progressive   bool
	precision     int
	rows, columns int
	hmax, vmax    int
	components    []dctComponent
	wide, high    int // units of what is painted: as many pixels as a block of the component with the fewest samples is over
	late          <-chan struct{}
}

type dctComponent struct {
	id, tq     byte
	h, v       int
	wide, high int // blocks that hold samples
	dc         int // quantisation of the first coefficient; 0: not coded yet
}

// dctScan is what a scan header says, and the tables that hold when it begins.
type dctScan struct {
	components     []dctPart
	ss, se, ah, al int
	restart        int // MCUs
	code           []byte
}

type dctPart struct {
	*dctComponent
	index      int // in the frame
	td, ta     byte
	dc, ac     *huffman // of these slots
	dcTo, acTo *huffman // to write with
	flat       int      // the first coefficient of a block that is painted over
	touched    func(x, y int) bool
}

// dctState is what segments have said so far.
type dctState struct {
	frame   *dctFrame
	tables  [2][4]*huffman
	quant   [4]int // of the first coefficient; 0: no table
	restart int
	late    <-chan struct{} // closed when there is no more time
}

// errLate ends work on a frame that nobody waits for any more.
var errLate = errors.New("JPEG: masking it takes longer than a frame may take")

func brokenJPEG(why string) error { return &Broken{methodJPEG.String(), why} }

// read takes in a segment that is no scan.
func (st *dctState) read(s *segment) error {
	switch s.marker {
	case markerDHT:
		if !readHuffman(s.data, &st.tables) {
			return brokenJPEG("a table of Huffman codes cannot be")
		}
	case markerDQT:
		for d := s.data; len(d) > 0; {
			n := 65
			if d[0]>>4 != 0 {
				n = 129
			}
			if d[0]>>4 > 1 || d[0]&15 > 3 || len(d) < n {
				return brokenJPEG("a table of quantisation cannot be")
			}
			q := int(d[1])
			if n > 65 {
				q = int(binary.BigEndian.Uint16(d[1:]))
			}
			if q == 0 {
				return brokenJPEG("a table of quantisation cannot be")
			}
			st.quant[d[0]&15] = q
			d = d[n:]
		}
	case markerDRI:
		if len(s.data) != 2 {
			return brokenJPEG("its restart interval cannot be read")
		}
		st.restart = int(binary.BigEndian.Uint16(s.data))
	case markerDNL:
		return &Unsupported{"JPEG that says its rows at the end"}
	case markerSOF0, markerSOF1, markerSOF2:
		return st.readFrame(s)
	}
	return nil
}

func (st *dctState) readFrame(s *segment) error {
	d := s.data
	if st.frame != nil || len(d) < 6 || len(d) != 6+3*int(d[5]) {
		return brokenJPEG("its frame header cannot be read")
	}
	f := &dctFrame{late: st.late, progressive: s.marker == markerSOF2, precision: int(d[0]), rows: int(binary.BigEndian.Uint16(d[1:])), columns: int(binary.BigEndian.Uint16(d[3:]))}
	switch {
	case f.precision != 8 && f.precision != 12, f.precision != 8 && s.marker == markerSOF0, f.columns == 0 || d[5] == 0:
		return brokenJPEG("its frame header cannot be read")
	case f.rows == 0:
		return &Unsupported{"JPEG that says its rows at the end"}
	case d[5] > 3:
		return &Unsupported{"JPEG of more than three components"}
	}
	hmin, vmin := 4, 4
	for d := d[6:]; len(d) > 0; d = d[3:] {
		c := dctComponent{id: d[0], h: int(d[1] >> 4), v: int(d[1] & 15), tq: d[2]}
		for _, n := range []int{c.h, c.v} {
			if n != 1 && n != 2 && n != 4 {
				return &Unsupported{"JPEG with these sampling factors"}
			}
		}
		if c.tq > 3 {
			return brokenJPEG("its frame header cannot be read")
		}
		for _, other := range f.components {
			if other.id == c.id {
				return brokenJPEG("two components have one name")
			}
		}
		f.hmax, f.vmax, hmin, vmin = max(f.hmax, c.h), max(f.vmax, c.v), min(hmin, c.h), min(vmin, c.v)
		f.components = append(f.components, c)
	}
	for i := range f.components {
		c := &f.components[i]
		c.wide, c.high = ceil(ceil(f.columns*c.h, f.hmax), 8), ceil(ceil(f.rows*c.v, f.vmax), 8)
	}
	f.wide, f.high = 8*f.hmax/hmin, 8*f.vmax/vmin
	st.frame = f
	return nil
}

func ceil(a, b int) int { return (a + b - 1) / b }

// scan reads the header of a scan.
func (st *dctState) scan(s *segment) (*dctScan, error) {
	d := s.data
	bad := brokenJPEG("the header of a scan cannot be read")
	if st.frame == nil || len(d) < 4 || len(d) != 4+2*int(d[0]) || d[0] == 0 || int(d[0]) > len(st.frame.components) {
		return nil, bad
	}
	n := len(d)
	out := &dctScan{ss: int(d[n-3]), se: int(d[n-2]), ah: int(d[n-1] >> 4), al: int(d[n-1] & 15), restart: st.restart, code: s.code}
	blocks := 0
	for k := 1; k < n-3; k += 2 {
		p := dctPart{index: -1, td: d[k+1] >> 4, ta: d[k+1] & 15}
		for i := range st.frame.components {
			if c := &st.frame.components[i]; c.id == d[k] {
				p.dctComponent, p.index = c, i
			}
		}
		if p.index < 0 || p.td > 3 || p.ta > 3 || len(out.components) > 0 && p.index <= out.components[len(out.components)-1].index {
			return nil, bad
		}
		p.dc, p.ac = st.tables[0][p.td], st.tables[1][p.ta]
		if p.dctComponent.dc == 0 {
			if p.dctComponent.dc = st.quant[p.tq]; p.dctComponent.dc == 0 {
				return nil, brokenJPEG("a table of quantisation is missing")
			}
		}
		blocks += p.h * p.v
		out.components = append(out.components, p)
	}
	if len(out.components) > 1 && blocks > 10 {
		return nil, bad
	}
	if !st.frame.progressive {
		// Some writers put other numbers for the coefficients of a scan, where these processes know only all of them.
		for i := range out.components {
			if out.components[i].dc == nil || out.components[i].ac == nil {
				return nil, brokenJPEG("a table of Huffman codes is missing")
			}
		}
	}
	return out, nil
}

// intervals are the codes between restart markers.
func (s *dctScan) intervals() ([][]byte, error) {
	var all [][]byte
	b, from := s.code, 0
	for i := 0; i+1 < len(b); i++ {
		if b[i] != 0xff {
			continue
		}
		if b[i+1] >= markerRST0 && b[i+1] < markerRST0+8 {
			if int(b[i+1]-markerRST0) != len(all)%8 || s.restart == 0 {
				return nil, brokenJPEG("its restart markers are not in order")
			}
			all = append(all, b[from:i])
			from = i + 2
		}
		i++
	}
	return append(all, b[from:]), nil
}

// mcus is how many there are in a row, and how many rows of them.
func (f *dctFrame) mcus(s *dctScan) (wide, high int) {
	if len(s.components) == 1 {
		return s.components[0].wide, s.components[0].high
	}
	return ceil(f.columns, 8*f.hmax), ceil(f.rows, 8*f.vmax)
}

// each calls fn for the blocks of a scan in their order, and before an interval of them begin, with its number.
func (f *dctFrame) each(s *dctScan, begin func(interval int) error, fn func(part, x, y int) error) error {
	wide, high := f.mcus(s)
	n := 0
	for my := range high {
		select {
		case <-f.late:
			return errLate
		default:
		}
		for mx := range wide {
			if n == 0 || s.restart > 0 && n%s.restart == 0 {
				if err := begin(n / max(1, s.restart)); err != nil {
					return err
				}
			}
			n++
			if len(s.components) == 1 {
				if err := fn(0, mx, my); err != nil {
					return err
				}
				continue
			}
			for k := range s.components {
				c := &s.components[k]
				for y := range c.v {
					for x := range c.h {
						if err := fn(k, mx*c.h+x, my*c.v+y); err != nil {
							return err
						}
					}
				}
			}
		}
	}
	return nil
}

// cover are the units that boxes touch. One that reaches the last row or column reaches what is coded beyond it too.
type cover struct {
	wide, high int
	touched    []bool
}

func (f *dctFrame) cover(boxes []image.Rectangle) (cover, []image.Rectangle) {
	c := cover{wide: ceil(f.columns, f.wide), high: ceil(f.rows, f.high)}
	c.touched = make([]bool, c.wide*c.high)
	grown := make([]image.Rectangle, 0, len(boxes))
	for _, b := range boxes {
		u := image.Rect(b.Min.X/f.wide, b.Min.Y/f.high, ceil(b.Max.X, f.wide), ceil(b.Max.Y, f.high))
		for y := u.Min.Y; y < u.Max.Y; y++ {
			for x := u.Min.X; x < u.Max.X; x++ {
				c.touched[y*c.wide+x] = true
			}
		}
		grown = append(grown, image.Rect(u.Min.X*f.wide, u.Min.Y*f.high, u.Max.X*f.wide, u.Max.Y*f.high).Intersect(image.Rect(0, 0, f.columns, f.rows)))
	}
	return c, grown
}

// blocks says of a component's blocks whether they are touched.
func (c *cover) blocks(f *dctFrame, of *dctComponent) func(x, y int) bool {
	// A unit is so many of its blocks, a power of two.
	wide, high := f.wide/(8*f.hmax/of.h), f.high/(8*f.vmax/of.v)
	return func(x, y int) bool {
		return c.touched[min(y/high, c.high-1)*c.wide+min(x/wide, c.wide-1)]
	}
}

// flat is the first coefficient of a block that is all of one value, as near as quantisation allows.
func (f *dctFrame) flat(c *dctComponent, value uint32) int {
	v := int(min(value, 1<<f.precision-1)) - 1<<(f.precision-1)
	return int(math.Round(float64(8*v) / float64(c.dc)))
}

// shown is the sample that such a block shows.
func (f *dctFrame) shown(c *dctComponent, flat int) int {
	v := int(math.Round(float64(flat*c.dc)/8)) + 1<<(f.precision-1)
	return min(max(v, 0), 1<<f.precision-1)
}

// sequential reads the blocks of a scan of the sequential processes and writes them with those that are touched painted over: counting the symbols that it needs,
// or to a writer.
func (f *dctFrame) sequential(s *dctScan, often *[2][4][256]int, w *bitWriter) error {
	intervals, err := s.intervals()
	if err != nil {
		return err
	}
	var r bitReader
	var before, after [4]int // first coefficients of the blocks before
	begin := func(k int) error {
		if k >= len(intervals) {
			return brokenJPEG("its code ends before its blocks do")
		}
		if k > 0 && w != nil {
			w.end()
			w.b = append(w.b, 0xff, markerRST0+byte((k-1)%8))
		}
		r = bitReader{b: intervals[k]}
		before, after = [4]int{}, [4]int{}
		return nil
	}
	bad := brokenJPEG("its code is none")
	err = f.each(s, begin, func(k, x, y int) error {
		p := &s.components[k]
		touched := p.touched(x, y)
		n, ok := r.symbol(p.dc)
		if !ok || n > 15 {
			return bad
		}
		before[k] += r.extended(int(n))
		v := before[k]
		if touched {
			v = p.flat
		}
		d := v - after[k]
		after[k] = v
		size := category(d)
		if size > 15 {
			return bad
		}
		if w == nil {
			often[0][p.td][size]++
		} else {
			w.put(uint32(p.dcTo.code[size]), int(p.dcTo.length[size]))
			w.value(d, size)
		}
		for i := 1; i < 64; {
			s, ok := r.symbol(p.ac)
			if !ok {
				return bad
			}
			run, size := int(s>>4), int(s&15)
			bits := r.bits(size)
			if !touched {
				if w == nil {
					often[1][p.ta][s]++
				} else {
					w.put(uint32(p.acTo.code[s]), int(p.acTo.length[s]))
					w.put(bits, size)
				}
			}
			switch {
			case s == 0:
				i = 64
				continue
			case size == 0 && run != 15:
				return bad
			}
			if i += run + 1; i > 64 {
				return bad
			}
		}
		if touched { // and nothing but the first
			if w == nil {
				often[1][p.ta][0]++
			} else {
				w.put(uint32(p.acTo.code[0]), int(p.acTo.length[0]))
			}
		}
		if r.over {
			return brokenJPEG("its code ends before its blocks do")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if w != nil {
		w.end()
	}
	return nil
}

// recode writes a code stream with boxes painted over in the given sample values, until it is late. It gives the boxes grown to blocks.
func recode(late <-chan struct{}, frame []byte, boxes []image.Rectangle, fill [4]uint32) (code []byte, header *dctFrame, grown []image.Rectangle, err error) {
	all, err := segmentsOf(methodJPEG, frame)
	if err != nil {
		return nil, nil, nil, err
	}
	if isProgressive(all) {
		return recodeProgressive(late, all, boxes, fill)
	}
	w := newRewriter(late)
	var touched cover
	coded := map[int]bool{}
	for i := range all {
		s, err := w.next(&all[i])
		if err != nil {
			return nil, nil, nil, err
		}
		if s == nil {
			continue
		}
		f := w.frame
		if touched.touched == nil {
			touched, grown = f.cover(boxes)
		}
		for k := range s.components {
			p := &s.components[k]
			if coded[p.index] {
				return nil, nil, nil, brokenJPEG("a component is coded twice")
			}
			coded[p.index] = true
			p.flat, p.touched = f.flat(p.dctComponent, fill[p.index]), touched.blocks(f, p.dctComponent)
		}
		var often [2][4][256]int
		if err := f.sequential(s, &often, nil); err != nil {
			return nil, nil, nil, err
		}
		w.begin(&all[i], s, &often)
		if err := f.sequential(s, nil, &w.bitWriter); err != nil {
			return nil, nil, nil, err
		}
	}
	if w.frame == nil || len(coded) != len(w.frame.components) {
		return nil, nil, nil, brokenJPEG("a component is not coded")
	}
	return append(w.b, 0xff, markerEOI), w.frame, grown, nil
}

func isProgressive(all []segment) bool {
	return slices.ContainsFunc(all, func(s segment) bool { return s.marker == markerSOF2 })
}

// rewriter copies the segments of a code stream, but for the code of scans and the tables that it is written by.
type rewriter struct {
	dctState
	bitWriter
	written [2][4]*huffman
}

func newRewriter(late <-chan struct{}) *rewriter {
	return &rewriter{dctState: dctState{late: late}, bitWriter: bitWriter{b: []byte{0xff, markerSOI}}}
}

// next takes a segment in, and copies it if it is needed. Of a scan it gives the header and copies nothing.
func (w *rewriter) next(segment *segment) (*dctScan, error) {
	s, ok, err := segment.needed(false)
	if err != nil || !ok {
		return nil, err
	}
	if s.marker == markerSOS {
		return w.scan(&s)
	}
	if err := w.read(&s); err != nil {
		return nil, err
	}
	if s.marker != markerDHT {
		w.b = s.append(w.b)
	}
	return nil, nil
}

// begin writes the header of a scan, and before it tables that have a code for each symbol that comes up: those of the source, if they do.
func (w *rewriter) begin(header *segment, s *dctScan, often *[2][4][256]int) {
	var tables []byte
	var made [2][4]*huffman
	for k := range s.components {
		p := &s.components[k]
		for class, slot := range [2]byte{p.td, p.ta} {
			if made[class][slot] != nil || often[class][slot] == [256]int{} {
				continue
			}
			h := w.tables[class][slot].with(&often[class][slot])
			if !h.same(w.written[class][slot]) {
				tables = h.append(tables, byte(class), slot)
			}
			made[class][slot], w.written[class][slot] = h, h
		}
		p.dcTo, p.acTo = made[0][p.td], made[1][p.ta]
	}
	if len(tables) > 0 {
		w.b = (&segment{marker: markerDHT, data: tables}).append(w.b)
	}
	w.b = (&segment{marker: markerSOS, data: header.data}).append(w.b)
}

// with is the table itself if it has all symbols that are needed, and one made for them if not.
func (h *huffman) with(often *[256]int) *huffman {
	for s, n := range often {
		if n > 0 && h.length[s] == 0 {
			return optimal(often)
		}
	}
	return h
}

// block reads the coefficients of a block in the order in which they are coded; before is the first one of the block before.
func (p *dctPart) block(r *bitReader, before *int) (c [64]int, ok bool) {
	n, ok := r.symbol(p.dc)
	if !ok || n > 15 {
		return c, false
	}
	*before += r.extended(int(n))
	c[0] = *before
	for i := 1; i < 64; i++ {
		s, ok := r.symbol(p.ac)
		if !ok {
			return c, false
		}
		if s == 0 {
			break
		}
		if i += int(s >> 4); i > 63 {
			return c, false
		}
		c[i] = r.extended(int(s & 15))
	}
	return c, !r.over
}

// sameBlocks reports whether the scans of two code streams have the same coefficients but where they are touched, and the flat one there.
func (f *dctFrame) sameBlocks(a, b *dctScan) bool {
	ia, err := a.intervals()
	if err != nil {
		return false
	}
	ib, err := b.intervals()
	if err != nil {
		return false
	}
	var ra, rb bitReader
	var ba, bb [4]int
	different := errors.New("different")
	return nil == f.each(a, func(k int) error {
		if k >= len(ia) || k >= len(ib) {
			return different
		}
		ra, rb, ba, bb = bitReader{b: ia[k]}, bitReader{b: ib[k]}, [4]int{}, [4]int{}
		return nil
	}, func(k, x, y int) error {
		ca, ok := a.components[k].block(&ra, &ba[k])
		cb, okb := b.components[k].block(&rb, &bb[k])
		if !ok || !okb {
			return different
		}
		if p := &a.components[k]; p.touched(x, y) {
			ca = [64]int{p.flat}
		}
		if ca != cb {
			return different
		}
		return nil
	})
}

// painted reports whether code is frame with the boxes painted over and every other coefficient as it was.
func painted(late <-chan struct{}, frame, code []byte, boxes []image.Rectangle, fill [4]uint32) bool {
	var scans [2][]*dctScan
	var f *dctFrame
	var parts [2][]segment
	for i, b := range [][]byte{frame, code} {
		var err error
		if parts[i], err = segmentsOf(methodJPEG, b); err != nil {
			return false
		}
	}
	if isProgressive(parts[0]) {
		return paintedProgressive(late, parts[0], parts[1], boxes, fill)
	}
	for i, all := range parts {
		st := dctState{late: late}
		for k := range all {
			if all[k].marker != markerSOS {
				if st.read(&all[k]) != nil {
					return false
				}
				continue
			}
			s, err := st.scan(&all[k])
			if err != nil {
				return false
			}
			scans[i] = append(scans[i], s)
		}
		if f != nil && !f.same(st.frame) {
			return false
		}
		f = st.frame
	}
	if f == nil || len(scans[0]) != len(scans[1]) {
		return false
	}
	touched, _ := f.cover(boxes)
	for i, a := range scans[0] {
		b := scans[1][i]
		if len(a.components) != len(b.components) {
			return false
		}
		for k := range a.components {
			p, q := &a.components[k], &b.components[k]
			if p.index != q.index || p.dctComponent.dc != q.dctComponent.dc {
				return false
			}
			p.flat, p.touched = f.flat(p.dctComponent, fill[p.index]), touched.blocks(f, p.dctComponent)
		}
		if !f.sameBlocks(a, b) {
			return false
		}
	}
	return true
}

func (f *dctFrame) same(o *dctFrame) bool {
	if o == nil || f.progressive != o.progressive || f.precision != o.precision || f.rows != o.rows || f.columns != o.columns || len(f.components) != len(o.components) {
		return false
	}
	for i, c := range f.components {
		if c != o.components[i] {
			return false
		}
	}
	return true
}
