package custody

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/object"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// What is held lies in its record as it came. So accepting it is cleaning it, by its collection's profile and the gate, with what is known of its subject
// now; a person's word sets aside what looking can answer and nothing else. The cleaned form is a record of its own, which says what it takes the place of
// and who decided: the catalogue follows it like any other, after a crash too, and the record that was held is left.
//
// An acceptance is whole when that record is durable. Before, nothing has happened; after, the next start does what is left. Who comes second, another
// acceptance, a refusal or a withdrawal, finds nothing held: then the record is nobody's.

// CodeRefused is the reason of what a person refused.
const CodeRefused = "refused-by-steward"

// Reviewer is who decides on what is held, and what they say about it.
type Reviewer struct {
	Actor  string // what the audit log calls them
	Note   string // may be empty. The audit log keeps it, and a refused item's depositor reads it
	Ruling int64  // number of the standing decision by which it is done; 0: they decide on this one
}

// acceptance is what the record of an accepted instance says besides (docs/formats/object.md): what it takes the place of, and who decided.
type acceptance struct {
	Record  place            `json:"record"` // that was held
	SOP     catalogue.SOPUID `json:"sop"`    // that it was known by
	Actor   string           `json:"actor"`
	Note    string           `json:"note,omitempty"`
	Decided time.Time        `json:"decided"`
	Ruling  int64            `json:"ruling,omitempty"`  // number of the standing decision
	Painted *Painting        `json:"painted,omitempty"` // what was done to its pixels; nil: nothing

	unfit error         // what the catalogue does not take of it
	left  error         // why its record became nobody's
	done  chan struct{} // closed when it is settled; nil: nobody waits
}

// place is where a record lies, written as a pack, a colon and an offset.
type place struct{ pack.Ref }

func (p place) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func (p *place) UnmarshalText(b []byte) (err error) {
	p.Ref, err = pack.ParseRef(string(b))
	return err
}

func (a *acceptance) ref() catalogue.Ref {
	return catalogue.Ref{Pack: catalogue.PackID(a.Record.Pack), Offset: a.Record.Offset}
}

// stays is 1 for what is known by the UID that it was held under, and 0 for what was given one of its own.
func (e *entry) stays() int {
	if e.row.SOP == e.accepts.SOP {
		return 1
	}
	return 0
}

// Mentions reports whether a note has anything of the subjects in it.
func (c *Custody) Mentions(ctx context.Context, note string, of []subject.ID) (bool, error) {
	if note == "" {
		return false, nil
	}
	for _, id := range of {
		lex, err := c.Lexicon(ctx, id)
		if err != nil {
			return false, err
		}
		if lex.Mentions(note) {
			return true, nil
		}
	}
	return false, nil
}

const attemptAccept = "accept what is held"

// Accept takes an instance out of what is held, cleaned. Reasons say why it stays held; an error, that it is not held (fault.Conflict), or that it cannot be
// done now. When neither is given, it waits for admission with its study. That the caller may decide, and that the note names nobody, they have seen to.
func (c *Custody) Accept(ctx context.Context, l catalogue.Located, by Reviewer) ([]Reason, error) {
	return c.accept(ctx, l, by, deid.Seen, nil)
}

// Restrict keeps an instance that is held for the stewards of its collection alone. Its header is cleaned, and what no rule can clean stays as it came, under its subject's key.
// Reasons and errors are those of Accept.
func (c *Custody) Restrict(ctx context.Context, l catalogue.Located, by Reviewer) ([]Reason, error) {
	return c.accept(ctx, l, by, deid.Kept, nil)
}

