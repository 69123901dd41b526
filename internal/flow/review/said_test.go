package review_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/proof"
)

func described(text string) func(*dicom.Builder) {
	return func(b *dicom.Builder) { b.String(dicom.TagSeriesDescription, text) }
}

// descriptions are the series descriptions of all instances as they are kept, in the order of arrival.
func (d *desk) descriptions() (out []string) {
	d.t.Helper()
	all, err := d.n.Stores.Catalogue.All(d.t.Context(), 0, 100)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, l := range all {
		err := d.n.Custody.Header(d.t.Context(), l, func(ds *dicom.Dataset) error {
			out = append(out, ds.String(dicom.TagSeriesDescription))
			return nil
		})
		if err != nil {
			d.t.Fatal(err)
		}
	}
	return out
}

// What a steward says identifies leaves what is in sight, and does not get in again.
func TestWhatIsSaidToIdentify(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ada, ctx := steward("breast"), t.Context()
		d.deposit("breast", "Winterbourne", described("CHEST LEFT CORONAL"), described("ABDOMEN CORONAL"))
		d.deposit("breast", "Ashgrove", described("LEFT ABDOMEN"))
		d.settled("[admitted admitted admitted]")
		for _, bad := range []custody.Said{{}, {Text: "x"}, {Text: "abc"}, {Text: "a\nbcd"}, {Name: true, Text: " a "}, {Text: `a\bcdef`}} {
			if _, err := d.Identify(ctx, ada, "breast", bad, ""); !fault.Is(err, fault.Invalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		said := custody.Said{Text: "Chest Left"}
		if _, err := d.Identify(ctx, ada, "breast", said, "our chest left ward"); !fault.Is(err, fault.Invalid) {
			t.Errorf("the note says it: %v", err)
		}
		x, err := d.Identify(ctx, ada, "breast", said, "a ward is called so")
		if err != nil || x.Number != 1 || bytes.Contains(bytes.ToLower(x.Sealed), []byte("chest")) {
			t.Fatal(x, err)
		}
		if _, err := d.Identify(ctx, ada, "breast", custody.Said{Text: " chest LEFT "}, ""); !fault.Is(err, fault.Conflict) {
			t.Errorf("said twice: %v", err)
		}
		if got, err := d.Said(ctx, ada, "breast", 1); err != nil || got != said {
			t.Errorf("%+v %v", got, err)
		}
		for _, role := range policy.Roles() {
			who := review.Caller{Actor: "x", Grants: []policy.Grant{{Role: role, Collection: "breast"}}}
			if got, err := d.Said(ctx, who, "breast", 1); (err == nil) != (role == policy.Steward) {
				t.Errorf("%s reads %v, %v", role, got, err)
			}
			if role == policy.Steward {
				continue
			}
			if _, err := d.Identify(ctx, who, "breast", custody.Said{Text: "coronal"}, ""); err == nil {
				t.Errorf("%s says", role)
			}
		}
		d.settled("[held admitted admitted]")
		items, err := d.List(ctx, ada, "breast", review.Query{})
		if err != nil || len(items) != 1 || !items[0].Acceptable || items[0].Reasons[0].Code != custody.CodeEcho {
			t.Fatalf("%+v %v", items, err)
		}
		if s, err := d.n.Stores.Catalogue.Instance(ctx, items[0].ID); err != nil || s.State != policy.Held {
			t.Error(s, err)
		}
		out, err := d.Accept(ctx, ada, "breast", ids(items), "")
		if err != nil || out[0].Outcome != review.Accepted {
			t.Fatalf("%+v %v", out, err)
		}
		d.settled("[admitted admitted admitted]")
		if got := fmt.Sprint(d.descriptions()); got != "[ ABDOMEN CORONAL LEFT ABDOMEN]" {
			t.Error(got)
		}
		// What comes later is cleaned with it; a word alone goes alone.
		if _, err := d.Identify(ctx, ada, "breast", custody.Said{Text: "Abdomen"}, ""); err != nil {
			t.Fatal(err)
		}
		d.settled("[admitted held held]")
		d.deposit("breast", "Holloway-Carr", described("ABDOMEN CORONAL"))
		d.settled("[admitted held held admitted]")
		items, err = d.List(ctx, ada, "breast", review.Query{})
		if err != nil || len(items) != 2 {
			t.Fatal(items, err)
		}
		if _, err = d.Accept(ctx, ada, "breast", ids(items), ""); err != nil {
			t.Fatal(err)
		}
		d.settled("[admitted admitted admitted admitted]")
		if got := fmt.Sprint(d.descriptions()); got != "[ CORONAL LEFT CORONAL]" {
			t.Error(got)
		}
		// What was taken out so is counted, without what it was.
		cut := int64(0)
		deposits, err := d.n.Stores.Catalogue.Deposits(ctx, "breast", "", 0, 50)
		if err != nil {
			t.Fatal(err)
		}
		var all []*proof.Work
		for _, one := range deposits {
			works, err := d.n.Stores.Proof.OfDeposit(ctx, one.ID)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, works...)
		}
		for _, w := range all {
			for _, l := range w.Done.Lines {
				if l.By == deid.ByGate && l.Tag == dicom.TagSeriesDescription && w.Way == proof.ByPerson {
					cut += l.Elements
				}
			}
			if strings.Contains(strings.ToLower(w.Done.Encode()), "abdomen") {
				t.Error("what was done has a word")
			}
		}
		if cut != 3 {
			t.Errorf("%d descriptions were cut", cut)
		}
		// Ended, it is not looked for any more.
		if err := d.EndRuling(ctx, ada, "breast", 2, ""); err != nil {
			t.Fatal(err)
		}
		d.deposit("breast", "Pemberton-Lowe", described("ABDOMEN CORONAL"))
		d.settled("[admitted admitted admitted admitted admitted]")
		if got := d.descriptions(); got[4] != "ABDOMEN CORONAL" {
			t.Error(got)
		}
	})
}
