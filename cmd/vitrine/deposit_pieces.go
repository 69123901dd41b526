package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/client"
)

// In pieces go large files, archives, and everything that goes by a link: what has arrived of a file when a line breaks is not sent again.

const (
	pieceBytes = 64 << 20
	// resends is how often a file is sent anew of which something else arrived than was sent.
	resends = 2
)

// visitOf is what this user's program calls itself to a link: the same from run to run, and nobody else's.
func (j *journal) visitOf(secret string) string {
	return base64.RawURLEncoding.EncodeToString(j.sum("visit", secret))
}

// archive reports a zip, tar or gzip, which the node unpacks. A DICOM file may begin with anything: its own mark decides.
func archive(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 262)
	n, _ := io.ReadFull(f, head)
	head = head[:n]
	switch {
	case len(head) >= 132 && string(head[128:132]) == "DICM":
		return false
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("\x1f\x8b\x08")):
		return true
	}
	return len(head) == 262 && string(head[257:262]) == "ustar"
}

// pieces is the batch of this run, which begins with its first file.
func (d *deposit) pieces(ctx context.Context) (batch string, ordinal int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.batch == "" {
		if d.batch, err = d.client.BeginBatch(ctx, d.cmd.Collection); err != nil {
			return "", 0, err
		}
	}
	d.ordinal++
	return d.batch, d.ordinal, nil
}

// endPieces says that nothing more of the run's batch comes; where that is not heard, the batch falls quiet by itself.
func (d *deposit) endPieces(ctx context.Context) {
	if d.batch == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = d.client.EndBatch(ctx, d.batch)
}

// lost is an upload that the node does not know any more, or of which it has another number of bytes.
func lost(err error) bool {
	p, ok := errors.AsType[*client.Problem](err)
	return ok && !strings.HasPrefix(p.Code, "link-") && (p.Status == http.StatusNotFound || p.Status == http.StatusGone)
}

func answered(err error, status int) bool {
	p, ok := errors.AsType[*client.Problem](err)
	return ok && p.Status == status
}

const statusChecksum = 460 // Checksum Mismatch, of tus

// sendPieces sends one file until the node has said what became of it. An error is one that holds for every file.
func (d *deposit) sendPieces(ctx context.Context, i int) error {
	in := d.files[i]
	f, err := os.Open(in.path)
	if err != nil {
		d.set(i, fateRefused, "unreadable-file", cause(err))
		d.bar.add(int(in.size))
		return nil
	}
	defer f.Close()
	x := &inPieces{d: d, i: i, in: in, f: f, key: d.journal.id(in)}
	if l, ok := d.journal.begun(x.key); ok && !d.cmd.Again {
		x.at, x.batch, x.ordinal = l.Upload, l.Batch, l.Ordinal
	}
	err = client.Retry(ctx, patience(d.cmd.Patience, d.quiet, d.bar, d.std), func() error { return x.forward(ctx) })
	p, _ := errors.AsType[*client.Problem](err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case p != nil && p.Code == "link-full":
		d.set(i, fateFailed, p.Code, p.Detail+" "+p.Advice)
		return nil
	case p != nil && strings.HasPrefix(p.Code, "link-"):
		return fmt.Errorf("%s %s", p.Detail, p.Advice)
	case p != nil && (p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden):
		return err // it will be the same for every file
	case client.Temporary(err):
		return fmt.Errorf("%w\nWhat has arrived is kept; run the command again to go on", err)
	case errors.Is(err, client.ErrChanged):
		d.set(i, fateFailed, "changed", "the file was changed while it was sent; run the command again")
	case p != nil:
		d.set(i, fateRefused, cmp.Or(p.Code, "not-taken"), cmp.Or(strings.TrimSpace(p.Detail), err.Error()))
	default:
		d.set(i, fateFailed, "not-sent", cause(err))
	}
	return nil
}

// inPieces is a file on its way.
type inPieces struct {
	d       *deposit
	i       int
	in      input
	f       *os.File
	key     string // in the journal
	at      string // what the node calls it; empty: it is not announced
	batch   string
	ordinal int64
	sum     *[32]byte
	shown   int64 // bytes of it that the bar counts
	anew    int
}

