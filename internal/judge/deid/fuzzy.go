package deid

import "strings"

// nameIndex finds words that are nearly a name, or hold one: misspelt by one letter, with two letters the wrong way round, run together with others.
// It is asked only about words that no vocabulary has, in text that names equipment; elsewhere such a word goes whatever it is.
type nameIndex struct {
	names map[string]bool
	short map[string][]string // names of six and more letters without any one of them
	sizes [32]bool            // lengths of names
}

const minFuzzy = 6 // letters from which on one may be wrong

func newNameIndex(names []string) *nameIndex {
	if len(names) == 0 {
		return nil
	}
	x := &nameIndex{names: make(map[string]bool, len(names)), short: map[string][]string{}}
	for _, n := range names {
		x.names[n] = true
		if len(n) < len(x.sizes) {
			x.sizes[len(n)] = true
		}
		if len(n) >= minFuzzy {
			for i := range len(n) {
				k := n[:i] + n[i+1:]
				x.short[k] = append(x.short[k], n)
			}
		}
	}
	return x
}

// like reports a word of lower-case letters and digits that is nearly a name, or has one within.
func (x *nameIndex) like(word string) bool {
	if x == nil || len(word) < minSearched || len(word) > 64 {
		return false
	}
	for i := 0; i+minSearched <= len(word); i++ {
		for n := minSearched; i+n <= len(word) && n < len(x.sizes); n++ {
			if x.sizes[n] && x.names[word[i:i+n]] {
				return true
			}
		}
	}
	if len(word) < minFuzzy-1 || strings.ContainsAny(word, "0123456789") {
		return false
	}
	if x.short[word] != nil { // a letter is missing
		return true
	}
	for i := range len(word) {
		k := word[:i] + word[i+1:]
		if len(k) >= minFuzzy && x.names[k] { // one too many
			return true
		}
		for _, n := range x.short[k] {
			if oneEdit(word, n) {
				return true
			}
		}
	}
	return false
}

// oneEdit reports words of one length that differ in one letter, or in two neighbours that have changed places.
func oneEdit(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if i == len(a) || a[i+1:] == b[i+1:] {
		return true
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}
