package face

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

const (
	voxel     = 4.0     // mm, of the grid that slices are gathered in
	side      = 16      // voxels of a block
	maxBlocks = 4096    // 100 MB: two metres of a body as wide as a gantry
	finest    = 3.2     // mm: pixels are put together up to this
	thinnest  = 0.5     // mm: positions closer together are one
	maxPlaces = 100_000 // positions that are counted
)

// Volume gathers the slices of one series, in any order, in a coarse grid of the patient: memory is bounded by the size of a body and not by the number of slices. What lies in the same
// place is averaged. The zero Volume is ready. It is not for use by several goroutines.
type Volume struct {
	blocks   map[[3]int32]*block
	near     *block // the one that was written to last: most pixels go where the one before went
	nearKey  [3]int32
	places   map[place]int // how many slices lie where
	frames   int
	unplaced int  // frames whose place in the patient is not told
	missed   int  // frames, or objects, that could not be read
	beyond   bool // more than the grid takes
	modality string
	years    float64 // age; 0: not told
	flat     bool    // some of it is a projection
}

type block struct {
	sum [side * side * side]float32
	n   [side * side * side]uint16
}

// place is an orientation and a distance along its normal, both coarse.
type place struct {
	normal [3]int8
	along  int32
}

// Readable reports objects that may be slices of a volume: CT, MR, PET and nuclear medicine, single slices and enhanced images.
func Readable(d *dicom.Dataset) bool {
	if n, ok := d.Int(dicom.TagSamplesPerPixel); ok && n != 1 {
		return false
	}
	switch strings.TrimSpace(d.String(dicom.TagModality)) {
	case "CT", "MR", "PT", "NM":
	default:
		return false
	}
	return slices.Contains(Classes, d.UID(dicom.TagSOPClassUID))
}

// Classes are the SOP classes of slices of a volume: CT, MR, nuclear medicine and PET, single, enhanced and legacy converted.
var Classes = []string{
	"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.3",
	"1.2.840.10008.5.1.4.1.1.4.4", "1.2.840.10008.5.1.4.1.1.20", "1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.128.1", "1.2.840.10008.5.1.4.1.1.130",
}

// Add takes a decoded frame into the volume: frame k of the data set, counted from 0, with what its samples mean.
func (v *Volume) Add(d *dicom.Dataset, k int, a *render.Attributes, f codec.Frame) {
	v.frames++
	if v.blocks == nil {
		v.blocks, v.near, v.places = map[[3]int32]*block{}, nil, map[place]int{}
	}
	if v.modality == "" {
		v.modality = strings.TrimSpace(d.String(dicom.TagModality))
	}
	if v.years == 0 {
		v.years = age(d)
	}
	p, ok := render.PlaneOfFrame(d, k)
	if !ok || f.Samples != 1 || f.Rows < 1 || f.Columns < 1 {
		v.unplaced++
		return
	}
	kind := ""
	if i := d.Find(dicom.TagImageType); i >= 0 {
		kind = strings.ToUpper(strings.Join(d.Strings(i), "\\"))
	}
	if v.modality == "CT" && strings.Contains(kind, "LOCALIZER") {
		v.flat = true
	}
	s, ok := samplesOf(a, f)
	if !ok {
		v.unplaced++
		return
	}
	if strings.Contains(kind, "MOSAIC") {
		if tiles := mosaic(d, p, f); tiles != nil {
			for _, t := range tiles {
				v.splat(t.plane, s, f.Columns, t.x, t.y, t.columns, t.rows)
			}
			return
		}
	}
	v.splat(p, s, f.Columns, 0, 0, f.Columns, f.Rows)
}

// Miss takes note of slices that belong to the volume and could not be read: they may show what the others do not.
func (v *Volume) Miss() { v.missed++ }

// Any reports that something was added or missed.
func (v *Volume) Any() bool { return v.frames+v.missed > 0 }

