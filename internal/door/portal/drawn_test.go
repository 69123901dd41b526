package portal

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A picture of a public page is drawn once for everybody who comes within some minutes, and what is remembered is bounded.
func TestDrawnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d drawn
		n := 0
		draw := func() ([]byte, error) {
			n++
			time.Sleep(time.Second)
			return make([]byte, 1<<20), nil
		}
		for range 20 {
			go func() {
				if b, err := d.get(drawnOf{object: 1, frame: 1}, draw); err != nil || len(b) != 1<<20 {
					t.Errorf("%d bytes, %v", len(b), err)
				}
			}()
		}
		time.Sleep(2 * time.Second)
		_, _ = d.get(drawnOf{object: 1, frame: 1}, draw)
		if n != 1 {
			t.Errorf("drawn %d times", n)
		}
		_, _ = d.get(drawnOf{object: 1, frame: 2}, draw)
		if n != 2 {
			t.Errorf("another frame: drawn %d times", n)
		}
		time.Sleep(drawnFor)
		_, _ = d.get(drawnOf{object: 1, frame: 1}, draw)
		if n != 3 {
			t.Errorf("after its time: drawn %d times", n)
		}
		failed := errors.New("not now")
		for range 2 {
			if _, err := d.get(drawnOf{object: 2}, func() ([]byte, error) { n++; return nil, failed }); !errors.Is(err, failed) {
				t.Error(err)
			}
		}
		if n != 5 {
			t.Errorf("a failure is remembered: drawn %d times", n)
		}
		for k := range int64(100) {
			_, _ = d.get(drawnOf{object: 3, frame: k}, draw)
		}
		total := 0
		for _, p := range d.by {
			total += len(p.b)
		}
		if total != d.bytes || total > drawnBytes || len(d.by) < 20 {
			t.Errorf("%d bytes of %d pictures, counted as %d", total, len(d.by), d.bytes)
		}
	})
}

// Every template can be read: they are read when they are first drawn.
func TestTemplates(t *testing.T) {
	f, err := gather()
	if err != nil {
		t.Fatal(err)
	}
	all, err := parse(f)
	if err != nil || len(all.by) < 40 {
		t.Fatalf("%d templates, %v", len(all.by), err)
	}
	for name, read := range all.by {
		if one, err := read(); err != nil || one.Lookup("layout") == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
