package deid

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vitrine-imaging/vitrine/dicom"
)

func TestText(t *testing.T) {
	l, _ := (*Lexicon)(nil).With(Term{TermName, "HOLLOWAY^GRACE"}, Term{TermName, "CHEST^PAT"}, Term{TermIdentifier, "4821"})
	w := &words{echo: l.echoWords()}
	for in, want := range map[string]string{
		"":                                  "",
		"Abdomen^ROUTINE (Adult)":           "Abdomen^ROUTINE (Adult)",
		"t2_tse_tra_p2":                     "t2_tse_tra_p2",
		"Thorax 1.25mm B30f":                "Thorax 1.25mm B30f",
		"HeadNeck":                          "HeadNeck",
		"Head/Neck w/o contrast":            "Head/Neck w/o contrast",
		"CT Holloway":                       "CT",
		"for Dr Obermayer":                  "",
		"liver Mrs. H. Smith arterial":      "liver arterial",
		"CT CHEST":                          "CT", // the subject is called so
		"BRAIN 4821":                        "BRAIN",
		"MRN 12345 brain":                   "brain",
		"brain 0048213977":                  "brain",
		"brain 12/03/2019":                  "brain",
		"brain 12-3-57":                     "brain",
		"brain 12.3.57":                     "brain",
		"brain 2019":                        "brain",
		"brain 2019-03":                     "brain",
		"call 020 7946 0958 for liver":      "liver",
		"liver +44 20 7946 0958":            "liver",
		"943 476 5919":                      "",
		"512x512x3":                         "512x512x3",
		"b1000":                             "b1000",
		"B1234":                             "",
		"H482139":                           "",
		"ÉPAULE gauche":                     "gauche",
		"shoulder Åse":                      "shoulder",
		"PET/CT 60 min":                     "PET/CT 60 min",
		"Lung 5.0 \x1b$B;3ED\x1b(B":         "Lung 5.0",
		"ThorAbd":                           "ThorAbd",
		"mary@example.org brain":            "brain",
		"https://pacs.hospital.example/123": "",
		"73 Old Mill Lane":                  "",
		"slice 5 mm Smith":                  "slice 5 mm",
		"phase 2 of 3":                      "phase 2 of 3",
	} {
		got, lost := w.clean(in)
		if got != want || lost != (got != in) && in != got {
			t.Errorf("%q becomes %q, not %q", in, got, want)
		}
	}
}

// Cleaning what is clean changes nothing, and nothing is left but words that may stay.
func TestTextIsStable(t *testing.T) {
	w := &words{echo: map[string]struct{}{"holloway": {}}}
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.OneOf(
			rapid.SampledFrom([]string{"CT", "chest", "Holloway", "Dr", "2019", "12", "03", "1.5", "mm", "T2", "Zürich", "AX3D", "b500", "(", ")", ",", "W1A"}),
			rapid.String())).Draw(t, "parts")
		sep := rapid.SampledFrom([]string{" ", "_", "-", "/", ", ", "."}).Draw(t, "sep")
		once, _ := w.clean(strings.Join(parts, sep))
		for i := range len(once) {
			if once[i] >= 0x7F {
				t.Fatal("beyond ASCII")
			}
		}
		if strings.Contains(strings.ToLower(once), "holloway") {
			t.Fatal("the name is left")
		}
		if twice, _ := w.clean(once); twice != once {
			t.Fatalf("%q becomes %q", once, twice)
		}
	})
}

func TestShift(t *testing.T) {
	for _, c := range []struct {
		vr   string
		in   string
		out  string
		ok   bool
		hour bool
	}{
		{"DA", "20190312", "20180313", true, false},
		{"DA", "2019.03.12", "20180313", true, false},
		{"DA", "20200229", "20190302", true, false},
		{"DA", "20190312-20190319", "20180313-20180320", true, false},
		{"DA", "20190312-", "20180313-", true, false},
		{"DA", "20190230", "", false, false},
		{"DA", "201903", "", false, false},
		{"DA", "HOLLOWAY", "", false, false},
		{"DA", "00010101", "", false, false},
		{"DT", "20190312143207.532+0100", "20180313143207+0100", true, false},
		{"DT", "20190312143207.532-0500", "20180313143207-0500", true, false},
		{"DT", "20190312143207", "20180313140000", true, true},
		{"DT", "20190312", "20180313", true, false},
		{"DT", "201903", "201803", true, false},
		{"DT", "2019", "2018", true, false},
		{"DT", "201903121", "", false, false},
		{"DT", "2019031225", "", false, false},
		{"DT", "20190312143207+01", "", false, false},
		{"DT", "20190312143207.5A", "", false, false},
		{"TM", "143207.532", "143207", true, false},
		{"TM", "143207", "140000", true, true},
		{"TM", "14:32:07", "143207", true, false},
		{"TM", "14", "14", true, false},
		{"TM", "1432", "1432", true, false},
		{"TM", "246060", "", false, false},
		{"TM", "143", "", false, false},
		{"TM", "HOLL", "", false, false},
		{"TM", "143207.x", "", false, false},
	} {
		var out []byte
		var ok bool
		switch c.vr {
		case "DA":
			out, ok = shiftDA(nil, []byte(c.in), 52)
		case "DT":
			out, ok = shiftDT(nil, []byte(c.in), 52, c.hour)
		default:
			out, ok = cutTM(nil, []byte(c.in), c.hour)
		}
		if ok != c.ok || ok && string(out) != c.out {
			t.Errorf("%s %q becomes %q %v, not %q %v", c.vr, c.in, out, ok, c.out, c.ok)
		}
	}
}

