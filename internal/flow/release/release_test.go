package release_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	consentflow "github.com/vitrine-imaging/vitrine/internal/flow/consent"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	flow "github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/judge/access"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/release"
	"github.com/vitrine-imaging/vitrine/internal/record/release/describe"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

func as(r policy.Role) admin.Caller {
	return admin.Caller{Actor: "token-" + r.String(), Grants: []policy.Grant{{Role: r, Collection: "default"}}}
}

var (
	custodian  = as(policy.Custodian)
	steward    = as(policy.Steward)
	researcher = admin.Caller{Actor: "person-researcher"}
)

// archive is a node with a desk of releases.
type archive struct {
	*testing.T
	n    *node.Node
	d    *flow.Desk
	sops int
	who  map[string]subject.ID // by the identifier that the site knows them by
}

func each(t *testing.T, test func(a *archive)) {
	dbtest.EachURL(t, func(t *testing.T, address string) {
		cfg := node.Config{Data: t.TempDir(), Demo: true, Log: slog.New(slog.DiscardHandler)}
		if strings.HasPrefix(address, "postgres") {
			cfg.Database = address
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
		a := &archive{T: t, n: n, d: n.Releases, who: map[string]subject.ID{}}
		a.d.Facts = everything
		test(a)
	})
}

// everything is an account that lacks nothing.
func everything(_ context.Context, account string, want access.Capability, of flow.ReleaseFacts) (access.Facts, []int64, error) {
	now := time.Now()
	f := access.Facts{Now: now, Read: now, Want: want,
		Person: access.Person{Active: true, Assurance: access.High, Affiliated: now, Trained: now.Add(time.Hour), TermsAgreed: true, Organisation: "north", Kind: datause.NonProfit, Countries: []string{"GB"}},
		Release: access.Release{Collection: string(of.Collection), Dataset: of.Dataset, Version: of.Version, State: of.State, Successor: of.Successor, Embargo: of.Embargo, Custodian: "keeper", Assurance: access.Low, Service: access.Downloaded,
			Policies: append([]datause.Policy{{Alternatives: []datause.Alternative{{Permission: "GRU"}}}}, of.Policies...), Vocabulary: directory.Diseases{}},
		Grants: []access.Grant{{Project: "7", Purpose: datause.Purpose{Kind: datause.Health, Organisation: datause.NonProfit, Countries: []string{"GB"}, Download: true},
			Entitlement: access.Entitlement{State: access.Active, Collection: string(of.Collection), Versions: "*", Capability: access.Download, NotBefore: now.Add(-time.Hour), Expires: now.Add(time.Hour)},
			Agreement:   access.Agreement{State: access.Executed, Organisations: []string{"north"}, Effective: now.Add(-time.Hour), Expires: now.Add(time.Hour), Accepted: true},
			Duties:      access.Duties{Checked: true}}}}
	if account != researcher.Actor {
		f.Grants = nil
	}
	return f, []int64{42}, nil
}

// deposit has n images of a patient admitted.
func (a *archive) deposit(patient string, n int) {
	a.Helper()
	dep, err := a.n.Custody.Begin(a.Context(), collection.Default, custody.DoorSTOW, "token-steward")
	if err != nil {
		a.Fatal(err)
	}
	a.sops++
	study := fmt.Sprintf("1.2.3.4.5.%d", a.sops)
	for i := range n {
		uid := fmt.Sprintf("%s.1.%d", study, i)
		b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
		b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
		b.String(dicom.TagSOPInstanceUID, uid)
		b.String(dicom.TagStudyDate, "20190312")
		b.String(dicom.TagModality, "CT")
		b.String(dicom.TagPatientName, "Obermayer^Anneliese")
		b.String(dicom.TagPatientID, patient)
		b.String(dicom.TagPatientSex, "F")
		b.String(dicom.TagStudyInstanceUID, study)
		b.String(dicom.TagSeriesInstanceUID, study+".1")
		b.String(dicom.TagSliceThickness, "2.5")
		ds, err := b.Dataset()
		if err != nil {
			a.Fatal(err)
		}
		r, err := dep.Receive(a.Context(), custody.Incoming{Syntax: dicom.ExplicitVRLittleEndian, SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID: uid, Data: custody.FromReader(bytes.NewReader(ds.Bytes()))})
		if err != nil || r.Outcome != custody.Kept {
			a.Fatalf("%+v, %v", r, err)
		}
	}
	dep.End()
	if err := a.n.Custody.Barrier(a.Context()); err != nil {
		a.Fatal(err)
	}
	late := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		all, err := a.n.Stores.Catalogue.All(a.Context(), 0, 10_000)
		if err != nil {
			a.Fatal(err)
		}
		waits := false
		for _, l := range all {
			waits = waits || l.State == policy.Received
			a.who[patient] = l.Subject // the last is theirs
		}
		if !waits {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			a.Fatal("it is not admitted")
		}
	}
}

