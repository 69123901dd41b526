package face

import (
	"math"
	"slices"
)

// The sizes of cross sections of heads, in mm, with hair, ears and what lies close.
const (
	narrowest, widest    = 84, 220 // of anybody, from a newborn's up
	shallowest, deepest  = 96, 265
	adultWide, adultDeep = 100, 124
	grown                = 16  // years of an adult
	body                 = 330 // a width that no child has
)

// What is asked of sections one above another. Lengths are in mm.
const (
	leastRun  = 20   // their height
	farthest  = 26   // the middle of one from that of the next
	cut       = 0.1  // share of an outline at the edge of the image, from which on the rest is taken to lie outside
	thickest  = 13   // between slices that still make a surface
	closed    = 0.85 // share of directions with bone beneath the skin, of a skull that is closed around
	brainy    = 0.85 // share of what it holds that is as dense as brain
	faceBelow = 20   // what lies below the closed part of a skull and shows a face

	sticksOut = 9  // a nose beyond what lies beside it
	middle    = 17 // from the middle of the section
	bridge    = 12 // height of a nose

	fromVertex  = 100 // from the vertex down to a face, of a head that is usual deep
	aboveOrbits = 78  // from the vertex down to where no face begins
	usual       = 190

	round    = 1.12 // depth by width of what is rounder than most heads
	boneless = 0.04 // MR: share of a section that is dark and enclosed, as a skull is
)

// chain is sections one above another, from the highest down.
type chain struct{ parts []*section }

// Judge says what the slices that were added show. It lets go of them: it can be asked once.
func (v *Volume) Judge() Finding {
	f := v.judge()
	if f.Outcome == Visible || v.frames == 0 {
		return f
	}
	// What was not looked at may show what the rest does not.
	switch {
	case v.missed > 0:
		f.Outcome, f.Why = Unsure, "some of it could not be read"
	case v.unplaced > 0:
		f.Outcome, f.Why = Unsure, "it does not say where in the patient its slices lie"
	case v.beyond:
		f.Outcome, f.Why = Unsure, "it is larger than a body"
	}
	return f
}

func (v *Volume) judge() Finding {
	f := Finding{Slices: v.frames}
	say := func(o Outcome, why string) Finding { f.Outcome, f.Why = o, why; return f }
	if len(v.blocks) == 0 {
		return say(Unsure, "nothing of it was read")
	}
	between, axis, count := v.spacing()
	f.Spacing = between
	sparse := count < 4 || between > thickest || float64(count)*between < leastRun
	if sparse && axis != 0 && !v.flat {
		return say(NotVisible, "its slices are too few, too close together or too far apart to make a surface")
	}
	g := v.grid(axis, max(2, int(math.Ceil(min(between, thickest)/voxel*1.5))))
	if g == nil {
		return say(Unsure, "it is larger than a body")
	}
	ct := v.modality == "CT" && !v.flat
	g.threshold(v.modality, v.flat)
	all := make([][]section, g.nz)
	large := false
	for z := range g.nz {
		all[z] = g.sections(z, ct)
		for i := range all[z] {
			large = large || all[z][i].w > body
		}
	}
	adult := v.years >= grown || large
	found := false
	for _, c := range chains(all, adult, sparse) {
		if h := c.height(); h < leastRun {
			continue
		}
		one := f
		c.judge(&one, g, all, v.modality, ct, sparse)
		if !found || worse(one, f) {
			f, found = one, true
		}
	}
	switch {
	case found:
		return f
	case !g.outlined():
		return say(NotVisible, "it shows no skin")
	}
	return say(NotHead, "nothing in it has the size and the shape of a head")
}

// worse orders what is found of several parts of a volume.
func worse(a, b Finding) bool {
	rank := map[Outcome]int{NotHead: 0, NotVisible: 1, Unsure: 2, Visible: 3}
	if a.Outcome != b.Outcome {
		return rank[a.Outcome] > rank[b.Outcome]
	}
	return a.Head > b.Head
}

// outlined reports that some of the grid is air, or nothing is tissue.
func (g *grid) outlined() bool {
	tissue, known := 0, 0
	for _, v := range g.at {
		if v == v {
			known++
			if v > g.tissue {
				tissue++
			}
		}
	}
	return tissue*100 < known*97
}

