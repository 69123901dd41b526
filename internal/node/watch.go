package node

import (
	"context"
	"path/filepath"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/watch"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// WatchFolder is a folder whose files go into a collection.
type WatchFolder struct {
	Path       string
	Collection string
}

// openWatches looks whether the folders and their collections are there.
func (n *Node) openWatches(ctx context.Context) error {
	for _, w := range n.cfg.Watch {
		id, err := collection.ParseID(w.Collection)
		if err != nil {
			return err
		}
		path, err := filepath.Abs(w.Path)
		if err != nil {
			return fault.New(fault.Invalid, "watch folder", "", "its path cannot be made absolute")
		}
		if err := watch.Check(path); err != nil {
			return err
		}
		if _, err := n.Stores.Collections.Get(ctx, id); err != nil {
			return err
		}
		n.cfg.Log.Warn("a folder is watched: what is put there lies on this disk in clear until it is taken", "collection", string(id))
		n.watches = append(n.watches, &watch.Folder{Path: path, Collection: id, Log: n.cfg.Log, Custody: n.Custody,
			Take: func(ctx context.Context, dep *custody.Deposit, f *watch.File) (string, []catalogue.Reason, error) {
				return n.Uploads.Take(ctx, dep, f)
			}})
	}
	return nil
}
