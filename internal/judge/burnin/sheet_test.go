package burnin

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/plant"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
	xdraw "golang.org/x/image/draw"
)

// The rater's sheets: forty pictures, each as it was and as it is with what was found masked, eight pairs on a sheet, for somebody to look at. They are written to the
// folder that VITRINE_BURNIN_SHEETS names; those in docs/pictures came so. A frame for one that is held is yellow.
func TestSheets(t *testing.T) {
	dir := os.Getenv("VITRINE_BURNIN_SHEETS")
	if dir == "" {
		if !testdata.Soak() {
			t.Skip("VITRINE_BURNIN_SHEETS names no folder")
		}
		dir = t.TempDir()
	}
	const wide, tall, gap = 252, 189, 4
	p := unseenPlan(plant.Held())
	for s := range 5 {
		sheet := image.NewRGBA(image.Rect(0, 0, 4*(wide+gap)+gap, 4*(tall+gap)+gap))
		draw.Draw(sheet, sheet.Rect, image.NewUniform(color.RGBA{40, 60, 90, 255}), image.Point{}, draw.Src)
		for k := range 8 {
			r := plant.NewRand(uint64(900 + s*8 + k))
			q := *p
			q.Scenes = []plant.Scene{unseen[(s*8+k)%len(unseen)]}
			q.W, q.H, q.Most = 480, 360, 40
			if k == 7 {
				q.Lines = 0
			}
			c, scene := q.Compose(r)
			a, f := c.Frame(r, r.Chance(0.3))
			found, err := Look(a, f, hintsOf(scene))
			if err != nil {
				t.Fatal(err)
			}
			before, after := picture(a, f), picture(a, f)
			for _, b := range found.Boxes {
				draw.Draw(after, b.Rectangle, image.NewUniform(color.RGBA{0, 90, 160, 255}), image.Point{}, draw.Src)
			}
			if found.Unsure != "" {
				frame(after, image.Rect(0, 0, 480, 360), color.RGBA{255, 220, 0, 255})
				frame(after, image.Rect(2, 2, 478, 358), color.RGBA{255, 220, 0, 255})
			}
			x, y := gap+k%2*2*(wide+gap), gap+k/2*(tall+gap)
			xdraw.CatmullRom.Scale(sheet, image.Rect(x, y, x+wide, y+tall), before, before.Rect, draw.Src, nil)
			xdraw.CatmullRom.Scale(sheet, image.Rect(x+wide+gap, y, x+2*wide+gap, y+tall), after, after.Rect, draw.Src, nil)
		}
		w, err := os.Create(filepath.Join(dir, fmt.Sprintf("burned-in-%d.jpg", s+1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := jpeg.Encode(w, sheet, &jpeg.Options{Quality: 62}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
