package portal

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

type requestsPage struct {
	Sees     bool // the reader sees what others ask for
	ToDecide []access.Heading
	Waiting  int
	MoreTo   string
	Mine     []access.Heading
	MoreMine string
	Uses     []access.EntitlementView
	Reminds  bool
	Mail     string // the reader's address for reminders; empty: none are wanted
	MailSays string
	Owed     int // answers to recalls that the reader owes
	Error    string
}

const pageOfRequests = 50

func (d *Door) requests(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	return d.requestsWith(r, nil)
}

func (d *Door) requestsWith(r *request, failure error) (*page, error) {
	q := r.URL.Query()
	at := func(name string) int {
		n, err := strconv.Atoi(q.Get(name))
		if err != nil || n < 0 {
			return 0
		}
		return n
	}
	p := requestsPage{Reminds: d.Access.Reminds()}
	var err error
	if d.Recalls != nil {
		if p.Owed, err = d.Recalls.Owed(r.Context(), r.admin()); err != nil {
			return nil, err
		}
	}
	if p.Sees, err = d.Access.Sees(r.Context(), r.admin()); err != nil {
		return nil, err
	}
	if p.ToDecide, err = d.Access.ToDecide(r.Context(), r.admin(), pageOfRequests, at("decide")); err != nil {
		return nil, err
	}
	if len(p.ToDecide) == pageOfRequests {
		p.MoreTo = "/requests?decide=" + strconv.Itoa(at("decide")+pageOfRequests)
	}
	for _, h := range p.ToDecide {
		if h.Turn == "custodian" {
			p.Waiting++
		}
	}
	if p.Mine, err = d.Access.Mine(r.Context(), r.admin(), pageOfRequests, at("mine")); err != nil {
		return nil, err
	}
	if len(p.Mine) >= pageOfRequests {
		p.MoreMine = "/requests?mine=" + strconv.Itoa(at("mine")+pageOfRequests)
	}
	if p.Uses, err = d.Access.MyEntitlements(r.Context(), r.admin()); err != nil {
		return nil, err
	}
	if p.Reminds {
		n, to, err := d.Access.Reminder(r.Context(), r.admin())
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
		if p.Mail = to; n.Mail != "" {
			p.MailSays = map[string]string{"queued": "A mail is on its way", "retried": "The mail server did not take the last mail; it is tried again", "sent": "The mail server took the last mail", "failed": "The last mail could not be sent"}[n.Mail] + ", " + date(n.Mailed) + "."
		}
	}
	out := &page{file: "requests", title: "Requests", section: "/requests", help: "requests"}
	if failure != nil {
		pr, _ := web.ProblemOf(failure)
		p.Error, out.status = pr.Detail, http.StatusUnprocessableEntity
	}
	out.data = p
	return out, nil
}

// remind keeps or forgets where the reader is reminded.
func (d *Door) remind(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	to := strings.TrimSpace(r.PostFormValue("mail"))
	if r.PostFormValue("do") == "end" {
		to = ""
	}
	err := d.Access.Remind(r.Context(), r.admin(), to)
	if correctable(err) {
		return d.requestsWith(r, err)
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/requests"}, nil
}

type registerPage struct {
	Uses       []access.Use
	Collection string // of which alone; empty: of every one
	Title      string
	Next       string
	Empty      bool
}

const pageOfUses = 50

// register is the public register of what data are used for.
func (d *Door) register(r *request) (*page, error) {
	var c collection.ID
	if v := r.URL.Query().Get("collection"); v != "" {
		var err error
		if c, err = collection.ParseID(v); err != nil {
			return nil, fault.New(fault.NotFound, "show register", "", "there is no such collection")
		}
	}
	all, err := d.Access.Register(r.Context(), r.admin(), c, pageOfUses+1, r.offset())
	if err != nil {
		return nil, err
	}
	p := registerPage{Uses: all, Collection: string(c), Empty: len(all) == 0}
	if len(all) > pageOfUses {
		p.Uses, p.Next = all[:pageOfUses], r.withOffset(r.offset()+pageOfUses)
	}
	if len(all) > 0 {
		p.Title = all[0].Title
	} else {
		p.Title = string(c)
	}
	return &page{file: "register", title: "What data are used for", about: "The public register of data uses: who uses which images, for what, and until when.", section: "/", help: "requests", data: p}, nil
}

// lastDay is the last day on which something holds that ends at a moment.
func lastDay(end time.Time) time.Time { return end.Add(-time.Second) }
