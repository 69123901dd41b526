package deid

import (
	"bytes"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/plant"
)

// cleanedElsewhere cleans an object as a gateway does, with a secret that the prover may not have, and gives what was made of it with its values in place.
func cleanedElsewhere(t *testing.T, ds *dicom.Dataset, p *Profile, by Answer) (*dicom.Dataset, *Subject, bool) {
	t.Helper()
	s := NewSubject(p, testKeys, Identify(ds), nil)
	r, err := s.CleanAnswered(ds, by)
	if err != nil {
		t.Fatal(err)
	}
	if r.Outcome != Cleaned {
		return nil, nil, false
	}
	out, err := r.Rendered.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return out, s, true
}

var otherKeys = NewKeys([32]byte{9, 9, 9})

// What a gateway has cleaned is proven by who has other keys, as it is; what came is not.
func TestWhatWasCleanedElsewhereIsProven(t *testing.T) {
	for _, name := range []string{"research", "basic", "public", "basic+retain-uids", "research+retain-institution-identity"} {
		p := profileNamed(t, name)
		t.Run(name, func(t *testing.T) {
			proven, raw := 0, 0
			corpus(t, func(t *testing.T, _ string, file *dicom.File) {
				for _, by := range []Answer{0, Seen, Painted, Seen | Painted} {
					clean, s, ok := cleanedElsewhere(t, file.Data, p, by)
					if !ok {
						continue
					}
					g := NewGiven(p, otherKeys, s.Link(), s.Pseudonym(), nil)
					r, err := g.Prove(clean, by)
					if err != nil {
						t.Fatal(err)
					}
					if r.Outcome != Cleaned {
						t.Errorf("answer %d: what was cleaned is %s: %v", by, r.Outcome, r.Reasons)
						continue
					}
					if !bytes.Equal(r.Rendered.Head, clean.Render().Head) || r.SOPInstanceUID != clean.UID(dicom.TagSOPInstanceUID) || len(r.NewTerms) > 0 {
						t.Error("it does not pass as it is")
					}
					proven++
					if r, err := g.Prove(file.Data, by); err != nil || r.Outcome == Cleaned {
						t.Errorf("what came passes: %v", err)
					}
					raw++
				}
			})
			t.Logf("%d proven, %d refused", proven, raw)
		})
	}
}

// The same of objects in which identities are planted everywhere; and who puts the pseudonym over the name alone is found out.
func TestPlantedObjectsAreProvenCleanedAlone(t *testing.T) {
	set, err := plant.Generate(plant.Options{Seed: 77, Subjects: 3})
	if err != nil {
		t.Fatal(err)
	}
	p := profileNamed(t, "research")
	proven := 0
	for _, f := range set.Files {
		file, err := dicom.Parse(f.Bytes, dicom.Limits{})
		if err != nil {
			continue
		}
		clean, s, ok := cleanedElsewhere(t, file.Data, p, Seen|Painted)
		if !ok {
			continue
		}
		g := NewGiven(p, otherKeys, s.Link(), s.Pseudonym(), nil)
		if r, err := g.Prove(clean, Seen|Painted); err != nil || r.Outcome != Cleaned {
			t.Errorf("%s %s: %v %v", f.Kind, f.Syntax, err, r.Reasons)
		}
		proven++
		e := file.Data.Edit()
		for _, tag := range []dicom.Tag{dicom.TagPatientID, dicom.TagPatientName} {
			if i := file.Data.Find(tag); i >= 0 {
				e.SetValue(i, []byte(s.Pseudonym()))
			}
		}
		masked, err := e.Render()
		if err != nil {
			t.Fatal(err)
		}
		ds, err := masked.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		if r, err := g.Prove(ds, Seen|Painted); err != nil || r.Outcome == Cleaned {
			t.Errorf("%s %s passes with nothing but its name changed", f.Kind, f.Syntax)
		}
	}
	if proven < 50 {
		t.Errorf("%d objects", proven)
	}
	t.Logf("%d of %d", proven, len(set.Files))
}

