package burnin

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/find"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/plant"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// Prints what other judgements would come to on pictures of the kinds that were trained on. It proves nothing: it is for choosing.
func TestChooseJudgement(t *testing.T) {
	if os.Getenv("VITRINE_BURNIN_TUNE") == "" {
		t.Skip("VITRINE_BURNIN_TUNE is not set")
	}
	type picture struct {
		c       *plant.Canvas
		h       Hints
		a       *render.Attributes
		f       codec.Frame
		regions []find.Region
	}
	all := 200
	if n, err := strconv.Atoi(os.Getenv("VITRINE_BURNIN_PICTURES")); err == nil {
		all = n
	}
	pictures := make([]picture, all)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range max(2, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			p := &plant.Plan{Scenes: plant.Scenes, Faces: plant.Faces(), Lines: 8, Least: 10, Most: 60, Styles: plant.Styles, Turns: 0.15, Damage: 0.3, Treated: 0.5}
			if dirs := os.Getenv("VITRINE_BURNIN_TUNE"); dirs != "" { // folders of the fonts that were trained on
				for d := range strings.SplitSeq(dirs, ",") {
					p.Faces = append(p.Faces, plant.Files(d)...)
				}
			}
			for i := int(next.Add(1)) - 1; i < len(pictures); i = int(next.Add(1)) - 1 {
				r := plant.NewRand(uint64(1<<21 + i))
				q := *p
				q.W, q.H = 420+r.Intn(320), 380+r.Intn(240)
				q.Most = min(q.Most, float64(min(q.W, q.H))/14)
				if i%3 == 0 {
					q.Lines = 0
				}
				c, scene := q.Compose(r)
				a, f := c.Frame(r, r.Chance(0.3))
				regions, err := regionsOf(a, f)
				if err != nil {
					panic(err)
				}
				pictures[i] = picture{c, hintsOf(scene), a, f, regions}
			}
		})
	}
	wg.Wait()
	try := func(name string, j judgement) {
		tallies := make([]tally, len(pictures))
		var next atomic.Int64
		for range max(2, runtime.GOMAXPROCS(0)) {
			wg.Go(func() {
				for i := int(next.Add(1)) - 1; i < len(pictures); i = int(next.Add(1)) - 1 {
					x := &pictures[i]
					tallies[i].score(map[bool]string{true: "often"}[x.h.Often], x.c, j.decide(x.c.W, x.c.H, x.regions, x.h, false))
				}
			})
		}
		wg.Wait()
		var l tally
		for _, o := range tallies {
			l.lines, l.covered, l.frames, l.held, l.clean, l.altered = l.lines+o.lines, l.covered+o.covered, l.frames+o.frames, l.held+o.held, l.clean+o.clean, l.altered+o.altered
			l.outside, l.away = l.outside+o.outside, l.away+o.away
			if k := o.by["not held often"]; k[1] > 0 {
				l.count("not held often", k[0] > 0)
			}
		}
		s, _, _ := strings.Cut(l.String(), "; unsure")
		k := l.by["not held often"]
		fmt.Printf("%-60s: %s; of kinds that often have text, held %d of %d\n", name, s, k[1]-k[0], k[1])
	}
	for i, x := range pictures { // those to look at: where something is missed, and where much is masked beside text
		var l tally
		found := judged.decide(x.c.W, x.c.H, x.regions, x.h, false)
		switch missed := l.score("", x.c, found); {
		case missed:
			show(t, fmt.Sprintf("tune_miss_%d", i), x.a, x.f, found)
		case l.away > 0.06:
			show(t, fmt.Sprintf("tune_away_%d", i), x.a, x.f, found)
		}
	}
	try("as it is", judged)
	for _, x := range strings.Fields(os.Getenv("VITRINE_BURNIN_TRY")) { // such as keep=-1,grow=0
		j := judged
		for one := range strings.SplitSeq(x, ",") {
			name, value, _ := strings.Cut(one, "=")
			v, err := strconv.ParseFloat(value, 32)
			if err != nil {
				t.Fatal(err)
			}
			*map[string]*float32{"sure": &j.sure, "suspect": &j.suspect, "often": &j.often, "beyond": &j.beyond, "lonely": &j.lonely, "likely": &j.likely, "support": &j.support, "keep": &j.keep, "grow": &j.grow, "side": &j.side, "wary": &j.wary, "along": &j.along,
				"across": &j.across}[name] = float32(v)
		}
		try(x, j)
	}
}