func (c *Custody) accept(ctx context.Context, l catalogue.Located, by Reviewer, answer deid.Answer, paint Painter) ([]Reason, error) {
	if again := l.State == policy.Restricted && answer == deid.Seen && paint == nil; l.State != policy.Held && l.State != policy.Conflict && !again {
		return nil, fault.New(fault.Conflict, attemptAccept, "instance "+l.ID.String(), "it is "+l.State.String())
	}
	if c.waiting() > maxWaiting {
		return nil, fault.New(fault.Unavailable, attemptAccept, "", "too much waits to be catalogued")
	}
	a := accepting{c: c, l: l, answer: answer, paint: paint}
	defer a.close()
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	why, err := a.judge(ctx)
	if err != nil || len(why) > 0 {
		return why, err
	}
	acc := &acceptance{Record: place{pack.Ref{Pack: pack.ID(l.Ref.Pack), Offset: l.Ref.Offset}}, SOP: l.SOP, Actor: by.Actor, Note: by.Note, Ruling: by.Ruling, Decided: time.Now().UTC(), done: make(chan struct{})}
	if why, err := a.keep(ctx, acc); err != nil || len(why) > 0 {
		return why, err
	}
	signal(c.queue.ready)
	select {
	case <-acc.done:
	case <-c.stopped:
		return nil, fault.New(fault.Unavailable, attemptAccept, "", "the node is ending; the decision is kept, and done at the next start")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	switch {
	case fault.Is(acc.left, fault.Conflict), fault.Is(acc.left, fault.NotFound):
		return nil, fault.New(fault.Conflict, attemptAccept, "instance "+l.ID.String(), "it has been decided on, or what is known beside it has changed, meanwhile")
	case acc.left != nil:
		return []Reason{{Code: codeUncatalogued, Text: "the catalogue does not take what describes it"}}, nil
	}
	c.AdmitSoon()
	return nil, nil
}

// Preview is Accept without doing it: what would keep the instance held, as far as can be said now.
func (c *Custody) Preview(ctx context.Context, l catalogue.Located) ([]Reason, error) {
	a := accepting{c: c, l: l, answer: deid.Seen}
	defer a.close()
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	return a.judge(ctx)
}

// Device is make and model of what made an instance that is held, as its collection's profile leaves them; empty where that cannot be said.
func (c *Custody) Device(ctx context.Context, l catalogue.Located) (string, error) {
	a := accepting{c: c, l: l, answer: deid.Seen | deid.Painted}
	defer a.close()
	if err := a.open(ctx); err != nil {
		return "", err
	}
	if why, err := a.judge(ctx); err != nil || len(why) > 0 || a.clean == nil {
		return "", err
	}
	ds, err := a.clean.Dataset()
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(ds.String(dicom.TagManufacturer) + " " + ds.String(dicom.TagManufacturerModelName)), nil
}

// Refuse drops an instance that is held: nothing leads to its record any more, and the same bytes are refused whenever they come again. The reason stays with its
// deposit, where its sender reads it.
func (c *Custody) Refuse(ctx context.Context, l catalogue.Located, by Reviewer) error {
	why := catalogue.Reason{Code: CodeRefused, Text: "a steward refused it"}
	if by.Note != "" {
		why.Text += ": " + by.Note
	}
	return c.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := c.catalogue.Refuse(tx, l.ID, why); err != nil {
			return err
		}
		return c.audit.Append(tx, decision(l.ID, l.Collection, l.Digest, by.Actor, "refused", by.Note))
	})
}

func decision(id catalogue.InstanceID, in collection.ID, digest [32]byte, actor, outcome, note string) audit.Entry {
	if note != "" {
		outcome += ": " + note
	}
	return audit.Entry{Actor: actor, Action: policy.DecideHeld.String(), Object: "instance " + id.String(), Collection: string(in), Outcome: outcome, Sealed: digest[:]}
}

// accepting is one instance on its way through Accept.
type accepting struct {
	c      *Custody
	l      catalogue.Located
	answer deid.Answer
	paint  Painter // nil: the pixels stay as they are
	ward   *ward
	x      *object.Instance
	data   *dicom.Dataset
	was    sealedMeta
	p      *person
	clean  *dicom.Rendered // its bulk values are entries of data; nil: the record's sections are as they should be
	sop    string          // that it is known by from now on
	terms  *deid.Lexicon   // what it taught of its subject
	match  *deid.Matcher   // of what is known of its subject
	taught bool            // p's lexicon in memory has terms that are in no record yet
	lex    int64           // version of the lexicon that it was gated with
	held   int64           // of the memory for reviews
	work   work            // what was done to it
}

func (a *accepting) close() {
	if a.x != nil {
		a.x.Close()
	}
	a.c.review.Release(a.held)
	if a.taught {
		a.c.people.forget(peopleKey{collection: a.l.Collection, link: a.p.link, profile: a.ward.profile, said: a.ward.said})
	}
}

