package directory

import (
	"context"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/ident"
)

// What people wrote about a collection is searched by the database: FTS5 on SQLite, tsvector on PostgreSQL. The two tables have nothing in common but their
// name, so they are made here and not by a migration; everything in them can be made again from the entries.

// textVersion changes whenever an entry would be indexed otherwise than before.
const textVersion = 1

func (f *Finder) makeText(ctx context.Context) error {
	return f.d.Write(ctx, func(tx *db.Tx) error {
		if err := tx.Lock("directory text"); err != nil {
			return err
		}
		statements := []string{`CREATE VIRTUAL TABLE IF NOT EXISTS directory_words USING fts5 (title, about, rest, content = '', contentless_delete = 1, tokenize = 'porter unicode61')`}
		if tx.Engine() == db.PostgreSQL {
			statements = []string{`CREATE TABLE IF NOT EXISTS directory_words (id BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)`,
				`CREATE INDEX IF NOT EXISTS directory_words_index ON directory_words USING GIN (words)`}
		}
		for _, s := range statements {
			if _, err := tx.Exec(s); err != nil {
				return err
			}
		}
		var version int64
		if err := tx.QueryRow(`SELECT version FROM directory_text_state WHERE one = 1`).Scan(&version); err != nil || version == textVersion {
			return err
		}
		for _, s := range []string{`DELETE FROM directory_words`, `DELETE FROM directory_text`} {
			if _, err := tx.Exec(s); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`UPDATE directory_text_state SET change = 0, version = ? WHERE one = 1`, int64(textVersion))
		return err
	})
}

// indexText brings the text up to what is published now, a page of entries at a time.
func (f *Finder) indexText(ctx context.Context) error {
	for {
		var after int64
		if err := f.d.QueryRow(ctx, `SELECT change FROM directory_text_state WHERE one = 1`).Scan(&after); err != nil {
			return err
		}
		changed, err := f.entries.Changes(ctx, after, 500)
		if err != nil || len(changed) == 0 {
			return err
		}
		err = f.d.Write(ctx, func(tx *db.Tx) error {
			if err := tx.Lock("directory text"); err != nil {
				return err
			}
			var now int64
			if err := tx.QueryRow(`SELECT change FROM directory_text_state WHERE one = 1`).Scan(&now); err != nil || now != after {
				return err // another process was faster
			}
			for i := range changed {
				if err := writeText(tx, &changed[i]); err != nil {
					return err
				}
			}
			_, err := tx.Exec(`UPDATE directory_text_state SET change = ? WHERE one = 1`, changed[len(changed)-1].Change)
			return err
		})
		if err != nil {
			return err
		}
	}
}

func writeText(tx *db.Tx, s *Stored) error {
	fresh, err := ident.New()
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO directory_text (id, entry, change) VALUES (?, ?, ?) ON CONFLICT (entry) DO UPDATE SET change = excluded.change`, fresh, string(s.ID), s.Change); err != nil {
		return err
	}
	var id int64
	if err := tx.QueryRow(`SELECT id FROM directory_text WHERE entry = ?`, string(s.ID)).Scan(&id); err != nil {
		return err
	}
	remove, add := `DELETE FROM directory_words WHERE rowid = ?`, `INSERT INTO directory_words (rowid, title, about, rest) VALUES (?, ?, ?, ?)`
	if tx.Engine() == db.PostgreSQL {
		remove = `DELETE FROM directory_words WHERE id = ?`
		add = `INSERT INTO directory_words (id, words) VALUES (?, setweight(to_tsvector('english', CAST(? AS TEXT)), 'A') || setweight(to_tsvector('english', CAST(? AS TEXT)), 'B')
			|| to_tsvector('english', CAST(? AS TEXT)))`
	}
	if _, err := tx.Exec(remove, id); err != nil || s.State != Published {
		return err
	}
	title, about, rest := texts3(s)
	_, err = tx.Exec(add, id, title, about, rest)
	return err
}

// texts3 is what is searched of an entry, weighty first.
func texts3(s *Stored) (title, about, rest string) {
	e := &s.Entry
	join := func(parts ...string) string { return folded(strings.Join(parts, " \n")) }
	title = join(append([]string{e.Title, e.Acronym, string(s.ID)}, e.Aliases...)...)
	about = join(append([]string{e.Abstract, e.Custodian.Name}, e.Keywords...)...)
	more := []string{e.Description, e.Lead.Name, e.Lead.Institution, e.DOI, e.Access.How, e.DataUse.Note}
	for _, n := range e.Networks {
		more = append(more, n.Name)
	}
	for _, g := range e.Funding {
		more = append(more, g.Funder, g.Number, g.Title)
	}
	for _, p := range e.Publications {
		more = append(more, p.Title, p.DOI)
	}
	for _, c := range e.Conditions {
		more = append(more, c.Value)
	}
	more = append(more, e.Scanners...)
	rest = join(more...)
	return title, about, rest
}

// folded is text in small letters without accents.
func folded(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case r == 0:
			return ' '
		}
		return unicode.ToLower(r)
	}, norm.NFKD.String(s))
}

// wordsOf are the words of a text, as the databases part them.
func wordsOf(s string) []string {
	return strings.FieldsFunc(folded(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// stopWords say nothing by themselves; PostgreSQL does not index them.
var stopWords = func() map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(`a an and any are as at be been by can did do does for from had has have he her his how i if in into is it its me my no not of on or our out she so some
		such than that the their them then there these they this those to too up was we were what when where which while who whom why will with you your`) {
		m[w] = true
	}
	return m
}()

// textHits are the numbers of the texts that have all the words, the last of them perhaps only its beginning.
func (f *Finder) textHits(ctx context.Context, words []string) ([]int64, error) {
	var query strings.Builder
	n := 0
	for i, w := range words {
		if stopWords[w] || len(w) > 60 {
			continue
		}
		if f.d.Engine() == db.PostgreSQL {
			if n > 0 {
				query.WriteString(" & ")
			}
			query.WriteString(w)
			if i == len(words)-1 && len(w) >= 3 {
				query.WriteString(":*")
			}
		} else {
			query.WriteString(`"` + w + `" `)
			if i == len(words)-1 && len(w) >= 3 {
				query.WriteString("* ")
			}
		}
		n++
	}
	if n == 0 {
		return nil, nil
	}
	text := `SELECT rowid FROM directory_words WHERE directory_words MATCH ?`
	if f.d.Engine() == db.PostgreSQL {
		text = `SELECT id FROM directory_words WHERE words @@ to_tsquery('english', ?)`
	}
	rows, err := f.d.Query(ctx, text, query.String())
	if err != nil {
		return nil, fault.Wrap(fault.KindOf(err), "search directory", "", err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, db.Fault("search directory", err)
		}
		ids = append(ids, id)
	}
	return ids, db.Fault("search directory", rows.Err())
}
