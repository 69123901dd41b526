package directory

import (
	"cmp"
	"context"
	"embed"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

//go:embed migrations_search
var searchMigrations embed.FS

// Finder searches what the public sees: published entries and published numbers, nothing else. Text is searched by the database, facets in memory; what is in
// memory follows the database, within the search after the change where the directory is small, and shortly after it where rebuilding takes longer.
type Finder struct {
	d       *db.DB
	entries *Record
	counts  *CountRecord

	mu   sync.Mutex // of rebuilding
	docs map[ID]*doc
	cur  atomic.Pointer[index]
	busy atomic.Bool
}

// patient is the number of entries up to which a search waits for a rebuilding.
const patient = 2000

// maxRemembered bounds the answers of the database that an index remembers.
const maxRemembered = 2000

// OpenFinder brings the tables of the search up to date.
func OpenFinder(ctx context.Context, d *db.DB, entries *Record, counts *CountRecord) (*Finder, error) {
	files, err := fs.Sub(searchMigrations, "migrations_search")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "directory_search", files); err != nil {
		return nil, err
	}
	f := &Finder{d: d, entries: entries, counts: counts, docs: map[ID]*doc{}}
	return f, f.makeText(ctx)
}

// index is the one to search in.
func (f *Finder) index(ctx context.Context) (*index, error) {
	x := f.cur.Load()
	current, err := f.isCurrent(ctx, x)
	if err != nil {
		return nil, err
	}
	switch {
	case current:
		return x, nil
	case x != nil && len(x.docs) > patient:
		if f.busy.CompareAndSwap(false, true) {
			go func() {
				defer f.busy.Store(false)
				_ = f.rebuild(context.WithoutCancel(ctx)) // the next search tries again
			}()
		}
		return x, nil
	}
	if err := f.rebuild(ctx); err != nil {
		return nil, err
	}
	return f.cur.Load(), nil
}

func (f *Finder) isCurrent(ctx context.Context, x *index) (bool, error) {
	if x == nil {
		return false, nil
	}
	change, err := f.entries.Change(ctx)
	if err != nil || change != x.change {
		return false, err
	}
	s, err := f.counts.Last(ctx)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return false, err
	}
	return s.Taken.Equal(x.taken), nil
}

// rebuild makes an index of what is published now.
func (f *Finder) rebuild(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if current, err := f.isCurrent(ctx, f.cur.Load()); current || err != nil {
		return err
	}
	if err := f.indexText(ctx); err != nil {
		return err
	}
	var after int64
	if x := f.cur.Load(); x != nil {
		after = x.change
	}
	// Before entries and numbers are read: what changes meanwhile makes the next search look again. An entry whose text is not there yet waits for that search too, or it would
	// never be found by its words.
	var indexed int64
	if err := f.d.QueryRow(ctx, `SELECT change FROM directory_text_state WHERE one = 1`).Scan(&indexed); err != nil {
		return err
	}
	s, err := f.counts.Last(ctx)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	numbers, err := f.counts.All(ctx)
	if err != nil {
		return err
	}
	texts := map[ID]int64{}
	rows, err := f.d.Query(ctx, `SELECT entry, id FROM directory_text`)
	if err != nil {
		return err
	}
	for rows.Next() {
		var id ID
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			rows.Close()
			return db.Fault("search directory", err)
		}
		texts[id] = n
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return db.Fault("search directory", err)
	}
	for after < indexed {
		changed, err := f.entries.Changes(ctx, after, 500)
		if err != nil {
			return err
		}
		if len(changed) == 0 {
			break
		}
		for i := range changed {
			e := &changed[i]
			if after = min(e.Change, indexed); e.Change > indexed {
				break
			}
			if e.State == Published {
				f.docs[e.ID] = newDoc(e, texts[e.ID])
			} else {
				delete(f.docs, e.ID)
			}
		}
	}
	docs := make([]*doc, 0, len(f.docs))
	for _, d := range f.docs {
		c := *d // the index in use has the other
		c.numbers = nil
		if c.collection != "" {
			c.numbers = numbers[c.collection]
		}
		docs = append(docs, &c)
	}
	slices.SortFunc(docs, func(a, b *doc) int { return strings.Compare(string(a.id), string(b.id)) })
	x := newIndex(docs)
	x.change, x.taken, x.asOf = after, s.Taken, s.Day
	f.cur.Store(x)
	return nil
}

