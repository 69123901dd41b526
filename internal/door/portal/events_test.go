package portal_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// told is a server-sent event.
type told struct {
	name string
	data map[string]any
	list []map[string]any
}

// listen opens a stream of events.
func listen(t *testing.T, base, path, token string) (<-chan told, *http.Response) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	events := make(chan told, 100)
	if resp.StatusCode != 200 {
		close(events)
		return events, resp
	}
	go func() {
		defer close(events)
		lines := bufio.NewScanner(resp.Body)
		var e told
		for lines.Scan() {
			switch line := lines.Text(); {
			case strings.HasPrefix(line, "event: "):
				e.name = line[7:]
			case strings.HasPrefix(line, "data: "):
				if json.Unmarshal([]byte(line[6:]), &e.data) != nil {
					_ = json.Unmarshal([]byte(line[6:]), &e.list) // one of the two
				}
			case line == "" && e.name != "":
				select {
				case events <- e:
				case <-ctx.Done():
					return
				}
				e = told{}
			}
		}
	}()
	return events, resp
}

// hear waits for an event that is so.
func hear(t *testing.T, events <-chan told, what string, so func(told) bool) told {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("%s: the stream ended", what)
			}
			if so(e) {
				return e
			}
		case <-late:
			t.Fatalf("%s: not within 20 seconds", what)
		}
	}
}

func tokenFor(t *testing.T, n *node.Node, name string, role policy.Role, c string) (secret, actor string) {
	t.Helper()
	s, err := identity.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
		made, err := n.Stores.Identity.CreateToken(tx, s, identity.Token{Name: name, Role: role, Collection: c})
		actor = made.ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.Reveal(), actor
}

// Who deposits is told within a moment what came, what is held and why, what was refused, that it has ended and that it is admitted; nobody else is told anything.
func TestDepositEvents(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, _ string) {
		mine, actor := tokenFor(t, n, "depositor", policy.Depositor, "default")
		another, _ := tokenFor(t, n, "another", policy.Depositor, "default")
		researcher, _ := tokenFor(t, n, "researcher", policy.Researcher, "default")
		steward, _ := tokenFor(t, n, "steward", policy.Steward, "default")
		dep, err := n.Custody.Begin(t.Context(), collection.Default, custody.DoorUpload, actor)
		if err != nil {
			t.Fatal(err)
		}
		path := fmt.Sprintf("/deposits/%v/events", dep.ID)
		for who, want := range map[string]int{"": 401, another: 404, researcher: 404} {
			if _, resp := listen(t, base, path, who); resp.StatusCode != want {
				t.Errorf("%d, want %d", resp.StatusCode, want)
			}
		}
		for _, p := range []string{"/deposits/77/events", "/deposits/ROWAN/events"} {
			if _, resp := listen(t, base, p, mine); resp.StatusCode != 404 {
				t.Errorf("%s: %d", p, resp.StatusCode)
			}
		}
		events, resp := listen(t, base, path, mine)
		watching, _ := listen(t, base, "/deposits/events", steward)
		if resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
		}
		hear(t, events, "at first", func(e told) bool {
			return e.name == "deposit" && e.data["running"] == true && e.data["received"] == 0.0
		})
		sent := 0
		var held bool
		for s := range sample.Studies(77) {
			in, err := s.Instance(0)
			if err != nil {
				t.Fatal(err)
			}
			r, err := dep.Receive(t.Context(), custody.Incoming{Data: custody.FromReader(bytes.NewReader(in.File()))})
			if err != nil {
				t.Fatal(err)
			}
			sent++
			held = held || r.Outcome == custody.Held
			begun := time.Now()
			hear(t, events, "received", func(e told) bool { return e.name == "deposit" && e.data["received"] == float64(sent) })
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it was told after %v", took)
			}
		}
		if !held {
			t.Fatal("nothing of the sample is held")
		}
		if _, err := dep.Receive(t.Context(), custody.Incoming{Ordinal: 99, Data: custody.FromReader(strings.NewReader("no image"))}); err == nil {
			t.Error("it was kept")
		}
		e := hear(t, events, "refused", func(e told) bool { return e.name == "item" && e.data["fate"] == "refused" })
		if why := e.data["reasons"].([]any)[0].(map[string]any); e.data["ordinal"] != 99.0 || why["code"] != "not-dicom" || why["advice"] == "" {
			t.Errorf("%v", e.data)
		}
		dep.End()
		hear(t, events, "ended and admitted", func(e told) bool {
			return e.name == "deposit" && e.data["running"] == false && e.data["pending"] == 0.0 && e.data["catalogued"].(float64) > 0 && e.data["held"].(float64) > 0
		})
		hear(t, events, "settled", func(e told) bool { return e.name == "settled" })
		if _, open := <-events; open {
			t.Error("the stream goes on")
		}
		hear(t, watching, "all deposits", func(e told) bool {
			for _, x := range e.list {
				if x["deposit"] == dep.ID.String() && x["running"] == false && x["pending"] == 0.0 {
					return true
				}
			}
			return false
		})
	})
}

