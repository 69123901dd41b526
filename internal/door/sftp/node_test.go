package sftp_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/flow/upload"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

const kept, other = "kept", "other"

// rig is a node with two collections and the key of a depositor of one.
type rig struct {
	t    *testing.T
	cfg  node.Config
	n    *node.Node
	stop func()
	priv ed25519.PrivateKey
	key  ssh.Signer
	id   string // of the registration
}

func start(t *testing.T, database string, limits upload.Limits) *rig {
	t.Helper()
	x := &rig{t: t, cfg: node.Config{Data: t.TempDir(), Database: database, Demo: true, SFTP: "127.0.0.1:0", Uploads: limits}}
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	x.priv = priv
	x.key, err = ssh.NewSignerFromKey(priv)
	must(t, err)
	x.run()
	t.Cleanup(func() { x.stop() })
	x.write(func(tx *db.Tx) error {
		for _, c := range []collection.ID{kept, other} {
			if err := x.n.Stores.Collections.Create(tx, collection.Collection{ID: c, Title: "Kept", Profile: "as-deposited", ProfileVersion: "1", AttestedBy: "test"}); err != nil {
				return err
			}
		}
		pub, err := identity.ParsePublicKey(string(ssh.MarshalAuthorizedKey(x.key.PublicKey())))
		if err != nil {
			return err
		}
		k, err := x.n.Stores.Identity.AddSSHKey(tx, kept, "ann", pub)
		x.id = k.ID
		return err
	})
	return x
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func each(t *testing.T, limits upload.Limits, test func(t *testing.T, x *rig)) {
	t.Run("sqlite", func(t *testing.T) { test(t, start(t, "", limits)) })
	t.Run("postgresql", func(t *testing.T) { test(t, start(t, dbtest.PostgresURL(t), limits)) })
}

func (x *rig) run() {
	x.t.Helper()
	n, err := node.New(x.t.Context(), x.cfg)
	must(x.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	ended := false
	x.n, x.stop = n, func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			x.t.Errorf("the node did not end well: %v", err)
		}
	}
}

func (x *rig) write(fn func(tx *db.Tx) error) {
	x.t.Helper()
	must(x.t, x.n.Stores.DB.Write(x.t.Context(), fn))
}

// dial shows a key as a user.
func (x *rig) dial(user string, key ssh.Signer) (*ssh.Client, error) {
	return ssh.Dial("tcp", x.n.SFTPAddr(), &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 20 * time.Second})
}

// session opens an SFTP session; the connection ends with it.
func (x *rig) session() (*sftp.Client, *ssh.Client) {
	x.t.Helper()
	c, err := x.dial(kept, x.key)
	must(x.t, err)
	s, err := sftp.NewClient(c, sftp.UseConcurrentWrites(true))
	must(x.t, err)
	x.t.Cleanup(func() { s.Close(); c.Close() })
	return s, c
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

func file(t *testing.T, seed uint64) []byte {
	t.Helper()
	for s := range sample.Studies(seed) {
		in, err := s.Instance(0)
		must(t, err)
		return in.File()
	}
	return nil
}

// deposits is how the deposits by SFTP stand, the latest first.
func (x *rig) deposits() []catalogue.Deposit {
	x.t.Helper()
	must(x.t, x.n.Custody.Barrier(x.t.Context()))
	all, err := x.n.Stores.Catalogue.Deposits(x.t.Context(), kept, "", 0, 50)
	must(x.t, err)
	return all
}

func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); !so(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within 20 seconds", what)
		}
	}
}

