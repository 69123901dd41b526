package catalogue

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"pgregory.net/rapid"
)

// put adds one object of a study whose attributes are given, and returns its study UID.
func (f *fixture) put(id DepositID, study int, modality string, a StudyAttributes, change ...func(*Entry)) {
	f.Helper()
	e := f.entry(id, study, 1, 1, fmt.Sprint("content", study))
	e.StudyAttributes = a
	e.SeriesAttributes.Modality = modality
	for _, fn := range change {
		fn(&e)
	}
	if o := f.add(e)[0]; o.State != received {
		f.Fatalf("%+v", o)
	}
}

func numbers(studies []*Study) string {
	var s []string
	for _, st := range studies {
		s = append(s, strings.TrimPrefix(string(st.UID), "1.2."))
	}
	sort.Strings(s)
	return strings.Join(s, " ")
}

func TestMatching(t *testing.T) {
	each(t, func(f *fixture) {
		id := f.deposit("breast")
		f.put(id, 1, "CT", StudyAttributes{PatientName: "Müller^Anna", PatientID: "VX-1", StudyDate: "20200101", StudyTime: "1030", AccessionNumber: "A1", Description: "CT Thorax 100%", Sex: "F", StudyID: "S_1"})
		f.put(id, 2, "MR", StudyAttributes{PatientName: "MULLER^ANNA^^^", PatientID: "VX-2", StudyDate: "20200102", StudyTime: "235959.999999", AccessionNumber: "A2", Description: "CT Thorax 100x", Sex: "M", StudyID: "Sx1"})
		f.put(id, 3, "PT", StudyAttributes{PatientName: "Yamada^Tarou=山田^太郎=やまだ^たろう", PatientID: "vx-1", StudyDate: "20191231", StudyTime: "000000", AccessionNumber: "A?", Description: "[ab]*", ReferringPhysicianName: "O'Brien^Séan"})
		f.put(id, 4, "SM", StudyAttributes{PatientName: "Smith-Jones^Mary Ann", PatientID: `VX\1`, StudyDate: "20200615", AccessionNumber: "A,2", Description: "'; DROP TABLE study; --"})
		f.put(id, 5, "CT", StudyAttributes{})
		for _, c := range []struct{ conditions, want string }{
			{"", "1 2 3 4 5"},
			{"StudyInstanceUID|1.2.1", "1"}, {"0020000D|1.2.1,1.2.3\\1.2.9", "1 3"}, {"0020000d|1.2.4", "4"}, {"StudyInstanceUID|1.2.*", ""},
			{"PatientID|VX-1", "1"}, {"PatientID|VX-*", "1 2"}, {"PatientID|?X-1", "1"}, {"PatientID|*-1", "1 3"}, {"PatientID|VX-1\\VX-2", "1 2"}, {"PatientID|*", "1 2 3 4 5"}, {`PatientID|""`, "5"},
			{"PatientID|", "1 2 3 4 5"}, {"PatientID|V*1", "1 4"}, {"PatientID|VX-1*\\vx*", "1 3"},
			{"PatientName|muller^anna", "1 2"}, {"PatientName|MÜLLER^*", "1 2"}, {"PatientName|mu?ler*", "1 2"}, {"PatientName|anna", ""}, {"PatientName|Yamada^Tarou", "3"},
			{"PatientName|山田^太郎", "3"}, {"PatientName|山田*", "3"}, {"PatientName|やまだ*", "3"}, {"PatientName|=山田*", "3"}, {"PatientName|Yamada*=山田*", "3"}, {"PatientName|Smith*=山田*", ""},
			{`PatientName|""`, "5"}, {"ReferringPhysicianName|o'brien*", "3"}, {"ReferringPhysicianName|*sean", "3"},
			{"AccessionNumber|A1", "1"}, {"AccessionNumber|A?", "1 2 3"}, {"AccessionNumber|A,2", "4"}, {"AccessionNumber|a1", ""},
			{"StudyDescription|CT Thorax 100%", "1"}, {"StudyDescription|*100%", "1"}, {"StudyDescription|*100?", "1 2"}, {"StudyDescription|[ab]*", "3"}, {"StudyDescription|*[*", "3"}, {"StudyDescription|*]*", "3"},
			{"StudyDescription|'; DROP TABLE study; --", "4"}, {"StudyDescription|*'*", "4"}, {"StudyID|S_?", "1"}, {"StudyID|S??", "1 2"},
			{"StudyDate|20200101", "1"}, {"StudyDate|20200101-20200102", "1 2"}, {"StudyDate|20200102-", "2 4"}, {"StudyDate|-20200101", "1 3"}, {"StudyDate|2020.01.01", "1"}, {`StudyDate|""`, "5"}, {"StudyDate|*", "1 2 3 4 5"}, {"StudyTime|**", "1 2 3 4 5"},
			{"StudyTime|10", "1"}, {"StudyTime|1030", "1"}, {"StudyTime|1031", ""}, {"StudyTime|103000-", "1 2"}, {"StudyTime|-1030", "1 3"}, {"StudyTime|2359-2359", "2"}, {`StudyTime|""`, "4 5"},
			// One range of moments: from the first of January at 11 to the second at noon.
			{"StudyDate|20200101-20200102|StudyTime|11-12", ""}, {"StudyDate|20200101-20200102|StudyTime|10-12", "1"}, {"StudyDate|20191231-20200102|StudyTime|12-235959.999999", "1 2"},
			{"StudyDate|20191231-20200615|StudyTime|0000-", "1 2 3 4"}, {"StudyDate|20191231-20200102|StudyTime|0000-23", "1 2 3"},
			// A single time is no range: each for itself.
			{"StudyDate|20191231-20200102|StudyTime|10", "1"},
			{"ModalitiesInStudy|CT", "1 5"}, {"ModalitiesInStudy|CT\\MR", "1 2 5"}, {"00080061|SM,PT", "3 4"}, {"ModalitiesInStudy|?T", "1 3 5"}, {"ModalitiesInStudy|US", ""}, {`ModalitiesInStudy|""`, ""},
			{"ModalitiesInStudy|CT|StudyDate|20200101", "1"}, {"ModalitiesInStudy|CT|StudyDate|20200101-20201231", "1"}, {"ModalitiesInStudy|CT|PatientID|VX-2", ""},
			{"SOPClassesInStudy|1.2.840.10008.5.1.4.1.1.1.2", "1 2 3 4 5"}, {"PatientSex|F", "1"}, {"PatientSex|F,M", "1 2"},
		} {
			var conditions []string
			if c.conditions != "" {
				conditions = strings.Split(c.conditions, "|")
			}
			if got := numbers(f.studies(see(received), conditions...)); got != c.want {
				f.Errorf("%s: found %s, want %s", c.conditions, got, c.want)
			}
		}
		q := f.query(Studies, see(received), "StudyDate", "20191231-20200102", "StudyTime", "0900-1100")
		q.Apart = true
		if found, _, err := f.r.SearchStudies(f.Context(), q); err != nil || numbers(found) != "1" {
			f.Errorf("apart: %s, %v", numbers(found), err)
		}
		for name, want := range map[string]string{"ann": "1 2 4", "anna mull": "1 2", "mary": "4", "jon": "4", "ones": "", "tarou yam": "3", "太": "3", "MÜLL*": "1 2", "^": "1 2 3 4 5", "%": "", "[": ""} {
			q := f.query(Studies, see(received), "PatientName", name)
			q.Fuzzy = true
			if found, _, err := f.r.SearchStudies(f.Context(), q); err != nil || numbers(found) != want {
				f.Errorf("fuzzy %s: %s, want %s, %v", name, numbers(found), want, err)
			}
		}
	})
}

