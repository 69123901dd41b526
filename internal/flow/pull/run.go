package pull

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/transfer"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/pull"
)

const (
	jobPull = "pull"
	// slice is how long one piece of work takes at most, but for the study that is under way.
	slice = 10 * time.Minute
	// again is when an archive that is away is tried anew.
	again = 10 * time.Minute
	// overlap is how many days a standing pull asks for once more: studies are entered late, and grow.
	overlap = 3
	// maxTries is how often a study is asked for; firstWait is how long it waits the first time, doubling.
	maxTries  = 6
	firstWait = 5 * time.Minute
	page      = 50
)

// Handlers are the jobs that are done here. They may take long: they have a runner of their own.
func (d *Desk) Handlers() map[string]jobs.Handler {
	return map[string]jobs.Handler{jobPull: func(ctx context.Context, key string, _ []byte) error {
		id, err := pull.ParseID(key)
		if err != nil {
			return err
		}
		next, err := d.run(ctx, id)
		if err != nil || next.IsZero() {
			return err
		}
		return d.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error { return d.Jobs.Add(tx, jobPull, key, nil, next) })
	}}
}

// Schedule asks for the work of every pull that is active.
func (d *Desk) Schedule(ctx context.Context) error {
	all, err := d.Pulls.Active(ctx)
	if err != nil || len(all) == 0 {
		return err
	}
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		for _, p := range all {
			if err := d.Jobs.Add(tx, jobPull, p.ID.String(), nil, d.now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// round is one slice of a pull's work.
type round struct {
	d     *Desk
	p     pull.Pull
	asked asked
	peer  identity.Peer
	into  collection.Collection
	until time.Time // the slice's end, or the hours'
	line  *line
	dep   *custody.Deposit
	seen  string

	studies, instances int64
	came               time.Time // when the rate lets the next study begin; zero: now
}

// run works on a pull for a while, and says when to go on; the zero time: never by itself.
func (d *Desk) run(ctx context.Context, id pull.ID) (time.Time, error) {
	p, err := d.Pulls.Get(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && p.State != pull.Active {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	w, err := parseWindow(p.Hours)
	if err != nil {
		return time.Time{}, err
	}
	now := d.now()
	open := w.open(now)
	if open.IsZero() {
		return w.next(now), nil
	}
	r := &round{d: d, p: p, until: now.Add(slice), seen: p.Seen}
	if open.Before(r.until) {
		r.until = open
	}
	why, err := r.prepare(ctx)
	if err != nil {
		return time.Time{}, err
	}
	next := now.Add(again)
	if why == "" {
		why, err = r.work(ctx)
		r.hangUp()
	}
	if werr := r.note(context.WithoutCancel(ctx), why); werr != nil || err != nil {
		return time.Time{}, errors.Join(err, werr)
	}
	switch {
	case ctx.Err() != nil:
		return now, nil
	case why != "":
		return w.clamp(next), nil
	}
	return r.next(ctx, w)
}

// clamp is the moment itself if the window is open then, else the next at which it is.
func (w window) clamp(t time.Time) time.Time {
	if w.open(t).IsZero() {
		return w.next(t)
	}
	return t
}

// prepare finds what the round works with, and opens the line.
func (r *round) prepare(ctx context.Context) (why string, err error) {
	d := r.d
	if err := d.open(r.p.Sealed, "pull", &r.asked); err != nil {
		return whyForgotten, nil
	}
	r.peer, err = d.Identity.Peer(ctx, r.p.Peer)
	switch {
	case fault.Is(err, fault.NotFound), err == nil && r.peer.Collection != policy.AllCollections && r.peer.Collection != string(r.p.Collection):
		return whyNoPeer, nil
	case err != nil:
		return "", err
	}
	if r.into, err = d.Collections.Get(ctx, r.p.Collection); err != nil {
		return "", err
	}
	if r.into.State != collection.Open || r.p.Way == pull.Move && r.into.AETitle == "" {
		return whyClosed, nil
	}
	if err := d.DB.Write(ctx, func(tx *db.Tx) error { return d.Pulls.Resume(tx, r.p.ID) }); err != nil {
		return "", err
	}
	return r.dial(ctx)
}

func (r *round) dial(ctx context.Context) (why string, err error) {
	offer, roles := contexts(r.p.Way)
	calling := string(r.into.AETitle)
	if calling == "" {
		calling = string(collection.DefaultAETitle)
	}
	a, err := r.d.Dial(ctx, r.peer, calling, offer, roles...)
	if err != nil {
		reason := transfer.Unreached(err)
		if ctx.Err() == nil {
			r.d.Log.Info("an archive that is pulled from does not answer", "peer", string(r.peer.AETitle), "pull", r.p.ID.String(), "reason", reason)
		}
		if strings.Contains(reason, "certificate") || strings.Contains(reason, "tls") {
			return whyCertificate, nil
		}
		return whyAway, nil
	}
	r.line = &line{Association: a}
	return "", nil
}

func (r *round) hangUp() {
	if r.line != nil && !r.line.broken {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = r.line.Release(ctx) // whoever does not answer that has gone
	}
	if r.dep != nil {
		r.dep.End()
	}
}

// note writes what the round did.
func (r *round) note(ctx context.Context, why string) error {
	return r.d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := r.d.Pulls.Ran(tx, r.p.ID, r.seen, why); err != nil || r.studies == 0 {
			return err
		}
		return r.d.Audit.Append(tx, audit.Entry{Actor: "node", Action: "pull", Object: about(r.p.ID), Collection: string(r.p.Collection), Outcome: fmt.Sprintf("%d studies, %d instances", r.studies, r.instances)})
	})
}

// deposit is what comes by C-GET in this round.
func (r *round) deposit(ctx context.Context) (*custody.Deposit, error) {
	if r.dep != nil {
		return r.dep, nil
	}
	dep, err := r.d.Custody.Begin(ctx, r.p.Collection, custody.DoorPull, about(r.p.ID))
	if err == nil {
		r.dep = dep
	}
	return dep, err
}

// over reports that the round has to end.
func (r *round) over(ctx context.Context) bool { return ctx.Err() != nil || !r.d.now().Before(r.until) }

// work does what there is to do, until the round's end. why says what keeps the whole pull.
func (r *round) work(ctx context.Context) (why string, err error) {
	if r.p.Kind == pull.Standing {
		if why, err := r.day(ctx); why != "" || err != nil {
			return why, err
		}
	}
	for !r.over(ctx) {
		p, err := r.d.Pulls.Get(ctx, r.p.ID)
		if err != nil || p.State != pull.Active { // somebody has paused it
			return "", err
		}
		if r.line.broken {
			if why, err := r.dial(ctx); why != "" || err != nil {
				return why, err
			}
		}
		did := false
		for _, step := range []func(context.Context) (bool, error){r.requests, r.priors, r.study} {
			done, err := step(ctx)
			if errors.Is(err, errRefused) {
				return whyNoQuery, nil
			}
			if err != nil {
				return "", err
			}
			did = did || done
			if r.line.broken {
				break
			}
		}
		if !did && !r.line.broken {
			return "", nil
		}
	}
	return "", nil
}

// day asks what a standing pull wants of each day since it was last asked, and of some before.
func (r *round) day(ctx context.Context) (why string, err error) {
	today := r.d.now()
	from, err := time.ParseInLocation("20060102", r.asked.Question.From, today.Location())
	if err != nil {
		return whyForgotten, nil
	}
	if r.seen != "" {
		if seen, err := time.ParseInLocation("20060102", r.seen, today.Location()); err == nil && seen.AddDate(0, 0, -overlap).After(from) {
			from = seen.AddDate(0, 0, -overlap)
		}
	}
	for day := from; !day.After(today) && !r.over(ctx); day = day.AddDate(0, 0, 1) {
		q := r.asked.Question
		q.From = day.Format("20060102")
		q.To = q.From
		modalities := q.Modalities
		if len(modalities) == 0 {
			modalities = []string{""}
		}
		var all []found
		for _, m := range modalities { // one at a time: lists of values are not matched everywhere
			one := q
			if one.Modalities = nil; m != "" {
				one.Modalities = []string{m}
			}
			some, err := r.line.studies(ctx, one)
			switch {
			case errors.Is(err, errTooMany):
				return whyTooMany, nil
			case errors.Is(err, errRefused):
				return whyNoQuery, nil
			case err != nil:
				return whyAway, nil
			}
			all = append(all, some...)
		}
		if err := r.write(ctx, 0, all); err != nil {
			return "", err
		}
		r.seen = max(r.seen, q.From)
	}
	return "", nil
}

// write notes studies that were found, and that their patients' earlier ones are wanted.
func (r *round) write(ctx context.Context, ordinal int64, all []found) error {
	if len(all) == 0 {
		return nil
	}
	return r.d.DB.Write(ctx, func(tx *db.Tx) error { return r.enter(tx, ordinal, all) })
}

func (r *round) enter(tx *db.Tx, ordinal int64, all []found) error {
	for _, f := range all {
		if err := r.d.add(tx, r.p.ID, pull.Study, ordinal, question{Study: f.study}, f.instances); err != nil {
			return err
		}
		day, err := time.Parse("20060102", f.date)
		if r.asked.Priors == 0 || f.patient == "" || err != nil || !identifierOK(f.patient) {
			continue
		}
		q := question{Patient: f.patient, Issuer: f.issuer, To: day.AddDate(0, 0, -1).Format("20060102"), From: day.AddDate(-r.asked.Priors, 0, 0).Format("20060102"), Modalities: r.asked.Question.Modalities}
		if err := r.d.add(tx, r.p.ID, pull.Prior, ordinal, q, -1); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) requests(ctx context.Context) (bool, error) { return r.look(ctx, pull.Request) }
func (r *round) priors(ctx context.Context) (bool, error)   { return r.look(ctx, pull.Prior) }

// look asks the archive what some requests come to.
func (r *round) look(ctx context.Context, kind pull.ItemKind) (did bool, err error) {
	items, err := r.d.Pulls.Next(ctx, r.p.ID, kind, page)
	if err != nil {
		return false, err
	}
	for _, it := range items {
		if r.over(ctx) {
			return true, nil
		}
		var q question
		var all []found
		if err := r.d.open(it.Sealed, "pull item", &q); err != nil {
			it.State, it.Why, it.Sealed = pull.Failed, whyForgotten, nil
		} else {
			all, err = r.line.studies(ctx, q)
			switch {
			case errors.Is(err, errTooMany):
				it.State, it.Why = pull.Failed, whyTooMany
			case errors.Is(err, errRefused):
				return did, err
			case err != nil: // the line broke: it is asked again
				return did, nil
			case len(all) == 0:
				it.State, it.Sealed = pull.Nothing, nil
			default:
				it.State, it.Sealed = pull.Found, nil
			}
		}
		it.Expected = int64(len(all))
		err := r.d.DB.Write(ctx, func(tx *db.Tx) error {
			if kind == pull.Request {
				if err := r.enter(tx, it.Ordinal, all); err != nil {
					return err
				}
			} else {
				for _, f := range all {
					if err := r.d.add(tx, r.p.ID, pull.Study, it.Ordinal, question{Study: f.study}, f.instances); err != nil {
						return err
					}
				}
			}
			return r.d.Pulls.Settle(tx, it)
		})
		if err != nil {
			return did, err
		}
		did = true
	}
	return did, nil
}

// study fetches one study, if the rate allows.
func (r *round) study(ctx context.Context) (did bool, err error) {
	items, err := r.d.Pulls.Next(ctx, r.p.ID, pull.Study, 1)
	if err != nil || len(items) == 0 {
		return false, err
	}
	if !r.pace(ctx) {
		return false, nil
	}
	it := items[0]
	var q question
	if err := r.d.open(it.Sealed, "pull item", &q); err != nil {
		it.State, it.Why, it.Sealed = pull.Failed, whyForgotten, nil
		return true, r.settle(ctx, it)
	}
	it.State = pull.Running
	if err := r.settle(ctx, it); err != nil {
		return false, err
	}
	c, err := r.line.fetch(ctx, r.p.Way, q.Study, string(r.into.AETitle), r.deposit)
	it.Tries++
	switch {
	case ctx.Err() != nil: // the node ends: it goes on where it was
		it.State, it.Tries = pull.Waiting, it.Tries-1
		return true, r.settle(ctx, it)
	case err != nil:
		it.Why = whyLost
	case c.refused:
		it.Why, it.Came, it.Failed = whyRefused, max(it.Came, c.completed), c.failed
	default:
		it.Came, it.Failed, it.Why = max(it.Came, c.completed), c.failed, ""
		if c.failed > 0 || c.completed < it.Expected {
			it.Why = whyMissing
		}
	}
	r.studies++
	r.instances += c.completed
	switch {
	case it.Why == "":
		it.State, it.Sealed = pull.Done, nil
	case it.Tries < maxTries:
		it.State, it.Due = pull.Waiting, r.d.now().Add(firstWait<<(it.Tries-1))
	case it.Came > 0:
		it.State = pull.Partial
	default:
		it.State = pull.Failed
	}
	return true, r.settle(ctx, it)
}

func (r *round) settle(ctx context.Context, it pull.Item) error {
	return r.d.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error { return r.d.Pulls.Settle(tx, it) })
}

// pace waits until the rate allows for a study; false if that is not within this round.
func (r *round) pace(ctx context.Context) bool {
	d := r.d
	now := d.now()
	if r.p.Rate > 0 {
		d.mu.Lock()
		due := d.last[r.p.ID].Add(time.Hour / time.Duration(r.p.Rate))
		d.mu.Unlock()
		if due.After(r.until) {
			r.came = due
			return false
		}
		if wait := due.Sub(now); wait > 0 {
			t := time.NewTimer(wait)
			defer t.Stop()
			select {
			case <-t.C:
			case <-ctx.Done():
				return false
			}
		}
	}
	d.mu.Lock()
	d.last[r.p.ID] = d.now()
	d.mu.Unlock()
	return true
}

// next is when there is something to do again. A list that has nothing left has ended.
func (r *round) next(ctx context.Context, w window) (time.Time, error) {
	d := r.d
	sums, err := d.Pulls.Sums(ctx, r.p.ID)
	if err != nil {
		return time.Time{}, err
	}
	var first time.Time
	for _, s := range sums {
		if (s.State == pull.Waiting || s.State == pull.Running) && (first.IsZero() || s.Due.Before(first)) {
			first = s.Due
		}
	}
	now := d.now()
	if first.IsZero() && r.p.Kind == pull.List {
		return time.Time{}, d.DB.Write(ctx, func(tx *db.Tx) error {
			changed, err := d.Pulls.Stand(tx, r.p.ID, pull.Ended)
			if err != nil || !changed {
				return err
			}
			return d.Audit.Append(tx, audit.Entry{Actor: "node", Action: "end pull", Object: about(r.p.ID), Collection: string(r.p.Collection), Outcome: "each request has its fate"})
		})
	}
	if !first.IsZero() {
		if first.Before(now) {
			first = now
		}
		if r.came.After(first) {
			first = r.came
		}
		return w.clamp(first), nil
	}
	if w.given { // tomorrow's window, not the rest of this one
		return w.next(now), nil
	}
	y, m, day := now.Date()
	return time.Date(y, m, day+1, 1, 0, 0, 0, now.Location()), nil
}
