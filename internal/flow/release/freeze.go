package release

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/proof"
	"github.com/vitrine-imaging/vitrine/internal/judge/access"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/judge/headcount"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
	"github.com/vitrine-imaging/vitrine/internal/record/release"
	"github.com/vitrine-imaging/vitrine/internal/record/release/describe"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// frozen is what a release keeps of the moment at which it was frozen.
type frozen struct {
	About          About             `json:"about"`
	DataUse        directory.DataUse `json:"data_use"` // of the collection
	Policy         string            `json:"policy"`   // SHA-256 of both policies, canonical: access.Fingerprint
	Statement      *proof.Signed     `json:"statement,omitempty"`
	Risk           *riskFacts        `json:"risk,omitempty"`
	Accepted       string            `json:"risk_accepted,omitempty"` // why it is released all the same
	Software       string            `json:"software"`
	Profile        string            `json:"profile"`
	ProfileVersion string            `json:"profile_version"`
	People         int64             `json:"people"`
	Studies        int64             `json:"studies"`
	Series         int64             `json:"series"`
	Parts          []Part            `json:"parts,omitempty"`
	Modalities     map[string]int64  `json:"modalities,omitempty"` // people
	Sexes          map[string]int64  `json:"sexes,omitempty"`
	LeftOut        LeftOut           `json:"left_out"`
}

type riskFacts struct {
	People   int      `json:"people"`
	Wanted   int      `json:"wanted"`
	Smallest int      `json:"smallest"`
	Below    int      `json:"below"`
	Fields   []string `json:"fields"`
}

// riskWanted is how many people should be alike in what is told of them.
const riskWanted = 5

// partNames are the parts by their stored numbers.
var partNames = [...]string{"", describe.SplitTrain, describe.SplitValidation, describe.SplitTest}

// member is a person of a cohort.
type member struct {
	id      subject.ID
	label   string // Patient ID of their images
	studies []*catalogue.Study
	split   int64
}

// visibleStates are those of objects that can be in a release.
var visibleStates = []policy.State{policy.Admitted, policy.Released}

// cohort finds the people of a cohort with their studies, in the order of their labels. What consent permits is not asked here.
func (d *Desk) cohort(ctx context.Context, c collection.ID, co *Cohort) ([]*member, error) {
	facts := map[subject.ID]clinical.Facts{}
	if co.asksFacts() {
		if err := d.Clinical.Each(ctx, c, func(id subject.ID, f clinical.Facts) error { facts[id] = f; return nil }); err != nil {
			return nil, err
		}
	}
	by := map[subject.ID]*member{}
	q := catalogue.NewQuery(catalogue.Studies)
	q.Scopes, q.Collection = []policy.Scope{{Collection: string(c), States: visibleStates}}, c
	for _, name := range slices.Sorted(maps.Keys(co.Studies)) {
		if ok, err := q.Match(name, co.Studies[name]); err != nil || !ok {
			return nil, cmpErr(err, fault.New(fault.Invalid, "find a cohort", "", "a condition on studies is not known"))
		}
	}
	for q.Limit = catalogue.MaxLimit; ; q.Offset += q.Limit {
		page, more, err := d.Catalogue.SearchStudies(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			if len(co.Modalities) > 0 && !slices.ContainsFunc(s.Modalities, func(m string) bool { return slices.Contains(co.Modalities, m) }) {
				continue
			}
			if len(co.SOPClasses) > 0 && !slices.ContainsFunc(s.SOPClasses, func(m string) bool { return slices.Contains(co.SOPClasses, m) }) {
				continue
			}
			if co.asksFacts() {
				if f, ok := facts[s.Subject]; !ok || !co.has(&f) {
					continue
				}
			}
			m := by[s.Subject]
			if m == nil {
				m = &member{id: s.Subject, label: s.PatientID}
				by[s.Subject] = m
			}
			m.studies = append(m.studies, s)
		}
		if !more {
			break
		}
	}
	all := slices.Collect(maps.Values(by))
	slices.SortFunc(all, func(a, b *member) int { return cmp.Or(strings.Compare(a.label, b.label), cmp.Compare(a.id, b.id)) })
	for i, m := range all {
		switch {
		case m.label == "":
			return nil, fault.New(fault.Conflict, "find a cohort", "collection "+string(c), "a study has no Patient ID: people could not be told apart")
		case i > 0 && all[i-1].label == m.label:
			return nil, fault.New(fault.Conflict, "find a cohort", "collection "+string(c), "two people have the same Patient ID")
		}
		slices.SortFunc(m.studies, func(a, b *catalogue.Study) int { return strings.Compare(string(a.UID), string(b.UID)) })
	}
	return all, nil
}

