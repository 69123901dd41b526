package main

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/client"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/flow/proof"
	"github.com/vitrine-imaging/vitrine/internal/judge/risk"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// remote is a node administered over its API.
type remote struct{ c *client.Client }

func (r *remote) Close() error {
	r.c.Close()
	return nil
}

func (r *remote) CreateCollection(ctx context.Context, v admin.CollectionView) (made admin.CollectionView, err error) {
	return made, r.c.JSON(ctx, http.MethodPost, nil, v, &made, "api", "collections")
}

func (r *remote) ChangeCollection(ctx context.Context, id string, c admin.CollectionChange) (v admin.CollectionView, err error) {
	return v, r.c.JSON(ctx, http.MethodPatch, nil, c, &v, "api", "collections", id)
}

func (r *remote) Collections(ctx context.Context) (all []admin.CollectionView, err error) {
	return all, r.c.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "collections")
}

func (r *remote) Collection(ctx context.Context, id string) (v admin.CollectionView, err error) {
	if err := r.c.JSON(ctx, http.MethodGet, nil, nil, &v, "api", "collections", id); err != nil {
		return v, err
	}
	v.Intake = &catalogue.Counts{}
	return v, r.c.JSON(ctx, http.MethodGet, nil, nil, v.Intake, "api", "collections", id, "intake")
}

func (r *remote) Profiles(ctx context.Context, id string) (all []admin.ProfileView, err error) {
	return all, r.c.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "collections", id, "profiles")
}

func (r *remote) PutProfile(ctx context.Context, id string, text []byte) (v admin.ProfileView, err error) {
	return v, r.c.Body(ctx, http.MethodPut, nil, "application/yaml", bytes.NewReader(text), &v, "api", "collections", id, "profile")
}

func (r *remote) CreateToken(ctx context.Context, n admin.NewToken) (made admin.TokenView, err error) {
	return made, r.c.JSON(ctx, http.MethodPost, nil, n, &made, "api", "tokens")
}

func (r *remote) AddSSHKey(ctx context.Context, collection, name, public string) (made admin.TokenView, err error) {
	body := map[string]string{"collection": collection, "name": name, "key": public}
	return made, r.c.JSON(ctx, http.MethodPost, nil, body, &made, "api", "ssh-keys")
}

func (r *remote) Tokens(ctx context.Context) (all []admin.TokenView, err error) {
	return all, r.c.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "tokens")
}

func (r *remote) RevokeToken(ctx context.Context, id string) error {
	return r.c.JSON(ctx, http.MethodDelete, nil, nil, nil, "api", "tokens", id)
}

func (r *remote) AddPeer(ctx context.Context, p admin.PeerView) (made admin.PeerView, err error) {
	return made, r.c.JSON(ctx, http.MethodPost, nil, p, &made, "api", "peers")
}

func (r *remote) LimitPeer(ctx context.Context, aet string, v admin.PeerLimits) (p admin.PeerView, err error) {
	return p, r.c.JSON(ctx, http.MethodPut, nil, v, &p, "api", "peers", aet, "limits")
}

func (r *remote) Peers(ctx context.Context) (all []admin.PeerView, err error) {
	return all, r.c.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "peers")
}

func (r *remote) Forward(ctx context.Context, v admin.ForwardView) (made admin.ForwardView, err error) {
	return made, r.c.JSON(ctx, http.MethodPost, nil, v, &made, "api", "forwards")
}

func (r *remote) Forwards(ctx context.Context) (all []admin.ForwardView, err error) {
	return all, r.c.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "forwards")
}

func (r *remote) Gone(ctx context.Context) (all []admin.GoneView, err error) {
	return all, r.c.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "forwards", "withdrawn")
}

func (r *remote) ToldPeer(ctx context.Context, aet, collection string) (noted []admin.GoneView, err error) {
	return noted, r.c.JSON(ctx, http.MethodPost, nil, nil, &noted, "api", "forwards", collection, aet, "told")
}

func (r *remote) EndForward(ctx context.Context, aet, collection string) error {
	return r.c.JSON(ctx, http.MethodDelete, nil, nil, nil, "api", "forwards", collection, aet)
}

func (r *remote) RemovePeer(ctx context.Context, aet string) error {
	return r.c.JSON(ctx, http.MethodDelete, nil, nil, nil, "api", "peers", aet)
}

func (r *remote) Publish(ctx context.Context, collection, study string) (n admin.Published, err error) {
	body := map[string]string{}
	if study != "" {
		body["study"] = study
	}
	return n, r.c.JSON(ctx, http.MethodPost, nil, body, &n, "api", "collections", collection, "releases")
}

