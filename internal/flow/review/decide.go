package review

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Outcome is what became of an item.
type Outcome string

// The outcomes.
const (
	Accepted   Outcome = "accepted"   // cleaned, and waiting for admission with its study
	Restricted Outcome = "restricted" // kept for the collection's stewards alone
	Refused    Outcome = "refused"    // nothing leads to it any more; its depositor reads why
	Held       Outcome = "held"       // as before, for the reasons given
	Gone       Outcome = "gone"       // nothing held of this number that the caller may decide on: somebody has decided, or its subject has withdrawn
	Failed     Outcome = "failed"     // it could not be done now: try again
)

// Decided is the answer for one item.
type Decided struct {
	Item    // as it was found; of Gone its number alone
	Outcome Outcome
	Why     []catalogue.Reason // of Held: what it stays held for
}

const (
	// MaxItems bounds what is decided on at once.
	MaxItems = 1000
	// MaxNote bounds a note, in bytes.
	MaxNote = 200
	// atOnce is how many are worked on at a time: their appends share a sync.
	atOnce = 8
)

// Accept cleans held instances and takes them out of what is held; the answers are in the order asked. The note, which may be empty, goes into the audit log.
func (f *Flow) Accept(ctx context.Context, who Caller, c collection.ID, ids []catalogue.InstanceID, note string) ([]Decided, error) {
	return f.decide(ctx, who, c, ids, note, Accepted, f.accept)
}

func (f *Flow) accept(ctx context.Context, l catalogue.Located, by custody.Reviewer) ([]catalogue.Reason, error) {
	why, err := f.Custody.Accept(ctx, l, by)
	left := make([]catalogue.Reason, len(why))
	for i, r := range why {
		left[i] = catalogue.Reason(r)
	}
	return left, err
}

// Paint is Accept with what looks like text painted over, as a reading of the pixels by now finds it: for who has seen where it is, and answers for the rest.
func (f *Flow) Paint(ctx context.Context, who Caller, c collection.ID, ids []catalogue.InstanceID, note string) ([]Decided, error) {
	return f.PaintBoxes(ctx, who, c, ids, nil, note)
}

// PaintBoxes is Paint with boxes that the caller has drawn. They are those of every item named; if they fit one of them not, nothing is decided.
func (f *Flow) PaintBoxes(ctx context.Context, who Caller, c collection.ID, ids []catalogue.InstanceID, boxes *custody.Boxes, note string) ([]Decided, error) {
	attempt, on := policy.DecideHeld.String(), "collection "+string(c)
	if err := allowed(who, policy.DecideHeld, c, policy.Held); err != nil {
		return nil, err
	}
	if f.Clean == nil {
		return nil, fault.New(fault.Unavailable, attempt, on, "this node reads no pixels, so it paints none")
	}
	if boxes != nil {
		if len(ids) > MaxItems {
			return nil, fault.New(fault.Invalid, attempt, on, "name 1 to 1,000 items")
		}
		rows, _, err := f.found(ctx, who, c, ids)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			l := &rows[i]
			if e, ok := errors.AsType[*fault.Error](boxes.Check(int(l.Columns), int(l.Rows), int(l.Frames))); ok {
				return nil, fault.New(fault.Invalid, attempt, "item "+l.ID.String(), e.Reason+"; nothing was decided")
			}
		}
	}
	return f.decide(ctx, who, c, ids, note, Accepted, func(ctx context.Context, l catalogue.Located, by custody.Reviewer) ([]catalogue.Reason, error) {
		if l.State == policy.Restricted {
			return []catalogue.Reason{{Code: "restricted", Text: "it is kept restricted: it can be accepted as it is, or refused"}}, nil
		}
		return f.Clean.Accept(ctx, l, by, boxes)
	})
}

// Restrict keeps held instances for the collection's stewards alone, their headers cleaned. The note, which may be empty, goes into the audit log.
func (f *Flow) Restrict(ctx context.Context, who Caller, c collection.ID, ids []catalogue.InstanceID, note string) ([]Decided, error) {
	return f.decide(ctx, who, c, ids, note, Restricted, f.restrict)
}

func (f *Flow) restrict(ctx context.Context, l catalogue.Located, by custody.Reviewer) ([]catalogue.Reason, error) {
	if l.State == policy.Restricted { // it is
		return nil, nil
	}
	why, err := f.Custody.Restrict(ctx, l, by)
	left := make([]catalogue.Reason, len(why))
	for i, r := range why {
		left[i] = catalogue.Reason(r)
	}
	return left, err
}

