package portal_test

import (
	"bytes"
	"image/png"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// hold deposits ultrasound images of a made-up patient, of several frames each, dark on the left and bright on the right.
func hold(t *testing.T, n *node.Node, sops ...string) {
	t.Helper()
	holdLike(t, n, func(*dicom.Builder) {}, sops...)
}

// holdLike is hold of images that are changed before.
func holdLike(t *testing.T, n *node.Node, change func(*dicom.Builder), sops ...string) {
	t.Helper()
	dep, err := n.Custody.Begin(t.Context(), collection.Default, custody.DoorSTOW, "ward-7")
	if err != nil {
		t.Fatal(err)
	}
	for _, sop := range sops {
		b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
		for tag, v := range map[dicom.Tag]string{dicom.TagSOPClassUID: "1.2.840.10008.5.1.4.1.1.3.1", dicom.TagSOPInstanceUID: sop, dicom.TagStudyInstanceUID: "1.2.3", dicom.TagSeriesInstanceUID: "1.2.3.1",
			dicom.TagModality: "US", dicom.TagPatientID: "H-4471 882", dicom.TagPatientName: "Winterbourne^Ada", dicom.TagPhotometricInterpretation: "MONOCHROME2"} {
			b.String(tag, v)
		}
		for tag, v := range map[dicom.Tag]int{dicom.TagRows: 40, dicom.TagColumns: 60, dicom.TagBitsAllocated: 8, dicom.TagBitsStored: 8, dicom.TagHighBit: 7, dicom.TagSamplesPerPixel: 1, dicom.TagPixelRepresentation: 0} {
			b.Ints(tag, v)
		}
		b.String(dicom.TagNumberOfFrames, "3")
		b.Sequence(dicom.TagSequenceOfUltrasoundRegions, func(item *dicom.Builder) {
			for tag, v := range map[dicom.Tag]int{dicom.TagRegionLocationMinX0: 10, dicom.TagRegionLocationMinY0: 11, dicom.TagRegionLocationMaxX1: 50, dicom.TagRegionLocationMaxY1: 39} {
				item.Ints(tag, v)
			}
		})
		b.Raw(dicom.TagPixelData, dicom.VROB, bytes.Repeat(append(bytes.Repeat([]byte{10}, 30), bytes.Repeat([]byte{250}, 30)...), 3*40))
		change(b)
		d, err := b.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		r, err := dep.Receive(t.Context(), custody.Incoming{Syntax: dicom.ExplicitVRLittleEndian, Data: custody.FromReader(bytes.NewReader(d.Bytes()))})
		if err != nil || r.Outcome != custody.Held {
			t.Fatal(r, err)
		}
	}
	dep.End()
	if err := n.Custody.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// waiting are the rows that hold made, in the order of their arrival.
func waiting(t *testing.T, n *node.Node) []catalogue.Located {
	t.Helper()
	all, err := n.Stores.Catalogue.Waiting(t.Context(), collection.Default, 0, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(l catalogue.Located) bool { return l.Columns != 60 })
}

func said(t *testing.T, n *node.Node) []audit.Logged {
	t.Helper()
	all, err := n.Stores.Audit.Entries(t.Context(), audit.Filter{Limit: 10000})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A steward looks at what is held, accepts some and refuses some; every look is in the audit log, and what was accepted is admitted and can be published.
func TestDecidingOnWhatIsHeld(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		hold(t, n, "1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3", "1.2.3.1.4")
		held := waiting(t, n)
		v := visit(t, base)
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		code, list, _ := v.do("GET", "/held?collection=default&reason=burned-in-text", nil)
		waits := badge(list)
		if code != 200 || strings.Count(list, `name="item"`) < 4 || !strings.Contains(list, "Writing in the picture") || strings.Contains(list, "<img") || strings.Contains(list, "/picture") {
			t.Errorf("the list: %d, %d items", code, strings.Count(list, `name="item"`))
		}
		if code, body, _ := v.do("GET", "/held?subject=NOBODY", nil); code != 200 || !strings.Contains(body, "Nothing is held where you look") {
			t.Errorf("nobody's: %d", code)
		}
		for _, q := range []string{"deposit=" + held[0].Deposit.String(), "deposit=x", "reason=%25", "from=-1", "collection=none"} {
			if code, _, _ := v.do("GET", "/held?"+q, nil); code != 200 {
				t.Errorf("%s: %d", q, code)
			}
		}
		// One item: its evidence, its frames, no value of its header.
		item := "/held/" + held[0].ID.String()
		before := len(said(t, n))
		code, page, _ := v.do("GET", item+"?frame=2", nil)
		if code != 200 || strings.Contains(page, "Winterbourne") || strings.Contains(page, "4471") || !strings.Contains(page, "Patient&#39;s Name") && !strings.Contains(page, "Patient’s Name") ||
			!strings.Contains(page, "frame 2 of 3") || !strings.Contains(page, "M10 11V39H50V11z") || !strings.Contains(page, "For stewards only") {
			t.Errorf("the item's page: %d %s", code, regexp.MustCompile(`(?s)<main.*</main>`).FindString(page))
		}
		code, body, _ := v.do("GET", item+"/picture?frame=2", nil)
		img, err := png.Decode(strings.NewReader(body))
		if code != 200 || err != nil || img.Bounds().Dx()*40 != img.Bounds().Dy()*60 {
			t.Fatalf("its picture: %d, %v", code, err)
		}
		left, _, _, _ := img.At(img.Bounds().Dx()/4, 20).RGBA()
		right, _, _, _ := img.At(3*img.Bounds().Dx()/4, 20).RGBA()
		if left>>8 > 60 || right>>8 < 190 {
			t.Errorf("its picture is not what was sent: %d, %d", left>>8, right>>8)
		}
		looks := 0
		for _, e := range said(t, n)[before:] {
			if e.Object == "instance "+held[0].ID.String() && e.Action == policy.ReadPixels.String() {
				looks++
			}
		}
		if looks != 2 {
			t.Errorf("%d looks are in the audit log", looks)
		}
		for _, path := range []string{item + "/picture", item + "/picture?frame=0", item + "/picture?frame=4", item + "/picture?frame=x", "/held/x", "/held/1", "/held/-1/picture?frame=1"} {
			if code, _, _ := v.do("GET", path, nil); code != 400 && code != 404 {
				t.Errorf("%s: %d", path, code)
			}
		}
		// What is not decided: nothing chosen, not looked, a note with a name, a forged form.
		one := url.Values{"item": {held[0].ID.String()}, "do": {"accept"}, "seen": {"1"}}
		with := func(k, value string) url.Values {
			f := url.Values{}
			for k, v := range one {
				f[k] = v
			}
			if f.Set(k, value); value == "" {
				f.Del(k)
			}
			return f
		}
		for name, f := range map[string]url.Values{"nothing chosen": with("item", ""), "not looked": with("seen", ""), "no button": with("do", "nothing"), "a note that names": with("note", "Winterbourne is written there"),
			"a long note": with("note", strings.Repeat("n", 300))} {
			if code, body, _ := v.do("POST", "/held", f); code < 400 || code >= 500 || strings.Contains(body, "Winterbourne") {
				t.Errorf("%s: %d", name, code)
			}
		}
		if code, _, _ := v.do("POST", "/held", one, "Origin", "https://elsewhere.example"); code != 403 {
			t.Errorf("a forged form: %d", code)
		}
		if len(waiting(t, n)) != 4 {
			t.Fatal("something was decided")
		}
		// One is accepted, one refused; then all of the reason, of those that were there when the page was drawn.
		code, body, _ = v.do("POST", "/held", with("note", "settings and nothing else"))
		if code != 200 || !strings.Contains(body, "1 item accepted") || !strings.Contains(body, "Go to default, to publish") {
			t.Errorf("accepting: %d %.300s", code, body)
		}
		if n := badge(body); waits < 4 || n != waits-1 {
			t.Errorf("%d waited, and after one was accepted %d", waits, n)
		}
		if code, body, _ := v.do("POST", "/held", one); code != 200 || !strings.Contains(body, "decided before") {
			t.Errorf("accepting again: %d", code)
		}
		code, body, _ = v.do("POST", "/held", url.Values{"item": {held[1].ID.String()}, "do": {"refuse"}, "note": {"taken of the wrong side"}})
		if code != 200 || !strings.Contains(body, "1 item refused") {
			t.Errorf("refusing: %d", code)
		}
		_, body, _ = v.do("GET", "/deposits/"+held[1].Deposit.String(), nil)
		if !strings.Contains(body, "steward refused it: taken of the wrong side") {
			t.Error("the deposit's page does not say why")
		}
		all := regexp.MustCompile(`name="all" value="(default/burned-in-text/[0-9]+)"`).FindStringSubmatch(list)
		if all == nil {
			t.Fatal("there is no way to choose all of a reason")
		}
		hold(t, n, "1.2.3.1.5")
		code, body, _ = v.do("POST", "/held", url.Values{"all": {all[1]}, "do": {"accept"}, "seen": {"1"}})
		rest := waiting(t, n)
		if code != 200 || len(rest) != 1 || rest[0].ID < held[3].ID {
			t.Errorf("accepting all: %d, %d left: %.300s", code, len(rest), body)
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for late := time.After(20 * time.Second); ; {
			l, err := n.Stores.Catalogue.Instance(t.Context(), held[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			if l.State == policy.Admitted {
				break
			}
			select {
			case <-tick.C:
			case <-late:
				t.Fatal("not admitted within 20 s")
			}
		}
		if code, _, _ := v.do("GET", "/collections/default/studies/"+string(held[0].Study), nil); code != 200 {
			t.Errorf("its study: %d", code)
		}
		if code, _, _ := v.do("GET", item+"/picture?frame=1", nil); code != 404 {
			t.Errorf("a picture of what is held no more: %d", code)
		}
	})
}

// Who is no steward of a collection sees nothing of what is held in it, and decides nothing.
func TestHeldIsForStewards(t *testing.T) {
	n, base, _ := start(t, "")
	hold(t, n, "1.2.3.1.1")
	id := waiting(t, n)[0].ID.String()
	for _, who := range []struct {
		role policy.Role
		of   string
	}{{policy.Researcher, "*"}, {policy.Physicist, "*"}, {policy.Depositor, "default"}, {policy.Admin, "*"}, {policy.Custodian, "default"}, {policy.Steward, "other"}, {policy.Anonymous, ""}} {
		v := visit(t, base)
		bearer := []string{}
		if who.role != policy.Anonymous {
			secret, err := identity.NewSecret()
			if err != nil {
				t.Fatal(err)
			}
			err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
				_, err := n.Stores.Identity.CreateToken(tx, secret, identity.Token{Name: "test", Role: who.role, Collection: who.of})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			bearer = []string{"Authorization", "Bearer " + secret.Reveal()}
		}
		for _, path := range []string{"/held", "/held/" + id, "/held/" + id + "/picture?frame=1"} {
			code, body, at := v.do("GET", path, nil, bearer...)
			if code == 200 && at != "/signin" || strings.HasPrefix(body, "\x89PNG") {
				t.Errorf("%s of %q sees %s: %d", who.role, who.of, path, code)
			}
		}
		code, _, _ := v.do("POST", "/held", url.Values{"item": {id}, "do": {"refuse"}}, bearer...)
		if len(waiting(t, n)) != 1 {
			t.Fatalf("%s of %q has decided: %d", who.role, who.of, code)
		}
	}
}

// badge is how many items the navigation says that there are to decide on.
func badge(page string) int64 {
	m := regexp.MustCompile(`<a href="/held"[^>]*>Held<span class="n"[^>]*>(\d+)</span>`).FindStringSubmatch(page)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	return n
}

// What waits is counted for who may decide on it, and for nobody else.
func TestWhoIsToldWhatWaits(t *testing.T) {
	n, base, link := start(t, "")
	hold(t, n, "1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3")
	admin := visit(t, base)
	_, page, _ := admin.do("POST", "/signin/link", url.Values{"t": {link}})
	all, err := n.Stores.Catalogue.Intake(t.Context(), collection.Default)
	if err != nil || badge(page) != all.Held || all.Held < 3 {
		t.Fatalf("the demonstration's steward is told of %d, %d wait, %v", badge(page), all.Held, err)
	}
	admin.do("POST", "/collections", url.Values{"id": {"mine"}, "profile": {"research"}})
	for _, c := range []struct {
		role, collection string
		want             int64
	}{{"steward", "default", all.Held}, {"steward", "mine", 0}, {"depositor", "default", 0}, {"researcher", "default", 0}, {"admin", "*", 0}} {
		_, invited, _ := admin.do("POST", "/people", url.Values{"name": {"Imogen"}, "role": {c.role}, "collection": {c.collection}})
		m := regexp.MustCompile(`/signin/link\?t=([\w-]+)`).FindStringSubmatch(invited)
		if m == nil {
			t.Fatalf("no %s was invited", c.role)
		}
		v := visit(t, base)
		code, page, _ := v.do("POST", "/signin/link", url.Values{"t": {m[1]}})
		if code != 200 || badge(page) != c.want {
			t.Errorf("a %s in %s is told of %d, want %d (%d)", c.role, c.collection, badge(page), c.want, code)
		}
	}
}
