package directory_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	flow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

var nobody = admin.Caller{}

func as(role policy.Role, in string) admin.Caller {
	return admin.Caller{Actor: "token-" + role.String() + "-" + in, Grants: []policy.Grant{{Role: role, Collection: in}}}
}

func each(t *testing.T, test func(t *testing.T, d *flow.Desk)) {
	dbtest.EachURL(t, func(t *testing.T, address string) {
		cfg := node.Config{Data: t.TempDir()}
		if strings.HasPrefix(address, "postgres") {
			cfg.Database = address
		}
		r, err := node.OpenRecords(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		queue, err := jobs.Open(t.Context(), r.DB)
		if err != nil {
			t.Fatal(err)
		}
		d, err := r.Directory(t.Context(), queue)
		if err != nil {
			t.Fatal(err)
		}
		test(t, d)
	})
}

// people gives the default collection people of whom there is a study each, the first so many women, with a diagnosis each.
func people(t *testing.T, d *flow.Desk, from, to, women int) {
	t.Helper()
	err := d.DB.Write(t.Context(), func(tx *db.Tx) error {
		dep, err := d.Catalogue.StartDeposit(tx, collection.Default, "stow", "token-1")
		if err != nil {
			return err
		}
		run, err := d.Clinical.Begin(tx, collection.Default, "token-1")
		if err != nil {
			return err
		}
		var entries []catalogue.Entry
		for i := from; i < to; i++ {
			sex := "M"
			if i < women {
				sex = "F"
			}
			entries = append(entries, catalogue.Entry{Collection: collection.Default, Subject: subject.ID(i + 1), Study: catalogue.StudyUID(fmt.Sprintf("1.2.%d", i)),
				Series: catalogue.SeriesUID(fmt.Sprintf("1.3.%d", i)), SOP: catalogue.SOPUID(fmt.Sprintf("1.4.%d", i)),
				StudyAttributes:    catalogue.StudyAttributes{PatientID: fmt.Sprint("P", i), Sex: sex, StudyDate: "20190312", JSON: `{"00101010":{"vr":"AS","Value":["057Y"]}}`},
				SeriesAttributes:   catalogue.SeriesAttributes{Modality: "MG"},
				InstanceAttributes: catalogue.InstanceAttributes{SOPClass: "1.2.840.10008.5.1.4.1.1.1.2", TransferSyntax: "1.2.840.10008.1.2.1"},
				Ref:                catalogue.Ref{Pack: catalogue.PackID{1}, Offset: int64(i+1) * 4096}, HeadSize: 1000, Digest: [32]byte{byte(i), byte(i >> 8), 1}, State: policy.Received, Deposit: dep, Ordinal: int64(i + 1)})
			f := clinical.Facts{Diagnoses: []vocabulary.Code{{System: vocabulary.ICD10, Value: "C50.4"}}, Visits: []clinical.Visit{{Name: "baseline", Date: "2019-03-10"}}}
			if _, err := d.Clinical.Save(tx, collection.Default, subject.ID(i+1), f, clinical.Columns{Diagnoses: true, Visits: true}, run); err != nil {
				return err
			}
		}
		_, err = d.Catalogue.AddBatch(tx, entries)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	due, err := d.Catalogue.DueStudies(t.Context(), time.Now().Add(time.Hour), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	err = d.DB.Write(t.Context(), func(tx *db.Tx) error {
		for _, x := range due {
			if _, err := d.Catalogue.Admit(tx, x); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func here() directory.Entry {
	e := directorytest.Minimal()
	e.Holding, e.Collection, e.Title, e.Declared = directory.Here, "default", "Mammograms of the north", nil
	return e
}

func TestFromDraftToTheWorld(t *testing.T) {
	each(t, func(t *testing.T, d *flow.Desk) {
		ctx := t.Context()
		custodian := as(policy.Custodian, "default")
		rev, err := d.Save(ctx, custodian, "north", here(), 0, "first words")
		if err != nil || rev != 1 {
			t.Fatal(rev, err)
		}
		// Before it is published it is there for those who write it alone.
		for _, who := range []admin.Caller{nobody, as(policy.Researcher, "*"), as(policy.Custodian, "other")} {
			if _, err := d.Entry(ctx, who, "north"); !fault.Is(err, fault.NotFound) {
				t.Error(err)
			}
			if _, err := d.Draft(ctx, who, "north"); !fault.Is(err, fault.NotFound) {
				t.Error(err)
			}
			if _, err := d.Revisions(ctx, who, "north"); !fault.Is(err, fault.NotFound) {
				t.Error(err)
			}
			if all, err := d.Drafts(ctx, who); err != nil || len(all) != 0 {
				t.Error(all, err)
			}
			if r, err := d.Search(ctx, who, directory.Query{}); err != nil || r.Total != 0 {
				t.Errorf("%+v, %v", r, err)
			}
			if err := d.Publish(ctx, who, "north", 1); !fault.Is(err, fault.Denied) {
				t.Error(err)
			}
		}
		if v, err := d.Draft(ctx, custodian, "north"); err != nil || !v.MayEdit || !v.MayPublish || v.Note != "first words" {
			t.Errorf("%+v, %v", v, err)
		}
		if err := d.Publish(ctx, custodian, "north", 1); err != nil {
			t.Fatal(err)
		}
		v, err := d.Entry(ctx, nobody, "north")
		if err != nil || v.Entry.Title != "Mammograms of the north" || v.By != "" || v.Note != "" || v.StateBy != "" || v.MayEdit || v.Numbers != nil {
			t.Errorf("%+v, %v", v, err)
		}
		if r, err := d.Search(ctx, nobody, directory.Query{Text: "north"}); err != nil || r.Total != 1 || r.Hits[0].Stored.By != "" {
			t.Errorf("%+v, %v", r, err)
		}
		if v, err := d.OfCollection(ctx, nobody, "default"); err != nil || v.ID != "north" {
			t.Errorf("%+v, %v", v, err)
		}
		for _, f := range []flow.Format{flow.HDRUK, flow.CRUK, flow.DCAT, flow.MIABIS, flow.SchemaOrg, flow.CSV} {
			b, err := d.Export(ctx, nobody, "north", f, directory.Site{Base: "https://imaging.example.org", Name: "Test"})
			if err != nil || !strings.Contains(string(b), "Mammograms of the north") || strings.Contains(string(b), "token-") {
				t.Errorf("%s: %v", f, err)
			}
		}
		var all strings.Builder
		if err := d.ExportAll(ctx, nobody, &all, flow.DCAT, directory.Site{Base: "https://imaging.example.org", Name: "Test"}); err != nil || !json.Valid([]byte(all.String())) || !strings.Contains(all.String(), "Mammograms") {
			t.Error(err)
		}
		// A later draft changes nothing of what is seen.
		e := here()
		e.Title = "Something else"
		if _, err := d.Save(ctx, custodian, "north", e, 1, ""); err != nil {
			t.Fatal(err)
		}
		if v, err := d.Entry(ctx, nobody, "north"); err != nil || v.Entry.Title != "Mammograms of the north" {
			t.Error(v.Entry.Title, err)
		}
		if err := d.Retire(ctx, nobody, "north"); !fault.Is(err, fault.Denied) {
			t.Error(err)
		}
		if err := d.Retire(ctx, custodian, "north"); err != nil {
			t.Error(err)
		}
		if _, err := d.Entry(ctx, nobody, "north"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		entries, err := d.Audit.Entries(ctx, audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, e := range entries {
			if strings.Contains(e.Action, "directory entry") && e.Actor == custodian.Actor {
				said = append(said, e.Action+": "+e.Object+", "+e.Outcome+" in "+e.Collection)
			}
		}
		want := []string{"edit a directory entry: entry north, revision 1, done in default", "publish a directory entry: entry north, revision 1, done in default",
			"edit a directory entry: entry north, revision 2, done in default", "retire a directory entry: entry north, done in default"}
		if strings.Join(said, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s", strings.Join(said, "\n"))
		}
	})
}

func TestWhoMayWrite(t *testing.T) {
	each(t, func(t *testing.T, d *flow.Desk) {
		ctx := t.Context()
		elsewhere := directorytest.Minimal()
		for i, c := range []struct {
			who       admin.Caller
			ours      bool
			elsewhere bool
		}{
			{nobody, false, false},
			{as(policy.Depositor, "*"), false, false},
			{as(policy.Researcher, "*"), false, false},
			{as(policy.Custodian, "default"), true, false},
			{as(policy.Custodian, "*"), true, true},
			{as(policy.Steward, "default"), true, false},
			{as(policy.Admin, "*"), true, true},
			{as(policy.Operator, "*"), true, true},
		} {
			other := fmt.Sprintf("other-%d", i)
			if _, err := d.Save(ctx, c.who, directory.ID(other), elsewhere, 0, ""); (err == nil) != c.elsewhere || err != nil && !fault.Is(err, fault.Denied) {
				t.Errorf("%+v elsewhere: %v", c.who, err)
			}
			base := int64(0)
			if s, err := d.Entries.Get(ctx, "north"); err == nil {
				base = s.Latest
			}
			if _, err := d.Save(ctx, c.who, "north", here(), base, ""); (err == nil) != c.ours || err != nil && !fault.Is(err, fault.Denied) {
				t.Errorf("%+v: %v", c.who, err)
			}
			// Nobody takes an entry over by calling it another's.
			if i == 5 {
				if _, err := d.Save(ctx, c.who, "other-4", here(), 1, ""); !fault.Is(err, fault.Denied) {
					t.Errorf("%+v takes another entry: %v", c.who, err)
				}
			}
		}
		peer := elsewhere
		peer.Holding, peer.Peer = directory.Peer, "node-2"
		if _, err := d.Save(ctx, as(policy.Admin, "*"), "peer", peer, 0, ""); !fault.Is(err, fault.Denied) {
			t.Error(err)
		}
		lost := here()
		lost.Collection = "nowhere"
		if _, err := d.Save(ctx, as(policy.Admin, "*"), "lost", lost, 0, ""); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
		if _, err := d.Count(ctx, as(policy.Steward, "*")); !fault.Is(err, fault.Denied) {
			t.Error(err)
		}
		if _, err := d.Read(ctx, as(policy.Researcher, "*"), flow.CSV, strings.NewReader("")); !fault.Is(err, fault.Denied) {
			t.Error(err)
		}
		if _, err := d.Read(ctx, nobody, flow.CSV, strings.NewReader("")); !fault.Is(err, fault.Denied) {
			t.Error(err)
		}
		// Through a table and back.
		var b strings.Builder
		if err := directory.WriteTemplate(&b); err != nil {
			t.Fatal(err)
		}
		drafts, err := d.Read(ctx, as(policy.Custodian, "*"), flow.CSV, strings.NewReader(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		taken, err := d.Import(ctx, as(policy.Custodian, "*"), append(drafts, drafts...), flow.Taking{Note: "from a table"})
		if err != nil || len(taken) != 2*len(drafts) {
			t.Fatalf("%+v, %v", taken, err)
		}
		if len(drafts) > 0 && (taken[0].Revision != 1 || taken[len(drafts)].Problem == "") {
			t.Errorf("%+v", taken)
		}
	})
}

func TestPeopleAreCounted(t *testing.T) {
	each(t, func(t *testing.T, d *flow.Desk) {
		ctx := context.Background()
		operator := as(policy.Operator, "*")
		if _, err := d.Save(ctx, operator, "north", here(), 0, ""); err != nil {
			t.Fatal(err)
		}
		if err := d.Publish(ctx, operator, "north", 1); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Snapshot(ctx, nobody); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		people(t, d, 0, 42, 30)
		handler := d.Handlers()["count people"]
		if err := handler(ctx, "all", nil); err != nil {
			t.Fatal(err)
		}
		v, err := d.Entry(ctx, nobody, "north")
		if err != nil || v.Numbers == nil || v.Counts.People.Value != 40 || v.Numbers.Available != 0 {
			t.Fatalf("%+v, %v", v.Numbers, err)
		}
		n := v.Numbers
		if n.Number(directory.BySex, "female").Value != 30 || n.Number(directory.BySex, "male").Value != 10 || n.Number(directory.ByAge, "55-59").Value != 40 ||
			n.Number(directory.ByDisease, "breast-cancer").Value != 40 || n.Number(directory.ByModality, "MG").Value != 40 || n.Number(directory.ByTimepoint, "baseline").Value != 40 ||
			n.Number(directory.ByYear, "2019").Value != 40 {
			t.Errorf("%+v", n)
		}
		r, err := d.Search(ctx, nobody, directory.Query{Text: "breast cancer", Filters: map[directory.Facet][]string{directory.FacetSex: {"female"}}, Age: &directory.Range{From: 50, To: 60}})
		if err != nil || r.Total != 1 || r.People.Value != 30 || r.AsOf == "" {
			t.Errorf("%+v, %v", r, err)
		}
		// Another run on the same day does nothing; an administrator's does, and says nothing new of nine who have come since.
		if err := handler(ctx, "all", nil); err != nil {
			t.Fatal(err)
		}
		people(t, d, 42, 51, 51)
		s, err := d.Count(ctx, as(policy.Admin, "*"))
		if err != nil || s.Renewed != 0 || s.Collections != 1 {
			t.Errorf("%+v, %v", s, err)
		}
		if v, _ := d.Entry(ctx, nobody, "north"); v.Counts.People.Value != 40 {
			t.Errorf("%+v", v.Counts.People)
		}
		people(t, d, 51, 52, 52)
		if s, err = d.Count(ctx, as(policy.Admin, "*")); err != nil || s.Renewed != 1 {
			t.Errorf("%+v, %v", s, err)
		}
		if v, _ := d.Entry(ctx, nobody, "north"); v.Counts.People.Value != 50 {
			t.Errorf("%+v", v.Counts.People)
		}
		// What is declared of what lies elsewhere is told as ours is, and never as it stands.
		e := directorytest.Minimal()
		e.Declared = &directory.Declared{People: 1237, Studies: 7, AsOf: "2026-01-01"}
		if _, err := d.Save(ctx, operator, "away", e, 0, ""); err != nil {
			t.Fatal(err)
		}
		if err := d.Publish(ctx, operator, "away", 1); err != nil {
			t.Fatal(err)
		}
		v, err = d.Entry(ctx, nobody, "away")
		if err != nil || v.Entry.Declared != nil || v.Counts.People.Value != 1240 || !v.Counts.Studies.Withheld {
			t.Errorf("%+v, %v", v.Counts, err)
		}
		c, err := d.Compare(ctx, nobody, []directory.ID{"north", "away"})
		if err != nil || fmt.Sprint(c.Groups[0].Rows[0].Cells) != "[[50] [1240]]" {
			t.Errorf("%+v, %v", c.Groups, err)
		}
	})
}

// The daily counting is done by the node's own jobs, and asks for the next one.
func TestCountedDaily(t *testing.T) {
	each(t, func(t *testing.T, d *flow.Desk) {
		if err := d.Schedule(t.Context()); err != nil {
			t.Fatal(err)
		}
		counted := d.DB.Signalled(directory.Changed)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- jobs.NewRunner(d.Jobs, d.Handlers(), jobs.Options{}).Run(ctx) }()
		select {
		case <-counted:
		case <-time.After(20 * time.Second):
			t.Error("nothing was counted")
		}
		cancel() // what runs ends first
		if err := <-done; err != nil {
			t.Error(err)
		}
		var due int64
		if err := d.DB.QueryRow(context.Background(), `SELECT due FROM job WHERE kind = 'count people'`).Scan(&due); err != nil || db.Time(due).Before(time.Now()) {
			t.Errorf("the next is due at %v: %v", db.Time(due), err)
		}
	})
}
