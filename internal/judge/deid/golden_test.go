package deid

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vitrine-imaging/vitrine/dicom"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenSamples are objects of the made-up person; each has a file of what it was, what each profile makes of it, and the report.
var goldenSamples = map[string]func(*dicom.Builder){
	"ct": func(b *dicom.Builder) {
		b.String(dicom.TagSeriesDescription, "Thorax 1.0 B30f")
		b.String(dicom.TagProtocolName, "Chest routine Holloway")
		b.String(dicom.TagConvolutionKernel, "B30f")
		b.String(dicom.TagKVP, "120")
		b.String(dicom.TagStationName, "CT99012")
		b.String(dicom.TagSoftwareVersions, "syngo CT 2012B")
		b.String(dicom.TagDateOfLastCalibration, "20190301")
		b.String(dicom.TagTimeOfLastCalibration, "070000")
		b.String(dicom.TagOperatorsName, "TANAKA^YUKI")
		b.String(dicom.TagPatientAddress, "14 Wexcombe Lane, Salisbury")
		b.Sequence(dicom.TagRequestAttributesSequence, func(b *dicom.Builder) {
			b.String(dicom.TagRequestedProcedureID, "RP55120")
			b.String(dicom.TagScheduledProcedureStepDescription, "CT chest with contrast, Mrs Holloway")
		})
		b.Sequence(dicom.TagProcedureCodeSequence, func(b *dicom.Builder) {
			b.String(dicom.TagCodeValue, "CTCHESTC")
			b.String(dicom.TagCodingSchemeDesignator, "99STBRENNAN")
			b.String(dicom.TagCodeMeaning, "CT chest (St Brennan list)")
		}, func(b *dicom.Builder) {
			b.String(dicom.TagCodeValue, "169069000")
			b.String(dicom.TagCodingSchemeDesignator, "SCT")
			b.String(dicom.TagCodeMeaning, "CT of chest")
		})
	},
	"pet": func(b *dicom.Builder) {
		b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.128")
		b.String(dicom.TagModality, "PT")
		b.String(dicom.TagSeriesTime, "143500")
		b.String(dicom.TagPatientWeight, "62.5")
		b.String(dicom.TagPatientSize, "1.68")
		b.String(dicom.TagUnits, "BQML")
		b.String(dicom.TagDecayCorrection, "START")
		b.Sequence(dicom.TagRadiopharmaceuticalInformationSequence, func(b *dicom.Builder) {
			b.String(dicom.TagRadiopharmaceutical, "FDG -- fluorodeoxyglucose")
			b.String(dicom.TagRadiopharmaceuticalStartTime, "133312.00")
			b.String(dicom.TagRadiopharmaceuticalStartDateTime, "20190312133312.00")
			b.String(dicom.TagRadionuclideTotalDose, "251000000")
			b.String(dicom.TagRadionuclideHalfLife, "6586.2")
		})
	},
	"mr": func(b *dicom.Builder) {
		b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.4")
		b.String(dicom.TagModality, "MR")
		b.String(dicom.TagSeriesDescription, "ep2d_diff_b50_b800_tra_HOLLOWAY")
		b.Raw(0x00190011, dicom.VRLO, []byte("SIEMENS MR HEADER"))
		b.Raw(0x0019110C, dicom.VRIS, []byte("800"))
		b.Raw(0x0019110D, dicom.VRCS, []byte("DIRECTIONAL"))
		b.Raw(0x00290010, dicom.VRLO, []byte("SIEMENS CSA HEADER"))
		b.Raw(0x00291020, dicom.VROB, []byte("SV10\x04\x03\x02\x01 tPatientName HOLLOWAY"))
	},
}

// dump writes a data set for people to compare.
func dump(ds *dicom.Dataset) string {
	var b strings.Builder
	for i := range ds.Len() {
		el := ds.At(i)
		b.WriteString(strings.Repeat("  ", int(el.Depth)))
		if el.IsItem() {
			b.WriteString("item\n")
			continue
		}
		fmt.Fprintf(&b, "%s %s %s", el.Tag, ds.VR(i), el.Tag.Keyword())
		switch vr := ds.VR(i); {
		case el.IsSequence():
		case vr.IsText():
			fmt.Fprintf(&b, " %q", ds.Text(i))
		default:
			fmt.Fprintf(&b, " %s", hex.EncodeToString(ds.Value(i)))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for name, fill := range goldenSamples {
		ds := sampleCT(t, dicom.ExplicitVRLittleEndian, fill)
		golden(t, name+".before", dump(ds))
		for _, profile := range []string{"research", "basic", "public"} {
			p := profileNamed(t, profile)
			r, err := Clean(ds, p, testKeys, nil)
			if err != nil {
				t.Fatal(err)
			}
			after := ""
			if r.Rendered != nil {
				out, err := r.Rendered.Dataset()
				if err != nil {
					t.Fatal(err)
				}
				after = dump(out)
			}
			report, err := json.MarshalIndent(Report{Profile: p.Name, Version: p.Version, Items: []Item{NewItem(1, r, "")}}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+"."+profile+".after", after)
			golden(t, name+"."+profile+".report.json", string(report)+"\n")
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}
