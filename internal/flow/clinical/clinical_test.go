package clinical_test

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	flow "github.com/vitrine-imaging/vitrine/internal/flow/clinical"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

var steward = admin.Caller{Actor: "token-steward", Grants: []policy.Grant{{Role: policy.Steward, Collection: policy.AllCollections}}}

// each runs the test with the stores of a fresh node on either database.
func each(t *testing.T, test func(t *testing.T, n *node.Node, d *flow.Desk)) {
	dbtest.EachURL(t, func(t *testing.T, address string) {
		cfg := node.Config{Data: t.TempDir(), Demo: true}
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
		d, err := n.Stores.Clinical(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		test(t, n, d)
	})
}

// deposit gives one image of a patient to the default collection, and tells whose it has become.
func deposit(t *testing.T, n *node.Node, patient, name, date string) subject.Subject {
	t.Helper()
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
	b.String(dicom.TagSOPInstanceUID, "1.2.3.4.5.1."+date)
	b.String(dicom.TagStudyDate, date)
	b.String(dicom.TagModality, "CT")
	b.String(dicom.TagPatientName, name)
	b.String(dicom.TagPatientID, patient)
	b.String(dicom.TagPatientBirthDate, "19570322")
	b.String(dicom.TagStudyInstanceUID, "1.2.3.4.5.2."+date)
	b.String(dicom.TagSeriesInstanceUID, "1.2.3.4.5.3."+date)
	ds, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	dep, err := n.Custody.Begin(t.Context(), collection.Default, custody.DoorSTOW, "token-steward")
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := dep.Receive(t.Context(), custody.Incoming{Syntax: dicom.ExplicitVRLittleEndian, SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID: "1.2.3.4.5.1." + date,
		Data: custody.FromReader(bytes.NewReader(ds.Bytes()))})
	if err != nil || receipt.Outcome != custody.Kept {
		t.Fatalf("%+v, %v", receipt, err)
	}
	dep.End()
	if err := n.Custody.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	var id subject.ID
	if err := n.Stores.DB.QueryRow(t.Context(), `SELECT subject FROM study WHERE collection = 'default' ORDER BY id DESC LIMIT 1`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	s, err := n.Stores.Subjects.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRowsJoinTheImages(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, d *flow.Desk) {
		s := deposit(t, n, "RX-00417", "Obermayer^Anneliese", "20190312")
		table := "patient_id,sex,birth_date,diagnosis,stage,diagnosis_date,visit,visit_date,notes\n" +
			"rx 00417,F,1957-03-22,C50.4;8500/3,IIA,2019-03-05,baseline,2019-03-12,telephone 020 7946 0958\n" +
			"RX-00999,M,1950,C61,,,,2020-01-01,\n"
		r, err := d.Import(t.Context(), steward, collection.Default, strings.NewReader(table), flow.Options{})
		if err != nil || r.Rows != 2 || r.Refused != 0 || r.Subjects != 2 || r.Changed != 2 || r.New != 1 || r.Dates != flow.DatesShifted || len(r.Dropped) != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		f, _, err := d.Clinical.Get(t.Context(), s.ID)
		if err != nil || f.Sex != "female" || *f.Age != 61 || f.Stage != "2" || len(f.Diagnoses) != 2 {
			t.Fatalf("%+v, %v", f, err)
		}
		// The visit lies on the same day as the image, which was shifted by custody.
		q := catalogue.NewQuery(catalogue.Studies)
		q.Collection, q.Scopes = "default", []policy.Scope{{Collection: "default", States: policy.States()}}
		found, _, err := n.Stores.Catalogue.SearchStudies(t.Context(), q)
		if err != nil || len(found) != 1 || strings.ReplaceAll(f.Visits[0].Date, "-", "") != found[0].StudyDate {
			t.Errorf("the visit is on another day than the image: %+v, %+v, %v", f.Visits, found, err)
		}
		if f.Visits[0].Date == "2019-03-12" || f.Diagnosed == "2019-03-05" || f.AgeAt != f.Diagnosed {
			t.Errorf("dates are not shifted: %+v", f)
		}
		// Nothing of it is left in clear.
		var all []string
		for _, q := range []string{`SELECT facts FROM clinical`, `SELECT object FROM audit`, `SELECT pseudonym FROM subject`} {
			rows, err := d.DB.Query(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				var text string
				if err := rows.Scan(&text); err != nil {
					t.Fatal(err)
				}
				all = append(all, text)
			}
			rows.Close()
		}
		said, _ := json.Marshal(r)
		// Numbers of rows are drawn from the clock: by chance they have any four digits in them.
		text := regexp.MustCompile(`\d{12,}`).ReplaceAllString(strings.ToLower(strings.Join(all, "\n")+string(said)), "")
		for _, secret := range []string{"00417", "00999", "obermayer", "7946", "2019-03", "1957", "1950"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is kept or told", secret)
			}
		}
		// Again, and by pseudonym: nothing new.
		again, err := d.Import(t.Context(), steward, collection.Default, strings.NewReader(table), flow.Options{})
		if err != nil || again.Changed != 0 || again.New != 0 || again.Subjects != 2 {
			t.Errorf("%+v, %v", again, err)
		}
		r, err = d.Import(t.Context(), steward, collection.Default, strings.NewReader("subject,sex\n"+string(s.Pseudonym)+",F\nQQQQ-QQQQ-QQQQ,M\n"), flow.Options{})
		if err != nil || r.Changed != 0 || r.Subjects != 1 || r.Refused != 1 || r.Problems[0].Row != 3 {
			t.Errorf("%+v, %v", r, err)
		}
		// The images of the one who came with the table alone are of the same subject.
		late := deposit(t, n, "RX-00999", "Holloway^Peter", "20200101")
		if f, _, err := d.Clinical.Get(t.Context(), late.ID); err != nil || f.Sex != "male" || *f.Age != 70 {
			t.Errorf("%+v, %v", f, err)
		}
	})
}

