package directory

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/judge/headcount"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// The numbers of people that leave the node. docs/decisions/0003-small-numbers.md says why they are as they are; in short:
//
//   - People are counted in the cells of a fixed grid, one dimension at a time. No table of two dimensions is published.
//   - Fewer than ten and none look the same; every other number is rounded to ten.
//   - Before a dimension is published, it is checked that with all that is published already each cell of fewer than ten may still be anything from 0 to 9,
//     alone and together with the others. A dimension that fails is withheld whole.
//   - A collection's numbers are published anew when ten people or more have come, gone or changed, all at once; until then they stay as they are.

// Few is the number of people below which a count is not told.
const Few = headcount.Few

// Dimension is one way of dividing the people of a collection.
type Dimension string

// The dimensions. A person has one sex and one age band; of the others, one or more.
const (
	BySex       Dimension = "sex"       // vocabulary.Sex
	ByAge       Dimension = "age"       // vocabulary.AgeBin to 85-89, AgeOver, AgeUnknown
	ByDisease   Dimension = "disease"   // a disease group of the vocabulary, DiseaseOther, DiseaseUnknown
	ByModality  Dimension = "modality"  // vocabulary.Modality, or OT
	ByTimepoint Dimension = "timepoint" // visit-1 ... visit-12, or the name of a visit
	ByYear      Dimension = "year"      // of a study, shifted as the dates of the images are
)

// Values that stand for the rest of a dimension.
const (
	AgeOver        = "90-over"
	AgeUnknown     = "unknown"
	DiseaseOther   = "other"
	DiseaseUnknown = "unknown"
	OtherModality  = "OT"
	LaterVisit     = "visit-12" // and every later one
	YearUnknown    = "unknown"
)

// Dimensions are all, in the order in which they are published: where two do not go together, the later is withheld.
var Dimensions = []Dimension{BySex, ByAge, ByDisease, ByModality, ByTimepoint, ByYear}

// divides reports that each person is in exactly one cell of the dimension.
func (d Dimension) divides() bool { return d == BySex || d == ByAge }

// grid is every value that each dimension may have, for every collection the same.
var grid = func() map[Dimension][]string {
	g := map[Dimension][]string{}
	for _, t := range vocabulary.Sex.Terms {
		g[BySex] = append(g[BySex], t.ID)
	}
	for _, t := range vocabulary.AgeBin.Terms {
		if low, _, ok := t.Bounds(); !ok || low < 90*12 {
			g[ByAge] = append(g[ByAge], t.ID)
		}
	}
	g[ByAge] = append(g[ByAge], AgeOver, AgeUnknown)
	for _, c := range vocabulary.Diseases() {
		if c.System == vocabulary.Group {
			g[ByDisease] = append(g[ByDisease], c.Value)
		}
	}
	g[ByDisease] = append(g[ByDisease], DiseaseOther, DiseaseUnknown)
	for _, t := range vocabulary.Modality.Terms {
		g[ByModality] = append(g[ByModality], t.ID)
	}
	if !slices.Contains(g[ByModality], OtherModality) {
		g[ByModality] = append(g[ByModality], OtherModality)
	}
	for i := 1; i <= 12; i++ {
		g[ByTimepoint] = append(g[ByTimepoint], "visit-"+strconv.Itoa(i))
	}
	g[ByTimepoint] = append(g[ByTimepoint], "baseline", "screening", "diagnosis", "pre-treatment", "mid-treatment", "post-treatment", "pre-surgery", "surgery", "post-surgery", "progression",
		"relapse", "follow-up")
	for y := 1970; y <= 2099; y++ {
		g[ByYear] = append(g[ByYear], strconv.Itoa(y))
	}
	g[ByYear] = append(g[ByYear], YearUnknown)
	return g
}()

var inGrid = func() map[Dimension]map[string]bool {
	all := map[Dimension]map[string]bool{}
	for d, values := range grid {
		all[d] = map[string]bool{}
		for _, v := range values {
			all[d][v] = true
		}
	}
	return all
}()

// Grid are the values that a dimension may have, for every collection the same.
func Grid(d Dimension) []string { return slices.Clone(grid[d]) }

// AgeBand is the value of ByAge for an age in whole months; negative: not known.
func AgeBand(months int) string {
	if months < 0 {
		return AgeUnknown
	}
	if months >= 90*12 {
		return AgeOver
	}
	if months == 0 { // the days are not known
		return "1-11-months"
	}
	for _, t := range vocabulary.AgeBin.Terms {
		if low, high, ok := t.Bounds(); ok && int64(months) >= low && (high < 0 || int64(months) < high) {
			return t.ID
		}
	}
	return AgeUnknown
}

