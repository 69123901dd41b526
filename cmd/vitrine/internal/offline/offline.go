// Package offline cleans files of identity where they lie, without a node: `vitrine deidentify`.
//
// It promises: the same set of inputs, key, profile and version give the same output files, names included, whatever the order of the inputs and however
// many work at a time; the first pass reads every header, so that an identifier which one file reveals is looked for in all files of that subject; an
// input that is not written is in the report as held or refused; what has its final name under the output folder is whole and on stable storage; a file
// that is there already and differs is never replaced. Bulk values are streamed: memory does not grow with an object's size.
//
// The output is named by pseudonym and ordinals. The ordinals count in the order of what the output itself shows, so they say nothing about the input.
package offline

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
)

// Input is a file to clean. Why, if not empty, says why it cannot be read, and that it is refused.
type Input struct {
	Path string
	Why  string
}

// Job is a run.
type Job struct {
	Inputs  []Input
	Out     string
	Profile *deid.Profile
	Root    [32]byte // all else follows from it
	Workers int      // 0: as many as there are processors

	// Pass is told of the beginning of a pass over n inputs, Done of each input; both may be nil.
	Pass func(name string, n int)
	Done func()
}

// limits are those of one file's header: the parser's own.
var limits = dicom.Limits{}

// Run cleans the inputs. The report has an item for each, also when err says why not all of them could be worked on.
func (j *Job) Run(ctx context.Context) (*deid.Report, error) {
	workers := j.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	r := &run{Job: j, ctx: ctx, workers: workers, keys: deid.NewKeys(j.Root), people: map[[32]byte]*person{}, items: make([]item, len(j.Inputs))}
	out, err := openFolder(j.Out)
	if err != nil {
		return nil, err
	}
	r.out = out
	err = r.each("reading headers", r.read)
	if err == nil {
		r.settle()
		err = r.each("cleaning", r.clean)
	}
	// Also after an interruption: what is clean already need not be done again.
	err = errors.Join(err, out.commit())
	r.twinsFollow()
	return r.report(err), err
}

type run struct {
	*Job
	ctx     context.Context
	workers int
	keys    *deid.Keys
	out     *folder

	mu     sync.Mutex
	people map[[32]byte]*person
	items  []item
}

// person is a subject of the run.
type person struct {
	link     [32]byte
	identity deid.Identity
	teacher  *deid.Subject // of the first pass
	lexicon  *deid.Lexicon // all that the first pass found
	overflow bool          // more than a lexicon holds
}

// item is what the run knows of an input.
type item struct {
	person             *person
	study, series, sop string // as they will be in the output
	date               string // of the study, where the output shows when it was
	seriesNo, no       int64
	name               string // under the output folder
	same               int    // ordinal of the input with the same data set, which is written for both; 0: none
	result             deid.Item
}

