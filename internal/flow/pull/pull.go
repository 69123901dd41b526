// Package pull collects images from other archives: of a list of accession numbers, patients or studies, or whatever an archive has that is like this, day after day. So a
// trial's retrospective images come in, and a screening service's cases every night, with what the same people had before.
//
// It promises: what is asked for identifies people, so it lies sealed, and is forgotten when its fate is known; fates are told by the request's number in its list, which
// who asked for it has. An archive's answer is compared with the question once more: one that passes over what it does not know never makes a pull fetch everything. Work goes on
// where it ended, in set hours, at a set rate, until each request has its fate; a study that came in part is asked for again. What comes passes custody as everything does.
//
// It cannot see what an archive keeps back, and believes its counts.
package pull

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/pull"
)

// Bounds of a pull.
const (
	MaxRequests = 100_000
	MaxRate     = 100_000 // studies an hour
	MaxPriors   = 50      // years
	maxText     = 64      // of an identifier (PS3.5 LO)
	maxLabel    = 200
)

// Parts are what the desk works with.
type Parts struct {
	DB          *db.DB
	Audit       *audit.Log
	Jobs        *jobs.Queue
	Root        *keys.Root
	Pulls       *pull.Record
	Collections *collection.Record
	Identity    *identity.Record
	Custody     *custody.Custody // nil: pulls are made and seen, and run elsewhere
	Dial        Dialer
	Log         *slog.Logger
}

// Desk is safe for use by many goroutines.
type Desk struct {
	Parts
	seal *keys.Sealer
	now  func() time.Time

	mu   sync.Mutex
	last map[pull.ID]time.Time // when the last study was begun
}

// New makes the desk.
func New(p Parts) (*Desk, error) {
	s, err := keys.NewSealer(p.Root, "pulls")
	if err != nil {
		return nil, err
	}
	return &Desk{Parts: p, seal: s, now: time.Now, last: map[pull.ID]time.Time{}}, nil
}

// Wish is a pull that somebody wants.
type Wish struct {
	Label string // for people; sealed
	Peer  collection.AETitle
	Way   pull.Way
	Rate  int64  // studies an hour; 0: no limit
	Hours string // as 22:00-06:00 mon-fri; empty: always

	// Of a list: one of them.
	Accessions []string
	Patients   []string
	Studies    []string // UIDs

	// Of a standing pull; Modalities and Described narrow a list of patients as well.
	Standing   bool
	From       string // YYYYMMDD, the first day; empty: today
	Modalities []string
	Described  string // study description, with * and ?
	Priors     int    // years before a study of which the same patient's studies are fetched too
}

// asked is what is sealed of a pull.
type asked struct {
	Label    string   `json:"label,omitempty"`
	Question question `json:"question"`
	Priors   int      `json:"priors,omitempty"`
}

const attempt = "pull images"

func invalid(why string) error { return fault.New(fault.Invalid, attempt, "", why) }

