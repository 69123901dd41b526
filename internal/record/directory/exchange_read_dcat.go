package directory

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/piprate/json-gold/ld"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// ReadDCAT makes drafts of the data sets of a DCAT document in JSON-LD: a catalogue, a graph or one data set. Nothing is fetched: a context at another
// address is taken for the usual prefixes and names of DCAT-AP, and that is noted.
func ReadDCAT(r io.Reader) ([]Imported, error) {
	const attempt = "import a description"
	v, err := readJSON(r)
	if err != nil {
		return nil, err
	}
	if contexts(v) > maxContext {
		return nil, fault.New(fault.TooLarge, attempt, "DCAT", fmt.Sprintf("a document has at most %d contexts", maxContext))
	}
	local := &localContexts{}
	nodes, err := expand(v, local)
	if err != nil {
		return nil, fault.New(fault.Invalid, attempt, "DCAT", "this is not JSON-LD that can be read without fetching anything")
	}
	g := &graph{byID: map[string]map[string]any{}}
	g.collect(nodes, 0)
	if len(g.sets) == 0 {
		return nil, fault.New(fault.Invalid, attempt, "DCAT", "there is no dcat:Dataset in it")
	}
	if len(g.sets) > MaxDrafts {
		return nil, fault.New(fault.TooLarge, attempt, "DCAT", fmt.Sprintf("a document is at most %d data sets", MaxDrafts))
	}
	out := make([]Imported, 0, len(g.sets))
	for _, set := range g.sets {
		d := Imported{Entry: Entry{Holding: Elsewhere}}
		if local.used {
			d.note("@context", "the context was not fetched; the usual names of DCAT-AP were taken")
		}
		g.dataset(&d, set)
		d.finish()
		out = append(out, d)
	}
	return out, nil
}

// contexts counts the contexts of a document, and those that a context names again within itself.
func contexts(v any) int {
	n := 0
	switch x := v.(type) {
	case map[string]any:
		for key, inner := range x {
			if key == "@context" {
				n++
				if list, ok := inner.([]any); ok {
					n += len(list)
				}
			}
			n += contexts(inner)
		}
	case []any:
		for _, inner := range x {
			n += contexts(inner)
		}
	}
	return n
}

// expand turns JSON-LD into nodes with whole addresses. The library is made for documents that are meant well: what it cannot bear is an error here.
func expand(v any, local *localContexts) (nodes []any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Invalid, "import a description", "DCAT", "the JSON-LD cannot be expanded")
		}
	}()
	o := ld.NewJsonLdOptions("")
	o.DocumentLoader = local
	return ld.NewJsonLdProcessor().Expand(v, o)
}

// localContexts answers every question for a context with the usual one.
type localContexts struct{ used bool }

func (l *localContexts) LoadDocument(u string) (*ld.RemoteDocument, error) {
	l.used = true
	return &ld.RemoteDocument{DocumentURL: u, Document: map[string]any{"@context": usualContext()}}, nil
}

func usualContext() map[string]any {
	c := map[string]any{"dcterms": "http://purl.org/dc/terms/"}
	for k, v := range dcatContext {
		c[k] = v
	}
	for _, n := range []string{"title", "description", "identifier", "publisher", "issued", "modified", "spatial", "temporal", "accessRights",
		"accrualPeriodicity", "subject", "isReferencedBy",
		"language", "rights", "isPartOf", "source", "relation"} {
		c[n] = "http://purl.org/dc/terms/" + n
	}
	for _, n := range []string{"Catalog", "Dataset", "Distribution", "dataset", "keyword", "contactPoint", "landingPage", "distribution", "startDate",
		"endDate", "theme"} {
		c[n] = "http://www.w3.org/ns/dcat#" + n
	}
	return c
}

// Addresses of what is read.
const (
	dcat  = "http://www.w3.org/ns/dcat#"
	dct   = "http://purl.org/dc/terms/"
	foaf  = "http://xmlns.com/foaf/0.1/"
	vcard = "http://www.w3.org/2006/vcard/ns#"
	skos  = "http://www.w3.org/2004/02/skos/core#"
	adms  = "http://www.w3.org/ns/adms#"
	rdfs  = "http://www.w3.org/2000/01/rdf-schema#"
)

// graph is an expanded document: its nodes by address, and the data sets in order.
type graph struct {
	byID map[string]map[string]any
	sets []map[string]any
}

func (g *graph) collect(v any, depth int) {
	if depth > 2*maxNesting {
		return
	}
	switch x := v.(type) {
	case []any:
		for _, item := range x {
			g.collect(item, depth+1)
		}
	case map[string]any:
		if id, ok := x["@id"].(string); ok && len(x) > 1 && g.byID[id] == nil {
			g.byID[id] = x
		}
		if kinds, ok := x["@type"].([]any); ok && slices.Contains(kinds, any(dcat+"Dataset")) {
			g.sets = append(g.sets, x)
		}
		for _, key := range sortedKeys(x) {
			g.collect(x[key], depth+1)
		}
	}
}

