package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/client"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// releaseOffice is where releases are made, from near or from afar.
type releaseOffice interface {
	Create(ctx context.Context, c, id string, a release.About) (release.DatasetView, error)
	Datasets(ctx context.Context, c string) ([]release.DatasetView, error)
	Compare(ctx context.Context, id string) (*release.Comparison, error)
	Freeze(ctx context.Context, id string, how release.Freezing) (release.ReleaseView, error)
	Release(ctx context.Context, id, version string) (release.ReleaseView, error)
	Publish(ctx context.Context, id, version string) (release.ReleaseView, error)
	Discard(ctx context.Context, id, version string) error
	Bury(ctx context.Context, id, version, code, reason string) (release.ReleaseView, error)
	Describe(ctx context.Context, id, version string, f release.Format, w io.Writer) error
}

// releaseFlags say of which node.
type releaseFlags struct {
	adminFlags
	keyFlags
}

// with opens the office, and closes it when do has ended.
func (f *releaseFlags) with(ctx context.Context, s *streams, do func(releaseOffice) error) (err error) {
	o, err := f.open(ctx, s)
	if err != nil {
		return err
	}
	if r, ok := o.(*remote); ok {
		defer r.Close()
		return do(&farReleases{r.c})
	}
	if err := o.Close(); err != nil {
		return err
	}
	cfg := f.config()
	f.keyFlags.into(&cfg)
	st, err := node.OpenStores(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	desk, err := st.ReleaseDesk(ctx, versionText())
	if err != nil {
		return err
	}
	return do(&nearReleases{desk, operator()})
}

type nearReleases struct {
	desk *release.Desk
	who  admin.Caller
}

func (n *nearReleases) Create(ctx context.Context, c, id string, a release.About) (release.DatasetView, error) {
	of, err := collection.ParseID(c)
	if err != nil {
		return release.DatasetView{}, usage("--collection: %w", err)
	}
	return n.desk.Create(ctx, n.who, of, id, a)
}
func (n *nearReleases) Datasets(ctx context.Context, c string) ([]release.DatasetView, error) {
	return n.desk.Datasets(ctx, n.who, collection.ID(c))
}
func (n *nearReleases) Compare(ctx context.Context, id string) (*release.Comparison, error) {
	return n.desk.Compare(ctx, n.who, id)
}
func (n *nearReleases) Freeze(ctx context.Context, id string, how release.Freezing) (release.ReleaseView, error) {
	return n.desk.Freeze(ctx, n.who, id, how)
}
func (n *nearReleases) Release(ctx context.Context, id, version string) (release.ReleaseView, error) {
	return n.desk.Release(ctx, n.who, id, version)
}
func (n *nearReleases) Publish(ctx context.Context, id, version string) (release.ReleaseView, error) {
	return n.desk.Publish(ctx, n.who, id, version)
}
func (n *nearReleases) Discard(ctx context.Context, id, version string) error {
	return n.desk.Discard(ctx, n.who, id, version)
}
func (n *nearReleases) Bury(ctx context.Context, id, version, code, reason string) (release.ReleaseView, error) {
	return n.desk.Bury(ctx, n.who, id, version, code, reason)
}
func (n *nearReleases) Describe(ctx context.Context, id, version string, f release.Format, w io.Writer) error {
	return n.desk.Describe(ctx, n.who, id, version, f, "http://localhost", w)
}

type farReleases struct{ c *client.Client }

func (f *farReleases) Create(ctx context.Context, c, id string, a release.About) (v release.DatasetView, err error) {
	err = f.c.JSON(ctx, http.MethodPost, nil, map[string]any{"id": id, "collection": c, "about": a}, &v, "api", "datasets")
	return v, err
}
func (f *farReleases) Datasets(ctx context.Context, c string) (all []release.DatasetView, err error) {
	err = f.c.JSON(ctx, http.MethodGet, map[string][]string{"of": {c}}, nil, &all, "api", "datasets")
	return all, err
}
func (f *farReleases) Compare(ctx context.Context, id string) (*release.Comparison, error) {
	v := &release.Comparison{}
	return v, f.c.JSON(ctx, http.MethodGet, nil, nil, v, "api", "datasets", id, "comparison")
}
func (f *farReleases) Freeze(ctx context.Context, id string, how release.Freezing) (v release.ReleaseView, err error) {
	body := map[string]any{"version": how.Version, "accept_risk": how.Accept}
	if !how.Embargo.IsZero() {
		body["embargo"] = how.Embargo
	}
	err = f.c.JSON(ctx, http.MethodPost, nil, body, &v, "api", "datasets", id, "releases")
	return v, err
}
func (f *farReleases) Release(ctx context.Context, id, version string) (v release.ReleaseView, err error) {
	err = f.c.JSON(ctx, http.MethodGet, nil, nil, &v, "api", "datasets", id, "releases", version)
	return v, err
}
func (f *farReleases) Publish(ctx context.Context, id, version string) (v release.ReleaseView, err error) {
	err = f.c.JSON(ctx, http.MethodPost, nil, nil, &v, "api", "datasets", id, "releases", version, "publication")
	return v, err
}
func (f *farReleases) Discard(ctx context.Context, id, version string) error {
	return f.c.JSON(ctx, http.MethodDelete, nil, nil, nil, "api", "datasets", id, "releases", version)
}
func (f *farReleases) Bury(ctx context.Context, id, version, code, reason string) (v release.ReleaseView, err error) {
	err = f.c.JSON(ctx, http.MethodPost, nil, map[string]string{"code": code, "reason": reason}, &v, "api", "datasets", id, "releases", version, "tombstone")
	return v, err
}
func (f *farReleases) Describe(ctx context.Context, id, version string, as release.Format, w io.Writer) error {
	return f.c.Raw(ctx, w, "api", "datasets", id, "releases", version, string(as))
}

type releaseCreateCmd struct {
	releaseFlags
	Dataset    string `arg:"" help:"Name of the dataset: lower-case letters, digits, hyphens."`
	Collection string `required:"" placeholder:"ID" help:"The collection that it is made of."`
	About      string `placeholder:"FILE" help:"JSON of what is said of it: title, abstract, cohort, splits, creators, license; - reads standard input."`
	Title      string `placeholder:"TEXT" help:"In place of --about: its title."`
	Abstract   string `placeholder:"TEXT" help:"In place of --about: a sentence or two."`
	Split      string `placeholder:"T/V/T" help:"In place of --about: shares of people for training, validation and test in percent, as 70/15/15."`
}

func (c *releaseCreateCmd) Help() string {
	return `{"title": "Screening mammograms", "abstract": "Mammograms of women who were recalled.", "splits": {"train": 70, "validation": 15, "test": 15},
 "cohort": {"studies": {"StudyDate": "20180101-20201231"}, "modalities": ["MG"], "sexes": ["F"], "age_min": 50, "diagnoses": ["ICD-10 C50"]},
 "creators": [{"given": "Ada", "family": "Byron", "orcid": "0000-0002-1825-0097"}], "license": {"name": "CC BY 4.0", "spdx": "CC-BY-4.0", "url": "https://creativecommons.org/licenses/by/4.0/"}}

What a cohort does not say does not narrow it. Who has no such fact (age, diagnosis) is not in a cohort that asks for it.`
}

// Run makes a dataset.
func (c *releaseCreateCmd) Run(ctx context.Context, s *streams) error {
	a := release.About{Title: c.Title, Abstract: c.Abstract}
	if c.Split != "" {
		p := strings.Split(c.Split, "/")
		if len(p) != 3 {
			return usage("--split: write the shares as 70/15/15")
		}
		for i, to := range []*int{&a.Splits.Train, &a.Splits.Validation, &a.Splits.Test} {
			var err error
			if *to, err = strconv.Atoi(p[i]); err != nil {
				return usage("--split: write the shares as 70/15/15")
			}
		}
	}
	if c.About != "" {
		in := s.in
		if c.About != "-" {
			f, err := os.Open(c.About)
			if err != nil {
				return usage("--about: %w", err)
			}
			defer f.Close()
			in = f
		}
		dec := json.NewDecoder(io.LimitReader(in, 1<<20))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&a); err != nil {
			return usage("--about is not the JSON that is wanted: %w", err)
		}
	}
	return c.with(ctx, s, func(o releaseOffice) error {
		v, err := o.Create(ctx, c.Collection, c.Dataset, a)
		if err != nil {
			return err
		}
		if s.json {
			return s.value(v)
		}
		fmt.Fprintf(s.out, "dataset %s made; `vitrine release freeze %[1]s` makes its first version\n", v.ID)
		return nil
	})
}

