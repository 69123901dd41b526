package risk

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	sex = Field{"sex", []Level{{Name: "as it is"}, LeftOut}}
	age = Field{"age", []Level{{Name: "in years"}, {Name: "in bands of ten years", Of: func(v string) string {
		n, err := strconv.Atoi(v)
		if err != nil {
			return ""
		}
		return strconv.Itoa(n / 10 * 10)
	}}, LeftOut}}
	device = Field{"device", []Level{{Name: "by model"}, LeftOut}}
)

func TestMeasure(t *testing.T) {
	people := []Person{{"F", "51", "A"}, {"F", "52", "A"}, {"F", "53", "A"}, {"M", "61", "A"}, {"M", "62", "A"}, {"M", "62", "B"}}
	r := Measure([]Field{sex, age, device}, people, 3)
	want := &Report{
		People: 6, Fields: []string{"sex", "age", "device"}, Wanted: 3, Smallest: 1, Below: 6, Alone: 6,
		Classes: []Class{{[]string{"F", "51", "A"}, 1}, {[]string{"F", "52", "A"}, 1}, {[]string{"F", "53", "A"}, 1}, {[]string{"M", "61", "A"}, 1}, {[]string{"M", "62", "A"}, 1}, {[]string{"M", "62", "B"}, 1}},
		Tells:   []Tell{{[]string{"age"}, 4}, {[]string{"device"}, 1}, {[]string{"age", "device"}, 1}},
		Mend:    &Mend{Steps: []Step{{"age", "in years", "in bands of ten years"}, {"device", "by model", "left out"}}, Smallest: 3},
	}
	if d := cmp.Diff(want, r); d != "" {
		t.Error(d)
	}
}

// What is asked for is there: nothing has to be mended.
func TestAlike(t *testing.T) {
	people := []Person{{"F", "51", "A"}, {"F", "51", "A"}, {"F", "51", "A"}}
	r := Measure([]Field{sex, age, device}, people, 3)
	if r.Smallest != 3 || r.Below != 0 || r.Alone != 0 || r.Mend != nil || len(r.Classes) != 0 || len(r.Tells) != 0 {
		t.Errorf("%+v", r)
	}
	if r := Measure([]Field{sex}, nil, 5); r.Smallest != 0 || r.Below != 0 || r.Mend != nil {
		t.Errorf("of nobody: %+v", r)
	}
	// Fewer people than are asked for: no level helps.
	r = Measure([]Field{sex, age}, []Person{{"F", "51"}, {"M", "60"}}, 3)
	if r.Mend == nil || r.Mend.Below != 2 {
		t.Errorf("of two people: %+v", r.Mend)
	}
}

// Whatever the people, the report agrees with a count made otherwise, in any order of theirs; with what it says mends them, nobody is in a smaller class than it says.
func TestAgrees(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	fields := []Field{sex, age, device}
	for range 60 {
		people := make([]Person, 1+rng.IntN(80))
		for i := range people {
			people[i] = Person{[]string{"F", "M", ""}[rng.IntN(3)], strconv.Itoa(40 + rng.IntN(30)), string(rune('A' + rng.IntN(3)))}
		}
		k := 2 + rng.IntN(5)
		r := Measure(fields, people, k)
		count := func(levels [3]int) (below, smallest int) {
			classes := map[string]int{}
			for _, p := range people {
				name := ""
				for f := range fields {
					v := p[f]
					if of := fields[f].Levels[levels[f]].Of; of != nil {
						v = of(v)
					}
					name += fmt.Sprintf("%q", v)
				}
				classes[name]++
			}
			for _, n := range classes {
				if n < k {
					below += n
				}
				if smallest == 0 || n < smallest {
					smallest = n
				}
			}
			return below, smallest
		}
		if below, smallest := count([3]int{}); below != r.Below || smallest != r.Smallest {
			t.Fatalf("counted %d below and %d smallest; reported %d and %d", below, smallest, r.Below, r.Smallest)
		}
		if r.Mend != nil {
			var levels [3]int
			for _, s := range r.Mend.Steps {
				f := slices.Index(r.Fields, s.Field)
				levels[f] = slices.IndexFunc(fields[f].Levels, func(l Level) bool { return l.Name == s.Then })
			}
			below, smallest := count(levels)
			if below != r.Mend.Below || smallest != r.Mend.Smallest || below > r.Below {
				t.Fatalf("mended, %d are below and %d is the smallest; reported %+v", below, smallest, r.Mend)
			}
			if len(people) >= k && below > 0 {
				t.Fatalf("it could be mended by leaving everything out")
			}
		}
		if m := r.Spare; m != nil && (m.Below > len(people)/20 || len(m.Steps) > len(r.Mend.Steps)+1) {
			t.Fatalf("the gentler way leaves out %d of %d: %+v, beside %+v", m.Below, len(people), m.Steps, r.Mend.Steps)
		}
		rng.Shuffle(len(people), func(i, j int) { people[i], people[j] = people[j], people[i] })
		if d := cmp.Diff(r, Measure(fields, people, k)); d != "" {
			t.Fatalf("in another order: %s", d)
		}
	}
}

func BenchmarkMeasure(b *testing.B) {
	rng := rand.New(rand.NewPCG(4, 2))
	people := make([]Person, 100_000)
	for i := range people {
		people[i] = Person{[]string{"F", "M"}[rng.IntN(2)], strconv.Itoa(30 + rng.IntN(60)), strconv.Itoa(rng.IntN(40))}
	}
	for b.Loop() {
		Measure([]Field{sex, age, device}, people, 5)
	}
}
