// Package admin is how a node is administered: collections, tokens, SSH keys, peers, publication, the audit log. The command line on the node's own folder and the
// management API call the same methods.
//
// It promises: policy decides on every call, inside the call; what is changed and its audit entry are one transaction; a denial is in the audit log too. A
// secret is given back once, by the call that made it.
//
// It does not authenticate: a caller's grants are what a token, or the operating system, has shown.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/forwarding"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// Caller is who asks.
type Caller struct {
	Actor  string // what the audit log calls them
	Grants []policy.Grant
}

// Operator is whoever runs a command on the node's own folder.
func Operator(name string) Caller {
	return Caller{Actor: "operator " + name, Grants: []policy.Grant{{Role: policy.Operator, Collection: policy.AllCollections}}}
}

// Desk is where a node is administered.
type Desk struct {
	DB          *db.DB
	Audit       *audit.Log
	Collections *collection.Record
	Identity    *identity.Record
	Catalogue   *catalogue.Record
	Forwarding  *forwarding.Record
	// Moved is told, in the transaction, that something of a study has come into a state; Begin, that a forwarding rule has begun.
	Moved func(tx *db.Tx, c collection.ID, study catalogue.StudyUID, now policy.State) error
	Begin func(tx *db.Tx, k forwarding.Key) error
}

// allowed asks policy. A denial is logged, once an hour.
func (d *Desk) allowed(ctx context.Context, who Caller, f policy.Facts, object string) error {
	f.Grants = who.Grants
	decision := policy.Decide(f)
	if decision.Allow {
		return nil
	}
	if f.Collection != "" {
		// What is not there can be named after anything, a patient too: neither the log nor the answer repeats it.
		if _, err := d.Collections.Get(ctx, collection.ID(f.Collection)); fault.Is(err, fault.NotFound) {
			f.Collection, object = "", "a collection that is not there"
		}
	}
	if who.Actor != "" {
		err := d.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: f.Action.String(), Object: object, Collection: f.Collection, Outcome: "denied"})
			return err
		})
		if err != nil {
			return err
		}
	}
	return fault.New(fault.Denied, f.Action.String(), object, strings.Join(decision.Reasons, "; "))
}

// write makes a change that is on stable storage when it returns: images follow a collection, and a revocation is not taken back by a power cut.
func (d *Desk) write(ctx context.Context, do func(tx *db.Tx) error) error {
	if err := d.DB.Write(ctx, do); err != nil {
		return err
	}
	return d.DB.Sync()
}

// change makes a change and its audit entry in one transaction.
func (d *Desk) change(ctx context.Context, who Caller, action, object, in string, do func(tx *db.Tx) error) error {
	return d.write(ctx, func(tx *db.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: action, Object: object, Collection: in, Outcome: "done"})
	})
}

// everywhere is the audit log's collection of a grant: empty for the node as a whole.
func everywhere(c string) string {
	if c == policy.AllCollections {
		return ""
	}
	return c
}

// CreateCollection adds a collection. One that keeps what is deposited as it is takes the caller's attestation, which the audit log keeps.
func (d *Desk) CreateCollection(ctx context.Context, who Caller, c collection.Collection) (collection.Collection, error) {
	object := "collection " + string(c.ID)
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.CreateCollection}, object); err != nil {
		return c, err
	}
	if c.Profile == "" {
		c.Profile = collection.DefaultProfile
	}
	p, err := deid.Lookup(c.Profile)
	if err != nil {
		return c, fault.New(fault.Invalid, "create collection", object, "there is no such profile: "+reason(err))
	}
	c.Profile = p.Name
	if c.Protocol != "" {
		return c, fault.New(fault.Invalid, "create collection", object, "there is no such protocol; this node knows none yet")
	}
	c.ProfileVersion = p.Version
	c.AttestedBy = ""
	if p.AsDeposited {
		c.AttestedBy = who.Actor
	}
	err = d.change(ctx, who, "create collection", object, string(c.ID), func(tx *db.Tx) error {
		if err := d.Collections.Create(tx, c); err != nil || !p.AsDeposited {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "attest that deposits are de-identified already", Object: object, Collection: string(c.ID), Outcome: "done"})
	})
	if err != nil {
		return c, err
	}
	return d.Collections.Get(ctx, c.ID)
}

// reason is why a fault says that something failed.
func reason(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Reason != "" {
		return f.Reason
	}
	return err.Error()
}

// ListCollections lists every collection. That a collection exists is public.
func (d *Desk) ListCollections(ctx context.Context, who Caller) ([]collection.Collection, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.SeeDirectory}, ""); err != nil {
		return nil, err
	}
	return d.Collections.List(ctx)
}

