// Package release makes versions of a dataset out of a collection, describes them, and gives their objects to those who may have them.
//
// It promises: a release is what it was when it was frozen, to the byte, and its manifest proves it; nobody is in it whose consent, or whose collection's legal basis, does not permit it at that moment
// (unknown is left out, and counted); who withdraws is out of every release in the transaction that withdraws them; a subject is in one part of a dataset (train, validation, test) for ever; policy decides on every
// call, inside the call, and each object that is given is in the ledger and the audit log before its first byte leaves.
//
// It does not authenticate.
package release

import (
	"context"
	"encoding/json"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/flow/proof"
	"github.com/vitrine-imaging/vitrine/internal/judge/access"
	"github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/risk"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/recent"
	"github.com/vitrine-imaging/vitrine/internal/record/release"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Parts are what the desk works with.
type Parts struct {
	DB          *db.DB
	Ring        *keys.Ring
	Audit       *audit.Log
	Jobs        *jobs.Queue
	Collections *collection.Record
	Subjects    *subject.Record
	Catalogue   *catalogue.Record
	Clinical    *clinical.Record
	Entries     *directory.Record
	Releases    *release.Record
	Delivery    *delivery.Delivery
	Log         *slog.Logger
	Software    string
	DOIs        *Registrar // nil: releases have none

	// Standings are what consent and legal bases permit of each subject of a collection at a moment.
	Standings func(ctx context.Context, c collection.ID, now time.Time) (map[subject.ID]*consent.Standing, error)
	// Standing is the same of one.
	Standing func(ctx context.Context, s subject.Subject, now time.Time) (consent.Standing, error)
	// Risk measures how far people of a collection are alike; Statement states how it was de-identified, signed.
	Risk      func(ctx context.Context, who admin.Caller, c collection.ID, k int) (*risk.Report, error)
	Statement func(ctx context.Context, who admin.Caller, c collection.ID, release string) (*proof.Signed, error)
	// Facts are what a decision on an account needs to know, and by which entitlement each of its grants is; nil: nobody is entitled to anything.
	Facts func(ctx context.Context, account string, want access.Capability, of ReleaseFacts) (access.Facts, []int64, error)
	// Person reports somebody with an account that is in force; nil: there is nobody.
	Person func(ctx context.Context, account string) (bool, error)
	// Buried is told, in the transaction, that a release is taken back as a whole, and the code of why; nil: nobody is.
	Buried func(tx *db.Tx, x release.Release, code string) error
}

// ReleaseFacts are what a release knows of itself that a decision asks for.
type ReleaseFacts struct {
	Collection       collection.ID
	Dataset, Version string
	State            access.State
	Successor        string
	Embargo          time.Time
	Policies         []datause.Policy // the dataset's own
}

// Desk is where releases are made. It is safe for use by many goroutines.
type Desk struct {
	Parts
	passes passes
	said   recent.Cache[subject.ID, consent.Standing] // what was found of people a moment ago
	ledger ledger
}

// New makes the desk.
func New(p Parts) *Desk {
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	return &Desk{Parts: p}
}

// About is what is said of a dataset. A release keeps what was said when it was frozen.
type About struct {
	Title       string             `json:"title"`
	Abstract    string             `json:"abstract"`
	Description string             `json:"description,omitempty"`
	Keywords    []string           `json:"keywords,omitempty"`
	Cohort      Cohort             `json:"cohort"`
	Splits      Splits             `json:"splits"`
	Creators    []Creator          `json:"creators,omitempty"` // in the order to cite them; none: the collection's custodian
	License     License            `json:"license,omitzero"`
	DataUse     *directory.DataUse `json:"data_use,omitempty"` // can only narrow the collection's
}

// Creator is a person or an organisation to cite.
type Creator struct {
	Name        string   `json:"name,omitempty"` // of an organisation
	Given       string   `json:"given,omitempty"`
	Family      string   `json:"family,omitempty"`
	ORCID       string   `json:"orcid,omitempty"`
	ROR         string   `json:"ror,omitempty"`
	Affiliation string   `json:"affiliation,omitempty"`
	Roles       []string `json:"roles,omitempty"` // CRediT
}

// License is what the data are given under.
type License struct {
	Name string `json:"name,omitempty"`
	URL  string `json:"url,omitempty"`
	SPDX string `json:"spdx,omitempty"`
}

// Cohort says which of a collection's objects belong to a dataset. What is not said does not narrow it. A list is any of its values.
type Cohort struct {
	// Studies are conditions on studies, as QIDO-RS has them: {"StudyDate": "20180101-20201231"}.
	Studies    map[string]string `json:"studies,omitempty"`
	Modalities []string          `json:"modalities,omitempty"` // of series
	SOPClasses []string          `json:"sop_classes,omitempty"`
	// What is known of people beside their images. Who has no such fact is not in it.
	Sexes     []string `json:"sexes,omitempty"`
	AgeMin    *int     `json:"age_min,omitempty"`
	AgeMax    *int     `json:"age_max,omitempty"`
	Diagnoses []string `json:"diagnoses,omitempty"` // codes with their system, "ICD-10 C50", and all that are kinds of them
	Stages    []string `json:"stages,omitempty"`
}

// Splits are the shares of people in each part, in percent; none: the dataset has no parts.
type Splits struct {
	Train      int `json:"train,omitempty"`
	Validation int `json:"validation,omitempty"`
	Test       int `json:"test,omitempty"`
}

func (s Splits) none() bool { return s == Splits{} }

var datasetID = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// problem says what is wrong with what is said of a dataset; empty: nothing.
func (a *About) problem() string {
	switch {
	case strings.TrimSpace(a.Title) == "" || utf8.RuneCountInString(a.Title) > 300:
		return "its title has 1 to 300 characters"
	case strings.TrimSpace(a.Abstract) == "" || utf8.RuneCountInString(a.Abstract) > 2000:
		return "its abstract has 1 to 2,000 characters"
	case !a.Splits.none() && (a.Splits.Train < 0 || a.Splits.Validation < 0 || a.Splits.Test < 0 || a.Splits.Train+a.Splits.Validation+a.Splits.Test != 100):
		return "the shares of train, validation and test are percent and make 100 together"
	case a.Cohort.AgeMin != nil && a.Cohort.AgeMax != nil && *a.Cohort.AgeMin > *a.Cohort.AgeMax:
		return "the lowest age is above the highest"
	case len(a.Keywords) > 100 || len(a.Creators) > 500:
		return "it has at most 100 keywords and 500 creators"
	}
	q := catalogue.NewQuery(catalogue.Studies)
	for name, v := range a.Cohort.Studies {
		if ok, err := q.Match(name, v); err != nil || !ok {
			return "a condition on studies is none of QIDO-RS, or its value has not the form of its attribute"
		}
	}
	for _, d := range a.Cohort.Diagnoses {
		if system, code, ok := strings.Cut(d, " "); !ok || system == "" || code == "" {
			return `a diagnosis is a code with its system, as "ICD-10 C50"`
		}
	}
	return ""
}

// allowed asks policy. A denial is logged, once an hour.
func (d *Desk) allowed(ctx context.Context, who admin.Caller, f policy.Facts, object string) error {
	f.Grants = who.Grants
	decision := policy.Decide(f)
	if decision.Allow {
		return nil
	}
	if who.Actor != "" {
		err := d.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: f.Action.String(), Object: object, Collection: f.Collection, Outcome: "denied"})
			return err
		})
		if err != nil {
			return err
		}
	}
	return fault.New(fault.Denied, f.Action.String(), object, strings.Join(decision.Reasons, "; "))
}

