package sample

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// A Marker is a string that stands in one place only of what [Marked] made. A search for it tells whether that place leaked.
type Marker struct {
	Text  string
	Where string // tag path, or "preamble", "file name"
	Kept  Keep   // what may keep it in a cleaned object; nothing may keep it in clear outside of one
}

// Keep names an option of PS3.15 E.3 that lets a cleaned object keep a marker.
type Keep int

const (
	Never              Keep = iota // no profile but for data that is clean already
	WithDevice                     // Retain Device Identity (E.3.8)
	WithCharacteristic             // Retain Patient Characteristics (E.3.7)
)

// Marked is a CT instance with a marker in every place where an identity can stand: each element of PS3.15 Table E.1-1 that holds text or a UID, all
// component groups of names, second values, free text around them, nested sequences, unknown and private elements, file meta information, the preamble,
// overlays, curves, an icon, trailing padding, the file's name. Its identifiers are markers too.
//
// Markers are the prefix (letters and digits, 10 at most), an X and four letters or digits; those in UIDs are digits.
func Marked(prefix string) (*Instance, []Marker, error) {
	if len(prefix) == 0 || len(prefix) > 10 {
		return nil, nil, fmt.Errorf("make marked sample: a prefix of %d characters, not of 1 to 10", len(prefix))
	}
	m := &marker{prefix: prefix}
	ts := dicom.ExplicitVRLittleEndian
	o := object{dicom.NewBuilder(ts), westEuropean}
	o.String(dicom.TagSpecificCharacterSet, "ISO_IR 100")

	// Flat text and UIDs of the table, each with its own marker.
	for _, t := range identityText {
		if !slices.Contains(below, t) {
			m.text(o, t, Never)
		}
	}
	for _, t := range deviceText {
		m.text(o, t, WithDevice)
	}
	for _, t := range characterText {
		m.text(o, t, WithCharacteristic)
	}
	for _, t := range identityUID {
		k := Never
		if t == dicom.TagDeviceUID || t == dicom.TagManufacturerDeviceClassUID {
			k = WithDevice
		}
		o.Text(t, dicom.VRUI, m.uid(t.String(), k))
	}

	in := Instance{SOPClassUID: ctImageStorage, Modality: "CT", Series: 1, Number: 1}
	in.SOPInstanceUID = m.uid("(0008,0018)", Never)
	in.StudyUID = m.uid("(0020,000D)", Never)
	in.SeriesUID = m.uid("(0020,000E)", Never)
	o.String(dicom.TagStudyInstanceUID, in.StudyUID)
	o.String(dicom.TagSeriesInstanceUID, in.SeriesUID)

	// A name with all its parts and component groups (PS3.5 6.2.1).
	name := ""
	for g := range 3 {
		if g > 0 {
			name += "="
		}
		for c := range 5 {
			if c > 0 {
				name += "^"
			}
			name += m.next(fmt.Sprintf("(0010,0010) group %d component %d", g+1, c+1), Never)
		}
	}
	o.String(dicom.TagPatientName, name)
	o.Raw(dicom.TagPatientBirthDate, dicom.VRDA, []byte("19570322"))
	o.String(dicom.TagPatientSex, "F")

	// Sentences around it, and values behind the first.
	free := func(t dicom.Tag, format string) {
		o.text(t, fmt.Sprintf(format, m.next(t.String()+" in a sentence", Never)))
	}
	free(dicom.TagStudyDescription, "CT chest for Dr %s, urgent")
	free(dicom.TagSeriesDescription, "Axial %s lung")
	free(dicom.TagPatientComments, "Call the daughter of %s before the visit")
	free(dicom.TagAdditionalPatientHistory, "Mrs %s, seen in clinic on 12/3/2019")
	o.String(dicom.TagOtherPatientNames, m.next("(0010,1001) value 1", Never), "B^"+m.next("(0010,1001) value 2", Never))
	o.String(dicom.TagPatientTelephoneNumbers, m.next("(0010,2154) value 1", Never), m.next("(0010,2154) value 2", Never))

	m.nested(o)
	m.hidden(o)
	m.image(o)

	out, err := encode(o.Builder, ts, in)
	if err != nil {
		return nil, nil, err
	}
	if err := m.rewriteMeta(out); err != nil {
		return nil, nil, err
	}
	out.Name = m.next("file name", Never) + "_" + m.next("file name, second part", Never) + ".dcm"
	return out, m.given, nil
}

