package mail

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	stdmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/mail/mailtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

func TestConfig(t *testing.T) {
	good := Config{Host: "mail.example.org", Security: StartTLS, From: "Vitrine <images@example.org>"}
	if s, err := New(good); err != nil || s.c.Port != 587 {
		t.Errorf("%v", err)
	}
	for what, change := range map[string]func(*Config){
		"no host": func(c *Config) { c.Host = "" }, "a port in the host": func(c *Config) { c.Host = "user@mail" }, "in clear elsewhere": func(c *Config) { c.Security = None },
		"no security": func(c *Config) { c.Security = "" }, "another security": func(c *Config) { c.Security = "maybe" }, "a port": func(c *Config) { c.Port = 70000 },
		"a name without a password": func(c *Config) { c.User = "u" }, "a password without a name": func(c *Config) { c.Password = "p" }, "no sender": func(c *Config) { c.From = "" }, "a sender": func(c *Config) { c.From = "images" },
	} {
		c := good
		change(&c)
		if _, err := New(c); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, host := range []string{"127.0.0.1", "localhost", "::1"} {
		c := good
		c.Host, c.Security = host, None
		if _, err := New(c); err != nil {
			t.Errorf("%s in clear: %v", host, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, s := range []string{"imogen@example.org", "i.rowan+scans@cancer.example.ac.uk", " imogen@example.org "} {
		if got, err := ParseAddress(s); err != nil || got != strings.TrimSpace(s) {
			t.Errorf("%q: %q %v", s, got, err)
		}
	}
	for _, s := range []string{"", "imogen", "imogen@", "@example.org", "imogen@localhost", "Imogen <imogen@example.org>", "a@b.org,c@d.org", "a@b.org c@d.org", "a@b.org\nBcc: c@d.org", `"a b"@example.org`, strings.Repeat("a", 250) + "@b.org"} {
		if got, err := ParseAddress(s); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q is read as %q, %v", s, got, err)
		}
	}
}

var letter = Message{To: "imogen@example.org", Subject: "Send images to Kollektion Süd", Text: "Öffnen Sie\nhttps://images.example.org/send#secret\n.\nEnde\n", HTML: "<p>Öffnen</p>"}

// parts are the texts of a mail, by their kind.
func parts(t *testing.T, raw string) (stdmail.Header, map[string]string) {
	t.Helper()
	m, err := stdmail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%q %v", kind, err)
	}
	out := map[string]string{}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return m.Header, out
		}
		if err != nil {
			t.Fatal(err)
		}
		body := io.Reader(p)
		if p.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(p)
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		out[kind] = strings.ReplaceAll(string(b), "\r\n", "\n")
	}
}

func TestSend(t *testing.T) {
	srv := mailtest.Start(t, nil)
	s, err := New(Config{Host: srv.Host, Port: srv.Port, Security: None, From: "Vitrine <images@example.org>"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	all := srv.Mails()
	if len(all) != 1 || all[0].From != "images@example.org" || all[0].To != "imogen@example.org" {
		t.Fatalf("%+v", all)
	}
	h, text := parts(t, all[0].Text)
	subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	if err != nil || subject != letter.Subject || h.Get("Auto-Submitted") != "auto-generated" || h.Get("User-Agent")+h.Get("X-Mailer") != "" || !strings.HasSuffix(h.Get("Message-Id"), "@example.org>") {
		t.Errorf("%q %v", subject, h)
	}
	if text["text/plain"] != letter.Text || text["text/html"] != letter.HTML {
		t.Errorf("%q", text)
	}
	// What the server answers is told by its number, and as what may be tried again; the address that it repeats is not.
	for answer, permanent := range map[string]bool{"451 later": false, "550 no such mailbox": true, "554 never": true} {
		srv.Answer(func(string) string { return answer })
		err := s.Send(t.Context(), letter)
		r, ok := errors.AsType[*Refused](err)
		if !ok || r.Permanent != permanent || r.Code == 0 || strings.Contains(err.Error(), "imogen") || !strings.Contains(err.Error(), answer[:3]) {
			t.Errorf("%s: %v", answer, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	if s, err = New(Config{Host: "127.0.0.1", Port: port, Security: None, From: "images@example.org"}); err != nil {
		t.Fatal(err)
	}
	if r, ok := errors.AsType[*Refused](s.Send(t.Context(), letter)); !ok || r.Permanent || r.Code != 0 {
		t.Errorf("nobody answers: %v", r)
	}
}

// Nothing goes in clear to a server that is to be reached by TLS: not where it offers none, and not where its certificate is anybody's.
func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	srv := mailtest.Start(t, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	c := Config{Host: srv.Host, Port: srv.Port, Security: StartTLS, User: "node", Password: "a password of some length", From: "images@example.org"}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := errors.AsType[*Refused](s.Send(t.Context(), letter)); !ok || r.Permanent || len(srv.Mails()) != 0 || srv.Tries() != 0 {
		t.Errorf("a certificate that nobody vouches for: %v", r)
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(cert)
	if err := s.Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	if all := srv.Mails(); len(all) != 1 || !all[0].TLS || !strings.HasPrefix(all[0].User, "PLAIN ") {
		t.Errorf("%+v", all)
	}
	whole := mailtest.StartTLS(t, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	c.Port, c.Security = whole.Port, TLS
	if s, err = New(c); err != nil {
		t.Fatal(err)
	}
	if r, ok := errors.AsType[*Refused](s.Send(t.Context(), letter)); !ok || whole.Tries() != 0 {
		t.Errorf("TLS with a certificate that nobody vouches for: %v", r)
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(cert)
	if err := s.Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	if all := whole.Mails(); len(all) != 1 || !all[0].TLS {
		t.Errorf("%+v", all)
	}
	c.Security = StartTLS
	plain := mailtest.Start(t, nil)
	c.Port = plain.Port
	if s, err = New(c); err != nil {
		t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	if r, ok := errors.AsType[*Refused](s.Send(t.Context(), letter)); !ok || plain.Tries() != 0 {
		t.Errorf("without TLS: %v", r)
	}
}