func TestSeriesAndInstances(t *testing.T) {
	each(t, func(f *fixture) {
		id := f.deposit("breast")
		f.put(id, 1, "CT", StudyAttributes{PatientID: "A"}, func(e *Entry) {
			e.SeriesAttributes.Requests = []Request{{"STEP1", "PROC1"}, {"STEP2", "PROC2"}}
			e.SeriesAttributes.StepDate, e.SeriesAttributes.StepTime = "20200101", "1200"
		})
		f.put(id, 2, "MR", StudyAttributes{PatientID: "B"}, func(e *Entry) {
			e.SeriesAttributes.Number, e.InstanceAttributes.Number = Absent, Absent
			e.SeriesAttributes.BodyPart = "HEAD"
		})
		f.add(f.entry(id, 1, 2, 5, "x"), f.entry(id, 1, 2, 3, "y"), f.entry(id, 1, 2, 4, "z"), heldEntry(f.entry(id, 1, 2, 1, "h")))
		series := func(conditions ...string) string {
			found, _, err := f.r.SearchSeries(f.Context(), f.query(Series, see(received), conditions...))
			if err != nil {
				f.Fatal(err)
			}
			var s []string
			for _, e := range found {
				s = append(s, fmt.Sprintf("%s:%d/%d", strings.TrimPrefix(string(e.UID), "1.2."), e.Instances, e.Study.Instances))
			}
			sort.Strings(s)
			return strings.Join(s, " ")
		}
		for _, c := range []struct{ conditions, want string }{
			{"Modality|CT", "1.1:1/4"}, {"Modality|M*", "1.2:3/4 2.1:1/1"}, {"SeriesInstanceUID|1.2.1.2,1.2.2.1", "1.2:3/4 2.1:1/1"}, {"StudyInstanceUID|1.2.1", "1.1:1/4 1.2:3/4"},
			{"PatientID|B", "2.1:1/1"}, {"SeriesNumber|2", "1.2:3/4"}, {"SeriesNumber|01", "1.1:1/4"}, {`SeriesNumber|""`, "2.1:1/1"}, {"BodyPartExamined|HEAD", "2.1:1/1"},
			{"RequestAttributesSequence.ScheduledProcedureStepID|STEP2", "1.1:1/4"}, {"00400275.00401001|PROC*", "1.1:1/4"},
			{"RequestAttributesSequence.ScheduledProcedureStepID|STEP1|RequestAttributesSequence.RequestedProcedureID|PROC2", ""},
			{"RequestAttributesSequence.00400009|STEP1|00400275.RequestedProcedureID|PROC1", "1.1:1/4"}, {`00400275.00400009|""`, "1.2:3/4 2.1:1/1"},
			{"PerformedProcedureStepStartDate|20200101-|PerformedProcedureStepStartTime|1100-", "1.1:1/4"}, {"PerformedProcedureStepStartDate|20200101-|PerformedProcedureStepStartTime|1300-", ""},
			{"ModalitiesInStudy|CT", "1.1:1/4 1.2:3/4"}, {"", "1.1:1/4 1.2:3/4 2.1:1/1"},
		} {
			var conditions []string
			if c.conditions != "" {
				conditions = strings.Split(c.conditions, "|")
			}
			if got := series(conditions...); got != c.want {
				f.Errorf("%s: found %s, want %s", c.conditions, got, c.want)
			}
		}
		q := f.query(Instances, see(received))
		q.Study, q.SeriesUID = "1.2.1", "1.2.1.2"
		found, more, err := f.r.SearchInstances(f.Context(), q)
		if err != nil || more || len(found) != 3 || found[0].Number != 3 || found[2].Number != 5 || found[0].Series.Study.PatientID != "A" || found[0].Series.Instances != 3 {
			f.Fatalf("%v, %v", found, err)
		}
		for conditions, want := range map[string]int{"SOPInstanceUID|1.2.1.2.4": 1, "SOPInstanceUID|1.2.1.2.1": 0, "InstanceNumber|3\\4": 2, `InstanceNumber|""`: 1, "SOPClassUID|1.2.840.10008.5.1.4.1.1.1.2": 5,
			"SOPClassUID|1.2": 0, "Modality|CT": 1, "Rows|10|Columns|20": 5, "SOPClassUID|1.2.840.10008.5.1.4.1.1.1.2|PatientID|A": 4, "StudyDate|20200101": 4} {
			found, _, err := f.r.SearchInstances(f.Context(), f.query(Instances, see(received), strings.Split(conditions, "|")...))
			if err != nil || len(found) != want {
				f.Errorf("%s: %d found, want %d, %v", conditions, len(found), want, err)
			}
		}
		found2, _, err := f.r.SearchSeries(f.Context(), f.query(Series, see(received), "SeriesInstanceUID", "1.2.1.1"))
		if err != nil || len(found2) != 1 || len(found2[0].Requests) != 2 || found2[0].Requests[1] != (Request{"STEP2", "PROC2"}) {
			f.Errorf("%+v, %v", found2, err)
		}
		// Locate gives a study in the order of its numbers; what has none comes last.
		var order []string
		for _, l := range f.locate(see(received), "1.2.1", "", "") {
			order = append(order, string(l.SOP))
		}
		if got := strings.Join(order, " "); got != "1.2.1.1.1 1.2.1.2.3 1.2.1.2.4 1.2.1.2.5" {
			f.Error(got)
		}
		if l := f.locate(see(received), "1.2.1", "1.2.1.2", "1.2.1.2.4"); len(l) != 1 || l[0].BulkSize != 5000 {
			f.Errorf("%+v", l)
		}
		if l := f.locate(see(received), "1.2.2", "1.2.1.2", "1.2.1.2.4"); len(l) != 0 {
			f.Error("an instance is found in another study")
		}
		if l := f.locate(see(held), "1.2.1", "1.2.1.2", "1.2.1.2.1"); len(l) != 1 {
			f.Error("a review finds what is held")
		}
	})
}

