package db

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Tables written as a stream and read into an empty database; the format is in docs/formats/backup.md. It is the same of both engines.

const (
	tablesMagic = "vitrine tables 1\n"
	maxValue    = 1 << 30 // of one text or of one column's bytes
	maxColumns  = 1000
)

const (
	valueNone = iota
	valueInteger
	valueText
	valueBytes
)

// Written says what a stream of tables holds.
type Written struct {
	Versions map[string]int64 // of the rooms' migrations
	Rows     map[string]int64 // by table
}

// Export is what WriteTables leaves out, and who is shown what it writes.
type Export struct {
	Rooms    []string // of these rooms; nil: of all but NotRooms
	NotRooms []string
	Tables   []string // these tables; nil: all that migrations made, but Except
	Except   []string

	// Row, if not nil, is shown each row of a table; it keeps nothing of it.
	Row func(table string, columns []string, values []any) error
}

// WriteTables writes tables as a snapshot sees them, while others go on writing.
func (d *DB) WriteTables(ctx context.Context, to io.Writer, x Export) (w Written, err error) {
	err = d.Snapshot(ctx, func(tx *Tx) error {
		w, err = tx.writeTables(to, x)
		return err
	})
	return w, err
}

// tables lists the tables that migrations made, with their columns. A table of a type that no migration has (a full-text index) is made by who uses it, and is not among them.
func (tx *Tx) tables() (map[string][]string, error) {
	query := `SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\'
		AND NOT EXISTS (SELECT 1 FROM sqlite_master v WHERE v.sql LIKE 'CREATE VIRTUAL TABLE%' AND (m.name = v.name OR m.name LIKE v.name || '\_%' ESCAPE '\')) ORDER BY m.name, c.cid`
	if tx.Engine() == PostgreSQL {
		query = `SELECT table_name, column_name FROM information_schema.columns c WHERE table_schema = current_schema()
			AND NOT EXISTS (SELECT 1 FROM information_schema.columns o WHERE o.table_schema = c.table_schema AND o.table_name = c.table_name AND o.data_type = 'tsvector')
			ORDER BY table_name, ordinal_position`
	}
	rows, err := tx.Query(query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return nil, Fault("read names of tables", err)
		}
		if !strings.HasPrefix(table, "goose_") {
			all[table] = append(all[table], column)
		}
	}
	return all, Fault("read names of tables", rows.Err())
}

// versions are those of the rooms' migrations.
func (tx *Tx) versions() (map[string]int64, error) {
	query := `SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'goose\_%' ESCAPE '\' ORDER BY name`
	if tx.Engine() == PostgreSQL {
		query = `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_name LIKE 'goose\_%' ORDER BY table_name`
	}
	rows, err := tx.Query(query)
	if err != nil {
		return nil, err
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			rows.Close()
			return nil, Fault("read names of rooms", err)
		}
		names = append(names, name)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, Fault("read names of rooms", err)
	}
	all := map[string]int64{}
	for _, name := range names {
		room, _ := strings.CutPrefix(name, "goose_")
		for i := range len(room) {
			if !isWord(room[i]) {
				return nil, fault.New(fault.Corrupt, "read versions of tables", "", "a room has a name that no room has")
			}
		}
		var v int64
		if err := tx.QueryRow(`SELECT COALESCE(MAX(version_id), 0) FROM ` + name).Scan(&v); err != nil {
			return nil, err
		}
		all[room] = v
	}
	return all, nil
}

type tableWriter struct {
	b    *bufio.Writer
	sum  hash.Hash
	item []byte
}

func (w *tableWriter) flush() error {
	w.sum.Write(w.item)
	_, err := w.b.Write(w.item)
	w.item = w.item[:0]
	return err
}

func (w *tableWriter) text(s string) {
	w.item = binary.AppendUvarint(w.item, uint64(len(s)))
	w.item = append(w.item, s...)
}

func (w *tableWriter) value(v any) error {
	switch v := v.(type) {
	case nil:
		w.item = append(w.item, valueNone)
	case int64:
		w.item = binary.AppendVarint(append(w.item, valueInteger), v)
	case string:
		w.item = append(w.item, valueText)
		w.text(v)
	case []byte:
		w.item = append(w.item, valueBytes)
		w.item = binary.AppendUvarint(w.item, uint64(len(v)))
		w.item = append(w.item, v...)
	default:
		return fault.New(fault.Internal, "write tables", "", fmt.Sprintf("a column gives %T", v))
	}
	return nil
}

