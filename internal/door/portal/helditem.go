package portal

import (
	"errors"
	"image"
	"image/png"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

type heldItemPage struct {
	heldRow
	review.Evidence
	Title    string // of the collection
	Frame    int    // that is shown, from 1; 0: there is no picture
	Picture  string
	Prev     string
	Next     string
	First    string
	Last     string
	Outlines []review.Region
	Marks    []review.Region // where text was found in this frame
	After    string          // the item that comes next in the collection
	Others   int64           // items held in the collection
	From     string          // how it came
	Document *heldDocument   // what is encapsulated in it; nil: nothing is
	Film     *heldFilm       // its video; nil: it has none
	Shows    string          // whether a face could be rendered from its series, in words
	Boxed    *boxed          // boxes on its picture; nil: none can be drawn
	Note     string
	Steps    []frameStep
}

// frameStep is a button that leads to a frame.
type frameStep struct {
	Name, Step string
	Frame      int
	Here       bool
}

func (r *request) heldID() (catalogue.InstanceID, error) {
	n, err := strconv.ParseInt(r.PathValue("item"), 10, 64)
	if err != nil || n <= 0 {
		return 0, fault.New(fault.NotFound, "review what is held", "", "there is nothing held of this number")
	}
	return catalogue.InstanceID(n), nil
}

// heldItem shows the evidence of one item to its steward, and its picture: nowhere else is one made of what is held.
func (d *Door) heldItem(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := r.heldID()
	if err != nil {
		return nil, err
	}
	frame, _ := strconv.Atoi(r.URL.Query().Get("frame"))
	return d.heldItemWith(r, id, frame, nil)
}

// heldItemWith shows an item with what was drawn on it; nil: with what was found.
func (d *Door) heldItemWith(r *request, id catalogue.InstanceID, frame int, f *drawing) (*page, error) {
	item, e, err := d.Review.Look(r.Context(), r.review(), id)
	if err != nil {
		return nil, err
	}
	p := heldItemPage{heldRow: heldRowOf(item), Evidence: e, Title: string(item.Collection), From: doorNames[item.Door]}
	if c, err := d.Desk.Collection(r.Context(), r.admin(), item.Collection); err == nil && c.Title != "" {
		p.Title = c.Title
	}
	if e.Frames > 0 {
		p.Frame = min(max(frame, 1), e.Frames)
		here := "/held/" + id.String()
		at := func(n int) string { return here + "?frame=" + strconv.Itoa(n) + "#picture" }
		p.Picture = here + "/picture?frame=" + strconv.Itoa(p.Frame)
		if p.Frame > 1 {
			p.Prev, p.First = at(p.Frame-1), at(1)
		}
		if p.Frame < e.Frames {
			p.Next, p.Last = at(p.Frame+1), at(e.Frames)
		}
		for _, s := range []frameStep{{"First", "first", 1, false}, {"Earlier", "prev", p.Frame - 1, false}, {"Later", "next", p.Frame + 1, false}, {"Last", "last", e.Frames, false}} {
			s.Here = s.Frame == p.Frame || s.Frame < 1 || s.Frame > e.Frames
			p.Steps = append(p.Steps, s)
		}
		for _, g := range e.Regions {
			if g.MaxX <= item.Columns && g.MaxY <= item.Rows {
				p.Outlines = append(p.Outlines, g)
			}
		}
	}
	if e.Face.Outcome != "" {
		p.Shows = faceWords(e.Face)
	}
	if e.Found != nil {
		for _, b := range e.Found.Boxes {
			if b.First <= p.Frame && p.Frame <= b.Last {
				p.Marks = append(p.Marks, review.Region{MinX: int64(b.Box[0]), MinY: int64(b.Box[1]), MaxX: int64(b.Box[2]), MaxY: int64(b.Box[3])})
			}
		}
	}
	if e.Media != "" {
		if p.Document, err = d.documentOf(r, item); err != nil {
			return nil, err
		}
	}
	if e.Video {
		if p.Film, err = d.filmOf(r, item); err != nil {
			return nil, err
		}
	}
	if e.Draws && len(e.Left) == 0 {
		if err := d.draws(r, &p, f); err != nil {
			return nil, err
		}
	}
	total, _, err := d.Review.Heaps(r.Context(), r.review(), item.Collection, review.Query{})
	if err != nil {
		return nil, err
	}
	p.Others = total
	next, err := d.Review.List(r.Context(), r.review(), item.Collection, review.Query{After: id, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(next) > 0 {
		p.After = "/held/" + next[0].ID.String()
	}
	return &page{file: "helditem", title: "Held: " + p.What, section: "/held", help: "held", data: p}, nil
}

// heldPicture is one frame for the steward's eyes. It is kept by nobody on the way, and goes to this node's own page alone.
func (d *Door) heldPicture(w http.ResponseWriter, q *http.Request) {
	d.sendHeld(w, q, func(r *request, id catalogue.InstanceID, frame int) error {
		img, err := d.Review.Picture(q.Context(), r.review(), id, frame, heldSize(q.URL.Query().Get("size")))
		if err != nil {
			return heldUndrawn(err)
		}
		sendHeldPicture(w, img)
		return nil
	})
}

// heldSize is how large a picture is drawn at most.
func heldSize(name string) render.Options {
	switch name {
	case "small":
		return render.Options{Width: 320, Height: 240}
	case "sheet": // of a dozen on a page
		return render.Options{Width: 640, Height: 480}
	case "full":
		return render.Options{Width: 4096, Height: 4096}
	}
	return render.Options{Width: 1600, Height: 1200}
}

// sendHeld has somebody who has signed in sent a picture of an item's frame.
func (d *Door) sendHeld(w http.ResponseWriter, q *http.Request, draw func(r *request, id catalogue.InstanceID, frame int) error) {
	r := &request{Request: q, caller: web.CallerOf(q), w: w}
	err := r.signedIn()
	var id catalogue.InstanceID
	if err == nil {
		id, err = r.heldID()
	}
	frame, ferr := strconv.Atoi(q.URL.Query().Get("frame"))
	if err == nil && ferr != nil {
		err = fault.New(fault.Invalid, "review what is held", "", "the frame is not a number")
	}
	if err == nil {
		err = draw(r, id, frame)
	}
	if err != nil {
		web.Fail(w, q, err)
	}
}

// sendHeldPicture is kept by nobody on the way.
func sendHeldPicture(w http.ResponseWriter, img image.Image) {
	forSteward(w.Header())
	_ = (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(w, img) // whoever does not read it has gone
}

// heldUndrawn gives what could not be drawn a status: the item is as it is, and the page says what to do without a picture.
func heldUndrawn(err error) error {
	if e, ok := errors.AsType[*render.Unsupported](err); ok {
		return web.Refuse(http.StatusNotImplemented, "draw what is held", "this node draws no pictures of "+e.Reason, "Fetch the object by the API and look at it with a viewer.")
	}
	if e, ok := errors.AsType[*render.Broken](err); ok {
		return web.Refuse(http.StatusUnprocessableEntity, "draw what is held", e.Error(), "Refuse it, or ask its depositor for it again.")
	}
	return err
}

// decidedRow is what became of an item.
type decidedRow struct {
	heldRow
	Outcome review.Outcome
	Left    []review.Explained
}

type decidedPage struct {
	Refusing    bool
	Restricting bool
	Counts      map[string]int
	Rows        []decidedRow
	More        int // beside those shown
	Into        []collection.ID
	Problems    []string
	Back        string
}

// shownDecided bounds the table of what became of many: what was done as asked is left out first.
const shownDecided = 200

// decideHeld accepts or refuses what was chosen, and tells what became of each.
func (d *Door) decideHeld(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	r.Body = http.MaxBytesReader(r.w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		return nil, web.Refuse(http.StatusBadRequest, "decide on what is held", "the form cannot be read", "Go back and choose again.")
	}
	do := r.PostForm.Get("do")
	if do != "accept" && do != "paint" && do != "draw" && do != "restrict" && do != "refuse" {
		return nil, web.Refuse(http.StatusBadRequest, "decide on what is held", "the form says neither accept, keep restricted nor refuse", "Go back and press one of the buttons.")
	}
	if do != "refuse" && do != "restrict" && r.PostForm.Get("seen") == "" {
		return nil, web.Refuse(http.StatusUnprocessableEntity, "accept what is held", "you have not said that you have looked at it",
			"Go back, look at what you accept, and tick that you answer for it. Nothing was decided.")
	}
	return d.decideWith(r, do, nil)
}

// decideWith does it with what a form has chosen; boxes, which may be nil, are of all of it.
func (d *Door) decideWith(r *request, do string, boxes *custody.Boxes) (*page, error) {
	chosen, gone, err := d.chosen(r)
	if err != nil {
		return nil, err
	}
	if len(chosen) == 0 && len(gone) == 0 {
		return nil, web.Refuse(http.StatusUnprocessableEntity, "decide on what is held", "nothing was chosen", "Go back and tick items, or all of a reason. Nothing was decided.")
	}
	p := decidedPage{Refusing: do == "refuse", Restricting: do == "restrict", Counts: map[string]int{}, Back: "/held"}
	if back := r.PostForm.Get("back"); local(back) && (strings.HasPrefix(back, "/held?") || back == "/held/alike" || back == "/restricted") {
		p.Back = back
	}
	var rows []decidedRow
	for _, id := range gone {
		rows = append(rows, decidedRow{heldRow: heldRow{Item: review.Item{ID: id}}, Outcome: review.Gone})
	}
	var deeds []deed
	for _, c := range chosen {
		deeds = append(deeds, deed{c.id, c.ids, boxes})
	}
	if do == "draw" && len(chosen) > 0 {
		if deeds, err = d.paintDrawn(r, chosen); err != nil {
			return nil, err
		}
	}
	act := func(c deed, ids []catalogue.InstanceID) ([]review.Decided, error) {
		note := r.PostForm.Get("note")
		switch do {
		case "refuse":
			return d.Review.Refuse(r.Context(), r.review(), c.in, ids, note)
		case "restrict":
			return d.Review.Restrict(r.Context(), r.review(), c.in, ids, note)
		case "paint", "draw":
			return d.Review.PaintBoxes(r.Context(), r.review(), c.in, ids, c.boxes, note)
		}
		return d.Review.Accept(r.Context(), r.review(), c.in, ids, note)
	}
	for _, c := range deeds {
		accepted := false
		for part := range slices.Chunk(c.ids, review.MaxItems) {
			out, err := act(c, part)
			if k := fault.KindOf(err); err != nil && (k != fault.Invalid && k != fault.Denied || len(rows) == 0) {
				return nil, err
			}
			if err != nil { // something was decided before
				pr, _ := web.ProblemOf(err)
				p.Problems = append(p.Problems, string(c.in)+": "+pr.Detail)
				break
			}
			for _, o := range out {
				row := decidedRow{heldRow: heldRowOf(o.Item), Outcome: o.Outcome}
				for _, w := range o.Why {
					row.Left = append(row.Left, review.Explain(w))
				}
				rows = append(rows, row)
				accepted = accepted || o.Outcome == review.Accepted
			}
		}
		if accepted && !slices.Contains(p.Into, c.in) {
			p.Into = append(p.Into, c.in)
		}
	}
	for _, row := range rows {
		p.Counts[string(row.Outcome)]++
	}
	slices.SortStableFunc(rows, func(a, b decidedRow) int { return rank(a.Outcome) - rank(b.Outcome) })
	p.More = max(0, len(rows)-shownDecided)
	p.Rows = rows[:len(rows)-p.More]
	title := "Accepted"
	switch {
	case p.Refusing:
		title = "Refused"
	case p.Restricting:
		title = "Kept restricted"
	}
	return &page{file: "helddecided", title: title, section: "/held", help: "held", data: p}, nil
}

// rank puts what needs somebody first.
func rank(o review.Outcome) int {
	return slices.Index([]review.Outcome{review.Failed, review.Held, review.Gone, review.Accepted, review.Restricted, review.Refused}, o)
}

// chosenOf are the items of one collection that a form names.
type chosenOf struct {
	id  collection.ID
	ids []catalogue.InstanceID
}

// chosen reads which items a form names: one by one, and by "all of this reason", which means those that were there when the page was drawn. What is not there any more is
// told apart.
func (d *Door) chosen(r *request) (all []chosenOf, gone []catalogue.InstanceID, err error) {
	met := map[catalogue.InstanceID]bool{}
	add := func(i review.Item) {
		if met[i.ID] {
			return
		}
		met[i.ID] = true
		k := slices.IndexFunc(all, func(c chosenOf) bool { return c.id == i.Collection })
		if k < 0 {
			k = len(all)
			all = append(all, chosenOf{id: i.Collection})
		}
		all[k].ids = append(all[k].ids, i.ID)
	}
	for _, s := range r.PostForm["all"] {
		part := strings.Split(s, "/")
		if len(part) != 3 {
			continue
		}
		upTo, err := strconv.ParseInt(part[2], 10, 64)
		if err != nil || upTo <= 0 {
			continue
		}
		items, err := d.Review.List(r.Context(), r.review(), collection.ID(part[0]), review.Query{Reason: part[1], UpTo: catalogue.InstanceID(upTo)})
		if err != nil {
			return nil, nil, err
		}
		for _, i := range items {
			add(i)
		}
	}
	for _, s := range r.PostForm["alike"] { // as "all", of what is alike
		part := strings.Split(s, "/")
		if len(part) != 3 || part[1] == "" {
			continue
		}
		upTo, err := strconv.ParseInt(part[2], 10, 64)
		if err != nil || upTo <= 0 {
			continue
		}
		q := review.Query{Layout: part[1], UpTo: catalogue.InstanceID(upTo)}
		for {
			items, err := d.Review.List(r.Context(), r.review(), collection.ID(part[0]), q)
			if err != nil {
				return nil, nil, err
			}
			if len(items) == 0 {
				break
			}
			for _, i := range items {
				add(i)
			}
			q.After = items[len(items)-1].ID
		}
	}
	for _, s := range r.PostForm["item"] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n <= 0 || met[catalogue.InstanceID(n)] {
			continue
		}
		i, err := d.Review.Item(r.Context(), r.review(), catalogue.InstanceID(n))
		if fault.Is(err, fault.NotFound) {
			met[catalogue.InstanceID(n)] = true
			gone = append(gone, catalogue.InstanceID(n))
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		add(i)
	}
	return all, gone, nil
}
