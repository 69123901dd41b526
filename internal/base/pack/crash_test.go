package pack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// crashChild appends until it is killed and prints every place that it was given, after it was given it.
func crashChild(dir string) {
	ctx := context.Background()
	s, err := OpenStore(ctx, dir, Options{PackSize: 2 << 20})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var n atomic.Uint64
	say := func(seed uint64, ref Ref, sizes [3]int, err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Printf("%d %s %d %d %d\n", seed, ref, sizes[0], sizes[1], sizes[2])
	}
	for w := range 4 {
		go func() {
			for {
				seed := n.Add(1)
				sizes := [3]int{rand.IntN(500), rand.IntN(5000), rand.IntN([]int{100, 100, 20_000, 500_000}[w])}
				ref, err := s.Append(ctx, record(seed, sizes[0], sizes[1], sizes[2]))
				say(seed, ref, sizes, err)
			}
		}()
	}
	for {
		seed := n.Add(1)
		sizes := [3]int{10, 20, rand.IntN(3 << 20)}
		r := record(seed, sizes[0], sizes[1], sizes[2])
		st, err := s.Stream(ctx, r.KeyID, r.Key)
		if err == nil {
			for _, b := range r.Bulk {
				st.Write(b)
			}
			var ref Ref
			ref, err = st.Commit(ctx, r.Meta, r.Head, nil)
			say(seed, ref, sizes, err)
		}
	}
}

