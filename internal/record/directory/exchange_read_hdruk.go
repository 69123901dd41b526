package directory

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// ReadHDRUK makes a draft of a description after HDR UK 4.0.0 or CRUK 1.0.0; older ones of HDR UK are understood as far as their fields are the same.
// What the draft does not take over is noted, so that nothing is lost unseen. Numbers by group are not taken: they are others' statistics.
func ReadHDRUK(r io.Reader) (Imported, error) {
	v, err := readJSON(r)
	if err != nil {
		return Imported{}, err
	}
	root, ok := v.(map[string]any)
	if _, has := root["summary"].(map[string]any); !ok || !has {
		return Imported{}, fault.New(fault.Invalid, "import a description", "HDR UK", "it has no summary, so it is no data set after HDR UK's schema")
	}
	d := Imported{Entry: Entry{Holding: Elsewhere}}
	s := &source{root: root, used: map[string]bool{}}
	s.summary(&d)
	s.provenance(&d)
	s.access(&d)
	s.usage(&d)
	s.linkage(&d)
	s.grants(&d)
	s.rest(&d)
	d.finish()
	return d, nil
}

// source is a JSON document of which is remembered what was read.
type source struct {
	root map[string]any
	used map[string]bool
}

// get is what lies at a.b.c. What is read is used, with all below it.
func (s *source) get(path string) any {
	s.used[path] = true
	var v any = s.root
	for key := range strings.SplitSeq(path, ".") {
		o, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = o[key]
	}
	return v
}

func (s *source) text(path string) string { return tidy(asText(s.get(path))) }

// texts are the texts of a list, of one text, or of a text with commas.
func (s *source) texts(path string) []string { return asTexts(s.get(path)) }

func asText(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1e18 {
			return strconv.FormatInt(int64(x), 10)
		}
	}
	return ""
}

