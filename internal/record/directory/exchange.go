package directory

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// Site is the directory that an export comes from.
type Site struct {
	Base      string // its address without a slash at the end: https://imaging.example.org
	Name      string // "Imaging directory of ..."
	About     string // a sentence or two
	Publisher Organisation
}

// page is the address of an entry's page.
func (s Site) page(id ID) string { return s.Base + "/directory/" + url.PathEscape(string(id)) }

// Listed is an entry as it is exported: what the public sees of it, and its published numbers. An export says no other numbers: neither those of
// Entry.Declared nor any of the catalogue.
type Listed struct {
	Stored
	Counts Counts
}

// Public is the entry without the numbers that its custodian declared: they leave the node as published ones only, in Counts.
func (e Entry) Public() Entry {
	e.Declared = nil
	return e
}

// object is a JSON object. Its keys are written in alphabetical order, so that the same entry gives the same bytes.
type object = map[string]any

func encode(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}

// orNull is null for an empty text.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// listOrNull is null for an empty list.
func listOrNull[T any](list []T) any {
	if len(list) == 0 {
		return nil
	}
	return list
}

func filled(o object, key string, v any) {
	switch x := v.(type) {
	case nil:
		return
	case string:
		if x == "" {
			return
		}
	case []string:
		if len(x) == 0 {
			return
		}
	case []object:
		if len(x) == 0 {
			return
		}
	case []any:
		if len(x) == 0 {
			return
		}
	}
	o[key] = v
}

// refs are what terms are called by a scheme, each once, in order.
func refs(l *vocabulary.List, ids []string, scheme string) []string {
	var out []string
	for _, id := range ids {
		if t, ok := l.Get(id); ok && t.Ref(scheme) != "" && !slices.Contains(out, t.Ref(scheme)) {
			out = append(out, t.Ref(scheme))
		}
	}
	return out
}

func ref(l *vocabulary.List, id, scheme string) string {
	t, _ := l.Get(id)
	return t.Ref(scheme)
}

func labels(l *vocabulary.List, ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = l.Label(id)
	}
	return out
}

// first is the first that is not empty.
func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// cut shortens a text to a number of characters, at the end of a word where there is one near.
func cut(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	short := string(r[:most-1])
	if i := strings.LastIndexByte(short, ' '); i > len(short)*3/4 {
		short = short[:i]
	}
	return strings.TrimRight(short, " ,;:.") + "…"
}

// fullDate makes a day of a month or a year: its first one.
func fullDate(s string) string {
	if s == "" || len(s) == 10 {
		return s
	}
	return (s + "-01-01")[:10]
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// issued is when the entry was first published; where it never was, when it was saved.
func (s *Stored) issued() time.Time {
	if s.Issued.IsZero() {
		return s.At
	}
	return s.Issued
}

// isTumour reports whether a disease is a tumour of any kind, malignant or not.
func isTumour(c vocabulary.Code) bool {
	return vocabulary.Is(c, vocabulary.Code{System: vocabulary.Group, Value: "tumour"})
}
