package plant

import (
	"encoding/binary"
	"fmt"
	"image"
	"math"
	"time"

	"golang.org/x/image/font"
	"golang.org/x/image/font/inconsolata"
	"golang.org/x/image/math/fixed"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// A kind is a kind of object, in a transfer syntax.
type kind struct {
	name     string
	class    string
	modality string
	image    bool
	pixels   bool // its kind of image often has text in its pixels
	ts       *dicom.TransferSyntax
	encoder  string // name of the encoder that makes its code stream
	build    func(*maker)
}

const (
	storage = "1.2.840.10008.5.1.4.1.1."
	ctClass = storage + "2"
	mrClass = storage + "4"
	px      = 48  // rows and columns of the images
	pxText  = 192 // of those with text in them
)

func syntax(uid string) *dicom.TransferSyntax {
	ts, _ := dicom.LookupTransferSyntax(uid)
	return ts
}

// Kinds are the kinds of object that each subject has.
func Kinds() []string {
	var out []string
	for _, k := range kinds {
		out = append(out, k.name)
	}
	return out
}

// kinds are filled at the start, since what makes some of them looks for others.
var kinds []kind

func init() {
	kinds = []kind{
		{name: "CT", class: ctClass, modality: "CT", image: true, build: (*maker).ct},
		{name: "CT implicit", class: ctClass, modality: "CT", image: true, ts: dicom.ImplicitVRLittleEndian, build: (*maker).ct},
		{name: "CT big endian", class: ctClass, modality: "CT", image: true, ts: dicom.ExplicitVRBigEndian, build: (*maker).ct},
		{name: "CT deflated", class: ctClass, modality: "CT", image: true, ts: dicom.DeflatedExplicitVRLittleEndian, build: (*maker).ct},
		{name: "CT RLE", class: ctClass, modality: "CT", image: true, ts: syntax("1.2.840.10008.1.2.5"), encoder: "RLE", build: (*maker).ct},
		{name: "CT JPEG lossless", class: ctClass, modality: "CT", image: true, ts: syntax("1.2.840.10008.1.2.4.70"), encoder: "JPEG lossless", build: (*maker).ct},
		{name: "CT JPEG-LS", class: ctClass, modality: "CT", image: true, ts: syntax("1.2.840.10008.1.2.4.80"), encoder: "JPEG-LS", build: (*maker).ct},
		{name: "CT JPEG 2000", class: ctClass, modality: "CT", image: true, ts: syntax("1.2.840.10008.1.2.4.90"), encoder: "JPEG 2000", build: (*maker).ct},
		{name: "CT of the head", class: ctClass, modality: "CT", image: true, build: (*maker).head},
		{name: "MR", class: mrClass, modality: "MR", image: true, build: (*maker).mr},
		{name: "MR GE", class: mrClass, modality: "MR", image: true, build: (*maker).mrGE},
		{name: "MR Philips implicit", class: mrClass, modality: "MR", image: true, ts: dicom.ImplicitVRLittleEndian, build: (*maker).mrPhilips},
		{name: "PET", class: storage + "128", modality: "PT", image: true, build: (*maker).pet},
		{name: "NM", class: storage + "20", modality: "NM", image: true, build: (*maker).nm},
		{name: "CR", class: storage + "1", modality: "CR", image: true, build: (*maker).radiograph},
		{name: "DX", class: storage + "1.1", modality: "DX", image: true, build: (*maker).radiograph},
		{name: "MG", class: storage + "1.2", modality: "MG", image: true, build: (*maker).mammogram},
		{name: "US", class: storage + "6.1", modality: "US", image: true, pixels: true, build: (*maker).ultrasound},
		{name: "US multi-frame", class: storage + "3.1", modality: "US", image: true, pixels: true, build: (*maker).cine},
		{name: "XA", class: storage + "12.1", modality: "XA", image: true, pixels: true, build: (*maker).angiogram},
		{name: "SC", class: storage + "7", modality: "OT", image: true, pixels: true, build: (*maker).capture},
		{name: "Enhanced CT", class: storage + "2.1", modality: "CT", image: true, build: (*maker).enhanced},
		{name: "Enhanced MR", class: storage + "4.1", modality: "MR", image: true, build: (*maker).enhanced},
		{name: "WSI", class: storage + "77.1.6", modality: "SM", image: true, ts: syntax("1.2.840.10008.1.2.4.50"), encoder: "JPEG baseline", build: (*maker).slide},
		{name: "WSI label", class: storage + "77.1.6", modality: "SM", build: (*maker).label},
		{name: "SEG", class: storage + "66.4", modality: "SEG", image: true, build: (*maker).segmentation},
		{name: "RTDOSE", class: storage + "481.2", modality: "RTDOSE", image: true, build: (*maker).dose},
		{name: "RTSTRUCT", class: storage + "481.3", modality: "RTSTRUCT", build: (*maker).structures},
		{name: "RTPLAN", class: storage + "481.5", modality: "RTPLAN", build: (*maker).plan},
		{name: "REG", class: storage + "66.1", modality: "REG", build: (*maker).registration},
		{name: "SR text", class: storage + "88.11", modality: "SR", build: (*maker).report},
		{name: "SR measurements", class: storage + "88.22", modality: "SR", build: (*maker).measurements},
		{name: "SR dose", class: storage + "88.67", modality: "SR", build: (*maker).doseReport},
		{name: "KO", class: storage + "88.59", modality: "KO", build: (*maker).keyObjects},
		{name: "GSPS", class: storage + "11.1", modality: "PR", build: (*maker).presentation},
		{name: "ECG", class: storage + "9.1.1", modality: "ECG", build: (*maker).ecg},
		{name: "PDF", class: storage + "104.1", modality: "DOC", build: (*maker).document},
		{name: "video", class: storage + "77.1.4.1", modality: "XC", ts: syntax("1.2.840.10008.1.2.4.102"), build: (*maker).video},
		{name: "private class", class: "1.3.12.2.1107.5.9.1", modality: "OT", build: (*maker).privateClass},
		{name: "DICOMDIR", class: "1.2.840.10008.1.3.10", build: (*maker).directory},
	}
}

// common is what every object says of patient, study and equipment, and what clerks typed.
func (m *maker) common() {
	o, p := m.o, m.p
	mrn := p.mrn
	if len(m.kind.name)%3 == 1 {
		mrn = p.mrnAlso // another system's spelling
	}
	o.text(dicom.TagPatientName, p.name())
	o.text(dicom.TagPatientID, mrn)
	o.text(dicom.TagIssuerOfPatientID, p.issuer)
	o.String(dicom.TagPatientBirthDate, p.born.Format("20060102"))
	o.String(dicom.TagPatientSex, p.sex)
	age := int(m.at.Sub(p.born).Hours() / 24 / 365.25)
	switch {
	case p.infant:
		o.String(dicom.TagPatientAge, fmt.Sprintf("%03dM", int(m.at.Sub(p.born).Hours()/24/30.4)))
	case age < 90:
		o.String(dicom.TagPatientAge, fmt.Sprintf("%03dY", age))
	}
	o.Floats(dicom.TagPatientWeight, p.kg)
	o.Floats(dicom.TagPatientSize, p.metres)
	o.text(dicom.TagPatientAddress, p.street+", "+p.town+" "+p.post)
	o.text(dicom.TagPatientTelephoneNumbers, p.phone, p.mobile)
	o.items(dicom.TagOtherPatientIDsSequence, func(o obj) {
		o.text(dicom.TagPatientID, p.nhs)
		o.text(dicom.TagTypeOfPatientID, "TEXT")
	})
	o.text(dicom.TagReferringPhysicianName, p.doctor+"^Ada^^Dr")
	o.text(dicom.TagInstitutionName, p.clinic+" Infirmary")
	// With words in plain sight: the first name and the family as people write them down.
	o.text(dicom.TagPatientComments, fmt.Sprintf("%s %s, NHS %s %s %s, lives %s", p.given, p.family, p.nhs[:3], p.nhs[3:6], p.nhs[6:], p.town))

	o.String(dicom.TagStudyDate, m.at.Format("20060102"))
	o.String(dicom.TagStudyTime, m.at.Format("150405"))
	o.String(dicom.TagSeriesDate, m.at.Format("20060102"))
	o.String(dicom.TagSeriesTime, m.at.Add(time.Minute).Format("150405"))
	o.String(dicom.TagContentDate, m.at.Format("20060102"))
	o.String(dicom.TagContentTime, m.at.Add(2*time.Minute).Format("150405"))
	o.text(dicom.TagAccessionNumber, m.token("N09"))
	o.String(dicom.TagStudyID, "1")
	o.text(dicom.TagStudyDescription, "CT CHEST contrast")
	m.keep("(0008,1030)", "CT CHEST contrast")
	o.String(dicom.TagSeriesNumber, "2")
	o.String(dicom.TagInstanceNumber, "7")
	if m.kind.modality != "" {
		o.String(dicom.TagModality, m.kind.modality)
	}
	o.String(dicom.TagManufacturer, "SIEMENS")
	o.String(dicom.TagManufacturerModelName, "Definition 64")
	o.String(dicom.TagSoftwareVersions, "VA48A")
	o.String(dicom.TagDeviceSerialNumber, "66127")
}

func (m *maker) dated(tags ...dicom.Tag) {
	for _, t := range tags {
		m.o.String(t, m.at.Format("20060102"))
	}
}

// plane is the place of an image in the patient (C.7.6.2).
func (m *maker) plane() {
	o := m.o
	o.String(dicom.TagFrameOfReferenceUID, m.frame)
	o.Empty(dicom.TagPositionReferenceIndicator)
	o.Floats(dicom.TagImagePositionPatient, -112.5, -98.25, 31)
	o.Floats(dicom.TagImageOrientationPatient, 1, 0, 0, 0, 1, 0)
	o.Floats(dicom.TagPixelSpacing, 0.78125, 0.78125)
	o.Floats(dicom.TagSliceThickness, 2.5)
	o.String(dicom.TagPatientPosition, "HFS")
	m.dated(dicom.TagAcquisitionDate)
	o.String(dicom.TagAcquisitionTime, m.at.Format("150405"))
	o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "AXIAL")
}