// keeps reports whether the caller may make releases of a collection, and so see drafts.
func (d *Desk) keeps(who admin.Caller, c collection.ID) bool {
	return policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.MakeRelease, Collection: string(c)}).Allow
}

func (d *Desk) change(ctx context.Context, who admin.Caller, action, object string, c collection.ID, outcome string, do func(*db.Tx) error) error {
	err := d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: action, Object: object, Collection: string(c), Outcome: outcome})
	})
	if err != nil {
		return err
	}
	return d.DB.Sync()
}

// Create makes a dataset.
func (d *Desk) Create(ctx context.Context, who admin.Caller, c collection.ID, id string, a About) (DatasetView, error) {
	const attempt = "create dataset"
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.MakeRelease, Collection: string(c)}, "collection "+string(c)); err != nil {
		return DatasetView{}, err
	}
	if _, err := d.Collections.Get(ctx, c); err != nil {
		return DatasetView{}, err
	}
	if !datasetID.MatchString(id) {
		return DatasetView{}, fault.New(fault.Invalid, attempt, "", "its name has 1 to 63 lower-case letters, digits and hyphens, and begins and ends with no hyphen")
	}
	if why := a.problem(); why != "" {
		return DatasetView{}, fault.New(fault.Invalid, attempt, "dataset "+id, why)
	}
	text, err := json.Marshal(a)
	if err != nil {
		return DatasetView{}, fault.Wrap(fault.Internal, attempt, "", err)
	}
	err = d.change(ctx, who, attempt, "dataset "+id, c, "done", func(tx *db.Tx) error {
		return d.Releases.AddDataset(tx, release.Dataset{ID: id, Collection: c, About: text, Actor: who.Actor})
	})
	if err != nil {
		return DatasetView{}, err
	}
	return d.Dataset(ctx, who, id)
}

