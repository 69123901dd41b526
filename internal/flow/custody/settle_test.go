package custody

import (
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/proof"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"

	"log/slog"
)

// One instance that the catalogue will not take as it is described is held; those around it are catalogued as they are.
func TestOneBadEntryStopsNoOther(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		log, err := audit.Open(ctx, d)
		must(err)
		queue, err := jobs.Open(ctx, d)
		must(err)
		cols, err := collection.OpenRecord(ctx, d)
		must(err)
		subjects, err := subject.OpenRecord(ctx, d)
		must(err)
		work, err := proof.OpenRecord(ctx, d)
		must(err)
		cat, err := catalogue.OpenRecord(ctx, d)
		must(err)
		decided, err := ruling.OpenRecord(ctx, d)
		must(err)
		c := New(Parts{DB: d, Audit: log, Jobs: queue, Collections: cols, Subjects: subjects, Gate: subjects.NewGate(), Catalogue: cat, Proof: work, Rulings: decided, Log: slog.New(slog.DiscardHandler), Quiet: time.Second})
		dep := &Deposit{c: c, actor: "test", ward: &ward{row: collection.Collection{ID: collection.Default}}}
		var sub subject.Subject
		must(d.Write(ctx, func(tx *db.Tx) error {
			if _, err := cols.EnsureDefault(tx, "1"); err != nil {
				return err
			}
			if dep.ID, err = cat.StartDeposit(tx, collection.Default, "test", "test"); err != nil {
				return err
			}
			sub, _, err = subjects.Ensure(tx, collection.Default, subject.Link{1}, "PSEUDONYM", subject.KeyID{1})
			return err
		}))
		var batch []event
		for i, sop := range []string{"2.25.1", "2.25.2", "2.25.3"} {
			e := &entry{deposit: dep, person: &person{id: sub.ID}, durable: func() {}, settled: func() {}, row: catalogue.Entry{Collection: collection.Default, Subject: sub.ID,
				Study: "2.25.10", Series: "2.25.11", SOP: catalogue.SOPUID(sop), State: policy.Received, Deposit: dep.ID, Ordinal: int64(i + 1), Digest: [32]byte{byte(i)}}}
			if i == 1 {
				e.row.SeriesAttributes.JSON = "no object" + strings.Repeat(" ", i)
			}
			batch = append(batch, event{kind: eventEntry, deposit: dep, entry: e, where: pack.Committed{Ref: pack.Ref{Pack: pack.ID{9}, Offset: int64(4096 * (i + 1))}, Header: pack.Header{Chunk: pack.DefaultChunk}}})
		}
		batch = append(batch, event{kind: eventRefused, deposit: dep, ordinal: 4, reason: Reason{Code: "truncated", Text: "the bytes end too early"}})
		done, err := c.settle(ctx, batch)
		must(err)
		got, err := cat.Intake(ctx, collection.Default)
		must(err)
		if done != 4 || got.Pending+got.Held != 3 || got.Refused != 1 {
			t.Errorf("%d done, %+v", done, got)
		}
	})
}
