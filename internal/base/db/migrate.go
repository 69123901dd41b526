package db

import (
	"context"
	"io/fs"
	"os"
	"strings"
	"testing/fstest"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"golang.org/x/sys/unix"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Migrate brings the tables of one room up to date. fsys holds goose files (00001_name.sql with "-- +goose Up" and portable SQL); the versions that
// were applied stand in the table goose_<room>. Processes that start together migrate one after the other.
func (d *DB) Migrate(ctx context.Context, room string, fsys fs.FS) error {
	attempt := "migrate tables of " + room
	for i := 0; i < len(room); i++ {
		if !isWord(room[i]) {
			return fault.New(fault.Invalid, attempt, "", "a room's name is letters, digits and underscores")
		}
	}
	if _, named := d.at[room]; d.at != nil && !named {
		return ErrTablesOnly
	}
	opts := []goose.ProviderOption{goose.WithTableName("goose_" + room), goose.WithDisableGlobalRegistry(true)}
	if d.engine == PostgreSQL {
		text, err := postgresText(fsys)
		if err != nil {
			return fault.Wrap(fault.Internal, attempt, "", err)
		}
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return fault.Wrap(fault.Internal, attempt, "", err)
		}
		p, err := goose.NewProvider(goose.DialectPostgres, d.pool, text, append(opts, goose.WithSessionLocker(locker))...)
		if err != nil {
			return fault.Wrap(fault.Internal, attempt, "", err)
		}
		return d.up(ctx, p, room, attempt)
	}

	// SQLite has no lock that outlives a transaction, so processes take turns on a file beside the database.
	turn, err := os.OpenFile(d.path+".migrate", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fault.Wrap(fault.Unavailable, attempt, "", err)
	}
	defer turn.Close()
	if err := unix.Flock(int(turn.Fd()), unix.LOCK_EX); err != nil {
		return fault.Wrap(fault.Unavailable, attempt, "", err)
	}
	select {
	case d.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.writing }()
	d.dropWriter() // goose wants the pool, and the pool has one connection
	d.writer.SetMaxOpenConns(2)
	defer d.writer.SetMaxOpenConns(1)
	p, err := goose.NewProvider(goose.DialectSQLite3, d.writer, fsys, opts...)
	if err != nil {
		return fault.Wrap(fault.Internal, attempt, "", err)
	}
	return d.up(ctx, p, room, attempt)
}

func (d *DB) up(ctx context.Context, p *goose.Provider, room, attempt string) error {
	if d.at == nil {
		_, err := p.Up(ctx)
		return fault.Wrap(fault.Unavailable, attempt, "", err)
	}
	if _, err := p.UpTo(ctx, d.at[room]); err != nil {
		return fault.Wrap(fault.Unavailable, attempt, "", err)
	}
	now, err := p.GetDBVersion(ctx)
	if err != nil {
		return fault.Wrap(fault.Unavailable, attempt, "", err)
	}
	if now != d.at[room] {
		return fault.New(fault.Invalid, attempt, "", "they were written by a later version of this program than this one: use that one")
	}
	d.made.Store(room, true)
	return ErrTablesOnly
}

// postgresText is fsys with the text of its migrations in PostgreSQL's dialect.
func postgresText(fsys fs.FS) (fs.FS, error) {
	out := fstest.MapFS{}
	err := fs.WalkDir(fsys, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".sql") {
			return err
		}
		text, err := fs.ReadFile(fsys, path)
		if err != nil {
			return err
		}
		out[path] = &fstest.MapFile{Data: []byte(dialect(string(text))), Mode: 0o400}
		return nil
	})
	return out, err
}
