package deid

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// What was done, element by element, sums to what the actions count; it is read as it was written; and no word, number or creator that a sender made up is in it.
func TestDoneOfTheCorpus(t *testing.T) {
	sum := map[string]*Done{}
	times := map[string]int64{}
	for _, name := range []string{"research", "basic"} {
		p := profileNamed(t, name)
		sum[name] = &Done{}
		corpus(t, func(t *testing.T, _ string, file *dicom.File) {
			r, err := Clean(file.Data, p, testKeys, nil)
			if err != nil || r.Outcome != Cleaned {
				return
			}
			if got := r.Done.Actions(); got != r.Actions {
				t.Errorf("%+v, and the actions are %+v", got, r.Actions)
			}
			text := r.Done.Encode()
			again, err := DecodeDone(text)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(r.Done, again); d != "" {
				t.Error(d)
			}
			sum[name].Add(r.Done, 2)
			times[name] += 2
		})
		if sum[name].Objects != times[name] || times[name] == 0 {
			t.Errorf("%d objects of %d", sum[name].Objects, times[name])
		}
		again, err := DecodeDone(sum[name].Encode())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(sum[name], again); d != "" {
			t.Error(d)
		}
		by := map[Source]bool{}
		for _, l := range sum[name].Lines {
			by[l.By] = true
			if l.Tag != 0 && !l.Tag.IsPrivate() {
				if e, ok := dicom.LookupTag(l.Tag); !ok || e.Tag != l.Tag {
					t.Errorf("%v is no element of the dictionary", l.Tag)
				}
			}
		}
		for _, s := range []Source{ByTable, ByVR, ByPrivate, ByStructure, ByMarker} {
			if !by[s] {
				t.Errorf("%s: nothing by %c", name, s)
			}
		}
	}
	kept := false
	for _, l := range sum["research"].Lines {
		kept = kept || l.Deed == KeptSafe && l.By == BySafe && l.Creator != "" && l.Tag != 0
	}
	if !kept {
		t.Error("no private element is named that was kept")
	}
}

// A sender's own creators, tags and groups are not told.
func TestDoneTellsNothingThatIsMadeUp(t *testing.T) {
	const word = "ZQWXMARKER"
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
	b.String(dicom.TagSOPInstanceUID, "1.2.3.1")
	b.String(dicom.TagModality, "CT")
	b.Raw(dicom.NewTag(0x0009, 0x0010), dicom.VRLO, []byte(word))
	b.Raw(dicom.NewTag(0x0009, 0x1001), dicom.VRLO, []byte(word))
	b.String(dicom.TagPatientName, "Marker^Zqwx")
	b.String(dicom.TagPatientID, "19560312")
	b.String(dicom.TagStudyInstanceUID, "1.2.3.2")
	b.String(dicom.TagSeriesInstanceUID, "1.2.3.3")
	b.Raw(dicom.NewTag(0x0028, 0x7777), dicom.VRLO, []byte(word))
	b.Raw(dicom.NewTag(0x1956, 0x0312), dicom.VRLO, []byte(word))
	ds, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Clean(ds, profileNamed(t, "research"), testKeys, nil)
	if err != nil || r.Outcome != Cleaned {
		t.Fatal(r, err)
	}
	text := r.Done.Encode()
	for _, s := range []string{word, "1956", "0312", "7777", "1.2.3", "0009:1001"} {
		if strings.Contains(strings.ToUpper(text), s) {
			t.Errorf("%q is told: %s", s, text)
		}
	}
	var unknown, private int64
	for _, l := range r.Done.Lines {
		switch l.By {
		case ByNobody:
			unknown += l.Elements
		case ByPrivate:
			private += l.Elements
		}
	}
	if unknown != 2 || private != 2 {
		t.Errorf("%d unknown and %d private elements: %s", unknown, private, text)
	}
}

