package upload

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Whole is one file of a batch that comes in one request: it goes straight to custody, and lies in no pieces.
type Whole struct {
	Batch   catalogue.DepositID
	Ordinal int64
	Given   *custody.Given // what a gateway says that has cleaned it
	Data    io.Reader
}

// Fate is what became of a file.
type Fate struct {
	Outcome string // kept, held, duplicate, conflict, refused
	Reasons []custody.Reason
}

// Send takes a whole file. When it returns a fate, what is not refused is on stable storage. The same file again is harmless.
func (f *Flow) Send(ctx context.Context, who Caller, w Whole) (Fate, error) {
	if who.link() != "" {
		return Fate{}, fault.New(fault.Denied, attempt, "", "what comes by a link comes in pieces, which are counted")
	}
	b, err := f.own(ctx, who, w.Batch)
	if err != nil {
		return Fate{}, err
	}
	if w.Ordinal < 1 || w.Ordinal > MaxOrdinal {
		return Fate{}, fault.New(fault.Invalid, attempt, "", "the number of the file in its batch is missing, or none")
	}
	if !b.Ended.IsZero() || time.Since(b.Touched) > f.Limits.Quiet/4 { // the sweep would end it
		if err := f.DB.Write(ctx, func(tx *db.Tx) error { return f.Uploads.Touch(tx, b.ID) }); err != nil {
			return Fate{}, err
		}
	}
	dep, err := f.deposit(ctx, b.ID)
	if err != nil {
		return Fate{}, err
	}
	data := &atMost{r: w.Data, left: f.Limits.File}
	receipt, err := dep.Receive(ctx, custody.Incoming{Ordinal: w.Ordinal, Data: custody.FromReader(data), Given: w.Given})
	if data.over {
		return Fate{}, errOver
	}
	if refusal, ok := errors.AsType[*custody.Refusal](err); ok && fault.KindOf(refusal) != fault.Unavailable {
		return Fate{Outcome: fateRefused, Reasons: []custody.Reason{refusal.Reason}}, nil
	}
	if err != nil {
		return Fate{}, err
	}
	return Fate{Outcome: receipt.Outcome.String(), Reasons: receipt.Reasons}, nil
}

var errOver = fault.New(fault.TooLarge, attempt, "", "the file is larger than is taken")

// atMost ends with an error where there is more than it lets through: an end would make a smaller file of it.
type atMost struct {
	r    io.Reader
	left int64
	over bool
}

func (b *atMost) Read(p []byte) (int, error) {
	n, err := b.r.Read(p[:min(int64(len(p)), b.left+1)])
	if int64(n) > b.left {
		b.over = true
		return int(b.left), errOver
	}
	b.left -= int64(n)
	return n, err
}

// MaxRecalled bounds what one call takes back.
const MaxRecalled = 1000

// Recall holds what a gateway of the collection has given, since it has found something in it. It says how many are held by it.
func (f *Flow) Recall(ctx context.Context, who Caller, id collection.ID, uids []catalogue.SOPUID) (int, error) {
	const attempt = "take back what was given"
	dec := policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.Recall, Collection: string(id)})
	switch {
	case dec.Allow:
	case !who.knows(id):
		return 0, fault.New(fault.NotFound, attempt, "", "there is no such collection")
	default:
		return 0, fault.New(fault.Denied, attempt, "collection "+string(id), strings.Join(dec.Reasons, "; "))
	}
	if len(uids) > MaxRecalled {
		return 0, fault.New(fault.TooLarge, attempt, "", "it names more than 1,000 instances")
	}
	if err := f.Custody.Barrier(ctx); err != nil { // what was given a moment ago
		return 0, err
	}
	return f.Custody.Recall(ctx, id, who.Actor, uids)
}
