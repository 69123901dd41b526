package db

import (
	"strconv"
	"strings"
)

// rewrite is the text as PostgreSQL takes it, remembered. The driver keeps the statement prepared under it.
func (d *DB) rewrite(query string) string {
	if t, ok := d.texts.Load(query); ok {
		return t.(string)
	}
	t := number(query)
	if d.nTexts.Add(1) <= 4*maxStatements {
		d.texts.Store(query, t)
	}
	return t
}

// number replaces each ? outside of strings, quoted names and comments by $1, $2 and so on.
func number(query string) string {
	if !strings.Contains(query, "?") {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 16)
	n := 0
	for i := 0; i < len(query); {
		j := skip(query, i)
		if j > i {
			b.WriteString(query[i:j])
			i = j
			continue
		}
		if query[i] == '?' {
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
		} else {
			b.WriteByte(query[i])
		}
		i++
	}
	return b.String()
}

// skip is the end of the string, quoted name or comment that begins at i, or i.
func skip(s string, i int) int {
	end := func(from int, mark string) int {
		if k := strings.Index(s[from:], mark); k >= 0 {
			return from + k + len(mark)
		}
		return len(s)
	}
	switch {
	case s[i] == '\'' || s[i] == '"': // a doubled quote is the end of one string and the start of the next
		return end(i+1, s[i:i+1])
	case strings.HasPrefix(s[i:], "--"):
		return end(i, "\n")
	case strings.HasPrefix(s[i:], "/*"):
		return end(i+2, "*/")
	}
	return i
}

// dialect turns the portable text of a migration into PostgreSQL's: BLOB is BYTEA, TEXT compares by bytes as in SQLite (but not as the target of a
// cast), INTEGER PRIMARY KEY, which in SQLite makes a column the row's own number, is a BIGINT one, and WITHOUT ROWID has no meaning there.
func dialect(text string) string {
	var b strings.Builder
	b.Grow(len(text) + len(text)/4)
	previous := ""
	for i := 0; i < len(text); {
		if j := skip(text, i); j > i {
			b.WriteString(text[i:j])
			i = j
			continue
		}
		if !isWord(text[i]) {
			b.WriteByte(text[i])
			i++
			continue
		}
		j := i
		for j < len(text) && isWord(text[j]) {
			j++
		}
		word := text[i:j]
		i = j
		switch strings.ToUpper(word) {
		case "BLOB":
			b.WriteString("BYTEA")
		case "INTEGER":
			b.WriteString("BIGINT")
		case "TEXT":
			b.WriteString(word)
			if previous != "AS" {
				b.WriteString(` COLLATE "C"`)
			}
		case "WITHOUT":
			rest := strings.TrimLeft(text[i:], " \t\r\n")
			if len(rest) >= 5 && strings.EqualFold(rest[:5], "ROWID") {
				i = len(text) - len(rest) + 5
			} else {
				b.WriteString(word)
			}
		default:
			b.WriteString(word)
		}
		previous = strings.ToUpper(word)
	}
	return b.String()
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
