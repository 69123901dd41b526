package render

import "image"

// scale makes the picture of a region, of w by h pixels. Each of them is the mean of what it covers of the frame, parts of pixels counted as parts; so fine lines
// fade and do not vanish.
func scale(src source, region image.Rectangle, w, h int) image.Image {
	dx, dy := region.Dx(), region.Dy()
	out := newCanvas(src.channels, w, h)
	row := make([]byte, dx*src.channels)
	if w == dx && h == dy {
		for y := range h {
			if src.channels == 1 {
				row = out.row(y)
			}
			src.row(region.Min.Y+y, region.Min.X, region.Max.X, row)
			if src.channels == 3 {
				out.set(y, row)
			}
		}
		return out.image
	}
	across := spans(dx, w)
	sums := make([]float32, w*src.channels)
	line := make([]float32, w*src.channels)
	shades := make([]byte, w*src.channels)
	held := -1 // the row that line is of
	for y, down := range spans(dy, h) {
		clear(sums)
		for sy := down.from; sy < down.to; sy++ {
			if sy != held {
				src.row(region.Min.Y+sy, region.Min.X, region.Max.X, row)
				squeeze(line, row, across, src.channels)
				held = sy
			}
			part := down.part(sy)
			for i, v := range line {
				sums[i] += part * v
			}
		}
		for i, v := range sums {
			shades[i] = byte(min(v+0.5, 255))
		}
		out.set(y, shades)
	}
	return out.image
}

// span is what a pixel of the picture covers of the frame's, in one direction.
type span struct {
	from, to    int
	first, last float32 // parts of the first and the last, of all that is covered
	each        float32 // part of each between them
}

func (s *span) part(i int) float32 {
	switch i {
	case s.from:
		return s.first
	case s.to - 1:
		return s.last
	}
	return s.each
}

// spans divides n pixels of the frame among m of the picture.
func spans(n, m int) []span {
	out := make([]span, m)
	for k := range out {
		// In units of 1/m of a pixel, k*n to (k+1)*n.
		begin, end := k*n, (k+1)*n
		s := span{from: begin / m, to: (end + m - 1) / m, each: float32(m) / float32(n)}
		s.first = float32((s.from+1)*m-begin) / float32(n)
		s.last = float32(end-(s.to-1)*m) / float32(n)
		if s.to-s.from == 1 {
			s.first, s.last = 1, 1
		}
		out[k] = s
	}
	return out
}

// squeeze averages a row.
func squeeze(dst []float32, row []byte, across []span, channels int) {
	if channels == 1 {
		for i, s := range across {
			if s.to-s.from == 1 {
				dst[i] = float32(row[s.from])
				continue
			}
			sum := uint32(0)
			for _, v := range row[s.from+1 : s.to-1] {
				sum += uint32(v)
			}
			dst[i] = s.first*float32(row[s.from]) + s.each*float32(sum) + s.last*float32(row[s.to-1])
		}
		return
	}
	for i, s := range across {
		var r, g, b float32
		for x := s.from; x < s.to; x++ {
			part := s.part(x)
			p := row[3*x : 3*x+3]
			r += part * float32(p[0])
			g += part * float32(p[1])
			b += part * float32(p[2])
		}
		dst[3*i], dst[3*i+1], dst[3*i+2] = r, g, b
	}
}

// canvas is the picture in the making.
type canvas struct {
	image  image.Image
	pix    []byte
	stride int
	grey   bool
}

func newCanvas(channels, w, h int) canvas {
	if channels == 1 {
		m := image.NewGray(image.Rect(0, 0, w, h))
		return canvas{m, m.Pix, m.Stride, true}
	}
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	return canvas{m, m.Pix, m.Stride, false}
}

func (c *canvas) row(y int) []byte { return c.pix[y*c.stride:][:c.stride] }

func (c *canvas) set(y int, shades []byte) {
	row := c.row(y)
	if c.grey {
		copy(row, shades)
		return
	}
	for i, j := 0, 0; i+2 < len(shades); i, j = i+3, j+4 {
		row[j], row[j+1], row[j+2], row[j+3] = shades[i], shades[i+1], shades[i+2], 255
	}
}
