package endtoend

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// Broken files are taken, held or refused with a reason, by every door; none of them costs the node its memory, its handles or its life.
func TestMutatedFiles(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgresql"} {
		t.Run(engine, func(t *testing.T) { mutated(t, engine == "postgresql") })
	}
}

func mutated(t *testing.T, postgres bool) {
	count := 500
	if testdata.Soak() {
		count = 5000
	}
	var from []*image
	for _, i := range real(t) {
		if i.fileable() && len(i.file) < 120_000 && i.syntax != deflated {
			from = append(from, i)
		}
	}
	for k := range 20 {
		in, err := sample.SmallSet(900).Instance(k)
		if err != nil {
			t.Fatal(err)
		}
		from = append(from, generated(fmt.Sprint(k), in))
	}
	files := mutants(t, 1, count, from)
	n := serve(t, setup{database: database(t, postgres)})
	n.unharmed()
	n.client.CloseIdleConnections()
	before := n.sockets()

	var taken, refused, ended atomic.Int64
	parallel := func(do func(i *image)) {
		var wg sync.WaitGroup
		work := make(chan *image)
		for range 4 {
			wg.Go(func() {
				for i := range work {
					do(i)
				}
			})
		}
		for _, i := range files {
			work <- i
		}
		close(work)
		wg.Wait()
	}
	for k, called := range []string{"VITRINE", "KEPT"} {
		if k == 1 && !testdata.Soak() {
			continue
		}
		parallel(func(i *image) {
			a, err := n.dial(t.Context(), called, []*image{i})
			if err != nil {
				t.Errorf("%s: %v", i.name, err)
				return
			}
			st, err := a.Store(t.Context(), &network.Instance{SOPClassUID: i.class, SOPInstanceUID: i.sop, TransferSyntaxUID: i.syntax, Bytes: i.data})
			switch {
			case err == network.ErrNoContext: // the message, not the data set, names what nobody knows
			case err != nil:
				t.Errorf("%s: C-STORE: %v", i.name, err)
				ended.Add(1)
				return
			case st.Done():
				taken.Add(1)
			case st.Comment == "":
				t.Errorf("%s: C-STORE refused with %v and no comment", i.name, st)
			default:
				refused.Add(1)
			}
			if err := a.Release(t.Context()); err != nil {
				t.Errorf("%s: release: %v", i.name, err)
			}
		})
	}
	for _, collection := range []string{kept, research} {
		if collection == research && !testdata.Soak() {
			continue // it gets them from a folder, below
		}
		parallel(func(i *image) {
			switch a := n.stow(collection, i); {
			case a.code == 200 && len(a.kept) == 1:
				taken.Add(1)
			case a.code == 409 && len(a.why) == 1 && a.why[0] != "":
				refused.Add(1)
			default:
				t.Errorf("%s: STOW-RS: status %d, %v: %.300s", i.name, a.code, a.err, a.body)
			}
		})
	}
	t.Logf("%d files: %d taken, %d refused, peak memory %d MiB", len(files), taken.Load(), refused.Load(), n.peak()>>20)
	if taken.Load() < 50 || refused.Load() < 50 {
		t.Error("the mutations are of one kind")
	}
	// And once more from a folder.
	folder, report := t.TempDir(), filepath.Join(t.TempDir(), "report.json")
	for k, i := range files {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprint(k)), i.file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := command(t, []string{"VITRINE_TOKEN=" + n.tokens["depositor"], "XDG_STATE_HOME=" + t.TempDir(), "TMPDIR=" + n.tmp}, "deposit", folder, "--collection", research, "--server", "http://"+n.http, "--report", report, "--quiet")
	b, err := os.ReadFile(report)
	if r.code != 3 || err != nil {
		t.Fatalf("deposit: exit code %d, %v: %s", r.code, err, r.err)
	}
	var said struct {
		Items []struct {
			Outcome string
			Reasons []struct{ Code, Text string }
		}
	}
	if err := json.Unmarshal(b, &said); err != nil {
		t.Fatal(err)
	}
	fates := map[string]int{}
	for _, i := range said.Items {
		fates[i.Outcome]++
		if i.Outcome != "kept" && len(i.Reasons) == 0 {
			t.Errorf("an item is %s without a reason", i.Outcome)
		}
	}
	t.Logf("deposit: %v", fates)
	if len(said.Items) != len(files) || fates["failed"] > 0 {
		t.Errorf("of %d files the report has %v", len(files), fates)
	}
	n.unharmed()
	if p := n.peak(); p > 512<<20 {
		t.Errorf("the node used %d MiB", p>>20)
	}
	n.client.CloseIdleConnections()
	eventually(t, 30*time.Second, func() error {
		if now := n.sockets(); now > before {
			return fmt.Errorf("%d sockets are open, %d were before", now, before)
		}
		return nil
	})
	// Files are pooled (databases, packs), so that they settle above what they were at the start.
	if h := n.handles(); h > 64 {
		t.Errorf("%d handles are open", h)
	}
	n.stop()
	n.reasoned()
	n.verify()
}
