package endtoend

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// memory is what a process has resident, in bytes, and how many threads it has. Nothing: it is gone.
func memory(pid int) (resident, threads float64) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		var v float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &v); err == nil {
			resident = v * 1024
		}
		if _, err := fmt.Sscanf(line, "Threads: %f", &v); err == nil {
			threads = v
		}
	}
	return resident, threads
}

// children are the processes that a process has started.
func children(pid int) (all []int) {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, task := range tasks {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		for _, f := range strings.Fields(string(b)) {
			if c, err := strconv.Atoi(f); err == nil {
				all = append(all, c)
			}
		}
	}
	return all
}

// spent is the processor time of a process, without that of processes it has started.
func spent(pid int) time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// growth is by how much values grew from the first moment to the last, by the median of the slopes of all pairs (Theil and Sen), and their median: single peaks
// and hollows count for nothing.
func growth(at, v []float64) (grown, middle float64) {
	var slopes []float64
	for i := range v {
		for j := range i {
			if at[i] > at[j] {
				slopes = append(slopes, (v[i]-v[j])/(at[i]-at[j]))
			}
		}
	}
	if len(slopes) == 0 {
		return 0, 0
	}
	slices.Sort(slopes)
	sorted := slices.Sorted(slices.Values(v))
	return slopes[len(slopes)/2] * (at[len(at)-1] - at[0]), sorted[len(sorted)/2]
}

func TestGrowth(t *testing.T) {
	var at, saw, leak []float64
	for k := range 90 {
		at = append(at, float64(10*k))
		saw = append(saw, 100+float64(k*37%20)) // a heap between collections
		leak = append(leak, 100+float64(k*37%20)+float64(k)/3)
	}
	saw[60] = 5000 // somebody took much for a moment
	if g, m := growth(at, saw); g > 5 || g < -5 || m < 100 || m > 120 {
		t.Errorf("what stays grows by %.1f from %.1f", g, m)
	}
	if g, _ := growth(at, leak); g < 25 || g > 35 {
		t.Errorf("what grows by 30 grows by %.1f", g)
	}
}
