package reading

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"image"
	"io"
	"slices"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin"
	"github.com/vitrine-imaging/vitrine/internal/judge/face"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

const (
	// maxCodeStream bounds a frame as it is stored, in bytes.
	maxCodeStream = 256 << 20
	// maxFrames bounds the frames of one image that are read.
	maxFrames = 20_000
)

// seen is what a reading found in the frames of one image.
type seen struct {
	frames [][]image.Rectangle // by frame, where text is
	weak   [][]image.Rectangle // by frame, where something may be text
	unsure string              // why a person has to look; empty: nothing
	strip  bool                // its code streams carry what is no picture
	sliced bool                // it is a slice of a volume, or several
	size   image.Point         // columns and rows
	whole  bool                // every frame was read
	person bool                // somebody has looked, and answers for what is not painted
	reader string              // what has read, with its version

	crowded bool                // there is more that looks like text than is kept: frames do not have it
	drawn   *custody.Boxes      // given by who has looked
	left    [][]image.Rectangle // by frame, what is not painted, because who has looked wants it so
}

// found is the same as it is kept: boxes of frames in a row once.
func (s *seen) found() *catalogue.Found {
	f := &catalogue.Found{Reader: s.reader, Frames: len(s.frames)}
	f.Boxes = runs(s.frames)
	return f
}

// settle brings together what the frames say by themselves and what they say together: constant is where text stands in all of them, of which there are count. What may be
// text in a slice and does not stand in the others is what anatomy looks like; with fewer than three to compare, or in any other image, a person looks.
func (s *seen) settle(constant []burnin.Box, count int) {
	if !s.whole || s.crowded {
		return
	}
	doubt := s.unsure != "" && (!s.sliced || count < compared)
	for k := range s.frames {
		if doubt {
			s.frames[k] = append(s.frames[k], s.weak[k]...)
		}
		for _, c := range constant {
			// What covers so much is no line of text: slices have air and a table in common.
			if s.sliced && c.Dx()*c.Dy()*little > s.size.X*s.size.Y {
				continue
			}
			if !slices.ContainsFunc(s.frames[k], c.In) {
				s.frames[k] = append(s.frames[k], c.Rectangle)
			}
		}
	}
	if !doubt {
		s.unsure = ""
	}
}

// little is the share of a slice, one of so many parts, that a line of text takes at most.
const little = 8

// compared is how many slices at least tell what is anatomy from what is written in all of them.
const compared = 3

// runs are the boxes of frames, each once for all frames in a row that have it.
func runs(frames [][]image.Rectangle) []catalogue.FoundBox {
	var all []catalogue.FoundBox
	open := map[image.Rectangle]int{}
	for k, boxes := range frames {
		now := map[image.Rectangle]int{}
		for _, b := range boxes {
			at, ok := open[b]
			if !ok {
				at = len(all)
				all = append(all, catalogue.FoundBox{First: k + 1, Box: [4]int{b.Min.X, b.Min.Y, b.Max.X, b.Max.Y}})
			}
			all[at].Last, now[b] = k+1, at
		}
		open = now
	}
	return all
}

// film reads the frames of one image one by one.
type film struct {
	pixels custody.Pixels
	frames *dicom.Frames
	syntax *dicom.TransferSyntax
	hints  burnin.Hints
	codecs *codec.Pool
	known  map[[32]byte]burnin.Found // by the frame's bytes: what is the same is read once
	sliced bool
	volume *face.Volume // takes each frame that is decoded; nil: nobody does
	second second
}

// errUnread says that a frame cannot be read here; its text has no value of the object.
type errUnread struct{ reason string }

func (e *errUnread) Error() string { return e.reason }

func newFilm(p custody.Pixels, codecs *codec.Pool) (*film, error) {
	x := &film{pixels: p, syntax: p.Data.Syntax(), codecs: codecs, known: map[[32]byte]burnin.Found{}}
	if p.Value == nil {
		return nil, &errUnread{"its pixel data is empty"}
	}
	if x.syntax.BigEndian && p.Data.VR(p.Data.PixelData()).WordSize() > 1 {
		if n, _ := p.Data.Int(dicom.TagBitsAllocated); n != 16 {
			return nil, &errUnread{"pixels of 8 bits in big endian words are not read"}
		}
	}
	var err error
	if x.frames, err = dicom.NewFrames(p.Data, p.Value, p.Size); err != nil {
		return nil, &errUnread{"where its frames begin cannot be told"}
	}
	if n := x.frames.Count(); n > maxFrames && !(isSlide(p.Data.UID(dicom.TagSOPClassUID)) && n <= maxTiles) {
		return nil, &errUnread{"it has more than 20,000 frames"}
	}
	x.hints = burnin.HintsOf(p.Data)
	switch p.Data.String(dicom.TagModality) {
	case "CT", "MR", "PT", "NM", "SEG":
		x.sliced = !x.hints.Likely // many, and mostly without any text: a quick look says whether a thorough one is due
	}
	return x, nil
}

// stored is frame k, from 0, as it is stored.
func (x *film) stored(k int) ([]byte, error) {
	fr, err := x.frames.Open(k)
	if err != nil {
		return nil, &errUnread{"a frame cannot be found among its fragments"}
	}
	if fr.Size > maxCodeStream {
		return nil, &errUnread{"a frame is larger than what is read"}
	}
	b := make([]byte, fr.Size)
	if _, err := io.ReadFull(fr, b); err != nil {
		return nil, fault.Wrap(fault.Corrupt, "read pixels", "", err)
	}
	return b, nil
}

