// Package directorytest makes up entries of a directory: for tests, for measures at the size of a country, and for demonstrations.
//
// It promises: the same seed gives the same entries for ever (within a version of the program); every entry is well formed and may be published; nobody and
// nothing in them exists: organisations, people, grants and addresses are invented, addresses are of example.org, and identifiers that could be
// somebody's are of ranges kept for examples.
package directorytest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// Made is an entry with the id that it would have, and numbers that could be published of it.
type Made struct {
	ID     directory.ID
	Entry  directory.Entry
	Counts directory.Counts
}

// Make is n entries of a seed. The first of them are the same whatever n is.
func Make(seed uint64, n int) []Made {
	all := make([]Made, n)
	for i := range all {
		all[i] = makeOne(dice(mix(seed)^mix(uint64(i)+1)), i)
	}
	return all
}

// dice is splitmix64: enough for samples, and the same everywhere. Nothing that must be unguessable comes from it.
type dice uint64

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (d *dice) n(n int) int {
	*d += 0x9e3779b97f4a7c15
	return int(mix(uint64(*d)) >> 1 % uint64(n)) //nolint:gosec // below n
}

func (d *dice) chance(percent int) bool { return d.n(100) < percent }

func one[T any](d *dice, of []T) T { return of[d.n(len(of))] }

// some is between least and most of them, in their order.
func some[T any](d *dice, of []T, least, most int) []T {
	want := min(len(of), least+d.n(most-least+1))
	var out []T
	for i, v := range of {
		if left := len(of) - i; d.n(left) < want-len(out) {
			out = append(out, v)
		}
	}
	return out
}

// topic is a disease as collections of images have it.
type topic struct {
	name       string
	short      string
	codes      []string // system, space, code
	sites      []string
	modalities []string
	domain     string
	sexes      []string
	ages       []string
	youngest   int
	oldest     int
}

var both = []string{"male", "female"}

var grown = []string{"young-adult", "adult"}

