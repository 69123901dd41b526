package endtoend

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// leaving is a node's doors, asked again and again for what is one subject's.
type leaving struct {
	n       *served
	patient string
	i       *image // UIDs of the one object

	stop  chan struct{}
	ended sync.WaitGroup
	doors map[string]*lastServed
}

// lastServed is when a door gave something of the subject last.
type lastServed struct {
	at    atomic.Int64 // when the answer had come whole, in nanoseconds since 1970; 0: never
	asked atomic.Int64 // when that answer was asked for
	after atomic.Int64 // answers since without anything
}

// drive begins to ask at every door. What each answers is told by whether it has anything of the subject in it.
func (n *served) drive(t *testing.T, patient string, i *image) *leaving {
	l := &leaving{n: n, patient: patient, i: i, stop: make(chan struct{}), doors: map[string]*lastServed{}}
	base := "/collections/" + kept + "/dicomweb/studies"
	study := base + "/" + i.study
	at := study + "/series/" + i.series + "/instances/" + i.sop
	gives := func(path, accept string, holds func(a answer) bool) func() bool {
		return func() bool {
			a := n.get(path, "steward", accept)
			return a.err == nil && a.code == http.StatusOK && holds(a)
		}
	}
	any := func(a answer) bool { return len(a.body) > 0 }
	named := func(a answer) bool {
		return bytes.Contains(a.body, []byte(i.study)) || bytes.Contains(a.body, []byte(patient))
	}
	ask := map[string]func() bool{
		"QIDO-RS studies":          gives(base+"?PatientID="+patient, "application/dicom+json", named),
		"QIDO-RS instances":        gives(study+"/instances", "application/dicom+json", named),
		"WADO-RS metadata":         gives(study+"/metadata", "application/dicom+json", named),
		"WADO-RS header and frame": gives(at+"/frames/1", `multipart/related; type="application/octet-stream"; transfer-syntax=*`, any),
		"WADO-RS rendered":         gives(at+"/rendered", "image/png", any),
		"WADO-RS thumbnail":        gives(at+"/thumbnail", "image/png", any),
		"portal: collection":       gives("/collections/"+kept, "text/html", named),
		"portal: study":            gives("/collections/"+kept+"/studies/"+i.study, "text/html", named),
		"portal: subject":          gives("/collections/"+kept+"/subjects/"+patient, "text/html", named),
		"C-FIND": func() bool {
			found := false
			err := n.query(network.StudyRootFindUID, func(b *dicom.Builder) {
				b.String(dicom.TagQueryRetrieveLevel, "STUDY")
				b.String(dicom.TagStudyInstanceUID, i.study)
				b.Empty(dicom.TagPatientID)
			}, func(a *network.Association, q *network.Query) error {
				_, err := a.Find(t.Context(), q, func(st network.Status, b []byte) bool { found = found || st.Pending(); return true })
				return err
			}, i)
			return err == nil && found
		},
	}
	for name, one := range ask {
		d := &lastServed{}
		l.doors[name] = d
		l.ended.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				asked := time.Now()
				if one() {
					d.asked.Store(asked.UnixNano())
					d.at.Store(time.Now().UnixNano())
					d.after.Store(0)
				} else {
					d.after.Add(1)
				}
			}
		})
	}
	return l
}

// query asks as a peer that may find and get.
func (n *served) query(class string, keys func(*dicom.Builder), say func(*network.Association, *network.Query) error, i *image) error {
	b := dicom.NewBuilder(dicom.ImplicitVRLittleEndian)
	keys(b)
	d, err := b.Dataset()
	if err != nil {
		return err
	}
	a, err := network.Dial(n.t.Context(), n.dicom, network.DialOptions{CallingAE: "ASKER", CalledAE: "KEPT", ResponseTimeout: time.Minute,
		Contexts: []network.Proposal{{AbstractSyntax: class, TransferSyntaxes: []string{dicom.ImplicitVRLittleEndian.UID}}}})
	if err != nil {
		return err
	}
	defer a.Abort()
	return say(a, &network.Query{SOPClassUID: class, TransferSyntaxUID: dicom.ImplicitVRLittleEndian.UID, Identifier: d.Bytes()})
}

// stream reads the one object at so many bytes a second, and says when the last byte came, how many there were, and whether it came whole.
type stream struct {
	read  atomic.Int64
	last  atomic.Int64
	whole atomic.Bool
	ended chan struct{}
}

