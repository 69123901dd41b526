package describe

import (
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// object is a JSON object. Its keys are written in alphabetical order, so that the same release gives the same bytes.
type object = map[string]any

// write writes a document. It may be put into a page as it is: encoding/json escapes what could end a script.
func write(w io.Writer, doc object) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(doc)
}

// filled sets what says anything.
func filled(o object, key string, v any) {
	switch x := v.(type) {
	case string:
		if x == "" {
			return
		}
	case []string:
		if len(x) == 0 {
			return
		}
	case []object:
		if len(x) == 0 {
			return
		}
	}
	o[key] = v
}

func ref(id string) object { return object{"@id": id} }

// known is a published number, where it may be told.
func known(n directory.Number) (int64, bool) { return n.Value, n.Known && !n.Withheld }

// sizes are the published numbers in words.
func (r *Release) sizes() []string {
	var out []string
	put := func(n directory.Number, what string) {
		if v, ok := known(n); ok {
			out = append(out, strconv.FormatInt(v, 10)+" "+what)
		}
	}
	put(r.Counts.People, "people")
	put(r.Counts.Studies, "studies")
	put(r.Counts.Series, "series")
	put(r.Counts.Instances, "instances")
	if r.Counts.Bytes > 0 {
		out = append(out, strconv.FormatInt(r.Counts.Bytes, 10)+" bytes")
	}
	return out
}

// formats are the media types in the release, each once: that of the objects first.
func (r *Release) formats() []string {
	out := []string{"application/dicom"}
	for _, f := range r.files() {
		if !slices.Contains(out, f.Format) {
			out = append(out, f.Format)
		}
	}
	return out
}

// modalities are the names of the kinds of image in it.
func (r *Release) modalities() []string {
	var out []string
	for _, m := range r.Counts.Modalities {
		out = append(out, vocabulary.Modality.Label(m.Term))
	}
	return out
}

// topics are the keywords and the kinds of image, each once.
func (r *Release) topics() []string {
	var out []string
	for _, k := range slices.Concat(r.Keywords, r.modalities()) {
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// schemaAgent is who had a part in it, in terms of schema.org.
func schemaAgent(c *Contributor) object {
	if c.organisation() {
		return schemaOrganisation(&directory.Organisation{Name: c.Name, ROR: c.ROR})
	}
	p := object{"@type": "Person", "name": c.full()}
	filled(p, "givenName", c.Given)
	filled(p, "familyName", c.Family)
	if c.ORCID != "" {
		p["@id"] = "https://orcid.org/" + c.ORCID
	}
	if c.Affiliation.Name != "" {
		p["affiliation"] = schemaOrganisation(&c.Affiliation)
	}
	return p
}

func schemaOrganisation(o *directory.Organisation) object {
	s := object{"@type": "Organization", "name": o.Name}
	filled(s, "@id", o.ROR)
	filled(s, "url", o.URL)
	return s
}

func schemaGrants(grants []directory.Grant) []object {
	var out []object
	for _, g := range grants {
		o := object{"@type": "Grant", "funder": schemaOrganisation(&directory.Organisation{Name: g.Funder, ROR: g.ROR})}
		filled(o, "identifier", g.Number)
		filled(o, "name", g.Title)
		filled(o, "url", g.Reference)
		out = append(out, o)
	}
	return out
}

type group struct {
	list   *vocabulary.List
	counts []directory.Count
}

// groups are the numbers of people by kind.
func (r *Release) groups() []group {
	return []group{{vocabulary.Modality, r.Counts.Modalities}, {vocabulary.Sex, r.Counts.Sexes}, {vocabulary.AgeBin, r.Counts.Ages}}
}

func byteSize(n int64) string { return strconv.FormatInt(n, 10) + " B" }

func spdxURL(id string) string {
	if id == "" {
		return ""
	}
	return "https://spdx.org/licenses/" + id
}

// cut shortens a text to a number of characters.
func cut(s string, limit int) string {
	r := []rune(s)
	if len(r) <= limit {
		return s
	}
	return string(r[:limit-1]) + "…"
}

// distinct are the objects, each once: some schemas want them so.
func distinct(list []object) []object {
	var out []object
	for _, o := range list {
		if !slices.ContainsFunc(out, func(p object) bool { return reflect.DeepEqual(o, p) }) {
			out = append(out, o)
		}
	}
	return out
}