func (tx *Tx) writeTables(to io.Writer, x Export) (Written, error) {
	out := Written{Versions: map[string]int64{}, Rows: map[string]int64{}}
	versions, err := tx.versions()
	if err != nil {
		return out, err
	}
	tables, err := tx.tables()
	if err != nil {
		return out, err
	}
	w := &tableWriter{b: bufio.NewWriterSize(to, 256<<10), sum: sha256.New()}
	w.item = append(w.item, tablesMagic...)
	for _, room := range slices.Sorted(maps.Keys(versions)) {
		if x.Rooms != nil && !slices.Contains(x.Rooms, room) || slices.Contains(x.NotRooms, room) {
			continue
		}
		w.item = append(w.item, 'V')
		w.text(room)
		w.item = binary.AppendUvarint(w.item, uint64(versions[room]))
		out.Versions[room] = versions[room]
	}
	names := slices.Sorted(maps.Keys(tables))
	if x.Tables != nil {
		names = slices.Clone(x.Tables)
		sort.Strings(names)
	}
	var total uint64
	for _, name := range names {
		if slices.Contains(x.Except, name) {
			continue
		}
		columns, ok := tables[name]
		if !ok {
			return out, fault.New(fault.Internal, "write tables", name, "there is no such table")
		}
		w.item = append(w.item, 'T')
		w.text(name)
		w.item = binary.AppendUvarint(w.item, uint64(len(columns)))
		for _, c := range columns {
			w.text(c)
		}
		if err := w.flush(); err != nil {
			return out, err
		}
		n, err := tx.writeRows(w, name, columns, x.Row)
		if err != nil {
			return out, err
		}
		out.Rows[name] = n
		total += uint64(n)
	}
	w.item = binary.AppendUvarint(append(w.item, 'E'), total)
	if err := w.flush(); err != nil {
		return out, err
	}
	if _, err := w.b.Write(w.sum.Sum(nil)); err != nil {
		return out, err
	}
	return out, w.b.Flush()
}

func quoted(names []string) string { return `"` + strings.Join(names, `", "`) + `"` }

func (tx *Tx) writeRows(w *tableWriter, name string, columns []string, show func(string, []string, []any) error) (n int64, err error) {
	rows, err := tx.Query(`SELECT ` + quoted(columns) + ` FROM "` + name + `"`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	values, dest := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		dest[i] = &values[i]
	}
	for rows.Next() {
		if err := tx.ctx.Err(); err != nil {
			return n, err
		}
		if err := rows.Scan(dest...); err != nil {
			return n, Fault("write tables", err)
		}
		w.item = append(w.item, 'R')
		for _, v := range values {
			if err := w.value(v); err != nil {
				return n, err
			}
		}
		if show != nil {
			if err := show(name, columns, values); err != nil {
				return n, err
			}
		}
		if err := w.flush(); err != nil {
			return n, err
		}
		n++
	}
	return n, Fault("write tables", rows.Err())
}

// tableReader reads items of a stream.
type tableReader struct {
	b   *bufio.Reader
	sum hash.Hash
	one [1]byte
}

// ReadByte reads a byte and hashes it.
func (r *tableReader) ReadByte() (byte, error) {
	b, err := r.b.ReadByte()
	if err == nil {
		r.one[0] = b
		r.sum.Write(r.one[:])
	}
	return b, err
}

func (r *tableReader) bytes(limit uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, errTables
	}
	// No more is made room for than comes.
	var b []byte
	for uint64(len(b)) < n {
		k := min(n-uint64(len(b)), 1<<20)
		at := len(b)
		b = slices.Grow(b, int(k))[:at+int(k)]
		if _, err := io.ReadFull(r.b, b[at:]); err != nil {
			return nil, err
		}
	}
	if b == nil {
		b = []byte{}
	}
	r.sum.Write(b)
	return b, nil
}

