package deid

import (
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Explanation says what a profile does with an element, by what, and why.
type Explanation struct {
	Profile string        `json:"profile"`
	Version string        `json:"version"`
	Element string        `json:"element"` // as PS3.5 writes it; of a private one with xx for its block
	Creator string        `json:"creator,omitempty"`
	Keyword string        `json:"keyword,omitempty"`
	Name    string        `json:"name,omitempty"`
	VR      string        `json:"vr,omitempty"`
	Retired bool          `json:"retired,omitempty"`
	Row     *RowView      `json:"row,omitempty"` // of PS3.15 Table E.1-1; nil: it has none
	Cases   []ExplainCase `json:"cases"`         // the first whose objects fit; the last is for all others
}

// RowView is a row of PS3.15 Table E.1-1 in words.
type RowView struct {
	Edition string   `json:"edition"`
	Basic   string   `json:"basic"` // action code of the Basic Profile
	Keep    []string `json:"keep,omitempty"`
	Clean   []string `json:"clean,omitempty"`
}

// ExplainCase is what is done to the element in objects of some kind.
type ExplainCase struct {
	When string `json:"when,omitempty"` // empty: in every object, or in every other
	Fate string `json:"fate"`
	By   string `json:"by"` // the row and its edition, this project's decision, the dictionary, or a rule
	Why  string `json:"why"`
}

// Explain says what the profile does with an element, which is named as [ParseElement] reads it. A fault Invalid if it cannot be read.
func (p *Profile) Explain(element string) (*Explanation, error) {
	t, creator, why := ParseElement(element)
	if why != "" {
		return nil, fault.New(fault.Invalid, "explain an element", "", why)
	}
	x := &Explanation{Profile: p.Name, Version: p.Version, Element: t.String(), Creator: creator}
	if row, ok := LookupRow(t); ok && !t.IsPrivateCreator() {
		x.Row = &RowView{Edition: "PS3.15 Table E.1-1, " + row.Edition(), Basic: row.Basic.String(), Keep: row.Keep.Names(), Clean: row.Clean.Names()}
	}
	if p.AsDeposited {
		if e, ok := dicom.LookupTag(t); ok {
			x.Keyword, x.Name, x.VR, x.Retired = e.Keyword, e.Name, e.VR.String(), e.Retired
		}
		x.Cases = []ExplainCase{{Fate: "kept as it came", By: "the profile", Why: "nothing is changed; what looks identifiable is a finding"}}
		return x, nil
	}
	if creator != "" {
		p.explainPrivate(x, t)
		return x, nil
	}
	base, known := p.decide(t)
	e, ok := dicom.LookupTag(t)
	if ok {
		x.Keyword, x.Name, x.VR, x.Retired = e.Keyword, e.Name, e.VR.String(), e.Retired
	}
	row, inTable := LookupRow(t)
	last := ExplainCase{Fate: p.fateOf(base, t)}
	if op, why, decided := p.decided(t, row); decided && known && base.op == op {
		last.By, last.Why = "a decision of this project, "+"docs/deidentification.md", why
	} else {
		last.By, last.Why = p.sourceOf(t, base, row, inTable, ok && known)
	}
	if p.own != nil && known && base.vr != 0 {
		for k := range p.own.rules {
			o := &p.own.rules[k]
			if !o.chooses(t, base.vr) {
				continue
			}
			r, why := p.onto(k, t, base, row)
			if why != "" {
				continue
			}
			c := ExplainCase{When: o.when(), Fate: p.fateOf(r, t), By: "rule " + o.ID + " of " + p.Name + " " + p.Version, Why: o.Reason}
			x.Cases = append(x.Cases, c)
			if c.When == "" {
				return x, nil
			}
		}
	}
	x.Cases = append(x.Cases, last)
	return x, nil
}

// sourceOf says by what the profile alone decides, and why.
func (p *Profile) sourceOf(t dicom.Tag, r rule, row Row, inTable, known bool) (by, why string) {
	table := "PS3.15 Table E.1-1, " + row.Edition()
	switch {
	case t.IsPrivateCreator():
		return "PS3.5 7.8.1", "a private creator stays where an element of its block does"
	case t.IsGroupLength(), t.Group() <= 2:
		return "PS3.5 7.2 and PS3.10 7.1", "group lengths and file meta information are not part of a data set that is kept"
	case t.Group()>>8 == 0x50, t.Group()>>8 == 0x60:
		return table, "curves and overlays go whole: neither is anything without its data, which can show text"
	case !known:
		return "no table", "neither the table nor the dictionary knows it: nothing tells what it says"
	case !inTable:
		return "the dictionary: " + r.vr.String(), "the table has no row for it, so what its values can hold decides"
	}
	keep, clean := row.Keep&p.Options, row.Clean&p.Options
	temporal := isTemporal(r.vr)
	switch {
	case keep != 0 && temporal && p.shifts() && clean == 0:
		return table, "the Basic Profile's action " + row.Basic.String() + ": a true date beside shifted ones would tell by how much"
	case keep != 0 && !(temporal && p.shifts()):
		why = "K in the column of " + strings.Join(keep.Names(), ", ")
		if r.op == opStation || r.op == opSerial {
			why += "; but the staff of a site may call a device after anybody, so only what no person is called stays as it is, and a code still tells devices apart"
		}
		return table, why
	case clean != 0:
		return table, "C in the column of " + strings.Join(clean.Names(), ", ")
	}
	return table, "the Basic Profile's action " + row.Basic.String()
}

func (p *Profile) explainPrivate(x *Explanation, t dicom.Tag) {
	x.Element = fmt.Sprintf("(%04X,xx%02X)", t.Group(), uint8(t))
	if e, ok := dicom.LookupPrivate(x.Creator, t); ok {
		x.Name = e.Name
	}
	if vr := p.privateVR(x.Creator, t); vr != 0 {
		x.VR = vr.String()
	}
	if p.own != nil {
		for k := range p.own.rules {
			o := &p.own.rules[k]
			for _, e := range o.private {
				if e.creator != x.Creator || e.group != t.Group() || e.low != uint8(t) {
					continue
				}
				r, why := p.privateRule(k, e.vr)
				if why != "" {
					continue
				}
				c := ExplainCase{When: o.when(), Fate: p.fateOf(r, t), By: "rule " + o.ID + " of " + p.Name + " " + p.Version, Why: o.Reason}
				x.Cases = append(x.Cases, c)
				if c.When == "" {
					return
				}
				break
			}
		}
	}
	c := ExplainCase{Fate: "removed", By: "PS3.15 Table E.1-1, " + baseEdition}
	_, safe := safePrivateVR([]byte(x.Creator), t)
	_, blob := blobFilters[blobKey{x.Creator, t.Group(), uint8(t)}]
	switch {
	case !p.has(RetainSafePrivate):
		c.Why = "the Basic Profile's action X: private elements go unless retain-safe-private keeps those that are safe"
	case blob:
		c.Fate, c.By = "read, and written anew with listed numbers alone; what cannot be read goes", "a decision of this project, docs/deidentification.md"
		c.Why = "a vendor's block of parameters, which analyses of diffusion and dose need"
	case !safe:
		c.Why = "it is not among the private elements that are known to be safe"
	default:
		c.Fate, c.By = "kept, if its value is what the list says", PrivateEdition
		c.Why = "C in the column of retain-safe-private: its creator and meaning are known, and say nothing of a person"
	}
	x.Cases = append(x.Cases, c)
}

// fateOf says in words what a rule does.
func (p *Profile) fateOf(r rule, t dicom.Tag) string {
	if r.own != 0 {
		o := &p.own.rules[r.own-1]
		switch r.op {
		case opRemove:
			return "removed"
		case opOwnEmpty:
			return "emptied; a dummy where the object needs a value"
		case opOwnReplace:
			return "replaced by " + strconv.Quote(o.value)
		case opOwnGeneralise:
			return "made coarser: " + o.how()
		}
		if o.action == doHold {
			r.own = 0
			return "the object is held if it has a value; accepted by a person, it is " + p.fateOf(r, t)
		}
	}
	switch r.op {
	case opRemove:
		return "removed"
	case opBasic:
		return basicFate(r, t)
	case opKeep:
		return "kept, if the value is what its VR says"
	case opProfile:
		return "kept, if it is a colour profile"
	case opNumber:
		return "kept if it is a number, else emptied"
	case opCode:
		return "kept if its words are defined by the standard or ordinary, else cleaned word by word"
	case opText, opListed, opEthnic:
		return "cleaned: words of the vocabulary stay, all others go"
	case opTechnical, opSerial, opStation:
		return deviceFate(t)
	case opPlace:
		return "kept, unless it has a word of the subject's or a date; then cleaned word by word"
	case opUID:
		return "another UID, the same everywhere in the collection; the standard's own stay"
	case opKeepUID:
		return "kept, if it is a UID"
	case opDate:
		if r.vr == dicom.VRTM {
			if p.Generalise {
				return "kept to the hour"
			}
			return "kept, without fractions of a second"
		}
		return "moved back by whole weeks, the same for all of the subject"
	case opKeepDate:
		return "kept, if it is a date or time"
	case opAge:
		if p.Generalise {
			return "bands of five years; above 89 years 090Y"
		}
		return "kept; above 89 years 090Y"
	case opRound:
		return "rounded to 5 cm or 5 kg, and cut at 2 m and 120 kg"
	case opWalk:
		return "kept; each element within is judged by itself"
	case opPseudonym:
		return "the subject's pseudonym"
	case opLink:
		return "a keyed code, the same wherever the value is the same"
	case opScheme:
		return "kept if the coding scheme is a standard one, else replaced unless it reads as ordinary words"
	case opCreator:
		return "kept with its block"
	}
	return "removed"
}

// deviceFate says what becomes of names of equipment.
func deviceFate(t dicom.Tag) string {
	kept := "words of the vocabulary, makers, products, numbers and codes stay; "
	if wordy[t] {
		return kept + "all others go"
	}
	return kept + "any other word, a word of the subject's, a date or a long number makes a keyed code of the value, the same wherever the value is the same"
}

func basicFate(r rule, t dicom.Tag) string {
	words := map[Action]string{ActionX: "removed", ActionZ: "emptied", ActionD: "replaced by a dummy", ActionU: "another UID", ActionK: "kept"}
	if r.basic == 0 {
		return "emptied; a dummy where the object needs a value"
	}
	plain, strict := resolve(r.basic, t, "", false), resolve(r.basic, t, "", true)
	if plain == strict {
		return words[plain]
	}
	return words[plain] + "; in multi-frame objects, segmentations, slides and their like " + words[strict]
}

// how says in words what generalise leaves.
func (r *ownRule) how() string {
	var parts []string
	if r.bands > 0 {
		parts = append(parts, fmt.Sprintf("ages in bands of %d years", r.bands))
	}
	if r.over > 0 {
		parts = append(parts, fmt.Sprintf("over %d years as %03dY", r.over, r.over+1))
	}
	if r.grid > 0 {
		parts = append(parts, "rounded to "+strconv.FormatFloat(r.grid, 'g', -1, 64))
	}
	if r.date != "" {
		parts = append(parts, "dates to the "+r.date)
	}
	switch r.time {
	case "hour":
		parts = append(parts, "times to the hour")
	case "none":
		parts = append(parts, "times dropped")
	}
	return strings.Join(parts, ", ")
}

// when says in words which objects a rule is about; empty for all.
func (r *ownRule) when() string {
	var parts []string
	add := func(what string, of []string) {
		if len(of) > 0 {
			parts = append(parts, what+" is "+strings.Join(of, " or "))
		}
	}
	add("modality", r.modality)
	var classes []string
	for _, uid := range r.sopClass {
		name, _ := dicom.UIDName(uid)
		classes = append(classes, name)
	}
	add("SOP class", classes)
	add("manufacturer", r.manufacturer)
	add("model", r.model)
	add("image type", r.imageType)
	return strings.Join(parts, ", and ")
}

// which says in words which elements a rule is about; empty for the object as such.
func (r *ownRule) which() string {
	var parts []string
	for _, t := range r.tags {
		if t.from != t.to {
			parts = append(parts, t.from.String()+" to "+t.to.String())
			continue
		}
		name := t.from.String()
		if e, ok := dicom.LookupTag(t.from); ok {
			name = e.Name + " " + name
		}
		parts = append(parts, name)
	}
	for _, e := range r.private {
		parts = append(parts, fmt.Sprintf("(%04X,xx%02X) of %s", e.group, e.low, e.creator))
	}
	s := strings.Join(parts, ", ")
	if len(r.vrs) > 0 {
		var vrs []string
		for _, vr := range r.vrs {
			vrs = append(vrs, vr.String())
		}
		if s != "" {
			s += ", "
		}
		s += "VR " + strings.Join(vrs, " or ")
	}
	return s
}

// does says in words what a rule does.
func (r *ownRule) does() string {
	switch r.action {
	case doReplace:
		return "replace by " + strconv.Quote(r.value)
	case doGeneralise:
		return "make coarser: " + r.how()
	case doCode:
		return "replace by a keyed code"
	case doShift:
		return "move dates back by the subject's weeks"
	case doClean:
		if len(r.list) > 0 {
			return "clean word by word, with these words more: " + strings.Join(r.list, ", ")
		}
		return "clean word by word"
	case doKeep:
		return "keep, as far as its VR can be checked"
	}
	return r.action.String()
}

// RuleView is an own rule in words.
type RuleView struct {
	ID     string `json:"id"`
	Which  string `json:"which,omitempty"` // elements; empty: the object as such
	When   string `json:"when,omitempty"`  // objects; empty: all
	Does   string `json:"does"`
	Reason string `json:"reason"`
}

// Rules are the collection's own rules in words, in their order; none of a named profile.
func (p *Profile) Rules() []RuleView {
	if p.own == nil {
		return nil
	}
	out := make([]RuleView, len(p.own.rules))
	for i := range p.own.rules {
		o := &p.own.rules[i]
		out[i] = RuleView{o.ID, o.which(), o.when(), o.does(), o.Reason}
	}
	return out
}

// Own reports a profile that was read from a file.
func (p *Profile) Own() bool { return p.own != nil }

// Base is the name of the profile that this one stands on: its own, if it is a named one.
func (p *Profile) Base() string {
	if p.base != nil {
		return p.base.Name
	}
	return p.Name
}

// Changed says which options the profile has beyond its base, or lacks.
func (p *Profile) Changed() []string { return p.changed }

// Vocabulary are the words that the file lets all text keep besides.
func (p *Profile) Vocabulary() []string {
	if p.own == nil {
		return nil
	}
	return p.own.wordList
}

// Digest is the SHA-256 of the profile's file in hexadecimal digits; empty of a named profile.
func (p *Profile) Digest() string {
	if p.own == nil {
		return ""
	}
	return hex.EncodeToString(p.own.digest[:])
}

// Difference is an element with which two profiles do otherwise.
type Difference struct {
	Element, Name, One, Other string
}

// Differences are the elements of the table, of the dictionary, and of either's rules with which two profiles do otherwise, in the order of their tags.
func Differences(a, b *Profile) iter.Seq[Difference] {
	return func(yield func(Difference) bool) {
		for e := range dicom.Entries() {
			if e.Tag.Group() <= 2 || e.Tag.IsGroupLength() || e.VR == 0 {
				continue
			}
			one, other := a.fates(e.Tag.String()), b.fates(e.Tag.String())
			if one != other && !yield(Difference{e.Tag.String(), e.Name, one, other}) {
				return
			}
		}
		for _, name := range privateNames(a, b) {
			one, other := a.fates(name), b.fates(name)
			if one != other && !yield(Difference{name, "", one, other}) {
				return
			}
		}
	}
}

// fates are what becomes of an element in the objects of each kind.
func (p *Profile) fates(element string) string {
	x, err := p.Explain(element)
	if err != nil {
		return ""
	}
	var parts []string
	for _, c := range x.Cases {
		if c.When != "" {
			parts = append(parts, "where "+c.When+": "+c.Fate)
		} else {
			parts = append(parts, c.Fate)
		}
	}
	return strings.Join(parts, "; else ")
}

// privateNames are the private elements that either's rules choose.
func privateNames(of ...*Profile) []string {
	seen := map[string]bool{}
	var names []string
	for _, p := range of {
		if p.own == nil {
			continue
		}
		for _, o := range p.own.rules {
			for _, e := range o.private {
				name := fmt.Sprintf("(%04X,xx%02X,%q)", e.group, e.low, e.creator)
				if !seen[name] {
					seen[name] = true
					names = append(names, name)
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

// Describe names the profile, its version and, where it has one, its file.
func (p *Profile) Describe() string {
	s := p.Name + " " + p.Version
	if d := p.Digest(); d != "" {
		s += " sha256:" + d
	}
	return s
}

// Beside says why objects that p has cleaned cannot stand in one collection with those of an earlier profile; "" if they can.
func (p *Profile) Beside(earlier *Profile) string {
	truth := func(p *Profile) bool { return p.has(RetainFullDates) || p.own != nil && p.own.days && !p.shifts() }
	switch {
	case p.AsDeposited != earlier.AsDeposited:
		return "one of them changes nothing"
	case p.has(RetainUIDs) != earlier.has(RetainUIDs):
		return "one retains UIDs and the other does not: what belongs together would not be found together"
	case truth(p) && earlier.shifts(), truth(earlier) && p.shifts():
		return "one keeps true dates and the other shifts them: side by side they tell by how much"
	}
	return ""
}
