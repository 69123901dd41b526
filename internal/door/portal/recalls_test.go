package portal_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/recall"
	"github.com/vitrine-imaging/vitrine/internal/record/release"
	"github.com/vitrine-imaging/vitrine/internal/record/release/describe"
)

// A recall in the portal: its recipient sees what to do and attests, the custodian sees that and permits nothing in their place, nobody else learns that it is there.
func TestRecallsInThePortal(t *testing.T) {
	n, base, _ := start(t, "")
	ctx := t.Context()
	north := watched(person(t, n, base, "north"))
	other := watched(person(t, n, base, "other"))
	custodian := watched(person(t, n, base, "custodian", policy.Grant{Role: policy.Custodian, Collection: "default"}))
	accounts, err := n.Stores.Identity.Accounts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b := recall.Batch{Collection: "default", Code: recall.Withdrawal, Told: time.Now(), Due: time.Now().Add(time.Hour)}
	for _, a := range accounts {
		if a.Name == "north" {
			b.Account = a.ID
		}
	}
	f, err := n.Releases.Releases.Freeze()
	if err == nil {
		err = f.Add(ctx, release.Entry{Subject: 7, Instance: 1, Entry: describe.Entry{DRS: strings.Repeat("ab", 16), Subject: "P7", Study: "1.2", Series: "1.3", Instance: "1.4", SOPClass: "1.2.840.10008.5.1.4.1.1.2", TransferSyntax: "1.2.840.10008.1.2.1",
			Modality: "CT", Format: "application/dicom", Path: "p/1.dcm", Size: 10, SHA256: strings.Repeat("ab", 32)}})
	}
	if err == nil {
		err = f.Flush(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	x := release.Release{Dataset: "density", Version: "1.0.0", Collection: "default", Facts: []byte("{}")}
	err = n.Stores.DB.Write(ctx, func(tx *db.Tx) error {
		if err := f.End(tx, &x); err != nil {
			return err
		}
		i := recall.Item{Release: x.ID, Subject: 7, Account: b.Account, Collection: "default", Code: recall.Withdrawal, Since: time.Now()}
		if _, err := n.Recalls.Recalls.AddItem(tx, i); err != nil {
			return err
		}
		return n.Recalls.Recalls.Gather(tx, &b, []recall.Item{i})
	})
	if err != nil {
		t.Fatal(err)
	}
	at := "/recalls/" + b.ID.String()
	if code, body, _ := north.do("GET", at, nil); code != 200 || !strings.Contains(body, "vitrine get density@1.0.0 --to FOLDER --delete-withdrawn") || !strings.Contains(body, "I have read this") || strings.Contains(body, "Ask for no answer") {
		t.Errorf("%d %s", code, body)
	}
	if code, body, _ := north.do("GET", at+"/objects", nil); code != 200 || !strings.HasPrefix(body, strings.Repeat("ab", 16)+" ") {
		t.Errorf("%d %s", code, body)
	}
	for _, path := range []string{at, at + "/objects", at + "/attestation"} {
		if code, _, _ := other.do("GET", path, nil); code != 404 {
			t.Errorf("%s: %d to somebody else", path, code)
		}
	}
	if code, body, _ := custodian.do("GET", at, nil); code != 200 || strings.Contains(body, `value="attest"`) || !strings.Contains(body, "Ask for no answer") {
		t.Errorf("%d %s", code, body)
	}
	if code, _, _ := custodian.do("POST", at, url.Values{"do": {"attest"}, "answer": {"deleted"}, "agree": {"yes"}}); code != 422 {
		t.Errorf("a custodian attests: %d", code)
	}
	if code, body, _ := north.do("POST", at, url.Values{"do": {"attest"}, "answer": {"not-feasible"}, "agree": {"yes"}}); code != 422 || !strings.Contains(strings.ToLower(body), "say why it is not feasible") {
		t.Errorf("%d %s", code, body)
	}
	if code, body, _ := north.do("POST", at, url.Values{"do": {"attest"}, "answer": {"deleted"}, "agree": {"yes"}, "model1": {"<b>net"}, "model-answer1": {"excluded"}}); code != 200 || !strings.Contains(body, "attested") || !strings.Contains(body, "&lt;b&gt;net") {
		t.Errorf("%d %s", code, body)
	}
	for _, v := range []*visitor{north, custodian} {
		if code, body, _ := v.do("GET", at+"/attestation", nil); code != 200 || !strings.Contains(body, "vitrine-recall-attestation 1") {
			t.Errorf("%d %s", code, body)
		}
		if code, body, _ := v.do("GET", "/recalls", nil); code != 200 || !strings.Contains(body, at) {
			t.Errorf("%d %s", code, body)
		}
	}
}
