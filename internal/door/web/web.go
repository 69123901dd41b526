// Package web is what every HTTP door does the same: it asks who is there, bounds how long they may take, answers failures as problem details, and
// notes each request without its path.
//
//	front := &web.Front{Identify: ..., Log: log}
//	mux := web.NewMux()
//	mux.HandleFunc("GET /studies", ...)
//	handler := front.Handler(mux.ServeMux)
//
// It promises: a request with a bearer token that is not in force gets no further; a body that trickles and a reader that stalls are given up; a panic
// costs one request; the log and the metrics hold the pattern of a route, never a path, a query or a header. Failures are told as [Fail] says.
//
// It does not decide what a caller may do: the flows below ask policy themselves.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// Caller is who sent a request: without grants, nobody in particular.
type Caller struct {
	Actor  string // what the audit log calls them
	Grants []policy.Grant
}

// Anonymous reports a caller who showed nothing.
func (c Caller) Anonymous() bool { return c.Actor == "" && len(c.Grants) == 0 }

// Knows reports whether the caller has any role in a collection, and so may learn that it exists.
func (c Caller) Knows(collection string) bool {
	for _, g := range c.Grants {
		if g.Collection == policy.AllCollections || g.Collection == collection {
			return true
		}
	}
	return false
}

// Front is what stands before the routes of a door.
type Front struct {
	// Cut puts into the context of a request what ends its connection at once, for whoever below may have to; nil: nobody may.
	Cut func(ctx context.Context, hangUp func()) context.Context
	// Identify recognises a bearer token; a fault.Denied says that it is not in force.
	Identify func(ctx context.Context, token string) (Caller, error)
	// Session recognises who has signed in with a browser; nil: nobody can. A request without a session is anonymous, and no error.
	Session func(r *http.Request) (Caller, error)
	Log     *slog.Logger
	// Show answers a person's browser with a problem as a page; nil: everybody gets problem details.
	Show func(w http.ResponseWriter, r *http.Request, p Problem, more http.Header)
	// Place is where the node stands.
	Place Place
	// Observe is told of each request when it has been answered; may be nil.
	Observe func(Observation)

	elsewhere *http.CrossOriginProtection // recognises requests that another site's page made a browser send
}

// Observation is what may be counted of a request.
type Observation struct {
	Route  string // the pattern that matched, or "none"
	Status int    // 0: the connection was cut
	Took   time.Duration
	In     int64
	Out    int64

	Context context.Context // of the request as it came
}

const (
	stall    = 30 * time.Second // how long one read of a body, or one write of an answer, may take
	minSpeed = 1 << 10          // bytes a second that a body has to bring, counted after grace
	grace    = 30 * time.Second
)

// Server is an HTTP server that gives up on who does not speak.
func Server(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(quiet{log.Handler()}, slog.LevelDebug),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
}

type connKey struct{}

// hangUp ends the connection of a request at once: what waits in its buffers is not sent.
func hangUp(r *http.Request) {
	c, ok := r.Context().Value(connKey{}).(net.Conn)
	if !ok {
		return
	}
	under := c
	if t, ok := c.(*tls.Conn); ok {
		under = t.NetConn()
	}
	if t, ok := under.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // a reset in place of an end
	}
	_ = under.Close()
}

// quiet drops what net/http writes about single connections: it may repeat what a client sent.
type quiet struct{ slog.Handler }

func (quiet) Enabled(context.Context, slog.Level) bool { return false }

type callerKey struct{}

// CallerOf is who sent the request.
func CallerOf(r *http.Request) Caller {
	c, _ := r.Context().Value(callerKey{}).(Caller)
	return c
}

type frontKey struct{}

// Again asks anew who sent a request: an answer that lasts may outlast a session or a token. Without a front before it, a request is as it came.
func Again(r *http.Request) (Caller, error) {
	f, ok := r.Context().Value(frontKey{}).(*Front)
	if !ok {
		return CallerOf(r), nil
	}
	return f.identify(r)
}

// WithCaller makes a request of the caller's, for tests.
func WithCaller(r *http.Request, c Caller) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

// Handler puts the front before the routes.
func (f *Front) Handler(mux *http.ServeMux) http.Handler {
	f.elsewhere = http.NewCrossOriginProtection()
	if f.Place.Public != "" {
		if err := f.elsewhere.AddTrustedOrigin(f.Place.Public); err != nil { // a proxy may call the node by another name than browsers do
			f.Log.Error("the public URL is not an origin", "error", err)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(mux, w, r) })
}

