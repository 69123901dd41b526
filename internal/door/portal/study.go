package portal

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

func (d *Door) registerStudies(mux *http.ServeMux) {
	mux.HandleFunc("GET /collections/{collection}/studies/{study}", d.page(d.study))
	mux.HandleFunc("GET /collections/{collection}/subjects/{subject}", d.page(d.subject))
}

func studyAddress(c collection.ID, study catalogue.StudyUID) string {
	return "/collections/" + string(c) + "/studies/" + url.PathEscape(string(study))
}

// seriesView is a series in the strip of a study.
type seriesView struct {
	*catalogue.SeriesResult
	Thumbnail string // address
	Here      bool
	Path      string
}

// frameView is one picture of the series that is looked at.
type frameView struct {
	Address    string
	Number     int // from 1
	Count      int
	Prev, Next string // addresses of pages; empty at the ends
	Size       string
	Viewable   bool
}

type studyPage struct {
	*catalogue.Study
	Address    string
	Name       string // what the study is called
	Date       time.Time
	Series     []seriesView
	Current    *seriesView
	Frame      frameView
	Instances  []*catalogue.InstanceResult
	MayPublish bool
	Published  bool
	Viewer     string
	Download   string
	Facts      []fact
}

// fact is a name with its value.
type fact struct{ Name, Value string }

func (d *Door) study(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	c, err := collection.ParseID(r.PathValue("collection"))
	missing := fault.New(fault.NotFound, "show study", "", "there is no such study that you may see")
	if err != nil {
		return nil, missing
	}
	q := catalogue.NewQuery(catalogue.Series)
	q.Collection, q.Study = c, catalogue.StudyUID(r.PathValue("study"))
	series, _, err := d.Delivery.SearchSeries(r.Context(), r.delivery(), q)
	if err != nil {
		return nil, err
	}
	if len(series) == 0 {
		return nil, missing
	}
	sort.SliceStable(series, func(i, j int) bool { return series[i].Number < series[j].Number })
	st := series[0].Study
	p := studyPage{Study: st, Address: studyAddress(c, st.UID), Date: dicomDate(st.StudyDate), Published: !st.Unreleased}
	p.Name = studyName(st)
	p.MayPublish = st.Unreleased && policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.Publish, Collection: string(c), State: policy.Admitted}).Allow
	wado := "/collections/" + string(c) + "/dicomweb/studies/" + url.PathEscape(string(st.UID))
	p.Viewer = "/viewer/viewer?" + url.Values{"StudyInstanceUIDs": {string(st.UID)}, "collection": {string(c)}}.Encode()
	p.Download = wado + "?accept=application/zip"
	chosen := r.URL.Query().Get("series")
	for _, s := range series {
		v := seriesView{SeriesResult: s, Thumbnail: wado + "/series/" + url.PathEscape(string(s.UID)) + "/thumbnail?viewport=160,120", Path: p.Address + "?series=" + url.QueryEscape(string(s.UID))}
		p.Series = append(p.Series, v)
	}
	at := 0
	for i := range p.Series {
		if string(p.Series[i].UID) == chosen {
			at = i
		}
	}
	p.Series[at].Here, p.Current = true, &p.Series[at]
	if err := d.frames(r, &p, wado); err != nil {
		return nil, err
	}
	p.Facts = studyFacts(st)
	return &page{file: "study", title: p.Name, section: "/collections", help: "publish", data: p}, nil
}

// frames finds the picture to show: number ?at= of the series that was chosen, counted over instances and their frames.
func (d *Door) frames(r *request, p *studyPage, wado string) error {
	q := catalogue.NewQuery(catalogue.Instances)
	q.Collection, q.Study, q.SeriesUID = p.Collection, p.UID, p.Current.UID
	found, err := d.all(r.Context(), r, q)
	if err != nil {
		return err
	}
	p.Instances = found
	total := 0
	for _, i := range found {
		total += max(1, int(i.Frames))
	}
	n, err := strconv.Atoi(r.URL.Query().Get("at"))
	if err != nil || n < 1 || n > total {
		n = (total + 1) / 2 // the middle of a stack says most
	}
	left := n
	for _, i := range found {
		k := max(1, int(i.Frames))
		if left > k {
			left -= k
			continue
		}
		p.Frame.Viewable = i.Rows > 0 && i.Columns > 0
		p.Frame.Size = strconv.FormatInt(i.Columns, 10) + " × " + strconv.FormatInt(i.Rows, 10)
		p.Frame.Address = wado + "/series/" + url.PathEscape(string(p.Current.UID)) + "/instances/" + url.PathEscape(string(i.UID)) + "/frames/" + strconv.Itoa(left) + "/rendered?viewport=1024,768"
		break
	}
	p.Frame.Number, p.Frame.Count = n, total
	here := func(n int) string { return p.Current.Path + "&at=" + strconv.Itoa(n) + "#picture" }
	if n > 1 {
		p.Frame.Prev = here(n - 1)
	}
	if n < total {
		p.Frame.Next = here(n + 1)
	}
	return nil
}

