package deid

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"io"
	"slices"
	"strings"
)

// Makers keep headers of their own within one private element. Those whose form is known are read, and written anew with nothing but the numbers
// that are listed here; names, dates, identifiers and whatever has no listed name are not copied. A value that is not of that form, or has nothing
// that is listed, goes whole. Nothing within is trusted: every length is checked, and what a blob unfolds to is bounded.

// blobFilter is what of a blob may stay; nil if nothing may.
type blobFilter func([]byte) []byte

type blobKey struct {
	creator string
	group   uint16
	low     uint8
}

var blobFilters = map[blobKey]blobFilter{
	{"SIEMENS CSA HEADER", 0x0029, 0x10}:    filterCSA, // CSA Image Header Info
	{"SIEMENS CSA HEADER", 0x0029, 0x20}:    filterCSA, // CSA Series Header Info
	{"SIEMENS CSA NON-IMAGE", 0x0029, 0x10}: filterCSA, // CSA Data Info, of spectra
	{"SIEMENS MR SDS 01", 0x0021, 0x19}:     filterProtocol,
	{"GEMS_SERS_01", 0x0025, 0x1B}:          filterGE, // Protocol Data Block
}

// hasBlobs reports a creator of blobs that can be read.
func hasBlobs(creator []byte) bool {
	switch string(creator) {
	case "SIEMENS CSA HEADER", "SIEMENS CSA NON-IMAGE", "SIEMENS MR SDS 01", "GEMS_SERS_01":
		return true
	}
	return false
}

// blob writes a blob anew; false if entry i is none that can be read.
func (c *pass) blob(i int, creator []byte) bool {
	el := c.ds.At(i)
	filter := blobFilters[blobKey{string(creator), el.Tag.Group(), uint8(el.Tag)}]
	if filter == nil || el.IsSequence() || c.ds.IsBulk(i) || el.VR.IsText() {
		return false
	}
	out := filter(c.ds.Value(i))
	if out == nil {
		return false
	}
	if len(out)%2 == 1 {
		out = append(out, 0)
	}
	if bytes.Equal(out, c.ds.Value(i)) {
		c.did(i, KeptSafe)
		return true
	}
	c.edit.SetElement(i, el.VR, out)
	c.did(i, Altered)
	return true
}

// Siemens' CSA headers: SV10 (CSA2) with a magic number, CSA1 without. Each has entries of a name (64 bytes), a multiplicity, a VR (4), a type of
// their own and items; each item has four words, among them its length, and text, padded to four bytes.
const (
	csaEntries   = 1024
	csaItems     = 4096
	csaHeader    = 64 + 4 + 4 + 4 + 4 + 4
	csaMark      = 77
	maxBlobText  = 1 << 20 // bytes that a blob may unfold to
	protocolRows = 20000
)

type csaEntry struct {
	name   string
	vm     uint32
	vr     string
	syngo  uint32
	values []string
}

// csaNumbers are the entries of CSA headers whose values are numbers of the measurement.
var csaNumbers = wordSet(`
	B_value B_matrix DiffusionGradientDirection NumberOfImagesInMosaic PhaseEncodingDirectionPositive MosaicRefAcqTimes BandwidthPerPixelPhaseEncode
	SliceNormalVector ImageOrientationPatient ImagePositionPatient PixelSpacing SliceThickness SliceLocation SliceResolution SlicePosition_PCS
	SliceMeasurementDuration ProtocolSliceNumber TimeAfterStart TriggerTime RealDwellTime EchoColumnPosition EchoLinePosition EchoPartitionPosition
	EchoTime EchoNumbers EchoTrainLength RFEchoTrainLength RepetitionTime InversionTime FlipAngle FlipAngle2 NumberOfPhaseEncodingSteps PercentSampling
	PercentPhaseFieldOfView PixelBandwidth AcquisitionMatrix ImagingFrequency MagneticFieldStrength NumberOfAverages SAR dBdt Columns Rows
	VoiThickness VoiPhaseFoV VoiReadoutFoV VoiPosition VoiOrientation VoiInPlaneRotation FlowVenc FlowEncodingDirection VelocityEncodingDirection
	ImaAbsTablePosition ImaRelTablePosition Actual3DImaPartNumber IceDims_Slice PhaseContrastN4 GSWDDataType RFSWDDataType NonPlanarImage
	DataPointRows DataPointColumns SpectroscopyAcquisitionPhaseRows SpectroscopyAcquisitionPhaseColumns SpectroscopyAcquisitionOut-of-planePhaseSteps
	SpectroscopyAcquisitionDataColumns NumberOfFrames MixingTime MultistepIndex ImageGroup CsiImaginaryStart CsiPixelShift HammingFilterWidth
	PhaseGradientAmplitude ReadoutGradientAmplitude SelectionGradientAmplitude GradientDelayTime SliceArrayConcatenations RepresentativeImage ReadoutOS
	EchoSpacing TransmitterCalibration PhaseSliceOversampling dBdt_max SARMostCriticalAspect dBdt_thresh dBdt_limit TotalScanTime RelTablePosition
	TablePositionOrigin Isocentered MiscSequenceParam`)

