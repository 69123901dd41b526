package dicomweb_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// The client library of OHIF and others stores, finds and fetches.
func TestClientOfViewers(t *testing.T) {
	node := testdata.Program(t, "node")
	web := filepath.Join(testdata.Root(t), "web")
	_, err := os.Stat(filepath.Join(web, "node_modules", "dicomweb-client", "package.json"))
	testdata.Require(t, "dicomweb-client (npm ci in web)", err == nil)
	x := start(t, "")
	file := filepath.Join(t.TempDir(), "image.dcm")
	f, err := dicom.Parse(colourRLE(t, rle("rst", "ghi", "bcd"), rle("RST", "GHI", "BCD")), dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	edit := f.Data.Edit()
	edit.Insert(dicom.Root, dicom.TagRedPaletteColorLookupTableData, dicom.VROW, bytes.Repeat([]byte("ab"), 700))
	r, err := edit.Render()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.WriteEdited(&b, r); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), node, filepath.Join(web, "e2e", "dicomweb.mjs"), x.url("/collections/"+kept+"/dicomweb"), file)
	c.Env = append(os.Environ(), "DEPOSITOR="+x.token(policy.Depositor, kept), "STEWARD="+x.token(policy.Steward, kept))
	out, err := c.CombinedOutput()
	n := 0
	for line := range strings.Lines(string(out)) {
		switch {
		case strings.HasPrefix(line, "ok "):
			n++
		case strings.HasPrefix(line, "not ok "):
			t.Error(line)
		default: // it talks
			t.Log(line)
		}
	}
	if err != nil || n < 19 {
		t.Errorf("%d things were tried: %v", n, err)
	}
}
