package directory

import (
	"bufio"
	"encoding/json"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// The EU's authority tables, which DCAT-AP 3 asks for, and other vocabularies that terms are named in.
const (
	authority = "http://publications.europa.eu/resource/authority/"
	duoTerms  = "http://purl.obolibrary.org/obo/"
)

var dcatContext = object{
	"dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/", "foaf": "http://xmlns.com/foaf/0.1/", "vcard": "http://www.w3.org/2006/vcard/ns#",
	"adms": "http://www.w3.org/ns/adms#", "skos": "http://www.w3.org/2004/02/skos/core#", "xsd": "http://www.w3.org/2001/XMLSchema#",
	"rdfs": "http://www.w3.org/2000/01/rdf-schema#",
	"owl":  "http://www.w3.org/2002/07/owl#", "prov": "http://www.w3.org/ns/prov#",
}

// WriteDCAT writes the directory as a catalogue of DCAT-AP 3 in JSON-LD, one entry after the other: it may have thousands. An error of the entries ends it,
// and what was written is not whole then.
func WriteDCAT(w io.Writer, site Site, entries iter.Seq2[Listed, error]) error {
	head, err := json.Marshal(object{
		"@context": dcatContext, "@id": site.Base + "/directory.jsonld", "@type": "dcat:Catalog", "dct:title": text(site.Name),
		"dct:description": text(first(site.About, site.Name)),
		"dct:publisher":   dcatAgent(site.Publisher), "foaf:homepage": node(site.Base + "/"), "dct:language": node(authority + "language/ENG"),
		"dcat:themeTaxonomy": node(authority + "data-theme"),
	})
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	io.WriteString(b, string(head[:len(head)-1])+`,"dcat:dataset":[`) // b keeps its first error for Flush
	n := 0
	for l, err := range entries {
		if err != nil {
			return err
		}
		doc, err := json.Marshal(dcatDataset(site, l))
		if err != nil {
			return err
		}
		if n++; n > 1 {
			io.WriteString(b, ",\n")
		}
		if _, err := b.Write(doc); err != nil {
			return err
		}
	}
	io.WriteString(b, "]}\n")
	return b.Flush()
}

// DCAT is one entry as a data set of DCAT-AP 3 in JSON-LD.
func DCAT(site Site, l Listed) ([]byte, error) {
	doc := dcatDataset(site, l)
	doc["@context"] = dcatContext
	return encode(doc)
}

func node(id string) object { return object{"@id": id} }

func text(s string) object { return object{"@value": s, "@language": "en"} }

func typed(s, kind string) object { return object{"@value": s, "@type": "xsd:" + kind} }

func dcatDate(s string) object {
	return typed(s, map[int]string{4: "gYear", 7: "gYearMonth", 10: "date"}[len(s)])
}

func dcatAgent(o Organisation) object {
	a := object{"@type": "foaf:Agent", "foaf:name": first(o.Name, "Not stated")}
	if o.ROR != "" {
		a["@id"] = o.ROR
	}
	if o.URL != "" {
		a["foaf:homepage"] = node(o.URL)
	}
	return a
}

func dcatDataset(site Site, l Listed) object {
	e := &l.Entry
	page := site.page(l.ID)
	d := object{
		"@id": page, "@type": "dcat:Dataset", "dct:title": text(e.Title), "dct:description": text(first(e.Description, e.Abstract)), "dct:identifier": page,
		"dct:publisher": dcatAgent(e.Custodian), "dct:issued": typed(stamp(l.issued()), "dateTime"), "dct:modified": typed(stamp(l.At), "dateTime"),
		"dcat:theme": []object{node(authority + "data-theme/HEAL")}, "dcat:landingPage": node(first(e.URL, page)), "dcat:version": semver(l.Revision),
		"dct:accessRights": dcatAccess(e), "dcat:contactPoint": dcatContact(e),
		"dcat:distribution": []object{{"@type": "dcat:Distribution", "dcat:accessURL": node(page), "dct:title": text("How to get it")}},
	}
	filled(d, "dcat:keyword", texts(slices.Concat(e.Keywords, labels(vocabulary.Modality, e.Modalities))))
	if e.DOI != "" {
		d["adms:identifier"] = object{"@type": "adms:Identifier", "skos:notation": "https://doi.org/" + e.DOI}
		d["owl:sameAs"] = node("https://doi.org/" + e.DOI)
	}
	if f := ref(vocabulary.Frequency, e.Frequency, "eu"); f != "" {
		d["dct:accrualPeriodicity"] = node(authority + "frequency/" + f)
	}
	if e.Language == "" || e.Language == "en" {
		d["dct:language"] = node(authority + "language/ENG")
	}
	if e.Start != "" {
		p := object{"@type": "dct:PeriodOfTime", "dcat:startDate": dcatDate(e.Start)}
		if e.End != "" {
			p["dcat:endDate"] = dcatDate(e.End)
		}
		d["dct:temporal"] = p
	}
	var places, subjects, papers, sources, relations, parts, rights []object
	for _, p := range e.Spatial {
		places = append(places, object{"@type": "dct:Location", "skos:prefLabel": text(p)})
	}
	for _, c := range e.Conditions {
		subjects = append(subjects, dcatConcept(c))
	}
	for _, id := range e.BodySites {
		subjects = append(subjects, object{"@id": "http://snomed.info/id/" + id, "@type": "skos:Concept", "skos:prefLabel": text(vocabulary.BodySite.Label(id))})
	}
	for _, p := range e.Publications {
		papers = append(papers, node("https://doi.org/"+p.DOI))
	}
	for _, s := range e.DerivedFrom {
		filledNode(&sources, s.URL)
	}
	for _, s := range e.Linkable {
		filledNode(&relations, s.URL)
	}
	for _, n := range e.Networks {
		filledNode(&parts, n.URL)
	}
	for _, u := range e.DataUse.Alternatives {
		rights = append(rights, dcatUse(vocabulary.DataUsePermission, u.Permission))
		for _, m := range u.Modifiers {
			rights = append(rights, dcatUse(vocabulary.DataUseModifier, m.Code))
		}
	}
	filled(d, "dct:spatial", places)
	filled(d, "dct:subject", subjects)
	filled(d, "dct:isReferencedBy", papers)
	filled(d, "dct:source", sources)
	filled(d, "dct:relation", relations)
	filled(d, "dct:isPartOf", parts)
	filled(d, "dct:rights", slices.CompactFunc(rights, func(a, b object) bool {
		return a["rdfs:label"].(object)["@value"] == b["rdfs:label"].(object)["@value"]
	}))
	if e.Credit != "" {
		d["dct:bibliographicCitation"] = text(e.Credit)
	}
	return d
}

func filledNode(list *[]object, id string) {
	if id != "" {
		*list = append(*list, node(id))
	}
}

func texts(list []string) []object {
	out := make([]object, len(list))
	for i, s := range list {
		out[i] = text(s)
	}
	return out
}

func dcatContact(e *Entry) object {
	c := object{"@type": "vcard:Kind", "vcard:fn": first(e.Contact.Name, e.Custodian.Name, "Contact")}
	if e.Contact.Email != "" {
		c["vcard:hasEmail"] = node("mailto:" + e.Contact.Email)
	}
	if e.Contact.URL != "" {
		c["vcard:hasURL"] = node(e.Contact.URL)
	}
	return c
}

// dcatAccess is the EU's term: public, restricted (to those who may), or not public.
func dcatAccess(e *Entry) object {
	term := "RESTRICTED"
	switch {
	case e.Access.Condition == "closed":
		term = "NON_PUBLIC"
	case e.Access.Service == "open":
		term = "PUBLIC"
	}
	return object{"@id": authority + "access-right/" + term, "@type": "dct:RightsStatement"}
}

func dcatUse(l *vocabulary.List, id string) object {
	o := object{"@type": "dct:RightsStatement", "rdfs:label": text(l.Label(id))}
	if duo := ref(l, id, "id"); duo != "" {
		o["@id"] = duoTerms + strings.Replace(duo, ":", "_", 1)
	}
	return o
}

func dcatConcept(c vocabulary.Code) object {
	o := object{"@type": "skos:Concept", "skos:notation": c.Value, "skos:prefLabel": text(vocabulary.Label(c))}
	if uri := codeSystems[c.System]; uri != "" {
		o["skos:inScheme"] = node(uri)
	}
	if c.System == vocabulary.SNOMED {
		o["@id"] = "http://snomed.info/id/" + c.Value
	}
	return o
}

// codeSystems are the addresses by which HL7 names the systems.
var codeSystems = map[vocabulary.System]string{
	vocabulary.ICD10: "http://hl7.org/fhir/sid/icd-10", vocabulary.Topography: "http://terminology.hl7.org/CodeSystem/icd-o-3",
	vocabulary.Morphology: "http://terminology.hl7.org/CodeSystem/icd-o-3",
	vocabulary.SNOMED:     "http://snomed.info/sct",
}

// SchemaOrg is an entry as a Dataset of schema.org in JSON-LD: what search engines read. It may be written into a page as it is: no text in it ends a
// script.
func SchemaOrg(site Site, l Listed) ([]byte, error) {
	e := &l.Entry
	page := site.page(l.ID)
	description := e.Description
	if len(description) < 50 {
		description = strings.TrimSpace(e.Abstract + "\n\n" + description)
	}
	d := object{
		"@context": "https://schema.org/", "@type": "Dataset", "@id": page, "url": page, "name": e.Title, "description": cut(description, 5000),
		"identifier": []string{page},
		"version":    semver(l.Revision), "datePublished": stamp(l.issued())[:10], "dateModified": stamp(l.At)[:10],
		"isAccessibleForFree":   e.Access.Service == "open",
		"conditionsOfAccess":    vocabulary.AccessCondition.LayLabel(e.Access.Condition),
		"includedInDataCatalog": object{"@type": "DataCatalog", "name": site.Name, "url": site.Base + "/"},
		"publisher":             schemaOrganisation(e.Custodian), "creator": []object{schemaOrganisation(e.Custodian)},
	}
	if e.DOI != "" {
		d["identifier"] = []string{page, "https://doi.org/" + e.DOI}
	}
	if e.Lead.Name != "" {
		p := object{"@type": "Person", "name": e.Lead.Name}
		if e.Lead.ORCID != "" {
			p["@id"] = "https://orcid.org/" + e.Lead.ORCID
		}
		filled(p, "affiliation", e.Lead.Institution)
		d["creator"] = []object{p, schemaOrganisation(e.Custodian)}
	}
	filled(d, "alternateName", slices.Concat(some(e.Aliases), nonEmpty(e.Acronym)))
	filled(d, "keywords", slices.Concat(e.Keywords, layWords(e)))
	filled(d, "measurementTechnique", labels(vocabulary.Modality, e.Modalities))
	filled(d, "spatialCoverage", e.Spatial)
	if e.Start != "" {
		d["temporalCoverage"] = e.Start + "/" + first(e.End, "..")
	}
	var about, citations, funding []object
	for _, c := range e.Conditions {
		about = append(about, object{"@type": "MedicalCondition", "name": vocabulary.Label(c), "code": object{"@type": "MedicalCode",
			"codeValue": c.Value, "codingSystem": string(c.System)}})
	}
	for _, p := range e.Publications {
		o := object{"@type": "ScholarlyArticle", "@id": "https://doi.org/" + p.DOI}
		filled(o, "name", p.Title)
		citations = append(citations, o)
	}
	for _, g := range e.Funding {
		o := object{"@type": "Grant", "funder": schemaOrganisation(Organisation{Name: g.Funder, ROR: g.ROR})}
		filled(o, "identifier", g.Number)
		filled(o, "name", g.Title)
		funding = append(funding, o)
	}
	filled(d, "about", about)
	filled(d, "citation", citations)
	filled(d, "funding", funding)
	filled(d, "creditText", e.Credit)
	if strings.HasPrefix(e.Access.Rights, "https://") {
		d["usageInfo"] = e.Access.Rights
	}
	if n := l.Counts.People; n.Known && !n.Withheld {
		d["variableMeasured"] = []object{{"@type": "PropertyValue", "name": "Number of people", "value": l.Counts.People.Value}}
	}
	return encode(d)
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// layWords are the diseases and places in words that people type.
func layWords(e *Entry) []string {
	var out []string
	put := func(s string) {
		if s != "" && !slices.Contains(out, s) && !slices.Contains(e.Keywords, s) {
			out = append(out, s)
		}
	}
	for _, c := range e.Conditions {
		put(vocabulary.LayLabel(c))
	}
	for _, id := range e.Modalities {
		put(vocabulary.Modality.LayLabel(id))
	}
	for _, id := range e.BodySites {
		put(vocabulary.BodySite.LayLabel(id))
	}
	return out
}

func schemaOrganisation(o Organisation) object {
	s := object{"@type": "Organization", "name": o.Name}
	if o.ROR != "" {
		s["@id"] = o.ROR
	}
	filled(s, "url", o.URL)
	return s
}

// MIABIS is an entry as a collection of MIABIS Core 3, with the biobank that keeps it and its networks. The keys are the names of the attributes, the values
// those of MIABIS's lists. What MIABIS asks for and an entry of images has not got is filled as MIABIS says: the type of sample is a digital one.
func MIABIS(site Site, l Listed) ([]byte, error) {
	e := &l.Entry
	contact := object{"lastName": first(e.Contact.Name, e.Custodian.Name), "email": orNull(e.Contact.Email), "country": orNull(e.Custodian.Country)}
	filled(contact, "url", e.Contact.URL)
	c := object{
		"id": string(l.ID), "name": e.Title, "url": first(e.URL, site.page(l.ID)), "contactInformation": contact,
		"description":  cut(first(e.Description, e.Abstract), 2000),
		"sampleSource": "Human", "sex": some(refs(vocabulary.Sex, e.Sexes, "miabis")), "datasetType": miabisDatasets(e), "sampleType": miabisSamples(e),
	}
	if len(e.Sexes) == 0 {
		c["sex"] = []string{"Not applicable"}
	}
	filled(c, "acronym", e.Acronym)
	if e.AgeMin != nil {
		c["ageLow"], c["ageLowUnit"] = *e.AgeMin, "Years"
	}
	if e.AgeMax != nil {
		c["ageHigh"], c["ageHighUnit"] = *e.AgeMax, "Years"
	}
	var diseases []object
	for _, code := range e.Conditions {
		diseases = append(diseases, object{"diseaseOntology": miabisOntology[code.System][0],
			"diseaseOntologyVersion": miabisOntology[code.System][1], "diseaseOntologyCode": code.Value,
			"diseaseOntologyDescription": vocabulary.Label(code)})
	}
	filled(c, "disease", diseases)
	var cold []string
	for _, s := range e.SampleSets {
		for _, m := range s.Materials {
			if t := ref(vocabulary.StorageTemperature, m.Temperature, "miabis"); t != "" && !slices.Contains(cold, t) {
				cold = append(cold, t)
			}
		}
	}
	filled(c, "storageTemperature", cold)
	filled(c, "sampleCollectionSetting", miabisSettings(e))
	filled(c, "collectionDesign", refs(vocabulary.CollectionType, e.Types, "miabis"))
	filled(c, "useAndAccessConditions", miabisUses(e))
	filled(c, "collectionStatus", ref(vocabulary.CollectionStatus, e.Status, "miabis"))
	filled(c, "inclusionCriteria", refs(vocabulary.Inclusion, e.Inclusion, "miabis"))
	if l.Counts.People.Known {
		c["totalNumberOfSubjects"] = l.Counts.People.Value
	}
	var papers []string
	for _, p := range e.Publications {
		papers = append(papers, "https://doi.org/"+p.DOI)
	}
	filled(c, "publications", papers)
	var networks []object
	for _, n := range e.Networks {
		o := object{"name": n.Name}
		filled(o, "url", n.URL)
		networks = append(networks, o)
	}
	biobank := object{"id": first(e.Custodian.ROR, e.Custodian.ODS, e.Custodian.Name), "name": e.Custodian.Name, "country": orNull(e.Custodian.Country)}
	filled(biobank, "url", e.Custodian.URL)
	doc := object{"miabis": "Core 3.0", "collection": c, "biobank": biobank}
	filled(doc, "network", networks)
	return encode(doc)
}

var miabisOntology = map[vocabulary.System][2]string{vocabulary.ICD10: {"ICD", "ICD-10"}, vocabulary.Topography: {"ICD", "ICD-O-3"},
	vocabulary.Morphology: {"ICD", "ICD-O-3"},
	vocabulary.SNOMED:     {"SNOMED", "SNOMED CT"}}

func miabisDatasets(e *Entry) []string {
	var out []string
	put := func(s string) {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, d := range e.Domains {
		put(map[string]string{"radiology": "Body (Radiological) image", "pathology": "Whole slide image", "biological": "Photo image"}[d])
	}
	for _, a := range e.AssociatedData {
		put(ref(vocabulary.AssociatedDataType, a.Type, "miabis"))
	}
	if len(out) == 0 {
		put("Other")
	}
	return out
}

func miabisSamples(e *Entry) []string {
	return append([]string{"Digital sample"}, refs(vocabulary.MaterialType, e.materials(), "miabis")...)
}

func miabisSettings(e *Entry) []string {
	out := refs(vocabulary.Setting, e.Settings, "miabis")
	if slices.Contains(e.Types, "clinical-trial") {
		out = append(out, "Clinical trial")
	}
	return out
}

func miabisUses(e *Entry) []string {
	out := refs(vocabulary.ConsentRestriction, e.DataUse.Restrictions, "miabis")
	put := func(s string) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, u := range e.DataUse.Alternatives {
		if u.Permission == "DS" {
			put("Specific research use")
		}
		for _, m := range u.Modifiers {
			switch m.Code {
			case "COL":
				put("Collaboration")
			case "NCU", "NPU", "NPUNCU":
				put("Commercial use")
			case "RS":
				put("Specific research use")
			}
		}
	}
	if e.Access.Condition == "collaboration" {
		put("Collaboration")
	}
	return out
}
