package review

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// A standing decision is made by a steward about a pool, which is what is held and alike, and holds for what is in it and for whatever comes that is like it, until it is
// ended. It is carried out by the node, item by item, in the name of who made it; each item passes what any acceptance passes. Where pictures may show text, nobody looks at
// what comes later: so "accept as it is" then means that all that is found lies in boxes of which the steward has said that what is in them is no text of anybody's.

// ByRuling begins the note of what is decided by a standing decision; its number follows.
const ByRuling = "by standing decision "

// CodeRulingEnded is the reason of what a standing decision accepted that has been ended since.
const CodeRulingEnded = "ruling-ended"

// Pool is what is held in a collection and alike, as who decides sees it.
type Pool struct {
	Items    int64
	Subjects int64
	Oldest   time.Time
	About    ruling.About
	Reasons  []Explained
	Layout   string // its address
	Kind     string // that of all its kind, of whatever form their pictures are
	First    catalogue.InstanceID
	Last     catalogue.InstanceID
	Allowed  []ruling.Action // what may be decided once for all
	Text     bool            // its pictures may show text: to be accepted unseen it has to be said where that is nobody's
	Frames   int64

	// Of Pool alone:
	OfKind int64     // items of its kind that are held, of whatever form
	Forms  int       // in so many pools
	Found  []FoundAt // where text was found in its pictures, most often first
	Looked int       // of so many items, its first
	Read   int       // of which a reading has seen every frame
}

const maxPools = 200

