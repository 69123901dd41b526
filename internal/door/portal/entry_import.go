package portal

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// importFormats are what is read, as the form names them.
var importFormats = []optionView{{ID: "", Label: "as the file says"}, {ID: "csv", Label: "Table (CSV)"}, {ID: "dcat", Label: "DCAT as JSON-LD"}, {ID: "hdruk", Label: "HDR UK or CRUK JSON"}, {ID: "json", Label: "Our own JSON"}}

type draftView struct {
	directory.Imported
	N       int
	Score   int
	Needed  int
	Taken   bool // the id is in use
	Outcome *directoryflow.Taken
}

type importPage struct {
	Formats []optionView
	Columns [][2]string
	Failure string
	Text    string
	Drafts  []draftView
	Stored  bool
	JSON    string // the drafts, to be stored
	Notes   int
}

func (d *Door) importPage(r *request) (*page, error) {
	if err := r.writer(); err != nil {
		return nil, err
	}
	return importWith(&importPage{}, 0), nil
}

func importWith(p *importPage, status int) *page {
	p.Formats, p.Columns = importFormats, directory.Columns()
	return &page{file: "entryimport", title: "Import descriptions", section: "/collections", help: "describe", data: p, status: status}
}

// upload reads the parts of a form from the stream, in memory alone and bounded: what somebody uploads may hold anything, and is not written down before it was read.
func (r *request) upload(most int64) (name, format string, content []byte, err error) {
	r.Body = http.MaxBytesReader(r.w, r.Body, most+64<<10)
	refuse := func(detail string) error {
		return web.Refuse(http.StatusBadRequest, "import descriptions", detail, "Choose a file on the page, or paste its text.")
	}
	parts, err := r.MultipartReader()
	if err != nil {
		return "", "", nil, web.Refuse(http.StatusUnsupportedMediaType, "import descriptions", "it is not sent as a form with a file", "Send it from the page.")
	}
	for range 8 {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return name, format, content, nil
		}
		if err != nil {
			return "", "", nil, refuse("the form breaks off, or is longer than it may be")
		}
		b, err := io.ReadAll(io.LimitReader(part, most+1))
		if err != nil {
			return "", "", nil, refuse("the form breaks off, or is longer than it may be")
		}
		switch part.FormName() {
		case "format":
			format = string(b[:min(len(b), 20)])
		case "file":
			if len(b) > 0 {
				name, content = part.FileName(), b
			}
		case "text":
			if len(content) == 0 && strings.TrimSpace(string(b)) != "" {
				content = b
			}
		}
	}
	return "", "", nil, refuse("the form has more parts than the page's")
}

// readImport shows what a file says before anything is stored.
func (d *Door) readImport(r *request) (*page, error) {
	if err := r.writer(); err != nil {
		return nil, err
	}
	name, format, content, err := r.upload(directory.MaxImport)
	if err != nil {
		return nil, err
	}
	p := &importPage{}
	if len(content) == 0 {
		p.Failure = "Choose a file, or paste its text."
		return importWith(p, http.StatusUnprocessableEntity), nil
	}
	f := directoryflow.Format(format)
	if f == "" {
		f = directoryflow.Guess(path.Ext(name), content)
	}
	drafts, err := d.Directory.Read(r.Context(), r.admin(), f, strings.NewReader(string(content)))
	if k := fault.KindOf(err); k == fault.Invalid || k == fault.TooLarge {
		p.Failure = reasonOf(err)
		if len(content) < 200<<10 && name == "" {
			p.Text = strings.ToValidUTF8(string(content), "\ufffd")
		}
		return importWith(p, http.StatusUnprocessableEntity), nil
	}
	if err != nil {
		return nil, err
	}
	if len(drafts) == 0 {
		p.Failure = "The file describes no collection."
		return importWith(p, http.StatusUnprocessableEntity), nil
	}
	return d.showDrafts(r, p, drafts)
}

