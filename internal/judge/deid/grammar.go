package deid

import (
	"regexp"
	"strings"
	"sync"
)

// The grammars stand behind the vocabulary: they take out what words and numbers that may stay by themselves form together, such as a postcode of
// an area's letters and digits, a date in words, or a person's name that is an ordinary word. What they name is British usage first; dates, mail
// and web addresses are everybody's.

// Words of the vocabulary that are common family or given names as well. In a name's position (after a title, beside an initial or an unknown name)
// they are names. Of those in nameLike the position has to be plainer: they stand beside unknown words often.
var (
	nameWords = wordSet(`gray grey green stone wall day sharp field fields english french german bright dixon max glass rod star swan major parent palm iris violet omar
		tia thor carina bravo cord long short fall falls hodgkins couinaud mills weeks branch delta norm`)
	givenWords = wordSet("max violet iris omar tia thor carina bravo norm")
	nameLike   = wordSet(`stones bone bones brain angle beam beat blade block blood cap chest clip couch crown daily dark days drain early echo fast focus foot frame free gross
		hand head heel high key lamp large leg legs level light limb line low main man manual mar minor nail nails neck new numbers pain plate port post press prior ray rays
		reader real rest ring rings rule sample shot shoulder skin slide small smart sole speed spot square stack stand steam swallow target tender thin toe tongue trace
		tree tube twist wash wide wire`)
)

// Titles that are nothing else, titles that are modalities in capitals (MR, DR, MS, SR), and words that a name follows.
var (
	titles     = wordSet("mrs miss prof professor mister reverend madam mme herr frau")
	halfTitles = wordSet("mr dr ms sr")
	nameCues   = wordSet(`doctor sir sister nurse matron lady lord consultant pt patient name by attn referrer ref reader operator surgeon radiologist radiographer physician
		technologist tech typist signed dictated registrar gp`)
)

var months12 = func() map[string]bool {
	m := map[string]bool{"sept": true}
	for _, name := range months {
		m[strings.ToLower(name)] = true
		m[strings.ToLower(name[:3])] = true
	}
	return m
}()

var ordinals = wordSet(`first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth
	nineteenth twentieth thirtieth twenty thirty st nd rd th`)

var ageWords = wordSet("y yo yr yrs year years yrold yearold yof yom")

// Words after a name that make it a street's or a place's, and words that a number of a room or a line follows.
var (
	streets = wordSet(`street road avenue lane drive crescent terrace gardens grove mews cottage close court st rd ave ln`)
	places  = wordSet(`ward unit hospital clinic hospice infirmary surgery practice lodge house centre center school nursery`)
	rooms   = wordSet(`ward bed bay room cubicle flat ext extension bleep pager tel telephone phone fax plot box mobile`)
	cues    = wordSet(`id no nr number ref reference mrn nhs chi gmc nmc hcn hosp acc accession case record pin dob born unit serial`)
)

// measures are the letters that four digits may follow without a space: TR2500 is a parameter, MR2500 may be a number of a record.
var measures = wordSet("te tr ti td b bval bvalue fov kv kvp mas ms us mgy gy cgy hz khz mhz hu mm um ml mbq tesla venc nex t x")

// postcode is a British postcode: an area's letters, a district, a sector and a unit (BS 7666).
var postcode = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(?:AB|AL|B|BA|BB|BD|BF|BH|BL|BN|BR|BS|BT|BX|CA|CB|CF|CH|CM|CO|CR|CT|CV|CW|DA|DD|DE|DG|DH|DL|DN|DT|DY|E|EC|EH|EN|EX|FK|FY|G|GL|GU|GY|HA|HD|HG|HP|HR|` +
		`HS|HU|HX|IG|IM|IP|IV|JE|KA|KT|KW|KY|L|LA|LD|LE|LL|LN|LS|LU|M|ME|MK|ML|N|NE|NG|NN|NP|NR|NW|OL|OX|PA|PE|PH|PL|PO|PR|RG|RH|RM|S|SA|SE|SG|SK|SL|SM|SN|SO|SP|SR|SS|ST|SW|SY|TA|` +
		`TD|TF|TN|TQ|TR|TS|TW|UB|W|WA|WC|WD|WF|WN|WR|WS|WV|YO|ZE)[0-9][0-9A-Z]?[ .-]{0,2}[0-9][ABD-HJLNP-UW-Z]{2}\b|\bGIR ?0AA\b`)
})

var address = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\S*[a-z0-9]\S*@\S*[a-z0-9]\S*|\b(?:https?|ftps?|file|mailto|smb):\S*[a-z0-9]\S*|\bwww\.\S*[a-z0-9]\S*|\\\\[a-z0-9]\S*|\b[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)*\.(?:com|org|net|gov|edu|uk|ie|de|eu|info|local|lan|internal)\b\S*`)
})

