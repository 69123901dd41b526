package endtoend

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What every node under test is set up with.
const (
	research = "default" // cleaned
	kept     = "kept"    // as deposited
	peerAE   = "SENDER"
)

// setup says how a node is started.
type setup struct {
	data     string   // folder; one of the test's own if empty
	database string   // PostgreSQL instead of SQLite
	wrap     []string // a program that runs it, such as strace
	command  string   // serve, unless given
	args     []string // further ones of it
	limit    string   // a shell command to run before it, such as ulimit
	env      []string // more of its environment
	store    string   // a bucket, in which alone sealed packs are kept
	program  string   // in place of vitrine
	stores   []string // flags that say where packs and the master key are, of serve and of commands that read images
}

// served is a running `vitrine serve`.
type served struct {
	t     testing.TB
	setup setup
	tmp   string // its folder for temporary files

	cmd    *exec.Cmd
	pid    int // of vitrine itself
	http   string
	dicom  string
	sftp   string // empty: it does not listen
	said   string // file of standard output
	logged string // file of standard error
	ended  chan struct{}
	rc     error

	client *http.Client
	tokens map[string]string
}

// serve starts a node with a registered peer, tokens for a depositor, a steward and a researcher, and a collection that keeps what it is given.
func serve(t testing.TB, s setup) *served {
	t.Helper()
	n := boot(t, s)
	n.admin("peer", "add", peerAE, "--host", "127.0.0.1", "--port", "104", "--may", "store")
	n.admin("collection", "create", kept, "--profile", "as-deposited", "--aet", "KEPT")
	for _, role := range []string{"depositor", "steward", "researcher", "admin"} {
		n.tokens[role] = strings.TrimSpace(string(n.admin("token", "create", "--name", role, "--role", role)))
	}
	return n
}

// boot starts a node.
func boot(t testing.TB, s setup) *served {
	t.Helper()
	dir := t.TempDir()
	if s.data == "" {
		s.data = filepath.Join(dir, "data")
	}
	n := &served{t: t, setup: s, tmp: filepath.Join(dir, "tmp"), tokens: map[string]string{},
		client: &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}, Timeout: 10 * time.Minute}}
	if err := os.Mkdir(n.tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	n.said, n.logged = filepath.Join(dir, "stdout"), filepath.Join(dir, "stderr")
	n.start()
	t.Cleanup(func() {
		n.client.CloseIdleConnections()
		n.kill()
		if t.Failed() {
			t.Logf("the log ends so:\n%s", tail(n.logged, 30))
		}
	})
	return n
}

// start starts the process, and returns when it is ready.
func (n *served) start() {
	n.t.Helper()
	command := "serve"
	if n.setup.command != "" {
		command = n.setup.command
	}
	program := n.setup.program
	if program == "" {
		program = vitrine(n.t)
	}
	args := append([]string{program, command, "--data", n.setup.data, "--http", "127.0.0.1:0", "--dicom", "127.0.0.1:0", "--sftp", "127.0.0.1:0", "--level", "debug"}, n.setup.args...)
	args = append(args, n.setup.stores...)
	if n.setup.database != "" {
		args = append(args, "--database", n.setup.database)
	}
	if n.setup.store != "" {
		args = append(args, "--store", n.setup.store, "--tier", "--keep", "0")
	}
	args = append(n.setup.wrap[:len(n.setup.wrap):len(n.setup.wrap)], args...)
	if n.setup.limit != "" {
		args = append([]string{"/bin/sh", "-c", n.setup.limit + ` && exec "$0" "$@"`}, args...)
	}
	c := exec.Command(args[0], args[1:]...)
	c.Env = append(append(environment(), "TMPDIR="+n.tmp), n.setup.env...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	open := func(name string) *os.File {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			n.t.Fatal(err)
		}
		return f
	}
	errs := open(n.logged)
	defer errs.Close()
	c.Stderr = errs
	out, err := c.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.cmd, n.pid, n.ended = c, c.Process.Pid, make(chan struct{})
	ready := make(chan string, 1)
	ended := n.ended
	go func() {
		defer close(ended)
		keep := open(n.said)
		defer keep.Close()
		r := bufio.NewReader(io.TeeReader(out, keep))
		line, _ := r.ReadString('\n')
		ready <- line
		_, _ = io.Copy(io.Discard, r)
		n.rc = c.Wait()
	}()
	select {
	case line := <-ready:
		if _, err := fmt.Sscanf(line, "ready http=http://%s dicom=%s", &n.http, &n.dicom); err != nil {
			n.kill()
			n.t.Fatalf("serve said %q, and its log ends so:\n%s", line, tail(n.logged, 20))
		}
		_, n.sftp, _ = strings.Cut(strings.TrimSpace(line), " sftp=")
	case <-time.After(2 * time.Minute):
		n.kill()
		n.t.Fatalf("serve was not ready in two minutes; its log ends so:\n%s", tail(n.logged, 20))
	}
	if len(n.setup.wrap) > 0 {
		n.pid = child(n.t, n.pid)
	}
}

// child is the first child of a process.
func child(t testing.TB, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b))
	if len(f) == 0 {
		t.Fatal("it has no child")
	}
	c, err := strconv.Atoi(f[0])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// kill ends the process as a power cut would.
