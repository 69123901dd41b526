package dicom

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"os"
)

// File is a Part 10 file (PS3.10 7), or a data set that was found without its preamble or meta information.
type File struct {
	Preamble []byte   // 128 bytes; nil if there was none
	Meta     *Dataset // group 0002; nil if there was none
	Data     *Dataset

	raw    []byte      // the whole file, if it is in memory
	at     io.ReaderAt // the whole file, if it is not
	size   int64
	base   int64 // where the data set begins
	inside []byte
	close  func() error
}

// Parse reads a file whose bytes are all in b, which it keeps and must not be changed. A deflated data set is inflated within the limits.
func Parse(b []byte, lim Limits) (*File, error) {
	src := newSource(bytes.NewReader(b))
	preamble, meta, ts, n, err := readPrefix(src, lim.withDefaults())
	if err != nil {
		return nil, err
	}
	f := &File{Preamble: preamble, Meta: meta, raw: b, size: int64(len(b)), base: n}
	f.inside = b[n:]
	if ts.Deflated {
		if f.inside, err = Inflate(b[n:], lim); err != nil {
			return nil, err
		}
	}
	f.Data, err = ParseDataset(f.inside, ts, lim)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Open reads a file's header; bulk values stay on the disk until they are asked for. A deflated file is read into memory within the limits.
func Open(path string, lim Limits) (*File, error) {
	h, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f, err := openFile(h, lim)
	if err != nil {
		h.Close()
		return nil, err
	}
	return f, nil
}

func openFile(h *os.File, lim Limits) (*File, error) {
	fi, err := h.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, &Error{Op: "open", Offset: -1, Reason: "not a regular file", Kind: ErrNotDICOM}
	}
	rd, err := NewFileReader(h, lim)
	if err != nil {
		return nil, err
	}
	if rd.ts.Deflated {
		if fi.Size() > int64(lim.withDefaults().HeadBytes) {
			return nil, &Error{Op: "open", Offset: -1, Reason: "a deflated file of this size", Kind: ErrTooLarge}
		}
		b := make([]byte, fi.Size())
		if _, err := h.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		f, err := Parse(b, lim)
		if err == nil {
			err = h.Close()
		}
		return f, err
	}
	for {
		if _, err := rd.Next(); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
	}
	return &File{Preamble: rd.preamble, Meta: rd.meta, Data: rd.Dataset(), at: h, size: fi.Size(), base: rd.base, close: h.Close}, nil
}

// Close lets go of the file under [Open].
func (f *File) Close() error {
	if f.close == nil {
		return nil
	}
	err := f.close()
	f.close = nil
	return err
}

// Syntax is the transfer syntax of the data set.
func (f *File) Syntax() *TransferSyntax { return f.Data.ts }

// Bulk reads the bulk value of entry i; nil if it has none.
func (f *File) Bulk(i int) *io.SectionReader {
	b, ok := f.Data.BulkOf(i)
	if !ok {
		return nil
	}
	if f.at != nil {
		return io.NewSectionReader(f.at, f.base+b.Offset, b.Len)
	}
	return io.NewSectionReader(bytes.NewReader(f.inside), b.Offset, b.Len)
}

// WriteTo writes the file as it was read, to the byte.
func (f *File) WriteTo(w io.Writer) (int64, error) {
	if f.raw != nil {
		n, err := w.Write(f.raw)
		return int64(n), err
	}
	return io.Copy(w, io.NewSectionReader(f.at, 0, f.size))
}

// WriteEdited writes the file with its data set as rendered from an edit of f.Data. Preamble and meta information stay as they were; where the edit
// changed the SOP Instance UID, [WriteFile] with new meta information is what is wanted.
func (f *File) WriteEdited(w io.Writer, r *Rendered) error {
	if f.Preamble != nil {
		if _, err := w.Write(append(bytes.Clone(f.Preamble), "DICM"...)); err != nil {
			return err
		}
	}
	if f.Meta != nil {
		if _, err := w.Write(f.Meta.buf); err != nil {
			return err
		}
	}
	return writeData(w, r, func(b BulkRef) (io.Reader, error) { return f.Bulk(b.Elem), nil })
}

// WriteFile writes a Part 10 file: a preamble of zeros, the meta information, the data set; deflated where the transfer syntax says so.
func WriteFile(w io.Writer, meta *Dataset, r *Rendered, bulk func(BulkRef) (io.Reader, error)) error {
	var preamble [132]byte
	copy(preamble[128:], "DICM")
	if _, err := w.Write(preamble[:]); err != nil {
		return err
	}
	if _, err := w.Write(meta.buf); err != nil {
		return err
	}
	return writeData(w, r, bulk)
}

func writeData(w io.Writer, r *Rendered, bulk func(BulkRef) (io.Reader, error)) error {
	if !r.Syntax.Deflated {
		_, err := r.WriteTo(w, bulk)
		return err
	}
	z, err := flate.NewWriter(w, flate.DefaultCompression)
	if err != nil {
		return err
	}
	if _, err := r.WriteTo(z, bulk); err != nil {
		return err
	}
	return z.Close()
}

// How this implementation names itself, wherever DICOM asks: in associations (PS3.7 D.3.3.2) and in the meta information of the files that it writes (PS3.10 7.1).
// The UID is derived from a UUID (PS3.5 B.2).
const (
	ImplementationClassUID = "2.25.328358419810942092461212632884160116406"
	ImplementationVersion  = "VITRINE_1"
)

// MetaInfo is what file meta information says (PS3.10 7.1).
type MetaInfo struct {
	SOPClassUID               string
	SOPInstanceUID            string
	TransferSyntaxUID         string
	ImplementationClassUID    string
	ImplementationVersionName string
}

// NewMeta encodes file meta information, group length included.
func NewMeta(m MetaInfo) (*Dataset, error) {
	b := NewBuilder(ExplicitVRLittleEndian)
	b.Raw(TagFileMetaInformationVersion, VROB, []byte{0, 1})
	b.String(TagMediaStorageSOPClassUID, m.SOPClassUID)
	b.String(TagMediaStorageSOPInstanceUID, m.SOPInstanceUID)
	b.String(TagTransferSyntaxUID, m.TransferSyntaxUID)
	b.String(TagImplementationClassUID, m.ImplementationClassUID)
	if m.ImplementationVersionName != "" {
		b.String(TagImplementationVersionName, m.ImplementationVersionName)
	}
	b.Ints(TagFileMetaInformationGroupLength, len(b.bytes()))
	return b.Dataset()
}

// DatasetBytes are the bytes of the data set as they came, deflated if they were; nil if the file is not in memory.
func (f *File) DatasetBytes() []byte {
	if f.raw == nil {
		return nil
	}
	return f.raw[f.base:]
}
