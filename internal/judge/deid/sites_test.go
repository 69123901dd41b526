package deid

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Places where identity hides, each with a marker of its own. What concerns pixels, files of other kinds and text over several files has its tests
// elsewhere.
func TestSites(t *testing.T) {
	const secret = "ZQWXMARKER"
	str := func(tag dicom.Tag, v ...string) func(*dicom.Builder) {
		return func(b *dicom.Builder) { b.String(tag, v...) }
	}
	private := func(creator string, block byte, group uint16, fill func(b *dicom.Builder, at func(low byte) dicom.Tag)) func(*dicom.Builder) {
		return func(b *dicom.Builder) {
			b.Raw(dicom.NewTag(group, uint16(block)), dicom.VRLO, []byte(creator))
			fill(b, func(low byte) dicom.Tag { return dicom.NewTag(group, uint16(block)<<8|uint16(low)) })
		}
	}
	for _, c := range []struct {
		site  string
		plant func(*dicom.Builder)
		check func(t *testing.T, out *dicom.Dataset)
	}{
		{"L08 nested names", func(b *dicom.Builder) {
			b.Sequence(dicom.TagFractionGroupSequence, func(b *dicom.Builder) {
				b.Sequence(dicom.TagReferencedBeamSequence, func(b *dicom.Builder) {
					b.Sequence(dicom.TagOverrideSequence, func(b *dicom.Builder) {
						b.Sequence(dicom.TagReferencedRTPlanSequence, func(b *dicom.Builder) { b.String(dicom.TagOperatorsName, secret+"^A") })
					})
				})
			})
		}, nil},
		{"L10 descriptors", func(b *dicom.Builder) {
			b.String(dicom.TagStudyDescription, "CT CHEST for Dr Obermayer pt Holloway "+secret)
			b.String(dicom.TagSeriesDescription, "Thorax 1.0 B30f "+secret)
			b.String(dicom.TagProtocolName, secret)
		}, func(t *testing.T, out *dicom.Dataset) {
			if v := value(out, dicom.TagStudyDescription); v != "CT CHEST" {
				t.Errorf("study description %q", v)
			}
			if v := value(out, dicom.TagSeriesDescription); v != "Thorax 1.0 B30f" {
				t.Errorf("series description %q", v)
			}
			if v := value(out, dicom.TagProtocolName); v != "" {
				t.Errorf("protocol name %q", v)
			}
		}},
		{"L11 addresses", str(dicom.TagStudyDescription, "CT HEAD 1261 "+secret+" St AR 72223"), func(t *testing.T, out *dicom.Dataset) {
			if v := value(out, dicom.TagStudyDescription); strings.Contains(v, "72223") {
				t.Errorf("a postcode is left: %q", v)
			}
		}},
		{"L13 quasi-identifiers", func(b *dicom.Builder) {
			b.String(dicom.TagOccupation, secret)
			b.String(dicom.TagCountryOfResidence, secret)
			b.String(dicom.TagRegionOfResidence, secret)
			b.String(dicom.TagMilitaryRank, secret)
			b.String(dicom.TagEthnicGroup, secret)
		}, nil},
		{"L14 age", str(dicom.TagPatientAge, "093Y"), func(t *testing.T, out *dicom.Dataset) {
			if v := value(out, dicom.TagPatientAge); v != "090Y" {
				t.Errorf("age %q", v)
			}
		}},
		{"L15 birth date", nil, func(t *testing.T, out *dicom.Dataset) {
			if v := value(out, dicom.TagPatientBirthDate); v != "" {
				t.Errorf("birth date %q", v)
			}
		}},
		{"L16 dates", str(dicom.TagAcquisitionDateTime, "20190312143207.5+0100"), func(t *testing.T, out *dicom.Dataset) {
			v := value(out, dicom.TagAcquisitionDateTime)
			if !strings.HasSuffix(v, "143207+0100") || strings.HasPrefix(v, "2019") || v[:8] != value(out, dicom.TagStudyDate) {
				t.Errorf("date and time %q beside %q", v, value(out, dicom.TagStudyDate))
			}
		}},
		{"L17 dates in text", func(b *dicom.Builder) {
			b.String(dicom.TagSeriesDescription, "CHEST 2019-03-12 12/03/2019 20190312 12 Mar 2019")
			b.String(dicom.TagImageComments, "seen on 22.3.57 and 3/4/2018")
		}, func(t *testing.T, out *dicom.Dataset) {
			for _, tag := range []dicom.Tag{dicom.TagSeriesDescription, dicom.TagImageComments, dicom.TagStudyID} {
				if v := value(out, tag); strings.ContainsAny(v, "23") && strings.Contains(v, "20") || strings.Contains(v, "57") {
					t.Errorf("%s: %q", tag, v)
				}
			}
		}},
		{"L21 orders", func(b *dicom.Builder) {
			b.String(dicom.TagAccessionNumber, secret)
			b.String(dicom.TagPlacerOrderNumberImagingServiceRequest, secret+"1")
			b.String(dicom.TagFillerOrderNumberImagingServiceRequest, secret+"2")
			b.String(dicom.TagRequestedProcedureID, secret+"3")
		}, nil},
		{"L22 other identifiers", func(b *dicom.Builder) {
			b.String(dicom.TagOtherPatientIDs, "943 476 5919")
			b.Sequence(dicom.TagOtherPatientIDsSequence, func(b *dicom.Builder) { b.String(dicom.TagPatientID, secret) })
			b.String(dicom.TagIssuerOfPatientID, secret)
			b.Sequence(dicom.TagIssuerOfPatientIDQualifiersSequence, func(b *dicom.Builder) { b.String(dicom.TagUniversalEntityID, secret) })
			b.String(dicom.TagImageComments, "nhs 9434765919 943-476-5919")
		}, func(t *testing.T, out *dicom.Dataset) {
			absent(t, out.Bytes(), "9434765919", "943 476 5919", "943-476-5919")
		}},
		{"L23 coded entries", func(b *dicom.Builder) {
			b.Sequence(dicom.TagRequestAttributesSequence, func(b *dicom.Builder) {
				b.String(dicom.TagRequestedProcedureID, secret)
				b.String(dicom.TagScheduledProcedureStepDescription, "BIOPSY "+secret)
				b.Sequence(dicom.TagRequestedProcedureCodeSequence, func(b *dicom.Builder) {
					b.String(dicom.TagCodeValue, secret)
					b.String(dicom.TagCodingSchemeDesignator, "99LOCAL")
					b.String(dicom.TagCodeMeaning, "Dr Obermayer biopsy "+secret)
				})
			})
		}, nil},
		{"L27 contributing equipment", func(b *dicom.Builder) {
			b.Sequence(dicom.TagContributingEquipmentSequence, func(b *dicom.Builder) {
				b.String(dicom.TagManufacturer, "SIEMENS")
				b.String(dicom.TagInstitutionName, secret)
				b.String(dicom.TagInstitutionAddress, secret+" Road")
				b.String(dicom.TagOperatorsName, secret+"^B")
				b.String(dicom.TagContributionDescription, secret)
			})
		}, func(t *testing.T, out *dicom.Dataset) {
			i := out.Find(dicom.TagContributingEquipmentSequence)
			var makers []string
			for k := range out.Children(i) {
				makers = append(makers, out.StringIn(k, dicom.TagManufacturer))
			}
			if strings.Join(makers, ",") != "SIEMENS,Vitrine" {
				t.Errorf("equipment of %v", makers)
			}
		}},
		{"L28 institution", func(b *dicom.Builder) {
			b.String(dicom.TagInstitutionalDepartmentName, secret)
			b.Sequence(dicom.TagInstitutionCodeSequence, func(b *dicom.Builder) { b.String(dicom.TagCodeValue, secret) })
		}, nil},
		{"L29 L31 L32 UIDs", func(b *dicom.Builder) {
			b.String(dicom.TagSynchronizationFrameOfReferenceUID, studyUID+".9")
			b.String(dicom.TagConcatenationUID, studyUID+".5")
			b.String(dicom.TagDeviceUID, studyUID+".6")
			b.String(dicom.TagIrradiationEventUID, studyUID+".7", studyUID+".1")
			b.Sequence(dicom.TagReferencedImageSequence, func(b *dicom.Builder) {
				b.String(dicom.TagReferencedSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
				b.String(dicom.TagReferencedSOPInstanceUID, studyUID+".1.1")
			})
		}, func(t *testing.T, out *dicom.Dataset) {
			if a, b := out.UID(dicom.TagSynchronizationFrameOfReferenceUID), out.UID(dicom.TagFrameOfReferenceUID); a != b || !strings.HasPrefix(a, "2.25.") {
				t.Errorf("frames of reference %q and %q", a, b)
			}
			if v := out.Strings(out.Find(dicom.TagIrradiationEventUID)); len(v) != 2 || v[1] != out.UID(dicom.TagSeriesInstanceUID) {
				t.Errorf("irradiation events %v", v)
			}
			item := out.Find(dicom.TagReferencedImageSequence) + 1
			if v := out.StringIn(item, dicom.TagReferencedSOPInstanceUID); v != out.UID(dicom.TagSOPInstanceUID) {
				t.Errorf("reference %q", v)
			}
			if v := out.StringIn(item, dicom.TagReferencedSOPClassUID); v != "1.2.840.10008.5.1.4.1.1.2" {
				t.Errorf("class %q", v)
			}
		}},
		{"L34 retired", func(b *dicom.Builder) {
			b.Raw(0x00084000, dicom.VRLT, []byte(secret))
			b.Raw(0x00184000, dicom.VRLT, []byte(secret))
			b.Raw(0x00324000, dicom.VRLT, []byte(secret))
			b.Raw(0x00380300, dicom.VRLO, []byte(secret))
			b.Raw(0x00100FFE, dicom.VRLO, []byte(secret)) // unknown to the dictionary
		}, func(t *testing.T, out *dicom.Dataset) {
			if out.Has(0x00100FFE) {
				t.Error("an unknown element is left")
			}
		}},
		{"L35 sequence in UN", func(b *dicom.Builder) {
			inner := binary.LittleEndian.AppendUint32([]byte{0x10, 0, 0x10, 0}, uint32(len(secret)))
			inner = append(inner, secret...)
			item := binary.LittleEndian.AppendUint32([]byte{0xFE, 0xFF, 0, 0xE0}, uint32(len(inner)))
			b.Raw(dicom.TagReferencedStudySequence, dicom.VRUN, append(item, inner...))
			b.Raw(dicom.TagOtherPatientNames, dicom.VRUN, []byte(secret))
			b.Raw(dicom.TagSeriesDescription, dicom.VRUN, []byte("CHEST "+secret))
		}, nil},
		{"L37 group length", func(b *dicom.Builder) { b.Raw(0x00100000, dicom.VRUL, []byte("ABCD")) }, func(t *testing.T, out *dicom.Dataset) {
			if out.Has(0x00100000) {
				t.Error("a group length is left")
			}
		}},
		{"L38 second value", str(dicom.TagSeriesDescription, "CT", secret, "AXIAL"), func(t *testing.T, out *dicom.Dataset) {
			if v := value(out, dicom.TagSeriesDescription); v != `CT\\AXIAL` {
				t.Errorf("series description %q", v)
			}
		}},
		{"L41 creator", private("ST BRENNAN "+secret, 0x10, 0x0029, func(b *dicom.Builder, at func(byte) dicom.Tag) { b.Raw(at(1), dicom.VRLO, []byte("CT")) }),
			func(t *testing.T, out *dicom.Dataset) {
				if out.Has(0x00290010) || out.Has(0x00291001) {
					t.Error("an unknown private block is left")
				}
			}},
		{"L42 vendor blob", private("SIEMENS CSA HEADER", 0x10, 0x0029, func(b *dicom.Builder, at func(byte) dicom.Tag) {
			b.Raw(at(0x10), dicom.VROB, []byte("SV10PatientName"+secret))
		}), nil},
		{"L42 secret in a safe element", private("GEMS_PARM_01", 0x10, 0x0043, func(b *dicom.Builder, at func(byte) dicom.Tag) {
			b.Raw(at(0x27), dicom.VRSH, []byte(secret))
			b.Raw(at(0x39), dicom.VRIS, []byte(`1000\0\0\0`))
		}), func(t *testing.T, out *dicom.Dataset) {
			if out.Has(0x00431027) || !out.Has(0x00431039) || !out.Has(0x00430010) {
				t.Error("the b value is not left, or the text is")
			}
		}},
		{"L44 thumbnail", private("GEIIS", 0x10, 0x0009, func(b *dicom.Builder, at func(byte) dicom.Tag) {
			b.Sequence(at(0x10), func(b *dicom.Builder) { b.Raw(dicom.TagPixelData, dicom.VROB, []byte(secret)) })
		}), nil},
		{"L45 unexpected block", func(b *dicom.Builder) {
			private("SIEMENS MR HEADER", 0x33, 0x0019, func(b *dicom.Builder, at func(byte) dicom.Tag) {
				b.Raw(at(0x0C), dicom.VRIS, []byte("800 "))
			})(b)
			private("SOMEBODY ELSE", 0x34, 0x0019, func(b *dicom.Builder, at func(byte) dicom.Tag) {
				b.Raw(at(0x0C), dicom.VRLO, []byte(secret))
			})(b)
		}, func(t *testing.T, out *dicom.Dataset) {
			if value(out, 0x0019330C) == "absent" || out.Has(0x0019340C) || out.Has(0x00190034) {
				t.Error("blocks are not told apart by their creator")
			}
		}},
		{"L54 overlay", func(b *dicom.Builder) {
			b.Raw(0x60000010, dicom.VRUS, []byte{2, 0})
			b.Raw(0x60001500, dicom.VRLO, []byte(secret))
			b.Raw(0x60003000, dicom.VROW, []byte(secret))
			b.Raw(0x50003000, dicom.VROW, []byte(secret))
		}, func(t *testing.T, out *dicom.Dataset) {
			for i := range out.Children(dicom.Root) {
				if g := out.At(i).Tag.Group() >> 8; g == 0x60 || g == 0x50 {
					t.Errorf("%s is left", out.At(i).Tag)
				}
			}
		}},
		{"L56 icon", func(b *dicom.Builder) {
			icon := func(b *dicom.Builder) { b.Raw(dicom.TagPixelData, dicom.VROB, []byte(secret)) }
			b.Sequence(dicom.TagIconImageSequence, icon)
			b.Sequence(dicom.TagReferencedImageSequence, func(b *dicom.Builder) { b.Sequence(dicom.TagIconImageSequence, icon) })
		}, nil},
		{"L78 slide", func(b *dicom.Builder) {
			b.String(dicom.TagContainerIdentifier, secret)
			b.Raw(dicom.TagLabelText, dicom.VRUT, []byte(secret))
			b.Raw(dicom.TagBarcodeValue, dicom.VRLT, []byte(secret))
			b.Sequence(dicom.TagSpecimenDescriptionSequence, func(b *dicom.Builder) {
				b.String(dicom.TagSpecimenIdentifier, secret+"-A")
				b.String(dicom.TagSpecimenUID, studyUID+".77")
				b.String(dicom.TagSpecimenShortDescription, "breast core "+secret)
			})
		}, func(t *testing.T, out *dicom.Dataset) {
			if v := value(out, dicom.TagContainerIdentifier); v != testKeys.Code(secret) {
				t.Errorf("container %q", v)
			}
		}},
		{"L85 signatures and encrypted attributes", func(b *dicom.Builder) {
			b.Sequence(dicom.TagEncryptedAttributesSequence, func(b *dicom.Builder) { b.Raw(dicom.TagEncryptedContent, dicom.VROB, []byte(secret)) })
			b.Sequence(dicom.TagOriginalAttributesSequence, func(b *dicom.Builder) {
				b.Sequence(dicom.TagModifiedAttributesSequence, func(b *dicom.Builder) { b.String(dicom.TagPatientName, secret) })
			})
			b.Raw(0xFFFCFFFC, dicom.VROB, []byte(secret))
		}, nil},
		{"text in the place of numbers", func(b *dicom.Builder) {
			b.Raw(dicom.TagSliceThickness, dicom.VRDS, []byte(secret))
			b.Raw(dicom.TagPixelPaddingValue, dicom.VRLO, []byte(secret))
			b.Raw(dicom.TagWindowCenter, dicom.VROB, []byte(secret))
			b.Raw(dicom.TagSeriesNumber, dicom.VRIS, []byte(secret))
			b.Raw(dicom.TagInstanceNumber, dicom.VRIS, []byte(secret))
		}, func(t *testing.T, out *dicom.Dataset) {
			if v := value(out, dicom.TagSeriesNumber); len(v) != 9 || !numbers([]byte(v)) || v != value(out, dicom.TagInstanceNumber) || value(out, dicom.TagSliceThickness) != "" {
				t.Errorf("series number %q", v)
			}
		}},
		{"a site's long code", func(b *dicom.Builder) {
			b.Sequence(dicom.TagReasonForRequestedProcedureCodeSequence, func(b *dicom.Builder) {
				b.String(dicom.TagLongCodeValue, "long code of "+secret)
				b.String(dicom.TagCodingSchemeDesignator, "99L")
				b.String(dicom.TagCodeMeaning, "cough")
			})
		}, func(t *testing.T, out *dicom.Dataset) {
			item := out.Find(dicom.TagReasonForRequestedProcedureCodeSequence) + 1
			if v := out.StringIn(item, dicom.TagLongCodeValue); len(v) <= 16 {
				t.Errorf("long code value %q is short", v)
			}
		}},
		{"names in enumerated values", func(b *dicom.Builder) {
			b.String(dicom.TagScanOptions, "HELIX", family)
			b.String(dicom.TagFilterMaterial, mrn)
		}, nil},
	} {
		for _, ts := range []*dicom.TransferSyntax{dicom.ExplicitVRLittleEndian, dicom.ImplicitVRLittleEndian, dicom.ExplicitVRBigEndian} {
			for _, profile := range []string{"research", "basic", "public"} {
				t.Run(c.site+"/"+profile+"/"+ts.UID, func(t *testing.T) {
					ds := sampleCT(t, ts, c.plant)
					r, out := mustClean(t, ds, profile, secret)
					if c.check != nil && profile == "research" {
						c.check(t, out)
					}
					if r.Pseudonym == "" || value(out, dicom.TagPatientID) != r.Pseudonym || value(out, dicom.TagPatientName) != r.Pseudonym {
						t.Error("the pseudonym is not in its place")
					}
				})
			}
		}
	}
}

// Kinds of objects that wait for somebody, and those that cannot be kept.
func TestHeld(t *testing.T) {
	const root = "1.2.840.10008.5.1.4.1.1."
	str := func(tag dicom.Tag, v ...string) func(*dicom.Builder) {
		return func(b *dicom.Builder) { b.String(tag, v...) }
	}
	class := func(suffix string) func(*dicom.Builder) { return str(dicom.TagSOPClassUID, root+suffix) }
	for _, c := range []struct {
		name    string
		profile string
		plant   func(*dicom.Builder)
		outcome Outcome
		code    string
	}{
		{"ultrasound", "research", class("6.1"), Held, CodePixels},
		{"secondary capture", "research", class("7.2"), Held, CodePixels},
		{"angiography", "research", class("12.1"), Held, CodePixels},
		{"fluoroscopy", "research", class("12.2"), Held, CodePixels},
		{"fundus photograph", "research", class("77.1.5.1"), Held, CodePixels},
		{"endoscopy", "research", class("77.1.1"), Held, CodePixels},
		{"modality alone", "research", str(dicom.TagModality, "US"), Held, CodePixels},
		{"PDF, L65", "research", class("104.1"), Held, CodeDocument},
		{"STL, L65", "research", class("104.3"), Held, CodeDocument},
		{"report with an item of an unknown kind, L64", "research", func(b *dicom.Builder) {
			class("88.33")(b)
			b.Sequence(dicom.TagContentSequence, func(b *dicom.Builder) { b.String(dicom.TagValueType, "TABLE") })
		}, Held, CodeText},
		{"raw data", "research", class("66"), Held, CodeOpaque},
		{"private class, L47", "research", str(dicom.TagSOPClassUID, "1.3.12.2.1107.5.9.1"), Held, CodeSOPClass},
		{"burned in, L48", "research", str(dicom.TagBurnedInAnnotation, "YES"), Held, CodeDeclared},
		{"screen, L48", "research", str(dicom.TagImageType, "DERIVED", "SECONDARY", "SCREEN SAVE"), Held, CodeCapture},
		{"digitised film, L53", "research", str(dicom.TagConversionType, "DF"), Held, CodeCapture},
		{"overlay in pixels, L54", "research", func(b *dicom.Builder) {
			b.Raw(0x60000100, dicom.VRUS, []byte{16, 0})
			b.Raw(0x60000102, dicom.VRUS, []byte{12, 0})
		}, Held, CodeOverlay},
		{"slide label, L78", "research", func(b *dicom.Builder) {
			class("77.1.6")(b)
			b.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "LABEL", "NONE")
		}, Held, CodeLabel},
		{"face declared, L69", "public", str(dicom.TagRecognizableVisualFeatures, "YES"), Held, CodeFace},
		{"head, L69", "public", str(dicom.TagBodyPartExamined, "HEAD"), Held, CodeFace},
		{"head under research", "research", str(dicom.TagBodyPartExamined, "HEAD"), Cleaned, ""},
		{"pixels within a sequence", "research", func(b *dicom.Builder) {
			b.Sequence(dicom.TagReferencedImageSequence, func(b *dicom.Builder) { b.Raw(dicom.TagPixelData, dicom.VROB, []byte("text")) })
		}, Held, CodeNested},
		{"directory, L06", "research", func(b *dicom.Builder) { b.Sequence(dicom.TagDirectoryRecordSequence) }, Refused, CodeDirectory},
		{"no instance UID", "research", str(dicom.TagSOPInstanceUID, ""), Refused, CodeNoUID},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Clean(sampleCT(t, dicom.ExplicitVRLittleEndian, c.plant), profileNamed(t, c.profile), testKeys, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Outcome != c.outcome || c.code != "" && (len(r.Reasons) == 0 || r.Reasons[0].Code != c.code) {
				t.Fatalf("%s %v", r.Outcome, r.Reasons)
			}
			if (r.Rendered != nil) != (c.outcome == Cleaned) {
				t.Error("bytes of an object that is not clean")
			}
			for _, reason := range r.Reasons {
				absent(t, []byte(reason.Text+reason.Where), family, mrn)
			}
			if c.outcome == Held && len(r.NewTerms) == 0 {
				t.Error("a held object brought nothing to the lexicon")
			}
		})
	}
}

