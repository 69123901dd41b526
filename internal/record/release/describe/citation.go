package describe

import (
	"bytes"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"
)

// cff is a file of the Citation File Format 1.2.0, its keys in this order.
type cff struct {
	Version     string          `yaml:"cff-version"`
	Message     string          `yaml:"message"`
	Type        string          `yaml:"type"`
	Title       string          `yaml:"title"`
	Abstract    string          `yaml:"abstract"`
	Authors     []cffAgent      `yaml:"authors"`
	Contact     []cffAgent      `yaml:"contact,omitempty"`
	Release     string          `yaml:"version"`
	Released    string          `yaml:"date-released"`
	DOI         string          `yaml:"doi,omitempty"`
	URL         string          `yaml:"url"`
	Identifiers []cffIdentifier `yaml:"identifiers,omitempty"`
	Keywords    []string        `yaml:"keywords,omitempty"`
	License     string          `yaml:"license,omitempty"`
	LicenseURL  string          `yaml:"license-url,omitempty"`
	References  []cffReference  `yaml:"references,omitempty"`
}

// cffAgent is a person, or an entity where it has a name.
type cffAgent struct {
	Name        string `yaml:"name,omitempty"`
	Family      string `yaml:"family-names,omitempty"`
	Given       string `yaml:"given-names,omitempty"`
	Affiliation string `yaml:"affiliation,omitempty"`
	ORCID       string `yaml:"orcid,omitempty"`
	Email       string `yaml:"email,omitempty"`
	Website     string `yaml:"website,omitempty"`
}

type cffIdentifier struct {
	Type        string `yaml:"type"`
	Value       string `yaml:"value"`
	Description string `yaml:"description,omitempty"`
}

type cffReference struct {
	Type    string     `yaml:"type"`
	Title   string     `yaml:"title"`
	Authors []cffAgent `yaml:"authors"`
	DOI     string     `yaml:"doi,omitempty"`
	URL     string     `yaml:"url,omitempty"`
	Version string     `yaml:"version,omitempty"`
}

// WriteCitation writes the release's CITATION.cff.
func WriteCitation(w io.Writer, r *Release) error {
	if err := r.Check(); err != nil {
		return err
	}
	f := cff{Version: "1.2.0", Message: "If you use this data set, please cite it as follows.", Type: "dataset", Title: r.Title, Abstract: r.summary(), Release: r.Version,
		Released: day(r.Issued), URL: r.URL, Keywords: unique(r.topics()), License: r.License.SPDX}
	for i := range r.Creators {
		f.Authors = append(f.Authors, cffAuthor(&r.Creators[i]))
	}
	f.Authors = unique(f.Authors)
	if c := r.Contact; c.Email != "" || c.URL != "" {
		f.Contact = []cffAgent{{Name: first(c.Name, r.Publisher.Name), Email: c.Email, Website: c.URL}}
	}
	if r.doi() != "" {
		f.DOI = r.DOI
		f.Identifiers = append(f.Identifiers, cffIdentifier{"doi", r.DOI, "This version"})
	}
	if r.ConceptDOI != "" {
		f.Identifiers = append(f.Identifiers, cffIdentifier{"doi", r.ConceptDOI, "The data set in all its versions"})
	}
	f.Identifiers = append(f.Identifiers, cffIdentifier{"other", r.name(), "Name at the repository"}, cffIdentifier{"other", "rfc6962-sha256:" + r.Root, "Root of the manifest"})
	if f.License == "" {
		f.LicenseURL = r.License.URL
	}
	if r.Collection.Title != "" && r.Collection.address() != "" {
		f.References = append(f.References, cffReference{Type: "data", Title: r.Collection.Title, Authors: []cffAgent{{Name: r.Publisher.Name}}, DOI: r.Collection.DOI,
			URL: r.Collection.URL})
	}
	if p := r.Previous; p != nil {
		f.References = append(f.References, cffReference{Type: "data", Title: r.Title, Authors: f.Authors, DOI: p.DOI, URL: p.URL, Version: p.Version})
	}
	var b bytes.Buffer // an encoder of YAML does not pass on an error of the writer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(f), e.Close()); err != nil {
		return err
	}
	_, err := b.WriteTo(w)
	return err
}

func cffAuthor(c *Contributor) cffAgent {
	if c.organisation() {
		return cffAgent{Name: c.Name, Website: c.ROR}
	}
	a := cffAgent{Family: c.Family, Given: c.Given, Affiliation: c.Affiliation.Name}
	if c.Family == "" && c.Given == "" {
		a.Family = c.Name
	}
	if c.ORCID != "" {
		a.ORCID = "https://orcid.org/" + c.ORCID
	}
	return a
}

func unique[T comparable](list []T) []T {
	var out []T
	seen := map[T]bool{}
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}
