package portal

import (
	"encoding/base64"
	"fmt"
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// functions are what templates may call.
func functions(f *files) template.FuncMap {
	return template.FuncMap{
		// The directory's.
		"count":    countOf,
		"compared": comparedText,

		"asset":    f.address,
		"built":    func() bool { return f.built },
		"icon":     drawIcon,
		"number":   func(n any) string { return grouped(fmt.Sprint(n)) },
		"people":   people,
		"size":     size,
		"date":     func(t time.Time) template.HTML { return unbroken(date(t)) },
		"lastday":  func(t time.Time) template.HTML { return unbroken(date(lastDay(t))) },
		"days":     daysText,
		"moment":   func(t time.Time) template.HTML { return unbroken(moment(t)) },
		"door":     doorName,
		"plural":   plural,
		"join":     strings.Join,
		"split":    strings.Fields,
		"dict":     dict,
		"add":      func(a, b int) int { return a + b },
		"lower":    strings.ToLower,
		"bars":     bars,
		"qr":       drawQR,
		"base64":   base64.RawURLEncoding.EncodeToString,
		"study":    studyAddress,
		"initials": initials,
		"sentence": sentence,
		"thumb": func(c collection.ID, study catalogue.StudyUID) string {
			return "/collections/" + string(c) + "/dicomweb/studies/" + url.PathEscape(string(study)) + "/thumbnail?viewport=320,240"
		},
		"studyname": studyName,
		"dicomdate": func(s string) string { return date(dicomDate(s)) },
	}
}

// daysText is a number of days in words.
func daysText(d float64) string {
	switch {
	case d < 1:
		return "less than a day"
	case d < 2:
		return "1 day"
	}
	return grouped(fmt.Sprint(int(d))) + " days"
}

// grouped writes the digits of a whole number in threes.
func grouped(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "−", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// people writes a published number of people: fewer than ten and none look the same.
func people(n int64) template.HTML {
	if n < 10 {
		return `<span class="few" tabindex="0" title="Fewer than ten people, or none: the two are shown alike">0–9</span>`
	}
	return template.HTML(grouped(strconv.FormatInt(n, 10))) // digits and commas
}

// countOf writes a published number of people, studies or images; a dash where none is told.
func countOf(n directory.Number) template.HTML {
	if !n.Known {
		return `<span class="dim" title="Not counted, or not told">–</span>`
	}
	if n.Withheld || n.Value < 10 {
		return `<span class="few" title="Fewer than ten, or none: the two are shown alike">0–9</span>`
	}
	return template.HTML(grouped(strconv.FormatInt(n.Value, 10))) //nolint:gosec // digits and commas
}

// comparedText writes a cell of a comparison: a whole number in threes, and what is small as such.
func comparedText(s string) template.HTML {
	if s == "0–9" {
		return people(0)
	}
	name, digits, ok := strings.Cut(s, ": ")
	if !ok {
		name, digits = "", s
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n > 9999 || err == nil && ok {
		digits = grouped(digits)
	}
	if ok {
		return template.HTML(template.HTMLEscapeString(name) + `: <b>` + template.HTMLEscapeString(digits) + `</b>`) //nolint:gosec // escaped
	}
	return template.HTML(template.HTMLEscapeString(digits)) //nolint:gosec // escaped
}

// sentence makes one of a reason.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// size writes a number of bytes in decimal units.
func size(n int64) string {
	v, unit := float64(n), 0
	units := []string{"bytes", "kB", "MB", "GB", "TB", "PB"}
	for v >= 999.5 && unit < len(units)-1 {
		v, unit = v/1000, unit+1
	}
	switch {
	case unit == 0:
		return fmt.Sprintf("%d bytes", n)
	case v < 9.95:
		return fmt.Sprintf("%.1f %s", v, units[unit])
	}
	return fmt.Sprintf("%.0f %s", v, units[unit])
}

func date(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02")
}

// moment writes a time to the minute, with the weekday, in UTC.
func moment(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("Mon 2006-01-02 15:04")
}

// unbroken keeps a date in one line, which breaks at its hyphens otherwise; its time may stand on the next. In an attribute it is text alone.
func unbroken(moment string) template.HTML {
	last := strings.LastIndexByte(moment, ' ')
	if !strings.Contains(moment, ":") || last < 0 {
		return template.HTML(`<span class="nb">` + moment + `</span>`) //nolint:gosec // letters, digits and hyphens
	}
	return template.HTML(`<span class="nb">` + moment[:last] + `</span> ` + moment[last+1:]) //nolint:gosec // the same, and a colon
}

// plural writes a number with its noun: plural 1 "study" "studies".
func plural(n any, one, many string) string {
	s := fmt.Sprint(n)
	if s == "1" {
		return "1 " + one
	}
	return grouped(s) + " " + many
}

// bar is a part of a meter of 100 units.
type bar struct {
	Class string
	X, W  string
}

// bars share a meter among what is kept, on its way, held and refused.
func bars(kept, pending, held, refused int64) []bar {
	total := float64(kept + pending + held + refused)
	var out []bar
	at := 0.0
	for i, n := range []int64{kept, pending, held, refused} {
		if n > 0 {
			w := 100 * float64(n) / total
			out = append(out, bar{[]string{"ok", "wait", "warn", "bad"}[i], strconv.FormatFloat(at, 'f', 2, 64), strconv.FormatFloat(w, 'f', 2, 64)})
			at += w
		}
	}
	return out
}

// dict makes a map of pairs, to give a part of a page several values.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: a key has no value")
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		k, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: a key is no text")
		}
		m[k] = pairs[i+1]
	}
	return m, nil
}

