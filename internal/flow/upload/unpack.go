package upload

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// Bounds of an archive. What is in it is no larger than what may come without one; how it is compressed is not for its sender to use against us.
const (
	maxMembers   = 100_000
	calm         = 10_000   // of them before it is waited until they are catalogued
	maxDirectory = 16 << 20 // bytes of a zip's directory
	maxRatio     = 200      // times what is compressed, beyond Limits.Blown
)

// Codes of what is said of an archive.
const (
	codeArchive = "archive"
	codeDamaged = "archive-damaged"
	codeLimit   = "archive-over-limit"
	codeLocked  = "archive-encrypted"
)

type archiveKind int

const (
	noArchive archiveKind = iota
	zipped
	tarred
	gzipped // a tar, or one file
)

// kindOf tells an archive by its first bytes. A DICOM file may begin with anything: its own mark decides.
func kindOf(head []byte) archiveKind {
	const mark, magic = 128, "DICM"
	switch {
	case len(head) >= mark+len(magic) && string(head[mark:mark+len(magic)]) == magic:
		return noArchive
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return zipped
	case bytes.HasPrefix(head, []byte("\x1f\x8b\x08")):
		return gzipped
	case isTar(head):
		return tarred
	}
	return noArchive
}

func isTar(head []byte) bool { return len(head) >= 262 && string(head[257:262]) == "ustar" }

// mayBeObject reports whether a file could be a DICOM object: it has the mark of PS3.10 7.1, or begins with an element of group 0002 or 0008 as a bare data set does. What
// else is on a disc of images (programs, pictures, notes) is counted and not looked at.
func mayBeObject(head []byte) bool {
	if len(head) >= 132 && string(head[128:132]) == "DICM" {
		return true
	}
	if len(head) < 8 {
		return false
	}
	le, be := binary.LittleEndian.Uint16(head), binary.BigEndian.Uint16(head)
	return le == 2 || le == 8 || be == 8
}

// unpacking is an archive on its way into custody.
type unpacking struct {
	custody *custody.Custody
	dep     *custody.Deposit
	limits  *Limits
	ordinal int64 // of the archive: by it its sender is told of what was in it

	members  int
	expanded int64
	packed   func() int64 // bytes of the archive that were read, for what is one stream
	outcomes map[custody.Outcome]int
	other    int // that are no objects
	refused  int
	why      []catalogue.Reason // distinct, as long as they are few
}

var (
	errLimit   = errors.New("over the limit of an archive")
	errMember  = errors.New("more came of it than so few bytes are worth")
	errMissing = errors.New("the archive cannot be read")
)

// note remembers a reason once.
func (u *unpacking) note(r catalogue.Reason) {
	if len(u.why) < 20 && !slices.ContainsFunc(u.why, func(o catalogue.Reason) bool { return o.Code == r.Code }) {
		u.why = append(u.why, r)
	}
}

// member takes one file. Its name is not asked for. packed is how many bytes it is in the archive; negative: it is part of one stream.
func (u *unpacking) member(ctx context.Context, r io.Reader, packed int64) error {
	if u.members++; u.members > maxMembers {
		return errLimit
	}
	if u.members%calm == 0 { // what comes from a file comes faster than it is catalogued
		if err := u.custody.Barrier(ctx); err != nil {
			return err
		}
	}
	before := u.expanded
	in := bufio.NewReaderSize(readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		u.expanded += int64(n)
		if u.expanded > u.limits.Unpacked {
			return n, errLimit
		}
		size, of := u.expanded-before, packed
		if of < 0 {
			size, of = u.expanded, u.packed()
		}
		if size > u.limits.Blown && size/maxRatio > of {
			return n, errMember
		}
		return n, err
	}), 64<<10)
	head, err := in.Peek(132)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !mayBeObject(head) {
		u.other++
		return nil
	}
	var broke error // of the archive's own, not of what takes from it
	receipt, err := u.dep.Receive(ctx, custody.Incoming{Ordinal: u.ordinal, Data: custody.FromReader(readerFunc(func(p []byte) (int, error) {
		n, err := in.Read(p)
		if err != nil && !errors.Is(err, io.EOF) {
			broke = err
		}
		return n, err
	}))})
	if broke != nil {
		return broke
	}
	if refusal, ok := errors.AsType[*custody.Refusal](err); ok && fault.KindOf(refusal) != fault.Unavailable {
		if refusal.Reason.Code == "dicomdir" { // what it lists is here
			u.other++
			return nil
		}
		u.refused++
		u.note(catalogue.Reason(refusal.Reason))
		return nil
	}
	if err != nil {
		return err
	}
	u.outcomes[receipt.Outcome]++
	for _, r := range receipt.Reasons {
		u.note(catalogue.Reason(r))
	}
	return nil
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// whole is a file that is there from its beginning to its end.
type whole interface {
	io.ReaderAt
	Size() int64
}