// identifierOK reports a value that can be asked for as it is: without what means anything else in a query (PS3.4 C.2.2.2).
func identifierOK(s string) bool {
	return s != "" && len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsAny(s, "*?\\") && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

func (w *Wish) check(today string) (requests []question, err error) {
	w.Label = strings.TrimSpace(w.Label)
	given := 0
	for _, l := range [][]string{w.Accessions, w.Patients, w.Studies} {
		if len(l) > 0 {
			given++
		}
		if len(l) > MaxRequests {
			return nil, invalid("a list has 100,000 requests at most: make several")
		}
	}
	switch {
	case len(w.Label) > maxLabel || !utf8.ValidString(w.Label) || strings.ContainsFunc(w.Label, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return nil, invalid("a label is at most 200 bytes of printable text")
	case w.Way != pull.Move && w.Way != pull.Get:
		return nil, invalid("images are fetched by move or get")
	case w.Rate < 0 || w.Rate > MaxRate:
		return nil, invalid("a rate is 1 to 100,000 studies an hour")
	case w.Standing && given > 0 || !w.Standing && given != 1:
		return nil, invalid("a pull is a list of accession numbers, of patients or of studies, or a standing one")
	case w.Priors < 0 || w.Priors > MaxPriors:
		return nil, invalid("earlier studies are those of 1 to 50 years")
	case w.Described != "" && (len(w.Described) > maxText || strings.ContainsRune(w.Described, '\\') || strings.Trim(w.Described, "*? ") == ""):
		return nil, invalid("a description has 64 characters at most, with * and ? for what may differ")
	}
	if _, err := parseWindow(w.Hours); err != nil {
		return nil, err
	}
	for i, m := range w.Modalities {
		m = strings.ToUpper(strings.TrimSpace(m))
		if len(m) < 2 || len(m) > 16 || strings.ContainsFunc(m, func(c rune) bool { return !(c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_') }) {
			return nil, invalid("a modality is a code such as CT or MG")
		}
		w.Modalities[i] = m
	}
	if w.Standing {
		if len(w.Modalities) == 0 && w.Described == "" {
			return nil, invalid("a standing pull names modalities or a description: all that an archive has is not fetched")
		}
		if w.From == "" {
			w.From = today
		}
		if _, err := time.Parse("20060102", w.From); err != nil || w.From > today {
			return nil, invalid("the first day is as 20260131, and not in the future")
		}
		return nil, nil
	}
	if w.From != "" {
		return nil, invalid("a first day is for standing pulls")
	}
	add := func(l []string, make func(s string) (question, bool)) error {
		for i, s := range l {
			q, ok := make(strings.TrimSpace(s))
			if !ok {
				return invalid(fmt.Sprintf("request %d is none: an identifier has 64 characters at most, and neither *, ? nor backslash; a study's is a UID", i+1))
			}
			q.Modalities, q.Described = w.Modalities, w.Described
			requests = append(requests, q)
		}
		return nil
	}
	for _, err := range []error{
		add(w.Accessions, func(s string) (question, bool) { return question{Accession: s}, identifierOK(s) }),
		add(w.Patients, func(s string) (question, bool) { return question{Patient: s}, identifierOK(s) }),
		add(w.Studies, func(s string) (question, bool) { return question{Study: s}, dicom.ValidUID(s) }),
	} {
		if err != nil {
			return nil, err
		}
	}
	return requests, nil
}

// allowed asks policy. To who has no role in a collection, it is not there.
func (d *Desk) allowed(ctx context.Context, who admin.Caller, id collection.ID) error {
	dec := policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.ManagePulls, Collection: string(id)})
	_, err := d.Collections.Get(ctx, id)
	switch {
	case dec.Allow:
		return err
	case err != nil:
		return fault.New(fault.Denied, policy.ManagePulls.String(), "", strings.Join(dec.Reasons, "; "))
	}
	if who.Actor != "" {
		err = d.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: policy.ManagePulls.String(), Object: "collection " + string(id), Collection: string(id), Outcome: "denied"})
			return err
		})
		if err != nil {
			return err
		}
	}
	return fault.New(fault.Denied, policy.ManagePulls.String(), "collection "+string(id), strings.Join(dec.Reasons, "; "))
}

func about(id pull.ID) string { return "pull " + id.String() }

// Make makes a pull into a collection; it begins at once, or when its hours do.
func (d *Desk) Make(ctx context.Context, who admin.Caller, id collection.ID, w Wish) (View, error) {
	if err := d.allowed(ctx, who, id); err != nil {
		return View{}, err
	}
	requests, err := w.check(d.now().Format("20060102"))
	if err != nil {
		return View{}, err
	}
	peer, err := d.Identity.Peer(ctx, w.Peer)
	if fault.Is(err, fault.NotFound) || err == nil && peer.Collection != policy.AllCollections && peer.Collection != string(id) {
		return View{}, invalid("there is no such archive for this collection: an administrator registers it as a peer first")
	}
	if err != nil {
		return View{}, err
	}
	c, err := d.Collections.Get(ctx, id)
	if err != nil {
		return View{}, err
	}
	if w.Way == pull.Move && c.AETitle == "" {
		return View{}, invalid("the archive has to be told where to send: give the collection an AE title, or fetch by get")
	}
	p := pull.Pull{Collection: id, Peer: w.Peer, Way: w.Way, Kind: pull.List, Rate: w.Rate, Hours: strings.ToLower(strings.Join(strings.Fields(w.Hours), " ")), Actor: who.Actor, Requests: int64(len(requests))}
	a := asked{Label: w.Label, Priors: w.Priors, Question: question{Modalities: w.Modalities, Described: w.Described}}
	if w.Standing {
		p.Kind, a.Question.From = pull.Standing, w.From
	}
	text, err := json.Marshal(a)
	if err != nil {
		return View{}, fault.Wrap(fault.Internal, attempt, "", err)
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		p.Sealed = d.seal.Seal(text, "pull")
		if err := d.Pulls.Make(tx, &p); err != nil {
			return err
		}
		for i, q := range requests {
			if err := d.add(tx, p.ID, pull.Request, int64(i+1), q, -1); err != nil {
				return err
			}
		}
		if err := d.Jobs.Add(tx, jobPull, p.ID.String(), nil, d.now()); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "make pull", Object: about(p.ID), Collection: string(id), Outcome: fmt.Sprintf("%s from peer %s, %d requests", p.Kind, p.Peer, p.Requests)})
	})
	if err != nil {
		return View{}, err
	}
	if err := d.DB.Sync(); err != nil {
		return View{}, err
	}
	return d.view(ctx, p)
}

