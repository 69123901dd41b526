package vocabulary

import (
	"cmp"
	"slices"
	"strings"
)

// Suggest are the coded diseases that somebody may mean who has typed the beginning of a code, or of a word of a label, of plain words or of another word for it: most
// like it first. A group is told by its codes of ICD-10, because a group is no code.
func Suggest(typed string, most int) []Code {
	want := fold(typed)
	if want == "" || most <= 0 {
		return nil
	}
	upper := strings.ToUpper(strings.TrimSpace(typed))
	type hit struct {
		code Code
		rank int
	}
	var hits []hit
	put := func(c Code, rank int) {
		if i := slices.IndexFunc(hits, func(h hit) bool { return h.code == c }); i >= 0 {
			hits[i].rank = min(hits[i].rank, rank)
			return
		}
		hits = append(hits, hit{c, rank})
	}
	for _, c := range diseaseOrder {
		d := diseases[c]
		rank := 9
		for _, s := range append([]string{d.label, d.lay}, d.words...) {
			k := fold(s)
			switch {
			case k == want:
				rank = min(rank, 0)
			case strings.HasPrefix(k, want):
				rank = min(rank, 2)
			case strings.Contains(" "+k, " "+want):
				rank = min(rank, 4)
			}
		}
		if c.System != Group && strings.HasPrefix(c.Value, upper) {
			rank = min(rank, 1)
		}
		if rank == 9 {
			continue
		}
		if c.System != Group {
			put(c, rank+1)
			continue
		}
		if codes := Codes(c, ICD10); len(codes) <= 8 { // "cancer" says nothing
			for _, code := range codes {
				put(code, rank)
			}
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(len(a.code.Value), len(b.code.Value)))
	})
	out := make([]Code, 0, most)
	for _, h := range hits[:min(len(hits), most)] {
		out = append(out, h.code)
	}
	return out
}