// condition is one that the answer has to fulfil: a facet's chosen values, or a part of the text.
type condition struct {
	facet Facet
	text  string
	match set
	rest  set     // the documents that fulfil every other
	sel   []int64 // of counted facets, by document: how many people of the chosen values, as published
}

const (
	maxPhrases  = 12
	maxValues   = 40 // of a facet that are listed; of diseases, which form a tree, all groups are
	maxNear     = 6
	fewFound    = 50 // near misses are for answers that are short
	titleWeight = 2
)

// Find answers a query.
func (f *Finder) Find(ctx context.Context, q Query) (*Result, error) {
	began := time.Now()
	x, err := f.index(ctx)
	if err != nil {
		return nil, err
	}
	n := len(x.docs)
	r := &Result{AsOf: x.asOf, All: x.whole}
	score := make([]float32, n)
	conditions, err := f.conditions(ctx, x, q, r, score)
	if err != nil {
		return nil, err
	}
	// Before and after each condition, all others.
	all := fullSet(n)
	for i := range conditions {
		conditions[i].rest = slices.Clone(all)
		all.and(conditions[i].match)
	}
	after := fullSet(n)
	for i := len(conditions) - 1; i >= 0; i-- {
		conditions[i].rest.and(after)
		after.and(conditions[i].match)
	}
	r.Total = all.count()

	caps := x.caps(conditions, "")
	r.People = x.sum(all, conditions, caps)
	active := map[Facet]*condition{}
	for i := range conditions {
		if conditions[i].facet != "" {
			active[conditions[i].facet] = &conditions[i]
		}
	}
	for _, facet := range Facets {
		base, people := all, caps
		if c := active[facet]; c != nil {
			base = c.rest
			if facet.dimension() != "" {
				people = x.caps(conditions, facet)
			}
		}
		known := x.known(conditions, facet)
		switch facet {
		case FacetAge:
			r.Ages = x.bins(facet, q.Age, base, known, people)
		case FacetYear:
			r.Years = x.bins(facet, q.Year, base, known, people)
		default:
			r.Facets = append(r.Facets, x.count(facet, q.Filters[facet], base, known, people))
		}
	}
	if err := f.page(ctx, x, q, r, all, score, caps, conditions); err != nil {
		return nil, err
	}
	if r.Total < fewFound && len(conditions) > 1 {
		if err := f.near(ctx, x, r, conditions); err != nil {
			return nil, err
		}
	}
	r.Took = time.Since(began)
	return r, nil
}

// conditions are what the query asks for, with the documents that fulfil each.
func (f *Finder) conditions(ctx context.Context, x *index, q Query, r *Result, score []float32) ([]condition, error) {
	var out []condition
	for _, p := range vocabulary.Expand(q.Text) {
		if len(r.Phrases) == maxPhrases {
			break
		}
		m, match, err := f.phrase(ctx, x, p, score)
		if err != nil {
			return nil, err
		}
		if match == nil {
			continue // words that say nothing
		}
		m.Found = match.count()
		r.Phrases = append(r.Phrases, m)
		out = append(out, condition{text: m.Text, match: match})
	}
	for _, facet := range Facets {
		values := q.Filters[facet]
		switch {
		case facet == FacetAge && q.Age != nil:
			values = nil
			for _, v := range grid[ByAge] {
				if span, ok := ageSpan(v); ok && span.meets(*q.Age) {
					values = append(values, v)
				}
			}
		case facet == FacetYear && q.Year != nil:
			values = nil
			for v := range x.posts[FacetYear] {
				if len(v) == 4 && q.Year.meets(yearRange(v)) {
					values = append(values, v)
				}
			}
		case len(values) == 0:
			continue
		}
		c := condition{facet: facet, match: x.of(facet, values)}
		if facet.dimension() != "" {
			c.sel = make([]int64, len(x.docs))
			for _, v := range values {
				if p := x.posts[facet][v]; p != nil {
					for k, i := range p.docs {
						c.sel[i] += int64(p.people[k])
					}
				}
			}
		}
		out = append(out, c)
	}
	return out, nil
}

