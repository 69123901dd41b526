package reading_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// TestMain is the program that decodes as well.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "codec-worker" {
		if codec.Work(context.Background(), os.Stdin, os.Stdout, os.Args[2]) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// rig is a node that reads pixels.
type rig struct {
	*node.Node
	t    *testing.T
	cfg  node.Config
	stop func()
}

func each(t *testing.T, test func(t *testing.T, x *rig)) {
	for _, engine := range []string{"sqlite", "postgresql"} {
		t.Run(engine, func(t *testing.T) {
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cfg := node.Config{Data: t.TempDir(), Demo: true, Decoder: []string{exe, "codec-worker", t.TempDir()}, ReadPixels: true, Log: slog.New(slog.NewTextHandler(testLog{t}, nil))}
			if engine == "postgresql" {
				cfg.Database = dbtest.PostgresURL(t)
			}
			x := &rig{t: t, cfg: cfg}
			x.start()
			c := collection.Collection{ID: "breast", Title: "Breast", Profile: "research", ProfileVersion: "1"}
			if err := x.Stores.DB.Write(t.Context(), func(tx *db.Tx) error { return x.Stores.Collections.Create(tx, c) }); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { x.stop() })
			test(t, x)
		})
	}
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (x *rig) start() {
	x.t.Helper()
	n, err := node.New(x.t.Context(), x.cfg)
	if err != nil {
		x.t.Fatal(err)
	}
	x.Node = n
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	x.stop = func() {
		cancel()
		if err := <-done; err != nil {
			x.t.Error(err)
		}
		x.stop = func() {}
	}
}

// deposit gives data sets in explicit VR little endian to the collection.
func (x *rig) deposit(all ...[]byte) {
	x.t.Helper()
	dep, err := x.Custody.Begin(x.t.Context(), "breast", custody.DoorSTOW, "token-of-ward-7")
	if err != nil {
		x.t.Fatal(err)
	}
	for _, b := range all {
		if _, err := dep.Receive(x.t.Context(), custody.Incoming{Syntax: dicom.ExplicitVRLittleEndian, Data: custody.FromReader(bytes.NewReader(b))}); err != nil {
			x.t.Fatal(err)
		}
	}
	dep.End()
	if err := x.Custody.Barrier(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
}

func (x *rig) all() []catalogue.Located {
	x.t.Helper()
	all, err := x.Stores.Catalogue.All(x.t.Context(), 0, 100)
	if err != nil {
		x.t.Fatal(err)
	}
	return all
}

// settled waits until the instances are in these states.
func (x *rig) settled(want ...policy.State) []catalogue.Located {
	x.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(40 * time.Second)
	for {
		unread, err := x.Stores.Catalogue.UnreadSeries(x.t.Context(), time.Now().Add(time.Hour), 0, 100)
		if err != nil {
			x.t.Fatal(err)
		}
		all := x.all() // after the count of what is unread: what was read in between is seen as it became
		got := make([]policy.State, len(all))
		for i, l := range all {
			got[i] = l.State
		}
		if slices.Equal(got, want) && len(unread) == 0 {
			return all
		}
		select {
		case <-tick.C:
		case <-late:
			for _, l := range all {
				x.t.Log(l.State, l.Reasons)
			}
			x.t.Fatalf("the states are %v, not %v; %d series unread", got, want, len(unread))
		}
	}
}

// pixels are the data set and the pixel data of an instance as it is now.
func (x *rig) pixels(l catalogue.Located) (*dicom.Dataset, []byte) {
	x.t.Helper()
	p, done, err := x.Custody.Pixels(x.t.Context(), l)
	if err != nil {
		x.t.Fatal(err)
	}
	defer done()
	b := make([]byte, p.Size)
	if _, err := p.Value.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		x.t.Fatal(err)
	}
	return p.Data, b
}

// study is the first of a kind in the sample.
func study(t *testing.T, kind string) *sample.Study {
	t.Helper()
	for s := range sample.Studies(7) {
		if s.Kind == kind {
			return s
		}
	}
	t.Fatal("the sample has none")
	return nil
}

