package plant

import (
	"math"
	"strings"
)

const gridOrder = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,.:/-()[]#"

// grid holds characters of 5x7 dots, a row of seven bytes each.
var grid = [...][7]byte{
	{0x0E, 0x11, 0x11, 0x1F, 0x11, 0x11, 0x11}, {0x1E, 0x11, 0x11, 0x1E, 0x11, 0x11, 0x1E}, {0x0E, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0E},
	{0x1E, 0x09, 0x09, 0x09, 0x09, 0x09, 0x1E}, {0x1F, 0x10, 0x10, 0x1C, 0x10, 0x10, 0x1F}, {0x1F, 0x10, 0x10, 0x1C, 0x10, 0x10, 0x10},
	{0x0E, 0x11, 0x10, 0x13, 0x11, 0x11, 0x0E}, {0x11, 0x11, 0x11, 0x1F, 0x11, 0x11, 0x11}, {0x0E, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0E},
	{0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0C}, {0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11}, {0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1F},
	{0x11, 0x1B, 0x15, 0x15, 0x11, 0x11, 0x11}, {0x11, 0x11, 0x19, 0x15, 0x13, 0x11, 0x11}, {0x0E, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0E},
	{0x1E, 0x11, 0x11, 0x1E, 0x10, 0x10, 0x10}, {0x0E, 0x11, 0x11, 0x11, 0x15, 0x12, 0x0D}, {0x1E, 0x11, 0x11, 0x1E, 0x14, 0x12, 0x11},
	{0x0E, 0x11, 0x10, 0x0E, 0x01, 0x11, 0x0E}, {0x1F, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04}, {0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0E},
	{0x11, 0x11, 0x11, 0x11, 0x0A, 0x0A, 0x04}, {0x11, 0x11, 0x11, 0x15, 0x15, 0x1B, 0x11}, {0x11, 0x11, 0x0A, 0x04, 0x0A, 0x11, 0x11},
	{0x11, 0x11, 0x0A, 0x04, 0x04, 0x04, 0x04}, {0x1F, 0x01, 0x02, 0x04, 0x08, 0x10, 0x1F},
	{0x0E, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0E}, {0x04, 0x0C, 0x04, 0x04, 0x04, 0x04, 0x0E}, {0x0E, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1F},
	{0x0E, 0x11, 0x01, 0x06, 0x01, 0x11, 0x0E}, {0x02, 0x06, 0x0A, 0x12, 0x1F, 0x02, 0x02}, {0x1F, 0x10, 0x1E, 0x01, 0x01, 0x11, 0x0E},
	{0x06, 0x08, 0x10, 0x1E, 0x11, 0x11, 0x0E}, {0x1F, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08}, {0x0E, 0x11, 0x11, 0x0E, 0x11, 0x11, 0x0E},
	{0x0E, 0x11, 0x11, 0x0F, 0x01, 0x02, 0x0C},
	{0, 0, 0, 0, 0x0C, 0x04, 0x08}, {0, 0, 0, 0, 0, 0x0C, 0x0C}, {0, 0x0C, 0x0C, 0, 0x0C, 0x0C, 0}, {0x01, 0x01, 0x02, 0x04, 0x08, 0x10, 0x10},
	{0, 0, 0, 0x1F, 0, 0, 0}, {2, 4, 8, 8, 8, 4, 2}, {8, 4, 2, 2, 2, 4, 8}, {14, 8, 8, 8, 8, 8, 14}, {14, 2, 2, 2, 2, 2, 14}, {10, 10, 31, 10, 31, 10, 10},
}

