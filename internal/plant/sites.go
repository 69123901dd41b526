package plant

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// A Site is a place where identity hides.
type Site struct {
	ID    string // L.. are those of the published failures, N.. a subject's identity itself, X.. further ones
	What  string
	Other bool // nothing is looked for there: what is asked of it is scored otherwise, or is a claim
}

// Sites are the places that the benchmark knows, by ID.
func Sites() []Site {
	out := slices.Clone(siteTable)
	slices.SortFunc(out, func(a, b Site) int { return strings.Compare(a.ID, b.ID) })
	return out
}

var siteTable = []Site{
	{ID: "L01", What: "a name in the 128 bytes before the prefix, dressed as a TIFF header"},
	{ID: "L02", What: "the instance's UID in group 0002"},
	{ID: "L03", What: "titles and addresses of application entities in group 0002"},
	{ID: "L06", What: "records of a DICOMDIR"},
	{ID: "L07", What: "folder and file names"},
	{ID: "L08", What: "names deep within nested sequences"},
	{ID: "L09", What: "ideographic and phonetic groups of a person's name"},
	{ID: "L10", What: "names among the words of descriptions"},
	{ID: "L11", What: "parts of an address in a description"},
	{ID: "L13", What: "occupation, residence, rank, ethnic group"},
	{ID: "L14", What: "an age above 89"},
	{ID: "L15", What: "the date of birth, also as people write it"},
	{ID: "L16", What: "true dates in date-times with an offset"},
	{ID: "L17", What: "dates in text and in short strings"},
	{ID: "L20", What: "the exact moment of acquisition"},
	{ID: "L21", What: "numbers of orders and procedures"},
	{ID: "L22", What: "other identifiers and who issued them"},
	{ID: "L23", What: "meanings of coded entries with a name in them"},
	{ID: "L27", What: "place, address and people of contributing equipment"},
	{ID: "L28", What: "codes and departments of an institution"},
	{ID: "L29", What: "original UIDs, with a device and a time in them"},
	{ID: "L31", What: "UIDs of other objects in references, and who made a registration"},
	{ID: "L32", What: "UIDs of clocks, concatenations, dimensions, events, devices"},
	{ID: "L34", What: "retired elements"},
	{ID: "L35", What: "elements that no dictionary has, and sequences written as UN"},
	{ID: "L37", What: "elements there twice or out of order, and group lengths"},
	{ID: "L38", What: "the second value of several"},
	{ID: "L40", What: "text in another character set than the object says"},
	{ID: "L41", What: "private creators with a place's name"},
	{ID: "L42", What: "vendors' headers and private elements with names"},
	{ID: "L44", What: "a private sequence with a picture of its own"},
	{ID: "L45", What: "private blocks at unusual places"},
	{ID: "L47", What: "an object of a private class"},
	{ID: "L48", What: "text burned into a margin"},
	{ID: "L49", What: "text burned in over anatomy"},
	{ID: "L52", What: "text burned into colour, in each frame"},
	{ID: "L53", What: "text burned in by an odd angle or hand"},
	{ID: "L54", What: "overlay planes, also in unused bits of pixels"},
	{ID: "L56", What: "icons at any depth"},
	{ID: "L57", What: "text beyond what is displayed"},
	{ID: "L60", What: "code streams that were touched though nothing had to be", Other: true},
	{ID: "L61", What: "user data within a video"},
	{ID: "L63", What: "labels and annotations of waveforms"},
	{ID: "L64", What: "content items of reports, and their observers"},
	{ID: "L65", What: "documents: text, title, metadata"},
	{ID: "L66", What: "presentation states and key objects: text, layers, creators"},
	{ID: "L68", What: "outlines of a body: not to be called free of a face", Other: true},
	{ID: "L69", What: "volumes of a head: not to be called free of a face", Other: true},
	{ID: "L70", What: "a slide's label, as DICOM and in a vendor's file"},
	{ID: "L72", What: "bytes of a vendor's slide that nothing points to"},
	{ID: "L73", What: "the description in each directory of an Aperio file"},
	{ID: "L75", What: "a MIRAX slide's ini file"},
	{ID: "L76", What: "XML of Ventana and Philips slides, barcodes in base64"},
	{ID: "L78", What: "container, specimen and preparation of DICOM slides"},
	{ID: "L79", What: "writing in the scanned area of a slide"},
	{ID: "L82", What: "a second spelling of the subject's number"},
	{ID: "L84", What: "digests without a key of the subject's number", Other: true},
	{ID: "L85", What: "what the tool itself prints and reports", Other: true},
	{ID: "L86", What: "the input's name in an output or its markers", Other: true},
	{ID: "L87", What: "the exact birth date of somebody rare: a child of four months"},

	{ID: "N01", What: "family and given names"},
	{ID: "N02", What: "NHS number, written together and in groups"},
	{ID: "N03", What: "names that are short, or words of the clinic"},
	{ID: "N04", What: "the hospital number"},
	{ID: "N05", What: "address, town, postcode"},
	{ID: "N06", What: "telephone numbers"},
	{ID: "N07", What: "the referring doctor"},
	{ID: "N08", What: "the hospital"},
	{ID: "N09", What: "the accession number"},

	{ID: "X01", What: "third and fourth values of other names"},
	{ID: "X02", What: "a UN sequence within a private UN sequence"},
	{ID: "X03", What: "text in binary elements"},
	{ID: "X04", What: "UTF-16 with a byte order mark in long text"},
	{ID: "X05", What: "base64 in text"},
	{ID: "X06", What: "hexadecimal digits in text"},
	{ID: "X07", What: "a name spelt backwards"},
	{ID: "X08", What: "an NHS number with a space or dot between digits"},
	{ID: "X09", What: "a date in words"},
	{ID: "X10", What: "an age above 89 in a sentence"},
	{ID: "X11", What: "a path of a file in a description"},
	{ID: "X12", What: "a web address with a name"},
	{ID: "X13", What: "an address of electronic mail"},
	{ID: "X14", What: "initials with stops"},
	{ID: "X15", What: "JSON in text"},
	{ID: "X16", What: "XML in text"},
	{ID: "X17", What: "labels, reviewers and names of radiotherapy"},
	{ID: "X18", What: "labels and creators of segments"},
	{ID: "X19", What: "who typed a report"},
	{ID: "X20", What: "private information in group 0002"},
	{ID: "X21", What: "bytes behind the data set"},
	{ID: "X22", What: "data set trailing padding"},
	{ID: "X23", What: "text behind a null character"},
	{ID: "X24", What: "comments and Exif in JPEG streams"},
	{ID: "X25", What: "comments in JPEG 2000 streams"},
	{ID: "X26", What: "a UID with the hospital number within"},
	{ID: "X27", What: "who verified a report"},
	{ID: "X28", What: "codes and schemes of a site's own"},
	{ID: "X29", What: "qualifiers of an identifier's issuer"},
	{ID: "X30", What: "a consultant in a protocol's name"},
	{ID: "X31", What: "bytes behind the last pixel"},
	{ID: "X32", What: "a name among coded strings"},
	{ID: "X33", What: "text where a number belongs"},
	{ID: "X34", What: "text where a date belongs"},
	{ID: "X35", What: "the body that answers for a coding scheme"},
	{ID: "X36", What: "an identifier of media"},
	{ID: "X37", What: "diacritics as characters of their own (decomposed)"},
	{ID: "X38", What: "full-width digits"},
	{ID: "X39", What: "compressed text within a private element"},
	{ID: "X40", What: "a name with characters of no width within"},
	{ID: "X41", What: "long code values and URNs"},
	{ID: "X42", What: "who gave the contrast agent"},
	{ID: "X43", What: "original attributes of an earlier change"},
	{ID: "X44", What: "certificates and encrypted attributes"},
	{ID: "X45", What: "a name in an element that names equipment"},
	{ID: "X46", What: "an allergy or alert with a name"},
}

