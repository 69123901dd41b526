package face

import (
	"math"
	"slices"
)

// grid is the part of the patient that slices were gathered in. NaN: nothing is known of the voxel.
type grid struct {
	nx, ny, nz int
	at         []float32
	tissue     float32 // from where on it is no air
}

func (g *grid) index(x, y, z int) int { return (z*g.ny+y)*g.nx + x }

// grid joins the blocks, and fills gaps between slices: along the axis that they are stacked on as far as is given in voxels, along the others one or two.
// A block that has been joined is let go, so that a large volume does not lie in memory twice.
func (v *Volume) grid(axis, gap int) *grid {
	lo, hi := [3]int32{math.MaxInt32, math.MaxInt32, math.MaxInt32}, [3]int32{math.MinInt32, math.MinInt32, math.MinInt32}
	for key := range v.blocks {
		for c := range 3 {
			lo[c], hi[c] = min(lo[c], key[c]), max(hi[c], key[c]+1)
		}
	}
	g := &grid{nx: int(hi[0]-lo[0]) * side, ny: int(hi[1]-lo[1]) * side, nz: int(hi[2]-lo[2]) * side}
	const most = 24 << 20 // voxels
	if len(v.blocks) == 0 || g.nx*g.ny > most || g.nx*g.ny*g.nz > most {
		return nil
	}
	g.at = make([]float32, g.nx*g.ny*g.nz)
	nan := float32(math.NaN())
	for i := range g.at {
		g.at[i] = nan
	}
	v.near = nil
	for key, b := range v.blocks {
		delete(v.blocks, key)
		for i, n := range b.n {
			if n > 0 {
				x, y, z := i%side, i/side%side, i/side/side
				g.at[g.index(int(key[0]-lo[0])*side+x, int(key[1]-lo[1])*side+y, int(key[2]-lo[2])*side+z)] = b.sum[i] / float32(n)
			}
		}
	}
	g.fill(axis, gap)
	for c := range 3 {
		if c != axis {
			g.fill(c, 2)
		}
	}
	return g
}

// fill joins what is known along an axis over gaps of a few voxels.
func (g *grid) fill(axis, gap int) {
	step, n := [3]int{1, g.nx, g.nx * g.ny}[axis], [3]int{g.nx, g.ny, g.nz}[axis]
	line := func(from int) {
		last := -1
		for i := range n {
			v := g.at[from+i*step]
			if v != v {
				continue
			}
			if last >= 0 && i-last > 1 && i-last-1 <= gap {
				a := g.at[from+last*step]
				for k := last + 1; k < i; k++ {
					g.at[from+k*step] = a + (v-a)*float32(k-last)/float32(i-last)
				}
			}
			last = i
		}
	}
	switch axis {
	case 0:
		for r := range g.ny * g.nz {
			line(r * g.nx)
		}
	case 1:
		for z := range g.nz {
			for x := range g.nx {
				line(z*g.nx*g.ny + x)
			}
		}
	default:
		for i := range g.nx * g.ny {
			line(i)
		}
	}
}

