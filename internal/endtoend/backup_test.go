package endtoend

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// killedAt runs a command, and kills it at a moment if it has not ended by then. It reports whether it ended by itself, and well.
func (n *served) killedAt(after time.Duration, args ...string) bool {
	n.t.Helper()
	c := exec.Command(vitrine(n.t), args...)
	c.Env = append(environment(), "TMPDIR="+n.tmp)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		n.t.Fatal(err)
	}
	late := time.AfterFunc(after, func() { _ = c.Process.Kill() })
	defer late.Stop()
	return c.Wait() == nil
}

// While images come in, backups are made and killed; one is not. Of it a node is made, by restores of which all but the last are killed. Everything that was acknowledged before that
// backup began is in the new node, byte for byte.
func TestKilledWhileBackingUpAndRestoring(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgresql"} {
		t.Run(engine, func(t *testing.T) { killedBackingUp(t, engine == "postgresql") })
	}
}

func killedBackingUp(t *testing.T, postgres bool) {
	rounds := 5
	if testdata.Soak() {
		rounds = 25
	}
	n := serve(t, setup{database: database(t, postgres)})
	rnd := rand.New(rand.NewPCG(21, uint64(rounds)))
	moment := func() time.Duration { return time.Duration(rnd.IntN(900)) * time.Millisecond }
	book := newLedger()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for s, set := range []*sample.Set{sample.SmallSet(78), sample.FullSet(78)} {
		wg.Go(func() {
			var a *network.Association
			for k := 0; ; k++ {
				select {
				case <-stop:
					if a != nil {
						_ = a.Release(t.Context())
					}
					return
				default:
				}
				in, err := set.Instance(k)
				if err != nil {
					t.Error(err)
					return
				}
				i := generated("", in)
				if a == nil {
					if a, err = n.dial(t.Context(), "KEPT", []*image{i}); err != nil {
						t.Error(err)
						return
					}
				}
				key := i.fingerprint()
				book.note(key, false)
				st, err := a.Store(t.Context(), &network.Instance{SOPClassUID: i.class, SOPInstanceUID: i.sop, TransferSyntaxUID: i.syntax, Bytes: i.data})
				if err != nil || !st.Done() {
					t.Errorf("sender %d: C-STORE: %v %v", s, st, err)
					return
				}
				book.note(key, true)
				// Less than a disk takes: this is about what happens beside.
				select {
				case <-stop:
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
	to, apart := filepath.Join(t.TempDir(), "backups"), filepath.Join(t.TempDir(), "keys")
	make := []string{"backup", "--data", n.setup.data, "--to", to, "--keys", apart}
	if postgres {
		make = append(make, "--database", n.setup.database)
	}
	ended := 0
	for range rounds {
		if n.killedAt(moment(), make...) {
			ended++
		}
	}
	book.mu.Lock()
	before := map[string]bool{}
	for key := range book.acked {
		before[key] = true
	}
	book.mu.Unlock()
	r := command(t, nil, append(make, "--output", "json")...)
	var report struct {
		Backup  string
		Objects int
	}
	if err := json.Unmarshal(r.out, &report); err != nil || r.code != 0 {
		t.Fatalf("backup: exit code %d: %s %s", r.code, r.out, r.err)
	}
	close(stop)
	wg.Wait()
	// What came since, and later backups, change nothing in that one.
	if r := command(t, nil, make...); r.code != 0 {
		t.Fatalf("backup: exit code %d: %s", r.code, r.err)
	}
	n.stop()

	again := filepath.Join(t.TempDir(), "again")
	key, err := os.ReadFile(n.setup.data + ".key")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(again+".key", key, 0o600); err != nil {
		t.Fatal(err)
	}
	m := &served{t: t, setup: setup{data: again, database: database(t, postgres)}, tmp: n.tmp, client: n.client, tokens: n.tokens,
		said: filepath.Join(t.TempDir(), "stdout"), logged: filepath.Join(t.TempDir(), "stderr")}
	restore := []string{"restore", "--from", to, "--keys", apart, "--to", again, "--backup", report.Backup}
	if postgres {
		restore = append(restore, "--database", m.setup.database)
	}
	half := 0
	for round := range rounds {
		if m.killedAt(time.Duration(60*(round+1)+rnd.IntN(80))*time.Millisecond, restore...) {
			break
		}
		if _, err := os.Stat(filepath.Join(again, "restore-unfinished")); err == nil {
			half++
			if r := m.run("verify"); r.code == 0 {
				t.Error("half a node is opened")
			}
		}
	}
	if _, err := os.Stat(filepath.Join(again, "restore-unfinished")); err == nil || half == 0 {
		if r := command(t, nil, restore...); r.code != 0 && r.code != 2 { // 2: it had ended, and the folder is a node's
			t.Fatalf("restore: exit code %d: %s", r.code, r.err)
		}
	}
	t.Logf("%d objects; %d of %d backups ended before they were killed; %d restores were killed half way", report.Objects, ended, rounds, half)
	m.start()
	t.Cleanup(m.kill)
	objects := m.verify()
	m.stop()
	if objects < len(before) {
		t.Errorf("%d objects are verified, %d had been acknowledged before the backup", objects, len(before))
	}
	there := map[string]bool{}
	m.stored(kept, func(l catalogue.Located, syntax string, data []byte) {
		key := fingerprint(string(l.SOP), syntax, data)
		if !book.acked[key] {
			t.Errorf("object %s is nothing that was sent", l.ID)
		}
		there[key] = true
	})
	lost := 0
	for key := range before {
		if !there[key] {
			lost++
		}
	}
	if lost > 0 || len(before) == 0 {
		t.Errorf("%d of %d objects that were acknowledged before the backup are lost", lost, len(before))
	}
}

// Killed again and again while packs go to the mirror, a node has all of them there in the end, whole; and gives everything out when its own are gone.
func TestKilledWhileMirroring(t *testing.T) {
	mirror := filepath.Join(t.TempDir(), "mirror")
	if err := os.Mkdir(mirror, 0o700); err != nil {
		t.Fatal(err)
	}
	address := "file://" + mirror + "?no_tmp_dir=true"
	n := serve(t, setup{args: []string{"--mirror", address}})
	rnd := rand.New(rand.NewPCG(22, 1))
	set := sample.FullSet(79)
	next := 0
	const rounds, each = 5, 8
	for range rounds {
		var images []*image
		for range each {
			in, err := set.Instance(next)
			if err != nil {
				t.Fatal(err)
			}
			next++
			images = append(images, generated("", in))
		}
		for _, st := range n.store("KEPT", images) {
			if !st.Done() {
				t.Fatalf("C-STORE: %v", st)
			}
		}
		n.kill() // what it had open is sealed when it starts, and copied
		n.start()
		time.Sleep(time.Duration(rnd.IntN(150)) * time.Millisecond)
		n.kill()
		n.start()
	}
	eventually(t, time.Minute, func() error {
		if r := n.run("verify", "--mirror", address); r.code != 0 {
			return errors.New(string(r.out) + string(r.err))
		}
		return nil
	})
	n.stop()
	packs, err := filepath.Glob(filepath.Join(n.setup.data, "packs", "*.pack"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	for _, p := range packs {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	r := n.run("verify", "--mirror", address, "--output", "json")
	var report struct {
		Objects     int
		Differences []struct{ What, Why string }
	}
	if err := json.Unmarshal(r.out, &report); err != nil || r.code != 1 || report.Objects != rounds*each || len(report.Differences) != len(packs) {
		t.Errorf("with its own packs gone: exit code %d, %d objects of %d, %d differences for %d packs, %v", r.code, report.Objects, rounds*each, len(report.Differences), len(packs), err)
	}
}
