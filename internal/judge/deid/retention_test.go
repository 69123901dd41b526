package deid

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// What the vocabulary takes from the text of real objects, to be read: -v prints it. No word of more than a few objects' own is to go.
func TestWordsOfTheCorpus(t *testing.T) {
	p := profileNamed(t, "research")
	gone, words, lost := map[string]string{}, 0, 0
	corpus(t, func(t *testing.T, path string, file *dicom.File) {
		ds := file.Data
		s := NewSubject(p, testKeys, Identify(ds), nil)
		if s.Collect(ds) != nil {
			return
		}
		s.prepare(ds)
		for i := range ds.Len() {
			el := ds.At(i)
			if el.IsItem() || el.IsSequence() || ds.IsBulk(i) {
				continue
			}
			r := s.work.rules[i]
			standard := r.op == opScheme && el.Tag == dicom.TagCodeMeaning && schemes[ds.StringIn(int(el.Parent), dicom.TagCodingSchemeDesignator)]
			if r.op != opText && r.op != opListed && !standard {
				continue
			}
			for v := range strings.SplitSeq(ds.Text(i), `\`) {
				v = strings.Trim(v, " \x00")
				clean, less := s.words.clean(v)
				words += len(strings.Fields(v))
				if less {
					lost += max(0, len(strings.Fields(v))-len(strings.Fields(clean)))
					gone[fmt.Sprintf("%-28.28s %q -> %q", el.Tag.Keyword(), v, clean)] = path
				}
			}
		}
	})
	var lines []string
	for l := range gone {
		lines = append(lines, l)
	}
	sort.Strings(lines)
	t.Logf("of %d words %d go:\n%s", words, lost, strings.Join(lines, "\n"))
}