// grey adds a monochrome image: a disc in noise, in 16 bits or 8.
func (m *maker) grey(bits, frames int) {
	o := m.o
	stored := 12
	if bits == 8 {
		stored = 8
	}
	o.Ints(dicom.TagSamplesPerPixel, 1)
	o.String(dicom.TagPhotometricInterpretation, "MONOCHROME2")
	side := m.side()
	o.Ints(dicom.TagRows, side)
	o.Ints(dicom.TagColumns, side)
	o.Ints(dicom.TagBitsAllocated, bits)
	o.Ints(dicom.TagBitsStored, stored)
	o.Ints(dicom.TagHighBit, stored-1)
	o.Ints(dicom.TagPixelRepresentation, 0)
	if frames > 0 {
		o.Ints(dicom.TagNumberOfFrames, frames)
	}
	n := side * side * max(1, frames)
	v := make([]uint16, n)
	for i := range v {
		x, y := float64(i%side-side/2), float64(i/side%side-side/2)
		if math.Hypot(x, y) < float64(side/3) {
			v[i] = 90
		}
		v[i] += uint16(m.r.IntN(40))
	}
	var raw []byte
	for _, s := range v {
		if bits == 8 {
			raw = append(raw, byte(s))
		} else {
			raw = binary.LittleEndian.AppendUint16(raw, s*16)
		}
	}
	if m.kind.encoder != "" {
		stream, err := m.encoders.of(m.kind.encoder)(side, side, bits, raw)
		if err != nil {
			m.err = err
			return
		}
		m.stream(stream)
		return
	}
	for _, draw := range m.drawn {
		draw(raw)
	}
	m.f.stream = len(m.drawn) == 0 // where there is text, it is to be painted over
	m.f.Stream = sum(raw)
	vr := dicom.VROW
	if bits == 8 {
		vr = dicom.VROB
	}
	if m.ts.BigEndian && bits == 16 {
		for i := 0; i+1 < len(raw); i += 2 {
			raw[i], raw[i+1] = raw[i+1], raw[i]
		}
		m.f.Stream = sum(raw)
	}
	o.Raw(dicom.TagPixelData, vr, raw)
}