func instance(t *testing.T, kind string) *sample.Instance {
	t.Helper()
	i, err := study(t, kind).Instance(0)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// An ultrasound image that says whose it is comes out admitted, without what it said, and otherwise as it was.
func TestPainted(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		us := instance(t, "US")
		x.deposit(us.Data())
		l := x.settled(policy.Admitted)[0]
		ds, got := x.pixels(l)
		if ds.String(dicom.TagBurnedInAnnotation) != "NO" || !bytes.Contains(ds.Bytes(), []byte("113101")) {
			t.Error("it does not say that its pixels were cleaned")
		}
		d, err := dicom.ParseDataset(us.Data(), dicom.ExplicitVRLittleEndian, dicom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		came := d.Value(d.PixelData())
		const w, h = 640, 480
		if len(got) != len(came) {
			t.Fatalf("%d bytes of pixels, not %d", len(got), len(came))
		}
		// The name, in the first 26 rows of the left half: nothing of it is left.
		lit := func(b []byte, rows, columns int) (n int) {
			for y := range rows {
				for c := range columns {
					if b[3*(y*w+c)] > 60 {
						n++
					}
				}
			}
			return n
		}
		if before, after := lit(came, 26, 400), lit(got, 26, 400); before < 200 || after > 0 {
			t.Errorf("of %d pixels that wrote the name %d are left", before, after)
		}
		changed := 0
		for y := 70; y < h-30; y++ {
			for c := range w {
				if i := 3 * (y*w + c); got[i] != came[i] {
					changed++
				}
			}
		}
		if changed > w*h/50 {
			t.Errorf("%d pixels of the picture itself were changed", changed)
		}
	})
}

// What shows no text is admitted as it came; what only a person can judge waits for one, with what was found.
func TestOthers(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		ct := instance(t, "CT")
		x.deposit(ct.Data())
		l := x.settled(policy.Admitted)[0]
		ds, got := x.pixels(l)
		d, err := dicom.ParseDataset(ct.Data(), dicom.ExplicitVRLittleEndian, dicom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, d.Value(d.PixelData())) || bytes.Contains(ds.Bytes(), []byte("113101")) {
			t.Error("a clean image was changed")
		}
		// The same ultrasound image as a photograph: it may show the person, which no machine can tell.
		us := bytes.Replace(instance(t, "US").Data(), []byte("CS\x02\x00US"), []byte("CS\x02\x00XC"), 1)
		x.deposit(us)
		l = x.settled(policy.Admitted, policy.Held)[1]
		found, err := x.Stores.Catalogue.Found(t.Context(), l.ID)
		if err != nil || found == nil || len(found.Boxes) == 0 || found.Frames != 1 {
			t.Errorf("what was found in it: %+v, %v", found, err)
		}
	})
}

// A node that ends between taking an image out of sight and painting it paints it at its next start.
func TestInterrupted(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		x.stop()
		x.cfg.ReadPixels = false
		x.start()
		// A node that does not read keeps nothing back.
		ct := instance(t, "CT")
		x.deposit(ct.Data())
		x.settled(policy.Admitted)
		x.stop()
		x.cfg.ReadPixels = true
		x.start()
		x.deposit(instance(t, "US").Data())
		x.stop() // at any point
		x.start()
		x.settled(policy.Admitted, policy.Admitted)
	})
}

// What came to a node that reads, and is unread when one that does not takes over, is held for a person; the next that reads answers for it.
func TestUnreadAtAnotherNode(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		dep, err := x.Custody.Begin(t.Context(), "breast", custody.DoorSTOW, "token-of-ward-7")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dep.Receive(t.Context(), custody.Incoming{Syntax: dicom.ExplicitVRLittleEndian, Data: custody.FromReader(bytes.NewReader(instance(t, "CT").Data()))}); err != nil {
			t.Fatal(err)
		}
		if err := x.Custody.Barrier(t.Context()); err != nil { // the deposit has not ended: its study waits
			t.Fatal(err)
		}
		x.stop()
		x.cfg.ReadPixels = false
		x.start()
		l := x.all()[0]
		if l.State != policy.Held || len(l.Reasons) != 1 || l.Reasons[0].Code != deid.CodeUnread {
			t.Fatalf("it is %v for %v", l.State, l.Reasons)
		}
		open, waiting, _, err := x.Stores.Catalogue.ToRead(t.Context())
		if err != nil || open != 0 || waiting != 1 {
			t.Errorf("%d and %d are unread, %v", open, waiting, err)
		}
		if err := x.Stores.DB.Write(t.Context(), func(tx *db.Tx) error { return x.Stores.Catalogue.EndDeposit(tx, dep.ID) }); err != nil {
			t.Fatal(err)
		}
		x.stop()
		x.cfg.ReadPixels = true
		x.start()
		x.settled(policy.Admitted)
	})
}

