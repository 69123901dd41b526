package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/client"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/gateway"
	"github.com/vitrine-imaging/vitrine/internal/flow/status"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

type gatewayCmd struct {
	Run    gatewayRunCmd    `cmd:"" default:"withargs" help:"Run the gateway."`
	Status gatewayStatusCmd `cmd:"" help:"Say what waits to be sent, since when, and why."`
}

type gatewayRunCmd struct {
	serveFlags
	Node       string   `placeholder:"URL" help:"The node that is sent to, such as https://images.example.org."`
	Collection string   `placeholder:"ID" help:"The node's collection that is cleaned for."`
	TokenFile  string   `placeholder:"FILE" help:"File that holds the node's token for this gateway: vitrine token create --role gateway."`
	Secret     string   `enum:"node,site" default:"node" help:"Whose secret names the subjects: the node's, so that they are called as it calls them, or the site's own, which never leaves. It cannot be changed later. Default: ${default}."`
	AET        string   `name:"aet" default:"VITRINE" placeholder:"TITLE" help:"Called AE title. Default: ${default}."`
	NodeCA     string   `name:"node-ca" placeholder:"FILE" help:"Certificates (PEM) that vouch for the node, in place of this machine's."`
	PlainHTTP  bool     `name:"plain-http" help:"Send over http:// beyond this machine."`
	Allow      []string `placeholder:"OPTION" help:"Let the node's profile keep what leads back to somebody: retain-uids, retain-full-dates, retain-institution-identity. Without it a profile that would is not taken. May be given more than once."`
	Rate       int64    `placeholder:"BYTES" help:"Send no more than so many bytes a second."`
}

func (c *gatewayRunCmd) Help() string {
	return `A gateway stands inside a hospital. It receives by DICOM as a node does, cleans by the collection's profile, which it fetches from the node, and sends what is clean there over HTTPS, in order, until the node has it. What is held is decided on here, in its portal. The node sees no identity.`
}

// Run runs the gateway until it is told to stop.
func (c *gatewayRunCmd) Run(ctx context.Context, s *streams) error {
	cfg, err := c.node(s)
	if err != nil {
		return err
	}
	switch {
	case c.Node == "":
		return usage("say where to send to: --node URL")
	case c.TokenFile == "":
		return usage("say where the token is: --token-file FILE")
	case c.Rate < 0:
		return usage("--rate is not below 0")
	}
	id, err := collection.ParseID(c.Collection)
	if err != nil {
		return usage("--collection: %w", err)
	}
	ae, err := collection.ParseAETitle(c.AET)
	if err != nil {
		return usage("--aet: %w", err)
	}
	secret := custody.SecretNode
	if c.Secret == custody.SecretSite {
		secret = custody.SecretSite
	}
	var allow deid.Option
	for _, name := range c.Allow {
		o, ok := deid.ParseOption(name)
		if !ok || !slices.Contains(gateway.Outward(), name) {
			return usage("--allow: %q is none of %s", name, strings.Join(gateway.Outward(), ", "))
		}
		allow |= o
	}
	cfg.Gateway = &gateway.Config{Node: c.Node, Collection: id, TokenFile: c.TokenFile, Secret: secret, AETitle: ae, CA: c.NodeCA, PlainHTTP: c.PlainHTTP, Bytes: c.Rate, Allow: allow}
	return serveNode(ctx, s, cfg)
}

type gatewayStatusCmd struct {
	Server    string `default:"http://127.0.0.1:8080" placeholder:"URL" help:"The gateway. Default: ${default}."`
	Token     string `placeholder:"TOKEN" help:"A steward's or administrator's at the gateway; better given as VITRINE_TOKEN."`
	PlainHTTP bool   `name:"plain-http" help:"Send the token over http:// beyond this machine."`
}

// Run asks the gateway how it stands.
func (c *gatewayStatusCmd) Run(ctx context.Context, s *streams) error {
	to, err := client.New(c.Server, c.Token, client.Options{PlainHTTP: c.PlainHTTP, Agent: "vitrine"})
	if err != nil {
		return usage("--server: %w", err)
	}
	defer to.Close()
	var g status.Gateway
	if err := to.JSON(ctx, http.MethodGet, nil, nil, &g, "api", "gateway"); err != nil {
		return err
	}
	if s.json {
		return s.value(g)
	}
	fmt.Fprintf(s.out, "%s at %s, by %s, with the %s's secret\n", g.Collection, g.Node, g.Profile, g.Secret)
	t := &table{head: []string{"WAITING", "STUDIES", "OLDEST", "LAST TAKEN", "NOT GETTING THROUGH", "HELD HERE"}}
	why := ""
	if g.Failing != nil {
		why = g.Failure + " since " + minute(g.Failing)
	}
	t.add(strconv.FormatInt(g.Instances, 10), strconv.FormatInt(g.Studies, 10), minute(g.Oldest), minute(g.Succeeded), why, strconv.FormatInt(g.Held, 10))
	if err := s.print(t); err != nil {
		return err
	}
	for _, outcome := range slices.Sorted(maps.Keys(g.Sent)) {
		fmt.Fprintf(s.out, "%s at the node: %d\n", outcome, g.Sent[outcome])
	}
	return nil
}
