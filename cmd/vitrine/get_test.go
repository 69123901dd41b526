package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/client"
)

// What breaks off at the same place again and again is damaged; what breaks off anywhere is a bad line.
func TestStuck(t *testing.T) {
	cut := &client.Unreachable{Server: "http://node", Err: io.ErrUnexpectedEOF}
	refused := &client.Unreachable{Server: "http://node", Err: errors.New("connection refused")}
	for _, c := range []struct {
		name  string
		errs  []error
		after []int64
		good  bool // for good
	}{
		{"the same place", []error{cut, cut, cut}, []int64{4096, 4096, 4096}, true},
		{"before the first byte", []error{cut, cut, cut}, []int64{0, 0, 0}, true},
		{"the node fails", []error{&client.Problem{Status: 500}, &client.Problem{Status: 500}, &client.Problem{Status: 500}}, []int64{0, 0, 0}, true},
		{"further each time", []error{cut, cut, cut, cut}, []int64{1, 2, 3, 4}, false},
		{"nobody answers", []error{refused, refused, refused, refused}, []int64{0, 0, 0, 0}, false},
		{"away in between", []error{cut, cut, refused, cut, cut}, []int64{7, 7, 0, 7, 7}, false},
		{"too busy", []error{&client.Problem{Status: 503}, &client.Problem{Status: 503}, &client.Problem{Status: 503}}, []int64{0, 0, 0}, false},
	} {
		var s stuck
		var err error
		for i := range c.errs {
			err = s.judge(c.errs[i], c.after[i])
		}
		if good := !client.Temporary(err); good != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.good && !strings.Contains(err.Error(), "vitrine verify") {
			t.Errorf("%s: it does not say what to do: %v", c.name, err)
		}
	}
}
