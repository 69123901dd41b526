package node

import (
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
)

// Vitrine names itself by one implementation class, in associations and in the files that it gives out.
func TestOneImplementation(t *testing.T) {
	n := start(t, Config{})
	a, err := network.Dial(t.Context(), n.DICOMAddr(), network.DialOptions{CallingAE: "SENDER", CalledAE: "VITRINE",
		Contexts: []network.Proposal{{AbstractSyntax: network.VerificationUID, TransferSyntaxes: []string{dicom.ImplicitVRLittleEndianUID}}}})
	if err != nil {
		t.Fatal(err)
	}
	uid, version := a.PeerImplementation()
	if err := a.Release(t.Context()); err != nil {
		t.Error(err)
	}
	m, err := deid.Meta(ctClass, "1.2.3", dicom.ExplicitVRLittleEndian)
	if err != nil {
		t.Fatal(err)
	}
	if u, v := m.UID(dicom.TagImplementationClassUID), m.String(dicom.TagImplementationVersionName); uid != u || version != v || u != dicom.ImplementationClassUID || v == "" {
		t.Errorf("%s %q in associations, %s %q in files", uid, version, u, v)
	}
}