func TestDrop(t *testing.T) {
	each(t, upload.Limits{}, func(t *testing.T, x *rig) {
		s, _ := x.session()
		one, two := file(t, 1), file(t, 2)
		must(t, s.MkdirAll("/CT/series"))
		must(t, put(s, "/CT/series/IM1", one))
		must(t, put(s, "IM2.filepart", two))
		must(t, s.Rename("IM2.filepart", "IM2"))
		for name, want := range map[string]int{"/CT/series/IM1": len(one), "/IM2": len(two)} { // as senders ask who look whether all has come
			if st, err := s.Stat(name); err != nil || st.Size() != int64(want) || st.IsDir() {
				t.Errorf("%v, %v", st, err)
			}
		}
		must(t, put(s, "again", one))
		if err := put(s, "note.txt", []byte("Doe, Jane: please call back")); err == nil || !strings.Contains(err.Error(), "DICOM") {
			t.Errorf("what is no image: %v", err)
		}
		must(t, s.Chmod("/IM2", 0o644))
		must(t, s.Chtimes("/IM2", time.Now(), time.Now()))
		all, err := s.ReadDir("/")
		if err != nil || len(all) > 0 {
			t.Errorf("the folder lists %v, %v", all, err)
		}
		if _, err := s.ReadDir("/elsewhere"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if f, err := s.Open("/IM2"); err == nil {
			_, err = io.ReadAll(f)
			if err == nil {
				t.Error("a file was given back")
			}
		}
		for what, err := range map[string]error{"remove": s.Remove("/IM2"), "link": s.Symlink("/IM2", "/x"), "remove a folder": s.RemoveDirectory("/CT")} {
			if err == nil {
				t.Errorf("%s is allowed", what)
			}
		}
		must(t, s.Close())
		until(t, "the deposit ends", func() bool { all := x.deposits(); return len(all) == 1 && !all[0].Ended.IsZero() })
		d := x.deposits()[0]
		if d.Door != "sftp" || d.Counts.Received != 3 || d.Counts.Duplicate != 1 || d.Counts.Refused != 1 || d.Actor != "ssh-key "+x.id {
			t.Errorf("%+v", d)
		}
	})
}

// Who has no key of this collection, shows another, or whose key was revoked, is not let in, and cannot tell why.
func TestKeys(t *testing.T) {
	x := start(t, "", upload.Limits{})
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	stranger, err := ssh.NewSignerFromKey(priv)
	must(t, err)
	var said []string
	for _, c := range []struct {
		user string
		key  ssh.Signer
	}{{kept, stranger}, {other, x.key}, {"nowhere", x.key}, {"", x.key}, {"../kept", x.key}} {
		c, err := x.dial(c.user, c.key)
		if err == nil {
			c.Close()
			t.Fatal("a stranger is let in")
		}
		said = append(said, err.Error())
	}
	for _, s := range said {
		if s != said[0] {
			t.Errorf("answers differ: %q", said)
		}
	}
	if _, err := ssh.Dial("tcp", x.n.SFTPAddr(), &ssh.ClientConfig{User: kept, Auth: []ssh.AuthMethod{ssh.Password("")}, HostKeyCallback: ssh.InsecureIgnoreHostKey()}); err == nil {
		t.Error("a password is taken")
	}
	s, c := x.session()
	must(t, put(s, "a", file(t, 1)))
	// Nothing but SFTP.
	sh, err := c.NewSession()
	must(t, err)
	if err := sh.Run("id"); err == nil {
		t.Error("a command is run")
	}
	if _, err := c.Dial("tcp", x.n.SFTPAddr()); err == nil {
		t.Error("a connection is forwarded")
	}
	if _, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
		t.Error("a port is listened on")
	}
	// A key that is revoked ends with the next file, not with the session.
	x.write(func(tx *db.Tx) error { return x.n.Stores.Identity.RevokeSSHKey(tx, x.id) })
	until(t, "the key is revoked", func() bool { return put(s, "b", file(t, 2)) != nil })
	if c, err := x.dial(kept, x.key); err == nil {
		c.Close()
		t.Error("a revoked key opens")
	}
}

