package portal_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// A steward is told when what happened, by whom, and who looked; a researcher in which order and after which time, and no clock time from which the shift of dates could be told.
func TestCustody(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		v := visit(t, base)
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		var path, page string
		for path, page = range v.studies() {
			if strings.Contains(page, "<dd>MG</dd>") {
				break
			}
		}
		clock := regexp.MustCompile(`<time datetime="` + time.Now().UTC().Format("2006"))
		custody := func(page string) string {
			t.Helper()
			_, rest, ok := strings.Cut(page, `class="panel custody"`)
			if !ok {
				t.Fatal("the page tells no custody")
			}
			part, _, _ := strings.Cut(rest, "</section>")
			return part
		}
		told := custody(page)
		for _, want := range []string{"Received", "by STOW-RS", "the deposit</a>", "by the profile research 2", "Admitted", "audit entry"} {
			if !strings.Contains(told, want) {
				t.Errorf("a steward is not told %q: %s", want, told)
			}
		}
		if !clock.MatchString(told) || strings.Contains(told, "Published") {
			t.Errorf("before publication: %s", told)
		}
		study := path[strings.LastIndex(path, "/")+1:]
		v.do("POST", "/collections/default/publish", url.Values{"study": {study}})
		secret, err := identity.NewSecret()
		if err != nil {
			t.Fatal(err)
		}
		err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
			_, err := n.Stores.Identity.CreateToken(tx, secret, identity.Token{Name: "reader", Role: policy.Researcher, Collection: "default"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		_, page, _ = v.do("GET", path, nil)
		told = custody(page)
		for _, want := range []string{"Published", "by a steward", "Who looked at it", "read metadata"} {
			if !strings.Contains(told, want) {
				t.Errorf("a steward is not told %q: %s", want, told)
			}
		}
		code, page, _ := visit(t, base).do("GET", path, nil, "Authorization", "Bearer "+secret.Reveal())
		if code != 200 {
			t.Fatalf("a researcher: %d", code)
		}
		told = custody(page)
		for _, want := range []string{"Received", "first", "Cleaned", "Admitted", "Published", "by a steward"} {
			if !strings.Contains(told, want) {
				t.Errorf("a researcher is not told %q: %s", want, told)
			}
		}
		for _, mark := range []string{"<time", "Who looked", "account-", "deposits/", "audit entry", time.Now().UTC().Format("2006-01")} {
			if strings.Contains(told, mark) {
				t.Errorf("a researcher is told %q: %s", mark, told)
			}
		}
		entries, err := n.Stores.Audit.Entries(t.Context(), audit.Filter{Collection: "default", Limit: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		read := 0
		for _, e := range entries {
			if e.Action == policy.ReadAudit.String() && strings.HasPrefix(e.Object, "views of study ") {
				read++
				if strings.HasPrefix(e.Actor, "token-") {
					t.Error("a researcher read the audit log")
				}
			}
		}
		if read == 0 {
			t.Error("that the views were read is not in the log")
		}
	})
}
