// Package node assembles Vitrine: it opens the records, the packs and the doors in order, runs them, and closes them in the opposite order.
//
// [OpenRecords] is what a command that administers a node needs; it works while the node runs and needs no key. [OpenStores] adds keys and packs, for
// commands that read images. [New] is the whole node.
package node

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob" // file:///mirror
	_ "gocloud.dev/blob/s3blob"   // s3://bucket?endpoint=...

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/datacite"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/mail"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/door/dimse"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/backup"
	"github.com/vitrine-imaging/vitrine/internal/flow/gateway"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/flow/upload"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/forwarding"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/nodes"
	"github.com/vitrine-imaging/vitrine/internal/record/person"
	"github.com/vitrine-imaging/vitrine/internal/record/proof"
	"github.com/vitrine-imaging/vitrine/internal/record/reidentification"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Config is what a node is made of.
type Config struct {
	Data     string // folder of databases and packs
	Key      string // file of the master key, or the address of the keeper that opens SealedKey; empty: Data.key beside the folder, or demo.key inside it with Demo
	Sealed   string // file of the sealed master key, where Key is a keeper's address; empty: Data.sealed-key beside the folder
	Database string // postgres://...; empty: SQLite in Data
	Bucket   string // where sealed packs go, s3://bucket?... or file:///...; empty: nowhere
	Tier     bool   // sealed packs move to the bucket instead of being copied there
	Keep     int64  // of Tier: bytes of sealed packs that stay local
	Mirror   string // a second place for sealed packs, read where the others lack or damage one; as Bucket. Empty: none
	ReadOnly bool   // Bucket and Mirror are read from, and nothing is copied there: for commands beside a running node

	HTTP  string // listen address; empty: none
	DICOM string // listen address; empty: none
	SFTP  string // listen address; empty: none
	// Watch are folders whose files are taken; outside of the promise that nothing lies on a disk in clear.
	Watch []WatchFolder
	// SFTPOptional goes on without SFTP where its address is taken already.
	SFTPOptional bool

	TLSCert string // PEM files of a certificate and its key, for both; empty: without TLS
	TLSKey  string

	PublicURL string           // where people reach the node, https://images.example.org; empty: as each request names it
	Proxies   []string         // addresses, or ranges of them, whose X-Forwarded-For is believed
	OIDC      *signin.Provider // who vouches for people; nil: nobody
	Mail      *mail.Config     // the server that takes mails; nil: none is sent. It wants a PublicURL

	DataCite *datacite.Config // where DOIs of releases are made; nil: they have none. It wants a PublicURL

	Traces  string // where spans are sent, by OTLP over HTTP: http://HOST:4318/v1/traces; empty: nowhere
	Version string // of the program
	Demo    bool   // a demonstration: the key inside Data, C-STORE from this machine taken from anybody
	Log     *slog.Logger
	// PeerLimits bound what one registered DICOM application takes at a time; the zero value is the defaults.
	PeerLimits dimse.Limits
	// ForwardPause is how long a forwarding rule of which something is left waits at first; 0: a minute.
	ForwardPause time.Duration
	Uploads      upload.Limits // of uploads from a browser; the zero value is the defaults
	Decoder      []string      // the program that decodes code streams for pictures, with its arguments ("vitrine codec-worker"); empty: none are drawn but 8-bit JPEG
	// Documents is the program that reads encapsulated documents for stewards, with its arguments ("vitrine document-worker"); empty: nothing of them is shown.
	Documents []string
	// Video is the program that takes from ffmpeg what it does not need and becomes it, with its arguments ("vitrine video-worker"); empty, or where no ffmpeg is installed: no video is shown.
	Video []string
	// ReadPixels has the pixels of what comes read for text, and painted over; it wants a Decoder. Without it, kinds of images that often show text wait for a person.
	ReadPixels bool
	// Gateway says for which collection of which node this one receives and cleans; nil: it is a node by itself.
	Gateway   *gateway.Config
	Tesseract string   // a second reader of pixels: "auto" is Tesseract where it is installed, "off" or empty none, anything else its program
	Confine   []string // the program that limits itself and becomes that one ("vitrine tesseract-worker"); empty: it runs without limits but that of time

	still     bool // the node answers, and does nothing by itself: a restored copy sends no mail a second time, and forwards nothing
	restoring bool // the folder is being restored by this call
}

// Records are the records of a node, open on its database.
type Records struct {
	DB          *db.DB
	Audit       *audit.Log
	Collections *collection.Record
	Identity    *identity.Record
	Persons     *person.Record
	Subjects    *subject.Record
	Gate        *subject.Gate // everybody in this process who reads of a subject goes through it
	Catalogue   *catalogue.Record
	Rulings     *ruling.Record
	Proof       *proof.Record
	Forwarding  *forwarding.Record
	Queue       *jobs.Queue
}

