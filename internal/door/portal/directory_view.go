package portal

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// capital begins a text with a capital letter.
func capital(s string) string {
	if s == "" {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// countryName is what a country is called.
func countryName(code string) string {
	if r, err := language.ParseRegion(code); err == nil {
		return display.English.Regions().Name(r)
	}
	return cmp.Or(code, "Country not said")
}

// valueLabel is what a value of a facet is called on pages: in plain words where there are some.
func valueLabel(f directory.Facet, v string) string {
	switch f {
	case directory.FacetDisease:
		if c, ok := directory.ValueCode(v); ok {
			if c.System == vocabulary.Group {
				return capital(vocabulary.LayLabel(c))
			}
			return vocabulary.Label(c) + " (" + c.Value + ")"
		}
	case directory.FacetCountry:
		return countryName(v)
	case directory.FacetHolding:
		return map[string]string{"here": "On this node", "elsewhere": "Elsewhere, registered here", "peer": "At a peer"}[v]
	case directory.FacetImages:
		return "Something is released"
	case directory.FacetTimepoint:
		return capital(strings.ReplaceAll(v, "-", " "))
	}
	return directory.FacetLabel(f, v)
}

// facetView is a facet as the page shows it.
type facetView struct {
	Name, Key, Words string
	Open             bool
	Rows             []facetRow // those that are seen at once
	Rest             []facetRow // and those that are unfolded
	RestOpen         bool
	More             int
}

// facetRow is a value of a facet. Kinds are values below it.
type facetRow struct {
	Name, Value, Label, Title string
	People                    directory.Number
	Collections               int
	Share                     int
	Chosen                    bool
	Kinds                     []facetRow
	Open                      bool
}

// wholeBody is the SNOMED CT concept that every site lies within.
const wholeBody = "38266002"

// seenAtOnce is how many values of a facet are shown without unfolding.
const seenAtOnce = 7

// shut are facets that are folded until something of them is chosen.
var shut = map[directory.Facet]bool{directory.FacetTimepoint: true, directory.FacetService: true, directory.FacetPermission: true, directory.FacetLegalBasis: true, directory.FacetMaterial: true,
	directory.FacetAssociated: true, directory.FacetType: true, directory.FacetStatus: true, directory.FacetHolding: true, directory.FacetCustodian: true, directory.FacetFunder: true,
	directory.FacetCountry: true, directory.FacetStain: true, directory.FacetStage: true, directory.FacetImages: true, directory.FacetDomain: true}

func viewFacet(f directory.FacetCounts, q directory.Query) facetView {
	names := facetNames[f.Facet]
	v := facetView{Name: names[0], Key: string(f.Facet), Words: names[1], More: f.More, Open: !shut[f.Facet] || len(q.Filters[f.Facet]) > 0}
	rows := make([]facetRow, 0, len(f.Values))
	for _, c := range f.Values {
		if c.Value == wholeBody && !c.Chosen && f.Facet == directory.FacetBodySite && len(f.Values) > 1 {
			continue // everything lies within
		}
		rows = append(rows, facetRow{Name: string(f.Facet), Value: c.Value, Label: valueLabel(f.Facet, c.Value), Title: c.Label, People: c.People, Collections: c.Collections, Chosen: c.Chosen})
	}
	if f.Facet == directory.FacetDisease {
		rows = tree(rows)
	}
	slices.SortStableFunc(rows, byPeople)
	var most int64
	for _, r := range rows {
		most = max(most, r.People.Value)
	}
	measure(rows, most)
	v.Rows = rows
	if len(rows) > seenAtOnce+1 {
		v.Rows, v.Rest = rows[:seenAtOnce], rows[seenAtOnce:]
		v.RestOpen = slices.ContainsFunc(v.Rest, func(r facetRow) bool { return r.Chosen || r.Open })
	}
	return v
}

func byPeople(a, b facetRow) int {
	return cmp.Or(cmp.Compare(b.People.Value, a.People.Value), cmp.Compare(b.Collections, a.Collections))
}

func measure(rows []facetRow, most int64) {
	for i := range rows {
		rows[i].Share = share(rows[i].People.Value, most)
		measure(rows[i].Kinds, most)
	}
}

// tree puts groups of diseases below the broader ones. A group that lies in two is shown in the first. Codes that are chosen stand before it.
func tree(rows []facetRow) []facetRow {
	at := map[string]int{}
	for i, r := range rows {
		at[r.Value] = i
	}
	group := func(name string) vocabulary.Code { return vocabulary.Code{System: vocabulary.Group, Value: name} }
	placed := map[string]bool{directory.CodeValue(group("tumour")): true, directory.CodeValue(group("cancer")): true}
	var below func(c vocabulary.Code) []facetRow
	below = func(c vocabulary.Code) []facetRow {
		var out []facetRow
		for _, child := range vocabulary.Children(c) {
			v := directory.CodeValue(child)
			i, ok := at[v]
			if !ok || child.System != vocabulary.Group || placed[v] {
				continue
			}
			placed[v] = true
			r := rows[i]
			r.Title = formal(child)
			r.Kinds = below(child)
			slices.SortStableFunc(r.Kinds, byPeople)
			r.Open = slices.ContainsFunc(r.Kinds, func(k facetRow) bool { return k.Chosen || k.Open }) || r.Chosen && len(r.Kinds) > 0
			out = append(out, r)
		}
		return out
	}
	out := append(below(group("cancer")), below(group("tumour"))...)
	for _, r := range rows {
		if !placed[r.Value] && (r.Chosen || strings.HasPrefix(r.Value, string(vocabulary.Group)+":")) {
			out = append(out, r)
		} else if r.Chosen && (r.Value == "group:tumour" || r.Value == "group:cancer") {
			out = append(out, r)
		}
	}
	return out
}

// formal is what the clinic calls a disease, with its codes.
func formal(c vocabulary.Code) string {
	var codes []string
	for _, x := range vocabulary.Codes(c, vocabulary.ICD10) {
		codes = append(codes, x.Value)
	}
	if len(codes) == 0 || len(codes) > 8 {
		return vocabulary.Label(c)
	}
	return vocabulary.Label(c) + ", ICD-10 " + strings.Join(codes, ", ")
}

// brush is a histogram that filters.
type brush struct {
	Name, Key, Label string
	Bars             []brushBar
	Ticks            []brushTick
	From, To         []option
	Low, High        float64 // of what is chosen, in the drawing
	Chosen           bool
	ByCollection     bool // nobody is counted: bars are collections
	Text             string
}

type brushBar struct {
	X, Y, W, H string
	From, To   int
	On, Few    bool
	Label      string
}

type brushTick struct{ X, Text, Anchor string }

// The drawing of a histogram.
const (
	brushWide = 220.0
	brushHigh = 54.0
)

// brushOf draws a histogram; nil where there is nothing to choose from.
func brushOf(f directory.Facet, bins []directory.Bin, chosen *directory.Range) *brush {
	var list []directory.Bin
	for _, b := range bins { // what is of the same years is one bar: of an infant's first year there are three
		if n := len(list); n > 0 && list[n-1].From == b.From && list[n-1].To == b.To {
			list[n-1].People.Value += b.People.Value
			list[n-1].People.Known = list[n-1].People.Known || b.People.Known
			list[n-1].Collections = max(list[n-1].Collections, b.Collections)
			continue
		}
		list = append(list, b)
	}
	first := slices.IndexFunc(list, func(b directory.Bin) bool { return b.Collections > 0 })
	if first < 0 {
		return nil
	}
	last := len(list) - 1
	for list[last].Collections == 0 {
		last--
	}
	list = list[first : last+1]
	if f == directory.FacetYear {
		list = everyYear(list)
	}
	if len(list) < 2 {
		return nil
	}
	b := &brush{Name: facetNames[f][0], Key: string(f), Chosen: chosen != nil}
	var most int64
	for _, x := range list {
		most = max(most, x.People.Value)
	}
	if b.ByCollection = most == 0; b.ByCollection {
		for _, x := range list {
			most = max(most, int64(x.Collections))
		}
	}
	w := brushWide / float64(len(list))
	gap := min(1.5, w/5)
	number := func(x float64) string { return strconv.FormatFloat(x, 'f', 1, 64) }
	b.High = brushWide
	b.From, b.To = []option{{"", "any", chosen == nil}}, []option{{"", "any", chosen == nil}}
	for i, x := range list {
		n, what := x.People.Value, "people"
		if b.ByCollection {
			n, what = int64(x.Collections), "collections"
		}
		bar := brushBar{From: x.From, To: x.To, On: chosen == nil || x.From <= chosen.To && chosen.From <= x.To, X: number(float64(i)*w + gap/2), W: number(w - gap)}
		h := brushHigh * float64(n) / float64(max(most, 1))
		text := grouped(strconv.FormatInt(n, 10)) + " " + what
		if n == 0 {
			h, bar.Few, text = 6, true, "0–9 people"
			if b.ByCollection {
				text = "no collection"
			}
		}
		h = max(h, 2)
		bar.Y, bar.H = number(brushHigh-h), number(h)
		bar.Label = binLabel(f, x.From, x.To) + ": " + text
		b.Bars = append(b.Bars, bar)
		if chosen != nil && bar.On {
			if b.High == brushWide && b.Low == 0 && i > 0 && !b.Bars[i-1].On {
				b.Low = float64(i) * w
			}
			b.High = float64(i+1) * w
		}
		b.From = append(b.From, option{strconv.Itoa(x.From), strconv.Itoa(x.From), chosen != nil && chosen.From >= x.From && chosen.From <= x.To})
		b.To = append(b.To, option{strconv.Itoa(x.To), binEnd(f, x.To), chosen != nil && chosen.To >= x.From && chosen.To <= x.To})
	}
	if chosen != nil {
		b.Low = 0
		for i, bar := range b.Bars {
			if bar.On {
				b.Low = float64(i) * w
				break
			}
		}
		b.Label = spanLabel(f, *chosen)
	} else {
		b.Label = "any"
	}
	b.Text = b.Name + ", " + binLabel(f, list[0].From, list[len(list)-1].To) + ": a histogram of " + strconv.Itoa(len(list)) + " bars"
	for _, k := range tickAt(len(list)) {
		t := brushTick{X: number((float64(k) + .5) * w), Text: strconv.Itoa(list[k].From), Anchor: "middle"}
		switch {
		case k == 0:
			t.X, t.Anchor = "0", "start"
		case k == len(list)-1:
			t.X, t.Anchor = number(brushWide), "end"
		}
		b.Ticks = append(b.Ticks, t)
	}
	return b
}

// everyYear fills years of which nothing is told.
func everyYear(list []directory.Bin) []directory.Bin {
	var out []directory.Bin
	for _, b := range list {
		for n := len(out); n > 0 && out[n-1].From+1 < b.From; n++ {
			y := out[n-1].From + 1
			out = append(out, directory.Bin{Value: strconv.Itoa(y), From: y, To: y})
		}
		out = append(out, b)
	}
	return out
}

// tickAt are the bars that are named below: at most five, evenly apart.
func tickAt(n int) []int {
	if n <= 5 {
		out := make([]int, n)
		for i := range out {
			out[i] = i
		}
		return out
	}
	var out []int
	for i := range 5 {
		out = append(out, i*(n-1)/4)
	}
	return out
}

func binEnd(f directory.Facet, to int) string {
	if f == directory.FacetAge && to >= 120 {
		return "90+"
	}
	return strconv.Itoa(to)
}

func binLabel(f directory.Facet, from, to int) string {
	switch {
	case f == directory.FacetAge && to >= 120:
		return strconv.Itoa(from) + " and over"
	case from == to:
		return strconv.Itoa(from)
	}
	return strconv.Itoa(from) + " to " + strconv.Itoa(to)
}

// card is a collection in a list.
type card struct {
	ID        directory.ID
	Title     string
	Custodian string
	Place     string
	Facts     []cardFact
	Tags      []string
	Access    string
	Icon      string
	Open      bool
	Ages      *spark
	AgeText   string
	End       string
	Fit       directory.Number // of its people, how many fit the query at most; unknown where that says nothing new
	Years     string
	People    directory.Number
	Studies   directory.Number
	Chosen    bool          // on the shortlist
	Pictures  []cardPicture // that a steward picked
	Drawings  []string      // names of motifs
	Elsewhere bool
}

// cardPicture is one of a collection's pictures, side by side with the others in its glass.
type cardPicture struct {
	Address string
	Tall    bool
}

type cardFact struct {
	Number directory.Number
	Text   string // in place of a number
	Name   string
}

// spark is a little histogram as two paths: what is counted, and what is small.
type spark struct{ Many, Few string }

// accessWords are how access conditions are said on a card.
var accessWords = map[string][2]string{"open-to-applicants": {"On request", "lock"}, "open-calls": {"In calls", "wait"}, "collaboration": {"In collaboration", "person"}, "data-only": {"Data on request", "lock"},
	"restricted": {"Not at present", "lock"}, "closed": {"Closed", "bad"}}

// serviceWords are how collections are served, on a card.
var serviceWords = map[string]string{"tre": "trusted environment", "download": "download", "open": "download now", "varies": "varies by project", "federated": "federated analysis"}

func cardOf(s *directory.Stored, c directory.Card, fit directory.Number, chosen bool) card {
	e := &s.Entry
	v := card{ID: s.ID, Title: e.Title, Custodian: e.Custodian.Name, Chosen: chosen, People: c.Counts.People, Studies: c.Counts.Studies, Years: years(e), Elsewhere: e.Holding != directory.Here,
		Drawings: drawings(e)}
	if e.Custodian.Country != "" {
		v.Place = countryName(e.Custodian.Country)
	}
	if fit.Known && fit.Value < c.Counts.People.Value {
		v.Fit = fit
	}
	words := accessWords[e.Access.Condition]
	v.Access, v.Icon = words[0], words[1]
	if e.Access.Service == "open" {
		v.Access, v.Icon, v.Open = "Open", "open", true
	}
	for _, f := range []cardFact{{Number: c.Counts.People, Name: "people"}, {Number: c.Counts.Studies, Name: "studies"}, {Number: c.Counts.Images, Name: "images"}} {
		if f.Number.Known && len(v.Facts) < 2 {
			v.Facts = append(v.Facts, f)
		}
	}
	if v.Years != "" {
		v.Facts = append(v.Facts, cardFact{Text: v.Years, Name: "years"})
	}
	if len(v.Facts) < 3 && len(e.Scanners) > 0 {
		v.Facts = append(v.Facts, cardFact{Text: strconv.Itoa(len(e.Scanners)), Name: "scanners"})
	}
	v.Tags = tags(e)
	v.Ages, v.AgeText = sparkOf(c.Numbers)
	if v.AgeText == "" && e.AgeMin != nil && e.AgeMax != nil {
		v.AgeText = fmt.Sprintf("%d to %d years", *e.AgeMin, *e.AgeMax)
	}
	switch {
	case e.Access.LeadTime != "" && e.Access.LeadTime != "not-applicable" && e.Access.LeadTime != "variable" && e.Access.LeadTime != "other":
		v.End = "data in " + strings.ToLower(vocabulary.DeliveryLeadTime.Label(e.Access.LeadTime))
	case e.Access.Service != "":
		v.End = serviceWords[e.Access.Service]
	}
	return v
}

// years are from when to when images are.
func years(e *directory.Entry) string {
	switch {
	case len(e.Start) < 4:
		return ""
	case len(e.End) < 4:
		return "from " + e.Start[:4]
	case e.Start[:4] == e.End[:4]:
		return e.Start[:4]
	}
	return e.Start[:4] + "–" + e.End[:4]
}

// tags are a few short words of what is in a collection.
func tags(e *directory.Entry) []string {
	var out []string
	out = append(out, e.Modalities[:min(len(e.Modalities), 3)]...)
	for _, c := range e.Conditions {
		l := capital(vocabulary.LayLabel(c))
		if !slices.Contains(out, l) && utf8.RuneCountInString(l) <= 24 {
			out = append(out, l)
			break
		}
	}
	if n := len(e.Timepoints); n > 1 {
		out = append(out, strconv.Itoa(n)+" visits")
	}
	if len(e.Stains) > 0 {
		out = append(out, vocabulary.Stain.Label(e.Stains[0]))
	}
	if len(e.AssociatedData) > 0 {
		out = append(out, plural(len(e.AssociatedData), "kind of other data", "kinds of other data"))
	}
	out = slices.DeleteFunc(out, func(s string) bool { return utf8.RuneCountInString(s) > 26 })
	return out[:min(len(out), 5)]
}

// sparkOf draws ages as a little histogram, from published numbers.
func sparkOf(n *directory.Numbers) (*spark, string) {
	if !n.Tells(directory.ByAge) || len(n.Cells[directory.ByAge]) == 0 {
		return nil, ""
	}
	var most int64
	for _, x := range n.Cells[directory.ByAge] {
		most = max(most, x)
	}
	var many, few strings.Builder
	var first, last string
	i := 0
	for _, band := range directory.Grid(directory.ByAge) {
		if band == directory.AgeUnknown || strings.Contains(band, "days") || strings.Contains(band, "months") {
			continue
		}
		people := n.Cells[directory.ByAge][band]
		at, h := &few, 1.5
		if people > 0 {
			at, h = &many, max(2, 22*float64(people)/float64(most))
			if last = band; first == "" {
				first = band
			}
		}
		fmt.Fprintf(at, "M%.1f 22v-%.1fh3.6v%.1fz", float64(i)*4.4, h, h)
		i++
	}
	if first == "" {
		return nil, ""
	}
	from, _, _ := strings.Cut(first, "-")
	_, to, _ := strings.Cut(last, "-")
	return &spark{many.String(), few.String()}, from + " to " + strings.Replace(to, "over", "90 and over", 1) + " years"
}

// Width is how wide what is chosen is, in the drawing.
func (b *brush) Width() float64 { return b.High - b.Low }
