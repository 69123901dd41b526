package find

import (
	"encoding/binary"
	"errors"
	"math"
)

// A Forest adds up what small trees say of a vector of features; the sum is a logarithm of odds. It was made by gradient boosting (Friedman, 2001).
type Forest struct {
	Depth   int
	Base    float32
	Feature []uint8 // of each inner node, tree by tree, level by level
	Split   []float32
	Leaf    []float32
}

// Trees is how many there are.
func (f *Forest) Trees() int {
	if f.Depth == 0 {
		return 0
	}
	return len(f.Leaf) >> f.Depth
}

// Odds is the sum.
func (f *Forest) Odds(v []float32) float32 {
	s := f.Base
	for t := range f.Trees() {
		s += f.tree(t, v)
	}
	return s
}

// descend is the leaf of a tree that a vector comes to. Which way it goes at a node cannot be foretold, so nothing branches.
func descend(feature []uint8, split, v []float32, depth int) int {
	k := 0
	for range depth {
		var over int
		if v[feature[k]] > split[k] {
			over = 1
		}
		k = 2*k + 1 + over
	}
	return k - len(feature)
}

func (f *Forest) tree(t int, v []float32) float32 {
	inner := 1<<f.Depth - 1
	return f.Leaf[t<<f.Depth+descend(f.Feature[t*inner:][:inner], f.Split[t*inner:][:inner], v, f.Depth)]
}

// AppendBinary writes the forest.
func (f *Forest) AppendBinary(b []byte) []byte {
	b = append(b, byte(f.Depth))
	b = binary.LittleEndian.AppendUint16(b, uint16(f.Trees()))
	floats := func(v ...float32) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	}
	floats(f.Base)
	b = append(b, f.Feature...)
	floats(f.Split...)
	floats(f.Leaf...)
	return b
}

var errForest = errors.New("the forest is cut short")

// ReadForest reads what AppendBinary wrote, and what follows it.
func ReadForest(b []byte) (*Forest, []byte, error) {
	if len(b) < 7 {
		return nil, nil, errForest
	}
	f := &Forest{Depth: int(b[0])}
	n := int(binary.LittleEndian.Uint16(b[1:]))
	b = b[3:]
	inner := n * (1<<f.Depth - 1)
	if f.Depth > 8 || len(b) < 4+inner+4*(inner+n<<f.Depth) {
		return nil, nil, errForest
	}
	floats := func(k int) []float32 {
		o := make([]float32, k)
		for i := range o {
			o[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		b = b[4*k:]
		return o
	}
	f.Base = floats(1)[0]
	f.Feature, b = b[:inner:inner], b[inner:]
	f.Split, f.Leaf = floats(inner), floats(n<<f.Depth)
	return f, b, nil
}
