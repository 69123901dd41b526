package plant

import (
	"fmt"
	"strings"
)

var family = strings.Fields("SMITH Jones TAYLOR Brown WILLIAMS Wilson JOHNSON Davies PATEL Wright WALKER Hughes EDWARDS Okafor KOWALSKI Nguyen MURPHY Ahmed SINGH Fletcher THORNTON Villeneuve")
var given = strings.Fields("Anna JOHN Mary PETER Olivia GEORGE Amelia HARRY Isla JACK Fatima KHALID Zofia TOMASZ Wei MEI Aoife SEAN Priya RAJ Elizabeth BARTHOLOMEW Jo")
var places = strings.Fields("ROYAL General NORTHFIELD Infirmary ST.MARY Hospital CLINIC Radiology UNIVERSITY Trust WARD Westbrook")
var jargon = strings.Fields("MI TIS 0.9 L12-5 FR 23Hz Gen P R LT RT BREAST LIVER Depth 12cm AP SUPINE PORTABLE kVp 120 mA ZOOM Image SE IM W L SLICE THK FOV")

// Say is a short text as one finds it on images: who, when, where, or one word.
func Say(r *Rand) string {
	date := func() string {
		return fmt.Sprintf(Pick(r, []string{"%02d/%02d/%04d", "%02d.%02d.%04d", "%02d-%02d-%04d"}), 1+r.Intn(28), 1+r.Intn(12), 1930+r.Intn(95))
	}
	switch r.Intn(11) {
	case 0:
		return Pick(r, family) + ", " + Pick(r, given)
	case 1:
		return Pick(r, family) + " " + Pick(r, given) + " " + date()
	case 2:
		return date()
	case 3:
		return fmt.Sprintf("ID: %07d", r.Intn(10000000))
	case 4:
		return fmt.Sprintf("%s %02d:%02d:%02d", date(), r.Intn(24), r.Intn(60), r.Intn(60))
	case 5:
		return Pick(r, places) + " " + Pick(r, places)
	case 6:
		return Pick(r, family)
	case 7:
		return fmt.Sprintf("DOB %s", date())
	case 8:
		return fmt.Sprintf("%s %s %s", Pick(r, jargon), Pick(r, jargon), Pick(r, jargon))
	case 9:
		return fmt.Sprintf("%06d", r.Intn(1000000))
	}
	return Pick(r, given) + " " + Pick(r, family)
}

// label is a short text of two to four signs: a measure, a side, a name of a sequence or of a position.
func label(r *Rand) string {
	switch r.Intn(7) {
	case 0:
		return fmt.Sprintf("%d%%", 1+r.Intn(100))
	case 1:
		return fmt.Sprintf("%c%d", 'A'+r.Intn(26), r.Intn(100))
	case 2:
		return fmt.Sprintf("%d%s", 1+r.Intn(99), Pick(r, []string{"cm", "Hz", "s", "mm", "x", "y", "F", "M", "kV"}))
	case 3:
		return fmt.Sprintf("%d.%d", r.Intn(100), r.Intn(10))
	case 4:
		return Pick(r, jargon)
	case 5:
		return fmt.Sprintf("T%d%s", 1+r.Intn(2), Pick(r, []string{"w", "W", "*", ""}))
	}
	return fmt.Sprintf("%d", 10+r.Intn(9990))
}

// letters of scripts; Arabic in the forms that stand joined (Presentation Forms-B).
var letters = map[string][]rune{
	"Cyrillic": []rune("АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЭЮЯабвгдежзийклмнопрстуфхцчшщыэюя"),
	"Greek":    []rune("ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρστυφχψω"),
	"CJK":      []rune("山田太郎王小明李華張偉佐藤鈴木高橋病院東京大学医学部患者氏名年月日性別男女検査中国北京上海林黄陳劉楊趙周"),
	"Kana":     []rune("アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワンあいうえおかきくけこさしすせそ"),
	"Arabic":   nil,
}

// Scripts are those that a face may have besides Latin.
var Scripts = []string{"Cyrillic", "Greek", "CJK", "Kana", "Arabic"}

// SayIn is a short text in a script, of letters that the face has; empty if it has none.
func SayIn(r *Rand, script string, f *Face) string {
	if script == "digits" {
		return fmt.Sprintf("%02d-%02d-%04d", 1+r.Intn(28), 1+r.Intn(12), 1930+r.Intn(95))
	}
	if script == "Arabic" { // word by word from right to left: a final form, middle forms, an initial form
		if !f.Has(0xFE91) || !f.Has(0xFEE2) {
			return ""
		}
		initial := []rune{0xFE91, 0xFE97, 0xFE9F, 0xFEA3, 0xFEB3, 0xFEB7, 0xFECB, 0xFED3, 0xFEDF, 0xFEE3, 0xFEE7, 0xFEF3}
		medial := []rune{0xFE92, 0xFE98, 0xFEA0, 0xFEA4, 0xFEB4, 0xFEB8, 0xFECC, 0xFED4, 0xFEE0, 0xFEE4, 0xFEE8, 0xFEF4}
		final := []rune{0xFE8E, 0xFE90, 0xFE96, 0xFEAA, 0xFEAE, 0xFEB2, 0xFEDE, 0xFEE2, 0xFEE6, 0xFEEA, 0xFEF2}
		var words []string
		for range 2 + r.Intn(3) {
			w := []rune{Pick(r, final)}
			for range 1 + r.Intn(3) {
				w = append(w, Pick(r, medial))
			}
			words = append(words, string(append(w, Pick(r, initial))))
		}
		return strings.Join(words, " ")
	}
	var have []rune
	for _, c := range letters[script] {
		if f.Has(c) {
			have = append(have, c)
		}
	}
	if len(have) < 20 {
		return ""
	}
	var b strings.Builder
	n, space := 6+r.Intn(12), 3+r.Intn(5)
	if script == "CJK" || script == "Kana" {
		n, space = 4+r.Intn(6), 3+r.Intn(3)
	}
	for i := range n {
		if i > 0 && i%space == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(Pick(r, have))
	}
	return b.String()
}
