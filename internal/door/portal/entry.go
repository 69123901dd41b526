package portal

import (
	"bytes"
	"cmp"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

func (d *Door) registerEntries(mux web.Routes) {
	d.registerWriting(mux)
	mux.HandleFunc("GET /directory/{entry}", d.page(d.entry))
	mux.HandleFunc("GET /directory/{entry}/use", d.page(d.mayUse))
	mux.HandleFunc("GET /directory/{entry}/montage/{n}", d.montage)
	mux.HandleFunc("GET /directory/{entry}/picture", d.montage)
	mux.HandleFunc("GET /collections/{collection}/pictures", d.page(d.pictures))
	mux.HandleFunc("POST /collections/{collection}/pictures", d.page(d.pick))
	mux.HandleFunc("POST /collections/{collection}/pictures/{n}", d.page(d.arrange))
	for _, x := range exports {
		mux.HandleFunc("GET /directory/{entry}/"+x.File, d.export(x.format))
	}
}

// exports are the forms in which a published entry can be taken away.
var exports = []struct {
	File, Name, For string
	format          directoryflow.Format
}{
	{"schema.jsonld", "schema.org", "for search engines", directoryflow.SchemaOrg},
	{"dcat.jsonld", "DCAT-AP 3", "for data portals", directoryflow.DCAT},
	{"hdruk.json", "HDR UK 4.0.0", "for the Health Data Research Gateway", directoryflow.HDRUK},
	{"cruk.json", "CRUK 1.0.0", "for Cancer Research UK", directoryflow.CRUK},
	{"miabis.json", "MIABIS Core 3", "for biobank directories", directoryflow.MIABIS},
	{"entry.csv", "CSV", "for a spreadsheet", directoryflow.CSV},
}

// entryID is the entry that the path names.
func (r *request) entryID() (directory.ID, error) {
	id, err := directory.ParseID(r.PathValue("entry"))
	if err != nil {
		return "", fault.New(fault.NotFound, "show collection", "", "there is no such collection in the directory")
	}
	return id, nil
}

// publishedEntry is the published entry that the path names.
func (d *Door) publishedEntry(r *request) (directory.ID, directoryflow.View, error) {
	id, err := r.entryID()
	if err != nil {
		return "", directoryflow.View{}, err
	}
	v, err := d.Directory.Entry(r.Context(), r.admin(), id)
	return id, v, err
}

// export sends a published entry as a file.
func (d *Door) export(format directoryflow.Format) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := &request{Request: r, caller: web.CallerOf(r), w: w}
		id, err := q.entryID()
		var b []byte
		if err == nil {
			b, err = d.Directory.Export(r.Context(), q.admin(), id, format, d.site(r))
		}
		if err != nil {
			web.Fail(w, r, err)
			return
		}
		h := w.Header()
		h.Set("Content-Type", format.MediaType())
		h.Set("Content-Length", strconv.Itoa(len(b)))
		h.Set("Cache-Control", "no-cache") // a retired entry is gone at once
		h.Set("X-Content-Type-Options", "nosniff")
		if format == directoryflow.CSV {
			h.Set("Content-Disposition", `attachment; filename="`+string(id)+`.csv"`)
		}
		if r.Method != http.MethodHead {
			_, _ = w.Write(b) // whoever does not read it has gone
		}
	}
}

// entryPage is a collection as everybody sees it.
type entryPage struct {
	ID          directory.ID
	Entry       directory.Entry
	Address     string
	Crumb       string // what the collection is of, in plain words
	Paragraphs  []string
	Pictures    []shownPicture
	Shown       []string // what the pictures are, each kind once
	Stats       []stat
	Holds       []section // charts
	AsOf        string
	HoldsNote   string
	Diseases    []diseaseView
	Kinds       []diseaseView // of image
	May         []mayView
	Codes       []codeChip
	Access      accessView
	Citation    string
	Short       []fact
	Links       []linkView
	Associated  []associatedView
	Samples     []sampleView
	Exports     []exportLink
	Inside      string // the address of what a role sees of the collection
	MayEdit     bool
	Later       bool // for who may write it: there is a draft that is not published
	Shortlisted bool
	MayAsk      bool
	Datasets    []datasetLine
	Data        []template.JS // data blocks for machines
}

type exportLink struct{ Address, Name, For string }

type linkView struct{ Kind, Title, Address string }

