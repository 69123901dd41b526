package dicomweb_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// uids of the one instance of each state.
func uids(s policy.State) (study, series, sop string) {
	return fmt.Sprintf("1.2.3.%d", s), fmt.Sprintf("1.2.3.%d.1", s), fmt.Sprintf("1.2.3.%d.1.1", s)
}

// states fills the collection with one instance in each state that the table looks at.
func (x *rig) states() {
	x.t.Helper()
	var files [][]byte
	all := []policy.State{policy.Admitted, policy.Released, policy.Held, policy.Withdrawn}
	for _, s := range all {
		study, series, sop := uids(s)
		files = append(files, image(x.t, "P"+s.String(), study, series, sop, nil))
	}
	x.deposit(kept, files...)
	rows := map[string]catalogue.Located{}
	found, err := x.n.Stores.Catalogue.All(x.t.Context(), 0, 100)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, l := range found {
		rows[string(l.SOP)] = l
	}
	row := func(s policy.State) catalogue.Located {
		_, _, sop := uids(s)
		return rows[sop]
	}
	c := x.n.Stores.Catalogue
	x.write(func(tx *db.Tx) error {
		if _, err := c.Release(tx, kept, row(policy.Released).Study, "test"); err != nil {
			return err
		}
		if _, err := c.Hold(tx, row(policy.Held).ID, catalogue.Reason{Code: "test", Text: "held for a test"}); err != nil {
			return err
		}
		_, err := c.Withdraw(tx, kept, row(policy.Withdrawn).Subject)
		return err
	})
}

