package directory

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// crowd draws people as collections have them: mostly of one disease, of some modalities, more or less of one sex, around some age.
func crowd(r *rand.Rand, n int) []Counted {
	pick := func(d Dimension, most int) []string {
		var out []string
		for range 1 + r.IntN(most) {
			out = append(out, grid[d][r.IntN(len(grid[d]))])
		}
		return out
	}
	diseases, modalities, years := pick(ByDisease, 4), pick(ByModality, 4), pick(ByYear, 5)
	skew, age, spread := r.Float64(), r.IntN(20), 1+r.IntN(8)
	people := make([]Counted, n)
	for i := range people {
		p := Counted{Subject: subject.ID(i + 1), Sex: "female", Studies: 1 + int64(r.IntN(3)), Images: 1 + int64(r.IntN(200)), Available: r.IntN(3) > 0}
		switch {
		case r.IntN(40) == 0:
			p.Sex = "unknown"
		case r.Float64() < skew:
			p.Sex = "male"
		}
		p.AgeBand = grid[ByAge][min(len(grid[ByAge])-1, age+r.IntN(spread))]
		some := func(from []string) (out []string) {
			for _, v := range from {
				if r.IntN(len(from)) == 0 || len(out) == 0 && v == from[len(from)-1] {
					out = append(out, v)
				}
			}
			return out
		}
		p.Diseases, p.Modalities, p.Years = some(diseases), some(modalities), some(years)
		for v := range 1 + r.IntN(3) {
			p.Timepoints = append(p.Timepoints, fmt.Sprintf("visit-%d", v+1))
		}
		people[i] = p
	}
	return people
}

func tally(people []Counted) *Tally {
	t := NewTally()
	for _, p := range people {
		t.Add(p)
	}
	return t
}

// attacker knows what is published, how numbers are rounded, that whoever is there has one sex and one age and at least one of everything else, and reasons
// about every number of people that there could be. It shares no code with the check that it tries.
type attacker struct{ p *Numbers }

func possible(n int64) (low, high int64) {
	low, high = -1, -1
	for x := max(0, n-20); x <= n+20; x++ {
		shown := int64(0)
		if x >= 10 {
			shown = 10 * ((x + 5) / 10)
		}
		if shown == n {
			if low < 0 {
				low = x
			}
			high = x
		}
	}
	return low, high
}

// bound is what is known of a dimension when some of its cells are taken to be known.
func (a attacker) bound(d Dimension, fixed map[string]int64) (least, most int64, ok bool) {
	var sum, widest int64
	for _, v := range grid[d] {
		l, h := possible(a.p.Cells[d][v])
		if x, is := fixed[v]; is {
			if x < l || x > h {
				return 0, 0, false
			}
			l, h = x, x
		}
		sum, most, widest = sum+l, most+h, max(widest, l)
	}
	if d == BySex || d == ByAge {
		return sum, most, true
	}
	return widest, most, true
}

// allows reports whether the cells may have these values, all at once: whether any number of people goes with everything.
func (a attacker) allows(fixed map[Dimension]map[string]int64) bool {
	low, high := possible(a.p.People)
	worlds := map[int64]bool{}
	for people := low; people <= high; people++ {
		worlds[people] = true
	}
	rule := func(least, most int64) {
		for people := range worlds {
			if people < least || people > most {
				delete(worlds, people)
			}
		}
	}
	l, _ := possible(a.p.Available)
	rule(l, 1<<40)
	for name, n := range map[string]int64{"studies": a.p.Studies, "images": a.p.Images} {
		if l, h := possible(n); !slices.Contains(a.p.Withheld, name) {
			rule(min(l, 1), h)
		}
	}
	for d := range a.p.Cells {
		least, most, ok := a.bound(d, fixed[d])
		if !ok {
			return false
		}
		rule(least, most)
	}
	return len(worlds) > 0
}

