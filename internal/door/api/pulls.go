package api

import (
	"net/http"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	pullflow "github.com/vitrine-imaging/vitrine/internal/flow/pull"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/pull"
)

// maxPull is the largest list of requests that is read: 100,000 identifiers of 64 characters, and what is around them.
const maxPull = 16 << 20

// pullRoutes are those about what is collected from other archives.
func (d *Door) pullRoutes() []route {
	const at = "/api/collections/{collection}/pulls"
	return []route{
		{method: "GET", path: at, name: "listPulls", text: "What is collected for a collection from other archives, the latest first, and how each stands.", gives: "Pull", list: true, do: d.pulls},
		{method: "POST", path: at, name: "makePull", text: "Collect images from a registered archive: of a list of accession numbers, patients or studies, or whatever it has that is like this, day after day.",
			takes: "NewPull", gives: "Pull", do: d.makePull},
		{method: "GET", path: at + "/{pull}", name: "getPull", text: "How a pull stands.", gives: "Pull", do: d.pull},
		{method: "PATCH", path: at + "/{pull}", name: "changePull", text: "Pause a pull, have it go on (and ask again for what failed), or end it.", takes: "PullState", gives: "Pull", do: d.changePull},
		{method: "GET", path: at + "/{pull}/fates", name: "listFates", text: "What became of each request of a list, by its number in it; of a standing pull, of its studies, the latest first.", gives: "Fate", list: true,
			query: []string{"after", "limit"}, do: d.fates},
	}
}

func (d *Door) pulls(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	return d.Pulls.List(r.Context(), r.who, id)
}

func (d *Door) makePull(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	var n pullflow.NewPull
	if err := r.bodyOf(&n, maxPull); err != nil {
		return nil, err
	}
	w, err := n.Wish()
	if err != nil {
		return nil, err
	}
	return d.Pulls.Make(r.Context(), r.who, id, w)
}

// pullOf is the collection and the pull of a path.
func (r *request) pullOf() (c collection.ID, id pull.ID, err error) {
	if c, err = r.collection(); err == nil {
		id, err = pull.ParseID(r.PathValue("pull"))
	}
	return c, id, err
}

func (d *Door) pull(r *request) (any, error) {
	c, id, err := r.pullOf()
	if err != nil {
		return nil, err
	}
	return d.Pulls.See(r.Context(), r.who, c, id)
}

func (d *Door) changePull(r *request) (any, error) {
	c, id, err := r.pullOf()
	if err != nil {
		return nil, err
	}
	var to struct {
		State pull.State `json:"state"`
	}
	if err := r.body(&to); err != nil {
		return nil, err
	}
	return d.Pulls.Change(r.Context(), r.who, c, id, to.State)
}

func (d *Door) fates(r *request) (any, error) {
	c, id, err := r.pullOf()
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	after, limit := int64(0), int64(pullflow.MaxFates)
	for name, to := range map[string]*int64{"after": &after, "limit": &limit} {
		if s := q.Get(name); s != "" {
			if *to, err = strconv.ParseInt(s, 10, 64); err != nil || *to < 0 {
				return nil, web.Refuse(http.StatusBadRequest, "list fates", name+" is no number", "Give a whole number, or leave it out.")
			}
		}
	}
	all, err := d.Pulls.Fates(r.Context(), r.who, c, id, after, int(min(limit, pullflow.MaxFates)))
	if all == nil {
		all = []pullflow.Fate{}
	}
	return all, err
}
