package main

import (
	"context"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// local is a node administered on its own folder.
type local struct {
	cfg     node.Config
	records *node.Records
	desk    *admin.Desk
	who     admin.Caller
}

func openLocal(ctx context.Context, cfg node.Config) (office, error) {
	if err := there(cfg); err != nil {
		return nil, err
	}
	r, err := node.OpenRecords(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &local{cfg, r, r.Desk(), operator()}, nil
}

func (l *local) Close() error { return l.records.Close() }

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func viewCollection(c collection.Collection) collectionView {
	return collectionView{ID: string(c.ID), Title: c.Title, Profile: c.Profile, ProfileVersion: c.ProfileVersion, AETitle: string(c.AETitle), Protocol: c.Protocol,
		State: c.State.String(), AttestedBy: c.AttestedBy, Attested: when(c.Attested), Created: when(c.Created)}
}

func (l *local) CreateCollection(ctx context.Context, v collectionView) (collectionView, error) {
	id, err := collection.ParseID(v.ID)
	if err != nil {
		return v, err
	}
	c := collection.Collection{ID: id, Title: v.Title, Profile: v.Profile, Protocol: v.Protocol}
	if v.AETitle != "" {
		if c.AETitle, err = collection.ParseAETitle(v.AETitle); err != nil {
			return v, err
		}
	}
	c, err = l.desk.CreateCollection(ctx, l.who, c)
	return viewCollection(c), err
}

func (l *local) Collections(ctx context.Context) ([]collectionView, error) {
	all, err := l.desk.ListCollections(ctx, l.who)
	views := make([]collectionView, len(all))
	for i, c := range all {
		views[i] = viewCollection(c)
	}
	return views, err
}

func (l *local) Collection(ctx context.Context, id string) (collectionView, error) {
	c, err := collection.ParseID(id)
	if err != nil {
		return collectionView{}, err
	}
	found, err := l.desk.Collection(ctx, l.who, c)
	if err != nil {
		return collectionView{}, err
	}
	n, err := l.desk.Intake(ctx, l.who, c)
	v := viewCollection(found)
	v.Intake = &intake{n.Received, n.Pending, n.Catalogued, n.Held, n.Refused}
	return v, err
}

func viewToken(t identity.Token) tokenView {
	return tokenView{ID: t.ID, Kind: "token", Name: t.Name, Role: t.Role.String(), Collection: t.Collection, Created: when(t.Created), Expires: when(t.Expires)}
}

func viewKey(k identity.SSHKey) tokenView {
	return tokenView{ID: k.ID, Kind: "ssh-key", Name: k.Name, Role: policy.Depositor.String(), Collection: string(k.Collection), Created: when(k.Created)}
}

func (l *local) CreateToken(ctx context.Context, n newToken) (tokenView, error) {
	role, ok := policy.ParseRole(n.Role)
	if !ok {
		return tokenView{}, usage("--role: there is no role %q", n.Role)
	}
	t := identity.Token{Name: n.Name, Role: role, Collection: n.Collection}
	if n.Expires != nil {
		t.Expires = *n.Expires
	}
	var secret *identity.Secret
	if n.Secret != "" {
		s, err := identity.ParseSecret(n.Secret)
		if err != nil {
			return tokenView{}, err
		}
		secret = &s
	}
	made, s, err := l.desk.CreateToken(ctx, l.who, t, secret)
	if err != nil {
		return tokenView{}, err
	}
	v := viewToken(made)
	v.Secret = s.Reveal()
	return v, nil
}

func (l *local) AddSSHKey(ctx context.Context, c, name, public string) (tokenView, error) {
	id, err := collection.ParseID(c)
	if err != nil {
		return tokenView{}, err
	}
	key, err := identity.ParsePublicKey(public)
	if err != nil {
		return tokenView{}, err
	}
	k, err := l.desk.AddSSHKey(ctx, l.who, id, name, key)
	return viewKey(k), err
}

func (l *local) Tokens(ctx context.Context) ([]tokenView, error) {
	tokens, keys, err := l.desk.Tokens(ctx, l.who)
	views := []tokenView{}
	for _, t := range tokens {
		views = append(views, viewToken(t))
	}
	for _, k := range keys {
		views = append(views, viewKey(k))
	}
	return views, err
}

func (l *local) RevokeToken(ctx context.Context, id string) error {
	return l.desk.RevokeToken(ctx, l.who, id)
}

func viewPeer(p identity.Peer) peerView {
	v := peerView{AETitle: string(p.AETitle), Host: p.Host, Port: p.Port, May: p.May.String(), Collection: p.Collection, Created: when(p.Created)}
	if p.Certificate != nil {
		v.Certificate = p.Certificate.String()
	}
	return v
}

func (l *local) AddPeer(ctx context.Context, v peerView) (peerView, error) {
	ae, err := collection.ParseAETitle(v.AETitle)
	if err != nil {
		return v, err
	}
	may, err := identity.ParseMay(v.May)
	if err != nil {
		return v, err
	}
	p := identity.Peer{AETitle: ae, Host: v.Host, Port: v.Port, May: may, Collection: v.Collection}
	if v.Certificate != "" {
		d, err := parseDigest(v.Certificate)
		if err != nil {
			return v, err
		}
		p.Certificate = &d
	}
	p, err = l.desk.AddPeer(ctx, l.who, p)
	return viewPeer(p), err
}

func (l *local) Peers(ctx context.Context) ([]peerView, error) {
	all, err := l.desk.Peers(ctx, l.who)
	views := make([]peerView, len(all))
	for i, p := range all {
		views[i] = viewPeer(p)
	}
	return views, err
}

func (l *local) RemovePeer(ctx context.Context, aet string) error {
	ae, err := collection.ParseAETitle(aet)
	if err != nil {
		return err
	}
	return l.desk.RemovePeer(ctx, l.who, ae)
}

func (l *local) Publish(ctx context.Context, c, study string) (admin.Published, error) {
	id, err := collection.ParseID(c)
	if err != nil {
		return admin.Published{}, err
	}
	var uid catalogue.StudyUID
	if study != "" {
		if uid, err = catalogue.ParseUID[catalogue.StudyUID](study); err != nil {
			return admin.Published{}, err
		}
	}
	return l.desk.Publish(ctx, l.who, id, uid)
}

func (l *local) Entries(ctx context.Context, c string, from int64, limit int) ([]admin.Entry, error) {
	return l.desk.Entries(ctx, l.who, c, from, limit)
}

func (l *local) AuditSize(ctx context.Context) (int64, error) { return l.desk.AuditSize(ctx, l.who) }

func (l *local) Checkpoint(ctx context.Context, keyFile string) (string, error) {
	cfg := l.cfg
	cfg.Key = keyFile
	signed, _, err := l.records.Checkpoint(ctx, cfg, l.who)
	return signed, err
}
