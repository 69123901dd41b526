package pull

import (
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// window is when a pull may run: "22:00-06:00 mon-fri,sun". The days are those on which it opens. The zero value is always.
type window struct {
	from, to int // minutes of the day; equal: all of it
	days     [7]bool
	given    bool
}

var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func parseWindow(s string) (w window, err error) {
	fields := strings.Fields(strings.ToLower(s))
	if len(fields) == 0 {
		return w, nil
	}
	bad := fault.New(fault.Invalid, "read hours", "", "hours are as 22:00-06:00, or 22:00-06:00 mon-fri,sun, by the node's clock")
	if len(fields) > 2 {
		return w, bad
	}
	from, to, ok := strings.Cut(fields[0], "-")
	if !ok {
		return w, bad
	}
	if w.from, ok = minutes(from); !ok {
		return w, bad
	}
	if w.to, ok = minutes(to); !ok {
		return w, bad
	}
	w.given = true
	if len(fields) == 1 {
		w.days = [7]bool{true, true, true, true, true, true, true}
		return w, nil
	}
	for part := range strings.SplitSeq(fields[1], ",") {
		first, last, ranged := strings.Cut(part, "-")
		a, ok := weekday(first)
		if !ok {
			return w, bad
		}
		b := a
		if ranged {
			if b, ok = weekday(last); !ok {
				return w, bad
			}
		}
		for d := a; ; d = (d + 1) % 7 {
			w.days[d] = true
			if d == b {
				break
			}
		}
	}
	return w, nil
}

func minutes(s string) (int, bool) {
	h, m, ok := strings.Cut(s, ":")
	if !ok {
		m = "0"
	}
	hh, err1 := strconv.Atoi(h)
	mm, err2 := strconv.Atoi(m)
	if err1 != nil || err2 != nil || hh < 0 || hh > 24 || mm < 0 || mm > 59 || hh == 24 && mm != 0 {
		return 0, false
	}
	return hh%24*60 + mm, true
}

func weekday(s string) (int, bool) {
	for i, d := range weekdays {
		if s == d {
			return i, true
		}
	}
	return 0, false
}

// open says until when it is open; the zero time if it is not.
func (w window) open(now time.Time) time.Time {
	if !w.given {
		return now.Add(24 * time.Hour)
	}
	for back := range 2 {
		if from, to, ok := w.on(now.AddDate(0, 0, -back)); ok && !now.Before(from) && now.Before(to) {
			return to
		}
	}
	return time.Time{}
}

// next is when it opens next.
func (w window) next(now time.Time) time.Time {
	for ahead := range 9 {
		if from, _, ok := w.on(now.AddDate(0, 0, ahead)); ok && from.After(now) {
			return from
		}
	}
	return now.Add(24 * time.Hour) // a window opens on one day of the week at least
}

// on is the window that opens on a day.
func (w window) on(day time.Time) (from, to time.Time, ok bool) {
	if !w.days[int(day.Weekday())] {
		return from, to, false
	}
	y, m, d := day.Date()
	from = time.Date(y, m, d, w.from/60, w.from%60, 0, 0, day.Location())
	if w.to <= w.from {
		d++
	}
	return from, time.Date(y, m, d, w.to/60, w.to%60, 0, 0, day.Location()), true
}
