package review_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
)

// camera makes a photograph of a model of camera, of so many rows.
func camera(model string, rows int) func(*dicom.Builder) {
	return func(b *dicom.Builder) {
		b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.77.1.4")
		b.String(dicom.TagModality, "XC")
		b.String(dicom.TagManufacturer, "Canon")
		b.String(dicom.TagManufacturerModelName, model)
		b.Ints(dicom.TagRows, rows)
		b.Raw(dicom.TagPixelData, dicom.VROW, make([]byte, 4*rows))
	}
}

// until waits for something that the node does by itself.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("never: " + what)
		}
	}
}

// pools waits until everything that is held is in one, and gives them as items, subjects and rows.
func (d *desk) pools(items int64) (all []review.Pool, as string) {
	d.t.Helper()
	until(d.t, fmt.Sprintf("%d items in pools", items), func() bool {
		var err error
		if all, err = d.Pools(d.t.Context(), steward("breast"), "breast"); err != nil {
			d.t.Fatal(err)
		}
		n := int64(0)
		for _, p := range all {
			n += p.Items
		}
		return n == items
	})
	for _, p := range all {
		as += fmt.Sprintf("%d of %d, %d rows; ", p.Items, p.Subjects, p.About.Rows)
	}
	return all, as
}

// states are what became of all instances, in the order of arrival.
func (d *desk) states() string {
	d.t.Helper()
	all, err := d.n.Stores.Catalogue.All(d.t.Context(), 0, 1000)
	if err != nil {
		d.t.Fatal(err)
	}
	out := make([]policy.State, len(all))
	for i, l := range all {
		out[i] = l.State
	}
	return fmt.Sprintf("%v", out)
}

func (d *desk) settled(want string) {
	d.t.Helper()
	got := ""
	defer func() {
		if d.t.Failed() {
			d.t.Log("they are", got)
		}
	}()
	until(d.t, want, func() bool { got = d.states(); return got == want })
}

