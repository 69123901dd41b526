package portal

import (
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// keptGroup is what a collection keeps for its stewards alone.
type keptGroup struct {
	Collection collection.ID
	Title      string
	Items      []heldRow
	More       string // the address of what follows
}

type keptPage struct {
	Groups []keptGroup
	Total  int
	Only   collection.ID
}

// keptOfGroup bounds what a page lists of a collection.
const keptOfGroup = 100

// restricted lists what is kept for the stewards of the caller's collections: what each is and why, and nothing of it.
func (d *Door) restricted(r *request) (*page, error) {
	all, err := d.mine(r)
	if err != nil {
		return nil, err
	}
	v := r.URL.Query()
	p := keptPage{Only: collection.ID(v.Get("collection"))}
	after, _ := strconv.ParseInt(v.Get("after"), 10, 64)
	for _, c := range all {
		if p.Only != "" && c.ID != p.Only || !policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.DecideHeld, Collection: string(c.ID), State: policy.Restricted}).Allow {
			continue
		}
		q := review.Query{Kept: true, Limit: keptOfGroup + 1}
		if p.Only != "" {
			q.After = catalogue.InstanceID(max(after, 0))
		}
		items, err := d.Review.List(r.Context(), r.review(), c.ID, q)
		if err != nil {
			return nil, err
		}
		if len(items) == 0 {
			continue
		}
		g := keptGroup{Collection: c.ID, Title: c.Title}
		if g.Title == "" {
			g.Title = string(c.ID)
		}
		if len(items) > keptOfGroup {
			items = items[:keptOfGroup]
			g.More = "/restricted?collection=" + string(c.ID) + "&after=" + items[keptOfGroup-1].ID.String()
		}
		for _, i := range items {
			g.Items = append(g.Items, heldRowOf(i))
		}
		p.Total += len(g.Items)
		p.Groups = append(p.Groups, g)
	}
	return &page{file: "restricted", title: "Kept restricted", section: "/held", help: "held", data: p}, nil
}
