package portal

import (
	"net/http"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
)

// heldDocument is a document beside its text, one page at a time.
type heldDocument struct {
	*review.Document
	Page             int // that is shown, from 1; 0: it has none
	Picture          string
	Prev, Next       string
	First, Last      string
	Shown            []review.Part // of this page, or all where it has no pages
	Beside           []review.Part // of no page
	Marked           []pageLink    // pages on which something known of the subject is
	MarkedElsewhere  int           // of these, others than the one shown
	PassagesOfOthers bool          // some page has text
}

type pageLink struct {
	Page int
	Link string
	Here bool
}

// markedShown bounds the links to pages.
const markedShown = 40

// documentOf reads the document of an item, if it is one.
func (d *Door) documentOf(r *request, item review.Item) (*heldDocument, error) {
	doc, err := d.Review.Document(r.Context(), r.review(), item.ID)
	if err != nil || doc == nil {
		return nil, err
	}
	h := &heldDocument{Document: doc}
	here := "/held/" + item.ID.String()
	at := func(n int) string { return here + "?page=" + strconv.Itoa(n) + "#document" }
	if doc.Pages > 0 {
		h.Page, _ = strconv.Atoi(r.URL.Query().Get("page"))
		h.Page = min(max(h.Page, 1), doc.Pages)
		h.Picture = here + "/page?page=" + strconv.Itoa(h.Page)
		if h.Page > 1 {
			h.Prev, h.First = at(h.Page-1), at(1)
		}
		if h.Page < doc.Pages {
			h.Next, h.Last = at(h.Page+1), at(doc.Pages)
		}
	}
	for _, p := range doc.Parts {
		switch {
		case p.Page == 0 && doc.Pages > 0:
			h.Beside = append(h.Beside, p)
		case p.Page == h.Page:
			h.Shown = append(h.Shown, p)
		}
	}
	for _, n := range doc.On {
		if n != h.Page {
			h.MarkedElsewhere++
		}
		if len(h.Marked) < markedShown {
			h.Marked = append(h.Marked, pageLink{n, at(n), n == h.Page})
		}
	}
	return h, nil
}

// heldDocumentPage is the picture of one page for the steward's eyes. It is kept by nobody on the way, and goes to this node's own page alone.
func (d *Door) heldDocumentPage(w http.ResponseWriter, q *http.Request) {
	r := &request{Request: q, caller: web.CallerOf(q), w: w}
	err := r.signedIn()
	id, ierr := r.heldID()
	if err == nil {
		err = ierr
	}
	n, nerr := strconv.Atoi(q.URL.Query().Get("page"))
	if err == nil && nerr != nil {
		err = fault.New(fault.Invalid, "review what is held", "", "the page is not a number")
	}
	var b []byte
	if err == nil {
		b, err = d.Review.Page(q.Context(), r.review(), id, n, 1600)
	}
	if err != nil {
		web.Fail(w, q, err)
		return
	}
	forSteward(w.Header())
	_, _ = w.Write(b) // whoever does not read it has gone
}

// forSteward are the headers of a picture of what is held.
func forSteward(h http.Header) {
	h.Set("Content-Type", "image/png") // letters stay as they are
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Disposition", "inline")
}
