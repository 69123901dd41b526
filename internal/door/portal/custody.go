package portal

import (
	"strconv"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// custodyStep is a step of a study's custody in words.
type custodyStep struct {
	Name, When, What string
	At               time.Time // zero: not told
	By               string
	Deposit          catalogue.DepositID // 0: none, or not told
	Entry            int64               // in the audit log; -1: none, or not told
	Waits            bool                // something of it is held
	Rulings          []int64             // standing decisions by which some of it was accepted
}

// doors are what the ways in are called.
var doors = map[string]string{"dimse": "by PACS push", "dicomweb": "by STOW-RS", "stow": "by STOW-RS", "upload": "by upload", "sftp": "by SFTP", "pull": "by C-GET from an archive", "folder": "from a watched folder", "portal": "in the portal"}

// custodySteps writes the history of a study for people.
func custodySteps(h *delivery.History) []custodyStep {
	var all []custodyStep
	for i, e := range h.Events {
		s := custodyStep{At: e.At, By: e.By, Deposit: e.Deposit, Entry: e.Entry, Rulings: e.Rulings, When: later(e.Since)}
		if i == 0 {
			s.When = "first"
		}
		images := plural(e.Instances, "image", "images")
		switch e.Step {
		case delivery.StepReceived:
			s.Name, s.What = "Received", images+" "+doorWords(e.Door)+", on stable storage before the answer"
			if e.Refused > 0 {
				s.What += "; of the same deposit " + grouped(strconv.FormatInt(e.Refused, 10)) + " refused"
			}
		case delivery.StepCleaned:
			s.Name, s.What = "Cleaned", images+" in flight, by the profile "+e.Profile
			if e.Profile == collection.AsDeposited {
				s.Name, s.What = "Kept as deposited", "attested to be de-identified already"
			}
		case delivery.StepHeld:
			s.Name, s.What, s.Waits = "Held", plural(e.Instances, "image waits", "images wait")+" for a steward", true
		case delivery.StepDecided:
			s.Name, s.What = "Decided", grouped(strconv.FormatInt(e.Instances-e.Refused, 10))+" accepted, "+grouped(strconv.FormatInt(e.Refused, 10))+" refused by a "+e.Role
		case delivery.StepAdmitted:
			s.Name, s.What = "Admitted", images+", after a search for all that is known of the subject"
		case delivery.StepPublished:
			s.Name, s.What = "Published", images+", by a "+e.Role
			if e.Role == "operator" {
				s.What = images + ", by an operator"
			}
		}
		all = append(all, s)
	}
	return all
}

func doorWords(door string) string {
	if w := doors[door]; w != "" {
		return w
	}
	return "by " + door
}

// later says how much time had passed.
func later(d time.Duration) string {
	switch {
	case d < time.Second:
		return "in the same second"
	case d < 2*time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s later"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min later"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h later"
	}
	return grouped(strconv.Itoa(int(d.Hours()/24))) + " days later"
}
