package dicomweb

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

func TestParseQuery(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		level     catalogue.Level
		bad       bool
		ignored   string
		wants     []dicom.Tag
	}{
		{"nothing", "", catalogue.Studies, false, "", nil},
		{"as viewers ask", "limit=101&offset=0&fuzzymatching=true&includefield=00081030%2C00080060&PatientName=*a*&ModalitiesInStudy=SM", catalogue.Studies, false, "",
			[]dicom.Tag{dicom.TagStudyDescription, dicom.TagModality}},
		{"by tag", "00100020=x&0020000D=1.2,1.3", catalogue.Studies, false, "", []dicom.Tag{dicom.TagPatientID}},
		{"by path", "RequestAttributesSequence.ScheduledProcedureStepID=x&00400275.00401001=y", catalogue.Series, false, "", []dicom.Tag{dicom.TagRequestAttributesSequence}},
		{"ranges", "StudyDate=20200101-20201231&StudyTime=1000-", catalogue.Studies, false, "", nil},
		{"includefield all", "includefield=all", catalogue.Studies, false, "", []dicom.Tag{dicom.TagPatientWeight}},
		{"two lists of fields", "includefield=PatientWeight&includefield=PatientAge,KVP", catalogue.Series, false, "", []dicom.Tag{dicom.TagPatientWeight, dicom.TagPatientAge, dicom.TagKVP}},
		{"UIDs one by one", "StudyInstanceUID=1.2&StudyInstanceUID=1.3", catalogue.Studies, false, "", nil},
		{"not matched at this level", "SeriesDescription=x&EchoTime=3", catalogue.Studies, false, "EchoTime, SeriesDescription", nil},
		{"not matched, and empty", "EchoTime=", catalogue.Studies, false, "", []dicom.Tag{dicom.TagEchoTime}},
		{"not matched, and anything", "EchoTime=*&StudyDate=*&PatientName=**", catalogue.Studies, false, "", []dicom.Tag{dicom.TagEchoTime}},
		{"unknown attribute", "PatientNickname=x", catalogue.Studies, true, "", nil},
		{"unknown tag", "00100021F=x", catalogue.Studies, true, "", nil},
		{"meta information", "00020010=x", catalogue.Studies, true, "", nil},
		{"limit no number", "limit=ten", catalogue.Studies, true, "", nil},
		{"limit negative", "limit=-1", catalogue.Studies, true, "", nil},
		{"limit of nothing", "limit=0", catalogue.Studies, true, "", nil},
		{"limit twice", "limit=1&limit=2", catalogue.Studies, true, "", nil},
		{"offset beyond all numbers", "offset=99999999999", catalogue.Studies, true, "", nil},
		{"fuzzy no truth", "fuzzymatching=perhaps", catalogue.Studies, true, "", nil},
		{"bad date", "StudyDate=yesterday", catalogue.Studies, true, "", nil},
		{"bad range", "StudyDate=20200101-tomorrow", catalogue.Studies, true, "", nil},
		{"bad field", "includefield=everything", catalogue.Studies, true, "", nil},
		{"bad escape", "PatientID=%zz", catalogue.Studies, true, "", nil},
		{"attribute twice", "PatientID=a&PatientID=b", catalogue.Studies, true, "", nil},
		{"too many stars", "PatientName=*a*b*c*d*e*f*g*h*i*", catalogue.Studies, true, "", nil},
		{"too long", "PatientID=" + strings.Repeat("x", 70_000), catalogue.Studies, true, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := parseQuery(c.raw, c.level)
			if c.bad {
				var e *web.Error
				if errors.As(err, &e) && e.Status != http.StatusBadRequest || err == nil || e == nil && !fault.Is(err, fault.Invalid) {
					t.Fatalf("got %v, want a refusal", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(s.ignored, ", "); got != c.ignored {
				t.Errorf("ignored %q, want %q", got, c.ignored)
			}
			for _, tag := range c.wants {
				if !s.wants(tag) {
					t.Errorf("%s is not returned", tag.Keyword())
				}
			}
		})
	}
}

// No error and no warning repeats what a query looked for: it may be a patient's name.
func TestQueryErrorsAreSilent(t *testing.T) {
	const secret = "Geheimnis"
	for _, raw := range []string{secret + "=x", "PatientName=" + secret + "&limit=" + secret, "includefield=" + secret, "StudyDate=" + secret, "EchoTime=" + secret,
		"fuzzymatching=" + secret, "offset=" + secret, "SeriesNumber=" + secret, "PatientName=%zz" + secret} {
		s, err := parseQuery(raw, catalogue.Series)
		if err != nil {
			p, _ := web.ProblemOf(err)
			if strings.Contains(p.Detail+p.Advice+p.Attempted+p.Object+err.Error(), secret) {
				t.Errorf("an error repeats the query: %v", err)
			}
			continue
		}
		if slices.ContainsFunc(s.warnings(true), func(w string) bool { return strings.Contains(w, secret) }) {
			t.Error("a warning repeats the query")
		}
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("limit=101&offset=0&fuzzymatching=true&includefield=00081030%2C00080060&PatientName=*a*&ModalitiesInStudy=SM")
	f.Add("00400275.00401001=y&StudyDate=20200101-&StudyTime=-10")
	f.Fuzz(func(t *testing.T, raw string) {
		for _, level := range []catalogue.Level{catalogue.Studies, catalogue.Series, catalogue.Instances} {
			s, err := parseQuery(raw, level)
			if (s == nil) == (err == nil) {
				t.Fatal("neither a query nor an error")
			}
			if err != nil {
				if p, _ := web.ProblemOf(err); p.Status != http.StatusBadRequest {
					t.Fatalf("status %d", p.Status)
				}
				continue
			}
			for _, w := range s.warnings(true) {
				if strings.ContainsAny(w, "\r\n") {
					t.Fatal("a header with a line break")
				}
			}
		}
	})
}
