package endtoend

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// A load of every kind at a steady pace leaves memory, handles, goroutines and temporary room where they were, and nothing that was acknowledged is lost.
// VITRINE_SOAK_TIME says how long (two hours unless it does), VITRINE_SOAK_DATABASE=postgresql on which database.
func TestSteadyLoad(t *testing.T) {
	if !testdata.Soak() {
		t.Skip("takes hours: make soak")
	}
	span := 2 * time.Hour
	if s := os.Getenv("VITRINE_SOAK_TIME"); s != "" {
		var err error
		if span, err = time.ParseDuration(s); err != nil {
			t.Fatalf("VITRINE_SOAK_TIME: %v", err)
		}
	}
	n := serve(t, setup{database: database(t, os.Getenv("VITRINE_SOAK_DATABASE") == "postgresql")})
	l := newLoad(t, n)
	before := n.look()
	ctx, stop := context.WithTimeout(t.Context(), span)
	defer stop()
	var work sync.WaitGroup
	for k, w := range []struct {
		every time.Duration
		do    func(k int)
	}{
		{500 * time.Millisecond, l.stores}, {700 * time.Millisecond, l.stows}, {time.Second, l.uploads}, {time.Second, l.drops}, {300 * time.Millisecond, l.asks},
		{500 * time.Millisecond, l.retrieves}, {2 * time.Second, l.breaksOff}, {10 * time.Second, l.decides}, {30 * time.Second, l.publishes},
	} {
		work.Go(func() {
			next := time.NewTimer(time.Duration(k) * w.every / 10) // not all of them at the same moment
			defer next.Stop()
			for round := 0; ; round++ {
				select {
				case <-ctx.Done():
					return
				case <-next.C:
				}
				begun := time.Now()
				w.do(round)
				next.Reset(max(0, w.every-time.Since(begun)))
			}
		})
	}
	begun := time.Now()
	every := min(10*time.Second, span/60)
	tick := time.NewTicker(every)
	var seen []sighting
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			s := n.look()
			s.at, s.objects = time.Since(begun), l.objects.Load()
			seen = append(seen, s)
		}
	}
	tick.Stop()
	work.Wait()
	l.end()
	if len(seen) < 40 {
		t.Fatalf("only %d samples", len(seen))
	}
	for k := range 5 {
		s := seen[min(k*len(seen)/4, len(seen)-1)]
		t.Logf("after %5.1f min: %6d objects, resident %d MiB, live heap %d MiB, helpers %d MiB, %d goroutines, %d handles, %d threads, %d bytes in %d files of the spool, %.2f of a core",
			s.at.Minutes(), s.objects, int64(s.resident)>>20, int64(s.heap)>>20, int64(s.helpers)>>20, int(s.goroutines), int(s.handles), int(s.threads), int(s.spooled), int(s.spoolFiles), (s.cpu-before.cpu).Seconds()/s.at.Seconds())
	}
	late := seen[len(seen)/2:]
	for _, x := range []struct {
		what  string
		of    func(s sighting) float64
		least float64 // growth in the second half of the time that is no leak, whatever the size
		share float64 // and as a share of the median
	}{
		{"resident memory (bytes)", func(s sighting) float64 { return s.resident }, 24 << 20, .1},
		{"live heap (bytes)", func(s sighting) float64 { return s.heap }, 8 << 20, .15},
		{"goroutines", func(s sighting) float64 { return s.goroutines }, 8, .05},
		{"handles", func(s sighting) float64 { return s.handles }, 6, .05},
		{"threads", func(s sighting) float64 { return s.threads }, 4, .1},
		{"bytes in the spool", func(s sighting) float64 { return s.spooled }, 4 << 20, 0},
	} {
		at, v := make([]float64, len(late)), make([]float64, len(late))
		for k, s := range late {
			at[k], v[k] = s.at.Seconds(), x.of(s)
		}
		grown, middle := growth(at, v)
		t.Logf("%s: median %.0f in the second half, growth %.0f", x.what, middle, grown)
		if grown > max(x.least, x.share*middle) {
			t.Errorf("%s grew by %.0f in the second half of the time, from about %.0f", x.what, grown, middle)
		}
	}
	l.check()
	// When nothing goes on any more, it is as before.
	n.client.CloseIdleConnections()
	eventually(t, 2*time.Minute, func() error {
		if s := n.look(); s.goroutines > before.goroutines+40 || s.handles > before.handles+40 || s.spoolFiles > before.spoolFiles {
			return fmt.Errorf("%v goroutines, %v handles, %v files in the spool; %v, %v and %v before", s.goroutines, s.handles, s.spoolFiles, before.goroutines, before.handles, before.spoolFiles)
		}
		return nil
	})
	if left, err := os.ReadDir(n.tmp); err != nil || len(left) > 0 {
		t.Errorf("%d temporary files are left, %v", len(left), err)
	}
	n.kill()
	n.start()
	n.unharmed()
	n.stop()
	l.lost()
	objects := n.verify()
	t.Logf("%d objects verified after SIGKILL; %d acknowledged as deposited, %d cleaned; %d questions, %d retrieves compared, %d broken off, %d refused by a steward", objects, len(l.kept), l.cleaned.Load(),
		l.asked.Load(), l.compared.Load(), l.broken.Load(), l.decided.Load())
}