var topics = []topic{
	{"breast cancer", "BREAST", []string{"ICD-10 C50", "ICD-10 C50.4", "ICD-O-3-M 8500/3", "ICD-O-3-M 8520/3", "SNOMED-CT 254837009"},
		[]string{"76752008", "91470000"}, []string{"MG", "MR", "US", "SM"}, "radiology", []string{"female"}, grown, 25, 90},
	{"lung cancer", "LUNG", []string{"ICD-10 C34", "ICD-10 C34.1", "ICD-O-3-M 8140/3", "SNOMED-CT 254637007", "SNOMED-CT 254632001"},
		[]string{"39607008", "72410000"}, []string{"CT", "PT", "DX"}, "radiology", both, grown, 30, 95},
	{"bowel cancer", "BOWEL", []string{"ICD-10 C18", "ICD-10 C20", "ICD-O-3-M 8140/3", "SNOMED-CT 363406005"}, []string{"14742008", "71854001",
		"34402009"}, []string{"CT", "MR", "SM", "ES"}, "pathology", both, grown, 30, 95},
	{"prostate cancer", "PROSTATE", []string{"ICD-10 C61", "SNOMED-CT 399068003", "ICD-O-3-M 8140/3"}, []string{"41216001"}, []string{"MR", "PT",
		"SM", "US"}, "radiology", []string{"male"}, []string{"adult"}, 45, 95},
	{"glioblastoma", "GLIO", []string{"ICD-10 C71", "ICD-O-3-M 9440/3", "SNOMED-CT 393563007"}, []string{"12738006"}, []string{"MR", "CT", "SM"},
		"radiology", both, grown, 18, 85},
	{"kidney cancer", "KIDNEY", []string{"ICD-10 C64", "ICD-O-3-M 8312/3", "SNOMED-CT 702391001"}, []string{"64033007"}, []string{"CT", "MR"},
		"radiology", both, grown, 30, 90},
	{"melanoma", "MELANOMA", []string{"ICD-10 C43", "ICD-O-3-M 8720/3", "SNOMED-CT 93655004"}, []string{"39937001"}, []string{"DMS", "SM", "XC",
		"PT"}, "pathology", both, grown, 18, 95},
	{"lymphoma", "LYMPH", []string{"ICD-10 C81", "ICD-10 C83.3", "ICD-O-3-M 9680/3", "SNOMED-CT 118600007"}, []string{"59441001", "38266002"},
		[]string{"PT", "CT"}, "radiology", both, grown, 16, 90},
	{"ovarian cancer", "OVARY", []string{"ICD-10 C56", "ICD-O-3-M 8461/3", "SNOMED-CT 363443007"}, []string{"15497006", "816092008"}, []string{"CT",
		"MR", "US", "SM"}, "radiology", []string{"female"}, grown, 20, 90},
	{"womb cancer", "WOMB", []string{"ICD-10 C54.1", "ICD-10 C54", "ICD-O-3-M 8380/3", "SNOMED-CT 254878006"}, []string{"35039007"}, []string{"MR",
		"US", "SM"}, "radiology", []string{"female"}, []string{"adult"}, 40, 95},
	{"liver cancer", "LIVER", []string{"ICD-10 C22.0", "ICD-O-3-M 8170/3", "SNOMED-CT 109841003"}, []string{"10200004"}, []string{"CT", "MR", "US"},
		"radiology", both, grown, 30, 90},
	{"pancreatic cancer", "PANC", []string{"ICD-10 C25", "ICD-10 C25.0", "SNOMED-CT 363418001"}, []string{"15776009"}, []string{"CT", "MR", "ES"},
		"radiology", both, grown, 35, 90},
	{"oesophageal cancer", "OESO", []string{"ICD-10 C15", "SNOMED-CT 363402007"}, []string{"32849002"}, []string{"PT", "CT", "ES", "SM"}, "radiology",
		both, grown, 35, 90},
	{"head and neck cancer", "HEADNECK", []string{"ICD-10 C10", "ICD-10 C32", "ICD-10 C09", "SNOMED-CT 716659002"}, []string{"774007", "4596009"},
		[]string{"CT", "PT", "MR", "RTSTRUCT"}, "radiology", both, grown, 30, 90},
	{"bladder cancer", "BLADDER", []string{"ICD-10 C67", "ICD-O-3-M 8120/3", "SNOMED-CT 399326009"}, []string{"89837001"}, []string{"MR", "CT", "SM"},
		"pathology", both, grown, 40, 95},
	{"cervical cancer", "CERVIX", []string{"ICD-10 C53", "ICD-10 D06", "SNOMED-CT 363354003"}, []string{"71252005"}, []string{"MR", "PT", "SM"},
		"pathology", []string{"female"}, grown, 20, 85},
	{"childhood brain tumours", "CHILDBRAIN", []string{"ICD-10 C71", "ICD-O-3-M 9470/3"}, []string{"12738006", "2748008"}, []string{"MR"},
		"radiology", both, []string{"young-child", "child", "adolescent"}, 1, 17},
	{"neuroblastoma", "NEURO", []string{"ICD-10 C74", "ICD-O-3-M 9500/3", "SNOMED-CT 432328008"}, []string{"23451007", "818981001"}, []string{"MR",
		"NM", "CT"}, "radiology", both, []string{"infant", "young-child", "child"}, 0, 12},
	{"sarcoma", "SARCOMA", []string{"ICD-10 C49", "ICD-10 C40", "ICD-O-3-M 8850/3", "SNOMED-CT 424413001"}, []string{"87784001", "66019005"},
		[]string{"MR", "CT", "SM"}, "radiology", both, []string{"adolescent", "young-adult", "adult"}, 10, 85},
	{"leukaemia", "LEUK", []string{"ICD-10 C91.0", "ICD-10 C92.0", "SNOMED-CT 91861009"}, []string{"14016003", "87612001"}, []string{"SM"},
		"pathology", both, []string{"child", "adolescent", "young-adult", "adult"}, 2, 90},
	{"thyroid cancer", "THYROID", []string{"ICD-10 C73", "SNOMED-CT 255029007"}, []string{"69748006"}, []string{"US", "NM", "SM"}, "radiology", both,
		grown, 18, 85},
	{"myeloma", "MYELOMA", []string{"ICD-10 C90", "SNOMED-CT 109989006", "ICD-O-3-M 9732/3"}, []string{"272673000", "14016003"}, []string{"MR", "PT",
		"CT"}, "radiology", both, []string{"adult"}, 45, 90},
	{"mesothelioma", "MESO", []string{"ICD-10 C45", "ICD-O-3-M 9050/3"}, []string{"3120008"}, []string{"CT", "PT"}, "radiology", both, []string{"adult"}, 50, 95},
	{"breast screening", "SCREEN", []string{"ICD-10 C50", "ICD-10 D05", "ICD-10 D24"}, []string{"76752008"}, []string{"MG"}, "radiology",
		[]string{"female"}, []string{"adult"}, 47, 73},
}

