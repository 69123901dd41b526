package deid

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// A profile's file has tests of its own: made-up elements, and what the profile has to make of them.

type testCase struct {
	name   string
	line   int
	given  []element
	expect []element
	fates  []fate
	held   string // code of a reason, or "any"; empty: the object has to be cleaned
}

// element is one of a test. items are a sequence's.
type element struct {
	tag     dicom.Tag // of a private element, in block 10
	creator string
	vr      dicom.VR
	values  []string
	items   [][]element
	absent  bool // of given: the object does not have it
	name    string
}

type fate struct {
	element
	want string // removed, emptied, kept, changed
}

func (r *fileReader) cases(p *Profile, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "tests are a list")
		return
	}
	if len(n.Content) > maxOwnCases {
		r.fail(n, "at most %d tests", maxOwnCases)
		return
	}
	for _, c := range n.Content {
		tc := testCase{line: c.Line}
		budget := maxOwnElements
		fates := func(want string) func(*yaml.Node) {
			return func(n *yaml.Node) {
				for _, k := range r.list(n) {
					if e, ok := r.elementName(p, k, &budget); ok {
						tc.fates = append(tc.fates, fate{e, want})
					}
				}
			}
		}
		r.mapping(c, "a test", map[string]func(*yaml.Node){
			"name":    func(n *yaml.Node) { tc.name = r.sentence(n) },
			"given":   func(n *yaml.Node) { tc.given = r.elements(p, n, &budget) },
			"expect":  func(n *yaml.Node) { tc.expect = r.elements(p, n, &budget) },
			"removed": fates("removed"),
			"emptied": fates("emptied"),
			"kept":    fates("kept"),
			"changed": fates("changed"),
			"held": func(n *yaml.Node) {
				if tc.held = r.text(n); tc.held == "true" {
					tc.held = "any"
				} else if tc.held == "false" {
					tc.held = ""
				}
			},
		}, "name", "given")
		if tc.held == "" && len(tc.expect)+len(tc.fates) == 0 {
			r.fail(c, "the test expects nothing: give expect, removed, emptied, kept, changed or held")
		}
		if tc.held != "" && len(tc.expect)+len(tc.fates) > 0 {
			r.fail(c, "what is held has no elements to expect")
		}
		p.own.cases = append(p.own.cases, tc)
	}
}

// elementName reads a keyword, (0010,1010) or (0019,xx0C,"CREATOR").
func (r *fileReader) elementName(p *Profile, n *yaml.Node, budget *int) (element, bool) {
	s := strings.TrimSpace(r.text(n))
	if *budget--; *budget < 0 {
		r.fail(n, "a test has at most %d elements", maxOwnElements)
		return element{}, false
	}
	e := element{name: s}
	t, creator, err := ParseElement(s)
	if err != "" {
		r.fail(n, "%s", err)
		return e, false
	}
	e.tag, e.creator = t, creator
	if creator != "" {
		if e.vr = p.privateVR(creator, t); e.vr == 0 {
			r.fail(n, "no dictionary and no rule knows the VR of %s", shown(s))
			return e, false
		}
		return e, true
	}
	known, ok := dicom.LookupTag(t)
	if !ok || t.IsGroupLength() || t.Group() <= 2 || known.VR == 0 {
		r.fail(n, "%s is no element of a data set that the dictionary has", shown(s))
		return e, false
	}
	e.vr = known.VR
	return e, true
}

// privateVR is the VR of a private element by the profile's own rules, else by the dictionaries.
func (p *Profile) privateVR(creator string, t dicom.Tag) dicom.VR {
	if p.own != nil {
		for _, o := range p.own.rules {
			for _, e := range o.private {
				if e.creator == creator && e.group == t.Group() && e.low == uint8(t) && e.vr != 0 {
					return e.vr
				}
			}
		}
	}
	if e, ok := dicom.LookupPrivate(creator, t); ok {
		return e.VR
	}
	vr, _ := safePrivateVR([]byte(creator), t)
	return vr
}