func (co *Cohort) asksFacts() bool {
	return len(co.Sexes) > 0 || co.AgeMin != nil || co.AgeMax != nil || len(co.Diagnoses) > 0 || len(co.Stages) > 0
}

// has reports whether what is known of a person is what a cohort asks for.
func (co *Cohort) has(f *clinical.Facts) bool {
	if len(co.Sexes) > 0 && !slices.Contains(co.Sexes, f.Sex) || len(co.Stages) > 0 && !slices.Contains(co.Stages, f.Stage) {
		return false
	}
	if (co.AgeMin != nil || co.AgeMax != nil) && (f.Age == nil || co.AgeMin != nil && *f.Age < *co.AgeMin || co.AgeMax != nil && *f.Age > *co.AgeMax) {
		return false
	}
	return len(co.Diagnoses) == 0 || slices.ContainsFunc(f.Diagnoses, func(have vocabulary.Code) bool {
		return slices.ContainsFunc(co.Diagnoses, func(want string) bool { return directory.Diseases{}.Is(have.String(), want) })
	})
}

// permitted parts people by what consent and legal bases permit.
func (d *Desk) permitted(ctx context.Context, c collection.ID, all []*member, now time.Time) (in []*member, out LeftOut, err error) {
	standings, err := d.Standings(ctx, c, now)
	if err != nil {
		return nil, out, err
	}
	for _, m := range all {
		st := standings[m.id]
		if st == nil { // withdrawn a moment ago
			out.Refused++
			continue
		}
		switch st.Share().Verdict {
		case datause.Permit:
			in = append(in, m)
		case datause.Review:
			out.Unknown++
		default:
			out.Refused++
		}
	}
	return in, out, nil
}

// Comparison is how a cohort stands to the last version of its dataset.
type Comparison struct {
	Dataset     string  `json:"dataset"`
	Last        string  `json:"last,omitempty"` // version; empty: there is none
	Next        string  `json:"next"`           // version that would come
	People      int64   `json:"people"`         // that may be in it now
	Studies     int64   `json:"studies"`
	New         int64   `json:"new_people"`
	Gone        int64   `json:"gone_people"` // who were in the last and would not be in the next
	NewStudies  int64   `json:"new_studies"`
	GoneStudies int64   `json:"gone_studies"`
	LeftOut     LeftOut `json:"left_out"`
	Words       string  `json:"words"`
}

