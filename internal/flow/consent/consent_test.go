package consent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	clinicalflow "github.com/vitrine-imaging/vitrine/internal/flow/clinical"
	flow "github.com/vitrine-imaging/vitrine/internal/flow/consent"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	record "github.com/vitrine-imaging/vitrine/internal/record/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

func as(r policy.Role) admin.Caller {
	return admin.Caller{Actor: "token-" + r.String(), Grants: []policy.Grant{{Role: r, Collection: "default"}}}
}

var steward = as(policy.Steward)

// story is a node with a desk whose clock is the test's.
type story struct {
	*testing.T
	n    *node.Node
	d    *flow.Desk
	now  time.Time
	log  *written
	sops int
}

// written is a log that several goroutines write.
type written struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(b)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// each runs the test with a fresh node on either database.
func each(t *testing.T, test func(s *story)) {
	dbtest.EachURL(t, func(t *testing.T, address string) {
		s := &story{T: t, log: &written{}, now: time.Now()}
		cfg := node.Config{Data: t.TempDir(), Demo: true, Log: slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
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
		p := n.Consent.Parts
		p.Now = func() time.Time { return s.now }
		s.n, s.d = n, flow.New(p)
		test(s)
	})
}

// receive offers an image of a patient to the default collection.
func (s *story) receive(patient string) (custody.Receipt, error) {
	s.Helper()
	s.sops++
	uid := fmt.Sprintf("1.2.3.4.5.%d", s.sops)
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
	b.String(dicom.TagSOPInstanceUID, uid)
	b.String(dicom.TagStudyDate, "20190312")
	b.String(dicom.TagModality, "CT")
	b.String(dicom.TagPatientName, "Obermayer^Anneliese")
	b.String(dicom.TagPatientID, patient)
	b.String(dicom.TagStudyInstanceUID, uid+".1")
	b.String(dicom.TagSeriesInstanceUID, uid+".2")
	ds, err := b.Dataset()
	if err != nil {
		s.Fatal(err)
	}
	dep, err := s.n.Custody.Begin(s.Context(), collection.Default, custody.DoorSTOW, "token-steward")
	if err != nil {
		s.Fatal(err)
	}
	defer dep.End()
	return dep.Receive(s.Context(), custody.Incoming{Syntax: dicom.ExplicitVRLittleEndian, SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID: uid, Data: custody.FromReader(bytes.NewReader(ds.Bytes()))})
}

// deposit has an image of a patient kept, and gives whose it has become.
func (s *story) deposit(patient string) subject.Subject {
	s.Helper()
	r, err := s.receive(patient)
	if err != nil || r.Outcome != custody.Kept {
		s.Fatalf("%+v, %v", r, err)
	}
	if err := s.n.Custody.Barrier(s.Context()); err != nil {
		s.Fatal(err)
	}
	var id subject.ID
	if err := s.n.Stores.DB.QueryRow(s.Context(), `SELECT subject FROM study WHERE collection = 'default' ORDER BY id DESC LIMIT 1`).Scan(&id); err != nil {
		s.Fatal(err)
	}
	return s.get(id)
}

func (s *story) get(id subject.ID) subject.Subject {
	s.Helper()
	x, err := s.n.Stores.Subjects.Get(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	return x
}

// inSight is how many instances of a subject are not withdrawn.
func (s *story) inSight(id subject.ID) (n int) {
	s.Helper()
	all, err := s.n.Stores.Catalogue.All(s.Context(), 0, 10000)
	if err != nil {
		s.Fatal(err)
	}
	for _, l := range all {
		if l.Subject == id && l.State != policy.Withdrawn {
			n++
		}
	}
	return n
}

func (s *story) record(w flow.Whom, said flow.Said) flow.Outcome {
	s.Helper()
	o, err := s.d.Record(s.Context(), steward, collection.Default, w, said)
	if err != nil {
		s.Fatal(err)
	}
	return o
}

func (s *story) table(text string) *flow.Report {
	s.Helper()
	r, err := s.d.Import(s.Context(), steward, collection.Default, strings.NewReader(text))
	if err != nil {
		s.Fatal(err)
	}
	return r
}

// consent is a FHIR R4 Consent of a patient as the site knows them, with more members.
func resource(patient, date, status, more string) []byte {
	return []byte(`{"resourceType":"Consent","status":"` + status + `","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"research"}]},
		"category":[{"coding":[{"system":"http://loinc.org","code":"59284-0"}]}],"patient":{"identifier":{"system":"https://site.example/mrn","value":"` + patient + `"}},"dateTime":"` + date + `"` + more + `}`)
}

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// refused wants nothing of a patient to be taken.
func (s *story) refused(patient, when string) {
	s.Helper()
	if r, err := s.receive(patient); !fault.Is(err, fault.Denied) || r.Outcome == custody.Kept {
		s.Errorf("%s it is taken: %+v, %v", when, r, err)
	}
}

// However a withdrawal from use comes, the same has happened when the call returns.
func TestWithdrawalHoweverItComes(t *testing.T) {
	each(t, func(s *story) {
		ways := map[string]func(patient string) string{
			"API": func(p string) string {
				o := s.record(flow.Whom{Patient: p}, flow.Said{Withdrawal: judge.FromUse})
				if !o.Out || o.Studies != 1 || o.Instances != 1 || o.Withdrawn != judge.FromUse || o.EraseAfter == nil {
					s.Errorf("%+v", o)
				}
				return o.Withdrawal
			},
			"CSV": func(p string) string {
				if r := s.table("patient_id,date,withdrawal\n" + p + "," + s.now.Format(time.DateOnly) + ",use\n"); r.Recorded != 1 || r.Withdrawn != 1 || r.Refused != 0 || r.Without != 0 {
					s.Errorf("%+v", r)
				}
				return ""
			},
			"FHIR": func(p string) string {
				o, _, err := s.d.RecordFHIR(s.Context(), steward, collection.Default, resource(p, s.now.Format(time.DateOnly), "inactive", ""))
				if err != nil || !o.Out || o.Instances != 1 {
					s.Errorf("%+v, %v", o, err)
				}
				return o.Withdrawal
			},
		}
		for name, withdraw := range ways {
			patient := "MRN-7733-" + name
			x := s.deposit(patient)
			if _, _, err := s.n.Stores.Gate.Enter(s.Context(), x.ID); err != nil {
				s.Fatal(err)
			}
			withdraw(patient)
			now := s.get(x.ID)
			if !now.IsWithdrawn() || now.Lexicon != nil || s.inSight(x.ID) != 0 {
				s.Errorf("%s: withdrawn %v, %d in sight", name, now.IsWithdrawn(), s.inSight(x.ID))
			}
			if _, _, err := s.n.Stores.Gate.Enter(s.Context(), x.ID); !fault.Is(err, fault.NotFound) {
				s.Errorf("%s: the gate is open: %v", name, err)
			}
			if _, err := s.n.Stores.Ring.Get(s.Context(), keys.ID(x.Key)); !fault.Is(err, fault.NotFound) {
				s.Errorf("%s: the key is given: %v", name, err)
			}
			s.refused(patient, name+": after the withdrawal")
			w, err := s.d.Consent.WithdrawalOf(s.Context(), x.ID)
			if err != nil || w.Instances != 1 || w.Scope != judge.FromUse || w.EraseAfter.Sub(w.Created) != flow.Hold {
				s.Errorf("%s: %+v, %v", name, w, err)
			}
			entries, err := s.d.Audit.Entries(s.Context(), audit.Filter{Collection: "default", Objects: []string{fmt.Sprintf("subject %d", int64(x.ID))}})
			if err != nil || len(entries) != 1 || entries[0].Action != policy.Withdraw.String() || entries[0].Outcome != "withdrawn from use" {
				s.Errorf("%s: %+v, %v", name, entries, err)
			}
		}
	})
}

// Somebody of whom there is no image withdraws, and what comes afterwards is refused; so is what comes of somebody who wants no more to be collected, until they consent anew.
func TestNothingIsTakenAfterwards(t *testing.T) {
	each(t, func(s *story) {
		o := s.record(flow.Whom{Patient: "MRN-0001"}, flow.Said{Withdrawal: judge.FromUse})
		if !o.Out || o.Instances != 0 || o.Pseudonym == "" {
			s.Errorf("%+v", o)
		}
		s.refused("MRN-0001", "with no images, after a withdrawal from use:")
		s.record(flow.Whom{Patient: "MRN-0001"}, flow.Said{At: s.now.AddDate(0, 0, 2).Truncate(time.Second).Add(-48 * time.Hour), Grants: []judge.Use{judge.Research}})
		s.refused("MRN-0001", "after a new consent, which never takes a withdrawal from use back:")

		x := s.deposit("MRN-0002")
		s.now = s.now.Add(time.Second)
		if o := s.record(flow.Whom{Pseudonym: string(x.Pseudonym)}, flow.Said{Withdrawal: judge.FromCollection}); o.Out || o.Withdrawn != judge.FromCollection {
			s.Errorf("%+v", o)
		}
		if s.inSight(x.ID) != 1 {
			s.Error("what was there has gone")
		}
		s.refused("MRN-0002", "after a withdrawal from collection:")
		s.now = s.now.Add(time.Second)
		s.record(flow.Whom{Patient: "MRN-0002"}, flow.Said{Grants: []judge.Use{judge.Contact}})
		s.refused("MRN-0002", "after something else was granted:")
		s.now = s.now.Add(time.Second)
		s.record(flow.Whom{Patient: "MRN-0002"}, flow.Said{Grants: []judge.Use{judge.Research}})
		s.deposit("MRN-0002")

		// Contact closes nothing.
		s.record(flow.Whom{Patient: "MRN-0003"}, flow.Said{Withdrawal: judge.FromContact})
		s.deposit("MRN-0003")
		// Nobody of whom there is nothing was made more than once, and no key is left over.
		if known, err := s.d.Ring.Known(s.Context()); err != nil || len(known) != 3 {
			s.Errorf("%d keys, %v", len(known), err)
		}
	})
}

// A withdrawal that is recorded late, and was said before the person consented anew, takes nothing away; one that was said after does, in whatever order they come.
func TestLateRecordedWithdrawals(t *testing.T) {
	each(t, func(s *story) {
		for name, c := range map[string]struct {
			rows string
			out  bool
		}{
			"consent, then an older withdrawal": {"%[1]s,2026-03-01,research,\n%[1]s,2025-02-01,,use\n", false},
			"the other way round":               {"%[1]s,2025-02-01,,use\n%[1]s,2026-03-01,research,\n", true}, // it was carried out when it was recorded
			"consent, then a newer withdrawal":  {"%[1]s,2025-02-01,research,\n%[1]s,2026-03-01,,use\n", true},
			"the newer one first":               {"%[1]s,2026-03-01,,use\n%[1]s,2025-02-01,research,\n", true},
			"both on one day":                   {"%[1]s,2026-03-01,,use\n%[1]s,2026-03-01,research,\n", true},
		} {
			s.sops++
			patient := "MRN-" + strconv.Itoa(s.sops)
			x := s.deposit(patient)
			if r := s.table("patient_id,date,grants,withdrawal\n" + fmt.Sprintf(c.rows, patient)); r.Recorded != 2 || r.Refused != 0 {
				s.Errorf("%s: %+v", name, r)
			}
			if got := s.get(x.ID); got.IsWithdrawn() != c.out || (s.inSight(x.ID) == 0) != c.out {
				s.Errorf("%s: withdrawn %v, %d in sight", name, got.IsWithdrawn(), s.inSight(x.ID))
			}
		}
	})
}

// What was acknowledged before a withdrawal and is catalogued after it comes into no sight: many deposits of one person race with the withdrawal.
func TestWithdrawalDuringDeposits(t *testing.T) {
	each(t, func(s *story) {
		x := s.deposit("MRN-0001")
		var kept int
		var wg sync.WaitGroup
		begun := make(chan struct{})
		wg.Go(func() {
			for i := range 200 {
				if i == 20 {
					close(begun)
				}
				r, err := s.receive("MRN-0001")
				if err != nil {
					return
				}
				if r.Outcome == custody.Kept {
					kept++
				}
			}
		})
		<-begun
		s.record(flow.Whom{Patient: "MRN-0001"}, flow.Said{Withdrawal: judge.FromUse})
		wg.Wait()
		if err := s.n.Custody.Barrier(s.Context()); err != nil {
			s.Fatal(err)
		}
		if kept < 20 || kept == 200 || s.inSight(x.ID) != 0 {
			s.Errorf("%d were acknowledged, %d of them are in sight", kept, s.inSight(x.ID))
		}
		s.refused("MRN-0001", "afterwards")
	})
}

// When the hold is over the key goes, and clinical facts go; asked for twice, nothing happens twice. The certificate says what is so at its moment, and proves itself.
func TestErasure(t *testing.T) {
	each(t, func(s *story) {
		x, other := s.deposit("MRN-0001"), s.deposit("MRN-0002")
		facts, err := s.n.Stores.Clinical(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		if r, err := facts.Import(s.Context(), steward, collection.Default, strings.NewReader("patient_id,sex\nMRN-0001,F\nMRN-0002,M\n"), clinicalflow.Options{}); err != nil || r.Changed != 2 {
			s.Fatalf("%+v, %v", r, err)
		}
		o := s.record(flow.Whom{Patient: "MRN-0001"}, flow.Said{Withdrawal: judge.FromUse})
		number, err := strconv.ParseInt(o.Withdrawal, 10, 64)
		if err != nil {
			s.Fatal(err)
		}
		erase := s.d.Handlers()["erase a subject"]
		there := func() bool {
			s.Helper()
			m, err := s.d.Ring.Marked(s.Context(), keys.ID(x.Key))
			if err != nil {
				s.Fatal(err)
			}
			return m.Destroyed.IsZero()
		}
		certify := func() (*flow.Certificate, *flow.Signed) {
			s.Helper()
			c, signed, err := s.d.Certify(s.Context(), steward, collection.Default, number)
			if err != nil {
				s.Fatal(err)
			}
			return c, signed
		}
		s.now = s.now.Add(flow.Hold - time.Hour)
		if err := erase(s.Context(), o.Withdrawal, nil); err != nil || !there() {
			s.Errorf("the key is gone before the hold is over: %v", err)
		}
		if c, _ := certify(); !c.Key || c.Erased != nil || c.Pseudonym != string(x.Pseudonym) || c.Instances != 1 {
			s.Errorf("%+v", c)
		}
		s.now = s.now.Add(2 * time.Hour)
		for range 2 {
			if err := erase(s.Context(), o.Withdrawal, nil); err != nil || there() {
				s.Errorf("the key is there after the hold: %v", err)
			}
		}
		if _, _, err := facts.Clinical.Get(s.Context(), x.ID); !fault.Is(err, fault.NotFound) {
			s.Errorf("clinical facts are there: %v", err)
		}
		if _, _, err := facts.Clinical.Get(s.Context(), other.ID); err != nil {
			s.Errorf("another's clinical facts: %v", err)
		}
		entries, err := s.d.Audit.Entries(s.Context(), audit.Filter{Collection: "default", Objects: []string{fmt.Sprintf("subject %d", int64(x.ID))}, Limit: 100})
		erased := 0
		for _, e := range entries {
			if e.Action == "erase a subject" {
				erased++
			}
		}
		if err != nil || erased != 1 {
			s.Errorf("the log has %d erasures, %v", erased, err)
		}
		if err := s.d.EraseNow(s.Context(), steward, collection.Default, number); err != nil {
			s.Errorf("asked for when it is done: %v", err)
		}
		c, signed := certify()
		if c.Key || c.Erased == nil {
			s.Errorf("%+v", c)
		}
		if err := audit.CheckAttested(flow.CertificateFormat, []byte(signed.Document), signed.Signature, signed.PublicKey); err != nil {
			s.Error(err)
		}
		for i := 0; i < len(signed.Document); i += 7 {
			b := []byte(signed.Document)
			b[i] ^= 1
			if audit.CheckAttested(flow.CertificateFormat, b, signed.Signature, signed.PublicKey) == nil {
				s.Fatalf("byte %d is changed, and it is believed", i)
			}
		}
		if audit.CheckAttested("vitrine-statement 1", []byte(signed.Document), signed.Signature, signed.PublicKey) == nil {
			s.Error("it is believed to be another document")
		}
	})
}

// Before the hold is over, those who may have it done at once; and of another collection's nobody.
func TestEraseNow(t *testing.T) {
	each(t, func(s *story) {
		x := s.deposit("MRN-0001")
		o := s.record(flow.Whom{Patient: "MRN-0001"}, flow.Said{Withdrawal: judge.FromUse})
		number, _ := strconv.ParseInt(o.Withdrawal, 10, 64)
		for _, r := range []policy.Role{policy.Anonymous, policy.Researcher, policy.Depositor, policy.Custodian, policy.Admin} {
			if err := s.d.EraseNow(s.Context(), as(r), collection.Default, number); !fault.Is(err, fault.Denied) {
				s.Errorf("%v: %v", r, err)
			}
		}
		if err := s.d.EraseNow(s.Context(), steward, collection.Default, number+1); !fault.Is(err, fault.NotFound) {
			s.Errorf("another withdrawal: %v", err)
		}
		if err := s.d.EraseNow(s.Context(), steward, collection.Default, number); err != nil {
			s.Fatal(err)
		}
		if m, err := s.d.Ring.Marked(s.Context(), keys.ID(x.Key)); err != nil || m.Destroyed.IsZero() {
			s.Errorf("%+v, %v", m, err)
		}
	})
}

// A crash between the transaction and what follows it loses nothing: the job suspends the key, and a job for the erasure never lies so far ahead that a runner takes it for another clock's.
func TestJobsDoWhatACrashLeaves(t *testing.T) {
	each(t, func(s *story) {
		s.deposit("MRN-0001")
		o := s.record(flow.Whom{Patient: "MRN-0001"}, flow.Said{Withdrawal: judge.FromUse})
		var due int64
		if err := s.d.DB.QueryRow(s.Context(), `SELECT due FROM job WHERE kind = 'erase a subject' AND key = ?`, o.Withdrawal).Scan(&due); err != nil {
			s.Fatal(err)
		}
		if ahead := db.Time(due).Sub(s.now); ahead > 8*24*time.Hour || ahead < 6*24*time.Hour {
			s.Errorf("it is looked at again in %v", ahead)
		}
		x := s.deposit("MRN-0002")
		var id int64
		err := s.d.DB.Write(s.Context(), func(tx *db.Tx) (err error) {
			id, err = s.d.Consent.AddWithdrawal(tx, record.Withdrawal{Collection: collection.Default, Subject: x.ID, Scope: judge.FromUse, Actor: "token-steward", Created: s.now, EraseAfter: s.now.Add(flow.Hold)})
			return err
		})
		if err != nil {
			s.Fatal(err)
		}
		for range 2 {
			if err := s.d.Handlers()["suspend a subject's key"](s.Context(), strconv.FormatInt(id, 10), nil); err != nil {
				s.Error(err)
			}
		}
		if m, err := s.d.Ring.Marked(s.Context(), keys.ID(x.Key)); err != nil || m.Suspended.IsZero() {
			s.Errorf("%+v, %v", m, err)
		}
	})
}

// Nothing that identifies anybody is kept, logged, answered, or in an error.
func TestNothingIdentifiableIsKept(t *testing.T) {
	each(t, func(s *story) {
		const planted = "MRN-55190344"
		var answers bytes.Buffer
		note := func(v any, err error) {
			b, _ := json.Marshal(v)
			fmt.Fprintf(&answers, "%s %v\n", b, err)
		}
		note(s.d.Record(s.Context(), steward, collection.Default, flow.Whom{Patient: planted, Issuer: "Wexcombe General"}, flow.Said{Grants: []judge.Use{judge.Research}}))
		note(s.d.Import(s.Context(), steward, collection.Default, strings.NewReader("patient_id,date,grants,withdrawal\n"+planted+",2026-03-01,research,\n"+planted+",soon,,\n"+planted+",2026-03-01,"+planted+",\n"+planted+",2026-03-02,,use\n")))
		note(s.d.Import(s.Context(), steward, collection.Default, strings.NewReader("patient_id,date,"+planted+"\n"+planted+",2026-03-01,yes\n")))
		fhir := func(b []byte) {
			o, c, err := s.d.RecordFHIR(s.Context(), steward, collection.Default, b)
			note(o, err)
			note(c, nil)
		}
		fhir(resource(planted, "2026-03-01", "active", `,"provision":{"provision":[{"type":"permit","code":[{"coding":[{"system":"urn:vitrine:consent-use","code":"`+planted+`"}]}]}]}`))
		fhir(resource(planted, "2026-03-01", "rejected", ""))
		note(s.d.Person(s.Context(), steward, collection.Default, flow.Whom{Patient: planted}))
		note(s.d.Person(s.Context(), steward, collection.Default, flow.Whom{Pseudonym: planted}))
		note(s.d.OptOuts(s.Context(), steward, collection.Default, time.Time{}, "", func(yield func(string) bool) { yield(planted) }, func() error { return nil }))
		note(s.d.Summary(s.Context(), steward, collection.Default))
		note(flow.Whom{Patient: planted}.String(), nil)
		fmt.Fprintf(&answers, "%v %+v %#v", flow.Whom{Patient: planted}, flow.Whom{Patient: planted}, flow.Whom{Patient: planted})
		var tables bytes.Buffer
		if _, err := s.d.DB.WriteTables(s.Context(), &tables, db.Export{}); err != nil {
			s.Fatal(err)
		}
		if n, _ := s.d.Consent.Of(s.Context(), collection.Default, subject.Link{}); len(n) != 0 || !bytes.Contains(tables.Bytes(), []byte("consent_event")) {
			s.Fatal("the tables were not read")
		}
		for where, text := range map[string]string{"the tables": tables.String(), "the log": s.log.String(), "the answers": answers.String()} {
			for _, secret := range []string{"55190344", "Wexcombe"} {
				if strings.Contains(text, secret) {
					s.Errorf("%s hold the identifier", where)
				}
			}
		}
	})
}

func TestTablesThatAreRefused(t *testing.T) {
	each(t, func(s *story) {
		const good = "patient_id,date,grants\n"
		wide := strings.Repeat("a,", 1_000_000)
		for name, text := range map[string]string{"nothing": "", "binary": "\x00\x01\xff\xfe\x00", "an archive": "PK\x03\x04\x14\x00\x00", "a million columns": wide + "\n", "no person": "date,grants\n2026-03-01,research\n",
			"both ways of naming": "subject,patient_id,date\n", "a heading twice": "patient_id,date,Date\n", "an unknown heading": "patient_id,date,remark\n", "a formula": "patient_id,date,=cmd|'/C calc'!A1\n"} {
			if r, err := s.d.Import(s.Context(), steward, collection.Default, strings.NewReader(text)); !fault.Is(err, fault.Invalid) {
				s.Errorf("%s: %+v, %v", name, r, err)
			}
		}
		if _, err := s.d.Import(s.Context(), steward, collection.Default, io.MultiReader(strings.NewReader(good), &endless{})); !fault.Is(err, fault.TooLarge) {
			s.Errorf("a table without end: %v", err)
		}
		// A connection that breaks ends the import; what came before is recorded.
		r, err := s.d.Import(s.Context(), steward, collection.Default, io.MultiReader(strings.NewReader(good+"MRN-0001,2026-03-01,research\n"), broken{}))
		if !fault.Is(err, fault.Unavailable) || r.Recorded != 1 {
			s.Errorf("%+v, %v", r, err)
		}
		for name, row := range map[string]string{"no date": "MRN-0002,,research", "a date that is none": "MRN-0002,31/03/2026,research", "later than now": "MRN-0002,2999-01-01,research", "before 1900": "MRN-0002,1066-10-14,research",
			"a use that is none": "MRN-0002,2026-03-01,everything", "nothing said": "MRN-0002,2026-03-01,", "nobody": ",2026-03-01,research", "too many cells": "MRN-0002,2026-03-01,research,x", "a long cell": "MRN-0002,2026-03-01," + strings.Repeat("x", 3000),
			"not in UTF-8": "MRN-\xff,2026-03-01,research", "a quote astray": "MRN-0002,2026-03-01,rese\"arch", "an identifier of nobody": "unknown,2026-03-01,research"} {
			if r := s.table(good + row + "\n"); r.Rows != 1 || r.Refused != 1 || r.Recorded != 0 || len(r.Problems) != 1 || r.Problems[0].Row != 2 || strings.Contains(r.Problems[0].Text, "MRN") {
				s.Errorf("%s: %+v", name, r)
			}
		}
		// What spreadsheets do: a byte order mark, headings in capitals, blank rows, other line ends, cells that begin as formulas.
		r = s.table("\ufeffPatient_ID,Date,Grants,\r\n\r\n=MRN-0003,20260301,research; sharing,\r\n,,,\r\n")
		if r.Rows != 1 || r.Recorded != 1 || r.Refused != 0 || r.Without != 1 {
			s.Errorf("%+v", r)
		}
		// Two rows of one person of whom there is nothing, both of which withdraw: one subject.
		r = s.table("patient_id,date,withdrawal\nMRN-0004,2026-03-01,use\nMRN-0004,2026-03-02,use\nMRN-0004,2026-03-02,use\n")
		if r.Recorded != 2 || r.Known != 1 || r.Withdrawn != 1 || r.Without != 0 {
			s.Errorf("%+v", r)
		}
		// A form's clauses are columns.
		if _, err := s.d.AddForm(s.Context(), steward, collection.Default, record.Form{Name: "main", Version: "1.0", Title: "Consent", Clauses: []record.Clause{{ID: "Companies", Text: "Companies may.", Grants: []judge.Use{judge.Commercial}},
			{ID: "all", Text: "I agree.", Grants: []judge.Use{judge.Research}, Always: true}}}); err != nil {
			s.Fatal(err)
		}
		r = s.table("patient_id,date,form,version,Companies\nMRN-0005,2026-03-01,main,1.0,no\nMRN-0006,2026-03-01,main,1.0,perhaps\nMRN-0006,2026-03-01,main,2.0,yes\nMRN-0006,2026-03-01,,,yes\n")
		if r.Recorded != 1 || r.Refused != 3 || r.Problems[0].Column != "Companies" {
			s.Errorf("%+v", r)
		}
		p, err := s.d.Person(s.Context(), steward, collection.Default, flow.Whom{Patient: "MRN-0005"})
		if err != nil || len(p.Events) != 1 || len(p.Events[0].Denies) != 1 || p.Events[0].Denies[0] != judge.Commercial || p.Events[0].Way != record.Table {
			s.Errorf("%+v, %v", p, err)
		}
	})
}

type endless struct{}

func (*endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '\n'
	}
	return len(b), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the line is down") }

func TestWhoMayRecord(t *testing.T) {
	each(t, func(s *story) {
		s.deposit("MRN-0001")
		for _, c := range []struct {
			role          policy.Role
			records, sees bool
		}{{policy.Anonymous, false, false}, {policy.Researcher, false, false}, {policy.Depositor, true, false}, {policy.Custodian, false, true}, {policy.Steward, true, true}, {policy.Admin, false, false}} {
			who := as(c.role)
			check := func(what string, may bool, err error) {
				s.Helper()
				if (err == nil) != may || err != nil && !fault.Is(err, fault.Denied) {
					s.Errorf("%v, %s: %v", c.role, what, err)
				}
			}
			_, err := s.d.Record(s.Context(), who, collection.Default, flow.Whom{Patient: "MRN-0001"}, flow.Said{Grants: []judge.Use{judge.Research}})
			check("record", c.records, err)
			_, err = s.d.Record(s.Context(), who, collection.Default, flow.Whom{Patient: "MRN-9" + c.role.String()}, flow.Said{Withdrawal: judge.FromUse})
			check("withdraw", c.records, err)
			_, err = s.d.Import(s.Context(), who, collection.Default, strings.NewReader("patient_id,date,grants\nMRN-0001,2026-03-01,research\n"))
			check("import", c.records, err)
			_, _, err = s.d.RecordFHIR(s.Context(), who, collection.Default, resource("MRN-0001", "2026-03-01", "rejected", ""))
			check("FHIR", c.records, err)
			_, err = s.d.Bases(s.Context(), who, collection.Default)
			check("bases", c.sees, err)
			_, err = s.d.Withdrawals(s.Context(), who, collection.Default)
			check("withdrawals", c.sees, err)
		}
	})
}