// Grid5x7 is the face of 5x7 dots, as scanners had it: squares, or round dots apart.
func Grid5x7(name string, round bool) *Face {
	return &Face{Name: name, has: func(c rune) bool { return strings.ContainsRune(gridOrder, upper(c)) || c == ' ' }, draw: func(r *Rand, s string, height float64) *Mask {
		k := int(math.Ceil(height/7 - 0.01))
		k = max(k, 1)
		bold := !round && r.Chance(0.25) && k == 1
		m := newMask(len([]rune(s))*6*k+k+1, 7*k)
		for i, c := range []rune(s) {
			at := strings.IndexRune(gridOrder, upper(c))
			if at < 0 {
				continue
			}
			for row, bits := range grid[at] {
				for col := range 5 {
					if bits>>(4-col)&1 == 0 {
						continue
					}
					for dy := range k {
						for dx := range k {
							v := float32(1)
							if round {
								d := math.Hypot(float64(dx)+0.5-float64(k)/2, float64(dy)+0.5-float64(k)/2)
								v = float32(min(1, max(0, float64(k)*0.5-d+0.3)))
							}
							j := (row*k+dy)*m.W + (i*6+col)*k + dx
							m.Ink[j] = max(m.Ink[j], v)
							if bold {
								m.Ink[j+1] = v
							}
						}
					}
				}
			}
		}
		return m
	}}
}

func upper(c rune) rune {
	if c >= 'a' && c <= 'z' {
		return c - 32
	}
	return c
}

// pens are characters as strokes on a grid of 5 columns and 7 rows (8 and 9 lie below the line): strokes apart by blanks, each of points of two digits.
var pens = map[rune]string{
	'A': "062046 1434", 'B': "060020313303 033445360 06", 'C': "41300110050616304536", 'D': "0006264540200", 'E': "400006 46 0333 0646", 'F': "400006 0333",
	'G': "413010010516364543 2343", 'H': "0006 4046 0343", 'I': "2026 1030 1636", 'J': "404536160504", 'K': "0006 4003 0346", 'L': "000646", 'M': "0600234046",
	'N': "06004640", 'O': "103041453616050110", 'P': "060030414233303", 'Q': "103041453616050110 2446", 'R': "06003041423303 2346", 'S': "41301001021333444536160 5",
	'T': "0040 2026", 'U': "000516364540", 'V': "002640", 'W': "0016233640", 'X': "0046 4006", 'Y': "002340 2326", 'Z': "00400646",
	'0': "103041453616050110", '1': "112026 1636", '2': "01103041420646", '3': "0110304142332344453616 05", '4': "3600 3036 0444", '5': "4000023344453616 05",
	'6': "3010020516364544331304", '7': "004016", '8': "103041423313020110 13042516364433", '9': "0516364541301001021343", '.': "2526", ',': "2517", ':': "2223 2526",
	'/': "0640", '-': "0343", '(': "30121436", ')': "10323416",
	'a': "4246 43321203051636 45", 'b': "0006 03123244453616", 'c': "423212030516364 5", 'd': "4046 43321203051636 45", 'e': "044443321203051636", 'f': "4030212 6 1333",
	'g': "4248391908 43321203051636 45", 'h': "0006 0312324346", 'i': "2226 2021", 'j': "32382919 3031", 'k': "0006 4204 1446", 'l': "2025 36", 'm': "0206 03122226 233246",
	'n': "0206 0312324346", 'o': "123243453616050312", 'p': "0209 03123243453616", 'q': "4249 433212030516 3645", 'r': "0206 041232", 's': "4232120314344516 06",
	't': "2025364 5 1232", 'u': "020516364 5 4246", 'v': "022642", 'w': "0216233642", 'x': "0246 4206", 'y': "0226 4218", 'z': "02420646",
}

