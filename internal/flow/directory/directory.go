// Package directory is the directory as doors use it: what the public sees of collections, who writes it, and the counting of people behind it.
//
// It promises: who may not write an entry sees the published one and nothing else, without the names of who wrote it and without the numbers that a custodian
// declared; numbers are published ones (docs/decisions/0003-small-numbers.md); policy decides on every call, inside the call; a change and its audit entry are one
// transaction.
//
//	r, err := desk.Search(ctx, who, query)
//	v, err := desk.Entry(ctx, who, "breast")
//
// It does not authenticate, and renders nothing.
package directory

import (
	"context"
	"fmt"
	"io"
	"iter"
	"reflect"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// Desk is the directory.
type Desk struct {
	DB          *db.DB
	Audit       *audit.Log
	Jobs        *jobs.Queue // nil where nothing is counted daily
	Collections *collection.Record
	Catalogue   *catalogue.Record
	Clinical    *clinical.Record
	Entries     *directory.Record
	Counts      *directory.CountRecord
	Finder      *directory.Finder
	Pictures    *directory.PictureRecord
}

// View is an entry as a page shows it.
type View struct {
	directory.Listed                        // with its published numbers
	Numbers          *directory.Numbers     // of its cells; nil where people are not counted here, or not yet
	Completeness     directory.Completeness //
	MayEdit          bool                   // the caller may write it
	MayPublish       bool                   // the caller may publish and retire it
	Pictures         []Shown                // that stand for it, and may be seen
}

// ward is the collection that policy is asked about: the one that is described, or, for what is not held here, the entry's own id.
func ward(id directory.ID, e *directory.Entry) string {
	if e.Holding == directory.Here && e.Collection != "" {
		return e.Collection
	}
	return string(id)
}

func may(who admin.Caller, a policy.Action, ward string) bool {
	return policy.Decide(policy.Facts{Grants: who.Grants, Action: a, Collection: ward}).Allow
}

// allowed asks policy, and notes a denial.
func (d *Desk) allowed(ctx context.Context, who admin.Caller, a policy.Action, ward, object string) error {
	decision := policy.Decide(policy.Facts{Grants: who.Grants, Action: a, Collection: ward})
	if decision.Allow {
		return nil
	}
	return d.denied(ctx, who, a, ward, object, decision)
}

// denied notes a denial, and says it.
func (d *Desk) denied(ctx context.Context, who admin.Caller, a policy.Action, ward, object string, decision policy.Decision) error {
	in := ward
	if ward != "" {
		// What is not there can be named after anything, a patient too: neither the log nor the answer repeats it.
		if _, err := d.Collections.Get(ctx, collection.ID(ward)); err != nil {
			in = ""
			if _, err := d.Entries.Get(ctx, directory.ID(ward)); err != nil {
				object = "an entry that is not there"
			}
		}
	}
	if who.Actor != "" {
		err := d.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: a.String(), Object: object, Collection: in, Outcome: "denied"})
			return err
		})
		if err != nil {
			return err
		}
	}
	return fault.New(fault.Denied, a.String(), object, strings.Join(decision.Reasons, "; "))
}

func (d *Desk) sees(ctx context.Context, who admin.Caller) error {
	return d.allowed(ctx, who, policy.SeeDirectory, "", "the directory")
}

// public is an entry without what is not for everybody: who wrote it, and numbers as they were declared.
func public(s directory.Stored) directory.Stored {
	s.Entry = s.Entry.Public()
	s.By, s.Note, s.StateBy = "", "", ""
	return s
}

// Search finds published entries.
func (d *Desk) Search(ctx context.Context, who admin.Caller, q directory.Query) (*directory.Result, error) {
	if err := d.sees(ctx, who); err != nil {
		return nil, err
	}
	r, err := d.Finder.Find(ctx, q)
	if err != nil {
		return nil, err
	}
	for i := range r.Hits {
		*r.Hits[i].Stored = public(*r.Hits[i].Stored)
	}
	for i := range r.Near {
		*r.Near[i].Stored = public(*r.Near[i].Stored)
	}
	return r, nil
}

// numbers are the published numbers of what an entry describes; nil where there are none.
func (d *Desk) numbers(ctx context.Context, e *directory.Entry) (*directory.Numbers, directory.Counts, error) {
	if e.Holding != directory.Here {
		return nil, e.DeclaredCounts(), nil
	}
	n, err := d.Counts.Of(ctx, collection.ID(e.Collection))
	if fault.Is(err, fault.NotFound) {
		return nil, directory.Counts{}, nil
	}
	if err != nil {
		return nil, directory.Counts{}, err
	}
	return n, n.Counts(), nil
}

