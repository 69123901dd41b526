package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// SSHKey opens SFTP into one collection: the SFTP user's name is the collection's id, and its role is depositor.
type SSHKey struct {
	ID         string
	Digest     Digest // of the key as it goes over the wire (RFC 4253 6.6)
	Algorithm  string
	Name       string
	Collection collection.ID
	Created    time.Time
}

// Grant is what the key gives.
func (k SSHKey) Grant() policy.Grant {
	return policy.Grant{Role: policy.Depositor, Collection: string(k.Collection)}
}

// PublicKey is a public key as it goes over the wire.
type PublicKey struct {
	Algorithm string
	wire      []byte
}

// Fingerprint is the key's digest as ssh-keygen shows it.
func (p PublicKey) Fingerprint() string {
	sum := sha256.Sum256(p.wire)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

var sshAlgorithms = map[string]bool{
	"ssh-ed25519": true, "ecdsa-sha2-nistp256": true, "ecdsa-sha2-nistp384": true, "ecdsa-sha2-nistp521": true, "ssh-rsa": true,
	"sk-ssh-ed25519@openssh.com": true, "sk-ecdsa-sha2-nistp256@openssh.com": true,
}

// ParsePublicKey reads the one key of an OpenSSH .pub file: algorithm, base64, and a comment that is not kept, because it tends to be an address.
func ParsePublicKey(file string) (PublicKey, error) {
	bad := func(why string) (PublicKey, error) {
		return PublicKey{}, fault.New(fault.Invalid, "read SSH public key", "", why)
	}
	var line string
	for l := range strings.Lines(file) {
		if l = strings.TrimSpace(l); l == "" || l[0] == '#' {
			continue
		}
		if line != "" {
			return bad("the file holds more than one key")
		}
		line = l
	}
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return bad("a public key is a line of algorithm, base64 and comment")
	}
	if !sshAlgorithms[fields[0]] {
		return bad("the algorithm is none of ssh-ed25519, ecdsa-sha2-nistp256/384/521, ssh-rsa, or the sk- forms of the first two")
	}
	if len(fields[1]) > 8192 {
		return bad("the key is longer than any key is")
	}
	wire, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return bad("the key is not base64")
	}
	parts, ok := wireStrings(wire)
	if !ok || len(parts) < 2 || string(parts[0]) != fields[0] {
		return bad("the key is cut off or of another algorithm than the line says")
	}
	if fields[0] == "ssh-rsa" && (len(parts) != 3 || len(strings.TrimLeft(string(parts[2]), "\x00")) < 256) {
		return bad("an RSA key needs 2048 bits or more")
	}
	if fields[0] == "ssh-ed25519" && (len(parts) != 2 || len(parts[1]) != 32) {
		return bad("an Ed25519 key has 32 bytes")
	}
	return PublicKey{Algorithm: fields[0], wire: wire}, nil
}

// wireStrings splits a sequence of strings with lengths of four bytes (RFC 4251 5).
func wireStrings(b []byte) (parts [][]byte, ok bool) {
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, false
		}
		n := uint64(binary.BigEndian.Uint32(b))
		if n > uint64(len(b)-4) || len(parts) == 8 {
			return nil, false
		}
		parts = append(parts, b[4:4+n])
		b = b[4+n:]
	}
	return parts, true
}

type keyAt struct {
	collection collection.ID
	digest     Digest
}

// AddSSHKey registers a key for the collection.
func (r *Record) AddSSHKey(tx *db.Tx, c collection.ID, name string, key PublicKey) (SSHKey, error) {
	const attempt = "register SSH key"
	k := SSHKey{Digest: sha256.Sum256(key.wire), Algorithm: key.Algorithm, Name: name, Collection: c, Created: db.Time(db.Micros(time.Now()))}
	if len(key.wire) == 0 {
		return k, fault.New(fault.Invalid, attempt, "", "there is no key")
	}
	if err := checkName(attempt, name); err != nil {
		return k, err
	}
	if _, err := collection.ParseID(string(c)); err != nil {
		return k, err
	}
	var err error
	if k.ID, err = newID("key-"); err != nil {
		return k, err
	}
	res, err := tx.Exec(`INSERT INTO ssh_key (id, hash, algorithm, name, collection, created, revoked) VALUES (?, ?, ?, ?, ?, ?, 0)
		ON CONFLICT (collection, hash) DO UPDATE SET id = excluded.id, name = excluded.name, created = excluded.created, revoked = 0 WHERE ssh_key.revoked <> 0`,
		k.ID, k.Digest[:], k.Algorithm, name, string(c), db.Micros(k.Created))
	return k, added(res, err, attempt, "the key is registered for this collection already")
}

// SSHKeyFor is the registration of a key, as it came over the wire, for the collection that the SFTP user names. Every failure is the same fault.Denied.
func (r *Record) SSHKeyFor(ctx context.Context, user string, wire []byte) (SSHKey, error) {
	denied := fault.New(fault.Denied, "recognise SSH key", "", "the key is not registered for this collection, or was revoked")
	c, err := collection.ParseID(user)
	if err != nil {
		return SSHKey{}, denied
	}
	at := keyAt{c, sha256.Sum256(wire)}
	k, err := r.keys.Get(at, func() (SSHKey, error) {
		k, err := scanSSHKey(r.d.QueryRow(ctx, sshColumns+` WHERE collection = ? AND hash = ? AND revoked = 0`, string(c), at.digest[:]))
		if err == nil && subtle.ConstantTimeCompare(k.Digest[:], at.digest[:]) != 1 {
			err = denied
		}
		return k, err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return SSHKey{}, denied
	}
	return k, err
}

// SSHKeys lists the keys in force, oldest first.
func (r *Record) SSHKeys(ctx context.Context) ([]SSHKey, error) {
	rows, err := r.d.Query(ctx, sshColumns+` WHERE revoked = 0 ORDER BY created, id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []SSHKey
	for rows.Next() {
		k, err := scanSSHKey(rows)
		if err != nil {
			return nil, db.Fault("list SSH keys", err)
		}
		all = append(all, k)
	}
	return all, db.Fault("list SSH keys", rows.Err())
}

// RevokeSSHKey ends a registration.
func (r *Record) RevokeSSHKey(tx *db.Tx, id string) error {
	res, err := tx.Exec(`UPDATE ssh_key SET revoked = ? WHERE id = ? AND revoked = 0`, db.Micros(time.Now()), id)
	return changed(res, err, "revoke SSH key", "there is no such key, or it is revoked already")
}

const sshColumns = `SELECT id, hash, algorithm, name, collection, created FROM ssh_key`

func scanSSHKey(row interface{ Scan(...any) error }) (SSHKey, error) {
	var k SSHKey
	var hash []byte
	var created int64
	if err := row.Scan(&k.ID, &hash, &k.Algorithm, &k.Name, &k.Collection, &created); err != nil {
		return SSHKey{}, err
	}
	if copy(k.Digest[:], hash) != len(k.Digest) {
		return SSHKey{}, fault.New(fault.Corrupt, "read SSH key", k.ID, "its digest has another length")
	}
	k.Created = db.Time(created)
	return k, nil
}