// below are the elements that Marked fills by themselves.
var below = []dicom.Tag{
	dicom.TagPatientName, dicom.TagStudyDescription, dicom.TagSeriesDescription, dicom.TagPatientComments,
	dicom.TagAdditionalPatientHistory, dicom.TagOtherPatientNames, dicom.TagPatientTelephoneNumbers,
}

type marker struct {
	prefix string
	n      int
	given  []Marker
}

// next is a new marker.
func (m *marker) next(where string, keep Keep) string {
	const digits = "0123456789ABCDEFGHJKLMNPQRSTUVWYZ"
	m.n++
	b := [4]byte{}
	for i, n := 3, m.n; i >= 0; i, n = i-1, n/len(digits) {
		b[i] = digits[n%len(digits)]
	}
	s := m.prefix + "X" + string(b[:])
	m.given = append(m.given, Marker{s, where, keep})
	return s
}

// uid is a new UID whose digits are the marker.
func (m *marker) uid(where string, keep Keep) string {
	m.n++
	h := new(big.Int).SetBytes([]byte(m.prefix))
	s := fmt.Sprintf("2.25.9%s%06d", h.String(), m.n)
	m.given = append(m.given, Marker{s, where, keep})
	return s
}

func (m *marker) text(o object, t dicom.Tag, keep Keep) {
	o.Text(t, vrOf(t), m.next(t.String(), keep))
}

func vrOf(t dicom.Tag) dicom.VR {
	if e, ok := dicom.LookupTag(t); ok && e.VR.IsText() {
		return e.VR
	}
	return dicom.VRLO
}