// grammars takes out what the words and numbers of s form together.
func (w *words) grammars(s string, tokens []token) {
	if len(tokens) == 0 {
		return
	}
	var space [128]byte
	low := space[:0]
	digits, signs := 0, false
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c == '_':
			c = ' '
		case digit(c):
			digits++
		}
		signs = signs || addressSign(s, i)
		low = append(low, c)
	}
	text := string(low)
	if digits >= 2 && maybePostcode(text) {
		for _, at := range postcode().FindAllStringIndex(text, -1) {
			dropSpan(tokens, at[0], at[1])
		}
	}
	if signs {
		for _, at := range address().FindAllStringIndex(text, -1) {
			dropSpan(tokens, at[0], at[1])
		}
	}
	at := func(i int) string {
		if i < 0 || i >= len(tokens) {
			return ""
		}
		return text[tokens[i].start:tokens[i].end]
	}
	gap := func(i int) string { return text[tokens[i].end:tokens[i+1].start] } // between i and the one after
	for i := range tokens {
		t := &tokens[i]
		word := at(i)
		switch t.kind {
		case tokenNumber:
			w.numberGrammar(tokens, i, at, gap)
		case tokenWord:
			if !t.keep && graded(tokens, i, at, gap) && !w.echoes(word) {
				t.keep = true
			}
			if !t.keep {
				w.eponymGrammar(tokens, i, at, gap)
			}
			switch {
			case months12[word]:
				w.monthGrammar(tokens, i, at)
			case !t.keep && !halfTitles[word] && !titles[word]:
			case word == "99m" && (at(i-1) == "tc" || at(i+1) == "tc"): // technetium
			case monthNumber(word), agedWord(word, w.ages), pathNumber(tokens, i, at, gap):
				t.keep = false
			case recordNumber(word):
				t.keep = false
			}
			placeGrammar(tokens, i, at, gap)
		}
	}
	for i := range tokens {
		spelt(tokens, i, at)
	}
	initials(tokens, at, gap)
	dropNames(s, tokens, at, gap)
}