// Pools lists what is held in a collection by what is alike, most first. What came a moment ago may not be in one yet.
func (f *Flow) Pools(ctx context.Context, who Caller, c collection.ID) ([]Pool, error) {
	if err := allowed(who, policy.SeeHeld, c, policy.Held); err != nil {
		return nil, err
	}
	rows, err := f.Catalogue.Pools(ctx, c, maxPools)
	if err != nil {
		return nil, err
	}
	out := make([]Pool, 0, len(rows))
	for i := range rows {
		p, err := f.pool(ctx, c, rows[i])
		if fault.Is(err, fault.NotFound) {
			continue // decided on meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// Pool is one of them, with where text was found in its pictures.
func (f *Flow) Pool(ctx context.Context, who Caller, c collection.ID, layout string) (Pool, error) {
	missing := fault.New(fault.NotFound, policy.SeeHeld.String(), "", "nothing is held that is alike so")
	if err := allowed(who, policy.SeeHeld, c, policy.Held); err != nil {
		return Pool{}, err
	}
	rows, err := f.Catalogue.Pools(ctx, c, maxPools)
	if err != nil {
		return Pool{}, err
	}
	i := slices.IndexFunc(rows, func(p catalogue.Pool) bool { return p.Layout == layout })
	if layout == "" || i < 0 {
		return Pool{}, missing
	}
	p, err := f.pool(ctx, c, rows[i])
	if err != nil {
		return Pool{}, err
	}
	for _, r := range rows {
		if r.Kind == rows[i].Kind {
			p.OfKind += r.Items
			p.Forms++
		}
	}
	p.Found, p.Looked, p.Read, err = f.readings(ctx, c, layout)
	return p, err
}

func (f *Flow) pool(ctx context.Context, c collection.ID, row catalogue.Pool) (Pool, error) {
	l, err := f.Catalogue.Instance(ctx, row.First)
	if err != nil {
		return Pool{}, err
	}
	p := Pool{Items: row.Items, Subjects: row.Subjects, Oldest: row.Oldest, Layout: row.Layout, Kind: row.Kind, First: row.First, Last: row.Last, Frames: l.Frames}
	if p.About, err = f.about(ctx, l, row.Layout); err != nil {
		return Pool{}, err
	}
	for _, r := range l.Reasons {
		p.Reasons = append(p.Reasons, Explain(r))
	}
	col, err := f.Collections.Get(ctx, c)
	if err != nil {
		return Pool{}, err
	}
	profile, err := f.Collections.Cleaning(ctx, col)
	if err != nil {
		return Pool{}, err
	}
	p.Allowed, p.Text = f.standing(l, profile.AsDeposited), slices.ContainsFunc(l.Reasons, showsText)
	return p, nil
}

// about is what people read of what is alike. The device is as the collection's profile leaves it, and not said where it cannot.
func (f *Flow) about(ctx context.Context, l catalogue.Located, layout string) (ruling.About, error) {
	var a ruling.About
	a.Class, _ = dicom.UIDName(l.SOPClass)
	for _, r := range l.Reasons {
		if !slices.Contains(a.Codes, r.Code) {
			a.Codes = append(a.Codes, r.Code)
		}
	}
	a.Rows, a.Columns = l.Rows, l.Columns
	f.mu.Lock()
	device, ok := f.devices[layout]
	f.mu.Unlock()
	if !ok {
		var err error
		if device, err = f.Custody.Device(ctx, l); err != nil {
			return a, err
		}
		f.mu.Lock()
		if len(f.devices) > 4*maxPools {
			clear(f.devices)
		}
		f.devices[layout] = device
		f.mu.Unlock()
	}
	a.Device = device
	return a, nil
}

// standing is what may be decided once for all that is like an instance.
func (f *Flow) standing(l catalogue.Located, kept bool) []ruling.Action {
	out := []ruling.Action{}
	if acceptable(l.Reasons, kept) && !slices.ContainsFunc(l.Reasons, func(r catalogue.Reason) bool { return r.Code == catalogue.CodeConflict }) {
		if f.Clean != nil && l.Rows > 0 {
			out = append(out, ruling.Paint)
		}
		out = append(out, ruling.Accept)
	}
	if restrictable(l.Reasons) && !slices.ContainsFunc(l.Reasons, func(r catalogue.Reason) bool { return r.Code == catalogue.CodeConflict }) {
		out = append(out, ruling.Restrict)
	}
	return append(out, ruling.Refuse)
}

// Order is a standing decision to be made.
type Order struct {
	Layout string // of the pool that was looked at
	Whole  bool   // of its whole kind, of whatever form the pictures are
	Action ruling.Action
	Boxes  []catalogue.FoundBox // of Paint: painted too; of Accept: what is found in them is no text of anybody's. One whose last frame is 0 is of all from the first
	Note   string
}

// Rule makes a standing decision. What is held and alike is decided on at once, by and by.
func (f *Flow) Rule(ctx context.Context, who Caller, c collection.ID, o Order) (ruling.Ruling, error) {
	attempt := "make standing decision"
	var none ruling.Ruling
	if err := allowed(who, policy.DecideHeld, c, policy.Held); err != nil {
		return none, err
	}
	p, err := f.Pool(ctx, who, c, o.Layout)
	if err != nil {
		return none, err
	}
	wrong := func(text string) error { return fault.New(fault.Invalid, attempt, "collection "+string(c), text) }
	if !slices.Contains(p.Allowed, o.Action) {
		return none, wrong("this cannot be decided once for all that is alike: " + string(o.Action))
	}
	if o.Whole && len(o.Boxes) > 0 {
		return none, wrong("boxes are for pictures of one form, not for a whole kind")
	}
	if o.Action == ruling.Accept && len(o.Boxes) == 0 && p.Text {
		return none, wrong("nobody looks at what comes later, and its pictures may show text: say in which boxes what looks like text is nobody's, or have it painted over")
	}
	for _, b := range o.Boxes {
		if b.First < 1 || b.Last != 0 && b.Last < b.First || b.Box[0] < 0 || b.Box[1] < 0 || b.Box[2] <= b.Box[0] || b.Box[3] <= b.Box[1] || int64(b.Box[2]) > p.About.Columns || int64(b.Box[3]) > p.About.Rows {
			return none, wrong("a box lies outside the picture, or is empty")
		}
	}
	note, err := f.note(ctx, attempt, c, o.Note, f.subjectsOf(ctx, c, o.Layout))
	if err != nil {
		return none, err
	}
	x := ruling.Ruling{Collection: c, Subject: ruling.Layout, Likeness: p.Layout, About: p.About, Action: o.Action, Boxes: o.Boxes, Note: note, Actor: who.Actor}
	if o.Whole {
		x.Subject, x.Likeness, x.About.Rows, x.About.Columns = ruling.Kind, p.Kind, 0, 0
	}
	if err := f.write(ctx, &x, nil); err != nil {
		return none, err
	}
	f.wake()
	return x, nil
}

// Identify makes a standing decision that a text identifies wherever it stands in a collection. It is looked for in what comes from now on, and in all that is in sight: what
// has it is held, and loses it when it is accepted.
func (f *Flow) Identify(ctx context.Context, who Caller, c collection.ID, said custody.Said, note string) (ruling.Ruling, error) {
	attempt := "make standing decision"
	var none ruling.Ruling
	if err := allowed(who, policy.DecideHeld, c, policy.Held); err != nil {
		return none, err
	}
	if _, err := f.Collections.Get(ctx, c); err != nil {
		return none, err
	}
	if err := said.Check(); err != nil {
		return none, err
	}
	known, err := f.Rulings.InForce(ctx, c)
	if err != nil {
		return none, err
	}
	for i := range known {
		if known[i].Subject != ruling.Identifier {
			continue
		}
		if s, err := f.Custody.OpenSaid(ctx, &known[i]); err != nil {
			return none, err
		} else if s.Name == said.Name && strings.EqualFold(s.Text, strings.TrimSpace(said.Text)) {
			return none, fault.New(fault.Conflict, attempt, "collection "+string(c), "decision "+known[i].Number.String()+" says so already")
		}
	}
	if note, err = f.note(ctx, attempt, c, note, nil); err != nil {
		return none, err
	}
	if said.Mentions(note) {
		return none, fault.New(fault.Invalid, attempt, "collection "+string(c), "the note has in it what identifies; nothing was decided")
	}
	seal, err := f.Custody.SealSaid(ctx, c, said)
	if err != nil {
		return none, err
	}
	x := ruling.Ruling{Collection: c, Subject: ruling.Identifier, Note: note, Actor: who.Actor}
	return x, f.write(ctx, &x, seal)
}

// Said is the text of a decision about an identifier, for its stewards; each time is in the audit log.
func (f *Flow) Said(ctx context.Context, who Caller, c collection.ID, n ruling.Number) (custody.Said, error) {
	if err := allowed(who, policy.DecideHeld, c, policy.Held); err != nil {
		return custody.Said{}, err
	}
	x, err := f.Rulings.Get(ctx, c, n)
	if err == nil && x.Subject != ruling.Identifier {
		err = fault.New(fault.NotFound, "read standing decision", "collection "+string(c), "this decision is about no text")
	}
	if err != nil {
		return custody.Said{}, err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "read standing decision", Object: "decision " + n.String(), Collection: string(c), Outcome: "done"})
	})
	if err != nil {
		return custody.Said{}, err
	}
	return f.Custody.OpenSaid(ctx, &x)
}

