// Package object gives back what a pack record holds: one DICOM instance, as its header (every byte but bulk values) and its bulk values apart.
//
// It promises that the data set it writes is the one that was kept, byte for byte, and that reading a header never reads pixels. It decides nothing
// about who may have it.
package object

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Span is a bulk value: where it belongs in the head, and where it lies in the record's bulk section.
type Span struct {
	At  int   `json:"at"`
	Off int64 `json:"off"`
	Len int64 `json:"len"`
}

// Layout says how an instance lies in its record. It is part of the record's meta section (docs/formats/object.md).
type Layout struct {
	Syntax string `json:"ts"`
	Bulk   []Span `json:"bulk,omitempty"`
	// Deflated says that the bulk section is the deflated data set as it came, and that there is no head: kept so where nothing was edited, since
	// deflating again would give other bytes.
	Deflated bool `json:"deflated,omitempty"`
}

// Refs are the bulk values as [dicom.ParseHead] wants them.
func (l *Layout) Refs() []dicom.BulkRef {
	refs := make([]dicom.BulkRef, len(l.Bulk))
	for i, s := range l.Bulk {
		refs[i] = dicom.BulkRef{At: s.At, Elem: i, Len: s.Len}
	}
	return refs
}

// EncodeMeta is a meta section: the layout and, apart from it, so that reading an instance need not parse it, what else is to be known of the record.
func EncodeMeta(l Layout, rest []byte) ([]byte, error) {
	layout, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(layout)+len(rest)), uint32(len(layout)))
	return append(append(b, layout...), rest...), nil
}

// DecodeMeta reads what EncodeMeta wrote.
func DecodeMeta(meta []byte) (l Layout, rest []byte, err error) {
	bad := fault.New(fault.Corrupt, "open instance", "pack record", "its description cannot be read")
	if len(meta) < 4 {
		return l, nil, bad
	}
	n := uint64(binary.BigEndian.Uint32(meta))
	if n > uint64(len(meta)-4) || json.Unmarshal(meta[4:4+n], &l) != nil {
		return l, nil, bad
	}
	return l, meta[4+n:], nil
}

// Instance is an open instance. It is for one goroutine; its bulk may be read by several.
type Instance struct {
	Layout Layout
	syntax *dicom.TransferSyntax
	rec    *pack.Object
	head   []byte
	data   *dicom.Dataset
	check  func() error // nil: nobody is asked
}

// Open opens the record at ref with its subject's key.
func Open(ctx context.Context, packs *pack.Store, ref pack.Ref, key keys.Key) (*Instance, error) {
	rec, err := packs.Open(ctx, ref, key)
	if err != nil {
		return nil, err
	}
	x := &Instance{rec: rec}
	if err := x.load(); err != nil {
		rec.Close()
		return nil, err
	}
	return x, nil
}

func (x *Instance) load() error {
	meta, err := x.rec.Meta()
	if err != nil {
		return err
	}
	if x.Layout, _, err = DecodeMeta(meta); err != nil {
		return err
	}
	ts, ok := dicom.LookupTransferSyntax(x.Layout.Syntax)
	if !ok {
		return fault.New(fault.Corrupt, "open instance", "pack record", "its transfer syntax is not one")
	}
	x.syntax = ts
	return nil
}

// Guard has a question asked before each piece of a bulk value that is read from now on: its error ends the reading. Whoever gives out what may be called back while it leaves sets it before
// anything is read.
func (x *Instance) Guard(check func() error) { x.check = check }

// bulk is the record's bulk section.
func (x *Instance) bulk() io.ReaderAt {
	if x.check == nil {
		return x.rec.Bulk()
	}
	return guarded{x.rec.Bulk(), x.check}
}

type guarded struct {
	r     io.ReaderAt
	check func() error
}

// piece is how much is read between two questions.
const piece = 256 << 10