// Who gets what by which route: nothing leaks, and what one may not see looks like what is not there.
func TestWhoSeesWhat(t *testing.T) {
	routes := []struct {
		path   string
		single bool // names the instance: what is held is given to who reviews it
		search bool
	}{
		{"/studies/{study}", false, false},
		{"/studies/{study}/series/{series}", false, false},
		{"/studies/{study}/series/{series}/instances/{sop}", true, false},
		{"/studies/{study}/metadata", false, false},
		{"/studies/{study}/series/{series}/metadata", false, false},
		{"/studies/{study}/series/{series}/instances/{sop}/metadata", true, false},
		{"/studies/{study}/series/{series}/instances/{sop}/frames/1", true, false},
		{"/studies/{study}/series/{series}/instances/{sop}/bulkdata/7FE00010", true, false},
		{"/studies/{study}/series/{series}/instances/{sop}/bulkdata", true, false},
		{"/studies/{study}/series/{series}/bulkdata", false, false},
		{"/studies/{study}/pixeldata", false, false},
		{"/studies/{study}/series/{series}/instances/{sop}/pixeldata", true, false},
		{"/studies/{study}/rendered?accept=multipart/related", false, false},
		{"/studies/{study}/series/{series}/instances/{sop}/frames/1,1/rendered", true, false},
		{"/studies/{study}/series/{series}/instances/{sop}/frames/1/thumbnail", true, false},
		{"/studies/{study}/series/{series}/instances/{sop}?accept=application/dicom;transfer-syntax=1.2.840.10008.1.2.1", true, false},
		{"/studies/{study}?accept=application/zip;transfer-syntax=1.2.840.10008.1.2.1", false, false},
		{"/studies?StudyInstanceUID={study}", false, true},
		{"/studies?PatientID=P*&StudyInstanceUID={study}", false, true},
		{"/series?SeriesInstanceUID={series}", false, true},
		{"/instances?SOPInstanceUID={sop}", false, true},
		{"/studies/{study}/series", false, true},
		{"/studies/{study}/instances", false, true},
		{"/studies/{study}/series/{series}/instances", false, true},
	}
	// The table of docs/policy.md, by hand.
	sees := func(role policy.Role, s policy.State, single bool) bool {
		switch role {
		case policy.Researcher:
			return s == policy.Released
		case policy.Physicist:
			return s == policy.Released || s == policy.Admitted
		case policy.Steward:
			return s == policy.Released || s == policy.Admitted || s == policy.Held && single
		}
		return false
	}
	each(t, func(t *testing.T, x *rig) {
		x.states()
		x.write(func(tx *db.Tx) error {
			return x.n.Stores.Collections.Create(tx, collection.Collection{ID: "other", Title: "Other", Profile: "research", ProfileVersion: "1"})
		})
		asked := 0
		for role := policy.Anonymous; role <= policy.Admin; role++ {
			for _, at := range []string{kept, policy.AllCollections, "other"} {
				token := x.token(role, at)
				for _, s := range []policy.State{policy.Admitted, policy.Released, policy.Held, policy.Withdrawn, 9} { // 9: there is none
					study, series, sop := uids(s)
					fill := strings.NewReplacer("{study}", study, "{series}", series, "{sop}", sop)
					for _, r := range routes {
						for _, base := range []string{"/dicomweb", "/collections/" + kept + "/dicomweb"} {
							asked++
							a := x.get(base+fill.Replace(r.path), token, "*/*")
							what := fmt.Sprintf("%s@%s asks %s%s for %s: %d", role, at, base, r.path, s, a.code)
							visible := at != "other" && sees(role, s, r.single)
							switch {
							case role == policy.Anonymous:
								a.problem(t, http.StatusUnauthorized)
								if a.header.Get("WWW-Authenticate") == "" {
									t.Errorf("%s, without a challenge", what)
								}
							case r.search && at == "other" && strings.HasPrefix(base, "/collections"):
								a.problem(t, http.StatusNotFound)
							case r.search:
								if n := len(a.rows(t)); (n == 1) != visible {
									t.Errorf("%s, %d found", what, n)
								}
							case visible:
								if a.code != 200 || a.err != nil || len(a.body) == 0 {
									t.Errorf("%s, want 200: %.200s", what, a.body)
								}
								if a.header.Get("Cache-Control") != "private, no-store" {
									t.Errorf("%s, and may be stored", what)
								}
							default:
								a.problem(t, http.StatusNotFound)
								none := x.get(base+strings.NewReplacer("{study}", "9.9", "{series}", "9.9.9", "{sop}", "9.9.9.9").Replace(r.path), token, "*/*")
								if string(none.body) != string(a.body) {
									t.Errorf("%s, and it looks otherwise than what is not there:\n%s\n%s", what, a.body, none.body)
								}
							}
							if strings.Contains(string(a.body), "Pheld") && !visible || a.code >= 400 && strings.Contains(string(a.body), "1.2.3") {
								t.Errorf("%s, and the answer tells of it", what)
							}
						}
					}
				}
			}
		}
		t.Logf("%d requests", asked)
		entries, err := x.n.Stores.Audit.Entries(t.Context(), audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		once := map[string]int{}
		for _, e := range entries {
			once[e.Actor+e.Action+e.Object]++
			if e.Action == policy.ReadPixels.String() && !strings.HasPrefix(e.Actor, "token-") {
				t.Errorf("pixels were read by %q", e.Actor)
			}
		}
		reads := 0
		for k, n := range once {
			if strings.Contains(k, policy.ReadPixels.String()+"series ") {
				reads++
				if n > 2 { // the hour may have turned
					t.Errorf("the same decision is in the log %d times", n)
				}
			}
		}
		if reads == 0 {
			t.Error("no reading of pixels is in the log")
		}
	})
}

// What the same token may write and nobody else.
func TestWhoDeposits(t *testing.T) {
	x := start(t, "")
	for role := policy.Anonymous; role <= policy.Admin; role++ {
		file := image(t, "P", "1.2.4", "1.2.4.1", fmt.Sprintf("1.2.4.1.%d", role+1), nil)
		want := http.StatusForbidden
		switch role {
		case policy.Anonymous:
			want = http.StatusUnauthorized
		case policy.Depositor, policy.Steward:
			want = http.StatusOK
		}
		for _, path := range []string{"/collections/" + kept + "/dicomweb/studies", "/dicomweb/studies"} {
			a := x.post(path, x.token(role, kept), file)
			if a.code != want {
				t.Errorf("%s: status %d, want %d: %s", role, a.code, want, a.body)
			}
			if want >= 400 {
				a.problem(t, want)
			}
		}
		if a := x.post("/collections/default/dicomweb/studies", x.token(role, kept), file); a.code != http.StatusNotFound && role != policy.Anonymous {
			t.Errorf("%s of another collection: status %d", role, a.code)
		}
		if a := x.post("/collections/absent/dicomweb/studies", x.token(role, policy.AllCollections), file); a.code != http.StatusNotFound && want == http.StatusOK {
			t.Errorf("%s into no collection: status %d", role, a.code)
		}
	}
}

// A token that is not in force opens nothing, not even what is public.
func TestBadTokens(t *testing.T) {
	x := start(t, "")
	for _, h := range []string{"Bearer vitrine_unknown_unknown", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "nonsense", "Bearer " + strings.Repeat("x", 600)} {
		a := x.do("GET", "/dicomweb/studies", "", map[string]string{"Authorization": h}, nil)
		a.problem(t, http.StatusUnauthorized)
		if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Error("no challenge")
		}
	}
}