func yearRange(v string) Range {
	y := 0
	for i := range len(v) {
		y = 10*y + int(v[i]-'0')
	}
	return Range{y, y}
}

// phrase is what a part of the text means, and the documents that it is found in: by their codes or by their words. nil: it says nothing.
func (f *Finder) phrase(ctx context.Context, x *index, p vocabulary.Phrase, score []float32) (Meaning, set, error) {
	m := Meaning{Text: p.Text, Concepts: p.Concepts, Meant: p.Meant}
	text := p.Text
	if p.Meant != "" {
		text = p.Meant
	}
	words := slices.DeleteFunc(wordsOf(text), func(w string) bool { return stopWords[w] })
	if len(words) == 0 && len(p.Concepts) == 0 {
		return m, nil, nil
	}
	match := x.concepts(p.Concepts)
	match.each(func(i int32) { score[i] += 3 })
	found, err := f.words(ctx, x, words)
	if err != nil {
		return m, nil, err
	}
	if len(p.Concepts) == 0 && found.count() == 0 && len(words) == 1 {
		if near := x.nearest(words[0]); near != "" {
			m.Meant = near
			words = []string{near}
			if found, err = f.words(ctx, x, words); err != nil {
				return m, nil, err
			}
		}
	}
	found.each(func(i int32) {
		score[i]++
		for _, w := range words {
			if strings.Contains(x.docs[i].title, w) {
				score[i] += titleWeight
			}
		}
	})
	return m, slices.Clone(found).or(match), nil
}

// concepts are the documents that have any of the concepts.
func (x *index) concepts(codes []vocabulary.Code) set {
	s := newSet(len(x.docs))
	for _, c := range codes {
		switch c.System {
		case vocabulary.ICD10, vocabulary.Topography, vocabulary.Morphology, vocabulary.SNOMED, vocabulary.Group:
			s.or(x.of(FacetDisease, []string{CodeValue(c)}))
		case vocabulary.DICOM:
			s.or(x.of(FacetModality, []string{c.Value}))
		case vocabulary.System(vocabulary.AgeRange.Name):
			if t, ok := vocabulary.AgeRange.Get(c.Value); ok {
				s.or(x.ofAges(t))
			}
		default:
			for f, l := range facetLists {
				if string(c.System) == l.Name {
					s.or(x.of(f, []string{c.Value}))
				}
			}
		}
	}
	return s
}

func (x *index) ofAges(t vocabulary.Term) set {
	low, high, ok := t.Bounds()
	if !ok {
		return newSet(len(x.docs))
	}
	want := Range{max(0, int(low)/12), 120}
	if high >= 0 {
		want.To = max(0, (int(high)-1)/12)
	}
	var bands []string
	for _, v := range grid[ByAge] {
		if span, ok := ageSpan(v); ok && span.meets(want) {
			bands = append(bands, v)
		}
	}
	return x.of(FacetAge, bands)
}

// words are the documents that have all the words, as the database finds them. What it has answered is remembered until something changes.
func (f *Finder) words(ctx context.Context, x *index, words []string) (set, error) {
	key := strings.Join(words, " ")
	x.mu.Lock()
	s, ok := x.hits[key]
	x.mu.Unlock()
	if ok {
		return s, nil
	}
	ids, err := f.textHits(ctx, words)
	if err != nil {
		return nil, err
	}
	s = newSet(len(x.docs))
	for _, id := range ids {
		if i, ok := x.byText[id]; ok {
			s.add(i)
		}
	}
	x.mu.Lock()
	if len(x.hits) >= maxRemembered {
		clear(x.hits)
	}
	x.hits[key] = s
	x.mu.Unlock()
	return s, nil
}

