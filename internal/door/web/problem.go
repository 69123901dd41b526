package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Problem is what went wrong, as RFC 9457 writes it. It names no patient and repeats nothing out of a request's path, query or body.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// What was attempted, on what, and what to do about it: extension members (RFC 9457 3.2).
	Attempted string `json:"attempted,omitempty"`
	Object    string `json:"object,omitempty"`
	Advice    string `json:"advice,omitempty"`
	Code      string `json:"code,omitempty"` // of the reason, for programs
}

// Error is a failure that HTTP has a status of its own for. Other failures are faults.
type Error struct {
	Status  int
	Attempt string
	Reason  string
	Advice  string
	Header  http.Header // sent along, may be nil
	Code    string      // of the reason, for programs; may be empty
	Err     error       // the cause, for the log alone; may be nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Attempt + ": " + e.Reason + ": " + e.Err.Error()
	}
	return e.Attempt + ": " + e.Reason
}

func (e *Error) Unwrap() error { return e.Err }

// Refuse makes an Error.
func Refuse(status int, attempt, reason, advice string) error {
	return &Error{Status: status, Attempt: attempt, Reason: reason, Advice: advice}
}

// status maps the kinds of failure to HTTP, in one place.
func status(k fault.Kind) (code int, advice string) {
	switch k {
	case fault.Invalid:
		return http.StatusBadRequest, "Correct the request and send it again."
	case fault.Denied:
		return http.StatusForbidden, "Ask whoever manages the collection for the role that this takes."
	case fault.NotFound:
		return http.StatusNotFound, "Check the address, and that your token is for the collection it belongs to."
	case fault.Conflict:
		return http.StatusConflict, "Look at what is there already, and decide which of the two is right."
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge, "Send less at once, or ask the node's administrator about its limits."
	case fault.Unavailable:
		return http.StatusServiceUnavailable, "Try again in a little while."
	}
	return http.StatusInternalServerError, "Tell the node's administrator; the node's log says more."
}

// ProblemOf describes an error. Of one that was not foreseen it says nothing: the text of such errors may hold anything.
func ProblemOf(err error) (Problem, http.Header) {
	p := Problem{Type: "about:blank"}
	if e, ok := errors.AsType[*Error](err); ok {
		p.Status, p.Attempted, p.Detail, p.Advice, p.Code = e.Status, e.Attempt, sentence(e.Reason), e.Advice, e.Code
		p.Title = http.StatusText(p.Status)
		return p, e.Header
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		p.Status, p.Title = http.StatusRequestEntityTooLarge, http.StatusText(http.StatusRequestEntityTooLarge)
		p.Detail = fmt.Sprintf("The request's body is longer than the %d bytes that are taken here.", e.Limit)
		_, p.Advice = status(fault.TooLarge)
		return p, nil
	}
	kind := fault.KindOf(err)
	p.Status, p.Advice = status(kind)
	p.Title = http.StatusText(p.Status)
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || kind == fault.Internal {
		p.Detail = "Something went wrong that was not foreseen."
		return p, nil
	}
	p.Attempted, p.Object = f.Attempt, f.Object
	p.Detail = sentence(reason(f))
	var h http.Header
	if kind == fault.Unavailable {
		h = http.Header{"Retry-After": {"5"}}
	}
	return p, h
}

// reason is why a fault happened, from the innermost fault that says so; the text of errors that are no faults is not repeated.
func reason(f *fault.Error) string {
	why := f.Reason
	for err := f.Err; err != nil; {
		inner, ok := errors.AsType[*fault.Error](err)
		if !ok {
			break
		}
		if inner.Reason != "" {
			why = inner.Reason
		}
		err = inner.Err
	}
	switch {
	case why != "":
	case f.Kind == fault.Unavailable:
		why = "a part that the node needs (its disk, its database or a store) does not answer now"
	default:
		why = f.Kind.String()
	}
	return why
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// gone is the answer to who ended the connection, or their half of it, before there was one: net/http stops the work then, and what fails for it is no failure of the node's. 499 is what web servers
// note in such a case; no standard has a status for it.
var gone = Problem{Type: "about:blank", Title: "Client Closed Request", Status: 499, Detail: "The connection was ended before the answer was ready.", Advice: "Keep it open until the answer has come, and ask again."}

// ProblemTo is ProblemOf for the answer to a request.
func ProblemTo(r *http.Request, err error) (Problem, http.Header) {
	p, more := ProblemOf(err)
	if _, meant := errors.AsType[*Error](err); !meant && p.Status >= 500 && errors.Is(r.Context().Err(), context.Canceled) {
		return gone, nil
	}
	return p, more
}

// Fail answers with the problem. Where a part of another answer is on its way already, the connection is cut instead: a short body would look whole.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	if a, ok := w.(*answer); ok {
		a.failed = err
		if a.begun() {
			panic(http.ErrAbortHandler)
		}
	}
	p, more := ProblemTo(r, err)
	h := w.Header()
	if a, ok := w.(*answer); ok && a.show != nil {
		a.show(w, r, p, more)
		return
	}
	for k := range h { // what was set for another answer
		if k != "Vary" && !strings.HasPrefix(k, "Access-Control-") {
			h.Del(k)
		}
	}
	for k, v := range more {
		h[k] = v
	}
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and a number
	}
	b = append(b, '\n')
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // whoever does not read it has gone
	}
}
