package web

import (
	"net/http"
	"slices"
)

// Routes is where a door registers its own; [http.ServeMux] and [Mux] are.
type Routes interface {
	Handle(pattern string, h http.Handler)
	HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request))
}

// Mux remembers the patterns of its routes, so that a test can ask of each what has to hold for all.
type Mux struct {
	*http.ServeMux
	patterns []string
}

// NewMux makes one without routes.
func NewMux() *Mux { return &Mux{ServeMux: http.NewServeMux()} }

// Handle adds a route.
func (m *Mux) Handle(pattern string, h http.Handler) {
	m.ServeMux.Handle(pattern, h)
	m.patterns = append(m.patterns, pattern)
}

// HandleFunc adds a route.
func (m *Mux) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(h))
}

// Patterns are those of all routes, in the order of the alphabet.
func (m *Mux) Patterns() []string { return slices.Sorted(slices.Values(m.patterns)) }
