package directory

import (
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// Problem is something wrong with an entry, or something that an import did not understand, in words for whoever wrote it.
type Problem struct {
	Path string `json:"path"` // the field, as in the document: conditions[2].code
	Text string `json:"text"`
}

func (p Problem) String() string { return p.Path + ": " + p.Text }

// Bounds of lists. A list that reaches them is no description any more.
const (
	maxList      = 100
	maxCodes     = 500
	maxNestedSet = 200
)

// Problems are what keeps an entry from being stored: what is written, but wrong. An entry that lacks things may still be stored as a draft: see Missing.
// The document is in the order of the fields, and no longer than a few hundred problems.
func (e *Entry) Problems() []Problem {
	c := &checker{}
	c.terms("holding", []string{"here", "elsewhere", "peer"}, string(e.Holding), true)
	if e.Collection != "" {
		if _, err := collection.ParseID(e.Collection); err != nil {
			c.say("collection", "a collection's ID is 1 to 63 lower-case letters, digits and hyphens, and begins and ends with a letter or digit")
		}
	}
	c.text("peer", e.Peer, 0, 200)
	c.text("origin", e.Origin, 0, 500)

	c.text("title", e.Title, 2, 150)
	c.text("acronym", e.Acronym, 0, 40)
	c.texts("aliases", e.Aliases, 2, 150)
	c.text("abstract", e.Abstract, 5, 255)
	c.paragraphs("description", e.Description, 10_000)
	c.texts("keywords", e.Keywords, 2, 80)
	c.doi("doi", e.DOI)
	c.web("url", e.URL)
	if e.Language != "" && !(len(e.Language) == 2 && lower(e.Language)) {
		c.say("language", "a language is two small letters after ISO 639-1: en")
	}

	c.organisation("custodian", e.Custodian)
	c.text("contact.name", e.Contact.Name, 0, 150)
	c.email("contact.email", e.Contact.Email)
	c.web("contact.url", e.Contact.URL)
	c.size("networks", len(e.Networks), maxList)
	for i, n := range e.Networks {
		c.text(at("networks", i, "name"), n.Name, 2, 150)
		c.needed(at("networks", i, "name"), n.Name)
		c.web(at("networks", i, "url"), n.URL)
	}

	c.term("status", vocabulary.CollectionStatus, e.Status)
	c.all("types", vocabulary.CollectionType, e.Types)
	c.all("purposes", vocabulary.Purpose, e.Purposes)
	c.all("settings", vocabulary.Setting, e.Settings)
	c.term("reason", vocabulary.RegistrationReason, e.Reason)
	c.all("inclusion", vocabulary.Inclusion, e.Inclusion)

	c.all("domains", vocabulary.Domain, e.Domains)
	c.all("modalities", vocabulary.Modality, e.Modalities)
	c.all("bodySites", vocabulary.BodySite, e.BodySites)
	c.codes("conditions", e.Conditions)
	c.all("stages", vocabulary.Stage, e.Stages)
	c.all("stains", vocabulary.Stain, e.Stains)
	c.texts("scanners", e.Scanners, 2, 150)
	c.term("contrast", vocabulary.Ternary, e.Contrast)
	c.size("magnifications", len(e.Magnifications), maxList)
	for i, m := range e.Magnifications {
		if !(m >= 1 && m <= 200) {
			c.say(at("magnifications", i, ""), "an objective's power lies between 1 and 200")
		}
	}

	c.all("sexes", vocabulary.Sex, e.Sexes)
	c.all("ageBands", vocabulary.AgeRange, e.AgeBands)
	c.age("ageMin", e.AgeMin)
	c.age("ageMax", e.AgeMax)
	if e.AgeMin != nil && e.AgeMax != nil && *e.AgeMin > *e.AgeMax {
		c.say("ageMax", "the oldest cannot be younger than the youngest")
	}

	c.all("materials", vocabulary.MaterialType, e.Materials)
	c.sampleSets(e.SampleSets)
	c.declared(e)

	c.date("start", e.Start, true)
	c.date("end", e.End, true)
	if e.Start != "" && e.End != "" && !before(e.Start, e.End) {
		c.say("end", "the end lies before the start")
	}
	c.term("frequency", vocabulary.Frequency, e.Frequency)
	c.term("followUp", vocabulary.FollowUp, e.FollowUp)
	c.size("timepoints", len(e.Timepoints), maxList)
	for i, p := range e.Timepoints {
		c.text(at("timepoints", i, "name"), p.Name, 1, 100)
		c.needed(at("timepoints", i, "name"), p.Name)
		if p.Week != nil && (*p.Week < -2600 || *p.Week > 5200) {
			c.say(at("timepoints", i, "week"), "a timepoint lies within a life: -2600 to 5200 weeks")
		}
		c.all(at("timepoints", i, "modalities"), vocabulary.Modality, p.Modalities)
	}
	c.texts("spatial", e.Spatial, 2, 150)

	c.size("associatedData", len(e.AssociatedData), maxList)
	for i, a := range e.AssociatedData {
		c.term(at("associatedData", i, "type"), vocabulary.AssociatedDataType, a.Type)
		c.needed(at("associatedData", i, "type"), a.Type)
		c.term(at("associatedData", i, "leadTime"), vocabulary.AssociatedDataTimeframe, a.LeadTime)
		c.text(at("associatedData", i, "note"), a.Note, 0, 500)
	}
	c.links("linkable", e.Linkable)
	c.links("derivedFrom", e.DerivedFrom)
	c.size("publications", len(e.Publications), maxCodes)
	for i, p := range e.Publications {
		c.doi(at("publications", i, "doi"), p.DOI)
		c.needed(at("publications", i, "doi"), p.DOI)
		c.text(at("publications", i, "title"), p.Title, 0, 500)
	}
	c.all("standards", vocabulary.DataModel, e.Standards)
	c.texts("formats", e.Formats, 1, 100)

	c.access(e.Access)
	c.dataUse(e.DataUse)
	c.size("ethics", len(e.Ethics), maxList)
	for i, a := range e.Ethics {
		for name, v := range map[string]string{"committee": a.Committee, "rec": a.REC, "iras": a.IRAS, "cag": a.CAG, "htaLicence": a.HTALicence} {
			c.text(at("ethics", i, name), v, 0, 150)
		}
		c.date(at("ethics", i, "expires"), a.Expires, false)
	}
	c.size("funding", len(e.Funding), maxList)
	for i, g := range e.Funding {
		c.grant(i, g)
	}
	c.person("lead", e.Lead)
	c.text("credit", e.Credit, 0, 1000)
	c.sort()
	return c.problems
}

// checker collects problems.
type checker struct{ problems []Problem }

func (c *checker) say(path, text string) {
	if len(c.problems) < 300 {
		c.problems = append(c.problems, Problem{path, text})
	}
}

// sort keeps the order in which the fields were looked at, but for those of maps.
func (c *checker) sort() {
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		if strings.HasPrefix(a.Path, "ethics[") && strings.HasPrefix(b.Path, "ethics[") {
			return strings.Compare(a.Path, b.Path)
		}
		return 0
	})
}