// all reads every instance of a series, in the order of their numbers.
func (d *Door) all(ctx context.Context, r *request, q *catalogue.Query) ([]*catalogue.InstanceResult, error) {
	var out []*catalogue.InstanceResult
	for {
		q.Offset = len(out)
		found, more, err := d.Delivery.SearchInstances(ctx, r.delivery(), q)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
		if !more || len(out) >= 20_000 {
			sort.SliceStable(out, func(i, j int) bool { return out[i].Number < out[j].Number })
			return out, nil
		}
	}
}

// studyName is what a study is called: by its description, else by what it holds.
func studyName(s *catalogue.Study) string {
	if s.Description != "" {
		return s.Description
	}
	if len(s.Modalities) > 0 {
		return strings.Join(s.Modalities, " and ") + " study"
	}
	return "Study"
}

func studyFacts(s *catalogue.Study) []fact {
	facts := []fact{{"Subject", s.PatientID}, {"Sex", sexes[s.Sex]}}
	var more map[string]struct{ Value []any }
	if json.Unmarshal([]byte(s.JSON), &more) == nil {
		if v := more["00101010"].Value; len(v) > 0 {
			if age, ok := v[0].(string); ok {
				facts = append(facts, fact{"Age", ageWords(age)})
			}
		}
	}
	facts = append(facts, fact{"Date, shifted", s.StudyDate}, fact{"Modalities", strings.Join(s.Modalities, ", ")}, fact{"Series", grouped(strconv.FormatInt(s.Series, 10))},
		fact{"Images", grouped(strconv.FormatInt(s.Instances, 10))})
	out := facts[:0]
	for _, f := range facts {
		if f.Name == "Date, shifted" {
			if t := dicomDate(f.Value); !t.IsZero() {
				f.Value = t.Format("2006-01-02")
			}
		}
		if f.Value != "" {
			out = append(out, f)
		}
	}
	return out
}

var sexes = map[string]string{"F": "female", "M": "male", "O": "other"}

// ageWords writes an Age String (PS3.5 6.2, AS).
func ageWords(s string) string {
	units := map[byte]string{'Y': " years", 'M': " months", 'W': " weeks", 'D': " days"}
	if len(s) == 4 && units[s[3]] != "" {
		if n, err := strconv.Atoi(s[:3]); err == nil {
			return strconv.Itoa(n) + units[s[3]]
		}
	}
	return s
}

func dicomDate(s string) time.Time {
	t, err := time.Parse("20060102", s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// visit is a day of a subject's timeline.
type visit struct {
	Day     int // since the first
	Studies []visited
}

type visited struct {
	*catalogue.Study
	Name, Address, Thumbnail string
}

type subjectPage struct {
	Pseudonym  string
	Collection collection.ID
	Visits     []visit
	Undated    []visited
	Sex        string
}

// subject shows a person's course: what was imaged on which day, counted from the first.
func (d *Door) subject(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	missing := fault.New(fault.NotFound, "show subject", "", "there is no such subject that you may see")
	c, err := collection.ParseID(r.PathValue("collection"))
	if err != nil {
		return nil, missing
	}
	q := catalogue.NewQuery(catalogue.Studies)
	q.Collection = c
	if ok, err := q.Match("PatientID", r.PathValue("subject")); err != nil || !ok || strings.ContainsAny(r.PathValue("subject"), `*?\`) {
		return nil, missing
	}
	found, _, err := d.Delivery.SearchStudies(r.Context(), r.delivery(), q)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, missing
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].StudyDate < found[j].StudyDate })
	p := subjectPage{Pseudonym: found[0].PatientID, Collection: c, Sex: sexes[found[0].Sex]}
	var first time.Time
	for _, s := range found {
		v := visited{Study: s, Name: studyName(s), Address: studyAddress(c, s.UID),
			Thumbnail: "/collections/" + string(c) + "/dicomweb/studies/" + url.PathEscape(string(s.UID)) + "/thumbnail?viewport=320,240"}
		day := dicomDate(s.StudyDate)
		if day.IsZero() {
			p.Undated = append(p.Undated, v)
			continue
		}
		if first.IsZero() {
			first = day
		}
		n := int(day.Sub(first).Hours() / 24)
		if k := len(p.Visits); k == 0 || p.Visits[k-1].Day != n {
			p.Visits = append(p.Visits, visit{Day: n})
		}
		last := &p.Visits[len(p.Visits)-1]
		last.Studies = append(last.Studies, v)
	}
	return &page{file: "subject", title: "Subject " + p.Pseudonym, section: "/collections", help: "find", data: p}, nil
}
