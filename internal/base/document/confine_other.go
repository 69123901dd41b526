//go:build !unix

package document

import "runtime/debug"

func confine() { debug.SetMemoryLimit(1 << 30) }
