package deid

import (
	"bytes"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// What a person has looked at is cleaned by every rule; what looking does not answer is held all the same.
func TestCleanSeen(t *testing.T) {
	p := profileNamed(t, "research")
	for _, c := range []struct {
		name string
		edit func(b *dicom.Builder)
		want Outcome
		code string // of the reason that is left
	}{
		{"burned in, as declared", func(b *dicom.Builder) { b.String(dicom.TagBurnedInAnnotation, "YES") }, Cleaned, ""},
		{"ultrasound", func(b *dicom.Builder) { b.String(dicom.TagModality, "US") }, Cleaned, ""},
		{"report with an item of an unknown kind", func(b *dicom.Builder) {
			b.Sequence(dicom.TagContentSequence, func(b *dicom.Builder) {
				b.String(dicom.TagValueType, "TABLE")
				b.String(dicom.TagTextValue, "Zelazny")
			})
		}, Cleaned, ""},
		{"document", func(b *dicom.Builder) { b.String(dicom.TagModality, "DOC") }, Held, CodeDocument},
		{"audio that is also declared", func(b *dicom.Builder) {
			b.String(dicom.TagModality, "AU")
			b.String(dicom.TagBurnedInAnnotation, "YES")
		}, Held, CodeOpaque},
		{"pixels elsewhere", func(b *dicom.Builder) { b.String(dicom.TagPixelDataProviderURL, "http://a.example/1") }, Held, CodeVideo},
	} {
		t.Run(c.name, func(t *testing.T) {
			ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
				b.String(dicom.TagPatientName, "Zelazny^Anastasia")
				b.String(dicom.TagStudyDescription, "CHEST of Zelazny")
				c.edit(b)
			})
			s := NewSubject(p, testKeys, Identify(ds), nil)
			if r, err := s.Clean(ds); err != nil || r.Outcome != Held {
				t.Fatalf("without a review it is %s (%v)", r.Outcome, err)
			}
			r, err := s.CleanAnswered(ds, Seen)
			if err != nil || r.Outcome != c.want {
				t.Fatalf("%s, %v, %v", r.Outcome, r.Reasons, err)
			}
			if c.want != Cleaned {
				if r.Reasons[0].Code != c.code || Seen.Settles(r.Reasons[0]) || r.Rendered != nil {
					t.Errorf("left is %v", r.Reasons)
				}
				return
			}
			out, err := r.Rendered.Dataset()
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(bytes.ToUpper(out.Bytes()), []byte("ZELAZNY")) || value(out, dicom.TagPatientID) != s.Pseudonym() {
				t.Error("it was not cleaned")
			}
			if v := out.String(dicom.TagBurnedInAnnotation); v != "" && v != "NO" {
				t.Errorf("burned in: %s", v)
			}
		})
	}
}

func TestMentions(t *testing.T) {
	lex, err := (*Lexicon)(nil).With(Term{TermName, "Li^Anastasia"}, Term{TermIdentifier, "4471-88"}, Term{TermBirthDate, "19570322"})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"no text in the pixels": false, "": false, "masked by the site, 3 frames": false,
		"it says Li on the left": true, "ANASTASIA in a corner": true, "number 447188 is shown": true, "born 22.03.1957": true,
	} {
		if got := lex.Mentions(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// Cleaned pixels answer for writing in pixels, and for nothing else.
func TestCleanPainted(t *testing.T) {
	p := profileNamed(t, "research")
	for _, c := range []struct {
		name string
		edit func(b *dicom.Builder)
		want Outcome
		code string // of the reason that is left
	}{
		{"burned in, as declared", func(b *dicom.Builder) { b.String(dicom.TagBurnedInAnnotation, "YES") }, Cleaned, ""},
		{"ultrasound", func(b *dicom.Builder) { b.String(dicom.TagModality, "US") }, Cleaned, ""},
		{"a film that was digitised", func(b *dicom.Builder) { b.String(dicom.TagConversionType, "DF") }, Cleaned, ""},
		{"a photograph", func(b *dicom.Builder) { b.String(dicom.TagModality, "XC") }, Held, CodePhotograph},
		{"audio", func(b *dicom.Builder) { b.String(dicom.TagModality, "AU") }, Held, CodeOpaque},
		{"a document", func(b *dicom.Builder) { b.String(dicom.TagModality, "DOC") }, Held, CodeDocument},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, ts := range []*dicom.TransferSyntax{dicom.ExplicitVRLittleEndian, dicom.ImplicitVRLittleEndian} {
				ds := sampleCT(t, ts, c.edit)
				s := NewSubject(p, testKeys, Identify(ds), nil)
				if r, err := s.Clean(ds); err != nil || r.Outcome != Held {
					t.Fatalf("with its pixels as they came it is %s (%v)", r.Outcome, err)
				}
				r, err := s.CleanAnswered(ds, Painted)
				if err != nil || r.Outcome != c.want {
					t.Fatalf("%s, %v, %v", r.Outcome, r.Reasons, err)
				}
				if c.want != Cleaned {
					if r.Reasons[0].Code != c.code {
						t.Errorf("left is %v", r.Reasons)
					}
					continue
				}
				out, err := r.Rendered.Dataset()
				if err != nil {
					t.Fatal(err)
				}
				if v := out.String(dicom.TagBurnedInAnnotation); v != "NO" {
					t.Errorf("burned in: %q", v)
				}
				if !bytes.Contains(out.Bytes(), []byte("113101")) {
					t.Error("it does not say that its pixels were cleaned")
				}
			}
		})
	}
	ds := sampleCT(t, dicom.ExplicitVRLittleEndian, nil)
	r, err := NewSubject(p, testKeys, Identify(ds), nil).Clean(ds)
	if err != nil || r.Outcome != Cleaned || bytes.Contains(r.Rendered.Head, []byte("113101")) {
		t.Error("it says that its pixels were cleaned, which they were not")
	}
}