// write makes a decision and its audit entry. seal, of an identifier, seals it to its number.
func (f *Flow) write(ctx context.Context, x *ruling.Ruling, seal func(ruling.Number) ([]byte, error)) error {
	err := f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		if x.Number, err = f.Rulings.Next(tx, x.Collection); err != nil {
			return err
		}
		if seal != nil {
			if x.Sealed, err = seal(x.Number); err != nil {
				return err
			}
		}
		if err := f.Rulings.Add(tx, x); err != nil {
			return err
		}
		if x.Subject == ruling.Identifier {
			if err := f.Custody.SearchSaid(tx, x.Collection); err != nil {
				return err
			}
		}
		outcome := "done: " + cmp.Or(string(x.Action), string(x.Subject))
		return f.Audit.Append(tx, audit.Entry{Actor: x.Actor, Action: "make standing decision", Object: "decision " + x.Number.String(), Collection: string(x.Collection), Outcome: outcome})
	})
	f.Rulings.Forget(x.Collection)
	if err != nil {
		return err
	}
	return f.DB.Sync()
}

// note checks what somebody has written about a decision: one line that names nobody.
func (f *Flow) note(ctx context.Context, attempt string, c collection.ID, note string, of []subject.ID) (string, error) {
	note, ok := oneLine(note)
	if !ok {
		return "", fault.New(fault.Invalid, attempt, "collection "+string(c), "a note is one line of at most 200 bytes")
	}
	named, err := f.Custody.Mentions(ctx, note, of)
	if err != nil {
		return "", err
	}
	if named {
		return "", fault.New(fault.Invalid, attempt, "collection "+string(c), "the note has something in it that identifies a subject; nothing was decided")
	}
	return note, nil
}

// subjectsOf are those whose names a note about a pool could hold: of its first thousand items.
func (f *Flow) subjectsOf(ctx context.Context, c collection.ID, layout string) []subject.ID {
	rows, err := f.Catalogue.WaitingFor(ctx, c, catalogue.Wait{Layout: layout}, 0, MaxItems)
	if err != nil {
		return nil
	}
	return subjectsIn(rows)
}

func subjectsIn(rows []catalogue.Located) (out []subject.ID) {
	for i := range rows {
		if !slices.Contains(out, rows[i].Subject) {
			out = append(out, rows[i].Subject)
		}
	}
	return out
}