func (d *Desk) view(ctx context.Context, who admin.Caller, s directory.Stored) (View, error) {
	w := ward(s.ID, &s.Entry)
	v := View{Completeness: s.Entry.Completeness(), MayEdit: may(who, policy.EditEntry, w), MayPublish: may(who, policy.PublishEntry, w)}
	n, counts, err := d.numbers(ctx, &s.Entry)
	if err != nil {
		return v, err
	}
	v.Numbers, v.Listed = n, directory.Listed{Stored: s, Counts: counts}
	if s.Entry.Holding == directory.Here {
		v.Pictures, err = d.pictures(ctx, collection.ID(s.Entry.Collection), false)
	}
	return v, err
}

// Entry is what the public sees of an entry; fault.NotFound where it is not published.
func (d *Desk) Entry(ctx context.Context, who admin.Caller, id directory.ID) (View, error) {
	if err := d.sees(ctx, who); err != nil {
		return View{}, err
	}
	s, err := d.Entries.Seen(ctx, id)
	if err != nil {
		return View{}, err
	}
	v, err := d.view(ctx, who, s)
	v.Stored = public(v.Stored)
	return v, err
}

// OfCollection is the published entry that describes a collection of this node.
func (d *Desk) OfCollection(ctx context.Context, who admin.Caller, id collection.ID) (View, error) {
	s, err := d.Entries.OfCollection(ctx, id)
	if err != nil {
		return View{}, err
	}
	return d.Entry(ctx, who, s.ID)
}

// Draft is the newest revision of an entry, for who may write it. To everybody else it is not there.
func (d *Desk) Draft(ctx context.Context, who admin.Caller, id directory.ID) (View, error) {
	s, err := d.Entries.Get(ctx, id)
	if err != nil {
		return View{}, err
	}
	if !may(who, policy.EditEntry, ward(id, &s.Entry)) {
		return View{}, fault.New(fault.NotFound, "find directory entry", "", "there is no such entry")
	}
	return d.view(ctx, who, s)
}

// Drafts are the newest revisions of all entries that the caller may write, by id.
func (d *Desk) Drafts(ctx context.Context, who admin.Caller) ([]directory.Stored, error) {
	var all []directory.Stored
	for after := directory.ID(""); ; {
		page, err := d.Entries.List(ctx, 0, after, 500)
		if err != nil || len(page) == 0 {
			return all, err
		}
		for _, s := range page {
			if after = s.ID; may(who, policy.EditEntry, ward(s.ID, &s.Entry)) {
				all = append(all, s)
			}
		}
	}
}

// Revisions are all savings of an entry, for who may write it.
func (d *Desk) Revisions(ctx context.Context, who admin.Caller, id directory.ID) ([]directory.Revision, error) {
	if _, err := d.Draft(ctx, who, id); err != nil {
		return nil, err
	}
	return d.Entries.Revisions(ctx, id)
}

// At is one revision of an entry, for who may write it.
func (d *Desk) At(ctx context.Context, who admin.Caller, id directory.ID, revision int64) (directory.Stored, error) {
	if _, err := d.Draft(ctx, who, id); err != nil {
		return directory.Stored{}, err
	}
	return d.Entries.At(ctx, id, revision)
}

// Taken reports whether an id is in use, for who may write entries.
func (d *Desk) Taken(ctx context.Context, who admin.Caller, id directory.ID) (bool, error) {
	if !d.writesSome(who) {
		return false, d.allowed(ctx, who, policy.EditEntry, "", "the directory")
	}
	switch _, err := d.Entries.Get(ctx, id); {
	case err == nil:
		return true, nil
	case fault.Is(err, fault.NotFound):
		return false, nil
	default:
		return false, err
	}
}

func (d *Desk) writesSome(who admin.Caller) bool {
	ok := may(who, policy.EditEntry, "")
	for _, g := range who.Grants {
		ok = ok || may(who, policy.EditEntry, g.Collection)
	}
	return ok
}

// reserved are addresses of the directory's own, which no entry can have.
var reserved = map[directory.ID]bool{"new": true, "import": true, "words": true}

