// Package delivery gives out what is kept: the one way by which bytes of images leave the node.
//
// It promises: policy decides on every object, inside the call, by the caller's grants and the object's collection and state; the decision is in the
// audit log before the first byte leaves; what a caller may not know of is not found, which looks the same as what is not there; a withdrawn subject's
// objects are not found, and what of them is on its way ends ([subject.Gate]). A file that is written has a fresh preamble and meta information, and the data set that was kept,
// to the byte. Nothing is held in memory but a header and a buffer, however large the object is.
//
//	for o, err := range d.Objects(ctx, caller, delivery.Place{Study: uid}, policy.ReadPixels) {
//		...
//		err = o.WriteFile(w)
//		o.Close()
//	}
//
// It does not authenticate. It transcodes nothing but what is asked for: [Delivery.Plain] makes the uncompressed form of an object, a frame in memory at a time.
package delivery

import (
	"context"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"sync"
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
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Caller is who asks: without grants, nobody in particular.
type Caller struct {
	Actor  string // what the audit log calls them
	Grants []policy.Grant
}

// knows reports whether the caller has any role in a collection, and so may learn that it exists.
func (c Caller) knows(id collection.ID) bool {
	for _, g := range c.Grants {
		if g.Collection == policy.AllCollections || g.Collection == string(id) {
			return true
		}
	}
	return false
}

// Parts are what delivery works with.
type Parts struct {
	DB          *db.DB
	Ring        *keys.Ring
	Packs       *pack.Store
	Audit       *audit.Log
	Collections *collection.Record
	Gate        *subject.Gate
	Catalogue   *catalogue.Record
	Decode      Decoder // nil: code streams are drawn as far as package render can read them itself
}

// Delivery is safe for use by many goroutines.
type Delivery struct {
	Parts
	told told
}

// New makes the flow.
func New(p Parts) *Delivery { return &Delivery{Parts: p} }

// Place names what is asked for: a study, a series of it, or an instance of that. Collection empty: in every one that the caller may see; where the
// same study lies in several, in the first by id, and never in two at once.
type Place struct {
	Collection collection.ID
	Study      catalogue.StudyUID
	Series     catalogue.SeriesUID
	SOP        catalogue.SOPUID
}

// Object is one instance, open for who may have it. It is for one goroutine.
type Object struct {
	catalogue.Located
	instance *object.Instance
	pass     *subject.Pass
}

func notFound() error {
	return fault.New(fault.NotFound, "retrieve objects", "", "there is nothing of this kind that you may see")
}

// Objects opens the instances of a place one after the other, each decided on for an action: policy.ReadMetadata or policy.ReadPixels. Each has to be
// closed. If there is none that the caller may have, the one error is a fault.NotFound.
//
// A whole study or series is what searches find of it. An object that is held is given when it is asked for by its own UID alone, to who reviews
// it: it was not proven clean, and must not slip into a download.
func (d *Delivery) Objects(ctx context.Context, caller Caller, at Place, want policy.Action) iter.Seq2[*Object, error] {
	return func(yield func(*Object, error) bool) {
		given := false
		scopes := policy.Scopes(caller.Grants, want, policy.Link{})
		var last catalogue.Located
		for l, err := range d.Catalogue.Locate(ctx, catalogue.Where{Scopes: scopes, Collection: at.Collection, Study: at.Study, Series: at.Series, SOP: at.SOP}) {
			if err != nil {
				yield(nil, err)
				return
			}
			if given && (at.SOP != "" || l.Collection != last.Collection) {
				return
			}
			if at.SOP == "" && (l.State == policy.Held || l.State == policy.Conflict || l.State == policy.Restricted) {
				continue
			}
			o, err := d.open(ctx, caller, policy.Link{}, l, want)
			if fault.Is(err, fault.NotFound) {
				continue // its key was destroyed a moment ago
			}
			given, last = true, l
			if !yield(o, err) || err != nil {
				return
			}
		}
		if !given {
			yield(nil, notFound())
		}
	}
}

// Open opens the one instance of a place; see [Delivery.Objects].
func (d *Delivery) Open(ctx context.Context, caller Caller, at Place, want policy.Action) (*Object, error) {
	if at.SOP == "" {
		return nil, fault.New(fault.Internal, "open instance", "", "none is named")
	}
	for o, err := range d.Objects(ctx, caller, at, want) {
		return o, err
	}
	return nil, notFound()
}

// OpenPicked opens an instance of which a steward picked a picture for everybody to see, while it is released. That it was picked is for the caller to know: see flow/directory.
func (d *Delivery) OpenPicked(ctx context.Context, id catalogue.InstanceID) (*Object, error) {
	l, err := d.Catalogue.Instance(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil, notFound()
	}
	if err != nil {
		return nil, err
	}
	return d.open(ctx, Caller{}, policy.Link{}, l, policy.SeeMontage)
}

func (d *Delivery) open(ctx context.Context, caller Caller, link policy.Link, l catalogue.Located, want policy.Action) (*Object, error) {
	decision := policy.Decide(policy.Facts{Grants: caller.Grants, Action: want, Collection: string(l.Collection), State: l.State, Link: link})
	if !decision.Allow {
		return nil, notFound()
	}
	s, pass, err := d.Gate.Enter(ctx, l.Subject)
	if err != nil {
		return nil, err
	}
	o, err := d.enter(ctx, caller, l, s, pass, want, decision.Terms)
	if err != nil {
		pass.Leave()
	}
	return o, err
}

// enter opens an object of a subject of whom there is a pass.
func (d *Delivery) enter(ctx context.Context, caller Caller, l catalogue.Located, s subject.Subject, pass *subject.Pass, want policy.Action, terms []string) (*Object, error) {
	key, err := d.Ring.Get(ctx, keys.ID(s.Key))
	if err != nil {
		return nil, err
	}
	if err := d.tell(ctx, caller, want, &l, terms); err != nil {
		return nil, err
	}
	x, err := object.Open(ctx, d.Packs, pack.Ref{Pack: pack.ID(l.Ref.Pack), Offset: l.Ref.Offset}, key)
	if err != nil {
		return nil, err
	}
	x.Guard(pass.Check)
	return &Object{Located: l, instance: x, pass: pass}, nil
}

// Close lets go of the object.
func (o *Object) Close() {
	o.instance.Close()
	o.pass.Leave()
}

// Syntax is the transfer syntax that the object is kept in.
func (o *Object) Syntax() *dicom.TransferSyntax { return o.instance.Syntax() }

// Dataset is the index of the object, its bulk values elided.
func (o *Object) Dataset() (*dicom.Dataset, error) { return o.instance.Dataset() }

// names are the SOP Class and Instance UIDs of the data set.
func (o *Object) names() (class, sop string, err error) {
	if o.State == policy.Held || o.State == policy.Conflict {
		// Kept as it came: its own UIDs are not the catalogue's.
		d, err := o.Dataset()
		if err != nil {
			return "", "", err
		}
		return d.UID(dicom.TagSOPClassUID), d.UID(dicom.TagSOPInstanceUID), nil
	}
	return o.SOPClass, string(o.SOP), nil
}

// meta is fresh file meta information.
func (o *Object) meta() ([]byte, error) {
	class, sop, err := o.names()
	if err != nil {
		return nil, err
	}
	m, err := deid.Meta(class, sop, o.Syntax())
	if err != nil {
		return nil, err
	}
	return m.Bytes(), nil
}

const preamble = 128

// FileSize is the number of bytes that WriteFile writes; -1 where it is not known before.
func (o *Object) FileSize() (int64, error) {
	n, err := o.instance.Size()
	if err != nil || n < 0 {
		return n, err
	}
	m, err := o.meta()
	return preamble + 4 + int64(len(m)) + n, err
}

// WriteFile writes a Part 10 file (PS3.10 7.1): a preamble of zeros, fresh meta information, and the data set as it is kept.
func (o *Object) WriteFile(w io.Writer) error {
	m, err := o.meta()
	if err != nil {
		return err
	}
	head := make([]byte, preamble, preamble+4+len(m))
	head = append(append(head, "DICM"...), m...)
	if _, err := w.Write(head); err != nil {
		return err
	}
	return o.instance.WriteDataset(w)
}

// Value reads the encoded value of entry i of [Object.Dataset].
func (o *Object) Value(i int) (*io.SectionReader, error) {
	d, err := o.Dataset()
	if err != nil {
		return nil, err
	}
	for k, b := range d.Bulks() {
		if b.Elem == i {
			return o.instance.Bulk(k)
		}
	}
	v := d.Value(i)
	return io.NewSectionReader(strings.NewReader(string(v)), 0, int64(len(v))), nil
}

// Frames finds the frames of the object's pixel data; a fault.NotFound if it has none, a fault.Conflict if they cannot be told apart. through, if not
// nil, is put before the pixels.
func (o *Object) Frames(through func(r io.ReaderAt, size int64) io.ReaderAt) (*dicom.Frames, error) {
	const attempt = "find frames"
	d, err := o.Dataset()
	if err != nil {
		return nil, err
	}
	i := d.PixelData()
	if i < 0 {
		return nil, fault.New(fault.NotFound, attempt, "", "the instance has no pixel data")
	}
	v, err := o.Value(i)
	if err != nil {
		return nil, err
	}
	var value io.ReaderAt = v
	if through != nil {
		value = through(v, v.Size())
	}
	f, err := dicom.NewFrames(d, value, v.Size())
	return f, unframed(err)
}

// Frame reads frame k, counted from 1 as PS3.18 does.
func Frame(f *dicom.Frames, k int) (*dicom.Frame, error) {
	if k < 1 || k > f.Count() {
		return nil, fault.New(fault.NotFound, "find frames", "", "the instance has "+strconv.Itoa(f.Count())+" of them, counted from 1")
	}
	x, err := f.Open(k - 1)
	return x, unframed(err)
}

// unframed gives errors of dicom a kind: what was taken as it came may be wrong in itself, which is no damage of the node's.
func unframed(err error) error {
	if e, ok := errors.AsType[*dicom.Error](err); ok {
		return fault.New(fault.Conflict, "find frames", e.Path, e.Kind.Error()+": "+e.Reason)
	}
	return err
}

// told remembers which decisions of this hour are in the audit log already.
type told struct {
	mu   sync.Mutex
	hour int64
	by   map[toldKey]struct{}
}

type toldKey struct {
	actor, object string
	action        policy.Action
}

const maxTold = 100_000

// seen reports whether the decision is known to be recorded in that hour.
func (t *told) seen(k toldKey, hour int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.by[k]
	return ok && t.hour == hour
}

func (t *told) add(k toldKey, hour int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hour != hour || len(t.by) >= maxTold {
		t.hour, t.by = hour, map[toldKey]struct{}{}
	}
	t.by[k] = struct{}{}
}

func hourOf(now time.Time) int64 { return now.Unix() / 3600 }

// OpenLocated opens an object for a flow that has decided on it by rules of its own and has told the audit log (package release). Nothing is asked here but that its subject has not withdrawn, and what is given of it ends when
// they do.
func (d *Delivery) OpenLocated(ctx context.Context, l catalogue.Located) (*Object, error) {
	s, pass, err := d.Gate.Enter(ctx, l.Subject)
	if err != nil {
		return nil, err
	}
	o, err := d.enter(ctx, Caller{}, l, s, pass, policy.ReadPixels, nil)
	if err != nil {
		pass.Leave()
	}
	return o, err
}
