package portal_test

import (
	"bytes"
	"html"
	"image"
	_ "image/jpeg"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/node"
)

var cardLinks = regexp.MustCompile(`href="(/collections/default/studies/[^"]+)"`)

// studies are the pages of all studies, by address.
func (v *visitor) studies() map[string]string {
	v.t.Helper()
	_, list, _ := v.do("GET", "/collections/default", nil)
	pages := map[string]string{}
	for _, m := range cardLinks.FindAllStringSubmatch(list, -1) {
		if pages[m[1]] != "" {
			continue
		}
		code, body, _ := v.do("GET", m[1], nil)
		if code != 200 {
			v.t.Fatalf("%s: %d", m[1], code)
		}
		pages[m[1]] = body
	}
	if len(pages) == 0 {
		v.t.Fatal("no study is listed")
	}
	return pages
}

// links finds links by their text.
func linkTo(page, text string) string {
	m := regexp.MustCompile(`<a [^>]*href="([^"]+)"[^>]*>` + regexp.QuoteMeta(text) + `</a>`).FindStringSubmatch(page)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

// A study offers the windows and the ways of looking that fit what it holds, and each of them leads to another picture or to the viewer.
func TestStudyPage(t *testing.T) {
	each(t, func(t *testing.T, _ *node.Node, base, link string) {
		v := visit(t, base)
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		picture := regexp.MustCompile(`<figure class="view1">\s*<img class="fit" src="([^"]+)"`)
		shown := func(page string) []byte {
			t.Helper()
			m := picture.FindStringSubmatch(page)
			if m == nil {
				t.Fatal("the page has no picture")
			}
			_, body, _ := v.do("GET", html.UnescapeString(m[1]), nil)
			if _, _, err := image.Decode(strings.NewReader(body)); err != nil {
				t.Fatalf("%s: %v", m[1], err)
			}
			return []byte(body)
		}
		seen := map[string]bool{}
		for path, page := range v.studies() {
			if !strings.Contains(linkTo(page, "Open in viewer"), "/viewer/viewer?StudyInstanceUIDs=") && !strings.Contains(page, `title="OHIF, with all series"`) {
				t.Errorf("%s cannot be opened in the viewer", path)
			}
			mammography, fusion := linkTo(page, "Mammography hanging"), linkTo(page, "PET fusion")
			switch {
			case strings.Contains(page, "<dd>CT, PT</dd>"):
				seen["PT"] = true
				if !strings.HasPrefix(fusion, "/viewer/tmtv?") || mammography != "" {
					t.Errorf("%s: fusion %q, mammography %q", path, fusion, mammography)
				}
				lung := linkTo(page, "Lung")
				_, other, _ := v.do("GET", lung, nil)
				if lung == "" || bytes.Equal(shown(page), shown(other)) {
					t.Errorf("%s: the window for lungs shows the same picture", path)
				}
				for _, m := range regexp.MustCompile(`<a class="ser" href="([^"]+)"`).FindAllStringSubmatch(page, -1) {
					_, series, _ := v.do("GET", html.UnescapeString(m[1]), nil)
					if !strings.Contains(series, "Positron emission tomography") {
						continue
					}
					seen["SUV"] = true
					narrow, wide := linkTo(series, "SUV 0–5"), linkTo(series, "SUV 0–20")
					_, a, _ := v.do("GET", narrow, nil)
					_, b, _ := v.do("GET", wide, nil)
					if narrow == "" || wide == "" || bytes.Equal(shown(a), shown(b)) {
						t.Errorf("%s: windows of uptake %q, %q show the same", path, narrow, wide)
					}
					if linkTo(series, "Lung") != "" {
						t.Errorf("%s: PET in Hounsfield units", path)
					}
				}
			case strings.Contains(page, "<dd>MG</dd>"):
				seen["MG"] = true
				if !strings.Contains(mammography, "hangingprotocolid=vitrine-mammography") || fusion != "" {
					t.Errorf("%s: mammography %q, fusion %q", path, mammography, fusion)
				}
			}
		}
		for _, kind := range []string{"PT", "SUV", "MG"} {
			if !seen[kind] {
				t.Errorf("no study of the kind %s was looked at", kind)
			}
		}
	})
}
