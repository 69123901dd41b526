package deid

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// work are the buffers of one Clean, used again by the next.
type work struct {
	rules    []rule
	keyBuf   []byte
	creators []block
	last     []dicom.Tag
	orig     [][]byte
	pointers bool // a content item is pointed to by its place

	// Of a profile with rules of its own.
	variant  *variant
	variants map[string]*variant // by what objects let apply
	hits     []int32             // entries that each rule decided on

	did   []Line // what is done to the entries
	order []uint64
}

// block is a private block met within one parent.
type block struct {
	parent int32
	tag    dicom.Tag // its creator's
	entry  int
	safe   map[uint32]dicom.VR // the creator's safe elements; nil if none is known
	name   string              // the creator's, if it is one that is known
	blobs  bool                // the creator has blobs that can be read
	kept   int
}

// key is the memo's key for a value of an element.
func (w *work) key(t dicom.Tag, v []byte) []byte {
	w.keyBuf = append(w.keyBuf[:0], byte(t>>24), byte(t>>16), byte(t>>8), byte(t))
	w.keyBuf = append(w.keyBuf, v...)
	return w.keyBuf
}

// opKey is the memo's key for what an operation makes of a value: of content items, one element has several, and so it has by a collection's own rules.
func (w *work) opKey(r rule, t dicom.Tag, v []byte) []byte {
	w.keyBuf = append(w.keyBuf[:0], byte(r.op), byte(r.own>>8), byte(r.own), byte(t>>24), byte(t>>16), byte(t>>8), byte(t))
	w.keyBuf = append(w.keyBuf, v...)
	return w.keyBuf
}

// ruleOf is the rule for entry i, from a snapshot of rules if one is given.
func (p *Profile) ruleOf(ds *dicom.Dataset, i int, known map[dicom.Tag]rule) rule {
	t := ds.At(i).Tag
	if r, ok := known[t]; ok {
		return r
	}
	if t.IsPrivate() && !t.IsPrivateCreator() {
		if t.IsGroupLength() {
			return rule{}
		}
		return rule{op: opPrivate}
	}
	return p.rule(t)
}

// prepare looks up every entry's rule.
func (s *Subject) prepare(ds *dicom.Dataset) {
	n := ds.Len()
	if cap(s.work.rules) < n {
		s.work.rules = make([]rule, n)
	}
	s.work.rules = s.work.rules[:n]
	if s.profile.own != nil {
		s.prepareOwn(ds)
		return
	}
	known := s.profile.rulesNow()
	content := false
	for i := range n {
		el := ds.At(i)
		if el.IsItem() {
			s.work.rules[i] = rule{op: opWalk}
			continue
		}
		s.work.rules[i] = s.profile.ruleOf(ds, i, known)
		if el.Tag == dicom.TagValueType {
			content = true
		}
	}
	if content {
		s.contentItems(ds)
	}
}

// order reports the first element that breaks the order of tags within its parent (PS3.5 7.1), and whether it is a duplicate; -1 if none does.
func (s *Subject) order(ds *dicom.Dataset) (int, bool) {
	last := s.work.last[:0]
	defer func() { s.work.last = last }()
	for i := range ds.Len() {
		el := ds.At(i)
		depth := int(el.Depth)
		for len(last) <= depth+1 {
			last = append(last, 0)
		}
		if el.IsItem() {
			last[depth+1] = 0
			continue
		}
		if el.Tag <= last[depth] && !(last[depth] == 0 && el.Tag == 0) {
			if d := ds.Duplicate(); d >= 0 {
				return d, true
			}
			return i, false
		}
		last[depth] = el.Tag
	}
	return -1, false
}

// Clean makes an object of the subject ready to pass, or says why it cannot. An error is a failure here or of the caller, such as an object of
// somebody else; what is wrong with the object is a result. The data set is not changed; the result does not refer to its bytes, but for bulk
// values named by entry.
func (s *Subject) Clean(ds *dicom.Dataset) (*Result, error) { return s.CleanAnswered(ds, 0) }

