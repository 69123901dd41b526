package audit

import (
	"encoding/json"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Evidence stands by itself: whoever has the public key reads the entry from it, and whatever is changed in it is found.
func TestEvidence(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		l := open(t, d)
		appendN(t, d, l, 37)
		s := signer(t, 5)
		size, err := l.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, seq := range []int64{0, 17, 36} {
			e, err := l.Evidence(t.Context(), seq, s)
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			var read Evidence
			if err := json.Unmarshal(b, &read); err != nil {
				t.Fatal(err)
			}
			want, err := l.Entries(t.Context(), Filter{From: seq, Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			p, err := read.Check(s.Public())
			if err != nil || p.Seq != seq || p.Actor != want[0].Actor || p.Action != want[0].Action || p.Object != want[0].Object || p.Outcome != want[0].Outcome || !p.At.Equal(want[0].At) {
				t.Fatalf("%+v, %v; it is %+v", p, err, want[0])
			}
			for name, change := range map[string]func(*Evidence){
				"an entry of another number": func(e *Evidence) { e.Seq = (seq + 1) % size },
				"a changed entry":            func(e *Evidence) { e.Record = append([]byte{}, e.Record...); e.Record[20] ^= 1 },
				"a longer entry":             func(e *Evidence) { e.Record = append(append([]byte{}, e.Record...), 0) },
				"a changed way":              func(e *Evidence) { e.Proof = append(e.Proof[:0:0], e.Proof...); e.Proof[0][3] ^= 1 },
				"no way":                     func(e *Evidence) { e.Proof = nil },
				"another size":               func(e *Evidence) { e.Size-- },
				"another form":               func(e *Evidence) { e.Format = "vitrine-audit-evidence 2" },
				"a changed checkpoint":       func(e *Evidence) { e.Checkpoint = "x" + e.Checkpoint },
				"no checkpoint":              func(e *Evidence) { e.Checkpoint = "" },
			} {
				x := read
				change(&x)
				if _, err := x.Check(s.Public()); !fault.Is(err, fault.Corrupt) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if _, err := read.Check(signer(t, 6).Public()); !fault.Is(err, fault.Corrupt) {
				t.Errorf("the key of another node: %v", err)
			}
			if _, err := read.Check("nothing"); !fault.Is(err, fault.Invalid) {
				t.Errorf("no key: %v", err)
			}
		}
		if _, err := l.Evidence(t.Context(), size, s); !fault.Is(err, fault.NotFound) {
			t.Errorf("an entry that is not there: %v", err)
		}
	})
}
