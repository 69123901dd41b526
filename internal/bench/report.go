//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Tests that a bar of the budget speaks of.
const (
	ingestFull     = "C-STORE 527 kB"
	ingestSmall    = "C-STORE 8 kB"
	stowFull       = "STOW-RS"
	searchUID      = "QIDO-RS study by UID"
	searchPatient  = "QIDO-RS by patient"
	searchDate     = "QIDO-RS by date range"
	searchModality = "QIDO-RS by modality"
	searchName     = "QIDO-RS by name, wildcard"
	getInstance    = "WADO-RS instance"
	getFrame       = "WADO-RS frame"
	getStudy       = "WADO-RS study"
	getMetadata    = "WADO-RS study metadata"
	deidentifyFull = "de-identification"
)

// A bar is how many times as good as a peer Vitrine has to be.
type bar struct {
	test, peer string
	want       float64
	latency    bool // compared by the median answer time; otherwise by rate
}

// bars are the budget that the project has set itself, measured against the peers on the same machine in the same run.
var bars = []bar{
	{test: ingestFull, peer: "orthanc", want: 3},
	{test: ingestFull, peer: "storescp", want: 1},
	{test: ingestSmall, peer: "orthanc", want: 6},
	{test: ingestSmall, peer: "storescp", want: 1},
	{test: stowFull, peer: "orthanc", want: 5},
	{test: searchUID, peer: "orthanc", want: 15, latency: true},
	{test: searchPatient, peer: "orthanc", want: 15, latency: true},
	{test: searchDate, peer: "orthanc", want: 15, latency: true},
	{test: searchModality, peer: "orthanc", want: 15, latency: true},
	{test: searchName, peer: "orthanc", want: 15, latency: true},
	{test: getInstance, peer: "orthanc", want: 4},
	{test: getFrame, peer: "orthanc", want: 4},
	{test: getStudy, peer: "orthanc", want: 1.5},
	{test: getMetadata, peer: "orthanc", want: 20},
	{test: deidentifyFull, peer: "gdcmanon", want: 1.2},
	{test: deidentifyFull, peer: "dcmodify", want: 1.2},
	{test: deidentifyFull, peer: "cp", want: 1. / 3},
}

