package custody

import (
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// A profile that is put while a deposit is open holds for what begins afterwards. Each object says by which it was cleaned, and stays so; what is held is
// accepted by the one in force.
func TestProfileOfADeposit(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		ctx := t.Context()
		aged := func(sop string, more func(b *dicom.Builder)) Incoming {
			return image(t, sop, func(b *dicom.Builder) {
				b.String(dicom.TagPatientAge, "067Y")
				b.String(dicom.TagAccessionNumber, "ACX77120934")
				if more != nil {
					more(b)
				}
			})
		}
		put := func(version, bands string) *deid.Profile {
			text := "name: lantern\nversion: " + version + "\nrules: [{id: age, reason: a, match: {keyword: PatientAge}, action: generalise, bands: " + bands + "}]\n"
			p, err := deid.ParseProfile([]byte(text))
			must(t, err)
			must(t, s.db.Write(ctx, func(tx *db.Tx) error {
				_, err := s.collections.PutProfile(tx, collection.Default, p, text, "token-1")
				return err
			}))
			s.collections.Forget(collection.Default)
			return p
		}
		begin := func() *Deposit {
			d, err := s.Begin(ctx, collection.Default, DoorSTOW, "token-1")
			must(t, err)
			return d
		}
		take := func(d *Deposit, in Incoming, want Outcome) {
			t.Helper()
			r, err := d.Receive(ctx, in)
			must(t, err)
			if r.Outcome != want {
				t.Errorf("%s: %v", r.Outcome, r.Reasons)
			}
		}
		first := begin()
		take(first, aged("1.2.3.1.1", nil), Kept)
		put("1", "10")
		second := begin()
		take(first, aged("1.2.3.1.2", nil), Kept)
		take(second, aged("1.2.3.1.3", nil), Kept)
		take(second, aged("1.2.3.1.4", burned), Held)
		p2 := put("2", "20")
		// A word that only the new deposit taught is a word of the subject for both.
		take(second, image(t, "1.2.3.1.5", func(b *dicom.Builder) {
			b.String(dicom.TagPatientAge, "067Y")
			b.String(dicom.TagReferringPhysicianName, "Quartzian^Immanuela")
		}), Kept)
		take(first, aged("1.2.3.1.1", nil), Duplicate)
		first.End()
		second.End()
		must(t, s.Barrier(ctx))
		for _, l := range s.waits() {
			must(t, accepted(s.Accept(ctx, l, Reviewer{Actor: "token-2"})))
		}
		must(t, s.Barrier(ctx))
		want := map[string]int{"067Y research " + deid.Version: 2, "060Y lantern 1": 2, "060Y lantern 2": 1}
		got := map[string]int{}
		for _, l := range s.rows() {
			_, ds := s.content(l)
			method := ds.Strings(ds.Find(dicom.TagDeidentificationMethod))
			got[ds.String(dicom.TagPatientAge)+" "+strings.TrimPrefix(method[0], "Vitrine ")]++
			if strings.HasPrefix(method[0], "Vitrine lantern 2") && !slices.Contains(method, "rules sha256:"+p2.Digest()[:32]) {
				t.Errorf("the method says %q", method)
			}
		}
		for k, n := range want {
			if got[k] != n {
				t.Errorf("%v, not %v", got, want)
				break
			}
		}
		// After a restart the profile is read again from its file.
		s.again(true)
		third := begin()
		take(third, aged("1.2.3.1.6", nil), Kept)
		third.End()
		must(t, s.Barrier(ctx))
	})
}

// A deposit that is resumed goes on by the profile in force then.
func TestProfileOfAResumedDeposit(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		ctx := t.Context()
		aged := func(sop string) Incoming {
			return image(t, sop, func(b *dicom.Builder) { b.String(dicom.TagPatientAge, "067Y") })
		}
		d, err := s.Begin(ctx, collection.Default, DoorUpload, "token-1")
		must(t, err)
		_, err = d.Receive(ctx, aged("1.2.3.4.1"))
		must(t, err)
		d.End()
		must(t, s.Barrier(ctx))
		text := "name: lantern\nversion: 1\nrules: [{id: age, reason: a, match: {keyword: PatientAge}, action: generalise, bands: 10}]\n"
		p, err := deid.ParseProfile([]byte(text))
		must(t, err)
		must(t, s.db.Write(ctx, func(tx *db.Tx) error {
			_, err := s.collections.PutProfile(tx, collection.Default, p, text, "token-1")
			return err
		}))
		s.collections.Forget(collection.Default)
		again, err := s.Resume(ctx, d.ID)
		must(t, err)
		_, err = again.Receive(ctx, aged("1.2.3.4.2"))
		must(t, err)
		again.End()
		must(t, s.Barrier(ctx))
		got := map[string]int{}
		for _, l := range s.rows() {
			_, ds := s.content(l)
			got[ds.String(dicom.TagPatientAge)]++
		}
		if len(got) != 2 || got["067Y"] != 1 || got["060Y"] != 1 {
			t.Errorf("ages %v", got)
		}
	})
}

// accepted is nil where nothing kept an instance held.
func accepted(why []Reason, err error) error {
	if err == nil && len(why) > 0 {
		err = &Refusal{Reason: why[0]}
	}
	return err
}
