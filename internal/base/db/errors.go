package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

const reasonRace = "another transaction changed the same rows; try again"

// Fault gives a database's error its kind and takes out of it whatever may be a value of a row: PostgreSQL quotes values that it cannot convert, and
// database/sql those that it cannot scan. nil, sql.ErrNoRows, errors of the context and faults stay what they are; a lost connection stays
// recognisable to errors.Is.
func Fault(attempt string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	var done *fault.Error
	if errors.As(err, &done) {
		return err
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return faultSQLite(attempt, lite)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return faultPostgres(attempt, pg)
	}
	switch {
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone):
		return &fault.Error{Kind: fault.Unavailable, Attempt: attempt, Err: err}
	case strings.HasPrefix(err.Error(), "sql: database is closed"):
		return fault.New(fault.Unavailable, attempt, "", "the database is closed")
	case strings.HasPrefix(err.Error(), "sql: Scan error"), strings.HasPrefix(err.Error(), "sql: converting"):
		return fault.New(fault.Internal, attempt, "", "a column or an argument has another type than the statement expects")
	case strings.HasPrefix(err.Error(), "sql: "):
		return &fault.Error{Kind: fault.Internal, Attempt: attempt, Err: err}
	}
	if strings.Contains(err.Error(), "failed to encode args") {
		return fault.New(fault.Internal, attempt, "", "an argument has another type than the statement expects")
	}
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return fault.New(fault.Internal, attempt, "", "a statement failed before, so the transaction was rolled back")
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return fault.New(fault.Unavailable, attempt, "", "PostgreSQL cannot be reached")
	}
	if pgconn.Timeout(err) || pgconn.SafeToRetry(err) {
		return fault.New(fault.Unavailable, attempt, "", "the connection to PostgreSQL failed")
	}
	// What is left may quote anything.
	return fault.New(fault.Unavailable, attempt, "", "the database driver failed")
}

func faultSQLite(attempt string, err *sqlite.Error) error {
	// SQLite's messages name tables and columns, never values; statements are constants of the program.
	kind := fault.Internal
	switch err.Code() & 0xff {
	case lib.SQLITE_CONSTRAINT:
		kind = fault.Conflict
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, lib.SQLITE_INTERRUPT, lib.SQLITE_NOMEM:
		kind = fault.Unavailable
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		kind = fault.Corrupt
	case lib.SQLITE_TOOBIG:
		kind = fault.TooLarge
	}
	return &fault.Error{Kind: kind, Attempt: attempt, Err: err}
}

func faultPostgres(attempt string, err *pgconn.PgError) error {
	f := &fault.Error{Kind: fault.Internal, Attempt: attempt, Object: err.TableName, Reason: "PostgreSQL refused with SQLSTATE " + err.Code}
	switch err.Code {
	case "40001", "40P01": // serialization failure, deadlock
		f.Kind, f.Reason = fault.Unavailable, reasonRace
		return f
	}
	switch err.Code[:min(2, len(err.Code))] {
	case "23": // integrity constraints
		f.Kind, f.Reason = fault.Conflict, "constraint "+err.ConstraintName+" is violated (SQLSTATE "+err.Code+")"
	case "42": // syntax and names: the message quotes the program's own text
		f.Reason = err.Message + " (SQLSTATE " + err.Code + ")"
	case "08", "53", "57", "58": // connection, resources, shutdown, input and output
		f.Kind, f.Reason = fault.Unavailable, "the database cannot answer now (SQLSTATE "+err.Code+")"
	case "54":
		f.Kind = fault.TooLarge
	case "XX":
		f.Kind = fault.Corrupt
	}
	return f
}
