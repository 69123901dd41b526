package dbtest

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// Server is a PostgreSQL of a test's own, which can be stopped and started again.
type Server struct {
	t        testing.TB
	bin, dir string
	run      *exec.Cmd
}

// NewServer makes and starts one; it is removed at the end of the test. What it has committed it has written, so that [Server.Stop] loses nothing of it.
func NewServer(t testing.TB) *Server {
	t.Helper()
	bin, ok := find()
	testdata.Require(t, "PostgreSQL (initdb, postgres)", ok)
	dir, err := os.MkdirTemp("/tmp", "vitrine-pg-") // the name of a socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{t: t, bin: bin, dir: dir}
	if os.Geteuid() == 0 {
		c, err := unprivileged()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := s.command("initdb", "-D", filepath.Join(dir, "data"), "-U", "vitrine", "-A", "trust", "-E", "UTF8", "--locale=C", "-N").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	t.Cleanup(s.Stop)
	s.Start()
	return s
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir, c.Env = s.dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		c.SysProcAttr.Credential, _ = unprivileged()
	}
	return c
}

// URL is the address of its database.
func (s *Server) URL() string { return "postgres://vitrine@/postgres?host=" + s.dir }

// Start starts it, and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.run = s.command("postgres", "-D", filepath.Join(s.dir, "data"), "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB",
		"-c", "autovacuum=off", "-c", "log_min_messages=fatal")
	if err := s.run.Start(); err != nil {
		s.t.Fatal(err)
	}
	pool, err := sql.Open("pgx", s.URL())
	if err != nil {
		s.t.Fatal(err)
	}
	defer pool.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(time.Minute); ; {
		if err := pool.Ping(); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatal("PostgreSQL does not answer within a minute")
		}
	}
}

// Stop ends it as a crash would: connections are cut, and what is not committed is gone.
func (s *Server) Stop() {
	if s.run == nil {
		return
	}
	_ = s.run.Process.Signal(syscall.SIGQUIT)
	_ = s.run.Wait()
	s.run = nil
}
