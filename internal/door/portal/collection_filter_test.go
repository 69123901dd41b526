package portal_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

var (
	foundStudies = regexp.MustCompile(`role="status">(\d+) stud(?:y|ies) of (\d+) subjects?`)
	ofModality   = regexp.MustCompile(`<option value="([A-Z]+)"(?: selected)?>[A-Z]+ \((\d+)\)`)
	shownSubject = regexp.MustCompile(`<p class="sm mut"><a href="/collections/default/subjects/([^"]+)"`)
	shownDate    = regexp.MustCompile(`<b>(\d{4}-\d\d-\d\d)</b><span>shifted date`)
)

// The studies of a collection are narrowed by what they are, and the counts are of what is shown. What a researcher may not see is neither shown nor counted.
func TestNarrowingStudies(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		v := visit(t, base)
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		_, invited, _ := v.do("POST", "/people", url.Values{"name": {"Imogen"}, "role": {"researcher"}, "collection": {"default"}})
		m := regexp.MustCompile(`/signin/link\?t=([\w-]+)`).FindStringSubmatch(invited)
		if m == nil {
			t.Fatal("nobody was invited")
		}
		researcher := visit(t, base)
		if code, _, _ := researcher.do("POST", "/signin/link", url.Values{"t": {m[1]}}); code != 200 {
			t.Fatal("the researcher is not let in")
		}
		// read is a page: how many studies it says that there are, and how many it shows.
		read := func(v *visitor, query string) (page string, says, shows int) {
			t.Helper()
			code, page, _ := v.do("GET", "/collections/default"+query, nil)
			if code != 200 {
				t.Fatalf("%s: %d", query, code)
			}
			if m := foundStudies.FindStringSubmatch(page); m != nil {
				says, _ = strconv.Atoi(m[1])
			}
			return page, says, strings.Count(page, `<li class="card">`)
		}
		if page, _, shows := read(researcher, ""); shows != 0 || strings.Contains(page, "Narrow") {
			t.Errorf("a researcher sees %d studies before any is published", shows)
		}
		if page, says, shows := read(researcher, "?modality=MG"); says != 0 || shows != 0 || !strings.Contains(page, ">MG (0)<") || len(ofModality.FindAllString(page, -1)) != 1 {
			t.Errorf("a researcher is told of %d mammographies that are not published", says)
		}
		page, all, shows := read(v, "")
		if all < 3 || shows != all || strings.Contains(page, "Next studies") {
			t.Fatalf("%d studies, %d shown", all, shows)
		}
		modalities := ofModality.FindAllStringSubmatch(page, -1)
		if len(modalities) < 3 {
			t.Errorf("modalities to choose from: %v", modalities)
		}
		for _, m := range modalities {
			narrowed, says, shows := read(v, "?modality="+m[1])
			if want, _ := strconv.Atoi(m[2]); says != want || shows != want || strings.Count(narrowed, `<span class="tag">`+m[1]+`</span>`) != want {
				t.Errorf("%s: the choice says %d, the page %d, and it shows %d", m[1], want, says, shows)
			}
			if len(ofModality.FindAllString(narrowed, -1)) != len(modalities) {
				t.Errorf("%s: no other modality can be chosen", m[1])
			}
		}
		who, day := shownSubject.FindStringSubmatch(page), shownDate.FindStringSubmatch(page)
		if who == nil || day == nil {
			t.Fatal("no card says its subject and date")
		}
		narrowed, says, shows := read(v, "?subject="+who[1])
		if says == 0 || says != shows || len(shownSubject.FindAllString(narrowed, -1)) != strings.Count(narrowed, `/subjects/`+who[1]+`"`) {
			t.Errorf("of one subject: %d, %d", says, shows)
		}
		same, before, after := 0, 0, 0
		for _, m := range shownDate.FindAllStringSubmatch(page, -1) {
			switch {
			case m[1] == day[1]:
				same++
			case m[1] < day[1]:
				before++
			default:
				after++
			}
		}
		for query, want := range map[string]int{"?since=" + day[1] + "&until=" + day[1]: same, "?since=" + day[1]: same + after, "?until=" + day[1]: before + same, "?state=admitted": all, "?state=released": 0,
			"?state=held": 0, "?subject=NOBODY": 0, "?modality=" + strings.ToLower(modalities[0][1]) + "&subject=NOBODY": 0} {
			if _, says, shows := read(v, query); says != want || shows != want {
				t.Errorf("%s: says %d, shows %d, want %d", query, says, shows, want)
			}
		}
		for _, wrong := range []string{"?since=yesterday", "?since=2026-02-02&until=2026-02-01", "?state=nowhere", "?modality=*a*a*a*a*a*a*a*a*a*", "?subject=%FF"} {
			if page, _, shows := read(v, wrong); shows != 0 || !strings.Contains(page, `role="alert"`) {
				t.Errorf("%s: %d shown, and nothing is said", wrong, shows)
			}
		}
		// What is published, a researcher finds, and no more.
		study := cardLinks.FindStringSubmatch(page)[1]
		v.do("POST", "/collections/default/publish", url.Values{"study": {study[strings.LastIndex(study, "/")+1:]}})
		if page, says, shows := read(researcher, ""); says != 1 || shows != 1 || strings.Contains(page, `name="state"`) {
			t.Errorf("the researcher sees %d, told of %d", shows, says)
		}
		for state, want := range map[string]int{"released": 1, "admitted": 0, "received": 0} {
			if _, says, shows := read(researcher, "?state="+state); says != want || shows != want {
				t.Errorf("the researcher finds %d %s, told of %d", shows, state, says)
			}
		}
		if _, says, _ := read(v, "?state=released"); says != 1 {
			t.Errorf("the steward finds %d published", says)
		}
		// A page further on keeps what was asked for.
		add(t, n, 50)
		narrowed, says, shows = read(v, "?modality=OT&since=2019-03-01")
		next := linkTo(narrowed, "Next studies")
		if says != 50 || shows != 48 || !strings.Contains(next, "modality=OT") || !strings.Contains(next, "since=2019-03-01") {
			t.Fatalf("50 studies: says %d, shows %d, and goes on at %q", says, shows, next)
		}
		narrowed, says, shows = read(v, strings.TrimPrefix(next, "/collections/default"))
		if says != 50 || shows != 2 || linkTo(narrowed, "Next studies") != "" || !strings.Contains(linkTo(narrowed, "First studies"), "modality=OT") {
			t.Errorf("the next page: says %d, shows %d", says, shows)
		}
	})
}

