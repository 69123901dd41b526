package deid

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// csaBlob writes a header of either kind as the maker does: items beyond the multiplicity are empty.
func csaBlob(old bool, entries ...csaEntry) []byte {
	const items = 6
	var out []byte
	if !old {
		out = append(out, "SV10\x04\x03\x02\x01"...)
	}
	out = binary.LittleEndian.AppendUint32(out, uint32(len(entries)))
	out = binary.LittleEndian.AppendUint32(out, 77)
	for _, e := range entries {
		n := max(items, len(e.values))
		var head [84]byte
		copy(head[:], e.name)
		binary.LittleEndian.PutUint32(head[64:], uint32(len(e.values)))
		copy(head[68:], e.vr)
		binary.LittleEndian.PutUint32(head[72:], 3)
		binary.LittleEndian.PutUint32(head[76:], uint32(n))
		binary.LittleEndian.PutUint32(head[80:], 205)
		out = append(out, head[:]...)
		for k := range n {
			v := ""
			if k < len(e.values) {
				v = e.values[k] + "\x00"
			}
			size := uint32(len(v))
			words := [4]uint32{size, size, 77, size}
			if old {
				words = [4]uint32{size + uint32(max(items, len(entries[0].values))), 0, 77, 0}
			}
			for _, w := range words {
				out = binary.LittleEndian.AppendUint32(out, w)
			}
			out = append(out, v...)
			out = append(out, make([]byte, (4-len(v)%4)%4)...)
		}
	}
	return append(out, 0, 0, 0, 0)
}

const phoenix = `<XProtocol> { <Name> "PhoenixMetaProtocol" <ParamString."tPatientName"> { "HOLLOWAY" } }
### ASCCONV BEGIN object=MrProtDataImpl@MrProtocolData version=41340006 converter=%MEASCONST%/ConverterList/Prot_Converter.txt ###
ulVersion	 = 	51130001
tSequenceFileName	 = 	""%SiemensSeq%\ep2d_diff""
tProtocolName	 = 	""HOLLOWAY_diff""
alTR[0]	 = 	6400000
alTE[0]	 = 	89000
sSliceArray.asSlice[0].dThickness	 = 	3.0
sSliceArray.asSlice[0].sPosition.dTra	 = 	-12.5
sSliceArray.asSlice[0].HOLLOWAY	 = 	1
sSliceArray.lSize	 = 	40
sPat.lAccelFactPE	 = 	2
sDiffusion.alBValue[1]	 = 	1000
sDiffusion.alBValue[19570322]	 = 	1000
sPat.lRefLinesPE	 = 	19570322
sPatient.tID	 = 	""RX4482139""
sKSpace.ucPhasePartialFourier	 = 	0x10
### ASCCONV END ###
`

func csaSample(old bool) []byte {
	return csaBlob(old,
		csaEntry{name: "EchoLinePosition", vr: "IS", values: []string{"64"}},
		csaEntry{name: "PatientName", vr: "LO", values: []string{"HOLLOWAY^MARGARET"}},
		csaEntry{name: "B_value", vr: "IS", values: []string{"1000"}},
		csaEntry{name: "DiffusionGradientDirection", vr: "FD", values: []string{"0.70710678", "0.70710678", "0.00000000"}},
		csaEntry{name: "DiffusionDirectionality", vr: "CS", values: []string{"DIRECTIONAL"}},
		csaEntry{name: "B_matrix", vr: "FD", values: []string{"500", "500", "0", "500", "0", "0"}},
		csaEntry{name: "NumberOfImagesInMosaic", vr: "US", values: []string{"40"}},
		csaEntry{name: "MosaicRefAcqTimes", vr: "FD", values: []string{"0", "80.5", "161", "241.5", "322", "402.5", "483", "563.5"}},
		csaEntry{name: "BandwidthPerPixelPhaseEncode", vr: "FD", values: []string{"21.552"}},
		csaEntry{name: "SliceLocation", vr: "DS", values: []string{"HOLLOWAY"}},
		csaEntry{name: "EchoNumbers", vr: "IS", values: []string{"19570322"}},
		csaEntry{name: "PhaseEncodingDirectionPositive", vr: "IS", values: []string{"1"}},
		csaEntry{name: "HOLLOWAY", vr: "IS", values: []string{"1"}},
		csaEntry{name: "MrPhoenixProtocol", vr: "UN", values: []string{phoenix}},
	)
}

func geBlob(text string) []byte {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Name = "HOLLOWAY"
	w.Write([]byte(text))
	w.Close()
	return append(binary.LittleEndian.AppendUint32(nil, uint32(z.Len())), z.Bytes()...)
}

const geProtocol = "set SEDESC \"ep2d HOLLOWAY\"\nset VIEWORDER \"1\"\nset SLICEORDER \"1\"\nset NOSLC \"40\"\nset TE \"89.5\"\nset EXID \"4482139\"\nset TR \"19570322\"\nset SNAME \"HOLLOWAY\"\n"

