package tesseract

import "golang.org/x/sys/unix"

// dieWithParent has the system end this process, and what it becomes, when the one that started it ends.
func dieWithParent() { _ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0) }
