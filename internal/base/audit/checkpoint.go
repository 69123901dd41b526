package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// origin names the log in its checkpoints, and the key that signs them.
const origin = "vitrine-audit"

// Signer signs checkpoints. The same seed gives the same key.
type Signer struct {
	sign   note.Signer
	verify []note.Verifier // its own, then those of earlier keys, the latest first
	public string
}

// NewSigner makes the Ed25519 key of a seed derived from the node's secret. What was signed with the keys of earlier seeds, the latest first, is verified still; but
// once a later one has signed, an earlier one is not taken any more.
func NewSigner(seed keys.Key, earlier ...keys.Key) (*Signer, error) {
	s, err := newSigner(seed)
	if err != nil {
		return nil, err
	}
	for _, e := range earlier {
		old, err := newSigner(e)
		if err != nil {
			return nil, err
		}
		s.verify = append(s.verify, old.verify...)
	}
	return s, nil
}

func newSigner(seed keys.Key) (*Signer, error) {
	private := ed25519.NewKeyFromSeed(seed[:])
	public := append([]byte{1}, private.Public().(ed25519.PublicKey)...) // 1: Ed25519 (note)
	sum := sha256.Sum256(append([]byte(origin+"\n"), public...))
	name := origin + "+" + hex.EncodeToString(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(sum[:4])))
	s := &Signer{public: name + "+" + base64.StdEncoding.EncodeToString(public)}
	var err error
	if s.sign, err = note.NewSigner("PRIVATE+KEY+" + name + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, seed[:]...))); err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(s.public)
	s.verify = []note.Verifier{v}
	return s, err
}

// age counts the changes of key since a note was signed: 0 is the key that signs now. -1: by none of them.
func (s *Signer) age(n *note.Note) int {
	for i, v := range s.verify {
		for _, sig := range n.Sigs {
			if sig.Name == v.Name() && sig.Hash == v.KeyHash() {
				return i
			}
		}
	}
	return -1
}

// Public is the key that checkpoints are verified with, as golang.org/x/mod/sumdb/note writes it.
func (s *Signer) Public() string { return s.public }

func (l *Log) reader(ctx context.Context) *hashes {
	return &hashes{query: func(q string, a ...any) rowScanner { return l.d.QueryRow(ctx, q, a...) }}
}

// Checkpoint signs the log as it is now and keeps the signed note: origin, size, root hash. What it says of the past can be held against the log for ever.
// It refuses to sign a log that is not proven to contain what was signed last. Where nothing was added, it gives the last one again.
func (l *Log) Checkpoint(ctx context.Context, s *Signer) (string, error) {
	const attempt = "sign audit log"
	var out string
	err := l.d.Write(ctx, func(tx *db.Tx) error {
		if err := tx.Lock("audit"); err != nil {
			return err
		}
		var size int64
		if err := tx.QueryRow(`SELECT size FROM audit_head WHERE one = 1`).Scan(&size); err != nil {
			return err
		}
		r := &hashes{query: func(q string, a ...any) rowScanner { return tx.QueryRow(q, a...) }}
		root, err := tlog.TreeHash(size, r)
		if err != nil {
			return err
		}
		var last int64
		var before string
		err = tx.QueryRow(`SELECT size, note FROM audit_checkpoint ORDER BY size DESC LIMIT 1`).Scan(&last, &before)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err == nil {
			old, _, err := openCheckpoint(before, last, s)
			if err != nil {
				return err
			}
			if last > size {
				return fault.New(fault.Corrupt, attempt, "", "it is shorter than it was when it was last signed")
			}
			if last == size {
				if old != root {
					return fault.New(fault.Corrupt, attempt, "", "it is not what was signed last")
				}
				out = before
				return nil
			}
			if last > 0 {
				proof, err := tlog.ProveTree(size, last, r)
				if err != nil {
					return err
				}
				if tlog.CheckTree(proof, size, root, last, old) != nil {
					return fault.New(fault.Corrupt, attempt, "", "it does not contain what was signed last")
				}
			}
		}
		text := origin + "\n" + strconv.FormatInt(size, 10) + "\n" + root.String() + "\n"
		signed, err := note.Sign(&note.Note{Text: text}, s.sign)
		if err != nil {
			return fault.Wrap(fault.Internal, attempt, "", err)
		}
		out = string(signed)
		_, err = tx.Exec(`INSERT INTO audit_checkpoint (size, note, at) VALUES (?, ?, ?)`, size, out, db.Micros(time.Now()))
		return err
	})
	if err != nil {
		return "", err
	}
	return out, nil
}