// A cleaned object to which anything is added, or in which anything stands that the rules would not leave, is held at that place.
func TestOneChangeIsFound(t *testing.T) {
	p := profileNamed(t, "research")
	clean, s, ok := cleanedElsewhere(t, sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
		b.Sequence(dicom.TagContributingEquipmentSequence, func(b *dicom.Builder) {
			b.String(dicom.TagManufacturer, "SIEMENS")
			b.Sequence(dicom.TagPurposeOfReferenceCodeSequence, func(b *dicom.Builder) {
				b.String(dicom.TagCodeValue, "109101")
				b.String(dicom.TagCodingSchemeDesignator, "DCM")
				b.String(dicom.TagCodeMeaning, "Acquisition Equipment")
			})
		})
	}), p, 0)
	if !ok {
		t.Fatal("held")
	}
	prove := func(edit func(e *dicom.Edit)) *Result {
		t.Helper()
		e := clean.Edit()
		edit(e)
		r, err := e.Render()
		if err != nil {
			t.Fatal(err)
		}
		ds, err := r.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		res, err := NewGiven(p, otherKeys, s.Link(), s.Pseudonym(), nil).Prove(ds, 0)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	if r := prove(func(*dicom.Edit) {}); r.Outcome != Cleaned {
		t.Fatal(r.Reasons)
	}
	set := func(tag dicom.Tag, v string) func(e *dicom.Edit) {
		return func(e *dicom.Edit) {
			i := clean.Find(tag)
			if i < 0 {
				e.Insert(dicom.Root, tag, dicom.VRLO, []byte(v))
				return
			}
			e.SetValue(i, []byte(v))
		}
	}
	for name, c := range map[string]struct {
		edit func(e *dicom.Edit)
		code string
		at   dicom.Tag
	}{
		"a name in a descriptor":     {set(dicom.TagStudyDescription, "CT CHEST HOLLOWAY"), CodeUnproven, dicom.TagStudyDescription},
		"an original UID":            {set(dicom.TagSOPInstanceUID, "1.2.840.113619.2.5.1"), CodeUnproven, dicom.TagSOPInstanceUID},
		"a frame of reference":       {set(dicom.TagFrameOfReferenceUID, "1.2.840.113619.2.5.9"), CodeUnproven, dicom.TagFrameOfReferenceUID},
		"a birth date":               {set(dicom.TagPatientBirthDate, "19570322"), CodeUnproven, dicom.TagPatientBirthDate},
		"an institution":             {set(dicom.TagInstitutionName, hospital), CodeUnproven, dicom.TagInstitutionName},
		"an age":                     {set(dicom.TagPatientAge, "093Y"), CodeUnproven, dicom.TagPatientAge},
		"another pseudonym":          {set(dicom.TagPatientID, "2222-3333-4444"), CodeUnproven, dicom.TagPatientID},
		"another name":               {set(dicom.TagPatientName, family), CodeUnproven, dicom.TagPatientName},
		"a method of somebody":       {set(dicom.TagDeidentificationMethod, "by hand"), CodeMarker, dicom.TagDeidentificationMethod},
		"a method that tells a name": {set(dicom.TagDeidentificationMethod, "Vitrine research 2\\HOLLOWAY"), CodeMarker, dicom.TagDeidentificationMethod},
		"not said to be removed":     {set(dicom.TagPatientIdentityRemoved, "NO"), CodeUnproven, dicom.TagPatientIdentityRemoved},
		"an unknown element":         {set(dicom.Tag(0x00080fff), "HOLLOWAY"), CodeUnproven, dicom.Tag(0x00080fff)},
	} {
		r := prove(c.edit)
		found := false
		for _, why := range r.Reasons {
			found = found || why.Code == c.code && why.Where == c.at.String()
		}
		if r.Outcome != Held || !found {
			t.Errorf("%s: %s %v", name, r.Outcome, r.Reasons)
		}
	}
	for name, edit := range map[string]func(e *dicom.Edit){
		"another version of the profile": set(dicom.TagDeidentificationMethod, "Vitrine research 1\\"+editionText),
		"a site's own rules":             set(dicom.TagDeidentificationMethod, "Vitrine lantern 3\\rules sha256:00112233445566778899aabbccddeeff\\on research 2\\"+editionText),
	} {
		if r := prove(edit); r.Outcome != Cleaned {
			t.Errorf("%s: %v", name, r.Reasons)
		}
	}
	// The marker of the equipment is looked into.
	for i := range clean.Len() {
		if clean.At(i).Tag == dicom.TagSoftwareVersions && clean.At(i).Parent != dicom.Root {
			if r := prove(func(e *dicom.Edit) { e.SetValue(i, []byte("HOLLOWAY MARGARET")) }); r.Outcome != Held {
				t.Error("a name passes as a version")
			}
		}
		if clean.At(i).Tag == dicom.TagManufacturer && clean.At(i).Parent != dicom.Root && clean.Text(i) == "SIEMENS" {
			if r := prove(func(e *dicom.Edit) { e.SetValue(i, []byte("HOLLOWAY")) }); r.Outcome != Held {
				t.Error("a name passes as another maker of the equipment")
			}
		}
	}
	// What is known of the subject here is searched for here.
	lex, err := (&Lexicon{}).With(Term{TermName, "Chestworth"})
	if err != nil {
		t.Fatal(err)
	}
	e := clean.Edit()
	e.SetValue(clean.Find(dicom.TagManufacturerModelName), []byte("CHESTWORTH"))
	r, _ := e.Render()
	ds, _ := r.Dataset()
	if res, err := NewGiven(p, otherKeys, s.Link(), s.Pseudonym(), lex).Prove(ds, 0); err != nil || res.Outcome != Held {
		t.Errorf("%v %v", res, err)
	}
	// Accepted by somebody, what was not proven is cleaned by the profile, and then is.
	e = clean.Edit()
	set(dicom.TagStudyDescription, "CT CHEST HOLLOWAY")(e)
	r, _ = e.Render()
	ds, _ = r.Dataset()
	g := NewGiven(p, otherKeys, s.Link(), s.Pseudonym(), nil)
	mended, err := g.CleanAnswered(ds, Seen)
	if err != nil || mended.Outcome != Cleaned {
		t.Fatal(mended, err)
	}
	out, err := mended.Rendered.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := g.Prove(out, Seen); err != nil || again.Outcome != Cleaned || out.String(dicom.TagStudyDescription) != "CT CHEST" || out.UID(dicom.TagSOPInstanceUID) != clean.UID(dicom.TagSOPInstanceUID) {
		t.Error(again, err)
	}
}