// Rulings lists the standing decisions of a collection, the last first. Identifiers are not shown.
func (f *Flow) RulingsOf(ctx context.Context, who Caller, c collection.ID) ([]ruling.Ruling, error) {
	if err := allowed(who, policy.SeeHeld, c, policy.Held); err != nil {
		return nil, err
	}
	if _, err := f.Collections.Get(ctx, c); err != nil {
		return nil, err
	}
	return f.Rulings.List(ctx, c)
}

// jobEnded holds again what a decision accepted that has been ended.
const jobEnded = "ruling-ended"

// EndRuling ends a standing decision. What it accepted is held again, by and by; what it refused stays refused.
func (f *Flow) EndRuling(ctx context.Context, who Caller, c collection.ID, n ruling.Number, note string) error {
	const attempt = "end standing decision"
	if err := allowed(who, policy.DecideHeld, c, policy.Held); err != nil {
		return err
	}
	x, err := f.Rulings.Get(ctx, c, n)
	if err != nil {
		return err
	}
	accepted, err := f.Catalogue.AcceptedBy(ctx, c, int64(n), 0, MaxItems)
	if err != nil {
		return err
	}
	if note, err = f.note(ctx, attempt, c, note, subjectsIn(accepted)); err != nil {
		return err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if err := f.Rulings.End(tx, c, n, who.Actor, note); err != nil {
			return err
		}
		if x.Subject != ruling.Identifier && x.Action != ruling.Refuse && x.Action != ruling.Restrict {
			if err := f.Jobs.Add(tx, jobEnded, string(c)+"/"+n.String(), nil, time.Now()); err != nil {
				return err
			}
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: attempt, Object: "decision " + n.String(), Collection: string(c), Outcome: "done"})
	})
	f.Rulings.Forget(c)
	if err != nil {
		return err
	}
	f.decided()
	return f.DB.Sync()
}

// Ended is the handler of jobs for decisions that were ended: what they accepted goes out of sight, and waits for somebody.
func (f *Flow) Ended(ctx context.Context, key string, _ []byte) error {
	id, number, _ := strings.Cut(key, "/")
	n, err := ruling.ParseNumber(number)
	if err != nil {
		return err
	}
	c := collection.ID(id)
	why := catalogue.Reason{Code: CodeRulingEnded, Text: "standing decision " + n.String() + ", which accepted it, has been ended"}
	var after catalogue.InstanceID
	for {
		page, err := f.Catalogue.AcceptedBy(ctx, c, int64(n), after, MaxItems)
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].ID
		err = f.DB.Write(ctx, func(tx *db.Tx) error {
			held := 0
			for _, l := range page {
				if _, err := f.Catalogue.Hold(tx, l.ID, why); err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
					return err
				} else if err == nil {
					held++
				}
			}
			return f.Audit.Append(tx, audit.Entry{Actor: "node", Action: "end standing decision", Object: "decision " + n.String(), Collection: string(c), Outcome: fmt.Sprintf("held %d", held)})
		})
		if err != nil {
			return err
		}
		f.decided()
	}
}

