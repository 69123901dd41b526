// Package risk measures how far the people of a collection are alike in what is told of them, and what would have to be told more coarsely so that nobody stands alone.
//
// The measure is k-anonymity (Samarati and Sweeney, 1998): people who are told the same of, in every field that somebody else may know, are a class; k is the
// size of the smallest. Each person counts once, with everything that is told of them. What cannot be known from outside, such as pixels, is no field.
//
//	r := risk.Measure(fields, people, 5)
//	r.Below   // people in classes of fewer than five
//	r.Mend    // the coarser levels with which nobody is
//
// It promises the same report for the same people in any order, and names no person: a class is told by its values and its size.
package risk

import (
	"cmp"
	"slices"
	"strings"
)

// Field is something that is told of a person and that others may know: a quasi-identifier.
type Field struct {
	Name string
	// Levels are ways to tell it, the first as it is told now, each coarser than the one before. The last may leave it out.
	Levels []Level
}

// Level is a way to tell a field. Of gives the value that is told for the one that is known; it maps equal values to equal ones.
type Level struct {
	Name string
	Of   func(value string) string // nil: the value itself
}

// LeftOut tells nothing.
var LeftOut = Level{Name: "left out", Of: func(string) string { return "" }}

// Person is what is told of somebody, a value for each field; empty where nothing is.
type Person []string

// Report is how far people are alike.
type Report struct {
	People   int      `json:"people"`
	Fields   []string `json:"fields"`
	Wanted   int      `json:"wanted"`   // k that is asked for
	Smallest int      `json:"smallest"` // k that is: the size of the smallest class; 0 if there is nobody
	Below    int      `json:"below"`    // people in classes smaller than is asked for
	Alone    int      `json:"alone"`    // people in a class of one
	Classes  []Class  `json:"classes"`  // the smallest of those, at most 50
	// Tells says which fields together single people out: those that are alone by these and by no fewer of them. Most people first, at most 50, of up to three fields.
	Tells []Tell `json:"tells"`
	Mend  *Mend  `json:"mend,omitempty"` // nil: nothing has to be mended
	// Spare is a gentler way, where some few are left out: a twentieth of the people at most. nil: there is none.
	Spare *Mend `json:"spare,omitempty"`
	// Faces is what stands beside all of this: the slices of a head can be rendered as a face. nil: it is not known.
	Faces *Faces `json:"faces,omitempty"`
}

// Faces counts series of slices (CT, MR, PET, nuclear medicine) by what was found in their pixels.
type Faces struct {
	Could   int64 `json:"could"`   // series that could show a face: the three that follow together
	Found   int64 `json:"found"`   // a head with its face
	Unsure  int64 `json:"unsure"`  // it could not be told
	Unknown int64 `json:"unknown"` // not looked at
	None    int64 `json:"none"`    // no face
}

// Class is people who are told the same of.
type Class struct {
	Values []string `json:"values"` // by field
	People int      `json:"people"`
}

// Tell is fields that single people out together.
type Tell struct {
	Fields []string `json:"fields"`
	People int      `json:"people"`
}

// Mend is how coarsely fields would have to be told.
type Mend struct {
	Steps    []Step `json:"steps"`    // the fields that change
	Smallest int    `json:"smallest"` // the smallest class then
	Below    int    `json:"below"`    // people who would still be in classes smaller than is asked for: they would have to be left out
}

// Step is one field told more coarsely.
type Step struct {
	Field string `json:"field"`
	Now   string `json:"now"`
	Then  string `json:"then"`
}

const (
	most    = 50 // classes and combinations that a report lists
	deepest = 3  // fields of a combination
)

// coded are people as numbers: by field, level and person.
type coded struct {
	n      int
	codes  [][][]uint32
	levels []int // of each field
}

func code(fields []Field, people []Person) *coded {
	c := &coded{n: len(people), codes: make([][][]uint32, len(fields)), levels: make([]int, len(fields))}
	for f := range fields {
		c.codes[f] = make([][]uint32, len(fields[f].Levels))
		for l, level := range fields[f].Levels {
			known := map[string]uint32{}
			row := make([]uint32, len(people))
			for i, p := range people {
				v := p[f]
				if level.Of != nil {
					v = level.Of(v)
				}
				k, ok := known[v]
				if !ok {
					k = uint32(len(known))
					known[v] = k
				}
				row[i] = k
			}
			c.codes[f][l] = row
		}
	}
	return c
}

// classes numbers the classes by the fields given, each at its level, and counts them.
func (c *coded) classes(fields []int, levels []int) (of []uint32, sizes []int) {
	of = make([]uint32, c.n)
	count := 1
	if c.n == 0 {
		count = 0
	}
	for _, f := range fields {
		known := make(map[uint64]uint32, count)
		row := c.codes[f][levels[f]]
		for i := range of {
			key := uint64(of[i])<<32 | uint64(row[i])
			k, ok := known[key]
			if !ok {
				k = uint32(len(known))
				known[key] = k
			}
			of[i] = k
		}
		count = len(known)
	}
	sizes = make([]int, count)
	for _, k := range of {
		sizes[k]++
	}
	return of, sizes
}

// below is the number of people in classes smaller than k, and the size of the smallest.
func (c *coded) below(all, levels []int, k int) (n, smallest int) {
	_, sizes := c.classes(all, levels)
	for _, s := range sizes {
		if s < k {
			n += s
		}
		if smallest == 0 || s < smallest {
			smallest = s
		}
	}
	return n, smallest
}

