// Package gateway is what makes a node a gateway: inside a hospital it cleans what one collection of a node elsewhere is to get, by that collection's profile, and sends it there over HTTPS.
//
// It promises: nothing is received before the profile and the secret are there; the profile is that of the node as it last said so, and it is asked again and again; with the node's secret subjects
// and UIDs are called here as the node calls them, and with a secret of the site's own the node can lead none of them back; what is sent has been admitted here, and is said to have been cleaned, and
// by what. What identifies goes nowhere: no original UID, no name, no title of an application entity, no name of a file.
//
// Receiving, cleaning, reading of pixels, deciding on what is held are those of every node.
package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/client"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/forward"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	record "github.com/vitrine-imaging/vitrine/internal/record/forward"
)

// Line is the name of the line from a gateway to its node.
const Line = "node"

// Config says for whom a gateway cleans.
type Config struct {
	Node       string // address of the node, https://images.example.org
	Collection collection.ID
	TokenFile  string // of a token of the role gateway, or site-gateway; read anew when the node does not take it
	Secret     string // custody.SecretNode or custody.SecretSite
	AETitle    collection.AETitle
	CA         string // PEM file of the certificates that vouch for the node; empty: the machine's
	PlainHTTP  bool   // send over http beyond this machine all the same
	Bytes      int64  // a second; 0: as many as can be
	// Allow are the options of PS3.15 E.3, of those that keep what identifies, which the site lets a profile of the node have.
	Allow deid.Option
}

// Parts are what a gateway works with.
type Parts struct {
	DB          *db.DB
	Ring        *keys.Ring
	Audit       *audit.Log
	Collections *collection.Record
	Record      *record.Record
	Log         *slog.Logger
}

// Gateway is safe for use by many goroutines.
type Gateway struct {
	Parts
	cfg       Config
	transport *http.Transport

	mu     sync.Mutex
	token  string
	client *client.Client
}

// actor is whom the audit log names.
const actor = "gateway"

// New makes a gateway. Nobody is asked anything yet.
func New(cfg Config, p Parts) (*Gateway, error) {
	g := &Gateway{Parts: p, cfg: cfg}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.DisableCompression, t.ResponseHeaderTimeout = 8, true, 10*time.Minute
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CA != "" {
		pem, err := os.ReadFile(cfg.CA)
		roots := x509.NewCertPool()
		if err != nil || !roots.AppendCertsFromPEM(pem) {
			return nil, fault.New(fault.Invalid, "open gateway", "", "the file of certificates that vouch for the node cannot be read, or holds none")
		}
		t.TLSClientConfig.RootCAs = roots
	}
	g.transport = t
	if _, err := g.speak(); err != nil { // a wrong address, or no token, is said at once
		return nil, err
	}
	return g, nil
}

// speak is a client with the token as the file has it now.
func (g *Gateway) speak() (*client.Client, error) {
	const attempt = "open gateway"
	b, err := os.ReadFile(g.cfg.TokenFile)
	if err != nil {
		return nil, fault.New(fault.Invalid, attempt, "", "the token's file cannot be read")
	}
	token := strings.TrimRight(string(b), "\r\n")
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.client != nil && token == g.token {
		return g.client, nil
	}
	c, err := client.New(g.cfg.Node, token, client.Options{PlainHTTP: g.cfg.PlainHTTP, Agent: "vitrine-gateway", Transport: g.transport})
	if err != nil {
		return nil, fault.New(fault.Invalid, attempt, "", err.Error())
	}
	g.client, g.token = c, token
	return c, nil
}

// patience is how long a question to the node may take.
const patience = 30 * time.Second

// Settle makes the gateway's collection what the node says that it is. The first time the node has to answer; later the gateway goes on by what it knows. A folder that cleans for another
// collection, or with another secret, is a fault Conflict.
func (g *Gateway) Settle(ctx context.Context) error {
	const attempt = "open gateway"
	line, err := g.Record.Line(ctx, Line)
	fresh := fault.Is(err, fault.NotFound)
	switch {
	case err != nil && !fresh:
		return err
	case !fresh && line.Collection != g.cfg.Collection:
		return fault.New(fault.Conflict, attempt, "collection "+string(g.cfg.Collection), "this folder cleans for the collection "+string(line.Collection)+": give another folder")
	case !fresh && line.Secret != g.cfg.Secret:
		return fault.New(fault.Conflict, attempt, "collection "+string(g.cfg.Collection), "this folder names subjects with the "+line.Secret+"'s secret: another would give them other pseudonyms. Give another folder")
	}
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !fresh {
		if line.Target != g.cfg.Node {
			err := g.DB.Write(ctx, func(tx *db.Tx) error { line.Target = g.cfg.Node; return g.Record.Begin(tx, line) })
			if err != nil {
				return err
			}
		}
		if err := g.Refresh(short); err != nil {
			g.Log.Warn("the node does not say now by what to clean; the gateway goes on by what it last said", "since", line.Refreshed, "error", err)
		}
		return nil
	}
	e, err := g.ask(short)
	if err != nil {
		return fault.Wrap(fault.Unavailable, attempt, "the first time the node has to say by what to clean", err)
	}
	if _, err := e.profile(g.cfg.Allow); err != nil {
		return err
	}
	if err := g.secret(short); err != nil {
		return err
	}
	if err := g.found(ctx, e); err != nil {
		return err
	}
	return g.DB.Sync()
}