// CleanAnswered is [Subject.Clean] for an object about which something is known beyond its header. What it is held for is set aside where that answers it
// ([Answer.Settles]); every rule, and the gate, hold as ever. (0028,0301) then says NO.
func (s *Subject) CleanAnswered(ds *dicom.Dataset, by Answer) (*Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(ds); err != nil {
		return nil, err
	}
	p := s.profile
	sopClass := ds.UID(dicom.TagSOPClassUID)
	res := &Result{Outcome: Cleaned, Pseudonym: s.pseudonym, Lexicon: s.lexicon, SOPClassUID: sopClass}
	s.identify(ds, res)

	if i, dup := s.order(ds); i >= 0 {
		if dup {
			return res.stop(Refused, Reason{CodeDuplicate, ds.Path(i), "the element is there twice: readers disagree which of them counts"}), nil
		}
		if !p.AsDeposited {
			return res.stop(Held, Reason{CodeOrder, ds.Path(i), "the element is out of order: readers disagree whether it is there"}), nil
		}
	}
	s.prepare(ds)
	res.NewTerms = s.newTerms(ds)
	if err := s.learn(res.NewTerms); err != nil {
		res.NewTerms = nil // they are not in the lexicon
		return res.stop(Held, Reason{CodeLexicon, "", "it has more identifiers than one subject's lexicon holds"}), nil
	}
	if s.whole == nil {
		return res.stop(Held, Reason{CodeLexicon, "", "it has more identifiers than one lexicon holds, with those of its collection"}), nil
	}
	res.Lexicon = s.whole
	outcome, reasons := p.judgeKind(ds, sopClass)
	if outcome == Refused {
		return res.stop(Refused, reasons...), nil
	}
	if p.AsDeposited {
		res.Findings = append(reasons, s.findings(ds)...)
		res.Rendered = ds.Render()
		res.Actions.Kept = len(s.work.rules)
		return res, nil
	}
	if why := s.heldByRule(ds); len(why) > 0 {
		outcome, reasons = Held, append(reasons, why...)
	}
	if by != 0 {
		if reasons = slices.DeleteFunc(reasons, by.Settles); len(reasons) == 0 {
			outcome = Cleaned
		}
	}
	if outcome != Cleaned {
		return res.stop(Held, reasons...), nil
	}
	return s.clean(ds, res, by)
}

func (r *Result) stop(o Outcome, reasons ...Reason) *Result {
	r.Outcome, r.Reasons, r.Rendered = o, append(r.Reasons, reasons...), nil
	return r
}

// identify notes what the object is in the collection.
func (s *Subject) identify(ds *dicom.Dataset, res *Result) {
	id := func(t dicom.Tag) string {
		i := ds.Find(t)
		if i < 0 {
			return ""
		}
		first, _, _ := bytes.Cut(ds.Value(i), []byte{'\\'})
		if first = trimmedUID(first); s.profile.AsDeposited || s.profile.has(RetainUIDs) {
			return string(first)
		}
		return s.uid(first)
	}
	res.SOPInstanceUID = id(dicom.TagSOPInstanceUID)
	res.SeriesInstanceUID = id(dicom.TagSeriesInstanceUID)
	res.StudyInstanceUID = id(dicom.TagStudyInstanceUID)
	res.ScanBulk = ds.Syntax().Encapsulated || ds.Has(dicom.TagEncapsulatedDocument)
	if s.profile.AsDeposited {
		res.ScanBulk = false
	}
}

// findings names the elements that identify and have a value, under the profile that changes nothing.
func (s *Subject) findings(ds *dicom.Dataset) []Reason {
	var out []Reason
	for i, r := range s.work.rules {
		if r.term == 0 || r.term == TermDate || len(out) == maxReasons {
			continue
		}
		if text := strings.TrimSpace(ds.Text(i)); text != "" && !placeholders[foldIdentifier(text)] && !ordinaryWords(text) && !isOpaque([]byte(text)) {
			out = append(out, Reason{CodeIdentifier, ds.Path(i), "an element that identifies has a value"})
		}
	}
	return out
}

// pass is one walk over a data set's entries.
type pass struct {
	*Subject
	ds       *dicom.Dataset
	edit     *dicom.Edit
	res      *Result
	sopClass string
	strict   bool
	reviewed bool
	kept     bool // what no rule can clean stays
	holds    []Reason
	dropped  []int        // items that were taken out of structured content and graphics
	dummied  map[int]bool // content items that have a dummy for a value
	layers   map[string]int
}