// open reads the record that is held.
func (a *accepting) open(ctx context.Context) (err error) {
	c := a.c
	if a.ward, err = c.ward(ctx, a.l.Collection); err != nil {
		return err
	}
	sub, err := c.subjects.Get(ctx, a.l.Subject)
	if err != nil {
		return err
	}
	if sub.IsWithdrawn() {
		return fault.New(fault.Conflict, attemptAccept, "instance "+a.l.ID.String(), "its subject has been withdrawn")
	}
	key, err := c.ring.Get(ctx, keys.ID(sub.Key))
	if err != nil {
		return err
	}
	need := headCopies * a.l.HeadSize
	if a.l.BulkSize <= inlineBytes {
		need += 2 * a.l.BulkSize
	}
	if a.paint != nil {
		need += paintCopies * a.l.Rows * a.l.Columns * max(a.l.BitsAllocated/8, 1)
	}
	need = min(need, reviewBudget)
	if err := c.review.Acquire(ctx, need); err != nil {
		return err
	}
	a.held = need
	if a.x, err = object.Open(ctx, c.packs, pack.Ref{Pack: pack.ID(a.l.Ref.Pack), Offset: a.l.Ref.Offset}, key); err != nil {
		return err
	}
	meta, err := a.x.Meta()
	if err != nil {
		return err
	}
	_, rest, err := object.DecodeMeta(meta)
	if err != nil {
		return err
	}
	if a.was, err = decodeMeta(rest); err != nil {
		return fault.New(fault.Corrupt, attemptAccept, "instance "+a.l.ID.String(), "the description of its record cannot be read")
	}
	if a.data, err = a.x.Dataset(); err != nil {
		return err
	}
	a.p = &person{id: sub.ID, keyID: keys.ID(sub.Key), key: key, pseud: sub.Pseudonym, link: sub.Link, lexKey: key.Derive("lexicon")}
	a.sop = string(a.l.SOP)
	return nil
}

// Codes of reasons why something cannot be accepted, beside those that cleaning gives.
const (
	codeUncatalogued = "uncatalogued"
	codeKept         = "kept-as-deposited"
)

// judge cleans the instance, or says why it stays held.
func (a *accepting) judge(ctx context.Context) (why []Reason, err error) {
	owner, proven, err := a.c.catalogue.Owner(ctx, a.l.StudyID)
	if err != nil {
		return nil, err
	}
	if proven && owner != a.l.Subject {
		return []Reason{{Code: catalogue.CodeAnotherSubject, Where: dicom.TagStudyInstanceUID.String(), Text: "its study is known as another subject's: whose it is, its depositor has to mend"}}, nil
	}
	switch a.was.Row.State {
	case policy.Held:
		why, err = a.wash(ctx)
	case policy.Restricted:
		why, err = a.unrestrict(ctx)
	default:
		why, err = a.again(ctx)
	}
	if err != nil || len(why) > 0 || a.l.Variant == 0 || a.restricts() { // what is kept needs no UID for itself
		return why, err
	}
	// A conflict: what is known keeps its UID.
	k, err := a.c.catalogue.Known(ctx, a.l.Collection, a.l.SOP, a.l.Digest)
	if err != nil || !k.Main {
		return nil, err
	}
	if a.ward.profile.AsDeposited {
		return []Reason{{Code: codeKept, Where: dicom.TagSOPInstanceUID.String(), Text: "the collection keeps UIDs as they come, and another object has this one"}}, nil
	}
	return nil, a.rename(freshUID(a.ward, a.sop, a.l.Digest))
}