// add notes what is to be looked for or fetched. The same twice is one.
func (d *Desk) add(tx *db.Tx, id pull.ID, kind pull.ItemKind, ordinal int64, q question, expected int64) error {
	text, err := json.Marshal(q)
	if err != nil {
		return fault.Wrap(fault.Internal, attempt, "", err)
	}
	mark := d.seal.Digests(string(text))[0]
	if kind == pull.Study {
		mark = d.seal.Digests(q.Study)[0]
	}
	if kind == pull.Request { // the same line twice has its fate twice
		mark = d.seal.Digests(fmt.Sprintf("%d %s", ordinal, text))[0]
	}
	_, err = d.Pulls.Add(tx, pull.Item{Pull: id, Kind: kind, Ordinal: ordinal, Mark: mark[:], Sealed: d.seal.Seal(text, "pull item"), Expected: expected})
	return err
}

func (d *Desk) open(sealed []byte, what string, to any) error {
	text, err := d.seal.Open(sealed, what)
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		return fault.New(fault.Corrupt, attempt, "", "what is asked for cannot be read")
	}
	return nil
}

// own is a pull of a collection.
func (d *Desk) own(ctx context.Context, who admin.Caller, c collection.ID, id pull.ID) (pull.Pull, error) {
	if err := d.allowed(ctx, who, c); err != nil {
		return pull.Pull{}, err
	}
	p, err := d.Pulls.Get(ctx, id)
	if err == nil && p.Collection != c {
		err = fault.New(fault.NotFound, "find pull", "", "there is no such pull")
	}
	return p, err
}

// Change pauses a pull, has it go on, or ends it: then what it asked for is forgotten, and its fates stay. Going on, it asks again for what failed.
func (d *Desk) Change(ctx context.Context, who admin.Caller, c collection.ID, id pull.ID, to pull.State) (View, error) {
	p, err := d.own(ctx, who, c, id)
	if err != nil {
		return View{}, err
	}
	if p.State == pull.Ended && (to != pull.Active || p.Kind != pull.List) {
		return View{}, fault.New(fault.Conflict, attempt, about(id), "it has ended")
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		did := map[pull.State]string{pull.Active: "resume pull", pull.Paused: "pause pull", pull.Ended: "end pull"}[to]
		if did == "" {
			return invalid("a pull is active, paused or ended")
		}
		if to == pull.Active {
			again, err := d.Pulls.Again(tx, id)
			if err != nil {
				return err
			}
			if p.State == pull.Ended {
				if again == 0 {
					return fault.New(fault.Conflict, attempt, about(id), "it has ended, and nothing of it is left to be asked for again")
				}
				if err := d.Pulls.Reopen(tx, id); err != nil {
					return err
				}
			}
			if err := d.Jobs.Add(tx, jobPull, id.String(), nil, d.now()); err != nil {
				return err
			}
		}
		if _, err := d.Pulls.Stand(tx, id, to); err != nil {
			return err
		}
		if to == pull.Ended {
			if err := d.Pulls.Forget(tx, id); err != nil {
				return err
			}
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: did, Object: about(id), Collection: string(c), Outcome: "done"})
	})
	if err != nil {
		return View{}, err
	}
	if err := d.DB.Sync(); err != nil {
		return View{}, err
	}
	if p, err = d.Pulls.Get(ctx, id); err != nil {
		return View{}, err
	}
	return d.view(ctx, p)
}

