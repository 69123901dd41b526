package deid

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

func lexiconOf(t *testing.T, terms ...Term) *Lexicon {
	t.Helper()
	l, err := (*Lexicon)(nil).With(terms...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Names go from text that no vocabulary lists, however they are spelt there.
func TestNearlyNames(t *testing.T) {
	l := lexiconOf(t, Term{TermName, "HOLLOWAY^MARGARET^ANN"}, Term{TermPerson, "MÜLLER-LÜDENSCHEIDT^JØRG"}, Term{TermPerson, "O'CONNOR^LI"}, Term{TermName, "ŁĄCZYŃSKA^ŻANETA=山田^太郎"})
	w := &words{echo: l.echoWords(), names: newNameIndex(l.nameParts())}
	for _, s := range []string{
		"HOLLOWAY", "Holoway", "Holllway", "HOLLWOAY", "hollowayCT1", "Scanner-mholloway", "margaretholloway", "hollowaym", "Mueller scanner", "Muller scanner", "MULLER",
		"Luedenscheidt", "Ludenscheidt", "Joerg 2", "oconnor", "OConnorLi", "lacznska", "Laczynska", "zaneta", "Margraet", "Hollowey",
	} {
		if w.technical(s, true) {
			t.Errorf("%q stays", s)
		}
	}
	for _, s := range []string{"SOMATOM Definition AS+", "syngo MR B17", "Ingenia", "hollow core", "Discovery 750w", "Magnetom Prisma_fit", "AX1", "Mulberry", "Allura", "hallway"} {
		if !w.technical(s, true) {
			t.Errorf("%q goes", s)
		}
	}
}

// The gate finds names without their marks, short ones beside an initial, and what lies compressed in a value.
func TestGateSpellings(t *testing.T) {
	m := NewMatcher(lexiconOf(t, Term{TermName, "MÜLLER^Jörg"}, Term{TermPerson, "GRAY^Anthony"}, Term{TermPerson, "MUELLENSIEFEN^Åse"}, Term{TermName, "ÆRØSKØBING^Þóra"}))
	for _, s := range []string{"Mueller", "Muller", "Joerg x", "a gray", "Gray A", "J. Muller", "agray@x", "gray anthony", "mullensiefen", "Aeroskobing", "AEROESKOEBING"} {
		if !m.InText("scan " + s + " end") {
			t.Errorf("%q is not found", s)
		}
	}
	if m.InText("gray matter") || m.InText("grayscale") {
		t.Error("an ordinary word is found")
	}
	fold := func(newWriter func(*bytes.Buffer) interface {
		Write([]byte) (int, error)
		Close() error
	}, text string) []byte {
		var z bytes.Buffer
		w := newWriter(&z)
		w.Write([]byte(text))
		w.Close()
		return z.Bytes()
	}
	type writer = interface {
		Write([]byte) (int, error)
		Close() error
	}
	gz := func(b *bytes.Buffer) writer { return gzip.NewWriter(b) }
	zl := func(b *bytes.Buffer) writer { return zlib.NewWriter(b) }
	for name, c := range map[string]struct {
		v    []byte
		want bool
	}{
		"gzip":             {append([]byte("xx"), fold(gz, "the name is Mueller, and more text that is long enough to be compressed, compressed, compressed")...), true},
		"zlib":             {fold(zl, "the name is Mueller, and more text that is long enough to be compressed, compressed, compressed"), true},
		"nothing":          {fold(gz, "nobody's name"), false},
		"gzip within gzip": {fold(gz, string(fold(gz, "x"))), true},
		"too much":         {fold(gz, string(make([]byte, maxUnfolded+1))), true},
		"plain":            {[]byte("the name is Mueller."), true},
	} {
		ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) { b.Raw(0x00291010, dicom.VROB, padEven(c.v)) })
		hit := false
		for _, r := range m.Recheck(ds) {
			hit = hit || r.Where == "(0029,1010)"
		}
		if hit != c.want {
			t.Errorf("%s: %v", name, hit)
		}
	}
}

// What is somebody's, whoever that is, does not pass the gate in a descriptor.
func TestGateIdentifies(t *testing.T) {
	for text, want := range map[string]bool{"chest 943 476 5919": true, "head CT1 2EP": true, "m@n.org": true, "chest 5 mm": false} {
		ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) { b.String(dicom.TagSeriesDescription, text) })
		hit := false
		for _, r := range Recheck(ds, &Lexicon{}) {
			hit = hit || r.Where == dicom.TagSeriesDescription.String()
		}
		if hit != want {
			t.Errorf("%q: %v", text, hit)
		}
	}
}