// Measure reports on people by what is told of them, of whom no class should be smaller than k. Every person has a value for every field, and every field a level.
func Measure(fields []Field, people []Person, k int) *Report {
	r := &Report{People: len(people), Fields: make([]string, len(fields)), Wanted: k, Classes: []Class{}, Tells: []Tell{}}
	all := make([]int, len(fields))
	for f := range fields {
		r.Fields[f], all[f] = fields[f].Name, f
	}
	if len(people) == 0 {
		return r
	}
	c := code(fields, people)
	of, sizes := c.classes(all, c.levels)
	first := make([]int, len(sizes))
	for i := range first {
		first[i] = -1
	}
	for i, k := range of {
		if first[k] < 0 {
			first[k] = i
		}
	}
	for class, size := range sizes {
		if r.Smallest == 0 || size < r.Smallest {
			r.Smallest = size
		}
		if size == 1 {
			r.Alone++
		}
		if size < k {
			r.Below += size
			r.Classes = append(r.Classes, Class{told(fields, people[first[class]]), size})
		}
	}
	slices.SortFunc(r.Classes, func(a, b Class) int { return cmp.Or(a.People-b.People, slices.Compare(a.Values, b.Values)) })
	r.Classes = r.Classes[:min(len(r.Classes), most)]
	r.Tells = c.tells(r.Fields)
	if r.Below > 0 {
		r.Mend = c.mend(fields, all, k, 0)
		if spare := len(people) / 20; spare > 0 {
			if m := c.mend(fields, all, k, spare); m.Below <= spare && !slices.Equal(m.Steps, r.Mend.Steps) {
				r.Spare = m
			}
		}
	}
	return r
}

func told(fields []Field, p Person) []string {
	out := make([]string, len(fields))
	for f := range fields {
		out[f] = p[f]
		if of := fields[f].Levels[0].Of; of != nil {
			out[f] = of(p[f])
		}
	}
	return out
}

// tells counts who is alone by few fields.
func (c *coded) tells(names []string) []Tell {
	out := []Tell{}
	alone := map[string][]bool{} // by combination: who is alone by it
	var add func(combination []int, from int)
	visit := func(combination []int) {
		of, sizes := c.classes(combination, c.levels)
		who := make([]bool, c.n)
		n := 0
		for i, k := range of {
			if sizes[k] != 1 {
				continue
			}
			who[i] = true
			if !c.fewer(alone, combination, i) {
				n++
			}
		}
		alone[key(combination)] = who
		if n > 0 {
			t := Tell{People: n}
			for _, f := range combination {
				t.Fields = append(t.Fields, names[f])
			}
			out = append(out, t)
		}
	}
	for size := 1; size <= min(deepest, len(names)); size++ {
		add = func(combination []int, from int) {
			if len(combination) == size {
				visit(combination)
				return
			}
			for f := from; f < len(names); f++ {
				add(append(combination[:len(combination):len(combination)], f), f+1)
			}
		}
		add(nil, 0)
	}
	slices.SortStableFunc(out, func(a, b Tell) int {
		return cmp.Or(b.People-a.People, len(a.Fields)-len(b.Fields), strings.Compare(strings.Join(a.Fields, "\x00"), strings.Join(b.Fields, "\x00")))
	})
	return out[:min(len(out), most)]
}

// fewer reports whether a person is alone already by all but one of the fields.
func (c *coded) fewer(alone map[string][]bool, combination []int, person int) bool {
	if len(combination) == 1 {
		return false
	}
	for leave := range combination {
		less := slices.Delete(slices.Clone(combination), leave, leave+1)
		if alone[key(less)][person] {
			return true
		}
	}
	return false
}

func key(combination []int) string {
	b := make([]byte, len(combination))
	for i, f := range combination {
		b[i] = byte(f)
	}
	return string(b)
}

// mend looks for levels with which so many people at most as may be spared are in a small class: step by step the field whose next level helps most people, told as finely as it can stay at the end.
func (c *coded) mend(fields []Field, all []int, k, spare int) *Mend {
	levels := slices.Clone(c.levels)
	now, smallest := c.below(all, levels, k)
	for now > spare {
		best, bestBelow, bestSmallest := -1, 0, 0
		for f := range fields {
			if levels[f]+1 == len(fields[f].Levels) {
				continue
			}
			levels[f]++
			below, least := c.below(all, levels, k)
			levels[f]--
			// Of two that help alike the one that keeps more: fewer steps taken so far.
			if best < 0 || below < bestBelow || below == bestBelow && levels[f] < levels[best] {
				best, bestBelow, bestSmallest = f, below, least
			}
		}
		if best < 0 {
			break
		}
		levels[best]++
		now, smallest = bestBelow, bestSmallest
	}
	// What was coarsened on the way and is not needed in the end goes back.
	for f := len(fields) - 1; f >= 0; f-- {
		for levels[f] > 0 {
			levels[f]--
			below, least := c.below(all, levels, k)
			if below > max(now, spare) {
				levels[f]++
				break
			}
			now, smallest = below, least
		}
	}
	m := &Mend{Steps: []Step{}, Smallest: smallest, Below: now}
	for f, l := range levels {
		if l > 0 {
			m.Steps = append(m.Steps, Step{Field: fields[f].Name, Now: fields[f].Levels[0].Name, Then: fields[f].Levels[l].Name})
		}
	}
	return m
}
