//go:build linux

package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

const (
	smallSeed = 2
	fullSeed  = 1

	// batch is how many instances one STOW-RS request carries.
	batch = 50

	acceptDICOM = `multipart/related; type="application/dicom"`
	acceptFrame = `multipart/related; type="application/octet-stream"`
	acceptJSON  = "application/dicom+json"
)

// A phase is a part of the benchmark that can be chosen.
type phase struct {
	name string
	run  func(*bench, context.Context) error
	long bool // it takes most of an hour, so it is run when asked for
}

func phases() []phase {
	return []phase{
		{name: "store", run: (*bench).store},
		{name: "stow", run: (*bench).stow},
		{name: "search", run: (*bench).search},
		{name: "retrieve", run: (*bench).retrieve},
		{name: "deidentify", run: (*bench).deidentify},
		{name: "identities", run: (*bench).identities},
		{name: "limits", run: (*bench).limits},
		{name: "growth", run: (*bench).growth, long: true},
	}
}

// made holds instances that were made beforehand, so that making them takes no time from what is measured.
func made(set *sample.Set, n int) (func(i int) (*sample.Instance, error), error) {
	all := make([]*sample.Instance, n)
	var err error
	for i := range all {
		if all[i], err = set.Instance(i); err != nil {
			return nil, err
		}
	}
	return func(i int) (*sample.Instance, error) { return all[i], nil }, nil
}