// OpenRecords opens what a command that administers a node needs, and brings the tables up to date. On SQLite, what it writes reaches stable storage before
// a command says so.
func OpenRecords(ctx context.Context, cfg Config, opts ...db.Option) (_ *Records, err error) {
	if cfg.Data != "" && !cfg.restoring && backup.Unfinished(cfg.Data) {
		return nil, fault.New(fault.Invalid, "open node", "the data folder", "it is being restored from a backup, or that was interrupted: give the same command again, vitrine restore, to go on with it")
	}
	address := cfg.Database
	if address == "" {
		if cfg.Data == "" {
			return nil, fault.New(fault.Invalid, "open node", "", "neither a data folder nor a database is named")
		}
		if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
			return nil, fault.New(fault.Unavailable, "open node", "the data folder", "it cannot be made")
		}
		address = "sqlite:" + filepath.Join(cfg.Data, "catalogue.db")
	}
	r := &Records{}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if r.DB, err = db.Open(ctx, address, opts...); err != nil {
		return nil, err
	}
	if r.Audit, err = audit.Open(ctx, r.DB); err != nil {
		return nil, err
	}
	if r.Collections, err = collection.OpenRecord(ctx, r.DB); err != nil {
		return nil, err
	}
	if r.Identity, err = identity.OpenRecord(ctx, r.DB); err != nil {
		return nil, err
	}
	if r.Persons, err = person.OpenRecord(ctx, r.DB); err != nil {
		return nil, err
	}
	if r.Subjects, err = subject.OpenRecord(ctx, r.DB); err != nil {
		return nil, err
	}
	r.Gate = r.Subjects.NewGate()
	if r.Proof, err = proof.OpenRecord(ctx, r.DB); err != nil {
		return nil, err
	}
	if r.Catalogue, err = catalogue.OpenRecord(ctx, r.DB); err != nil {
		return nil, err
	}
	if r.Rulings, err = ruling.OpenRecord(ctx, r.DB); err != nil {
		return nil, err
	}
	if r.Forwarding, err = forwarding.OpenRecord(ctx, r.DB); err != nil {
		return nil, err
	}
	if r.Queue, err = jobs.Open(ctx, r.DB); err != nil {
		return nil, err
	}
	err = r.DB.Write(ctx, func(tx *db.Tx) error {
		made, err := r.Collections.EnsureDefault(tx, deid.Version)
		if err != nil || !made {
			return err
		}
		return r.Audit.Append(tx, audit.Entry{Actor: "node", Action: "create collection", Object: "collection " + string(collection.Default), Collection: string(collection.Default), Outcome: "done"})
	})
	return r, err
}

// Close closes the database.
func (r *Records) Close() error {
	if r.DB == nil {
		return nil
	}
	return r.DB.Close()
}

// Stores are the records with the keys and the packs.
type Stores struct {
	*Records
	Ring       *keys.Ring
	Identities *reidentification.Vault
	Packs      *pack.Store
	Nodes      *nodes.Record // that share the database

	ringDB *db.DB
	whoDB  *db.DB
	bucket *blob.Bucket
	mirror *blob.Bucket
}

// OpenStores opens records, keys and packs. committed, which may be nil, is told of each record that becomes durable.
func OpenStores(ctx context.Context, cfg Config, committed func([]pack.Committed)) (_ *Stores, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Stores{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := ensureKey(ctx, cfg); err != nil {
		return nil, err
	}
	if s.Records, err = OpenRecords(ctx, cfg, db.SecureDelete); err != nil {
		return nil, err
	}
	ring := s.DB
	if cfg.Database == "" {
		if s.ringDB, err = cfg.openKeys(ctx); err != nil {
			return nil, err
		}
		ring = s.ringDB
	}
	if s.Ring, err = keys.Unlock(ctx, ring, cfg.KeyPlace()); err != nil {
		return nil, err
	}
	who := s.DB
	if cfg.Database == "" {
		if s.whoDB, err = db.Open(ctx, "sqlite:"+filepath.Join(cfg.Data, "identities.db"), db.Durable, db.SecureDelete); err != nil {
			return nil, err
		}
		who = s.whoDB
	}
	if s.Identities, err = reidentification.OpenVault(ctx, who, s.Ring); err != nil {
		return nil, err
	}
	if s.Nodes, err = nodes.OpenRecord(ctx, s.DB); err != nil {
		return nil, err
	}
	opts := pack.Options{Committed: committed, Logger: cfg.Log, KeepLocal: cfg.Keep, Ask: cfg.askFor(s.Nodes)}
	if cfg.shares() {
		opts.SealAfter = openAtMost
	}
	if cfg.Bucket != "" {
		if s.bucket, err = blob.OpenBucket(ctx, cfg.Bucket); err != nil {
			return nil, fault.New(fault.Unavailable, "open bucket", "", "its address is not one, or it does not answer")
		}
		opts.Bucket = s.bucket
		if cfg.Tier {
			opts.Mode = pack.Tier
		}
	}
	if cfg.Mirror != "" {
		if cfg.Mirror == cfg.Bucket {
			return nil, fault.New(fault.Invalid, "open mirror", "", "it is the bucket itself: a mirror lies elsewhere")
		}
		if s.mirror, err = blob.OpenBucket(ctx, cfg.Mirror); err != nil {
			return nil, fault.New(fault.Unavailable, "open mirror", "", "its address is not one, or it does not answer")
		}
		opts.Mirror = s.mirror
	}
	if cfg.ReadOnly {
		opts.Mode = pack.Read
	}
	s.Packs, err = pack.OpenStore(ctx, cfg.Data, opts)
	return s, err
}

// Close closes packs, keys and records.
func (s *Stores) Close() error {
	var errs []error
	if s.Packs != nil {
		errs = append(errs, s.Packs.Close())
	}
	for _, b := range []*blob.Bucket{s.bucket, s.mirror} {
		if b != nil {
			errs = append(errs, b.Close())
		}
	}
	if s.whoDB != nil {
		errs = append(errs, s.whoDB.Close())
	}
	if s.ringDB != nil {
		errs = append(errs, s.ringDB.Close())
	}
	if s.Records != nil {
		errs = append(errs, s.Records.Close())
	}
	return errors.Join(errs...)
}
