// Package review is how people decide on what is held: what waits and why, and acceptance and refusal, one by one or many at once. Pages, the management API
// and commands show and call the same.
//
// It promises: policy decides inside every call, and whoever has no role in a collection learns nothing of it; a decision and its audit entry are one
// transaction; what is accepted has passed its collection's profile and the gate, whatever a person said of it, and stays held with the reason where it does
// not pass; a note names nobody, or nothing is decided.
//
//	all, err := r.Accept(ctx, caller, "breast", ids, "nothing but a ruler in the pixels")
//	for _, o := range all {
//		// o.Outcome is Accepted; or Held with o.Reasons, or Gone
//	}
//
// Lists show no value of what is held but what was made of it by a keyed hash, and no picture.
package review

import (
	"cmp"
	"context"
	"image"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/document"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/video"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Caller is who asks: without grants, nobody in particular.
type Caller struct {
	Actor  string // what the audit log calls them
	Grants []policy.Grant
}

// Parts are what a review works with.
type Parts struct {
	Custody     *custody.Custody
	Delivery    *delivery.Delivery
	Catalogue   *catalogue.Record
	Collections *collection.Record
	Subjects    *subject.Record
	Rulings     *ruling.Record
	Clean       Cleaner          // nil: the node reads no pixels
	Documents   *document.Reader // nil: the node reads no documents
	Videos      *video.Reader    // nil: the node reads no videos
	DB          *db.DB
	Ring        *keys.Ring
	Audit       *audit.Log
	Jobs        *jobs.Queue
	Log         *slog.Logger
}

// Cleaner paints over what looks like text in an instance that is held, or what somebody has drawn on it, and accepts it in the name of who has looked at it.
type Cleaner interface {
	// Accept paints the boxes; nil: those that a reading of the pixels finds by now.
	Accept(ctx context.Context, l catalogue.Located, by custody.Reviewer, boxes *custody.Boxes) (left []catalogue.Reason, err error)
	// Show draws a frame, counted from 1, with boxes painted over.
	Show(ctx context.Context, l catalogue.Located, frame int, boxes []catalogue.FoundBox, opts render.Options) (image.Image, error)
}

// Flow is safe for use by many goroutines.
type Flow struct {
	Parts

	mu        sync.Mutex
	counted   map[collection.ID]catalogue.Held // nil: not counted since something was decided
	countedAt time.Time
	devices   map[string]string // by layout, as profiles leave them

	surveys map[collection.ID]*Survey
	life    context.Context // of what goes on between questions
	end     context.CancelFunc
	work    sync.WaitGroup

	woken      chan struct{}
	tried      map[catalogue.InstanceID][]ruling.Number // decisions that an item is held in spite of; Run alone
	triedSince time.Time
}

// New makes the flow. Run carries out standing decisions; the rest works without it.
func New(p Parts) *Flow {
	f := &Flow{Parts: p, devices: map[string]string{}, surveys: map[collection.ID]*Survey{}, woken: make(chan struct{}, 1)}
	f.life, f.end = context.WithCancel(context.Background())
	return f
}

// Handlers are the jobs that the flow does.
func (f *Flow) Handlers() map[string]jobs.Handler { return map[string]jobs.Handler{jobEnded: f.Ended} }

// Item is one instance that waits for a decision.
type Item struct {
	ID           catalogue.InstanceID
	Collection   collection.ID
	State        policy.State // Held or Conflict
	Reasons      []catalogue.Reason
	Acceptable   bool // a person's word can answer every reason; cleaning it then may still say otherwise
	Restrictable bool // it waits, and can be kept for stewards alone, as far as its reasons say

	Subject  subject.Pseudonym
	Study    catalogue.StudyUID // as it is or would be kept
	Series   catalogue.SeriesUID
	Modality string // what its SOP class is made by, where that is one thing: the header of a held object is not shown
	Kind     string // name of its SOP class
	Frames   int64  // 0: it does not say
	Rows     int64  // 0: it has no picture
	Columns  int64
	Bytes    int64

	Deposit  catalogue.DepositID
	Ordinal  int64 // its place in the deposit, from 1
	Door     string
	Actor    string // who deposited it
	Received time.Time
}

// Query narrows a list. What is empty does not narrow.
type Query struct {
	Reason  string // code of one of the reasons
	Layout  string // what it is alike with
	Deposit catalogue.DepositID
	Subject subject.Pseudonym
	After   catalogue.InstanceID // where the page before ended
	UpTo    catalogue.InstanceID // the last one that is meant: what came later has not been looked at
	Kept    bool                 // what is kept restricted, instead of what waits
	Limit   int                  // at most, and by default, catalogue.MaxLimit
}

// allowed asks policy. To who has no role in the collection, it is not there.
func allowed(who Caller, action policy.Action, c collection.ID, s policy.State) error {
	dec := policy.Decide(policy.Facts{Grants: who.Grants, Action: action, Collection: string(c), State: s})
	if dec.Allow {
		return nil
	}
	if !slices.ContainsFunc(who.Grants, func(g policy.Grant) bool { return g.Collection == policy.AllCollections || g.Collection == string(c) }) {
		return fault.New(fault.NotFound, action.String(), "", "there is no such collection")
	}
	return fault.New(fault.Denied, action.String(), "collection "+string(c), strings.Join(dec.Reasons, "; "))
}

// List lists what is held in a collection, in the order of arrival.
func (f *Flow) List(ctx context.Context, who Caller, c collection.ID, q Query) ([]Item, error) {
	if err := allowed(who, policy.SeeHeld, c, policy.Held); err != nil {
		return nil, err
	}
	if _, err := f.Collections.Get(ctx, c); err != nil {
		return nil, err
	}
	w, none, err := f.wait(ctx, c, q)
	if err != nil || none {
		return nil, err
	}
	rows, err := f.Catalogue.WaitingFor(ctx, c, w, q.After, q.Limit)
	if err != nil {
		return nil, err
	}
	return f.items(ctx, rows)
}

// wait is a query as the catalogue asks it; none says that it can only be answered by nothing.
func (f *Flow) wait(ctx context.Context, c collection.ID, q Query) (w catalogue.Wait, none bool, err error) {
	w = catalogue.Wait{Deposit: q.Deposit, Reason: q.Reason, Layout: q.Layout, UpTo: q.UpTo, Kept: q.Kept}
	if q.Subject != "" {
		s, err := f.Subjects.ByPseudonym(ctx, c, q.Subject)
		if fault.Is(err, fault.NotFound) {
			return w, true, nil
		}
		if err != nil {
			return w, false, err
		}
		w.Subject = s.ID
	}
	return w, false, nil
}

// Heap is what waits for the same reason. What waits for several is in several heaps.
type Heap struct {
	Reason Explained
	Items  int64
	Oldest time.Time
	Last   catalogue.InstanceID // of those counted
}

// Heaps counts what is held in a collection, all told and by reason, most first.
func (f *Flow) Heaps(ctx context.Context, who Caller, c collection.ID, q Query) (total int64, heaps []Heap, err error) {
	if err := allowed(who, policy.SeeHeld, c, policy.Held); err != nil {
		return 0, nil, err
	}
	w, none, err := f.wait(ctx, c, q)
	if err != nil || none {
		return 0, nil, err
	}
	counts, err := f.Catalogue.WaitingBy(ctx, c, w)
	if err != nil {
		return 0, nil, err
	}
	at := map[string]int{}
	for _, n := range counts {
		total += n.Items
		met := map[string]bool{}
		for _, r := range n.Reasons {
			if met[r.Code] {
				continue
			}
			met[r.Code] = true
			k, ok := at[r.Code]
			if !ok {
				k = len(heaps)
				at[r.Code] = k
				heaps = append(heaps, Heap{Reason: Explain(r), Oldest: n.Oldest})
			}
			h := &heaps[k]
			h.Items += n.Items
			h.Last = max(h.Last, n.Last)
			if n.Oldest.Before(h.Oldest) {
				h.Oldest = n.Oldest
			}
		}
	}
	slices.SortFunc(heaps, func(a, b Heap) int {
		return cmp.Or(cmp.Compare(b.Items, a.Items), strings.Compare(a.Reason.Code, b.Reason.Code))
	})
	return total, heaps, nil
}

// freshFor is how long counts of what waits serve: they stand on every page of a steward.
const freshFor = time.Second

// Waiting is how many items wait for the caller to decide, in all collections, as of this second; of what was decided here, as of now.
func (f *Flow) Waiting(ctx context.Context, who Caller) (n int64, err error) {
	scopes := policy.Scopes(who.Grants, policy.DecideHeld, policy.Link{})
	if len(scopes) == 0 {
		return 0, nil
	}
	counts, err := f.counts(ctx)
	if err != nil {
		return 0, err
	}
	may := map[string][]policy.State{}
	for _, s := range scopes {
		may[s.Collection] = append(may[s.Collection], s.States...)
	}
	for c, h := range counts {
		of := slices.Concat(may[policy.AllCollections], may[string(c)])
		if slices.Contains(of, policy.Held) {
			n += h.Held
		}
		if slices.Contains(of, policy.Conflict) {
			n += h.Conflict
		}
	}
	return n, nil
}

// counts are what waits by collection; whoever asks gets a map that nobody writes to.
func (f *Flow) counts(ctx context.Context) (map[collection.ID]catalogue.Held, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counted != nil && time.Since(f.countedAt) < freshFor {
		return f.counted, nil
	}
	at := time.Now()
	counts, err := f.Catalogue.WaitingCounts(ctx)
	if err != nil {
		return nil, err
	}
	f.counted, f.countedAt = counts, at
	return counts, nil
}

// decided says that the counts have changed.
func (f *Flow) decided() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counted = nil
}

