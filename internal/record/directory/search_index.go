package directory

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// An index is everything that facets need, in memory, and does not change: a list of documents for each value of each facet, with the published number of
// people beside it. docs/performance.md says how large it is.
type index struct {
	change    int64     // of the directory
	taken     time.Time // the snapshot that the numbers are of
	asOf      string
	whole     Whole
	docs      []*doc
	posts     map[Facet]map[string]*posting
	people    []int64 // by document: published, 0 unknown or small
	orders    map[Sort][]int32
	byText    map[int64]int32   // by number of the text
	tells     map[Dimension]set // the documents that are counted by a dimension; by none: of which it is known how many people they are
	countries map[string]string // of custodians
	words     map[string]bool   // of titles, abstracts and keywords, to tell a misspelling from a rarity

	mu    sync.Mutex
	hits  map[string]set // by words
	spelt map[string]string
}

// doc is what is kept in memory of an entry.
type doc struct {
	id         ID
	text       int64
	change     int64
	title      string // folded
	score      int    // completeness
	updated    time.Time
	collection collection.ID
	declared   int64
	features   []feature
	conditions []vocabulary.Code
	ages       *Range // years, as declared
	years      *Range
	words      []string

	numbers *Numbers
}

type feature struct {
	facet Facet
	value string
}

// posting is the documents that have a value, in order, and of how many people each, as published.
type posting struct {
	docs   []int32
	people []int32 // empty where the facet is not counted
}

// set is a set of documents, a bit each.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func fullSet(n int) set {
	s := newSet(n)
	for i := range s {
		s[i] = ^uint64(0)
	}
	if r := n % 64; r != 0 {
		s[len(s)-1] = 1<<r - 1
	}
	return s
}

func (s set) add(i int32)      { s[i>>6] |= 1 << (i & 63) }
func (s set) has(i int32) bool { return s[i>>6]&(1<<(i&63)) != 0 }

func (s set) count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

func (s set) and(o set) set {
	for i := range s {
		s[i] &= o[i]
	}
	return s
}

func (s set) or(o set) set {
	for i := range s {
		s[i] |= o[i]
	}
	return s
}

func (s set) each(do func(int32)) {
	for k, w := range s {
		for w != 0 {
			do(int32(k<<6 + bits.TrailingZeros64(w)))
			w &= w - 1
		}
	}
}

