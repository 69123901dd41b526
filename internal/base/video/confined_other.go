//go:build !unix

package video

import "errors"

// Confined becomes a program with limits; this system does not know how, so no video is read.
func Confined([]string) error { return errors.New("this system does not confine programs") }
