package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Tx is a transaction. It belongs to the goroutine of the function it was given to and ends with it. Rows of a query are read to their end or closed
// before the next statement: PostgreSQL answers one at a time.
type Tx struct {
	ctx  context.Context // the caller's; statements of a write run to their end
	d    *DB
	conn *sql.Conn // SQLite's writer
	tx   *sql.Tx   // everything else

	signals []string // sent when it commits
}

// maxAttempts bounds how often PostgreSQL may tell a transaction that it lost a race.
const maxAttempts = 12

// Write runs fn in a transaction and commits it if fn returns nil. On PostgreSQL fn may run more than once: it changes nothing but the database, or
// sets anew what it changes. A Write within a Write waits for itself for ever on SQLite.
func (d *DB) Write(ctx context.Context, fn func(tx *Tx) error) error {
	if d.engine == SQLite {
		return d.withWriter(ctx, func(conn *sql.Conn) error { return d.writeSQLite(ctx, conn, fn) })
	}
	for attempt := 1; ; attempt++ {
		err := d.transact(ctx, nil, fn)
		if err == nil || !isRace(err) || attempt == maxAttempts {
			return err
		}
		// Losers of the same race come back at different times.
		pause := time.NewTimer(time.Duration(rand.Int64N(int64(attempt) * int64(4*time.Millisecond))))
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// Snapshot runs fn in a transaction that sees the database as it is now and changes nothing.
func (d *DB) Snapshot(ctx context.Context, fn func(tx *Tx) error) error {
	o := &sql.TxOptions{ReadOnly: true}
	if d.engine == PostgreSQL {
		o.Isolation = sql.LevelRepeatableRead
	}
	return d.transact(ctx, o, fn)
}

func (d *DB) transact(ctx context.Context, o *sql.TxOptions, fn func(tx *Tx) error) error {
	tx, err := d.pool.BeginTx(ctx, o)
	if err != nil {
		return Fault("begin transaction", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing; after a panic it frees the connection
	t := &Tx{ctx: ctx, d: d, tx: tx}
	if err := fn(t); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return Fault("commit transaction", err)
	}
	d.signals.send(t.signals)
	return nil
}

// withWriter runs fn while it holds SQLite's one writing connection.
func (d *DB) withWriter(ctx context.Context, fn func(*sql.Conn) error) error {
	select {
	case d.writing <- struct{}{}:
	default:
		select {
		case d.writing <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { <-d.writing }()
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.conn == nil {
		conn, err := d.writer.Conn(ctx)
		if err != nil {
			return Fault("open database for writing", err)
		}
		d.conn = conn
	}
	err := fn(d.conn)
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		d.dropWriter()
	}
	return err
}

func (d *DB) dropWriter() {
	for text, s := range d.prepared {
		s.Close()
		delete(d.prepared, text)
	}
	if d.conn != nil {
		d.conn.Close()
		d.conn = nil
	}
}

func (d *DB) writeSQLite(ctx context.Context, conn *sql.Conn, fn func(*Tx) error) (err error) {
	// A connection whose statement is interrupted is thrown away by the driver, so a statement of a write is never interrupted: the context is looked
	// at between statements.
	lasting := context.WithoutCancel(ctx)
	tx := &Tx{ctx: ctx, d: d, conn: conn}
	if _, err := tx.exec(lasting, `BEGIN IMMEDIATE`); err != nil {
		return Fault("begin transaction", err)
	}
	open := true
	defer func() {
		if !open {
			return
		}
		if _, rerr := tx.exec(lasting, `ROLLBACK`); rerr != nil {
			// SQLite may have rolled back by itself (a full disk); a new connection is certain to hold no transaction.
			d.dropWriter()
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := tx.exec(lasting, `COMMIT`); err != nil {
		return Fault("commit transaction", err)
	}
	open = false
	d.signals.send(tx.signals)
	return nil
}

// Signal wakes, once the transaction has committed, those of this process who wait for that name.
func (tx *Tx) Signal(name string) { tx.signals = append(tx.signals, name) }

// Signalled gives a channel that is closed at the next signal of that name. Other processes' signals do not reach it.
func (d *DB) Signalled(name string) <-chan struct{} { return d.signals.next(name) }

type signals struct {
	mu      sync.Mutex
	waiting map[string]chan struct{}
}

func (s *signals) next(name string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.waiting[name]
	if !ok {
		if s.waiting == nil {
			s.waiting = map[string]chan struct{}{}
		}
		c = make(chan struct{})
		s.waiting[name] = c
	}
	return c
}

func (s *signals) send(names []string) {
	if len(names) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if c, ok := s.waiting[name]; ok {
			close(c)
			delete(s.waiting, name)
		}
	}
}

// Context is the context of the Write or Snapshot.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Engine says which database this is.
func (tx *Tx) Engine() Engine { return tx.d.engine }

// Exec runs a statement.
func (tx *Tx) Exec(query string, args ...any) (sql.Result, error) {
	if err := tx.ctx.Err(); err != nil {
		return nil, err
	}
	var r sql.Result
	var err error
	if tx.conn != nil {
		r, err = tx.exec(context.WithoutCancel(tx.ctx), query, args...)
	} else {
		r, err = tx.tx.ExecContext(tx.ctx, tx.d.rewrite(query), args...)
	}
	if err != nil {
		return nil, Fault("write to database", err)
	}
	return r, nil
}

// Query runs a query.
func (tx *Tx) Query(query string, args ...any) (*sql.Rows, error) {
	if err := tx.ctx.Err(); err != nil {
		return nil, err
	}
	var rows *sql.Rows
	var err error
	if tx.conn != nil {
		var s *sql.Stmt
		if s, err = tx.prepare(context.WithoutCancel(tx.ctx), query); err == nil {
			rows, err = s.QueryContext(context.WithoutCancel(tx.ctx), args...)
		}
	} else {
		rows, err = tx.tx.QueryContext(tx.ctx, tx.d.rewrite(query), args...)
	}
	if err != nil {
		return nil, Fault("query database", err)
	}
	return rows, nil
}

// QueryRow runs a query that gives at most one row.
func (tx *Tx) QueryRow(query string, args ...any) *Row {
	rows, err := tx.Query(query, args...)
	return &Row{rows: rows, err: err}
}

// Lock waits until no other transaction holds the lock of that name, and holds it until this one ends. SQLite's writers follow one another anyway.
func (tx *Tx) Lock(name string) error {
	if tx.d.engine != PostgreSQL {
		return nil
	}
	h := fnv.New64a()
	h.Write([]byte("vitrine " + name))
	_, err := tx.Exec(`SELECT pg_advisory_xact_lock(?)`, int64(h.Sum64()))
	return err
}

func (tx *Tx) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := tx.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

func (tx *Tx) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	d := tx.d
	if s, ok := d.prepared[query]; ok {
		return s, nil
	}
	s, err := tx.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if len(d.prepared) >= maxStatements {
		// One goes, whichever the map gives first: hot texts come back at the cost of one preparation. Open rows keep their own hold on it.
		for text, old := range d.prepared {
			old.Close()
			delete(d.prepared, text)
			break
		}
	}
	d.prepared[query] = s
	return s, nil
}

// isRace recognises what PostgreSQL asks to be tried again.
func isRace(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Reason == reasonRace
}
