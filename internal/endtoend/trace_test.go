package endtoend

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// call is one system call of a trace; begun and ended are lines of the trace, so that order between threads is known.
type call struct {
	name         string
	fd           string // as strace -yy writes it: 12</path> or 9<TCP:[a->b]>
	args         string
	ret          int64
	begun, ended int
}

var (
	callLine   = regexp.MustCompile(`^(\d+) +(\w+)\((.*?)(?:\) += (-?\d+|\?).*| <unfinished \.\.\.>)$`)
	resumeLine = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>.*\) += (-?\d+|\?)`)
)

// readTrace reads the output of strace -f -yy.
func readTrace(t testing.TB, path string) []*call {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []*call
	open := map[string]*call{} // by thread
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for line := 1; s.Scan(); line++ {
		if m := resumeLine.FindStringSubmatch(s.Text()); m != nil {
			if c := open[m[1]]; c != nil && c.name == m[2] {
				c.ret, _ = strconv.ParseInt(m[3], 10, 64)
				c.ended = line
				delete(open, m[1])
			}
			continue
		}
		m := callLine.FindStringSubmatch(s.Text())
		if m == nil {
			continue
		}
		c := &call{name: m[2], args: m[3], begun: line}
		c.fd, _, _ = strings.Cut(m[3], ", ")
		if m[4] == "" {
			open[m[1]] = c
		} else {
			c.ret, _ = strconv.ParseInt(m[4], 10, 64)
			c.ended = line
		}
		all = append(all, c)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// Before each success, what it speaks for was written to a pack and the pack synced; the trace of the process shows it.
func TestSyncBeforeSuccess(t *testing.T) {
	strace := testdata.Program(t, "strace")
	trace := filepath.Join(t.TempDir(), "trace")
	n := serve(t, setup{wrap: []string{strace, "-f", "-yy", "-x", "-s", "16", "-o", trace, "-e",
		"trace=write,writev,pwrite64,pwritev,pwritev2,fdatasync,fsync,sendto,sendmsg"}})
	set := sample.SmallSet(5)
	var sizes []int // of what each answer speaks for, in order
	instance := func(i int) *image {
		in, err := set.Instance(i)
		if err != nil {
			t.Fatal(err)
		}
		return generated(strconv.Itoa(i), in)
	}
	_, dicomPort, _ := net.SplitHostPort(n.dicom)
	_, httpPort, _ := net.SplitHostPort(n.http)
	var images []*image
	for i := range 18 {
		images = append(images, instance(i))
		sizes = append(sizes, len(images[i].data))
	}
	// And two as scanners make them.
	full := sample.FullSet(5)
	for i := range 2 {
		in, err := full.Instance(i)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, generated("full", in))
		sizes = append(sizes, len(in.Data()))
	}
	// And one that is larger than what is worked on in memory: it is streamed into a pack of its own.
	var large bytes.Buffer
	if _, err := sample.Large(&large, 5, sample.LargeFrames(40<<20)); err != nil {
		t.Fatal(err)
	}
	images = append(images, read("large", large.Bytes()))
	sizes = append(sizes, large.Len())
	for k, st := range n.store("VITRINE", images) {
		if !st.Done() {
			t.Fatalf("C-STORE %d: %v %s", k, st, st.Comment)
		}
	}
	for r := range 6 {
		var batch []*image
		size := 0
		for i := range 1 + r {
			batch = append(batch, instance(200+10*r+i))
			size += len(batch[i].data)
		}
		if a := n.stow(kept, batch...); a.code != 200 || len(a.kept) != 1+r {
			t.Fatalf("STOW-RS %d: status %d", r, a.code)
		}
		sizes = append(sizes, size)
	}
	n.stop()

	packs := filepath.Join(n.setup.data, "packs")
	var answers, writes, syncs []*call
	for _, c := range readTrace(t, trace) {
		onPack := strings.Contains(c.fd, "<"+packs)
		socket := strings.Contains(c.fd, "<TCP:[127.0.0.1:"+dicomPort+"->") && strings.Contains(c.args, `"\x04`) || // P-DATA-TF: an answer, since nothing else is sent so
			strings.Contains(c.fd, "<TCP:[127.0.0.1:"+httpPort+"->") && strings.Contains(c.args, `"HTTP/1.1 200`)
		switch {
		case onPack && (c.name == "fdatasync" || c.name == "fsync"):
			if c.ret == 0 {
				syncs = append(syncs, c)
			}
		case onPack:
			writes = append(writes, c)
		case socket:
			answers = append(answers, c)
		}
	}
	if len(answers) != len(sizes) {
		t.Fatalf("the trace shows %d successes, want %d (%d writes and %d syncs of packs)", len(answers), len(sizes), len(writes), len(syncs))
	}
	for k, a := range answers {
		before := 0
		if k > 0 {
			before = answers[k-1].begun
		}
		last := map[string]*call{}
		var written int64
		for _, w := range writes {
			if w.begun > before && w.begun < a.begun {
				if w.ended == 0 || w.ended > a.begun {
					t.Errorf("answer %d was written before a write to the pack had ended", k+1)
				}
				written += w.ret
				last[w.fd] = w
			}
		}
		if written < int64(sizes[k])*9/10 { // cleaned, it may be a little shorter
			t.Errorf("answer %d speaks for %d bytes, and %d were written to packs", k+1, sizes[k], written)
		}
		for fd, w := range last {
			synced := false
			for _, s := range syncs {
				synced = synced || s.fd == fd && s.begun > w.ended && s.ended < a.begun
			}
			if !synced {
				t.Errorf("answer %d was written before the pack was synced", k+1)
			}
		}
	}
	t.Logf("%d successes, %d writes and %d syncs of packs", len(answers), len(writes), len(syncs))
}