// age is in years, of Patient's Age (PS3.5 6.2, AS); 0 if it is not told.
func age(d *dicom.Dataset) float64 {
	s := strings.TrimSpace(d.String(dicom.TagPatientAge))
	if len(s) != 4 {
		return 0
	}
	n, err := strconv.Atoi(s[:3])
	if err != nil {
		return 0
	}
	switch s[3] {
	case 'Y':
		return float64(n)
	case 'M':
		return float64(n) / 12
	case 'W', 'D':
		return 0.1
	}
	return 0
}

// samplesOf gives the rescaled value of a sample; ok is false where the frame is of another kind than the modalities here have. NaN is no value.
func samplesOf(a *render.Attributes, f codec.Frame) (at func(i int) float64, ok bool) {
	n := f.Rows * f.Columns
	slope, intercept := a.Slope, a.Intercept
	var stored func(i int) float64
	switch {
	case a.Float || len(f.Pixels) < n*f.Allocated/8:
		return nil, false
	case f.Allocated == 8:
		stored = func(i int) float64 { return float64(f.Pixels[i]) }
	case f.Allocated == 16:
		shift, wide := f.HighBit+1-f.Stored, 16-f.Stored
		if f.Signed {
			stored = func(i int) float64 {
				return float64(int16(binary.LittleEndian.Uint16(f.Pixels[2*i:])>>shift<<wide) >> wide)
			}
		} else {
			stored = func(i int) float64 {
				return float64(binary.LittleEndian.Uint16(f.Pixels[2*i:]) >> shift << wide >> wide)
			}
		}
	case f.Allocated == 32:
		stored = func(i int) float64 { return float64(int32(binary.LittleEndian.Uint32(f.Pixels[4*i:]))) }
	default:
		return nil, false
	}
	if a.Padding == nil {
		return func(i int) float64 { return stored(i)*slope + intercept }, true
	}
	lo, hi := a.Padding[0], a.Padding[1]
	return func(i int) float64 {
		s := stored(i)
		if s >= lo && s <= hi {
			return math.NaN()
		}
		return s*slope + intercept
	}, true
}

// tile is a slice within a mosaic.
type tile struct {
	plane               render.Plane
	x, y, columns, rows int
}

// mosaic divides an image of slices side by side as Siemens writes functional MR: squares of the size of the acquisition matrix, whose place is that of a plane as large as the whole
// mosaic. Tiles without anything in them at the end are no slices; they are left as they are, since they add nothing but air.
func mosaic(d *dicom.Dataset, p render.Plane, f codec.Frame) []tile {
	i := d.Find(dicom.TagAcquisitionMatrix)
	if i < 0 {
		return nil
	}
	n := int64(0)
	for _, m := range d.Ints(i) {
		n = max(n, m)
	}
	if n < 16 || f.Columns%int(n) != 0 || f.Rows%int(n) != 0 {
		return nil
	}
	across, down, size := f.Columns/int(n), f.Rows/int(n), int(n)
	if across*down < 4 || across*down > 400 {
		return nil
	}
	between := p.Thickness
	if b := d.Find(dicom.TagSpacingBetweenSlices); b >= 0 {
		if v := d.Floats(b); len(v) > 0 && v[0] > 0 {
			between = v[0]
		}
	}
	if !(between > 0) {
		return nil
	}
	normal := p.Normal()
	var all []tile
	for k := range across * down {
		t := tile{p, k % across * size, k / across * size, size, size}
		for c := range 3 {
			t.plane.Position[c] += p.Across[c]*p.Spacing[1]*float64(f.Columns-size)/2 + p.Down[c]*p.Spacing[0]*float64(f.Rows-size)/2 + normal[c]*between*float64(k)
		}
		all = append(all, t)
	}
	return all
}

