package node

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/durable"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/nodes"
)

// Several nodes may share one database and one bucket, each with a folder of its own. What one keeps, all find in the catalogue at once, and read when its pack is in the bucket:
// a node that needs a pack which another has open asks for it in the database, and that one seals it. Work that needs the bytes (reading pixels) is done by whoever has them,
// and by the others when it has waited; a claim keeps two from doing the same.

const (
	lookPause  = time.Second      // between two looks at what others wait for
	seenPause  = 10 * time.Second // between two signs of life
	openAtMost = 5 * time.Minute  // that a pack takes records: what is not in the bucket is lost with this machine's disk
	helpAfter  = time.Minute      // is how long what other nodes alone have received is left to them
	claimed    = 10 * time.Minute // is how long a series is left to who has begun to read it
)

// shares reports whether other nodes may write to this one's database and bucket.
func (cfg Config) shares() bool { return cfg.Database != "" && cfg.Bucket != "" }

// askFor asks whoever has a pack open to seal it. Nil: nobody else can have one.
func (cfg Config) askFor(r *nodes.Record) func(context.Context, pack.ID) error {
	if !cfg.shares() {
		return nil
	}
	return func(ctx context.Context, id pack.ID) error { return r.Want(ctx, nodes.Pack(id)) }
}

// enter says that this node is there, unless it may not be beside those that are. A node on SQLite is alone: its folder is locked.
func (n *Node) enter(ctx context.Context) error {
	if n.cfg.Database == "" {
		return nil
	}
	id, err := nodeID(n.cfg.Data)
	if err != nil {
		return err
	}
	place, err := placeName(n.cfg.Bucket)
	if err != nil {
		return err
	}
	if err := n.Stores.Nodes.Enter(ctx, id, place); err != nil {
		return err
	}
	n.id = id
	return nil
}

// nodeID is what a data folder is called; it is drawn once.
func nodeID(dir string) (nodes.ID, error) {
	const attempt = "open node"
	path := filepath.Join(dir, "node")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 { // empty, if the machine failed while it was written
		var id [16]byte
		rand.Read(id[:])
		b = []byte(hex.EncodeToString(id[:]) + "\n")
		err = durable.Write(path, b, 0o600) // under another name it would have to wait until the others take it for gone
	}
	if err != nil {
		return "", fault.New(fault.Unavailable, attempt, "the data folder", "its name cannot be read or written")
	}
	id := strings.TrimSpace(string(b))
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 {
		return "", fault.New(fault.Corrupt, attempt, "the file node in the data folder", "it does not hold 32 hexadecimal digits")
	}
	return nodes.ID(id), nil
}

// placeName tells buckets apart, and is no address: by kind, name, path and prefix, not by how they are reached.
func placeName(bucket string) (string, error) {
	if bucket == "" {
		return "", nil
	}
	u, err := url.Parse(bucket)
	if err != nil {
		return "", fault.New(fault.Invalid, "open bucket", "", "its address is not one")
	}
	sum := sha256.Sum256([]byte(u.Scheme + "://" + u.Host + strings.TrimSuffix(u.Path, "/") + "?" + u.Query().Get("prefix")))
	return hex.EncodeToString(sum[:16]), nil
}

// besideOthers gives other nodes what they wait for, until ctx ends.
func (n *Node) besideOthers(ctx context.Context) error {
	if n.id == "" {
		return nil
	}
	look, seen := time.NewTicker(lookPause), time.NewTicker(seenPause)
	defer look.Stop()
	defer seen.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-seen.C:
			err = n.Stores.Nodes.Seen(ctx, n.id)
		case <-look.C:
			err = n.sealWanted(ctx)
		}
		if err != nil && ctx.Err() == nil {
			n.cfg.Log.Warn("what other nodes wait for cannot be looked at", "error", err)
		}
	}
}

func (n *Node) sealWanted(ctx context.Context) error {
	if !n.cfg.shares() {
		return nil
	}
	all, err := n.Stores.Nodes.Wanted(ctx)
	if err != nil || len(all) == 0 {
		return err
	}
	ids := make([]pack.ID, len(all))
	for i, p := range all {
		ids[i] = pack.ID(p)
	}
	met, err := n.Stores.Packs.SealWanted(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range met {
		if err := n.Stores.Nodes.Met(ctx, nodes.Pack(id)); err != nil {
			return err
		}
	}
	return nil
}

// leave gives the others what only this node has, and says that it ends.
func (n *Node) leave(ctx context.Context) {
	if n.id == "" {
		return
	}
	if n.cfg.shares() {
		err := n.Stores.Packs.Seal(ctx)
		if err == nil {
			err = n.Stores.Packs.Shipped(ctx)
		}
		if err != nil {
			n.cfg.Log.Warn("the last packs are not in the bucket: other nodes read them when this one has been started again", "error", err)
		}
	}
	if err := n.Stores.Nodes.Leave(ctx, n.id); err != nil {
		n.cfg.Log.Warn("other nodes are not told that this one ends", "error", err)
	}
}

// turn reports whether it is this node's turn to read the pixels of a series, some of whose instances are given. Nil: there is no other.
func (n *Node) turn() func(context.Context, catalogue.SeriesID, []catalogue.Located) (bool, error) {
	if !n.cfg.shares() || n.id == "" {
		return nil
	}
	return func(ctx context.Context, id catalogue.SeriesID, rows []catalogue.Located) (bool, error) {
		young, some := false, false
		packs := map[pack.ID]bool{}
		for _, l := range rows {
			p := pack.ID(l.Ref.Pack)
			if _, known := packs[p]; !known {
				packs[p] = n.Stores.Packs.Here(p)
			}
			some = some || packs[p]
			young = young || time.Since(l.Created) < helpAfter
		}
		if young && !some {
			return false, nil
		}
		// Of what came by several nodes, nobody has all: the first to claim it asks for the rest.
		for p, local := range packs {
			if local {
				continue
			}
			if ok, err := n.Stores.Packs.Reachable(ctx, p); err != nil || !ok {
				return false, err
			}
		}
		return n.Stores.Nodes.Claim(ctx, n.id, "read pixels of series "+strconv.FormatInt(int64(id), 10), claimed)
	}
}