type releaseListCmd struct {
	releaseFlags
	Collection string `placeholder:"ID" help:"Of this collection alone."`
}

// Run lists.
func (c *releaseListCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(o releaseOffice) error {
		all, err := o.Datasets(ctx, c.Collection)
		if err != nil {
			return err
		}
		t := &table{head: []string{"RELEASE", "STATE", "PEOPLE", "OBJECTS", "SIZE", "PUBLISHED", "TITLE"}, none: "There is no dataset."}
		for _, d := range all {
			if len(d.Releases) == 0 {
				t.add(d.ID, "no version yet", "", "", "", "", d.About.Title)
			}
			for _, r := range d.Releases {
				people, objects := fmt.Sprint(r.People), fmt.Sprint(r.Objects)
				if r.Exact != nil {
					people = fmt.Sprint(r.Exact.People)
				}
				at := ""
				if r.Published != nil {
					at = r.Published.Format(time.DateOnly)
				}
				t.add(r.Name, r.State, people, objects, bytesText(r.Bytes), at, r.Title)
			}
		}
		return s.list(all, t)
	})
}

type releaseCompareCmd struct {
	releaseFlags
	Dataset string `arg:"" help:"The dataset."`
}

// Run compares.
func (c *releaseCompareCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(o releaseOffice) error {
		v, err := o.Compare(ctx, c.Dataset)
		if err != nil {
			return err
		}
		if s.json {
			return s.value(v)
		}
		fmt.Fprintln(s.out, v.Words)
		return nil
	})
}

