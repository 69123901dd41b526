package burnin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"image"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/plant"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// A tally is what a set of pictures came to.
type tally struct {
	lines, covered int // covered, or held
	frames, held   int
	clean, altered int
	again, painted int     // pictures of which something was masked, and of those in which something is found again
	outside        float64 // sum over pictures of the part that is masked and is no text
	away           float64 // the same of what is further from any line than half its capitals and 4 pixels
	by             map[string][2]int
	top            []float64 // of clean pictures, the odds of what looks most like text
}

// covers is how much of a line's ink has to be masked.
const covers = 0.97

func (l *tally) count(key string, hit bool) {
	if l.by == nil {
		l.by = map[string][2]int{}
	}
	c := l.by[key]
	c[1]++
	if hit {
		c[0]++
	}
	l.by[key] = c
}

// score compares what was found with what was written.
func (l *tally) score(scene string, c *plant.Canvas, found Found) (missed bool) {
	masked := make([]bool, c.W*c.H)
	for _, b := range found.Boxes {
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				masked[y*c.W+x] = true
			}
		}
	}
	if found.Unsure != "" {
		l.held++
		l.count("reason "+found.Unsure, len(c.Lines) > 0)
	}
	l.frames++
	l.count("not held "+scene, found.Unsure == "")
	if len(c.Lines) == 0 {
		l.clean++
		if len(found.Boxes) > 0 && found.Unsure == "" {
			l.altered++
			missed = true
		}
		l.count("clean "+scene, !(len(found.Boxes) > 0 && found.Unsure == ""))
		l.count("clean held "+scene, found.Unsure == "")
	}
	for i := range c.Lines {
		line := &c.Lines[i]
		hit := found.Unsure != "" || line.Covered(func(x, y int) bool { return x >= 0 && y >= 0 && x < c.W && y < c.H && masked[y*c.W+x] }) >= covers
		l.lines++
		if hit {
			l.covered++
		} else {
			missed = true
		}
		l.count("style "+line.Style, hit)
		l.count("face "+line.Face, hit)
		l.count("scene "+scene, hit)
		l.count(fmt.Sprintf("capitals from %d px", int(line.Capital)/10*10), hit)
		if line.Turned {
			l.count("turned", hit)
		}
	}
	if found.Unsure == "" {
		beside := func(margin func(*plant.Line) int) float64 {
			n := 0
			for i := range c.Lines {
				b := c.Lines[i].Box.Inset(-margin(&c.Lines[i]))
				for y := max(0, b.Min.Y); y < min(c.H, b.Max.Y); y++ {
					for x := max(0, b.Min.X); x < min(c.W, b.Max.X); x++ {
						masked[y*c.W+x] = false
					}
				}
			}
			for _, m := range masked {
				if m {
					n++
				}
			}
			return float64(n) / float64(len(masked))
		}
		l.outside += beside(func(*plant.Line) int { return 0 })
		l.away += beside(func(l *plant.Line) int { return int(l.Capital/2) + 4 })
	}
	return missed
}

func (l *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "lines %d, covered or held %.2f %%; frames %d, held %.1f %%; clean %d, altered %.1f %%; masked outside text %.2f %%, away from it %.2f %%; unsure again after masking %d of %d\n", l.lines, 100*float64(l.covered)/float64(max(1, l.lines)),
		l.frames, 100*float64(l.held)/float64(max(1, l.frames)), l.clean, 100*float64(l.altered)/float64(max(1, l.clean)), 100*l.outside/float64(max(1, l.frames)), 100*l.away/float64(max(1, l.frames)), l.again, l.painted)
	var keys []string
	for k := range l.by {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(a, b) })
	for _, k := range keys {
		if c := l.by[k]; c[0] < c[1] || strings.HasPrefix(k, "style") || strings.HasPrefix(k, "capitals") {
			fmt.Fprintf(&b, "  %-36s %4d of %4d\n", k, c[0], c[1])
		}
	}
	slices.Sort(l.top)
	fmt.Fprintf(&b, "  odds of clean pictures, from the top:")
	for i := range min(12, len(l.top)) {
		fmt.Fprintf(&b, " %.1f", l.top[len(l.top)-1-i])
	}
	fmt.Fprintln(&b)
	return b.String()
}

// hold fails the test if the set fell short of what docs/burned-in-text.md says of it.
func (l *tally) hold(t *testing.T, covered float64) {
	t.Helper()
	if part := float64(l.covered) / float64(l.lines); part < covered {
		t.Errorf("%.2f %% of the lines are covered or held", 100*part)
	}
	if l.altered*100 > l.clean {
		t.Errorf("%d of %d clean pictures are altered", l.altered, l.clean)
	}
	if part := l.outside / float64(l.frames); part > 0.05 {
		t.Errorf("%.2f %% of the pictures is masked beside text", 100*part)
	}
	if l.held*10 > l.frames {
		t.Errorf("%d of %d pictures are held", l.held, l.frames)
	}
}