func at(list string, i int, field string) string {
	if field == "" {
		return fmt.Sprintf("%s[%d]", list, i)
	}
	return fmt.Sprintf("%s[%d].%s", list, i, field)
}

func (c *checker) needed(path, s string) {
	if s == "" {
		c.say(path, "this must be filled in, or the row taken out")
	}
}

func (c *checker) size(path string, n, most int) {
	if n > most {
		c.say(path, fmt.Sprintf("%d are too many: at most %d", n, most))
	}
}

// text is one line; empty is a matter of Missing.
func (c *checker) text(path, s string, least, most int) {
	n := utf8.RuneCountInString(s)
	switch {
	case s == "":
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable):
		c.say(path, "this is not one line of printable text")
	case strings.TrimSpace(s) != s:
		c.say(path, "there is space around it")
	case n < least:
		c.say(path, fmt.Sprintf("%d characters are too few: at least %d", n, least))
	case n > most:
		c.say(path, fmt.Sprintf("%d characters are too many: at most %d", n, most))
	}
}

func (c *checker) paragraphs(path, s string, most int) {
	n := utf8.RuneCountInString(s)
	switch {
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unprintable(r) && r != '\n' && r != '\t' }):
		c.say(path, "this is not printable text")
	case n > most:
		c.say(path, fmt.Sprintf("%d characters are too many: at most %d", n, most))
	}
}

// unprintable are control characters, and those that turn the direction of writing, by which a text can be made to look like another.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || r == utf8.RuneError || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == 0x2028 || r == 0x2029
}

