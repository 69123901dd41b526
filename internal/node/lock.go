package node

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// hold is the exclusive right to serve from a data folder: locks of the kernel's (flock) on the folder and on its packs. They end with the process, however
// it ends, and leave nothing behind.
//
// Two nodes on one folder would each replay, when they start, the pack that the other has open: as far as its file goes, which may be beyond what is synced.
// And what one acknowledged before it was killed would be in nobody's catalogue until some node started again. So there is one. The packs are locked beside the folder
// because the one may lie elsewhere, by a link, and be shared by mistake. Commands that administer the node take no lock: they append nothing to packs.
type hold []*os.File

func lockFolder(dir string) (_ hold, err error) {
	packs := filepath.Join(dir, "packs")
	if err := os.MkdirAll(packs, 0o700); err != nil {
		return nil, fault.New(fault.Unavailable, "open node", "the data folder", "it cannot be made")
	}
	var h hold
	defer func() {
		if err != nil {
			h.release()
		}
	}()
	for _, path := range []string{dir, packs} {
		f, err := os.Open(path)
		if err != nil {
			return nil, fault.New(fault.Unavailable, "open node", "the data folder", "it cannot be read")
		}
		h = append(h, f)
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fault.New(fault.Invalid, "open node", "the data folder",
				"another node serves from it: stop that one first, or give this one a folder of its own (several nodes share a database and a bucket, never a folder)")
		}
		if err != nil {
			return nil, fault.Wrap(fault.Unavailable, "lock the data folder", "", err)
		}
	}
	return h, nil
}

func (h hold) release() {
	for _, f := range h {
		f.Close()
	}
}
