package reading_test

import (
	"bytes"
	"encoding/json"
	"image"
	"slices"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/reading"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/object"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// scan is the first ultrasound image of the k-th sample.
func scan(t *testing.T, k int) []byte {
	t.Helper()
	for s := range sample.Studies(7 + uint64(k)) {
		if s.Kind == "US" {
			i, err := s.Instance(0)
			if err != nil {
				t.Fatal(err)
			}
			return i.Data()
		}
	}
	t.Fatal("the sample has none")
	return nil
}

// photographs are ultrasound images that call themselves photographs: text is found in them, and a person has to look.
func (x *rig) photographs(n int) []catalogue.Located {
	x.t.Helper()
	var states []policy.State
	for k := range n {
		x.deposit(bytes.Replace(scan(x.t, k), []byte("CS\x02\x00US"), []byte("CS\x02\x00XC"), 1))
		states = append(states, policy.Held)
	}
	return x.settled(states...)
}

// desk is a review that paints.
func (x *rig) desk() *review.Flow {
	pool := codec.NewPool(codec.Options{Command: x.cfg.Decoder})
	x.t.Cleanup(func() { _ = pool.Close() })
	s := x.Stores
	return review.New(review.Parts{Custody: x.Custody, Catalogue: s.Catalogue, Collections: s.Collections, Subjects: s.Subjects,
		Clean: reading.New(reading.Parts{DB: s.DB, Custody: x.Custody, Catalogue: s.Catalogue, Collections: s.Collections, Codecs: pool, Log: x.cfg.Log})})
}

// painting is what the record of an accepted instance says of its pixels.
func (x *rig) painting(l catalogue.Located) custody.Painting {
	x.t.Helper()
	sub, err := x.Stores.Subjects.Get(x.t.Context(), l.Subject)
	if err != nil {
		x.t.Fatal(err)
	}
	key, err := x.Stores.Ring.Get(x.t.Context(), keys.ID(sub.Key))
	if err != nil {
		x.t.Fatal(err)
	}
	o, err := object.Open(x.t.Context(), x.Stores.Packs, pack.Ref{Pack: pack.ID(l.Ref.Pack), Offset: l.Ref.Offset}, key)
	if err != nil {
		x.t.Fatal(err)
	}
	defer o.Close()
	meta, err := o.Meta()
	if err != nil {
		x.t.Fatal(err)
	}
	_, rest, err := object.DecodeMeta(meta)
	if err != nil {
		x.t.Fatal(err)
	}
	var m struct {
		Accepts struct {
			Actor   string
			Painted custody.Painting
		}
	}
	if err := json.Unmarshal(rest, &m); err != nil || m.Accepts.Actor != "person-ada" {
		x.t.Fatalf("%+v %v", m, err)
	}
	return m.Accepts.Painted
}

// What a person draws is painted and nothing else, and the record says so; drawn for many, what is found in each is painted as well.
func TestDrawn(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		held := x.photographs(3)
		desk, ada := x.desk(), review.Caller{Actor: "person-ada", Grants: []policy.Grant{{Role: policy.Steward, Collection: "breast"}}}
		box := catalogue.FoundBox{First: 1, Box: [4]int{600, 300, 630, 340}} // in the picture, where no text is
		for name, b := range map[string]catalogue.FoundBox{"beyond": {First: 1, Box: [4]int{0, 0, 641, 1}}, "of no width": {First: 1, Box: [4]int{5, 5, 5, 9}}, "no frame": {First: 2, Box: [4]int{0, 0, 1, 1}},
			"before the first": {First: 1, Box: [4]int{-1, 0, 1, 1}}, "backwards": {First: 3, Last: 2, Box: [4]int{0, 0, 1, 1}}} {
			out, err := desk.PaintBoxes(t.Context(), ada, "breast", []catalogue.InstanceID{held[0].ID}, &custody.Boxes{Drawn: []catalogue.FoundBox{box, b}, Only: true}, "")
			if err == nil && out[0].Outcome != review.Held {
				t.Errorf("a box %s: %+v", name, out)
			}
		}
		if now := x.all(); now[0].State != policy.Held {
			t.Fatal(now[0].State)
		}
		if out, err := desk.PaintBoxes(t.Context(), ada, "breast", []catalogue.InstanceID{held[0].ID}, &custody.Boxes{Drawn: []catalogue.FoundBox{box}, Only: true}, ""); err != nil || out[0].Outcome != review.Accepted {
			t.Fatal(out, err)
		}
		if out, err := desk.PaintBoxes(t.Context(), ada, "breast", []catalogue.InstanceID{held[1].ID, held[2].ID}, &custody.Boxes{Drawn: []catalogue.FoundBox{box}}, ""); err != nil || out[0].Outcome != review.Accepted ||
			out[1].Outcome != review.Accepted {
			t.Fatal(out, err)
		}
		for k, l := range x.settled(policy.Admitted, policy.Admitted, policy.Admitted) {
			d, err := dicom.ParseDataset(scan(t, k), dicom.ExplicitVRLittleEndian, dicom.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			came := d.Value(d.PixelData())
			ds, got := x.pixels(l)
			if ds.String(dicom.TagBurnedInAnnotation) != "NO" {
				t.Error("it does not say that its pixels were cleaned")
			}
			inside, outside := 0, 0
			for y := range 480 {
				for c := range 640 {
					at := 3 * (y*640 + c)
					switch in := image.Pt(c, y).In(image.Rect(600, 300, 630, 340)); {
					case in && !bytes.Equal(got[at:at+3], []byte{0, 0, 0}):
						inside++
					case !in && !bytes.Equal(got[at:at+3], came[at:at+3]):
						outside++
					}
				}
			}
			if inside > 0 || (outside > 0) != (k > 0) {
				t.Errorf("image %d: %d pixels of the box are left, %d outside were changed", k, inside, outside)
			}
			p := x.painting(l)
			drawn := catalogue.FoundBox{First: 1, Last: 1, Box: box.Box}
			if len(p.Drawn) != 1 || p.Drawn[0] != drawn || p.Chosen != (k == 0) || (len(p.Left) > 0) != (k == 0) || (len(p.Boxes) == 1) != (k == 0) || p.Frames != 1 {
				t.Errorf("the record of image %d says %+v", k, p)
			}
		}
	})
}

