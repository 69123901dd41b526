package plant

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

func join(v []string) string { return strings.Join(v, `\`) }

func (m *maker) structures() {
	o := m.o
	o.text(dicom.TagStructureSetLabel, "Lung "+m.token("X17"))
	o.text(dicom.TagStructureSetName, m.token("X17"))
	o.text(dicom.TagStructureSetDescription, "copied for Dr "+m.token("X17"))
	m.dated(dicom.TagStructureSetDate)
	o.String(dicom.TagStructureSetTime, "101500")
	o.String(dicom.TagFrameOfReferenceUID, m.frame)
	o.items(dicom.TagReferencedFrameOfReferenceSequence, func(o obj) {
		o.String(dicom.TagFrameOfReferenceUID, m.frame)
		o.items(dicom.TagRTReferencedStudySequence, func(o obj) {
			o.String(dicom.TagReferencedSOPClassUID, "1.2.840.10008.3.1.2.3.1")
			o.String(dicom.TagReferencedSOPInstanceUID, m.uid("study/%d/%d", m.p.n, 0))
			o.items(dicom.TagRTReferencedSeriesSequence, func(o obj) {
				o.String(dicom.TagSeriesInstanceUID, m.uid("series/%d/%d", m.p.n, 0))
				o.reference(dicom.TagContourImageSequence, ctClass, m.uid("instance/%d/%d", m.p.n, 0))
			})
		})
	})
	m.gone("L31", m.uid("instance/%d/%d", m.p.n, 0))
	o.items(dicom.TagStructureSetROISequence, func(o obj) {
		o.Ints(dicom.TagROINumber, 1)
		o.String(dicom.TagReferencedFrameOfReferenceUID, m.frame)
		o.text(dicom.TagROIName, "Heart "+m.token("X17"))
		o.text(dicom.TagROIDescription, m.token("X17"))
		o.String(dicom.TagROIGenerationAlgorithm, "MANUAL")
	}, func(o obj) {
		// The outline of a head: its skin makes a face (L68).
		o.Ints(dicom.TagROINumber, 2)
		o.String(dicom.TagReferencedFrameOfReferenceUID, m.frame)
		o.text(dicom.TagROIName, "BODY")
		o.String(dicom.TagROIGenerationAlgorithm, "AUTOMATIC")
	})
	m.keep("(3006,0020)[0].(3006,0026)", "Heart")
	o.items(dicom.TagROIContourSequence, func(o obj) {
		o.Ints(dicom.TagReferencedROINumber, 1)
		o.items(dicom.TagContourSequence, func(o obj) {
			o.String(dicom.TagContourGeometricType, "CLOSED_PLANAR")
			o.Ints(dicom.TagNumberOfContourPoints, 3)
			o.Floats(dicom.TagContourData, 1.5, 2.25, 31, 4, 5, 31, 7, 8.5, 31)
		})
	})
	o.items(dicom.TagRTROIObservationsSequence, func(o obj) {
		o.Ints(dicom.TagObservationNumber, 1)
		o.Ints(dicom.TagReferencedROINumber, 1)
		o.text(dicom.TagROIObservationLabel, "see "+m.token("X17"))
		o.String(dicom.TagRTROIInterpretedType, "ORGAN")
		o.text(dicom.TagROIInterpreter, m.token("X17")+"^F")
	})
	o.text(dicom.TagReviewerName, m.token("X17")+"^G")
	o.String(dicom.TagApprovalStatus, "APPROVED")
	m.dated(dicom.TagReviewDate)
}

func (m *maker) plan() {
	o := m.o
	o.text(dicom.TagRTPlanLabel, "LUNG "+m.token("X17"))
	o.text(dicom.TagRTPlanName, m.token("X17"))
	o.text(dicom.TagRTPlanDescription, "plan for "+m.token("X17"))
	m.dated(dicom.TagRTPlanDate)
	o.String(dicom.TagRTPlanGeometry, "PATIENT")
	o.reference(dicom.TagReferencedStructureSetSequence, storage+"481.3", m.uid("instance/%d/%d", m.p.n, indexOf("RTSTRUCT")))
	o.items(dicom.TagFractionGroupSequence, func(o obj) {
		o.Ints(dicom.TagFractionGroupNumber, 1)
		o.Ints(dicom.TagNumberOfFractionsPlanned, 20)
		o.Ints(dicom.TagNumberOfBeams, 1)
		o.items(dicom.TagReferencedBeamSequence, func(o obj) {
			o.Floats(dicom.TagBeamDose, 2.75)
			o.Floats(dicom.TagBeamMeterset, 214.5)
			o.Ints(dicom.TagReferencedBeamNumber, 1)
			o.items(dicom.TagOverrideSequence, func(o obj) {
				o.text(dicom.TagOverrideReason, "moved for "+m.token("L08"))
				o.items(dicom.TagReferencedRTPlanSequence, func(o obj) { o.text(dicom.TagOperatorsName, m.token("L08")+"^H") })
			})
		})
	})
	o.items(dicom.TagBeamSequence, func(o obj) {
		o.Ints(dicom.TagBeamNumber, 1)
		o.text(dicom.TagBeamName, "Lat "+m.token("X17"))
		o.text(dicom.TagTreatmentMachineName, m.token("X45"))
		o.Floats(dicom.TagSourceAxisDistance, 1000)
		o.String(dicom.TagBeamType, "STATIC")
		o.String(dicom.TagRadiationType, "PHOTON")
		o.Ints(dicom.TagNumberOfControlPoints, 2)
	})
}

func (m *maker) registration() {
	o := m.o
	o.String(dicom.TagFrameOfReferenceUID, m.frame)
	o.text(dicom.TagContentLabel, "REGISTRATION")
	o.text(dicom.TagContentDescription, m.token("L31"))
	o.text(dicom.TagContentCreatorName, m.token("L31")+"^I")
	o.items(dicom.TagRegistrationSequence, func(o obj) {
		o.String(dicom.TagFrameOfReferenceUID, m.uid("frame/%d/%d", m.p.n, 0))
		o.reference(dicom.TagReferencedImageSequence, ctClass, m.uid("instance/%d/%d", m.p.n, 0))
		o.items(dicom.TagMatrixRegistrationSequence, func(o obj) {
			o.items(dicom.TagMatrixSequence, func(o obj) {
				o.String(dicom.TagFrameOfReferenceTransformationMatrixType, "RIGID")
				o.Floats(dicom.TagFrameOfReferenceTransformationMatrix, 1, 0, 0, 4.5, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)
			})
		})
	})
	m.gone("L31", m.uid("instance/%d/%d", m.p.n, 0))
}

// item adds a content item: its type, relation, concept, and what fill adds.
func content(kind, relation string, concept [3]string, fill func(obj)) func(obj) {
	return func(o obj) {
		if relation != "" {
			o.String(dicom.TagRelationshipType, relation)
		}
		o.String(dicom.TagValueType, kind)
		o.code(dicom.TagConceptNameCodeSequence, concept)
		if fill != nil {
			fill(o)
		}
	}
}

func (m *maker) sr(title [3]string, template string, items ...func(obj)) {
	o := m.o
	o.String(dicom.TagValueType, "CONTAINER")
	o.String(dicom.TagContinuityOfContent, "SEPARATE")
	o.code(dicom.TagConceptNameCodeSequence, title)
	o.items(dicom.TagContentTemplateSequence, func(o obj) {
		o.String(dicom.TagMappingResource, "DCMR")
		o.String(dicom.TagTemplateIdentifier, template)
	})
	o.String(dicom.TagCompletionFlag, "COMPLETE")
	o.String(dicom.TagVerificationFlag, "VERIFIED")
	o.items(dicom.TagVerifyingObserverSequence, func(o obj) {
		o.text(dicom.TagVerifyingObserverName, m.token("X27")+"^J")
		o.text(dicom.TagVerifyingOrganization, m.token("X27"))
		o.String(dicom.TagVerificationDateTime, m.at.Format("20060102150405"))
	})
	o.items(dicom.TagCurrentRequestedProcedureEvidenceSequence, func(o obj) {
		o.String(dicom.TagStudyInstanceUID, m.study)
		o.items(dicom.TagReferencedSeriesSequence, func(o obj) {
			o.String(dicom.TagSeriesInstanceUID, m.uid("series/%d/%d", m.p.n, 0))
			o.reference(dicom.TagReferencedSOPSequence, ctClass, m.uid("instance/%d/%d", m.p.n, 0))
		})
	})
	m.gone("L31", m.uid("instance/%d/%d", m.p.n, 0))
	observer := content("PNAME", "HAS OBS CONTEXT", [3]string{"121008", "DCM", "Person Observer Name"}, func(o obj) { o.text(dicom.TagPersonName, m.token("L64")+"^K") })
	o.items(dicom.TagContentSequence, append([]func(obj){observer}, items...)...)
}

func (m *maker) report() {
	said := func(concept [3]string, text string) func(obj) {
		return content("TEXT", "CONTAINS", concept, func(o obj) { o.text(dicom.TagTextValue, text) })
	}
	m.sr([3]string{"18748-4", "LN", "Diagnostic Imaging Report"}, "2000",
		said([3]string{"121060", "DCM", "History"}, "Mrs "+m.token("L64")+" with cough. NHS "+spaced(m.p.nhs)),
		said([3]string{"121071", "DCM", "Finding"}, "Nodule in the right upper lobe, 8 mm. Discussed with Dr "+m.token("L64")),
		said([3]string{"121106", "DCM", "Comment"}, "typed by "+m.token("X19")+" on "+m.at.Format("2 January 2006")),
	)
	m.gone("L17", m.at.Format("2 January 2006"))
	m.keep("(0040,A730)[2].(0040,A160)", "Nodule right upper lobe 8 mm")
}

func (m *maker) measurements() {
	number := func(concept [3]string, v string, unit [3]string) func(obj) {
		return content("NUM", "CONTAINS", concept, func(o obj) {
			o.items(dicom.TagMeasuredValueSequence, func(o obj) {
				o.code(dicom.TagMeasurementUnitsCodeSequence, unit)
				o.String(dicom.TagNumericValue, v)
			})
		})
	}
	m.sr([3]string{"126000", "DCM", "Imaging Measurement Report"}, "1500",
		content("CONTAINER", "CONTAINS", [3]string{"126010", "DCM", "Imaging Measurements"}, func(o obj) {
			o.String(dicom.TagContinuityOfContent, "SEPARATE")
			o.items(dicom.TagContentSequence,
				content("TEXT", "HAS OBS CONTEXT", [3]string{"112039", "DCM", "Tracking Identifier"}, func(o obj) { o.text(dicom.TagTextValue, m.token("L64")+" lesion 1") }),
				content("UIDREF", "HAS OBS CONTEXT", [3]string{"112040", "DCM", "Tracking Unique Identifier"}, func(o obj) { o.String(dicom.TagUID, m.uid("tracking/%d", m.p.n)) }),
				number([3]string{"410668003", "SCT", "Length"}, "14.5", [3]string{"mm", "UCUM", "mm"}),
				content("CODE", "CONTAINS", [3]string{"121071", "DCM", "Finding"}, func(o obj) {
					o.code(dicom.TagConceptCodeSequence, [3]string{m.token("X28")[:10], "99" + m.p.clinic[:6], "Seen by " + m.token("L23")})
				}),
				content("DATE", "CONTAINS", [3]string{"111060", "DCM", "Study Date"}, func(o obj) { o.String(dicom.TagDate, m.at.Format("20060102")) }),
				content("IMAGE", "CONTAINS", [3]string{"121112", "DCM", "Source of Measurement"}, func(o obj) {
					o.reference(dicom.TagReferencedSOPSequence, ctClass, m.uid("instance/%d/%d", m.p.n, 0))
				}),
			)
		}),
	)
}

func (m *maker) doseReport() {
	m.sr([3]string{"113701", "DCM", "X-Ray Radiation Dose Report"}, "10011",
		content("UIDREF", "HAS OBS CONTEXT", [3]string{"121012", "DCM", "Device Observer UID"}, func(o obj) { o.String(dicom.TagUID, m.uid("device/%d", m.p.n%3)) }),
		content("TEXT", "HAS OBS CONTEXT", [3]string{"121013", "DCM", "Device Observer Name"}, func(o obj) { o.text(dicom.TagTextValue, m.token("X45")) }),
		content("TEXT", "CONTAINS", [3]string{"125203", "DCM", "Acquisition Protocol"}, func(o obj) { o.text(dicom.TagTextValue, "Thorax for "+m.token("X30")) }),
		content("DATETIME", "CONTAINS", [3]string{"113809", "DCM", "Start of X-Ray Irradiation"}, func(o obj) { o.String(dicom.TagDateTime, m.at.Format("20060102150405")) }),
		content("NUM", "CONTAINS", [3]string{"113813", "DCM", "CT Dose Length Product Total"}, func(o obj) {
			o.items(dicom.TagMeasuredValueSequence, func(o obj) {
				o.code(dicom.TagMeasurementUnitsCodeSequence, [3]string{"mGy.cm", "UCUM", "mGy.cm"})
				o.String(dicom.TagNumericValue, "412.7")
			})
		}),
	)
}

func (m *maker) keyObjects() {
	m.sr([3]string{"113000", "DCM", "Of Interest"}, "2010",
		content("TEXT", "CONTAINS", [3]string{"113012", "DCM", "Key Object Description"}, func(o obj) { o.text(dicom.TagTextValue, "tumour board, "+m.token("L66")) }),
		content("IMAGE", "CONTAINS", [3]string{"113000", "DCM", "Of Interest"}, func(o obj) {
			o.reference(dicom.TagReferencedSOPSequence, ctClass, m.uid("instance/%d/%d", m.p.n, 0))
		}),
	)
}

func (m *maker) presentation() {
	o := m.o
	o.text(dicom.TagContentLabel, "KEY")
	o.text(dicom.TagContentDescription, "arrow by "+m.token("L66"))
	o.text(dicom.TagContentCreatorName, m.token("L66")+"^L")
	m.dated(dicom.TagPresentationCreationDate)
	o.items(dicom.TagReferencedSeriesSequence, func(o obj) {
		o.String(dicom.TagSeriesInstanceUID, m.uid("series/%d/%d", m.p.n, 0))
		o.reference(dicom.TagReferencedImageSequence, ctClass, m.uid("instance/%d/%d", m.p.n, 0))
	})
	m.gone("L31", m.uid("instance/%d/%d", m.p.n, 0))
	o.items(dicom.TagGraphicLayerSequence, func(o obj) {
		o.String(dicom.TagGraphicLayer, "LAYER1")
		o.Ints(dicom.TagGraphicLayerOrder, 1)
		o.text(dicom.TagGraphicLayerDescription, m.token("L66"))
	})
	o.items(dicom.TagGraphicAnnotationSequence, func(o obj) {
		o.String(dicom.TagGraphicLayer, "LAYER1")
		o.items(dicom.TagTextObjectSequence, func(o obj) {
			o.String(dicom.TagAnchorPointAnnotationUnits, "PIXEL")
			o.text(dicom.TagUnformattedTextValue, "nodule of "+m.token("L66"))
			o.Floats(dicom.TagAnchorPoint, 20, 24)
			o.String(dicom.TagAnchorPointVisibility, "N")
		})
		o.items(dicom.TagGraphicObjectSequence, func(o obj) {
			o.String(dicom.TagGraphicAnnotationUnits, "PIXEL")
			o.Ints(dicom.TagGraphicDimensions, 2)
			o.Ints(dicom.TagNumberOfGraphicPoints, 2)
			o.Floats(dicom.TagGraphicData, 10, 11, 20, 22)
			o.String(dicom.TagGraphicType, "POLYLINE")
			o.String(dicom.TagGraphicFilled, "N")
		})
	})
}

func (m *maker) ecg() {
	o := m.o
	o.String(dicom.TagAcquisitionDateTime, m.at.Format("20060102150405"))
	o.items(dicom.TagWaveformSequence, func(o obj) {
		o.String(dicom.TagWaveformOriginality, "ORIGINAL")
		o.Ints(dicom.TagNumberOfWaveformChannels, 1)
		o.Ints(dicom.TagNumberOfWaveformSamples, 64)
		o.Floats(dicom.TagSamplingFrequency, 500)
		o.text(dicom.TagMultiplexGroupLabel, "RHYTHM")
		o.items(dicom.TagChannelDefinitionSequence, func(o obj) {
			o.text(dicom.TagChannelLabel, "I "+m.token("L63"))
			o.code(dicom.TagChannelSourceSequence, [3]string{"5.6.3-9-1", "SCPECG", "Lead I"})
			o.Ints(dicom.TagWaveformBitsStored, 16)
		})
		o.Ints(dicom.TagWaveformBitsAllocated, 16)
		o.String(dicom.TagWaveformSampleInterpretation, "SS")
		raw := make([]byte, 128)
		for i := range 64 {
			raw[2*i] = byte(i * 3)
		}
		o.Raw(dicom.TagWaveformData, dicom.VROW, raw)
	})
	o.items(dicom.TagWaveformAnnotationSequence, func(o obj) {
		o.text(dicom.TagUnformattedTextValue, "reviewed "+m.token("L63"))
		o.Ints(dicom.TagAnnotationGroupNumber, 1)
	}, func(o obj) {
		o.code(dicom.TagConceptNameCodeSequence, [3]string{"2.4.2", "99" + m.token("L63")[:8], m.token("L63")})
		o.Ints(dicom.TagAnnotationGroupNumber, 2)
	})
}

// document is a letter as PDF: in its text (deflated), its title, its metadata and its attachment's name stands whom it is about.
func (m *maker) document() {
	o := m.o
	doc := pdf(m.token("L65"), m.token("L65"), m.token("L65"))
	o.String(dicom.TagBurnedInAnnotation, "YES")
	o.text(dicom.TagDocumentTitle, "Letter about "+m.token("L65"))
	o.String(dicom.TagMIMETypeOfEncapsulatedDocument, "application/pdf")
	o.Raw(dicom.TagEncapsulatedDocument, dicom.VROB, doc)
	o.Ints(dicom.TagEncapsulatedDocumentLength, len(doc))
	m.exempt("a document")
}

// pdf is a document of PDF 1.4 with a title, XMP and a deflated page. Readers mend its absent table of offsets.
func pdf(title, xmp, text string) []byte {
	page := deflated("BT /F1 11 Tf 60 770 Td (Dear " + text + ") Tj ET")
	var b bytes.Buffer
	fmt.Fprintf(&b, "%%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R /Metadata 6 0 R >>\nendobj\n2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"+
		"3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>\nendobj\n"+
		"4 0 obj\n<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream\nendobj\n5 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>\nendobj\n", len(page), page)
	x := "<x:xmpmeta xmlns:x='adobe:ns:meta/'><dc:creator>" + xmp + "</dc:creator></x:xmpmeta>"
	fmt.Fprintf(&b, "6 0 obj\n<< /Type /Metadata /Subtype /XML /Length %d >>\nstream\n%s\nendstream\nendobj\n7 0 obj\n<< /Title (%s) >>\nendobj\ntrailer\n<< /Size 8 /Root 1 0 R /Info 7 0 R >>\n%%%%EOF\n",
		len(x), x, title)
	return b.Bytes()
}

func deflated(s string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write([]byte(s)) // into memory
	_ = w.Close()
	return b.String()
}

func gzipped(s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s)) // into memory
	_ = w.Close()
	return b.Bytes()
}

// video has H.264 with user data in front, which encoders write and players pass over (ISO/IEC 14496-10 D.1.7).
func (m *maker) video() {
	o := m.o
	o.Ints(dicom.TagSamplesPerPixel, 3)
	o.String(dicom.TagPhotometricInterpretation, "YBR_PARTIAL_420")
	o.Ints(dicom.TagRows, px)
	o.Ints(dicom.TagColumns, px)
	o.Ints(dicom.TagBitsAllocated, 8)
	o.Ints(dicom.TagBitsStored, 8)
	o.Ints(dicom.TagHighBit, 7)
	o.Ints(dicom.TagPixelRepresentation, 0)
	o.Ints(dicom.TagPlanarConfiguration, 0)
	o.Ints(dicom.TagNumberOfFrames, 25)
	sei := append([]byte{0, 0, 0, 1, 6, 5, 48}, "0123456789abcdef"...)
	sei = append(sei, "patient "+m.token("L61")...)
	o.Fragments(dicom.TagPixelData, []uint32{}, append(sei, 0x80, 0, 0, 0, 1, 0x65, 0x88, 0x84))
	m.exempt("a video")
}

func (m *maker) privateClass() {
	o := m.o
	o.Text(0x00290010, dicom.VRLO, "SIEMENS CSA NON-IMAGE")
	o.Raw(0x00291010, dicom.VROB, []byte("raw of "+m.token("L47")))
	m.exempt("a SOP class that no standard lists")
}

// directory is the index of a medium, which names every patient on it.
func (m *maker) directory() {
	o := m.o
	o.text(dicom.TagFileSetID, "DISC1")
	o.items(dicom.TagDirectoryRecordSequence, func(o obj) {
		o.String(dicom.TagDirectoryRecordType, "PATIENT")
		o.text(dicom.TagPatientName, m.token("L06")+"^M")
		o.text(dicom.TagPatientID, m.token("L06"))
	}, func(o obj) {
		o.String(dicom.TagDirectoryRecordType, "IMAGE")
		o.String(dicom.TagReferencedFileID, "DICOM", "IM1")
		o.String(dicom.TagReferencedSOPInstanceUIDInFile, m.uid("instance/%d/%d", m.p.n, 0))
	})
	m.exempt("an index of a medium")
}

// csa encodes fields in the layout of Siemens's header, version 2: little endian, a fixed part of 84 bytes for each field, items padded to 4.
func csa(fields [][2]string) []byte {
	le := binary.LittleEndian
	out := append([]byte("SV10"), 4, 3, 2, 1)
	out = le.AppendUint32(out, uint32(len(fields)))
	out = le.AppendUint32(out, 77)
	for _, f := range fields {
		var name [64]byte
		copy(name[:], f[0])
		vr, number := "LO", uint32(19)
		if _, err := strconv.ParseFloat(f[1], 64); err == nil {
			vr, number = "FD", 4
		}
		if f[0] == "B_value" {
			vr, number = "IS", 6
		}
		v := append([]byte(f[1]), 0)
		out = append(out, name[:]...)
		out = le.AppendUint32(out, 1)
		out = append(append(out, vr...), 0, 0)
		out = le.AppendUint32(out, number)
		out = le.AppendUint32(out, 6)
		out = le.AppendUint32(out, 77)
		for i := range 6 {
			n := 0
			if i == 0 {
				n = len(v)
			}
			for _, x := range []int{n, n, 77, n} {
				out = le.AppendUint32(out, uint32(x))
			}
			if i == 0 {
				out = append(out, v...)
				for len(out)%4 != 0 {
					out = append(out, 0)
				}
			}
		}
	}
	return append(out, 0, 0, 0, 0)
}

// csaField is the first value of a field of such a header; empty if it is not there.
func csaField(b []byte, field string) string {
	le := binary.LittleEndian
	if len(b) < 16 || string(b[:4]) != "SV10" {
		return ""
	}
	n := int(le.Uint32(b[8:]))
	at := 16
	for range min(n, 1000) {
		if at+84 > len(b) {
			return ""
		}
		name, _, _ := strings.Cut(string(b[at:at+64]), "\x00")
		items := int(le.Uint32(b[at+76:]))
		at += 84
		for i := range min(items, 1000) {
			if at+16 > len(b) {
				return ""
			}
			size := int(le.Uint32(b[at+4:]))
			at += 16
			if size < 0 || at+size > len(b) {
				return ""
			}
			if i == 0 && name == field {
				return strings.Trim(string(b[at:at+size]), " \x00")
			}
			at += (size + 3) / 4 * 4
		}
	}
	return ""
}

func spaced(digits string) string { return strings.Join(strings.Split(digits, ""), " ") }