// learns is what the attacker finds out of small cells: nothing, if all is well.
func (a attacker) learns() string {
	nines := map[Dimension]map[string]int64{}
	for _, d := range Dimensions {
		if _, told := a.p.Cells[d]; !told {
			continue
		}
		tried := 0
		for _, v := range grid[d] {
			if a.p.Cells[d][v] != 0 || tried == 2 { // what looks the same is the same to the attacker: two will do
				continue
			}
			tried++
			for _, x := range []int64{0, 9} {
				if !a.allows(map[Dimension]map[string]int64{d: {v: x}}) {
					return fmt.Sprintf("%s %s cannot be %d", d, v, x)
				}
			}
			nines[d] = map[string]int64{v: 9}
		}
	}
	// A crossing of small cells is at most nine, and nothing may say that it is less.
	if !a.allows(nines) {
		return "not all of a crossing can be nine"
	}
	if a.p.People == 0 && len(a.p.Cells) > 0 {
		for _, x := range []int64{0, 9} { // nobody, and nine of one and the same kind
			all := map[Dimension]map[string]int64{}
			for d := range a.p.Cells {
				all[d] = map[string]int64{}
				for i, v := range grid[d] {
					if all[d][v] = 0; i == 0 {
						all[d][v] = x
					}
				}
			}
			if !a.allows(all) {
				return fmt.Sprintf("they cannot be %d", x)
			}
		}
	}
	return ""
}

func TestSmallCellsStayOpen(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	withheld, told := map[string]int{}, 0
	for i := range 3000 {
		n := r.IntN(40)
		if i%2 == 0 {
			n = r.IntN(1000)
		}
		p := publish(tally(crowd(r, n)), "2026-01-01")
		if why := (attacker{p}).learns(); why != "" {
			text, _ := json.Marshal(p)
			t.Fatalf("collection %d: %s in %s", i, why, text)
		}
		for _, c := range p.Cells {
			for v, shown := range c {
				if shown < 10 || shown%10 != 0 {
					t.Fatalf("%s is told as %d", v, shown)
				}
			}
		}
		for _, w := range p.Withheld {
			withheld[w]++
		}
		told += len(p.Cells)
	}
	t.Logf("%d dimensions told, withheld: %v", told, withheld)
	if told < 3000*4 {
		t.Errorf("hardly anything is told: %d, withheld %v", told, withheld)
	}
}

// Without the check the same attacker does learn something: the test can fail.
func TestTheAttackerIsGood(t *testing.T) {
	// 14 people, all women: 10 of 10 to 14 leave at most 4 men.
	careless := &Numbers{People: 10, Studies: 10, Images: 100, Cells: map[Dimension]map[string]int64{BySex: {"female": 10}}}
	if (attacker{careless}).learns() == "" || careless.safe() {
		t.Error("the men are not found out")
	}
	// Ages with too few to make up the people that the sexes are.
	r := rand.New(rand.NewPCG(3, 4))
	found, agree := 0, 0
	const tries = 5000
	for i := range tries {
		n := int64(r.IntN(150))
		p := &Numbers{People: rounded(n), Cells: map[Dimension]map[string]int64{}, Withheld: []string{theStudies, theImages}}
		for _, d := range []Dimension{BySex, ByAge} {
			p.Cells[d] = map[string]int64{}
			left := n
			for k := range 2 + r.IntN(3) {
				x := min(left, int64(10+5*r.IntN(1+i%8)))
				if x = rounded(x); x > 0 {
					p.Cells[d][grid[d][k%len(grid[d])]] += x
				}
				left -= min(left, x)
			}
			if x := rounded(left); x > 0 && p.Cells[d][grid[d][0]] == 0 {
				p.Cells[d][grid[d][0]] = x
			}
		}
		if !(attacker{p}).allows(nil) {
			agree++ // numbers of no world at all
			continue
		}
		learnt := (attacker{p}).learns() != ""
		if learnt {
			found++
		}
		if learnt == !p.safe() {
			agree++
		}
	}
	if found == 0 || found == tries || agree != tries {
		t.Errorf("of %d careless publications %d are broken; in %d the check agrees", tries, found, agree)
	}
	t.Logf("of %d careless publications %d are broken", tries, found)
}

