package endtoend

import (
	"database/sql"
	"fmt"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// sharedBucket is a bucket on a server in this process, and what a node needs to reach it.
func sharedBucket(t testing.TB, names ...string) (address func(name string) string, env []string) {
	t.Helper()
	backend := s3mem.New()
	for _, name := range names {
		if err := backend.CreateBucket(name); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	t.Cleanup(server.Close)
	return func(name string) string {
		return "s3://" + name + "?" + url.Values{"endpoint": {server.URL}, "use_path_style": {"true"}, "region": {"eu-test-1"}, "disable_https": {"true"}}.Encode()
	}, []string{"AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret"}
}

// Three nodes share a database and a bucket. One is killed while all receive, and comes back; nothing that any of them acknowledged is lost, and every one of them gives back what any
// has taken.
func TestNodesThatShareADatabase(t *testing.T) {
	receive := 1500 * time.Millisecond
	if testdata.Soak() {
		receive = 15 * time.Second
	}
	began := time.Now()
	stage := func(what string) {
		t.Logf("%s: %v", what, time.Since(began).Round(time.Millisecond))
		began = time.Now()
	}
	database := database(t, true)
	address, env := sharedBucket(t, "packs", "others")
	one := serve(t, setup{database: database, env: env, stores: []string{"--store", address("packs")}})
	stores := []string{"--store", address("packs"), "--key", one.setup.data + ".key"}
	all := []*served{one}
	for range 2 {
		n := boot(t, setup{database: database, env: env, stores: stores})
		n.tokens = one.tokens
		all = append(all, n)
	}
	t.Run("who does not share everything is refused", func(t *testing.T) {
		for name, x := range map[string]struct {
			stores []string
			says   string
		}{
			"no bucket":          {stores[2:], "share a bucket"},
			"another bucket":     {append([]string{"--store", address("others")}, stores[2:]...), "same --store"},
			"another master key": {stores[:2], "master key"},
		} {
			data := filepath.Join(t.TempDir(), "data")
			r := command(t, env, append([]string{"serve", "--data", data, "--database", database, "--http", "127.0.0.1:0", "--dicom", "127.0.0.1:0", "--sftp", "off"}, x.stores...)...)
			if r.code == 0 || !strings.Contains(string(r.err), x.says) {
				t.Errorf("%s: exit code %d: %s", name, r.code, r.err)
			}
		}
	})

	stage("started")

	// The first has studies of its own, those of the others come half to the one and half to the other.
	books := map[collection.ID]*ledger{research: newLedger(), kept: newLedger()}
	sets := map[string]*sample.Set{"own": sample.SmallSet(81), "common": sample.SmallSet(82)}
	next := map[string]int{}
	images := map[string]*image{} // by fingerprint, of what is kept as deposited
	killedHas := map[string]bool{}
	var mu sync.Mutex
	took := func(from string, to collection.ID) (*image, bool) {
		mu.Lock()
		defer mu.Unlock()
		key := from + " " + string(to)
		i := next[key]
		next[key]++
		in, err := sets[from].Instance(i)
		if err != nil {
			t.Error(err)
			return nil, false
		}
		x := generated("", in)
		if to == kept {
			images[x.fingerprint()], killedHas[x.fingerprint()] = x, from == "own"
		}
		return x, i%17 == 0
	}
	store := func(n *served, a *network.Association, i *image) bool {
		st, err := a.Store(t.Context(), &network.Instance{SOPClassUID: i.class, SOPInstanceUID: i.sop, TransferSyntaxUID: i.syntax, Bytes: i.data})
		if err == nil && !st.Done() {
			t.Errorf("C-STORE: %v %s", st, st.Comment)
		}
		return err == nil && st.Done()
	}
	stop := make(chan struct{})
	var senders, first sync.WaitGroup
	for k, n := range all {
		for called, to := range map[string]collection.ID{"VITRINE": research, "KEPT": kept} {
			from := "common"
			if k == 0 {
				from = "own"
			}
			first.Add(1)
			senders.Go(func() {
				var once sync.Once
				defer once.Do(first.Done)
				probe, _ := sets[from].Instance(0)
				a, err := n.dial(t.Context(), called, []*image{generated("", probe)})
				if err != nil {
					t.Error(err)
					return
				}
				// Some are sent to another node too, at the same time.
				b, err := all[2-k/2].dial(t.Context(), called, []*image{generated("", probe)})
				if err != nil {
					t.Error(err)
					return
				}
				for {
					select {
					case <-stop:
						_, _ = a.Release(t.Context()), b.Release(t.Context())
						return
					default:
					}
					i, twice := took(from, to)
					if i == nil {
						return
					}
					key := i.sop
					if to == kept {
						key = i.fingerprint()
					}
					books[to].note(key, false)
					var both sync.WaitGroup
					there := false
					if twice {
						both.Go(func() { there = store(n, b, i) })
					}
					ok := store(n, a, i)
					both.Wait()
					if ok || there {
						books[to].note(key, true)
						once.Do(first.Done)
					}
					if !ok { // its node was killed
						return
					}
				}
			})
		}
	}
	first.Wait()
	time.Sleep(receive) // the moment is what this is about
	one.kill()
	killed, _ := books[research].count()
	time.Sleep(receive / 2)
	close(stop)
	senders.Wait()

	// What the living have is found and read at each of them, though it lies in a pack that one of them is still writing.
	stage("received by three, and by two")
	readBack := func(n *served) (read, missing int) {
		for key, i := range images {
			if !books[kept].acked[key] {
				continue
			}
			read++
			if err := n.same(i); err != nil {
				if missing++; missing < 4 {
					t.Error(err)
				}
			}
		}
		return read, missing
	}
	eventually(t, time.Minute, func() error {
		for key, i := range images {
			if killedHas[key] || !books[kept].acked[key] {
				continue
			}
			for _, n := range all[1:] {
				if err := n.same(i); err != nil {
					return err
				}
			}
		}
		return nil
	})
	stage("read from each other")

	one.start()
	for c, book := range books {
		acked, open := book.count()
		for _, n := range all {
			if got := n.intake(string(c)); got.Received-got.Refused < acked || got.Received > acked+open || got.Refused > 0 {
				t.Errorf("%s holds %+v; %d were acknowledged, %d were on their way", c, got, acked, open)
			}
		}
	}
	for k, n := range all {
		if read, missing := readBack(n); missing > 0 || read == 0 {
			t.Errorf("node %d: %d of %d acknowledged instances are not given back as they came", k+1, missing, read)
		}
	}
	stage("started again, and read back from all")
	acked, open := books[research].count()
	t.Logf("acknowledged %d, of them %d before one was killed, and %d on their way; kept as deposited %d", acked, killed, open, len(books[kept].acked))

	// Each is admitted once. The killed one's studies fall quiet before they are.
	patience := acked
	if !testdata.Soak() {
		patience = min(100, acked-killed)
	}
	eventually(t, 3*time.Minute, func() error {
		if c := all[1].intake(research); c.Catalogued+c.Held < patience {
			return fmt.Errorf("%+v, want %d admitted", c, patience)
		}
		return nil
	})
	stage("admitted")
	for _, n := range all {
		n.unharmed()
	}
	for _, n := range all {
		n.stop()
	}
	stage("ended")
	pool, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	outcome := regexp.MustCompile(`^admitted (\d+), held (\d+)$`)
	rows, err := pool.QueryContext(t.Context(), `SELECT outcome FROM audit WHERE action = 'admit'`)
	if err != nil {
		t.Fatal(err)
	}
	admitted := 0
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		m := outcome.FindStringSubmatch(text)
		if m == nil || m[1] == "0" && m[2] == "0" {
			t.Errorf("an admission says %q", text)
			continue
		}
		n, _ := strconv.Atoi(m[1])
		admitted += n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	var there int
	if err := pool.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM instance WHERE state = 2`).Scan(&there); err != nil {
		t.Fatal(err)
	}
	if admitted != there {
		t.Errorf("the log says that %d were admitted, and %d are", admitted, there)
	}
	objects := one.verify()
	for _, n := range all[1:] {
		if got := n.verify(); got != objects {
			t.Errorf("verify read %d objects from one node, %d from another", objects, got)
		}
	}
}
