package release

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/headcount"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/release"
	"github.com/vitrine-imaging/vitrine/internal/record/release/describe"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// jobPatch makes the version that takes an amended one's place.
const jobPatch = "patch a release"

// Handlers are the jobs that are done here.
func (d *Desk) Handlers() map[string]jobs.Handler {
	return map[string]jobs.Handler{jobPatch: d.patch, jobDOI: d.doi, jobForgetDOI: d.forgetDOI}
}

// Publish makes a draft the version in force. Those who are entitled may have it from then on; the version before it is superseded.
func (d *Desk) Publish(ctx context.Context, who admin.Caller, dataset, version string) (ReleaseView, error) {
	x, keeps, err := d.get(ctx, who, dataset, version)
	if err != nil {
		return ReleaseView{}, err
	}
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.MakeRelease, Collection: string(x.Collection)}, "release "+x.Name()); err != nil {
		return ReleaseView{}, err
	}
	err = d.change(ctx, who, "publish release", "release "+x.Name(), x.Collection, fmt.Sprintf("%d objects", x.Entries), func(tx *db.Tx) error {
		if err := d.Releases.Publish(tx, &x); err != nil {
			return err
		}
		return d.tellDOIs(tx, &x)
	})
	if err != nil {
		return ReleaseView{}, err
	}
	return view(&x, keeps)
}

// Discard forgets a draft.
func (d *Desk) Discard(ctx context.Context, who admin.Caller, dataset, version string) error {
	x, _, err := d.get(ctx, who, dataset, version)
	if err != nil {
		return err
	}
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.MakeRelease, Collection: string(x.Collection)}, "release "+x.Name()); err != nil {
		return err
	}
	return d.change(ctx, who, "discard draft", "release "+x.Name(), x.Collection, "done", func(tx *db.Tx) error {
		if err := d.Releases.Discard(tx, x); err != nil {
			return err
		}
		return d.Jobs.Add(tx, jobForgetDOI, strconv.FormatInt(x.ID, 10), []byte(x.DOI), time.Now())
	})
}

// codes are why a release is taken back as a whole.
var codes = []string{"withdrawal", "deidentification-defect", "legal", "policy", "error"}

// Bury takes a release back as a whole. Its page stays and says why.
func (d *Desk) Bury(ctx context.Context, who admin.Caller, dataset, version, code, reason string) (ReleaseView, error) {
	const attempt = "take back release"
	x, keeps, err := d.get(ctx, who, dataset, version)
	if err != nil {
		return ReleaseView{}, err
	}
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.MakeRelease, Collection: string(x.Collection)}, "release "+x.Name()); err != nil {
		return ReleaseView{}, err
	}
	reason = strings.TrimSpace(reason)
	switch {
	case !slices.Contains(codes, code):
		return ReleaseView{}, fault.New(fault.Invalid, attempt, "release "+x.Name(), "the code of a reason is one of: "+strings.Join(codes, ", "))
	case reason == "" || len(reason) > 1000:
		return ReleaseView{}, fault.New(fault.Invalid, attempt, "release "+x.Name(), "say why in 1 to 1,000 characters, which everybody can read and which name nobody")
	case x.State == release.Draft || x.State == release.Tombstoned:
		return ReleaseView{}, fault.New(fault.Conflict, attempt, "release "+x.Name(), "it is "+x.State.String())
	}
	text, err := json.Marshal(Tombstone{code, reason, time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return ReleaseView{}, fault.Wrap(fault.Internal, attempt, "", err)
	}
	if err := d.change(ctx, who, attempt, "release "+x.Name(), x.Collection, code, func(tx *db.Tx) error {
		if err := d.Releases.Bury(tx, x, text); err != nil {
			return err
		}
		if err := d.tellDOI(tx, x.ID); err != nil || d.Buried == nil {
			return err
		}
		return d.Buried(tx, x, code)
	}); err != nil {
		return ReleaseView{}, err
	}
	d.passes.clear()
	if x, err = d.Releases.ByID(ctx, x.ID); err != nil {
		return ReleaseView{}, err
	}
	return view(&x, keeps)
}

