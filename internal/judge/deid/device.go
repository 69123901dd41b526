package deid

import (
	_ "embed"
	"strings"
	"sync"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// What names a device is words that no vocabulary of the clinic has: makers, products, software; and what the staff of a site call their machines, who
// may call them after anybody. So the names that makers give are listed, what looks like a code stays, and any other word makes of the whole value
// a keyed code, the same wherever the value is the same: devices stay apart.

//go:embed equipment.txt
var equipmentList string

// equipmentWords are the further words that names of devices may keep, in lower case.
var equipmentWords = sync.OnceValue(func() map[string]struct{} {
	m := map[string]struct{}{}
	for line := range strings.Lines(equipmentList) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, w := range strings.FieldsFunc(strings.ToLower(line), func(r rune) bool { return r >= 0x80 || !alnum(byte(r)) }) {
			m[w] = struct{}{}
		}
	}
	return m
})

// numbered are the elements that tell devices apart by a number.
var numbered = map[dicom.Tag]bool{
	dicom.TagDeviceSerialNumber: true, dicom.TagPlateID: true, dicom.TagGeneratorID: true, dicom.TagCassetteID: true, dicom.TagGantryID: true,
	dicom.TagUniqueDeviceIdentifier: true, dicom.TagSecondaryCaptureDeviceID: true, dicom.TagHardcopyCreationDeviceID: true, dicom.TagDetectorID: true,
	dicom.TagXRaySourceID: true, dicom.TagXRayDetectorID: true, dicom.TagSourceSerialNumber: true, dicom.TagManufacturerDeviceIdentifier: true,
	dicom.TagLensSerialNumber: true,
}

// deviceConcepts are the concepts of PS3.16 Annex D whose text is a device's, and who calls it so: by a serial number, or as its maker does. Of the
// others that Table E.3.4-1 retains under Retain Device Identity it is the site.
var deviceConcepts = map[string]opcode{
	"113880": opSerial,    // Device Serial Number
	"121016": opSerial,    // Device Observer Serial Number
	"121196": opSerial,    // Device Subject Serial Number
	"113832": opSerial,    // Identification of the X-Ray Source
	"121014": opTechnical, // Device Observer Manufacturer
	"121015": opTechnical, // Device Observer Model Name
	"121194": opTechnical, // Device Subject Manufacturer
	"121195": opTechnical, // Device Subject Model Name
	"113878": opTechnical, // Device Manufacturer
	"113879": opTechnical, // Device Model Name
	"111001": opTechnical, // Algorithm Name
	"111003": opTechnical, // Algorithm Version
}

// deviceOp is the operation on an element that tells a device.
func deviceOp(t dicom.Tag) opcode {
	if numbered[t] {
		return opSerial
	}
	return opStation
}

// wordy are the elements of equipment whose words say how something was made, not who is who: what has nothing left is emptied, and no code says it.
var wordy = map[dicom.Tag]bool{
	dicom.TagConvolutionKernel: true, dicom.TagFilterType: true, dicom.TagRadiopharmaceutical: true, dicom.TagAttenuationCorrectionMethod: true,
	dicom.TagReconstructionMethod: true, dicom.TagScatterCorrectionMethod: true, dicom.TagRescaleType: true, dicom.TagPlateType: true,
}

