// Package describe writes what a release of a dataset is in the formats that others read: Croissant, RO-Crate, DataCite, schema.org, the Citation File Format,
// manifests of TCIA and s5cmd, tables of metadata (CSV, Parquet), names of BIDS, and the release's own manifest (docs/formats/manifest.md), which is also read.
// docs/formats/release-descriptions.md says which field goes where.
//
// What is given is written: whether a number may be told, and whether an entry is in the release at all, was decided before. Descriptions of a release
// carry no list of people or objects. The manifest and the tables do; they bear pseudonyms and cleaned values and are for those who may have the objects.
//
// Everything writes to an io.Writer and needs neither clock nor network: the same input gives the same bytes. Entries are read one after the other; none of the
// formats needs them all in memory. An error ends a writer, and what it wrote is not whole then.
package describe

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/semver"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// State is how a release stands.
type State string

// The states of a release that is, or was, published.
const (
	Published  State = "published"
	Amended    State = "amended"    // entries were withdrawn from it; a later version lacks them
	Superseded State = "superseded" // a later version takes its place; it can still be had
	Tombstoned State = "tombstoned" // withdrawn as a whole: only its description is left
)

// AccessLevel is who may have the objects.
type AccessLevel string

// The levels.
const (
	Open       AccessLevel = "open"       // everybody
	Registered AccessLevel = "registered" // whoever is known and has accepted the terms
	Controlled AccessLevel = "controlled" // whose request was granted
)

// Release is a dataset at a version, as others are told of it. Times are written in UTC. What is empty is left out.
type Release struct {
	Dataset     string // needed; a collection's kind of identifier: lower-case letters, digits, hyphens
	Version     string // needed; Semantic Versioning: 1.0.0
	Title       string // needed, at most 300 characters
	Abstract    string // needed; a sentence or two, at most 2,000 characters
	Description string // at most 20,000 characters
	Keywords    []string

	URL        string // needed; the page of this version
	DOI        string // of this version: 10.1234/abc
	Reserved   bool   // the DOI is not registered yet: it is told to DataCite and to nobody else
	ConceptDOI string // of the dataset in all its versions

	Collection   Collection             // that the dataset belongs to
	Publisher    directory.Organisation // needed: its name
	Contact      directory.Contact
	Creators     []Contributor // needed; in the order to cite them
	Contributors []Contributor // others who had a part in it
	Funding      []directory.Grant
	Publications []directory.Publication // about the data; those that used it are left out

	License License           // may be empty where the data is given under an agreement alone
	DataUse directory.DataUse // what the data may be used for
	Access  Access

	Issued        time.Time // needed; when this version was published
	Changed       time.Time // when its state or description last changed
	ConsentCutoff time.Time // consent was asked as it stood then
	Root          string    // needed; RFC 6962 tree hash of the manifest, 64 hexadecimal digits
	PolicyHash    string    // SHA-256 of the policy it was published under, 64 hexadecimal digits

	Deidentification Deidentification
	Risk             string // what the report of risk came to, in a paragraph

	Counts Counts
	Splits []Split

	State     State    // needed
	Previous  *Version // that it takes the place of
	Next      *Version // that takes its place
	Tombstone Tombstone

	Files  []File // that go with the objects: manifest, tables
	Images string // folder of the objects in a download, with a slash at its end; "images/" where it is empty
}

// Collection is what a dataset is made of.
type Collection struct {
	ID, Title, URL, DOI string
}

// Contributor is a person or an organisation that had a part in a dataset.
type Contributor struct {
	Name          string // needed where Given and Family are empty; of an organisation its name
	Given, Family string
	ORCID         string                 // 0000-0002-1825-0097
	ROR           string                 // of an organisation: https://ror.org/0abcdef12
	Affiliation   directory.Organisation // of a person
	Type          string                 // DataCite contributorType: DataCurator, ProjectLeader ...; needed of contributors, not of creators
	Roles         []string               // CRediT: "data-curation", "software" ...
}

// organisation reports whether the contributor is one.
func (c *Contributor) organisation() bool { return c.Given == "" && c.Family == "" && c.ORCID == "" }

// full is the name as it is read: given name first.
func (c *Contributor) full() string {
	return first(strings.TrimSpace(c.Given+" "+c.Family), c.Name)
}

// inverted is the name as it is sorted: family name first.
func (c *Contributor) inverted() string {
	switch {
	case c.Family != "" && c.Given != "":
		return c.Family + ", " + c.Given
	case c.Family != "" || c.Given != "":
		return c.Family + c.Given
	}
	return c.Name
}

