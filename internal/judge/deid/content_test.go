package deid

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

func codeItem(value, scheme, meaning string) func(*dicom.Builder) {
	return func(b *dicom.Builder) {
		b.String(dicom.TagCodeValue, value)
		b.String(dicom.TagCodingSchemeDesignator, scheme)
		b.String(dicom.TagCodeMeaning, meaning)
	}
}

// content is a content item: its relationship, value type and concept, what holds its value, and what hangs on it.
func content(relation, valueType, concept string, value func(*dicom.Builder), children ...func(*dicom.Builder)) func(*dicom.Builder) {
	return func(b *dicom.Builder) {
		if relation != "" {
			b.String(dicom.TagRelationshipType, relation)
		}
		b.String(dicom.TagValueType, valueType)
		part := strings.SplitN(concept, "|", 3)
		b.Sequence(dicom.TagConceptNameCodeSequence, codeItem(part[1], part[0], part[2]))
		if value != nil {
			value(b)
		}
		if len(children) > 0 {
			b.Sequence(dicom.TagContentSequence, children...)
		}
	}
}

func textItem(relation, concept, text string, children ...func(*dicom.Builder)) func(*dicom.Builder) {
	return content(relation, "TEXT", concept, func(b *dicom.Builder) { b.Text(dicom.TagTextValue, dicom.VRUT, text) }, children...)
}

func nameItem(concept, name string) func(*dicom.Builder) {
	return content("HAS OBS CONTEXT", "PNAME", concept, func(b *dicom.Builder) { b.String(dicom.TagPersonName, name) })
}

func valueItem(relation, valueType, concept string, tag dicom.Tag, v string) func(*dicom.Builder) {
	return content(relation, valueType, concept, func(b *dicom.Builder) { b.String(tag, v) })
}

func numItem(concept, number string, children ...func(*dicom.Builder)) func(*dicom.Builder) {
	return content("CONTAINS", "NUM", concept, func(b *dicom.Builder) {
		b.Sequence(dicom.TagMeasuredValueSequence, func(b *dicom.Builder) {
			b.String(dicom.TagNumericValue, number)
			b.Sequence(dicom.TagMeasurementUnitsCodeSequence, codeItem("mm", "UCUM", "millimeter"))
		})
	}, children...)
}