// shownPicture is a picture of the montage.
type shownPicture struct {
	Address, Alt  string
	Width, Height int64
	Tall          bool
}

type diseaseView struct{ Lay, Label, Code, Search string }

type associatedView struct{ Name, Lay, When, Note string }

type sampleView struct{ Who, Donors, What string }

// stat is a number at the head of a page.
type stat struct {
	Value string
	Few   bool
	Name  string
}

func (d *Door) entry(r *request) (*page, error) {
	id, v, err := d.publishedEntry(r)
	if err != nil {
		return nil, err
	}
	e := &v.Stored.Entry
	p := &entryPage{ID: id, Entry: *e, Address: "/directory/" + string(id), MayEdit: v.MayEdit, Later: v.MayEdit && v.Latest > v.Published}
	for _, x := range v.Pictures {
		p.Pictures = append(p.Pictures, shownPicture{Address: p.Address + "/montage/" + strconv.FormatInt(x.N, 10), Alt: x.Caption(), Width: x.Columns, Height: x.Rows, Tall: 4*x.Columns < 3*x.Rows})
		if !slices.Contains(p.Shown, x.Caption()) {
			p.Shown = append(p.Shown, x.Caption())
		}
	}
	p.Paragraphs = paragraphsOf(e.Description)
	p.Crumb = crumbOf(e)
	p.Stats = statsOf(e, &v)
	p.Holds, p.HoldsNote, p.AsOf = heldOf(e, &v)
	for _, c := range e.Conditions {
		p.Diseases = append(p.Diseases, diseaseView{capital(vocabulary.LayLabel(c)), vocabulary.Label(c), c.String(), "/?q=" + template.URLQueryEscaper(vocabulary.LayLabel(c))})
	}
	for _, m := range e.Modalities {
		p.Kinds = append(p.Kinds, diseaseView{Lay: capital(vocabulary.Modality.LayLabel(m)), Code: m})
	}
	p.May, p.Codes = useOf(&e.DataUse)
	p.Access = accessOf(e, p.Address)
	if err := d.measure(r, e, &p.Access); err != nil {
		return nil, err
	}
	p.MayAsk = e.Access.Condition != "closed" && e.Access.Condition != "restricted"
	p.Citation = citation(e, &v, web.Base(r.Request)+p.Address)
	p.Short = inShort(e)
	p.Links = linksOf(e)
	for _, a := range e.AssociatedData {
		t, _ := vocabulary.AssociatedDataType.Get(a.Type)
		p.Associated = append(p.Associated, associatedView{t.Label, t.Lay, capital(vocabulary.AssociatedDataTimeframe.LayLabel(a.LeadTime)), a.Note})
	}
	p.Samples = samplesOf(e)
	for _, x := range exports {
		p.Exports = append(p.Exports, exportLink{p.Address + "/" + x.File, x.Name, x.For})
	}
	if e.Holding == directory.Here {
		if p.Datasets, err = d.datasetsOf(r, e.Collection); err != nil {
			return nil, err
		}
	}
	if e.Holding == directory.Here && r.caller.Knows(e.Collection) {
		p.Inside = "/collections/" + e.Collection
	}
	site := d.site(r.Request)
	for _, make := range []func(directory.Site, directory.Listed) ([]byte, error){directory.SchemaOrg, directory.DCAT} {
		b, err := make(site, v.Listed)
		if err != nil {
			return nil, err
		}
		p.Data = append(p.Data, template.JS(bytes.TrimSpace(b))) //nolint:gosec // encoding/json writes no <, > or &
	}
	return &page{file: "entry", title: e.Title, about: e.Abstract, section: "/", help: "understand", counted: p.AsOf, data: p}, nil
}

// measure adds how long decisions took on what is kept here. Of a few nothing is told but how many there were.
func (d *Door) measure(r *request, e *directory.Entry, a *accessView) error {
	if d.Access == nil || e.Holding != directory.Here {
		if a.Question != "" {
			a.Ask = a.Question
		}
		return nil
	}
	a.Register = "/register?collection=" + e.Collection
	l, err := d.Access.LeadTime(r.Context(), r.admin(), collection.ID(e.Collection))
	if err != nil || a.Ask == "" {
		return err
	}
	if !l.Enough {
		a.MeasuredOf = "Measured: fewer than " + strconv.Itoa(record.FewestDecided) + " requests were decided here in two years, too few to tell."
		return nil
	}
	a.Measured = daysText(l.Median)
	a.MeasuredOf = "Half of " + strconv.Itoa(l.N) + " requests in two years were decided within that, nine in ten within " + daysText(l.P90) + ". The custodian had " + daysText(l.Custodian) + " of it, who asked " + daysText(l.Applicant) + " (medians)."
	return nil
}

