package sample

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

var made = map[uint64][]*Instance{}

// few is the first and the last instances of each series of the collection.
func few(t *testing.T, seed uint64) []*Instance {
	t.Helper()
	if made[seed] == nil {
		made[seed] = makeFew(t, seed)
	}
	return made[seed]
}

func makeFew(t *testing.T, seed uint64) []*Instance {
	t.Helper()
	var out []*Instance
	for s := range Studies(seed) {
		for i := range s.Len() {
			if i > 1 && i < s.Len()-1 && i != s.Len()/2 && i != s.Len()/2-1 {
				continue
			}
			in, err := s.Instance(i)
			if err != nil {
				t.Fatalf("subject %d, timepoint %d, %s, instance %d: %v", s.Subject, s.Timepoint, s.Kind, i, err)
			}
			out = append(out, in)
		}
	}
	return out
}

func TestCollection(t *testing.T) {
	type key struct{ subject, timepoint int }
	kinds := map[key][]string{}
	uids := map[string]bool{}
	for s := range Studies(1) {
		kinds[key{s.Subject, s.Timepoint}] = append(kinds[key{s.Subject, s.Timepoint}], s.Kind)
		if uids[s.UID] {
			t.Error("two studies have one UID")
		}
		uids[s.UID] = true
	}
	if len(kinds) != 9 {
		t.Errorf("%d visits, want three of three subjects", len(kinds))
	}
	for k, want := range map[key]string{{1, 0}: "CT", {2, 0}: "MG,US", {2, 2}: "MG", {3, 1}: "PET/CT", {3, 2}: "PET/CT,DOC"} {
		if got := strings.Join(kinds[k], ","); got != want {
			t.Errorf("subject %d, timepoint %d: %s, want %s", k.subject, k.timepoint, got, want)
		}
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	sum := func(seed uint64) [32]byte {
		h := sha256.New()
		for s := range Studies(seed) {
			in, err := s.Instance(s.Len() - 1)
			if err != nil {
				t.Fatal(err)
			}
			h.Write(in.File())
		}
		return [32]byte(h.Sum(nil))
	}
	a, b, c := sum(1), sum(1), sum(2)
	if a != b {
		t.Error("one seed gave two collections")
	}
	if a == c {
		t.Error("two seeds gave one collection")
	}
}

func TestWrite(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 76 MB")
	}
	dir := t.TempDir()
	begin := time.Now()
	m, err := Write(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d instances, %d bytes, %v", m.Instances, m.Bytes, time.Since(begin).Round(time.Millisecond))
	if m.Bytes > 120e6 {
		t.Errorf("the collection has %d bytes, more than 120 MB", m.Bytes)
	}
	files, size := 0, int64(0)
	sops := map[string]bool{}
	err = filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := dicom.Open(p, dicom.DefaultLimits)
		if err != nil {
			return fmt.Errorf("file %d: %w", files, err)
		}
		defer f.Close()
		files++
		fi, err := e.Info()
		size += fi.Size()
		sops[f.Data.UID(dicom.TagSOPInstanceUID)] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files != m.Instances || len(sops) != files || size != m.Bytes {
		t.Errorf("%d files of %d instances, %d bytes; the manifest says %d and %d", files, len(sops), size, m.Instances, m.Bytes)
	}
}

// Every kind of object must pass the validator that the field uses, without an error.
func TestValid(t *testing.T) {
	dciodvfy := testdata.Program(t, "dciodvfy")
	var large bytes.Buffer
	if _, err := Large(&large, 1, 3); err != nil {
		t.Fatal(err)
	}
	small, err := SmallSet(1).Instance(0)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, file []byte) {
		name := filepath.Join(t.TempDir(), "x.dcm")
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		out, _ := exec.Command(dciodvfy, name).CombinedOutput() // it exits 1 after warnings too
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "Error") {
				t.Errorf("%s: %s", what, strings.TrimSpace(line))
			}
		}
		if !bytes.Contains(out, []byte("Image")) && !bytes.Contains(out, []byte("EncapsulatedPDF")) {
			t.Errorf("%s: the validator recognised no object: %s", what, out)
		}
	}
	for _, seed := range []uint64{1, 2} {
		for i, in := range few(t, seed) {
			check(fmt.Sprintf("seed %d, instance %d (%s)", seed, i, in.Modality), in.File())
		}
	}
	check("large", large.Bytes())
	check("small", small.File())
}

