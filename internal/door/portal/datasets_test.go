package portal_test

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	record "github.com/vitrine-imaging/vitrine/internal/record/consent"
)

// permitAll lets everybody of a collection be in releases.
func permitAll(t *testing.T, n *node.Node) {
	t.Helper()
	if _, err := n.Consent.AddBasis(t.Context(), operator, collection.Default, record.Basis{Basis: consent.Basis{Kind: consent.Anonymised}}); err != nil {
		t.Fatal(err)
	}
}

// aboutSet is the form of a dataset that is filled in.
func aboutSet() url.Values {
	return url.Values{"id": {"north-set"}, "title": {"Scans <b>of</b> the north"}, "abstract": {"Everything that is held."}, "creators": {"Byron, Ada, 0000-0002-1825-0097\r\nUniversity of the North"}, "keywords": {"cancer, north"},
		"license": {"CC BY 4.0"}, "license-url": {"https://creativecommons.org/licenses/by/4.0/"}, "spdx": {"CC-BY-4.0"}, "train": {"60"}, "validation": {"20"}, "test": {"20"}}
}

// accepted is a freezing whose risk is accepted.
func accepted() url.Values {
	return url.Values{"accept": {"Researchers agree not to find out who anybody is"}}
}

// From the form of a dataset to the page of a version that was taken back, as who makes it, a researcher and a stranger see it.
func TestReleasesOnPages(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, _ string) {
		register(t, n, "north", askable(), true)
		stranger, imogen, maker := visit(t, base), person(t, n, base, "Imogen"), person(t, n, base, "Tomasz", policy.Grant{Role: policy.Steward, Collection: "default"})
		_, body, _ := stranger.do("GET", "/datasets", nil)
		if !strings.Contains(body, "has a published version yet") || strings.Contains(body, "/dataset\"") {
			t.Error("a stranger is told more than that there is nothing")
		}
		if code, _, _ := imogen.do("GET", "/collections/default/dataset", nil); code != 404 {
			t.Errorf("who makes no releases sees the form: %d", code)
		}
		if code, _, _ := imogen.do("POST", "/collections/default/dataset", aboutSet()); code != 404 {
			t.Errorf("who makes no releases makes a dataset: %d", code)
		}
		if _, body, _ := maker.do("GET", "/collections/default", nil); !strings.Contains(body, `href="/collections/default/dataset"`) {
			t.Error("the collection's page does not lead to the form")
		}
		const form = "/collections/default/dataset"
		for what, f := range map[string]url.Values{"shares that make 90": with(aboutSet(), "test", "10"), "no name": with(aboutSet(), "id", "No Such"), "no day": with(aboutSet(), "since", "yesterday"), "an age in words": with(aboutSet(), "age-min", "old"),
			"a diagnosis without its system": with(aboutSet(), "diagnoses", "C50")} {
			if code, body, _ := maker.do("POST", form, f); code != 422 || !strings.Contains(body, "Scans &lt;b&gt;of&lt;/b&gt; the north") || !strings.Contains(body, `role="alert"`) {
				t.Errorf("%s: %d", what, code)
			}
		}
		const home = "/datasets/north-set"
		if code, body, at := maker.do("POST", form, aboutSet()); code != 200 || at != home || strings.Contains(body, "<b>of</b>") {
			t.Fatalf("%d at %s", code, at)
		}
		if code, _, _ := maker.do("POST", form, aboutSet()); code != 409 {
			t.Errorf("made twice: %d", code)
		}
		for _, v := range []*visitor{stranger, imogen} {
			if code, _, _ := v.do("GET", home, nil); code != 404 {
				t.Errorf("a dataset without a published version is shown: %d", code)
			}
		}
		if code, _, at := maker.do("POST", home+"/edit", with(aboutSet(), "title", "Scans of the north", "since", "1990-01-01", "modalities", "")); code != 200 || at != home {
			t.Errorf("%d at %s", code, at)
		}
		_, body, _ = maker.do("GET", home, nil)
		if !strings.Contains(body, "since <") && !strings.Contains(body, "since 1990-01-01") || !strings.Contains(body, "left out") {
			t.Error("its page does not say since when, and that nobody may be in it yet")
		}
		if code, body, _ := maker.do("POST", home, accepted()); code != 409 || !strings.Contains(body, "nobody knows whether they may be in it") {
			t.Errorf("frozen though nobody is known to permit it: %d", code)
		}
		permitAll(t, n)
		if code, body, _ := maker.do("POST", home, url.Values{}); code != 409 || !strings.Contains(body, "are alike with fewer than") {
			t.Errorf("frozen though people are told apart: %d", code)
		}
		if code, _, _ := imogen.do("POST", home, accepted()); code != 404 {
			t.Errorf("who makes no releases freezes one: %d", code)
		}
		if code, body, _ := maker.do("POST", home, with(accepted(), "embargo", "soon")); code != 422 || !strings.Contains(body, "Researchers agree") {
			t.Errorf("an embargo that is no day: %d", code)
		}
		maker.frozen(home)
		const first = home + "/1.0.0"
		_, body, _ = maker.do("GET", first, nil)
		for _, want := range []string{"Exactly", "Nobody of the cohort is left out", "Researchers agree", "Publish 1.0.0", "Discard it", "<td>train</td>"} {
			if !strings.Contains(body, want) {
				t.Errorf("the draft's page lacks %q", want)
			}
		}
		for _, v := range []*visitor{stranger, imogen} {
			if code, _, _ := v.do("GET", first, nil); code != 404 {
				t.Errorf("a draft is shown: %d", code)
			}
			if code, body, at := v.do("POST", first, url.Values{"do": {"publish"}}); code == 200 && at == first {
				t.Errorf("a draft is published by another: %.100s", body)
			}
		}
		// Discarded and made again, it is the same version.
		if code, _, at := maker.do("POST", first, url.Values{"do": {"discard"}}); code != 200 || at != home {
			t.Errorf("%d at %s", code, at)
		}
		if code, _, _ := maker.do("GET", first, nil); code != 404 {
			t.Errorf("a discarded draft is there: %d", code)
		}
		maker.frozen(home)
		if code, _, at := maker.do("POST", first, url.Values{"do": {"publish"}}); code != 200 || at != first {
			t.Fatalf("%d at %s", code, at)
		}
		if code, _, _ := maker.do("POST", first, url.Values{"do": {"discard"}}); code != 409 {
			t.Errorf("what is published is discarded: %d", code)
		}
		if code, body, _ := maker.do("POST", home+"/edit", with(aboutSet(), "train", "10")); code != 200 || !strings.Contains(body, "60 % train") {
			t.Errorf("shares of parts that were used are changed: %d", code)
		}
		_, body, _ = stranger.do("GET", first, nil)
		for _, want := range []string{"0–9", "vitrine get north-set@1.0.0", "family-names: ", `href="/directory/north/request"`, "/releases/1.0.0/croissant", "Root of the manifest"} {
			if !strings.Contains(body, want) {
				t.Errorf("the public page lacks %q", want)
			}
		}
		for _, no := range []string{`href="/api/datasets/north-set/releases/1.0.0/manifest`, "Exactly", "Take it back", "Researchers agree", "May you have it"} {
			if strings.Contains(body, no) {
				t.Errorf("the public page has %q", no)
			}
		}
		block := regexp.MustCompile(`(?s)<script type="application/ld\+json">(.*?)</script>`).FindStringSubmatch(body)
		var ld map[string]any
		if block == nil || json.Unmarshal([]byte(block[1]), &ld) != nil || ld["@type"] != "Dataset" || ld["version"] != "1.0.0" {
			t.Errorf("the page has no JSON-LD that says what it is: %v", ld)
		}
		if code, body, _ := stranger.do("GET", home+"/latest", nil); code != 200 || !strings.Contains(body, "north-set@1.0.0") {
			t.Errorf("the latest: %d", code)
		}
		for _, at := range []string{"/datasets", "/datasets?of=default", "/directory/north", home} {
			if code, body, _ := stranger.do("GET", at, nil); code != 200 || !strings.Contains(body, "1.0.0") {
				t.Errorf("%s does not lead to the version: %d", at, code)
			}
		}
		if code, _, _ := stranger.do("GET", home+"/2.0.0", nil); code != 404 {
			t.Errorf("a version that is none: %d", code)
		}
		_, body, _ = imogen.do("GET", first, nil)
		if !strings.Contains(body, "Download it: not yet") || !strings.Contains(body, `<span class="tag">R5`) {
			t.Error("who may not have it does not learn why, rule by rule")
		}
		if code, body, _ := maker.do("POST", first, url.Values{"do": {"takeback"}, "code": {"none"}, "reason": {"A mistake"}}); code != 422 || !strings.Contains(body, "A mistake") {
			t.Errorf("taken back for a reason that is none: %d", code)
		}
		if code, _, _ := imogen.do("POST", first, url.Values{"do": {"takeback"}, "code": {"error"}, "reason": {"A mistake"}}); code == 200 {
			t.Error("taken back by another")
		}
		if code, _, _ := maker.do("POST", first, url.Values{"do": {"takeback"}, "code": {"error"}, "reason": {"A mistake was <i>made</i>"}}); code != 200 {
			t.Errorf("%d", code)
		}
		code, body, _ := stranger.do("GET", first, nil)
		if code != 200 || !strings.Contains(body, "A mistake was &lt;i&gt;made&lt;/i&gt;") || !strings.Contains(body, "taken back") || strings.Contains(body, "vitrine get north-set@1.0.0") {
			t.Errorf("the page of what was taken back: %d", code)
		}
		if _, body, _ := stranger.do("GET", home, nil); strings.Contains(body, "vitrine get") {
			t.Error("the dataset's page offers what is not given")
		}
	})
}

// frozen freezes a version, and waits until it is a draft.
func (v *visitor) frozen(home string) {
	v.t.Helper()
	code, body, _ := v.do("POST", home, accepted())
	for range 600 {
		if !strings.Contains(body, "A version is being frozen") {
			break
		}
		code, body, _ = v.do("GET", home, nil)
	}
	if code != 200 || !strings.Contains(body, "Look at the draft") {
		v.t.Fatalf("not frozen: %d %.2000s", code, body)
	}
}
