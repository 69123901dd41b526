package review

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestRegions(t *testing.T) {
	banner := func(width int) [4]int { return [4]int{8, 4, 8 + width, 20} }
	scale, apart := [4]int{600, 100, 640, 400}, [4]int{300, 300, 340, 312}
	got := regions([][][4]int{{banner(100), scale}, {banner(180), scale}, {banner(60), banner(140), apart}, {}})
	want := []FoundAt{{banner(180), 3}, {scale, 2}, {apart, 1}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if sameSpot([4]int{0, 0, 10, 10}, [4]int{10, 0, 20, 10}) || sameSpot([4]int{0, 0, 10, 10}, [4]int{6, 0, 20, 10}) || !sameSpot([4]int{0, 0, 10, 10}, [4]int{5, 0, 20, 10}) {
		t.Error("sameSpot")
	}
}

// Every box lies in a region, none of which lies on another, and no region is in more images than there are.
func TestRegionsHoldEveryBox(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		box := rapid.Custom(func(t *rapid.T) [4]int {
			x, y := rapid.IntRange(0, 60).Draw(t, "x"), rapid.IntRange(0, 60).Draw(t, "y")
			return [4]int{x, y, x + rapid.IntRange(1, 30).Draw(t, "w"), y + rapid.IntRange(1, 30).Draw(t, "h")}
		})
		images := rapid.SliceOfN(rapid.SliceOfN(box, 0, 6), 0, 8).Draw(t, "images")
		all := regions(images)
		for i, r := range all {
			if r.Items < 1 || r.Items > len(images) {
				t.Fatalf("%v of %d images", r, len(images))
			}
			for _, o := range all[i+1:] {
				if sameSpot(r.Box, o.Box) {
					t.Fatalf("%v lies on %v", r, o)
				}
			}
		}
		for _, boxes := range images {
			for _, b := range boxes {
				if !slices.ContainsFunc(all, func(r FoundAt) bool { return around(r.Box, b) == r.Box }) {
					t.Fatalf("%v is in none of %v", b, all)
				}
			}
		}
	})
}
