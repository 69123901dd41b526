package node

import (
	"context"
	"net/http"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/traces"
	"github.com/vitrine-imaging/vitrine/internal/door/web"
)

type spanKey struct{}

// traced makes a span of each HTTP request, where traces are wanted. Its name is the pattern of the route, and never the address itself.
func (n *Node) traced(mux *http.ServeMux, h http.Handler) http.Handler {
	if n.traces == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, route := mux.Handler(r)
		if route == "" {
			route = "none"
		}
		ctx, span := n.traces.BeginRequest(r.Context(), r.Method, route)
		h.ServeHTTP(w, r.WithContext(context.WithValue(ctx, spanKey{}, span)))
	})
}

// observed ends the span of a request when the front has seen it end.
func (n *Node) observed(also func(web.Observation)) func(web.Observation) {
	return func(o web.Observation) {
		if span, ok := o.Context.Value(spanKey{}).(*traces.Request); ok {
			span.End(o.Status)
		}
		also(o)
	}
}

// tracedStore makes a span of a C-STORE that has been answered.
func (n *Node) tracedStore(status uint16, bytes int64, took time.Duration) {
	good := status == 0 || status>>12 == 0xB
	n.traces.Did("C-STORE", took, good, map[string]int64{"dicom.status": int64(status), "dicom.bytes": bytes})
}

// tracedJobs makes a span of each job. A restored copy that is tried does none.
func (n *Node) tracedJobs(all map[string]jobs.Handler) map[string]jobs.Handler {
	if n.cfg.still {
		return map[string]jobs.Handler{"nothing": func(context.Context, string, []byte) error { return nil }}
	}
	if n.traces == nil {
		return all
	}
	out := make(map[string]jobs.Handler, len(all))
	for kind, do := range all {
		out[kind] = func(ctx context.Context, key string, payload []byte) error {
			ctx, end := n.traces.Begin(ctx, "job "+kind)
			err := do(ctx, key, payload)
			end(err == nil)
			return err
		}
	}
	return out
}
