package portal

import (
	"cmp"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
)

func (d *Door) registerRulings(mux web.Routes) {
	mux.HandleFunc("GET /collections/{collection}/rulings", d.page(d.rulings))
	mux.HandleFunc("POST /collections/{collection}/rulings", d.page(d.endRuling))
	mux.HandleFunc("GET /collections/{collection}/rulings/{number}/text", d.page(d.said))
	mux.HandleFunc("GET /collections/{collection}/texts", d.page(d.texts))
	mux.HandleFunc("POST /collections/{collection}/texts", d.page(d.sayOfText))
}

// rulingView is a standing decision in words.
type rulingView struct {
	ruling.Ruling
	What    string // it is about
	Form    string // of the pictures; empty: any
	Done    string // with it
	Why     []string
	By      string
	Ender   string
	InSight int64 // objects that it accepted and that can be seen
	Counts  bool  // it accepts anything
}

type rulingsPage struct {
	ID        collection.ID
	Title     string
	InForce   []rulingView
	Ended     []rulingView
	MayDecide bool
}

func (d *Door) rulingsOf(r *request, c collection.Collection) ([]rulingView, error) {
	all, err := d.Review.RulingsOf(r.Context(), r.review(), c.ID)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	through, err := d.Review.LetThrough(r.Context(), r.review(), c.ID)
	if err != nil {
		return nil, err
	}
	out := make([]rulingView, len(all))
	for i, x := range all {
		v := rulingView{Ruling: x, Done: doneWords[x.Action], By: d.whoDid(r, x.Actor), InSight: through[x.Number], Counts: x.Action == ruling.Accept || x.Action == ruling.Paint}
		if x.EndedBy != "" {
			v.Ender = d.whoDid(r, x.EndedBy)
		}
		if x.Subject == ruling.Identifier {
			v.What, v.Done = "A text that identifies", "searched for wherever it stands" // never the text itself
		} else {
			v.What, v.Form = aboutWords(x.About)
			for _, code := range x.About.Codes {
				v.Why = append(v.Why, review.Explain(catalogue.Reason{Code: code}).Title)
			}
		}
		out[i] = v
	}
	return out, nil
}

// rulings shows the standing decisions of a collection to its stewards.
func (d *Door) rulings(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := r.collectionID()
	if err != nil {
		return nil, err
	}
	c, err := d.Desk.Collection(r.Context(), r.admin(), id)
	if err != nil {
		return nil, err
	}
	all, err := d.rulingsOf(r, c)
	if err != nil {
		return nil, err
	}
	p := rulingsPage{ID: id, Title: cmp.Or(c.Title, string(id))}
	p.MayDecide = policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.DecideHeld, Collection: string(id), State: policy.Held}).Allow
	for _, v := range all {
		if v.InForce() {
			p.InForce = append(p.InForce, v)
		} else {
			p.Ended = append(p.Ended, v)
		}
	}
	return &page{file: "rulings", title: "Standing decisions of " + p.Title, section: "/collections", help: "held", data: p}, nil
}

// endRuling ends one.
func (d *Door) endRuling(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := r.collectionID()
	if err != nil {
		return nil, err
	}
	n, err := ruling.ParseNumber(r.PostForm.Get("end"))
	if err != nil {
		return nil, fault.New(fault.NotFound, "end standing decision", "collection "+string(id), "the form names no decision")
	}
	if err := d.Review.EndRuling(r.Context(), r.review(), id, n, r.PostForm.Get("note")); err != nil {
		return nil, err
	}
	r.leave(noticeRulingEnded)
	return &page{to: "/collections/" + string(id) + "/rulings"}, nil
}

// rulingAddress is the page of a collection's standing decision, to who may see what is held in it.
func (r *request) rulingAddress(c collection.ID, number string) string {
	if !policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.SeeHeld, Collection: string(c), State: policy.Held}).Allow {
		return ""
	}
	if _, err := ruling.ParseNumber(number); err != nil {
		return ""
	}
	return "/collections/" + string(c) + "/rulings#d" + number
}
