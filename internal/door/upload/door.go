// Package upload is the door for files that come in pieces: tus 1.0 (https://tus.io/protocols/resumable-upload) at /upload, and batches of files beside it.
//
//	POST  /upload/batches                {"collection": "breast"}, answered with the batch, which is a deposit; "cleaned": true, of what a gateway has cleaned
//	POST  /upload                        Upload-Length, Upload-Metadata: batch, ordinal, sha256; answered with Location
//	PATCH /upload/{id}                   Upload-Offset and the next bytes; the last of them is answered when the file is on stable storage
//	HEAD  /upload/{id}                   how many bytes are there
//	GET   /upload/batches/{batch}        what became of each file, by its ordinal
//	POST  /upload/batches/{batch}/end    nothing more comes
//	GET   /upload/links/mine             until when a link works, and for how much
//	PUT   /upload/batches/{batch}/files/{ordinal}    a whole file in one request, as application/dicom; answered with what became of it
//
// Somebody outside, without an account, shows a link that they were sent in the header Vitrine-Link, and in Vitrine-Visit what keeps their files apart from those of others who hold
// the same link. No other door takes links.
//
// Without a batch a file is a deposit of its own, into the collection that the metadata name. All other metadata are passed over: a name of a file is read by nobody here.
//
//	POST  /upload/recalls                {"collection": ..., "instances": [...]}: a gateway has found something in what it gave; it is held
//
// A gateway, which has cleaned what it gives, says by what: in the metadata given, or in the header Vitrine-Given of a whole file in base64 ([custody.Given]).
//
// The header Vitrine-Outcome of the last answer says kept, held, duplicate or conflict. What is refused is an error, as everywhere, and says why.
//
// The protocol is that of tusd's handler; it keeps nothing itself. Its extensions: creation, creation-with-upload, termination, expiration, and checksum with sha256 and sha1.
package upload

import (
	"bytes"
	"context"
	"crypto/sha1" // the checksum extension of tus wants it supported; what is kept is judged by SHA-256
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	xslog "golang.org/x/exp/slog" // what tusd logs with

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/link"
	flow "github.com/vitrine-imaging/vitrine/internal/flow/upload"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	record "github.com/vitrine-imaging/vitrine/internal/record/upload"
)

const (
	// finishIn bounds how long a whole file may take to be handed over, whether or not its sender waits for the answer.
	finishIn = 15 * time.Minute
	// graceful is how long pieces of a sender who has gone may take to be put away.
	graceful = 5 * time.Second
	// listed is how many files of a batch one answer names.
	listed = 5000

	statusChecksum = 460 // Checksum Mismatch, of tus
)

// Door is safe for use by many goroutines.
type Door struct {
	flow  *flow.Flow
	links *link.Desk // nil: nobody comes by a link
	log   *slog.Logger
	tus   *handler.UnroutedHandler
	// large takes files of any size: of those who come by a link, whose quota is the bound.
	large *handler.UnroutedHandler
	// draining ends when the node does: senders are asked to come back, not cut off in the middle of a piece.
	draining context.Context
	drain    context.CancelFunc
}

// New makes the door. Without links nobody comes by one.
func New(f *flow.Flow, links *link.Desk, log *slog.Logger) (*Door, error) {
	d := &Door{flow: f, links: links, log: log}
	d.draining, d.drain = context.WithCancel(context.Background())
	composer := handler.NewStoreComposer()
	composer.UseCore(store{f})
	composer.UseTerminater(store{f})
	composer.UseLocker(memorylocker.New())
	config := handler.Config{
		StoreComposer: composer, BasePath: base, MaxSize: f.Limits.File, DisableDownload: true, DisableConcatenation: true,
		Cors:                             &handler.CorsConfig{Disable: true}, // nobody else's page sends anything here
		Logger:                           xslog.New(xslog.NewTextHandler(io.Discard, &xslog.HandlerOptions{Level: xslog.Level(100)})),
		GracefulRequestCompletionTimeout: graceful,
	}
	var err error
	if d.tus, err = handler.NewUnroutedHandler(config); err != nil {
		return nil, err
	}
	config.MaxSize = 0
	d.large, err = handler.NewUnroutedHandler(config)
	return d, err
}

