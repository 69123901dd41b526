package node

import (
	"bytes"
	"encoding/base64"
	"io"
	"log/slog"
	"mime/quotedprintable"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/base/mail"
	"github.com/vitrine-imaging/vitrine/internal/base/mail/mailtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	linkflow "github.com/vitrine-imaging/vitrine/internal/flow/link"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/upload"
)

// lines is a log that many write to.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A steward's link goes by mail to whom it is for, and opens; what the server does not take is told to the steward. Neither address nor link is in the log, the audit log or the answer.
func TestLinkByMail(t *testing.T) {
	for _, database := range []string{"sqlite", "postgresql"} {
		t.Run(database, func(t *testing.T) {
			srv := mailtest.Start(t, nil)
			log := &lines{}
			cfg := Config{HTTP: "127.0.0.1:0", PublicURL: "https://images.example.org", Mail: &mail.Config{Host: srv.Host, Port: srv.Port, Security: mail.None, From: "Vitrine <images@example.org>"},
				Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
			if database == "postgresql" {
				cfg.Database = dbtest.PostgresURL(t)
			}
			n := start(t, cfg)
			steward := admin.Caller{Actor: "person-1", Grants: []policy.Grant{{Role: policy.Steward, Collection: policy.AllCollections}}}
			made, err := n.Links.Make(t.Context(), steward, "https://elsewhere.example", collection.Default, linkflow.Wish{Label: "A disc", For: "imogen@example.org", Mail: true})
			if err != nil {
				t.Fatal(err)
			}
			if made.Address != "" || made.Mail != upload.MailQueued {
				t.Errorf("%+v", made)
			}
			state := func(id string) linkflow.Link {
				t.Helper()
				all, err := n.Links.List(t.Context(), steward, collection.Default)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range all {
					if l.ID == id {
						return l
					}
				}
				t.Fatal("the link is gone")
				return linkflow.Link{}
			}
			eventually(t, "the mail is sent", func() bool { return state(made.ID).Mail == upload.MailSent })
			mails := srv.Mails()
			if len(mails) != 1 || mails[0].To != "imogen@example.org" {
				t.Fatalf("%+v", mails)
			}
			raw, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(mails[0].Text)))
			if err != nil && len(raw) == 0 {
				t.Fatal(err)
			}
			secret := regexp.MustCompile(`https://images\.example\.org/send#(vitrine-link_[\w-]{43})`).FindSubmatch(raw)
			if secret == nil || !strings.Contains(string(raw), "no account") || strings.Contains(string(raw), "A disc") {
				t.Fatalf("the mail says %s", raw)
			}
			r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+n.HTTPAddr()+"/upload/links/mine", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Vitrine-Link", string(secret[1]))
			r.Header.Set("Vitrine-Visit", base64.RawURLEncoding.EncodeToString(make([]byte, 24)))
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			http.DefaultClient.CloseIdleConnections()
			if resp.StatusCode != 200 {
				t.Errorf("the mailed link: %d", resp.StatusCode)
			}
			// A server that does not know the address.
			srv.Answer(func(string) string { return "550 no such mailbox" })
			lost, err := n.Links.Make(t.Context(), steward, "", collection.Default, linkflow.Wish{For: "nobody.rowan@example.org", Mail: true})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the mail is given up", func() bool { return state(lost.ID).Mail == upload.MailFailed })
			if l := state(lost.ID); !strings.Contains(l.MailWhy, "550") || strings.Contains(l.MailWhy, "rowan") {
				t.Errorf("%q", l.MailWhy)
			}
			entries, err := n.Stores.Audit.Entries(t.Context(), audit.Filter{Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			said := log.String()
			for _, e := range entries {
				said += e.Actor + e.Action + e.Object + e.Outcome + "\n"
			}
			for _, no := range []string{"imogen", "rowan", "A disc", string(secret[1])} {
				if strings.Contains(said, no) {
					t.Errorf("a log says %q", no)
				}
			}
		})
	}
	// Mails lead to the node: without its address there is none.
	if n, err := New(t.Context(), Config{Data: t.TempDir(), Demo: true, HTTP: "127.0.0.1:0", Mail: &mail.Config{Host: "127.0.0.1", Security: mail.None, From: "a@b.org"}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("mail without a public URL: %v %v", n, err)
	}
}
