package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Uploads in pieces (tus 1.0.0): what is large, and what comes by a link.

// The outcomes of an upload that is whole.
const (
	OutcomeKept      = "kept"
	OutcomeDuplicate = "duplicate" // the same bytes were there before
	OutcomeHeld      = "held"
	OutcomeConflict  = "conflict"
	OutcomeRefused   = "refused"
)

// Upload is how a file stands that comes in pieces.
type Upload struct {
	ID      string // what the server calls it
	Offset  int64  // how many bytes are there
	Outcome string // empty: it is not whole
}

// Fate is what became of a file of a batch.
type Fate struct {
	Ordinal int64  `json:"ordinal"`
	Fate    string `json:"fate"`
	Reasons []struct {
		Code   string `json:"code"`
		Where  string `json:"where"`
		Text   string `json:"text"`
		Advice string `json:"advice"`
	} `json:"reasons"`
}

// Link is what a server tells of a link to who has it.
type Link struct {
	ID         string `json:"id"`
	Collection string `json:"collection"`
	LeftBytes  int64  `json:"left_bytes"`
	LeftFiles  int64  `json:"left_files"`
}

// linkMark is what the secret of a link begins with.
const linkMark = "vitrine-link_"

// ParseLink parts the link that somebody was sent into the server's address and the secret.
func ParseLink(link string) (server, secret string, err error) {
	u, err := url.Parse(strings.TrimSpace(link))
	if err != nil || u.Host == "" || !strings.HasPrefix(u.Fragment, linkMark) || len(u.Fragment) < len(linkMark)+40 {
		return "", "", fmt.Errorf("a link is https://HOST/send#%s and a long word, whole: put it between quotation marks", linkMark)
	}
	return u.Scheme + "://" + u.Host, u.Fragment, nil
}

// LinkHeader is what shows a link with each request. visit keeps apart what different people send by it: 16 to 128 characters of base64url that nobody else knows, the same from run to run.
func LinkHeader(secret, visit string) http.Header {
	return http.Header{"Vitrine-Link": {secret}, "Vitrine-Visit": {visit}}
}

// OwnLink asks what the link that the client shows is good for.
func (c *Client) OwnLink(ctx context.Context) (l Link, err error) {
	return l, c.JSON(ctx, http.MethodGet, nil, nil, &l, "upload", "links", "mine")
}

// BeginBatch begins a batch of uploads, which is a deposit. By a link the collection is the link's.
func (c *Client) BeginBatch(ctx context.Context, collection string) (id string, err error) {
	var b struct {
		Batch string `json:"batch"`
	}
	err = c.JSON(ctx, http.MethodPost, nil, map[string]string{"collection": collection}, &b, "upload", "batches")
	return b.Batch, err
}

// EndBatch says that nothing more of a batch comes.
func (c *Client) EndBatch(ctx context.Context, batch string) error {
	return c.JSON(ctx, http.MethodPost, nil, nil, nil, "upload", "batches", batch, "end")
}

// FateOf is what became of one file of a batch.
func (c *Client) FateOf(ctx context.Context, batch string, ordinal int64) (Fate, error) {
	var b struct {
		Files []Fate `json:"files"`
	}
	if err := c.JSON(ctx, http.MethodGet, url.Values{"after": {strconv.FormatInt(ordinal-1, 10)}}, nil, &b, "upload", "batches", batch); err != nil {
		return Fate{}, err
	}
	if len(b.Files) == 0 || b.Files[0].Ordinal != ordinal {
		return Fate{}, &Problem{Status: http.StatusNotFound, Title: "the server does not know this file of the batch any more"}
	}
	return b.Files[0], nil
}

func (c *Client) tus(ctx context.Context, method string, header map[string]string, body io.Reader, path ...string) (*http.Response, error) {
	r, err := c.request(ctx, method, c.at(nil, append([]string{"upload"}, path...)...), body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Tus-Resumable", "1.0.0")
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := c.do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		defer discard(resp)
		return nil, problem(resp)
	}
	return resp, nil
}

// BeginUpload announces a file of a batch: its number there, its size in bytes, and the SHA-256 of it.
func (c *Client) BeginUpload(ctx context.Context, batch string, ordinal, size int64, sum [32]byte) (Upload, error) {
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	resp, err := c.tus(ctx, http.MethodPost, map[string]string{"Upload-Length": strconv.FormatInt(size, 10),
		"Upload-Metadata": "batch " + encode(batch) + ",ordinal " + encode(strconv.FormatInt(ordinal, 10)) + ",sha256 " + encode(hex.EncodeToString(sum[:]))}, nil)
	if err != nil {
		return Upload{}, err
	}
	defer discard(resp)
	at := resp.Header.Get("Location")
	id := at[strings.LastIndexByte(at, '/')+1:]
	if !ValidUpload(id) {
		return Upload{}, fmt.Errorf("the answer of %s does not say where the file is sent", c.Server())
	}
	return Upload{ID: id, Outcome: resp.Header.Get("Vitrine-Outcome")}, nil
}

// ValidUpload reports whether this may be what a server calls an upload.
func ValidUpload(id string) bool {
	return len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}

// FindUpload asks how much of a file is there.
func (c *Client) FindUpload(ctx context.Context, id string) (Upload, error) {
	resp, err := c.tus(ctx, http.MethodHead, nil, nil, id)
	if err != nil {
		return Upload{}, err
	}
	defer discard(resp)
	return uploadOf(id, resp)
}

func uploadOf(id string, resp *http.Response) (Upload, error) {
	n, err := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || n < 0 {
		return Upload{}, errors.New("the answer does not say how much of the file is there")
	}
	return Upload{ID: id, Offset: n, Outcome: resp.Header.Get("Vitrine-Outcome")}, nil
}

// Piece sends n bytes of a file from an offset on. sent is told of bytes as they go; may be nil.
func (c *Client) Piece(ctx context.Context, id string, offset int64, r io.ReaderAt, n int64, sent func(int)) (Upload, error) {
	open := func() (io.ReadCloser, error) {
		b := &body{sent: sent}
		b.add(n, func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(r, offset, n)), nil })
		return b, nil
	}
	first, _ := open()
	if n == 0 {
		first = io.NopCloser(bytes.NewReader(nil))
	}
	req, err := c.request(ctx, http.MethodPatch, c.at(nil, "upload", id), first)
	if err != nil {
		return Upload{}, err
	}
	req.ContentLength = n
	req.Header.Set("Tus-Resumable", "1.0.0")
	req.Header.Set("Content-Type", "application/offset+octet-stream")
	req.Header.Set("Upload-Offset", strconv.FormatInt(offset, 10))
	resp, err := c.do(req)
	if err != nil {
		if b, ok := first.(*body); ok {
			if err := b.failure(); err != nil {
				return Upload{}, err // the file, not the network
			}
		}
		return Upload{}, err
	}
	defer discard(resp)
	if resp.StatusCode/100 != 2 {
		return Upload{}, problem(resp)
	}
	return uploadOf(id, resp)
}
