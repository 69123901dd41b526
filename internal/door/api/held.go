package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// heldRoutes are those of deciding on what is held.
func (d *Door) heldRoutes() []route {
	return []route{
		{method: "GET", path: "/api/collections/{collection}/held", name: "listHeldOf", text: "What is held in a collection, in the order of arrival: what each item is, why it is held, and whether a person's word can answer that; with state=restricted, what is kept restricted.",
			gives: "HeldItem", list: true, query: []string{"reason", "layout", "deposit", "subject", "state", "after", "limit"}, do: d.heldOf},
		{method: "POST", path: "/api/collections/{collection}/held/accept", name: "acceptHeld",
			text:  "Say of held items that nothing in them identifies anybody. Each is cleaned by its collection's profile, and admitted with its study; what does not pass stays held, with the reason.",
			takes: "NewDecision", gives: "Decided", list: true, do: func(r *request) (any, error) { return d.decideHeld(r, d.Review.Accept) }},
		{method: "POST", path: "/api/collections/{collection}/held/paint", name: "paintHeld",
			text:  "Accept held items with what looks like text in their pixels painted over, and with boxes of your own: for who has looked, and answers for the rest. What cannot be painted over stays held, with the reason.",
			takes: "NewPainting", gives: "Decided", list: true, do: d.paintHeld},
		{method: "POST", path: "/api/collections/{collection}/held/restrict", name: "restrictHeld",
			text:  "Keep held items for the collection's stewards alone. Their headers are cleaned, what is in them stays as it came; they are found by no search, and never released. They can be accepted or refused later.",
			takes: "NewDecision", gives: "Decided", list: true, do: func(r *request) (any, error) { return d.decideHeld(r, d.Review.Restrict) }},
		{method: "POST", path: "/api/collections/{collection}/held/refuse", name: "refuseHeld",
			text:  "Refuse held items for good. Their depositor reads the note, and the same bytes are refused when they come again.",
			takes: "NewDecision", gives: "Decided", list: true, do: func(r *request) (any, error) { return d.decideHeld(r, d.Review.Refuse) }},
		{method: "GET", path: "/api/collections/{collection}/held/alike", name: "listAlike", text: "What is held in a collection by what is alike, most first: what each is, how much of it there is, and what may be decided once for all of it.",
			gives: "Alike", list: true, do: d.alike},
		{method: "GET", path: "/api/collections/{collection}/held/alike/{layout}", name: "getAlike", text: "One of them, with where text was found in its pictures.", gives: "Alike", do: d.alikeOne},
		{method: "GET", path: "/api/collections/{collection}/rulings", name: "listRulings", text: "The standing decisions of a collection, the last first, those too that have ended.", gives: "Ruling", list: true, do: d.rulings},
		{method: "POST", path: "/api/collections/{collection}/rulings", name: "makeRuling",
			text:  "Decide once for all that is held and alike, and for whatever comes that is like it: nobody looks at it then. What cannot be cleaned by it stays held.",
			takes: "NewRuling", gives: "Ruling", do: d.makeRuling},
		{method: "POST", path: "/api/collections/{collection}/rulings/identifier", name: "makeIdentifier",
			text:  "Say of a text that it identifies wherever it stands in a collection. What has it is held, and loses it when it is accepted; nothing that comes brings it in.",
			takes: "NewIdentifier", gives: "Ruling", do: d.identify},
		{method: "GET", path: "/api/collections/{collection}/rulings/{number}/text", name: "readIdentifier", text: "The text that a standing decision is about. Each reading is in the audit log.", gives: "Identifier", do: d.said},
		{method: "GET", path: "/api/collections/{collection}/texts", name: "listTexts", text: "Every text that the objects of a collection show, each once, as the last survey found them; the first question begins one. Each reading is in the audit log.",
			gives: "Texts", do: func(r *request) (any, error) { return d.texts(r, false) }},
		{method: "POST", path: "/api/collections/{collection}/texts", name: "gatherTexts", text: "Begin another survey of a collection's texts.", gives: "Texts", do: func(r *request) (any, error) { return d.texts(r, true) }},
		{method: "POST", path: "/api/collections/{collection}/rulings/{number}/end", name: "endRuling",
			text:  "End a standing decision. What it accepted is held again, released objects too; what it refused stays refused.",
			takes: "EndOfRuling", do: d.endRuling},
	}
}

func (d *Door) heldOf(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	var n [2]int64
	for i, name := range []string{"deposit", "after"} {
		if n[i], err = r.number(name, 0); err != nil {
			return nil, err
		}
	}
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	v := r.URL.Query()
	if s := v.Get("state"); s != "" && s != "held" && s != "restricted" {
		return nil, web.Refuse(http.StatusBadRequest, "list what is held", "the state is neither held nor restricted", "Leave it out for what waits.")
	}
	items, err := d.Review.List(r.Context(), review.Caller(r.who), id, review.Query{Reason: v.Get("reason"), Layout: v.Get("layout"), Subject: subject.Pseudonym(v.Get("subject")),
		Deposit: catalogue.DepositID(n[0]), After: catalogue.InstanceID(n[1]), Limit: limit, Kept: v.Get("state") == "restricted"})
	views := make([]review.ItemView, len(items))
	for i := range items {
		views[i] = items[i].View()
	}
	return views, err
}

func (d *Door) decideHeld(r *request, decide func(context.Context, review.Caller, collection.ID, []catalogue.InstanceID, string) ([]review.Decided, error)) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	var v struct {
		Items []string `json:"items"`
		Note  string   `json:"note"`
	}
	if err := r.body(&v); err != nil {
		return nil, err
	}
	ids, err := itemsOf(v.Items)
	if err != nil {
		return nil, err
	}
	return decided(decide(r.Context(), review.Caller(r.who), id, ids, v.Note))
}

func (d *Door) paintHeld(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	var v struct {
		Items []string             `json:"items"`
		Note  string               `json:"note"`
		Boxes []catalogue.FoundBox `json:"boxes"`
		Only  bool                 `json:"only"`
	}
	if err := r.bodyOf(&v, maxPainting); err != nil {
		return nil, err
	}
	ids, err := itemsOf(v.Items)
	if err != nil {
		return nil, err
	}
	var boxes *custody.Boxes
	switch {
	case len(v.Boxes) > 0:
		boxes = &custody.Boxes{Drawn: v.Boxes, Only: v.Only}
	case v.Only:
		return nil, web.Refuse(http.StatusBadRequest, "decide on what is held", "there are no boxes, and nothing else is to be painted", "Give boxes, or accept the items as they are.")
	}
	return decided(d.Review.PaintBoxes(r.Context(), review.Caller(r.who), id, ids, boxes, v.Note))
}

// maxPainting bounds a request with boxes, in bytes.
const maxPainting = 1 << 20

func itemsOf(names []string) ([]catalogue.InstanceID, error) {
	ids := make([]catalogue.InstanceID, len(names))
	for i, s := range names {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n <= 0 {
			return nil, web.Refuse(http.StatusBadRequest, "decide on what is held", "an item is not named by its number", "Give the ids that the list of held items gives.")
		}
		ids[i] = catalogue.InstanceID(n)
	}
	return ids, nil
}

func decided(out []review.Decided, err error) (any, error) {
	views := make([]review.DecidedView, len(out))
	for i := range out {
		views[i] = out[i].View()
	}
	return views, err
}
