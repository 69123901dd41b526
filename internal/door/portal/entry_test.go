package portal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
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

// registering fills in the form as somebody does who has ten minutes.
func registering(title string) url.Values {
	return url.Values{"id": {""}, "collection": {"default"}, "title": {title}, "abstract": {"Mammograms of people who were screened."}, "status": {"completed"}, "types": {"cohort"}, "custodian.name": {"University of Aldermoor"},
		"contact.email": {"imaging@example.org"}, "domains": {"radiology"}, "modalities": {"MG", "US"}, "conditions": {"breast cancer\nICD-10 D05 – in situ"}, "bodySites": {"76752008"}, "sexes": {"female"},
		"use.0.permission": {"HMB"}, "use.0.modifiers": {"IRB", "GS"}, "use.0.GS": {"GB; IE"}, "access.condition": {"open-to-applicants"}, "access.service": {"download"}, "access.jurisdiction": {"GB"},
		"access.controller": {"University of Aldermoor"}, "access.legalBasis": {"consent"}, "funding.0.funder": {""}, "funding.1.funder": {"A charity"}, "funding.1.number": {"X1"}}
}

// From the form to the world: what is wrong stands beside its field and nothing typed is lost; two who write at once hear of each other; what is not published is not seen.
func TestWritingAnEntry(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		v, stranger := visit(t, base), visit(t, base)
		for _, path := range []string{"/entries", "/directory/new", "/directory/import", "/directory/north/edit", "/directory/north/revisions"} {
			if _, _, at := stranger.do("GET", path, nil); at != "/signin" {
				t.Errorf("%s is shown to strangers at %s", path, at)
			}
			for _, role := range []policy.Role{policy.Researcher, policy.Depositor, policy.Physicist} {
				if code, _, _ := stranger.do("GET", path, nil, token(t, n, role, "default")...); code != 403 && code != 404 {
					t.Errorf("%s: %v sees it: %d", path, role, code)
				}
			}
		}
		for _, path := range []string{"/directory/new", "/directory/import", "/directory/import/store"} {
			if code, _, _ := stranger.do("POST", path, registering("Denied"), token(t, n, policy.Researcher, "*")...); code != 403 {
				t.Errorf("%s: a researcher writes: %d", path, code)
			}
		}
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		if code, body, _ := v.do("GET", "/directory/new?collection=default", nil); code != 200 || !strings.Contains(body, `value="MG" checked`) || !strings.Contains(body, `value="default" selected`) {
			t.Errorf("%d: it is not prefilled from the collection", code)
		}
		wrong := registering("Mammograms of the north")
		wrong.Set("contact.email", "ask <me>")
		wrong.Set("conditions", "breast cancer\nthe ague")
		wrong.Set("ageMin", "young")
		code, body, _ := v.do("POST", "/directory/new", wrong)
		for _, want := range []string{"the ague", "neither a code nor a word", "ask &lt;me&gt;", "a whole number is needed", `value="young"`, "Mammograms of the north", `value="X1"`, "GB; IE", `aria-invalid="true"`} {
			if !strings.Contains(body, want) {
				t.Errorf("%d: %q is not on the page that came back", code, want)
			}
		}
		if code != 422 {
			t.Errorf("a wrong form: %d", code)
		}
		wrong = registering("Mammograms of the north")
		wrong.Set("contact.email", "nobody")
		if code, body, _ := v.do("POST", "/directory/new", wrong); code != 422 || !strings.Contains(body, "this is not an e-mail address") {
			t.Errorf("a wrong address: %d", code)
		}
		for _, id := range []string{"No Good", "new", "import"} {
			bad := registering("Mammograms of the north")
			bad.Set("id", id)
			if code, _, _ := v.do("POST", "/directory/new", bad); code != 422 {
				t.Errorf("the id %s: %d", id, code)
			}
		}
		const edit = "/directory/mammograms-of-the-north/edit"
		if code, body, at := v.do("POST", "/directory/new", registering("Mammograms of the north")); code != 200 || at != edit {
			t.Fatalf("%d at %s: %.2000s", code, at, body)
		}
		s, err := n.Directory.Entries.Get(t.Context(), "mammograms-of-the-north")
		if err != nil || len(s.Entry.Conditions) != 2 || s.Entry.Funding[0].Number != "X1" || len(s.Entry.DataUse.Alternatives[0].Modifiers[1].Values) != 2 || s.State != directory.Draft {
			t.Fatalf("%+v %v", s.Entry, err)
		}
		if code, _, _ := stranger.do("GET", "/directory/mammograms-of-the-north", nil); code != 404 {
			t.Errorf("a draft is seen by everybody: %d", code)
		}
		if code, _, _ := v.do("POST", "/directory/new", registering("Mammograms of the north")); code != 422 {
			t.Errorf("a second entry of the same collection: %d", code)
		}
		// Two write at the same time.
		mine, theirs := registering("My title"), registering("Their title")
		mine.Set("base", "1")
		theirs.Set("base", "1")
		if code, _, _ := v.do("POST", edit, theirs); code != 200 {
			t.Fatal(code)
		}
		code, body, _ = v.do("POST", edit, mine)
		if code != 409 || !strings.Contains(body, `value="My title"`) || !strings.Contains(body, `name="base" value="2"`) || !strings.Contains(body, "Somebody saved revision 2") {
			t.Errorf("a conflict: %d", code)
		}
		mine.Set("base", "2")
		mine.Set("note", "over theirs")
		if code, _, _ := v.do("POST", edit, mine); code != 200 {
			t.Errorf("over theirs: %d", code)
		}
		if code, body, _ := v.do("GET", "/directory/mammograms-of-the-north/revisions?from=2&to=3", nil); code != 200 || !strings.Contains(body, "<del>Their title</del>") || !strings.Contains(body, "<ins>My title</ins>") || !strings.Contains(body, "over theirs") {
			t.Errorf("the comparison: %d", code)
		}
		if code, _, _ := v.do("POST", edit, url.Values{"base": {"3"}}, "Content-Type", "multipart/form-data; boundary=x"); code != 415 {
			t.Errorf("a form that would be written to disk: %d", code)
		}
		// What lacks something is saved and not published.
		lacking := registering("My title")
		lacking.Set("base", "3")
		lacking.Set("do", "publish")
		lacking.Del("sexes")
		if code, body, _ := v.do("POST", edit, lacking); code != 422 || !strings.Contains(body, "not published yet") || !strings.Contains(body, "of which sex the people are") {
			t.Errorf("published with a gap: %d", code)
		}
		whole := registering("My title")
		whole.Set("base", "4")
		whole.Set("do", "publish")
		if code, _, at := v.do("POST", edit, whole); code != 200 || at != "/directory/mammograms-of-the-north" {
			t.Errorf("published: %d at %s", code, at)
		}
		if code, body, _ := stranger.do("GET", "/directory/mammograms-of-the-north", nil); code != 200 || !strings.Contains(body, "Ireland") {
			t.Errorf("published, and not seen: %d", code)
		}
		if code, body, _ := v.do("GET", "/entries", nil); code != 200 || !strings.Contains(body, "My title") {
			t.Errorf("the list: %d", code)
		}
		if code, _, _ := stranger.do("POST", "/directory/mammograms-of-the-north/retire", url.Values{}, token(t, n, policy.Researcher, "default")...); code != 404 {
			t.Errorf("a researcher retires it: %d", code)
		}
		if code, _, at := v.do("POST", "/directory/mammograms-of-the-north/retire", url.Values{}); code != 200 || at != "/entries" {
			t.Errorf("retired: %d at %s", code, at)
		}
		if code, _, _ := stranger.do("GET", "/directory/mammograms-of-the-north", nil); code != 404 {
			t.Errorf("retired, and seen: %d", code)
		}
		if code, body, _ := v.do("GET", "/directory/words?q=bowel", nil); code != 200 || !strings.Contains(body, "ICD-10 C18") {
			t.Errorf("words: %d %.200s", code, body)
		}
	})
}

