package portal

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/link"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

func (d *Door) registerLinks(mux web.Routes) {
	mux.HandleFunc("GET "+link.Path, d.page(d.send))
	mux.HandleFunc("GET /collections/{collection}/links", d.page(d.links))
	mux.HandleFunc("POST /collections/{collection}/links", d.page(d.changeLinks))
}

// send is where somebody outside sends images from. It is the same for everybody: what the link is, only the browser knows, which asks the door for uploads.
func (d *Door) send(*request) (*page, error) {
	return &page{file: "send", title: "Send images", help: "deposit", bare: true}, nil
}

type linksPage struct {
	ID         collection.ID
	Title      string
	Links      []link.Link
	Mails      bool       // this node sends mails
	Made       *link.Link // a moment ago
	Form       url.Values // of a link that could not be made
	Error      string
	Days       []int
	DaysChosen int
}

func (d *Door) links(r *request) (*page, error) { return d.linksWith(r, linksPage{}) }

func (d *Door) linksWith(r *request, p linksPage) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := r.collectionID()
	if err != nil {
		return nil, err
	}
	c, err := d.Desk.Collection(r.Context(), r.admin(), id)
	if err != nil {
		return nil, err
	}
	if p.Links, err = d.Links.List(r.Context(), r.admin(), id); err != nil {
		return nil, err
	}
	p.ID, p.Title, p.Mails = id, cmp.Or(c.Title, string(id)), d.Links.Mail != nil
	p.Days, p.DaysChosen = []int{1, 7, 14, 30, 60, 90}, int(link.DefaultFor/(24*time.Hour))
	if n, err := strconv.Atoi(p.Form.Get("days")); err == nil {
		p.DaysChosen = n
	}
	out := &page{file: "links", title: "Links into " + p.Title, section: "/collections", help: "outside", data: p}
	if p.Error != "" {
		out.status = http.StatusUnprocessableEntity
	}
	return out, nil
}

// changeLinks makes a link, or ends one.
func (d *Door) changeLinks(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := r.collectionID()
	if err != nil {
		return nil, err
	}
	if r.PostForm.Get("do") == "end" {
		if err := d.Links.Revoke(r.Context(), r.admin(), id, r.PostForm.Get("link")); err != nil {
			return nil, err
		}
		r.leave(noticeLinkEnded)
		return &page{to: "/collections/" + string(id) + "/links"}, nil
	}
	n := link.NewLink{Label: r.PostForm.Get("label"), For: strings.TrimSpace(r.PostForm.Get("for"))}
	n.Mail = r.PostForm.Get("mail") != "" && n.For != ""
	var made link.Link
	var w link.Wish
	var gigabytes int64
	for field, to := range map[string]*int64{"days": &n.Days, "gb": &gigabytes, "files": &n.Files} {
		if v := strings.TrimSpace(r.PostForm.Get(field)); v != "" && err == nil {
			if *to, err = strconv.ParseInt(v, 10, 64); err != nil || *to < 1 || *to > link.MaxFiles {
				err = fault.New(fault.Invalid, "make link", "", "days, gigabytes and files are whole numbers from one to a million")
			}
		}
	}
	n.Bytes = gigabytes * 1e9
	if err == nil {
		w, err = n.Wish()
	}
	if err == nil {
		made, err = d.Links.Make(r.Context(), r.admin(), origin(r.Request), id, w)
	}
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.Conflict) {
		pr, _ := web.ProblemOf(err)
		return d.linksWith(r, linksPage{Form: r.PostForm, Error: pr.Detail})
	}
	if err != nil {
		return nil, err
	}
	return d.linksWith(r, linksPage{Made: &made})
}

// mayInvite reports whether the caller makes links into a collection.
func (r *request) mayInvite(id collection.ID) bool { return r.may(policy.ManageLinks, id) }
