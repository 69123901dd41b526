package portal

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Boxes are drawn on the picture of a held item with script, and written as numbers without. Either way they are in one form: those of the frame that is shown as a row of
// numbers each, all others as they are; the form comes back with them, for another frame or painted over, until its steward decides.

// boxed are the boxes of an item, and how they are shown.
type boxed struct {
	Here    []drawnBox // of the frame that is shown
	Others  []string   // of other frames, as the form carries them
	All     string     // all of them, for the script
	Found   string     // those that a reading found, likewise
	Frames  int
	Count   int
	Painted bool     // the picture shows them painted over
	Wrong   string   // why a row is no box, or why the picture cannot be shown painted over
	New     []string // the row that is no box
	Alike   []alike  // other items that the same boxes may be of
}

type drawnBox struct{ N, X, Y, W, H, First, Last int }

type alike struct {
	heldRow
	Picture string
	Chosen  bool
}

const (
	// shownAlike bounds the other items that the same boxes are offered for.
	shownAlike = 48
	maxBoxForm = 1 << 20
)

// boxedOf shows boxes in a frame.
func boxedOf(boxes []catalogue.FoundBox, found *catalogue.Found, frame, frames int) *boxed {
	d := &boxed{Frames: frames, Count: len(boxes)}
	var all []string
	for _, b := range boxes {
		if b.Last == 0 {
			b.Last = frames
		}
		all = append(all, custody.FormatBox(b))
		if frame < b.First || frame > b.Last {
			d.Others = append(d.Others, custody.FormatBox(b))
			continue
		}
		d.Here = append(d.Here, drawnBox{len(d.Here), b.Box[0], b.Box[1], b.Box[2] - b.Box[0], b.Box[3] - b.Box[1], b.First, b.Last})
	}
	d.All = strings.Join(all, ";")
	if found != nil {
		d.Found = foundText(found.Boxes)
	}
	return d
}

func foundText(boxes []catalogue.FoundBox) string {
	var all []string
	for _, b := range boxes {
		all = append(all, custody.FormatBox(b))
	}
	slices.Sort(all)
	return strings.Join(all, ";")
}

// address is where the picture of a frame with the boxes in it painted over is.
func (d *boxed) address(item string, frame int) string {
	q := url.Values{"frame": {strconv.Itoa(frame)}}
	for _, b := range d.Here {
		q.Add("box", fmt.Sprintf("%d,%d,%d,%d", b.X, b.Y, b.W, b.H))
	}
	return item + "/painted?" + q.Encode()
}

// boxesOf reads the boxes of a form: rows of four numbers, or six, and those that it carries. A row of which nothing is written is none. Of rows that are no box the last
// comes back as it was written.
func boxesOf(form url.Values) (boxes []catalogue.FoundBox, row []string, err error) {
	bad := func(row int) error {
		return web.Refuse(http.StatusUnprocessableEntity, "draw boxes", "row "+strconv.Itoa(row+1)+" of the boxes is not four whole numbers, with a width and a height of at least 1",
			"Go back and mend its numbers. Nothing was decided.")
	}
	drop := form["drop"]
	for k := range form["bx"] {
		if slices.Contains(drop, strconv.Itoa(k)) {
			continue
		}
		var n [6]int
		given, wrong := 0, false
		var written []string
		for i, name := range [...]string{"bx", "by", "bw", "bh", "bf", "bl"} {
			text := ""
			if k < len(form[name]) {
				text = strings.TrimSpace(form[name][k])
			}
			written = append(written, text)
			if text == "" {
				continue
			}
			var e error
			n[i], e = strconv.Atoi(text)
			wrong = wrong || e != nil || n[i] < 0 || n[i] > 1<<24
			if i < 4 {
				given++
			}
		}
		if given == 0 {
			continue
		}
		if wrong || given < 4 || n[2] < 1 || n[3] < 1 {
			row, err = written, bad(k)
			continue
		}
		if form["bl"] == nil {
			n[5] = 1 // an image of one frame
		}
		boxes = append(boxes, catalogue.FoundBox{First: max(n[4], 1), Last: n[5], Box: [4]int{n[0], n[1], n[0] + n[2], n[1] + n[3]}})
	}
	for _, s := range form["box"] {
		b, e := custody.ParseBox(s)
		if e != nil {
			return nil, nil, e
		}
		boxes = append(boxes, b)
	}
	return boxes, row, err
}

// drawHeld shows the item again with the boxes of the form: another frame, or painted over.
func (d *Door) drawHeld(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := r.heldID()
	if err != nil {
		return nil, err
	}
	r.Body = http.MaxBytesReader(r.w, r.Body, maxBoxForm)
	if err := r.ParseForm(); err != nil {
		return nil, web.Refuse(http.StatusBadRequest, "draw boxes", "the form cannot be read", "Go back and draw fewer boxes.")
	}
	boxes, row, wrong := boxesOf(r.PostForm)
	if wrong != nil && row == nil {
		return nil, wrong
	}
	frame, err := strconv.Atoi(r.PostForm.Get("frame"))
	if err != nil {
		frame, _ = strconv.Atoi(r.PostForm.Get("at"))
	}
	return d.heldItemWith(r, id, frame, &drawing{boxes: boxes, row: row, wrong: wrong, painted: r.PostForm.Get("show") == "painted", note: r.PostForm.Get("note"), also: r.PostForm["also"]})
}

