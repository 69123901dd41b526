package portal

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

func (d *Door) registerHeld(mux web.Routes) {
	mux.HandleFunc("GET /held", d.page(d.held))
	mux.HandleFunc("POST /held", d.reading(d.decideHeld))
	mux.HandleFunc("GET /held/{item}", d.page(d.heldItem))
	mux.HandleFunc("POST /held/{item}/boxes", d.reading(d.drawHeld))
	mux.HandleFunc("GET /held/{item}/picture", d.heldPicture)
	mux.HandleFunc("GET /held/{item}/page", d.heldDocumentPage)
	mux.HandleFunc("GET /held/{item}/painted", d.heldPainted)
	mux.HandleFunc("GET /held/{item}/film", d.heldSheet)
	mux.HandleFunc("GET /restricted", d.page(d.restricted))
}

// heldRow is an item in a list: what it is and where it comes from, and no picture of it.
type heldRow struct {
	review.Item
	What string
	Size string
	Why  []review.Explained
}

func heldRowOf(i review.Item) heldRow {
	r := heldRow{Item: i, What: kindWords(i), Size: sizeWords(i)}
	for _, why := range i.Reasons {
		r.Why = append(r.Why, review.Explain(why))
	}
	return r
}

// kindWords is what an item is called: by its modality, else by its kind.
func kindWords(i review.Item) string {
	if i.Kind == "" {
		return "Object of a private kind"
	}
	return strings.TrimSuffix(i.Kind, " Storage")
}

// sizeWords say how much there is to look at.
func sizeWords(i review.Item) string {
	s := size(i.Bytes)
	if i.Rows > 0 && i.Columns > 0 {
		s = strconv.FormatInt(i.Columns, 10) + " × " + strconv.FormatInt(i.Rows, 10) + ", " + s
	}
	if i.Frames > 1 {
		s = plural(i.Frames, "frame", "frames") + " of " + s
	}
	return s
}

// heldGroup is what waits in a collection for the same reason.
type heldGroup struct {
	review.Heap
	Collection collection.ID
	Title      string
	Items      []heldRow
	All        string // what stands for all of them in the form
	Link       string // to all of them; empty: these are all
	More       string // the address of what follows
}

type heldPage struct {
	Groups      []heldGroup
	Total       int64
	Twice       bool // some item is in two groups
	Collections []collection.Collection
	Reasons     []review.Explained
	Only        collection.ID
	Reason      string
	Deposit     string
	Subject     string
	Alike       string
	Narrowed    bool
	MayDecide   bool
}

const (
	heldOfGroup = 8
	heldOfPage  = 100
)

// held lists what waits for a steward, by its reason.
func (d *Door) held(r *request) (*page, error) {
	all, err := d.mine(r)
	if err != nil {
		return nil, err
	}
	v := r.URL.Query()
	p := heldPage{Only: collection.ID(v.Get("collection")), Reason: v.Get("reason"), Deposit: v.Get("deposit"), Subject: v.Get("subject"), Alike: v.Get("alike")}
	p.Narrowed = p.Only != "" || p.Reason != "" || p.Deposit != "" || p.Subject != "" || p.Alike != ""
	q := review.Query{Subject: subject.Pseudonym(p.Subject), Layout: p.Alike}
	none := false // what it is narrowed to cannot be
	if p.Deposit != "" {
		if q.Deposit, err = catalogue.ParseDepositID(p.Deposit); err != nil {
			none = true
		}
	}
	reasons := map[string]bool{}
	for _, c := range all {
		if !policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.SeeHeld, Collection: string(c.ID), State: policy.Held}).Allow {
			continue
		}
		p.Collections = append(p.Collections, c)
		p.MayDecide = p.MayDecide || policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.DecideHeld, Collection: string(c.ID), State: policy.Held}).Allow
		if p.Only != "" && c.ID != p.Only || none {
			continue
		}
		if err := d.heapsOf(r, &p, c, q, reasons); err != nil {
			return nil, err
		}
	}
	if len(p.Collections) == 0 {
		return nil, fault.New(fault.Denied, "see what is held", "", "it takes a grant as steward of a collection")
	}
	var shown int64
	for _, g := range p.Groups {
		shown += g.Heap.Items
	}
	p.Twice = p.Reason == "" && shown > p.Total
	slices.SortStableFunc(p.Groups, func(a, b heldGroup) int { return int(b.Heap.Items - a.Heap.Items) })
	slices.SortFunc(p.Reasons, func(a, b review.Explained) int {
		if a.Title < b.Title {
			return -1
		}
		return 1
	})
	return &page{file: "held", title: "Held", section: "/held", help: "held", data: p}, nil
}

// heapsOf adds what is held in one collection.
func (d *Door) heapsOf(r *request, p *heldPage, c collection.Collection, q review.Query, reasons map[string]bool) error {
	total, heaps, err := d.Review.Heaps(r.Context(), r.review(), c.ID, q)
	if err != nil {
		return err
	}
	if p.Reason == "" {
		p.Total += total
	}
	for _, h := range heaps {
		if !reasons[h.Reason.Code] {
			reasons[h.Reason.Code] = true
			p.Reasons = append(p.Reasons, h.Reason)
		}
		if p.Reason != "" && h.Reason.Code != p.Reason {
			continue
		}
		g := heldGroup{Heap: h, Collection: c.ID, Title: c.Title, All: string(c.ID) + "/" + h.Reason.Code + "/" + h.Last.String()}
		if g.Title == "" {
			g.Title = string(c.ID)
		}
		of := q
		of.Reason, of.Limit = h.Reason.Code, heldOfGroup
		if p.Reason != "" {
			p.Total += h.Items
			of.Limit = heldOfPage
			of.After = catalogue.InstanceID(r.offset())
		}
		items, err := d.Review.List(r.Context(), r.review(), c.ID, of)
		if err != nil {
			return err
		}
		for _, i := range items {
			g.Items = append(g.Items, heldRowOf(i))
		}
		switch {
		case p.Reason == "" && h.Items > int64(len(items)):
			v := url.Values{"collection": {string(c.ID)}, "reason": {h.Reason.Code}}
			if p.Deposit != "" {
				v.Set("deposit", p.Deposit)
			}
			if p.Subject != "" {
				v.Set("subject", p.Subject)
			}
			if p.Alike != "" {
				v.Set("alike", p.Alike)
			}
			g.Link = "/held?" + v.Encode()
		case p.Reason != "" && len(items) == heldOfPage && items[len(items)-1].ID < h.Last:
			g.More = r.withOffset(int(items[len(items)-1].ID))
		}
		if p.Deposit != "" || p.Subject != "" || p.Alike != "" {
			g.All = "" // the form says which reason and no more
		}
		p.Groups = append(p.Groups, g)
	}
	return nil
}

// waiting notes at the navigation's entry how many items wait for the caller to decide on them.
func (d *Door) waiting(r *request, nav []entry) {
	i := slices.IndexFunc(nav, func(e entry) bool { return e.Path == "/held" })
	if i < 0 {
		return
	}
	n, err := d.Review.Waiting(r.Context(), r.review())
	if err != nil {
		d.Log.Error("what is held could not be counted", "error", err)
		return
	}
	nav[i].Waiting = n
}