// load is what goes on, and what its senders know.
type load struct {
	t *testing.T
	n *served

	mu     sync.Mutex
	kept   map[string]bool // fingerprints of what was acknowledged as deposited
	recent []*image        // some of it, to be retrieved
	next   map[*sample.Set]int

	objects, cleaned, asked, compared, broken, decided atomic.Int64

	clean, cleanFull, plain, full, given, dropped *sample.Set

	key     ssh.Signer
	session *sftp.Client
	line    *ssh.Client
}

func newLoad(t *testing.T, n *served) *load {
	l := &load{t: t, n: n, kept: map[string]bool{}, next: map[*sample.Set]int{}, clean: sample.SmallSet(501), cleanFull: sample.FullSet(501), plain: sample.SmallSet(502), full: sample.FullSet(502),
		given: sample.SmallSet(503), dropped: sample.SmallSet(504)}
	l.key = n.sshKey(kept)
	return l
}

// sshKey registers a key for SFTP into a collection.
func (n *served) sshKey(collection string) ssh.Signer {
	n.t.Helper()
	_, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		n.t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(priv)
	if err != nil {
		n.t.Fatal(err)
	}
	file := filepath.Join(n.t.TempDir(), "key.pub")
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(key.PublicKey()), 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.admin("token", "create", "--name", "drop", "--ssh-key", file, "--collection", collection)
	return key
}

// drop opens a session of SFTP.
func (n *served) drop(collection string, key ssh.Signer) (*sftp.Client, *ssh.Client, error) {
	line, err := ssh.Dial("tcp", n.sftp, &ssh.ClientConfig{User: collection, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 30 * time.Second})
	if err != nil {
		return nil, nil, err
	}
	s, err := sftp.NewClient(line)
	if err != nil {
		line.Close()
		return nil, nil, err
	}
	return s, line, nil
}

