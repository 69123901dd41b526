package vocabulary

import (
	_ "embed"
	"iter"
	"strconv"
	"strings"
)

//go:embed lists.txt
var listsText string

// Term is one value of a short list.
type Term struct {
	ID    string   // what is stored; it never changes
	Label string   // as the standard or register calls it
	Lay   string   // in plain words; the label where it is plain already
	Words []string // what else people call it
	List  string   // the list's name

	refs map[string]string
}

// Ref is what the term is called elsewhere: "tdcc" (the register's identifier), "value" (the register's text, where it is not the label), "hdr" (HDR UK
// 4.0.0), "miabis" (MIABIS Core 3), "id" (DUO), "eu" (the EU's authority tables), "group", "low" and "high" (bounds; see the list). Empty: it has none.
func (t Term) Ref(scheme string) string { return t.refs[scheme] }

// Bounds are the numbers from and to of an age band (months) or a band of people; ok is false where the term has no lower one. An open end is -1.
func (t Term) Bounds() (low, high int64, ok bool) {
	low, err := strconv.ParseInt(t.refs["low"], 10, 64)
	if err != nil {
		return 0, 0, false
	}
	high, err = strconv.ParseInt(t.refs["high"], 10, 64)
	if err != nil {
		high = -1
	}
	return low, high, true
}

// Concept is the term as a concept, to be found by Expand.
func (t Term) Concept() Code { return Code{System(t.List), t.ID} }

// List is a short list of terms in the order to show them.
type List struct {
	Name  string
	Terms []Term
	by    map[string]int // by identifier
	named map[string]int // by what Find knows, folded
}

// Get is the term of that identifier.
func (l *List) Get(id string) (Term, bool) {
	i, ok := l.by[id]
	if !ok {
		return Term{}, false
	}
	return l.Terms[i], true
}

// Has reports whether the identifier is on the list.
func (l *List) Has(id string) bool { _, ok := l.by[id]; return ok }

// Find is the term that a text names: its identifier, label, plain words, another word for it, or what one of the schemes calls it. Case, hyphens and
// spaces do not matter.
func (l *List) Find(text string) (Term, bool) {
	if t, ok := l.Get(strings.TrimSpace(text)); ok {
		return t, true
	}
	i, ok := l.named[fold(text)]
	if !ok {
		return Term{}, false
	}
	return l.Terms[i], true
}

// name makes the index of Find: what a term is called by itself goes before its plain words, and those before other words for it.
func (l *List) name() {
	l.named = map[string]int{}
	put := func(i int, names ...string) {
		for _, n := range names {
			if _, taken := l.named[fold(n)]; !taken && fold(n) != "" {
				l.named[fold(n)] = i
			}
		}
	}
	for i, t := range l.Terms {
		put(i, t.ID, t.Label, t.refs["hdr"], t.refs["miabis"], t.refs["value"], t.refs["id"], t.refs["eu"])
	}
	for i, t := range l.Terms {
		put(i, t.Lay)
	}
	for i, t := range l.Terms {
		put(i, t.Words...)
	}
}

// Label is the label of the term, or the identifier itself where the list has none.
func (l *List) Label(id string) string {
	if t, ok := l.Get(id); ok {
		return t.Label
	}
	return id
}

// LayLabel is the term in plain words.
func (l *List) LayLabel(id string) string {
	if t, ok := l.Get(id); ok {
		return t.Lay
	}
	return id
}

var lists = parseLists(listsText)

// The lists. Their terms, and whose they are, stand in lists.txt.
var (
	Sex                     = lists["Sex"]
	AgeRange                = lists["AgeRange"] // bounds in months, the upper one excluded
	DonorCount              = lists["DonorCount"]
	CollectionStatus        = lists["CollectionStatus"]
	CollectionType          = lists["CollectionType"]
	RegistrationReason      = lists["RegistrationReason"]
	AccessCondition         = lists["AccessCondition"]
	ConsentRestriction      = lists["ConsentRestriction"]
	AssociatedDataTimeframe = lists["AssociatedDataTimeframe"]
	AssociatedDataType      = lists["AssociatedDataType"]
	AnnualStatistic         = lists["AnnualStatistic"]
	MaterialType            = lists["MaterialType"]
	PreservationType        = lists["PreservationType"]
	Funder                  = lists["Funder"]

	Domain             = lists["Domain"]
	Modality           = lists["Modality"]
	BodySite           = lists["BodySite"]
	Stain              = lists["Stain"]
	Stage              = lists["Stage"]
	AgeBin             = lists["AgeBin"] // bounds in months, the upper one excluded
	Purpose            = lists["Purpose"]
	Setting            = lists["Setting"]
	Ternary            = lists["Ternary"]
	Frequency          = lists["Frequency"]
	FollowUp           = lists["FollowUp"]
	DataModel          = lists["DataModel"]
	AccessService      = lists["AccessService"]
	DeliveryLeadTime   = lists["DeliveryLeadTime"]
	LegalBasis         = lists["LegalBasis"]
	OrganisationKind   = lists["OrganisationKind"]
	DataUsePermission  = lists["DataUsePermission"]
	DataUseModifier    = lists["DataUseModifier"]
	StorageTemperature = lists["StorageTemperature"]
	Inclusion          = lists["Inclusion"]
	PictureView        = lists["PictureView"]
)

// searched are the lists whose words people use when they look for a collection.
var searched = []*List{Modality, BodySite, Sex, AgeRange, MaterialType, Stain, Stage, Domain, CollectionType, AssociatedDataType, AccessService}

// Named is the list of that name; nil if there is none.
func Named(name string) *List { return lists[name] }

func parseLists(text string) map[string]*List {
	all := map[string]*List{}
	for section, lines := range sections(text) {
		l := &List{Name: section, by: map[string]int{}}
		for _, f := range lines {
			t := Term{ID: f[0], Label: f[1], Lay: f[2], Words: split(f[3], ";"), List: section, refs: map[string]string{}}
			if t.Lay == "" {
				t.Lay = t.Label
			}
			for _, ref := range split(f[4], "; ") {
				k, v, _ := strings.Cut(ref, "=")
				t.refs[k] = v
			}
			l.by[t.ID] = len(l.Terms)
			l.Terms = append(l.Terms, t)
		}
		l.name()
		all[section] = l
	}
	return all
}

// sections reads the tables of this package: [name], then lines of five fields between bars. A line of # is a remark. The tables are part of the
// program, so a line that is wrong stops it, and every test with it.
func sections(text string) iter.Seq2[string, [][5]string] {
	return func(yield func(string, [][5]string) bool) {
		name, rows := "", [][5]string(nil)
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			switch {
			case line == "" || line[0] == '#':
			case line[0] == '[':
				if name != "" && !yield(name, rows) {
					return
				}
				name, rows = strings.Trim(line, "[]"), nil
			default:
				var f [5]string
				parts := strings.Split(line, "|")
				if name == "" || len(parts) < 2 || len(parts) > 5 {
					panic("vocabulary: not a line of a table: " + line)
				}
				for i, p := range parts {
					f[i] = strings.TrimSpace(p)
				}
				rows = append(rows, f)
			}
		}
		if name != "" {
			yield(name, rows)
		}
	}
}

func split(s, sep string) []string {
	if s == "" {
		return nil
	}
	parts := strings.Split(s, sep)
	for i, p := range parts {
		parts[i] = strings.TrimSpace(p)
	}
	return parts
}