// Save writes a revision of an entry, made from revision base; 0 registers a new entry. It gives the revision's number. It is not shown before it is published.
func (d *Desk) Save(ctx context.Context, who admin.Caller, id directory.ID, e directory.Entry, base int64, note string) (int64, error) {
	object := "entry " + string(id)
	if _, err := directory.ParseID(string(id)); err != nil {
		return 0, err
	}
	if reserved[id] {
		return 0, fault.New(fault.Invalid, policy.EditEntry.String(), "", "this id is an address of the directory's own: choose another")
	}
	if err := d.writable(ctx, who, id, e); err != nil {
		return 0, err
	}
	var rev int64
	err := d.change(ctx, who, policy.EditEntry.String(), ward(id, &e), func(tx *db.Tx) (_ string, err error) {
		rev, err = d.Entries.Save(tx, id, e, base, who.Actor, note)
		return fmt.Sprintf("%s, revision %d", object, rev), err
	})
	return rev, err
}

// writable asks whether the caller may make the entry what it is to be, and whether it may touch what it was.
func (d *Desk) writable(ctx context.Context, who admin.Caller, id directory.ID, e directory.Entry) error {
	object := "entry " + string(id)
	if e.Holding == directory.Peer {
		return fault.New(fault.Denied, policy.EditEntry.String(), object, "what a peer tells is written by the peer")
	}
	wards := []string{ward(id, &e)}
	switch before, err := d.Entries.Get(ctx, id); {
	case err == nil:
		if before.Entry.Holding == directory.Peer {
			return fault.New(fault.Denied, policy.EditEntry.String(), object, "what a peer tells is written by the peer")
		}
		wards = append(wards, ward(id, &before.Entry))
	case !fault.Is(err, fault.NotFound):
		return err
	}
	for _, w := range wards {
		if err := d.allowed(ctx, who, policy.EditEntry, w, object); err != nil {
			return err
		}
	}
	if e.Holding == directory.Here {
		if _, err := d.Collections.Get(ctx, collection.ID(e.Collection)); err != nil {
			return fault.New(fault.Invalid, policy.EditEntry.String(), object, "the collection that it describes is not on this node")
		}
	}
	return nil
}

// change makes a change and its audit entry in one transaction; do says on what.
func (d *Desk) change(ctx context.Context, who admin.Caller, action, ward string, do func(tx *db.Tx) (object string, err error)) error {
	in := ""
	if _, err := d.Collections.Get(ctx, collection.ID(ward)); err == nil {
		in = ward
	}
	err := d.DB.Write(ctx, func(tx *db.Tx) error {
		object, err := do(tx)
		if err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: action, Object: object, Collection: in, Outcome: "done"})
	})
	if err != nil {
		return err
	}
	return d.DB.Sync()
}

// Publish shows a revision of an entry to everybody.
func (d *Desk) Publish(ctx context.Context, who admin.Caller, id directory.ID, revision int64) error {
	s, err := d.Entries.At(ctx, id, revision)
	if err != nil {
		return err
	}
	object, w := fmt.Sprintf("entry %s, revision %d", id, revision), ward(id, &s.Entry)
	if err := d.allowed(ctx, who, policy.PublishEntry, w, object); err != nil {
		return err
	}
	return d.change(ctx, who, policy.PublishEntry.String(), w, func(tx *db.Tx) (string, error) { return object, d.Entries.Publish(tx, id, revision, who.Actor) })
}

// Retire takes an entry from the directory.
func (d *Desk) Retire(ctx context.Context, who admin.Caller, id directory.ID) error {
	s, err := d.Entries.Get(ctx, id)
	if err != nil {
		return err
	}
	object, w := "entry "+string(id), ward(id, &s.Entry)
	if err := d.allowed(ctx, who, policy.PublishEntry, w, object); err != nil {
		return err
	}
	return d.change(ctx, who, "retire a directory entry", w, func(tx *db.Tx) (string, error) { return object, d.Entries.Retire(tx, id, who.Actor) })
}

// Format is a form of exchange.
type Format string

// The formats. HDRUK and DCAT are read as HDR UK's, CRUK's and DCAT-AP's descriptions; CSV is our own table.
const (
	JSON      Format = "json"
	CSV       Format = "csv"
	HDRUK     Format = "hdruk"
	CRUK      Format = "cruk"
	DCAT      Format = "dcat"
	MIABIS    Format = "miabis"
	SchemaOrg Format = "schema.org"
)

// MediaType is what an export is sent as.
func (f Format) MediaType() string {
	switch f {
	case CSV:
		return "text/csv; charset=utf-8"
	case DCAT, SchemaOrg:
		return "application/ld+json"
	}
	return "application/json"
}

