package upload

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	flow "github.com/vitrine-imaging/vitrine/internal/flow/upload"
)

// answer takes what tusd's handler says, and says it as this node does: problems as problem details, addresses without a host, which behind a proxy would be wrong, and what
// tusd does not know. How long a request may take is the front's to say: but for a body that is to be interrupted, deadlines are not passed on.
type answer struct {
	http.ResponseWriter
	r        *http.Request
	x        *exchange
	body     io.Reader // of the request, as the front gives it
	draining context.Context

	failed int // the status of a problem; 0: none
	text   strings.Builder
}

func (a *answer) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && !t.After(time.Now()) {
		web.Interrupt(a.body)
	}
	return nil
}

func (a *answer) SetWriteDeadline(time.Time) error { return nil }

func (a *answer) WriteHeader(code int) {
	h := a.Header()
	if at := h.Get("Location"); at != "" {
		if _, path, ok := strings.Cut(at, "://"); ok {
			if i := strings.IndexByte(path, '/'); i >= 0 {
				h.Set("Location", path[i:])
			}
		}
	}
	if h.Get("Tus-Extension") != "" {
		h.Set("Tus-Extension", h.Get("Tus-Extension")+",expiration,checksum")
		h.Set("Tus-Checksum-Algorithm", "sha256,sha1")
	}
	if code >= 400 {
		a.failed = code
		return
	}
	if !a.x.expires.IsZero() {
		h.Set("Upload-Expires", a.x.expires.UTC().Format(http.TimeFormat))
	}
	if a.x.outcome != "" {
		h.Set("Vitrine-Outcome", a.x.outcome)
	}
	h.Set("Cache-Control", "no-store")
	a.ResponseWriter.WriteHeader(code)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.failed != 0 {
		if a.text.Len() < 256 {
			a.text.Write(p)
		}
		return len(p), nil
	}
	return a.ResponseWriter.Write(p)
}

// end sends the problem, if there is one.
func (a *answer) end() {
	if a.failed == 0 {
		return
	}
	err := a.x.err
	if err == nil {
		code, _, _ := strings.Cut(a.text.String(), ":")
		err = a.protocol(code)
	}
	a.fail(err)
}

func (a *answer) fail(err error) {
	keep := http.Header{"Tus-Resumable": {"1.0.0"}}
	for _, k := range []string{"Location", "Tus-Version"} {
		if v := a.Header().Values(k); len(v) > 0 {
			keep[k] = v
		}
	}
	e := &web.Error{Attempt: "upload", Header: keep}
	switch refusal, ok := errors.AsType[*custody.Refusal](err); {
	case a.draining.Err() != nil:
		e.Status, e.Reason, e.Advice = http.StatusServiceUnavailable, "the node is about to restart; what has come is kept", "Go on in a moment."
		keep.Set("Retry-After", "5")
	case errors.Is(err, flow.ErrFull):
		e.Status, e.Reason, e.Advice = http.StatusInsufficientStorage, "the node has no room for it; what came before is kept", "Ask the node's administrator for room, and go on then."
	case errors.Is(err, flow.ErrChecksum):
		e.Status, e.Reason, e.Advice = statusChecksum, "what came is not what was sent: the digests differ", "Send it again."
	case ok && fault.KindOf(refusal) != fault.Unavailable: // else it is no judgement: it may be sent again as it is
		e.Status, e.Reason, e.Code = http.StatusUnprocessableEntity, refusal.Reason.Within(500), refusal.Reason.Code
		if e.Advice = refusal.Reason.Advice(); e.Advice == "" {
			e.Advice = "Nothing of it is kept. Mend it at the source, and send it again."
		}
	default:
		if given, ok := errors.AsType[*web.Error](ofLink(err)); ok {
			e.Status, e.Attempt, e.Reason, e.Advice, e.Code = given.Status, given.Attempt, given.Reason, given.Advice, given.Code
			for k, v := range given.Header {
				keep[k] = v
			}
			break
		}
		p, more := web.ProblemOf(err)
		e.Status, e.Reason, e.Advice = p.Status, p.Detail, p.Advice
		for k, v := range more {
			keep[k] = v
		}
		if p.Status >= 500 {
			e.Err = err // for the log
		}
	}
	web.Fail(a.ResponseWriter, a.r, e)
}

// protocol is what tusd's own failures are called here.
func (a *answer) protocol(code string) error {
	said := map[string]struct{ reason, advice string }{
		"ERR_UNSUPPORTED_VERSION":     {"the header Tus-Resumable is missing, or names another version than 1.0.0", "Send Tus-Resumable: 1.0.0."},
		"ERR_MAX_SIZE_EXCEEDED":       {"the file is larger than is taken here", "Ask the node's administrator about its limits."},
		"ERR_INVALID_CONTENT_TYPE":    {"the body is not of type application/offset+octet-stream", "Send it as that."},
		"ERR_INVALID_UPLOAD_LENGTH":   {"the header Upload-Length is missing, or no number of bytes", "Send the number of bytes of the file."},
		"ERR_INVALID_OFFSET":          {"the header Upload-Offset is missing, or no number of bytes", "Ask with HEAD how many bytes are there, and send that number."},
		"ERR_MISMATCHED_OFFSET":       {"another number of bytes is there than the request goes on from", "Ask with HEAD how many bytes are there, and go on from there."},
		"ERR_UPLOAD_SIZE_EXCEEDED":    {"the request brings more bytes than were announced", "Send no more than is left of the file."},
		"ERR_UPLOAD_LOCKED":           {"another request works on this upload", "Try again in a moment."},
		"ERR_LOCK_TIMEOUT":            {"another request works on this upload", "Try again in a moment."},
		"ERR_UPLOAD_INTERRUPTED":      {"another request for this upload has come, and took its place", "Ask with HEAD how many bytes are there."},
		"ERR_NOT_IMPLEMENTED":         {"the length of the file has to be known when its upload begins", "Send Upload-Length."},
		"ERR_AMBIGUOUS_UPLOAD_LENGTH": {"the length of the file has to be known when its upload begins", "Send Upload-Length alone."},
		"ERR_UNEXPECTED_EOF":          {"the body ended before its end; what came is kept", "Ask with HEAD how many bytes are there, and go on from there."},
		"ERR_CONNECTION_RESET":        {"the body ended before its end; what came is kept", "Ask with HEAD how many bytes are there, and go on from there."},
		"ERR_READ_TIMEOUT":            {"the body stopped coming; what came is kept", "Ask with HEAD how many bytes are there, and go on from there."},
	}
	s, ok := said[code]
	switch code {
	case "ERR_NOT_IMPLEMENTED":
		a.failed = http.StatusBadRequest
	case "ERR_LOCK_TIMEOUT":
		a.failed = http.StatusLocked
	case "ERR_READ_TIMEOUT":
		a.failed = http.StatusRequestTimeout
	}
	if !ok {
		s.reason, s.advice = "the request does not fit the protocol tus 1.0.0, or broke off", "Ask with HEAD how many bytes are there, and go on from there."
		if a.failed >= 500 {
			a.failed = http.StatusBadRequest // a body that could not be read to its end
		}
	}
	return web.Refuse(a.failed, "upload", s.reason, s.advice)
}