// stream adds a code stream as the only fragment, with a comment in it (as encoders and cameras write).
func (m *maker) stream(b []byte) {
	m.f.stream, m.f.Stream = true, sum(entropy(b))
	switch {
	case len(b) > 4 && b[0] == 0xFF && b[1] == 0xD8:
		b = insertSegment(b, 2, 0xFE, []byte("for Mrs "+m.token("X24")))
		b = insertSegment(b, 2, 0xE1, append([]byte("Exif\x00\x00"), "Artist "+m.token("X24")...))
	case len(b) > 4 && b[0] == 0xFF && b[1] == 0x4F:
		// Behind SIZ: Rcom 1 says that it is Latin text (ISO/IEC 15444-1 A.9.2).
		at := 4 + int(binary.BigEndian.Uint16(b[4:]))
		b = insertSegment(b, at, 0x64, append([]byte{0, 1}, m.token("X25")...))
	}
	m.o.Fragments(dicom.TagPixelData, []uint32{0}, b)
}

// insertSegment puts a marker segment at an offset of a code stream.
func insertSegment(b []byte, at int, marker byte, content []byte) []byte {
	seg := binary.BigEndian.AppendUint16([]byte{0xFF, marker}, uint16(len(content)+2))
	seg = append(seg, content...)
	out := append([]byte{}, b[:at]...)
	return append(append(out, seg...), b[at:]...)
}