// newDoc takes from an entry what searches need.
func newDoc(s *Stored, text int64) *doc {
	e := &s.Entry
	d := &doc{id: s.ID, text: text, change: s.Change, title: folded(e.Title), score: e.Completeness().Score, updated: s.StateAt, collection: collection.ID(e.Collection), conditions: e.Conditions}
	add := func(f Facet, values ...string) {
		for _, v := range values {
			if v != "" && !slices.Contains(d.features, feature{f, v}) {
				d.features = append(d.features, feature{f, v})
			}
		}
	}
	add(FacetSex, e.Sexes...)
	add(FacetModality, e.Modalities...)
	add(FacetDomain, e.Domains...)
	add(FacetStage, e.Stages...)
	add(FacetStain, e.Stains...)
	add(FacetMaterial, e.Materials...)
	add(FacetType, e.Types...)
	add(FacetStatus, e.Status)
	add(FacetAccess, e.Access.Condition)
	add(FacetService, e.Access.Service)
	add(FacetLegalBasis, e.Access.LegalBasis)
	add(FacetHolding, string(e.Holding))
	add(FacetCustodian, e.Custodian.Name)
	add(FacetCountry, e.Custodian.Country)
	for _, u := range e.DataUse.Alternatives {
		add(FacetPermission, u.Permission)
	}
	for _, a := range e.AssociatedData {
		add(FacetAssociated, a.Type)
	}
	for _, g := range e.Funding {
		add(FacetFunder, g.Funder)
	}
	for _, v := range e.BodySites {
		add(FacetBodySite, v)
		for _, c := range vocabulary.Ancestors(vocabulary.Code{System: vocabulary.System(vocabulary.BodySite.Name), Value: v}) {
			add(FacetBodySite, c.Value)
		}
	}
	for _, t := range e.Timepoints {
		add(FacetModality, t.Modalities...)
	}
	if e.AgeMin != nil || e.AgeMax != nil {
		d.ages = &Range{0, 120}
		if e.AgeMin != nil {
			d.ages.From = *e.AgeMin
		}
		if e.AgeMax != nil {
			d.ages.To = *e.AgeMax
		}
	}
	for _, v := range e.AgeBands {
		if t, ok := vocabulary.AgeRange.Get(v); ok && d.ages == nil {
			if low, high, ok := t.Bounds(); ok {
				r := Range{max(0, int(low)/12), 120}
				if high >= 0 {
					r.To = max(0, (int(high)-1)/12)
				}
				d.ages = &r
			}
		} else if low, high, known := t.Bounds(); ok && known { // bands beside each other are one range
			d.ages.From = min(d.ages.From, max(0, int(low)/12))
			if high < 0 {
				d.ages.To = 120
			} else {
				d.ages.To = max(d.ages.To, (int(high)-1)/12)
			}
		}
	}
	if len(e.Start) >= 4 {
		from, _ := strconv.Atoi(e.Start[:4])
		to := s.StateAt.Year()
		if len(e.End) >= 4 {
			to, _ = strconv.Atoi(e.End[:4])
		}
		if from >= 1900 && to >= from && to < 2100 {
			d.years = &Range{from, to}
		}
	}
	if e.Declared != nil && e.Holding != Here {
		d.declared = rounded(e.Declared.People)
	}
	seen := map[string]bool{}
	for _, w := range wordsOf(strings.Join(append([]string{e.Title, e.Acronym, e.Abstract, e.Custodian.Name}, e.Keywords...), " ")) {
		if len(w) >= 4 && !seen[w] {
			seen[w] = true
			d.words = append(d.words, w)
		}
	}
	return d
}

// ageSpan are the years of an age band of the grid, inclusive.
func ageSpan(band string) (Range, bool) {
	switch band {
	case AgeOver:
		return Range{90, 120}, true
	case "0-6-days", "7-27-days":
		return Range{0, 0}, true
	}
	t, ok := vocabulary.AgeBin.Get(band)
	if !ok {
		return Range{}, false
	}
	low, high, ok := t.Bounds()
	return Range{int(low) / 12, max(int(low)/12, (int(high)-1)/12)}, ok
}

func (r Range) meets(o Range) bool { return r.From <= o.To && o.From <= r.To }

