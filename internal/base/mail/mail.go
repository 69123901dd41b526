// Package mail gives mails to a server by SMTP (RFC 5321), over TLS.
//
// It promises: nothing goes to another machine without TLS, whose certificate is checked; a failure says what the server answered by its number alone, and never the address or
// a word of the mail; a message is plain text with the same in simple HTML, with nothing that is loaded from anywhere.
//
// It keeps nothing and tries once: package mailing has the queue.
package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	stdmail "net/mail"
	"net/textproto"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Security is how a connection is protected.
type Security string

// The ways.
const (
	StartTLS Security = "starttls" // begins in clear, and goes on with TLS or not at all (RFC 3207)
	TLS      Security = "tls"      // TLS from the first byte (RFC 8314)
	None     Security = "none"     // in clear; to this machine alone
)

// Config says which server takes mails, and from whom they are.
type Config struct {
	Host     string
	Port     int // 0: the usual one of Security: 587, 465, 25
	Security Security
	User     string // empty: the server asks for none
	Password string
	From     string // "Vitrine <images@example.org>", or the address alone
}

// Message is one mail.
type Message struct {
	To      string // one address
	Subject string
	Text    string
	HTML    string // empty: none
}

// Sender gives mails to one server. It is safe for use by many goroutines.
type Sender struct {
	c     Config
	from  *stdmail.Address
	roots *x509.CertPool // nil: the system's
}

const attempt = "send mail"

// timeout is how long one step of giving a mail to a server may take.
const timeout = 30 * time.Second

func refused(reason string) error { return fault.New(fault.Invalid, "configure mail", "", reason) }

// New checks a configuration. It does not connect.
func New(c Config) (*Sender, error) {
	switch {
	case c.Host == "" || strings.ContainsAny(c.Host, " /@\r\n"):
		return nil, refused("the mail server is a host name or an address, without a port")
	case c.Port < 0 || c.Port > 65535:
		return nil, refused("the mail server's port is 1 to 65535")
	case c.Security == None && !loopback(c.Host):
		return nil, refused("without TLS mails go to this machine alone: use starttls or tls")
	}
	if c.Port == 0 {
		switch c.Security {
		case StartTLS:
			c.Port = 587
		case TLS:
			c.Port = 465
		case None:
			c.Port = 25
		}
	}
	if c.Port == 0 {
		return nil, refused("the mail server is reached by starttls, tls or none")
	}
	if (c.User == "") != (c.Password == "") {
		return nil, refused("the name and the password for the mail server belong together")
	}
	from, err := stdmail.ParseAddress(c.From)
	if err != nil {
		return nil, refused("the address that mails come from is none")
	}
	return &Sender{c: c, from: from}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// ParseAddress reads the address of one person: local part and domain, no name beside it, nothing that could end a line of a header.
func ParseAddress(s string) (string, error) {
	s = strings.TrimSpace(s)
	a, err := stdmail.ParseAddress(s)
	if err != nil || a.Name != "" || a.Address != s || len(s) > 254 || strings.ContainsAny(s, "\"\r\n\t <>,;:") || !strings.Contains(s[strings.LastIndexByte(s, '@')+1:], ".") {
		return "", fault.New(fault.Invalid, "read e-mail address", "", "it is no e-mail address such as name@example.org")
	}
	return s, nil
}

// Refused is an answer of the server that says no. It names neither the address nor the mail.
type Refused struct {
	Code      int  // of SMTP; 0: no answer came
	Permanent bool // the same mail will not be taken later either
}

func (e *Refused) Error() string { return attempt + ": " + e.Reason() }

// Reason is why, in words for the steward.
func (e *Refused) Reason() string {
	switch e.Code {
	case 0:
		return "the mail server does not answer, or not over TLS"
	case 530, 534, 535:
		return fmt.Sprintf("the mail server does not let this node in (%d)", e.Code)
	case 550, 551, 553:
		return fmt.Sprintf("the mail server does not know the address (%d)", e.Code)
	}
	return fmt.Sprintf("the mail server did not take it (%d)", e.Code)
}

// Send gives a mail to the server, and returns when the server has taken it. A failure is a *[Refused], or a fault where the mail itself cannot be written.
func (s *Sender) Send(ctx context.Context, m Message) error {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := errors.Join(msg.FromFormat(s.from.Name, s.from.Address), msg.To(m.To)); err != nil {
		return fault.New(fault.Invalid, attempt, "", "an address cannot be written into a mail")
	}
	var id [16]byte
	rand.Read(id[:])
	domain := s.from.Address[strings.LastIndexByte(s.from.Address, '@')+1:]
	msg.SetMessageIDWithValue(hex.EncodeToString(id[:]) + "@" + domain) // the name of this machine is nobody's concern
	msg.SetDate()
	msg.Subject(m.Subject)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no automatic answers
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	secure := &tls.Config{ServerName: s.c.Host, MinVersion: tls.VersionTLS12, RootCAs: s.roots}
	// The connection is ours to end: the library leaves it open where STARTTLS fails. With TLS from the first byte it has to dial itself, or it takes the line for an open one.
	var line net.Conn
	defer func() {
		if line != nil {
			_ = line.Close()
		}
	}()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, network, address)
		if err == nil {
			line = c
		}
		return c, err
	}
	opts := []gomail.Option{gomail.WithPort(s.c.Port), gomail.WithTimeout(timeout), gomail.WithHELO(domain), gomail.WithTLSConfig(secure)}
	switch s.c.Security {
	case TLS:
		opts = append(opts, gomail.WithSSL())
	case None:
		opts = append(opts, gomail.WithTLSPolicy(gomail.NoTLS), gomail.WithDialContextFunc(dial))
	case StartTLS:
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithDialContextFunc(dial))
	}
	if s.c.User != "" {
		opts = append(opts, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.c.User), gomail.WithPassword(s.c.Password))
	}
	c, err := gomail.NewClient(s.c.Host, opts...)
	if err != nil {
		return fault.New(fault.Invalid, attempt, "", "the mail server's configuration cannot be used")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	conn, err := c.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return judged(err)
	}
	err = c.SendWithSMTPClient(conn, msg)
	_ = c.CloseWithSMTPClient(conn) // the mail is with the server by now, or it is not
	if err != nil && !msg.IsDelivered() {
		return judged(err)
	}
	return nil
}

// judged keeps of a failure what may be told: the library's own texts name addresses, and servers repeat what they like.
func judged(err error) *Refused {
	r := &Refused{}
	if e, ok := errors.AsType[*gomail.SendError](err); ok {
		r.Code = e.ErrorCode()
	} else if e, ok := errors.AsType[*textproto.Error](err); ok {
		r.Code = e.Code
	}
	// That a server does not let the node in can be mended, and then the same mail is taken.
	r.Permanent = r.Code >= 500 && r.Code != 530 && r.Code != 534 && r.Code != 535
	return r
}