// values are the values of a property; one that is only named is looked up.
func (g *graph) values(node map[string]any, property string) []map[string]any {
	list, _ := node[property].([]any)
	var out []map[string]any
	for _, v := range list {
		o, ok := v.(map[string]any)
		if !ok || len(out) >= maxCodes {
			continue
		}
		if id, named := o["@id"].(string); named && len(o) == 1 && g.byID[id] != nil {
			o = g.byID[id]
		}
		out = append(out, o)
	}
	return out
}

// text is the English text of a property, else the first one; of a node its address.
func (g *graph) text(node map[string]any, properties ...string) string {
	for _, p := range properties {
		best := ""
		for _, o := range g.values(node, p) {
			v := asText(o["@value"])
			if v == "" {
				v = asText(o["@id"])
			}
			lang, _ := o["@language"].(string)
			if strings.HasPrefix(strings.ToLower(lang), "en") && v != "" {
				best = v
				break
			}
			best = first(best, v)
		}
		if best != "" {
			return best
		}
	}
	return ""
}

func (g *graph) dataset(d *Imported, n map[string]any) {
	e := &d.Entry
	e.Origin = cut(tidy(first(asText(n["@id"]), g.text(n, dct+"identifier"))), 500)
	if strings.HasPrefix(e.Origin, "_:") {
		e.Origin = cut(tidy(g.text(n, dct+"identifier")), 500)
	}
	e.Title = tidy(g.text(n, dct+"title"))
	e.Description = tidyParagraphs(g.text(n, dct+"description"))
	e.Abstract = tidy(e.Description)
	if len([]rune(e.Abstract)) <= 255 {
		e.Description = ""
	} else {
		e.Abstract = cut(e.Abstract, 255)
		d.note(dct+"description", "the abstract is the description's beginning: write a better one")
	}
	g.words(d, n)
	g.people(d, n)
	for _, id := range append(g.values(n, adms+"identifier"), n) {
		for _, s := range []string{g.text(id, skos+"notation"), g.text(id, dct+"identifier"), asText(id["@id"])} {
			if s = doi(s); e.DOI == "" && doiForm.MatchString(s) {
				e.DOI = s
			}
		}
	}
	if page := g.text(n, dcat+"landingPage", foaf+"page"); strings.HasPrefix(page, "http") {
		e.URL = page
	}
	for _, p := range g.values(n, dct+"temporal") {
		e.Start, e.End = day(g.text(p, dcat+"startDate", "http://schema.org/startDate")), day(g.text(p, dcat+"endDate", "http://schema.org/endDate"))
	}
	for _, p := range g.values(n, dct+"spatial") {
		if s := tidy(first(g.text(p, skos+"prefLabel", rdfs+"label"), asText(p["@value"]), last(asText(p["@id"])))); s != "" {
			e.Spatial = append(e.Spatial, s)
		}
	}
	e.Spatial = unique(e.Spatial)
	if f := last(g.text(n, dct+"accrualPeriodicity")); f != "" {
		d.oneTerm(dct+"accrualPeriodicity", vocabulary.Frequency, f, &e.Frequency)
	}
	switch last(g.text(n, dct+"accessRights")) {
	case "PUBLIC":
		e.Access.Service = "open"
	case "NON_PUBLIC":
		e.Access.Condition = "closed"
	case "":
	case "RESTRICTED":
		d.note(dct+"accessRights", "access is restricted; say whether researchers may apply")
	default:
		e.Access.Rights = cut(tidy(g.text(n, dct+"accessRights")), 5000)
	}
	g.subjects(d, n)
	g.rights(d, n)
	for _, p := range g.values(n, dct+"isReferencedBy") {
		if s := doi(first(asText(p["@id"]), asText(p["@value"]))); doiForm.MatchString(s) {
			e.Publications = append(e.Publications, Publication{DOI: s})
		} else {
			d.note(dct+"isReferencedBy", "a publication is named by its DOI: "+quoted(s))
		}
	}
	e.DerivedFrom, e.Linkable = g.links(n, dct+"source"), g.links(n, dct+"relation")
	g.rest(d, n)
}

func (g *graph) links(n map[string]any, property string) []Link {
	var out []Link
	for _, v := range g.values(n, property) {
		id := asText(v["@id"])
		if title := tidy(first(g.text(v, dct+"title"), asText(v["@value"]), id)); title != "" {
			out = append(out, Link{Title: cut(title, 150), URL: webOrNothing(id)})
		}
	}
	return out
}

func webOrNothing(s string) string {
	if strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") {
		return s
	}
	return ""
}

// last is the last part of an address.
func last(s string) string { return s[strings.LastIndexAny(s, "/#")+1:] }