// Compare says how a dataset's cohort stands to its last version.
func (d *Desk) Compare(ctx context.Context, who admin.Caller, id string) (*Comparison, error) {
	ds, about, err := d.dataset(ctx, who, id)
	if err != nil {
		return nil, err
	}
	all, err := d.cohort(ctx, ds.Collection, &about.Cohort)
	if err != nil {
		return nil, err
	}
	in, out, err := d.permitted(ctx, ds.Collection, all, time.Now())
	if err != nil {
		return nil, err
	}
	v := &Comparison{Dataset: id, Next: "1.0.0", People: int64(len(in)), LeftOut: out}
	now := map[string]bool{}
	people := map[subject.ID]bool{}
	for _, m := range in {
		people[m.id] = true
		for _, s := range m.studies {
			now[string(s.UID)] = true
		}
	}
	v.Studies = int64(len(now))
	last, err := d.Releases.Releases(ctx, id)
	if err != nil {
		return nil, err
	}
	last = slices.DeleteFunc(last, func(x release.Release) bool { return x.State == release.Tombstoned })
	was, wasPeople := map[string]bool{}, map[subject.ID]bool{}
	if len(last) > 0 {
		v.Last, v.Next = last[0].Version, bumped(last[0].Version, false)
		for e, err := range d.Releases.Entries(ctx, last[0].ID) {
			if err != nil {
				return nil, err
			}
			wasPeople[e.Subject] = true
			if e.Study != "" {
				was[e.Study] = true
			}
		}
	}
	for id := range people {
		if !wasPeople[id] {
			v.New++
		}
	}
	for id := range wasPeople {
		if !people[id] {
			v.Gone++
		}
	}
	for s := range now {
		if !was[s] {
			v.NewStudies++
		}
	}
	for s := range was {
		if !now[s] {
			v.GoneStudies++
		}
	}
	switch {
	case v.Last == "":
		v.Words = fmt.Sprintf("There is no version yet. The first would have %d people and %d studies.", v.People, v.Studies)
	case v.New+v.Gone+v.NewStudies+v.GoneStudies == 0:
		v.Words = "Nothing has changed since " + v.Last + "."
	default:
		v.Words = fmt.Sprintf("Since %s: %d people came and %d are gone; %d studies came and %d are gone.", v.Last, v.New, v.Gone, v.NewStudies, v.GoneStudies)
	}
	if n := out.Unknown + out.Refused; n > 0 {
		v.Words += fmt.Sprintf(" Of the cohort, %d people are left out: of %d nobody knows whether they may be in it, %d may not.", n, out.Unknown, out.Refused)
	}
	return v, nil
}

// Freezing says how a version is to be made.
type Freezing struct {
	Version string    // empty: the next
	Accept  string    // why it is released though people are told apart too easily
	Embargo time.Time // until when nobody is given anything of it
	Told    func(objects int64)
}

// Freeze makes a draft of the next version of a dataset: everything that its cohort holds at this moment, and that may be in it, read and hashed.
func (d *Desk) Freeze(ctx context.Context, who admin.Caller, id string, how Freezing) (v ReleaseView, err error) {
	const attempt = "freeze release"
	ds, about, err := d.dataset(ctx, who, id)
	if err != nil {
		return v, err
	}
	last, err := d.Releases.Releases(ctx, id)
	if err != nil {
		return v, err
	}
	x := release.Release{Dataset: id, Collection: ds.Collection, Actor: who.Actor, Cutoff: time.Now(), Embargo: how.Embargo, Version: cmp.Or(how.Version, "1.0.0")}
	for _, y := range last {
		if y.State == release.Draft {
			return v, fault.New(fault.Conflict, attempt, "dataset "+id, "the draft "+y.Version+" waits to be published or discarded")
		}
		if x.Previous == "" || later(y.Version, x.Previous) {
			x.Previous = y.Version
		}
	}
	if how.Version == "" && x.Previous != "" {
		x.Version = bumped(x.Previous, false)
	}
	switch {
	case !wholeVersion(x.Version):
		return v, fault.New(fault.Invalid, attempt, "dataset "+id, "a version is written 1.0.0")
	case x.Previous != "" && !later(x.Version, x.Previous):
		return v, fault.New(fault.Conflict, attempt, "dataset "+id, "there is "+x.Previous+" already: give the next a later version")
	}
	f := frozen{About: about, Software: d.Software}
	if err := d.gates(ctx, who, ds.Collection, &x, &f, how.Accept); err != nil {
		return v, err
	}
	all, err := d.cohort(ctx, ds.Collection, &about.Cohort)
	if err != nil {
		return v, err
	}
	if all, f.LeftOut, err = d.permitted(ctx, ds.Collection, all, x.Cutoff); err != nil {
		return v, err
	}
	if len(all) == 0 {
		why := "its cohort holds nothing that is admitted"
		if f.LeftOut.Unknown > 0 {
			why = fmt.Sprintf("of %d people nobody knows whether they may be in it: record consent, or on what basis the collection's images are used (vitrine consent basis add)", f.LeftOut.Unknown)
		} else if f.LeftOut.Refused > 0 {
			why = fmt.Sprintf("none of its %d people may be in it", f.LeftOut.Refused)
		}
		return v, fault.New(fault.Conflict, attempt, "dataset "+id, why)
	}
	fresh, err := d.divide(ctx, id, about.Splits, all)
	if err != nil {
		return v, err
	}
	w, err := d.Releases.Freeze()
	if err != nil {
		return v, err
	}
	done := false
	defer func() {
		if !done {
			err = errors.Join(err, w.Abandon(context.WithoutCancel(ctx)))
		}
	}()
	if err := d.read(ctx, w, ds.Collection, &about.Cohort, all, &f, how.Told); err != nil {
		return v, err
	}
	if err := w.Flush(ctx); err != nil {
		return v, err
	}
	if w.Len() == 0 {
		return v, fault.New(fault.Conflict, attempt, "dataset "+id, "its cohort holds no object that can be in it")
	}
	if x.Facts, err = json.Marshal(f); err != nil {
		return v, fault.Wrap(fault.Internal, attempt, "", err)
	}
	err = d.change(ctx, who, attempt, "release "+x.Name(), ds.Collection, fmt.Sprintf("%d objects", w.Len()), func(tx *db.Tx) error {
		for sid, part := range fresh {
			if err := d.Releases.SetSplit(tx, id, sid, part); err != nil {
				return err
			}
		}
		if err := w.End(tx, &x); err != nil {
			return err
		}
		return d.tellDOI(tx, x.ID)
	})
	if err != nil {
		return v, err
	}
	done = true
	return view(&x, true)
}