// A rule of a collection's own is a fixed point too.
func TestOwnRulesAreProven(t *testing.T) {
	p, err := ParseProfile([]byte(`name: lantern
version: 4
vocabulary: [lantern]
rules:
  - {id: age, reason: bands, match: {keyword: PatientAge}, action: generalise, bands: 10}
  - {id: weight, reason: grid, match: {keyword: PatientWeight}, action: generalise, round: 5}
  - {id: site, reason: all one site, match: {keyword: InstitutionName}, action: replace, value: "SITE 1"}
  - {id: station, reason: told apart, match: {keyword: StationName}, action: code}
  - {id: study, reason: month, match: {keyword: StudyDate}, action: generalise, date: month}
  - {id: comments, reason: nobody needs them, match: {keyword: ImageComments}, action: remove}
`))
	if err != nil {
		t.Fatal(err)
	}
	ds := sampleCT(t, dicom.ImplicitVRLittleEndian, func(b *dicom.Builder) {
		b.String(dicom.TagPatientAge, "067Y")
		b.String(dicom.TagPatientWeight, "83.4")
		b.String(dicom.TagStationName, "OBERMAYERS")
	})
	clean, s, ok := cleanedElsewhere(t, ds, p, 0)
	if !ok {
		t.Fatal("held")
	}
	if r, err := NewGiven(p, otherKeys, s.Link(), s.Pseudonym(), nil).Prove(clean, 0); err != nil || r.Outcome != Cleaned {
		t.Error(r.Reasons, err)
	}
}