func (s *Subject) clean(ds *dicom.Dataset, res *Result, by Answer) (*Result, error) {
	c := &pass{Subject: s, ds: ds, edit: ds.Edit(), res: res, sopClass: res.SOPClassUID, strict: strictClass(res.SOPClassUID), reviewed: by&(Seen|Kept) != 0, kept: by&Kept != 0}
	s.work.creators, s.work.did = s.work.creators[:0], s.work.did[:0]
	equipmentAt := -1
	for i := 0; i < ds.Len(); {
		el := ds.At(i)
		if el.IsItem() {
			if c.item(i) {
				i++
			} else {
				i = int(el.Next)
			}
			continue
		}
		if el.Tag == dicom.TagContributingEquipmentSequence && el.Parent == dicom.Root {
			equipmentAt = i
		}
		if c.entry(i) {
			i++ // what lies within is judged next
		} else {
			i = int(el.Next)
		}
	}
	c.closeBlocks()
	c.tidy()
	if c.emptyReport() {
		res.Findings = append(res.Findings, Reason{CodeEmptyReport, dicom.TagContentSequence.String(), "of the report's content nothing is left but its frame"})
	}
	if by&(Seen|Painted) != 0 {
		c.declare(by)
	}
	if by&Painted != 0 {
		forgetTables(ds, c.edit)
	}
	if len(c.holds) > 0 {
		return res.stop(Held, c.holds...), nil
	}
	if equipmentAt >= 0 && !ds.At(equipmentAt).IsSequence() {
		equipmentAt = -1
	}
	if err := c.mark(equipmentAt < 0, by); err != nil {
		return res.stop(Held, unreadable(err)), nil
	}
	out, err := c.edit.Render()
	if err != nil {
		return res.stop(Held, unreadable(err)), nil
	}
	clean, err := out.Dataset()
	if err != nil {
		return res.stop(Held, unreadable(err)), nil
	}
	if equipmentAt >= 0 {
		if out, err = c.appendEquipment(clean, out); err == nil {
			clean, err = out.Dataset()
		}
		if err != nil {
			return res.stop(Held, unreadable(err)), nil
		}
	}
	s.work.orig = s.work.orig[:0]
	if !s.given && !s.profile.has(RetainUIDs) {
		for _, t := range [...]dicom.Tag{dicom.TagSOPInstanceUID, dicom.TagStudyInstanceUID, dicom.TagSeriesInstanceUID, dicom.TagFrameOfReferenceUID} {
			if i := ds.Find(t); i >= 0 {
				s.work.orig = append(s.work.orig, trimmedUID(ds.Value(i)))
			}
		}
	}
	searched := clean
	if c.kept {
		if searched, err = headerOf(clean, res.SOPClassUID); err != nil {
			return res.stop(Held, unreadable(err)), nil
		}
	}
	if found := s.matcherNow().gate(searched, s.work.orig); len(found) > 0 {
		if by&Seen == 0 {
			return res.stop(Held, found...), nil
		}
		// Whoever has looked at it takes out with it what the gate finds.
		cut, lines, left, err := tighten(clean, &s.words, s.matcherNow(), s.work.orig)
		if err != nil || len(left) > 0 {
			return res.stop(Held, found...), nil
		}
		s.work.did = append(s.work.did, lines...)
		res.Actions.Add(lines)
		for k := range cut.Bulk {
			cut.Bulk[k].Elem = out.Bulk[k].Elem
		}
		out = cut
	}
	res.Rendered = out
	res.Rules = c.ruleCounts()
	res.Done, res.DoneText = c.done()
	return res, nil
}

// unreadable says where and why without a value: the dicom package's errors have none.
func unreadable(err error) Reason {
	r := Reason{Code: CodeUnreadable, Text: "the result could not be encoded"}
	var e *dicom.Error
	if errors.As(err, &e) {
		r.Where = e.Path
		if e.Reason != "" {
			r.Text += ": " + e.Reason
		}
	}
	return r
}

// item judges the item at entry i as such; true if what lies within is to be judged.
func (c *pass) item(i int) bool {
	switch c.work.rules[i].op {
	case opUnknown:
		if !c.reviewed {
			c.holds = append(c.holds, Reason{CodeText, c.ds.Path(i), "a content item of a kind that no rule knows"})
			return false
		}
		if c.work.pointers {
			c.holds = append(c.holds, Reason{CodeOpaque, c.ds.Path(i), "a content item of a kind that no rule knows, and others are pointed to by their place"})
			return false
		}
		c.drop(i)
		return false
	case opRemove:
		c.drop(i)
		return false
	}
	return true
}