// ParseElement reads how people name an element: a keyword, a tag as (0010,1010), or a private element with its creator as (0019,xx0C,"CREATOR"). why
// says what is wrong; empty if nothing is.
func ParseElement(s string) (t dicom.Tag, creator, why string) {
	s = strings.TrimSpace(s)
	body := strings.TrimSuffix(strings.TrimPrefix(s, "("), ")")
	if parts := strings.SplitN(body, ",", 3); len(parts) == 3 {
		creator = strings.Trim(strings.TrimSpace(parts[2]), `"'`)
		t, ok := privateTag("(" + parts[0] + "," + parts[1] + ")")
		if !ok || strings.TrimSpace(creator) == "" || len(creator) > 64 {
			return 0, "", "a private element is written (0019,xx0C,\"CREATOR\"), with an odd group"
		}
		return dicom.NewTag(t.Group(), 0x1000|uint16(uint8(t))), strings.TrimSpace(creator), ""
	}
	t, err := dicom.ParseTag(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		return 0, "", fmt.Sprintf("%s is neither a keyword of the dictionary nor a tag as (0010,1010)", shown(s))
	}
	if t.IsPrivate() && !t.IsPrivateCreator() {
		return 0, "", "a private element is named with its creator: " + t.String()[:10] + ",\"CREATOR\")"
	}
	return t, "", ""
}

func (r *fileReader) elements(p *Profile, n *yaml.Node, budget *int) []element {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "elements are written as names with values")
		return nil
	}
	var all []element
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		e, ok := r.elementName(p, n.Content[i], budget)
		if !ok {
			continue
		}
		if id := e.tag.String() + e.creator; seen[id] {
			r.fail(n.Content[i], "%s is there twice", shown(e.name))
			continue
		}
		seen[e.tag.String()+e.creator] = true
		v := n.Content[i+1]
		switch {
		case e.vr == dicom.VRSQ:
			if v.Kind != yaml.SequenceNode {
				r.fail(v, "%s is a sequence: a list of items", shown(e.name))
				continue
			}
			for _, item := range v.Content {
				e.items = append(e.items, r.elements(p, item, budget))
			}
		case v.Kind == yaml.ScalarNode && v.Value == "absent" && v.Tag != "!!null":
			e.absent = true
		case v.Kind == yaml.ScalarNode && v.Tag == "!!null":
		case v.Kind == yaml.MappingNode:
			r.fail(v, "%s is no sequence: give its value", shown(e.name))
			continue
		default:
			for _, c := range r.list(v) {
				e.values = append(e.values, r.text(c))
			}
		}
		if why := e.check(); why != "" {
			r.fail(v, "%s: %s", shown(e.name), why)
			continue
		}
		all = append(all, e)
	}
	return all
}

// check says why the values cannot be encoded.
func (e *element) check() string {
	if e.absent || e.vr == dicom.VRSQ || e.vr.IsText() {
		return ""
	}
	if !numeric(e.vr) && e.vr != dicom.VROB && e.vr != dicom.VRUN && e.vr != dicom.VROW {
		return "a value of " + e.vr.String() + " cannot be written here"
	}
	for _, v := range e.values {
		if _, err := strconv.ParseFloat(v, 64); err != nil || e.vr == dicom.VRAT {
			return "its values are numbers"
		}
	}
	return ""
}

func (e *element) build(b *dicom.Builder, block map[string]dicom.Tag) {
	t := e.tag
	if e.creator != "" {
		key := fmt.Sprint(t.Group(), e.creator)
		at, ok := block[key]
		if !ok {
			n := dicom.Tag(0x10)
			for _, other := range block {
				if other.Group() == t.Group() {
					n = max(n, other&0xFF+1)
				}
			}
			at = t&0xFFFF0000 | n
			block[key] = at
			b.Text(at, dicom.VRLO, e.creator)
		}
		t = t&0xFFFF0000 | (at&0xFF)<<8 | t&0xFF
	}
	switch {
	case e.vr == dicom.VRSQ:
		var items []func(*dicom.Builder)
		for _, item := range e.items {
			items = append(items, func(b *dicom.Builder) { buildAll(b, item) })
		}
		if len(items) == 0 {
			b.Raw(t, e.vr, nil)
			return
		}
		b.Sequence(t, items...)
	case e.vr.IsText():
		if len(e.values) == 0 {
			b.Raw(t, e.vr, nil)
			return
		}
		b.Text(t, e.vr, e.values...)
	case e.vr == dicom.VROB || e.vr == dicom.VRUN || e.vr == dicom.VROW:
		raw := []byte{}
		for _, v := range e.values {
			f, _ := strconv.ParseFloat(v, 64)
			raw = append(raw, byte(f))
		}
		b.Raw(t, e.vr, append(raw, make([]byte, len(raw)%2)...))
	case e.vr == dicom.VRFD || e.vr == dicom.VRFL:
		var fs []float64
		for _, v := range e.values {
			f, _ := strconv.ParseFloat(v, 64)
			fs = append(fs, f)
		}
		b.Numbers(t, e.vr, fs...)
	default:
		var ns []int
		for _, v := range e.values {
			f, _ := strconv.ParseFloat(v, 64)
			ns = append(ns, int(f))
		}
		b.Integers(t, e.vr, ns...)
	}
}

