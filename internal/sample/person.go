package sample

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/text/encoding/japanese"
)

// A Person is made up: every part of an identity that a hospital's images carry.
type Person struct {
	Number    int    // 1 to 3
	Family    string // in Latin script
	Given     string
	Middle    string
	Prefix    string
	Name      string // (0010,0010) as text, all component groups
	Native    string // family and given name in the first other script; empty if there is none
	Sex       string // M or F
	Born      time.Time
	NHS       string // ten digits, 999 ...
	MRN       string // hospital number, (0010,0020)
	Address   string
	Phone     string
	Mobile    string
	Kin       string // whom to call
	Physician string // who refers, as a person name
	HeightM   float64
	WeightKg  [3]float64 // at each timepoint
	First     time.Time  // baseline

	seed uint64
	set  charset
}

var (
	britishMen    = []string{"Tobias", "Alasdair", "Desmond", "Gethin", "Rupert", "Kwabena"}
	britishWomen  = []string{"Zoë", "Siân", "Chloë", "Renée", "Noémie"}
	familiesMen   = []string{"Okonjo-Hughes", "Pennethorne", "Ramsbottom", "Threlkeld", "Abernathy", "Duckworth"}
	familiesWomen = []string{"Brontë-Achterberg", "Müller-Fairclough", "Gwynétt", "Peñarth", "Søndergaard", "Fauré-Whitlock"}
	physicians    = []string{"Ashworth-Patel^Nadia^^Dr", "Macalister^Hamish^^Dr", "Oyelaran^Folake^^Dr", "Winstanley^Gareth^^Mr"}
	towns         = []string{"Hebden Magna", "Nether Wharfe", "Saltaire Green", "Calderthwaite"}
	streets       = []string{"Larkfield Terrace", "Weavers Row", "Old Mill Lane", "Beacon Crescent"}
	// In JIS none of these has a byte that looks like a backslash, caret or equals sign, nor more than 64 bytes: validators stumble over both.
	japaneseWomen = [][6]string{
		{"Ikeda", "Akemi", "池田", "明美", "いけだ", "あけみ"},
		{"Ishida", "Keiko", "石田", "恵子", "いしだ", "けいこ"},
		{"Tanaka", "Yoko", "田中", "洋子", "たなか", "ようこ"},
		{"Kato", "Naomi", "加藤", "直美", "かとう", "なおみ"},
	}
)

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// nhsNumber is a number of the range that is not issued, with its check digit.
func nhsNumber(r *rand.Rand) string {
	for {
		s := fmt.Sprintf("999%06d", r.IntN(1_000_000))
		if c, ok := nhsCheck(s); ok {
			return s + string('0'+rune(c))
		}
	}
}

