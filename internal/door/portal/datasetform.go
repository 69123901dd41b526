package portal

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

type datasetFormPage struct {
	Action, Crumb, CrumbName string
	New                      bool
	ID                       string
	Fixed                    bool // its parts stay: there is a version
	Form                     map[string]string
	Sexes                    map[string]bool
	Error                    string
}

// datasetFields are those of the form that are written.
var datasetFields = []string{"id", "title", "abstract", "description", "keywords", "modalities", "since", "until", "age-min", "age-max", "diagnoses", "stages", "train", "validation", "test", "creators", "license", "license-url", "spdx"}

func (d *Door) newDataset(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	c, err := d.makesOf(r)
	if err != nil {
		return nil, err
	}
	return &page{file: "datasetform", title: "New dataset", section: "/collections", help: "publish", data: formOfNew(c)}, nil
}

func formOfNew(c string) *datasetFormPage {
	return &datasetFormPage{Action: "/collections/" + c + "/dataset", Crumb: "/collections/" + c, CrumbName: c, New: true, Form: map[string]string{}, Sexes: map[string]bool{}}
}

// makesOf is the collection of the path, of which the reader makes releases. To everybody else it is not there.
func (d *Door) makesOf(r *request) (string, error) {
	c, err := collection.ParseID(r.PathValue("collection"))
	if err == nil && r.makesReleases(string(c)) {
		_, err = d.Desk.Collection(r.Context(), r.admin(), c)
		return string(c), err
	}
	return "", fault.New(fault.NotFound, "create dataset", "", "there is no such collection of which you make releases")
}