// Take hands a file that lies elsewhere to custody, or what is in it if it is an archive: for doors whose files are whole already. Its fate is told as that of an upload.
func (f *Flow) Take(ctx context.Context, dep *custody.Deposit, file whole) (fate string, reasons []catalogue.Reason, err error) {
	return f.give(ctx, dep, custody.Incoming{}, file)
}

// give hands a file to custody, or what is in it.
func (f *Flow) give(ctx context.Context, dep *custody.Deposit, in custody.Incoming, x whole) (fate string, reasons []catalogue.Reason, err error) {
	head := make([]byte, min(512, x.Size()))
	if _, err := x.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", nil, err
	}
	if kind := kindOf(head); kind != noArchive {
		return f.unpack(ctx, dep, in.Ordinal, kind, x)
	}
	in.Data = custody.FromReader(io.NewSectionReader(x, 0, x.Size()))
	receipt, err := dep.Receive(ctx, in)
	if refusal, ok := errors.AsType[*custody.Refusal](err); ok && fault.KindOf(refusal) != fault.Unavailable {
		return fateRefused, []catalogue.Reason{catalogue.Reason(refusal.Reason)}, nil
	}
	if err != nil {
		return "", nil, err
	}
	for _, r := range receipt.Reasons {
		reasons = append(reasons, catalogue.Reason(r))
	}
	return receipt.Outcome.String(), reasons, nil
}

