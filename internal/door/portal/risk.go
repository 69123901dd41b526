package portal

import (
	"net/http"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/judge/risk"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

func (d *Door) registerRisk(mux web.Routes) {
	mux.HandleFunc("GET /collections/{collection}/risk", d.page(d.risk))
}

type riskPage struct {
	*risk.Report
	ID     collection.ID
	Title  string
	Rows   []riskClass
	Shown  int // classes in the table
	Clear  bool
	Others int // with how many others the smallest class hides
}

type riskClass struct {
	risk.Class
	Told []string // of each field, in words where nothing is told
}

// risk shows how far the people of a collection are alike, to who manages it.
func (d *Door) risk(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := collection.ParseID(r.PathValue("collection"))
	if err != nil || !r.caller.Knows(string(id)) {
		return nil, fault.New(fault.NotFound, "measure risk", "", "there is no such collection that you have a role in")
	}
	k := 5
	if v := r.URL.Query().Get("k"); v != "" {
		if k, err = strconv.Atoi(v); err != nil || k < 2 || k > directory.MostAlike {
			return nil, web.Refuse(http.StatusBadRequest, "measure risk", "the number of people is not one of 2 to 1,000", "Go back and choose another number.")
		}
	}
	p := riskPage{ID: id, Title: string(id)}
	if p.Report, err = d.Directory.Risk(r.Context(), r.admin(), id, k); err != nil {
		return nil, err
	}
	if c, err := d.Desk.Collection(r.Context(), r.admin(), id); err == nil && c.Title != "" {
		p.Title = c.Title
	}
	p.Clear, p.Others = p.Below == 0, p.Smallest-1
	for _, c := range p.Classes {
		row := riskClass{Class: c}
		for _, v := range c.Values {
			if v == "" {
				v = "–"
			}
			row.Told = append(row.Told, v)
		}
		p.Rows = append(p.Rows, row)
	}
	p.Shown = len(p.Rows)
	return &page{file: "risk", title: "Risk of " + p.Title, section: "/collections", help: "publish", data: p}, nil
}
