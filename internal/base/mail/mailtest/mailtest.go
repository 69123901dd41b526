// Package mailtest is a mail server for tests: it takes what it is given, on this machine, and forgets it with the test.
package mailtest

import (
	"bufio"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"
)

// Mail is one that was taken.
type Mail struct {
	From, To string
	Text     string // with its header, as it came
	TLS      bool
	User     string // who sent it, where the server asks
}

// Server is a mail server.
type Server struct {
	Host string
	Port int

	mu     sync.Mutex
	mails  []Mail
	answer func(to string) string
	secure *tls.Config
	tries  int
}

// Start runs one until the test ends. With a certificate it offers STARTTLS, and takes nothing without; it asks for a name and a password then.
func Start(t testing.TB, certificate *tls.Certificate) *Server {
	t.Helper()
	return start(t, certificate, false)
}

// StartTLS runs one that speaks TLS from the first byte.
func StartTLS(t testing.TB, certificate tls.Certificate) *Server {
	t.Helper()
	return start(t, &certificate, true)
}

func start(t testing.TB, certificate *tls.Certificate, atOnce bool) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
	if certificate != nil {
		s.secure = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.serve(c, atOnce) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return s
}

// Answer says what the server answers to the name of an addressee from now on: "550 no such mailbox"; empty: it takes the mail.
func (s *Server) Answer(f func(to string) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// Mails are those that were taken.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Tries is how often an addressee was named.
func (s *Server) Tries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries
}

func (s *Server) serve(c net.Conn, atOnce bool) {
	defer func() { c.Close() }()
	var m Mail
	if atOnce {
		c = tls.Server(c, s.secure)
		m.TLS = true
	}
	in := bufio.NewReader(c)
	say := func(line string) bool {
		_, err := c.Write([]byte(line + "\r\n"))
		return err == nil
	}
	say("220 mail.test ready")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO", "HELO":
			switch {
			case s.secure != nil && !m.TLS:
				say("250-mail.test")
				say("250 STARTTLS")
			case s.secure != nil:
				say("250-mail.test")
				say("250 AUTH PLAIN")
			default:
				say("250 mail.test")
			}
		case "STARTTLS":
			say("220 go on")
			t := tls.Server(c, s.secure)
			if t.Handshake() != nil {
				return
			}
			c, in = t, bufio.NewReader(t)
			m.TLS = true
		case "AUTH":
			m.User = rest
			say("235 welcome")
		case "MAIL":
			if s.secure != nil && (!m.TLS || m.User == "") {
				say("530 not like this")
				continue
			}
			m.From = address(rest)
			say("250 ok")
		case "RCPT":
			s.mu.Lock()
			s.tries++
			answer := s.answer
			s.mu.Unlock()
			m.To = address(rest)
			if answer != nil {
				if no := answer(m.To); no != "" {
					say(no + " for " + m.To)
					continue
				}
			}
			say("250 ok")
		case "DATA":
			say("354 go on")
			var text strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				text.WriteString(strings.TrimPrefix(line, "."))
			}
			m.Text = text.String()
			s.mu.Lock()
			s.mails = append(s.mails, m)
			s.mu.Unlock()
			say("250 taken")
		case "RSET", "NOOP":
			say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("502 what")
		}
	}
}

func address(s string) string {
	_, s, _ = strings.Cut(s, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}