func TestBlobs(t *testing.T) {
	for _, old := range []bool{false, true} {
		ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
			b.Raw(0x00250010, dicom.VRLO, []byte("GEMS_SERS_01"))
			b.Raw(0x0025101B, dicom.VROB, padEven(geBlob(geProtocol)))
			b.Raw(0x00290010, dicom.VRLO, []byte("SIEMENS CSA HEADER"))
			b.Raw(0x00291010, dicom.VROB, padEven(csaSample(old)))
			b.Raw(0x00291020, dicom.VROB, []byte("SV10\x04\x03\x02\x01 HOLLOWAY^MARGARET  "))
			b.Raw(0x00210010, dicom.VRLO, []byte("SIEMENS MR SDS 01"))
			b.Raw(0x00211019, dicom.VROB, padEven([]byte(phoenix)))
		})
		_, out := mustClean(t, ds, "research")
		if out.Has(0x00291020) {
			t.Error("a blob that cannot be read is left")
		}
		entries, ok := parseCSA(out.Value(out.Find(0x00291010)))
		if !ok {
			t.Fatal("the header cannot be read")
		}
		got := map[string]string{}
		for _, e := range entries {
			got[e.name] = strings.Join(e.values, `\`)
		}
		protocol := got["MrPhoenixProtocol"]
		delete(got, "MrPhoenixProtocol")
		for name, want := range map[string]string{
			"EchoLinePosition": "64", "B_value": "1000", "DiffusionGradientDirection": `0.70710678\0.70710678\0.00000000`, "DiffusionDirectionality": "DIRECTIONAL",
			"B_matrix": `500\500\0\500\0\0`, "NumberOfImagesInMosaic": "40", "MosaicRefAcqTimes": `0\80.5\161\241.5\322\402.5\483\563.5`,
			"BandwidthPerPixelPhaseEncode": "21.552", "PhaseEncodingDirectionPositive": "1",
		} {
			if got[name] != want {
				t.Errorf("%s is %q", name, got[name])
			}
			delete(got, name)
		}
		if len(got) > 0 {
			t.Errorf("more is left: %v", got)
		}
		want := "### ASCCONV BEGIN ###\nulVersion\t = \t51130001\nalTR[0]\t = \t6400000\nalTE[0]\t = \t89000\nsSliceArray.asSlice[0].dThickness\t = \t3.0\n" +
			"sSliceArray.asSlice[0].sPosition.dTra\t = \t-12.5\nsSliceArray.lSize\t = \t40\nsPat.lAccelFactPE\t = \t2\nsDiffusion.alBValue[1]\t = \t1000\n" +
			"sKSpace.ucPhasePartialFourier\t = \t0x10\n### ASCCONV END ###"
		if strings.TrimSpace(protocol) != want {
			t.Errorf("%q", protocol)
		}
		if v := out.Value(out.Find(0x00211019)); strings.TrimSpace(string(bytes.Trim(v, "\x00"))) != want {
			t.Errorf("%q", v)
		}
		ge := out.Value(out.Find(0x0025101B))
		if text := gunzip(ge[4 : 4+binary.LittleEndian.Uint32(ge)]); string(text) != "set VIEWORDER \"1\"\nset SLICEORDER \"1\"\nset NOSLC \"40\"\nset TE \"89.5\"\n" {
			t.Errorf("%q", text)
		}
		// What has been cleaned is as it should be: it does not change any more.
		again := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
			b.Raw(0x00250010, dicom.VRLO, []byte("GEMS_SERS_01"))
			b.Raw(0x0025101B, dicom.VROB, ge)
			b.Raw(0x00290010, dicom.VRLO, []byte("SIEMENS CSA HEADER"))
			b.Raw(0x00291010, dicom.VROB, out.Value(out.Find(0x00291010)))
		})
		if _, twice := mustClean(t, again, "research"); !bytes.Equal(twice.Value(twice.Find(0x00291010)), out.Value(out.Find(0x00291010))) ||
			!bytes.Equal(twice.Value(twice.Find(0x0025101B)), ge) {
			t.Error("a cleaned blob changes")
		}
		_, out = mustClean(t, ds, "basic")
		if out.Has(0x00290010) || out.Has(0x0025101B) {
			t.Error("private elements are left where the profile removes them")
		}
	}
}

func padEven(b []byte) []byte { return append(b, make([]byte, len(b)%2)...) }

// Blobs that lie about their lengths, or unfold to more than memory has, go.
func TestHostileBlobs(t *testing.T) {
	whole := csaSample(false)
	lie := func(at int, v uint32) []byte {
		b := bytes.Clone(whole)
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	for name, b := range map[string][]byte{
		"entries": lie(8, 0xFFFFFFFF), "no entries": lie(8, 0), "items": lie(16+76, 0xFFFFFFFF), "length": lie(16+84+4, 0xFFFFFFF0), "more entries": lie(8, 200),
		"cut": whole[:len(whole)/2], "short": []byte("SV10"), "empty": nil, "no mark": lie(12, 78),
	} {
		if out := filterCSA(b); out != nil {
			t.Errorf("%s: %d bytes are left", name, len(out))
		}
	}
	bomb := geBlob(strings.Repeat("set TE \"1\"\n", 1<<18))
	for name, b := range map[string][]byte{
		"bomb": bomb, "length": append([]byte{0xFF, 0xFF, 0, 0}, geBlob(geProtocol)[4:]...), "cut": geBlob(geProtocol)[:40], "zero": make([]byte, 64),
		"nothing listed": geBlob("set SNAME \"HOLLOWAY\"\n"),
	} {
		if out := filterGE(b); out != nil {
			t.Errorf("%s: %d bytes are left", name, len(out))
		}
	}
}

func FuzzCSA(f *testing.F) {
	f.Add(csaSample(false))
	f.Add(csaSample(true))
	f.Add(geBlob(geProtocol))
	f.Add([]byte(phoenix))
	f.Fuzz(func(t *testing.T, b []byte) {
		if out := filterCSA(b); out != nil {
			if !bytes.Equal(filterCSA(out), out) || len(out) > 3*len(b)+64 {
				t.Fatal("what is left is no header of its own")
			}
			entries, ok := parseCSA(out)
			if !ok {
				t.Fatal("what is left cannot be read")
			}
			for _, e := range entries {
				if !csaNumbers[e.name] && csaWords[e.name] == nil && !csaProtocols[e.name] {
					t.Fatal("an entry that is not listed")
				}
			}
		}
		if out := filterGE(b); out != nil && !bytes.Equal(filterGE(out), out) {
			t.Fatal("what is left is no block of its own")
		}
		if out := filterProtocol(b); out != nil && !bytes.Equal(filterProtocol(out), out) {
			t.Fatal("what is left is no protocol of its own")
		}
	})
}

// What quantification needs survives, whatever the maker.
func TestPrivateSurvivors(t *testing.T) {
	for _, c := range []struct {
		creator string
		tag     dicom.Tag // in block 10
		vr      dicom.VR
		raw     string
	}{
		{"SIEMENS MR HEADER", 0x0019100C, dicom.VRIS, "1000"}, {"SIEMENS MR HEADER", 0x0019100E, dicom.VRFD, strings.Repeat("\x00", 24)},
		{"SIEMENS MR HEADER", 0x00191027, dicom.VRFD, strings.Repeat("\x00", 48)}, {"SIEMENS MR HEADER", 0x00191028, dicom.VRFD, strings.Repeat("\x00", 8)},
		{"SIEMENS MR HEADER", 0x0019100A, dicom.VRUS, "\x28\x00"}, {"SIEMENS MR HEADER", 0x00191029, dicom.VRFD, strings.Repeat("\x00", 16)},
		{"GEMS_PARM_01", 0x00431039, dicom.VRIS, `1000\8\0\0`}, {"GEMS_ACQU_01", 0x001910BB, dicom.VRDS, "0.5 "}, {"GEMS_ACQU_01", 0x001910BC, dicom.VRDS, "0.5 "},
		{"GEMS_ACQU_01", 0x001910BD, dicom.VRDS, "0.5 "},
		{"Philips Imaging DD 001", 0x20011003, dicom.VRFL, "\x00\x00\x7a\x44"}, {"Philips MR Imaging DD 001", 0x200510B0, dicom.VRFL, "\x00\x00\x00\x3f"},
		{"Philips MR Imaging DD 001", 0x200510B1, dicom.VRFL, "\x00\x00\x00\x3f"}, {"Philips MR Imaging DD 001", 0x200510B2, dicom.VRFL, "\x00\x00\x00\x3f"},
		{"Philips MR Imaging DD 001", 0x2005100D, dicom.VRFL, "\x00\x00\x00\x3f"}, {"Philips MR Imaging DD 001", 0x2005100E, dicom.VRFL, "\x00\x00\x00\x3f"},
		{"Philips PET Private Group", 0x70531000, dicom.VRDS, "0.000377"}, {"Philips PET Private Group", 0x70531009, dicom.VRDS, "1.6 "},
		{"ELSCINT1", 0x00E11021, dicom.VRDS, "350 "}, {"GEMS_PETD_01", 0x00091038, dicom.VRFL, "\x00\x00\x00\x3f"},
	} {
		ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
			b.Raw(c.tag&0xFFFF0000|0x10, dicom.VRLO, []byte(c.creator))
			b.Raw(c.tag, c.vr, []byte(c.raw))
		})
		if _, out := mustClean(t, ds, "research"); !out.Has(c.tag) || string(out.Value(out.Find(c.tag))) != c.raw {
			t.Errorf("%s %s goes", c.creator, c.tag)
		}
	}
}
