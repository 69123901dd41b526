package portal

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/status"
)

func (d *Door) registerStatus(mux web.Routes) {
	mux.HandleFunc("GET /status", d.page(d.status))
}

type statusPage struct {
	Up     bool // for everybody
	Whole  bool // the rest is there
	Report *status.Report
	Watch  int
	Bad    int
	Uptime string
	Bars   []hourBar
	Most   int64
	Used   []bar
	Other  int64 // bytes of the disk that are not the node's packs and database
}

// hourBar is an hour of the chart of intake.
type hourBar struct {
	X, Y, H string
	Label   string // under it; empty: none
	Title   string
}

// status says to everybody whether the node works, and to who looks after it how each part is.
func (d *Door) status(r *request) (*page, error) {
	out := &page{file: "status", title: "Status", section: "/status", help: "status"}
	if !status.May(r.admin()) {
		p := statusPage{Up: d.Status.Up(r.Context())}
		if !p.Up {
			out.status = http.StatusServiceUnavailable
		}
		out.data = p
		return out, nil
	}
	report, err := d.Status.Report(r.Context(), r.admin())
	if err != nil {
		return nil, err
	}
	p := statusPage{Up: true, Whole: true, Report: report, Uptime: runsFor(report.At.Sub(report.Since))}
	for _, l := range report.Lines {
		switch l.State {
		case status.Watch:
			p.Watch++
		case status.Bad:
			p.Bad++
		}
	}
	p.Bars, p.Most = hourBars(report.Hours)
	if s := report.Storage; s.Disk > 0 {
		p.Other = max(0, s.Disk-s.Free-s.PackBytes-s.Database)
		p.Used = shares(s.Disk, []usedBy{{"ok", s.PackBytes}, {"warn", s.Database}, {"wait", p.Other}})
	}
	out.data = p
	return out, nil
}

// usedBy is a part of a meter.
type usedBy struct {
	class string
	n     int64
}

// shares divides a meter of 100 units; what is there at all is drawn.
func shares(all int64, parts []usedBy) []bar {
	var out []bar
	x := 0.0
	for _, s := range parts {
		if s.n <= 0 {
			continue
		}
		w := max(0.4, 100*float64(s.n)/float64(all))
		w = min(w, 100-x)
		out = append(out, bar{Class: s.class, X: strconv.FormatFloat(x, 'f', 2, 64), W: strconv.FormatFloat(w, 'f', 2, 64)})
		x += w
	}
	return out
}

// The chart of intake: 24 bars on a ground of 90.
const (
	barStep   = 12
	barHeight = 84
)

func hourBars(hours []status.Hour) (out []hourBar, most int64) {
	for _, h := range hours {
		most = max(most, h.Received)
	}
	for i, h := range hours {
		tall := 0.0
		if most > 0 && h.Received > 0 {
			tall = max(2, barHeight*float64(h.Received)/float64(most))
		}
		b := hourBar{X: strconv.Itoa(i * barStep), Y: fmt.Sprintf("%.1f", 90-tall), H: fmt.Sprintf("%.1f", tall),
			Title: h.From.Format("15:04") + " to " + h.From.Add(time.Hour).Format("15:04") + ": " + plural(h.Received, "image", "images")}
		if i%6 == 0 {
			b.Label = h.From.Format("15:04")
		}
		out = append(out, b)
	}
	return out, most
}

// runsFor writes how long something has been.
func runsFor(t time.Duration) string {
	var parts []string
	for _, u := range []struct {
		d         time.Duration
		one, many string
	}{{24 * time.Hour, "day", "days"}, {time.Hour, "hour", "hours"}, {time.Minute, "minute", "minutes"}} {
		if n := t / u.d; n > 0 {
			parts = append(parts, plural(int64(n), u.one, u.many))
			t -= n * u.d
		}
	}
	if len(parts) == 0 {
		return "less than a minute"
	}
	return strings.Join(parts[:min(2, len(parts))], " ")
}
