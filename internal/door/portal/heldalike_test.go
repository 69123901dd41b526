package portal_test

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// until waits for what a node does by itself.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(30 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("not within 30 s: " + what)
		}
	}
}

// photograph makes of the images of hold what a camera made. It is held for what it may show, and not for text.
func photograph(b *dicom.Builder) {
	b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.77.1.4")
	b.String(dicom.TagModality, "XC")
	b.String(dicom.TagManufacturer, "Canon")
	b.String(dicom.TagStudyInstanceUID, "1.2.4")
	b.String(dicom.TagSeriesInstanceUID, "1.2.4.1")
}

// poolOf waits until what hold made of a class is in one pool of so many items, and gives its page.
func poolOf(t *testing.T, n *node.Node, class string, items int64) string {
	t.Helper()
	who := review.Caller{Actor: "test", Grants: []policy.Grant{{Role: policy.Steward, Collection: "*"}}}
	page := ""
	until(t, fmt.Sprintf("%d items of %s alike", items, class), func() bool {
		all, err := n.Review.Pools(t.Context(), who, collection.Default)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(p review.Pool) bool {
			return p.About.Columns == 60 && strings.Contains(p.About.Class, class) && p.Items == items
		})
		if i >= 0 {
			page = "/held/alike/default/" + all[i].Layout
		}
		return i >= 0
	})
	return page
}

func sops(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s.%d", prefix, i+1))
	}
	return all
}

func fields(pairs ...string) url.Values {
	f := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Add(pairs[i], pairs[i+1])
	}
	return f
}

func states(t *testing.T, n *node.Node, class string) (out []policy.State) {
	t.Helper()
	all, err := n.Stores.Catalogue.All(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.Columns == 60 && strings.Contains(l.SOPClass, class) {
			out = append(out, l.State)
		}
	}
	return out
}

