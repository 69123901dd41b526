package portal

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/ask"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/question"
)

func (d *Door) registerAsk(mux web.Routes) {
	mux.HandleFunc("GET /ask", d.page(d.ask))
	mux.HandleFunc("POST /ask", d.page(d.takeQuestion))
	mux.HandleFunc("GET /questions", d.page(d.questions))
	mux.HandleFunc("GET /questions/link", d.page(d.questionByLink))
	mux.HandleFunc("POST /questions/link", d.page(d.changeByLink))
	mux.HandleFunc("GET /questions/{question}", d.page(d.question))
	mux.HandleFunc("POST /questions/{question}", d.page(d.changeQuestion))
}

// askAddress is where a question about this page is asked. It carries the page's path, and of its query the collection alone: a search, or the secret of a link,
// goes nowhere.
func askAddress(r *http.Request) string {
	for _, own := range []string{"/ask", "/questions", "/signin"} {
		if r.URL.Path == own || strings.HasPrefix(r.URL.Path, own+"/") {
			return "/ask"
		}
	}
	about := r.URL.EscapedPath()
	if id, err := collection.ParseID(r.URL.Query().Get("collection")); err == nil {
		about += "?collection=" + string(id)
	}
	return "/ask?about=" + url.QueryEscape(about)
}

// withQuestions adds the way to questions to the navigation of who has signed in, with how many wait for them.
func (d *Door) withQuestions(r *request, nav []entry, here string) []entry {
	if d.Ask == nil || r.caller.Anonymous() {
		return nav
	}
	e := entry{Name: "Questions", Path: "/questions", Here: here == "/questions"}
	var err error
	if e.Waiting, err = d.Ask.Waiting(r.Context(), r.admin()); err != nil {
		d.Log.Error("waiting questions could not be counted", "error", err)
	}
	return append(nav, e)
}

type askPage struct {
	About   string
	Ward    ask.Ward
	Subject string
	Text    string
	Contact string
	Visitor bool
	Error   string
	MaxText int
}

func (d *Door) ask(r *request) (*page, error) {
	return d.askWith(r, askPage{About: r.URL.Query().Get("about")}, nil)
}

// askWith draws the form, with what was written and what is wrong with it.
func (d *Door) askWith(r *request, p askPage, failure error) (*page, error) {
	if !local(p.About) {
		p.About = ""
	}
	var err error
	if p.Ward, err = d.Ask.Where(r.Context(), r.admin(), p.About); err != nil {
		return nil, err
	}
	p.Visitor, p.MaxText = r.caller.Anonymous(), ask.MaxText
	out := &page{file: "ask", title: "Ask a question", section: "/questions", help: "ask"}
	if failure != nil {
		pr, _ := web.ProblemOf(failure)
		p.Error, out.status = pr.Detail, http.StatusUnprocessableEntity
		if fault.Is(failure, fault.Denied) {
			out.status = http.StatusTooManyRequests
		}
	} else if p.Subject == "" {
		p.Subject = subjectOf(p.About, p.Ward)
	}
	out.data = p
	return out, nil
}

// subjectOf proposes the line of subject of a question about a page.
func subjectOf(about string, w ask.Ward) string {
	path, _, _ := strings.Cut(about, "?")
	part := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(part) >= 2 && part[0] == "deposits":
		return "Deposit " + part[1]
	case len(part) >= 4 && part[2] == "studies":
		return "A study of " + w.Title
	case len(part) >= 4 && part[2] == "subjects":
		return "A subject of " + w.Title
	case w.Collection != "":
		return w.Title
	case part[0] == "held":
		return "What is held"
	}
	return ""
}

type askedPage struct {
	Link string
	Ward ask.Ward
	Days int
}

func (d *Door) takeQuestion(r *request) (*page, error) {
	p := askPage{About: r.PostFormValue("about"), Subject: r.PostFormValue("subject"), Text: r.PostFormValue("text"), Contact: r.PostFormValue("contact")}
	if !local(p.About) {
		p.About = ""
	}
	a, err := d.Ask.Ask(r.Context(), r.admin(), from(r.Request), ask.Draft{About: p.About, Subject: p.Subject, Text: p.Text, Contact: p.Contact})
	switch {
	case fault.Is(err, fault.Invalid) || fault.Is(err, fault.TooLarge) || fault.Is(err, fault.Denied):
		return d.askWith(r, p, err)
	case err != nil:
		return nil, err
	case a.Link != "":
		return &page{file: "asked", title: "Your question was sent", section: "/questions", help: "ask", data: askedPage{d.questionLink(r, a.Link), a.Ward, int(question.LinkFor.Hours() / 24)}}, nil
	}
	r.leave(noticeAsked)
	return &page{to: "/questions/" + a.ID.String()}, nil
}

func (d *Door) questionLink(r *request, secret string) string {
	return origin(r.Request) + "/questions/link?t=" + url.QueryEscape(secret)
}