// nearest is the word of the entries that a misspelt one is nearest to: one letter from four on, two from eight on; empty if none is near.
func (x *index) nearest(word string) string {
	if len(word) < 4 || x.words[word] {
		return ""
	}
	x.mu.Lock()
	found, ok := x.spelt[word]
	x.mu.Unlock()
	if ok {
		return found
	}
	most := 1
	if len(word) >= 8 {
		most = 2
	}
	best := most + 1
	for w := range x.words {
		if len(w) < len(word)-most || len(w) > len(word)+most {
			continue
		}
		if d := vocabulary.Distance(word, w, most); d < best || d == best && d <= most && w < found {
			best, found = d, w
		}
	}
	x.mu.Lock()
	if len(x.spelt) >= maxRemembered {
		clear(x.spelt)
	}
	x.spelt[word] = found
	x.mu.Unlock()
	return found
}

// caps are, by document, the most people that can fulfil the counted conditions, but for one facet's: the least of the published numbers.
func (x *index) caps(conditions []condition, but Facet) []int64 {
	caps := x.people
	for _, c := range conditions {
		if c.sel == nil || c.facet == but {
			continue
		}
		if len(caps) > 0 && &caps[0] == &x.people[0] {
			caps = slices.Clone(caps)
		}
		for i, n := range c.sel {
			caps[i] = min(caps[i], n)
		}
	}
	return caps
}

// known are the documents whose people are counted by a facet and by every counted condition besides.
func (x *index) known(conditions []condition, by Facet) set {
	s := slices.Clone(x.tells[by.dimension()])
	for _, c := range conditions {
		if c.sel != nil && c.facet != by {
			s.and(x.tells[c.facet.dimension()])
		}
	}
	return s
}

// number is the published number of people of a document: unknown where its people are not counted, or not by what is asked.
func (x *index) number(i int32, conditions []condition, n int64) Number {
	d := x.docs[i]
	if d.numbers == nil {
		for _, c := range conditions {
			if c.sel != nil {
				return Number{}
			}
		}
		if d.declared == 0 {
			return Number{}
		}
		return told(d.declared)
	}
	for _, c := range conditions {
		if c.sel != nil && !d.numbers.Tells(c.facet.dimension()) {
			return Number{}
		}
	}
	return told(n)
}

// sum adds published numbers. What is not told adds nothing.
func (x *index) sum(of set, conditions []condition, caps []int64) Number {
	total, known := int64(0), false
	of.each(func(i int32) {
		if n := x.number(i, conditions, caps[i]); n.Known {
			known = true
			total += n.Value
		}
	})
	if !known {
		return Number{}
	}
	return told(total)
}

func (x *index) count(f Facet, chosen []string, base, known set, caps []int64) FacetCounts {
	out := FacetCounts{Facet: f}
	counted := f.dimension() != ""
	for v, p := range x.posts[f] {
		if f == FacetDisease && !strings.HasPrefix(v, string(vocabulary.Group)+":") && !slices.Contains(chosen, v) {
			continue // codes are found, and groups are listed
		}
		c := FacetCount{Value: v, Chosen: slices.Contains(chosen, v)}
		total, counts := int64(0), false
		for k, i := range p.docs {
			if !base.has(i) {
				continue
			}
			c.Collections++
			counts = counts || known.has(i)
			if counted {
				total += min(caps[i], int64(p.people[k]))
			} else {
				total += caps[i]
			}
		}
		if c.Collections == 0 && !c.Chosen {
			continue
		}
		if counts {
			c.People = told(total)
		}
		if f == FacetCustodian {
			c.Under = x.countries[v]
		}
		out.Values = append(out.Values, c)
	}
	for _, v := range chosen {
		if x.posts[f][v] == nil {
			out.Values = append(out.Values, FacetCount{Value: v, Chosen: true})
		}
	}
	most := maxValues
	if f == FacetDisease {
		most = len(out.Values)
	}
	slices.SortFunc(out.Values, func(a, b FacetCount) int {
		if a.Chosen != b.Chosen && len(out.Values) > most {
			if a.Chosen {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Collections, a.Collections), strings.Compare(a.Value, b.Value))
	})
	if len(out.Values) > most {
		out.More = len(out.Values) - most
		out.Values = out.Values[:most]
	}
	for i := range out.Values {
		out.Values[i].Label = FacetLabel(f, out.Values[i].Value)
	}
	return out
}

