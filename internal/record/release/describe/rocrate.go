package describe

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// crate is the graph of an RO-Crate: every entity stands in it once, and is referred to by its identifier.
type crate struct {
	graph []object
	known map[string]object
}

// put adds an entity where its identifier is new, and refers to it.
func (c *crate) put(id string, o object) object {
	if c.known[id] == nil {
		c.known[id] = o
		o["@id"] = id
		c.graph = append(c.graph, o)
	}
	return ref(id)
}

// WriteROCrate writes the release as the metadata of an RO-Crate 1.2 (ro-crate-metadata.json): the crate is the folder that a download makes. Its provenance is the
// de-identification, an action that made it from the collection. A tombstoned release is a crate without parts.
func WriteROCrate(w io.Writer, r *Release) error {
	if err := r.Check(); err != nil {
		return err
	}
	c := &crate{known: map[string]object{}}
	c.put("ro-crate-metadata.json", object{"@type": "CreativeWork", "about": ref("./"), "conformsTo": ref("https://w3id.org/ro/crate/1.2")})
	root := object{"@type": "Dataset", "name": r.Title, "description": r.paragraphs(), "datePublished": day(r.Issued), "version": r.Version, "url": r.URL,
		"inLanguage": "en", "creativeWorkStatus": status[r.State], "conditionsOfAccess": r.conditions(), "isAccessibleForFree": r.Access.Level == Open && !r.gone(),
		"creditText": r.citation(), "identifier": []any{r.name()}}
	c.put("./", root)
	if doi := r.doi(); doi != "" {
		root["identifier"] = []any{r.name(), c.put(doi, object{"@type": "PropertyValue", "name": "DOI", "propertyID": "https://registry.identifiers.org/registry/doi",
			"value": "doi:" + r.DOI, "url": doi})}
		root["cite-as"] = doi // RO-Crate 1.2, persistent identifiers
	}
	filled(root, "keywords", r.topics())
	if !r.Changed.IsZero() {
		root["dateModified"] = day(r.Changed)
	}
	if r.gone() {
		root["expires"] = day(r.Tombstone.At)
	}
	root["publisher"] = c.organisation(&r.Publisher)
	root["author"] = c.agents(r.Creators)
	if list := c.agents(r.Contributors); len(list) > 0 {
		root["contributor"] = list
	}
	if m := r.Contact; m.Email != "" || m.URL != "" {
		o := object{"@type": "ContactPoint", "name": first(m.Name, r.Publisher.Name), "contactType": "enquiries"}
		filled(o, "email", m.Email)
		filled(o, "url", m.URL)
		root["contactPoint"] = c.put("#contact", o)
	}
	root["license"] = c.license(r)
	filled(root, "funding", c.grants(r.Funding))
	filled(root, "usageInfo", c.usage(r))
	filled(root, "variableMeasured", c.measured(r))
	c.relations(root, r)
	c.parts(root, r)
	c.provenance(root, r)
	return write(w, object{"@context": []any{"https://w3id.org/ro/crate/1.2/context", object{"odrl": odrl, "replaces": "http://purl.org/dc/terms/replaces", "isReplacedBy": "http://purl.org/dc/terms/isReplacedBy"}}, "@graph": c.graph})
}

// local is an identifier within the crate, made of what says what it is. One of a text with other characters than letters and digits bears a digest, so that no two
// texts make the same.
func local(kind, text string) string {
	safe := strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (alphanumeric(byte(r)) || r == '.') {
			return r
		}
		return '-'
	}, text)
	if safe != text {
		sum := sha256.Sum256([]byte(text))
		safe = fmt.Sprintf("%.40s-%x", safe, sum[:4])
	}
	return "#" + kind + "-" + safe
}

func (c *crate) organisation(o *directory.Organisation) object {
	e := object{"@type": "Organization", "name": o.Name}
	filled(e, "url", o.URL)
	return c.put(first(o.ROR, local("organisation", o.Name)), e)
}

func (c *crate) agents(list []Contributor) []object {
	var out []object
	for i := range list {
		p := &list[i]
		var roles []string
		if p.Type != "" {
			roles = append(roles, p.Type)
		}
		for _, role := range p.Roles {
			roles = append(roles, creditRoles[role])
		}
		var id object
		if p.organisation() {
			id = c.organisation(&directory.Organisation{Name: p.Name, ROR: p.ROR})
		} else {
			e := object{"@type": "Person", "name": p.full()}
			filled(e, "givenName", p.Given)
			filled(e, "familyName", p.Family)
			filled(e, "jobTitle", roles)
			if p.Affiliation.Name != "" {
				e["affiliation"] = c.organisation(&p.Affiliation)
			}
			key := local("person", p.full())
			if p.ORCID != "" {
				key = "https://orcid.org/" + p.ORCID
			}
			if known := c.known[key]; known != nil { // who made it may have had other parts in it too
				had, _ := known["jobTitle"].([]string)
				filled(known, "jobTitle", unique(slices.Concat(had, roles)))
			}
			id = c.put(key, e)
		}
		out = append(out, id)
	}
	return distinct(out)
}

// license is needed of a crate; data that is given under an agreement refers to its terms.
func (c *crate) license(r *Release) object {
	l := r.License
	o := object{"@type": "CreativeWork", "name": first(l.Name, l.SPDX, "Terms of use")}
	filled(o, "description", useText(&r.DataUse))
	filled(o, "url", first(l.URL, r.Access.Terms))
	return c.put(first(l.URL, spdxURL(l.SPDX), r.Access.Terms, "#terms"), o)
}

