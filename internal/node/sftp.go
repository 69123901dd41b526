package node

import (
	"crypto/ed25519"

	"golang.org/x/crypto/ssh"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/door/sftp"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// openSFTP opens the drop. Who connects knows the node by the fingerprint that is logged.
func (n *Node) openSFTP() error {
	host, err := hostKey(n.Stores.Ring.Root())
	if err != nil {
		return err
	}
	n.cfg.Log.Info("SFTP has this host key; tell it those who connect", "fingerprint", ssh.FingerprintSHA256(host.PublicKey()))
	n.sftp = &sftp.Door{Uploads: n.Uploads, Identity: n.Stores.Identity, Log: n.cfg.Log, HostKey: host}
	return nil
}

// hostKey makes the node's host key of its secret: the same after each start, on every machine that shares it, and, while the master key is being changed, the one from
// before.
func hostKey(root *keys.Root) (ssh.Signer, error) {
	const purpose = "sftp host key"
	seed := root.Derive(purpose)
	if before := root.Earlier(purpose); len(before) > 0 {
		seed = before[len(before)-1]
	}
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
	return s, fault.Wrap(fault.Internal, "make host key", "", err)
}