// A steward sees what is held and alike, looks through sheets of its pictures, and decides on what was there.
func TestDecidingOnWhatIsAlike(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		hold(t, n, sops("1.2.3.1", 14)...)
		pool := poolOf(t, n, "Ultrasound", 14)
		v := watched(visit(t, base))
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		code, list, _ := v.do("GET", "/held/alike", nil)
		if code != 200 || !strings.Contains(list, `href="`+pool+`"`) || !strings.Contains(list, "<b>14</b> items") || !strings.Contains(list, "Writing in the picture") || strings.Contains(list, "Winterbourne") ||
			strings.Count(list, "<img") != strings.Count(list, `loading="lazy"`) || !strings.Contains(list, "picture?frame=1&amp;size=sheet") {
			t.Errorf("the list: %d %s", code, regexp.MustCompile(`(?s)<main.*</main>`).FindString(list))
		}
		// Two sheets show each item once.
		pictures := regexp.MustCompile(`/held/(\d+)/picture\?frame=1&amp;size=sheet`)
		shown := map[string]int{}
		for sheet, want := range []int{7, 7} {
			code, page, _ := v.do("GET", fmt.Sprintf("%s?sheet=%d", pool, sheet+1), nil)
			all := pictures.FindAllStringSubmatch(page, -1)
			if code != 200 || len(all) != want || !strings.Contains(page, fmt.Sprintf("sheet %d of 2", sheet+1)) || !strings.Contains(page, "For stewards only") || strings.Contains(page, "Winterbourne") || strings.Contains(page, "H-4471") {
				t.Errorf("sheet %d: %d, %d pictures", sheet+1, code, len(all))
			}
			for _, m := range all {
				shown[m[1]]++
			}
		}
		if len(shown) != 14 {
			t.Errorf("%d of 14 are shown", len(shown))
		}
		for _, q := range []string{"?sheet=x", "?sheet=-4", "?sheet=900"} {
			if code, _, _ := v.do("GET", pool+q, nil); code != 200 {
				t.Errorf("%s: %d", q, code)
			}
		}
		id := waiting(t, n)[0].ID.String()
		before := len(said(t, n))
		if code, body, _ := v.do("GET", "/held/"+id+"/picture?frame=1&size=sheet", nil); code != 200 || !strings.HasPrefix(body, "\x89PNG") {
			t.Errorf("a small picture: %d", code)
		}
		if after := said(t, n)[before:]; len(after) != 1 || after[0].Object != "instance "+id || after[0].Action != policy.ReadPixels.String() {
			t.Errorf("a small picture in the audit log: %+v", after)
		}
		_, page, _ := v.do("GET", pool, nil)
		upto := regexp.MustCompile(`name="upto" value="(\d+)"`).FindStringSubmatch(page)
		items := regexp.MustCompile(`href="(/held\?[^"]*alike=[^"]*)"`).FindStringSubmatch(page)
		if upto == nil || items == nil {
			t.Fatal(regexp.MustCompile(`(?s)<main.*</main>`).FindString(page))
		}
		if code, body, _ := v.do("GET", strings.ReplaceAll(items[1], "&amp;", "&"), nil); code != 200 || !strings.Contains(body, "14 items wait") {
			t.Errorf("its items: %d", code)
		}
		for name, f := range map[string]url.Values{
			"no action":             fields("scope", "these", "upto", upto[1]),
			"no such action":        fields("scope", "these", "upto", upto[1], "do", "keep"),
			"not looked":            fields("scope", "these", "upto", upto[1], "do", "accept"),
			"about nothing":         fields("upto", upto[1], "do", "refuse"),
			"up to nothing":         fields("scope", "these", "do", "refuse"),
			"unseen later":          fields("scope", "form", "do", "refuse"),
			"text passes unseen":    fields("scope", "form", "do", "accept", "seen", "1", "sure", "1"),
			"boxes of a kind":       fields("scope", "kind", "do", "accept", "seen", "1", "sure", "1", "box", "1-:0,0,5,5"),
			"no box":                fields("scope", "form", "do", "accept", "seen", "1", "sure", "1", "bx", "0", "by", "0", "bw", "5", "bh", "", "bl", ""),
			"a box outside":         fields("scope", "form", "do", "accept", "seen", "1", "sure", "1", "bx", "0", "by", "0", "bw", "61", "bh", "5", "bl", ""),
			"a name in the note":    fields("scope", "form", "do", "refuse", "sure", "1", "note", "of Winterbourne"),
			"a name, of just these": fields("scope", "these", "upto", upto[1], "do", "refuse", "note", "of Winterbourne"),
		} {
			if code, body, _ := v.do("POST", pool, f); code < 400 || code >= 500 || strings.Contains(body, "Winterbourne") {
				t.Errorf("%s: %d", name, code)
			}
		}
		if got := len(waiting(t, n)); got != 14 {
			t.Fatalf("something was decided: %d are left", got)
		}
		hold(t, n, "1.2.3.1.15") // nobody has looked at this one
		code, body, _ := v.do("POST", pool, fields("scope", "these", "upto", upto[1], "do", "refuse", "note", "taken of the wrong side"))
		if rest := waiting(t, n); code != 200 || !strings.Contains(body, "14 items refused") || len(rest) != 1 {
			t.Errorf("refusing: %d, %d are left", code, len(rest))
		}
		if _, list, _ := v.do("GET", "/collections/default/rulings", nil); !strings.Contains(list, "None was made") {
			t.Error("that made a standing decision")
		}
	})
}

