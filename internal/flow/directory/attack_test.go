package directory_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	flow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// The attack: somebody asks ten thousand questions, whatever anybody may ask, over some days on which people come and are corrected, and puts the answers together.
//
// Whether something is learnt of a small group is tried in two ways. First, by worlds: several nodes are filled alike but for their small cells, of which each is of
// none in one world, of nine in another and of any number in a third, and in some a few people fewer are there. If every answer is the same in all of them, no
// reasoning whatever tells the worlds apart. Second, by reckoning: what the answers say of each cell, alone and by differences of groups of which one lies in the other, in
// one day and between days, is held against the numbers that the test knows.

// soul is a person as the test knows them.
type soul struct {
	sex, disease, visit, modality string
	age, year                     int
}

// trait is one way of dividing people: what most are of, and what few are of.
type trait struct {
	dimension   directory.Dimension
	large       [2]string
	small       [2]string
	give        func(s *soul, v string)
	of          func(s *soul) string
	mayBeMended bool // a later table may say otherwise
}

var traits = []trait{
	{directory.BySex, [2]string{"female", "male"}, [2]string{"undifferentiated", "unknown"}, func(s *soul, v string) { s.sex = v }, func(s *soul) string { return s.sex }, true},
	{directory.ByAge, [2]string{"55-59", "60-64"}, [2]string{"20-24", "85-89"}, func(s *soul, v string) { low, _, _ := strings.Cut(v, "-"); s.age, _ = strconv.Atoi(low) },
		func(s *soul) string { return directory.AgeBand(12 * s.age) }, true},
	{directory.ByDisease, [2]string{"breast-cancer", "lung-cancer"}, [2]string{"prostate-cancer", "bladder-cancer"}, func(s *soul, v string) { s.disease = v }, func(s *soul) string { return s.disease }, true},
	{directory.ByTimepoint, [2]string{"baseline", "surgery"}, [2]string{"relapse", "progression"}, func(s *soul, v string) { s.visit = v }, func(s *soul) string { return s.visit }, true},
	{directory.ByModality, [2]string{"MG", "CT"}, [2]string{"US", "NM"}, func(s *soul, v string) { s.modality = v }, func(s *soul) string { return s.modality }, false},
	{directory.ByYear, [2]string{"2019", "2020"}, [2]string{"2003", "2004"}, func(s *soul, v string) { s.year, _ = strconv.Atoi(v) }, func(s *soul) string { return strconv.Itoa(s.year) }, false},
}

// icd is a code of each disease of the traits.
var icd = map[string]string{"breast-cancer": "C50", "lung-cancer": "C34", "prostate-cancer": "C61", "bladder-cancer": "C67"}

// crowd is a collection of a world, day by day.
type crowd struct {
	souls     []soul
	entered   int                                      // of the souls, those that are in the catalogue
	published map[directory.Dimension]map[string]int64 // true numbers of the day that was published last
	people    int64
}

const attackedCollections = 8

func crowdID(i int) collection.ID { return collection.ID(fmt.Sprintf("crowd-%02d", i)) }

// word finds one collection alone.
func word(i int) string {
	return []string{"amaranth", "bergamot", "celandine", "dittander", "eglantine", "fumitory", "galingale", "horehound"}[i]
}

// world is a node of the attack.
type world struct {
	t      *testing.T
	d      *flow.Desk
	crowds []*crowd
}

