package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Part is one file to store. Open is called when its turn comes, and again if the request is repeated.
type Part struct {
	Size int64
	Open func() (io.ReadCloser, error)
}

// Stored is a server's answer to a request to store (PS3.18 10.5.3). UIDs are those of the files as sent.
type Stored struct {
	Kept   []StoredInstance
	Failed []StoredInstance
	// Unnamed counts what failed and could not be told by its UIDs (Other Failures Sequence).
	Unnamed []StoredInstance
}

// StoredInstance is the fate of one instance.
type StoredInstance struct {
	SOPInstanceUID string
	Reason         int    // (0008,1196) Warning Reason or (0008,1197) Failure Reason; 0: none
	Text           string // what the server says of it, if it does
}

// Warning reasons of a node's own: the instance is kept, and waits for a worker or a steward.
const (
	WarningHeld     = 0xB010
	WarningConflict = 0xB011
)

// FailureResources says that the server cannot take it now (PS3.18 I.2.2).
const FailureResources = 0xA700

const boundaryBytes = 18

// Store sends the parts in one request to the collection, or to the server's default if it is empty. sent is told of bytes as they go; may be nil. An answer
// that names failures is no error.
func (c *Client) Store(ctx context.Context, collection string, parts []Part, sent func(int)) (*Stored, error) {
	var random [boundaryBytes]byte
	rand.Read(random[:])
	boundary := hex.EncodeToString(random[:])
	head := []byte("--" + boundary + "\r\nContent-Type: application/dicom\r\n\r\n")
	between := []byte("\r\n")
	end := []byte("--" + boundary + "--\r\n")
	size := int64(len(end))
	for _, p := range parts {
		size += int64(len(head)) + p.Size + int64(len(between))
	}
	open := func() (io.ReadCloser, error) {
		b := &body{sent: sent}
		for _, p := range parts {
			b.add(int64(len(head)), literal(head))
			b.add(p.Size, p.Open)
			b.add(int64(len(between)), literal(between))
		}
		b.add(int64(len(end)), literal(end))
		return b, nil
	}
	first, _ := open()
	r, err := c.request(ctx, http.MethodPost, c.at(nil, dicomweb(collection, "studies")...), first)
	if err != nil {
		return nil, err
	}
	r.ContentLength, r.GetBody = size, open
	r.Header.Set("Content-Type", `multipart/related; type="application/dicom"; boundary=`+boundary)
	r.Header.Set("Accept", "application/dicom+json")
	resp, err := c.do(r)
	if err != nil {
		if err := first.(*body).failure(); err != nil {
			return nil, err // the file, not the network
		}
		return nil, err
	}
	defer discard(resp)
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusConflict, http.StatusBadRequest, http.StatusServiceUnavailable:
		b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return nil, &Unreachable{Server: c.Server(), Err: err}
		}
		s, ok := parseStored(b)
		if !ok {
			resp.Body = io.NopCloser(bytes.NewReader(b))
			if resp.StatusCode/100 == 2 {
				return nil, errors.New("the server's answer says of no instance what became of it")
			}
			return nil, problem(resp)
		}
		return s, nil
	}
	return nil, problem(resp)
}

func parseStored(b []byte) (*Stored, bool) {
	var a Attributes
	if json.Unmarshal(b, &a) != nil {
		var all []Attributes
		if json.Unmarshal(b, &all) != nil || len(all) != 1 {
			return nil, false
		}
		a = all[0]
	}
	s := &Stored{}
	for _, it := range a.Items(dicom.TagReferencedSOPSequence) {
		s.Kept = append(s.Kept, fate(it, dicom.TagWarningReason))
	}
	for _, it := range a.Items(dicom.TagFailedSOPSequence) {
		s.Failed = append(s.Failed, fate(it, dicom.TagFailureReason))
	}
	for _, it := range a.Items(dicom.TagOtherFailuresSequence) {
		s.Unnamed = append(s.Unnamed, fate(it, dicom.TagFailureReason))
	}
	return s, len(s.Kept)+len(s.Failed)+len(s.Unnamed) > 0
}

func fate(it Attributes, reason dicom.Tag) StoredInstance {
	return StoredInstance{SOPInstanceUID: it.String(dicom.TagReferencedSOPInstanceUID), Reason: it.Int(reason), Text: it.String(dicom.TagErrorComment)}
}

// body is the request's body: pieces of a known length, each opened when its turn comes.
type body struct {
	pieces []piece
	cur    io.ReadCloser
	left   int64
	sent   func(int)

	mu  sync.Mutex // the transport may still read when the answer is there
	err error
}

func (b *body) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

type piece struct {
	size int64
	open func() (io.ReadCloser, error)
}

func literal(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

func (b *body) add(size int64, open func() (io.ReadCloser, error)) {
	b.pieces = append(b.pieces, piece{size, open})
}

// ErrChanged says that a file was changed while it was sent.
var ErrChanged = errors.New("the file was changed while it was read")

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	for b.cur == nil {
		if len(b.pieces) == 0 {
			return 0, io.EOF
		}
		if b.cur, b.err = b.pieces[0].open(); b.err != nil {
			b.cur = nil
			return 0, b.err
		}
		b.left = b.pieces[0].size
		b.pieces = b.pieces[1:]
		if b.left == 0 {
			b.cur.Close()
			b.cur = nil
		}
	}
	n, err := b.cur.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if b.sent != nil {
		b.sent(n)
	}
	switch {
	case b.left == 0:
		b.cur.Close()
		b.cur = nil
		return n, nil
	case err == io.EOF:
		b.err = ErrChanged
	case err != nil:
		b.err = fmt.Errorf("a file cannot be read: %w", err)
	}
	return n, b.err
}

func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cur != nil {
		err := b.cur.Close()
		b.cur = nil
		return err
	}
	return nil
}