func (c *crate) grants(list []directory.Grant) []object {
	var out []object
	for _, g := range list {
		o := object{"@type": "Grant", "name": first(g.Title, g.Number, g.Funder), "funder": c.organisation(&directory.Organisation{Name: g.Funder, ROR: g.ROR})}
		filled(o, "identifier", g.Number)
		filled(o, "url", g.Reference)
		out = append(out, c.put(first(g.Reference, local("grant", g.Funder+"-"+g.Number)), o))
	}
	return distinct(out)
}

// usage are the terms of data use, and the alternatives in words.
func (c *crate) usage(r *Release) []object {
	var out []object
	for _, t := range flat(&r.DataUse) {
		o := definedTerm(t)
		id := first(t.address(), local("use", t.code))
		if len(t.values) > 0 {
			id = local("use", t.code+"-"+strings.Join(t.values, "-"))
		}
		delete(o, "@id")
		if set, ok := o["inDefinedTermSet"].(string); ok {
			o["inDefinedTermSet"] = c.put(set, object{"@type": "DefinedTermSet", "name": "Data Use Ontology (DUO)"})
		}
		out = append(out, c.put(id, o))
	}
	if s := useText(&r.DataUse); s != "" {
		out = append(out, c.put("#data-use", object{"@type": "CreativeWork", "name": "What the data may be used for", "text": s}))
	}
	return out
}

func (c *crate) measured(r *Release) []object {
	var out []object
	for _, m := range r.measured() {
		out = append(out, c.put(local("count", m["name"].(string)), m))
	}
	return out
}

func (c *crate) version(r *Release, v *Version) object {
	return c.put(v.address(), object{"@type": "Dataset", "name": r.Title, "version": v.Version, "identifier": r.Dataset + "@" + v.Version})
}

func (c *crate) relations(root object, r *Release) {
	if a := r.Collection.address(); a != "" {
		root["isPartOf"] = c.put(a, object{"@type": "Dataset", "name": first(r.Collection.Title, r.Collection.ID, a)})
	}
	if r.Previous != nil {
		root["replaces"] = c.version(r, r.Previous)
	}
	if next := r.Next; next != nil {
		root["isReplacedBy"] = c.version(r, next)
	} else if next = r.Tombstone.ReplacedBy; next != nil {
		root["isReplacedBy"] = c.version(r, next)
	}
	var papers []object
	for _, p := range r.Publications {
		if !p.Uses {
			papers = append(papers, c.put(doiURL(p.DOI), object{"@type": "ScholarlyArticle", "name": first(p.Title, p.DOI)}))
		}
	}
	filled(root, "citation", papers)
}

func (c *crate) parts(root object, r *Release) {
	if r.gone() {
		return
	}
	var out []object
	for _, f := range r.files() {
		o := object{"@type": "File", "name": f.Path, "encodingFormat": f.Format}
		describeFile(o, f)
		out = append(out, c.put(crateID(f.Path), o))
	}
	out = append(out, c.put(crateID(r.images()), object{"@type": "Dataset", "name": "The objects", "encodingFormat": "application/dicom",
		"description": "The objects of the release. The manifest lists each with its SHA-256; its root is " + r.Root + " (RFC 6962)."}))
	root["hasPart"] = out
}

// crateID is a path as a relative reference (RFC 3986), as RO-Crate names what is in it.
func crateID(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			const digits = "0123456789ABCDEF"
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// provenance says what was done: the de-identification, the publication, and the withdrawal where there was one.
func (c *crate) provenance(root object, r *Release) {
	var actions []object
	if d := r.Deidentification; d.Profile != "" || d.Statement != "" {
		a := object{"@type": "CreateAction", "name": "De-identification", "result": ref("./"), "actionStatus": ref("http://schema.org/CompletedActionStatus"),
			"instrument": c.put(local("profile", d.Profile+"-"+d.Version), object{"@type": "SoftwareApplication",
				"name": strings.TrimSpace("De-identification profile " + d.Profile), "softwareVersion": d.Version})}
		filled(a, "description", d.Statement)
		if !d.At.IsZero() {
			a["endTime"] = stamp(d.At)
		}
		if from := r.Collection.address(); from != "" {
			a["object"] = ref(from)
		}
		actions = append(actions, c.put("#deidentification", a))
	}
	p := object{"@type": "CreateAction", "name": "Publication", "result": ref("./"), "endTime": stamp(r.Issued), "agent": root["publisher"]}
	s := ""
	if !r.ConsentCutoff.IsZero() {
		s = "Consent was asked as it stood at " + stamp(r.ConsentCutoff) + ". "
	}
	if r.PolicyHash != "" {
		s += "The policy has the SHA-256 " + r.PolicyHash + ". "
	}
	if r.Risk != "" {
		s += "Risk of re-identification: " + r.Risk
	}
	filled(p, "description", strings.TrimSpace(s))
	if r.Previous != nil {
		p["object"] = ref(r.Previous.address())
	}
	actions = append(actions, c.put("#publication", p))
	if r.gone() {
		actions = append(actions, c.put("#withdrawal", object{"@type": "DeleteAction", "name": "Withdrawal", "object": ref("./"), "endTime": stamp(r.Tombstone.At),
			"description": r.Tombstone.Reason, "additionalType": r.Tombstone.Code}))
	}
	root["mentions"] = actions
}
