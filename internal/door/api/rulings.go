package api

import (
	"net/http"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
)

func (d *Door) alike(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	all, err := d.Review.Pools(r.Context(), review.Caller(r.who), id)
	views := make([]review.PoolView, len(all))
	for i := range all {
		views[i] = all[i].View()
	}
	return views, err
}

func (d *Door) alikeOne(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	p, err := d.Review.Pool(r.Context(), review.Caller(r.who), id, r.PathValue("layout"))
	return p.View(), err
}

func (d *Door) rulings(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	all, err := d.Review.RulingsOf(r.Context(), review.Caller(r.who), id)
	if err != nil {
		return nil, err
	}
	through, err := d.Review.LetThrough(r.Context(), review.Caller(r.who), id)
	views := make([]review.RulingView, len(all))
	for i := range all {
		views[i] = review.ViewRuling(&all[i], through[all[i].Number])
	}
	return views, err
}

func (d *Door) makeRuling(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	var v struct {
		Layout string               `json:"layout"`
		Whole  bool                 `json:"whole"`
		Action string               `json:"action"`
		Boxes  []catalogue.FoundBox `json:"boxes"`
		Note   string               `json:"note"`
	}
	if err := r.body(&v); err != nil {
		return nil, err
	}
	for i := range v.Boxes {
		if v.Boxes[i].First == 0 {
			v.Boxes[i].First = 1
		}
	}
	x, err := d.Review.Rule(r.Context(), review.Caller(r.who), id, review.Order{Layout: v.Layout, Whole: v.Whole, Action: ruling.Action(v.Action), Boxes: v.Boxes, Note: v.Note})
	return review.ViewRuling(&x, 0), err
}

func (d *Door) endRuling(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	n, err := ruling.ParseNumber(r.PathValue("number"))
	if err != nil {
		return nil, web.Refuse(http.StatusNotFound, "end standing decision", "there is no decision of this number", "Give a number that the list of standing decisions gives.")
	}
	var v struct {
		Note string `json:"note"`
	}
	if err := r.body(&v); err != nil {
		return nil, err
	}
	return nil, d.Review.EndRuling(r.Context(), review.Caller(r.who), id, n, v.Note)
}

func (d *Door) identify(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	var v struct {
		Text string `json:"text"`
		Name bool   `json:"name"`
		Note string `json:"note"`
	}
	if err := r.body(&v); err != nil {
		return nil, err
	}
	x, err := d.Review.Identify(r.Context(), review.Caller(r.who), id, custody.Said{Text: v.Text, Name: v.Name}, v.Note)
	return review.ViewRuling(&x, 0), err
}

func (d *Door) said(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	n, err := ruling.ParseNumber(r.PathValue("number"))
	if err != nil {
		return nil, err
	}
	s, err := d.Review.Said(r.Context(), review.Caller(r.who), id, n)
	return struct {
		Text string `json:"text"`
		Name bool   `json:"name"`
	}{s.Text, s.Name}, err
}

func (d *Door) texts(r *request, again bool) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	s, err := d.Review.Texts(r.Context(), review.Caller(r.who), id, again)
	if s.Texts == nil {
		s.Texts = []review.Text{}
	}
	return s, err
}