// gates asks what has to be answered before anything is frozen: the risk that people are told apart, and what the data may be used for; and states how the collection was de-identified.
func (d *Desk) gates(ctx context.Context, who admin.Caller, c collection.ID, x *release.Release, f *frozen, accept string) error {
	const attempt = "freeze release"
	f.Accepted = strings.TrimSpace(accept)
	if d.Risk != nil {
		m, err := d.Risk(ctx, asKeeper(who, c), c, riskWanted)
		if err != nil {
			return err
		}
		f.Risk = &riskFacts{People: m.People, Wanted: m.Wanted, Smallest: m.Smallest, Below: m.Below, Fields: m.Fields}
		if m.Below > 0 && len(f.Accepted) < 10 {
			return fault.New(fault.Conflict, attempt, "collection "+string(c), fmt.Sprintf("of %d people, %d are alike with fewer than %d others in what is told of them (%s): look at the report of risk, and generalise; or say in a sentence why it is released all the same",
				m.People, m.Below, riskWanted-1, strings.Join(m.Fields, ", ")))
		}
	}
	if d.Statement != nil {
		s, err := d.Statement(ctx, asKeeper(who, c), c, x.Name())
		if err != nil && !fault.Is(err, fault.Unavailable) {
			return err
		}
		f.Statement = s
	}
	col, err := d.Collections.Get(ctx, c)
	if err != nil {
		return err
	}
	f.Profile, f.ProfileVersion = col.Profile, col.ProfileVersion
	switch e, err := d.Entries.OfCollection(ctx, c); {
	case err == nil:
		f.DataUse = e.Entry.DataUse
	case !fault.Is(err, fault.NotFound):
		return err
	}
	policies := []datause.Policy{f.DataUse.Policy()}
	if f.About.DataUse != nil {
		policies = append(policies, f.About.DataUse.Policy())
	}
	f.Policy = access.Fingerprint(policies)
	return nil
}

// asKeeper asks other desks for who may make releases: what they say is theirs to see.
func asKeeper(who admin.Caller, c collection.ID) admin.Caller {
	who.Grants = append(slices.Clone(who.Grants), policy.Grant{Role: policy.Steward, Collection: string(c)})
	return who
}