// words are keywords: those that name a modality or a disease are taken as such.
func (g *graph) words(d *Imported, n map[string]any) {
	e := &d.Entry
	for _, k := range g.values(n, dcat+"keyword") {
		s := tidy(asText(k["@value"]))
		if t, ok := vocabulary.Modality.Find(s); ok {
			e.Modalities = append(e.Modalities, t.ID)
			continue
		}
		if s != "" {
			e.Keywords = append(e.Keywords, s)
		}
	}
	e.Keywords, e.Modalities = unique(e.Keywords), unique(e.Modalities)
	e.Domains = e.domainsOf()
}

func (g *graph) people(d *Imported, n map[string]any) {
	e := &d.Entry
	for _, p := range g.values(n, dct+"publisher") {
		e.Custodian.Name = tidy(first(g.text(p, foaf+"name", vcard+"fn", rdfs+"label"), asText(p["@value"])))
		if id := asText(p["@id"]); rorForm.MatchString(id) {
			e.Custodian.ROR = id
		}
		e.Custodian.URL = webOrNothing(g.text(p, foaf+"homepage"))
	}
	for _, p := range g.values(n, dcat+"contactPoint") {
		e.Contact.Name = tidy(g.text(p, vcard+"fn"))
		mail := g.text(p, vcard+"hasEmail")
		for _, m := range g.values(p, vcard+"hasEmail") { // it may be a node with a value
			mail = first(g.text(m, vcard+"hasValue"), mail)
		}
		e.Contact.Email = tidy(strings.TrimPrefix(mail, "mailto:"))
		e.Contact.URL = webOrNothing(g.text(p, vcard+"hasURL"))
	}
}

// subjects are concepts with a notation and a scheme, or identifiers of SNOMED CT.
func (g *graph) subjects(d *Imported, n map[string]any) {
	e := &d.Entry
	for _, c := range g.values(n, dct+"subject") {
		id, notation, scheme := asText(c["@id"]), tidy(g.text(c, skos+"notation")), g.text(c, skos+"inScheme")
		sct, snomed := strings.CutPrefix(id, "http://snomed.info/id/")
		switch {
		case snomed && vocabulary.BodySite.Has(sct):
			e.BodySites = append(e.BodySites, sct)
		case snomed:
			d.disease(dct+"subject", "SNOMED-CT "+sct, &e.Conditions)
		case scheme == codeSystems[vocabulary.ICD10]:
			d.disease(dct+"subject", "ICD-10 "+notation, &e.Conditions)
		case scheme == codeSystems[vocabulary.Morphology] && strings.HasPrefix(notation, "C"):
			d.disease(dct+"subject", "ICD-O-3-T "+notation, &e.Conditions)
		case scheme == codeSystems[vocabulary.Morphology]:
			d.disease(dct+"subject", "ICD-O-3-M "+notation, &e.Conditions)
		default:
			d.disease(dct+"subject", first(notation, g.text(c, skos+"prefLabel"), asText(c["@value"]), last(id)), &e.Conditions)
		}
	}
	e.BodySites = unique(e.BodySites)
}

// rights are terms of DUO, by their address, and ours by their label. One permission with its conditions is a use; several permissions cannot be told
// apart in DCAT, and a term that is not known could forbid what the others allow.
func (g *graph) rights(d *Imported, n map[string]any) {
	var u Use
	permissions, unknown := 0, 0
	for _, v := range g.values(n, dct+"rights") {
		name := strings.Replace(last(asText(v["@id"])), "_", ":", 1)
		if !strings.HasPrefix(name, "DUO:") {
			name = tidy(first(g.text(v, rdfs+"label"), asText(v["@value"]), name))
		}
		if t, ok := vocabulary.DataUsePermission.Find(name); ok {
			permissions++
			u.Permission = t.ID
		} else if t, ok := vocabulary.DataUseModifier.Find(name); ok && t.Ref("takes") == "" {
			u.Modifiers = append(u.Modifiers, Modifier{Code: t.ID})
		} else {
			unknown++
		}
	}
	switch {
	case permissions == 1 && unknown == 0 && u.Permission != "DS":
		d.Entry.DataUse.Alternatives = []Use{u}
	case permissions > 0 || unknown > 0 || len(u.Modifiers) > 0:
		d.note(dct+"rights", "what it may be used for is not taken over, because DCAT does not say it whole")
	}
}

// rest notes the properties that nobody reads.
func (g *graph) rest(d *Imported, n map[string]any) {
	known := []string{dct + "title", dct + "description", dct + "identifier", dct + "publisher", dct + "issued", dct + "modified", dct + "spatial",
		dct + "temporal", dct + "accessRights",
		dct + "accrualPeriodicity", dct + "subject", dct + "isReferencedBy", dct + "language", dct + "rights", dct + "source", dct + "relation",
		dcat + "keyword", dcat + "contactPoint",
		dcat + "landingPage", dcat + "distribution", dcat + "theme", dcat + "version", adms + "identifier", foaf + "page", "http://www.w3.org/2002/07/owl#sameAs"}
	for _, key := range sortedKeys(n) {
		if key[0] != '@' && !slices.Contains(known, key) {
			d.note(key, "this is not taken over")
		}
	}
}
