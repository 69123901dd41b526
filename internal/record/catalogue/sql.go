package catalogue

import (
	"database/sql"
	"strings"
	"sync"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
)

// Statements for many rows at once come in sizes that are powers of two, so that few texts are prepared and each is used often.
const (
	maxRows = 64  // of one INSERT
	maxList = 256 // of one IN list
)

var texts sync.Map // insertKey -> text

type insertKey struct {
	head, tail string
	columns, n int
}

// insertText is head, n groups of placeholders, tail.
func insertText(head, tail string, columns, n int) string {
	k := insertKey{head, tail, columns, n}
	if t, ok := texts.Load(k); ok {
		return t.(string)
	}
	group := "(?" + strings.Repeat(", ?", columns-1) + ")"
	t := head + " VALUES " + group + strings.Repeat(", "+group, n-1) + tail
	texts.Store(k, t) // heads, tails and sizes are constants of this package: the map is bounded
	return t
}

// insertRows writes rows of the same number of values, that follow one another in args.
func insertRows(tx *db.Tx, head, tail string, columns int, args []any) error {
	for len(args) > 0 {
		n := maxRows
		for n*columns > len(args) {
			n /= 2
		}
		if _, err := tx.Exec(insertText(head, tail, columns, n), args[:n*columns]...); err != nil {
			return err
		}
		args = args[n*columns:]
	}
	return nil
}

// inList is "(?, ?, ...)" for the values, which are padded with the last of them to a power of two.
func inList[T any](values []T) (string, []any) {
	n := 1
	for n < len(values) {
		n *= 2
	}
	args := make([]any, n)
	for i := range args {
		args[i] = any(values[min(i, len(values)-1)])
	}
	return "(?" + strings.Repeat(", ?", n-1) + ")", args
}

// querier is what reads: a transaction, or the pool.
type querier func(query string, args ...any) (*sql.Rows, error)

// inChunks runs a query that ends in "IN " once for as many values as a list takes, and gives each row to scan.
func inChunks[T any](q querier, query string, values []T, scan func(*sql.Rows) error) error {
	for len(values) > 0 {
		n := min(len(values), maxList)
		list, args := inList(values[:n])
		if err := forRows(q, query+list, args, scan); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

func forRows(q querier, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := q(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return db.Fault("read catalogue", err)
		}
	}
	return db.Fault("read catalogue", rows.Err())
}
