package deid

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Version changes whenever the same object, keys and profile may come out otherwise than before.
const Version = "2"

// Profile is a set of decisions about every element there is. Profiles are shared: do not change one.
type Profile struct {
	Name    string
	Title   string
	Version string
	Options Option // of PS3.15 E.3, besides the Basic Profile

	// AsDeposited changes nothing: what looks identifiable is a finding.
	AsDeposited bool
	// Generalise takes what is rare to what is common: ages in bands, sizes and weights rounded, times of day to the hour, characteristics dropped.
	Generalise bool
	// HoldFaces holds images of heads, from which a face can be rendered.
	HoldFaces bool

	base    *Profile  // the named profile that this one was made from; nil: it is one
	changed []string  // what was changed of it, as (0012,0063) says it
	own     *ownRules // a collection's own; nil: none

	rules   atomic.Pointer[map[dicom.Tag]rule]
	learn   sync.Mutex
	markers [2 * slots]atomic.Pointer[markers] // by encoding, then those of objects with cleaned pixels
}

const research = RetainModifiedDates | RetainPatientCharacteristics | RetainDeviceIdentity | RetainSafePrivate | CleanDescriptors |
	CleanStructuredContent | CleanGraphics

var profiles = []*Profile{
	{Name: "research", Version: Version, Options: research,
		Title: "Basic Profile; modified dates, patient characteristics, device identity and safe private elements retained; descriptors, structured content and graphics cleaned"},
	{Name: "basic", Version: Version, Title: "Basic Profile alone"},
	{Name: "public", Version: Version, Options: research &^ RetainDeviceIdentity, Generalise: true, HoldFaces: true,
		Title: "As research, with devices and rare characteristics generalised, times blurred and heads held"},
	{Name: "as-deposited", Version: Version, AsDeposited: true, Title: "Nothing is changed; what looks identifiable is a finding"},
}

// combined are the profiles with other options that have been looked up, by name.
var combined sync.Map

// maxCombined bounds the names that are remembered: each option may be there or not, for three profiles.
const maxCombined = 300

// Lookup is the profile of a name: one of [Profiles], or one of them with options of PS3.15 E.3, as in basic+clean-descriptors+retain-uids. A fault
// NotFound if profile or option is not known, Invalid if options contradict each other.
func Lookup(name string) (*Profile, error) {
	if p, ok := combined.Load(name); ok {
		return p.(*Profile), nil
	}
	if len(name) > maxCombined {
		return nil, fault.New(fault.NotFound, "look up a profile of de-identification", "", "no profile has so long a name")
	}
	p, err := parseCombination(name)
	if err != nil {
		return nil, err
	}
	// However the options are ordered, it is one profile.
	got, _ := combined.LoadOrStore(p.Name, p)
	return got.(*Profile), nil
}

// Profiles are the names of the profiles, the default first.
func Profiles() []string {
	names := make([]string, len(profiles))
	for i, p := range profiles {
		names[i] = p.Name
	}
	return names
}

func (p *Profile) has(o Option) bool { return p.Options&o != 0 }

// shifts reports that dates are not the true ones: then no true one may stand beside them.
func (p *Profile) shifts() bool { return p.has(RetainModifiedDates) || p.own != nil && p.own.shifts }

// opcode is what is done to an element, before its value is looked at.
type opcode uint8

const (
	opRemove    opcode = iota // the zero value: what no rule knows goes
	opBasic                   // the Basic Profile's action, resolved by the object's type
	opKeep                    // numbers, and bytes known to be harmless
	opProfile                 // a colour profile
	opNumber                  // DS, IS: if it is a number
	opCode                    // CS: if it is one
	opText                    // by vocabulary
	opListed                  // CS, by vocabulary, whatever the subject is called
	opTechnical               // names of equipment and software
	opSerial                  // number of a device, whose identity the profile retains
	opStation                 // what a site calls such a device
	opPlace                   // identity of an institution, which the profile retains
	opEthnic                  // by vocabulary with a few words more
	opUID                     // another UID, unless it is the standard's
	opKeepUID                 // as it is
	opDate                    // DA, DT, TM: shifted
	opKeepDate                // DA, DT, TM as they are, if they are such
	opAge                     // AS: capped
	opRound                   // DS: to a coarser grid
	opWalk                    // SQ: what lies within is judged
	opPseudonym               // the subject's pseudonym
	opLink                    // a keyed code that stands for an identifier
	opScheme                  // the elements of a coded entry, judged together (PS3.3 8.8)
	opDummy                   // a dummy
	opYears                   // DS: a measured age, capped
	opUnknown                 // an item that no rule knows: held
	opPrivate                 // by creator
	opCreator
)

