package vocabulary

import (
	_ "embed"
	"slices"
	"strings"
)

//go:embed diseases.txt
var diseasesText string

// disease is a known concept of a disease.
type disease struct {
	code      Code
	label     string
	lay       string
	words     []string
	parents   []Code
	children  []Code
	ancestors []Code // without itself, nearest first
}

var diseases, diseaseOrder = parseDiseases(diseasesText)

func parseDiseases(text string) (map[Code]*disease, []Code) {
	all := map[Code]*disease{}
	var order []Code
	broader := map[Code]string{}
	for section, lines := range sections(text) {
		for _, f := range lines {
			c := Code{System(section), f[0]}
			if all[c] != nil {
				panic("vocabulary: twice: " + c.String())
			}
			all[c] = &disease{code: c, label: f[2], lay: f[3], words: split(f[4], ";")}
			order, broader[c] = append(order, c), f[1]
		}
	}
	for _, c := range order {
		d := all[c]
		add := func(p Code) {
			if all[p] == nil {
				panic("vocabulary: " + c.String() + " is a kind of nothing known: " + p.String())
			}
			if !slices.Contains(d.parents, p) {
				d.parents = append(d.parents, p)
				all[p].children = append(all[p].children, c)
			}
		}
		for p := range strings.FieldsSeq(broader[c]) {
			if p[0] >= 'a' && p[0] <= 'z' {
				add(Code{Group, p})
			} else {
				add(Code{c.System, p})
			}
		}
		for _, p := range structural(c) {
			if all[p] != nil {
				add(p)
			}
		}
		if d.lay == "" {
			d.lay = d.label
		}
	}
	for _, c := range order {
		all[c].ancestors = climb(all, all[c].parents)
	}
	return all, order
}

// climb is all that is above, breadth first, each once.
func climb(all map[Code]*disease, parents []Code) []Code {
	up := slices.Clone(parents)
	for i := 0; i < len(up); i++ {
		for _, p := range all[up[i]].parents {
			if !slices.Contains(up, p) {
				up = append(up, p)
			}
		}
	}
	return up
}

// structural are the broader codes that the code's own form tells: C50.4, C50, C50-C50; 8500/3, 850-854. Not all of them are known.
func structural(c Code) []Code {
	var up []Code
	put := func(v string) { up = append(up, Code{c.System, v}) }
	v := c.Value
	switch c.System {
	case ICD10, Topography:
		if strings.Contains(v, "-") {
			return nil
		}
		for len(v) > 5 {
			v = v[:len(v)-1]
			put(v)
		}
		if len(v) == 5 {
			v = v[:3]
			put(v)
			return up // the category itself lies in its block
		}
		if c.System == ICD10 {
			for _, b := range icdBlocks {
				if v >= b[:3] && v <= b[4:] {
					put(b)
				}
			}
		}
	case Morphology:
		if len(v) == 6 {
			for _, b := range morphologyRanges {
				if low, high, _ := strings.Cut(b, "-"); v[:3] >= low && (v[:3] <= high || v[:3] == low) {
					put(b)
				}
			}
		}
	}
	return up
}

var icdBlocks, morphologyRanges = ranges(string(ICD10)), ranges(string(Morphology))

func ranges(section string) []string {
	var rs []string
	for name, lines := range sections(diseasesText) {
		for _, f := range lines {
			if name == section && (strings.Contains(f[0], "-") || len(f[0]) == 3 && digits(f[0])) {
				rs = append(rs, f[0])
			}
		}
	}
	return rs
}

// known is the concept, or the nearest broader one that its form tells: C50.4 is not in the table, C50 is.
func known(c Code) (d *disease, exact bool) {
	if d := diseases[c]; d != nil {
		return d, true
	}
	for _, p := range structural(c) {
		if d := diseases[p]; d != nil {
			return d, false
		}
	}
	return nil, false
}

// Known reports whether the disease is in the table, or at least a broader one that the code's form tells.
func Known(c Code) bool { d, _ := known(c); return d != nil }

// Diseases are the known concepts of diseases, groups first, then system by system.
func Diseases() []Code { return slices.Clone(diseaseOrder) }

