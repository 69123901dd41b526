package directory

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// EntryView is an entry as programs get it.
type EntryView struct {
	ID           directory.ID            `json:"id"`
	State        string                  `json:"state"`
	Revision     int64                   `json:"revision"`
	Latest       int64                   `json:"latest,omitempty"`
	Published    int64                   `json:"published,omitempty"`
	Entry        directory.Entry         `json:"entry"`
	Counts       *directory.Counts       `json:"counts,omitempty"`
	Completeness *directory.Completeness `json:"completeness,omitempty"`
}

// ViewStored shows a revision.
func ViewStored(s directory.Stored) EntryView {
	c := s.Entry.Completeness()
	return EntryView{ID: s.ID, State: s.State.String(), Revision: s.Revision, Latest: s.Latest, Published: s.Published, Entry: s.Entry, Completeness: &c}
}

// ViewEntry shows an entry with its published numbers.
func ViewEntry(v View) EntryView {
	out := ViewStored(v.Stored)
	out.Counts = &v.Counts
	return out
}

// Counting says what was counted, as programs get it.
type Counting struct {
	Day         string `json:"day"` // YYYY-MM-DD
	Collections int64  `json:"collections"`
	Renewed     int64  `json:"renewed"` // with new numbers
}

// ViewCounting shows a counting.
func ViewCounting(s directory.Snapshot) Counting {
	return Counting{Day: s.Day, Collections: s.Collections, Renewed: s.Renewed}
}

// NewRevision is a revision to be stored.
type NewRevision struct {
	Entry   directory.Entry `json:"entry"`
	Base    *int64          `json:"base"` // nil: whatever is newest is followed
	Note    string          `json:"note"`
	Publish bool            `json:"publish"`
}

// Put stores a revision, and publishes it if it says so.
func (d *Desk) Put(ctx context.Context, who admin.Caller, id directory.ID, n NewRevision) (View, error) {
	var base int64
	if n.Base != nil {
		base = *n.Base
	} else if s, err := d.Entries.Get(ctx, id); err == nil {
		base = s.Latest
	} else if !fault.Is(err, fault.NotFound) {
		return View{}, err
	}
	rev, err := d.Save(ctx, who, id, n.Entry, base, n.Note)
	if err != nil {
		return View{}, err
	}
	if n.Publish {
		if err := d.Publish(ctx, who, id, rev); err != nil {
			return View{}, err
		}
	}
	return d.Draft(ctx, who, id)
}

// PublishNewest shows a revision to everybody, 0 the newest, and gives the entry as it is then.
func (d *Desk) PublishNewest(ctx context.Context, who admin.Caller, id directory.ID, revision int64) (View, error) {
	v, err := d.Draft(ctx, who, id)
	if err != nil {
		return View{}, err
	}
	if revision == 0 {
		revision = v.Latest
	}
	if err := d.Publish(ctx, who, id, revision); err != nil {
		return View{}, err
	}
	return d.Draft(ctx, who, id)
}

// Source says what an import is of.
type Source struct {
	Format     Format
	ID         directory.ID // of a single description: the entry's; empty: from its name
	Collection string       // of a single description: the local collection that it describes
}

// Guess tells a file's format by the end of its name (".csv") and by what stands in it. What it is taken for wrongly is refused when it is read.
func Guess(ext string, raw []byte) Format {
	raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\ufeff")))
	switch {
	case strings.EqualFold(ext, ".csv") || len(raw) > 0 && raw[0] != '{' && raw[0] != '[':
		return CSV
	case strings.EqualFold(ext, ".jsonld") || bytes.Contains(raw, []byte(`"@context"`)) || bytes.Contains(raw, []byte(`"@graph"`)) || bytes.Contains(raw, []byte(`"@type"`)):
		return DCAT
	case bytes.Contains(raw, []byte(`"projectGrants"`)):
		return CRUK
	case bytes.Contains(raw, []byte(`"summary"`)) && bytes.Contains(raw, []byte(`"accessibility"`)):
		return HDRUK
	}
	return JSON
}

// Outcome is what an import read, and what became of it.
type Outcome struct {
	Drafts []directory.Imported `json:"drafts"`
	Taken  []Taken              `json:"taken,omitempty"`
}

// ReadAndImport reads a file and, unless only drafts are wanted, stores what it says.
func (d *Desk) ReadAndImport(ctx context.Context, who admin.Caller, what Source, r io.Reader, how Taking, draft bool) (Outcome, error) {
	var out Outcome
	var err error
	if out.Drafts, err = d.Read(ctx, who, what.Format, r); err != nil {
		return out, err
	}
	if what.ID != "" || what.Collection != "" {
		if len(out.Drafts) != 1 {
			return out, fault.New(fault.Invalid, "import descriptions", "", "an id or a collection is given for one description, and the file has another number of them")
		}
		one := &out.Drafts[0]
		if what.ID != "" {
			one.ID = what.ID
		}
		if what.Collection != "" {
			one.Entry.Holding, one.Entry.Collection, one.Entry.Declared = directory.Here, what.Collection, nil
		}
	}
	if !draft {
		out.Taken, err = d.Import(ctx, who, out.Drafts, how)
	}
	return out, err
}