func TestStandingDecision(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ada, ctx := steward("breast"), t.Context()
		d.deposit("breast", "Winterbourne", camera("EOS 5D", 2), camera("EOS 5D", 2), camera("EOS 5D", 4), camera("EOS 90D", 2))
		d.deposit("breast", "Ashgrove", camera("EOS 5D", 2))
		all, as := d.pools(5)
		if as != "3 of 2, 2 rows; 1 of 1, 4 rows; 1 of 1, 2 rows; " {
			t.Fatal(as)
		}
		p := all[0]
		if p.Kind != all[1].Kind || p.Kind == all[2].Kind || len(p.Reasons) != 1 || p.Reasons[0].Code != "photograph" || !strings.Contains(p.About.Class, "Photo") || p.About.Device == "" {
			t.Errorf("%+v", p)
		}
		if fmt.Sprint(p.Allowed) != "[accept restrict refuse]" { // this node paints nothing
			t.Error(p.Allowed)
		}
		for _, bad := range []review.Order{{Action: ruling.Accept}, {Layout: "0", Action: ruling.Accept}, {Layout: p.Layout}, {Layout: p.Layout, Action: ruling.Paint}, {Layout: p.Layout, Action: "keep"},
			{Layout: p.Layout, Action: ruling.Accept, Note: "of Winterbourne"}, {Layout: p.Layout, Action: ruling.Accept, Note: "two\nlines"},
			{Layout: p.Layout, Action: ruling.Accept, Boxes: []catalogue.FoundBox{{First: 1, Last: 1, Box: [4]int{0, 0, 3, 1}}}},
			{Layout: p.Layout, Action: ruling.Accept, Whole: true, Boxes: []catalogue.FoundBox{{First: 1, Last: 1, Box: [4]int{0, 0, 1, 1}}}}} {
			if x, err := d.Rule(ctx, ada, "breast", bad); err == nil {
				t.Errorf("%+v: %+v", bad, x)
			}
		}
		x, err := d.Rule(ctx, ada, "breast", review.Order{Layout: p.Layout, Action: ruling.Accept, Note: "specimens on a table"})
		if err != nil || x.Number != 1 {
			t.Fatal(x, err)
		}
		if _, err := d.Rule(ctx, ada, "breast", review.Order{Layout: p.Layout, Action: ruling.Refuse}); !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
			t.Errorf("a second decision about the same: %v", err)
		}
		d.settled("[admitted admitted held held admitted]")
		d.deposit("breast", "Holloway-Carr", camera("EOS 5D", 2), camera("EOS 90D", 2)) // comes later, and is alike
		d.settled("[admitted admitted held held admitted admitted held]")

		// The whole kind, of whatever size, is refused; what the other decision lets pass goes before.
		if _, as = d.pools(3); as != "2 of 2, 2 rows; 1 of 1, 4 rows; " {
			t.Fatal(as)
		}
		all, _ = d.pools(3)
		y, err := d.Rule(ctx, ada, "breast", review.Order{Layout: all[1].Layout, Whole: true, Action: ruling.Refuse})
		if err != nil || y.Number != 2 || y.About.Rows != 0 {
			t.Fatalf("%+v %v", y, err)
		}
		d.deposit("breast", "Pemberton-Lowe", camera("EOS 5D", 2), camera("EOS 5D", 6))
		d.settled("[admitted admitted held admitted admitted held admitted]")

		// Ended, what it accepted waits for a person again, and is not accepted by itself.
		if err := d.EndRuling(ctx, ada, "breast", 1, "a label of Winterbourne"); !fault.Is(err, fault.Invalid) {
			t.Errorf("a note names somebody: %v", err)
		}
		if err := d.EndRuling(ctx, ada, "breast", 1, "one of them had a label"); err != nil {
			t.Fatal(err)
		}
		if err := d.EndRuling(ctx, ada, "breast", 1, ""); !fault.Is(err, fault.NotFound) {
			t.Errorf("ended twice: %v", err)
		}
		d.settled("[held held held held held held held]")
		list, err := d.RulingsOf(ctx, ada, "breast")
		if err != nil || len(list) != 2 || list[0].Number != 2 || !list[0].InForce() || list[1].InForce() || list[1].EndedBy != "person-ada" || list[1].EndNote == "" {
			t.Errorf("%+v %v", list, err)
		}
		items, err := d.List(ctx, ada, "breast", review.Query{Reason: review.CodeRulingEnded})
		if err != nil || len(items) != 5 {
			t.Fatal(len(items), err)
		}
		// What was about to be accepted by it when it ended is not.
		late, err := d.n.Stores.Catalogue.Instance(ctx, items[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if why, err := d.n.Custody.Accept(ctx, late, custody.Reviewer{Actor: "person-ada", Ruling: 1}); !fault.Is(err, fault.Conflict) {
			t.Errorf("an ended decision accepts: %v, %v", why, err)
		}
		out, err := d.Accept(ctx, ada, "breast", ids(items), "looked at each")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out {
			if o.Outcome != review.Accepted {
				t.Errorf("%+v", o)
			}
		}
	})
}

// What was tried and stays held for something that a decision does not answer is held, and the decision made by nobody but a steward.
func TestStandingDecisionsBounds(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ctx := t.Context()
		d.deposit("breast", "Winterbourne", document, burned, elsewhere)
		all, _ := d.pools(3)
		for _, p := range all {
			code := p.Reasons[0].Code
			for _, r := range p.Reasons {
				code += " " + r.Code
			}
			wants := "[refuse]"
			if strings.Contains(code, "document") {
				wants = "[restrict refuse]"
			}
			if strings.HasSuffix(code, "burned-in-declared") && !strings.Contains(code, "document") {
				wants = "[accept restrict refuse]"
				if _, err := d.Rule(ctx, steward("breast"), "breast", review.Order{Layout: p.Layout, Action: ruling.Accept}); !fault.Is(err, fault.Invalid) {
					t.Errorf("pictures with text pass unseen: %v", err)
				}
				whole := []catalogue.FoundBox{{First: 1, Last: 1, Box: [4]int{0, 0, 2, 2}}}
				if _, err := d.Rule(ctx, steward("breast"), "breast", review.Order{Layout: p.Layout, Action: ruling.Accept, Boxes: whole}); err != nil {
					t.Error(err)
				}
			}
			if fmt.Sprint(p.Allowed) != wants {
				t.Errorf("%s: %v", code, p.Allowed)
			}
		}
		for _, role := range policy.Roles() {
			who := review.Caller{Actor: "x", Grants: []policy.Grant{{Role: role, Collection: "breast"}}}
			_, err := d.Rule(ctx, who, "breast", review.Order{Layout: all[0].Layout, Action: ruling.Refuse})
			end := d.EndRuling(ctx, who, "breast", 1, "")
			if may := role == policy.Steward; (err == nil) != may || (end == nil) != may {
				t.Errorf("%s: %v, %v", role, err, end)
			}
		}
		// Nobody has read the picture: where its text is, no box says.
		until(t, "the refused one goes", func() bool { return d.states() == "[held held]" })
		if got := d.states(); got != "[held held]" {
			t.Error(got)
		}
	})
}

