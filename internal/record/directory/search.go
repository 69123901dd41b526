package directory

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// Facet is one way of narrowing a search. Values within a facet are alternatives; facets narrow one another.
type Facet string

// The facets. The first six have numbers of people of their own (see Dimension); of the others, a collection's people are all its people.
const (
	FacetDisease    Facet = "disease" // a vocabulary.Code as "group:breast-cancer" or "ICD-10:C50": it and everything below
	FacetSex        Facet = "sex"
	FacetModality   Facet = "modality"
	FacetTimepoint  Facet = "timepoint"
	FacetAge        Facet = "age"  // the band of a histogram
	FacetYear       Facet = "year" // the bar of a histogram
	FacetDomain     Facet = "domain"
	FacetBodySite   Facet = "site" // with everything that lies within
	FacetStage      Facet = "stage"
	FacetStain      Facet = "stain"
	FacetMaterial   Facet = "material"
	FacetType       Facet = "type"
	FacetStatus     Facet = "status"
	FacetAccess     Facet = "access"
	FacetService    Facet = "service"
	FacetPermission Facet = "use" // permissions of the Data Use Ontology
	FacetLegalBasis Facet = "basis"
	FacetAssociated Facet = "data" // associated data
	FacetHolding    Facet = "holding"
	FacetCustodian  Facet = "custodian"
	FacetFunder     Facet = "funder"
	FacetCountry    Facet = "country"
	FacetImages     Facet = "images" // "available": something is released here
)

// Facets are all facets, in the order to show them.
var Facets = []Facet{FacetDisease, FacetBodySite, FacetModality, FacetDomain, FacetSex, FacetAge, FacetYear, FacetTimepoint, FacetStage, FacetImages, FacetAccess, FacetService, FacetPermission,
	FacetLegalBasis, FacetStain, FacetMaterial, FacetAssociated, FacetType, FacetStatus, FacetHolding, FacetCustodian, FacetFunder, FacetCountry}

// dimension is the counted dimension behind a facet; empty: none.
func (f Facet) dimension() Dimension {
	switch f {
	case FacetDisease:
		return ByDisease
	case FacetSex:
		return BySex
	case FacetModality:
		return ByModality
	case FacetTimepoint:
		return ByTimepoint
	case FacetAge:
		return ByAge
	case FacetYear:
		return ByYear
	}
	return ""
}

// list is the vocabulary behind a facet; nil: none.
func (f Facet) list() *vocabulary.List { return facetLists[f] }

var facetLists = map[Facet]*vocabulary.List{FacetSex: vocabulary.Sex, FacetModality: vocabulary.Modality, FacetDomain: vocabulary.Domain, FacetBodySite: vocabulary.BodySite,
	FacetStage: vocabulary.Stage, FacetStain: vocabulary.Stain, FacetMaterial: vocabulary.MaterialType, FacetType: vocabulary.CollectionType, FacetStatus: vocabulary.CollectionStatus,
	FacetAccess: vocabulary.AccessCondition, FacetService: vocabulary.AccessService, FacetPermission: vocabulary.DataUsePermission, FacetLegalBasis: vocabulary.LegalBasis,
	FacetAssociated: vocabulary.AssociatedDataType, FacetAge: vocabulary.AgeBin}

// CodeValue is a disease as a facet has it.
func CodeValue(c vocabulary.Code) string { return string(c.System) + ":" + c.Value }

// ValueCode is the disease of a facet's value.
func ValueCode(v string) (vocabulary.Code, bool) {
	system, value, ok := strings.Cut(v, ":")
	if !ok {
		return vocabulary.Code{}, false
	}
	c, err := vocabulary.ParseCode(vocabulary.System(system), value)
	return c, err == nil
}

// FacetLabel is what people call a value of a facet.
func FacetLabel(f Facet, v string) string {
	switch f {
	case FacetDisease:
		if c, ok := ValueCode(v); ok {
			return vocabulary.Label(c)
		}
	case FacetAge:
		switch v {
		case AgeOver:
			return "90 years and over"
		case AgeUnknown:
			return "not known"
		}
	}
	if l := f.list(); l != nil {
		return l.Label(v)
	}
	return v
}