var (
	towns = []string{"Aldermoor", "Brackenfield", "Carrowdale", "Dunmere", "Eastwick", "Fernleigh", "Glenarrow", "Harrowgate Vale", "Inverlyn",
		"Kestrel Bay", "Larkhill", "Marlowe", "Netherby", "Oakhampton", "Penwithen", "Queensferry Mill", "Ravensholme", "Stonebeck", "Thornaby Cross", "Wexcombe"}
	keepers  = []string{"University of %s", "%s NHS Foundation Trust", "%s Institute of Cancer Studies", "%s Trials Unit"}
	kinds    = []string{"academic", "nhs", "academic", "academic"}
	families = []string{"Ashdown", "Bellamy", "Caradine", "Drummoyne", "Eversholt", "Farthing", "Greycourt", "Hollowell", "Islington-Moor",
		"Juniper", "Kettlewell", "Lindqvist", "Mbeki-Rowe", "Nakagawa", "Okonjo", "Prideaux", "Quayle", "Rasmussen", "Szymanska", "Tregear"}
	funders = []string{"Cancer Research UK", "Medical Research Council", "National Institute for Health Research (NIHR)", "Wellcome Trust",
		"Prostate Cancer UK", "Yorkshire Cancer Research", "Tenovus Cancer Care", "EU Funding"}
	designs   = []string{"clinical-trial", "cohort", "longitudinal", "disease-specific", "case-control", "population-based", "cross-sectional"}
	makers    = []string{"Maker A, model 10", "Maker A, model 64", "Maker B, 1.5 T", "Maker B, 3 T", "Maker C, scanner 40x", "Maker D, tomosynthesis"}
	countries = []string{"GB", "GB-ENG", "GB-SCT", "GB-WLS", "GB-NIR"}
	places    = map[string]string{"GB": "United Kingdom", "GB-ENG": "England", "GB-SCT": "Scotland", "GB-WLS": "Wales", "GB-NIR": "Northern Ireland"}
)

// ids of a list, but for some.
func ids(l *vocabulary.List, not ...string) []string {
	var out []string
	for _, t := range l.Terms {
		if !slices.Contains(not, t.ID) {
			out = append(out, t.ID)
		}
	}
	return out
}

func codes(list []string) []vocabulary.Code {
	out := make([]vocabulary.Code, len(list))
	for i, s := range list {
		system, v, _ := strings.Cut(s, " ")
		out[i] = vocabulary.Code{System: vocabulary.System(system), Value: v}
	}
	return out
}

func makeOne(d dice, i int) Made {
	t := one(&d, topics)
	town, k := one(&d, towns), d.n(len(keepers))
	year := 1996 + d.n(27)
	place := one(&d, countries)
	design := one(&d, designs)
	acronym := fmt.Sprintf("%s-%d", t.short, 1+d.n(90))
	e := directory.Entry{
		Holding:  directory.Elsewhere,
		Title:    fmt.Sprintf("%s %s: %s of %s", acronym, vocabulary.CollectionType.Label(design), strings.ToUpper(t.name[:1])+t.name[1:], town),
		Acronym:  acronym,
		Abstract: fmt.Sprintf("Images of people with %s, gathered in %s from %d on.", t.name, town, year),
		Description: fmt.Sprintf("The collection was begun in %d in %s to study %s. It holds images as they were made in routine and in research, described by people who read them. "+
			"Each person's images are joined with what is known of diagnosis, treatment and outcome.\n\nIt is invented: neither the collection nor any of its people exist.", year, town, t.name),
		Keywords:   some(&d, []string{t.name, "imaging", "radiomics", "machine learning", "outcome", town}, 1, 4),
		URL:        fmt.Sprintf("https://example.org/collections/%d", i),
		Language:   "en",
		Custodian:  directory.Organisation{Name: fmt.Sprintf(keepers[k], town), Kind: kinds[k], Country: "GB"},
		Contact:    directory.Contact{Name: "Imaging desk", Email: fmt.Sprintf("imaging-%d@example.org", i%400)},
		Status:     one(&d, ids(vocabulary.CollectionStatus)),
		Types:      []string{design},
		Purposes:   some(&d, []string{"research-cohort", "study", "trial", "care"}, 1, 2),
		Settings:   some(&d, []string{"study", "secondary-outpatients", "secondary-inpatients"}, 1, 2),
		Domains:    []string{t.domain},
		Modalities: some(&d, t.modalities, 1, 3),
		BodySites:  some(&d, t.sites, 1, 2),
		Conditions: codes(some(&d, t.codes, 1, 3)),
		Sexes:      t.sexes,
		AgeBands:   t.ages,
		AgeMin:     &t.youngest,
		AgeMax:     &t.oldest,
		Start:      fmt.Sprintf("%d-%02d", year, 1+d.n(12)),
		Frequency:  one(&d, ids(vocabulary.Frequency)),
		Spatial:    []string{places[place]},
		Access: directory.Access{
			Condition: one(&d, ids(vocabulary.AccessCondition)), Service: one(&d, ids(vocabulary.AccessService)), Jurisdiction: []string{place},
			Controller: fmt.Sprintf(keepers[k], town), LegalBasis: one(&d, ids(vocabulary.LegalBasis)),
		},
		DataUse: dataUse(&d, t),
	}
	extras(&d, &e, t, year, i)
	return Made{directory.ID(fmt.Sprintf("made-%05d", i)), e, counts(&d, e)}
}

