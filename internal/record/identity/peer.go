package identity

import (
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// May is what a peer may ask for, a bit each. The numbers are stored.
type May int64

// The permissions of a peer.
const (
	MayStore May = 1 << iota
	MayFind
	MayMove
	MayGet
)

var mayNames = []struct {
	may  May
	name string
	role policy.Role
}{{MayStore, "store", policy.PeerStore}, {MayFind, "find", policy.PeerFind}, {MayMove, "move", policy.PeerMove}, {MayGet, "get", policy.PeerGet}}

// ParseMay reads "store,find,move,get", any of them.
func ParseMay(s string) (May, error) {
	var m May
next:
	for word := range strings.SplitSeq(s, ",") {
		for _, n := range mayNames {
			if strings.TrimSpace(word) == n.name {
				m |= n.may
				continue next
			}
		}
		return 0, fault.New(fault.Invalid, "read permissions of a peer", "", "they are store, find, move and get, with commas between")
	}
	return m, nil
}

func (m May) String() string {
	var s []string
	for _, n := range mayNames {
		if m&n.may != 0 {
			s = append(s, n.name)
		}
	}
	return strings.Join(s, ",")
}

// Peer is another DICOM application.
type Peer struct {
	AETitle     collection.AETitle
	Host        string // name or address, where it listens and where it calls from
	Port        int
	May         May
	Collection  string  // policy.AllCollections or a collection's id
	Certificate *Digest // SHA-256 of its client certificate (DER); nil: it has none
	Limits      PeerLimits
	Created     time.Time
}

// PeerLimits are what a peer may take of the node at a time; 0: the node's own bound.
type PeerLimits struct {
	Associations int // at a time
	Transfers    int // C-MOVE and C-GET at a time
	Queries      int // C-FIND, C-MOVE and C-GET a second
}

// maxPeerLimit is more than a node has to give.
const maxPeerLimit = 100_000

func (l PeerLimits) check(attempt string) error {
	for _, n := range []int{l.Associations, l.Transfers, l.Queries} {
		if n < 0 || n > maxPeerLimit {
			return fault.New(fault.Invalid, attempt, "", "a limit is a number from 1 to 100,000, or 0 for the node's own")
		}
	}
	return nil
}

// Grants are what the peer's permissions come to.
func (p Peer) Grants() []policy.Grant {
	var g []policy.Grant
	for _, n := range mayNames {
		if p.May&n.may != 0 {
			g = append(g, policy.Grant{Role: n.role, Collection: p.Collection})
		}
	}
	return g
}

// AddPeer registers a peer.
func (r *Record) AddPeer(tx *db.Tx, p Peer) (Peer, error) {
	const attempt = "add peer"
	if ae, err := collection.ParseAETitle(string(p.AETitle)); err != nil {
		return p, err
	} else if ae != p.AETitle {
		return p, fault.New(fault.Invalid, attempt, "", "the AE title is padded")
	}
	if err := checkCollection(p.Collection); err != nil {
		return p, err
	}
	switch {
	case !validHost(p.Host):
		return p, fault.New(fault.Invalid, attempt, "AE title "+string(p.AETitle), "the host is neither a name nor an address")
	case p.Port < 1 || p.Port > 65535:
		return p, fault.New(fault.Invalid, attempt, "AE title "+string(p.AETitle), "a port is a number from 1 to 65535")
	case p.May == 0 || p.May&^(MayStore|MayFind|MayMove|MayGet) != 0:
		return p, fault.New(fault.Invalid, attempt, "AE title "+string(p.AETitle), "it may nothing: name one of store, find, move, get")
	}
	if err := p.Limits.check(attempt); err != nil {
		return p, err
	}
	p.Created = db.Time(db.Micros(time.Now()))
	var cert any
	if p.Certificate != nil {
		cert = p.Certificate[:]
	}
	res, err := tx.Exec(`INSERT INTO peer (ae_title, host, port, may, collection, certificate, created, associations, transfers, queries) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (ae_title) DO NOTHING`,
		string(p.AETitle), p.Host, p.Port, int64(p.May), p.Collection, cert, db.Micros(p.Created), int64(p.Limits.Associations), int64(p.Limits.Transfers), int64(p.Limits.Queries))
	return p, added(res, err, attempt, "a peer of this AE title is registered already; remove it first")
}

// LimitPeer sets what a peer may take of the node at a time.
func (r *Record) LimitPeer(tx *db.Tx, ae collection.AETitle, l PeerLimits) error {
	const attempt = "limit peer"
	if err := l.check(attempt); err != nil {
		return err
	}
	res, err := tx.Exec(`UPDATE peer SET associations = ?, transfers = ?, queries = ? WHERE ae_title = ?`, int64(l.Associations), int64(l.Transfers), int64(l.Queries), string(ae))
	return changed(res, err, attempt, "there is no such peer")
}

// RemovePeer forgets a peer.
func (r *Record) RemovePeer(tx *db.Tx, ae collection.AETitle) error {
	res, err := tx.Exec(`DELETE FROM peer WHERE ae_title = ?`, string(ae))
	return changed(res, err, "remove peer", "there is no such peer")
}

// Peer is the registration of an AE title, which proves nothing by itself; fault.NotFound if there is none.
func (r *Record) Peer(ctx context.Context, ae collection.AETitle) (Peer, error) {
	p, err := r.peers.Get(ae, func() (Peer, error) {
		return scanPeer(r.d.QueryRow(ctx, peerColumns+` WHERE ae_title = ?`, string(ae)))
	})
	if errors.Is(err, sql.ErrNoRows) {
		return p, fault.New(fault.NotFound, "find peer", "", "no peer of this AE title is registered")
	}
	return p, err
}

// Peers lists all peers by AE title.
func (r *Record) Peers(ctx context.Context) ([]Peer, error) {
	rows, err := r.d.Query(ctx, peerColumns+` ORDER BY ae_title`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Peer
	for rows.Next() {
		p, err := scanPeer(rows)
		if err != nil {
			return nil, db.Fault("list peers", err)
		}
		all = append(all, p)
	}
	return all, db.Fault("list peers", rows.Err())
}

const peerColumns = `SELECT ae_title, host, port, may, collection, certificate, created, associations, transfers, queries FROM peer`

func scanPeer(row interface{ Scan(...any) error }) (Peer, error) {
	var p Peer
	var cert []byte
	var created int64
	if err := row.Scan(&p.AETitle, &p.Host, &p.Port, &p.May, &p.Collection, &cert, &created, &p.Limits.Associations, &p.Limits.Transfers, &p.Limits.Queries); err != nil {
		return Peer{}, err
	}
	if cert != nil {
		p.Certificate = new(Digest)
		if copy(p.Certificate[:], cert) != len(p.Certificate) {
			return Peer{}, fault.New(fault.Corrupt, "read peer", string(p.AETitle), "its certificate's digest has another length")
		}
	}
	p.Created = db.Time(created)
	return p, nil
}

// validHost accepts addresses and names of RFC 1123 2.1.
func validHost(h string) bool {
	if _, err := netip.ParseAddr(h); err == nil {
		return true
	}
	if h == "" || len(h) > 253 {
		return false
	}
	for label := range strings.SplitSeq(h, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
				return false
			}
		}
	}
	return true
}
