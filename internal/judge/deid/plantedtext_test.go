package deid

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// plantedText draws something of somebody, whom no header names.
func plantedText(r *rand.Rand) string {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = '0' + byte(r.IntN(10))
		}
		return string(b)
	}
	family := pick("Gray", "Stone", "Green", "Zelazny", "Wall", "Field", "O'Hara", "Müller", "Brontovich", "Sharp", "Day", "Nkemelu", "Papadakis", "French", "Short", "Long")
	given := pick("Anthony", "Priya", "Max", "Violet", "Iris", "Oluwaseun", "Siobhán", "Zbigniew", "Megan")
	date := time.Date(1930+r.IntN(95), time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC)
	switch r.IntN(11) {
	case 0:
		n := pick("Dr ", "Mr ", "Mrs ", "Miss ", "Ms ", "Prof ", "Dr. ") + pick("", given+" ", given[:1]+" ", given[:1]+". ") + family
		return n
	case 1:
		n := pick(given+" "+family, family+", "+given, family+"^"+given, given[:1]+". "+family)
		return n
	case 2:
		nhs := validNHS(r)
		sep := pick("", " ", "-", ".")
		n := nhs[:3] + sep + nhs[3:6] + sep + nhs[6:]
		return pick("NHS ", "nhs no ", "", "NHS: ") + n
	case 3:
		area := pick("CT", "B", "M", "L", "SP", "SW", "EC", "TW", "S", "CR", "PA", "ML", "PE", "BT", "SE", "TR", "SM", "HR", "G", "CM", "CV", "GL", "PO", "AL", "FK", "IV", "SA", "DA", "N", "E")
		inward := digits(1) + pick("AA", "EP", "TR", "SE", "PA", "RF", "FA", "SR", "US", "AP", "GE", "BR", "LL", "PE", "NX")
		outward := area + fmt.Sprint(1+r.IntN(9)) + pick("", fmt.Sprint(r.IntN(10)))
		sep := pick(" ", "", "  ")
		return pick(strings.ToLower(outward+sep+inward), outward+sep+inward)
	case 4:
		phone := pick("0121 496 ", "020 7946 ", "+44 161 496 ", "07700 900", "(0113) 496 ", "01632-960-") + digits(pick2(r, 3, 4))
		return pick("tel ", "phone: ", "", "ring ") + phone
	case 5:
		house := fmt.Sprint(1 + r.IntN(200))
		street := pick("Stone", "Wall", "Green", "Leawood", "Bone", "High", "Short", "Field") + " " + pick("Street", "Road", "Lane", "Avenue", "Crescent")
		return house + " " + street
	case 6, 7:
		layout := pick("2 January 2006", "02/01/2006", "2.1.06", "2006-01-02", "20060102", "Jan 2, 2006", "2 Jan 06", "02Jan2006", "02Jan06", "January 2006", "Jan-06", "2nd of January 2006",
			"02-01-06", "2/1/2006", "1.2.2006", "02 01 2006", "060102", "2Jan", "Jan 2")
		d := date.Format(layout)
		return pick("dob ", "born ", "", "on ", "seen ") + d
	case 8:
		age := fmt.Sprint(90 + r.IntN(20))
		n := age + pick(" year old", "yo", "y", " yrs", "-year-old", " y/o", "F", "M")
		return n
	case 9:
		n := strings.ToLower(given[:1]) + "." + pick("stone", "wall", "zelazny") + "@" + pick("lung.org", "nhs.net", "chest.example")
		return n
	default:
		n := pick("MRN ", "hosp no ", "ref ", "acc ", "ID ", "") + pick("RX", "H", "AB", "MR", "CT") + digits(pick2(r, 4, 7))
		return n
	}
}

func pick2(r *rand.Rand, low, high int) int { return low + r.IntN(high-low+1) }

func validNHS(r *rand.Rand) string {
	for {
		n := fmt.Sprintf("%010d", r.Int64N(1e10))
		if HasNHSNumber(n) && n[0] != '0' {
			return n
		}
	}
}

// Of what is planted in descriptors nothing is left; of the descriptors themselves, nearly all.
func TestPlantedText(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 7))
	phrases := []string{"CT chest", "MR BRAIN WO", "T2 axial", "knee left", "Thorax routine B31f", "PET whole body FDG", "US abdomen", "mammogram bilateral CC MLO", "spine lumbar", "follow up lesion"}
	harmless := wordSet("of yrs id ref ring old year on seen no born and") // what may be left of what surrounds it
	leaks, kept, all := 0, 0, 0
	for range 20000 {
		planted := plantedText(r)
		phrase := phrases[r.IntN(len(phrases))]
		s := phrase + " " + planted
		if r.IntN(2) == 0 {
			s = planted + ", " + phrase
		}
		if r.IntN(4) == 0 {
			s = strings.ReplaceAll(s, " ", "_")
		}
		w := &words{}
		got, _ := w.clean(s)
		for f := range strings.FieldsFuncSeq(got, func(r rune) bool { return !letter(byte(r)) && !digit(byte(r)) && r < 0x80 }) {
			if !slices.Contains(strings.Fields(phrase), f) && !harmless[strings.ToLower(f)] {
				if leaks++; leaks < 40 {
					t.Errorf("%q leaves %q", s, got)
				}
				break
			}
		}
		for _, word := range strings.Fields(phrase) {
			all++
			if strings.Contains(strings.ReplaceAll(got, "_", " "), word) {
				kept++
			} else if all-kept < 20 {
				t.Logf("%q becomes %q", s, got)
			}
		}
	}
	t.Logf("%d leaks; %d of %d clinical words stay beside them", leaks, kept, all)
	if kept < all*999/1000 {
		t.Errorf("%d of %d clinical words stay", kept, all)
	}
}
