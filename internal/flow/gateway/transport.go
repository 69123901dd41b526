package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/client"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/forward"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	record "github.com/vitrine-imaging/vitrine/internal/record/forward"
)

// wholeBytes is the largest file that is sent in one request. Larger ones are sent in pieces, and gone on with.
const wholeBytes = 16 << 20

// Transport sends to the node. slow bounds how fast; nil: nothing does.
func (g *Gateway) Transport(slow func(ctx context.Context, r io.Reader) io.Reader) forward.Transport {
	return &transport{g, slow}
}

type transport struct {
	g    *Gateway
	slow func(ctx context.Context, r io.Reader) io.Reader
}

func (t *transport) Recall(ctx context.Context, uids []catalogue.SOPUID) error {
	c, err := t.g.speak()
	if err != nil {
		return &forward.Failure{Code: "token", Err: err}
	}
	body := struct {
		Collection string             `json:"collection"`
		Instances  []catalogue.SOPUID `json:"instances"`
	}{string(t.g.cfg.Collection), uids}
	if err := c.JSON(ctx, http.MethodPost, nil, body, nil, "upload", "recalls"); err != nil {
		return failure(err)
	}
	return nil
}

// session is a batch at the node.
type session struct {
	*transport
	c     *client.Client
	batch string
}

func (t *transport) Begin(ctx context.Context, s record.Study) (forward.Session, error) {
	c, err := t.g.speak()
	if err != nil {
		return nil, &forward.Failure{Code: "token", Err: err}
	}
	batch, err := c.BeginCleaned(ctx, string(t.g.cfg.Collection))
	if err != nil {
		return nil, failure(err)
	}
	return &session{t, c, batch}, nil
}

func (s *session) End(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.c.EndBatch(short, s.batch); err != nil {
		return failure(err)
	}
	return nil
}

func (s *session) Send(ctx context.Context, o *custody.Outgoing, ordinal int64) (forward.Fate, error) {
	size, err := o.Size()
	if err != nil {
		return forward.Fate{}, err
	}
	given := o.Given
	given.Secret = s.g.cfg.Secret
	var writing []*written
	defer func() { // a request that has failed may still read; the record is let go of when nobody does
		for _, w := range writing {
			w.Close()
			<-w.done
		}
	}()
	f := client.File{Ordinal: ordinal, Size: size, Given: given.Encode(), Open: func(offset int64) (io.ReadCloser, error) {
		w := s.read(ctx, o, offset)
		writing = append(writing, w)
		return w, nil
	}}
	var fate client.Fate
	if size <= wholeBytes {
		fate, err = s.c.GiveWhole(ctx, s.batch, f)
	} else {
		fate, err = s.pieces(ctx, o, f)
	}
	if err != nil {
		return declined(err)
	}
	out := forward.Fate{Outcome: fate.Fate}
	for _, r := range fate.Reasons {
		out.Reasons = append(out.Reasons, catalogue.Reason{Code: r.Code, Where: r.Where, Text: r.Text})
	}
	return out, nil
}

// declined tells an answer that is about this one object from one that is about all.
func declined(err error) (forward.Fate, error) {
	if p, ok := errors.AsType[*client.Problem](err); ok {
		switch p.Status {
		case http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			return forward.Fate{Outcome: "refused", Reasons: []catalogue.Reason{{Code: "http-" + strconv.Itoa(p.Status), Text: "the node does not take it"}}}, nil
		}
	}
	return forward.Fate{}, failure(err)
}

// written is a file that is read while it is written.
type written struct {
	io.Reader
	pipe *io.PipeReader
	done chan struct{} // closed when nothing is written any more
}

// Close ends the writing.
func (w *written) Close() error { return w.pipe.Close() }

// read is the file of an instance from an offset on.
func (s *session) read(ctx context.Context, o *custody.Outgoing, offset int64) *written {
	r, w := io.Pipe()
	x := &written{Reader: r, pipe: r, done: make(chan struct{})}
	if s.slow != nil {
		x.Reader = s.slow(ctx, r)
	}
	go func() {
		defer close(x.done)
		w.CloseWithError(o.WriteFile(&after{w: w, skip: offset}))
	}()
	return x
}

// after passes on what is written after so many bytes.
type after struct {
	w    io.Writer
	skip int64
}

func (a *after) Write(p []byte) (int, error) {
	n := int(min(a.skip, int64(len(p))))
	a.skip -= int64(n)
	if n == len(p) {
		return n, nil
	}
	m, err := a.w.Write(p[n:])
	return n + m, err
}

// pieces sends a large file, and goes on with one that was begun, by this process or one before it.
func (s *session) pieces(ctx context.Context, o *custody.Outgoing, f client.File) (client.Fate, error) {
	g := s.g
	keep := func(place string) error {
		return g.DB.Write(ctx, func(tx *db.Tx) error { return g.Record.Piece(tx, Line, o.Row.ID, o.Row.Ref, place) })
	}
	begun, err := g.Record.PieceOf(ctx, Line, o.Row.ID, o.Row.Ref)
	if err != nil {
		return client.Fate{}, err
	}
	for {
		batch, ordinal, id := s.batch, f.Ordinal, ""
		if parts := strings.Split(begun, " "); len(parts) == 3 {
			batch, id = parts[0], parts[2]
			ordinal, _ = strconv.ParseInt(parts[1], 10, 64) // what was written here
		}
		if id == "" {
			if id, err = s.c.BeginPieces(ctx, s.batch, f); err != nil {
				return client.Fate{}, err
			}
			if err := keep(s.batch + " " + strconv.FormatInt(f.Ordinal, 10) + " " + id); err != nil {
				return client.Fate{}, err
			}
		}
		fate, err := s.c.GivePieces(ctx, id, f)
		if p, ok := errors.AsType[*client.Problem](err); ok && (p.Status == http.StatusNotFound || p.Status == http.StatusGone) && begun != "" {
			begun = "" // it waited too long, and is not there any more
			if err := keep(""); err != nil {
				return client.Fate{}, err
			}
			continue
		}
		if err != nil {
			return client.Fate{}, err
		}
		switch fate.Fate {
		case "kept", "duplicate":
			return fate, nil
		}
		why, err := s.c.FateOf(ctx, batch, ordinal)
		if err == nil {
			fate.Reasons = why.Reasons
		}
		return fate, nil
	}
}