// splat puts a slice, or a part of a frame, into the grid.
func (v *Volume) splat(p render.Plane, at func(i int) float64, stride, x0, y0, columns, rows int) {
	normal := p.Normal()
	along := 0.0
	var key place
	for c := range 3 {
		along += normal[c] * p.Position[c]
		key.normal[c] = int8(math.Round(normal[c] * 10))
	}
	key.along = int32(math.Round(along / thinnest))
	if len(v.places) < maxPlaces {
		v.places[key]++
	}
	put := func(spacing float64) (together, apart int) {
		return max(1, int(finest/spacing)), max(1, int(math.Ceil(spacing/voxel)))
	}
	nc, mc := put(p.Spacing[1])
	nr, mr := put(p.Spacing[0])
	sc, sr := max(1, nc/3), max(1, nr/3)
	hu := v.modality == "CT" && !v.flat
	for r := 0; r < rows; r += nr {
		for c := 0; c < columns; c += nc {
			sum, n := 0.0, 0
			h, w := min(nr, rows-r), min(nc, columns-c)
			for dr := 0; dr < h; dr += sr { // of many pixels three in a row and in a column are enough
				row := (y0+r+dr)*stride + x0 + c
				for i := row; i < row+w; i += sc {
					if s := at(i); s == s && !(hu && s < -1500) {
						sum += s
						n++
					}
				}
			}
			if n == 0 {
				continue
			}
			mean := sum / float64(n)
			if hu {
				mean = min(max(mean, -1024), 3000)
			}
			for i := range mr {
				for j := range mc {
					dr := (float64(r) + float64(h-1)/2 + (float64(i)+0.5)/float64(mr) - 0.5) * p.Spacing[0]
					dc := (float64(c) + float64(w-1)/2 + (float64(j)+0.5)/float64(mc) - 0.5) * p.Spacing[1]
					v.set(p.Position[0]+p.Across[0]*dc+p.Down[0]*dr, p.Position[1]+p.Across[1]*dc+p.Down[1]*dr, p.Position[2]+p.Across[2]*dc+p.Down[2]*dr, float32(mean))
				}
			}
		}
	}
}

func (v *Volume) set(x, y, z float64, value float32) {
	i, j, k := int32(math.Floor(x/voxel)), int32(math.Floor(y/voxel)), int32(math.Floor(z/voxel))
	key := [3]int32{i >> 4, j >> 4, k >> 4}
	b := v.near
	if b == nil || key != v.nearKey {
		b = v.blocks[key]
	}
	if b == nil {
		if len(v.blocks) == maxBlocks {
			v.beyond = true
			return
		}
		b = &block{}
		v.blocks[key] = b
	}
	v.near, v.nearKey = b, key
	at := (k&15)*side*side + (j&15)*side + i&15
	if b.n[at] < math.MaxUint16 {
		b.sum[at] += value
		b.n[at]++
	}
}

// spacing is the median distance of neighbouring slices, the axis that they are stacked along most (0 x, 1 y, 2 z), and how many there are, of the orientation with most.
func (v *Volume) spacing() (between float64, axis, count int) {
	by := map[[3]int8][]int32{}
	for p := range v.places {
		n := p.normal
		along := p.along
		for _, c := range n { // opposite normals are one orientation
			if c != 0 {
				if c < 0 {
					n, along = [3]int8{-n[0], -n[1], -n[2]}, -along
				}
				break
			}
		}
		by[n] = append(by[n], along)
	}
	var best [3]int8
	var most []int32
	for n, all := range by {
		if len(all) > len(most) || len(all) == len(most) && slices.Compare(n[:], best[:]) > 0 {
			best, most = n, all
		}
	}
	for c := range 3 {
		if abs8(best[c]) > abs8(best[axis]) {
			axis = c
		}
	}
	slices.Sort(most)
	most = slices.Compact(most)
	var gaps []int32
	for i := 1; i < len(most); i++ {
		gaps = append(gaps, most[i]-most[i-1])
	}
	if len(gaps) > 0 {
		slices.Sort(gaps)
		between = float64(gaps[len(gaps)/2]) * thinnest
	}
	return between, axis, len(most)
}

func abs8(i int8) int8 { return max(i, -i) }
