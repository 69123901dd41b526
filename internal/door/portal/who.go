package portal

import (
	"net/http"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	peopleflow "github.com/vitrine-imaging/vitrine/internal/flow/people"
)

func (d *Door) registerWho(mux web.Routes) {
	mux.HandleFunc("GET /account/work", d.page(d.work))
	mux.HandleFunc("POST /account/work", d.page(d.saveWork))
	mux.HandleFunc("GET /training", d.page(d.training))
	mux.HandleFunc("GET /training/{page}", d.page(d.lesson))
	mux.HandleFunc("GET /training/exam", d.page(d.exam))
	mux.HandleFunc("POST /training/exam", d.page(d.takeExam))
	mux.HandleFunc("GET /people/due", d.page(d.due))
	mux.HandleFunc("POST /people/due", d.page(d.confirmDue))
}

// workKinds are the kinds of organisations, with what people call them.
var workKinds = [][2]string{{"academic", "University or research institute"}, {"nhs", "NHS, or another public health service"}, {"charity", "Charity"}, {"funder", "Funder of research"}, {"commercial", "Company"},
	{"cro", "Contract research organisation"}, {"government", "Government body"}, {"other", "Other"}}

type workPage struct {
	peopleflow.View
	Form     peopleflow.Stated // as it was written
	Kinds    [][2]string
	Error    string
	Confirms bool
}

func (d *Door) work(r *request) (*page, error) { return d.workWith(r, nil, "") }

func (d *Door) workWith(r *request, written *peopleflow.Stated, wrong string) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	v, err := d.Who.Own(r.Context(), r.admin())
	if err != nil {
		return nil, err
	}
	p := workPage{View: v, Form: v.Stated, Kinds: workKinds, Error: wrong, Confirms: d.Who.Confirms(r.admin())}
	out := &page{file: "work", title: "Where you work", section: "/account", help: "signin"}
	if written != nil {
		p.Form, out.status = *written, http.StatusUnprocessableEntity
	}
	out.data = p
	return out, nil
}

func (d *Door) saveWork(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	s := peopleflow.Stated{ORCID: r.PostFormValue("orcid"), Organisation: r.PostFormValue("organisation"), ROR: r.PostFormValue("ror"), Kind: r.PostFormValue("kind"), Country: r.PostFormValue("country")}
	switch _, err := d.Who.State(r.Context(), r.admin(), s); {
	case fault.Is(err, fault.Invalid):
		pr, _ := web.ProblemOf(err)
		return d.workWith(r, &s, pr.Detail)
	case err != nil:
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/account/work"}, nil
}

type trainingPage struct {
	Lessons []peopleflow.Lesson
	Own     *peopleflow.View // nil: who looks has no account
}

func (d *Door) training(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	p := trainingPage{Lessons: peopleflow.Lessons()}
	switch v, err := d.Who.Own(r.Context(), r.admin()); {
	case err == nil:
		p.Own = &v
	case !fault.Is(err, fault.Denied):
		return nil, err
	}
	return &page{file: "training", title: "Using images of patients", section: "/account", help: "signin", data: p}, nil
}

type lessonPage struct {
	peopleflow.Lesson
	N, Of          int
	Before, Behind *peopleflow.Lesson
}

func (d *Door) lesson(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	all := peopleflow.Lessons()
	for i, l := range all {
		if l.ID != r.PathValue("page") {
			continue
		}
		p := lessonPage{Lesson: l, N: i + 1, Of: len(all)}
		if i > 0 {
			p.Before = &all[i-1]
		}
		if i+1 < len(all) {
			p.Behind = &all[i+1]
		}
		return &page{file: "lesson", title: l.Title, section: "/account", help: "signin", data: p}, nil
	}
	return nil, fault.New(fault.NotFound, "show course", "", "the course has no such page")
}

type examPage struct {
	peopleflow.Exam
	Result *peopleflow.Result
}

func (d *Door) exam(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	e, err := d.Who.Exam(r.Context(), r.admin())
	return &page{file: "exam", title: "Ten questions", section: "/account", help: "signin", data: examPage{Exam: e}}, err
}

// takeExam begins an examination, or takes its answers.
func (d *Door) takeExam(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	if r.PostFormValue("do") == "begin" {
		if _, err := d.Who.BeginExam(r.Context(), r.admin()); err != nil {
			return nil, err
		}
		return &page{to: "/training/exam"}, nil
	}
	e, err := d.Who.Exam(r.Context(), r.admin())
	if err != nil {
		return nil, err
	}
	answers := map[int]string{}
	for _, q := range e.Questions {
		answers[q.Number] = r.PostFormValue("q" + strconv.Itoa(q.Number))
	}
	result, err := d.Who.FinishExam(r.Context(), r.admin(), answers)
	return &page{file: "exam", title: "Ten questions", section: "/account", help: "signin", data: examPage{Result: &result}}, err
}

type duePage struct {
	People []peopleflow.View
	Me     string
}

func (d *Door) due(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	all, err := d.Who.Due(r.Context(), r.admin())
	return &page{file: "due", title: "Whom to confirm", section: "/people", help: "signin", data: duePage{all, r.caller.Actor}}, err
}

func (d *Door) confirmDue(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	if _, err := d.Who.Confirm(r.Context(), r.admin(), r.PostFormValue("account"), peopleflow.Seen{Organisation: r.PostFormValue("organisation")}); err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/people/due"}, nil
}
