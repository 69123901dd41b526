//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
)

// postgres is a PostgreSQL that runs for the benchmark alone.
type postgres struct {
	url   string
	dir   string
	pid   int // of its first process
	shell *exec.Cmd
	input io.Closer
}

// A small shell owns the server, as an unprivileged user, and ends it when its standard input ends, which it does with this process at the latest. The settings
// are PostgreSQL's own but for memory and the log's length, which its manual says to raise; what it acknowledges is on stable storage.
const postgresKeeper = `
set -e
[ -e "$2/data/PG_VERSION" ] || "$1/initdb" -D "$2/data" -U vitrine -A trust -E UTF8 --locale=C -N >"$2/log" 2>&1
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c shared_buffers=512MB -c max_wal_size=2GB -c log_min_messages=warning >>"$2/log" 2>&1 &
server=$!
echo $server
trap : INT TERM HUP
read -r line || :
kill -INT $server || :
wait $server || :
`

func startPostgres(ctx context.Context, dir string) (*postgres, error) {
	var bin string
	if dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin"); len(dirs) > 0 {
		bin = dirs[len(dirs)-1]
	} else if initdb := program("initdb"); initdb != "" {
		real, err := filepath.EvalSymlinks(initdb)
		if err != nil {
			return nil, err
		}
		bin = filepath.Dir(real)
	} else {
		return nil, errors.New("PostgreSQL is not installed")
	}
	p := &postgres{dir: filepath.Join(dir, "pg")}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, err
	}
	p.shell = exec.Command("/bin/sh", "-c", postgresKeeper, "keeper", bin, p.dir)
	p.shell.Dir = p.dir
	p.shell.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	p.shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 { // it refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			if u, err = user.Lookup("nobody"); err != nil {
				return nil, err
			}
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2, os.Chown(p.dir, uid, gid)); err != nil {
			return nil, err
		}
		p.shell.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		// Its user has to pass through the benchmark's folder, which nobody else can list all the same.
		if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
			return nil, err
		}
	}
	out, err := p.shell.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.input, err = p.shell.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.shell.Start(); err != nil {
		return nil, err
	}
	said, _ := bufio.NewReader(out).ReadString('\n')
	if p.pid, err = strconv.Atoi(strings.TrimSpace(said)); err != nil {
		p.stop()
		log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
		return nil, fmt.Errorf("PostgreSQL did not start:\n%s", log)
	}
	p.url = "postgres://vitrine@/postgres?host=" + p.dir
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		d, err := db.Open(ctx, p.url)
		if err == nil {
			return p, d.Close()
		}
		if ctx.Err() != nil || time.Now().After(end) {
			p.stop()
			return nil, fmt.Errorf("PostgreSQL does not answer: %w", err)
		}
	}
}

func (p *postgres) stop() {
	p.input.Close()
	_ = p.shell.Wait()
}

// sizes are the bytes of the database, and of its write-ahead log.
func (p *postgres) sizes(ctx context.Context) (database, log int64, err error) {
	d, err := db.Open(ctx, p.url)
	if err != nil {
		return 0, 0, err
	}
	defer d.Close()
	if database, err = d.Size(ctx); err != nil {
		return 0, 0, err
	}
	err = filepath.WalkDir(filepath.Join(p.dir, "data", "pg_wal"), func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if fi, err := e.Info(); err == nil {
			log += fi.Size()
		}
		return nil
	})
	return database, log, err
}