// wash cleans what lies as it came.
func (a *accepting) wash(ctx context.Context) ([]Reason, error) {
	p, err := a.person(ctx)
	if err != nil {
		return nil, err
	}
	if p.id != a.l.Subject {
		return []Reason{{Code: catalogue.CodeAnotherSubject, Text: "it is not filed with the subject that it names"}}, nil
	}
	a.p = p
	answer := a.answer
	if g := a.was.Given; g != nil && !a.restricts() {
		answer |= g.answer() // what was decided where it was cleaned
	}
	res, err := p.clean.CleanAnswered(a.data, answer)
	if err != nil {
		return nil, err
	}
	a.taught, a.match = len(res.NewTerms) > 0, p.clean.Matcher()
	if res.ScanBulk && !a.restricts() {
		for k, b := range a.data.Bulks() {
			if a.painted(b.Elem) {
				continue // what becomes of it is searched
			}
			r, err := a.x.Bulk(k)
			if err != nil {
				return nil, err
			}
			scan := p.clean.Matcher().NewBulkScanner()
			if _, err := io.Copy(scan, r); err != nil {
				return nil, err
			}
			if scan.Hit() {
				hold(res, scan.Reason(a.data.Path(b.Elem)))
			}
		}
	}
	if res.Outcome != deid.Cleaned {
		return reasonsOf(res), nil
	}
	if a.terms, err = (*deid.Lexicon)(nil).With(res.NewTerms...); err != nil {
		return nil, err
	}
	a.clean, a.lex = res.Rendered, int64(res.Lexicon.Version())
	a.work = a.ward.work(res)
	return nil, nil
}

// person is the subject that the instance is of.
func (a *accepting) person(ctx context.Context) (*person, error) {
	if g := a.was.Given; g != nil {
		return a.c.givenPerson(ctx, a.ward, a.data, g)
	}
	return a.c.person(ctx, a.ward, deid.Identify(a.data))
}

// again looks once more at what was cleaned before it was held: it must not have what is known of its subject by now.
func (a *accepting) again(ctx context.Context) ([]Reason, error) {
	a.work.Judged = a.was.Judged // and what was done then was counted then
	if a.ward.profile.AsDeposited {
		return nil, nil
	}
	sub, err := a.c.subjects.Get(ctx, a.l.Subject)
	if err != nil {
		return nil, err
	}
	lex, err := openLexicon(a.p.lexKey, sub.ID, sub.Lexicon)
	if err != nil {
		return nil, err
	}
	if lex, err = lex.Merge(a.ward.common); err != nil {
		return []Reason{{Code: deid.CodeLexicon, Text: "it has more identifiers than one lexicon holds, with those of its collection"}}, nil
	}
	a.match = a.ward.profile.Matcher(lex)
	f, err := a.c.listen(ctx, a.match, a.l, a.p.key)
	if err != nil {
		return nil, err
	}
	a.lex = int64(lex.Version())
	why := make([]Reason, len(f.why))
	for i, r := range f.why {
		why[i] = Reason(r)
	}
	switch {
	case len(why) > 0 && a.answer&deid.Seen != 0 && !f.bulk:
		// What somebody accepts loses what is known to identify by now.
		cut, done, left, err := a.ward.profile.Tighten(a.data, lex)
		if err != nil || len(left) > 0 {
			return why, err
		}
		a.clean = cut
		if done != nil {
			a.work.Done = doneText(done.Encode())
		}
		if a.paint == nil {
			return nil, nil
		}
		ds, err := cut.Dataset()
		if err != nil {
			return nil, err
		}
		a.clean, err = a.ward.profile.DeclarePainted(ds) // entries are in the order in which they were
		return nil, err
	case a.paint != nil && len(why) == 0:
		if a.clean, err = a.ward.profile.DeclarePainted(a.data); err != nil {
			return nil, err
		}
	}
	return why, nil
}

// restricts reports that the instance is kept for stewards, not accepted.
func (a *accepting) restricts() bool { return a.answer&deid.Kept != 0 }

// unrestrict looks at what was kept restricted as at what is accepted: what it was held for has to be what a person's word answers, nothing in it may be as it came but pixels
// that somebody has looked at, and nothing that is known of its subject by now may be in it.
func (a *accepting) unrestrict(ctx context.Context) (why []Reason, err error) {
	for _, r := range a.l.Reasons {
		if d := deid.Reason(r); r.Code != catalogue.CodeConflict && !a.answer.Settles(d) {
			why = append(why, Reason(d))
		}
	}
	if len(why) == 0 && !a.ward.profile.AsDeposited && deid.Payload(a.data) {
		why = append(why, Reason{Code: deid.CodeDocument, Where: dicom.TagEncapsulatedDocument.String(), Text: "what no rule can clean is in it as it came"})
	}
	if len(why) > 0 {
		return why, nil
	}
	if why, err = a.again(ctx); err != nil || len(why) > 0 || a.ward.profile.AsDeposited {
		return why, err
	}
	cut, ds := a.clean, a.data // what is known to identify by now has been taken out
	if cut != nil {
		if ds, err = cut.Dataset(); err != nil {
			return nil, err
		}
	}
	if a.clean, err = a.ward.profile.DeclareSeen(ds); err != nil || cut == nil {
		return nil, err
	}
	if len(a.clean.Bulk) != len(cut.Bulk) {
		return nil, fault.New(fault.Internal, attemptAccept, "instance "+a.l.ID.String(), "its bulk values are not those that it had")
	}
	for k := range a.clean.Bulk {
		a.clean.Bulk[k].Elem = cut.Bulk[k].Elem
	}
	return nil, nil
}