func (f *Front) serve(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	begun, came := time.Now(), r.Context()
	a := &answer{ResponseWriter: w, control: http.NewResponseController(w)}
	_ = a.control.SetWriteDeadline(time.Time{}) // that of the request before, on the same connection
	if f.Show != nil && forReading(r) {
		a.show = f.Show
	}
	body := &slowBody{ReadCloser: r.Body, control: a.control, begun: begun}
	r.Body = body
	route := "none"
	defer func() {
		v := recover()
		cut := v != nil
		if v != nil && !aborted(v) {
			f.Log.Error("a request ended in a panic", "route", route, "panic", kindOfPanic(v), "stack", string(debug.Stack()))
			if !a.begun() {
				cut = false
				Fail(a, r, fault.New(fault.Internal, "answer request", "", ""))
			}
		}
		code := a.status
		if cut {
			code = 0
		}
		f.note(r, Observation{Route: route, Status: code, Took: time.Since(begun), In: body.n.Load(), Out: a.n, Context: came}, a.failed)
		if cut {
			panic(http.ErrAbortHandler)
		}
	}()
	if f.Cut != nil {
		of := r
		r = r.WithContext(f.Cut(r.Context(), func() { hangUp(of) }))
	}
	r = WithPlace(r, f.Place)
	w.Header().Set("X-Content-Type-Options", "nosniff") // much of what is served came from elsewhere
	if strings.HasPrefix(f.Place.Public, "https://") {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
	}
	caller, err := f.identify(r)
	if err != nil {
		Fail(a, r, err)
		return
	}
	r = r.WithContext(context.WithValue(context.WithValue(r.Context(), callerKey{}, caller), frontKey{}, f))
	h, pattern := mux.Handler(r)
	if pattern == "" {
		// Nothing matches: the mux knows whether another method would.
		probe := &answer{ResponseWriter: nobody{http.Header{}}}
		h.ServeHTTP(probe, r)
		Fail(a, r, unmatched(probe.status, probe.Header().Get("Allow")))
		return
	}
	route = pattern
	mux.ServeHTTP(a, r)
}

// forReading reports a browser that shows what it gets to a person. Services for programs answer programs, whatever they accept.
func forReading(r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/api/") || strings.Contains(r.URL.Path, "/dicomweb") {
		return false
	}
	kind, _, _ := strings.Cut(r.Header.Get("Accept"), ",")
	return strings.TrimSpace(kind) == "text/html"
}

func unmatched(code int, allow string) error {
	if code == http.StatusMethodNotAllowed {
		return &Error{Status: code, Attempt: "answer request", Reason: "this address does not take that method", Advice: "Use one of: " + allow + ".", Header: http.Header{"Allow": {allow}}}
	}
	return fault.New(fault.NotFound, "answer request", "", "there is nothing at this address")
}

// aborted reports the panic that cuts a connection on purpose.
func aborted(v any) bool {
	err, ok := v.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

// kindOfPanic names a panic without its text, which may hold anything.
func kindOfPanic(v any) string {
	if _, ok := v.(interface{ RuntimeError() }); ok {
		return v.(error).Error()
	}
	return "a panic of the program's own"
}

func (f *Front) note(r *http.Request, o Observation, failed error) {
	if f.Observe != nil {
		f.Observe(o)
	}
	level := slog.LevelDebug
	args := []any{"route", o.Route, "status", o.Status, "took", o.Took.Round(time.Microsecond), "in", o.In, "out", o.Out}
	if o.Status >= 500 || o.Status == 0 && failed != nil && !isGone(r, failed) {
		level = slog.LevelError
		if failed != nil {
			args = append(args, "error", failed)
		}
	}
	f.Log.Log(context.WithoutCancel(r.Context()), level, "http request", args...)
}

// isGone reports that the caller went away: their doing, not ours.
func isGone(r *http.Request, err error) bool {
	var n net.Error
	return r.Context().Err() != nil || errors.Is(err, context.Canceled) || errors.As(err, &n)
}

// identify asks who sent the request.
func (f *Front) identify(r *http.Request) (Caller, error) {
	h := r.Header.Values("Authorization")
	if len(h) == 0 {
		// A browser sends its cookie along whoever made it ask: what changes anything has to come from a page of this node.
		if err := f.elsewhere.Check(r); err != nil {
			return Caller{}, Refuse(http.StatusForbidden, "answer request", "it comes from a page of another site", "Go to the node's own page and do it there.")
		}
		if f.Session == nil {
			return Caller{}, nil
		}
		return f.Session(r)
	}
	scheme, token, _ := strings.Cut(h[0], " ")
	if len(h) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return Caller{}, challenge("the request shows something other than a bearer token", `Bearer realm="vitrine", error="invalid_request"`)
	}
	c, err := f.Identify(r.Context(), strings.TrimSpace(token))
	if fault.Is(err, fault.Denied) {
		return Caller{}, challenge("the token is not known, was revoked or has expired", `Bearer realm="vitrine", error="invalid_token"`)
	}
	return c, err
}