// reportOf builds a document of the made-up person; class is what follows the storage root.
func reportOf(t *testing.T, class string, fill func(b *dicom.Builder)) *dicom.Dataset {
	t.Helper()
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagSpecificCharacterSet, "ISO_IR 100")
	b.String(dicom.TagSOPClassUID, storageRoot+class)
	b.String(dicom.TagSOPInstanceUID, studyUID+".8.1")
	b.String(dicom.TagStudyInstanceUID, studyUID)
	b.String(dicom.TagSeriesInstanceUID, studyUID+".8")
	b.String(dicom.TagStudyDate, "20190312")
	b.String(dicom.TagStudyTime, "143207")
	b.String(dicom.TagContentDate, "20190312")
	b.String(dicom.TagContentTime, "150000")
	b.String(dicom.TagAccessionNumber, acc)
	b.String(dicom.TagModality, "SR")
	b.String(dicom.TagManufacturer, "SIEMENS")
	b.String(dicom.TagReferringPhysicianName, doctor+"^KLAUS")
	b.String(dicom.TagPatientName, family+"^"+given)
	b.String(dicom.TagPatientID, mrn)
	b.String(dicom.TagPatientBirthDate, birth)
	b.String(dicom.TagPatientSex, "F")
	b.String(dicom.TagStudyID, "1")
	b.String(dicom.TagSeriesNumber, "8")
	b.String(dicom.TagInstanceNumber, "1")
	fill(b)
	ds, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func srDocument(title string, children ...func(*dicom.Builder)) func(b *dicom.Builder) {
	return func(b *dicom.Builder) {
		b.Sequence(dicom.TagReferencedPerformedProcedureStepSequence)
		b.Sequence(dicom.TagPerformedProcedureCodeSequence)
		b.String(dicom.TagContinuityOfContent, "SEPARATE")
		b.String(dicom.TagCompletionFlag, "COMPLETE")
		b.String(dicom.TagVerificationFlag, "VERIFIED")
		b.Sequence(dicom.TagVerifyingObserverSequence, func(b *dicom.Builder) {
			b.String(dicom.TagVerifyingOrganization, hospital)
			b.String(dicom.TagVerificationDateTime, "20190312160000")
			b.String(dicom.TagVerifyingObserverName, doctor+"^KLAUS")
			b.Sequence(dicom.TagVerifyingObserverIdentificationCodeSequence, codeItem("7412345", "99GMC", "Dr Obermayer"))
		})
		b.Sequence(dicom.TagAuthorObserverSequence, func(b *dicom.Builder) {
			b.String(dicom.TagObserverType, "PSN")
			b.String(dicom.TagPersonName, doctor+"^KLAUS")
			b.Sequence(dicom.TagPersonIdentificationCodeSequence, codeItem("7412345", "99GMC", "Dr Obermayer"))
			b.String(dicom.TagInstitutionName, hospital)
			b.Sequence(dicom.TagInstitutionCodeSequence)
		})
		b.Sequence(dicom.TagParticipantSequence, func(b *dicom.Builder) {
			b.String(dicom.TagParticipationType, "ATTEST")
			b.String(dicom.TagParticipationDateTime, "20190312160000")
			b.String(dicom.TagObserverType, "PSN")
			b.String(dicom.TagPersonName, "TANAKA^YUKI")
			b.Sequence(dicom.TagPersonIdentificationCodeSequence, codeItem("7412346", "99GMC", "Tanaka"))
			b.String(dicom.TagInstitutionName, hospital)
			b.Sequence(dicom.TagInstitutionCodeSequence)
		})
		b.Sequence(dicom.TagCustodialOrganizationSequence, func(b *dicom.Builder) {
			b.String(dicom.TagInstitutionName, hospital)
			b.Sequence(dicom.TagInstitutionCodeSequence, codeItem("RX1", "99ODS", hospital))
		})
		content("", "CONTAINER", title, nil, children...)(b)
		b.Sequence(dicom.TagContentTemplateSequence, func(b *dicom.Builder) {
			b.String(dicom.TagMappingResource, "DCMR")
			b.String(dicom.TagTemplateIdentifier, "1500")
		})
	}
}

// itemsOf are the content items of a data set as text: value type, concept and value.
func itemsOf(ds *dicom.Dataset) map[string]string {
	out := map[string]string{}
	for i := range ds.Len() {
		if ds.At(i).Tag != dicom.TagValueType {
			continue
		}
		item := int(ds.At(i).Parent)
		vt := ds.StringIn(item, dicom.TagValueType)
		_, code := conceptOf(ds, ds.FindIn(item, dicom.TagConceptNameCodeSequence))
		value := ""
		if k := ds.FindIn(item, contentValues[vt]); contentValues[vt] != 0 && k >= 0 {
			if ds.At(k).IsSequence() {
				for j := k; j < int(ds.At(k).Next); j++ {
					if t := ds.At(j).Tag; t == dicom.TagNumericValue || t == dicom.TagCodeValue && vt == "CODE" {
						value = ds.Text(j)
					}
				}
			} else {
				value = ds.Text(k)
			}
		}
		key := vt + " " + code
		for n := 2; out[key] != ""; n++ {
			key = fmt.Sprintf("%s %s %d", vt, code, n)
		}
		out[key] = value
	}
	return out
}

// noNewErrors runs dciodvfy on a data set before and after.
func noNewErrors(t *testing.T, before, after *dicom.Dataset) {
	t.Helper()
	validator := testdata.NewValidator(t)
	write := func(ds *dicom.Dataset) string {
		meta, err := Meta(ds.UID(dicom.TagSOPClassUID), ds.UID(dicom.TagSOPInstanceUID), ds.Syntax())
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "object.dcm")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errorsOf(dicom.WriteFile(f, meta, ds.Render(), nil), f.Close()); err != nil {
			t.Fatal(err)
		}
		return path
	}
	was := validator.Errors(write(before))
	for e := range validator.Errors(write(after)) {
		if !was[e] {
			t.Errorf("new: %s", e)
		}
	}
}

