package portal

import (
	"bytes"
	"context"
	"errors"
	"image/jpeg"
	"net/http"
	"net/url"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// montage draws a picture that was picked for a collection's page, or the first of them. Each time it is decided anew whether it may be seen: of what is released at that moment.
func (d *Door) montage(w http.ResponseWriter, r *http.Request) {
	q := &request{Request: r, caller: web.CallerOf(r), w: w}
	if err := d.drawPicked(q); err != nil {
		web.Fail(w, r, err)
	}
}

func (d *Door) drawPicked(r *request) error {
	id, err := r.entryID()
	if err != nil {
		return err
	}
	n := int64(0)
	if v := r.PathValue("n"); v != "" {
		if n, err = strconv.ParseInt(v, 10, 64); err != nil || n < 1 {
			return fault.New(fault.NotFound, "see a picked picture", "", "there is no such picture on the collection's page")
		}
	}
	p, err := d.Directory.ShownPicture(r.Context(), r.admin(), id, n)
	if err != nil {
		return err
	}
	o := render.Options{Width: 960, Height: 720}
	if center, width, function, ok := p.Chosen(); ok {
		if f, known := render.ParseFunction(function); known {
			o.Window = &render.Window{Center: center, Width: width, Function: f}
		}
	}
	return d.sendPicture(r, p, o)
}

func (d *Door) sendPicture(r *request, p directoryflow.Shown, o render.Options) error {
	x, err := d.Delivery.OpenPicked(r.Context(), p.Object)
	if err != nil {
		return err
	}
	defer x.Close()
	b, err := d.drawn.get(drawnOf{x.ID, x.Ref, p.Frame, p.Window}, func() ([]byte, error) {
		// Whoever goes away leaves the picture to who comes next.
		img, err := d.Delivery.Draw(context.WithoutCancel(r.Context()), x, int(p.Frame), o)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 88})
		return b.Bytes(), err
	})
	if _, ok := errors.AsType[*render.Unsupported](err); ok {
		return web.Refuse(http.StatusNotImplemented, "see a picked picture", "this node draws no pictures of this kind", "Pick another one.")
	}
	if _, ok := errors.AsType[*render.Broken](err); ok {
		return web.Refuse(http.StatusUnprocessableEntity, "see a picked picture", "its pixels cannot be read", "Pick another one.")
	}
	if err != nil {
		return err
	}
	h := r.w.Header()
	h.Set("Content-Type", "image/jpeg")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return nil
	}
	_, err = r.w.Write(b)
	return err
}

// pickedView is a picture of the page as who arranges it sees it.
type pickedView struct {
	directoryflow.Shown
	Address     string // of the picture; empty: it is not to be seen
	StudyPage   string
	First, Last bool
}

type picturesPage struct {
	Collection collection.ID
	Entry      directory.ID // the published entry; empty: none
	Pictures   []pickedView
	Views      []vocabulary.Term
	Most       int
	Studies    string
}

// mayPick reports whether the caller picks pictures of a collection.
func (r *request) mayPick(c collection.ID) bool {
	return policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.PickPicture, Collection: string(c), State: policy.Released}).Allow
}

func (r *request) collectionID() (collection.ID, error) {
	c, err := collection.ParseID(r.PathValue("collection"))
	if err != nil || !r.caller.Knows(string(c)) {
		return "", fault.New(fault.NotFound, "find collection", "", "there is no such collection that you have a role in")
	}
	return c, nil
}

// pictures shows what was picked for a collection's public page, to be arranged.
func (d *Door) pictures(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	c, err := r.collectionID()
	if err != nil {
		return nil, err
	}
	all, err := d.Directory.Picked(r.Context(), r.admin(), c)
	if err != nil {
		return nil, err
	}
	p := picturesPage{Collection: c, Views: vocabulary.PictureView.Terms, Most: directory.MaxPictures}
	switch v, err := d.Directory.OfCollection(r.Context(), r.admin(), c); {
	case err == nil:
		p.Entry = v.ID
	case !fault.Is(err, fault.NotFound):
		return nil, err
	}
	for i, s := range all {
		v := pickedView{Shown: s, First: i == 0, Last: i == len(all)-1}
		if s.Study != "" {
			v.StudyPage = studyAddress(c, catalogue.StudyUID(s.Study))
		}
		if s.Visible && p.Entry != "" {
			v.Address = "/directory/" + string(p.Entry) + "/montage/" + strconv.FormatInt(s.N, 10)
		}
		p.Pictures = append(p.Pictures, v)
	}
	return &page{file: "pictures", title: "Pictures of " + string(c), section: "/collections", help: "describe", data: p}, nil
}

// pickForm is what a study's page offers to who may show its picture on the collection's.
type pickForm struct {
	Instance catalogue.SOPUID
	Views    []vocabulary.Term
	Ready    bool // it is released, and can be drawn
}

func (r *request) pickForm(p *studyPage) *pickForm {
	if !r.mayPick(p.Collection) || p.Frame.instance == nil {
		return nil
	}
	i := p.Frame.instance
	return &pickForm{i.UID, vocabulary.PictureView.Terms, i.State == policy.Released && p.Frame.Viewable}
}

// pick puts a picture of a study's page on the collection's.
func (d *Door) pick(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	c, err := r.collectionID()
	if err != nil {
		return nil, err
	}
	of := catalogue.Where{Study: catalogue.StudyUID(r.PostFormValue("study")), Series: catalogue.SeriesUID(r.PostFormValue("series")), SOP: catalogue.SOPUID(r.PostFormValue("instance"))}
	frame, err := strconv.ParseInt(r.PostFormValue("frame"), 10, 64)
	if err != nil {
		frame = 1
	}
	as := directory.Picture{Frame: frame, Modality: r.PostFormValue("modality"), View: r.PostFormValue("view"), Window: r.PostFormValue("window")}
	if _, err := d.Directory.Pick(r.Context(), r.admin(), c, of, as, r.PostFormValue("looked") != ""); err != nil {
		return nil, err
	}
	r.leave(noticePicked)
	return &page{to: "/collections/" + url.PathEscape(string(c)) + "/pictures"}, nil
}

// arrange moves, describes or removes a picture of the page.
func (d *Door) arrange(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	c, err := r.collectionID()
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
	if err != nil {
		return nil, fault.New(fault.NotFound, "arrange pictures", "", "there is no such picture")
	}
	if err := d.Directory.ArrangePicture(r.Context(), r.admin(), c, n, directoryflow.Arrange{What: r.PostFormValue("do"), View: r.PostFormValue("view")}); err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/collections/" + url.PathEscape(string(c)) + "/pictures"}, nil
}
