package pack

import (
	"math/bits"
	"sync"
	"unsafe"
)

// buffer is pooled memory that begins at a multiple of a block, as O_DIRECT wants it.
type buffer struct {
	b     []byte
	class int
}

const (
	smallestClass = 14 // 16 KiB
	largestClass  = 25 // 32 MiB
)

var pools [largestClass + 1]sync.Pool

// getBuffer gives at least n bytes. What they hold is undefined.
func getBuffer(n int) *buffer {
	class := max(smallestClass, bits.Len(uint(n-1)))
	if class <= largestClass {
		if b, ok := pools[class].Get().(*buffer); ok {
			return b
		}
	}
	size := 1 << class
	raw := make([]byte, size+block)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(raw))) & (block - 1))
	return &buffer{b: raw[skip : skip+size : skip+size], class: class}
}

func (b *buffer) free() {
	if b.class <= largestClass {
		pools[b.class].Put(b)
	}
}
