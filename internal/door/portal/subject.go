package portal

import (
	"cmp"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// happening is a study or a clinical event in a subject's course.
type happening struct {
	Lane      string
	Name      string
	Study     *catalogue.Study // nil: a clinical event
	Address   string
	Thumbnail string
	Dated     bool
	Day       int    // since day 0, where Dated
	When      string // "day 58, +8 wk"
	Date      string // to stewards
}

type subjectPage struct {
	Pseudonym  string
	Collection collection.ID
	Person     string // "female, 57 years at diagnosis"
	Zero       string // what day 0 is
	Dates      bool   // dates are told, beside the days since day 0
	Course     []happening
	Timeline   *timeline // nil: nothing has a date
	Clinical   []fact
	Diagnosis  string
	Consent    *consent.PersonView // nil: not for this caller
	Said       []consent.EventView // the latest of what they said
	Withdraw   string              // the address at which they are withdrawn; empty: not by this caller
	Identity   string              // the address at which it is asked who the subject is; empty: not by this caller
}

// subject shows a person's course: what was imaged and what happened, on one axis of days since the first study or the baseline visit.
func (d *Door) subject(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	missing := fault.New(fault.NotFound, "show subject", "", "there is no such subject that you may see")
	c, err := collection.ParseID(r.PathValue("collection"))
	if err != nil {
		return nil, missing
	}
	patient := r.PathValue("subject")
	q := catalogue.NewQuery(catalogue.Studies)
	q.Collection = c
	if ok, err := q.Match("PatientID", patient); err != nil || !ok || !catalogue.Literal(patient) {
		return nil, missing
	}
	found, _, err := d.Delivery.SearchStudies(r.Context(), r.delivery(), q)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, missing
	}
	p := subjectPage{Pseudonym: found[0].PatientID, Collection: c}
	p.Dates = policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.SeeFate, Collection: string(c), State: policy.Received}).Allow
	var facts clinical.Facts
	if d.Clinical != nil {
		if facts, err = d.Clinical.Of(r.Context(), r.admin(), c, patient); err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
	}
	p.compose(found, facts)
	if d.Consent != nil && r.may(policy.SeeConsent, c) {
		switch p.Consent, err = d.Consent.Person(r.Context(), r.admin(), c, consent.Whom{Pseudonym: p.Pseudonym}); {
		case err == nil:
			p.Said = slices.Clone(p.Consent.Events)
			slices.Reverse(p.Said)
		case !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Conflict): // images kept as they came may be several people's
			return nil, err
		default:
			p.Consent = nil
		}
	}
	if d.Consent != nil && r.may(policy.Withdraw, c) {
		p.Withdraw = "/collections/" + string(c) + "/consent/withdraw?subject=" + url.QueryEscape(p.Pseudonym)
	}
	if d.Reidentify != nil {
		may, err := d.Reidentify.MayAsk(r.Context(), r.admin(), c)
		if err != nil {
			return nil, err
		}
		if may {
			p.Identity = identityAddress(c, p.Pseudonym)
		}
	}
	return &page{file: "subject", title: "Subject " + p.Pseudonym, section: "/collections", help: "find", data: p}, nil
}

// dated is something with its moment, before it is placed on the axis.
type dated struct {
	happening
	at time.Time
}