// csaWords are the entries of CSA headers whose values are of a list.
var csaWords = map[string]map[string]bool{
	"PhaseEncodingDirection":        {"ROW": true, "COL": true},
	"InPlanePhaseEncodingDirection": {"ROW": true, "COL": true},
	"DiffusionDirectionality":       {"DIRECTIONAL": true, "ISOTROPIC": true, "NONE": true, "BMATRIX": true},
	"ImagedNucleus":                 {"1H": true, "31P": true, "23Na": true, "13C": true, "19F": true, "3He": true, "129Xe": true, "7Li": true},
	"MRAcquisitionType":             {"1D": true, "2D": true, "3D": true},
	"SpectroscopyAcquisitionType":   {"SINGLE_VOXEL": true, "ROW": true, "PLANE": true, "VOLUME": true},
	"SignalDomainColumns":           {"TIME": true, "FREQUENCY": true},
	"SignalDomainRows":              {"TIME": true, "FREQUENCY": true},
	"ScanningSequence":              {"SE": true, "IR": true, "GR": true, "EP": true, "RM": true},
	"AngioFlag":                     {"Y": true, "N": true},
}

// csaProtocols are the entries of CSA headers that hold a protocol as text.
var csaProtocols = wordSet("MrPhoenixProtocol MrProtocol MrEvaProtocol")

func wordSet(text string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(text) {
		m[w] = true
	}
	return m
}

// parseCSA reads a CSA header of either kind.
func parseCSA(b []byte) ([]csaEntry, bool) {
	old := !bytes.HasPrefix(b, []byte("SV10"))
	if !old {
		if len(b) < 8 {
			return nil, false
		}
		b = b[8:]
	}
	if len(b) < 8 {
		return nil, false
	}
	n := binary.LittleEndian.Uint32(b)
	if n == 0 || n > csaEntries || binary.LittleEndian.Uint32(b[4:]) != csaMark {
		return nil, false
	}
	b = b[8:]
	var entries []csaEntry
	first := uint32(0)
	for k := range n {
		if len(b) < csaHeader {
			return nil, false
		}
		name, _, _ := bytes.Cut(b[:64], []byte{0})
		vr, _, _ := bytes.Cut(b[68:72], []byte{0})
		e := csaEntry{name: string(name), vm: binary.LittleEndian.Uint32(b[64:]), vr: string(vr), syngo: binary.LittleEndian.Uint32(b[72:])}
		items := binary.LittleEndian.Uint32(b[76:])
		if k == 0 {
			first = items
		}
		b = b[csaHeader:]
		if items > csaItems {
			return nil, false
		}
		for range items {
			if len(b) < 16 {
				return nil, false
			}
			size := binary.LittleEndian.Uint32(b[4:])
			if old { // the first word counts the first entry's items, too
				size = binary.LittleEndian.Uint32(b) - first
			}
			b = b[16:]
			if int64(size) > int64(len(b)) {
				return nil, false
			}
			v, _, _ := bytes.Cut(b[:size], []byte{0})
			e.values = append(e.values, string(bytes.Trim(v, " ")))
			b = b[min(len(b), int(size+3)&^3):]
		}
		entries = append(entries, e)
	}
	return entries, true
}