// side is how many rows and columns the image has.
func (m *maker) side() int {
	if m.size == 0 {
		return px
	}
	return m.size
}

// draw burns a word into the image that grey or colour makes next, in capitals 20 pixels high, with its upper edge at a row; along a column where it is turned.
func (m *maker) draw(site string, row, bytesPerPixel int, ink byte, turned bool) {
	m.size = pxText
	letters := make([]byte, 9)
	for i := range letters {
		letters[i] = "ABCDEFGHJKLMNPRSTUVWXYZ"[m.r.IntN(23)]
	}
	const w, h = 8 * 9, 16
	word := image.NewAlpha(image.Rect(0, 0, w, h))
	d := font.Drawer{Dst: word, Src: image.Opaque, Face: inconsolata.Bold8x16, Dot: fixed.P(0, 12)}
	d.DrawBytes(letters)
	g := Glyphs{Site: site, Ink: ink}
	for y := range 2 * h {
		for x := range 2 * w {
			if word.AlphaAt(x/2, y/2).A < 128 {
				continue
			}
			at := (row+y)*pxText + 10 + x
			if turned {
				at = (10+2*w-x)*pxText + row + y
			}
			for k := range bytesPerPixel {
				g.At = append(g.At, at*bytesPerPixel+k)
			}
		}
	}
	m.f.Glyphs = append(m.f.Glyphs, g)
	m.drawn = append(m.drawn, func(px []byte) {
		for _, at := range g.At {
			px[at] = ink
		}
	})
}

func (m *maker) ct() {
	o := m.o
	m.plane()
	o.String(dicom.TagBodyPartExamined, "CHEST")
	o.Floats(dicom.TagKVP, 120)
	o.Floats(dicom.TagRescaleIntercept, -1024)
	o.Floats(dicom.TagRescaleSlope, 1)
	o.String(dicom.TagRescaleType, "HU")
	o.String(dicom.TagConvolutionKernel, "B40f")
	o.Ints(dicom.TagAcquisitionNumber, 1)
	o.Ints(dicom.TagExposureTime, 500)
	o.Ints(dicom.TagXRayTubeCurrent, 187)
	o.Floats(dicom.TagCTDIvol, 6.08)
	o.String(dicom.TagIrradiationEventUID, m.uid("event/%d", m.p.n))
	o.text(dicom.TagSeriesDescription, "Thorax 5.0 B40f")
	m.keep("(0008,103E)", "Thorax 5.0 B40f")
	m.grey(16, 0)
}

// head is a volume that shows a face (L69): it must not claim that it does not.
func (m *maker) head() {
	m.ct()
	m.o.String(dicom.TagBodyPartExamined, "HEAD")
}

// mr has private diffusion blocks and a vendor's header of many fields, of which some name the patient.
func (m *maker) mr() {
	o := m.o
	m.plane()
	o.String(dicom.TagBodyPartExamined, "PROSTATE")
	o.String(dicom.TagScanningSequence, "EP")
	o.String(dicom.TagSequenceVariant, "SK")
	o.Empty(dicom.TagScanOptions)
	o.String(dicom.TagMRAcquisitionType, "2D")
	o.Floats(dicom.TagRepetitionTime, 4100)
	o.Floats(dicom.TagEchoTime, 63)
	o.Ints(dicom.TagEchoTrainLength, 1)
	o.Floats(dicom.TagMagneticFieldStrength, 3)
	o.Floats(dicom.TagFlipAngle, 90)
	o.text(dicom.TagSeriesDescription, "ep2d diff ADC")
	m.keep("(0008,103E)", "diff ADC")
	o.Text(0x00190010, dicom.VRLO, "SIEMENS MR HEADER")
	o.Text(0x00191008, dicom.VRCS, "IMAGE NUM 4")
	m.exact("(0019,100C)", "800")
	o.Integers(0x0019100C, dicom.VRIS, 800)
	m.exact("(0019,100E)", "0.6", "-0.48", "0.64")
	o.Numbers(0x0019100E, dicom.VRFD, 0.6, -0.48, 0.64)
	o.Text(0x00290010, dicom.VRLO, "SIEMENS CSA HEADER")
	o.Raw(0x00291010, dicom.VROB, csa([][2]string{
		{"PatientName", m.token("L42")}, {"B_value", "800"}, {"UsedPatientWeight", "71"}, {"StudyLOID", m.token("L42")},
		{"DiffusionGradientDirection", "0.60000000"}, {"OperatorRemark", "tel " + m.token("L42")},
	}))
	m.f.Kept = append(m.f.Kept, Value{Path: csaPath, Want: "800"})
	o.Raw(0x00291020, dicom.VROB, csa([][2]string{
		{"MrPhoenixProtocol", "### ASCCONV BEGIN ###\ntPatientName = \"" + m.token("L42") + "\"\nsKSpace.lBaseResolution = 128\n### ASCCONV END ###"},
	}))
	m.grey(16, 0)
}

