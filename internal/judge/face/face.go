// Package face tells of the slices of a volume whether a face could be rendered from it: by its pixels and where they lie in the patient, not by what the header says of it.
//
// It promises: what it is given may be anything; the same slices in any order give the same finding; a finding has numbers and no picture. What it cannot tell it says so, and
// whoever asks has to take it for a face.
//
// It looks at a volume as a renderer does: it finds the skin, which is where tissue meets air, and asks of the cross sections of what lies within whether they are those of a head, how far
// down they reach, and whether a nose stands out of them. In CT it looks for the skull besides. docs/faces.md tells how well, and where it fails.
//
// It takes nothing out: a volume in which a face was found has one afterwards.
package face

import (
	"fmt"
	"strings"
)

// Version names what judges: its measures and thresholds. It changes with whatever changes a finding.
const Version = "1"

// Outcome is what a volume shows.
type Outcome string

// The outcomes.
const (
	Visible    Outcome = "face"    // a head, with its face
	NotVisible Outcome = "no-face" // a head or a part of it, or too little to render a surface: no face can be seen
	NotHead    Outcome = "no-head" // something else
	Unsure     Outcome = "unsure"  // it cannot be told
)

// Shows reports an outcome that has to be taken for a face.
func (o Outcome) Shows() bool { return o == Visible || o == Unsure }

// Finding is an outcome with what it rests on. Lengths are in mm, shares from 0 to 1.
type Finding struct {
	Outcome Outcome `json:"outcome"`
	Why     string  `json:"why"` // in a few words, of no one's image

	Slices  int     `json:"slices"`            // that were looked at
	Spacing float64 `json:"spacing,omitempty"` // between slices, the median
	Head    float64 `json:"head,omitempty"`    // height of what has cross sections like a head's
	Width   float64 `json:"width,omitempty"`   // of the largest of them
	Depth   float64 `json:"depth,omitempty"`   // from front to back
	Skull   float64 `json:"skull,omitempty"`   // height of what is closed in by bone and holds brain (CT)
	Below   float64 `json:"below,omitempty"`   // height of the head below the skull's closed part (CT), or below the vertex
	Nose    float64 `json:"nose,omitempty"`    // how far a nose stands out
	Bridge  float64 `json:"bridge,omitempty"`  // height of what stands out
	Surface float64 `json:"surface,omitempty"` // share of the head's outline that is skin, and not the edge of the image
}

// Words are the numbers of a finding, for people.
func (f *Finding) Words() string {
	var parts []string
	add := func(name string, v float64, unit string) {
		if v != 0 {
			parts = append(parts, fmt.Sprintf("%s %.0f %s", name, v, unit))
		}
	}
	add("head-sized", f.Head, "mm high")
	if f.Width > 0 {
		parts = append(parts, fmt.Sprintf("%.0f by %.0f mm", f.Width, f.Depth))
	}
	add("closed skull", f.Skull, "mm")
	add("below", f.Below, "mm")
	if f.Bridge > 0 {
		parts = append(parts, fmt.Sprintf("nose %.0f mm over %.0f mm", f.Nose, f.Bridge))
	}
	parts = append(parts, fmt.Sprintf("%d slices", f.Slices))
	return strings.Join(parts, ", ")
}
