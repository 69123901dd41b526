package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Step is what happened to a study.
type Step int

// The steps, in the order in which they follow one another.
const (
	StepReceived Step = iota
	StepCleaned
	StepHeld
	StepDecided // what was held is accepted or refused
	StepAdmitted
	StepPublished
)

// Event is a step of a study's custody.
type Event struct {
	Step      Step
	Since     time.Duration // after the first arrival
	Instances int64
	Refused   int64   // StepDecided: of them, what was refused; StepReceived: what was refused of the deposit, which belongs to no study
	Door      string  // StepReceived: "dimse", "dicomweb", ...
	Role      string  // who acted, as a role: depositor, steward, operator, node
	Profile   string  // StepCleaned: name and version; collection.AsDeposited: nothing was changed
	Rulings   []int64 // StepDecided: the standing decisions by which some of it was accepted; to whom clock times are told

	// To who may see the fate of every deposit alone; zero for others. The clock time of an arrival would undo the shift of dates.
	At      time.Time
	By      string // as the audit log calls them
	Deposit catalogue.DepositID
	Entry   int64 // number in the audit log, or -1
}

// View is that somebody looked at something of a study, once an hour.
type View struct {
	Hour   time.Time
	By     string
	Action string
	Series int // how many series of it
}

// History is a study's chain of custody, as far as the caller may know it.
type History struct {
	Events []Event
	Views  []View // latest first; to who reads the audit log
	Told   bool   // clock times and names are told
	Bytes  int64
}

const (
	maxHistory = 20_000 // instances whose decisions are looked for
	maxViews   = 400    // entries of the log that are put together
)

// History tells what happened to a study that the caller finds: which doors it came through, how it was cleaned, what was held and decided, when it was admitted and published; to
// stewards with clock times and names, to others by roles and the time that had passed. Who reads the audit log sees who looked at it.
func (d *Delivery) History(ctx context.Context, caller Caller, c collection.ID, uid catalogue.StudyUID) (*History, error) {
	q := catalogue.NewQuery(catalogue.Studies)
	q.Collection, q.Study = c, uid
	found, _, err := d.SearchStudies(ctx, caller, q)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fault.New(fault.NotFound, "show history", "", "there is no such study that you may see")
	}
	s := found[0]
	h := &History{Told: fateOf(caller, s.Collection, false).Allow}
	arrivals, err := d.Catalogue.Arrivals(ctx, s.ID)
	if err != nil || len(arrivals) == 0 {
		return h, err
	}
	begin := arrivals[0].First
	add := func(e Event, at time.Time) {
		e.Since = max(at.Sub(begin), 0)
		if h.Told {
			e.At = at
		} else {
			e.By, e.Deposit, e.Entry, e.At, e.Rulings = "", 0, -1, time.Time{}, nil
			if e.Step == StepReceived {
				e.Refused = 0
			}
		}
		h.Events = append(h.Events, e)
	}
	var held, all int64
	for _, a := range arrivals {
		dep, err := d.Catalogue.Deposit(ctx, a.Deposit)
		if err != nil {
			return nil, err
		}
		add(Event{Step: StepReceived, Door: a.Door, Role: "depositor", By: a.Actor, Instances: a.Instances, Refused: dep.Counts.Refused, Deposit: a.Deposit, Entry: -1}, a.First)
		held, all, h.Bytes = held+a.Held, all+a.Instances, h.Bytes+a.Bytes
	}
	last := arrivals[len(arrivals)-1].Last
	profile, err := d.cleanedBy(ctx, s)
	if err != nil {
		return nil, err
	}
	add(Event{Step: StepCleaned, Role: "node", By: "node", Profile: profile, Instances: all - held, Entry: -1}, last)

	series, instances, err := d.Catalogue.Members(ctx, s.ID, maxHistory)
	if err != nil {
		return nil, err
	}
	study := "study " + strconv.FormatInt(int64(s.ID), 10)
	objects := []string{study}
	for _, i := range instances {
		objects = append(objects, "instance "+i.String())
	}
	logged, err := d.Audit.Entries(ctx, audit.Filter{Collection: string(s.Collection), Objects: objects, Limit: maxHistory})
	if err != nil {
		return nil, err
	}
	if held > 0 {
		add(Event{Step: StepHeld, Role: "node", By: "node", Instances: held, Entry: -1}, last)
	}
	published, err := d.Catalogue.Publications(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	var decided Event
	for _, g := range logged {
		switch {
		case g.Action == policy.DecideHeld.String() && g.Object != study:
			decided.Instances++
			if strings.HasPrefix(g.Outcome, "refused") {
				decided.Refused++
			}
			decided.By, decided.Role, decided.Entry, decided.At = g.Actor, roleOf(g.Actor, "steward"), g.Seq, g.At
		case g.Action == "admit" && g.Object == study:
			add(Event{Step: StepAdmitted, Role: "node", By: g.Actor, Instances: admitted(g.Outcome), Entry: g.Seq}, g.At)
		case g.Action == "publish" && g.Object == study:
			e := Event{Step: StepPublished, Role: roleOf(g.Actor, "steward"), By: g.Actor, Entry: g.Seq}
			if len(published) > 0 {
				e.Instances, published = published[0].Instances, published[1:]
			}
			add(e, g.At)
		}
	}
	if decided.Instances > 0 {
		decided.Step = StepDecided
		if decided.Rulings, err = d.Catalogue.RulingsOf(ctx, s.ID); err != nil {
			return nil, err
		}
		add(decided, decided.At)
	}
	slices.SortStableFunc(h.Events, func(a, b Event) int { return cmp.Compare(a.Since, b.Since) })
	return h, d.views(ctx, caller, s, series, h)
}

