package review

import (
	"cmp"
	"context"
	"slices"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
)

// FoundAt is a region in which a reading of pixels found text, and in how many of the items of a pool that were looked at. Boxes of several images that lie mostly on one
// another are one region, the least that holds them all: a banner is as wide as the name in it.
type FoundAt struct {
	Box   [4]int // first column, first row, and column and row after the last, from 0
	Items int
}

const (
	maxFoundAt = 64
	// foundIn bounds the items of a pool whose boxes are put together.
	foundIn = 200
	// boxesIn bounds the boxes of one item that are.
	boxesIn = 256
)

// readings puts together what readings of the first items of a pool found: the regions, of how many items they are, and of how many of these every frame was read.
func (f *Flow) readings(ctx context.Context, c collection.ID, layout string) (at []FoundAt, looked, read int, err error) {
	items, err := f.Catalogue.WaitingFor(ctx, c, catalogue.Wait{Layout: layout}, 0, foundIn)
	if err != nil {
		return nil, 0, 0, err
	}
	var all [][][4]int
	for _, l := range items {
		found, err := f.Catalogue.Found(ctx, l.ID)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, 0, 0, err
		}
		if found == nil {
			continue
		}
		if whole(found, l.Frames) {
			read++
		}
		var boxes [][4]int
		for _, b := range found.Boxes {
			if len(boxes) < boxesIn && !slices.Contains(boxes, b.Box) {
				boxes = append(boxes, b.Box)
			}
		}
		all = append(all, boxes)
	}
	return regions(all), len(items), read, nil
}

// whole reports a reading of every frame of an image.
func whole(found *catalogue.Found, frames int64) bool {
	return found != nil && int64(found.Frames) == max(frames, 1)
}

// regions puts the boxes of several images together, those in most images first.
func regions(images [][][4]int) []FoundAt {
	type region struct {
		box [4]int
		in  map[int]bool // of images
	}
	var all []region
	for i, boxes := range images {
		for _, b := range boxes {
			k := slices.IndexFunc(all, func(r region) bool { return sameSpot(r.box, b) })
			if k < 0 {
				all = append(all, region{b, map[int]bool{i: true}})
				continue
			}
			// What has grown may now lie on others.
			all[k].box, all[k].in[i] = around(all[k].box, b), true
			for j := 0; j < len(all); j++ {
				if j == k || !sameSpot(all[j].box, all[k].box) {
					continue
				}
				all[k].box = around(all[k].box, all[j].box)
				for of := range all[j].in {
					all[k].in[of] = true
				}
				all = slices.Delete(all, j, j+1)
				if j < k {
					k--
				}
				j = -1
			}
		}
	}
	out := make([]FoundAt, len(all))
	for i, r := range all {
		out[i] = FoundAt{r.box, len(r.in)}
	}
	slices.SortFunc(out, func(a, b FoundAt) int {
		return cmp.Or(cmp.Compare(b.Items, a.Items), slices.Compare(a.Box[:], b.Box[:]))
	})
	return out[:min(len(out), maxFoundAt)]
}

// sameSpot reports boxes of which half of the smaller lies in the other.
func sameSpot(a, b [4]int) bool {
	w, h := min(a[2], b[2])-max(a[0], b[0]), min(a[3], b[3])-max(a[1], b[1])
	if w <= 0 || h <= 0 {
		return false
	}
	area := func(x [4]int) int { return (x[2] - x[0]) * (x[3] - x[1]) }
	return 2*w*h >= min(area(a), area(b))
}

func around(a, b [4]int) [4]int {
	return [4]int{min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])}
}

// LetThrough is how many objects that can be seen now each standing decision of a collection has accepted. What is refused by one is not kept, and not counted.
func (f *Flow) LetThrough(ctx context.Context, who Caller, c collection.ID) (map[ruling.Number]int64, error) {
	if _, err := f.RulingsOf(ctx, who, c); err != nil {
		return nil, err
	}
	counts, err := f.Catalogue.AcceptedCounts(ctx, c)
	if err != nil {
		return nil, err
	}
	out := make(map[ruling.Number]int64, len(counts))
	for n, items := range counts {
		out[ruling.Number(n)] = items
	}
	return out, nil
}