// What viewers ask, as they ask it.
func TestAsViewersAsk(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		var files [][]byte
		for k := range 12 {
			files = append(files, image(t, fmt.Sprintf("V%02d", k), fmt.Sprintf("1.2.5.%d", k), fmt.Sprintf("1.2.5.%d.1", k), fmt.Sprintf("1.2.5.%d.1.1", k), func(b *dicom.Builder) {
				if k%2 == 1 {
					b.String(dicom.TagModality, "SM")
				}
				b.Floats(dicom.TagPatientWeight, 70)
				b.String(dicom.TagStudyDate, fmt.Sprintf("202401%02d", k+1))
			}))
		}
		x.deposit(kept, files...)
		steward := x.token(policy.Steward, kept)
		count := func(path string) int { t.Helper(); return len(x.get(path, steward, "application/dicom+json").rows(t)) }
		for _, c := range []struct {
			path string
			n    int
		}{
			{"/dicomweb/studies?limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060", 12},
			{"/dicomweb/studies?ModalitiesInStudy=SM", 6},
			{"/dicomweb/studies?00080061=SM&limit=4", 4},
			{"/dicomweb/studies?limit=5&offset=10", 2},
			{"/dicomweb/studies?PatientName=*v0*&fuzzymatching=true&limit=101", 10},
			{"/dicomweb/studies?PatientID=V1*", 2},
			{"/dicomweb/studies?StudyDate=20240103-20240105", 3},
			{"/dicomweb/studies?StudyDate=-20240103", 3},
			{"/dicomweb/studies?StudyInstanceUID=1.2.5.1,1.2.5.2", 2},
			{`/dicomweb/studies?StudyInstanceUID=1.2.5.1%5C1.2.5.2`, 2},
			{"/dicomweb/series?Modality=SM", 6},
			{"/dicomweb/studies/1.2.5.1/series?Modality=CT", 0},
			{"/dicomweb/studies/1.2.5.1/series?includefield=all", 1},
			{"/dicomweb/instances?SOPClassUID=1.2.840.10008.5.1.4.1.1.2&limit=3", 3},
			{"/dicomweb/instances?SOPClassUID=1.2.840.10008.5.1.4.1.1.4", 0},
			{"/dicomweb/studies/1.2.5.1/instances", 1},
		} {
			if n := count(c.path); n != c.n {
				t.Errorf("%s: %d, want %d", c.path, n, c.n)
			}
		}
		// Required return attributes of PS3.18 Tables 10.6.3-3 to 10.6.3-5, by the levels of the answer.
		study := []dicom.Tag{dicom.TagStudyDate, dicom.TagStudyTime, dicom.TagAccessionNumber, dicom.TagInstanceAvailability, dicom.TagModalitiesInStudy, dicom.TagReferringPhysicianName,
			dicom.TagRetrieveURL, dicom.TagPatientName, dicom.TagPatientID, dicom.TagPatientBirthDate, dicom.TagPatientSex, dicom.TagStudyInstanceUID, dicom.TagStudyID,
			dicom.TagNumberOfStudyRelatedSeries, dicom.TagNumberOfStudyRelatedInstances, dicom.TagSpecificCharacterSet}
		series := []dicom.Tag{dicom.TagModality, dicom.TagSeriesDescription, dicom.TagSeriesInstanceUID, dicom.TagSeriesNumber, dicom.TagNumberOfSeriesRelatedInstances, dicom.TagRetrieveURL}
		instance := []dicom.Tag{dicom.TagSOPClassUID, dicom.TagSOPInstanceUID, dicom.TagInstanceAvailability, dicom.TagInstanceNumber, dicom.TagRows, dicom.TagColumns, dicom.TagBitsAllocated, dicom.TagRetrieveURL}
		for _, c := range []struct {
			path string
			want []dicom.Tag
			not  []dicom.Tag
		}{
			{"/dicomweb/studies?limit=1", study, []dicom.Tag{dicom.TagPatientWeight}},
			{"/dicomweb/studies?limit=1&includefield=PatientWeight", append(study, dicom.TagPatientWeight), nil},
			{"/dicomweb/studies?limit=1&includefield=all", append(study, dicom.TagPatientWeight), nil},
			{"/dicomweb/series?limit=1", append(series, study...), nil},
			{"/dicomweb/studies/1.2.5.1/series", append(series, dicom.TagStudyInstanceUID), []dicom.Tag{dicom.TagPatientName}},
			{"/dicomweb/studies/1.2.5.1/series?includefield=PatientName", append(series, dicom.TagPatientName), nil},
			{"/dicomweb/instances?limit=1", append(append(instance, series...), study...), nil},
			{"/dicomweb/studies/1.2.5.1/series/1.2.5.1.1/instances", append(instance, dicom.TagSeriesInstanceUID, dicom.TagStudyInstanceUID), []dicom.Tag{dicom.TagPatientName, dicom.TagModality}},
		} {
			rows := x.get(c.path, steward, "application/dicom+json").rows(t)
			for _, tag := range c.want {
				if _, ok := rows[0][tag.Hex()]; !ok {
					t.Errorf("%s: %s is missing", c.path, tag.Keyword())
				}
			}
			for _, tag := range c.not {
				if _, ok := rows[0][tag.Hex()]; ok {
					t.Errorf("%s: %s is there", c.path, tag.Keyword())
				}
			}
			at := strings.TrimPrefix(rows[0].text(dicom.TagRetrieveURL), x.url(""))
			if a := x.get(at, steward, "*/*"); a.code != 200 {
				t.Errorf("%s: its Retrieve URL answers %d", c.path, a.code)
			}
		}
		if a := x.get("/dicomweb/studies?limit=3", steward, "*/*"); len(a.header.Values("Warning")) != 1 || !strings.HasPrefix(a.header.Get("Warning"), "299 ") {
			t.Error("a page that was cut says nothing of it")
		}
		if a := x.get("/dicomweb/studies?EchoTime=3", steward, "*/*"); len(a.header.Values("Warning")) != 1 || len(a.rows(t)) != 12 {
			t.Error("an attribute that is not matched is not warned of")
		}
		x.get("/dicomweb/studies?Nonsense=3", steward, "*/*").problem(t, 400)
		x.get("/dicomweb/studies", steward, "application/dicom+xml").problem(t, 406)
		x.get("/dicomweb/nothing", steward, "*/*").problem(t, 404)
		if a := x.do("DELETE", "/dicomweb/studies", steward, nil, nil); a.header.Get("Allow") == "" {
			t.Error("no Allow")
		} else {
			a.problem(t, 405)
		}

		at := "/dicomweb/studies/1.2.5.1/series/1.2.5.1.1/instances/1.2.5.1.1.1"
		one := x.get(at, steward, "application/dicom; transfer-syntax=*")
		for _, c := range []struct {
			path, accept string
			code         int
			media        string
		}{
			{at, `multipart/related; type="application/dicom"; transfer-syntax=*`, 200, "multipart/related; type=\"application/dicom\""},
			{at, `multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2.1`, 200, "multipart/related"},
			{at, `multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90`, 406, ""},
			{at, `application/dicom`, 200, "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"},
			{at, ``, 200, "multipart/related"},
			{at, `image/png`, 406, ""},
			{at, `application/zip`, 200, "application/zip"},
			{at, `not a media type`, 400, ""},
			{at + "?accept=application%2Fdicom", `image/png`, 200, "application/dicom"},
			{"/dicomweb/studies/1.2.5.1", `application/dicom`, 406, ""},
			{"/dicomweb/studies/1.2.5.1", `application/zip`, 200, "application/zip"},
			{at + "/frames/1", `multipart/related; type="application/octet-stream"; transfer-syntax=*`, 200, "multipart/related; type=\"application/octet-stream\""},
			{at + "/frames/1", `application/octet-stream`, 200, "application/octet-stream"},
			{at + "/frames/1", `multipart/related; type="image/jpeg"`, 406, ""},
			{at + "/frames/0", `*/*`, 400, ""},
			{at + "/frames/2", `*/*`, 404, ""},
			{at + "/frames/one", `*/*`, 400, ""},
			{at + "/bulkdata/00100010", `*/*`, 404, ""},
			{at + "/bulkdata/7FE00010", `*/*`, 200, "application/octet-stream"},
			{at + "/bulkdata/7FE00010/1", `*/*`, 404, ""},
			{at + "/bulkdata/nonsense", `*/*`, 404, ""},
			{at + "/metadata", `multipart/related; type="application/dicom+json"`, 200, "application/dicom+json"},
		} {
			a := x.get(c.path, steward, c.accept)
			if a.code != c.code || !strings.HasPrefix(a.header.Get("Content-Type"), c.media) {
				t.Errorf("%s as %s: %d %q, want %d %q", c.path, c.accept, a.code, a.header.Get("Content-Type"), c.code, c.media)
			}
			if c.code >= 400 {
				a.problem(t, c.code)
			}
		}
		bodies, _ := x.get("/dicomweb/studies/1.2.5.1", steward, `multipart/related; type="application/dicom"; transfer-syntax=*`).parts(t)
		if len(bodies) != 1 || string(bodies[0]) != string(one.body) {
			t.Error("the study's part is another file than the instance")
		}
		if a := x.do("GET", at+"/bulkdata/7FE00010", steward, map[string]string{"Range": "bytes=10-15", "Accept": "application/octet-stream"}, nil); a.code != 206 || string(a.body) != "abcdef" {
			t.Errorf("a range: %d %q", a.code, a.body)
		}
		x.do("GET", at+"/bulkdata/7FE00010", steward, map[string]string{"Range": "bytes=1000-", "Accept": "application/octet-stream"}, nil).problem(t, 416)
		if a := x.do("HEAD", at, steward, map[string]string{"Accept": "application/dicom"}, nil); a.code != 200 || a.header.Get("Content-Length") != fmt.Sprint(len(one.body)) || len(a.body) != 0 {
			t.Errorf("HEAD: %d, %s bytes", a.code, a.header.Get("Content-Length"))
		}
		// A deposit into a study that is not its own is refused.
		a := x.post("/collections/"+kept+"/dicomweb/studies/1.2.3.4", x.token(policy.Depositor, kept), image(t, "V", "1.2.5.99", "1.2.5.99.1", "1.2.5.99.1.1", nil))
		if a.code != 409 || !strings.Contains(string(a.body), `"00081197":{"vr":"US","Value":[43264]}`) {
			t.Errorf("a study of another name: %d %s", a.code, a.body)
		}
	})
}
