package directory_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// library is a directory with hands.
type library struct {
	testing.TB
	d       *db.DB
	entries *directory.Record
	counts  *directory.CountRecord
	finder  *directory.Finder
}

func open(t testing.TB, d *db.DB) *library {
	t.Helper()
	l := &library{TB: t, d: d}
	var err error
	if l.entries, err = directory.OpenRecord(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	if l.counts, err = directory.OpenCounts(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	if l.finder, err = directory.OpenFinder(context.Background(), d, l.entries, l.counts); err != nil {
		t.Fatal(err)
	}
	return l
}

func eachLibrary(t *testing.T, test func(l *library)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) { test(open(t, d)) })
}

func (l *library) write(do func(tx *db.Tx) error) {
	l.Helper()
	if err := l.d.Write(context.Background(), do); err != nil {
		l.Fatal(err)
	}
}

func (l *library) publish(id directory.ID, e directory.Entry) {
	l.Helper()
	l.write(func(tx *db.Tx) error {
		rev, err := l.entries.Save(tx, id, e, 0, "token-1", "")
		if err != nil {
			return err
		}
		return l.entries.Publish(tx, id, rev, "token-1")
	})
}

// count publishes numbers of people who were drawn.
func (l *library) count(c collection.ID, people []directory.Counted, taken time.Time) {
	l.Helper()
	t := directory.NewTally()
	for _, p := range people {
		t.Add(p)
	}
	l.write(func(tx *db.Tx) error {
		_, err := l.counts.Renew(tx, c, t, taken)
		return err
	})
}

func (l *library) note(taken time.Time) {
	l.Helper()
	l.write(func(tx *db.Tx) error {
		return l.counts.Note(tx, directory.Snapshot{Taken: taken, Day: taken.Format(time.DateOnly), Actor: "node"})
	})
}

func (l *library) find(parameters string) *directory.Result {
	l.Helper()
	v, err := url.ParseQuery(parameters)
	if err != nil {
		l.Fatal(err)
	}
	q, err := directory.ParseQuery(v)
	if err != nil {
		l.Fatal(err)
	}
	r, err := l.finder.Find(context.Background(), q)
	if err != nil {
		l.Fatal(err)
	}
	return r
}

func (l *library) ids(parameters string) string {
	l.Helper()
	var out []directory.ID
	for _, h := range l.find(parameters).Hits {
		out = append(out, h.ID)
	}
	return fmt.Sprint(out)
}

