package portal

import (
	"cmp"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

func (d *Door) registerDirectory(mux web.Routes) {
	mux.HandleFunc("GET /{$}", d.page(d.directory))
	mux.HandleFunc("GET /compare", d.page(d.compare))
	mux.HandleFunc("GET /shortlist", d.page(d.shortlisted))
	mux.HandleFunc("POST /shortlist", d.page(d.shortlist))
	mux.HandleFunc("GET /searches", d.page(d.searches))
	mux.HandleFunc("POST /searches", d.page(d.saveSearch))
	mux.HandleFunc("POST /searches/{search}/seen", d.page(d.sawSearch))
	mux.HandleFunc("POST /searches/{search}/delete", d.page(d.deleteSearch))
	d.registerCatalogue(mux)
}

type directoryPage struct {
	Query      directory.Query
	Table      bool
	Result     *directory.Result
	Chips      []chip
	Understood []understood
	Facets     []facetView
	Ages       *brush
	Years      *brush
	Cards      []card
	Sorts      []option
	AsCards    string // the address of this answer as cards
	AsTable    string
	Previous   string
	Next       string
	Page       int
	Pages      int
	Near       []nearGroup
	Held       []country
	Tray       tray
	Narrowed   bool   // something was asked for
	Address    string // what is kept of the query
	News       int64
	SignedIn   bool
	MayAdd     bool
	Canonical  string
	Linked     template.JS // schema.org, as JSON-LD
	Motifs     template.HTML
	Kept       []chip // ranges that no histogram stands for, kept in the form
	Problem    string // what of the address was not understood
}

// chip is a condition of the query, with the address of the answer without it.
type chip struct{ Facet, Label, Remove string }

// understood is a part of the text that was taken for something.
type understood struct {
	Text  string
	Meant string // the word that a misspelt one was taken for
	As    string
}

type option struct {
	Value, Label string
	Chosen       bool
}

// country is where collections are held.
type country struct {
	Name       string
	Custodians []custodian
}

type custodian struct {
	Name, Address string
	Collections   int
	People        directory.Number
	Share         int // of the most, in percent
}

// nearGroup is what all but one condition fits.
type nearGroup struct {
	Lacks   string // the condition
	Address string // the answer without it
	Found   int
	Cards   []card
}

// facetNames are what facets are called on the page, and whose words they are.
var facetNames = map[directory.Facet][2]string{
	directory.FacetDisease: {"Disease", "ICD-10"}, directory.FacetBodySite: {"Body site", "SNOMED CT"}, directory.FacetModality: {"Modality", "DICOM"}, directory.FacetDomain: {"Kind of image"},
	directory.FacetSex: {"Sex"}, directory.FacetAge: {"Age at imaging"}, directory.FacetYear: {"Year of imaging"}, directory.FacetTimepoint: {"Visit"}, directory.FacetStage: {"Stage"},
	directory.FacetImages: {"Images"}, directory.FacetAccess: {"Access", "TDCC"}, directory.FacetService: {"How it is served"}, directory.FacetPermission: {"May be used for", "DUO"},
	directory.FacetLegalBasis: {"Legal basis"}, directory.FacetStain: {"Stain"}, directory.FacetMaterial: {"Sample type", "MIABIS"}, directory.FacetAssociated: {"Other data"},
	directory.FacetType: {"Kind of collection", "MIABIS"}, directory.FacetStatus: {"Status"}, directory.FacetHolding: {"Where the images are"}, directory.FacetCustodian: {"Custodian"},
	directory.FacetFunder: {"Funder"}, directory.FacetCountry: {"Country"},
}

// queryOf reads the query of an address. A form without script sends the ends of a range apart, and empty fields: then clean is the address to go to.
func queryOf(v url.Values) (q directory.Query, clean string, err error) {
	tidy := false
	for _, f := range []directory.Facet{directory.FacetAge, directory.FacetYear} {
		name := string(f)
		from, to := v.Get(name+"-from"), v.Get(name+"-to")
		if v.Has(name+"-from") || v.Has(name+"-to") {
			tidy = true
			if from != "" || to != "" {
				v.Set(name, orderly(cmp.Or(from, lowest[f]), cmp.Or(to, highest[f])))
			}
			v.Del(name + "-from")
			v.Del(name + "-to")
		}
	}
	if q, err = directory.ParseQuery(v); err != nil {
		return q, "", err
	}
	for name, values := range v {
		if slices.Contains(values, "") && (name == "q" || name == "sort" || name == "view") {
			tidy = true
		}
	}
	if tidy {
		clean = address(q, v.Get("view") == "table")
	}
	return q, clean, nil
}

// The ends of what a range without an end reaches.
var (
	lowest  = map[directory.Facet]string{directory.FacetAge: "0", directory.FacetYear: "1900"}
	highest = map[directory.Facet]string{directory.FacetAge: "120", directory.FacetYear: "2099"}
)

// orderly is a range of two numbers, the lesser first.
func orderly(from, to string) string {
	a, err1 := strconv.Atoi(from)
	b, err2 := strconv.Atoi(to)
	if err1 == nil && err2 == nil && a > b {
		from, to = to, from
	}
	return from + "-" + to
}

// address is where the answer to a query is.
func address(q directory.Query, table bool) string {
	v := q.Values()
	if table {
		v.Set("view", "table")
	}
	if len(v) == 0 {
		return "/"
	}
	return "/?" + v.Encode()
}

// directory finds published collections. Every answer has an address.
func (d *Door) directory(r *request) (*page, error) {
	v := r.URL.Query()
	p := directoryPage{Table: v.Get("view") == "table", SignedIn: !r.caller.Anonymous()}
	q, clean, err := queryOf(v)
	if clean != "" {
		return &page{to: clean}, nil
	}
	if err != nil {
		if !fault.Is(err, fault.Invalid) {
			return nil, err
		}
		q, p.Problem = directory.Query{}, reasonOf(err)
	}
	p.Query = q
	if p.Result, err = d.Directory.Search(r.Context(), r.admin(), q); err != nil {
		return nil, err
	}
	if p.Tray, err = d.tray(r); err != nil {
		return nil, err
	}
	if p.News, err = d.Directory.News(r.Context(), r.admin()); err != nil {
		return nil, err
	}
	d.fill(&p)
	if err := d.picture(r, &p); err != nil {
		return nil, err
	}
	if len(p.Result.Hits) == 0 && p.Result.Total > 0 { // a page beyond the last
		q.Page = p.Pages
		return &page{to: address(q, p.Table)}, nil
	}
	p.MayAdd = hasRole(r.caller, []policy.Role{policy.Custodian, policy.Steward, policy.Admin, policy.Operator}) && len(p.Result.Hits) == 0 && !p.Narrowed
	site := web.Base(r.Request)
	canonical := q
	canonical.Size, canonical.Sort = 0, ""
	p.Canonical = site + address(canonical, false)
	out := &page{file: "directory", title: "Directory", section: "/", help: "find", counted: p.Result.AsOf, zip: true, data: &p}
	if p.Problem != "" {
		out.status = http.StatusBadRequest
	}
	if q.Text != "" {
		out.title = q.Text + " - Directory"
	}
	if !p.Narrowed && p.Problem == "" { // what is filtered is not indexed: there is no end of it
		out.about = "Collections of cancer research images: what is in them, who keeps them, and how to ask for access."
		if p.Linked, err = linked(site, p.Result); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// reasonOf says what is wrong with what was sent, as a sentence.
func reasonOf(err error) string {
	pr, _ := web.ProblemOf(err)
	return pr.Detail
}

// fill makes of an answer what the page shows.
func (d *Door) fill(p *directoryPage) {
	q, r := p.Query, p.Result
	bare := q
	bare.Page, bare.Size, bare.Sort = 0, 0, ""
	p.Address = bare.Values().Encode()
	p.Narrowed = p.Address != ""
	p.Chips = chips(q, p.Table)
	for _, m := range r.Phrases {
		if len(m.Concepts) > 0 || m.Meant != "" {
			p.Understood = append(p.Understood, understood{m.Text, m.Meant, meaning(m)})
		}
	}
	for _, f := range r.Facets {
		switch f.Facet {
		case directory.FacetCustodian:
			p.Held = whereHeld(q, f, p.Table)
		case directory.FacetHolding, directory.FacetImages:
			if len(f.Values) < 2 && len(q.Filters[f.Facet]) == 0 {
				continue
			}
		}
		if v := viewFacet(f, q); len(v.Rows) > 0 {
			p.Facets = append(p.Facets, v)
		}
	}
	p.Ages = brushOf(directory.FacetAge, r.Ages, q.Age)
	p.Years = brushOf(directory.FacetYear, r.Years, q.Year)
	if p.Ages == nil && q.Age != nil {
		p.Kept = append(p.Kept, chip{Facet: string(directory.FacetAge), Label: q.Age.String()})
	}
	if p.Years == nil && q.Year != nil {
		p.Kept = append(p.Kept, chip{Facet: string(directory.FacetYear), Label: q.Year.String()})
	}
	for _, h := range r.Hits {
		p.Cards = append(p.Cards, cardOf(h.Stored, h.Card, h.People, p.Tray.has(h.ID)))
	}
	for _, s := range []option{{"", "Best match", false}, {"title", "Title", false}, {"people", "Most people", false}, {"newest", "Newest", false}} {
		if s.Value == "" && q.Text == "" {
			continue // without text, that is by title
		}
		s.Chosen = string(q.Sort) == s.Value
		p.Sorts = append(p.Sorts, s)
	}
	p.AsCards, p.AsTable = address(q, false), address(q, true)
	size := cmp.Or(q.Size, directory.DefaultSize)
	p.Page, p.Pages = max(q.Page, 1), max(1, (r.Total+size-1)/size)
	other := q
	if other.Page = p.Page - 1; p.Page > 1 {
		p.Previous = address(other, p.Table)
	}
	if other.Page = p.Page + 1; p.Page < p.Pages {
		p.Next = address(other, p.Table)
	}
	p.nearMisses()
	shown := slices.Clone(p.Cards)
	for _, g := range p.Near {
		shown = append(shown, g.Cards...)
	}
	p.Motifs = motifDefs(shown...)
}

// picture puts into each card's glass what a steward picked, as far as everybody may see it: up to three, the first of them large.
func (d *Door) picture(r *request, p *directoryPage) error {
	sets := [][]card{p.Cards}
	for i := range p.Near {
		sets = append(sets, p.Near[i].Cards)
	}
	for _, cards := range sets {
		for i := range cards {
			c := &cards[i]
			if c.Elsewhere || p.Table {
				continue
			}
			shown, err := d.Directory.Montage(r.Context(), r.admin(), c.ID)
			if err != nil && !fault.Is(err, fault.NotFound) { // retired a moment ago
				return err
			}
			for _, s := range shown[:min(len(shown), 3)] {
				c.Pictures = append(c.Pictures, cardPicture{Address: "/directory/" + url.PathEscape(string(c.ID)) + "/montage/" + strconv.FormatInt(s.N, 10), Tall: len(c.Pictures) == 0})
			}
		}
	}
	return nil
}

// nearMisses puts together what lacks the same condition.
func (p *directoryPage) nearMisses() {
	for _, n := range p.Result.Near {
		without, lacks := p.Query.Without(n.Lacks), n.Text
		if n.Lacks == "" {
			without = p.Query
			without.Page, without.Text = 0, strings.Join(strings.Fields(strings.Replace(p.Query.Text, n.Text, " ", 1)), " ")
		} else {
			var labels []string
			for _, c := range chips(p.Query, false) {
				if c.Facet == facetNames[n.Lacks][0] {
					labels = append(labels, c.Label)
				}
			}
			lacks = strings.Join(labels, " or ")
		}
		at := address(without, p.Table)
		if len(p.Near) == 0 || p.Near[len(p.Near)-1].Address != at {
			p.Near = append(p.Near, nearGroup{Lacks: lacks, Address: at, Found: n.Found})
		}
		g := &p.Near[len(p.Near)-1]
		g.Cards = append(g.Cards, cardOf(n.Stored, n.Card, n.Counts.People, p.Tray.has(n.ID)))
	}
}

// chips are the query's conditions, but for the text, which stands in the box.
func chips(q directory.Query, table bool) []chip {
	var out []chip
	for _, f := range directory.Facets {
		name := facetNames[f][0]
		for _, v := range q.Filters[f] {
			out = append(out, chip{name, valueLabel(f, v), address(q.With(f, v), table)})
		}
		switch {
		case f == directory.FacetAge && q.Age != nil:
			out = append(out, chip{name, "Age " + spanLabel(f, *q.Age), address(q.Without(f), table)})
		case f == directory.FacetYear && q.Year != nil:
			out = append(out, chip{name, "Year " + spanLabel(f, *q.Year), address(q.Without(f), table)})
		}
	}
	return out
}

// spanLabel writes a range as people say it.
func spanLabel(f directory.Facet, r directory.Range) string {
	from, to := strconv.Itoa(r.From), strconv.Itoa(r.To)
	switch {
	case r.From == r.To:
		return from
	case to == highest[f] || f == directory.FacetAge && r.To > 120:
		return from + " and over"
	case from == lowest[f]:
		return "up to " + to
	}
	return from + " to " + to
}

// meaning is what a part of the text was taken for, in the words of the clinic with the codes that they stand for.
func meaning(m directory.Meaning) string {
	var out []string
	for _, c := range m.Concepts {
		label := vocabulary.Label(c)
		if codes := vocabulary.Codes(c, vocabulary.ICD10); c.System == vocabulary.Group && len(codes) > 0 && len(codes) <= 6 {
			var list []string
			for _, code := range codes {
				list = append(list, code.Value)
			}
			label += " (" + strings.Join(list, ", ") + ")"
		}
		if !slices.Contains(out, label) && !strings.EqualFold(label, m.Meant) && len(out) < 4 {
			out = append(out, label)
		}
	}
	return strings.Join(out, ", or ")
}

// whereHeld puts custodians by country, those with the most people first.
func whereHeld(q directory.Query, f directory.FacetCounts, table bool) []country {
	by := map[string][]custodian{}
	var most int64
	for _, v := range f.Values {
		if v.Collections == 0 {
			continue
		}
		most = max(most, v.People.Value)
		name := countryName(v.Under)
		at := q
		if !q.Has(directory.FacetCustodian, v.Value) {
			at = q.With(directory.FacetCustodian, v.Value)
		}
		by[name] = append(by[name], custodian{Name: v.Value, Address: address(at, table), Collections: v.Collections, People: v.People})
	}
	var out []country
	for name, list := range by {
		slices.SortStableFunc(list, func(a, b custodian) int {
			return cmp.Or(cmp.Compare(b.People.Value, a.People.Value), cmp.Compare(b.Collections, a.Collections), strings.Compare(a.Name, b.Name))
		})
		for i := range list {
			list[i].Share = share(list[i].People.Value, most)
		}
		out = append(out, country{name, list[:min(len(list), 12)]})
	}
	slices.SortFunc(out, func(a, b country) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// share is a part of the most, in percent; small parts are still seen.
func share(n, most int64) int {
	if n <= 0 || most <= 0 {
		return 0
	}
	return int(max(1, 100*n/most))
}

// linked describes the directory to search engines: a schema.org DataCatalog with the collections of this page.
func linked(site string, r *directory.Result) (template.JS, error) {
	sets := []map[string]any{}
	for _, h := range r.Hits {
		e := &h.Stored.Entry
		at := site + "/directory/" + url.PathEscape(string(h.ID))
		sets = append(sets, map[string]any{"@type": "Dataset", "@id": at, "url": at, "name": e.Title, "description": e.Abstract,
			"creator": map[string]any{"@type": "Organization", "name": e.Custodian.Name}})
	}
	b, err := json.Marshal(map[string]any{"@context": "https://schema.org", "@type": "DataCatalog", "@id": site + "/", "url": site + "/", "name": "Directory of cancer research images",
		"description": "Collections of cancer research images: what is in them, who keeps them, and how to ask for access.", "inLanguage": "en", "dataset": sets})
	return template.JS(b), err //nolint:gosec // json.Marshal writes <, > and & as escapes: nothing ends the element
}