// What lies behind the last pixel is no picture: looking at the image does not answer for it, nor does painting.
func TestBytesBehindPixels(t *testing.T) {
	p := profileNamed(t, "research")
	for more, want := range map[int]Outcome{0: Cleaned, 2: Held, 12: Held} {
		ds := sampleCT(t, dicom.ExplicitVRLittleEndian, nil)
		i := ds.Find(dicom.TagPixelData)
		e := ds.Edit()
		e.SetValue(i, append(bytes.Clone(ds.Value(i)), make([]byte, more)...))
		r, err := e.Render()
		if err != nil {
			t.Fatal(err)
		}
		if ds, err = r.Dataset(); err != nil {
			t.Fatal(err)
		}
		for _, by := range []Answer{0, Seen, Painted} {
			res, err := NewSubject(p, testKeys, Identify(ds), nil).CleanAnswered(ds, by)
			if err != nil || res.Outcome != want {
				t.Errorf("with %d bytes more, answered %d, it is %s %v (%v)", more, by, res.Outcome, res.Reasons, err)
			}
		}
	}
}

// What is kept for those who look after it has a clean header, and what no rule can clean as it came; it claims nothing.
func TestCleanKept(t *testing.T) {
	p := profileNamed(t, "research")
	letter := []byte("%PDF-1.4 about Anastasia Zelazny ")
	doc := func(b *dicom.Builder) {
		b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.104.1")
		b.String(dicom.TagModality, "DOC")
		b.Raw(dicom.TagEncapsulatedDocument, dicom.VROB, letter)
	}
	for _, c := range []struct {
		name string
		edit func(b *dicom.Builder)
		want Outcome
		has  []byte // in what is left
		not  string
	}{
		{"document", doc, Cleaned, letter, ""},
		{"document that claims to be clean", func(b *dicom.Builder) {
			doc(b)
			b.String(dicom.TagPatientIdentityRemoved, "YES")
			b.String(dicom.TagDeidentificationMethod, "by hand")
		}, Cleaned, letter, "by hand"},
		{"raw data", func(b *dicom.Builder) {
			b.String(dicom.TagSOPClassUID, rawSOP)
			b.Raw(dicom.Tag(0x00290010), dicom.VRLO, []byte("SOMEBODY"))
			b.Raw(dicom.Tag(0x00291001), dicom.VROB, []byte("echoes of Zelazny "))
			b.Raw(dicom.Tag(0x00291002), dicom.VRLO, []byte("Zelazny was here"))
		}, Cleaned, []byte("echoes of Zelazny "), "was here"},
		{"private data of an image", func(b *dicom.Builder) {
			b.String(dicom.TagBurnedInAnnotation, "YES")
			b.Raw(dicom.Tag(0x00290010), dicom.VRLO, []byte("SOMEBODY"))
			b.Raw(dicom.Tag(0x00291001), dicom.VROB, []byte("echoes of Zelazny "))
		}, Cleaned, nil, "echoes"},
		{"photograph", func(b *dicom.Builder) { b.String(dicom.TagModality, "XC") }, Cleaned, nil, ""},
		{"video", func(b *dicom.Builder) { b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.77.1.1.1") }, Cleaned, nil, ""},
		{"pixels elsewhere", func(b *dicom.Builder) { b.String(dicom.TagPixelDataProviderURL, "http://a.example/1") }, Held, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
				b.String(dicom.TagPatientName, "Zelazny^Anastasia")
				b.String(dicom.TagStudyDescription, "CHEST of Zelazny")
				c.edit(b)
			})
			s := NewSubject(p, testKeys, Identify(ds), nil)
			r, err := s.CleanAnswered(ds, Kept)
			if err != nil || r.Outcome != c.want {
				t.Fatalf("%s, %v, %v", r.Outcome, r.Reasons, err)
			}
			if c.want != Cleaned {
				return
			}
			out, err := r.Rendered.Dataset()
			if err != nil {
				t.Fatal(err)
			}
			b := out.Bytes()
			if c.has != nil && !bytes.Contains(b, c.has) {
				t.Error("what it is kept for is gone")
			}
			if c.not != "" && bytes.Contains(b, []byte(c.not)) {
				t.Errorf("%q is in it", c.not)
			}
			if rest := bytes.ReplaceAll(b, c.has, nil); c.has != nil && bytes.Contains(bytes.ToUpper(rest), []byte("ZELAZNY")) || value(out, dicom.TagPatientID) != s.Pseudonym() {
				t.Error("its header was not cleaned")
			}
			if value(out, dicom.TagPatientIdentityRemoved) != "NO" || out.Has(dicom.TagDeidentificationMethod) || out.Has(dicom.TagDeidentificationMethodCodeSequence) {
				t.Error("it claims to be clean")
			}
			if value(ds, dicom.TagBurnedInAnnotation) == "YES" && value(out, dicom.TagBurnedInAnnotation) != "YES" {
				t.Error("it claims that nothing is burned in")
			}
			if Payload(out) != (c.has != nil) {
				t.Error("what stays as it came is not known")
			}
			// Looked at, it says what an accepted one says.
			seen, err := p.DeclareSeen(out)
			if err != nil {
				t.Fatal(err)
			}
			if ds, err := seen.Dataset(); err != nil || value(ds, dicom.TagPatientIdentityRemoved) != "YES" || !ds.Has(dicom.TagDeidentificationMethodCodeSequence) {
				t.Error("it does not say that it was cleaned", err)
			}
		})
	}
}