func dataUse(d *dice, t topic) directory.DataUse {
	u := directory.Use{Permission: one(d, []string{"GRU", "HMB", "HMB", "DS"})}
	if u.Permission == "DS" {
		u.Diseases = codes(t.codes[:1])
	}
	for _, m := range some(d, []string{"NCU", "IRB", "COL", "PUB", "NO_REID", "AI_TRAIN", "TRE_ONLY"}, 0, 4) {
		u.Modifiers = append(u.Modifiers, directory.Modifier{Code: m})
	}
	if d.chance(20) {
		u.Modifiers = append(u.Modifiers, directory.Modifier{Code: "GS", Values: []string{"GB"}})
	}
	if d.chance(10) {
		u.Modifiers = append(u.Modifiers, directory.Modifier{Code: "TS", Values: []string{"36"}})
	}
	return directory.DataUse{Alternatives: []directory.Use{u}, Restrictions: some(d, ids(vocabulary.ConsentRestriction), 0, 2)}
}

// extras are what only some collections say.
func extras(d *dice, e *directory.Entry, t topic, year, i int) {
	if t.domain == "pathology" || slices.Contains(e.Modalities, "SM") {
		if !slices.Contains(e.Domains, "pathology") {
			e.Domains = append(e.Domains, "pathology")
		}
		e.Stains = some(d, []string{"he", "ihc", "ihc-er", "ihc-her2", "ihc-ki67", "pas"}, 1, 3)
		e.Magnifications = some(d, []float64{20, 40}, 1, 2)
		e.Materials = []string{"tissue-specimen"}
	}
	if d.chance(60) {
		e.Stages = some(d, []string{"0", "1", "2", "3", "4", "recurrent"}, 1, 5)
	}
	if d.chance(70) {
		for _, a := range some(d, ids(vocabulary.AssociatedDataType, "imaging"), 1, 6) {
			e.AssociatedData = append(e.AssociatedData, directory.AssociatedData{Type: a, LeadTime: one(d, ids(vocabulary.AssociatedDataTimeframe))})
		}
	}
	if d.chance(50) {
		for n := range 2 + d.n(3) {
			week := n * 6
			e.Timepoints = append(e.Timepoints, directory.Timepoint{Name: []string{"baseline", "after treatment", "first follow-up",
				"second follow-up"}[n], Week: &week})
		}
	}
	if d.chance(70) {
		lead := directory.Person{Name: "Dr " + one(d, families), Institution: e.Custodian.Name}
		e.Lead = lead
		e.Funding = []directory.Grant{{Funder: one(d, funders), Number: fmt.Sprintf("X%05d", d.n(100000)),
			Title: fmt.Sprintf("Imaging of %s, grant %d", t.name, i), Lead: lead,
			Start: fmt.Sprintf("%d-04-01", year), End: fmt.Sprintf("%d-03-31", year+5), Scope: "Images and outcomes of people with " + t.name}}
	}
	if d.chance(60) {
		e.Ethics = []directory.Ethics{{Committee: "An invented committee", REC: fmt.Sprintf("%02d/XX/%04d", year%100, d.n(10000))}}
	}
	if d.chance(50) {
		e.Access.LeadTime = one(d, ids(vocabulary.DeliveryLeadTime))
		e.Access.Cost = "Cost recovery for preparing the images."
		e.Access.How = "Write to the imaging desk."
	}
	if d.chance(30) {
		e.DOI = fmt.Sprintf("10.5072/vitrine.%d", i)
		e.Publications = []directory.Publication{{DOI: fmt.Sprintf("10.5072/paper.%d", i), Title: "An invented paper about " + t.name}}
	}
	if d.chance(40) {
		e.Networks = []directory.Network{{Name: one(d, towns) + " Imaging Network"}}
	}
	if d.chance(40) {
		e.Scanners = some(d, makers, 1, 3)
	}
	if e.Status == "completed" {
		e.End = fmt.Sprintf("%d", year+1+d.n(6))
	}
	people := int64(20 + d.n(40)*d.n(60) + d.n(200))
	e.Declared = &directory.Declared{People: people, Studies: people * int64(1+d.n(4)), AsOf: "2026-01-01"}
}

