package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/vitrine-imaging/vitrine/internal/client"
	"github.com/vitrine-imaging/vitrine/internal/flow/reidentify"
)

type reidentifyCmd struct {
	Ask     reidentifyAskCmd     `cmd:"" help:"Ask who a subject is, with a reason."`
	List    reidentifyListCmd    `cmd:"" help:"List the requests that you may take part in."`
	Consent reidentifyConsentCmd `cmd:"" help:"Consent to another person's request."`
	Decline reidentifyDeclineCmd `cmd:"" help:"Decline another person's request."`
	See     reidentifySeeCmd     `cmd:"" help:"See who the subject of your request is, once."`
}

func (c *reidentifyCmd) Help() string {
	return `A steward asks, another steward or an administrator of the collection consents within seven days, and the first sees the answer once within 24 hours. Both are people who sign in: a token is
not taken. The node asks for a code that works once, as an administrator makes with "vitrine user code" and the page People, and for the digits of an authenticator app where the account has one. The
session ends with the command.`
}

// personFlags say who signs in, to which node.
type personFlags struct {
	Server string `default:"http://127.0.0.1:8080" placeholder:"URL" help:"The node's address. Default: ${default}."`
}

// as signs a person in, does what is to be done, and ends the session.
func (f *personFlags) as(ctx context.Context, s *streams, do func(*client.Client) error) (err error) {
	c, err := client.New(f.Server, "", client.Options{Agent: "vitrine/" + versionText()})
	if err != nil {
		return usage("--server: %w", err)
	}
	defer c.Close()
	lines := bufio.NewReader(s.in)
	code, err := s.ask(lines, "Code: ")
	if err != nil {
		return err
	}
	if err = c.SignIn(ctx, code); errors.Is(err, client.ErrDigits) {
		var digits string
		if digits, err = s.ask(lines, "Digits of the app: "); err == nil {
			err = c.SignInDigits(ctx, digits)
		}
	}
	if err != nil {
		return err
	}
	defer func() {
		if out := c.SignOut(context.WithoutCancel(ctx)); err == nil {
			err = out
		}
	}()
	return do(c)
}

// ask reads a line that is not shown as it is typed.
func (s *streams) ask(lines *bufio.Reader, what string) (string, error) {
	if f, ok := s.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(s.err, what)
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(s.err)
		return strings.TrimSpace(string(b)), err
	}
	line, err := lines.ReadString('\n')
	if line = strings.TrimSpace(line); line == "" {
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return "", usage("%sgive it on standard input, on a line by itself", what)
	}
	return line, nil
}

// show prints a request, and who it is about where the answer says so.
func (s *streams) show(v reidentify.View) error {
	if s.json {
		return s.value(v)
	}
	rows := [][2]string{{"request", v.ID}, {"collection", v.Collection}, {"subject", v.Subject}, {"state", v.State}, {"asked by", v.AskedBy}, {"reason", v.Reason}, {"decided by", v.DecidedBy}}
	if v.Ends != nil {
		rows = append(rows, [2]string{"until", v.Ends.Local().Format(time.DateTime)})
	}
	for _, r := range rows {
		if r[1] != "" {
			fmt.Fprintf(s.out, "%-13s %s\n", r[0], cell(r[1]))
		}
	}
	for _, i := range v.Identities {
		for _, r := range [][2]string{{"patient ID", i.PatientID}, {"issued by", i.Issuer}, {"name", i.Name}, {"born", i.BirthDate}} {
			if r[1] != "" {
				fmt.Fprintf(s.out, "%-13s %s\n", r[0], cell(r[1]))
			}
		}
	}
	return nil
}

type reidentifyAskCmd struct {
	personFlags
	Collection string `arg:"" help:"The collection."`
	Subject    string `arg:"" help:"The subject's pseudonym in it."`
	Reason     string `required:"" placeholder:"TEXT" help:"Why, in at least ten words; kept encrypted, for who may consent."`
}

// Run asks.
func (c *reidentifyAskCmd) Run(ctx context.Context, s *streams) error {
	return c.as(ctx, s, func(n *client.Client) error {
		var v reidentify.View
		err := n.JSON(ctx, http.MethodPost, nil, reidentify.Question{Collection: c.Collection, Subject: c.Subject, Reason: c.Reason}, &v, "api", "identity")
		if err != nil {
			return err
		}
		return s.show(v)
	})
}

type reidentifyListCmd struct{ personFlags }

// Run lists.
func (c *reidentifyListCmd) Run(ctx context.Context, s *streams) error {
	return c.as(ctx, s, func(n *client.Client) error {
		all := []reidentify.View{}
		if err := n.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "identity"); err != nil {
			return err
		}
		t := &table{head: []string{"REQUEST", "COLLECTION", "SUBJECT", "ASKED BY", "ASKED", "STATE", "WAITS FOR YOU"}, none: "There is no request that you may take part in."}
		for _, v := range all {
			waits := ""
			switch {
			case v.MayDecide:
				waits = "to decide"
			case v.MaySee:
				waits = "to be seen"
			}
			t.add(v.ID, v.Collection, v.Subject, v.AskedBy, day(v.Asked), v.State, waits)
		}
		return s.list(all, t)
	})
}

type reidentifyConsentCmd struct {
	personFlags
	Request string `arg:"" help:"The request's number."`
}

// Run consents.
func (c *reidentifyConsentCmd) Run(ctx context.Context, s *streams) error {
	return c.decide(ctx, s, c.Request, true)
}

type reidentifyDeclineCmd struct {
	personFlags
	Request string `arg:"" help:"The request's number."`
}

// Run declines.
func (c *reidentifyDeclineCmd) Run(ctx context.Context, s *streams) error {
	return c.decide(ctx, s, c.Request, false)
}

func (f *personFlags) decide(ctx context.Context, s *streams, request string, consent bool) error {
	return f.as(ctx, s, func(n *client.Client) error {
		var v reidentify.View
		if err := n.JSON(ctx, http.MethodPost, nil, reidentify.Verdict{Consent: consent}, &v, "api", "identity", request, "decision"); err != nil {
			return err
		}
		return s.show(v)
	})
}

type reidentifySeeCmd struct {
	personFlags
	Request string `arg:"" help:"The request's number."`
}

// Run shows who it is.
func (c *reidentifySeeCmd) Run(ctx context.Context, s *streams) error {
	return c.as(ctx, s, func(n *client.Client) error {
		var v reidentify.View
		if err := n.JSON(ctx, http.MethodPost, nil, nil, &v, "api", "identity", c.Request, "sight"); err != nil {
			return err
		}
		return s.show(v)
	})
}