// Run notes what is held and alike, and carries out standing decisions, until ctx ends.
func (f *Flow) Run(ctx context.Context) error {
	defer func() { f.end(); f.work.Wait() }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		held := f.DB.Signalled(catalogue.SignalHeld)
		if err := f.due(ctx); err != nil && ctx.Err() == nil {
			f.Log.Error("standing decisions", "error", err)
		}
		select {
		case <-held:
		case <-f.woken:
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// lookEvery is how often what is held is looked at for what is alike where nothing says that there is more: another process may have brought it.
const lookEvery = 15 * time.Second

func (f *Flow) wake() {
	select {
	case f.woken <- struct{}{}:
	default:
	}
}

func (f *Flow) due(ctx context.Context) error {
	for ctx.Err() == nil {
		rows, err := f.Catalogue.Unlikened(ctx, MaxItems)
		if err != nil || len(rows) == 0 {
			break
		}
		done := 0
		for _, l := range rows {
			as, err := f.likeness(ctx, l)
			if err != nil {
				if ctx.Err() == nil && !fault.Is(err, fault.Denied) {
					f.Log.Error("what is held could not be looked at for what is alike", "instance", l.ID, "error", err)
				}
				continue
			}
			if err := f.DB.Write(ctx, func(tx *db.Tx) error { return f.Catalogue.Liken(tx, l.ID, l.Reasons, as) }); err != nil {
				return err
			}
			delete(f.tried, l.ID)
			done++
		}
		if done == 0 {
			break
		}
	}
	return f.carryOut(ctx)
}

// carryOut applies the decisions that are in force to what is alike and was not tried with them.
func (f *Flow) carryOut(ctx context.Context) error {
	if now := time.Now(); now.Sub(f.triedSince) > tryAgain {
		f.tried, f.triedSince = map[catalogue.InstanceID][]ruling.Number{}, now
	}
	waiting, err := f.Catalogue.WaitingCounts(ctx)
	if err != nil {
		return err
	}
	for c := range waiting {
		list, err := f.Rulings.InForce(ctx, c)
		if err != nil {
			return err
		}
		// What is said of one form of picture goes before what is said of a whole kind.
		list = slices.SortedStableFunc(slices.Values(list), func(a, b ruling.Ruling) int {
			return cmp.Compare(b.Subject, a.Subject) // "layout" before "kind"
		})
		for i := range list {
			if list[i].Subject == ruling.Identifier {
				continue
			}
			if err := f.apply(ctx, &list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// apply carries out one decision. What it could not do to an item it tries again when the item has changed, or after a while.
func (f *Flow) apply(ctx context.Context, x *ruling.Ruling) error {
	w := catalogue.Wait{Layout: x.Likeness}
	if x.Subject == ruling.Kind {
		w = catalogue.Wait{Kind: x.Likeness}
	}
	by := custody.Reviewer{Actor: x.Actor, Note: ByRuling + x.Number.String(), Ruling: int64(x.Number)}
	var after catalogue.InstanceID
	for ctx.Err() == nil {
		page, err := f.Catalogue.WaitingFor(ctx, x.Collection, w, after, MaxItems)
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].ID
		for _, l := range page {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if now, err := f.Rulings.InForce(ctx, x.Collection); err != nil {
				return err
			} else if !slices.ContainsFunc(now, func(y ruling.Ruling) bool { return y.Number == x.Number }) {
				return nil // it has been ended
			}
			if slices.Contains(f.tried[l.ID], x.Number) {
				continue
			}
			if outcome, _ := f.one(ctx, l, by, Accepted, f.doing(x)); outcome == Held || outcome == Failed {
				f.tried[l.ID] = append(f.tried[l.ID], x.Number)
			}
			f.decided()
		}
	}
	return ctx.Err()
}

// tryAgain is after how long what a decision could not do is tried again.
const tryAgain = 10 * time.Minute

// doing is what a decision does with one item.
func (f *Flow) doing(x *ruling.Ruling) deciding {
	return func(ctx context.Context, l catalogue.Located, by custody.Reviewer) ([]catalogue.Reason, error) {
		switch x.Action {
		case ruling.Refuse:
			return nil, f.Custody.Refuse(ctx, l, by)
		case ruling.Restrict:
			return f.restrict(ctx, l, by)
		case ruling.Paint:
			if f.Clean == nil {
				return []catalogue.Reason{{Code: deid.CodeUnsure, Text: "this node reads no pixels, so it paints none"}}, nil
			}
			var boxes *custody.Boxes
			if len(x.Boxes) > 0 {
				boxes = &custody.Boxes{Drawn: x.Boxes}
			}
			return f.Clean.Accept(ctx, l, by, boxes)
		case ruling.Accept:
			if ok, err := f.harmless(ctx, x, l); err != nil || !ok {
				return l.Reasons, err
			}
			return f.accept(ctx, l, by)
		}
		return l.Reasons, nil
	}
}

// showsText reports a reason that is about text in pictures.
func showsText(r catalogue.Reason) bool {
	return deid.Painted.Settles(deid.Reason(r)) || r.Code == deid.CodeUnsure
}

// harmless reports that all that looks like text in the pictures of an instance lies where the decision says that it is nobody's.
func (f *Flow) harmless(ctx context.Context, x *ruling.Ruling, l catalogue.Located) (bool, error) {
	found, err := f.Catalogue.Found(ctx, l.ID)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(l.Reasons, showsText) && (!whole(found, l.Frames) || len(x.Boxes) == 0) {
		return false, nil // not all of it was read
	}
	if found == nil {
		return true, nil
	}
	for _, b := range found.Boxes {
		if !slices.ContainsFunc(x.Boxes, func(h catalogue.FoundBox) bool { return within(b, h) }) {
			return false, nil
		}
	}
	return true, nil
}

func within(b, h catalogue.FoundBox) bool {
	return b.First >= h.First && (h.Last == 0 || b.Last <= h.Last) && b.Box[0] >= h.Box[0] && b.Box[1] >= h.Box[1] && b.Box[2] <= h.Box[2] && b.Box[3] <= h.Box[3]
}
