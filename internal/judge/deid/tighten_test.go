package deid

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// What was cleaned loses what is known by now, and nothing else.
func TestTighten(t *testing.T) {
	p, err := Lookup("research")
	if err != nil {
		t.Fatal(err)
	}
	known := func(terms ...Term) *Lexicon {
		l, err := (*Lexicon)(nil).With(terms...)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for _, c := range []struct {
		name  string
		class string
		set   func(b *dicom.Builder)
		known *Lexicon
		want  string // of (0008,103E)
		left  bool
	}{
		{"a word", "1.2.840.10008.5.1.4.1.1.2", func(b *dicom.Builder) { b.String(dicom.TagSeriesDescription, "CHEST CORONAL") }, known(Term{TermSaid, "coronal"}), "CHEST", false},
		{"all of it", "1.2.840.10008.5.1.4.1.1.2", func(b *dicom.Builder) { b.String(dicom.TagSeriesDescription, "CHEST CORONAL") }, known(Term{TermSaid, "Chest Coronal"}), "", false},
		{"where a value has to be", "1.2.840.10008.5.1.4.1.1.88.33", func(b *dicom.Builder) { b.String(dicom.TagSeriesDescription, "CHEST CORONAL") }, known(Term{TermSaid, "Chest Coronal"}), "REMOVED", false},
		{"one value of several", "1.2.840.10008.5.1.4.1.1.2", func(b *dicom.Builder) { b.String(dicom.TagSeriesDescription, `CHEST\CORONAL`) }, known(Term{TermSaid, "coronal"}), `CHEST\`, false},
		{"a serial number", "1.2.840.10008.5.1.4.1.1.2", func(b *dicom.Builder) { b.String(dicom.TagDeviceSerialNumber, "QX778120") }, known(Term{TermIdentifier, "QX778120"}), "", false},
		{"private bytes", "1.2.840.10008.5.1.4.1.1.2", func(b *dicom.Builder) {
			b.String(dicom.Tag(0x00290010), "A MAKER")
			b.Raw(dicom.Tag(0x00291001), dicom.VROB, []byte("xxQX778120xx"))
		}, known(Term{TermIdentifier, "QX778120"}), "", false},
		{"an original UID", "1.2.840.10008.5.1.4.1.1.2", func(b *dicom.Builder) { b.String(dicom.TagFrameOfReferenceUID, "1.2.3.4.5") }, known(), "", true},
		{"nothing", "1.2.840.10008.5.1.4.1.1.2", func(b *dicom.Builder) { b.String(dicom.TagSeriesDescription, "CHEST") }, known(Term{TermSaid, "coronal"}), "CHEST", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
			b.String(dicom.TagSOPClassUID, c.class)
			b.String(dicom.TagStudyDescription, "ABDOMEN")
			c.set(b)
			ds, err := b.Dataset()
			if err != nil {
				t.Fatal(err)
			}
			before := bytes.Clone(ds.Bytes())
			out, done, left, err := p.Tighten(ds, c.known)
			if changed := c.want != "CHEST" || strings.HasPrefix(c.name, "a word"); err == nil && !c.left && (done != nil) != changed {
				t.Error(done)
			}
			if done != nil {
				again, err := DecodeDone(done.Encode())
				if err != nil || again.Encode() != done.Encode() || len(done.Lines) != 1 || done.Lines[0].By != ByGate || strings.Contains(done.Encode(), "QX") || strings.Contains(done.Encode(), "MAKER") {
					t.Errorf("%s, %v", done.Encode(), err)
				}
			}
			if err != nil || (len(left) > 0) != c.left {
				t.Fatal(left, err)
			}
			if !bytes.Equal(before, ds.Bytes()) {
				t.Error("the original has changed")
			}
			if c.left {
				return
			}
			now, err := out.Dataset()
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Trim(string(now.Value(max(now.Find(dicom.TagSeriesDescription), 0))), " "); now.Find(dicom.TagSeriesDescription) >= 0 && got != c.want {
				t.Errorf("%q, not %q", got, c.want)
			}
			if now.String(dicom.TagStudyDescription) != "ABDOMEN" || now.Len() != ds.Len() {
				t.Error("something else has changed")
			}
			if found := Recheck(now, c.known); len(found) > 0 {
				t.Error(found)
			}
			if strings.Contains(fmt.Sprint(left), "QX") {
				t.Error("a reason has a value")
			}
		})
	}
}
