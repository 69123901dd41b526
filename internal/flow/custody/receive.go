package custody

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/object"
)

const (
	// smallBytes is what an instance may take in memory without asking.
	smallBytes = 2 << 20
	// inlineBytes is the largest instance that is worked on in memory; larger ones stream.
	inlineBytes = 32 << 20
	// memoryBudget bounds what instances between the two take together, their encrypted copies included.
	memoryBudget = 192 << 20
	// reviewBudget bounds what is in memory to be accepted, beside it: who reviews does not keep anybody from depositing.
	reviewBudget = 64 << 20
	// headCopies is how often the head of a streamed instance lies in memory: as it came, rendered, cleaned.
	headCopies = 3
	// headBytes is the largest head: its copies, and what was read of the instance before it was known to be large, always fit the memory of a node that is idle.
	headBytes = (memoryBudget - inlineBytes) / headCopies / (1 << 20) * (1 << 20)
)

// arrival is one instance on its way through Receive.
type arrival struct {
	dep      *Deposit
	in       Incoming
	received time.Time

	data     *dicom.Dataset
	deflated []byte // the data set as it came, if it was deflated and is at hand
	sop      string // the sender's UIDs, for the answer alone
	class    string
	study    string
	taught   *person       // whose lexicon in memory it has added to
	missing  []deid.Reason // what the instance has to be held for, before anything else is looked at
}

// Receive takes one instance. When it returns without an error, the instance is on stable storage. A *[Refusal] says that it is not kept and why; any
// other error, that the sender went away or that nothing can be kept now.
func (d *Deposit) Receive(ctx context.Context, in Incoming) (Receipt, error) {
	if d.c.waiting() > maxWaiting {
		return Receipt{}, d.unavailable(in, "too much waits to be catalogued")
	}
	if err := d.fits(in); err != nil {
		return Receipt{}, err
	}
	if in.Ordinal == 0 {
		in.Ordinal = d.ordinal.Add(1)
	}
	now := time.Now()
	d.c.received.Store(now.UnixNano())
	a := &arrival{dep: d, in: in, received: now, sop: in.SOPInstanceUID, class: in.SOPClassUID}
	kept := false
	defer func() {
		if !kept && a.taught != nil { // what it taught is in no record: whoever brings it again teaches it again
			d.c.people.forget(peopleKey{collection: d.ward.row.ID, link: a.taught.link, profile: d.ward.profile, said: d.ward.said})
		}
	}()
	r, err := a.take(ctx)
	kept = err == nil
	if refusal, ok := errors.AsType[*Refusal](err); ok && fault.KindOf(refusal) != fault.Unavailable {
		d.refused(in.Ordinal, refusal.Reason)
	}
	return r, err
}

func (a *arrival) take(ctx context.Context) (Receipt, error) {
	c := a.dep.c
	buf := c.buffer()
	defer func() { c.release(buf) }()
	var whole bool
	var err error
	if buf, whole, err = a.in.Data.ReadAll(buf, smallBytes); err != nil {
		return Receipt{}, a.sourceError(err)
	}
	if !whole {
		held := int64(2*inlineBytes + inlineBytes/4)
		if !c.budget.TryAcquire(held) {
			return a.stream(ctx, buf)
		}
		defer func() { c.budget.Release(held) }()
		if buf, whole, err = a.in.Data.ReadAll(buf, inlineBytes); err != nil {
			return Receipt{}, a.sourceError(err)
		}
		if !whole {
			c.budget.Release(held - inlineBytes) // what was read so far is all that it has in memory yet
			held = inlineBytes
			begun := buf
			buf = nil // so that it is let go of when it has been read
			return a.stream(ctx, begun)
		}
	}
	return a.inline(ctx, buf)
}

// sourceError is for bytes that stopped coming: nothing was kept, and there is nobody to answer.
func (a *arrival) sourceError(err error) error {
	return fault.Wrap(fault.Unavailable, "receive instance", "collection "+a.dep.collection(), err)
}

