package transfer

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// CommitKind is the kind of the jobs that report storage commitment.
const CommitKind = "storage-commitment"

// Failure reasons of storage commitment (PS3.3 C.14.1.1).
const (
	CommitNoSuchInstance = 0x0112
	CommitClassConflict  = 0x0119
)

// Commitment is the answer to one request of storage commitment (PS3.4 J.3.3): what is on stable storage and what is not, by the UIDs that the peer knows.
type Commitment struct {
	Peer        string       `json:"peer"` // AE title
	Calling     string       `json:"calling"`
	Transaction string       `json:"transaction"`
	Kept        []Referenced `json:"kept,omitempty"`
	Failed      []Referenced `json:"failed,omitempty"`
	Asked       time.Time    `json:"asked"`
	Failures    int          `json:"failures"`
}

// Referenced is an instance.
type Referenced struct {
	Class  string `json:"class"`
	UID    string `json:"uid"`
	Reason int    `json:"reason,omitempty"`
}

// Event is 1 if everything is kept, else 2 (PS3.4 J.3.3.1).
func (c *Commitment) Event() uint16 {
	if len(c.Failed) > 0 {
		return 2
	}
	return 1
}

// Information is the data set of the report.
func (c *Commitment) Information(syntax string) ([]byte, error) {
	ts, ok := dicom.LookupTransferSyntax(syntax)
	if !ok {
		return nil, fault.New(fault.Internal, "report storage commitment", "", "the transfer syntax is not one")
	}
	b := dicom.NewBuilder(ts)
	b.String(dicom.TagTransactionUID, c.Transaction)
	b.String(dicom.TagRetrieveAETitle, c.Calling)
	for _, s := range []struct {
		tag  dicom.Tag
		list []Referenced
	}{{dicom.TagReferencedSOPSequence, c.Kept}, {dicom.TagFailedSOPSequence, c.Failed}} {
		var items []func(*dicom.Builder)
		for _, r := range s.list {
			items = append(items, func(item *dicom.Builder) {
				item.String(dicom.TagReferencedSOPClassUID, r.Class)
				item.String(dicom.TagReferencedSOPInstanceUID, r.UID)
				if r.Reason != 0 {
					item.Ints(dicom.TagFailureReason, r.Reason)
				}
			})
		}
		if items != nil {
			b.Sequence(s.tag, items...)
		}
	}
	d, err := b.Dataset()
	if err != nil {
		return nil, err
	}
	return d.Bytes(), nil
}

// Committer brings reports to who asked for them.
type Committer struct {
	Sender   *Sender
	DB       *db.DB
	Jobs     *jobs.Queue
	Identity *identity.Record
	Keys     []keys.Key // what waits names instances by their depositor's UIDs, and is encrypted: by the first of these; the others were the first before
	Log      *slog.Logger
	Wait     time.Duration // for the answer on the association of the request, before the report goes on another; default 30 s
	Pause    time.Duration // after the first failure, doubling to an hour; default a minute
}

// CommitKeys are the keys of what waits.
func CommitKeys(root *keys.Root) []keys.Key {
	const purpose = "storage commitment reports"
	return append([]keys.Key{root.Derive(purpose)}, root.Earlier(purpose)...)
}

const (
	settled  = "settled"
	giveUp   = 24 * time.Hour
	waitHere = 30 * time.Second
)

func aead(k keys.Key) (cipher.AEAD, error) {
	b, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(b)
}

func (c *Commitment) key() string {
	sum := sha256.Sum256([]byte(c.Peer + "\x00" + c.Transaction + "\x00" + rand.Text()))
	return hex.EncodeToString(sum[:16])
}

func (c *Committer) ask(ctx context.Context, key string, x *Commitment, due time.Duration) error {
	plain, err := json.Marshal(x)
	if err != nil {
		return err
	}
	a, err := aead(c.Keys[0])
	if err != nil {
		return err
	}
	sealed := a.Seal(nil, nil, plain, []byte(key))
	return c.DB.Write(ctx, func(tx *db.Tx) error { return c.Jobs.Add(tx, CommitKind, key, sealed, time.Now().Add(due)) })
}