// License is what the data is given under.
type License struct {
	Name string
	URL  string
	SPDX string // its identifier on the SPDX list: CC-BY-4.0
}

// Access is how the objects are had.
type Access struct {
	Level AccessLevel // needed
	Terms string      // address of the conditions
	Note  string      // in plain words, at most 2,000 characters
}

// Deidentification is the statement of how identity was taken out.
type Deidentification struct {
	Profile   string // "research"
	Version   string // of the profile
	Statement string // at most 5,000 characters
	At        time.Time
}

// Counts are published numbers: rounded, or withheld because they are of few (directory.Number).
type Counts struct {
	People, Studies, Series, Instances directory.Number

	Bytes      int64             // of all objects; 0 is unknown
	Modalities []directory.Count // people, by vocabulary Modality
	Sexes      []directory.Count // people, by vocabulary Sex
	Ages       []directory.Count // people, by vocabulary AgeBin
}

// Split is a part of a release that is kept apart for one use. Splits are by person.
type Split struct {
	Name      string // SplitTrain, SplitValidation or SplitTest
	People    directory.Number
	Instances directory.Number
}

// The names of splits.
const (
	SplitTrain      = "train"
	SplitValidation = "validation"
	SplitTest       = "test"
)

var splitNames = []string{SplitTrain, SplitValidation, SplitTest}

// Version is another version of the same dataset.
type Version struct {
	Version, URL, DOI string
}

// Tombstone is why and when a release was withdrawn as a whole.
type Tombstone struct {
	Code       string // needed of a tombstoned release: withdrawal, deidentification-defect, legal, policy, error
	Reason     string // in plain words; it is public and names nobody
	At         time.Time
	ReplacedBy *Version
}

// FileKind is what a file is to a release.
type FileKind string

// The kinds that formats point to; a file may be of another.
const (
	Manifest         FileKind = "manifest"
	InstancesCSV     FileKind = "instances-csv"
	InstancesParquet FileKind = "instances-parquet"
	SeriesCSV        FileKind = "series-csv"
	SeriesParquet    FileKind = "series-parquet"
)

// File is a file that goes with the objects of a release.
type File struct {
	Kind        FileKind
	Path        string // needed; within a download, with slashes
	URL         string // where it is had
	Format      string // needed; media type
	Description string
	SHA256      string // 64 hexadecimal digits
	Size        int64  // bytes
}

// name is how a release is written: DATASET@VERSION.
func (r *Release) name() string { return r.Dataset + "@" + r.Version }

// doi is the DOI as an address, where it is one.
func (r *Release) doi() string {
	if r.DOI == "" || r.Reserved {
		return ""
	}
	return doiURL(r.DOI)
}

func doiURL(doi string) string {
	if doi == "" {
		return ""
	}
	return "https://doi.org/" + (&url.URL{Path: doi}).EscapedPath()
}

// address is where a version is found: by its DOI, or else its page.
func (v *Version) address() string {
	if v == nil {
		return ""
	}
	return first(doiURL(v.DOI), v.URL)
}

func (c *Collection) address() string { return first(doiURL(c.DOI), c.URL) }

// gone reports whether the release was withdrawn as a whole.
func (r *Release) gone() bool { return r.State == Tombstoned }

// files are those that can still be had.
func (r *Release) files() []File {
	if r.gone() {
		return nil
	}
	return r.Files
}

func (r *Release) file(kinds ...FileKind) (File, bool) {
	for _, k := range kinds {
		for _, f := range r.files() {
			if f.Kind == k {
				return f, true
			}
		}
	}
	return File{}, false
}

func (r *Release) images() string { return first(r.Images, "images/") }

// summary is what a reader is told first: of a release that is gone, that it is.
func (r *Release) summary() string {
	if !r.gone() {
		return r.Abstract
	}
	t := r.Tombstone
	s := "This release was withdrawn on " + day(t.At) + ": " + strings.TrimRight(t.Reason, ".") + "."
	if t.ReplacedBy != nil {
		s += " Version " + t.ReplacedBy.Version + " takes its place."
	}
	return s + "\n\n" + r.Abstract
}

// paragraphs are the summary and the description, the latter where it says anything else.
func (r *Release) paragraphs() string {
	if r.Description == "" || r.Description == r.Abstract {
		return r.summary()
	}
	return r.summary() + "\n\n" + r.Description
}

