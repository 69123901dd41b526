package dimse_test

import (
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

const rleLossless = "1.2.840.10008.1.2.5"

// frames makes an image's pixels frames of 4 by 4 samples of 16 bits by RLE: of each text the first half are the high bytes, the second the low ones (PS3.5 G.2).
func frames(t testing.TB, sop string, texts ...string) *network.Instance {
	ts, _ := dicom.LookupTransferSyntax(rleLossless)
	return image(t, ts, "R", "1.2.6", "1.2.6.1", sop, func(b *dicom.Builder) {
		var all [][]byte
		for _, s := range texts {
			frame := make([]byte, 64)
			frame[0] = 2
			for k, plane := range []string{s[:len(s)/2], s[len(s)/2:]} {
				frame[4+4*k] = byte(len(frame))
				frame = append(append(frame, byte(len(plane)-1)), plane...)
				frame = append(frame, make([]byte, len(frame)%2)...)
			}
			all = append(all, frame)
		}
		b.Ints(dicom.TagNumberOfFrames, len(texts))
		b.Fragments(dicom.TagPixelData, nil, all...)
	})
}

// Who takes no compressed object gets it decoded, by C-GET and by C-MOVE; one of which a frame cannot be decoded fails with its name and why, before anything of it is sent, and the others come.
func TestDecodesForReceivers(t *testing.T) {
	x := start(t, "")
	good, broken := frames(t, "1.2.6.1.1", "aBcDeFgHiJkLmNoPABCDEFGHIJKLMNOP", "0123456789abcdef0000000000000000"), frames(t, "1.2.6.1.2", "aBcDeFgHiJkLmNoPABCDEFGHIJKLMNOP", "01")
	x.deposit("KEPT", broken, good)
	x.publish(kept)
	keys := []string{"QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.6"}
	const words = "AaBBCcDDEeFFGgHHIiJJKkLLMmNNOoPP" + "000102030405060708090a0b0c0d0e0f"
	check := func(way string, ts *dicom.TransferSyntax, r received, done network.Done) {
		t.Helper()
		if done.Status.Code != network.StatusSubOperations || done.Sub != (network.SubOperations{Completed: 1, Failed: 1}) || !strings.Contains(done.Status.Comment, "not decoded: damaged pixels") || !strings.Contains(string(done.Identifier), "1.2.6.1.2") {
			t.Errorf("%s: %+v", way, done)
		}
		d, err := dicom.ParseDataset(r.got, ts, dicom.Limits{})
		if err != nil || r.as != ts.UID {
			t.Fatalf("%s: in %q, %v", way, r.as, err)
		}
		if v := string(d.Value(d.PixelData())); v != words {
			t.Errorf("%s: %q", way, v)
		}
		if d.VR(d.PixelData()) != dicom.VROW || d.At(d.PixelData()).IsEncapsulated() {
			t.Errorf("%s: pixels of another form", way)
		}
	}
	for _, ts := range []*dicom.TransferSyntax{dicom.ExplicitVRLittleEndian, dicom.ImplicitVRLittleEndian} {
		to := receive(t, []string{ts.UID}, nil)
		title := strings.ToUpper(ts.Name[:8])
		x.peer(title, to.port, identity.MayStore, "*")
		a := x.dial("ALL", "KEPT", implicitLE, getRoles([]string{ctClass}, ts.UID, jpegBaseline))
		done, _ := x.move(a, network.StudyRootMoveUID, title, keys...)
		check("C-MOVE", ts, to.of("1.2.6.1.1"), done)
		var got received
		done, err := a.Get(t.Context(), &network.Query{SOPClassUID: network.StudyRootGetUID, TransferSyntaxUID: implicitLE, Identifier: identifier(t, implicitLE, keys...)}, func(r *network.StoreRequest) network.Status {
			b, _, err := r.Data.ReadAll(nil, 1<<20)
			if err != nil {
				t.Error(err)
			}
			got = received{got: b, as: r.TransferSyntaxUID}
			return network.Status{}
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		check("C-GET", ts, got, done)
	}
	// Who takes both gets it as it is kept.
	both := receive(t, []string{explicitLE, rleLossless}, nil)
	x.peer("BOTH", both.port, identity.MayStore, "*")
	a := x.dial("ALL", "KEPT", implicitLE)
	if done, _ := x.move(a, network.StudyRootMoveUID, "BOTH", keys...); !done.Status.Success() || both.of("1.2.6.1.1").as != rleLossless || string(both.of("1.2.6.1.2").got) != string(broken.Bytes) {
		t.Errorf("as it is kept: %+v, %s", done, both.of("1.2.6.1.1").as)
	}
}
