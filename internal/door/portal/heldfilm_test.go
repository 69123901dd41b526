package portal_test

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// recording deposits a video of a made-up patient, whose index is at the end and names her, in two fragments.
func recording(t *testing.T, n *node.Node, frames int) catalogue.Located {
	t.Helper()
	ffmpeg := testdata.Program(t, "ffmpeg")
	var raw bytes.Buffer
	for k := range frames {
		raw.Write(bytes.Repeat([]byte{byte(20 + k)}, 160*120*3))
	}
	file := t.TempDir() + "/v"
	cmd := exec.Command(ffmpeg, "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "160x120", "-r", "25", "-i", "pipe:0", "-c:v", "libx264", "-metadata", "title=Winterbourne", "-f", "mp4", file)
	cmd.Stdin = &raw
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	video, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	video = append(video, make([]byte, len(video)%2)...)
	syntax, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.4.102")
	dep, err := n.Custody.Begin(t.Context(), collection.Default, custody.DoorSTOW, "ward-7")
	if err != nil {
		t.Fatal(err)
	}
	b := dicom.NewBuilder(syntax)
	for tag, v := range map[dicom.Tag]string{dicom.TagSOPClassUID: "1.2.840.10008.5.1.4.1.1.77.1.1.1", dicom.TagSOPInstanceUID: "1.2.8.1.1", dicom.TagStudyInstanceUID: "1.2.8", dicom.TagSeriesInstanceUID: "1.2.8.1",
		dicom.TagModality: "ES", dicom.TagPatientID: "H-4471 882", dicom.TagPatientName: "Winterbourne^Ada", dicom.TagPhotometricInterpretation: "YBR_PARTIAL_420", dicom.TagNumberOfFrames: fmt.Sprint(frames)} {
		b.String(tag, v)
	}
	for tag, v := range map[dicom.Tag]int{dicom.TagRows: 120, dicom.TagColumns: 160, dicom.TagBitsAllocated: 8, dicom.TagBitsStored: 8, dicom.TagHighBit: 7, dicom.TagSamplesPerPixel: 3, dicom.TagPixelRepresentation: 0} {
		b.Ints(tag, v)
	}
	half := len(video) / 4 * 2
	b.Fragments(dicom.TagPixelData, nil, video[:half], video[half:])
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	r, err := dep.Receive(t.Context(), custody.Incoming{Syntax: syntax, Data: custody.FromReader(bytes.NewReader(d.Bytes()))})
	if err != nil || r.Outcome != custody.Held {
		t.Fatal(r, err)
	}
	dep.End()
	if err := n.Custody.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := n.Stores.Catalogue.Waiting(t.Context(), collection.Default, 0, 0, 100)
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	return all[len(all)-1]
}

// Frames of a video are shown to its steward on one sheet, and what stands beside them; every look is in the audit log.
func TestAStewardSeesAVideo(t *testing.T) {
	testdata.Program(t, "ffmpeg")
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		one := recording(t, n, 40)
		v := visit(t, base)
		if _, body, head := v.fetch("/held/" + one.ID.String() + "/film"); head.Get("Content-Type") == "image/jpeg" {
			t.Error("a stranger is given frames", len(body))
		}
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		code, page, head := v.fetch("/held/" + one.ID.String())
		if code != 200 || !strings.Contains(head.Get("Cache-Control"), "no-store") {
			t.Fatal(code, page)
		}
		for _, want := range []string{"14 frames of 40", "frame 1, 0:00", "frame 40, 0:02", `<mark class="hd-echo">Winterbourne</mark>`, "h264, 160 × 120", "/film"} {
			if !strings.Contains(page, want) {
				t.Errorf("%q is not on the page", want)
			}
		}
		before := len(said(t, n))
		code, sheet, head := v.fetch("/held/" + one.ID.String() + "/film")
		img, err := jpeg.Decode(strings.NewReader(sheet))
		if code != 200 || err != nil || head.Get("Cache-Control") != "private, no-store" {
			t.Fatal(code, err, head)
		}
		// Seven rows of two, each brighter than the one before.
		last := uint32(0)
		for k := range 7 {
			r, _, _, _ := img.At(80, img.Bounds().Dy()*k/7+60).RGBA()
			if r <= last {
				t.Errorf("row %d is of %d, the one before of %d", k, r>>8, last>>8)
			}
			last = r
		}
		if n := len(said(t, n)); n <= before {
			t.Error("the look is not in the audit log")
		}
		if code, page, _ := v.do("POST", "/held", url.Values{"item": {one.ID.String()}, "do": {"restrict"}}); code != 200 || !strings.Contains(page, "1 item kept restricted") {
			t.Error(code, page)
		}
		if code, page, _ := v.do("GET", "/held/"+one.ID.String(), nil); code != 200 || !strings.Contains(page, "14 frames of 40") || !strings.Contains(page, "kept restricted") {
			t.Error("what is kept is not shown to its steward", code)
		}
	})
}