// Withdrawn takes a subject out of every release, in the transaction in which they withdraw, and asks for patches of those that were published.
func (d *Desk) Withdrawn(tx *db.Tx, s subject.Subject) error {
	all, err := d.Releases.Withdraw(tx, s.ID)
	if err != nil {
		return err
	}
	for i := range all {
		x := &all[i]
		if x.State != release.Amended {
			continue
		}
		if err := d.Audit.Append(tx, audit.Entry{Actor: "node", Action: "amend release", Object: "release " + x.Name(), Collection: string(x.Collection), Outcome: "a subject was taken out"}); err != nil {
			return err
		}
		if err := d.tellDOI(tx, x.ID); err != nil {
			return err
		}
		if err := d.Jobs.Add(tx, jobPatch, strconv.FormatInt(x.ID, 10), nil, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// patch makes and publishes the version that has what is left of an amended one. Nothing is read anew: what is left was frozen before.
func (d *Desk) patch(ctx context.Context, key string, _ []byte) error {
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return fault.New(fault.Internal, jobPatch, "", "its number is none")
	}
	was, err := d.Releases.ByID(ctx, id)
	if err != nil || was.State != release.Amended || was.Withdrawn == was.Entries {
		return err
	}
	f, err := factsOf(&was)
	if err != nil {
		return err
	}
	x := release.Release{Dataset: was.Dataset, Collection: was.Collection, Actor: "node", Cutoff: time.Now(), Embargo: was.Embargo, Previous: was.Version, Version: bumped(was.Version, true)}
	w, err := d.Releases.Freeze()
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			_ = w.Abandon(context.WithoutCancel(ctx))
		}
	}()
	people, studies, series := map[string]bool{}, map[string]bool{}, map[string]bool{}
	parts, modalities, sexes := map[string]*Part{}, map[string]map[string]bool{}, map[string]map[string]bool{}
	put := func(m map[string]map[string]bool, k, person string) {
		if k != "" {
			if m[k] == nil {
				m[k] = map[string]bool{}
			}
			m[k][person] = true
		}
	}
	for e, err := range d.Releases.Entries(ctx, was.ID) {
		if err != nil {
			return err
		}
		if e.Entry.Withdrawn {
			continue
		}
		if !people[e.Entry.Subject] && e.Split != "" {
			if parts[e.Split] == nil {
				parts[e.Split] = &Part{Name: e.Split}
			}
			parts[e.Split].People++
		}
		people[e.Entry.Subject], studies[e.Study], series[e.Series] = true, true, true
		put(modalities, e.Modality, e.Entry.Subject)
		put(sexes, e.Sex, e.Entry.Subject)
		if e.Split != "" {
			parts[e.Split].Objects++
		}
		if err := w.Add(ctx, e); err != nil {
			return err
		}
	}
	if err := w.Flush(ctx); err != nil {
		return err
	}
	f.People, f.Studies, f.Series, f.Parts = int64(len(people)), int64(len(studies)), int64(len(series)), nil
	for _, name := range partNames[1:] {
		if p := parts[name]; p != nil {
			f.Parts = append(f.Parts, *p)
		}
	}
	count := func(m map[string]map[string]bool) map[string]int64 {
		out := map[string]int64{}
		for k, v := range m {
			out[k] = int64(len(v))
		}
		return out
	}
	f.Modalities, f.Sexes = count(modalities), count(sexes)
	if x.Facts, err = json.Marshal(f); err != nil {
		return fault.Wrap(fault.Internal, jobPatch, "", err)
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := w.End(tx, &x); err != nil {
			return err
		}
		if err := d.Releases.Publish(tx, &x); err != nil {
			return err
		}
		if err := d.tellDOIs(tx, &x); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: "node", Action: "publish release", Object: "release " + x.Name(), Collection: string(x.Collection), Outcome: fmt.Sprintf("%d objects, in the place of %s", x.Entries, was.Version)})
	})
	if fault.Is(err, fault.Conflict) { // somebody else of it has withdrawn meanwhile, or a later version is there: the job of that does it
		_ = w.Abandon(context.WithoutCancel(ctx))
		done = true
		return nil
	}
	if err != nil {
		return err
	}
	done = true
	return d.DB.Sync()
}

// Format names a description of a release.
type Format string

// The formats. Those of ForEntitled bear pseudonyms and UIDs.
const (
	Croissant        Format = "croissant"
	ROCrate          Format = "ro-crate"
	DataCite         Format = "datacite"
	SchemaOrg        Format = "schema.org"
	CitationCFF      Format = "citation.cff"
	Manifest         Format = "manifest"
	InstancesCSV     Format = "instances.csv"
	InstancesParquet Format = "instances.parquet"
	SeriesCSV        Format = "series.csv"
	SeriesParquet    Format = "series.parquet"
	TCIA             Format = "tcia"
	S5cmd            Format = "s5cmd"
)

