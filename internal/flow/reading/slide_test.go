package reading_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// slide begins a level of a slide, of so many tiles of a size.
func slide(ts *dicom.TransferSyntax, uid string, w, h, tile, frames int, photometric string) *dicom.Builder {
	b := dicom.NewBuilder(ts)
	b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.77.1.6")
	b.String(dicom.TagSOPInstanceUID, uid)
	b.String(dicom.TagStudyInstanceUID, "1.2.3.77")
	b.String(dicom.TagSeriesInstanceUID, "1.2.3.77.1")
	b.String(dicom.TagPatientName, "Ashdown^Ivy")
	b.String(dicom.TagPatientID, "SLD0000001")
	b.String(dicom.TagModality, "SM")
	b.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "VOLUME", "NONE")
	b.String(dicom.TagDimensionOrganizationType, "TILED_FULL")
	b.Ints(dicom.TagTotalPixelMatrixColumns, w)
	b.Ints(dicom.TagTotalPixelMatrixRows, h)
	b.Ints(dicom.TagNumberOfFrames, frames)
	b.Ints(dicom.TagRows, tile)
	b.Ints(dicom.TagColumns, tile)
	b.Ints(dicom.TagSamplesPerPixel, 3)
	b.Ints(dicom.TagPlanarConfiguration, 0)
	b.String(dicom.TagPhotometricInterpretation, photometric)
	b.Ints(dicom.TagBitsAllocated, 8)
	b.Ints(dicom.TagBitsStored, 8)
	b.Ints(dicom.TagHighBit, 7)
	b.Ints(dicom.TagPixelRepresentation, 0)
	return b
}

func (x *rig) send(ts *dicom.TransferSyntax, all ...[]byte) {
	x.t.Helper()
	dep, err := x.Custody.Begin(x.t.Context(), "breast", custody.DoorSTOW, "token-of-ward-7")
	if err != nil {
		x.t.Fatal(err)
	}
	for _, b := range all {
		if _, err := dep.Receive(x.t.Context(), custody.Incoming{Syntax: ts, Data: custody.FromReader(bytes.NewReader(b))}); err != nil {
			x.t.Fatal(err)
		}
	}
	dep.End()
	if err := x.Custody.Barrier(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
}

// encoded is the data set that a builder makes.
func encoded(t *testing.T, b *dicom.Builder) []byte {
	t.Helper()
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return d.Bytes()
}

// stain is tissue as tiles show it, without anything written.
func stain(x, y int) color.RGBA {
	v := uint8(180 + (x*7+y*3)%11)
	if (x-90)*(x-90)+(y-70)*(y-70) < 3000 {
		v -= 60
	}
	return color.RGBA{v, v - 40, v - 10, 255}
}

// Comments of tiles are gone when a slide is admitted; nothing else is changed.
func TestSlideStripped(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		ts, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.4.50")
		const tile = 64
		var frames [][]byte
		for k := range 6 {
			m := image.NewRGBA(image.Rect(0, 0, tile, tile))
			for y := range tile {
				for c := range tile {
					m.Set(c, y, stain(k%3*tile+c, k/3*tile+y))
				}
			}
			var b bytes.Buffer
			if err := jpeg.Encode(&b, m, nil); err != nil {
				t.Fatal(err)
			}
			said := "scanned for Brackenridge, bench 4"
			j := append([]byte{0xFF, 0xD8, 0xFF, 0xFE, 0, byte(len(said) + 2)}, said...)
			j = append(j, b.Bytes()[2:]...)
			if len(j)%2 == 1 {
				j = append(j, 0)
			}
			frames = append(frames, j)
		}
		b := slide(ts, "1.2.3.77.1.1", 3*tile, 2*tile, tile, len(frames), "YBR_FULL_422")
		b.Fragments(dicom.TagPixelData, nil, frames...)
		x.send(ts, encoded(t, b))
		_, got := x.pixels(x.settled(policy.Admitted)[0])
		if bytes.Contains(got, []byte("Brackenridge")) || bytes.Contains(got, []byte("bench")) {
			t.Error("a comment is left")
		}
		if len(got) < 6*500 {
			t.Errorf("%d bytes of tiles are left", len(got))
		}
	})
}

