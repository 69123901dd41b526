package custody

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// MaxBoxes bounds the boxes of one image: more is no text, or nothing but text.
const MaxBoxes = 4096

// Boxes are what somebody wants painted over in an image, in pixels of its frames as they are stored.
type Boxes struct {
	// Drawn are boxes of frames First to Last, counted from 1; Last 0 is the last frame that there is.
	Drawn []catalogue.FoundBox
	// Only is of who has looked at every frame: nothing but Drawn is painted, and what a reading takes for text besides is left. Otherwise that is painted over as well.
	Only bool
}

// Check says, as a fault.Invalid, which box is none of an image of this size. Frames is 0 where it is not known how many there are.
func (b *Boxes) Check(columns, rows, frames int) error {
	wrong := func(k int, why string, args ...any) error {
		return fault.New(fault.Invalid, "paint boxes", "", fmt.Sprintf("box %d "+why, append([]any{k + 1}, args...)...))
	}
	if len(b.Drawn) > MaxBoxes {
		return fault.New(fault.Invalid, "paint boxes", "", "there are more than 4,096 boxes")
	}
	for k, d := range b.Drawn {
		x := d.Box
		switch {
		case x[0] < 0 || x[1] < 0 || x[2] <= x[0] || x[3] <= x[1]:
			return wrong(k, "is not at least one pixel wide and high, from column 0 and row 0 on")
		case x[2] > columns || x[3] > rows:
			return wrong(k, "reaches beyond the picture, which has %d columns and %d rows", columns, rows)
		case d.First < 1 || d.Last != 0 && d.Last < d.First:
			return wrong(k, "is in no frame: they are counted from 1")
		case frames > 0 && max(d.First, d.Last) > frames:
			return wrong(k, "is in frame %d, and the image has %d", max(d.First, d.Last), frames)
		}
	}
	return nil
}

// ParseBox reads a box as it is written in one line: X,Y,W,H, the first column and row, from 0, and how many of them, in every frame; or behind the frames that it is in,
// counted from 1: 3:X,Y,W,H or 1-40:X,Y,W,H or 2-:X,Y,W,H.
func ParseBox(s string) (b catalogue.FoundBox, err error) {
	bad := fault.New(fault.Invalid, "read box", "", "a box is written X,Y,W,H, or FRAME:X,Y,W,H, or FIRST-LAST:X,Y,W,H, in whole numbers")
	number := func(s string) int {
		n, e := strconv.ParseUint(s, 10, 24)
		if e != nil {
			err = bad
		}
		return int(n)
	}
	b.First = 1
	if frames, rest, ok := strings.Cut(s, ":"); ok {
		s = rest
		first, last, ranged := strings.Cut(frames, "-")
		if b.First, b.Last = number(first), 0; !ranged {
			b.Last = b.First
		} else if last != "" {
			if b.Last = number(last); b.Last == 0 {
				return b, bad
			}
		}
	}
	f := strings.Split(s, ",")
	if len(f) != 4 {
		return b, bad
	}
	x, y, w, h := number(f[0]), number(f[1]), number(f[2]), number(f[3])
	if b.First < 1 || w < 1 || h < 1 {
		return b, bad
	}
	b.Box = [4]int{x, y, x + w, y + h}
	return b, err
}

// FormatBox writes what [ParseBox] reads.
func FormatBox(b catalogue.FoundBox) string {
	frames := strconv.Itoa(b.First)
	switch {
	case b.Last == 0:
		frames += "-"
	case b.Last != b.First:
		frames += "-" + strconv.Itoa(b.Last)
	}
	return fmt.Sprintf("%s:%d,%d,%d,%d", frames, b.Box[0], b.Box[1], b.Box[2]-b.Box[0], b.Box[3]-b.Box[1])
}
