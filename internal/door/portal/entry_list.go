package portal

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// written is an entry in the list of those who write it.
type written struct {
	ID     directory.ID
	Title  string
	Images string // where they are
	Inside string // the address of the collection
	State  string
	Later  bool // there is a draft that is not published
	Score  int
	Needed int
	At     time.Time
}

type entriesPage struct {
	Entries   []written
	Locals    []optionView // collections of this node without one
	Elsewhere bool
}

func (d *Door) entries(r *request) (*page, error) {
	if err := r.writer(); err != nil {
		return nil, err
	}
	all, err := d.Directory.Drafts(r.Context(), r.admin())
	if err != nil {
		return nil, err
	}
	p := entriesPage{}
	_, p.Elsewhere = r.mayWriteSome()
	for _, s := range all {
		c := s.Entry.Completeness()
		w := written{ID: s.ID, Title: s.Entry.Title, State: s.State.String(), Later: s.State == directory.Published && s.Latest > s.Published, Score: c.Score, At: s.At}
		switch s.Entry.Holding {
		case directory.Here:
			w.Images, w.Inside = s.Entry.Collection, "/collections/"+s.Entry.Collection
		case directory.Peer:
			w.Images = "told by " + s.Entry.Peer
		default:
			w.Images = "elsewhere"
		}
		for _, g := range c.Gaps {
			if g.Needed {
				w.Needed++
			}
		}
		p.Entries = append(p.Entries, w)
	}
	sort.SliceStable(p.Entries, func(i, j int) bool { return p.Entries[i].At.After(p.Entries[j].At) })
	if p.Locals, _, err = d.locals(r, ""); err != nil {
		return nil, err
	}
	return &page{file: "entries", title: "Entries", section: "/collections", help: "describe", data: p}, nil
}

// difference is what one revision says otherwise than another.
type difference struct {
	Path, Before, After string
}

// differences compares two entries, text by text.
func differences(a, b *directory.Entry) []difference {
	before, after := flat(a), flat(b)
	paths := map[string]bool{}
	for p := range before {
		paths[p] = true
	}
	for p := range after {
		paths[p] = true
	}
	var out []difference
	for p := range paths {
		if before[p] != after[p] {
			out = append(out, difference{p, before[p], after[p]})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Path < out[j].Path })
	return out
}

// flat is an entry as a list of texts by their path in the document. A list of words is one text.
func flat(e *directory.Entry) map[string]string {
	raw, err := json.Marshal(e)
	if err != nil {
		return nil
	}
	var doc any
	if json.Unmarshal(raw, &doc) != nil {
		return nil
	}
	out := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch x := v.(type) {
		case map[string]any:
			for k, v := range x {
				p := k
				if path != "" {
					p = path + "." + k
				}
				walk(p, v)
			}
		case []any:
			var words []string
			for i, v := range x {
				if s, ok := v.(string); ok {
					words = append(words, s)
				} else {
					walk(path+"["+strconv.Itoa(i)+"]", v)
				}
			}
			if words != nil {
				out[path] = strings.Join(words, ", ")
			}
		case nil:
		default:
			if s := fmt.Sprint(x); s != "" {
				out[path] = s
			}
		}
	}
	walk("", doc)
	return out
}

type revisionView struct {
	directory.Revision
	Shown bool // it is the published one
}

type revisionsPage struct {
	ID          string
	Title       string
	State       string
	All         []revisionView
	From, To    int64
	Differences []difference
	Compared    bool
	MayShow     bool
}

// revisions lists the savings of an entry, and compares two of them.
func (d *Door) revisions(r *request) (*page, error) {
	f, err := d.draft(r)
	if err != nil {
		return nil, err
	}
	id := directory.ID(f.ID)
	all, err := d.Directory.Revisions(r.Context(), r.admin(), id)
	if err != nil {
		return nil, err
	}
	p := revisionsPage{ID: f.ID, Title: f.Entry.Title, State: f.State, MayShow: f.MayShow}
	for _, v := range all {
		p.All = append(p.All, revisionView{v, v.Revision == f.Published && f.State == directory.Published.String()})
	}
	number := func(name string, otherwise int64) int64 {
		if n, err := strconv.ParseInt(r.URL.Query().Get(name), 10, 64); err == nil && n > 0 && n <= f.Latest {
			return n
		}
		return otherwise
	}
	p.To = number("to", f.Latest)
	p.From = number("from", max(1, p.To-1))
	if p.From != p.To {
		before, err := d.Directory.At(r.Context(), r.admin(), id, p.From)
		if err != nil {
			return nil, err
		}
		after, err := d.Directory.At(r.Context(), r.admin(), id, p.To)
		if fault.Is(err, fault.NotFound) {
			return nil, err
		}
		if err != nil {
			return nil, err
		}
		p.Differences, p.Compared = differences(&before.Entry, &after.Entry), true
	}
	return &page{file: "revisions", title: "Revisions of " + f.ID, section: "/collections", help: "describe", data: p}, nil
}
