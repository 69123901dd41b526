package portal

import (
	"strconv"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

func studyOn(date, name string, modalities ...string) *catalogue.Study {
	return &catalogue.Study{Collection: "trial", UID: catalogue.StudyUID("1.2." + date), StudyAttributes: catalogue.StudyAttributes{PatientID: "P", Sex: "F", StudyDate: date, Description: name}, Modalities: modalities}
}

// A course begins at the baseline visit, or else at the first study; dates are told to who may know them alone.
func TestCourse(t *testing.T) {
	age := 92
	age = min(age, clinical.MaxAge)
	facts := clinical.Facts{Sex: "female", Age: &age, AgeAt: "2020-01-02", Diagnosed: "2020-01-02", Stage: "2", TNM: "cT2 N0 M0", Diagnoses: []vocabulary.Code{{System: vocabulary.ICD10, Value: "C50"}},
		Visits: []clinical.Visit{{Name: "baseline", Date: "2020-01-30"}, {Name: "week 12", Date: "2020-04-23"}, {Name: "surgery"}}}
	studies := []*catalogue.Study{studyOn("20200423", "second", "CT"), studyOn("20200201", "first", "CT", "PT"), studyOn("", "undated", "MR")}
	p := subjectPage{Dates: true}
	p.compose(studies, facts)
	var got []string
	for _, h := range p.Course {
		got = append(got, strings.Join([]string{h.Name, h.Lane, h.When, h.Date}, "|"))
	}
	want := "Diagnosis|Clinical|day −28, −4 wk|2020-01-02; Baseline|Clinical|day 0|2020-01-30; first|PET/CT|day 2|2020-02-01; second|CT|day 84, +12 wk|2020-04-23; Week 12|Clinical|day 84, +12 wk|2020-04-23; " +
		"undated|MR||; Surgery|Clinical||"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("the course is\n%s, want\n%s", s, want)
	}
	if p.Zero != "the baseline visit" || !strings.Contains(p.Person, "90 years or more on day −28") || !strings.Contains(p.Diagnosis, "reast") {
		t.Errorf("%q %q %q", p.Zero, p.Person, p.Diagnosis)
	}
	p = subjectPage{}
	p.compose(studies, clinical.Facts{})
	if p.Zero != "the first study that is held here" || p.Course[0].When != "day 0" || p.Course[1].When != "day 82, +12 wk" {
		t.Errorf("%q %+v", p.Zero, p.Course)
	}
	for _, h := range p.Course {
		if h.Date != "" {
			t.Errorf("a date is told: %+v", h)
		}
	}
	p = subjectPage{}
	if p.compose(studies[2:], clinical.Facts{}); p.Timeline != nil || len(p.Course) != 1 {
		t.Errorf("a course without dates: %+v", p)
	}
}

// Nothing in a timeline lies on something else or outside, however close or far things are.
func TestTimelineFits(t *testing.T) {
	for name, days := range map[string][]int{"one": {0}, "same day": {0, 0, 0}, "a week": {0, 1, 2, 7}, "years": {-400, 0, 3, 365, 3650}, "decades": {0, 12000}, "before": {-30, -20, 0}} {
		var course []happening
		for i, d := range days {
			course = append(course, happening{Lane: "CT", Name: strconv.Itoa(i), Study: &catalogue.Study{}, Dated: true, Day: d}, happening{Lane: clinicalLane, Name: "Visit", Dated: true, Day: d})
		}
		tl := newTimeline(course)
		if len(tl.Lanes) != 2 || len(tl.Ticks) == 0 || len(tl.Ticks) > 11 {
			t.Errorf("%s: %d lanes, %d ticks", name, len(tl.Lanes), len(tl.Ticks))
		}
		type box struct{ x, y float64 }
		var boxes []box
		for _, l := range tl.Lanes {
			if l.Y+l.Height > tl.Bottom {
				t.Errorf("%s: the lane %s ends below the chart", name, l.Name)
			}
			for _, i := range l.Items {
				if i.Study == nil {
					continue
				}
				x, _ := strconv.ParseFloat(i.X, 64)
				y, _ := strconv.ParseFloat(i.Y, 64)
				if x < chartLeft-1 || x+pictureOf > chartWidth || int(y)+pictureOf > l.Y+l.Height {
					t.Errorf("%s: a picture at %v, %v lies outside", name, x, y)
				}
				for _, b := range boxes {
					if x < b.x+pictureOf && b.x < x+pictureOf && y < b.y+pictureOf && b.y < y+pictureOf {
						t.Errorf("%s: pictures at %v and %v, %v lie on one another", name, b, x, y)
					}
				}
				boxes = append(boxes, box{x, y})
			}
		}
	}
}
