package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

const secret = "Geheimnis"

func front(log *bytes.Buffer, routes map[string]http.HandlerFunc, seen *[]Observation) http.Handler {
	mux := http.NewServeMux()
	for p, h := range routes {
		mux.HandleFunc(p, h)
	}
	f := &Front{
		Identify: func(_ context.Context, token string) (Caller, error) {
			switch token {
			case "good":
				return Caller{"token 1", []policy.Grant{{Role: policy.Steward, Collection: "breast"}}}, nil
			case "broken":
				return Caller{}, fault.New(fault.Unavailable, "recognise token", "", "the database does not answer")
			}
			return Caller{}, fault.New(fault.Denied, "recognise token", "", "not known")
		},
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if seen != nil {
		f.Observe = func(o Observation) { *seen = append(*seen, o) }
	}
	return f.Handler(mux)
}

// Each kind of failure has its status, says what to do, and repeats nothing that was not made to be told.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		detail string
	}{
		{fault.New(fault.Invalid, "read", "collection x", "it is so"), 400, "It is so."},
		{fault.New(fault.Denied, "read", "", "no role"), 403, "No role."},
		{fault.New(fault.NotFound, "find", "", "there is none"), 404, "There is none."},
		{fault.New(fault.Conflict, "add", "", "it is taken"), 409, "It is taken."},
		{fault.New(fault.TooLarge, "read", "", "too long"), 413, "Too long."},
		{fault.New(fault.Unavailable, "read", "", "not now"), 503, "Not now."},
		{fault.New(fault.Corrupt, "read", "", "it differs"), 500, "It differs."},
		{fault.New(fault.Internal, "read", "", secret), 500, "Something went wrong that was not foreseen."},
		{errors.New(secret), 500, "Something went wrong that was not foreseen."},
		{fault.Wrap(fault.Unavailable, "read", "", errors.New(secret)), 503, "A part that the node needs (its disk, its database or a store) does not answer now."},
		{fault.Wrap(fault.Invalid, "add", "", fault.New(fault.Invalid, "read", "", "the inner reason")), 400, "The inner reason."},
		{fmt.Errorf("%s: %w", secret, fault.New(fault.NotFound, "find", "", "there is none")), 404, "There is none."},
		{Refuse(406, "read", "not so", "Ask otherwise."), 406, "Not so."},
		{&http.MaxBytesError{Limit: 7}, 413, "The request's body is longer than the 7 bytes that are taken here."},
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Disposition", "attachment")
		Fail(w, httptest.NewRequest("GET", "/"+secret, nil), c.err)
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.status || p.Status != c.status || p.Detail != c.detail || p.Title == "" || p.Advice == "" {
			t.Errorf("%v: %d %s", c.err, w.Code, w.Body)
		}
		if w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Content-Disposition") != "" || strings.Contains(w.Body.String(), secret) {
			t.Errorf("%v: %v %s", c.err, w.Header(), w.Body)
		}
	}
}

func TestFront(t *testing.T) {
	var log bytes.Buffer
	var seen []Observation
	h := front(&log, map[string]http.HandlerFunc{
		"GET /who/{name}": func(w http.ResponseWriter, r *http.Request) {
			c, err := Known(r)
			if err != nil {
				Fail(w, r, err)
				return
			}
			io.WriteString(w, c.Actor)
		},
		"GET /panic":       func(http.ResponseWriter, *http.Request) { panic(secret) },
		"GET /panic/later": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "begun"); panic(secret) },
		"GET /cut": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "begun")
			Fail(w, r, fault.New(fault.Corrupt, "read", "", "a chunk is not what was stored"))
		},
	}, &seen)
	for _, c := range []struct {
		method, path, authorization string
		status                      int // 0: the connection is cut
		body                        string
	}{
		{"GET", "/who/" + secret, "Bearer good", 200, "token 1"},
		{"GET", "/who/" + secret, "bearer good", 200, "token 1"},
		{"GET", "/who/" + secret, "", 401, ""},
		{"GET", "/who/" + secret, "Bearer bad", 401, ""},
		{"GET", "/who/" + secret, "Basic " + secret, 401, ""},
		{"GET", "/who/" + secret, "Bearer broken", 503, ""},
		{"POST", "/who/" + secret, "Bearer good", 405, ""},
		{"GET", "/" + secret, "Bearer good", 404, ""},
		{"GET", "/panic", "", 500, ""},
		{"GET", "/panic/later", "", 0, ""},
		{"GET", "/cut", "", 0, ""},
	} {
		r := httptest.NewRequest(c.method, c.path+"?q="+secret, nil)
		if c.authorization != "" {
			r.Header.Set("Authorization", c.authorization)
		}
		w := httptest.NewRecorder()
		cut := false
		func() {
			defer func() { cut = aborted(recover()) }()
			h.ServeHTTP(w, r)
		}()
		if cut != (c.status == 0) || !cut && (w.Code != c.status || c.body != "" && w.Body.String() != c.body) {
			t.Errorf("%s %s %s: cut %v, %d %s", c.method, c.path, c.authorization, cut, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("%s: the answer repeats the request: %s", c.path, w.Body)
		}
		if o := seen[len(seen)-1]; o.Status != c.status || strings.Contains(o.Route, secret) {
			t.Errorf("%s: observed as %+v", c.path, o)
		}
	}
	if strings.Contains(log.String(), secret) {
		t.Errorf("the log repeats a request: %s", log.String())
	}
	if !strings.Contains(log.String(), "a chunk is not what was stored") {
		t.Error("the log does not say why a connection was cut")
	}
}

