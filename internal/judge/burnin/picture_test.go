package burnin

import (
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/view"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// show draws a frame with the boxes that were found, if VITRINE_BURNIN_OUT names a folder for pictures.
func show(t testing.TB, name string, a *render.Attributes, f codec.Frame, found Found) {
	dir := os.Getenv("VITRINE_BURNIN_OUT")
	if dir == "" {
		return
	}
	img := picture(a, f)
	if img == nil {
		return
	}
	for _, b := range found.Boxes {
		c := color.RGBA{255, 60, 60, 255}
		if found.Unsure != "" {
			c = color.RGBA{255, 220, 0, 255}
		}
		frame(img, b.Rectangle, c)
	}
	w, err := os.Create(filepath.Join(dir, strings.ReplaceAll(strings.ReplaceAll(name, "/", "_"), " ", "_")+".png"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := png.Encode(w, img); err != nil {
		t.Fatal(err)
	}
}

func frame(img *image.RGBA, b image.Rectangle, c color.RGBA) {
	for _, r := range []image.Rectangle{{b.Min, image.Pt(b.Max.X, b.Min.Y+2)}, {image.Pt(b.Min.X, b.Max.Y-2), b.Max}, {b.Min, image.Pt(b.Min.X+2, b.Max.Y)}, {image.Pt(b.Max.X-2, b.Min.Y), b.Max}} {
		draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
	}
}

// picture is the frame as people see it, in its own pixels.
func picture(a *render.Attributes, f codec.Frame) *image.RGBA {
	b := *a
	b.Aspect, b.Planar, b.Photometric = 1, f.Planar, f.Photometric
	img, err := render.DrawSamples(b, f.Pixels, render.Options{})
	if err != nil {
		views, err := view.Of(a, f)
		if err != nil {
			return nil
		}
		img = &image.Gray{Pix: views[0].Pix, Stride: views[0].W, Rect: image.Rect(0, 0, views[0].W, views[0].H)}
	}
	o := image.NewRGBA(image.Rect(0, 0, f.Columns, f.Rows))
	draw.Draw(o, o.Rect, img, img.Bounds().Min, draw.Src)
	return o
}
