package node

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/api"
	"github.com/vitrine-imaging/vitrine/internal/door/dicomweb"
	"github.com/vitrine-imaging/vitrine/internal/door/drs"
	"github.com/vitrine-imaging/vitrine/internal/door/fhir"
	"github.com/vitrine-imaging/vitrine/internal/door/portal"
	"github.com/vitrine-imaging/vitrine/internal/door/upload"
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	releaseflow "github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// website assembles what HTTP serves.
func (n *Node) website() (*http.Server, error) {
	s := n.Stores
	mux := web.NewMux()
	give, held := n.Delivery, n.Review
	dicomweb.New(dicomweb.Parts{
		Delivery: give,
		Begin: func(ctx context.Context, id collection.ID, actor string) (dicomweb.Deposit, error) {
			return n.Custody.Begin(ctx, id, custody.DoorSTOW, actor)
		},
		Log:  n.cfg.Log,
		Base: n.place.Public,
	}).Register(mux)
	drs.New(drs.Parts{Releases: n.Releases, Name: nodeName, Version: n.cfg.Version, Log: n.cfg.Log}).Register(mux)
	uploads, err := upload.New(n.Uploads, n.Links, n.cfg.Log)
	if err != nil {
		return nil, err
	}
	uploads.Register(mux)
	sign, err := signer(s.Ring.Root())
	if err != nil {
		return nil, err
	}
	desk, metrics := s.Desk(), api.NewMetrics()
	metrics.Jobs(n.queue.Counts)
	if n.Gateway != nil {
		metrics.Gateway(n.standing())
	}
	metrics.Node(n.Status.Measure)
	if n.dimse != nil {
		metrics.Associations(func() int {
			if s := n.associations.Load(); s != nil {
				return s.Associations()
			}
			return 0
		})
		n.dimse.ObserveEnd, n.dimse.ObserveRefused = metrics.AssociationEnded, metrics.AssociationRefused
		n.dimse.Observe = func(status uint16, bytes int64, took time.Duration) {
			metrics.Stored(status, bytes)
			n.tracedStore(status, bytes, took)
		}
	}
	n.SignIn = signin.New(signin.Parts{DB: s.DB, Audit: s.Audit, Identity: s.Identity, Persons: s.Persons, Root: s.Ring.Root(), Mail: n.Mail, Provider: n.cfg.OIDC, Exists: func(ctx context.Context, id string) error {
		_, err := s.Collections.Get(ctx, collection.ID(id))
		return err
	}})
	who, err := s.Reidentify(context.Background())
	if err != nil {
		return nil, err
	}
	proofs := s.Proofs(n.cfg.Version, sign, n.Directory.Risk)
	api.New(api.Parts{
		Reidentify: who, Proof: proofs, Links: n.Links, Pulls: n.Pulls, Access: n.Access, Consent: n.Consent, Releases: n.Releases, Recalls: n.Recalls,
		Desk: desk, People: n.SignIn, Who: s.Who(), Delivery: give, Review: held, Directory: n.Directory, Metrics: metrics, Status: n.Status, Version: n.cfg.Version, Name: nodeName,
		Ready: func(ctx context.Context) error {
			if !n.Status.Up(ctx) {
				return fault.New(fault.Unavailable, "ask the node", "", "its database or its keys do not answer")
			}
			return nil
		},
		Secret: func(ctx context.Context, who admin.Caller, id collection.ID) (string, error) {
			key, err := desk.TakeSecret(ctx, who, id, s.Ring)
			return base64.StdEncoding.EncodeToString(key[:]), err
		},
		Checkpoint: func(ctx context.Context, who admin.Caller) (string, error) { return desk.Checkpoint(ctx, who, sign) },
	}).Register(mux)
	(&fhir.Door{Consent: n.Consent, Name: nodeName, Version: n.cfg.Version}).Register(mux)
	facts, err := s.Clinical(context.Background())
	if err != nil {
		return nil, err
	}
	pages, err := portal.New(portal.Parts{Desk: desk, Reidentify: who, Proof: proofs, Review: held, Clinical: facts, Ask: n.Questions, Access: n.Access, Recalls: n.Recalls, Status: n.Status, DICOM: n.DICOMAddr(), Delivery: give, SignIn: n.SignIn, Who: s.Who(), Links: n.Links, Pulls: n.Pulls, Consent: n.Consent, Releases: n.Releases, Notices: n.Notices, Directory: n.Directory, Name: nodeName, Log: n.cfg.Log})
	if err != nil {
		return nil, err
	}
	pages.Register(mux)
	front := &web.Front{Cut: subject.WithCut, Identify: n.identify, Session: pages.Session, Log: n.cfg.Log, Observe: n.observed(metrics.Observe), Show: pages.Show, Place: n.place}
	server := web.Server(n.traced(mux.ServeMux, n.settled(front.Handler(mux.ServeMux))), n.cfg.Log)
	n.routes = mux.Patterns()
	server.RegisterOnShutdown(uploads.Drain)
	server.RegisterOnShutdown(pages.Drain)
	return server, nil
}

// Routes are the patterns of what HTTP serves, as [http.ServeMux] has them.
func (n *Node) Routes() []string { return n.routes }

// identify recognises a bearer token.
func (n *Node) identify(ctx context.Context, token string) (web.Caller, error) {
	if strings.HasPrefix(token, releaseflow.TicketPrefix) {
		who, err := n.Releases.Holder(token)
		return web.Caller(who), err
	}
	t, err := n.Stores.Identity.TokenBySecret(ctx, token)
	if err != nil {
		return web.Caller{}, err
	}
	return web.Caller{Actor: t.ID, Grants: []policy.Grant{t.Grant()}}, nil
}

// settled lets a question wait for what was acknowledged before it was asked: a sender finds what it has just sent.
func (n *Node) settled(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Without a token or a session there is nothing to wait for: nothing will be told.
		if r.Method == http.MethodGet && (r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "") && (strings.Contains(r.URL.Path, "/dicomweb/") || strings.HasPrefix(r.URL.Path, "/api/")) {
			if err := n.Custody.Barrier(r.Context()); err != nil {
				if r.Context().Err() == nil { // or the client has gone
					web.Fail(w, r, err)
				}
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}
