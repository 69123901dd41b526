package db

import "testing"

func TestNumber(t *testing.T) {
	for in, want := range map[string]string{
		`SELECT 1`:                        `SELECT 1`,
		`a = ? AND b IN (?,?)`:            `a = $1 AND b IN ($2,$3)`,
		`a = '?' AND b = ?`:               `a = '?' AND b = $1`,
		`a = 'it''s ?' AND "c?" = ?`:      `a = 'it''s ?' AND "c?" = $1`,
		"-- why?\na = ? /* and? */ AND ?": "-- why?\na = $1 /* and? */ AND $2",
		`'open ?`:                         `'open ?`,
		`?1`:                              `$11`,
	} {
		if got := number(in); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestDialect(t *testing.T) {
	for in, want := range map[string]string{
		`a BLOB, b blob, c TEXT NOT NULL`:        `a BYTEA, b BYTEA, c TEXT COLLATE "C" NOT NULL`,
		`blobs 'BLOB' "TEXT" -- BLOB`:            `blobs 'BLOB' "TEXT" -- BLOB`,
		`CAST(n AS TEXT)`:                        `CAST(n AS TEXT)`,
		`id INTEGER PRIMARY KEY`:                 `id BIGINT PRIMARY KEY`,
		"CREATE TABLE x (a TEXT) WITHOUT ROWID;": "CREATE TABLE x (a TEXT COLLATE \"C\") ;",
		`WITHOUT TIME ZONE`:                      `WITHOUT TIME ZONE`,
	} {
		if got := dialect(in); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}
