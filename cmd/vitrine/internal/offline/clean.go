package offline

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
)

// clean is the second pass over an input.
func (r *run) clean(w *worker, i int) error {
	it := &r.items[i]
	if it.result.Outcome != "" || it.same > 0 {
		return nil
	}
	f, err := dicom.Open(r.Inputs[i].Path, limits)
	if err != nil {
		it.unreadable(err)
		return nil
	}
	defer f.Close()
	res, err := w.subjectOf(it.person).Clean(f.Data)
	if err != nil {
		it.hold("failed", "", err.Error()) // ours; names no value
		return nil
	}
	if res.Outcome == deid.Cleaned && len(res.NewTerms) > 0 {
		it.hold("changed", "", "the file was changed while it was worked on; run it again")
		return nil
	}
	var stripped *codec.Stripped
	pixels := f.Data.PixelData()
	if res.Outcome == deid.Cleaned && !r.Profile.AsDeposited && pixels >= 0 && f.Syntax().Encapsulated {
		if stripped, err = strip(f, pixels); err != nil {
			if !unstrippable(err) {
				it.unreadable(err)
				return nil
			}
			res.Outcome = deid.Held
			res.Reasons = append(res.Reasons, deid.Reason{Code: deid.CodeUnsure, Where: f.Data.Path(pixels), Text: "its code stream cannot be read, so nothing tells what it carries besides the picture"})
		}
	}
	value := func(elem int) io.Reader {
		if stripped != nil && elem == pixels {
			return stripped.Reader()
		}
		return f.Bulk(elem)
	}
	if res.Outcome == deid.Cleaned && res.ScanBulk {
		// Before anything is written: what is found here must not reach the disk.
		for _, b := range f.Data.Bulks() {
			scan := w.subjectOf(it.person).Matcher().NewBulkScanner()
			if _, err := io.CopyBuffer(scan, onlyReader{value(b.Elem)}, w.buffer()); err != nil {
				it.unreadable(err)
				return nil
			}
			if scan.Hit() {
				res.Outcome = deid.Held
				res.Reasons = append(res.Reasons, scan.Reason(f.Data.Path(b.Elem)))
			}
		}
	}
	if res.Outcome != deid.Cleaned {
		it.result = deid.NewItem(i+1, res, "")
		it.result.Actions = deid.Actions{} // nothing was written, so nothing was done
		return nil
	}
	if stripped != nil {
		if res.Rendered, err = deid.Untabled(res.Rendered); err != nil {
			it.hold("failed", "", err.Error())
			return nil
		}
		for k := range res.Rendered.Bulk {
			if res.Rendered.Bulk[k].Elem == pixels {
				res.Rendered.Bulk[k].Len = stripped.Size
			}
		}
	}
	meta, err := dicom.NewMeta(dicom.MetaInfo{
		SOPClassUID: res.SOPClassUID, SOPInstanceUID: res.SOPInstanceUID, TransferSyntaxUID: f.Syntax().UID,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersionName: dicom.ImplementationVersion,
	})
	if err != nil {
		it.hold("failed", "", err.Error())
		return nil
	}
	err = r.out.write(it.name, w.writer(), func(out io.Writer) error {
		if r.Profile.AsDeposited && f.Syntax().Deflated {
			// Deflated anew, equal data sets differ in their bytes.
			head := append(append(make([]byte, 128), "DICM"...), meta.Bytes()...)
			if _, err := out.Write(head); err != nil {
				return err
			}
			_, err := out.Write(f.DatasetBytes())
			return err
		}
		return dicom.WriteFile(out, meta, res.Rendered, func(b dicom.BulkRef) (io.Reader, error) { return value(b.Elem), nil })
	})
	if errors.Is(err, errDiffers) {
		it.hold("output-exists", "", "its output is there already with other content; choose an empty folder for --out")
		return nil
	}
	if err != nil {
		if de, ok := errors.AsType[*dicom.Error](err); ok {
			it.unreadable(de)
			return nil
		}
		return fmt.Errorf("the output of input %d cannot be written: %w", i+1, withoutPath(err))
	}
	it.result = deid.NewItem(i+1, res, it.name)
	return nil
}

// strip is what becomes of the pixel data of an encapsulated image, whose code streams may carry comments and application data; nil: they carry none.
func strip(f *dicom.File, pixels int) (*codec.Stripped, error) {
	b, ok := f.Data.BulkOf(pixels)
	if !ok {
		return nil, nil
	}
	frames, err := dicom.NewFrames(f.Data, f.Bulk(pixels), b.Len)
	if err != nil {
		return nil, err
	}
	return codec.StripPixels(f.Syntax(), frames)
}

// unstrippable reports an error of a code stream, not of reading the file.
func unstrippable(err error) bool {
	if _, ok := errors.AsType[*codec.Broken](err); ok {
		return true
	}
	if _, ok := errors.AsType[*codec.Unsupported](err); ok {
		return true
	}
	_, ok := errors.AsType[*dicom.Error](err)
	return ok
}

// subjectOf is this worker's own, with the whole lexicon: so that workers need not wait for one another.
func (w *worker) subjectOf(p *person) *deid.Subject {
	if w.last != p {
		w.last, w.subject = p, deid.NewSubject(w.Profile, w.keys, p.identity, p.lexicon)
	}
	return w.subject
}

func (w *worker) buffer() []byte {
	if w.buf == nil {
		w.buf = make([]byte, 256<<10)
	}
	return w.buf
}

func (w *worker) writer() *bufio.Writer {
	if w.writes == nil {
		w.writes = bufio.NewWriterSize(nil, 256<<10)
	}
	return w.writes
}

type onlyReader struct{ io.Reader }

// pathless is what the file system says, without the name.
func pathless(err error) string {
	err = withoutPath(err)
	if err == nil {
		return "it cannot be read"
	}
	return err.Error()
}

func withoutPath(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return le.Err
	}
	return err
}

// same compares what write makes with a file that is there.
func sameAs(path string, write func(io.Writer) error) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	c := &comparer{r: bufio.NewReaderSize(f, 256<<10)}
	if err := write(c); err != nil && !errors.Is(err, errDiffers) {
		return false, err
	} else if err != nil {
		return false, nil
	}
	_, err = c.r.ReadByte()
	return errors.Is(err, io.EOF), nil
}

type comparer struct {
	r   *bufio.Reader
	buf []byte
}

func (c *comparer) Write(p []byte) (int, error) {
	for n := 0; n < len(p); {
		if c.buf == nil {
			c.buf = make([]byte, 64<<10)
		}
		k := min(len(p)-n, len(c.buf))
		if _, err := io.ReadFull(c.r, c.buf[:k]); err != nil {
			return n, errDiffers
		}
		if string(c.buf[:k]) != string(p[n:n+k]) {
			return n, errDiffers
		}
		n += k
	}
	return len(p), nil
}
