package portal

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/recall"
	record "github.com/vitrine-imaging/vitrine/internal/record/recall"
)

func (d *Door) registerRecalls(mux web.Routes) {
	mux.HandleFunc("GET /recalls", d.page(d.recalls))
	mux.HandleFunc("GET /recalls/{recall}", d.page(d.recall))
	mux.HandleFunc("POST /recalls/{recall}", d.longPage(d.actOnRecall))
	mux.HandleFunc("GET /recalls/{recall}/objects", d.recalledObjects)
	mux.HandleFunc("GET /recalls/{recall}/attestation", d.recallAttestation)
}

type recallsPage struct {
	Sees   bool // the reader sees recalls of others
	Theirs []recall.View
	Next   string
	Mine   []recall.View
}

const pageOfRecalls = 50

func (d *Door) recalls(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	p := recallsPage{Sees: d.Recalls.Sees(r.Context(), r.admin())}
	var err error
	if p.Theirs, err = d.Recalls.List(r.Context(), r.admin(), pageOfRecalls+1, r.offset()); err != nil {
		return nil, err
	}
	if len(p.Theirs) > pageOfRecalls {
		p.Theirs, p.Next = p.Theirs[:pageOfRecalls], r.withOffset(r.offset()+pageOfRecalls)
	}
	if p.Mine, err = d.Recalls.Mine(r.Context(), r.admin()); err != nil {
		return nil, err
	}
	return &page{file: "recalls", title: "Recalls", section: "/requests", data: p}, nil
}

type recallPage struct {
	recall.View
	Address string
	Answers [][2]string
	Models  [][2]string
	Lines   []int // for models
	MaxText int
	Error   string
	ErrorAt string
	Written url.Values
}

// modelLines is how many models the form has room for; the command takes more.
const modelLines = 3

func (d *Door) recall(r *request) (*page, error) { return d.recallWith(r, "", nil) }

// recallWith draws a recall, with what is wrong with one of its forms.
func (d *Door) recallWith(r *request, at string, failure error) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := record.ParseID(r.PathValue("recall"))
	if err != nil {
		return nil, err
	}
	v, err := d.Recalls.Recall(r.Context(), r.admin(), id)
	if err != nil {
		return nil, err
	}
	p := recallPage{View: v, Address: "/recalls/" + v.ID, Answers: recall.Answers, Models: recall.ModelAnswers, MaxText: recall.MaxText, Written: url.Values{}}
	for n := range modelLines {
		p.Lines = append(p.Lines, n+1)
	}
	out := &page{file: "recall", title: "Recall of " + v.Project, section: "/requests"}
	if failure != nil {
		pr, _ := web.ProblemOf(failure)
		p.Error, p.ErrorAt, p.Written, out.status = pr.Detail, at, r.PostForm, http.StatusUnprocessableEntity
	}
	out.data = p
	return out, nil
}

func (d *Door) actOnRecall(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := record.ParseID(r.PathValue("recall"))
	if err != nil {
		return nil, err
	}
	f := r.PostForm
	a := recall.Act{Do: f.Get("do"), Answer: f.Get("answer"), Text: f.Get("text"), Agree: f.Get("agree") == "yes"}
	for n := range modelLines {
		k := string(rune('1' + n))
		m := recall.Model{Name: strings.TrimSpace(f.Get("model" + k)), Answer: f.Get("model-answer" + k), Reason: f.Get("model-reason" + k)}
		if m.Name != "" || strings.TrimSpace(m.Reason) != "" {
			a.Models = append(a.Models, m)
		}
	}
	_, err = d.Recalls.Act(r.Context(), r.admin(), id, a)
	if correctableHere(err) {
		return d.recallWith(r, a.Do, err)
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/recalls/" + id.String()}, nil
}

// recalledObjects gives the objects of a recall as lines: identifier, leaf, release.
func (d *Door) recalledObjects(w http.ResponseWriter, r *http.Request) {
	d.recallFile(w, r, "text/plain; charset=utf-8", "objects.txt", func(q *request, id record.ID) ([]byte, error) {
		all, err := d.Recalls.Objects(r.Context(), q.admin(), id)
		var b bytes.Buffer
		for _, o := range all {
			b.WriteString(o.DRS + " " + o.Leaf + " " + o.Release + "\n")
		}
		return b.Bytes(), err
	})
}

// recallAttestation gives the last attestation as it was signed.
func (d *Door) recallAttestation(w http.ResponseWriter, r *http.Request) {
	d.recallFile(w, r, "application/json", "attestation.json", func(q *request, id record.ID) ([]byte, error) {
		s, err := d.Recalls.Attested(r.Context(), q.admin(), id)
		if err != nil {
			return nil, err
		}
		return json.MarshalIndent(s, "", "  ")
	})
}

// recallFile gives what is made of a recall to be kept, never to be shown within a page of the node.
func (d *Door) recallFile(w http.ResponseWriter, r *http.Request, media, name string, of func(q *request, id record.ID) ([]byte, error)) {
	q := &request{Request: r, caller: web.CallerOf(r), w: w}
	err := q.signedIn()
	var id record.ID
	if err == nil {
		id, err = record.ParseID(r.PathValue("recall"))
	}
	var b []byte
	if err == nil {
		b, err = of(q, id)
	}
	if err != nil {
		d.problem(w, q, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Content-Disposition", `attachment; filename="recall-`+id.String()+`-`+name+`"`)
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // whoever does not read it has gone
	}
}