// Change writes what is said of a dataset anew. Shares of parts that were used stay.
func (d *Desk) Change(ctx context.Context, who admin.Caller, id string, a About) (DatasetView, error) {
	const attempt = "change dataset"
	ds, was, err := d.dataset(ctx, who, id)
	if err != nil {
		return DatasetView{}, err
	}
	if why := a.problem(); why != "" {
		return DatasetView{}, fault.New(fault.Invalid, attempt, "dataset "+id, why)
	}
	if a.Splits != was.Splits {
		if all, err := d.Releases.Releases(ctx, id); err != nil || len(all) > 0 {
			return DatasetView{}, cmpErr(err, fault.New(fault.Conflict, attempt, "dataset "+id, "a version of it has its people in parts by the shares that were said then; make another dataset for other shares"))
		}
	}
	text, err := json.Marshal(a)
	if err != nil {
		return DatasetView{}, fault.Wrap(fault.Internal, attempt, "", err)
	}
	if err := d.change(ctx, who, attempt, "dataset "+id, ds.Collection, "done", func(tx *db.Tx) error { return d.Releases.ChangeDataset(tx, id, text) }); err != nil {
		return DatasetView{}, err
	}
	return d.Dataset(ctx, who, id)
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// dataset is one that the caller may make releases of.
func (d *Desk) dataset(ctx context.Context, who admin.Caller, id string) (release.Dataset, About, error) {
	var a About
	ds, err := d.Releases.Dataset(ctx, id)
	if err != nil {
		return ds, a, err
	}
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.MakeRelease, Collection: string(ds.Collection)}, "dataset "+id); err != nil {
		return ds, a, err
	}
	if err := json.Unmarshal(ds.About, &a); err != nil {
		return ds, a, fault.New(fault.Corrupt, "read dataset", "dataset "+id, "what is said of it cannot be read")
	}
	return ds, a, nil
}

// DatasetView is a dataset as it is shown.
type DatasetView struct {
	ID         string        `json:"id"`
	Collection string        `json:"collection"`
	About      About         `json:"about"`
	Created    time.Time     `json:"created"`
	Releases   []ReleaseView `json:"releases"`
}

// ReleaseView is a release as it is shown. Numbers of people are told as headcount tells them, but to who makes releases.
type ReleaseView struct {
	Name       string     `json:"name"`
	Dataset    string     `json:"dataset"`
	Version    string     `json:"version"`
	Collection string     `json:"collection"`
	State      string     `json:"state"`
	Title      string     `json:"title"`
	Abstract   string     `json:"abstract"`
	Root       string     `json:"root"`
	Objects    int64      `json:"objects"` // that are left
	Bytes      int64      `json:"bytes"`
	People     int64      `json:"people"`
	Splits     []Part     `json:"splits,omitempty"`
	Modalities []string   `json:"modalities,omitempty"`
	DOI        string     `json:"doi,omitempty"`
	Registered bool       `json:"doi_resolves,omitempty"`
	License    License    `json:"license,omitzero"`
	Profile    string     `json:"profile"` // by which it was de-identified, with its version
	Stated     bool       `json:"stated"`  // the node has signed a statement of that
	Policy     string     `json:"policy"`  // SHA-256 of what it may be used for
	Previous   string     `json:"previous,omitempty"`
	Next       string     `json:"next,omitempty"`
	Cutoff     time.Time  `json:"consent_cutoff"`
	Frozen     time.Time  `json:"frozen"`
	Published  *time.Time `json:"published,omitempty"`
	Embargo    *time.Time `json:"embargo,omitempty"`
	Tombstone  *Tombstone `json:"tombstone,omitempty"`
	// To who makes releases alone.
	LeftOut      *LeftOut `json:"left_out,omitempty"`
	RiskAccepted string   `json:"risk_accepted,omitempty"`
	Exact        *Exact   `json:"exact,omitempty"`
}

// Part is a part of a release as it is told.
type Part struct {
	Name    string `json:"name"`
	People  int64  `json:"people"`
	Objects int64  `json:"objects"`
}

// Exact are the true numbers.
type Exact struct {
	People    int64 `json:"people"`
	Studies   int64 `json:"studies"`
	Series    int64 `json:"series"`
	Objects   int64 `json:"objects"`
	Withdrawn int64 `json:"withdrawn_objects"`
}

