package dicom_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
	"pgregory.net/rapid"
)

func charsets(t testing.TB, values ...string) *dicom.CharacterSets {
	t.Helper()
	cs, err := dicom.ParseCharacterSets(values)
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

// Encoded and decoded text; the names are the examples of PS3.5 H to K.
var charsetCases = []struct {
	name    string
	charset string
	vr      dicom.VR
	raw     string
	text    string
	oneWay  bool // encodes otherwise
}{
	{name: "default", charset: "", vr: dicom.VRPN, raw: "Adams^John", text: "Adams^John"},
	{name: "default upper", charset: "", vr: dicom.VRLO, raw: "J\xe9", text: "J\uFFFD", oneWay: true},
	{name: "latin1", charset: "ISO_IR 100", vr: dicom.VRPN, raw: "Buc^J\xe9r\xf4me", text: "Buc^Jérôme"},
	{name: "latin1 c1", charset: "ISO_IR 100", vr: dicom.VRLO, raw: "a\x92b", text: "a\uFFFDb", oneWay: true},
	{name: "latin2", charset: "ISO_IR 101", vr: dicom.VRPN, raw: "Wa\xb3\xeasa", text: "Wałęsa"},
	{name: "latin3", charset: "ISO_IR 109", vr: dicom.VRLO, raw: "\xa1", text: "Ħ"},
	{name: "latin4", charset: "ISO_IR 110", vr: dicom.VRLO, raw: "\xc0", text: "Ā"},
	{name: "cyrillic", charset: "ISO_IR 144", vr: dicom.VRPN, raw: "\xbb\xee\xdace\xdc\xd1yp\xd3", text: "Люкceмбypг"},
	{name: "arabic", charset: "ISO_IR 127", vr: dicom.VRPN, raw: "\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", text: "قباني^لنزار"},
	{name: "greek", charset: "ISO_IR 126", vr: dicom.VRPN, raw: "\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", text: "Διονυσιος"},
	{name: "hebrew", charset: "ISO_IR 138", vr: dicom.VRPN, raw: "\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", text: "שרון^דבורה"},
	{name: "latin5", charset: "ISO_IR 148", vr: dicom.VRLO, raw: "\xd0\xfd", text: "Ğı"},
	{name: "latin9", charset: "ISO_IR 203", vr: dicom.VRLO, raw: "\xa4", text: "€"},
	{name: "thai", charset: "ISO_IR 166", vr: dicom.VRLO, raw: "\xca\xc1\xaa\xd2\xc2", text: "สมชาย"},
	{name: "katakana", charset: "ISO_IR 13", vr: dicom.VRPN, raw: "\xd4\xcf\xc0\xde^\xc0\xdb\xb3", text: "ﾔﾏﾀﾞ^ﾀﾛｳ"},
	{name: "roman yen in text", charset: "ISO_IR 13", vr: dicom.VRLT, raw: "5\\ ~", text: "5¥ ‾", oneWay: true},
	{name: "roman delimiter", charset: "ISO_IR 13", vr: dicom.VRLO, raw: "\xb1\\\xb2", text: "ｱ\\ｲ"},
	{name: "utf8", charset: "ISO_IR 192", vr: dicom.VRPN, raw: "Wang^XiaoDong=王^小東=", text: "Wang^XiaoDong=王^小東="},
	{name: "utf8 broken", charset: "ISO_IR 192", vr: dicom.VRLO, raw: "a\xffb", text: "a\uFFFDb", oneWay: true},
	{name: "gb18030", charset: "GB18030", vr: dicom.VRPN, raw: "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", text: "Wang^XiaoDong=王^小东="},
	{name: "gb18030 four", charset: "GB18030", vr: dicom.VRLO, raw: "\x94\x39\xda\x33", text: "💩"},
	{name: "gbk", charset: "GBK", vr: dicom.VRPN, raw: "\xcd\xf5^\xd0\xa1\xb6\xab", text: "王^小东"},
	{name: "gbk second byte is a backslash", charset: "GBK", vr: dicom.VRLO, raw: "\x81\x5c\\b", text: "乗\\b"},
	{name: "gbk cut", charset: "GBK", vr: dicom.VRLO, raw: "a\xcd", text: "a\uFFFD", oneWay: true},
	{name: "H.3.1", charset: `\ISO 2022 IR 87`, vr: dicom.VRPN,
		raw:  "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
		text: "Yamada^Tarou=山田^太郎=やまだ^たろう"},
	{name: "H.3.2", charset: `ISO 2022 IR 13\ISO 2022 IR 87`, vr: dicom.VRPN,
		raw:  "\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
		text: "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"},
	{name: "kanji supplement", charset: `\ISO 2022 IR 87\ISO 2022 IR 159`, vr: dicom.VRLO, raw: "\x1b$(D0!\x1b(B", text: "丂"},
	{name: "I.2", charset: `\ISO 2022 IR 149`, vr: dicom.VRPN,
		raw:  "Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
		text: "Hong^Gildong=洪^吉洞=홍^길동"},
	{name: "korean without escapes after a delimiter", charset: `\ISO 2022 IR 149`, vr: dicom.VRPN, raw: "\xfb\xf3^\xd1\xce\xd4\xd7", text: "洪^吉洞", oneWay: true},
	{name: "korean of windows", charset: `\ISO 2022 IR 149`, vr: dicom.VRLO, raw: "\x1b$)C\x81\x41", text: "갂", oneWay: true},
	{name: "K.3", charset: `\ISO 2022 IR 58`, vr: dicom.VRPN,
		raw:  "Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
		text: "Zhang^XiaoDong=张^小东="},
	{name: "chinese lines", charset: `\ISO 2022 IR 58`, vr: dicom.VRLT,
		raw: "1: \x1b$)A\xb5\xda\xd2\xbb\r\n2: \x1b$)A\xb5\xda\xb6\xfe\r\n", text: "1: 第一\r\n2: 第二\r\n"},
	{name: "greek and cyrillic", charset: `ISO 2022 IR 100\ISO 2022 IR 144\ISO 2022 IR 126`, vr: dicom.VRPN,
		raw: "Dionysios is \x1b-F\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", text: "Dionysios is Διονυσιος"},
	{name: "back at the delimiter", charset: `ISO 2022 IR 100\ISO 2022 IR 144`, vr: dicom.VRLO, raw: "\x1b-L\xbb\\\xe9", text: `Л\é`, oneWay: true},
	{name: "back at the delimiter of names", charset: `ISO 2022 IR 100\ISO 2022 IR 144`, vr: dicom.VRPN, raw: "\x1b-L\xbb=\xe9\x1b-L\xbb^\xe9", text: "Л=éЛ^é", oneWay: true},
	{name: "no delimiter in LT", charset: `ISO 2022 IR 100\ISO 2022 IR 144`, vr: dicom.VRLT, raw: "\x1b-L\xbb\\\xe9", text: `Л\щ`, oneWay: true},
	{name: "no delimiter in LO", charset: `ISO 2022 IR 100\ISO 2022 IR 144`, vr: dicom.VRLO, raw: "\x1b-L\xbb^\xe9", text: `Л^щ`, oneWay: true},
	{name: "kanji that look like delimiters", charset: `\ISO 2022 IR 87`, vr: dicom.VRPN, raw: "\x1b$B^\\=^\x1b(B", text: decodeEUC("\xde\xdc\xbd\xde")},
	{name: "odd kanji", charset: `\ISO 2022 IR 87`, vr: dicom.VRLO, raw: "\x1b$B;3E", text: "山\uFFFD", oneWay: true},
	{name: "unknown escape", charset: `\ISO 2022 IR 87`, vr: dicom.VRLO, raw: "a\x1b%Zb", text: "a\uFFFD%Zb", oneWay: true},
	{name: "undeclared escape", charset: "", vr: dicom.VRLO, raw: "\x1b$B;3\x1b(B", text: "山", oneWay: true},
}

// decodeEUC asks the set itself, in its other encoding, through the upper half.
func decodeEUC(s string) string {
	cs, _ := dicom.ParseCharacterSets([]string{"", "ISO 2022 IR 87"})
	raw := []byte("\x1b$B")
	for i := range len(s) {
		raw = append(raw, s[i]&0x7F)
	}
	return cs.Decode(raw, dicom.VRLO)
}

func TestDecode(t *testing.T) {
	for _, c := range charsetCases {
		t.Run(c.name, func(t *testing.T) {
			cs := charsets(t, strings.Split(c.charset, `\`)...)
			if got := cs.Decode([]byte(c.raw), c.vr); got != c.text {
				t.Errorf("decoded %+q, want %+q", got, c.text)
			}
			if c.oneWay {
				return
			}
			raw, err := cs.Encode(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if string(raw) != c.raw {
				t.Errorf("encoded %+q, want %+q", raw, c.raw)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	for charset, text := range map[string]string{
		"":                  "é",
		"ISO_IR 100":        "山",
		"ISO_IR 144":        "é",
		"ISO_IR 13":         "~",
		`\ISO 2022 IR 87`:   "홍",
		`\ISO 2022 IR 149`:  "é",
		"GBK":               "💩",
		`ISO 2022 IR 100\ `: "Ж",
	} {
		cs, _ := dicom.ParseCharacterSets(strings.Split(charset, `\`))
		if _, err := cs.Encode(text); !errors.Is(err, dicom.ErrNotRepresentable) {
			t.Errorf("%q: %v", charset, err)
		}
	}
	cs := charsets(t, "ISO_IR 100")
	if _, err := cs.Encode("a\xff"); err == nil {
		t.Error("invalid UTF-8 was encoded")
	}
	if _, err := cs.Encode("a\x1b(B"); err == nil {
		t.Error("an escape was encoded")
	}
	var none *dicom.CharacterSets
	if b, err := none.Encode("abc"); err != nil || string(b) != "abc" || none.Decode(b, dicom.VRLO) != "abc" {
		t.Error("nil is not the default repertoire")
	}
}

func TestParseCharacterSets(t *testing.T) {
	for _, c := range []struct {
		in, want string
		warns    bool
	}{
		{"ISO_IR 100", "ISO_IR 100", false},
		{"ISO-IR 100", "ISO_IR 100", false},
		{"ISO IR 100", "ISO_IR 100", false},
		{"ISO_IR_100", "ISO_IR 100", false},
		{"iso ir100 ", "ISO_IR 100", false},
		{"ISO 8859-1", "ISO_IR 100", false},
		{"ISO_IR 192", "ISO_IR 192", false},
		{"UTF-8", "ISO_IR 192", false},
		{"ISO 2022 GBK", "GBK", false},
		{"ISO 2022 GB18030", "GB18030", false},
		{"GB 18030", "GB18030", false},
		{"ISO2022IR87", "ISO 2022 IR 87", false},
		{`\ISO-2022-IR 87`, `\ISO 2022 IR 87`, false},
		{`\ISO_IR 192`, "ISO_IR 192", false},
		{`ISO_IR 100\ISO_IR 192`, "ISO 2022 IR 100", true},
		{`ISO_IR 192\ISO 2022 IR 100`, "ISO_IR 192", true},
		{"", "", false},
		{"Klingon", "", true},
		{"ISO_IR 9999", "", true},
		{`ISO 2022 IR 6\ISO 2022 IR 100\nonsense`, `ISO 2022 IR 6\ISO 2022 IR 100`, true},
	} {
		cs, err := dicom.ParseCharacterSets(strings.Split(c.in, `\`))
		if cs == nil {
			t.Fatalf("%q: nil", c.in)
		}
		if got := strings.Join(cs.Terms(), `\`); got != c.want || (err != nil) != c.warns {
			t.Errorf("%q: %q, %v", c.in, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "lingon") {
			t.Error("the error repeats the value")
		}
	}
	if cs, err := dicom.ParseCharacterSets(nil); err != nil || cs.Decode([]byte("a"), dicom.VRLO) != "a" {
		t.Error("no value is not the default repertoire")
	}
}

func TestDecodeASCIIAllocatesOnce(t *testing.T) {
	cs := charsets(t, "ISO 2022 IR 6", "ISO 2022 IR 87")
	b := []byte("An ordinary series description of no note")
	if n := testing.AllocsPerRun(100, func() { sink = cs.Decode(b, dicom.VRLO) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

var sink string

// Patient's names of the published samples.
func TestCharsetFiles(t *testing.T) {
	dir := filepath.Join(testdata.Shared(t), "data/dicom/charset")
	for name, want := range map[string]string{
		"chrArab":                "قباني^لنزار",
		"chrFren":                "Buc^Jérôme",
		"chrFrenMulti":           "Buc^Jérôme",
		"chrGerm":                "Äneas^Rüdiger",
		"chrGreek":               "Διονυσιος",
		"chrH31":                 "Yamada^Tarou=山田^太郎=やまだ^たろう",
		"chrH32":                 "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
		"chrHbrw":                "שרון^דבורה",
		"chrI2":                  "Hong^Gildong=洪^吉洞=홍^길동",
		"chrJapMulti":            "やまだ^たろう",
		"chrJapMultiExplicitIR6": "やまだ^たろう",
		"chrKoreanMulti":         "김희중",
		"chrRuss":                "Люкceмбypг",
		"chrX1":                  "Wang^XiaoDong=王^小東=",
		"chrX2":                  "Wang^XiaoDong=王^小东=",
	} {
		b, err := os.ReadFile(filepath.Join(dir, "pydicom__"+name+".dcm"))
		if err != nil {
			t.Fatal(err)
		}
		f, err := dicom.Parse(b, dicom.Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := f.Data.String(dicom.TagPatientName); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

var dumpedPN = regexp.MustCompile(`(?m)^ *\([0-9a-f]{4},[0-9a-f]{4}\) PN \[(.*)\] +# `)

// dcmdump +U8 converts text to UTF-8; where it can, it and we agree on every person's name, nested ones too.
func TestCharsetAgainstDcmdump(t *testing.T) {
	dcmdump := testdata.Program(t, "dcmdump")
	files, err := filepath.Glob(filepath.Join(testdata.Shared(t), "data/dicom/charset/*.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, path := range files {
		out, err := exec.Command(dcmdump, "-q", "+L", "+U8", path).Output()
		if err != nil {
			t.Logf("file %d: dcmdump cannot convert it", len(files))
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := dicom.Parse(b, dicom.Limits{})
		if err != nil {
			t.Error(err)
			continue
		}
		var ours, theirs []string
		for i := range f.Data.Len() {
			if e := f.Data.At(i); e.VR == dicom.VRPN && e.ValueEnd > e.ValueStart {
				ours = append(ours, strings.TrimRight(f.Data.Text(i), " "))
			}
		}
		for _, m := range dumpedPN.FindAllStringSubmatch(string(out), -1) {
			theirs = append(theirs, strings.TrimRight(m[1], " "))
		}
		if strings.Join(ours, "\n") != strings.Join(theirs, "\n") {
			t.Errorf("%s: %q, dcmdump %q", filepath.Base(path), ours, theirs)
		}
		compared++
	}
	if compared < 10 {
		t.Errorf("only %d files were compared", compared)
	}
}

func TestParsePN(t *testing.T) {
	for _, c := range []struct {
		in   string
		want dicom.PersonName
		out  string
	}{
		{"Adams^John Robert Quincy^^Rev.^B.A. M.Div.", dicom.PersonName{Alphabetic: dicom.Name{Family: "Adams", Given: "John Robert Quincy", Prefix: "Rev.", Suffix: "B.A. M.Div."}}, ""},
		{"Wang^XiaoDong=王^小東=", dicom.PersonName{Alphabetic: dicom.Name{Family: "Wang", Given: "XiaoDong"}, Ideographic: dicom.Name{Family: "王", Given: "小東"}}, "Wang^XiaoDong=王^小東"},
		{"==やまだ^たろう", dicom.PersonName{Phonetic: dicom.Name{Family: "やまだ", Given: "たろう"}}, ""},
		{"A^B^C^D^E^F", dicom.PersonName{Alphabetic: dicom.Name{Family: "A", Given: "B", Middle: "C", Prefix: "D", Suffix: "E^F"}}, ""},
		{"A^^^^ ", dicom.PersonName{Alphabetic: dicom.Name{Family: "A"}}, "A"},
		{"", dicom.PersonName{}, ""},
		{"A=B=C=D", dicom.PersonName{Alphabetic: dicom.Name{Family: "A"}, Ideographic: dicom.Name{Family: "B"}, Phonetic: dicom.Name{Family: "C"}}, "A=B=C"},
	} {
		got := dicom.ParsePN(c.in)
		if got != c.want {
			t.Errorf("%q: %+v", c.in, got)
		}
		out := c.out
		if out == "" {
			out = c.in
		}
		if got.String() != out {
			t.Errorf("%q is written %q", c.in, got.String())
		}
	}
	if !dicom.ParsePN(" ").IsZero() {
		t.Error("a blank name is not zero")
	}
}

// What can be encoded comes back, whatever the sets and the VR.
func TestEncodeDecodeRoundTrip(t *testing.T) {
	sets := []string{
		"", "ISO_IR 100", "ISO_IR 144", "ISO_IR 13", "ISO_IR 166", "ISO_IR 192", "GB18030", "GBK",
		`\ISO 2022 IR 87`, `\ISO 2022 IR 87\ISO 2022 IR 159`, `ISO 2022 IR 13\ISO 2022 IR 87`, `\ISO 2022 IR 149`, `\ISO 2022 IR 58`,
		`ISO 2022 IR 100\ISO 2022 IR 144\ISO 2022 IR 126\ISO 2022 IR 87`, `ISO 2022 IR 149\ISO 2022 IR 87\ISO 2022 IR 58`,
	}
	letters := []rune(`aZ09 ^=\.~-éßЖΩاשĞ€ส¥‾ｱﾀ山田太郎やまだ丂홍길동张东💩` + "\r\n\t")
	vrs := []dicom.VR{dicom.VRLO, dicom.VRPN, dicom.VRLT}
	rapid.Check(t, func(t *rapid.T) {
		cs, _ := dicom.ParseCharacterSets(strings.Split(rapid.SampledFrom(sets).Draw(t, "set"), `\`))
		text := rapid.StringOf(rapid.SampledFrom(letters)).Draw(t, "text")
		vr := rapid.SampledFrom(vrs).Draw(t, "vr")
		raw, err := cs.Encode(text)
		if err != nil {
			return
		}
		want := text
		if vr == dicom.VRLT && len(cs.Terms()) > 0 && strings.HasSuffix(cs.Terms()[0], "IR 13") {
			want = strings.ReplaceAll(text, `\`, "¥") // JIS X 0201 has no other backslash
		}
		if got := cs.Decode(raw, vr); got != want {
			t.Fatalf("%q became %q by %q", text, got, raw)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, c := range charsetCases {
		f.Add(c.charset, []byte(c.raw), uint16(c.vr))
	}
	f.Fuzz(func(t *testing.T, charset string, raw []byte, vr uint16) {
		cs, _ := dicom.ParseCharacterSets(strings.Split(charset, `\`))
		text := cs.Decode(raw, dicom.VR(vr))
		if !utf8.ValidString(text) || len(text) > 3*len(raw) {
			t.Fatalf("%d bytes became %d", len(raw), len(text))
		}
		if b, err := cs.Encode(text); err == nil && len(b) > 8*len(text)+8 {
			t.Fatalf("%d bytes of text became %d", len(text), len(b))
		}
	})
}

func FuzzParsePN(f *testing.F) {
	f.Add("Wang^XiaoDong=王^小東=")
	f.Fuzz(func(t *testing.T, s string) {
		p := dicom.ParsePN(s)
		if again := dicom.ParsePN(p.String()); again != p {
			t.Fatalf("%q: %+v then %+v", s, p, again)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range charsetCases {
		if c.name != "H.3.1" && c.name != "latin1" && c.name != "default" && c.name != "gb18030" {
			continue
		}
		cs := charsets(b, strings.Split(c.charset, `\`)...)
		raw := []byte(c.raw)
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				sink = cs.Decode(raw, c.vr)
			}
		})
	}
}
