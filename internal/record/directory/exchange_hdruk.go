package directory

import (
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// notStated is the population size of HDR UK's gateway where none is given: a withheld number must not look like nobody.
const notStated = -1

// HDRUK is an entry after the schema HDR UK 4.0.0.
func HDRUK(site Site, l Listed) ([]byte, error) { return encode(hdruk(site, l)) }

// CRUK is an entry after the schema CRUK 1.0.0: HDR UK's with the lead, the grants and the kinds of image. Grants are listed that say all that the schema
// asks for: title, lead, institution, number, start and end.
func CRUK(site Site, l Listed) ([]byte, error) {
	doc := hdruk(site, l)
	e := &l.Entry
	summary := doc["summary"].(object)
	filled(summary, "leadResearcher", e.Lead.Name)
	filled(summary, "leadResearchInstitute", e.Lead.Institution)
	var grants []object
	for _, g := range e.Funding {
		lead := g.Lead
		if lead.Name == "" {
			lead = e.Lead
		}
		if g.Title == "" || g.Number == "" || g.Start == "" || lead.Name == "" || lead.Institution == "" {
			continue
		}
		grants = append(grants, object{"pid": orNull(g.pid()), "projectGrantName": g.Title, "leadResearcher": lead.Name,
			"leadResearchInstitute": lead.Institution,
			"grantNumber":           g.Number, "projectGrantStartDate": g.Start, "projectGrantEndDate": orNull(g.End), "projectGrantScope": orNull(g.Scope)})
	}
	doc["projectGrants"] = listOrNull(grants)
	var other []object
	if slices.Contains(e.Formats, "application/dicom") || slices.Contains(e.Standards, "dicom") || e.Holding == Here {
		for _, id := range e.Modalities {
			if t, ok := vocabulary.Modality.Get(id); ok {
				other = append(other, object{"title": t.Label, "description": t.Lay, "format": "application/dicom"})
			}
		}
	}
	doc["otherDataTypes"] = listOrNull(other)
	doc["datasetFilters"], doc["icons"], doc["erd"] = nil, nil, nil
	return encode(doc)
}

// pid is the grant's address where it fits into HDR UK's persistent identifiers.
func (g Grant) pid() string {
	if len(g.Reference) > 150 {
		return ""
	}
	return g.Reference
}

func hdruk(site Site, l Listed) object {
	e, c := &l.Entry, &l.Counts
	var identifier any
	if site.Base != "" {
		identifier = site.page(l.ID)
	}
	version := semver(l.Revision)
	return object{
		"identifier":           identifier,
		"version":              version,
		"revisions":            []object{{"version": version, "url": identifier}},
		"issued":               stamp(l.issued()),
		"modified":             stamp(l.At),
		"summary":              hdrSummary(e, c),
		"documentation":        hdrDocumentation(e),
		"coverage":             hdrCoverage(e),
		"provenance":           hdrProvenance(e),
		"accessibility":        hdrAccessibility(site, l),
		"enrichmentAndLinkage": hdrLinkage(e),
		"observations":         hdrObservations(c),
		"structuralMetadata":   nil,
		"demographicFrequency": hdrDemographics(c),
		"omics":                nil,
	}
}

func hdrSummary(e *Entry, c *Counts) object {
	size := int64(notStated)
	if c.People.Known {
		size = c.People.Value
	}
	email := orNull(e.Contact.Email)
	aliases := slices.Clone(e.Aliases)
	if long(e.Acronym) != nil {
		aliases = append(aliases, e.Acronym)
	}
	return object{
		"title": e.Title, "abstract": e.Abstract, "populationSize": size, "keywords": listOrNull(e.Keywords), "doiName": orNull(e.DOI), "contactPoint": email,
		"datasetAliases": listOrNull(aliases),
		"dataCustodian": object{"identifier": cut(first(e.Custodian.ROR, e.Custodian.ODS, e.Custodian.Name), 50), "name": e.Custodian.Name, "logo": nil,
			"description": orNull(e.Custodian.URL), "contactPoint": email, "memberOf": nil},
	}
}

func hdrDocumentation(e *Entry) object {
	pipeline := "Available"
	if e.Access.Condition == "closed" || e.Access.Condition == "restricted" || e.Status == "not-started" {
		pipeline = "Not available"
	}
	var media []string
	if e.URL != "" {
		media = []string{e.URL}
	}
	return object{"description": first(e.Description, e.Abstract), "associatedMedia": listOrNull(media), "inPipeline": pipeline}
}

func hdrCoverage(e *Entry) object {
	places := make([]string, len(e.Spatial))
	for i, p := range e.Spatial {
		places[i] = strings.ReplaceAll(p, ",", " ")
	}
	if len(places) == 0 {
		places = e.Access.Jurisdiction
	}
	return object{"spatial": orNull(strings.Join(places, ",")), "typicalAgeRangeMin": e.AgeMin, "typicalAgeRangeMax": e.AgeMax, "datasetCompleteness": nil,
		"materialType": listOrNull(refs(vocabulary.MaterialType, e.materials(), "hdr")), "followUp": orNull(ref(vocabulary.FollowUp, e.FollowUp,
			"hdr")), "pathway": nil}
}

// materials are those of the entry and of its sample sets, each once.
func (e *Entry) materials() []string {
	all := slices.Clone(e.Materials)
	for _, s := range e.SampleSets {
		for _, m := range s.Materials {
			if !slices.Contains(all, m.Type) {
				all = append(all, m.Type)
			}
		}
	}
	return all
}

// hdrProvenance is null where the start is not known: the schema has no provenance without one.
func hdrProvenance(e *Entry) any {
	if e.Start == "" {
		return nil
	}
	var end any
	switch {
	case e.End != "":
		end = fullDate(e.End)
	case e.Status == "in-progress":
		end = "CONTINUOUS"
	}
	return object{
		"origin": object{"purpose": listOrNull(refs(vocabulary.Purpose, e.Purposes, "hdr")), "datasetType": hdrTypes(e), "source": []string{"Machine generated"},
			"collectionSource": listOrNull(refs(vocabulary.Setting, e.Settings, "hdr")), "imageContrast": orNull(ref(vocabulary.Ternary, e.Contrast, "hdr"))},
		"temporal": object{"publishingFrequency": orNull(ref(vocabulary.Frequency, e.Frequency, "hdr")), "distributionReleaseDate": nil,
			"startDate": fullDate(e.Start), "endDate": end,
			"timeLag": "Not applicable"},
	}
}

func hdrTypes(e *Entry) []object {
	types := []object{}
	put := func(name string, sub []string) {
		if len(sub) > 0 {
			types = append(types, object{"name": name, "subTypes": sub})
		}
	}
	var health []string
	if slices.ContainsFunc(e.Conditions, isTumour) {
		health = append(health, "Cancer")
	}
	if slices.ContainsFunc(e.Conditions, func(c vocabulary.Code) bool { return !isTumour(c) }) {
		health = append(health, "Others")
	}
	put("Health and disease", health)
	put("Imaging types", refs(vocabulary.Modality, e.Modalities, "hdr"))
	put("Imaging Area Of The Body", refs(vocabulary.BodySite, e.BodySites, "area"))
	for _, a := range e.AssociatedData {
		switch a.Type {
		case "genomics":
			put("Omics", []string{"Genomics"})
		case "treatment":
			put("Treatments/Interventions", []string{"Therapeutic"})
		case "registries":
			put("Registry", []string{"National disease registries and audits"})
		case "biomarkers":
			put("Measurements/Tests", []string{"Laboratory"})
		}
	}
	return types
}

func hdrAccessibility(site Site, l Listed) object {
	e := &l.Entry
	var limits, requirements []string
	put := func(list *[]string, v string) {
		if v != "" && !slices.Contains(*list, v) {
			*list = append(*list, v)
		}
	}
	for _, u := range e.DataUse.Alternatives {
		put(&limits, ref(vocabulary.DataUsePermission, u.Permission, "hdr"))
		for _, m := range u.Modifiers {
			put(&limits, ref(vocabulary.DataUseModifier, m.Code, "hdr"))
			put(&requirements, ref(vocabulary.DataUseModifier, m.Code, "req"))
		}
	}
	if slices.Contains(e.DataUse.Restrictions, "commercial") {
		put(&limits, "Not for profit use")
	}
	if slices.Contains(e.DataUse.Restrictions, "outside-eu") {
		put(&limits, "Geographical restrictions")
	}
	rights := e.Access.Rights
	if long(rights) == nil {
		if rights = vocabulary.AccessCondition.Label(e.Access.Condition); site.Base != "" {
			rights = site.page(l.ID)
		}
	}
	return object{
		"usage": object{"dataUseLimitation": listOrNull(limits), "dataUseRequirements": listOrNull(requirements), "resourceCreator": orNull(e.Credit)},
		"access": object{"accessRights": rights, "accessServiceCategory": orNull(ref(vocabulary.AccessService, e.Access.Service, "hdr")),
			"accessService":     long(e.Access.How),
			"accessRequestCost": long(e.Access.Cost), "deliveryLeadTime": orNull(ref(vocabulary.DeliveryLeadTime, e.Access.LeadTime, "hdr")),
			"jurisdiction": listOrNull(e.Access.Jurisdiction), "dataController": orNull(e.Access.Controller), "dataProcessor": orNull(e.Access.Processor)},
		"formatAndStandards": object{"vocabularyEncodingScheme": hdrVocabularies(e), "conformsTo": some(refs(vocabulary.DataModel, e.Standards, "hdr")),
			"language": []string{first(e.Language, "en")}, "format": some(e.Formats)},
	}
}

// long is null for what the schema takes for no text: less than two characters.
func long(s string) any {
	if len([]rune(s)) < 2 {
		return nil
	}
	return s
}

// some is a list even where it is empty.
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func hdrVocabularies(e *Entry) []string {
	out := []string{}
	for _, c := range e.Conditions {
		v := map[vocabulary.System]string{vocabulary.ICD10: "ICD10", vocabulary.Topography: "ICDO3", vocabulary.Morphology: "ICDO3",
			vocabulary.SNOMED: "SNOMED CT"}[c.System]
		if v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func hdrLinkage(e *Entry) object {
	var about, using []string
	for _, p := range e.Publications {
		if p.Uses {
			using = append(using, p.DOI)
		} else {
			about = append(about, p.DOI)
		}
	}
	links := func(ls []Link) any {
		var out []object
		for _, l := range ls {
			out = append(out, object{"pid": orNull(l.PID), "title": l.Title, "url": orNull(l.URL)})
		}
		return listOrNull(out)
	}
	var networks []Link
	for _, n := range e.Networks {
		networks = append(networks, Link{Title: n.Name, URL: n.URL})
	}
	return object{"derivedFrom": links(e.DerivedFrom), "isPartOf": links(networks), "linkableDatasets": links(e.Linkable), "similarToDatasets": nil,
		"investigations": nil, "tools": nil,
		"publicationAboutDataset": listOrNull(about), "publicationUsingDataset": listOrNull(using)}
}

// hdrObservations are the published numbers that are known. One that is withheld has no place in the schema, and is left out.
func hdrObservations(c *Counts) []object {
	out := []object{}
	put := func(node, what string, n Number) {
		if n.Known && c.AsOf != "" {
			out = append(out, object{"observedNode": node, "measuredValue": n.Value, "disambiguatingDescription": what, "observationDate": c.AsOf,
				"measuredProperty": "Count"})
		}
	}
	put("Persons", "People with images, rounded", c.People)
	put("Events", "Imaging studies, rounded", c.Studies)
	for _, s := range c.Sexes {
		put("Persons", "People of sex "+strings.ToLower(vocabulary.Sex.Label(s.Term))+", rounded", s.Number)
	}
	for _, m := range c.Modalities {
		put("Persons", "People with images of "+vocabulary.Modality.Label(m.Term)+", rounded", m.Number)
	}
	return out
}

func hdrDemographics(c *Counts) object {
	var ages, diseases []object
	for _, a := range c.Ages {
		if bin := ref(vocabulary.AgeBin, a.Term, "hdr"); bin != "" && a.Number.Known {
			ages = append(ages, object{"bin": bin, "count": a.Number.Value})
		}
	}
	for _, d := range c.Conditions {
		v := map[vocabulary.System]string{vocabulary.ICD10: "ICD10", vocabulary.SNOMED: "SNOMED CT"}[d.Condition.System]
		if v != "" && d.Number.Known {
			diseases = append(diseases, object{"diseaseCode": d.Condition.Value, "diseaseCodeVocabulary": v, "count": d.Number.Value})
		}
	}
	return object{"age": listOrNull(ages), "ethnicity": nil, "disease": listOrNull(diseases)}
}

// semver makes a version of a revision's number.
func semver(revision int64) string { return strconv.FormatInt(revision, 10) + ".0.0" }