// Every world of up to 20 people of three sexes and three ages: whoever sees what is published, and knows how it was decided, cannot tell the worlds apart
// that differ in a small cell.
func TestEveryLittleWorld(t *testing.T) {
	sexes, ages := []string{"female", "male", "unknown"}, []string{"50-54", "55-59", "60-64"}
	seen := map[string]map[string]map[int]bool{} // published, cell, true values
	split := func(n int, do func([3]int)) {
		for a := 0; a <= n; a++ {
			for b := 0; a+b <= n; b++ {
				do([3]int{a, b, n - a - b})
			}
		}
	}
	most := 20
	if testing.Short() {
		most = 14
	}
	for n := 0; n <= most; n++ {
		split(n, func(s [3]int) {
			split(n, func(a [3]int) {
				tl := NewTally()
				tl.people = int64(n)
				for i := range 3 {
					tl.cells[BySex][sexes[i]], tl.cells[ByAge][ages[i]] = int64(s[i]), int64(a[i])
				}
				p := &Numbers{People: rounded(tl.people), Cells: map[Dimension]map[string]int64{}}
				// As publish does, for the two dimensions that there are.
				for _, d := range []Dimension{BySex, ByAge} {
					p.Cells[d] = map[string]int64{}
					for v, x := range tl.cells[d] {
						if x = rounded(x); x > 0 {
							p.Cells[d][v] = x
						}
					}
					if !p.safe() {
						delete(p.Cells, d)
					}
				}
				if p.People > 10 {
					return // the group goes on beyond 20 people
				}
				key := fmt.Sprint(p.People, p.Cells)
				if seen[key] == nil {
					seen[key] = map[string]map[int]bool{}
				}
				note := func(d Dimension, v string, x int) {
					if _, told := p.Cells[d]; told && p.Cells[d][v] == 0 {
						c := string(d) + " " + v
						if seen[key][c] == nil {
							seen[key][c] = map[int]bool{}
						}
						seen[key][c][x] = true
					}
				}
				for i := range 3 {
					note(BySex, sexes[i], s[i])
					note(ByAge, ages[i], a[i])
				}
			})
		})
	}
	for key, cells := range seen {
		for c, values := range cells {
			for x := range 10 {
				if !values[x] {
					t.Errorf("%s: %s cannot be %d", key, c, x)
				}
			}
		}
	}
	if len(seen) < 2 {
		t.Error("nothing was compared")
	}
}

func TestRounded(t *testing.T) {
	for n, want := range map[int64]int64{0: 0, 1: 0, 9: 0, 10: 10, 14: 10, 15: 20, 24: 20, 25: 30, 242: 240, 245: 250} {
		if got := rounded(n); got != want {
			t.Errorf("%d is told as %d", n, got)
		}
		if s := spanOf(rounded(n)); n < s.low || n > s.high {
			t.Errorf("%d is not in %v", n, s)
		}
	}
}

func TestCountedOnce(t *testing.T) {
	tl := NewTally()
	p := Counted{Subject: 1, Sex: "F?", AgeBand: "57", Diseases: []string{"nonsense", "breast-cancer", "breast-cancer"}, Modalities: []string{"XY"}, Studies: 3, Images: 9}
	tl.Add(p)
	tl.Add(p)
	if tl.people != 1 || tl.studies != 3 || tl.cells[BySex]["unknown"] != 1 || tl.cells[ByAge][AgeUnknown] != 1 || tl.cells[ByDisease]["breast-cancer"] != 1 ||
		tl.cells[ByDisease][DiseaseUnknown] != 1 || tl.cells[ByModality][OtherModality] != 1 || tl.cells[ByYear][YearUnknown] != 1 || tl.cells[ByTimepoint][LaterVisit] != 1 {
		t.Errorf("%+v", tl.cells)
	}
	if text := fmt.Sprintf("%v %+v %#v", tl, tl, tl); strings.ContainsAny(text, "13") {
		t.Errorf("a tally prints itself: %s", text)
	}
}

