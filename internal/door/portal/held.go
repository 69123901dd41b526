package portal

import (
	"net/http"
	"sort"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

func (d *Door) registerHeld(mux *http.ServeMux) {
	mux.HandleFunc("GET /held", d.page(d.held))
}

// why are the held items of a collection that have the same first reason.
type why struct {
	Collection collection.ID
	Title      string
	Text       string
	Items      []delivery.Item
	More       int // beside those shown
}

type heldPage struct {
	Groups []why
	Total  int
	Cut    bool
}

const shownOfGroup = 12

// held lists what waits for a steward, by its reason.
func (d *Door) held(r *request) (*page, error) {
	all, err := d.mine(r)
	if err != nil {
		return nil, err
	}
	only := collection.ID(r.URL.Query().Get("collection"))
	var p heldPage
	seen := false
	for _, c := range all {
		if only != "" && c.ID != only {
			continue
		}
		items, err := d.Delivery.Held(r.Context(), r.delivery(), c.ID, 0, catalogue.MaxLimit)
		if fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		seen = true
		p.Total += len(items)
		p.Cut = p.Cut || len(items) == catalogue.MaxLimit
		by := map[string]*why{}
		for _, i := range items {
			text := "it waits for a person"
			if len(i.Reasons) > 0 {
				text = i.Reasons[0].Text
			}
			g := by[text]
			if g == nil {
				g = &why{Collection: c.ID, Title: c.Title, Text: text}
				by[text] = g
			}
			if len(g.Items) == shownOfGroup {
				g.More++
				continue
			}
			g.Items = append(g.Items, i)
		}
		for _, g := range by {
			p.Groups = append(p.Groups, *g)
		}
	}
	if !seen {
		return nil, fault.New(fault.Denied, "see what is held", "", "it takes a grant as steward of a collection")
	}
	sort.SliceStable(p.Groups, func(i, j int) bool {
		a, b := &p.Groups[i], &p.Groups[j]
		if len(a.Items)+a.More != len(b.Items)+b.More {
			return len(a.Items)+a.More > len(b.Items)+b.More
		}
		return a.Text < b.Text
	})
	return &page{file: "held", title: "Held", section: "/held", help: "held", data: p}, nil
}
