package portal

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

func (d *Door) registerWriting(mux web.Routes) {
	mux.HandleFunc("GET /entries", d.page(d.entries))
	mux.HandleFunc("GET /directory/new", d.page(d.newEntry))
	mux.HandleFunc("POST /directory/new", d.reading(d.createEntry))
	mux.HandleFunc("GET /directory/{entry}/edit", d.page(d.editEntry))
	mux.HandleFunc("POST /directory/{entry}/edit", d.reading(d.saveEntry))
	mux.HandleFunc("POST /directory/{entry}/publish", d.reading(d.publishEntry))
	mux.HandleFunc("POST /directory/{entry}/retire", d.page(d.retireEntry))
	mux.HandleFunc("GET /directory/{entry}/revisions", d.page(d.revisions))
	mux.HandleFunc("GET /directory/words", d.diseaseWords)
	mux.HandleFunc("GET /directory/import", d.page(d.importPage))
	mux.HandleFunc("POST /directory/import", d.reading(d.readImport))
	mux.HandleFunc("POST /directory/import/store", d.reading(d.storeImport))
	mux.HandleFunc("GET /directory/template.csv", d.template)
}

// mayWriteSome reports whether the caller may write an entry anywhere, and whether of what is not held here.
func (r *request) mayWriteSome() (some, elsewhere bool) {
	for _, g := range r.caller.Grants {
		if policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.EditEntry, Collection: g.Collection}).Allow {
			some = true
		}
	}
	return some, policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.EditEntry}).Allow
}

// writer is the failure to answer with where the caller writes no entries.
func (r *request) writer() error {
	if err := r.signedIn(); err != nil {
		return err
	}
	if some, _ := r.mayWriteSome(); !some {
		return fault.New(fault.Denied, "write directory entries", "the directory", "to write an entry takes a role as custodian, steward or administrator")
	}
	return nil
}

// typed reads a form of this page. It is bounded, and nothing of it touches the disk.
func (r *request) typed() (url.Values, error) {
	r.Body = http.MaxBytesReader(r.w, r.Body, 2<<20)
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/x-www-form-urlencoded" {
		return nil, web.Refuse(http.StatusUnsupportedMediaType, "read form", "it is not sent as a form of this page", "Send it from the page.")
	}
	if err := r.ParseForm(); err != nil {
		return nil, web.Refuse(http.StatusBadRequest, "read form", "it is longer than two megabytes, or not a form", "Make it shorter.")
	}
	return r.PostForm, nil
}

type optionView struct {
	ID, Label, Lay string
	On             bool
	Words          string // what else people call it: to find it by
}

type inputView struct {
	Path, ID, Label, Help, Kind, Value string
	Most                               int
	Options                            []optionView
	Chosen                             int
	Search                             bool // the list is long
	Rows                               []rowView
	Saved                              int  // how many of them are not empty
	Faulty                             bool // a row has a problem
	Uses                               []useInput
	Problem, Gap                       string
	Needed                             bool
}

// rowView is a row of inputs, and those that are folded away.
type rowView struct {
	Inputs, More []inputView
	Open         bool // something that is folded away wants attention
}

type useInput struct {
	N                  int
	Permission         inputView
	Diseases           inputView
	Modifiers          []modifierInput
	ModifiersProblem   string
	ModifiersFieldName string
}

type modifierInput struct {
	optionView
	Takes, Name, Value string
}

type partView struct {
	ID, Title, About string
	Inputs           []inputView
	More             []inputView // folded away
	MoreFilled       int
	MoreOpen         bool // something in them wants attention
	Filled, Asked    int
	Problems         int
}