func TestGridValues(t *testing.T) {
	for months, want := range map[int]string{-1: AgeUnknown, 0: "1-11-months", 11: "1-11-months", 12: "1-4", 57*12 + 3: "55-59", 89*12 + 11: "85-89", 90 * 12: AgeOver, 110 * 12: AgeOver} {
		if got := AgeBand(months); got != want || !inGrid[ByAge][got] {
			t.Errorf("%d months are %q", months, got)
		}
	}
	for _, c := range []struct {
		system vocabulary.System
		code   string
		want   string
	}{{vocabulary.ICD10, "C50.4", "breast-cancer"}, {vocabulary.SNOMED, "254837009", "breast-cancer"}, {vocabulary.Topography, "C50.4", "breast-cancer"}, {vocabulary.ICD10, "I10", DiseaseOther}} {
		code, err := vocabulary.ParseCode(c.system, c.code)
		if err != nil {
			t.Fatal(err)
		}
		if got := DiseaseOf(code); got != c.want || !inGrid[ByDisease][got] {
			t.Errorf("%v is %q", code, got)
		}
	}
	for d, values := range grid {
		if len(values) != len(inGrid[d]) {
			t.Errorf("%s has a value twice", d)
		}
	}
}

// Day by day one person comes. Numbers stay until ten have, so that no two of them differ by fewer; then all are new at once.
func TestNumbersChangeByTens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		counts, err := OpenCounts(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := counts.Last(t.Context()); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		notes := 0
		renew := func(c collection.ID, people []Counted, day int) (done bool) {
			t.Helper()
			notes++
			err := d.Write(context.Background(), func(tx *db.Tx) (err error) {
				at := time.Date(2026, 1, 1+day, 3, 0, 0, 0, time.UTC)
				if done, err = counts.Renew(tx, c, tally(people), at); err != nil {
					return err
				}
				return counts.Note(tx, Snapshot{Taken: at.Add(time.Duration(notes) * time.Millisecond), Day: at.Format(time.DateOnly), Actor: "node", Collections: 1})
			})
			if err != nil {
				t.Fatal(err)
			}
			return done
		}
		r := rand.New(rand.NewPCG(5, 6))
		everybody := crowd(r, 160)
		last, text := 0, ""
		for n := 100; n <= 160; n++ {
			done := renew("breast", everybody[:n], n-100)
			p, err := counts.Of(t.Context(), "breast")
			if err != nil {
				t.Fatal(err)
			}
			if why := (attacker{p}).learns(); why != "" {
				t.Fatalf("day %d: %s", n-100, why)
			}
			now, _ := json.Marshal(p)
			if want := n == 100 || n-last >= Few; done != want || !done && string(now) != text {
				t.Fatalf("day %d, %d people since: done %v", n-100, n-last, done)
			}
			if done {
				last, text = n, string(now)
			}
		}
		// Nine go, and one is found to be of another sex.
		fewer := slices.Clone(everybody[:151])
		if renew("breast", fewer, 80) {
			t.Error("nine are gone, and the numbers are new")
		}
		fewer[0].Sex = "undifferentiated"
		if !renew("breast", fewer, 81) {
			t.Error("ten have gone or changed, and the numbers are old")
		}
		if renew("breast", fewer, 82) {
			t.Error("nobody has changed, and the numbers are new")
		}
		// None and nine are the same.
		renew("none", nil, 0)
		renew("nine", everybody[:9], 0)
		all, err := counts.All(t.Context())
		if err != nil || len(all) != 3 {
			t.Fatal(len(all), err)
		}
		a, _ := json.Marshal(all["none"])
		b, _ := json.Marshal(all["nine"])
		if string(a) != string(b) {
			t.Errorf("%s\n%s", a, b)
		}
		if n := all["nine"].Number(BySex, "female"); !n.Withheld || n.Below != Few || n.Value != 0 {
			t.Errorf("%+v", n)
		}
		if s, err := counts.Last(t.Context()); err != nil || s.Day != "2026-03-24" || s.Actor != "node" {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

func BenchmarkPublish(b *testing.B) {
	tl := tally(crowd(rand.New(rand.NewPCG(7, 8)), 1000))
	for b.Loop() {
		publish(tl, "2026-01-01")
	}
}