type rule struct {
	op      opcode
	basic   Action   // what is done where the value cannot stay; 0: as its text may be anything, empty or a dummy
	vr      dicom.VR // the dictionary's
	term    TermKind // what its value is to the lexicon
	size    uint8    // bytes of a number that stands alone; 0: any
	content bool     // structured content, or graphics, decides otherwise than the element's own rule
	table   bool     // Table E.1-1 has a row for it
	own     uint16   // number of the collection's own rule that decides, from 1; 0: none does
}

// rulesNow is a snapshot of the rules that are known; learned adds one.
func (p *Profile) rulesNow() map[dicom.Tag]rule {
	if m := p.rules.Load(); m != nil {
		return *m
	}
	return nil
}

// rule decides on a standard tag. What has been decided is remembered; the dictionary bounds how much that can be.
func (p *Profile) rule(t dicom.Tag) rule {
	r, known := p.decide(t)
	if !known {
		return r
	}
	p.learn.Lock()
	defer p.learn.Unlock()
	m := maps.Clone(p.rulesNow())
	if m == nil {
		m = map[dicom.Tag]rule{}
	}
	m[t] = r
	p.rules.Store(&m)
	return r
}

// decide is the rule for t by this project's own decisions, then Table E.1-1, then the dictionary; false if none of them knows it.
func (p *Profile) decide(t dicom.Tag) (rule, bool) {
	switch {
	case t.IsPrivateCreator():
		return rule{op: opCreator}, true
	case t.IsPrivate():
		return rule{op: opPrivate}, false
	case t.IsGroupLength(), t.Group() <= 0x0002: // PS3.5 7.2; commands and file meta information have no place in a data set
		return rule{}, true
	}
	entry, ok := dicom.LookupTag(t)
	if !ok {
		return rule{}, false
	}
	vr := entry.VR
	if g := t.Group() >> 8; g == 0x50 || g == 0x60 {
		return rule{}, true // curves and overlays, whole: neither is anything without its data
	}
	row, inTable := LookupRow(t)
	r := rule{vr: vr, basic: row.Basic, term: termOf(t, vr), table: inTable}
	if entry.VM == "1" && numeric(vr) {
		r.size = uint8(vr.WordSize())
		if vr == dicom.VRAT {
			r.size = 4
		}
	}
	if op, _, ok := p.decided(t, row); ok {
		r.op = op
		return r, true
	}
	if inTable {
		r.op = p.byTable(row, vr)
		if r.op == opSerial {
			r.op = deviceOp(t)
		}
		if r.op == opRemove || r.op == opBasic {
			return r, true
		}
		// A station, a serial number or an institution that stays is no secret.
		if (r.op == opSerial || r.op == opStation || r.op == opPlace) && (r.term == TermDevice || r.term == TermPlace || r.term == TermContact) {
			r.term = 0
		}
		return r, true
	}
	r.op = p.byVR(entry)
	return r, true
}