// DiseaseOf is the value of ByDisease for a diagnosis: the nearest group that the vocabulary puts it into.
func DiseaseOf(c vocabulary.Code) string {
	if g := vocabulary.Groups(c); len(g) > 0 {
		return g[0].Value
	}
	return DiseaseOther
}

// Counted is a person as far as people are counted.
type Counted struct {
	Subject    subject.ID
	Sex        string
	AgeBand    string
	Diseases   []string
	Modalities []string
	Timepoints []string
	Years      []string
	Studies    int64
	Images     int64
	Available  bool // some of it is released
}

// values are the person's cells of a dimension: at least one, each of the grid, each once.
func (p *Counted) values(d Dimension) []string {
	var got []string
	rest := ""
	switch d {
	case BySex:
		got, rest = []string{p.Sex}, "unknown"
	case ByAge:
		got, rest = []string{p.AgeBand}, AgeUnknown
	case ByDisease:
		got, rest = p.Diseases, DiseaseUnknown
	case ByModality:
		got, rest = p.Modalities, OtherModality
	case ByTimepoint:
		got, rest = p.Timepoints, LaterVisit
	case ByYear:
		got, rest = p.Years, YearUnknown
	}
	out := make([]string, 0, len(got)+1)
	for _, v := range got {
		if !inGrid[d][v] {
			v = rest
		}
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		out = append(out, rest)
	}
	return out
}

// digest tells whether a person is counted otherwise than before.
func (p *Counted) digest() int64 {
	h := fnv.New64a()
	for _, d := range Dimensions {
		vs := p.values(d)
		slices.Sort(vs)
		h.Write([]byte(strings.Join(vs, "\x1f") + "\x1e"))
	}
	var b []byte
	b = binary.AppendVarint(b, p.Studies)
	b = binary.AppendVarint(b, p.Images)
	if p.Available {
		b = append(b, 1)
	}
	h.Write(b)
	return int64(h.Sum64())
}

// Tally is how many people of a collection there really are. It stays inside: it is stored nowhere, and does not print itself.
type Tally struct {
	people, available, studies, images int64
	cells                              map[Dimension]map[string]int64
	persons                            map[subject.ID]int64 // digests
}

// NewTally is of nobody.
func NewTally() *Tally {
	t := &Tally{cells: map[Dimension]map[string]int64{}, persons: map[subject.ID]int64{}}
	for _, d := range Dimensions {
		t.cells[d] = map[string]int64{}
	}
	return t
}

// String says nothing.
func (*Tally) String() string { return "tally" }

// GoString says nothing.
func (*Tally) GoString() string { return "directory.Tally{}" }

// Add counts a person; one that was counted already is not counted again.
func (t *Tally) Add(p Counted) {
	if _, before := t.persons[p.Subject]; before {
		return
	}
	t.persons[p.Subject] = p.digest()
	t.people++
	t.studies += p.Studies
	t.images += p.Images
	if p.Available {
		t.available++
	}
	for _, d := range Dimensions {
		for _, v := range p.values(d) {
			t.cells[d][v]++
		}
	}
}

// Numbers are what is told of the people of a collection: every number a multiple of ten, and 0 for none or fewer than ten.
type Numbers struct {
	AsOf      string `json:"asOf"` // YYYY-MM-DD
	People    int64  `json:"people"`
	Available int64  `json:"available"` // of these, of whom something is released
	Studies   int64  `json:"studies"`
	Images    int64  `json:"images"`
	// Cells are the numbers of ten and more; every other value of the grid has fewer, or none.
	Cells map[Dimension]map[string]int64 `json:"cells"`
	// Withheld are what is not told, because with the rest it would tell of a small group: dimensions, or "studies" and "images".
	Withheld []string `json:"withheld,omitempty"`
}

const (
	theStudies = "studies"
	theImages  = "images"
)

// Tells reports whether a dimension is published.
func (p *Numbers) Tells(d Dimension) bool { return p != nil && !slices.Contains(p.Withheld, string(d)) }

// Number is what is published of a cell.
func (p *Numbers) Number(d Dimension, value string) Number {
	if !p.Tells(d) {
		return Number{}
	}
	return told(p.Cells[d][value])
}

// told is a published number.
func told(n int64) Number {
	if n < Few {
		return Number{Known: true, Withheld: true, Below: Few}
	}
	return Number{Known: true, Value: n}
}

func (p *Numbers) total(name string, n int64) Number {
	if p == nil || slices.Contains(p.Withheld, name) {
		return Number{}
	}
	return told(n)
}

// PeopleNumber is the published number of people.
func (p *Numbers) PeopleNumber() Number { return p.total("people", p.people()) }

func (p *Numbers) people() int64 {
	if p == nil {
		return 0
	}
	return p.People
}