func (c *checker) texts(path string, list []string, least, most int) {
	c.size(path, len(list), maxList)
	for i, s := range list {
		c.text(at(path, i, ""), s, least, most)
		c.needed(at(path, i, ""), s)
	}
	c.once(path, list)
}

func (c *checker) once(path string, list []string) {
	seen := map[string]bool{}
	for i, s := range list {
		if seen[s] {
			c.say(at(path, i, ""), "this is there twice")
		}
		seen[s] = true
	}
}

func (c *checker) terms(path string, list []string, s string, needed bool) {
	if s == "" && !needed {
		return
	}
	if !slices.Contains(list, s) {
		c.say(path, "one of these is needed: "+strings.Join(list, ", "))
	}
}

func (c *checker) term(path string, l *vocabulary.List, id string) {
	if id == "" || l.Has(id) {
		return
	}
	text := "this is not on the list " + l.Name
	if near, ok := l.Find(id); ok && len(id) < 200 {
		text += "; the identifier of " + near.Label + " is " + near.ID
	} else if len(l.Terms) <= 12 {
		var ids []string
		for _, t := range l.Terms {
			ids = append(ids, t.ID)
		}
		text += ": " + strings.Join(ids, ", ")
	}
	c.say(path, text)
}

func (c *checker) all(path string, l *vocabulary.List, ids []string) {
	c.size(path, len(ids), maxList)
	for i, id := range ids {
		c.term(at(path, i, ""), l, id)
		c.needed(at(path, i, ""), id)
	}
	c.once(path, ids)
}

func (c *checker) codes(path string, codes []vocabulary.Code) {
	c.size(path, len(codes), maxCodes)
	seen := map[vocabulary.Code]bool{}
	for i, code := range codes {
		got, err := vocabulary.ParseCode(code.System, code.Value)
		switch {
		case err != nil || code.System == vocabulary.Group:
			c.say(at(path, i, "code"), codeProblem(code.System))
		case got != code:
			c.say(at(path, i, "code"), "its usual form is "+got.Value)
		case seen[code]:
			c.say(at(path, i, ""), "this is there twice")
		}
		seen[code] = true
	}
}

func codeProblem(system vocabulary.System) string {
	if !slices.Contains(vocabulary.Systems, system) {
		system = ""
	}
	return vocabulary.Syntax(system)
}

var (
	doiForm   = regexp.MustCompile(`^10\.\d{4,9}/[-._;()/:a-zA-Z0-9]+$`) // as HDR UK 4.0.0 has it
	rorForm   = regexp.MustCompile(`^https://ror\.org/0[a-hj-km-np-tv-z0-9]{6}[0-9]{2}$`)
	orcidForm = regexp.MustCompile(`^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$`)
	placeForm = regexp.MustCompile(`^[A-Z]{2}(-[A-Z]{2,3})?$`)
	odsForm   = regexp.MustCompile(`^[A-Z0-9]{3,10}$`)
	dateForm  = regexp.MustCompile(`^\d{4}(-\d{2}(-\d{2})?)?$`)
)

func (c *checker) doi(path, s string) {
	if s != "" && (len(s) > 200 || !doiForm.MatchString(s)) {
		c.say(path, "a DOI is written without an address before it: 10.1234/abc")
	}
}

func (c *checker) web(path, s string) {
	if s == "" {
		return
	}
	u, err := url.Parse(s)
	if err != nil || len(s) > 1000 || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"<>\^{|}`+"`", r)
	}) {
		c.say(path, "this is not the address of a page: https://example.org/collection")
	}
}

func (c *checker) email(path, s string) {
	if s == "" {
		return
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || len(s) > 254 || !emailForm.MatchString(s) {
		c.say(path, "this is not an e-mail address: imaging@example.org")
	}
}

// emailForm is what every mail system and the schemas take: a plain local part and a domain.
var emailForm = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+)*@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}$`)

func (c *checker) date(path, s string, coarse bool) {
	if s == "" {
		return
	}
	t, err := parseDate(s)
	switch {
	case err != nil || !coarse && len(s) != 10:
		if coarse {
			c.say(path, "a date is YYYY, YYYY-MM or YYYY-MM-DD")
		} else {
			c.say(path, "a date is YYYY-MM-DD")
		}
	case t.Year() < 1895 || t.Year() > 2200:
		c.say(path, "the year cannot be right")
	}
}