// entry judges entry i; true if what lies within is to be judged on its own.
func (c *pass) entry(i int) bool {
	r := c.work.rules[i]
	el := c.ds.At(i)
	if c.kept && payload(c.ds, i, c.sopClass) {
		c.res.Actions.Kept++
		if b := c.blockOf(i); b != nil {
			b.kept++
		}
		return false
	}
	if r.own != 0 {
		c.work.hits[r.own-1]++
		if r.op != opPrivate && el.Tag.IsPrivate() {
			return c.ownPrivate(i, r, c.blockOf(i))
		}
		if c.ds.IsBulk(i) && r.op != opRemove && r.op != opOwnEmpty {
			c.holds = append(c.holds, Reason{CodeBulk, c.ds.Path(i), "a large value that is no pixel data"})
			return false
		}
	}
	switch r.op {
	case opRemove:
		c.remove(i)
		return false
	case opOwnEmpty:
		c.ownEmpty(i, r)
		return false
	case opCreator:
		c.open(i)
		return false
	case opPrivate:
		return c.private(i)
	}
	if el.Tag.Group() == 0x7FE0 && el.Parent != dicom.Root {
		c.holds = append(c.holds, Reason{CodeNested, c.ds.Path(i), "pixel data lies within a sequence"})
		return false
	}
	vr, ok := c.agreed(i, r.vr)
	if !ok {
		c.edit.Remove(i)
		c.didBy(i, Removed, ByEncoding)
		return false
	}
	if vr == dicom.VRSQ {
		return c.sequence(i, r)
	}
	if el.ValueStart == el.ValueEnd && !c.ds.IsBulk(i) {
		if r.op == opPseudonym {
			c.set(i, []byte(c.pseudonym), Replaced)
			return false
		}
		if r.op == opOwnReplace {
			c.apply(i, r, c.ownValue(r, nil))
			return false
		}
		if r.op == opBasic && c.resolved(i, r) == ActionX {
			c.remove(i)
			return false
		}
		c.res.Actions.Kept++
		return false
	}
	switch r.op {
	case opKeep:
		if n := int(el.ValueEnd - el.ValueStart); r.size > 0 && n != int(r.size) && numeric(vr) && n != vr.WordSize() {
			c.empty(i) // in implicit VR anything can stand where a number should
			return false
		}
		c.res.Actions.Kept++
	case opNumber:
		if numbers(c.ds.Value(i)) {
			c.res.Actions.Kept++
		} else {
			c.noNumber(i)
		}
	case opBasic:
		c.basic(i, r)
	case opDummy:
		c.dummyValue(i, r)
	case opPseudonym:
		c.set(i, []byte(c.pseudonym), Replaced)
	default:
		c.value(i, r, vr)
	}
	return false
}

// agreed is the VR to judge entry i by, and whether the encoding agrees with the dictionary about it: text in the place of numbers is no slip, nor
// bytes in the place of either. UN hides what the dictionary knows (PS3.5 6.2.2).
func (c *pass) agreed(i int, want dicom.VR) (dicom.VR, bool) {
	el := c.ds.At(i)
	vr := el.VR
	switch {
	case want == dicom.VRSQ || el.IsSequence():
		return dicom.VRSQ, want == dicom.VRSQ && (el.IsSequence() || el.ValueStart == el.ValueEnd)
	case vr == want, vr == dicom.VRUN, !vr.Known():
		return want, true
	case isTemporal(vr) && !isTemporal(want):
		return want, false // the gate takes what is written as a date for one that has been shifted
	case vr.IsText() && want.IsText():
		return want, true
	case vr.IsText() || want.IsText():
		return want, false
	}
	if e, ok := dicom.LookupTag(el.Tag); ok && slices.Contains(e.VRs, vr) {
		return vr, true
	}
	return vr, numeric(vr) && numeric(want)
}

func isTemporal(vr dicom.VR) bool {
	return vr == dicom.VRDA || vr == dicom.VRDT || vr == dicom.VRTM
}

// numeric reports the VRs of single numbers.
func numeric(vr dicom.VR) bool {
	switch vr {
	case dicom.VRAT, dicom.VRFD, dicom.VRFL, dicom.VRSL, dicom.VRSS, dicom.VRSV, dicom.VRUL, dicom.VRUS, dicom.VRUV:
		return true
	}
	return false
}

