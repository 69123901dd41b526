package upload

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
)

// What is judged is told for good; what could not be kept for a reason of the node's may be sent again as it is.
func TestRefusedOrNotNow(t *testing.T) {
	for _, c := range []struct {
		kind   fault.Kind
		status int
		again  bool
	}{
		{fault.Invalid, http.StatusUnprocessableEntity, false},
		{fault.Denied, http.StatusUnprocessableEntity, false},
		{fault.Unavailable, http.StatusServiceUnavailable, true},
	} {
		w := httptest.NewRecorder()
		a := &answer{ResponseWriter: w, r: httptest.NewRequestWithContext(t.Context(), http.MethodPatch, "/", http.NoBody), draining: context.Background()}
		a.fail(&custody.Refusal{Reason: custody.Reason{Code: "a-code", Text: "the reason"}, Err: fault.New(c.kind, "receive instance", "", "the reason")})
		if w.Code != c.status || (w.Header().Get("Retry-After") != "") != c.again {
			t.Errorf("%v: status %d, Retry-After %q", c.kind, w.Code, w.Header().Get("Retry-After"))
		}
	}
}
