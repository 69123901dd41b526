// Package proof says what was done to what came: the report of a deposit, and the signed statement of a collection.
//
// It promises: policy decides who is told; nothing that is told has a value, a UID, a file name, a pseudonym, an actor or a number of weeks. What is counted is made of the
// records' own words (package record/proof), and of where objects stand now (the catalogue). docs/formats/report.md and statement.md have the forms.
//
// Small numbers are told as they are: reports are for who deposited and for stewards. Statements count people, and are as public as whoever makes them decides.
package proof

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/risk"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/proof"
)

// Parts are what the desk works with.
type Parts struct {
	DB          *db.DB
	Audit       *audit.Log
	Catalogue   *catalogue.Record
	Collections *collection.Record
	Proof       *proof.Record
	// Signer signs statements; nil: none can be made.
	Signer *audit.Signer
	// Risk measures how far people are alike; nil: statements do not say.
	Risk     RiskFunc
	Software string // version of what runs here
}

// RiskFunc measures how far k people of a collection are alike.
type RiskFunc func(ctx context.Context, who admin.Caller, c collection.ID, k int) (*risk.Report, error)

// Desk is safe for use by many goroutines.
type Desk struct{ Parts }

// New makes the desk.
func New(p Parts) *Desk { return &Desk{p} }

// ReportFormat names the form of a report.
const ReportFormat = "vitrine-report 1"

// Report says what was done to a deposit.
type Report struct {
	Format     string     `json:"format"`
	Deposit    string     `json:"deposit"`
	Collection string     `json:"collection"`
	Door       string     `json:"door"`
	Started    time.Time  `json:"started"`
	Ended      *time.Time `json:"ended,omitempty"` // absent: it is running
	Made       time.Time  `json:"made"`
	Software   string     `json:"software"` // that made the report
	Came       Came       `json:"came"`
	Outcomes   Outcomes   `json:"outcomes"`
	Profiles   []Profile  `json:"profiles"`
	Why        Why        `json:"why"`
	Done       deid.Told  `json:"done"`
	Pixels     Pixels     `json:"pixels"`
	Gate       Gate       `json:"gate"`
	Limits     []string   `json:"limits"`
}

// Came is what came: without what was refused on arrival, and the same bytes again.
type Came struct {
	Objects  int64  `json:"objects"`
	Bytes    int64  `json:"bytes"` // that are kept of them
	Subjects int64  `json:"subjects"`
	Kinds    []Kind `json:"kinds"`
}

// Kind is what came of one kind, and what was done to it.
type Kind struct {
	SOPClass string    `json:"sop_class,omitempty"` // empty: kinds that the standard does not list
	Name     string    `json:"name"`
	Objects  int64     `json:"objects"`
	Bytes    int64     `json:"bytes"`
	Held     int64     `json:"held"`     // on arrival
	Accepted int64     `json:"accepted"` // of these, since
	Done     deid.Told `json:"done"`
}

// Outcomes count what became of objects.
type Outcomes struct {
	Passed     int64 `json:"passed"` // on arrival
	Held       int64 `json:"held"`   // on arrival
	Refused    int64 `json:"refused"`
	Duplicates int64 `json:"duplicates"` // the same bytes again

	Accepted         []Accepted `json:"accepted"`
	RefusedBySteward int64      `json:"refused_by_steward"` // of what was held
	NowPending       int64      `json:"now_pending"`        // acknowledged, not yet admitted
	NowAdmitted      int64      `json:"now_admitted"`
	NowReleased      int64      `json:"now_released"`
	NowHeld          int64      `json:"now_held"`
	NowOutOfSight    int64      `json:"now_withdrawn"`
	NotCounted       int64      `json:"not_counted"` // that came before anything was counted
}

// Accepted says who let what was held pass, by role.
type Accepted struct {
	By      string     `json:"by"` // node, steward, or standing-decision of a steward
	Objects int64      `json:"objects"`
	First   *time.Time `json:"first,omitempty"`
	Last    *time.Time `json:"last,omitempty"`
}

// Profile is by what objects were judged.
type Profile struct {
	deid.Judged
	Objects int64 `json:"objects"`
}

// Why counts reasons. One object can have several.
type Why struct {
	Held     []Reason `json:"held"`     // on arrival
	Refused  []Reason `json:"refused"`  // on arrival, and by stewards
	Waiting  []Reason `json:"waiting"`  // what a person has to decide on now
	Findings []Reason `json:"findings"` // what there is to know of what passed
}

// Reason counts objects.
type Reason struct {
	Code    string `json:"code"`
	Text    string `json:"text"`
	Objects int64  `json:"objects"`
}