func measurementReport(t *testing.T) *dicom.Dataset {
	return reportOf(t, "88.33", srDocument("DCM|126000|Imaging Measurement Report",
		nameItem("DCM|121008|Person Observer Name", doctor+"^KLAUS"),
		textItem("HAS OBS CONTEXT", "DCM|121009|Person Observer's Organization Name", "Quillmore Clinic"),
		textItem("HAS OBS CONTEXT", "DCM|128774|Person Observer's Login Name", "kobermay"),
		textItem("HAS OBS CONTEXT", "DCM|121016|Device Observer Serial Number", "66042"),
		nameItem("DCM|121029|Subject Name", family+"^"+given),
		textItem("HAS OBS CONTEXT", "DCM|121030|Subject ID", mrn),
		valueItem("HAS OBS CONTEXT", "DATE", "DCM|121031|Subject Birth Date", dicom.TagDate, birth),
		numItem("DCM|121033|Subject Age", "93"),
		textItem("HAS OBS CONTEXT", "DCM|121022|Accession Number", "QX991234"),
		valueItem("HAS OBS CONTEXT", "UIDREF", "DCM|121018|Procedure Study Instance UID", dicom.TagUID, studyUID),
		valueItem("CONTAINS", "DATETIME", "DCM|121125|DateTime of Recording of Log Entry", dicom.TagDateTime, "20190312151617.250"),
		textItem("CONTAINS", "DCM|112039|Tracking Identifier", "Nodule 1 Holloway"),
		textItem("CONTAINS", "DCM|121071|Finding", "Spiculated nodule in the right upper lobe, 12 mm, discussed with Dr Obermayer (QX991234)",
			numItem("SCT|410668003|Length", "12.5"),
			content("INFERRED FROM", "SCOORD", "SCT|410668003|Length", func(b *dicom.Builder) {
				b.Floats(dicom.TagGraphicData, 1, 2, 3, 4)
				b.String(dicom.TagGraphicType, "POLYLINE")
			}, content("SELECTED FROM", "IMAGE", "DCM|121112|Source of Measurement", func(b *dicom.Builder) {
				b.Sequence(dicom.TagReferencedSOPSequence, func(b *dicom.Builder) {
					b.String(dicom.TagReferencedSOPClassUID, storageRoot+"2")
					b.String(dicom.TagReferencedSOPInstanceUID, studyUID+".1.1")
				})
			}))),
		content("CONTAINS", "CODE", "SCT|363698007|Finding Site", func(b *dicom.Builder) {
			b.Sequence(dicom.TagConceptCodeSequence, codeItem("39607008", "SCT", "Lung"))
		}),
		textItem("CONTAINS", "99BRENNAN|X1|Referrer", "Zelazny Brontovich"),
		textItem("CONTAINS", "99BRENNAN|X2|Reporting radiologist", "Stone"),
		textItem("CONTAINS", "DCM|121106|Comment", "Zelazny"),
	))
}

func TestStructuredReport(t *testing.T) {
	ds := measurementReport(t)
	r, out := mustClean(t, ds, "research", "QUILLMORE", "KOBERMAY", "QX991234", "ZELAZNY", "BRONTOVICH", "TANAKA", "7412345")
	got := itemsOf(out)
	s := NewSubject(profileNamed(t, "research"), testKeys, Identify(ds), nil)
	for key, want := range map[string]string{
		"PNAME 121008": "REMOVED", "TEXT 121016": "66042", "PNAME 121029": s.Pseudonym(), "TEXT 121030": s.Pseudonym(), "NUM 121033": "90",
		"UIDREF 121018": out.UID(dicom.TagStudyInstanceUID), "DATETIME 121125": out.String(dicom.TagContentDate) + "151617",
		"TEXT 112039": "Nodule", "NUM 410668003": "12.5", "CODE 363698007": "39607008", "TEXT X1": "REMOVED", "TEXT X2": "REMOVED",
		"TEXT 121071": "Spiculated nodule in the right upper lobe, 12 mm",
	} {
		if !strings.HasPrefix(got[key], want) || want == "" {
			t.Errorf("%s is %q, not %q", key, got[key], want)
		}
	}
	for _, key := range []string{"TEXT 121009", "TEXT 128774", "DATE 121031", "TEXT 121022", "TEXT 121106"} {
		if v, there := got[key]; there {
			t.Errorf("%s is left: %q", key, v)
		}
	}
	if r.Actions.Concepts < 6 || len(r.Findings) > 0 {
		t.Errorf("%d concepts, %v", r.Actions.Concepts, r.Findings)
	}
	for _, name := range []string{"research", "basic", "public"} {
		t.Run(name, func(t *testing.T) {
			_, out := mustClean(t, ds, name, "QUILLMORE", "KOBERMAY", "QX991234", "ZELAZNY", "BRONTOVICH", "TANAKA", "7412345")
			noNewErrors(t, ds, out)
			if name == "basic" {
				if got := itemsOf(out); got["TEXT 121071"] != "REMOVED" || got["NUM 121033"] != "" || got["NUM 410668003"] != "12.5" {
					t.Errorf("%v", got)
				}
			}
		})
	}
}