// equipment is what the node says.
type equipment struct {
	Collection            string `json:"collection"`
	Title                 string `json:"title"`
	State                 string `json:"state"`
	Profile               string `json:"profile"`
	Version               string `json:"version"`
	Digest                string `json:"digest"`
	File                  string `json:"file"`
	Rules                 string `json:"rules"`
	NoReidentification    bool   `json:"no_reidentification"`
	NoAutomaticAcceptance bool   `json:"no_automatic_acceptance"`
}

func (g *Gateway) ask(ctx context.Context) (e equipment, err error) {
	c, err := g.speak()
	if err != nil {
		return e, err
	}
	if err := c.JSON(ctx, http.MethodGet, nil, nil, &e, "api", "collections", string(g.cfg.Collection), "gateway"); err != nil {
		return e, failure(err)
	}
	if e.Collection != string(g.cfg.Collection) {
		return e, errors.New("the node speaks of another collection")
	}
	return e, nil
}

// outward are the options that let something out of the hospital which leads back to somebody, or to the hospital: the site has to want it, not the node alone.
const outward = deid.RetainUIDs | deid.RetainFullDates | deid.RetainInstitution

// Outward are the names of the options that a site has to allow.
func Outward() []string {
	var names []string
	for _, o := range outward.Describe() {
		names = append(names, o.Name)
	}
	return names
}

// profile reads the profile that the node names, and proves that it is the one that it has, and one that the site lets out by.
func (e *equipment) profile(allow deid.Option) (*deid.Profile, error) {
	p, err := e.read()
	if err != nil {
		return nil, err
	}
	if more := p.Options & outward &^ allow; more != 0 {
		var names []string
		for _, o := range more.Describe() {
			names = append(names, o.Name)
		}
		return nil, fault.New(fault.Denied, "take a profile from the node", "", "it keeps what leads back to somebody, which this site has not allowed: "+strings.Join(names, ", "))
	}
	return p, nil
}

func (e *equipment) read() (*deid.Profile, error) {
	const attempt = "take a profile from the node"
	if e.Digest == "" {
		p, err := deid.Lookup(e.Profile)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, attempt, "", err)
		}
		if p.AsDeposited {
			return nil, fault.New(fault.Invalid, attempt, "", "the collection keeps what it is given as it is: a gateway would clean nothing")
		}
		return p, nil
	}
	p, err := deid.ParseProfile([]byte(e.File))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, attempt, "", err)
	}
	if p.Digest() != e.Digest {
		return nil, fault.New(fault.Corrupt, attempt, "", "its file has another digest than the node says")
	}
	return p, nil
}

// secret takes the secret that subjects are named with, or makes it.
func (g *Gateway) secret(ctx context.Context) error {
	const attempt = "take the collection's secret"
	if g.cfg.Secret == custody.SecretSite {
		_, err := g.Ring.Collection(ctx, string(g.cfg.Collection))
		return err
	}
	c, err := g.speak()
	if err != nil {
		return err
	}
	var v struct {
		Secret string `json:"secret"`
	}
	if err := c.JSON(ctx, http.MethodPost, nil, nil, &v, "api", "collections", string(g.cfg.Collection), "gateway", "secret"); err != nil {
		return fault.Wrap(fault.Unavailable, attempt, "collection "+string(g.cfg.Collection), failure(err))
	}
	b, err := base64.StdEncoding.DecodeString(v.Secret)
	if err != nil || len(b) != len(keys.Key{}) {
		return fault.New(fault.Corrupt, attempt, "", "what the node gives is no secret")
	}
	return g.Ring.Adopt(ctx, string(g.cfg.Collection), keys.Key(b))
}

// found makes the collection here, and the line to the node. Nothing else takes images here.
func (g *Gateway) found(ctx context.Context, e equipment) error {
	p, err := e.profile(g.cfg.Allow)
	if err != nil {
		return err
	}
	all, err := g.Collections.List(ctx)
	if err != nil {
		return err
	}
	own := collection.Collection{ID: g.cfg.Collection, Title: e.Title, Profile: p.Name, ProfileVersion: p.Version, AETitle: g.cfg.AETitle, NoReidentification: e.NoReidentification, NoAutomaticAcceptance: e.NoAutomaticAcceptance}
	if p.Own() {
		own.Profile, own.ProfileVersion = collection.DefaultProfile, deid.Version // until its file is put, below
	}
	err = g.DB.Write(ctx, func(tx *db.Tx) error {
		there := false
		for _, c := range all {
			was := c
			c.AETitle, c.State = "", collection.Closed
			if c.ID == own.ID {
				there = true
				c.Title, c.AETitle, c.State, c.NoAutomaticAcceptance = own.Title, own.AETitle, collection.Open, own.NoAutomaticAcceptance
			}
			if c != was {
				if err := g.Collections.Update(tx, c); err != nil {
					return err
				}
			}
		}
		if !there {
			if err := g.Collections.Create(tx, own); err != nil {
				return err
			}
		}
		if err := g.put(tx, p, e); err != nil {
			return err
		}
		if err := g.Record.Begin(tx, record.Line{Name: Line, Collection: own.ID, Target: g.cfg.Node, Secret: g.cfg.Secret}); err != nil {
			return err
		}
		if err := g.Record.Refreshed(tx, Line); err != nil {
			return err
		}
		return g.Audit.Append(tx, audit.Entry{Actor: actor, Action: "become a gateway", Object: "collection " + string(own.ID), Collection: string(own.ID), Outcome: "by " + p.Describe() + ", with the " + g.cfg.Secret + "'s secret"})
	})
	g.forget(all)
	return err
}