// inline works on an instance that is in memory whole.
func (a *arrival) inline(ctx context.Context, b []byte) (Receipt, error) {
	raw := b
	// A deflated data set is inflated in memory if it stays small. One that does not is streamed: how large it grows is not for its sender to say.
	lim := a.dep.c.limits
	lim.Inflated, lim.InflateRatio = 2*smallBytes, 1
	if a.in.Syntax == nil {
		f, err := dicom.Parse(b, lim)
		if tooInflated(err) {
			return a.stream(ctx, b)
		}
		if err != nil {
			return Receipt{}, a.unreadable(err)
		}
		a.data = f.Data
		raw = f.DatasetBytes()
	} else {
		inflated := b
		if a.in.Syntax.Deflated {
			var err error
			inflated, err = dicom.Inflate(b, lim)
			if tooInflated(err) {
				return a.stream(ctx, b)
			}
			if err != nil {
				return Receipt{}, a.unreadable(err)
			}
		}
		d, err := dicom.ParseDataset(inflated, a.in.Syntax, lim)
		if err != nil {
			return Receipt{}, a.unreadable(err)
		}
		a.data = d
	}
	if a.data.Syntax().Deflated {
		a.deflated = raw
	}
	if err := a.inspect(); err != nil {
		return Receipt{}, err
	}
	c := a.dep.c
	p, err := a.person(ctx)
	if err != nil {
		return Receipt{}, a.failed(err)
	}
	res, err := a.judge(p)
	if err != nil {
		return Receipt{}, a.failed(err)
	}
	if len(res.NewTerms) > 0 {
		a.taught = p
	}
	if res.ScanBulk {
		for _, k := range a.data.Bulks() {
			scan := p.clean.Matcher().NewBulkScanner()
			scan.Write(a.data.Value(k.Elem))
			if scan.Hit() {
				hold(res, scan.Reason(a.data.Path(k.Elem)))
			}
		}
	}
	a.complete(res)
	if res.Outcome == deid.Refused {
		return Receipt{}, a.refuse(fault.Invalid, reasonsOf(res)[0])
	}
	values, around := bulkSum(a.data)
	digest := p.digest(fingerprint(a.data.Syntax().UID, values, around...))
	t := c.claim(a.dep.ward, res.SOPInstanceUID, digest)
	kept := false
	defer func() {
		if !kept {
			t.settled()
		}
	}()
	here, err := c.known(ctx, a.dep.ward, p, res.SOPInstanceUID, t)
	if err != nil {
		return Receipt{}, a.failed(err)
	}
	if here.again {
		a.dep.duplicate(a.in.Ordinal)
		return a.receipt(here.outcome, here.reasons), nil
	}
	if here.refused {
		return Receipt{}, a.refuse(fault.Denied, here.reasons[0])
	}
	if err := a.identify(ctx, p); err != nil {
		return Receipt{}, a.failed(err)
	}
	layout, head, bulk := a.lay(res)
	e, meta, err := a.enter(p, res, digest, layout, head)
	if err != nil {
		return Receipt{}, a.failed(err)
	}
	t.answer = a.answer(res, here.conflict)
	e.durable, e.settled = t.durable, t.settled
	rec := &pack.Record{KeyID: p.keyID, Key: p.key, Meta: meta, Head: head, Bulk: bulk, Tag: e}
	if !layout.Deflated && len(bulk) == len(a.data.Bulks()) {
		rec.BulkSum = &values
	}
	if _, err = c.packs.Append(ctx, rec); err != nil {
		return Receipt{}, a.failed(err)
	}
	kept = true
	return a.answer(res, here.conflict || t.conflicts()), nil
}

// complete holds an instance without study or series, and files it under UIDs that are made of its own.
func (a *arrival) complete(res *deid.Result) {
	if len(a.missing) == 0 {
		return
	}
	if res.Outcome == deid.Refused { // by the rule that an object without these UIDs is none
		res.Outcome, res.Reasons = deid.Held, nil
		res.SOPClassUID, res.SOPInstanceUID = a.class, a.sop
		if p := a.dep.ward.profile; !p.AsDeposited && p.Options&deid.RetainUIDs == 0 {
			res.SOPInstanceUID = a.dep.ward.keys.UID(a.sop)
		}
	}
	for _, r := range a.missing {
		hold(res, r)
	}
	for _, u := range []*string{&res.StudyInstanceUID, &res.SeriesInstanceUID} {
		if *u == "" {
			*u = a.dep.ward.keys.UID("nothing but the instance " + res.SOPInstanceUID)
		}
	}
}