func (a *archive) basis(k judge.Kind) {
	a.Helper()
	if _, err := a.n.Consent.AddBasis(a.Context(), steward, collection.Default, consent.Basis{Basis: judge.Basis{Kind: k}}); err != nil {
		a.Fatal(err)
	}
}

func (a *archive) says(patient string, said consentflow.Said) consentflow.Outcome {
	a.Helper()
	o, err := a.n.Consent.Record(a.Context(), steward, collection.Default, consentflow.Whom{Patient: patient}, said)
	if err != nil {
		a.Fatal(err)
	}
	return o
}

func (a *archive) dataset(splits flow.Splits) {
	a.Helper()
	if _, err := a.d.Create(a.Context(), custodian, collection.Default, "thorax", flow.About{Title: "Thorax", Abstract: "CT of the thorax.", Splits: splits}); err != nil {
		a.Fatal(err)
	}
}

func (a *archive) freeze() flow.ReleaseView {
	a.Helper()
	v, err := a.d.Freeze(a.Context(), custodian, "thorax", flow.Freezing{Accept: "The people were made up for a test."})
	if err != nil {
		a.Fatal(err)
	}
	return v
}

func (a *archive) publish(v flow.ReleaseView) flow.ReleaseView {
	a.Helper()
	v, err := a.d.Publish(a.Context(), custodian, v.Dataset, v.Version)
	if err != nil {
		a.Fatal(err)
	}
	return v
}

// manifest is the proven manifest of a release, as somebody gets it.
func (a *archive) manifest(who admin.Caller, version string) (describe.Header, []describe.Entry) {
	a.Helper()
	var b bytes.Buffer
	if err := a.d.Describe(a.Context(), who, "thorax", version, flow.Manifest, "https://images.example.org", &b); err != nil {
		a.Fatal(err)
	}
	h, err := describe.VerifyManifest(bytes.NewReader(b.Bytes()))
	if err != nil {
		a.Fatal(err)
	}
	_, entries, err := describe.ReadManifest(&b)
	if err != nil {
		a.Fatal(err)
	}
	var all []describe.Entry
	for e, err := range entries {
		if err != nil {
			a.Fatal(err)
		}
		all = append(all, e)
	}
	return h, all
}

// digest fetches an object, and gives the SHA-256 of what came.
func (a *archive) digest(who admin.Caller, drs string) (string, int64, error) {
	o, err := a.d.Open(a.Context(), who, drs, access.Download)
	if err != nil {
		return "", 0, err
	}
	defer o.Close()
	var b bytes.Buffer
	if err := o.Delivered().WriteFile(&b); err != nil {
		return "", 0, err
	}
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:]), int64(b.Len()), nil
}

