package portal_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// person is a visitor who has signed in, with a role or without.
func person(t *testing.T, n *node.Node, base, name string, grants ...policy.Grant) *visitor {
	t.Helper()
	_, link, err := n.SignIn.Invite(t.Context(), operator, name, grants, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	v := visit(t, base)
	if code, _, at := v.do("POST", "/signin/link", url.Values{"t": {link.Reveal()}}); code != 200 || at == "/signin" {
		t.Fatalf("%s cannot sign in: %d at %s", name, code, at)
	}
	return v
}

// askable is a collection of the node that may be asked for.
func askable() directory.Entry {
	e := north()
	e.Access.Condition, e.Access.Service = "open-to-applicants", "download"
	e.DataUse = directory.DataUse{Alternatives: []directory.Use{{Permission: "DS", Diseases: []vocabulary.Code{{System: vocabulary.ICD10, Value: "C50"}}}}}
	return e
}

// asking is a form that is filled in.
func asking() url.Values {
	return url.Values{"title": {"Density <b>and</b> outcome"}, "summary": {"We look whether dense breasts tell how a cancer goes on."}, "aims": {"To find out"}, "benefit": {"Better screening"}, "organisation-name": {"University of the North"}, "kind": {"academic"},
		"for": {"disease"}, "disease": {"C50"}, "country": {"GB"}, "months": {"12"}, "download": {"yes"}, "place": {"A server in Leeds"}, "members": {"Paul Okafor, 0000-0002-1825-0097"}}
}

func with(f url.Values, values ...string) url.Values {
	out := url.Values{}
	for k, v := range f {
		out[k] = v
	}
	for i := 0; i+1 < len(values); i += 2 {
		out.Set(values[i], values[i+1])
	}
	return out
}

// give sends a signed agreement as the page's form does.
func (v *visitor) give(path string, fields map[string]string, document string) (int, string) {
	v.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for k, x := range fields {
		_ = m.WriteField(k, x)
	}
	w, err := m.CreateFormFile("document", "signed.pdf")
	if err != nil {
		v.t.Fatal(err)
	}
	_, _ = io.WriteString(w, document)
	m.Close()
	r, err := http.NewRequestWithContext(v.t.Context(), "POST", v.base+path, &b)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	r.Header.Set("Content-Type", m.FormDataContentType())
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

const signed = "%PDF-1.7\nsigned\n%%EOF\n"

// From a collection's public page to the register of uses, through the pages that two people see.
func TestAskingForAccess(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		register(t, n, "north", askable(), true)
		stranger, imogen, tomasz := visit(t, base), person(t, n, base, "Imogen"), person(t, n, base, "Tomasz", policy.Grant{Role: policy.Custodian, Collection: "default"})
		_, body, _ := stranger.do("GET", "/directory/north", nil)
		if !strings.Contains(body, `href="/directory/north/request"`) || !strings.Contains(body, `href="/ask?about=/directory/north"`) || !strings.Contains(body, "too few to tell") || !strings.Contains(body, `href="/register?collection=default"`) {
			t.Error("the collection's page does not lead to the form, to a question and to the register")
		}
		if _, _, at := stranger.do("GET", "/directory/north/request", nil); at != "/signin" {
			t.Errorf("a stranger is at %s", at)
		}
		// What was said on the page of terms is in the form.
		_, body, _ = imogen.do("GET", "/directory/north/use?for=disease&disease=C50&organisation=non-profit&country=GB&training=yes", nil)
		to := regexp.MustCompile(`href="(/directory/north/request\?[^"]*)"`).FindStringSubmatch(body)
		if to == nil {
			t.Fatal("the page of terms does not lead to the form")
		}
		_, body, _ = imogen.do("GET", strings.ReplaceAll(to[1], "&amp;", "&"), nil)
		if !strings.Contains(body, `name="training" value="yes" checked`) || !strings.Contains(body, "a person has to look") {
			t.Error("what was said is lost, or not compared")
		}
		// The match is shown while it is written, and nothing is kept by that.
		code, body, _ := imogen.do("POST", "/directory/north/request", with(asking(), "do", "check", "disease", "C34"))
		if code != 200 || !strings.Contains(body, "against the terms") || !strings.Contains(body, "Density &lt;b&gt;and&lt;/b&gt; outcome") || strings.Contains(body, "<b>and</b>") {
			t.Errorf("%d", code)
		}
		if _, body, _ := imogen.do("GET", "/requests", nil); !strings.Contains(body, "You have asked for nothing yet") {
			t.Error("a check was kept")
		}
		code, body, _ = imogen.do("POST", "/directory/north/request", with(asking(), "do", "submit", "place", ""))
		if code != 422 || !strings.Contains(body, "It lacks where the data will be") || !strings.Contains(body, "To find out") {
			t.Errorf("%d %.300s", code, body)
		}
		_, _, at := imogen.do("POST", "/directory/north/request", with(asking(), "do", "save", "disease", "C34"))
		page := strings.TrimSuffix(at, "/edit")
		if !regexp.MustCompile(`^/requests/\d+$`).MatchString(page) {
			t.Fatal(at)
		}
		if code, _, _ := tomasz.do("GET", page, nil); code != 404 {
			t.Errorf("a custodian sees a draft: %d", code)
		}
		if code, _, at := imogen.do("POST", at, with(asking(), "do", "submit", "disease", "C34")); code != 200 || at != page {
			t.Errorf("%d at %s", code, at)
		}
		for _, v := range []*visitor{stranger, person(t, n, base, "Nobody")} {
			if code, body, at := v.do("GET", page, nil); code == 200 && at == page || strings.Contains(body, "Leeds") {
				t.Errorf("another sees it: %d", code)
			}
		}
		if _, body, _ := tomasz.do("GET", "/help", nil); !strings.Contains(body, `aria-label="1 waiting">1`) {
			t.Error("the navigation does not say that a request waits")
		}
		_, body, _ = tomasz.do("GET", page, nil)
		if !strings.Contains(body, "It waits for you.") || !strings.Contains(body, "A server in Leeds") || !strings.Contains(body, "Paul Okafor") || !strings.Contains(body, "nothing can be approved") || strings.Contains(body, `value="approve"`) {
			t.Error("the custodian does not see what to decide on")
		}
		until := time.Now().UTC().AddDate(0, 6, 0).Format(time.DateOnly)
		decide := url.Values{"do": {"approve"}, "item": {"1"}, "capability": {"download"}, "until": {until}, "conditions": {"Name us"}}
		if code, body, _ := tomasz.do("POST", page, decide); code != 422 || !strings.Contains(body, "nothing would be given") {
			t.Errorf("against the terms: %d", code)
		}
		if code, body, _ := tomasz.do("POST", page, url.Values{"do": {"ask"}, "item": {"1"}, "text": {"Why lungs?"}}); code != 200 || !strings.Contains(body, "has to answer") {
			t.Errorf("%d", code)
		}
		if _, body, _ := imogen.do("GET", page, nil); !strings.Contains(body, "Why lungs?") || !strings.Contains(body, page+"/edit") {
			t.Error("who asks does not see what they are asked")
		}
		if code, _, at := imogen.do("POST", page+"/edit", with(asking(), "do", "back")); code != 200 || at != page {
			t.Errorf("%d at %s", code, at)
		}
		if code, body, _ := imogen.do("POST", page, url.Values{"do": {"answer"}, "item": {"1"}, "text": {"It was a slip: breasts"}}); code != 200 || !strings.Contains(body, "fits the terms") {
			t.Errorf("%d", code)
		}
		_, body, _ = tomasz.do("GET", page, nil)
		seen := regexp.MustCompile(`name="seen" value="(\d+)"`).FindStringSubmatch(body)[1]
		decide.Set("seen", seen)
		if code, body, _ := imogen.do("POST", page, decide); code != 422 || !strings.Contains(body, "takes a grant for this collection as custodian") {
			t.Errorf("who asks decides: %d", code)
		}
		if code, _ := imogen.give(page+"/agreement", map[string]string{"organisation": "University of the South", "parties": "Nobody", "effective": "2026-01-01", "expires": until}, "%PDF-1.7\nwrong\n%%EOF\n"); code != 200 {
			t.Errorf("%d", code)
		}
		if code, _, _ := tomasz.do("POST", page, url.Values{"do": {"ask"}, "item": {"1"}, "seen": {seen}, "text": {"And where?"}}); code != 200 {
			t.Errorf("%d", code)
		}
		if code, _, _ := imogen.do("POST", page, url.Values{"do": {"answer"}, "item": {"1"}, "text": {"In Leeds"}}); code != 200 {
			t.Errorf("%d", code)
		}
		if code, body, _ := tomasz.do("POST", page, decide); code != 409 || !strings.Contains(body, "meanwhile") {
			t.Errorf("something happened since it was looked at: %d", code)
		}
		decide.Del("seen")
		if code, body, _ := tomasz.do("POST", page, decide); code != 200 || !strings.Contains(body, "The signed agreement waits to be checked") {
			t.Errorf("%d", code)
		}
		paper := map[string]string{"organisation": "University of the North", "parties": "The Provost\r\nTomasz", "effective": "2026-01-01", "expires": until, "scope": "project"}
		if code, body := imogen.give(page+"/agreement", paper, "<html>"); code != 422 || !strings.Contains(body, "no PDF") || !strings.Contains(body, "The Provost") {
			t.Errorf("a web page for a document: %d", code)
		}
		if code, _ := imogen.give(page+"/agreement", paper, signed+strings.Repeat(" ", 9<<20)); code != 400 && code != 413 {
			t.Errorf("too large a document: %d", code)
		}
		if code, body := imogen.give(page+"/agreement", paper, signed); code != 200 || !strings.Contains(body, "The custodian checks the signed agreement") {
			t.Errorf("%d", code)
		}
		_, body, _ = tomasz.do("GET", page, nil)
		wrong := regexp.MustCompile(`action="(/agreements/\d+)"`).FindStringSubmatch(body)
		if code, _, _ := tomasz.do("POST", wrong[1], url.Values{"do": {"return"}, "text": {"It names the South"}}); code != 200 {
			t.Errorf("%d", code)
		}
		_, body, _ = tomasz.do("GET", page, nil)
		agreement := regexp.MustCompile(`action="(/agreements/\d+)"`).FindStringSubmatch(body)
		if agreement == nil || !strings.Contains(body, "It binds the organisation that asks.") {
			t.Fatal("the custodian does not see the agreement")
		}
		if code, body, _ := tomasz.do("GET", agreement[1]+"/document", nil); code != 200 || body != signed {
			t.Errorf("%d", code)
		}
		if _, body, _ := stranger.do("GET", agreement[1]+"/document", nil); strings.Contains(body, "signed\n") {
			t.Error("a stranger reads the agreement")
		}
		if code, _, _ := tomasz.do("POST", agreement[1], url.Values{"do": {"execute"}, "parties": {"yes"}}); code != 422 {
			t.Errorf("executed without having looked at the dates: %d", code)
		}
		if code, body, at := tomasz.do("POST", agreement[1], url.Values{"do": {"execute"}, "parties": {"yes"}, "dates": {"yes"}}); code != 200 || at != page || !strings.Contains(body, "The data may be used.") {
			t.Errorf("%d at %s", code, at)
		}
		if _, body, _ := imogen.do("GET", page, nil); !strings.Contains(body, "accept it by name: then you may use the data") {
			t.Error("who asks is not told to accept the agreement")
		}
		if code, _, _ := tomasz.do("POST", agreement[1], url.Values{"do": {"accept"}}); code != 422 {
			t.Errorf("another accepts it: %d", code)
		}
		if code, body, at := imogen.do("POST", agreement[1], url.Values{"do": {"accept"}}); code != 200 || at != page || !strings.Contains(body, "Accepted by name: you") {
			t.Errorf("%d at %s", code, at)
		}
		if _, body, _ := imogen.do("GET", "/requests", nil); !strings.Contains(body, "What you may use") || !strings.Contains(body, "You may use the data.") {
			t.Error("who asked does not see what they may use")
		}
		_, body, _ = stranger.do("GET", "/register", nil)
		if !strings.Contains(body, "Density &lt;b&gt;and&lt;/b&gt; outcome") || !strings.Contains(body, "University of the North") || strings.Contains(body, "Imogen") || !strings.Contains(body, `href="/directory/north"`) {
			t.Error("the register does not say who uses what, or says too much")
		}
		_, body, _ = tomasz.do("GET", page, nil)
		use := regexp.MustCompile(`action="(/entitlements/\d+)"`).FindStringSubmatch(body)
		if use == nil {
			t.Fatal("the custodian cannot end the use")
		}
		if code, _, _ := tomasz.do("POST", use[1], url.Values{"do": {"suspend"}}); code != 422 {
			t.Errorf("suspended without a word: %d", code)
		}
		if code, body, _ := tomasz.do("POST", use[1], url.Values{"do": {"suspend"}, "text": {"Something is odd"}}); code != 200 || !strings.Contains(body, "suspended") {
			t.Errorf("%d", code)
		}
		if code, body, _ := imogen.do("POST", page, url.Values{"do": {"close"}, "item": {"1"}}); code != 200 || !strings.Contains(body, "The work is over.") {
			t.Errorf("%d", code)
		}
		if _, body, _ := stranger.do("GET", "/register?collection=default", nil); !strings.Contains(body, "over") {
			t.Error("the register does not say that it is over")
		}
		// A request that was not handed in goes for good.
		_, _, at = imogen.do("POST", "/directory/north/request", with(asking(), "do", "save"))
		if _, _, to := imogen.do("POST", at, url.Values{"do": {"discard"}}); to != "/requests" {
			t.Errorf("at %s", to)
		}
		if code, _, _ := imogen.do("GET", strings.TrimSuffix(at, "/edit"), nil); code != 404 {
			t.Errorf("it is still there: %d", code)
		}
		for _, s := range said(t, n) {
			if text := strings.Join([]string{s.Action, s.Object, s.Outcome}, " "); strings.Contains(text, "Density") || strings.Contains(text, "Leeds") || strings.Contains(text, "Provost") || strings.Contains(text, "odd") {
				t.Errorf("in the log: %s", text)
			}
		}
	})
}

// What is kept elsewhere is asked for by a question, and what takes no requests has no form.
func TestWhereNoFormIs(t *testing.T) {
	n, base, _ := start(t, "")
	away := askable()
	away.Holding, away.Collection = directory.Elsewhere, ""
	register(t, n, "away", away, true)
	shut := askable()
	shut.Access.Condition = "closed"
	register(t, n, "north", shut, true)
	v := person(t, n, base, "Imogen")
	if _, body, _ := v.do("GET", "/directory/away", nil); !strings.Contains(body, `href="/ask?about=/directory/away">Ask for access`) || strings.Contains(body, "/directory/away/request") {
		t.Error("what is elsewhere has a form here")
	}
	for path, want := range map[string]int{"/directory/away/request": 404, "/directory/north/request": 409, "/directory/nowhere/request": 404} {
		if code, _, _ := v.do("GET", path, nil); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
}