func hold(res *deid.Result, why deid.Reason) {
	if res.Outcome == deid.Cleaned {
		res.Outcome = deid.Held
	}
	res.Reasons = append(res.Reasons, why)
}

// tooInflated reports a data set that grew beyond its bound when it was inflated.
func tooInflated(err error) bool {
	e, ok := errors.AsType[*dicom.Error](err)
	return ok && e.Op == "inflate" && errors.Is(e, dicom.ErrTooLarge)
}

// fingerprint is the digest of a data set by which the same bytes are known again: of its transfer syntax, the digest of its bulk values, and everything
// else. A deflated data set counts inflated.
func fingerprint(syntax string, bulk [32]byte, head ...[]byte) [32]byte {
	h := sha256.New()
	io.WriteString(h, syntax)
	h.Write(bulk[:])
	for _, b := range head {
		h.Write(b)
	}
	return [32]byte(h.Sum(nil))
}

// bulkSum is the digest of the bulk values of a data set that is in memory, and around gives its bytes between them.
func bulkSum(d *dicom.Dataset) (sum [32]byte, around [][]byte) {
	h := sha256.New()
	raw, at := d.Bytes(), 0
	for _, b := range d.Bulks() {
		e := d.At(b.Elem)
		around = append(around, raw[at:e.ValueStart])
		h.Write(raw[e.ValueStart:e.ValueEnd])
		at = int(e.ValueEnd)
	}
	return [32]byte(h.Sum(nil)), append(around, raw[at:])
}

// lay says how the instance lies in its record: cleaned, or, if it is held, as it came.
func (a *arrival) lay(res *deid.Result) (object.Layout, []byte, [][]byte) {
	layout := object.Layout{Syntax: a.data.Syntax().UID}
	if a.deflated != nil && a.untouched(res) {
		layout.Deflated = true
		return layout, nil, [][]byte{a.deflated}
	}
	r := res.Rendered
	if res.Outcome == deid.Held {
		r = a.data.Render()
	}
	var bulk [][]byte
	var off int64
	for _, b := range r.Bulk {
		v := a.data.Value(b.Elem)
		bulk = append(bulk, v)
		layout.Bulk = append(layout.Bulk, object.Span{At: b.At, Off: off, Len: b.Len})
		off += b.Len
	}
	return layout, r.Head, bulk
}

// untouched reports that the instance is kept as it came by its collection's profile.
func (a *arrival) untouched(res *deid.Result) bool {
	return res.Outcome == deid.Cleaned && a.dep.ward.profile.AsDeposited
}