// byTable applies a row of Table E.1-1: an option that keeps, else one that cleans, else the Basic Profile. Where dates are modified, no option keeps
// a true one.
func (p *Profile) byTable(row Row, vr dicom.VR) opcode {
	temporal := isTemporal(vr)
	if vr == dicom.VRUI && row.Basic != ActionX {
		if p.has(RetainUIDs) && row.Keep&RetainUIDs != 0 {
			return opKeepUID
		}
		return opUID
	}
	if row.Keep&p.Options != 0 && !(temporal && p.shifts()) {
		switch vr {
		case dicom.VRSQ:
			return opWalk
		case dicom.VRUI:
			if p.has(RetainUIDs) {
				return opKeepUID
			}
			return opUID
		case dicom.VRCS:
			return opCode
		case dicom.VRDS, dicom.VRIS:
			return opNumber
		case dicom.VRDA, dicom.VRDT, dicom.VRTM:
			return opKeepDate
		case dicom.VRAS:
			return opAge
		case dicom.VRUS:
			return opKeep
		case dicom.VRAE, dicom.VROB, dicom.VRUR:
			return opBasic
		}
		switch kept := row.Keep & p.Options; {
		case kept&RetainDeviceIdentity != 0:
			return opSerial
		case kept&RetainInstitution != 0:
			return opPlace
		}
		return opText // a characteristic of a patient is described in words
	}
	if row.Clean&p.Options != 0 {
		switch {
		case temporal:
			return opDate
		case vr == dicom.VRSQ:
			return opWalk
		case vr == dicom.VRCS:
			return opListed
		case vr == dicom.VRLO, vr == dicom.VRSH, vr == dicom.VRST, vr == dicom.VRLT, vr == dicom.VRUT, vr == dicom.VRUC:
			return opText
		}
	}
	if row.Basic == ActionX {
		return opRemove
	}
	if vr == dicom.VRSQ && row.Basic != ActionX && row.Keep&RetainUIDs != 0 {
		return opWalk // references: with other UIDs they are dummies that still say what belongs together
	}
	return opBasic
}

// byVR decides on elements that Table E.1-1 does not name, by what their values can hold.
func (p *Profile) byVR(e *dicom.Entry) opcode {
	switch e.VR {
	case dicom.VRSQ:
		return opWalk
	case dicom.VRUI:
		if p.has(RetainUIDs) {
			return opKeepUID
		}
		return opUID
	case dicom.VRCS:
		return opCode
	case dicom.VRDS, dicom.VRIS:
		return opNumber
	case dicom.VRAT, dicom.VRFD, dicom.VRFL, dicom.VRSL, dicom.VRSS, dicom.VRUL, dicom.VRUS, dicom.VRSV, dicom.VRUV,
		dicom.VROD, dicom.VROF, dicom.VROL, dicom.VROV, dicom.VROW:
		return opKeep
	case dicom.VRDA, dicom.VRDT, dicom.VRTM:
		switch {
		case p.has(RetainModifiedDates):
			return opDate
		case p.has(RetainFullDates):
			return opKeepDate
		}
		return opRemove
	case dicom.VRLO, dicom.VRSH, dicom.VRST, dicom.VRLT, dicom.VRUT, dicom.VRUC:
		if !e.Retired {
			return opText
		}
	}
	return opRemove // PN, AE, AS, UR, OB, UN and retired text that no row speaks of
}

