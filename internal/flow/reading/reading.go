// Package reading reads the pixels of what has come for text, paints over what it finds, and leaves to people what it cannot judge.
//
// It promises: no study is admitted with an image whose pixels have not been read; what text was found is painted over in the stored transfer syntax, and read again;
// every sample outside what was painted is what it was; where any of that cannot be done, the image is held, with what was found for who decides.
//
// An image that comes is cleaned and kept as ever (package custody). When its study is complete, its pixels are read (package burnin). What is received and shows nothing
// goes on to admission. What shows text, or was held for its kind, is painted (package codec) and accepted in the name of the node, which is a record of its own like any
// acceptance: a crash at any point leaves it unread or accepted.
package reading

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/tesseract"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/face"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Actor is who the audit log says has accepted what was painted.
const Actor = "node"

// reader names the detector, in records and in what is found.
const reader = "burnin " + burnin.Version

// Parts are what reading works with.
type Parts struct {
	DB        *db.DB
	Custody   *custody.Custody
	Catalogue *catalogue.Record
	Codecs    *codec.Pool
	Second    *tesseract.Reader // nil: the detector reads alone
	Log       *slog.Logger

	Collections *collection.Record

	// Turn reports whether it is this node's turn to read a series, some of whose unread instances are given. Nil: no other node reads.
	Turn func(context.Context, catalogue.SeriesID, []catalogue.Located) (bool, error)

	// Quiet is how long a study waits for more of itself before it is read, where its deposit does not end.
	Quiet time.Duration
}

// Flow is safe for use by many goroutines.
type Flow struct {
	Parts

	// later are series that are another node's to read, or cannot be read now. Run alone touches it.
	later map[catalogue.SeriesID]pause
}

// New makes the flow.
func New(p Parts) *Flow { return &Flow{Parts: p, later: map[catalogue.SeriesID]pause{}} }