// ingest lets each contender in turn take the same instances into an empty folder.
func (b *bench) ingest(ctx context.Context, test string, who []contender, n int, work func(*server) (*tally, error)) error {
	for round := range b.rounds {
		for _, c := range who {
			err := b.on(ctx, c, false, func(s *server) error {
				m := begin(s.cmd.Process.Pid)
				t, err := work(s)
				if err != nil {
					return err
				}
				took := time.Since(m.began)
				// The rate is that of answers. Processor time includes what is done behind them, as the catalogue's rows are.
				stored, err := s.stored(ctx)
				if err != nil {
					return err
				}
				l := line(test, c.name, round, t, m.end(), took)
				if stored != n || t.failed > 0 {
					l.Note = quiet(fmt.Sprintf("%d of %d stored", stored, n), t.why)
				}
				if t.warnings > 0 {
					l.Note = quiet(l.Note, fmt.Sprintf("%d with a warning", t.warnings))
				}
				return b.report.add(l)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) store(ctx context.Context) error {
	for _, x := range []struct {
		test string
		set  *sample.Set
		n    int
	}{
		{ingestFull, sample.FullSet(fullSeed), b.scaled(800, 40)},
		{ingestSmall, sample.SmallSet(smallSeed), b.scaled(3000, 100)},
	} {
		instance, err := made(x.set, x.n)
		if err != nil {
			return err
		}
		b.report.title(fmt.Sprintf("%s, %d instances on %d associations", x.test, x.n, b.connections))
		err = b.ingest(ctx, x.test, b.present(false), x.n, func(s *server) (*tally, error) { return send(ctx, s, x.n, b.connections, instance) })
		if err != nil {
			return err
		}
		b.report.table(x.test)
	}
	return nil
}

func (b *bench) stow(ctx context.Context) error {
	n := b.scaled(400, batch)
	instance, err := made(sample.FullSet(fullSeed), n)
	if err != nil {
		return err
	}
	b.report.title(fmt.Sprintf("%s, %d instances of 527 kB, %d a request, %d connections", stowFull, n, batch, b.connections))
	err = b.ingest(ctx, stowFull, b.present(true), n, func(s *server) (*tally, error) { return deposit(ctx, s, n, batch, b.connections, instance) })
	if err != nil {
		return err
	}
	b.report.table(stowFull)
	return nil
}

// filled runs all contenders at the same time, filled with the same instances, and stops them after the work.
func (b *bench) filled(ctx context.Context, set *sample.Set, n int, work func([]*server) error) error {
	return b.fill(ctx, b.present(true), nil, set, n, work)
}

func (b *bench) fill(ctx context.Context, rest []contender, running []*server, set *sample.Set, n int, work func([]*server) error) error {
	if len(rest) == 0 {
		return work(running)
	}
	return b.on(ctx, rest[0], true, func(s *server) error {
		began := time.Now()
		if _, err := send(ctx, s, n, b.connections, set.Instance); err != nil {
			return err
		}
		stored, err := s.stored(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("  %s was filled in %.0f s\n", s.name, time.Since(began).Seconds())
		if stored != n {
			return fmt.Errorf("%s holds %d of %d instances", s.name, stored, n)
		}
		return b.fill(ctx, rest[1:], append(running, s), set, n, work)
	})
}

// ask puts the same questions to all, round after round.
func (b *bench) ask(ctx context.Context, servers []*server, test string, a ask) error {
	if !strings.Contains(test, b.tests) {
		return nil
	}
	for round := range b.rounds {
		matches := -1.0
		for k := range servers {
			s := servers[(k+round)%len(servers)]
			m := begin(s.cmd.Process.Pid)
			t, err := get(ctx, s, a)
			if err != nil {
				return err
			}
			r := m.end()
			l := line(test, s.name, round, t, r, r.took)
			if t.failed > 0 {
				l.Note = fmt.Sprintf("%d failed: %s", t.failed, t.why)
			}
			if a.count && t.ops > 0 {
				l.Matches = float64(t.matches) / float64(t.ops)
				// Whoever is slower comes less far in the list of questions.
				if whole := t.ops%len(a.paths) == 0; whole && matches >= 0 && l.Matches != matches {
					l.Note = quiet(l.Note, fmt.Sprintf("%g matches, another has %g", l.Matches, matches))
				} else if whole {
					matches = l.Matches
				}
			}
			if err := b.report.add(l); err != nil {
				return err
			}
		}
	}
	b.report.table(test)
	return nil
}

func (b *bench) search(ctx context.Context) error {
	set := sample.SmallSet(smallSeed)
	n := b.scaled(200, 2) * sample.PerStudy
	questions, err := questionsAbout(set, n/sample.PerStudy)
	if err != nil {
		return err
	}
	b.report.title(fmt.Sprintf("QIDO-RS among %d instances in %d studies, one connection", n, n/sample.PerStudy))
	return b.filled(ctx, set, n, func(servers []*server) error {
		for _, q := range questions {
			if err := b.ask(ctx, servers, q.test, ask{paths: q.paths, accept: acceptJSON, most: 200, longest: 3 * time.Second, connections: 1, count: true}); err != nil {
				return err
			}
		}
		return nil
	})
}

// A question is a way of searching, and several searches of that way.
type question struct {
	test  string
	paths []string
}

// questionsAbout are what can be asked of the first studies of a set, from what is in them.
func questionsAbout(set *sample.Set, studies int) ([]question, error) {
	var uids, patients, families, dates []string
	// A prime step spreads over studies, and so over patients and years, without an order.
	for k := range min(studies, 100) {
		in, err := set.Instance(k * 37 % studies * sample.PerStudy)
		if err != nil {
			return nil, err
		}
		f, err := dicom.Parse(in.File(), dicom.DefaultLimits)
		if err != nil {
			return nil, err
		}
		add := func(list *[]string, v string) {
			if !slices.Contains(*list, v) {
				*list = append(*list, v)
			}
		}
		add(&uids, "StudyInstanceUID="+in.StudyUID)
		add(&patients, "PatientID="+url.QueryEscape(f.Data.String(dicom.TagPatientID)))
		family, _, _ := strings.Cut(f.Data.String(dicom.TagPatientName), "^")
		add(&families, "limit=1000&PatientName="+url.QueryEscape(family)+"*")
		year := f.Data.String(dicom.TagStudyDate)[:4]
		add(&dates, "limit=1000&StudyDate="+year+"0101-"+year+"0630")
	}
	var out []question
	for _, q := range []question{{searchUID, uids}, {searchPatient, patients}, {searchDate, dates}, {searchModality, []string{"limit=100&ModalitiesInStudy=CT"}}, {searchName, families}} {
		for i := range q.paths {
			q.paths[i] = "/studies?" + q.paths[i]
		}
		out = append(out, q)
	}
	return out, nil
}

func (b *bench) retrieve(ctx context.Context) error {
	set := sample.FullSet(fullSeed)
	studies := b.scaled(4, 1)
	var instances, frames, whole, metadata []string
	for i := range studies * sample.PerStudy {
		in, err := set.Instance(i * 37 % (studies * sample.PerStudy))
		if err != nil {
			return err
		}
		path := "/studies/" + in.StudyUID + "/series/" + in.SeriesUID + "/instances/" + in.SOPInstanceUID
		instances, frames = append(instances, path), append(frames, path+"/frames/1")
		if study := "/studies/" + in.StudyUID; !slices.Contains(whole, study) {
			whole, metadata = append(whole, study), append(metadata, study+"/metadata")
		}
	}
	b.report.title(fmt.Sprintf("WADO-RS from %d instances of 527 kB, %d connections", len(instances), b.connections))
	return b.filled(ctx, set, len(instances), func(servers []*server) error {
		for _, x := range []struct {
			test, accept string
			paths        []string
			most         int
		}{
			{getInstance, acceptDICOM, instances, 800},
			{getFrame, acceptFrame, frames, 800},
			{getStudy, acceptDICOM, whole, 16},
			{getMetadata, acceptJSON, metadata, 200},
		} {
			if err := b.ask(ctx, servers, x.test, ask{paths: x.paths, accept: x.accept, most: x.most, longest: 3 * time.Second, connections: b.connections}); err != nil {
				return err
			}
		}
		return nil
	})
}
