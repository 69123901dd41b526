package dicom_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

const (
	xmlHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">`
	xmlTail = `</NativeDicomModel>`
)

func toXML(t testing.TB, d *dicom.Dataset, opts dicom.JSONOptions) string {
	t.Helper()
	b, err := dicom.AppendXML(nil, d, opts)
	if err != nil {
		t.Fatal(err)
	}
	for dec := xml.NewDecoder(bytes.NewReader(b)); ; {
		if _, err := dec.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v: %.300q", err, b)
		}
	}
	return string(b)
}

func TestAppendXML(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(b *dicom.Builder)
		want  string
	}{
		{"empty", func(b *dicom.Builder) {}, ``},
		{"no value", func(b *dicom.Builder) { b.Empty(dicom.TagPatientID) }, `<DicomAttribute tag="00100020" vr="LO" keyword="PatientID"/>`},
		{"text", func(b *dicom.Builder) { b.String(dicom.TagPatientID, `a"<b>&`+"\t") },
			`<DicomAttribute tag="00100020" vr="LO" keyword="PatientID"><Value number="1">a&quot;&lt;b&gt;&amp;&#9;</Value></DicomAttribute>`},
		{"values", func(b *dicom.Builder) { b.String(dicom.TagImageType, "ORIGINAL", "", "AXIAL ") },
			`<DicomAttribute tag="00080008" vr="CS" keyword="ImageType"><Value number="1">ORIGINAL</Value><Value number="2"/><Value number="3">AXIAL</Value></DicomAttribute>`},
		{"long text", func(b *dicom.Builder) { b.String(dicom.TagImageComments, " a\\b\r\nc") },
			`<DicomAttribute tag="00204000" vr="LT" keyword="ImageComments"><Value number="1"> a\b&#13;&#10;c</Value></DicomAttribute>`},
		{"names", func(b *dicom.Builder) {
			b.String(dicom.TagSpecificCharacterSet, "ISO_IR 192")
			b.String(dicom.TagOtherPatientNames, "Yamada^Tarou^^Dr.=山田^太郎", "", "==やまだ")
		}, `<DicomAttribute tag="00080005" vr="CS" keyword="SpecificCharacterSet"><Value number="1">ISO_IR 192</Value></DicomAttribute>` +
			`<DicomAttribute tag="00101001" vr="PN" keyword="OtherPatientNames"><PersonName number="1"><Alphabetic><FamilyName>Yamada</FamilyName><GivenName>Tarou</GivenName>` +
			`<NamePrefix>Dr.</NamePrefix></Alphabetic><Ideographic><FamilyName>山田</FamilyName><GivenName>太郎</GivenName></Ideographic></PersonName><PersonName number="2"/>` +
			`<PersonName number="3"><Phonetic><FamilyName>やまだ</FamilyName></Phonetic></PersonName></DicomAttribute>`},
		{"numbers", func(b *dicom.Builder) {
			b.Ints(dicom.TagRows, 65535)
			b.Integers(dicom.TagSmallestImagePixelValue, dicom.VRSS, -2)
			b.Ints(dicom.TagFrameIncrementPointer, 0x00181063)
			b.String(dicom.TagPixelSpacing, "1.50", "+.5")
			b.Numbers(0x00091002, dicom.VRFD, 0.1, math.NaN(), math.Inf(-1))
		}, `<DicomAttribute tag="00091002" vr="FD"><Value number="1">0.1</Value><Value number="2">NaN</Value><Value number="3">-INF</Value></DicomAttribute>` +
			`<DicomAttribute tag="00280009" vr="AT" keyword="FrameIncrementPointer"><Value number="1">00181063</Value></DicomAttribute>` +
			`<DicomAttribute tag="00280010" vr="US" keyword="Rows"><Value number="1">65535</Value></DicomAttribute>` +
			`<DicomAttribute tag="00280030" vr="DS" keyword="PixelSpacing"><Value number="1">1.50</Value><Value number="2">+.5</Value></DicomAttribute>` +
			`<DicomAttribute tag="00280106" vr="SS" keyword="SmallestImagePixelValue"><Value number="1">-2</Value></DicomAttribute>`},
		{"items", func(b *dicom.Builder) {
			b.Sequence(dicom.TagRequestAttributesSequence, func(b *dicom.Builder) { b.String(dicom.TagStudyDescription, "x") }, func(b *dicom.Builder) {})
		}, `<DicomAttribute tag="00400275" vr="SQ" keyword="RequestAttributesSequence"><Item number="1"><DicomAttribute tag="00081030" vr="LO" keyword="StudyDescription">` +
			`<Value number="1">x</Value></DicomAttribute></Item><Item number="2"></Item></DicomAttribute>`},
		{"private", func(b *dicom.Builder) {
			b.String(0x00090011, "ACME")
			b.Raw(0x00091101, dicom.VROB, []byte{1, 2, 3, 4})
			b.Raw(0x00092001, dicom.VRUN, []byte("ab"))
		}, `<DicomAttribute tag="00090011" vr="LO"><Value number="1">ACME</Value></DicomAttribute><DicomAttribute tag="00090001" vr="OB" privateCreator="ACME"><InlineBinary>AQIDBA==</InlineBinary></DicomAttribute>` +
			`<DicomAttribute tag="00092001" vr="UN"><InlineBinary>YWI=</InlineBinary></DicomAttribute>`},
		{"a creator twice", func(b *dicom.Builder) {
			b.String(0x00090010, "ACME")
			b.String(0x00090011, "ACME")
			b.Raw(0x00091001, dicom.VRLO, []byte("a "))
			b.Raw(0x00091101, dicom.VRLO, []byte("b "))
		}, `<DicomAttribute tag="00090010" vr="LO"><Value number="1">ACME</Value></DicomAttribute><DicomAttribute tag="00090011" vr="LO"><Value number="1">ACME</Value></DicomAttribute>` +
			`<DicomAttribute tag="00091001" vr="LO" privateCreator="ACME"><Value number="1">a</Value></DicomAttribute><DicomAttribute tag="00091101" vr="LO" privateCreator="ACME"><Value number="1">b</Value></DicomAttribute>`},
		{"no characters of XML", func(b *dicom.Builder) { b.Raw(dicom.TagModality, dicom.VRCS, []byte("\xff\x01\xfe ")) },
			`<DicomAttribute tag="00080060" vr="CS" keyword="Modality"><Value number="1">` + "\uFFFD\uFFFD\uFFFD" + `</Value></DicomAttribute>`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, ts := range []*dicom.TransferSyntax{dicom.ExplicitVRLittleEndian, dicom.ExplicitVRBigEndian} {
				b := dicom.NewBuilder(ts)
				c.build(b)
				d, err := b.Dataset()
				if err != nil {
					t.Fatal(err)
				}
				got := toXML(t, d, dicom.JSONOptions{})
				if got != xmlHead+c.want+xmlTail {
					t.Fatalf("%s\n got %s\nwant %s", ts.Name, got, c.want)
				}
				back, err := dicom.FromXML(strings.NewReader(got), dicom.Limits{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if again := toXML(t, back, dicom.JSONOptions{}); again != got {
					t.Errorf("came back as %s", again)
				}
			}
		})
	}
}