// device judges a name of a device: as it is, or a code with what may stay of it.
func (c *pass) device(i int, op opcode, vr dicom.VR) memoized {
	t := c.ds.At(i).Tag
	values := c.ds.Strings(i)
	if vr.SingleValued() {
		values = []string{c.ds.Text(i)}
	}
	lost, rest := false, false
	for k, v := range values {
		v = strings.Trim(v, " \x00")
		values[k] = v
		if v == "" || c.words.technical(v, op == opSerial) && c.words.device(v, op) {
			rest = rest || v != ""
			continue
		}
		lost = true
		c.words.equipped = true
		clean, _ := c.words.clean(v)
		c.words.equipped = false
		rest = rest || clean != ""
		switch {
		case wordy[t]:
		case clean == "" || len(clean)+1+codeSize > longestName(vr):
			clean = c.codeFor(v)
		default:
			clean += " " + c.keys.Code(v)
		}
		values[k] = clean
	}
	switch {
	case !lost && len(values) > 0:
		return memoized{}
	case strings.Join(values, "") == "":
		return memoized{verdict: emptiedValue}
	case !rest:
		return memoized{replacedValue, []byte(strings.Join(values, `\`))}
	}
	return memoized{cleanedValue, []byte(strings.Join(values, `\`))}
}

// codeSize are the characters of [Keys.Code].
const codeSize = 9

// longestName is how many characters a name of a device may have (PS3.5 6.2).
func longestName(vr dicom.VR) int {
	if vr == dicom.VRSH {
		return 16
	}
	return 64
}

// device reports a text of which every word is ordinary, a maker's or a product's, or looks like a code. It follows technical, which looks for what is the
// subject's.
func (w *words) device(s string, op opcode) bool {
	if s = withoutCode(s); identifies([]byte(s)) {
		return false
	}
	var space [32]token
	tokens := tokenize(space[:0], s)
	for i := range tokens {
		t := &tokens[i]
		switch text := s[t.start:t.end]; t.kind {
		case tokenOther:
			return false
		case tokenNumber:
			t.keep = op != opStation || w.number(text)
		case tokenWord:
			t.keep = w.gear(text, op)
		}
		if !t.keep {
			return false
		}
	}
	if op == opStation {
		dropNumberRuns(s, tokens)
	}
	if op != opSerial {
		low := strings.ToLower(s)
		dropNames(s, tokens, func(i int) string {
			if i < 0 || i >= len(tokens) {
				return ""
			}
			return low[tokens[i].start:tokens[i].end]
		}, func(i int) string { return low[tokens[i].end:tokens[i+1].start] })
	}
	for i := range tokens {
		if !tokens[i].keep {
			return false
		}
	}
	return true
}

// withoutCode is s without a code that was put at its end when it was cleaned before.
func withoutCode(s string) string {
	if n := len(s) - codeSize; n >= 0 && isOpaque([]byte(s[n:])) && (n == 0 || s[n-1] == ' ') {
		return s[:n]
	}
	return s
}

// gear decides on a word of a device's name.
func (w *words) gear(s string, op opcode) bool {
	low := strings.ToLower(s)
	if w.called(low) || len(s) == 1 {
		return true
	}
	digits := 0
	for i := range len(s) {
		if digit(s[i]) {
			digits++
		}
	}
	if digits == 0 {
		return w.runTogether(s)
	}
	if len(s) >= 7 && digits >= 2 && strings.Trim(low, "0123456789abcdef") == "" {
		return true // a hash of software
	}
	// Letters beside digits: few of them are a code, more have to be a word.
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && letter(s[j]) == letter(s[i]) {
			j++
		}
		run := s[i:j]
		if letter(run[0]) && len(run) > 1 && !w.called(low[i:j]) && !w.runTogether(run) {
			switch {
			case len(run) > 3, op == opStation && len(run) == 3 && digits < 3, op == opStation && digits < 2:
				return false
			}
		}
		i = j
	}
	return true
}

// called reports a word of the vocabulary, a maker or a product.
func (w *words) called(low string) bool {
	if w.known(low) && !marked(low) {
		return true
	}
	_, ok := equipmentWords()[low]
	return ok && !w.echoes(low)
}

// runTogether reports such words run together: TrioTim, HeadNeck, TOSHIBAmec.
func (w *words) runTogether(s string) bool {
	start, n := 0, 0
	for i := 1; i <= len(s); i++ {
		if i < len(s) && !(s[i] >= 'A' && s[i] <= 'Z' && s[i-1] >= 'a') {
			continue
		}
		if part := strings.ToLower(s[start:i]); len(part) < 2 || !w.called(part) {
			return false
		}
		start = i
		n++
	}
	return n > 1
}

// coded decides on a code of a standard's scheme: what such codes hold is letters and digits, few letters together, or words.
func (w *words) coded(s string) bool {
	if !w.technical(s, true) {
		return false
	}
	for run := range strings.FieldsFuncSeq(s, func(r rune) bool { return r >= 0x80 || !letter(byte(r)) }) {
		if len(run) <= 4 {
			continue
		}
		low := strings.ToLower(run)
		if _, ok := defined()[low]; !ok && !w.known(low) {
			return false
		}
	}
	return true
}