type releaseFreezeCmd struct {
	releaseFlags
	Dataset string `arg:"" help:"The dataset; or DATASET@1.0.0, where the version is not to be the next."`
	Accept  string `name:"accept-risk" placeholder:"TEXT" help:"Why it is released though people are told apart too easily by what is told of them."`
	Embargo string `placeholder:"DAY" help:"Until when nobody is given anything of it."`
}

func (c *releaseFreezeCmd) Help() string {
	return `Reads and hashes everything that the dataset's cohort holds at this moment, and that consent and legal bases permit; who is left out is counted, with why. It is a draft, which nobody is given, until
vitrine release publish DATASET@VERSION. What was frozen is never changed: when somebody of it withdraws, they are taken out, and a patch takes its place.`
}

// Run freezes.
func (c *releaseFreezeCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	until, err := dayOf("--embargo", c.Embargo)
	if err != nil {
		return err
	}
	id, version, _ := strings.Cut(c.Dataset, "@")
	return c.with(ctx, s, func(o releaseOffice) error {
		v, err := o.Freeze(ctx, id, release.Freezing{Version: version, Accept: c.Accept, Embargo: until})
		if err != nil {
			return err
		}
		return s.released(v, cli.Quiet)
	})
}

// released prints a release.
func (s *streams) released(v release.ReleaseView, quiet bool) error {
	if s.json {
		return s.value(v)
	}
	people := v.People
	if v.Exact != nil {
		people = v.Exact.People
	}
	fmt.Fprintf(s.out, "%s %s: %s, %s, %s, root %s\n", v.Name, v.State, count(int(people), "person"), count(int(v.Objects), "object"), bytesText(v.Bytes), v.Root)
	for _, p := range v.Splits {
		fmt.Fprintf(s.out, "%s: %s\n", p.Name, count(int(p.People), "person"))
	}
	if l := v.LeftOut; l != nil && !quiet {
		if l.Unknown > 0 {
			s.say("%s are left out, because nobody knows whether they may be in it.", count(int(l.Unknown), "person"))
		}
		if l.Refused > 0 {
			s.say("%s are left out, because they may not be in it.", count(int(l.Refused), "person"))
		}
		if l.Unready > 0 {
			s.say("%s are not admitted yet.", count(int(l.Unready), "object"))
		}
	}
	return nil
}