// Series whose pack is not there now keep no other from being read, however many they are; they are read when it is back.
func TestUnreadableKeepNothingWaiting(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		if x.cfg.Database != "" && !testdata.Soak() {
			t.Skip("it waits for half of its time, on one database as on the other: make soak")
		}
		const n = 55 // more than are looked at together
		small := func(k int) []byte {
			b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
			for tag, v := range map[dicom.Tag]string{dicom.TagSOPClassUID: "1.2.840.10008.5.1.4.1.1.2", dicom.TagModality: "CT", dicom.TagPatientID: "H-4471 882", dicom.TagPatientName: "Winterbourne^Ada",
				dicom.TagPhotometricInterpretation: "MONOCHROME2", dicom.TagStudyInstanceUID: fmt.Sprintf("1.2.3.%d", k), dicom.TagSeriesInstanceUID: fmt.Sprintf("1.2.3.%d.1", k), dicom.TagSOPInstanceUID: fmt.Sprintf("1.2.3.%d.1.1", k)} {
				b.String(tag, v)
			}
			for tag, v := range map[dicom.Tag]int{dicom.TagRows: 16, dicom.TagColumns: 16, dicom.TagBitsAllocated: 16, dicom.TagBitsStored: 16, dicom.TagHighBit: 15, dicom.TagSamplesPerPixel: 1, dicom.TagPixelRepresentation: 0} {
				b.Ints(tag, v)
			}
			b.Raw(dicom.TagPixelData, dicom.VROW, make([]byte, 2*16*16))
			d, err := b.Dataset()
			if err != nil {
				t.Fatal(err)
			}
			return d.Bytes()
		}
		dep, err := x.Custody.Begin(t.Context(), "breast", custody.DoorSTOW, "token-of-ward-7")
		if err != nil {
			t.Fatal(err)
		}
		for k := range n {
			if _, err := dep.Receive(t.Context(), custody.Incoming{Syntax: dicom.ExplicitVRLittleEndian, Data: custody.FromReader(bytes.NewReader(small(k)))}); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Custody.Barrier(t.Context()); err != nil { // the deposit has not ended: its studies wait
			t.Fatal(err)
		}
		x.stop()
		packs, err := filepath.Glob(filepath.Join(x.cfg.Data, "packs", "*.pack"))
		if err != nil || len(packs) != 1 {
			t.Fatal(packs, err)
		}
		away := filepath.Join(t.TempDir(), filepath.Base(packs[0]))
		if err := os.Rename(packs[0], away); err != nil {
			t.Fatal(err)
		}
		x.start()
		if err := x.Stores.DB.Write(t.Context(), func(tx *db.Tx) error { return x.Stores.Catalogue.EndDeposit(tx, dep.ID) }); err != nil {
			t.Fatal(err)
		}
		x.deposit(small(n))
		admitted := func(want int) {
			t.Helper()
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			late := time.After(60 * time.Second)
			for {
				got := 0
				for _, l := range x.all() {
					if l.State == policy.Admitted {
						got++
					}
				}
				if got == want {
					return
				}
				select {
				case <-tick.C:
				case <-late:
					t.Fatalf("%d are admitted, of %d", got, want)
				}
			}
		}
		admitted(1)
		if err := os.Rename(away, packs[0]); err != nil {
			t.Fatal(err)
		}
		admitted(n + 1)
	})
}