// A generic is a site that any object can have.
type generic struct {
	plant func(*maker)
	fits  func(*maker) bool
}

func explicit(m *maker) bool {
	return !m.ts.BigEndian && m.ts != dicom.ImplicitVRLittleEndian && !m.ts.Deflated
}

func native(m *maker) bool { return explicit(m) && m.kind.encoder == "" && m.kind.name != "video" }

func plainImage(m *maker) bool {
	return native(m) && m.kind.image && !m.kind.pixels && m.kind.name != "SEG"
}

// comment adds a text for people, in the next of the elements that are made for such.
func (m *maker) comment(format string, a ...any) {
	m.o.text(comments[m.commented%len(comments)], fmt.Sprintf(format, a...))
	m.commented++
}

var comments = []dicom.Tag{
	dicom.TagImageComments, dicom.TagCommentsOnThePerformedProcedureStep, dicom.TagRequestedProcedureComments, dicom.TagVisitComments,
	dicom.TagImagingServiceRequestComments, dicom.TagDerivationDescription, dicom.TagAcquisitionProtocolDescription,
}

func genericSites() []generic {
	every := func(f func(*maker)) generic { return generic{plant: f} }
	return []generic{
		{fits: nil, plant: func(m *maker) { m.preamble = []byte("II*\x00" + m.token("L01")) }},
		every(func(m *maker) {
			title, from := m.token("L03"), m.token("L03")
			address := m.token("L03")
			m.meta = append(m.meta, func(b *dicom.Builder) {
				b.String(dicom.TagSourceApplicationEntityTitle, title)
				b.String(dicom.TagSendingApplicationEntityTitle, from)
				b.String(dicom.TagSourcePresentationAddress, address)
			})
		}),
		every(func(m *maker) {
			m.o.items(dicom.TagRequestAttributesSequence, func(o obj) {
				o.items(dicom.TagRequestedProcedureCodeSequence, func(o obj) {
					o.text(dicom.TagCodeValue, "X1")
					o.text(dicom.TagCodingSchemeDesignator, "L")
					o.text(dicom.TagCodeMeaning, "List of "+m.token("L23"))
					o.items(dicom.TagEquivalentCodeSequence, func(o obj) {
						o.text(dicom.TagCodeMeaning, m.token("L08"))
						o.items(dicom.TagEquivalentCodeSequence, func(o obj) { o.text(dicom.TagOperatorsName, m.token("L08")+"^N") })
					})
				})
				o.text(dicom.TagRequestedProcedureID, m.token("L21"))
				o.text(dicom.TagScheduledProcedureStepDescription, "biopsy "+m.token("L10"))
			})
		}),
		every(func(m *maker) {
			m.o.text(dicom.TagStudyDescription, "CT CHEST for Dr "+m.token("L10")+" pt "+m.token("L10"))
			m.keep("(0008,1030)", "CT CHEST")
			m.o.text(dicom.TagProtocolName, "Abdomen "+m.token("X30")+" contrast")
			m.keep("(0018,1030)", "Abdomen contrast")
		}),
		every(func(m *maker) {
			m.o.text(dicom.TagStudyDescription, "CT HEAD 1261 "+m.token("L11")+" St AR 72223")
			m.f.Planted = append(m.f.Planted, Item{Site: "L11", Text: "72223", Word: true}, Item{Site: "L11", Text: "1261", Word: true})
			m.keep("(0008,1030)", "CT HEAD")
		}),
		every(func(m *maker) {
			m.o.text(dicom.TagOccupation, m.token("L13"))
			m.o.text(dicom.TagCountryOfResidence, m.token("L13"))
			m.o.text(dicom.TagRegionOfResidence, m.token("L13"))
			m.o.text(dicom.TagMilitaryRank, m.token("L13"))
			m.o.Raw(dicom.TagEthnicGroup, dicom.VRSH, []byte(m.token("L13")))
		}),
		every(func(m *maker) {
			m.o.String(dicom.TagPatientAge, "093Y")
			m.gone("L14", "093Y")
		}),
		every(func(m *maker) {
			v := m.at.Format("20060102150405") + ".531+0100"
			m.o.String(dicom.TagAcquisitionDateTime, v)
			m.gone("L16", v[:14])
			m.gone("L20", v[:18])
		}),
		every(func(m *maker) {
			m.o.text(dicom.TagStudyID, m.at.Format("20060102"))
			m.o.text(dicom.TagSeriesDescription, "lung "+m.at.Format("2006-01-02")+" "+m.at.Format("02/01/2006"))
			m.gone("L17", m.at.Format("20060102"), m.at.Format("2006-01-02"), m.at.Format("02/01/2006"))
			m.keep("(0008,103E)", "lung")
		}),
		every(func(m *maker) {
			m.o.text(dicom.TagPlacerOrderNumberImagingServiceRequest, m.token("L21"))
			m.o.text(dicom.TagFillerOrderNumberImagingServiceRequest, m.token("L21"))
			m.o.text(dicom.TagRequestedProcedureID, m.token("L21"))
			m.o.text(dicom.TagPerformedProcedureStepID, m.token("L21"))
		}),
		every(func(m *maker) {
			m.o.items(dicom.TagIssuerOfPatientIDQualifiersSequence, func(o obj) {
				o.text(dicom.TagUniversalEntityID, m.token("X29"))
				o.text(dicom.TagUniversalEntityIDType, "DNS")
			})
			m.o.items(dicom.TagOtherPatientIDsSequence, func(o obj) {
				o.text(dicom.TagPatientID, m.p.nhs)
				o.text(dicom.TagIssuerOfPatientID, m.token("L22"))
			}, func(o obj) { o.text(dicom.TagPatientID, m.token("L22")) })
			m.o.text(dicom.TagOtherPatientNames, m.token("X01")+"^A", m.token("X01"), "B^"+m.token("X01"))
		}),
		every(func(m *maker) {
			m.o.items(dicom.TagContributingEquipmentSequence, func(o obj) {
				o.text(dicom.TagManufacturer, "GE Healthcare")
				o.text(dicom.TagInstitutionName, m.token("L27"))
				o.text(dicom.TagInstitutionAddress, "Ward 4, "+m.token("L27")+" Road")
				o.text(dicom.TagOperatorsName, m.token("L27")+"^O")
				o.text(dicom.TagContributionDescription, m.token("L27"))
			})
		}),
		every(func(m *maker) {
			m.o.text(dicom.TagInstitutionalDepartmentName, "Radiology "+m.token("L28"))
			m.o.text(dicom.TagInstitutionAddress, "mail x."+m.token("X13")+"@trust.example")
			m.o.items(dicom.TagInstitutionCodeSequence, func(o obj) {
				o.text(dicom.TagCodeValue, m.token("L28"))
				o.text(dicom.TagCodingSchemeDesignator, "99LOC")
				o.text(dicom.TagCodeMeaning, m.token("L28"))
			})
		}),
		every(func(m *maker) {
			vendor := fmt.Sprintf("1.3.12.2.1107.5.1.4.%d.%s%s", 60000+m.p.n, m.at.Format("20060102150405"), strings.Trim(m.p.nhs, "0"))
			m.o.reference(dicom.TagSourceImageSequence, ctClass, vendor)
			m.gone("L29", vendor)
			number := "1.2.826.0.1.3680043.9." + digits(m.p.mrn) + ".7"
			m.o.String(dicom.TagIrradiationEventUID, number)
			m.gone("X26", number)
			device := m.uid("device/%d", m.p.n%3)
			m.o.String(dicom.TagDeviceUID, device)
			m.gone("L32", device)
		}),
		every(func(m *maker) {
			m.o.Raw(0x00084000, dicom.VRLT, []byte("seen by "+m.token("L34")))
			m.o.Raw(0x00184000, dicom.VRLT, []byte(m.token("L34")))
			m.o.Raw(0x00321033, dicom.VRLO, []byte(m.token("L34")))
			m.o.Raw(0x00380300, dicom.VRLO, []byte(m.token("L34")))
			m.o.Raw(0x40000010, dicom.VRLT, []byte(m.token("L34")))
		}),
		{fits: explicit, plant: func(m *maker) {
			m.o.Raw(0x00187FF1, dicom.VRLO, []byte(m.token("L35")))
			inner := implicitItem(dicom.TagPatientName, m.token("L35")+"^P")
			m.o.Raw(dicom.TagReferencedPatientSequence, dicom.VRUN, inner)
			m.o.Raw(dicom.TagOtherPatientNames, dicom.VRUN, []byte(m.token("L35")))
		}},
		{fits: plainImage, plant: func(m *maker) {
			name := m.token("L37")
			m.exempt("an element that is there twice")
			m.splice = func(ds []byte) []byte {
				// Behind the first name stands another.
				at := bytes.Index(ds, []byte{0x10, 0, 0x10, 0, 'P', 'N'})
				n := int(binary.LittleEndian.Uint16(ds[at+6:]))
				v := name + strings.Repeat(" ", len(name)%2)
				second := append([]byte{0x10, 0, 0x10, 0, 'P', 'N', byte(len(v)), 0}, v...)
				return slices.Insert(ds, at+8+n, second...)
			}
		}},
		every(func(m *maker) {
			m.o.text(dicom.TagSeriesDescription, "CT", m.token("L38"), "AXIAL")
			m.keep("(0008,103E)", "CT AXIAL")
			m.o.text(dicom.TagScanOptions, "HELICAL", strings.ToUpper(m.token("X32")))
		}),
		every(func(m *maker) {
			// UTF-8 where the object says otherwise or nothing, and an item with a set of its own.
			a, b := "Zö"+m.names.next(), m.names.next()+"ß"
			m.gone("L40", strings.TrimPrefix(a, "Zö"), strings.TrimSuffix(b, "ß"))
			m.o.Raw(dicom.TagAdditionalPatientHistory, dicom.VRLT, []byte("for "+a))
			m.o.items(dicom.TagReferringPhysicianIdentificationSequence, func(o obj) {
				o.Text(dicom.TagSpecificCharacterSet, dicom.VRCS, "ISO_IR 192")
				o.Raw(dicom.TagInstitutionName, dicom.VRLO, []byte(b))
			})
		}),
		every(func(m *maker) {
			m.o.Text(0x000B0010, dicom.VRLO, "ST "+m.token("L41")+" PRIV")
			m.o.Text(0x000B1001, dicom.VRLO, m.token("L41"))
			m.o.Text(0x00190033, dicom.VRLO, "SIEMENS MR HEADER")
			m.o.Text(0x00193308, dicom.VRCS, "IMAGE NUM 4")
			m.o.Text(0x001933F0, dicom.VRLO, m.token("L45"))
			m.o.Text(0x00190034, dicom.VRLO, "SOMEBODY ELSE")
			m.o.Text(0x0019340C, dicom.VRLO, m.token("L45"))
		}),
		every(func(m *maker) {
			m.o.Text(0x00090020, dicom.VRLO, "GEIIS")
			m.o.Raw(0x00092010, dicom.VRSQ, m.privateItems(func(o obj) {
				o.text(dicom.TagImageComments, m.token("L44"))
				o.Raw(dicom.TagPixelData, dicom.VROB, []byte("     "+m.token("L44")+"     "))
			}))
		}),
		{fits: plainImage, plant: func(m *maker) {
			bits := make([]byte, px*px/8)
			copy(bits[40:], m.token("L54"))
			m.o.Integers(0x60000010, dicom.VRUS, px)
			m.o.Integers(0x60000011, dicom.VRUS, px)
			m.o.Text(0x60000040, dicom.VRCS, "G")
			m.o.Integers(0x60000050, dicom.VRSS, 1, 1)
			m.o.Integers(0x60000100, dicom.VRUS, 1)
			m.o.Integers(0x60000102, dicom.VRUS, 0)
			m.o.Text(0x60001500, dicom.VRLO, m.token("L54"))
			m.o.Raw(0x60003000, dicom.VROW, bits)
		}},
		every(func(m *maker) {
			icon := func(o obj) {
				pix := make([]byte, 64*64)
				copy(pix[70:], m.token("L56"))
				o.Ints(dicom.TagSamplesPerPixel, 1)
				o.String(dicom.TagPhotometricInterpretation, "MONOCHROME2")
				o.Ints(dicom.TagRows, 64)
				o.Ints(dicom.TagColumns, 64)
				o.Ints(dicom.TagBitsAllocated, 8)
				o.Ints(dicom.TagBitsStored, 8)
				o.Ints(dicom.TagHighBit, 7)
				o.Ints(dicom.TagPixelRepresentation, 0)
				o.Raw(dicom.TagPixelData, dicom.VROB, pix)
			}
			m.o.items(dicom.TagIconImageSequence, icon)
		}),
		every(func(m *maker) {
			// Private sequences of a relay that knew no VR: UN within UN, in implicit VR (PS3.5 6.2.2).
			inner := implicitItem(dicom.TagReferringPhysicianName, m.token("X02")+"^Q")
			m.o.Text(0x70010010, dicom.VRLO, "CVI LOCAL SEQUENCES")
			if explicit(m) {
				m.o.Raw(0x70011001, dicom.VRUN, implicitNest(0x70011002, inner))
			} else {
				m.o.Raw(0x70011001, dicom.VRUN, inner)
			}
			m.o.Raw(0x70011003, dicom.VROB, []byte("\x00\x01name="+m.token("X03")+"\x00\x02\x00"))
			m.o.Raw(0x70011004, dicom.VROB, gzipped("about "+m.token("X39")))
			m.o.Raw(0x70011005, dicom.VROB, wide(m.token("X04"), false))
		}),
		every(func(m *maker) {
			m.o.Raw(dicom.TagImageComments, dicom.VRLT, append([]byte{0xFF, 0xFE}, wide("see "+m.token("X04"), false)...))
		}),
		every(func(m *maker) {
			m.comment("ref %s", base64.StdEncoding.EncodeToString([]byte("Mrs "+m.token("X05")+" 1957")))
		}),
		every(func(m *maker) { m.comment("ref %s", hex.EncodeToString([]byte(m.token("X06")))) }),
		every(func(m *maker) { m.comment("lung %s nodule", reversed(m.token("X07"))) }),
		every(func(m *maker) {
			m.comment("no %s or %s", spaced(m.p.nhs), strings.Join(strings.Split(m.p.nhs, ""), "."))
			m.gone("X08", m.p.nhs)
		}),
		every(func(m *maker) {
			v := m.p.born.Format("the 2 of January, 2006")
			m.comment("born on %s, twenty-second of March nineteen fifty-seven", v)
			m.gone("X09", v, "nineteen fifty-seven")
		}),
		every(func(m *maker) {
			m.o.text(dicom.TagAdditionalPatientHistory, "Fell at home, 94 year old, 41 kg")
			m.gone("X10", "94 year")
		}),
		every(func(m *maker) {
			m.o.text(dicom.TagDerivationDescription, `from D:\export\`+m.token("X11")+`\IM1.dcm`)
			m.o.text(dicom.TagImageComments, "/mnt/pacs/"+strings.ToLower(m.token("X11"))+"/0001")
		}),
		every(func(m *maker) {
			m.o.text(dicom.TagRetrieveURL, "https://pacs.example/patients/"+m.token("X12")+"/studies/1")
			m.comment("see http://wiki.%s.example/x", strings.ToLower(m.token("X12")))
		}),
		every(func(m *maker) { m.comment("write to %s@nhs.example about it", strings.ToLower(m.token("X13"))) }),
		every(func(m *maker) {
			v := fmt.Sprintf("%c.%c.Q.", 'A'+rune(m.r.IntN(26)), 'A'+rune(m.r.IntN(26)))
			m.comment("checked %s today", v)
			m.gone("X14", v)
		}),
		every(func(m *maker) {
			m.o.text(dicom.TagAdditionalPatientHistory, fmt.Sprintf(`{"patient":{"family":"%s","age":67},"nurse":"%s"}`, m.token("X15"), m.token("X15")))
		}),
		every(func(m *maker) {
			m.comment("<note><to>%s</to><phone>%s</phone></note>", m.token("X16"), m.p.mobile)
		}),
		every(func(m *maker) {
			secret := m.token("X20")
			m.meta = append(m.meta, func(b *dicom.Builder) {
				b.String(dicom.TagPrivateInformationCreatorUID, "2.25.1")
				b.Raw(dicom.TagPrivateInformation, dicom.VROB, []byte(secret))
			})
		}),
		{fits: func(m *maker) bool { return explicit(m) && m.kind.name != "video" }, plant: func(m *maker) {
			// Eight bytes of another element's header, so that it parses, or nothing at all does.
			t := m.token("X21")
			v := t + strings.Repeat(" ", len(t)%2)
			m.tail = append([]byte{0xFC, 0xFF, 0xFC, 0xFF, 'O', 'B', 0, 0, byte(len(v)), 0, 0, 0}, v...)
		}},
		{fits: func(m *maker) bool { return !explicit(m) || m.kind.name == "video" }, plant: func(m *maker) {
			m.o.Raw(dicom.TagDataSetTrailingPadding, dicom.VROB, []byte(m.token("X22")))
		}},
		every(func(m *maker) {
			m.o.Raw(dicom.TagSeriesDescription, dicom.VRLO, []byte("CHEST\x00"+m.token("X23")))
			m.keep("(0008,103E)", "CHEST")
		}),
		{fits: plainImage, plant: func(m *maker) {
			t := m.token("X31")
			m.splice = func(ds []byte) []byte {
				// The pixel data's own length grows.
				at := bytes.LastIndex(ds, []byte{0xE0, 0x7F, 0x10, 0, 'O'})
				v := t + strings.Repeat("\x00", len(t)%2)
				n := int(binary.LittleEndian.Uint32(ds[at+8:]))
				binary.LittleEndian.PutUint32(ds[at+8:], uint32(n+len(v)))
				return slices.Insert(ds, at+12+n, []byte(v)...)
			}
			m.f.stream = false
			m.exempt("bytes that are no pixels")
		}},
		every(func(m *maker) {
			m.o.Raw(dicom.TagNominalScannedPixelSpacing, dicom.VRDS, []byte(m.token("X33")))
			n := m.names.next()[:10]
			m.gone("X33", n)
			m.o.Raw(dicom.TagSeriesNumber, dicom.VRIS, []byte(n))
			m.o.Raw(dicom.TagPerformedProcedureStepStartDate, dicom.VRDA, []byte(m.token("X34")))
			m.o.Raw(dicom.TagPerformedProcedureStepStartTime, dicom.VRTM, []byte(m.token("X34")))
		}),
		every(func(m *maker) {
			m.o.items(dicom.TagCodingSchemeIdentificationSequence, func(o obj) {
				o.text(dicom.TagCodingSchemeDesignator, "99"+m.token("X28")[:9])
				o.text(dicom.TagCodingSchemeResponsibleOrganization, m.token("X35"))
				o.text(dicom.TagCodingSchemeName, m.token("X35"))
			})
			m.o.code(dicom.TagProcedureCodeSequence, [3]string{m.token("X28"), "99LOCAL", "CT of " + m.token("X28")})
		}),
		every(func(m *maker) {
			m.o.text(dicom.TagStorageMediaFileSetID, m.token("X36"))
			m.o.text(dicom.TagContrastBolusAgent, "Iohexol, given by "+m.token("X42"))
			m.keep("(0018,0010)", "Iohexol")
		}),
		{fits: func(m *maker) bool { return m.charset.IsUTF8() }, plant: func(m *maker) {
			t := m.names.next()
			m.gone("X37", t[:4]+"e\u0301"+t[4:])
			m.gone("X40", t[:7])
			m.comment("%s and %s and %s", t[:4]+"e\u0301"+t[4:], t[:3]+"\u200b"+t[3:7], fullWidth(m.p.nhs))
			m.gone("X38", m.p.nhs)
		}},
		every(func(m *maker) {
			m.o.items(dicom.TagReasonForRequestedProcedureCodeSequence, func(o obj) {
				o.text(dicom.TagLongCodeValue, "long code of "+m.token("X41"))
				o.text(dicom.TagCodingSchemeDesignator, "99L")
				o.text(dicom.TagCodeMeaning, "cough")
			}, func(o obj) {
				o.Raw(dicom.TagURNCodeValue, dicom.VRUR, []byte("urn:trust:"+m.token("X41")))
				o.text(dicom.TagCodeMeaning, "cough")
			})
		}),
		every(func(m *maker) {
			m.o.items(dicom.TagOriginalAttributesSequence, func(o obj) {
				o.text(dicom.TagSourceOfPreviousValues, m.token("X43"))
				o.items(dicom.TagModifiedAttributesSequence, func(o obj) { o.text(dicom.TagPatientName, m.token("X43")) })
			})
			m.o.items(dicom.TagDigitalSignaturesSequence, func(o obj) { o.Raw(dicom.TagCertificateOfSigner, dicom.VROB, []byte("CN="+m.token("X44"))) })
			m.o.items(dicom.TagEncryptedAttributesSequence, func(o obj) {
				o.String(dicom.TagEncryptedContentTransferSyntaxUID, dicom.ExplicitVRLittleEndianUID)
				o.Raw(dicom.TagEncryptedContent, dicom.VROB, []byte(m.token("X44")))
			})
		}),
		every(func(m *maker) {
			m.o.text(dicom.TagConvolutionKernel, "B40f "+m.token("X45"))
			m.o.text(dicom.TagStationName, m.token("X45"))
			m.o.text(dicom.TagGantryID, m.token("X45")+"2")
			m.o.text(dicom.TagPlateID, m.token("X45"))
		}),
		every(func(m *maker) {
			m.o.text(dicom.TagManufacturerModelName, "Definition 64 of "+m.token("X45"))
			m.keep("(0008,1090)", "Definition")
			m.o.text(dicom.TagSoftwareVersions, "VA48A", m.token("X45"))
			m.keep("(0018,1020)", "VA48A")
			m.o.text(dicom.TagSequenceName, "*"+strings.ToLower(m.token("X45")))
			m.o.items(dicom.TagDeviceSequence, func(o obj) { o.text(dicom.TagDeviceDescription, "catheter, "+m.token("X45")) })
		}),
		every(func(m *maker) {
			m.o.text(dicom.TagAllergies, "penicillin, says "+m.token("X46"))
			m.o.text(dicom.TagMedicalAlerts, "call "+m.token("X46"))
		}),
	}
}
