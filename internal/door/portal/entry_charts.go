package portal

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"

	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// section is a chart of what a collection holds. Either rows are drawn, or columns in order.
type section struct {
	Title    string
	Rows     []chartRow
	Columns  template.HTML // an SVG
	Withheld string        // in place of a chart: why there is none
	Wide     bool
}

// chartRow is a number of people with its name. Fewer than ten and none are the same stub, whose size says nothing.
type chartRow struct {
	Label, Lay, Code string
	Value            string
	Few              bool
	Width            string // of 100
	Class            string
}

// withheldWords are what is said of a dimension that is not told.
const withheldWords = "Not told: together with the other numbers it would show a group of fewer than ten."

// heldOf draws what is held, from published numbers alone.
func heldOf(e *directory.Entry, v *directoryflow.View) (charts []section, note, asOf string) {
	n := v.Numbers
	if n == nil {
		switch {
		case e.Holding == directory.Here:
			return nil, "People have not been counted yet: they are, once every night.", ""
		case v.Counts.People.Known:
			return nil, "As the custodian states it, rounded to ten.", v.Counts.AsOf
		}
		return nil, "The custodian states no numbers.", ""
	}
	add := func(s section, d directory.Dimension) {
		if !n.Tells(d) {
			s.Rows, s.Columns, s.Withheld = nil, "", withheldWords
		}
		if s.Withheld != "" || len(s.Rows) > 0 || s.Columns != "" {
			charts = append(charts, s)
		}
	}
	add(section{Title: "Sex", Rows: rowsOf(n, directory.BySex, e.Sexes, func(id string) chartRow {
		class := map[string]string{"female": "d3", "male": "d2"}[id]
		return chartRow{Label: vocabulary.Sex.Label(id), Class: class}
	})}, directory.BySex)
	add(section{Title: "Age at the first images", Columns: ageColumns(e, n)}, directory.ByAge)
	add(section{Title: "Disease", Wide: true, Rows: rowsOf(n, directory.ByDisease, diseaseGroups(e), func(id string) chartRow {
		switch id {
		case directory.DiseaseOther:
			return chartRow{Label: "Another disease", Class: "d0"}
		case directory.DiseaseUnknown:
			return chartRow{Label: "Not recorded", Class: "d0"}
		}
		c := vocabulary.Code{System: vocabulary.Group, Value: id}
		r := chartRow{Label: vocabulary.Label(c), Lay: vocabulary.LayLabel(c)}
		if strings.EqualFold(r.Lay, r.Label) {
			r.Lay = ""
		}
		return r
	})}, directory.ByDisease)
	add(section{Title: "Kind of image", Rows: rowsOf(n, directory.ByModality, e.Modalities, func(id string) chartRow {
		r := chartRow{Label: capital(vocabulary.Modality.LayLabel(id)), Code: id}
		if id == directory.OtherModality {
			r.Class = "d0"
		}
		return r
	})}, directory.ByModality)
	add(section{Title: "Who was imaged at which visit", Rows: rowsOf(n, directory.ByTimepoint, nil, func(id string) chartRow {
		return chartRow{Label: visitName(id)}
	})}, directory.ByTimepoint)
	add(section{Title: "Year of images, shifted", Columns: yearColumns(n)}, directory.ByYear)
	return charts, "People, rounded to ten; hatched is 0–9 and may be none. One division at a time: no two are crossed, so that no small group shows.", n.AsOf
}

// diseaseGroups are the groups that the entry itself names.
func diseaseGroups(e *directory.Entry) []string {
	var out []string
	for _, c := range e.Conditions {
		if g := vocabulary.Groups(c); len(g) > 0 && !slices.Contains(out, g[0].Value) {
			out = append(out, g[0].Value)
		}
	}
	return out
}

func visitName(id string) string {
	if k, ok := strings.CutPrefix(id, "visit-"); ok {
		if id == directory.LaterVisit {
			return "12th and later days"
		}
		return "Day " + k + " of images"
	}
	return capital(strings.ReplaceAll(id, "-", " "))
}

// rowsOf are the values of ten people and more, and those that the entry says it has: of these, too, fewer than ten look like none.
func rowsOf(n *directory.Numbers, d directory.Dimension, stated []string, name func(id string) chartRow) []chartRow {
	var most int64
	for _, v := range directory.Grid(d) {
		most = max(most, n.Number(d, v).Value)
	}
	var out []chartRow
	var sizes []int64
	for _, v := range directory.Grid(d) {
		x := n.Number(d, v)
		if x.Withheld && !slices.Contains(stated, v) {
			continue
		}
		r := name(v)
		if r.Class == "" {
			r.Class = "d1"
		}
		if r.Few = x.Withheld; !r.Few {
			r.Value = grouped(strconv.FormatInt(x.Value, 10))
			r.Width = strconv.FormatFloat(100*float64(x.Value)/float64(most), 'f', 1, 64)
		}
		out, sizes = append(out, r), append(sizes, x.Value)
	}
	if d == directory.ByDisease || d == directory.ByModality { // the order of the others means something
		order := make([]int, len(out))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return int(sizes[b] - sizes[a]) })
		sorted := make([]chartRow, len(out))
		for i, k := range order {
			sorted[i] = out[k]
		}
		return sorted
	}
	return out
}