// csaPath is that of the diffusion weighting within Siemens's header, which a walk over elements cannot reach.
const csaPath = "(0029,1010) B_value"

func (m *maker) mrGE() {
	o := m.o
	m.plane()
	o.String(dicom.TagManufacturer, "GE MEDICAL SYSTEMS")
	o.String(dicom.TagScanningSequence, "EP")
	o.String(dicom.TagSequenceVariant, "NONE")
	o.String(dicom.TagMRAcquisitionType, "2D")
	o.Floats(dicom.TagEchoTime, 63)
	o.Floats(dicom.TagRepetitionTime, 4100)
	o.Text(0x00430010, dicom.VRLO, "GEMS_PARM_01")
	o.Integers(0x00431039, dicom.VRIS, 1000, 8, 0, 0)
	m.exact("(0043,1039)", "1000", "8", "0", "0")
	o.Text(0x00090010, dicom.VRLO, "GEMS_IDEN_01")
	o.Text(0x00091027+0x10, dicom.VRLO, m.token("L42"))
	o.Text(0x00250010, dicom.VRLO, "GEMS_SERS_01")
	block := gzipped("set exam \"" + m.token("X39") + "\"\nset slthick 4\n")
	o.Raw(0x0025101B, dicom.VROB, append(binary.LittleEndian.AppendUint32(nil, uint32(len(block))), block...))
	m.grey(16, 0)
}

func (m *maker) mrPhilips() {
	o := m.o
	m.plane()
	o.String(dicom.TagManufacturer, "Philips Medical Systems")
	o.String(dicom.TagScanningSequence, "SE")
	o.String(dicom.TagSequenceVariant, "SK")
	o.String(dicom.TagMRAcquisitionType, "2D")
	o.Text(0x20010010, dicom.VRLO, "Philips Imaging DD 001")
	o.Numbers(0x20011003, dicom.VRFL, 1000)
	m.exact("(2001,1003)", "1000")
	o.Text(0x20050010, dicom.VRLO, "Philips MR Imaging DD 001")
	o.Numbers(0x200510B0, dicom.VRFL, 0.5)
	m.exact("(2005,10B0)", "0.5")
	o.Text(0x20051000|0x37, dicom.VRPN, m.token("L42")+"^A")
	m.grey(16, 0)
}

// exact says that a value has to stay as it is, number for number.
func (m *maker) exact(path string, want ...string) {
	m.f.Kept = append(m.f.Kept, Value{Path: path, Want: join(want)})
}

