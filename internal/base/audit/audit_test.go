package audit

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

func open(t *testing.T, d *db.DB) *Log {
	t.Helper()
	l, err := Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func appendN(t *testing.T, d *db.DB, l *Log, n int) {
	t.Helper()
	for i := range n {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			return l.Append(tx, Entry{Actor: "token a", Action: "deposit", Object: "deposit " + strconv.Itoa(i), Collection: "default", Outcome: "done", Sealed: []byte{1, 2, 3}},
				Entry{Actor: "node", Action: "admit"})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func signer(t *testing.T, seed byte) *Signer {
	t.Helper()
	s, err := NewSigner(keys.Key{seed})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// After the key has changed, what the earlier one signed is verified still; what it signs from then on is not.
func TestChangeOfKey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		l, old := open(t, d), signer(t, 1)
		both, err := NewSigner(keys.Key{2}, keys.Key{1})
		if err != nil {
			t.Fatal(err)
		}
		if both.Public() == old.Public() {
			t.Error("it signs with the old key")
		}
		for _, s := range []*Signer{old, old, both, both} {
			appendN(t, d, l, 3)
			if _, err := l.Checkpoint(ctx, s); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := l.Verify(ctx, both); err != nil || n != 24 {
			t.Fatal(n, err)
		}
		if _, err := l.Verify(ctx, old); !fault.Is(err, fault.Corrupt) {
			t.Errorf("by the old key alone: %v", err)
		}
		appendN(t, d, l, 1)
		if _, err := l.Checkpoint(ctx, old); !fault.Is(err, fault.Corrupt) {
			t.Errorf("the old key signs on after the new one: %v", err)
		}
		// Whoever has the old key and can write to the database signs by force.
		forged, err := NewSigner(keys.Key{1}, keys.Key{2})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Checkpoint(ctx, forged); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Verify(ctx, both); !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), "given up before") {
			t.Errorf("signed with a key that was given up: %v", err)
		}
	})
}

func TestLogIsProven(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		l, s := open(t, d), signer(t, 1)
		for range 3 {
			if _, err := l.Checkpoint(t.Context(), s); err != nil { // of the empty log too
				t.Fatal(err)
			}
			appendN(t, d, l, 7)
		}
		n, err := l.Verify(t.Context(), s)
		if err != nil || n != 42 {
			t.Fatal(n, err)
		}
		for _, seq := range []int64{0, 20, 41} {
			p, err := l.Prove(t.Context(), seq)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(p.Proof, p.Size, p.Root, p.Seq, p.Leaf); err != nil {
				t.Error(err)
			}
		}
		if _, err := l.Prove(t.Context(), 42); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if _, err := l.Verify(t.Context(), signer(t, 2)); !fault.Is(err, fault.Corrupt) {
			t.Errorf("checkpoints of another key were taken: %v", err)
		}
	})
}

// Every way of changing the log is found.
func TestTamperingIsFound(t *testing.T) {
	for name, change := range map[string]string{
		"outcome":           `UPDATE audit SET outcome = 'nothing' WHERE seq = 5`,
		"time":              `UPDATE audit SET at = at + 1 WHERE seq = 5`,
		"sealed":            `UPDATE audit SET sealed = NULL WHERE seq = 4`,
		"entry removed":     `DELETE FROM audit WHERE seq = 9`,
		"hash removed":      `DELETE FROM audit_hash WHERE idx = 3`,
		"tail cut":          `UPDATE audit_head SET size = 8`,
		"actor":             `UPDATE audit SET actor = 'token b' WHERE seq = 0`,
		"text moved":        `UPDATE audit SET actor = 'token ad', action = 'eposit' WHERE seq = 2`,
		"salt exchanged":    `UPDATE audit SET salt = (SELECT salt FROM audit WHERE seq = 2) WHERE seq = 1`,
		"last removed":      `DELETE FROM audit WHERE seq = 9`,
		"head gone":         `DELETE FROM audit_head`,
		"inner hash":        `UPDATE audit_hash SET hash = (SELECT hash FROM audit_hash WHERE idx = 1) WHERE idx = 2`,
		"hash added":        `INSERT INTO audit_hash (idx, hash) SELECT 100000, hash FROM audit_hash WHERE idx = 0`,
		"checkpoint moved":  `UPDATE audit_checkpoint SET size = 9`,
		"checkpoint zero":   `UPDATE audit_checkpoint SET size = 0`,
		"checkpoint forged": `UPDATE audit_checkpoint SET note = 'vitrine-audit'`,
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				l, s := open(t, d), signer(t, 1)
				appendN(t, d, l, 5)
				if _, err := l.Checkpoint(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(change); return err }); err != nil {
					t.Fatal(err)
				}
				if _, err := l.Verify(t.Context(), s); !fault.Is(err, fault.Corrupt) {
					t.Errorf("not found: %v", err)
				}
			})
		})
	}
}

