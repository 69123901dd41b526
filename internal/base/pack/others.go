package pack

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Several processes may write into one bucket, each from a folder of its own. What one has not sealed yet, the others cannot read: they ask for it, and its writer seals.

const (
	askWait  = 5 * time.Second
	askPause = 100 * time.Millisecond
	// askAgain is how long a pack is not waited for again that did not come: whoever has it may have ended, and a reader of thousands of records must not wait for each.
	askAgain = 15 * time.Second
	// youngest is how old a pack is at least that is sealed because others wait for it, so that they do not cut a stream into crumbs.
	youngest = 2 * time.Second
)

func errAway(id ID) error {
	return fault.New(fault.Unavailable, "open pack", id.String(), "another node is writing it, or has ended before it had copied it to the bucket")
}

// Here reports whether a pack is in the folder.
func (s *Store) Here(id ID) bool {
	h, err := s.files.acquire(id)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) // it is there, and cannot be opened at this moment
	}
	h.release()
	return true
}

// Reachable reports whether a pack can be read from here. One that cannot is asked for, and not waited for.
func (s *Store) Reachable(ctx context.Context, id ID) (bool, error) {
	here := s.Here(id)
	for _, b := range []*bucket{s.bucket, s.mirror} {
		here = here || b != nil && b.has(ctx, id)
	}
	if here || s.opts.Ask == nil {
		return here, nil
	}
	return false, s.opts.Ask(ctx, id)
}

// await asks for a pack and waits until it is in the bucket.
func (s *Store) await(ctx context.Context, id ID) error {
	if until, ok := s.away.Load(id); ok {
		if time.Now().Before(until.(time.Time)) {
			return errAway(id)
		}
		s.away.Delete(id)
	}
	if s.bucket == nil {
		return errAway(id)
	}
	if err := s.opts.Ask(ctx, id); err != nil {
		return err
	}
	wait := s.opts.AskWait
	if wait <= 0 {
		wait = askWait
	}
	end := time.NewTimer(wait)
	defer end.Stop()
	tick := time.NewTicker(askPause)
	defer tick.Stop()
	for {
		if s.bucket.has(ctx, id) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			s.away.Store(id, time.Now().Add(askAgain))
			return errAway(id)
		case <-tick.C:
		}
	}
}

// SealWanted seals the active pack if it is one of those that somebody waits for, and says which of them are sealed in this folder now and on their way to the bucket. One
// that was begun a moment ago is left for the next call.
func (s *Store) SealWanted(ctx context.Context, wanted []ID) (met []ID, err error) {
	want := map[ID]bool{}
	for _, id := range wanted {
		want[id] = true
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.do(func() error {
		if a := s.active; a != nil && want[a.id] && a.records > 0 && time.Since(a.began) >= youngest {
			return s.sealActive()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	entries, err := s.disk.list()
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "list packs", "", err)
	}
	for _, e := range entries {
		if name, sealed := strings.CutSuffix(e.Name(), ".pack"); sealed {
			if id, err := ParseID(name); err == nil && want[id] {
				met = append(met, id)
			}
		}
	}
	if len(met) > 0 {
		s.sealed()
	}
	return met, nil
}
