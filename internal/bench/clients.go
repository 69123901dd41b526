//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// A tally is what clients saw.
type tally struct {
	mu       sync.Mutex
	ops      int
	bytes    int64
	matches  int
	failed   int
	why      string // of the first failure
	warnings int
	times    []time.Duration
}

func (t *tally) done(ops int, n int64, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ops += ops
	t.bytes += n
	t.times = append(t.times, took)
}

func (t *tally) fail(n int, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed += n; t.why == "" {
		t.why = why
	}
}

// percentile of sorted times, by nearest rank.
func percentile(times []time.Duration, p float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(len(times)-1, int(p/100*float64(len(times))))]
}

// send stores n instances by C-STORE, an equal share in order on each association, each sent when the one before has been answered.
func send(ctx context.Context, s *server, n, associations int, instance func(i int) (*sample.Instance, error)) (*tally, error) {
	first, err := instance(0)
	if err != nil {
		return nil, err
	}
	offer := []network.Proposal{{AbstractSyntax: first.SOPClassUID, TransferSyntaxes: []string{first.Syntax().UID}}}
	t := &tally{}
	var wg sync.WaitGroup
	errs := make([]error, associations)
	for k := range associations {
		wg.Go(func() {
			errs[k] = func() error {
				a, err := network.Dial(ctx, s.dicom, network.DialOptions{CallingAE: "BENCH", CalledAE: s.aet, Contexts: offer})
				if err != nil {
					return err
				}
				for i := n * k / associations; i < n*(k+1)/associations; i++ {
					in, err := instance(i)
					if err != nil {
						a.Abort()
						return err
					}
					began := time.Now()
					st, err := a.Store(ctx, &network.Instance{SOPClassUID: in.SOPClassUID, SOPInstanceUID: in.SOPInstanceUID, TransferSyntaxUID: in.Syntax().UID, Bytes: in.Data()})
					if err != nil {
						return err
					}
					if st.Code != network.StatusSuccess {
						t.fail(1, fmt.Sprintf("status %04X", st.Code))
						continue
					}
					t.done(1, int64(len(in.Data())), time.Since(began))
				}
				return a.Release(ctx)
			}()
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("C-STORE to %s: %w", s.name, err)
		}
	}
	return t, nil
}

func webClient(connections int) *http.Client {
	return &http.Client{Timeout: 5 * time.Minute, Transport: &http.Transport{
		MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DisableCompression: true, ReadBufferSize: 128 << 10, WriteBufferSize: 128 << 10}}
}

func (s *server) request(ctx context.Context, method, url string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	return r, nil
}

// json reads an answer that is JSON.
func (s *server) json(ctx context.Context, url string, into any) error {
	r, err := s.request(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json, application/dicom+json")
	resp, err := s.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", s.name, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// deposit stores n instances by STOW-RS, so many in a request.
func deposit(ctx context.Context, s *server, n, batch, connections int, instance func(i int) (*sample.Instance, error)) (*tally, error) {
	t := &tally{}
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, connections)
	for k := range connections {
		wg.Go(func() {
			for errs[k] == nil {
				from := int(next.Add(int64(batch))) - batch
				if from >= n {
					return
				}
				errs[k] = depositOne(ctx, s, t, from, min(n, from+batch), instance)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("STOW-RS to %s: %w", s.name, err)
		}
	}
	return t, nil
}

func depositOne(ctx context.Context, s *server, t *tally, from, to int, instance func(i int) (*sample.Instance, error)) error {
	const boundary = "part-of-a-deposit"
	var parts []io.Reader
	size := int64(0)
	add := func(b []byte) {
		parts = append(parts, bytes.NewReader(b))
		size += int64(len(b))
	}
	for i := from; i < to; i++ {
		in, err := instance(i)
		if err != nil {
			return err
		}
		add([]byte("--" + boundary + "\r\nContent-Type: application/dicom\r\n\r\n"))
		add(in.File())
		add([]byte("\r\n"))
	}
	add([]byte("--" + boundary + "--\r\n"))
	r, err := s.request(ctx, http.MethodPost, s.web+"/studies", io.MultiReader(parts...))
	if err != nil {
		return err
	}
	r.ContentLength = size
	r.Header.Set("Content-Type", `multipart/related; type="application/dicom"; boundary=`+boundary)
	r.Header.Set("Accept", "application/dicom+json")
	began := time.Now()
	resp, err := s.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	took := time.Since(began)
	// ReferencedSOPSequence is what the server says that it stored, WarningReason in it that it did so with a reserve (PS3.18 10.5.3).
	var answer map[string]struct{ Value []json.RawMessage }
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("answered %s with what is no JSON: %w", resp.Status, err)
	}
	stored := answer["00081199"].Value
	if len(stored) < to-from {
		t.fail(to-from-len(stored), resp.Status)
	}
	for _, v := range stored {
		var item map[string]json.RawMessage
		if json.Unmarshal(v, &item) == nil && item["00081196"] != nil {
			t.mu.Lock()
			t.warnings++
			t.mu.Unlock()
		}
	}
	t.done(len(stored), size, took)
	return nil
}

// An ask is what to get: paths below the root of DICOMweb, in turn.
type ask struct {
	paths       []string
	accept      string
	most        int           // requests
	longest     time.Duration // to start new ones
	connections int
	count       bool // the entries of an answer in JSON
}

func get(ctx context.Context, s *server, a ask) (*tally, error) {
	t := &tally{}
	if err := getOne(ctx, s, &tally{}, a, a.paths[0]); err != nil { // opens the connection
		return nil, err
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, a.connections)
	end := time.Now().Add(a.longest)
	for k := range a.connections {
		wg.Go(func() {
			for errs[k] == nil && time.Now().Before(end) {
				i := int(next.Add(1)) - 1
				if i >= a.most {
					return
				}
				errs[k] = getOne(ctx, s, t, a, a.paths[i%len(a.paths)])
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("GET from %s: %w", s.name, err)
		}
	}
	return t, nil
}

// buffers are large, so that clients leave the processors to servers.
var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

func getOne(ctx context.Context, s *server, t *tally, a ask, path string) error {
	r, err := s.request(ctx, http.MethodGet, s.web+path, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", a.accept)
	began := time.Now()
	resp, err := s.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var n int64
	var body []byte
	if a.count {
		body, err = io.ReadAll(resp.Body)
		n = int64(len(body))
	} else {
		buf := buffers.Get().(*[]byte)
		// Neither side may know a way around the buffer: that of io.Discard is 8 KiB.
		n, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, *buf)
		buffers.Put(buf)
	}
	if err != nil {
		return err
	}
	took := time.Since(began)
	if resp.StatusCode/100 != 2 {
		t.fail(1, resp.Status)
		return nil
	}
	if a.count && len(body) > 0 {
		var list []json.RawMessage
		if err := json.Unmarshal(body, &list); err != nil {
			return fmt.Errorf("an answer is no list: %w", err)
		}
		t.mu.Lock()
		t.matches += len(list)
		t.mu.Unlock()
	}
	t.done(1, n, took)
	return nil
}

// quiet is a list without what is empty.
func quiet(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), "; ")
}