func TestFromXMLForms(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`<NativeDicomModel><DicomAttribute keyword="Modality" tag="00080060" vr="CS"> <Value>CT</Value> </DicomAttribute></NativeDicomModel>` + "\n", `{"00080060":{"vr":"CS","Value":["CT"]}}`},
		{`<n:NativeDicomModel xmlns:n="u"><n:DicomAttribute tag="00080008"><n:Value number="2">X</n:Value></n:DicomAttribute></n:NativeDicomModel>`, `{"00080008":{"vr":"CS","Value":[null,"X"]}}`},
		{`<!-- x --><NativeDicomModel><DicomAttribute tag="00100010" vr="PN"><PersonName><Alphabetic><GivenName>Ö</GivenName></Alphabetic></PersonName></DicomAttribute></NativeDicomModel>`,
			`{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"^Ö"}]}}`},
		{`<NativeDicomModel><DicomAttribute tag="00280010" vr="US"><Value number="1">512</Value></DicomAttribute><DicomAttribute tag="00020010" vr="UI"><Value number="1">1.2</Value></DicomAttribute></NativeDicomModel>`,
			`{"00280010":{"vr":"US","Value":[512]}}`},
		// A creator that stands nowhere gets a block, beside those that are taken; so does another.
		{`<NativeDicomModel><DicomAttribute tag="00090010" vr="LO"><Value number="1">OTHER</Value></DicomAttribute><DicomAttribute tag="00090001" vr="LO" privateCreator="ACME"><Value number="1">a</Value></DicomAttribute>` +
			`<DicomAttribute tag="00091001" vr="LO" privateCreator="MORE"><Value number="1">b</Value></DicomAttribute></NativeDicomModel>`,
			`{"00090010":{"vr":"LO","Value":["OTHER"]},"00090011":{"vr":"LO","Value":["ACME"]},"00090012":{"vr":"LO","Value":["MORE"]},"00091101":{"vr":"LO","Value":["a"]},"00091201":{"vr":"LO","Value":["b"]}}`},
		{`<NativeDicomModel/>`, `{}`},
	} {
		d, err := dicom.FromXML(strings.NewReader(c.in), dicom.Limits{}, nil)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if got := toJSON(t, d, dicom.JSONOptions{}); got != c.want {
			t.Errorf("%s became %s", c.in, got)
		}
	}
}

