// Package db opens the two databases that Vitrine keeps its records in: SQLite, embedded, for one machine, and PostgreSQL beyond it.
//
// One SQL text serves both. Placeholders are `?`; integers are BIGINT, times BIGINT microseconds UTC (see [Micros]), truth values BIGINT 0 or 1, bytes
// BLOB, everything else TEXT, compared by bytes. Identifiers are made by the application; nothing counts by itself.
//
//	d, err := db.Open(ctx, "sqlite:/srv/vitrine/catalogue.db")
//	err = d.Migrate(ctx, "catalogue", migrations)
//	err = d.Write(ctx, func(tx *db.Tx) error {
//		_, err := tx.Exec(`INSERT INTO study (uid, created) VALUES (?, ?)`, uid, db.Micros(time.Now()))
//		return err
//	})
//
// What it promises: a Write is all or nothing; on SQLite writes of this and other processes follow one another, on PostgreSQL a transaction that lost
// a race is run again; errors carry a kind of package fault and never a value out of a row or a statement. Files are readable by their owner alone.
//
// What it does not do: it has no query builder and maps no rows to structs, and it does not hide that PostgreSQL runs transactions side by side:
// whoever reads before writing takes [Tx.Lock] or writes so that a unique constraint decides.
package db

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	_ "modernc.org/sqlite"             // driver "sqlite"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Engine is the kind of database behind a DB.
type Engine int

// The engines.
const (
	SQLite Engine = iota + 1
	PostgreSQL
)

func (e Engine) String() string {
	switch e {
	case SQLite:
		return "sqlite"
	case PostgreSQL:
		return "postgresql"
	}
	return "no engine"
}

const (
	readConns     = 8                // of SQLite: readers of a WAL do not wait for one another
	postgresConns = 24               // of one process; PostgreSQL's default allows 100 in all
	busyTimeout   = 15 * time.Second // how long a write waits for another process's write
)

// DB is an open database. It is safe for use by many goroutines.
type DB struct {
	engine Engine
	path   string // of the SQLite file
	pool   *sql.DB
	reads  statements // of pool, on SQLite
	texts  sync.Map   // SQL text -> rewritten text, on PostgreSQL
	nTexts atomic.Int64

	signals signals

	at   map[string]int64 // versions that migrations stop at; nil: the newest
	made sync.Map         // of at: the rooms that were made

	// On SQLite, one connection writes. writing is held while it does; conn and its statements are touched by the holder alone.
	writing  chan struct{}
	writer   *sql.DB
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
}

// Option changes how Open opens an SQLite database; PostgreSQL's server decides such things itself.
type Option func(*options)

type options struct {
	synchronous string
	secure      bool
	at          map[string]int64 // see AtVersions
}

// Durable makes each Write reach stable storage before it returns. Without it, a power cut may take the last writes of an SQLite database (never its
// consistency): enough for what is replayed from elsewhere.
func Durable(o *options) { o.synchronous = "FULL" }

// SecureDelete overwrites what is deleted. The write-ahead log keeps old pages until [DB.Checkpoint].
func SecureDelete(o *options) { o.secure = true }

// Open opens "sqlite:/path/to/file.db" (created if absent) or "postgres://user@host/name".
func Open(ctx context.Context, address string, opts ...Option) (*DB, error) {
	o := options{synchronous: "NORMAL"}
	for _, f := range opts {
		f(&o)
	}
	switch {
	case strings.HasPrefix(address, "sqlite:"):
		return openSQLite(ctx, strings.TrimPrefix(strings.TrimPrefix(address, "sqlite:"), "//"), o)
	case strings.HasPrefix(address, "postgres://"), strings.HasPrefix(address, "postgresql://"):
		return openPostgres(ctx, address, o)
	}
	return nil, fault.New(fault.Invalid, "open database", "", `the address begins neither with "sqlite:" nor with "postgres://"`)
}