// counts are numbers as they are published: rounded to ten, few people withheld.
func counts(d *dice, e directory.Entry) directory.Counts {
	number := func(n int64) directory.Number {
		if n < 10 {
			return directory.Number{Withheld: true, Below: 10}
		}
		return directory.Number{Value: (n + 5) / 10 * 10, Known: true}
	}
	people := e.Declared.People
	c := directory.Counts{AsOf: e.Declared.AsOf, People: number(people), Studies: number(e.Declared.Studies)}
	for _, s := range e.Sexes {
		c.Sexes = append(c.Sexes, directory.Count{Term: s, Number: number(people / int64(len(e.Sexes)))})
	}
	bins := vocabulary.AgeBin.Terms
	for _, b := range bins {
		low, high, ok := b.Bounds()
		if !ok || high < 0 || high <= int64(*e.AgeMin)*12 || low > int64(*e.AgeMax)*12 {
			continue
		}
		c.Ages = append(c.Ages, directory.Count{Term: b.ID, Number: number(int64(d.n(int(people)/4 + 1)))})
	}
	for _, m := range e.Modalities {
		c.Modalities = append(c.Modalities, directory.Count{Term: m, Number: number(int64(d.n(int(people) + 1)))})
	}
	for _, code := range e.Conditions {
		c.Conditions = append(c.Conditions, directory.ConditionCount{Condition: code, Number: number(int64(d.n(int(people) + 1)))})
	}
	return c
}

// Minimal says what an entry must say to be published, and nothing else.
func Minimal() directory.Entry {
	return directory.Entry{
		Holding: directory.Elsewhere, Title: "CT", Abstract: "Scans.", Custodian: directory.Organisation{Name: "A clinic"},
		Contact: directory.Contact{URL: "https://example.org/ask"},
		Status:  "completed", Types: []string{"cohort"}, Domains: []string{"radiology"}, Modalities: []string{"CT"}, BodySites: []string{"39607008"},
		Conditions: codes([]string{"ICD-10 C34"}), Sexes: []string{"unknown"},
		Access:  directory.Access{Condition: "closed", Service: "open", Jurisdiction: []string{"GB"}, Controller: "A clinic", LegalBasis: "public"},
		DataUse: directory.DataUse{Alternatives: []directory.Use{{Permission: "NRES"}}},
	}
}