// compose puts studies and clinical facts on one axis.
func (p *subjectPage) compose(studies []*catalogue.Study, f clinical.Facts) {
	var all []dated
	for _, s := range studies {
		all = append(all, dated{happening{Lane: laneOf(s.Modalities), Name: studyName(s), Study: s, Address: studyAddress(s.Collection, s.UID),
			Thumbnail: "/collections/" + string(s.Collection) + "/dicomweb/studies/" + url.PathEscape(string(s.UID)) + "/thumbnail?viewport=160,160"}, dicomDate(s.StudyDate)})
	}
	day := func(s string) time.Time {
		t, err := time.Parse(time.DateOnly, s)
		if err != nil {
			return time.Time{}
		}
		return t
	}
	var zero time.Time
	for _, v := range f.Visits {
		all = append(all, dated{happening{Lane: clinicalLane, Name: timepointName(v.Name)}, day(v.Date)})
		if v.Name == "baseline" && zero.IsZero() {
			zero, p.Zero = day(v.Date), "the baseline visit"
		}
	}
	if t := day(f.Diagnosed); !t.IsZero() {
		all = append(all, dated{happening{Lane: clinicalLane, Name: "Diagnosis"}, t})
	}
	slices.SortStableFunc(all, func(a, b dated) int {
		if a.at.IsZero() != b.at.IsZero() {
			return cmp.Compare(btoi(a.at.IsZero()), btoi(b.at.IsZero())) // without a date: last
		}
		return a.at.Compare(b.at)
	})
	if zero.IsZero() {
		p.Zero = ""
		for _, h := range all {
			if h.Study != nil && !h.at.IsZero() {
				zero, p.Zero = h.at, "the first study that is held here"
				break
			}
		}
	}
	for _, h := range all {
		if h.Dated = !h.at.IsZero() && !zero.IsZero(); h.Dated {
			h.Day = int(math.Round(h.at.Sub(zero).Hours() / 24))
			h.When = relative(h.Day)
			if p.Dates {
				h.Date = h.at.Format(time.DateOnly)
			}
		}
		p.Course = append(p.Course, h.happening)
	}
	p.Timeline = newTimeline(p.Course)
	p.describe(studies, f, func(s string) string {
		if t := day(s); !t.IsZero() && !zero.IsZero() {
			return relative(int(math.Round(t.Sub(zero).Hours() / 24)))
		}
		return ""
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// describe says who the subject is, as far as is known.
func (p *subjectPage) describe(studies []*catalogue.Study, f clinical.Facts, when func(string) string) {
	sex := sexes[studies[0].Sex]
	if f.Sex != "" {
		sex = strings.ToLower(vocabulary.Sex.Label(f.Sex))
	}
	age := ""
	if f.Age != nil {
		age = strconv.Itoa(*f.Age) + " years"
		if *f.Age >= clinical.MaxAge {
			age += " or more"
		}
		if at := when(f.AgeAt); at != "" {
			age += " on " + at
		}
	}
	if p.Person = pair(sex, age); p.Person != "" {
		p.Person = strings.ToUpper(p.Person[:1]) + p.Person[1:]
	}
	var names []string
	for _, c := range f.Diagnoses {
		name := vocabulary.Label(c)
		names = append(names, name)
		p.Clinical = append(p.Clinical, fact{c.String(), name})
	}
	p.Diagnosis = strings.Join(names, "; ")
	if f.Stage != "" {
		p.Clinical = append(p.Clinical, fact{"Stage", vocabulary.Stage.Label(f.Stage)})
	}
	if f.TNM != "" {
		p.Clinical = append(p.Clinical, fact{"TNM", f.TNM})
	}
	if at := when(f.Diagnosed); at != "" {
		p.Clinical = append(p.Clinical, fact{"Diagnosed", at})
	}
	if age != "" {
		p.Clinical = append(p.Clinical, fact{"Age", age})
	}
}

const clinicalLane = "Clinical"

// laneOf is the lane of a study: what was imaged with, in plain words.
func laneOf(all []string) string {
	has := func(m string) bool { return slices.Contains(all, m) }
	switch {
	case has("PT") && has("CT"):
		return "PET/CT"
	case has("PT") && has("MR"):
		return "PET/MR"
	case has("PT"):
		return "PET"
	case has("MR"):
		return "MR"
	case has("CT"):
		return "CT"
	case len(all) == 0:
		return "Other"
	}
	return plainModality(all[0])
}

// timepointName writes a timepoint as one writes.
func timepointName(s string) string {
	if s == "" {
		return "Visit"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// relative writes a day since day 0: the researcher's time.
func relative(day int) string {
	s := "day " + signed(day)
	if weeks := int(math.Round(float64(day) / 7)); day <= -14 || day >= 14 {
		mark := "+"
		if weeks < 0 {
			mark = ""
		}
		s += ", " + mark + signed(weeks) + " wk"
	}
	return s
}

func signed(n int) string {
	if n < 0 {
		return "−" + strconv.Itoa(-n)
	}
	return strconv.Itoa(n)
}

// timeline is a course drawn: lanes from above, time to the right. All lengths are in the units of its view box.
type timeline struct {
	Width, Height int
	Zero          string // where day 0 is
	Bottom        int
	Lanes         []lane
	Ticks         []tick
}

type lane struct {
	Name      string
	Y, Height int
	Middle    int // baseline of its name
	Items     []placed
}

type placed struct {
	happening
	X, Y, Mid string // of the picture's corner, and its middle
	TextY     int
	Label     string
}

type tick struct{ X, Label string }

const (
	chartWidth = 1180
	chartLeft  = 132 // room for names
	chartTop   = 28
	pictureOf  = 84 // width and height of a picture
	rowHeight  = pictureOf + 26
	eventRow   = 30
	laneGap    = 8
)

// newTimeline draws what has a date; nil if nothing has.
func newTimeline(course []happening) *timeline {
	var items []happening
	for _, h := range course {
		if h.Dated {
			items = append(items, h)
		}
	}
	if len(items) == 0 {
		return nil
	}
	first, last := items[0].Day, items[0].Day
	for _, h := range items {
		first, last = min(first, h.Day), max(last, h.Day)
	}
	first, last = min(first, 0), max(last, 0)
	span := float64(max(last-first, 28))
	left, right := float64(chartLeft+pictureOf/2+6), float64(chartWidth-pictureOf/2-14)
	at := func(day int) float64 { return left + (right-left)*float64(day-first)/span }
	t := &timeline{Width: chartWidth, Zero: coordinate(at(0))}
	var names []string
	for _, h := range items {
		if !slices.Contains(names, h.Lane) && h.Lane != clinicalLane {
			names = append(names, h.Lane)
		}
	}
	names = append(names, clinicalLane) // below the pictures
	y := chartTop
	for _, name := range names {
		l := lane{Name: name, Y: y}
		var ends []float64 // where the rows of the lane are free from
		height, wide := rowHeight, float64(pictureOf+10)
		if name == clinicalLane {
			height, wide = eventRow, 150
		}
		for _, h := range items {
			if h.Lane != name {
				continue
			}
			x := at(h.Day)
			row := 0
			for row < len(ends) && ends[row] > x {
				row++
			}
			if row == len(ends) {
				ends = append(ends, 0)
			}
			ends[row] = x + wide
			top := y + 8 + row*height
			p := placed{happening: h, X: coordinate(x - pictureOf/2), Y: strconv.Itoa(top), Mid: coordinate(x), TextY: top + pictureOf + 14, Label: shortDay(h.Day)}
			if h.Study == nil {
				p.TextY, p.Label = top+14, h.Name
				p.X = coordinate(x + 10)
				if x > right-80 { // the words stand before the point
					p.X = ""
				}
			}
			l.Items = append(l.Items, p)
		}
		if len(l.Items) == 0 {
			continue
		}
		l.Height = 12 + len(ends)*height
		if name == clinicalLane {
			l.Height = 8 + len(ends)*height
		}
		l.Middle = l.Y + l.Height/2 + 4
		y += l.Height + laneGap
		t.Lanes = append(t.Lanes, l)
	}
	t.Bottom = y - laneGap
	t.Height = t.Bottom + 4
	t.Ticks = ticks(first, first+int(span), at)
	return t
}

func coordinate(f float64) string { return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) }

// shortDay is what stands under a picture.
func shortDay(day int) string {
	if day > -14 && day < 14 {
		return "day " + signed(day)
	}
	_, weeks, _ := strings.Cut(relative(day), ", ")
	return weeks
}

// ticks marks the axis at whole weeks, months or years, at most ten times.
func ticks(first, last int, at func(int) float64) []tick {
	steps := []struct {
		days, by int
		unit     string
	}{{7, 1, "wk"}, {14, 2, "wk"}, {28, 4, "wk"}, {56, 8, "wk"}, {91, 13, "wk"}, {182, 26, "wk"}, {364, 52, "wk"}}
	years := 2
	step := steps[0]
	for i := 0; (last-first)/step.days > 9; i++ {
		if i+1 < len(steps) {
			step = steps[i+1]
			continue
		}
		step.days, step.by, step.unit = int(365.25*float64(years)), years, "years"
		years *= 2
	}
	var all []tick
	for n := int(math.Ceil(float64(first) / float64(step.days))); n*step.days <= last; n++ {
		label := "0"
		if n != 0 {
			label = fmt.Sprintf("%s %s", signed(n*step.by), step.unit)
			if n > 0 {
				label = "+" + label
			}
		}
		all = append(all, tick{coordinate(at(n * step.days)), label})
	}
	return all
}