// MoreNames are what is folded away, for who looks for one of it.
func (p partView) MoreNames() string {
	var names []string
	for _, in := range p.More {
		name := in.Label
		if second := name[1:2]; second == strings.ToLower(second) { // no abbreviation
			name = strings.ToLower(name[:1]) + name[1:]
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

type entryForm struct {
	New       bool
	ID        string
	IDProblem string
	Entry     directory.Entry
	Base      int64
	State     string
	Published int64
	Latest    int64
	Parts     []partView
	Complete  directory.Completeness
	Gaps      []gapView
	Failure   string
	Problems  int
	Conflict  int64 // somebody else's revision that came in between
	Elsewhere bool
	Locals    []optionView // collections of this node that have no entry yet
	MayShow   bool
	Note      string
}

type gapView struct {
	directory.Gap
	To string // anchor of the input
}

var rowIndex = regexp.MustCompile(`\[(\d+)\]`)

// emptyRows follow those of a list that are filled in.
const emptyRows = 3

// inputOf is the name of the form's input that a path of the document belongs to.
func inputOf(path string) string {
	if rest, ok := strings.CutPrefix(path, "dataUse.alternatives"); ok {
		m := rowIndex.FindStringSubmatch(rest)
		n := "0"
		if m != nil {
			n = m[1]
		}
		switch {
		case strings.Contains(rest, ".diseases"):
			return "use." + n + ".diseases"
		case strings.Contains(rest, ".modifiers"):
			return "use." + n + ".modifiers"
		}
		return "use." + n + ".permission"
	}
	switch path {
	case "contact":
		return "contact.email"
	case "custodian":
		return "custodian.name"
	case "lead":
		return "lead.name"
	}
	for _, p := range parts {
		for _, f := range p.fields {
			if f.kind == "rows" {
				if rest, ok := strings.CutPrefix(path, f.path+"["); ok {
					n, column, _ := strings.Cut(rest, "]")
					if column = strings.TrimPrefix(column, "."); column != "" && slices.ContainsFunc(f.columns, func(c field) bool { return c.path == column }) {
						return f.path + "." + n + "." + column
					}
					return f.path
				}
				if strings.HasPrefix(path, f.path+".") {
					return f.path
				}
			}
		}
	}
	path, _, _ = strings.Cut(path, "[")
	return path
}

// anchor is the id of an input in the page.
func anchor(input string) string { return "f-" + strings.ReplaceAll(input, ".", "-") }

// view draws the form with what was typed in it.
func (f *entryForm) view(v url.Values, problems map[string]string) {
	gaps := map[string]directory.Gap{}
	f.Complete = f.Entry.Completeness()
	for _, g := range f.Complete.Gaps {
		in := inputOf(g.Path)
		gaps[in] = g
		f.Gaps = append(f.Gaps, gapView{g, "#" + anchor(in)})
	}
	left := maps.Clone(problems)
	needed := map[string]bool{}
	bare := directory.Entry{Holding: f.Entry.Holding, Types: f.Entry.Types}
	for _, g := range bare.Completeness().Gaps {
		if g.Needed {
			needed[inputOf(g.Path)] = true
		}
	}
	input := func(x field, path string) inputView {
		in := inputView{Path: path, ID: anchor(path), Label: x.label, Help: x.help, Kind: x.kind, Value: v.Get(path), Most: x.most, Problem: problems[path], Needed: needed[path]}
		if g, ok := gaps[path]; ok && !g.Needed {
			in.Gap = g.Why
		}
		delete(left, path)
		if x.list != nil {
			in.Search = len(x.list.Terms) > 20
			for _, t := range x.list.Terms {
				o := optionView{ID: t.ID, Label: t.Label, Words: strings.Join(t.Words, " "), On: slices.Contains(v[path], t.ID)}
				if !strings.EqualFold(t.Lay, t.Label) {
					o.Lay = t.Lay
				}
				if o.On {
					in.Chosen++
				}
				in.Options = append(in.Options, o)
			}
		}
		return in
	}
	for _, p := range parts {
		pv := partView{ID: p.id, Title: p.title, About: p.about}
		for _, x := range p.fields {
			if x.of != nil && !x.of(&f.Entry) {
				continue
			}
			in := input(x, x.path)
			switch x.kind {
			case "rows":
				n := rowsIn(v, x.path)
				for i := range n + emptyRows {
					var row rowView
					for _, c := range x.columns {
						cell := input(c, x.path+"."+strconv.Itoa(i)+"."+c.path)
						if cell.Problem != "" {
							pv.Problems++
							in.Faulty = true
						}
						if c.more {
							row.More = append(row.More, cell)
							row.Open = row.Open || cell.Problem != ""
						} else {
							row.Inputs = append(row.Inputs, cell)
						}
					}
					in.Rows = append(in.Rows, row)
				}
				in.Saved = n
			case "use":
				in.Needed = true
				for i := range max(1, rowsIn(v, x.path)) + 1 {
					in.Uses = append(in.Uses, useOfForm(v, i, input))
				}
			}
			if in.Problem != "" {
				pv.Problems++
			}
			filled := in.Value != "" || in.Chosen > 0 || in.Saved > 0 || len(in.Uses) > 2 || len(in.Uses) > 0 && in.Uses[0].Permission.Value != ""
			if x.more {
				pv.More = append(pv.More, in)
				pv.MoreOpen = pv.MoreOpen || in.Problem != "" || in.Faulty
				if filled {
					pv.MoreFilled++
				}
				continue
			}
			pv.Asked++
			if filled {
				pv.Filled++
			}
			pv.Inputs = append(pv.Inputs, in)
		}
		f.Parts = append(f.Parts, pv)
	}
	f.Problems = len(problems)
	for path, text := range left { // what no input shows is said at the top
		f.Failure = strings.TrimSpace(f.Failure + " " + path + ": " + text + ".")
	}
}

func useOfForm(v url.Values, i int, input func(field, string) inputView) useInput {
	at := "use." + strconv.Itoa(i) + "."
	u := useInput{N: i, ModifiersFieldName: at + "modifiers",
		Permission: input(field{label: "It may be used for", kind: "one", list: vocabulary.DataUsePermission}, at+"permission"),
		Diseases:   input(field{label: "These diseases", kind: "codes", help: "Where research into named diseases is allowed: one a line."}, at+"diseases")}
	u.ModifiersProblem = input(field{}, at+"modifiers").Problem
	for _, t := range vocabulary.DataUseModifier.Terms {
		s := useWords[t.ID]
		words := strings.TrimSuffix(strings.TrimSpace(s.strong+" "+strings.Replace(s.rest, "%s", "…", 1)), ".")
		m := modifierInput{optionView: optionView{ID: t.ID, Label: words, Lay: t.Label, On: slices.Contains(v[at+"modifiers"], t.ID)}}
		if takes := t.Ref("takes"); takes != "" {
			m.Takes = map[string]string{"countries": "countries: GB; IE", "months": "how many months", "date": "YYYY-MM-DD", "text": "which research"}[takes]
			m.Name, m.Value = at+t.ID, v.Get(at+t.ID)
		}
		u.Modifiers = append(u.Modifiers, m)
	}
	return u
}

func (d *Door) entryFormPage(f *entryForm, v url.Values, problems map[string]string, status int) *page {
	f.view(v, problems)
	title := "New entry"
	if !f.New {
		title = "Edit " + f.ID
	}
	return &page{file: "entryedit", title: title, section: "/collections", help: "describe", data: f, status: status}
}

// locals are collections of this node that the caller may describe and nobody has yet; begun is the entry of the chosen one, if somebody has.
func (d *Door) locals(r *request, chosen string) (out []optionView, begun directory.ID, err error) {
	all, err := d.Desk.ListCollections(r.Context(), r.admin())
	if err != nil {
		return nil, "", err
	}
	drafts, err := d.Directory.Drafts(r.Context(), r.admin())
	if err != nil {
		return nil, "", err
	}
	for _, c := range all {
		if !policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.EditEntry, Collection: string(c.ID)}).Allow {
			continue
		}
		if i := slices.IndexFunc(drafts, func(s directory.Stored) bool { return s.Entry.Collection == string(c.ID) }); i >= 0 {
			if string(c.ID) == chosen {
				begun = drafts[i].ID
			}
			continue
		}
		label := string(c.ID)
		if c.Title != "" {
			label = c.Title + " (" + label + ")"
		}
		out = append(out, optionView{ID: string(c.ID), Label: label, On: string(c.ID) == chosen})
	}
	return out, begun, nil
}

func (d *Door) newEntry(r *request) (*page, error) {
	if err := r.writer(); err != nil {
		return nil, err
	}
	chosen := r.URL.Query().Get("collection")
	f := &entryForm{New: true, Entry: directory.Entry{Holding: directory.Elsewhere}}
	_, f.Elsewhere = r.mayWriteSome()
	var begun directory.ID
	var err error
	if f.Locals, begun, err = d.locals(r, chosen); err != nil {
		return nil, err
	}
	if begun != "" {
		return &page{to: "/directory/" + string(begun) + "/edit"}, nil
	}
	if slices.ContainsFunc(f.Locals, func(o optionView) bool { return o.On }) {
		if f.Entry, err = d.prefilled(r, collection.ID(chosen)); err != nil {
			return nil, err
		}
		f.ID = chosen
	}
	return d.entryFormPage(f, valuesOf(&f.Entry), nil, 0), nil
}

// prefilled is what a collection of this node says of itself.
func (d *Door) prefilled(r *request, id collection.ID) (directory.Entry, error) {
	e := directory.Entry{Holding: directory.Here, Collection: string(id), Status: "in-progress"}
	c, err := d.Desk.Collection(r.Context(), r.admin(), id)
	if err != nil {
		return e, err
	}
	e.Title = c.Title
	q := catalogue.NewQuery(catalogue.Studies)
	q.Collection, q.Limit = id, 200
	found, _, err := d.Delivery.SearchStudies(r.Context(), r.delivery(), q)
	if err != nil && !fault.Is(err, fault.Denied) && !fault.Is(err, fault.NotFound) {
		return e, err
	}
	put := func(to *[]string, s string) {
		if s != "" && !slices.Contains(*to, s) {
			*to = append(*to, s)
		}
	}
	for _, s := range found {
		for _, m := range s.Modalities {
			if t, ok := vocabulary.Modality.Get(m); ok {
				put(&e.Modalities, m)
				put(&e.Domains, t.Ref("domain"))
			}
		}
		put(&e.Sexes, map[string]string{"F": "female", "M": "male"}[s.Sex])
	}
	return e, nil
}

// createEntry registers a new entry as a draft.
func (d *Door) createEntry(r *request) (*page, error) {
	if err := r.writer(); err != nil {
		return nil, err
	}
	v, err := r.typed()
	if err != nil {
		return nil, err
	}
	f := &entryForm{New: true, ID: strings.TrimSpace(v.Get("id")), Entry: directory.Entry{Holding: directory.Elsewhere}}
	if c := v.Get("collection"); c != "" {
		f.Entry.Holding, f.Entry.Collection = directory.Here, c
	}
	_, f.Elsewhere = r.mayWriteSome()
	if f.Locals, _, err = d.locals(r, f.Entry.Collection); err != nil {
		return nil, err
	}
	var problems map[string]string
	f.Entry, problems = readEntry(f.Entry, v)
	if f.ID == "" {
		f.ID = string(directory.Propose(f.Entry.Acronym, f.Entry.Title))
	}
	id, err := directory.ParseID(f.ID)
	if err != nil {
		f.IDProblem = reasonOf(err)
	}
	if len(problems) == 0 {
		problems = problemsOf(&f.Entry)
	}
	if f.Entry.Title == "" {
		problems["title"] = "it needs a title"
	}
	if len(problems) > 0 || f.IDProblem != "" {
		return d.entryFormPage(f, v, problems, http.StatusUnprocessableEntity), nil
	}
	if _, err := d.Directory.Save(r.Context(), r.admin(), id, f.Entry, 0, ""); err != nil {
		if fault.Is(err, fault.Conflict) || fault.Is(err, fault.Invalid) {
			f.IDProblem = reasonOf(err)
			return d.entryFormPage(f, v, nil, http.StatusUnprocessableEntity), nil
		}
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/directory/" + string(id) + "/edit"}, nil
}

// problemsOf are what is written but wrong, by input.
func problemsOf(e *directory.Entry) map[string]string {
	out := map[string]string{}
	for _, p := range e.Problems() {
		if in := inputOf(p.Path); out[in] == "" {
			out[in] = p.Text
		}
	}
	return out
}

// draft opens an entry for who may write it.
func (d *Door) draft(r *request) (*entryForm, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := r.entryID()
	if err != nil {
		return nil, err
	}
	s, err := d.Directory.Draft(r.Context(), r.admin(), id)
	if err != nil {
		return nil, err
	}
	return &entryForm{ID: string(id), Entry: s.Stored.Entry, Base: s.Latest, State: s.State.String(), Published: s.Stored.Published, Latest: s.Latest, MayShow: s.MayPublish}, nil
}

func (d *Door) editEntry(r *request) (*page, error) {
	f, err := d.draft(r)
	if err != nil {
		return nil, err
	}
	return d.entryFormPage(f, valuesOf(&f.Entry), nil, 0), nil
}

// saveEntry stores what was typed as a revision, and publishes it if that was asked for. What is wrong comes back with all that was typed.
func (d *Door) saveEntry(r *request) (*page, error) {
	f, err := d.draft(r)
	if err != nil {
		return nil, err
	}
	v, err := r.typed()
	if err != nil {
		return nil, err
	}
	f.Note = strings.TrimSpace(v.Get("note"))
	base, err := strconv.ParseInt(v.Get("base"), 10, 64)
	if err != nil {
		base = 0
	}
	before := f.Entry
	var problems map[string]string
	f.Entry, problems = readEntry(f.Entry, v)
	if len(problems) == 0 {
		problems = problemsOf(&f.Entry)
	}
	if len(problems) > 0 {
		f.Base = base
		return d.entryFormPage(f, v, problems, http.StatusUnprocessableEntity), nil
	}
	id := directory.ID(f.ID)
	rev := f.Latest
	if base != f.Latest || !same(&before, &f.Entry) {
		rev, err = d.Directory.Save(r.Context(), r.admin(), id, f.Entry, base, f.Note)
		if fault.Is(err, fault.Conflict) {
			f.Conflict = f.Latest
			return d.entryFormPage(f, v, nil, http.StatusConflict), nil
		}
		if fault.Is(err, fault.Invalid) {
			f.Failure = reasonOf(err)
			return d.entryFormPage(f, v, nil, http.StatusUnprocessableEntity), nil
		}
		if err != nil {
			return nil, err
		}
	}
	if v.Get("do") != "publish" {
		r.leave(noticeSaved)
		return &page{to: "/directory/" + f.ID + "/edit"}, nil
	}
	return d.show(r, f, rev)
}

func same(a, b *directory.Entry) bool { return len(differences(a, b)) == 0 }

// show publishes a revision, or says what keeps it from being published.
func (d *Door) show(r *request, f *entryForm, rev int64) (*page, error) {
	err := d.Directory.Publish(r.Context(), r.admin(), directory.ID(f.ID), rev)
	if fault.Is(err, fault.Invalid) {
		if f, err = d.draft(r); err != nil {
			return nil, err
		}
		problems := map[string]string{}
		for _, p := range f.Entry.Missing() {
			problems[inputOf(p.Path)] = p.Text
		}
		f.Failure = "It is saved as a draft, and not published yet: what is needed is marked below."
		return d.entryFormPage(f, valuesOf(&f.Entry), problems, http.StatusUnprocessableEntity), nil
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticeShown)
	return &page{to: "/directory/" + f.ID}, nil
}

func (d *Door) publishEntry(r *request) (*page, error) {
	f, err := d.draft(r)
	if err != nil {
		return nil, err
	}
	v, err := r.typed()
	if err != nil {
		return nil, err
	}
	rev, err := strconv.ParseInt(v.Get("revision"), 10, 64)
	if err != nil {
		rev = f.Latest
	}
	return d.show(r, f, rev)
}

func (d *Door) retireEntry(r *request) (*page, error) {
	f, err := d.draft(r)
	if err != nil {
		return nil, err
	}
	if err := d.Directory.Retire(r.Context(), r.admin(), directory.ID(f.ID)); err != nil {
		return nil, err
	}
	r.leave(noticeRetired)
	return &page{to: "/entries"}, nil
}