func paragraphsOf(text string) []string {
	var out []string
	for _, s := range strings.Split(text, "\n") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// crumbOf is what a collection is of: its first group of diseases, else its first kind of image.
func crumbOf(e *directory.Entry) string {
	if len(e.Conditions) > 0 {
		c := e.Conditions[0]
		if g := vocabulary.Groups(c); len(g) > 0 {
			c = g[0]
		}
		return capital(vocabulary.LayLabel(c))
	}
	if len(e.Modalities) > 0 {
		return capital(vocabulary.Modality.LayLabel(e.Modalities[0]))
	}
	return "Collections"
}

func statsOf(e *directory.Entry, v *directoryflow.View) []stat {
	var out []stat
	number := func(n directory.Number, name string) {
		switch {
		case n.Withheld:
			out = append(out, stat{"0–9", true, name})
		case n.Known:
			out = append(out, stat{grouped(strconv.FormatInt(n.Value, 10)), false, name})
		}
	}
	c := v.Counts
	number(c.People, "people")
	if n := v.Numbers; n != nil && n.Tells("available") && n.Available >= directory.Few && n.Available != n.People {
		out = append(out, stat{grouped(strconv.FormatInt(n.Available, 10)), false, "of whom images are released"})
	}
	number(c.Studies, "studies")
	number(c.Images, "images")
	if from, to := yearsOf(e, v.Numbers); from != "" {
		span := from
		if to != from {
			span += "–" + to
		}
		name := "imaging years"
		if e.Holding == directory.Here {
			name = "imaging years, shifted"
		}
		out = append(out, stat{span, false, name})
	}
	if e.AgeMin != nil && e.AgeMax != nil {
		out = append(out, stat{strconv.Itoa(*e.AgeMin) + "–" + strconv.Itoa(*e.AgeMax), false, "years of age"})
	}
	if n := len(e.Modalities); n > 0 {
		out = append(out, stat{strconv.Itoa(n), false, plainNoun(n, "kind of image", "kinds of image")})
	}
	if f := e.FollowUp; f != "" && f != "unknown" && f != "other" {
		out = append(out, stat{vocabulary.FollowUp.Label(f), false, "followed up"})
	}
	return out
}

func plainNoun(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// yearsOf are the first and the last year of images: as counted, else as stated.
func yearsOf(e *directory.Entry, n *directory.Numbers) (from, to string) {
	if n.Tells(directory.ByYear) {
		for _, y := range directory.Grid(directory.ByYear) {
			if y != directory.YearUnknown && n.Cells[directory.ByYear][y] > 0 {
				from, to = cmp.Or(from, y), y
			}
		}
	}
	if from == "" && len(e.Start) >= 4 {
		from = e.Start[:4]
		to = "now"
		if len(e.End) >= 4 {
			to = e.End[:4]
		} else if e.Status == "completed" {
			to = from
		}
	}
	return from, to
}

// citation is how the collection is cited: the lead or the custodian, the title, the year in which it was first published, its DOI or address.
func citation(e *directory.Entry, v *directoryflow.View, address string) string {
	var who []string
	for _, s := range []string{e.Lead.Name, e.Custodian.Name} {
		if s != "" && !slices.Contains(who, s) {
			who = append(who, s)
		}
	}
	year := ""
	if !v.Issued.IsZero() {
		year = strconv.Itoa(v.Issued.Year())
	}
	where := address
	if e.DOI != "" {
		where = "https://doi.org/" + e.DOI
	}
	return strings.Join(who, ", ") + " (" + year + "). " + e.Title + ". Version " + strconv.FormatInt(v.Revision, 10) + ". " + where
}

func inShort(e *directory.Entry) []fact {
	var out []fact
	put := func(name string, values ...string) {
		var text []string
		for _, s := range values {
			if s != "" {
				text = append(text, s)
			}
		}
		if len(text) > 0 {
			out = append(out, fact{name, strings.Join(text, ", ")})
		}
	}
	put("Custodian", e.Custodian.Name)
	put("Kind", layOf(vocabulary.CollectionType, e.Types)...)
	put("Stands", vocabulary.CollectionStatus.LayLabel(e.Status))
	put("Images of", labelsOf(vocabulary.BodySite, e.BodySites)...)
	put("Stage", labelsOf(vocabulary.Stage, e.Stages)...)
	put("Stains", labelsOf(vocabulary.Stain, e.Stains)...)
	put("Age", layOf(vocabulary.AgeRange, e.AgeBands)...)
	put("Recruited in", e.Spatial...)
	put("Updated", vocabulary.Frequency.LayLabel(e.Frequency))
	put("Came about in", labelsOf(vocabulary.Setting, e.Settings)...)
	put("Included by", labelsOf(vocabulary.Inclusion, e.Inclusion)...)
	put("Scanners", e.Scanners...)
	for _, x := range e.Ethics {
		var parts []string
		for _, s := range [][2]string{{"", x.Committee}, {"REC ", x.REC}, {"IRAS ", x.IRAS}, {"CAG ", x.CAG}, {"HTA licence ", x.HTALicence}, {"until ", x.Expires}} {
			if s[1] != "" {
				parts = append(parts, s[0]+s[1])
			}
		}
		put("Ethics", parts...)
	}
	put("Basis", vocabulary.LegalBasis.LayLabel(e.Access.LegalBasis))
	put("Controller", e.Access.Controller)
	put("Processor", e.Access.Processor)
	put("Law of", places(e.Access.Jurisdiction)...)
	put("Lead", e.Lead.Name, e.Lead.Institution)
	put("Also called", append([]string{e.Acronym}, e.Aliases...)...)
	return out
}

// places names jurisdictions: those of the United Kingdom in words, others by their code.
func places(codes []string) []string {
	names := map[string]string{"GB": "the United Kingdom", "GB-ENG": "England", "GB-SCT": "Scotland", "GB-WLS": "Wales", "GB-NIR": "Northern Ireland", "IE": "Ireland"}
	out := make([]string, len(codes))
	for i, c := range codes {
		out[i] = cmp.Or(names[c], c)
	}
	return out
}

func labelsOf(l *vocabulary.List, ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = l.Label(id)
	}
	return out
}

func layOf(l *vocabulary.List, ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = l.LayLabel(id)
	}
	return out
}

