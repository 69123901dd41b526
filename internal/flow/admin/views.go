package admin

import (
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// What is shown of collections, tokens and peers: the JSON of the management API, and of the command line, which asks either the API or the node's folder.
type (
	// CollectionView is a collection. To who has no role in it, id and title alone.
	CollectionView struct {
		ID             string            `json:"id"`
		Title          string            `json:"title,omitempty"`
		Profile        string            `json:"profile,omitempty"`
		ProfileVersion string            `json:"profile_version,omitempty"`
		ProfileDigest  string            `json:"profile_digest,omitempty"`
		AETitle        string            `json:"aet,omitempty"`
		Protocol       string            `json:"protocol,omitempty"`
		State          string            `json:"state,omitempty"`
		AttestedBy     string            `json:"attested_by,omitempty"`
		Attested       *time.Time        `json:"attested,omitempty"`
		Created        *time.Time        `json:"created,omitempty"`
		Intake         *catalogue.Counts `json:"intake,omitempty"`

		NoReidentification    bool `json:"no_reidentification,omitempty"`
		NoAutomaticAcceptance bool `json:"no_automatic_acceptance,omitempty"`
	}
	// CollectionChange is what is to be other of a collection; what is not given stays.
	CollectionChange struct {
		Title   *string `json:"title,omitempty"`
		AETitle *string `json:"aet,omitempty"` // empty: it is not reached by DICOM
		State   *string `json:"state,omitempty"`

		NoAutomaticAcceptance *bool `json:"no_automatic_acceptance,omitempty"`
	}
	// NewToken is what a token is made of.
	NewToken struct {
		Name       string     `json:"name"`
		Role       string     `json:"role"`
		Collection string     `json:"collection"`
		Expires    *time.Time `json:"expires,omitempty"`
		Secret     string     `json:"secret,omitempty"`
	}
	// TokenView is a token or an SSH key. Secret is shown once, when it is made.
	TokenView struct {
		ID         string     `json:"id"`
		Kind       string     `json:"kind"` // "token" or "ssh-key"
		Name       string     `json:"name"`
		Role       string     `json:"role"`
		Collection string     `json:"collection"`
		Created    *time.Time `json:"created,omitempty"`
		Expires    *time.Time `json:"expires,omitempty"`
		Secret     string     `json:"token,omitempty"`
	}
	// PeerView is a DICOM peer.
	PeerView struct {
		AETitle     string     `json:"aet"`
		Host        string     `json:"host"`
		Port        int        `json:"port"`
		May         string     `json:"may"`
		Collection  string     `json:"collection"`
		Certificate string     `json:"certificate,omitempty"`
		Created     *time.Time `json:"created,omitempty"`
		PeerLimits
	}
	// PeerLimits are what a peer may take of the node at a time; 0: the node's own bound.
	PeerLimits struct {
		Associations int `json:"associations,omitempty"`
		Transfers    int `json:"transfers,omitempty"`
		Queries      int `json:"queries,omitempty"` // a second
	}
)

// When is a time as views show it: in UTC, and nothing where there is none.
func When(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// ViewCollection shows a collection whole.
func ViewCollection(c collection.Collection) CollectionView {
	return CollectionView{ID: string(c.ID), Title: c.Title, Profile: c.Profile, ProfileVersion: c.ProfileVersion, ProfileDigest: c.ProfileDigest, AETitle: string(c.AETitle), Protocol: c.Protocol,
		State: c.State.String(), AttestedBy: c.AttestedBy, Attested: When(c.Attested), Created: When(c.Created), NoReidentification: c.NoReidentification,
		NoAutomaticAcceptance: c.NoAutomaticAcceptance}
}

// Settings reads a change.
func (v *CollectionChange) Settings() (s Settings, err error) {
	s.Title, s.NoAutomaticAcceptance = v.Title, v.NoAutomaticAcceptance
	if v.AETitle != nil {
		var ae collection.AETitle
		if *v.AETitle != "" {
			if ae, err = collection.ParseAETitle(*v.AETitle); err != nil {
				return s, err
			}
		}
		s.AETitle = &ae
	}
	if v.State != nil {
		open := *v.State == collection.Open.String()
		if !open && *v.State != collection.Closed.String() {
			return s, fault.New(fault.Invalid, "change collection", "", "a collection is open or closed")
		}
		s.Open = &open
	}
	return s, nil
}

// ViewToken shows a token without its secret.
func ViewToken(t identity.Token) TokenView {
	return TokenView{ID: t.ID, Kind: "token", Name: t.Name, Role: t.Role.String(), Collection: t.Collection, Created: When(t.Created), Expires: When(t.Expires)}
}

// ViewSSHKey shows a depositor's key.
func ViewSSHKey(k identity.SSHKey) TokenView {
	return TokenView{ID: k.ID, Kind: "ssh-key", Name: k.Name, Role: policy.Depositor.String(), Collection: string(k.Collection), Created: When(k.Created)}
}

// ViewPeer shows a peer.
func ViewPeer(p identity.Peer) PeerView {
	v := PeerView{AETitle: string(p.AETitle), Host: p.Host, Port: p.Port, May: p.May.String(), Collection: p.Collection, Created: When(p.Created), PeerLimits: PeerLimits(p.Limits)}
	if p.Certificate != nil {
		v.Certificate = p.Certificate.String()
	}
	return v
}
