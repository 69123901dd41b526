package deid

import (
	"bytes"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// What a collection's own rules do to one object: which of them hold for it, and what becomes of its values.

// variantOf are the rules that apply to a data set.
func (s *Subject) variantOf(ds *dicom.Dataset) *variant {
	own := s.profile.own
	var key []byte
	if own.dependOn {
		key = s.work.keyBuf[:0]
		for _, t := range [...]dicom.Tag{dicom.TagSOPClassUID, dicom.TagModality, dicom.TagManufacturer, dicom.TagManufacturerModelName, dicom.TagImageType} {
			if i := ds.Find(t); i >= 0 {
				key = append(key, ds.Value(i)...)
			}
			key = append(key, '\n')
		}
		s.work.keyBuf = key
	}
	if v, ok := s.work.variants[string(key)]; ok {
		return v
	}
	applies := make([]bool, len(own.rules))
	for k := range own.rules {
		applies[k] = own.rules[k].fits(ds)
	}
	v := s.profile.variant(applies)
	if len(s.work.variants) >= maxVariants || s.work.variants == nil {
		s.work.variants = map[string]*variant{}
	}
	s.work.variants[string(key)] = v
	return v
}

// variant is the one for rules that apply.
func (p *Profile) variant(applies []bool) *variant {
	own := p.own
	key := make([]byte, len(applies))
	for i, a := range applies {
		if a {
			key[i] = 1
		}
	}
	own.mu.Lock()
	defer own.mu.Unlock()
	if v := own.variants[string(key)]; v != nil {
		return v
	}
	v := &variant{profile: p, applies: applies, private: map[string]map[uint32]rule{}, chosen: map[uint32]bool{}, object: -1}
	for k := range own.rules {
		o := &own.rules[k]
		if !applies[k] {
			continue
		}
		if o.choosesNone() && v.object < 0 {
			v.object = k
		}
		for _, e := range o.private {
			if len(o.vrs) > 0 && !slices.Contains(o.vrs, e.vr) {
				continue
			}
			r, why := p.privateRule(k, e.vr)
			if why != "" {
				continue
			}
			in := v.private[e.creator]
			if in == nil {
				in = map[uint32]rule{}
				v.private[e.creator] = in
			}
			if at := uint32(e.group)<<8 | uint32(e.low); in[at].own == 0 {
				in[at], v.chosen[at] = r, true
			}
		}
	}
	if len(own.variants) >= maxVariants || own.variants == nil {
		own.variants = map[string]*variant{}
	}
	own.variants[string(key)] = v
	return v
}

// fits reports that a rule may apply to the elements of a data set.
func (r *ownRule) fits(ds *dicom.Dataset) bool {
	if !r.dependsOnObject() {
		return true
	}
	one := func(patterns []string, t dicom.Tag) bool {
		return len(patterns) == 0 || matchesPattern(patterns, ds.String(t))
	}
	if !one(r.modality, dicom.TagModality) || !one(r.manufacturer, dicom.TagManufacturer) || !one(r.model, dicom.TagManufacturerModelName) {
		return false
	}
	if len(r.sopClass) > 0 && !slices.Contains(r.sopClass, ds.UID(dicom.TagSOPClassUID)) {
		return false
	}
	if len(r.imageType) > 0 {
		i := ds.Find(dicom.TagImageType)
		return i >= 0 && slices.ContainsFunc(ds.Strings(i), func(v string) bool { return matchesPattern(r.imageType, v) })
	}
	return true
}

// matchesPattern reports that a value is one of the patterns, in whatever case; a star stands for any characters.
func matchesPattern(patterns []string, v string) bool {
	v = strings.ToUpper(strings.Trim(v, " \x00"))
	return slices.ContainsFunc(patterns, func(p string) bool { return globMatch(p, v) })
}

// globMatch takes time that grows with the product of the lengths, whatever the pattern.
func globMatch(p, s string) bool {
	star, at := -1, 0
	i, j := 0, 0
	for i < len(s) {
		switch {
		case j < len(p) && p[j] == '*':
			star, at = j, i
			j++
		case j < len(p) && p[j] == s[i]:
			i++
			j++
		case star >= 0:
			at++
			i, j = at, star+1
		default:
			return false
		}
	}
	for j < len(p) && p[j] == '*' {
		j++
	}
	return j == len(p)
}

// prepareOwn looks up every entry's rule where the profile has rules of its own.
func (s *Subject) prepareOwn(ds *dicom.Dataset) {
	v := s.variantOf(ds)
	s.work.variant = v
	content := false
	known := map[dicom.Tag]rule(nil)
	if m := v.rules.Load(); m != nil {
		known = *m
	}
	for i := range s.work.rules {
		el := ds.At(i)
		if el.IsItem() {
			s.work.rules[i] = rule{op: opWalk}
			continue
		}
		t := el.Tag
		content = content || t == dicom.TagValueType
		if r, ok := known[t]; ok {
			s.work.rules[i] = r
			continue
		}
		if t.IsPrivate() && !t.IsPrivateCreator() {
			s.work.rules[i] = s.profile.ruleOf(ds, i, nil)
			if at := uint32(t.Group())<<8 | uint32(t&0xFF); v.chosen[at] && !t.IsGroupLength() {
				if r, ok := v.private[strings.Trim(ds.Creator(i), " \x00")][at]; ok {
					s.work.rules[i] = r
				}
			}
			continue
		}
		s.work.rules[i] = v.rule(t)
	}
	if content {
		s.contentItems(ds)
	}
	if s.work.hits == nil {
		s.work.hits = make([]int32, len(s.profile.own.rules))
	}
	clear(s.work.hits)
}

// heldByRule says which own rules hold the object.
func (s *Subject) heldByRule(ds *dicom.Dataset) []Reason {
	own := s.profile.own
	if own == nil || !own.holds {
		return nil
	}
	var reasons []Reason
	if k := s.work.variant.object; k >= 0 {
		reasons = append(reasons, own.rules[k].reason(""))
	}
	for i, r := range s.work.rules {
		if r.own == 0 || own.rules[r.own-1].action != doHold || len(reasons) >= maxReasons {
			continue
		}
		if el := ds.At(i); el.ValueStart < el.ValueEnd || ds.IsBulk(i) {
			reasons = append(reasons, own.rules[r.own-1].reason(ds.Path(i)))
		}
	}
	return reasons
}

// reason is why the rule holds an object: the file's own words, which are the same for every object.
func (r *ownRule) reason(where string) Reason {
	return Reason{Code: CodeRule, Where: where, Text: "by the collection's rule " + r.ID + ": " + r.Reason}
}

// ownEmpty leaves nothing of a value, or of what lies within a sequence.
func (c *pass) ownEmpty(i int, r rule) {
	el := c.ds.At(i)
	switch {
	case el.ValueStart == el.ValueEnd && !c.ds.IsBulk(i):
		c.res.Actions.Kept++
	case el.IsSequence() || r.vr == dicom.VRSQ:
		c.empty(i)
	default:
		c.emptyOrDummy(i, r)
	}
}

// ownPrivate judges a private element by an own rule; true if what lies within is to be judged on its own.
func (c *pass) ownPrivate(i int, r rule, b *block) bool {
	el := c.ds.At(i)
	if r.op == opRemove || b == nil || c.ds.IsBulk(i) {
		c.remove(i)
		return false
	}
	if w := el.VR; el.IsSequence() != (r.vr == dicom.VRSQ) || w != r.vr && w != dicom.VRUN && w.Known() && (w.IsText() != r.vr.IsText() || w.WordSize() != r.vr.WordSize() || isTemporal(w) != isTemporal(r.vr)) {
		c.remove(i)
		return false
	}
	if r.op == opWalk {
		b.kept++
		c.did(i, KeptSafe)
		return true
	}
	removed := c.res.Actions.Removed
	switch {
	case r.op == opOwnEmpty:
		c.empty(i)
	case el.ValueStart == el.ValueEnd:
		c.did(i, KeptSafe)
	case r.op == opNumber && !numbers(c.ds.Value(i)), r.op == opKeep && len(c.ds.Value(i))%max(1, r.vr.WordSize()) != 0:
		c.remove(i)
	case r.op == opNumber, r.op == opKeep:
		c.did(i, KeptSafe)
	default:
		c.value(i, r, r.vr)
	}
	if c.res.Actions.Removed == removed {
		b.kept++
	}
	return false
}

// ownValue judges a value by an own rule whose action no row of the table has.
func (c *pass) ownValue(r rule, raw []byte) memoized {
	o := &c.profile.own.rules[r.own-1]
	if r.op == opOwnReplace {
		return memoized{replacedValue, []byte(o.value)}
	}
	var out []byte
	for k, v := range bytes.Split(raw, []byte{'\\'}) {
		if k > 0 {
			out = append(out, '\\')
		}
		v = bytes.Trim(v, " \x00")
		if len(v) == 0 {
			continue
		}
		var ok bool
		if out, ok = o.coarser(out, v, r.vr, c.weeksShifted()); !ok {
			return memoized{verdict: fallBack}
		}
	}
	if len(bytes.Trim(out, `\`)) == 0 {
		return memoized{verdict: emptiedValue}
	}
	if r.vr == dicom.VRDA || r.vr == dicom.VRDT || r.vr == dicom.VRTM {
		return memoized{shiftedValue, out}
	}
	return memoized{replacedValue, out}
}

// weeksShifted is by how much dates are moved before they are made coarser: a coarse true date beside shifted ones would tell about the shift.
func (c *pass) weeksShifted() int {
	if c.profile.shifts() {
		return c.weeks
	}
	return 0
}

// coarser appends what a rule leaves of one value.
func (r *ownRule) coarser(dst, v []byte, vr dicom.VR, weeks int) ([]byte, bool) {
	switch vr {
	case dicom.VRAS:
		age, ok := r.age(v)
		return append(dst, age...), ok
	case dicom.VRDS, dicom.VRIS:
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return dst, false
		}
		f = math.Round(f/r.grid) * r.grid
		if vr == dicom.VRIS {
			if math.Abs(f) > math.MaxInt32 {
				return dst, false
			}
			return strconv.AppendInt(dst, int64(f), 10), true
		}
		// Sixteen characters at most; a sum of grid steps is not to be seen as 0.30000000000000004.
		return strconv.AppendFloat(dst, f, 'g', 7, 64), true
	case dicom.VRDA:
		at := len(dst)
		dst, ok := shiftDA(dst, v, weeks)
		if !ok || len(dst)-at != 8 {
			return dst[:at], false
		}
		return truncateDay(dst, at, r.date), true
	case dicom.VRDT:
		at := len(dst)
		dst, ok := shiftDT(dst, v, weeks, r.time == "hour")
		if !ok {
			return dst[:at], false
		}
		digits := 0
		for at+digits < len(dst) && digit(dst[at+digits]) {
			digits++
		}
		switch {
		case r.date == "year":
			digits = min(digits, 4)
		case r.date == "month":
			digits = min(digits, 6)
		case r.time == "none":
			digits = min(digits, 8)
		default:
			return dst, true
		}
		return dst[:at+digits], true
	case dicom.VRTM:
		if r.time == "none" {
			return dst, true
		}
		return cutTM(dst, v, true)
	}
	return dst, false
}

func truncateDay(dst []byte, at int, to string) []byte {
	switch to {
	case "year":
		copy(dst[at+4:], "0101")
	case "month":
		copy(dst[at+6:], "01")
	}
	return dst
}

// age is an age in the rule's bands. One beyond what it lets through is the Safe Harbor method's 90 and more.
func (r *ownRule) age(v []byte) (string, bool) {
	over := r.over
	if over == 0 {
		over = 89
	}
	plain, ok := capAge(v, false)
	if !ok {
		return "", false
	}
	n, _ := strconv.Atoi(plain[:3])
	years := n
	switch plain[3] {
	case 'M':
		years = n / 12
	case 'W':
		years = n / 52
	case 'D':
		years = n / 365
	}
	pad := func(n int) string {
		return string([]byte{'0' + byte(n/100), '0' + byte(n/10%10), '0' + byte(n%10), 'Y'})
	}
	switch {
	case years > over:
		return pad(over + 1), true
	case r.bands > 0:
		return pad(years - years%r.bands), true
	}
	return plain, true
}

// digestText is how (0012,0063) names a profile's file.
func (own *ownRules) digestText() string {
	return "rules sha256:" + hex.EncodeToString(own.digest[:16])
}

// RuleCount says how many elements of an object a rule of the collection's own decided on.
type RuleCount struct {
	ID       string `json:"id"`
	Elements int    `json:"elements"`
}

func (c *pass) ruleCounts() []RuleCount {
	own := c.profile.own
	if own == nil {
		return nil
	}
	decided := 0
	for _, n := range c.work.hits {
		if n > 0 {
			decided++
		}
	}
	if decided == 0 {
		return nil
	}
	out := make([]RuleCount, 0, decided)
	for k, n := range c.work.hits {
		if n > 0 {
			out = append(out, RuleCount{own.rules[k].ID, int(n)})
		}
	}
	return out
}
