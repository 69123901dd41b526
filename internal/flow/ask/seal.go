package ask

import (
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/record/question"
)

// sealing is how the parts of a thread are encrypted (docs/formats/question.md).
func sealing(thread keys.Key, id question.ID) keys.Parts {
	return keys.NewParts(thread, "question", id.String())
}

func message(seq int64) string { return "message " + strconv.FormatInt(seq, 10) }

func number(n int) string { return strconv.Itoa(n) }

// headOf is what the sealed head of a thread says.
type headOf struct {
	About   string `json:"about"`
	Subject string `json:"subject"`
}