// read looks for text in frame k, whose stored bytes are given; look is [burnin.Look] or [burnin.Again], or what remembers frames besides.
func (x *film) read(ctx context.Context, k int, stored []byte, look func(*render.Attributes, codec.Frame, burnin.Hints) (burnin.Found, error)) (burnin.Found, error) {
	sum := sha256.Sum256(stored)
	before, known := x.known[sum]
	if known && x.volume == nil { // slices of the same bytes lie in different places
		return before, nil
	}
	a, err := render.AttributesOfFrame(x.pixels.Data, k)
	if err != nil {
		return burnin.Found{}, unread(err)
	}
	f, err := x.codecs.Decode(ctx, x.syntax, a.Image(), slices.Clone(stored))
	if err != nil {
		return burnin.Found{}, unread(err)
	}
	if x.volume != nil {
		if x.volume.Add(x.pixels.Data, k, &a, f); known {
			return before, nil
		}
	}
	if x.frames.Encapsulated() && f.Allocated > f.Stored && codec.ClearUnused(f.Image, slices.Clone(f.Pixels), false) > 0 {
		return burnin.Found{}, &errUnread{"bits of its code stream that hold no sample are not zero"} // of native frames they are cleared
	}
	var found burnin.Found
	if !x.sliced || burnin.Quick(&a, f) {
		if found, err = look(&a, f, x.hints); err != nil {
			return burnin.Found{}, unread(err)
		}
		if err := x.second.ask(ctx, &a, f, &found); err != nil {
			return burnin.Found{}, unread(err)
		}
	}
	x.known[sum] = found
	return found, nil
}

// unread makes an error of the frame of one of decoding or looking, and leaves others.
func unread(err error) error {
	if u, ok := errors.AsType[*codec.Unsupported](err); ok {
		return &errUnread{"its pixels cannot be read: " + u.Reason}
	}
	if _, ok := errors.AsType[*codec.Broken](err); ok {
		return &errUnread{"its pixels cannot be read: the frame is broken"}
	}
	return err
}

// look reads every frame of an image. Together takes note of what they have in common; what it says is for settle. So does volume, which may be nil, of where they lie.
func (f *Flow) look(ctx context.Context, l catalogue.Located, together *burnin.Series, volume *face.Volume) (*seen, error) {
	begun := time.Now()
	defer func() { f.giveWay(ctx, time.Since(begun)) }()
	p, done, err := f.Custody.Pixels(ctx, l)
	if err != nil {
		return nil, err
	}
	defer done()
	s := &seen{reader: reader}
	unsure := func(err error) (*seen, error) {
		if u, ok := errors.AsType[*errUnread](err); ok {
			s.unsure = u.reason
			return s, nil
		}
		return nil, err
	}
	if volume != nil && !face.Readable(p.Data) {
		volume = nil // of the series, and no slice: a picture of the scanner's screen
	}
	defer func() {
		if volume != nil && !s.whole {
			volume.Miss()
		}
	}()
	x, err := newFilm(p, f.Codecs)
	if err != nil {
		return unsure(err)
	}
	x.volume = volume
	x.second.reader = f.Second
	s.sliced, s.size = x.sliced, image.Pt(int(l.Columns), int(l.Rows))
	boxes := 0
	for k := range x.frames.Count() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b, err := x.stored(k)
		if err != nil {
			return unsure(err)
		}
		found, err := x.read(ctx, k, b, together.Look)
		if err != nil {
			return unsure(err)
		}
		if x.frames.Encapsulated() && !s.strip {
			clean, err := codec.Strip(x.syntax, b)
			if err != nil {
				return unsure(unread(err))
			}
			s.strip = !bytes.Equal(clean, b)
		}
		sure, weak := rectangles(found)
		if s.unsure == "" {
			s.unsure = found.Unsure
		}
		if boxes += len(found.Boxes); boxes > custody.MaxBoxes {
			s.crowded, s.unsure = true, "there is more that looks like text than can be told apart"
			sure, weak = nil, nil
		}
		s.frames, s.weak = append(s.frames, sure), append(s.weak, weak)
	}
	s.whole, s.reader = true, x.second.name()
	if err := x.second.failed; err != nil {
		f.Log.Warn("the second reader failed; the detector alone has read", "instance", l.ID, "error", err)
	}
	return s, nil
}

// giveWay rests, while senders send, for as long as leaves them three quarters of what reading would take.
func (f *Flow) giveWay(ctx context.Context, worked time.Duration) {
	if !f.Custody.Receiving() {
		return
	}
	select {
	case <-time.After(3 * worked):
	case <-ctx.Done():
	}
}

// rectangles are the boxes of what is text, and of what may be: all that the detector found, if it is not sure of the frame.
func rectangles(f burnin.Found) (sure, weak []image.Rectangle) {
	for _, b := range f.Boxes {
		if f.Unsure != "" && b.Source != burnin.Other {
			weak = append(weak, b.Rectangle)
		} else {
			sure = append(sure, b.Rectangle)
		}
	}
	return sure, weak
}
