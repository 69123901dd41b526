//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	orthancPlugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
	startTime     = 30 * time.Second
	stopTime      = 60 * time.Second
)

// A contender is a server that can be started on an empty folder.
type contender struct {
	name    string
	web     bool   // speaks DICOMweb
	missing string // what of it is not installed
	// start starts it. As deposited: Vitrine keeps the sender's identifiers, as the others always do, so that the same questions can be put to all.
	start func(ctx context.Context, dir string, asDeposited bool) (*server, error)
}

// A server is a contender that runs.
type server struct {
	name  string
	cmd   *exec.Cmd
	log   string
	done  chan struct{} // closed when it has ended
	dicom string        // address
	aet   string
	web   string // the root of DICOMweb
	token string
	http  *http.Client
	// stored is how many instances it says that it holds, when all that it does behind an answer has been done.
	stored func(ctx context.Context) (int, error)
}

func (b *bench) contenders() []contender {
	all := []contender{{name: "vitrine", web: true, start: b.vitrineAt("vitrine", b.vitrine)}}
	for _, also := range strings.FieldsFunc(b.also, func(r rune) bool { return r == ',' }) {
		name, path, _ := strings.Cut(also, "=")
		all = append(all, contender{name: name, web: true, start: b.vitrineAt(name, path)})
	}
	orthanc := contender{name: "orthanc", web: true, start: b.orthanc}
	if program("Orthanc") == "" {
		orthanc.missing = "Orthanc"
	} else if _, err := os.Stat(orthancPlugin); err != nil {
		orthanc.missing = "Orthanc's DICOMweb plugin"
	}
	scp := contender{name: "storescp", start: b.storescp}
	if program("storescp") == "" {
		scp.missing = "storescp"
	}
	for _, c := range []contender{orthanc, scp} {
		if !b.leftOut(c.name) {
			all = append(all, c)
		}
	}
	return all
}

// present are those to measure.
func (b *bench) present(web bool) []contender {
	var out []contender
	for _, c := range b.contenders() {
		if c.missing == "" && (c.web || !web) {
			out = append(out, c)
		}
	}
	return out
}

func (b *bench) leftOut(name string) bool {
	for _, w := range strings.Split(b.without, ",") {
		if w == name {
			return true
		}
	}
	return false
}

// program is where a program is; daemons may be off the PATH.
func program(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	if p, err := exec.LookPath("/usr/sbin/" + name); err == nil {
		return p
	}
	return ""
}

func build(ctx context.Context, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", to, "github.com/vitrine-imaging/vitrine/cmd/vitrine")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// launch starts a server's program; its output goes to a log beside its folder.
func launch(name, dir, path string, stdout io.Writer, args ...string) (*server, error) {
	s := &server{name: name, log: dir + ".log", done: make(chan struct{}), cmd: exec.Command(path, args...)}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if stdout != nil {
		s.cmd.Stdout = stdout
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.done)
	}()
	return s, nil
}

