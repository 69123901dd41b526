package review_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// desk is a review at a running node.
type desk struct {
	*review.Flow
	t *testing.T
	n *node.Node
}

func each(t *testing.T, test func(t *testing.T, d *desk)) {
	for _, engine := range []string{"sqlite", "postgresql"} {
		t.Run(engine, func(t *testing.T) {
			cfg := node.Config{Data: t.TempDir(), Demo: true}
			if engine == "postgresql" {
				cfg.Database = dbtest.PostgresURL(t)
			}
			n, err := node.New(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- n.Run(ctx) }()
			t.Cleanup(func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
			s := n.Stores
			for _, id := range []collection.ID{"breast", "kept"} {
				c := collection.Collection{ID: id, Title: string(id), Profile: "research", ProfileVersion: "1"}
				if id == "kept" {
					c.Profile, c.AttestedBy = "as-deposited", "test"
				}
				if err := s.DB.Write(t.Context(), func(tx *db.Tx) error { return s.Collections.Create(tx, c) }); err != nil {
					t.Fatal(err)
				}
			}
			test(t, &desk{n.Review, t, n})
		})
	}
}

// deposit gives images of a made-up patient to a collection.
func (d *desk) deposit(c collection.ID, patient string, all ...func(b *dicom.Builder)) {
	d.t.Helper()
	dep, err := d.n.Custody.Begin(d.t.Context(), c, custody.DoorSTOW, "token-of-ward-7")
	if err != nil {
		d.t.Fatal(err)
	}
	for k, more := range all {
		b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
		b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
		study := fmt.Sprintf("1.2.3.%d", len(patient))
		b.String(dicom.TagSOPInstanceUID, fmt.Sprintf("%s.1.%d", study, k+1))
		b.String(dicom.TagStudyInstanceUID, study)
		b.String(dicom.TagSeriesInstanceUID, study+".1")
		b.String(dicom.TagModality, "CT")
		b.String(dicom.TagPatientID, "H-"+patient)
		b.String(dicom.TagPatientName, patient+"^Ada")
		b.Ints(dicom.TagRows, 2)
		b.Ints(dicom.TagColumns, 2)
		b.Ints(dicom.TagBitsAllocated, 16)
		b.Raw(dicom.TagPixelData, dicom.VROW, make([]byte, 8))
		more(b)
		ds, err := b.Dataset()
		if err != nil {
			d.t.Fatal(err)
		}
		_, err = dep.Receive(d.t.Context(), custody.Incoming{Syntax: dicom.ExplicitVRLittleEndian, Data: custody.FromReader(bytes.NewReader(ds.Bytes()))})
		if _, refused := errors.AsType[*custody.Refusal](err); err != nil && !refused {
			d.t.Fatal(err)
		}
	}
	dep.End()
	if err := d.n.Custody.Barrier(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

func burned(b *dicom.Builder) { b.String(dicom.TagBurnedInAnnotation, "YES") }
func document(b *dicom.Builder) {
	b.String(dicom.TagModality, "DOC")
	burned(b)
}
func elsewhere(b *dicom.Builder) {
	b.String(dicom.TagPixelDataProviderURL, "http://elsewhere.example/1")
}
func plain(*dicom.Builder) {}

func steward(of string) review.Caller {
	return review.Caller{Actor: "person-ada", Grants: []policy.Grant{{Role: policy.Steward, Collection: of}}}
}

func ids(items []review.Item) []catalogue.InstanceID {
	var out []catalogue.InstanceID
	for _, i := range items {
		out = append(out, i.ID)
	}
	return out
}

// Who is no steward of the collection learns nothing of what is held there, and decides nothing.
func TestOnlyItsStewardsDecide(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		d.deposit("breast", "Winterbourne", burned)
		all, err := d.List(t.Context(), steward("breast"), "breast", review.Query{})
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		one := ids(all)
		for _, role := range policy.Roles() {
			for _, of := range []string{"breast", "default", policy.AllCollections} {
				who := review.Caller{Actor: "x", Grants: []policy.Grant{{Role: role, Collection: of}}}
				here := of != "default"
				sees := here && (role == policy.Steward || role == policy.Operator)
				if _, err := d.List(t.Context(), who, "breast", review.Query{}); (err == nil) != sees || !here && !fault.Is(err, fault.NotFound) {
					t.Errorf("%s of %s lists: %v", role, of, err)
				}
				if _, _, err := d.Heaps(t.Context(), who, "breast", review.Query{}); (err == nil) != sees {
					t.Errorf("%s of %s counts: %v", role, of, err)
				}
				if _, err := d.Item(t.Context(), who, one[0]); (err == nil) != sees || err != nil && !fault.Is(err, fault.NotFound) {
					t.Errorf("%s of %s reads: %v", role, of, err)
				}
				if role == policy.Steward && here {
					continue
				}
				for _, decide := range []func(context.Context, review.Caller, collection.ID, []catalogue.InstanceID, string) ([]review.Decided, error){d.Accept, d.Refuse} {
					if out, err := decide(t.Context(), who, "breast", one, ""); err == nil {
						t.Errorf("%s of %s decides: %v", role, of, out)
					}
				}
			}
		}
		// The number of an item of another collection is nobody's.
		if out, err := d.Accept(t.Context(), steward("default"), "default", one, ""); err != nil || out[0].Outcome != review.Gone || out[0].Kind != "" {
			t.Errorf("%+v %v", out, err)
		}
		if all, err := d.List(t.Context(), steward("breast"), "breast", review.Query{}); err != nil || len(all) != 1 {
			t.Errorf("%v %v", all, err)
		}
	})
}

func TestListsAndHeaps(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ada := steward("breast")
		d.deposit("breast", "Winterbourne", plain, burned, burned, document)
		d.deposit("breast", "Ashgrove", elsewhere)
		total, heaps, err := d.Heaps(t.Context(), ada, "breast", review.Query{})
		if err != nil || total != 4 || len(heaps) != 3 {
			t.Fatalf("%d %+v %v", total, heaps, err)
		}
		if h := heaps[0]; h.Reason.Code != "burned-in-declared" || h.Items != 3 || !h.Reason.Answerable || h.Reason.Title == "" || time.Since(h.Oldest) > time.Hour {
			t.Errorf("%+v", h)
		}
		for _, h := range heaps[1:] {
			if h.Items != 1 || h.Reason.Answerable {
				t.Errorf("%+v", h)
			}
		}
		all, err := d.List(t.Context(), ada, "breast", review.Query{})
		if err != nil || len(all) != 4 {
			t.Fatal(all, err)
		}
		first := all[0]
		if !first.Acceptable || first.Ordinal != 2 || first.Kind != "CT Image Storage" || first.Modality != "CT" || first.Rows != 2 || first.Actor != "token-of-ward-7" || first.Door != "stow" ||
			first.Bytes == 0 || first.Subject == "" || len(first.Reasons) != 1 || first.Reasons[0].Where != "(0028,0301)" {
			t.Errorf("%+v", first)
		}
		for _, c := range []struct {
			name string
			q    review.Query
			want int
		}{
			{"reason", review.Query{Reason: "document"}, 1}, {"reason among several", review.Query{Reason: "burned-in-declared"}, 3}, {"no such reason", review.Query{Reason: "no-such"}, 0},
			{"pattern", review.Query{Reason: "%"}, 0}, {"deposit", review.Query{Deposit: all[3].Deposit}, 1}, {"subject", review.Query{Subject: first.Subject}, 3},
			{"no such subject", review.Query{Subject: "AAAA-BBBB-CCCC"}, 0}, {"after", review.Query{After: all[1].ID}, 2}, {"up to", review.Query{UpTo: all[1].ID}, 2}, {"limit", review.Query{Limit: 1}, 1},
		} {
			found, err := d.List(t.Context(), ada, "breast", c.q)
			if err != nil || len(found) != c.want {
				t.Errorf("%s: %d found, %v", c.name, len(found), err)
			}
			if n, _, err := d.Heaps(t.Context(), ada, "breast", c.q); c.q.After == 0 && c.q.Limit == 0 && (err != nil || n != int64(c.want)) {
				t.Errorf("%s: %d counted, %v", c.name, n, err)
			}
		}
	})
}

