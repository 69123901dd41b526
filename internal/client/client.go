// Package client speaks to a node, or to any other DICOMweb server, over HTTP (PS3.18): it stores, searches and retrieves.
//
//	c, err := client.New("https://node.example.org", token, client.Options{})
//	answer, err := c.Store(ctx, "breast", files)       // STOW-RS
//	err = c.Search(ctx, client.Query{Level: client.Study, ...}, func(client.Attributes) error {...})
//	digest, err := c.Instance(ctx, ref, w)             // WADO-RS, checked against the server's digest
//
// It promises: a token is never sent in clear beyond this machine unless that was asked for, nor to another host that a redirect names; instances are
// streamed in both directions and never held whole; what was read is checked against the digest that the server gives (RFC 9530), and a difference is an
// error. Errors carry the server's problem details (RFC 9457) and never a file's name.
//
// It does not retry by itself where a caller may want to do otherwise: [Retry] does, and [Temporary] says which errors are worth it.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Options say how to speak to a server.
type Options struct {
	PlainHTTP   bool // send the token over http beyond this machine all the same
	Connections int  // to keep open at a time; 4 unless given
	Agent       string
	Header      http.Header       // sent with each request; it shows who asks, as a token does
	Transport   http.RoundTripper // nil: the standard library's
}

// Client speaks to one server. Many goroutines may use it.
type Client struct {
	base  *url.URL
	token string
	// cookies of somebody who has signed in; nil: nobody has
	cookies http.CookieJar
	header  http.Header
	agent   string
	http    *http.Client
}

