package status

import (
	"context"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// Gateway is how what a gateway sends to its node stands: the JSON of the management API.
type Gateway struct {
	Collection string           `json:"collection"`
	Node       string           `json:"node"`
	Secret     string           `json:"secret"` // whose names the subjects: node or site
	Profile    string           `json:"profile"`
	Refreshed  *time.Time       `json:"refreshed,omitempty"` // when the node last said by what to clean
	Studies    int64            `json:"waiting_studies"`
	Instances  int64            `json:"waiting_instances"`
	Oldest     *time.Time       `json:"oldest,omitempty"`    // since when the study that waits longest does
	Succeeded  *time.Time       `json:"succeeded,omitempty"` // when the node last took something
	Failing    *time.Time       `json:"failing,omitempty"`   // since when nothing gets through
	Failure    string           `json:"failure,omitempty"`   // why, in a word
	Held       int64            `json:"held"`                // that wait for the site's stewards
	Sent       map[string]int64 `json:"sent"`                // by what became of them at the node
	Recalls    int64            `json:"recalls"`             // in which something was found since, and of which the node is not told yet
}

// Gateway says how what is sent to the node stands; fault.NotFound where this is no gateway.
func (d *Desk) Gateway(ctx context.Context, who admin.Caller) (*Gateway, error) {
	if err := d.allowed(ctx, who, policy.SeeStatus, "the gateway"); err != nil {
		return nil, err
	}
	if d.Parts.Gateway == nil {
		return nil, fault.New(fault.NotFound, "see how the gateway is", "", "this node is no gateway")
	}
	return d.Parts.Gateway(ctx)
}

// failures are what may be done about what keeps a gateway from sending.
var failures = map[string]struct{ says, do string }{
	"unreachable": {"The node does not answer.", "What waits is sent when it does. Look whether it runs, and whether the way there is open."},
	"certificate": {"The node's certificate is not one that is trusted here.", "Look at the node's certificate; give the one that vouches for it with --node-ca."},
	"token":       {"The node does not take the gateway's token.", "Have a new one made there (vitrine token create --role gateway) and put it into the token's file; it is read anew."},
	"denied":      {"The node does not let the gateway give to the collection.", "Look whether the collection is open, and whether the token is a gateway's of it."},
	"full":        {"The node has no room.", "Its operator has to make some."},
	"busy":        {"The node cannot take anything now.", "It is tried again."},
	"local":       {"What waits cannot be read here.", "The gateway's log says why."},
	"protocol":    {"The node answers something that the gateway does not understand.", "Look whether the address is a node's, and whether both are of the same version."},
}

// lateAfter is how long a study may wait before somebody should look.
const lateAfter = time.Hour

func (a *asking) gateway(ctx context.Context) []Line {
	if a.Parts.Gateway == nil {
		return nil
	}
	g, err := a.Parts.Gateway(ctx)
	if err != nil {
		return one("gateway", "Gateway", Bad, "It cannot be said what waits.", "The database has to answer first.")
	}
	l := one("gateway", "Gateway", Well, "Nothing waits to be sent to the node.", "")
	if g.Studies > 0 {
		l[0].Says = plural(g.Instances, "object waits", "objects wait") + " to be sent to the node, the oldest since " + moment(*g.Oldest) + "."
		if a.clock().Sub(*g.Oldest) > lateAfter {
			l[0].State = Watch
		}
	}
	if g.Succeeded != nil {
		l[0].Says += " It last took something on " + moment(*g.Succeeded) + "."
	}
	if f, ok := failures[g.Failure]; ok && g.Failing != nil {
		l[0].State, l[0].Says, l[0].Do = Watch, l[0].Says+" "+f.says, f.do
		if a.clock().Sub(*g.Failing) > lateAfter {
			l[0].State = Bad
		}
	}
	if n := g.Sent["held"] + g.Sent["conflict"] + g.Sent["refused"] + g.Sent["unreadable"]; n > 0 {
		l = append(l, Line{Part: "gateway", Name: "At the node", State: Watch, Says: plural(n, "object is", "objects are") + " not in sight there: held, in conflict, or refused.", Do: "The node's stewards see why. What the profile there would change was cleaned by another here."})
	}
	return l
}