func parseDate(s string) (time.Time, error) {
	if !dateForm.MatchString(s) {
		return time.Time{}, strconv.ErrSyntax
	}
	return time.Parse("2006-01-02"[:len(s)], s)
}

// before reports whether a day can come no later than another, where either may be only a month or a year.
func before(a, b string) bool {
	n := min(len(a), len(b))
	return a[:n] <= b[:n]
}

func (c *checker) age(path string, years *int) {
	if years != nil && (*years < 0 || *years > 120) {
		c.say(path, "an age is a whole number of years from 0 to 120")
	}
}

func (c *checker) organisation(path string, o Organisation) {
	c.text(path+".name", o.Name, 2, 150)
	c.term(path+".kind", vocabulary.OrganisationKind, o.Kind)
	c.ror(path+".ror", o.ROR)
	if o.ODS != "" && !odsForm.MatchString(o.ODS) {
		c.say(path+".ods", "an ODS code is 3 to 10 capitals and digits")
	}
	if o.Country != "" && !(len(o.Country) == 2 && placeForm.MatchString(o.Country)) {
		c.say(path+".country", "a country is two capitals after ISO 3166-1: GB")
	}
	c.web(path+".url", o.URL)
}

func (c *checker) ror(path, s string) {
	if s != "" && !rorForm.MatchString(s) {
		c.say(path, "a ROR identifier is https://ror.org/ and nine letters and digits")
	}
}

func (c *checker) person(path string, p Person) {
	c.text(path+".name", p.Name, 2, 150)
	if p.ORCID != "" && (!orcidForm.MatchString(p.ORCID) || !orcidSum(p.ORCID)) {
		c.say(path+".orcid", "an ORCID is four groups of four digits, of which the last checks the others: 0000-0002-1825-0097")
	}
	c.text(path+".institution", p.Institution, 2, 150)
}

// orcidSum checks the last digit (ISO 7064 MOD 11-2).
func orcidSum(s string) bool {
	s = strings.ReplaceAll(s, "-", "")
	sum := 0
	for i := range 15 {
		sum = (sum + int(s[i]-'0')) * 2
	}
	want := byte('0' + (12-sum%11)%11)
	if want == '0'+10 {
		want = 'X'
	}
	return s[15] == want
}

func (c *checker) sampleSets(sets []SampleSet) {
	c.size("sampleSets", len(sets), maxNestedSet)
	for i, s := range sets {
		c.term(at("sampleSets", i, "sex"), vocabulary.Sex, s.Sex)
		c.needed(at("sampleSets", i, "sex"), s.Sex)
		c.term(at("sampleSets", i, "ageBand"), vocabulary.AgeRange, s.AgeBand)
		c.needed(at("sampleSets", i, "ageBand"), s.AgeBand)
		c.term(at("sampleSets", i, "donors"), vocabulary.DonorCount, s.Donors)
		c.needed(at("sampleSets", i, "donors"), s.Donors)
		c.size(at("sampleSets", i, "materials"), len(s.Materials), maxList)
		for j, m := range s.Materials {
			path := at(at("sampleSets", i, "materials"), j, "")
			c.term(path+".type", vocabulary.MaterialType, m.Type)
			c.needed(path+".type", m.Type)
			c.term(path+".preservation", vocabulary.PreservationType, m.Preservation)
			c.term(path+".temperature", vocabulary.StorageTemperature, m.Temperature)
		}
	}
}

func (c *checker) declared(e *Entry) {
	d := e.Declared
	if d == nil {
		return
	}
	if e.Holding == Here {
		c.say("declared", "what is held here is counted, not declared")
	}
	for name, n := range map[string]int64{"people": d.People, "studies": d.Studies, "images": d.Images} {
		if n < 0 || n > 1e12 {
			c.say("declared."+name, "this number cannot be right")
		}
	}
	c.date("declared.asOf", d.AsOf, false)
}

func (c *checker) links(path string, ls []Link) {
	c.size(path, len(ls), maxList)
	for i, l := range ls {
		c.text(at(path, i, "title"), l.Title, 2, 150)
		c.needed(at(path, i, "title"), l.Title)
		c.web(at(path, i, "url"), l.URL)
		c.text(at(path, i, "pid"), l.PID, 2, 150)
	}
}

