package node

import (
	"context"
	"crypto/x509"
	"net"
	"path/filepath"
	"strings"
	"time"

	askflow "github.com/vitrine-imaging/vitrine/internal/flow/ask"
	"github.com/vitrine-imaging/vitrine/internal/flow/status"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/question"
)

// Questions is where questions about pages come and go.
func (s *Stores) Questions(ctx context.Context) (*askflow.Desk, error) {
	r, err := question.OpenRecord(ctx, s.DB)
	if err != nil {
		return nil, err
	}
	entries, err := directory.OpenRecord(ctx, s.DB)
	if err != nil {
		return nil, err
	}
	return askflow.New(askflow.Parts{DB: s.DB, Ring: s.Ring, Audit: s.Audit, Collections: s.Collections, Catalogue: s.Catalogue, Subjects: s.Subjects, Identity: s.Identity,
		Entries: entries, Questions: r}), nil
}

// openStatus opens what says how the node is, and the questions that it counts.
func (n *Node) openStatus(ctx context.Context) error {
	s := n.Stores
	sign, err := signer(s.Ring.Root())
	if err != nil {
		return err
	}
	if n.Questions, err = s.Questions(ctx); err != nil {
		return err
	}
	since := time.Now()
	n.Status = status.New(status.Parts{DB: s.DB, Ring: s.Ring, Packs: s.Packs, Audit: s.Audit, Signer: sign, Jobs: n.queue, Forwarding: s.Forwarding, Catalogue: s.Catalogue, Collections: s.Collections,
		Questions: n.Questions.Overdue, Room: n.Uploads.Spool.Room, Gateway: n.standing(), Facts: func() status.Facts { return n.facts(since) }})
	return nil
}

// facts are what the node knows of itself.
func (n *Node) facts(since time.Time) status.Facts {
	f := status.Facts{Reads: n.reads(), Version: n.cfg.Version, Since: since, HTTP: n.URL(), DICOM: n.DICOMAddr(), SFTP: n.SFTPAddr(), PublicURL: n.cfg.PublicURL, Bucket: n.cfg.Bucket != "", Mirror: n.cfg.Mirror != "", Readers: n.readers(),
		KeyInside: strings.HasPrefix(filepath.Clean(n.cfg.KeyPlace().File), filepath.Clean(n.cfg.Data)+string(filepath.Separator))}
	if n.secure != nil && len(n.secure.Certificates) > 0 && len(n.secure.Certificates[0].Certificate) > 0 {
		if c, err := x509.ParseCertificate(n.secure.Certificates[0].Certificate[0]); err == nil {
			f.Certificate = c.NotAfter
		}
	}
	for _, l := range []net.Listener{n.http, n.dicom} {
		f.Exposed = f.Exposed || l != nil && !loopback(l.Addr())
	}
	return f
}
