// Package headcount tells numbers of people so that nobody is picked out: none and fewer than ten look the same, every other number is rounded to ten. docs/decisions/0003-small-numbers.md says why.
//
// It promises that a number which is told leaves at least five true ones possible. It does not know what else is told beside it: whoever publishes several numbers
// of the same people has to check that one cannot be taken from another.
package headcount

import "strconv"

const (
	// Few is the number of people below which none is told.
	Few = 10
	// step is what other numbers are rounded to.
	step = 10
)

// Tell is a number of people as it is told: a multiple of ten, and 0 for none and for fewer than ten.
func Tell(n int64) int64 {
	if n < Few {
		return 0
	}
	return (n + step/2) / step * step
}

// Span is which numbers of people are told as this one is, both ends included.
func Span(told int64) (low, high int64) {
	switch {
	case told < Few:
		return 0, Few - 1
	case told == step:
		return Few, step + step/2 - 1
	}
	return told - step/2, told + step/2 - 1
}

// Words are a told number in a sentence: "fewer than 10", which may be none, or "120".
func Words(told int64) string {
	if told < Few {
		return "fewer than " + strconv.Itoa(Few)
	}
	return strconv.FormatInt(told, 10)
}