// What a release holds is what the manifest says, to the byte, whatever comes to the collection later; the next version has what came, and people stay in their parts.
func TestAReleaseStaysWhatItWas(t *testing.T) {
	each(t, func(a *archive) {
		t := a.T
		a.basis(judge.Anonymised)
		for i := range 10 {
			a.deposit(fmt.Sprintf("N%03d", i), 2)
		}
		a.dataset(flow.Splits{Train: 60, Validation: 20, Test: 20})
		v := a.publish(a.freeze())
		if v.Version != "1.0.0" || v.State != "published" || v.Objects != 20 || v.Exact.People != 10 || v.Exact.Studies != 10 {
			t.Fatalf("%+v", v)
		}
		want := map[string]int64{"train": 6, "validation": 2, "test": 2}
		for _, p := range v.Splits {
			if p.People != want[p.Name] || p.Objects != 2*want[p.Name] {
				t.Errorf("%+v", v.Splits)
			}
		}
		h, all := a.manifest(researcher, "1.0.0")
		if h.Root != v.Root || h.Entries != 20 || len(all) != 20 {
			t.Fatalf("%+v, %d entries", h, len(all))
		}
		part := map[string]string{}
		for _, e := range all {
			if sum, n, err := a.digest(researcher, e.DRS); err != nil || sum != e.SHA256 || n != e.Size {
				t.Fatalf("%s: %s of %d bytes, %v; the manifest says %s of %d", e.DRS, sum, n, err, e.SHA256, e.Size)
			}
			if was := part[e.Subject]; was != "" && was != e.Split {
				t.Errorf("%s is in two parts", e.Subject)
			}
			part[e.Subject] = e.Split
			if e.Modality != "CT" {
				t.Errorf("%+v", e)
			}
		}
		for i := range 10 {
			a.deposit(fmt.Sprintf("N%03d", 100+i), 1)
		}
		a.deposit("N000", 1)
		if again, _ := a.manifest(researcher, "1.0.0"); again != h {
			t.Errorf("the release is %+v, and was %+v", again, h)
		}
		c, err := a.d.Compare(t.Context(), custodian, "thorax")
		if err != nil || c.New != 10 || c.Gone != 0 || c.NewStudies != 11 || c.Next != "1.1.0" {
			t.Errorf("%+v, %v", c, err)
		}
		if v = a.publish(a.freeze()); v.Version != "1.1.0" || v.Objects != 31 || v.Previous != "1.0.0" {
			t.Errorf("%+v", v)
		}
		_, next := a.manifest(researcher, "1.1.0")
		of := map[string]string{}
		for _, e := range next {
			of[e.Subject] = e.Split
		}
		counts := map[string]int{}
		for s, p := range of {
			if counts[p]++; part[s] != "" && part[s] != p {
				t.Errorf("%s was in %s and is in %s", s, part[s], p)
			}
		}
		if len(of) != 20 || counts["train"] != 12 || counts["validation"] != 4 || counts["test"] != 4 {
			t.Errorf("%v", counts)
		}
		if old, err := a.d.Release(t.Context(), custodian, "thorax", "1.0.0"); err != nil || old.State != "superseded" || old.Next != "1.1.0" {
			t.Errorf("%+v, %v", old, err)
		}
		if _, _, err := a.digest(researcher, all[0].DRS); err != nil {
			t.Errorf("what is in both versions: %v", err)
		}
	})
}