func (n *served) kill() {
	select {
	case <-n.ended:
		return
	default:
	}
	if n.pid != n.cmd.Process.Pid {
		_ = syscall.Kill(n.pid, syscall.SIGKILL)
	}
	_ = n.cmd.Process.Kill()
	<-n.ended
}

// stop ends it as an administrator does, and wants a clean end.
func (n *served) stop() {
	n.t.Helper()
	_ = syscall.Kill(n.pid, syscall.SIGTERM)
	select {
	case <-n.ended:
	case <-time.After(time.Minute):
		n.kill()
		n.t.Fatal("SIGTERM did not end it within a minute")
	}
	if n.rc != nil {
		n.t.Errorf("it did not end well: %v", n.rc)
	}
}

// admin runs a command of administration on the node's folder, and gives what it printed.
func (n *served) admin(args ...string) []byte {
	n.t.Helper()
	r := n.run(args...)
	if r.code != 0 {
		n.t.Fatalf("vitrine %s: exit code %d: %s", args[0], r.code, r.err)
	}
	return r.out
}

func (n *served) run(args ...string) ran {
	n.t.Helper()
	args = append(args, "--data", n.setup.data)
	if n.setup.database != "" {
		args = append(args, "--database", n.setup.database)
	}
	return command(n.t, append([]string{"TMPDIR=" + n.tmp}, n.setup.env...), args...)
}

// verify wants `vitrine verify` to find everything as it was stored, and gives the number of objects.
func (n *served) verify() int {
	n.t.Helper()
	args := append([]string{"verify", "--output", "json"}, n.setup.stores...)
	if n.setup.store != "" {
		args = append(args, "--store", n.setup.store)
	}
	r := n.run(args...)
	var report struct {
		Objects int `json:"objects"`
	}
	if err := json.Unmarshal(r.out, &report); err != nil || r.code != 0 {
		n.t.Fatalf("verify: exit code %d: %s %s", r.code, r.out, r.err)
	}
	return report.Objects
}

// counts are those of /api/collections/{id}/intake.
type counts struct {
	Received, Pending, Catalogued, Held, Refused int
}

// intake asks for the counts of a collection.
func (n *served) intake(collection string) counts {
	n.t.Helper()
	var c counts
	a := n.get("/api/collections/"+collection+"/intake", "steward", "application/json")
	if err := json.Unmarshal(a.body, &c); err != nil || a.code != 200 {
		n.t.Fatalf("intake: status %d, %v", a.code, err)
	}
	if c.Received != c.Pending+c.Catalogued+c.Held+c.Refused {
		n.t.Errorf("the counts of %s do not add up: %+v", collection, c)
	}
	return c
}

// settled waits until nothing is pending in the collection and so many were received, and gives the counts.
func (n *served) settled(collection string, received int) counts {
	n.t.Helper()
	var c counts
	eventually(n.t, 5*time.Minute, func() error { // pixels are read before
		if c = n.intake(collection); c.Pending > 0 || c.Received < received {
			return fmt.Errorf("collection %s: %+v, want %d received", collection, c, received)
		}
		return nil
	})
	return c
}

// eventually asks until the answer is nil.
func eventually(t testing.TB, patience time.Duration, ask func() error) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within %v: %v", patience, err)
		}
	}
}

// peak is the most memory that the process had resident so far, in bytes.
func (n *served) peak() int64 {
	n.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.pid))
	if err != nil {
		n.t.Fatalf("the node is gone: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	n.t.Fatal("no VmHWM")
	return 0
}

// handles is how many file descriptors the process has open.
func (n *served) handles() int {
	n.t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.pid))
	if err != nil {
		n.t.Fatalf("the node is gone: %v", err)
	}
	return len(fds)
}

// sockets is how many of them are TCP connections and listeners.
func (n *served) sockets() int {
	n.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", n.pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		n.t.Fatalf("the node is gone: %v", err)
	}
	tcp := map[string]bool{}
	for _, table := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", n.pid, table))
		if err != nil {
			continue // without IPv6 there is no such table
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 9 {
				tcp["socket:["+f[9]+"]"] = true
			}
		}
	}
	sum := 0
	for _, f := range fds {
		if to, _ := os.Readlink(filepath.Join(dir, f.Name())); tcp[to] {
			sum++
		}
	}
	return sum
}

// unharmed wants the node to be the same process, to answer C-ECHO and QIDO-RS, and to have logged no panic.
func (n *served) unharmed() {
	n.t.Helper()
	select {
	case <-n.ended:
		n.t.Fatalf("the node has ended: %v", n.rc)
	default:
	}
	if err := n.echo(); err != nil {
		n.t.Errorf("C-ECHO: %v", err)
	}
	if a := n.get("/dicomweb/studies?limit=1", "steward", "application/dicom+json"); a.code != 200 {
		n.t.Errorf("QIDO-RS: status %d %v", a.code, a.err)
	}
	n.calm()
}

// calm wants a log without a panic.
func (n *served) calm() {
	n.t.Helper()
	b, err := os.ReadFile(n.logged)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, word := range []string{"panic", "goroutine ", "fatal error", "DATA RACE"} {
		if i := bytes.Index(b, []byte(word)); i >= 0 {
			n.t.Errorf("the log says %q:\n%.2000s", word, b[max(0, i-300):])
		}
	}
}

func tail(path string, lines int) string {
	b, _ := os.ReadFile(path)
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
