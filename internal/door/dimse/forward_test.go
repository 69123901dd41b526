package dimse_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/forwarding"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

func (x *rig) forward(aet string, stage policy.State) forwarding.Key {
	x.Helper()
	k := forwarding.Key{Peer: collection.AETitle(aet), Collection: kept}
	if _, err := x.n.Stores.Desk().Forward(x.Context(), admin.Operator("test"), k, stage); err != nil {
		x.Fatal(err)
	}
	return k
}

func (x *rig) rule(k forwarding.Key) forwarding.Rule {
	x.Helper()
	r, err := x.n.Stores.Forwarding.Rule(x.Context(), k)
	if err != nil {
		x.Fatal(err)
	}
	return r
}

// A copy of what is released goes to the other archive, what was there before the rule and what comes after it; what is admitted goes by a rule that says so; nothing goes
// twice, and nothing of another collection.
func TestForward(t *testing.T) {
	each(t, func(x *rig) {
		all := []string{explicitLE, implicitLE, jpegBaseline}
		released, admitted := receive(x, all, nil), receive(x, all, nil)
		x.peer("ARCHIVE", released.port, identity.MayStore, "*")
		x.peer("EARLY", admitted.port, identity.MayStore, kept)
		le := dicom.ExplicitVRLittleEndian
		x.deposit("KEPT", image(x, le, "A", "1.2.1", "1.2.1.1", "1.2.1.1.1"), compressed(x, "A", "1.2.1", "1.2.1.1", "1.2.1.1.2"))
		x.deposit("OTHER", image(x, le, "A", "1.3.1", "1.3.1.1", "1.3.1.1.1"))
		x.publish("other")
		k := x.forward("ARCHIVE", policy.Released)
		x.until("looked at", func() bool { return !x.rule(k).Tried.IsZero() })
		if released.uids() != "" {
			x.Errorf("what is not released was sent: %s", released.uids())
		}
		x.publish(kept)
		x.until("sent", func() bool { r := x.rule(k); return r.Sent == 2 && r.Waiting == 0 })
		if released.uids() != "1.2.1.1.1 1.2.1.1.2" || released.of("1.2.1.1.2").as != jpegBaseline || released.of("1.2.1.1.1").from != "KEPT" {
			x.Errorf("sent: %s %v", released.uids(), released.of("1.2.1.1.2").as)
		}
		e := x.forward("EARLY", policy.Admitted)
		x.until("sent what was there", func() bool { return x.rule(e).Sent == 2 })
		x.deposit("KEPT", image(x, le, "A", "1.2.1", "1.2.1.2", "1.2.1.2.1"), image(x, le, "B", "1.2.2", "1.2.2.1", "1.2.2.1.1"))
		x.until("sent what is admitted", func() bool { r := x.rule(e); return r.Sent == 4 && r.Waiting == 0 && r.Failures == 0 })
		if got := released.uids(); got != "1.2.1.1.1 1.2.1.1.2" {
			x.Errorf("what is admitted was sent where what is released goes: %s", got)
		}
		x.publish(kept)
		x.until("sent what is released", func() bool { return x.rule(k).Sent == 4 })
		// What is taken out of sight after it was sent is listed, until somebody says that the archive was told.
		gone := func() (s string) {
			x.Helper()
			all, err := x.n.Stores.Desk().Gone(x.Context(), admin.Operator("test"))
			if err != nil {
				x.Fatal(err)
			}
			for _, g := range all {
				s += fmt.Sprintln(g.Peer, g.Collection, g.Study, g.Instances)
			}
			return s
		}
		if s := gone(); s != "" {
			x.Errorf("in sight: %s", s)
		}
		x.write(func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE instance SET state = ? WHERE uid IN ('1.2.1.1.2', '1.2.2.1.1')`, int64(policy.Held))
			return err
		})
		if s := gone(); s != "ARCHIVE kept 1.2.1 [1.2.1.1.2]\nARCHIVE kept 1.2.2 [1.2.2.1.1]\nEARLY kept 1.2.1 [1.2.1.1.2]\nEARLY kept 1.2.2 [1.2.2.1.1]\n" {
			x.Errorf("out of sight: %q", s)
		}
		noted, err := x.n.Stores.Desk().ToldPeer(x.Context(), admin.Operator("test"), k)
		if err != nil || len(noted) != 2 || noted[0].Study != "1.2.1" || len(noted[0].Instances) != 1 || noted[1].Instances[0] != "1.2.2.1.1" {
			x.Fatalf("noted %v, %v", noted, err)
		}
		if s := gone(); s != "EARLY kept 1.2.1 [1.2.1.1.2]\nEARLY kept 1.2.2 [1.2.2.1.1]\n" {
			x.Errorf("told one: %q", s)
		}
		// What comes to be out of sight afterwards, nobody has been told of.
		x.write(func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE instance SET state = ? WHERE uid = '1.2.1.1.1'`, int64(policy.Held))
			return err
		})
		if s := gone(); !strings.Contains(s, "ARCHIVE kept 1.2.1 [1.2.1.1.1]") {
			x.Errorf("withdrawn since: %q", s)
		}
		x.until("settled", func() bool { return x.rule(e).Waiting == 0 && x.rule(k).Waiting == 0 })
		if r := x.rule(e); r.Sent != 4 {
			x.Errorf("sent twice: %+v", r)
		}
	})
}

// An archive that does not answer, or does not take something, is tried until it has everything.
func TestForwardUntilDelivered(t *testing.T) {
	x := start(t, "", func(c *node.Config) { c.ForwardPause = 10 * time.Millisecond })
	x.peer("SHUT", 1, identity.MayStore, "*")
	refuse := map[string]uint16{"1.2.1.1.1": network.StatusOutOfResources}
	there := receive(t, []string{explicitLE}, refuse)
	x.peer("FULL", there.port, identity.MayStore, "*")
	le := dicom.ExplicitVRLittleEndian
	x.deposit("KEPT", image(x, le, "A", "1.2.1", "1.2.1.1", "1.2.1.1.1"), image(x, le, "A", "1.2.1", "1.2.1.1", "1.2.1.1.2"))
	x.publish(kept)
	shut, full := x.forward("SHUT", policy.Released), x.forward("FULL", policy.Released)
	x.until("tried again and again", func() bool { return x.rule(shut).Failures > 3 && x.rule(full).Failures > 3 })
	if r := x.rule(shut); r.Sent != 0 || r.Waiting != 1 || r.Reason != "peer-does-not-answer" {
		t.Errorf("%+v", r)
	}
	if r := x.rule(full); r.Sent != 1 || r.Waiting != 1 || r.Reason != "not-taken" {
		t.Errorf("%+v", r)
	}
	there.mu.Lock()
	delete(refuse, "1.2.1.1.1")
	there.mu.Unlock()
	x.until("delivered", func() bool {
		r := x.rule(full)
		return r.Sent == 2 && r.Waiting == 0 && r.Failures == 0 && r.Reason == ""
	})
	if err := x.n.Stores.Desk().RemovePeer(t.Context(), admin.Operator("test"), "SHUT"); err != nil {
		t.Fatal(err)
	}
	if _, err := x.n.Stores.Forwarding.Rule(t.Context(), shut); err == nil {
		t.Error("a rule outlives its peer")
	}
}