// View is how a pull stands, for people and programs.
type View struct {
	ID         string   `json:"id"`
	Collection string   `json:"collection"`
	Peer       string   `json:"peer"`
	Way        string   `json:"way"`
	Kind       string   `json:"kind"`
	Label      string   `json:"label,omitempty"`
	Rate       int64    `json:"rate,omitempty"`
	Hours      string   `json:"hours,omitempty"`
	From       string   `json:"from,omitempty"`
	Modalities []string `json:"modalities,omitempty"`
	Described  string   `json:"described,omitempty"`
	Priors     int      `json:"priors,omitempty"`
	State      string   `json:"state"`
	Why        string   `json:"why,omitempty"`    // code of what keeps it
	Advice     string   `json:"advice,omitempty"` // and what to do about it
	Created    string   `json:"created"`
	Ran        string   `json:"ran,omitempty"`
	Until      string   `json:"until,omitempty"` // of a standing one: the day up to which it was asked
	Requests   Fates    `json:"requests"`
	Studies    Fates    `json:"studies"`
	Came       int64    `json:"came"`   // instances that were sent, and taken
	Failed     int64    `json:"failed"` // that were not
}

// Fates are numbers of requests, or of studies.
type Fates struct {
	All     int64 `json:"all"`
	Waiting int64 `json:"waiting"`
	Found   int64 `json:"found,omitempty"`   // requests
	Nothing int64 `json:"nothing,omitempty"` // requests
	Done    int64 `json:"done,omitempty"`    // studies
	Partial int64 `json:"partial,omitempty"` // studies
	Failed  int64 `json:"failed,omitempty"`
}

func (f *Fates) add(s pull.Sum) {
	f.All += s.Items
	switch s.State {
	case pull.Waiting, pull.Running:
		f.Waiting += s.Items
	case pull.Found:
		f.Found += s.Items
	case pull.Nothing:
		f.Nothing += s.Items
	case pull.Done:
		f.Done += s.Items
	case pull.Partial:
		f.Partial += s.Items
	case pull.Failed:
		f.Failed += s.Items
	}
}

