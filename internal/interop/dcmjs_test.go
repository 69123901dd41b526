package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// dcmjs runs web/e2e/dimse.mjs, which says what it tried; so many things are to be ok.
func dcmjs(t *testing.T, want int, env []string, args ...string) {
	t.Helper()
	node, web := testdata.Program(t, "node"), filepath.Join(testdata.Root(t), "web")
	_, err := os.Stat(filepath.Join(web, "node_modules", "dcmjs-dimse", "package.json"))
	testdata.Require(t, "dcmjs-dimse (npm ci in web)", err == nil)
	c := exec.CommandContext(t.Context(), node, append([]string{filepath.Join(web, "e2e", "dimse.mjs")}, args...)...)
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	n := 0
	for line := range strings.Lines(string(out)) {
		switch {
		case strings.HasPrefix(line, "ok "):
			n++
		case strings.HasPrefix(line, "not ok "):
			t.Error(line)
		default:
			t.Log(line)
		}
	}
	if err != nil || n != want {
		t.Errorf("%d things were tried: %v", n, err)
	}
}

// Another implementation of DIMSE stores, finds, has sent to itself and gets, uncompressed what is kept compressed.
func TestClientOfDcmjs(t *testing.T) {
	t.Parallel()
	testdata.Program(t, "node")
	x := start(t)
	port := freePort(t)
	x.peer("DCMJS", port, identity.MayStore|identity.MayFind|identity.MayMove|identity.MayGet)
	all := []*instance{slice(t, dicom.ExplicitVRLittleEndian, 1, 1), slice(t, dicom.ImplicitVRLittleEndian, 1, 2), rle(t, 1, 3), slice(t, dicom.ExplicitVRLittleEndian, 2, 1)}
	args := []string{"store", "127.0.0.1", x.port()}
	for _, i := range all {
		name := filepath.Join(t.TempDir(), i.sop+".dcm")
		if err := os.WriteFile(name, i.file(t), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, name)
	}
	dcmjs(t, 1+len(all), nil, args...)
	x.admitted(int64(len(all)))
	x.publish()
	dcmjs(t, 6, nil, "ask", "127.0.0.1", x.port(), strconv.Itoa(port), all[0].study, "3")
}