// Nobody is in a release of whom it is not known that they may be: without a basis nobody, under consent those who granted it.
func TestConsentIsAskedBeforeFreezing(t *testing.T) {
	each(t, func(a *archive) {
		t := a.T
		for _, p := range []string{"yes", "no", "unasked", "partly"} {
			a.deposit("N-"+p, 1)
		}
		a.dataset(flow.Splits{})
		_, err := a.d.Freeze(t.Context(), custodian, "thorax", flow.Freezing{Accept: "The people were made up for a test."})
		if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "nobody knows") {
			t.Fatalf("without any basis: %v", err)
		}
		a.basis(judge.ByConsent)
		a.says("N-yes", consentflow.Said{Grants: []judge.Use{judge.Research, judge.Sharing, judge.Abroad}}) // where people were asked is not recorded
		a.says("N-no", consentflow.Said{Denies: []judge.Use{judge.Research}})
		a.says("N-partly", consentflow.Said{Grants: []judge.Use{judge.Research}, Denies: []judge.Use{judge.Sharing}})
		_, err = a.d.Freeze(t.Context(), custodian, "thorax", flow.Freezing{})
		if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "alike") {
			t.Fatalf("people who are told apart, without a reason: %v", err)
		}
		v := a.freeze()
		if v.Exact.People != 1 || v.LeftOut.Unknown != 1 || v.LeftOut.Refused != 2 || v.RiskAccepted == "" {
			t.Fatalf("%+v, left out %+v", v, v.LeftOut)
		}
		// A draft is nobody's.
		if _, err := a.d.Release(t.Context(), researcher, "thorax", "1.0.0"); !fault.Is(err, fault.NotFound) {
			t.Errorf("a draft is shown: %v", err)
		}
		if err := a.d.Describe(t.Context(), custodian, "thorax", "1.0.0", flow.Manifest, "", &bytes.Buffer{}); !fault.Is(err, fault.Conflict) {
			t.Errorf("a draft is described: %v", err)
		}
		var drs string
		if err := a.n.Stores.DB.QueryRow(t.Context(), `SELECT drs FROM release_entry`).Scan(&drs); err != nil {
			t.Fatal(err)
		}
		if _, _, err := a.digest(researcher, drs); !fault.Is(err, fault.NotFound) {
			t.Errorf("a draft is given: %v", err)
		}
		a.publish(v)
		// What a person says later holds at once for what was published before.
		if _, _, err := a.digest(researcher, drs); err != nil {
			t.Fatal(err)
		}
		a.says("N-yes", consentflow.Said{Denies: []judge.Use{judge.Sharing}})
		late := time.Now().Add(5 * time.Second)
		for {
			_, _, err := a.digest(researcher, drs)
			if fault.Is(err, fault.Denied) && strings.Contains(err.Error(), "R3") {
				break
			}
			if time.Now().After(late) {
				t.Fatalf("five seconds after it was refused: %v", err)
			}
		}
	})
}

