package main

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/user"
	"path/filepath"

	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/flow/link"
	peopleflow "github.com/vitrine-imaging/vitrine/internal/flow/people"
	"github.com/vitrine-imaging/vitrine/internal/flow/proof"
	pullflow "github.com/vitrine-imaging/vitrine/internal/flow/pull"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/judge/risk"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/pull"
)

// nodeFlags say where a node keeps its data.
type nodeFlags struct {
	Data     string `placeholder:"DIR" help:"The node's data folder."`
	Database string `placeholder:"URL" help:"PostgreSQL in place of SQLite in the data folder: postgres://..."`
}

// keyFlags say where a node's master key is.
type keyFlags struct {
	Key       string `placeholder:"FILE" help:"The master key, or the address of the key service that opens it: awskms://..., gcpkms://..., azurekeyvault://..., hashivault://..., base64key://... Default: DIR.key beside the data folder."`
	SealedKey string `placeholder:"FILE" help:"With the address of a key service: the file of what it has sealed. Default: DIR.sealed-key beside the data folder."`
}

// storeFlags say where sealed packs go.
type storeFlags struct {
	Store string `placeholder:"URL" help:"Bucket for sealed packs: s3://BUCKET?endpoint=...&region=..."`
	Tier  bool   `help:"Move sealed packs to the bucket; without it they are copied there, and stay."`
	Keep  int64  `placeholder:"BYTES" help:"With --tier: so much of the newest stays here as well."`

	Mirror string `placeholder:"URL" help:"A second bucket or folder (file:///...), elsewhere: sealed packs are copied there, and read from there where the others lack or damage one."`
}

// into puts them into a configuration.
func (f *storeFlags) into(cfg *node.Config) {
	cfg.Bucket, cfg.Tier, cfg.Keep, cfg.Mirror = f.Store, f.Tier, f.Keep, f.Mirror
}

// adminFlags say which node to administer: on its own folder, or over its API.
type adminFlags struct {
	nodeFlags
	Server    string `placeholder:"URL" help:"Administer over the node's API in place of --data."`
	Token     string `placeholder:"TOKEN" help:"With --server: what the node knows you by; better given as VITRINE_TOKEN."`
	TokenFile string `placeholder:"FILE" help:"With --server: file that holds the token."`
	PlainHTTP bool   `name:"plain-http" help:"With --server: send the token over http:// beyond this machine."`
}