// stop ends it by its own process number, and by force if it does not end.
func (s *server) stop() {
	if s.http != nil {
		s.http.CloseIdleConnections()
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(stopTime):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

// failed is an error with the end of the server's log.
func (s *server) failed(what string) error {
	log, _ := os.ReadFile(s.log)
	return fmt.Errorf("%s %s; its log ends with:\n%s", s.name, what, log[max(0, len(log)-600):])
}

// listening waits until all addresses accept connections.
func (s *server) listening(ctx context.Context, addresses ...string) error {
	end := time.Now().Add(startTime)
	for _, a := range addresses {
		for {
			c, err := net.DialTimeout("tcp", a, time.Second)
			if err == nil {
				c.Close()
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-s.done:
				return s.failed("ended at its start")
			case <-time.After(20 * time.Millisecond):
			}
			if time.Now().After(end) {
				return s.failed("does not listen")
			}
		}
	}
	return nil
}

// free is an address that nobody listens on at this moment.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// vitrineAt is a node from a binary: its default collection cleans, the other one keeps what came.
func (b *bench) vitrineAt(name, path string) func(context.Context, string, bool) (*server, error) {
	return func(ctx context.Context, dir string, asDeposited bool) (*server, error) {
		said := &readyLine{line: make(chan string, 1)}
		s, err := launch(name, dir, path, said, "serve", "--demo", "--data", dir, "--http", "127.0.0.1:0", "--dicom", "127.0.0.1:0", "--level", "error")
		if err != nil {
			return nil, err
		}
		var line string
		select {
		case line = <-said.line:
		case <-s.done:
			return nil, s.failed("ended at its start")
		case <-time.After(startTime):
			s.stop()
			return nil, s.failed("is not ready")
		}
		base, dicom := parseReady(line)
		s.dicom, s.aet, s.http = dicom, "VITRINE", webClient(b.connections)
		id := "default"
		token, err := exec.CommandContext(ctx, path, "token", "create", "--name", "bench", "--role", "steward", "--data", dir).Output()
		if err == nil && asDeposited {
			s.aet, id = "KEPT", "kept"
			err = exec.CommandContext(ctx, path, "collection", "create", "kept", "--profile", "as-deposited", "--aet", "KEPT", "--data", dir).Run()
		}
		if err != nil {
			s.stop()
			return nil, s.failed("could not be set up: " + err.Error())
		}
		s.token = string(bytes.TrimSpace(token))
		s.web = base + "/collections/" + id + "/dicomweb"
		s.stored = func(ctx context.Context) (int, error) {
			total := 0
			for offset := 0; ; offset += 100 {
				var studies []map[string]struct{ Value []json.RawMessage }
				if err := s.json(ctx, fmt.Sprintf("%s/studies?includefield=00201208&limit=100&offset=%d", s.web, offset), &studies); err != nil {
					return 0, err
				}
				for _, study := range studies {
					var n int
					if v := study["00201208"].Value; len(v) == 1 && json.Unmarshal(v[0], &n) == nil {
						total += n
					}
				}
				if len(studies) < 100 {
					return total, nil
				}
			}
		}
		return s, nil
	}
}

// readyLine waits for the line that says where a node listens.
type readyLine struct {
	seen []byte
	done bool
	line chan string
}

func (r *readyLine) Write(p []byte) (int, error) {
	if r.done {
		return len(p), nil
	}
	r.seen = append(r.seen, p...)
	for {
		line, rest, whole := bytes.Cut(r.seen, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		if bytes.HasPrefix(line, []byte("ready ")) {
			r.line <- string(line)
			r.done, r.seen = true, nil
			return len(p), nil
		}
		r.seen = rest
	}
}

func parseReady(line string) (base, dicom string) {
	for _, word := range strings.Fields(line) {
		if v, ok := strings.CutPrefix(word, "http="); ok {
			base = v
		}
		if v, ok := strings.CutPrefix(word, "dicom="); ok {
			dicom = v
		}
	}
	return base, dicom
}

// orthanc is Debian's, as shipped: only folders and ports are moved. It takes images from anybody on this machine, as it does by default.
func (b *bench) orthanc(ctx context.Context, dir string, _ bool) (*server, error) {
	web, err := free()
	if err != nil {
		return nil, err
	}
	dicom, err := free()
	if err != nil {
		return nil, err
	}
	port := func(address string) json.Number { return json.Number(address[strings.LastIndexByte(address, ':')+1:]) }
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	config, err := json.MarshalIndent(map[string]any{
		"Name": "bench", "StorageDirectory": dir, "IndexDirectory": dir, "HttpPort": port(web), "DicomPort": port(dicom),
		"RemoteAccessAllowed": false, "AuthenticationEnabled": false,
		"Plugins": []string{orthancPlugin}, "DicomWeb": map[string]any{"Enable": true, "Root": "/dicom-web/"},
	}, "", " ")
	if err != nil {
		return nil, err
	}
	file := dir + ".json"
	if err := os.WriteFile(file, config, 0o644); err != nil {
		return nil, err
	}
	s, err := launch("orthanc", dir, program("Orthanc"), nil, file)
	if err != nil {
		return nil, err
	}
	s.dicom, s.aet, s.web, s.http = dicom, "ORTHANC", "http://"+web+"/dicom-web", webClient(b.connections)
	if err := s.listening(ctx, web, dicom); err != nil {
		s.stop()
		return nil, err
	}
	s.stored = func(ctx context.Context) (int, error) {
		var n struct{ CountInstances int }
		err := s.json(ctx, "http://"+web+"/statistics", &n)
		return n.CountInstances, err
	}
	return s, nil
}

// storescp writes files and nothing else: no index, no sync, a process for each association.
func (b *bench) storescp(ctx context.Context, dir string, _ bool) (*server, error) {
	address, err := free()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s, err := launch("storescp", dir, program("storescp"), nil, "--fork", "-od", dir, "-aet", "STORESCP", address[strings.LastIndexByte(address, ':')+1:])
	if err != nil {
		return nil, err
	}
	s.dicom, s.aet = address, "STORESCP"
	if err := s.listening(ctx, address); err != nil {
		s.stop()
		return nil, err
	}
	s.stored = func(context.Context) (int, error) { return files(dir) }
	return s, nil
}

// files counts those below a folder.
func files(dir string) (n int, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			n++
		}
		return err
	})
	return n, err
}

// on starts a contender on an empty folder, and stops it when work is done; the folder goes with it.
func (b *bench) on(ctx context.Context, c contender, asDeposited bool, work func(*server) error) (err error) {
	dir := filepath.Join(b.dir, c.name)
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	syscall.Sync() // what the one before left to be written must not be written on this one's time
	s, err := c.start(ctx, dir, asDeposited)
	if err != nil {
		return err
	}
	defer func() {
		s.stop()
		if b.keepLogs {
			fmt.Println(s.failed("was stopped"))
		}
	}()
	if err := work(s); err != nil {
		return errors.Join(err, s.failed("was the server"))
	}
	return nil
}