func put(s *sftp.Client, name string, b []byte) error {
	f, err := s.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.ReadFrom(bytes.NewReader(b)); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// take makes the next instances of a set.
func (l *load) take(s *sample.Set, count int) (all []*image) {
	for range count {
		l.mu.Lock()
		k := l.next[s]
		l.next[s]++
		l.mu.Unlock()
		in, err := s.Instance(k)
		if err != nil {
			l.t.Fatal(err)
		}
		all = append(all, generated("", in))
	}
	return all
}

// acknowledged notes what has to be there from now on.
func (l *load) acknowledged(images ...*image) {
	l.objects.Add(int64(len(images)))
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range images {
		l.kept[i.fingerprint()] = true
		if l.recent = append(l.recent, i); len(l.recent) > 60 {
			l.recent = l.recent[1:]
		}
	}
}

// stores sends on an association each into what is cleaned and what is kept.
func (l *load) stores(round int) {
	for _, to := range []string{"VITRINE", "KEPT"} {
		small, large := l.clean, l.cleanFull
		if to == "KEPT" {
			small, large = l.plain, l.full
		}
		images := l.take(small, 2)
		if round%8 == 7 {
			images = append(images, l.take(large, 1)...)
		}
		for k, st := range l.n.store(to, images) {
			switch {
			case !st.Done():
				l.t.Errorf("C-STORE: %v %s", st, st.Comment)
			case to == "KEPT":
				l.acknowledged(images[k])
			default:
				l.cleaned.Add(1)
				l.objects.Add(1)
			}
		}
	}
}

func (l *load) stows(int) {
	images := l.take(l.given, 2)
	if a := l.n.stow(kept, images...); a.code != 200 || len(a.kept) != 2 {
		l.t.Errorf("STOW-RS: status %d, %v", a.code, a.err)
		return
	}
	l.acknowledged(images...)
}

// uploads sends a file in two pieces, or an archive, or begins and takes back.
func (l *load) uploads(round int) {
	images := l.take(l.given, 1)
	body := images[0].file
	if round%3 == 1 {
		images = append(images, l.take(l.given, 3)...)
		body = zipped(l.t, images...)
	}
	at, a := l.n.upload(kept, int64(len(body)), "")
	if a.code != 201 {
		l.t.Errorf("upload: status %d, %v", a.code, a.err)
		return
	}
	half := len(body) / 2
	if a := l.n.patch(at, 0, bytes.NewReader(body[:half])); a.code != 204 {
		l.t.Errorf("upload: status %d, %v", a.code, a.err)
	}
	if round%3 == 2 {
		if a := l.n.tus("DELETE", at, nil, nil); a.code != 204 {
			l.t.Errorf("taking an upload back: status %d, %v", a.code, a.err)
		}
		return
	}
	if a := l.n.patch(at, int64(half), bytes.NewReader(body[half:])); a.code != 204 || a.header.Get("Vitrine-Outcome") != "kept" {
		l.t.Errorf("upload: status %d %s, %v", a.code, a.header.Get("Vitrine-Outcome"), a.err)
		return
	}
	l.acknowledged(images...)
}

func zipped(t testing.TB, images ...*image) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for k, i := range images {
		w, err := z.Create(fmt.Sprintf("IM%d", k))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(i.file); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// drops puts files by SFTP, a few in a session.
func (l *load) drops(round int) {
	if round%5 == 0 {
		l.hangUp()
		var err error
		if l.session, l.line, err = l.n.drop(kept, l.key); err != nil {
			l.t.Errorf("SFTP: %v", err)
			return
		}
	}
	if l.session == nil {
		return
	}
	i := l.take(l.dropped, 1)[0]
	if err := put(l.session, fmt.Sprintf("/IM%d", round), i.file); err != nil {
		l.t.Errorf("SFTP: %v", err)
		return
	}
	l.acknowledged(i)
}

func (l *load) hangUp() {
	if l.session != nil {
		l.session.Close()
		l.line.Close()
		l.session = nil
	}
}

// one is an image that was acknowledged lately; nil: none was.
func (l *load) one() *image {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.recent) == 0 {
		return nil
	}
	return l.recent[rand.IntN(len(l.recent))]
}

// asks searches, and opens pages.
func (l *load) asks(round int) {
	i := l.one()
	if i == nil {
		return
	}
	path, role, accept := "", "steward", "application/dicom+json"
	switch round % 8 {
	case 0:
		path = "/collections/" + kept + "/dicomweb/studies?StudyInstanceUID=" + i.study
	case 1:
		path = "/dicomweb/studies?ModalitiesInStudy=CT&limit=20"
	case 2:
		path = "/collections/" + kept + "/dicomweb/studies/" + i.study + "/series"
	case 3:
		path, role = "/dicomweb/studies?StudyDate=20160101-20200101&limit=20", "researcher"
	case 4:
		path, role, accept = "/", "", "text/html"
	case 5:
		path, role, accept = "/api/status", "admin", "application/json"
	case 6:
		path, accept = "/api/deposits?collection="+kept, "application/json"
	case 7:
		path = "/collections/" + kept + "/dicomweb/studies?PatientName=Bench*&limit=20"
	}
	if a := l.n.get(path, role, accept); a.code != 200 || a.err != nil {
		l.t.Errorf("GET number %d: status %d, %v", round%8, a.code, a.err)
	}
	l.asked.Add(1)
}

// retrieves fetches one back and compares it, or has it drawn.
func (l *load) retrieves(round int) {
	i := l.one()
	if i == nil {
		return
	}
	path, accept := i.place(), "image/jpeg"
	switch round % 4 {
	case 0:
		if err := l.n.same(i); err != nil {
			l.t.Error(err)
		}
		l.compared.Add(1)
		return
	case 1:
		path += "/rendered"
	case 2:
		path, accept = path+"/frames/1", `multipart/related; type="application/octet-stream"`
	case 3:
		path, accept = path+"/metadata", "application/dicom+json"
	}
	if a := l.n.get(path, "steward", accept); a.code != 200 || len(a.body) == 0 || a.err != nil {
		l.t.Errorf("retrieve number %d: status %d, %v", round%4, a.code, a.err)
	}
	l.asked.Add(1)
}

// breaksOff is who goes away in the middle.
func (l *load) breaksOff(round int) {
	l.broken.Add(1)
	switch round % 4 {
	case 0, 1:
		address, say := l.n.dicom, "\x01\x00\x00\x00\x00\xcd\x00\x01"
		if round%4 == 1 {
			address, say = l.n.http, "POST /dicomweb/studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+l.n.tokens["depositor"]+"\r\nContent-Type: "+stowType+"\r\nContent-Length: 100000\r\n\r\n--edge\r\nContent-"
		}
		c, err := net.Dial("tcp", address)
		if err != nil {
			l.t.Error(err)
			return
		}
		_, _ = io.WriteString(c, say)
		c.Close()
	case 2:
		i := l.take(l.clean, 1)[0]
		a, err := l.n.dial(l.t.Context(), "VITRINE", []*image{i})
		if err != nil {
			l.t.Error(err)
			return
		}
		r, w := io.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = a.Store(l.t.Context(), &network.Instance{SOPClassUID: i.class, SOPInstanceUID: i.sop, TransferSyntaxUID: i.syntax, Reader: r})
		}()
		_, _ = w.Write(i.data[:2000])
		a.Abort()
		w.CloseWithError(io.ErrUnexpectedEOF)
		<-ended
	case 3: // a bad file by SFTP
		s, line, err := l.n.drop(kept, l.key)
		if err != nil {
			l.t.Error(err)
			return
		}
		if err := put(s, "/note.txt", []byte("not an image")); err == nil {
			l.t.Error("what is no image was taken by SFTP")
		}
		line.Close()
	}
}

