package describe

import (
	"io"

	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// schemaLimit is how long a description search engines take, in characters.
const schemaLimit = 5000

// WriteSchemaOrg writes the release as a Dataset of schema.org in JSON-LD, for its page.
func WriteSchemaOrg(w io.Writer, r *Release) error {
	if err := r.Check(); err != nil {
		return err
	}
	d := r.dataset(schemaLimit)
	d["@context"] = []any{"https://schema.org/", object{"odrl": odrl}}
	d["@type"] = "Dataset"
	d["@id"] = first(r.doi(), r.URL)
	if files := r.files(); len(files) > 0 {
		var out []object
		for _, f := range files {
			o := object{"@type": "DataDownload", "name": f.Path, "encodingFormat": f.Format}
			describeFile(o, f)
			out = append(out, o)
		}
		d["distribution"] = out
	}
	return write(w, d)
}

const odrl = "http://www.w3.org/ns/odrl/2/"

func describeFile(o object, f File) {
	filled(o, "contentUrl", f.URL)
	filled(o, "description", f.Description)
	filled(o, "sha256", f.SHA256)
	if f.Size > 0 {
		o["contentSize"] = byteSize(f.Size)
	}
}

// dataset are the properties of schema.org that Croissant takes over as they are.
func (r *Release) dataset(limit int) object {
	identifiers := []string{r.name(), r.URL}
	if doi := r.doi(); doi != "" {
		identifiers = append(identifiers, doi)
	}
	d := object{
		"name": r.Title, "description": cut(r.paragraphs(), limit), "url": r.URL, "identifier": identifiers, "version": r.Version, "datePublished": day(r.Issued),
		"inLanguage": "en", "isAccessibleForFree": r.Access.Level == Open && !r.gone(), "conditionsOfAccess": r.conditions(),
		"publisher": schemaOrganisation(&r.Publisher), "creativeWorkStatus": status[r.State],
	}
	var creators, contributors []object
	for i := range r.Creators {
		creators = append(creators, schemaAgent(&r.Creators[i]))
		contributors = append(contributors, schemaRoles(&r.Creators[i])...)
	}
	for i := range r.Contributors {
		c := &r.Contributors[i]
		if roles := schemaRoles(c); len(roles) > 0 {
			contributors = append(contributors, roles...)
		} else {
			contributors = append(contributors, object{"@type": "Role", "roleName": c.Type, "contributor": schemaAgent(c)})
		}
	}
	filled(d, "creator", creators)
	filled(d, "contributor", contributors)
	filled(d, "alternateName", r.name())
	filled(d, "sameAs", r.doi())
	filled(d, "keywords", r.topics())
	filled(d, "measurementTechnique", r.modalities())
	filled(d, "funding", schemaGrants(r.Funding))
	filled(d, "license", first(r.License.URL, spdxURL(r.License.SPDX)))
	filled(d, "usageInfo", r.usage())
	if !r.Changed.IsZero() {
		d["dateModified"] = day(r.Changed)
	}
	if r.gone() {
		d["expires"] = day(r.Tombstone.At)
	}
	if t := r.Collection.Title; t != "" {
		c := object{"@type": "Collection", "name": t} // not a Dataset: readers of Croissant look for one
		filled(c, "@id", r.Collection.address())
		filled(c, "url", r.Collection.URL)
		d["isPartOf"] = c
	}
	if r.Previous != nil {
		d["isBasedOn"] = r.Previous.address()
	}
	var papers []object
	for _, p := range r.Publications {
		if p.Uses {
			continue
		}
		o := object{"@type": "ScholarlyArticle", "@id": doiURL(p.DOI)}
		filled(o, "name", p.Title)
		papers = append(papers, o)
	}
	filled(d, "citation", papers)
	filled(d, "variableMeasured", r.measured())
	return d
}

// status is what schema.org's creativeWorkStatus says of each state.
var status = map[State]string{Published: "Published", Amended: "Amended", Superseded: "Superseded", Tombstoned: "Withdrawn"}

// conditions say in words how the objects are had.
func (r *Release) conditions() string {
	if r.gone() {
		return "The release was withdrawn. Only its description is left."
	}
	s := map[AccessLevel]string{Open: "Open to everybody.", Registered: "For whoever is registered and has accepted the terms.",
		Controlled: "On request, which is decided case by case."}[r.Access.Level]
	if r.Access.Note != "" {
		s += " " + r.Access.Note
	}
	if r.Access.Terms != "" {
		s += " " + r.Access.Terms
	}
	return s
}

func schemaRoles(c *Contributor) []object {
	var out []object
	for _, role := range c.Roles {
		out = append(out, object{"@type": "Role", "roleName": creditRoles[role], "url": creditURL(role), "contributor": schemaAgent(c)})
	}
	return out
}

func creditURL(role string) string { return "https://credit.niso.org/contributor-roles/" + role + "/" }

// measured are the published numbers: those that are withheld are left out, and are none.
func (r *Release) measured() []object {
	var out []object
	put := func(name string, n directory.Number) {
		if v, ok := known(n); ok {
			out = append(out, object{"@type": "PropertyValue", "name": name, "value": v})
		}
	}
	put("Number of people", r.Counts.People)
	put("Number of studies", r.Counts.Studies)
	put("Number of series", r.Counts.Series)
	put("Number of instances", r.Counts.Instances)
	for _, group := range r.groups() {
		for _, c := range group.counts {
			put("Number of people, "+group.list.Label(c.Term), c.Number)
		}
	}
	for _, s := range r.Splits {
		put("Number of people, split "+s.Name, s.People)
		put("Number of instances, split "+s.Name, s.Instances)
	}
	return out
}
