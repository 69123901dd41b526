package upload_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/link"
	"github.com/vitrine-imaging/vitrine/internal/flow/upload"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

var steward = admin.Caller{Actor: "person-5", Grants: []policy.Grant{{Role: policy.Steward, Collection: kept}}}

// link makes a link, and two people who hold it: name and name+"'s friend".
func (x *rig) link(name string, w link.Wish) link.Link {
	x.t.Helper()
	l, err := x.n.Links.Make(x.t.Context(), steward, "https://images.example.org", kept, w)
	if err != nil {
		x.t.Fatal(err)
	}
	at, secret, _ := strings.Cut(l.Address, "#")
	if at != "https://images.example.org/send" || len(secret) < 40 {
		x.t.Fatalf("the link is %s", l.Address)
	}
	x.tokens[name], x.tokens[name+"'s friend"] = secret+" visit-of-one-0123456789", secret+" visit-of-two-0123456789"
	return l
}

func (x *rig) code(a answer) string {
	var p struct{ Code, Detail, Advice string }
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Detail == "" || p.Advice == "" {
		x.t.Errorf("%d: no problem details: %s", a.code, a.body)
	}
	return p.Code
}

func TestByLink(t *testing.T) {
	each(t, upload.Limits{File: 10_000, Bytes: 10_000, Uploads: 1}, func(t *testing.T, x *rig) {
		l := x.link("out", link.Wish{Label: "Ward seven of Larkspur", For: "imogen.rowan@example.org"})
		var told struct {
			ID, Collection, Inviter string
			LeftBytes               int64 `json:"left_bytes"`
		}
		a := x.do("out", "GET", "/upload/links/mine", nil, nil)
		if err := json.Unmarshal([]byte(a.body), &told); err != nil || a.code != 200 || told.ID != l.ID || told.Collection != "Kept" || told.LeftBytes != 100e9 {
			t.Fatalf("%d %s", a.code, a.body)
		}
		if strings.Contains(a.body, "Larkspur") || strings.Contains(a.body, "imogen") {
			t.Errorf("who holds the link reads %s", a.body)
		}
		// Larger than people with accounts may send, and several at a time: the link's quota is the bound.
		one, two := file(t, 1), file(t, 2)
		b := x.batch("out")
		first, second := x.create("out", b, 1, one), x.create("out", b, 2, two)
		half := int64(len(one) / 2)
		if a := x.patch("out", first, 0, bytes.NewReader(one[:half])); a.code != 204 || a.offset() != half {
			t.Fatalf("%d %s", a.code, a.body)
		}
		x.again()
		if a := x.do("out", "HEAD", first, nil, nil); a.offset() != half {
			t.Errorf("%d bytes after a restart", a.offset())
		} else if when, err := http.ParseTime(a.header.Get("Upload-Expires")); err != nil || time.Until(when) < 6*24*time.Hour {
			t.Errorf("waited for until %v", when)
		}
		// Another who holds the same link sees and touches nothing of it; nor does anybody else.
		x.link("else", link.Wish{})
		for _, who := range []string{"out's friend", "else", "ann", "ben", ""} {
			want := 404
			if who == "" {
				want = 401
			}
			for _, r := range [][2]string{{"GET", "/upload/batches/" + b}, {"POST", "/upload/batches/" + b + "/end"}, {"HEAD", first}, {"DELETE", first}} {
				if a := x.do(who, r[0], r[1], nil, nil); a.code != want {
					t.Errorf("%q: %s %s: %d %s", who, r[0], r[1], a.code, a.body)
				}
			}
			if a := x.patch(who, first, half, bytes.NewReader(one[half:])); a.code != want {
				t.Errorf("%q goes on with it: %d", who, a.code)
			}
		}
		if a := x.patch("out", first, half, bytes.NewReader(one[half:])); a.code != 204 || a.header.Get("Vitrine-Outcome") != "kept" {
			t.Fatalf("%d %s", a.code, a.body)
		}
		if a := x.patch("out", second, 0, bytes.NewReader(two)); a.code != 204 || a.header.Get("Vitrine-Outcome") != "kept" {
			t.Fatalf("%d %s", a.code, a.body)
		}
		if l := x.list("out", b); len(l.Files) != 2 || l.Files[0].Fate != "kept" {
			t.Errorf("%+v", l)
		}
		x.wantStored(one, two)
		id, err := catalogue.ParseDepositID(b)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := x.n.Stores.Catalogue.Deposit(t.Context(), id); err != nil || d.Actor != l.ID || d.Collection != kept {
			t.Errorf("%+v %v", d, err)
		}
		// Into its own collection, and by no other door.
		if a := x.do("out", "POST", "/upload/batches", headers{"Content-Type": "application/json"}, strings.NewReader(`{"collection":"other"}`)); a.code != 404 {
			t.Errorf("into another collection: %d %s", a.code, a.body)
		}
		for _, r := range [][2]string{{"POST", "/collections/kept/dicomweb/studies"}, {"GET", "/collections/kept/dicomweb/studies"}, {"GET", "/api/deposits?collection=kept"}, {"GET", "/api/directory"}, {"GET", "/api/deposits/" + b + "/report"},
			{"GET", "/api/collections/kept/links"}, {"GET", "/deposits/" + b + "/events"}} {
			if a := x.do("out", r[0], r[1], headers{"Content-Type": `multipart/related; type="application/dicom"; boundary=x`, "Accept": "application/dicom+json"}, strings.NewReader("")); a.code != 401 && a.code != 404 {
				t.Errorf("%v by a link: %d %.200s", r, a.code, a.body)
			}
			secret, _, _ := strings.Cut(x.tokens["out"], " ")
			x.tokens["as token"] = secret
			if a := x.do("as token", r[0], r[1], headers{"Accept": "application/dicom+json"}, nil); a.code != 401 {
				t.Errorf("%v with the link as a token: %d %.200s", r, a.code, a.body)
			}
		}
		// Used, and by whom, the steward sees; the log says nothing of whom it is for.
		all, err := x.n.Links.List(t.Context(), steward, kept)
		if err != nil || len(all) != 2 {
			t.Fatalf("%v %v", all, err)
		}
		mine := all[1]
		if mine.ID != l.ID {
			mine = all[0]
		}
		if mine.Used.Uploads != 2 || mine.Used.Bytes != int64(len(one)+len(two)) || mine.LastUsed.IsZero() || mine.Label != "Ward seven of Larkspur" || mine.For != "imogen.rowan@example.org" || mine.State != link.StateOpen {
			t.Errorf("%+v", mine)
		}
		manager := admin.Caller{Actor: "person-6", Grants: []policy.Grant{{Role: policy.Admin, Collection: kept}}}
		if all, err := x.n.Links.List(t.Context(), manager, kept); err != nil || len(all) != 2 || all[0].For+all[1].For+all[0].Label+all[1].Label != "" {
			t.Errorf("an administrator reads %+v, %v", all, err)
		}
		for _, g := range []policy.Grant{{Role: policy.Depositor, Collection: kept}, {Role: policy.Steward, Collection: other}, {Role: policy.LinkHolder, Collection: kept}} {
			no := admin.Caller{Actor: "person-7", Grants: []policy.Grant{g}}
			if _, err := x.n.Links.List(t.Context(), no, kept); !fault.Is(err, fault.Denied) {
				t.Errorf("%v lists links: %v", g, err)
			}
			if _, err := x.n.Links.Make(t.Context(), no, "", kept, link.Wish{}); !fault.Is(err, fault.Denied) {
				t.Errorf("%v makes a link: %v", g, err)
			}
			if err := x.n.Links.Revoke(t.Context(), no, kept, l.ID); !fault.Is(err, fault.Denied) {
				t.Errorf("%v ends a link: %v", g, err)
			}
		}
		entries, err := x.n.Stores.Audit.Entries(t.Context(), audit.Filter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		made, sent := false, false
		for _, e := range entries {
			text := fmt.Sprint(e)
			made = made || e.Action == "make link for somebody outside" && e.Object == l.ID && e.Actor == steward.Actor
			sent = sent || e.Actor == l.ID
			for _, no := range []string{"Larkspur", "imogen", "vitrine-link_"} {
				if strings.Contains(text, no) {
					t.Errorf("the audit log says %s", text)
				}
			}
		}
		if !made || !sent {
			t.Errorf("the audit log: made %v, sent by the link %v", made, sent)
		}
		x.stop()
		if x.cfg.Database == "" {
			betrays(t, x.cfg.Data, "Larkspur", "imogen", strings.TrimPrefix(strings.Fields(x.tokens["out"])[0], "vitrine-link_"))
		}
	})
}

// betrays looks for words in every file of a folder.
func betrays(t *testing.T, dir string, words ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for i, w := range words {
			if bytes.Contains(b, []byte(w)) {
				t.Errorf("%s holds word %d in clear", filepath.Base(path), i)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Of many who announce files at the same moment, no more pass than the quota has room for; what is taken back makes room again, what has come does not.
func TestLinkQuota(t *testing.T) {
	each(t, upload.Limits{}, func(t *testing.T, x *rig) {
		f := file(t, 1)
		size := int64(len(f))
		announce := func(who, b string, ordinal int, n int64) answer {
			return x.do(who, "POST", "/upload", headers{"Upload-Length": strconv.FormatInt(n, 10), "Upload-Metadata": meta("batch", b, "ordinal", strconv.Itoa(ordinal))}, nil)
		}
		for what, w := range map[string]link.Wish{"files": {Files: 5}, "bytes": {Bytes: 5*size + 100}} {
			x.link(what, w)
			mine, other := x.batch(what), x.batch(what+"'s friend")
			var mu sync.Mutex
			var passed []string
			var wg sync.WaitGroup
			for i := range 24 {
				wg.Go(func() {
					who, b := what, mine
					if i%2 == 1 {
						who, b = what+"'s friend", other
					}
					a := announce(who, b, i+1, size)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case a.code == 201 && who == what:
						passed = append(passed, a.header.Get("Location"))
					case a.code == 201:
						passed = append(passed, "")
					case a.code != 413 || x.code(a) != "link-full":
						t.Errorf("%d %s", a.code, a.body)
					}
				})
			}
			wg.Wait()
			if len(passed) != 5 {
				t.Fatalf("%s: %d files passed, want 5", what, len(passed))
			}
			own := ""
			for _, at := range passed {
				if at != "" {
					own = at
				}
			}
			if own == "" {
				continue // all five were the other's
			}
			if a := x.do(what, "DELETE", own, nil, nil); a.code != 204 {
				t.Fatalf("%d %s", a.code, a.body)
			}
			a := announce(what, mine, 100, size)
			if a.code != 201 {
				t.Fatalf("after one was taken back: %d %s", a.code, a.body)
			}
			// The same ordinal again takes the place of what was announced, and of its room.
			if a = announce(what, mine, 100, size); a.code != 201 {
				t.Fatalf("the same once more: %d %s", a.code, a.body)
			}
			if a := x.patch(what, a.header.Get("Location"), 0, bytes.NewReader(f)); a.code != 204 || a.header.Get("Vitrine-Outcome") != "kept" && a.header.Get("Vitrine-Outcome") != "duplicate" {
				t.Fatalf("%d %s", a.code, a.body)
			}
			if a := announce(what, mine, 101, size); a.code != 413 {
				t.Errorf("over the quota after one has come: %d", a.code)
			}
			if what == "files" {
				if a := x.do(what, "POST", "/upload/batches", headers{"Content-Type": "application/json"}, strings.NewReader(`{}`)); a.code != 413 || x.code(a) != "link-full" {
					t.Errorf("another batch of a link that is used up: %d %s", a.code, a.body)
				}
			}
		}
	})
}

// An end is felt by the next request, and by one that is on its way; what had come whole stays. An answer says which end it was.
func TestLinkEnds(t *testing.T) {
	each(t, upload.Limits{}, func(t *testing.T, x *rig) {
		f := file(t, 1)
		l := x.link("out", link.Wish{})
		b := x.batch("out")
		whole, half, moving := x.create("out", b, 1, f), x.create("out", b, 2, f), x.create("out", b, 3, make([]byte, 1<<30))
		if a := x.patch("out", whole, 0, bytes.NewReader(f)); a.code != 204 {
			t.Fatalf("%d %s", a.code, a.body)
		}
		if a := x.patch("out", half, 0, bytes.NewReader(f[:100])); a.code != 204 {
			t.Fatalf("%d %s", a.code, a.body)
		}
		r, w := io.Pipe()
		ended := make(chan answer, 1)
		go func() {
			a, err := x.try("out", "PATCH", moving, headers{"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}, r)
			if err != nil {
				a.code = -1
			}
			_ = r.Close()
			ended <- a
		}()
		if _, err := w.Write(make([]byte, 300_000)); err != nil {
			t.Fatal(err)
		}
		until(t, "the node takes its bytes", func() bool {
			fi, err := os.Stat(filepath.Join(x.cfg.Data, "spool", strings.TrimPrefix(moving, "/upload/")))
			return err == nil && fi.Size() > 200_000
		})
		if err := x.n.Links.Revoke(t.Context(), steward, kept, l.ID); err != nil {
			t.Fatal(err)
		}
		if err := x.n.Links.Revoke(t.Context(), steward, kept, l.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("ended twice: %v", err)
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.After(20 * time.Second); ; {
			if _, err := w.Write(make([]byte, 10_000)); err != nil {
				break
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatal("a request that is on its way goes on after the link's end")
			}
		}
		if a := <-ended; a.code != 410 && a.code != -1 {
			t.Errorf("%d %s", a.code, a.body)
		}
		for _, a := range []answer{x.patch("out", half, 100, bytes.NewReader(f[100:])), x.do("out", "GET", "/upload/links/mine", nil, nil), x.do("out", "GET", "/upload/batches/"+b, nil, nil),
			x.do("out", "POST", "/upload/batches", headers{"Content-Type": "application/json"}, strings.NewReader(`{}`))} {
			if a.code != 410 || x.code(a) != "link-ended" {
				t.Errorf("%d %s", a.code, a.body)
			}
		}
		if a := x.do("out", "HEAD", half, nil, nil); a.code != 410 {
			t.Errorf("%d", a.code)
		}
		x.wantStored(f)
		// What was whole and not handed over when the link ended is not handed over any more.
		l = x.link("late", link.Wish{})
		b = x.batch("late")
		at := x.create("late", b, 1, f)
		x.write(func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE upload_link SET expires = ? WHERE id = ?`, db.Micros(time.Now().Add(-time.Hour)), l.ID)
			return err
		})
		if a := x.patch("late", at, 0, bytes.NewReader(f)); a.code != 410 || x.code(a) != "link-expired" || !strings.Contains(a.body, time.Now().Add(-time.Hour).UTC().Format("2 January 2006")) {
			t.Errorf("%d %s", a.code, a.body)
		}
	})
}

// What is no link is refused in one voice, and whoever goes on trying waits: with a right one too.
func TestLinkGuessed(t *testing.T) {
	each(t, upload.Limits{}, func(t *testing.T, x *rig) {
		x.link("out", link.Wish{})
		right, visit, _ := strings.Cut(x.tokens["out"], " ")
		try := func(secret string) answer {
			return x.do("", "GET", "/upload/links/mine", headers{"Vitrine-Link": secret, "Vitrine-Visit": visit}, nil)
		}
		for _, wrong := range []string{right[:len(right)-1], right + "A", strings.ToLower(right), "vitrine-link_", x.tokens["ann"]} {
			if a := try(wrong); a.code != 404 || x.code(a) != "link-unknown" || strings.Contains(a.body, wrong) {
				t.Errorf("%d %s", a.code, a.body)
			}
		}
		a := try(right)
		if n, err := strconv.Atoi(a.header.Get("Retry-After")); a.code != 429 || x.code(a) != "link-wait" || err != nil || n < 1 {
			t.Errorf("after five failures: %d %v %s", a.code, a.header, a.body)
		}
		if a := x.do("ann", "GET", "/upload/batches/1", nil, nil); a.code != 404 {
			t.Errorf("who has a token waits too: %d", a.code)
		}
	})
}

func TestLinkWishes(t *testing.T) {
	x := start(t, "", upload.Limits{})
	for _, w := range []link.Wish{{Lasts: 91 * 24 * time.Hour}, {Lasts: -1}, {Bytes: -1}, {Files: -5}, {Files: 2_000_000}, {For: "nobody"}, {For: "a@b.org, c@d.org"}, {For: "a@b.org\r\nBcc: c@d.org"}, {For: "Imogen <a@b.org>"},
		{Label: "two\nlines"}, {Label: strings.Repeat("x", 300)}, {Mail: true}, {Mail: true, For: "a@b.org"}} {
		if l, err := x.n.Links.Make(t.Context(), steward, "", kept, w); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v %v", w, l.ID, err)
		}
	}
	x.link("out", link.Wish{})
	for _, visit := range []string{"", "short", strings.Repeat("x", 200), "with spaces in it, and more"} {
		x.tokens["odd"] = strings.Fields(x.tokens["out"])[0] + " " + visit
		if a := x.do("odd", "GET", "/upload/links/mine", nil, nil); a.code != 400 {
			t.Errorf("visit %q: %d", visit, a.code)
		}
	}
}
