package burnin

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/tesseract"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/plant"
)

// What Tesseract adds to what is found, and what it costs. It proves nothing of this package: it is for deciding whether to ask it.
func TestSecondReader(t *testing.T) {
	if os.Getenv("VITRINE_BURNIN_TESSERACT") == "" {
		t.Skip("VITRINE_BURNIN_TESSERACT is not set")
	}
	reader, err := tesseract.Open(t.Context(), tesseract.Options{})
	if err != nil {
		t.Skip(err)
	}
	faces := plant.Held()
	if dirs := os.Getenv("VITRINE_BURNIN_FONTS"); dirs != "" {
		for d := range strings.SplitSeq(dirs, ",") {
			faces = append(faces, plant.Files(d)...)
		}
	}
	p := unseenPlan(faces)
	var alone, together, itself tally
	var pixels int
	begun := time.Now()
	var asking time.Duration
	for i := range pictures() {
		r := plant.NewRand(7<<20 + uint64(i))
		q := *p
		q.W, q.H = 480+r.Intn(480), 420+r.Intn(420)
		q.Most = min(q.Most, float64(min(q.W, q.H))/14)
		if i%3 == 0 {
			q.Lines = 0
		}
		c, scene := q.Compose(r)
		a, f := c.Frame(r, r.Chance(0.3))
		found, err := Look(a, f, hintsOf(scene))
		if err != nil {
			t.Fatal(err)
		}
		alone.score(scene, c, found)
		w, h, grey, err := Picture(a, f)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		words, err := reader.Words(t.Context(), w, h, grey)
		if err != nil {
			t.Fatal(err)
		}
		asking += time.Since(at)
		pixels += w * h
		var other Found
		for _, word := range words {
			if b, ok := word.Convincing(w, h); ok {
				other.Boxes = append(other.Boxes, Box{b, Other, 1})
			}
		}
		itself.score(scene, c, other)
		found.Boxes = append(found.Boxes, other.Boxes...)
		together.score(scene, c, found)
	}
	t.Logf("alone: %stogether: %sitself: %s", &alone, &together, &itself)
	t.Logf("%.0f ms a megapixel by the clock, of %v for all", float64(asking.Milliseconds())/float64(pixels)*1e6, time.Since(begun).Round(time.Second))
}