// threshold is where tissue begins: of CT a density, of MR and PET between what the dark and the bright have for means.
func (g *grid) threshold(modality string, flat bool) {
	if modality == "CT" && !flat {
		g.tissue = -350
		return
	}
	var all []float32
	for i := 0; i < len(g.at); i += 1 + len(g.at)/2_000_000 {
		if v := g.at[i]; v == v {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	at := func(q float64) float32 { return all[int(q*float64(len(all)-1))] }
	low, high := at(0.02), at(0.98)
	if modality == "PT" || modality == "NM" {
		// Most of a PET is dark, and the brain outshines the skin by ten.
		g.tissue = low + 0.035*(at(0.995)-low)
		return
	}
	t := (low + high) / 2
	for range 30 {
		var sum [2]float64
		var n [2]int
		for _, v := range all {
			k := 0
			if v > t {
				k = 1
			}
			sum[k] += float64(min(v, high))
			n[k]++
		}
		if n[0] == 0 || n[1] == 0 {
			break
		}
		a, b := float32(sum[0]/float64(n[0])), float32(sum[1]/float64(n[1]))
		next := (a + b) / 2
		if g.tissue = a + 0.25*(b-a); next == t {
			break
		}
		t = next
	}
}

// section is a connected cross section at right angles to the body's axis, with what it encloses. Lengths are in mm.
type section struct {
	z             int
	area          float64
	w, d          float64 // from left to right, from front to back
	cx, cy        float64
	full          float64 // area by that of the ellipse of w and d
	edge          float64 // share of its border beyond which nothing is known
	ring          float64 // CT: share of directions in which bone lies beneath the skin
	brain         float64 // CT: share of its inner part that is as dense as brain
	air           float64 // share of it that is air enclosed
	front, back   float64 // how far a nose stands out in front, and behind
	frontX, backX float64 // where
	skin          bool    // its front is skin, and not the edge of what is known
	twin          bool    // there is another like it beside it
}

// smallest is the area of what counts as a section.
const smallest = 1500 // mm²

// sections finds those of plane z.
func (g *grid) sections(z int, ct bool) []section {
	nx, ny := g.nx, g.ny
	plane := g.at[z*nx*ny:][:nx*ny]
	mask := make([]bool, nx*ny)
	some := false
	for i, v := range plane {
		mask[i] = v > g.tissue // NaN is not
		some = some || mask[i]
	}
	if !some {
		return nil
	}
	whole := g.enclosed(mask, plane, !ct)
	// What is thinner than two voxels, as tables and holders are, does not join what it touches.
	core := make([]bool, nx*ny)
	for y := 1; y < ny-1; y++ {
		for x := 1; x < nx-1; x++ {
			i := y*nx + x
			core[i] = whole[i] && g.solid(whole, plane, i-1) && g.solid(whole, plane, i+1) && g.solid(whole, plane, i-nx) && g.solid(whole, plane, i+nx)
		}
	}
	label := make([]int32, nx*ny)
	var out []section
	var queue []int
	next := int32(0)
	for i := range core {
		if !core[i] || label[i] != 0 {
			continue
		}
		next++
		queue = append(queue[:0], i)
		label[i] = next
		for k := 0; k < len(queue); k++ {
			j := queue[k]
			for _, o := range [4]int{j - 1, j + 1, j - nx, j + nx} {
				if core[o] && label[o] == 0 {
					label[o] = next
					queue = append(queue, o)
				}
			}
		}
		if float64(len(queue))*voxel*voxel*2 < smallest {
			continue
		}
		if s, ok := g.measure(z, plane, mask, whole, queue, ct); ok {
			out = append(out, s)
		}
	}
	for i := range out {
		for k := range out {
			a, b := &out[i], &out[k]
			if i != k && math.Abs(a.cx-b.cx) > 0.7*a.w && math.Abs(a.cy-b.cy) < a.d*0.6 && a.area > 0.5*b.area && b.area > 0.5*a.area {
				a.twin = true
			}
		}
	}
	return out
}

// enclosed is the mask with what the air outside does not reach. Skin that is thin or dark in places is closed over gaps of two voxels.
func (g *grid) enclosed(mask []bool, plane []float32, thin bool) []bool {
	nx, ny := g.nx, g.ny
	wall := mask
	if thin {
		wall = make([]bool, len(mask))
		for y := range ny {
			for x := range nx {
				i := y*nx + x
				wall[i] = mask[i] || x > 0 && mask[i-1] || x < nx-1 && mask[i+1] || y > 0 && mask[i-nx] || y < ny-1 && mask[i+nx]
			}
		}
	}
	outside := make([]bool, len(mask))
	var queue []int
	reach := func(x, y int) {
		if i := y*nx + x; x >= 0 && y >= 0 && x < nx && y < ny && !wall[i] && !outside[i] {
			outside[i] = true
			queue = append(queue, i)
		}
	}
	for x := range nx {
		reach(x, 0)
		reach(x, ny-1)
	}
	for y := range ny {
		reach(0, y)
		reach(nx-1, y)
	}
	for i, v := range plane { // what is not known is outside as well
		if v != v {
			reach(i%nx, i/nx)
		}
	}
	for k := 0; k < len(queue); k++ {
		x, y := queue[k]%nx, queue[k]/nx
		reach(x-1, y)
		reach(x+1, y)
		reach(x, y-1)
		reach(x, y+1)
	}
	whole := make([]bool, len(mask))
	for y := range ny {
		for x := range nx {
			i := y*nx + x
			whole[i] = mask[i] || !outside[i] && (!thin || !(x > 0 && outside[i-1] || x < nx-1 && outside[i+1] || y > 0 && outside[i-nx] || y < ny-1 && outside[i+nx]))
		}
	}
	return whole
}

// solid is the mask, beyond the edge of what is known too: a section that the edge cuts is not thinner for it.
func (g *grid) solid(mask []bool, plane []float32, i int) bool {
	return mask[i] || plane[i] != plane[i]
}

// measure takes the measures of one section, whose core is given.
func (g *grid) measure(z int, plane []float32, mask, whole []bool, members []int, ct bool) (s section, ok bool) {
	nx, ny := g.nx, g.ny
	x0, x1, y0, y1 := nx, 0, ny, 0
	for _, i := range members {
		x, y := i%nx, i/nx
		x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
	}
	x0, x1, y0, y1 = max(x0-1, 0), min(x1+1, nx-1), max(y0-1, 0), min(y1+1, ny-1)
	w, h := x1-x0+3, y1-y0+3 // with a border
	body := make([]bool, w*h)
	for _, i := range members {
		for _, o := range [5]int{i, i - 1, i + 1, i - nx, i + nx} {
			if whole[o] {
				body[(o/nx-y0+1)*w+o%nx-x0+1] = true
			}
		}
	}
	// What the outside does not reach is enclosed.
	outside := make([]bool, w*h)
	queue := []int{0}
	outside[0] = true
	for k := 0; k < len(queue); k++ {
		i := queue[k]
		x, y := i%w, i/w
		for _, o := range [4][2]int{{x - 1, y}, {x + 1, y}, {x, y - 1}, {x, y + 1}} {
			if o[0] < 0 || o[1] < 0 || o[0] >= w || o[1] >= h {
				continue
			}
			if j := o[1]*w + o[0]; !outside[j] && !body[j] {
				outside[j] = true
				queue = append(queue, j)
			}
		}
	}
	value := func(x, y int) float32 { // of the section's own columns and rows
		X, Y := x+x0-1, y+y0-1
		if X < 0 || Y < 0 || X >= nx || Y >= ny {
			return float32(math.NaN())
		}
		return plane[Y*nx+X]
	}
	n, hollow, border, open := 0, 0, 0, 0
	sx, sy := 0.0, 0.0
	bx0, bx1, by0, by1 := w, 0, h, 0
	for y := range h {
		for x := range w {
			i := y*w + x
			if outside[i] {
				continue
			}
			n++
			sx += float64(x)
			sy += float64(y)
			if X, Y := x+x0-1, y+y0-1; X >= 0 && Y >= 0 && X < nx && Y < ny && !mask[Y*nx+X] {
				hollow++
			}
			bx0, bx1, by0, by1 = min(bx0, x), max(bx1, x), min(by0, y), max(by1, y)
			for _, o := range [4][2]int{{x - 1, y}, {x + 1, y}, {x, y - 1}, {x, y + 1}} {
				if outside[o[1]*w+o[0]] {
					border++
					if v := value(o[0], o[1]); v != v {
						open++
					}
				}
			}
		}
	}
	if float64(n)*voxel*voxel < smallest || border == 0 {
		return s, false
	}
	cx, cy := sx/float64(n), sy/float64(n)
	s = section{z: z, area: float64(n) * voxel * voxel, w: float64(bx1-bx0+1) * voxel, d: float64(by1-by0+1) * voxel, cx: (cx + float64(x0)) * voxel, cy: (cy + float64(y0)) * voxel,
		edge: float64(open) / float64(border), air: float64(hollow) / float64(n)}
	s.full = s.area / (math.Pi / 4 * s.w * s.d)
	if ct {
		s.bone(g, outside, w, h, cx, cy, value)
	}
	s.front, s.frontX, s.skin = g.standsOut(&s, outside, w, h, bx0, bx1, cx, value, false)
	s.back, s.backX, _ = g.standsOut(&s, outside, w, h, bx0, bx1, cx, value, true)
	return s, true
}

// bone looks along rays from the middle for bone beneath the skin, and for brain inside.
func (s *section) bone(g *grid, outside []bool, w, h int, cx, cy float64, value func(x, y int) float32) {
	const (
		rays    = 48
		dense   = 200 // HU of bone that is as thin as a skull's and averaged over a voxel
		beneath = 32  // mm
	)
	hits, inner, brain := 0, 0, 0
	for k := range rays {
		sin, cos := math.Sincos(2 * math.Pi * float64(k) / rays)
		far := 0.0
		for r := 0.0; ; r += 0.5 {
			x, y := int(math.Round(cx+r*cos)), int(math.Round(cy+r*sin))
			if x < 0 || y < 0 || x >= w || y >= h {
				break
			}
			if !outside[y*w+x] {
				far = r
			}
		}
		hit := false
		for r := 0.0; r <= far; r += 0.5 {
			v := value(int(math.Round(cx+r*cos)), int(math.Round(cy+r*sin)))
			if r > far-beneath/voxel && v >= dense {
				hit = true
			}
			if r < 0.6*far {
				inner++
				if v > -40 && v < 140 {
					brain++
				}
			}
		}
		if hit {
			hits++
		}
	}
	s.ring = float64(hits) / rays
	if inner > 0 {
		s.brain = float64(brain) / float64(inner)
	}
}

// standsOut is how far the middle of a section stands out in front of what lies beside it, more than an ellipse would, and where.
func (g *grid) standsOut(s *section, outside []bool, w, h, bx0, bx1 int, cx float64, value func(x, y int) float32, behind bool) (mm, at float64, skin bool) {
	surface := func(x int) float64 { // in voxels, with the part of a voxel that the threshold tells
		for k := range h {
			y, before := k, k-1
			if behind {
				y, before = h-1-k, h-k
			}
			if outside[y*w+x] {
				continue
			}
			v, o := float64(value(x, y)), float64(value(x, before))
			if o != o {
				return math.NaN() // the edge of the image
			}
			part := 0.0
			if v > o {
				part = min(max((v-float64(g.tissue))/(v-o), 0), 1)
			}
			return float64(k) - part
		}
		return math.NaN()
	}
	half := float64(bx1-bx0+1) / 2
	apart := min(max(half*0.36, 20/voxel), 30/voxel)
	best, bestX := math.Inf(-1), 0.0
	for x := int(cx - 20/voxel); x <= int(cx+20/voxel+1); x++ {
		l, r := x-int(math.Round(apart)), x+int(math.Round(apart))
		if l < bx0 || r > bx1 {
			continue
		}
		tip, a, b := surface(x), surface(l), surface(r)
		skin = skin || tip == tip
		if !(tip == tip && a == a && b == b) {
			continue
		}
		if out := min(a, b) - tip; out > best {
			best, bestX = out, float64(x)
		}
	}
	if math.IsInf(best, -1) {
		return 0, 0, skin
	}
	u := min(1, apart*voxel/(s.w/2))
	return best*voxel - s.d/2*(1-math.Sqrt(1-u*u)), (bestX - cx) * voxel, skin
}
