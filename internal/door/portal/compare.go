package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// maxSideBySide is how many collections are compared on one page.
const maxSideBySide = 6

// tray is the shortlist at the bottom of the directory. What is on it is kept for who is signed in; for everybody else, by the page's script in the browser alone.
type tray struct {
	SignedIn bool
	Items    []trayItem
	Compare  string // the address of the comparison
}

type trayItem struct {
	ID    directory.ID
	Title string
}

func (t *tray) has(id directory.ID) bool {
	return slices.ContainsFunc(t.Items, func(i trayItem) bool { return i.ID == id })
}

func (d *Door) tray(r *request) (tray, error) {
	t := tray{SignedIn: !r.caller.Anonymous()}
	if !t.SignedIn {
		return t, nil
	}
	all, err := d.Directory.Shortlist(r.Context(), r.admin())
	if err != nil {
		return t, err
	}
	v := url.Values{}
	for _, s := range all {
		t.Items = append(t.Items, trayItem{s.ID, s.Entry.Title})
		if len(v["id"]) < maxSideBySide {
			v.Add("id", string(s.ID))
		}
	}
	t.Compare = "/compare?" + v.Encode()
	return t, nil
}

// shortlisted is the comparison of what the caller has put aside.
func (d *Door) shortlisted(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	t, err := d.tray(r)
	return &page{to: t.Compare}, err
}

// shortlist puts collections on the caller's list and takes them off: those of id on, those of shown that are not among them off.
func (d *Door) shortlist(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	if err := r.ParseForm(); err != nil {
		return nil, fault.New(fault.Invalid, "change shortlist", "", "the form is not readable")
	}
	on, off := r.PostForm["id"], r.PostForm["shown"]
	if len(on)+len(off) > 2*directory.MaxPageSize+maxSideBySide {
		return nil, fault.New(fault.TooLarge, "change shortlist", "", "a page at a time is put on the shortlist")
	}
	for _, s := range off {
		id, err := directory.ParseID(s)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(on, s) {
			if err := d.Directory.SetShortlisted(r.Context(), r.admin(), id, false); err != nil {
				return nil, err
			}
		}
	}
	for _, s := range on {
		id, err := directory.ParseID(s)
		if err != nil {
			return nil, err
		}
		if err := d.Directory.SetShortlisted(r.Context(), r.admin(), id, true); err != nil {
			return nil, err
		}
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") { // the page's script
		r.w.Header().Set("Cache-Control", "private, no-store")
		r.w.WriteHeader(http.StatusNoContent)
		return nil, nil
	}
	to := r.PostFormValue("back")
	if !local(to) {
		to = "/"
	}
	return &page{to: to}, nil
}

type comparePage struct {
	Heads       []compareHead
	Groups      []compareGroup
	Same        int    // rows in which all say the same
	All         string // the address with them
	Only        string // the address without them
	Differences bool   // they are left out
	Left        int    // asked for beyond what is shown
	Gone        int    // asked for and not published
}

type compareHead struct {
	ID               directory.ID
	Title, Custodian string
	Remove           string // the address of the comparison without it; empty: it is the only one
}

type compareGroup struct {
	Title string
	Rows  []directory.ComparedRow
}

// compare puts collections side by side.
func (d *Door) compare(r *request) (*page, error) {
	v := r.URL.Query()
	var ids []directory.ID
	var err error
	for _, s := range v["id"] {
		id, err := directory.ParseID(s)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	var p comparePage
	out := &page{file: "compare", title: "Compare collections", section: "/", help: "find"}
	if p.Left = len(ids) - maxSideBySide; p.Left > 0 {
		ids = ids[:maxSideBySide]
	}
	titles := map[directory.ID]compareHead{}
	ids = slices.DeleteFunc(ids, func(id directory.ID) bool {
		e, failed := d.Directory.Entry(r.Context(), r.admin(), id)
		if failed != nil {
			p.Gone++
			if !fault.Is(failed, fault.NotFound) {
				err = failed
			}
			return true
		}
		titles[id] = compareHead{ID: id, Title: e.Entry.Title, Custodian: e.Entry.Custodian.Name}
		return false
	})
	if out.data = &p; err != nil || len(ids) == 0 {
		return out, err
	}
	c, err := d.Directory.Compare(r.Context(), r.admin(), ids)
	if err != nil {
		return nil, err
	}
	at := func(but directory.ID, differences bool) string {
		w := url.Values{}
		for _, id := range ids {
			if id != but {
				w.Add("id", string(id))
			}
		}
		if differences {
			w.Set("only", "differences")
		}
		return "/compare?" + w.Encode()
	}
	only := v.Get("only") == "differences"
	for _, id := range ids {
		h := titles[id]
		if len(ids) > 1 {
			h.Remove = at(id, only)
		}
		p.Heads = append(p.Heads, h)
	}
	for _, g := range c.Groups {
		var rows []directory.ComparedRow
		for _, row := range g.Rows {
			if row.Same && len(ids) > 1 {
				if p.Same++; only {
					continue
				}
			}
			rows = append(rows, row)
		}
		if len(rows) > 0 {
			p.Groups = append(p.Groups, compareGroup{g.Title, rows})
		}
	}
	p.All, p.Only, p.Differences = at("", false), at("", true), only
	return out, nil
}