// sequence judges a sequence as such.
func (c *pass) sequence(i int, r rule) bool {
	el := c.ds.At(i)
	switch r.op {
	case opWalk:
		c.res.Actions.Kept++
		return true
	case opDummy:
		c.markDummy(i)
		return c.dummyCode(i)
	case opBasic:
		switch c.resolved(i, r) {
		case ActionZ:
			if el.ValueStart == el.ValueEnd {
				c.res.Actions.Kept++
				return false
			}
			c.empty(i)
			return false
		case ActionD:
			if el.Tag == dicom.TagPersonIdentificationCodeSequence {
				return c.dummyCode(i)
			}
			c.res.Actions.Kept++ // a dummy is what the rules make of what lies within
			return true
		}
	}
	c.remove(i)
	return false
}

func (c *pass) resolved(i int, r rule) Action {
	return resolve(r.basic, c.ds.At(i).Tag, c.sopClass, c.strict)
}

func (c *pass) remove(i int) {
	c.edit.Remove(i)
	c.did(i, Removed)
}

func (c *pass) empty(i int) {
	c.edit.SetElement(i, c.ds.At(i).VR, nil)
	c.did(i, Emptied)
}

// set gives entry i a value; its VR stays as written, its padding is its own.
func (c *pass) set(i int, raw []byte, deed Deed) {
	vr := c.ds.At(i).VR
	if !vr.Known() || vr == dicom.VRUN {
		if want := c.work.rules[i].vr; len(raw)%2 == 1 && want != 0 {
			raw = append(raw[:len(raw):len(raw)], want.Pad())
		}
	}
	c.edit.SetElement(i, vr, raw)
	c.did(i, deed)
}

// basic does what the Basic Profile says.
func (c *pass) basic(i int, r rule) {
	if r.basic == 0 {
		c.emptyOrDummy(i, r)
		return
	}
	switch c.resolved(i, r) {
	case ActionZ:
		c.empty(i)
	case ActionD:
		if d, ok := dummy(r.vr, c.ds.At(i).VR); ok {
			c.set(i, d, Replaced)
			return
		}
		c.remove(i)
	case ActionK:
		c.res.Actions.Kept++
	default:
		c.remove(i)
	}
}

// dummyValue writes a value that says nothing.
func (c *pass) dummyValue(i int, r rule) {
	d, ok := dummy(r.vr, c.ds.At(i).VR)
	if !ok {
		c.remove(i)
		return
	}
	c.markDummy(i)
	c.set(i, d, Replaced)
}

// markDummy notes a content item that has a dummy for a value.
func (c *pass) markDummy(i int) {
	if c.dummied == nil {
		c.dummied = map[int]bool{}
	}
	c.dummied[int(c.ds.At(i).Parent)] = true
	c.res.Actions.Concepts++
}

// dummy is a value of the VR that says nothing.
func dummy(vr, written dicom.VR) ([]byte, bool) {
	switch vr {
	case dicom.VRDA:
		return []byte("19000101"), true
	case dicom.VRDT:
		return []byte("19000101000000"), true
	case dicom.VRTM:
		return []byte("000000"), true
	case dicom.VRAS:
		return []byte("000Y"), true
	case dicom.VRDS, dicom.VRIS:
		return []byte("0"), true
	case dicom.VRUR:
		return []byte("urn:removed"), true
	case dicom.VROB, dicom.VRUN, dicom.VRUS:
		return []byte{0, 0}, !written.IsText()
	case dicom.VRAE, dicom.VRCS, dicom.VRLO, dicom.VRLT, dicom.VRPN, dicom.VRSH, dicom.VRST, dicom.VRUC, dicom.VRUT:
		return []byte(removedText), true
	}
	return nil, false
}

const removedText = "REMOVED"

