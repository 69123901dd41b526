package portal_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

var operator = admin.Caller{Actor: "operator", Grants: []policy.Grant{{Role: policy.Operator, Collection: "*"}}}

// north is a complete entry of the collection that a test's node has.
func north() directory.Entry {
	e := directorytest.Full().Entry
	e.Holding, e.Collection, e.Declared, e.Title = directory.Here, "default", nil, "Mammograms of the north"
	return e
}

func register(t *testing.T, n *node.Node, id directory.ID, e directory.Entry, publish bool) {
	t.Helper()
	rev, err := n.Directory.Save(t.Context(), operator, id, e, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	if publish {
		if err := n.Directory.Publish(t.Context(), operator, id, rev); err != nil {
			t.Fatal(err)
		}
	}
}

// token is a caller of a role, as its bearer header.
func token(t *testing.T, n *node.Node, role policy.Role, c string) []string {
	t.Helper()
	s, err := identity.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
		_, err := n.Stores.Identity.CreateToken(tx, s, identity.Token{Name: role.String(), Role: role, Collection: c})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return []string{"Authorization", "Bearer " + s.Reveal()}
}

var dataBlock = regexp.MustCompile(`(?s)<script type="application/ld\+json">(.*?)</script>`)

// What is published is seen by everybody, with nothing of what is not; what is not published is not there.
func TestPublicPage(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, _ string) {
		nasty := north()
		nasty.Title = `Mammograms </script><script>alert("x")</script> & 'more'`
		register(t, n, "north", nasty, true)
		later := nasty
		later.Title = "Not to be seen yet"
		if _, err := n.Directory.Save(t.Context(), operator, "north", later, 1, "a private note"); err != nil {
			t.Fatal(err)
		}
		away := directorytest.Full().Entry
		away.Declared = &directory.Declared{People: 1237, Studies: 7, AsOf: "2026-01-01"}
		register(t, n, "away", away, true)
		hidden := directorytest.Minimal()
		register(t, n, "hidden", hidden, false)
		v := visit(t, base)
		for _, id := range []string{"hidden", "nowhere", "No-Id", "north%2f..%2f"} {
			if code, _, _ := v.do("GET", "/directory/"+id, nil); code != 404 {
				t.Errorf("%s: %d", id, code)
			}
			for _, file := range []string{"hdruk.json", "entry.csv", "picture", "montage/1"} {
				if code, _, _ := v.do("GET", "/directory/"+id+"/"+file, nil); code != 404 {
					t.Errorf("%s/%s: %d", id, file, code)
				}
			}
		}
		code, body, _ := v.do("GET", "/directory/north", nil)
		if code != 200 || strings.Contains(body, "<script>alert") || strings.Contains(body, "Not to be seen") || strings.Contains(body, "private note") || strings.Contains(body, "operator") {
			t.Fatalf("%d %.300s", code, body)
		}
		if strings.Contains(body, "noindex") || !strings.Contains(body, "/ask?about=") || strings.Contains(body, "/directory/north/edit") || strings.Contains(body, `href="/collections/`) {
			t.Error("the page for everybody is another's")
		}
		blocks := dataBlock.FindAllStringSubmatch(body, -1)
		if len(blocks) != 2 {
			t.Fatalf("%d data blocks", len(blocks))
		}
		for i, m := range blocks {
			var doc map[string]any
			if err := json.Unmarshal([]byte(m[1]), &doc); err != nil || doc["@type"] != []string{"Dataset", "dcat:Dataset"}[i] || doc["@id"] != base+"/directory/north" {
				t.Errorf("%v %.300s", err, m[1])
			}
		}
		_, body, _ = v.do("GET", "/directory/away", nil)
		if !strings.Contains(body, "1,240") || strings.Contains(body, "1237") || strings.Contains(body, "1,237") || !strings.Contains(body, "0–9") {
			t.Error("declared numbers are not told as ours are")
		}
		for file, media := range map[string]string{"hdruk.json": "application/json", "cruk.json": "application/json", "miabis.json": "application/json", "dcat.jsonld": "application/ld+json",
			"schema.jsonld": "application/ld+json", "entry.csv": "text/csv; charset=utf-8"} {
			r, err := http.Get(base + "/directory/away/" + file)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(r.Body)
			r.Body.Close()
			if r.StatusCode != 200 || r.Header.Get("Content-Type") != media || strings.Contains(string(b), "1237") || len(b) < 200 {
				t.Errorf("%s: %d %s, %d bytes", file, r.StatusCode, r.Header.Get("Content-Type"), len(b))
			}
			if strings.HasSuffix(file, "json") && !json.Valid(b) {
				t.Errorf("%s is no JSON", file)
			}
		}
		if err := n.Directory.Retire(t.Context(), operator, "away"); err != nil {
			t.Fatal(err)
		}
		if code, _, _ := v.do("GET", "/directory/away/dcat.jsonld", nil); code != 404 {
			t.Errorf("retired, and given: %d", code)
		}
	})
}

