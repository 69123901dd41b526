//go:build linux

// Command bench measures a Vitrine beside the archives and tools that do the same work: Debian's Orthanc as shipped, DCMTK, GDCM and cp.
//
//	make bench                                       everything, in about twelve minutes on two cores
//	go run ./internal/bench -phases store,search     some of it
//	go run ./internal/bench -phases identities -scale 3    what de-identification leaves of 30 subjects
//	go run ./internal/bench -also before=/tmp/old    another Vitrine as one more contender
//	go run ./internal/bench -phases growth           a node that grows to a million instances, on either database: most of an hour, and 15 GB
//
// It promises: within each round all contenders do the same work, one directly after the other, with the same client and the same generated data, so
// that what else the machine does falls on all of them; ratios are of neighbours in time, and the median of the rounds is printed with its spread.
// Beside the rate stand the processor time of the server alone (user and system, its children with it), its peak memory, and the share of the machine
// that others used meanwhile: where that is large, trust ratios and processor time. A server starts on an empty folder, and what it says that it holds
// at the end is compared with what was sent. DCMTK, and Orthanc's DICOM side with it, leaves Nagle's algorithm on, which costs 40 ms for each message on
// loopback: TCP_NODELAY=1 is set, because beating that would prove nothing. A peer that is not installed is skipped by name.
//
// What it does not do: it measures one machine with the clients on it, so rates are lower than a server's alone. Only Vitrine's acknowledgement means
// that the bytes are on stable storage; peers answer from the page cache, and no time is added for that. Linux alone: it reads /proc.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// options are the command line.
type options struct {
	phases      []string
	rounds      int
	scale       float64
	connections int
	vitrine     string
	also        string
	without     string
	tests       string
	out         string
	keepLogs    bool

	// Of the growth phase.
	engines []string
	steps   []int
	plot    string
	keep    string
	full    bool

	patience time.Duration
	join     []string
}

func main() {
	var o options
	var names []string
	var usual []string
	for _, p := range phases() {
		names = append(names, p.name)
		if !p.long {
			usual = append(usual, p.name)
		}
	}
	chosen := flag.String("phases", strings.Join(usual, ","), "what to measure, separated by commas; growth has to be asked for")
	engines := flag.String("engines", "sqlite,postgresql", "growth: the databases, one after the other; empty: only draw what -join gives")
	steps := flag.String("steps", "10000,100000,1000000", "growth: at how many instances everything is measured")
	flag.StringVar(&o.plot, "plot", "", "growth: file for the plot, an SVG; none unless given")
	flag.StringVar(&o.keep, "keep", "", "growth: folder in which the archives stay, for a later run to go on with; without it they are removed")
	flag.BoolVar(&o.full, "full", false, "growth: instances of 527 kB in place of those of 8 kB")
	flag.DurationVar(&o.patience, "patience", time.Hour, "growth: how long everything may take to be admitted behind what was sent; then it is measured as it is")
	join := flag.String("join", "", "growth: measurements of earlier runs that go into table and plot too, files separated by commas")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each contender does everything")
	flag.Float64Var(&o.scale, "scale", 1, "share of the default amounts: 0.1 for a first look, 50 for a search among a million instances")
	flag.IntVar(&o.connections, "connections", 4, "associations or connections at a time")
	flag.StringVar(&o.vitrine, "vitrine", "", "binary to measure; built from this tree unless given")
	flag.StringVar(&o.also, "also", "", "other Vitrine binaries beside it: NAME=PATH,...")
	flag.StringVar(&o.without, "without", "", "contenders to leave out: orthanc,storescp,...")
	flag.StringVar(&o.tests, "tests", "", "of the searches and retrievals only those whose name holds this")
	flag.StringVar(&o.out, "out", "build/bench.jsonl", "file for the measurements, one JSON object a line")
	flag.BoolVar(&o.keepLogs, "logs", false, "print the end of a server's log when it stops")
	flag.Parse()
	o.phases = strings.Split(*chosen, ",")
	for _, p := range o.phases {
		if !slices.Contains(names, p) {
			fmt.Fprintf(os.Stderr, "bench: there is no phase %q; there are %s\n", p, strings.Join(names, ", "))
			os.Exit(2)
		}
	}
	words := func(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) }
	o.engines, o.join = words(*engines), words(*join)
	for _, w := range words(*steps) {
		n, err := strconv.Atoi(w)
		if err != nil || n < sample.PerStudy || n%sample.PerStudy != 0 || len(o.steps) > 0 && n <= o.steps[len(o.steps)-1] {
			fmt.Fprintf(os.Stderr, "bench: -steps are numbers of instances that grow, each whole studies of %d\n", sample.PerStudy)
			os.Exit(2)
		}
		o.steps = append(o.steps, n)
	}
	for _, e := range o.engines {
		if e != "sqlite" && e != "postgresql" {
			fmt.Fprintln(os.Stderr, "bench: -engines are sqlite and postgresql")
			os.Exit(2)
		}
	}
	if flag.NArg() > 0 || o.rounds < 1 || o.scale <= 0 || o.connections < 1 {
		fmt.Fprintln(os.Stderr, "bench: at least one round and one connection, a scale above zero, and flags alone")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A bench is one run.
type bench struct {
	options
	dir    string // all that it writes but the measurements; removed at the end
	report *report
}

func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "vitrine-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if o.vitrine == "" {
		o.vitrine = filepath.Join(dir, "vitrine")
		if err := build(ctx, o.vitrine); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
		return err
	}
	lines, err := os.Create(o.out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lines.Close()) }()
	os.Setenv("TCP_NODELAY", "1") // read by DCMTK's networking, which Orthanc uses

	b := &bench{options: o, dir: dir, report: &report{lines: lines}}
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("%s/%s, %d processors, load %s, %d rounds, scale %g, temporary files in %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), firstFields(string(load), 3),
		o.rounds, o.scale, os.TempDir())
	for _, c := range b.contenders() {
		if c.missing != "" {
			fmt.Printf("skipped: %s, because %s is not installed (script/bootstrap --bench)\n", c.name, c.missing)
		}
	}
	for _, p := range phases() {
		if !slices.Contains(o.phases, p.name) {
			continue
		}
		began := time.Now()
		if err := p.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Printf("(%s: %.0f s)\n", p.name, time.Since(began).Seconds())
	}
	b.report.summary(os.Stdout)
	return nil
}

// scaled is a default amount, scaled; never less than least.
func (b *bench) scaled(n, least int) int { return max(least, int(float64(n)*b.scale)) }

func firstFields(s string, n int) string {
	f := strings.Fields(s)
	return strings.Join(f[:min(n, len(f))], " ")
}