// freshUID is the UID of a conflict that is accepted beside the object that has its own. It is made of what came, so that the same bytes again are known again.
func freshUID(w *ward, sop string, digest [32]byte) string {
	return w.keys.UID("conflict " + hex.EncodeToString(digest[:]) + " " + sop)
}

// rename gives the cleaned instance another SOP Instance UID.
func (a *accepting) rename(uid string) error {
	if a.clean == nil {
		a.clean = a.data.Render()
	}
	out, err := a.clean.Dataset()
	if err != nil {
		return err
	}
	i := out.Find(dicom.TagSOPInstanceUID)
	if i < 0 {
		return fault.New(fault.Internal, attemptAccept, "instance "+a.l.ID.String(), "the cleaned object has no UID")
	}
	e := out.Edit()
	e.SetValue(i, []byte(uid))
	r, err := e.Render()
	if err != nil {
		return err
	}
	if len(r.Bulk) != len(a.clean.Bulk) {
		return fault.New(fault.Internal, attemptAccept, "instance "+a.l.ID.String(), "its bulk values are not those that it had")
	}
	for k := range r.Bulk {
		r.Bulk[k].Elem = a.clean.Bulk[k].Elem
	}
	a.clean, a.sop = r, uid
	return nil
}

// sections are what the record of the instance consists of from now on. The length of a bulk value that is painted is known when it has been.
func (a *accepting) sections() (layout object.Layout, head []byte, bulk []section, clean *dicom.Dataset, err error) {
	if a.clean == nil {
		head, raw, err := a.x.Sections()
		return a.x.Layout, head, []section{{r: raw}}, a.data, err
	}
	at := map[int]int{}
	for k, b := range a.data.Bulks() {
		at[b.Elem] = k
	}
	layout.Syntax = a.x.Layout.Syntax
	var off int64
	for _, b := range a.clean.Bulk {
		r, err := a.x.Bulk(at[b.Elem])
		if err != nil {
			return layout, nil, nil, nil, err
		}
		if r.Size() != b.Len {
			return layout, nil, nil, nil, fault.New(fault.Corrupt, attemptAccept, "instance "+a.l.ID.String(), "a bulk value has not the length that its description says")
		}
		bulk = append(bulk, section{r, a.painted(b.Elem)})
		layout.Bulk = append(layout.Bulk, object.Span{At: b.At, Off: off, Len: b.Len})
		off += b.Len
	}
	clean, err = a.clean.Dataset()
	return layout, a.clean.Head, bulk, clean, err
}

// section is a part of the bulk section: as it lies in the record that is held, or painted.
type section struct {
	r       *io.SectionReader
	painted bool
}

// keep writes the record of the accepted instance. Reasons say why it stays held after all: painting finds out on the way.
func (a *accepting) keep(ctx context.Context, acc *acceptance) ([]Reason, error) {
	layout, head, bulk, clean, err := a.sections()
	if err != nil {
		return nil, err
	}
	var size int64
	for _, s := range bulk {
		size += s.r.Size()
	}
	to := sink{a: a, acc: acc, layout: layout, head: head, clean: clean}
	if size > inlineBytes {
		err = a.stream(ctx, bulk, &to)
	} else {
		err = a.append(ctx, bulk, &to)
	}
	if errors.Is(err, errUnpainted) {
		return to.why, nil
	}
	if err == nil {
		a.taught = false
	}
	return nil, err
}

// errUnpainted says that painting gave reasons to hold.
var errUnpainted = errors.New("held after all")

// sink is where a record goes while its sections are written.
type sink struct {
	a      *accepting
	acc    *acceptance
	layout object.Layout
	head   []byte
	clean  *dicom.Dataset
	size   int64 // of the bulk section
	why    []Reason
}

