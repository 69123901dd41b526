package deid

import (
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// tightenings is how often what is left of an object is searched: words that identify go first, then values that still do.
const tightenings = 3

// Tighten takes out of an object that was cleaned before what is known to identify by now, and nothing else: words go from text as they go in cleaning, and where that is
// not enough the value goes. Reasons say where something is left that cannot be taken out so, as in an original UID or in compressed values. Entries keep their order, and
// bulk values are those of ds.
func (p *Profile) Tighten(ds *dicom.Dataset, known *Lexicon) (*dicom.Rendered, []Reason, error) {
	w := p.wordsOf(known)
	return tighten(ds, &w, p.Matcher(known), nil)
}

func tighten(ds *dicom.Dataset, w *words, m *Matcher, originals [][]byte) (*dicom.Rendered, []Reason, error) {
	strict := strictClass(ds.UID(dicom.TagSOPClassUID))
	times := map[int]int{} // how often an entry was stopped at
	now := ds
	for range tightenings {
		met := map[int]bool{}
		m.search(now, originals, func(i int, _, _ string) bool {
			met[i] = true
			return len(met) < maxReasons
		})
		if len(met) == 0 {
			return ds.Render(), nil, nil
		}
		for i := range met {
			times[i]++
		}
		e := ds.Edit()
		for i, n := range times {
			if el := ds.At(i); el.IsItem() || el.IsSequence() || ds.VR(i) == dicom.VRUI || ds.IsBulk(i) {
				continue
			}
			e.SetValue(i, tightened(ds, i, n, strict, w, m))
		}
		out, err := e.Render()
		if err != nil {
			return nil, nil, err
		}
		if now, err = out.Dataset(); err != nil {
			return nil, nil, err
		}
		if left := m.gate(now, originals); len(left) == 0 {
			return out, nil, nil
		}
	}
	return nil, m.gate(now, originals), nil
}

// tightened is the value of entry i without what identifies in it: in the first round without its words, from the second on empty.
func tightened(ds *dicom.Dataset, i, round int, strict bool, w *words, m *Matcher) []byte {
	vr := ds.VR(i)
	empty := []byte(nil)
	switch vr {
	case dicom.VRLO, dicom.VRSH, dicom.VRST, dicom.VRLT, dicom.VRUT, dicom.VRUC:
	default:
		return empty
	}
	if strict {
		empty = []byte("REMOVED")
	}
	if round > 1 {
		return empty
	}
	parts := ds.Strings(i)
	for k, p := range parts {
		left, _ := w.clean(p)
		if !ascii(left) || m.InText(left) {
			left = ""
		}
		parts[k] = left
	}
	if text := strings.Join(parts, `\`); strings.Trim(text, `\ `) != "" {
		return []byte(text)
	}
	return empty
}
