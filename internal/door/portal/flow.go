package portal

import (
	"fmt"

	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// flowView is a deposit as a drawing: how much went which way.
type flowView struct {
	Height int
	Bands  []flowBand
	Nodes  []flowNode
	About  string
}

type flowBand struct{ Class, Path string }

type flowNode struct {
	Class      string
	X, Y, H    string
	TextX      int
	Anchor     string
	Name, Size string
	NameY      string
	SizeY      string
	More       string
	MoreY      string
}

// The places of the drawing, in its own units.
const (
	flowTop    = 22.0
	flowTall   = 120.0 // of everything
	flowLeast  = 3.0   // of what is more than nothing
	flowWide   = 8.0   // of a node
	receivedAt = 104.0
	cleanedAt  = 372.0
	admittedAt = 640.0
	endAt      = 908.0
)

// flowOf draws where the images of a deposit stand. Nothing is drawn of nothing.
func flowOf(c catalogue.Counts) flowView {
	if c.Received == 0 {
		return flowView{}
	}
	tall := func(n int64) float64 {
		if n == 0 {
			return 0
		}
		return max(flowLeast, flowTall*float64(n)/float64(c.Received))
	}
	clean := c.Pending + c.Catalogued
	hClean, hAdmitted, hPublished, hHeld, hRefused := tall(clean), tall(c.Catalogued), tall(c.Released), tall(c.Held), tall(c.Refused)
	heldAt := flowTop + max(hPublished+66, hAdmitted*0.5+66)
	refusedAt := heldAt + max(hHeld, 1) + 46
	v := flowView{About: fmt.Sprintf("Of %s received, %s cleaned, %s admitted, %s published, %s held, %s refused", grouped(fmt.Sprint(c.Received)), grouped(fmt.Sprint(clean)), grouped(fmt.Sprint(c.Catalogued)),
		grouped(fmt.Sprint(c.Released)), grouped(fmt.Sprint(c.Held)), grouped(fmt.Sprint(c.Refused)))}
	band := func(class string, x0, y0, x1, y1, h float64) {
		if h == 0 {
			return
		}
		m := (x0 + x1) / 2
		v.Bands = append(v.Bands, flowBand{class, fmt.Sprintf("M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1fv%.1fC%.1f %.1f %.1f %.1f %.1f %.1fz", x0, y0, m, y0, m, y1, x1, y1, h, m, y1+h, m, y0+h, x0, y0+h)})
	}
	node := func(class, name, size, more string, x, y, h float64, left bool) {
		n := flowNode{Class: class, Name: name, Size: size, More: more, X: fmt.Sprintf("%.1f", x), Y: fmt.Sprintf("%.1f", y), H: tallText(h),
			TextX: int(x + flowWide + 8), Anchor: "start", NameY: fmt.Sprintf("%.1f", y+12), SizeY: fmt.Sprintf("%.1f", y+28), MoreY: fmt.Sprintf("%.1f", y+43)}
		if left {
			n.TextX, n.Anchor = int(x-8), "end"
		}
		v.Nodes = append(v.Nodes, n)
	}
	band("f1", receivedAt+flowWide, flowTop, cleanedAt, flowTop, hClean)
	band("f4", receivedAt+flowWide, flowTop+hClean, endAt, heldAt, hHeld)
	band("f3", receivedAt+flowWide, flowTop+hClean+hHeld, endAt, refusedAt, hRefused)
	band("f1", cleanedAt+flowWide, flowTop, admittedAt, flowTop, hAdmitted)
	if c.Pending > 0 {
		band("f0", cleanedAt+flowWide, flowTop+hAdmitted, admittedAt, flowTop+hAdmitted, max(hClean-hAdmitted, flowLeast))
	}
	band("f1", admittedAt+flowWide, flowTop, endAt, flowTop, hPublished)
	number := func(n int64) string { return grouped(fmt.Sprint(n)) }
	pending := ""
	if c.Pending > 0 {
		pending = number(c.Pending) + " in turn"
	}
	waiting := ""
	if left := c.Catalogued - c.Released; left > 0 {
		waiting = number(left) + " not published"
	}
	node("d0", "Received", number(c.Received), "", receivedAt, flowTop, hClean+hHeld+hRefused, true)
	node("d1", "Cleaned", number(clean), pending, cleanedAt, flowTop, hClean, false)
	node("d1", "Admitted", number(c.Catalogued), waiting, admittedAt, flowTop, hAdmitted, false)
	node("d1", "Published", number(c.Released), "", endAt, flowTop, hPublished, false)
	height := flowTop + flowTall + 20
	if c.Held > 0 {
		node("d4", "Held", number(c.Held)+", for a steward", "", endAt, heldAt, hHeld, false)
		height = max(height, heldAt+max(hHeld, 34)+8)
	}
	if c.Refused > 0 {
		node("d3", "Refused", number(c.Refused)+", nothing kept", "", endAt, refusedAt, hRefused, false)
		height = max(height, refusedAt+max(hRefused, 34)+8)
	}
	v.Height = int(height)
	return v
}

// tallText is the height of a node; nothing is drawn of nothing.
func tallText(h float64) string {
	if h == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", h)
}

// step is one of the stations of a deposit.
type step struct {
	Name, Text string
	State      string // on, now, or empty
}

// stepsOf says the same in words, for narrow screens and for who does not see the drawing.
func stepsOf(d catalogue.Deposit) []step {
	c := d.Counts
	number := func(n int64, what string) string { return grouped(fmt.Sprint(n)) + " " + what }
	state := func(done, now bool) string {
		switch {
		case done:
			return "on"
		case now:
			return "now"
		}
		return ""
	}
	ended, clean := !d.Ended.IsZero(), c.Pending+c.Catalogued
	all := []step{
		{"Received", number(c.Received, "on stable storage"), state(ended, true)},
		{"Cleaned", number(clean, "without identity"), state(ended && clean > 0, clean > 0)},
		{"Admitted", number(c.Catalogued, "checked as a whole"), state(c.Catalogued > 0 && c.Pending == 0, c.Pending > 0 || c.Catalogued > 0)},
		{"Published", number(c.Released, "for researchers"), state(c.Released > 0 && c.Released == c.Catalogued, c.Released > 0)},
	}
	if c.Held > 0 {
		all[1].Text += ", " + number(c.Held, "held")
	}
	if c.Refused > 0 {
		all[0].Text += ", " + number(c.Refused, "refused")
	}
	return all
}
