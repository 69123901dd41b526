package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// streams are where a command reads and writes: results on out, remarks and progress on err.
type streams struct {
	in       io.Reader
	out, err io.Writer
	json     bool
	given    map[string]bool // flags on the command line itself
}

// say writes a remark for people.
func (s *streams) say(format string, args ...any) { fmt.Fprintf(s.err, format+"\n", args...) }

// terminal reports whether remarks are read by a person.
func (s *streams) terminal() bool {
	f, ok := s.err.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// value prints a result as JSON.
func (s *streams) value(v any) error {
	e := json.NewEncoder(s.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table is a result for people: a row of headings and rows of cells.
type table struct {
	head []string
	rows [][]string
	none string // what is said where there are no rows
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// list prints v as JSON, or t as a table.
func (s *streams) list(v any, t *table) error {
	if s.json {
		return s.value(v)
	}
	if len(t.rows) == 0 {
		if t.none != "" {
			s.say("%s", t.none)
		}
		return nil
	}
	return s.print(t)
}

// print prints a table.
func (s *streams) print(t *table) error {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.StripEscape)
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, c := range row {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, cell(c))
		}
		fmt.Fprint(w, "\n")
	}
	return w.Flush()
}

const widest = 110

// cell is text that cannot move the cursor: what a server sends is printed on a terminal.
func cell(c string) string {
	c = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, c))
	if c == "" {
		return "-"
	}
	if utf8.RuneCountInString(c) > widest && !strings.ContainsAny(c, ".:/") {
		r := []rune(c)
		c = string(r[:widest-1]) + "…"
	}
	return c
}

// bytesText is a size as people read it.
func bytesText(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/unit, 0
	for v >= unit && i < 5 {
		v /= unit
		i++
	}
	return fmt.Sprintf("%.1f %cB", v, "kMGTPE"[i])
}

// count is "1 file", "2 files".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if noun == "person" {
		return fmt.Sprintf("%d people", n)
	}
	if strings.HasSuffix(noun, "y") {
		return fmt.Sprintf("%d %sies", n, noun[:len(noun)-1])
	}
	if strings.HasSuffix(noun, "s") {
		return fmt.Sprintf("%d %s", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// cellPath is a file's name that cannot move the cursor.
func cellPath(p string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, p)
}