func (r *tableReader) name() (string, error) {
	b, err := r.bytes(200)
	if err != nil {
		return "", err
	}
	for _, c := range b {
		if !isWord(c) {
			return "", errTables
		}
	}
	if len(b) == 0 {
		return "", errTables
	}
	return string(b), nil
}

func (r *tableReader) value() (any, error) {
	kind, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	switch kind {
	case valueNone:
		return nil, nil
	case valueInteger:
		return binary.ReadVarint(r)
	case valueText:
		b, err := r.bytes(maxValue)
		return string(b), err
	case valueBytes:
		return r.bytes(maxValue)
	}
	return nil, errTables
}

var errTables = errors.New("it is no stream of tables")

// Tables is a stream of tables that is being read.
type Tables struct {
	Versions map[string]int64 // of the rooms that it has tables of
	r        *tableReader
	next     byte // kind of the item after the versions
}

// ReadTables reads the beginning of a stream.
func ReadTables(from io.Reader) (*Tables, error) {
	t := &Tables{Versions: map[string]int64{}, r: &tableReader{b: bufio.NewReaderSize(from, 256<<10), sum: sha256.New()}}
	magic := make([]byte, len(tablesMagic))
	if _, err := io.ReadFull(t.r.b, magic); err != nil {
		return nil, streamFault(err)
	}
	t.r.sum.Write(magic)
	if string(magic) != tablesMagic {
		return nil, streamFault(errTables)
	}
	for {
		var err error
		if t.next, err = t.r.ReadByte(); err != nil {
			return nil, streamFault(err)
		}
		if t.next != 'V' {
			return t, nil
		}
		room, err := t.r.name()
		if err != nil {
			return nil, streamFault(err)
		}
		v, err := binary.ReadUvarint(t.r)
		if err != nil || v > 1<<31 {
			return nil, streamFault(errors.Join(err, errTables))
		}
		t.Versions[room] = int64(v)
	}
}

func streamFault(err error) error {
	const attempt = "read tables"
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Corrupt, attempt, "", "the stream ends too early")
	}
	return fault.Wrap(fault.Corrupt, attempt, "", err)
}

// Load puts the rows into the tables of a database, in place of what is there, all or nothing; check, which may be nil, sees the database before it is kept. The tables have to be those of the
// stream's versions: [AtVersions] makes them so.
func (t *Tables) Load(ctx context.Context, d *DB, check func(*Tx, Written) error) (w Written, err error) {
	once := false
	err = d.Write(ctx, func(tx *Tx) error {
		if once {
			return fault.New(fault.Unavailable, "load tables", "", "another process writes to the database: nothing may use it while it is restored")
		}
		once = true
		if w, err = t.load(tx); err != nil {
			return err
		}
		if check != nil {
			return check(tx, w)
		}
		return nil
	})
	return w, err
}

func (t *Tables) load(tx *Tx) (Written, error) {
	w := Written{Versions: t.Versions, Rows: map[string]int64{}}
	tables, err := tx.tables()
	if err != nil {
		return w, err
	}
	in := &inserter{tx: tx}
	var total uint64
	for kind := t.next; ; {
		switch kind {
		case 'T':
			if err := in.flush(); err != nil {
				return w, err
			}
			if in.table, err = t.r.name(); err != nil {
				return w, streamFault(err)
			}
			if err := t.columns(in, tables[in.table]); err != nil {
				return w, err
			}
			if _, twice := w.Rows[in.table]; twice {
				return w, streamFault(errTables)
			}
			w.Rows[in.table] = 0
			if _, err := tx.Exec(`DELETE FROM "` + in.table + `"`); err != nil {
				return w, err
			}
		case 'R':
			if in.columns == nil {
				return w, streamFault(errTables)
			}
			for range in.columns {
				v, err := t.r.value()
				if err != nil {
					return w, streamFault(err)
				}
				in.values = append(in.values, v)
			}
			if err := in.added(); err != nil {
				return w, err
			}
			w.Rows[in.table]++
			total++
		case 'E':
			n, err := binary.ReadUvarint(t.r)
			if err != nil || n != total {
				return w, streamFault(errors.Join(err, errTables))
			}
			var sum [sha256.Size]byte
			if _, err := io.ReadFull(t.r.b, sum[:]); err != nil {
				return w, streamFault(err)
			}
			if sum != [sha256.Size]byte(t.r.sum.Sum(nil)) {
				return w, fault.New(fault.Corrupt, "read tables", "", "its digest differs")
			}
			if _, err := t.r.b.ReadByte(); !errors.Is(err, io.EOF) {
				return w, streamFault(errTables)
			}
			return w, in.flush()
		default:
			return w, streamFault(errTables)
		}
		if kind, err = t.r.ReadByte(); err != nil {
			return w, streamFault(err)
		}
	}
}

