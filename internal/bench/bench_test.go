//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/sample"
)

func TestStatTime(t *testing.T) {
	for _, x := range []struct {
		stat string
		want time.Duration
	}{
		{"7 (a b) S 1 7 7 0 -1 4 5 6 7 8 150 50 20 30 20 0 9", 2500 * time.Millisecond},
		{"7 (odd) name) 1 2) S 1 7 7 0 -1 4 5 6 7 8 1 2 3 4 20 0 9", 100 * time.Millisecond},
		{"7 (short) S 1", 0},
		{"", 0},
	} {
		if got := statTime(x.stat); got != x.want {
			t.Errorf("statTime(%q) = %v, want %v", x.stat, got, x.want)
		}
	}
}

// A program that works in a child of its own is charged for it, while it runs and after it has waited for it.
func TestProcessorTimeOfChildren(t *testing.T) {
	cmd := exec.Command("sh", "-c", `i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done & wait; echo done; read x`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip("no shell:", err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if got := processorTime(cmd.Process.Pid); got < tick {
		t.Errorf("the loop of a child took %v, want at least %v", got, tick)
	}
	if peak(cmd.Process.Pid) <= 0 {
		t.Error("no peak of memory")
	}
	in.Close()
	_ = cmd.Wait()
	if got := processorTime(os.Getpid()); got <= 0 {
		t.Errorf("this process took %v", got)
	}
}

func TestForeignShare(t *testing.T) {
	for _, x := range []struct {
		busy, all, ours time.Duration
		want            float64
	}{
		{8 * time.Second, 10 * time.Second, 3 * time.Second, 0.5},
		{1 * time.Second, 10 * time.Second, 2 * time.Second, 0}, // rounded ticks
		{0, 0, 0, 0},
	} {
		if got := foreignShare(x.busy, x.all, x.ours); got != x.want {
			t.Errorf("foreignShare(%v, %v, %v) = %v, want %v", x.busy, x.all, x.ours, got, x.want)
		}
	}
	if _, all := machineTime(); all <= 0 {
		t.Error("the machine has existed for no time")
	}
}

func TestPercentile(t *testing.T) {
	var times []time.Duration
	for i := 100; i > 0; i-- {
		times = append(times, time.Duration(i))
	}
	for p, want := range map[float64]time.Duration{0: 1, 50: 51, 99: 100, 100: 100} {
		if got := percentile(times, p); got != want {
			t.Errorf("percentile %v = %d, want %d", p, got, want)
		}
	}
	if percentile(nil, 50) != 0 {
		t.Error("nothing has a percentile")
	}
}

func TestRatioIsOfNeighbours(t *testing.T) {
	rate := func(m measurement) float64 { return m.Rate }
	// The machine is ten times slower in the second round, for both.
	ours := []measurement{{Round: 0, Rate: 300}, {Round: 1, Rate: 40}, {Round: 2, Rate: 200}}
	theirs := []measurement{{Round: 1, Rate: 10}, {Round: 0, Rate: 100}, {Round: 2, Rate: 100}}
	if got, want := ratioOf(ours, theirs, rate), (spread{2, 3, 4}); got != want {
		t.Errorf("ratio %v, want %v", got, want)
	}
	if got := ratioOf(ours, nil, rate); got != (spread{}) {
		t.Errorf("a ratio to nobody: %v", got)
	}
	if got, want := spreadOf(ours[:2], rate), (spread{40, 170, 300}); got != want {
		t.Errorf("of two %v, want %v", got, want)
	}
}

func TestSummary(t *testing.T) {
	var lines, table bytes.Buffer
	r := &report{lines: &lines}
	for _, m := range []measurement{
		{Test: ingestFull, Contender: "vitrine", Rate: 500, Each: 1},
		{Test: ingestFull, Contender: "orthanc", Rate: 200, Each: 4},
		{Test: searchUID, Contender: "vitrine", P50: 1},
		{Test: searchUID, Contender: "orthanc", P50: 30},
		{Test: stowFull, Contender: "vitrine", Rate: 1},
	} {
		if err := r.add(m); err != nil {
			t.Fatal(err)
		}
	}
	r.summary(&table)
	for _, want := range []string{"| C-STORE 527 kB | 500/s | orthanc 200/s | 2.50 (2.50 - 2.50) | 3 | 0.25 | 83 % of the way |", "| QIDO-RS study by UID | 1.00 ms | orthanc 30.0 ms | 30.00 (30.00 - 30.00) | 15 | 0.00 | met |"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no line %q in\n%s", want, table.String())
		}
	}
	if strings.Contains(table.String(), stowFull) {
		t.Error("a ratio to a peer that was not there")
	}
	var m measurement
	if err := json.Unmarshal(bytes.Split(lines.Bytes(), []byte("\n"))[0], &m); err != nil || m.Rate != 500 {
		t.Errorf("the first line is %+v, %v", m, err)
	}
}

func TestReadyLine(t *testing.T) {
	r := &readyLine{line: make(chan string, 1)}
	for _, part := range []string{"a remark\nrea", "dy http=http://127.0.0.1:1 dicom=127.0.0.1:2\nmo", "re\nready twice\n"} {
		if n, err := r.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if base, dicom := parseReady(<-r.line); base != "http://127.0.0.1:1" || dicom != "127.0.0.1:2" {
		t.Errorf("ready at %q and %q", base, dicom)
	}
}

// Questions come from what is in the set, so each finds something; and there are several of each, so that no answer is merely remembered.
func TestQuestions(t *testing.T) {
	questions, err := questionsAbout(sample.SmallSet(smallSeed), 40)
	if err != nil {
		t.Fatal(err)
	}
	if len(questions) != 5 {
		t.Fatalf("%d ways of asking", len(questions))
	}
	for _, q := range questions {
		least := 5
		if q.test == searchModality {
			least = 1
		}
		if len(q.paths) < least {
			t.Errorf("%s: %d questions", q.test, len(q.paths))
		}
		for _, p := range q.paths {
			if !strings.HasPrefix(p, "/studies?") || strings.HasSuffix(p, "=") {
				t.Errorf("%s asks for nothing", q.test)
			}
		}
	}
}