func asTexts(v any) []string {
	switch x := v.(type) {
	case string:
		var out []string
		for part := range strings.SplitSeq(x, ",") {
			if part = tidy(part); part != "" {
				out = append(out, part)
			}
		}
		return out
	case []any:
		var out []string
		for _, item := range x {
			if t := tidy(asText(item)); t != "" && len(out) < maxCodes && !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
		return out
	}
	return nil
}

func (s *source) years(path string) *int {
	if f, ok := s.get(path).(float64); ok && f >= 0 && f <= 120 && f == math.Trunc(f) {
		n := int(f)
		return &n
	}
	return nil
}

func (s *source) objects(path string) []map[string]any {
	list, _ := s.get(path).([]any)
	var out []map[string]any
	for _, item := range list {
		if o, ok := item.(map[string]any); ok && len(out) < maxCodes {
			out = append(out, o)
		}
	}
	return out
}

func (s *source) summary(d *Imported) {
	e := &d.Entry
	for _, p := range []string{"version", "revisions", "issued", "modified"} {
		s.get(p) // of their record, not of the collection
	}
	e.Origin = cut(s.text("identifier"), 500)
	e.Title, e.Abstract = s.text("summary.title"), s.text("summary.abstract")
	e.Description = tidyParagraphs(asText(s.get("documentation.description")))
	e.Keywords = s.texts("summary.keywords")
	e.DOI = doi(s.text("summary.doiName"))
	e.Custodian.Name = s.text("summary.dataCustodian.name")
	if id := s.text("summary.dataCustodian.identifier"); rorForm.MatchString(id) {
		e.Custodian.ROR = id
	}
	e.Contact.Email = s.text("summary.contactPoint")
	if custodian := s.texts("summary.dataCustodian.contactPoint"); e.Contact.Email == "" && len(custodian) > 0 {
		e.Contact.Email = custodian[0]
	}
	for _, p := range []string{"logo", "memberOf", "description"} {
		s.get("summary.dataCustodian." + p)
	}
	for _, a := range s.texts("summary.datasetAliases") {
		if e.Acronym == "" && len(a) <= 40 && a == strings.ToUpper(a) {
			e.Acronym = a
		} else {
			e.Aliases = append(e.Aliases, a)
		}
	}
	for _, u := range s.texts("documentation.associatedMedia") {
		if e.URL == "" && strings.HasPrefix(u, "http") {
			e.URL = u
		} else {
			d.note("documentation.associatedMedia", "only one page is kept; this one is left out: "+quoted(u))
		}
	}
	e.Lead.Name, e.Lead.Institution = s.text("summary.leadResearcher"), s.text("summary.leadResearchInstitute")
	if n, ok := s.get("summary.populationSize").(float64); ok && n > 0 {
		e.Declared = &Declared{People: int64(min(n, 1e12)), AsOf: day(s.text("modified"))}
	}
}

func (s *source) provenance(d *Imported) {
	e := &d.Entry
	e.Spatial = s.texts("coverage.spatial")
	e.AgeMin, e.AgeMax = s.years("coverage.typicalAgeRangeMin"), s.years("coverage.typicalAgeRangeMax")
	for _, m := range s.texts("coverage.materialType") {
		if m != "None/not available" && m != "Availability to be confirmed" && m != "Other" {
			d.term("coverage.materialType", vocabulary.MaterialType, m, &e.Materials)
		}
	}
	d.oneTerm("coverage.followUp", vocabulary.FollowUp, s.text("coverage.followUp"), &e.FollowUp)
	for _, p := range asTextList(s.get("provenance.origin.purpose")) {
		d.term("provenance.origin.purpose", vocabulary.Purpose, p, &e.Purposes)
	}
	for _, p := range asTextList(s.get("provenance.origin.collectionSource")) {
		d.term("provenance.origin.collectionSource", vocabulary.Setting, p, &e.Settings)
	}
	s.get("provenance.origin.source")
	d.oneTerm("provenance.origin.imageContrast", vocabulary.Ternary, s.text("provenance.origin.imageContrast"), &e.Contrast)
	s.types(d)
	e.Start, e.End = day(s.text("provenance.temporal.startDate")), day(s.text("provenance.temporal.endDate"))
	if strings.EqualFold(e.End, "continuous") {
		e.End, e.Status = "", "in-progress"
	}
	d.oneTerm("provenance.temporal.publishingFrequency", vocabulary.Frequency, s.text("provenance.temporal.publishingFrequency"), &e.Frequency)
	s.get("provenance.temporal.timeLag")
	s.get("provenance.temporal.distributionReleaseDate")
	for _, v := range s.objects("demographicFrequency.disease") {
		d.disease("demographicFrequency.disease", tidy(asText(v["diseaseCodeVocabulary"])+" "+asText(v["diseaseCode"])), &e.Conditions)
	}
	if len(e.Conditions) == 0 {
		for _, k := range e.Keywords {
			e.Conditions = append(e.Conditions, ParseDisease(k)...)
		}
		slices.SortFunc(e.Conditions, func(a, b vocabulary.Code) int { return strings.Compare(a.String(), b.String()) })
		if e.Conditions = slices.Compact(e.Conditions); len(e.Conditions) > 0 {
			d.note("summary.keywords", fmt.Sprintf("%d codes of diseases were taken from the keywords: look whether they are right", len(e.Conditions)))
		}
	}
}

// asTextList is a list of texts, or one text that may have commas in it.
func asTextList(v any) []string {
	if t, ok := v.(string); ok {
		return []string{tidy(t)}
	}
	return asTexts(v)
}

// hdrModality and hdrArea are what the schema's coarse words stand for.
var (
	hdrModality = map[string]string{"CT": "CT", "MRI": "MR", "PET": "PT", "X-ray": "DX", "Ultrasound": "US", "Pathology": "SM"}
	hdrArea     = map[string]string{"Head": "69536005", "Chest": "816094009", "Arm": "53120007", "Abdomen": "818981001", "Leg": "61685007"}
)

func (s *source) types(d *Imported) {
	e := &d.Entry
	const path = "provenance.origin.datasetType"
	for _, o := range s.objects(path) {
		name := tidy(asText(o["name"]))
		for _, sub := range asTexts(o["subTypes"]) {
			switch {
			case strings.EqualFold(name, "Imaging types") && hdrModality[sub] != "":
				e.Modalities = append(e.Modalities, hdrModality[sub])
			case strings.EqualFold(name, "Imaging area of the body") && hdrArea[sub] != "":
				e.BodySites = append(e.BodySites, hdrArea[sub])
			case sub == "Others" || sub == "Not applicable" || strings.EqualFold(name, "Health and disease"):
			default:
				d.note(path, "this is not taken over: "+quoted(name+", "+sub))
			}
		}
	}
	for _, o := range s.objects("otherDataTypes") {
		if t, ok := vocabulary.Modality.Find(asText(o["title"])); ok {
			if !slices.Contains(e.Modalities, t.ID) {
				e.Modalities = append(e.Modalities, t.ID)
			}
		} else {
			d.note("otherDataTypes", "this is not taken over: "+quoted(tidy(asText(o["title"]))))
		}
	}
	e.Modalities, e.BodySites = unique(e.Modalities), unique(e.BodySites)
	e.Domains = e.domainsOf()
	for _, f := range s.objects("datasetFilters") {
		if asText(f["primaryGroup"]) == "cancer-type" {
			label := tidy(asText(f["label"]))
			if found := ParseDisease(label + " cancer"); len(found) > 0 {
				label += " cancer"
			}
			d.disease("datasetFilters", label, &e.Conditions)
		}
	}
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (s *source) access(d *Imported) {
	a := &d.Entry.Access
	para := func(path string) string { return tidyParagraphs(cut(asText(s.get(path)), 5000)) }
	a.Rights, a.How, a.Cost = para("accessibility.access.accessRights"), para("accessibility.access.accessService"),
		para("accessibility.access.accessRequestCost")
	d.oneTerm("accessibility.access.accessServiceCategory", vocabulary.AccessService, s.text("accessibility.access.accessServiceCategory"), &a.Service)
	d.oneTerm("accessibility.access.deliveryLeadTime", vocabulary.DeliveryLeadTime, s.text("accessibility.access.deliveryLeadTime"), &a.LeadTime)
	a.Jurisdiction = s.texts("accessibility.access.jurisdiction")
	a.Controller, a.Processor = cut(s.text("accessibility.access.dataController"), 500), cut(s.text("accessibility.access.dataProcessor"), 500)
	if s.text("documentation.inPipeline") == "Not available" {
		a.Condition = "restricted"
	}
	e := &d.Entry
	s.get("accessibility.formatAndStandards.vocabularyEncodingScheme")
	for _, m := range s.texts("accessibility.formatAndStandards.conformsTo") {
		d.term("accessibility.formatAndStandards.conformsTo", vocabulary.DataModel, m, &e.Standards)
	}
	for _, l := range s.texts("accessibility.formatAndStandards.language") {
		if e.Language == "" {
			e.Language = l
		}
	}
	e.Formats = s.texts("accessibility.formatAndStandards.format")
}

// What HDR UK's words for the use of data say in DUO. Those that need a value (which countries, how long) are noted.
var hdrUses = map[string]string{
	"General research use": "GRU", "No restriction": "NRES", "Research use only": "HMB",
	"Genetic studies only": "GSO", "No general methods research": "NMDS", "Institution-specific restrictions": "IS", "Not for profit use": "NPUNCU",
	"Project-specific restrictions": "PS", "User-specific restrictions": "US", "User-specific restriction": "US", "No linkage": "NO_RELINK",
	"Collaboration required":   "COL",
	"Ethics approval required": "IRB", "Publication required": "PUB", "Return to database or resource": "RTN", "Disclosure control": "NO_REID",
}

// usage makes one use of the limitations. Where a limitation is not understood, or no permission is named, there is none: a person has to say it.
func (s *source) usage(d *Imported) {
	const path = "accessibility.usage"
	d.Entry.Credit = cut(strings.Join(asTextList(s.get(path+".resourceCreator")), "; "), 1000)
	var u Use
	whole := true
	for _, field := range []string{".dataUseLimitation", ".dataUseRequirements"} {
		for _, v := range s.texts(path + field) {
			code, known := hdrUses[v]
			switch {
			case !known:
				whole = false
				d.note(path+field, "this cannot be said without a word of yours (which, where or how long): "+quoted(v))
			case vocabulary.DataUsePermission.Has(code):
				if u.Permission == "" || code == "HMB" || u.Permission == "NRES" {
					u.Permission = code // of several permissions the narrower one
				}
			case !slices.ContainsFunc(u.Modifiers, func(m Modifier) bool { return m.Code == code }):
				u.Modifiers = append(u.Modifiers, Modifier{Code: code})
			}
		}
	}
	switch {
	case whole && u.Permission != "":
		d.Entry.DataUse.Alternatives = []Use{u}
	case u.Permission != "" || len(u.Modifiers) > 0:
		d.note(path, "what it may be used for is not taken over, because part of it was not understood")
	}
}

func (s *source) linkage(d *Imported) {
	e := &d.Entry
	const path = "enrichmentAndLinkage."
	links := func(name string) []Link {
		var out []Link
		for _, o := range s.objects(path + name) {
			l := Link{Title: tidy(asText(o["title"])), URL: tidy(asText(o["url"])), PID: tidy(asText(o["pid"]))}
			if l.Title = first(l.Title, cut(l.PID, 150), cut(l.URL, 150)); l.Title != "" {
				out = append(out, l)
			}
		}
		return out
	}
	e.DerivedFrom, e.Linkable = links("derivedFrom"), links("linkableDatasets")
	for _, l := range links("isPartOf") {
		e.Networks = append(e.Networks, Network{Name: l.Title, URL: l.URL})
	}
	for name, uses := range map[string]bool{"publicationAboutDataset": false, "publicationUsingDataset": true} {
		for _, p := range s.texts(path + name) {
			e.Publications = append(e.Publications, Publication{DOI: doi(p), Uses: uses})
		}
	}
	slices.SortStableFunc(e.Publications, func(a, b Publication) int {
		switch {
		case a.Uses == b.Uses:
			return 0
		case b.Uses:
			return -1
		}
		return 1
	})
}

func (s *source) grants(d *Imported) {
	for _, o := range s.objects("projectGrants") {
		g := Grant{Funder: "Cancer Research UK", Number: tidy(asText(o["grantNumber"])), Title: tidy(asText(o["projectGrantName"])),
			Start: day(asText(o["projectGrantStartDate"])),
			End:   day(asText(o["projectGrantEndDate"])), Scope: tidy(asText(o["projectGrantScope"])),
			Lead: Person{Name: tidy(asText(o["leadResearcher"])), Institution: tidy(asText(o["leadResearchInstitute"]))}}
		if pid := tidy(asText(o["pid"])); strings.HasPrefix(pid, "http") {
			g.Reference = pid
		}
		d.Entry.Funding = append(d.Entry.Funding, g)
		d.note("projectGrants", "the schema does not say who paid; Cancer Research UK is written, look whether it is right")
	}
}

// rest notes what nobody read. Numbers of groups have a note of their own.
func (s *source) rest(d *Imported) {
	if len(s.objects("observations")) > 0 {
		d.note("observations", "counts are not taken over but for the size of the population")
	}
	for _, p := range []string{"demographicFrequency.age", "demographicFrequency.ethnicity"} {
		if len(s.objects(p)) > 0 {
			d.note(p, "counts by group are not taken over")
		}
	}
	for _, p := range []string{"icons", "erd", "omics.platform"} {
		s.get(p)
	}
	s.walk(d, "", s.root)
}

func (s *source) walk(d *Imported, path string, v any) {
	if s.used[path] || len(d.Notes) >= maxNotes {
		return
	}
	switch x := v.(type) {
	case map[string]any:
		for _, key := range sortedKeys(x) {
			p := key
			if path != "" {
				p = path + "." + key
			}
			s.walk(d, p, x[key])
		}
	case nil:
	case string, float64, bool:
		d.note(path, "this is not taken over")
	case []any:
		if len(x) > 0 {
			d.note(path, "this is not taken over")
		}
	}
}

func sortedKeys(o map[string]any) []string {
	keys := make([]string, 0, len(o))
	for k := range o {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
