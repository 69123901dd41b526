package audit

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
)

// Search chooses entries, the latest first. Empty fields choose all.
type Search struct {
	Actor, Action, Object, Outcome, Collection string
	Node                                       bool // those of no collection
	Since, Until                               time.Time
	Before                                     int64 // only entries below this number; 0: from the end
	After                                      int64 // only entries from this number on, and of them the first Limit
	Limit                                      int   // 0: 100
}

// Found are entries that fit, the latest first.
type Found struct {
	Entries []Logged
	// Reached is the lowest number that was looked at (the highest, with After): looking stops when the page is full, or after a while.
	Reached int64
	More    bool // there are entries beyond Reached that were not looked at
}

// The columns that are searched have no index but the collection's: entries are many, and searches few. So they are looked through in stretches, for no longer than
// somebody can be let wait; who asked goes on from there.
const (
	stretch = 20_000
	lookFor = 400 * time.Millisecond
)

// Search looks for entries.
func (l *Log) Search(ctx context.Context, s Search) (Found, error) {
	var f Found
	size, err := l.Size(ctx)
	if err != nil {
		return f, err
	}
	if s.Limit <= 0 {
		s.Limit = 100
	}
	low, high := int64(0), size
	if !s.Since.IsZero() {
		if low, err = l.firstAt(ctx, s.Since, size); err != nil {
			return f, err
		}
	}
	if !s.Until.IsZero() {
		if high, err = l.firstAt(ctx, s.Until, size); err != nil {
			return f, err
		}
	}
	if s.Before > 0 {
		high = min(high, s.Before)
	}
	begun := time.Now()
	if s.After > 0 {
		at := max(low, s.After)
		for at < high && len(f.Entries) < s.Limit && time.Since(begun) < lookFor {
			to := min(high, at+stretch)
			page, err := l.fitting(ctx, s, at, to, s.Limit-len(f.Entries), ` ORDER BY seq`)
			if err != nil {
				return f, err
			}
			f.Entries = append(f.Entries, page...)
			at = to
		}
		if n := len(f.Entries); n == s.Limit {
			at = f.Entries[n-1].Seq + 1
		}
		for i, j := 0, len(f.Entries)-1; i < j; i, j = i+1, j-1 {
			f.Entries[i], f.Entries[j] = f.Entries[j], f.Entries[i]
		}
		f.Reached, f.More = at, at < high
		return f, nil
	}
	at := high
	for at > low && len(f.Entries) < s.Limit && time.Since(begun) < lookFor {
		from := max(low, at-stretch)
		page, err := l.fitting(ctx, s, from, at, s.Limit-len(f.Entries), ` ORDER BY seq DESC`)
		if err != nil {
			return f, err
		}
		f.Entries = append(f.Entries, page...)
		at = from
	}
	if n := len(f.Entries); n == s.Limit {
		at = f.Entries[n-1].Seq
	}
	f.Reached, f.More = at, at > low
	return f, nil
}

func (l *Log) fitting(ctx context.Context, s Search, from, to int64, limit int, order string) ([]Logged, error) {
	query, args := columns+` WHERE seq >= ? AND seq < ?`, []any{from, to}
	for _, c := range []struct{ column, value string }{{"actor", s.Actor}, {"action", s.Action}, {"object", s.Object}, {"outcome", s.Outcome}, {"collection", s.Collection}} {
		if c.value != "" {
			query, args = query+` AND `+c.column+` = ?`, append(args, c.value)
		}
	}
	if s.Node {
		query += ` AND collection = ''`
	}
	rows, err := l.d.Query(ctx, query+order+` LIMIT ?`, append(args, int64(limit))...)
	if err != nil {
		return nil, err
	}
	return scanAll(rows)
}

// firstAt is the number of the first entry that is not before a moment. Entries are in the order of their time, but for clocks that were set back.
func (l *Log) firstAt(ctx context.Context, t time.Time, size int64) (int64, error) {
	low, high := int64(0), size
	for low < high {
		mid := (low + high) / 2
		var at int64
		if err := l.d.QueryRow(ctx, `SELECT at FROM audit WHERE seq = ?`, mid).Scan(&at); err != nil {
			if errors.Is(err, sql.ErrNoRows) {
				return 0, missing(mid)
			}
			return 0, err
		}
		if at < db.Micros(t) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, nil
}

// Actions are the actions among the latest entries, for who has to choose from them.
func (l *Log) Actions(ctx context.Context, among int64) ([]string, error) {
	size, err := l.Size(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := l.d.Query(ctx, `SELECT DISTINCT action FROM audit WHERE seq >= ? ORDER BY action`, max(0, size-among))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var a string
		if err := rows.Scan(&a); err != nil {
			return nil, db.Fault("read audit log", err)
		}
		all = append(all, a)
	}
	return all, db.Fault("read audit log", rows.Err())
}

// Latest is the last entry of an action among those at the end of the log.
func (l *Log) Latest(ctx context.Context, action string, among int64) (Logged, bool, error) {
	size, err := l.Size(ctx)
	if err != nil {
		return Logged{}, false, err
	}
	all, err := l.fitting(ctx, Search{Action: action}, max(0, size-among), size, 1, ` ORDER BY seq DESC`)
	if err != nil || len(all) == 0 {
		return Logged{}, false, err
	}
	return all[0], true, nil
}

// LatestGood is Latest among the entries whose outcome is "done".
func (l *Log) LatestGood(ctx context.Context, action string, among int64) (Logged, bool, error) {
	size, err := l.Size(ctx)
	if err != nil {
		return Logged{}, false, err
	}
	all, err := l.fitting(ctx, Search{Action: action, Outcome: "done"}, max(0, size-among), size, 1, ` ORDER BY seq DESC`)
	if err != nil || len(all) == 0 {
		return Logged{}, false, err
	}
	return all[0], true, nil
}

// Signed is the checkpoint that was signed last.
type Signed struct {
	Size int64
	Note string
	At   time.Time
}

// LastSigned is the last checkpoint; false if there is none.
func (l *Log) LastSigned(ctx context.Context) (Signed, bool, error) {
	var s Signed
	var at int64
	err := l.d.QueryRow(ctx, `SELECT size, note, at FROM audit_checkpoint ORDER BY size DESC LIMIT 1`).Scan(&s.Size, &s.Note, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return s, false, nil
	}
	s.At = db.Time(at)
	return s, err == nil, err
}