const base = "/upload/"

// Drain lets requests that bring bytes end at once: what has come of them is kept.
func (d *Door) Drain() { d.drain() }

// Register adds the door's routes, which expect a [web.Front] before them.
func (d *Door) Register(mux web.Routes) {
	options := d.through(d.tus.PostFile) // the middleware answers by itself
	mux.Handle("OPTIONS /upload", options)
	mux.Handle("OPTIONS /upload/{id}", options)
	person, holder := d.through(d.tus.PostFile), d.through(d.large.PostFile)
	mux.Handle("POST /upload", d.known(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if byLink(r) {
			holder.ServeHTTP(w, r)
			return
		}
		person.ServeHTTP(w, r)
	})))
	mux.Handle("HEAD /upload/{id}", d.known(d.through(d.tus.HeadFile)))
	mux.Handle("PATCH /upload/{id}", d.known(d.through(d.tus.PatchFile)))
	mux.Handle("DELETE /upload/{id}", d.known(d.through(d.tus.DelFile)))
	mux.Handle("POST /upload/batches", d.known(http.HandlerFunc(d.begin)))
	mux.Handle("GET /upload/batches/{batch}", d.known(http.HandlerFunc(d.batch)))
	mux.Handle("POST /upload/batches/{batch}/end", d.known(http.HandlerFunc(d.end)))
	if d.links != nil {
		mux.HandleFunc("GET /upload/links/mine", d.told)
	}
	mux.Handle("POST /upload/recalls", d.known(http.HandlerFunc(d.recall)))
	mux.Handle("PUT /upload/batches/{batch}/files/{ordinal}", d.known(http.HandlerFunc(d.send)))
}

// exchange is what store and answer of one request tell each other around the handler between them.
type exchange struct {
	who     flow.Caller
	sum     hash.Hash // of the body, if the request says what it should be
	want    []byte
	body    *counted
	err     error // of ours
	outcome string
	expires time.Time
}

type exchangeKey struct{}

// counted is a body of which more may be read than tusd's handler passes on.
type counted struct {
	io.ReadCloser
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	return n, err
}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// through passes a request to tusd's handler, and its answer through ours.
func (d *Door) through(h http.HandlerFunc) http.Handler {
	inner := d.tus.Middleware(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{who: callerOf(r)}
		a := &answer{ResponseWriter: w, r: r, x: x, body: r.Body, draining: d.draining}
		if err := x.checksum(r.Header.Get("Upload-Checksum")); err != nil {
			a.fail(err)
			return
		}
		r.Header.Del("X-HTTP-Method-Override") // the route was chosen already
		stop := context.AfterFunc(d.draining, func() { web.Interrupt(a.body) })
		defer stop()
		x.body = &counted{ReadCloser: r.Body}
		id := r.PathValue("id")
		r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
		r.Body = x.body
		r.URL = &url.URL{Path: id} // where tusd looks for the identifier
		inner.ServeHTTP(a, r)
		a.end()
	})
}

// checksum reads the header of tus's checksum extension.
func (x *exchange) checksum(s string) error {
	if s == "" {
		return nil
	}
	name, value, _ := strings.Cut(s, " ")
	switch name {
	case "sha256":
		x.sum = sha256.New()
	case "sha1":
		x.sum = sha1.New()
	default:
		return web.Refuse(http.StatusBadRequest, "upload", "the checksum's algorithm is not known", "Use sha256 or sha1.")
	}
	var err error
	if x.want, err = base64.StdEncoding.DecodeString(value); err != nil || len(x.want) != x.sum.Size() {
		return web.Refuse(http.StatusBadRequest, "upload", "the checksum cannot be read", "Send the algorithm, a space, and the digest in base64.")
	}
	return nil
}

