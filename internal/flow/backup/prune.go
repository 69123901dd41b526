package backup

import (
	"context"
	"slices"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
)

// keyFilesKept is how many files of keys stay at most: the newest serves, the one before it is there if that one should be damaged.
const keyFilesKept = 2

// Prune removes backups that were kept long enough, and what no backup needs. A pack that a kept backup needs stays. Nobody makes a backup meanwhile.
func Prune(ctx context.Context, p Parts, who admin.Caller, keep Retention) (kept, removed int, err error) {
	if err := mayBackUp(who); err != nil {
		return 0, 0, err
	}
	if kept, removed, err = prune(ctx, p, keep); err != nil || removed == 0 {
		return kept, removed, err
	}
	return kept, removed, p.DB.Write(ctx, func(tx *db.Tx) error {
		return p.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "remove old backups", Object: "the node", Outcome: "done"})
	})
}

func prune(ctx context.Context, p Parts, keep Retention) (kept, removed int, err error) {
	whole, begun, err := backups(ctx, p.To)
	if err != nil {
		return 0, 0, err
	}
	// What is needed is known before anything goes: a manifest that cannot be read keeps everything.
	stay := whole
	if keep.Last > 0 && len(whole) > keep.Last {
		stay = whole[len(whole)-keep.Last:]
	}
	needed := map[string]bool{}
	for _, name := range stay {
		m, err := readManifest(ctx, p.To, p.Ring.Root(), name)
		if err != nil {
			return 0, 0, err
		}
		for file := range m.Files {
			needed[fileOf(name, file)] = true
		}
		needed[fileOf(name, fileManifest)] = true
		for _, k := range m.Packs {
			if k.Sealed {
				needed[packFile(k.ID)] = true
			}
			for _, part := range k.Parts {
				needed[partFile(k.ID, part)] = true
			}
		}
	}
	for _, name := range begun {
		if slices.Contains(stay, name) {
			continue
		}
		// First the manifest: what is half removed is no backup.
		if err := p.To.Remove(ctx, fileOf(name, fileManifest)); err != nil {
			return 0, 0, err
		}
		if slices.Contains(whole, name) {
			removed++
		}
	}
	if len(stay) > 0 {
		for _, prefix := range []string{"backups/", "parts/", "packs/"} {
			all, err := p.To.List(ctx, prefix)
			if err != nil {
				return 0, removed, err
			}
			for _, e := range all {
				if !needed[e.Name] {
					if err := p.To.Remove(ctx, e.Name); err != nil {
						return 0, removed, err
					}
				}
			}
		}
	}
	return len(stay), removed, pruneKeys(ctx, p, keep.Erase)
}

// pruneKeys sees to it that what was erased is in no backup of keys for longer than it may be.
func pruneKeys(ctx context.Context, p Parts, within time.Duration) error {
	if within <= 0 {
		within = DefaultErase
	}
	names, err := keyFiles(ctx, p.Keys)
	if err != nil {
		return err
	}
	oldest := time.Now().Add(-within)
	for i, name := range names {
		at, err := time.Parse(nameLayout, name)
		if err != nil {
			return fault.New(fault.Internal, "remove old keys", "", "the name of a file of keys is no moment")
		}
		newer := len(names) - 1 - i
		if newer >= keyFilesKept || newer > 0 && at.Before(oldest) {
			if err := p.Keys.Remove(ctx, keysOf(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Listed is a backup that is there.
type Listed struct {
	Backup   string    `json:"backup"`
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended"`
	Software string    `json:"software"`
	Objects  int64     `json:"objects"`
	Packs    int       `json:"packs"`
	Bytes    int64     `json:"pack_bytes"`
	Missing  int       `json:"missing"`
	Damaged  int       `json:"damaged"`
	Why      string    `json:"unreadable,omitempty"` // not empty: it cannot be read
}

// List lists the backups of a place, the newest first.
func List(ctx context.Context, p Parts, who admin.Caller) ([]Listed, error) {
	if err := mayBackUp(who); err != nil {
		return nil, err
	}
	whole, _, err := backups(ctx, p.To)
	if err != nil {
		return nil, err
	}
	slices.Reverse(whole)
	all := []Listed{}
	for _, name := range whole {
		m, err := readManifest(ctx, p.To, p.Ring.Root(), name)
		l := Listed{Backup: name}
		switch {
		case fault.Is(err, fault.Corrupt):
			l.Why = err.Error()
		case err != nil:
			return nil, err
		default:
			l = Listed{name, m.Began, m.Ended, m.Software, m.Total(), len(m.Packs), m.Bytes(), len(m.Missing), len(m.Damaged), ""}
		}
		all = append(all, l)
	}
	return all, nil
}