func openSQLite(ctx context.Context, path string, o options) (_ *DB, err error) {
	if path == "" {
		return nil, fault.New(fault.Invalid, "open database", "", "the address names no file")
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fault.Wrap(fault.Invalid, "open database", "", err)
	}
	// SQLite gives its log and its shared memory the permissions of the database file.
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "open database", "", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "open database", "", err)
	}
	if err := f.Close(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "open database", "", err)
	}
	q := url.Values{}
	// The first pragma counts: the others may have to wait for another process's lock.
	q.Add("_pragma", "busy_timeout("+strconv.FormatInt(busyTimeout.Milliseconds(), 10)+")")
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous("+o.synchronous+")")
	q.Add("_pragma", "foreign_keys(1)")
	q.Add("_pragma", "temp_store(MEMORY)") // sorts are never spilled in clear to /tmp
	if o.secure {
		q.Add("_pragma", "secure_delete(1)")
	}
	writeURL := (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()
	q.Add("_pragma", "query_only(1)")
	readURL := (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()

	d := &DB{engine: SQLite, path: path, at: o.at, writing: make(chan struct{}, 1), prepared: map[string]*sql.Stmt{}}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if d.writer, err = sql.Open("sqlite", writeURL); err != nil {
		return nil, Fault("open database", err)
	}
	d.writer.SetMaxOpenConns(1)
	d.writer.SetConnMaxLifetime(0)
	if err := d.writer.PingContext(ctx); err != nil {
		return nil, Fault("open database", err)
	}
	if d.pool, err = sql.Open("sqlite", readURL); err != nil {
		return nil, Fault("open database", err)
	}
	d.pool.SetMaxOpenConns(readConns)
	d.pool.SetMaxIdleConns(readConns)
	if err := d.pool.PingContext(ctx); err != nil {
		return nil, Fault("open database", err)
	}
	return d, nil
}

func openPostgres(ctx context.Context, address string, o options) (*DB, error) {
	pool, err := sql.Open("pgx", address)
	if err != nil {
		// The driver's error repeats the address, and with it a password.
		return nil, fault.New(fault.Invalid, "open database", "", "the address of PostgreSQL cannot be parsed")
	}
	pool.SetMaxOpenConns(postgresConns)
	pool.SetMaxIdleConns(postgresConns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	if err := pool.PingContext(ctx); err != nil {
		pool.Close()
		return nil, Fault("open database", err)
	}
	return &DB{engine: PostgreSQL, pool: pool, at: o.at}, nil
}

// Engine says which database this is.
func (d *DB) Engine() Engine { return d.engine }

// Close waits for a running Write and closes every connection.
func (d *DB) Close() error {
	var errs []error
	if d.writing != nil {
		d.writing <- struct{}{}
		defer func() { <-d.writing }()
		d.dropWriter()
	}
	d.reads.close()
	if d.pool != nil {
		errs = append(errs, d.pool.Close())
	}
	if d.writer != nil { // last, so that SQLite folds the log into the database
		errs = append(errs, d.writer.Close())
	}
	return Fault("close database", errors.Join(errs...))
}

// Sync makes what was written until now reach stable storage, where the database was opened without [Durable]. On PostgreSQL a commit does so.
func (d *DB) Sync() error {
	if d.engine != SQLite {
		return nil
	}
	// What is no longer in the log was synced on its way from there to the database.
	f, err := os.OpenFile(d.path+"-wal", os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, "sync database", "", err)
	}
	return nil
}

// Checkpoint folds SQLite's write-ahead log into the database and empties it, so that nothing deleted under [SecureDelete] is left there. On
// PostgreSQL it does nothing.
func (d *DB) Checkpoint(ctx context.Context) error {
	if d.engine != SQLite {
		return nil
	}
	return d.withWriter(ctx, func(conn *sql.Conn) error {
		var busy, log, done int64
		err := conn.QueryRowContext(context.WithoutCancel(ctx), `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &log, &done)
		if err != nil {
			return Fault("checkpoint database", err)
		}
		if busy != 0 {
			return fault.New(fault.Unavailable, "checkpoint database", "", "a reader still needs the write-ahead log")
		}
		return nil
	})
}

// Size is how many bytes the database takes.
func (d *DB) Size(ctx context.Context) (n int64, err error) {
	query := `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`
	if d.engine == PostgreSQL {
		query = `SELECT pg_database_size(current_database())`
	}
	err = d.QueryRow(ctx, query).Scan(&n)
	return n, err
}

// Query runs a query outside any transaction. Its arguments, like those of Tx, are int64, float64, string, []byte, nil or a type that database/sql
// converts to one of them. The rows' own errors are made presentable by [Fault].
func (d *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	var rows *sql.Rows
	var err error
	if d.engine == PostgreSQL {
		rows, err = d.pool.QueryContext(ctx, d.rewrite(query), args...)
	} else {
		var s *statement
		if s, err = d.reads.get(ctx, d.pool, query); err == nil {
			rows, err = s.stmt.QueryContext(ctx, args...)
			d.reads.put(s)
		}
	}
	if err != nil {
		return nil, Fault("query database", err)
	}
	return rows, nil
}

// QueryRow runs a query that gives at most one row.
func (d *DB) QueryRow(ctx context.Context, query string, args ...any) *Row {
	rows, err := d.Query(ctx, query, args...)
	return &Row{rows: rows, err: err}
}

// Row is the one row of a QueryRow.
type Row struct {
	rows *sql.Rows
	err  error
}

// Scan copies the columns out. Without a row the error is sql.ErrNoRows.
func (r *Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return Fault("query database", err)
		}
		return sql.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return Fault("read row", err)
	}
	return Fault("query database", r.rows.Close())
}

// Micros is how a time is kept: microseconds since 1970 UTC.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// Time is the time kept as Micros, in UTC.
func Time(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
