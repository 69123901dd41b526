//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// engineNames are the databases in the order of columns, and what they are called.
var engineNames = []struct{ key, name string }{{"sqlite", "SQLite"}, {"postgresql", "PostgreSQL"}}

// asks are what is asked of an archive of each size.
var asks = []string{searchUID, searchPatient, searchDate, searchModality, searchName, findStudy, findPatient, getInstance}

// at is the measurement of a test at a size.
func at(all []measurement, test, engine string, size int) (measurement, bool) {
	for _, m := range all {
		if m.Test == test && m.Contender == engine && m.At >= size && m.At < size+piece {
			return m, true
		}
	}
	return measurement{}, false
}

// stretch are the last pieces before a size: at most ten of them, and of the smallest size all.
func stretch(all []measurement, engine string, size int) (out []measurement) {
	for _, m := range all {
		if m.Test == growIngest && m.Contender == engine && m.Count >= piece/2 && m.At <= size {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b measurement) int { return a.At - b.At })
	return out[max(0, len(out)-10):]
}

// growthTable prints a table in Markdown: a line for each figure, a column for each size and database.
func growthTable(w io.Writer, all []measurement) {
	type column struct {
		engine string
		size   int
	}
	var columns []column
	head, rule := "| figure |", "| --- |"
	for _, e := range engineNames {
		for _, size := range sizesOf(all, e.key) {
			columns = append(columns, column{e.key, size})
			head += fmt.Sprintf(" %s %s |", e.name, thousands(size))
			rule += " ---: |"
		}
	}
	if len(columns) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n%s\n", head, rule)
	row := func(name string, cell func(c column) string) {
		line := "| " + name + " |"
		some := false
		for _, c := range columns {
			text := cell(c)
			some = some || text != ""
			line += " " + text + " |"
		}
		if some {
			fmt.Fprintln(w, line)
		}
	}
	last := func(f func(m measurement) float64) func(column) string {
		return func(c column) string { return figure(spreadOf(stretch(all, c.engine, c.size), f).mid) }
	}
	row("C-STORE, instances a second", last(func(m measurement) float64 { return m.Rate }))
	row("CPU of the node for an instance, ms", last(func(m measurement) float64 { return m.Each }))
	row("CPU of PostgreSQL for an instance, ms", func(c column) string {
		if c.engine == "sqlite" {
			return ""
		}
		return last(func(m measurement) float64 { return 1000 * m.Database / float64(m.Count) })(c)
	})
	row("peak memory of the node in C-STORE, MB", last(func(m measurement) float64 { return m.Peak }))
	row("admission behind the last instance, s", func(c column) string {
		m, ok := at(all, growSettle, c.engine, c.size)
		return present(ok, figure(m.Seconds))
	})
	row("freezing a release of everything, s (CPU of the node)", func(c column) string {
		m, ok := at(all, growFreeze, c.engine, c.size)
		if !ok {
			return ""
		}
		return fmt.Sprintf("%s (%s)", figure(m.Seconds), figure(m.CPU))
	})
	for _, test := range asks {
		row(test+", p50 / p99 ms (CPU of the node)", func(c column) string {
			m, ok := at(all, test, c.engine, c.size)
			return present(ok && m.Count > 0, figure(m.P50)+" / "+figure(m.P99)+" ("+figure(m.Each)+")")
		})
	}
	row("start until ready, s", func(c column) string {
		m, ok := at(all, growStart, c.engine, c.size)
		return present(ok, figure(m.Seconds))
	})
	row("CPU of the node until then, s", func(c column) string {
		m, ok := at(all, growStart, c.engine, c.size)
		return present(ok, figure(m.CPU))
	})
	row("the same after SIGKILL, s", func(c column) string {
		m, ok := at(all, growAgain, c.engine, c.size)
		return present(ok, figure(m.Seconds))
	})
	folders := map[string]bool{}
	for _, m := range all {
		if m.Test == growSize {
			for name, n := range m.Bytes {
				if n >= 1e6 {
					folders[name] = true
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		row("disk, "+name+", MB (kB an instance)", func(c column) string {
			m, ok := at(all, growSize, c.engine, c.size)
			return present(ok && m.Bytes[name] > 0, fmt.Sprintf("%s (%s)", figure(float64(m.Bytes[name])/1e6), figure(float64(m.Bytes[name])/1e3/float64(c.size))))
		})
	}
	row("foreign share of the machine in C-STORE, %", last(func(m measurement) float64 { return 100 * m.Foreign }))
	for _, m := range all {
		if m.At > 0 && m.Note != "" && m.Test != growStart && m.Count != piece {
			fmt.Fprintf(w, "  %s, %s at %s: %s\n", m.Contender, m.Test, thousands(m.At), m.Note)
		}
	}
}

func present(ok bool, s string) string {
	if !ok {
		return ""
	}
	return s
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// A curve is a line of a plot.
type curve struct {
	name   string
	colour string
	dashed bool
	points [][2]float64
}

// colours of tests, told apart by people who see red and green alike (after Okabe and Ito).
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#333333"}

// growthPicture draws, over the number of instances, how fast they are taken and the median time of answers: of the p99 a loaded machine makes noise, and the table has it.
func growthPicture(all []measurement) []byte {
	var rates, answers []curve
	for k, e := range engineNames {
		rate := curve{name: e.name, colour: colours[k], dashed: k == 1}
		var pieces []measurement
		for _, m := range all {
			if m.Test == growIngest && m.Contender == e.key && m.Count >= piece/2 {
				pieces = append(pieces, m)
			}
		}
		slices.SortFunc(pieces, func(a, b measurement) int { return a.At - b.At })
		for i := range pieces { // the median of five, because one piece is short
			near := pieces[max(0, i-2):min(len(pieces), i+3)]
			rate.points = append(rate.points, [2]float64{float64(pieces[i].At), spreadOf(near, func(m measurement) float64 { return m.Rate }).mid})
		}
		if len(rate.points) > 0 {
			rates = append(rates, rate)
		}
		for i, test := range asks {
			c := curve{name: test, colour: colours[i], dashed: k == 1}
			for _, size := range sizesOf(all, e.key) {
				if m, ok := at(all, test, e.key, size); ok && m.P50 > 0 && m.Count > 0 {
					c.points = append(c.points, [2]float64{float64(size), m.P50})
				}
			}
			if len(c.points) > 0 {
				answers = append(answers, c)
			}
		}
	}
	const width, height = 940, 380
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="#222">`+"\n", width, height)
	fmt.Fprintf(&b, `<title>Instances taken a second, and the median time of answers, over the number of instances</title>`+"\n")
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	panel(&b, 50, "C-STORE of 8 kB, instances a second", rates, 0, true)
	panel(&b, 420, "median of an answer, ms (dashed: PostgreSQL)", answers, 0, false)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// panel draws curves over a logarithmic axis of instances, from zero up; bar is a level to be kept, if it is not 0. Names stand beside the panel, or in it.
func panel(b *bytes.Buffer, left float64, title string, curves []curve, level float64, inside bool) {
	const top, wide, high = 40.0, 310.0, 280.0
	if len(curves) == 0 {
		return
	}
	low, most, tallest := math.Inf(1), math.Inf(-1), 1.1*level
	for _, c := range curves {
		for _, p := range c.points {
			low, most, tallest = min(low, p[0]), max(most, p[0]), max(tallest, 1.05*p[1])
		}
	}
	low, most = math.Log10(low), math.Log10(most)
	if most == low {
		most++
	}
	step := math.Pow(10, math.Floor(math.Log10(tallest)))
	for tallest/step < 4 {
		step /= 2
	}
	tallest = step * math.Ceil(tallest/step)
	x := func(v float64) float64 { return left + wide*(math.Log10(v)-low)/(most-low) }
	y := func(v float64) float64 { return top + high*(1-v/tallest) }
	fmt.Fprintf(b, `<text x="%.0f" y="22" font-weight="bold">%s</text>`+"\n", left, title)
	for v := 0.0; v <= tallest+step/2; v += step {
		fmt.Fprintf(b, `<path d="M%.1f %.1fh%.0f" stroke="#ddd"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`+"\n", left, y(v), wide, left-6, y(v)+4, strconv.FormatFloat(v, 'g', 4, 64))
	}
	for d := math.Ceil(low); d <= most+1e-9; d++ {
		v := math.Pow(10, d)
		fmt.Fprintf(b, `<path d="M%.1f %.1fv%.0f" stroke="#ddd"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", x(v), top, high, x(v), top+high+18, thousands(int(v)))
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">instances in the archive</text>`+"\n", left+wide/2, top+high+38)
	if level > 0 {
		fmt.Fprintf(b, `<path d="M%.1f %.1fh%.0f" stroke="#c00" stroke-width="1.5" stroke-dasharray="2 3"/><text x="%.1f" y="%.1f" fill="#c00">bar, %g</text>`+"\n", left, y(level), wide, left+6, y(level)-5, level)
	}
	named := map[string]int{}
	for _, c := range curves {
		var d strings.Builder
		for i, p := range c.points {
			fmt.Fprintf(&d, "%c%.1f %.1f", "LM"[b2i(i == 0)], x(p[0]), y(p[1]))
		}
		dash := ""
		if c.dashed {
			dash = ` stroke-dasharray="6 3"`
		}
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.8"%s/>`+"\n", d.String(), c.colour, dash)
		if len(c.points) < 8 {
			for _, p := range c.points {
				fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>`+"\n", x(p[0]), y(p[1]), c.colour)
			}
		}
		if _, ok := named[c.name]; ok {
			continue
		}
		k := len(named)
		named[c.name] = k
		at := left + wide + 14
		line := top + 10 + 18*float64(k)
		if inside {
			at, line = left+14, top+high-30+18*float64(k)
			dash = present(c.dashed, dash)
		} else {
			dash = ""
		}
		fmt.Fprintf(b, `<path d="M%.1f %.1fh18" stroke="%s" stroke-width="2.5"%s/><text x="%.1f" y="%.1f">%s</text>`+"\n", at, line-4, c.colour, dash, at+24, line, c.name)
	}
}

func b2i(v bool) int {
	if v {
		return 1
	}
	return 0
}