// divide puts people into the parts of a dataset. Who was in one stays there; others come, in an order that nobody can choose, to the part that lacks most. It gives those who are new.
func (d *Desk) divide(ctx context.Context, dataset string, shares Splits, all []*member) (map[subject.ID]int64, error) {
	if shares.none() {
		return nil, nil
	}
	var known map[subject.ID]int64
	err := d.DB.Snapshot(ctx, func(tx *db.Tx) (err error) { known, err = d.Releases.Splits(tx, dataset); return err })
	if err != nil {
		return nil, err
	}
	var have [4]int64
	for _, p := range known {
		have[p]++
	}
	key := d.Ring.Root().Derive("splits of datasets")
	rank := func(id subject.ID) []byte {
		h := hmac.New(sha256.New, key[:])
		h.Write([]byte(dataset))
		h.Write([]byte{0})
		_ = binary.Write(h, binary.BigEndian, int64(id))
		return h.Sum(nil)
	}
	var fresh []*member
	ranks := map[subject.ID][]byte{}
	for _, m := range all {
		if m.split = known[m.id]; m.split == 0 {
			fresh = append(fresh, m)
			ranks[m.id] = rank(m.id)
		}
	}
	slices.SortFunc(fresh, func(a, b *member) int { return strings.Compare(string(ranks[a.id]), string(ranks[b.id])) })
	want := [4]int{0, shares.Train, shares.Validation, shares.Test}
	out := map[subject.ID]int64{}
	for _, m := range fresh {
		total := have[1] + have[2] + have[3] + 1
		best, most := int64(0), -1e18
		for p := int64(1); p <= 3; p++ {
			if want[p] == 0 {
				continue
			}
			if lacks := float64(want[p])/100*float64(total) - float64(have[p]); lacks > most+1e-9 {
				best, most = p, lacks
			}
		}
		m.split = best
		have[best]++
		out[m.id] = best
	}
	return out, nil
}

// read reads and hashes everything that people have in the cohort, a person after the other, on as many cores as there are.
func (d *Desk) read(ctx context.Context, w *release.Freezing, c collection.ID, co *Cohort, all []*member, f *frozen, told func(int64)) error {
	root, err := d.Ring.Collection(ctx, string(c))
	if err != nil {
		return err
	}
	ids := root.Derive("identifiers of objects 1")
	parts := map[int64]*Part{}
	f.Modalities, f.Sexes = map[string]int64{}, map[string]int64{}
	scopes := []policy.Scope{{Collection: string(c), States: []policy.State{policy.Received, policy.Admitted, policy.Released}}}
	for _, m := range all {
		var rows []catalogue.Located
		study := map[catalogue.StudyUID]*catalogue.Study{}
		for _, s := range m.studies {
			study[s.UID] = s
			for l, err := range d.Catalogue.Locate(ctx, catalogue.Where{Scopes: scopes, Collection: c, Study: s.UID}) {
				switch {
				case err != nil:
					return err
				case l.Subject != m.id: // in a study that is another's
				case l.State == policy.Received:
					f.LeftOut.Unready++
				case len(co.SOPClasses) > 0 && !slices.Contains(co.SOPClasses, l.SOPClass):
				default:
					rows = append(rows, l)
				}
			}
		}
		entries, err := d.hash(ctx, rows, study, m, co, ids)
		if err != nil {
			return err
		}
		slices.SortFunc(entries, func(a, b release.Entry) int {
			return cmp.Or(strings.Compare(a.Study, b.Study), strings.Compare(a.Series, b.Series), strings.Compare(a.Entry.Instance, b.Entry.Instance), strings.Compare(a.DRS, b.DRS))
		})
		seen := map[string]map[string]bool{"study": {}, "series": {}, "modality": {}}
		for _, e := range entries {
			if err := w.Add(ctx, e); err != nil {
				return err
			}
			seen["study"][e.Study], seen["series"][e.Series], seen["modality"][e.Modality] = true, true, true
		}
		if told != nil {
			told(w.Len())
		}
		if len(entries) == 0 {
			continue
		}
		f.People++
		f.Studies += int64(len(seen["study"]))
		f.Series += int64(len(seen["series"]))
		for x := range seen["modality"] {
			if x != "" {
				f.Modalities[x]++
			}
		}
		if sex := m.studies[0].Sex; sex != "" {
			f.Sexes[sex]++
		}
		if m.split > 0 {
			p := parts[m.split]
			if p == nil {
				p = &Part{Name: partNames[m.split]}
				parts[m.split] = p
			}
			p.People++
			p.Objects += int64(len(entries))
		}
	}
	for k := int64(1); k <= 3; k++ {
		if parts[k] != nil {
			f.Parts = append(f.Parts, *parts[k])
		}
	}
	return nil
}

