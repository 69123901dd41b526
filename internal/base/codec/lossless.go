package codec

import (
	"encoding/binary"
)

// losslessOf is what the headers of a JPEG code stream without loss say (ISO/IEC 10918-1 Annex H) that has to be so again.
type losslessOf struct {
	precision int
	predictor byte
	kept      []segment // that come before the frame
	names     []byte    // of the components
}

// readLossless reads the headers of a frame that can be written again as it was.
func readLossless(frame []byte) (*losslessOf, error) {
	all, err := segmentsOf(methodJPEG, frame)
	if err != nil {
		return nil, err
	}
	out := &losslessOf{}
	for i := range all {
		s, ok, err := all[i].needed(false)
		if err != nil {
			return nil, err
		}
		d := s.data
		switch {
		case !ok:
		case s.marker >= markerAPP0 && s.marker < markerAPP0+16:
			out.kept = append(out.kept, s)
		case s.marker == markerSOF3:
			if out.names != nil || len(d) < 6 || len(d) != 6+3*int(d[5]) {
				return nil, brokenJPEG("its frame header cannot be read")
			}
			out.precision = int(d[0])
			for k := 6; k < len(d); k += 3 {
				if d[k+1] != d[7] {
					return nil, &Unsupported{"JPEG without loss with components of different sizes"}
				}
				out.names = append(out.names, d[k])
			}
		case s.marker == markerDNL:
			return nil, &Unsupported{"JPEG that says its rows at the end"}
		case s.marker == markerSOS:
			if len(d) < 6 || len(d) != 4+2*int(d[0]) || d[len(d)-3] < 1 || d[len(d)-3] > 7 {
				return nil, brokenJPEG("the header of a scan cannot be read")
			}
			if d[len(d)-1] != 0 {
				return nil, &Unsupported{"JPEG with a point transform, which loses bits"}
			}
			if p := d[len(d)-3]; out.predictor == 0 || out.predictor == p {
				out.predictor = p
			} else {
				return nil, &Unsupported{"JPEG with several predictors"}
			}
		}
	}
	if out.names == nil || out.predictor == 0 || out.precision < 2 || out.precision > 16 {
		return nil, brokenJPEG("its frame header cannot be read")
	}
	return out, nil
}

// encode writes samples as they are, in one scan with a table made for it. Pixels are by pixel, not by plane.
func (o *losslessOf) encode(f *Frame) []byte {
	var often [256]int
	o.differences(f, func(d int) { often[category(d)]++ })
	table := optimal(&often)
	out := []byte{0xff, markerSOI}
	for i := range o.kept {
		out = o.kept[i].append(out)
	}
	header := []byte{byte(o.precision)}
	header = binary.BigEndian.AppendUint16(header, uint16(f.Rows))
	header = binary.BigEndian.AppendUint16(header, uint16(f.Columns))
	header = append(header, byte(f.Samples))
	scan := []byte{byte(f.Samples)}
	for _, name := range o.names {
		header = append(header, name, 0x11, 0)
		scan = append(scan, name, 0)
	}
	out = (&segment{marker: markerSOF3, data: header}).append(out)
	out = (&segment{marker: markerDHT, data: table.append(nil, 0, 0)}).append(out)
	out = (&segment{marker: markerSOS, data: append(scan, o.predictor, 0, 0)}).append(out)
	w := bitWriter{b: out}
	o.differences(f, func(d int) {
		n := category(d)
		w.put(uint32(table.code[n]), int(table.length[n]))
		if n < 16 {
			w.value(d, n)
		}
	})
	w.end()
	return append(w.b, 0xff, markerEOI)
}

// differences are those of each sample from what is predicted, in the order of their code: -32767 to 32768.
func (o *losslessOf) differences(f *Frame, fn func(d int)) {
	n := f.Columns * f.Samples
	above, row := make([]int, n), make([]int, n)
	for y := range f.Rows {
		above, row = row, above
		f.row(y, row, 1<<o.precision-1)
		for i, v := range row {
			var p int
			switch {
			case i < f.Samples && y == 0:
				p = 1 << (o.precision - 1)
			case y == 0:
				p = row[i-f.Samples]
			case i < f.Samples:
				p = above[i]
			default:
				a, b, c := row[i-f.Samples], above[i], above[i-f.Samples]
				switch o.predictor {
				case 1:
					p = a
				case 2:
					p = b
				case 3:
					p = c
				case 4:
					p = a + b - c
				case 5:
					p = a + (b-c)>>1
				case 6:
					p = b + (a-c)>>1
				case 7:
					p = (a + b) >> 1
				}
			}
			d := int(int16(v - p))
			if d == -1<<15 {
				d = 1 << 15
			}
			fn(d)
		}
	}
}

// row are the samples of a row, by pixel, cut to mask.
func (f *Frame) row(y int, out []int, mask int) {
	at := y * len(out)
	switch f.Allocated {
	case 1:
		for i := range out {
			out[i] = int(f.Pixels[(at+i)/8]>>((at+i)%8)) & 1
		}
	case 8:
		for i, v := range f.Pixels[at : at+len(out)] {
			out[i] = int(v) & mask
		}
	default:
		b := f.Pixels[2*at:]
		for i := range out {
			out[i] = int(binary.LittleEndian.Uint16(b[2*i:])) & mask
		}
	}
}

// interleave makes pixels of planes.
func (f *Frame) interleave() {
	if !f.Planar || f.Samples == 1 {
		f.Planar = false
		return
	}
	size := f.Allocated / 8
	out := make([]byte, 0, len(f.Pixels))
	n := f.Rows * f.Columns * size
	for i := 0; i < n; i += size {
		for c := range f.Samples {
			out = append(out, f.Pixels[c*n+i:c*n+i+size]...)
		}
	}
	f.Pixels, f.Planar = out, false
}
