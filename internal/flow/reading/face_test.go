package reading_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/face"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// body is a coarse CT of a generated anatomy.
func body(t *testing.T, anatomy, part string) *sample.Scan {
	t.Helper()
	for _, a := range sample.Anatomies(5) {
		if a.Name == anatomy {
			return &sample.Scan{Seed: 5, Of: a, Modality: "CT", Pixel: 4, Between: 10, Noise: 20, BodyPart: part}
		}
	}
	t.Fatal("there is no such anatomy")
	return nil
}

// give deposits slices of a scan.
func (x *rig) give(c collection.ID, s *sample.Scan, from, to int) {
	x.t.Helper()
	dep, err := x.Custody.Begin(x.t.Context(), c, custody.DoorSTOW, "token-of-ward-7")
	if err != nil {
		x.t.Fatal(err)
	}
	for i := from; i < to; i++ {
		in, err := s.Instance(i)
		if err != nil {
			x.t.Fatal(err)
		}
		if _, err := dep.Receive(x.t.Context(), custody.Incoming{Syntax: dicom.ExplicitVRLittleEndian, Data: custody.FromReader(bytes.NewReader(in.Data()))}); err != nil {
			x.t.Fatal(err)
		}
	}
	dep.End()
	if err := x.Custody.Barrier(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
}

func many(n int, s policy.State) []policy.State { return slices.Repeat([]policy.State{s}, n) }

func (x *rig) public(id collection.ID) {
	x.t.Helper()
	c := collection.Collection{ID: id, Title: "Open", Profile: "public", ProfileVersion: "1"}
	if err := x.Stores.DB.Write(x.t.Context(), func(tx *db.Tx) error { return x.Stores.Collections.Create(tx, c) }); err != nil {
		x.t.Fatal(err)
	}
}

func has(l catalogue.Located, code string) bool {
	return slices.ContainsFunc(l.Reasons, func(r catalogue.Reason) bool { return r.Code == code })
}

// Under research a face is noted and nothing more.
func TestFaceNoted(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		s := body(t, "head", "CHEST")
		x.give("breast", s, 0, s.Len())
		all := x.settled(many(s.Len(), policy.Admitted)...)
		f, err := x.Stores.Catalogue.FaceOf(t.Context(), all[0].SeriesID)
		if err != nil || f.Outcome != face.Visible || f.Slices != s.Len() {
			t.Errorf("what was found: %+v, %v", f, err)
		}
		thorax := body(t, "thorax", "")
		thorax.Seed = 6
		x.give("breast", thorax, 0, thorax.Len())
		x.settled(many(s.Len()+thorax.Len(), policy.Admitted)...)
		n, err := x.Stores.Catalogue.Faces(t.Context(), "breast")
		if err != nil || n != (catalogue.FaceCounts{Faces: 1, None: 1}) {
			t.Errorf("series by what they show: %+v, %v", n, err)
		}
		of, err := x.Stores.Catalogue.FacesOf(t.Context(), all[0].StudyID)
		if err != nil || of[all[0].Series] != f {
			t.Errorf("of the study: %+v, %v", of, err)
		}
	})
}

// Under public it is held, whatever the header says, until a person has looked.
func TestFaceHeld(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		x.public("open")
		thorax := body(t, "thorax", "CHEST")
		x.give("open", thorax, 0, thorax.Len())
		x.settled(many(thorax.Len(), policy.Admitted)...)
		head := body(t, "head", "CHEST")
		x.give("open", head, 0, head.Len())
		all := x.settled(append(many(thorax.Len(), policy.Admitted), many(head.Len(), policy.Held)...)...)
		for _, l := range all[thorax.Len():] {
			if !has(l, deid.CodeFaceFound) || has(l, deid.CodeFace) {
				t.Fatalf("it is held for %v", l.Reasons)
			}
			if why, err := x.Custody.Accept(t.Context(), l, custody.Reviewer{Actor: "steward"}); err != nil || len(why) > 0 {
				t.Fatalf("accepted: %v, %v", why, err)
			}
		}
		x.settled(many(thorax.Len()+head.Len(), policy.Admitted)...)
	})
}

// The top of a head shows no face. When the rest of the series comes, all of it does.
func TestFaceLater(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		x.public("open")
		s := body(t, "head", "CHEST")
		top := s.Len() * 4 / 5 // slices count up from the neck
		x.give("open", s, top, s.Len())
		all := x.settled(many(s.Len()-top, policy.Admitted)...)
		if f, err := x.Stores.Catalogue.FaceOf(t.Context(), all[0].SeriesID); err != nil || f.Outcome != face.NotVisible {
			t.Fatalf("what the top shows: %+v, %v", f, err)
		}
		x.give("open", s, 0, top)
		for _, l := range x.settled(many(s.Len(), policy.Held)...) {
			if !has(l, deid.CodeFaceFound) {
				t.Fatalf("it is held for %v", l.Reasons)
			}
		}
	})
}