// What is written across the tiles of one level holds every level.
func TestSlideWritten(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		us := instance(t, "US")
		d, err := dicom.ParseDataset(us.Data(), dicom.ExplicitVRLittleEndian, dicom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		from := d.Value(d.PixelData()) // 640 by 480, with a name
		const tile = 160
		tiles := func(w, h int, at func(x, y int) []byte) []byte {
			var out []byte
			for k := range (w / tile) * (h / tile) {
				for y := range tile {
					for c := range tile {
						out = append(out, at(k%(w/tile)*tile+c, k/(w/tile)*tile+y)...)
					}
				}
			}
			return out
		}
		small := slide(dicom.ExplicitVRLittleEndian, "1.2.3.77.1.2", 640, 480, tile, 12, "RGB")
		small.Raw(dicom.TagPixelData, dicom.VROB, tiles(640, 480, func(x, y int) []byte { return from[3*(y*640+x):][:3] }))
		large := slide(dicom.ExplicitVRLittleEndian, "1.2.3.77.1.3", 1280, 960, tile, 48, "RGB")
		large.Raw(dicom.TagPixelData, dicom.VROB, tiles(1280, 960, func(x, y int) []byte { return from[3*(y/2*640+x/2):][:3] }))
		x.send(dicom.ExplicitVRLittleEndian, encoded(t, large), encoded(t, small))
		for _, l := range x.settled(policy.Held, policy.Held) {
			if !has(l, deid.CodeUnsure) {
				t.Errorf("it is held for %v", l.Reasons)
			}
		}
	})
}

// A level that says nothing is admitted as it came.
func TestSlidePlain(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		var px []byte
		for k := range 4 {
			for y := range 64 {
				for c := range 64 {
					s := stain(k%2*64+c, k/2*64+y)
					px = append(px, s.R, s.G, s.B)
				}
			}
		}
		b := slide(dicom.ExplicitVRLittleEndian, "1.2.3.77.1.4", 128, 128, 64, 4, "RGB")
		b.Raw(dicom.TagPixelData, dicom.VROB, px)
		x.send(dicom.ExplicitVRLittleEndian, encoded(t, b))
		if _, got := x.pixels(x.settled(policy.Admitted)[0]); !bytes.Equal(got, px) {
			t.Error("a plain slide was changed")
		}
	})
}

// Real segmentations and slides are read: masks of organs are not taken for writing.
func TestRealMasks(t *testing.T) {
	dir := filepath.Join(testdata.Shared(t), "data", "dicom")
	each(t, func(t *testing.T, x *rig) {
		n := 0
		for _, name := range []string{"SEG/highdicom__seg_image_ct_binary.dcm", "SEG/highdicom__seg_image_ct_true_fractional.dcm", "SEG/highdicom__seg_image_sm_control.dcm", "SM/highdicom__sm_image_control.dcm"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			f, err := dicom.Parse(b, dicom.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if f.Syntax().UID != dicom.ExplicitVRLittleEndian.UID {
				continue
			}
			at := bytes.Index(b, []byte{8, 0, 5, 0, 'C', 'S'})
			if at < 0 {
				at = bytes.Index(b, []byte{8, 0, 8, 0, 'C', 'S'})
			}
			x.send(dicom.ExplicitVRLittleEndian, b[at:])
			n++
		}
		if n == 0 {
			t.Skip("none of them is in explicit VR little endian")
		}
		x.settled(many(n, policy.Admitted)...)
	})
}

// What looks like writing in a segmentation is held, and not painted over: its mask is what it says.
func TestMaskWithText(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		seg := bytes.ReplaceAll(instance(t, "US").Data(), []byte("1.2.840.10008.5.1.4.1.1.6.1\x00"), []byte("1.2.840.10008.5.1.4.1.1.66.4"))
		x.deposit(bytes.Replace(seg, []byte("CS\x02\x00US"), []byte("CS\x02\x00OT"), 1))
		l := x.settled(policy.Held)[0]
		found, err := x.Stores.Catalogue.Found(t.Context(), l.ID)
		if err != nil || found == nil || len(found.Boxes) == 0 || !has(l, deid.CodeWriting) {
			t.Errorf("held for %v, with %+v, %v", l.Reasons, found, err)
		}
	})
}
