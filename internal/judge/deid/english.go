package deid

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"strings"
	"sync"
)

// The long list stands behind the vocabulary: words of English and of medicine, less what lists of people's and places' names have. It is made by
// internal/genwords, which says of what. Words that are names as well are marked.

//go:generate go run ./internal/genwords -from $WORD_LISTS -to words.gz

//go:embed words.gz
var wordsGz []byte

// wordList are words, each once in text behind its length, and where each stands, by a hash: 5 MB when read. It does not change.
type wordList struct {
	text  []byte
	table []uint32 // of a power of two; position in text and one more, or 0
}

const namedWord = 0x80 // a bit of the length: the word is a name, too

// english is the list, read when text is first judged.
var english = sync.OnceValue(func() *wordList {
	z, err := gzip.NewReader(bytes.NewReader(wordsGz))
	if err != nil {
		panic(err) // it is part of the binary
	}
	b, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	l := &wordList{text: make([]byte, 0, 4*len(b)), table: make([]uint32, 1<<19)}
	var word []byte
	for line := range bytes.SplitSeq(b, []byte{'\n'}) {
		if len(line) == 0 {
			continue
		}
		rest, mark := line[1:], byte(0)
		if n := len(rest) - 1; rest[n] == '\'' {
			rest, mark = rest[:n], namedWord
		}
		word = append(word[:line[0]-'A'], rest...)
		at := uint32(len(l.text)) + 1
		l.text = append(append(l.text, byte(len(word))|mark), word...)
		k := l.slot(string(word))
		for l.table[k] != 0 {
			k = (k + 1) & uint32(len(l.table)-1)
		}
		l.table[k] = at
	}
	return l
})

// slot is where the search for a word begins (FNV-1a).
func (l *wordList) slot(w string) uint32 {
	h := uint32(2166136261)
	for i := range len(w) {
		h = (h ^ uint32(w[i])) * 16777619
	}
	return (h ^ h>>15) & uint32(len(l.table)-1)
}

// find reports a word in small letters, and whether it is a name, too.
func (l *wordList) find(w string) (known, named bool) {
	if len(w) < 2 || len(w) > 24 {
		return false, false
	}
	for k := l.slot(w); ; k = (k + 1) & uint32(len(l.table)-1) {
		at := l.table[k]
		if at == 0 {
			return false, false
		}
		n := l.text[at-1]
		if int(n&^namedWord) == len(w) && string(l.text[at:int(at)+len(w)]) == w {
			return true, n&namedWord != 0
		}
	}
}

// listed reports a word of the vocabulary or of the long list.
func listed(w string) bool {
	if _, ok := vocabulary()[w]; ok {
		return true
	}
	if generic[w] {
		return false // what tells nobody apart by itself is part of names of places and people
	}
	known, _ := english().find(w)
	return known || compound(w)
}

// likeName reports a word that stays and is a common name as well: one that the grammar lists, or that the long list marks.
func likeName(w string) bool {
	return nameLike[w] || marked(w)
}

// alsoNames are words of the vocabulary that are rare names as well.
var alsoNames = wordSet(`adem aki alpha arch bear blank blanks bolster brace buckle bud cage cast cea congo crest crutch dai dot dry eber fan fess fish flank fossa galeazzi gauge hook jet kappa keel kit lace
	leep lemon loop mantle mavric mini mu muse navi obi onyx pace pale patch patches peel peg pilon pin pulley quant radar ridge ridges shave shell shells splinter tack thrill tin vin zeff`)

// marked reports a word that stays although it is a rare name, too: the vocabulary has it all the same, or the long list does.
func marked(w string) bool {
	if alsoNames[w] {
		return true
	}
	if _, ok := vocabulary()[w]; ok {
		return false
	}
	_, named := english().find(w)
	return named
}

