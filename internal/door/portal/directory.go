package portal

import (
	"net/http"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

func (d *Door) registerDirectory(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", d.page(d.directory))
}

// listed is a collection as the directory shows it to everybody.
type listed struct {
	collection.Collection
	Mine bool // the caller has a role in it
}

type directoryPage struct {
	Listed []listed
	Query  string
	All    int
}

// directory lists the collections of this node. That a collection exists, and what it is called, is public; what is in it is not told here.
func (d *Door) directory(r *request) (*page, error) {
	all, err := d.Desk.ListCollections(r.Context(), r.admin())
	if err != nil {
		return nil, err
	}
	p := directoryPage{Query: strings.TrimSpace(r.URL.Query().Get("q")), All: len(all)}
	for _, c := range all {
		if matchesWords(p.Query, c.Title+" "+string(c.ID)) {
			p.Listed = append(p.Listed, listed{c, r.caller.Knows(string(c.ID))})
		}
	}
	return &page{file: "directory", title: "Directory", about: "Collections of cancer research images held by this node.", section: "/", help: "find", data: p}, nil
}

// matchesWords reports that every word of a query begins a word of a text.
func matchesWords(query, text string) bool {
	words := strings.FieldsFunc(strings.ToLower(text), func(c rune) bool { return c == ' ' || c == '-' || c == ',' || c == '/' })
next:
	for _, q := range strings.Fields(strings.ToLower(query)) {
		for _, w := range words {
			if strings.HasPrefix(w, q) {
				continue next
			}
		}
		return false
	}
	return true
}
