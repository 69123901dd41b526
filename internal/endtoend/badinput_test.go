package endtoend

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// bad is an input that has to be refused, and how.
type bad struct {
	name  string
	image *image
	dimse uint16 // status of C-STORE; unsent where no association can carry it
	stow  int    // failure reason (0008,1197)
	code  string // in the report of deidentify
}

// bads are all kinds of bad input (docs: "Bad input").
func bads(t *testing.T) []bad {
	t.Helper()
	in, err := sample.SmallSet(901).Instance(5)
	if err != nil {
		t.Fatal(err)
	}
	base := generated("", in)
	d, err := dicom.ParseDataset(base.data, dicom.ExplicitVRLittleEndian, dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	edited := func(do func(e *dicom.Edit)) *image {
		e := d.Edit()
		do(e)
		r, err := e.Render()
		if err != nil {
			t.Fatal(err)
		}
		var w bytes.Buffer
		if _, err := r.WriteTo(&w, bulkOf(d)); err != nil {
			t.Fatal(err)
		}
		return base.with("", w.Bytes())
	}
	without := func(tag dicom.Tag) *image { return edited(func(e *dicom.Edit) { e.Remove(d.Find(tag)) }) }
	set := func(tag dicom.Tag, v string) *image {
		return edited(func(e *dicom.Edit) { e.SetValue(d.Find(tag), []byte(v)) })
	}
	name := d.At(d.Find(dicom.TagPatientName))
	patient := d.At(d.Find(dicom.TagPatientID))
	longer := bytes.Clone(base.data)
	le.PutUint16(longer[patient.ValueStart-2:], 0xFFF0)
	unknown := *base
	unknown.file = bytes.Replace(bytes.Clone(base.file), []byte("1.2.840.10008.1.2.1\x00"), []byte("1.2.840.10008.1.2.77"), 1)
	unknown.syntax = "1.2.840.10008.1.2.77"
	deep := bytes.Clone(base.data[:d.At(d.Find(dicom.TagPixelData)).Start])
	for range 2000 {
		deep = append(deep, "\x40\x00\x30\xa7SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"...)
	}
	for range 2000 {
		deep = append(deep, "\xfe\xff\x0d\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00"...)
	}
	text := func(s string) *image { // in a file of that text alone; as a data set by C-STORE
		i := base.with("", []byte(s))
		i.file = []byte(s)
		return i
	}
	return []bad{
		{"not DICOM", text(strings.Repeat("This is a letter to Dr. Mabuse. ", 20)), network.StatusCannotUnderstand, 0xC000, "not-dicom"},
		{"a JPEG", text("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + strings.Repeat("\x00\x12", 500)), network.StatusCannotUnderstand, 0xC000, "not-dicom"},
		{"truncated in the header", base.with("", base.data[:patient.ValueStart+3]), unsent, 0xC000, "truncated"},
		{"truncated in the pixels", base.with("", base.data[:len(base.data)-1000]), network.StatusCannotUnderstand, 0xC000, "truncated"},
		{"a length beyond the end", base.with("", longer), network.StatusCannotUnderstand, 0xC000, ""},
		{"unknown transfer syntax", &unknown, unsent, 0xC122, "unknown-transfer-syntax"},
		{"no SOP class", without(dicom.TagSOPClassUID), 0, 0xA900, "missing-uid"},
		{"no SOP instance", without(dicom.TagSOPInstanceUID), 0, 0xA900, "missing-uid"},
		{"a SOP instance that is no UID", set(dicom.TagSOPInstanceUID, "not/a/UID "), 0, 0x0117, "invalid-uid"},
		{"another instance than the message names", set(dicom.TagSOPInstanceUID, "1.2.3.4.5."+"6789\x00"), network.StatusDataSetMismatch, 0, ""},
		{"an element twice", base.with("", bytes.Join([][]byte{base.data[:name.End], base.data[name.Start:name.End], base.data[name.End:]}, nil)), network.StatusCannotUnderstand, 0xC000, "duplicate-element"},
		{"2,000 sequences deep", base.with("", deep), network.StatusOutOfResources, 0xA700, "over-limit"},
	}
}

// What cannot be read is refused with what, where and why, and nothing of it is kept.
func TestBadInput(t *testing.T) {
	n := serve(t, setup{})
	all := bads(t)
	folder := t.TempDir()
	sent := 0
	for k, b := range all {
		if b.dimse != unsent {
			a, err := n.dial(t.Context(), "VITRINE", []*image{b.image})
			if err != nil {
				t.Fatal(err)
			}
			st, err := a.Store(t.Context(), &network.Instance{SOPClassUID: b.image.class, SOPInstanceUID: b.image.sop, TransferSyntaxUID: b.image.syntax, Bytes: b.image.data})
			if err != nil || st.Done() || b.dimse != 0 && st.Code != b.dimse || st.Comment == "" || strings.Contains(st.Comment, "].(") {
				t.Errorf("%s: C-STORE: %v %q, %v; want %04x", b.name, st, st.Comment, err, b.dimse)
			}
			if err := a.Release(t.Context()); err != nil {
				t.Errorf("%s: %v", b.name, err)
			}
			t.Logf("%s: C-STORE %v %s", b.name, st, st.Comment)
		} else if b.name == "unknown transfer syntax" {
			if st := n.store("VITRINE", []*image{b.image})[0]; st.Code != unsent {
				t.Errorf("%s: a context was accepted", b.name)
			}
		}
		if b.stow == 0 {
			continue
		}
		a := n.stow(research, b.image)
		reason := 0
		for _, r := range a.refused {
			reason = r
		}
		for _, r := range a.other {
			reason = r
		}
		if a.code != 409 || len(a.refused)+len(a.other) != 1 || reason != b.stow || a.why[0] == "" || strings.Contains(a.why[0], "].(") {
			t.Errorf("%s: STOW-RS: status %d, reasons %x %x: %q; want %04x", b.name, a.code, a.refused, a.other, a.why, b.stow)
		}
		if err := os.WriteFile(filepath.Join(folder, string(rune('a'+k))), b.image.file, 0o600); err != nil {
			t.Fatal(err)
		}
		sent++
	}
	// Requests that are wrong as a whole are told as problem details.
	for name, c := range map[string]struct {
		path, role, media, body string
		code                    int
	}{
		"no media type":             {"/dicomweb/studies", "depositor", "", "x", 415},
		"another media type":        {"/dicomweb/studies", "depositor", "text/plain", "x", 415},
		"no metadata in parts":      {"/dicomweb/studies", "depositor", `multipart/related; type="application/dicom+json"; boundary=edge`, "--edge--", 400},
		"parts of pictures":         {"/dicomweb/studies", "depositor", `multipart/related; type="image/jpeg"; boundary=edge`, "--edge--", 415},
		"no boundary":               {"/dicomweb/studies", "depositor", `multipart/related; type="application/dicom"`, "--edge--", 400},
		"no part":                   {"/dicomweb/studies", "depositor", stowType, "--edge--\r\n", 400},
		"no end":                    {"/dicomweb/studies", "depositor", stowType, "--edge\r\nContent-Type: application/dicom\r\n\r\n", 400},
		"nothing":                   {"/dicomweb/studies", "depositor", stowType, "", 400},
		"a study that is no UID":    {"/dicomweb/studies/abc", "depositor", stowType, "--edge--\r\n", 400},
		"nobody":                    {"/dicomweb/studies", "", stowType, "--edge--\r\n", 401},
		"a researcher":              {"/collections/default/dicomweb/studies", "researcher", stowType, "--edge--\r\n", 403},
		"a collection that is none": {"/collections/no-such/dicomweb/studies", "depositor", stowType, "--edge--\r\n", 404},
	} {
		header := map[string]string{}
		if c.media != "" {
			header["Content-Type"] = c.media
		}
		a := n.do("POST", c.path, c.role, header, strings.NewReader(c.body))
		var p struct {
			Title, Detail string
			Status        int
		}
		if a.code != c.code || a.header.Get("Content-Type") != "application/problem+json" || json.Unmarshal(a.body, &p) != nil || p.Status != c.code || p.Title == "" || p.Detail == "" {
			t.Errorf("%s: status %d, want %d, %v: %.300s", name, a.code, c.code, a.err, a.body)
		}
	}
	// By command.
	report := filepath.Join(t.TempDir(), "report.json")
	r := command(t, []string{"VITRINE_TOKEN=" + n.tokens["depositor"], "XDG_STATE_HOME=" + t.TempDir()}, "deposit", folder, "--collection", research, "--server", "http://"+n.http, "--report", report, "--quiet")
	fates(t, "deposit", r, report, sent, nil)
	// What is no UID is replaced like every other there, and so harms nobody.
	for k, b := range all {
		if b.code == "invalid-uid" {
			if err := os.Remove(filepath.Join(folder, string(rune('a'+k)))); err != nil {
				t.Fatal(err)
			}
			sent--
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	r = command(t, nil, "deidentify", folder, "--out", out, "--report", report, "--quiet")
	codes := map[int]string{}
	k := 0
	for _, b := range all {
		if b.stow != 0 && b.code != "invalid-uid" {
			codes[k] = b.code
			k++
		}
	}
	fates(t, "deidentify", r, report, sent, codes)
	err := filepath.WalkDir(out, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			t.Errorf("deidentify left a file of %s", d.Name())
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if c := n.settled(research, 0); c.Pending+c.Catalogued+c.Held != 0 || c.Refused == 0 {
		t.Errorf("something was kept: %+v", c)
	}
	n.unharmed()
	n.stop()
	if objects := n.verify(); objects != 0 {
		t.Errorf("%d objects are kept", objects)
	}
}

// fates wants a command to have ended with 3, and its report to name every input as refused for a reason.
func fates(t *testing.T, name string, r ran, report string, inputs int, codes map[int]string) {
	t.Helper()
	b, err := os.ReadFile(report)
	if err != nil || r.code != 3 {
		t.Fatalf("%s: exit code %d, %v: %s", name, r.code, err, r.err)
	}
	var said struct {
		Items []struct {
			Item    int
			Outcome string
			Reasons []struct{ Code, Where, Text string }
		}
	}
	if err := json.Unmarshal(b, &said); err != nil {
		t.Fatal(err)
	}
	if len(said.Items) != inputs {
		t.Errorf("%s: the report names %d of %d inputs", name, len(said.Items), inputs)
	}
	for k, i := range said.Items {
		if i.Outcome != "refused" || len(i.Reasons) == 0 || i.Reasons[0].Text == "" {
			t.Errorf("%s: item %d is %s for %v", name, i.Item, i.Outcome, i.Reasons)
			continue
		}
		if want := codes[k]; want != "" && i.Reasons[0].Code != want {
			t.Errorf("%s: item %d is refused as %s (%s), want %s", name, i.Item, i.Reasons[0].Code, i.Reasons[0].Text, want)
		}
	}
}
