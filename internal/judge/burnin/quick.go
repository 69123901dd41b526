package burnin

import (
	"slices"

	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/view"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// Quick tells in a few milliseconds whether a slice of grey values (CT, MR, PET) may have text of a plain kind burned in, that is, of one exact value: false means
// that it has none. Text that was blended in, enlarged smoothly, or went through lossy compression is not of one value, and of such it says nothing:
// docs/burned-in-text.md gives
// the rate. Of what is no grey of 8 or 16 bits it says true.
func Quick(_ *render.Attributes, f codec.Frame) bool {
	if f.Samples != 1 || f.Rows < 1 || f.Columns < 1 || f.Photometric == "PALETTE COLOR" || f.Allocated != 8 && f.Allocated != 16 || len(f.Pixels) < f.Rows*f.Columns*f.Allocated/8 {
		return true
	}
	v := view.Words(f)
	w, h := f.Columns, f.Rows
	step := jump(v, w)
	// A stroke is cut by a row or a column in a short run of one value that stands out from both sides. Text has many such cuts of one value, close together; noise has them
	// of all values.
	const widest, enough, block = 14, 24, 64
	across := (w + block - 1) / block
	cuts := make([][256]uint16, across*((h+block-1)/block))
	count := func(start, stride, n, x, y, dx, dy int) {
		for k := 1; k < n; {
			p := int(v[start+k*stride])
			d := p - int(v[start+(k-1)*stride])
			if max(d, -d) < step {
				k++
				continue
			}
			end := k + 1
			for end < n && int(v[start+end*stride]) == p {
				end++
			}
			if end < n && end-k <= widest {
				e := p - int(v[start+end*stride])
				if (e > 0) == (d > 0) && (max(e, -e) >= step || end+1 < n && stands(p-int(v[start+(end+1)*stride]), d, step)) {
					cuts[(y+k*dy)/block*across+(x+k*dx)/block][p&255]++
				}
			}
			k = end
		}
	}
	for y := range h {
		count(y*w, 1, w, 0, y, 1, 0)
	}
	for x := range w {
		count(x, w, h, x, 0, 0, 1)
	}
	for _, b := range cuts {
		for _, n := range b {
			if n >= enough {
				return true
			}
		}
	}
	return false
}

// stands tells whether a difference is a step of the same sign as another.
func stands(e, d, step int) bool { return (e > 0) == (d > 0) && max(e, -e) >= step }

// jump is a step between neighbours that noise seldom makes: three times the median step between pixels that differ, and a fiftieth of the range at least.
func jump(v []uint16, w int) int {
	var steps []int
	lo, hi := v[0], v[0]
	for _, x := range v {
		lo, hi = min(lo, x), max(hi, x)
	}
	for i := 1; i < len(v); i += 1 + len(v)/8192 {
		if i%w == 0 {
			continue
		}
		if d := int(v[i]) - int(v[i-1]); d != 0 {
			steps = append(steps, max(d, -d))
		}
	}
	least := max(4, (int(hi)-int(lo))/50)
	if len(steps) == 0 {
		return least
	}
	slices.Sort(steps)
	return max(least, 3*steps[len(steps)/2])
}
