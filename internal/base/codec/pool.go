package codec

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Options are how a pool works. What is zero has a default.
type Options struct {
	Command []string      // the program of a worker, which calls [Work], with its arguments
	Workers int           // at a time; 2
	Frame   time.Duration // how long decoding a frame may take; 30 s. Encoding one may take four times as long
	Start   time.Duration // how long a worker may take to be ready, which includes compiling the decoders once; 2 min
	Idle    time.Duration // how long a worker waits for the next frame before it is let go; 2 min
}

// Pool decodes and masks frames, starting workers when they are needed. It is safe for use by many goroutines.
type Pool struct {
	o    Options
	room *semaphore.Weighted

	mu     sync.Mutex
	idle   []*worker // the last used last
	all    map[*worker]bool
	reaper *time.Timer
	closed bool
}

// NewPool makes a pool; nothing is started yet.
func NewPool(o Options) *Pool {
	if o.Workers == 0 {
		o.Workers = 2
	}
	if o.Frame == 0 {
		o.Frame = 30 * time.Second
	}
	if o.Start == 0 {
		o.Start = 2 * time.Minute
	}
	if o.Idle == 0 {
		o.Idle = 2 * time.Minute
	}
	return &Pool{o: o, room: semaphore.NewWeighted(int64(o.Workers)), all: map[*worker]bool{}}
}

// maxCode bounds a code stream.
const maxCode = 256 << 20

// Decode decodes a frame of any supported transfer syntax. The frame's bytes may be changed, and may become part of the result. Errors are
// [*Unsupported] and [*Broken] of the frame, ctx's while it waits for a worker, and [fault.Unavailable] if none can be started.
func (p *Pool) Decode(ctx context.Context, syntax *dicom.TransferSyntax, of Image, frame []byte) (Frame, error) {
	m := methodOf(syntax.UID)
	if m == 0 {
		return Decode(syntax, of, frame)
	}
	if err := of.Check(); err != nil {
		return Frame{}, err
	}
	head, ok := headerOf(m, frame)
	if !ok {
		return Frame{}, &Broken{m.String(), "its code stream has no header that can be read"}
	}
	if err := head.fit(m, of); err != nil {
		return Frame{}, err
	}
	if len(frame) > maxCode {
		return Frame{}, &Unsupported{"a frame of this size"}
	}
	q := request{method: m, word: 1, signed: head.signed, samples: uint8(of.Samples), rows: uint16(of.Rows), columns: uint16(of.Columns), limit: p.o.Frame, size: uint32(len(frame))}
	if head.precision > 8 {
		q.word = 2
	}
	pixels, err := p.ask(ctx, &q, frame)
	if err != nil {
		return Frame{}, err
	}
	switch {
	case of.Allocated == 1:
		pixels = pack(pixels)
	case q.word == 1 && of.Allocated == 16:
		pixels = widen(pixels, head.signed)
	}
	of.Planar, of.Photometric = head.planar, head.photometric(m, of)
	return Frame{of, pixels}, nil
}

// pack makes bits of bytes, the first in the lowest.
func pack(b []byte) []byte {
	out := make([]byte, (len(b)+7)/8)
	for i, v := range b {
		out[i/8] |= v & 1 << (i % 8)
	}
	return out
}

// widen makes words of bytes.
func widen(b []byte, signed bool) []byte {
	out := make([]byte, 2*len(b))
	for i, v := range b {
		out[2*i] = v
		if signed && v >= 0x80 {
			out[2*i+1] = 0xff
		}
	}
	return out
}

// encode has a worker encode samples without loss, by pixel, in words of one byte or two. What cannot be encoded is [*Unsupported].
func (p *Pool) encode(ctx context.Context, q *request, samples []byte) ([]byte, error) {
	q.encode, q.limit, q.size = true, 4*p.o.Frame, uint32(len(samples)) // encoders are slower, and samples are never made to be slow
	code, err := p.ask(ctx, q, samples)
	if b, ok := errors.AsType[*Broken](err); ok {
		err = &Unsupported{"masking " + b.Error()}
	}
	return code, err
}

// ask has a worker decode, or encode. A worker that was there before may have been ended by something else than this frame, so a second one is asked then.
func (p *Pool) ask(ctx context.Context, q *request, frame []byte) ([]byte, error) {
	if err := p.room.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer p.room.Release(1)
	for {
		w, used, err := p.take()
		if err != nil {
			return nil, err
		}
		pixels, result, err := w.ask(q, frame, q.limit)
		switch {
		case err == nil && result == outcomeDone:
			p.put(w)
			return pixels, nil
		case err == nil:
			p.put(w)
			return nil, &Broken{q.method.String(), result.reason(q.encode)}
		}
		late := w.late
		p.drop(w)
		switch {
		case p.isClosed():
			return nil, fault.New(fault.Unavailable, "decode pixels", "", "the node is being stopped")
		case late:
			return nil, &Broken{q.method.String(), q.verb() + " it takes longer than a frame may take"}
		case !used:
			return nil, &Broken{q.method.String(), "its code stream ends the decoder"}
		}
	}
}