// Formats lists them, with their media types.
func Formats() map[Format]string {
	return map[Format]string{Croissant: "application/ld+json", ROCrate: "application/ld+json", DataCite: "application/json", SchemaOrg: "application/ld+json", CitationCFF: "application/yaml",
		Manifest: describe.ManifestType, InstancesCSV: "text/csv", InstancesParquet: "application/vnd.apache.parquet", SeriesCSV: "text/csv", SeriesParquet: "application/vnd.apache.parquet", TCIA: "text/plain", S5cmd: "text/plain"}
}

// ForEntitled reports the formats that list objects.
func (f Format) ForEntitled() bool {
	return !slices.Contains([]Format{Croissant, ROCrate, DataCite, SchemaOrg, CitationCFF}, f)
}

// Describe writes a release in a format. What lists objects is for those who may have them, and for who makes releases. base is the node's address, as people reach it.
func (d *Desk) Describe(ctx context.Context, who admin.Caller, dataset, version string, as Format, base string, w io.Writer) error {
	x, keeps, err := d.get(ctx, who, dataset, version)
	if err != nil {
		return err
	}
	if x.State == release.Draft {
		return fault.New(fault.Conflict, "describe release", "release "+x.Name(), "it is a draft: it is described once it is published")
	}
	if as.ForEntitled() && !keeps {
		if err := d.listable(ctx, who, &x); err != nil {
			return err
		}
	}
	r, err := d.describe(ctx, &x, base)
	if err != nil {
		return err
	}
	entries := d.Releases.Describe(ctx, x.ID)
	switch as {
	case Croissant:
		return describe.WriteCroissant(w, r)
	case ROCrate:
		return describe.WriteROCrate(w, r)
	case DataCite:
		return describe.WriteDataCite(w, r)
	case SchemaOrg:
		return describe.WriteSchemaOrg(w, r)
	case CitationCFF:
		return describe.WriteCitation(w, r)
	case Manifest:
		return describe.WriteManifest(w, r, "", x.Root, x.Entries, entries)
	case InstancesCSV:
		return describe.WriteInstancesCSV(w, r, entries)
	case InstancesParquet:
		return describe.WriteInstancesParquet(w, r, entries)
	case SeriesCSV:
		return describe.WriteSeriesCSV(w, r, entries)
	case SeriesParquet:
		return describe.WriteSeriesParquet(w, r, entries)
	case TCIA:
		return describe.WriteTCIA(w, r, base+"/nbia-api", entries)
	case S5cmd:
		return describe.WriteS5cmd(w, r, func(describe.Entry) (string, error) {
			return "", fault.New(fault.Conflict, "write s5cmd manifest", "release "+x.Name(), "this node gives objects by DRS, and not from a bucket that is open to others")
		}, entries)
	}
	return fault.New(fault.NotFound, "describe release", "release "+x.Name(), "there is no such format")
}

func number(n int64) directory.Number {
	if told := headcount.Tell(n); told > 0 {
		return directory.Number{Value: told, Known: true}
	}
	return directory.Number{Known: true, Withheld: true, Below: headcount.Few}
}

