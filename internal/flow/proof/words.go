package proof

import (
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// Words are what a code of a reason is called. They never depend on the object.
func Words(code string) string {
	if w, ok := words[code]; ok {
		return w
	}
	return review.Explain(catalogue.Reason{Code: code}).Title
}