// begin answers POST /upload/batches.
func (d *Door) begin(w http.ResponseWriter, r *http.Request) {
	var want struct {
		Collection string `json:"collection"`
		Cleaned    bool   `json:"cleaned"` // by a gateway
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&want); err != nil {
		web.Fail(w, r, web.Refuse(http.StatusBadRequest, "begin batch of uploads", "the body is no JSON object", `Send {"collection": "its id"}.`))
		return
	}
	start := d.flow.Begin
	if want.Cleaned {
		start = d.flow.BeginCleaned
	}
	b, err := start(r.Context(), callerOf(r), collection.ID(want.Collection))
	if err != nil {
		web.Fail(w, r, ofLink(err))
		return
	}
	w.Header().Set("Location", base+"batches/"+b.ID.String())
	give(w, http.StatusCreated, viewOf(r, b))
}

func viewOf(r *http.Request, b record.Batch) batchView {
	v := batchView{Batch: b.ID.String(), Collection: string(b.Collection), Upload: strings.TrimSuffix(base, "/"), Ended: !b.Ended.IsZero()}
	if !byLink(r) {
		v.Deposit = "/deposits/" + v.Batch
	}
	return v
}

// batchView is a batch as JSON. Numbers of deposits are more than what JavaScript's numbers hold, and so are text.
type batchView struct {
	Batch      string     `json:"batch"`
	Collection string     `json:"collection"`
	Deposit    string     `json:"deposit,omitempty"` // its page, for who has an account
	Upload     string     `json:"upload"`            // where files of it are sent
	Ended      bool       `json:"ended"`
	Files      []fileView `json:"files,omitempty"`
	Next       int64      `json:"next,omitempty"` // ask with after= this for more
}

type fileView struct {
	Ordinal int64     `json:"ordinal"`
	Upload  string    `json:"upload"`
	Size    int64     `json:"size"`
	Fate    string    `json:"fate"` // arriving, kept, held, duplicate, conflict, refused
	Reasons []advised `json:"reasons,omitempty"`
}

// advised is a reason with what to do about it.
type advised struct {
	custody.Reason
	Advice string `json:"advice,omitempty"`
}

// batch answers GET /upload/batches/{batch}.
func (d *Door) batch(w http.ResponseWriter, r *http.Request) {
	id, err := batchOf(r)
	if err != nil {
		web.Fail(w, r, ofLink(err))
		return
	}
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64) // whatever is no number begins at the beginning
	b, all, err := d.flow.Batch(r.Context(), callerOf(r), id, max(after, 0), listed)
	if err != nil {
		web.Fail(w, r, ofLink(err))
		return
	}
	v := viewOf(r, b)
	for _, u := range all {
		f := fileView{Ordinal: u.Ordinal, Upload: base + u.ID, Size: u.Size, Fate: u.Fate}
		for _, r := range u.Reasons {
			f.Reasons = append(f.Reasons, advised{custody.Reason(r), custody.Reason(r).Advice()})
		}
		if f.Fate == "" {
			f.Fate = "arriving"
		}
		v.Files = append(v.Files, f)
	}
	if len(all) == listed {
		v.Next = all[listed-1].Ordinal
	}
	give(w, http.StatusOK, v)
}

