package deid

import "github.com/vitrine-imaging/vitrine/dicom"

// Outcome is what became of an object.
type Outcome string

// The outcomes.
const (
	Cleaned Outcome = "cleaned" // it may pass
	Held    Outcome = "held"    // a person or a later step has to look
	Refused Outcome = "refused" // it is no object that could be kept
)

// Reason says why an object is held or refused, or what was found in it. It names tags and codes, never a value.
type Reason struct {
	Code  string `json:"code"`
	Where string `json:"where"` // tag path, or region of an image; empty where it is the object as a whole
	Text  string `json:"text"`
}

// Actions counts what was done to an object's elements.
type Actions struct {
	Removed  int `json:"removed"`  // taken out, with all that lay within
	Emptied  int `json:"emptied"`  // left without a value
	Replaced int `json:"replaced"` // given a dummy, a pseudonym, a code or a coarser number
	Cleaned  int `json:"cleaned"`  // lost part of their text
	Remapped int `json:"remapped"` // given other UIDs
	Shifted  int `json:"shifted"`  // given earlier dates, or times without fractions
	Added    int `json:"added"`    // markers of the de-identification
	Kept     int `json:"kept"`     // as they were

	// Concepts counts content items of reports and annotations that were taken out whole, or have a dummy for a value.
	Concepts int `json:"concepts,omitempty"`
}

// Result is what [Subject.Clean] made of an object.
type Result struct {
	Outcome  Outcome
	Reasons  []Reason
	Findings []Reason // under as-deposited: what looks identifiable; else what there is to know of an object that passes
	Actions  Actions

	// Rules says how many elements each of the collection's own rules decided on.
	Rules []RuleCount
	// Done says what was done to which elements; nil unless Cleaned by a profile that changes something.
	Done *Done
	// DoneText is Done as [Done.Encode] writes it; empty without one.
	DoneText string

	// Rendered is the clean data set but for its bulk values; nil unless Cleaned.
	Rendered *dicom.Rendered

	// What the object is in the collection: known for whatever was read far enough, cleaned or not. Empty where the original had none.
	Pseudonym         string
	SOPClassUID       string
	SOPInstanceUID    string
	SeriesInstanceUID string
	StudyInstanceUID  string

	// Lexicon has every identifier known for the subject after this object, NewTerms those that it brought.
	Lexicon  *Lexicon
	NewTerms []Term

	// ScanBulk says that bulk values have to pass a [BulkScanner] before the object may: code streams can carry text.
	ScanBulk bool
}

// Report is what `vitrine deidentify` writes. It holds nothing identifiable, nor a digest of an input.
type Report struct {
	Profile string     `json:"profile"`
	Version string     `json:"version"`
	Table   string     `json:"table,omitempty"`  // edition of PS3.15 Table E.1-1
	Digest  string     `json:"digest,omitempty"` // SHA-256 of the file of the collection's own rules
	Rules   []RuleView `json:"rules,omitempty"`  // that items name
	Done    *Told      `json:"done,omitempty"`   // to all items that were cleaned, element by element
	Items   []Item     `json:"items"`
}

// NewReport is the head of a report on what a profile did.
func NewReport(p *Profile) *Report {
	r := &Report{Profile: p.Name, Version: p.Version, Rules: p.Rules(), Digest: p.Digest()}
	if !p.AsDeposited {
		r.Table = TableEdition
	}
	return r
}

// Item is one input of a report, in the order of the inputs, counted from 1.
type Item struct {
	Item    int      `json:"item"`
	Outcome Outcome  `json:"outcome"`
	Output  *string  `json:"output"` // path under the output folder; null if nothing was written
	Reasons []Reason `json:"reasons"`
	Actions Actions  `json:"actions"`

	Rules []RuleCount `json:"rules,omitempty"` // of the collection's own, and how many elements each decided on

	done *Done
}

// NewItem is the report's line for a result.
func NewItem(n int, r *Result, output string) Item {
	it := Item{Item: n, Outcome: r.Outcome, Reasons: append(append([]Reason{}, r.Reasons...), r.Findings...), Actions: r.Actions, Rules: r.Rules, done: r.Done}
	if output != "" {
		it.Output = &output
	}
	return it
}

// Sum says what was done to all items that were cleaned.
func (r *Report) Sum() {
	var all Done
	for _, it := range r.Items {
		if it.Outcome == Cleaned && it.done != nil {
			all.Add(it.done, 1)
		}
	}
	if all.Objects > 0 {
		told := all.Tell()
		r.Done = &told
	}
}