// What is kept as JSON is matched by any of its values, as text or as a number.
func TestMatchingOfWhatIsKept(t *testing.T) {
	each(t, func(f *fixture) {
		id := f.deposit("breast")
		f.put(id, 1, "CT", StudyAttributes{JSON: `{"00101010":{"vr":"AS","Value":["061Y"]},"00101030":{"vr":"DS","Value":[70.50]}}`}, func(e *Entry) {
			e.SeriesAttributes.JSON = `{"00080070":{"vr":"LO","Value":["ACME 100%"]},"00180050":{"vr":"DS","Value":[1.10]},"00181210":{"vr":"SH","Value":["B30f","B70f"]},"00180060":{"vr":"DS","Value":["none"]}}`
		})
		f.put(id, 2, "MR", StudyAttributes{JSON: `{"00101010":{"vr":"AS"},"00101030":{"vr":"DS","Value":[80]}}`}, func(e *Entry) {
			e.SeriesAttributes.JSON = `{"00080070":{"vr":"LO","Value":["Other_1"]},"00180050":{"vr":"DS","Value":[null,3]}}`
		})
		f.put(id, 3, "PT", StudyAttributes{})
		for conditions, want := range map[string]string{
			"PatientAge|061Y": "1", "PatientAge|06*": "1", "PatientAge|061y": "", `PatientAge|""`: "2 3", "PatientAge|061Y\\062Y": "1", "00101030|70.5": "1", "PatientWeight|70.5,80": "1 2", "PatientWeight|80.0": "2",
			"PatientWeight|7e1": "", `PatientWeight|""`: "3", "PatientAge|*|PatientWeight|80": "2", "PatientAge|061Y|PatientWeight|80": "",
		} {
			if got := numbers(f.studies(see(received), strings.Split(conditions, "|")...)); got != want {
				f.Errorf("%s: found %q, want %q", conditions, got, want)
			}
		}
		for conditions, want := range map[string]int{"Manufacturer|ACME 100%": 1, "Manufacturer|*%": 1, "Manufacturer|Other?1": 1, "Manufacturer|acme*": 0, "SliceThickness|1.1": 1, "SliceThickness|3": 1, "ConvolutionKernel|B70f": 1,
			"ConvolutionKernel|B30f|Manufacturer|ACME*": 1, "KVP|120": 0, "KVP|none": -1, `Manufacturer|""`: 1, "Manufacturer|'); DROP TABLE series; --": 0, "PatientAge|061Y|Modality|CT": 1} {
			q := NewQuery(Series)
			q.Scopes = see(received)
			part := strings.Split(conditions, "|")
			var err error
			for i := 0; i < len(part) && err == nil; i += 2 {
				_, err = q.Match(part[i], part[i+1])
			}
			if want < 0 {
				if !fault.Is(err, fault.Invalid) {
					f.Errorf("%s: %v", conditions, err)
				}
				continue
			}
			if found, _, err := f.r.SearchSeries(f.Context(), q); err != nil || len(found) != want {
				f.Errorf("%s: %d found, want %d, %v", conditions, len(found), want, err)
			}
		}
	})
}