func challenge(reason, header string) error {
	return &Error{Status: http.StatusUnauthorized, Attempt: "recognise caller", Reason: reason, Advice: "Send the header Authorization: Bearer, followed by a token that is in force.",
		Header: http.Header{"Www-Authenticate": {header}}}
}

// Known is the caller, or the failure to answer with where they showed nothing.
func Known(r *http.Request) (Caller, error) {
	c := CallerOf(r)
	if c.Anonymous() {
		return c, challenge("this is not for everybody", `Bearer realm="vitrine"`)
	}
	return c, nil
}

// answer counts what is sent and gives up on who does not take it.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	n       int64
	until   time.Time
	failed  error
	show    func(w http.ResponseWriter, r *http.Request, p Problem, more http.Header)
}

func (a *answer) begun() bool { return a.status != 0 }

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(code int) {
	if a.status == 0 && code >= 200 {
		a.status = code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.control != nil {
		if now := time.Now(); now.After(a.until.Add(-stall + time.Second)) {
			a.until = now.Add(stall)
			_ = a.control.SetWriteDeadline(a.until) // where it is not supported nothing stalls
		}
	}
	n, err := a.ResponseWriter.Write(p)
	a.n += int64(n)
	return n, err
}

// slowBody gives up on a body that trickles.
type slowBody struct {
	io.ReadCloser
	control *http.ResponseController
	begun   time.Time
	waited  time.Duration // in reads alone: what the node takes to work is not the sender's fault
	n       atomic.Int64

	mu          sync.Mutex
	until       time.Time
	interrupted bool
}

// Interrupt ends the reading of a request's body, now and for good: a read that waits fails at once, and so does each that comes after. A deadline that is set for the
// connection does not, because the next read sets it anew. body is that of a request behind a front.
func Interrupt(body io.Reader) {
	b, ok := body.(*slowBody)
	if !ok {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.interrupted = true
	_ = b.control.SetReadDeadline(time.Unix(1, 0))
}

// wait gives the next read its time, and reports whether there is none.
func (b *slowBody) wait(now time.Time) (interrupted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.interrupted && now.After(b.until.Add(-stall+time.Second)) {
		b.until = now.Add(stall)
		_ = b.control.SetReadDeadline(b.until)
	}
	return b.interrupted
}

// ended gives the node as long as it takes for what it still has to do.
func (b *slowBody) ended() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.interrupted {
		_ = b.control.SetReadDeadline(time.Time{})
	}
}

func (b *slowBody) Read(p []byte) (int, error) {
	now := time.Now()
	if b.wait(now) {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended()
	}
	b.waited += time.Since(now)
	total := b.n.Add(int64(n))
	if b.waited > grace && total < int64((b.waited-grace).Seconds()*minSpeed) {
		return n, &Error{Status: http.StatusRequestTimeout, Attempt: "read request", Reason: "its body comes too slowly", Advice: "Send it again over a better line, in smaller parts."}
	}
	var timeout net.Error
	switch {
	case err == nil || err == io.EOF:
	case errors.As(err, &timeout) && timeout.Timeout():
		err = &Error{Status: http.StatusRequestTimeout, Attempt: "read request", Reason: "its body stopped coming", Advice: "Send it again."}
	default: // it ends early, or its chunks are none: the sender's fault, whoever reads it
		if _, quotes := errors.AsType[textproto.ProtocolError](err); quotes {
			err = nil // a trailer that is none, which the error repeats: it may hold anything
		}
		err = &Error{Status: http.StatusBadRequest, Attempt: "read request", Reason: "its body cannot be read to its end", Advice: "Send it again whole.", Err: err}
	}
	return n, err
}

// nobody takes an answer that is not sent.
type nobody struct{ h http.Header }

func (n nobody) Header() http.Header         { return n.h }
func (n nobody) Write(p []byte) (int, error) { return len(p), nil }
func (n nobody) WriteHeader(int)             {}
