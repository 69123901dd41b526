package main

import (
	"os"

	"github.com/vitrine-imaging/vitrine/internal/base/mail"
)

// mailFlags say which server takes the node's mails.
type mailFlags struct {
	Host     string `name:"smtp-host" placeholder:"HOST" help:"Mail server: links for people outside, sign-in links and notices are sent by it. Without one, they are shown to be handed over."`
	Port     int    `name:"smtp-port" placeholder:"PORT" help:"Its port. Default: 587 with starttls, 465 with tls, 25 with none."`
	Security string `name:"smtp-security" enum:"starttls,tls,none" default:"starttls" help:"How the way there is protected: ${enum}; none is for a server on this machine alone."`
	User     string `name:"smtp-user" placeholder:"NAME" help:"What the server knows the node by, if it asks."`
	Password string `name:"smtp-password-file" placeholder:"FILE" help:"File with the password for it."`
	From     string `name:"mail-from" placeholder:"ADDRESS" help:"Whom mails are from, as 'Vitrine <images@example.org>'."`
}

// server is the mail server that the flags name; nil if they name none.
func (f *mailFlags) server(s *streams) (*mail.Config, error) {
	if f.Host == "" {
		if f.User != "" || f.Password != "" || f.From != "" || f.Port != 0 {
			return nil, usage("--smtp-host is missing")
		}
		return nil, nil
	}
	if f.From == "" {
		return nil, usage("--mail-from is missing: say whom mails are from")
	}
	c := &mail.Config{Host: f.Host, Port: f.Port, Security: mail.Security(f.Security), User: f.User, From: f.From}
	if f.Password != "" {
		if fi, err := os.Stat(f.Password); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o007 != 0 {
			s.say("Warning: others on this machine can read %s (mode %04o).", f.Password, fi.Mode().Perm())
		}
		var err error
		if c.Password, err = firstLine(f.Password); err != nil {
			return nil, usage("--smtp-password-file: %w", err)
		}
	}
	if _, err := mail.New(*c); err != nil {
		return nil, usage("%w", err)
	}
	return c, nil
}