// Collection is one collection.
func (d *Desk) Collection(ctx context.Context, who Caller, id collection.ID) (collection.Collection, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.SeeDirectory, Collection: string(id)}, "collection "+string(id)); err != nil {
		return collection.Collection{}, err
	}
	return d.Collections.Get(ctx, id)
}

// Intake says where the objects of a collection stand.
func (d *Desk) Intake(ctx context.Context, who Caller, id collection.ID) (catalogue.Counts, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.SeeIntake, Collection: string(id)}, "collection "+string(id)); err != nil {
		return catalogue.Counts{}, err
	}
	if _, err := d.Collections.Get(ctx, id); err != nil {
		return catalogue.Counts{}, err
	}
	return d.Catalogue.Intake(ctx, id)
}

// exists is for grants: a misspelt collection would be a grant for nothing, until somebody makes it.
func (d *Desk) exists(ctx context.Context, c string) error {
	if c == policy.AllCollections {
		return nil
	}
	id, err := collection.ParseID(c)
	if err != nil {
		return err
	}
	_, err = d.Collections.Get(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.Invalid, "give a grant", "collection "+c, "there is no such collection")
	}
	return err
}

// CreateToken registers a token. With a nil secret one is drawn; either way it is given back, for the last time.
func (d *Desk) CreateToken(ctx context.Context, who Caller, t identity.Token, secret *identity.Secret) (identity.Token, identity.Secret, error) {
	object := "token for " + t.Role.String()
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManageTokens}, object); err != nil {
		return t, identity.Secret{}, err
	}
	if err := d.exists(ctx, t.Collection); err != nil {
		return t, identity.Secret{}, err
	}
	if secret == nil {
		s, err := identity.NewSecret()
		if err != nil {
			return t, s, err
		}
		secret = &s
	}
	var made identity.Token
	err := d.write(ctx, func(tx *db.Tx) (err error) {
		if made, err = d.Identity.CreateToken(tx, *secret, t); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "create token", Object: made.ID + " as " + made.Role.String(), Collection: everywhere(made.Collection), Outcome: "done"})
	})
	return made, *secret, err
}

// AddSSHKey registers a depositor's key for SFTP.
func (d *Desk) AddSSHKey(ctx context.Context, who Caller, c collection.ID, name string, key identity.PublicKey) (identity.SSHKey, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManageTokens}, "SSH key"); err != nil {
		return identity.SSHKey{}, err
	}
	if err := d.exists(ctx, string(c)); err != nil {
		return identity.SSHKey{}, err
	}
	var made identity.SSHKey
	err := d.write(ctx, func(tx *db.Tx) (err error) {
		if made, err = d.Identity.AddSSHKey(tx, c, name, key); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "register SSH key", Object: made.ID, Collection: string(c), Outcome: "done"})
	})
	return made, err
}

// Tokens lists tokens and SSH keys in force.
func (d *Desk) Tokens(ctx context.Context, who Caller) ([]identity.Token, []identity.SSHKey, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManageTokens}, "tokens"); err != nil {
		return nil, nil, err
	}
	tokens, err := d.Identity.Tokens(ctx)
	if err != nil {
		return nil, nil, err
	}
	keys, err := d.Identity.SSHKeys(ctx)
	return tokens, keys, err
}

// RevokeToken ends a token or an SSH key, by its id.
func (d *Desk) RevokeToken(ctx context.Context, who Caller, id string) error {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManageTokens}, "tokens"); err != nil {
		return err
	}
	if !plainID(id) {
		return fault.New(fault.Invalid, "revoke token", "", "it is no id of a token; list the tokens to see them")
	}
	return d.change(ctx, who, "revoke token", id, "", func(tx *db.Tx) error {
		if strings.HasPrefix(id, "key-") {
			return d.Identity.RevokeSSHKey(tx, id)
		}
		return d.Identity.RevokeToken(tx, id)
	})
}

// plainID keeps a secret that was given in place of an id out of the audit log.
func plainID(id string) bool {
	return len(id) <= 40 && (strings.HasPrefix(id, "token-") || strings.HasPrefix(id, "key-"))
}

// AddPeer registers a DICOM application.
func (d *Desk) AddPeer(ctx context.Context, who Caller, p identity.Peer) (identity.Peer, error) {
	object := "peer " + string(p.AETitle)
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManagePeers}, object); err != nil {
		return p, err
	}
	if err := d.exists(ctx, p.Collection); err != nil {
		return p, err
	}
	err := d.change(ctx, who, "add peer", object+" that may "+p.May.String(), everywhere(p.Collection), func(tx *db.Tx) (err error) {
		p, err = d.Identity.AddPeer(tx, p)
		return err
	})
	return p, err
}