// Combining forms, of which words of medicine are made: no name is made of one and a word of the list.
var (
	combining = strings.Fields(`abdomino acro adeno adipo aero angio antero antho arterio arthro atelo athero auto baso bili bio blasto brachio broncho calci cardio caverno cephalo cerebello
		cerebro cervico chemo cholangio chole cholecysto choledocho chondro chorio chromo colo colpo cortico costo cranio crico cryo cutaneo cyto cysto dacryo dento derma dermato desmo dorso duodeno
		dys echo ecto electro endo entero epi episio erythro esophago extra fibro fluoro gangli gastro gingivo glosso glyco gono gyneco haemato haemo hemato hemi hemo hepato hetero histo homo hydro
		hyper hypo hystero ileo ilio immuno infero infra inter intra iodo ischio jejuno karyo kerato kinesio labio lacto laparo laryngo latero leuco leuko lipo litho lumbo lympho lymphangio macro
		mammo mandibulo maxillo medio mega melano meningo meso meta metro micro mono morpho muco multi musculo myco myelo myo myxo nano naso neo nephro neuro neutro normo oculo odonto oesophago
		oligo omphalo onco oophoro ophthalmo orchi oro ortho osseo osteo oto ovario pachy palato pancreatico pan para patho perineo peri peritoneo pharyngo phlebo phono phospho photo pleuro
		pneumo pneumono poly post postero pre presacro procto pseudo psycho ptero pubo pulmo pyelo pyo quadri rachi radio recto reno retino retro rhino sacro salpingo sarco scapulo sclero
		scinti sebo semi sero sialo sigmoido sono spermato spheno sphygmo spino spleno splanchno spondylo staphylo sterno steno strepto stylo sub supero supra talo tarso teno tendo thermo thoraco
		thrombo thymo thyro tibio tomo trabeculo trachelo tracheo trans tri tubo tubulo tympano ultra uni uretero urethro uro utero utriculo vagino varico vaso veno ventriculo vertebro vesico video
		viscero vitreo xantho xero`)
	endings = wordSet(`graphy graphic gram grams graph graphs scopy scopic scope logy logic logical itis osis oses otic ectomy ectomies tomy tomies stomy stomies plasty plasties pathy pathies pathic
		emia aemia uria penia algia oma omas omata omatous genic genesis genous lysis lytic plasia plastic trophy trophic megaly rrhage rrhagia rrhagic rrhaphy rrhea rrhoea sclerosis sclerotic stenosis stenotic
		ectasis ectasia ectatic cele celes cyte cytes cytic cytosis blast blasts blastic blastoma phage phages phagic philia philic phobia phobic plegia plegic paresis phasia phasic pnea pnoea ptosis ptotic
		malacia centesis desis pexy tripsy therapy metry metric metrical tropic toxic toxicity cutaneous peritoneal petal fugal pelvis`)
)

// compound reports a word of combining forms, with an ending or a longer word of the list at the end: dacryoscintigraphy, subserosal.
func compound(w string) bool {
	if len(w) < 8 || len(w) > 32 {
		return false
	}
	for i := range len(w) {
		if !letter(w[i]) {
			return false
		}
	}
	return compounded(w, 3)
}

// combiningBy are the forms by their first two letters.
var combiningBy = func() map[[2]byte][]string {
	m := map[[2]byte][]string{}
	for _, f := range combining {
		m[[2]byte{f[0], f[1]}] = append(m[[2]byte{f[0], f[1]}], f)
	}
	return m
}()

func compounded(w string, forms int) bool {
	for _, f := range combiningBy[[2]byte{w[0], w[1]}] {
		rest, ok := strings.CutPrefix(w, f)
		if !ok || len(rest) < 4 {
			continue
		}
		if endings[rest] {
			return true
		}
		if len(rest) >= 5 {
			if _, ok := vocabulary()[rest]; ok && !nameLike[rest] && !nameWords[rest] {
				return true
			}
			if known, named := english().find(rest); known && !named {
				return true
			}
		}
		if forms > 1 && compounded(rest, forms-1) {
			return true
		}
	}
	return false
}