// What is held for another reason passes a standing decision only where no text was found in it, or where that is said to be nobody's; and what passed is counted.
func TestStandingDecisionsAndTextThatWasFound(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ada, ctx := steward("breast"), t.Context()
		d.deposit("breast", "Winterbourne", camera("EOS 5D", 4), camera("EOS 5D", 4))
		all, err := d.List(ctx, ada, "breast", review.Query{})
		if err != nil || len(all) != 2 {
			t.Fatal(all, err)
		}
		spot := [4]int{0, 1, 2, 3}
		err = d.n.Stores.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := d.n.Stores.Catalogue.MarkRead(tx, all[0].ID, &catalogue.Found{Reader: "test", Frames: 1, Boxes: []catalogue.FoundBox{{First: 1, Last: 1, Box: spot}}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		pools, _ := d.pools(2)
		p, err := d.Pool(ctx, ada, "breast", pools[0].Layout)
		if err != nil || fmt.Sprint(p.Found) != "[{[0 1 2 3] 1}]" || p.Looked != 2 || p.Read != 1 || p.OfKind != 2 || p.Forms != 1 || p.Text {
			t.Fatalf("%+v %v", p, err)
		}
		if _, err := d.Rule(ctx, ada, "breast", review.Order{Layout: p.Layout, Action: ruling.Accept}); err != nil {
			t.Fatal(err)
		}
		d.settled("[held admitted]")
		through := func(want string) {
			t.Helper()
			if got, err := d.LetThrough(ctx, ada, "breast"); err != nil || fmt.Sprint(got) != want {
				t.Errorf("let through: %v, want %s, %v", got, want, err)
			}
		}
		through("map[1:1]")
		if _, err := d.LetThrough(ctx, review.Caller{}, "breast"); err == nil {
			t.Error("anybody is told")
		}
		if err := d.EndRuling(ctx, ada, "breast", 1, ""); err != nil {
			t.Fatal(err)
		}
		d.settled("[held held]")
		through("map[]")
		pools, _ = d.pools(2)
		i := 0
		if len(pools) == 2 && pools[1].Layout == p.Layout { // the other is held for the end of a decision
			i = 1
		}
		if _, err := d.Rule(ctx, ada, "breast", review.Order{Layout: pools[i].Layout, Action: ruling.Accept, Boxes: []catalogue.FoundBox{{First: 1, Box: spot}}}); err != nil {
			t.Fatal(err)
		}
		d.settled("[admitted held]")
		through("map[2:1]")
	})
}

// What is kept for stewards alone by a standing decision stays so when it ends.
func TestStandingRestriction(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ada := steward("breast")
		d.deposit("breast", "Winterbourne", document)
		all, _ := d.pools(1)
		if _, err := d.Rule(t.Context(), ada, "breast", review.Order{Layout: all[0].Layout, Action: ruling.Restrict}); err != nil {
			t.Fatal(err)
		}
		d.settled("[restricted]")
		d.deposit("breast", "Ashgrove", document)
		d.settled("[restricted restricted]")
		if got, err := d.LetThrough(t.Context(), ada, "breast"); err != nil || len(got) != 0 {
			t.Errorf("let through: %v %v", got, err)
		}
		if err := d.EndRuling(t.Context(), ada, "breast", 1, ""); err != nil {
			t.Fatal(err)
		}
		d.deposit("breast", "Holloway-Carr", document)
		d.pools(1)
		d.settled("[restricted restricted held]")
	})
}