// office is a node that is administered, from near or from afar.
type office interface {
	CreateCollection(ctx context.Context, c admin.CollectionView) (admin.CollectionView, error)
	ChangeCollection(ctx context.Context, id string, c admin.CollectionChange) (admin.CollectionView, error)
	Collections(ctx context.Context) ([]admin.CollectionView, error)
	Collection(ctx context.Context, id string) (admin.CollectionView, error)
	Profiles(ctx context.Context, id string) ([]admin.ProfileView, error)
	PutProfile(ctx context.Context, id string, text []byte) (admin.ProfileView, error)
	CreateToken(ctx context.Context, t admin.NewToken) (admin.TokenView, error)
	AddSSHKey(ctx context.Context, collection, name, public string) (admin.TokenView, error)
	Tokens(ctx context.Context) ([]admin.TokenView, error)
	RevokeToken(ctx context.Context, id string) error
	AddPeer(ctx context.Context, p admin.PeerView) (admin.PeerView, error)
	LimitPeer(ctx context.Context, aet string, v admin.PeerLimits) (admin.PeerView, error)
	Peers(ctx context.Context) ([]admin.PeerView, error)
	RemovePeer(ctx context.Context, aet string) error
	Forward(ctx context.Context, f admin.ForwardView) (admin.ForwardView, error)
	Forwards(ctx context.Context) ([]admin.ForwardView, error)
	Gone(ctx context.Context) ([]admin.GoneView, error)
	ToldPeer(ctx context.Context, aet, collection string) ([]admin.GoneView, error)
	EndForward(ctx context.Context, aet, collection string) error
	Publish(ctx context.Context, collection, study string) (admin.Published, error)
	Entries(ctx context.Context, collection string, from int64, limit int) ([]admin.Entry, error)
	AuditSize(ctx context.Context) (int64, error)
	Checkpoint(ctx context.Context, key keyFlags) (string, error)
	ImportEntries(ctx context.Context, what directoryflow.Source, raw []byte, how directoryflow.Taking, draft bool) (directoryflow.Outcome, error)
	DirectoryEntries(ctx context.Context) ([]directoryflow.EntryView, error)
	ExportEntry(ctx context.Context, id string, f directoryflow.Format) ([]byte, error)
	MayUse(ctx context.Context, id string, purpose url.Values) (directoryflow.Use, error)
	PublishEntry(ctx context.Context, id string, revision int64) (directoryflow.EntryView, error)
	RetireEntry(ctx context.Context, id string) error
	CountPeople(ctx context.Context) (directoryflow.Counting, error)
	Risk(ctx context.Context, id string, k int) (*risk.Report, error)
	Report(ctx context.Context, deposit string) (*proof.Report, error)
	LatestDeposit(ctx context.Context, collection string) (string, error)
	SignStatement(ctx context.Context, key keyFlags, collection string) (*proof.Signed, error)
	People(ctx context.Context) ([]signin.PersonView, error)
	AddPerson(ctx context.Context, n signin.NewPerson) (signin.PersonView, error)
	Person(ctx context.Context, id string) (signin.PersonView, error)
	ChangePerson(ctx context.Context, id string, c signin.Change) (signin.PersonView, error)
	WayIn(ctx context.Context, id, by string) (*signin.WayIn, error)
	Known(ctx context.Context, id string) (peopleflow.View, error)
	Confirm(ctx context.Context, id string, s peopleflow.Seen) (peopleflow.View, error)
	Due(ctx context.Context) ([]peopleflow.View, error)
	MakeLink(ctx context.Context, key keyFlags, base, collection string, n link.NewLink) (link.View, error)
	Links(ctx context.Context, key keyFlags, collection string) ([]link.View, error)
	EndLink(ctx context.Context, key keyFlags, collection, id string) error
	MakePull(ctx context.Context, key keyFlags, collection string, n pullflow.NewPull) (pullflow.View, error)
	Pulls(ctx context.Context, key keyFlags, collection string) ([]pullflow.View, error)
	Pull(ctx context.Context, key keyFlags, collection, id string) (pullflow.View, error)
	PullFates(ctx context.Context, key keyFlags, collection, id string, after int64) ([]pullflow.Fate, error)
	ChangePull(ctx context.Context, key keyFlags, collection, id string, to pull.State) (pullflow.View, error)
	Close() error
}

// open opens the node. A --data or --server on the command line itself wins over the other's environment variable.
func (f *adminFlags) open(ctx context.Context, s *streams) (office, error) {
	local := f.Data != "" || f.Database != ""
	if local && f.Server != "" {
		switch near := s.given["data"] || s.given["database"]; {
		case near && s.given["server"]:
			return nil, usage("give either --data or --server")
		case near:
			f.Server = ""
		case s.given["server"]:
			local = false
		default:
			return nil, usage("both VITRINE_DATA and VITRINE_SERVER are set; say --data DIR or --server URL")
		}
	}
	if local {
		return openLocal(ctx, f.config())
	}
	if f.Server == "" {
		return nil, usage("say which node: --data DIR on the node itself, or --server URL")
	}
	sf := serverFlags{Server: f.Server, Token: f.Token, TokenFile: f.TokenFile, PlainHTTP: f.PlainHTTP}
	c, err := sf.client(1)
	if err != nil {
		return nil, err
	}
	return &remote{c}, nil
}

// into says in a configuration where the key is.
func (f keyFlags) into(cfg *node.Config) { cfg.Key, cfg.Sealed = f.Key, f.SealedKey }

func (f *nodeFlags) config() node.Config { return node.Config{Data: f.Data, Database: f.Database} }

// there refuses a folder that no node has: a misspelt one would become a fresh node.
func there(cfg node.Config) error {
	if cfg.Data == "" {
		if cfg.Database == "" {
			return usage("say where the node's data is: --data DIR")
		}
		return nil
	}
	if cfg.Database != "" {
		return nil
	}
	if fi, err := os.Stat(cfg.Data); err != nil || !fi.IsDir() {
		return usage("there is no data folder %s", cfg.Data)
	}
	if _, err := os.Stat(filepath.Join(cfg.Data, "catalogue.db")); errors.Is(err, os.ErrNotExist) {
		return usage("%s is not the data folder of a node; `vitrine serve --data %[1]s` makes one", cfg.Data)
	}
	return nil
}

// operator is who runs this command, for the audit log.
func operator() admin.Caller {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return admin.Operator(u.Username)
	}
	return admin.Operator("unknown")
}
