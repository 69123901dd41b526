package upload

import (
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	flow "github.com/vitrine-imaging/vitrine/internal/flow/upload"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// headerGiven is what a gateway says of a whole file.
const headerGiven = "Vitrine-Given"

// fateView is what became of a whole file as JSON.
type fateView struct {
	Fate    string    `json:"fate"` // kept, held, duplicate, conflict, refused
	Reasons []advised `json:"reasons,omitempty"`
}

// send answers PUT /upload/batches/{batch}/files/{ordinal}.
func (d *Door) send(w http.ResponseWriter, r *http.Request) {
	f, err := d.sent(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	v := fateView{Fate: f.Outcome}
	for _, r := range f.Reasons {
		v.Reasons = append(v.Reasons, advised{r, r.Advice()})
	}
	give(w, http.StatusOK, v)
}

func (d *Door) sent(r *http.Request) (flow.Fate, error) {
	const attempt = "upload"
	id, err := batchOf(r)
	if err != nil {
		return flow.Fate{}, err
	}
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/dicom" {
		return flow.Fate{}, web.Refuse(http.StatusUnsupportedMediaType, attempt, "the body is not application/dicom", "Send one DICOM file, and say so in Content-Type.")
	}
	one := flow.Whole{Batch: id, Data: r.Body}
	one.Ordinal, _ = strconv.ParseInt(r.PathValue("ordinal"), 10, 64) // none is refused
	if text := r.Header.Get(headerGiven); text != "" {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return flow.Fate{}, web.Refuse(http.StatusBadRequest, attempt, "the header "+headerGiven+" is no base64", "Send the JSON object in standard base64 with padding.")
		}
		if one.Given, err = custody.ParseGiven(b); err != nil {
			return flow.Fate{}, err
		}
	}
	return d.flow.Send(r.Context(), callerOf(r), one)
}

// recall answers POST /upload/recalls.
func (d *Door) recall(w http.ResponseWriter, r *http.Request) {
	var want struct {
		Collection string             `json:"collection"`
		Instances  []catalogue.SOPUID `json:"instances"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 128<<10)).Decode(&want); err != nil {
		web.Fail(w, r, web.Refuse(http.StatusBadRequest, "take back what was given", "the body is no JSON object", `Send {"collection": "its id", "instances": ["SOP Instance UIDs"]}.`))
		return
	}
	n, err := d.flow.Recall(r.Context(), callerOf(r), collection.ID(want.Collection), want.Instances)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	give(w, http.StatusOK, map[string]int{"held": n})
}