// write puts section k into w.
func (s *sink) write(ctx context.Context, k int, sec section, w io.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := s.copy(ctx, sec, w)
	if err != nil {
		return err
	}
	if k < len(s.layout.Bulk) && s.a.clean != nil {
		s.layout.Bulk[k].Off, s.layout.Bulk[k].Len = s.size, n
	}
	s.size += n
	return nil
}

func (s *sink) copy(ctx context.Context, sec section, w io.Writer) (int64, error) {
	if !sec.painted {
		return io.Copy(w, sec.r)
	}
	count := counter{w: w}
	var scan *deid.BulkScanner
	if s.a.x.Syntax().Encapsulated {
		scan = s.a.match.NewBulkScanner()
		count.w = io.MultiWriter(w, scan)
	}
	done, why, err := s.a.paint(ctx, Pixels{Data: s.a.data, Value: sec.r, Size: sec.r.Size()}, &count)
	if err != nil {
		return 0, err
	}
	if scan != nil && scan.Hit() {
		why = append(why, Reason(scan.Reason(dicom.TagPixelData.String())))
	}
	if len(why) > 0 {
		s.why = why
		return 0, errUnpainted
	}
	s.acc.Painted = done
	return count.n, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// meta describes the record once its bulk section is known.
func (s *sink) meta() (*entry, []byte, error) {
	a, l := s.a, &s.a.l
	row := catalogue.Entry{
		Collection: l.Collection, Subject: l.Subject, Study: l.Study, Series: l.Series, SOP: catalogue.SOPUID(a.sop),
		HeadSize: int64(len(s.head)), BulkSize: s.size, Digest: l.Digest, State: policy.Received, Deposit: l.Deposit, Ordinal: l.Ordinal, Lexicon: a.lex,
		InstanceAttributes: describeInstance(s.clean), StudyAttributes: describeStudy(s.clean), SeriesAttributes: describeSeries(s.clean),
	}
	row.StudyAttributes.JSON, row.SeriesAttributes.JSON = others(s.clean, studyTags), others(s.clean, seriesTags)
	version := acceptedVersion
	if a.restricts() {
		version, row.State, row.Reasons = keptVersion, policy.Restricted, l.Reasons
		row.StudyAttributes, row.SeriesAttributes = catalogue.StudyAttributes{}, catalogue.SeriesAttributes{} // nothing of it is shown
	}
	if !a.ward.profile.AsDeposited {
		if a.work.Searched = int64(len(s.head)); a.x.Syntax().Encapsulated && !a.restricts() {
			a.work.Searched += s.size
		}
	}
	m := sealedMeta{Version: version, Row: row, Link: a.p.link, Pseudonym: a.p.pseud, Received: a.was.Received, Accepts: s.acc, Given: a.was.Given, work: a.work}
	if a.terms.Len() > 0 {
		m.Terms = a.terms.Encode()
	}
	rest, err := m.encode()
	if err != nil {
		return nil, nil, err
	}
	meta, err := object.EncodeMeta(s.layout, rest)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Internal, "describe instance", "", err)
	}
	return &entry{deposit: &Deposit{ID: l.Deposit, c: a.c, ward: a.ward, actor: s.acc.Actor}, person: a.p, terms: a.terms, digest: l.Digest, row: row, durable: func() {},
		settled: func() { close(s.acc.done) }, accepts: s.acc, work: a.work}, meta, nil
}

func (a *accepting) append(ctx context.Context, bulk []section, to *sink) error {
	rec := &pack.Record{KeyID: a.p.keyID, Key: a.p.key, Head: to.head}
	for k, sec := range bulk {
		var b bytes.Buffer
		b.Grow(int(sec.r.Size()))
		if err := to.write(ctx, k, sec, &b); err != nil {
			return err
		}
		rec.Bulk = append(rec.Bulk, b.Bytes())
	}
	e, meta, err := to.meta()
	if err != nil {
		return err
	}
	rec.Meta, rec.Tag = meta, e
	_, err = a.c.packs.Append(ctx, rec)
	return err
}

