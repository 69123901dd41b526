package portal

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// usePage is whether what a visitor wants to do fits what a collection may be used for. The form is a question, not a request: nothing of it is kept.
type usePage struct {
	ID       directory.ID
	Title    string
	Address  string
	Form     map[string]string // what was filled in
	Kinds    []choice
	Work     []choice // yes to what is done
	Handling []choice // yes to what happens with the data
	Promises []choice // yes to what is promised
	Claims   []choice
	Problem  string
	Asked    bool
	Answer   datause.Answer
	May      []mayView
	Ask      string // where access is asked for; empty: nowhere
}

// choice is one thing to tick.
type choice struct {
	Name, Label, Note string
	On                bool
}

var useKinds = []choice{
	{Name: string(datause.Disease), Label: "Research into particular diseases", Note: "name them below"},
	{Name: string(datause.Health), Label: "Research into health and disease", Note: "of any kind, methods that serve it among them"},
	{Name: string(datause.General), Label: "Any research", Note: "not only into health"},
	{Name: string(datause.Ancestry), Label: "Research into where populations come from"},
	{Name: string(datause.Care), Label: "The care of patients"},
}

var (
	useWork = []choice{
		{Name: "training", Label: "Train or test artificial intelligence with it"},
		{Name: "generative", Label: "Train models that make images"},
		{Name: "methods", Label: "Develop a method or a program, without a question about health"},
		{Name: "genetic", Label: "Study genes"},
		{Name: "animals", Label: "Work with animals besides"},
		{Name: "commercial", Label: "Sell what comes of it, or serve what is sold"},
	}
	useHandling = []choice{
		{Name: "download", Label: "Take a copy away", Note: "rather than work where the data are"},
		{Name: "relink", Label: "Join it with other data about people"},
		{Name: "onward", Label: "Give it to others"},
		{Name: "reidentify", Label: "Find out who people are"},
	}
	usePromises = []choice{
		{Name: "publish", Label: "You will publish what you find"},
		{Name: "give-back", Label: "You will give back what you make from it", Note: "contours, labels, measures"},
	}
	useClaims = []choice{
		{Name: "ethics", Label: "An ethics committee has agreed"},
		{Name: "collaboration", Label: "The people who made the data work with you"},
		{Name: "approved", Label: "You, your institution and your project were approved for these data"},
	}
)

// mayUse shows the form, and answers what was filled in.
func (d *Door) mayUse(r *request) (*page, error) {
	id, v, err := d.publishedEntry(r)
	if err != nil {
		return nil, err
	}
	e := &v.Stored.Entry
	q := r.URL.Query()
	p := usePage{ID: id, Title: e.Title, Address: "/directory/" + string(id), Form: map[string]string{}, Asked: len(q) > 0}
	for _, name := range []string{"for", "disease", "organisation", "country", "months"} {
		p.Form[name] = q.Get(name)
	}
	ticked := func(all []choice) (out []choice) {
		for _, c := range all {
			c.On = q.Get(c.Name) == "yes"
			out = append(out, c)
		}
		return out
	}
	p.Work, p.Handling, p.Promises, p.Claims = ticked(useWork), ticked(useHandling), ticked(usePromises), ticked(useClaims)
	for _, k := range useKinds {
		k.On = k.Name == p.Form["for"]
		p.Kinds = append(p.Kinds, k)
	}
	p.May, _ = useOf(&e.DataUse)
	access := accessOf(e, p.Address)
	if err := d.measure(r, e, &access); err != nil {
		return nil, err
	}
	if e.Access.Service != "open" {
		p.Ask = access.Ask
	}
	out := &page{file: "entryuse", title: "May you use " + e.Title, section: "/", help: "understand"}
	if p.Asked {
		switch purpose, err := directoryflow.ReadPurpose(q); {
		case err == nil:
			p.Answer = e.DataUse.Match(purpose)
			if strings.HasSuffix(p.Ask, "/request") { // what was said here need not be said again
				form := url.Values{}
				for name, v := range purposeOf(q) {
					form.Set(name, v)
				}
				p.Ask += "?" + form.Encode()
			}
		case fault.Is(err, fault.Invalid):
			problem, _ := web.ProblemOf(err)
			p.Problem, p.Asked, out.status = problem.Detail, false, http.StatusUnprocessableEntity
		default:
			return nil, err
		}
	}
	out.data = p
	return out, nil
}
