package db_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

func thingFiles(later bool) fstest.MapFS {
	fsys := fstest.MapFS{"00001_thing.sql": {Data: []byte("-- +goose Up\nCREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT NOT NULL, raw BLOB, empty BLOB NOT NULL);\nCREATE TABLE head (one BIGINT PRIMARY KEY, size BIGINT NOT NULL);\nINSERT INTO head VALUES (1, 0);\n")}}
	if later {
		fsys["00002_more.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nALTER TABLE thing ADD COLUMN more TEXT NOT NULL DEFAULT 'since then';\n")}
	}
	return fsys
}

// dumped is a stream of a database with some rows, as the first version of its tables has them.
func dumped(t *testing.T, address string, rows int) ([]byte, db.Written) {
	t.Helper()
	d := dbtest.Open(t, address)
	if err := d.Migrate(t.Context(), "thing", thingFiles(false)); err != nil {
		t.Fatal(err)
	}
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		for i := range rows {
			var raw any
			if i%2 == 0 {
				raw = []byte{0, byte(i), 255}
			}
			if _, err := tx.Exec(`INSERT INTO thing (id, name, raw, empty) VALUES (?, ?, ?, ?)`, int64(i)-3, strings.Repeat("ä'\n", i%5), raw, []byte{}); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`UPDATE head SET size = ?`, int64(rows))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := d.WriteTables(t.Context(), &out, db.Export{})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), w
}

func load(ctx context.Context, t *testing.T, address string, stream []byte) (*db.DB, error) {
	t.Helper()
	in, err := db.ReadTables(bytes.NewReader(stream))
	if err != nil {
		return nil, err
	}
	d := dbtest.Open(t, address, db.AtVersions(in.Versions))
	if err := d.Migrate(ctx, "thing", thingFiles(true)); !errors.Is(err, db.ErrTablesOnly) {
		t.Fatalf("migrating to a version says %v", err)
	}
	if err := d.Migrate(ctx, "other", thingFiles(true)); !errors.Is(err, db.ErrTablesOnly) {
		t.Fatalf("a room that is not named: %v", err)
	}
	if left := d.Unmade(); len(left) != 0 {
		t.Fatalf("unmade: %q", left)
	}
	_, err = in.Load(ctx, d, nil)
	return d, err
}

// What is written from either database is the same, and comes back in either, with the tables of then; a later program brings them up to date.
func TestTablesThereAndBack(t *testing.T) {
	const rows = 1003
	streams := map[string][]byte{}
	for from, address := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLiteURL, "postgresql": dbtest.PostgresURL} {
		t.Run("from "+from, func(t *testing.T) {
			stream, w := dumped(t, address(t), rows)
			streams[from] = stream
			if w.Rows["thing"] != rows || w.Rows["head"] != 1 || w.Versions["thing"] != 1 || len(w.Rows) != 2 {
				t.Fatalf("written: %+v", w)
			}
			dbtest.EachURL(t, func(t *testing.T, to string) {
				d, err := load(t.Context(), t, to, stream)
				if err != nil {
					t.Fatal(err)
				}
				var again bytes.Buffer
				if _, err := d.WriteTables(t.Context(), &again, db.Export{}); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(again.Bytes(), stream) {
					t.Error("what was read in is not what was written")
				}
				later := dbtest.Open(t, to)
				if err := later.Migrate(t.Context(), "thing", thingFiles(true)); err != nil {
					t.Fatal(err)
				}
				var n int64
				if err := later.QueryRow(t.Context(), `SELECT COUNT(*) FROM thing WHERE more = 'since then'`).Scan(&n); err != nil || n != rows {
					t.Errorf("%d rows brought up to date, %v", n, err)
				}
			})
		})
	}
	if a, b := streams["sqlite"], streams["postgresql"]; a != nil && b != nil && !bytes.Equal(a, b) {
		t.Error("the two databases write differently")
	}
}

func TestDamagedTablesAreNotLoaded(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, address string) {
		stream, _ := dumped(t, dbtest.SQLiteURL(t), 40)
		for name, bad := range map[string][]byte{
			"cut off":         stream[:len(stream)-40],
			"without digest":  stream[:len(stream)-1],
			"more behind":     append(bytes.Clone(stream), 0),
			"a byte changed":  flip(stream, len(stream)/2),
			"nothing":         nil,
			"another version": append([]byte("vitrine tables 2\n"), stream[17:]...),
		} {
			in, err := db.ReadTables(bytes.NewReader(bad))
			if err == nil {
				d := dbtest.Open(t, address, db.AtVersions(in.Versions))
				if merr := d.Migrate(t.Context(), "thing", thingFiles(false)); !errors.Is(merr, db.ErrTablesOnly) {
					t.Fatal(merr)
				}
				_, err = in.Load(t.Context(), d, nil)
				var n int64
				if qerr := d.QueryRow(t.Context(), `SELECT COUNT(*) FROM thing`).Scan(&n); qerr != nil || n != 0 {
					t.Errorf("%s: %d rows were kept, %v", name, n, qerr)
				}
			}
			if !fault.Is(err, fault.Corrupt) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func TestClearAndEmpty(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, address string) {
		d := dbtest.Open(t, address)
		empty := func() bool {
			ok, err := d.Empty(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		if !empty() {
			t.Error("a fresh database is not empty")
		}
		if err := d.Migrate(t.Context(), "thing", thingFiles(true)); err != nil {
			t.Fatal(err)
		}
		if empty() {
			t.Error("a database with tables is empty")
		}
		if err := d.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !empty() {
			t.Error("a cleared database is not empty")
		}
	})
}

func FuzzReadTables(f *testing.F) {
	f.Add([]byte("vitrine tables 1\nV\x05thing\x01T\x05thing\x01\x02idR\x01\x02E\x01"))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = db.ReadTables(bytes.NewReader(b)) })
}
