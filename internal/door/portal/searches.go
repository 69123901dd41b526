package portal

import (
	"net/http"
	"net/url"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

type searchesPage struct {
	Saved []savedView
	Error string
	Name  string
}

// savedView is a saved search as its owner sees it.
type savedView struct {
	ID         directory.SavedID
	Name       string
	Address    string
	Text       string
	Conditions []chip
	Alert      bool
	Found      int
	Fresh      []trayItem
	Created    time.Time
	Checked    time.Time
}

// searches lists the searches that the caller keeps, and what is new of each.
func (d *Door) searches(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	all, err := d.Directory.SavedSearches(r.Context(), r.admin())
	if err != nil {
		return nil, err
	}
	var p searchesPage
	for _, s := range all {
		v := savedView{ID: s.ID, Name: s.Name, Address: address(s.Query, false), Text: s.Query.Text, Conditions: chips(s.Query, false), Alert: s.Alert, Found: s.Found, Created: s.Created, Checked: s.Checked}
		for _, id := range s.Fresh {
			e, err := d.Directory.Entry(r.Context(), r.admin(), id)
			if fault.Is(err, fault.NotFound) {
				continue // retired since
			}
			if err != nil {
				return nil, err
			}
			v.Fresh = append(v.Fresh, trayItem{id, e.Entry.Title})
		}
		p.Saved = append(p.Saved, v)
	}
	return &page{file: "searches", title: "Saved searches", section: "/", help: "find", data: p}, nil
}

// saveSearch keeps a search under a name.
func (d *Door) saveSearch(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	v, err := url.ParseQuery(r.PostFormValue("query"))
	if err != nil {
		return nil, fault.New(fault.Invalid, "save search", "", "what is to be kept is not readable")
	}
	q, err := directory.ParseQuery(v)
	if err != nil {
		return nil, err
	}
	if _, err := d.Directory.SaveSearch(r.Context(), r.admin(), r.PostFormValue("name"), q, r.PostFormValue("alert") != ""); err != nil {
		return nil, err
	}
	r.leave(noticeSearch)
	return &page{to: "/searches"}, nil
}

func (d *Door) sawSearch(r *request) (*page, error) {
	return d.changeSearch(r, func(id directory.SavedID) error { return d.Directory.Looked(r.Context(), r.admin(), id) })
}

func (d *Door) deleteSearch(r *request) (*page, error) {
	return d.changeSearch(r, func(id directory.SavedID) error { return d.Directory.DeleteSearch(r.Context(), r.admin(), id) })
}

func (d *Door) changeSearch(r *request, do func(directory.SavedID) error) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := directory.ParseSavedID(r.PathValue("search"))
	if err != nil {
		return nil, err
	}
	if err := do(id); err != nil {
		return nil, err
	}
	return &page{to: "/searches"}, nil
}

// news notes at the navigation's entry of the directory how many saved searches have found something.
func (d *Door) news(r *request, nav []entry) {
	if d.Directory == nil || r.caller.Anonymous() || r.Method != http.MethodGet {
		return
	}
	n, err := d.Directory.News(r.Context(), r.admin())
	if err != nil {
		d.Log.Error("saved searches could not be looked at", "error", err)
		return
	}
	for i := range nav {
		if nav[i].Path == "/" {
			nav[i].Waiting = n
		}
	}
}
