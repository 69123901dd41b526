package portal

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
)

// textsOnPage is how many texts a page lists: as many as somebody reads at one go.
const textsOnPage = 100

type textsPage struct {
	review.Survey
	ID       collection.ID
	Title    string
	Shown    []review.Text
	Strange  int // texts with a word that is in no vocabulary
	Plain    bool
	Number   int // of the page, from 1
	Pages    int
	Previous string
	Next     string
}

// texts lists every text that a collection shows, each once, to who may say of one that it identifies.
func (d *Door) texts(r *request) (*page, error) {
	id, c, err := d.texted(r)
	if err != nil {
		return nil, err
	}
	s, err := d.Review.Texts(r.Context(), r.review(), id, false)
	if err != nil {
		return nil, err
	}
	p := textsPage{Survey: s, ID: id, Title: cmp.Or(c.Title, string(id)), Plain: r.URL.Query().Get("all") != ""}
	for p.Strange < len(s.Texts) && !s.Texts[p.Strange].Plain {
		p.Strange++
	}
	list := s.Texts
	if !p.Plain {
		list = list[:p.Strange]
	}
	p.Pages = max(1, (len(list)+textsOnPage-1)/textsOnPage)
	p.Number, _ = strconv.Atoi(r.URL.Query().Get("page"))
	p.Number = min(max(p.Number, 1), p.Pages)
	p.Shown = list[(p.Number-1)*textsOnPage : min(p.Number*textsOnPage, len(list))]
	at := func(n int) string {
		q := "/collections/" + string(id) + "/texts?page=" + strconv.Itoa(n)
		if p.Plain {
			q += "&all=1"
		}
		return q
	}
	if p.Number > 1 {
		p.Previous = at(p.Number - 1)
	}
	if p.Number < p.Pages {
		p.Next = at(p.Number + 1)
	}
	if s.Running {
		r.w.Header().Set("Refresh", "3")
	}
	return &page{file: "texts", title: "Texts of " + p.Title, section: "/collections", help: "held", data: p}, nil
}

func (d *Door) texted(r *request) (collection.ID, collection.Collection, error) {
	if err := r.signedIn(); err != nil {
		return "", collection.Collection{}, err
	}
	id, err := r.collectionID()
	if err != nil {
		return "", collection.Collection{}, err
	}
	c, err := d.Desk.Collection(r.Context(), r.admin(), id)
	return id, c, err
}

// sayOfText gathers the texts anew, or says of one that it identifies.
func (d *Door) sayOfText(r *request) (*page, error) {
	id, _, err := d.texted(r)
	if err != nil {
		return nil, err
	}
	back := "/collections/" + string(id)
	switch r.PostForm.Get("do") {
	case "again":
		if _, err := d.Review.Texts(r.Context(), r.review(), id, true); err != nil {
			return nil, err
		}
		return &page{to: back + "/texts"}, nil
	case "identifies":
		said := custody.Said{Text: strings.TrimSpace(r.PostForm.Get("text")), Name: r.PostForm.Get("name") != ""}
		if _, err := d.Review.Identify(r.Context(), r.review(), id, said, r.PostForm.Get("note")); err != nil {
			return nil, err
		}
		r.leave(noticeIdentifies)
		return &page{to: back + "/rulings"}, nil
	}
	return nil, web.Refuse(http.StatusBadRequest, "look through texts", "the form says neither to gather nor what identifies", "Go back and press one of the buttons.")
}

type saidPage struct {
	ID     collection.ID
	Title  string
	Number ruling.Number
	custody.Said
}

// said shows the text of a standing decision to a steward who asks for it.
func (d *Door) said(r *request) (*page, error) {
	id, c, err := d.texted(r)
	if err != nil {
		return nil, err
	}
	n, err := ruling.ParseNumber(r.PathValue("number"))
	if err != nil {
		return nil, err
	}
	s, err := d.Review.Said(r.Context(), r.review(), id, n)
	if err != nil {
		return nil, err
	}
	return &page{file: "said", title: "Decision " + n.String(), section: "/collections", help: "held", data: saidPage{id, cmp.Or(c.Title, string(id)), n, s}}, nil
}