// Pixels says what was done to pixels.
type Pixels struct {
	ToRead       int64    `json:"to_read"` // objects with pixels that can show text
	Frames       int64    `json:"frames"`
	Unread       int64    `json:"unread"` // of these, still
	UnreadFrames int64    `json:"unread_frames"`
	Written      int64    `json:"written"` // objects whose frames were written anew
	Painted      int64    `json:"painted"` // of these, over text
	Boxes        int64    `json:"boxes"`   // each once for each frame
	Area         int64    `json:"area"`    // samples of them
	Stripped     int64    `json:"stripped"`
	Readers      []string `json:"readers"`
}

// Gate says what was searched for everything known of its subject.
type Gate struct {
	Bytes   int64 `json:"bytes"`
	Found   int64 `json:"found"`   // objects that were held for it on arrival
	Echoed  int64 `json:"echoed"`  // objects that were admitted, after all that is known of the subject by then was looked for in them
	Waiting int64 `json:"waiting"` // for that
	Later   int64 `json:"later"`   // held now, for what was learned later
}

// Limits are what a report cannot say, in words.
var Limits = []string{
	"Text in pixels is found by a machine that misses some: 2 to 4 of 100 lines of 10 pixels and more, mostly faint ones. The tiles of slides are looked at in a coarse picture of their smallest level.",
	"A word that no header gives away, in an element that names equipment or that the profile retains as a device's identity, stays.",
	"A face can be rendered from slices of a head, unless the profile holds them: the risk report counts the series in which one was found.",
	"What is rare in what is told of a person can single them out: the risk report of the collection measures it.",
}

// told reports whether the caller may have the report of a deposit.
func told(who admin.Caller, d *catalogue.Deposit) bool {
	f := policy.Facts{Grants: who.Grants, Action: policy.SeeFate, Collection: string(d.Collection), State: policy.Received, Own: d.Actor == who.Actor && who.Actor != ""}
	if policy.Decide(f).Allow {
		return true
	}
	return policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.SeeHeld, Collection: string(d.Collection), State: policy.Held}).Allow
}