// add writes rows of studies into the catalogue, whose deposit goes on.
func add(t *testing.T, n *node.Node, count int) {
	t.Helper()
	err := n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
		dep, err := n.Stores.Catalogue.StartDeposit(tx, collection.Default, "stow", "test")
		if err != nil {
			return err
		}
		var entries []catalogue.Entry
		for i := range count {
			entries = append(entries, catalogue.Entry{Collection: collection.Default, Subject: subject.ID(1_000_000 + i), Study: catalogue.StudyUID(fmt.Sprintf("1.2.%d", i)),
				Series: catalogue.SeriesUID(fmt.Sprintf("1.3.%d", i)), SOP: catalogue.SOPUID(fmt.Sprintf("1.4.%d", i)), StudyAttributes: catalogue.StudyAttributes{PatientID: fmt.Sprint("P", i), StudyDate: "20190312"},
				SeriesAttributes: catalogue.SeriesAttributes{Modality: "OT"}, InstanceAttributes: catalogue.InstanceAttributes{SOPClass: "1.2.840.10008.5.1.4.1.1.7", TransferSyntax: "1.2.840.10008.1.2.1"},
				Ref: catalogue.Ref{Pack: catalogue.PackID{1}, Offset: int64(i+1) * 4096}, HeadSize: 1000, Digest: [32]byte{byte(i), 1}, State: policy.Received, Deposit: dep, Ordinal: int64(i + 1)})
		}
		_, err = n.Stores.Catalogue.AddBatch(tx, entries)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