func (g *Gateway) forget(all []collection.Collection) {
	titles := []collection.AETitle{g.cfg.AETitle}
	for _, c := range all {
		g.Collections.Forget(c.ID, c.AETitle)
	}
	g.Collections.Forget(g.cfg.Collection, titles...)
}

// put puts a profile in force, unless it is.
func (g *Gateway) put(tx *db.Tx, p *deid.Profile, e equipment) error {
	_, err := g.Collections.PutProfile(tx, g.cfg.Collection, p, e.File, actor)
	if fault.Is(err, fault.Conflict) {
		last, lerr := g.Collections.InForce(tx, g.cfg.Collection)
		if lerr == nil && last.Profile == p.Name && last.ProfileVersion == p.Version && last.ProfileDigest == p.Digest() {
			return nil
		}
	}
	return err
}

// Refresh asks the node by what to clean, and goes by that from now on.
func (g *Gateway) Refresh(ctx context.Context) error {
	e, err := g.ask(ctx)
	if err != nil {
		return err
	}
	p, err := e.profile(g.cfg.Allow)
	if err != nil {
		return err
	}
	c, err := g.Collections.Get(ctx, g.cfg.Collection)
	if err != nil {
		return err
	}
	if e.Rules != deid.Version {
		g.Log.Warn("the node cleans by another version of the rules than this gateway: what they decide otherwise is held there", "here", deid.Version, "there", e.Rules)
	}
	changed := c.Profile != p.Name || c.ProfileVersion != p.Version || c.ProfileDigest != p.Digest()
	err = g.DB.Write(ctx, func(tx *db.Tx) error {
		if changed {
			if err := g.put(tx, p, e); err != nil {
				return err
			}
			if err := g.Audit.Append(tx, audit.Entry{Actor: actor, Action: "put profile", Object: "collection " + string(c.ID), Collection: string(c.ID), Outcome: p.Describe()}); err != nil {
				return err
			}
		}
		if c.NoAutomaticAcceptance != e.NoAutomaticAcceptance || c.Title != e.Title {
			next := c
			next.NoAutomaticAcceptance, next.Title = e.NoAutomaticAcceptance, e.Title
			if err := g.Collections.Update(tx, next); err != nil {
				return err
			}
		}
		return g.Record.Refreshed(tx, Line)
	})
	if err != nil {
		return err
	}
	g.Collections.Forget(g.cfg.Collection)
	if changed {
		g.Log.Info("the node's profile has changed: what comes from now on is cleaned by it", "profile", p.Describe())
	}
	return g.DB.Sync()
}

// asking is how often the node is asked by what to clean.
const asking = 5 * time.Minute

// Run asks the node by what to clean until ctx ends.
func (g *Gateway) Run(ctx context.Context) error {
	tick := time.NewTicker(asking)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		short, cancel := context.WithTimeout(ctx, patience)
		if err := g.Refresh(short); err != nil && ctx.Err() == nil {
			level := slog.LevelDebug // that the node is away is told where what waits is
			if fault.Is(err, fault.Denied) || fault.Is(err, fault.Invalid) || fault.Is(err, fault.Corrupt) {
				level = slog.LevelError
			}
			g.Log.Log(ctx, level, "the gateway goes on by the profile that it has", "error", err)
		}
		cancel()
	}
}

// Close ends idle connections.
func (g *Gateway) Close() { g.transport.CloseIdleConnections() }

// failure says in a word why the node did not do what it was asked.
func failure(err error) error {
	code := "protocol"
	var cert *tls.CertificateVerificationError
	p, answered := errors.AsType[*client.Problem](err)
	switch {
	case errors.As(err, &cert):
		code = "certificate"
	case answered:
		switch p.Status {
		case http.StatusUnauthorized:
			code = "token"
		case http.StatusForbidden, http.StatusNotFound:
			code = "denied"
		case http.StatusInsufficientStorage:
			code = "full"
		default:
			if client.Temporary(err) {
				code = "busy"
			}
		}
	case client.Temporary(err), errors.Is(err, context.DeadlineExceeded):
		code = "unreachable"
	}
	return &forward.Failure{Code: code, Err: err}
}