// measure draws n pictures by a plan, a third of them clean, and looks at them. Every processor has a plan of its own: faces keep what they draw.
func measure(t testing.TB, plan func() *plant.Plan, seed uint64, n int) *tally {
	type picture struct {
		c             *plant.Canvas
		scene         string
		a             *render.Attributes
		f             codec.Frame
		found         Found
		top           float64
		painted, more bool
	}
	all := make([]picture, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range max(2, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			p := plan()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				x := &all[i]
				r := plant.NewRand(seed<<20 + uint64(i))
				q := *p
				q.W, q.H = 480+r.Intn(480), 420+r.Intn(420)
				q.Most = min(q.Most, float64(min(q.W, q.H))/14) // letters are seldom larger than that
				if i%3 == 0 {
					q.Lines = 0
				}
				x.c, x.scene = q.Compose(r)
				x.a, x.f = x.c.Frame(r, r.Chance(0.3))
				regions, err := regionsOf(x.a, x.f)
				if err != nil {
					t.Error(err)
					return
				}
				h := hintsOf(x.scene)
				x.found = judged.decide(x.f.Columns, x.f.Rows, regions, h, false)
				x.top = float64(slices.Max(append(judged.supported(regions), -30)))
				if x.painted = len(x.found.Boxes) > 0 && x.found.Unsure == ""; x.painted {
					first := len(x.found.Boxes)
					if err := settle(x.a, x.f, h, &x.found); err != nil {
						t.Error(err)
						return
					}
					x.more = len(x.found.Boxes) > first
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	var l tally
	for i := range all {
		x := &all[i]
		if len(x.c.Lines) == 0 {
			l.top = append(l.top, x.top)
		}
		if x.painted {
			l.painted++
			if x.found.Unsure != "" {
				l.again++
				l.count("again unsure "+x.scene, false)
				show(t, fmt.Sprintf("again_%d_%s", i, x.scene), x.a, x.f, x.found)
			} else if x.more {
				l.count("again text "+x.scene, false)
			}
		}
		if l.score(x.scene, x.c, x.found) {
			show(t, fmt.Sprintf("miss_%d_%s", i, x.scene), x.a, x.f, x.found)
		}
	}
	return &l
}

// settle does what a node does with what was found: it masks it, looks again and masks what is left, three times at most (package reading).
func settle(a *render.Attributes, f codec.Frame, h Hints, found *Found) error {
	for range 3 {
		again, err := Again(a, mask(f, found.Boxes), h)
		if err != nil {
			return err
		}
		left := beyond(again.Boxes, found.Boxes)
		if found.Unsure = again.Unsure; found.Unsure != "" || len(left) == 0 {
			return nil
		}
		found.Boxes = append(found.Boxes, left...)
	}
	found.Unsure = "text is found again after it has been masked"
	return nil
}

// hintsOf is what the data set of a kind of picture would say.
func hintsOf(scene string) Hints {
	switch scene {
	case "curved array", "Doppler", "sector", "flow", "probe": // ultrasound
		return Hints{Often: true}
	case "dose page", "worklist", "screen", "report", "plot": // captures
		return Hints{Often: true, Likely: true}
	}
	return Hints{}
}

// mask is the frame with boxes of black.
func mask(f codec.Frame, boxes []Box) codec.Frame {
	o := f
	o.Pixels = slices.Clone(f.Pixels)
	size := f.Samples * f.Allocated / 8
	for _, b := range boxes {
		for y := b.Min.Y; y < b.Max.Y; y++ {
			clear(o.Pixels[(y*f.Columns+b.Min.X)*size : (y*f.Columns+b.Max.X)*size])
		}
	}
	if f.Photometric == "YBR_FULL" {
		for _, b := range boxes {
			for y := b.Min.Y; y < b.Max.Y; y++ {
				for x := b.Min.X; x < b.Max.X; x++ {
					i := 3 * (y*f.Columns + x)
					o.Pixels[i+1], o.Pixels[i+2] = 128, 128
				}
			}
		}
	}
	return o
}

// beyond are the boxes that do not lie within others.
func beyond(boxes, within []Box) []Box {
	return slices.DeleteFunc(slices.Clone(boxes), func(b Box) bool {
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				if !slices.ContainsFunc(within, func(w Box) bool { return image.Pt(x, y).In(w.Rectangle) }) {
					return false
				}
			}
		}
		return true
	})
}

// seeded is the seed of a set: VITRINE_BURNIN_SEED adds to it, for pictures that nobody has looked at yet.
func seeded(n uint64) uint64 {
	more, _ := strconv.ParseUint(os.Getenv("VITRINE_BURNIN_SEED"), 10, 32) // 0 where it says nothing
	return n + more
}

// pictures is how many a set has.
func pictures() int {
	if n, err := strconv.Atoi(os.Getenv("VITRINE_BURNIN_PICTURES")); err == nil {
		return n
	}
	if testdata.Soak() {
		return 900
	}
	return 90
}

func unseenPlan(faces []*plant.Face) *plant.Plan {
	return &plant.Plan{Scenes: unseen, Faces: faces, Lines: 8, Least: 10, Most: 60, Styles: plant.Styles, Turns: 0.15, Damage: 0.3}
}

// Pictures of the kinds that were trained on, by other seeds: what thresholds are chosen by.
func TestSeen(t *testing.T) {
	if !testdata.Soak() && os.Getenv("VITRINE_BURNIN_TUNE") == "" {
		t.Skip("chooses thresholds, and proves nothing")
	}
	t.Log(measure(t, func() *plant.Plan {
		return &plant.Plan{Scenes: plant.Scenes, Faces: plant.Faces(), Lines: 8, Least: 10, Most: 60, Styles: plant.Styles, Turns: 0.15, Damage: 0.3, Treated: 0.6}
	}, 4, 300))
}

func TestUnseen(t *testing.T) {
	n := pictures()
	l := measure(t, func() *plant.Plan { return unseenPlan(plant.Held()) }, seeded(5), n)
	t.Log(l)
	l.hold(t, 0.985)
}

// Fonts of the system that nothing was trained on.
func TestUnseenFonts(t *testing.T) {
	dirs := os.Getenv("VITRINE_BURNIN_FONTS")
	if dirs == "" {
		t.Skip("VITRINE_BURNIN_FONTS names no folders of fonts")
	}
	n := pictures()
	l := measure(t, func() *plant.Plan {
		var faces []*plant.Face
		for d := range strings.SplitSeq(dirs, ",") {
			faces = append(faces, plant.Files(d)...)
		}
		return unseenPlan(faces)
	}, seeded(6), n)
	t.Log(l)
	l.hold(t, 0.985)
}

// The images of the demonstration have no text, but for the ultrasound.
func TestSample(t *testing.T) {
	clean, altered, held := 0, 0, 0
	k := 0
	for s := range sample.Studies(7) {
		for in, err := range s.Instances() {
			if err != nil {
				t.Fatal(err)
			}
			if k++; in.Modality == "CT" && k%9 != 0 || in.Modality == "PT" && k%7 != 0 {
				continue
			}
			_, a, f, _, ok := opened(t, in.File(), 0)
			if !ok {
				continue
			}
			found, err := Look(&a, f, Hints{})
			if err != nil {
				t.Fatal(err)
			}
			if in.Modality == "US" {
				if len(found.Boxes) == 0 && found.Unsure == "" {
					t.Error("nothing was found in an ultrasound image with text")
				}
				show(t, "sample_us", &a, f, found)
				continue
			}
			clean++
			if found.Unsure != "" {
				held++
				show(t, fmt.Sprintf("sample_held_%s_%d", in.Modality, k), &a, f, found)
			} else if len(found.Boxes) > 0 {
				altered++
				show(t, fmt.Sprintf("sample_%s_%d", in.Modality, k), &a, f, found)
			}
		}
	}
	t.Logf("clean %d, altered %d, held %d", clean, altered, held)
	if altered > 0 || held*5 > clean {
		t.Errorf("of %d clean images %d are altered and %d held", clean, altered, held)
	}
}

// The demonstration's screening service, hundreds of small mammograms whose thickness was evened out: a steward is not to be flooded with them.
func TestScreening(t *testing.T) {
	step := 6
	if testdata.Soak() {
		step = 1
	}
	clean, altered, held, k := 0, 0, 0, 0
	for _, p := range sample.Cohorts(1)[1].People {
		for _, s := range p.Studies {
			for in, err := range s.Instances() {
				if err != nil {
					t.Fatal(err)
				}
				if in.Modality != "MG" {
					continue
				}
				if k++; k%step != 0 {
					continue
				}
				d, a, f, _, ok := opened(t, in.File(), 0)
				if !ok {
					t.Fatal("a mammogram cannot be decoded")
				}
				found, err := Look(&a, f, HintsOf(d))
				if err != nil {
					t.Fatal(err)
				}
				clean++
				if found.Unsure != "" {
					held++
					show(t, fmt.Sprintf("screening_held_%d", k), &a, f, found)
				} else if len(found.Boxes) > 0 {
					altered++
					show(t, fmt.Sprintf("screening_%d", k), &a, f, found)
				}
			}
		}
	}
	t.Logf("clean %d, altered %d, held %d", clean, altered, held)
	if altered > 0 || held*100 > clean {
		t.Errorf("of %d mammograms without text %d are altered and %d held", clean, altered, held)
	}
}

func TestRealImages(t *testing.T) {
	n, boxed, held := 0, 0, 0
	quick := map[string][2]int{}
	images(t, testdata.Shared(t)+"/data/dicom", func(name string, b []byte) {
		d, a, f, _, ok := opened(t, b, 0)
		if !ok {
			return
		}
		found, err := Look(&a, f, HintsOf(d))
		if err != nil {
			t.Logf("%s: %v", name, err)
			return
		}
		n++
		if m := d.String(dicom.TagModality); m == "CT" || m == "MR" || m == "PT" {
			q := quick[m]
			if q[1]++; Quick(&a, f) {
				q[0]++
			}
			quick[m] = q
		}
		if found.Unsure != "" {
			held++
			t.Logf("held   %s %dx%d", name, a.Columns, a.Rows)
			show(t, "real_held_"+name, &a, f, found)
		} else if len(found.Boxes) > 0 {
			boxed++
			t.Logf("boxed  %s %dx%d %d", name, a.Columns, a.Rows, len(found.Boxes))
			show(t, "real_boxed_"+name, &a, f, found)
		} else {
			show(t, "real_none_"+name, &a, f, found)
		}
	})
	t.Logf("%d images, %d with boxes, %d held; quick says true of %v", n, boxed, held, quick)
}

// The boxes that Presidio's authors published with two images; they stand on images padded by 25 pixels.
func TestPublishedBoxes(t *testing.T) {
	dir := testdata.Shared(t) + "/deid/burned_in"
	b, err := os.ReadFile(dir + "/ground_truth.json")
	if err != nil {
		t.Fatal(err)
	}
	var published map[string][]struct{ Left, Top, Width, Height int }
	if err := json.Unmarshal(b, &published); err != nil {
		t.Fatal(err)
	}
	checked := 0
	images(t, dir, func(name string, b []byte) {
		d, a, f, _, ok := opened(t, b, 0)
		if !ok {
			t.Errorf("%s cannot be decoded", name)
			return
		}
		found, err := Look(&a, f, HintsOf(d))
		if err != nil {
			t.Fatal(err)
		}
		show(t, "published_"+name, &a, f, found)
		for k, p := range published["sample_data/"+strings.ReplaceAll(name, "_compressed", "")] {
			r := image.Rect(p.Left, p.Top, p.Left+p.Width, p.Top+p.Height).Sub(image.Pt(25, 25))
			in := 0
			for y := r.Min.Y; y < r.Max.Y; y++ {
				for x := r.Min.X; x < r.Max.X; x++ {
					if slices.ContainsFunc(found.Boxes, func(b Box) bool { return image.Pt(x, y).In(b.Rectangle) }) {
						in++
					}
				}
			}
			checked++
			if in < r.Dx()*r.Dy() {
				t.Errorf("%s, box %d: %d of %d pixels are covered", name, k, in, r.Dx()*r.Dy())
			}
		}
		t.Logf("%s: %d boxes %q", name, len(found.Boxes), found.Unsure)
	})
	if checked != 10 {
		t.Errorf("%d boxes were compared, want 10", checked)
	}
}

// A frame in which text was masked is looked at with less doubt. In this one Look would find nothing more, and Again finds what was left beside a line.
func TestAgain(t *testing.T) {
	r := plant.NewRand(5<<20 + 92)
	p := unseenPlan(plant.Held())
	p.W, p.H = 480+r.Intn(480), 420+r.Intn(420)
	p.Most = min(p.Most, float64(min(p.W, p.H))/14)
	c, scene := p.Compose(r)
	a, f := c.Frame(r, r.Chance(0.3))
	h := hintsOf(scene)
	found, err := Look(a, f, h)
	if err != nil || len(found.Boxes) == 0 || found.Unsure != "" {
		t.Fatalf("%d boxes, %q, %v", len(found.Boxes), found.Unsure, err)
	}
	rest := mask(f, found.Boxes)
	first, err := Look(a, rest, h)
	if err != nil || len(beyond(first.Boxes, found.Boxes)) > 0 {
		t.Fatalf("Look finds %d boxes, %v: another picture has to show the difference", len(first.Boxes), err)
	}
	again, err := Again(a, rest, h)
	if err != nil || len(beyond(again.Boxes, found.Boxes)) == 0 || again.Unsure != "" {
		t.Errorf("Again finds %d boxes, %q, %v", len(again.Boxes), again.Unsure, err)
	}
}