// nested puts markers into sequences, some deep, some in ones that no table knows to hold identity.
func (m *marker) nested(o object) {
	code := func(o object, tag dicom.Tag, where string) {
		o.items(tag, func(o object) {
			o.String(dicom.TagCodeValue, m.next(where+" code value", Never))
			o.String(dicom.TagCodingSchemeDesignator, "99LOCAL")
			o.String(dicom.TagCodeMeaning, "List of Dr "+m.next(where+" code meaning", Never))
		})
	}
	reference := func(o object, tag dicom.Tag, where string) {
		o.items(tag, func(o object) {
			o.String(dicom.TagReferencedSOPClassUID, ctImageStorage)
			o.String(dicom.TagReferencedSOPInstanceUID, m.uid(where, Never))
		})
	}
	o.items(dicom.TagOtherPatientIDsSequence, func(o object) {
		o.String(dicom.TagPatientID, m.next("(0010,1002)[0].(0010,0020)", Never))
		o.String(dicom.TagIssuerOfPatientID, m.next("(0010,1002)[0].(0010,0021)", Never))
	}, func(o object) {
		o.String(dicom.TagPatientID, m.next("(0010,1002)[1].(0010,0020)", Never))
	})
	o.items(dicom.TagRequestAttributesSequence, func(o object) {
		o.String(dicom.TagScheduledProcedureStepDescription, m.next("(0040,0275)[0].(0040,0007)", Never))
		code(o, dicom.TagRequestedProcedureCodeSequence, "(0040,0275)[0].(0032,1064)[0]")
		o.items(dicom.TagReferencedStudySequence, func(o object) {
			o.String(dicom.TagReferencedSOPClassUID, "1.2.840.10008.3.1.2.3.1")
			o.String(dicom.TagReferencedSOPInstanceUID, m.uid("(0040,0275)[0].(0008,1110)[0].(0008,1155)", Never))
		})
	})
	o.items(dicom.TagContributingEquipmentSequence, func(o object) {
		o.String(dicom.TagInstitutionName, m.next("(0018,A001)[0].(0008,0080)", Never))
		o.String(dicom.TagInstitutionAddress, m.next("(0018,A001)[0].(0008,0081)", Never))
		o.String(dicom.TagOperatorsName, m.next("(0018,A001)[0].(0008,1070)", Never))
	})
	o.items(dicom.TagOriginalAttributesSequence, func(o object) {
		o.String(dicom.TagSourceOfPreviousValues, m.next("(0400,0561)[0].(0400,0564)", Never))
		o.items(dicom.TagModifiedAttributesSequence, func(o object) {
			o.String(dicom.TagPatientName, m.next("(0400,0561)[0].(0400,0550)[0].(0010,0010)", Never))
			o.String(dicom.TagPatientID, m.next("(0400,0561)[0].(0400,0550)[0].(0010,0020)", Never))
		})
	})
	// Structured content in an image, a name five sequences deep (PS3.15 E.3.4).
	o.items(dicom.TagContentSequence, func(o object) {
		o.String(dicom.TagValueType, "CONTAINER")
		o.items(dicom.TagContentSequence, func(o object) {
			o.String(dicom.TagValueType, "PNAME")
			o.String(dicom.TagPersonName, m.next("(0040,A730)[0].(0040,A730)[0].(0040,A123)", Never))
			o.items(dicom.TagContentSequence, func(o object) {
				o.String(dicom.TagValueType, "TEXT")
				o.String(dicom.TagTextValue, "Seen by "+m.next("(0040,A730)[0].(0040,A730)[0].(0040,A730)[0].(0040,A160)", Never))
				o.items(dicom.TagContentSequence, func(o object) {
					o.items(dicom.TagContentSequence, func(o object) {
						o.String(dicom.TagOperatorsName, m.next("(0040,A730) five deep, (0008,1070)", Never))
						code(o, dicom.TagConceptNameCodeSequence, "(0040,A730) five deep, (0040,A043)[0]")
					})
				})
			})
		})
	})
	reference(o, dicom.TagReferencedImageSequence, "(0008,1140)[0].(0008,1155)")
	reference(o, dicom.TagSourceImageSequence, "(0008,2112)[0].(0008,1155)")
	reference(o, dicom.TagReferencedStudySequence, "(0008,1110)[0].(0008,1155)")
	code(o, dicom.TagProcedureCodeSequence, "(0008,1032)[0]")
	code(o, dicom.TagInstitutionCodeSequence, "(0008,0082)[0]")
	code(o, dicom.TagReasonForRequestedProcedureCodeSequence, "(0040,100A)[0]")
	// A sequence that has nothing to do with people.
	o.items(dicom.TagCTExposureSequence, func(o object) {
		o.String(dicom.TagPatientName, m.next("(0018,9321)[0].(0010,0010)", Never))
		o.String(dicom.TagImageComments, m.next("(0018,9321)[0].(0020,4000)", Never))
	})
}