// L37: readers disagree about duplicates and about order.
func TestDuplicateElements(t *testing.T) {
	ds := sampleCT(t, dicom.ExplicitVRLittleEndian, nil)
	name := ds.Raw(ds.Find(dicom.TagPatientName))
	at := int(ds.At(ds.Find(dicom.TagPatientID)).Start)
	for _, c := range []struct {
		where   int
		outcome Outcome
		code    string
		raw     []byte
	}{
		{at, Refused, CodeDuplicate, name},
		{at, Held, CodeOrder, []byte{0x08, 0, 0x55, 0x10, 'L', 'O', 2, 0, 'C', 'T'}},
	} {
		b := bytes.Join([][]byte{ds.Bytes()[:c.where], c.raw, ds.Bytes()[c.where:]}, nil)
		twice, err := dicom.ParseDataset(b, ds.Syntax(), dicom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := Clean(twice, profileNamed(t, "research"), testKeys, nil)
		if err != nil || r.Outcome != c.outcome || r.Reasons[0].Code != c.code {
			t.Errorf("%v %v", r, err)
		}
	}
}

// L09, L40: names in other scripts, in whatever the character set says or fails to say.
func TestCharacterSets(t *testing.T) {
	for _, c := range []struct{ name, charset, text, comment string }{
		{"Latin-1", "ISO_IR 100", "BJÖRNSSON^ÅSE", "scan of Björnsson"},
		{"UTF-8 under Latin-1", "ISO_IR 100", "BJ\xc3\x96RNSSON^\xc3\x85SE", "Bj\xc3\xb6rnsson"},
		{"UTF-8", "ISO_IR 192", "ŁĄCZYŃSKA^ŻANETA", "pacjent Łączyńska"},
		{"Japanese", `\ISO 2022 IR 87`, "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B", "\x1b$B;3ED\x1b(B"},
		{"missing", "", "M\xfcLLER^J\xf6RG", "M\xfcller"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
				b.Raw(dicom.TagSpecificCharacterSet, dicom.VRCS, []byte(c.charset))
				name, comment := []byte(c.text), []byte(c.comment)
				if c.name == "Latin-1" {
					name, comment = latin1(c.text), latin1(c.comment)
				}
				b.Raw(dicom.TagPatientName, dicom.VRPN, name)
				b.Raw(dicom.TagImageComments, dicom.VRLT, comment)
				b.Raw(dicom.TagStudyDescription, dicom.VRLO, comment)
			})
			r, err := Clean(ds, profileNamed(t, "research"), testKeys, nil)
			if err != nil || r.Outcome != Cleaned {
				t.Fatal(r, err)
			}
			for _, b := range r.Rendered.Head[:] {
				if b == 0x1B {
					t.Fatal("an escape sequence is left")
				}
			}
			for _, part := range bytes.FieldsFunc([]byte(c.text), func(r rune) bool { return r == '^' || r == '=' }) {
				if len(part) > 4 && bytes.Contains(r.Rendered.Head, part) {
					t.Error("part of the name is left")
				}
			}
		})
	}
}

func latin1(s string) []byte {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}