func (x *inPieces) show(n int64) {
	x.d.bar.add(int(n - x.shown))
	x.shown = n
}

// forward brings the file to its end, from where the node has it; an error that is temporary lets it be tried again.
func (x *inPieces) forward(ctx context.Context) error {
	var u client.Upload
	var err error
	if x.at != "" {
		switch u, err = x.d.client.FindUpload(ctx, x.at); {
		case err == nil:
		case answered(err, http.StatusUnprocessableEntity): // it was refused, and an answer to HEAD does not say why
			return x.refused(ctx, err)
		case lost(err):
			x.at = ""
		default:
			return err
		}
	}
	if x.at == "" {
		if u, err = x.announce(ctx); err != nil {
			return err
		}
	}
	for u.Outcome == "" {
		x.show(u.Offset)
		n := min(x.in.size-u.Offset, pieceBytes)
		if u, err = x.d.client.Piece(ctx, x.at, u.Offset, x.f, n, func(n int) { x.d.bar.add(n); x.shown += int64(n) }); err != nil {
			break
		}
	}
	switch {
	case err == nil:
		x.show(x.in.size)
		return x.settle(ctx, u.Outcome)
	case answered(err, http.StatusConflict): // another number of bytes is there than we thought: ask
		return &client.Problem{Status: http.StatusServiceUnavailable, Title: "the node has another part of the file", After: time.Second}
	case answered(err, statusChecksum), lost(err):
		if x.anew++; x.anew <= resends {
			x.at, x.sum = "", nil
			return &client.Problem{Status: http.StatusServiceUnavailable, Title: "what arrived is not what was sent", After: time.Second}
		}
	case answered(err, http.StatusUnprocessableEntity):
		return x.refused(ctx, err)
	}
	return err
}

// announce begins the upload, and writes down what the node calls it.
func (x *inPieces) announce(ctx context.Context) (client.Upload, error) {
	if x.sum == nil {
		h := sha256.New()
		if n, err := io.Copy(h, io.NewSectionReader(x.f, 0, 1<<62)); err != nil {
			return client.Upload{}, err
		} else if n != x.in.size {
			return client.Upload{}, client.ErrChanged
		}
		x.sum = (*[32]byte)(h.Sum(nil))
	}
	var err error
	if x.batch, x.ordinal, err = x.d.pieces(ctx); err != nil {
		return client.Upload{}, err
	}
	u, err := x.d.client.BeginUpload(ctx, x.batch, x.ordinal, x.in.size, *x.sum)
	if err != nil {
		return u, err
	}
	x.at = u.ID
	return u, x.d.journal.note([]journalLine{{File: x.key, Upload: u.ID, Batch: x.batch, Ordinal: x.ordinal}})
}

// settle takes what became of the file.
func (x *inPieces) settle(ctx context.Context, outcome string) error {
	l := journalLine{File: x.key, Outcome: fateKept}
	if outcome == client.OutcomeHeld || outcome == client.OutcomeConflict {
		l.Outcome, l.Code, l.Text = fateHeld, outcome, "a worker or a steward has to look at it"
		if outcome == client.OutcomeConflict {
			l.Text = "the node has other content under its SOP Instance UID"
		}
		if f, err := x.d.client.FateOf(ctx, x.batch, x.ordinal); err == nil && len(f.Reasons) > 0 { // where it does not answer, it is held all the same
			l.Code, l.Text = f.Reasons[0].Code, f.Reasons[0].Text
		}
	}
	x.d.set(x.i, l.Outcome, l.Code, l.Text)
	return x.d.journal.note([]journalLine{l})
}

// refused takes that the node does not keep the file.
func (x *inPieces) refused(ctx context.Context, err error) error {
	p, _ := errors.AsType[*client.Problem](err)
	code, text := cmp.Or(p.Code, "refused"), strings.TrimSpace(p.Detail)
	if f, err := x.d.client.FateOf(ctx, x.batch, x.ordinal); err == nil && len(f.Reasons) > 0 {
		code, text = f.Reasons[0].Code, f.Reasons[0].Text
	}
	x.show(x.in.size)
	x.d.set(x.i, fateRefused, code, cmp.Or(text, "the node does not say why"))
	return nil
}
