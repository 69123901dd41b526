// Package dbtest runs tests on both databases.
//
//	func TestSomething(t *testing.T) {
//		dbtest.Each(t, func(t *testing.T, d *db.DB) { ... })
//	}
//
// PostgreSQL is started once for the test binary, as an unprivileged user, on a socket of its own, and goes with the process, however that ends. Each
// test has a database of its own. Where PostgreSQL is not installed, its half is skipped by that name.
package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// Each runs the test on a fresh SQLite database and on a fresh PostgreSQL one.
func Each(t *testing.T, test func(t *testing.T, d *db.DB), opts ...db.Option) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t, opts...)) })
	t.Run("postgresql", func(t *testing.T) { test(t, Open(t, PostgresURL(t), opts...)) })
}

// EachURL runs the test with the address of a fresh database of either kind, for tests that open it more than once.
func EachURL(t *testing.T, test func(t *testing.T, address string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLiteURL(t)) })
	t.Run("postgresql", func(t *testing.T) { test(t, PostgresURL(t)) })
}

// SQLite opens a fresh SQLite database.
func SQLite(t testing.TB, opts ...db.Option) *db.DB {
	t.Helper()
	return Open(t, SQLiteURL(t), opts...)
}

// SQLiteURL is the address of an SQLite database that does not exist yet.
func SQLiteURL(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "test.db")
}

// Open opens a database until the end of the test.
func Open(t testing.TB, address string, opts ...db.Option) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), address, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

var (
	start   sync.Once
	socket  string // the server's folder
	failure error
	missing bool
	count   atomic.Int64
)

// PostgresURL is the address of a fresh PostgreSQL database, dropped at the end of the test.
func PostgresURL(t testing.TB) string {
	t.Helper()
	start.Do(func() { socket, missing, failure = serve() })
	testdata.Require(t, "PostgreSQL (initdb, postgres)", !missing)
	if failure != nil {
		t.Fatalf("start PostgreSQL: %v", failure)
	}
	name := fmt.Sprintf("test_%d", count.Add(1))
	admin(t, `CREATE DATABASE `+name+` TEMPLATE template0`)
	t.Cleanup(func() { admin(t, `DROP DATABASE `+name+` WITH (FORCE)`) })
	return address(name)
}

func address(name string) string { return "postgres://vitrine@/" + name + "?host=" + socket }

func admin(t testing.TB, statement string) {
	t.Helper()
	pool, err := sql.Open("pgx", address("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(statement); err != nil {
		t.Error(err)
	}
}

// find is the folder of PostgreSQL's programs.
func find() (string, bool) {
	if p, err := exec.LookPath("initdb"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			if _, err := os.Stat(filepath.Join(filepath.Dir(p), "postgres")); err == nil {
				return filepath.Dir(p), true
			}
		}
	}
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for i := len(dirs) - 1; i >= 0; i-- {
		if _, err := os.Stat(filepath.Join(dirs[i], "initdb")); err == nil {
			return dirs[i], true
		}
	}
	return "", false
}

// A small shell owns the server: it makes it, waits until its standard input ends, which happens when this process does, in whatever way, then stops
// the server by its own process id and removes its folder.
const keeper = `
set -e
"$1/initdb" -D "$2/data" -U vitrine -A trust -E UTF8 --locale=C -N >"$2/log" 2>&1
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c full_page_writes=off -c synchronous_commit=off \
	-c max_connections=200 -c shared_buffers=32MB -c autovacuum=off -c log_min_messages=fatal >>"$2/log" 2>&1 &
server=$!
trap : INT TERM HUP
read -r line || :
kill -QUIT $server || :
wait $server || :
cd /
rm -rf "$2"
`

func serve() (dir string, missing bool, err error) {
	bin, ok := find()
	if !ok {
		return "", true, nil
	}
	// The name of a socket has at most 107 bytes.
	if dir, err = os.MkdirTemp("/tmp", "vitrine-pg-"); err != nil {
		return "", false, err
	}
	shell := exec.Command("/bin/sh", "-c", keeper, "keeper", bin, dir)
	shell.Dir = dir
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	// A group of its own: an interrupt typed at the terminal goes to the tests alone, and the shell hears of it by the end of its input.
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		credential, err := unprivileged()
		if err != nil {
			return "", false, err
		}
		if err := os.Chown(dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return "", false, err
		}
		shell.SysProcAttr.Credential = credential
	}
	in, hold, err := os.Pipe()
	if err != nil {
		return "", false, err
	}
	shell.Stdin = in
	if err := shell.Start(); err != nil {
		return "", false, err
	}
	in.Close()
	keep = hold
	pool, err := sql.Open("pgx", "postgres://vitrine@/postgres?host="+dir)
	if err != nil {
		return "", false, err
	}
	defer pool.Close()
	for deadline := time.Now().Add(time.Minute); ; {
		if err = pool.Ping(); err == nil {
			return dir, false, nil
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			return "", false, fmt.Errorf("it does not answer within a minute: %w\n%s", err, log)
		}
		time.Sleep(20 * time.Millisecond) // a server says nowhere that it is ready but by answering
	}
}

// keep is the writing end of the keeper's input; were it collected, it would be closed.
//
//nolint:unused // it is held, not read
var keep *os.File

func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("running as root, and neither the user postgres nor nobody exists")
}