// openCheckpoint is the root that a note signs for a size, and the age of the key that signed it. Without a signer its signature is not checked.
func openCheckpoint(signed string, size int64, s *Signer) (root tlog.Hash, age int, err error) {
	bad := func(why string) (tlog.Hash, int, error) {
		return tlog.Hash{}, 0, fault.New(fault.Corrupt, "verify audit log", "checkpoint at "+strconv.FormatInt(size, 10), why)
	}
	text, _, _ := strings.Cut(signed, "\n\n")
	if s != nil {
		n, err := note.Open([]byte(signed), note.VerifierList(s.verify...))
		if err != nil {
			return bad("its signature is not this node's")
		}
		text, age = strings.TrimSuffix(n.Text, "\n"), s.age(n)
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 3 || lines[0] != origin || lines[1] != strconv.FormatInt(size, 10) {
		return bad("it is not a checkpoint")
	}
	if root, err = tlog.ParseHash(lines[2]); err != nil {
		return bad("it is not a checkpoint")
	}
	return root, age, nil
}

// Proof shows that an entry is in the log of a size with a root hash.
type Proof struct {
	Seq   int64            `json:"seq"`
	Size  int64            `json:"size"`
	Root  tlog.Hash        `json:"root"`
	Leaf  tlog.Hash        `json:"leaf"`
	Proof tlog.RecordProof `json:"proof"`
}

// Prove shows that the entry of that number is in the log as it is now.
func (l *Log) Prove(ctx context.Context, seq int64) (*Proof, error) {
	size, err := l.Size(ctx)
	if err != nil {
		return nil, err
	}
	if seq < 0 || seq >= size {
		return nil, fault.New(fault.NotFound, "prove entry", strconv.FormatInt(seq, 10), "the log has no such entry")
	}
	r := l.reader(ctx)
	p := &Proof{Seq: seq, Size: size}
	if p.Root, err = tlog.TreeHash(size, r); err != nil {
		return nil, err
	}
	if p.Proof, err = tlog.ProveRecord(size, seq, r); err != nil {
		return nil, err
	}
	leaf, err := r.ReadHashes([]int64{tlog.StoredHashIndex(0, seq)})
	if err != nil {
		return nil, err
	}
	p.Leaf = leaf[0]
	return p, nil
}

// Verify recomputes every leaf and every hash and compares them with what is stored, and the roots with every checkpoint; with a signer, the signatures
// too. A difference is a fault.Corrupt that says where. It returns the number of entries.
func (l *Log) Verify(ctx context.Context, s *Signer) (int64, error) {
	// What lies beyond the head would be invisible to what follows: a log is cut by setting its head back.
	var size, entries, stored int64
	err := l.d.Snapshot(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT size, (SELECT COUNT(*) FROM audit), (SELECT COUNT(*) FROM audit_hash) FROM audit_head WHERE one = 1`).Scan(&size, &entries, &stored)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fault.New(fault.Corrupt, "verify audit log", "", "its head is gone")
	}
	if err != nil {
		return 0, err
	}
	if entries != size || stored != tlog.StoredHashCount(size) {
		return 0, fault.New(fault.Corrupt, "verify audit log", "", "it holds other numbers of entries or hashes than its head says")
	}
	r := l.reader(ctx)
	differs := func(seq int64, why string) error {
		return fault.New(fault.Corrupt, "verify audit log", "entry "+strconv.FormatInt(seq, 10), why)
	}
	var next int64
	for next < size {
		page, err := l.Entries(ctx, Filter{From: next, Limit: 1000})
		if err != nil {
			return next, err
		}
		for _, g := range page {
			if g.Seq >= size {
				break
			}
			if g.Seq != next {
				return next, differs(next, "it is missing")
			}
			want, err := tlog.StoredHashes(g.Seq, g.leaf(), r)
			if err != nil {
				return next, err
			}
			first := tlog.StoredHashIndex(0, g.Seq)
			index := make([]int64, len(want))
			for i := range want {
				index[i] = first + int64(i)
			}
			have, err := r.ReadHashes(index)
			if err != nil {
				return next, err
			}
			for i := range want {
				if !bytes.Equal(want[i][:], have[i][:]) {
					return next, differs(g.Seq, "it is not what was logged")
				}
			}
			next++
		}
		if len(page) == 0 {
			return next, differs(next, "it is missing")
		}
	}
	return size, l.verifyCheckpoints(ctx, s, r)
}

func (l *Log) verifyCheckpoints(ctx context.Context, s *Signer, r tlog.HashReader) error {
	rows, err := l.d.Query(ctx, `SELECT size, note FROM audit_checkpoint ORDER BY size`)
	if err != nil {
		return err
	}
	type checkpoint struct {
		size int64
		text string
	}
	var all []checkpoint
	for rows.Next() {
		var c checkpoint
		if err := rows.Scan(&c.size, &c.text); err != nil {
			rows.Close()
			return db.Fault("verify audit log", err)
		}
		all = append(all, c)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return db.Fault("verify audit log", err)
	}
	// Asked after them: a node goes on logging and signing beside this.
	size, err := l.Size(ctx)
	if err != nil {
		return err
	}
	youngest := -1
	for _, c := range all {
		bad := func(why string) error {
			return fault.New(fault.Corrupt, "verify audit log", "checkpoint at "+strconv.FormatInt(c.size, 10), why)
		}
		signed, age, err := openCheckpoint(c.text, c.size, s)
		if err != nil {
			return err
		}
		if youngest >= 0 && age > youngest {
			return bad("it is signed with a key that was given up before")
		}
		youngest = age
		if c.size > size {
			return bad("the log was longer when it was signed")
		}
		root, err := tlog.TreeHash(c.size, r)
		if err != nil {
			return err
		}
		if root != signed {
			return bad("the log was another when it was signed")
		}
	}
	return nil
}