// Report says what was done to a deposit: to its depositor, and to who sees what is held in the collection.
func (d *Desk) Report(ctx context.Context, who admin.Caller, id catalogue.DepositID) (*Report, error) {
	missing := fault.New(fault.NotFound, policy.SeeFate.String(), "", "there is no such deposit of yours")
	dep, err := d.Catalogue.Deposit(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && !told(who, &dep) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	r := &Report{Format: ReportFormat, Deposit: id.String(), Collection: string(dep.Collection), Door: dep.Door, Started: dep.Started.UTC(), Made: time.Now().UTC().Truncate(time.Second), Software: d.Software,
		Limits: Limits, Profiles: []Profile{}}
	if !dep.Ended.IsZero() {
		at := dep.Ended.UTC()
		r.Ended = &at
	}
	work, err := d.Proof.OfDeposit(ctx, id)
	if err != nil {
		return nil, err
	}
	if r.Came.Subjects, err = d.Proof.Subjects(ctx, id); err != nil {
		return nil, err
	}
	r.sum(work)
	c := dep.Counts
	o := &r.Outcomes
	o.Duplicates = c.Duplicate
	o.NowPending, o.NowAdmitted, o.NowReleased, o.NowHeld = c.Pending, c.Catalogued-c.Released, c.Released, c.Held
	refused, err := d.Catalogue.RefusedOf(ctx, id)
	if err != nil {
		return nil, err
	}
	by := map[string]int64{}
	for _, x := range refused {
		if x.Decided {
			o.RefusedBySteward += x.Items
		} else {
			o.Refused += x.Items
		}
		by[x.Code] += x.Items
	}
	r.Why.Refused = reasons(by)
	o.NowOutOfSight = max(0, dep.Withdrawn)
	o.NotCounted = max(0, c.Pending+c.Catalogued+c.Held+dep.Withdrawn+o.RefusedBySteward-r.Came.Objects)
	waiting, _, _, err := d.Catalogue.WaitingOf(ctx, dep.Collection, id)
	if err != nil {
		return nil, err
	}
	r.Why.Waiting = reasons(waiting)
	if r.Pixels.Unread, r.Pixels.UnreadFrames, err = d.Catalogue.Unread(ctx, dep.Collection, id); err != nil {
		return nil, err
	}
	r.Gate.Echoed, r.Gate.Waiting, r.Gate.Later = c.Catalogued, c.Pending, waiting[codeEcho]
	return r, nil
}

const codeEcho = "echo"

// roles are what decisions are told by.
var roles = map[proof.Way]string{proof.ByNode: "node", proof.ByPerson: "steward", proof.ByRuling: "standing-decision"}

// isFinding reports a code of something to know of an object that passed.
func isFinding(code string) bool { return code == deid.CodeIdentifier || code == deid.CodeEmptyReport }

// sum adds up what was done.
func (r *Report) sum(work []*proof.Work) {
	held, findings := map[string]int64{}, map[string]int64{}
	kinds := map[string]*Kind{}
	done := map[string]*deid.Done{}
	all := &deid.Done{}
	accepted := map[proof.Way]*Accepted{}
	judged := map[string]int64{}
	r.Pixels.Readers = []string{}
	for _, w := range work {
		k := kinds[w.Kind]
		if k == nil {
			k = &Kind{SOPClass: w.Kind, Name: kindName(w.Kind)}
			kinds[w.Kind], done[w.Kind] = k, &deid.Done{}
		}
		if w.Way == proof.Arrived {
			k.Objects, k.Bytes, k.Held = k.Objects+w.Objects, k.Bytes+w.Bytes, k.Held+w.Held
			r.Came.Objects, r.Came.Bytes = r.Came.Objects+w.Objects, r.Came.Bytes+w.Bytes
			r.Outcomes.Held, r.Outcomes.Passed = r.Outcomes.Held+w.Held, r.Outcomes.Passed+w.Objects-w.Held
			r.Pixels.ToRead, r.Pixels.Frames = r.Pixels.ToRead+w.Readable, r.Pixels.Frames+w.Frames
			r.Gate.Found += w.Reasons[deid.CodeGate]
			judged[w.Judged] += w.Objects
			for code, n := range w.Reasons {
				if isFinding(code) {
					findings[code] += n
				} else {
					held[code] += n
				}
			}
		} else {
			k.Accepted += w.Objects
			a := accepted[w.Way]
			if a == nil {
				a = &Accepted{By: roles[w.Way]}
				accepted[w.Way] = a
			}
			a.Objects += w.Objects
			first, last := w.First.UTC(), w.Last.UTC()
			if a.First == nil || first.Before(*a.First) {
				a.First = &first
			}
			if a.Last == nil || last.After(*a.Last) {
				a.Last = &last
			}
			if w.Reader != "" {
				r.Pixels.Written += w.Objects
			}
		}
		if w.Reader != "" && !slices.Contains(r.Pixels.Readers, w.Reader) {
			r.Pixels.Readers = append(r.Pixels.Readers, w.Reader)
		}
		r.Pixels.Painted, r.Pixels.Boxes, r.Pixels.Area, r.Pixels.Stripped = r.Pixels.Painted+w.Painted, r.Pixels.Boxes+w.Boxes, r.Pixels.Area+w.Area, r.Pixels.Stripped+w.Stripped
		r.Gate.Bytes += w.Searched
		done[w.Kind].Add(w.Done, 1)
		all.Add(w.Done, 1)
	}
	r.Why.Held, r.Why.Findings = reasons(held), reasons(findings)
	r.Done = all.Tell()
	r.Came.Kinds = []Kind{}
	for _, id := range slices.Sorted(maps.Keys(kinds)) {
		kinds[id].Done = done[id].Tell()
		r.Came.Kinds = append(r.Came.Kinds, *kinds[id])
	}
	slices.SortStableFunc(r.Came.Kinds, func(a, b Kind) int { return int(b.Objects - a.Objects) })
	r.Outcomes.Accepted = []Accepted{}
	for _, w := range slices.Sorted(maps.Keys(accepted)) {
		r.Outcomes.Accepted = append(r.Outcomes.Accepted, *accepted[w])
	}
	r.Profiles = profiles(judged)
}

func profiles(judged map[string]int64) []Profile {
	all := []Profile{}
	for _, text := range slices.Sorted(maps.Keys(judged)) {
		if text != "" {
			all = append(all, Profile{deid.ParseJudged(text), judged[text]})
		}
	}
	return all
}

func kindName(sopClass string) string {
	name, ok := dicom.UIDName(sopClass)
	if !ok {
		return "Kinds that the standard does not list"
	}
	return strings.TrimSuffix(name, " Storage")
}

// reasons are counts by code, in words, the most frequent first.
func reasons(by map[string]int64) []Reason {
	all := []Reason{}
	for _, code := range slices.Sorted(maps.Keys(by)) {
		if by[code] > 0 {
			all = append(all, Reason{code, Words(code), by[code]})
		}
	}
	slices.SortStableFunc(all, func(a, b Reason) int { return int(b.Objects - a.Objects) })
	return all
}

// words are those of codes that reviewing has none for: of what is refused, and of findings.
var words = map[string]string{
	"not-dicom": "It is no DICOM object", "unreadable": "It cannot be read", "truncated": "It is cut off", "unknown-transfer-syntax": "Its transfer syntax is not known", "over-limit": "It is larger than the limits",
	"dicomdir": "An index of files", "missing-uid": "A UID is missing", "invalid-uid": "A UID is none", "duplicate-element": "An element is there twice", "mismatch": "The message names another object",
	"study-mismatch": "It belongs to another study than was named", "denied": "It was not allowed", custody.CodeRefused: "A steward refused it",
	deid.CodeIdentifier: "An element that identifies has a value, in a collection that keeps what it is given", deid.CodeEmptyReport: "Of a report nothing but its frame is left",
	deid.CodeRule: "A rule of the collection's own holds it", deid.CodeDirectory: "An index of files", "unavailable": "It could not be kept then", "interrupted": "The run ended before",
}