// Full says something in each field.
func Full() Made {
	m := Make(7, 1)[0]
	e := &m.Entry
	week := 12
	e.Origin, e.Aliases, e.DOI = "https://example.org/source/1", []string{"Another name", "Name, with comma"}, "10.5072/vitrine.full"
	e.Custodian = directory.Organisation{Name: "University of Aldermoor", Kind: "academic", ROR: "https://ror.org/012345678", ODS: "X99",
		Country: "GB", URL: "https://example.org"}
	e.Contact = directory.Contact{Name: "Imaging desk", Email: "imaging@example.org", URL: "https://example.org/ask"}
	e.Networks = []directory.Network{{Name: "Aldermoor Network", URL: "https://example.org/network"}}
	e.Types = []string{"clinical-trial", "longitudinal"}
	e.Reason, e.Inclusion, e.Contrast = "funding", []string{"health-status", "age-group"}, "yes"
	e.Domains = []string{"radiology", "pathology"}
	e.Modalities = []string{"CT", "PT", "SM", "SEG"}
	e.Conditions = codes([]string{"ICD-10 C34", "ICD-10 C34.1", "ICD-10 C30-C39", "ICD-O-3-T C34.1", "ICD-O-3-M 8140/3", "SNOMED-CT 254637007"})
	e.BodySites = []string{"39607008", "72410000"}
	e.Stages, e.Stains, e.Magnifications = ids(vocabulary.Stage), []string{"he", "ihc-pdl1"}, []float64{20, 40}
	e.Scanners = makers
	e.Sexes = ids(vocabulary.Sex)
	e.AgeBands = ids(vocabulary.AgeRange)
	e.Materials = ids(vocabulary.MaterialType)
	e.SampleSets = []directory.SampleSet{{Sex: "female", AgeBand: "adult", Donors: "101-500",
		Materials: []directory.Material{{Type: "tissue-specimen", Preservation: "paraffin", Temperature: "rt"}}}}
	e.End, e.Frequency, e.FollowUp = "2024-12-31", "annual", "1-10-years"
	e.Timepoints = []directory.Timepoint{{Name: "baseline", Modalities: []string{"CT"}}, {Name: "after treatment", Week: &week, Modalities: []string{"CT", "PT"}}}
	e.Spatial = []string{"England", "Wales"}
	e.AssociatedData = nil
	for _, a := range ids(vocabulary.AssociatedDataType) {
		e.AssociatedData = append(e.AssociatedData, directory.AssociatedData{Type: a, LeadTime: "0-3-months", Note: "On request."})
	}
	e.Linkable = []directory.Link{{Title: "A registry", URL: "https://example.org/registry", PID: "10.5072/registry"}}
	e.DerivedFrom = []directory.Link{{Title: "A larger set", URL: "https://example.org/larger"}}
	e.Publications = []directory.Publication{{DOI: "10.5072/about", Title: "About it"}, {DOI: "10.5072/using", Title: "Using it", Uses: true}}
	e.Standards, e.Formats = []string{"dicom", "omop"}, []string{"application/dicom", "text/csv"}
	e.Access = directory.Access{Condition: "open-to-applicants", Service: "tre", Rights: "https://example.org/conditions",
		How: "Write to us.\nWe answer.", Cost: "Cost recovery.",
		LeadTime: "1-2-months", Jurisdiction: []string{"GB", "GB-WLS"}, Controller: "University of Aldermoor", Processor: "Aldermoor Computing",
		LegalBasis: "consent"}
	e.DataUse = directory.DataUse{Restrictions: ids(vocabulary.ConsentRestriction), Note: "For research into lung cancer."}
	use := directory.Use{Permission: "DS", Diseases: codes([]string{"ICD-10 C34"})}
	for _, t := range vocabulary.DataUseModifier.Terms {
		m := directory.Modifier{Code: t.ID}
		switch t.Ref("takes") {
		case "countries":
			m.Values = []string{"GB", "IE"}
		case "months":
			m.Values = []string{"24"}
		case "date":
			m.Values = []string{"2027-01-01"}
		case "text":
			m.Values = []string{"methods of imaging"}
		}
		use.Modifiers = append(use.Modifiers, m)
	}
	e.DataUse.Alternatives = []directory.Use{use, {Permission: "HMB", Modifiers: []directory.Modifier{{Code: "NCU"}}}}
	e.Ethics = []directory.Ethics{{Committee: "An invented committee", REC: "21/XX/0001", IRAS: "000001", CAG: "21/CAG/0001", HTALicence: "00001",
		Expires: "2030-01-01"}}
	lead := directory.Person{Name: "Dr Ashdown", ORCID: "0000-0002-1825-0097", Institution: "University of Aldermoor"}
	e.Lead = lead
	e.Funding = []directory.Grant{
		{Funder: "Cancer Research UK", ROR: "https://ror.org/087654321", Number: "X00001", Title: "Imaging of lungs", Lead: lead, Start: "2018-04-01",
			End: "2023-03-31", Scope: "Images and outcomes", Reference: "https://example.org/grant"},
		{Funder: "A charity"},
	}
	e.Credit = "The people of the collection, and the University of Aldermoor."
	e.Declared = &directory.Declared{People: 480, Studies: 1500, Images: 400_000, AsOf: "2026-01-01"}
	m.Counts.Images = directory.Number{Value: 400_000, Known: true}
	return m
}
