//go:build !amd64

package find

const fastest = false

type fast struct{}

func (n *Net) speed() *fast { return nil }

func (n *Net) fastLogits(*fast, Grey) ([]float32, []uint8) { return nil, nil }