// renderCSA writes a header of the newer kind.
func renderCSA(entries []csaEntry) []byte {
	out := append([]byte("SV10"), 4, 3, 2, 1)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(entries)))
	out = binary.LittleEndian.AppendUint32(out, csaMark)
	for _, e := range entries {
		var head [csaHeader]byte
		copy(head[:63], e.name)
		binary.LittleEndian.PutUint32(head[64:], e.vm)
		copy(head[68:71], e.vr)
		binary.LittleEndian.PutUint32(head[72:], e.syngo)
		binary.LittleEndian.PutUint32(head[76:], uint32(len(e.values)))
		binary.LittleEndian.PutUint32(head[80:], csaMark)
		out = append(out, head[:]...)
		for _, v := range e.values {
			size := uint32(0)
			if v != "" {
				size = uint32(len(v)) + 1
			}
			for _, word := range [...]uint32{size, size, csaMark, size} {
				out = binary.LittleEndian.AppendUint32(out, word)
			}
			out = append(out, v...)
			for range (size+3)&^3 - uint32(len(v)) {
				out = append(out, 0)
			}
		}
	}
	return out
}

// filterCSA keeps the listed entries of a CSA header whose every value is what it should be.
func filterCSA(b []byte) []byte {
	entries, ok := parseCSA(b)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	kept := entries[:0]
	for _, e := range entries {
		if seen[e.name] || !csaVR(e.vr) || e.syngo > 255 {
			continue
		}
		last := -1
		allowed := csaNumbers[e.name] || csaWords[e.name] != nil
		protocol := csaProtocols[e.name]
		for k, v := range e.values {
			switch {
			case v == "":
				continue
			case protocol:
				e.values[k] = string(filterProtocol([]byte(v)))
				if e.values[k] == "" {
					continue
				}
			case csaNumbers[e.name] && technicalNumber(v), csaWords[e.name][v]:
			default:
				allowed = false
			}
			last = k
		}
		if last < 0 || !allowed && !protocol {
			continue
		}
		e.values = e.values[:last+1]
		e.vm = min(e.vm, uint32(len(e.values)))
		seen[e.name] = true
		kept = append(kept, e)
	}
	if len(kept) == 0 {
		return nil
	}
	return renderCSA(kept)
}

func csaVR(vr string) bool {
	switch vr {
	case "DS", "FD", "FL", "IS", "SL", "SS", "UL", "US", "CS", "SH", "LO", "UN", "LT", "ST", "UT":
		return true
	}
	return false
}

// technicalNumber reports one number of a size that a measurement has: not the digits of a date, a telephone number or an identifier.
func technicalNumber(v string) bool {
	if v == "" || len(v) > 24 {
		return false
	}
	i, whole := 0, 0
	if v[0] == '-' || v[0] == '+' {
		i++
	}
	for i < len(v) && digit(v[i]) {
		i++
		whole++
	}
	if whole > 9 || whole == 8 && strings.IndexByte(v, '.') < 0 && dayLike(v[i-8:i]) {
		return false
	}
	fraction := 0
	if i < len(v) && v[i] == '.' {
		i++
		for i < len(v) && digit(v[i]) {
			i++
			fraction++
		}
	}
	if whole+fraction == 0 {
		return false
	}
	if i < len(v) && v[i]|0x20 == 'e' {
		i++
		if i < len(v) && (v[i] == '-' || v[i] == '+') {
			i++
		}
		start := i
		for i < len(v) && digit(v[i]) {
			i++
		}
		if i == start || i-start > 3 {
			return false
		}
	}
	return i == len(v)
}

// dayLike reports eight digits that are a day of the last centuries.
func dayLike(s string) bool {
	if s < "1850" || s >= "2100" {
		return false
	}
	_, ok := day([8]byte([]byte(s)))
	return ok
}