func (c *checker) access(a Access) {
	c.term("access.condition", vocabulary.AccessCondition, a.Condition)
	c.term("access.service", vocabulary.AccessService, a.Service)
	c.paragraphs("access.rights", a.Rights, 5000)
	c.paragraphs("access.how", a.How, 5000)
	c.paragraphs("access.cost", a.Cost, 5000)
	c.term("access.leadTime", vocabulary.DeliveryLeadTime, a.LeadTime)
	c.size("access.jurisdiction", len(a.Jurisdiction), maxList)
	for i, p := range a.Jurisdiction {
		if !placeForm.MatchString(p) {
			c.say(at("access.jurisdiction", i, ""), "a place is a country's two capitals, with a part of it after a hyphen: GB, GB-SCT")
		}
	}
	c.once("access.jurisdiction", a.Jurisdiction)
	c.text("access.controller", a.Controller, 2, 500)
	c.text("access.processor", a.Processor, 2, 500)
	c.term("access.legalBasis", vocabulary.LegalBasis, a.LegalBasis)
}

func (c *checker) dataUse(d DataUse) {
	c.size("dataUse.alternatives", len(d.Alternatives), maxList)
	for i, u := range d.Alternatives {
		path := at("dataUse.alternatives", i, "")
		c.term(path+".permission", vocabulary.DataUsePermission, u.Permission)
		c.needed(path+".permission", u.Permission)
		c.codes(path+".diseases", u.Diseases)
		switch {
		case u.Permission == "DS" && len(u.Diseases) == 0:
			c.say(path+".diseases", "disease specific research needs the diseases")
		case u.Permission != "DS" && len(u.Diseases) > 0:
			c.say(path+".diseases", "only disease specific research (DS) names diseases")
		}
		c.size(path+".modifiers", len(u.Modifiers), maxList)
		seen := map[string]bool{}
		for j, m := range u.Modifiers {
			p := at(path+".modifiers", j, "")
			c.term(p+".code", vocabulary.DataUseModifier, m.Code)
			c.needed(p+".code", m.Code)
			if seen[m.Code] {
				c.say(p+".code", "this is there twice")
			}
			seen[m.Code] = true
			c.modifier(p, m)
		}
	}
	c.all("dataUse.restrictions", vocabulary.ConsentRestriction, d.Restrictions)
	c.paragraphs("dataUse.note", d.Note, 2000)
}

// modifier checks the values that it takes.
func (c *checker) modifier(path string, m Modifier) {
	c.size(path+".values", len(m.Values), maxList)
	t, _ := vocabulary.DataUseModifier.Get(m.Code)
	takes := t.Ref("takes")
	if takes == "" {
		if len(m.Values) > 0 {
			c.say(path+".values", "this modifier takes no values")
		}
		return
	}
	if len(m.Values) == 0 {
		c.say(path+".values", map[string]string{"countries": "say which countries", "months": "say how many months", "date": "say until when", "text": "say which research"}[takes])
	}
	for i, v := range m.Values {
		p := at(path+".values", i, "")
		switch takes {
		case "countries":
			if !placeForm.MatchString(v) {
				c.say(p, "a country is two capitals after ISO 3166-1: GB")
			}
		case "months":
			if n, err := strconv.Atoi(v); err != nil || n < 1 || n > 1200 {
				c.say(p, "a number of months is needed")
			}
		case "date":
			c.date(p, v, false)
			c.needed(p, v)
		default:
			c.text(p, v, 2, 500)
		}
	}
}

func (c *checker) grant(i int, g Grant) {
	p := at("funding", i, "")
	c.text(p+".funder", g.Funder, 2, 150)
	c.needed(p+".funder", g.Funder)
	c.ror(p+".ror", g.ROR)
	c.text(p+".number", g.Number, 1, 100)
	c.text(p+".title", g.Title, 2, 150)
	c.person(p+".lead", g.Lead)
	c.date(p+".start", g.Start, false)
	c.date(p+".end", g.End, false)
	if g.Start != "" && g.End != "" && g.End < g.Start {
		c.say(p+".end", "the end lies before the start")
	}
	c.text(p+".scope", g.Scope, 5, 500)
	c.web(p+".reference", g.Reference)
}

func lower(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 'a' || r > 'z' })
}
