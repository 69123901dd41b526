package describe

import (
	"io"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// Event is what DataCite's REST API is asked to do with a DOI (https://support.datacite.org/docs/doi-states).
type Event string

// The events. Without one a new DOI stays a draft, and another as it is.
const (
	NoEvent       Event = ""
	EventRegister Event = "register" // it resolves, and is not found by searches
	EventPublish  Event = "publish"  // it resolves and is found
	EventHide     Event = "hide"     // it goes on to resolve, and is no longer found
)

const rorScheme = "https://ror.org"

// WriteDataCite writes the release's metadata of the DataCite Metadata Schema 4 in DataCite's JSON.
func WriteDataCite(w io.Writer, r *Release) error {
	if err := r.Check(); err != nil {
		return err
	}
	return write(w, r.datacite())
}

// WriteDataCiteRequest writes the body by which DataCite's REST API makes a DOI (POST /dois) or changes it (PUT /dois/DOI): the metadata in an envelope of JSON:API.
// Without a DOI of the release's own, one is made up below the prefix; a reserved one is sent as it is.
func WriteDataCiteRequest(w io.Writer, r *Release, prefix string, event Event) error {
	if err := r.Check(); err != nil {
		return err
	}
	a := r.datacite()
	filled(a, "event", string(event))
	data := object{"type": "dois", "attributes": a}
	if r.DOI != "" {
		data["id"] = r.DOI
	} else {
		filled(a, "prefix", prefix)
	}
	return write(w, object{"data": data})
}

func (r *Release) datacite() object {
	d := object{
		"schemaVersion":   "http://datacite.org/schema/kernel-4",
		"types":           object{"resourceTypeGeneral": "Dataset", "resourceType": "Medical images"},
		"titles":          []object{{"title": r.Title, "lang": "en"}},
		"publicationYear": r.Issued.UTC().Format("2006"), "language": "en", "version": r.Version, "url": r.URL,
		"publisher":            datacitePublisher(&r.Publisher),
		"dates":                r.dates(),
		"alternateIdentifiers": []object{{"alternateIdentifier": r.name(), "alternateIdentifierType": "Release"}, {"alternateIdentifier": r.Root, "alternateIdentifierType": "RFC 6962 root (SHA-256)"}},
		"rightsList":           r.rights(),
		"descriptions":         r.descriptions(),
	}
	filled(d, "doi", r.DOI)
	var creators, contributors, subjects, funding []object
	for i := range r.Creators {
		creators = append(creators, datacitePerson(&r.Creators[i]))
	}
	for i := range r.Contributors {
		p := datacitePerson(&r.Contributors[i])
		p["contributorType"] = r.Contributors[i].Type
		contributors = append(contributors, p)
	}
	for _, t := range r.topics() {
		subjects = append(subjects, object{"subject": t})
	}
	for _, g := range r.Funding {
		o := object{"funderName": g.Funder}
		if g.ROR != "" {
			o["funderIdentifier"], o["funderIdentifierType"] = g.ROR, "ROR"
		}
		filled(o, "awardNumber", g.Number)
		filled(o, "awardTitle", g.Title)
		filled(o, "awardUri", g.Reference)
		funding = append(funding, o)
	}
	d["creators"] = creators
	filled(d, "contributors", contributors)
	filled(d, "subjects", subjects)
	filled(d, "fundingReferences", distinct(funding))
	filled(d, "relatedIdentifiers", r.related())
	filled(d, "sizes", unique(r.sizes()))
	if !r.gone() {
		d["formats"] = r.formats()
	}
	return d
}

func datacitePublisher(o *directory.Organisation) object {
	p := object{"name": o.Name}
	if o.ROR != "" {
		p["publisherIdentifier"], p["publisherIdentifierScheme"], p["schemeUri"] = o.ROR, "ROR", rorScheme
	}
	return p
}

func datacitePerson(c *Contributor) object {
	if c.organisation() {
		p := object{"name": c.Name, "nameType": "Organizational"}
		if c.ROR != "" {
			p["nameIdentifiers"] = []object{{"nameIdentifier": c.ROR, "nameIdentifierScheme": "ROR", "schemeUri": rorScheme}}
		}
		return p
	}
	p := object{"name": c.inverted(), "nameType": "Personal"}
	filled(p, "givenName", c.Given)
	filled(p, "familyName", c.Family)
	if c.ORCID != "" {
		p["nameIdentifiers"] = []object{{"nameIdentifier": "https://orcid.org/" + c.ORCID, "nameIdentifierScheme": "ORCID", "schemeUri": "https://orcid.org"}}
	}
	if o := &c.Affiliation; o.Name != "" {
		a := object{"name": o.Name}
		if o.ROR != "" {
			a["affiliationIdentifier"], a["affiliationIdentifierScheme"], a["schemeUri"] = o.ROR, "ROR", rorScheme
		}
		p["affiliation"] = []object{a}
	}
	return p
}

func (r *Release) dates() []object {
	out := []object{{"date": day(r.Issued), "dateType": "Issued"}}
	if !r.Changed.IsZero() {
		out = append(out, object{"date": day(r.Changed), "dateType": "Updated"})
	}
	if !r.ConsentCutoff.IsZero() {
		out = append(out, object{"date": day(r.ConsentCutoff), "dateType": "Other", "dateInformation": "Consent as it stood then"})
	}
	if r.gone() {
		out = append(out, object{"date": day(r.Tombstone.At), "dateType": "Withdrawn", "dateInformation": r.Tombstone.Reason})
	}
	return out
}

// rights are who may have it (COAR's terms), the licence, and what the data may be used for.
func (r *Release) rights() []object {
	coar := [2]string{"restricted access", "c_16ec"}
	switch {
	case r.gone():
		coar = [2]string{"metadata only access", "c_14cb"}
	case r.Access.Level == Open:
		coar = [2]string{"open access", "c_abf2"}
	}
	out := []object{{"rights": coar[0], "rightsUri": "http://purl.org/coar/access_right/" + coar[1], "rightsIdentifier": coar[1], "rightsIdentifierScheme": "COAR",
		"schemeUri": "http://purl.org/coar/access_right"}}
	if l := r.License; l.Name != "" || l.URL != "" || l.SPDX != "" {
		o := object{"rights": first(l.Name, l.SPDX, l.URL)}
		filled(o, "rightsUri", first(l.URL, spdxURL(l.SPDX)))
		if l.SPDX != "" {
			o["rightsIdentifier"], o["rightsIdentifierScheme"], o["schemeUri"] = l.SPDX, "SPDX", "https://spdx.org/licenses/"
		}
		out = append(out, o)
	}
	for _, t := range flat(&r.DataUse) {
		o := object{"rights": t.text(), "rightsIdentifier": first(t.duo, t.code), "lang": "en"}
		if t.duo != "" {
			o["rightsIdentifierScheme"], o["schemeUri"], o["rightsUri"] = "DUO", duoTerms+"duo.owl", t.address()
		}
		out = append(out, o)
	}
	if r.Access.Terms != "" {
		out = append(out, object{"rights": "Conditions of access", "rightsUri": r.Access.Terms})
	}
	return distinct(out)
}

func (r *Release) descriptions() []object {
	out := []object{{"description": r.summary(), "descriptionType": "Abstract", "lang": "en"}}
	put := func(kind, s string) {
		if s != "" {
			out = append(out, object{"description": s, "descriptionType": kind, "lang": "en"})
		}
	}
	put("Other", r.Description)
	put("Methods", r.Deidentification.Statement)
	put("TechnicalInfo", r.technical())
	return distinct(out)
}

// technical are splits and what the report of risk came to, a line each.
func (r *Release) technical() string {
	var s string
	for _, p := range r.Splits {
		s += "Split " + p.Name + ":"
		n, ok := known(p.People)
		if ok {
			s += " " + strconv.FormatInt(n, 10) + " people"
		}
		if i, ok2 := known(p.Instances); ok2 {
			if ok {
				s += ","
			}
			s += " " + strconv.FormatInt(i, 10) + " instances"
			ok = true
		}
		if !ok {
			s += " not stated"
		}
		s += ".\n"
	}
	if r.Risk != "" {
		s += "Risk of re-identification: " + r.Risk + "\n"
	}
	if r.PolicyHash != "" {
		s += "Policy (SHA-256): " + r.PolicyHash + "\n"
	}
	return s
}

// related are the other versions, the dataset in all its versions, its collection and its papers.
func (r *Release) related() []object {
	var out []object
	put := func(relation, doi, url, kind string) {
		o := object{"relationType": relation, "relatedIdentifier": doi, "relatedIdentifierType": "DOI"}
		if doi == "" {
			o["relatedIdentifier"], o["relatedIdentifierType"] = url, "URL"
		}
		filled(o, "resourceTypeGeneral", kind)
		if doi != "" || url != "" {
			out = append(out, o)
		}
	}
	if p := r.Previous; p != nil {
		put("IsNewVersionOf", p.DOI, p.URL, "Dataset")
		put("Obsoletes", p.DOI, p.URL, "Dataset")
	}
	if n := r.Next; n != nil {
		put("IsPreviousVersionOf", n.DOI, n.URL, "Dataset")
		put("IsObsoletedBy", n.DOI, n.URL, "Dataset")
	} else if n := r.Tombstone.ReplacedBy; n != nil {
		put("IsObsoletedBy", n.DOI, n.URL, "Dataset")
	}
	put("IsVersionOf", r.ConceptDOI, "", "Dataset")
	put("IsPartOf", r.Collection.DOI, r.Collection.URL, "Collection")
	for _, p := range r.Publications {
		if !p.Uses {
			put("IsDescribedBy", p.DOI, "", "Text")
		}
	}
	for _, f := range r.files() {
		if f.Kind == Manifest && f.URL != "" {
			put("HasMetadata", "", f.URL, "")
		}
	}
	return out
}