// protocolKeys are the parameters of a Siemens protocol whose values are numbers of the measurement; a key stays if it is one of these, or lies
// within one.
var protocolKeys = []string{
	"alTE", "alTR", "alTI", "alTD", "adFlipAngleDegree", "acFlowComp", "dFlipAngleDegree", "sSliceArray", "sKSpace", "sPat", "sDiffusion", "sFastImaging",
	"sRXSPEC.alDwellTime", "sGroupArray", "lContrasts", "lAverages", "lRepetitions", "lCombinedEchoes", "lTotalScanTimeSec", "lScanTimeSec", "lInvContrasts",
	"sPrepPulses", "sAngio.sFlowArray", "sAsl", "sSliceAcceleration", "ucReadOutMode", "ucReconstructionMode", "ucScanRegionPosValid", "lPtabAbsStartPosZ",
	"sTXSPEC.asNucleusInfo.lFrequency", "sTXSPEC.asNucleusInfo.flReferenceAmplitude", "sProtConsistencyInfo.flNominalB0", "ulVersion", "sSpecPara.sVoI",
	"sSpecPara.lVectorSize", "sSpecPara.lPreparingScans", "sPhysioImaging.lPhases", "sPhysioImaging.lMethod1", "iMaxNoOfRxChannels", "dOverallImageScaleFactor",
	"ucDisableChangeStoreImages", "ucPhaseCorrection", "sPreScanNormalizeFilter.ucMode", "sDistortionCorrFilter.ucMode", "dRefSNR", "dPhaseEncodingOS",
}

// filterProtocol keeps of a Siemens protocol the assignments of numbers to listed parameters, as ASCCONV text; empty if there is none.
func filterProtocol(b []byte) []byte {
	text := string(b)
	begin := strings.Index(text, "### ASCCONV BEGIN")
	if begin < 0 || len(text) > maxBlobText {
		return nil
	}
	text = text[begin:]
	if end := strings.Index(text, "### ASCCONV END"); end >= 0 {
		text = text[:end]
	}
	var out []byte
	rows := 0
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		value, _, _ = strings.Cut(value, "#")
		if value = strings.TrimSpace(value); !ok || !protocolKey(key) || !technicalNumber(value) && !hexNumber(value) {
			continue
		}
		if rows++; rows > protocolRows {
			return nil
		}
		out = append(append(append(append(out, key...), "\t = \t"...), value...), '\n')
	}
	if len(out) == 0 {
		return nil
	}
	return slices.Concat([]byte("### ASCCONV BEGIN ###\n"), out, []byte("### ASCCONV END ###\n"))
}

func hexNumber(v string) bool {
	if len(v) < 3 || len(v) > 10 || v[0] != '0' || v[1] != 'x' {
		return false
	}
	for _, c := range []byte(v[2:]) {
		if !digit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

// protocolKey reports a key that is listed, or lies within one: letters, digits, points, and indices of three digits at most.
func protocolKey(key string) bool {
	if len(key) > 96 {
		return false
	}
	var plain [96]byte
	n := 0
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case letter(c), c == '.', c == '_', digit(c) && i > 0 && (letter(key[i-1]) || digit(key[i-1]) && letter(key[max(i-2, 0)])): // at most two digits in a name
			plain[n] = c
			n++
		case c == '[':
			j := i + 1
			for j < len(key) && digit(key[j]) {
				j++
			}
			if j == i+1 || j > i+4 || j == len(key) || key[j] != ']' {
				return false
			}
			i = j
		default:
			return false
		}
	}
	name := string(plain[:n])
	for _, k := range protocolKeys {
		if name == k {
			return true
		}
		if rest, ok := strings.CutPrefix(name, k+"."); ok && parameterName(rest) {
			return true
		}
	}
	return false
}

// parameterName reports names in the maker's own notation: a type's letters, then words run together. What could be somebody's name written in its
// place is not longer than the words of the notation, so each part is checked against the list of those that are in use.
func parameterName(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if !protocolParts[strings.TrimRight(part, "0123456789")] {
			return false
		}
	}
	return true
}

