package node

import (
	"context"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/flow/verify"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Desk is where the node is administered.
func (r *Records) Desk() *admin.Desk {
	return &admin.Desk{DB: r.DB, Audit: r.Audit, Collections: r.Collections, Identity: r.Identity, Catalogue: r.Catalogue}
}

// People is where people are administered. Nobody signs in by it: that takes the master key.
func (r *Records) People() *signin.Flow {
	return signin.New(signin.Parts{DB: r.DB, Audit: r.Audit, Identity: r.Identity, Exists: func(ctx context.Context, id string) error {
		_, err := r.Collections.Get(ctx, collection.ID(id))
		return err
	}})
}

// signer signs checkpoints of the audit log.
func signer(m *keys.Master) (*audit.Signer, error) {
	return audit.NewSigner(m.Derive("audit checkpoints"))
}

// Verify is what a verification looks at.
func (s *Stores) Verify() (verify.Parts, error) {
	sign, err := signer(s.Master)
	return verify.Parts{DB: s.DB, Audit: s.Audit, Signer: sign, Ring: s.Ring, Packs: s.Packs, Catalogue: s.Catalogue, Subjects: s.Subjects}, err
}

// VerifyAudit recomputes the audit log. Where the master key is at hand, the signatures of checkpoints are compared too.
func (r *Records) VerifyAudit(ctx context.Context, cfg Config, who admin.Caller) (entries int64, signatures bool, err error) {
	var sign *audit.Signer
	if m, err := keys.LoadMaster(cfg.KeyPath()); err == nil {
		if sign, err = signer(m); err != nil {
			return 0, false, err
		}
	} else if cfg.Key != "" {
		return 0, false, err // it was asked for
	}
	entries, err = r.Desk().VerifyAudit(ctx, who, sign)
	return entries, sign != nil, err
}

// Checkpoint signs the audit log as it is now, and gives the key that the note is verified with.
func (r *Records) Checkpoint(ctx context.Context, cfg Config, who admin.Caller) (signed, public string, err error) {
	m, err := keys.LoadMaster(cfg.KeyPath())
	if err != nil {
		return "", "", err
	}
	sign, err := signer(m)
	if err != nil {
		return "", "", err
	}
	signed, err = r.Desk().Checkpoint(ctx, who, sign)
	return signed, sign.Public(), err
}
