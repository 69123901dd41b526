package endtoend

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// A steward draws boxes on held images with a pointer, with the keyboard alone, without script and by touch, sees them painted, and accepts.
func TestBoxes(t *testing.T) {
	n := serve(t, setup{})
	n.admin("collection", "set", research, "--acceptance", "person")
	images := named(t, 4)
	last := images[3] // has five frames
	d, err := dicom.ParseDataset(last.data, dicom.ExplicitVRLittleEndian, dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	e := d.Edit()
	e.Insert(dicom.Root, dicom.TagNumberOfFrames, dicom.VRIS, []byte("5 "))
	e.SetValue(d.PixelData(), bytes.Repeat(d.Value(d.PixelData()), 5))
	r, err := e.Render()
	if err != nil {
		t.Fatal(err)
	}
	last.data = r.Head
	for _, st := range n.store("VITRINE", images) {
		if !st.Done() {
			t.Fatal(st, st.Comment)
		}
	}
	var paths []string
	link := strings.TrimSpace(string(n.admin("user", "add", "Stuart", "--role", "steward@"+research, "--public-url", n.localhost())))
	for _, id := range n.heldIDs() {
		paths = append(paths, "/held/"+id)
	}
	if len(paths) != 4 {
		t.Fatalf("%d are held", len(paths))
	}
	inBrowser(t, "boxes.mjs", append([]string{"--link", link, "--out", filepath.Join(testdata.Root(t), "build", "boxes")}, paths...)...)
	n.settled(research, 4)
	if left := n.heldIDs(); len(left) > 0 {
		t.Errorf("%d are held still", len(left))
	}
	n.verify()
}
