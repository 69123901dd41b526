package catalogue

import (
	"context"
	"database/sql"

	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Committed are the SOP classes, by UID, of the instances of a collection that an actor deposited, whatever their state but withdrawn.
func (r *Record) Committed(ctx context.Context, c collection.ID, actor string, uids []SOPUID) (map[SOPUID]string, error) {
	found := map[SOPUID]string{}
	for len(uids) > 0 {
		n := min(len(uids), maxList)
		list, args := inList(uids[:n])
		for i, a := range args {
			args[i] = string(a.(SOPUID))
		}
		err := forRows(r.reader(ctx), `SELECT i.uid, i.sop_class FROM instance i JOIN deposit d ON d.id = i.deposit WHERE i.state <> 6 AND i.collection = ? AND d.actor = ? AND i.uid IN `+list,
			append([]any{string(c), actor}, args...), func(rows *sql.Rows) error {
				var uid SOPUID
				var class string
				err := rows.Scan(&uid, &class)
				found[uid] = class
				return err
			})
		if err != nil {
			return nil, err
		}
		uids = uids[n:]
	}
	return found, nil
}
