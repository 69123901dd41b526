package upload

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/link"
	flow "github.com/vitrine-imaging/vitrine/internal/flow/upload"
	record "github.com/vitrine-imaging/vitrine/internal/record/upload"
)

// Whoever has a link shows its secret with each request, in a header of its own and in no other place: not in an address, which ends in logs and histories; not as a bearer token, so
// that no other door ever takes it; and not in a cookie, which browsers send unasked. The second header keeps apart what different people send by one link.
const (
	linkHeader  = "Vitrine-Link"
	visitHeader = "Vitrine-Visit"
)

type holderKey struct{}

// callerOf is who sent a request: by a link, or as the front has recognised them.
func callerOf(r *http.Request) flow.Caller {
	if c, ok := r.Context().Value(holderKey{}).(flow.Caller); ok {
		return c
	}
	c := web.CallerOf(r)
	return flow.Caller{Actor: c.Actor, Grants: c.Grants}
}

func byLink(r *http.Request) bool { return callerOf(r).Visit != "" }

// known lets those pass who have shown who they are, or a link.
func (d *Door) known(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(linkHeader) == "" || d.links == nil {
			if _, err := web.Known(r); err != nil {
				web.Fail(w, r, err)
				return
			}
			h.ServeHTTP(w, r)
			return
		}
		who, _, err := d.links.Open(r.Context(), web.From(r), r.Header.Get(linkHeader), r.Header.Get(visitHeader))
		if err != nil {
			web.Fail(w, r, ofLink(err))
			return
		}
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), holderKey{}, who)))
	})
}

// ofLink says in plain words why who comes by a link gets no further. Other failures stay as they are.
func ofLink(err error) error {
	e := &web.Error{Attempt: "open link"}
	refusal, _ := errors.AsType[*link.Refusal](err)
	switch {
	case errors.Is(err, link.ErrUnknown):
		e.Status, e.Code, e.Reason = http.StatusNotFound, "link-unknown", "this link is not known here"
		e.Advice = "See that you have the whole of it, up to the last letter. If you have, ask who invited you for another."
	case errors.Is(err, link.ErrRevoked):
		e.Status, e.Code, e.Reason = http.StatusGone, "link-ended", "the link was ended on "+day(refusal.Since)+" by who looks after the collection; what had come by it is kept"
		e.Advice = "Ask who invited you, if there is more to send."
	case errors.Is(err, link.ErrExpired):
		e.Status, e.Code, e.Reason = http.StatusGone, "link-expired", "the link expired on "+day(refusal.Since)+"; what had come by it is kept"
		e.Advice = "Ask who invited you for a new one, if there is more to send."
	case errors.Is(err, record.ErrEnded):
		e.Status, e.Code, e.Reason = http.StatusGone, "link-ended", "the link has ended; what had come whole by it is kept"
		e.Advice = "Ask who invited you, if there is more to send."
	case errors.Is(err, record.ErrOver):
		e.Status, e.Code, e.Reason = http.StatusRequestEntityTooLarge, "link-full", "this is more than may be sent by the link"
		e.Advice = "Ask who invited you for a link with more room. What has come is kept."
	case errors.Is(err, link.ErrWait):
		e.Status, e.Code, e.Reason = http.StatusTooManyRequests, "link-wait", "links that are not known were tried too often from your network"
		e.Advice = "Wait for " + refusal.Wait.Round(time.Second).String() + ", and try again."
		e.Header = http.Header{"Retry-After": {strconv.Itoa(int(refusal.Wait.Seconds()) + 1)}}
	default:
		return err
	}
	return e
}

func day(t time.Time) string { return t.UTC().Format("Monday 2 January 2006, 15:04 UTC") }

// told answers GET /upload/links/mine: what whoever holds a link may know of it.
func (d *Door) told(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(linkHeader) == "" {
		web.Fail(w, r, web.Refuse(http.StatusBadRequest, "open link", "the request shows no link", "Send it in the header "+linkHeader+"."))
		return
	}
	_, l, err := d.links.Open(r.Context(), web.From(r), r.Header.Get(linkHeader), r.Header.Get(visitHeader))
	var t link.Told
	if err == nil {
		t, err = d.links.Tell(r.Context(), l)
	}
	if err != nil {
		web.Fail(w, r, ofLink(err))
		return
	}
	give(w, http.StatusOK, linkView{ID: t.ID, Collection: t.Collection, Inviter: t.Inviter, Expires: t.Expires.UTC(), QuotaBytes: t.Quota.Bytes, QuotaFiles: t.Quota.Uploads, LeftBytes: t.Left.Bytes, LeftFiles: t.Left.Uploads})
}

// linkView is a link as who holds it sees it.
type linkView struct {
	ID         string    `json:"id"`
	Collection string    `json:"collection"` // what people call it
	Inviter    string    `json:"inviter,omitempty"`
	Expires    time.Time `json:"expires"`
	QuotaBytes int64     `json:"quota_bytes"`
	QuotaFiles int64     `json:"quota_files"`
	LeftBytes  int64     `json:"left_bytes"`
	LeftFiles  int64     `json:"left_files"`
}
