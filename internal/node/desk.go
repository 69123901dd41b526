package node

import (
	"context"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/people"
	proofflow "github.com/vitrine-imaging/vitrine/internal/flow/proof"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/flow/transfer"
	"github.com/vitrine-imaging/vitrine/internal/flow/verify"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Desk is where the node is administered.
func (r *Records) Desk() *admin.Desk {
	note := r.noter()
	return &admin.Desk{DB: r.DB, Audit: r.Audit, Collections: r.Collections, Identity: r.Identity, Catalogue: r.Catalogue, Forwarding: r.Forwarding, Moved: note.Moved, Begin: note.Begin}
}

// noter notes what has to be forwarded.
func (r *Records) noter() transfer.Noter {
	return transfer.Noter{Rules: r.Forwarding, Jobs: r.Queue}
}

// People is where people are administered. Nobody signs in by it: that takes the master key.
func (r *Records) People() *signin.Flow {
	return signin.New(signin.Parts{DB: r.DB, Audit: r.Audit, Identity: r.Identity, Exists: func(ctx context.Context, id string) error {
		_, err := r.Collections.Get(ctx, collection.ID(id))
		return err
	}})
}

// Who says what is known of people beside their accounts.
func (r *Records) Who() *people.Desk {
	return people.New(people.Parts{DB: r.DB, Audit: r.Audit, Identity: r.Identity, Persons: r.Persons})
}

// signer signs checkpoints of the audit log.
func signer(root *keys.Root) (*audit.Signer, error) {
	const purpose = "audit checkpoints"
	return audit.NewSigner(root.Derive(purpose), root.Earlier(purpose)...)
}

// Proofs says what was done to what came. Without a signer no statement is signed.
func (r *Records) Proofs(version string, sign *audit.Signer, risk proofflow.RiskFunc) *proofflow.Desk {
	return proofflow.New(proofflow.Parts{DB: r.DB, Audit: r.Audit, Catalogue: r.Catalogue, Collections: r.Collections, Proof: r.Proof, Signer: sign, Risk: risk, Software: version})
}

// SignStatement makes and signs a statement of a collection, with the master key at hand.
func (r *Records) SignStatement(ctx context.Context, cfg Config, who admin.Caller, id collection.ID, risk proofflow.RiskFunc) (s *proofflow.Signed, err error) {
	err = r.withKeys(ctx, cfg, func(ring *keys.Ring, _ *db.DB) error {
		sign, err := signer(ring.Root())
		if err == nil {
			s, err = r.Proofs(cfg.Version, sign, risk).Sign(ctx, who, id, "")
		}
		return err
	})
	return s, err
}

// Verify is what a verification looks at.
func (s *Stores) Verify() (verify.Parts, error) {
	sign, err := signer(s.Ring.Root())
	return verify.Parts{DB: s.DB, Audit: s.Audit, Signer: sign, Ring: s.Ring, Packs: s.Packs, Mirror: s.mirror != nil, Catalogue: s.Catalogue, Subjects: s.Subjects}, err
}

// VerifyAudit recomputes the audit log. Where the master key is at hand, the signatures of checkpoints are compared too.
func (r *Records) VerifyAudit(ctx context.Context, cfg Config, who admin.Caller) (entries int64, signatures bool, err error) {
	var sign *audit.Signer
	err = r.withKeys(ctx, cfg, func(ring *keys.Ring, _ *db.DB) (err error) {
		sign, err = signer(ring.Root())
		return err
	})
	if err != nil && cfg.Key != "" {
		return 0, false, err // it was asked for
	}
	entries, err = r.Desk().VerifyAudit(ctx, who, sign)
	return entries, sign != nil, err
}

// Checkpoint signs the audit log as it is now, and gives the key that the note is verified with.
func (r *Records) Checkpoint(ctx context.Context, cfg Config, who admin.Caller) (signed, public string, err error) {
	var sign *audit.Signer
	err = r.withKeys(ctx, cfg, func(ring *keys.Ring, _ *db.DB) (err error) {
		sign, err = signer(ring.Root())
		return err
	})
	if err != nil {
		return "", "", err
	}
	signed, err = r.Desk().Checkpoint(ctx, who, sign)
	return signed, sign.Public(), err
}

// Evidence shows that an entry stood in the audit log, with the master key at hand.
func (r *Records) Evidence(ctx context.Context, cfg Config, who admin.Caller, seq int64) (e *audit.Evidence, err error) {
	err = r.withKeys(ctx, cfg, func(ring *keys.Ring, _ *db.DB) error {
		sign, err := signer(ring.Root())
		if err == nil {
			e, err = r.Desk().Evidence(ctx, who, seq, sign)
		}
		return err
	})
	return e, err
}