// Refuse drops held instances. The note, which may be empty, goes into the audit log and to the depositor.
func (f *Flow) Refuse(ctx context.Context, who Caller, c collection.ID, ids []catalogue.InstanceID, note string) ([]Decided, error) {
	return f.decide(ctx, who, c, ids, note, Refused, func(ctx context.Context, l catalogue.Located, by custody.Reviewer) ([]catalogue.Reason, error) {
		return nil, f.Custody.Refuse(ctx, l, by)
	})
}

type deciding func(ctx context.Context, l catalogue.Located, by custody.Reviewer) (left []catalogue.Reason, err error)

func (f *Flow) decide(ctx context.Context, who Caller, c collection.ID, ids []catalogue.InstanceID, note string, as Outcome, one deciding) ([]Decided, error) {
	attempt := policy.DecideHeld.String()
	if err := allowed(who, policy.DecideHeld, c, policy.Held); err != nil {
		return nil, err
	}
	if _, err := f.Collections.Get(ctx, c); err != nil {
		return nil, err
	}
	if len(ids) == 0 || len(ids) > MaxItems {
		return nil, fault.New(fault.Invalid, attempt, "collection "+string(c), "name 1 to 1,000 items")
	}
	note, ok := oneLine(note)
	if !ok {
		return nil, fault.New(fault.Invalid, attempt, "collection "+string(c), "a note is one line of at most 200 bytes")
	}
	out := make([]Decided, len(ids))
	rows, at, err := f.found(ctx, who, c, ids)
	if err != nil {
		return nil, err
	}
	items, err := f.items(ctx, rows)
	if err != nil {
		return nil, err
	}
	var subjects []subject.ID
	for i, id := range ids {
		out[i] = Decided{Item: Item{ID: id}, Outcome: Gone}
	}
	for k := range rows {
		out[at[k]].Item = items[k]
		if !slices.Contains(subjects, rows[k].Subject) {
			subjects = append(subjects, rows[k].Subject)
		}
	}
	named, err := f.Custody.Mentions(ctx, note, subjects)
	if err != nil {
		return nil, err
	}
	if named {
		return nil, fault.New(fault.Invalid, attempt, "collection "+string(c), "the note has something in it that identifies a subject; nothing was decided")
	}
	by := custody.Reviewer{Actor: who.Actor, Note: note}
	work := make(chan int)
	var wg sync.WaitGroup
	for range min(atOnce, len(rows)) {
		wg.Go(func() {
			for k := range work {
				d := &out[at[k]]
				d.Outcome, d.Why = f.one(ctx, rows[k], by, as, one)
			}
		})
	}
	for k := range rows {
		work <- k
	}
	close(work)
	wg.Wait()
	f.decided()
	return out, nil
}

// oneLine trims a note, and says whether it is one.
func oneLine(note string) (string, bool) {
	note = strings.TrimSpace(note)
	return note, len(note) <= MaxNote && utf8.ValidString(note) && !strings.ContainsFunc(note, func(r rune) bool { return !unicode.IsPrint(r) })
}

// found are the rows that the caller may decide on, and which of the items asked for each is: of one that is named twice, the first.
func (f *Flow) found(ctx context.Context, who Caller, c collection.ID, ids []catalogue.InstanceID) (rows []catalogue.Located, at []int, err error) {
	met := map[catalogue.InstanceID]bool{}
	for i, id := range ids {
		if met[id] {
			continue
		}
		met[id] = true
		l, err := f.Catalogue.Instance(ctx, id)
		if fault.Is(err, fault.NotFound) || err == nil && (l.Collection != c || !opens(&l) || allowed(who, policy.DecideHeld, c, l.State) != nil) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		rows, at = append(rows, l), append(at, i)
	}
	return rows, at, nil
}

// one decides on one row. Where something beside it has changed meanwhile, such as the object that it is a conflict with, it is looked at once more.
func (f *Flow) one(ctx context.Context, l catalogue.Located, by custody.Reviewer, as Outcome, do deciding) (Outcome, []catalogue.Reason) {
	for range 2 {
		left, err := do(ctx, l, by)
		switch {
		case err == nil && len(left) > 0:
			return Held, left
		case err == nil:
			return as, nil
		case fault.Is(err, fault.Denied): // its subject has been withdrawn
			return Gone, nil
		case !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound):
			return Failed, nil
		}
		now, err := f.Catalogue.Instance(ctx, l.ID)
		if fault.Is(err, fault.NotFound) || err == nil && !opens(&now) {
			return Gone, nil
		}
		if err != nil {
			return Failed, nil
		}
		l = now
	}
	return Failed, nil
}
