package deid

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed vocabulary.txt
var vocabularyText string

// Prepare reads the lists of words, which would otherwise be read when the first text is judged. It takes some 50 ms once.
func Prepare() {
	english()
	vocabulary()
	defined()
	equipmentWords()
	contentTable()
}

// vocabulary are the words that text may keep, in lower case.
var vocabulary = sync.OnceValue(func() map[string]struct{} { return wordsOf(vocabularyText) })

func wordsOf(text string) map[string]struct{} {
	m := map[string]struct{}{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, w := range strings.Fields(line) {
			m[w] = struct{}{}
			for _, part := range strings.FieldsFunc(w, func(r rune) bool { return r == '-' || r == '_' }) {
				m[part] = struct{}{}
			}
		}
	}
	return m
}

//go:embed terms.txt
var termsText string

// defined are the further words that coded strings may hold, in lower case.
var defined = sync.OnceValue(func() map[string]struct{} { return wordsOf(termsText) })

// ethnic are the words that Ethnic Group may keep besides, where a profile retains patients' characteristics.
var ethnic = map[string]struct{}{
	"african": {}, "american": {}, "asian": {}, "black": {}, "british": {}, "caribbean": {}, "caucasian": {}, "chinese": {}, "european": {},
	"hispanic": {}, "indian": {}, "latino": {}, "latina": {}, "mixed": {}, "white": {}, "any": {}, "background": {}, "irish": {}, "pakistani": {},
	"bangladeshi": {}, "arab": {}, "pacific": {}, "islander": {}, "alaska": {}, "nonhispanic": {},
}

// generic are words of names of institutions, streets and titles that tell nobody apart: they are no terms of a lexicon by themselves, and no
// words of the vocabulary either.
var generic = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`hospital hospitals clinic clinics university universitair medical medicine centre center general royal saint memorial
		county city national institute institution department dept radiology radiologie oncology cardiology imaging health healthcare trust foundation school
		college north south east west central regional community children childrens women womens street road avenue lane drive suite floor building house
		united kingdom states america england scotland wales ireland germany france phone email doctor professor consultant
		nurse radiographer technologist operator admin administrator system systems service services station scanner unknown anonymous anonymized anonymised anonym
		deidentified removed undefined unidentified patient student volunteer subject sample example phantom physician referring mister mrs miss first last default
		klinik klinikum krankenhaus spital hopital centro ospedale inc corp corporation company limited gmbh group laboratory research private none null
		test unspecified empty blank withheld hidden public internal workstation console room unit ward`) {
		m[w] = true
	}
	return m
}()