// icons are drawn on a field of 16 by 16, in the colour of the text around them.
var icons = map[string]string{
	"help":     `<circle cx="8" cy="8" r="6"/><path d="M6.200 6.400a1.800 1.800 0 1 1 3 1.500c-.8.5-1.200.8-1.200 1.600M8 11.400v.2"/>`,
	"theme":    `<circle cx="8" cy="8" r="5.600"/><path d="M8 2.400a5.600 5.600 0 0 1 0 11.200z" fill="currentColor"/>`,
	"search":   `<circle cx="7" cy="7" r="4.600"/><path d="M10.500 10.500 14 14"/>`,
	"ok":       `<path d="m3 8.500 3.400 3.300L13 4.600"/>`,
	"warn":     `<path d="M8 2.600 14.300 13.400H1.700zM8 6.600v3.200M8 11.600v.1"/>`,
	"bad":      `<circle cx="8" cy="8" r="6"/><path d="m5.800 5.800 4.400 4.400m0-4.400-4.400 4.400"/>`,
	"wait":     `<circle cx="8" cy="8" r="6"/><path d="M8 4.600V8l2.300 1.600"/>`,
	"lock":     `<rect x="3.200" y="7" width="9.600" height="6.600" rx="1.400"/><path d="M5.200 7V5.200a2.800 2.800 0 0 1 5.600 0V7"/>`,
	"open":     `<rect x="3.200" y="7" width="9.600" height="6.600" rx="1.400"/><path d="M5.200 7V5.200a2.800 2.800 0 0 1 5.400-1"/>`,
	"download": `<path d="M8 2.500v7.500m-3-2.800 3 3 3-3M3 13.300h10"/>`,
	"upload":   `<path d="M8 10.500V3m-3 2.800 3-3 3 3M3 13.300h10"/>`,
	"key":      `<circle cx="5" cy="8" r="2.800"/><path d="M7.800 8H14v2.400M11.500 8v2"/>`,
	"close":    `<path d="m4 4 8 8m0-8-8 8"/>`,
	"back":     `<path d="M10 3.500 5.500 8l4.500 4.500"/>`,
	"next":     `<path d="m6 3.500 4.500 4.500L6 12.500"/>`,
	"folder":   `<path d="M2 12.600V4h4l1.500 1.800H14v6.800z"/>`,
	"person":   `<circle cx="8" cy="5.200" r="2.600"/><path d="M3 13.500c.4-2.800 2.300-4.200 5-4.200s4.600 1.400 5 4.200"/>`,
	"phone":    `<rect x="4.200" y="1.800" width="7.600" height="12.400" rx="1.600"/><path d="M7.200 11.900h1.600"/>`,
	"screen":   `<rect x="1.800" y="2.800" width="12.400" height="8.400" rx="1.200"/><path d="M5.500 13.600h5M8 11.200v2.400"/>`,
	"edit":     `<path d="M3 13h2.500L13 5.500 10.500 3 3 10.500z"/>`,
	"add":      `<path d="M8 3v10M3 8h10"/>`,
	"filter":   `<path d="M2.500 4h11M4.500 8h7M6.500 12h3"/>`,
}

func drawIcon(name string) (template.HTML, error) {
	paths, ok := icons[name]
	if !ok {
		return "", fmt.Errorf("there is no icon %q", name)
	}
	return template.HTML(`<svg viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">` + paths + `</svg>`), nil
}