// The host key stays the same over starts.
func TestHostKey(t *testing.T) {
	x := start(t, "", upload.Limits{})
	seen := func() (key string) {
		c, err := ssh.Dial("tcp", x.n.SFTPAddr(), &ssh.ClientConfig{User: kept, Auth: []ssh.AuthMethod{ssh.PublicKeys(x.key)}, Timeout: 20 * time.Second,
			HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error { key = ssh.FingerprintSHA256(k); return nil }})
		must(t, err)
		c.Close()
		return key
	}
	before := seen()
	x.stop()
	x.run()
	if after := seen(); after != before {
		t.Errorf("the host key was %s and is %s", before, after)
	}
}

// What came before a line broke is gone on with, in another session and after a restart; nothing of its name is on the disk.
func TestGoOn(t *testing.T) {
	each(t, upload.Limits{}, func(t *testing.T, x *rig) {
		b := file(t, 3)
		s, c := x.session()
		const name = "/Holloway_Jane.dcm"
		f, err := s.Create(name)
		must(t, err)
		half := len(b) / 2
		if _, err := f.ReadFrom(bytes.NewReader(b[:half])); err != nil {
			t.Fatal(err)
		}
		if st, err := s.Stat(name); err != nil || st.Size() > int64(half) {
			t.Errorf("%v, %v", st, err)
		}
		until(t, "what was sent is there", func() bool { st, err := f.Stat(); return err == nil && st.Size() == int64(half) })
		c.Close() // as a line breaks
		x.stop()
		err = filepath.WalkDir(x.cfg.Data, func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			all, err := os.ReadFile(p)
			if bytes.Contains(all, []byte("Holloway")) || strings.Contains(p, "Holloway") {
				t.Errorf("a file's name is in %s", filepath.Base(p))
			}
			return err
		})
		must(t, err)
		x.run()
		s, _ = x.session()
		st, err := s.Stat(name)
		if err != nil || st.Size() != int64(half) {
			t.Fatalf("after the restart: %v, %v", st, err)
		}
		f, err = s.OpenFile(name, os.O_WRONLY)
		must(t, err)
		if _, err := f.Seek(st.Size(), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadFrom(bytes.NewReader(b[half:])); err != nil {
			t.Fatal(err)
		}
		must(t, f.Close())
		total := int64(0)
		for _, d := range x.deposits() {
			total += d.Counts.Received
		}
		if total != 1 {
			t.Errorf("%d came", total)
		}
		// Begun anew, it is begun anew.
		f, err = s.Create("/two")
		must(t, err)
		if _, err := f.Write([]byte("other bytes")); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s, _ = x.session()
		until(t, "the session before has ended", func() bool { return put(s, "/two", file(t, 4)) == nil })
	})
}