func TestKilledWriterLosesNothingAcknowledged(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	type ack struct {
		ref Ref
		r   *Record
	}
	var acks []ack
	for round := range 8 {
		child := exec.Command(self)
		child.Env = append(os.Environ(), "PACK_TEST_CRASH_DIR="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		stop := rand.IntN(400) + 1
		for i := 0; lines.Scan(); i++ {
			var seed uint64
			var where string
			var sizes [3]int
			if _, err := fmt.Sscanf(lines.Text(), "%d %s %d %d %d", &seed, &where, &sizes[0], &sizes[1], &sizes[2]); err != nil {
				if i < stop {
					t.Fatalf("the child says %q", lines.Text())
				}
				break // the line that the signal cut
			}
			ref, err := ParseRef(where)
			if err != nil {
				t.Fatal(err)
			}
			acks = append(acks, ack{ref, record(seed, sizes[0], sizes[1], sizes[2])})
			if i == stop {
				child.Process.Signal(syscall.SIGKILL)
			}
		}
		child.Wait()
		if round%3 == 2 { // the next child, not this process, recovers after the others
			continue
		}
		s := openAt(t, dir, Options{})
		for i, a := range acks {
			if err := readBack(s, a.ref, a.r); err != nil {
				t.Fatalf("round %d: record %d of %d: %v", round, i, len(acks), err)
			}
		}
		packs, err := s.Packs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range packs {
			if !p.Sealed {
				t.Errorf("a pack is not sealed")
			}
			if _, err := s.Check(t.Context(), p.ID); err != nil {
				t.Error(err)
			}
		}
		s.Close()
	}
	t.Logf("%d acknowledged records", len(acks))
}

func TestRunningPackIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	a, b := openAt(t, dir, Options{}), openAt(t, dir, Options{})
	r := record(1, 10, 10, 10)
	one, err := a.Append(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	c := openAt(t, dir, Options{}) // recovers while a's pack is open
	for _, s := range []*Store{b, c} {
		if err := readBack(s, one, r); err != nil {
			t.Error(err)
		}
		n := 0
		if err := s.Scan(t.Context(), one.Pack, 0, func(Header) (bool, error) { n++; return true, nil }); err != nil || n != 1 {
			t.Errorf("scanned %d, %v", n, err)
		}
	}
	two, err := a.Append(t.Context(), r)
	if err != nil || two.Pack != one.Pack {
		t.Errorf("a's pack was taken from it: %v", err)
	}
	if three, err := b.Append(t.Context(), r); err != nil || three.Pack == one.Pack {
		t.Errorf("two writers in one pack: %v", err)
	}
}

// failing is a folder whose writes, syncs and creations fail on demand.
type failing struct {
	folder
	mu    sync.Mutex
	what  string // "write", "sync", "create", "rename", "folder"
	after int    // how many of those still succeed
	err   error
}

func (d *failing) fail(what string, after int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.what, d.after, d.err = what, after, err
}

func (d *failing) check(what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.what != what {
		return nil
	}
	if d.after > 0 {
		d.after--
		return nil
	}
	return d.err
}

func (d *failing) create(name string) (file, error) {
	if err := d.check("create"); err != nil {
		return nil, err
	}
	f, err := d.folder.create(name)
	if err != nil {
		return nil, err
	}
	return &failingFile{f, d}, nil
}

func (d *failing) rename(from, to string) error {
	if err := d.check("rename"); err != nil {
		return err
	}
	return d.folder.rename(from, to)
}

func (d *failing) sync() error {
	if err := d.check("folder"); err != nil {
		return err
	}
	return d.folder.sync()
}

type failingFile struct {
	file
	d *failing
}

func (f *failingFile) writeAt(bufs [][]byte, off int64) error {
	if err := f.d.check("write"); err != nil {
		f.file.writeAt(bufs[:1], off) // a part arrives
		return err
	}
	return f.file.writeAt(bufs, off)
}

func (f *failingFile) sync() error {
	if err := f.d.check("sync"); err != nil {
		return err
	}
	return f.file.sync()
}

func TestDiskFailures(t *testing.T) {
	for _, what := range []string{"write", "sync", "create", "rename", "folder"} {
		for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
			t.Run(what+" "+cause.Error(), func(t *testing.T) {
				dir := t.TempDir()
				d := &failing{folder: folder(filepath.Join(dir, "packs"))}
				if err := os.Mkdir(string(d.folder), 0o700); err != nil {
					t.Fatal(err)
				}
				told := map[Ref]bool{}
				s, err := OpenStore(t.Context(), dir, Options{PackSize: 200 << 10, disk: d, Committed: func(c []Committed) {
					for _, c := range c {
						told[c.Ref] = true
					}
				}})
				if err != nil {
					t.Fatal(err)
				}
				type ack struct {
					ref Ref
					r   *Record
				}
				var mu sync.Mutex
				var acks []ack
				failed := 0
				work := func() {
					var wg sync.WaitGroup
					for w := range 4 {
						wg.Go(func() {
							for i := range 30 {
								r := record(uint64(100*w+i), 10, 2000, 200*i)
								var ref Ref
								var err error
								if i%10 == 9 {
									var st *Stream
									if st, err = s.Stream(context.Background(), r.KeyID, r.Key); err == nil {
										for _, b := range r.Bulk {
											st.Write(b)
										}
										ref, err = st.Commit(context.Background(), r.Meta, r.Head, nil)
									}
								} else {
									ref, err = s.Append(context.Background(), r)
								}
								mu.Lock()
								if err == nil {
									acks = append(acks, ack{ref, r})
								} else if failed++; !errors.Is(err, cause) || !fault.Is(err, fault.Unavailable) {
									t.Errorf("the error is %v", err)
								}
								mu.Unlock()
							}
						})
					}
					wg.Wait()
				}
				check := func(s *Store, when string) {
					for _, a := range acks {
						if err := readBack(s, a.ref, a.r); err != nil {
							t.Fatalf("%s: %v", when, err)
						}
						if !told[a.ref] {
							t.Fatalf("%s: acknowledged and not told of", when)
						}
					}
				}
				work()
				before := len(acks)
				if failed != 0 {
					t.Fatal("it fails without a cause")
				}
				d.fail(what, 5, cause)
				work()
				if failed == 0 {
					t.Fatal("the fault was not met")
				}
				check(s, "while it fails")
				d.fail("", 0, nil)
				work()
				if len(acks) < before+120 {
					t.Errorf("after the fault only %d records more", len(acks)-before)
				}
				check(s, "afterwards")
				s.Close()
				again := openAt(t, dir, Options{})
				check(again, "opened again")
				entries, _ := os.ReadDir(string(d.folder))
				for _, e := range entries {
					if filepath.Ext(e.Name()) != ".pack" {
						t.Errorf("a file stays %s", filepath.Ext(e.Name()))
					}
				}
				packs, err := again.Packs(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range packs {
					if _, err := again.Check(t.Context(), p.ID); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

var _ disk = (*failing)(nil)