func (l *leaving) slowly(path, accept string, perSecond int) *stream {
	s := &stream{ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		r, err := http.NewRequestWithContext(l.n.t.Context(), "GET", "http://"+l.n.http+path, nil)
		if err != nil {
			return
		}
		r.Header.Set("Authorization", "Bearer "+l.n.tokens["steward"])
		r.Header.Set("Accept", accept)
		// A small buffer here: what is in it has left the node already.
		dial := &net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
			if e := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 128<<10) }); e != nil {
				return e
			}
			return err
		}}
		transport := &http.Transport{DialContext: dial.DialContext, DisableCompression: true, DisableKeepAlives: true}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		const piece = 64 << 10
		tick := time.NewTicker(time.Second * piece / time.Duration(perSecond))
		defer tick.Stop()
		b := make([]byte, piece)
		for {
			<-tick.C
			k, err := resp.Body.Read(b)
			if k > 0 {
				s.read.Add(int64(k))
				s.last.Store(time.Now().UnixNano())
			}
			if err != nil {
				s.whole.Store(err == io.EOF)
				return
			}
		}
	}()
	return s
}

// warm waits until each door has given something, and the streams run.
func (l *leaving) warm(t *testing.T, streams ...*stream) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		for name, d := range l.doors {
			if d.at.Load() == 0 {
				return fmt.Errorf("%s has given nothing yet", name)
			}
		}
		for _, s := range streams {
			if s.read.Load() < 1<<20 {
				return fmt.Errorf("a stream has not begun")
			}
		}
		return nil
	})
}

// gone wants every door to give nothing that was asked for more than within after the moment, and every stream to have broken off within that; and says how long it took.
func (l *leaving) gone(t *testing.T, moment time.Time, within time.Duration, streams ...*stream) (longest time.Duration) {
	t.Helper()
	eventually(t, within+30*time.Second, func() error {
		for name, d := range l.doors {
			if d.after.Load() < 3 {
				return fmt.Errorf("%s still gives it", name)
			}
		}
		return nil
	})
	close(l.stop)
	l.ended.Wait()
	took := func(name string, last int64) {
		d := time.Unix(0, last).Sub(moment)
		t.Logf("%-26s last byte %+v", name, d.Round(time.Millisecond))
		if d > within {
			t.Errorf("%s: the last byte came %v after the withdrawal", name, d)
		}
		longest = max(longest, d)
	}
	for name, d := range l.doors {
		took(name, d.at.Load())
	}
	for _, s := range streams {
		select {
		case <-s.ended:
		case <-time.After(within + 10*time.Second):
			t.Error("a stream goes on")
			continue
		}
		took("stream", s.last.Load())
		if s.whole.Load() {
			t.Error("a stream ended as if it were whole")
		}
	}
	return longest
}

// bigImage stores an object of so many bytes as it is, and gives its UIDs and its patient.
func (n *served) bigImage(t *testing.T, seed uint64, size int64) (*image, string) {
	t.Helper()
	head, err := func() (*dicom.Dataset, error) {
		_, h, err := pixels(largeFile(seed, size))
		return h, err
	}()
	if err != nil {
		t.Fatal(err)
	}
	i := &image{class: head.UID(dicom.TagSOPClassUID), sop: head.UID(dicom.TagSOPInstanceUID), syntax: head.Syntax().UID, study: head.UID(dicom.TagStudyInstanceUID), series: head.UID(dicom.TagSeriesInstanceUID)}
	whole := io.MultiReader(bytes.NewReader([]byte("--edge\r\nContent-Type: application/dicom\r\n\r\n")), largeFile(seed, size), bytes.NewReader([]byte("\r\n--edge--\r\n")))
	a := readStow(t, n.do("POST", "/collections/"+kept+"/dicomweb/studies", "depositor", map[string]string{"Content-Type": stowType, "Accept": "application/dicom+json"}, whole))
	if a.code != 200 || len(a.kept) != 1 {
		t.Fatalf("status %d, %v: %.300s", a.code, a.err, a.body)
	}
	return i, strings.TrimSpace(head.String(dicom.TagPatientID))
}

