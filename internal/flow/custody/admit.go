package custody

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/object"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Admission is a study at a time. A study is due when every deposit that brought something of it has ended, or when nothing more came for a while; the
// catalogue knows which. Its instances were gated one by one with what was known of the subject then; here they are searched for what is known now
// (the whole-patient echo), and what shows an identifier is held.

// AdmitSoon wakes admission: a study may have become due.
func (c *Custody) AdmitSoon() { signal(c.admission) }

// RunAdmission admits what is due until ctx ends.
func (c *Custody) RunAdmission(ctx context.Context) error {
	tick := time.NewTicker(max(c.quiet/4, time.Second))
	defer tick.Stop()
	for {
		if err := c.admitDue(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("admission", "error", err)
		}
		// Where thousands of studies wait for their pixels to be read, looking for the few that are due takes long: it is not done each time that a series has been read.
		if looked := time.Duration(c.looked.Load()); looked > 50*time.Millisecond {
			rest := time.NewTimer(min(5*looked, 5*time.Second))
			select {
			case <-rest.C:
			case <-ctx.Done():
			}
			rest.Stop()
		}
		select {
		case <-c.admission:
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Of due studies, so many are looked up at once; more, where the first cannot be admitted now.
const (
	duePage = 50
	dueMost = 2000
)

func (c *Custody) admitDue(ctx context.Context) (failed error) {
	stuck := map[catalogue.StudyID]bool{}
	for limit := duePage; ctx.Err() == nil && limit <= dueMost; {
		began := time.Now()
		due, err := c.catalogue.DueStudies(ctx, began.Add(-c.quiet), limit)
		if err != nil {
			return err
		}
		c.looked.Store(int64(time.Since(began)))
		progress := false
		for _, d := range due {
			if stuck[d.Study] {
				continue
			}
			switch err := c.admit(ctx, d); {
			case err == nil:
				progress = true
			case fault.Is(err, fault.Conflict): // more of it has come, or is known: it becomes due again; or another node has admitted it
			default: // one study that cannot be read does not keep the others waiting
				stuck[d.Study] = true
				failed = errors.Join(failed, err)
			}
		}
		switch {
		case progress:
		case len(stuck) > 0 && len(due) == limit:
			limit += len(stuck)
		default:
			return failed
		}
	}
	return failed
}

// admit echoes one study and admits what is clean.
func (c *Custody) admit(ctx context.Context, d catalogue.Due) error {
	var rows []catalogue.Located
	own := []policy.Scope{{Collection: string(d.Collection), States: []policy.State{policy.Received}}}
	for row, err := range c.catalogue.Locate(ctx, catalogue.Where{Scopes: own, Collection: d.Collection, Study: d.UID}) {
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	sub, err := c.subjects.Get(ctx, d.Subject)
	if err != nil {
		return err
	}
	w, err := c.ward(ctx, d.Collection)
	if err != nil {
		return err
	}
	held, err := c.echo(ctx, w, sub, rows)
	if err != nil {
		return err
	}
	return c.db.Write(ctx, func(tx *db.Tx) error {
		if err := c.hide(tx, held); err != nil {
			return err
		}
		done, err := c.catalogue.Admit(tx, d)
		if err != nil {
			return err
		}
		if done.Instances == 0 && len(held) == 0 {
			return fault.New(fault.Conflict, "admit study", "", "it is admitted already")
		}
		if now, err := c.subjects.LexiconVersion(tx, sub.ID); err != nil {
			return err
		} else if now != sub.LexiconVersion {
			return fault.New(fault.Conflict, "admit study", "", "more is known of its subject since it was looked at")
		}
		if now, err := c.rulings.LastSaid(tx, d.Collection); err != nil {
			return err
		} else if now != w.said {
			return fault.New(fault.Conflict, "admit study", "", "more is known of its collection since it was looked at")
		}
		if c.admitted != nil {
			if err := c.admitted(tx, d); err != nil {
				return err
			}
		}
		return c.audit.Append(tx, audit.Entry{Actor: "node", Action: "admit", Object: "study " + strconv.FormatInt(int64(d.Study), 10), Collection: string(d.Collection),
			Outcome: fmt.Sprintf("admitted %d, held %d", done.Instances, len(held))})
	})
}

// CodeEcho is the reason of what was cleaned with less than is known by now.
const CodeEcho = "echo"

// finding is an instance in which the echo found something.
type finding struct {
	row    catalogue.Located
	why    []catalogue.Reason
	study  catalogue.StudyAttributes // without any text that may be what was found
	series catalogue.SeriesAttributes
	bulk   bool // something was found in a value that no rule rewrites
}

// hide takes what the echo found out of sight: the instances, and the text that their study and series may have shown of them.
func (c *Custody) hide(tx *db.Tx, found []finding) error {
	for _, f := range found {
		if _, err := c.catalogue.Hold(tx, f.row.ID, f.why...); err != nil {
			return err
		}
		if err := c.catalogue.Describe(tx, f.row.Collection, f.row.StudyID, f.row.SeriesID, f.study, f.series); err != nil {
			return err
		}
	}
	return nil
}

// echo searches instances of a subject for what is known of it now. Those that were gated with the same lexicon need no second look.
func (c *Custody) echo(ctx context.Context, w *ward, sub subject.Subject, rows []catalogue.Located) ([]finding, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	if w.profile.AsDeposited {
		return nil, nil // what looks identifiable there is a finding, not a reason
	}
	key, err := c.ring.Get(ctx, keys.ID(sub.Key))
	if err != nil {
		return nil, err
	}
	lex, err := openLexicon(key.Derive("lexicon"), sub.ID, sub.Lexicon)
	if err != nil {
		return nil, err
	}
	if lex, err = lex.Merge(w.common); err != nil {
		return nil, err
	}
	var held []finding
	var m *deid.Matcher
	for _, row := range rows {
		if row.Lexicon == int64(lex.Version()) {
			continue
		}
		if m == nil {
			m = w.profile.Matcher(lex)
		}
		f, err := c.listen(ctx, m, row, key)
		if err != nil {
			return nil, err
		}
		if len(f.why) > 0 {
			held = append(held, f)
		}
	}
	return held, nil
}

// listen searches one cleaned instance.
func (c *Custody) listen(ctx context.Context, m *deid.Matcher, row catalogue.Located, key keys.Key) (finding, error) {
	f := finding{row: row}
	x, err := object.Open(ctx, c.packs, pack.Ref{Pack: pack.ID(row.Ref.Pack), Offset: row.Ref.Offset}, key)
	if err != nil {
		return f, err
	}
	defer x.Close()
	d, err := x.Dataset()
	if err != nil {
		return f, err
	}
	for _, r := range m.Recheck(d) {
		f.why = append(f.why, catalogue.Reason{Code: CodeEcho, Where: r.Where, Text: "an identifier that was learned later"})
	}
	if x.Syntax().Encapsulated {
		for k, b := range d.Bulks() {
			r, err := x.Bulk(k)
			if err != nil {
				return f, err
			}
			scan := m.NewBulkScanner()
			if _, err := io.Copy(scan, r); err != nil {
				return f, err
			}
			if scan.Hit() {
				f.why, f.bulk = append(f.why, catalogue.Reason(scan.Reason(d.Path(b.Elem)))), true
			}
		}
	}
	if len(f.why) > 0 {
		f.describe(d)
	}
	return f, nil
}

// describe is what is said of study and series from now on.
func (f *finding) describe(d *dicom.Dataset) {
	f.study, f.series = describeStudy(d), describeSeries(d)
	f.study.Description, f.study.StudyID, f.study.AccessionNumber, f.study.ReferringPhysicianName = "", "", "", ""
	f.series.Description, f.series.BodyPart, f.series.Requests = "", "", nil
}

// jobEcho searches what was admitted of a subject again, after its lexicon has grown.
const jobEcho = "echo"

// Echo is the handler of that job.
func (c *Custody) Echo(ctx context.Context, key string, _ []byte) error {
	n, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return fault.New(fault.Invalid, "echo", "", "the job names no subject")
	}
	who := subject.ID(n)
	sub, err := c.subjects.Get(ctx, who)
	if err != nil {
		return err
	}
	var held []finding
	var after catalogue.InstanceID
	var in collection.ID
	for {
		page, err := c.catalogue.OfSubject(ctx, who, after, 500)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		after, in = page[len(page)-1].ID, page[0].Collection
		seen := page[:0]
		for _, row := range page {
			if row.State == policy.Admitted || row.State == policy.Released {
				seen = append(seen, row)
			}
		}
		w, err := c.ward(ctx, in)
		if err != nil {
			return err
		}
		found, err := c.echo(ctx, w, sub, seen)
		if err != nil {
			return err
		}
		held = append(held, found...)
	}
	if len(held) == 0 {
		return nil
	}
	return c.db.Write(ctx, func(tx *db.Tx) error {
		if err := c.hide(tx, held); err != nil {
			return err
		}
		return c.audit.Append(tx, audit.Entry{Actor: "node", Action: "echo", Object: "subject " + key, Collection: string(in),
			Outcome: fmt.Sprintf("held %d", len(held))})
	})
}

// Handlers are the jobs that custody does.
func (c *Custody) Handlers() map[string]jobs.Handler {
	return map[string]jobs.Handler{jobEcho: c.Echo, jobSaid: c.Said}
}