// protocolParts are the names within structures of a Siemens protocol.
var protocolParts = wordSet(`
	asSlice dThickness dPhaseFOV dReadoutFOV dInPlaneRot sPosition sNormal dSag dCor dTra lSize lConc lSliceOrder ucMode ucImageNumbSag ucImageNumbCor
	ucImageNumbTra anAsc anPos ucConcatenationsSelectMode lBaseResolution lPhaseEncodingLines lPartitions lImagesPerSlab dPhaseResolution dSliceResolution
	dSliceOversamplingForDialog dPhaseOversamplingForDialog lRadialViews ucDimension ucTrajectory ucReordering ucPhasePartialFourier ucSlicePartialFourier
	ucReadoutPartialFourier ucViewSharing ucAsymmetricEchoMode ucMultiSliceMode unReordering dAngioDynCentralRegionA dAngioDynSamplingDensityB lPhasePF
	ucPATMode ucRefScanMode lAccelFactPE lAccelFactD lAccelFact lRefLinesPE lRefLinesD lRefLines ulCaipirinhaMode lReorderingShiftD lTotalAccelFact
	lDiffDirections lDiffWeightings alBValue alAverages ulMode dsScheme ucDiffMode lNoiseLevel lDiffDirectionsMax sFreeDiffusionData lQSpaceSteps
	lEPIFactor lTurboFactor lSegments lShots lEchoTrainLength lSliceTurboFactor lEchoSpacing ucFreeEchoSpacing bUseEchoSpacing lMultiBandFactor lFOVShiftFactor
	alDwellTime asGroup asMember nSize dDistFact lLogicalGroup dSliceDistFactor nMembers lMembers dDistFactMin dDistFactMax ucFatSat ucWaterSat ucInversion
	ucMTC ucSatRecovery ucIRScheme ucFatSatMode ucNonSelective asElm nVelocity nDir ulSuppressionMode lASLMode lMode lMeasurements lTurboFactorD
	lPostLabelingDelay lLabelingDuration lBolusDuration lFrequency flReferenceAmplitude alTI alTD`)

// geNumbers are the keys of GE's protocol data block whose values are numbers of the measurement.
var geNumbers = wordSet(`
	VIEWORDER SLICEORDER MBACCEL NOSLC DELACQNOAV DELACQ PHASEFOV FOV MATRIXX MATRIXY SLTHICK SPC NEX TE TE2 TR TI FLIPANG NUMECHO NECHO ETL RBW BANDWIDTH
	NUMACQ NUMSHOTS BVALUE NDIR NUMDIFFDIR PHASEACCEL SLICEACCEL ACCEL OVERLAP NUMPHASES PHASEDELAY VENC`)

// filterGE keeps the listed keys of GE's protocol data block: a length, and compressed lines of a key and a quoted value.
func filterGE(b []byte) []byte {
	if len(b) < 4+18 || !bytes.HasPrefix(b[4:], gzipMagic) {
		return nil
	}
	size := binary.LittleEndian.Uint32(b)
	if size == 0 || int64(size) > int64(len(b)-4) {
		return nil
	}
	text := gunzip(b[4 : 4+size])
	if text == nil {
		return nil
	}
	var out []byte
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		line = strings.TrimSpace(strings.TrimPrefix(line, "set "))
		key, value, ok := strings.Cut(line, " ")
		value = strings.Trim(value, " \t\"")
		if !ok || seen[key] || !geNumbers[key] || !technicalNumber(value) {
			continue
		}
		seen[key] = true
		out = append(out, "set "+key+" \""+value+"\"\n"...)
	}
	if len(out) == 0 {
		return nil
	}
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, flate.NoCompression) // stored, so that the same text gives the same bytes whoever compresses
	if err != nil {
		return nil
	}
	if _, err := w.Write(out); err != nil || w.Close() != nil {
		return nil
	}
	return append(binary.LittleEndian.AppendUint32(nil, uint32(z.Len())), z.Bytes()...)
}

var gzipMagic = []byte{0x1F, 0x8B, 8}

// gunzip is what b unfolds to; nil if it is not whole, or more than a blob may unfold to.
func gunzip(b []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	r.Multistream(false)
	text, err := io.ReadAll(io.LimitReader(r, maxBlobText+1))
	if err != nil || len(text) > maxBlobText {
		return nil
	}
	return text
}