// hash reads objects of one person.
func (d *Desk) hash(ctx context.Context, rows []catalogue.Located, study map[catalogue.StudyUID]*catalogue.Study, m *member, co *Cohort, ids keys.Key) ([]release.Entry, error) {
	out := make([]*release.Entry, len(rows))
	var wg sync.WaitGroup
	var once sync.Once
	var failed error
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	next := make(chan int)
	for range min(runtime.GOMAXPROCS(0), len(rows)) {
		wg.Go(func() {
			for i := range next {
				e, err := d.entry(ctx, rows[i], study[rows[i].Study], m, co, ids)
				if err != nil {
					once.Do(func() { failed = err; stop() })
					continue
				}
				out[i] = e
			}
		})
	}
feeding:
	for i := range rows {
		select {
		case next <- i:
		case <-ctx.Done():
			break feeding
		}
	}
	close(next)
	wg.Wait()
	if failed != nil {
		return nil, failed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var all []release.Entry
	for _, e := range out {
		if e != nil {
			all = append(all, *e)
		}
	}
	return all, nil
}

// entry reads one object; nil: the cohort does not want it.
func (d *Desk) entry(ctx context.Context, l catalogue.Located, s *catalogue.Study, m *member, co *Cohort, ids keys.Key) (*release.Entry, error) {
	o, err := d.Delivery.OpenLocated(ctx, l)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	ds, err := o.Dataset()
	if err != nil {
		return nil, err
	}
	e := &release.Entry{Subject: l.Subject, Instance: l.ID, Ref: l.Ref}
	x := &e.Entry
	if x.Modality = code(ds.String(dicom.TagModality)); len(co.Modalities) > 0 && !slices.Contains(co.Modalities, x.Modality) {
		return nil, nil
	}
	h := sha256.New()
	n := &counter{w: h}
	if err := o.WriteFile(n); err != nil {
		return nil, err
	}
	x.SHA256, x.Size = hex.EncodeToString(h.Sum(nil)), n.n
	mac := hmac.New(sha256.New, ids[:])
	mac.Write([]byte(l.ID.String() + " " + x.SHA256))
	x.DRS = hex.EncodeToString(mac.Sum(nil)[:16])
	x.Subject, x.Study, x.Series, x.Instance, x.SOPClass = m.label, string(l.Study), string(l.Series), string(l.SOP), l.SOPClass
	x.Format, x.TransferSyntax, x.Split = "application/dicom", l.TransferSyntax, partNames[m.split]
	x.Path = path.Join("images", safe(m.label), string(l.Study), string(l.Series), string(l.SOP)+".dcm")
	x.StudyDate, x.StudyDescription, x.Sex = s.StudyDate, s.Description, s.Sex
	x.Rows, x.Columns, x.Frames, x.InstanceNumber = l.Rows, l.Columns, l.Frames, max(l.Number, 0)
	x.Age = ds.String(dicom.TagPatientAge)
	x.SeriesNumber, _ = ds.Int(dicom.TagSeriesNumber)
	for _, t := range []struct {
		to  *string
		tag dicom.Tag
	}{{&x.SeriesDescription, dicom.TagSeriesDescription}, {&x.ProtocolName, dicom.TagProtocolName}, {&x.BodyPart, dicom.TagBodyPartExamined}, {&x.Manufacturer, dicom.TagManufacturer}, {&x.Model, dicom.TagManufacturerModelName},
		{&x.Contrast, dicom.TagContrastBolusAgent}, {&x.SequenceName, dicom.TagSequenceName}, {&x.Acquisition, dicom.TagMRAcquisitionType}} {
		*t.to = ds.String(t.tag)
	}
	for _, t := range []struct {
		to  *string
		tag dicom.Tag
	}{{&x.ImageType, dicom.TagImageType}, {&x.PixelSpacing, dicom.TagPixelSpacing}, {&x.Kernel, dicom.TagConvolutionKernel}, {&x.ScanningSequence, dicom.TagScanningSequence}} {
		if i := ds.Find(t.tag); i >= 0 {
			*t.to = strings.Join(ds.Strings(i), `\`)
		}
	}
	for _, t := range []struct {
		to  *float64
		tag dicom.Tag
	}{{&x.SliceThickness, dicom.TagSliceThickness}, {&x.KVP, dicom.TagKVP}, {&x.Field, dicom.TagMagneticFieldStrength}, {&x.RepetitionTime, dicom.TagRepetitionTime}, {&x.EchoTime, dicom.TagEchoTime},
		{&x.InversionTime, dicom.TagInversionTime}, {&x.FlipAngle, dicom.TagFlipAngle}} {
		*t.to, _ = strconv.ParseFloat(strings.TrimSpace(ds.String(t.tag)), 64)
	}
	if i := ds.Find(dicom.TagDiffusionBValue); i >= 0 {
		if v := ds.Floats(i); len(v) > 0 {
			x.BValue = v[0]
		}
	}
	return e, nil
}

// code is a code string as tables want it; nothing where it is none.
func code(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 16 || s == "" || strings.ContainsFunc(s, func(r rune) bool { return !(r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_') }) {
		return ""
	}
	return s
}

// safe is a pseudonym as a folder's name.
func safe(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, s)
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// factsOf are what a release keeps.
func factsOf(x *release.Release) (f frozen, err error) {
	if err := json.Unmarshal(x.Facts, &f); err != nil {
		return f, fault.New(fault.Corrupt, "read release", "release "+x.Name(), "its facts cannot be read")
	}
	return f, nil
}

// view shows a release.
func view(x *release.Release, keeps bool) (ReleaseView, error) {
	f, err := factsOf(x)
	if err != nil {
		return ReleaseView{}, err
	}
	v := ReleaseView{Name: x.Name(), Dataset: x.Dataset, Version: x.Version, Collection: string(x.Collection), State: x.State.String(), Title: f.About.Title, Abstract: f.About.Abstract, Root: x.Root,
		Objects: x.Entries - x.Withdrawn, Bytes: x.Bytes, People: headcount.Tell(f.People), DOI: x.DOI, Previous: x.Previous, Next: x.Next, Cutoff: x.Cutoff, Frozen: x.Frozen, Published: admin.When(x.Published),
		Embargo: admin.When(x.Embargo), Modalities: slices.Sorted(maps.Keys(f.Modalities)), Registered: x.Registered, License: f.About.License, Profile: strings.TrimSpace(f.Profile + " " + f.ProfileVersion), Stated: f.Statement != nil, Policy: f.Policy}
	for _, p := range f.Parts {
		if !keeps {
			p.People, p.Objects = headcount.Tell(p.People), headcount.Tell(p.Objects)
		}
		v.Splits = append(v.Splits, p)
	}
	if len(x.Tombstone) > 0 {
		v.Tombstone = &Tombstone{}
		if err := json.Unmarshal(x.Tombstone, v.Tombstone); err != nil {
			return v, fault.New(fault.Corrupt, "read release", "release "+x.Name(), "its tombstone cannot be read")
		}
	}
	if keeps {
		v.LeftOut, v.RiskAccepted = &f.LeftOut, f.Accepted
		v.Exact = &Exact{People: f.People, Studies: f.Studies, Series: f.Series, Objects: x.Entries, Withdrawn: x.Withdrawn}
	} else {
		v.Objects, v.Bytes = headcount.Tell(v.Objects), roughly(v.Bytes)
	}
	return v, nil
}

// roughly is a number of bytes by its first two digits: the size of one person's images is not told.
func roughly(n int64) int64 {
	p := int64(1)
	for n/p >= 100 {
		p *= 10
	}
	return n / p * p
}