// strokes is a face drawn with a pen: 0 as plotters do, 1 by hand, 2 by a hasty hand that joins its letters.
func strokes(name string, manner int) *Face {
	return &Face{Name: name, has: func(c rune) bool { _, ok := pens[c]; return ok || c == ' ' }, draw: func(r *Rand, s string, height float64) *Mask {
		k := height / 6
		pen := max(1, height*r.Between(0.07, 0.16))
		slant, wide := 0.0, r.Between(0.65, 1)
		if manner > 0 {
			slant, wide = r.Between(-0.1, 0.4), r.Between(0.55, 0.95)
		}
		rise := r.Norm() * 0.02 * float64(manner)
		advance := (4*wide + r.Between(1.2, 2.2)) * k
		if manner == 2 {
			advance = (4*wide + r.Between(0.3, 1)) * k
		}
		n := len([]rune(s))
		w, h := int(float64(n)*advance+6*k+12), int(height*2+math.Abs(rise)*float64(n)*advance+12)
		m := newMask(w, h)
		base := height*0.4 + 4
		if rise < 0 {
			base += -rise * float64(n) * advance
		}
		x := 4 + 2*k*math.Max(0, -slant)
		var lastX, lastY float64
		last := false
		for _, c := range s {
			jitter := func() float64 { return r.Norm() * 0.22 * k * float64(min(manner, 1)) }
			size := 1 + r.Norm()*0.08*float64(manner)
			path := strings.ReplaceAll(pens[c], " ", "|")
			lift := r.Norm() * 0.25 * k * float64(manner)
			var px, py float64
			down := false
			for i := 0; i < len(path); {
				if path[i] == '|' {
					down = false
					i++
					continue
				}
				if i+1 >= len(path) || path[i+1] == '|' {
					i++
					continue
				}
				gx, gy := float64(path[i]-'0')*wide*k*size, float64(path[i+1]-'0')*k*size
				cx, cy := x+gx+slant*(height-gy)*0.5+jitter(), base+gy+lift+jitter()+rise*x
				if down {
					m.line(px, py, cx, cy, pen*(1+r.Norm()*0.1*float64(min(manner, 1))))
				} else if manner == 2 && last {
					m.line(lastX, lastY, cx, cy, pen*0.7)
				}
				px, py, down, last = cx, cy, true, true
				lastX, lastY = cx, cy
				i += 2
			}
			if c == ' ' {
				last = false
			}
			x += advance * (1 + r.Norm()*0.06*float64(manner))
		}
		return m
	}}
}

// line draws a stroke with a round pen.
func (m *Mask) line(x0, y0, x1, y1, pen float64) {
	half := pen / 2
	for y := max(0, int(math.Min(y0, y1)-half-1)); y <= min(m.H-1, int(math.Max(y0, y1)+half+2)); y++ {
		for x := max(0, int(math.Min(x0, x1)-half-1)); x <= min(m.W-1, int(math.Max(x0, x1)+half+2)); x++ {
			dx, dy, fx, fy := x1-x0, y1-y0, float64(x)-x0, float64(y)-y0
			t := 0.0
			if l := dx*dx + dy*dy; l > 0 {
				t = min(1, max(0, (fx*dx+fy*dy)/l))
			}
			if v := float32(half + 0.5 - math.Hypot(fx-t*dx, fy-t*dy)); v > 0 {
				i := y*m.W + x
				m.Ink[i] = max(m.Ink[i], min(1, v))
			}
		}
	}
}

// segments is the face of displays of seven segments.
func segments() *Face {
	lit := map[rune]byte{'0': 0x77, '1': 0x24, '2': 0x5d, '3': 0x6d, '4': 0x2e, '5': 0x6b, '6': 0x7b, '7': 0x25, '8': 0x7f, '9': 0x6f, '-': 8, 'A': 0x3f, 'E': 0x5b, 'H': 0x3e,
		'P': 0x1f, 'L': 0x52, 'U': 0x76, ' ': 0}
	return &Face{Name: "seven segments", Script: "digits", has: func(c rune) bool { _, ok := lit[c]; return ok || c == '.' || c == ':' }, draw: func(r *Rand, s string, height float64) *Mask {
		w, pen := height*0.55, max(1, height*r.Between(0.1, 0.16))
		m := newMask(int(float64(len(s))*w*1.5+8), int(height)+8)
		x, gap := 4.0, pen*0.7
		for _, c := range s {
			if c == '.' || c == ':' {
				m.line(x, 4+height-pen/2, x, 4+height-pen/2, pen)
				if c == ':' {
					m.line(x, 4+height*0.4, x, 4+height*0.4, pen)
				}
				x += pen * 2.5
				continue
			}
			l, rt, t, mid, b := x, x+w, 4.0, 4+height/2, 4+height
			for i, e := range [7][4]float64{{l + gap, t, rt - gap, t}, {l, t + gap, l, mid - gap}, {rt, t + gap, rt, mid - gap}, {l + gap, mid, rt - gap, mid}, {l, mid + gap, l, b - gap},
				{rt, mid + gap, rt, b - gap}, {l + gap, b, rt - gap, b}} {
				if lit[c]>>i&1 == 1 {
					m.line(e[0], e[1], e[2], e[3], pen)
				}
			}
			x += w * 1.45
		}
		return m
	}}
}