// Each of many gets its own answer, and what a note says of a patient is not written anywhere.
func TestDecidingOnMany(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ada := steward("breast")
		d.deposit("breast", "Winterbourne", burned, burned, document, burned)
		all, err := d.List(t.Context(), ada, "breast", review.Query{})
		if err != nil || len(all) != 4 {
			t.Fatal(all, err)
		}
		for name, note := range map[string]string{"the name": "a label reads WINTERBOURNE", "its number": "H Winterbourne", "too long": strings.Repeat("n", 201), "two lines": "one\ntwo", "no text": "\xff"} {
			if out, err := d.Accept(t.Context(), ada, "breast", ids(all), note); !fault.Is(err, fault.Invalid) || out != nil || strings.Contains(strings.ToLower(err.Error()), "winterbourne") {
				t.Errorf("a note with %s: %v %v", name, out, err)
			}
		}
		for _, n := range [][]catalogue.InstanceID{nil, make([]catalogue.InstanceID, review.MaxItems+1)} {
			if _, err := d.Refuse(t.Context(), ada, "breast", n, ""); !fault.Is(err, fault.Invalid) {
				t.Errorf("%d items: %v", len(n), err)
			}
		}
		if out, err := d.Refuse(t.Context(), ada, "breast", ids(all)[3:], " ward film "); err != nil || out[0].Outcome != review.Refused {
			t.Fatal(out, err)
		}
		asked := append(ids(all), all[0].ID, 12345)
		out, err := d.Accept(t.Context(), ada, "breast", asked, "a ruler and nothing else")
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []review.Outcome{review.Accepted, review.Accepted, review.Held, review.Gone, review.Gone, review.Gone} {
			if out[i].Outcome != want || out[i].ID != asked[i] || (want == review.Held) != (len(out[i].Why) == 1 && out[i].Why[0].Code == "document") {
				t.Errorf("item %d: %+v", i, out[i])
			}
		}
		if left, err := d.List(t.Context(), ada, "breast", review.Query{}); err != nil || len(left) != 1 || left[0].ID != all[2].ID || left[0].Acceptable {
			t.Errorf("%+v %v", left, err)
		}
		entries, err := d.n.Stores.Audit.Entries(t.Context(), audit.Filter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]int{}
		for _, e := range entries {
			if e.Action == policy.DecideHeld.String() {
				said[e.Actor+" "+e.Outcome]++
			}
			if strings.Contains(strings.ToLower(e.Outcome), "winterbourne") {
				t.Error("the audit log names a patient")
			}
		}
		if said["person-ada accepted: a ruler and nothing else"] != 2 || said["person-ada refused: ward film"] != 1 || len(said) != 2 {
			t.Errorf("%v", said)
		}
		gone, err := d.n.Stores.Catalogue.Refusals(t.Context(), all[0].Deposit, 0, 10)
		if err != nil || len(gone) != 1 || gone[0].Ordinal != 4 || gone[0].Reason.Text != "a steward refused it: ward film" {
			t.Errorf("%+v %v", gone, err)
		}
		// With its study it is admitted, and can be published.
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for late := time.After(20 * time.Second); ; {
			if c, err := d.n.Stores.Catalogue.Intake(t.Context(), "breast"); err != nil || c.Catalogued == 2 && c.Pending == 0 {
				break
			}
			select {
			case <-tick.C:
			case <-late:
				t.Fatal("not admitted within 20 s")
			}
		}
		err = d.n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
			_, err := d.n.Stores.Catalogue.Release(tx, "breast", all[0].Study, "test")
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// In a collection that keeps UIDs as they come, a conflict has nowhere to go.
func TestConflictsOfWhatIsKept(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ada := steward("kept")
		d.deposit("kept", "Winterbourne", plain)
		d.deposit("kept", "Winterbourne", func(b *dicom.Builder) { b.String(dicom.TagImageComments, "other") })
		all, err := d.List(t.Context(), ada, "kept", review.Query{})
		if err != nil || len(all) != 1 || all[0].State != policy.Conflict || all[0].Acceptable {
			t.Fatalf("%+v %v", all, err)
		}
		if out, err := d.Accept(t.Context(), ada, "kept", ids(all), ""); err != nil || out[0].Outcome != review.Held || out[0].Why[0].Code != "kept-as-deposited" {
			t.Errorf("%+v %v", out, err)
		}
		if out, err := d.Refuse(t.Context(), ada, "kept", ids(all), ""); err != nil || out[0].Outcome != review.Refused {
			t.Errorf("%+v %v", out, err)
		}
	})
}

// Every code that holds has words of its own.
func TestReasonsHaveWords(t *testing.T) {
	for _, code := range []string{"burned-in-text", "burned-in-declared", "screen-capture", "embedded-overlay", "nested-pixels", "document", "video", "structured-text", "opaque-data", "slide-label", "face",
		"waveform-text", "large-value", "lexicon", "unreadable", "gate", "duplicate-element", "element-order", "missing-uid", "unknown-sop-class", "echo", "uncatalogued", "conflict", "study-of-another-subject"} {
		if e := review.Explain(catalogue.Reason{Code: code, Text: "why"}); e.Title == "It waits for a person" || e.Question == "why" {
			t.Errorf("%s has none", code)
		}
	}
}
