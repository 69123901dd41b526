package portal

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
)

func (d *Door) registerAlike(mux web.Routes) {
	mux.HandleFunc("GET /held/alike", d.page(d.alike))
	mux.HandleFunc("GET /held/alike/{collection}/{layout}", d.page(d.pool))
	mux.HandleFunc("POST /held/alike/{collection}/{layout}", d.page(d.decidePool))
}

// poolView is a pool in words.
type poolView struct {
	review.Pool
	Collection collection.ID
	Title      string // of the collection
	What       string
	Size       string
	Page       string
	MayDecide  bool
	Picture    string // of its first item; empty: there is none, or it is not for this caller
	May        []string
}

// doneWords say what a standing decision does, by its action.
var doneWords = map[ruling.Action]string{ruling.Accept: "accepted as they are", ruling.Paint: "accepted, text painted over", ruling.Restrict: "kept for stewards alone", ruling.Refuse: "refused"}

func aboutWords(a ruling.About) (what, form string) {
	what = cmp.Or(strings.Replace(a.Class, " Storage", "", 1), "Object of a private kind")
	if a.Rows > 0 && a.Columns > 0 {
		form = strconv.FormatInt(a.Columns, 10) + " × " + strconv.FormatInt(a.Rows, 10)
	}
	return what, form
}

// smallPicture is the address of a picture of an item, for a list of many.
func smallPicture(id catalogue.InstanceID) string {
	return "/held/" + id.String() + "/picture?frame=1&size=sheet"
}

func (r *request) poolView(c collection.Collection, p review.Pool) poolView {
	v := poolView{Pool: p, Collection: c.ID, Title: cmp.Or(c.Title, string(c.ID)), Page: "/held/alike/" + string(c.ID) + "/" + p.Layout}
	v.What, v.Size = aboutWords(p.About)
	v.MayDecide = policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.DecideHeld, Collection: string(c.ID), State: policy.Held}).Allow
	if v.MayDecide && p.About.Rows > 0 {
		v.Picture = smallPicture(p.First)
	}
	for _, a := range p.Allowed {
		v.May = append(v.May, doneWords[a])
	}
	return v
}

type alikePage struct {
	Pools       []poolView
	Collections []collection.Collection
	Only        collection.ID
	Total       int64
	Apart       int64 // items that are held and in no pool that is shown
}

// alike lists what is held by what is alike, most first.
func (d *Door) alike(r *request) (*page, error) {
	all, err := d.mine(r)
	if err != nil {
		return nil, err
	}
	p := alikePage{Only: collection.ID(r.URL.Query().Get("collection"))}
	for _, c := range all {
		if !policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.SeeHeld, Collection: string(c.ID), State: policy.Held}).Allow {
			continue
		}
		p.Collections = append(p.Collections, c)
		if p.Only != "" && c.ID != p.Only {
			continue
		}
		pools, err := d.Review.Pools(r.Context(), r.review(), c.ID)
		if err != nil {
			return nil, err
		}
		total, _, err := d.Review.Heaps(r.Context(), r.review(), c.ID, review.Query{})
		if err != nil {
			return nil, err
		}
		p.Total, p.Apart = p.Total+total, p.Apart+total
		for _, x := range pools {
			p.Apart -= x.Items
			p.Pools = append(p.Pools, r.poolView(c, x))
		}
	}
	if len(p.Collections) == 0 {
		return nil, fault.New(fault.Denied, "see what is held", "", "it takes a grant as steward of a collection")
	}
	p.Apart = max(p.Apart, 0) // something may have come between the two counts
	slices.SortStableFunc(p.Pools, func(a, b poolView) int { return cmp.Compare(b.Items, a.Items) })
	return &page{file: "heldalike", title: "Held and alike", section: "/held", help: "held", data: p}, nil
}

const (
	picturesOfSheet = 12
	// mostOfSheets bounds the items of a pool that pictures are taken from.
	mostOfSheets = 1200
)

// region is a place in which text was found, for a form.
type region struct {
	review.FoundAt
	N     int
	Value string
	W, H  int
	Label int // the row that its number stands on
}

// sheetItem is an item on a sheet of pictures.
type sheetItem struct {
	review.Item
	Picture string
}

type boxField struct{ Name, Words string }

// boxFields are those of a row that [boxesOf] reads.
var boxFields = []boxField{{"bx", "Left"}, {"by", "Top"}, {"bw", "Width"}, {"bh", "Height"}}

type poolPage struct {
	poolView
	Sheet       []sheetItem
	SheetN      int // from 1
	Sheets      int
	Next, Prev  string
	Regions     []region
	Blank       []int      // rows for other boxes
	Fields      []boxField // of such a row
	Letter      int        // height of a region's number in the drawing
	List        string     // the items in a table
	UpTo        string     // the last item that is meant
	Acceptable  bool
	Paints      bool // what is chosen can be painted over now
	Restricts   bool
	InForce     []rulingView // decisions that are about these, which are held in spite of them
	Unseen      int64        // items that no sheet shows
	OtherKind   int64        // items of its kind in other forms
	OnlyRefuse  bool         // nothing else can be decided
	NeedsRegion bool
}

func (d *Door) poolOf(r *request) (collection.Collection, review.Pool, error) {
	if err := r.signedIn(); err != nil {
		return collection.Collection{}, review.Pool{}, err
	}
	id, err := r.collectionID()
	if err != nil {
		return collection.Collection{}, review.Pool{}, err
	}
	x, err := d.Review.Pool(r.Context(), r.review(), id, r.PathValue("layout"))
	if err != nil {
		return collection.Collection{}, x, err
	}
	c, err := d.Desk.Collection(r.Context(), r.admin(), id)
	return c, x, err
}

