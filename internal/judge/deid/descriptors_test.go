package deid

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What descriptors keep that were put down before anybody looked at the vocabulary, and after it was done. The bar is what was reached: it is not to fall.
func TestDescriptors(t *testing.T) {
	for name, bar := range map[string]float64{"descriptors.txt": 99.5, "descriptors_second.txt": 97} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		type count struct{ all, kept int }
		parts, order, part := map[string]*count{}, []string{}, ""
		total := count{}
		gone := map[string]bool{}
		split := func(s string) []string {
			return strings.FieldsFunc(s, func(r rune) bool { return r >= 0x80 || !alnum(byte(r)) })
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			switch {
			case line == "" || line[0] == '#':
				continue
			case line[0] == '[':
				part = line
				parts[part] = &count{}
				order = append(order, part)
				continue
			}
			left, _ := (&words{}).clean(line)
			have := map[string]int{}
			for _, w := range split(left) {
				have[w]++
			}
			for _, w := range split(line) {
				parts[part].all++
				total.all++
				if have[w] == 0 {
					gone[strings.ToLower(w)] = true
					continue
				}
				have[w]--
				parts[part].kept++
				total.kept++
			}
		}
		for _, p := range order {
			t.Logf("%s %s: %d of %d words stay", name, p, parts[p].kept, parts[p].all)
		}
		share := 100 * float64(total.kept) / float64(total.all)
		t.Logf("%s: %d of %d, %.2f %%; what goes: %v", name, total.kept, total.all, share, gone)
		if share < bar {
			t.Errorf("%s: %.2f %% of words stay, not %v", name, share, bar)
		}
	}
}

// Names that lists of names have are no words of the long list, or are marked: the grammar of names takes them where they stand as one.
func TestLongList(t *testing.T) {
	for _, w := range strings.Fields("nephrostomies sialolithiasis odontoid zygomatic tracheostomy haemoptysis thrombectomies oedematous lymphoscintigraphy dacryocystography pericolic subserosal tracheobronchomalacia") {
		if !listed(w) {
			t.Errorf("%q is no word", w)
		}
	}
	for _, w := range strings.Fields(`smith johnson garcia nguyen patel obermayer holloway kowalczyk okonkwo yamamoto ivanova mohammed fatima giovanni jurgen siobhan beatrice pretoria wolverhampton hamburg antonescu
		subramanian transfield hemingway periwinklesmith hypatia`) {
		if listed(w) {
			t.Errorf("%q is a word", w)
		}
	}
	for in, want := range map[string]string{
		"CT chest for Dr Marsh": "CT chest", "Marsh^Gwendolyth knee": "knee", "J. Marsh chest": "chest", "knee, Goat, Zbigniew": "knee",
		"born nineteen fifty-seven": "", "two thousand and four chest": "chest", "ninety four year old": "year old", "sixty in twenty": "sixty in twenty", "twenty weeks": "twenty weeks",
		"seen by J.S. chest": "seen by chest", "Murphy sign positive": "Murphy sign positive", "Dr Murphy sign": "sign", "Zenker diverticulum": "Zenker diverticulum", "Crohn's disease": "Crohn's disease",
		"Smith fracture": "Smith fracture", "Smith chest": "chest", "Bakers cyst": "Bakers cyst", "Reed Sternberg cells": "Reed Sternberg cells",
	} {
		if got, _ := (&words{}).clean(in); got != want {
			t.Errorf("%q becomes %q, not %q", in, got, want)
		}
	}
}

func BenchmarkUnknownWord(b *testing.B) {
	w := &words{}
	w.known("chest")
	for b.Loop() {
		w.known("hyperobermayerx")
	}
}