// Items that others point to by their place stay where they are.
func TestReportPointers(t *testing.T) {
	ds := reportOf(t, "88.34", srDocument("DCM|126000|Imaging Measurement Report",
		textItem("CONTAINS", "DCM|121106|Comment", "Zelazny"),
		valueItem("HAS OBS CONTEXT", "DATE", "DCM|121031|Subject Birth Date", dicom.TagDate, birth),
		numItem("SCT|410668003|Length", "12.5"),
		content("CONTAINS", "CODE", "DCM|121071|Finding", func(b *dicom.Builder) {
			b.Sequence(dicom.TagConceptCodeSequence, codeItem("27925004", "SCT", "Nodule"))
		}, func(b *dicom.Builder) {
			b.String(dicom.TagRelationshipType, "INFERRED FROM")
			b.Ints(dicom.TagReferencedContentItemIdentifier, 1, 3)
		}),
	))
	_, out := mustClean(t, ds, "research", "ZELAZNY")
	want := map[string]string{"CONTAINER 126000": "", "TEXT 121106": "REMOVED", "DATE 121031": "19000101", "NUM 410668003": "12.5", "CODE 121071": "27925004"}
	if got := itemsOf(out); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	noNewErrors(t, ds, out)
}

// A report of which nothing but its frame is left says so.
func TestReportOfNothing(t *testing.T) {
	ds := reportOf(t, "88.11", srDocument("DCM|126000|Imaging Measurement Report", textItem("CONTAINS", "DCM|121071|Finding", "Zelazny")))
	r, out := mustClean(t, ds, "research", "ZELAZNY")
	if len(r.Findings) != 1 || r.Findings[0].Code != CodeEmptyReport || r.Actions.Concepts != 1 || NewItem(1, r, "").Reasons[0].Code != CodeEmptyReport {
		t.Errorf("%v %v", r.Findings, r.Actions)
	}
	if out.Has(dicom.TagContentSequence) {
		t.Error("an empty sequence is left")
	}
}

