package clinical_test

import (
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	flow "github.com/vitrine-imaging/vitrine/internal/flow/clinical"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

func as(role policy.Role, in string) admin.Caller {
	return admin.Caller{Actor: "token-" + role.String(), Grants: []policy.Grant{{Role: role, Collection: in}}}
}

// Clinical facts are for who may see images of the subject: a researcher when something of the subject is released, a steward before; nobody else, nobody by a pattern, and nobody
// once the subject has withdrawn. Each reading is in the log.
func TestWhoSeesClinicalFacts(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, d *flow.Desk) {
		s := deposit(t, n, "RX-00417", "Obermayer^Anneliese", "20190312")
		if _, err := d.Import(t.Context(), steward, collection.Default, strings.NewReader("patient_id,sex,diagnosis\nRX-00417,F,C50.4\nRX-00999,M,C61\n"), flow.Options{}); err != nil {
			t.Fatal(err)
		}
		patient := string(s.Pseudonym)
		see := func(who admin.Caller, patient string) error {
			f, err := d.Of(t.Context(), who, collection.Default, patient)
			if err == nil && (f.Sex != "female" || len(f.Diagnoses) != 1) {
				t.Errorf("%s sees %+v", who.Actor, f)
			}
			return err
		}
		hidden := func(who admin.Caller, patient string) {
			t.Helper()
			if err := see(who, patient); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s, %q: %v", who.Actor, patient, err)
			}
		}
		researcher := as(policy.Researcher, "default")
		hidden(researcher, patient) // nothing is released
		if err := see(steward, patient); err != nil {
			t.Error(err)
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.After(30 * time.Second); ; {
			p, err := n.Stores.Desk().Publish(t.Context(), steward, collection.Default, "")
			if err == nil && p.Instances > 0 {
				break
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("not admitted within 30 seconds: %v", err)
			}
		}
		if err := see(researcher, patient); err != nil {
			t.Error(err)
		}
		for _, role := range policy.Roles() {
			if role != policy.Researcher && role != policy.Steward {
				hidden(as(role, "default"), patient)
			}
			hidden(as(role, "other"), patient)
		}
		for _, pattern := range []string{"*", patient[:4] + "*", patient + `\*`, `""`, "", "nobody"} {
			hidden(researcher, pattern)
		}
		entries, err := n.Stores.Audit.Entries(t.Context(), audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		told := map[string]bool{}
		for _, e := range entries {
			if e.Action == policy.SeeClinical.String() {
				told[e.Actor] = true
			}
		}
		if !told[researcher.Actor] || !told[steward.Actor] || len(told) != 2 {
			t.Errorf("the log has readings of %v", told)
		}
		err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error { _, err := n.Stores.Subjects.Withdraw(tx, s.ID); return err })
		if err != nil {
			t.Fatal(err)
		}
		hidden(researcher, patient)
		hidden(steward, patient)
	})
}