// Who withdraws is out of every release in that moment; what was proven stays proven, whoever was given something is in the ledger, and a patch takes the release's place.
func TestWithdrawalAmendsReleases(t *testing.T) {
	each(t, func(a *archive) {
		t := a.T
		a.basis(judge.Anonymised)
		for _, p := range []string{"N1", "N2", "N3"} {
			a.deposit(p, 3)
		}
		a.dataset(flow.Splits{Train: 50, Test: 50})
		v := a.publish(a.freeze())
		h, all := a.manifest(researcher, "1.0.0")
		var theirs []describe.Entry
		gone, err := a.n.Stores.Subjects.Get(t.Context(), a.who["N2"])
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if _, _, err := a.digest(researcher, e.DRS); err != nil {
				t.Fatal(err)
			}
			if e.Subject == string(gone.Pseudonym) {
				theirs = append(theirs, e)
			}
		}
		if len(theirs) != 3 {
			t.Fatalf("%d entries are theirs", len(theirs))
		}
		open, err := a.d.Open(t.Context(), researcher, theirs[0].DRS, access.Download)
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		if o := a.says("N2", consentflow.Said{Withdrawal: judge.FromUse}); !o.Out || o.Instances != 3 {
			t.Fatalf("%+v", o)
		}
		var b bytes.Buffer
		if err := open.Delivered().WriteFile(&b); !fault.Is(err, fault.NotFound) {
			t.Errorf("what was open is read on: %v", err)
		}
		for _, e := range theirs {
			if _, _, err := a.digest(researcher, e.DRS); !errors.Is(err, flow.ErrGone) {
				t.Errorf("it is given: %v", err)
			}
			if _, err := a.d.Find(t.Context(), researcher, e.DRS, access.Download); !errors.Is(err, flow.ErrGone) {
				t.Errorf("it is found: %v", err)
			}
		}
		given, err := a.n.Stores.DB.Query(t.Context(), `SELECT COUNT(*) FROM receipt WHERE subject = ? AND entitlement = 42 AND account = ?`, int64(gone.ID), researcher.Actor)
		if err != nil {
			t.Fatal(err)
		}
		var n int
		given.Next()
		if err := given.Scan(&n); err != nil || n != 1 {
			t.Errorf("the ledger has %d rows, %v", n, err)
		}
		given.Close()
		// The manifest of the amended release is proven by the root that was published, and names nothing of theirs.
		var amended bytes.Buffer
		if err := a.d.Describe(t.Context(), custodian, "thorax", "1.0.0", flow.Manifest, "https://images.example.org", &amended); err != nil {
			t.Fatal(err)
		}
		for _, e := range theirs {
			for what, s := range map[string]string{"DRS identifier": e.DRS, "pseudonym": e.Subject, "UID": e.Instance, "digest": e.SHA256} {
				if bytes.Contains(amended.Bytes(), []byte(s)) {
					t.Errorf("the manifest still has a %s of theirs", what)
				}
			}
		}
		if again, err := describe.VerifyManifest(bytes.NewReader(amended.Bytes())); err != nil || again.Root != h.Root {
			t.Errorf("root %s and not %s, %v", again.Root, h.Root, err)
		}
		var left int
		if err := a.n.Stores.DB.QueryRow(t.Context(), `SELECT COUNT(*) FROM release_entry WHERE subject = ? AND body <> ''`, int64(gone.ID)).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d entries still say something, %v", left, err)
		}
		// The patch.
		late := time.Now().Add(30 * time.Second)
		var patch flow.ReleaseView
		for patch.Version != "1.0.1" {
			if patch, err = a.d.Release(t.Context(), custodian, "thorax", "latest"); err != nil && !fault.Is(err, fault.NotFound) {
				t.Fatal(err)
			}
			if time.Now().After(late) {
				t.Fatalf("there is no patch: %+v", patch)
			}
		}
		if patch.State != "published" || patch.Objects != 6 || patch.Exact.People != 2 || patch.Root == v.Root || patch.Previous != "1.0.0" {
			t.Errorf("%+v", patch)
		}
		_, rest := a.manifest(researcher, "1.0.1")
		for _, e := range rest {
			if e.Withdrawn {
				t.Error("the patch has the place of somebody who has withdrawn")
			}
			if sum, _, err := a.digest(researcher, e.DRS); err != nil || sum != e.SHA256 {
				t.Errorf("%s, %v", sum, err)
			}
		}
	})
}

// Who withdraws while a release is frozen is not in it, and what was written of it is forgotten.
func TestWithdrawalWhileFreezing(t *testing.T) {
	each(t, func(a *archive) {
		t := a.T
		a.basis(judge.Anonymised)
		for _, p := range []string{"N1", "N2", "N3"} {
			a.deposit(p, 2)
		}
		a.dataset(flow.Splits{})
		first := true
		_, err := a.d.Freeze(t.Context(), custodian, "thorax", flow.Freezing{Accept: "The people were made up for a test.", Told: func(int64) {
			if first {
				first = false
				for _, p := range []string{"N1", "N2", "N3"} { // whoever came first in the order of pseudonyms is among them
					a.says(p, consentflow.Said{Withdrawal: judge.FromUse})
				}
			}
		}})
		if err == nil {
			t.Fatal("it was frozen all the same")
		}
		var n int
		if err := a.n.Stores.DB.QueryRow(t.Context(), `SELECT COUNT(*) FROM release_entry`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d entries are left, %v", n, err)
		}
	})
}