// upload sends a file as the page's form does.
func (v *visitor) upload(path, name, content, format string, header ...string) (int, string) {
	v.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	_ = m.WriteField("format", format)
	w, err := m.CreateFormFile("file", name)
	if err != nil {
		v.t.Fatal(err)
	}
	_, _ = io.WriteString(w, content)
	m.Close()
	r, err := http.NewRequestWithContext(v.t.Context(), "POST", v.base+path, &b)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	r.Header.Set("Content-Type", m.FormDataContentType())
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

var hiddenDrafts = regexp.MustCompile(`(?s)<textarea name="drafts" hidden>(.*?)</textarea>`)

// A file is looked at before anything is stored; what is hostile is refused, and what is odd is noted. Nothing of a file is left on the disk.
func TestImportingOnThePage(t *testing.T) {
	n, base, link := start(t, "")
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	v := visit(t, base)
	v.do("POST", "/signin/link", url.Values{"t": {link}})
	const page = "/directory/import"
	table := "title,abstract,modalities,conditions\nLungs of the south,Scans of lungs.,CT; ghost rays,lung cancer\n\"<script>alert(1)</script>\",x,CT,the ague\n"
	code, body := v.upload(page, "table.csv", table, "")
	if code != 200 || !strings.Contains(body, "Lungs of the south") || !strings.Contains(body, "ghost rays") || !strings.Contains(body, "the ague") || strings.Contains(body, "<script>alert") {
		t.Fatalf("%d %.500s", code, body)
	}
	if all, err := n.Directory.Entries.List(t.Context(), 0, "", 10); err != nil || len(all) != 0 {
		t.Errorf("something is stored before it was chosen: %d, %v", len(all), err)
	}
	drafts := html.UnescapeString(hiddenDrafts.FindStringSubmatch(body)[1])
	if code, body, _ := v.do("POST", page+"/store", url.Values{"drafts": {drafts}}); code != 422 || !strings.Contains(body, "No description was chosen") {
		t.Errorf("nothing chosen: %d", code)
	}
	code, body, _ = v.do("POST", page+"/store", url.Values{"drafts": {drafts}, "take": {"0"}, "id.0": {"lungs"}})
	if code != 200 || !strings.Contains(body, "/directory/lungs/edit") {
		t.Errorf("%d %.500s", code, body)
	}
	if s, err := n.Directory.Entries.Get(t.Context(), "lungs"); err != nil || s.State != directory.Draft || s.Entry.Title != "Lungs of the south" {
		t.Errorf("%+v %v", s, err)
	}
	if code, body := v.upload(page, "table.csv", "title\nLungs\n", "csv"); code != 200 || !strings.Contains(body, "This name is taken") {
		t.Errorf("a name that is taken: %d", code)
	}
	for name, content := range map[string]string{"nothing": "", "zeros": strings.Repeat("\x00", 5000), "deep.json": strings.Repeat("[", 200_000), "half.json": `{"summary": {"title": `, "long.csv": "title\n" + strings.Repeat("x", directory.MaxImport),
		"bomb.jsonld": `{"@context": ` + strings.Repeat(`[{"a":`, 30) + `1` + strings.Repeat(`}]`, 30) + `}`, "quote.csv": "title\n\"never ends"} {
		if code, body := v.upload(page, name, content, ""); code < 400 || code >= 500 {
			t.Errorf("%s: %d %.200s", name, code, body)
		}
	}
	if code, _ := v.upload(page, "x.csv", table, "", token(t, n, policy.Researcher, "*")...); code != 403 {
		t.Errorf("a researcher imports: %d", code)
	}
	if code, _, _ := v.do("POST", page+"/store", url.Values{"drafts": {`[{"id":"x","entry":{"holding":"peer"}}]`}, "take": {"0"}}); code != 200 {
		t.Errorf("what a peer would tell: %d", code)
	}
	if _, err := n.Directory.Entries.Get(t.Context(), "x"); err == nil {
		t.Error("somebody wrote what a peer tells")
	}
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}