// take gives a worker that is ready, and whether it has worked before.
func (p *Pool) take() (w *worker, used bool, err error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, false, fault.New(fault.Unavailable, "decode pixels", "", "the node is being stopped")
	}
	if n := len(p.idle); n > 0 {
		w = p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return w, true, nil
	}
	w, err = start(p.o.Command)
	if err == nil {
		p.all[w] = true
	}
	p.mu.Unlock()
	if err == nil {
		err = w.ready(p.o.Start)
	}
	if err != nil {
		if w != nil {
			p.drop(w)
		}
		return nil, false, fault.New(fault.Unavailable, "decode pixels", "", "the decoder cannot be started")
	}
	return w, false, nil
}

func (p *Pool) put(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.since = time.Now()
	p.idle = append(p.idle, w)
	if p.reaper == nil && !p.closed {
		p.reaper = time.AfterFunc(p.o.Idle, p.reap)
	}
}

// reap lets go of workers that have waited long.
func (p *Pool) reap() {
	p.mu.Lock()
	var gone []*worker
	p.idle = slices.DeleteFunc(p.idle, func(w *worker) bool {
		old := time.Since(w.since) >= p.o.Idle
		if old {
			gone = append(gone, w)
		}
		return old
	})
	p.reaper = nil
	if len(p.idle) > 0 && !p.closed {
		p.reaper = time.AfterFunc(p.o.Idle-time.Since(p.idle[0].since), p.reap)
	}
	p.mu.Unlock()
	for _, w := range gone {
		p.drop(w)
	}
}

func (p *Pool) drop(w *worker) {
	w.end()
	p.mu.Lock()
	delete(p.all, w)
	p.mu.Unlock()
}

func (p *Pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// Close ends every worker; frames that are being decoded fail.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	if p.reaper != nil {
		p.reaper.Stop()
	}
	var all []*worker
	for w := range p.all {
		all = append(all, w)
	}
	p.mu.Unlock()
	for _, w := range all {
		p.drop(w)
	}
	return nil
}

// worker is a child process. One goroutine at a time asks it.
type worker struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   io.ReadCloser
	since time.Time // idle since
	late  bool      // it was killed for taking too long
	once  sync.Once
}

func start(command []string) (*worker, error) {
	if len(command) == 0 {
		return nil, errors.New("no program is named")
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = []string{"GOTRACEBACK=none"} // and nothing of the node's, which may hold secrets
	if root, ok := os.LookupEnv("SYSTEMROOT"); ok {
		cmd.Env = append(cmd.Env, "SYSTEMROOT="+root)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &worker{cmd: cmd, in: in, out: out}, cmd.Start()
}

// within does fn, killing the worker when it takes longer.
func (w *worker) within(d time.Duration, fn func() error) error {
	t := time.AfterFunc(d, func() { _ = w.cmd.Process.Kill() })
	err := fn()
	w.late = !t.Stop()
	return err
}

func (w *worker) ready(limit time.Duration) error {
	return w.within(limit, func() error {
		var b [len(hello)]byte
		_, err := io.ReadFull(w.out, b[:])
		if err == nil && string(b[:]) != hello {
			err = errors.New("the program is not a worker")
		}
		return err
	})
}

// ask sends a request and reads its answer. After an error the worker is of no use.
func (w *worker) ask(q *request, frame []byte, limit time.Duration) (pixels []byte, result outcome, err error) {
	err = w.within(limit, func() error {
		if _, err := w.in.Write(q.append(nil)); err != nil {
			return err
		}
		if _, err := w.in.Write(frame); err != nil {
			return err
		}
		var head [replySize]byte
		if _, err := io.ReadFull(w.out, head[:]); err != nil {
			return err
		}
		result = outcome(head[0])
		size := int(head[4]) | int(head[5])<<8 | int(head[6])<<16 | int(head[7])<<24
		if result != outcomeDone {
			if size != 0 || result > outcomeMemory {
				return errors.New("this is not a reply")
			}
			return nil
		}
		if !q.encode && size != q.decoded() || q.encode && (size <= 0 || size > maxCode) {
			return errors.New("this is not the frame that was asked for")
		}
		pixels = make([]byte, size)
		_, err := io.ReadFull(w.out, pixels)
		return err
	})
	return pixels, result, err
}

// end kills the worker and waits until it is gone.
func (w *worker) end() {
	w.once.Do(func() {
		if w.cmd.Process == nil {
			return
		}
		_ = w.cmd.Process.Kill()
		_ = w.in.Close()
		_ = w.cmd.Wait()
	})
}