func (d *Desk) view(ctx context.Context, p pull.Pull) (View, error) {
	v := View{ID: p.ID.String(), Collection: string(p.Collection), Peer: string(p.Peer), Way: string(p.Way), Kind: string(p.Kind), Rate: p.Rate, Hours: p.Hours, State: string(p.State), Why: p.Why,
		Advice: advice[p.Why], Created: when(p.Created), Ran: when(p.Ran), Until: p.Seen}
	var a asked
	if err := d.open(p.Sealed, "pull", &a); err == nil { // one that was sealed under another key is told of all the same
		v.Label, v.From, v.Modalities, v.Described, v.Priors = a.Label, a.Question.From, a.Question.Modalities, a.Question.Described, a.Priors
	}
	sums, err := d.Pulls.Sums(ctx, p.ID)
	if err != nil {
		return v, err
	}
	for _, s := range sums {
		switch s.Kind {
		case pull.Request:
			v.Requests.add(s)
		case pull.Study:
			v.Studies.add(s)
			v.Came += s.Came
			v.Failed += s.Failed
		}
	}
	return v, nil
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// List is the pulls of a collection, the latest first.
func (d *Desk) List(ctx context.Context, who admin.Caller, c collection.ID) ([]View, error) {
	if err := d.allowed(ctx, who, c); err != nil {
		return nil, err
	}
	all, err := d.Pulls.Of(ctx, c)
	if err != nil {
		return nil, err
	}
	views := make([]View, len(all))
	for i, p := range all {
		if views[i], err = d.view(ctx, p); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// See is one pull.
func (d *Desk) See(ctx context.Context, who admin.Caller, c collection.ID, id pull.ID) (View, error) {
	p, err := d.own(ctx, who, c, id)
	if err != nil {
		return View{}, err
	}
	return d.view(ctx, p)
}

// Fate is what became of a request of a list, or of a study of a standing pull.
type Fate struct {
	Request  int64  `json:"request,omitempty"` // its number in the list
	Number   int64  `json:"-"`                 // of its row
	State    string `json:"state"`
	Studies  int64  `json:"studies,omitempty"` // that a request came to
	Done     int64  `json:"done,omitempty"`    // of these
	Expected int64  `json:"expected,omitempty"`
	Came     int64  `json:"came"`
	Failed   int64  `json:"failed,omitempty"`
	Why      string `json:"why,omitempty"`
	Advice   string `json:"advice,omitempty"`
	Changed  string `json:"changed"`
}

// MaxFates is how many fates one answer has.
const MaxFates = 1000

// Fates lists what became of the requests of a list by their numbers, after one; of a standing pull of its studies, the latest first, before the number of a row.
func (d *Desk) Fates(ctx context.Context, who admin.Caller, c collection.ID, id pull.ID, after int64, limit int) ([]Fate, error) {
	p, err := d.own(ctx, who, c, id)
	if err != nil {
		return nil, err
	}
	kind := pull.Request
	if p.Kind == pull.Standing {
		kind = pull.Study
	}
	items, err := d.Pulls.Items(ctx, id, kind, after, min(max(limit, 1), MaxFates))
	if err != nil || len(items) == 0 {
		return nil, err
	}
	fates := make([]Fate, len(items))
	for i, it := range items {
		fates[i] = Fate{Request: it.Ordinal, Number: it.ID, State: string(it.State), Came: it.Came, Failed: it.Failed, Why: it.Why, Advice: advice[it.Why], Changed: when(it.Changed)}
		if kind == pull.Study && it.Expected > 0 {
			fates[i].Expected = it.Expected
		}
	}
	if kind == pull.Study {
		return fates, nil
	}
	studies, err := d.Pulls.StudiesOf(ctx, id, items[0].Ordinal, items[len(items)-1].Ordinal)
	if err != nil {
		return nil, err
	}
	for _, st := range studies {
		k, ok := slices.BinarySearchFunc(fates, st.Ordinal, func(f Fate, n int64) int { return int(f.Request - n) })
		if !ok {
			continue
		}
		f := &fates[k]
		f.Studies++
		f.Came += st.Came
		f.Failed += st.Failed
		f.Expected += max(st.Expected, 0)
		switch st.State {
		case pull.Done:
			f.Done++
		case pull.Waiting, pull.Running:
			if f.State != string(pull.Failed) && f.State != string(pull.Partial) {
				f.State = string(pull.Running)
			}
		default:
			f.State, f.Why, f.Advice = string(st.State), st.Why, advice[st.Why]
		}
	}
	for k := range fates {
		if f := &fates[k]; f.State == string(pull.Found) && f.Done == f.Studies {
			f.State = string(pull.Done)
		}
	}
	return fates, nil
}

// Codes of what keeps a pull or an item, and what to do about each.
const (
	whyAway        = "away"
	whyCertificate = "certificate"
	whyNoPeer      = "no-peer"
	whyClosed      = "closed"
	whyNoQuery     = "no-query"
	whyTooMany     = "too-many"
	whyRefused     = "refused"
	whyMissing     = "missing"
	whyLost        = "lost"
	whyForgotten   = "unreadable"
)

var advice = map[string]string{
	whyAway:        "The archive does not answer, or refuses the association. It is tried again every ten minutes; look at its address, and whether it knows this node's AE title.",
	whyCertificate: "The archive does not show the certificate that it is registered with, or one that is valid now, or does not take this node's; the node's log says which.",
	whyNoPeer:      "The archive is not registered for this collection any more.",
	whyClosed:      "The collection is closed, or has no AE title.",
	whyNoQuery:     "The archive takes no queries from this node: its administrator has to allow them.",
	whyTooMany:     "The archive has too much that is like this: ask for less.",
	whyRefused:     "The archive would not send it. Where it is to send to this node by C-MOVE, it has to know the collection's AE title, address and port; else fetch by get.",
	whyMissing:     "Fewer images came than the archive says it has.",
	whyLost:        "The line broke while it came.",
	whyForgotten:   "What was asked for cannot be read any more.",
	"ended":        "The pull was ended before.",
}

// Archives are the AE titles of the registered peers that a collection may be collected from.
func (d *Desk) Archives(ctx context.Context, who admin.Caller, c collection.ID) ([]string, error) {
	if err := d.allowed(ctx, who, c); err != nil {
		return nil, err
	}
	all, err := d.Identity.Peers(ctx)
	if err != nil {
		return nil, err
	}
	var titles []string
	for _, p := range all {
		if p.Collection == policy.AllCollections || p.Collection == string(c) {
			titles = append(titles, string(p.AETitle))
		}
	}
	return titles, nil
}
