package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	_ "gocloud.dev/secrets/awskms"        // awskms://KEY?region=...
	_ "gocloud.dev/secrets/azurekeyvault" // azurekeyvault://HOST/keys/NAME
	_ "gocloud.dev/secrets/gcpkms"        // gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K
	_ "gocloud.dev/secrets/localsecrets"  // base64key://KEY

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
)

// KeyPlace is where the master key is.
func (cfg Config) KeyPlace() keys.Place {
	switch {
	case keys.IsKeeper(cfg.Key):
		if cfg.Sealed != "" {
			return keys.Place{File: cfg.Sealed, Keeper: cfg.Key}
		}
		return keys.Place{File: filepath.Clean(cfg.Data) + ".sealed-key", Keeper: cfg.Key}
	case cfg.Key != "":
		return keys.Place{File: cfg.Key}
	case cfg.Demo:
		return keys.Place{File: filepath.Join(cfg.Data, demoKey)}
	}
	if _, err := os.Stat(filepath.Join(cfg.Data, demoKey)); err == nil {
		return keys.Place{File: filepath.Join(cfg.Data, demoKey)} // a demonstration's folder, looked at by a command
	}
	return keys.Place{File: filepath.Clean(cfg.Data) + ".key"}
}

const demoKey = "demo.key"

// openKeys opens the database of keys, on SQLite. It is apart from what the keys lock, so that it can be backed up apart.
func (cfg Config) openKeys(ctx context.Context) (*db.DB, error) {
	return db.Open(ctx, "sqlite:"+filepath.Join(cfg.Data, "keys.db"), db.Durable, db.SecureDelete)
}

// ensureKey makes the master key of a folder that holds nothing yet.
func ensureKey(ctx context.Context, cfg Config) error {
	p := cfg.KeyPlace()
	for _, file := range []string{p.File, p.File + ".next"} { // beside it, while it is being changed
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	if !fresh(cfg) {
		return fault.New(fault.NotFound, "load master key", "the key file", "it is not there, and the data was written with it: give it with --key; without it nothing can be read")
	}
	if err := os.MkdirAll(filepath.Dir(p.File), 0o700); err != nil {
		return fault.New(fault.Unavailable, "make master key", "the key file", "its folder cannot be made")
	}
	if _, err := p.Create(ctx); err != nil {
		return err
	}
	log := cfg.Log
	switch {
	case cfg.Demo:
		log.Warn("DEMONSTRATION: the master key lies inside the data folder; whoever has the folder can read everything in it. Never do this with real images.")
	case p.Keeper != "":
		log.Warn("a new master key was made and sealed by its keeper; without the sealed key, or without the keeper, nothing that is kept can ever be read again: copy it to a safe place, and see that the keeper never loses its own",
			"file", p.File)
	default:
		log.Warn("a new master key was made; without it nothing that is kept can ever be read again: copy it to a safe place that is not the backup of the data", "file", p.File)
	}
	return nil
}

// fresh reports a node that has kept nothing yet.
func fresh(cfg Config) bool {
	if cfg.Database != "" {
		entries, err := os.ReadDir(filepath.Join(cfg.Data, "packs"))
		return errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0
	}
	_, err := os.Stat(filepath.Join(cfg.Data, "keys.db"))
	return errors.Is(err, os.ErrNotExist)
}

// withKeys opens the keys beside the records, for as long as use takes.
func (r *Records) withKeys(ctx context.Context, cfg Config, use func(*keys.Ring, *db.DB) error) (err error) {
	if cfg.Database == "" && fresh(cfg) { // opening them would make a database of keys
		return fault.New(fault.NotFound, "open key ring", "", "this node has no keys yet")
	}
	d := r.DB
	if cfg.Database == "" {
		if d, err = cfg.openKeys(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.Close()) }()
	}
	ring, err := keys.Unlock(ctx, d, cfg.KeyPlace())
	if err != nil {
		return err
	}
	return use(ring, d)
}

// KeyState says what there is to tell of the keys.
func (r *Records) KeyState(ctx context.Context, cfg Config, who admin.Caller) (s keys.State, err error) {
	if err := r.Desk().MayManageKeys(ctx, who); err != nil {
		return s, err
	}
	err = r.withKeys(ctx, cfg, func(ring *keys.Ring, _ *db.DB) error {
		s, err = ring.State(ctx)
		return err
	})
	return s, err
}

// ChangeKey makes a new master key in a place, and wraps everything by it; see [keys.Rotate]. No node may serve from the folder meanwhile.
func ChangeKey(ctx context.Context, cfg Config, to keys.Place, who admin.Caller) (c keys.Change, err error) {
	if cfg.Data == "" {
		return c, fault.New(fault.Invalid, "change master key", "", "name the data folder too: it is locked meanwhile")
	}
	if cfg.Database == "" && fresh(cfg) { // opening them would make a database of keys
		return c, fault.New(fault.NotFound, "change master key", "", "this node has no keys yet")
	}
	lock, err := lockFolder(cfg.Data)
	if err != nil {
		return c, err
	}
	defer lock.release()
	r, err := OpenRecords(ctx, cfg, db.SecureDelete)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	desk := r.Desk()
	if err := desk.MayManageKeys(ctx, who); err != nil {
		return c, err
	}
	d := r.DB
	if cfg.Database == "" {
		if d, err = cfg.openKeys(ctx); err != nil {
			return c, err
		}
		defer func() { err = errors.Join(err, d.Close()) }()
	}
	if c, err = keys.Rotate(ctx, d, cfg.KeyPlace(), to); err != nil {
		return c, err
	}
	return c, desk.LogKeyChange(ctx, who, c.Old, c.New)
}
