package plant

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"
)

// A person is made up: the identity of a subject.
type person struct {
	n       int
	family  string // first component group, as (0010,0010) has it
	given   string
	others  string // further component groups, with the equals signs before them
	terms   []string
	words   bool // the family name is a word of the clinic's, or shorter than four characters: it is looked for as a whole word alone
	sex     string
	born    time.Time
	first   time.Time // date of the first study
	nhs     string
	mrn     string // (0010,0020) as one system writes it
	mrnAlso string // and as another does
	street  string
	town    string
	post    string
	phone   string
	mobile  string
	doctor  string // a family name that nobody else has
	clinic  string // the same of a place
	issuer  string // who gives (0010,0020)
	kg      float64
	metres  float64
	infant  bool
}

// A tribe is a way in which names are written.
type tribe struct {
	terms []string
	words bool
	names [][3]string // family, given, other component groups
}

// tribes are what hospitals' registers hold beside John Smith. Every name of a tribe can be written in its character sets.
var tribes = []tribe{
	{terms: []string{"ISO_IR 6"}, names: [][3]string{{"Threlkeld", "Desmond"}, {"Pennethorne", "Rupert"}, {"Ramsbottom", "Winifred"}, {"Duckworth", "Alasdair"}}},
	{terms: []string{"ISO_IR 100"}, names: [][3]string{{"Søndergård", "Zoë"}, {"Großmüller", "Jürgen"}, {"Fauréthal", "Noémie"}, {"Ångströmsson", "Bjørn"}}},
	{terms: []string{"ISO_IR 100"}, names: [][3]string{{"van der Bergheuvel", "Joost"}, {"de la Cruzada", "Inés"}, {"von Hohenwald", "Elfriede"}, {"dos Santarém", "Tomé"}}},
	{terms: []string{"ISO_IR 100"}, names: [][3]string{{"Okonjo-Hughes", "Gethin"}, {"Ashworth-Patel", "Nadia"}, {"Brontë-Achterberg", "Siân"}, {"Osei-Tutuwaa", "Abena"}}},
	{terms: []string{"ISO_IR 100"}, names: [][3]string{{"García Monteluz", "Iñaki"}, {"Núñez Valdehierro", "Pilar"}, {"Ibáñez Robledillo", "Xoán"}}},
	{terms: []string{"ISO_IR 100"}, words: true, names: [][3]string{{"Li", "Xiulan"}, {"Wu", "Jianguo"}, {"Ng", "Siewling"}, {"Ong", "Meihui"}}},
	{terms: []string{"ISO_IR 100"}, words: true, names: [][3]string{{"Bone", "Philippa"}, {"Gray", "Leonora"}, {"White", "Barnabas"}, {"Head", "Cordelia"}}},
	{terms: []string{"ISO_IR 100"}, words: true, names: [][3]string{{"Wall", "Ottoline"}, {"Temple", "Ignatius"}, {"Foot", "Marigold"}, {"Cross", "Thaddeus"}}},
	{terms: []string{"ISO_IR 144"}, names: [][3]string{{"Сорокоумов", "Афанасий"}, {"Подгорецкая", "Людмила"}, {"Звягинцева", "Прасковья"}}},
	{terms: []string{"ISO_IR 192"}, names: [][3]string{{"Vyshnevetska", "Oksana", "=Вишневецька^Оксана"}, {"Dobroljubov", "Timofej", "=Добролюбов^Тимофей"}, {"Zhelyazkova", "Radost", "=Желязкова^Радост"}}},
	{terms: []string{"ISO_IR 126"}, names: [][3]string{{"Παπαδιαμάντης", "Στέργιος"}, {"Χατζηγεωργίου", "Ευτυχία"}, {"Κολοκοτρώνη", "Ασπασία"}}},
	{terms: []string{"", "ISO 2022 IR 87"}, names: [][3]string{{"Ikedayama", "Akemi", "=池田山^明美=いけだやま^あけみ"}, {"Ishidaira", "Keiko", "=石田平^恵子=いしだいら^けいこ"}, {"Katonaka", "Naomi", "=加藤中^直美=かとうなか^なおみ"}}},
	{terms: []string{"ISO_IR 192"}, names: [][3]string{{"Tanakadate", "Yoko", "=田中舘^洋子=たなかだて^ようこ"}, {"Hasegawara", "Kenji", "=長谷川原^健二=はせがわら^けんじ"}, {"Kobayakawa", "Sayuri", "=小早川^小百合=こばやかわ^さゆり"}}},
	{terms: []string{"GB18030"}, names: [][3]string{{"Ouyangxu", "Xiaoming", "=欧阳^小明"}, {"Shangguan", "Wanqing", "=上官^婉清"}, {"Zhugexin", "Haoran", "=诸葛^浩然"}}},
	{terms: []string{"ISO_IR 192"}, names: [][3]string{{"Simahong", "Yuting", "=司马^雨婷"}, {"Huangfuyi", "Zihan", "=皇甫^子涵"}, {"Linghuwei", "Meiling", "=令狐^美玲"}}},
	{terms: []string{"", "ISO 2022 IR 149"}, names: [][3]string{{"Namgoongmin", "Heedong", "=南宮^熙東=남궁^희동"}, {"Hwangbojin", "Gyesun", "=皇甫^季順=황보^계순"}, {"Seonwooyong", "Misook", "=鮮于^美淑=선우^미숙"}}},
	{terms: []string{"ISO_IR 127"}, names: [][3]string{{"الأندلسي", "عبدالرحمن"}, {"البغدادي", "فاطمة"}, {"القيرواني", "يوسف"}}},
	{terms: []string{"ISO_IR 101"}, names: [][3]string{{"Świętosławska", "Żaneta"}, {"Dvořáčková", "Božena"}, {"Kővágószőlősi", "Előd"}}},
	{terms: []string{"ISO_IR 148"}, names: [][3]string{{"Gökçeğiller", "Şükrü"}, {"Işıkoğlu", "Nazlı"}, {"Yıldırımöz", "Çağla"}}},
	{terms: []string{"ISO_IR 100"}, names: [][3]string{{"O'Shaughnessey", "Caoimhín"}, {"MacGillivrae", "Eilidh"}, {"D'Annunziato", "Fiammetta"}, {"FitzWilliamson", "Peregrine"}}},
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// nhsNumber is a number of the range that is never issued (999), with its check digit (modulo 11).
func nhsNumber(r *rand.Rand) string {
	for {
		s := fmt.Sprintf("999%06d", r.IntN(1_000_000))
		sum := 0
		for i := range s {
			sum += (10 - i) * int(s[i]-'0')
		}
		if c := 11 - sum%11; c == 11 {
			return s + "0"
		} else if c != 10 {
			return s + string('0'+rune(c))
		}
	}
}

// people are the subjects of a seed. The tribes come in turn; which of their names, the seed decides.
func people(seed uint64, n int, names *namer) []*person {
	out := make([]*person, n)
	for i := range out {
		r := rand.New(rand.NewPCG(seed, uint64(i)+1))
		t := tribes[i%len(tribes)]
		name := t.names[(int(seed%997)+i/len(tribes))%len(t.names)]
		p := &person{n: i + 1, family: name[0], given: name[1], others: name[2], terms: t.terms, words: t.words}
		p.sex = pick(r, []string{"F", "M"})
		p.born = day(1931+r.IntN(60), time.Month(1+r.IntN(12)), 1+r.IntN(28))
		p.first = day(2017+r.IntN(6), time.Month(1+r.IntN(6)), 1+r.IntN(28))
		if i%10 == 9 { // four months old: hardly anybody else in a collection is
			p.infant = true
			p.born = p.first.AddDate(0, -4, -3)
		}
		p.nhs = nhsNumber(r)
		switch i % 5 {
		case 0: // leading zeros that one system drops
			p.mrn = fmt.Sprintf("0%d", 10_000_000+r.IntN(89_000_000))
			p.mrnAlso = p.mrn[1:]
		case 1: // letters, whose case differs
			p.mrn = fmt.Sprintf("RXH%07d", 1_000_000+r.IntN(9_000_000))
			p.mrnAlso = strings.ToLower(p.mrn)
		case 2: // a space before it, and a separator within
			p.mrn = fmt.Sprintf("K%03d-%05d", r.IntN(1000), 10_000+r.IntN(90_000))
			p.mrnAlso = strings.ReplaceAll(p.mrn, "-", "")
		case 3:
			p.mrn = fmt.Sprintf("%d", 100_000_000+r.IntN(800_000_000))
			p.mrnAlso = "0" + p.mrn
		case 4:
			p.mrn = fmt.Sprintf("CVI %08d", 10_000_000+r.IntN(89_000_000))
			p.mrnAlso = strings.ReplaceAll(p.mrn, " ", "")
		}
		p.street = fmt.Sprintf("%d %s Terrace", 1+r.IntN(190), names.next())
		p.town = names.next()
		p.post = fmt.Sprintf("ZZ%d %dZZ", 10+r.IntN(89), 1+r.IntN(9))
		p.phone = fmt.Sprintf("0113 496 0%03d", r.IntN(1000))
		p.mobile = fmt.Sprintf("07700 900%03d", r.IntN(1000))
		p.doctor, p.clinic, p.issuer = names.next(), names.next(), names.next()
		p.kg, p.metres = 48+float64(r.IntN(500))/10, 1.5+float64(r.IntN(40))/100
		if p.infant {
			p.kg, p.metres = 6.4, 0.62
		}
		out[i] = p
	}
	return out
}

func (p *person) name() string { return p.family + "^" + p.given + p.others }

// needles are the strings of the identity that nothing cleaned may hold.
func (p *person) needles() []Item {
	var out []Item
	add := func(site, text string) { out = append(out, Item{Site: site, Text: text}) }
	for _, part := range strings.FieldsFunc(p.family, func(r rune) bool { return r == ' ' || r == '-' }) {
		switch n := utf8.RuneCountInString(part); {
		case p.words:
			out = append(out, Item{Site: "N03", Text: part, Word: true})
		case n >= 5:
			add("N01", part)
		}
	}
	if utf8.RuneCountInString(p.given) >= 5 {
		add("N01", p.given)
	} else {
		out = append(out, Item{Site: "N03", Text: p.given, Word: true})
	}
	for _, group := range strings.Split(p.others, "=") {
		for _, part := range strings.Split(group, "^") {
			if utf8.RuneCountInString(part) >= 2 {
				add("L09", part)
			}
		}
	}
	add("N02", p.nhs)
	add("N02", p.nhs[:3]+" "+p.nhs[3:6]+" "+p.nhs[6:])
	add("N04", p.mrn)
	add("L82", p.mrnAlso)
	birth := "L15"
	if p.infant {
		birth = "L87"
	}
	for _, layout := range []string{"20060102", "02/01/2006", "2 January 2006", "2006-01-02"} {
		add(birth, p.born.Format(layout))
	}
	add("N05", p.street)
	add("N05", p.town)
	add("N05", p.post)
	add("N06", p.phone)
	add("N06", p.mobile)
	add("N07", p.doctor)
	add("N08", p.clinic)
	add("L22", p.issuer)
	return out
}

// A namer makes up family names that no dictionary and no other place of the benchmark has.
type namer struct {
	r    *rand.Rand
	used map[string]bool
}

func newNamer(seed uint64) *namer {
	return &namer{r: rand.New(rand.NewPCG(seed, 0x9e3779b9)), used: map[string]bool{}}
}

// next is a name of ten to fourteen letters.
func (n *namer) next() string {
	for {
		s := pick(n.r, onsets) + pick(n.r, vowels) + pick(n.r, codas) + pick(n.r, middles) + pick(n.r, codas) + pick(n.r, endings)
		if len(s) >= 10 && len(s) <= 14 && !n.used[s] {
			n.used[s] = true
			return s
		}
	}
}

var (
	onsets  = []string{"Br", "Dr", "Kv", "Tr", "Zw", "Gl", "Pl", "Skr", "Fr", "Vl", "Str", "Kn", "Qu", "Schw", "Dzh", "Wr"}
	vowels  = []string{"a", "e", "i", "o", "u"}
	codas   = []string{"rn", "lm", "sk", "nd", "ff", "zz", "gg", "rt", "mb", "xt", "lv", "bb", "ck"}
	middles = []string{"a", "e", "i", "o", "u"}
	endings = []string{"holt", "wick", "berg", "stad", "ovic", "quist", "burn", "esque", "inho"}
)
