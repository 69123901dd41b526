package interop

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// What comes by C-STORE in a transfer syntax goes out in it by C-GET, C-MOVE and WADO-RS, to the byte; to who takes uncompressed objects alone, it is decoded: with the pixels that WADO-RS gives. What cannot
// be decoded is named. Decoding makes no error that a validator sees.
func TestEveryTransferSyntax(t *testing.T) {
	t.Parallel()
	each, size := 1, 1<<20
	if testdata.Soak() {
		each, size = 40, 64<<20
	}
	all := realInstances(t, each, size)
	x := start(t)
	x.peer("SENDER", 104, identity.MayStore)
	x.peer("ASKER", 104, identity.MayFind|identity.MayMove|identity.MayGet)
	a, err := network.Dial(t.Context(), x.n.DICOMAddr(), network.DialOptions{CallingAE: "SENDER", CalledAE: "KEPT", Contexts: contexts(all)})
	if err != nil {
		t.Fatal(err)
	}
	syntaxes := map[string]bool{}
	all = slices.DeleteFunc(all, func(i *instance) bool {
		switch st, err := a.Store(t.Context(), i.sent()); {
		case err != nil || !st.Success():
			t.Errorf("%s: stored with %v %v", i.name, st, err)
			return true
		}
		syntaxes[i.syntax] = true
		return false
	})
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(syntaxes) < 18 {
		t.Errorf("%d transfer syntaxes were tried", len(syntaxes))
	}
	x.admitted(int64(len(all)))
	x.publish()
	asIs, explicit, implicit := receive(t), receive(t, explicitLE), receive(t, implicitLE)
	x.peer("ASIS", asIs.port, identity.MayStore)
	x.peer("EXPLICIT", explicit.port, identity.MayStore)
	x.peer("IMPLICIT", implicit.port, identity.MayStore)
	researcher := x.token(policy.Researcher)
	var studies []string
	for _, i := range all {
		studies = append(studies, i.study)
	}
	key := identifier(t, "QueryRetrieveLevel=STUDY", "StudyInstanceUID="+strings.Join(studies, `\`))

	// get asks by C-GET, taking some transfer syntaxes.
	get := func(in *instance, takes ...string) (*instance, network.Done) {
		t.Helper()
		o := network.DialOptions{CallingAE: "ASKER", CalledAE: "KEPT", Contexts: []network.Proposal{{AbstractSyntax: network.StudyRootGetUID, TransferSyntaxes: []string{implicitLE}},
			{AbstractSyntax: in.class, TransferSyntaxes: takes}}, Roles: []network.Role{{SOPClassUID: in.class, SCP: true}}}
		a, err := network.Dial(t.Context(), x.n.DICOMAddr(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = a.Release(t.Context()) }()
		got := &receiver{has: map[string]*instance{}}
		done, err := a.Get(t.Context(), &network.Query{SOPClassUID: network.StudyRootGetUID, TransferSyntaxUID: implicitLE, Identifier: identifier(t, "QueryRetrieveLevel=STUDY", "StudyInstanceUID="+in.study)}, got.take, nil)
		if err != nil {
			t.Fatalf("%s: %v", in.name, err)
		}
		return got.of(in.sop), done
	}
	move := func(to string) network.Done {
		t.Helper()
		a, err := network.Dial(t.Context(), x.n.DICOMAddr(), network.DialOptions{CallingAE: "ASKER", CalledAE: "KEPT", Contexts: []network.Proposal{{AbstractSyntax: network.StudyRootMoveUID, TransferSyntaxes: []string{implicitLE}}}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = a.Release(t.Context()) }()
		done, err := a.Move(t.Context(), &network.Query{SOPClassUID: network.StudyRootMoveUID, TransferSyntaxUID: implicitLE, MoveDestination: to, Identifier: key}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	if done := move("ASIS"); !done.Status.Success() || int(done.Sub.Completed) != len(all) {
		t.Errorf("moved as it is kept: %+v", done)
	}
	failed := map[string]string{}
	for to, ts := range map[string]*dicom.TransferSyntax{"EXPLICIT": dicom.ExplicitVRLittleEndian, "IMPLICIT": dicom.ImplicitVRLittleEndian} {
		done := move(to)
		if int(done.Sub.Completed)+int(done.Sub.Failed) != len(all) || done.Sub.Failed > 0 && !strings.Contains(done.Status.Comment, "not decoded") {
			t.Errorf("moved to who takes %s: %+v", ts.Name, done)
		}
		if done.Sub.Failed > 0 {
			d, err := dicom.ParseDataset(done.Identifier, dicom.ImplicitVRLittleEndian, dicom.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			failed[to] = strings.Join(d.Strings(d.Find(dicom.TagFailedSOPInstanceUIDList)), " ")
		}
	}
	decoded, refused := map[string]int{}, map[string]int{}
	validator, dir := testdata.NewValidator(t), t.TempDir()
	errorsOf := func(file []byte) map[string]bool {
		t.Helper()
		name := filepath.Join(dir, "x.dcm")
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		return validator.Errors(name)
	}
	for _, i := range all {
		at := fmt.Sprintf("/dicomweb/studies/%s/series/%s/instances/%s", i.study, i.series, i.sop)
		if got := asIs.of(i.sop); got == nil || got.syntax != i.syntax || !same(i, got.data) {
			t.Errorf("%s: C-MOVE gives another object", i.name)
		}
		if got, done := get(i, i.syntax); got == nil || got.syntax != i.syntax || !same(i, got.data) {
			t.Errorf("%s: C-GET gives another object: %+v", i.name, done)
		}
		code, b := x.get(at, researcher, "application/dicom; transfer-syntax=*")
		if f, err := dicom.Parse(b, dicom.Limits{}); code != 200 || err != nil || f.Syntax().UID != i.syntax || !same(i, f.DatasetBytes()) {
			t.Errorf("%s: WADO-RS gives another object: %d %v", i.name, code, err)
		}
		// Uncompressed.
		code, b = x.get(at, researcher, "application/dicom; transfer-syntax="+explicitLE)
		got, done := get(i, explicitLE)
		if code == 406 {
			refused[i.syntax]++
			if got != nil || done.Sub.Failed != 1 || !strings.Contains(done.Status.Comment, "not decoded") || !strings.Contains(failed["EXPLICIT"]+" ", i.sop+" ") || !strings.Contains(failed["IMPLICIT"]+" ", i.sop+" ") {
				t.Errorf("%s: WADO-RS does not decode it: %s; C-GET says %+v, C-MOVE that %q failed", i.name, b, done, failed)
			}
			continue
		}
		plain, err := dicom.Parse(b, dicom.Limits{})
		if code != 200 || err != nil || got == nil {
			t.Errorf("%s: uncompressed: %d %v %+v", i.name, code, err, done)
			continue
		}
		ts, _ := dicom.LookupTransferSyntax(i.syntax)
		if ts.Encapsulated {
			decoded[i.syntax]++
			before := errorsOf(i.file(t))
			for e := range errorsOf(b) {
				if !before[e] {
					t.Errorf("%s: decoded, it has an error that it had not: %s", i.name, e)
				}
			}
			if !bytes.Equal(got.data, plain.DatasetBytes()) {
				t.Errorf("%s: C-GET gives another object than WADO-RS", i.name)
			}
		}
		want := pixels(t, plain.DatasetBytes(), dicom.ExplicitVRLittleEndian)
		for _, c := range []struct {
			r  *receiver
			ts *dicom.TransferSyntax
		}{{explicit, dicom.ExplicitVRLittleEndian}, {implicit, dicom.ImplicitVRLittleEndian}} {
			if v := c.r.of(i.sop); v == nil || v.syntax != c.ts.UID || !bytes.Equal(pixels(t, v.data, c.ts), want) {
				t.Errorf("%s: in %s other pixels", i.name, c.ts.Name)
			}
		}
	}
	t.Logf("%d instances in %d transfer syntaxes; decoded %v, not decoded %v", len(all), len(syntaxes), decoded, refused)
	if len(decoded) < 12 {
		t.Errorf("%d transfer syntaxes were decoded", len(decoded))
	}
}

// same reports whether a data set is that of an instance: to the byte, or, if it is deflated, to that of the inflated one.
func same(i *instance, b []byte) bool {
	if i.syntax != dicom.DeflatedExplicitVRLittleEndianUID {
		return bytes.Equal(b, i.data)
	}
	was, err := io.ReadAll(flate.NewReader(bytes.NewReader(i.data)))
	is, err2 := io.ReadAll(flate.NewReader(bytes.NewReader(b)))
	return err == nil && err2 == nil && bytes.Equal(was, is)
}

// pixels are the photometric interpretation and pixel data of a native data set.
func pixels(t testing.TB, b []byte, ts *dicom.TransferSyntax) []byte {
	t.Helper()
	d, err := dicom.ParseDataset(b, ts, dicom.Limits{})
	if err != nil {
		t.Error(err)
		return nil
	}
	return append([]byte(d.String(dicom.TagPhotometricInterpretation)), d.Value(d.PixelData())...)
}
