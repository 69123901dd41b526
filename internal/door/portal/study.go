package portal

import (
	"encoding/json"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/face"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

func (d *Door) registerStudies(mux web.Routes) {
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

type studyPage struct {
	*catalogue.Study
	Address     string
	Name        string // what the study is called
	Date        time.Time
	Series      []seriesView
	Current     *seriesView
	Frame       frameView
	MayPublish  bool
	Published   bool
	Viewers     []viewerLink // the first is for everything
	Download    string
	Facts       []fact
	SeriesFacts []fact
	Person      string // "female, 57 years"
	Custody     []custodyStep
	Told        bool // clock times and names are in it
	Views       []delivery.View
	Bytes       int64
	Pick        *pickForm // nil: the picture cannot be shown on the collection's page
}

// viewerLink opens the study in the viewer, in one of its ways of looking.
type viewerLink struct{ Name, Address, About string }

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
	if p.Viewers, err = d.viewers(r, &p); err != nil {
		return nil, err
	}
	p.Facts, p.Person = studyFacts(st)
	h, err := d.Delivery.History(r.Context(), r.delivery(), c, st.UID)
	if err != nil {
		return nil, err
	}
	p.Custody, p.Told, p.Views, p.Bytes = custodySteps(h), h.Told, h.Views, h.Bytes
	p.Pick = r.pickForm(&p)
	if faces, err := d.Review.Faces(r.Context(), r.review(), c, st.ID); err == nil {
		if f := faces[p.Current.UID]; f.Outcome != "" {
			p.SeriesFacts = append(p.SeriesFacts, fact{"Face, by its pixels", faceWords(f)})
		}
	} else if !fault.Is(err, fault.Denied) && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	return &page{file: "study", title: p.Name, section: "/collections", help: "publish", data: p}, nil
}

// faceWords says what the slices of a series show, with the numbers it rests on.
func faceWords(f face.Finding) string {
	say := map[face.Outcome]string{face.Visible: "could be rendered", face.Unsure: "may be: it cannot be told", face.NotVisible: "none", face.NotHead: "none, it is no head"}[f.Outcome]
	return say + ": " + f.Why + " (" + f.Words() + ")"
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

// viewers are the ways of looking that fit what the study holds.
func (d *Door) viewers(r *request, p *studyPage) ([]viewerLink, error) {
	link := func(mode, hanging string, studies ...catalogue.StudyUID) string {
		uids := make([]string, len(studies))
		for i, u := range studies {
			uids[i] = string(u)
		}
		q := url.Values{"StudyInstanceUIDs": {strings.Join(uids, ",")}, "collection": {string(p.Collection)}}
		if hanging != "" {
			q.Set("hangingprotocolid", hanging)
		}
		return "/viewer/" + mode + "?" + q.Encode()
	}
	has := func(m string) bool { return slices.Contains(p.Modalities, m) }
	// The viewer begins with the series that the page shows.
	all := []viewerLink{{"Open in viewer", link("viewer", "", p.UID) + "&initialSeriesInstanceUID=" + url.QueryEscape(string(p.Current.UID)), "OHIF, with all series"}}
	if has("MG") {
		studies, about := []catalogue.StudyUID{p.UID}, "Right and left, CC above MLO, back to back"
		before, err := d.prior(r, p.Study)
		if err != nil {
			return nil, err
		}
		if before != "" {
			studies, about = append(studies, before), about+"; the next stage shows the prior study below"
		}
		all = append(all, viewerLink{"Mammography hanging", link("viewer", "vitrine-mammography", studies...), about})
	}
	if has("PT") && has("CT") {
		all = append(all, viewerLink{"PET fusion", link("tmtv", "", p.UID), "CT, PET and both in one, in three planes, with the projection"})
	}
	if volume(p.Series) {
		all = append(all, viewerLink{"Three planes", link("viewer", "mpr", p.UID), "Multiplanar reconstruction"})
	}
	return all, nil
}

// volume reports that one of the series is a stack of slices.
func volume(all []seriesView) bool {
	for _, s := range all {
		if (s.Modality == "CT" || s.Modality == "MR" || s.Modality == "PT") && s.Instances >= 8 {
			return true
		}
	}
	return false
}

// studyFacts says of a study what the catalogue knows, and of whom it is.
func studyFacts(s *catalogue.Study) (facts []fact, person string) {
	age := ""
	var more map[string]struct{ Value []any }
	if json.Unmarshal([]byte(s.JSON), &more) == nil {
		if v := more["00101010"].Value; len(v) > 0 {
			if a, ok := v[0].(string); ok {
				age = ageWords(a)
			}
		}
	}
	day := ""
	if t := dicomDate(s.StudyDate); !t.IsZero() {
		day = t.Format("2006-01-02")
	}
	for _, f := range []fact{{"Sex", sexes[s.Sex]}, {"Age", age}, {"Date, shifted", day}, {"Modalities", strings.Join(s.Modalities, ", ")}} {
		if f.Value != "" {
			facts = append(facts, f)
		}
	}
	return facts, pair(sexes[s.Sex], age)
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