// Label is what a concept is called in the clinic: a disease, or a term of a list. What is not known is called by its code.
func Label(c Code) string {
	if l := lists[string(c.System)]; l != nil {
		return l.Label(c.Value)
	}
	d, exact := known(c)
	switch {
	case d == nil:
		return c.String()
	case !exact:
		return d.label + " (" + c.Value + ")"
	}
	return d.label
}

// LayLabel is what a concept is called in plain words. A disease that has none of its own is called as the group that it belongs to.
func LayLabel(c Code) string {
	if l := lists[string(c.System)]; l != nil {
		return l.LayLabel(c.Value)
	}
	d, _ := known(c)
	if d == nil {
		return c.String()
	}
	if d.lay == d.label && d.code.System != Group {
		for _, p := range d.ancestors {
			if p.System == Group && p.Value != "cancer" && p.Value != "tumour" {
				return diseases[p].lay
			}
		}
	}
	return d.lay
}

// Parents are the concepts directly above: groups, and broader codes of the same system. A code that is not in the table still has those that its form
// tells.
func Parents(c Code) []Code {
	if l := lists[string(c.System)]; l != nil {
		if t, ok := l.Get(c.Value); ok && t.Ref("in") != "" {
			return []Code{{c.System, t.Ref("in")}}
		}
		return nil
	}
	d, exact := known(c)
	switch {
	case d == nil:
		return nil
	case !exact:
		return []Code{d.code}
	}
	return slices.Clone(d.parents)
}

// Ancestors are all concepts above, the nearest first, each once. An index that holds a code together with its ancestors answers a search for
// any of them by equality.
func Ancestors(c Code) []Code {
	if lists[string(c.System)] != nil {
		var up []Code
		for p := Parents(c); len(p) > 0 && len(up) < 16; p = Parents(p[0]) {
			up = append(up, p[0])
		}
		return up
	}
	d, exact := known(c)
	switch {
	case d == nil:
		return nil
	case !exact:
		return append([]Code{d.code}, d.ancestors...)
	}
	return slices.Clone(d.ancestors)
}

// Children are the known concepts directly below.
func Children(c Code) []Code {
	if l := lists[string(c.System)]; l != nil {
		var down []Code
		for _, t := range l.Terms {
			if t.Ref("in") == c.Value {
				down = append(down, t.Concept())
			}
		}
		return down
	}
	if d := diseases[c]; d != nil {
		return slices.Clone(d.children)
	}
	return nil
}

// Descendants are all known concepts below, each once. A code of a form that is below (C50.4 of C50) but not in the table is not among them: ask Is.
func Descendants(c Code) []Code {
	down, seen := Children(c), map[Code]bool{c: true}
	out := down[:0:0]
	for i := 0; i < len(down); i++ {
		if !seen[down[i]] {
			seen[down[i]] = true
			out = append(out, down[i])
			down = append(down, Children(down[i])...)
		}
	}
	return out
}

// Is reports whether a concept is the other or a kind of it.
func Is(c, broader Code) bool { return c == broader || slices.Contains(Ancestors(c), broader) }

// Groups are the groups that a disease belongs to, the nearest first, without "cancer" and "tumour", which say little.
func Groups(c Code) []Code {
	return slices.DeleteFunc(append([]Code{c}, Ancestors(c)...), func(p Code) bool {
		return p.System != Group || p.Value == "cancer" || p.Value == "tumour"
	})
}

// Codes are the broadest codes of a system that lie in a group: of bowel cancer in ICD-10 these are C18, C19 and C20. A code that is not a group is itself.
func Codes(c Code, system System) []Code {
	if c.System == system {
		return []Code{c}
	}
	var out []Code
	below := Descendants(c)
	for _, d := range below {
		if d.System != system || strings.Contains(d.Value, "-") && system == ICD10 {
			continue
		}
		if !slices.ContainsFunc(below, func(b Code) bool {
			return b != d && b.System == system && (system != ICD10 || !strings.Contains(b.Value, "-")) && Is(d, b)
		}) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b Code) int { return strings.Compare(a.Value, b.Value) })
	return out
}