// decided are the decisions that the table leaves open or that go beyond it; docs/deidentification.md gives each reason.
func (p *Profile) decided(t dicom.Tag, row Row) (op opcode, why string, ok bool) {
	switch t {
	case dicom.TagPatientName, dicom.TagPatientID, dicom.TagClinicalTrialSubjectID:
		return opPseudonym, "the subject's pseudonym stands for whatever names them", true
	case dicom.TagContainerIdentifier, dicom.TagSpecimenIdentifier:
		return opLink, "a keyed code stands for the identifier, so that slides and specimens of one block still belong together", true
	case dicom.TagSpecificCharacterSet:
		return opCode, "the text that is left is read by it", true
	case dicom.TagPatientAge:
		if p.has(RetainPatientCharacteristics) {
			return opAge, "ages over 89 years are rare everywhere: they become 090Y", true
		}
	case dicom.TagPatientSize, dicom.TagPatientWeight:
		if p.Generalise {
			return opRound, "sizes and weights are brought to a grid on which people are many", true
		}
	case dicom.TagEthnicGroup, dicom.TagEthnicGroups:
		if p.has(RetainPatientCharacteristics) && !p.Generalise {
			return opEthnic, "words of the usual lists of ethnic groups stay beside the vocabulary", true
		}
		return opRemove, "ethnic group is rare together with other characteristics", true
	case dicom.TagPatientSexNeutered, dicom.TagPregnancyStatus, dicom.TagSmokingStatus, dicom.TagSpecialNeeds, dicom.TagPatientState, dicom.TagAllergies,
		dicom.TagPreMedication, dicom.TagMedicalAlerts, dicom.TagOccupation, dicom.TagAdditionalPatientHistory, dicom.TagTimezoneOffsetFromUTC:
		if p.Generalise {
			return opRemove, "rare characteristics are dropped where anybody may see the images", true
		}
	case dicom.TagSoftwareVersions:
		if p.Generalise && !p.has(RetainDeviceIdentity) {
			return opBasic, "versions tell devices apart where anybody may see the images", true
		}
		return opTechnical, "what makers and products are called is listed, since no vocabulary has it; a word that no list has may be anybody's name", true
	case dicom.TagManufacturer, dicom.TagManufacturerModelName, dicom.TagConvolutionKernel, dicom.TagSequenceName, dicom.TagPulseSequenceName,
		dicom.TagReceiveCoilName, dicom.TagTransmitCoilName, dicom.TagFilterType, dicom.TagRadiopharmaceutical, dicom.TagAttenuationCorrectionMethod,
		dicom.TagReconstructionMethod, dicom.TagScatterCorrectionMethod, dicom.TagReceiveCoilManufacturerName, dicom.TagTransmitCoilManufacturerName,
		dicom.TagSegmentAlgorithmName, dicom.TagAlgorithmName, dicom.TagAlgorithmVersion, dicom.TagRescaleType, dicom.TagPlateType:
		return opTechnical, "what makers and products are called is listed, since no vocabulary has it; a word that no list has may be anybody's name", true
	case dicom.TagBodyPartExamined:
		return opListed, "it is one of a list of the standard, whatever the subject is called", true
	case dicom.TagCodeValue, dicom.TagLongCodeValue, dicom.TagURNCodeValue, dicom.TagCodeMeaning, dicom.TagCodingSchemeDesignator, dicom.TagCodingSchemeVersion:
		return opScheme, "the elements of a coded entry are judged together: codes of standard schemes stay, a site's own go unless they read as ordinary words", true
	case dicom.TagContextIdentifier, dicom.TagContextUID, dicom.TagContextGroupVersion, dicom.TagContextGroupLocalVersion, dicom.TagContextGroupExtensionFlag,
		dicom.TagContextGroupExtensionCreatorUID, dicom.TagMappingResource, dicom.TagMappingResourceUID, dicom.TagMappingResourceName:
		return opRemove, "versions of the standard's code lists are dates that everybody knows: shifted, they would tell by how much", true
	case dicom.TagCalibrationDate, dicom.TagCalibrationTime, dicom.TagCalibrationDateTime, dicom.TagDateOfInstallation, dicom.TagDateOfLastCalibration,
		dicom.TagTimeOfLastCalibration, dicom.TagDateTimeOfLastCalibration, dicom.TagDateOfManufacture, dicom.TagDateOfLastDetectorCalibration,
		dicom.TagTimeOfLastDetectorCalibration, dicom.TagProductExpirationDateTime, dicom.TagEffectiveDateTime, dicom.TagInformationIssueDateTime,
		dicom.TagTemplateVersion, dicom.TagTemplateLocalVersion, dicom.TagHangingProtocolCreationDateTime, dicom.TagApprovalStatusDateTime:
		// Dates of a device or a document, not of a person (PS3.15 E.3.6): one known value would reveal the shift. Where nothing is shifted, there is none.
		if p.shifts() || row.Keep&p.Options == 0 && !p.has(RetainFullDates) {
			return opBasic, "a date of a device or a document, not of a person: one known value would tell by how much all dates were shifted", true
		}
	case dicom.TagPresentationCreationDate, dicom.TagPresentationCreationTime:
		if !p.has(RetainModifiedDates) && !p.has(RetainFullDates) {
			return opDummy, "of type 1 wherever it stands (PS3.3 C.11.10)", true
		}
	case dicom.TagGraphicAnnotationSequence:
		if !p.has(CleanGraphics) {
			return opRemove, "a module that may be absent (PS3.3 C.10.5), whose strokes may be writing", true
		}
	case dicom.TagMACParametersSequence, dicom.TagEncryptedAttributesSequence:
		return opRemove, "what was signed has changed; what is encrypted cannot be judged", true
	case dicom.TagPatientIdentityRemoved, dicom.TagDeidentificationMethod, dicom.TagDeidentificationMethodCodeSequence,
		dicom.TagLongitudinalTemporalInformationModified:
		return opRemove, "what was done before gives way to what is done here", true
	case dicom.TagICCProfile:
		return opProfile, "a colour profile is known by its signature (ICC.1 7.2)", true
	case dicom.TagWaveformData, dicom.TagWaveformPaddingValue, dicom.TagChannelMinimumValue, dicom.TagChannelMaximumValue,
		dicom.TagPixelData, dicom.TagFloatPixelData, dicom.TagDoubleFloatPixelData, dicom.TagExtendedOffsetTable,
		dicom.TagExtendedOffsetTableLengths:
		return opKeep, "the data itself: judged by the object's kind, and searched by the gate where it is compressed", true
	case dicom.TagScheduledStudyLocation, dicom.TagScheduledProcedureStepLocation:
		if p.has(RetainDeviceIdentity) {
			return opText, "a place is described in words: those of the vocabulary stay", true
		}
	}
	return 0, "", false
}