// drawing is what a form says of an item.
type drawing struct {
	boxes   []catalogue.FoundBox
	row     []string // that is no box, as it was written
	wrong   error    // why
	painted bool
	note    string
	also    []string
}

// draws fills in what is drawn on the item's picture.
func (d *Door) draws(r *request, p *heldItemPage, f *drawing) error {
	item := "/held/" + p.ID.String()
	fits := func(b []catalogue.FoundBox) error {
		return (&custody.Boxes{Drawn: b}).Check(int(p.Columns), int(p.Rows), p.Evidence.Frames)
	}
	if f == nil {
		f = &drawing{}
		if p.Evidence.Found != nil && fits(p.Evidence.Found.Boxes) == nil {
			f.boxes = p.Evidence.Found.Boxes
		}
	}
	if f.wrong == nil {
		f.wrong = fits(f.boxes)
	}
	p.Boxed, p.Note = boxedOf(f.boxes, p.Evidence.Found, p.Frame, p.Evidence.Frames), f.note
	if f.wrong != nil {
		pr, _ := web.ProblemOf(f.wrong)
		p.Boxed.Wrong, p.Boxed.New = pr.Detail, f.row
	} else if f.painted && len(p.Boxed.Here) > 0 {
		p.Boxed.Painted, p.Picture = true, p.Boxed.address(item, p.Frame)
		// A browser does not say why a picture is none.
		if _, err := d.Review.Painted(r.Context(), r.review(), p.ID, p.Frame, f.boxes, render.Options{Width: 16, Height: 16}); err != nil {
			pr, _ := web.ProblemOf(heldUnpainted(err))
			p.Boxed.Wrong, p.Boxed.Painted, p.Picture = pr.Detail, false, item+"/picture?frame="+strconv.Itoa(p.Frame)
		}
	}
	if p.Subject == "" {
		return nil
	}
	others, err := d.Review.List(r.Context(), r.review(), p.Collection, review.Query{Subject: p.Subject, Limit: 200})
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID == p.ID || !o.Acceptable || o.Rows != p.Rows || o.Columns != p.Columns || max(o.Frames, 1) != int64(p.Evidence.Frames) || len(p.Boxed.Alike) == shownAlike {
			continue
		}
		p.Boxed.Alike = append(p.Boxed.Alike, alike{heldRow: heldRowOf(o), Picture: "/held/" + o.ID.String() + "/picture?frame=1&size=small", Chosen: slices.Contains(f.also, o.ID.String())})
	}
	return nil
}

// heldPainted is one frame with the boxes of the address painted over, for the steward's eyes.
func (d *Door) heldPainted(w http.ResponseWriter, q *http.Request) {
	d.sendHeld(w, q, func(r *request, id catalogue.InstanceID, frame int) (err error) {
		v := q.URL.Query()
		var boxes []catalogue.FoundBox
		for _, s := range v["box"] {
			b, err := custody.ParseBox(s)
			if err != nil {
				return err
			}
			b.First, b.Last = frame, frame
			boxes = append(boxes, b)
		}
		img, err := d.Review.Painted(q.Context(), r.review(), id, frame, boxes, heldSize(v.Get("size")))
		if err != nil {
			return heldUnpainted(err)
		}
		sendHeldPicture(w, img)
		return nil
	})
}

// heldUnpainted gives what could not be painted over a status, and says why.
func heldUnpainted(err error) error {
	if e, ok := errors.AsType[*render.Unsupported](err); ok {
		return web.Refuse(http.StatusUnprocessableEntity, "paint boxes", "this image cannot be painted over: "+e.Reason, "Accept it as it is, refuse it, or ask its depositor for it in another transfer syntax.")
	}
	return heldUndrawn(err)
}

// paintDrawn accepts the item with the boxes of the form, and others with the same and with what is found in them.
func (d *Door) paintDrawn(r *request, chosen []chosenOf) (deeds []deed, err error) {
	boxes, _, err := boxesOf(r.PostForm)
	if err != nil {
		return nil, err
	}
	if len(boxes) == 0 {
		return nil, web.Refuse(http.StatusUnprocessableEntity, "paint boxes", "there are no boxes", "Go back and draw some, or accept the item as it is. Nothing was decided.")
	}
	if len(chosen) != 1 || len(chosen[0].ids) != 1 {
		return nil, web.Refuse(http.StatusUnprocessableEntity, "paint boxes", "boxes are drawn on one item", "Go back to the item. Nothing was decided.")
	}
	of := &custody.Boxes{Drawn: boxes, Only: true}
	if r.PostForm.Get("found") != "" && foundText(boxes) == r.PostForm.Get("found") {
		of = nil // as they were found: what is found again after painting is painted as well
	}
	deeds = []deed{{chosen[0].id, chosen[0].ids, of}}
	var also []catalogue.InstanceID
	for _, s := range r.PostForm["also"] {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 && catalogue.InstanceID(n) != chosen[0].ids[0] {
			also = append(also, catalogue.InstanceID(n))
		}
	}
	if len(also) > 0 {
		deeds = append(deeds, deed{chosen[0].id, also, &custody.Boxes{Drawn: boxes}})
	}
	return deeds, nil
}

// deed is one call that decides on items of a collection.
type deed struct {
	in    collection.ID
	ids   []catalogue.InstanceID
	boxes *custody.Boxes
}