func TestKeyObjects(t *testing.T) {
	ds := reportOf(t, "88.59", func(b *dicom.Builder) {
		b.String(dicom.TagModality, "KO")
		b.Sequence(dicom.TagReferencedPerformedProcedureStepSequence)
		evidence := func(b *dicom.Builder) {
			b.String(dicom.TagStudyInstanceUID, studyUID)
			b.Sequence(dicom.TagReferencedSeriesSequence, func(b *dicom.Builder) {
				b.String(dicom.TagSeriesInstanceUID, studyUID+".1")
				b.Sequence(dicom.TagReferencedSOPSequence, func(b *dicom.Builder) {
					b.String(dicom.TagReferencedSOPClassUID, storageRoot+"2")
					b.String(dicom.TagReferencedSOPInstanceUID, studyUID+".1.1")
				})
			})
		}
		b.Sequence(dicom.TagCurrentRequestedProcedureEvidenceSequence, evidence)
		b.String(dicom.TagContinuityOfContent, "SEPARATE")
		b.Sequence(dicom.TagContentTemplateSequence, func(b *dicom.Builder) {
			b.String(dicom.TagMappingResource, "DCMR")
			b.String(dicom.TagTemplateIdentifier, "2010")
		})
		content("", "CONTAINER", "DCM|113000|Of Interest", nil,
			textItem("CONTAINS", "DCM|113012|Key Object Description", "Best image of the lesion, for Mrs Holloway's meeting"),
			content("CONTAINS", "IMAGE", "DCM|121180|Key Images", func(b *dicom.Builder) {
				b.Sequence(dicom.TagReferencedSOPSequence, func(b *dicom.Builder) {
					b.String(dicom.TagReferencedSOPClassUID, storageRoot+"2")
					b.String(dicom.TagReferencedSOPInstanceUID, studyUID+".1.1")
				})
			}))(b)
	})
	_, out := mustClean(t, ds, "research")
	if got := itemsOf(out)["TEXT 113012"]; !strings.Contains(got, "lesion") || strings.Contains(strings.ToLower(got), "holloway") {
		t.Errorf("%q", got)
	}
	uid, n := testKeys.UID(studyUID+".1.1"), 0
	for i := range out.Len() {
		if out.At(i).Tag == dicom.TagReferencedSOPInstanceUID && out.Text(i) == uid {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d references", n)
	}
	for _, p := range []string{"research", "basic"} {
		_, out := mustClean(t, ds, p)
		noNewErrors(t, ds, out)
	}
}

func TestPresentationState(t *testing.T) {
	annotation := func(layer string, texts ...string) func(*dicom.Builder) {
		return func(b *dicom.Builder) {
			b.String(dicom.TagGraphicLayer, layer)
			var items []func(*dicom.Builder)
			for _, text := range texts {
				items = append(items, func(b *dicom.Builder) {
					b.String(dicom.TagAnchorPointAnnotationUnits, "PIXEL")
					b.Floats(dicom.TagAnchorPoint, 10, 10)
					b.String(dicom.TagAnchorPointVisibility, "N")
					b.String(dicom.TagUnformattedTextValue, text)
				})
			}
			b.Sequence(dicom.TagTextObjectSequence, items...)
		}
	}
	ds := reportOf(t, "11.1", func(b *dicom.Builder) {
		b.String(dicom.TagModality, "PR")
		b.String(dicom.TagContentLabel, "HOLLOWAY")
		b.String(dicom.TagContentDescription, "lesion of Holloway")
		b.String(dicom.TagContentCreatorName, doctor)
		b.String(dicom.TagPresentationCreationDate, "20190312")
		b.String(dicom.TagPresentationCreationTime, "101010")
		b.Sequence(dicom.TagGraphicLayerSequence, func(b *dicom.Builder) {
			b.String(dicom.TagGraphicLayer, "OBERMAYER")
			b.Ints(dicom.TagGraphicLayerOrder, 1)
			b.String(dicom.TagGraphicLayerDescription, "by Dr Obermayer")
		})
		b.Sequence(dicom.TagGraphicAnnotationSequence, annotation("OBERMAYER", "Holloway 12/03/2019", "right lung"), annotation("OBERMAYER", "Margaret"))
		b.Sequence(dicom.TagDisplayedAreaSelectionSequence, func(b *dicom.Builder) {
			b.Ints(dicom.TagDisplayedAreaTopLeftHandCorner, 1, 1)
			b.Ints(dicom.TagDisplayedAreaBottomRightHandCorner, 2, 2)
			b.String(dicom.TagPresentationSizeMode, "SCALE TO FIT")
			b.String(dicom.TagPresentationPixelAspectRatio, "1", "1")
		})
		b.Sequence(dicom.TagReferencedSeriesSequence, func(b *dicom.Builder) {
			b.String(dicom.TagSeriesInstanceUID, studyUID+".1")
			b.Sequence(dicom.TagReferencedImageSequence, func(b *dicom.Builder) {
				b.String(dicom.TagReferencedSOPClassUID, storageRoot+"2")
				b.String(dicom.TagReferencedSOPInstanceUID, studyUID+".1.1")
			})
		})
		b.String(dicom.TagPresentationLUTShape, "IDENTITY")
	})
	_, out := mustClean(t, ds, "research")
	layer, texts := "", []string{}
	for i := range out.Len() {
		switch out.At(i).Tag {
		case dicom.TagGraphicLayer:
			if v := out.Text(i); layer == "" {
				layer = v
			} else if v != layer {
				t.Errorf("layers %q and %q", layer, v)
			}
		case dicom.TagUnformattedTextValue:
			texts = append(texts, out.Text(i))
		}
	}
	if layer != "LAYER 1" || len(texts) != 1 || texts[0] != "right lung" || value(out, dicom.TagContentLabel) != "REMOVED" {
		t.Errorf("layer %q, texts %q, label %q", layer, texts, value(out, dicom.TagContentLabel))
	}
	noNewErrors(t, ds, out)
	_, out = mustClean(t, ds, "basic")
	if out.Has(dicom.TagGraphicAnnotationSequence) {
		t.Error("graphics are left where no option cleans them")
	}
	noNewErrors(t, ds, out)
}

func TestWaveformAnnotations(t *testing.T) {
	ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
		b.String(dicom.TagSOPClassUID, storageRoot+"9.1.1")
		b.Sequence(dicom.TagWaveformSequence, func(b *dicom.Builder) {
			b.Sequence(dicom.TagChannelDefinitionSequence, func(b *dicom.Builder) { b.String(dicom.TagChannelLabel, "Lead II Holloway") })
		})
		b.Sequence(dicom.TagWaveformAnnotationSequence,
			func(b *dicom.Builder) { b.String(dicom.TagUnformattedTextValue, "sinus rhythm, Holloway") },
			func(b *dicom.Builder) { b.String(dicom.TagUnformattedTextValue, "Holloway") },
			func(b *dicom.Builder) {
				b.String(dicom.TagUnformattedTextValue, "Margaret")
				b.Sequence(dicom.TagConceptNameCodeSequence, codeItem("2:16016", "MDC", "Heart rate"))
			})
	})
	_, out := mustClean(t, ds, "research")
	var got []string
	for i := range out.Len() {
		switch out.At(i).Tag {
		case dicom.TagUnformattedTextValue, dicom.TagChannelLabel:
			got = append(got, out.Text(i))
		}
	}
	if strings.Join(got, "|") != "sinus rhythm|Lead II" && strings.Join(got, "|") != "sinus rhythm,|Lead II" {
		t.Errorf("%q", got)
	}
}