// Sort is the order of an answer.
type Sort string

// The orders.
const (
	ByRelevance    Sort = "" // by title where nothing was typed
	ByTitle        Sort = "title"
	ByPeople       Sort = "people"       // the most first
	ByNewest       Sort = "newest"       // changed last first
	ByCompleteness Sort = "completeness" // the best described first
)

// Range is from and to, inclusive.
type Range struct{ From, To int }

func (r Range) String() string { return strconv.Itoa(r.From) + "-" + strconv.Itoa(r.To) }

// Bounds of a query.
const (
	maxQueryText  = 300
	maxSelected   = 50 // values of a facet
	MaxPageSize   = 100
	DefaultSize   = 20
	maxQueryPages = 1000
)

// Query is a search. Its zero value finds everything.
type Query struct {
	Text    string
	Filters map[Facet][]string
	Age     *Range // years
	Year    *Range // of images
	Sort    Sort
	Page    int // from 1; 0 is 1
	Size    int // of a page; 0 is DefaultSize
}

// ParseQuery reads a query from the parameters of an address. Parameters that are none of its own are passed over.
func ParseQuery(v url.Values) (Query, error) {
	bad := func(what, why string) (Query, error) {
		return Query{}, fault.New(fault.Invalid, "read search", what, why)
	}
	q := Query{Text: strings.TrimSpace(v.Get("q")), Sort: Sort(v.Get("sort"))}
	if len(q.Text) > maxQueryText || strings.ToValidUTF8(q.Text, "") != q.Text || strings.IndexByte(q.Text, 0) >= 0 {
		return bad("q", "it is at most 300 bytes of text")
	}
	switch q.Sort {
	case ByRelevance, ByTitle, ByPeople, ByNewest, ByCompleteness:
	default:
		return bad("sort", "an answer is sorted by title, people, newest or completeness")
	}
	for _, f := range Facets {
		for _, s := range v[string(f)] {
			if s == "" {
				continue
			}
			if f == FacetAge || f == FacetYear {
				r, ok := parseRange(s)
				if !ok {
					return bad(string(f), "a range is two numbers with a hyphen: 50-69")
				}
				if f == FacetAge {
					q.Age = &r
				} else {
					q.Year = &r
				}
				continue
			}
			if f == FacetDisease {
				if _, ok := ValueCode(s); !ok {
					return bad(string(f), "a disease is a system and a code: group:breast-cancer, ICD-10:C50")
				}
			}
			if len(s) > 200 || strings.ToValidUTF8(s, "") != s {
				return bad(string(f), "a value is at most 200 bytes of text")
			}
			if q.Filters == nil {
				q.Filters = map[Facet][]string{}
			}
			if !slices.Contains(q.Filters[f], s) {
				q.Filters[f] = append(q.Filters[f], s)
			}
			if len(q.Filters[f]) > maxSelected {
				return bad(string(f), "at most 50 values of a facet can be chosen")
			}
		}
	}
	for _, n := range []struct {
		name string
		to   *int
		most int
	}{{"page", &q.Page, maxQueryPages}, {"size", &q.Size, MaxPageSize}} {
		s := v.Get(n.name)
		if s == "" {
			continue
		}
		x, err := strconv.Atoi(s)
		if err != nil || x < 1 || x > n.most {
			return bad(n.name, "it is a number from 1 to "+strconv.Itoa(n.most))
		}
		*n.to = x
	}
	return q, nil
}

func parseRange(s string) (Range, bool) {
	low, high, ok := strings.Cut(s, "-")
	from, err1 := strconv.Atoi(low)
	to, err2 := strconv.Atoi(high)
	return Range{from, to}, ok && err1 == nil && err2 == nil && from >= 0 && to <= 9999 && from <= to
}