func TestXMLBulk(t *testing.T) {
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	pixels := bytes.Repeat([]byte{7, 8}, 600)
	b.Raw(dicom.TagPixelData, dicom.VROW, pixels)
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	got := toXML(t, d, dicom.JSONOptions{BulkURI: func(i int) (string, bool) { return "bulk?a&b", true }})
	if want := xmlHead + `<DicomAttribute tag="7FE00010" vr="OW" keyword="PixelData"><BulkData uri="bulk?a&amp;b"/></DicomAttribute>` + xmlTail; got != want {
		t.Fatalf("got %s", got)
	}
	back, err := dicom.FromXML(strings.NewReader(got), dicom.Limits{}, func(uri string) ([]byte, error) {
		if uri != "bulk?a&b" {
			t.Errorf("asked for %q", uri)
		}
		return pixels, nil
	})
	if err != nil || !bytes.Equal(back.Bytes(), d.Bytes()) {
		t.Error("the data set came back different", err)
	}
	if _, err := dicom.FromXML(strings.NewReader(got), dicom.Limits{}, nil); !errors.Is(err, dicom.ErrMalformed) {
		t.Errorf("an address that cannot be followed: %v", err)
	}
}

func TestFromXMLRefuses(t *testing.T) {
	in := func(s string) string { return "<NativeDicomModel>" + s + "</NativeDicomModel>" }
	el := func(vr, s string) string {
		return in(`<DicomAttribute tag="00091001" vr="` + vr + `">` + s + `</DicomAttribute>`)
	}
	deep := strings.Repeat(`<DicomAttribute tag="00400275" vr="SQ"><Item number="1">`, 70) + strings.Repeat(`</Item></DicomAttribute>`, 70)
	for _, c := range []struct {
		in   string
		kind error
	}{
		{``, dicom.ErrTruncated},
		{`<NativeDicomModel>`, dicom.ErrTruncated},
		{`<NativeDicomModel><DicomAttribute`, dicom.ErrTruncated},
		{`secret`, dicom.ErrTruncated},
		{`<secret/>`, dicom.ErrMalformed},
		{`<!DOCTYPE x [<!ENTITY e "secret">]><NativeDicomModel/>`, dicom.ErrMalformed},
		{in(`<DicomAttribute tag="00080060" vr="CS"><Value number="1">&secret;</Value></DicomAttribute>`), dicom.ErrMalformed},
		{`<?xml version="1.0" encoding="UTF-16"?>` + in(""), dicom.ErrMalformed},
		{in(`</secret>`), dicom.ErrMalformed},
		{in(`<secret/>`), dicom.ErrMalformed},
		{in("") + in(""), dicom.ErrMalformed},
		{in("") + "secret", dicom.ErrMalformed},
		{in(`<DicomAttribute tag="secret" vr="CS"/>`), dicom.ErrMalformed},
		{in(`<DicomAttribute tag="00080060" vr="secret"/>`), dicom.ErrMalformed},
		{in(`<DicomAttribute tag="00091001"/>`), dicom.ErrMalformed},
		{in(`<DicomAttribute tag="FFFEE000" vr="UN"/>`), dicom.ErrMalformed},
		{in(`<DicomAttribute tag="00080060" vr="CS" privateCreator="secret"/>`), dicom.ErrMalformed},
		{in(`<DicomAttribute tag="00080060" vr="CS"/><DicomAttribute tag="00080060" vr="CS"/>`), dicom.ErrMalformed},
		{el("CS", `secret`), dicom.ErrMalformed},
		{el("CS", `<Value number="2">a</Value><Value number="1">b</Value>`), dicom.ErrMalformed},
		{el("CS", `<Value number="0">a</Value>`), dicom.ErrMalformed},
		{el("CS", `<Value number="1"><secret/></Value>`), dicom.ErrMalformed},
		{el("CS", `<Value number="1">sec\ret</Value>`), dicom.ErrMalformed},
		{el("CS", `<Item number="1"/>`), dicom.ErrMalformed},
		{el("SQ", `<Value number="1">a</Value>`), dicom.ErrMalformed},
		{el("SQ", `<InlineBinary>AAAA</InlineBinary>`), dicom.ErrMalformed},
		{el("OB", `<InlineBinary>secret!</InlineBinary>`), dicom.ErrMalformed},
		{el("OB", `<InlineBinary>AAAA</InlineBinary><InlineBinary>AAAA</InlineBinary>`), dicom.ErrMalformed},
		{el("OB", `<BulkData/>`), dicom.ErrMalformed},
		{el("US", `<Value number="1">65536</Value>`), dicom.ErrMalformed},
		{el("PN", `<PersonName number="1"><secret/></PersonName>`), dicom.ErrMalformed},
		{el("PN", `<PersonName number="1"><Alphabetic><FamilyName>sec^ret</FamilyName></Alphabetic></PersonName>`), dicom.ErrMalformed},
		{in(deep), dicom.ErrDepth},
		{el("LO", `<Value number="1">`+strings.Repeat("x", 70<<10)+`</Value>`), dicom.ErrTooLarge},
		{el("LO", `<Value number="2000000000">x</Value>`), dicom.ErrTooLarge},
		{in(strings.Repeat(`<DicomAttribute tag="00091001" vr="CS"/>`, 1001)), dicom.ErrTooLarge},
		{"<NativeDicomModel " + strings.Repeat(`a="" `, 70_000), dicom.ErrTooLarge},
	} {
		_, err := dicom.FromXML(strings.NewReader(c.in), dicom.Limits{HeadBytes: 64 << 10, Elements: 1000}, nil)
		if !errors.Is(err, c.kind) {
			t.Errorf("%.120s: %v", c.in, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats the text: %v", err)
		}
	}
}

// What the XML of a real file reads as is what its JSON says.
func TestXMLOfRealFiles(t *testing.T) {
	n := 0
	sharedFiles(t, func(name string, f *dicom.File) {
		if n++; f.Data.Duplicate() >= 0 || n%4 != 0 && os.Getenv("VITRINE_SOAK") == "" {
			return
		}
		opts := dicom.JSONOptions{BulkURI: func(int) (string, bool) { return "x", true }}
		d, err := dicom.FromXML(strings.NewReader(toXML(t, f.Data, opts)), dicom.Limits{}, func(string) ([]byte, error) { return make([]byte, 2000), nil })
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		// Empty components at the end of a name, and a byte that makes a value even, mean nothing.
		meaning := strings.NewReplacer(`,"Value":[{"Alphabetic":"^^^^"}]`, ``, `^^^^"`, `"`, `^^^"`, `"`, `^^"`, `"`, `^"`, `"`, `RAA=="`, `R"`, `AP8A"`, `AP8="`)
		got, want := meaning.Replace(toJSON(t, d, opts)), meaning.Replace(toJSON(t, f.Data, opts))
		if got != want {
			i := 0
			for i < min(len(got), len(want)) && got[i] == want[i] {
				i++
			}
			t.Errorf("%s:\n got %.200s\nwant %.200s", name, got[max(0, i-80):], want[max(0, i-80):])
		}
	})
}

// DCMTK writes the same model; what is read of it is what is read of the file.
func TestXMLOfDCMTK(t *testing.T) {
	tool, err := exec.LookPath("dcm2xml")
	if err != nil {
		t.Skip("dcm2xml (DCMTK) is absent")
	}
	n, same := 0, 0
	plain := func(s string) string {
		first, _, _ := strings.Cut(s, "=") // it repeats groups that are empty
		return strings.Trim(first, " ^")
	}
	sharedFiles(t, func(name string, f *dicom.File) {
		if n++; n%12 != 0 {
			return
		}
		out, err := exec.Command(tool, "--native-format", "--convert-to-utf8", name).Output()
		if err != nil || !bytes.Contains(out, []byte(`vr="UI" keyword="SOPInstanceUID"`)) {
			return // it does not read the file
		}
		d, err := dicom.FromXML(bytes.NewReader(out), dicom.Limits{}, func(string) ([]byte, error) { return make([]byte, 2000), nil })
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		for _, tag := range []dicom.Tag{dicom.TagSOPInstanceUID, dicom.TagPatientName, dicom.TagStudyDescription, dicom.TagImagePositionPatient, dicom.TagWindowCenter} {
			if got, want := plain(d.String(tag)), plain(f.Data.String(tag)); got != want {
				t.Errorf("%s: %s reads %q, want %q", name, tag, got, want)
			}
		}
		same++
	})
	if same < 10 {
		t.Errorf("only %d files were compared", same)
	}
}

func FuzzFromXML(f *testing.F) {
	f.Add([]byte(`<NativeDicomModel><DicomAttribute tag="00091001" vr="SQ" privateCreator="A"><Item number="1"><DicomAttribute tag="00100010" vr="PN"><PersonName number="1"><Alphabetic><FamilyName>a</FamilyName></Alphabetic></PersonName></DicomAttribute></Item></DicomAttribute></NativeDicomModel>`))
	f.Add([]byte(`<NativeDicomModel><DicomAttribute tag="7FE00010" vr="OW"><BulkData uri="x"/></DicomAttribute><DicomAttribute tag="00280010" vr="US"><Value number="1">1</Value></DicomAttribute></NativeDicomModel>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := dicom.FromXML(bytes.NewReader(b), dicom.Limits{HeadBytes: 1 << 20}, func(string) ([]byte, error) { return []byte("ab"), nil })
		if err != nil {
			return
		}
		out, err := dicom.AppendXML(nil, d, dicom.JSONOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dicom.FromXML(bytes.NewReader(out), dicom.Limits{}, nil); err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, out)
		}
	})
}
