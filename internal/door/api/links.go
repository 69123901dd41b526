package api

import (
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/link"
)

// linkRoutes are those about links by which people outside send.
func (d *Door) linkRoutes() []route {
	return []route{
		{method: "GET", path: "/api/collections/{collection}/links", name: "listLinks", text: "The links by which people outside send into a collection, the latest first. Label and address are told to its stewards alone.",
			gives: "Link", list: true, do: d.linksOf},
		{method: "POST", path: "/api/collections/{collection}/links", name: "makeLink", text: "Make a link by which somebody outside sends into a collection without an account. The link is in this answer alone, or, where it is to be mailed, in the mail alone.",
			takes: "NewLink", gives: "Link", do: d.makeLink},
		{method: "DELETE", path: "/api/collections/{collection}/links/{link}", name: "endLink", text: "End such a link for good. What has come by it stays.", do: d.endLink},
	}
}

func (d *Door) linksOf(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	all, err := d.Links.List(r.Context(), r.who, id)
	views := make([]link.View, len(all))
	for i, l := range all {
		views[i] = link.ViewOf(l)
	}
	return views, err
}

func (d *Door) makeLink(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	var n link.NewLink
	if err := r.body(&n); err != nil {
		return nil, err
	}
	w, err := n.Wish()
	if err != nil {
		return nil, err
	}
	l, err := d.Links.Make(r.Context(), r.who, web.Base(r.Request), id, w)
	return link.ViewOf(l), err
}

func (d *Door) endLink(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	return nil, d.Links.Revoke(r.Context(), r.who, id, r.PathValue("link"))
}