// A tail that no checkpoint covers yet cannot be cut by setting the head back alone.
func TestCutTailIsFoundWithoutACheckpoint(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		l, s := open(t, d), signer(t, 1)
		appendN(t, d, l, 5)
		if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(`UPDATE audit_head SET size = 8`); return err }); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Verify(t.Context(), s); !fault.Is(err, fault.Corrupt) {
			t.Errorf("not found: %v", err)
		}
	})
}

// Who can write to the database can write another log with a tree that fits it. What was signed tells, and nothing is signed that contradicts it.
func TestRewrittenHistoryIsNotSigned(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		l, s := open(t, d), signer(t, 1)
		appendN(t, d, l, 5)
		one, err := l.Checkpoint(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if two, err := l.Checkpoint(t.Context(), s); err != nil || two != one {
			t.Errorf("signed twice, differently: %v", err)
		}
		for _, n := range []int{4, 5, 6} { // shorter, as long, longer
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				for _, text := range []string{`DELETE FROM audit`, `DELETE FROM audit_hash`, `UPDATE audit_head SET size = 0`} {
					if _, err := tx.Exec(text); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			appendN(t, d, l, n)
			if _, err := l.Verify(t.Context(), s); !fault.Is(err, fault.Corrupt) {
				t.Errorf("verify, %d: %v", n, err)
			}
			if _, err := l.Checkpoint(t.Context(), s); !fault.Is(err, fault.Corrupt) {
				t.Errorf("signed, %d: %v", n, err)
			}
		}
	})
}

func TestManyWriters(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, address string) {
		s := signer(t, 1)
		var logs [2]*Log
		for i := range logs {
			logs[i] = open(t, dbtest.Open(t, address))
		}
		var wg sync.WaitGroup
		for w := range 4 {
			l := logs[w%2]
			wg.Go(func() {
				for i := range 15 {
					e := Entry{Actor: "node", Action: "admit"}
					if err := l.d.Write(context.Background(), func(tx *db.Tx) error { return l.Append(tx, e, e) }); err != nil {
						t.Error(err)
					}
					if i%5 == 0 {
						if _, err := l.Checkpoint(context.Background(), s); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		if n, err := logs[0].Verify(t.Context(), s); n != 120 || err != nil {
			t.Error(n, err)
		}
	})
}

func TestOnceAnHour(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		l := open(t, d)
		e := Entry{Actor: "token a", Action: "read pixels", Object: "study 1", Collection: "default", Outcome: "allowed"}
		other := e
		other.Outcome = "denied"
		for range 3 {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				if _, err := l.Once(tx, e); err != nil {
					return err
				}
				_, err := l.Once(tx, other)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		n, err := l.Size(t.Context())
		if err != nil || n < 2 || n > 4 { // 4 if the hour has just turned
			t.Errorf("%d entries, want 2: %v", n, err)
		}
	})
}

// What was done with some objects is found among everything else, in order, the first or the last of it, however many objects are named.
func TestEntriesOfObjects(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		l := open(t, d)
		appendN(t, d, l, 5)
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			return l.Append(tx, Entry{Actor: "token b", Action: "read pixels", Object: "deposit 3", Collection: "default"}, Entry{Actor: "token b", Action: "read pixels", Object: "deposit 3", Collection: "other"})
		})
		if err != nil {
			t.Fatal(err)
		}
		many := []string{"deposit 1", "deposit 3", "deposit 99"}
		for i := range 1000 {
			many = append(many, "nothing "+strconv.Itoa(i))
		}
		for name, c := range map[string]struct {
			f    Filter
			want []int64
		}{
			"some":          {Filter{Objects: []string{"deposit 3", "deposit 1"}}, []int64{2, 6, 10, 11}},
			"in collection": {Filter{Objects: []string{"deposit 3"}, Collection: "default"}, []int64{6, 10}},
			"many":          {Filter{Objects: many, Collection: "default"}, []int64{2, 6, 10}},
			"first of many": {Filter{Objects: many, Limit: 2}, []int64{2, 6}},
			"last of many":  {Filter{Objects: many, Limit: 2, Last: true}, []int64{10, 11}},
			"last":          {Filter{Limit: 2, Last: true}, []int64{10, 11}},
			"none":          {Filter{Objects: []string{"deposit 9"}}, nil},
		} {
			got, err := l.Entries(t.Context(), c.f)
			var seqs []int64
			for _, g := range got {
				seqs = append(seqs, g.Seq)
			}
			if err != nil || !slices.Equal(seqs, c.want) {
				t.Errorf("%s: %v, want %v: %v", name, seqs, c.want, err)
			}
		}
	})
}
