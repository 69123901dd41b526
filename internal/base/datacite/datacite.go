// Package datacite makes and changes DOIs by DataCite's REST API (https://support.datacite.org/docs/api): a draft is a DOI that is reserved and does not resolve, a findable one resolves and is found, a registered one resolves.
//
// It promises: the same call twice makes one DOI, because whoever calls names it; nothing goes to another machine without TLS; a failure says what the server answered by its number alone.
//
// It keeps nothing and tries once. What is said of a DOI is the caller's.
package datacite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Config says which repository of DataCite the DOIs belong to.
type Config struct {
	URL      string // of the API: https://api.datacite.org, or https://api.test.datacite.org to try it
	Prefix   string // below which DOIs are made, 10.12345
	Account  string // the repository's, ORG.NAME
	Password string
}

// Client is safe for use by many goroutines.
type Client struct {
	c    Config
	http *http.Client
}

const attempt = "register a DOI"

var prefix = regexp.MustCompile(`^10\.[0-9]{4,9}$`)

// New checks a configuration. It does not connect.
func New(c Config) (*Client, error) {
	bad := func(why string) error { return fault.New(fault.Invalid, "configure DataCite", "", why) }
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return nil, bad("its address is that of the API, as https://api.datacite.org")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, bad("without TLS nothing is sent to another machine: its address begins with https://")
	case !prefix.MatchString(c.Prefix):
		return nil, bad("a prefix is written 10.12345")
	case c.Account == "" || c.Password == "" || strings.Contains(c.Account, ":"):
		return nil, bad("the account is the repository's name and its password")
	}
	c.URL = strings.TrimRight(c.URL, "/")
	// Whoever answers with another address is not followed: the password would go along.
	return &Client{c, &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Name is the DOI of a suffix: letters, digits, hyphens.
func (c *Client) Name(suffix string) string { return c.c.Prefix + "/" + suffix }

// maxAnswer bounds what is read of an answer.
const maxAnswer = 4 << 20

// Put makes a DOI, or changes it (PUT /dois/DOI, which makes one that is not there). The body is an envelope of JSON:API with metadata of the DataCite Metadata Schema 4. It gives the state in which the DOI is then: draft,
// registered or findable.
//
// Errors: fault.Unavailable where no answer came, or one that may be another later; fault.Denied where the account may not; fault.Invalid where DataCite does not take what is said.
func (c *Client) Put(ctx context.Context, doi string, body []byte) (state string, err error) {
	b, err := c.do(ctx, http.MethodPut, doi, body)
	if err != nil {
		return "", err
	}
	var v struct {
		Data struct {
			ID         string `json:"id"`
			Attributes struct {
				State string `json:"state"`
			} `json:"attributes"`
		} `json:"data"`
	}
	if err := json.Unmarshal(b, &v); err != nil || !strings.EqualFold(v.Data.ID, doi) || v.Data.Attributes.State == "" {
		return "", fault.New(fault.Unavailable, attempt, "DOI "+doi, "the answer is none of DataCite's API")
	}
	return v.Data.Attributes.State, nil
}

// Delete forgets a draft (DELETE /dois/DOI). That there is none is no error; what was registered stays for ever and is a fault.Denied.
func (c *Client) Delete(ctx context.Context, doi string) error {
	_, err := c.do(ctx, http.MethodDelete, doi, nil)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

func (c *Client) do(ctx context.Context, method, doi string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.c.URL+"/dois/"+doi, bytes.NewReader(body))
	if err != nil {
		return nil, fault.New(fault.Invalid, attempt, "", "the DOI has not its form")
	}
	r.SetBasicAuth(c.c.Account, c.c.Password)
	r.Header.Set("Accept", "application/vnd.api+json")
	if body != nil {
		r.Header.Set("Content-Type", "application/vnd.api+json")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return nil, err
		}
		return nil, fault.New(fault.Unavailable, attempt, "DOI "+doi, "DataCite does not answer")
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fault.New(fault.Unavailable, attempt, "DOI "+doi, "the answer breaks off")
	}
	kind := fault.Invalid
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return b, nil
	case code == http.StatusNotFound:
		kind = fault.NotFound
	case code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusMethodNotAllowed:
		kind = fault.Denied
	case code/100 == 3 || code/100 == 5 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		kind = fault.Unavailable
	}
	return nil, fault.New(kind, attempt, "DOI "+doi, fmt.Sprintf("DataCite answered %d", resp.StatusCode))
}
