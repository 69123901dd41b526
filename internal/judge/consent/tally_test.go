package consent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/judge/headcount"
)

// Every collection of up to 24 people is gone through, with what they say of two uses. Whoever sees what is told of one, and knows how it was decided, can take every number that looks small for
// anything from 0 to 9.
func TestSummaryTellsOfNoFew(t *testing.T) {
	type cells [7]int64 // of research, and of commercial use: refused, unknown, permitted; withdrawn
	type sight [8]int64 // as they are told, and the number of people; -1: withheld
	type span struct{ low, high cells }
	possible := map[sight]*span{}
	fresh := func(is cells) sight {
		tally := Tally{people: is[0] + is[1] + is[2] + is[6], withdrawn: is[6]}
		for k := range tally.by {
			tally.by[k] = [3]int64{is[0], is[1], is[2]}
		}
		tally.by[Commercial.at()] = [3]int64{is[3], is[4], is[5]}
		s := tally.Summary()
		if s.Withheld {
			return sight{-1, -1, -1, -1, -1, -1, -1, s.People}
		}
		r, c := s.Uses[Research.at()], s.Uses[Commercial.at()]
		return sight{r.Refuse, r.Unknown, r.Permit, c.Refuse, c.Unknown, c.Permit, s.Withdrawn, s.People}
	}
	// What is told depends on rounded numbers alone, which are few.
	known, asked := map[sight]sight{}, 0
	look := func(is cells) sight {
		var round sight
		for i, n := range is {
			round[i] = headcount.Tell(n)
		}
		round[7] = headcount.Tell(is[0] + is[1] + is[2] + is[6])
		at, ok := known[round]
		if asked++; !ok || asked%101 == 0 {
			was := at
			if at = fresh(is); ok && at != was {
				t.Fatalf("%v and others that are rounded like it are told as %v and %v", is, at, was)
			}
			known[round] = at
		}
		return at
	}
	const most = 24
	for left := range int64(most + 1) {
		for gone := range most + 1 - left {
			for a := range left + 1 {
				for b := range left + 1 - a {
					for c := range left + 1 {
						for d := range left + 1 - c {
							is := cells{a, b, left - a - b, c, d, left - c - d, gone}
							at := look(is)
							p := possible[at]
							if p == nil {
								p = &span{is, is}
								possible[at] = p
							}
							for i, n := range is {
								p.low[i], p.high[i] = min(p.low[i], n), max(p.high[i], n)
							}
						}
					}
				}
			}
		}
	}
	checked, withheld := 0, 0
	for at, p := range possible {
		if at[7] > 20 {
			continue // there are more that look like this than were gone through
		}
		for i, n := range at[:7] {
			switch n {
			case -1:
				withheld++
			case 0:
				if checked++; p.low[i] > 0 || p.high[i] < 9 {
					t.Fatalf("%v: number %d is from %d to %d in every world that looks like this", at, i, p.low[i], p.high[i])
				}
			}
		}
	}
	if checked < 20 || withheld < 6 {
		t.Errorf("%d numbers were looked at, %d are withheld", checked, withheld)
	}
	t.Logf("%d publications, %d small numbers", len(possible), checked)
}

func TestSummaryWords(t *testing.T) {
	say := func(people, withdrawn int64, research, commercial [3]int64) Summary {
		tally := Tally{people: people, withdrawn: withdrawn}
		for k := range tally.by {
			tally.by[k] = research
		}
		tally.by[Commercial.at()] = commercial
		return tally.Summary()
	}
	s := say(644, 4, [3]int64{4, 33, 603}, [3]int64{87, 153, 400})
	got := strings.Join(s.Words(), "\n")
	for _, want := range []string{"There are 640 people.", "Of these, fewer than 10 have withdrawn", "Companies and profit: 400 permit it, 150 have to be looked at by a person, 90 do not permit it.",
		"Research: 600 permit it, 30 have to be looked at by a person, fewer than 10 do not permit it."} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\ndoes not say %q", got, want)
		}
	}
	if few := say(6, 2, [3]int64{0, 0, 4}, [3]int64{4, 0, 0}); len(few.Words()) != 1 || few.People != 0 {
		t.Errorf("%+v is said as %q", few, few.Words())
	}
	if a, b := say(0, 0, [3]int64{}, [3]int64{}), say(9, 3, [3]int64{1, 2, 3}, [3]int64{6, 0, 0}); fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("nobody and nine people are told apart: %+v, %+v", a, b)
	}
	if all := say(1000, 0, [3]int64{0, 0, 1000}, [3]int64{0, 0, 1000}); all.Uses[0].Withheld || all.Uses[0].Permit != 1000 {
		t.Errorf("that everybody permits it is not told: %+v", all)
	}
	// 10, 25 and 25 are told as 10 (10 to 14), 30 and 30 (25 to 34): at least 60 of 55 to 64, so that at most four have withdrawn.
	if three := say(60, 0, [3]int64{10, 25, 25}, [3]int64{10, 25, 25}); !three.Uses[0].Withheld {
		t.Errorf("how few have withdrawn can be worked out: %+v", three)
	}
	if alone := say(100, 0, [3]int64{95, 0, 5}, [3]int64{0, 0, 100}); !alone.Uses[0].Withheld && alone.Uses[0].Permit != 0 {
		t.Errorf("five people are told: %+v", alone)
	}
}

// People are counted by what they say of each use alone; whoever has withdrawn counts as that.
func TestTally(t *testing.T) {
	f := Facts{Bases: []Basis{{Kind: ByConsent}}, Country: "GB", Now: endless}
	var tally Tally
	for _, e := range []Event{{Grants: []Use{Research, Commercial}}, {Denies: []Use{Research}, Grants: []Use{Commercial}}, {Withdrawal: FromUse, Grants: []Use{Research}}, {}} {
		e.At = endless.AddDate(-1, 0, 0)
		f.Events = []Event{e}
		s := Stand(f)
		tally.Add(&s)
	}
	if r, c := tally.by[Research.at()], tally.by[Commercial.at()]; tally.people != 4 || tally.withdrawn != 1 || r[datause.Permit] != 1 || r[datause.Deny] != 1 || r[datause.Review] != 1 || c[datause.Permit] != 2 || c[datause.Review] != 1 {
		t.Errorf("%+v", tally)
	}
}