func (r *remote) audit(ctx context.Context, collection string, from int64, limit int) (entries []admin.Entry, size int64, err error) {
	q := url.Values{"from": {strconv.FormatInt(from, 10)}, "limit": {strconv.Itoa(limit)}}
	if collection != "" {
		q.Set("collection", collection)
	}
	var page struct {
		Size    int64         `json:"size"`
		Entries []admin.Entry `json:"entries"`
	}
	err = r.c.JSON(ctx, http.MethodGet, q, nil, &page, "api", "audit")
	return page.Entries, page.Size, err
}

func (r *remote) Entries(ctx context.Context, collection string, from int64, limit int) ([]admin.Entry, error) {
	entries, _, err := r.audit(ctx, collection, from, limit)
	return entries, err
}

func (r *remote) AuditSize(ctx context.Context) (int64, error) {
	_, size, err := r.audit(ctx, "", 0, 1)
	return size, err
}

// Checkpoint is signed by the node, which has its key.
func (r *remote) Checkpoint(ctx context.Context, _ keyFlags) (string, error) {
	var made struct {
		Note string `json:"note"`
	}
	err := r.c.JSON(ctx, http.MethodPost, nil, nil, &made, "api", "audit", "checkpoints")
	return made.Note, err
}

func (r *remote) ImportEntries(ctx context.Context, what directoryflow.Source, raw []byte, how directoryflow.Taking, draft bool) (out directoryflow.Outcome, err error) {
	q := url.Values{"format": {string(what.Format)}, "draft": {strconv.FormatBool(draft)}, "update": {strconv.FormatBool(how.Update)}, "publish": {strconv.FormatBool(how.Publish)}}
	for k, v := range map[string]string{"id": string(what.ID), "collection": what.Collection, "note": how.Note} {
		if v != "" {
			q.Set(k, v)
		}
	}
	kind := "application/json"
	if what.Format == directoryflow.CSV {
		kind = "text/csv"
	}
	return out, r.c.Body(ctx, http.MethodPost, q, kind, bytes.NewReader(raw), &out, "api", "directory", "import")
}

func (r *remote) DirectoryEntries(ctx context.Context) (all []directoryflow.EntryView, err error) {
	return all, r.c.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "directory")
}

func (r *remote) ExportEntry(ctx context.Context, id string, f directoryflow.Format) ([]byte, error) {
	return r.c.File(ctx, url.Values{"format": {string(f)}}, "api", "directory", id, "export")
}

func (r *remote) MayUse(ctx context.Context, id string, purpose url.Values) (u directoryflow.Use, err error) {
	return u, r.c.JSON(ctx, http.MethodGet, purpose, nil, &u, "api", "directory", id, "use")
}

func (r *remote) PublishEntry(ctx context.Context, id string, revision int64) (v directoryflow.EntryView, err error) {
	return v, r.c.JSON(ctx, http.MethodPut, nil, map[string]int64{"revision": revision}, &v, "api", "directory", id, "publication")
}

func (r *remote) RetireEntry(ctx context.Context, id string) error {
	return r.c.JSON(ctx, http.MethodDelete, nil, nil, nil, "api", "directory", id, "publication")
}

func (r *remote) CountPeople(ctx context.Context) (n directoryflow.Counting, err error) {
	return n, r.c.JSON(ctx, http.MethodPost, nil, nil, &n, "api", "directory", "counts")
}

func (r *remote) Risk(ctx context.Context, id string, k int) (*risk.Report, error) {
	report := new(risk.Report)
	return report, r.c.JSON(ctx, http.MethodGet, url.Values{"k": {strconv.Itoa(k)}}, nil, report, "api", "collections", id, "risk")
}

func (r *remote) Report(ctx context.Context, deposit string) (*proof.Report, error) {
	report := new(proof.Report)
	return report, r.c.JSON(ctx, http.MethodGet, nil, nil, report, "api", "deposits", deposit, "report")
}

// SignStatement is done by the node, which has its key.
func (r *remote) SignStatement(ctx context.Context, _ keyFlags, id string) (*proof.Signed, error) {
	signed := new(proof.Signed)
	return signed, r.c.JSON(ctx, http.MethodPost, nil, nil, signed, "api", "collections", id, "statements")
}

func (r *remote) LatestDeposit(ctx context.Context, id string) (string, error) {
	var all []struct {
		ID string `json:"id"`
	}
	err := r.c.JSON(ctx, http.MethodGet, url.Values{"collection": {id}, "limit": {"1"}}, nil, &all, "api", "deposits")
	if err == nil && len(all) == 0 {
		err = noDeposit(id)
	}
	if err != nil {
		return "", err
	}
	return all[0].ID, nil
}
