package db_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var things = fstest.MapFS{"00001_thing.sql": {Data: []byte(`-- +goose Up
CREATE TABLE thing (
	id TEXT NOT NULL PRIMARY KEY, -- 'a ? in a comment'
	n BIGINT NOT NULL,
	body BLOB
) WITHOUT ROWID;
-- +goose Down
DROP TABLE thing;
`)}}

func each(t *testing.T, test func(t *testing.T, d *db.DB)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if err := d.Migrate(t.Context(), "things", things); err != nil {
			t.Fatal(err)
		}
		test(t, d)
	})
}

func add(d *db.DB, id string, n int64) error {
	return d.Write(context.Background(), func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO thing (id, n, body) VALUES (?, ?, ?)`, id, n, []byte(id))
		return err
	})
}

func TestWriteThenRead(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		// ASCII order, not a language's: upper case comes first on both engines.
		for i, id := range []string{"b", "a?", "B", "é", "Z"} {
			if err := add(d, id, int64(i)); err != nil {
				t.Fatal(err)
			}
		}
		rows, err := d.Query(t.Context(), `SELECT id, body FROM thing WHERE id <> '?' AND n >= ? ORDER BY id`, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var got []string
		for rows.Next() {
			var id string
			var body []byte
			if err := rows.Scan(&id, &body); err != nil {
				t.Fatal(err)
			}
			if id != string(body) {
				t.Errorf("body %q of %q", body, id)
			}
			got = append(got, id)
		}
		if s := strings.Join(got, " "); s != "B Z a? b é" {
			t.Errorf("order is %s", s)
		}
		var n int64
		if err := d.QueryRow(t.Context(), `SELECT n FROM thing WHERE id = ?`, "nothing").Scan(&n); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("absent row: %v", err)
		}
		if err := d.Migrate(t.Context(), "things", things); err != nil {
			t.Errorf("migrating again: %v", err)
		}
	})
}

func TestErrorsHoldNoValue(t *testing.T) {
	const secret = "DOE^JANE"
	each(t, func(t *testing.T, d *db.DB) {
		if err := add(d, secret, 1); err != nil {
			t.Fatal(err)
		}
		var n int64
		for name, c := range map[string]struct {
			err  error
			kind fault.Kind
		}{
			"duplicate": {add(d, secret, 2), fault.Conflict},
			"scan":      {d.QueryRow(t.Context(), `SELECT id FROM thing`).Scan(&n), fault.Internal},
			"no table":  {d.QueryRow(t.Context(), `SELECT 1 FROM nowhere WHERE id = ?`, secret).Scan(&n), fault.Internal},
			"convert":   {d.QueryRow(t.Context(), `SELECT n FROM thing WHERE n = ?`, struct{ s string }{secret}).Scan(&n), fault.Internal},
		} {
			if c.err == nil {
				t.Errorf("%s: no error", name)
			} else if strings.Contains(c.err.Error(), "DOE") || strings.Contains(c.err.Error(), "JANE") {
				t.Errorf("%s: the error shows the value", name)
			} else if fault.KindOf(c.err) != c.kind {
				t.Errorf("%s: kind %v: %v", name, fault.KindOf(c.err), c.err)
			}
		}
		if d.Engine() == db.PostgreSQL {
			err := d.QueryRow(t.Context(), `SELECT CAST(id AS BIGINT) FROM thing`).Scan(&n)
			if err == nil || strings.Contains(err.Error(), "DOE") {
				t.Error("a failed cast is accepted or shows the value")
			}
		}
	})
}

func TestWriteIsAllOrNothing(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		gone := errors.New("gone")
		count := func() (n int64) {
			if err := d.QueryRow(context.Background(), `SELECT COUNT(*) FROM thing`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			if _, err := tx.Exec(`INSERT INTO thing (id, n) VALUES (?, ?)`, "x", 1); err != nil {
				return err
			}
			return gone
		})
		if !errors.Is(err, gone) || count() != 0 {
			t.Errorf("after an error: %v, %d rows", err, count())
		}
		func() {
			defer func() { recover() }()
			d.Write(t.Context(), func(tx *db.Tx) error {
				tx.Exec(`INSERT INTO thing (id, n) VALUES (?, ?)`, "x", 1)
				panic("fell")
			})
		}()
		if count() != 0 {
			t.Error("a panic committed")
		}
		ctx, cancel := context.WithCancel(t.Context())
		err = d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO thing (id, n) VALUES (?, ?)`, "x", 1)
			cancel()
			return err
		})
		if !errors.Is(err, context.Canceled) || count() != 0 {
			t.Errorf("after a cancel: %v, %d rows", err, count())
		}
		if err := add(d, "x", 1); err != nil || count() != 1 {
			t.Errorf("afterwards: %v, %d rows", err, count())
		}
		// A query error within the transaction leaves nothing behind either.
		err = d.Write(t.Context(), func(tx *db.Tx) error {
			if _, err := tx.Exec(`UPDATE thing SET n = 5`); err != nil {
				return err
			}
			_, err := tx.Exec(`INSERT INTO thing (id, n) VALUES (?, ?)`, "x", 1)
			return err
		})
		var n int64
		d.QueryRow(t.Context(), `SELECT n FROM thing WHERE id = ?`, "x").Scan(&n)
		if !fault.Is(err, fault.Conflict) || n != 1 {
			t.Errorf("after a conflict: %v, n %d", err, n)
		}
	})
}