// A patient whose identifier looks like a code of a disease: the code of that patient's row is an identifier.
func TestTheGateSearchesRows(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, d *flow.Desk) {
		deposit(t, n, "254837009", "Obermayer^Anneliese", "20190312") // known by its images
		table := "patient_id,snomed\n254837009,254837009\n8500333,254837009\n363418001,363418001\n"
		for range 2 { // the last is new the first time, and known the second
			r, err := d.Import(t.Context(), steward, collection.Default, strings.NewReader(table), flow.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Refused != 2 || r.Subjects != 1 || r.Problems[0].Row != 2 || r.Problems[1].Row != 4 || r.Problems[0].Code != "identifier" || r.Problems[0].Column != "diagnosis" {
				t.Errorf("%+v", r)
			}
		}
	})
}

func TestWhoMayImport(t *testing.T) {
	each(t, func(t *testing.T, _ *node.Node, d *flow.Desk) {
		table := "subject,sex\nA,F\n"
		for _, c := range []struct {
			role policy.Role
			may  bool
		}{{policy.Anonymous, false}, {policy.Researcher, false}, {policy.Custodian, false}, {policy.Admin, false}, {policy.Depositor, true}, {policy.Steward, true}, {policy.Operator, true}} {
			who := admin.Caller{Actor: "token-" + c.role.String(), Grants: []policy.Grant{{Role: c.role, Collection: "default"}}}
			_, err := d.Import(t.Context(), who, collection.Default, strings.NewReader(table), flow.Options{})
			if (err == nil) != c.may || err != nil && !fault.Is(err, fault.Denied) {
				t.Errorf("%v: %v", c.role, err)
			}
		}
		entries, err := d.Audit.Entries(t.Context(), audit.Filter{Collection: "default"})
		if err != nil {
			t.Fatal(err)
		}
		done, denied := 0, 0
		for _, e := range entries {
			if e.Action == policy.ImportClinical.String() {
				switch e.Outcome {
				case "done":
					done++
				case "denied":
					denied++
				}
			}
		}
		if done != 3 || denied != 4 {
			t.Errorf("%d done, %d denied in the audit log", done, denied)
		}
		_, err = d.Import(t.Context(), steward, "jane-doe-19570322", strings.NewReader(table), flow.Options{})
		if !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func TestProfilesDecideOnDates(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, d *flow.Desk) {
		for profile, dates := range map[string]string{"research": flow.DatesShifted, "basic": flow.DatesDropped, "public": flow.DatesShifted, "as-deposited": flow.DatesKept} {
			id := collection.ID("c-" + profile)
			c := collection.Collection{ID: id, Profile: profile, ProfileVersion: "1"}
			if profile == "as-deposited" {
				c.AttestedBy = "test"
			}
			if err := d.DB.Write(t.Context(), func(tx *db.Tx) error { return d.Collections.Create(tx, c) }); err != nil {
				t.Fatal(err)
			}
			r, err := d.Import(t.Context(), steward, id, strings.NewReader("patient_id,age,visit,visit_date\nP1,63,baseline,2019-03-12\n"), flow.Options{})
			if err != nil || r.Dates != dates || r.Changed != 1 {
				t.Fatalf("%s: %+v, %v", profile, r, err)
			}
			var text string
			if err := d.DB.QueryRow(t.Context(), `SELECT facts FROM clinical WHERE collection = ?`, string(id)).Scan(&text); err != nil {
				t.Fatal(err)
			}
			if kept := strings.Contains(text, "2019-03-12"); kept != (dates == flow.DatesKept) {
				t.Errorf("%s: %s", profile, text)
			}
			if strings.Contains(text, `"date"`) == (dates == flow.DatesDropped) || strings.Contains(text, `"age":60`) != (profile == "public") {
				t.Errorf("%s: %s", profile, text)
			}
		}
	})
}