// nhsCheck is the check digit of nine digits, modulo 11; some numbers have none.
func nhsCheck(nine string) (int, bool) {
	sum := 0
	for i, c := range nine {
		sum += (10 - i) * int(c-'0')
	}
	switch c := 11 - sum%11; c {
	case 11:
		return 0, true
	case 10:
		return 0, false
	default:
		return c, true
	}
}

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// People are the three of the collection.
func People(seed uint64) [3]*Person {
	var ps [3]*Person
	for i := range ps {
		r := rand.New(rand.NewPCG(seed, uint64(i)+1))
		p := &Person{Number: i + 1, seed: seed}
		switch i {
		case 0:
			p.Given, p.Family, p.Middle, p.Prefix, p.Sex = pick(r, britishMen), pick(r, familiesMen), "Emrys", "Mr", "M"
			p.Name = p.Family + "^" + p.Given + "^" + p.Middle + "^" + p.Prefix
			p.set = westEuropean
			p.HeightM, p.WeightKg = 1.78, [3]float64{81, 77.5, 79}
		case 1:
			p.Given, p.Family, p.Prefix, p.Sex = pick(r, britishWomen), pick(r, familiesWomen), "Mrs", "F"
			p.Name = p.Family + "^" + p.Given + "^^" + p.Prefix
			p.set = westEuropean
			p.HeightM, p.WeightKg = 1.65, [3]float64{68, 67, 69.5}
		case 2:
			n := japaneseWomen[r.IntN(len(japaneseWomen))]
			p.Family, p.Given, p.Prefix, p.Sex, p.Native = n[0], n[1], "", "F", n[2]+n[3]
			p.Name = n[0] + "^" + n[1] + "=" + n[2] + "^" + n[3] + "=" + n[4] + "^" + n[5]
			p.set = unicode
			p.HeightM, p.WeightKg = 1.59, [3]float64{62, 58.5, 60}
		}
		p.Born = day(1944+r.IntN(24), time.Month(1+r.IntN(12)), 1+r.IntN(28))
		p.First = day(2023+r.IntN(2), time.Month(1+r.IntN(6)), 1+r.IntN(28))
		for p.First.Weekday() == time.Saturday || p.First.Weekday() == time.Sunday {
			p.First = p.First.AddDate(0, 0, 1)
		}
		p.NHS = nhsNumber(r)
		p.MRN = fmt.Sprintf("CVI%07d", 1_000_000+r.IntN(9_000_000))
		p.Address = fmt.Sprintf("%d %s, %s, West Yorkshire ZZ99 %dZZ", 1+r.IntN(190), pick(r, streets), pick(r, towns), 1+r.IntN(9))
		p.Phone = fmt.Sprintf("0113 496 0%03d", r.IntN(1000))
		p.Mobile = fmt.Sprintf("07700 900%03d", r.IntN(1000))
		p.Kin = pick(r, []string{"Mirela", "Owain", "Tamsin", "Idris"})
		p.Physician = pick(r, physicians)
		ps[i] = p
	}
	return ps
}

// A charset is a way to write an identity down.
type charset struct {
	terms  []string // (0008,0005)
	encode func(string) []byte
}

var (
	westEuropean = charset{[]string{"ISO_IR 100"}, latin1}
	japaneseJIS  = charset{[]string{"", "ISO 2022 IR 87"}, jis}
	unicode      = charset{[]string{"ISO_IR 192"}, func(s string) []byte { return []byte(s) }}
)

// latin1 encodes for ISO_IR 100. The names above stay inside it.
func latin1(s string) []byte {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xFF {
			r = '?'
		}
		out = append(out, byte(r))
	}
	return out
}

// jis encodes for ISO_IR 6 with ISO 2022 IR 87 (PS3.3 C.12.1.1.2): JIS X 0208 between escape sequences, ASCII again before each delimiter.
func jis(s string) []byte {
	var out []byte
	part := func(s string) {
		b, err := japanese.ISO2022JP.NewEncoder().Bytes([]byte(s))
		if err != nil {
			b = []byte("?")
		}
		out = append(out, b...)
	}
	for {
		i := strings.IndexAny(s, "^=\\")
		if i < 0 {
			part(s)
			return out
		}
		part(s[:i])
		out = append(out, s[i])
		s = s[i+1:]
	}
}

// written is the name as people write it down in a comment.
func (p *Person) written() string { return p.title() + p.Given + " " + p.Family }

// title is the form of address with a space behind it, or nothing.
func (p *Person) title() string {
	if p.Prefix == "" {
		return ""
	}
	return p.Prefix + " "
}

// Age at a day, in years.
func (p *Person) Age(at time.Time) int {
	n := at.Year() - p.Born.Year()
	if at.YearDay() < p.Born.YearDay() {
		n--
	}
	return n
}

// Identifiers are the strings of this identity that must be found nowhere once an object is cleaned, as UTF-8.
func (p *Person) Identifiers() []string {
	ids := []string{p.Family, p.Given, p.NHS, p.MRN, p.Address, p.Phone, p.Mobile, p.Physician[:strings.IndexByte(p.Physician, '^')], p.Born.Format("20060102")}
	if p.Native != "" {
		for _, group := range strings.Split(p.Name, "=")[1:] {
			ids = append(ids, strings.Split(group, "^")...)
		}
	}
	return ids
}