// Counts are the published numbers in the form of an export.
func (p *Numbers) Counts() Counts {
	c := Counts{AsOf: p.AsOf, People: told(p.People), Studies: p.total(theStudies, p.Studies), Images: p.total(theImages, p.Images)}
	list := func(d Dimension) []Count {
		var out []Count
		for _, v := range grid[d] {
			if n := p.Cells[d][v]; n >= Few {
				out = append(out, Count{v, told(n)})
			}
		}
		return out
	}
	c.Sexes, c.Modalities = list(BySex), list(ByModality)
	for _, n := range list(ByAge) {
		if vocabulary.AgeBin.Has(n.Term) {
			c.Ages = append(c.Ages, n)
		}
	}
	for _, n := range list(ByDisease) {
		if n.Term != DiseaseOther && n.Term != DiseaseUnknown {
			c.Conditions = append(c.Conditions, ConditionCount{vocabulary.Code{System: vocabulary.Group, Value: n.Term}, n.Number})
		}
	}
	return c
}

// rounded is a number as it is published.
func rounded(n int64) int64 { return headcount.Tell(n) }

// span is what a published number leaves possible.
type span struct{ low, high int64 }

func spanOf(published int64) span {
	low, high := headcount.Span(published)
	return span{low, high}
}

// publish makes the numbers that may be told of a tally.
func publish(t *Tally, day string) *Numbers {
	p := &Numbers{AsOf: day, People: rounded(t.people), Available: rounded(t.available), Cells: map[Dimension]map[string]int64{}}
	for _, d := range Dimensions {
		cells := map[string]int64{}
		for v, n := range t.cells[d] {
			if n = rounded(n); n > 0 {
				cells[v] = n
			}
		}
		p.Cells[d] = cells
		if !p.safe() {
			delete(p.Cells, d)
			p.Withheld = append(p.Withheld, string(d))
		}
	}
	for _, one := range []struct {
		name string
		to   *int64
		n    int64
	}{{theStudies, &p.Studies, t.studies}, {theImages, &p.Images, t.images}} {
		// Where people are few, what there is of them would tell few from none.
		if *one.to = rounded(one.n); p.People == 0 || !p.safe() {
			*one.to = 0
			p.Withheld = append(p.Withheld, one.name)
		}
	}
	return p
}

// safe reports that each cell that looks small may be 0 and may be 9 whatever else is known, and all of them 9 at once, in one and the same person's case too.
// It looks at published numbers alone, so that being withheld says no more than they do.
//
// People are the link between dimensions: whoever is in a collection is in exactly one cell of sex and of age, and in at least one of every other. So each
// dimension bounds the number of people, and given that number the dimensions are free of each other.
func (p *Numbers) safe() bool {
	people := spanOf(p.People)
	people.low = max(people.low, lowest(p.Available))
	for _, n := range []int64{p.Studies, p.Images} { // each person has at least one
		if n > 0 {
			people.high = min(people.high, spanOf(n).high)
		}
	}
	type bounds struct {
		span
		small   bool
		divides bool
	}
	var all []bounds
	for _, d := range Dimensions {
		cells, published := p.Cells[d]
		if !published {
			continue
		}
		b := bounds{divides: d.divides(), small: len(cells) < len(grid[d])}
		widest := int64(0)
		for _, n := range cells {
			s := spanOf(n)
			b.low += s.low
			b.high += s.high
			widest = max(widest, s.low)
		}
		b.high += int64(len(grid[d])-len(cells)) * (Few - 1)
		if !b.divides {
			b.low = widest // people may be in several cells
		}
		people.low, people.high = max(people.low, b.low), min(people.high, b.high)
		all = append(all, b)
	}
	nine := int64(Few - 1) // the people that there are at least, if every small cell has nine
	for _, b := range all {
		if !b.small {
			continue
		}
		if people.low > b.high-(Few-1) { // one small cell of 0 leaves too few
			return false
		}
		if b.divides {
			nine = max(nine, b.low+Few-1)
		}
	}
	return max(people.low, nine) <= people.high
}

func lowest(published int64) int64 {
	if published < Few {
		return 0
	}
	return spanOf(published).low
}

// InGrid reports whether a dimension has the value.
func InGrid(d Dimension, value string) bool { return inGrid[d][value] }

// DeclaredCounts are the numbers that a custodian states of a collection that is not held here, as ours are published.
func (e *Entry) DeclaredCounts() Counts {
	d := e.Declared
	if d == nil || e.Holding == Here || d.People <= 0 {
		return Counts{}
	}
	c := Counts{AsOf: d.AsOf, People: told(rounded(d.People))}
	if d.People < Few {
		return c // how many images a few people have is about them
	}
	if d.Studies > 0 {
		c.Studies = told(rounded(d.Studies))
	}
	if d.Images > 0 {
		c.Images = told(rounded(d.Images))
	}
	return c
}
