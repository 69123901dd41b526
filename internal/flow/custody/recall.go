package custody

import (
	"context"
	"fmt"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// CodeRecalled is the reason of what its gateway has taken back.
const CodeRecalled = "recalled"

// inSight are the states of what may be seen by somebody.
var inSight = []policy.State{policy.Received, policy.Admitted, policy.Released}

// Recall holds instances that a gateway has given, because it has found something in them since: released ones too. Those that no gateway has given stay as they are. It says how many it has held.
func (c *Custody) Recall(ctx context.Context, id collection.ID, actor string, uids []catalogue.SOPUID) (held int, err error) {
	var found []finding
	for _, uid := range uids {
		for l, err := range c.catalogue.Locate(ctx, catalogue.Where{Scopes: []policy.Scope{{Collection: string(id), States: inSight}}, Collection: id, SOP: uid}) {
			if err != nil {
				return 0, err
			}
			d, err := c.catalogue.Deposit(ctx, l.Deposit)
			if err != nil {
				return 0, err
			}
			if Door(d.Door) != DoorGateway {
				continue
			}
			f := finding{row: l, why: []catalogue.Reason{{Code: CodeRecalled, Text: "the gateway that cleaned it has found something in it since"}}}
			if err := c.blank(ctx, &f); err != nil {
				return 0, err
			}
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return 0, nil
	}
	return len(found), c.db.Write(ctx, func(tx *db.Tx) error {
		if err := c.hide(tx, found); err != nil {
			return err
		}
		return c.audit.Append(tx, audit.Entry{Actor: actor, Action: policy.Recall.String(), Object: "collection " + string(id), Collection: string(id), Outcome: fmt.Sprintf("held %d", len(found))})
	})
}

// blank describes study and series of an instance without the text that may be what was found.
func (c *Custody) blank(ctx context.Context, f *finding) error {
	x, err := c.open(ctx, f.row)
	if err != nil {
		return err
	}
	defer x.Close()
	d, err := x.Dataset()
	if err != nil {
		return err
	}
	f.describe(d)
	return nil
}
