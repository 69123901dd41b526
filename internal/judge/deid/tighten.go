package deid

import (
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// tightenings is how often what is left of an object is searched: words that identify go first, then values that still do.
const tightenings = 3

// Tighten takes out of an object that was cleaned before what is known to identify by now, and nothing else: words go from text as they go in cleaning, and where that is
// not enough the value goes. It says what it did, which is nothing where nothing was found. Reasons say where something is left that cannot be taken out so, as in an
// original UID or in compressed values. Entries keep their order, and bulk values are those of ds.
func (p *Profile) Tighten(ds *dicom.Dataset, known *Lexicon) (*dicom.Rendered, *Done, []Reason, error) {
	w := p.wordsOf(known)
	out, lines, left, err := tighten(ds, &w, p.Matcher(known), nil)
	if err != nil || len(left) > 0 || len(lines) == 0 {
		return out, nil, left, err
	}
	d := &Done{Objects: 1}
	for _, l := range lines {
		d.Add(&Done{Lines: []LineCount{{l, 1, 0}}}, 1)
	}
	for i := range d.Lines {
		d.Lines[i].Objects = 1
	}
	return out, d, nil, nil
}

// tighten gives what is left of the object, and a line for each element that lost something.
func tighten(ds *dicom.Dataset, w *words, m *Matcher, originals [][]byte) (*dicom.Rendered, []Line, []Reason, error) {
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
			return ds.Render(), nil, nil, nil
		}
		for i := range met {
			times[i]++
		}
		e := ds.Edit()
		var lines []Line
		for i, n := range times {
			if el := ds.At(i); el.IsItem() || el.IsSequence() || ds.VR(i) == dicom.VRUI || ds.IsBulk(i) {
				continue
			}
			value := tightened(ds, i, n, strict, w, m)
			e.SetValue(i, value)
			lines = append(lines, cutLine(ds.At(i).Tag, value))
		}
		out, err := e.Render()
		if err != nil {
			return nil, nil, nil, err
		}
		if now, err = out.Dataset(); err != nil {
			return nil, nil, nil, err
		}
		if left := m.gate(now, originals); len(left) == 0 {
			return out, lines, nil, nil
		}
	}
	return nil, nil, m.gate(now, originals), nil
}

// cutLine says what an element lost, without what a sender chose of it.
func cutLine(t dicom.Tag, left []byte) Line {
	l := Line{Deed: Altered, By: ByGate}
	switch string(left) {
	case "":
		l.Deed = Emptied
	case dummyText:
		l.Deed = Replaced
	}
	if e, ok := dicom.LookupTag(t); ok && !t.IsPrivate() {
		l.Tag = e.Tag
	}
	return l
}

const dummyText = "REMOVED"

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
		empty = []byte(dummyText)
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