// views adds who looked at the study, for who reads the audit log; that they did is itself in the log.
func (d *Delivery) views(ctx context.Context, caller Caller, s *catalogue.Study, series []catalogue.SeriesID, h *History) error {
	if !policy.Decide(policy.Facts{Grants: caller.Grants, Action: policy.ReadAudit, Collection: string(s.Collection)}).Allow || len(series) == 0 {
		return nil
	}
	e := audit.Entry{Actor: caller.Actor, Action: policy.ReadAudit.String(), Object: "views of study " + strconv.FormatInt(int64(s.ID), 10), Collection: string(s.Collection), Outcome: "allowed"}
	if err := d.once(ctx, e, policy.ReadAudit); err != nil {
		return err
	}
	objects := make([]string, len(series))
	for i, id := range series {
		objects[i] = "series " + strconv.FormatInt(int64(id), 10)
	}
	logged, err := d.Audit.Entries(ctx, audit.Filter{Collection: string(s.Collection), Objects: objects, Limit: maxViews, Last: true})
	if err != nil {
		return err
	}
	type key struct {
		hour       time.Time
		by, action string
	}
	at := map[key]int{}
	for i := len(logged) - 1; i >= 0; i-- {
		g := logged[i]
		k := key{g.At.UTC().Truncate(time.Hour), g.Actor, g.Action}
		if n, ok := at[k]; ok {
			h.Views[n].Series++
			continue
		}
		at[k] = len(h.Views)
		h.Views = append(h.Views, View{Hour: k.hour, By: k.by, Action: k.action, Series: 1})
	}
	return nil
}

// cleanedBy is the profile and its version as the study's own objects say it, else the collection's.
func (d *Delivery) cleanedBy(ctx context.Context, s *catalogue.Study) (string, error) {
	c, err := d.Collections.Get(ctx, s.Collection)
	if err != nil || c.Profile == collection.AsDeposited {
		return c.Profile, err
	}
	var said map[string]struct{ Value []any }
	if json.Unmarshal([]byte(s.JSON), &said) == nil {
		for _, v := range said["00120063"].Value { // De-identification Method
			if text, ok := v.(string); ok {
				if profile, ok := strings.CutPrefix(text, "Vitrine "); ok {
					return profile, nil
				}
			}
		}
	}
	return strings.TrimSpace(c.Profile + " " + c.ProfileVersion), nil
}

// roleOf is what somebody acted as: who runs commands on the node's own folder, or the role that the act takes.
func roleOf(actor, takes string) string {
	if strings.HasPrefix(actor, "operator ") {
		return "operator"
	}
	return takes
}

// admitted reads the count of an admission's outcome.
func admitted(outcome string) int64 {
	rest, _ := strings.CutPrefix(outcome, "admitted ")
	rest, _, _ = strings.Cut(rest, ",")
	n, _ := strconv.ParseInt(rest, 10, 64) // a log of another version says it otherwise
	return n
}