func TestQueriesThatAreRefused(t *testing.T) {
	q := NewQuery(Studies)
	for _, c := range [][2]string{{"StudyDate", "2020"}, {"StudyDate", "20201301"}, {"StudyDate", "-"}, {"StudyDate", "20200101-x"}, {"StudyDate", "20200101-20200102-20200103"}, {"StudyTime", "25"},
		{"StudyTime", "1"}, {"StudyTime", "-"}, {"StudyTime", "10:30:61"}, {"StudyTime", "101010."}, {"PatientID", "a\x00b"}, {"PatientID", "\xff"}, {"PatientID", "*a*a*a*a*a*a*a*a*a"},
		{"PatientID", `\`}, {"StudyInstanceUID", ","}, {"PatientID", strings.Repeat("a", 70000)}, {"PatientID", strings.Repeat("a*\\", 9)}, {"StudyInstanceUID", strings.Repeat("1,", 1001)}} {
		if ok, err := q.Match(c[0], c[1]); !ok || !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, %v", c[0], ok, err)
		} else if len(c[1]) > 3 && strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: the error repeats the value", c[0])
		}
	}
	if _, err := NewQuery(Series).Match("SeriesNumber", "1.5"); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	for _, name := range []string{"Modality", "SOPInstanceUID", "PatientComments", "patientid", "", "00100010.00100020", strings.Repeat("x", 1000)} {
		if ok, err := q.Match(name, "x"); ok || err != nil {
			t.Errorf("%.20s is matched by studies: %v, %v", name, ok, err)
		}
	}
	if len(q.conditions) != 0 {
		t.Error("a refused condition is kept")
	}
	for _, level := range []Level{Studies, Series, Instances} {
		for _, name := range Matchable(level) {
			if ok, _ := NewQuery(level).Match(name, ""); !ok {
				t.Errorf("%s is not matched", name)
			}
		}
	}
}

// Universal matching (PS3.4 C.2.2.2.3): no value, or an asterisk, matches everything that there is, what has no value too, of every attribute.
func TestUniversalMatching(t *testing.T) {
	each(t, func(f *fixture) {
		id := f.deposit("breast")
		f.put(id, 1, "CT", StudyAttributes{PatientID: "A", PatientName: "N", AccessionNumber: "X", StudyDate: "20200101", StudyTime: "101112", Sex: "F"})
		f.put(id, 2, "MR", StudyAttributes{})
		for _, a := range attributes {
			for _, name := range []string{a.keyword, a.tag, strings.ToLower(a.tag)} {
				for _, value := range []string{"", " ", "*", "**", " * "} {
					for _, fuzzy := range []bool{false, true} {
						q := NewQuery(Instances)
						q.Scopes, q.Fuzzy = see(received), fuzzy
						if ok, err := q.Match(name, value); !ok || err != nil {
							f.Fatalf("%s=%q: %v, %v", name, value, ok, err)
						}
						if found, _, err := f.r.SearchInstances(f.Context(), q); err != nil || len(found) != 2 {
							f.Errorf("%s=%q finds %d of 2 (%v)", name, value, len(found), err)
						}
					}
				}
			}
		}
		if found := f.studies(see(received), "StudyInstanceUID", `1.2.3\*`); len(found) != 2 {
			f.Errorf("a list with an asterisk finds %d of 2", len(found))
		}
	})
}

// Every way to begin a search gives the same rows in pages as in one answer.
func TestPages(t *testing.T) {
	each(t, func(f *fixture) {
		id := f.deposit("breast")
		for i := range 23 {
			f.put(id, i+1, "CT", StudyAttributes{PatientID: "A", PatientName: "N", AccessionNumber: "X", StudyDate: fmt.Sprintf("202001%02d", 1+i%5)})
		}
		for _, conditions := range [][]string{nil, {"PatientID", "A"}, {"PatientName", "n"}, {"AccessionNumber", "X*"}, {"StudyDate", "20200101-20200103"}, {"StudyDate", "20200101"},
			{"ModalitiesInStudy", "CT"}, {"ModalitiesInStudy", "CT,MR"}, {"ModalitiesInStudy", "C*"}, {"PatientID", "*"}, {"StudyTime", "00-"}} {
			whole := numbersInOrder(f.studies(see(received), conditions...))
			var paged []string
			for offset := 0; ; offset += 4 {
				q := f.query(Studies, see(received), conditions...)
				q.Limit, q.Offset = 4, offset
				found, more, err := f.r.SearchStudies(f.Context(), q)
				if err != nil || len(found) > 4 || more && len(found) != 4 {
					f.Fatal(len(found), more, err)
				}
				paged = append(paged, numbersInOrder(found)...)
				if !more {
					break
				}
			}
			if !slices.Equal(whole, paged) {
				f.Errorf("%v: whole %v, in pages %v", conditions, whole, paged)
			}
		}
		// More in a series than Locate reads at once.
		var many []Entry
		for i := range pageSize + 3 {
			e := f.entry(id, 99, 1, i, fmt.Sprint(i))
			e.InstanceAttributes.Number = int64(i / 400) // equal numbers lie on both sides of a page's end
			many = append(many, e)
		}
		f.add(many...)
		seen := map[InstanceID]bool{}
		for _, l := range f.locate(see(received), "1.2.99", "", "") {
			seen[l.ID] = true
		}
		if len(seen) != pageSize+3 {
			f.Errorf("%d located", len(seen))
		}
		for range f.r.Locate(f.Context(), Where{Scopes: see(received), Study: "1.2.99"}) {
			break // who stops early leaves nothing behind
		}
	})
}

func numbersInOrder(studies []*Study) (s []string) {
	for _, st := range studies {
		s = append(s, string(st.UID))
	}
	return s
}

// What a caller may see decides at every level, whatever the search begins with.
func TestVisibility(t *testing.T) {
	each(t, func(f *fixture) {
		id := f.deposit("breast")
		for i, c := range []collection.ID{"breast", "lung", "brain"} {
			for study := 1; study <= 2; study++ {
				a, h := f.entry(id, study, 1, 1, "a"), heldEntry(f.entry(id, study, 1, 2, "b"))
				a.Collection, h.Collection = c, c
				a.Subject, h.Subject = 1, 1
				a.StudyAttributes.PatientID = "SAME"
				f.add(a, h)
			}
			if i < 2 { // brain waits
				f.admitAll()
				f.write(func(tx *db.Tx) error { _, err := f.r.Release(tx, c, "1.2.1", "x"); return err })
			}
		}
		scope := func(c string, states ...State) policy.Scope { return policy.Scope{Collection: c, States: states} }
		stands := map[collection.ID][]State{"breast": {released, admitted}, "lung": {released, admitted}, "brain": {received, received}}
		for _, c := range []struct {
			name   string
			scopes []policy.Scope
			narrow collection.ID
			want   int
		}{
			{"nobody", nil, "", 0},
			{"held alone", []policy.Scope{scope("*", held, conflict, withdrawn)}, "", 0},
			{"researcher of all", []policy.Scope{scope("*", released)}, "", 2},
			{"researcher of breast", []policy.Scope{scope("breast", released)}, "", 1},
			{"researcher of breast, in lung", []policy.Scope{scope("breast", released)}, "lung", 0},
			{"physicist of breast", []policy.Scope{scope("breast", admitted, released)}, "", 2},
			{"steward of breast", []policy.Scope{scope("breast", received, admitted, held, conflict, released)}, "", 2},
			{"steward of brain", []policy.Scope{scope("brain", received, admitted, released)}, "", 2},
			{"physicist of brain", []policy.Scope{scope("brain", admitted, released)}, "", 0},
			{"steward of brain, researcher of all", []policy.Scope{scope("brain", received), scope("*", released)}, "", 4},
			{"steward of brain, researcher of lung", []policy.Scope{scope("brain", received), scope("lung", released)}, "", 3},
			{"steward of what waits in lung, researcher of all", []policy.Scope{scope("lung", received), scope("*", released)}, "", 2},
			{"the same in lung alone", []policy.Scope{scope("lung", received), scope("*", released)}, "lung", 1},
			{"the same in lung", []policy.Scope{scope("brain", received), scope("lung", released)}, "lung", 1},
			{"the same elsewhere", []policy.Scope{scope("brain", received), scope("lung", released)}, "heart", 0},
			{"all, in brain", []policy.Scope{scope("*", released)}, "brain", 0},
		} {
			for _, conditions := range [][]string{nil, {"PatientID", "SAME"}, {"StudyInstanceUID", "1.2.1,1.2.2"}, {"ModalitiesInStudy", "MG"}, {"ModalitiesInStudy", "MG,CT"}, {"StudyDate", "20200101-"},
				{"SOPClassesInStudy", "1.2.840.10008.5.1.4.1.1.1.2"}} {
				q := f.query(Studies, c.scopes, conditions...)
				q.Collection = c.narrow
				found, _, err := f.r.SearchStudies(f.Context(), q)
				if err != nil || len(found) != c.want {
					f.Errorf("%s, %v: %d studies, want %d, %v", c.name, conditions, len(found), c.want, err)
				}
				for _, s := range found {
					if s.Instances != 1 || s.Series != 1 || len(s.Modalities) != 1 {
						f.Errorf("%s: counts what is not to be seen: %+v", c.name, s)
					}
				}
				qs := f.query(Series, c.scopes, conditions...)
				qs.Collection = c.narrow
				if found, _, err := f.r.SearchSeries(f.Context(), qs); err != nil || len(found) != c.want {
					f.Errorf("%s, %v: %d series, want %d, %v", c.name, conditions, len(found), c.want, err)
				}
				qi := f.query(Instances, c.scopes, conditions...)
				qi.Collection = c.narrow
				if found, _, err := f.r.SearchInstances(f.Context(), qi); err != nil || len(found) != c.want {
					f.Errorf("%s, %v: %d instances, want %d, %v", c.name, conditions, len(found), c.want, err)
				}
			}
			f.tallies(c.name, c.scopes, c.narrow, stands)
			n := 0
			for l, err := range f.r.Locate(f.Context(), Where{Scopes: c.scopes, Collection: c.narrow, SOP: "1.2.1.1.1"}) {
				if err != nil || l.State == withdrawn {
					f.Error(err)
				}
				n++
			}
			for range f.r.Locate(f.Context(), Where{Scopes: c.scopes, Collection: c.narrow, SOP: "1.2.2.1.1"}) {
				n++
			}
			if n != c.want {
				f.Errorf("%s: %d located, want %d", c.name, n, c.want)
			}
		}
		if all, err := f.r.WaitingCounts(f.Context()); err != nil || !maps.Equal(all, map[collection.ID]Held{"breast": {Held: 2}, "lung": {Held: 2}, "brain": {Held: 2}}) {
			f.Errorf("what waits: %v, %v", all, err)
		}
		// What joins a released study later does not tell a researcher that the study holds such a thing.
		mr := f.entry(id, 1, 7, 1, "mr")
		mr.Subject, mr.SeriesAttributes.Modality, mr.InstanceAttributes.SOPClass = 1, "MR", "1.2.840.10008.5.1.4.1.1.4"
		f.add(mr)
		for _, conditions := range [][]string{{"ModalitiesInStudy", "MR"}, {"ModalitiesInStudy", "MR,XA"}, {"ModalitiesInStudy", "?R"}, {"ModalitiesInStudy", "MR", "PatientID", "SAME"},
			{"SOPClassesInStudy", "1.2.840.10008.5.1.4.1.1.4"}} {
			if n := len(f.studies(see(released), conditions...)); n != 0 {
				f.Errorf("%v: a researcher finds %d studies by what is not released", conditions, n)
			}
			if n := len(f.studies(see(received), conditions...)); n != 1 {
				f.Errorf("%v: the steward finds %d studies", conditions, n)
			}
		}
		for _, c := range []struct {
			scopes []policy.Scope
			want   string
		}{{see(released), "1 study of 1 subject, MG 1"}, {see(received, admitted, released), "2 studies of 1 subject, MG 2 MR 1"}} {
			q := f.query(Studies, c.scopes)
			q.Collection = "breast"
			if got, err := f.r.TallyStudies(f.Context(), q); err != nil || tallied(got) != c.want {
				f.Errorf("counted %s, want %s (%v)", tallied(got), c.want, err)
			}
		}
		q := NewQuery(Series)
		q.Scopes = everything
		if _, _, err := f.r.SearchStudies(f.Context(), q); err == nil {
			f.Error("a query for another level is taken")
		}
		if found, _, err := f.r.SearchStudies(f.Context(), &Query{Scopes: everything}); err == nil || len(found) != 0 {
			f.Error("the zero query finds something")
		}
	})
}

// tallies compares counts, and what is found by its state, with the states that the studies are in.
func (f *fixture) tallies(name string, scopes []policy.Scope, narrow collection.ID, stands map[collection.ID][]State) {
	f.Helper()
	for _, holding := range []State{policy.NoState, received, admitted, held, conflict, released, withdrawn} {
		var want int
		for c, states := range stands {
			for _, st := range states {
				sees := slices.ContainsFunc(scopes, func(s policy.Scope) bool {
					return (s.Collection == policy.AllCollections || s.Collection == string(c)) && slices.Contains(s.States, st)
				})
				if sees && (narrow == "" || narrow == c) && (holding == policy.NoState || holding == st) {
					want++
				}
			}
		}
		for _, conditions := range [][]string{nil, {"PatientID", "SAME"}, {"ModalitiesInStudy", "MG"}, {"ModalitiesInStudy", "MG,CT"}, {"StudyDate", "20200101-"}, {"ModalitiesInStudy", "MG", "StudyDate", "-20300101"}} {
			q := f.query(Studies, scopes, conditions...)
			q.Collection, q.Holding = narrow, holding
			found, _, err := f.r.SearchStudies(f.Context(), q)
			if err != nil || len(found) != want {
				f.Errorf("%s, %v, in state %s: %d studies, want %d, %v", name, conditions, holding, len(found), want, err)
			}
			q.Limit, q.Offset = 1, 1 // no part of a count
			t, err := f.r.TallyStudies(f.Context(), q)
			if err != nil || t.Studies != int64(want) || t.Subjects != int64(min(want, 1)) || t.Cut || len(t.Modalities) != min(want, 1) || want > 0 && t.Modalities[0] != (ModalityTally{"MG", int64(want)}) {
				f.Errorf("%s, %v, in state %s: counted %+v, want %d, %v", name, conditions, holding, t, want, err)
			}
			qi := f.query(Instances, scopes, conditions...)
			qi.Collection, qi.Holding = narrow, holding
			if found, _, err := f.r.SearchInstances(f.Context(), qi); err != nil || len(found) != want {
				f.Errorf("%s, %v, in state %s: %d instances, want %d, %v", name, conditions, holding, len(found), want, err)
			}
		}
	}
}

func tallied(t StudyTally) string {
	s := "1 study"
	if t.Studies != 1 {
		s = fmt.Sprint(t.Studies, " studies")
	}
	s += fmt.Sprint(" of ", t.Subjects, " subject,")
	for _, m := range t.Modalities {
		s += fmt.Sprint(" ", m.Modality, " ", m.Studies)
	}
	return s
}

// wild is DICOM's wildcard matching in the simplest words (PS3.4 C.2.2.2.4).
func wild(pattern, s []rune) bool {
	if len(pattern) == 0 {
		return len(s) == 0
	}
	if pattern[0] == '*' {
		for i := 0; i <= len(s); i++ {
			if wild(pattern[1:], s[i:]) {
				return true
			}
		}
		return false
	}
	return len(s) > 0 && (pattern[0] == '?' || pattern[0] == s[0]) && wild(pattern[1:], s[1:])
}

// Any text that is stored is found by itself, and any pattern finds what it should, on both engines.
func TestHostileText(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := opened(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		f := &fixture{T: t, d: d, r: r}
		id := f.deposit("breast")
		alphabet := []rune(`aA%_[]^-!\*?'";:{}$|~ .é山😀` + "\u0301\u200b\uFFFD\t\n")
		n := 0
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.StringOfN(rapid.SampledFrom(alphabet), 0, 6, -1).Draw(t, "text")
			pattern := rapid.StringOfN(rapid.SampledFrom(alphabet), 1, 5, -1).Draw(t, "pattern")
			n++
			e := f.entry(id, n, 1, 1, "x")
			e.StudyAttributes.Description = text + "\x00\xff"
			kept := clean(text + "\x00\xff")
			var out []Outcome
			if err := d.Write(f.Context(), func(tx *db.Tx) (err error) { out, err = r.AddBatch(tx, []Entry{e}); return err }); err != nil || out[0].Kind != Added {
				t.Fatal(out, err)
			}
			q := NewQuery(Studies)
			q.Scopes = everything
			q.Study = e.Study
			ok, err := q.Match("StudyDescription", pattern)
			if err != nil {
				return // refused
			}
			found, _, err := r.SearchStudies(f.Context(), q)
			if !ok || err != nil || len(found) > 0 && found[0].Description != kept {
				t.Fatal(ok, err)
			}
			want := strings.Trim(pattern, " ") == "" || strings.Trim(pattern, " ") == `""` && kept == ""
			some := false
			for v := range strings.SplitSeq(pattern, `\`) {
				if v = strings.Trim(v, " "); v != "" {
					some = true
					want = want || wild([]rune(v), []rune(kept))
				}
			}
			if strings.Trim(pattern, " ") == `""` {
				want = kept == ""
			}
			if some && (len(found) == 1) != want {
				t.Fatalf("%q finds %q: %v, want %v", pattern, kept, len(found) == 1, want)
			}
		})
	})
}

func FuzzMatch(f *testing.F) {
	for _, a := range attributes {
		f.Add(a.keyword, "20200101-20200102")
		f.Add(a.tag, `a*\b?,"`)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		q := NewQuery(Instances)
		q.Scopes = everything
		if _, err := q.Match(name, value); err != nil && utf8.ValidString(value) && len(value) > 12 && strings.Contains(err.Error(), value) {
			t.Error("the error repeats the value")
		}
		for _, engine := range []db.Engine{db.SQLite, db.PostgreSQL} {
			p, ok := q.plan(engine)
			if !ok {
				t.Fatal("nothing can be found")
			}
			text, args := p.statement("1")
			if strings.Count(text, "?") != len(args) {
				t.Errorf("%d placeholders, %d arguments", strings.Count(text, "?"), len(args))
			}
		}
	})
}