// stream works on an instance that is larger than memory should hold: bulk values go, encrypted, straight to a pack of their own. The head, cleaned or as it
// came, is written behind them once the whole has been judged; until then the record has no key.
func (a *arrival) stream(ctx context.Context, prefix []byte) (Receipt, error) {
	c := a.dep.c
	src := io.MultiReader(bytes.NewReader(prefix), a.in.Data)
	sum := sha256.New()
	limits := c.limits
	var held int64
	defer func() { c.budget.Release(held) }()
	limits.Grow = func(size int) error {
		need := headCopies * int64(size)
		if !c.budget.TryAcquire(need - held) {
			return fault.New(fault.Unavailable, "receive instance", "", "too many large headers at once")
		}
		held = need
		return nil
	}
	var rd *dicom.Reader
	if a.in.Syntax == nil {
		var err error
		if rd, err = dicom.NewFileReader(src, limits); err != nil {
			return Receipt{}, a.unreadable(err)
		}
	} else {
		rd = dicom.NewReader(src, a.in.Syntax, limits)
	}
	var p *person
	var st *pack.Stream
	defer func() {
		if st != nil {
			st.Abort() // nothing, once it is committed
		}
	}()
	// What the header teaches is what bulk values are searched for.
	var first *deid.Result
	meet := func() error {
		if err := a.inspect(); err != nil {
			return err
		}
		var err error
		if p, err = a.person(ctx); err != nil {
			return a.failed(err)
		}
		if first, err = a.judge(p); err != nil {
			return a.failed(err)
		}
		if len(first.NewTerms) > 0 {
			a.taught = p
		}
		return nil
	}
	var found []deid.Reason
	early := earlyValues{found: &found}
	// move gives the stream to whom it is of, once that is known.
	move := func() error {
		early.matcher = nil
		if first.ScanBulk {
			early.matcher = p.clean.Matcher()
		}
		to, err := st.Move(ctx, p.keyID, p.key, &early)
		if err != nil {
			st = nil
			return a.failed(err)
		}
		early.end()
		st = to
		return nil
	}
	v, err := rd.Next()
	if err != nil && !errors.Is(err, io.EOF) {
		return Receipt{}, a.unreadable(err)
	}
	a.data = rd.Dataset()
	if v != nil && v.Tag <= dicom.TagStudyInstanceUID {
		// Whose it is comes behind this value: until then the stream is nobody's.
		var nobody keys.Key
		rand.Read(nobody[:])
		st, err = c.packs.Stream(ctx, keys.ID{}, nobody)
	} else if err = meet(); err != nil {
		return Receipt{}, err
	} else {
		st, err = c.packs.Stream(ctx, p.keyID, p.key)
	}
	if err != nil {
		return Receipt{}, a.failed(err)
	}
	for v != nil {
		if p == nil && v.Tag > dicom.TagStudyInstanceUID {
			a.data = rd.Dataset()
			if err := meet(); err != nil {
				return Receipt{}, err
			}
			if err := move(); err != nil {
				return Receipt{}, err
			}
		}
		var scan *deid.BulkScanner
		if p != nil && first.ScanBulk {
			scan = p.clean.Matcher().NewBulkScanner()
		}
		n, err := a.pass(v, st, sum, scan)
		if err != nil {
			return Receipt{}, err
		}
		if p == nil {
			early.add(v.Tag.String(), n)
		}
		if scan != nil && scan.Hit() {
			found = append(found, scan.Reason(v.Tag.String()))
		}
		if v, err = rd.Next(); err != nil && !errors.Is(err, io.EOF) {
			return Receipt{}, a.unreadable(err)
		}
	}
	a.data = rd.Dataset()
	if p == nil {
		if err := meet(); err != nil {
			return Receipt{}, err
		}
		if err := move(); err != nil {
			return Receipt{}, err
		}
	}
	if err := a.inspect(); err != nil {
		return Receipt{}, err
	}
	res, err := a.judge(p)
	if err != nil {
		return Receipt{}, a.failed(err)
	}
	if len(res.NewTerms) > 0 {
		a.taught = p
	}
	a.complete(res)
	if res.Outcome == deid.Refused {
		return Receipt{}, a.refuse(fault.Invalid, reasonsOf(res)[0])
	}
	res.NewTerms = append(first.NewTerms, res.NewTerms...)
	for _, r := range found {
		hold(res, r)
	}
	original := a.data.Render()
	if res.Outcome == deid.Cleaned && len(res.Rendered.Bulk) != len(original.Bulk) {
		hold(res, deid.Reason{Code: "large-value", Text: "a large value beside the pixels would have to be taken out"})
	}
	r := original
	if res.Outcome == deid.Cleaned {
		r = res.Rendered
	}
	layout := object.Layout{Syntax: a.data.Syntax().UID}
	var off int64
	for _, b := range r.Bulk {
		layout.Bulk = append(layout.Bulk, object.Span{At: b.At, Off: off, Len: b.Len})
		off += b.Len
	}
	digest := p.digest(fingerprint(a.data.Syntax().UID, [32]byte(sum.Sum(nil)), original.Head))
	t := c.claim(a.dep.ward, res.SOPInstanceUID, digest)
	kept := false
	defer func() {
		if !kept {
			t.settled()
		}
	}()
	here, err := c.known(ctx, a.dep.ward, p, res.SOPInstanceUID, t)
	if err != nil {
		return Receipt{}, a.failed(err)
	}
	if here.again {
		a.dep.duplicate(a.in.Ordinal)
		return a.receipt(here.outcome, here.reasons), nil
	}
	if here.refused {
		return Receipt{}, a.refuse(fault.Denied, here.reasons[0])
	}
	if err := a.identify(ctx, p); err != nil {
		return Receipt{}, a.failed(err)
	}
	e, meta, err := a.enter(p, res, digest, layout, r.Head)
	if err != nil {
		return Receipt{}, a.failed(err)
	}
	t.answer = a.answer(res, here.conflict)
	e.durable, e.settled = t.durable, t.settled
	if _, err := st.Commit(ctx, meta, r.Head, e); err != nil {
		return Receipt{}, a.failed(err)
	}
	kept = true
	return a.answer(res, here.conflict || t.conflicts()), nil
}