// column is one of a chart of columns in order.
type column struct {
	label  string
	number directory.Number
}

// ageColumns are bands of five years from the youngest to the oldest that there are, or that the entry speaks of.
func ageColumns(e *directory.Entry, n *directory.Numbers) template.HTML {
	var all []column
	first, last := -1, -1
	for _, id := range directory.Grid(directory.ByAge) {
		t, ok := vocabulary.AgeBin.Get(id)
		low, high, bounded := t.Bounds()
		switch {
		case id == directory.AgeUnknown || ok && !bounded:
			continue
		case id == directory.AgeOver:
			low, high = 90*12, 1<<30
		}
		x := n.Number(directory.ByAge, id)
		stated := e.AgeMin != nil && e.AgeMax != nil && high > int64(*e.AgeMin)*12 && low <= int64(*e.AgeMax)*12
		if !x.Withheld || stated {
			if first < 0 {
				first = len(all)
			}
			last = len(all)
		}
		label := strings.Replace(strings.TrimSuffix(id, "-months"), "-", "–", 1)
		switch id {
		case directory.AgeOver:
			label = "90+"
		case "1-11-months":
			label = "<1"
		}
		all = append(all, column{label, x})
	}
	if first < 0 {
		return ""
	}
	return columns(all[first:last+1], "People by age")
}

func yearColumns(n *directory.Numbers) template.HTML {
	var all []column
	first, last := -1, -1
	for _, id := range directory.Grid(directory.ByYear) {
		if id == directory.YearUnknown {
			continue
		}
		x := n.Number(directory.ByYear, id)
		if !x.Withheld {
			if first < 0 {
				first = len(all)
			}
			last = len(all)
		}
		all = append(all, column{id, x})
	}
	if first < 0 {
		return ""
	}
	return columns(all[first:last+1], "People by year of images")
}

// columns draws numbers in order. What is said to who does not see it is what the picture says: 0 to 9 where it is hatched.
func columns(all []column, name string) template.HTML {
	const width, height, base = 360.0, 150.0, 128.0
	var most int64
	said := make([]string, len(all))
	for i, c := range all {
		most = max(most, c.number.Value)
		if c.number.Withheld {
			said[i] = c.label + ": 0 to 9"
		} else {
			said[i] = c.label + ": " + grouped(strconv.FormatInt(c.number.Value, 10))
		}
	}
	if len(said) > 40 {
		said = said[:40]
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="ch" viewBox="0 0 %g %g" role="img" aria-label="%s">`, width, height, template.HTMLEscapeString(name+". "+strings.Join(said, "; ")+"."))
	const top = 16.0
	step := niceStep(most)
	for k := step; k <= most; k += step {
		y := base - (base-top)*float64(k)/float64(most)
		fmt.Fprintf(&b, `<line class="gr" x1="0" x2="%g" y1="%.1f" y2="%.1f"/>`, width, y, y)
		if len(all) > 12 {
			fmt.Fprintf(&b, `<text x="0" y="%.1f">%s</text>`, y-3, grouped(strconv.FormatInt(k, 10)))
		}
	}
	slot := min((width-4)/float64(len(all)), 46)
	every := 1
	for float64(every)*slot < 34 {
		every++
	}
	for i, c := range all {
		x := 2 + float64(i)*slot
		w := slot - 3
		middle := x + w/2
		if c.number.Withheld {
			fmt.Fprintf(&b, `<rect class="stub" x="%.1f" y="%g" width="%.1f" height="8" fill="url(#few)"/>`, x, base-8, w)
		} else {
			h := (base - top) * float64(c.number.Value) / float64(max(most, 1))
			fmt.Fprintf(&b, `<rect class="d1" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="1.5"/>`, x, base-h, w, h)
			if len(all) <= 12 {
				fmt.Fprintf(&b, `<text class="m" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, middle, base-h-4, grouped(strconv.FormatInt(c.number.Value, 10)))
			}
		}
		if i%every == 0 {
			fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle">%s</text>`, middle, base+15, template.HTMLEscapeString(c.label))
		}
	}
	fmt.Fprintf(&b, `<line class="ax" x1="0" x2="%g" y1="%g" y2="%g"/></svg>`, width, base+.5, base+.5)
	return template.HTML(b.String()) //nolint:gosec // numbers, and labels that are escaped
}

// niceStep is a step of 1, 2 or 5 times a power of ten that gives three lines or so.
func niceStep(most int64) int64 {
	step := int64(10)
	for _, k := range []int64{20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000} {
		if most/step <= 4 {
			break
		}
		step = k
	}
	return step
}