// newIndex builds the lists.
func newIndex(docs []*doc) *index {
	x := &index{docs: docs, posts: map[Facet]map[string]*posting{}, people: make([]int64, len(docs)), orders: map[Sort][]int32{}, byText: make(map[int64]int32, len(docs)), words: map[string]bool{},
		hits: map[string]set{}, spelt: map[string]string{}, tells: map[Dimension]set{"": newSet(len(docs))}, countries: map[string]string{}}
	for _, d := range Dimensions {
		x.tells[d] = newSet(len(docs))
	}
	above := map[vocabulary.Code][]string{}
	up := func(c vocabulary.Code) []string {
		all, ok := above[c]
		if !ok {
			all = append(all, CodeValue(c))
			for _, a := range vocabulary.Ancestors(c) {
				all = append(all, CodeValue(a))
			}
			above[c] = all
		}
		return all
	}
	for i, d := range docs {
		i := int32(i)
		x.byText[d.text] = i
		for _, w := range d.words {
			x.words[w] = true
		}
		total := d.declared
		if d.numbers != nil {
			total = d.numbers.People
		}
		x.people[i] = total
		if d.numbers != nil || d.declared > 0 {
			x.tells[""].add(i)
		}
		for _, by := range Dimensions {
			if d.numbers.Tells(by) {
				x.tells[by].add(i)
			}
		}
		custodian := ""
		for _, f := range d.features {
			switch f.facet {
			case FacetCustodian:
				custodian = f.value
			case FacetCountry:
				if x.countries[custodian] == "" {
					x.countries[custodian] = f.value
				}
			}
		}
		for _, f := range d.features {
			x.post(f.facet, f.value, i, 0)
		}
		for _, c := range d.conditions {
			for _, v := range up(c) {
				x.post(FacetDisease, v, i, 0)
			}
		}
		n := d.numbers
		if n != nil {
			for _, f := range []Facet{FacetSex, FacetModality, FacetTimepoint, FacetAge, FacetYear} {
				for v, people := range n.Cells[f.dimension()] {
					x.post(f, v, i, people)
				}
			}
			// People of a group are at least those of any part and at most all parts together: what is told of it is the sum of what is told of the parts.
			sums := map[string]int64{}
			for v, people := range n.Cells[ByDisease] {
				if v == DiseaseOther || v == DiseaseUnknown {
					continue
				}
				for _, a := range up(vocabulary.Code{System: vocabulary.Group, Value: v}) {
					sums[a] = min(total, sums[a]+people)
				}
			}
			for v, people := range sums {
				x.post(FacetDisease, v, i, people)
			}
			if n.Available >= Few {
				x.post(FacetImages, "available", i, 0)
			}
		}
		// Where ages and years are not counted, or not told, the declared ones stand.
		if d.ages != nil && (n == nil || len(n.Cells[ByAge]) == 0) {
			for _, v := range grid[ByAge] {
				if r, ok := ageSpan(v); ok && r.meets(*d.ages) {
					x.post(FacetAge, v, i, 0)
				}
			}
		}
		if d.years != nil && (n == nil || len(n.Cells[ByYear]) == 0) {
			for y := d.years.From; y <= d.years.To; y++ {
				x.post(FacetYear, strconv.Itoa(y), i, 0)
			}
		}
	}
	x.whole = Whole{Collections: len(docs), Custodians: len(x.posts[FacetCustodian]), People: x.sum(x.tells[""], nil, x.people)}
	order := func(s Sort, less func(a, b *doc) int) {
		all := make([]int32, len(docs))
		for i := range all {
			all[i] = int32(i)
		}
		slices.SortFunc(all, func(a, b int32) int {
			return cmp.Or(less(docs[a], docs[b]), strings.Compare(docs[a].title, docs[b].title), strings.Compare(string(docs[a].id), string(docs[b].id)))
		})
		rank := make([]int32, len(docs))
		for r, i := range all {
			rank[i] = int32(r)
		}
		x.orders[s] = rank
	}
	people := map[*doc]int64{}
	for i, d := range docs {
		people[d] = x.people[i]
	}
	order(ByTitle, func(*doc, *doc) int { return 0 })
	order(ByPeople, func(a, b *doc) int { return cmp.Compare(people[b], people[a]) })
	order(ByNewest, func(a, b *doc) int { return b.updated.Compare(a.updated) })
	order(ByCompleteness, func(a, b *doc) int { return cmp.Compare(b.score, a.score) })
	return x
}

// post notes that a document has a value. Documents come in order; one that has the value already gets the greater number.
func (x *index) post(f Facet, value string, i int32, people int64) {
	m := x.posts[f]
	if m == nil {
		m = map[string]*posting{}
		x.posts[f] = m
	}
	p := m[value]
	if p == nil {
		p = &posting{}
		m[value] = p
	}
	if n := len(p.docs); n > 0 && p.docs[n-1] == i {
		if f.dimension() != "" {
			p.people[n-1] = max(p.people[n-1], int32(min(people, 1<<31-1)))
		}
		return
	}
	p.docs = append(p.docs, i)
	if f.dimension() != "" {
		p.people = append(p.people, int32(min(people, 1<<31-1)))
	}
}

// of is the set of documents that have any of the values.
func (x *index) of(f Facet, values []string) set {
	s := newSet(len(x.docs))
	for _, v := range values {
		if p := x.posts[f][v]; p != nil {
			for _, i := range p.docs {
				s.add(i)
			}
		}
	}
	return s
}
