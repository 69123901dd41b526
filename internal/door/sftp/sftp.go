// Package sftp is the door for who has SSH and nothing else: a drop into which files are put, and nothing comes out of it.
//
// The user's name is a collection's id, and a key that was registered for that collection opens it; there are no passwords. A session is a deposit. A file is handed to
// custody when its sender closes it, and the answer to that is success only when it is on stable storage or held; what is refused fails, with its reason. A zip or tar is
// unpacked. Folders can be made and are forgotten, names are never written down: of one whose sending broke off a keyed hash is kept, so that it can be gone on with.
//
// It lists nothing, reads nothing back, and runs nothing: no shell, no commands, no forwarding (RFC 4254).
package sftp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/upload"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

const (
	maxConnections = 128
	maxOfAddress   = 32
	maxTries       = 6                // keys that one connection may show
	handshakeIn    = 30 * time.Second // until a key is accepted
	writeIn        = time.Minute
	finishIn       = 15 * time.Minute         // in which a file is judged
	silentFor      = finishIn + 5*time.Minute // without a byte: longer than a sender waits for us while its file is judged
	maxSessions    = 8                        // of one connection at a time
	keyExtension   = "key"                    // of ssh.Permissions: the id of the key that was shown
)

// Door serves SFTP. Its fields are set before the first connection.
type Door struct {
	Uploads  *upload.Flow
	Identity *identity.Record
	Log      *slog.Logger
	HostKey  ssh.Signer

	mu       sync.Mutex
	at       map[netip.Addr]int
	open     map[net.Conn]bool
	draining bool
	working  sync.WaitGroup
}

func (d *Door) config() *ssh.ServerConfig {
	c := &ssh.ServerConfig{
		MaxAuthTries:  maxTries,
		ServerVersion: "SSH-2.0-Vitrine",
		PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			ctx, cancel := context.WithTimeout(context.Background(), handshakeIn)
			defer cancel()
			k, err := d.Identity.SSHKeyFor(ctx, meta.User(), key.Marshal())
			if err != nil {
				if !fault.Is(err, fault.Denied) {
					d.Log.Error("the register of SSH keys does not answer", "error", err)
				}
				return nil, errors.New("denied") // never who it was
			}
			return &ssh.Permissions{Extensions: map[string]string{keyExtension: k.ID}, ExtraData: map[any]any{wireOf{}: key.Marshal()}}, nil
		},
	}
	c.AddHostKey(d.HostKey)
	return c
}

type wireOf struct{}

// Serve answers connections until the listener is closed.
func (d *Door) Serve(ctx context.Context, l net.Listener) error {
	config := d.config()
	for {
		c, err := l.Accept()
		if err != nil {
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				continue
			}
			return err
		}
		from := addressOf(c)
		if !d.enter(c, from) {
			c.Close()
			continue
		}
		go func() {
			defer d.leave(c, from)
			d.connection(ctx, c, config)
		}()
	}
}

func addressOf(c net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64) // who has an IPv6 network has all of its addresses
		return p.Addr()
	}
	return a
}

func (d *Door) enter(c net.Conn, from netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		d.open, d.at = map[net.Conn]bool{}, map[netip.Addr]int{}
	}
	if d.draining || len(d.open) >= maxConnections || d.at[from] >= maxOfAddress {
		return false
	}
	d.open[c] = true
	d.at[from]++
	d.working.Add(1)
	return true
}

func (d *Door) leave(c net.Conn, from netip.Addr) {
	c.Close()
	d.mu.Lock()
	delete(d.open, c)
	if d.at[from]--; d.at[from] == 0 {
		delete(d.at, from)
	}
	d.mu.Unlock()
	d.working.Done()
}

// Shutdown ends all connections: what has come of their files is kept to be gone on with. It waits until they have ended, or ctx does.
func (d *Door) Shutdown(ctx context.Context) {
	d.mu.Lock()
	d.draining = true
	for c := range d.open {
		c.Close()
	}
	d.mu.Unlock()
	done := make(chan struct{})
	go func() { defer close(done); d.working.Wait() }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// timed is a connection that may not be silent for long.
type timed struct {
	net.Conn
	patience atomic.Int64
}

func (c *timed) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(time.Duration(c.patience.Load()))); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *timed) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeIn)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// connection is one, from its first byte to its last.
func (d *Door) connection(ctx context.Context, raw net.Conn, config *ssh.ServerConfig) {
	defer func() {
		if v := recover(); v != nil {
			d.Log.Error("an SFTP connection panicked") // its value may hold what was sent
		}
	}()
	c := &timed{Conn: raw}
	c.patience.Store(int64(handshakeIn))
	late := time.AfterFunc(handshakeIn, func() { raw.Close() }) // a byte now and then is no handshake
	conn, channels, requests, err := ssh.NewServerConn(c, config)
	if !late.Stop() || err != nil {
		return
	}
	defer conn.Close()
	c.patience.Store(int64(silentFor))
	go ssh.DiscardRequests(requests) // forwarding is refused, a question whether we are there is answered
	wire, _ := conn.Permissions.ExtraData[wireOf{}].([]byte)
	who := &visitor{door: d, user: conn.User(), wire: wire, actor: "ssh-key " + conn.Permissions.Extensions[keyExtension]}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var open atomic.Int64
	var sessions sync.WaitGroup
	for ch := range channels {
		if ch.ChannelType() != "session" {
			_ = ch.Reject(ssh.UnknownChannelType, "files are put here by SFTP, and nothing else")
			continue
		}
		if open.Load() >= maxSessions {
			_ = ch.Reject(ssh.ResourceShortage, "too many sessions")
			continue
		}
		channel, asked, err := ch.Accept()
		if err != nil {
			break
		}
		open.Add(1)
		sessions.Go(func() {
			defer open.Add(-1)
			d.session(ctx, who, channel, asked)
		})
	}
	cancel()
	sessions.Wait()
}

// session waits for the subsystem to be asked for, and serves it.
func (d *Door) session(ctx context.Context, who *visitor, ch ssh.Channel, asked <-chan *ssh.Request) {
	defer ch.Close()
	for req := range asked {
		var sub struct{ Name string }
		ok := req.Type == "subsystem" && ssh.Unmarshal(req.Payload, &sub) == nil && sub.Name == "sftp"
		if req.WantReply {
			if err := req.Reply(ok, nil); err != nil {
				return
			}
		}
		if !ok {
			if req.Type == "shell" || req.Type == "exec" {
				_, _ = ch.Stderr().Write([]byte("Files are put here by SFTP, and nothing else.\n")) // where it is not read, the refusal says enough
				return
			}
			continue
		}
		go ssh.DiscardRequests(asked)
		s := &drop{visitor: who, ctx: ctx, files: map[string]int64{}, coming: map[string]*file{}, folders: map[string]bool{"/": true}}
		server := sftp.NewRequestServer(ch, sftp.Handlers{FileGet: s, FilePut: s, FileCmd: s, FileList: s}, sftp.WithStartDirectory("/"))
		_ = server.Serve() // its end is its sender's
		s.end()
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0})) // whoever has gone does not read it
		return
	}
}

// visitor is who has shown a key.
type visitor struct {
	door  *Door
	user  string
	wire  []byte
	actor string
}

// caller asks anew whether the key is in force.
func (v *visitor) caller(ctx context.Context) (upload.Caller, collection.ID, error) {
	k, err := v.door.Identity.SSHKeyFor(ctx, v.user, v.wire)
	if err != nil {
		return upload.Caller{}, "", err
	}
	return upload.Caller{Actor: v.actor, Grants: []policy.Grant{k.Grant()}}, k.Collection, nil
}
