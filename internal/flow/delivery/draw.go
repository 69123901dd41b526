package delivery

import (
	"context"
	"image"
	"io"
	"runtime"

	"golang.org/x/sync/semaphore"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// Decoder turns a frame that is a code stream into samples, and makes the attributes those of the samples; its errors are [*render.Unsupported] and
// [*render.Broken] of the frame.
type Decoder func(ctx context.Context, syntax *dicom.TransferSyntax, a *render.Attributes, frame []byte) ([]byte, error)

// drawing bounds how many pictures are drawn at a time: each holds a frame in memory.
var drawing = semaphore.NewWeighted(int64(2 * runtime.GOMAXPROCS(0)))

// maxCodeStream bounds the frame that is read to be drawn.
const maxCodeStream = 256 << 20

// Draw reads frame number of an object, counted from 1, and draws it; number 0 is the middle one. A frame that cannot be drawn is a [*render.Unsupported] or
// [*render.Broken].
func (d *Delivery) Draw(ctx context.Context, o *Object, number int, opts render.Options) (image.Image, error) {
	if err := drawing.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer drawing.Release(1)
	data, err := o.Dataset()
	if err != nil {
		return nil, err
	}
	if data.PixelData() < 0 {
		return nil, fault.New(fault.NotFound, "render", "", "the instance has no pixel data")
	}
	f, err := o.FramesAs(o.Syntax().BigEndian)
	if err != nil {
		return nil, err
	}
	if number == 0 {
		number = (f.Count() + 1) / 2
	}
	frame, err := Frame(f, number)
	if err != nil {
		return nil, err
	}
	a, err := render.AttributesOfFrame(data, number-1)
	if err != nil {
		return nil, err
	}
	if frame.Size > maxCodeStream {
		return nil, &render.Unsupported{Reason: "a frame of this size"}
	}
	b := make([]byte, frame.Size)
	if _, err := io.ReadFull(frame, b); err != nil {
		return nil, fault.Wrap(fault.Corrupt, "render", "", err)
	}
	if d.Decode == nil || !o.Syntax().Encapsulated {
		return render.Draw(a, o.Syntax(), b, opts)
	}
	if b, err = d.Decode(ctx, o.Syntax(), &a, b); err != nil {
		return nil, err
	}
	return render.DrawSamples(a, b, opts)
}

// FramesAs finds the frames of the object's pixel data as [Object.Frames] does, in little endian words if swap.
func (o *Object) FramesAs(swap bool) (*dicom.Frames, error) {
	data, err := o.Dataset()
	if err != nil {
		return nil, err
	}
	word := 1
	if i := data.PixelData(); i >= 0 {
		word = data.VR(i).WordSize()
	}
	if !swap || word == 1 {
		return o.Frames(nil)
	}
	return o.Frames(func(r io.ReaderAt, size int64) io.ReaderAt { return Swapped(r, size, word) })
}

// Swapped reads big endian words of so many bytes as little endian ones.
func Swapped(r io.ReaderAt, size int64, word int) io.ReaderAt {
	return &swapped{r, size, int64(word)}
}

type swapped struct {
	r    io.ReaderAt
	size int64
	word int64
}

func (s *swapped) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= s.size {
		return 0, io.EOF
	}
	want := min(int64(len(p)), s.size-off)
	from := off - off%s.word
	to := min((off+want+s.word-1)/s.word*s.word, s.size)
	b := make([]byte, to-from)
	if n, err := s.r.ReadAt(b, from); int64(n) < to-from {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	for w := b; int64(len(w)) >= s.word; w = w[s.word:] {
		for i, j := int64(0), s.word-1; i < j; i, j = i+1, j-1 {
			w[i], w[j] = w[j], w[i]
		}
	}
	n := copy(p[:want], b[off-from:])
	if int64(n) < int64(len(p)) {
		return n, io.EOF
	}
	return n, nil
}