// citation is one line that cites the release.
func (r *Release) citation() string {
	names := make([]string, len(r.Creators))
	for i := range r.Creators {
		names[i] = r.Creators[i].inverted()
	}
	return fmt.Sprintf("%s (%d). %s (version %s) [data set]. %s. %s", strings.Join(names, "; "), r.Issued.UTC().Year(), r.Title, r.Version, r.Publisher.Name,
		first(r.doi(), r.URL))
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// first is the first that is not empty.
func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

var (
	datasetID = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)
	doiForm   = regexp.MustCompile(`^10\.[0-9]{4,9}/[A-Za-z0-9:/_;.()\-]{1,200}$`)
	paperForm = regexp.MustCompile(`^10\.[0-9]{4,9}(?:\.[0-9]+)*/[^\s<>"{}|^\x60\\]{1,200}$`) // of any agency, as papers have had since 2000
	orcidForm = regexp.MustCompile(`^[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X]$`)
	rorForm   = regexp.MustCompile(`^https://ror\.org/0[a-z0-9]{8}$`)
)

// contributorTypes are those of the DataCite Metadata Schema 4.5, 7.a.
var contributorTypes = []string{"ContactPerson", "DataCollector", "DataCurator", "DataManager", "Distributor", "Editor", "HostingInstitution", "Other", "Producer",
	"ProjectLeader", "ProjectManager", "ProjectMember", "RegistrationAgency", "RegistrationAuthority", "RelatedPerson", "ResearchGroup", "Researcher", "RightsHolder",
	"Sponsor", "Supervisor", "WorkPackageLeader"}

// creditRoles are those of CRediT, ANSI/NISO Z39.104-2022, as its addresses write them.
var creditRoles = map[string]string{"conceptualization": "Conceptualization", "data-curation": "Data curation", "formal-analysis": "Formal analysis",
	"funding-acquisition": "Funding acquisition", "investigation": "Investigation", "methodology": "Methodology", "project-administration": "Project administration",
	"resources": "Resources", "software": "Software", "supervision": "Supervision", "validation": "Validation", "visualization": "Visualization",
	"writing-original-draft": "Writing – original draft", "writing-review-editing": "Writing – review & editing"}

// licenses are those of the SPDX list that data is given under.
var licenses = []string{"Apache-2.0", "BSD-3-Clause", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-NC-3.0", "CC-BY-NC-4.0", "CC-BY-NC-ND-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0",
	"CC-BY-SA-4.0", "CC0-1.0", "MIT", "ODC-By-1.0", "ODbL-1.0", "OGL-UK-3.0", "PDDL-1.0"}

// tombstoneCodes are why a release may be withdrawn.
var tombstoneCodes = []string{"withdrawal", "deidentification-defect", "legal", "policy", "error"}

// most is how many of a kind of thing a release may have.
const most = 1000

// checker notes the first thing that is wrong.
type checker struct{ err error }

func (c *checker) wrong(kind fault.Kind, field, format string, a ...any) {
	if c.err == nil {
		c.err = fault.New(kind, "describe release", field, fmt.Sprintf(format, a...))
	}
}

// text holds a text to a length and to characters that every format can carry; lines says whether it may have several lines.
func (c *checker) text(field, s string, limit int, needed, lines bool) {
	if needed && strings.TrimSpace(s) == "" {
		c.wrong(fault.Invalid, field, "it is needed")
	}
	if len(s) > limit { // a long text is not counted in full
		if n := utf8.RuneCountInString(s); n > limit {
			c.wrong(fault.TooLarge, field, "it has %d characters, and %d are the most", n, limit)
			return
		}
	}
	if !utf8.ValidString(s) {
		c.wrong(fault.Invalid, field, "it is not UTF-8")
	}
	for _, r := range s {
		if unicode.IsControl(r) && !(lines && (r == '\n' || r == '\t')) || r == '\uFFFE' || r == '\uFFFF' {
			c.wrong(fault.Invalid, field, "it has the control character U+%04X", r)
			return
		}
	}
}