// Labels of regions, segments and plans keep their clinical part; those of type 1 have a dummy where there is none.
func TestLabels(t *testing.T) {
	for _, c := range []struct {
		tag      dicom.Tag
		in, want string
	}{
		{dicom.TagROIName, "GTV1 Holloway", "GTV1"}, {dicom.TagROIName, "Holloway", ""}, {dicom.TagROIName, "PTV_60Gy_Margaret", "PTV_60Gy"},
		{dicom.TagRTPlanLabel, "Holloway", "REMOVED"}, {dicom.TagStructureSetLabel, "RTSTRUCT Obermayer", "RTSTRUCT"}, {dicom.TagSegmentLabel, "Holloway", "REMOVED"},
		{dicom.TagSegmentLabel, "Liver of Holloway", "Liver"}, {dicom.TagSegmentDescription, "Holloway liver", "liver"}, {dicom.TagLUTLabel, "Holloway", "REMOVED"},
		{dicom.TagBeamName, "AP Holloway", "AP"}, {dicom.TagSpecimenShortDescription, "breast core Holloway", "breast core"}, {dicom.TagFiducialDescription, "clip Holloway", "clip"},
	} {
		ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) { b.String(c.tag, c.in) })
		if _, out := mustClean(t, ds, "research"); value(out, c.tag) != c.want {
			t.Errorf("%s: %q becomes %q", c.tag.Keyword(), c.in, value(out, c.tag))
		}
	}
}

