package offline

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
)

// settle is what lies between the passes: each subject's lexicon is complete now, inputs with one SOP Instance UID are told apart, and everything gets its
// name. It works on what the inputs are, not on their order.
func (r *run) settle() {
	for _, p := range r.people {
		terms := p.teacher.Lexicon().Terms()
		slices.SortFunc(terms, func(a, b deid.Term) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Text, b.Text)) })
		lex, err := (&deid.Lexicon{}).With(terms...)
		p.lexicon, p.overflow, p.teacher = lex, p.overflow || err != nil, nil
	}
	var order []int
	for i := range r.items {
		it := &r.items[i]
		if it.person == nil || it.result.Outcome != "" {
			continue
		}
		if it.person.overflow {
			it.hold("lexicon", "", "its subject has more identifiers than can be looked for")
			continue
		}
		order = append(order, i)
	}
	r.twins(order)
	r.name(order)
}

// twins finds inputs with one SOP Instance UID: the same data set twice is written once; different ones are all held, for nobody can say which is right.
func (r *run) twins(order []int) {
	groups := map[string][]int{}
	for _, i := range order {
		groups[r.items[i].sop] = append(groups[r.items[i].sop], i)
	}
	for _, g := range groups {
		if len(g) < 2 {
			continue
		}
		var first [32]byte
		same := true
		for k, i := range g {
			sum, err := fingerprint(r.Inputs[i].Path)
			if err != nil {
				same = false
				break
			}
			if k == 0 {
				first = sum
			}
			same = same && sum == first
		}
		for k, i := range g {
			switch {
			case !same:
				r.items[i].hold("conflict", dicom.TagSOPInstanceUID.String(), "other inputs have the same SOP Instance UID and other content; keep one of them")
			case k > 0:
				r.items[i].same = g[0] + 1
			}
		}
	}
}

// fingerprint is a digest of a file's data set; preamble and file meta information do not count.
func fingerprint(path string) (sum [32]byte, err error) {
	f, err := dicom.Open(path, limits)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	h.Write([]byte(f.Syntax().UID))
	if _, err := f.Data.Render().WriteTo(h, func(b dicom.BulkRef) (io.Reader, error) { return f.Bulk(b.Elem), nil }); err != nil {
		return sum, err
	}
	return [32]byte(h.Sum(nil)), nil
}

// name gives each input its output's name: pseudonym/study-series/instance, counted in the order of what the output shows.
func (r *run) name(order []int) {
	items := make([]*item, 0, len(order))
	for _, i := range order {
		if r.items[i].same == 0 {
			items = append(items, &r.items[i])
		}
	}
	// A study has one date, whichever of its inputs was read first.
	dates := map[string]string{}
	numbers := map[string]int64{}
	for _, it := range items {
		if d, ok := dates[it.study]; !ok || it.date < d {
			dates[it.study] = it.date
		}
		if n, ok := numbers[it.series]; !ok || it.seriesNo < n {
			numbers[it.series] = it.seriesNo
		}
	}
	slices.SortFunc(items, func(a, b *item) int {
		return cmp.Or(
			slices.Compare(a.person.link[:], b.person.link[:]),
			cmp.Compare(dates[a.study], dates[b.study]), cmp.Compare(a.study, b.study),
			cmp.Compare(numbers[a.series], numbers[b.series]), cmp.Compare(a.series, b.series),
			cmp.Compare(a.no, b.no), cmp.Compare(a.sop, b.sop))
	})
	var study, series, n int
	var last *item
	for _, it := range items {
		switch {
		case last == nil || last.person != it.person:
			study, series, n = 1, 1, 1
		case last.study != it.study:
			study, series, n = study+1, 1, 1
		case last.series != it.series:
			series, n = series+1, 1
		default:
			n++
		}
		last = it
		it.name = fmt.Sprintf("%s/%d/%d/%d.dcm", r.keys.Pseudonym(it.person.link), study, series, n)
	}
	for _, i := range order {
		if s := r.items[i].same; s > 0 {
			r.items[i].name = r.items[s-1].name
		}
	}
}

// twinsFollow gives an input whose data set was written for another input that one's outcome.
func (r *run) twinsFollow() {
	for i := range r.items {
		s := r.items[i].same
		if s == 0 || r.items[s-1].result.Outcome == "" {
			continue
		}
		it := r.items[s-1].result
		it.Reasons = append([]deid.Reason{{Code: "duplicate", Text: fmt.Sprintf("the same data set as item %d", s)}}, it.Reasons...)
		r.items[i].result = it
	}
}