// hidden puts markers into private elements, unknown ones and bytes without a dictionary.
func (m *marker) hidden(o object) {
	bin := func(t dicom.Tag, vr dicom.VR, before, after string) {
		o.Raw(t, vr, []byte(before+m.next(t.String(), Never)+after))
	}
	// A creator that is itself a place's name, and a block that a vendor is known by.
	o.Text(0x00090010, dicom.VRLO, m.next("(0009,0010) private creator", Never))
	o.Text(0x00091001, dicom.VRLO, m.next("(0009,1001)", Never))
	o.Text(0x00091002, dicom.VRPN, m.next("(0009,1002)", Never)+"^"+m.next("(0009,1002) given name", Never))
	bin(0x00091003, dicom.VRUN, "\x00\x01name=", "\x00\x00")
	o.Text(0x00290011, dicom.VRLO, "SIEMENS CSA HEADER")
	o.Raw(0x00291110, dicom.VROB, csa([][2]string{{"PatientName", m.next("(0029,1110) CSA header", Never)}}, westEuropean))
	o.Text(0x00290012, dicom.VRLO, "SIEMENS MEDCOM HEADER")
	bin(0x00291220, dicom.VROB, "<MrProt><tPatientName>", "</tPatientName></MrProt>")
	o.Text(0x70010010, dicom.VRLO, "CVI LOCAL SEQUENCES")
	o.Raw(0x70011001, dicom.VRSQ, m.items(o, func(o object) {
		o.String(dicom.TagPatientName, m.next("(7001,1001)[0].(0010,0010)", Never))
		o.Text(0x70010010, dicom.VRLO, "CVI LOCAL SEQUENCES")
		o.Text(0x70011002, dicom.VRLT, m.next("(7001,1001)[0].(7001,1002)", Never))
	}))
	// A sequence that somebody rewrote as UN: implicit VR inside (PS3.5 6.2.2).
	imp := object{dicom.NewBuilder(dicom.ImplicitVRLittleEndian), westEuropean}
	o.Raw(0x70011003, dicom.VRUN, m.items(imp, func(o object) {
		o.String(dicom.TagPatientName, m.next("(7001,1003)[0].(0010,0010) in UN", Never))
		o.String(dicom.TagReferringPhysicianName, m.next("(7001,1003)[0].(0008,0090) in UN", Never))
	}))
	// An element that the dictionary does not have, and wide characters in bytes.
	o.Raw(0x00187FF1, dicom.VRLO, []byte(m.next("(0018,7FF1) unknown", Never)))
	wide := m.next("(7001,1004) as UTF-16", Never)
	var w []byte
	for _, c := range []byte(wide) {
		w = append(w, c, 0)
	}
	o.Raw(0x70011004, dicom.VROB, w)
	// Bytes that nobody looks at.
	o.Raw(dicom.TagDataSetTrailingPadding, dicom.VROB, []byte(m.next("(FFFC,FFFC)", Never)))
	o.items(dicom.TagDigitalSignaturesSequence, func(o object) {
		o.Raw(dicom.TagCertificateOfSigner, dicom.VROB, []byte("CN="+m.next("(FFFA,FFFA)[0].(0400,0115)", Never)))
	})
	o.items(dicom.TagEncryptedAttributesSequence, func(o object) {
		o.String(dicom.TagEncryptedContentTransferSyntaxUID, dicom.ExplicitVRLittleEndianUID)
		o.Raw(dicom.TagEncryptedContent, dicom.VROB, []byte(m.next("(0400,0500)[0].(0400,0520)", Never)))
	})
}

func (m *marker) items(o object, fill func(object)) []byte {
	raw, err := o.Items(func(b *dicom.Builder) { fill(object{b, o.set}) })
	if err != nil {
		return nil // the builder keeps the error
	}
	return raw
}

