package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// What a node takes in batches: whole files, each in a request of its own, and files in pieces, which may be gone on with after a line or a process has broken (tus 1.0).

// File is one file to give. Open gives its bytes from an offset on; the same each time.
type File struct {
	Ordinal int64 // in its batch, from 1
	Size    int64
	Given   []byte // what a gateway says of it; nil: nothing
	Open    func(offset int64) (io.ReadCloser, error)
}

// BeginCleaned begins a batch of files that a gateway has cleaned for a collection.
func (c *Client) BeginCleaned(ctx context.Context, collection string) (batch string, err error) {
	var v struct {
		Batch string `json:"batch"`
	}
	err = c.JSON(ctx, http.MethodPost, nil, map[string]any{"collection": collection, "cleaned": true}, &v, "upload", "batches")
	if err == nil && v.Batch == "" {
		err = errors.New("the server's answer names no batch")
	}
	return v.Batch, err
}

// GiveWhole sends a file in one request.
func (c *Client) GiveWhole(ctx context.Context, batch string, f File) (fate Fate, err error) {
	body, err := f.Open(0)
	if err != nil {
		return fate, err
	}
	defer body.Close()
	r, err := c.request(ctx, http.MethodPut, c.at(nil, "upload", "batches", batch, "files", strconv.FormatInt(f.Ordinal, 10)), body)
	if err != nil {
		return fate, err
	}
	r.ContentLength = f.Size
	r.Header.Set("Content-Type", "application/dicom")
	if f.Given != nil {
		r.Header.Set("Vitrine-Given", base64.StdEncoding.EncodeToString(f.Given))
	}
	resp, err := c.do(r)
	if err != nil {
		return fate, err
	}
	defer discard(resp)
	if resp.StatusCode != http.StatusOK {
		return fate, problem(resp)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&fate); err != nil {
		return fate, &Unreachable{Server: c.Server(), Err: fmt.Errorf("its answer cannot be read: %w", err)}
	}
	return fate, known(fate.Fate)
}

func known(fate string) error {
	switch fate {
	case OutcomeKept, OutcomeHeld, OutcomeDuplicate, OutcomeConflict, OutcomeRefused:
		return nil
	}
	return errors.New("the server's answer does not say what became of a file")
}

// BeginPieces begins a file that is sent in pieces, and gives the place that it is sent to.
func (c *Client) BeginPieces(ctx context.Context, batch string, f File) (place string, err error) {
	r, err := c.request(ctx, http.MethodPost, c.at(nil, "upload"), nil)
	if err != nil {
		return "", err
	}
	meta := []string{"batch " + base64.StdEncoding.EncodeToString([]byte(batch)), "ordinal " + base64.StdEncoding.EncodeToString([]byte(strconv.FormatInt(f.Ordinal, 10)))}
	if f.Given != nil {
		meta = append(meta, "given "+base64.StdEncoding.EncodeToString(f.Given))
	}
	r.Header.Set("Tus-Resumable", "1.0.0")
	r.Header.Set("Upload-Length", strconv.FormatInt(f.Size, 10))
	r.Header.Set("Upload-Metadata", strings.Join(meta, ","))
	resp, err := c.do(r)
	if err != nil {
		return "", err
	}
	defer discard(resp)
	if resp.StatusCode != http.StatusCreated {
		return "", problem(resp)
	}
	at := resp.Header.Get("Location")
	id := at[strings.LastIndexByte(at, '/')+1:]
	if !ValidUpload(id) {
		return "", errors.New("the server's answer names no place to send a file to")
	}
	return id, nil
}

// GivePieces sends what is not at a place yet. When the last of it is there, it says what became of the file; of one that is held or a conflict, why is for [Client.FateOf] to tell. Of a
// refusal the fate says why. A place that the server knows no more is a *[Problem] of status 404.
func (c *Client) GivePieces(ctx context.Context, place string, f File) (fate Fate, err error) {
	offset, fate, err := c.pieces(ctx, http.MethodHead, place, 0, nil, 0)
	if err != nil || fate.Fate != "" {
		return fate, err
	}
	if offset > f.Size {
		return fate, errors.New("the server has more of a file than there is")
	}
	body, err := f.Open(offset)
	if err != nil {
		return fate, err
	}
	defer body.Close()
	if offset, fate, err = c.pieces(ctx, http.MethodPatch, place, offset, body, f.Size-offset); err != nil {
		return fate, err
	}
	if fate.Fate == "" {
		return fate, &Unreachable{Server: c.Server(), Err: fmt.Errorf("it has %d of %d bytes: %w", offset, f.Size, io.ErrUnexpectedEOF)}
	}
	return fate, known(fate.Fate)
}

func (c *Client) pieces(ctx context.Context, method, place string, from int64, body io.Reader, size int64) (offset int64, fate Fate, err error) {
	r, err := c.request(ctx, method, c.at(nil, "upload", place), body)
	if err != nil {
		return 0, fate, err
	}
	r.Header.Set("Tus-Resumable", "1.0.0")
	if body != nil {
		r.ContentLength = size
		r.Header.Set("Content-Type", "application/offset+octet-stream")
		r.Header.Set("Upload-Offset", strconv.FormatInt(from, 10))
	}
	resp, err := c.do(r)
	if err != nil {
		return 0, fate, err
	}
	defer discard(resp)
	switch resp.StatusCode {
	case http.StatusOK, http.StatusNoContent:
	case http.StatusUnprocessableEntity: // what is refused
		fate.Fate = OutcomeRefused
		return 0, fate, nil
	default:
		return 0, fate, problem(resp)
	}
	if offset, err = strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64); err != nil || offset < 0 {
		return 0, fate, errors.New("the server's answer does not say how much it has of a file")
	}
	fate.Fate = resp.Header.Get("Vitrine-Outcome")
	return offset, fate, nil
}