func (t *Tables) columns(in *inserter, have []string) error {
	n, err := binary.ReadUvarint(t.r)
	if err != nil || n == 0 || n > maxColumns {
		return streamFault(errors.Join(err, errTables))
	}
	in.columns = nil
	for range n {
		c, err := t.r.name()
		if err != nil {
			return streamFault(err)
		}
		in.columns = append(in.columns, c)
	}
	want, got := slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(in.columns))
	if !slices.Equal(want, got) {
		return fault.New(fault.Corrupt, "load tables", in.table, "this program's tables of that version have other columns")
	}
	return nil
}

// inserter puts rows into a table many at a time.
type inserter struct {
	tx      *Tx
	table   string
	columns []string
	values  []any
	held    int64 // bytes
}

// PostgreSQL takes 65,535 parameters, SQLite 32,766.
const maxParameters = 16_000

func (in *inserter) added() error {
	for _, v := range in.values[len(in.values)-len(in.columns):] {
		switch v := v.(type) {
		case string:
			in.held += int64(len(v))
		case []byte:
			in.held += int64(len(v))
		}
	}
	if len(in.values)+len(in.columns) > min(maxParameters, 200*len(in.columns)) || in.held > 4<<20 {
		return in.flush()
	}
	return nil
}

func (in *inserter) flush() error {
	if len(in.values) == 0 {
		return nil
	}
	row := "(?" + strings.Repeat(", ?", len(in.columns)-1) + ")"
	query := `INSERT INTO "` + in.table + `" (` + quoted(in.columns) + `) VALUES ` + row + strings.Repeat(", "+row, len(in.values)/len(in.columns)-1)
	_, err := in.tx.Exec(query, in.values...)
	clear(in.values)
	in.values, in.held = in.values[:0], 0
	return err
}

// AtVersions makes each [DB.Migrate] leave a room's tables as they were at a version, those of a room that is not named unmade, and then say [ErrTablesOnly]. It is for
// reading old tables in: the rooms' own functions make them, and nothing is done with them yet.
func AtVersions(versions map[string]int64) Option {
	return func(o *options) { o.at = versions }
}

// ErrTablesOnly is what Migrate says of a database that was opened with [AtVersions], once the tables are there.
var ErrTablesOnly = errors.New("the tables are made, and nothing else")

// Unmade are the rooms that AtVersions named and that nobody made.
func (d *DB) Unmade() []string {
	var all []string
	for room := range d.at {
		if _, ok := d.made.Load(room); !ok {
			all = append(all, room)
		}
	}
	sort.Strings(all)
	return all
}

// Empty reports whether no table is in the database.
func (d *DB) Empty(ctx context.Context) (empty bool, err error) {
	err = d.Snapshot(ctx, func(tx *Tx) error {
		all, err := tx.tables()
		if err != nil {
			return err
		}
		versions, err := tx.versions()
		empty = len(all) == 0 && len(versions) == 0
		return err
	})
	return empty, err
}

// Clear drops every table that is there: what a restore that did not end has left.
func (d *DB) Clear(ctx context.Context) error {
	return d.Write(ctx, func(tx *Tx) error {
		query := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY sql LIKE 'CREATE VIRTUAL%' DESC`
		if tx.Engine() == PostgreSQL {
			query = `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'`
		}
		rows, err := tx.Query(query)
		if err != nil {
			return err
		}
		names, err := texts(rows)
		if err != nil {
			return err
		}
		for _, name := range names {
			if _, err := tx.Exec(`DROP TABLE IF EXISTS "` + name + `"`); err != nil {
				return err
			}
		}
		return nil
	})
}

func texts(rows *sql.Rows) ([]string, error) {
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, Fault("read names", err)
		}
		all = append(all, s)
	}
	return all, Fault("read names", rows.Err())
}