// Who sends next to nothing, or nothing any more, is given up.
func TestSlowBodies(t *testing.T) {
	for _, c := range []struct {
		name  string
		pause time.Duration
		bytes int
		ok    bool
	}{
		{"a byte every ten seconds", 10 * time.Second, 1, false},
		{"a silence", 2 * stall, 4096, false},
		{"slow and steady", 10 * time.Second, 40 << 10, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				var log bytes.Buffer
				result := make(chan error, 1)
				s := Server(front(&log, map[string]http.HandlerFunc{"POST /": func(_ http.ResponseWriter, r *http.Request) {
					_, err := io.Copy(io.Discard, r.Body)
					result <- err
				}}, nil), slog.New(slog.DiscardHandler))
				l := &one{conns: make(chan net.Conn, 1), done: make(chan struct{})}
				l.conns <- server
				go s.Serve(l)
				go io.Copy(io.Discard, client)
				go func() {
					const n = 20
					fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", n*c.bytes)
					for range n {
						if _, err := client.Write(make([]byte, c.bytes)); err != nil {
							return
						}
						time.Sleep(c.pause)
					}
				}()
				err := <-result
				if (err == nil) != c.ok {
					t.Errorf("got %v", err)
				}
				var e *Error
				if err != nil && (!errors.As(err, &e) || e.Status != http.StatusRequestTimeout) {
					t.Errorf("got %v, want 408", err)
				}
				client.Close()
				s.Close()
				time.Sleep(time.Hour)
			})
		})
	}
}

// one is a listener of one connection.
type one struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *one) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *one) Close() error {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	return nil
}

func (l *one) Addr() net.Addr { return &net.TCPAddr{} }

// Whoever is to end does not wait for a body that does not come, whether it is being read at that moment or is read only afterwards.
func TestInterrupt(t *testing.T) {
	for _, first := range []bool{true, false} {
		failed := make(chan error, 1)
		reading := make(chan struct{})
		var log bytes.Buffer
		s := httptest.NewServer(front(&log, map[string]http.HandlerFunc{"POST /take": func(_ http.ResponseWriter, r *http.Request) {
			body := r.Body
			if first {
				Interrupt(body)
			} else {
				go func() { <-reading; Interrupt(body) }()
			}
			b := make([]byte, 10)
			var err error
			for err == nil {
				var n int
				n, err = body.Read(b)
				if n > 0 && !first {
					close(reading)
				}
			}
			failed <- err
		}}, nil))
		pr, pw := io.Pipe()
		go func() {
			r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/take", pr)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer good")
			if resp, err := http.DefaultClient.Do(r); err == nil {
				resp.Body.Close()
			}
		}()
		go pw.Write([]byte("a"))
		select {
		case err := <-failed:
			if err == nil || errors.Is(err, io.EOF) {
				t.Errorf("interrupted before it was read %v: %v", first, err)
			}
		case <-time.After(stall / 2):
			t.Errorf("interrupted before it was read %v: it is still being read", first)
		}
		pw.Close()
		s.Close()
	}
}

// Who ends the connection before the answer is ready is no failure of the node's: no status of its own failures, and nothing in the log that somebody has to look at.
func TestGoneBeforeTheAnswer(t *testing.T) {
	var log bytes.Buffer
	var seen []Observation
	h := front(&log, map[string]http.HandlerFunc{"GET /x": func(w http.ResponseWriter, r *http.Request) { Fail(w, r, r.Context().Err()) }}, &seen)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil).WithContext(ctx))
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 499 || p.Status != 499 || p.Advice == "" {
		t.Errorf("status %d, %+v, %v", w.Code, p, err)
	}
	if len(seen) != 1 || seen[0].Status != 499 || strings.Contains(log.String(), "ERROR") {
		t.Errorf("%+v; the log says %s", seen, log.String())
	}
}

// A trailer that is none is the sender's fault, and its text goes nowhere.
func TestBodyWithABadTrailer(t *testing.T) {
	var log bytes.Buffer
	var said error
	s := httptest.NewServer(front(&log, map[string]http.HandlerFunc{"POST /x": func(w http.ResponseWriter, r *http.Request) {
		_, said = io.ReadAll(r.Body)
		Fail(w, r, fault.Wrap(fault.Unavailable, "read", "", said))
	}}, nil))
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\n"+secret+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(answer), " 400 ") {
		t.Errorf("%v: %s", err, answer)
	}
	s.Close()
	if said == nil || strings.Contains(said.Error(), secret) || strings.Contains(log.String(), secret) || strings.Contains(string(answer), secret) {
		t.Errorf("%v; the log says %s", said, log.String())
	}
}
