package custody

import (
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

func TestParseBox(t *testing.T) {
	for text, want := range map[string]catalogue.FoundBox{
		"1,2,3,4":     {First: 1, Box: [4]int{1, 2, 4, 6}},
		"3:0,0,1,1":   {First: 3, Last: 3, Box: [4]int{0, 0, 1, 1}},
		"2-:0,0,1,1":  {First: 2, Box: [4]int{0, 0, 1, 1}},
		"2-5:9,0,1,1": {First: 2, Last: 5, Box: [4]int{9, 0, 10, 1}},
	} {
		if got, err := ParseBox(text); err != nil || got != want {
			t.Errorf("%s: %+v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1,2,3", "1,2,3,4,5", "1,2,0,4", "1,2,3,0", "-1,2,3,4", "a,2,3,4", "0:1,2,3,4", "1-0:1,2,3,4", "-:1,2,3,4", ":1,2,3,4", "1.5,2,3,4", "99999999999,1,1,1", "1:2:3,4,5,6", " 1,2,3,4"} {
		if got, err := ParseBox(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

// What is read is written so that it is read the same.
func FuzzParseBox(f *testing.F) {
	for _, s := range []string{"1,2,3,4", "3:0,0,1,1", "2-:0,0,1,1", "2-5:9,0,1,1", "0:1,1,1,1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseBox(s)
		if err != nil {
			return
		}
		if again, err := ParseBox(FormatBox(b)); err != nil || again != b {
			t.Errorf("%q: %+v, and again %+v %v", s, b, again, err)
		}
	})
}

// A box is one of the image, or is named in words.
func TestCheckBoxes(t *testing.T) {
	for _, c := range []struct {
		name string
		box  catalogue.FoundBox
		ok   bool
	}{
		{"whole", catalogue.FoundBox{First: 1, Box: [4]int{0, 0, 60, 40}}, true}, {"last pixel of the last frame", catalogue.FoundBox{First: 3, Last: 3, Box: [4]int{59, 39, 60, 40}}, true},
		{"wide", catalogue.FoundBox{First: 1, Box: [4]int{0, 0, 61, 40}}, false}, {"high", catalogue.FoundBox{First: 1, Box: [4]int{0, 0, 60, 41}}, false},
		{"empty", catalogue.FoundBox{First: 1, Box: [4]int{5, 5, 5, 6}}, false}, {"before", catalogue.FoundBox{First: 1, Box: [4]int{-1, 0, 1, 1}}, false},
		{"frame 0", catalogue.FoundBox{Box: [4]int{0, 0, 1, 1}}, false}, {"frame 4", catalogue.FoundBox{First: 1, Last: 4, Box: [4]int{0, 0, 1, 1}}, false},
		{"from frame 4", catalogue.FoundBox{First: 4, Box: [4]int{0, 0, 1, 1}}, false}, {"backwards", catalogue.FoundBox{First: 3, Last: 2, Box: [4]int{0, 0, 1, 1}}, false},
	} {
		if err := (&Boxes{Drawn: []catalogue.FoundBox{c.box}}).Check(60, 40, 3); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if (&Boxes{Drawn: make([]catalogue.FoundBox, MaxBoxes+1)}).Check(60, 40, 3) == nil {
		t.Error("there may be any number of them")
	}
}
