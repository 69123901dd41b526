package dicomweb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Deposit takes instances into one collection; see [custody.Deposit].
type Deposit interface {
	Receive(ctx context.Context, in custody.Incoming) (custody.Receipt, error)
	End()
}

const (
	smallPart   = 2 << 20   // a part up to this size is read before it is handed over, so that several wait for the disk together
	partsAtOnce = 8         // of one request
	partMemory  = 128 << 20 // of all requests
	maxParts    = 100_000   // of one request
)

// stored is what became of one part.
type stored struct {
	ordinal int64 // of the part in the body, from 1
	receipt custody.Receipt
	err     error
}

// store answers POST /studies and POST /studies/{study} (PS3.18 10.5).
func (d *Door) store(w http.ResponseWriter, r *http.Request) {
	caller, err := web.Known(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	id, err := d.depositInto(r, caller)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	study := r.PathValue("study")
	if study != "" {
		if _, err := uid(study); err != nil {
			web.Fail(w, r, err)
			return
		}
	}
	next, apart, err := parts(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	as, err := modelAs(r, "store instances", true)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	dep, err := d.Begin(r.Context(), id, caller.Actor)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	defer dep.End()
	var results []*stored
	if apart != nil {
		results, err = d.receiveApart(r.Context(), dep, study, apart)
	} else {
		results, err = d.receiveAll(r.Context(), dep, study, next)
	}
	if len(results) == 0 && err == nil {
		err = web.Refuse(http.StatusBadRequest, "store instances", "the body holds no instance", "Send one or more parts of type application/dicom.")
	}
	if err != nil && (len(results) == 0 || r.Context().Err() != nil) {
		web.Fail(w, r, err)
		return
	}
	d.answerStore(w, r, as, results, err)
}

// depositInto decides into which collection a request deposits, and whether it may: the one of its path, else the only one that the caller may deposit
// into, else the node's first.
func (d *Door) depositInto(r *http.Request, caller web.Caller) (collection.ID, error) {
	const attempt = "store instances"
	id := collection.ID(r.PathValue("collection"))
	if id == "" {
		for _, g := range caller.Grants {
			if !policy.Decide(policy.Facts{Grants: []policy.Grant{g}, Action: policy.Deposit, Collection: g.Collection}).Allow {
				continue
			}
			c := collection.ID(g.Collection)
			if g.Collection == policy.AllCollections {
				c = collection.Default
			}
			if id != "" && id != c {
				return "", web.Refuse(http.StatusBadRequest, attempt, "the token is for several collections", "Send it to /collections/{id}/dicomweb/studies.")
			}
			id = c
		}
		if id == "" {
			return "", fault.New(fault.Denied, attempt, "", "the token is for no collection that it may deposit into")
		}
	}
	on := "collection " + string(id)
	if _, err := collection.ParseID(string(id)); err != nil {
		return "", fault.New(fault.NotFound, attempt, "", "there is no such collection")
	}
	if dec := policy.Decide(policy.Facts{Grants: caller.Grants, Action: policy.Deposit, Collection: string(id)}); !dec.Allow {
		if !caller.Knows(string(id)) {
			return "", fault.New(fault.NotFound, attempt, "", "there is no such collection")
		}
		return "", fault.New(fault.Denied, attempt, on, strings.Join(dec.Reasons, "; "))
	}
	return id, nil
}

// parts reads the body's parts one after the other, each an instance; io.EOF after the last. Where they are metadata and bulk values, apart reads them instead.
func parts(r *http.Request) (next func() (io.Reader, error), apart *multipartReader, err error) {
	const attempt = "store instances"
	unsupported := func(reason string) error {
		return web.Refuse(http.StatusUnsupportedMediaType, attempt, reason, `Send multipart/related with type="application/dicom", "application/dicom+json" or "application/dicom+xml", or one instance as application/dicom.`)
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, nil, unsupported("the body is encoded (Content-Encoding)")
	}
	mt, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return nil, nil, unsupported("the Content-Type is missing or cannot be read")
	}
	if err != nil {
		// type=application/dicom without quotes, which the slash asks for, is what many send.
		if mt, params = looseMediaType(r.Header.Get("Content-Type")); mt == "" {
			return nil, nil, unsupported("the Content-Type cannot be read")
		}
	}
	switch mt {
	case "application/dicom":
		sent := false
		return func() (io.Reader, error) {
			if sent {
				return nil, io.EOF
			}
			sent = true
			return r.Body, nil
		}, nil, nil
	case "multipart/related":
		kind := strings.ToLower(params["type"])
		switch kind {
		case "", "application/dicom", "application/dicom+json", "application/dicom+xml":
		default:
			return nil, nil, unsupported("the parts are of a type that is not taken")
		}
		m, err := newMultipartReader(r.Body, params["boundary"])
		if err != nil {
			return nil, nil, err
		}
		if strings.HasPrefix(kind, "application/dicom+") {
			return nil, m, nil
		}
		return func() (io.Reader, error) {
			p, err := m.Next()
			if err != nil {
				return nil, err
			}
			return p, nil
		}, nil, nil
	}
	return nil, nil, unsupported("the body is neither multipart/related nor application/dicom")
}

// looseMediaType reads a media type whose parameters may lack their quotes.
func looseMediaType(s string) (string, map[string]string) {
	ranges, ok := parseAccept(s)
	if !ok || len(ranges) != 1 {
		return "", nil
	}
	return ranges[0].name, ranges[0].params
}

// receiveAll hands each part over as it comes. It returns what became of those that were read, and the error that ended the body, if one did.
func (d *Door) receiveAll(ctx context.Context, dep Deposit, study string, next func() (io.Reader, error)) ([]*stored, error) {
	var results []*stored
	var waiting sync.WaitGroup
	defer waiting.Wait()
	slots := make(chan struct{}, partsAtOnce)
	for {
		p, err := next()
		if errors.Is(err, io.EOF) {
			return results, nil
		}
		if err != nil {
			return results, bodyError(err)
		}
		if len(results) == maxParts {
			return results, fault.New(fault.TooLarge, "store instances", "", fmt.Sprintf("the body has more than %d parts", maxParts))
		}
		result := &stored{ordinal: int64(len(results)) + 1}
		if t, err := partType(p); err != nil || t != "" && t != "application/dicom" {
			result.err = &custody.Refusal{Reason: custody.Reason{Code: "media-type", Text: "the part is not of type application/dicom"},
				Err: fault.New(fault.Invalid, "store instance", "", "the part is not of type application/dicom")}
			results = append(results, result)
			continue
		}
		src := &sensed{r: p}
		if !d.parts.TryAcquire(smallPart) {
			// No memory to read ahead with: one after the other.
			d.receive(ctx, dep, study, custody.FromReader(src), result)
		} else {
			buf := d.buffers.Get().(*[]byte)
			b, whole, err := custody.FromReader(src).ReadAll((*buf)[:0], smallPart)
			*buf = b
			switch {
			case err != nil:
				d.giveBack(buf)
			case whole:
				slots <- struct{}{}
				waiting.Add(1)
				go func() {
					defer func() {
						d.giveBack(buf)
						<-slots
						waiting.Done()
					}()
					d.receive(ctx, dep, study, &memory{d: d, buf: buf, rest: b}, result)
				}()
			default:
				d.receive(ctx, dep, study, &ahead{head: b, Data: custody.FromReader(src)}, result)
				d.giveBack(buf)
			}
		}
		if src.err != nil {
			return results, bodyError(src.err) // the part that was cut was not kept
		}
		results = append(results, result)
	}
}

func (d *Door) giveBack(buf *[]byte) {
	d.parts.Release(smallPart)
	if cap(*buf) <= smallPart {
		d.buffers.Put(buf)
	}
}

// receive hands one instance over. A panic below costs that instance, not the node.
func (d *Door) receive(ctx context.Context, dep Deposit, study string, data custody.Data, result *stored) {
	defer func() {
		if v := recover(); v != nil {
			d.Log.Error("receiving an instance ended in a panic", "panic", fmt.Sprintf("%T", v))
			result.err = fault.New(fault.Internal, "store instance", "", "something went wrong that was not foreseen")
		}
	}()
	result.receipt, result.err = dep.Receive(ctx, custody.Incoming{StudyUID: study, Ordinal: result.ordinal, Data: data})
}

func partType(p io.Reader) (string, error) {
	if p, ok := p.(*part); ok {
		return p.mediaType()
	}
	return "", nil
}

// bodyError tells what is wrong with the body as a whole.
func bodyError(err error) error {
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		return web.Refuse(http.StatusBadRequest, "read request", "the body ends before its end", "Send it again whole.")
	}
	if _, ok := errors.AsType[*web.Error](err); ok {
		return err
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return web.Refuse(http.StatusBadRequest, "read request", "the body cannot be read to its end", "Send it again whole.")
}

// sensed remembers that its reader failed, which whoever reads through it may tell in words of their own.
type sensed struct {
	r   io.Reader
	err error
}

func (s *sensed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// memory is an instance that was read already. Whoever reads it whole gets the buffer itself, and leaves their own in exchange.
type memory struct {
	d    *Door
	buf  *[]byte
	rest []byte
}

func (m *memory) Read(p []byte) (int, error) {
	if len(m.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

func (m *memory) ReadAll(buf []byte, limit int) ([]byte, bool, error) {
	if len(buf) == 0 && len(m.rest) == len(*m.buf) && len(m.rest) <= limit {
		b := *m.buf
		*m.buf, m.rest = buf, nil
		return b, true, nil
	}
	n := max(min(len(m.rest), limit-len(buf)), 0)
	buf = append(buf, m.rest[:n]...)
	m.rest = m.rest[n:]
	return buf, len(m.rest) == 0, nil
}

// ahead is an instance of which the beginning was read already.
type ahead struct {
	head []byte
	custody.Data
}

func (a *ahead) Read(p []byte) (int, error) {
	if len(a.head) > 0 {
		n := copy(p, a.head)
		a.head = a.head[n:]
		return n, nil
	}
	return a.Data.Read(p)
}

func (a *ahead) ReadAll(buf []byte, limit int) ([]byte, bool, error) {
	n := max(min(len(a.head), limit-len(buf)), 0)
	buf = append(buf, a.head[:n]...)
	a.head = a.head[n:]
	if len(a.head) > 0 {
		return buf, false, nil
	}
	return a.Data.ReadAll(buf, limit)
}

func newPartMemory() *semaphore.Weighted { return semaphore.NewWeighted(partMemory) }
