package deid

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// verdict is what becomes of a value.
type verdict uint8

const (
	keepValue verdict = iota
	fallBack          // the value cannot stay: the Basic Profile's action, or empty
	cleanedValue
	replacedValue
	remappedValue
	shiftedValue
	emptiedValue
)

const maxRemembered = 512 // bytes of a value whose verdict is remembered

// value judges the value of entry i and does what is decided.
func (c *pass) value(i int, r rule, vr dicom.VR) {
	raw := c.ds.Value(i)
	remember := len(raw) <= maxRemembered && r.op != opScheme && plainText(raw)
	if remember {
		if m, ok := c.memo[string(c.work.opKey(r, c.ds.At(i).Tag, raw))]; ok {
			c.apply(i, r, m)
			return
		}
	}
	m := c.decide(i, r, vr, raw)
	if remember {
		c.remember(r, c.ds.At(i).Tag, raw, m)
	}
	c.apply(i, r, m)
}

// remember keeps what an operation makes of a value.
func (c *pass) remember(r rule, t dicom.Tag, raw []byte, m memoized) {
	if len(c.memo) >= maxMemo {
		clear(c.memo)
	}
	c.memo[string(c.work.opKey(r, t, raw))] = m
}

// plainText reports bytes that mean the same under every Specific Character Set.
func plainText(b []byte) bool {
	for _, ch := range b {
		if ch >= 0x80 || ch == 0x1B {
			return false
		}
	}
	return true
}

func (c *pass) apply(i int, r rule, m memoized) {
	switch m.verdict {
	case keepValue:
		c.res.Actions.Kept++
	case cleanedValue:
		c.set(i, m.raw, Altered)
	case replacedValue:
		c.set(i, m.raw, Replaced)
	case remappedValue:
		c.set(i, m.raw, Remapped)
	case shiftedValue:
		c.set(i, m.raw, Shifted)
	case emptiedValue:
		c.emptyOrDummy(i, r)
	case fallBack:
		if r.basic == ActionU {
			c.remove(i)
			return
		}
		c.basic(i, r)
	}
}

// emptyOrDummy leaves nothing of a value. Where the attribute may be of type 1, a dummy keeps the object valid.
func (c *pass) emptyOrDummy(i int, r rule) {
	t := c.ds.At(i).Tag
	if c.lost(i) {
		return
	}
	if t == dicom.TagTextValue || t == dicom.TagUnformattedTextValue {
		c.dummyValue(i, r)
		return
	}
	if t == dicom.TagGraphicLayer {
		c.layer(i)
		return
	}
	if t == dicom.TagRescaleType {
		c.set(i, []byte("US"), Replaced) // unspecified (PS3.3 C.11.1.1.2)
		return
	}
	typeOne := typeOneText(t) || r.basic == ActionD || c.strict && (r.basic == 0 || r.basic == ActionXD || r.basic == ActionZD || r.basic == ActionXZD) || t == dicom.TagImageType ||
		t == dicom.TagFluenceModeID
	if typeOne {
		if d, ok := dummy(r.vr, c.ds.At(i).VR); ok {
			c.set(i, d, Replaced)
			return
		}
	}
	c.empty(i)
}

// typeOneText reports elements of text that are of type 1 wherever they stand and whose type no row of Table E.1-1 gives away (PS3.3 C).
func typeOneText(t dicom.Tag) bool {
	switch t {
	case dicom.TagContentLabel, dicom.TagSegmentLabel, dicom.TagLUTLabel, dicom.TagLUTExplanation, dicom.TagTrackSetLabel, dicom.TagFiducialIdentifier,
		dicom.TagPropertyLabel, dicom.TagModalityLUTType, dicom.TagAlgorithmName, dicom.TagAlgorithmVersion:
		return true
	}
	return false
}

// layer names a graphic layer whose own name cannot stay: annotations refer to layers by their names, so that one name has one number.
func (c *pass) layer(i int) {
	if c.layers == nil {
		c.layers = map[string]int{}
	}
	name := c.ds.Text(i)
	n, ok := c.layers[name]
	if !ok {
		n = len(c.layers) + 1
		c.layers[name] = n
	}
	c.set(i, []byte("LAYER "+strconv.Itoa(n)), Replaced)
}

