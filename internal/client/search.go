package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// Level is what is searched for.
type Level string

// The levels.
const (
	Study    Level = "study"
	Series   Level = "series"
	Instance Level = "instance"
)

// Query is a search (PS3.18 10.6).
type Query struct {
	Collection string // empty: all that the token may see
	Level      Level
	Study      string     // of this study, if given
	Series     string     // of this series of the study, if given
	Match      url.Values // attribute: value, in DICOM's own matching language
	Include    []string   // further attributes
	Limit      int        // at most so many; 0: all
	Offset     int
}

// page is how many results are asked for at a time.
const page = 500

// Search calls fn for each result, page after page.
func (c *Client) Search(ctx context.Context, q Query, fn func(Attributes) error) error {
	for got := 0; q.Limit == 0 || got < q.Limit; {
		want := page
		if q.Limit > 0 {
			want = min(page, q.Limit-got)
		}
		n, more, err := c.searchPage(ctx, q, q.Offset+got, want, fn)
		if err != nil {
			return err
		}
		got += n
		// A server may give fewer at a time than it was asked for, and say so by a Warning (PS3.18 8.3.4.4); an empty page is the end for certain.
		if n == 0 || n < want && !more {
			return nil
		}
	}
	return nil
}

func (c *Client) searchPage(ctx context.Context, q Query, offset, limit int, fn func(Attributes) error) (n int, more bool, err error) {
	v := url.Values{}
	for k, all := range q.Match {
		v[k] = append([]string(nil), all...)
	}
	for _, f := range q.Include {
		v.Add("includefield", f)
	}
	v.Set("limit", strconv.Itoa(limit))
	if offset > 0 {
		v.Set("offset", strconv.Itoa(offset))
	}
	var path []string
	if q.Study != "" {
		path = append(path, "studies", q.Study)
	}
	if q.Series != "" {
		path = append(path, "series", q.Series)
	}
	switch q.Level {
	case Study:
		path = append(path, "studies")
	case Series:
		path = append(path, "series")
	default:
		path = append(path, "instances")
	}
	r, err := c.request(ctx, http.MethodGet, c.at(v, dicomweb(q.Collection, path...)...), nil)
	if err != nil {
		return 0, false, err
	}
	r.Header.Set("Accept", "application/dicom+json")
	resp, err := c.do(r)
	if err != nil {
		return 0, false, err
	}
	defer discard(resp)
	switch {
	case resp.StatusCode == http.StatusNoContent:
		return 0, false, nil
	case resp.StatusCode != http.StatusOK:
		return 0, false, problem(resp)
	}
	more = resp.Header.Get("Warning") != ""
	d := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	if _, err := d.Token(); err == io.EOF {
		return 0, false, nil
	} else if err != nil {
		return 0, false, unreadable(err)
	}
	for d.More() {
		var a Attributes
		if err := d.Decode(&a); err != nil {
			return n, false, unreadable(err)
		}
		n++
		if err := fn(a); err != nil {
			return n, false, err
		}
	}
	if _, err := d.Token(); err != nil {
		return n, false, unreadable(err)
	}
	return n, more, nil
}

func unreadable(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("the server's answer to the search cannot be read: %w", err)
}