// A box that a person takes away is not painted, although it is read as text before and after.
func TestTakenAway(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		l := x.photographs(1)[0]
		desk, ada := x.desk(), review.Caller{Actor: "person-ada", Grants: []policy.Grant{{Role: policy.Steward, Collection: "breast"}}}
		if out, err := desk.PaintBoxes(t.Context(), ada, "breast", []catalogue.InstanceID{l.ID}, &custody.Boxes{Only: true}, ""); err != nil || out[0].Outcome != review.Accepted {
			t.Fatal(out, err)
		}
		l = x.settled(policy.Admitted)[0]
		if p := x.painting(l); !p.Chosen || len(p.Boxes) > 0 || len(p.Left) == 0 {
			t.Errorf("%+v", p)
		}
	})
}

// Where a collection has nothing accepted automatically, what is held for its kind waits with what was found, and so does what shows text; what shows none is admitted.
func TestNothingByItself(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		c, err := x.Stores.Collections.Get(t.Context(), "breast")
		if err != nil {
			t.Fatal(err)
		}
		c.NoAutomaticAcceptance = true
		if err := x.Stores.DB.Write(t.Context(), func(tx *db.Tx) error { return x.Stores.Collections.Update(tx, c) }); err != nil {
			t.Fatal(err)
		}
		x.Stores.Collections.Forget("breast")
		// The last says that it is a radiograph: only its pixels tell.
		dx := bytes.ReplaceAll(bytes.Replace(scan(t, 1), []byte("CS\x02\x00US"), []byte("CS\x02\x00DX"), 1), []byte("1.2.840.10008.5.1.4.1.1.6.1\x00"), []byte("1.2.840.10008.5.1.4.1.1.1.1\x00"))
		dx = bytes.Replace(dx, []byte("CS\x04\x00YES "), []byte("CS\x04\x00NO  "), 1)
		x.deposit(scan(t, 0))
		x.deposit(instance(t, "CT").Data())
		x.deposit(dx)
		held := x.settled(policy.Held, policy.Admitted, policy.Held)
		for k, code := range map[int]string{0: deid.CodePixels, 2: deid.CodeWriting} {
			found, err := x.Stores.Catalogue.Found(t.Context(), held[k].ID)
			if err != nil || found == nil || len(found.Boxes) == 0 || !slices.ContainsFunc(held[k].Reasons, func(r catalogue.Reason) bool { return r.Code == code }) {
				t.Errorf("image %d: found %+v, %v; held for %v", k, found, err, held[k].Reasons)
			}
		}
		// A person's word is enough.
		ada := review.Caller{Actor: "person-ada", Grants: []policy.Grant{{Role: policy.Steward, Collection: "breast"}}}
		if out, err := x.desk().Paint(t.Context(), ada, "breast", []catalogue.InstanceID{held[0].ID, held[2].ID}, ""); err != nil || out[0].Outcome != review.Accepted || out[1].Outcome != review.Accepted {
			t.Error(out, err)
		}
		x.settled(policy.Admitted, policy.Admitted, policy.Admitted)
	})
}