// A picture is seen by everybody once a steward has picked it, and by nobody from the moment on at which its instance is not released any more.
func TestPickedPictures(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		v, stranger := visit(t, base), visit(t, base)
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		register(t, n, "north", north(), true)
		var of catalogue.Located
		all, err := n.Stores.Catalogue.All(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range all {
			if l.Rows > 0 && l.State == policy.Admitted {
				of = l
			}
		}
		form := url.Values{"study": {string(of.Study)}, "series": {string(of.Series)}, "instance": {string(of.SOP)}, "frame": {"1"}, "modality": {"MG"}, "view": {"mlo"}, "looked": {"yes"}}
		const pictures = "/collections/default/pictures"
		if code, _, _ := v.do("POST", pictures, form); code != 404 {
			t.Errorf("a picture of what is not released is picked: %d", code)
		}
		v.do("POST", "/collections/default/publish", url.Values{})
		study := "/collections/default/studies/" + url.PathEscape(string(of.Study)) + "?series=" + url.QueryEscape(string(of.Series))
		if _, body, _ := v.do("GET", study, nil); !strings.Contains(body, `action="`+pictures+`"`) {
			t.Error("the study's page does not offer it")
		}
		for _, role := range []policy.Role{policy.Researcher, policy.Custodian, policy.Physicist, policy.Admin} {
			if code, body, _ := stranger.do("POST", pictures, form, token(t, n, role, "default")...); code != 403 {
				t.Errorf("%v picks: %d %.200s", role, code, body)
			}
		}
		unseen := url.Values{}
		for k, x := range form {
			if k != "looked" {
				unseen[k] = x
			}
		}
		if code, _, _ := v.do("POST", pictures, unseen); code != 400 {
			t.Errorf("picked without looking: %d", code)
		}
		if code, body, at := v.do("POST", pictures, form); code != 200 || at != pictures || !strings.Contains(body, "Mammogram, mediolateral oblique view") {
			t.Fatalf("%d at %s", code, at)
		}
		get := func(path string) (int, http.Header) {
			t.Helper()
			r, err := http.Get(base + path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			_, _ = io.Copy(io.Discard, r.Body)
			return r.StatusCode, r.Header
		}
		for _, path := range []string{"/directory/north/montage/1", "/directory/north/picture"} {
			if code, h := get(path); code != 200 || h.Get("Content-Type") != "image/jpeg" || h.Get("Cache-Control") != "private, no-store" {
				t.Errorf("%s: %d %v", path, code, h)
			}
		}
		for _, path := range []string{"/directory/north/montage/2", "/directory/north/montage/x", "/directory/north/montage/-1"} {
			if code, _ := get(path); code != 404 {
				t.Errorf("%s: %d", path, code)
			}
		}
		if _, body, _ := stranger.do("GET", "/directory/north", nil); !strings.Contains(body, "/directory/north/montage/1") {
			t.Error("the page shows no picture")
		}
		s, err := n.Directory.Entries.Seen(t.Context(), "north")
		if err != nil {
			t.Fatal(err)
		}
		if has, err := n.Directory.Pictured(t.Context(), &s); err != nil || !has["north"] {
			t.Error(has, err)
		}
		if err := n.Directory.Retire(t.Context(), operator, "north"); err != nil {
			t.Fatal(err)
		}
		if code, _ := get("/directory/north/montage/1"); code != 404 {
			t.Errorf("of an entry that is retired: %d", code)
		}
		if err := n.Directory.Publish(t.Context(), operator, "north", 1); err != nil {
			t.Fatal(err)
		}
		if code, _ := get("/directory/north/montage/1"); code != 200 {
			t.Errorf("of an entry that is published again: %d", code)
		}
		err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
			_, err := n.Stores.Catalogue.Withdraw(tx, collection.Default, of.Subject)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/directory/north/montage/1", "/directory/north/picture"} {
			if code, _ := get(path); code != 404 {
				t.Errorf("withdrawn, and shown: %s: %d", path, code)
			}
		}
		if _, body, _ := stranger.do("GET", "/directory/north", nil); strings.Contains(body, "/montage/") {
			t.Error("the page still shows a picture that is withdrawn")
		}
		if _, body, _ := v.do("GET", pictures, nil); !strings.Contains(body, "Not released any more") {
			t.Error("the steward does not see that it is gone")
		}
		for i, do := range []string{"earlier", "describe", "remove"} {
			if code, _, _ := v.do("POST", pictures+"/1", url.Values{"do": {do}, "view": {"detail"}}); code != 200 {
				t.Errorf("%d %s: %d", i, do, code)
			}
		}
		if code, _, _ := v.do("POST", pictures+"/1", url.Values{"do": {"remove"}}); code != 404 {
			t.Errorf("removed twice: %d", code)
		}
		entries, err := n.Stores.Audit.Size(t.Context())
		if err != nil || entries == 0 {
			t.Fatal(err)
		}
		log := fmt.Sprint(n.Stores.Desk().Entries(t.Context(), operator, "", 0, 1000))
		if !strings.Contains(log, "pick a picture for the public") || !strings.Contains(log, "arrange pictures for the public") || strings.Contains(log, string(of.SOP)) {
			t.Error("the audit log does not say who picked what")
		}
	})
}