// Begin notes a report, before its request is answered: it is brought, whatever happens. done is told whether it arrived on the association of the request; if not, it goes on one
// of the node's own.
func (c *Committer) Begin(ctx context.Context, x *Commitment) (done func(err error), err error) {
	key := x.key()
	wait := c.Wait
	if wait <= 0 {
		wait = waitHere
	}
	if err := c.ask(ctx, key, x, wait); err != nil {
		return nil, err
	}
	return func(failed error) {
		ctx := context.WithoutCancel(ctx)
		var err error
		if failed == nil {
			err = c.DB.Write(ctx, func(tx *db.Tx) error { return c.Jobs.Add(tx, CommitKind, key, []byte(settled), time.Now()) })
		} else {
			err = c.ask(ctx, key, x, 0)
		}
		if err != nil { // it stays as it was noted, and may be told twice
			c.Log.Error("a report of storage commitment could not be settled", "error", err)
		}
	}, nil
}

// Handlers do the jobs.
func (c *Committer) Handlers() map[string]jobs.Handler {
	return map[string]jobs.Handler{CommitKind: c.report}
}

func (c *Committer) report(ctx context.Context, key string, payload []byte) error {
	if string(payload) == settled {
		return nil
	}
	var x Commitment
	read := false
	for _, k := range c.Keys {
		if a, err := aead(k); err == nil && !read {
			plain, err := a.Open(nil, nil, payload, []byte(key))
			read = err == nil && json.Unmarshal(plain, &x) == nil
		}
	}
	if !read {
		return fault.New(fault.Corrupt, "report storage commitment", "", "what waits cannot be read")
	}
	failed := c.bring(ctx, &x)
	if failed == nil || ctx.Err() != nil {
		return failed
	}
	if time.Since(x.Asked) > giveUp {
		c.Log.Warn("a report of storage commitment was not taken for a day, and is given up: the peer has to ask again", "peer", x.Peer)
		return nil
	}
	p := c.Pause
	if p <= 0 {
		p = time.Minute
	}
	for range min(x.Failures, 10) {
		p = min(2*p, time.Hour)
	}
	x.Failures++
	return c.ask(ctx, key, &x, p)
}

// bring reports on an association of the node's own, as SCP of the class.
func (c *Committer) bring(ctx context.Context, x *Commitment) error {
	to, err := c.Identity.Peer(ctx, collection.AETitle(x.Peer))
	if err != nil {
		return err
	}
	a, err := c.Sender.Dial(ctx, to, x.Calling, []network.Proposal{{AbstractSyntax: network.StorageCommitmentUID, TransferSyntaxes: []string{dicom.ExplicitVRLittleEndianUID, dicom.ImplicitVRLittleEndianUID}}},
		network.Role{SOPClassUID: network.StorageCommitmentUID, SCP: true})
	if err != nil {
		return err
	}
	defer func() { _ = a.Release(context.WithoutCancel(ctx)) }()
	pc, ok := a.ContextOf(network.StorageCommitmentUID)
	if !ok {
		return fault.New(fault.Unavailable, "report storage commitment", "peer "+x.Peer, "it takes no reports")
	}
	b, err := x.Information(pc.TransferSyntax)
	if err != nil {
		return err
	}
	st, err := a.Report(ctx, &network.EventReport{SOPClassUID: network.StorageCommitmentUID, SOPInstanceUID: network.StorageCommitmentInstanceUID, EventTypeID: x.Event(), TransferSyntaxUID: pc.TransferSyntax, Information: b})
	if err == nil && !st.Done() {
		err = fault.New(fault.Unavailable, "report storage commitment", "peer "+x.Peer, "it does not take the report")
	}
	return err
}