// decide judges a value by its rule.
func (c *pass) decide(i int, r rule, vr dicom.VR, raw []byte) memoized {
	if r.own != 0 {
		if more := c.profile.own.rules[r.own-1].words; more != nil {
			c.words.extra = more
			defer func() { c.words.extra = nil }()
		}
	}
	switch r.op {
	case opOwnReplace, opOwnGeneralise:
		return c.ownValue(r, raw)
	case opUID:
		return c.uids(raw)
	case opProfile:
		// A colour profile has its signature (ICC.1 7.2); what has none is something else.
		if len(raw) < 128 || string(raw[36:40]) != "acsp" {
			return memoized{verdict: fallBack}
		}
		return memoized{}
	case opKeepUID:
		return c.keepUIDs(raw)
	case opDate:
		return c.dates(r.vr, raw, c.weeks)
	case opKeepDate:
		if m := c.dates(r.vr, raw, 0); m.verdict == fallBack {
			return m
		}
		return memoized{}
	case opAge:
		age, ok := capAge(raw, c.profile.Generalise)
		switch {
		case !ok:
			return memoized{verdict: fallBack}
		case age == string(bytes.Trim(raw, " \x00")):
			return memoized{}
		}
		return memoized{replacedValue, []byte(age)}
	case opRound:
		return c.round(i, raw)
	case opYears:
		return c.years(raw)
	case opCode:
		return c.codes(c.ds.At(i).Tag, raw)
	case opLink:
		var codes []string
		for _, v := range c.ds.Strings(i) {
			codes = append(codes, c.codeFor(v))
		}
		return memoized{replacedValue, []byte(strings.Join(codes, `\`))}
	case opScheme:
		return c.scheme(i, raw)
	case opTechnical, opSerial, opStation:
		return c.device(i, r.op, r.vr)
	case opPlace:
		if c.words.technical(string(bytes.Trim(raw, " \x00")), true) {
			return memoized{}
		}
		return c.text(i, r, vr)
	case opText:
		return c.text(i, r, vr)
	case opListed:
		c.words.enumerated = true
		m := c.text(i, r, vr)
		c.words.enumerated = false
		if m.verdict == cleanedValue {
			m.raw = bytes.ToUpper(m.raw)
		}
		return m
	case opEthnic:
		c.words.extra = ethnic
		m := c.text(i, r, vr)
		c.words.extra = nil
		return m
	}
	return memoized{verdict: fallBack}
}

// text lets through the words of the vocabulary, each value by itself.
func (c *pass) text(i int, r rule, vr dicom.VR) memoized {
	var values []string
	if vr.SingleValued() || r.vr.SingleValued() {
		values = []string{c.ds.Text(i)}
	} else {
		values = strings.Split(c.ds.Text(i), `\`)
	}
	if values[0] == "" && len(values) == 1 && len(bytes.Trim(c.ds.Value(i), " \x00")) > 0 {
		return memoized{verdict: fallBack} // not readable as text
	}
	lost, any := false, false
	for k, v := range values {
		v = strings.Trim(v, " \x00")
		clean, less := c.words.clean(v)
		lost = lost || less
		any = any || clean != ""
		values[k] = clean
	}
	switch {
	case !lost:
		return memoized{}
	case !any:
		return memoized{verdict: emptiedValue}
	}
	return memoized{cleanedValue, []byte(strings.Join(values, `\`))}
}

// uids maps each UID that is not the standard's.
func (c *pass) uids(raw []byte) memoized {
	var out []byte
	changed := false
	for k, v := range bytes.Split(raw, []byte{'\\'}) {
		if k > 0 {
			out = append(out, '\\')
		}
		v = trimmedUID(v)
		if len(v) == 0 || standardUID(v) {
			out = append(out, v...)
			continue
		}
		changed = true
		out = append(out, c.uid(v)...)
	}
	if !changed {
		return memoized{}
	}
	return memoized{remappedValue, out}
}

// keepUIDs leaves UIDs as they are, if they are such: another text is mapped like one.
func (c *pass) keepUIDs(raw []byte) memoized {
	for v := range bytes.SplitSeq(raw, []byte{'\\'}) {
		if v = trimmedUID(v); len(v) > 0 && !dicom.ValidUID(string(v)) {
			return c.uids(raw)
		}
	}
	return memoized{}
}

// dates shifts each date and cuts each time of day.
func (c *pass) dates(vr dicom.VR, raw []byte, weeks int) memoized {
	out := make([]byte, 0, len(raw)+2)
	for k, v := range bytes.Split(raw, []byte{'\\'}) {
		if k > 0 {
			out = append(out, '\\')
		}
		if len(bytes.Trim(v, " \x00")) == 0 {
			continue
		}
		ok := false
		switch vr {
		case dicom.VRDA:
			out, ok = shiftDA(out, v, weeks)
		case dicom.VRDT:
			out, ok = shiftDT(out, v, weeks, c.profile.Generalise)
		case dicom.VRTM:
			out, ok = cutTM(out, v, c.profile.Generalise)
		}
		if !ok {
			return memoized{verdict: fallBack}
		}
	}
	if bytes.Equal(out, bytes.TrimRight(raw, " \x00")) {
		return memoized{}
	}
	return memoized{shiftedValue, out}
}

// round brings a size or weight to a grid on which people are many.
func (c *pass) round(i int, raw []byte) memoized {
	v, err := strconv.ParseFloat(string(bytes.Trim(raw, " \x00")), 64)
	if err != nil || v < 0 || v > 1000 {
		return memoized{verdict: fallBack}
	}
	step, low, high := 5.0, 0.0, 120.0 // kg
	if c.ds.At(i).Tag == dicom.TagPatientSize {
		step, low, high = 0.05, 0, 2.0 // m
	}
	v = min(max(float64(int(v/step+0.5))*step, low), high)
	return memoized{replacedValue, []byte(strconv.FormatFloat(v, 'g', 4, 64))}
}

// codes checks CS values: capitals, digits, space and underscore, sixteen at most (PS3.5 6.2). A value that is none, or has digits enough for a date,
// or a word that is neither the standard's nor ordinary, is judged as text.
func (c *pass) codes(t dicom.Tag, raw []byte) memoized {
	values := strings.Split(string(raw), `\`)
	if t == dicom.TagSpecificCharacterSet {
		for k := range values {
			values[k] = strings.Trim(values[k], " \x00")
		}
		if _, err := dicom.ParseCharacterSets(values); err != nil {
			return memoized{verdict: emptiedValue} // all text that is left is ASCII
		}
		return memoized{}
	}
	lost, any := false, false
	for k, v := range values {
		v = strings.Trim(v, " \x00")
		values[k] = v
		if !c.code(v) {
			clean, _ := c.words.clean(v)
			if clean = strings.ToUpper(clean); clean != v {
				lost = true
			}
			if len(clean) > 16 {
				clean = ""
			}
			values[k] = clean
		}
		any = any || values[k] != ""
	}
	switch {
	case !lost:
		return memoized{}
	case !any:
		return memoized{verdict: emptiedValue}
	}
	return memoized{cleanedValue, []byte(strings.Join(values, `\`))}
}

func (c *pass) code(v string) bool {
	if len(v) > 16 {
		return false
	}
	run := 0
	for i := range len(v) {
		ch := v[i]
		switch {
		case digit(ch):
			if run++; run >= 6 {
				return false
			}
			continue
		case ch >= 'A' && ch <= 'Z', ch == ' ', ch == '_':
		default:
			return false
		}
		run = 0
	}
	// Words of more than four letters have to be terms that the standard defines, or of the vocabulary: a name looks like any other code.
	for w := range strings.FieldsFuncSeq(v, func(r rune) bool { return r < 'A' || r > 'Z' }) {
		low := strings.ToLower(w)
		_, ordinary := vocabulary()[low]
		if ordinary {
			continue
		}
		if _, ok := defined()[low]; c.words.echoes(low) || len(low) > 4 && !ok {
			return false
		}
	}
	return true
}

// schemes are the coding schemes whose codes mean the same everywhere (PS3.16 8).
var schemes = map[string]bool{
	"DCM": true, "SCT": true, "SRT": true, "SNM3": true, "LN": true, "UCUM": true, "UMLS": true, "FMA": true, "MA": true, "I9": true, "I9C": true,
	"I10": true, "I10P": true, "I11": true, "ICDO3": true, "RADLEX": true, "BI": true, "C4": true, "CPT4": true, "CD2": true, "RFC3066": true,
	"RFC5646": true, "ISO3166_1": true, "ISO639_1": true, "ISO639_2": true, "ISO5218_1": true, "ISO_OID": true, "RXNORM": true, "NCIT": true,
	"NCIt": true, "PUBCHEM_CID": true, "NEU": true, "MDC": true, "IBSI": true, "UNS": true, "HGNC": true, "GDC": true, "NDC": true, "UBERON": true,
	"ITIS_TSN": true, "NICIP": true, "LOINC": true, "99SDM": true, "SNOMED-RT": true, "HCPCS": true, "UPC": true, "DC": true, "POS": true, "SCPECG": true,
}

// scheme judges the elements of a coded entry (PS3.3 8.8). A code of a standard scheme stays, its meaning by the vocabulary; a site's own code is
// kept only if it reads as ordinary words, since a private list may enumerate anything.
func (c *pass) scheme(i int, raw []byte) memoized {
	el := c.ds.At(i)
	parent := int(el.Parent)
	standard := schemes[c.ds.StringIn(parent, dicom.TagCodingSchemeDesignator)]
	text := string(bytes.Trim(raw, " \x00"))
	replace := func(s string) memoized {
		if s == text {
			return memoized{}
		}
		return memoized{replacedValue, []byte(s)}
	}
	switch el.Tag {
	case dicom.TagCodingSchemeDesignator:
		if standard {
			return memoized{}
		}
		return replace("99REMOVED")
	case dicom.TagCodingSchemeVersion:
		if standard && c.words.coded(text) {
			return memoized{}
		}
		return memoized{verdict: emptiedValue}
	case dicom.TagCodeMeaning:
		if standard && text != "" && text == c.ds.StringIn(parent, dicom.TagCodeValue) && c.words.coded(text) {
			return memoized{}
		}
		clean, lost := c.words.clean(c.ds.Text(i))
		switch {
		case !lost:
			return memoized{}
		case clean != "":
			return memoized{cleanedValue, []byte(clean)}
		case standard:
			if v := c.ds.StringIn(parent, dicom.TagCodeValue); v != "" && c.words.coded(v) {
				return replace(v)
			}
		}
		return replace(removedText)
	}
	if standard && el.Tag != dicom.TagURNCodeValue && c.words.coded(text) {
		return memoized{}
	}
	if _, lost := c.words.clean(text); !lost {
		return memoized{}
	}
	switch el.Tag {
	case dicom.TagURNCodeValue:
		return replace("urn:removed")
	case dicom.TagLongCodeValue: // it has more than sixteen characters (PS3.3 8.1)
		return replace("REMOVED LONG CODE")
	}
	return replace(removedText)
}

// dummyCode puts a code that names nobody in the place of one that identifies a person.
func (c *pass) dummyCode(i int) bool {
	el := c.ds.At(i)
	plain := dicom.ExplicitVRLittleEndian
	switch {
	case el.Implicit():
		plain = dicom.ImplicitVRLittleEndian
	case el.BigEndian():
		plain = dicom.ExplicitVRBigEndian
	}
	raw, err := dicom.NewBuilder(plain).Items(func(b *dicom.Builder) {
		b.String(dicom.TagCodeValue, removedText)
		b.String(dicom.TagCodingSchemeDesignator, "99REMOVED")
		b.String(dicom.TagCodeMeaning, removedText)
	})
	if err != nil {
		c.remove(i)
		return false
	}
	c.edit.SetElement(i, el.VR, raw)
	c.did(i, Replaced)
	return false
}