func TestDumped(t *testing.T) {
	dcmdump := testdata.Program(t, "dcmdump")
	marked, _, err := Marked("ZQXV")
	if err != nil {
		t.Fatal(err)
	}
	for i, in := range append(few(t, 1), marked) {
		name := filepath.Join(t.TempDir(), "x.dcm")
		if err := os.WriteFile(name, in.File(), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(dcmdump, "-q", name)
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		if err := cmd.Run(); err != nil || complaints.Len() > 0 {
			t.Errorf("instance %d (%s): %v %s", i, in.Modality, err, complaints.Bytes())
		}
	}
}

// The standardised uptake value, worked out from nothing but what the objects say, is what the phantom was given.
func TestUptake(t *testing.T) {
	for s := range Studies(1) {
		if s.Kind != "PET/CT" {
			continue
		}
		tr := PETTracer(s.Person, s.Timepoint)
		in, err := s.Instance(trunkField.slices + trunkField.slices/2) // z = 0, through the spheres' centres
		if err != nil {
			t.Fatal(err)
		}
		f, err := dicom.Parse(in.File(), dicom.DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		d := f.Data
		if d.String(dicom.TagUnits) != "BQML" || d.String(dicom.TagDecayCorrection) != "START" {
			t.Fatal("not in Bq/ml at the begin of the series")
		}
		for _, want := range []string{"ATTN", "DECY"} {
			found := false
			for _, v := range d.Strings(d.Find(dicom.TagCorrectedImage)) {
				found = found || v == want
			}
			if !found {
				t.Errorf("Corrected Image lacks %s", want)
			}
		}
		info := d.FindIn(d.Find(dicom.TagRadiopharmaceuticalInformationSequence), 0xFFFEE000)
		if info < 0 {
			for c := range d.Children(d.Find(dicom.TagRadiopharmaceuticalInformationSequence)) {
				info = c
				break
			}
		}
		num := func(parent int, tag dicom.Tag) float64 { return d.Floats(d.FindIn(parent, tag))[0] }
		const layout = "20060102150405.000000"
		injected, err1 := time.Parse(layout, d.StringIn(info, dicom.TagRadiopharmaceuticalStartDateTime))
		scan, err2 := time.Parse(layout, d.String(dicom.TagSeriesDate)+d.String(dicom.TagSeriesTime))
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		dose := num(info, dicom.TagRadionuclideTotalDose) * math.Exp2(-scan.Sub(injected).Seconds()/num(info, dicom.TagRadionuclideHalfLife))
		perBq := num(dicom.Root, dicom.TagPatientWeight) * 1000 / dose
		slope := num(dicom.Root, dicom.TagRescaleSlope)
		px := d.Value(d.Find(dicom.TagPixelData))
		if px == nil {
			b := in.Data()
			px = b[len(b)-2*trunkField.pet*trunkField.pet:]
		}
		// mean of the voxels whose centre lies within r of the place
		mean := func(x, y, r float64) float64 {
			sum, n := 0.0, 0
			for row := range trunkField.pet {
				for col := range trunkField.pet {
					vx, vy := (float64(col)+0.5-float64(trunkField.pet)/2)*trunkField.petPixel, (float64(row)+0.5-float64(trunkField.pet)/2)*trunkField.petPixel
					if math.Hypot(vx-x, vy-y) <= r {
						sum += float64(int16(binary.LittleEndian.Uint16(px[2*(row*trunkField.pet+col):]))) * slope * perBq
						n++
					}
				}
			}
			return sum / float64(n)
		}
		ph := newTrunk(0, tr.Ratio)
		for i, b := range ph.spheres[:4] {
			got := mean(b.x, b.y, b.radius-trunkField.petPixel)
			if want := tr.Ratio * tr.Background; math.Abs(got-want) > 0.04*want {
				t.Errorf("timepoint %d, sphere %d: SUV %.3f, want %.3f", s.Timepoint, i, got, want)
			}
		}
		if got := mean(0, 60-10-120, 12); math.Abs(got-tr.Background) > 0.03 {
			t.Errorf("timepoint %d: background SUV %.3f, want %.3f", s.Timepoint, got, tr.Background)
		}
	}
}

func TestHounsfield(t *testing.T) {
	c := &chest{key: 1, nodules: []ball{{-92, -22, 6, 11, 38}}}
	for _, p := range []struct {
		what    string
		x, y, z float64
		want    float64
		within  float64
	}{
		{"air", 0, -170, 0, -1000, 0},
		{"subcutaneous fat", 0, -110, 0, -100, 0},
		{"vertebra", 0, 56, 0, huMarrow, 31},
		{"canal", 0, 78, 0, huCord, 0},
		{"aorta", 20, 40, 0, huVessel, 0},
		{"trachea", 0, 8, 50, -1000, 0},
		{"nodule", -92, -22, 6, 38, 0},
	} {
		if got := c.at(p.x, p.y, p.z, 0.8); math.Abs(got-p.want) > p.within {
			t.Errorf("%s: %.0f HU, want %.0f", p.what, got, p.want)
		}
	}
	img := axial(1, 64, 6.25, 0, 10, func(_, _, _, _ float64) float64 { return 40 })
	sum, sq := 0.0, 0.0
	for _, v := range img {
		hu := float64(v) - 1024
		sum += hu
		sq += hu * hu
	}
	mean := sum / float64(len(img))
	if sd := math.Sqrt(sq/float64(len(img)) - mean*mean); math.Abs(mean-40) > 1 || math.Abs(sd-10) > 0.6 {
		t.Errorf("noise: mean %.2f and deviation %.2f, want 40 and 10", mean, sd)
	}
}

func TestMammogramsComeInPairs(t *testing.T) {
	for s := range Studies(1) {
		if s.Kind != "MG" {
			continue
		}
		raw, processed := map[string]bool{}, map[string]string{}
		for in, err := range s.Instances() {
			if err != nil {
				t.Fatal(err)
			}
			f, err := dicom.Parse(in.File(), dicom.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			d := f.Data
			view := d.String(dicom.TagImageLaterality)
			for i := range d.Children(d.Find(dicom.TagViewCodeSequence)) {
				view += " " + d.StringIn(i, dicom.TagCodeMeaning)
			}
			if in.SOPClassUID == mammoForProcessing {
				raw[in.SOPInstanceUID] = true
				continue
			}
			for i := range d.Children(d.Find(dicom.TagSourceImageSequence)) {
				processed[view] = d.StringIn(i, dicom.TagReferencedSOPInstanceUID)
			}
		}
		if len(raw) != 4 || len(processed) != 4 {
			t.Fatalf("timepoint %d: %d unprocessed images, processed ones of %d views", s.Timepoint, len(raw), len(processed))
		}
		for view, source := range processed {
			if !raw[source] {
				t.Errorf("timepoint %d, %s: made of an image that is not there", s.Timepoint, view)
			}
		}
	}
}

func TestIdentities(t *testing.T) {
	for seed := range uint64(50) {
		for _, p := range People(seed) {
			if !strings.HasPrefix(p.NHS, "999") || len(p.NHS) != 10 {
				t.Errorf("seed %d: an NHS number outside the range that is never issued", seed)
			}
			if c, ok := nhsCheck(p.NHS[:9]); !ok || int(p.NHS[9]-'0') != c {
				t.Errorf("seed %d: an NHS number with a wrong check digit", seed)
			}
			if p.set.terms[0] == "ISO_IR 100" && strings.Contains(string(latin1(p.Name+p.Address)), "?") {
				t.Errorf("seed %d: person %d does not fit Latin-1", seed, p.Number)
			}
		}
	}
	if c, ok := nhsCheck("943476591"); !ok || c != 9 { // the example that the NHS data dictionary gives
		t.Errorf("check digit %d, want 9", c)
	}
}

// The cleaning can only be seen where there is something to clean.
func TestIdentityIsEverywhere(t *testing.T) {
	people := People(1)
	for _, in := range few(t, 1) {
		p := people[0]
		for _, q := range people {
			if strings.Contains(in.Name, q.MRN) {
				p = q
			}
		}
		for _, id := range []string{p.NHS, p.MRN, p.Mobile, p.Born.Format("20060102")} {
			if !bytes.Contains(in.Data(), []byte(id)) {
				t.Errorf("%s: an identifier is nowhere in the object", in.Modality)
			}
		}
		f, err := dicom.Parse(in.File(), dicom.DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Data.Text(f.Data.Find(dicom.TagPatientName)); got != p.Name {
			t.Errorf("%s: the name does not come back from its character set", in.Modality)
		}
	}
}

func TestSets(t *testing.T) {
	for _, c := range []struct {
		name     string
		set      *Set
		from, to int
	}{
		{"small", SmallSet(1), 8000, 9000}, {"full", FullSet(1), 526000, 529000},
	} {
		studies, patients := map[string]bool{}, map[string]bool{}
		for i := range 250 {
			in, err := c.set.Instance(i)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(in.File()); n < c.from || n > c.to {
				t.Fatalf("%s: %d bytes", c.name, n)
			}
			studies[in.StudyUID] = true
			f, err := dicom.Parse(in.File(), dicom.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			patients[f.Data.String(dicom.TagPatientID)] = true
			top := 0
			for range f.Data.Children(dicom.Root) {
				top++
			}
			if top != 124 {
				t.Fatalf("%s: %d elements at the top level, want 124", c.name, top)
			}
		}
		if len(studies) != 3 || len(patients) != 2 {
			t.Errorf("%s: 250 instances in %d studies of %d patients, want 3 of 2", c.name, len(studies), len(patients))
		}
	}
}

func TestMarked(t *testing.T) {
	in, markers, err := Marked("ZQXV")
	if err != nil {
		t.Fatal(err)
	}
	if len(markers) < 350 {
		t.Errorf("%d markers", len(markers))
	}
	f, err := dicom.Parse(in.File(), dicom.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.Data.Bytes(), in.Data()) {
		t.Error("the data set is not what the reader finds")
	}
	all := append(bytes.Clone(in.File()), in.Name...)
	all = bytes.ReplaceAll(all, []byte{0}, nil) // UTF-16
	for i, m := range markers {
		if n := bytes.Count(all, []byte(m.Text)); n < 1 || n > 2 { // SOP Instance UID: the meta information has it too
			t.Errorf("marker of %s stands in %d places", m.Where, n)
		}
		for _, o := range markers[:i] {
			if strings.Contains(m.Text, o.Text) || strings.Contains(o.Text, m.Text) {
				t.Errorf("markers of %s and %s cannot be told apart", m.Where, o.Where)
			}
		}
	}
	for _, bad := range []string{"", "ELEVENCHARS"} {
		if _, _, err := Marked(bad); err == nil {
			t.Errorf("a prefix of %d characters was taken", len(bad))
		}
	}
}

func TestLarge(t *testing.T) {
	var b bytes.Buffer
	n, err := Large(&b, 1, 9)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(b.Len()) {
		t.Errorf("%d bytes were said, %d were written", n, b.Len())
	}
	f, err := dicom.Parse(b.Bytes(), dicom.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	d := f.Data
	if v, _ := d.Int(dicom.TagNumberOfFrames); v != 9 {
		t.Errorf("%d frames, want 9", v)
	}
	// The extended offset table leads to each frame's item.
	file := b.Bytes()
	start := bytes.LastIndex(file, []byte{0xE0, 0x7F, 0x10, 0, 'O', 'B'}) + 12 + 8
	offsets, lengths := d.Value(d.Find(dicom.TagExtendedOffsetTable)), d.Value(d.Find(dicom.TagExtendedOffsetTableLengths))
	for i := range 9 {
		at := start + int(binary.LittleEndian.Uint64(offsets[8*i:]))
		if binary.LittleEndian.Uint32(file[at:]) != 0xE000FFFE {
			t.Fatalf("frame %d does not begin where the table says", i)
		}
		if uint64(binary.LittleEndian.Uint32(file[at+4:])) != binary.LittleEndian.Uint64(lengths[8*i:]) {
			t.Errorf("frame %d has another length than the table says", i)
		}
	}
	const want = 3 << 20
	if n, err = Large(io.Discard, 1, LargeFrames(want)); err != nil || n < want || n > want+want/2 {
		t.Errorf("%d bytes for %d wanted: %v", n, want, err)
	}
	if _, err := Large(io.Discard, 1, 0); err == nil {
		t.Error("an object without a frame was made")
	}
}

func TestRunLength(t *testing.T) {
	px := axial(3, largeMatrix, 0.8, 0, 14, (&chest{key: 3}).at)
	enc := rle(px)
	le := binary.LittleEndian
	if le.Uint32(enc) != 2 || len(enc)%2 != 0 {
		t.Fatal("not two segments of even length")
	}
	planes := [2][]byte{}
	ends := [2]int{int(le.Uint32(enc[8:])), len(enc)}
	for s := range 2 {
		b := enc[le.Uint32(enc[4+4*s:]):ends[s]]
		for len(b) > 1 && len(planes[s]) < len(px) {
			switch n := int8(b[0]); {
			case n >= 0:
				planes[s] = append(planes[s], b[1:2+int(n)]...)
				b = b[2+int(n):]
			case n == -128:
				b = b[1:]
			default:
				planes[s] = append(planes[s], bytes.Repeat(b[1:2], 1-int(n))...)
				b = b[2:]
			}
		}
	}
	for i, v := range px {
		if len(planes[0]) != len(px) || len(planes[1]) != len(px) || v != uint16(planes[0][i])<<8|uint16(planes[1][i]) {
			t.Fatalf("pixel %d does not come back", i)
		}
	}
}

func BenchmarkSmallInstance(b *testing.B) {
	s := SmallSet(1)
	for i := range b.N {
		if _, err := s.Instance(i); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFullInstance(b *testing.B) {
	s := FullSet(1)
	for i := range b.N {
		if _, err := s.Instance(i); err != nil {
			b.Fatal(err)
		}
	}
}
