package audit

import (
	"bytes"
	"context"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// EvidenceFormat names the form of evidence.
const EvidenceFormat = "vitrine-audit-evidence 1"

// Evidence shows to anybody who has the node's public key, without the node, that an entry stood in the audit log when the log was signed: what was hashed of the entry, the way of hashes to the root (RFC 6962 2.1.1), and the
// signed checkpoint of that root.
type Evidence struct {
	Format     string           `json:"format"`
	Seq        int64            `json:"seq"`
	Record     []byte           `json:"record"` // what is hashed of the entry (docs/formats/audit.md), in base64
	Size       int64            `json:"size"`   // of the log when it was signed
	Proof      tlog.RecordProof `json:"proof"`
	Checkpoint string           `json:"checkpoint"` // a note of golang.org/x/mod/sumdb/note
	PublicKey  string           `json:"public_key"`
}

// Evidence signs the log as it is now, and shows that the entry of that number is in it.
func (l *Log) Evidence(ctx context.Context, seq int64, s *Signer) (*Evidence, error) {
	signed, err := l.Checkpoint(ctx, s)
	if err != nil {
		return nil, err
	}
	size, _, err := sizeOf(signed)
	if err != nil {
		return nil, err
	}
	if seq < 0 || seq >= size {
		return nil, fault.New(fault.NotFound, "prove entry", strconv.FormatInt(seq, 10), "the log has no such entry")
	}
	all, err := l.entries(ctx, Filter{From: seq, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(all) != 1 || all[0].Seq != seq {
		return nil, missing(seq)
	}
	e := &Evidence{Format: EvidenceFormat, Seq: seq, Record: all[0].leaf(), Size: size, Checkpoint: signed, PublicKey: s.Public()}
	e.Proof, err = tlog.ProveRecord(size, seq, l.reader(ctx))
	return e, err
}

// sizeOf is the size of the log that a checkpoint signs, and the root. Its signature is not looked at.
func sizeOf(signed string) (int64, tlog.Hash, error) {
	text, _, _ := strings.Cut(signed, "\n\n")
	lines := strings.Split(text, "\n")
	bad := fault.New(fault.Corrupt, "read a checkpoint", "", "it is none")
	if len(lines) != 3 || lines[0] != origin {
		return 0, tlog.Hash{}, bad
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return 0, tlog.Hash{}, bad
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return 0, tlog.Hash{}, bad
	}
	return size, root, nil
}

// Proven is an entry that evidence shows.
type Proven struct {
	Seq                                        int64
	At                                         time.Time
	Actor, Action, Object, Collection, Outcome string
}

// Check gives the entry that evidence shows, if it is what the node of the public key has signed. A fault.Corrupt says what differs, a fault.Invalid that the key is none.
func (e *Evidence) Check(public string) (*Proven, error) {
	const attempt = "check evidence"
	bad := func(why string) error {
		return fault.New(fault.Corrupt, attempt, "entry "+strconv.FormatInt(e.Seq, 10), why)
	}
	if e.Format != EvidenceFormat {
		return nil, bad("it has another form than " + EvidenceFormat)
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		return nil, fault.New(fault.Invalid, attempt, "", "the public key is not one of a node: it begins with "+origin+"+")
	}
	if _, err := note.Open([]byte(e.Checkpoint), note.VerifierList(v)); err != nil {
		return nil, bad("the checkpoint was not signed with this key")
	}
	size, root, err := sizeOf(e.Checkpoint)
	if err != nil {
		return nil, bad("the checkpoint is none")
	}
	if size != e.Size || e.Seq < 0 || e.Seq >= size {
		return nil, bad("the checkpoint is of another log than it says")
	}
	if tlog.CheckRecord(e.Proof, size, root, e.Seq, tlog.RecordHash(e.Record)) != nil {
		return nil, bad("the entry was not in the log that was signed, or not as it stands here")
	}
	p, ok := readLeaf(e.Record)
	if !ok || p.Seq != e.Seq {
		return nil, bad("what was hashed is no entry of that number")
	}
	return p, nil
}

// readLeaf reads what [Logged.leaf] wrote.
func readLeaf(b []byte) (*Proven, bool) {
	b, ok := bytes.CutPrefix(b, []byte("vitrine audit 1\n"))
	if !ok || len(b) < 16 {
		return nil, false
	}
	p := &Proven{Seq: int64(binary.BigEndian.Uint64(b)), At: db.Time(int64(binary.BigEndian.Uint64(b[8:])))}
	b = b[16:]
	for _, to := range []*string{&p.Actor, &p.Action, &p.Object, &p.Collection, &p.Outcome, nil, nil} {
		if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
			return nil, false
		}
		n := binary.BigEndian.Uint32(b)
		if to != nil {
			*to = string(b[4 : 4+n])
		}
		b = b[4+n:]
	}
	return p, len(b) == 0
}