// Who is entitled to nothing gets nothing and is told why; tickets and signed addresses are their holder's, for their time, and nothing else's.
func TestWhoGetsObjects(t *testing.T) {
	each(t, func(a *archive) {
		t := a.T
		a.basis(judge.Anonymised)
		a.deposit("N1", 1)
		a.dataset(flow.Splits{})
		a.publish(a.freeze())
		_, all := a.manifest(custodian, "1.0.0")
		drs := all[0].DRS
		for name, who := range map[string]admin.Caller{"nobody": {}, "a token": steward, "another person": {Actor: "person-other"}} {
			if _, _, err := a.digest(who, drs); err == nil || errors.Is(err, flow.ErrGone) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := a.d.Describe(t.Context(), admin.Caller{Actor: "person-other"}, "thorax", "1.0.0", flow.Manifest, "", &bytes.Buffer{}); !fault.Is(err, fault.Denied) {
			t.Errorf("the manifest, to another person: %v", err)
		}
		if err := a.d.Describe(t.Context(), admin.Caller{}, "thorax", "1.0.0", flow.Croissant, "https://images.example.org", &bytes.Buffer{}); err != nil {
			t.Errorf("the description, to everybody: %v", err)
		}
		a.d.Person = func(_ context.Context, account string) (bool, error) {
			return strings.HasPrefix(account, "person-"), nil
		}
		if _, _, err := a.d.Ticket(t.Context(), steward, 1); !fault.Is(err, fault.Denied) {
			t.Errorf("a token makes a ticket: %v", err)
		}
		ticket, _, err := a.d.Ticket(t.Context(), researcher, 1)
		if err != nil {
			t.Fatal(err)
		}
		holder, err := a.d.Holder(ticket)
		if err != nil || holder.Actor == researcher.Actor || len(holder.Grants) > 0 {
			t.Fatalf("%+v, %v: no other desk may take a ticket for the person", holder, err)
		}
		if sum, _, err := a.digest(holder, drs); err != nil || sum != all[0].SHA256 {
			t.Errorf("by a ticket: %v", err)
		}
		for i := len(flow.TicketPrefix); i < len(ticket); i += 7 {
			forged := ticket[:i] + string("AB"[b2i(ticket[i] == 'A')]) + ticket[i+1:]
			if h, err := a.d.Holder(forged); err == nil && h.Actor != holder.Actor {
				t.Errorf("a ticket that was changed at %d opens for %s", i, h.Actor)
			} else if err == nil {
				t.Errorf("a ticket that was changed at %d is taken", i)
			}
		}
		q := map[string]string{}
		for _, kv := range strings.Split(a.d.Sign(researcher, drs), "&") {
			k, v, _ := strings.Cut(kv, "=")
			q[k] = v
		}
		if who, err := a.d.Signed(drs, q["for"], q["until"], q["sig"]); err != nil || who.Actor != researcher.Actor {
			t.Errorf("%+v, %v", who, err)
		}
		for name, x := range map[string][4]string{"another object": {string("01"[b2i(drs[0] == '0')]) + drs[1:], q["for"], q["until"], q["sig"]}, "a longer time": {drs, q["for"], q["until"] + "0", q["sig"]}, "nobody": {drs, "", q["until"], q["sig"]}, "no signature": {drs, q["for"], q["until"], ""}} {
			if _, err := a.d.Signed(x[0], x[1], x[2], x[3]); !fault.Is(err, fault.Denied) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A version that is taken back keeps its page, which says why, and gives nothing.
func TestTakenBack(t *testing.T) {
	each(t, func(a *archive) {
		t := a.T
		a.basis(judge.Anonymised)
		a.deposit("N1", 1)
		a.dataset(flow.Splits{})
		a.publish(a.freeze())
		_, all := a.manifest(custodian, "1.0.0")
		if _, err := a.d.Bury(t.Context(), as(policy.Researcher), "thorax", "1.0.0", "error", "A mistake."); !fault.Is(err, fault.Denied) {
			t.Errorf("by a researcher: %v", err)
		}
		v, err := a.d.Bury(t.Context(), custodian, "thorax", "1.0.0", "error", "The scans were mirrored.")
		if err != nil || v.State != "tombstoned" || v.Tombstone.Reason != "The scans were mirrored." {
			t.Fatalf("%+v, %v", v, err)
		}
		if _, _, err := a.digest(researcher, all[0].DRS); !errors.Is(err, flow.ErrGone) {
			t.Errorf("it is given: %v", err)
		}
		if v, err := a.d.Release(t.Context(), admin.Caller{}, "thorax", "1.0.0"); err != nil || v.Tombstone == nil {
			t.Errorf("its page: %+v, %v", v, err)
		}
		if err := a.d.Discard(t.Context(), custodian, "thorax", "1.0.0"); !fault.Is(err, fault.Conflict) {
			t.Errorf("it is forgotten: %v", err)
		}
	})
}

// What a freezing left that broke off is forgotten, and nothing else is.
func TestBrokenOffFreezingIsForgotten(t *testing.T) {
	each(t, func(a *archive) {
		t := a.T
		a.basis(judge.Anonymised)
		a.deposit("N1", 2)
		a.dataset(flow.Splits{})
		a.publish(a.freeze())
		_, all := a.manifest(custodian, "1.0.0")
		w, err := a.d.Releases.Freeze()
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(t.Context(), release.Entry{Subject: a.who["N1"], Entry: all[0]}); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.sweep(-time.Hour, 3)
		a.sweep(time.Hour, 2)
	})
}

func (a *archive) sweep(at time.Duration, want int) {
	a.Helper()
	if err := a.n.Stores.DB.Write(a.Context(), func(tx *db.Tx) error { return a.d.Releases.Sweep(tx, time.Now().Add(at)) }); err != nil {
		a.Fatal(err)
	}
	var n int
	if err := a.n.Stores.DB.QueryRow(a.Context(), `SELECT COUNT(*) FROM release_entry`).Scan(&n); err != nil || n != want {
		a.Errorf("%d entries are left, not %d, %v", n, want, err)
	}
}

// A version that is there is never made again, and two who make the next at once make one.
func TestVersionsAreMadeOnce(t *testing.T) {
	each(t, func(a *archive) {
		t := a.T
		a.basis(judge.Anonymised)
		a.deposit("N1", 1)
		a.dataset(flow.Splits{})
		made := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := a.d.Freeze(a.Context(), custodian, "thorax", flow.Freezing{Version: "2.0.0", Accept: "The people were made up for a test."})
				made <- err
			}()
		}
		x, y := <-made, <-made
		if (x == nil) == (y == nil) || x != nil && !fault.Is(x, fault.Conflict) || y != nil && !fault.Is(y, fault.Conflict) {
			t.Fatalf("%v and %v", x, y)
		}
		var n int
		if err := a.n.Stores.DB.QueryRow(t.Context(), `SELECT COUNT(*) FROM release_entry`).Scan(&n); err != nil || n != 1 {
			t.Errorf("%d entries, %v", n, err)
		}
		if _, err := a.d.Freeze(t.Context(), custodian, "thorax", flow.Freezing{Accept: "The people were made up for a test."}); !fault.Is(err, fault.Conflict) {
			t.Errorf("beside a draft: %v", err)
		}
		if err := a.d.Discard(t.Context(), custodian, "thorax", "2.0.0"); err != nil {
			t.Fatal(err)
		}
		if _, err := a.d.Freeze(t.Context(), steward, "thorax", flow.Freezing{Version: "1.0", Accept: "The people were made up for a test."}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a version of two parts: %v", err)
		}
	})
}
