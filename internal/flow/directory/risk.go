package directory

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/risk"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// MostAlike bounds how many people are asked to be alike.
const MostAlike = 1000

// Risk says how far the people of a collection are alike in what is told of them: each class of people of whom the same is told should have k of them. It is of what is
// admitted or released, with the facts that are known besides, each person once.
func (d *Desk) Risk(ctx context.Context, who admin.Caller, c collection.ID, k int) (*risk.Report, error) {
	if err := d.allowed(ctx, who, policy.ManageCollection, string(c), "collection "+string(c)); err != nil {
		return nil, err
	}
	if k < 2 || k > MostAlike {
		return nil, fault.New(fault.Invalid, "measure risk", "collection "+string(c), "ask for classes of 2 to 1,000 people")
	}
	if _, err := d.Collections.Get(ctx, c); err != nil {
		return nil, err
	}
	known := map[subject.ID]clinical.Facts{}
	if err := d.Clinical.Each(ctx, c, func(id subject.ID, f clinical.Facts) error { known[id] = f; return nil }); err != nil {
		return nil, err
	}
	devices := map[subject.ID][]string{}
	err := d.Catalogue.EachDevice(ctx, c, func(id subject.ID, device string) error { devices[id] = append(devices[id], device); return nil })
	if err != nil {
		return nil, err
	}
	var people []risk.Person
	err = d.Catalogue.EachPerson(ctx, c, func(p *catalogue.Person) error {
		f := known[p.Subject]
		people = append(people, quasi(p, &f, devices[p.Subject]))
		return nil
	})
	if err != nil {
		return nil, err
	}
	report := risk.Measure(quasiIdentifiers, people, k)
	report.Faces, err = d.faces(ctx, c)
	return report, err
}

// Faces counts the series of a collection that could show a face, by what was found in their pixels, of what is admitted or released: for who manages it.
func (d *Desk) Faces(ctx context.Context, who admin.Caller, c collection.ID) (*risk.Faces, error) {
	if err := d.allowed(ctx, who, policy.ManageCollection, string(c), "collection "+string(c)); err != nil {
		return nil, err
	}
	return d.faces(ctx, c)
}

func (d *Desk) faces(ctx context.Context, c collection.ID) (*risk.Faces, error) {
	n, err := d.Catalogue.Faces(ctx, c)
	if err != nil {
		return nil, err
	}
	return &risk.Faces{Could: n.Could(), Found: n.Faces, Unsure: n.Unsure, Unknown: n.Unknown, None: n.None}, nil
}

// quasi is what is told of a person, in the order of quasiIdentifiers.
func quasi(p *catalogue.Person, f *clinical.Facts, devices []string) risk.Person {
	c := counted(p, f)
	age := ""
	if f.Age != nil {
		age = strconv.Itoa(*f.Age)
	}
	ethnic := ""
	var days []string
	var first time.Time
	for _, s := range p.Studies {
		if age == "" {
			if m := months(s.Age); m >= 0 {
				age = strconv.Itoa(m / 12)
			}
		}
		if ethnic == "" {
			ethnic = s.Ethnic
		}
		at, err := time.Parse("20060102", s.Date)
		if err != nil {
			continue
		}
		if first.IsZero() {
			first = at
		}
		days = append(days, strconv.Itoa(int(at.Sub(first).Hours()/24)))
	}
	diagnoses := make([]string, len(f.Diagnoses))
	for i, code := range f.Diagnoses {
		diagnoses[i] = code.Value
	}
	return risk.Person{c.Sex, age, joined(diagnoses), f.Stage, strings.Join(slices.Compact(days), " "), joined(devices), ethnic}
}

// joined is a set of values as one.
func joined(values []string) string {
	values = slices.Clone(values)
	slices.Sort(values)
	return strings.Join(slices.Compact(values), "; ")
}

// quasiIdentifiers are what somebody may know of a person who is in a collection. Dates themselves have been moved, so that what is left of them is how far they lie apart.
var quasiIdentifiers = []risk.Field{
	{Name: "sex", Levels: []risk.Level{{Name: "as it is"}, risk.LeftOut}},
	{Name: "age", Levels: []risk.Level{{Name: "in years"}, {Name: "in bands of five years", Of: band(5)}, {Name: "in bands of ten years", Of: band(10)}, risk.LeftOut}},
	{Name: "diagnosis", Levels: []risk.Level{{Name: "as coded"}, {Name: "by category, the three characters before the point", Of: each("; ", func(s string) string { s, _, _ = strings.Cut(s, "."); return s })},
		{Name: "by chapter, the first letter", Of: each("; ", func(s string) string { return s[:min(1, len(s))] })}, risk.LeftOut}},
	{Name: "stage", Levels: []risk.Level{{Name: "as it is"}, {Name: "without its letter", Of: func(s string) string { return strings.TrimRight(s, "ABCabc123456789") }}, risk.LeftOut}},
	{Name: "examinations", Levels: []risk.Level{{Name: "in days from the first"}, {Name: "in weeks from the first", Of: each(" ", over(7))}, {Name: "in months from the first", Of: each(" ", over(30))},
		{Name: "how many", Of: func(s string) string { return strconv.Itoa(len(strings.Fields(s))) }}, risk.LeftOut}},
	{Name: "device", Levels: []risk.Level{{Name: "by maker and model"}, {Name: "by maker", Of: each("; ", func(s string) string { s, _, _ = strings.Cut(s, ", "); return s })}, risk.LeftOut}},
	{Name: "ethnic group", Levels: []risk.Level{{Name: "as it is"}, risk.LeftOut}},
}

func band(years int) func(string) string {
	return func(s string) string {
		n, err := strconv.Atoi(s)
		if err != nil {
			return ""
		}
		return strconv.Itoa(n/years*years) + " to " + strconv.Itoa(n/years*years+years-1)
	}
}

func over(n int) func(string) string {
	return func(s string) string {
		v, err := strconv.Atoi(s)
		if err != nil {
			return ""
		}
		return strconv.Itoa(v / n)
	}
}

// each applies to each part of a set, of which equal parts are one.
func each(sep string, of func(string) string) func(string) string {
	return func(s string) string {
		if s == "" {
			return ""
		}
		parts := strings.Split(s, sep)
		for i, p := range parts {
			parts[i] = of(p)
		}
		return strings.Join(slices.Compact(parts), sep)
	}
}
