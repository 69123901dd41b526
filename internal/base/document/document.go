// Package document reads documents that came encapsulated in DICOM objects, for a person who decides about them: the text of a PDF and pictures of its pages, a
// clinical document (HL7 CDA), models of surfaces (STL, OBJ, MTL), pictures. What a document is, its own first bytes say, not what is said of it.
//
// It promises: a document may be anything, and makes an error at worst, of that document alone. It is read in a child process ([Work] is that process), which has an
// empty environment, limits of memory, and a time after which it is killed. The document goes to it through a pipe, and what is read comes back through another: nothing is
// ever in a file, and nothing is kept. A PDF is read by PDFium, compiled to WebAssembly, without scripts, network or files.
//
//	r := document.NewReader(document.Options{Command: []string{"vitrine", "document-worker"}})
//	c, err := r.Read(ctx, body, size)
//
// It judges nothing: what names a person in what it finds, the caller has to ask.
package document

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sync/semaphore"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Kind is what a document is.
type Kind string

// The kinds.
const (
	PDF     Kind = "pdf"
	CDA     Kind = "cda" // HL7 CDA, the only XML that DICOM encapsulates (PS3.3 A.45.2)
	XML     Kind = "xml" // of another sort
	HL7     Kind = "hl7" // a message of HL7 version 2
	STL     Kind = "stl"
	OBJ     Kind = "obj"
	MTL     Kind = "mtl"
	JPEG    Kind = "jpeg"
	PNG     Kind = "png"
	Text    Kind = "text"
	Unknown Kind = "unknown" // nothing of it is read
)

// Contents are what a document says. It may name anybody.
type Contents struct {
	Kind     Kind
	Pages    int       // of a PDF; 1 of a picture; 0: it has none that could be drawn
	Facts    []Fact    // what it says of itself, and of people and places in its head
	Passages []Passage // its text, in its order
	Remarks  []string  // what a reader has to know: sentences, without a word of the document
}

// Fact is one thing that a document's head says.
type Fact struct{ Name, Value string }

// Passage is a part of the text.
type Passage struct {
	Page  int    // counted from 1; 0: it is of no page
	Title string // of a section; or what part of the document this is
	Text  string
	Cut   bool // there is more than is shown
}

// Broken is a document that cannot be read.
type Broken struct{ Reason string }

func (e *Broken) Error() string { return e.Reason }

// Options are how documents are read. What is zero has a default.
type Options struct {
	Command []string      // the program of the child process, which calls [Work], with its arguments
	AtOnce  int           // processes at a time; 2
	Start   time.Duration // how long a process may take to be ready, which includes compiling PDFium once on a machine; 2 min
	Limit   time.Duration // how long reading or drawing may take from then on; 30 s
}

// Reader reads documents. It is safe for use by many goroutines.
type Reader struct {
	o    Options
	room *semaphore.Weighted
}

// NewReader makes a reader; nothing is started yet.
func NewReader(o Options) *Reader {
	if o.AtOnce == 0 {
		o.AtOnce = 2
	}
	if o.Start == 0 {
		o.Start = 2 * time.Minute
	}
	if o.Limit == 0 {
		o.Limit = 30 * time.Second
	}
	return &Reader{o: o, room: semaphore.NewWeighted(int64(o.AtOnce))}
}

// MaxSize bounds a document, in bytes.
const MaxSize = 128 << 20

// Bounds of what is read of one.
const (
	maxPages    = 400 // whose text is read
	maxPassage  = 64 << 10
	maxText     = 1 << 20
	maxFacts    = 400
	maxValue    = 2 << 10
	maxPassages = 1000
	maxAnswer   = 8 << 20  // bytes of a description
	maxPicture  = 64 << 20 // bytes of a picture
)

// Read reads a document of so many bytes. Errors are [*Broken] of the document, ctx's, and fault.Unavailable if no process can be started.
func (r *Reader) Read(ctx context.Context, doc io.Reader, size int64) (*Contents, error) {
	b, err := r.ask(ctx, request{}, doc, size, maxAnswer)
	if err != nil {
		return nil, err
	}
	var c Contents
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, &Broken{"what its reader answers cannot be understood"}
	}
	c.bound()
	return &c, nil
}

// Picture draws a page of a document, counted from 1, as a PNG that fits into a square of so many pixels.
func (r *Reader) Picture(ctx context.Context, doc io.Reader, size int64, page, within int) ([]byte, error) {
	if page < 1 {
		return nil, fault.New(fault.NotFound, "draw a page", "", "pages are counted from 1")
	}
	return r.ask(ctx, request{Page: page, Within: min(max(within, 16), 4096)}, doc, size, maxPicture)
}

// request is what a child process is asked: to describe, or to draw a page.
type request struct {
	Page   int `json:",omitempty"` // 0: describe
	Within int `json:",omitempty"`
	Size   int64
	Limit  int64 // milliseconds, for all
}

// What passes between the two: a request is its length and JSON, then the document. The process says by a byte that it begins to read, and answers with another, which says
// what follows, and its length: what was asked for, or a reason why not. Lengths have four bytes, little endian.
const (
	begun    byte = 3
	answered byte = 1
	declined byte = 2
)

