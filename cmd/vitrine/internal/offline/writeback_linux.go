package offline

import (
	"os"

	"golang.org/x/sys/unix"
)

// writeBack asks the system to begin writing the file out, so that the sync at the end of its batch has little left to wait for.
func writeBack(f *os.File) {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE) // a hint: Sync is what counts
}