// describe is what a release is, for others.
func (d *Desk) describe(ctx context.Context, x *release.Release, base string) (*describe.Release, error) {
	f, err := factsOf(x)
	if err != nil {
		return nil, err
	}
	page := base + "/datasets/" + x.Dataset + "/" + x.Version
	a := &f.About
	r := &describe.Release{Dataset: x.Dataset, Version: x.Version, Title: a.Title, Abstract: a.Abstract, Description: a.Description, Keywords: a.Keywords, URL: page, DOI: x.DOI, Reserved: !x.Registered,
		License: describe.License(a.License), DataUse: f.DataUse, Issued: cmp.Or(x.Published, x.Frozen), Changed: x.Changed, ConsentCutoff: x.Cutoff, Root: x.Root, PolicyHash: f.Policy, State: describe.State(x.State.String()),
		Collection: describe.Collection{ID: string(x.Collection), URL: base + "/directory/" + string(x.Collection)},
		Deidentification: describe.Deidentification{Profile: f.Profile, Version: f.ProfileVersion, At: x.Frozen,
			Statement: "Identity was taken out by the profile " + f.Profile + " of Vitrine (DICOM PS3.15 E). The node has signed a statement of what was done to the collection."},
		Access: describe.Access{Level: describe.Controlled, Terms: base + "/directory/" + string(x.Collection)}}
	if x.State == release.Draft { // whoever makes it looks at what it will be
		r.State = describe.Published
	}
	r.Publisher.Name = "Vitrine"
	if a.DataUse != nil {
		r.DataUse = *a.DataUse
	}
	switch e, err := d.Entries.OfCollection(ctx, x.Collection); {
	case err == nil:
		r.Collection.Title, r.Collection.DOI = e.Entry.Title, e.Entry.DOI
		r.Collection.URL = base + "/directory/" + string(e.ID)
		r.Publisher, r.Contact, r.Funding, r.Publications = e.Entry.Custodian, e.Entry.Contact, e.Entry.Funding, e.Entry.Publications
		r.Access.Terms = r.Collection.URL
	case fault.Is(err, fault.NotFound):
		r.Collection.Title = string(x.Collection)
	default:
		return nil, err
	}
	for _, c := range a.Creators {
		r.Creators = append(r.Creators, describe.Contributor{Name: c.Name, Given: c.Given, Family: c.Family, ORCID: c.ORCID, ROR: c.ROR, Affiliation: directory.Organisation{Name: c.Affiliation}, Roles: c.Roles})
	}
	if len(r.Creators) == 0 {
		r.Creators = []describe.Contributor{{Name: r.Publisher.Name, ROR: r.Publisher.ROR}}
	}
	if f.Risk != nil {
		r.Risk = fmt.Sprintf("What is told of people was compared (%s): each should be alike with %d others or more.", strings.Join(f.Risk.Fields, ", "), f.Risk.Wanted-1)
		if f.Accepted != "" {
			r.Risk += " Not all are; it is released under an agreement that forbids finding out who they are."
		}
	}
	r.Counts = describe.Counts{People: number(f.People), Studies: number(f.Studies), Series: number(f.Series), Instances: number(x.Entries - x.Withdrawn), Bytes: roughly(x.Bytes)}
	for k, n := range f.Modalities {
		r.Counts.Modalities = append(r.Counts.Modalities, directory.Count{Term: k, Number: number(n)})
	}
	slices.SortFunc(r.Counts.Modalities, func(a, b directory.Count) int { return strings.Compare(a.Term, b.Term) })
	for _, p := range f.Parts {
		r.Splits = append(r.Splits, describe.Split{Name: p.Name, People: number(p.People), Instances: number(p.Objects)})
	}
	version := func(v string) (*describe.Version, error) {
		if v == "" {
			return nil, nil
		}
		y, err := d.Releases.Get(ctx, x.Dataset, v)
		if fault.Is(err, fault.NotFound) {
			return nil, nil
		}
		return &describe.Version{Version: v, URL: base + "/datasets/" + x.Dataset + "/" + v, DOI: y.DOI}, err
	}
	if r.Previous, err = version(x.Previous); err != nil {
		return nil, err
	}
	if r.Next, err = version(x.Next); err != nil {
		return nil, err
	}
	if x.State == release.Tombstoned {
		var t Tombstone
		if err := json.Unmarshal(x.Tombstone, &t); err != nil {
			return nil, fault.New(fault.Corrupt, "read release", "release "+x.Name(), "its tombstone cannot be read")
		}
		r.Tombstone = describe.Tombstone{Code: t.Code, Reason: t.Reason, At: t.At, ReplacedBy: r.Next}
	}
	files := base + "/api/datasets/" + x.Dataset + "/releases/" + x.Version + "/"
	r.Files = []describe.File{
		{Kind: describe.Manifest, Path: "manifest.jsonl", URL: files + string(Manifest), Format: describe.ManifestType, Description: "What is in the release, object by object, and the proof of it."},
		{Kind: describe.InstancesParquet, Path: "instances.parquet", URL: files + string(InstancesParquet), Format: "application/vnd.apache.parquet", Description: "A row for each object."},
		{Kind: describe.SeriesParquet, Path: "series.parquet", URL: files + string(SeriesParquet), Format: "application/vnd.apache.parquet", Description: "A row for each series."},
		{Kind: describe.InstancesCSV, Path: "instances.csv", URL: files + string(InstancesCSV), Format: "text/csv", Description: "A row for each object."},
	}
	return r, nil
}