// earlyValues searches the bulk values that came before it was known whose they are, when they go by once more.
type earlyValues struct {
	matcher *deid.Matcher // nil: they are not searched
	scan    *deid.BulkScanner
	values  []earlyValue
	found   *[]deid.Reason
}

type earlyValue struct {
	where string
	size  int64
}

func (e *earlyValues) add(where string, size int64) {
	e.values = append(e.values, earlyValue{where, size})
}

func (e *earlyValues) Write(p []byte) (int, error) {
	total := len(p)
	for e.matcher != nil && len(p) > 0 {
		for len(e.values) > 0 && e.values[0].size == 0 {
			e.end()
		}
		if len(e.values) == 0 {
			return 0, fault.New(fault.Internal, "receive instance", "", "more comes back than was written")
		}
		if e.scan == nil {
			e.scan = e.matcher.NewBulkScanner()
		}
		n := int(min(int64(len(p)), e.values[0].size))
		e.scan.Write(p[:n])
		e.values[0].size -= int64(n)
		p = p[n:]
	}
	return total, nil
}

// end is that of the value that goes by.
func (e *earlyValues) end() {
	if e.scan != nil && e.scan.Hit() {
		*e.found = append(*e.found, e.scan.Reason(e.values[0].where))
	}
	e.scan = nil
	if len(e.values) > 0 {
		e.values = e.values[1:]
	}
}

// pass lets one bulk value go by: into the pack, the digest and, where text may hide in it, the gate. It gives its length.
func (a *arrival) pass(v *dicom.Value, st io.Writer, sum hash.Hash, scan *deid.BulkScanner) (size int64, err error) {
	w := io.MultiWriter(st, sum)
	if scan != nil {
		w = io.MultiWriter(st, sum, scan)
	}
	buf := a.dep.c.chunk()
	defer a.dep.c.releaseChunk(buf)
	for {
		n, err := v.Read(*buf)
		if n > 0 {
			if _, werr := w.Write((*buf)[:n]); werr != nil {
				return size, a.failed(werr)
			}
			size += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return size, nil
		}
		if err != nil {
			return size, a.unreadable(err)
		}
	}
}

// required are the UIDs that an instance is filed by (PS3.3 C.12.1, C.7.2.1, C.7.3.1). Without those of its SOP class and itself it cannot be kept; without
// those of study and series it is held.
var required = []struct {
	tag  dicom.Tag
	name string
	hold bool
}{
	{dicom.TagSOPClassUID, "SOP Class UID", false},
	{dicom.TagSOPInstanceUID, "SOP Instance UID", false},
	{dicom.TagStudyInstanceUID, "Study Instance UID", true},
	{dicom.TagSeriesInstanceUID, "Series Instance UID", true},
}

// inspect refuses what cannot be filed: missing or impossible UIDs, elements that are there twice, a message that says something else than its data set.
func (a *arrival) inspect() error {
	class, sop := a.data.UID(dicom.TagSOPClassUID), a.data.UID(dicom.TagSOPInstanceUID)
	if a.class == "" {
		a.class = class
	}
	if a.sop == "" {
		a.sop = sop
	}
	a.study = a.data.UID(dicom.TagStudyInstanceUID)
	if a.data.Has(dicom.TagDirectoryRecordSequence) {
		return a.refuse(fault.Invalid, Reason{Code: "dicomdir", Where: dicom.TagDirectoryRecordSequence.String(), Text: "this is a DICOMDIR, an index of files and no image: deposit the files"})
	}
	a.missing = nil
	for _, r := range required {
		switch uid := a.data.UID(r.tag); {
		case uid == "" && r.hold:
			a.missing = append(a.missing, deid.Reason{Code: "missing-uid", Where: r.tag.String(), Text: r.name + " is missing"})
		case uid == "":
			return a.refuse(fault.Invalid, Reason{Code: "missing-uid", Where: r.tag.String(), Text: r.name + " is missing"})
		case !dicom.ValidUID(uid):
			return a.refuse(fault.Invalid, Reason{Code: "invalid-uid", Where: r.tag.String(), Text: r.name + " is not a UID"})
		}
	}
	if a.class != class || a.sop != sop {
		return a.refuse(fault.Invalid, Reason{Code: "mismatch", Text: "the message names another SOP class or instance than its data set"})
	}
	if a.in.StudyUID != "" && a.in.StudyUID != a.study {
		return a.refuse(fault.Invalid, Reason{Code: "study-mismatch", Where: dicom.TagStudyInstanceUID.String(), Text: "it belongs to another study than the request names"})
	}
	if i := a.data.Duplicate(); i >= 0 {
		return a.refuse(fault.Invalid, Reason{Code: "duplicate-element", Where: a.data.Path(i), Text: "the element is there twice"})
	}
	return nil
}

