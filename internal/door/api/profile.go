package api

import (
	"io"
	"mime"
	"net/http"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
)

func (d *Door) profiles(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	return d.Desk.Profiles(r.Context(), r.who, id)
}

func (d *Door) putProfile(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	if _, err := d.Desk.Cleaning(r.Context(), r.who, id); err != nil { // who may not, is told that and nothing else
		return nil, err
	}
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/yaml" {
		return nil, web.Refuse(http.StatusUnsupportedMediaType, "put profile", "the body is not YAML", "Send application/yaml, and say so in Content-Type.")
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, deid.MaxProfileSize+1))
	if err != nil {
		return nil, err
	}
	return d.Desk.PutProfile(r.Context(), r.who, id, text)
}