// decides sends what has to be held, and refuses it as a steward.
func (l *load) decides(round int) {
	i := burnedIn(l.t, round)
	if st := l.n.store("VITRINE", []*image{i})[0]; !st.Done() {
		l.t.Errorf("C-STORE: %v %s", st, st.Comment)
		return
	}
	ids := l.n.heldIDs()
	if len(ids) == 0 {
		return
	}
	b, _ := json.Marshal(map[string]any{"items": ids[:1], "note": "not wanted here"})
	a := l.n.do("POST", "/api/collections/"+research+"/held/refuse", "steward", map[string]string{"Content-Type": "application/json"}, bytes.NewReader(b))
	if a.code != http.StatusOK && a.code != http.StatusCreated {
		l.t.Errorf("refusing what is held: status %d, %v", a.code, a.err)
	}
	l.decided.Add(1)
}

func (l *load) publishes(int) {
	for _, c := range []string{research, kept} {
		a := l.n.do("POST", "/api/collections/"+c+"/releases", "steward", map[string]string{"Content-Type": "application/json"}, strings.NewReader("{}"))
		if a.code != 200 && a.code != 201 {
			l.t.Errorf("publishing: status %d, %v %.200s", a.code, a.err, a.body)
		}
	}
}

func (l *load) end() { l.hangUp() }