// unreadable refuses what the parser could not read, and passes on what is the source's own failure.
func (a *arrival) unreadable(err error) error {
	e, ok := errors.AsType[*dicom.Error](err)
	if !ok {
		return a.sourceError(err)
	}
	kind, code := fault.Invalid, "unreadable"
	switch {
	case errors.Is(e, dicom.ErrTooLarge), errors.Is(e, dicom.ErrDepth):
		kind, code = fault.TooLarge, "over-limit"
	case errors.Is(e, dicom.ErrUnknownSyntax):
		code = "unknown-transfer-syntax"
	case errors.Is(e, dicom.ErrNotDICOM):
		code = "not-dicom"
	case errors.Is(e, dicom.ErrTruncated):
		code = "truncated"
	}
	text := e.Kind.Error()
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	if e.Offset >= 0 {
		text += fmt.Sprintf(" (byte %d)", e.Offset)
	}
	return a.refuse(kind, Reason{Code: code, Where: e.Path, Text: text})
}

func (a *arrival) refuse(kind fault.Kind, r Reason) error {
	object := "an instance"
	if r.Where != "" {
		object = r.Where
	}
	return &Refusal{SOPClassUID: a.class, SOPInstanceUID: a.sop, Reason: r, Err: fault.New(kind, "receive instance", object, r.Text)}
}

// failed turns a failure of ours into an answer: what policy denied is a refusal, anything else is "not now".
func (a *arrival) failed(err error) error {
	switch fault.KindOf(err) {
	case fault.Denied, fault.Invalid, fault.TooLarge:
		f, _ := errors.AsType[*fault.Error](err)
		return &Refusal{SOPClassUID: a.class, SOPInstanceUID: a.sop, Reason: Reason{Code: "denied", Text: f.Reason}, Err: err}
	}
	a.dep.c.log.Error("an instance could not be kept", "deposit", a.dep.ID, "error", err)
	return &Refusal{SOPClassUID: a.class, SOPInstanceUID: a.sop, Reason: Reason{Code: "unavailable", Text: "it cannot be kept now; send it again later"},
		Err: fault.Wrap(fault.Unavailable, "receive instance", "collection "+a.dep.collection(), err)}
}

func (d *Deposit) unavailable(in Incoming, text string) error {
	return &Refusal{SOPClassUID: in.SOPClassUID, SOPInstanceUID: in.SOPInstanceUID, Reason: Reason{Code: "unavailable", Text: text + "; send it again later"},
		Err: fault.New(fault.Unavailable, "receive instance", "collection "+d.collection(), text)}
}

func (a *arrival) receipt(o Outcome, reasons []Reason) Receipt {
	return Receipt{SOPClassUID: a.class, SOPInstanceUID: a.sop, StudyUID: a.study, Outcome: o, Reasons: reasons}
}

func (a *arrival) answer(res *deid.Result, conflict bool) Receipt {
	reasons := reasonsOf(res)
	switch {
	case conflict:
		return a.receipt(Conflict, append(reasons, conflictReason))
	case res.Outcome == deid.Held:
		return a.receipt(Held, reasons)
	}
	return a.receipt(Kept, reasons)
}

var conflictReason = Reason{Code: catalogue.CodeConflict, Where: dicom.TagSOPInstanceUID.String(), Text: "other bytes are known under this SOP Instance UID"}

func reasonsOf(res *deid.Result) []Reason {
	out := make([]Reason, len(res.Reasons))
	for i, r := range res.Reasons {
		out[i] = Reason(r)
	}
	return out
}
