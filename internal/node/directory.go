package node

import (
	"context"
	"maps"

	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// Directory is the directory of collections, over these records. queue may be nil: then nothing is counted daily.
func (r *Records) Directory(ctx context.Context, queue *jobs.Queue) (*directoryflow.Desk, error) {
	d := &directoryflow.Desk{DB: r.DB, Audit: r.Audit, Jobs: queue, Collections: r.Collections, Catalogue: r.Catalogue}
	var err error
	if d.Clinical, err = clinical.OpenRecord(ctx, r.DB); err != nil {
		return nil, err
	}
	if d.Entries, err = directory.OpenRecord(ctx, r.DB); err != nil {
		return nil, err
	}
	if d.Counts, err = directory.OpenCounts(ctx, r.DB); err != nil {
		return nil, err
	}
	if d.Pictures, err = directory.OpenPictures(ctx, r.DB); err != nil {
		return nil, err
	}
	d.Finder, err = directory.OpenFinder(ctx, r.DB, d.Entries, d.Counts)
	return d, err
}

// jobs are all that the node does later.
func (n *Node) jobs() map[string]jobs.Handler {
	all := n.Custody.Handlers()
	maps.Copy(all, n.Directory.Handlers())
	maps.Copy(all, n.Uploads.Handlers())
	maps.Copy(all, n.Status.Handlers())
	maps.Copy(all, n.Review.Handlers())
	maps.Copy(all, n.Access.Handlers())
	maps.Copy(all, n.Consent.Handlers())
	maps.Copy(all, n.Releases.Handlers())
	maps.Copy(all, n.Recalls.Handlers())
	if n.Mail != nil {
		maps.Copy(all, n.Mail.Handlers())
		maps.Copy(all, n.Notices.Handlers())
	}
	return all
}