func codes(t testing.TB, list ...string) (out []vocabulary.Code) {
	for _, s := range list {
		c, err := vocabulary.ParseCode(vocabulary.ICD10, s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func age(n int) *int { return &n }

// shelf is four collections that differ.
func (l *library) shelf() {
	for _, x := range []struct {
		id, title, abstract string
		conditions          []vocabulary.Code
		modalities, sexes   []string
		low, high           int
		access              string
	}{
		{"breast", "Screening mammograms of the north", "Two views of each breast, every three years, with the outcome.", codes(l, "C50"), []string{"MG"}, []string{"female"}, 47, 73, ""},
		{"gullet", "Trial of chemoradiotherapy", "Staging before and after treatment, Zebrafish consortium.", codes(l, "C15"), []string{"CT", "PT"}, []string{"female", "male"}, 18, 90, ""},
		{"bowel", "Colon and rectum, local staging", "Magnetic resonance of the pelvis before surgery.", codes(l, "C18", "C20"), []string{"MR"}, []string{"female", "male"}, 18, 90, ""},
		{"child", "Children's brain tumours", "Follow-up of children after surgery.", codes(l, "C71"), []string{"MR", "CT"}, []string{"female", "male"}, 0, 17, ""},
	} {
		e := directorytest.Minimal()
		e.Title, e.Abstract, e.Conditions, e.Modalities, e.Sexes, e.AgeMin, e.AgeMax = x.title, x.abstract, x.conditions, x.modalities, x.sexes, age(x.low), age(x.high)
		e.AgeBands, e.Keywords, e.Description, e.BodySites = nil, nil, "", []string{"38266002"}
		l.publish(directory.ID(x.id), e)
	}
}

func TestFindByWhatPeopleType(t *testing.T) {
	eachLibrary(t, func(l *library) {
		l.shelf()
		for query, want := range map[string]string{
			"":                               "[child bowel breast gullet]", // by title
			"q=mammogram":                    "[breast]",
			"q=mamography":                   "[breast]", // misspelt, and a modality
			"q=zebrafish":                    "[gullet]",
			"q=zebrafsh":                     "[gullet]", // misspelt, and no word of the vocabulary
			"q=zebraf":                       "[gullet]", // not typed to its end
			"q=food+pipe+cancer":             "[gullet]",
			"q=bowel+cancer":                 "[bowel]",
			"q=C20":                          "[bowel]",
			"q=MRI+of+children":              "[child]",
			"q=elephant":                     "[]",
			"q=the":                          "[child bowel breast gullet]",
			"disease=ICD-10:C20":             "[bowel]",
			"disease=group:digestive-cancer": "[bowel gullet]",
			"disease=group:digestive-cancer&disease=ICD-10:C50": "[bowel breast gullet]",
			"modality=MR&modality=PT":                           "[child bowel gullet]",
			"modality=MR&sex=male&age=5-10":                     "[child]",
			"age=100-110":                                       "[bowel gullet]", // to 90, and the band of 90 has no end
			"modality=NOPE":                                     "[]",
			"sort=newest&size=2":                                "[child bowel]",
			"size=2&page=2":                                     "[breast gullet]",
			"size=2&page=9":                                     "[]",
		} {
			if got := l.ids(query); got != want {
				t := l.TB
				t.Errorf("%q finds %s, want %s", query, got, want)
			}
		}
		if r := l.find("q=zebrafsh"); len(r.Phrases) != 1 || r.Phrases[0].Meant != "zebrafish" || r.Phrases[0].Found != 1 {
			l.Errorf("%+v", r.Phrases)
		}
		// What almost fits.
		r := l.find("modality=MR&disease=ICD-10:C50")
		if r.Total != 0 || len(r.Near) != 3 || r.Near[0].ID != "breast" || r.Near[0].Lacks != directory.FacetModality {
			l.Errorf("%d, %+v", r.Total, r.Near)
		}
		// What is retired is found no more; what is written anew is found by its new words, and a draft by nobody.
		l.write(func(tx *db.Tx) error { return l.entries.Retire(tx, "gullet", "token-1") })
		s, err := l.entries.Get(context.Background(), "bowel")
		if err != nil {
			l.Fatal(err)
		}
		s.Entry.Abstract = "Of the Okapi registry."
		var rev int64
		l.write(func(tx *db.Tx) (err error) {
			rev, err = l.entries.Save(tx, "bowel", s.Entry, s.Revision, "token-1", "")
			return err
		})
		if got := l.ids("q=okapi"); got != "[]" {
			l.Errorf("a draft is found: %s", got)
		}
		l.write(func(tx *db.Tx) error { return l.entries.Publish(tx, "bowel", rev, "token-1") })
		if a, b, c := l.ids("q=okapi"), l.ids("q=zebrafish"), l.ids("q=pelvis"); a != "[bowel]" || b != "[]" || c != "[]" {
			l.Errorf("%s %s %s", a, b, c)
		}
	})
}

// Each number beside a value is what one gets by choosing it.
func TestFacetsSayWhatChoosingFinds(t *testing.T) {
	eachLibrary(t, func(l *library) {
		for _, m := range directorytest.Make(3, 120) {
			l.publish(m.ID, m.Entry)
		}
		r := rand.New(rand.NewPCG(1, 1))
		for range 25 {
			q := directory.Query{}
			for range r.IntN(3) {
				f := directory.Facets[r.IntN(len(directory.Facets))]
				for _, c := range l.find(q.Values().Encode()).Facets {
					if c.Facet == f && len(c.Values) > 0 {
						q = q.With(f, c.Values[r.IntN(len(c.Values))].Value)
					}
				}
			}
			res := l.find(q.Values().Encode())
			for _, f := range res.Facets {
				if len(q.Filters[f.Facet]) > 0 || len(f.Values) == 0 {
					continue
				}
				v := f.Values[r.IntN(len(f.Values))]
				if got := l.find(q.With(f.Facet, v.Value).Values().Encode()).Total; got != v.Collections {
					l.Errorf("%s: %s %s says %d, choosing it finds %d", q.Values().Encode(), f.Facet, v.Value, v.Collections, got)
				}
			}
		}
	})
}

func TestQueryAddresses(t *testing.T) {
	for _, s := range []string{"", "q=breast+cancer", "age=50-69&disease=ICD-10%3AC50.4&disease=group%3Abowel-cancer&modality=CT&page=2&q=x&size=50&sort=people&year=2010-2020"} {
		v, _ := url.ParseQuery(s)
		q, err := directory.ParseQuery(v)
		if err != nil || q.Values().Encode() != s {
			t.Errorf("%q becomes %q: %v", s, q.Values().Encode(), err)
		}
		v2, _ := url.ParseQuery(q.Values().Encode())
		if again, err := directory.ParseQuery(v2); err != nil || !reflect.DeepEqual(again.Values(), q.Values()) {
			t.Errorf("%+v, %v", again, err)
		}
	}
	for _, s := range []string{"sort=rowid", "age=50", "age=70-50", "age=-1-5", "page=0", "page=x", "size=1000", "disease=C50", "disease=ICD-10:Doe", "q=%00", "q=%ff"} {
		v, _ := url.ParseQuery(s)
		if _, err := directory.ParseQuery(v); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
	q := directory.Query{}.With(directory.FacetSex, "female").With(directory.FacetSex, "male")
	if !q.Has(directory.FacetSex, "male") || q.With(directory.FacetSex, "male").Has(directory.FacetSex, "male") || len(q.Without(directory.FacetSex).Filters[directory.FacetSex]) != 0 {
		t.Errorf("%+v", q)
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add("q=breast&age=1-2&disease=ICD-10:C50")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := url.ParseQuery(s)
		if err != nil {
			return
		}
		q, err := directory.ParseQuery(v)
		if err != nil {
			return
		}
		again, err := directory.ParseQuery(q.Values())
		if err != nil || again.Values().Encode() != q.Values().Encode() {
			t.Fatalf("%q, %v", q.Values().Encode(), err)
		}
	})
}

// draw makes people of a collection.
func draw(r *rand.Rand, n int) []directory.Counted {
	grid := func(d directory.Dimension, spread int) []string {
		all := directory.Grid(d)
		from := r.IntN(len(all))
		out := make([]string, spread)
		for i := range out {
			out[i] = all[(from+i)%len(all)]
		}
		return out
	}
	diseases, modalities, years, ages := grid(directory.ByDisease, 3), grid(directory.ByModality, 3), grid(directory.ByYear, 6), grid(directory.ByAge, 6)
	people := make([]directory.Counted, n)
	for i := range people {
		people[i] = directory.Counted{Subject: subject.ID(i + 1), Sex: []string{"female", "male", "female"}[r.IntN(3)], AgeBand: ages[min(r.IntN(6), r.IntN(6))],
			Diseases: diseases[:1+r.IntN(2)], Modalities: modalities[:1+r.IntN(3)], Years: years[:1+r.IntN(6)], Timepoints: []string{"visit-1"}, Studies: 1, Images: 10, Available: true}
	}
	return people
}

// Ten thousand searches by somebody who wants to know: of facets, filters, crossings and sums. No number in an answer is other than a multiple of ten or withheld,
// and for one collection alone each is at most what is published of its cell: nothing that the published numbers do not say.
func TestTenThousandSearches(t *testing.T) {
	searches := 10_000
	if testing.Short() {
		searches = 1000
	}
	d := dbtest.SQLite(t)
	l := open(t, d)
	r := rand.New(rand.NewPCG(9, 9))
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 60 {
		e := directorytest.Minimal()
		e.Holding, e.Collection, e.Title = directory.Here, fmt.Sprintf("c%02d", i), fmt.Sprintf("Collection %02d", i)
		e.Declared = nil
		l.publish(directory.ID(e.Collection), e)
		l.count(collection.ID(e.Collection), draw(r, r.IntN(150)), day)
	}
	l.note(day)
	numbers, err := l.counts.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	check := func(q directory.Query, what string, n directory.Number, most int64) {
		t.Helper()
		if n.Value%10 != 0 || n.Withheld && n.Value != 0 || n.Known && !n.Withheld && n.Value < 10 || n.Value > most {
			t.Fatalf("%s: %s is %+v, and %d is published", q.Values().Encode(), what, n, most)
		}
	}
	seen, told := map[string]bool{}, 0
	q := directory.Query{Size: 100}
	for n := range searches {
		if n%4 == 0 {
			q = directory.Query{Size: 100}
			if r.IntN(2) == 0 {
				q.Text = fmt.Sprintf("%02d", r.IntN(60)) // one collection alone
			}
			if r.IntN(3) == 0 {
				from := r.IntN(90)
				q.Age = &directory.Range{From: from, To: from + r.IntN(20)}
			}
		}
		res, err := l.finder.Find(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var one *directory.Numbers
		if res.Total == 1 && len(res.Hits) == 1 {
			one = numbers[collection.ID(res.Hits[0].ID)]
		}
		most := int64(1 << 40)
		if one != nil {
			most = one.People
		}
		check(q, "people", res.People, most)
		for _, h := range res.Hits {
			check(q, "a hit's people", h.People, numbers[collection.ID(h.ID)].People)
		}
		for _, f := range res.Facets {
			chosen := len(q.Filters[f.Facet]) > 0
			for _, v := range f.Values {
				limit := most
				if one != nil && !chosen {
					switch f.Facet {
					case directory.FacetSex:
						limit = one.Cells[directory.BySex][v.Value]
					case directory.FacetModality:
						limit = one.Cells[directory.ByModality][v.Value]
					case directory.FacetTimepoint:
						limit = one.Cells[directory.ByTimepoint][v.Value]
					}
				} else if chosen {
					limit = 1 << 40
				}
				check(q, string(f.Facet)+" "+v.Value, v.People, limit)
				if v.People.Value > 0 {
					told++
				}
			}
			if len(f.Values) > 0 && r.IntN(6) == 0 && !chosen {
				q = q.With(f.Facet, f.Values[r.IntN(len(f.Values))].Value)
			}
		}
		for _, b := range append(slices.Clone(res.Ages), res.Years...) {
			check(q, "bar "+b.Value, b.People, 1<<40)
		}
		q.Size = 100
		seen[q.Values().Encode()] = true
	}
	if len(seen) < searches/4 || told < searches {
		t.Errorf("%d different searches, %d numbers", len(seen), told)
	}
	t.Logf("%d different searches, %d numbers of people", len(seen), told)
}

func TestSavedSearches(t *testing.T) {
	eachLibrary(t, func(l *library) {
		l.shelf()
		ctx := context.Background()
		q := directory.Query{Filters: map[directory.Facet][]string{directory.FacetModality: {"MR"}}}
		s, err := l.finder.SaveSearch(ctx, "person-1", "MR", q, true)
		if err != nil || s.Found != 2 {
			l.Fatal(s, err)
		}
		if _, err := l.finder.SaveSearch(ctx, "", "MR", q, true); !fault.Is(err, fault.Denied) {
			l.Error(err)
		}
		if alerts, err := l.finder.CheckSaved(ctx); err != nil || len(alerts) != 0 {
			l.Error(alerts, err)
		}
		e := directorytest.Minimal()
		e.Title, e.Modalities = "Prostate", []string{"MR"}
		l.publish("prostate", e)
		alerts, err := l.finder.CheckSaved(ctx)
		if err != nil || len(alerts) != 1 || fmt.Sprint(alerts[0].New) != "[prostate]" || alerts[0].Search.Owner != "person-1" {
			l.Fatalf("%+v, %v", alerts, err)
		}
		if alerts, err := l.finder.CheckSaved(ctx); err != nil || len(alerts) != 0 {
			l.Error("told twice", alerts, err)
		}
		all, err := l.finder.SavedSearches(ctx, "person-1")
		if err != nil || len(all) != 1 || fmt.Sprint(all[0].Fresh) != "[prostate]" || all[0].Found != 3 || !all[0].Query.Has(directory.FacetModality, "MR") {
			l.Fatalf("%+v, %v", all, err)
		}
		if err := l.finder.Looked(ctx, "person-2", s.ID); !fault.Is(err, fault.NotFound) {
			l.Error("another's search:", err)
		}
		if err := l.finder.Looked(ctx, "person-1", s.ID); err != nil {
			l.Error(err)
		}
		if err := l.finder.DeleteSearch(ctx, "person-1", s.ID); err != nil {
			l.Error(err)
		}
		if err := l.finder.SetShortlisted(ctx, "person-1", "breast", true); err != nil {
			l.Error(err)
		}
		if err := l.finder.SetShortlisted(ctx, "person-1", "nothing", true); !fault.Is(err, fault.NotFound) {
			l.Error(err)
		}
		short, err := l.finder.Shortlist(ctx, "person-1")
		if err != nil || len(short) != 1 || short[0].ID != "breast" {
			l.Error(short, err)
		}
		c := directory.Compare(append(short, directory.Stored{ID: "x", Entry: directorytest.Full().Entry}), []*directory.Numbers{nil, {People: 120, Cells: map[directory.Dimension]map[string]int64{directory.BySex: {"female": 120}, directory.ByDisease: {directory.DiseaseUnknown: 20}}}})
		if len(c.Entries) != 2 || c.Groups[0].Title != "People" || len(c.Groups[0].Rows[0].Cells[1]) != 1 || c.Groups[0].Rows[0].Cells[1][0] != "120" || c.Groups[0].Rows[0].Same {
			l.Errorf("%+v", c.Groups)
		}
		if known := c.Groups[0].Rows[2]; known.Name != "By disease" || !slices.Equal(known.Cells[1], []string{"Not recorded: 20"}) {
			l.Errorf("whose disease is not recorded: %+v", known)
		}
	})
}

// What is published while others search is found by its words, as soon as it is there and for good.
func TestPublishedWhileSearched(t *testing.T) {
	eachLibrary(t, func(l *library) {
		ctx := context.Background()
		const n = 300
		word := func(i int) string { // no word is a form of another
			return "zq" + strings.NewReplacer("0", "b", "1", "c", "2", "d", "3", "f", "4", "g", "5", "k", "6", "m", "7", "p", "8", "q", "9", "t").Replace(fmt.Sprintf("%04d", i)) + "ox"
		}
		var searching sync.WaitGroup
		done := make(chan struct{})
		for range 2 {
			searching.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if _, err := l.finder.Find(ctx, directory.Query{}); err != nil {
						l.Error(err)
						return
					}
				}
			})
		}
		for i := range n {
			e := directorytest.Minimal()
			e.Title = word(i)
			l.publish(directory.ID(fmt.Sprint("e", i)), e)
		}
		close(done)
		searching.Wait()
		for i := range n {
			r, err := l.finder.Find(ctx, directory.Query{Text: word(i)})
			if err != nil || r.Total == 0 || string(r.Hits[0].ID) != fmt.Sprint("e", i) {
				l.Errorf("%s: %d found, %v", word(i), r.Total, err)
			}
		}
	})
}

// A saved search that cannot be read any more keeps nobody from being told, and its owner can delete it.
func TestSavedSearchThatCannotBeRead(t *testing.T) {
	eachLibrary(t, func(l *library) {
		l.shelf()
		ctx := context.Background()
		q := directory.Query{Filters: map[directory.Facet][]string{directory.FacetModality: {"MR"}}}
		broken, err := l.finder.SaveSearch(ctx, "person-1", "one", q, true)
		if err != nil {
			l.Fatal(err)
		}
		if _, err := l.finder.SaveSearch(ctx, "person-1", "two", q, true); err != nil {
			l.Fatal(err)
		}
		l.write(func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE directory_saved SET query = 'sort=as-it-was-once' WHERE id = ?`, int64(broken.ID))
			return err
		})
		e := directorytest.Minimal()
		e.Title, e.Modalities = "Prostate", []string{"MR"}
		l.publish("prostate", e)
		alerts, err := l.finder.CheckSaved(ctx)
		if err != nil || len(alerts) != 1 || alerts[0].Search.Name != "two" {
			l.Errorf("%+v, %v", alerts, err)
		}
		all, err := l.finder.SavedSearches(ctx, "person-1")
		if err != nil || len(all) != 2 {
			l.Errorf("%+v, %v", all, err)
		}
		if err := l.finder.DeleteSearch(ctx, "person-1", broken.ID); err != nil {
			l.Error(err)
		}
	})
}

// BenchmarkFind measures searches over 10,000 collections of 1,000,000 people. It prints the slowest of a hundred of each kind.
func BenchmarkFind(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgresql"} {
		b.Run(engine, func(b *testing.B) {
			d := dbtest.SQLite
			if engine == "postgresql" {
				d = func(t testing.TB, _ ...db.Option) *db.DB { return dbtest.Open(t, dbtest.PostgresURL(t)) }
			}
			l := open(b, d(b))
			const collections, people = 10_000, 100
			day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			r := rand.New(rand.NewPCG(1, 2))
			began := time.Now()
			made := directorytest.Make(1, collections)
			for from := 0; from < len(made); from += 200 {
				l.write(func(tx *db.Tx) error {
					for i, m := range made[from : from+200] {
						m.Entry.Holding, m.Entry.Collection, m.Entry.Declared, m.Entry.Peer = directory.Here, fmt.Sprintf("c%05d", from+i), nil, ""
						rev, err := l.entries.Save(tx, m.ID, m.Entry, 0, "token-1", "")
						if err != nil {
							return err
						}
						if err := l.entries.Publish(tx, m.ID, rev, "token-1"); err != nil {
							return err
						}
						t := directory.NewTally()
						for _, p := range draw(r, people) {
							t.Add(p)
						}
						if _, err := l.counts.Renew(tx, collection.ID(m.Entry.Collection), t, day); err != nil {
							return err
						}
					}
					return nil
				})
			}
			l.note(day)
			b.Logf("%d collections, %d people: filled in %v", collections, collections*people, time.Since(began).Round(time.Millisecond))
			made = nil
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			began = time.Now()
			all := l.find("")
			took := time.Since(began)
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.Logf("first search, with the index built: %v; index: %.0f MB", took.Round(time.Millisecond), float64(after.HeapAlloc-before.HeapAlloc)/1e6)
			texts := []string{"", "breast cancer", "bowel", "mamography", "lung CT", "children", "register", "trial of surgery", "melanom", "prostate MRI biopsy"}
			var times []time.Duration
			for b.Loop() {
				q := directory.Query{Text: texts[r.IntN(len(texts))]}
				for range r.IntN(4) {
					f := all.Facets[r.IntN(len(all.Facets))]
					if len(f.Values) > 0 {
						q = q.With(f.Facet, f.Values[r.IntN(len(f.Values))].Value)
					}
				}
				if r.IntN(3) == 0 {
					from := r.IntN(80)
					q.Age = &directory.Range{From: from, To: from + 15}
				}
				began := time.Now()
				if _, err := l.finder.Find(b.Context(), q); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(began))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(times[len(times)-1].Microseconds())/1000, "max-ms")
		})
	}
}