// mark writes what says that the object has been de-identified, and by what (PS3.15 E.1.1, PS3.3 C.12.1).
func (c *pass) mark(equipmentToo bool, by Answer) error {
	m, err := c.profile.markersFor(c.ds.Syntax(), by&Painted != 0)
	if err != nil {
		return err
	}
	put := func(t dicom.Tag, vr dicom.VR, raw []byte) {
		c.edit.Insert(dicom.Root, t, vr, raw)
		c.marked(t)
	}
	for _, t := range [...]dicom.Tag{dicom.TagPatientName, dicom.TagPatientID} {
		if !c.ds.Has(t) {
			vr := dicom.VRPN
			if t == dicom.TagPatientID {
				vr = dicom.VRLO
			}
			put(t, vr, []byte(c.pseudonym))
		}
	}
	if by&Kept != 0 {
		put(dicom.TagPatientIdentityRemoved, dicom.VRCS, []byte("NO"))
		for _, t := range [...]dicom.Tag{dicom.TagDeidentificationMethod, dicom.TagDeidentificationMethodCodeSequence} { // which an earlier hand may have written
			if i := c.ds.Find(t); i >= 0 {
				c.edit.Remove(i)
			}
		}
	} else {
		put(dicom.TagPatientIdentityRemoved, dicom.VRCS, []byte("YES"))
		put(dicom.TagDeidentificationMethod, dicom.VRLO, []byte(c.profile.method()))
		put(dicom.TagDeidentificationMethodCodeSequence, dicom.VRSQ, m.codes)
	}
	put(dicom.TagLongitudinalTemporalInformationModified, dicom.VRCS, []byte(c.profile.temporal()))
	if equipmentToo {
		put(dicom.TagContributingEquipmentSequence, dicom.VRSQ, m.equipment)
	}
	return nil
}

// appendEquipment adds Vitrine to the equipment that contributed before, unless it is there.
func (c *pass) appendEquipment(clean *dicom.Dataset, out *dicom.Rendered) (*dicom.Rendered, error) {
	m, err := c.profile.markersFor(clean.Syntax(), false)
	if err != nil {
		return nil, err
	}
	i := clean.Find(dicom.TagContributingEquipmentSequence)
	e := clean.Edit()
	if i < 0 {
		e.Insert(dicom.Root, dicom.TagContributingEquipmentSequence, dicom.VRSQ, m.equipment)
	} else {
		// One that an earlier cleaning wrote gives way to this one's.
		body := []byte(nil)
		for k := range clean.Children(i) {
			if clean.StringIn(k, dicom.TagManufacturer) != equipment || clean.StringIn(k, dicom.TagManufacturerModelName) != equipment {
				body = append(body, clean.Raw(k)...)
			}
		}
		e.SetElement(i, clean.At(i).VR, append(body, m.equipment...))
	}
	c.marked(dicom.TagContributingEquipmentSequence)
	r, err := e.Render()
	if err != nil {
		return nil, err
	}
	for k := range r.Bulk {
		r.Bulk[k].Elem = out.Bulk[k].Elem
	}
	return r, nil
}

// noNumber leaves nothing of a text that stands where a number should. A number that tells things apart, such as a series', has another in its place, the
// same wherever the text is the same: most are of type 1, and what refers to it still does. A quantity cannot be made up.
func (c *pass) noNumber(i int) {
	el := c.ds.At(i)
	if name := el.Tag.Keyword(); c.ds.VR(i) == dicom.VRIS && !strings.HasPrefix(name, "NumberOf") &&
		(strings.HasSuffix(name, "Number") || strings.HasSuffix(name, "Order") || strings.HasSuffix(name, "Index")) {
		c.set(i, strconv.AppendUint(nil, uint64(c.keys.number(string(bytes.Trim(c.ds.Value(i), " \x00")))), 10), Replaced)
		return
	}
	c.empty(i)
}

// numbers reports decimal or integer strings.
func numbers(b []byte) bool {
	for _, ch := range b {
		switch {
		case ch >= '0' && ch <= '9', ch == '.', ch == '-', ch == '+', ch == '\\', ch == ' ', ch == 'e', ch == 'E', ch == 0:
		default:
			return false
		}
	}
	return true
}

func validText(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "")
	}
	return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
}

// private judges a private element by the creator of its block.
func (c *pass) private(i int) bool {
	el := c.ds.At(i)
	b := c.blockOf(i)
	if b == nil || b.safe == nil && !b.blobs || !c.profile.has(RetainSafePrivate) {
		c.remove(i)
		return false
	}
	if b.blobs && c.blob(i, bytes.Trim(c.ds.Value(b.entry), " \x00")) {
		b.kept++
		return false
	}
	vr, ok := b.safe[uint32(el.Tag.Group())<<8|uint32(el.Tag&0xFF)]
	if !ok || !c.privateValue(i, vr) {
		c.remove(i)
		return false
	}
	b.kept++
	c.did(i, KeptSafe)
	return vr == dicom.VRSQ
}

