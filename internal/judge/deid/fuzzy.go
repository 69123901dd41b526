package deid

import "strings"

// nameIndex finds words that are nearly a name, or hold one: misspelt by one letter, with two letters the wrong way round, run together with others.
// It is asked only about words that no vocabulary has, in text that names equipment; elsewhere such a word goes whatever it is.
type nameIndex struct {
	names map[string]bool
	long  map[int][]string // names of six and more letters, by length
	sizes [32]bool         // lengths of names
}

const minFuzzy = 6 // letters from which on one may be wrong

func newNameIndex(names []string) *nameIndex {
	if len(names) == 0 {
		return nil
	}
	x := &nameIndex{names: make(map[string]bool, len(names)), long: map[int][]string{}}
	for _, n := range names {
		x.names[n] = true
		if len(n) < len(x.sizes) {
			x.sizes[len(n)] = true
		}
		if len(n) >= minFuzzy {
			x.long[len(n)] = append(x.long[len(n)], n)
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
	for _, n := range x.long[len(word)] {
		if oneEdit(word, n) {
			return true
		}
	}
	for _, n := range x.long[len(word)+1] { // a letter is missing
		if oneMore(n, word) {
			return true
		}
	}
	for _, n := range x.long[len(word)-1] { // one too many
		if oneMore(word, n) {
			return true
		}
	}
	return false
}

// oneMore reports that a is b with one letter more.
func oneMore(a, b string) bool {
	i := 0
	for i < len(b) && a[i] == b[i] {
		i++
	}
	return a[i+1:] == b[i:]
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