func (x *index) bins(f Facet, chosen *Range, base, known set, caps []int64) []Bin {
	var out []Bin
	for v, p := range x.posts[f] {
		b := Bin{Value: v}
		var span Range
		var ok bool
		if f == FacetAge {
			span, ok = ageSpan(v)
		} else if ok = len(v) == 4; ok {
			span = yearRange(v)
		}
		if !ok {
			continue
		}
		b.From, b.To, b.Chosen = span.From, span.To, chosen != nil && span.meets(*chosen)
		total, counts := int64(0), false
		for k, i := range p.docs {
			if base.has(i) {
				b.Collections++
				counts = counts || known.has(i)
				total += min(caps[i], int64(p.people[k]))
			}
		}
		if counts {
			b.People = told(total)
		}
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b Bin) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), strings.Compare(a.Value, b.Value))
	})
	return out
}

// page chooses the documents of the page that is asked for, and reads their entries.
func (f *Finder) page(ctx context.Context, x *index, q Query, r *Result, all set, score []float32, caps []int64, conditions []condition) error {
	found := make([]int32, 0, r.Total)
	all.each(func(i int32) { found = append(found, i) })
	by := x.orders[ByTitle]
	if o := x.orders[q.Sort]; o != nil {
		by = o
	}
	ranked := q.Sort == ByRelevance && q.Text != ""
	slices.SortFunc(found, func(a, b int32) int {
		if ranked && score[a] != score[b] {
			return cmp.Compare(score[b], score[a])
		}
		return cmp.Compare(by[a], by[b])
	})
	size := cmp.Or(q.Size, DefaultSize)
	from := min(len(found), (max(q.Page, 1)-1)*size)
	for _, i := range found[from:min(len(found), from+size)] {
		s, err := f.entries.Seen(ctx, x.docs[i].id)
		if fault.Is(err, fault.NotFound) {
			continue // retired a moment ago
		}
		if err != nil {
			return err
		}
		r.Hits = append(r.Hits, Hit{ID: x.docs[i].id, People: x.number(i, conditions, caps[i]), Stored: &s, Card: x.card(i, &s)})
	}
	return nil
}

// card is what is published of a document's people.
func (x *index) card(i int32, s *Stored) Card {
	if n := x.docs[i].numbers; n != nil {
		return Card{n.Counts(), n}
	}
	return Card{Counts: s.Entry.DeclaredCounts()}
}

// near finds what all but one condition fits, where leaving out one finds the fewest.
func (f *Finder) near(ctx context.Context, x *index, r *Result, conditions []condition) error {
	type miss struct {
		c    *condition
		only set
		n    int
	}
	var all []miss
	for k := range conditions {
		c := &conditions[k]
		only := slices.Clone(c.rest)
		for i := range only {
			only[i] &^= c.match[i]
		}
		if n := only.count(); n > 0 {
			all = append(all, miss{c, only, n})
		}
	}
	slices.SortStableFunc(all, func(a, b miss) int { return cmp.Compare(a.n, b.n) })
	for _, m := range all {
		var ids []int32
		m.only.each(func(i int32) { ids = append(ids, i) })
		slices.SortFunc(ids, func(a, b int32) int { return cmp.Compare(x.orders[ByCompleteness][a], x.orders[ByCompleteness][b]) })
		for _, i := range ids[:min(len(ids), 3)] {
			if len(r.Near) == maxNear {
				return nil
			}
			s, err := f.entries.Seen(ctx, x.docs[i].id)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			r.Near = append(r.Near, NearMiss{ID: x.docs[i].id, Lacks: m.c.facet, Text: m.c.text, Found: m.n, Stored: &s, Card: x.card(i, &s)})
		}
	}
	return nil
}

// Matching are the identifiers of all that a query finds, in alphabetical order: for alerts.
func (f *Finder) Matching(ctx context.Context, q Query) ([]ID, error) {
	x, err := f.index(ctx)
	if err != nil {
		return nil, err
	}
	conditions, err := f.conditions(ctx, x, q, &Result{}, make([]float32, len(x.docs)))
	if err != nil {
		return nil, err
	}
	all := fullSet(len(x.docs))
	for _, c := range conditions {
		all.and(c.match)
	}
	var ids []ID
	all.each(func(i int32) { ids = append(ids, x.docs[i].id) })
	return ids, nil
}