// The steps of a specimen's preparation are content items, too.
func TestSpecimenPreparation(t *testing.T) {
	ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
		b.Sequence(dicom.TagSpecimenDescriptionSequence, func(b *dicom.Builder) {
			b.String(dicom.TagSpecimenIdentifier, "S19-4471")
			b.Sequence(dicom.TagSpecimenPreparationSequence, func(b *dicom.Builder) {
				b.Sequence(dicom.TagSpecimenPreparationStepContentItemSequence,
					textItem("", "DCM|121041|Specimen Identifier", "S19-4471"),
					valueItem("", "DATETIME", "DCM|111702|DateTime of processing", dicom.TagDateTime, "20190312"),
					textItem("", "DCM|111703|Processing step description", "formalin fixed by Quillmore"),
				)
			})
		})
	})
	_, out := mustClean(t, ds, "research", "QUILLMORE", "S19-4471")
	got := itemsOf(out)
	if got["TEXT 121041"] != testKeys.Code("S19-4471") || got["TEXT 111703"] != "formalin fixed" || got["DATETIME 111702"] != out.String(dicom.TagStudyDate) {
		t.Errorf("%v", got)
	}
}

// Documents of other kinds are as valid as they were: radiation dose (TID 10001), chest CAD (TID 4100), three-dimensional coordinates, basic text.
func TestReportKinds(t *testing.T) {
	image := func(b *dicom.Builder) {
		b.Sequence(dicom.TagReferencedSOPSequence, func(b *dicom.Builder) {
			b.String(dicom.TagReferencedSOPClassUID, storageRoot+"2")
			b.String(dicom.TagReferencedSOPInstanceUID, studyUID+".1.1")
		})
	}
	code := func(relation, concept, value, scheme, meaning string, children ...func(*dicom.Builder)) func(*dicom.Builder) {
		return content(relation, "CODE", concept, func(b *dicom.Builder) {
			b.Sequence(dicom.TagConceptCodeSequence, codeItem(value, scheme, meaning))
		}, children...)
	}
	for _, c := range []struct {
		class, title string
		items        []func(*dicom.Builder)
		want         map[string]string
		gone         []string
	}{
		{"88.67", "DCM|113701|X-Ray Radiation Dose Report", []func(*dicom.Builder){
			code("HAS CONCEPT MOD", "DCM|121058|Procedure reported", "77477000", "SCT", "Computed tomography"),
			code("HAS OBS CONTEXT", "DCM|121005|Observer Type", "121007", "DCM", "Device"),
			valueItem("HAS OBS CONTEXT", "UIDREF", "DCM|121012|Device Observer UID", dicom.TagUID, studyUID+".77"),
			textItem("HAS OBS CONTEXT", "DCM|121013|Device Observer Name", "CTBRENNAN1"),
			textItem("HAS OBS CONTEXT", "DCM|121014|Device Observer Manufacturer", "SIEMENS"),
			textItem("HAS OBS CONTEXT", "DCM|121017|Device Observer Physical Location During Observation", hospital),
			valueItem("HAS OBS CONTEXT", "DATETIME", "DCM|113809|Start of X-Ray Irradiation", dicom.TagDateTime, "20190312143207.000"),
			content("CONTAINS", "CONTAINER", "DCM|113819|CT Acquisition", nil,
				textItem("CONTAINS", "DCM|125203|Acquisition Protocol", "Thorax routine Holloway"),
				valueItem("CONTAINS", "UIDREF", "DCM|113769|Irradiation Event UID", dicom.TagUID, studyUID+".78"),
				content("CONTAINS", "CONTAINER", "DCM|113829|CT Dose", nil, numItem("DCM|113830|Mean CTDIvol", "7.42"), numItem("DCM|113838|DLP", "280.1")),
				content("CONTAINS", "CONTAINER", "DCM|113876|Device Role in Procedure", nil,
					textItem("CONTAINS", "DCM|113880|Device Serial Number", "66042")),
				nameItem("DCM|113870|Person Name", "TANAKA^YUKI"),
			),
			textItem("CONTAINS", "DCM|121106|Comment", "Internal technical scan parameters: Organ Characteristic = Chest"),
		}, map[string]string{"NUM 113830": "7.42", "NUM 113838": "280.1", "TEXT 113880": "66042", "TEXT 125203": "Thorax routine", "PNAME 113870": "REMOVED"}, []string{"TEXT 121017"}},
		{"88.65", "DCM|112000|Chest CAD Report", []func(*dicom.Builder){
			code("CONTAINS", "DCM|111017|CAD Processing and Findings Summary", "111242", "DCM", "All algorithms succeeded; with findings",
				code("INFERRED FROM", "DCM|111059|Single Image Finding", "27925004", "SCT", "Nodule",
					textItem("HAS CONCEPT MOD", "DCM|111001|Algorithm Name", "LungCAD"),
					textItem("HAS CONCEPT MOD", "DCM|111003|Algorithm Version", "2.1"),
					content("HAS PROPERTIES", "SCOORD", "DCM|111010|Center", func(b *dicom.Builder) {
						b.Floats(dicom.TagGraphicData, 100, 120)
						b.String(dicom.TagGraphicType, "POINT")
					}, content("SELECTED FROM", "IMAGE", "DCM|121112|Source of Measurement", image)),
					numItem("DCM|111012|Certainty of finding", "83"))),
		}, map[string]string{"NUM 111012": "83", "CODE 111059": "27925004", "CODE 111017": "111242"}, nil},
		{"88.34", "DCM|126000|Imaging Measurement Report", []func(*dicom.Builder){
			content("CONTAINS", "SCOORD3D", "DCM|111030|Image Region", func(b *dicom.Builder) {
				b.Floats(dicom.TagGraphicData, 1, 2, 3, 4, 5, 6)
				b.String(dicom.TagGraphicType, "POLYLINE")
				b.String(dicom.TagReferencedFrameOfReferenceUID, studyUID+".9")
			}),
			numItem("SCT|118565006|Volume", "1520"),
		}, map[string]string{"NUM 118565006": "1520"}, nil},
		{"88.11", "LN|18748-4|Diagnostic Imaging Report", []func(*dicom.Builder){
			content("CONTAINS", "CONTAINER", "LN|18782-3|Study observation", nil,
				textItem("CONTAINS", "DCM|121071|Finding", "There is no pleural effusion. Mr Holloway was seen by Dr Gray on 12 March 2019.")),
			content("CONTAINS", "CONTAINER", "LN|11329-0|History", nil, textItem("CONTAINS", "LN|11329-0|History", "93 year old, lives at 14 Stone Lane, SP1 2QQ")),
		}, map[string]string{}, nil},
	} {
		t.Run(c.class, func(t *testing.T) {
			ds := reportOf(t, c.class, srDocument(c.title, c.items...))
			for _, profile := range []string{"research", "basic", "public"} {
				r, out := mustClean(t, ds, profile, "TANAKA", "Gray", "14 Stone", "SP1", "2QQ", "93 year")
				noNewErrors(t, ds, out)
				if profile != "research" {
					continue
				}
				got := itemsOf(out)
				for key, want := range c.want {
					if got[key] != want {
						t.Errorf("%s is %q, not %q", key, got[key], want)
					}
				}
				for _, key := range c.gone {
					if _, there := got[key]; there {
						t.Errorf("%s is left", key)
					}
				}
				if c.class == "88.11" && !strings.HasPrefix(got["TEXT 121071"], "There is no pleural effusion") {
					t.Errorf("%q", got["TEXT 121071"])
				}
				if len(r.Findings) > 0 {
					t.Errorf("%v", r.Findings)
				}
			}
		})
	}
}

func TestStructuredDisplay(t *testing.T) {
	ds := reportOf(t, "131", func(b *dicom.Builder) {
		b.String(dicom.TagModality, "PR")
		b.String(dicom.TagContentLabel, "DISPLAY")
		b.Sequence(dicom.TagStructuredDisplayTextBoxSequence,
			func(b *dicom.Builder) { b.String(dicom.TagUnformattedTextValue, "Holloway") },
			func(b *dicom.Builder) { b.String(dicom.TagUnformattedTextValue, "prior lesion of Holloway") })
	})
	_, out := mustClean(t, ds, "research")
	n := 0
	for i := range out.Len() {
		if out.At(i).Tag == dicom.TagUnformattedTextValue {
			if n++; out.Text(i) != "prior lesion" {
				t.Errorf("%q", out.Text(i))
			}
		}
	}
	if n != 1 {
		t.Errorf("%d texts", n)
	}
}