// termOf says what the value of an element is to the lexicon.
func termOf(t dicom.Tag, vr dicom.VR) TermKind {
	switch t {
	case dicom.TagPatientName, dicom.TagOtherPatientNames, dicom.TagPatientBirthName, dicom.TagPatientMotherBirthName, dicom.TagResponsiblePerson,
		dicom.TagNameToUse:
		return TermName
	case dicom.TagPatientID, dicom.TagOtherPatientIDs, dicom.TagAccessionNumber, dicom.TagStudyID, dicom.TagAdmissionID, dicom.TagServiceEpisodeID,
		dicom.TagRequestedProcedureID, dicom.TagPlacerOrderNumberImagingServiceRequest, dicom.TagFillerOrderNumberImagingServiceRequest,
		dicom.TagScheduledProcedureStepID, dicom.TagPerformedProcedureStepID, dicom.TagMedicalRecordLocator, dicom.TagInsurancePlanIdentification,
		dicom.TagSpecimenIdentifier, dicom.TagContainerIdentifier, dicom.TagBarcodeValue, dicom.TagSpecimenAccessionNumber, dicom.TagSlideIdentifier,
		dicom.TagClinicalTrialSubjectID, dicom.TagClinicalTrialSubjectReadingID, dicom.TagPlacerOrderNumberProcedure, dicom.TagFillerOrderNumberProcedure,
		dicom.TagInterpretationID, dicom.TagResultsID, dicom.TagLabelText:
		return TermIdentifier
	case dicom.TagPatientBirthDate:
		return TermBirthDate
	case dicom.TagStudyDate, dicom.TagSeriesDate, dicom.TagAcquisitionDate, dicom.TagContentDate:
		return TermDate
	case dicom.TagPatientAddress, dicom.TagPatientTelephoneNumbers, dicom.TagPatientTelecomInformation, dicom.TagPersonAddress,
		dicom.TagPersonTelephoneNumbers, dicom.TagPersonTelecomInformation, dicom.TagReferringPhysicianAddress, dicom.TagReferringPhysicianTelephoneNumbers,
		dicom.TagOrderCallbackPhoneNumber, dicom.TagOrderCallbackTelecomInformation, dicom.TagInstitutionAddress:
		return TermContact
	case dicom.TagInstitutionName, dicom.TagInstitutionalDepartmentName, dicom.TagCurrentPatientLocation, dicom.TagPatientInstitutionResidence,
		dicom.TagRequestingService, dicom.TagClinicalTrialSiteName, dicom.TagClinicalTrialCoordinatingCenterName, dicom.TagResponsibleOrganization,
		dicom.TagHumanPerformerOrganization, dicom.TagVerifyingOrganization, dicom.TagIssuerOfPatientID:
		return TermPlace
	case dicom.TagStationName, dicom.TagDeviceSerialNumber, dicom.TagGantryID:
		return TermDevice
	}
	if vr == dicom.VRPN {
		return TermPerson
	}
	return 0
}
