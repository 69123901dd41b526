package main

import (
	"bytes"
	"context"
	"errors"
	"net/url"

	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/flow/proof"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/risk"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
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

func (l *local) CreateCollection(ctx context.Context, v admin.CollectionView) (admin.CollectionView, error) {
	id, err := collection.ParseID(v.ID)
	if err != nil {
		return v, err
	}
	c := collection.Collection{ID: id, Title: v.Title, Profile: v.Profile, Protocol: v.Protocol, NoReidentification: v.NoReidentification, NoAutomaticAcceptance: v.NoAutomaticAcceptance}
	if v.AETitle != "" {
		if c.AETitle, err = collection.ParseAETitle(v.AETitle); err != nil {
			return v, err
		}
	}
	c, err = l.desk.CreateCollection(ctx, l.who, c)
	return admin.ViewCollection(c), err
}

func (l *local) ChangeCollection(ctx context.Context, id string, c admin.CollectionChange) (admin.CollectionView, error) {
	of, err := collection.ParseID(id)
	if err != nil {
		return admin.CollectionView{}, err
	}
	s, err := c.Settings()
	if err != nil {
		return admin.CollectionView{}, err
	}
	if err := l.desk.ChangeCollection(ctx, l.who, of, s); err != nil {
		return admin.CollectionView{}, err
	}
	v, err := l.desk.Collection(ctx, l.who, of)
	return admin.ViewCollection(v), err
}

func (l *local) Collections(ctx context.Context) ([]admin.CollectionView, error) {
	all, err := l.desk.ListCollections(ctx, l.who)
	views := make([]admin.CollectionView, len(all))
	for i, c := range all {
		views[i] = admin.ViewCollection(c)
	}
	return views, err
}

func (l *local) Collection(ctx context.Context, id string) (admin.CollectionView, error) {
	c, err := collection.ParseID(id)
	if err != nil {
		return admin.CollectionView{}, err
	}
	found, err := l.desk.Collection(ctx, l.who, c)
	if err != nil {
		return admin.CollectionView{}, err
	}
	n, err := l.desk.Intake(ctx, l.who, c)
	v := admin.ViewCollection(found)
	v.Intake = &n
	return v, err
}

func (l *local) Profiles(ctx context.Context, id string) ([]admin.ProfileView, error) {
	c, err := collection.ParseID(id)
	if err != nil {
		return nil, err
	}
	return l.desk.Profiles(ctx, l.who, c)
}

func (l *local) PutProfile(ctx context.Context, id string, text []byte) (admin.ProfileView, error) {
	c, err := collection.ParseID(id)
	if err != nil {
		return admin.ProfileView{}, err
	}
	return l.desk.PutProfile(ctx, l.who, c, text)
}

func (l *local) CreateToken(ctx context.Context, n admin.NewToken) (admin.TokenView, error) {
	role, ok := policy.ParseTokenRole(n.Role)
	if !ok {
		return admin.TokenView{}, usage("--role: there is no role %q", n.Role)
	}
	t := identity.Token{Name: n.Name, Role: role, Collection: n.Collection}
	if n.Expires != nil {
		t.Expires = *n.Expires
	}
	var secret *identity.Secret
	if n.Secret != "" {
		s, err := identity.ParseSecret(n.Secret)
		if err != nil {
			return admin.TokenView{}, err
		}
		secret = &s
	}
	made, s, err := l.desk.CreateToken(ctx, l.who, t, secret)
	if err != nil {
		return admin.TokenView{}, err
	}
	v := admin.ViewToken(made)
	v.Secret = s.Reveal()
	return v, nil
}

func (l *local) AddSSHKey(ctx context.Context, c, name, public string) (admin.TokenView, error) {
	id, err := collection.ParseID(c)
	if err != nil {
		return admin.TokenView{}, err
	}
	key, err := identity.ParsePublicKey(public)
	if err != nil {
		return admin.TokenView{}, err
	}
	k, err := l.desk.AddSSHKey(ctx, l.who, id, name, key)
	return admin.ViewSSHKey(k), err
}

func (l *local) Tokens(ctx context.Context) ([]admin.TokenView, error) {
	tokens, keys, err := l.desk.Tokens(ctx, l.who)
	views := []admin.TokenView{}
	for _, t := range tokens {
		views = append(views, admin.ViewToken(t))
	}
	for _, k := range keys {
		views = append(views, admin.ViewSSHKey(k))
	}
	return views, err
}

func (l *local) RevokeToken(ctx context.Context, id string) error {
	return l.desk.RevokeToken(ctx, l.who, id)
}

func (l *local) AddPeer(ctx context.Context, v admin.PeerView) (admin.PeerView, error) {
	ae, err := collection.ParseAETitle(v.AETitle)
	if err != nil {
		return v, err
	}
	may, err := identity.ParseMay(v.May)
	if err != nil {
		return v, err
	}
	p := identity.Peer{AETitle: ae, Host: v.Host, Port: v.Port, May: may, Collection: v.Collection, Limits: identity.PeerLimits(v.PeerLimits)}
	if v.Certificate != "" {
		d, err := parseDigest(v.Certificate)
		if err != nil {
			return v, err
		}
		p.Certificate = &d
	}
	p, err = l.desk.AddPeer(ctx, l.who, p)
	return admin.ViewPeer(p), err
}

func (l *local) Peers(ctx context.Context) ([]admin.PeerView, error) {
	all, err := l.desk.Peers(ctx, l.who)
	views := make([]admin.PeerView, len(all))
	for i, p := range all {
		views[i] = admin.ViewPeer(p)
	}
	return views, err
}

func (l *local) LimitPeer(ctx context.Context, aet string, v admin.PeerLimits) (admin.PeerView, error) {
	ae, err := collection.ParseAETitle(aet)
	if err != nil {
		return admin.PeerView{}, err
	}
	p, err := l.desk.LimitPeer(ctx, l.who, ae, identity.PeerLimits(v))
	return admin.ViewPeer(p), err
}

func (l *local) RemovePeer(ctx context.Context, aet string) error {
	ae, err := collection.ParseAETitle(aet)
	if err != nil {
		return err
	}
	return l.desk.RemovePeer(ctx, l.who, ae)
}

func (l *local) Forward(ctx context.Context, v admin.ForwardView) (admin.ForwardView, error) {
	k, stage, err := v.Rule()
	if err != nil {
		return v, err
	}
	f, err := l.desk.Forward(ctx, l.who, k, stage)
	return admin.ViewForward(f), err
}

func (l *local) Forwards(ctx context.Context) ([]admin.ForwardView, error) {
	all, err := l.desk.Forwards(ctx, l.who)
	views := make([]admin.ForwardView, len(all))
	for i, f := range all {
		views[i] = admin.ViewForward(f)
	}
	return views, err
}

func (l *local) Gone(ctx context.Context) ([]admin.GoneView, error) { return l.desk.Gone(ctx, l.who) }

func (l *local) ToldPeer(ctx context.Context, aet, collection string) ([]admin.GoneView, error) {
	k, _, err := (&admin.ForwardView{Peer: aet, Collection: collection}).Rule()
	if err != nil {
		return nil, err
	}
	return l.desk.ToldPeer(ctx, l.who, k)
}

func (l *local) EndForward(ctx context.Context, aet, collection string) error {
	k, _, err := (&admin.ForwardView{Peer: aet, Collection: collection}).Rule()
	if err != nil {
		return err
	}
	return l.desk.EndForward(ctx, l.who, k)
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

func (l *local) Checkpoint(ctx context.Context, key keyFlags) (string, error) {
	cfg := l.cfg
	key.into(&cfg)
	signed, _, err := l.records.Checkpoint(ctx, cfg, l.who)
	return signed, err
}

func (l *local) directory(ctx context.Context) (*directoryflow.Desk, error) {
	return l.records.Directory(ctx, nil)
}

func (l *local) ImportEntries(ctx context.Context, what directoryflow.Source, raw []byte, how directoryflow.Taking, draft bool) (out directoryflow.Outcome, err error) {
	d, err := l.directory(ctx)
	if err != nil {
		return out, err
	}
	return d.ReadAndImport(ctx, l.who, what, bytes.NewReader(raw), how, draft)
}

func (l *local) DirectoryEntries(ctx context.Context) ([]directoryflow.EntryView, error) {
	d, err := l.directory(ctx)
	if err != nil {
		return nil, err
	}
	all, err := d.Drafts(ctx, l.who)
	views := make([]directoryflow.EntryView, len(all))
	for i, s := range all {
		views[i] = directoryflow.ViewStored(s)
	}
	return views, err
}

func (l *local) ExportEntry(ctx context.Context, id string, f directoryflow.Format) ([]byte, error) {
	d, err := l.directory(ctx)
	if err != nil {
		return nil, err
	}
	// Where the node is reached is not known to its folder: addresses of pages are given relative to it.
	return d.Export(ctx, l.who, directory.ID(id), f, directory.Site{Name: "Vitrine node"})
}

func (l *local) PublishEntry(ctx context.Context, id string, revision int64) (directoryflow.EntryView, error) {
	d, err := l.directory(ctx)
	if err != nil {
		return directoryflow.EntryView{}, err
	}
	v, err := d.PublishNewest(ctx, l.who, directory.ID(id), revision)
	return directoryflow.ViewEntry(v), err
}

func (l *local) RetireEntry(ctx context.Context, id string) error {
	d, err := l.directory(ctx)
	if err != nil {
		return err
	}
	return d.Retire(ctx, l.who, directory.ID(id))
}

func (l *local) CountPeople(ctx context.Context) (directoryflow.Counting, error) {
	d, err := l.directory(ctx)
	if err != nil {
		return directoryflow.Counting{}, err
	}
	n, err := d.Count(ctx, l.who)
	return directoryflow.ViewCounting(n), err
}

func (l *local) MayUse(ctx context.Context, id string, purpose url.Values) (directoryflow.Use, error) {
	p, err := directoryflow.ReadPurpose(purpose)
	if err != nil {
		return directoryflow.Use{}, err
	}
	d, err := l.directory(ctx)
	if err != nil {
		return directoryflow.Use{}, err
	}
	return d.MayUse(ctx, l.who, directory.ID(id), p)
}

func (l *local) Risk(ctx context.Context, id string, k int) (*risk.Report, error) {
	d, err := l.directory(ctx)
	if err != nil {
		return nil, err
	}
	return d.Risk(ctx, l.who, collection.ID(id), k)
}

func (l *local) Report(ctx context.Context, deposit string) (*proof.Report, error) {
	id, err := catalogue.ParseDepositID(deposit)
	if err != nil {
		return nil, err
	}
	return l.records.Proofs(versionText(), nil, nil).Report(ctx, l.who, id)
}

func (l *local) SignStatement(ctx context.Context, key keyFlags, id string) (*proof.Signed, error) {
	c, err := collection.ParseID(id)
	if err != nil {
		return nil, err
	}
	d, err := l.directory(ctx)
	if err != nil {
		return nil, err
	}
	cfg := l.cfg
	key.into(&cfg)
	cfg.Version = versionText()
	return l.records.SignStatement(ctx, cfg, l.who, c, d.Risk)
}

func (l *local) LatestDeposit(ctx context.Context, id string) (string, error) {
	c, err := collection.ParseID(id)
	if err != nil {
		return "", err
	}
	all, err := l.records.Catalogue.Deposits(ctx, c, "", 0, 1)
	if err != nil || len(all) == 0 {
		return "", errors.Join(err, noDeposit(id))
	}
	return all[0].ID.String(), nil
}