// A measurement is one contender in one round.
type measurement struct {
	Test      string  `json:"test"`
	Contender string  `json:"contender"`
	Round     int     `json:"round"`
	Count     int     `json:"count"` // instances, files or answers
	Failed    int     `json:"failed,omitempty"`
	Seconds   float64 `json:"seconds"`
	Rate      float64 `json:"rate"` // count a second
	MBps      float64 `json:"mb_per_second"`
	P50       float64 `json:"p50_ms,omitempty"` // of an answer
	P99       float64 `json:"p99_ms,omitempty"`
	CPU       float64 `json:"cpu_seconds"`       // of the server or tool
	Each      float64 `json:"cpu_ms_each"`       // the same for one
	Peak      float64 `json:"peak_mb"`           // resident
	Foreign   float64 `json:"foreign"`           // share of the machine that others used
	Matches   float64 `json:"matches,omitempty"` // for each question
	Note      string  `json:"note,omitempty"`

	// Of the growth phase.
	At       int              `json:"at,omitempty"`                   // instances that the archive holds
	Database float64          `json:"database_cpu_seconds,omitempty"` // of PostgreSQL
	Bytes    map[string]int64 `json:"bytes,omitempty"`                // on disk, by folder
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// share of the machine that so much processor time is.
func share(cpu, took time.Duration) float64 {
	return float64(cpu) / float64(max(took, 1)) / float64(runtime.NumCPU())
}

func line(test, contender string, round int, t *tally, r reading, took time.Duration) measurement {
	m := measurement{
		Test: test, Contender: contender, Round: round, Count: t.ops, Failed: t.failed, Seconds: took.Seconds(),
		Rate: float64(t.ops) / took.Seconds(), MBps: float64(t.bytes) / 1e6 / took.Seconds(),
		P50: ms(percentile(t.times, 50)), P99: ms(percentile(t.times, 99)),
		CPU: r.server.Seconds(), Peak: r.peakMB, Foreign: r.foreign,
	}
	if t.ops > 0 {
		m.Each = ms(r.server) / float64(t.ops)
	}
	return m
}

// A report gathers measurements.
type report struct {
	lines io.Writer
	all   []measurement
}

func (r *report) title(s string) { fmt.Printf("\n%s\n", s) }

func (r *report) add(m measurement) error {
	r.all = append(r.all, m)
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = r.lines.Write(append(b, '\n'))
	return err
}

// of are the measurements of a contender, in the order of rounds.
func (r *report) of(test, contender string) []measurement {
	var out []measurement
	for _, m := range r.all {
		if m.Test == test && m.Contender == contender {
			out = append(out, m)
		}
	}
	return out
}

// table prints a line for each contender of a test: medians, and the spread of the rate.
func (r *report) table(test string) {
	var names []string
	for _, m := range r.all {
		if m.Test == test && !slices.Contains(names, m.Contender) {
			names = append(names, m.Contender)
		}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\ta second\tfrom - to\tMB/s\tp50 ms\tp99 ms\tCPU ms each\tpeak MB\tforeign\t")
	for _, name := range names {
		all := r.of(test, name)
		at := func(f func(measurement) float64) spread { return spreadOf(all, f) }
		rate := at(func(m measurement) float64 { return m.Rate })
		fmt.Fprintf(w, "%s\t%s\t%s - %s\t%s\t%s\t%s\t%s\t%s\t%.0f %%\t\n", name, figure(rate.mid), figure(rate.low), figure(rate.high),
			figure(at(func(m measurement) float64 { return m.MBps }).mid), figure(at(func(m measurement) float64 { return m.P50 }).mid),
			figure(at(func(m measurement) float64 { return m.P99 }).mid), figure(at(func(m measurement) float64 { return m.Each }).mid),
			figure(at(func(m measurement) float64 { return m.Peak }).mid), 100*at(func(m measurement) float64 { return m.Foreign }).mid)
	}
	w.Flush()
	fmt.Printf(" %s\n%s", test, b.String())
	for _, m := range r.all {
		if m.Test == test && m.Note != "" {
			fmt.Printf("  %s, round %d: %s\n", m.Contender, m.Round+1, m.Note)
		}
	}
}

// summary prints, as a table in Markdown, how far each figure is from its bar.
func (r *report) summary(w io.Writer) {
	fmt.Fprintf(w, "\n| figure | Vitrine | peer | ratio (from - to) | bar | CPU of the peer's | |\n| --- | ---: | ---: | ---: | ---: | ---: | --- |\n")
	for _, b := range bars {
		ours, theirs := r.of(b.test, "vitrine"), r.of(b.test, b.peer)
		if len(ours) == 0 || len(theirs) == 0 {
			continue
		}
		ratio := ratioOf(ours, theirs, func(m measurement) float64 { return m.Rate })
		show := func(m []measurement) string {
			return figure(spreadOf(m, func(m measurement) float64 { return m.Rate }).mid) + "/s"
		}
		if b.latency {
			ratio = ratioOf(theirs, ours, func(m measurement) float64 { return m.P50 })
			show = func(m []measurement) string {
				return figure(spreadOf(m, func(m measurement) float64 { return m.P50 }).mid) + " ms"
			}
		}
		verdict := "met"
		if ratio.mid < b.want {
			verdict = fmt.Sprintf("%.0f %% of the way", 100*ratio.mid/b.want)
		}
		cpu := ratioOf(ours, theirs, func(m measurement) float64 { return m.Each })
		fmt.Fprintf(w, "| %s | %s | %s %s | %.2f (%.2f - %.2f) | %.2g | %.2f | %s |\n", b.test, show(ours), b.peer, show(theirs), ratio.mid, ratio.low, ratio.high, b.want, cpu.mid, verdict)
	}
}

// A spread is the median of rounds, and their extremes.
type spread struct{ low, mid, high float64 }

func spreadOf(all []measurement, f func(measurement) float64) spread {
	v := make([]float64, len(all))
	for i, m := range all {
		v[i] = f(m)
	}
	return spreadOfValues(v)
}

// ratioOf compares round with round, because contenders of one round met the same machine.
func ratioOf(a, b []measurement, f func(measurement) float64) spread {
	var v []float64
	for _, x := range a {
		for _, y := range b {
			if x.Round == y.Round && f(y) > 0 {
				v = append(v, f(x)/f(y))
			}
		}
	}
	return spreadOfValues(v)
}

func spreadOfValues(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	slices.Sort(v)
	mid := v[len(v)/2]
	if len(v)%2 == 0 {
		mid = (mid + v[len(v)/2-1]) / 2
	}
	return spread{v[0], mid, v[len(v)-1]}
}

// figure is a number with about three digits that mean something.
func figure(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