// Numbers in words.
var (
	unitWords    = wordSet("one two three four five six seven eight nine")
	teenWords    = wordSet("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
	tensWords    = wordSet("twenty thirty forty fifty sixty seventy eighty ninety")
	centuryWords = wordSet("eighteen nineteen twenty")
	spokenZero   = wordSet("oh hundred")
)

// spelt takes out years in words (nineteen fifty-seven, two thousand and four), ages above 89 and any three numbers in words that follow each other.
func spelt(tokens []token, i int, at func(int) string) {
	numeral := func(k int) bool { v := at(k); return unitWords[v] || teenWords[v] || tensWords[v] || spokenZero[v] }
	drop := func(from, to int) {
		for k := from; k < to; k++ {
			tokens[k].keep = false
		}
	}
	end := i
	for end < len(tokens) && numeral(end) {
		end++
	}
	n := end - i
	switch {
	case n == 0:
	case n >= 3 && (i == 0 || !numeral(i-1)):
		drop(i, end)
	case n >= 2 && centuryWords[at(i)] && !unitWords[at(i+1)]:
		drop(i, end)
	case at(end) == "thousand":
		for end++; end < len(tokens) && (numeral(end) || at(end) == "and"); end++ {
		}
		drop(i, end)
	case at(i) == "ninety" && ageWords[at(end)]:
		drop(i, end)
	}
}

// initials takes out single letters with stops: J.S., M. K.
func initials(tokens []token, at func(int) string, gap func(int) string) {
	single := func(i int) bool {
		return tokens[i].end-tokens[i].start == 1 && tokens[i].kind == tokenWord && letter(at(i)[0])
	}
	for i := 0; i+1 < len(tokens); i++ {
		if single(i) && single(i+1) && (gap(i) == "." || gap(i) == ". ") {
			tokens[i].keep, tokens[i+1].keep = false, false
		}
	}
}

func dropSpan(tokens []token, from, to int) {
	for i := range tokens {
		if tokens[i].start < to && tokens[i].end > from {
			tokens[i].keep = false
		}
	}
}

// Names of scales and markers that are people's names, or short as such; what follows tells them.
var (
	scales = wordSet("gleason bosniak breslow fuhrman ishak fazekas nottingham kellgren spetzler")
	grades = wordSet("score grade pattern group sum system stage class type level index scale")
)

// graded reports the name of a scale with its grade after it (Gleason 4+3, LI-RADS 5, Ki-67).
func graded(tokens []token, i int, at func(int) string, gap func(int) string) bool {
	if i+1 >= len(tokens) {
		return false
	}
	word, after := at(i), at(i+1)
	switch {
	case after == "rads":
		return (word == "li" || word == "pi" || word == "ti" || word == "vi" || word == "ni") && gap(i) == "-"
	case word == "ki":
		return after == "67"
	case scales[word] && (i == 0 || tokens[i-1].keep && !nameCues[at(i-1)] && !halfTitles[at(i-1)] && len(at(i-1)) > 1):
		return tokens[i+1].kind == tokenNumber && len(after) <= 2 && after < "6" || grades[after]
	}
	return false
}

// Names that medicine calls things after, what it calls so, and what it calls as a whole. A name stays with such a word behind it alone.
var (
	eponyms = wordSet(`alport alzheimer angelman apert askin balthazar bankart bartholin bartter basedow behcet bence bethesda billroth birbeck boerhaave bosniak breslow breuer broca
		buerger burkitt calot caplan caroli castleman chagas charcot chiari chilaiditi chopart colles couinaud cowden cowper crohn cruveilhier cushing dandy deauville
		denonvilliers down dressler duchenne dupuytren ebstein eisenmenger eklund erb fabry fallot fanconi felty fuhrman gartner gaucher gerota glisson goodpasture grawitz
		grocott guillain hangman hartmann hashimoto haversian heberden henoch hesselbach hirschsprung hodgkin hoffa huntington ishak kaposi kartagener kawasaki kellgren
		kerley kienbock klatskin klinefelter kommerell krukenberg kupffer langerhans leriche lhermitte libman lichtman lugano luschka madelung maffucci marfan masson
		mcburney meckel meigs meniere merkel mirizzi modic mondor monro morison neer neelsen ogilvie osler paget pancoast pauwels perls perthes peutz peyronie pott quervain
		ranson rathke raynaud recklinghausen reinke rendu reye riedel rokitansky romberg sachs sachse schatzki scheuermann schiff schmorl schwann segond sertoli sever
		sharpey sjogren spigelian spitz stafne steinert sternberg sturge sudeck sylvius takayasu takotsubo tarlov taussig tenckhoff tourette valsalva vater virchow waldeyer
		warthin wegener weil wenckebach wernicke wilms zenker ziehl zollinger`)
	things = wordSet(`disease syndrome sign signs cyst cysts tumour tumours tumor tumors sarcoma lymphoma neuroma fracture fractures stain staining score scores grade grading view views position procedure operation repair test
		point pouch space tendon ligament phenomenon catheter line tube drain tenosynovitis thyroiditis palsy ulcer ulcers node nodes nodule nodules deformity contracture abscess hernia duct canal criteria classification
		stage class level technique method angle positive negative oesophagus esophagus diverticulum triad tetralogy malformation anomaly disorder chorea paralysis lesion defect line lines capsule fascia gland glands
		cell cells body bodies corpuscle fat pad area aphasia encephalopathy macroglobulinaemia macroglobulinemia manoeuvre maneuver index system trichrome haematoxylin hematoxylin silver iron membrane sinus
		thickness biplane lymph purpura nephritis arteritis tract muscle reflex hump hood block blocks loop nephroblastoma osteodystrophy amputation resection reconstruction interposition valve stent graft`)
	phrases = func() map[string]bool {
		m := map[string]bool{}
		for p := range strings.SplitSeq("reed sternberg,ziehl neelsen,van gieson,acid schiff,de quervain,black blood,black bone,brown fat,brown adipose,brown tumour,gold seed,gold seeds,gold fiducial,gold fiducials,gold marker,"+
			"gold markers,methenamine silver,silver stain,phoenix report,charcot leyden,jones silver,classical hodgkin,non hodgkin,non hodgkins,pes planus,pes cavus,black box,cox sdh,opal multiplex,fast brown,prussian blue,"+
			"crystal arthropathy,crystal deposition,guillain barre,budd chiari,osgood schlatter,arnold chiari,dandy walker,epstein barr,peutz jeghers,henoch schonlein,creutzfeldt jakob,white cell,white cells,"+
			"smith fracture,jones fracture,bennett fracture,harris view,clark level,simpson biplane,simpson grade,simpson method,murphy sign,murphy positive,murphy "+
			"negative,morton neuroma,baker cyst,bakers cyst,wilson disease,wilsons disease,hill sachs,down syndrome,downs syndrome,turner syndrome,graves disease,hunter "+
			"syndrome,lynch syndrome,parkinson disease,parkinsons disease,bell palsy,bells palsy,paget disease,pagets disease,foley catheter,hickman line,hickman "+
			"catheter,cooper ligament,cooper ligaments,gleason score,gleason grade,weber fracture,wolff parkinson,parkinson white,de douglas,pouch douglas,duchenne "+
			"dystrophy,nottingham index,nottingham grade,rotterdam score,erb palsy,gardner syndrome,gilbert syndrome,cushing syndrome,cushings syndrome,cushing "+
			"disease,barrett oesophagus,barretts oesophagus,barrett esophagus,barretts esophagus,merkel cell,ewing sarcoma,ewings sarcoma,burkitt lymphoma,hoffa fat,cowper "+
			"gland,wharton jelly,wernicke encephalopathy,addison disease,addisons disease,castleman disease,horner syndrome,horners syndrome,marfan syndrome,crohn "+
			"disease,crohns disease,swan ganz,hartmann procedure,hartmanns procedure,mallory weiss,bethesda category,sturge weber,von willebrand,fisher grade,harrison "+
			"sulcus,dukes stage,caesar section,allred score,eklund view,eklund views,eklund displaced,hodgkin lymphoma,whipple procedure,whipple specimen,whipple "+
			"resection,deauville score,wilms tumour,wilms tumor,hodgkin disease,grocott methenamine,opal panel", ",") {
			m[p] = true
		}
		return m
	}()
)

// eponymGrammar keeps the name of a disease, a sign, a stain: with what is called so behind it, or as a phrase.
func (w *words) eponymGrammar(tokens []token, i int, at func(int) string, gap func(int) string) {
	word := at(i)
	if w.echoes(word) || i > 0 && (titles[at(i-1)] || halfTitles[at(i-1)] || nameCues[at(i-1)] || len(at(i-1)) == 1 || !tokens[i-1].keep && tokens[i-1].kind == tokenWord) {
		return
	}
	if i+1 < len(tokens) && len(gap(i)) == 1 && phrases[word+" "+at(i+1)] && !w.echoes(at(i+1)) {
		tokens[i].keep, tokens[i+1].keep = true, true
		return
	}
	if i > 0 && len(gap(i-1)) == 1 && phrases[at(i-1)+" "+word] {
		tokens[i].keep = true
		return
	}
	next := i + 1
	possessive := next < len(tokens) && at(next) == "s" && gap(i) == "'"
	if possessive {
		next++
	}
	name := word
	if !eponyms[name] {
		name = strings.TrimSuffix(name, "s")
	}
	if next < len(tokens) && eponyms[name] && things[at(next)] && strings.Trim(gap(next-1), " -") == "" {
		tokens[i].keep = true
	}
}

// monthGrammar takes out a month with the days, ordinals and years around it.
func (w *words) monthGrammar(tokens []token, i int, at func(int) string) {
	dated := false
	around := func(step int) {
		for k, n := i+step, 0; k >= 0 && k < len(tokens) && n < 3; k, n = k+step, n+1 {
			v := at(k)
			switch {
			case tokens[k].kind == tokenNumber && len(v) <= 4 && !strings.ContainsAny(v, ".,"), ordinals[v], dayNumber(v):
				tokens[k].keep = false
				dated = true
			case v == "of" || v == "the":
			default:
				return
			}
		}
	}
	around(-1)
	around(1)
	if dated || !w.known(at(i)) { // MAR is metal artefact reduction, OCT a modality
		tokens[i].keep = false
	}
}

// dayNumber reports 3rd, 21st.
func dayNumber(v string) bool {
	n := 0
	for n < len(v) && digit(v[n]) {
		n++
	}
	if n == 0 || n > 2 {
		return false
	}
	switch v[n:] {
	case "st", "nd", "rd", "th":
		return true
	}
	return false
}

// monthNumber reports a month with digits on it: 12mar19.
func monthNumber(v string) bool {
	i := 0
	for i < len(v) && digit(v[i]) {
		i++
	}
	j := i
	for j < len(v) && letter(v[j]) {
		j++
	}
	return (i > 0 || j < len(v)) && i <= 2 && months12[v[i:j]] && onlyDigits(v[j:])
}

func onlyDigits(v string) bool {
	for i := range len(v) {
		if !digit(v[i]) {
			return false
		}
	}
	return true
}

// agedWord reports an age with its unit on it: above 89 (93y, 93F), or any where the profile has ages in bands.
func agedWord(v string, any bool) bool {
	n, i := 0, 0
	for i < len(v) && i < 3 && digit(v[i]) {
		n = n*10 + int(v[i]-'0')
		i++
	}
	unit := v[i:]
	if i < 2 || n > 130 {
		return false
	}
	return (ageWords[unit] || unit == "f" || unit == "m") && (n > 89 || any && ageWords[unit])
}

// recordNumber reports four digits on two or three letters that are no measure's.
func recordNumber(v string) bool {
	i := 0
	for i < len(v) && letter(v[i]) {
		i++
	}
	return (i == 2 || i == 3) && len(v)-i == 4 && onlyDigits(v[i:]) && !measures[v[:i]]
}

// pathNumber reports the head of a number as laboratories and registries write them, S19-4471 or 19S/4471, and takes out its tail.
func pathNumber(tokens []token, i int, at func(int) string, gap func(int) string) bool {
	v := at(i)
	if i+1 >= len(tokens) || len(v) < 3 || len(v) > 5 || tokens[i+1].kind != tokenNumber || len(at(i+1)) < 3 {
		return false
	}
	if g := gap(i); g != "-" && g != "/" && g != " " || g == " " && len(at(i+1)) < 5 {
		return false
	}
	letters, digits := 0, 0
	for k := range len(v) {
		if digit(v[k]) {
			digits++
		} else {
			letters++
		}
	}
	if digits != 2 || letters > 3 || !(digit(v[0]) && digit(v[1]) || digit(v[len(v)-1]) && digit(v[len(v)-2])) {
		return false
	}
	tokens[i+1].keep = false
	return true
}

// numberGrammar takes out numbers that what stands before or after them makes somebody's: ages, rooms, lines, records, months of a year.
func (w *words) numberGrammar(tokens []token, i int, at func(int) string, gap func(int) string) {
	t, v := &tokens[i], at(i)
	if strings.ContainsAny(v, ".,") {
		return
	}
	n := 0
	for k := range min(len(v), 6) {
		n = n*10 + int(v[k]-'0')
	}
	if len(v) <= 3 && n <= 130 && (n > 89 || w.ages) {
		after := ageWords[at(i+1)] && len(gap(i)) <= 2
		before := i > 0 && (at(i-1) == "aged" || at(i-1) == "age" || at(i-1) == "aet")
		if after || before {
			t.keep = false
		}
	}
	if i > 0 && len(gap(i-1)) <= 3 {
		switch before := at(i - 1); {
		case rooms[before]:
			t.keep = false
		case cues[before] && len(v) >= 4:
			t.keep = false
		}
	}
	// 03/19: a month of a year.
	if i+1 < len(tokens) && len(v) == 2 && (v[0] == '0' || v[0] == '1' && v[1] <= '2') && tokens[i+1].kind == tokenNumber && gap(i) == "/" && len(at(i+1)) == 2 {
		t.keep, tokens[i+1].keep = false, false
	}
	// 14 Stone Lane: a house.
	for k := i + 1; k < len(tokens) && k <= i+4 && tokens[k].kind == tokenWord; k++ {
		if streets[at(k)] {
			if len(at(k)) < 4 && k > i+3 {
				break
			}
			for j := i; j <= k; j++ {
				tokens[j].keep = false
			}
			break
		}
	}
}

// placeGrammar takes out a name before the word that makes it a street's or a ward's.
func placeGrammar(tokens []token, i int, at func(int) string, gap func(int) string) {
	if i == 0 || strings.Trim(gap(i-1), " ") != "" {
		return
	}
	word, before := at(i), at(i-1)
	if streets[word] && len(word) > 3 && word != "close" && word != "drive" || places[word] {
		if nameWords[before] || likeName(before) && streets[word] {
			tokens[i-1].keep = false
		}
	}
}

// dropNames takes out words of the vocabulary that stand where a name does.
func dropNames(s string, tokens []token, at func(int) string, gap func(int) string) {
	near := func(i int) bool { return len(gap(i)) <= 3 && strings.Trim(gap(i), " .,:;^'") == "" }
	single := func(i int) bool { return tokens[i].end-tokens[i].start == 1 && tokens[i].kind == tokenWord }
	for i := range tokens {
		word := at(i)
		if tokens[i].kind != tokenWord {
			continue
		}
		certain := titles[word] || halfTitles[word] && mixedCase(s[tokens[i].start:tokens[i].end])
		cue := nameCues[word] || halfTitles[word]
		if !certain && !cue {
			continue
		}
		if certain {
			tokens[i].keep = false
		}
		for k, n := i+1, 0; k < len(tokens) && n < 4 && near(k-1) && tokens[k].kind != tokenNumber; k, n = k+1, n+1 {
			v := at(k)
			switch {
			case nameWords[v], likeName(v) && (n == 0 || single(k-1)) && mixedCase(s[tokens[k].start:tokens[k].end]), marked(v) && n == 0 && !smallLetter(s[tokens[k].start]), certain && n == 0:
				tokens[k].keep = false
			case !tokens[k].keep, single(k):
			default:
				n = 4
			}
		}
	}
	for i := range tokens {
		v := at(i)
		// Components of a name: FAMILY^GIVEN.
		if i+1 < len(tokens) && tokens[i+1].kind != tokenNumber && strings.Contains(gap(i), "^") && (nameable(v) || nameable(at(i+1))) {
			tokens[i].keep, tokens[i+1].keep = false, false
		}
		// Goat, Zbigniew; Zbigniew, Goat.
		if i+1 < len(tokens) && gap(i) == ", " && tokens[i].keep != tokens[i+1].keep && tokens[i].kind == tokenWord && tokens[i+1].kind == tokenWord &&
			mixedCase(s[tokens[i].start:tokens[i].end]) && mixedCase(s[tokens[i+1].start:tokens[i+1].end]) && nameable(v) && nameable(at(i+1)) {
			tokens[i].keep, tokens[i+1].keep = false, false
		}
		if tokens[i].keep && marked(v) {
			// Rare as a name: it is one beside an unknown word written as it is, or beside an initial with a point.
			for _, k := range [...]int{i - 1, i + 1} {
				if k < 0 || k >= len(tokens) || !near(min(i, k)) || smallLetter(s[tokens[i].start]) || smallLetter(s[tokens[k].start]) {
					continue
				}
				if unknown := tokens[k].kind == tokenWord && !tokens[k].keep && len(at(k)) >= 3 && !strings.ContainsAny(at(k), "0123456789"); unknown || tokens[k].kind == tokenOther {
					tokens[i].keep = false
				} else if single(k) && strings.Contains(gap(min(i, k)), ".") {
					tokens[i].keep, tokens[k].keep = false, false
				}
			}
		}
		if !tokens[i].keep || !nameWords[v] || i+1 < len(tokens) && tokens[i+1].keep && pairs[v+" "+at(i+1)] {
			continue
		}
		// Beside an initial (J. Gray, Gray J), or an unknown word (Anthony Gray; Gray, Anthony).
		for _, k := range [...]int{i - 1, i + 1} {
			if k < 0 || k >= len(tokens) || !near(min(i, k)) {
				continue
			}
			switch {
			case givenWords[v] && (nameWords[at(k)] || likeName(at(k))) && mixedCase(s[tokens[i].start:tokens[i].end]) && mixedCase(s[tokens[k].start:tokens[k].end]):
				tokens[i].keep, tokens[k].keep = false, false // Iris Wall; Stone, Max
			case tokens[k].kind == tokenWord && !tokens[k].keep && len(at(k)) >= 2 && !strings.ContainsAny(at(k), "0123456789"), tokens[k].kind == tokenOther:
				tokens[i].keep = false
			case single(k) && (strings.IndexByte("lrtxnv", at(k)[0]) < 0 || strings.Contains(gap(min(i, k)), ".")):
				tokens[i].keep, tokens[k].keep = false, false
			}
		}
	}
}

// nameable reports a word that may be a name: one of the grammar's, or any that the vocabulary itself has not.
func nameable(v string) bool {
	_, ok := vocabulary()[v]
	return !ok || nameWords[v] || likeName(v)
}

// smallLetter reports what no name begins with.
func smallLetter(c byte) bool { return c >= 'a' && c <= 'z' }

// pairs are words that say of a name's word that it is none.
var pairs = func() map[string]bool {
	m := map[string]bool{}
	for p := range strings.SplitSeq("long axis,short axis,gray matter,grey matter,gray scale,grey scale,gray level,field map,field of,field strength,wall thickness,wall motion,stone protocol,"+
		"day case,major axis,max intensity,star artifact,star artefact,glass opacity,palm print,ray tube,sharp kernel", ",") {
		m[p] = true
	}
	return m
}()

// mixedCase reports a capital followed by small letters.
func mixedCase(s string) bool {
	return len(s) > 1 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'a' && s[1] <= 'z'
}

// addressSign reports a character that a mail or web address has: nothing else is searched for one.
func addressSign[T string | []byte](s T, i int) bool {
	switch s[i] {
	case '@', '\\':
		return true
	case ':', '.':
		return i > 0 && letter(s[i-1]) && i+1 < len(s) && s[i+1] > ' ' && (s[i] == ':' || letter(s[i+1]))
	}
	return false
}

// maybePostcode reports a digit with two letters after it, and letters and a digit not far before: nothing else is searched for a postcode.
func maybePostcode[T string | []byte](s T) bool {
	for i := 2; i+2 < len(s); i++ {
		if !digit(s[i]) || !letter(s[i+1]) || !letter(s[i+2]) || i+3 < len(s) && alnum(s[i+3]) {
			continue
		}
		k := i
		for k > 0 && i-k < 2 && (s[k-1] == ' ' || s[k-1] == '.' || s[k-1] == '-' || s[k-1] == '_') {
			k--
		}
		if k > 1 && alnum(s[k-1]) && alnum(s[k-2]) {
			return true
		}
	}
	return false
}

// identifies reports what no text that has been cleaned may hold, whoever it is of: an NHS, CHI or Health and Care number, a British postcode, a
// mail or web address. It knows nothing of how the text was made.
func identifies(v []byte) bool {
	digits, signs := 0, false
	for i, c := range v {
		switch c {
		case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			digits++
		case '@', '\\', ':', '.':
			signs = signs || addressSign(v, i)
		}
	}
	code := digits >= 2 && maybePostcode(v)
	if !signs && !code && digits < 10 {
		return false
	}
	text := strings.ReplaceAll(string(v), "_", " ")
	return code && postcode().MatchString(text) || digits >= 10 && HasNHSNumber(text) || signs && address().MatchString(text)
}
