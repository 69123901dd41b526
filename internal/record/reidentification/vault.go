// Package reidentification is the record of who subjects are: what their images said of them as they came, and who asked to be told.
//
// The [Vault] is a database of its own, apart from the catalogue. What it holds of a subject is encrypted under a key that is made of two: the subject's, so
// that erasing a subject erases this too, and one of the collection's that is for nothing else. Neither the catalogue nor a subject's key alone leads from a
// pseudonym to a person.
//
// [Requests] are in the catalogue's database, where a change and its audit entry are one transaction. Their reasons are encrypted under the same key.
//
// It does not decide who may ask, consent or see.
package reidentification

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

//go:embed migrations
var migrations embed.FS

// Identity is what an image said of whom it is of, as it came, decoded to UTF-8 and without padding.
type Identity struct {
	PatientID string `json:"patient_id,omitempty"` // (0010,0020)
	Issuer    string `json:"issuer,omitempty"`     // Issuer of Patient ID (0010,0021)
	Name      string `json:"name,omitempty"`       // (0010,0010), family^given^..., component groups parted by =
	BirthDate string `json:"birth_date,omitempty"` // (0010,0030), YYYYMMDD
}

// String says nothing.
func (Identity) String() string { return "identity" }

// GoString says nothing.
func (Identity) GoString() string { return "reidentification.Identity{}" }

// MaxIdentities bounds the different identities of a subject: spellings of a name, above all. The first ones are kept.
const MaxIdentities = 64

// VaultRoom is the name of the vault's migrations, and VaultTable what they make.
const (
	VaultRoom  = "reidentification"
	VaultTable = "reidentification"
)

// Vault is the open record.
type Vault struct {
	d    *db.DB
	ring *keys.Ring
}

// OpenVault brings the tables up to date.
func OpenVault(ctx context.Context, d *db.DB, ring *keys.Ring) (*Vault, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, VaultRoom, files); err != nil {
		return nil, err
	}
	return &Vault{d, ring}, nil
}

// seal is the cipher of a subject's identities and of the reasons to ask for them; fault.NotFound if the subject has been erased.
func (v *Vault) seal(ctx context.Context, c collection.ID, key subject.KeyID) (cipher.AEAD, error) {
	of, err := v.ring.Get(ctx, keys.ID(key))
	if err != nil {
		return nil, err
	}
	// A name that no collection has: this key has nothing to do with the one that pseudonyms come from.
	in, err := v.ring.Collection(ctx, "re-identification of "+string(c))
	if err != nil {
		return nil, err
	}
	half := of.Derive("re-identification")
	both := in.Derive("re-identification 1 " + string(half[:]))
	block, err := aes.NewCipher(both[:])
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "seal identity", "", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func about(id subject.ID) []byte {
	return []byte("identity of subject " + strconv.FormatInt(int64(id), 10))
}

// Learn keeps an identity of a subject, on stable storage before it returns. One that is known already changes nothing.
func (v *Vault) Learn(ctx context.Context, c collection.ID, id subject.ID, key subject.KeyID, one Identity) error {
	if one == (Identity{}) {
		return nil
	}
	a, err := v.seal(ctx, c, key)
	if err != nil {
		return err
	}
	return v.d.Write(ctx, func(tx *db.Tx) error {
		if err := tx.Lock("reidentification " + strconv.FormatInt(int64(id), 10)); err != nil {
			return err
		}
		var sealed []byte
		var all []Identity
		err := tx.QueryRow(`SELECT sealed FROM reidentification WHERE subject = ?`, int64(id)).Scan(&sealed)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		default:
			if all, err = open(a, id, sealed); err != nil {
				return err
			}
		}
		if slices.Contains(all, one) || len(all) >= MaxIdentities {
			return nil
		}
		b, err := json.Marshal(append(all, one))
		if err != nil {
			return fault.New(fault.Internal, "keep identity", "", "it cannot be written")
		}
		_, err = tx.Exec(`INSERT INTO reidentification (subject, sealed, version) VALUES (?, ?, 1)
			ON CONFLICT (subject) DO UPDATE SET sealed = excluded.sealed, version = reidentification.version + 1`, int64(id), a.Seal(nil, nil, b, about(id)))
		return err
	})
}

func open(a cipher.AEAD, id subject.ID, sealed []byte) (all []Identity, err error) {
	b, err := a.Open(nil, nil, sealed, about(id))
	if err != nil || json.Unmarshal(b, &all) != nil {
		return nil, fault.New(fault.Corrupt, "read identity", "subject "+strconv.FormatInt(int64(id), 10), "it cannot be decrypted")
	}
	return all, nil
}

// Of is who a subject is, the first that was learned first; fault.NotFound if nothing is kept or the subject has been erased.
func (v *Vault) Of(ctx context.Context, c collection.ID, id subject.ID, key subject.KeyID) ([]Identity, error) {
	a, err := v.seal(ctx, c, key)
	if err != nil {
		return nil, err
	}
	var sealed []byte
	err = v.d.QueryRow(ctx, `SELECT sealed FROM reidentification WHERE subject = ?`, int64(id)).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "read identity", "", "nothing is kept of who this subject is")
	}
	if err != nil {
		return nil, err
	}
	return open(a, id, sealed)
}

// Has reports whether something is kept of a subject.
func (v *Vault) Has(ctx context.Context, id subject.ID) (bool, error) {
	var n int64
	err := v.d.QueryRow(ctx, `SELECT COUNT(*) FROM reidentification WHERE subject = ?`, int64(id)).Scan(&n)
	return n > 0, err
}

// SealReason encrypts why somebody asks who a subject is.
func (v *Vault) SealReason(ctx context.Context, c collection.ID, key subject.KeyID, request int64, text string) ([]byte, error) {
	a, err := v.seal(ctx, c, key)
	if err != nil {
		return nil, err
	}
	return a.Seal(nil, nil, []byte(text), aboutReason(request)), nil
}

func aboutReason(request int64) []byte {
	return []byte("reason of request " + strconv.FormatInt(request, 10))
}

// Reason is what SealReason encrypted.
func (v *Vault) Reason(ctx context.Context, c collection.ID, key subject.KeyID, r Request) (string, error) {
	a, err := v.seal(ctx, c, key)
	if err != nil {
		return "", err
	}
	b, err := a.Open(nil, nil, r.Sealed, aboutReason(r.ID))
	if err != nil {
		return "", fault.New(fault.Corrupt, "read reason", "request "+strconv.FormatInt(r.ID, 10), "it cannot be decrypted")
	}
	return string(b), nil
}