// unpack hands what is in an archive to custody, and says what became of it. Again after an interruption, what was taken before is known, and does no harm.
func (f *Flow) unpack(ctx context.Context, dep *custody.Deposit, ordinal int64, kind archiveKind, x whole) (fate string, reasons []catalogue.Reason, err error) {
	select { // an archive's directory lies in memory
	case f.unpacking <- struct{}{}:
		defer func() { <-f.unpacking }()
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	u := &unpacking{custody: f.Custody, dep: dep, limits: &f.Limits, ordinal: ordinal, outcomes: map[custody.Outcome]int{}}
	switch kind {
	case zipped:
		err = u.zip(ctx, x)
	default:
		err = u.stream(ctx, x, kind)
	}
	if _, ours := errors.AsType[*fault.Error](err); ours {
		return "", nil, err // the node's: it is unpacked again
	}
	if err != nil && ctx.Err() != nil {
		return "", nil, ctx.Err()
	}
	fate, reasons = u.fate(err)
	return fate, reasons, nil
}

// zip unpacks by the directory at the archive's end.
func (u *unpacking) zip(ctx context.Context, x whole) error {
	at := &bounded{x: x, left: maxDirectory + 128<<10}
	z, err := zip.NewReader(at, x.Size())
	switch {
	case at.left < 0:
		return errLimit
	case at.err != nil:
		return at.err
	case err != nil && !errors.Is(err, zip.ErrInsecurePath): // names are not looked at
		return errMissing
	}
	at.free = true
	if len(z.File) > maxMembers {
		return errLimit
	}
	for _, m := range z.File {
		if err := ctx.Err(); err != nil {
			return err
		}
		if m.FileInfo().IsDir() {
			continue
		}
		if m.Flags&1 != 0 {
			u.refused++
			u.note(catalogue.Reason{Code: codeLocked, Text: "it is encrypted with a password: pack it without one, the way here is encrypted"})
			continue
		}
		r, err := m.Open()
		if err != nil {
			if at.err != nil {
				return at.err
			}
			u.damaged()
			continue
		}
		err = u.member(ctx, r, int64(min(m.CompressedSize64, 1<<62)))
		r.Close()
		if err = u.decide(err, at.err); err != nil {
			return err
		}
	}
	return nil
}

// decide says whether a failure in one file of a zip ends the work on it.
func (u *unpacking) decide(err, ours error) error {
	switch {
	case err == nil:
		return nil
	case ours != nil:
		return ours
	case errors.Is(err, errMember):
		u.refused++
		u.note(catalogue.Reason{Code: codeLimit, Text: "what it holds grows beyond all measure when it is unpacked"})
		return nil
	case errors.Is(err, errLimit):
		return errLimit
	}
	// A wrong checksum or a torn stream concerns this file alone; it comes to us as what custody could not read on.
	if archiveError(err) {
		u.damaged()
		return nil
	}
	return err
}

func (u *unpacking) damaged() {
	u.refused++
	u.note(catalogue.Reason{Code: codeDamaged, Text: "it is damaged, or packed in a way that is not known here"})
}

// archiveError reports whether an error is the archive's, not the node's.
func archiveError(err error) bool {
	for _, e := range []error{zip.ErrChecksum, zip.ErrFormat, zip.ErrAlgorithm, gzip.ErrChecksum, gzip.ErrHeader, tar.ErrHeader, tar.ErrFieldTooLong, io.ErrUnexpectedEOF, errMissing, errMember} {
		if errors.Is(err, e) {
			return true
		}
	}
	return strings.HasPrefix(err.Error(), "flate:") // compress/flate's errors have types, and no other mark in common
}

// bounded is the archive as its directory is read: not without end.
type bounded struct {
	x    whole
	left int64
	free bool // it was read
	err  error
}

func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	if !b.free {
		if b.left -= int64(len(p)); b.left < 0 {
			return 0, errLimit
		}
	}
	n, err := b.x.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// stream unpacks what is read from its beginning to its end.
func (u *unpacking) stream(ctx context.Context, x whole, kind archiveKind) error {
	at := &bounded{x: x, free: true}
	raw := &counting{Reader: io.NewSectionReader(at, 0, x.Size())}
	u.packed = func() int64 { return raw.n }
	var r io.Reader = bufio.NewReaderSize(raw, 256<<10)
	err := func() error {
		if kind == gzipped {
			z, err := gzip.NewReader(r)
			if err != nil {
				return errMissing
			}
			defer z.Close()
			in := bufio.NewReaderSize(z, 64<<10)
			head, err := in.Peek(512)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if !isTar(head) { // one file
				return u.member(ctx, in, -1)
			}
			r = in
		}
		t := tar.NewReader(r)
		for {
			h, err := t.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if errors.Is(err, tar.ErrInsecurePath) { // names are not looked at
				err = nil
			}
			if err != nil {
				return err
			}
			if h.Typeflag != tar.TypeReg {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := u.member(ctx, t, -1); err != nil {
				return err
			}
		}
	}()
	if at.err != nil {
		return at.err
	}
	return err
}

type counting struct {
	io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// fate is what is said of the archive as a whole: refused, if it could not be read to its end or nothing in it was taken; else what the least lucky of its objects came to.
func (u *unpacking) fate(err error) (string, []catalogue.Reason) {
	kept := u.outcomes[custody.Kept] + u.outcomes[custody.Held] + u.outcomes[custody.Conflict] + u.outcomes[custody.Duplicate]
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{{u.outcomes[custody.Kept], "kept"}, {u.outcomes[custody.Held], "held"}, {u.outcomes[custody.Conflict], "held as conflicts"}, {u.outcomes[custody.Duplicate], "here already"}, {u.refused, "refused"},
		{u.other, "no objects, and left aside"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	said := catalogue.Reason{Code: codeArchive, Text: "an archive; of the files in it: " + strings.Join(parts, ", ")}
	if len(parts) == 0 {
		said.Text = "an archive with no file in it"
	}
	if u.refused > 0 && len(u.why) > 0 {
		said.Text += "; " + u.why[0].Text
	}
	reasons := append([]catalogue.Reason{said}, u.why...)
	switch {
	case errors.Is(err, errLimit), errors.Is(err, errMember):
		said.Code = codeLimit
		said.Text = "an archive that holds more than is unpacked here: send it in several, or unpacked. " + said.Text
		return fateRefused, append([]catalogue.Reason{said}, u.why...)
	case err != nil:
		said.Code = codeDamaged
		said.Text = "an archive that is damaged or cut off: send it again, what is here already does no harm. " + said.Text
		return fateRefused, append([]catalogue.Reason{said}, u.why...)
	case kept == 0:
		return fateRefused, reasons
	case u.refused > 0 && slices.ContainsFunc(u.why, func(r catalogue.Reason) bool { return r.Code == codeDamaged }):
		said.Code = codeDamaged
		said.Text = "an archive of which a part is damaged: send it again, what is here already does no harm. " + said.Text
		return fateRefused, append([]catalogue.Reason{said}, u.why...)
	case u.outcomes[custody.Conflict] > 0:
		return custody.Conflict.String(), reasons
	case u.outcomes[custody.Held] > 0:
		return custody.Held.String(), reasons
	case u.outcomes[custody.Kept] > 0:
		return custody.Kept.String(), reasons
	}
	return custody.Duplicate.String(), reasons
}
