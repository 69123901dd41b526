package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
)

// firstSignIn is the file of the data folder with the first administrator's link.
const firstSignIn = "first-sign-in"

// How long the links last.
const (
	firstFor = 15 * time.Minute
	demoFor  = 24 * time.Hour
)

// Welcome makes the link by which somebody signs in for the first time. Of a demonstration it goes to out, as `open URL`; otherwise into a file of the data
// folder that its owner alone can read, while no administrator has a passkey.
func (n *Node) Welcome(ctx context.Context, out io.Writer) error {
	if n.SignIn == nil {
		return nil
	}
	who := admin.Caller{Actor: "node"}
	if n.cfg.Demo {
		link, err := n.SignIn.Demo(ctx, who, demoFor)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, "open "+n.linkTo(link.Reveal()))
		return err
	}
	path := filepath.Join(n.cfg.Data, firstSignIn)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	link, made, err := n.SignIn.FirstAdministrator(ctx, who, firstFor)
	if err != nil || !made {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, n.linkTo(link.Reveal()))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	n.cfg.Log.Info("nobody administers this node yet: the file "+firstSignIn+" in its data folder holds a link that signs in once", "minutes", int(firstFor.Minutes()))
	return nil
}

// linkTo is the address of a link. Passkeys want a name, so loopback is called localhost.
func (n *Node) linkTo(secret string) string {
	base := n.place.Public
	if base == "" {
		base = strings.Replace(n.URL(), "://127.0.0.1:", "://localhost:", 1)
	}
	return base + "/signin/link?t=" + url.QueryEscape(secret)
}
