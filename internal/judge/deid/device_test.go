package deid

import (
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// What makers call their devices stays; what a site calls them after somebody becomes a code, the same for all subjects.
func TestNamesOfDevices(t *testing.T) {
	clean := func(patient string, tag dicom.Tag, v string) string {
		ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
			b.String(dicom.TagPatientID, patient)
			b.String(tag, v)
		})
		_, out := mustClean(t, ds, "research", "NOTHING")
		return value(out, tag)
	}
	for _, c := range []struct {
		tag    dicom.Tag
		values []string
	}{
		{dicom.TagManufacturer, []string{"SIEMENS", "GE MEDICAL SYSTEMS", "Philips Medical Systems", "TOSHIBA_MEC", "Canon Medical Systems", "Siemens Healthineers", "Varian Medical Systems",
			"Hologic, Inc.", "FUJIFILM Corporation", "Agfa-Gevaert AG", "KONICA MINOLTA", "Carl Zeiss Meditec", "UIH", "Leica Biosystems", "Hamamatsu", "Mortara Instrument, Inc.", "Elekta", "Carestream Health"}},
		{dicom.TagManufacturerModelName, []string{"SOMATOM Definition AS+", "Discovery MI", "LightSpeed VCT", "Aquilion ONE", "Ingenuity CT", "Brilliance 64", "MAGNETOM Vida", "TrioTim", "Prisma_fit", "Skyra",
			"Signa HDxt", "SIGNA Premier", "DISCOVERY MR750w", "Achieva dStream", "Ingenia Ambition X", "Biograph64_mCT", "Revolution Apex", "NAEOTOM Alpha", "Selenia Dimensions", "Senographe Essential",
			"MAMMOMAT Inspiration", "DigitalDiagnost", "Mobilett Mira Max", "ADC_5156", "DRX-Evolution", "LOGIQ E9", "iU22", "EPIQ 7G", "ACUSON S2000", "Vivid E95", "Aplio i800", "TrueBeam STx", "Versa HD", "CyberKnife",
			"Aperio GT 450 DX", "NanoZoomer S360", "Pannoramic 1000", "Artis zee", "Allura Xper FD20", "Azurion", "Infinia Hawkeye 4", "Symbia Intevo", "ECAM", "HiSpeed CT/i", "MIM", "uMI 780", "3DSlicer"}},
		{dicom.TagSoftwareVersions, []string{"syngo CT VA48A", "syngo MR E11", "syngo MR XA30A", "27\\LX\\MR Software release:DV26.0_R03_1831.b", "5.3.1\\5.3.1.3", "4.1.4.21240", "V4.35*P02", "0d533f1"}},
		{dicom.TagStationName, []string{"CT4", "AWP66044", "CT01_3", "MRC35032", "CONSOLE01", "STATION_NAME", "GEHC CT", "PETCT 2"}},
		{dicom.TagTreatmentMachineName, []string{"2619", "TrueBeam 3", "LINAC2", "Halcyon", "iX2", "Versa HD 1", "txmachine"}},
		{dicom.TagDeviceSerialNumber, []string{"66127", "MRC35032", "0000004087", "SN-004-17"[3:], "1-2-3", "USO11N0324"}},
	} {
		for _, v := range c.values {
			if got := clean("A1", c.tag, v); got != v && !strings.Contains(v, `\`) {
				t.Errorf("%s %q becomes %q", c.tag.Keyword(), v, got)
			}
		}
	}
	for _, tag := range []dicom.Tag{
		dicom.TagManufacturer, dicom.TagManufacturerModelName, dicom.TagSoftwareVersions, dicom.TagStationName, dicom.TagTreatmentMachineName, dicom.TagDeviceSerialNumber, dicom.TagDeviceDescription,
		dicom.TagPlateID, dicom.TagSequenceName, dicom.TagReceiveCoilName, dicom.TagConvolutionKernel, dicom.TagSegmentAlgorithmName, dicom.TagGantryID, dicom.TagDeviceLabel,
	} {
		for _, name := range []string{"Obermayer", "ZELAZNY", "Brontovich2", "Linac Obermayer", "obermayer_ct1", "TrueBeam-Nkemelu", "Dr Wu", "CT Wojtyla 2", "0bermayer", "xObermayerx"} {
			if tag == dicom.TagGantryID && name == "CT Wojtyla 2" {
				continue
			}
			got, other := clean("A1", tag, name), clean("B2", tag, name)
			for _, part := range []string{"bermayer", "elazny", "rontovich", "kemelu", "wu", "ojtyla"} {
				if strings.Contains(strings.ToLower(name), part) && strings.Contains(strings.ToLower(got), part) {
					t.Errorf("%s %q becomes %q", tag.Keyword(), name, got)
				}
			}
			if got != other {
				t.Errorf("%s %q becomes %q of one and %q of another", tag.Keyword(), name, got, other)
			}
			if tag == dicom.TagStationName || tag == dicom.TagTreatmentMachineName {
				if !strings.Contains(got, testKeys.Code(name)) || len(got) > 16 {
					t.Errorf("%s %q becomes %q", tag.Keyword(), name, got)
				}
				if again := clean("A1", tag, got); again != got {
					t.Errorf("%s %q becomes %q", tag.Keyword(), got, again)
				}
			}
		}
	}
}