// Peers lists the registered DICOM applications.
func (d *Desk) Peers(ctx context.Context, who Caller) ([]identity.Peer, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManagePeers}, "peers"); err != nil {
		return nil, err
	}
	return d.Identity.Peers(ctx)
}

// LimitPeer sets what a DICOM application may take of the node at a time.
func (d *Desk) LimitPeer(ctx context.Context, who Caller, ae collection.AETitle, l identity.PeerLimits) (p identity.Peer, err error) {
	object := "peer " + string(ae)
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManagePeers}, object); err != nil {
		return p, err
	}
	if err := d.change(ctx, who, "limit peer", object, "", func(tx *db.Tx) error { return d.Identity.LimitPeer(tx, ae, l) }); err != nil {
		return p, err
	}
	all, err := d.Identity.Peers(ctx)
	for _, p := range all {
		if p.AETitle == ae {
			return p, nil
		}
	}
	return p, errors.Join(err, fault.New(fault.NotFound, "limit peer", "", "there is no such peer"))
}

// RemovePeer forgets a DICOM application.
func (d *Desk) RemovePeer(ctx context.Context, who Caller, ae collection.AETitle) error {
	object := "peer " + string(ae)
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManagePeers}, object); err != nil {
		return err
	}
	rules, err := d.Forwarding.Rules(ctx)
	if err != nil {
		return err
	}
	return d.change(ctx, who, "remove peer", object, "", func(tx *db.Tx) error {
		for _, f := range rules { // a rule without its peer sends nothing, and would send again to whoever is registered by that title next
			if f.Peer == ae {
				if err := d.Forwarding.Remove(tx, f.Key); err != nil {
					return err
				}
			}
		}
		return d.Identity.RemovePeer(tx, ae)
	})
}

// Published says what became visible.
type Published struct {
	Studies   int64 `json:"studies"`
	Instances int64 `json:"instances"`
	// Waiting counts instances of the same studies, or of the collection, that are not admitted yet.
	Waiting int64 `json:"waiting"`
}

// Publish makes the admitted instances of a study visible to researchers of its collection; with an empty study, those of the whole collection. A study that
// has none is a fault.Conflict; a collection that has none is not: it may be published again and again.
func (d *Desk) Publish(ctx context.Context, who Caller, c collection.ID, study catalogue.StudyUID) (Published, error) {
	var out Published
	object := "collection " + string(c)
	if study != "" {
		object = "a study of " + object
	}
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.Publish, Collection: string(c), State: policy.Admitted}, object); err != nil {
		return out, err
	}
	if _, err := d.Collections.Get(ctx, c); err != nil {
		return out, err
	}
	if study != "" {
		n, err := d.publish(ctx, who, c, study)
		if err != nil {
			return out, err
		}
		out.Studies, out.Instances = 1, n
		return out, nil
	}
	const page = 200
	for {
		// What is published leaves the search, so the first page is always the next one.
		q := catalogue.NewQuery(catalogue.Studies)
		q.Scopes = []policy.Scope{{Collection: string(c), States: []policy.State{policy.Admitted}}}
		q.Collection, q.Limit = c, page
		found, _, err := d.Catalogue.SearchStudies(ctx, q)
		if err != nil {
			return out, err
		}
		before := out.Studies
		for _, s := range found {
			n, err := d.publish(ctx, who, c, s.UID)
			if fault.Is(err, fault.Conflict) {
				continue // somebody else was faster
			}
			if err != nil {
				return out, err
			}
			out.Studies++
			out.Instances += n
		}
		if out.Studies == before {
			break
		}
	}
	counts, err := d.Catalogue.Intake(ctx, c)
	out.Waiting = counts.Pending
	return out, err
}

func (d *Desk) publish(ctx context.Context, who Caller, c collection.ID, study catalogue.StudyUID) (int64, error) {
	var n int64
	err := d.write(ctx, func(tx *db.Tx) error {
		ch, err := d.Catalogue.Release(tx, c, study, who.Actor)
		if err != nil {
			return err
		}
		n = ch.Instances
		if d.Moved != nil {
			if err := d.Moved(tx, c, study, policy.Released); err != nil {
				return err
			}
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "publish", Object: "study " + strconv.FormatInt(int64(ch.Study), 10), Collection: string(c), Outcome: "done"})
	})
	return n, err
}