// Two handles stand for two processes: a node and a command beside it.
func TestCounterOfManyWriters(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, address string) {
		var handles [2]*db.DB
		var wg sync.WaitGroup
		for i := range handles {
			handles[i] = dbtest.Open(t, address)
			wg.Go(func() {
				if err := handles[i].Migrate(context.Background(), "things", things); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := add(handles[0], "sum", 0); err != nil {
			t.Fatal(err)
		}
		const writers, rounds = 4, 25
		for w := range writers {
			d := handles[w%2]
			wg.Go(func() {
				for range rounds {
					err := d.Write(context.Background(), func(tx *db.Tx) error {
						if err := tx.Lock("sum"); err != nil {
							return err
						}
						var n int64
						if err := tx.QueryRow(`SELECT n FROM thing WHERE id = ?`, "sum").Scan(&n); err != nil {
							return err
						}
						_, err := tx.Exec(`UPDATE thing SET n = ? WHERE id = ?`, n+1, "sum")
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var n int64
		if err := handles[0].QueryRow(t.Context(), `SELECT n FROM thing WHERE id = ?`, "sum").Scan(&n); err != nil || n != writers*rounds {
			t.Errorf("sum is %d (%v)", n, err)
		}
	})
}

func TestDeadlockIsTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		if d.Engine() != db.PostgreSQL {
			t.Skip("SQLite's writers follow one another")
		}
		add(d, "a", 0)
		add(d, "b", 0)
		var wg, first sync.WaitGroup
		first.Add(2)
		for _, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
			wg.Go(func() {
				met := false
				err := d.Write(context.Background(), func(tx *db.Tx) error {
					for i, id := range order {
						if _, err := tx.Exec(`UPDATE thing SET n = n + 1 WHERE id = ?`, id); err != nil {
							return err
						}
						if i == 0 && !met {
							met = true
							first.Done()
							first.Wait()
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var n int64
		if d.QueryRow(t.Context(), `SELECT SUM(n) FROM thing`).Scan(&n); n != 4 {
			t.Errorf("sum is %d", n)
		}
	})
}

func TestSnapshotStaysAndCannotWrite(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		add(d, "a", 1)
		err := d.Snapshot(t.Context(), func(tx *db.Tx) error {
			var before, after int64
			if err := tx.QueryRow(`SELECT COUNT(*) FROM thing`).Scan(&before); err != nil {
				return err
			}
			if err := add(d, "b", 1); err != nil {
				return err
			}
			if err := tx.QueryRow(`SELECT COUNT(*) FROM thing`).Scan(&after); err != nil {
				return err
			}
			if before != after {
				t.Errorf("saw %d, then %d", before, after)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		err = d.Snapshot(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(`DELETE FROM thing`); return err })
		if err == nil {
			t.Error("a snapshot wrote")
		}
	})
}

func TestStatementsAreBounded(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 400 {
					var n int64
					text := `SELECT COUNT(*) FROM thing WHERE n <> ? ` + strings.Repeat(" ", i+w)
					if err := d.QueryRow(context.Background(), text, i).Scan(&n); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		for i := range 300 {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(`DELETE FROM thing WHERE n = ? `+strings.Repeat(" ", i), i)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestFilesAreTheOwners(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	d := dbtest.Open(t, "sqlite:"+filepath.Join(dir, "a.db"), db.Durable, db.SecureDelete)
	if err := d.Migrate(t.Context(), "things", things); err != nil {
		t.Fatal(err)
	}
	if err := add(d, "MARKER-OF-A-DELETED-ROW", 1); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(`DELETE FROM thing`); return err }); err != nil {
		t.Fatal(err)
	}
	if err := d.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(dir)
	if err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v %v", fi.Mode(), err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) < 3 {
		t.Errorf("only %d files", len(entries))
	}
	for _, e := range entries {
		if fi, err := e.Info(); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), fi.Mode(), err)
		}
		if b, _ := os.ReadFile(filepath.Join(dir, e.Name())); strings.Contains(string(b), "MARKER-OF") {
			t.Errorf("%s still holds what was deleted", e.Name())
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, address := range []string{"", "mysql://x", "sqlite:", "postgres://user:hunter2@%zz/", "postgres://user:hunter2@127.0.0.1:1/x?connect_timeout=2"} {
		d, err := db.Open(t.Context(), address)
		if err == nil {
			d.Close()
			t.Errorf("%q opened", address)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Error("the error shows the password")
		}
	}
	file := filepath.Join(t.TempDir(), "not.db")
	os.WriteFile(file, []byte(strings.Repeat("this is not a database ", 100)), 0o600)
	if _, err := db.Open(t.Context(), "sqlite:"+file); !fault.Is(err, fault.Corrupt) {
		t.Errorf("another file: %v", err)
	}
}

func TestSignalsComeWithTheCommit(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		woken := func(c <-chan struct{}) bool {
			select {
			case <-c:
				return true
			default:
				return false
			}
		}
		c, other := d.Signalled("a"), d.Signalled("b")
		d.Write(t.Context(), func(tx *db.Tx) error { tx.Signal("a"); return errors.New("no") })
		if woken(c) {
			t.Error("signalled without a commit")
		}
		d.Write(t.Context(), func(tx *db.Tx) error {
			tx.Signal("a")
			if woken(c) {
				t.Error("signalled before the commit")
			}
			return nil
		})
		if !woken(c) || woken(other) || woken(d.Signalled("a")) {
			t.Error("the signal did not come, or came to others")
		}
	})
}

func TestTimes(t *testing.T) {
	now := time.Now()
	if got := db.Time(db.Micros(now)); !got.Equal(now.Truncate(time.Microsecond)) || got.Location() != time.UTC {
		t.Errorf("%v became %v", now, got)
	}
}

func BenchmarkWriteRow(b *testing.B) {
	d := dbtest.SQLite(b)
	if err := d.Migrate(b.Context(), "things", things); err != nil {
		b.Fatal(err)
	}
	for i := range b.N / 50 {
		d.Write(b.Context(), func(tx *db.Tx) error {
			for j := range 50 {
				if _, err := tx.Exec(`INSERT INTO thing (id, n, body) VALUES (?, ?, ?)`, db.Micros(time.Now())*100+int64(j), i, []byte("body")); err != nil {
					b.Fatal(err)
				}
			}
			return nil
		})
	}
}

// Sync has something to do while the log is there, and nothing before or after.
func TestSync(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if err := d.Sync(); err != nil {
			t.Error(err)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(`CREATE TABLE synced (id BIGINT)`); return err }); err != nil {
			t.Fatal(err)
		}
		if err := d.Sync(); err != nil {
			t.Error(err)
		}
	})
}
