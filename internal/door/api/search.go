package api

import (
	"cmp"
	"slices"

	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// The directory's search as JSON. Its parameters are those of the portal's address: what a page shows is found by the same query here.
type (
	foundView struct {
		Total      int              `json:"total"`
		People     directory.Number `json:"people"`
		AsOf       string           `json:"asOf,omitempty"`
		Page       int              `json:"page"`
		Size       int              `json:"size"`
		Hits       []hitView        `json:"hits"`
		Facets     []facetView      `json:"facets"`
		Understood []meaningView    `json:"understood,omitempty"`
		Near       []nearView       `json:"near,omitempty"`
	}
	hitView struct {
		ID     directory.ID     `json:"id"`
		Entry  directory.Entry  `json:"entry"`
		People directory.Number `json:"people"`
		Counts directory.Counts `json:"counts"`
	}
	facetView struct {
		Facet  directory.Facet `json:"facet"`
		Values []valueView     `json:"values"`
		More   int             `json:"more,omitempty"`
	}
	valueView struct {
		Value       string           `json:"value"`
		Label       string           `json:"label"`
		Collections int              `json:"collections"`
		People      directory.Number `json:"people"`
		Chosen      bool             `json:"chosen,omitempty"`
		From        *int             `json:"from,omitempty"`
		To          *int             `json:"to,omitempty"`
	}
	meaningView struct {
		Text     string            `json:"text"`
		Meant    string            `json:"meant,omitempty"`
		Concepts []vocabulary.Code `json:"concepts,omitempty"`
		Found    int               `json:"found"`
	}
	nearView struct {
		ID    directory.ID `json:"id"`
		Title string       `json:"title"`
		Lacks string       `json:"lacks"`
		Text  string       `json:"text,omitempty"`
		Found int          `json:"found"`
	}
)

// search answers a query.
func (d *Door) search(r *request) (any, error) {
	q, err := directory.ParseQuery(r.URL.Query())
	if err != nil {
		return nil, err
	}
	found, err := d.Directory.Search(r.Context(), r.who, q)
	if err != nil {
		return nil, err
	}
	v := foundView{Total: found.Total, People: found.People, AsOf: found.AsOf, Page: max(q.Page, 1), Size: cmp.Or(q.Size, directory.DefaultSize), Hits: []hitView{}}
	for _, h := range found.Hits {
		v.Hits = append(v.Hits, hitView{h.ID, h.Stored.Entry, h.People, h.Counts})
	}
	for _, f := range found.Facets {
		one := facetView{Facet: f.Facet, Values: []valueView{}, More: f.More}
		for _, x := range f.Values {
			one.Values = append(one.Values, valueView{Value: x.Value, Label: x.Label, Collections: x.Collections, People: x.People, Chosen: x.Chosen})
		}
		v.Facets = append(v.Facets, one)
	}
	for f, bins := range map[directory.Facet][]directory.Bin{directory.FacetAge: found.Ages, directory.FacetYear: found.Years} {
		one := facetView{Facet: f, Values: []valueView{}}
		for _, b := range bins {
			one.Values = append(one.Values, valueView{Value: b.Value, Label: directory.FacetLabel(f, b.Value), Collections: b.Collections, People: b.People, Chosen: b.Chosen, From: &b.From, To: &b.To})
		}
		v.Facets = append(v.Facets, one)
	}
	slices.SortStableFunc(v.Facets, func(a, b facetView) int {
		return cmp.Compare(slices.Index(directory.Facets, a.Facet), slices.Index(directory.Facets, b.Facet))
	})
	for _, m := range found.Phrases {
		v.Understood = append(v.Understood, meaningView{m.Text, m.Meant, m.Concepts, m.Found})
	}
	for _, n := range found.Near {
		v.Near = append(v.Near, nearView{n.ID, n.Stored.Entry.Title, cmp.Or(string(n.Lacks), "q"), n.Text, n.Found})
	}
	return v, nil
}

// searchParameters are the names of a query's parameters.
func searchParameters() []string {
	names := []string{"q", "sort", "page", "size"}
	for _, f := range directory.Facets {
		names = append(names, string(f))
	}
	return names
}

// searchParameter describes one of them.
func searchParameter(name string) map[string]any {
	schema, text := map[string]any{"type": "array", "items": map[string]any{"type": "string"}, "maxItems": 50}, "any of these values of the facet"
	switch name {
	case "q":
		schema, text = map[string]any{"type": "string", "maxLength": 300}, "words, plain or of the clinic, and codes"
	case "sort":
		schema, text = map[string]any{"type": "string", "enum": []string{"title", "people", "newest", "completeness"}}, "without it, by how well it matches"
	case "page":
		schema, text = map[string]any{"type": "integer", "minimum": 1, "maximum": 1000}, "of the answer"
	case "size":
		schema, text = map[string]any{"type": "integer", "minimum": 1, "maximum": directory.MaxPageSize, "default": directory.DefaultSize}, "collections of a page"
	case string(directory.FacetAge), string(directory.FacetYear):
		schema, text = map[string]any{"type": "string", "pattern": "^[0-9]+-[0-9]+$"}, "from and to, inclusive: 50-69"
	case string(directory.FacetDisease):
		text = "any of these diseases, each with all below it: group:breast-cancer, ICD-10:C50.4, SNOMED-CT:254837009"
	}
	return map[string]any{"name": name, "in": "query", "required": false, "description": text, "schema": schema}
}