// Read makes drafts of a file in a format that is read: nothing is stored. It is for those who may write an entry anywhere.
func (d *Desk) Read(ctx context.Context, who admin.Caller, f Format, r io.Reader) ([]directory.Imported, error) {
	if !d.writesSome(who) {
		return nil, d.allowed(ctx, who, policy.EditEntry, "", "the directory")
	}
	switch f {
	case CSV:
		return directory.ReadCSV(r)
	case DCAT:
		return directory.ReadDCAT(r)
	case HDRUK, CRUK:
		one, err := directory.ReadHDRUK(r)
		return []directory.Imported{one}, err
	case JSON:
		return directory.ReadJSON(r)
	}
	return nil, fault.New(fault.Invalid, "read descriptions", "", "csv, dcat, hdruk, cruk and json are read")
}

// Taking says how the drafts of an import are stored.
type Taking struct {
	Note    string // kept with each revision
	Update  bool   // an entry that is there already gets a revision more, if it says something new; without it, its id is taken
	Publish bool   // what lacks nothing is published
}

// Taken says what became of a draft of an import.
type Taken struct {
	ID        directory.ID `json:"id"`
	Revision  int64        `json:"revision,omitempty"` // 0: it was not stored
	Published bool         `json:"published,omitempty"`
	Problem   string       `json:"problem,omitempty"` // why it was not stored, or not published
}

// Import stores drafts as entries, each for itself.
func (d *Desk) Import(ctx context.Context, who admin.Caller, drafts []directory.Imported, how Taking) ([]Taken, error) {
	var out []Taken
	for _, draft := range drafts {
		t := Taken{ID: draft.ID}
		err := d.take(ctx, who, draft, how, &t)
		switch kind := fault.KindOf(err); {
		case err == nil:
		case kind == fault.Invalid || kind == fault.Conflict || kind == fault.Denied || kind == fault.TooLarge:
			t.Problem = err.Error()
		default:
			return out, err
		}
		out = append(out, t)
	}
	return out, nil
}

func (d *Desk) take(ctx context.Context, who admin.Caller, draft directory.Imported, how Taking, t *Taken) error {
	base, save := int64(0), true
	if how.Update {
		if err := d.writable(ctx, who, draft.ID, draft.Entry); err != nil {
			return err
		}
		switch before, err := d.Entries.Get(ctx, draft.ID); {
		case err == nil:
			base, save = before.Latest, !reflect.DeepEqual(before.Entry, draft.Entry)
			t.Revision, t.Published = base, before.State == directory.Published && before.Published == base
		case !fault.Is(err, fault.NotFound):
			return err
		}
	}
	if save {
		rev, err := d.Save(ctx, who, draft.ID, draft.Entry, base, how.Note)
		if err != nil {
			t.Revision = 0
			return err
		}
		t.Revision, t.Published = rev, false
	}
	if !how.Publish || t.Published {
		return nil
	}
	err := d.Publish(ctx, who, draft.ID, t.Revision)
	t.Published = err == nil
	return err
}

// Export is a published entry in a format.
func (d *Desk) Export(ctx context.Context, who admin.Caller, id directory.ID, f Format, site directory.Site) ([]byte, error) {
	v, err := d.Entry(ctx, who, id)
	if err != nil {
		return nil, err
	}
	switch f {
	case HDRUK:
		return directory.HDRUK(site, v.Listed)
	case CRUK:
		return directory.CRUK(site, v.Listed)
	case DCAT:
		return directory.DCAT(site, v.Listed)
	case MIABIS:
		return directory.MIABIS(site, v.Listed)
	case SchemaOrg:
		return directory.SchemaOrg(site, v.Listed)
	case CSV:
		var b strings.Builder
		err := directory.WriteCSV(&b, func(yield func(directory.Listed, error) bool) { yield(v.Listed, nil) })
		return []byte(b.String()), err
	}
	return nil, fault.New(fault.Invalid, "export directory entry", "entry "+string(id), "the formats are hdruk, cruk, dcat, miabis, schema.org and csv")
}

// ExportAll writes all published entries: DCAT as a catalogue, or CSV.
func (d *Desk) ExportAll(ctx context.Context, who admin.Caller, w io.Writer, f Format, site directory.Site) error {
	if err := d.sees(ctx, who); err != nil {
		return err
	}
	switch f {
	case DCAT:
		return directory.WriteDCAT(w, site, d.published(ctx))
	case CSV:
		return directory.WriteCSV(w, d.published(ctx))
	}
	return fault.New(fault.Invalid, "export directory", "", "the directory is exported as dcat or csv")
}