// Bytes may come in any order within what a client has under way; gaps and second versions of a place are refused.
func TestOrder(t *testing.T) {
	x := start(t, "", upload.Limits{})
	s, _ := x.session()
	b := file(t, 5)
	f, err := s.Create("backwards")
	must(t, err)
	const piece = 16 << 10
	var wg sync.WaitGroup
	for off := (len(b) - 1) / piece * piece; off >= 0; off -= piece {
		wg.Go(func() {
			if _, err := f.WriteAt(b[off:min(off+piece, len(b))], int64(off)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	must(t, f.Close())
	f, err = s.Create("gap")
	must(t, err)
	_, err = f.WriteAt(b[:1000], 5000)
	must(t, err)
	if err := f.Close(); err == nil || !strings.Contains(err.Error(), "gap") {
		t.Errorf("a file with a gap: %v", err)
	}
	f, err = s.Create("far")
	must(t, err)
	var gap error
	for off := int64(1); off < 64<<20 && gap == nil; off += 30_000 {
		_, gap = f.WriteAt(make([]byte, 30_000), off)
	}
	if gap == nil {
		t.Error("64 MiB before a gap are kept in memory")
	}
	f.Close()
	f, err = s.Create("over")
	must(t, err)
	_, err = f.WriteAt(b[:5000], 0)
	must(t, err)
	if _, err = f.WriteAt([]byte("XXXX"), 100); err == nil {
		err = f.Close()
	}
	if err == nil {
		t.Error("what was sent is written over")
	}
	if err := put(s, "empty", nil); err == nil {
		t.Error("an empty file is taken for an image")
	}
}

func TestLimits(t *testing.T) {
	x := start(t, "", upload.Limits{File: 300 << 10, Bytes: 1 << 20})
	s, _ := x.session()
	if err := put(s, "large", make([]byte, 2<<20)); err == nil {
		t.Error("a file over the limit is taken")
	}
	until(t, "its pieces are gone", func() bool {
		all, err := os.ReadDir(filepath.Join(x.cfg.Data, "spool"))
		must(t, err)
		return len(all) == 0
	})
	var open []*sftp.File
	var err error
	for i := 0; i < 200 && err == nil; i++ {
		var f *sftp.File
		if f, err = s.Create(fmt.Sprint(i)); err == nil {
			open = append(open, f)
		}
	}
	if err == nil || len(open) != 64 {
		t.Errorf("%d files at a time: %v", len(open), err)
	}
	for _, f := range open {
		f.Close()
	}
}

// archive is files packed in one of the ways.
func archive(t *testing.T, how string, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	switch how {
	case "zip":
		w := zip.NewWriter(&b)
		for name, data := range files {
			f, err := w.Create(name)
			must(t, err)
			_, err = f.Write(data)
			must(t, err)
		}
		must(t, w.Close())
	default:
		var to io.Writer = &b
		var z *gzip.Writer
		if how == "tgz" {
			z = gzip.NewWriter(&b)
			to = z
		}
		w := tar.NewWriter(to)
		for name, data := range files {
			must(t, w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o600, Typeflag: tar.TypeReg}))
			_, err := w.Write(data)
			must(t, err)
		}
		must(t, w.Close())
		if z != nil {
			must(t, z.Close())
		}
	}
	return b.Bytes()
}

func TestArchives(t *testing.T) {
	each(t, upload.Limits{Blown: 8 << 20}, func(t *testing.T, x *rig) {
		files := map[string][]byte{"DICOM/../../../etc/passwd": file(t, 1), "a/Holloway.dcm": file(t, 2), "autorun.exe": []byte("MZ no image"), "README": []byte("words")}
		s, _ := x.session()
		for i, how := range []string{"zip", "tar", "tgz"} {
			must(t, put(s, "all."+how, archive(t, how, files)))
			d := x.deposits()[0]
			if d.Counts.Received != 2 || d.Counts.Duplicate != int64(2*i) || d.Counts.Refused != 0 {
				t.Errorf("%s: %+v", how, d)
			}
		}
		one := archive(t, "tgz", map[string][]byte{"x": file(t, 3)})
		whole := archive(t, "zip", map[string][]byte{"x": file(t, 4), "y": file(t, 5), "z": file(t, 6)})
		bad := bytes.Clone(whole)
		for i := 3000; i < 3100; i++ {
			bad[i] ^= 0x55
		}
		var bomb bytes.Buffer
		w := zip.NewWriter(&bomb)
		f, err := w.Create("bomb.dcm")
		must(t, err)
		zeros := make([]byte, 1<<20)
		head := file(t, 7)[:1000]
		_, err = f.Write(head)
		must(t, err)
		for range 40 {
			_, err = f.Write(zeros)
			must(t, err)
		}
		must(t, w.Close())
		var torn, packed bytes.Buffer // its directory is whole, the one file in it is not
		long := append(file(t, 8), make([]byte, 300<<10)...)
		_, err = rand.Read(long[len(long)-300<<10:])
		must(t, err)
		z, err := flate.NewWriter(&packed, flate.BestSpeed)
		must(t, err)
		_, err = z.Write(long)
		must(t, err)
		must(t, z.Close())
		w = zip.NewWriter(&torn)
		f, err = w.CreateRaw(&zip.FileHeader{Name: "x", Method: zip.Deflate, CompressedSize64: uint64(packed.Len() / 2), UncompressedSize64: uint64(len(long)), CRC32: crc32.ChecksumIEEE(long)})
		must(t, err)
		_, err = f.Write(packed.Bytes()[:packed.Len()/2])
		must(t, err)
		must(t, w.Close())
		for name, b := range map[string][]byte{"torn.zip": torn.Bytes(), "cut.tgz": one[:len(one)/2], "cut.zip": whole[:len(whole)/2], "damaged.zip": bad, "bomb.zip": bomb.Bytes(), "empty.zip": archive(t, "zip", nil),
			"nothing.zip": archive(t, "zip", map[string][]byte{"a.txt": []byte("words")}), "zip in zip.zip": archive(t, "zip", map[string][]byte{"inner.zip": whole})} {
			if err := put(s, name, b); err == nil {
				t.Errorf("%s is taken", name)
			} else if strings.Contains(err.Error(), "again later") {
				t.Errorf("%s: %v, which helps nobody", name, err)
			} else if testing.Verbose() {
				t.Logf("%s: %v", name, err)
			}
		}
		must(t, put(s, "whole.zip", whole)) // what was taken of the damaged one does no harm
	})
}

// OpenSSH's own client can put a file, go on with one, and put a folder.
func TestOpenSSH(t *testing.T) {
	if _, err := exec.LookPath("sftp"); err != nil {
		if os.Getenv("VITRINE_REQUIRE") == "all" {
			t.Fatal("OpenSSH's sftp is missing")
		}
		t.Skip("OpenSSH's sftp is missing")
	}
	x := start(t, "", upload.Limits{})
	dir := t.TempDir()
	block, err := ssh.MarshalPrivateKey(x.priv, "")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "key"), pem.EncodeToMemory(block), 0o600))
	must(t, os.MkdirAll(filepath.Join(dir, "out", "series"), 0o700))
	for i, name := range []string{"one", "out/series/two", "out/three"} {
		must(t, os.WriteFile(filepath.Join(dir, name), file(t, uint64(i+1)), 0o600))
	}
	host, port, err := net.SplitHostPort(x.n.SFTPAddr())
	must(t, err)
	batch := func(commands string) (string, error) {
		c := exec.CommandContext(t.Context(), "sftp", "-F", "/dev/null", "-q", "-i", "key", "-P", port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-b", "-", kept+"@"+host)
		c.Dir, c.Stdin = dir, strings.NewReader(commands)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := batch("put one\nput -p one twice\nput -r out\nls\n"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := batch("get one\n"); err == nil {
		t.Errorf("a file is given:\n%s", out)
	}
	d := x.deposits()
	if n := len(d); n != 1 || d[0].Counts.Received != 3 || d[0].Counts.Duplicate != 1 {
		t.Errorf("%+v", d)
	}
}

// Who connects and says nothing, or talks nonsense, keeps nobody out and is let go.
func TestStrangers(t *testing.T) {
	x := start(t, "", upload.Limits{})
	var idle []net.Conn
	for range 32 {
		c, err := net.Dial("tcp", x.n.SFTPAddr())
		must(t, err)
		defer c.Close()
		idle = append(idle, c)
	}
	until(t, "one too many is closed", func() bool {
		c, err := net.Dial("tcp", x.n.SFTPAddr())
		must(t, err)
		defer c.Close()
		must(t, c.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
		_, err = io.ReadAll(c)
		return err == nil
	})
	for i, c := range idle {
		_, _ = c.Write(bytes.Repeat([]byte{byte(i), 0xff, 'S'}, 100+1000*i))
		c.Close()
	}
	until(t, "one that has a key is let in", func() bool {
		c, err := x.dial(kept, x.key)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}
