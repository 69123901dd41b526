package dicom_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

func toJSON(t testing.TB, d *dicom.Dataset, opts dicom.JSONOptions) string {
	t.Helper()
	b, err := dicom.AppendJSON(nil, d, opts)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) {
		t.Fatalf("not JSON: %.300q", b)
	}
	return string(b)
}

func TestAppendJSON(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(b *dicom.Builder)
		want  string
	}{
		{"empty", func(b *dicom.Builder) {}, `{}`},
		{"no value", func(b *dicom.Builder) { b.Empty(dicom.TagPatientID) }, `{"00100020":{"vr":"LO"}}`},
		{"text", func(b *dicom.Builder) { b.String(dicom.TagPatientID, `a"b`+"\t\x01") }, `{"00100020":{"vr":"LO","Value":["a\"b\t\u0001"]}}`},
		{"values", func(b *dicom.Builder) { b.String(dicom.TagImageType, "ORIGINAL", "", "AXIAL ") }, `{"00080008":{"vr":"CS","Value":["ORIGINAL",null,"AXIAL"]}}`},
		{"long text", func(b *dicom.Builder) { b.String(dicom.TagImageComments, ` a\b`) }, `{"00204000":{"vr":"LT","Value":[" a\\b"]}}`},
		{"uid", func(b *dicom.Builder) { b.Raw(dicom.TagSOPClassUID, dicom.VRUI, []byte("1.2.3\x00")) }, `{"00080016":{"vr":"UI","Value":["1.2.3"]}}`},
		{"charset", func(b *dicom.Builder) {
			b.String(dicom.TagSpecificCharacterSet, "ISO_IR 100")
			b.String(dicom.TagPatientName, "Buc^Jérôme")
		}, `{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"Buc^Jérôme"}]}}`},
		{"charset of items", func(b *dicom.Builder) {
			b.String(dicom.TagSpecificCharacterSet, "ISO_IR 100")
			b.Sequence(dicom.TagRequestAttributesSequence, func(b *dicom.Builder) {
				b.String(dicom.TagSpecificCharacterSet, "ISO_IR 144")
				b.Sequence(dicom.TagReferencedStudySequence, func(b *dicom.Builder) { b.Raw(dicom.TagStudyDescription, dicom.VRLO, []byte("\xbb ")) })
			}, func(b *dicom.Builder) { b.Raw(dicom.TagStudyDescription, dicom.VRLO, []byte("\xe9 ")) }, func(b *dicom.Builder) {})
		}, `{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00400275":{"vr":"SQ","Value":[{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},` +
			`"00081110":{"vr":"SQ","Value":[{"00081030":{"vr":"LO","Value":["Л"]}}]}},{"00081030":{"vr":"LO","Value":["é"]}},{}]}}`},
		{"name groups", func(b *dicom.Builder) {
			b.String(dicom.TagSpecificCharacterSet, "ISO_IR 192")
			b.String(dicom.TagOtherPatientNames, "Wang^XiaoDong=王^小東=", "", "==やまだ")
		}, `{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00101001":{"vr":"PN","Value":[{"Alphabetic":"Wang^XiaoDong","Ideographic":"王^小東"},null,{"Phonetic":"やまだ"}]}}`},
		{"decimals", func(b *dicom.Builder) {
			b.String(dicom.TagPixelSpacing, "1.50", "+.5", "-007", "5.", "1e3", "-1.2E-07", "0", "", "abc", "1e999", "0x10", "NaN", "-", ".", "1 2", "00")
		}, `{"00280030":{"vr":"DS","Value":[1.50,0.5,-7,5,1e3,-1.2E-07,0,null,"abc","1e999","0x10","NaN","-",".","1 2",0]}}`},
		{"integers", func(b *dicom.Builder) {
			b.String(dicom.TagInstanceNumber, "12", "+3", "-0", "1.0", "9999999999999999", " 7 ")
		}, `{"00200013":{"vr":"IS","Value":[12,3,-0,"1.0","9999999999999999",7]}}`},
		{"binary numbers", func(b *dicom.Builder) {
			b.Ints(dicom.TagRows, 65535)
			b.Integers(dicom.TagSmallestImagePixelValue, dicom.VRSS, -2)
			b.Ints(dicom.TagFrameIncrementPointer, 0x00181063, 0x00181065)
			b.Integers(0x00091001, dicom.VRUV, 1<<53, 1<<53+1)
			b.Integers(0x00091002, dicom.VRSV, -1<<53-1)
			b.Integers(0x00091003, dicom.VRSL, -1)
			b.Integers(0x00091004, dicom.VRUL, math.MaxUint32)
		}, `{"00091001":{"vr":"UV","Value":[9007199254740992,"9007199254740993"]},"00091002":{"vr":"SV","Value":["-9007199254740993"]},` +
			`"00091003":{"vr":"SL","Value":[-1]},"00091004":{"vr":"UL","Value":[4294967295]},` +
			`"00280009":{"vr":"AT","Value":["00181063","00181065"]},"00280010":{"vr":"US","Value":[65535]},"00280106":{"vr":"SS","Value":[-2]}}`},
		{"floats", func(b *dicom.Builder) {
			b.Numbers(0x00091001, dicom.VRFL, 0.1, math.Inf(1), 1e30)
			b.Numbers(0x00091002, dicom.VRFD, 0.1, math.NaN(), math.Inf(-1))
		}, `{"00091001":{"vr":"FL","Value":[0.1,"Infinity",1e+30]},"00091002":{"vr":"FD","Value":[0.1,"NaN","-Infinity"]}}`},
		{"bytes", func(b *dicom.Builder) {
			b.String(0x00090010, "ACME")
			b.Raw(0x00091001, dicom.VROB, []byte{1, 2, 3, 4})
			b.Raw(0x00091002, dicom.VRUN, []byte("ab"))
			b.Raw(0x00091003, dicom.VROB, nil)
		}, `{"00090010":{"vr":"LO","Value":["ACME"]},"00091001":{"vr":"OB","InlineBinary":"AQIDBA=="},"00091002":{"vr":"UN","InlineBinary":"YWI="},"00091003":{"vr":"OB"}}`},
		{"standard UN", func(b *dicom.Builder) {
			b.Raw(dicom.TagPatientID, dicom.VRUN, []byte("ab"))
			b.Raw(dicom.TagSmallestImagePixelValue, dicom.VRUN, []byte("ab")) // US or SS: nobody knows
		}, `{"00100020":{"vr":"LO","Value":["ab"]},"00280106":{"vr":"UN","InlineBinary":"YWI="}}`},
		{"group lengths", func(b *dicom.Builder) {
			b.Raw(0x00080000, dicom.VRUL, []byte{8, 0, 0, 0})
			b.String(dicom.TagModality, "CT")
		}, `{"00080060":{"vr":"CS","Value":["CT"]}}`},
		{"not text at all", func(b *dicom.Builder) {
			b.Empty(dicom.TagSpecificCharacterSet)
			b.Raw(dicom.TagModality, dicom.VRCS, []byte("\xff\xfe"))
			b.Raw(dicom.TagPatientName, dicom.VRPN, []byte("\xff\x1b"))
			b.Raw(dicom.TagRows, dicom.VRUS, []byte{1, 0, 2})
		}, `{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00080060":{"vr":"CS","Value":["` + "\uFFFD\uFFFD" + `"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"` + "\uFFFD\uFFFD" + `"}]},"00280010":{"vr":"US","Value":[1,2]}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, ts := range []*dicom.TransferSyntax{dicom.ExplicitVRLittleEndian, dicom.ExplicitVRBigEndian} {
				b := dicom.NewBuilder(ts)
				c.build(b)
				d, err := b.Dataset()
				if err != nil {
					t.Fatal(err)
				}
				got := toJSON(t, d, dicom.JSONOptions{})
				if ts.BigEndian && (c.name == "not text at all" || c.name == "group lengths") {
					continue // built of little endian bytes
				}
				if got != c.want {
					t.Fatalf("%s\n got %s\nwant %s", ts.Name, got, c.want)
				}
				again, err := dicom.FromJSON(strings.NewReader(got), dicom.Limits{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if back := toJSON(t, again, dicom.JSONOptions{}); back != got {
					t.Errorf("came back as %s", back)
				}
			}
		})
	}
}

func TestAppendJSONBigEndianWords(t *testing.T) {
	b := dicom.NewBuilder(dicom.ExplicitVRBigEndian)
	b.Raw(0x00091001, dicom.VROW, []byte{1, 2, 3, 4})
	b.Raw(0x00091002, dicom.VROD, []byte{1, 2, 3, 4, 5, 6, 7, 8})
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"00091001":{"vr":"OW","InlineBinary":"AgEEAw=="},"00091002":{"vr":"OD","InlineBinary":"CAcGBQQDAgE="}}`
	if got := toJSON(t, d, dicom.JSONOptions{}); got != want {
		t.Errorf("got %s", got)
	}
}

// The first of elements that share a tag is written, wherever the others stand.
func TestAppendJSONDuplicates(t *testing.T) {
	raw := []byte("\x08\x00\x60\x00CS\x02\x00CT" + "\x10\x00\x20\x00LO\x02\x00A " + "\x08\x00\x60\x00CS\x02\x00MR" + "\x08\x00\x61\x00CS\x02\x00US" + "\x10\x00\x20\x00LO\x02\x00B ")
	d, err := dicom.ParseDataset(raw, dicom.ExplicitVRLittleEndian, dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"00080060":{"vr":"CS","Value":["CT"]},"00100020":{"vr":"LO","Value":["A"]},"00080061":{"vr":"CS","Value":["US"]}}`
	if got := toJSON(t, d, dicom.JSONOptions{}); got != want {
		t.Errorf("got %s", got)
	}
}

func TestJSONBulk(t *testing.T) {
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	pixels := bytes.Repeat([]byte{7, 8}, 600)
	b.Raw(dicom.TagPixelData, dicom.VROW, pixels)
	b.Raw(dicom.TagRedPaletteColorLookupTableData, dicom.VROW, pixels)
	b.Raw(dicom.TagGreenPaletteColorLookupTableData, dicom.VROW, pixels[:8])
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	opts := dicom.JSONOptions{BulkURI: func(i int) (string, bool) { return `bulk/"` + d.Path(i), true }}
	got := toJSON(t, d, opts)
	want := `{"00281201":{"vr":"OW","BulkDataURI":"bulk/\"(0028,1201)"},"00281202":{"vr":"OW","InlineBinary":"BwgHCAcIBwg="},"7FE00010":{"vr":"OW","BulkDataURI":"bulk/\"(7FE0,0010)"}}`
	if got != want {
		t.Fatalf("got %s", got)
	}
	asked := 0
	back, err := dicom.FromJSON(strings.NewReader(got), dicom.Limits{}, func(uri string) ([]byte, error) {
		asked++
		if !strings.HasPrefix(uri, `bulk/"(`) {
			t.Errorf("asked for %q", uri)
		}
		return pixels, nil
	})
	if err != nil || asked != 2 {
		t.Fatal(asked, err)
	}
	if !bytes.Equal(back.Bytes(), d.Bytes()) {
		t.Error("the data set came back different")
	}
	if _, err := dicom.FromJSON(strings.NewReader(got), dicom.Limits{}, nil); !errors.Is(err, dicom.ErrMalformed) {
		t.Errorf("an address that cannot be followed: %v", err)
	}
	// Elided, and no address: nothing may claim that there is no value.
	var stream bytes.Buffer
	stream.Write(d.Bytes())
	rd := dicom.NewReader(&stream, dicom.ExplicitVRLittleEndian, dicom.Limits{})
	for {
		if _, err := rd.Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	head := rd.Dataset()
	if out, err := dicom.AppendJSON([]byte("x"), head, dicom.JSONOptions{}); err == nil || string(out) != "x" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := dicom.AppendJSON(nil, head, opts); err != nil {
		t.Error(err)
	}
}

func TestFromJSONForms(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`[{"00080060":{"Value":["CT"],"vr":"CS"}}]`, `{"00080060":{"vr":"CS","Value":["CT"]}}`},
		{`{"00100020":{"vr":"LO","Value":["2"]},"00080060":{"vr":"CS","Value":["CT"]}}`, `{"00080060":{"vr":"CS","Value":["CT"]},"00100020":{"vr":"LO","Value":["2"]}}`},
		{`{"00080060":{"Value":["CT"]}}`, `{"00080060":{"vr":"CS","Value":["CT"]}}`},
		{`{"00280010":{"vr":"US","Value":["512"]},"00280011":{"vr":"US","Value":[5.12e2]}}`, `{"00280010":{"vr":"US","Value":[512]},"00280011":{"vr":"US","Value":[512]}}`},
		{`{"00280030":{"vr":"DS","Value":[0.12345678901234567,"1.0"]}}`, `{"00280030":{"vr":"DS","Value":[0.12345678901235,1.0]}}`},
		{`{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Müller"}]}}`, `{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"Müller"}]}}`},
		{`{"00080005":{"vr":"CS","Value":["ISO_IR 100"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"Müller"}]}}`, `{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"Müller"}]}}`},
		{`{"00400275":{"vr":"SQ","Value":[{"00080005":{"vr":"CS"},"00100010":{"vr":"PN","Value":[{"Alphabetic":"é"}]}}]}}`, `{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00400275":{"vr":"SQ","Value":[{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"é"}]}}]}}`},
		{`{"00100010":{"vr":"PN","Value":["A^B", {}]}}`, `{"00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B"},null]}}`},
		{`{"00020010":{"vr":"UI","Value":["1.2"]},"00080000":{"vr":"UL","Value":[2]}}`, `{}`},
		{`{"00400275":{"vr":"SQ","Value":[null,{}]}}`, `{"00400275":{"vr":"SQ","Value":[{},{}]}}`},
		{`{"00400275":{"vr":"SQ","Value":[]}}`, `{"00400275":{"vr":"SQ"}}`},
		{` {} `, `{}`},
	} {
		d, err := dicom.FromJSON(strings.NewReader(c.in), dicom.Limits{}, nil)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if got := toJSON(t, d, dicom.JSONOptions{}); got != c.want {
			t.Errorf("%s became %s", c.in, got)
		}
	}
	n := 0
	if err := dicom.EachJSON(strings.NewReader(`[{},{"00080060":{"vr":"CS"}}]`), dicom.Limits{}, nil, func(*dicom.Dataset) error { n++; return nil }); err != nil || n != 2 {
		t.Errorf("%d data sets, %v", n, err)
	}
}