// Entry is an entry of the audit log.
type Entry struct {
	Seq        int64     `json:"seq"`
	Time       time.Time `json:"time"`
	Actor      string    `json:"actor"`
	Action     string    `json:"action"`
	Object     string    `json:"object,omitempty"`
	Collection string    `json:"collection,omitempty"`
	Outcome    string    `json:"outcome"`
}

// Entries lists entries of the audit log in order, from a number on; at most limit. Reading it is logged too.
func (d *Desk) Entries(ctx context.Context, who Caller, collection string, from int64, limit int) ([]Entry, error) {
	// The log is one for the node: its entries on one collection tell of the others' activity by their numbers.
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ReadAudit}, "the audit log"); err != nil {
		return nil, err
	}
	all, err := d.Audit.Entries(ctx, audit.Filter{Collection: collection, From: from, Limit: limit})
	if err != nil {
		return nil, err
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: policy.ReadAudit.String(), Object: "the audit log", Collection: collection, Outcome: "done"})
		return err
	})
	out := make([]Entry, len(all))
	for i, g := range all {
		out[i] = Entry{Seq: g.Seq, Time: g.At.UTC(), Actor: g.Actor, Action: g.Action, Object: g.Object, Collection: g.Collection, Outcome: g.Outcome}
	}
	return out, err
}

// AuditSearch chooses entries of the audit log; see [audit.Search].
type AuditSearch audit.Search

// AuditFound are entries that fit, the latest first.
type AuditFound struct {
	Entries []Entry
	Reached int64
	More    bool
}

// SearchAudit looks for entries of the audit log. Reading it is logged too.
func (d *Desk) SearchAudit(ctx context.Context, who Caller, s AuditSearch) (AuditFound, error) {
	var out AuditFound
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ReadAudit}, "the audit log"); err != nil {
		return out, err
	}
	f, err := d.Audit.Search(ctx, audit.Search(s))
	if err != nil {
		return out, err
	}
	out.Reached, out.More = f.Reached, f.More
	for _, g := range f.Entries {
		out.Entries = append(out.Entries, Entry{Seq: g.Seq, Time: g.At.UTC(), Actor: g.Actor, Action: g.Action, Object: g.Object, Collection: g.Collection, Outcome: g.Outcome})
	}
	return out, d.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: policy.ReadAudit.String(), Object: "the audit log", Outcome: "done"})
		return err
	})
}

// AuditActions are the actions among the latest entries, to choose from.
func (d *Desk) AuditActions(ctx context.Context, who Caller) ([]string, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ReadAudit}, "the audit log"); err != nil {
		return nil, err
	}
	return d.Audit.Actions(ctx, 20_000)
}

// AuditSize is the number of entries.
func (d *Desk) AuditSize(ctx context.Context, who Caller) (int64, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ReadAudit}, "the audit log"); err != nil {
		return 0, err
	}
	return d.Audit.Size(ctx)
}

// VerifyAudit recomputes the log and compares it with what is stored and with its checkpoints; with a signer, their signatures too. A difference is a
// fault.Corrupt. It gives the number of entries that were compared.
func (d *Desk) VerifyAudit(ctx context.Context, who Caller, s *audit.Signer) (int64, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ReadAudit}, "the audit log"); err != nil {
		return 0, err
	}
	return d.Audit.Verify(ctx, s)
}

// Checkpoint signs the log as it is now. Kept elsewhere, the note proves later what the log said today.
func (d *Desk) Checkpoint(ctx context.Context, who Caller, s *audit.Signer) (string, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ReadAudit}, "the audit log"); err != nil {
		return "", err
	}
	if s == nil {
		return "", errors.New("signing a checkpoint takes the master key")
	}
	return d.Audit.Checkpoint(ctx, s)
}

// Evidence shows, to who does not trust this node, that an entry stood in the audit log: it is checked without the node.
func (d *Desk) Evidence(ctx context.Context, who Caller, seq int64, s *audit.Signer) (*audit.Evidence, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ReadAudit}, "the audit log"); err != nil {
		return nil, err
	}
	if s == nil {
		return nil, errors.New("signing a checkpoint takes the master key")
	}
	return d.Audit.Evidence(ctx, seq, s)
}

// Proven is an entry that evidence shows.
type Proven = audit.Proven

// CheckEvidence reads evidence, and gives the entry that it shows if it is what the node of the public key has signed; an empty key is the one that the evidence names.
func CheckEvidence(text []byte, public string) (*Proven, error) {
	var e audit.Evidence
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, fault.New(fault.Invalid, "check evidence", "", "it is not the JSON that vitrine audit prove writes")
	}
	if public == "" {
		public = e.PublicKey
	}
	return e.Check(public)
}
