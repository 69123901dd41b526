package admin

import (
	"context"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// MayManageKeys asks whether the caller may change the master key.
func (d *Desk) MayManageKeys(ctx context.Context, who Caller) error {
	return d.allowed(ctx, who, policy.Facts{Action: policy.ManageKeys}, "master key")
}

// LogKeyChange keeps in the audit log that the master key was changed. old may be empty: who brings an interrupted change to its end may not have it any more.
func (d *Desk) LogKeyChange(ctx context.Context, who Caller, old, made string) error {
	outcome := "done"
	if old != "" {
		outcome = "done; before it was " + old
	}
	return d.write(ctx, func(tx *db.Tx) error {
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: policy.ManageKeys.String(), Object: "master key " + made, Outcome: outcome})
	})
}