// Item is one instance that is held.
func (f *Flow) Item(ctx context.Context, who Caller, id catalogue.InstanceID) (Item, error) {
	missing := fault.New(fault.NotFound, policy.SeeHeld.String(), "", "there is nothing held of this kind that you may see")
	l, err := f.Catalogue.Instance(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && (!opens(&l) || allowed(who, policy.SeeHeld, l.Collection, l.State) != nil) {
		return Item{}, missing
	}
	if err != nil {
		return Item{}, err
	}
	all, err := f.items(ctx, []catalogue.Located{l})
	if err != nil {
		return Item{}, err
	}
	return all[0], nil
}

func waits(l *catalogue.Located) bool { return l.State == policy.Held || l.State == policy.Conflict }

// opens reports what a steward may look into and decide on: what waits, and what is kept restricted.
func opens(l *catalogue.Located) bool { return waits(l) || l.State == policy.Restricted }

// items shows rows, with what is known of their deposits, subjects and collection.
func (f *Flow) items(ctx context.Context, rows []catalogue.Located) ([]Item, error) {
	deposits, subjects := map[catalogue.DepositID]catalogue.Deposit{}, map[subject.ID]subject.Pseudonym{}
	keeps := map[collection.ID]bool{}
	items := make([]Item, len(rows))
	for i := range rows {
		l := &rows[i]
		d, ok := deposits[l.Deposit]
		if !ok {
			var err error
			if d, err = f.Catalogue.Deposit(ctx, l.Deposit); err != nil && !fault.Is(err, fault.NotFound) {
				return nil, err
			}
			deposits[l.Deposit] = d
		}
		who, ok := subjects[l.Subject]
		if !ok {
			s, err := f.Subjects.Get(ctx, l.Subject)
			if err != nil && !fault.Is(err, fault.NotFound) {
				return nil, err
			}
			who, subjects[l.Subject] = s.Pseudonym, s.Pseudonym
		}
		if _, ok := keeps[l.Collection]; !ok {
			c, err := f.Collections.Get(ctx, l.Collection)
			if err != nil {
				return nil, err
			}
			p, err := f.Collections.Cleaning(ctx, c)
			if err != nil {
				return nil, err
			}
			keeps[l.Collection] = p.AsDeposited
		}
		kind, _ := dicom.UIDName(l.SOPClass)
		items[i] = Item{ID: l.ID, Collection: l.Collection, State: l.State, Reasons: l.Reasons, Acceptable: acceptable(l.Reasons, keeps[l.Collection]), Restrictable: waits(l) && restrictable(l.Reasons), Subject: who,
			Study: l.Study, Series: l.Series, Modality: modalityOf(l.SOPClass), Kind: kind, Frames: l.Frames, Rows: l.Rows, Columns: l.Columns, Bytes: l.HeadSize + l.BulkSize,
			Deposit: l.Deposit, Ordinal: l.Ordinal, Door: d.Door, Actor: d.Actor, Received: l.Created}
	}
	return items, nil
}

// acceptable reports that a person's word can answer every reason; kept is of collections that change nothing.
func acceptable(reasons []catalogue.Reason, kept bool) bool {
	return !slices.ContainsFunc(reasons, func(r catalogue.Reason) bool { return !answerable(r) || r.Code == catalogue.CodeConflict && kept })
}

// restrictable reports that everything an item is held for may stay in what stewards alone open.
func restrictable(reasons []catalogue.Reason) bool {
	return !slices.ContainsFunc(reasons, func(r catalogue.Reason) bool { return !answerable(r) && !deid.Kept.Settles(deid.Reason(r)) })
}

func answerable(r catalogue.Reason) bool {
	switch {
	case r.Code == CodeRulingEnded, r.Code == custody.CodeEcho:
		return true
	case r.Code == catalogue.CodeConflict:
		return true // beside what is known, under a UID of its own
	case r.Code == deid.CodeBulk && r.Where == "":
		return true // it had to be taken out while it came; at rest it can be
	}
	return deid.Seen.Settles(deid.Reason(r))
}

// madeBy are modalities of storage classes that one kind of equipment alone makes, by what follows the storage root (PS3.4 B.5, PS3.3 C.7.3.1.1.1).
var madeBy = func() map[string]string {
	m := map[string]string{}
	for _, line := range [...]string{"CR 1", "DX 1.1 1.1.1", "MG 1.2 1.2.1 13.1.3 13.1.4 13.1.5", "IO 1.3 1.3.1", "CT 2 2.1 2.2", "US 3 3.1 6 6.1 6.2", "MR 4 4.1 4.2 4.3 4.4", "OT 7 7.1 7.2 7.3 7.4",
		"XA 12.1 12.1.1 13.1.1", "RF 12.2 12.2.1", "NM 20", "REG 66.1 66.3", "SEG 66.4", "SM 77.1.6 77.1.2", "ES 77.1.1 77.1.1.1", "XC 77.1.4 77.1.4.1", "OP 77.1.5.1 77.1.5.2", "OPT 77.1.5.4",
		"SR 88.11 88.22 88.33 88.34 88.67 88.68", "KO 88.59", "PR 11.1 11.2 11.3 11.4", "DOC 104.1 104.2", "M3D 104.3 104.4 104.5", "PT 128 130", "RTIMAGE 481.1", "RTDOSE 481.2", "RTSTRUCT 481.3", "RTPLAN 481.5"} {
		f := strings.Fields(line)
		for _, suffix := range f[1:] {
			m["1.2.840.10008.5.1.4.1.1."+suffix] = f[0]
		}
	}
	return m
}()

func modalityOf(class string) string { return madeBy[class] }
