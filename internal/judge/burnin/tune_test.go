package burnin

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/find"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/plant"
)

// Prints what other judgements would come to on pictures of the kinds that were trained on. It proves nothing: it is for choosing.
func TestChooseJudgement(t *testing.T) {
	if os.Getenv("VITRINE_BURNIN_TUNE") == "" {
		t.Skip("VITRINE_BURNIN_TUNE is not set")
	}
	type picture struct {
		c       *plant.Canvas
		regions []find.Region
	}
	var pictures []picture
	p := &plant.Plan{Scenes: plant.Scenes, Faces: plant.Faces(), Lines: 8, Least: 10, Most: 60, Styles: plant.Styles, Turns: 0.15, Damage: 0.3, Treated: 0.5}
	if dirs := os.Getenv("VITRINE_BURNIN_FONTS"); dirs != "" {
		for d := range strings.SplitSeq(dirs, ",") {
			p.Faces = append(p.Faces, plant.Files(d)...)
		}
	}
	for i := range 360 {
		r := plant.NewRand(uint64(1<<21 + i))
		q := *p
		q.W, q.H = 320+r.Intn(320), 320+r.Intn(240)
		if i%2 == 0 {
			q.Lines = 0
		}
		c, _ := q.Compose(r)
		a, f := c.Frame(r, r.Chance(0.3))
		regions, err := regionsOf(a, f)
		if err != nil {
			t.Fatal(err)
		}
		pictures = append(pictures, picture{c, regions})
	}
	for i, x := range pictures { // the pictures where something is missed, to look at
		if l := (&tally{}); len(x.c.Lines) > 0 && l.score("", x.c, judged.decide(x.c.W, x.c.H, x.regions, Hints{})) {
			a, f := x.c.Frame(plant.NewRand(1), false)
			show(t, fmt.Sprintf("tune_%d", i), a, f, judged.decide(x.c.W, x.c.H, x.regions, Hints{}))
		}
	}
	for _, support := range []float32{0, 0.25} {
		for _, sure := range []float32{2, 3} {
			for _, likely := range []float32{-2, -1, 0} {
				for _, suspect := range []float32{0.3, 0.8} {
					if suspect > sure || likely > sure {
						continue
					}
					j := judgement{sure: sure, likely: likely, suspect: suspect, support: support, lonely: -3}
					var l tally
					for _, x := range pictures {
						l.score("", x.c, j.decide(x.c.W, x.c.H, x.regions, Hints{}))
					}
					s, _, _ := strings.Cut(l.String(), "\n")
					fmt.Printf("support %.2f sure %.1f likely %.1f suspect %.1f: %s\n", support, sure, likely, suspect, s)
				}
			}
		}
	}
}
