package face_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/face"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// add takes every frame of a data set that needs no worker to be decoded; ok is false if it is no volume's, or cannot be decoded so.
func add(v *face.Volume, d *dicom.Dataset) (ok bool) {
	i := d.PixelData()
	if i < 0 || !face.Readable(d) {
		return false
	}
	frames, err := dicom.NewFrames(d, bytes.NewReader(d.Value(i)), int64(len(d.Value(i))))
	if err != nil {
		return false
	}
	for k := range frames.Count() {
		a, err := render.AttributesOfFrame(d, k)
		if err != nil {
			return false
		}
		fr, err := frames.Open(k)
		if err != nil {
			return false
		}
		b := make([]byte, fr.Size)
		if _, err := io.ReadFull(fr, b); err != nil {
			return false
		}
		f, err := codec.Decode(d.Syntax(), a.Image(), b)
		if err != nil {
			return false
		}
		v.Add(d, k, &a, f)
	}
	return true
}

func anatomy(t testing.TB, seed uint64, name string) *sample.Anatomy {
	t.Helper()
	for _, a := range sample.Anatomies(seed) {
		if a.Name == name {
			return a
		}
	}
	t.Fatal("there is no such anatomy")
	return nil
}

// scanned are the data sets of a scan.
func scanned(t testing.TB, s *sample.Scan) []*dicom.Dataset {
	t.Helper()
	var all []*dicom.Dataset
	for i := range s.Len() {
		in, err := s.Instance(i)
		if err != nil {
			t.Fatal(err)
		}
		d, err := dicom.ParseDataset(in.Data(), in.Syntax(), dicom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func judged(t testing.TB, all ...*dicom.Dataset) face.Finding {
	t.Helper()
	var v face.Volume
	for _, d := range all {
		if !add(&v, d) {
			t.Fatal("a slice of the sample is not read")
		}
	}
	return v.Judge()
}

// quick is a coarse scan.
func quick(a *sample.Anatomy, modality, plane string) *sample.Scan {
	s := &sample.Scan{Seed: 5, Of: a, Modality: modality, Plane: plane, Pixel: 3, Between: 5, Noise: 0.02, Uneven: 0.4}
	if modality == "CT" {
		s.Noise = 25
	}
	return s
}

// What must never be missed, and what must not be taken for a head.
func TestKinds(t *testing.T) {
	for _, c := range []struct {
		anatomy, modality, plane string
		want                     []face.Outcome
	}{
		{"head", "CT", "axial", []face.Outcome{face.Visible}},
		{"head", "MR", "sagittal", []face.Outcome{face.Visible}},
		{"head", "PT", "axial", []face.Outcome{face.Visible}},
		{"head of a child", "CT", "coronal", []face.Outcome{face.Visible}},
		{"head of a child", "MR", "axial", []face.Outcome{face.Visible, face.Unsure}},
		{"lower face and neck", "CT", "axial", []face.Outcome{face.Visible, face.Unsure}},
		{"face without vertex", "MR", "axial", []face.Outcome{face.Visible, face.Unsure}},
		{"brain slab", "CT", "axial", []face.Outcome{face.NotVisible}},
		{"brain with vertex", "MR", "axial", []face.Outcome{face.NotVisible, face.Unsure}},
		{"thorax", "CT", "axial", []face.Outcome{face.NotHead}},
		{"thorax", "CT", "coronal", []face.Outcome{face.NotHead}},
		{"abdomen", "MR", "coronal", []face.Outcome{face.NotHead}},
		{"abdomen of a child", "CT", "axial", []face.Outcome{face.NotHead}},
		{"legs", "MR", "axial", []face.Outcome{face.NotHead}},
		{"hand", "MR", "sagittal", []face.Outcome{face.NotHead}},
		{"cylinder", "CT", "axial", []face.Outcome{face.NotHead}},
		{"knee", "MR", "sagittal", []face.Outcome{face.NotHead, face.Unsure}},
	} {
		t.Run(strings.Join([]string{c.anatomy, c.modality, c.plane}, " "), func(t *testing.T) {
			f := judged(t, scanned(t, quick(anatomy(t, 5, c.anatomy), c.modality, c.plane))...)
			if !slices.Contains(c.want, f.Outcome) {
				t.Errorf("%s: %s (%s)", f.Outcome, f.Why, f.Words())
			}
		})
	}
}

// A scan of a whole body shows the face that is a tenth of it.
func TestWholeBody(t *testing.T) {
	s := quick(anatomy(t, 5, "whole body"), "CT", "axial")
	s.Pixel, s.Between, s.BodyPart = 4, 6, "CHEST"
	if f := judged(t, scanned(t, s)...); f.Outcome != face.Visible {
		t.Errorf("%s: %s (%s)", f.Outcome, f.Why, f.Words())
	}
}

// The order of slices does not matter, nor whether they are one object; and those of the upper half alone say something else.
func TestSameVolume(t *testing.T) {
	s := quick(anatomy(t, 5, "head"), "CT", "axial")
	all := scanned(t, s)
	want := judged(t, all...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	if got := judged(t, all...); got != want {
		t.Errorf("in another order: %+v, not %+v", got, want)
	}
	s.Enhanced = true
	if got := judged(t, scanned(t, s)...); got != want {
		t.Errorf("as one object: %+v, not %+v", got, want)
	}
	s.Enhanced, s.First, s.Last = false, 0.75, 1
	if got := judged(t, scanned(t, s)...); got.Outcome != face.NotVisible {
		t.Errorf("its top: %s, %s (%s)", got.Outcome, got.Why, got.Words())
	}
	s.First, s.Last = 0.5, 0.52
	if got := judged(t, scanned(t, s)...); got.Outcome != face.NotVisible {
		t.Errorf("one slice: %s, %s", got.Outcome, got.Why)
	}
}

// What cannot be placed, or was not read, is not said to be without a face.
func TestUntold(t *testing.T) {
	s := quick(anatomy(t, 5, "abdomen"), "CT", "axial")
	all := scanned(t, s)
	var v face.Volume
	if f := v.Judge(); f.Outcome != face.Unsure {
		t.Errorf("of nothing: %s", f.Outcome)
	}
	for _, d := range all {
		add(&v, d)
	}
	if f := v.Judge(); f.Outcome != face.NotHead {
		t.Errorf("an abdomen: %s", f.Outcome)
	}
	v.Miss()
	if f := v.Judge(); f.Outcome != face.Unsure {
		t.Errorf("with a slice that was not read: %s", f.Outcome)
	}
	var w face.Volume
	for _, d := range all {
		add(&w, d)
	}
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagModality, "CT")
	nowhere, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	w.Add(nowhere, 0, &render.Attributes{Slope: 1}, codec.Frame{Image: codec.Image{Rows: 1, Columns: 1, Samples: 1, Allocated: 16, Stored: 16, HighBit: 15}, Pixels: make([]byte, 2)})
	if f := w.Judge(); f.Outcome != face.Unsure {
		t.Errorf("with a slice that lies nowhere: %s", f.Outcome)
	}
}

// Anything may come; memory stays bounded.
func TestHostile(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 60 {
		var v face.Volume
		for range 1 + r.IntN(20) {
			b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
			b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
			b.String(dicom.TagModality, []string{"CT", "MR", "PT", "NM"}[r.IntN(4)])
			far := []float64{1, 100, 99_000, 1e9}[r.IntN(4)]
			b.Floats(dicom.TagImagePositionPatient, far*(r.Float64()-0.5), far*(r.Float64()-0.5), far*(r.Float64()-0.5))
			b.Floats(dicom.TagImageOrientationPatient, 1, 0, 0, 0, []float64{1, 0.99, 0}[r.IntN(3)], []float64{0, 0.1, 1}[r.IntN(3)])
			s := []float64{0.002, 1, 90, -1}[r.IntN(4)]
			b.Floats(dicom.TagPixelSpacing, s, s)
			d, err := b.Dataset()
			if err != nil {
				t.Fatal(err)
			}
			n := 1 + r.IntN(40)
			f := codec.Frame{Image: codec.Image{Rows: n, Columns: n, Samples: 1, Allocated: 16, Stored: 12 + r.IntN(5), HighBit: 15, Signed: r.IntN(2) == 1}, Pixels: make([]byte, 2*n*n-r.IntN(2))}
			for i := range f.Pixels {
				f.Pixels[i] = byte(r.Uint32())
			}
			a := render.Attributes{Slope: []float64{1, 1e300, -1}[r.IntN(3)]}
			v.Add(d, 0, &a, f)
		}
		if f := v.Judge(); f.Outcome == "" {
			t.Fatal("no outcome")
		}
	}
}

// drawn is a scan with what scanners vary.
func drawn(r *rand.Rand, a *sample.Anatomy, modality string) *sample.Scan {
	pick := func(low, high float64) float64 { return low + (high-low)*r.Float64() }
	s := &sample.Scan{Seed: r.Uint64() % 1000, Of: a, Modality: modality, Plane: []string{"axial", "axial", "sagittal", "coronal"}[r.IntN(4)], Tilt: pick(-18, 18)}
	switch modality {
	case "CT":
		s.Plane, s.Pixel, s.Between, s.Noise = "axial", pick(1.5, 3), pick(2, 6), pick(5, 60)
	case "MR":
		s.Pixel, s.Between, s.Noise, s.Uneven, s.Weighting = pick(1.5, 3), pick(2.5, 6), pick(0.005, 0.06), pick(0, 0.6), sample.Weighting(r.IntN(3))
	default:
		s.Plane, s.Pixel, s.Between, s.Noise, s.Tilt = "axial", pick(2.5, 5), pick(2.5, 5), pick(0.05, 0.3), 0
	}
	if a.Extent[2] > 500 {
		s.Pixel, s.Between = pick(3, 4), pick(4, 6)
	}
	if r.IntN(2) == 0 && !strings.Contains(a.Name, "child") {
		s.Age = fmt.Sprintf("%03dY", 30+r.IntN(50))
	}
	return s
}

// Figures are what docs/faces.md says; VITRINE_SOAK=1 measures all of them.
func TestMeasured(t *testing.T) {
	seeds := []uint64{101}
	if os.Getenv("VITRINE_SOAK") == "" {
		seeds = seeds[:0]
		if testing.Verbose() {
			seeds = append(seeds, 101)
		}
	} else {
		for i := range uint64(7) {
			seeds = append(seeds, 102+i)
		}
	}
	order := []face.Outcome{face.Visible, face.Unsure, face.NotVisible, face.NotHead}
	count := map[string]map[face.Outcome]int{}
	var names []string
	r := rand.New(rand.NewPCG(41, 42))
	for _, seed := range seeds {
		for _, a := range sample.Anatomies(seed) {
			for _, m := range []string{"CT", "MR", "PT"} {
				s := drawn(r, a, m)
				f := judged(t, scanned(t, s)...)
				name := fmt.Sprintf("%-22s %s", a.Name, m)
				if count[name] == nil {
					count[name] = map[face.Outcome]int{}
					names = append(names, name)
				}
				count[name][f.Outcome]++
				if a.Face && !f.Outcome.Shows() || !a.Head && f.Outcome == face.Visible {
					t.Errorf("%s %s %.1f x %.1f mm, tilt %.0f, noise %.2f, weighting %d, seed %d: %s, %s (%s)", name, s.Plane, s.Pixel, s.Between, s.Tilt, s.Noise, s.Weighting, seed, f.Outcome, f.Why, f.Words())
				}
			}
		}
	}
	for _, n := range names {
		line := n
		for _, o := range order {
			line += fmt.Sprintf("  %s %d", o, count[n][o])
		}
		t.Log(line)
	}
}

// Of the real files nothing is known but that they must be judged without a fault; what is found is logged.
func TestReal(t *testing.T) {
	dir := filepath.Join(testdata.Shared(t), "data", "dicom")
	series := map[string]*face.Volume{}
	var order []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := dicom.Parse(b, dicom.Limits{})
		if err != nil || !face.Readable(file.Data) {
			return nil
		}
		uid := file.Data.UID(dicom.TagSeriesInstanceUID)
		if series[uid] == nil {
			series[uid] = &face.Volume{}
			order = append(order, uid)
		}
		if !add(series[uid], file.Data) {
			series[uid].Miss()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, uid := range order {
		f := series[uid].Judge()
		t.Logf("%s: %s (%s)", f.Outcome, f.Why, f.Words())
	}
}

// What a slice costs: taking it in, and its part of the judgement.
func BenchmarkSlice(b *testing.B) {
	s := &sample.Scan{Seed: 5, Of: anatomy(b, 5, "head"), Modality: "CT", Pixel: 0.5, Between: 4, Noise: 20}
	all := scanned(b, s)
	d := all[len(all)/2]
	a, err := render.AttributesOf(d)
	if err != nil {
		b.Fatal(err)
	}
	f, err := codec.Decode(d.Syntax(), a.Image(), slices.Clone(d.Value(d.PixelData())))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(f.Pixels)))
	var v face.Volume
	for b.Loop() {
		v.Add(d, 0, &a, f)
	}
}

func BenchmarkJudge(b *testing.B) {
	s := quick(anatomy(b, 5, "whole body"), "CT", "axial")
	s.Pixel = 4
	var v face.Volume
	all := scanned(b, s)
	for _, d := range all {
		add(&v, d)
	}
	for b.Loop() {
		v.Judge()
	}
	b.ReportMetric(float64(len(all)), "slices")
}