// LeftOut counts people of the cohort who are not in a release, and why.
type LeftOut struct {
	Unknown int64 `json:"unknown"` // whether they may be is not known: a person has to decide
	Refused int64 `json:"refused"`
	Unready int64 `json:"unready"` // objects that are received and not admitted yet
}

// Tombstone says why a release was taken back.
type Tombstone struct {
	Code   string    `json:"code"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Dataset shows a dataset with its releases: to who makes them all of them, to everybody else those that were published.
func (d *Desk) Dataset(ctx context.Context, who admin.Caller, id string) (DatasetView, error) {
	ds, err := d.Releases.Dataset(ctx, id)
	if err != nil {
		return DatasetView{}, err
	}
	keeps := d.keeps(who, ds.Collection)
	v := DatasetView{ID: ds.ID, Collection: string(ds.Collection), Created: ds.Created, Releases: []ReleaseView{}}
	if err := json.Unmarshal(ds.About, &v.About); err != nil {
		return v, fault.New(fault.Corrupt, "read dataset", "dataset "+id, "what is said of it cannot be read")
	}
	all, err := d.Releases.Releases(ctx, id)
	if err != nil {
		return v, err
	}
	for i := range all {
		if !keeps && all[i].State == release.Draft {
			continue
		}
		r, err := view(&all[i], keeps)
		if err != nil {
			return v, err
		}
		v.Releases = append(v.Releases, r)
	}
	if !keeps && len(v.Releases) == 0 {
		return DatasetView{}, fault.New(fault.NotFound, "find dataset", "", "there is no such dataset that you may see")
	}
	return v, nil
}

// Datasets lists the datasets of a collection, or of all, that the caller may see.
func (d *Desk) Datasets(ctx context.Context, who admin.Caller, c collection.ID) ([]DatasetView, error) {
	all, err := d.Releases.Datasets(ctx, c)
	if err != nil {
		return nil, err
	}
	out := []DatasetView{}
	for _, ds := range all {
		v, err := d.Dataset(ctx, who, ds.ID)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// Release shows a release.
func (d *Desk) Release(ctx context.Context, who admin.Caller, dataset, version string) (ReleaseView, error) {
	x, keeps, err := d.get(ctx, who, dataset, version)
	if err != nil {
		return ReleaseView{}, err
	}
	return view(&x, keeps)
}

// get is a release that the caller may know of: drafts are for who makes them.
func (d *Desk) get(ctx context.Context, who admin.Caller, dataset, version string) (x release.Release, keeps bool, err error) {
	if version == "" || version == "latest" {
		x, err = d.Releases.Latest(ctx, dataset)
	} else {
		x, err = d.Releases.Get(ctx, dataset, version)
	}
	if err != nil {
		return x, false, err
	}
	if keeps = d.keeps(who, x.Collection); !keeps && x.State == release.Draft {
		return x, false, release.NoRelease()
	}
	return x, keeps, nil
}

// Parse reads a release as people write it, DATASET@1.0.0 or DATASET@latest.
func Parse(name string) (dataset, version string, err error) {
	dataset, version, ok := strings.Cut(name, "@")
	if !ok || !datasetID.MatchString(dataset) || version != "latest" && !wholeVersion(version) {
		return "", "", fault.New(fault.Invalid, "read the name of a release", "", "a release is written DATASET@1.0.0, or DATASET@latest")
	}
	return dataset, version, nil
}

// wholeVersion reports a version of Semantic Versioning without labels.
func wholeVersion(s string) bool {
	parts := strings.Split(s, ".")
	return len(parts) == 3 && !slices.ContainsFunc(parts, func(p string) bool {
		_, err := strconv.ParseUint(p, 10, 31)
		return err != nil || len(p) > 1 && p[0] == '0'
	})
}

// later reports whether a version comes after another.
func later(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range 3 {
		n, _ := strconv.ParseUint(x[i], 10, 31)
		m, _ := strconv.ParseUint(y[i], 10, 31)
		if n != m {
			return n > m
		}
	}
	return false
}

// bumped is the version that comes after one: a patch for what was only taken out, else the next in the middle.
func bumped(v string, patch bool) string {
	p := strings.Split(v, ".")
	k := 1
	if patch {
		k = 2
	}
	n, _ := strconv.ParseUint(p[k], 10, 31)
	p[k] = strconv.FormatUint(n+1, 10)
	if !patch {
		p[2] = "0"
	}
	return strings.Join(p, ".")
}