// published are all published entries with their numbers, in the order of their publication.
func (d *Desk) published(ctx context.Context) iter.Seq2[directory.Listed, error] {
	return func(yield func(directory.Listed, error) bool) {
		for after := int64(0); ; {
			page, err := d.Entries.Changes(ctx, after, 500)
			if err != nil {
				yield(directory.Listed{}, err)
				return
			}
			if len(page) == 0 {
				return
			}
			for _, s := range page {
				if after = s.Change; s.State != directory.Published {
					continue
				}
				_, counts, err := d.numbers(ctx, &s.Entry)
				if !yield(directory.Listed{Stored: public(s), Counts: counts}, err) || err != nil {
					return
				}
			}
		}
	}
}

// Published calls do for each published entry, without numbers: for a site map.
func (d *Desk) Published(ctx context.Context, who admin.Caller, do func(directory.Stored) error) error {
	if err := d.sees(ctx, who); err != nil {
		return err
	}
	for l, err := range d.published(ctx) {
		if err != nil {
			return err
		}
		if err := do(l.Stored); err != nil {
			return err
		}
	}
	return nil
}

// maxCompared is how many entries are put side by side.
const maxCompared = 6

// Compare puts published entries side by side.
func (d *Desk) Compare(ctx context.Context, who admin.Caller, ids []directory.ID) (directory.Comparison, error) {
	if err := d.sees(ctx, who); err != nil {
		return directory.Comparison{}, err
	}
	if len(ids) == 0 || len(ids) > maxCompared {
		return directory.Comparison{}, fault.New(fault.Invalid, "compare collections", "", "one to six collections are put side by side")
	}
	var entries []directory.Stored
	var numbers []*directory.Numbers
	for _, id := range ids {
		s, err := d.Entries.Seen(ctx, id)
		if err != nil {
			return directory.Comparison{}, err
		}
		n, _, err := d.numbers(ctx, &s.Entry)
		if err != nil {
			return directory.Comparison{}, err
		}
		entries, numbers = append(entries, s), append(numbers, n)
	}
	return directory.Compare(entries, numbers), nil
}

// Shortlist are the published entries that the caller has put aside.
func (d *Desk) Shortlist(ctx context.Context, who admin.Caller) ([]directory.Stored, error) {
	all, err := d.Finder.Shortlist(ctx, who.Actor)
	for i := range all {
		all[i] = public(all[i])
	}
	return all, err
}

// SetShortlisted puts a published entry on the caller's shortlist, or takes it off.
func (d *Desk) SetShortlisted(ctx context.Context, who admin.Caller, id directory.ID, on bool) error {
	if err := d.sees(ctx, who); err != nil {
		return err
	}
	return d.Finder.SetShortlisted(ctx, who.Actor, id, on)
}

// SaveSearch keeps a search for the caller, who is told of what is new if alert says so.
func (d *Desk) SaveSearch(ctx context.Context, who admin.Caller, name string, q directory.Query, alert bool) (directory.Saved, error) {
	if err := d.sees(ctx, who); err != nil {
		return directory.Saved{}, err
	}
	return d.Finder.SaveSearch(ctx, who.Actor, name, q, alert)
}

// SavedSearches are the caller's.
func (d *Desk) SavedSearches(ctx context.Context, who admin.Caller) ([]directory.Saved, error) {
	if who.Actor == "" {
		return nil, nil
	}
	return d.Finder.SavedSearches(ctx, who.Actor)
}

// News is how many of the caller's saved searches have found something that the caller has not looked at.
func (d *Desk) News(ctx context.Context, who admin.Caller) (int64, error) {
	if who.Actor == "" {
		return 0, nil
	}
	return d.Finder.News(ctx, who.Actor)
}

// State names what the public sees now: it changes whenever an entry is published or retired, or numbers are published. It is for conditional requests.
func (d *Desk) State(ctx context.Context, who admin.Caller) (string, error) {
	if err := d.sees(ctx, who); err != nil {
		return "", err
	}
	change, err := d.Entries.Change(ctx)
	if err != nil {
		return "", err
	}
	s, err := d.Counts.Last(ctx)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return "", err
	}
	taken := int64(0)
	if err == nil {
		taken = s.Taken.UnixMicro()
	}
	return fmt.Sprintf("%x-%x", change, taken), nil
}

// Looked says that the caller has seen what is new of a saved search.
func (d *Desk) Looked(ctx context.Context, who admin.Caller, id directory.SavedID) error {
	return d.Finder.Looked(ctx, who.Actor, id)
}

// DeleteSearch forgets a saved search of the caller.
func (d *Desk) DeleteSearch(ctx context.Context, who admin.Caller, id directory.SavedID) error {
	return d.Finder.DeleteSearch(ctx, who.Actor, id)
}