// each calls work for every input, several at a time, and stops at the first error of ours.
func (r *run) each(name string, work func(w *worker, i int) error) error {
	if r.Pass != nil {
		r.Pass(name, len(r.Inputs))
	}
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range r.workers {
		wg.Go(func() {
			w := &worker{run: r}
			for i := range next {
				if err := work(w, i); err != nil {
					cancel(err)
					return
				}
				if r.Done != nil {
					r.Done()
				}
			}
		})
	}
	for i := range r.Inputs {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// worker is one of those that work beside each other. It keeps the subject that it worked on last: inputs lie together by patient, mostly.
type worker struct {
	*run
	last    *person
	subject *deid.Subject
	buf     []byte
	writes  *bufio.Writer
}

// read is the first pass over an input: whose it is, what it reveals, where it belongs.
func (r *run) read(_ *worker, i int) error {
	it := &r.items[i]
	in := r.Inputs[i]
	if in.Why != "" {
		it.refuse("unreadable-file", "", in.Why)
		return nil
	}
	f, err := dicom.Open(in.Path, limits)
	if err != nil {
		it.unreadable(err)
		return nil
	}
	defer f.Close()
	ds := f.Data
	// As a node does: without class and instance it cannot be kept; without study or series somebody has to say where it belongs.
	for _, t := range []dicom.Tag{dicom.TagSOPClassUID, dicom.TagSOPInstanceUID, dicom.TagStudyInstanceUID, dicom.TagSeriesInstanceUID} {
		switch uid := ds.UID(t); {
		case ds.Has(dicom.TagDirectoryRecordSequence):
		case uid == "" && (t == dicom.TagSOPClassUID || t == dicom.TagSOPInstanceUID):
			it.refuse("missing-uid", t.String(), "the object has no such UID")
			return nil
		case uid == "":
			it.hold("missing-uid", t.String(), "the object has no such UID")
		case !dicom.ValidUID(uid):
			it.refuse("invalid-uid", t.String(), "it is not a UID")
			return nil
		}
	}
	if d := ds.Duplicate(); d >= 0 {
		it.refuse("duplicate-element", ds.Path(d), "the element is there twice")
		return nil
	}
	p := r.person(ds)
	if err := p.teacher.Collect(ds); err != nil {
		r.mu.Lock()
		p.overflow = true
		r.mu.Unlock()
	}
	it.person = p
	it.study, it.series, it.sop = r.uid(ds, dicom.TagStudyInstanceUID), r.uid(ds, dicom.TagSeriesInstanceUID), r.uid(ds, dicom.TagSOPInstanceUID)
	if r.Profile.AsDeposited || r.Profile.Options&deid.RetainModifiedDates != 0 {
		it.date = ds.String(dicom.TagStudyDate)
	}
	it.seriesNo, _ = ds.Int(dicom.TagSeriesNumber)
	it.no, _ = ds.Int(dicom.TagInstanceNumber)
	return nil
}

// uid is a UID as the output shows it; by it, and not by the original, ordinals are counted.
func (r *run) uid(ds *dicom.Dataset, t dicom.Tag) string {
	if r.Profile.AsDeposited {
		return ds.UID(t)
	}
	return r.keys.UID(ds.UID(t))
}

func (r *run) person(ds *dicom.Dataset) *person {
	id := deid.Identify(ds)
	link := id.Link(r.keys)
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.people[link]
	if p == nil {
		p = &person{link: link, identity: id, teacher: deid.NewSubject(r.Profile, r.keys, id, nil)}
		r.people[link] = p
	}
	return p
}

func (it *item) refuse(code, where, text string) {
	it.result = deid.Item{Outcome: deid.Refused, Reasons: []deid.Reason{{Code: code, Where: where, Text: text}}}
}

func (it *item) hold(code, where, text string) {
	it.result = deid.Item{Outcome: deid.Held, Reasons: []deid.Reason{{Code: code, Where: where, Text: text}}}
}

// unreadable refuses what the parser, or the file system, could not read.
func (it *item) unreadable(err error) {
	e, ok := errors.AsType[*dicom.Error](err)
	if !ok {
		it.refuse("unreadable-file", "", pathless(err))
		return
	}
	code := "unreadable"
	switch {
	case errors.Is(e, dicom.ErrTooLarge), errors.Is(e, dicom.ErrDepth):
		code = "over-limit"
	case errors.Is(e, dicom.ErrUnknownSyntax):
		code = "unknown-transfer-syntax"
	case errors.Is(e, dicom.ErrNotDICOM):
		code = "not-dicom"
	case errors.Is(e, dicom.ErrTruncated):
		code = "truncated"
	}
	text := e.Reason
	if e.Kind != nil {
		text = e.Kind.Error()
		if e.Reason != "" {
			text += ": " + e.Reason
		}
	}
	if e.Offset > 0 {
		text += fmt.Sprintf(" (byte %d)", e.Offset)
	}
	it.refuse(code, e.Path, text)
}

// report has an item for each input. Those that an interruption left over are held.
func (r *run) report(err error) *deid.Report {
	rep := deid.NewReport(r.Profile)
	rep.Items = make([]deid.Item, len(r.items))
	for i := range r.items {
		it := &r.items[i].result
		if it.Outcome == "" || it.Outcome == deid.Cleaned && err != nil && !r.out.committed(r.items[i].name) {
			*it = deid.Item{Outcome: deid.Held, Reasons: []deid.Reason{{Code: "interrupted", Text: "the run ended before it was this input's turn; run it again"}}}
		}
		it.Item = i + 1
		if it.Reasons == nil {
			it.Reasons = []deid.Reason{}
		}
		rep.Items[i] = *it
	}
	rep.Sum()
	return rep
}