func linksOf(e *directory.Entry) []linkView {
	var out []linkView
	if e.URL != "" {
		out = append(out, linkView{"Its own page", e.URL, e.URL})
	}
	for _, p := range e.Publications {
		kind := "A paper about it"
		if p.Uses {
			kind = "A paper that used it"
		}
		out = append(out, linkView{kind, cmp.Or(p.Title, "doi:"+p.DOI), "https://doi.org/" + p.DOI})
	}
	for _, n := range e.Networks {
		out = append(out, linkView{"Belongs to", n.Name, n.URL})
	}
	for _, l := range e.Linkable {
		out = append(out, linkView{"Was linked with", l.Title, l.URL})
	}
	for _, l := range e.DerivedFrom {
		out = append(out, linkView{"Was made from", l.Title, l.URL})
	}
	return out
}

func samplesOf(e *directory.Entry) []sampleView {
	var out []sampleView
	for _, s := range e.SampleSets {
		var what []string
		for _, m := range s.Materials {
			text := vocabulary.MaterialType.Label(m.Type)
			var kept []string
			if m.Preservation != "" {
				kept = append(kept, vocabulary.PreservationType.LayLabel(m.Preservation))
			}
			if m.Temperature != "" {
				kept = append(kept, vocabulary.StorageTemperature.LayLabel(m.Temperature))
			}
			if len(kept) > 0 {
				text += " (" + strings.Join(kept, ", ") + ")"
			}
			what = append(what, text)
		}
		out = append(out, sampleView{vocabulary.Sex.Label(s.Sex) + ", " + lowerFirst(vocabulary.AgeRange.LayLabel(s.AgeBand)), vocabulary.DonorCount.Label(s.Donors), strings.Join(what, ", ")})
	}
	if len(out) == 0 && len(e.Materials) > 0 {
		out = append(out, sampleView{What: strings.Join(labelsOf(vocabulary.MaterialType, e.Materials), ", ")})
	}
	return out
}

func lowerFirst(s string) string {
	if len(s) < 2 || s[1] >= 'A' && s[1] <= 'Z' { // MRI
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