// Run reads what is due until ctx ends.
func (f *Flow) Run(ctx context.Context) error {
	tick := time.NewTicker(max(f.Quiet/4, time.Second))
	defer tick.Stop()
	for {
		if err := f.due(ctx); err != nil && ctx.Err() == nil {
			f.Log.Error("reading of pixels", "error", err)
		}
		select {
		case <-f.Custody.Completed():
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// seriesPage is how many series are looked up at once.
const seriesPage = 50

// due reads the series that are complete.
func (f *Flow) due(ctx context.Context) error {
	var after catalogue.SeriesID // 0, but where those before are for later
	for ctx.Err() == nil {
		all, err := f.Catalogue.UnreadSeries(ctx, time.Now().Add(-f.Quiet), after, seriesPage)
		if err != nil || len(all) == 0 {
			return err
		}
		progress, left := false, false
		for _, s := range all {
			if f.isLater(s) {
				left = true
				continue
			}
			n, mine, err := f.series(ctx, s)
			if err != nil {
				return err
			}
			if n > 0 { // what waited for its pixels to be read may be admitted now
				progress = true
				f.Custody.AdmitSoon()
			}
			switch { // what could not be read now is tried again later, and keeps nothing else waiting
			case !mine:
				f.later[s], left = pause{time.Now().Add(againAfter), 0}, true
			case n == 0:
				f.later[s], left = f.later[s].longer(time.Now()), true
			default:
				delete(f.later, s)
			}
		}
		switch {
		case progress && !left:
		case left && len(all) == seriesPage:
			after = all[len(all)-1]
		case !progress:
			return nil
		}
	}
	return nil
}

// againAfter is how long a series that is another node's to read, or that could not be read for the first time, is not looked at again; seldomAfter how long one that never can.
const (
	againAfter  = 10 * time.Second
	seldomAfter = 10 * time.Minute
)

// A pause is until when a series is not looked at again, and how long that is if it could not be read.
type pause struct {
	until time.Time
	long  time.Duration
}

// longer is the pause after another failure: twice the last.
func (p pause) longer(now time.Time) pause {
	long := min(max(againAfter, 2*p.long), seldomAfter)
	return pause{now.Add(long), long}
}

// isLater reports a series that was found a moment ago to be another node's, or not to be read now.
func (f *Flow) isLater(s catalogue.SeriesID) bool {
	if len(f.later) > 100_000 { // those that were read since are never asked for again
		clear(f.later)
	}
	return time.Now().Before(f.later[s].until)
}

// series reads the images of a series, and says how many are done. One that is not mine is another node's to read, now.
func (f *Flow) series(ctx context.Context, id catalogue.SeriesID) (done int, mine bool, err error) {
	var after catalogue.InstanceID
	var stack, slides []catalogue.Located
	for {
		page, err := f.Catalogue.UnreadOf(ctx, id, after, catalogue.MaxLimit)
		if err != nil {
			return done, true, err
		}
		if len(page) == 0 {
			break
		}
		if f.Turn != nil {
			if mine, err := f.Turn(ctx, id, page); err != nil || !mine {
				return done, mine, err
			}
		}
		after = page[len(page)-1].ID
		var pictures []catalogue.Located
		for _, l := range page {
			switch {
			case sliced(l.SOPClass):
				stack = append(stack, l)
			case isSlide(l.SOPClass):
				slides = append(slides, l)
			default:
				pictures = append(pictures, l)
			}
		}
		n, err := f.pictures(ctx, pictures)
		if done += n; err != nil {
			return done, true, err
		}
	}
	if len(slides) > 0 {
		n, err := f.slide(ctx, id, slides)
		if done += n; err != nil {
			return done, true, err
		}
	}
	if len(stack) == 0 {
		return done, true, nil
	}
	n, err := f.volume(ctx, id, stack)
	return done + n, true, err
}

// pictures reads images that have nothing to do with each other, on as many cores as there are.
func (f *Flow) pictures(ctx context.Context, page []catalogue.Located) (done int, err error) {
	work := make(chan catalogue.Located)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(page)) {
		wg.Go(func() {
			for l := range work {
				err := f.instance(ctx, l)
				mu.Lock()
				if err == nil {
					done++
				} else if ctx.Err() == nil {
					f.Log.Error("the pixels of an instance could not be read", "instance", l.ID, "error", err)
				}
				mu.Unlock()
			}
		})
	}
	for _, l := range page {
		if ctx.Err() != nil {
			break
		}
		work <- l
	}
	close(work)
	wg.Wait()
	return done, ctx.Err()
}

// sliced reports the classes of images that are slices of a volume: CT, MR, PET and nuclear medicine.
func sliced(class string) bool { return slices.Contains(face.Classes, class) }

// single reports those that are one slice each.
func single(class string) bool {
	switch class {
	case "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128":
		return true
	}
	return false
}

// volume reads the slices of one series together, says what they show, and does what follows for each.
func (f *Flow) volume(ctx context.Context, id catalogue.SeriesID, page []catalogue.Located) (done int, err error) {
	var together burnin.Series
	var body face.Volume
	count := 0
	all := make([]*seen, len(page))
	for i, l := range page {
		if single(l.SOPClass) {
			count++
			all[i], err = f.look(ctx, l, &together, &body)
		} else {
			all[i], err = f.lookAlone(ctx, l, &body)
		}
		if err != nil {
			if ctx.Err() != nil {
				return done, ctx.Err()
			}
			body.Miss()
			f.Log.Error("the pixels of an instance could not be read", "instance", l.ID, "error", err)
		}
	}
	why, err := f.shows(ctx, id, page[0].Collection, &body)
	if err != nil {
		return done, err
	}
	constant := together.Constant()
	for i, l := range page {
		if all[i] == nil {
			continue
		}
		if single(l.SOPClass) {
			all[i].settle(constant, count)
		}
		if err := f.act(ctx, l, all[i], why...); err != nil {
			if ctx.Err() != nil {
				return done, ctx.Err()
			}
			f.Log.Error("the pixels of an instance could not be cleaned", "instance", l.ID, "error", err)
			continue
		}
		done++
	}
	return done, nil
}

// instance reads one image, and does what follows from it.
func (f *Flow) instance(ctx context.Context, l catalogue.Located) error {
	seen, err := f.lookAlone(ctx, l, nil)
	if err != nil {
		return err
	}
	return f.act(ctx, l, seen)
}

func (f *Flow) lookAlone(ctx context.Context, l catalogue.Located, body *face.Volume) (*seen, error) {
	var together burnin.Series
	s, err := f.look(ctx, l, &together, body)
	if err == nil {
		s.settle(together.Constant(), len(s.frames))
	}
	return s, err
}

// act does what follows from what was seen. Why is what a person has to answer besides, of the series that it belongs to.
func (f *Flow) act(ctx context.Context, l catalogue.Located, seen *seen, why ...catalogue.Reason) (err error) {
	found := seen.found()
	c, err := f.Collections.Get(ctx, l.Collection)
	if err != nil {
		return err
	}
	ask := c.NoAutomaticAcceptance && (l.State == policy.Held || len(found.Boxes) > 0)
	if seen.unsure != "" {
		return f.mark(ctx, l, found, append([]catalogue.Reason{{Code: deid.CodeUnsure, Where: pixelData, Text: seen.unsure}}, why...)...)
	}
	if len(why) > 0 || mask(l.SOPClass) && len(found.Boxes) > 0 {
		if len(found.Boxes) > 0 {
			why = append([]catalogue.Reason{writing}, why...)
		}
		return f.mark(ctx, l, found, why...)
	}
	switch {
	case l.State == policy.Held && !answers(l.Reasons):
		return f.mark(ctx, l, found) // painting would not release it: who decides sees what was found
	case l.State != policy.Held && len(found.Boxes) == 0 && !seen.strip:
		return f.mark(ctx, l, nil)
	case l.State != policy.Held:
		// Out of sight before anything else: until it is painted, it is held.
		why := writing
		if len(found.Boxes) == 0 {
			why.Text = "its code streams carry comments or application data"
		}
		if err := f.DB.Write(ctx, func(tx *db.Tx) error { _, err := f.Catalogue.Hold(tx, l.ID, why); return err }); err != nil {
			return gone(err)
		}
		if l, err = f.Catalogue.Instance(ctx, l.ID); err != nil {
			return gone(err)
		}
	}
	if ask {
		return f.mark(ctx, l, found)
	}
	note := "its pixels were read, and show no text"
	if seen.strip {
		note = "its pixels were read, and show no text; what its code streams carried besides is gone"
	}
	if n := len(found.Boxes); n > 0 {
		note = fmt.Sprintf("its pixels were cleaned: %d boxes painted over", n)
	}
	left, err := f.Custody.AcceptPainted(ctx, l, custody.Reviewer{Actor: Actor, Note: note}, false, f.painter(seen))
	if err != nil {
		return gone(err)
	}
	if len(left) > 0 {
		return f.mark(ctx, l, found, reasons(left)...)
	}
	return nil
}

var writing = catalogue.Reason{Code: deid.CodeWriting, Where: pixelData, Text: "text was found in its pixels"}

// mask reports segmentations: what is in their pixels somebody has drawn or measured, and painting would change what it says. So a person decides.
func mask(class string) bool {
	return class == "1.2.840.10008.5.1.4.1.1.66.4" || class == "1.2.840.10008.5.1.4.1.1.66.7"
}

const pixelData = "(7FE0,0010)"

// answers reports that cleaned pixels answer for everything that it is held for.
func answers(reasons []catalogue.Reason) bool {
	for _, r := range reasons {
		if !deid.Painted.Settles(deid.Reason(r)) {
			return false
		}
	}
	return true
}

// gone is nil for an instance that somebody has decided on meanwhile.
func gone(err error) error {
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) || fault.Is(err, fault.Denied) {
		return nil
	}
	return err
}

func (f *Flow) mark(ctx context.Context, l catalogue.Located, found *catalogue.Found, why ...catalogue.Reason) error {
	return gone(f.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := f.Catalogue.MarkRead(tx, l.ID, found, why...)
		return err
	}))
}

