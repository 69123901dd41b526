//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of processor time in /proc: USER_HZ, which is 100 on every Linux that Go runs on.
const tick = time.Second / 100

// A meter takes what passes between its making and its end.
type meter struct {
	pid    int // the server's; 0 if there is none
	began  time.Time
	server time.Duration
	own    time.Duration
	busy   time.Duration
	all    time.Duration
}

// begin starts to measure a process, whose peak of memory starts anew.
func begin(pid int) *meter {
	m := &meter{pid: pid}
	if pid != 0 {
		// Where the kernel refuses, the peak is the one since the process started.
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
		m.server = processorTime(pid)
	}
	m.own = ownTime()
	m.busy, m.all = machineTime()
	m.began = time.Now()
	return m
}

// A reading is what a meter took.
type reading struct {
	took    time.Duration
	server  time.Duration // processor time of the process and its children
	peakMB  float64
	foreign float64 // share of the machine's processors that neither it nor this program used
}

func (m *meter) end() reading {
	r := reading{took: time.Since(m.began)}
	busy, all := machineTime()
	own := ownTime() - m.own
	if m.pid != 0 {
		r.server = processorTime(m.pid) - m.server
		r.peakMB = peak(m.pid)
	}
	r.foreign = foreignShare(busy-m.busy, all-m.all, own+r.server)
	return r
}

func foreignShare(busy, all, ours time.Duration) float64 {
	if all <= 0 {
		return 0
	}
	return max(0, float64(busy-ours)/float64(all))
}

// processorTime is that of a process, of the children that it has waited for, and of those that it still has. A process that is gone has none.
func processorTime(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	sum := statTime(string(stat))
	for _, child := range children(pid) {
		sum += processorTime(child)
	}
	return sum
}

// children are the processes that any thread of a process has started and that have not been waited for.
func children(pid int) (out []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, f := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(f); err == nil {
				out = append(out, child)
			}
		}
	}
	return out
}

// familyPeak is the peak of the largest among a process and what it has started.
func familyPeak(pid int) float64 {
	top := peak(pid)
	for _, child := range children(pid) {
		top = max(top, familyPeak(child))
	}
	return top
}

// statTime adds utime, stime, cutime and cstime (proc(5)). The second field, a file name in parentheses, may hold anything.
func statTime(stat string) time.Duration {
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 15 {
		return 0
	}
	var sum time.Duration
	for _, s := range f[11:15] {
		n, _ := strconv.ParseInt(s, 10, 64)
		sum += time.Duration(n) * tick
	}
	return sum
}

// peak is the largest resident set so far, in MB.
func peak(pid int) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kB, _ := strconv.ParseFloat(firstFields(v, 1), 64)
			return kB * 1024 / 1e6
		}
	}
	return 0
}

// machineTime is how long all processors together have worked, and how long they have existed.
func machineTime() (busy, all time.Duration) {
	stat, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, s := range strings.Fields(line) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || i > 8 { // "cpu", and guest times, which user time holds already
			continue
		}
		all += time.Duration(n) * tick
		if i != 4 && i != 5 { // idle, iowait
			busy += time.Duration(n) * tick
		}
	}
	return busy, all
}

func ownTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