func buildAll(b *dicom.Builder, elements []element) {
	block := map[string]dicom.Tag{}
	for _, e := range elements {
		if !e.absent {
			e.build(b, block)
		}
	}
}

// standing are the elements that a test's object has unless it gives others: hardly more than makes it one.
var standing = []element{
	{tag: dicom.TagSpecificCharacterSet, vr: dicom.VRCS, values: []string{"ISO_IR 192"}},
	{tag: dicom.TagSOPClassUID, vr: dicom.VRUI, values: []string{"1.2.840.10008.5.1.4.1.1.2"}},
	{tag: dicom.TagSOPInstanceUID, vr: dicom.VRUI, values: []string{"1.2.826.0.1.3680043.9.1.1.1"}},
	{tag: dicom.TagStudyInstanceUID, vr: dicom.VRUI, values: []string{"1.2.826.0.1.3680043.9.1"}},
	{tag: dicom.TagSeriesInstanceUID, vr: dicom.VRUI, values: []string{"1.2.826.0.1.3680043.9.1.1"}},
	{tag: dicom.TagModality, vr: dicom.VRCS, values: []string{"CT"}},
	{tag: dicom.TagBodyPartExamined, vr: dicom.VRCS, values: []string{"CHEST"}},
	{tag: dicom.TagPatientID, vr: dicom.VRLO, values: []string{"PROFILE-TEST-1"}},
	{tag: dicom.TagStudyDate, vr: dicom.VRDA, values: []string{"20200110"}},
}

func (tc *testCase) dataset() (*dicom.Dataset, error) {
	all := slices.Clone(tc.given)
	for _, s := range standing {
		if !slices.ContainsFunc(tc.given, func(e element) bool { return e.tag == s.tag && e.creator == "" }) {
			all = append(all, s)
		}
	}
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	buildAll(b, all)
	return b.Dataset()
}

// CaseResult is what came of one test of a profile's file.
type CaseResult struct {
	Name     string    `json:"name"`
	Line     int       `json:"line"`
	Passed   bool      `json:"passed"`
	Problems []Problem `json:"problems,omitempty"`
}

// Problem is a difference between what a test expects and what came of it. The values are the test's own.
type Problem struct {
	Element string `json:"element,omitempty"`
	Want    string `json:"want"`
	Got     string `json:"got"`
}

// Cases is the number of tests of the profile's own.
func (p *Profile) Cases() int {
	if p.own == nil {
		return 0
	}
	return len(p.own.cases)
}

// Test runs the tests that the profile's file has.
func (p *Profile) Test() []CaseResult {
	if p.own == nil {
		return nil
	}
	keys := NewKeys(sha256.Sum256([]byte("the tests of a profile")))
	out := make([]CaseResult, 0, len(p.own.cases))
	for i := range p.own.cases {
		tc := &p.own.cases[i]
		problems := p.runCase(tc, keys)
		out = append(out, CaseResult{tc.name, tc.line, len(problems) == 0, problems})
	}
	return out
}

func (p *Profile) runCase(tc *testCase, keys *Keys) []Problem {
	ds, err := tc.dataset()
	if err != nil {
		return []Problem{{"", "an object of the given elements", "it cannot be encoded: " + err.Error()}}
	}
	res, err := Clean(ds, p, keys, nil)
	if err != nil {
		return []Problem{{"", "an answer", err.Error()}}
	}
	said := func() string {
		var why []string
		for _, r := range res.Reasons {
			why = append(why, strings.TrimSpace(r.Code+" "+r.Where)+": "+r.Text)
		}
		return strings.TrimSuffix(string(res.Outcome)+" ("+strings.Join(why, "; "), " (") + strings.Repeat(")", min(1, len(why)))
	}
	if tc.held != "" {
		if res.Outcome == Held && (tc.held == "any" || slices.ContainsFunc(res.Reasons, func(r Reason) bool {
			return r.Code == tc.held || strings.HasPrefix(r.Text, "by the collection's rule "+tc.held+":")
		})) {
			return nil
		}
		want := "held"
		if tc.held != "any" {
			want += " for " + tc.held
		}
		return []Problem{{"", want, said()}}
	}
	if res.Outcome != Cleaned {
		return []Problem{{"", "cleaned", said()}}
	}
	clean, err := res.Rendered.Dataset()
	if err != nil {
		return []Problem{{"", "an object", err.Error()}}
	}
	problems := compareAll(clean, dicom.Root, tc.expect, "")
	for _, f := range tc.fates {
		was, _ := shownValue(ds, dicom.Root, &f.element)
		now, there := shownValue(clean, dicom.Root, &f.element)
		ok := false
		switch f.want {
		case "removed":
			ok = !there
		case "emptied":
			ok = there && now == ""
		case "kept":
			ok = there && now == was
		case "changed":
			ok = there && now != was && now != ""
		}
		if !ok {
			problems = append(problems, Problem{f.name, f.want + " (it was " + quoted(was) + ")", presence(now, there)})
		}
	}
	return problems
}

