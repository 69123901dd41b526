package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

type peersCmd struct {
	Add    peerAddCmd    `cmd:"" help:"Register a DICOM application."`
	List   peerListCmd   `cmd:"" help:"List the registered applications."`
	Limit  peerLimitCmd  `cmd:"" help:"Set what an application may take of the node at a time."`
	Remove peerRemoveCmd `cmd:"" help:"Forget an application, and forward nothing to it any more."`

	Forward forwardCmd `cmd:"" help:"Send copies of collections to an application."`
}

type peerAddCmd struct {
	adminFlags
	AET         string `arg:"" name:"aet" help:"Its AE title."`
	Host        string `required:"" placeholder:"H" help:"Name or address from which it calls, and where it listens."`
	Port        int    `required:"" placeholder:"N" help:"Port on which it listens."`
	May         string `required:"" placeholder:"WHAT" help:"What it may: store, find, move, get, with commas between."`
	Collection  string `placeholder:"ID" help:"In this collection alone; without it, in all of them."`
	Certificate string `placeholder:"FILE" help:"Its client certificate (PEM); needed to query, move or get from beyond this machine."`
}

func (c *peerAddCmd) Help() string {
	return `An AE title alone proves nothing. Beyond this machine a peer has to call from its registered address and, to query, move or get, to present the certificate.`
}

// Run registers a peer.
func (c *peerAddCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	v := admin.PeerView{AETitle: c.AET, Host: c.Host, Port: c.Port, May: c.May, Collection: c.Collection}
	if v.Collection == "" {
		v.Collection = policy.AllCollections
	}
	if c.Certificate != "" {
		d, err := readCertificate(c.Certificate)
		if err != nil {
			return usage("--certificate: %w", err)
		}
		v.Certificate = d
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	p, err := o.AddPeer(ctx, v)
	if err != nil {
		return err
	}
	if p.Certificate == "" && p.May != "store" && !cli.Quiet {
		s.say("Without a certificate, %s may query, move or get from this machine alone.", p.AETitle)
	}
	return s.list(p, peerTable([]admin.PeerView{p}))
}

// readCertificate is the SHA-256 of a certificate.
func readCertificate(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return "", errors.New("it is no certificate in PEM form")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return "", err
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:]), nil
}

func parseDigest(s string) (d identity.Digest, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(b) != len(d) {
		return d, errors.New("a certificate's digest is 64 hexadecimal digits")
	}
	copy(d[:], b)
	return d, nil
}

type peerLimitCmd struct {
	adminFlags
	AET          string `arg:"" name:"aet" help:"Its AE title."`
	Associations int    `placeholder:"N" help:"Associations at a time. Without it, or 0: the node's own bound, 32."`
	Transfers    int    `placeholder:"N" help:"C-MOVE and C-GET at a time; likewise, 4."`
	Queries      int    `placeholder:"N" help:"C-FIND, C-MOVE and C-GET a second, after a burst of twice as many; likewise, 1000."`
}

func (c *peerLimitCmd) Help() string {
	return `Whatever is not given goes back to the node's own bound. Associations that stand keep theirs; the pace of queries changes at once with the next association.`
}

// Run limits a peer.
func (c *peerLimitCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	p, err := o.LimitPeer(ctx, c.AET, admin.PeerLimits{Associations: c.Associations, Transfers: c.Transfers, Queries: c.Queries})
	if err != nil {
		return err
	}
	return s.list(p, peerTable([]admin.PeerView{p}))
}

type peerListCmd struct{ adminFlags }

// Run lists peers.
func (c *peerListCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	all, err := o.Peers(ctx)
	if err != nil {
		return err
	}
	return s.list(all, peerTable(all))
}

func peerTable(all []admin.PeerView) *table {
	t := &table{head: []string{"AE TITLE", "HOST", "PORT", "MAY", "COLLECTION", "CERTIFICATE", "LIMITS", "CREATED"}, none: "No peer is registered."}
	for _, p := range all {
		cert := "none"
		if p.Certificate != "" {
			cert = p.Certificate[:min(len(p.Certificate), 16)] + "…"
		}
		t.add(p.AETitle, p.Host, strconv.Itoa(p.Port), p.May, collectionName(p.Collection), cert, limits(p.PeerLimits), day(p.Created))
	}
	return t
}

// limits shows associations, transfers and queries; a dash for the node's own bound.
func limits(l admin.PeerLimits) string {
	var all [3]string
	for i, n := range []int{l.Associations, l.Transfers, l.Queries} {
		if all[i] = strconv.Itoa(n); n == 0 {
			all[i] = "-"
		}
	}
	return strings.Join(all[:], " / ")
}

type peerRemoveCmd struct {
	adminFlags
	AET string `arg:"" name:"aet" help:"Its AE title."`
}

// Run forgets a peer.
func (c *peerRemoveCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	if err := o.RemovePeer(ctx, c.AET); err != nil {
		return err
	}
	if !cli.Quiet {
		s.say("%s is not known any more.", c.AET)
	}
	return nil
}