// privateValue reports whether the value of a safe private element is what it should be.
func (c *pass) privateValue(i int, vr dicom.VR) bool {
	el := c.ds.At(i)
	if vr == dicom.VRSQ || el.IsSequence() {
		return vr == dicom.VRSQ && el.IsSequence()
	}
	if c.ds.IsBulk(i) {
		return false
	}
	if w := el.VR; w != vr && w != dicom.VRUN && w.Known() && (w.IsText() != vr.IsText() || w.WordSize() != vr.WordSize() || isTemporal(w) != isTemporal(vr)) {
		return false
	}
	v := c.ds.Value(i)
	switch vr {
	case dicom.VRDS, dicom.VRIS:
		return numbers(v)
	case dicom.VRCS, dicom.VRLO, dicom.VRSH:
		if vr == dicom.VRCS && shortCodes(v) || signedAxes(v) || iceDimensions(v) {
			return true
		}
		if m, ok := c.memo[string(c.work.opKey(rule{op: opPrivate}, dicom.Tag(vr), v))]; ok {
			return m.verdict == keepValue
		}
		m := memoized{}
		for one := range bytes.SplitSeq(v, []byte{'\\'}) {
			if _, lost := c.words.clean(string(bytes.Trim(one, " \x00"))); lost {
				m.verdict = fallBack
				break
			}
		}
		if len(v) <= maxRemembered {
			c.remember(rule{op: opPrivate}, dicom.Tag(vr), v, m)
		}
		return m.verdict == keepValue
	}
	return vr.IsBinary() && len(v)%vr.WordSize() == 0
}

// signedAxes reports directions of axes with a sign: +LPH.
func signedAxes(v []byte) bool {
	v = bytes.TrimRight(v, " \x00")
	if len(v) < 2 || len(v) > 4 || v[0] != '+' && v[0] != '-' {
		return false
	}
	for _, c := range v[1:] {
		if bytes.IndexByte([]byte("LRPAHF"), c) < 0 {
			return false
		}
	}
	return true
}

// iceDimensions reports the counters that Siemens' reconstruction writes: X and at least ten numbers of three digits at most.
func iceDimensions(v []byte) bool {
	v = bytes.TrimRight(v, " \x00")
	if len(v) > 64 || !bytes.HasPrefix(v, []byte("X_")) {
		return false
	}
	n := 0
	for f := range bytes.SplitSeq(v[2:], []byte{'_'}) {
		if len(f) == 0 || len(f) > 3 || !allDigits(f) {
			return false
		}
		n++
	}
	return n >= 10 && n <= 16
}

// shortCodes reports values of three characters at most, as makers enumerate: the gate compares them with the subject's short names as wholes.
func shortCodes(v []byte) bool {
	n := 0
	for _, ch := range bytes.TrimRight(v, " \x00") {
		switch {
		case ch == '\\':
			n = -1
		case !alnum(ch):
			return false
		}
		if n++; n > 3 {
			return false
		}
	}
	return true
}

// open notes a private creator. Whether it stays is known when its block has been seen.
func (c *pass) open(i int) {
	el := c.ds.At(i)
	// Blocks of what has been left are settled.
	for n := len(c.work.creators); n > 0; n = len(c.work.creators) {
		b := &c.work.creators[n-1]
		if b.parent == el.Parent || b.parent == dicom.Root || int(c.ds.At(int(b.parent)).Next) > i {
			break
		}
		c.settle(b)
		c.work.creators = c.work.creators[:n-1]
	}
	creator := bytes.Trim(c.ds.Value(i), " \x00")
	b := block{parent: el.Parent, tag: el.Tag, entry: i, name: c.named(i)}
	if !el.IsSequence() {
		b.safe, b.blobs = safeByCreator()[string(creator)], hasBlobs(creator)
	}
	c.work.creators = append(c.work.creators, b)
}

func (c *pass) blockOf(i int) *block {
	el := c.ds.At(i)
	t, ok := el.Tag.CreatorTag()
	if !ok {
		return nil
	}
	for k := len(c.work.creators) - 1; k >= 0; k-- {
		if b := &c.work.creators[k]; b.tag == t && b.parent == el.Parent {
			return b
		}
	}
	return nil
}

func (c *pass) settle(b *block) {
	if b.kept == 0 {
		c.remove(b.entry)
	} else {
		c.res.Actions.Kept++
	}
}

func (c *pass) closeBlocks() {
	for k := range c.work.creators {
		c.settle(&c.work.creators[k])
	}
	c.work.creators = c.work.creators[:0]
}