func TestFromJSONRefuses(t *testing.T) {
	deep := strings.Repeat(`{"00400275":{"vr":"SQ","Value":[`, 70) + strings.Repeat(`]}}`, 70)
	for _, c := range []struct {
		in   string
		kind error
	}{
		{``, dicom.ErrTruncated},
		{`{`, dicom.ErrTruncated},
		{`{"00080060":{"vr":"CS","Value":["CT"`, dicom.ErrTruncated},
		{`[]`, dicom.ErrMalformed},
		{`[{},{}]`, dicom.ErrMalformed},
		{`{} {}`, dicom.ErrMalformed},
		{`"secret"`, dicom.ErrMalformed},
		{`{secret}`, dicom.ErrMalformed},
		{`{"secret":{"vr":"CS"}}`, dicom.ErrMalformed},
		{`{"8":{"vr":"CS"}}`, dicom.ErrMalformed},
		{`{"00080060":["secret"]}`, dicom.ErrMalformed},
		{`{"00080060":{"vr":"secret"}}`, dicom.ErrMalformed},
		{`{"00080060":{"vr":"CS","Value":"secret"}}`, dicom.ErrMalformed},
		{`{"00080060":{"vr":"CS","Value":[["secret"]]}}`, dicom.ErrMalformed},
		{`{"00080060":{"vr":"CS","Value":[true]}}`, dicom.ErrMalformed},
		{`{"00080060":{"vr":"CS","Value":[1]}}`, dicom.ErrMalformed},
		{`{"00080060":{"vr":"CS","Value":["secret\\secret"]}}`, dicom.ErrMalformed},
		{`{"00080060":{"vr":"CS"},"00080060":{"vr":"CS"}}`, dicom.ErrMalformed},
		{`{"00080060":{"vr":"CS","vr":"CS"}}`, dicom.ErrMalformed},
		{`{"00080060":{"vr":"CS","Value":[],"InlineBinary":""}}`, dicom.ErrMalformed},
		{`{"00080060":{"vr":"CS","secret":1}}`, dicom.ErrMalformed},
		{`{"00091001":{"Value":["secret"]}}`, dicom.ErrMalformed},
		{`{"FFFEE000":{"vr":"UN"}}`, dicom.ErrMalformed},
		{`{"00204000":{"vr":"LT","Value":["a","b"]}}`, dicom.ErrMalformed},
		{`{"00280010":{"vr":"US","Value":[65536]}}`, dicom.ErrMalformed},
		{`{"00280010":{"vr":"US","Value":[-1]}}`, dicom.ErrMalformed},
		{`{"00280010":{"vr":"US","Value":[1.5]}}`, dicom.ErrMalformed},
		{`{"00280010":{"vr":"US","Value":["secret"]}}`, dicom.ErrMalformed},
		{`{"00280106":{"vr":"SS","Value":[32768]}}`, dicom.ErrMalformed},
		{`{"00280106":{"vr":"SS","Value":[3.2768e4]}}`, dicom.ErrMalformed},
		{`{"00280009":{"vr":"AT","Value":["secret"]}}`, dicom.ErrMalformed},
		{`{"7FE00010":{"vr":"OW","Value":[1]}}`, dicom.ErrMalformed},
		{`{"7FE00010":{"vr":"OW","InlineBinary":"secret!"}}`, dicom.ErrMalformed},
		{`{"00400275":{"vr":"SQ","Value":["secret"]}}`, dicom.ErrMalformed},
		{`{"00400275":{"vr":"SQ","InlineBinary":"AAAA"}}`, dicom.ErrMalformed},
		{`{"00100010":{"vr":"PN","Value":[{"00100020":{"vr":"LO"}}]}}`, dicom.ErrMalformed},
		{`{"00100010":{"vr":"PN","Value":[{"Alphabetic":"a=b"}]}}`, dicom.ErrMalformed},
		{`{"00100020":{"vr":"LO","Value":[{"Alphabetic":"a"}]}}`, dicom.ErrMalformed},
		{deep, dicom.ErrDepth},
		{`{"00100020":{"vr":"LO","Value":["` + strings.Repeat("x", 70<<10) + `"]}}`, dicom.ErrTooLarge},
		{`{"00280010":{"vr":"US","Value":[` + strings.Repeat("0,", 25<<10) + `0]}}`, dicom.ErrTooLarge},
		{`{"00280010":{"vr":"US"},"00280011":{"vr":"US"},"00280012":{"vr":"US"},"00280013":{"vr":"US"},"00280014":{"vr":"US"},"00280015":{"vr":"US"},"00280016":{"vr":"US"},` +
			`"00280017":{"vr":"US"},"00280018":{"vr":"US"}}`, dicom.ErrTooLarge},
	} {
		lim := dicom.Limits{HeadBytes: 64 << 10}
		if strings.Contains(c.in, "00280018") {
			lim.Elements = 8
		}
		if strings.Contains(c.in, "0,0,") {
			lim.Elements = 1000
		}
		_, err := dicom.FromJSON(strings.NewReader(c.in), lim, nil)
		if !errors.Is(err, c.kind) {
			t.Errorf("%.80s: %v", c.in, err)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "é")) {
			t.Errorf("the error repeats the text: %v", err)
		}
	}
}

