// Package directory is the record of what the directory lists: collections of images that are held here, that lie elsewhere and are only registered here,
// or that a peer told of.
//
// An Entry is what people say about a collection; what can be counted is counted from the catalogue and never written into it. Entries are kept as
// versioned documents: each saving is a revision with who and when, one revision at a time is the published one, and none is ever overwritten.
//
// It promises: what is stored is well formed (Entry.Problems); what is published has besides all that a reader needs (Entry.Missing); an export says no
// number that was not given to it as a published one (Counts). It does not decide who may save or publish, and does not read the catalogue.
package directory

import (
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// Holding is where the images of a collection are.
type Holding string

// The holdings. The texts are stored.
const (
	Here      Holding = "here"      // in this node
	Elsewhere Holding = "elsewhere" // registered only
	Peer      Holding = "peer"      // told by a peer
)

// Entry is a collection as the directory lists it. Lists of terms hold the identifiers of the vocabulary that the comment names; its lists are in package
// vocabulary. "Needed" means: to be published. Lengths are in characters.
//
// The comments name the same thing in MIABIS Core 3 (entity Collection), in the register of the UKCRC Tissue Directory (TDCC), in HDR UK's schema 4.0.0
// and in CRUK's 1.0.0, which is HDR UK's and more.
type Entry struct {
	Holding    Holding `json:"holding"`              // needed
	Collection string  `json:"collection,omitempty"` // the local collection's ID that it describes; needed where held here
	Peer       string  `json:"peer,omitempty"`       // the peer that told of it; needed where harvested
	Origin     string  `json:"origin,omitempty"`     // the identifier that the source gave it: a URL, DOI or UUID (MIABIS alternative ID; HDR UK identifier)

	Title       string   `json:"title"`                 // needed, at most 150 (MIABIS name; TDCC title; HDR UK summary.title)
	Acronym     string   `json:"acronym,omitempty"`     // at most 40 (MIABIS acronym)
	Aliases     []string `json:"aliases,omitempty"`     // other names (HDR UK summary.datasetAliases)
	Abstract    string   `json:"abstract"`              // needed, 5 to 255: what a list shows (TDCC description; HDR UK summary.abstract)
	Description string   `json:"description,omitempty"` // at most 10,000, plain text in paragraphs (MIABIS description; HDR UK documentation.description)
	Keywords    []string `json:"keywords,omitempty"`    // each 2 to 80 (HDR UK summary.keywords)
	DOI         string   `json:"doi,omitempty"`         // 10.1234/abc (HDR UK summary.doiName)
	URL         string   `json:"url,omitempty"`         // its own page, https (MIABIS URL)
	Language    string   `json:"language,omitempty"`    // of the data, ISO 639-1; empty means en (HDR UK accessibility.formatAndStandards.language)

	Custodian Organisation `json:"custodian"`          // needed (TDCC organisation; HDR UK summary.dataCustodian; MIABIS biobank)
	Contact   Contact      `json:"contact"`            // needed: an address or a form (MIABIS contact; HDR UK summary.contactPoint)
	Networks  []Network    `json:"networks,omitempty"` // what it belongs to (MIABIS network; TDCC networks; HDR UK enrichmentAndLinkage.isPartOf)

	Status   string   `json:"status,omitempty"`   // needed; vocabulary CollectionStatus (TDCC collection status)
	Types    []string `json:"types,omitempty"`    // needed; vocabulary CollectionType (TDCC collection type; MIABIS design)
	Purposes []string `json:"purposes,omitempty"` // vocabulary Purpose (HDR UK provenance.origin.purpose)
	Settings []string `json:"settings,omitempty"` // vocabulary Setting (HDR UK provenance.origin.collectionSource; MIABIS sample collection setting)
	Reason   string   `json:"reason,omitempty"`   // vocabulary RegistrationReason: why it is registered (TDCC)

	Inclusion []string `json:"inclusion,omitempty"` // vocabulary Inclusion: what decided who is in it (MIABIS inclusion criteria)

	Domains    []string          `json:"domains,omitempty"`    // needed; vocabulary Domain: radiology, pathology, biological
	Modalities []string          `json:"modalities,omitempty"` // needed; vocabulary Modality: DICOM PS3.16 CID 29 (HDR UK datasetType Imaging types)
	BodySites  []string          `json:"bodySites,omitempty"`  // needed, but of quality control; vocabulary BodySite: SNOMED CT concept identifiers (HDR UK Imaging area of the body)
	Conditions []vocabulary.Code `json:"conditions,omitempty"` // needed, but of quality control (TDCC disease status; MIABIS diagnosis; HDR UK demographicFrequency.disease)
	Stages     []string          `json:"stages,omitempty"`     // vocabulary Stage
	Stains     []string          `json:"stains,omitempty"`     // vocabulary Stain
	Scanners   []string          `json:"scanners,omitempty"`   // maker and model, plain text
	Contrast   string            `json:"contrast,omitempty"`   // vocabulary Ternary: contrast media used (HDR UK provenance.origin.imageContrast)

	Magnifications []float64 `json:"magnifications,omitempty"` // objective powers of slides, 1 to 200

	Sexes    []string `json:"sexes,omitempty"`    // needed, but of quality control; vocabulary Sex (TDCC sex; MIABIS sex)
	AgeBands []string `json:"ageBands,omitempty"` // vocabulary AgeRange (TDCC age range)
	AgeMin   *int     `json:"ageMin,omitempty"`   // years, 0 to 120 (MIABIS age low; HDR UK coverage.typicalAgeRangeMin)
	AgeMax   *int     `json:"ageMax,omitempty"`   // years, 0 to 120 (MIABIS age high; HDR UK coverage.typicalAgeRangeMax)

	Materials  []string    `json:"materials,omitempty"`  // vocabulary MaterialType (TDCC material type; MIABIS material type; HDR UK coverage.materialType)
	SampleSets []SampleSet `json:"sampleSets,omitempty"` // as the custodian states them (TDCC sample set)
	Declared   *Declared   `json:"declared,omitempty"`   // numbers as the custodian states them; only where not held here

	Start      string      `json:"start,omitempty"`      // YYYY, YYYY-MM or YYYY-MM-DD: from when (HDR UK provenance.temporal.startDate)
	End        string      `json:"end,omitempty"`        // likewise; empty: still growing (HDR UK provenance.temporal.endDate)
	Frequency  string      `json:"frequency,omitempty"`  // vocabulary Frequency (HDR UK provenance.temporal.publishingFrequency)
	FollowUp   string      `json:"followUp,omitempty"`   // vocabulary FollowUp (HDR UK coverage.followUp)
	Timepoints []Timepoint `json:"timepoints,omitempty"` // when a person is imaged, in order
	Spatial    []string    `json:"spatial,omitempty"`    // places where the people were recruited (HDR UK coverage.spatial; MIABIS country)

	AssociatedData []AssociatedData `json:"associatedData,omitempty"` // TDCC associated data with its timeframes
	Linkable       []Link           `json:"linkable,omitempty"`       // data sets it was linked with (HDR UK enrichmentAndLinkage.linkableDatasets)
	DerivedFrom    []Link           `json:"derivedFrom,omitempty"`    // HDR UK enrichmentAndLinkage.derivedFrom
	Publications   []Publication    `json:"publications,omitempty"`   // HDR UK enrichmentAndLinkage.publicationAboutDataset, publicationUsingDataset
	Standards      []string         `json:"standards,omitempty"`      // vocabulary DataModel (HDR UK accessibility.formatAndStandards.conformsTo)
	Formats        []string         `json:"formats,omitempty"`        // media types (HDR UK accessibility.formatAndStandards.format)

	Access  Access   `json:"access"`            // needed (TDCC access condition; MIABIS use and access conditions; HDR UK accessibility.access)
	DataUse DataUse  `json:"dataUse"`           // needed (TDCC consent restriction; HDR UK accessibility.usage; DUO)
	Ethics  []Ethics `json:"ethics,omitempty"`  // approvals
	Funding []Grant  `json:"funding,omitempty"` // CRUK projectGrants; TDCC funders
	Lead    Person   `json:"lead,omitzero"`     // who leads it (CRUK summary.leadResearcher, leadResearchInstitute)
	Credit  string   `json:"credit,omitempty"`  // how it wants to be cited, at most 1,000 (HDR UK accessibility.usage.resourceCreator)
}

// Organisation is who keeps a collection or pays for it.
type Organisation struct {
	Name    string `json:"name"`              // at most 150
	Kind    string `json:"kind,omitempty"`    // vocabulary OrganisationKind
	ROR     string `json:"ror,omitempty"`     // https://ror.org/0abcdef12 (HDR UK dataCustodian.identifier)
	ODS     string `json:"ods,omitempty"`     // NHS organisation code
	Country string `json:"country,omitempty"` // ISO 3166-1 alpha-2
	URL     string `json:"url,omitempty"`
}

// Contact is who answers questions: a role's mailbox rather than a person's.
type Contact struct {
	Name  string `json:"name,omitempty"` // of the role or team
	Email string `json:"email"`
	URL   string `json:"url,omitempty"` // a form
}

// Person is somebody named in public as responsible.
type Person struct {
	Name        string `json:"name"`
	ORCID       string `json:"orcid,omitempty"` // 0000-0002-1825-0097
	Institution string `json:"institution,omitempty"`
}

// Network is what a collection belongs to: a trial group, a consortium, a federation.
type Network struct {
	Name string `json:"name"`
	URL  string `json:"url,omitempty"`
}

// Link is another data set.
type Link struct {
	Title string `json:"title"`
	URL   string `json:"url,omitempty"`
	PID   string `json:"pid,omitempty"` // a persistent identifier of it
}

// Publication is a paper about the collection or one that used it.
type Publication struct {
	DOI   string `json:"doi"`
	Title string `json:"title,omitempty"`
	Uses  bool   `json:"uses,omitempty"` // it used the collection; else it describes it
}

// Timepoint is when a person is imaged, in relation to the course of the disease.
type Timepoint struct {
	Name       string   `json:"name"`                 // "baseline", "after two cycles", "screening round 1"
	Week       *int     `json:"week,omitempty"`       // weeks from the first, may be negative
	Modalities []string `json:"modalities,omitempty"` // vocabulary Modality
}

// SampleSet is a TDCC sample set: a group of people of one sex and age band, roughly how many, and what samples of them there are.
type SampleSet struct {
	Sex       string     `json:"sex"`     // vocabulary Sex
	AgeBand   string     `json:"ageBand"` // vocabulary AgeRange
	Donors    string     `json:"donors"`  // vocabulary DonorCount: a band, never a number
	Materials []Material `json:"materials,omitempty"`
}

// Material is a kind of sample and how it is kept.
type Material struct {
	Type         string `json:"type"`                   // vocabulary MaterialType
	Preservation string `json:"preservation,omitempty"` // vocabulary PreservationType
	Temperature  string `json:"temperature,omitempty"`  // vocabulary StorageTemperature (MIABIS storage temperature)
}

// Declared are numbers that a custodian states of a collection that is not held here. They are published as ours are: small ones withheld, others rounded.
type Declared struct {
	People  int64  `json:"people,omitempty"`
	Studies int64  `json:"studies,omitempty"`
	Images  int64  `json:"images,omitempty"` // files or instances
	AsOf    string `json:"asOf,omitempty"`   // YYYY-MM-DD
}

// AssociatedData is data about the same people that can be had besides the images.
type AssociatedData struct {
	Type     string `json:"type"`           // vocabulary AssociatedDataType
	LeadTime string `json:"leadTime"`       // vocabulary AssociatedDataTimeframe: how long until a researcher has it
	Note     string `json:"note,omitempty"` // at most 500
}

// Access is how one gets at a collection.
type Access struct {
	Condition    string   `json:"condition"`              // needed; vocabulary AccessCondition (TDCC)
	Service      string   `json:"service,omitempty"`      // needed; vocabulary AccessService (HDR UK accessibility.access.accessServiceCategory)
	Rights       string   `json:"rights,omitempty"`       // the address of the conditions or their text, at most 5,000 (HDR UK accessRights)
	How          string   `json:"how,omitempty"`          // how to ask, at most 5,000 (HDR UK accessService)
	Cost         string   `json:"cost,omitempty"`         // what it costs, at most 5,000 (HDR UK accessRequestCost)
	LeadTime     string   `json:"leadTime,omitempty"`     // vocabulary DeliveryLeadTime: as the custodian declares it (HDR UK deliveryLeadTime)
	Jurisdiction []string `json:"jurisdiction,omitempty"` // needed; ISO 3166-1 or -2: GB, GB-SCT (HDR UK jurisdiction)
	Controller   string   `json:"controller,omitempty"`   // needed; of the data (HDR UK dataController)
	Processor    string   `json:"processor,omitempty"`    // HDR UK dataProcessor
	LegalBasis   string   `json:"legalBasis,omitempty"`   // needed; vocabulary LegalBasis
}

// DataUse says what the data may be used for: any one of the alternatives, each with all of its modifiers.
type DataUse struct {
	Alternatives []Use    `json:"alternatives,omitempty"` // at least one is needed
	Restrictions []string `json:"restrictions,omitempty"` // vocabulary ConsentRestriction (TDCC)
	Note         string   `json:"note,omitempty"`         // in plain words, at most 2,000
}

// Use is a permission of the Data Use Ontology with its modifiers, and with the terms of our own that DUO lacks.
type Use struct {
	Permission string            `json:"permission"`         // vocabulary DataUsePermission: NRES, GRU, HMB, DS, POA, CC
	Diseases   []vocabulary.Code `json:"diseases,omitempty"` // where the permission is DS
	Modifiers  []Modifier        `json:"modifiers,omitempty"`
}

// Modifier is a condition upon a use.
type Modifier struct {
	Code   string   `json:"code"`             // vocabulary DataUseModifier: DUO's shorthand (NCU, IRB, ...) or ours (AI_TRAIN, TRE_ONLY, ...)
	Values []string `json:"values,omitempty"` // what it takes: countries of GS, months of TS, a date of MOR
}

// Ethics is an approval.
type Ethics struct {
	Committee  string `json:"committee,omitempty"`  // who gave it
	REC        string `json:"rec,omitempty"`        // reference of the research ethics committee: 21/NW/0123
	IRAS       string `json:"iras,omitempty"`       // IRAS project number
	CAG        string `json:"cag,omitempty"`        // of the Confidentiality Advisory Group: 21/CAG/0045
	HTALicence string `json:"htaLicence,omitempty"` // of the Human Tissue Authority
	Expires    string `json:"expires,omitempty"`    // YYYY-MM-DD
}

// Grant is what paid for a collection (CRUK projectGrants).
type Grant struct {
	Funder    string `json:"funder"`              // its name; vocabulary Funder knows the usual ones
	ROR       string `json:"ror,omitempty"`       // of the funder
	Number    string `json:"number,omitempty"`    // at most 100 (grantNumber)
	Title     string `json:"title,omitempty"`     // at most 150 (projectGrantName)
	Lead      Person `json:"lead,omitzero"`       // (leadResearcher, leadResearchInstitute)
	Start     string `json:"start,omitempty"`     // YYYY-MM-DD (projectGrantStartDate)
	End       string `json:"end,omitempty"`       // YYYY-MM-DD (projectGrantEndDate)
	Scope     string `json:"scope,omitempty"`     // what it is to bring, at most 500 (projectGrantScope)
	Reference string `json:"reference,omitempty"` // the funder's page of it
}

// Number is a published number: rounded, or withheld because it is of few. The zero value is unknown.
type Number struct {
	Value    int64 `json:"value,omitempty"` // as published; 0 where unknown or withheld
	Known    bool  `json:"known,omitempty"`
	Withheld bool  `json:"withheld,omitempty"` // none or fewer than Below: one cannot tell which
	Below    int64 `json:"below,omitempty"`    // where withheld: the threshold
}

// Count is the published number of people of a kind.
type Count struct {
	Term   string `json:"term"` // an identifier of the vocabulary
	Number Number `json:"number"`
}

// Counts are the published numbers of one collection, as of a day. Only such leave the node in an export.
type Counts struct {
	AsOf    string `json:"asOf"` // YYYY-MM-DD
	People  Number `json:"people"`
	Studies Number `json:"studies"`
	Images  Number `json:"images"`

	Sexes      []Count          `json:"sexes,omitempty"`      // by vocabulary Sex
	Ages       []Count          `json:"ages,omitempty"`       // by vocabulary AgeBin: the five-year bands of HDR UK
	Modalities []Count          `json:"modalities,omitempty"` // by vocabulary Modality
	Conditions []ConditionCount `json:"conditions,omitempty"`
}

// ConditionCount is the published number of people with a condition.
type ConditionCount struct {
	Condition vocabulary.Code `json:"condition"`
	Number    Number          `json:"number"`
}