func TestDoneSums(t *testing.T) {
	line := rapid.Custom(func(t *rapid.T) Line {
		l := Line{Tag: dicom.Tag(rapid.SampledFrom([]uint32{0, 0x00100010, 0x00100020, 0x00190008, 0x00280301}).Draw(t, "tag")),
			Deed: rapid.SampledFrom([]Deed{Removed, Emptied, Shifted}).Draw(t, "deed"), By: rapid.SampledFrom(sources).Draw(t, "by")}
		if l.By == ByOwn {
			l.Rule = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "rule")
		}
		if l.Tag.IsPrivate() {
			l.Creator = rapid.SampledFrom([]string{"ONE", "TWO 2"}).Draw(t, "creator")
		}
		return l
	})
	rapid.Check(t, func(t *rapid.T) {
		var together Done
		var parts []*Done
		for range rapid.IntRange(1, 5).Draw(t, "objects") {
			c := pass{Subject: &Subject{profile: &Profile{}}, res: &Result{}}
			c.work.did = rapid.SliceOf(line).Draw(t, "did")
			c.res.Actions.Kept = rapid.IntRange(0, 9).Draw(t, "kept")
			d := c.sum(nil)
			seen := map[string]int{}
			for _, l := range d.Lines {
				if l.Rule != "" {
					seen[l.Rule] += int(l.Elements)
				}
			}
			for _, id := range []string{"a", "b"} {
				if n := seen[id]; n > 0 {
					d.Rules = append(d.Rules, RuleCount{id, n})
				}
			}
			parts = append(parts, d)
			together.Add(d, 1)
		}
		// In whatever order, and through the text.
		var again Done
		for _, i := range rapid.Permutation(indices(len(parts))).Draw(t, "order") {
			d, err := DecodeDone(parts[i].Encode())
			if err != nil {
				t.Fatal(err)
			}
			again.Add(d, 1)
		}
		if together.Encode() != again.Encode() {
			t.Fatalf("%s\n%s", together.Encode(), again.Encode())
		}
	})
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func FuzzDecodeDone(f *testing.F) {
	f.Add(`{"n":2,"kept":3,"e":"0010:0010dt 0020xo0*3/1;0019:0008kf@0","creators":["A"],"rules":[{"id":"x","elements":3}]}`)
	f.Add(`{"n":1,"e":"0010:0010dt@1"}`)
	f.Fuzz(func(t *testing.T, s string) {
		d, err := DecodeDone(s)
		if err != nil {
			if !fault.Is(err, fault.Corrupt) {
				t.Fatal(err)
			}
			return
		}
		var sum Done
		sum.Add(d, 1)
	})
}

func TestDoneIsRemembered(t *testing.T) {
	shared := &Subject{profile: &Profile{}}
	do := func(kept, concepts int, did ...Line) *pass {
		c := &pass{Subject: shared, res: &Result{}}
		c.work.did = append(c.work.did[:0], did...)
		c.res.Actions.Kept, c.res.Actions.Concepts = kept, concepts
		return c
	}
	name, id := Line{Tag: dicom.TagPatientName, Deed: Replaced, By: ByTable}, Line{Tag: dicom.TagPatientID, Deed: Emptied, By: ByTable}
	first, _ := do(3, 0, name, id).done()
	if again, _ := do(3, 0, name, id).done(); again != first {
		t.Error("the same is summed twice")
	}
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 3*maxDoings).Draw(t, "objects") {
			c := do(rapid.IntRange(0, 2).Draw(t, "kept"), rapid.IntRange(0, 1).Draw(t, "concepts"), rapid.SliceOfN(rapid.SampledFrom([]Line{name, id}), 0, 3).Draw(t, "did")...)
			if d, got := c.done(); got != c.sum(nil).Encode() || got != d.Encode() {
				t.Fatalf("%s and %s, and it is %s", got, d.Encode(), c.sum(nil).Encode())
			}
		}
	})
	var sum Done
	sum.Add(first, 2)
	before := sum.Encode()
	if sum.Add(first, 1); sum.Encode() == before || first.Objects != 1 {
		t.Error("a sum is not what it is of")
	}
}