// A standing decision holds for what comes, is told of where it was followed, and ends.
func TestStandingDecisionsInThePortal(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		const class = "77.1.4"
		holdLike(t, n, photograph, "1.2.4.1.1", "1.2.4.1.2")
		pool := poolOf(t, n, "Photo", 2)
		v := watched(visit(t, base))
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		code, body, at := v.do("POST", pool, fields("scope", "form", "do", "accept", "seen", "1", "sure", "1", "note", "specimens on a table"))
		if code != 200 || at != "/collections/default/rulings" || !strings.Contains(body, `id="d1"`) || !strings.Contains(body, "specimens on a table") || !strings.Contains(body, "accepted as they are") || !strings.Contains(body, "by you") {
			t.Fatalf("%d %s %s", code, at, regexp.MustCompile(`(?s)<main.*</main>`).FindString(body))
		}
		admitted := func(many int) func() bool {
			return func() bool {
				all := states(t, n, class)
				return len(all) == many && !slices.ContainsFunc(all, func(s policy.State) bool { return s != policy.Admitted })
			}
		}
		until(t, "both are admitted", admitted(2))
		holdLike(t, n, photograph, "1.2.4.1.3")
		until(t, "what came later is admitted", admitted(3))
		if _, body, _ = v.do("GET", "/collections/default/rulings", nil); !strings.Contains(body, "3 objects that can be seen") {
			t.Error(regexp.MustCompile(`(?s)<main.*</main>`).FindString(body))
		}
		// Where it was followed, a page leads to it.
		all, err := n.Stores.Catalogue.All(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(l catalogue.Located) bool { return l.Columns == 60 && strings.Contains(l.SOPClass, class) })
		if _, body, _ = v.do("GET", "/collections/default/studies/"+string(all[i].Study), nil); !strings.Contains(body, `<a href="/collections/default/rulings#d1">by standing decision 1</a>`) {
			t.Error("the study's custody does not tell of it")
		}
		if _, body, _ = v.do("GET", "/audit", nil); !strings.Contains(body, `<a href="/collections/default/rulings#d1">decision 1</a>`) ||
			!regexp.MustCompile(`<a href="/collections/default/rulings#d1">instance \d+</a>`).MatchString(body) {
			t.Error("the audit log's page does not lead to it")
		}
		for _, page := range []string{"/collections/default", "/collections/default/settings", "/held/alike"} {
			if _, body, _ = v.do("GET", page, nil); !strings.Contains(body, `href="/collections/default/rulings"`) {
				t.Errorf("%s does not lead to it", page)
			}
		}
		for name, f := range map[string]url.Values{"no number": fields("note", "x"), "none of this number": fields("end", "7"), "no number at all": fields("end", "x"), "two lines": fields("end", "1", "note", "a\nb")} {
			if code, _, _ := v.do("POST", "/collections/default/rulings", f); code < 400 || code >= 500 {
				t.Errorf("%s: %d", name, code)
			}
		}
		code, body, _ = v.do("POST", "/collections/default/rulings", fields("end", "1", "note", "one had a label"))
		if code != 200 || !strings.Contains(body, "one had a label") || strings.Contains(body, "End decision 1") {
			t.Errorf("ending: %d", code)
		}
		until(t, "all are held again", func() bool {
			all := states(t, n, class)
			return !slices.ContainsFunc(all, func(s policy.State) bool { return s != policy.Held })
		})
		if code, body, _ := v.do("GET", poolOf(t, n, "Photo", 3), nil); code != 200 || !strings.Contains(body, "A standing decision was ended") {
			t.Errorf("held again: %d", code)
		}
	})
}

// Who is no steward of a collection sees nothing of what is alike in it, nor of its standing decisions, and makes none.
func TestAlikeIsForStewards(t *testing.T) {
	n, base, _ := start(t, "")
	hold(t, n, "1.2.3.1.1")
	pool := poolOf(t, n, "Ultrasound", 1)
	for _, who := range []struct {
		role policy.Role
		of   string
	}{{policy.Researcher, "*"}, {policy.Physicist, "*"}, {policy.Depositor, "default"}, {policy.Admin, "*"}, {policy.Custodian, "default"}, {policy.Steward, "other"}, {policy.Anonymous, ""}} {
		v := visit(t, base)
		bearer := []string{}
		if who.role != policy.Anonymous {
			secret, err := identity.NewSecret()
			if err != nil {
				t.Fatal(err)
			}
			err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
				_, err := n.Stores.Identity.CreateToken(tx, secret, identity.Token{Name: "test", Role: who.role, Collection: who.of})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			bearer = []string{"Authorization", "Bearer " + secret.Reveal()}
		}
		for _, path := range []string{"/held/alike", "/held/alike?collection=default", pool, "/collections/default/rulings"} {
			code, body, at := v.do("GET", path, nil, bearer...)
			if code == 200 && at != "/signin" || strings.Contains(body, "/picture?") {
				t.Errorf("%s of %q sees %s: %d", who.role, who.of, path, code)
			}
		}
		for _, scope := range []string{"these", "form", "kind"} {
			code, _, _ := v.do("POST", pool, fields("scope", scope, "upto", "9223372036854775807", "do", "refuse", "sure", "1"), bearer...)
			if len(waiting(t, n)) != 1 || code == 200 {
				t.Fatalf("%s of %q has decided: %d", who.role, who.of, code)
			}
		}
		if code, _, _ := v.do("POST", "/collections/default/rulings", fields("end", "1"), bearer...); code == 200 {
			t.Errorf("%s of %q ends a decision", who.role, who.of)
		}
	}
	list, err := n.Stores.Rulings.List(t.Context(), collection.Default)
	if err != nil || len(list) != 0 {
		t.Errorf("decisions were made: %v %v", list, err)
	}
}
