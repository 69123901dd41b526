package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/node"
)

type serveCmd struct{ serveFlags }

// serveFlags say how a node, or a gateway, runs.
type serveFlags struct {
	nodeFlags
	keyFlags
	storeFlags
	oidcFlags
	mailFlags
	doiFlags
	HTTP    string   `name:"http" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where HTTP and DICOMweb listen; port 0 picks a free one, off listens nowhere. Default: ${default}."`
	DICOM   string   `name:"dicom" default:"127.0.0.1:11112" placeholder:"HOST:PORT" help:"Where DICOM listens, likewise. Default: ${default}."`
	SFTP    string   `name:"sftp" default:"127.0.0.1:2022" placeholder:"HOST:PORT" help:"Where SFTP listens, likewise; its usual address may be taken, then it is off. Default: ${default}."`
	TLSCert string   `name:"tls-cert" placeholder:"FILE" help:"Certificate chain (PEM): HTTP and DICOM speak TLS then."`
	TLSKey  string   `name:"tls-key" placeholder:"FILE" help:"Its private key (PEM)."`
	Public  string   `name:"public-url" placeholder:"URL" help:"Where people reach the portal, such as https://images.example.org, when something else ends TLS or goes by another name."`
	Proxies []string `name:"trusted-proxy" placeholder:"ADDRESS" help:"Address, or range such as 10.0.0.0/24, of proxies before HTTP: theirs is the X-Forwarded-For that is believed. May be given more than once."`
	Watch   []string `name:"watch" placeholder:"COLLECTION=DIR" help:"Take what is put into a folder, and remove it there; what is refused is moved to DIR/refused. Its files lie in clear until they are taken. May be given more than once."`
	OCR     string   `name:"tesseract" default:"off" placeholder:"auto|off|PROGRAM" help:"Tesseract as a second reader of pixels: where it is installed, never, or a program of that kind. Default: ${default}."`
	Demo    bool     `help:"A demonstration: the master key inside the data folder, images from this machine taken from anybody. Never with real images."`
	Traces  string   `placeholder:"URL" help:"Collector that traces are sent to, by OTLP over HTTP (OpenTelemetry): http://HOST:4318/v1/traces. Without it none are made."`
	Log     string   `enum:"text,json" default:"text" help:"Form of the log on standard error: ${enum}."`
	Level   string   `enum:"debug,info,warn,error" default:"info" help:"What is logged: ${enum} and worse."`
}

func (c *serveCmd) Help() string {
	return `When everything listens, one line is printed: ready http=http://HOST:PORT dicom=HOST:PORT sftp=HOST:PORT. SIGTERM or Ctrl-C drains and ends; a second one ends at once.

The master key lies outside the data folder: --key FILE, or DIR.key beside it. For a fresh folder it is made; copy it to a safe place, apart from the backups of the data.`
}

// usualSFTP is the default of --sftp.
const usualSFTP = "127.0.0.1:2022"

// Run serves until it is told to stop.
func (c *serveCmd) Run(ctx context.Context, s *streams) error {
	cfg, err := c.node(s)
	if err != nil {
		return err
	}
	return serveNode(ctx, s, cfg)
}

// node is what the flags make of a node.
func (c *serveFlags) node(s *streams) (cfg node.Config, err error) {
	if c.Data == "" {
		return cfg, usage("say where to keep the data: --data DIR")
	}
	cfg = c.config()
	c.keyFlags.into(&cfg)
	c.storeFlags.into(&cfg)
	cfg.HTTP, cfg.DICOM, cfg.Demo = listen(c.HTTP), listen(c.DICOM), c.Demo
	for _, w := range c.Watch {
		id, dir, ok := strings.Cut(w, "=")
		if !ok || id == "" || dir == "" {
			return cfg, usage("--watch is COLLECTION=DIR")
		}
		if c.Data != "" && (within(dir, c.Data) || within(c.Data, dir)) {
			return cfg, usage("a watched folder and the data folder cannot lie in each other")
		}
		cfg.Watch = append(cfg.Watch, node.WatchFolder{Path: dir, Collection: id})
	}
	cfg.SFTP, cfg.SFTPOptional = listen(c.SFTP), c.SFTP == usualSFTP
	if cfg.HTTP == "" && cfg.DICOM == "" && (cfg.SFTP == "" || cfg.SFTPOptional) {
		return cfg, usage("with --http off and --dicom off there is nothing to serve")
	}
	cfg.TLSCert, cfg.TLSKey, cfg.PublicURL, cfg.Proxies = c.TLSCert, c.TLSKey, c.Public, c.Proxies
	if cfg.OIDC, err = c.provider(s); err != nil {
		return cfg, err
	}
	if cfg.Mail, err = c.server(s); err != nil {
		return cfg, err
	}
	if cfg.Mail != nil && c.Public == "" {
		return cfg, usage("--smtp-host needs --public-url: mails lead to the node")
	}
	if cfg.DataCite, err = c.registrar(s); err != nil {
		return cfg, err
	}
	if cfg.DataCite != nil && c.Public == "" {
		return cfg, usage("--datacite needs --public-url: DOIs lead to the node")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return cfg, usage("--tls-cert and --tls-key belong together")
	}
	cfg.Log, cfg.Decoder, cfg.Documents, cfg.Video, cfg.ReadPixels, cfg.Version = c.logger(s), decoder(cfg.Data), documentReader(cfg.Data), videoWorker(), true, versionText()
	cfg.Traces = c.Traces
	cfg.Tesseract, cfg.Confine = c.OCR, confined()
	return cfg, c.keyPlace(cfg)
}

// serveNode runs a node until it is told to stop.
func serveNode(ctx context.Context, s *streams, cfg node.Config) error {
	n, err := node.New(ctx, cfg)
	if err != nil {
		return err
	}
	line := "ready"
	if u := n.URL(); u != "" {
		line += " http=" + u
	}
	if a := n.DICOMAddr(); a != "" {
		line += " dicom=" + a
	}
	if a := n.SFTPAddr(); a != "" {
		line += " sftp=" + a
	}
	fmt.Fprintln(s.out, line)
	if err := n.Welcome(ctx, s.out); err != nil {
		cfg.Log.Error("no link to sign in for the first time could be made", "error", err)
	}
	err = n.Run(ctx)
	if err == nil {
		cfg.Log.Info("stopped")
	}
	return err
}

// keyPlace refuses a key inside the data folder: every copy of the folder would be readable.
func (c *serveFlags) keyPlace(cfg node.Config) error {
	p := cfg.KeyPlace()
	path := p.File
	if c.Demo || p.Keeper != "" { // a sealed key is worth nothing without its keeper
		return nil
	}
	if within(path, cfg.Data) {
		return usage("the master key %s lies in the data folder: whoever gets a copy of the folder could read everything. Give --key a file elsewhere", path)
	}
	return nil
}

func listen(address string) string {
	if address == "off" {
		return ""
	}
	return address
}

func (c *serveFlags) logger(s *streams) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Log == "json" {
		return slog.New(slog.NewJSONHandler(s.err, o))
	}
	return slog.New(slog.NewTextHandler(s.err, o))
}
