package plant

import (
	"image"
	"math"
	"strings"
)

// A Plan is what a picture is made of.
type Plan struct {
	Scenes []Scene
	Faces  []*Face
	W, H   int
	// How many lines at most; 0: none. Capitals are between Least and Most pixels high.
	Lines       int
	Least, Most float64
	Styles      []Style
	Turns       float64 // chance of text by a quarter turn
	Damage      float64 // chance of JPEG's damage
	Treated     float64 // chance of a window, a curve, sharpening before the text is written
	Short       float64 // chance of text of two to four signs
	Inland      float64 // chance of text that stands anywhere, not rather in corners and margins
	Leaning     float64 // chance of text by a small angle, whatever its face
}

// Compose makes a picture.
func (p *Plan) Compose(r *Rand) (*Canvas, string) {
	scene := Pick(r, p.Scenes)
	c := scene.Draw(r, p.W, p.H)
	if r.Chance(p.Treated) {
		c.treat(r)
	}
	if r.Chance(p.Treated / 2) {
		c.litter(r)
	}
	p.WriteOn(r, c)
	return c, scene.Name
}

// WriteOn writes the plan's text on a picture, and damages it.
func (p *Plan) WriteOn(r *Rand, c *Canvas) {
	if p.Lines > 0 {
		n := 1
		if r.Chance(0.6) {
			n = 1 + r.Intn(p.Lines)
		}
		for tries := 0; len(c.Lines) < n && tries < 20+6*n; tries++ {
			p.block(r, c, n-len(c.Lines))
		}
	}
	if r.Chance(p.Damage) {
		c.JPEG(30 + r.Intn(66))
	}
	if len(c.Planes) == 1 && r.Chance(0.15) {
		c.Inverted()
	}
}

// block writes lines that belong together: of one face, size and manner, one below the other.
func (p *Plan) block(r *Rand, c *Canvas, n int) {
	face := Pick(r, p.Faces)
	capital := math.Exp(r.Between(math.Log(p.Least), math.Log(p.Most)))
	style := Pick(r, p.Styles)
	script := face.Script
	if script == "" && r.Chance(0.35) {
		script = Pick(r, Scripts)
	}
	hand := strings.Contains(face.Name, "hand") || strings.Contains(face.Name, "scrawl")
	crisp, soft := r.Chance(0.3), r.Chance(0.12) || style == Label && r.Chance(0.5)
	turned, mirrored := r.Chance(p.Turns), r.Chance(0.08)
	quarters := 0
	if turned {
		quarters = 1 + 2*r.Intn(2)
	}
	angle := 0.0
	if (hand || style == Label) && r.Chance(0.5) {
		angle = r.Norm() * 0.08
	}
	if p.Leaning > 0 && r.Chance(p.Leaning) {
		angle = r.Norm() * 0.1
	}
	short := p.Short > 0 && r.Chance(p.Short)
	at := image.Pt(r.Intn(c.W), r.Intn(c.H))
	where := r.Intn(3)
	if p.Inland > 0 && r.Chance(p.Inland) {
		at, where = image.Pt(r.Intn(c.W*3/4), r.Intn(c.H)), 2
	}
	switch where { // a corner, or the margin
	case 0:
		at = image.Pt(Pick(r, []int{2 + r.Intn(12), c.W - 2}), Pick(r, []int{2 + r.Intn(12), c.H - int(capital*1.5)}))
	case 1:
		at.Y = Pick(r, []int{1 + r.Intn(10), c.H - int(capital*1.4)})
	}
	lines := 1 + r.Intn(min(n, 5))
	step := capital * r.Between(1.45, 2.2)
	for i := range lines {
		s := ""
		if script != "" {
			s = SayIn(r, script, face)
		}
		if s == "" {
			if s = Say(r); face.Script != "" {
				return
			}
			if short {
				s = label(r)
			}
		}
		if r.Chance(0.15) {
			s = strings.ToLower(s)
		}
		m := face.Draw(r, s, capital)
		if m == nil {
			return
		}
		if crisp {
			m = m.Crisp()
		}
		if angle != 0 {
			m = m.Slanted(angle)
		}
		if soft && capital > 14 {
			m = m.Soft(1)
		}
		m = m.Turned(quarters, mirrored)
		if m = m.trim(); m == nil {
			return
		}
		x, y := at.X, at.Y+int(float64(i)*step)
		if turned {
			x, y = at.X+int(float64(i)*step), at.Y
		}
		x, y = max(1, min(x, c.W-m.W-1)), max(1, min(y, c.H-m.H-1))
		c.Write(r, m, image.Pt(x, y), capital, face.Name, style, turned)
	}
}