// stream writes a record that is larger than memory should hold.
func (a *accepting) stream(ctx context.Context, bulk []section, to *sink) error {
	st, err := a.c.packs.Stream(ctx, a.p.keyID, a.p.key)
	if err != nil {
		return err
	}
	defer st.Abort() // nothing, once it is committed
	for k, sec := range bulk {
		if err := to.write(ctx, k, sec, st); err != nil {
			return err
		}
	}
	e, meta, err := to.meta()
	if err != nil {
		return err
	}
	_, err = st.Commit(ctx, meta, to.head, e)
	return err
}

// settleAcceptance makes the catalogue follow the record of an accepted instance: live, and after a crash. What cannot be any more leaves the record to nobody.
func (c *Custody) settleAcceptance(tx *db.Tx, ev event) error {
	row, acc := ev.entry.row, ev.entry.accepts
	row.Ref = catalogue.Ref{Pack: catalogue.PackID(ev.where.Ref.Pack), Offset: ev.where.Ref.Offset}
	acc.left = nil
	if _, there, err := c.catalogue.At(tx, row.Collection, row.SOP, row.Ref); err != nil || there {
		return err // it was, before the crash
	}
	if acc.left = acc.unfit; acc.left != nil {
		return c.catalogue.Leave(tx, row.Ref, row.HeadSize+row.BulkSize)
	}
	if acc.Ruling != 0 {
		if ended, err := c.rulings.HasEnded(tx, row.Collection, ruling.Number(acc.Ruling)); err != nil {
			return err
		} else if ended { // meanwhile: what it accepted is held
			acc.left = fault.New(fault.Conflict, attemptAccept, "", "the standing decision has been ended")
			return c.catalogue.Leave(tx, row.Ref, row.HeadSize+row.BulkSize)
		}
	}
	id, there, err := c.catalogue.At(tx, row.Collection, acc.SOP, acc.ref())
	if err != nil {
		return err
	}
	if there {
		rev := &catalogue.Revision{Ruling: acc.Ruling, Ref: row.Ref, HeadSize: row.HeadSize, BulkSize: row.BulkSize, Digest: row.Digest, Lexicon: row.Lexicon, TransferSyntax: row.InstanceAttributes.TransferSyntax,
			StudyAttributes: row.StudyAttributes, SeriesAttributes: row.SeriesAttributes, InstanceAttributes: row.InstanceAttributes}
		if row.SOP != acc.SOP {
			rev.SOP = row.SOP
		}
		if row.State == policy.Restricted {
			_, err = c.catalogue.Restrict(tx, id, rev)
		} else {
			_, err = c.catalogue.Accept(tx, id, rev)
		}
	} else {
		id, err = c.adopt(tx, row, acc, ev.entry.work.Judged)
	}
	switch {
	case err == nil && row.State == policy.Restricted:
		return c.audit.Append(tx, decision(id, row.Collection, row.Digest, acc.Actor, "kept restricted", acc.Note))
	case err == nil:
		if err := c.proof.Add(tx, acc.counted(ev.entry)); err != nil {
			return err
		}
		return c.audit.Append(tx, decision(id, row.Collection, row.Digest, acc.Actor, "accepted", acc.Note))
	case fault.Is(err, fault.Conflict), fault.Is(err, fault.NotFound):
		acc.left = err
		return c.catalogue.Leave(tx, row.Ref, row.HeadSize+row.BulkSize)
	}
	return err
}

// adopt is for an acceptance whose held record is in the catalogue no more. If that was decided, so be it. If it was never there, because the catalogue was lost and
// that record is damaged, what was accepted stands by itself.
func (c *Custody) adopt(tx *db.Tx, row catalogue.Entry, acc *acceptance, judged string) (catalogue.InstanceID, error) {
	decided, err := c.catalogue.UnusedNow(tx, acc.ref())
	if err != nil {
		return 0, err
	}
	if decided {
		return 0, fault.New(fault.Conflict, attemptAccept, "", "it is not held any more")
	}
	done, err := c.catalogue.AddBatch(tx, []catalogue.Entry{row})
	if err != nil {
		return 0, err
	}
	came := entry{row: row, work: work{Judged: judged}}
	if err := c.proof.Add(tx, came.counted(policy.Held, nil)); err != nil {
		return 0, err
	}
	return done[0].Instance, c.catalogue.SetRuling(tx, done[0].Instance, acc.Ruling)
}