// headlike tells whether a section has the size and the shape of a head's. Of a single slice from front to back its width says nothing.
func (s *section) headlike(adult, single bool) bool {
	wide, deep := float64(narrowest), float64(shallowest)
	if adult {
		wide, deep = adultWide, adultDeep
	}
	if s.edge > cut && s.edge <= 0.9 { // the rest of it may lie outside the image
		return s.w >= 0.6*wide && s.d >= 0.5*deep && s.w <= widest && s.d <= deepest && s.full > 0.55
	}
	if s.d < deep || s.d > deepest || s.twin || s.edge > 0.9 {
		return false
	}
	return single || s.w >= wide && s.w <= widest && s.d >= 0.85*s.w && s.d <= 1.95*s.w && s.full > 0.62
}

// chains joins sections like a head's that lie one above another.
func chains(all [][]section, adult, single bool) []*chain {
	var out, open []*chain
	for z := len(all) - 1; z >= 0; z-- {
		for i := range all[z] {
			s := &all[z][i]
			if !s.headlike(adult, single) {
				continue
			}
			var best *chain
			near := float64(farthest)
			for _, c := range open {
				l := c.last()
				if d := math.Hypot(l.cx-s.cx, l.cy-s.cy); l.z != z && l.z-z <= 2 && d <= near && s.area < 1.8*l.area && l.area < 1.8*s.area {
					best, near = c, d
				}
			}
			if best == nil {
				best = &chain{}
				open = append(open, best)
				out = append(out, best)
			}
			best.parts = append(best.parts, s)
		}
		kept := open[:0]
		for _, c := range open {
			if c.last().z-z < 3 {
				kept = append(kept, c)
			}
		}
		open = kept
	}
	return out
}

func (c *chain) height() float64 { return float64(c.parts[0].z-c.last().z+1) * voxel }

func (c *chain) last() *section { return c.parts[len(c.parts)-1] }

// end is what lies beyond an end of a chain.
type end struct {
	height float64 // of further sections over it, of other sizes
	closes bool    // it closes like the top of a head: sections grow small, and air is beyond
}

// beyond follows a chain further up (step 1) or down (-1), over sections that are smaller than a head's.
func (c *chain) beyond(all [][]section, g *grid, step int, most float64) (e end) {
	at := c.parts[0]
	if step < 0 {
		at = c.last()
	}
	smallest := at.area
	for z := at.z + step; ; z += step {
		if z < 0 || z >= len(all) {
			return e
		}
		var next *section
		for i := range all[z] {
			if s := &all[z][i]; math.Hypot(s.cx-at.cx, s.cy-at.cy) < 45 && s.area < 1.15*at.area && (next == nil || s.area > next.area) {
				next = s
			}
		}
		if next == nil {
			e.closes = smallest < 0.6*most && at.edge < 0.12 && g.airAt(z, at)
			return e
		}
		at = next
		smallest = min(smallest, at.area)
		e.height += voxel
	}
}

// airAt reports that plane z is known above or below a section, and air in its middle or small there.
func (g *grid) airAt(z int, s *section) bool {
	known, tissue := 0, 0
	x0, x1 := int((s.cx-s.w/4)/voxel), int((s.cx+s.w/4)/voxel)
	y0, y1 := int((s.cy-s.d/4)/voxel), int((s.cy+s.d/4)/voxel)
	n := 0
	for y := max(y0, 0); y <= min(y1, g.ny-1); y++ {
		for x := max(x0, 0); x <= min(x1, g.nx-1); x++ {
			n++
			if v := g.at[g.index(x, y, z)]; v == v {
				known++
				if v > g.tissue {
					tissue++
				}
			}
		}
	}
	return n > 0 && known*2 > n
}

// nose is how far one stands out of a chain, and over which height, in front or behind.
func (c *chain) nose() (mm, height float64) {
	for _, behind := range []bool{false, true} {
		run, top := 0, 0.0
		for i, s := range c.parts {
			out, x := s.front, s.frontX
			if behind {
				out, x = s.back, s.backX
			}
			if i > 0 && c.parts[i-1].z-s.z > 2 || out < sticksOut || math.Abs(x) > middle {
				run, top = 0, 0
				continue
			}
			run++
			top = max(top, out)
			if h := float64(run) * voxel; h > height {
				height, mm = h, top
			}
		}
	}
	return mm, height
}

