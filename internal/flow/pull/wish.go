package pull

import (
	"cmp"

	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/pull"
)

// NewPull is a [Wish] as programs write it.
type NewPull struct {
	Label      string   `json:"label,omitempty"`
	Peer       string   `json:"peer"`
	Way        string   `json:"way,omitempty"` // move, unless it says get
	Rate       int64    `json:"rate,omitempty"`
	Hours      string   `json:"hours,omitempty"`
	Accessions []string `json:"accessions,omitempty"`
	Patients   []string `json:"patients,omitempty"`
	Studies    []string `json:"studies,omitempty"`
	Standing   bool     `json:"standing,omitempty"`
	From       string   `json:"from,omitempty"`
	Modalities []string `json:"modalities,omitempty"`
	Described  string   `json:"described,omitempty"`
	Priors     int      `json:"priors,omitempty"`
}

// Wish reads it.
func (n NewPull) Wish() (Wish, error) {
	ae, err := collection.ParseAETitle(n.Peer)
	return Wish{Label: n.Label, Peer: ae, Way: pull.Way(cmp.Or(n.Way, string(pull.Move))), Rate: n.Rate, Hours: n.Hours, Accessions: n.Accessions, Patients: n.Patients, Studies: n.Studies,
		Standing: n.Standing, From: n.From, Modalities: n.Modalities, Described: n.Described, Priors: n.Priors}, err
}

// FateText says a fate in words.
func (f Fate) FateText() string {
	switch f.State {
	case "waiting":
		return "waits"
	case "running":
		return "under way"
	case "nothing":
		return "nothing was found"
	case "done":
		return "all of it came"
	case "partial":
		return "came in part"
	case "failed":
		return "did not come"
	}
	return f.State
}