type questionsPage struct {
	ToAnswer []ask.Heading
	Mine     []ask.Heading
	Answers  bool
	Waiting  int
	MoreTo   string // the addresses of what is further down; empty: nothing
	MoreMine string
}

const pageOfQuestions = 50

func (d *Door) questions(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	q := r.URL.Query()
	at := func(name string) int {
		n, err := strconv.Atoi(q.Get(name))
		if err != nil || n < 0 {
			return 0
		}
		return n
	}
	more := func(name string, all []ask.Heading) ([]ask.Heading, string) {
		if len(all) <= pageOfQuestions {
			return all, ""
		}
		return all[:pageOfQuestions], "/questions?" + name + "=" + strconv.Itoa(at(name)+pageOfQuestions)
	}
	p := questionsPage{Answers: d.Ask.Answers(r.admin())}
	to, err := d.Ask.ToAnswer(r.Context(), r.admin(), pageOfQuestions+1, at("answer"))
	if err != nil {
		return nil, err
	}
	mine, err := d.Ask.Mine(r.Context(), r.admin(), pageOfQuestions+1, at("mine"))
	if err != nil {
		return nil, err
	}
	p.ToAnswer, p.MoreTo = more("answer", to)
	p.Mine, p.MoreMine = more("mine", mine)
	for _, h := range p.ToAnswer {
		if h.Turn == question.ToAnswer {
			p.Waiting++
		}
	}
	return &page{file: "questions", title: "Questions", section: "/questions", help: "ask", data: p}, nil
}

type questionPage struct {
	ask.Thread
	Action  string // where the form of the thread goes
	Token   string // the secret of a private link, where the thread was opened by it
	Text    string // what was written and not taken
	Error   string
	MaxText int
}

func (d *Door) question(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	return d.questionWith(r, "", nil)
}

func (d *Door) questionWith(r *request, text string, failure error) (*page, error) {
	id, err := question.ParseID(r.PathValue("question"))
	if err != nil {
		return nil, err
	}
	t, err := d.Ask.Thread(r.Context(), r.admin(), id)
	if err != nil {
		return nil, err
	}
	return threadPage(questionPage{Thread: t, Action: "/questions/" + id.String(), Text: text}, failure), nil
}

func threadPage(p questionPage, failure error) *page {
	p.MaxText = ask.MaxText
	out := &page{file: "question", title: "A question", section: "/questions", help: "ask"}
	if failure != nil {
		pr, _ := web.ProblemOf(failure)
		p.Error, out.status = pr.Detail, http.StatusUnprocessableEntity
	}
	out.data = p
	return out
}

func (d *Door) questionByLink(r *request) (*page, error) {
	return d.linkWith(r, r.URL.Query().Get("t"), "", nil)
}

func (d *Door) linkWith(r *request, token, text string, failure error) (*page, error) {
	t, err := d.Ask.ByLink(r.Context(), token)
	if err != nil {
		return nil, err
	}
	return threadPage(questionPage{Thread: t, Action: "/questions/link", Token: token, Text: text}, failure), nil
}

func (d *Door) changeQuestion(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := question.ParseID(r.PathValue("question"))
	if err != nil {
		return nil, err
	}
	to := "/questions/" + id.String()
	switch r.PostFormValue("do") {
	case "reply":
		if err = d.Ask.Reply(r.Context(), r.admin(), from(r.Request), id, r.PostFormValue("text")); correctable(err) {
			return d.questionWith(r, r.PostFormValue("text"), err)
		}
	case "close":
		err = d.Ask.Close(r.Context(), r.admin(), id, true)
	case "reopen":
		err = d.Ask.Close(r.Context(), r.admin(), id, false)
	case "end":
		err = d.Ask.EndLink(r.Context(), r.admin(), id)
	case "erase":
		err, to = d.Ask.Erase(r.Context(), r.admin(), id), "/questions"
	default:
		err = fault.New(fault.Invalid, "change question", "", "the form does not say what to do")
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: to}, nil
}

// correctable reports a failure that whoever wrote can mend in the form.
func correctable(err error) bool {
	return fault.Is(err, fault.Invalid) || fault.Is(err, fault.TooLarge) || fault.Is(err, fault.Denied)
}

func (d *Door) changeByLink(r *request) (*page, error) {
	token := r.PostFormValue("t")
	var err error
	switch r.PostFormValue("do") {
	case "reply":
		if err = d.Ask.ReplyByLink(r.Context(), token, from(r.Request), r.PostFormValue("text")); correctable(err) {
			return d.linkWith(r, token, r.PostFormValue("text"), err)
		}
	case "close":
		err = d.Ask.CloseByLink(r.Context(), token, true)
	case "reopen":
		err = d.Ask.CloseByLink(r.Context(), token, false)
	case "end":
		if err = d.Ask.EndByLink(r.Context(), token); err == nil {
			r.leave(noticeLinkEnded)
			return &page{to: "/"}, nil
		}
	default:
		err = fault.New(fault.Invalid, "change question", "", "the form does not say what to do")
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/questions/link?t=" + url.QueryEscape(token)}, nil
}