// Intervals and weekdays hold; every date goes back between 52 and 520 weeks.
func TestShiftKeepsIntervals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		link := [32]byte{byte(rapid.IntRange(0, 255).Draw(t, "a")), byte(rapid.IntRange(0, 255).Draw(t, "b"))}
		weeks := testKeys.Weeks(link)
		if weeks < 52 || weeks > 520 {
			t.Fatal(weeks)
		}
		d := func(name string) time.Time {
			return time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 20000).Draw(t, name))
		}
		a, b := d("first"), d("second")
		shift := func(x time.Time) time.Time {
			out, ok := shiftDA(nil, []byte(x.Format("20060102")), weeks)
			y, err := time.Parse("20060102", string(out))
			if !ok || err != nil {
				t.Fatal(ok, err)
			}
			return y
		}
		if shift(b).Sub(shift(a)) != b.Sub(a) || shift(a).Weekday() != a.Weekday() || !shift(a).Before(a) {
			t.Fatal("an interval or a weekday has changed")
		}
	})
}

func TestAges(t *testing.T) {
	for _, c := range []struct {
		in, plain, bands string
		ok               bool
	}{
		{"061Y", "061Y", "060Y", true}, {"089Y", "089Y", "085Y", true}, {"090Y", "090Y", "090Y", true}, {"093Y", "090Y", "090Y", true},
		{"004M", "004M", "000Y", true}, {"999M", "999M", "080Y", true}, {"010W", "010W", "000Y", true}, {"61Y", "", "", false}, {"ABCD", "", "", false},
	} {
		a, ok := capAge([]byte(c.in), false)
		b, _ := capAge([]byte(c.in), true)
		if ok != c.ok || a != c.plain || b != c.bands {
			t.Errorf("%s becomes %q and %q", c.in, a, b)
		}
	}
}

func TestKeys(t *testing.T) {
	other := NewKeys([32]byte{8})
	uid := testKeys.UID("1.2.3.4")
	if !strings.HasPrefix(uid, "2.25.") || len(uid) > 44 || strings.HasPrefix(uid, "2.25.0") || testKeys.UID("1.2.3.4\x00") != uid || testKeys.UID(" 1.2.3.4 ") != uid {
		t.Errorf("UID %q", uid)
	}
	if other.UID("1.2.3.4") == uid || testKeys.UID("1.2.3.5") == uid {
		t.Error("UIDs do not depend on key and original")
	}
	if s := "1.2.840.10008.5.1.4.1.1.2"; testKeys.UID(s) != s || testKeys.UID("") != "" {
		t.Error("a UID of the standard has changed")
	}
	seen := map[string]bool{}
	for i := range 2000 {
		p := testKeys.Pseudonym([32]byte{byte(i), byte(i >> 8)})
		if seen[p] || !isOpaque([]byte(p)) {
			t.Fatalf("pseudonym %q", p)
		}
		seen[p] = true
	}
	if NewKeys([32]byte{7, 7, 7}).Pseudonym([32]byte{1}) != testKeys.Pseudonym([32]byte{1}) {
		t.Error("the same root gives other keys")
	}
}

// L82: one patient, however the identifier is spelt; L84: none without the key.
func TestIdentify(t *testing.T) {
	id := func(fill func(*dicom.Builder)) [32]byte {
		return Identify(sampleCT(t, dicom.ExplicitVRLittleEndian, fill)).Link(testKeys)
	}
	set := func(v ...string) func(*dicom.Builder) {
		return func(b *dicom.Builder) {
			b.String(dicom.TagPatientID, v[0])
			if len(v) > 1 {
				b.String(dicom.TagIssuerOfPatientID, v[1])
			}
			if len(v) > 2 {
				b.String(dicom.TagPatientName, v[2])
			}
		}
	}
	same := id(set("048213977"))
	for _, s := range []string{"48213977 ", "48213977", "0048-213-977", "048 213 977", "００４８２１３９７７"} {
		link := id(func(b *dicom.Builder) {
			b.String(dicom.TagSpecificCharacterSet, "ISO_IR 192")
			b.String(dicom.TagPatientID, s)
		})
		if link != same {
			t.Errorf("another spelling is another subject")
		}
	}
	if id(set("48213978")) == same || id(set("48213977", "OTHER")) == same {
		t.Error("two subjects are one")
	}
	byName := id(set("", "", "HOLLOWAY^MARGARET"))
	if byName != id(set("ANONYMOUS", "", "Holloway^Margaret")) || byName == id(set("", "", "HOLLOWAY^JANE")) {
		t.Error("without an identifier, name and birth date do not tell subjects apart")
	}
	study := id(func(b *dicom.Builder) { set("", "", "")(b); b.String(dicom.TagPatientBirthDate, "") })
	if study != id(func(b *dicom.Builder) { set("0", "", "ANON")(b); b.String(dicom.TagPatientBirthDate, "") }) || study == byName {
		t.Error("without a name, the study does not tell subjects apart")
	}
}