type releaseShowCmd struct {
	releaseFlags
	Release string `arg:"" help:"DATASET@VERSION, or DATASET@latest."`
	As      string `placeholder:"FORMAT" help:"Describe it for others: croissant, ro-crate, datacite, schema.org, citation.cff, manifest, instances.csv, instances.parquet, series.csv, series.parquet, tcia or s5cmd."`
}

// Run shows.
func (c *releaseShowCmd) Run(ctx context.Context, s *streams) error {
	id, version, err := release.Parse(c.Release)
	if err != nil {
		return usage("%w", err)
	}
	if _, ok := release.Formats()[release.Format(c.As)]; c.As != "" && !ok {
		return usage("--as: there is no format %q", c.As)
	}
	return c.with(ctx, s, func(o releaseOffice) error {
		if c.As != "" {
			return o.Describe(ctx, id, version, release.Format(c.As), s.out)
		}
		v, err := o.Release(ctx, id, version)
		if err != nil {
			return err
		}
		return s.released(v, false)
	})
}

type releaseDiscardCmd struct {
	releaseFlags
	Release string `arg:"" help:"DATASET@VERSION of a draft."`
}

// Run discards.
func (c *releaseDiscardCmd) Run(ctx context.Context, s *streams) error {
	id, version, err := release.Parse(c.Release)
	if err != nil {
		return usage("%w", err)
	}
	return c.with(ctx, s, func(o releaseOffice) error { return o.Discard(ctx, id, version) })
}

type releaseTakeBackCmd struct {
	releaseFlags
	Release string `arg:"" help:"DATASET@VERSION."`
	Code    string `required:"" enum:"withdrawal,deidentification-defect,legal,policy,error" placeholder:"CODE" help:"withdrawal, deidentification-defect, legal, policy or error."`
	Reason  string `required:"" placeholder:"TEXT" help:"Why, in plain words: everybody can read it, and it names nobody."`
}

// Run takes back.
func (c *releaseTakeBackCmd) Run(ctx context.Context, s *streams) error {
	id, version, err := release.Parse(c.Release)
	if err != nil {
		return usage("%w", err)
	}
	return c.with(ctx, s, func(o releaseOffice) error {
		v, err := o.Bury(ctx, id, version, c.Code, c.Reason)
		if err != nil {
			return err
		}
		return s.released(v, true)
	})
}

// publishReleases publishes versions of datasets.
func publishReleases(ctx context.Context, f *releaseFlags, s *streams, names []string, quiet bool) error {
	if slices.ContainsFunc(names, func(n string) bool { return !strings.Contains(n, "@") }) {
		return usage("name either studies or releases (DATASET@VERSION), not both")
	}
	return f.with(ctx, s, func(o releaseOffice) error {
		for _, n := range names {
			id, version, err := release.Parse(n)
			if err != nil {
				return usage("%w", err)
			}
			v, err := o.Publish(ctx, id, version)
			if err != nil {
				return err
			}
			if err := s.released(v, quiet); err != nil {
				return err
			}
		}
		return nil
	})
}