// pool shows what is held and alike, to be decided on together.
func (d *Door) pool(r *request) (*page, error) {
	c, x, err := d.poolOf(r)
	if err != nil {
		return nil, err
	}
	p := poolPage{poolView: r.poolView(c, x), UpTo: x.Last.String(), Blank: []int{1, 2, 3}, Fields: boxFields, OtherKind: x.OfKind - x.Items}
	p.List = "/held?" + url.Values{"collection": {string(c.ID)}, "alike": {x.Layout}}.Encode()
	can := func(a ruling.Action) bool { return slices.Contains(x.Allowed, a) }
	p.Acceptable, p.Paints, p.Restricts, p.NeedsRegion = can(ruling.Accept), can(ruling.Paint), can(ruling.Restrict), x.Text
	p.OnlyRefuse = !p.Acceptable && !p.Restricts
	p.Letter = max(int(min(x.About.Columns, x.About.Rows))/26, 6)
	for i, f := range x.Found {
		b := f.Box
		label := b[1] - p.Letter/4
		if label < p.Letter { // no room above it
			label = b[3] + p.Letter
		}
		p.Regions = append(p.Regions, region{f, i + 1, custody.FormatBox(catalogue.FoundBox{First: 1, Box: b}), b[2] - b[0], b[3] - b[1], label})
	}
	items, err := d.Review.List(r.Context(), r.review(), c.ID, review.Query{Layout: x.Layout, UpTo: x.Last, Limit: mostOfSheets})
	if err != nil {
		return nil, err
	}
	p.sheet(items, r)
	p.Unseen = max(x.Items-int64(len(items)), 0)
	rulings, err := d.rulingsOf(r, c)
	if err != nil {
		return nil, err
	}
	for _, v := range rulings {
		if v.InForce() && v.Likeness != "" && (v.Likeness == x.Layout || v.Likeness == x.Kind) {
			p.InForce = append(p.InForce, v)
		}
	}
	return &page{file: "heldpool", title: "Held and alike: " + p.What, section: "/held", help: "held", data: p}, nil
}

// sheet takes the items of one sheet of pictures: each is spread over the whole pool, and all together show every item once.
func (p *poolPage) sheet(items []review.Item, r *request) {
	p.Sheets = max((len(items)+picturesOfSheet-1)/picturesOfSheet, 1)
	n, _ := strconv.Atoi(r.URL.Query().Get("sheet"))
	p.SheetN = min(max(n, 1), p.Sheets)
	for i := p.SheetN - 1; i < len(items); i += p.Sheets {
		s := sheetItem{Item: items[i]}
		if p.MayDecide && s.Rows > 0 {
			s.Picture = smallPicture(s.ID)
		}
		p.Sheet = append(p.Sheet, s)
	}
	at := func(n int) string { return p.Page + "?sheet=" + strconv.Itoa(n) + "#sheet" }
	if p.SheetN > 1 {
		p.Prev = at(p.SheetN - 1)
	}
	if p.SheetN < p.Sheets {
		p.Next = at(p.SheetN + 1)
	}
}

// decidePool decides on what is held and alike: on what was there when the page was drawn, or once for all.
func (d *Door) decidePool(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := r.collectionID()
	if err != nil {
		return nil, err
	}
	refuse := func(status int, why, advice string) error {
		return web.Refuse(status, "decide on what is held", why, advice+" Nothing was decided.")
	}
	action := ruling.Action(r.PostForm.Get("do"))
	if doneWords[action] == "" {
		return nil, refuse(http.StatusBadRequest, "the form does not say what to do", "Go back and press one of the buttons.")
	}
	layout, scope := r.PathValue("layout"), r.PostForm.Get("scope")
	if scope != "these" && scope != "form" && scope != "kind" {
		return nil, refuse(http.StatusUnprocessableEntity, "the form does not say what it is about", "Go back and choose: just these, or whatever comes like them too.")
	}
	if action != ruling.Refuse && action != ruling.Restrict && r.PostForm.Get("seen") == "" {
		return nil, refuse(http.StatusUnprocessableEntity, "you have not said that you have looked", "Go back, look at the pictures, and tick that you answer for what stays in them.")
	}
	boxes, _, err := boxesOf(r.PostForm)
	if err != nil {
		return nil, err
	}
	if scope == "these" {
		r.PostForm.Set("alike", string(id)+"/"+layout+"/"+r.PostForm.Get("upto"))
		r.PostForm.Set("back", "/held/alike")
		var of *custody.Boxes
		if action == ruling.Paint && len(boxes) > 0 {
			of = &custody.Boxes{Drawn: boxes}
		}
		return d.decideWith(r, string(action), of)
	}
	if r.PostForm.Get("sure") == "" {
		return nil, refuse(http.StatusUnprocessableEntity, "you have not said that nobody will look at what comes later", "Go back, read what a standing decision does, and tick that you want it; or decide on just these.")
	}
	o := review.Order{Layout: layout, Whole: scope == "kind", Action: action, Note: r.PostForm.Get("note")}
	if action == ruling.Accept || action == ruling.Paint {
		o.Boxes = boxes
	}
	x, err := d.Review.Rule(r.Context(), r.review(), id, o)
	if err != nil {
		return nil, err
	}
	r.leave(noticeRuled)
	return &page{to: "/collections/" + string(id) + "/rulings#d" + x.Number.String()}, nil
}
