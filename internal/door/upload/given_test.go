package upload_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/upload"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// cleaned is a file as a gateway makes it with a secret, and what it says of it.
func cleaned(t *testing.T, file []byte, secret [32]byte, which string) ([]byte, custody.Given) {
	t.Helper()
	f, err := dicom.Parse(file, dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := deid.Lookup("research")
	if err != nil {
		t.Fatal(err)
	}
	s := deid.NewSubject(p, deid.NewKeys(secret), deid.Identify(f.Data), nil)
	r, err := s.Clean(f.Data)
	if err != nil || r.Outcome != deid.Cleaned {
		t.Fatal(r.Reasons, err)
	}
	m, err := deid.Meta(r.SOPClassUID, r.SOPInstanceUID, r.Rendered.Syntax)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := dicom.WriteFile(&b, m, r.Rendered, func(b dicom.BulkRef) (io.Reader, error) { return f.Bulk(b.Elem), nil }); err != nil {
		t.Fatal(err)
	}
	link := s.Link()
	return b.Bytes(), custody.Given{Link: hex.EncodeToString(link[:]), Secret: which, Judged: p.Judged()}
}

type fate struct {
	Fate    string
	Reasons []custody.Reason
}

// give sends a whole file.
func (x *rig) give(who, batch string, ordinal int, file []byte, g *custody.Given) (int, fate) {
	x.t.Helper()
	h := headers{"Content-Type": "application/dicom"}
	if g != nil {
		h["Vitrine-Given"] = base64.StdEncoding.EncodeToString(g.Encode())
	}
	a := x.do(who, "PUT", "/upload/batches/"+batch+"/files/"+strconv.Itoa(ordinal), h, bytes.NewReader(file))
	var f fate
	if a.code == 200 {
		if err := json.Unmarshal([]byte(a.body), &f); err != nil {
			x.t.Fatal(err, a.body)
		}
	}
	return a.code, f
}

func (x *rig) gateway(name string, role policy.Role) {
	x.t.Helper()
	s, err := identity.NewSecret()
	if err != nil {
		x.t.Fatal(err)
	}
	x.write(func(tx *db.Tx) error {
		_, err := x.n.Stores.Identity.CreateToken(tx, s, identity.Token{Name: name, Role: role, Collection: "default"})
		return err
	})
	x.tokens[name] = s.Reveal()
}

func (x *rig) into(who, c string) string {
	x.t.Helper()
	a := x.do(who, "POST", "/upload/batches", headers{"Content-Type": "application/json"}, strings.NewReader(`{"collection":"`+c+`"}`))
	var b struct{ Batch string }
	if err := json.Unmarshal([]byte(a.body), &b); err != nil || a.code != 201 {
		x.t.Fatalf("%d %s", a.code, a.body)
	}
	return b.Batch
}

// What a gateway has cleaned is kept as it is, under its pseudonym, if it is proven; whoever is none gives nothing so.
func TestGivenCleaned(t *testing.T) {
	each(t, upload.Limits{}, func(t *testing.T, x *rig) {
		x.gateway("gate", policy.Gateway)
		x.gateway("site", policy.SiteGateway)
		key, err := x.n.Stores.Ring.Collection(t.Context(), "default")
		if err != nil {
			t.Fatal(err)
		}
		raw := file(t, 5)
		clean, g := cleaned(t, raw, key, custody.SecretNode)
		b := x.into("gate", "default")
		if code, f := x.give("gate", b, 1, clean, &g); code != 200 || f.Fate != "kept" {
			t.Fatalf("%d %+v", code, f)
		}
		stored := x.stored("default")
		if len(stored) != 1 || !bytes.Equal(stored[0], clean) {
			t.Errorf("%d objects, or another", len(stored))
		}
		if code, f := x.give("gate", b, 1, clean, &g); code != 200 || f.Fate != "duplicate" {
			t.Errorf("the same again: %d %+v", code, f)
		}
		x.again()
		if code, f := x.give("gate", b, 2, clean, &g); code != 200 || f.Fate != "duplicate" {
			t.Errorf("the same again after a restart: %d %+v", code, f)
		}
		// In pieces.
		other := file(t, 6)
		one, h := cleaned(t, other, key, custody.SecretNode)
		at := x.create("gate", b, 3, one, "given", string(h.Encode()))
		x.patch("gate", at, 0, bytes.NewReader(one[:len(one)/2]))
		x.again()
		if a := x.patch("gate", at, int64(len(one)/2), bytes.NewReader(one[len(one)/2:])); a.code != 204 || a.header.Get("Vitrine-Outcome") != "kept" {
			t.Errorf("%d %v %s", a.code, a.header, a.body)
		}

		// A site's own secret makes others of the same.
		foreign, s := cleaned(t, raw, [32]byte{3}, custody.SecretSite)
		sb := x.into("site", "default")
		if code, f := x.give("site", sb, 1, foreign, &s); code != 200 || f.Fate != "kept" {
			t.Errorf("%d %+v", code, f)
		}
		s.Secret = custody.SecretNode
		if code, f := x.give("site", sb, 2, foreign, &s); code != 200 || f.Fate != "refused" {
			t.Errorf("a pseudonym that was not made with the secret: %d %+v", code, f)
		}

		// Pseudonym and link of two subjects.
		mixed := g
		mixed.Secret, mixed.Link = custody.SecretSite, s.Link
		if code, f := x.give("gate", b, 4, clean, &mixed); code != 200 || f.Fate != "refused" {
			t.Errorf("another's link: %d %+v", code, f)
		}
		mixed.Link = hex.EncodeToString(bytes.Repeat([]byte{1}, 32))
		if code, f := x.give("gate", b, 4, clean, &mixed); code != 200 || f.Fate != "refused" {
			t.Errorf("another link of a known pseudonym: %d %+v", code, f)
		}

		// What was not cleaned, and by whom it is given.
		if code, f := x.give("gate", b, 5, raw, &g); code != 200 || f.Fate != "refused" {
			t.Errorf("as it came: %d %+v", code, f)
		}
		if code, f := x.give("gate", b, 6, clean, nil); code != 200 || f.Fate != "refused" {
			t.Errorf("without a word: %d %+v", code, f)
		}
		f, err := dicom.Parse(clean, dicom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		e := f.Data.Edit()
		e.Insert(dicom.Root, dicom.TagInstitutionName, dicom.VRLO, []byte("ST BRENNAN INFIRMARY"))
		e.SetValue(f.Data.Find(dicom.TagSOPInstanceUID), []byte("2.25.77"))
		r, err := e.Render()
		if err != nil {
			t.Fatal(err)
		}
		m, err := deid.Meta(f.Data.UID(dicom.TagSOPClassUID), "2.25.77", r.Syntax)
		if err != nil {
			t.Fatal(err)
		}
		var marred bytes.Buffer
		if err := dicom.WriteFile(&marred, m, r, func(b dicom.BulkRef) (io.Reader, error) { return f.Bulk(b.Elem), nil }); err != nil {
			t.Fatal(err)
		}
		code, got := x.give("gate", b, 7, marred.Bytes(), &g)
		if code != 200 || got.Fate != "held" || len(got.Reasons) != 1 || got.Reasons[0].Code != deid.CodeUnproven || got.Reasons[0].Where != "(0008,0080)" {
			t.Errorf("with an institution's name: %d %+v", code, got)
		}
		x.tokens["dora"] = x.tokens["ann"]
		kb := x.batch("dora")
		if code, f := x.give("dora", kb, 1, clean, &g); code != 200 || f.Fate != "refused" {
			t.Errorf("a depositor: %d %+v", code, f)
		}
		for _, who := range []string{"site", "ann", "eve"} {
			if code, _ := x.give(who, b, 8, clean, &g); code != 404 {
				t.Errorf("into another's batch: %s %d", who, code)
			}
		}
		if a := x.do("gate", "POST", "/upload/batches", headers{"Content-Type": "application/json"}, strings.NewReader(`{"collection":"kept"}`)); a.code != 404 {
			t.Errorf("into another collection: %d", a.code)
		}
		for name, text := range map[string]string{"no base64": "%", "no object": base64.StdEncoding.EncodeToString([]byte("1")), "more": base64.StdEncoding.EncodeToString([]byte(`{"name":"x"}`))} {
			if a := x.do("gate", "PUT", "/upload/batches/"+b+"/files/9", headers{"Content-Type": "application/dicom", "Vitrine-Given": text}, bytes.NewReader(clean)); a.code != 400 {
				t.Errorf("%s: %d", name, a.code)
			}
		}
		// Nobody is known here by it.
		d, err := x.n.Stores.Catalogue.Deposits(t.Context(), "default", "", 0, 10)
		if err != nil || len(d) == 0 || d[len(d)-1].Door != "gateway" {
			t.Error(d, err)
		}
	})
}

// A whole file that is larger than is taken is told so, and nothing of it is kept, although it reads like a smaller one up to there.
func TestWholeFileTooLarge(t *testing.T) {
	f := file(t, 1)
	x := start(t, "", upload.Limits{File: int64(len(f))})
	longer := append(append(bytes.Clone(f), 0xFC, 0xFF, 0xFC, 0xFF, 'O', 'B', 0, 0, 4, 0, 0, 0), 1, 2, 3, 4) // Data Set Trailing Padding
	if code, _ := x.give("ann", x.batch("ann"), 1, longer, nil); code != 413 {
		t.Errorf("%d", code)
	}
	if code, got := x.give("ann", x.batch("ann"), 1, f, nil); code != 200 || got.Fate != "kept" {
		t.Errorf("%d %+v", code, got)
	}
	x.wantStored(f)
}