func (d *Door) createDataset(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	c, err := d.makesOf(r)
	if err != nil {
		return nil, err
	}
	a := release.About{}
	err = aboutOf(r, &a)
	var v release.DatasetView
	if err == nil {
		v, err = d.Releases.Create(r.Context(), r.admin(), collection.ID(c), strings.TrimSpace(r.PostFormValue("id")), a)
	}
	if correctableHere(err) {
		return againForm(r, "New dataset", formOfNew(c), err), nil
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/datasets/" + v.ID}, nil
}

// againForm draws a form as it was sent, with what is wrong with it.
func againForm(r *request, title string, p *datasetFormPage, failure error) *page {
	pr, _ := web.ProblemOf(failure)
	p.Error = pr.Detail
	for _, k := range datasetFields {
		p.Form[k] = r.PostFormValue(k)
	}
	p.Sexes = map[string]bool{}
	for _, s := range r.PostForm["sex"] {
		p.Sexes[s] = true
	}
	status := http.StatusUnprocessableEntity
	if fault.Is(failure, fault.Conflict) {
		status = http.StatusConflict
	}
	return &page{file: "datasetform", title: title, section: "/collections", help: "publish", data: p, status: status}
}

func (d *Door) editDataset(r *request) (*page, error) {
	p, title, _, err := d.formOf(r)
	if err != nil {
		return nil, err
	}
	return &page{file: "datasetform", title: title, section: "/collections", help: "publish", data: p}, nil
}

// formOf is the form of a dataset that there is, for who makes its releases.
func (d *Door) formOf(r *request) (*datasetFormPage, string, *release.DatasetView, error) {
	if err := r.signedIn(); err != nil {
		return nil, "", nil, err
	}
	v, err := d.Releases.Dataset(r.Context(), r.admin(), r.PathValue("dataset"))
	if err == nil && !r.makesReleases(v.Collection) {
		err = fault.New(fault.NotFound, "change dataset", "", "there is no such dataset that you may change")
	}
	if err != nil {
		return nil, "", nil, err
	}
	a := &v.About
	p := &datasetFormPage{Action: "/datasets/" + v.ID + "/edit", Crumb: "/datasets/" + v.ID, CrumbName: v.ID, ID: v.ID, Fixed: len(v.Releases) > 0, Sexes: map[string]bool{}}
	p.Form = map[string]string{"title": a.Title, "abstract": a.Abstract, "description": a.Description, "keywords": strings.Join(a.Keywords, ", "), "modalities": strings.Join(a.Cohort.Modalities, ", "),
		"diagnoses": strings.Join(a.Cohort.Diagnoses, "; "), "stages": strings.Join(a.Cohort.Stages, ", "), "license": a.License.Name, "license-url": a.License.URL, "spdx": a.License.SPDX}
	for _, s := range a.Cohort.Sexes {
		p.Sexes[s] = true
	}
	for k, n := range map[string]int{"train": a.Splits.Train, "validation": a.Splits.Validation, "test": a.Splits.Test} {
		if a.Splits != (release.Splits{}) {
			p.Form[k] = strconv.Itoa(n)
		}
	}
	for k, n := range map[string]*int{"age-min": a.Cohort.AgeMin, "age-max": a.Cohort.AgeMax} {
		if n != nil {
			p.Form[k] = strconv.Itoa(*n)
		}
	}
	from, to, _ := strings.Cut(a.Cohort.Studies["StudyDate"], "-")
	for k, s := range map[string]string{"since": from, "until": to} {
		if t := dicomDate(s); !t.IsZero() {
			p.Form[k] = t.Format(time.DateOnly)
		}
	}
	var who []string
	for _, c := range a.Creators {
		switch {
		case c.Family != "" && c.ORCID != "":
			who = append(who, c.Family+", "+c.Given+", "+c.ORCID)
		case c.Family != "":
			who = append(who, c.Family+", "+c.Given)
		default:
			who = append(who, c.Name)
		}
	}
	p.Form["creators"] = strings.Join(who, "\n")
	return p, a.Title, &v, nil
}

func (d *Door) changeDataset(r *request) (*page, error) {
	p, title, v, err := d.formOf(r)
	if err != nil {
		return nil, err
	}
	a := v.About // what the form does not have stays
	if p.Fixed {
		for k, n := range map[string]int{"train": a.Splits.Train, "validation": a.Splits.Validation, "test": a.Splits.Test} {
			r.PostForm.Set(k, strconv.Itoa(n))
		}
	}
	if err = aboutOf(r, &a); err == nil {
		_, err = d.Releases.Change(r.Context(), r.admin(), v.ID, a)
	}
	if correctableHere(err) {
		return againForm(r, title, p, err), nil
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/datasets/" + v.ID}, nil
}

// aboutOf reads the form into what is said of a dataset.
func aboutOf(r *request, a *release.About) error {
	bad := func(why string) error { return fault.New(fault.Invalid, "describe dataset", "", why) }
	f := r.PostForm
	text := func(k string) string { return strings.TrimSpace(strings.ReplaceAll(f.Get(k), "\r\n", "\n")) }
	several := func(k, by string) (all []string) {
		for _, s := range strings.FieldsFunc(text(k), func(c rune) bool { return strings.ContainsRune(by, c) }) {
			if s = strings.TrimSpace(s); s != "" {
				all = append(all, s)
			}
		}
		return all
	}
	number := func(k string) (*int, error) {
		if text(k) == "" {
			return nil, nil
		}
		n, err := strconv.Atoi(text(k))
		if err != nil || n < 0 || n > 150 {
			return nil, bad("a share or an age is no number")
		}
		return &n, nil
	}
	a.Title, a.Abstract, a.Description, a.Keywords = text("title"), text("abstract"), text("description"), several("keywords", ",;\n")
	a.License = release.License{Name: text("license"), URL: text("license-url"), SPDX: text("spdx")}
	c := &a.Cohort
	c.Modalities = several("modalities", ",; \n")
	for i, m := range c.Modalities {
		c.Modalities[i] = strings.ToUpper(m)
	}
	c.Diagnoses, c.Stages, c.Sexes = several("diagnoses", ";\n"), several("stages", ",;\n"), f["sex"]
	var err error
	if c.AgeMin, err = number("age-min"); err != nil {
		return err
	}
	if c.AgeMax, err = number("age-max"); err != nil {
		return err
	}
	day := func(k string) (string, error) {
		if text(k) == "" {
			return "", nil
		}
		t, err := dayOf(text(k), "a day of studies")
		return t.Format("20060102"), err
	}
	from, err := day("since")
	if err != nil {
		return err
	}
	to, err := day("until")
	if err != nil {
		return err
	}
	studies := map[string]string{}
	for k, v := range c.Studies {
		if k != "StudyDate" {
			studies[k] = v
		}
	}
	if from != "" || to != "" {
		studies["StudyDate"] = from + "-" + to
	}
	if c.Studies = studies; len(studies) == 0 {
		c.Studies = nil
	}
	a.Splits = release.Splits{}
	for k, to := range map[string]*int{"train": &a.Splits.Train, "validation": &a.Splits.Validation, "test": &a.Splits.Test} {
		n, err := number(k)
		if err != nil {
			return err
		}
		if n != nil {
			*to = *n
		}
	}
	was := a.Creators
	a.Creators = nil
	for _, line := range several("creators", "\n") {
		if x, ok := creatorOf(line); ok {
			for _, old := range was { // affiliation and roles, which the form has not, stay
				if old.Name == x.Name && old.Family == x.Family && old.Given == x.Given {
					x.ROR, x.Affiliation, x.Roles = old.ROR, old.Affiliation, old.Roles
				}
			}
			a.Creators = append(a.Creators, x)
		}
	}
	return nil
}

// creatorOf reads a line: an organisation, or a person as "family, given" with an ORCID iD behind.
func creatorOf(line string) (release.Creator, bool) {
	p := strings.Split(line, ",")
	for i := range p {
		p[i] = strings.TrimSpace(p[i])
	}
	switch {
	case len(p) == 1:
		return release.Creator{Name: p[0]}, p[0] != ""
	case len(p) == 2:
		return release.Creator{Family: p[0], Given: p[1]}, p[0] != ""
	case len(p) == 3 && len(p[2]) >= 19:
		return release.Creator{Family: p[0], Given: p[1], ORCID: p[2]}, p[0] != ""
	}
	return release.Creator{Name: line}, true
}