// image adds the picture, and what lies beside pictures: overlay, curve, icon.
func (m *marker) image(o object) {
	bits := func(where string) []byte {
		b := make([]byte, 512)
		copy(b, m.next(where, Never))
		return b
	}
	o.Integers(0x60000010, dicom.VRUS, 64)
	o.Integers(0x60000011, dicom.VRUS, 64)
	o.Text(0x60000040, dicom.VRCS, "G")
	o.Integers(0x60000050, dicom.VRSS, 1, 1)
	o.Integers(0x60000100, dicom.VRUS, 1)
	o.Integers(0x60000102, dicom.VRUS, 0)
	o.Text(0x60000022, dicom.VRLO, m.next("(6000,0022)", Never))
	o.Text(0x60001500, dicom.VRLO, m.next("(6000,1500)", Never))
	o.Text(0x60004000, dicom.VRLT, m.next("(6000,4000)", Never))
	o.Raw(0x60003000, dicom.VROB, bits("(6000,3000)"))
	o.Integers(0x60020010, dicom.VRUS, 64)
	o.Integers(0x60020011, dicom.VRUS, 64)
	o.Raw(0x60023000, dicom.VROW, bits("(6002,3000)"))
	o.Integers(0x50000005, dicom.VRUS, 1)
	o.Text(0x50000022, dicom.VRLO, m.next("(5000,0022)", Never))
	o.Raw(0x50003000, dicom.VROB, bits("(5000,3000)"))
	o.items(dicom.TagIconImageSequence, func(o object) {
		icon := make([]byte, 64*64)
		copy(icon[70:], m.next("(0088,0200)[0].(7FE0,0010)", Never))
		o.Ints(dicom.TagSamplesPerPixel, 1)
		o.String(dicom.TagPhotometricInterpretation, "MONOCHROME2")
		o.Ints(dicom.TagRows, 64)
		o.Ints(dicom.TagColumns, 64)
		o.Ints(dicom.TagBitsAllocated, 8)
		o.Ints(dicom.TagBitsStored, 8)
		o.Ints(dicom.TagHighBit, 7)
		o.Ints(dicom.TagPixelRepresentation, 0)
		o.Raw(dicom.TagPixelData, dicom.VROB, icon)
	})

	at := day(2024, 2, 29)
	x := &exam{p: People(1)[0], at: at, study: "marked", site: calderCT}
	o.String(dicom.TagStudyDate, da(at))
	o.String(dicom.TagStudyTime, "101112.123456")
	o.String(dicom.TagModality, "CT")
	o.Ints(dicom.TagSeriesNumber, 1)
	o.Ints(dicom.TagInstanceNumber, 1)
	o.String(dicom.TagManufacturer, "SIEMENS")
	x.frame = m.uid("(0020,0052)", Never)
	x.slice(o, 4, 128, 0, 5)
	o.String(dicom.TagPatientPosition, "HFS")
	o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "AXIAL")
	o.Floats(dicom.TagKVP, 120)
	o.Floats(dicom.TagRescaleIntercept, -1024)
	o.Floats(dicom.TagRescaleSlope, 1)
	c := &chest{key: 1}
	pixels(o, 64, 64, 12, false, axial(1, 64, 4, 0, 14, c.at))
}

// rewriteMeta puts markers into the preamble and the file meta information (PS3.10 7.1).
func (m *marker) rewriteMeta(in *Instance) error {
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.Raw(dicom.TagFileMetaInformationVersion, dicom.VROB, []byte{0, 1})
	b.String(dicom.TagMediaStorageSOPClassUID, in.SOPClassUID)
	b.String(dicom.TagMediaStorageSOPInstanceUID, in.SOPInstanceUID)
	b.String(dicom.TagTransferSyntaxUID, in.ts.UID)
	b.String(dicom.TagImplementationClassUID, implementationUID)
	b.String(dicom.TagImplementationVersionName, implementationName)
	b.String(dicom.TagSourceApplicationEntityTitle, m.next("(0002,0016)", Never))
	b.String(dicom.TagSendingApplicationEntityTitle, m.next("(0002,0017)", Never))
	b.String(dicom.TagReceivingApplicationEntityTitle, m.next("(0002,0018)", Never))
	b.String(dicom.TagSourcePresentationAddress, m.next("(0002,0026)", Never))
	b.String(dicom.TagPrivateInformationCreatorUID, "2.25.1")
	b.Raw(dicom.TagPrivateInformation, dicom.VROB, []byte(m.next("(0002,0102)", Never)))
	d, err := b.Dataset()
	if err != nil {
		return err
	}
	b.Ints(dicom.TagFileMetaInformationGroupLength, len(d.Bytes()))
	if d, err = b.Dataset(); err != nil {
		return err
	}
	file := make([]byte, 128, len(in.file)+512)
	copy(file, "II*\x00"+m.next("preamble", Never))
	file = append(append(file, "DICM"...), d.Bytes()...)
	data := in.Data()
	in.data = len(file)
	in.file = append(file, data...)
	// What is in the file once must be found there.
	for _, g := range m.given {
		if !bytes.Contains(in.file, []byte(g.Text)) && g.Where != "(7001,1004) as UTF-16" {
			return fmt.Errorf("make marked sample: the marker of %s is not in the file", g.Where)
		}
	}
	return nil
}