// Values are the parameters of the query's address: the same query has the same ones.
func (q Query) Values() url.Values {
	v := url.Values{}
	set := func(name, s string) {
		if s != "" {
			v.Set(name, s)
		}
	}
	set("q", q.Text)
	set("sort", string(q.Sort))
	for f, values := range q.Filters {
		if len(values) > 0 {
			v[string(f)] = slices.Sorted(slices.Values(values))
		}
	}
	if q.Age != nil {
		set(string(FacetAge), q.Age.String())
	}
	if q.Year != nil {
		set(string(FacetYear), q.Year.String())
	}
	if q.Page > 1 {
		set("page", strconv.Itoa(q.Page))
	}
	if q.Size > 0 && q.Size != DefaultSize {
		set("size", strconv.Itoa(q.Size))
	}
	return v
}

// Has reports whether a value is chosen.
func (q Query) Has(f Facet, value string) bool { return slices.Contains(q.Filters[f], value) }

// With is the query with a value chosen, or no longer if it was, from the first page on.
func (q Query) With(f Facet, value string) Query {
	filters := map[Facet][]string{}
	for k, v := range q.Filters {
		filters[k] = slices.Clone(v)
	}
	if i := slices.Index(filters[f], value); i >= 0 {
		filters[f] = slices.Delete(filters[f], i, i+1)
	} else {
		filters[f] = append(filters[f], value)
	}
	q.Filters, q.Page = filters, 0
	return q
}

// Without is the query without a facet's values.
func (q Query) Without(f Facet) Query {
	filters := map[Facet][]string{}
	for k, v := range q.Filters {
		if k != f {
			filters[k] = v
		}
	}
	q.Filters, q.Page = filters, 0
	switch f {
	case FacetAge:
		q.Age = nil
	case FacetYear:
		q.Year = nil
	}
	return q
}

// Result is the answer to a query. Its numbers are made of published ones alone.
type Result struct {
	All     Whole  // what there is to be found
	Total   int    // collections that match
	People  Number // in them, with every filter at most so many; small groups are left out of the sum
	AsOf    string // day of the snapshot that numbers are of; empty: none yet
	Hits    []Hit  // a page of them
	Facets  []FacetCounts
	Ages    []Bin // of FacetAge, from young to old
	Years   []Bin
	Phrases []Meaning // what was understood of the text
	Near    []NearMiss
	Took    time.Duration
}

// Whole is the directory as a whole.
type Whole struct {
	Collections int
	Custodians  int
	People      Number // small groups are left out of the sum
}

// Hit is a collection that matches.
type Hit struct {
	ID     ID
	People Number // that match every filter: at most so many
	Stored *Stored
	Card
}

// Card is what a list shows of a collection besides what people wrote: its published numbers.
type Card struct {
	Counts  Counts
	Numbers *Numbers // of its cells; nil where people are not counted here, or not yet
}

// FacetCounts are the values of a facet among the collections that the other facets leave.
type FacetCounts struct {
	Facet  Facet
	Values []FacetCount // the most collections first; chosen ones are always there
	More   int          // values that are not listed
}

// FacetCount is a value with how many collections have it, and how many of their people.
type FacetCount struct {
	Value       string
	Label       string
	Collections int
	People      Number // known where at least one of the collections is counted by it
	Chosen      bool
	Under       string // of a custodian: its country
}

// Bin is a bar of a histogram.
type Bin struct {
	Value       string // the band's identifier, or the year
	From, To    int    // years, inclusive; To is 120 where it is open
	Collections int
	People      Number
	Chosen      bool
}

// Meaning is a part of the text and what it was taken for.
type Meaning struct {
	Text     string
	Concepts []vocabulary.Code
	Meant    string // where a misspelt word was taken for another: that one
	Found    int    // collections
}

// NearMiss is a collection that all but one condition fits.
type NearMiss struct {
	ID     ID
	Lacks  Facet  // empty: Text
	Text   string // the part of the text that it lacks
	Found  int    // collections that lack just this
	Stored *Stored
	Card
}
