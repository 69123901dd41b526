package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
)

// Ref names an instance on a server.
type Ref struct{ Study, Series, Instance string }

// Received is what came for an instance.
type Received struct {
	SHA256   [32]byte // of the file
	Size     int64
	Verified bool // the server gave a digest, and it is the same
}

// ErrDigest says that what came is not what the server says that it sent.
var ErrDigest = errors.New("what came is not what the server's digest says; it was damaged on the way")

// Instance writes the file of an instance to w (PS3.18 10.4), in the transfer syntax in which it is kept. got is told of bytes as they come; may be nil.
func (c *Client) Instance(ctx context.Context, collection string, ref Ref, w io.Writer, got func(int)) (Received, error) {
	r, err := c.request(ctx, http.MethodGet, c.at(nil, dicomweb(collection, "studies", ref.Study, "series", ref.Series, "instances", ref.Instance)...), nil)
	if err != nil {
		return Received{}, err
	}
	r.Header.Set("Accept", `application/dicom; transfer-syntax=*, multipart/related; type="application/dicom"; transfer-syntax=*; q=0.9`)
	r.Header.Set("Want-Repr-Digest", "sha-256=1") // RFC 9530
	r.Header.Set("TE", "trailers")
	resp, err := c.do(r)
	if err != nil {
		return Received{}, err
	}
	defer discard(resp)
	if resp.StatusCode != http.StatusOK {
		return Received{}, problem(resp)
	}
	whole := &tally{h: sha256.New()}
	in := io.TeeReader(resp.Body, whole)
	file := &tally{h: sha256.New(), got: got}
	out := io.MultiWriter(w, file)
	kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return Received{}, errors.New("the server does not say what it sends")
	case kind == "application/dicom":
		_, err = io.CopyBuffer(out, in, make([]byte, 256<<10))
	case kind == "multipart/related" && params["boundary"] != "":
		err = onePart(out, in, params["boundary"])
	default:
		return Received{}, fmt.Errorf("the server sends %s in place of a DICOM file", kind)
	}
	if err != nil {
		return Received{}, interrupted(c, err)
	}
	if resp.ContentLength >= 0 && whole.n != resp.ContentLength {
		return Received{}, &Unreachable{Server: c.Server(), Err: io.ErrUnexpectedEOF}
	}
	rec := Received{Size: file.n, SHA256: [32]byte(file.h.Sum(nil))}
	said := resp.Header.Get("Repr-Digest")
	if said == "" {
		said = resp.Trailer.Get("Repr-Digest")
	}
	want, ok := reprDigest(said)
	if !ok {
		return rec, nil
	}
	if !bytes.Equal(want, whole.h.Sum(nil)) {
		return Received{}, ErrDigest
	}
	rec.Verified = true
	return rec, nil
}

func interrupted(c *Client, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &Unreachable{Server: c.Server(), Err: io.ErrUnexpectedEOF}
	}
	return err
}

// onePart copies the body of a multipart message that has exactly one part.
func onePart(w io.Writer, r io.Reader, boundary string) error {
	br := bufio.NewReaderSize(r, 256<<10)
	m := multipart.NewReader(br, boundary)
	p, err := m.NextRawPart()
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(w, p, make([]byte, 256<<10)); err != nil {
		return err
	}
	if _, err := m.NextRawPart(); err == nil {
		return errors.New("the server sends more than the one instance that was asked for")
	} else if err != io.EOF {
		return err
	}
	_, err = io.Copy(io.Discard, br)
	return err
}

// tally counts and hashes what passes.
type tally struct {
	h   hash.Hash
	n   int64
	got func(int)
}

func (t *tally) Write(p []byte) (int, error) {
	t.h.Write(p)
	t.n += int64(len(p))
	if t.got != nil {
		t.got(len(p))
	}
	return len(p), nil
}

// reprDigest is the SHA-256 of a Repr-Digest field: a dictionary of byte sequences (RFC 9530 3, RFC 8941 3.2).
func reprDigest(field string) ([]byte, bool) {
	for m := range strings.SplitSeq(field, ",") {
		name, v, ok := strings.Cut(strings.TrimSpace(m), "=")
		if !ok || name != "sha-256" {
			continue
		}
		v, _, _ = strings.Cut(v, ";")
		v, ok1 := strings.CutPrefix(strings.TrimSpace(v), ":")
		v, ok2 := strings.CutSuffix(v, ":")
		b, err := base64.StdEncoding.DecodeString(v)
		if ok1 && ok2 && err == nil && len(b) == sha256.Size {
			return b, true
		}
	}
	return nil, false
}

// Raw writes a file of the API of whatever size as it comes.
func (c *Client) Raw(ctx context.Context, w io.Writer, path ...string) error {
	r, err := c.request(ctx, http.MethodGet, c.at(nil, path...), nil)
	if err != nil {
		return err
	}
	resp, err := c.do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return problem(resp)
	}
	_, err = io.Copy(w, resp.Body)
	return err
}

// ErrGone is the failure of an object of a release that is served no more (410).
var ErrGone = errors.New("it is served no more")

// Object reads an object of a release by its DRS identifier from a byte on, and gives its bytes from there: to be closed. The answer may begin at 0 all the same; from says where.
func (c *Client) Object(ctx context.Context, id string, at int64) (body io.ReadCloser, from int64, err error) {
	r, err := c.request(ctx, http.MethodGet, c.at(nil, "ga4gh", "drs", "v1", "objects", id, "file"), nil)
	if err != nil {
		return nil, 0, err
	}
	if at > 0 {
		r.Header.Set("Range", "bytes="+strconv.FormatInt(at, 10)+"-")
	}
	resp, err := c.do(r)
	if err != nil {
		return nil, 0, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.Body, 0, nil
	case http.StatusPartialContent:
		return resp.Body, at, nil
	case http.StatusGone:
		discard(resp)
		return nil, 0, ErrGone
	}
	defer discard(resp)
	var msg struct {
		Msg string `json:"msg"`
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil && json.Unmarshal(b, &msg) == nil && msg.Msg != "" {
		return nil, 0, &Refused{Status: resp.StatusCode, Msg: msg.Msg}
	}
	return nil, 0, &Refused{Status: resp.StatusCode, Msg: http.StatusText(resp.StatusCode)}
}

// Refused is a refusal of the Data Repository Service.
type Refused struct {
	Status int
	Msg    string
}

func (r *Refused) Error() string { return r.Msg }
