package node

import (
	"context"
	"path/filepath"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/mail"
	"github.com/vitrine-imaging/vitrine/internal/base/spool"
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	linkflow "github.com/vitrine-imaging/vitrine/internal/flow/link"
	"github.com/vitrine-imaging/vitrine/internal/flow/mailing"
	noticeflow "github.com/vitrine-imaging/vitrine/internal/flow/notice"
	uploadflow "github.com/vitrine-imaging/vitrine/internal/flow/upload"
	"github.com/vitrine-imaging/vitrine/internal/record/notice"
	"github.com/vitrine-imaging/vitrine/internal/record/upload"
)

// openUploads opens what takes files that come in pieces. The pieces lie in the data folder, apart from the packs.
func (n *Node) openUploads(ctx context.Context) error {
	s := n.Stores
	pieces, err := spool.Open(filepath.Join(n.cfg.Data, "spool"))
	if err != nil {
		return err
	}
	rows, err := upload.OpenRecord(ctx, s.DB)
	if err != nil {
		return err
	}
	n.Uploads, err = uploadflow.New(uploadflow.Parts{DB: s.DB, Audit: s.Audit, Jobs: n.queue, Root: s.Ring.Root(), Spool: pieces, Uploads: rows, Catalogue: s.Catalogue, Custody: n.Custody,
		Log: n.cfg.Log, Limits: n.cfg.Uploads})
	if err != nil {
		return err
	}
	if err := n.openMail(); err != nil {
		return err
	}
	if n.Links, err = linkflow.New(linkflow.Parts{DB: s.DB, Audit: s.Audit, Root: s.Ring.Root(), Links: rows, Collections: s.Collections, Identity: s.Identity, Mail: n.Mail, Node: nodeName}); err != nil {
		return err
	}
	if err := n.openNotices(ctx); err != nil {
		return err
	}
	return n.Uploads.Schedule(ctx)
}

// openNotices opens what tells stewards by mail that something is held.
func (n *Node) openNotices(ctx context.Context) error {
	if n.Mail == nil {
		return nil
	}
	s := n.Stores
	rows, err := notice.OpenRecord(ctx, s.DB)
	if err != nil {
		return err
	}
	n.Notices, err = noticeflow.New(noticeflow.Parts{DB: s.DB, Audit: s.Audit, Jobs: n.queue, Root: s.Ring.Root(), Notices: rows, Collections: s.Collections, Catalogue: s.Catalogue, Identity: s.Identity, Mail: n.Mail})
	if err != nil {
		return err
	}
	return n.Notices.Schedule(ctx)
}

// nodeName is what the node is called.
const nodeName = "Vitrine node"

// openMail opens the queue of mails, where there is a server for them.
func (n *Node) openMail() (err error) {
	if n.cfg.Mail == nil {
		return nil
	}
	if n.place.Public == "" {
		return fault.New(fault.Invalid, "configure mail", "", "mails lead to the node: say by its public URL where people reach it")
	}
	sender, err := mail.New(*n.cfg.Mail)
	if err != nil {
		return err
	}
	n.Mail, err = mailing.New(mailing.Parts{DB: n.Stores.DB, Jobs: n.queue, Root: n.Stores.Ring.Root(), Sender: sender, Log: n.cfg.Log, Base: n.place.Public})
	return err
}

// Links is where links for people outside are made, with the master key at hand for as long as use takes. No mail is sent from there.
func (r *Records) Links(ctx context.Context, cfg Config, use func(*linkflow.Desk) error) error {
	rows, err := upload.OpenRecord(ctx, r.DB)
	if err != nil {
		return err
	}
	return r.withKeys(ctx, cfg, func(ring *keys.Ring, _ *db.DB) error {
		d, err := linkflow.New(linkflow.Parts{DB: r.DB, Audit: r.Audit, Root: ring.Root(), Links: rows, Collections: r.Collections, Identity: r.Identity, Node: nodeName})
		if err != nil {
			return err
		}
		return use(d)
	})
}

// ParsePublicURL reads the address at which people reach a node.
func ParsePublicURL(s string) (string, error) { return web.ParsePublic(s) }
