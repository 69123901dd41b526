package directory

import (
	"context"
	"strconv"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// jobCount counts people once a day.
const jobCount = "count people"

// hour of the day, UTC, at which people are counted.
const hour = 2

// Schedule asks for the daily counting: at once if none was made today.
func (d *Desk) Schedule(ctx context.Context) error {
	now := time.Now().UTC()
	due := now
	s, err := d.Counts.Last(ctx)
	switch {
	case err == nil && s.Day == now.Format(time.DateOnly):
		due = next(now)
	case err != nil && !fault.Is(err, fault.NotFound):
		return err
	}
	return d.DB.Write(ctx, func(tx *db.Tx) error { return d.Jobs.Add(tx, jobCount, "all", nil, due) })
}

// next is the next time at which people are counted.
func next(now time.Time) time.Time {
	return time.Date(now.Year(), now.Month(), now.Day()+1, hour, 0, 0, 0, time.UTC)
}

// Handlers are the jobs that are done here.
func (d *Desk) Handlers() map[string]jobs.Handler {
	return map[string]jobs.Handler{jobCount: func(ctx context.Context, _ string, _ []byte) error {
		now := time.Now().UTC()
		if s, err := d.Counts.Last(ctx); err == nil && s.Day == now.Format(time.DateOnly) {
			// Another process, or somebody, was faster.
		} else if _, err := d.count(ctx, "node", now); err != nil {
			return err
		}
		if _, err := d.Finder.CheckSaved(ctx); err != nil {
			return err
		}
		return d.DB.Write(ctx, func(tx *db.Tx) error { return d.Jobs.Add(tx, jobCount, "all", nil, next(now)) })
	}}
}

// Snapshot is the latest counting; fault.NotFound before the first.
func (d *Desk) Snapshot(ctx context.Context, who admin.Caller) (directory.Snapshot, error) {
	if err := d.sees(ctx, who); err != nil {
		return directory.Snapshot{}, err
	}
	return d.Counts.Last(ctx)
}

// Count counts people now, for an administrator who does not want to wait for the night. What is published follows the same rules: a collection's numbers are new
// if ten people or more have come, gone or changed.
func (d *Desk) Count(ctx context.Context, who admin.Caller) (directory.Snapshot, error) {
	if err := d.allowed(ctx, who, policy.PublishCounts, "", "the directory"); err != nil {
		return directory.Snapshot{}, err
	}
	return d.count(ctx, who.Actor, time.Now().UTC())
}

func (d *Desk) count(ctx context.Context, actor string, now time.Time) (directory.Snapshot, error) {
	s := directory.Snapshot{Taken: db.Time(db.Micros(now)), Day: now.Format(time.DateOnly), Actor: actor}
	all, err := d.Collections.List(ctx)
	if err != nil {
		return s, err
	}
	for _, c := range all {
		t, err := d.tally(ctx, c.ID)
		if err != nil {
			return s, err
		}
		var renewed bool
		err = d.DB.Write(ctx, func(tx *db.Tx) (err error) {
			renewed, err = d.Counts.Renew(tx, c.ID, t, s.Taken)
			return err
		})
		if err != nil {
			return s, err
		}
		s.Collections++
		if renewed {
			s.Renewed++
		}
	}
	return s, d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := d.Counts.Note(tx, s); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: actor, Action: policy.PublishCounts.String(), Object: "people of " + strconv.FormatInt(s.Collections, 10) + " collections, " +
			strconv.FormatInt(s.Renewed, 10) + " with new numbers", Outcome: "done"})
	})
}

// tally counts the people of a collection, by its images and by what is known of them besides.
func (d *Desk) tally(ctx context.Context, c collection.ID) (*directory.Tally, error) {
	known := map[subject.ID]clinical.Facts{}
	if err := d.Clinical.Each(ctx, c, func(id subject.ID, f clinical.Facts) error { known[id] = f; return nil }); err != nil {
		return nil, err
	}
	t := directory.NewTally()
	err := d.Catalogue.EachPerson(ctx, c, func(p *catalogue.Person) error {
		f := known[p.Subject]
		t.Add(counted(p, &f))
		return nil
	})
	return t, err
}

// counted is a person of the catalogue as it is counted.
func counted(p *catalogue.Person, f *clinical.Facts) directory.Counted {
	c := directory.Counted{Subject: p.Subject, Sex: f.Sex, AgeBand: directory.AgeUnknown}
	if c.Sex == "" || c.Sex == "unknown" {
		c.Sex = map[string]string{"F": "female", "M": "male", "O": "undifferentiated"}[p.Sex]
	}
	if f.Age != nil {
		c.AgeBand = directory.AgeBand(12 * *f.Age)
	}
	for _, code := range f.Diagnoses {
		c.Diseases = append(c.Diseases, directory.DiseaseOf(code))
	}
	visit, last := 0, ""
	for _, s := range p.Studies {
		if c.AgeBand == directory.AgeUnknown {
			c.AgeBand = directory.AgeBand(months(s.Age))
		}
		c.Modalities = append(c.Modalities, s.Modalities...)
		if len(s.Date) == 8 {
			c.Years = append(c.Years, s.Date[:4])
		}
		if s.Date == "" || s.Date != last {
			visit, last = visit+1, s.Date
		}
		c.Timepoints = append(c.Timepoints, timepoint(s.Date, visit, f.Visits))
		c.Studies++
		c.Images += s.Instances
		c.Available = c.Available || s.Released
	}
	return c
}

// months is a DICOM age (PS3.5 6.2, AS) in whole months; -1 where it is none.
func months(age string) int {
	if len(age) != 4 {
		return -1
	}
	n, err := strconv.Atoi(age[:3])
	if err != nil || n < 0 {
		return -1
	}
	switch age[3] {
	case 'Y':
		return 12 * n
	case 'M':
		return n
	case 'W':
		return n * 12 / 52
	case 'D':
		return n * 12 / 365
	}
	return -1
}

// near is how far from a visit images may be taken and still be of it.
const near = 14 * 24 * time.Hour

// timepoint is the name of the visit that a study is of, if the visits say so; else which one it is, counted by days of images.
func timepoint(date string, visit int, visits []clinical.Visit) string {
	at, err := time.Parse("20060102", date)
	best, name := near+1, ""
	for _, v := range visits {
		day, verr := time.Parse(time.DateOnly, v.Date)
		if err != nil || verr != nil || !directory.InGrid(directory.ByTimepoint, v.Name) {
			continue
		}
		if apart := day.Sub(at).Abs(); apart < best {
			best, name = apart, v.Name
		}
	}
	if name != "" {
		return name
	}
	return "visit-" + strconv.Itoa(min(visit, 12))
}