// judge says what a chain shows.
func (c *chain) judge(f *Finding, g *grid, all [][]section, v string, ct, single bool) {
	f.Head = c.height()
	most, skull, skin := c.parts[0], 0, false
	var ratio, edge, air, ring float64
	upper, lower := -1, -1 // of the skull's closed part, in chain
	bony := 0              // sections with bone near the skin, and brain or air within
	for i, s := range c.parts {
		if s.area > most.area {
			most = s
		}
		if s.ring >= closed && s.brain >= brainy {
			skull++
			lower = i
			if upper < 0 {
				upper = i
			}
		}
		if s.ring >= 0.5 && (s.brain >= 0.5 || s.air >= 0.004) {
			bony++
		}
		skin = skin || s.skin
		ratio += s.d / s.w
		edge += s.edge
		air, ring = max(air, s.air), max(ring, s.ring)
	}
	n := float64(len(c.parts))
	hollows := make([]float64, len(c.parts))
	for i, s := range c.parts {
		hollows[i] = s.air
	}
	slices.Sort(hollows)
	hollow := hollows[len(hollows)/2]
	ratio, edge = ratio/n, edge/n
	f.Width, f.Depth, f.Surface, f.Skull = most.w, most.d, 1-edge, float64(skull)*voxel
	f.Nose, f.Bridge = c.nose()
	nose := f.Bridge >= bridge
	if !nose {
		f.Nose, f.Bridge = 0, 0
	}
	say := func(o Outcome, why string) { f.Outcome, f.Why = o, why }
	above, under := c.beyond(all, g, 1, most.area), c.beyond(all, g, -1, most.area)
	switch {
	case single:
		say(Unsure, "it is of single slices from front to back, with an outline as long as a head's")
	case !skin && !nose && edge > 0.2:
		say(NotVisible, "its front lies outside the image")
	case ct && f.Skull >= 12:
		// Beside the closed part of the skull there is the vertex on one side, which is all bone, and the face on the other.
		up, down := 0.0, 0.0
		for i, s := range c.parts {
			if s.air < 0.01 && (s.ring >= closed && s.brain < brainy && s.area < 0.5*most.area || s.edge > cut) {
				continue // the vertex, or what the edge of the image leaves of a section
			}
			if i < upper {
				up += voxel
			} else if i > lower {
				down += voxel
			}
		}
		f.Below = max(up, down)
		switch {
		case nose || f.Below >= faceBelow:
			say(Visible, "a head with what lies below the closed part of its skull")
		case f.Below <= 8:
			say(NotVisible, "the closed part of a skull and no more")
		default:
			say(Unsure, "a head with a little of what lies below the closed part of its skull")
		}
	case nose && f.Head >= 24 && (!ct || air > 0.004 || ring > 0.4):
		say(Visible, "a nose stands out of sections like a head's")
	case ct && edge < 0.3 && bony < 3:
		say(NotHead, "it has sections like a head's, without a skull or a nose")
	case ct:
		say(Unsure, "it has sections like a head's, and bone near the skin")
	case above.closes != under.closes:
		f.Below = (f.Head + above.height + under.height)
		if scaled := f.Below * usual / min(max(most.d, 140), 230); scaled >= fromVertex {
			say(Visible, "a head from its vertex down to the face")
		} else if scaled >= aboveOrbits {
			say(Unsure, "a head from its vertex down to where a face begins")
		} else {
			say(NotVisible, "the top of a head and no more")
		}
	case v == "MR" && ratio < round && hollow < boneless:
		say(NotHead, "round sections without the dark of a skull or a nose")
	case above.closes && under.closes:
		if f.Head+above.height+under.height < 150 {
			say(NotVisible, "it closes above and below, as a brain does that was taken out of its head")
		} else {
			say(Unsure, "it closes above and below")
		}
	default:
		say(Unsure, "it has sections like a head's")
	}
}