// withdraw has a subject withdraw from use, by the API, and gives the moment at which the answer came and the number of the withdrawal.
func (n *served) withdraw(t *testing.T, patient string) (time.Time, string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"whom": map[string]string{"pseudonym": patient}, "withdrawal": "use"})
	if err != nil {
		t.Fatal(err)
	}
	a := n.do("POST", "/api/collections/"+kept+"/consent", "steward", map[string]string{"Content-Type": "application/json"}, bytes.NewReader(body))
	moment := time.Now()
	var out struct {
		Out        bool   `json:"out_of_sight"`
		Withdrawal string `json:"withdrawal"`
	}
	if err := json.Unmarshal(a.body, &out); err != nil || a.code != http.StatusCreated || !out.Out {
		t.Fatalf("status %d: %.300s", a.code, a.body)
	}
	return moment, out.Withdrawal
}

// From the second in which somebody withdraws nothing of theirs leaves by any door, though every door has just given it and a download is under way; what is another's is served on. Once the key is
// destroyed, nothing that is kept of them can be read, and nothing of theirs is taken again.
func TestWithdrawalReachesTheLastByte(t *testing.T) {
	mirror := filepath.Join(t.TempDir(), "mirror")
	if err := os.Mkdir(mirror, 0o700); err != nil {
		t.Fatal(err)
	}
	copied := "file://" + mirror + "?no_tmp_dir=true"
	n := serve(t, setup{args: []string{"--mirror", copied}})
	n.admin("peer", "add", "ASKER", "--host", "127.0.0.1", "--port", "105", "--may", "find,get", "--collection", kept)
	i, patient := n.bigImage(t, 71, 48<<20)
	other, err := sample.SmallSet(72).Instance(0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := generated("", other)
	if a := n.stow(kept, theirs); a.code != 200 {
		t.Fatalf("status %d: %s", a.code, a.body)
	}
	n.settled(kept, 2)
	n.admin("release", "publish", "--collection", kept)
	l := n.drive(t, patient, i)
	object := `multipart/related; type="application/dicom"; transfer-syntax=*`
	streams := []*stream{l.slowly(i.place(), object, 2<<20), l.slowly("/collections/"+kept+"/dicomweb/studies/"+i.study+"?accept=application/zip", "application/zip", 2<<20)}
	l.warm(t, streams...)
	moment, number := n.withdraw(t, patient)
	t.Logf("the last byte came %v after the withdrawal had been answered", l.gone(t, moment, time.Second, streams...).Round(time.Millisecond))
	if err := n.same(theirs); err != nil {
		t.Errorf("what is another's: %v", err)
	}

	// Nothing of theirs is taken again: not the same, and not another.
	whole := io.MultiReader(bytes.NewReader([]byte("--edge\r\nContent-Type: application/dicom\r\n\r\n")), largeFile(71, 48<<20), bytes.NewReader([]byte("\r\n--edge--\r\n")))
	if a := readStow(t, n.do("POST", "/collections/"+kept+"/dicomweb/studies", "depositor", map[string]string{"Content-Type": stowType, "Accept": "application/dicom+json"}, whole)); len(a.kept) != 0 {
		t.Errorf("it was taken again: %v", a.kept)
	}

	// The bytes are there still, in packs, mirror and backup, and nobody can read them once the key is gone, which is in no file any more.
	to, apart := filepath.Join(t.TempDir(), "backups"), filepath.Join(t.TempDir(), "keys")
	n.admin("backup", "--to", to, "--keys", apart)
	wrapped := n.wrappedKeys(t)
	if len(wrapped) < 2 {
		t.Fatalf("%d keys", len(wrapped))
	}
	n.admin("subject", "erase", number, "--collection", kept)
	left := n.wrappedKeys(t)
	var gone []byte
	for id, key := range wrapped {
		if left[id] == nil {
			if gone != nil {
				t.Error("more than one key is gone")
			}
			gone = key
		}
	}
	if gone == nil {
		t.Fatal("no key is gone")
	}
	if where := holding(t, gone, apart); len(where) == 0 {
		t.Error("the key is not where it is known to be: the search finds nothing")
	}
	if where := holding(t, gone, n.setup.data); len(where) > 0 {
		t.Errorf("the key is in %s while the node runs", where)
	}
	n.stop() // what is open is sealed then, and copied to the mirror when it has started
	n.start()
	eventually(t, time.Minute, func() error {
		if r := n.run("verify", "--mirror", copied); r.code != 0 {
			return errors.New(string(r.out) + string(r.err))
		}
		return nil
	})
	n.admin("backup", "--to", to, "--keys", apart, "--erase-within", "1ns") // keys of backups that are older go
	n.stop()
	for _, dir := range []string{n.setup.data, mirror, to, apart} {
		if where := holding(t, gone, dir); len(where) > 0 {
			t.Errorf("the key is in %s", where)
		}
		for _, piece := range pieces(t, largeFile(71, 48<<20)) {
			if where := holding(t, piece, dir); len(where) > 0 {
				t.Errorf("pixels are in clear in %s", where)
			}
		}
	}
	for _, dir := range []string{filepath.Join(n.setup.data, "packs"), mirror, to} {
		if size := weight(t, dir); size < 48<<20 {
			t.Errorf("%s holds %d bytes only: nothing is shown by what it does not hold", filepath.Base(dir), size)
		}
	}
	n.start()
	report := n.run("verify", "--output", "json")
	var v struct{ Objects, Erased int }
	if err := json.Unmarshal(report.out, &v); err != nil || report.code != 0 || v.Objects != 1 || v.Erased != 1 {
		t.Errorf("verify: exit code %d: %s %s", report.code, report.out, report.err)
	}
	dir := t.TempDir()
	n.admin("subject", "certificate", number, "--collection", kept, "--out", dir)
	b, err := os.ReadFile(filepath.Join(dir, "certificate.json"))
	if err != nil || !bytes.Contains(b, []byte(`"key_is_there":false`)) {
		t.Errorf("the certificate says %s, %v", b, err)
	}
}

// Three nodes share a database and a bucket, and each has just served the subject: what one is told reaches all.
func TestWithdrawalReachesNodesBeside(t *testing.T) {
	address, env := sharedBucket(t, "packs")
	one := serve(t, setup{database: database(t, true), env: env, stores: []string{"--store", address("packs")}})
	one.admin("peer", "add", "ASKER", "--host", "127.0.0.1", "--port", "105", "--may", "find,get", "--collection", kept)
	all := []*served{one}
	for range 2 {
		n := boot(t, setup{database: one.setup.database, env: env, stores: append(slices.Clone(one.setup.stores), "--key", one.setup.data+".key")})
		n.tokens = one.tokens
		all = append(all, n)
	}
	i, patient := one.bigImage(t, 73, 48<<20)
	one.settled(kept, 1)
	one.admin("release", "publish", "--collection", kept)
	var driven []*leaving
	var streams []*stream
	for _, n := range all {
		l := n.drive(t, patient, i)
		s := l.slowly(i.place(), `multipart/related; type="application/dicom"; transfer-syntax=*`, 2<<20)
		l.warm(t, s)
		driven, streams = append(driven, l), append(streams, s)
	}
	moment, _ := one.withdraw(t, patient)
	for k, l := range driven {
		t.Logf("node %d: the last byte came %v after the withdrawal", k+1, l.gone(t, moment, 60*time.Second, streams[k]).Round(time.Millisecond))
	}
}

// wrappedKeys are the keys of subjects as the node keeps them, by their identifiers.
func (n *served) wrappedKeys(t *testing.T) map[string][]byte {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(n.setup.data, "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	rows, err := d.Query(t.Context(), `SELECT id, wrapped FROM subject_key`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string][]byte{}
	for rows.Next() {
		var id string
		var key []byte
		if err := rows.Scan(&id, &key); err != nil {
			t.Fatal(err)
		}
		all[id] = key
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// pieces are some of a file, each of 16 bytes.
func pieces(t *testing.T, r io.ReadCloser) [][]byte {
	t.Helper()
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for i := 1; i < 5; i++ {
		for at := len(b) / 5 * i; at+16 < len(b); at++ {
			piece := b[at : at+16]
			different := map[byte]bool{}
			for _, x := range piece {
				different[x] = true
			}
			if len(different) >= 8 { // no flat area, which may be anywhere
				all = append(all, bytes.Clone(piece))
				break
			}
		}
	}
	if len(all) == 0 {
		t.Fatal("the file is flat")
	}
	return all
}

// holding are the files below dir in which something is.
func holding(t *testing.T, what []byte, dir string) []string {
	t.Helper()
	var where []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		if bytes.Contains(b, what) {
			where = append(where, filepath.Base(p))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return where
}

// weight is how many bytes the files below dir have.
func weight(t *testing.T, dir string) int64 {
	t.Helper()
	var size int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}