// sharedFiles calls f with every file of the shared data that parses.
func sharedFiles(t testing.TB, f func(name string, file *dicom.File)) {
	root := filepath.Join(testdata.Shared(t), "data")
	n := 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if info, err := e.Info(); err != nil || info.Size() > 64<<20 {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := dicom.Parse(b, dicom.Limits{})
		if err != nil {
			return nil
		}
		n++
		f(path, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 150 {
		t.Errorf("only %d files were read", n)
	}
}

// evenBinary takes Base64 of an odd number of bytes, which some files hold, for that of the padded value.
var evenBinary = cmp.FilterPath(func(p cmp.Path) bool {
	k, ok := p.Last().(cmp.MapIndex)
	return ok && k.Key().String() == "InlineBinary"
}, cmp.Transformer("even", func(v any) string {
	b, _ := base64.StdEncoding.DecodeString(v.(string))
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	return string(b)
}))

// What is written is read to the same again, for every real file.
func TestJSONRoundTripFiles(t *testing.T) {
	sharedFiles(t, func(name string, file *dicom.File) {
		name = filepath.Base(name)
		values := map[string][]byte{}
		opts := func(d *dicom.Dataset) dicom.JSONOptions {
			return dicom.JSONOptions{BulkURI: func(i int) (string, bool) {
				b := d.Value(i)
				if d == file.Data {
					values[d.Path(i)] = b
				}
				return d.Path(i), true
			}}
		}
		got := toJSON(t, file.Data, opts(file.Data))
		// Where numbers are big endian, the address stands for them as they are read in little endian; here they stay as they are.
		back, err := dicom.FromJSON(strings.NewReader(got), dicom.Limits{}, func(uri string) ([]byte, error) { return values[uri], nil })
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if again := toJSON(t, back, opts(back)); again != got {
			var a, b any
			json.Unmarshal([]byte(got), &a)
			json.Unmarshal([]byte(again), &b)
			if diff := cmp.Diff(a, b, evenBinary); diff != "" {
				t.Errorf("%s: %.1500s", name, diff)
			}
		}
	})
}

// dcm2json reads the same files with code that shares nothing with ours.
func TestJSONAgainstDcm2json(t *testing.T) {
	dcm2json := testdata.Program(t, "dcm2json")
	if testing.Short() {
		t.Skip("a process for each file")
	}
	compared := 0
	dir := t.TempDir()
	sharedFiles(t, func(name string, file *dicom.File) {
		if strings.Contains(name, "charset") {
			return // it does not convert what lies in items; TestCharsetAgainstDcmdump compares text
		}
		tmp := filepath.Join(dir, "out.json")
		if err := exec.Command(dcm2json, "-q", "-fc", name, tmp).Run(); err != nil {
			return
		}
		out, err := os.ReadFile(tmp)
		if err != nil || !json.Valid(out) {
			return
		}
		var theirs, ours any
		if err := json.Unmarshal(out, &theirs); err != nil {
			return
		}
		got := toJSON(t, file.Data, dicom.JSONOptions{BulkURI: func(int) (string, bool) { return "", true }})
		if err := json.Unmarshal([]byte(got), &ours); err != nil {
			t.Fatal(err)
		}
		compared++
		theirs, ours = comparable(theirs), comparable(ours)
		leaveUnknown(theirs, ours)
		if diff := cmp.Diff(theirs, ours); diff != "" {
			t.Errorf("%s: %.1200s", filepath.Base(name), diff)
		}
	})
	if compared < 100 {
		t.Errorf("only %d files were compared", compared)
	}
}

// leaveUnknown removes what they keep as UN and we read by the dictionary.
func leaveUnknown(theirs, ours any) {
	a, ok1 := theirs.(map[string]any)
	b, ok2 := ours.(map[string]any)
	if !ok1 || !ok2 {
		return
	}
	for k, v := range a {
		x, _ := v.(map[string]any)
		y, _ := b[k].(map[string]any)
		if x == nil || y == nil {
			continue
		}
		if x["vr"] == "UN" {
			delete(a, k)
			delete(b, k)
			continue
		}
		p, _ := x["values"].([]any)
		q, _ := y["values"].([]any)
		for i := range min(len(p), len(q)) {
			leaveUnknown(p[i], q[i])
		}
	}
}

// comparable leaves out what writers may choose: large values, group lengths, empty members.
func comparable(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := map[string]any{}
	for k, v := range m {
		e, ok := v.(map[string]any)
		if !ok || strings.HasSuffix(k, "0000") || strings.HasPrefix(k, "0002") {
			continue
		}
		values, _ := e["Value"].([]any)
		for i, x := range values {
			values[i] = comparable(x)
			if s, ok := x.(string); ok {
				values[i] = strings.TrimSpace(s)
			}
			if f, ok := x.(float64); ok && e["vr"] == "FL" {
				values[i] = float32(f)
			} else if ok && e["vr"] == "FD" { // they write fewer digits than tell doubles apart
				values[i] = strconv.FormatFloat(f, 'g', 14, 64)
			}
			if m, ok := x.(map[string]any); ok && e["vr"] == "PN" { // trailing delimiters say nothing
				for k, g := range m {
					if m[k] = strings.TrimRight(g.(string), "^ "); m[k] == "" {
						delete(m, k)
					}
				}
				values[i] = m
				if len(m) == 0 && len(values) == 1 {
					values = nil
				}
			}
		}
		if k == "00080005" {
			values = nil
		}
		out[k] = map[string]any{"vr": e["vr"], "values": values}
	}
	return out
}

func FuzzFromJSON(f *testing.F) {
	f.Add([]byte(`{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"A","Phonetic":"é"},null]}}`))
	f.Add([]byte(`[{"00400275":{"vr":"SQ","Value":[{"00280030":{"vr":"DS","Value":[1.5,"x"]}},{}]},"00091001":{"vr":"FD","Value":["NaN",1e3]}}]`))
	f.Add([]byte(`{"00280009":{"vr":"AT","Value":["00181063"]},"7FE00010":{"vr":"OW","InlineBinary":"AAAA"},"00091002":{"vr":"SV","Value":["-9007199254740993"]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := dicom.FromJSON(bytes.NewReader(b), dicom.Limits{HeadBytes: 1 << 20}, nil)
		if err != nil {
			return
		}
		one := toJSON(t, d, dicom.JSONOptions{})
		again, err := dicom.FromJSON(strings.NewReader(one), dicom.Limits{}, nil)
		if err != nil {
			t.Fatalf("%v of %s", err, one)
		}
		if two := toJSON(t, again, dicom.JSONOptions{}); two != one {
			t.Fatalf("%s became %s", one, two)
		}
	})
}

// Whatever bytes parse, their JSON is valid.
func FuzzAppendJSON(f *testing.F) {
	f.Add([]byte("\x08\x00\x60\x00CS\x02\x00CT\x10\x00\x20\x00LO\x02\x00A "), uint8(0))
	f.Add([]byte("\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100\x10\x00\x10\x00\x02\x00\x00\x00\xe9="), uint8(1))
	f.Add([]byte("\x00\x28\x00\x30DS\x00\x041\\.5\x00\x40\x02\x75SQ\x00\x00\x00\x00\x00\x08\xff\xfe\xe0\x00\x00\x00\x00\x00"), uint8(2))
	syntaxes := []*dicom.TransferSyntax{dicom.ExplicitVRLittleEndian, dicom.ImplicitVRLittleEndian, dicom.ExplicitVRBigEndian}
	f.Fuzz(func(t *testing.T, b []byte, s uint8) {
		d, err := dicom.ParseDataset(b, syntaxes[int(s)%len(syntaxes)], dicom.Limits{})
		if err == nil {
			toJSON(t, d, dicom.JSONOptions{})
		}
	})
}

func BenchmarkJSON(b *testing.B) {
	build := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	build.String(dicom.TagSpecificCharacterSet, "ISO_IR 100")
	build.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "AXIAL")
	build.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
	build.String(dicom.TagSOPInstanceUID, "1.3.6.1.4.1.14519.5.2.1.6279.6001.319")
	build.String(dicom.TagPatientName, "Doe^Jane")
	build.String(dicom.TagStudyDescription, "Thorax nativ und mit Kontrastmittel")
	build.String(dicom.TagPixelSpacing, "0.703125", "0.703125")
	build.String(dicom.TagImagePositionPatient, "-166.000000", "-171.699997", "-340.000000")
	build.Ints(dicom.TagRows, 512)
	build.Ints(dicom.TagColumns, 512)
	for i := range 20 {
		build.Sequence(dicom.NewTag(0x0040, uint16(0xA000+2*i)), func(item *dicom.Builder) {
			item.String(dicom.TagCodeValue, "399162004")
			item.String(dicom.TagCodingSchemeDesignator, "SCT")
			item.String(dicom.TagCodeMeaning, "Computed tomography of the chest")
		})
	}
	d, err := build.Dataset()
	if err != nil {
		b.Fatal(err)
	}
	out, _ := dicom.AppendJSON(nil, d, dicom.JSONOptions{})
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(out)))
		b.ReportAllocs()
		for b.Loop() {
			out, _ = dicom.AppendJSON(out[:0], d, dicom.JSONOptions{})
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(out)))
		for b.Loop() {
			if _, err := dicom.FromJSON(bytes.NewReader(out), dicom.Limits{}, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What implicit VR leaves open follows PS3.5 A.1: words rather than bytes, and the sign of the pixels.
func TestAppendJSONImplicitChoice(t *testing.T) {
	for signed, want := range []string{
		`{"00280103":{"vr":"US","Value":[0]},"00280120":{"vr":"US","Value":[65535]},"7FE00010":{"vr":"OW","InlineBinary":"AQI="}}`,
		`{"00280103":{"vr":"US","Value":[1]},"00280120":{"vr":"SS","Value":[-1]},"7FE00010":{"vr":"OW","InlineBinary":"AQI="}}`,
	} {
		b := dicom.NewBuilder(dicom.ImplicitVRLittleEndian)
		b.Ints(dicom.TagPixelRepresentation, signed)
		b.Ints(dicom.TagPixelPaddingValue, 65535)
		b.Raw(dicom.TagPixelData, dicom.VROW, []byte{1, 2})
		d, err := b.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		if got := toJSON(t, d, dicom.JSONOptions{}); got != want {
			t.Errorf("got %s", got)
		}
	}
}