// pet has what a standardised uptake value is computed from (C.8.9).
func (m *maker) pet() {
	o := m.o
	m.plane()
	o.String(dicom.TagBodyPartExamined, "ABDOMEN")
	o.String(dicom.TagUnits, "BQML")
	o.String(dicom.TagCountsSource, "EMISSION")
	o.String(dicom.TagSeriesType, "WHOLE BODY", "IMAGE")
	o.String(dicom.TagDecayCorrection, "START")
	o.String(dicom.TagCorrectedImage, "NORM", "ATTN", "SCAT", "DECY")
	o.Ints(dicom.TagNumberOfSlices, 48)
	o.Floats(dicom.TagRescaleSlope, 1.37)
	o.Floats(dicom.TagRescaleIntercept, 0)
	o.Floats(dicom.TagFrameReferenceTime, 74012.5)
	o.Ints(dicom.TagActualFrameDuration, 150000)
	injected := m.at.Add(-62 * time.Minute)
	o.items(dicom.TagRadiopharmaceuticalInformationSequence, func(o obj) {
		o.text(dicom.TagRadiopharmaceutical, "Fluorodeoxyglucose")
		o.Floats(dicom.TagRadionuclideTotalDose, 248.6e6)
		o.Floats(dicom.TagRadionuclideHalfLife, 6586.2)
		o.Floats(dicom.TagRadionuclidePositronFraction, 0.97)
		o.String(dicom.TagRadiopharmaceuticalStartTime, injected.Format("150405"))
		o.String(dicom.TagRadiopharmaceuticalStartDateTime, injected.Format("20060102150405"))
		o.code(dicom.TagRadionuclideCodeSequence, [3]string{"C-111A1", "SRT", "^18^Fluorine"})
	})
	o.Text(0x70530010, dicom.VRLO, "Philips PET Private Group")
	o.Numbers(0x70531000, dicom.VRDS, 0.000412)
	m.exact("(7053,1000)", "0.000412")
	o.Text(0x70531003, dicom.VRST, `D:\export\`+m.token("L42")+`\a.img`)
	o.Numbers(0x70531009, dicom.VRDS, 1.5)
	m.exact("(7053,1009)", "1.5")
	m.grey(16, 0)
}

func (m *maker) nm() {
	o := m.o
	o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "STATIC", "EMISSION")
	o.String(dicom.TagBodyPartExamined, "SKELETON")
	o.Ints(dicom.TagFrameIncrementPointer, 0x00540010, 0x00540020)
	o.Ints(dicom.TagEnergyWindowVector, 1)
	o.Ints(dicom.TagDetectorVector, 1)
	o.Ints(dicom.TagNumberOfEnergyWindows, 1)
	o.Ints(dicom.TagNumberOfDetectors, 1)
	o.items(dicom.TagEnergyWindowInformationSequence, func(o obj) { o.text(dicom.TagEnergyWindowName, "Tc99m") })
	m.dated(dicom.TagAcquisitionDate)
	m.grey(16, 1)
}

func (m *maker) radiograph() {
	o := m.o
	o.String(dicom.TagBodyPartExamined, "CHEST")
	o.String(dicom.TagViewPosition, "PA")
	o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "")
	o.String(dicom.TagPatientOrientation, "L", "F")
	o.String(dicom.TagImageLaterality, "U")
	o.String(dicom.TagBurnedInAnnotation, "NO")
	o.Floats(dicom.TagImagerPixelSpacing, 0.143, 0.143)
	o.text(dicom.TagDetectorID, "DR-7")
	m.dated(dicom.TagAcquisitionDate, dicom.TagDateOfSecondaryCapture)
	if m.kind.name == "CR" && m.p.n%3 == 0 {
		// A marker of the radiographer's, which no element tells of.
		site := []string{"L49", "L53", "L57"}[m.p.n/3%3]
		m.draw(site, 80, 2, 0x0F, site == "L53")
	}
	m.grey(16, 0)
}

func (m *maker) mammogram() {
	m.radiograph()
	o := m.o
	o.String(dicom.TagBodyPartExamined, "BREAST")
	o.String(dicom.TagImageLaterality, "R")
	o.String(dicom.TagPresentationIntentType, "FOR PRESENTATION")
	o.Floats(dicom.TagCompressionForce, 92)
	o.Floats(dicom.TagBodyPartThickness, 54)
	o.Floats(dicom.TagOrganDose, 0.0131)
	o.code(dicom.TagViewCodeSequence, [3]string{"399162004", "SCT", "cranio-caudal"})
	o.text(dicom.TagSeriesDescription, "R CC")
	m.keep("(0008,103E)", "CC")
}

// colour adds an RGB image with the name in its margin.
func (m *maker) colour(site string, frames int) {
	o := m.o
	o.Ints(dicom.TagSamplesPerPixel, 3)
	o.String(dicom.TagPhotometricInterpretation, "RGB")
	o.Ints(dicom.TagPlanarConfiguration, 0)
	m.draw(site, 6, 3, 0xFA, false)
	o.Ints(dicom.TagRows, m.size)
	o.Ints(dicom.TagColumns, m.size)
	o.Ints(dicom.TagBitsAllocated, 8)
	o.Ints(dicom.TagBitsStored, 8)
	o.Ints(dicom.TagHighBit, 7)
	o.Ints(dicom.TagPixelRepresentation, 0)
	if frames > 0 {
		o.Ints(dicom.TagNumberOfFrames, frames)
	}
	one := m.size * m.size * 3
	raw := make([]byte, one*max(1, frames))
	for i := 0; i < len(raw); i += 3 { // grey tissue below a dark margin
		v := byte(m.r.IntN(12))
		if i%one/3/m.size > m.size/3 {
			v += byte(20 + m.r.IntN(50))
		}
		raw[i], raw[i+1], raw[i+2] = v, v, v
	}
	for f := range max(1, frames) {
		for _, draw := range m.drawn {
			draw(raw[f*one:])
		}
	}
	text := &m.f.Glyphs[len(m.f.Glyphs)-1]
	first := text.At
	for f := 1; f < frames; f++ {
		for _, at := range first {
			text.At = append(text.At, f*one+at)
		}
	}
	o.Raw(dicom.TagPixelData, dicom.VROB, raw)
}

func (m *maker) ultrasound() {
	m.o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "BREAST", "0001")
	m.o.String(dicom.TagBurnedInAnnotation, "YES")
	m.colour("L48", 0)
}

func (m *maker) cine() {
	m.o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "", "0001")
	m.o.Floats(dicom.TagFrameTime, 33.3)
	m.o.Ints(dicom.TagFrameIncrementPointer, 0x00181063)
	m.colour("L52", 2)
}

func (m *maker) angiogram() {
	m.o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "SINGLE PLANE")
	m.o.Floats(dicom.TagKVP, 80)
	m.draw("L48", 6, 2, 0x0F, false)
	m.grey(16, 0)
}

func (m *maker) capture() {
	m.o.String(dicom.TagConversionType, "WSD")
	m.o.text(dicom.TagSeriesDescription, "Dose Report")
	m.colour("L48", 0)
}

// enhanced is a multi-frame object with functional groups.
func (m *maker) enhanced() {
	o := m.o
	m.plane()
	org := m.uid("organization/%d", m.p.n)
	o.String(dicom.TagAcquisitionDateTime, m.at.Format("20060102150405"))
	o.String(dicom.TagConcatenationUID, m.uid("concatenation/%d/%s", m.p.n, m.kind.name))
	o.String(dicom.TagSynchronizationFrameOfReferenceUID, m.uid("clock/%d", m.p.n))
	m.gone("L32", org, m.uid("clock/%d", m.p.n))
	o.items(dicom.TagDimensionOrganizationSequence, func(o obj) { o.String(dicom.TagDimensionOrganizationUID, org) })
	o.items(dicom.TagDimensionIndexSequence, func(o obj) {
		o.String(dicom.TagDimensionOrganizationUID, org)
		o.Ints(dicom.TagDimensionIndexPointer, 0x00209057)
		o.Ints(dicom.TagFunctionalGroupPointer, 0x00209111)
	})
	o.items(dicom.TagSharedFunctionalGroupsSequence, func(o obj) {
		o.items(dicom.TagPixelMeasuresSequence, func(o obj) {
			o.Floats(dicom.TagPixelSpacing, 0.7, 0.7)
			o.Floats(dicom.TagSliceThickness, 2.5)
		})
		if m.kind.modality == "MR" {
			o.items(dicom.TagMRDiffusionSequence, func(o obj) { o.Floats(dicom.TagDiffusionBValue, 800) })
		}
		o.items(dicom.TagReferencedImageSequence, func(o obj) {
			o.String(dicom.TagReferencedSOPClassUID, ctClass)
			o.String(dicom.TagReferencedSOPInstanceUID, m.uid("instance/%d/%d", m.p.n, 0))
		})
		// Two sequences deep, in the shared groups, somebody wrote down who looked at it.
		o.items(dicom.TagFrameAnatomySequence, func(o obj) {
			o.String(dicom.TagFrameLaterality, "U")
			o.code(dicom.TagAnatomicRegionSequence, [3]string{"51185008", "SCT", "Chest"})
		})
	})
	frame := func(n int) func(obj) {
		return func(o obj) {
			o.items(dicom.TagFrameContentSequence, func(o obj) {
				o.String(dicom.TagFrameAcquisitionDateTime, m.at.Format("20060102150405"))
				o.Ints(dicom.TagDimensionIndexValues, n)
				o.text(dicom.TagFrameComments, "seen by "+m.token("L08"))
			})
			o.items(dicom.TagPlanePositionSequence, func(o obj) { o.Floats(dicom.TagImagePositionPatient, -112.5, -98.25, float64(n)*2.5) })
		}
	}
	o.items(dicom.TagPerFrameFunctionalGroupsSequence, frame(1), frame(2))
	o.String(dicom.TagVolumetricProperties, "VOLUME")
	m.grey(16, 2)
}

func (m *maker) slideHeader() {
	o := m.o
	o.text(dicom.TagContainerIdentifier, m.token("L78"))
	o.items(dicom.TagSpecimenDescriptionSequence, func(o obj) {
		o.text(dicom.TagSpecimenIdentifier, m.token("L78"))
		o.String(dicom.TagSpecimenUID, m.uid("specimen/%d", m.p.n))
		o.text(dicom.TagSpecimenShortDescription, "breast core "+m.token("L78"))
		o.items(dicom.TagSpecimenPreparationSequence, func(o obj) {
			o.items(dicom.TagSpecimenPreparationStepContentItemSequence, func(o obj) {
				o.String(dicom.TagValueType, "TEXT")
				o.code(dicom.TagConceptNameCodeSequence, [3]string{"121041", "DCM", "Specimen Identifier"})
				o.text(dicom.TagTextValue, m.token("L78"))
			})
		})
	})
	o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "VOLUME", "NONE")
	o.Floats(dicom.TagImagedVolumeWidth, 15)
	o.Floats(dicom.TagImagedVolumeHeight, 15)
	o.String(dicom.TagAcquisitionDateTime, m.at.Format("20060102150405"))
	o.String(dicom.TagFrameOfReferenceUID, m.frame)
	o.Ints(dicom.TagTotalPixelMatrixColumns, m.side())
	o.Ints(dicom.TagTotalPixelMatrixRows, m.side())
}

func (m *maker) slide() {
	m.slideHeader()
	m.o.String(dicom.TagSpecimenLabelInImage, "NO")
	m.o.String(dicom.TagBurnedInAnnotation, "NO")
	m.grey(8, 1)
}

// label is the photograph of a slide's label.
func (m *maker) label() {
	m.size = pxText
	m.slideHeader()
	o := m.o
	o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "LABEL", "NONE")
	o.String(dicom.TagSpecimenLabelInImage, "YES")
	o.Raw(dicom.TagLabelText, dicom.VRUT, []byte(m.token("L70")))
	o.Raw(dicom.TagBarcodeValue, dicom.VRLO, []byte(m.token("L70")))
	m.exempt("a slide's label")
	m.draw("L79", 5, 1, 0xF2, false)
	m.grey(8, 1)
}

func (m *maker) segmentation() {
	o := m.o
	m.plane()
	o.String(dicom.TagImageType, "DERIVED", "PRIMARY")
	o.text(dicom.TagContentLabel, "TUMOUR")
	o.text(dicom.TagContentDescription, "drawn by "+m.token("X18"))
	o.text(dicom.TagContentCreatorName, m.token("X18")+"^E")
	o.String(dicom.TagSegmentationType, "BINARY")
	o.items(dicom.TagSegmentSequence, func(o obj) {
		o.Ints(dicom.TagSegmentNumber, 1)
		o.text(dicom.TagSegmentLabel, "Tumour "+m.token("X18"))
		o.text(dicom.TagSegmentDescription, "liver lesion of "+m.token("X18"))
		o.String(dicom.TagSegmentAlgorithmType, "MANUAL")
		o.String(dicom.TagTrackingUID, m.uid("tracking/%d", m.p.n))
		o.text(dicom.TagTrackingID, m.token("X18"))
		o.code(dicom.TagSegmentedPropertyCategoryCodeSequence, [3]string{"49755003", "SCT", "Morphologically abnormal structure"})
		o.code(dicom.TagSegmentedPropertyTypeCodeSequence, [3]string{"108369006", "SCT", "Neoplasm"})
	})
	m.keep("(0062,0002)[0].(0062,0005)", "Tumour")
	o.items(dicom.TagReferencedSeriesSequence, func(o obj) {
		o.String(dicom.TagSeriesInstanceUID, m.uid("series/%d/%d", m.p.n, 0))
		o.reference(dicom.TagReferencedInstanceSequence, ctClass, m.uid("instance/%d/%d", m.p.n, 0))
	})
	m.gone("L31", m.uid("instance/%d/%d", m.p.n, 0))
	org := m.uid("organization/%d", m.p.n)
	o.items(dicom.TagDimensionOrganizationSequence, func(o obj) { o.String(dicom.TagDimensionOrganizationUID, org) })
	m.grey(8, 1)
	o.String(dicom.TagBurnedInAnnotation, "NO")
}

func (m *maker) dose() {
	o := m.o
	m.plane()
	o.String(dicom.TagDoseUnits, "GY")
	o.String(dicom.TagDoseType, "PHYSICAL")
	o.String(dicom.TagDoseSummationType, "PLAN")
	o.text(dicom.TagDoseComment, "approved "+m.token("X17"))
	o.Floats(dicom.TagDoseGridScaling, 0.00012)
	o.Floats(dicom.TagGridFrameOffsetVector, 0, 2.5)
	o.Ints(dicom.TagFrameIncrementPointer, 0x3004000C)
	o.reference(dicom.TagReferencedRTPlanSequence, storage+"481.5", m.uid("instance/%d/%d", m.p.n, indexOf("RTPLAN")))
	m.grey(16, 2)
}

func indexOf(kind string) int {
	for i, k := range kinds {
		if k.name == kind {
			return i
		}
	}
	return -1
}
