package portal

import (
	"bytes"
	"net/http"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
)

// heldFilm is a video's frames and what it says of itself.
type heldFilm struct {
	*review.Film
	Sheet string
}

// filmOf reads the video of an item.
func (d *Door) filmOf(r *request, item review.Item) (*heldFilm, error) {
	f, err := d.Review.Film(r.Context(), r.review(), item.ID)
	if err != nil || f == nil {
		return nil, err
	}
	return &heldFilm{f, "/held/" + item.ID.String() + "/film"}, nil
}

// heldSheet is the picture of a video's frames for the steward's eyes.
func (d *Door) heldSheet(w http.ResponseWriter, q *http.Request) {
	r := &request{Request: q, caller: web.CallerOf(q), w: w}
	err := r.signedIn()
	id, ierr := r.heldID()
	if err == nil {
		err = ierr
	}
	var b bytes.Buffer
	if err == nil {
		err = d.Review.Sheet(q.Context(), r.review(), id, &b)
	}
	if err != nil {
		web.Fail(w, q, err)
		return
	}
	forSteward(w.Header())
	w.Header().Set("Content-Type", "image/jpeg")
	_, _ = w.Write(b.Bytes()) // whoever does not read it has gone
}