// newWorld fills a node: few is how many of each large cell are of the small one beside it, less how many people fewer there are.
func newWorld(t *testing.T, few, less func(c int, tr int, k int) int) *world {
	t.Helper()
	r, err := node.OpenRecords(t.Context(), node.Config{Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	w := &world{t: t}
	if w.d, err = r.Directory(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for c := range attackedCollections {
		e := directorytest.Minimal()
		e.Holding, e.Collection, e.Declared, e.Title = directory.Here, string(crowdID(c)), nil, "Images of "+word(c)
		e.Modalities, e.Conditions, e.AgeMin, e.AgeMax, e.AgeBands, e.Sexes = []string{"MG", "CT"}, []vocabulary.Code{{System: vocabulary.ICD10, Value: "C50"}}, nil, nil, nil, []string{"female"}
		err := w.d.DB.Write(t.Context(), func(tx *db.Tx) error {
			return w.d.Collections.Create(tx, collection.Collection{ID: crowdID(c), Title: word(c), Profile: "research"})
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.d.Save(t.Context(), as(policy.Operator, "*"), directory.ID(crowdID(c)), e, 0, ""); err != nil {
			t.Fatal(err)
		}
		if err := w.d.Publish(t.Context(), as(policy.Operator, "*"), directory.ID(crowdID(c)), 1); err != nil {
			t.Fatal(err)
		}
		// Large cells are as large as they can be where they are told as what they are: nine of each can be of another without its being seen.
		sizes := [2]int{24 + 10*(c%5), 24 + 20*(c%3)}
		if c%4 == 3 {
			sizes[1] = 0 // all of one kind
		}
		x := &crowd{souls: make([]soul, sizes[0]+sizes[1]-less(c, 0, 0))}
		w.crowds = append(w.crowds, x)
		for k, tr := range traits {
			// Each trait is dealt out in another order, so that the small cells cross in each world otherwise.
			order := rand.New(rand.NewPCG(uint64(c), uint64(k))).Perm(len(x.souls))
			first := sizes[0] - less(c, 0, 0)
			for at, i := range order {
				big, within := 0, at
				if at >= first {
					big, within = 1, at-first
				}
				v := tr.large[big]
				if within < few(c, k, big) {
					v = tr.small[big]
				}
				tr.give(&x.souls[i], v)
			}
		}
	}
	return w
}

// come adds people to the larger cell of everything.
func (w *world) come(n int) {
	for _, x := range w.crowds {
		for range n {
			var s soul
			for _, tr := range traits {
				tr.give(&s, tr.large[0])
			}
			x.souls = append(x.souls, s)
		}
	}
}

// mend corrects people who were in a small cell: they were of the large one all the time.
func (w *world) mend(n int) {
	for _, x := range w.crowds {
		left := n
		for i := range x.souls {
			for _, tr := range traits {
				if left > 0 && tr.mayBeMended && tr.of(&x.souls[i]) == tr.small[0] {
					tr.give(&x.souls[i], tr.large[0])
					left--
				}
			}
		}
	}
}

// enter writes who has come and what was mended, as deposits and clinical tables do, and counts.
func (w *world) enter() (renewed int64) {
	w.t.Helper()
	ctx := w.t.Context()
	for c, x := range w.crowds {
		id := crowdID(c)
		err := w.d.DB.Write(ctx, func(tx *db.Tx) error {
			dep, err := w.d.Catalogue.StartDeposit(tx, id, "stow", "token-1")
			if err != nil {
				return err
			}
			run, err := w.d.Clinical.Begin(tx, id, "token-1")
			if err != nil {
				return err
			}
			var entries []catalogue.Entry
			for i := range x.souls {
				s := &x.souls[i]
				n := 10_000*(c+1) + i
				date := fmt.Sprintf("%d0612", s.year)
				f := clinical.Facts{Sex: s.sex, Age: &s.age, Diagnoses: []vocabulary.Code{{System: vocabulary.ICD10, Value: icd[s.disease]}},
					Visits: []clinical.Visit{{Name: s.visit, Date: fmt.Sprintf("%d-06-12", s.year)}}}
				if _, err := w.d.Clinical.Save(tx, id, subject.ID(n), f, clinical.Columns{Sex: true, Age: true, Diagnoses: true, Visits: true}, run); err != nil {
					return err
				}
				if i < x.entered {
					continue
				}
				entries = append(entries, catalogue.Entry{Collection: id, Subject: subject.ID(n), Study: catalogue.StudyUID(fmt.Sprintf("1.2.%d", n)),
					Series: catalogue.SeriesUID(fmt.Sprintf("1.3.%d", n)), SOP: catalogue.SOPUID(fmt.Sprintf("1.4.%d", n)),
					StudyAttributes:    catalogue.StudyAttributes{PatientID: fmt.Sprint("P", n), StudyDate: date, JSON: `{}`},
					SeriesAttributes:   catalogue.SeriesAttributes{Modality: s.modality},
					InstanceAttributes: catalogue.InstanceAttributes{SOPClass: "1.2.840.10008.5.1.4.1.1.7", TransferSyntax: "1.2.840.10008.1.2.1"},
					Ref:                catalogue.Ref{Pack: catalogue.PackID{1}, Offset: int64(n) * 4096}, HeadSize: 1000, Digest: [32]byte{byte(n), byte(n >> 8), byte(n >> 16), 1}, State: policy.Received, Deposit: dep,
					Ordinal: int64(i + 1)})
			}
			x.entered = len(x.souls)
			if len(entries) == 0 {
				return nil
			}
			_, err = w.d.Catalogue.AddBatch(tx, entries)
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	due, err := w.d.Catalogue.DueStudies(ctx, time.Now().Add(time.Hour), 100_000)
	if err != nil {
		w.t.Fatal(err)
	}
	err = w.d.DB.Write(ctx, func(tx *db.Tx) error {
		for _, s := range due {
			if _, err := w.d.Catalogue.Admit(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := w.d.Count(ctx, as(policy.Admin, "*"))
	if err != nil {
		w.t.Fatal(err)
	}
	if s.Renewed > 0 {
		for _, x := range w.crowds {
			x.people, x.published = int64(len(x.souls)), map[directory.Dimension]map[string]int64{}
			for _, tr := range traits {
				cells := map[string]int64{}
				for i := range x.souls {
					cells[tr.of(&x.souls[i])]++
				}
				x.published[tr.dimension] = cells
			}
		}
	}
	return s.Renewed
}

// question is anything that anybody may ask.
type question struct {
	query directory.Query
	what  string // empty: a search; else an export of an entry, all entries, an entry, a comparison, the snapshot
	of    int
	with  int
}

var stamps = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

// answer is all that the asker sees, but for the time of day.
func (w *world) answer(q question) (string, *directory.Result) {
	w.t.Helper()
	ctx, id := w.t.Context(), directory.ID(crowdID(q.of))
	site := directory.Site{Base: "https://imaging.example.org", Name: "Test"}
	var v any
	var err error
	var result *directory.Result
	switch q.what {
	case "":
		if result, err = w.d.Search(ctx, nobody, q.query); err == nil {
			r := *result
			r.Took, r.Hits, r.Near = 0, nil, nil
			for _, h := range result.Hits {
				h.Stored = timeless(h.Stored)
				r.Hits = append(r.Hits, h)
			}
			for _, n := range result.Near {
				n.Stored = timeless(n.Stored)
				r.Near = append(r.Near, n)
			}
			v = r
		}
	case "entry":
		var e flow.View
		e, err = w.d.Entry(ctx, nobody, id)
		e.Stored = *timeless(&e.Stored)
		v = e
	case "compare":
		v, err = w.d.Compare(ctx, nobody, []directory.ID{id, directory.ID(crowdID(q.with))})
	case "all":
		var b bytes.Buffer
		err = w.d.ExportAll(ctx, nobody, &b, flow.CSV, site)
		v = b.String()
	default:
		var b []byte
		b, err = w.d.Export(ctx, nobody, id, flow.Format(q.what), site)
		v = string(b)
	}
	if err != nil {
		w.t.Fatalf("%+v: %v", q, err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	return stamps.ReplaceAllString(string(b), "then"), result
}

func timeless(s *directory.Stored) *directory.Stored {
	c := *s
	c.At, c.StateAt, c.Issued = time.Time{}, time.Time{}, time.Time{}
	return &c
}

// next makes a question of the answers so far, as who narrows, widens and compares does.
func next(r *rand.Rand, before question, last *directory.Result) question {
	switch r.IntN(30) {
	case 0:
		return question{what: []string{"hdruk", "cruk", "dcat", "miabis", "schema.org", "csv"}[r.IntN(6)], of: r.IntN(attackedCollections)}
	case 1:
		return question{what: "entry", of: r.IntN(attackedCollections)}
	case 2:
		return question{what: "compare", of: r.IntN(attackedCollections), with: r.IntN(attackedCollections)}
	case 3:
		if r.IntN(20) == 0 {
			return question{what: "all"}
		}
	}
	q := before.query
	if last == nil || r.IntN(5) == 0 {
		q = directory.Query{Size: 2}
		switch r.IntN(3) {
		case 0:
			q.Text = word(r.IntN(attackedCollections))
		case 1:
			q.Text = []string{"breast cancer", "lung", "women", "prostat cancer", "ultrasound", "mammogram", "images"}[r.IntN(7)]
		}
	}
	q.Page, q.Sort = 0, []directory.Sort{directory.ByRelevance, directory.ByTitle, directory.ByPeople, directory.ByNewest, directory.ByCompleteness}[r.IntN(5)]
	switch r.IntN(7) {
	case 0:
		from := r.IntN(90)
		q.Age = &directory.Range{From: from, To: from + r.IntN(40)}
	case 1:
		from := 2000 + r.IntN(22)
		q.Year = &directory.Range{From: from, To: from + r.IntN(10)}
	case 2:
		q.Age, q.Year = nil, nil
	default:
		tr := traits[r.IntN(len(traits))]
		facet := map[directory.Dimension]directory.Facet{directory.BySex: directory.FacetSex, directory.ByDisease: directory.FacetDisease, directory.ByTimepoint: directory.FacetTimepoint,
			directory.ByModality: directory.FacetModality}[tr.dimension]
		if facet == "" {
			break
		}
		v := []string{tr.large[0], tr.large[1], tr.small[0], tr.small[1]}[r.IntN(4)]
		if facet == directory.FacetDisease {
			v = "group:" + v
		}
		q = q.With(facet, v)
	}
	return question{query: q}
}

// between is what a published number says of the true one.
func between(n directory.Number) (low, high int64) {
	switch {
	case !n.Known:
		return 0, 1 << 40
	case n.Withheld || n.Value < 10:
		return 0, 9
	case n.Value == 10:
		return 10, 14
	}
	return n.Value - 5, n.Value + 4
}

func TestAttackerLearnsNoSmallCell(t *testing.T) {
	questions := 10_000
	if testing.Short() {
		questions = 1200
	}
	draw := rand.New(rand.NewPCG(11, 12))
	drawn := map[[3]int]int{}
	some := func(c, tr, k int) int {
		at := [3]int{c, tr, k}
		if _, ok := drawn[at]; !ok {
			drawn[at] = draw.IntN(7)
		}
		return drawn[at]
	}
	always := func(n int) func(int, int, int) int { return func(int, int, int) int { return n } }
	worlds := []*world{newWorld(t, always(0), always(0)), newWorld(t, always(9), always(0)), newWorld(t, some, func(c, _, _ int) int { return c % 3 })}
	other := newWorld(t, always(10), always(0)) // its cells are not small: what tells it apart is no secret, and must be seen
	all := append(worlds[:len(worlds):len(worlds)], other)

	type cell struct {
		day, crowd int
		dimension  directory.Dimension
		value      string
	}
	known, answers := map[cell]directory.Number{}, map[[32]byte]bool{}
	asked, apart := 0, 0
	r := rand.New(rand.NewPCG(13, 14))
	days := []struct {
		come, mend int
		renewed    bool
	}{{0, 0, true}, {7, 0, false}, {13, 0, true}, {0, 5, false}, {10, 0, true}, {9, 0, false}}
	for day, what := range days {
		for i, w := range all {
			w.come(what.come)
			if what.mend > 0 && i > 0 { // where nobody is in a small cell, nobody can be mended
				w.mend(what.mend)
			}
			if renewed := w.enter(); (renewed > 0) != what.renewed || renewed > 0 && renewed < attackedCollections {
				t.Fatalf("day %d: of world %d the numbers of %d collections are new", day, i, renewed)
			}
		}
		var q question
		var last *directory.Result
		// Of each collection alone, first what anybody would look at; then ten thousand steps from one question to the next.
		var first []question
		for c := range attackedCollections {
			first = append(first, question{query: directory.Query{Text: word(c), Size: 2}}, question{what: "entry", of: c}, question{what: "hdruk", of: c})
		}
		for n := range questions/len(days) + 1 {
			if n < len(first) {
				q = first[n]
			} else {
				q = next(r, q, last)
			}
			asked++
			want, result := worlds[0].answer(q)
			answers[sha256.Sum256([]byte(want))] = true
			for i, w := range worlds[1:] {
				if got, _ := w.answer(q); got != want {
					t.Fatalf("day %d: %+v tells world %d from world 0:\n%s\n%s", day, q, i+1, got, want)
				}
			}
			if n < 200 {
				if got, _ := other.answer(q); got != want {
					apart++
				}
			}
			if result == nil {
				q = question{}
			}
			before := last
			if last = result; result == nil {
				continue
			}
			// Numbers of one question and of the one before it are apart by tens.
			if before != nil && (result.People.Value-before.People.Value)%10 != 0 {
				t.Fatalf("%d people, and %d", before.People.Value, result.People.Value)
			}
			if n >= len(first) || result.Total != 1 {
				continue
			}
			c, _ := strconv.Atoi(strings.TrimPrefix(string(result.Hits[0].ID), "crowd-"))
			known[cell{day, c, "", ""}] = result.People
			for _, f := range result.Facets {
				for _, tr := range traits {
					if string(f.Facet) != string(tr.dimension) {
						continue
					}
					for _, v := range f.Values {
						known[cell{day, c, tr.dimension, strings.TrimPrefix(v.Value, "group:")}] = v.People
					}
				}
			}
			for _, b := range append(result.Ages[:len(result.Ages):len(result.Ages)], result.Years...) {
				known[cell{day, c, map[bool]directory.Dimension{true: directory.ByYear, false: directory.ByAge}[len(b.Value) == 4 && b.From == b.To], b.Value}] = b.People
			}
		}
	}
	if apart == 0 {
		t.Error("a world of larger cells looks the same: nothing is told at all")
	}

	// By reckoning, in each of the worlds.
	for i, w := range worlds {
		small, pairs := 0, 0
		for c, x := range w.crowds {
			day := len(days) - 2 // the last whose numbers are new
			truth := func(k cell) int64 {
				if k.dimension == "" {
					return x.people
				}
				return x.published[k.dimension][k.value]
			}
			whole, ok := known[cell{day, c, "", ""}]
			if !ok {
				t.Fatalf("world %d: nothing is known of the people of collection %d", i, c)
			}
			wholeLow, wholeHigh := between(whole)
			if n := x.people; n < wholeLow || n > wholeHigh {
				t.Errorf("world %d: %d people are told as %+v", i, n, whole)
			}
			for _, tr := range traits {
				for _, v := range []string{tr.large[0], tr.large[1], tr.small[0], tr.small[1]} {
					k := cell{day, c, tr.dimension, v}
					n, listed := known[k]
					if !listed {
						n = directory.Number{Known: true, Withheld: true} // what is not listed has fewer than ten
					}
					low, high := between(n)
					is := truth(k)
					if is < low || is > high {
						t.Errorf("world %d: %s %s of collection %d are %d, told as %+v", i, tr.dimension, v, c, is, n)
					}
					if is < 10 {
						small++
						if low > 0 || high < 9 {
							t.Errorf("world %d: of %s %s in collection %d, who are %d, it is known that they are %d to %d", i, tr.dimension, v, c, is, low, high)
						}
					}
					// All but these; and those who came since an earlier day.
					nested := map[string][2]int64{"the others": {wholeLow - high, wholeHigh - low}}
					for earlier := range day {
						if m, ok := known[cell{earlier, c, tr.dimension, v}]; ok {
							l, h := between(m)
							nested["who came since day "+strconv.Itoa(earlier)] = [2]int64{low - h, high - l}
						}
					}
					for what, d := range nested {
						if pairs++; n.Known && d[0] >= 1 && d[1] <= 9 {
							t.Errorf("world %d: %s of %s %s in collection %d are %d to %d", i, what, tr.dimension, v, c, d[0], d[1])
						}
					}
				}
			}
		}
		if small < attackedCollections*len(traits)*2 || pairs < small {
			t.Errorf("world %d: only %d small cells and %d differences were tried", i, small, pairs)
		}
		t.Logf("world %d: %d small cells, %d differences", i, small, pairs)
	}
	if asked < questions || len(answers) < questions/10 || reflect.DeepEqual(worlds[0].crowds[0].souls, worlds[1].crowds[0].souls) {
		t.Errorf("%d questions, %d different answers", asked, len(answers))
	}
	t.Logf("%d questions in %d worlds, %d different answers", asked, len(worlds), len(answers))
}