// Accept paints what a reading finds by now, or the boxes given, which may be nil, and accepts the instance in the name of who has looked at it. Reasons say why it stays held.
func (f *Flow) Accept(ctx context.Context, l catalogue.Located, by custody.Reviewer, boxes *custody.Boxes) ([]catalogue.Reason, error) {
	if isSlide(l.SOPClass) && l.Frames > 1 {
		return []catalogue.Reason{{Code: deid.CodeUnsure, Where: pixelData, Text: "the tiles of a slide are not painted over: what is written on it reaches over many of them, in every level"}}, nil
	}
	s, err := f.lookAlone(ctx, l, nil)
	if err != nil {
		return nil, err
	}
	if !s.whole || s.crowded && (boxes == nil || !boxes.Only) {
		return []catalogue.Reason{{Code: deid.CodeUnsure, Where: pixelData, Text: s.unsure}}, nil
	}
	s.person = by.Ruling == 0 // by a standing decision nobody has looked at this one: what may be text when it has been painted stays held
	if boxes != nil {
		if why := s.draw(boxes); why != "" {
			return []catalogue.Reason{{Code: deid.CodeUnsure, Where: pixelData, Text: why}}, nil
		}
	}
	why, err := f.Custody.AcceptPainted(ctx, l, by, true, f.painter(s))
	return reasons(why), err
}

func reasons(why []custody.Reason) []catalogue.Reason {
	all := make([]catalogue.Reason, len(why))
	for i, r := range why {
		all[i] = catalogue.Reason(r)
	}
	return all
}