func (g guarded) ReadAt(p []byte, off int64) (n int, err error) {
	for {
		if err := g.check(); err != nil {
			return n, err
		}
		k := min(len(p)-n, piece)
		m, err := g.r.ReadAt(p[n:n+k], off+int64(n))
		if n += m; n == len(p) || err != nil {
			return n, err
		}
	}
}

// Close lets go of the record.
func (x *Instance) Close() { x.rec.Close() }

// Syntax is the transfer syntax that the instance is kept in.
func (x *Instance) Syntax() *dicom.TransferSyntax { return x.syntax }

// Meta is the record's meta section.
func (x *Instance) Meta() ([]byte, error) { return x.rec.Meta() }

// Head is every byte of the data set but its bulk values.
func (x *Instance) Head() ([]byte, error) {
	if x.check != nil {
		if err := x.check(); err != nil {
			return nil, err
		}
	}
	if x.head == nil && !x.Layout.Deflated {
		head, err := x.rec.Head()
		if err != nil {
			return nil, err
		}
		x.head = head
	}
	return x.head, nil
}

// Dataset is the index of the instance; its bulk values are elided. Of a data set that is kept deflated it is inflated, bulk inline.
func (x *Instance) Dataset() (*dicom.Dataset, error) {
	if x.data != nil {
		return x.data, nil
	}
	if x.Layout.Deflated {
		raw, err := io.ReadAll(x.raw())
		if err != nil {
			return nil, err
		}
		b, err := dicom.Inflate(raw, dicom.Limits{})
		if err != nil {
			return nil, corrupt(err)
		}
		x.data, err = dicom.ParseDataset(b, x.syntax, dicom.Limits{})
		return x.data, corrupt(err)
	}
	head, err := x.Head()
	if err != nil {
		return nil, err
	}
	x.data, err = dicom.ParseHead(head, x.Layout.Refs(), x.syntax, dicom.Limits{})
	return x.data, corrupt(err)
}

func corrupt(err error) error {
	return fault.Wrap(fault.Corrupt, "read instance", "pack record", err)
}

func (x *Instance) raw() *io.SectionReader {
	return io.NewSectionReader(x.bulk(), 0, x.rec.BulkSize())
}

// Bulk reads the k-th bulk value of [Instance.Dataset].
func (x *Instance) Bulk(k int) (*io.SectionReader, error) {
	d, err := x.Dataset()
	if err != nil {
		return nil, err
	}
	bulks := d.Bulks()
	if k < 0 || k >= len(bulks) {
		return nil, fault.New(fault.NotFound, "read bulk value", "", "the instance has no such value")
	}
	if bulks[k].Inline {
		b := d.Value(bulks[k].Elem)
		return io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))), nil
	}
	s := x.Layout.Bulk[k]
	return io.NewSectionReader(x.bulk(), s.Off, s.Len), nil
}

// Sections are head and bulk as they lie in the record: with the same layout, another record of them is the same instance.
func (x *Instance) Sections() (head []byte, bulk *io.SectionReader, err error) {
	head, err = x.Head()
	return head, x.raw(), err
}

// Size is the number of bytes that WriteDataset writes; -1 if it is deflated on the way and not known before.
func (x *Instance) Size() (int64, error) {
	if x.Layout.Deflated {
		return x.rec.BulkSize(), nil
	}
	if x.syntax.Deflated {
		return -1, nil
	}
	n := x.rec.Lengths[pack.Head]
	for _, s := range x.Layout.Bulk {
		n += s.Len
	}
	return n, nil
}

// WriteDataset writes the data set in the transfer syntax that it is kept in.
func (x *Instance) WriteDataset(w io.Writer) error {
	if x.Layout.Deflated {
		_, err := io.Copy(w, x.raw())
		return err
	}
	if !x.syntax.Deflated {
		return x.splice(w)
	}
	z, err := flate.NewWriter(w, flate.DefaultCompression)
	if err != nil {
		return err
	}
	return errors.Join(x.splice(z), z.Close())
}

