package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// ErrDigits says that a code was taken, and that the six digits of the account's app have to follow: [Client.SignInDigits].
var ErrDigits = errors.New("the digits of the account's app have to follow")

// SignIn signs a person in by a code that works once. From then on requests are theirs; [Client.SignOut] ends it.
func (c *Client) SignIn(ctx context.Context, code string) error {
	if c.base.Scheme == "http" && !loopback(c.base.Hostname()) {
		return errors.New("over http:// a person's session would travel in clear: use https://")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	c.cookies, c.token = jar, ""
	c.http.Jar = jar
	return c.enter(ctx, url.Values{"code": {code}, "next": {"/account"}}, "signin", "code")
}

// SignInDigits is the second half of signing in, where SignIn said so.
func (c *Client) SignInDigits(ctx context.Context, digits string) error {
	return c.enter(ctx, url.Values{"code": {digits}, "half": {"yes"}, "next": {"/account"}}, "signin", "app")
}

// enter posts a form of the portal's, and sees where it leads.
func (c *Client) enter(ctx context.Context, form url.Values, path ...string) error {
	at, status, err := c.post(ctx, form, path...)
	switch {
	case err != nil:
		return err
	case status != http.StatusSeeOther:
		return &Problem{Status: status, Title: "The code was not taken", Detail: "it is not known, was used already, or has expired"}
	case strings.HasSuffix(at.Path, "/signin/app"):
		return ErrDigits
	}
	return nil
}

// post sends a form and follows no redirection.
func (c *Client) post(ctx context.Context, form url.Values, path ...string) (to *url.URL, status int, err error) {
	r, err := c.request(ctx, http.MethodPost, c.at(nil, path...), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	stay := &http.Client{Transport: c.http.Transport, Jar: c.cookies, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := stay.Do(r)
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return nil, 0, &Unreachable{Server: c.Server(), Err: ue.Err}
	}
	if err != nil {
		return nil, 0, err
	}
	defer discard(resp)
	to, err = resp.Location()
	if errors.Is(err, http.ErrNoLocation) {
		to, err = &url.URL{}, nil
	}
	return to, resp.StatusCode, err
}

// SignOut ends the session that SignIn began. Without one it does nothing.
func (c *Client) SignOut(ctx context.Context) error {
	if c.cookies == nil {
		return nil
	}
	_, _, err := c.post(ctx, url.Values{}, "signout")
	return err
}
