package portal_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/node"
)

// Strangers learn that the node is up; who looks after it learns how each part is.
func TestStatusPage(t *testing.T) {
	_, base, link := start(t, "")
	v := visit(t, base)
	code, body, _ := v.do("GET", "/status", nil)
	if code != 200 || !strings.Contains(body, "The node is up") {
		t.Errorf("%d %s", code, body)
	}
	for _, secret := range []string{"pack", "SQLite", "127.0.0.1", "Version"} {
		if strings.Contains(body, secret) {
			t.Errorf("strangers are told of %s", secret)
		}
	}
	if code, _, _ := v.do("GET", "/api/status", nil); code != 401 {
		t.Errorf("strangers get the whole status: %d", code)
	}
	v.do("POST", "/signin/link", url.Values{"t": {link}})
	code, body, _ = v.do("GET", "/status", nil)
	for _, part := range []string{"Database", "Images", "Keys", "Bucket", "Jobs", "Intake", "Disk", "Audit log", "Verification", "Backups", "Certificate", "Listeners", "Questions", "images in 24 hours"} {
		if code != 200 || !strings.Contains(body, part) {
			t.Errorf("%d: nothing is said of %s", code, part)
		}
	}
	if code, body, _ := v.do("GET", "/api/status", nil); code != 200 || !strings.Contains(body, `"parts":[{"part":"database"`) {
		t.Errorf("%d %.300s", code, body)
	}
}

func TestAuditPage(t *testing.T) {
	each(t, func(t *testing.T, _ *node.Node, base, link string) {
		v := visit(t, base)
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		for range 3 {
			v.do("POST", "/collections", url.Values{"id": {"c"}, "profile": {"research"}})
		}
		rows := func(body string) int { return strings.Count(body, "<tr>") - 1 }
		_, all, _ := v.do("GET", "/audit", nil)
		_, made, _ := v.do("GET", "/audit?what=create+collection&outcome=done", nil)
		if rows(made) != 2 || rows(all) <= rows(made) || !strings.Contains(made, "made a collection") {
			t.Errorf("%d of %d entries", rows(made), rows(all))
		}
		if _, body, _ := v.do("GET", "/audit?since=2001-01-01&until=2001-01-02", nil); rows(body) > 0 || !strings.Contains(body, "No entry fits.") {
			t.Errorf("entries of another time: %d", rows(body))
		}
		if code, body, _ := v.do("GET", "/audit?since=yesterday&before=x&after=-3&who=%27%3B--&collection=%22", nil); code != 200 || !strings.Contains(body, "A day is written as") {
			t.Errorf("%d", code)
		}
		_, older, _ := v.do("GET", "/audit?before=3", nil)
		if rows(older) != 3 || !strings.Contains(older, "/audit?after=3") {
			t.Errorf("%d older", rows(older))
		}
		_, newer, _ := v.do("GET", "/audit?after=3", nil)
		if !strings.Contains(newer, `<td class="num">3</td>`) || strings.Contains(newer, `<td class="num">2</td>`) || !strings.Contains(newer, "/audit?before=3") {
			t.Error("newer than the third")
		}
		code, table, _ := v.do("GET", "/audit/entries.csv?what=create+collection", nil)
		if code != 200 || strings.Count(table, "\n") != 3 || !strings.HasPrefix(table, "number,time,who,action,on,collection,outcome\n") {
			t.Errorf("%d %s", code, table)
		}
		if code, body, _ := v.do("POST", "/audit/check", url.Values{}); code != 200 || !strings.Contains(body, "The log is being recomputed") {
			t.Errorf("%d", code)
		}
		if code, note, _ := v.do("GET", "/audit/checkpoint.txt", nil); code != 200 || !regexp.MustCompile(`^vitrine-audit\n\d+\n`).MatchString(note) {
			t.Errorf("%d %s", code, note)
		}
		stranger := visit(t, base)
		for _, path := range []string{"/audit", "/audit/entries.csv", "/audit/checkpoint.txt"} {
			if code, body, at := stranger.do("GET", path, nil); at != "/signin" && code != 401 {
				t.Errorf("%s: %d %.200s", path, code, body)
			}
		}
		if code, _, _ := stranger.do("POST", "/audit/check", url.Values{}); code != 401 {
			t.Errorf("%d", code)
		}
	})
}
