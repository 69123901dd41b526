package deid

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// benchImage is a CT image of 527 kB, as a head whose pixel data lies apart.
func benchImage(b *testing.B) ([]byte, []dicom.BulkRef, *dicom.TransferSyntax) {
	b.Helper()
	path := filepath.Join(testdata.Shared(b), "data", "dicom", "ct-series-Philips-phantom-28", "dcm_qa_ct__I100")
	raw, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	f, err := dicom.Parse(raw, dicom.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	r := f.Data.Render()
	return r.Head, r.Bulk, r.Syntax
}

func BenchmarkClean(b *testing.B) {
	p, _ := Lookup("research")
	benchmarkClean(b, p)
}

func benchmarkClean(b *testing.B, p *Profile) {
	head, bulk, ts := benchImage(b)
	ds, err := dicom.ParseHead(head, bulk, ts, dicom.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	s := NewSubject(p, NewKeys([32]byte{1}), Identify(ds), nil)
	at := int(ds.At(ds.Find(dicom.TagSOPInstanceUID)).ValueStart)
	b.ReportMetric(float64(ds.Len()), "elements")
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		head[at+20] = '0' + byte(n%10) // no two instances share their UID
		head[at+21] = '0' + byte(n/10%10)
		ds, err := dicom.ParseHead(head, bulk, ts, dicom.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		r, err := s.Clean(ds)
		if err != nil || r.Outcome != Cleaned {
			b.Fatal(r, err)
		}
	}
}

func BenchmarkGate(b *testing.B) {
	head, bulk, ts := benchImage(b)
	ds, err := dicom.ParseHead(head, bulk, ts, dicom.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	m := NewMatcher(benchLexicon())
	b.SetBytes(int64(len(ds.Bytes())))
	b.ReportAllocs()
	for b.Loop() {
		if _, p, _ := m.find(ds.Bytes(), 0, 0); p >= 0 {
			b.Fatal("hit")
		}
	}
}

func benchLexicon() *Lexicon {
	l, _ := (*Lexicon)(nil).With(
		Term{TermName, "HOLLOWAY^MARGARET^ANN^MRS"}, Term{TermIdentifier, "RX1-4482139"}, Term{TermIdentifier, "943 476 5919"},
		Term{TermBirthDate, "19570322"}, Term{TermPerson, "OBERMAYER^KLAUS^^DR"}, Term{TermPerson, "TANAKA^YUKI"}, Term{TermIdentifier, "ACC20190312-07"},
		Term{TermPlace, "ST BRENNAN GENERAL HOSPITAL"}, Term{TermContact, "14 Wexcombe Lane, Salisbury SP1 2QQ"}, Term{TermContact, "+44 1722 555 0173"},
		Term{TermDate, "20190312"}, Term{TermDate, "20190313"})
	return l
}

func BenchmarkScanBulk(b *testing.B) {
	m := NewMatcher(benchLexicon())
	buf := bytes.Repeat([]byte{0x12, 0x84, 'a', 0x99, 0xFF, 0x00, 'k', 0x01, 0xE3, 'h', 'o', 0x07, 0x55, 0xCC}, 1<<16)
	s := m.NewBulkScanner()
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		s.Write(buf)
	}
	if s.Hit() {
		b.Fatal("hit")
	}
}

func BenchmarkNewMatcher(b *testing.B) {
	l := benchLexicon()
	b.ReportAllocs()
	for b.Loop() {
		NewMatcher(l)
	}
}