func (c *checker) link(field, s string, needed bool) {
	c.text(field, s, 2000, needed, false)
	if s == "" {
		return
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsAny(s, ` <>"{}|\^`+"`") {
		c.wrong(fault.Invalid, field, "it is no address that begins with https://")
	}
}

func (c *checker) form(field, s string, form *regexp.Regexp, what string) {
	if s != "" && !form.MatchString(s) {
		c.wrong(fault.Invalid, field, "it is no %s", what)
	}
}

func (c *checker) hash(field, s string, needed bool) {
	if s == "" && !needed {
		return
	}
	if !isHash(s) {
		c.wrong(fault.Invalid, field, "it is no SHA-256 of 64 lower-case hexadecimal digits")
	}
}

func isHash(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 64
}

func (c *checker) number(field string, n int) {
	if n > most {
		c.wrong(fault.TooLarge, field, "there are %d, and %d are the most", n, most)
	}
}

func (c *checker) version(field string, v *Version) {
	if v == nil {
		return
	}
	c.semver(field+".version", v.Version)
	c.link(field+".url", v.URL, v.DOI == "")
	c.form(field+".doi", v.DOI, doiForm, "DOI")
}

func (c *checker) semver(field, v string) {
	if !validVersion(v) {
		c.wrong(fault.Invalid, field, "it is no version as Semantic Versioning writes one, like 1.0.0")
	}
}

// validVersion is MAJOR.MINOR.PATCH with what may follow; golang.org/x/mod/semver takes v1 and v1.2 too.
func validVersion(v string) bool {
	return len(v) <= 64 && semver.IsValid("v"+v) && strings.Count(strings.FieldsFunc(v+" ", func(r rune) bool { return r == '-' || r == '+' })[0], ".") == 2
}

func (c *checker) organisation(field string, o *directory.Organisation, needed bool) {
	c.text(field+".name", o.Name, 300, needed, false)
	c.form(field+".ror", o.ROR, rorForm, "ROR identifier like https://ror.org/0abcdef12")
	c.link(field+".url", o.URL, false)
}

func (c *checker) contributors(field string, list []Contributor, typed bool) {
	c.number(field, len(list))
	for i := range list {
		p, at := &list[i], fmt.Sprintf("%s[%d]", field, i)
		c.text(at+".name", first(p.Name, p.Family, p.Given), 300, true, false)
		c.text(at+".given", p.Given, 300, false, false)
		c.text(at+".family", p.Family, 300, false, false)
		c.form(at+".orcid", p.ORCID, orcidForm, "ORCID")
		c.form(at+".ror", p.ROR, rorForm, "ROR identifier like https://ror.org/0abcdef12")
		c.organisation(at+".affiliation", &p.Affiliation, false)
		if (typed || p.Type != "") && !slices.Contains(contributorTypes, p.Type) {
			c.wrong(fault.Invalid, at+".type", "it is no contributorType of DataCite")
		}
		for _, role := range p.Roles {
			if creditRoles[role] == "" {
				c.wrong(fault.Invalid, at+".roles", "one is no role of CRediT")
			}
		}
	}
}

// Check reports the first field that keeps a release from being described: fault.TooLarge where it is over a bound, else fault.Invalid. Every writer asks it.
func (r *Release) Check() error {
	var c checker
	if !datasetID.MatchString(r.Dataset) {
		c.wrong(fault.Invalid, "dataset", "it is no identifier of at most 63 lower-case letters, digits and hyphens")
	}
	c.semver("version", r.Version)
	c.text("title", r.Title, 300, true, false)
	c.text("abstract", r.Abstract, 2000, true, true)
	c.text("description", r.Description, 20_000, false, true)
	c.number("keywords", len(r.Keywords))
	for i, k := range r.Keywords {
		c.text(fmt.Sprintf("keywords[%d]", i), k, 200, true, false)
	}
	c.link("url", r.URL, true)
	c.form("doi", r.DOI, doiForm, "DOI")
	c.form("conceptDoi", r.ConceptDOI, doiForm, "DOI")
	c.text("collection.title", r.Collection.Title, 300, false, false)
	c.link("collection.url", r.Collection.URL, false)
	c.form("collection.doi", r.Collection.DOI, doiForm, "DOI")
	c.form("collection.id", r.Collection.ID, datasetID, "identifier")
	c.organisation("publisher", &r.Publisher, true)
	c.text("contact.name", r.Contact.Name, 300, false, false)
	c.text("contact.email", r.Contact.Email, 300, false, false)
	c.link("contact.url", r.Contact.URL, false)
	if len(r.Creators) == 0 {
		c.wrong(fault.Invalid, "creators", "one is needed")
	}
	c.contributors("creators", r.Creators, false)
	c.contributors("contributors", r.Contributors, true)
	c.number("funding", len(r.Funding))
	for i, g := range r.Funding {
		at := fmt.Sprintf("funding[%d]", i)
		c.text(at+".funder", g.Funder, 300, true, false)
		c.form(at+".ror", g.ROR, rorForm, "ROR identifier")
		c.text(at+".number", g.Number, 200, false, false)
		c.text(at+".title", g.Title, 300, false, false)
		c.link(at+".reference", g.Reference, false)
	}
	c.number("publications", len(r.Publications))
	for i, p := range r.Publications {
		c.text(fmt.Sprintf("publications[%d].doi", i), p.DOI, 300, true, false)
		c.form(fmt.Sprintf("publications[%d].doi", i), p.DOI, paperForm, "DOI")
		c.text(fmt.Sprintf("publications[%d].title", i), p.Title, 500, false, false)
	}
	c.text("license.name", r.License.Name, 300, false, false)
	c.link("license.url", r.License.URL, false)
	if r.License.SPDX != "" && !slices.Contains(licenses, r.License.SPDX) {
		c.wrong(fault.Invalid, "license.spdx", "it is none of %s", strings.Join(licenses, ", "))
	}
	c.dataUse(&r.DataUse)
	if !slices.Contains([]AccessLevel{Open, Registered, Controlled}, r.Access.Level) {
		c.wrong(fault.Invalid, "access.level", "it is none of open, registered and controlled")
	}
	c.link("access.terms", r.Access.Terms, false)
	c.text("access.note", r.Access.Note, 2000, false, true)
	if r.Issued.IsZero() {
		c.wrong(fault.Invalid, "issued", "it is needed")
	}
	c.hash("root", r.Root, true)
	c.hash("policyHash", r.PolicyHash, false)
	c.text("deidentification.profile", r.Deidentification.Profile, 100, false, false)
	c.text("deidentification.version", r.Deidentification.Version, 100, false, false)
	c.text("deidentification.statement", r.Deidentification.Statement, 5000, false, true)
	c.text("risk", r.Risk, 5000, false, true)
	for _, s := range r.Splits {
		if !slices.Contains(splitNames, s.Name) {
			c.wrong(fault.Invalid, "splits", "one is none of train, validation and test")
		}
	}
	c.files(r.Files)
	if r.Images != "" && (!validPath(strings.TrimSuffix(r.Images, "/")) || !strings.HasSuffix(r.Images, "/")) {
		c.wrong(fault.Invalid, "images", "it is no relative folder with a slash at its end")
	}
	c.state(r)
	return c.err
}

func (c *checker) files(files []File) {
	c.number("files", len(files))
	seen := map[string]bool{}
	for i, f := range files {
		at := fmt.Sprintf("files[%d]", i)
		if !validPath(f.Path) || seen[f.Path] {
			c.wrong(fault.Invalid, at+".path", "it is no relative path, or another file has the same")
		}
		seen[f.Path] = true
		c.link(at+".url", f.URL, false)
		c.text(at+".format", f.Format, 200, true, false)
		c.text(at+".description", f.Description, 1000, false, false)
		c.hash(at+".sha256", f.SHA256, false)
	}
}

func (c *checker) dataUse(u *directory.DataUse) {
	c.number("dataUse", len(u.Alternatives))
	c.text("dataUse.note", u.Note, 2000, false, true)
	for i, a := range u.Alternatives {
		at := fmt.Sprintf("dataUse[%d]", i)
		if !vocabulary.DataUsePermission.Has(a.Permission) {
			c.wrong(fault.Invalid, at+".permission", "it is no permission of the Data Use Ontology")
		}
		for _, m := range a.Modifiers {
			if !vocabulary.DataUseModifier.Has(m.Code) {
				c.wrong(fault.Invalid, at+".modifiers", "one is neither of the Data Use Ontology nor ours")
			}
			for _, v := range m.Values {
				c.text(at+".modifiers", v, 500, true, false)
			}
		}
	}
}

func (c *checker) state(r *Release) {
	c.version("previous", r.Previous)
	c.version("next", r.Next)
	c.version("tombstone.replacedBy", r.Tombstone.ReplacedBy)
	c.text("tombstone.reason", r.Tombstone.Reason, 2000, r.gone(), true)
	switch {
	case !slices.Contains([]State{Published, Amended, Superseded, Tombstoned}, r.State):
		c.wrong(fault.Invalid, "state", "it is none of published, amended, superseded and tombstoned")
	case r.gone() && r.Tombstone.At.IsZero():
		c.wrong(fault.Invalid, "tombstone.at", "it is needed of a release that was withdrawn")
	case r.gone() && !slices.Contains(tombstoneCodes, r.Tombstone.Code):
		c.wrong(fault.Invalid, "tombstone.code", "it is none of %s", strings.Join(tombstoneCodes, ", "))
	case !r.gone() && !r.Tombstone.At.IsZero():
		c.wrong(fault.Invalid, "state", "it has a tombstone and is not tombstoned")
	}
}