func quoted(s string) string { return `"` + strings.ReplaceAll(s, `\`, `" "`) + `"` }

func presence(v string, there bool) string {
	switch {
	case !there:
		return "removed"
	case v == "":
		return "empty"
	}
	return quoted(v)
}

func compareAll(ds *dicom.Dataset, parent int, want []element, path string) []Problem {
	var out []Problem
	for _, e := range want {
		name := path + e.name
		if e.vr == dicom.VRSQ {
			i := e.find(ds, parent)
			if i < 0 {
				out = append(out, Problem{name, fmt.Sprintf("%d items", len(e.items)), "removed"})
				continue
			}
			var items []int
			for k := range ds.Children(i) {
				items = append(items, k)
			}
			if len(items) != len(e.items) {
				out = append(out, Problem{name, fmt.Sprintf("%d items", len(e.items)), fmt.Sprintf("%d items", len(items))})
				continue
			}
			for n, k := range items {
				out = append(out, compareAll(ds, k, e.items[n], fmt.Sprintf("%s[%d].", name, n+1))...)
			}
			continue
		}
		got, there := shownValue(ds, parent, &e)
		if e.absent {
			if there {
				out = append(out, Problem{name, "removed", presence(got, there)})
			}
			continue
		}
		wanted := strings.Join(e.normal(), `\`)
		if !there || got != wanted {
			out = append(out, Problem{name, presence(wanted, true), presence(got, there)})
		}
	}
	return out
}

// normal are the expected values as values are shown.
func (e *element) normal() []string {
	if e.vr.IsText() {
		return e.values
	}
	out := make([]string, len(e.values))
	for i, v := range e.values {
		f, _ := strconv.ParseFloat(v, 64)
		if e.vr == dicom.VRFL {
			f = float64(float32(f))
		}
		out[i] = strconv.FormatFloat(f, 'g', -1, 64)
	}
	return out
}

// find is the entry of the element within a parent; -1 if it is not there.
func (e *element) find(ds *dicom.Dataset, parent int) int {
	if e.creator == "" {
		return ds.FindIn(parent, e.tag)
	}
	for i := range ds.Children(parent) {
		t := ds.At(i).Tag
		if t.Group() == e.tag.Group() && uint8(t) == uint8(e.tag) && !t.IsPrivateCreator() && strings.Trim(ds.Creator(i), " \x00") == e.creator {
			return i
		}
	}
	return -1
}

// shownValue is an element's value as a test writes it.
func shownValue(ds *dicom.Dataset, parent int, e *element) (string, bool) {
	i := e.find(ds, parent)
	if i < 0 {
		return "", false
	}
	switch el := ds.At(i); {
	case el.IsSequence() || e.vr == dicom.VRSQ:
		n := 0
		for range ds.Children(i) {
			n++
		}
		if n == 0 {
			return "", true
		}
		return fmt.Sprintf("%d items", n), true
	case e.vr.IsText():
		var out []string
		for _, v := range ds.Strings(i) {
			out = append(out, strings.Trim(v, " \x00"))
		}
		return strings.Join(out, `\`), true
	case e.vr == dicom.VRFD || e.vr == dicom.VRFL:
		var out []string
		for _, f := range ds.Floats(i) {
			out = append(out, strconv.FormatFloat(f, 'g', -1, 64))
		}
		return strings.Join(out, `\`), true
	case numeric(e.vr):
		var out []string
		for _, n := range ds.Ints(i) {
			out = append(out, strconv.FormatInt(n, 10))
		}
		return strings.Join(out, `\`), true
	}
	var out []string
	for _, c := range ds.Value(i) {
		out = append(out, strconv.Itoa(int(c)))
	}
	return strings.Join(out, `\`), true
}
