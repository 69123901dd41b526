package dicomweb

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

const maxFrames = 10_000 // of one request

// open opens the one instance that a path names.
func (d *Door) open(r *http.Request) (*delivery.Object, error) {
	caller, at, err := asked(r)
	if err != nil {
		return nil, err
	}
	return d.Delivery.Open(r.Context(), caller, at, policy.ReadPixels)
}

// frames answers single frames as they are stored, or uncompressed (PS3.18 10.4.1.1.6).
func (d *Door) frames(w http.ResponseWriter, r *http.Request) {
	list, err := frameList(r.PathValue("frames"))
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	o, err := d.open(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	defer o.Close()
	if err := d.sendFrames(w, r, o, list, len(list) == 1); err != nil {
		web.Fail(w, r, err)
	}
}

// frameList reads 1,2,5.
func frameList(s string) ([]int, error) {
	var list []int
	for v := range strings.SplitSeq(s, ",") {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil || n == 0 || len(list) == maxFrames {
			return nil, web.Refuse(http.StatusBadRequest, "retrieve frames", "the path does not list frames", "Write numbers from 1 on, with commas between them, at most 10,000.")
		}
		list = append(list, int(n))
	}
	return list, nil
}

// sendFrames writes frames, in a multipart body or, if single, in whichever form is asked for. A list that is nil means every frame.
func (d *Door) sendFrames(w http.ResponseWriter, r *http.Request, o *delivery.Object, list []int, single bool) error {
	data, err := o.Dataset()
	if err != nil {
		return err
	}
	pixels := data.PixelData()
	if pixels < 0 {
		return fault.New(fault.NotFound, "retrieve frames", "", "the instance has no pixel data")
	}
	e := data.At(pixels)
	as, err := pixelsAs(r, o.Syntax(), e.IsEncapsulated(), single)
	if err != nil {
		return err
	}
	if as.decode {
		return d.sendDecoded(w, r, o, as, list)
	}
	f, err := o.FramesAs(as.swap)
	if err != nil {
		return err
	}
	if list == nil {
		for k := range f.Count() {
			list = append(list, k+1)
		}
	}
	for _, k := range list { // every number is tried before the first byte is sent
		if k > f.Count() {
			_, err := delivery.Frame(f, k)
			return err
		}
	}
	syntax := as.syntax(o.Syntax())
	first, err := delivery.Frame(f, list[0])
	if err != nil {
		return err
	}
	h := w.Header()
	private(h)
	h.Set("Vary", "Accept")
	if !as.multipart {
		if r.Header.Get("Range") != "" {
			return serve(w, r, o, as.contentType(syntax), first)
		}
		h.Set("Content-Type", as.contentType(syntax))
		h.Set("Content-Length", strconv.FormatInt(first.Size, 10))
		return d.copy(w, r, first)
	}
	buf := buffered(w)
	defer release(buf)
	m := newMultipartWriter(buf)
	h.Set("Content-Type", m.contentType(as.media))
	at := d.address(r, o)
	for i, k := range list {
		frame := first
		if i > 0 {
			if frame, err = delivery.Frame(f, k); err != nil {
				return err
			}
		}
		m.part(as.contentType(syntax), at+"/frames/"+strconv.Itoa(k))
		if r.Method == http.MethodHead {
			break
		}
		if err := copyAll(buf, frame, frame.Size); err != nil {
			return err
		}
	}
	if err := m.end(); err != nil {
		return err
	}
	return buf.Flush()
}

// sendDecoded writes frames that are kept as code streams uncompressed, each decoded when the one before it has been sent. A list that is nil means every frame, one behind the
// other as one value.
func (d *Door) sendDecoded(w http.ResponseWriter, r *http.Request, o *delivery.Object, as pixelForm, list []int) error {
	const attempt = "retrieve pixels"
	x, err := d.Delivery.Decoded(r.Context(), o)
	if err != nil {
		return undecoded(attempt, err)
	}
	size := x.FrameSize()
	if list == nil {
		size *= int64(x.Count())
	}
	var first []byte
	for i, k := range list {
		if i == 0 || k > x.Count() { // every number is tried before the first byte is sent
			var b []byte
			if b, err = x.Frame(r.Context(), k); i == 0 {
				first = b
			}
		}
		if err != nil {
			return undecoded(attempt, err)
		}
	}
	h := w.Header()
	private(h)
	h.Set("Vary", "Accept")
	buf := buffered(w)
	defer release(buf)
	media := as.contentType(as.syntax(o.Syntax()))
	var m *multipartWriter
	if as.multipart {
		m = newMultipartWriter(buf)
		h.Set("Content-Type", m.contentType(as.media))
	} else {
		h.Set("Content-Type", media)
		h.Set("Content-Length", strconv.FormatInt(size, 10))
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	at := d.address(r, o)
	if list == nil {
		if m != nil {
			m.part(media, at+"/bulkdata/"+dicom.TagPixelData.Hex())
		}
		if err := copyAll(buf, x.All(r.Context()), size); err != nil {
			return err
		}
	}
	for i, k := range list {
		b := first
		if i > 0 {
			if b, err = x.Frame(r.Context(), k); err != nil {
				return undecoded(attempt, err)
			}
		}
		if m != nil {
			m.part(media, at+"/frames/"+strconv.Itoa(k))
		}
		if _, err := buf.Write(b); err != nil {
			return err
		}
	}
	if m != nil {
		if err := m.end(); err != nil {
			return err
		}
	}
	return buf.Flush()
}

// copy writes one value as the whole answer.
func (d *Door) copy(w http.ResponseWriter, r *http.Request, f *dicom.Frame) error {
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	buf := buffered(w)
	defer release(buf)
	if err := copyAll(buf, f, f.Size); err != nil {
		return err
	}
	return buf.Flush()
}

// copyAll copies exactly n bytes.
func copyAll(w io.Writer, r io.Reader, n int64) error {
	m, err := io.Copy(w, r)
	if err == nil && m != n {
		err = fault.New(fault.Corrupt, "retrieve pixels", "", "a value is shorter than it should be")
	}
	return err
}

// bulk answers one bulk value (PS3.18 10.4.1.1.5). Of one that goes out alone, ranges can be asked for.
func (d *Door) bulk(w http.ResponseWriter, r *http.Request) {
	o, err := d.open(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	defer o.Close()
	if err := d.sendBulk(w, r, o); err != nil {
		web.Fail(w, r, err)
	}
}

func (d *Door) sendBulk(w http.ResponseWriter, r *http.Request, o *delivery.Object) error {
	data, err := o.Dataset()
	if err != nil {
		return err
	}
	i := elementAt(data, r.PathValue("element"))
	if i < 0 || data.VR(i).IsText() {
		return fault.New(fault.NotFound, "retrieve bulk data", "", "the instance has no such value")
	}
	e := data.At(i)
	if e.IsEncapsulated() && i == data.PixelData() {
		if as, err := pixelsAs(r, o.Syntax(), true, true); err == nil && as.decode {
			return d.sendDecoded(w, r, o, as, nil)
		}
		// Code streams go out frame by frame (PS3.18 8.7.3.3.2).
		f, err := o.Frames(nil)
		if err != nil {
			return err
		}
		return d.sendFrames(w, r, o, nil, f.Count() == 1)
	}
	v, err := o.Value(i)
	if err != nil {
		return err
	}
	if e.Tag == dicom.TagEncapsulatedDocument && e.Parent == dicom.Root {
		// A document has a media type of its own, which viewers ask for (PS3.18 8.7.3.3).
		wish := pictureWish{}
		if wish.ranges, err = accepted(r); err != nil {
			return err
		}
		if media := documentMedia(data); media != "" {
			if as, ok := wish.choose(octets, media); ok && as.media == media && !as.multipart {
				wish.header(w)
				return serve(w, r, o, media, v)
			}
		}
	}
	as, err := pixelsAs(r, o.Syntax(), false, true)
	if err != nil {
		return err
	}
	size, syntax := v.Size(), as.syntax(o.Syntax())
	if as.swap {
		if word := data.VR(i).WordSize(); word > 1 {
			v = io.NewSectionReader(delivery.Swapped(v, size, word), 0, size)
		}
	}
	h := w.Header()
	private(h)
	h.Set("Vary", "Accept")
	if !as.multipart {
		return serve(w, r, o, as.contentType(syntax), v)
	}
	buf := buffered(w)
	defer release(buf)
	m := newMultipartWriter(buf)
	h.Set("Content-Type", m.contentType(as.media))
	m.part(as.contentType(syntax), d.address(r, o)+"/bulkdata/"+elementPath(data, i))
	if r.Method != http.MethodHead {
		if err := copyAll(buf, v, size); err != nil {
			return err
		}
	}
	if err := m.end(); err != nil {
		return err
	}
	return buf.Flush()
}

// serve writes one value as the whole answer, or the ranges of it that are asked for (RFC 9110 14).
func serve(w http.ResponseWriter, r *http.Request, o *delivery.Object, contentType string, v io.ReadSeeker) error {
	w.Header().Set("Content-Type", contentType)
	rw := &ranged{ResponseWriter: w, r: r}
	http.ServeContent(rw, r, "", o.Created, v)
	return rw.failed
}

// ranged turns a refusal of http.ServeContent into a problem.
type ranged struct {
	http.ResponseWriter
	r      *http.Request
	failed error
}

func (w *ranged) WriteHeader(code int) {
	if code < 400 {
		w.ResponseWriter.WriteHeader(code)
		return
	}
	w.failed = web.Refuse(code, "retrieve bulk data", "the range asked for is not in the value", "Ask for bytes within the Content-Length, or without Range.")
}

func (w *ranged) Write(p []byte) (int, error) {
	if w.failed != nil {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *ranged) Unwrap() http.ResponseWriter { return w.ResponseWriter }