func (d *Door) showDrafts(r *request, p *importPage, drafts []directory.Imported) (*page, error) {
	type named struct {
		ID    directory.ID    `json:"id"`
		Entry directory.Entry `json:"entry"`
	}
	var all []named
	used := map[directory.ID]bool{}
	for i, x := range drafts {
		id := x.ID
		for k := 2; used[id]; k++ { // two of one name in one file
			id = directory.ID(cutAt(string(x.ID), 58) + "-" + strconv.Itoa(k))
		}
		used[id] = true
		x.ID = id
		c := x.Entry.Completeness()
		v := draftView{Imported: x, N: i, Score: c.Score}
		for _, g := range c.Gaps {
			if g.Needed {
				v.Needed++
			}
		}
		taken, err := d.Directory.Taken(r.Context(), r.admin(), id)
		if err != nil {
			return nil, err
		}
		v.Taken = taken
		p.Notes += len(x.Notes)
		p.Drafts = append(p.Drafts, v)
		all = append(all, named{id, x.Entry})
	}
	b, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	p.JSON = string(b)
	return importWith(p, 0), nil
}

// storeImport stores the drafts that were chosen, under the ids that were given.
func (d *Door) storeImport(r *request) (*page, error) {
	if err := r.writer(); err != nil {
		return nil, err
	}
	r.Body = http.MaxBytesReader(r.w, r.Body, 3*directory.MaxImport)
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/x-www-form-urlencoded" || r.ParseForm() != nil {
		return nil, web.Refuse(http.StatusBadRequest, "import descriptions", "the form is longer than it may be, or none", "Use `vitrine directory import` for files of this size.")
	}
	drafts, err := d.Directory.Read(r.Context(), r.admin(), directoryflow.JSON, strings.NewReader(r.PostForm.Get("drafts")))
	if err != nil {
		return nil, err
	}
	var chosen []directory.Imported
	for i, x := range drafts {
		if !slices.Contains(r.PostForm["take"], strconv.Itoa(i)) {
			continue
		}
		if id := strings.TrimSpace(r.PostForm.Get("id." + strconv.Itoa(i))); id != "" {
			x.ID = directory.ID(id)
		}
		chosen = append(chosen, x)
	}
	p := &importPage{Stored: true}
	if len(chosen) == 0 {
		p.Failure = "No description was chosen."
		p.Stored = false
		out, err := d.showDrafts(r, p, drafts)
		if out != nil {
			out.status = http.StatusUnprocessableEntity
		}
		return out, err
	}
	how := directoryflow.Taking{Note: "imported", Publish: r.PostForm.Get("do") == "publish"}
	taken, err := d.Directory.Import(r.Context(), r.admin(), chosen, how)
	if err != nil {
		return nil, err
	}
	for i, x := range chosen {
		p.Drafts = append(p.Drafts, draftView{Imported: x, N: i, Score: x.Entry.Completeness().Score, Outcome: &taken[i]})
	}
	return importWith(p, 0), nil
}

// template is the table to be filled in.
func (d *Door) template(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="collections.csv"`)
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return
	}
	if err := directory.WriteTemplate(w); err != nil {
		web.Fail(w, r, err)
	}
}

// diseaseWords offers diseases for what somebody has typed so far: as JSON, for the form's island.
func (d *Door) diseaseWords(w http.ResponseWriter, r *http.Request) {
	type offer struct {
		Line  string `json:"line"`
		Label string `json:"label"`
		Lay   string `json:"lay,omitempty"`
		Code  string `json:"code"`
	}
	offers := []offer{}
	for _, c := range vocabulary.Suggest(cutAt(r.URL.Query().Get("q"), 60), 12) {
		o := offer{diseaseLine(c), vocabulary.Label(c), vocabulary.LayLabel(c), c.String()}
		if strings.EqualFold(o.Lay, o.Label) {
			o.Lay = ""
		}
		offers = append(offers, o)
	}
	b, err := json.Marshal(offers)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "private, max-age=600")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(b) // whoever does not read it has gone
}
