package deid

import (
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// optionInfo says what an option of PS3.15 E.3 is called, and what it does here.
type optionInfo struct {
	option Option
	name   string // in names of profiles, files and reports
	clause string // of PS3.15
	title  string // of CID 7050, without the word option
	words  string
}

// optionTable has every option of PS3.15 E.3, in the order of its clauses.
var optionTable = [...]optionInfo{
	{CleanPixelData, "clean-pixel-data", "E.3.1", "Clean Pixel Data", "text in pixels is painted over, or the object is held"},
	{CleanVisualFeatures, "clean-recognizable-visual-features", "E.3.2", "Clean Recognizable Visual Features",
		"what could show a face is held; the code of the option is not written, since no face is taken out"},
	{CleanGraphics, "clean-graphics", "E.3.3", "Clean Graphics", "graphic annotations are judged item by item; overlays and curves are removed"},
	{CleanStructuredContent, "clean-structured-content", "E.3.4", "Clean Structured Content", "trees of content are judged concept by concept"},
	{CleanDescriptors, "clean-descriptors", "E.3.5", "Clean Descriptors", "descriptions keep the words of the vocabulary"},
	{RetainFullDates, "retain-full-dates", "E.3.6", "Retain Longitudinal Temporal Information Full Dates", "dates and times stay as they are"},
	{RetainModifiedDates, "retain-modified-dates", "E.3.6", "Retain Longitudinal Temporal Information Modified Dates",
		"dates go back by whole weeks, the same for all of a subject; times stay to the second"},
	{RetainPatientCharacteristics, "retain-patient-characteristics", "E.3.7", "Retain Patient Characteristics", "sex, age up to 89, size, weight and the like stay"},
	{RetainDeviceIdentity, "retain-device-identity", "E.3.8", "Retain Device Identity", "station, serial numbers and the like stay"},
	{RetainUIDs, "retain-uids", "E.3.9", "Retain UIDs", "UIDs stay as they are"},
	{RetainSafePrivate, "retain-safe-private", "E.3.10", "Retain Safe Private", "private elements that are known to be safe stay, if their value is what it should be"},
	{RetainInstitution, "retain-institution-identity", "E.3.11", "Retain Institution Identity", "institution, department and trial site stay"},
}

// Options are the names of the options of PS3.15 E.3, in the order of its clauses.
func Options() []string {
	names := make([]string, len(optionTable))
	for i, o := range optionTable {
		names[i] = o.name
	}
	return names
}

// ParseOption is the option of a name.
func ParseOption(name string) (Option, bool) {
	for _, o := range optionTable {
		if o.name == name {
			return o.option, true
		}
	}
	return 0, false
}

// Names are the names of the options in o, in the order of PS3.15 E.3.
func (o Option) Names() []string {
	var names []string
	for _, info := range optionTable {
		if o&info.option != 0 {
			names = append(names, info.name)
		}
	}
	return names
}

// OptionView describes an option to people.
type OptionView struct {
	Name   string `json:"name"`
	Clause string `json:"clause"` // of PS3.15
	Title  string `json:"title"`
	Words  string `json:"words"` // what it does here
}

// Describe describes the options in o, in the order of PS3.15 E.3.
func (o Option) Describe() []OptionView {
	var all []OptionView
	for _, info := range optionTable {
		if o&info.option != 0 {
			all = append(all, OptionView{info.name, "PS3.15 " + info.clause, info.title, info.words})
		}
	}
	return all
}

// contradiction says which two of the options cannot both be had; "" if all of them can.
func (o Option) contradiction() string {
	if both := RetainFullDates | RetainModifiedDates; o&both == both {
		return "retain-full-dates and retain-modified-dates contradict each other: one true date beside a shifted one tells by how much all were shifted"
	}
	return ""
}

// combine is a named profile with other options: p itself if they are its own.
func (p *Profile) combine(add, remove Option) (*Profile, string) {
	if p.AsDeposited && add|remove != 0 {
		return nil, "as-deposited changes nothing: it has no options"
	}
	if add&remove != 0 {
		return nil, "an option is both added and removed"
	}
	options := p.Options&^remove | add
	if why := options.contradiction(); why != "" {
		return nil, why
	}
	if options == p.Options {
		return p, ""
	}
	c := &Profile{Name: p.Name, Version: p.Version, Options: options, Generalise: p.Generalise, HoldFaces: p.HoldFaces || options&CleanVisualFeatures != 0}
	var title []string
	if plus := options &^ p.Options; plus != 0 {
		title = append(title, "with "+strings.Join(plus.Names(), ", "))
		c.Name += "+" + strings.Join(plus.Names(), "+")
		for _, n := range plus.Names() {
			c.changed = append(c.changed, "with "+n)
		}
	}
	if minus := p.Options &^ options; minus != 0 {
		title = append(title, "without "+strings.Join(minus.Names(), ", "))
		for _, n := range minus.Names() {
			c.changed = append(c.changed, "without "+n)
		}
	}
	c.base = p
	c.Title = strings.ToUpper(p.Name[:1]) + p.Name[1:] + " " + strings.Join(title, ", ")
	return c, ""
}

// parseCombination reads NAME+OPTION+OPTION.
func parseCombination(name string) (*Profile, error) {
	const attempt = "look up a profile of de-identification"
	parts := strings.Split(name, "+")
	at := slices.IndexFunc(profiles, func(p *Profile) bool { return p.Name == parts[0] })
	if at < 0 {
		return nil, fault.New(fault.NotFound, attempt, "", "known are "+strings.Join(Profiles(), ", ")+", and the first three with options, as in basic+clean-descriptors")
	}
	var add Option
	for _, n := range parts[1:] {
		o, ok := ParseOption(n)
		if !ok {
			return nil, fault.New(fault.NotFound, attempt, "", "an option is not known; known are "+strings.Join(Options(), ", "))
		}
		add |= o
	}
	p, why := profiles[at].combine(add, 0)
	if why != "" {
		return nil, fault.New(fault.Invalid, attempt, "", why)
	}
	return p, nil
}