// check wants the counts to add up, and nothing to be refused that should not be.
func (l *load) check() {
	c := l.n.settled(kept, len(l.kept))
	if c.Catalogued < len(l.kept) || c.Held > 0 {
		l.t.Errorf("%s: %+v; %d were acknowledged", kept, c, len(l.kept))
	}
	r := l.n.settled(research, int(l.cleaned.Load()))
	l.t.Logf("%s: %+v; %s: %+v", kept, c, research, r)
	l.n.unharmed()
}

// lost reads everything back from the packs of the node, which has ended.
func (l *load) lost() {
	there := map[string]bool{}
	l.n.stored(kept, func(at catalogue.Located, syntax string, data []byte) {
		there[fingerprint(string(at.SOP), syntax, data)] = true
	})
	lost := 0
	for key := range l.kept {
		if !there[key] {
			lost++
		}
	}
	if lost > 0 {
		l.t.Errorf("%d of %d acknowledged objects are gone", lost, len(l.kept))
	}
	cleaned := 0
	l.n.stored(research, func(at catalogue.Located, _ string, data []byte) {
		if cleaned++; bytes.Contains(data, []byte("Bench Infirmary")) {
			l.t.Errorf("object %s is not clean", at.ID)
		}
	})
	if int64(cleaned) < l.cleaned.Load() {
		l.t.Errorf("%d are there of %d that were acknowledged and cleaned", cleaned, l.cleaned.Load())
	}
}

// sighting is how a node stands at a moment.
type sighting struct {
	at                            time.Duration
	objects                       int64
	resident, helpers             float64 // bytes, of the process and of those that it has started
	heap                          float64 // bytes that the last collection of garbage left alive, about
	goroutines, handles, threads  float64
	spooled, spoolFiles, database float64
	cpu                           time.Duration
}

// look samples the node through /metrics and /proc.
func (n *served) look() (s sighting) {
	n.t.Helper()
	a := n.get("/metrics", "admin", "text/plain")
	if a.code != 200 {
		n.t.Errorf("/metrics: status %d, %v", a.code, a.err)
		return s
	}
	for line := range strings.Lines(string(a.body)) {
		var v float64
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, err := fmt.Sscan(value, &v); err != nil {
			continue
		}
		switch name {
		case "go_goroutines":
			s.goroutines = v
		case "go_memstats_next_gc_bytes": // twice what was alive when garbage was last collected (GOGC=100)
			s.heap = v / 2
		case "process_open_fds":
			s.handles = v
		case "vitrine_database_bytes":
			s.database = v
		}
	}
	if s.goroutines == 0 || s.heap == 0 || s.handles == 0 {
		n.t.Errorf("/metrics lacks something: %+v", s)
	}
	s.resident, s.threads = memory(n.pid)
	for _, c := range children(n.pid) {
		more, _ := memory(c)
		s.helpers += more
	}
	s.cpu = spent(n.pid)
	_ = filepath.WalkDir(filepath.Join(n.setup.data, "spool"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if fi, err := d.Info(); err == nil {
				s.spooled += float64(fi.Size())
				s.spoolFiles++
			}
		}
		return nil
	})
	return s
}