// Reader gives the data set in a transfer syntax: the one that it is kept in, to the byte; or another native one, if it is native (see [dicom.Dataset.Transcode]).
// It has to be closed.
func (x *Instance) Reader(ts *dicom.TransferSyntax) (io.ReadCloser, error) {
	switch {
	case ts.UID != x.syntax.UID:
		return x.transcoded(ts)
	case x.Layout.Deflated:
		return io.NopCloser(x.raw()), nil
	case x.syntax.Deflated:
		return Piped(x.WriteDataset), nil
	}
	head, err := x.Head()
	if err != nil {
		return nil, err
	}
	parts := make([]io.Reader, 0, 2*len(x.Layout.Bulk)+1)
	at := 0
	for _, s := range x.Layout.Bulk {
		parts = append(parts, bytes.NewReader(head[at:s.At]), &whole{r: io.NewSectionReader(x.bulk(), s.Off, s.Len), left: s.Len})
		at = s.At
	}
	return io.NopCloser(io.MultiReader(append(parts, bytes.NewReader(head[at:]))...)), nil
}

func (x *Instance) transcoded(ts *dicom.TransferSyntax) (io.ReadCloser, error) {
	d, err := x.Dataset()
	if err != nil {
		return nil, err
	}
	r, err := d.Transcode(ts)
	if err != nil {
		return nil, err
	}
	of := map[int]int{}
	for k, b := range d.Bulks() {
		of[b.Elem] = k
	}
	bulk := func(b dicom.BulkRef) (io.Reader, error) {
		v, err := x.Bulk(of[b.Elem])
		if err != nil {
			return nil, err
		}
		return d.BulkIn(ts, b.Elem, v), nil
	}
	return Piped(func(w io.Writer) error {
		if !ts.Deflated {
			_, err := r.WriteTo(w, bulk)
			return err
		}
		z, err := flate.NewWriter(w, flate.DefaultCompression)
		if err != nil {
			return err
		}
		_, err = r.WriteTo(z, bulk)
		return errors.Join(err, z.Close())
	}), nil
}

// Piped reads what is written. Closing it ends the writing.
func Piped(write func(io.Writer) error) io.ReadCloser {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := bufio.NewWriterSize(w, 64<<10)
		err := write(b)
		if err == nil {
			err = b.Flush()
		}
		w.CloseWithError(err)
	}()
	return &pipe{r, done}
}

type pipe struct {
	*io.PipeReader
	done chan struct{}
}

func (p *pipe) Close() error {
	err := p.PipeReader.Close()
	<-p.done // it reads from the record, which is let go of next
	return err
}

// whole makes a bulk value that ends too early an error: nothing goes out cut.
type whole struct {
	r    io.Reader
	left int64
}

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.left -= int64(n)
	if err == io.EOF && w.left > 0 {
		err = fault.New(fault.Corrupt, "read instance", "pack record", "a bulk value is shorter than its description says")
	}
	return n, err
}

// WriteInflated writes the data set as [Instance.Dataset] indexes it: not deflated.
func (x *Instance) WriteInflated(w io.Writer) error {
	if !x.Layout.Deflated {
		return x.splice(w)
	}
	d, err := x.Dataset()
	if err != nil {
		return err
	}
	_, err = w.Write(d.Bytes())
	return err
}

func (x *Instance) splice(w io.Writer) error {
	head, err := x.Head()
	if err != nil {
		return err
	}
	at := 0
	for _, s := range x.Layout.Bulk {
		if _, err := w.Write(head[at:s.At]); err != nil {
			return err
		}
		at = s.At
		n, err := io.Copy(w, io.NewSectionReader(x.bulk(), s.Off, s.Len))
		if err != nil {
			return err
		}
		if n != s.Len {
			return fault.New(fault.Corrupt, "read instance", "pack record", "a bulk value is shorter than its description says")
		}
	}
	_, err = w.Write(head[at:])
	return err
}