func (r *Reader) ask(ctx context.Context, q request, doc io.Reader, size, most int64) ([]byte, error) {
	const attempt = "read a document"
	if size > MaxSize {
		return nil, &Broken{"it is larger than is read (128 MiB)"}
	}
	if len(r.o.Command) == 0 {
		return nil, fault.New(fault.Unavailable, attempt, "", "this node reads no documents")
	}
	if err := r.room.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer r.room.Release(1)
	q.Size, q.Limit = size, (r.o.Start + r.o.Limit).Milliseconds()
	head, err := json.Marshal(q)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, attempt, "", err)
	}
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(r.o.Start, func() { cancel(errLate) })
	defer late.Stop()
	cmd := exec.CommandContext(limited, r.o.Command[0], r.o.Command[1:]...)
	cmd.Env = []string{"GOTRACEBACK=none"} // and nothing of the node's, which may hold secrets
	if root, ok := os.LookupEnv("SYSTEMROOT"); ok {
		cmd.Env = append(cmd.Env, "SYSTEMROOT="+root)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, attempt, "", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, attempt, "", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fault.New(fault.Unavailable, attempt, "", "the process that reads it cannot be started")
	}
	// Whatever else holds the other ends: nobody here waits for them any longer than this.
	unblock := context.AfterFunc(limited, func() { _, _ = in.Close(), out.Close() })
	defer func() {
		unblock()
		cancel(nil) // kills it, if it has not ended
		_ = cmd.Wait()
	}()
	sent := make(chan error, 1)
	go func() {
		defer in.Close()
		if _, err := in.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(head))), head...)); err != nil {
			sent <- nil // it has ended; its answer says why
			return
		}
		sent <- feed(in, doc, size)
	}()
	kind, body, err := readAnswer(out, most, func() { late.Reset(r.o.Limit) })
	lateness := errors.Is(context.Cause(limited), errLate)
	if err != nil || kind != answered {
		cancel(nil) // whoever sends need not wait for who does not read
	}
	if err := <-sent; err != nil {
		return nil, err
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && lateness:
		return nil, &Broken{"reading it takes longer than it may take"}
	case err != nil:
		return nil, &Broken{"it ends the process that reads it"}
	case kind == declined:
		return nil, &Broken{sentence(body)}
	}
	return body, nil
}

// feed sends the document; an error is of reading it here.
func feed(w io.Writer, doc io.Reader, size int64) error {
	b := make([]byte, 256<<10)
	for size > 0 {
		n, err := io.ReadFull(doc, b[:min(size, int64(len(b)))])
		if err != nil {
			return fault.Wrap(fault.Corrupt, "read a document", "", err)
		}
		if _, err := w.Write(b[:n]); err != nil {
			return nil
		}
		size -= int64(n)
	}
	return nil
}

var errLate = errors.New("it takes too long")

func readAnswer(r io.Reader, most int64, begins func()) (byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return 0, nil, err
	}
	if head[0] == begun {
		begins()
		if _, err := io.ReadFull(r, head[:1]); err != nil {
			return 0, nil, err
		}
	}
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return 0, nil, err
	}
	n := int64(binary.LittleEndian.Uint32(head[1:]))
	if head[0] != answered && head[0] != declined || n > most {
		return 0, nil, errors.New("this is no answer")
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, n); err != nil {
		return 0, nil, err
	}
	return head[0], b.Bytes(), nil
}

// sentence is a reason of ours, which the process passes on: it has no word of the document, and nothing but such words is believed.
func sentence(b []byte) string {
	s := string(b)
	for _, known := range reasons {
		if s == known {
			return s
		}
	}
	return "it cannot be read"
}

// Why a document is not read.
const (
	whyEncrypted = "it is encrypted, and opens with a password alone"
	whyDamaged   = "it is damaged: it cannot be opened"
	whyNoPage    = "it has no such page"
	whyLarge     = "a picture of it would be larger than is drawn"
	whyUnknown   = "it is of no kind that is read here"
	whyMemory    = "reading it takes more memory than it may take"
)

var reasons = []string{whyEncrypted, whyDamaged, whyNoPage, whyLarge, whyUnknown, whyMemory}

// bound cuts contents to what is ever shown, and makes them text: what a process answers is not believed to have done so.
func (c *Contents) bound() {
	if c.Pages < 0 || c.Pages > 1<<24 {
		c.Pages = 0
	}
	c.Facts = c.Facts[:min(len(c.Facts), maxFacts)]
	for i := range c.Facts {
		c.Facts[i].Name, _ = plain(c.Facts[i].Name, maxValue)
		c.Facts[i].Value, _ = plain(c.Facts[i].Value, maxValue)
	}
	c.Passages = c.Passages[:min(len(c.Passages), maxPassages)]
	left := maxText
	for i := range c.Passages {
		p := &c.Passages[i]
		p.Title, _ = plain(p.Title, maxValue)
		var cut bool
		p.Text, cut = plain(p.Text, min(maxPassage, left))
		p.Cut = p.Cut || cut
		left -= len(p.Text)
	}
	known := c.Remarks[:0]
	for _, r := range c.Remarks {
		for _, k := range remarks {
			if r == k {
				known = append(known, r)
				break
			}
		}
	}
	c.Remarks = known
}

// plain is text without signs that cannot be shown, of at most so many bytes; cut says that there was more.
func plain(s string, most int) (text string, cut bool) {
	if len(s) > most {
		s, cut = s[:most], true
		for len(s) > 0 {
			if r, n := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && n == 1 {
				s = s[:len(s)-1]
				continue
			}
			break
		}
	}
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
			return ' ' // among them what turns the direction of writing
		}
		return r
	}, s), cut
}
