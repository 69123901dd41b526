package node

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// Both doors answer the same fault with the same code (PS3.4 Table B.2-1, PS3.18 Table I.2-2).
func TestDoorsGiveTheSameReason(t *testing.T) {
	n := start(t, Config{HTTP: "127.0.0.1:0"})
	depositor := token(t, n, policy.Depositor, "default")
	good := ct(t, "1.2.3", "1.2.3.1.1", func(*dicom.Builder) {})
	edited := func(edit func(e *dicom.Edit, d *dicom.Dataset)) []byte {
		d, err := dicom.ParseDataset(good.Bytes, dicom.ExplicitVRLittleEndian, dicom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		e := d.Edit()
		edit(e, d)
		r, err := e.Render()
		if err != nil {
			t.Fatal(err)
		}
		return append(r.Head[:len(r.Head):len(r.Head)], make([]byte, 8)...)
	}
	without := func(tag dicom.Tag) []byte {
		return edited(func(e *dicom.Edit, d *dicom.Dataset) { e.Remove(d.Find(tag)) })
	}
	with := func(tag dicom.Tag, uid string) []byte {
		return edited(func(e *dicom.Edit, d *dicom.Dataset) { e.SetValue(d.Find(tag), []byte(uid)) })
	}
	d, err := dicom.ParseDataset(good.Bytes, dicom.ExplicitVRLittleEndian, dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	first := good.Bytes[:d.At(0).End]
	for _, c := range []struct {
		name string
		data []byte
		want int
	}{
		{"no SOP Class UID", without(dicom.TagSOPClassUID), 0xA900},
		{"no SOP Instance UID", without(dicom.TagSOPInstanceUID), 0xA900},
		{"a SOP Instance UID that is none", with(dicom.TagSOPInstanceUID, "not/a/UID\x00"), 0x0117},
		{"a Study Instance UID that is none", with(dicom.TagStudyInstanceUID, "not/a/UID\x00"), 0xA900},
		{"a Series Instance UID that is none", with(dicom.TagSeriesInstanceUID, ".1.2"), 0xA900},
		{"truncated", good.Bytes[:len(good.Bytes)-2], 0xC000},
		{"an element twice", append(bytes.Clone(first), good.Bytes...), 0xC000},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := *good
			bad.Bytes = c.data
			a, err := network.Dial(t.Context(), n.DICOMAddr(), network.DialOptions{CallingAE: "SENDER", CalledAE: "VITRINE",
				Contexts: []network.Proposal{{AbstractSyntax: ctClass, TransferSyntaxes: []string{dicom.ExplicitVRLittleEndianUID}}}})
			if err != nil {
				t.Fatal(err)
			}
			st, err := a.Store(t.Context(), &bad)
			if err != nil || int(st.Code) != c.want || st.Comment == "" {
				t.Errorf("C-STORE: %v %q %v, want %04X", st, st.Comment, err, c.want)
			}
			if err := a.Release(t.Context()); err != nil {
				t.Error(err)
			}
			if got := stow(t, n, depositor, &bad, http.StatusConflict, "00081198 0008119A", "00081197"); got.code != c.want || got.text == "" {
				t.Errorf("STOW-RS: %04X %q, want %04X", got.code, got.text, c.want)
			}
		})
	}
}
