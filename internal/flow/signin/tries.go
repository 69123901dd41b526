package signin

import (
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/attempts"
)

// tries slows down who fails to get in again and again from one address. The six digits of an app are counted by account, in the database.
type tries struct{ attempts.Counter }

// allow reports, as a fault.Denied, an address that has to wait.
func (t *tries) allow(from string) error {
	if wait := t.Wait(from); wait > 0 {
		return fault.New(fault.Denied, "sign in", "", "it failed too often from your address; wait a while, "+wait.Round(time.Second).String()+", and try again")
	}
	return nil
}

func (t *tries) failed(from string) { t.Failed(from) }
