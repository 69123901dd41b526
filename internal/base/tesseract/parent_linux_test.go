package tesseract

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A run does not outlive a parent that was killed.
func TestDiesWithParent(t *testing.T) {
	if os.Getenv("VITRINE_TEST_PARENT") != "" {
		exe, _ := os.Executable()
		c := exec.Command(exe, "become", "/bin/sleep", "600")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		// The command is that of sleep once it has become it.
		for !strings.Contains(commandOf(c.Process.Pid), "sleep") || strings.Contains(commandOf(c.Process.Pid), "become") { // until it is so
			runtime.Gosched()
		}
		fmt.Printf("child %d\n", c.Process.Pid)
		_ = c.Wait()
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(exe, "-test.run=^TestDiesWithParent$", "-test.v")
	parent.Env = append(os.Environ(), "VITRINE_TEST_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	child := 0
	for lines := bufio.NewScanner(out); child == 0 && lines.Scan(); {
		if n, ok := strings.CutPrefix(lines.Text(), "child "); ok {
			child, _ = strconv.Atoi(n)
		}
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	if child == 0 {
		t.Fatal("no child was started")
	}
	for end := time.Now().Add(20 * time.Second); strings.Contains(commandOf(child), "sleep"); {
		if time.Now().After(end) {
			p, _ := os.FindProcess(child)
			_ = p.Kill()
			t.Fatal("it outlives its parent")
		}
	}
}

// commandOf is the command line of a process; empty if it has ended.
func commandOf(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(b)
}
