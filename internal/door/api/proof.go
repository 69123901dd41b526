package api

import (
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// proofRoutes are those of what was done to what came.
func (d *Door) proofRoutes() []route {
	return []route{
		{method: "GET", path: "/api/deposits/{deposit}/report", name: "getReport",
			text:  "What was done to a deposit, in counts: what came, by what it was judged, what was done to which elements, what was held and why, what was painted. Nothing identifiable is in it.",
			gives: "Report", do: d.report},
		{method: "POST", path: "/api/collections/{collection}/statements", name: "signStatement",
			text:  "Say how a collection was de-identified, as it is now, and sign it: canonical JSON (RFC 8785) and a detached signature by the node's key. Nothing is kept of it but a digest in the audit log.",
			gives: "SignedStatement", do: d.statement},
	}
}

func (d *Door) report(r *request) (any, error) {
	id, err := catalogue.ParseDepositID(r.PathValue("deposit"))
	if err != nil {
		return nil, fault.New(fault.NotFound, "find deposit", "", "there is no such deposit of yours")
	}
	return d.Proof.Report(r.Context(), r.who, id)
}

func (d *Door) statement(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	return d.Proof.Sign(r.Context(), r.who, id, "")
}