// New is a client of the server at an address such as https://node.example.org. The token may be empty.
func New(server, token string, o Options) (*Client, error) {
	if !strings.Contains(server, "://") {
		return nil, fmt.Errorf("a server's address begins with https:// or http://: %q does not", server)
	}
	u, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("the server's address cannot be read: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("a server's address is https://HOST[:PORT][/PATH], or http:// on this machine")
	}
	if u.User != nil {
		return nil, errors.New("a server's address holds no password; give a token instead")
	}
	if (token != "" || len(o.Header) > 0) && u.Scheme == "http" && !o.PlainHTTP && !loopback(u.Hostname()) {
		return nil, errors.New("over http:// the token or link and the images would travel in clear; use https://, or --plain-http if the network itself is protected")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	t := o.Transport
	if t == nil {
		d := http.DefaultTransport.(*http.Transport).Clone()
		d.MaxIdleConnsPerHost = max(o.Connections, 4)
		d.DisableCompression = true // digests are over what is sent, and pixels do not shrink
		d.ResponseHeaderTimeout = 10 * time.Minute
		d.ReadBufferSize, d.WriteBufferSize = 128<<10, 128<<10
		t = d
	}
	c := &Client{base: u, token: token, header: o.Header, agent: o.Agent}
	c.http = &http.Client{Transport: t, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > 5 || r.URL.Host != u.Host || r.URL.Scheme != u.Scheme {
			return errors.New("the server sends elsewhere; give the address that it names, if you trust it")
		}
		return nil
	}}
	return c, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Server is the address.
func (c *Client) Server() string { return c.base.String() }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// at is an address below the server's.
func (c *Client) at(query url.Values, path ...string) string {
	u := *c.base
	u.RawPath = u.EscapedPath()
	for _, p := range path {
		u.Path += "/" + p
		u.RawPath += "/" + url.PathEscape(p)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// dicomweb is the path of the DICOMweb services: of everything, or of one collection.
func dicomweb(collection string, path ...string) []string {
	if collection == "" {
		return append([]string{"dicomweb"}, path...)
	}
	return append([]string{"collections", collection, "dicomweb"}, path...)
}

func (c *Client) request(ctx context.Context, method, address string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for k, v := range c.header {
		r.Header[k] = v
	}
	if c.agent != "" {
		r.Header.Set("User-Agent", c.agent)
	}
	return r, nil
}

func (c *Client) do(r *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(r)
	if ue, ok := errors.AsType[*url.Error](err); ok {
		// Without the address, which may name what was asked for.
		return nil, &Unreachable{Server: c.Server(), Err: ue.Err}
	}
	return resp, err
}

// JSON sends a value and reads one; either may be nil.
func (c *Client) JSON(ctx context.Context, method string, query url.Values, send, receive any, path ...string) error {
	if send == nil {
		return c.Body(ctx, method, query, "", nil, receive, path...)
	}
	b, err := json.Marshal(send)
	if err != nil {
		return err
	}
	return c.Body(ctx, method, query, "application/json", strings.NewReader(string(b)), receive, path...)
}

// Body sends what it reads, as the media type given, and reads a value; the reader and the value may be nil.
func (c *Client) Body(ctx context.Context, method string, query url.Values, kind string, body io.Reader, receive any, path ...string) error {
	r, err := c.request(ctx, method, c.at(query, path...), body)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", kind)
	}
	resp, err := c.do(r)
	if err != nil {
		return err
	}
	defer discard(resp)
	if resp.StatusCode/100 != 2 {
		return problem(resp)
	}
	if receive == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(receive); err != nil {
		return fmt.Errorf("the answer of %s cannot be read: %w", c.Server(), err)
	}
	return nil
}

// File reads a small file of the API.
func (c *Client) File(ctx context.Context, query url.Values, path ...string) ([]byte, error) {
	r, err := c.request(ctx, http.MethodGet, c.at(query, path...), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.do(r)
	if err != nil {
		return nil, err
	}
	defer discard(resp)
	if resp.StatusCode/100 != 2 {
		return nil, problem(resp)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
}

const maxAnswer = 256 << 20

// discard lets the connection be used again.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 256<<10)
	resp.Body.Close()
}

// Unreachable says that no answer came.
type Unreachable struct {
	Server string
	Err    error
}

func (e *Unreachable) Error() string { return "no answer from " + e.Server + ": " + e.Err.Error() }
func (e *Unreachable) Unwrap() error { return e.Err }

// Problem is an answer that says no (RFC 9457).
type Problem struct {
	Status int           `json:"status"`
	Title  string        `json:"title"`
	Detail string        `json:"detail"`
	Advice string        `json:"advice"`
	Code   string        `json:"code"` // of the reason, for programs
	After  time.Duration `json:"-"`    // when to try again; zero: the server does not say
}

func (p *Problem) Error() string {
	text := p.Title
	if text == "" {
		text = http.StatusText(p.Status)
	}
	if p.Detail != "" && p.Detail != text {
		text += ": " + p.Detail
	}
	switch p.Status {
	case http.StatusUnauthorized:
		text += "\nGive a token that the server knows, in VITRINE_TOKEN or --token."
	case http.StatusForbidden:
		text += "\nThe token does not permit this; whoever runs the server can say what does."
	}
	return fmt.Sprintf("the server answers %d: %s", p.Status, text)
}

func problem(resp *http.Response) error {
	p := &Problem{}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if strings.HasSuffix(kind, "json") {
		if json.Unmarshal(b, p) != nil {
			p = &Problem{} // the status says enough
		}
	}
	p.Status = resp.StatusCode
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s >= 0 {
		p.After = time.Duration(min(s, 3600)) * time.Second
	}
	return p
}

// Temporary reports whether the same request may succeed later.
func Temporary(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		switch p.Status {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
			http.StatusInsufficientStorage, http.StatusLocked:
			return true
		}
		return false
	}
	if _, ok := errors.AsType[*Unreachable](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrDigest)
}

// Patience is how long Retry tries.
type Patience struct {
	For     time.Duration // no attempt begins later than this; 0: one attempt
	First   time.Duration // the first wait; each later one is twice as long
	Longest time.Duration
	// Waiting is told of each wait; may be nil.
	Waiting func(err error, wait time.Duration)
}

// Retry calls do until it succeeds, fails for good, or patience ends. Waits grow, and are spread so that many clients do not come back together.
func Retry(ctx context.Context, p Patience, do func() error) error {
	wait, end := p.First, time.Now().Add(p.For)
	for {
		err := do()
		if err == nil || !Temporary(err) {
			return err
		}
		d := wait/2 + rand.N(wait/2+1)
		if pr, ok := errors.AsType[*Problem](err); ok && pr.After > 0 {
			d = pr.After
		}
		if time.Now().Add(d).After(end) {
			return err
		}
		if p.Waiting != nil {
			p.Waiting(err, d)
		}
		t := time.NewTimer(d)
		select {
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		case <-t.C:
		}
		wait = min(2*wait, p.Longest)
	}
}