// end answers POST /upload/batches/{batch}/end.
func (d *Door) end(w http.ResponseWriter, r *http.Request) {
	id, err := batchOf(r)
	if err == nil {
		err = d.flow.End(r.Context(), callerOf(r), id)
	}
	if err != nil {
		web.Fail(w, r, ofLink(err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func batchOf(r *http.Request) (catalogue.DepositID, error) {
	id, err := catalogue.ParseDepositID(r.PathValue("batch"))
	if err != nil {
		return 0, fault.New(fault.NotFound, "upload", "", "there is no such batch of yours")
	}
	return id, nil
}

func give(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts and numbers
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write(b) // whoever does not read it has gone
}

// store is the flow as tusd's handler asks for it.
type store struct{ f *flow.Flow }

// failed remembers an error of ours for the answer, and gives tusd one of its own kind.
func (x *exchange) failed(err error) error {
	if err == nil {
		return nil
	}
	x.err = err
	return handler.NewError("ERR_VITRINE", "see the answer", http.StatusInternalServerError)
}

func (s store) NewUpload(ctx context.Context, info handler.FileInfo) (handler.Upload, error) {
	x := exchangeOf(ctx)
	w := flow.Wish{Size: info.Size, Collection: collection.ID(info.MetaData["collection"])}
	var err error
	if b := info.MetaData["batch"]; b != "" {
		if w.Batch, err = catalogue.ParseDepositID(b); err != nil {
			return nil, x.failed(fault.New(fault.NotFound, "upload", "", "there is no such batch of yours"))
		}
		w.Ordinal, _ = strconv.ParseInt(info.MetaData["ordinal"], 10, 64) // none is refused
	}
	if text := info.MetaData["sha256"]; text != "" {
		sum, err := hex.DecodeString(text)
		if err != nil || len(sum) != sha256.Size {
			return nil, x.failed(fault.New(fault.Invalid, "upload", "", "the metadata sha256 is not 64 hexadecimal digits"))
		}
		w.Sum = (*[32]byte)(sum)
	}
	if text := info.MetaData["given"]; text != "" {
		if w.Given, err = custody.ParseGiven([]byte(text)); err != nil {
			return nil, x.failed(err)
		}
	}
	st, err := s.f.Create(ctx, x.who, w)
	if err != nil {
		return nil, x.failed(err)
	}
	return arriving(s.f, x, st), nil
}

func (s store) GetUpload(ctx context.Context, id string) (handler.Upload, error) {
	x := exchangeOf(ctx)
	// One that is whole may have to be handed over first.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishIn)
	defer cancel()
	st, err := s.f.Find(ctx, x.who, id)
	if err != nil {
		return nil, x.failed(err)
	}
	return arriving(s.f, x, st), nil
}

func (s store) AsTerminatableUpload(u handler.Upload) handler.TerminatableUpload { return u.(*one) }

// one is an upload in one request.
type one struct {
	f  *flow.Flow
	x  *exchange
	st flow.State
}

func arriving(f *flow.Flow, x *exchange, st flow.State) *one {
	x.outcome, x.expires = st.Fate, st.Expires
	return &one{f, x, st}
}

func (o *one) GetInfo(context.Context) (handler.FileInfo, error) {
	return handler.FileInfo{ID: o.st.ID, Size: o.st.Size, Offset: o.st.Offset}, nil
}

func (o *one) WriteChunk(ctx context.Context, offset int64, src io.Reader) (int64, error) {
	if o.x.sum != nil {
		src = io.TeeReader(src, o.x.sum)
	}
	n, err := o.f.Append(ctx, o.x.who, o.st.ID, offset, src, func() error {
		if o.x.body.n > o.st.Size-offset {
			return fault.New(fault.TooLarge, "upload", "", "the request brings more bytes than were announced")
		}
		if o.x.sum != nil && !bytes.Equal(o.x.sum.Sum(nil), o.x.want) {
			return fault.Wrap(fault.Invalid, "upload", "", flow.ErrChecksum)
		}
		return nil
	})
	return n, o.x.failed(err)
}

func (o *one) FinishUpload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishIn)
	defer cancel()
	if o.x.err != nil { // what failed a moment ago is not whole, whatever the count says
		return o.x.failed(o.x.err)
	}
	st, err := o.f.Finish(ctx, o.x.who, o.st.ID)
	if err != nil {
		return o.x.failed(err)
	}
	o.st, o.x.outcome, o.x.expires = st, st.Fate, time.Time{}
	return nil
}

func (o *one) Terminate(ctx context.Context) error {
	o.x.expires = time.Time{}
	return o.x.failed(o.f.Remove(ctx, o.x.who, o.st.ID))
}

func (o *one) GetReader(context.Context) (io.ReadCloser, error) {
	return nil, errors.New("what is uploaded is not given back") // no route leads here
}
