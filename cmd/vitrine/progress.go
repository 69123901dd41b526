package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress is a bar on a terminal and nothing elsewhere. All methods may be called on a progress that shows nothing.
type progress struct {
	p   *mpb.Progress
	bar *mpb.Bar
}

// unit is what a bar counts.
type unit int

const (
	unitFiles unit = iota
	unitBytes
)

// progress starts a bar. Nothing else is to be printed on the error stream until it is done, except through note.
func (s *streams) progress(cli *CLI, what string, total int64, u unit) *progress {
	if cli.Quiet || !s.terminal() || total == 0 {
		return &progress{}
	}
	var counters, speed decor.Decorator
	if u == unitBytes {
		counters = decor.CountersKiloByte("% .1f / % .1f", decor.WCSyncSpace)
		speed = decor.AverageSpeed(decor.SizeB1000(0), "% .1f", decor.WCSyncSpace)
	} else {
		counters = decor.CountersNoUnit("%d / %d", decor.WCSyncSpace)
		speed = decor.AverageSpeed(0, "%.0f/s", decor.WCSyncSpace)
	}
	p := mpb.New(mpb.WithOutput(s.err), mpb.WithWidth(48), mpb.WithRefreshRate(150*time.Millisecond))
	bar := p.New(total, mpb.BarStyle().Lbound("").Filler("━").Tip("━").Padding("─").Rbound(""),
		mpb.PrependDecorators(decor.Name(what, decor.WC{W: len(what) + 1, C: decor.DindentRight})),
		mpb.AppendDecorators(counters, speed, decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace), " done")))
	return &progress{p, bar}
}

func (p *progress) add(n int) {
	if p.bar != nil {
		p.bar.IncrBy(n)
	}
}

// done ends the bar, finished or not.
func (p *progress) done() {
	if p.bar == nil {
		return
	}
	if !p.bar.Completed() {
		p.bar.Abort(false)
	}
	p.p.Wait()
	p.bar = nil
}

// note prints a line above the bar.
func (p *progress) note(w io.Writer, line string) {
	if p.bar != nil {
		w = p.p
	}
	notes.Lock()
	defer notes.Unlock()
	fmt.Fprintln(w, line)
}

var notes sync.Mutex