func TestProfiles(t *testing.T) {
	for _, name := range Profiles() {
		if p, err := Lookup(name); err != nil || p.Name != name {
			t.Error(name, err)
		}
	}
	if _, err := Lookup("nonesuch"); err == nil {
		t.Error("an unknown profile is known")
	}
}

// A number or a text that is written as a date does not pass as a shifted one.
func TestDateInDisguise(t *testing.T) {
	for _, vr := range []dicom.VR{dicom.VRDA, dicom.VRDT, dicom.VRTM} {
		ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
			b.Raw(dicom.TagKVP, vr, []byte(birth))
			b.Raw(0x00190011, dicom.VRLO, []byte("SIEMENS MR HEADER"))
			b.Raw(0x0019110C, vr, []byte(birth))
		})
		mustClean(t, ds, "research")
	}
}

// Every row of Table E.1-1 does under each profile what the row says.
func TestEveryRow(t *testing.T) {
	if len(tableRows) != 621-4+34 {
		t.Errorf("%d rows", len(tableRows))
	}
	const secret = "ZQWXMARKER"
	for _, row := range tableRows {
		e, ok := dicom.LookupTag(row.Tag)
		if !ok {
			t.Errorf("%s is not in the dictionary", row.Tag)
			continue
		}
		if row.Tag == dicom.TagContextGroupVersion || row.Tag == dicom.TagContextGroupLocalVersion {
			continue // removed, with the reference that they complete
		}
		if g := row.Tag.Group(); g < 8 || row.Tag == dicom.TagSOPInstanceUID || row.Tag == dicom.TagEncapsulatedDocument {
			continue
		}
		var raw []byte
		switch e.VR {
		case dicom.VRDA:
			raw = []byte("20110405")
		case dicom.VRDT:
			raw = []byte("20110405101112")
		case dicom.VRTM:
			raw = []byte("101112.125")
		case dicom.VRUI:
			raw = []byte("1.2.826.0.1.3680043.99.1234567890")
		case dicom.VRDS, dicom.VRIS:
			raw = []byte("42")
		case dicom.VRAS:
			raw = []byte("042Y")
		case dicom.VRUS:
			raw = []byte{4, 2}
		case dicom.VRSQ:
			raw, _ = dicom.NewBuilder(dicom.ExplicitVRLittleEndian).Items(func(b *dicom.Builder) { b.Raw(dicom.TagPatientComments, dicom.VRLT, []byte(secret)) })
		default:
			raw = []byte(secret)
		}
		for _, name := range []string{"research", "basic", "public"} {
			ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) { b.Raw(row.Tag, e.VR, raw) })
			r, err := Clean(ds, profileNamed(t, name), testKeys, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Outcome != Cleaned {
				if row.Tag != dicom.TagConversionType {
					t.Errorf("%s %s: held %v", row.Tag, name, r.Reasons)
				}
				continue
			}
			out, err := r.Rendered.Dataset()
			if err != nil {
				t.Fatal(err)
			}
			i := out.Find(row.Tag)
			was := ds.Value(ds.Find(row.Tag))
			kept := i >= 0 && string(out.Value(i)) == string(was)
			options := profileNamed(t, name).Options
			what := fmt.Sprintf("%s %s under %s (%s)", row.Tag, e.Keyword, name, row.Basic)
			if strings.Contains(string(r.Rendered.Head), secret) && row.Keep&options == 0 {
				t.Errorf("%s: the text is left", what)
			}
			mayStay := (row.Keep | row.Clean) & options
			switch row.Basic {
			case ActionX:
				if typeOne := row.Tag == dicom.TagPresentationCreationDate || row.Tag == dicom.TagPresentationCreationTime; typeOne && !kept {
					break // of type 1: a dummy
				}
				if mayStay == 0 && i >= 0 && row.Tag != dicom.TagContributingEquipmentSequence {
					t.Errorf("%s: not removed", what)
				}
			case ActionU:
				if kept || i < 0 || !strings.HasPrefix(string(out.Value(i)), "2.25.") {
					t.Errorf("%s: not mapped", what)
				}
			case ActionZ:
				if mayStay == 0 && (i < 0 || kept) {
					t.Errorf("%s: removed or kept", what)
				}
			case ActionD:
				if e.VR != dicom.VRSQ && mayStay == 0 && (i < 0 || len(out.Value(i)) == 0 || kept) {
					t.Errorf("%s: no dummy", what)
				}
			default:
				if mayStay == 0 && kept && e.VR != dicom.VRSQ {
					t.Errorf("%s: kept", what)
				}
			}
			if (e.VR == dicom.VRDA || e.VR == dicom.VRDT) && kept {
				t.Errorf("%s: the date is as it was", what)
			}
		}
	}
}