// One person's streams are bounded, and a node that ends does not wait for them.
func TestStreamsAreBoundedAndEnd(t *testing.T) {
	n, base, _ := start(t, "")
	steward, _ := tokenFor(t, n, "steward", policy.Steward, "default")
	other, _ := tokenFor(t, n, "other", policy.Steward, "default")
	var open []*http.Response
	for {
		_, resp := listen(t, base, "/deposits/events", steward)
		if resp.StatusCode == http.StatusTooManyRequests {
			if resp.Header.Get("Retry-After") == "" {
				t.Error("it does not say when to come back")
			}
			break
		}
		if open = append(open, resp); len(open) > 50 {
			t.Fatal("there is no bound")
		}
	}
	if len(open) < 4 {
		t.Errorf("only %d are let in", len(open))
	}
	events, resp := listen(t, base, "/deposits/events", other)
	if resp.StatusCode != 200 {
		t.Errorf("another person's: %d", resp.StatusCode)
	}
	hear(t, events, "at first", func(e told) bool { return e.name == "deposits" })
	open[0].Body.Close()
	again := false
	for deadline := time.Now().Add(20 * time.Second); !again && time.Now().Before(deadline); {
		_, resp := listen(t, base, "/deposits/events", steward)
		again = resp.StatusCode == 200
	}
	if !again {
		t.Error("a stream that was closed keeps its place")
	}
	// The node is ended by the test's end, which fails if it is not well; streams are still open then.
}

// Nor does a token that was revoked.
func TestStreamEndsWithItsToken(t *testing.T) {
	n, base, _ := start(t, "")
	secret, actor := tokenFor(t, n, "steward", policy.Steward, "default")
	events, _ := listen(t, base, "/deposits/events", secret)
	hear(t, events, "the deposits", func(told) bool { return true })
	if err := n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error { return n.Stores.Identity.RevokeToken(tx, actor) }); err != nil {
		t.Fatal(err)
	}
	for late := time.After(20 * time.Second); ; {
		select {
		case _, open := <-events:
			if !open {
				return
			}
		case <-late:
			t.Fatal("it hears still, 20 seconds after its token was revoked")
		}
	}
}

// A session that has ended hears nothing more.
func TestStreamEndsWithItsSession(t *testing.T) {
	n, base, link := start(t, "")
	v := visit(t, base)
	v.do("POST", "/signin/link", url.Values{"t": {link}})
	all, err := n.Stores.Identity.Accounts(t.Context())
	if err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", base+"/deposits/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := v.client.Do(r)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(err, resp.StatusCode)
	}
	defer resp.Body.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
		}
	}()
	if err := n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error { return n.Stores.Identity.SetDisabled(tx, all[0].ID, true) }); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("who is disabled still hears after 20 seconds")
	}
}

// The page of a deposit shows where it stands, and sending is offered to who may.
func TestDepositPages(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		v := visit(t, base)
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		all, err := n.Stores.Catalogue.Deposits(t.Context(), collection.Default, "", 0, 1)
		if err != nil || len(all) != 1 {
			t.Fatal(err)
		}
		code, body, _ := v.do("GET", "/deposits/"+all[0].ID.String(), nil)
		for _, want := range []string{"What became of each image", "admitted", "held", "data-item=", "A steward", "<path class=\"f1\"", "Published"} {
			if code != 200 || !strings.Contains(body, want) {
				t.Errorf("%d: the page lacks %q", code, want)
			}
		}
		if code, body, at := v.do("GET", "/deposits/new", nil); code != 200 || at != "/collections/default/upload" || !strings.Contains(body, "Drop a folder here") {
			t.Errorf("%d at %s", code, at)
		}
		researcher, _ := tokenFor(t, n, "researcher", policy.Researcher, "default")
		for path, want := range map[string]int{"/collections/default/upload": 403, "/collections/no-such/upload": 404, "/collections/..%2f/upload": 404} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+researcher)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
			}
		}
	})
}
